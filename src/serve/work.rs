//! The worker: takes what is due, routes it, has it delivered, and settles what came of it.
//!
//! A message that is due becomes an [`Attempt`]: one job for its local recipients and one for each
//! destination. Jobs for a destination wait in its lane (`serve/lane.rs`), where open connections
//! take one after the other; where a lane has enough to do the message is parked until there is
//! room. While the journal cannot be written, one message in a while is tried: the others would be
//! delivered again after a restart. When the last job of an attempt has ended, the attempt is
//! concluded: settled in the spool, and due again or gone.

mod attempt;
mod report;

pub use attempt::{Attempt, Job};

use super::{lane::Lanes, push, relay::Relay};
use crate::{
    config::Config,
    limits,
    proto::status::{Class, Outcome, Status},
    relay::{
        envelope::{Envelope, Id, Progress},
        maildir,
        queue::State,
        route::{self, Destination, Hop},
        trace::Event,
    },
    time::Instant,
};
use std::{
    cell::Cell,
    collections::{HashMap, hash_map::Entry},
    io,
    rc::Rc,
    time::Duration,
};

/// Work until the relay stops.
pub async fn work(relay: Rc<Relay>) {
    let lanes = Lanes::new(relay.clone());
    let active = Rc::new(Cell::new(0));
    let mut probe = Instant::default();
    loop {
        let seen = relay.queue.work().count();
        if relay.is_stopping() {
            return lanes.close();
        }
        lanes.renew();
        let now = relay.sys.clock.now();
        let next = if relay.spool.is_failing() && now < probe {
            Err(Some(probe))
        } else if active.get() < limits::ACTIVE_MESSAGES {
            relay.queue.next(now)
        } else {
            Err(None)
        };
        match next {
            Ok(id) => {
                probe = now + limits::FAILING_WAIT;
                let slot = Slot::take(&relay, &active);
                let (relay, lanes) = (relay.clone(), lanes.clone());
                relay.clone().sys.spawn(async move { start(relay, lanes, id, slot).await });
            }
            Err(at) => {
                let news = relay.queue.work().past(seen);
                match at {
                    Some(at) => {
                        let wait = at.since(relay.sys.clock.now());
                        relay.sys.within(wait, news).await;
                    }
                    None => {
                        news.await;
                    }
                }
            }
        }
    }
}

/// One of the places for messages that are read, and delivered here.
struct Slot {
    relay: Rc<Relay>,
    active: Rc<Cell<usize>>,
}

impl Slot {
    fn take(relay: &Rc<Relay>, active: &Rc<Cell<usize>>) -> Slot {
        active.set(active.get() + 1);
        Slot { relay: relay.clone(), active: active.clone() }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let active = self.active.get();
        self.active.set(active - 1);
        if active == limits::ACTIVE_MESSAGES {
            self.relay.queue.work().raise();
        }
    }
}

/// If anything below panics, the message is not lost from the queue: it is due again in a minute.
struct Unstarted(Rc<Relay>, Option<Id>);

impl Drop for Unstarted {
    fn drop(&mut self) {
        if let Some(id) = self.1 {
            let now = self.0.sys.clock.now();
            self.0.queue.put_off(id, now, now + limits::STUMBLE_WAIT, false);
        }
    }
}

async fn start(relay: Rc<Relay>, lanes: Rc<Lanes>, id: Id, slot: Slot) {
    let mut unstarted = Unstarted(relay.clone(), Some(id));
    let loaded = match relay.spool.load(id).await {
        Ok(loaded) => loaded,
        Err(error) => {
            if is_lost(&relay, id, &error) {
                unstarted.1 = None;
            }
            return;
        }
    };
    unstarted.1 = None;
    let (envelope, durable) = loaded;
    let attempt = Attempt::new(&relay, id, envelope, durable);
    let config = relay.config();
    let Ways { local, push, remote } = sort(&config, &attempt.envelope, &attempt.progress());
    let only_local = remote.is_empty() && push.is_empty();
    for (name, recipients) in push {
        let Some(push) = config.push.iter().find(|push| push.name == name).cloned() else {
            continue;
        };
        let (job, relay) = (Job::new(&attempt, recipients), relay.clone());
        relay.clone().sys.spawn(async move { push::carry(&relay, push, job).await });
    }
    for (destination, recipients) in remote {
        if lanes.has_room(&destination) {
            lanes.add(&destination, Job::new(&attempt, recipients));
        } else {
            attempt.leave(&lanes, destination);
        }
    }
    if !local.is_empty() {
        let job = Job::new(&attempt, local.iter().map(|(n, _)| *n).collect());
        let outcomes = deliver_locally(&attempt, &config, &local).await;
        // Our own mailboxes say nothing about the line.
        job.end(outcomes, only_local).await;
    }
    attempt.begun().await;
    drop(slot);
}

/// A message that cannot be read: is there no use in trying again soon?
fn is_lost(relay: &Relay, id: Id, error: &io::Error) -> bool {
    let tell = |kind| relay.tell(Event::of(kind, id, "").with("reason", error));
    match error.kind() {
        io::ErrorKind::NotFound => {
            tell("lost");
            relay.queue.remove(id);
            true
        }
        io::ErrorKind::InvalidData => {
            // The flash does not give it back. A person may look at it, try once more, or drop it.
            tell("unreadable");
            let now = relay.sys.clock.now();
            relay.queue.give_back(id, State::Sending, now, State::Held);
            true
        }
        _ => {
            tell("unreadable");
            false
        }
    }
}

/// What ends here.
enum Local {
    /// Into the mailbox of this user.
    User(String),
    /// Nobody has this name.
    Unknown,
    /// A route says that nobody gets it.
    Discard,
}

/// Recipients by their way: those that end here, and the others by destination, in the order of the
/// envelope.
struct Ways {
    local: Vec<(usize, Local)>,
    /// By the name of the push.
    push: Vec<(String, Vec<usize>)>,
    remote: Vec<(Destination, Vec<usize>)>,
}

/// The recipients still owed.
fn sort(config: &Config, envelope: &Envelope, progress: &Progress) -> Ways {
    let mut ways = Ways { local: Vec::new(), push: Vec::new(), remote: Vec::new() };
    let mut places: HashMap<Destination, usize> = HashMap::new();
    for n in progress.owed() {
        let Some(recipient) = envelope.recipients.get(n) else { continue };
        if recipient.notify.is_expanded() {
            ways.local.push((n, Local::Unknown));
            continue;
        }
        match route::route(config, &envelope.into(), &recipient.to) {
            Hop::Local(user) => ways.local.push((n, Local::User(user))),
            Hop::Push(name) => match ways.push.iter_mut().find(|(known, _)| *known == name) {
                Some((_, recipients)) => recipients.push(n),
                None => ways.push.push((name, vec![n])),
            },
            Hop::Unknown => ways.local.push((n, Local::Unknown)),
            Hop::Discard => ways.local.push((n, Local::Discard)),
            Hop::Remote(destination) => match places.entry(destination) {
                Entry::Occupied(place) => ways.remote[*place.get()].1.push(n),
                Entry::Vacant(place) => {
                    ways.remote.push((place.key().clone(), vec![n]));
                    place.insert(ways.remote.len() - 1);
                }
            },
        }
    }
    ways
}

/// Nobody got it, and nobody was to.
const DISCARDED: Status = Status::new(Class::Success, 0, 0);

/// An alias stands for others, who are recipients of their own. RFC 3463 §3.2.
const EXPANDED: Status = Status::new(Class::Success, 1, 0);

async fn deliver_locally(
    attempt: &Attempt,
    config: &Config,
    local: &[(usize, Local)],
) -> Vec<Outcome> {
    const UNKNOWN: Status = Status::new(Class::Permanent, 1, 1);
    const UNREADABLE: Status = Status::new(Class::Transient, 3, 0);
    let mut outcomes = Vec::new();
    let body = match attempt.relay.spool.body(attempt.id).await {
        Ok(body) => body,
        Err(error) => {
            let outcome = Outcome::ours(UNREADABLE, format!("it cannot be read: {error}"));
            return vec![outcome; local.len()];
        }
    };
    for (n, user) in local {
        if attempt.envelope.recipients[*n].notify.is_expanded() {
            outcomes.push(Outcome::ours(EXPANDED, "it stands for several addresses"));
            continue;
        }
        let user = match user {
            Local::User(user) => user,
            Local::Unknown => {
                outcomes.push(Outcome::ours(UNKNOWN, "550 5.1.1 No such user here any more"));
                continue;
            }
            Local::Discard => {
                outcomes.push(Outcome::ours(DISCARDED, "thrown away, as its route says"));
                continue;
            }
        };
        let letter = maildir::Letter {
            id: attempt.id,
            attempt: attempt.is_first(*n),
            arrived: attempt.envelope.arrived,
            from: attempt.envelope.from.as_ref(),
            to: &attempt.envelope.recipients[*n].to,
            octets: &body,
            hostname: &config.hostname,
            quota: config.users.iter().find(|u| u.name == *user).and_then(|u| u.quota),
        };
        outcomes.push(deliver_to(&attempt.relay, config, &letter, user).await);
    }
    outcomes
}

/// Put the message into a user's Maildir. RFC 3463 §3.2, §3.3 for the codes.
async fn deliver_to(
    relay: &Relay,
    config: &Config,
    letter: &maildir::Letter<'_>,
    user: &str,
) -> Outcome {
    const DELIVERED: Status = Status::new(Class::Success, 1, 5);
    const NO_PLACE: Status = Status::new(Class::Permanent, 1, 1);
    const NOT_STORED: Status = Status::new(Class::Transient, 2, 0);
    const FULL: Status = Status::new(Class::Transient, 2, 2);
    let Some(dir) = maildir::place(&config.maildir, user) else {
        return Outcome::ours(NO_PLACE, "550 5.1.1 No mailbox can have this name");
    };
    match maildir::deliver(&relay.sys, &dir, letter).await {
        Ok(maildir::Delivered::Now | maildir::Delivered::Already) => {
            Outcome::ours(DELIVERED, format!("put into the mailbox of {user}"))
        }
        // It waits: the owner may make room.
        Ok(maildir::Delivered::Full { used, quota }) => Outcome::ours(
            FULL,
            format!("452 4.2.2 The mailbox of {user} is full: {used} of {quota} octets are used"),
        ),
        Err(error) => {
            Outcome::ours(NOT_STORED, format!("the mailbox of {user} cannot be written: {error}"))
        }
    }
}

/// `90 s`, `5 min`, `4 h`, `5 d`: a duration as a person says it.
pub fn days(duration: Duration) -> String {
    match duration.as_secs() {
        s @ 0..120 => format!("{s} s"),
        s @ 120..7_200 => format!("{} min", s / 60),
        s @ 7_200..172_800 => format!("{} h", s / 3_600),
        s => format!("{} d", s / 86_400),
    }
}
