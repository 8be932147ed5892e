//! One try at everything that a message still owes, and what came of it.

use super::{
    super::{
        lane::Lanes,
        relay::{Relay, count},
    },
    DISCARDED, EXPANDED, days,
};
use crate::{
    config::{Config, Retry},
    limits,
    pairs::Pairs,
    proto::{
        mail::address::Address,
        smtp::{client::Reporter, reply::one_line},
        status::{Class, Outcome, Status},
    },
    relay::{
        envelope::{Envelope, Id, Progress},
        maildir, refusal,
        route::{self, Destination, Hop},
        schedule,
        trace::{self, Event},
    },
};
use std::{
    cell::{Cell, RefCell},
    mem,
    rc::Rc,
    time::Duration,
};

/// One try at everything that a message still owes.
pub struct Attempt {
    pub(super) relay: Rc<Relay>,
    /// Queue id.
    pub id: Id,
    /// Its envelope.
    pub envelope: Envelope,
    progress: RefCell<Progress>,
    /// What the spool knows of the progress.
    durable: RefCell<Progress>,
    /// Recipients whose outcome is of this attempt and was not told yet.
    fresh: RefCell<Vec<usize>>,
    /// Something was tried.
    tried: Cell<bool>,
    /// A server took some recipients, and the others were too many for one transaction.
    has_more_room: Cell<bool>,
    jobs: Cell<usize>,
    contact: Cell<bool>,
    /// TLS version of the connections that carried it, by recipient; none where they had none.
    tls: RefCell<Pairs<usize, String>>,
    /// Jobs came back untried.
    again: Cell<bool>,
    /// A destination that had no room for a job.
    left: RefCell<Option<(Rc<Lanes>, Destination)>>,
    concluded: Cell<bool>,
    _busy: super::super::relay::Busy,
}

impl Attempt {
    /// Begin one; `durable` is what the spool knows of its progress. It is not concluded before
    /// [`Attempt::begun`].
    pub(super) fn new(
        relay: &Rc<Relay>,
        id: Id,
        envelope: Envelope,
        durable: Progress,
    ) -> Rc<Attempt> {
        let newer = relay.queue.recall(id);
        Rc::new(Attempt {
            relay: relay.clone(),
            id,
            envelope,
            progress: RefCell::new(newer.unwrap_or_else(|| durable.clone())),
            durable: RefCell::new(durable),
            fresh: RefCell::default(),
            tried: Cell::new(false),
            has_more_room: Cell::new(false),
            // One job more than there are, so that none of them concludes before all have begun.
            jobs: Cell::new(1),
            contact: Cell::new(false),
            tls: RefCell::default(),
            again: Cell::new(false),
            left: RefCell::default(),
            concluded: Cell::new(false),
            _busy: relay.busy(),
        })
    }

    pub(super) fn progress(&self) -> Progress {
        self.progress.borrow().clone()
    }

    /// For a local recipient: may an earlier attempt have delivered it?
    pub(super) fn is_first(&self, n: usize) -> maildir::Attempt {
        let fresh = self.relay.queue.item(self.id).is_some_and(|item| item.fresh);
        let untried = self.progress.borrow().outcomes.get(n).is_some_and(Option::is_none);
        if fresh && untried { maildir::Attempt::First } else { maildir::Attempt::Again }
    }

    /// There is no room on the way to this destination: the message waits for it.
    pub(super) fn leave(&self, lanes: &Rc<Lanes>, destination: Destination) {
        *self.left.borrow_mut() = Some((lanes.clone(), destination));
    }

    /// All its jobs have begun.
    pub(super) async fn begun(self: &Rc<Self>) {
        self.job_ended().await;
    }

    fn note(&self, recipients: &[usize], outcomes: Vec<Outcome>, contact: bool) {
        const TOO_MANY: Status = Status::new(Class::Transient, 5, 3);
        self.tried.set(true);
        self.contact.set(self.contact.get() || contact);
        let has = |wanted: fn(&Outcome) -> bool| outcomes.iter().any(wanted);
        // RFC 5321 §4.5.3.1.10. It ends, since each such attempt leaves fewer.
        if has(|o| o.status == TOO_MANY) && has(|o| o.status.class == Class::Success) {
            self.has_more_room.set(true);
        }
        let mut progress = self.progress.borrow_mut();
        let spent = progress.spent;
        for (n, outcome) in recipients.iter().zip(outcomes) {
            if let Some(place) = progress.outcomes.get_mut(*n) {
                let is_taken = outcome.status.class == Class::Success;
                if let Some(before) = place.as_ref().filter(|_| is_taken) {
                    self.learn(before, spent);
                }
                *place = Some(outcome);
                self.fresh.borrow_mut().push(*n);
            }
        }
    }

    /// A server that had put it off has taken it.
    fn learn(&self, before: &Outcome, spent: Duration) {
        let now = self.relay.sys.clock.now();
        let since = self.relay.queue.item(self.id).map_or(now, |item| item.since);
        self.relay.greylists.learn(before, spent + now.since(since));
    }

    /// These need no report of ours, should they have been passed on: the server sends them.
    fn leave_reports(&self, recipients: &[usize]) {
        let mut progress = self.progress.borrow_mut();
        for n in recipients {
            let passed_on = |outcome: &Outcome| outcome.status.class == Class::Success;
            if progress.outcomes.get(*n).is_some_and(|o| o.as_ref().is_some_and(passed_on)) {
                progress.reported.push(*n);
            }
        }
    }

    async fn job_ended(self: &Rc<Self>) {
        let left = self.jobs.get().saturating_sub(1);
        self.jobs.set(left);
        self.tell_final();
        if left == 0 {
            self.conclude().await;
            self.concluded.set(true);
        } else if self.has_news() {
            // Another destination may take hours: what is done stays done through a crash.
            self.settle(&self.progress()).await;
        }
    }

    /// A recipient's outcome is final and the spool does not know.
    fn has_news(&self) -> bool {
        let (progress, durable) = (self.progress.borrow(), self.durable.borrow());
        (0..progress.outcomes.len()).any(|n| is_final(&progress, n) && !is_final(&durable, n))
    }

    pub(super) fn event(&self, kind: &str) -> Event {
        Event::of(kind, self.id, &self.envelope.message_id)
    }

    /// Make it durable, where that changes anything: while the line is down, attempts that come to
    /// the same cost the flash nothing. What cannot be written is kept in memory.
    async fn settle(&self, progress: &Progress) {
        if *self.durable.borrow() == *progress {
            return;
        }
        match self.relay.spool.settle(self.id, progress).await {
            Ok(()) => {
                *self.durable.borrow_mut() = progress.clone();
                self.relay.queue.settled(self.id);
            }
            Err(error) => {
                self.relay.tell(self.event("unsettled").with("reason", error));
                self.relay.queue.remember(self.id, progress.clone());
            }
        }
    }

    /// The attempt is over.
    async fn conclude(&self) {
        let relay = &self.relay;
        let since = relay.queue.item(self.id).map_or(relay.sys.clock.now(), |item| item.since);
        if self.tried.get() && !self.contact.get() && relay.has_line(since).await {
            self.contact.set(true);
        }
        let now = relay.sys.clock.now();
        let config = relay.config();
        let mut progress = self.progress();
        if self.tried.get() {
            self.count_time(&config, &mut progress, now.since(since));
        }
        let wait = self.wait(&config, &progress);
        self.tell_fresh(&config, &progress, wait);
        let reported = self.report(&config, &mut progress).await;
        match reported {
            Ok(true) => {
                relay.queue.remove(self.id);
                return;
            }
            Ok(false) => {}
            // A report that is owed could not be kept: the message stays until it can be.
            Err(error) => relay.tell(self.event("unsettled").with("reason", error)),
        }
        self.settle(&progress).await;
        let left = self.left.take();
        match left {
            Some((lanes, destination)) => {
                relay.queue.park(self.id, now, self.tried.get());
                lanes.park(&destination, self.id);
            }
            None if self.again.get() => relay.queue.again(self.id, now, self.tried.get()),
            None => relay.queue.put_off(self.id, now, now + wait, !self.contact.get()),
        }
    }

    /// Attempts and time count only while somebody is reached. DESIGN §1, promise 7.
    fn count_time(&self, config: &Config, progress: &mut Progress, waited: Duration) {
        const EXPIRED: Status = Status::new(Class::Permanent, 4, 7);
        if !self.contact.get() {
            return;
        }
        progress.attempts = progress.attempts.saturating_add(1);
        // Where nobody but a person can mend it, it waits for that person, however long it takes.
        let barred = |n: &usize| {
            let last = progress.outcomes.get(*n).and_then(Option::as_ref);
            last.is_some_and(refusal::waits_for_a_person)
        };
        let mortal: Vec<usize> = progress.owed().filter(|n| !barred(n)).collect();
        if mortal.is_empty() {
            return;
        }
        progress.spent = progress.spent.saturating_add(waited);
        if progress.spent < config.retry.lifetime {
            return;
        }
        let after = days(progress.spent);
        for n in mortal {
            let place = &mut progress.outcomes[n];
            let last = place.take();
            let text = last.as_ref().map_or_else(
                || format!("given up after {after}; it could not be tried at all"),
                |last| format!("given up after {after}; last: {}", last.text),
            );
            let by = last.map_or_else(String::new, |last| last.by);
            *place = Some(Outcome { status: EXPIRED, by, text: one_line(&text) });
            if !self.fresh.borrow().contains(&n) {
                self.fresh.borrow_mut().push(n);
            }
        }
    }

    fn wait(&self, config: &Config, progress: &Progress) -> Duration {
        let relay = &self.relay;
        if self.has_more_room.get() || self.again.get() || self.left.borrow().is_some() {
            return Duration::ZERO;
        }
        let attempts = progress.attempts.max(1);
        let chance = relay.sys.dice.roll();
        if self.contact.get() {
            let last = progress.owed().filter_map(|n| progress.outcomes.get(n)?.as_ref());
            let wait = relay.greylists.wait(last).filter(|_| attempts <= limits::GREYLIST_ATTEMPTS);
            let usual = || schedule::backoff(&config.retry, attempts, chance);
            return wait.map_or_else(usual, |wait| wait.min(config.retry.max));
        }
        if relay.line.is_offline() {
            // Whoever looks for the line wakes it.
            let most = limits::OFFLINE_WAIT_MAX.min(config.retry.max);
            return schedule::backoff(&Retry { first: most, ..config.retry.clone() }, 1, chance);
        }
        // Pauses grow with the outage, too, though it is not held against the message. One that
        // gets through wakes them all: the more there are, the less often each need try.
        let offline = relay.queue.item(self.id).map_or(0, |item| item.offline);
        let crowd = u32::try_from(relay.queue.offline() / limits::OFFLINE_CROWD);
        let most = limits::OFFLINE_WAIT.saturating_mul(1 + crowd.unwrap_or(u32::MAX - 1));
        let most = most.min(limits::OFFLINE_WAIT_MAX).min(config.retry.max);
        let retry = Retry { max: most, ..config.retry.clone() };
        schedule::backoff(&retry, attempts.saturating_add(offline), chance)
    }

    /// What is final is told at once; another destination may take hours.
    fn tell_final(&self) {
        let progress = self.progress();
        let fresh = mem::take(&mut *self.fresh.borrow_mut());
        let (told, later) = fresh.into_iter().partition(|n| is_final(&progress, *n));
        *self.fresh.borrow_mut() = later;
        self.tell(&self.relay.config(), &progress, told, Duration::ZERO);
    }

    fn tell_fresh(&self, config: &Config, progress: &Progress, wait: Duration) {
        let fresh = mem::take(&mut *self.fresh.borrow_mut());
        self.tell(config, progress, fresh, wait);
    }

    /// One event for all recipients that came to the same end, or a few where they are many.
    fn tell(&self, config: &Config, progress: &Progress, which: Vec<usize>, wait: Duration) {
        let mut ends: Vec<(Told<'_>, Vec<&Address>)> = Vec::new();
        let connections = self.tls.borrow();
        for n in which {
            let Some(Some(outcome)) = progress.outcomes.get(n) else { continue };
            let to = &self.envelope.recipients[n].to;
            let mailbox = match route::route(config, &(&self.envelope).into(), to) {
                Hop::Local(user) if outcome.by.is_empty() => user,
                _ => String::new(),
            };
            let tls = connections.get(&n).map_or("", String::as_str);
            let same = Told { outcome, mailbox, tls };
            match ends.iter_mut().find(|(earlier, _)| *earlier == same) {
                Some((_, addresses)) => addresses.push(to),
                None => ends.push((same, vec![to])),
            }
        }
        for (told, addresses) in ends {
            if told.outcome.status != EXPANDED {
                self.count(told.outcome.status.class, addresses.len());
            }
            for to in trace::lists(&addresses) {
                self.relay.tell(self.told(&told, &to, wait));
            }
        }
    }

    fn count(&self, class: Class, recipients: usize) {
        let figures = &self.relay.figures;
        let clock = &self.relay.sys.clock;
        match class {
            Class::Success => {
                figures.last_out.set(Some((clock.now(), clock.wall())));
                count(&figures.delivered, recipients);
            }
            Class::Transient => count(&figures.deferred, recipients),
            Class::Permanent => count(&figures.failed, recipients),
        }
    }

    fn told(&self, told: &Told<'_>, to: &str, wait: Duration) -> Event {
        let Told { outcome, mailbox, tls } = told;
        let said = |event: Event| event.with("host", &outcome.by).with("reply", &outcome.text);
        match outcome.status.class {
            Class::Success if !mailbox.is_empty() => {
                self.event("delivered").with("to", to).with("mailbox", mailbox)
            }
            Class::Success if outcome.status == DISCARDED && outcome.by.is_empty() => {
                self.event("discarded").with("to", to)
            }
            Class::Success if outcome.status == EXPANDED => self.event("expanded").with("to", to),
            Class::Success => said(self.event("delivered").with("to", to)).with("tls", tls),
            Class::Permanent => said(self.event("failed").with("to", to)),
            Class::Transient => {
                let event = said(self.event("deferred").with("to", to));
                let event = event.with("next", format!("in {}", days(wait)));
                let offline = if self.contact.get() { "" } else { "nobody was reached" };
                event.with("offline", offline)
            }
        }
    }
}

/// What recipients have in common that one event tells of them.
#[derive(PartialEq)]
struct Told<'a> {
    outcome: &'a Outcome,
    mailbox: String,
    tls: &'a str,
}

/// An attempt that nobody concluded (a panic took a job, or the conclusion itself): the message is
/// due again in a minute, and what is known of it is not forgotten meanwhile.
impl Drop for Attempt {
    fn drop(&mut self) {
        if self.concluded.get() || self.relay.queue.item(self.id).is_none() {
            return;
        }
        if self.has_news() {
            self.relay.queue.remember(self.id, self.progress());
        }
        let now = self.relay.sys.clock.now();
        self.relay.queue.put_off(self.id, now, now + limits::STUMBLE_WAIT, false);
    }
}

pub(super) fn is_final(progress: &Progress, n: usize) -> bool {
    matches!(progress.outcomes.get(n), Some(Some(outcome)) if outcome.is_final())
}

/// Some recipients of an attempt that go the same way.
///
/// A job that is dropped without an end (a panic in a session) leaves its attempt unconcluded.
pub struct Job {
    /// Of which attempt.
    pub attempt: Rc<Attempt>,
    /// Indexes of recipients.
    pub recipients: Vec<usize>,
    /// Why a way before this one waits for a person: so does the message, where no other takes it.
    barred: Option<Outcome>,
}

impl Job {
    pub(super) fn new(attempt: &Rc<Attempt>, recipients: Vec<usize>) -> Job {
        attempt.jobs.set(attempt.jobs.get() + 1);
        Job { attempt: attempt.clone(), recipients, barred: None }
    }

    /// What came of it: one outcome a recipient, in order. `contact`: somebody out there was
    /// reached.
    pub async fn end(self, outcomes: Vec<Outcome>, contact: bool) {
        self.attempt.note(&self.recipients, outcomes, contact);
        self.attempt.job_ended().await;
    }

    /// A way cannot be used, and another is tried.
    pub fn passes_on(&mut self, outcome: &Outcome, contact: bool) {
        self.attempt.contact.set(self.attempt.contact.get() || contact);
        if refusal::waits_for_a_person(outcome) {
            self.barred = Some(outcome.clone());
        }
    }

    /// No way can be used.
    pub async fn end_unsent(mut self, outcome: Outcome, contact: bool) {
        let outcome = self.barred.take().unwrap_or(outcome);
        self.end_all(outcome, contact).await;
    }

    /// The same outcome for all its recipients.
    pub async fn end_all(self, outcome: Outcome, contact: bool) {
        let outcomes = vec![outcome; self.recipients.len()];
        self.end(outcomes, contact).await;
    }

    /// A server was spoken with, over this version of TLS (empty: none; for the trace, since an
    /// open connection that is used again is not told anew). `reporter`: who sends the reports
    /// about those it took.
    pub async fn end_with(self, outcomes: Vec<Outcome>, reporter: Reporter, tls: String) {
        if !tls.is_empty() {
            let of = self.recipients.iter().map(|n| (*n, tls.clone()));
            self.attempt.tls.borrow_mut().extend(of);
        }
        self.attempt.note(&self.recipients, outcomes, true);
        if reporter == Reporter::Server {
            self.attempt.leave_reports(&self.recipients);
        }
        self.attempt.job_ended().await;
    }

    /// It was not tried, and should be at once.
    pub async fn put_back(self) {
        self.attempt.again.set(true);
        self.attempt.job_ended().await;
    }
}
