//! A server that refuses us, not a message: our login, our account, our internet address.

use super::{Lane, Lanes, Rest, Run, Seated};
use crate::{
    limits,
    proto::status::Outcome,
    relay::{
        deliver,
        refusal::{self, Meaning},
    },
};
use std::rc::Rc;

impl Run {
    /// Is it about us what became of the current message? Then it goes another way, or waits; so
    /// does all that waits for this one, and the server is left alone for a while: to ask it once
    /// for each of many messages helps nobody. An address of ours that is on a block list matters
    /// only where there is another way: without one the message bounces, with the server's words.
    pub(super) fn is_refused(&mut self, outcomes: &[Outcome]) -> bool {
        let server = deliver::server(&self.lane.destination);
        let Some((means, why)) = refusal::about_us(outcomes, server) else { return false };
        if means == Meaning::Blocked && self.lane.destination.otherwise.is_none() {
            return false;
        }
        self.refused = true;
        self.rest(why, true);
        if let Some((Seated { job, _seat }, _)) = self.job.take() {
            self.lanes.pass_on(&self.lane, job, why, true);
        }
        self.reached();
        true
    }

    /// The lane rests: what waits here goes another way or has this outcome, as has what comes
    /// within the next moments.
    pub(super) fn rest(&self, outcome: &Outcome, contact: bool) {
        // Shorter than the pause before a retry, else that would be answered without an attempt.
        let short = limits::LANE_REST.min(self.relay.config().retry.first / 2);
        let mut rest = self.lane.rest_of_failed(short, outcome);
        let server = deliver::server(&self.lane.destination);
        match refusal::about_us(std::slice::from_ref(outcome), server) {
            Some((Meaning::Login | Meaning::Account, _)) => {
                self.barred(outcome);
                rest = limits::LOGIN_REST;
            }
            Some((Meaning::Quota, _)) => rest = limits::QUOTA_REST,
            _ => {}
        }
        let now = self.relay.sys.clock.now();
        if let Some((_, lasts)) = self.relay.line.offline(now) {
            // The longer it lasts, the less a try may bring.
            rest = rest.max(limits::OFFLINE_TRY).max(lasts / 2);
        }
        self.lane.width.has_failed();
        *self.lane.rest.borrow_mut() = Some(Rest {
            until: now + rest,
            urgent: self.relay.urgent.count(),
            outcome: outcome.clone(),
            contact,
            returns: self.relay.line.returns(),
        });
        self.lanes.set_aside(&self.lane, outcome, contact);
    }
}

impl Lanes {
    /// What waits in a lane goes another way, or has this outcome.
    pub(super) fn set_aside(self: &Rc<Self>, lane: &Lane, outcome: &Outcome, contact: bool) {
        for Seated { job, _seat } in lane.waiting.take() {
            self.pass_on(lane, job, outcome, contact);
        }
        self.wake(&lane.parked, usize::MAX);
    }
}
