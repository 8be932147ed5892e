//! The next way, while one cannot be used.
//!
//! A way fails where none of its hosts could be used: nobody answers, all of them say later, or the
//! login is refused. What waits for it goes by the next one at once. It rests, and then one
//! connection tries it with one message, while the others go on by the next way; when that works,
//! all go by it again. A message that was refused is not sent another way: it was answered.

use super::{Job, Lane, Lanes, account};
use crate::{
    limits,
    proto::status::{Class, Outcome},
    relay::{
        route::{Destination, NextHop},
        trace::Event,
    },
};
use std::{rc::Rc, time::Duration};

impl Lanes {
    /// The first of a recipient's ways that can be used now; the last where none can.
    pub(super) fn way<'a>(&self, first: &'a Destination) -> &'a Destination {
        let mut way = first;
        while let Some(next) = &way.otherwise {
            let lane = self.by_destination.borrow().get(way).cloned();
            let passed_over = |lane: &Lane| {
                self.rested(lane).is_some()
                    || lane.is_being_probed()
                    || self.is_paused_for_long(lane)
            };
            if !lane.is_some_and(|lane| passed_over(&lane)) {
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
        let next = lane.destination.otherwise.as_ref().filter(|_| !lane.is_answered(why));
        let Some(next) = next else {
            self.relay.sys.spawn(job.end_unsent(why.clone(), contact));
            return;
        };
        let (way, other) = (account(&lane.destination), account(self.way(next)));
        let event = Event::of("rerouted", job.attempt.id, &job.attempt.envelope.message_id);
        self.relay.tell(event.with("from", &way).with("to", &other).with("reason", &why.text));
        // That one domain cannot be reached is nothing that a person at home has to know.
        if matches!(lane.destination.next, NextHop::Smarthost(..)) {
            self.relay.bypassed.borrow_mut().insert(way, (other, why.text.clone()));
        }
        job.passes_on(why, contact);
        self.add(next, job);
    }

    /// A way works, again or still.
    pub(super) fn is_usable(&self, lane: &Lane) {
        lane.failures.set(0);
        let mut bypassed = self.relay.bypassed.borrow_mut();
        if !bypassed.is_empty() {
            bypassed.remove(&account(&lane.destination));
        }
    }
}

impl Lane {
    /// It failed when it was used last, and there is another way.
    pub(super) fn is_doubtful(&self) -> bool {
        self.failures.get() > 0 && self.destination.otherwise.is_some()
    }

    /// The domain itself says that there is nobody (no such name, a null MX, 521): no other way
    /// leads there. What a smarthost says of itself is another matter, and so is what is said about
    /// us (RFC 3463 §3.8, X.7.Z): that our address is on a block list, say.
    fn is_answered(&self, why: &Outcome) -> bool {
        let never = why.status.class == Class::Permanent && why.status.subject() != 7;
        matches!(self.destination.next, NextHop::Mx(_)) && never
    }

    /// One message finds out whether it can be used again.
    fn is_being_probed(&self) -> bool {
        self.is_doubtful() && (self.runners.get() > 0 || !self.waiting.borrow().is_empty())
    }

    /// How long it rests after one more failure: twice as long each time where there is another
    /// way, [`limits::WAY_REST`] at most.
    pub(super) fn rest_of_failed(&self, first: Duration, why: &Outcome) -> Duration {
        if self.destination.otherwise.is_none() || self.is_answered(why) {
            return first;
        }
        let failures = self.failures.get();
        self.failures.set(failures.saturating_add(1));
        first.saturating_mul(1 << failures.min(16)).min(limits::WAY_REST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::TlsPolicy, proto::status::Status};

    fn lane(next: NextHop, otherwise: Option<Box<Destination>>) -> Lane {
        let tls = TlsPolicy::May;
        Lane::new(1, &Destination { otherwise, ..Destination::new(next, tls) })
    }

    #[test]
    fn what_a_domain_says_of_itself_is_final_and_what_a_smarthost_says_is_not() {
        let smart = || NextHop::Smarthost("smart.example".into(), 587);
        let other = || Some(Box::new(lane(smart(), None).destination));
        let never = Outcome::ours(Status::new(Class::Permanent, 1, 2), "no such domain");
        let later = Outcome::ours(Status::new(Class::Transient, 4, 1), "nobody answers");
        let domain = || NextHop::Mx("example.org".into());
        let first = Duration::from_secs(20);
        for (next, why, fails) in [
            (domain(), &never, false),
            (domain(), &later, true),
            (smart(), &never, true),
            (smart(), &later, true),
        ] {
            let lane = lane(next.clone(), other());
            assert_eq!(lane.is_answered(why), !fails, "{next:?} {why:?}");
            assert_eq!(lane.rest_of_failed(first, why), first);
            assert_eq!(lane.is_doubtful(), fails, "{next:?} {why:?}");
        }
    }

    #[test]
    fn rests_grow_to_their_bound_and_only_where_there_is_another_way() {
        let smart = |name: &str| NextHop::Smarthost(name.into(), 587);
        let later = Outcome::ours(Status::new(Class::Transient, 4, 1), "nobody answers");
        let first = Duration::from_secs(20);
        let alone = lane(smart("a"), None);
        let other = Some(Box::new(lane(smart("b"), None).destination));
        let one_of_two = lane(smart("a"), other);
        let rests = |lane: &Lane| -> Vec<u64> {
            (0..100).map(|_| lane.rest_of_failed(first, &later).as_secs()).collect()
        };
        assert!(rests(&alone).iter().all(|rest| *rest == 20));
        let grown = rests(&one_of_two);
        assert_eq!(grown[..6], [20, 40, 80, 160, 320, limits::WAY_REST.as_secs()]);
        assert!(grown[6..].iter().all(|rest| *rest == limits::WAY_REST.as_secs()));
    }
}
