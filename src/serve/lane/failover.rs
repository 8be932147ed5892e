//! The next way, while one cannot be used.
//!
//! A way fails where none of its hosts could be used: nobody answers, all of them say later, or the
//! login is refused. What waits for it goes by the next one at once. It rests, and then one
//! connection tries it with one message, while the others go on by the next way; when that works,
//! all go by it again. A message that was refused is not sent another way: it was answered.

use super::{Job, Lane, Lanes, words};
use crate::{
    limits,
    proto::status::Outcome,
    relay::{route::Destination, trace::Event},
};
use std::{rc::Rc, time::Duration};

impl Lanes {
    /// The first of a recipient's ways that can be used now; the last where none can.
    pub(super) fn way<'a>(&self, first: &'a Destination) -> &'a Destination {
        let mut way = first;
        while let Some(next) = &way.otherwise {
            let lane = self.by_destination.borrow().get(way).cloned();
            if !lane.is_some_and(|lane| self.rested(&lane).is_some() || lane.is_being_probed()) {
                break;
            }
            way = next;
        }
        way
    }

    /// A job whose way cannot be used goes by the next one, or ends.
    pub(super) fn pass_on(
        self: &Rc<Self>,
        lane: &Lane,
        mut job: Job,
        why: &Outcome,
        contact: bool,
    ) {
        let Some(next) = &lane.destination.otherwise else {
            self.relay.sys.spawn(job.end_unsent(why.clone(), contact));
            return;
        };
        let (way, other) = (words(&lane.destination), words(self.way(next)));
        let event = Event::of("rerouted", job.attempt.id, &job.attempt.envelope.message_id);
        self.relay.tell(event.with("from", &way).with("to", &other).with("reason", &why.text));
        self.relay.bypassed.borrow_mut().insert(way, (other, why.text.clone()));
        job.passes_on(why, contact);
        self.add(next, job);
    }

    /// A way works, again or still.
    pub(super) fn is_usable(&self, lane: &Lane) {
        if lane.failures.replace(0) > 0 {
            self.relay.bypassed.borrow_mut().remove(&words(&lane.destination));
        }
    }
}

impl Lane {
    /// It failed when it was used last, and there is another way.
    pub(super) fn is_doubtful(&self) -> bool {
        self.failures.get() > 0 && self.destination.otherwise.is_some()
    }

    /// One message finds out whether it can be used again.
    fn is_being_probed(&self) -> bool {
        self.is_doubtful() && (self.runners.get() > 0 || !self.waiting.borrow().is_empty())
    }

    /// How long it rests after one more failure: twice as long each time where there is another
    /// way, [`limits::WAY_REST`] at most.
    pub(super) fn rest_of_failed(&self, first: Duration) -> Duration {
        let failures = self.failures.get();
        self.failures.set(failures.saturating_add(1));
        if self.destination.otherwise.is_none() {
            return first;
        }
        first.saturating_mul(1 << failures.min(16)).min(limits::WAY_REST)
    }
}
