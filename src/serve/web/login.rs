//! Who may use the page: the first password by a setup code, then sessions by cookie.

use super::http::Head;
use crate::{limits, sys::Sys, time::Instant};
use std::{cell::RefCell, net::IpAddr};

/// Name of the session's cookie.
const COOKIE: &str = "waypost";

/// Browsers that are logged in. In memory only: a restart logs all of them out.
#[derive(Default)]
pub(super) struct Sessions(RefCell<Vec<Session>>);

/// One browser.
#[derive(Clone, Copy)]
struct Session {
    /// Known to the browser alone, as a cookie that no script can read.
    secret: u128,
    /// Known to our page's script in it: a page from elsewhere sends the cookie along, but not this
    /// (CSRF).
    token: u128,
    used: Instant,
}

/// A new session, as its browser is told of it.
pub(super) struct Opened {
    /// Value for Set-Cookie.
    pub(super) cookie: String,
    /// For `X-CSRF-Token`.
    pub(super) token: String,
}

impl Sessions {
    /// Log a browser in. RFC 6265 §5.3; `SameSite` as the browsers have it.
    pub(super) fn open(&self, sys: &Sys, encrypted: bool) -> Opened {
        let now = sys.clock.now();
        let random = || u128::from(sys.dice.roll()) << 64 | u128::from(sys.dice.roll());
        let session = Session { secret: random(), token: random(), used: now };
        let mut all = self.0.borrow_mut();
        all.retain(|s| is_alive(s, now));
        if all.len() >= limits::WEB_SESSIONS
            && let Some(oldest) = (0..all.len()).min_by_key(|n| all.get(*n).map(|s| s.used))
        {
            all.swap_remove(oldest);
        }
        all.push(session);
        let mut cookie =
            format!("{COOKIE}={:032x}; Path=/; HttpOnly; SameSite=Strict", session.secret);
        if encrypted {
            cookie.push_str("; Secure");
        }
        Opened { cookie, token: format!("{:032x}", session.token) }
    }

    /// The token of the session that a request belongs to, if it belongs to one; this counts as
    /// use.
    pub(super) fn token(&self, head: &Head, now: Instant) -> Option<String> {
        let mut all = self.0.borrow_mut();
        all.retain(|s| is_alive(s, now));
        let alive = secrets(head).find(|secret| all.iter().any(|s| s.secret ^ secret == 0))?;
        let session = all.iter_mut().find(|s| s.secret == alive)?;
        session.used = now;
        Some(format!("{:032x}", session.token))
    }

    /// Log out the browser that sent this.
    pub(super) fn close(&self, head: &Head) {
        let mut all = self.0.borrow_mut();
        for secret in secrets(head) {
            all.retain(|s| s.secret ^ secret != 0);
        }
    }

    /// Log all browsers out, as after a new password.
    pub(super) fn close_all(&self) {
        self.0.borrow_mut().clear();
    }
}

/// Value for Set-Cookie that ends a session in the browser.
pub(super) fn farewell() -> String {
    format!("{COOKIE}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0")
}

fn is_alive(session: &Session, now: Instant) -> bool {
    now.since(session.used) < limits::WEB_SESSION_IDLE
}

/// Every cookie of our name: another program on another port of this machine may have set one too.
fn secrets(head: &Head) -> impl Iterator<Item = u128> {
    head.fields("cookie").flat_map(|field| field.split(';')).take(32).filter_map(|pair| {
        let value = pair.trim().strip_prefix(COOKIE)?.strip_prefix('=')?;
        let hexadecimal = value.len() == 32 && value.bytes().all(|b| b.is_ascii_hexdigit());
        hexadecimal.then(|| u128::from_str_radix(value, 16).ok())?
    })
}

/// Wrong setup codes, by address. The bound holds for guessing from few addresses; the code's own
/// length must hold against the rest.
#[derive(Default)]
pub(super) struct Throttle(RefCell<Vec<Guesser>>);

struct Guesser {
    from: IpAddr,
    wrong: u32,
    last: Instant,
}

impl Throttle {
    /// Seconds that `from` must wait before another try; 0: none.
    pub(super) fn wait(&self, from: IpAddr, now: Instant) -> u64 {
        let mut all = self.0.borrow_mut();
        all.retain(|g| now.since(g.last) < limits::WEB_SETUP_WAIT);
        all.iter().find(|g| g.from == network(from)).map_or(0, |g| {
            let left = limits::WEB_SETUP_WAIT.saturating_sub(now.since(g.last));
            if g.wrong < limits::WEB_SETUP_FAILURES { 0 } else { left.as_secs().max(1) }
        })
    }

    /// A wrong try.
    pub(super) fn wrong(&self, from: IpAddr, now: Instant) {
        let mut all = self.0.borrow_mut();
        let from = network(from);
        if let Some(guesser) = all.iter_mut().find(|g| g.from == from) {
            guesser.wrong = guesser.wrong.saturating_add(1);
            guesser.last = now;
            return;
        }
        if all.len() >= limits::WEB_SESSIONS
            && let Some(oldest) = (0..all.len()).min_by_key(|n| all.get(*n).map(|g| g.last))
        {
            all.swap_remove(oldest);
        }
        all.push(Guesser { from, wrong: 1, last: now });
    }
}

/// Who has one IPv6 address has the other 2^64 of its network too. RFC 4291 §2.5.4.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(six) => match six.to_ipv4_mapped() {
            Some(four) => IpAddr::V4(four),
            None => IpAddr::V6((six.to_bits() >> 64 << 64).into()),
        },
        four @ IpAddr::V4(_) => four,
    }
}

/// Are two secrets the same? Blanks, dashes and case do not count, since a person typed one; takes
/// as long for the wrong ones as for the right one.
pub(super) fn same_code(typed: &str, code: &str) -> bool {
    let plain = |text: &str| -> Vec<u8> {
        let kept = |b: &u8| b.is_ascii_alphanumeric();
        text.bytes().take(256).filter(kept).map(|b| b.to_ascii_uppercase()).collect()
    };
    let (typed, code) = (plain(typed), plain(code));
    let differ = typed.iter().zip(&code).fold(0, |differ, (a, b)| differ | (a ^ b));
    !code.is_empty() && typed.len() == code.len() && differ == 0
}

/// Is this a password for the page?
///
/// # Errors
/// Why not, in words.
pub(super) fn check_password(password: &str) -> Result<(), String> {
    let shortest = limits::WEB_PASSWORD_CHARACTERS;
    if password.chars().count() < shortest {
        return Err(format!("The password needs at least {shortest} characters."));
    }
    if password.len() > limits::WEB_PASSWORD_BYTES {
        return Err(format!("The password is longer than {} octets.", limits::WEB_PASSWORD_BYTES));
    }
    Ok(())
}
