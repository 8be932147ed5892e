//! Who is who: passwords, verified slowly on purpose, one at a time, and not for whoever fails too
//! often.
//!
//! A password is kept as an argon2id hash (RFC 9106) in the PHC string format. To verify one takes
//! 7 MiB and 20 ms of a desktop machine (measured), and far longer on a small router; so logins
//! wait in line, the line is bounded, and a password that was right is remembered for some minutes:
//! a camera that logs in for every alert costs argon2id once. What is remembered is a BLAKE2s MAC
//! (RFC 7693 §2.9) of name, hash and password under a key that only this process has; a changed
//! password is forgotten with its hash.

mod throttle;
#[cfg(test)]
pub(crate) mod world;

use crate::{
    config::Config,
    limits,
    sys::{Signal, Sys},
    time::Instant,
};
use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString},
};
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use blake2::{Blake2sMac256, digest::Mac};
use std::{
    cell::{Cell, RefCell},
    fmt,
    net::IpAddr,
    time::Duration,
};
use throttle::{Source, Throttle};
use zeroize::Zeroizing;

/// What came of a login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Login {
    /// It is this user.
    Welcome(String),
    /// No such user, or not their password; nobody learns which.
    Wrong,
    /// Not looked at: too many failures from there, or too many logins at once. Try again after
    /// this.
    Throttled(Duration),
}

/// A user name and a password, and where they came from.
#[derive(Clone, Copy)]
pub struct Attempt<'a> {
    /// Whose failures are counted; `None` (a Unix socket) is never throttled for failures.
    pub peer: Option<IpAddr>,
    /// `alice` or `alice@home.arpa`, in any case.
    pub user: &'a str,
    /// In clear.
    pub password: &'a str,
}

/// Verifies logins, of users and of the page alike. One a process.
pub struct Accounts {
    sys: Sys,
    key: Zeroizing<[u8; 32]>,
    /// A hash that no password has, for users that there are not.
    nobody: String,
    throttle: RefCell<Throttle>,
    remembered: RefCell<Vec<(Mark, Instant)>>,
    waiting: RefCell<Vec<Option<Source>>>,
    busy: Cell<bool>,
    freed: Signal,
}

type Mark = [u8; 32];

impl Accounts {
    /// Nobody has logged in or failed yet.
    pub fn new(sys: &Sys) -> Accounts {
        let (salt, output) = (random::<16>(sys), random::<32>(sys));
        let (salt, output) = (STANDARD_NO_PAD.encode(*salt), STANDARD_NO_PAD.encode(*output));
        let (m, t) = (limits::PASSWORD_KIB, limits::PASSWORD_PASSES);
        Accounts {
            sys: sys.clone(),
            key: random(sys),
            nobody: format!("$argon2id$v=19$m={m},t={t},p=1${salt}${output}"),
            throttle: RefCell::default(),
            remembered: RefCell::default(),
            waiting: RefCell::default(),
            busy: Cell::new(false),
            freed: Signal::default(),
        }
    }

    /// Is this a user, and is this their password? An unknown user costs the same time as a wrong
    /// password.
    pub async fn login(&self, config: &Config, attempt: Attempt<'_>) -> Login {
        let name = local_name(config, attempt.user);
        let user = config.users.iter().find(|user| user.name == name);
        let hash = user.and_then(|user| user.password.as_deref());
        self.prove(config.limits.login_failures, name, hash, attempt).await
    }

    /// Is this the page's password? The name in [`Login::Welcome`] is empty.
    pub async fn verify_admin(
        &self,
        config: &Config,
        peer: Option<IpAddr>,
        password: &str,
    ) -> Login {
        let attempt = Attempt { peer, user: "", password };
        let hash = config.admin.as_deref();
        self.prove(config.limits.login_failures, String::new(), hash, attempt).await
    }

    async fn prove(
        &self,
        failures_most: u32,
        name: String,
        hash: Option<&str>,
        attempt: Attempt<'_>,
    ) -> Login {
        let source = attempt.peer.map(Source::of);
        if let Some(wait) = self.must_wait(source) {
            return Login::Throttled(wait);
        }
        let mark = hash.map(|hash| self.mark(&name, hash, attempt.password));
        if mark.is_some_and(|mark| self.remembers(&mark)) {
            self.welcome(source);
            return Login::Welcome(name);
        }
        let Some(_place) = Place::take(self, source) else {
            return Login::Throttled(limits::LOGIN_BUSY_WAIT);
        };
        let turn = self.turn().await;
        // While this one waited, others from the same peer may have failed.
        if let Some(wait) = self.must_wait(source) {
            return Login::Throttled(wait);
        }
        let failure = Failure { accounts: self, source, most: failures_most };
        let right = self.verify(hash, attempt.password).await;
        drop(turn);
        if let Some(mark) = mark.filter(|_| right) {
            failure.pardon();
            self.remember(mark);
            self.welcome(source);
            return Login::Welcome(name);
        }
        drop(failure);
        self.sys.sleep(limits::LOGIN_WRONG_WAIT).await;
        Login::Wrong
    }

    async fn verify(&self, hash: Option<&str>, password: &str) -> bool {
        if password.len() > limits::PASSWORD_BYTES {
            return false;
        }
        let hash = hash.unwrap_or(&self.nobody).to_string();
        let password = Zeroizing::new(password.to_string());
        self.sys.slow(move || is_password_of(&hash, &password)).await.unwrap_or(false)
    }

    fn must_wait(&self, source: Option<Source>) -> Option<Duration> {
        self.throttle.borrow().wait(source?, self.sys.clock.now())
    }

    fn welcome(&self, source: Option<Source>) {
        if let Some(source) = source {
            self.throttle.borrow_mut().forget(source);
        }
    }

    /// What is remembered of a login that was right.
    fn mark(&self, name: &str, hash: &str, password: &str) -> Mark {
        let mut mac = Blake2sMac256::new_from_slice(self.key.as_slice())
            .expect("BLAKE2s takes keys of up to 32 octets");
        for part in [name, hash, password] {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part.as_bytes());
        }
        mac.finalize().into_bytes().into()
    }

    fn remembers(&self, mark: &Mark) -> bool {
        let now = self.sys.clock.now();
        let mut remembered = self.remembered.borrow_mut();
        remembered.retain(|(_, until)| *until > now);
        remembered.iter().any(|(known, _)| known == mark)
    }

    fn remember(&self, mark: Mark) {
        let mut remembered = self.remembered.borrow_mut();
        remembered.retain(|(known, _)| *known != mark);
        if remembered.len() >= limits::LOGINS_REMEMBERED {
            remembered.remove(0);
        }
        remembered.push((mark, self.sys.clock.now() + limits::LOGIN_REMEMBERED));
    }

    /// Until nobody else is being verified; first come, first served, as far as wakers are.
    async fn turn(&self) -> Turn<'_> {
        loop {
            let seen = self.freed.count();
            if !self.busy.replace(true) {
                return Turn(self);
            }
            self.freed.past(seen).await;
        }
    }
}

/// One verification at a time; over when dropped.
struct Turn<'a>(&'a Accounts);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.busy.set(false);
        self.0.freed.raise();
    }
}

/// A place in the line; free again when dropped.
struct Place<'a> {
    accounts: &'a Accounts,
    source: Option<Source>,
}

impl Place<'_> {
    fn take(accounts: &Accounts, source: Option<Source>) -> Option<Place<'_>> {
        let mut waiting = accounts.waiting.borrow_mut();
        let same = waiting.iter().filter(|other| **other == source).count();
        // One more than may wait: the one that is being verified.
        let full = waiting.len() > limits::LOGINS_WAITING;
        if full || same > limits::LOGINS_WAITING_PER_PEER {
            return None;
        }
        waiting.push(source);
        Some(Place { accounts, source })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut waiting = self.accounts.waiting.borrow_mut();
        if let Some(at) = waiting.iter().position(|source| *source == self.source) {
            waiting.swap_remove(at);
        }
    }
}

/// A failure that counts when dropped: also where the session ends before its password was
/// verified, lest hanging up early makes guesses free.
struct Failure<'a> {
    accounts: &'a Accounts,
    source: Option<Source>,
    most: u32,
}

impl Failure<'_> {
    /// It was none.
    fn pardon(mut self) {
        self.source = None;
    }
}

impl Drop for Failure<'_> {
    fn drop(&mut self) {
        if let Some(source) = self.source {
            let now = self.accounts.sys.clock.now();
            self.accounts.throttle.borrow_mut().fail(source, self.most, now);
        }
    }
}

/// A name to log in with, as users are listed: mail programs often give the whole address.
fn local_name(config: &Config, user: &str) -> String {
    let user = user.to_ascii_lowercase();
    match user.split_once('@') {
        Some((name, domain))
            if domain == config.hostname || config.domains.iter().any(|d| d == domain) =>
        {
            name.to_string()
        }
        _ => user,
    }
}

/// The argon2id hash (PHC string) of a password, with a salt of its own. Takes a while, off the
/// main thread.
pub async fn hash(sys: &Sys, password: &str) -> String {
    let salt = SaltString::encode_b64(random::<16>(sys).as_slice())
        .expect("16 octets are within the bounds of a salt");
    let password = Zeroizing::new(password.to_string());
    let work = move || {
        let hash = parameters().hash_password(password.as_bytes(), &salt);
        hash.expect("the parameters are within their ranges").to_string()
    };
    sys.slow(work).await.expect("argon2id within its ranges does not panic")
}

/// How a key is made of a password: argon2id with these costs and this salt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    kib: u32,
    passes: u32,
    salt: [u8; 16],
}

impl Stretch {
    /// With a new salt.
    pub fn new(sys: &Sys) -> Stretch {
        let (kib, passes) = (limits::PASSWORD_KIB, limits::PASSWORD_PASSES);
        Stretch { kib, passes, salt: *random::<16>(sys) }
    }

    /// As it is displayed. `None`: it is none, or would take more than its share of the machine.
    pub fn parse(text: &str) -> Option<Stretch> {
        let mut words = text.split(' ');
        let (Some("argon2id"), Some(kib), Some(passes), Some(salt), None) =
            (words.next(), words.next(), words.next(), words.next(), words.next())
        else {
            return None;
        };
        let (kib, passes) = (kib.parse().ok()?, passes.parse().ok()?);
        let salt = STANDARD_NO_PAD.decode(salt).ok()?.try_into().ok()?;
        let affordable = kib <= limits::PASSWORD_KIB_MAX && passes <= limits::PASSWORD_PASSES_MAX;
        affordable.then_some(Stretch { kib, passes, salt })
    }
}

/// `argon2id KIB PASSES SALT`
impl fmt::Display for Stretch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let salt = STANDARD_NO_PAD.encode(self.salt);
        write!(f, "argon2id {} {} {salt}", self.kib, self.passes)
    }
}

/// A key made of a password. Takes a while, off the main thread.
pub async fn stretch(sys: &Sys, password: &str, how: Stretch) -> Zeroizing<[u8; 32]> {
    let password = Zeroizing::new(password.to_string());
    let work = move || {
        let mut key = Zeroizing::new([0; 32]);
        let params = Params::new(how.kib, how.passes, 1, None).ok()?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        argon2.hash_password_into(password.as_bytes(), &how.salt, &mut *key).ok()?;
        Some(key)
    };
    // Costs that are too small for argon2 have no key: a random one opens nothing.
    sys.slow(work).await.flatten().unwrap_or_else(|| random(sys))
}

fn parameters() -> Argon2<'static> {
    let params = Params::new(limits::PASSWORD_KIB, limits::PASSWORD_PASSES, 1, None)
        .expect("the constants are within argon2's ranges");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

/// Is `hash` an argon2id hash of this password, and not one that would take more than its share of
/// the machine?
fn is_password_of(hash: &str, password: &str) -> bool {
    let verify = || {
        let hash = PasswordHash::new(hash).ok()?;
        let argon2id = Algorithm::try_from(hash.algorithm).ok()? == Algorithm::Argon2id;
        let params = Params::try_from(&hash).ok()?;
        let affordable = params.m_cost() <= limits::PASSWORD_KIB_MAX
            && params.t_cost() <= limits::PASSWORD_PASSES_MAX
            && params.p_cost() <= limits::PASSWORD_LANES_MAX;
        (argon2id && affordable).then_some(())?;
        Argon2::default().verify_password(password.as_bytes(), &hash).ok()
    };
    verify().is_some()
}

fn random<const N: usize>(sys: &Sys) -> Zeroizing<[u8; N]> {
    let mut octets = Zeroizing::new([0; N]);
    for chunk in octets.chunks_mut(8) {
        let roll = sys.dice.roll().to_le_bytes();
        chunk.copy_from_slice(&roll[..chunk.len()]);
    }
    octets
}

#[cfg(test)]
mod tests;
