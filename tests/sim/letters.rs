//! What was handed to the relay, and what it owes for it.

use crate::world::World;
use std::{cell::RefCell, fmt::Write, net::IpAddr};

/// The relay's own domain.
pub const HOME: &str = "home.example";

/// What became of a message at the relay's door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The end of it was never sent: nobody may ever get it.
    Never,
    /// It was refused. Only a failing disk or a power cut may bring it back.
    Refused,
    /// The end was sent, and the answer was not heard: it may arrive or not.
    Unknown,
    /// `250` was heard, at this time.
    Promised(u64),
}

/// A message and its envelope.
#[derive(Clone, Debug)]
pub struct Letter {
    /// Which it is: in its field `X-Token`.
    pub token: u64,
    /// Reverse path, empty where it is null.
    pub from: String,
    /// Recipients, and what the sender wants to hear of them.
    pub to: Vec<(String, Wish)>,
    pub octets: Vec<u8>,
    /// Nothing in its header needs repair.
    pub complete: bool,
}

/// NOTIFY. RFC 3461 §4.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    Default,
    Never,
    Success,
}

/// A letter that was tried.
#[derive(Clone, Debug)]
pub struct Sent {
    pub letter: Letter,
    pub by: IpAddr,
    /// Places in `letter.to` that were accepted.
    pub accepted: Vec<usize>,
    pub fate: Fate,
    /// When the end of it was sent, or would have been.
    pub at: u64,
}

impl Sent {
    pub fn is_promised(&self) -> bool {
        matches!(self.fate, Fate::Promised(_))
    }

    /// Where it has to arrive: the ends of each accepted recipient, each once, with what its sender
    /// wants to hear.
    pub fn owed(&self) -> Vec<(String, Wish)> {
        let mut owed: Vec<(String, Wish)> = Vec::new();
        for (to, wish) in self.accepted.iter().filter_map(|place| self.letter.to.get(*place)) {
            for target in targets(to) {
                if owed.iter().all(|(known, _)| *known != target) {
                    owed.push((target, *wish));
                }
            }
        }
        owed
    }
}

/// All letters that were tried.
#[derive(Default)]
pub struct Book {
    sent: RefCell<Vec<Sent>>,
    next: RefCell<u64>,
}

impl Book {
    pub fn note(&self, sent: Sent) {
        self.sent.borrow_mut().push(sent);
    }

    pub fn forget(&self) {
        *self.sent.borrow_mut() = Vec::new();
    }

    pub fn all(&self) -> Vec<Sent> {
        self.sent.borrow().clone()
    }

    pub fn token(&self) -> u64 {
        let mut next = self.next.borrow_mut();
        *next += 1;
        *next
    }
}

/// Where a recipient's mail ends up, aliases followed: as the configuration in `life.rs` has it.
pub fn targets(to: &str) -> Vec<String> {
    let (local, domain) = to.rsplit_once('@').unwrap_or((to, HOME));
    let plain = local.split('+').next().unwrap_or(local);
    match (plain, domain == HOME) {
        ("root", true) => vec![format!("alice@{HOME}"), "me@one.example".into()],
        ("staff", true) => vec![format!("alice@{HOME}"), format!("bob@{HOME}")],
        _ => vec![to.to_string()],
    }
}

/// The user of ours whose Maildir an address means.
pub fn mailbox(target: &str) -> Option<&str> {
    let (local, domain) = target.rsplit_once('@')?;
    let user = local.split('+').next().unwrap_or(local);
    (domain == HOME).then_some(user)
}

/// Which letter it is, or came from.
pub fn token(octets: &[u8]) -> Option<u64> {
    let marker = b"X-Token: ";
    let at = octets.windows(marker.len()).position(|window| window == marker)?;
    let rest = &octets[at + marker.len()..];
    let digits: String =
        rest.iter().take_while(|b| b.is_ascii_digit()).map(|b| char::from(*b)).collect();
    digits.parse().ok()
}

/// A message with this token, of any shape.
pub fn compose(world: &World, token: u64, from: &str, to: &[String]) -> (Vec<u8>, bool) {
    let mut text = String::new();
    let mut field = |name: &str, value: &str| {
        write!(text, "{name}: {value}\r\n").expect("a String takes everything");
    };
    let complete = !world.one_in(3);
    if complete {
        let author = if from.is_empty() { "daemon@two.example" } else { from };
        field("Date", "Sun, 22 Feb 2026 10:00:00 +0000");
        field("From", &format!("<{author}>"));
        field("To", &to.iter().map(|to| format!("<{to}>")).collect::<Vec<_>>().join(",\r\n "));
        field("Message-ID", &format!("<{token}@sender.example>"));
    }
    field("X-Token", &token.to_string());
    field("Subject", &format!("letter {token}"));
    if world.one_in(4) {
        field("X-Long", &"\r\n word".repeat(usize::try_from(world.below(40)).expect("a few")));
    }
    let mut octets = text.into_bytes();
    octets.extend_from_slice(b"\r\n");
    body(world, &mut octets);
    (octets, complete)
}

/// Lines of any length, with dots and octets above 127; mostly a short letter, now and then a
/// picture.
fn body(world: &World, octets: &mut Vec<u8>) {
    let size = match world.below(24) {
        0 => world.between(18_000, 60_000),
        1..4 => 0,
        _ => world.below(2_000),
    };
    let end = octets.len() as u64 + size;
    while (octets.len() as u64) < end {
        let length = usize::try_from(world.below(200)).expect("a line");
        let fill = match world.below(8) {
            0 => 0xe4,
            _ => b'a' + u8::try_from(world.below(26)).expect("a letter"),
        };
        if world.one_in(6) {
            octets.push(b'.');
        }
        octets.resize(octets.len() + length, fill);
        octets.extend_from_slice(b"\r\n");
    }
}
