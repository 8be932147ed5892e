//! The relay, below its keeper: started, started again where it ends, looked after through its own
//! ports; and the watchdog, which starts the board again where nothing of that helps.

use super::{Board, KEPT, RELAY, SOCKET, Standing, USER, boot_files, stand_in};
use crate::{
    limits,
    sys::machine::{Command, Program},
};
use futures_lite::{AsyncReadExt, AsyncWriteExt, FutureExt};
use std::{
    collections::VecDeque,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    rc::Rc,
    time::Duration,
};

const WATCHDOG: &str = "/dev/watchdog";
/// The exit code of a relay whose configuration is wrong (`sysexits.h`).
const CONFIG: i32 = 78;

/// Where the relay's last words lie.
pub fn last_words() -> String {
    format!("{KEPT}/last-words")
}

/// Run the relay for as long as the board runs.
pub async fn keep(board: Rc<Board>) {
    let mut quick = 0;
    loop {
        if board.over.count() > 0 {
            board.ended.raise();
            return std::future::pending().await;
        }
        let begun = board.sys.clock.now();
        let (code, words) = match start(&board) {
            Ok(relay) => run(&board, relay).await,
            Err(error) => (-1, format!("it cannot be started: {error}")),
        };
        if board.over.count() > 0 {
            continue;
        }
        let lived = board.sys.clock.now().since(begun);
        quick = if lived > limits::BOARD_RELAY_STEADY { 0 } else { quick + 1 };
        ended(&board, code, &words).await;
        if code == CONFIG && boot_files::go_back(&board, &brief(&words)).await {
            continue;
        }
        // While it rests, who comes is told why.
        let wait = backoff(quick);
        let words = brief(&words);
        let rest = stand_in::answer(&board, &words, wait);
        let asked = async {
            board.over.past(0).await;
        };
        asked.or(rest).await;
    }
}

/// 1 s, 2 s, 4 s … up to [`limits::BOARD_RELAY_PATIENCE`].
fn backoff(quick: u32) -> Duration {
    Duration::from_secs(1 << quick.saturating_sub(1).min(10)).min(limits::BOARD_RELAY_PATIENCE)
}

fn start(board: &Board) -> std::io::Result<Box<dyn Program>> {
    let words = ["setpriv", "--nnp", "/usr/bin/waypost", "run", "--data", RELAY];
    let environment = vec![("WAYPOST_BOARD".to_owned(), SOCKET.to_owned())];
    let words = words.map(String::from).to_vec();
    board.machine.start(&Command { words, environment, user: Some(USER), ..Command::default() })
}

/// Let the relay write down what it has only in memory, before the board starts anew.
pub async fn end(board: &Board) {
    board.over.raise();
    board.sys.within(limits::BOARD_END_WAIT, board.ended.past(0)).await;
}

/// Until it ends: its exit code and its last lines.
async fn run(board: &Board, mut relay: Box<dyn Program>) -> (i32, String) {
    let mut last = VecDeque::new();
    loop {
        let asked = async {
            board.over.past(0).await;
            None
        };
        let heard = async { Some(relay.line().await) };
        let line = match asked.or(heard).await {
            Some(Some(line)) => line,
            Some(None) => break,
            None => {
                relay.end();
                // To its end, however much it still says.
                while relay.line().await.is_some() {}
                break;
            }
        };
        if let Some((_, code)) = line.split_once("#setup=") {
            board.now.borrow_mut().setup_code = Some(code.trim().to_owned());
            board.changed.raise();
        }
        if last.len() == limits::BOARD_LAST_LINES {
            last.pop_front();
        }
        last.push_back(line);
    }
    // The outputs close a moment before it is gone.
    for _ in 0..100 {
        if let Some(code) = relay.code() {
            return (code, Vec::from(last).join("\n"));
        }
        board.sys.sleep(Duration::from_millis(50)).await;
    }
    (-1, Vec::from(last).join("\n"))
}

/// Nobody asked it to: its words are kept for the page.
async fn ended(board: &Board, code: i32, words: &str) {
    let date = board.sys.clock.wall().map_or("at an unknown date".into(), |wall| wall.to_string());
    board.sys.log.line(&format!("event=relay-ended code={code}"));
    let head = format!("The relay ended with code {code}, {date}.\n");
    // The last of them: why it ended stands there.
    let over = (head.len() + words.len() + 1).saturating_sub(limits::BOARD_TEXT_BYTES);
    let words = words.get(words.ceil_char_boundary(over)..).unwrap_or_default();
    let text = format!("{head}{words}\n");
    let _the_card_may_be_broken = board.sys.replace(&last_words(), text.clone().into()).await;
    let mut now = board.now.borrow_mut();
    now.last_words = text;
    now.relay = Standing::Down;
    drop(now);
    board.changed.raise();
}

/// What it said of itself, or at least its last line.
fn brief(words: &str) -> String {
    let own = words.lines().rev().find_map(|line| line.strip_prefix("waypost: "));
    own.or_else(|| words.lines().last()).unwrap_or("it said nothing").to_owned()
}

/// Look whether it serves, feed the watchdog while it does, judge a root on trial.
pub async fn watch(board: Rc<Board>) {
    let watchdog = board.machine.device(WATCHDOG).ok();
    let mut since: Option<crate::time::Instant> = None;
    let mut card = Card { was_good: !is_read_only(&board).await, failed: None };
    let mut good = board.sys.clock.now();
    let begun = good;
    let mut is_settled = false;
    loop {
        let looked = board.sys.clock.now();
        let serves = serves(&board).await;
        let now = board.sys.clock.now();
        if serves {
            good = now;
        }
        since = if serves { since.or(Some(now)) } else { None };
        if (board.now.borrow().relay == Standing::Serves) != serves {
            board.now.borrow_mut().relay = if serves { Standing::Serves } else { Standing::Down };
            board.sys.log.line(&format!("event=serves is={serves}"));
            board.changed.raise();
        }
        if serves {
            look_at_setup(&board).await;
        }
        card.look(&board).await;
        let trial = board.now.borrow().state.trial == Some(board.slot);
        if trial {
            let steady = since.is_some_and(|since| now.since(since) >= limits::BOARD_TRIAL_SERVES);
            if steady {
                settle(&board).await;
            } else if now.since(begun) > limits::BOARD_TRIAL_PATIENCE {
                board.trouble("The new version does not serve: back to the old one.");
                board.command(&["sync"]).await;
                board.command(&["reboot", "-f"]).await;
            }
        } else if !is_settled && is_steady(since, now) {
            boot_files::settled(&board).await;
            is_settled = true;
        }
        is_settled &= serves;
        // Without the relay the board is of no use, and a new start may help; where the relay says
        // itself why it cannot, it does not, and who comes is told that.
        let fed = now.since(good) < limits::BOARD_WATCHDOG_PATIENCE
            || board.now.borrow().relay == Standing::StoodInFor;
        if let (Some(watchdog), true) = (&watchdog, fed)
            && let Err(error) = watchdog.write(b".")
        {
            board.trouble(&format!("The watchdog cannot be fed: {error}."));
        }
        let wait = if serves { limits::BOARD_LOOK_EVERY } else { Duration::from_secs(1) };
        // Looks that take long come without a rest: the watchdog has its time, too.
        board.sys.clock.sleep_until(looked + wait).await;
    }
}

/// The data partition while the board runs: the kernel makes it read-only when the card fails.
struct Card {
    /// It took writes at the start: then checking it again may help. Else that has been tried.
    was_good: bool,
    failed: Option<crate::time::Instant>,
}

impl Card {
    async fn look(&mut self, board: &Board) {
        if !self.was_good || !is_read_only(board).await {
            return;
        }
        let now = board.sys.clock.now();
        if self.failed.is_none() {
            board.trouble(
                "The card failed while it was written, and takes nothing now. The board starts \
                 anew in ten minutes, to check and mend it. If this comes again, the card is worn \
                 out.",
            );
        }
        if now.since(*self.failed.get_or_insert(now)) > limits::BOARD_CARD_PATIENCE {
            self.was_good = false;
            end(board).await;
            board.command(&["reboot"]).await;
        }
    }
}

async fn is_read_only(board: &Board) -> bool {
    is_read_only_in(&board.text("/proc/mounts").await)
}

fn is_read_only_in(mounts: &str) -> bool {
    let mut mounts = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let options = mounts.rfind(|fields| fields.get(1) == Some(&"/data"));
    options
        .and_then(|fields| fields.get(3).copied())
        .is_some_and(|options| options.split(',').any(|option| option == "ro"))
}

fn is_steady(since: Option<crate::time::Instant>, now: crate::time::Instant) -> bool {
    since.is_some_and(|since| now.since(since) >= limits::BOARD_RELAY_STEADY)
}

/// The root on trial has served: it is the good one now.
async fn settle(board: &Board) {
    let (slot, version) = (board.slot, board.facts.version.clone());
    let settled = board.slots.change(|state| {
        state.good = slot;
        state.trial = None;
        state.tries = 0;
        state.word = format!("updated {version}");
    });
    match settled.await {
        Ok(state) => {
            let deadline = board.text("/run/boot/deadline").await;
            board.command(&["kill", deadline.trim()]).await;
            board.sys.log.line(&format!("event=update-kept version={version}"));
            board.now.borrow_mut().state = state;
            board.changed.raise();
        }
        Err(error) => board.trouble(&format!("The card cannot be written: {error}.")),
    }
}

/// Where the relay listens, by its configuration; for [`Board::sys`] on this machine.
async fn ports(board: &Board) -> Ports {
    let text = board.text(&format!("{RELAY}/waypost.json")).await;
    let document: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    let first = |service: &str| {
        let place = document.get("listen")?.get(service)?;
        let text = place.as_str().or_else(|| place.as_array()?.first()?.as_str())?;
        let at: SocketAddr = text.parse().ok()?;
        Some(match at.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => (Ipv4Addr::LOCALHOST, at.port()).into(),
            IpAddr::V6(ip) if ip.is_unspecified() => (Ipv6Addr::LOCALHOST, at.port()).into(),
            _ => at,
        })
    };
    Ports {
        smtp: first("smtp").or_else(|| first("submission")),
        encrypted: first("submissions"),
        web: first("web"),
    }
}

/// Where the relay is looked at.
struct Ports {
    /// It greets there.
    smtp: Option<SocketAddr>,
    /// It does so once there is TLS.
    encrypted: Option<SocketAddr>,
    web: Option<SocketAddr>,
}

/// It greets, and its page says that it is well.
pub async fn serves(board: &Board) -> bool {
    let Ports { smtp, encrypted, web } = ports(board).await;
    let greets = match (smtp, encrypted) {
        (Some(at), _) => says(board, at, b"", b"220").await,
        (None, Some(at)) if web.is_none() => {
            let open = board.sys.net.connect(at);
            board.sys.within(limits::BOARD_LOOK_WAIT, open).await.is_some_and(|open| open.is_ok())
        }
        (None, _) => true,
    };
    let is_well = match web {
        Some(at) => {
            let ask = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
            says(board, at, ask, b"HTTP/1.1 200").await
        }
        None => true,
    };
    greets && is_well && (smtp.or(encrypted).is_some() || web.is_some())
}

/// Whether what listens there begins its answer with `expected`.
async fn says(board: &Board, at: SocketAddr, ask: &[u8], expected: &[u8]) -> bool {
    let talk = async {
        let mut stream = board.sys.net.connect(at).await?;
        stream.write_all(ask).await?;
        let mut octets = vec![0; expected.len()];
        stream.read_exact(&mut octets).await?;
        let polite = if ask.is_empty() { &b"QUIT\r\n"[..] } else { b"" };
        stream.write_all(polite).await?;
        // To its end, so that it is not cut off in the middle of a word.
        let mut rest = Vec::new();
        stream.take(64 * 1024).read_to_end(&mut rest).await?;
        Ok::<bool, std::io::Error>(octets == expected)
    };
    let late = async {
        board.sys.sleep(limits::BOARD_LOOK_WAIT).await;
        Ok(false)
    };
    talk.or(late).await.unwrap_or(false)
}

/// The code on the screen goes once somebody has used it.
async fn look_at_setup(board: &Board) {
    if board.now.borrow().setup_code.is_none() {
        return;
    }
    let Some(web) = ports(board).await.web else { return };
    let ask = async {
        let mut stream = board.sys.net.connect(web).await?;
        let ask = b"GET /api/session HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(ask).await?;
        let mut answer = Vec::new();
        stream.take(64 * 1024).read_to_end(&mut answer).await?;
        Ok::<bool, std::io::Error>(String::from_utf8_lossy(&answer).contains("\"setup\""))
    };
    if let Some(Ok(false)) = board.sys.within(limits::BOARD_LOOK_WAIT, ask).await {
        board.now.borrow_mut().setup_code = None;
        board.changed.raise();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_relay_rests_longer_each_time_it_ends_soon() {
        let waits = [0, 1, 2, 3, 4, 6, 7, 8, 100].map(|quick| backoff(quick).as_secs());
        assert_eq!(waits, [1, 1, 2, 4, 8, 32, 60, 60, 60]);
    }

    #[test]
    fn a_data_partition_that_the_kernel_gave_up_is_seen() {
        let mounts = |options: &str| {
            format!("/dev/vda2 / squashfs ro,relatime 0 0\n/dev/vda4 /data ext4 {options} 0 0\n")
        };
        assert!(!is_read_only_in(&mounts("rw,noatime,errors=remount-ro")));
        assert!(is_read_only_in(&mounts("ro,noatime,errors=remount-ro")));
        assert!(is_read_only_in(&mounts("noatime,ro")));
        assert!(!is_read_only_in(""));
    }

    #[test]
    fn what_it_said_of_itself_is_told_before_what_it_logged_last() {
        assert_eq!(
            brief("a\nwaypost: the spool cannot be opened\nevent=x"),
            "the spool cannot be opened"
        );
        assert_eq!(brief("a\nb"), "b");
        assert_eq!(brief(""), "it said nothing");
    }
}
