//! Connections: who may have one, and that each is counted for as long as it lasts.

use super::{Lane, Lanes, Run};
use crate::{limits, relay::transcripts::Scribe};
use std::rc::Rc;

impl Lanes {
    /// Open one more connection for a lane, if there should and may be one.
    pub(super) fn serve(self: &Rc<Self>, lane: &Rc<Lane>) {
        let most = lane.connections().min(lane.width.get());
        let ready = lane.idle.get() + lane.opening.get();
        let enough = lane.waiting.borrow().len() <= ready || lane.runners.get() >= most;
        if enough {
            return;
        }
        let on_trial = lane.width.is_failing();
        let room = self.connections.get() < limits::CONNECTIONS
            && (!on_trial || self.trials.get() < limits::CONNECTIONS_ON_TRIAL);
        if room {
            self.relay.sys.spawn(Run::new(self, lane).go());
        } else if lane.runners.get() == 0 && !lane.starved.replace(true) {
            let starved = if on_trial { &self.starved_on_trial } else { &self.starved };
            starved.borrow_mut().push_back(lane.clone());
        }
    }

    /// There is room for a connection: who waits for one may have it, those that may work first.
    fn feed(self: &Rc<Self>) {
        let next = self.starved.borrow_mut().pop_front();
        let next = next.or_else(|| {
            let room = self.trials.get() < limits::CONNECTIONS_ON_TRIAL;
            room.then(|| self.starved_on_trial.borrow_mut().pop_front()).flatten()
        });
        if let Some(lane) = next {
            lane.starved.set(false);
            self.serve(&lane);
        }
    }
}

impl Run {
    pub(super) fn new(lanes: &Rc<Lanes>, lane: &Rc<Lane>) -> Run {
        lane.runners.set(lane.runners.get() + 1);
        lane.opening.set(lane.opening.get() + 1);
        lanes.connections.set(lanes.connections.get() + 1);
        let on_trial = lane.width.is_failing();
        lanes.trials.set(lanes.trials.get() + usize::from(on_trial));
        Run {
            relay: lanes.relay.clone(),
            lanes: lanes.clone(),
            lane: lane.clone(),
            job: None,
            carried: 0,
            tls: String::new(),
            refused: false,
            opening: true,
            on_trial,
            scribe: Scribe::default(),
        }
    }

    /// It is there, or will never be.
    fn opened(&mut self) {
        if std::mem::take(&mut self.opening) {
            self.lane.opening.set(self.lane.opening.get() - 1);
        }
        if std::mem::take(&mut self.on_trial) {
            self.lanes.trials.set(self.lanes.trials.get() - 1);
        }
    }

    /// A server is ready for mail: the first of a connection's jobs is about to leave.
    pub(super) fn is_ready(&mut self) {
        let was = self.lane.width.get();
        self.opened();
        self.lane.width.is_ready();
        for _ in was..self.lane.width.get() {
            self.lanes.serve(&self.lane);
        }
        // What had no room while nothing was known, and whoever waits for a trial to end.
        self.lanes.wake(&self.lane.parked, limits::LANE_WAITING);
        self.lanes.feed();
    }
}

/// Whatever ends a run, a panic included: the lane knows, and what waits is not left alone.
impl Drop for Run {
    fn drop(&mut self) {
        self.opened();
        self.lane.runners.set(self.lane.runners.get() - 1);
        self.lanes.connections.set(self.lanes.connections.get() - 1);
        if self.lane.runners.get() == 0 {
            // Dropped jobs come back to the queue.
            drop(self.lane.waiting.take());
            if self.lane.paused.get().is_none() {
                self.lanes.wake(&self.lane.parked, usize::MAX);
            }
        }
        self.lanes.feed();
    }
}
