//! How many connections there may be, and which one makes room for a new one.

use super::talk::Stage;
use crate::{limits, sys::Signal, time::Instant};
use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

/// Connections of one listener.
#[derive(Default)]
pub(super) struct Seats {
    taken: RefCell<Vec<Place>>,
    next: Cell<u64>,
}

struct Place {
    number: u64,
    stage: Stage,
    since: Instant,
    leave: Signal,
}

/// The right to be connected; given back when dropped.
pub(super) struct Seat {
    seats: Rc<Seats>,
    number: u64,
    leave: Signal,
}

impl Seats {
    /// A seat for a new connection; `None` where all are answering somebody at this moment. Where
    /// all are taken, who has waited the longest between two requests gets up, else who has taken
    /// the longest over sending one.
    pub(super) fn take(self: &Rc<Seats>, now: Instant) -> Option<Seat> {
        let mut taken = self.taken.borrow_mut();
        if taken.len() >= limits::WEB_CONNECTIONS {
            let free = taken.iter().filter(|p| p.stage != Stage::Busy);
            let number = free.min_by_key(|p| (p.stage, p.since))?.number;
            taken.retain(|p| {
                if p.number == number {
                    p.leave.raise();
                }
                p.number != number
            });
        }
        let number = self.next.get();
        self.next.set(number + 1);
        let leave = Signal::default();
        taken.push(Place { number, stage: Stage::Reading, since: now, leave: leave.clone() });
        Some(Seat { seats: self.clone(), number, leave })
    }

    /// Connections at present.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.taken.borrow().len()
    }
}

impl Seat {
    /// What the connection does from now on.
    pub(super) fn stage(&self, stage: Stage, now: Instant) {
        let mut taken = self.seats.taken.borrow_mut();
        if let Some(place) = taken.iter_mut().find(|p| p.number == self.number)
            && place.stage != stage
        {
            place.stage = stage;
            place.since = now;
        }
    }

    /// Until somebody else needs the seat more.
    pub(super) async fn taken_away(&self) {
        self.leave.past(0).await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.taken.borrow_mut().retain(|p| p.number != self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite::future::{block_on, poll_once};

    fn full() -> (Rc<Seats>, Vec<Seat>) {
        let seats = Rc::new(Seats::default());
        let taken = (0..limits::WEB_CONNECTIONS as u64)
            .map(|n| seats.take(Instant(n)).expect("free"))
            .collect();
        (seats, taken)
    }

    fn must_leave(seat: &Seat) -> bool {
        block_on(poll_once(seat.taken_away())).is_some()
    }

    #[test]
    fn the_idle_one_makes_room_before_the_slow_one_and_the_busy_one_never() {
        let (seats, mut taken) = full();
        let last = taken.len() - 1;
        for (n, seat) in taken.iter().enumerate() {
            let stage = if n == last { Stage::Idle } else { Stage::Reading };
            seat.stage(stage, Instant(100));
        }
        taken.push(seats.take(Instant(200)).expect("the idle one leaves"));
        assert!(must_leave(&taken[last]) && !must_leave(&taken[0]));
        taken[last + 1].stage(Stage::Busy, Instant(200));
        taken[0].stage(Stage::Busy, Instant(200));
        taken.push(seats.take(Instant(201)).expect("a slow one leaves"));
        assert!(must_leave(&taken[1]) && !must_leave(&taken[0]));
        assert_eq!(seats.count(), limits::WEB_CONNECTIONS);
        for seat in &taken {
            seat.stage(Stage::Busy, Instant(202));
        }
        assert!(seats.take(Instant(203)).is_none());
        drop(taken);
        assert_eq!(seats.count(), 0);
    }

    #[test]
    fn waiting_is_counted_from_the_last_change_of_stage() {
        let (seats, taken) = full();
        for stage in [Stage::Busy, Stage::Idle, Stage::Reading] {
            taken[0].stage(stage, Instant(60));
        }
        let _new = seats.take(Instant(70)).expect("one is slow");
        assert!(must_leave(&taken[1]) && !must_leave(&taken[0]));
    }

    #[test]
    fn who_has_just_come_is_not_sent_away_for_the_next_one() {
        let (seats, mut taken) = full();
        taken.push(seats.take(Instant(100)).expect("the oldest leaves"));
        taken.push(seats.take(Instant(100)).expect("the next oldest leaves"));
        let leaving: Vec<_> = taken.iter().map(must_leave).collect();
        assert!(leaving[0] && leaving[1] && leaving[2..].iter().all(|leaves| !leaves));
    }
}
