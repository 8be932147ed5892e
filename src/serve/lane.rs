//! Lanes: what waits for one destination, and the connections that carry it.
//!
//! All of it is bounded: jobs that wait for one destination, jobs in all, connections to one
//! destination, connections in all. A message for which there is no room is *parked*: no more than
//! its id is kept until a job has left.

mod connections;
mod failover;
mod pace;
mod refused;
mod width;

use super::{
    line,
    receive::path,
    relay::Relay,
    work::{Attempt, Job},
};
use crate::{
    limits,
    pairs::Pairs,
    proto::{
        mail::address::Address,
        sasl::Mechanism,
        smtp::client::{Forward, LOGIN_REFUSED, Outgoing, Reporter, Takes},
        status::{Class, Outcome, Status},
    },
    relay::{
        admit::Policy,
        deliver::{self, By, Chunkless, Freight, Note, Way},
        envelope::{Id, Octets, Ret},
        grants::{Missing, Token},
        pace::Meter,
        recast::Recast,
        refusal,
        rename::{Renamed, Stand, StandIn},
        route::{self, Destination, NextHop},
        sign::{Signed, Topped},
        spool::Body,
        trace::Event,
        transcripts::{Scribe, Transcript},
    },
    sys::{Pending, Signal},
    time::Instant,
};
use std::{
    cell::{Cell, RefCell},
    collections::{HashMap, VecDeque},
    io,
    net::IpAddr,
    rc::Rc,
};
use width::Width;

/// The lanes that are in use or were lately.
pub struct Lanes {
    relay: Rc<Relay>,
    by_destination: RefCell<HashMap<Destination, Rc<Lane>>>,
    /// Lanes made so far.
    made: Cell<u64>,
    /// Jobs that wait in a lane or are carried.
    jobs: Cell<usize>,
    /// Messages for which there were too many of them.
    parked: RefCell<VecDeque<Id>>,
    /// Connections open or opening.
    connections: Cell<usize>,
    /// Of these, those to destinations that failed when they were tried last.
    trials: Cell<usize>,
    /// Lanes for which there were too many of them.
    starved: RefCell<VecDeque<Rc<Lane>>>,
    /// Lanes that failed when they were tried last, for which there were too many of those.
    starved_on_trial: RefCell<VecDeque<Rc<Lane>>>,
    /// Servers that BDAT is not used with.
    chunkless: Chunkless,
    /// What has gone lately by ways that take so much in some time.
    meters: RefCell<Pairs<String, Meter>>,
    /// The configuration by whose routes the jobs have come.
    configured: Cell<u64>,
}

struct Lane {
    number: u64,
    destination: Destination,
    waiting: RefCell<VecDeque<Seated>>,
    /// Messages for which there were too many of them.
    parked: RefCell<VecDeque<Id>>,
    more: Signal,
    /// Connections open or opening.
    runners: Cell<usize>,
    /// Connections that wait for a job.
    idle: Cell<usize>,
    /// Connections that will take one as soon as they are there.
    opening: Cell<usize>,
    /// It is among the starved.
    starved: Cell<bool>,
    /// Routes have changed: nothing comes any more.
    closed: Cell<bool>,
    /// It takes no more before that.
    paused: Cell<Option<Instant>>,
    /// No host could be used: until then, every job ends like the last one.
    rest: RefCell<Option<Rest>>,
    /// How many connections it is worth. Until a login has worked one at a time tries it: to a
    /// server, several that fail look like guessing.
    width: Width,
    /// Mechanisms that are offered and do not work.
    without: RefCell<Vec<Mechanism>>,
    /// Times that no host could be used, since one could.
    failures: Cell<u32>,
}

/// A message as it is sent: from another sender, written anew and signed, each where it needs it.
type Message = Topped<Recast<Renamed<Body>>>;

struct Rest {
    until: Instant,
    /// How often a person had wanted everything tried now.
    urgent: u64,
    outcome: Outcome,
    contact: bool,
    /// How often the line had come back.
    returns: u64,
}

/// A job with its place among all jobs.
struct Seated {
    job: Job,
    _seat: Seat,
}

struct Seat(Rc<Lanes>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.jobs.set(self.0.jobs.get() - 1);
        self.0.wake(&self.0.parked, 1);
    }
}

impl Lanes {
    /// No lanes yet.
    pub fn new(relay: Rc<Relay>) -> Rc<Lanes> {
        let configured = Cell::new(relay.changed.count());
        Rc::new(Lanes {
            relay,
            by_destination: RefCell::default(),
            made: Cell::default(),
            jobs: Cell::default(),
            parked: RefCell::default(),
            connections: Cell::default(),
            trials: Cell::default(),
            starved: RefCell::default(),
            starved_on_trial: RefCell::default(),
            chunkless: Chunkless::default(),
            meters: RefCell::default(),
            configured,
        })
    }

    /// Is there room for a job on the lane to `destination`?
    pub fn has_room(&self, destination: &Destination) -> bool {
        let destination = self.way(destination);
        let lane = self.by_destination.borrow().get(destination).cloned();
        if lane.as_ref().is_some_and(|lane| self.rested(lane).is_some()) {
            return true;
        }
        if lane.as_ref().is_some_and(|lane| lane.paused.get().is_some()) {
            return false;
        }
        let waiting = lane.as_ref().map_or(0, |lane| lane.waiting.borrow().len());
        // Where nobody has answered yet little waits, so that there is room for all others.
        let jobs = self.jobs.get();
        let most = match lane.as_ref().map(|lane| &lane.width) {
            Some(width) if width.is_failing() => 1,
            Some(width) if !width.is_unknown() => limits::LANE_WAITING,
            _ if jobs < limits::LANES_JOBS / 2 => limits::LANE_WAITING_FIRST,
            _ => 1,
        };
        jobs < limits::LANES_JOBS && waiting < most
    }

    /// Put a job on the lane to `destination`; a connection is opened where those there are have
    /// enough to do.
    pub fn add(self: &Rc<Self>, destination: &Destination, job: Job) {
        let lane = self.lane(self.way(destination));
        if let Some((outcome, contact)) = self.rested(&lane) {
            self.relay.sys.spawn(job.end_unsent(outcome, contact));
            return;
        }
        self.jobs.set(self.jobs.get() + 1);
        lane.waiting.borrow_mut().push_back(Seated { job, _seat: Seat(self.clone()) });
        lane.more.raise();
        self.serve(&lane);
    }

    /// A parked message is due again as soon as there may be room for it.
    pub fn park(self: &Rc<Self>, destination: &Destination, id: Id) {
        if self.has_room(destination) {
            self.relay.queue.unpark(id, self.relay.sys.clock.now());
        } else if self.jobs.get() >= limits::LANES_JOBS {
            self.parked.borrow_mut().push_back(id);
        } else {
            self.lane(self.way(destination)).parked.borrow_mut().push_back(id);
        }
    }

    /// Where the configuration has changed, what waits is routed anew, and connections that are
    /// open carry what they have and no more.
    pub fn renew(&self) {
        let changed = self.relay.changed.count();
        if self.configured.replace(changed) == changed {
            return;
        }
        for lane in self.take_all() {
            lane.closed.set(true);
            lane.put_back(&self.relay);
            self.wake(&lane.parked, usize::MAX);
        }
        self.wake(&self.parked, usize::MAX);
        self.forget_meters();
    }

    /// The relay ends: nothing waits any more.
    pub fn close(&self) {
        for lane in self.take_all() {
            lane.closed.set(true);
            drop(lane.waiting.take());
        }
    }

    /// All lanes, in the order in which they were made.
    fn take_all(&self) -> Vec<Rc<Lane>> {
        for lane in self.starved.take().into_iter().chain(self.starved_on_trial.take()) {
            lane.starved.set(false);
        }
        let mut lanes: Vec<Rc<Lane>> = self.by_destination.take().into_values().collect();
        lanes.sort_unstable_by_key(|lane| lane.number);
        lanes
    }

    fn lane(&self, destination: &Destination) -> Rc<Lane> {
        let mut lanes = self.by_destination.borrow_mut();
        if let Some(lane) = lanes.get(destination) {
            return lane.clone();
        }
        if lanes.len() >= limits::LANES {
            let now = self.relay.sys.clock.now();
            lanes.retain(|_, lane| {
                lane.runners.get() > 0
                    || !lane.waiting.borrow().is_empty()
                    || !lane.parked.borrow().is_empty()
                    || lane.rest.borrow().as_ref().is_some_and(|rest| rest.until > now)
                    || lane.paused.get().is_some()
            });
        }
        self.made.set(self.made.get() + 1);
        let lane = Rc::new(Lane::new(self.made.get(), destination));
        lanes.insert(destination.clone(), lane.clone());
        lane
    }

    fn rested(&self, lane: &Lane) -> Option<(Outcome, bool)> {
        const NO_ROUTE: Status = Status::new(Class::Transient, 4, 4);
        if let Some(why) = self.relay.barred(&lane.destination) {
            return Some((Outcome::ours(NO_ROUTE, format!("offline: {why}")), false));
        }
        let rest = lane.rest.borrow();
        let rest = rest.as_ref()?;
        let valid = rest.until > self.relay.sys.clock.now()
            && rest.urgent == self.relay.urgent.count()
            && (rest.contact || rest.returns == self.relay.line.returns());
        valid.then(|| (rest.outcome.clone(), rest.contact))
    }

    /// So many of these are due again; those that are not parked any more do not count.
    fn wake(&self, parked: &RefCell<VecDeque<Id>>, mut most: usize) {
        let now = self.relay.sys.clock.now();
        while most > 0 {
            let Some(id) = parked.borrow_mut().pop_front() else { return };
            most -= usize::from(self.relay.queue.unpark(id, now));
        }
    }
}

impl Lane {
    fn new(number: u64, destination: &Destination) -> Lane {
        Lane {
            number,
            destination: destination.clone(),
            waiting: RefCell::default(),
            parked: RefCell::default(),
            more: Signal::default(),
            runners: Cell::default(),
            idle: Cell::default(),
            opening: Cell::default(),
            starved: Cell::default(),
            closed: Cell::default(),
            paused: Cell::default(),
            rest: RefCell::default(),
            width: Width::new(),
            without: RefCell::default(),
            failures: Cell::default(),
        }
    }

    /// Connections that it may have at once.
    fn connections(&self) -> usize {
        let most = limits::CONNECTIONS_PER_LANE;
        self.destination.pace.connections.map_or(most, |n| most.min(n as usize))
    }

    /// Messages that go over one of them.
    fn per_connection(&self) -> usize {
        let most = limits::MESSAGES_PER_CONNECTION;
        self.destination.pace.per_connection.map_or(most, |n| most.min(n as usize))
    }

    /// Nothing waits here any more.
    fn put_back(&self, relay: &Relay) {
        for Seated { job, _seat } in self.waiting.take() {
            relay.sys.spawn(job.put_back());
        }
    }
}

/// One connection's life on a lane.
struct Run {
    relay: Rc<Relay>,
    lanes: Rc<Lanes>,
    lane: Rc<Lane>,
    job: Option<(Seated, Message)>,
    /// Messages that this connection has carried.
    carried: usize,
    /// TLS version of this connection; empty: none.
    tls: String,
    /// The server has refused us rather than a message: it is not asked again here.
    refused: bool,
    /// It has not asked for a job yet.
    opening: bool,
    /// The destination failed when it was tried last.
    on_trial: bool,
    /// What is said.
    scribe: Scribe,
}

impl Run {
    async fn go(mut self) {
        while !self.lane.waiting.borrow().is_empty() && !self.relay.is_stopping() {
            let (relay, lanes) = (self.relay.clone(), self.lanes.clone());
            let lane = self.lane.clone();
            if let Some(turn) = lanes.turn(&lane) {
                return lanes.pause(&lane, turn);
            }
            let config = relay.config();
            self.carried = 0;
            self.tls.clear();
            let without = lane.without.borrow().clone();
            let way = Way { without: &without, ..relay.way(&config, &lanes.chunkless) };
            let token = match self.token().await {
                Ok(token) => token,
                Err(missing) => return self.fail(&missing.outcome, missing.contact),
            };
            let with = token.as_ref().map(|token| lane.destination.with_token(&token.text));
            let destination = with.as_ref().unwrap_or(&lane.destination);
            let ended = deliver::deliver(&way, destination, &mut self).await;
            if let Some((seated, _)) = self.job.take() {
                let lost = Status::new(Class::Transient, 4, 2);
                seated.job.end_all(Outcome::ours(lost, "the connection was lost"), true).await;
            }
            match ended {
                Ok(()) if self.refused => return,
                Ok(()) => self.line_is_up(),
                Err(failure) if self.is_stale(token.as_ref(), &failure.outcome) => {}
                Err(failure) => return self.fail(&failure.outcome, failure.contact),
            }
        }
    }

    /// A token for where a person has signed in; none where that is not so.
    async fn token(&self) -> Result<Option<Token>, Missing> {
        let Some(grant) = &self.lane.destination.grant else { return Ok(None) };
        self.relay.grants.token(&self.relay.asking(), grant).await.map(Some)
    }

    /// The login is refused by a token that we have had for a while: it may be revoked, and a new
    /// one may do. That one is young, so there is no third.
    fn is_stale(&self, token: Option<&Token>, why: &Outcome) -> bool {
        let grant = self.lane.destination.grant.as_ref();
        let used = grant.zip(token).filter(|_| why.status == LOGIN_REFUSED);
        used.is_some_and(|(grant, token)| self.relay.grants.doubt(&self.relay.sys, grant, token))
    }

    fn line_is_up(&self) {
        *self.lane.rest.borrow_mut() = None;
        self.lanes.is_usable(&self.lane);
        self.reached();
    }

    /// Somebody was reached; who is near proves nothing about the line while it is down.
    fn reached(&self) {
        if !(self.relay.line.is_offline() && line::is_near(&self.lane.destination)) {
            self.relay.reached();
        }
    }

    /// No host could be used: all that waits here shares that outcome, and what comes within the
    /// next moments too, unless another connection of this lane works.
    fn fail(&mut self, outcome: &Outcome, contact: bool) {
        if self.lane.runners.get() == 1 || self.lane.rest.borrow().is_some() {
            return self.rest(outcome, contact);
        }
        if contact {
            self.lane.width.is_pushed_back(self.lane.runners.get() - 1);
            return;
        }
        // The other one may hang, for the line is down: then nothing waits for it here.
        let (lanes, lane, outcome) = (self.lanes.clone(), self.lane.clone(), outcome.clone());
        let now = self.relay.sys.clock.now();
        self.relay.sys.spawn(async move {
            if !lanes.relay.has_line(now).await && lanes.relay.line.is_offline() {
                lanes.set_aside(&lane, &outcome, false);
            }
        });
    }

    /// A person has to see to it.
    fn barred(&self, outcome: &Outcome) {
        if !self.lane.closed.get() {
            let why = outcome.text.clone();
            self.relay.barred.borrow_mut().insert(account(&self.lane.destination), why);
        }
    }

    /// It takes what we send, or refuses it for other reasons.
    fn let_in(&self) {
        let mut barred = self.relay.barred.borrow_mut();
        if !barred.is_empty() {
            barred.remove(&account(&self.lane.destination));
        }
    }

    /// The login has worked, and these mechanisms had not.
    fn admitted(&self, failed: &[Mechanism]) {
        for failed in failed {
            let known = self.lane.without.borrow().contains(failed);
            if !known {
                self.lane.without.borrow_mut().push(*failed);
            }
        }
    }

    /// The next job whose message can be read.
    async fn take(&mut self, takes: Takes) -> Option<Outgoing> {
        const UNREADABLE: Status = Status::new(Class::Transient, 3, 0);
        loop {
            if self.lane.waiting.borrow().is_empty() {
                return None;
            }
            if let Some(turn) = self.lanes.turn(&self.lane) {
                self.lanes.pause(&self.lane, turn);
                return None;
            }
            let seated = self.lane.waiting.borrow_mut().pop_front()?;
            self.lanes.wake(&self.lane.parked, 1);
            match self.read(&seated.job, takes).await {
                Ok((outgoing, message)) => {
                    self.job = Some((seated, message));
                    self.scribe.begin();
                    self.carried += 1;
                    self.lanes.count(&self.lane);
                    return Some(outgoing);
                }
                Err(error) => {
                    let words = format!("the message could not be read: {error}");
                    let outcome = Outcome::ours(UNREADABLE, words);
                    self.relay.sys.spawn(seated.job.end_all(outcome, false));
                }
            }
        }
    }

    /// A message as it is sent: signed, if it is ours, this way is for signed mail, and there is a
    /// key; and such as the server takes it before it is signed. A signature that cannot be made
    /// holds no mail up: a person is told, and most of it arrives without.
    async fn read(&self, job: &Job, takes: Takes) -> io::Result<(Outgoing, Message)> {
        let Job { attempt, recipients, .. } = job;
        let body = self.relay.spool.body(attempt.id).await?;
        let policy = self.relay.settings().policy;
        let senders = self.senders(&policy, attempt.envelope.peer);
        let stands = |sender: &Address| policy.stand_in(sender);
        let ours = attempt.envelope.ours && policy.stands_in();
        let world = ours.then_some(&stands as &StandIn<'_>);
        let from = attempt.envelope.from.as_ref();
        let (mut message, stand) = Renamed::new(body, from, world, &senders).await?;
        if attempt.envelope.ours
            && attempt.envelope.eight_bit
            && let Some(charset) = message.label().await?
        {
            let event = Event::of("labelled", attempt.id, &attempt.envelope.message_id);
            self.relay.tell(event.with("as", charset));
        }
        if attempt.envelope.ours
            && attempt.envelope.arrived.is_none()
            && let Some(now) = self.relay.sys.clock.wall()
            && message.date(now).await?
        {
            self.relay.tell(Event::of("dated", attempt.id, &attempt.envelope.message_id));
        }
        let mut message = Recast::new(message);
        let mut outgoing = outgoing(attempt, recipients, message.size());
        if let Some(Stand { from, by, .. }) = stand {
            let event = Event::of("renamed", attempt.id, &attempt.envelope.message_id);
            let old = path(attempt.envelope.from.as_ref());
            self.relay.tell(event.with("from", old).with("as", &by));
            outgoing.from = from.or(outgoing.from);
        }
        self.forward(attempt, &mut outgoing);
        let mut fields = Vec::new();
        let to_sign = attempt.envelope.ours && self.lane.destination.sign;
        if to_sign && message.fit(&mut outgoing, takes).await? {
            let event = |kind| Event::of(kind, attempt.id, &attempt.envelope.message_id);
            match self.relay.keyring.sign(&self.relay.sys, &message).await? {
                Signed::No => {}
                Signed::Failed(reason) => self.relay.tell(event("unsigned").with("reason", reason)),
                Signed::By { keys, fields: made } => {
                    self.relay.tell(event("signed").with("by", keys.join(", ")));
                    fields = made;
                }
            }
        }
        let message = Topped { fields, message };
        outgoing.size = message.size();
        Ok((outgoing, message))
    }

    /// Senders that this way takes of what was handed in from there: that of the device, unless the
    /// server would not take it.
    fn senders(&self, policy: &Policy, peer: Option<IpAddr>) -> Rc<[String]> {
        let senders = &self.lane.destination.senders;
        let device = peer.and_then(|peer| policy.device(peer));
        let Some(own) = device.and_then(|device| device.sender.as_ref()) else {
            return senders.clone();
        };
        let takes = senders.iter().any(|pattern| route::is_sender(pattern, own));
        if senders.is_empty() || takes { [own.to_string()].into() } else { senders.clone() }
    }

    fn keep_transcript(&self, id: Id) {
        let (at, text) = (self.relay.sys.clock.wall(), self.scribe.text());
        self.relay.transcripts.keep(Transcript { id, at, text });
    }

    /// How connections to the mail servers of domains are secured. RFC 8460.
    fn count_tls(&self, by: By, result: &'static str) {
        if matches!(self.lane.destination.next, NextHop::Mx(_)) {
            *self.relay.figures.tls.borrow_mut().entry((by.report(), result), || 0) += 1;
        }
    }

    /// A stranger's mail that goes on from here comes from here, so that SPF passes; its bounces
    /// come back to us, and go to the stranger.
    fn forward(&self, attempt: &Attempt, outgoing: &mut Outgoing) {
        let policy = self.relay.settings().policy;
        let envelope = &attempt.envelope;
        let strangers = envelope.from.as_ref().filter(|from| {
            !envelope.ours
                && !policy.is_local_domain(from.domain())
                && outgoing.from == envelope.from
        });
        let Some((from, ours)) = strangers.zip(policy.srs_domain()) else { return };
        if let Some(written) = self.relay.srs.write(&self.relay.sys, from, ours) {
            let event = Event::of("renamed", attempt.id, &envelope.message_id);
            self.relay.tell(event.with("from", from).with("as", &written));
            outgoing.from = Some(written);
        }
    }

    /// What a server says to the next message of a connection is often about the connection: it
    /// has taken as many as it wants, or has waited for long enough. That is no attempt.
    fn is_worn_out(&self, outcomes: &[Outcome]) -> bool {
        const LOST: Status = Status::new(Class::Transient, 4, 2);
        let is_over = |outcome: &Outcome| {
            !outcome.is_final() && (outcome.status == LOST || outcome.text.starts_with("421"))
        };
        self.carried > 1 && outcomes.iter().all(is_over)
    }
}

impl Freight for Run {
    fn next(&mut self, takes: Takes) -> Pending<'_, Option<Outgoing>> {
        Box::pin(async move {
            if self.opening {
                self.is_ready();
            }
            if self.refused {
                return None;
            }
            // This connection works: whatever made the lane rest is over.
            *self.lane.rest.borrow_mut() = None;
            if self.carried > 0 && self.relay.spool.is_failing() {
                self.lane.put_back(&self.relay);
                return None;
            }
            let worn = self.carried >= self.lane.per_connection();
            if worn || self.relay.is_stopping() || self.lane.closed.get() {
                return None;
            }
            if let Some(outgoing) = self.take(takes).await {
                return Some(outgoing);
            }
            let seen = self.lane.more.count();
            let idle = Idle::new(&self.lane);
            let sys = self.relay.sys.clone();
            let more = futures_lite::future::or(
                async {
                    self.lane.more.past(seen).await;
                },
                async {
                    self.relay.stop.past(0).await;
                },
            );
            let more = sys.within(limits::LANE_LINGER, more).await;
            drop(idle);
            more?;
            self.take(takes).await
        })
    }

    fn chunk(&mut self, offset: u64) -> Pending<'_, io::Result<Vec<u8>>> {
        match &self.job {
            Some((_, message)) => message.chunk(offset),
            None => Box::pin(std::future::ready(Err(io::ErrorKind::NotFound.into()))),
        }
    }

    fn report(&mut self, outcomes: Vec<Outcome>, reporter: Reporter) -> Pending<'_, ()> {
        if let Some((seated, _)) = &self.job {
            self.keep_transcript(seated.job.attempt.id);
        }
        if self.is_refused(&outcomes) {
            return Box::pin(std::future::ready(()));
        }
        match outcomes.iter().find(|outcome| refusal::waits_for_a_person(outcome)) {
            Some(outcome) => self.barred(outcome),
            None => self.let_in(),
        }
        self.lanes.is_usable(&self.lane);
        if outcomes.iter().any(|outcome| outcome.status.class == Class::Success) {
            self.lane.width.has_taken();
            self.lanes.serve(&self.lane);
        }
        let worn_out = self.is_worn_out(&outcomes);
        if let Some((seated, _)) = self.job.take() {
            // Settling is for the disk; this connection goes on meanwhile.
            if worn_out {
                self.relay.sys.spawn(seated.job.put_back());
            } else {
                let tls = self.tls.clone();
                self.relay.sys.spawn(seated.job.end_with(outcomes, reporter, tls));
            }
        }
        self.reached();
        Box::pin(std::future::ready(()))
    }

    fn note(&mut self, note: Note) {
        match &note {
            Note::Found(..) => return,
            Note::Spoke(spoken) => return self.scribe.heard(spoken),
            Note::Connected(host) => self.scribe.connected(host),
            Note::LoggedIn(_, _, failed) => self.admitted(failed),
            Note::Encrypted(_, tls, _) => {
                self.scribe.note(&format!("encrypted: {} {}", tls.version, tls.cipher));
            }
            Note::InClear(_, error) => self.scribe.note(&format!("not encrypted: {error}")),
            Note::Skipped(_, outcome) => self.scribe.note(&outcome.text),
            Note::Policy { .. } | Note::Insecure(..) => {}
        }
        let waiting = self.lane.waiting.borrow();
        let current = self.job.as_ref().map(|(seated, _)| seated).or(waiting.front());
        let of = |kind| match current.map(|seated| &seated.job.attempt) {
            Some(attempt) => Event::of(kind, attempt.id, &attempt.envelope.message_id),
            None => Event::new(kind),
        };
        let event = match note {
            Note::Found(..) | Note::Spoke(_) => return,
            Note::Connected(host) => of("connected").with("host", host),
            Note::Policy { of: whose, by, says } => {
                of("policy").with("of", whose).with("by", by.word()).with("says", says)
            }
            Note::Encrypted(host, tls, by) => {
                self.tls.clone_from(&tls.version);
                self.count_tls(by, "successful");
                let how = format!("{} {} ({})", tls.version, tls.cipher, tls.engine);
                let encrypted = of("encrypted").with("host", host).with("tls", how);
                encrypted.with("verified", tls.verified).with("as", by.word())
            }
            Note::Insecure(by, result) => return self.count_tls(by, result),
            Note::InClear(host, error) => of("in-clear").with("host", host).with("reason", error),
            Note::LoggedIn(host, mechanism, failed) => {
                let failed: Vec<&str> = failed.iter().map(|failed| failed.name()).collect();
                let user = self.lane.destination.user().unwrap_or_default();
                of("logged-in")
                    .with("host", host)
                    .with("user", user)
                    .with("by", mechanism)
                    .with("not", failed.join(" "))
            }
            Note::Skipped(host, outcome) => {
                of("skipped").with("host", host).with("reply", outcome.text)
            }
        };
        let skipped = current.filter(|_| event.kind == "skipped").map(|s| s.job.attempt.id);
        drop(waiting);
        if let Some(id) = skipped {
            self.keep_transcript(id);
        }
        self.relay.tell(event);
    }
}

struct Idle(Rc<Lane>);

impl Idle {
    fn new(lane: &Rc<Lane>) -> Idle {
        lane.idle.set(lane.idle.get() + 1);
        Idle(lane.clone())
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        self.0.idle.set(self.0.idle.get() - 1);
    }
}

/// What the remote is told of a message. DSN parameters are passed on (RFC 3461 §5.2).
fn outgoing(attempt: &Attempt, recipients: &[usize], size: u64) -> Outgoing {
    let envelope = &attempt.envelope;
    let forward = |n: &usize| {
        let recipient = envelope.recipients.get(*n)?;
        let notify = recipient.notify;
        Some(Forward {
            to: recipient.to.clone(),
            orcpt: recipient.orcpt.clone(),
            notify: notify.given.then_some((notify.success, notify.failure, notify.delay)),
        })
    };
    Outgoing {
        from: envelope.from.clone(),
        to: recipients.iter().filter_map(forward).collect(),
        size,
        eight_bit: envelope.eight_bit,
        utf8: envelope.utf8,
        ret_headers: envelope.ret.map(|ret| ret == Ret::Headers),
        envid: envelope.envid.clone(),
    }
}

/// The same with the user who logs in: two accounts at one provider are two ways.
pub fn account(destination: &Destination) -> String {
    match destination.user() {
        Some(user) => format!("{} as {user}", words(destination)),
        None => words(destination),
    }
}

/// How a destination is told in words.
pub fn words(destination: &Destination) -> String {
    match &destination.next {
        NextHop::Mx(domain) => format!("the mail servers of {domain}"),
        NextHop::Smarthost(host, port) => format!("{host}:{port}"),
    }
}
