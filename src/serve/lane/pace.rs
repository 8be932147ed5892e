//! Ways that take so much in some time and no more.
//!
//! What is over that is parked, as where a lane is full, and woken when its time has come: no
//! attempt is counted, nobody else waits. Where there is another way, and the wait is long, that is
//! taken.

use super::{Lane, Lanes, account};
use crate::{
    limits,
    relay::{
        pace::{Meter, is_bounded},
        route::{self, Destination, NextHop},
        trace::Event,
    },
    time::Instant,
};
use std::rc::Rc;

/// What is counted together: an account, or all that goes straight to the mail servers of domains.
fn meter(destination: &Destination) -> String {
    match destination.next {
        NextHop::Smarthost(..) => account(destination),
        NextHop::Mx(_) => DIRECT.to_string(),
    }
}

const DIRECT: &str = "mx";

impl Lanes {
    /// When the next message may go on this lane; `None`: now.
    pub(super) fn turn(&self, lane: &Lane) -> Option<Instant> {
        let pace = &lane.destination.pace;
        if !is_bounded(pace) {
            return None;
        }
        let now = self.relay.sys.clock.now();
        let meters = self.meters.borrow();
        meters.get(&meter(&lane.destination))?.next(pace, now)
    }

    /// A message goes on this lane.
    pub(super) fn count(&self, lane: &Lane) {
        if is_bounded(&lane.destination.pace) {
            let (now, way) = (self.relay.sys.clock.now(), meter(&lane.destination));
            let is_known = self.meters.borrow().contains_key(&way);
            // Address literals are ways of their own, and there may be any number.
            if !is_known && self.meters.borrow().len() >= limits::LANES {
                self.forget_meters();
            }
            self.meters.borrow_mut().entry(way, Meter::default).count(now);
        }
    }

    /// Nothing more goes on this lane before `until`: what waits there is parked.
    pub(super) fn pause(self: &Rc<Self>, lane: &Rc<Lane>, until: Instant) {
        if lane.paused.get().is_some_and(|known| known >= until) {
            return;
        }
        let first = lane.paused.replace(Some(until)).is_none();
        lane.put_back(&self.relay);
        if first {
            let wait = until.since(self.relay.sys.clock.now()).as_secs();
            let event = Event::new("paced").with("way", account(&lane.destination));
            self.relay.tell(event.with("wait", format!("{wait} s")));
        }
        let (lanes, lane) = (self.clone(), lane.clone());
        self.relay.sys.clone().spawn(async move {
            lanes.relay.sys.clock.sleep_until(until).await;
            if lane.paused.get() == Some(until) {
                lane.paused.set(None);
                // As many as have room; each of them that leaves makes room for one more.
                lanes.wake(&lane.parked, limits::LANE_WAITING);
            }
        });
    }

    /// It takes no more now; with another way, not for so long that the other had better be taken.
    pub(super) fn is_paused_for_long(&self, lane: &Lane) -> bool {
        let now = self.relay.sys.clock.now();
        lane.paused.get().is_some_and(|until| until.since(now) > limits::PACE_PATIENCE)
    }

    /// Meters of ways that there are no more are forgotten.
    pub(super) fn forget_meters(&self) {
        let ways = route::smarthosts(&self.relay.config());
        let ways: Vec<String> = ways.iter().map(|(_, way)| meter(way)).collect();
        let is_there = |way: &String, _: &mut Meter| way == DIRECT || ways.contains(way);
        self.meters.borrow_mut().retain(is_there);
    }
}
