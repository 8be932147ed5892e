//! The time from servers. Many boards have no clock that lives without power: they start in 1970,
//! and the relay knows that it has no date until this has set one.

use super::{Board, KEPT, RUN};
use crate::{
    limits,
    proto::sntp::{self, Offset},
    time::Wall,
};
use std::{net::SocketAddr, rc::Rc, time::Duration};

/// Asked where neither the file `network` nor DHCP names any.
const SERVERS: [&str; 4] = ["0.pool.ntp.org", "1.pool.ntp.org", "2.pool.ntp.org", "3.pool.ntp.org"];
const PORT: u16 = 123;
const MICROS: i64 = 1_000_000;
/// 1 January 1971.
const UNSET: i64 = 365 * 86_400 * MICROS;

/// The latest date that was surely past: no clock is believed that is behind it.
async fn floor(board: &Board) -> u64 {
    let kept = board.text(&format!("{KEPT}/clock")).await;
    let kept: u64 = kept.trim().parse().unwrap_or(0);
    // What was written by a clock gone wild would keep the right time out for ever.
    board.facts.built.max(if kept > ceiling(board) { 0 } else { kept })
}

/// No date beyond this is believed.
fn ceiling(board: &Board) -> u64 {
    board.facts.built.saturating_add(limits::BOARD_CLOCK_AHEAD.as_secs())
}

/// At the start: a clock that is behind what is known to be past is no clock, nor is one that is
/// beyond what can be: some that count two digits of the year come up in 2070.
pub async fn begin(board: &Board) {
    let date = board.machine.date();
    if is_before(date, floor(board).await) || !is_before(date, ceiling(board)) {
        // Linux lets no clock be behind the time since the start: a date that is surely none, and
        // surely after that.
        if date > UNSET
            && let Err(error) = board.machine.set_date(UNSET)
        {
            board.trouble(&format!("The clock cannot be set: {error}."));
        }
        board.now.borrow_mut().clock = "The date is not known yet: time servers are asked.".into();
    } else {
        board.now.borrow_mut().clock = "By the board's own clock.".into();
    }
}

fn is_before(date: i64, seconds: u64) -> bool {
    date < i64::try_from(seconds).unwrap_or(i64::MAX / MICROS).saturating_mul(MICROS)
}

/// Ask, set, and ask again.
pub async fn keep(board: Rc<Board>) {
    let mut failures = 0;
    let mut written = None;
    loop {
        let told = match ask(&board).await {
            Ok(said) => {
                let is_set = board.now.borrow().clock_is_set;
                match doubt(&said, is_set, failures) {
                    None => set(&board, said.offset).await,
                    Some(words) => Err(words.into()),
                }
            }
            Err(words) => Err(words),
        };
        let wait = match told {
            Ok(words) => {
                failures = 0;
                tell(&board, words, true);
                let now = board.sys.clock.now();
                let due = written.is_none_or(|then| now >= then + limits::BOARD_CLOCK_KEPT_EVERY);
                if due && keep_date(&board).await {
                    written = Some(now);
                }
                limits::BOARD_CLOCK_EVERY
            }
            Err(words) => {
                failures += 1;
                let set = board.now.borrow().clock_is_set;
                if !set || failures > 3 {
                    let own = !set && board.sys.clock.wall().is_some();
                    let own = if own { "By the board's own clock. " } else { "" };
                    tell(&board, format!("{own}{words}"), set);
                }
                wait_after(failures)
            }
        };
        board.sys.sleep(wait).await;
    }
}

/// What time servers say.
struct Said {
    /// How far our clock is off, microseconds.
    offset: i64,
    /// Only one of several has answered.
    alone: bool,
}

/// Why it is not to be believed. Who answers alone may be whoever stands in the way of the others:
/// it sets no clock that is set, and one that is not only after some rounds. `failures`: rounds
/// without a result so far.
fn doubt(said: &Said, is_set: bool, failures: u32) -> Option<&'static str> {
    let step = limits::BOARD_CLOCK_STEP.as_micros().try_into().unwrap_or(i64::MAX);
    if !said.alone {
        return None;
    }
    if is_set {
        return (said.offset.abs() > step)
            .then_some("Only one time server answers, and it says something else than before.");
    }
    (failures < limits::BOARD_CLOCK_ROUNDS)
        .then_some("Only one time server answers; the others are waited for.")
}

/// 4 s, 8 s … up to [`limits::BOARD_CLOCK_PATIENCE`]: servers are asked kindly (RFC 4330 §10), and
/// a line that comes back after an hour has its date within minutes.
fn wait_after(failures: u32) -> Duration {
    Duration::from_secs(2 << failures.min(10)).min(limits::BOARD_CLOCK_PATIENCE)
}

fn tell(board: &Board, words: String, set: bool) {
    let mut now = board.now.borrow_mut();
    if now.clock != words || now.clock_is_set != set {
        board.sys.log.line(&format!("event=clock words={words:?}"));
        now.clock = words;
        now.clock_is_set = set;
        drop(now);
        board.changed.raise();
    }
}

/// Remember the date, so that after a power cut none before it is believed.
async fn keep_date(board: &Board) -> bool {
    let seconds = board.machine.date() / MICROS;
    let path = format!("{KEPT}/clock");
    board.sys.replace(&path, format!("{seconds}\n").into_bytes()).await.is_ok()
}

/// How far our clock is off, by most of the servers.
async fn ask(board: &Board) -> Result<Said, String> {
    let mut offsets = Vec::new();
    let mut failed = String::from("none was found");
    let mut asked = 0;
    for server in servers(board).await {
        for address in addresses(board, &server).await.into_iter().take(2) {
            if asked == limits::BOARD_SERVERS {
                break;
            }
            asked += 1;
            match ask_one(board, address).await {
                Ok(offset) => offsets.push(offset),
                Err(words) => failed = format!("{address}: {words}"),
            }
        }
    }
    if offsets.is_empty() {
        return Err(format!("No time server answers ({failed})."));
    }
    let slack = limits::BOARD_CLOCK_SLACK.as_micros().try_into().unwrap_or(i64::MAX);
    let alone = offsets.len() == 1 && asked > 1;
    let agreed = sntp::agree(&offsets, slack).map(|offset| Said { offset, alone });
    agreed.ok_or_else(|| "The time servers do not agree.".into())
}

/// Those of the file `network`, else those that DHCP names, else the pool.
async fn servers(board: &Board) -> Vec<String> {
    let fixed = board.now.borrow().network.time.clone();
    if !fixed.is_empty() {
        return fixed;
    }
    let mut told = Vec::new();
    for name in board.machine.wired().into_iter().chain(board.machine.radios()) {
        let text = board.text(&format!("{RUN}/ntp.{name}")).await;
        told.extend(text.split_whitespace().map(str::to_owned));
    }
    // RFC 2131 has no login: whoever answers first is believed. So the pool is asked beside them.
    told.truncate(2);
    told.extend(SERVERS.map(String::from));
    told
}

async fn addresses(board: &Board, server: &str) -> Vec<SocketAddr> {
    if let Ok(address) = server.parse() {
        return vec![SocketAddr::new(address, PORT)];
    }
    if let Ok(address) = server.parse() {
        return vec![address];
    }
    let found = board.machine.addresses(server);
    let found = board.sys.within(limits::BOARD_NAMES_WAIT, found).await.unwrap_or_default();
    found.into_iter().map(|address| SocketAddr::new(address, PORT)).collect()
}

async fn ask_one(board: &Board, server: SocketAddr) -> Result<Offset, String> {
    let failed = |error: std::io::Error| error.to_string();
    let socket = board.sys.net.datagrams(server).await.map_err(failed)?;
    let nonce = board.sys.dice.roll();
    // The span is measured with the clock that nobody sets.
    let (date, begun) = (board.machine.date(), board.sys.clock.now());
    socket.send(&sntp::ask(nonce)).await.map_err(failed)?;
    let mut packet = [0; 512];
    let hear = board.sys.within(limits::BOARD_TIME_WAIT, socket.receive(&mut packet));
    let length = hear.await.ok_or("it does not answer")?.map_err(failed)?;
    let took = board.sys.clock.now().0.saturating_sub(begun.0);
    let reply = sntp::read(packet.get(..length).unwrap_or_default(), nonce)
        .map_err(|useless| useless.to_string())?;
    Ok(Offset::of(reply, date, date + i64::try_from(took).unwrap_or(i64::MAX / 1000) * 1000))
}

/// Step where it is far off, else slew; only to dates that can be.
async fn set(board: &Board, offset: i64) -> Result<String, String> {
    let date = board.machine.date().saturating_add(offset);
    let floor = floor(board).await;
    let shown = Wall(u64::try_from(date / MICROS).unwrap_or(0));
    if is_before(date, floor) || !is_before(date, ceiling(board)) {
        return Err(format!("The time servers say {shown}, which cannot be."));
    }
    let step = limits::BOARD_CLOCK_STEP.as_micros().try_into().unwrap_or(i64::MAX);
    if offset.abs() > step {
        let failed = |error| format!("The clock cannot be set: {error}.");
        board.machine.set_date(board.machine.date().saturating_add(offset)).map_err(failed)?;
        board.sys.log.line(&format!("event=clock-stepped by={offset}us"));
    } else {
        board.command(&["adjtimex", "-q", "-o", &offset.to_string()]).await;
    }
    Ok("By time servers.".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_answers_alone_is_believed_late_and_never_against_a_clock_that_is_set() {
        let said = |offset, alone| Said { offset, alone };
        let far = 3600 * MICROS;
        assert_eq!(doubt(&said(far, false), true, 0), None);
        assert!(doubt(&said(far, true), true, 100).is_some());
        assert_eq!(doubt(&said(1000, true), true, 0), None, "a little is only slewed");
        assert!(doubt(&said(far, true), false, limits::BOARD_CLOCK_ROUNDS - 1).is_some());
        assert_eq!(doubt(&said(far, true), false, limits::BOARD_CLOCK_ROUNDS), None);
    }

    #[test]
    fn servers_are_asked_kindly_and_soon_enough() {
        let waits = [1, 2, 3, 6, 7, 100].map(|failures| wait_after(failures).as_secs());
        assert_eq!(waits, [4, 8, 16, 120, 120, 120]);
    }

    #[test]
    fn a_date_is_before_another_or_not() {
        assert!(is_before(0, 1));
        assert!(!is_before(MICROS, 1));
        assert!(is_before(MICROS - 1, 1));
        assert!(is_before(i64::MAX - MICROS, u64::MAX));
        assert!(!is_before(UNSET, 365 * 86_400));
    }
}
