//! Who has come to hand in mail: the devices of the house, and what became of their last attempt.
//!
//! A camera that is refused shows a lamp at best. So what was said to it is remembered here, for
//! whoever looks at the page, with what it takes to let it in. The memory is bounded, and what is
//! in it of the house is kept in the index, where it may be lost. Strangers are forgotten with the
//! process: they come as often as they like, and would wear the flash.

mod maker;

pub use maker::maker;

use crate::{
    limits,
    pairs::Pairs,
    relay::{envelope::Id, resolve::is_inside},
    sys::{IndexChange, Order, Range, Signal, Sys},
    time::{Instant, Wall},
};
use serde::{Deserialize, Serialize};
use std::{
    cell::{Cell, RefCell},
    net::IpAddr,
};

const TREE: &str = "clients";

/// Those who came, by address.
#[derive(Default)]
pub struct Clients {
    known: RefCell<Known>,
    /// Those that the index does not know as they are. No more than are known or kept.
    changed: RefCell<Pairs<IpAddr, ()>>,
    /// Those that the index has.
    kept: RefCell<Pairs<IpAddr, ()>>,
    loaded: Cell<bool>,
    work: Signal,
}

/// In boxes, since they are large to be moved for each other.
type Known = Pairs<IpAddr, Box<Client>>;

/// When something was, by both clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// Since the start of this process; of what was before it, `None`.
    #[serde(skip)]
    since: Option<Instant>,
    /// The date in seconds since 1970, if the clock was set.
    at: Option<u64>,
}

impl Moment {
    fn now(sys: &Sys) -> Moment {
        Moment { since: Some(sys.clock.now()), at: sys.clock.wall().map(|wall| wall.0) }
    }

    /// Seconds ago; `None` where that cannot be told, since a clock was not set.
    pub fn ago(&self, sys: &Sys) -> Option<u64> {
        match (self.since, self.at, sys.clock.wall()) {
            (Some(since), ..) => Some(sys.clock.now().since(since).as_secs()),
            (None, Some(at), Some(Wall(now))) => Some(now.saturating_sub(at)),
            _ => None,
        }
    }

    fn order(&self) -> (bool, Option<u64>, Option<Instant>) {
        (self.since.is_some(), self.at, self.since)
    }
}

/// What is known of one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Client {
    /// It might send without a login when it came last.
    pub trusted: bool,
    /// When it came last.
    pub seen: Moment,
    /// What it called itself; may be empty.
    pub helo: String,
    /// Version of TLS; empty: it came in clear.
    pub tls: String,
    /// Who logged in; may be empty.
    pub user: String,
    /// Messages taken from it.
    pub messages: u64,
    /// When the last of them came, and its queue id.
    pub last_in: Option<(Moment, String)>,
    /// Times that it was refused something.
    pub refused: u64,
    /// The last time, with what it heard and why.
    pub last_refusal: Option<(Moment, Refused)>,
    /// What was overlooked of how it speaks, and repaired of what it sends, the last time.
    pub repairs: Vec<String>,
}

/// A "no".
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// What it heard.
    pub reply: String,
    /// Why, in words; empty where that says it all.
    pub reason: String,
    /// What it wanted to send, as far as that was known.
    pub from: String,
    /// To whom.
    pub to: String,
}

/// Who is there, and how.
#[derive(Clone, Copy, Debug)]
pub struct Visit<'a> {
    /// Its address.
    pub peer: IpAddr,
    /// It may send without a login.
    pub trusted: bool,
    /// What it calls itself.
    pub helo: &'a str,
    /// Version of TLS, or empty.
    pub tls: &'a str,
    /// Who logged in, or empty.
    pub user: &'a str,
}

impl Clients {
    /// A message was taken.
    pub fn took(&self, sys: &Sys, visit: Visit<'_>, id: Id, repairs: &[String]) {
        self.change(sys, visit, |client, now| {
            client.messages += 1;
            client.last_in = Some((now, id.to_string()));
            client.repairs = repairs.iter().take(limits::CLIENT_REPAIRS).cloned().collect();
        });
    }

    /// Something was refused.
    pub fn refused(&self, sys: &Sys, visit: Visit<'_>, refused: &Refused) {
        self.change(sys, visit, |client, now| {
            client.refused += 1;
            // What follows a refusal ("no valid recipients") explains less than that.
            let before =
                client.last_refusal.as_ref().filter(|(_, before)| !before.reason.is_empty());
            let just = limits::CLIENT_REFUSAL_WAIT.as_secs();
            let explained = before.and_then(|(at, _)| at.ago(sys)).is_some_and(|ago| ago < just);
            if refused.reason.is_empty() && explained {
                return;
            }
            let cut = |text: &str| text.chars().take(limits::CLIENT_TEXT_CHARS).collect();
            let refused = Refused {
                reply: cut(&refused.reply),
                reason: cut(&refused.reason),
                from: cut(&refused.from),
                to: cut(&refused.to),
            };
            client.last_refusal = Some((now, refused));
        });
    }

    /// Somebody came and did nothing of either.
    pub fn came(&self, sys: &Sys, visit: Visit<'_>) {
        self.change(sys, visit, |_, _| {});
    }

    fn change(&self, sys: &Sys, visit: Visit<'_>, change: impl FnOnce(&mut Client, Moment)) {
        let peer = visit.peer.to_canonical();
        let now = Moment::now(sys);
        let mut known = self.known.borrow_mut();
        if !known.contains_key(&peer) {
            self.make_room(&mut known, visit.trusted);
        }
        let client = known.entry(peer, Box::default);
        let cut = |text: &str| text.chars().take(limits::CLIENT_TEXT_CHARS).collect::<String>();
        client.trusted = visit.trusted;
        client.seen = now;
        if !visit.helo.is_empty() {
            client.helo = cut(visit.helo);
        }
        (client.tls, client.user) = (cut(visit.tls), cut(visit.user));
        change(client, now);
        if visit.trusted || is_inside(peer) {
            self.changed.borrow_mut().insert(peer, ());
            self.work.raise();
        }
    }

    fn remove(&self, known: &mut Known, peer: IpAddr) {
        known.remove(&peer);
        let mut changed = self.changed.borrow_mut();
        if self.kept.borrow().contains_key(&peer) {
            changed.insert(peer, ());
        } else {
            changed.remove(&peer);
        }
    }

    /// Strangers have a part of the places for themselves, so that no crowd of them takes those of
    /// the house.
    fn make_room(&self, known: &mut Known, trusted: bool) {
        let most = if trusted { limits::CLIENTS } else { limits::CLIENTS_STRANGE };
        let alike = |client: &Client| trusted || !client.trusted;
        while known.values().filter(|client| alike(client)).count() >= most {
            let oldest = known
                .iter()
                .filter(|(_, client)| alike(client))
                .min_by_key(|(_, client)| (client.trusted, client.seen.order()))
                .map(|(peer, _)| *peer);
            let Some(oldest) = oldest else { return };
            self.remove(known, oldest);
        }
    }

    /// All of them.
    pub fn all(&self) -> Vec<(IpAddr, Client)> {
        self.known.borrow().iter().map(|(peer, client)| (*peer, (**client).clone())).collect()
    }

    /// The one at this address.
    pub fn get(&self, peer: IpAddr) -> Option<Client> {
        self.known.borrow().get(&peer.to_canonical()).map(|client| (**client).clone())
    }

    /// Forget one.
    pub fn forget(&self, peer: IpAddr) {
        self.remove(&mut self.known.borrow_mut(), peer.to_canonical());
        self.work.raise();
    }

    /// Raised when something has changed that the index should know.
    pub fn work(&self) -> &Signal {
        &self.work
    }

    /// The index does not know all of it.
    pub fn has_changed(&self) -> bool {
        !self.changed.borrow().is_empty()
    }

    /// What is to be written to the index: no more than twice as many as are known at most.
    pub fn changes(&self) -> Vec<IndexChange> {
        let changed = self.changed.take();
        let change = |peer: &IpAddr| {
            let value = self.known.borrow().get(peer).and_then(|client| written(client));
            IndexChange { tree: TREE, key: peer.to_string().into_bytes(), value }
        };
        let changes: Vec<IndexChange> = changed.keys().map(change).collect();
        let (known, mut kept) = (self.known.borrow(), self.kept.borrow_mut());
        kept.extend(changed);
        kept.retain(|peer, ()| known.contains_key(peer));
        changes
    }

    /// What was known before the start; who has come since is known better.
    pub async fn load(&self, sys: &Sys) {
        if self.loaded.replace(true) {
            return;
        }
        let limit = limits::CLIENTS + limits::CLIENTS_STRANGE;
        let range = Range { prefix: b"", from: None, order: Order::Rising, limit };
        let found = sys.within(limits::CLIENTS_INDEX_WAIT, sys.index.scan(TREE, range)).await;
        let mut known = self.known.borrow_mut();
        for (key, value) in found.and_then(Result::ok).unwrap_or_default() {
            let peer = std::str::from_utf8(&key).ok().and_then(|text| text.parse::<IpAddr>().ok());
            let client = serde_json::from_slice::<Client>(&value).ok();
            let (Some(peer), Some(client)) = (peer, client) else { continue };
            self.kept.borrow_mut().insert(peer, ());
            let now = known.entry(peer, Box::default);
            if now.seen == Moment::default() {
                **now = client;
            } else {
                now.messages += client.messages;
                now.refused += client.refused;
                now.last_in = now.last_in.take().or(client.last_in);
                now.last_refusal = now.last_refusal.take().or(client.last_refusal);
            }
        }
    }
}

/// As it fits into the index: of one that says much, some is left out.
fn written(client: &Client) -> Option<Vec<u8>> {
    let room = limits::INDEX_ENTRY_BYTES - limits::INDEX_CLIENT_KEY_BYTES;
    let all = || serde_json::to_vec(client);
    let some = || {
        let mut client = Client { repairs: Vec::new(), ..client.clone() };
        if let Some((_, refused)) = &mut client.last_refusal {
            *refused = Refused { reason: refused.reason.clone(), ..Refused::default() };
        }
        serde_json::to_vec(&client)
    };
    [all(), some()].into_iter().flatten().find(|value| value.len() <= room)
}

#[cfg(test)]
mod tests;
