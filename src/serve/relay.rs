//! The relay's parts, in one place for all services.

use super::{
    flood::Floods,
    line::Line,
    noise::{Noise, Tell},
    push::Pushes,
};
use crate::{
    config::Config,
    pairs::Pairs,
    relay::{
        accounts::Accounts,
        admit::Policy,
        clients::Clients,
        deliver::{Chunkless, Way},
        envelope::{Envelope, Id, Progress},
        grants::{self, Grants},
        greylist::Greylists,
        queue::{self, Queue},
        resolve::Resolver,
        sign::Keyring,
        spool::Spool,
        srs::Srs,
        sts::Policies,
        tally::{self, Tally},
        trace::{self, Event, History},
        transcripts::Transcripts,
    },
    sys::{Signal, Sys},
    time::{Instant, Wall},
};
use std::{
    cell::{Cell, RefCell},
    io,
    rc::Rc,
};

/// Everything that the services share. One thread runs them all.
pub struct Relay {
    /// The world.
    pub sys: Sys,
    /// Messages kept.
    pub spool: Spool,
    /// Messages owed.
    pub queue: Queue,
    /// Logins.
    pub accounts: Accounts,
    /// Names to addresses.
    pub resolver: Resolver,
    /// What signs our mail.
    pub keyring: Keyring,
    /// Sign-ins that let us in.
    pub grants: Grants,
    /// Who has come to hand in mail.
    pub clients: Clients,
    /// Servers that put strangers off, and for how long.
    pub greylists: Greylists,
    /// Senders of forwarded mail, written anew.
    pub srs: Srs,
    /// What domains demand of those who send mail to them.
    pub policies: Policies,
    /// What happened.
    pub history: History,
    /// What was said to servers.
    pub transcripts: Transcripts,
    /// What devices have sent lately that have a measure.
    pub(super) floods: Floods,
    /// Notices on their way.
    pub(super) pushes: Pushes,
    /// What came and went, by the hour and by the day.
    pub tally: Tally,
    /// Raised once, when the relay should end.
    pub stop: Signal,
    /// Raised with each new configuration.
    pub changed: Signal,
    /// Raised when a person wants everything tried now: nothing rests then.
    pub urgent: Signal,
    /// When somebody out there was last reached.
    pub contact: Cell<Option<Instant>>,
    /// Whether anybody can be reached.
    pub line: Line,
    /// Smarthosts that refuse our login at present, and how they put it. No more than there are
    /// routes: when these change, all are forgotten.
    pub barred: RefCell<Pairs<String, String>>,
    /// Ways that cannot be used at present: the one that is taken instead, and why. Bounded and
    /// forgotten in the same way.
    pub bypassed: RefCell<Pairs<String, (String, String)>>,
    /// Sessions and attempts under way, for an orderly end.
    pub busy: Cell<usize>,
    /// Figures since the start.
    pub figures: Figures,
    /// How much is told of what peers bring about at will.
    pub noise: Noise,
    pub(super) settings: RefCell<Settings>,
}

/// What follows from the configuration.
#[derive(Clone)]
pub struct Settings {
    /// The configuration.
    pub config: Rc<Config>,
    /// Who may do what.
    pub policy: Rc<Policy>,
}

/// Counters since the start, for the page and `/metrics`.
#[derive(Default)]
pub struct Figures {
    /// Messages accepted.
    pub accepted: Cell<u64>,
    /// Recipients delivered or passed on.
    pub delivered: Cell<u64>,
    /// Recipients failed for good.
    pub failed: Cell<u64>,
    /// Attempts put off, by recipient.
    pub deferred: Cell<u64>,
    /// Commands refused.
    pub refused: Cell<u64>,
    /// Connections to the mail servers of domains, by who demanded how they are secured and what
    /// came of it, both in the words of RFC 8460.
    pub tls: RefCell<Pairs<(&'static str, &'static str), u64>>,
    /// Last message in.
    pub last_in: Cell<Option<(Instant, Option<Wall>)>>,
    /// Last recipient delivered.
    pub last_out: Cell<Option<(Instant, Option<Wall>)>>,
    /// When the process started, once the clock has told.
    pub started: Cell<Option<Wall>>,
}

/// One more (or `n` more).
pub(super) fn count(cell: &Cell<u64>, n: usize) {
    cell.set(cell.get() + n as u64);
}

impl Relay {
    /// The configuration and policy in force now.
    pub fn settings(&self) -> Settings {
        self.settings.borrow().clone()
    }

    /// The configuration in force now.
    pub fn config(&self) -> Rc<Config> {
        self.settings.borrow().config.clone()
    }

    /// What asking for a token takes.
    pub fn asking(&self) -> grants::Way<'_> {
        let (sys, resolver) = (&self.sys, &self.resolver);
        grants::Way {
            sys,
            resolver,
            ipv6: self.config().delivery_ipv6,
            urgent: self.urgent.count(),
        }
    }

    /// Log line and history; of what peers bring about at will, as much as [`Noise`] lets through.
    pub fn tell(&self, event: Event) {
        if Noise::is_noise(&event) {
            let peer = event.field("peer").parse().ok();
            let trusted = peer.is_none() || self.settings().policy.is_trusted(peer);
            match self.noise.tell(self.sys.clock.now(), trusted) {
                Tell::No => return,
                Tell::Yes(0) => {}
                Tell::Yes(untold) => {
                    let event = Event::new("untold").with("events", untold);
                    trace::tell(&self.sys, &self.history, event);
                }
            }
        }
        trace::tell(&self.sys, &self.history, event);
    }

    /// Somebody out there was reached: the line is up, and whatever waited for it is due.
    pub fn reached(&self) {
        let now = self.sys.clock.now();
        self.contact.set(Some(now));
        self.mail_got_through(now);
    }

    /// Somebody was reached at `since` or later. What a name server has said may have been in the
    /// cache of the next router, and proves nothing.
    pub fn was_reached(&self, since: Instant) -> bool {
        self.contact.get().is_some_and(|at| at >= since) || self.line.was_up(since)
    }

    /// A message's envelope and how far it got.
    ///
    /// # Errors
    /// The spool's.
    pub async fn load(&self, id: Id) -> io::Result<(Envelope, Progress)> {
        let (envelope, durable) = self.spool.load(id).await?;
        Ok((envelope, self.queue.recall(id).unwrap_or(durable)))
    }

    /// Everything is tried now, also what failed a moment ago; what is held stays held. Tells how
    /// many messages that are.
    pub fn hasten_all(&self) -> u64 {
        let now = self.sys.clock.now();
        self.urgent.raise();
        self.queue.ids().into_iter().map(|id| u64::from(self.queue.hasten(id, now))).sum()
    }

    /// How to reach servers, with these settings.
    pub fn way<'a>(&'a self, config: &'a Config, chunkless: &'a Chunkless) -> Way<'a> {
        Way {
            sys: &self.sys,
            resolver: &self.resolver,
            hostname: &config.hostname,
            port: config.delivery_port,
            ipv6: config.delivery_ipv6,
            without: &[],
            chunkless,
            policies: config.delivery_policies.then_some(&self.policies),
        }
    }

    /// Look at what came and went since the last time.
    pub fn count_up(&self) {
        self.tally.look(self.sys.clock.wall(), self.counted());
    }

    /// What [`Tally`] counts, since the start.
    pub fn counted(&self) -> tally::Counts {
        let figures = &self.figures;
        [&figures.accepted, &figures.delivered, &figures.failed, &figures.refused].map(Cell::get)
    }

    /// It is ending.
    pub fn is_stopping(&self) -> bool {
        self.stop.count() > 0
    }

    /// Note that something is under way until the guard is dropped.
    pub fn busy(self: &Rc<Self>) -> Busy {
        self.busy.set(self.busy.get() + 1);
        Busy(self.clone())
    }
}

/// Something is under way.
pub struct Busy(Rc<Relay>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.set(self.0.busy.get() - 1);
    }
}

/// A message in a hand, a person's or that of who sums up. If that lets go (the browser has left,
/// the spool has failed), it is as it was.
pub(super) struct Taken {
    relay: Rc<Relay>,
    id: Id,
    was: queue::State,
    over: bool,
}

impl Taken {
    pub(super) fn take(relay: &Rc<Relay>, id: Id) -> Option<Taken> {
        let was = relay.queue.take(id)?;
        Some(Taken { relay: relay.clone(), id, was, over: false })
    }

    pub(super) fn put(mut self, state: queue::State) {
        self.over = true;
        self.relay.queue.give_back(self.id, self.was, self.relay.sys.clock.now(), state);
    }

    pub(super) fn forget(mut self) {
        self.over = true;
        self.relay.queue.remove(self.id);
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if !self.over {
            // Nothing has changed, also not since when it counts.
            let (relay, was) = (&self.relay, self.was);
            relay.queue.give_back(self.id, queue::State::Sending, relay.sys.clock.now(), was);
        }
    }
}
