//! What is owed, and when it is due next: the part of the spool's content that is kept in memory.
//!
//! A message is *waiting* for its time, *sending*, *parked* until its destination has room, or
//! *held* by a person. Its envelope and progress stay in the spool and are read for each attempt:
//! ten thousand messages cost a few hundred kilobytes here.
//!
//! ```text
//!            next            park            unpark
//! Waiting ────────▶ Sending ──────▶ Parked ────────▶ Waiting
//!    ▲ put_off, again  │ ▲ take
//!    └─────────────────┘ └────── Waiting, Parked, Held ◀────── give_back
//! ```

use crate::{
    relay::{
        envelope::{Id, Progress},
        schedule::Schedule,
        spool::Entry,
    },
    sys::Signal,
    time::{Instant, Wall},
};
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Where a message stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Due at this time.
    Waiting(Instant),
    /// An attempt is going on, or a person is changing it: it is in one hand.
    Sending,
    /// Due, and the way it goes has enough to do: it is woken when there is room.
    Parked,
    /// A person holds it.
    Held,
}

/// One message of the queue.
#[derive(Clone, Copy, Debug)]
pub struct Item {
    /// Where it stands.
    pub state: State,
    /// Octets.
    pub size: u64,
    /// When it was accepted, if the clock was set then.
    pub arrived: Option<Wall>,
    /// When its last attempt ended, or it came, was released, or the relay started: time since then
    /// may count against its lifetime.
    pub since: Instant,
    /// The last so many attempts reached nobody: it is made again at once when somebody is reached.
    pub offline: u16,
    /// It came since the relay started, and no attempt has ended: nothing of it can have been
    /// delivered.
    pub fresh: bool,
}

/// All messages that are owed. Bounded by the room of the spool.
#[derive(Default)]
pub struct Queue {
    items: RefCell<BTreeMap<Id, Item>>,
    schedule: RefCell<Schedule>,
    /// Those whose last attempt reached nobody.
    offline: RefCell<BTreeSet<Id>>,
    /// How far messages got whose last attempt the spool could not note. Bounded as the queue is.
    unsettled: RefCell<BTreeMap<Id, Progress>>,
    work: Signal,
}

impl Queue {
    /// Take a new message in; it is due now.
    pub fn add(&self, entry: &Entry, now: Instant) {
        self.insert(entry, now, State::Waiting(now), true);
    }

    /// Take in a message that the spool has kept over a restart; it is due at `at`.
    pub fn add_kept(&self, entry: &Entry, now: Instant, at: Instant) {
        let state = if entry.held { State::Held } else { State::Waiting(at) };
        self.insert(entry, now, state, false);
    }

    fn insert(&self, entry: &Entry, now: Instant, state: State, fresh: bool) {
        let (size, arrived) = (entry.size, entry.arrived);
        let item = Item { state, size, arrived, since: now, offline: 0, fresh };
        self.items.borrow_mut().insert(entry.id, item);
        self.plan(entry.id, state);
    }

    /// The schedule follows the state.
    fn plan(&self, id: Id, state: State) {
        let mut schedule = self.schedule.borrow_mut();
        if let State::Waiting(at) = state {
            schedule.wake(id, at);
            drop(schedule);
            self.work.raise();
        } else {
            schedule.forget(id);
        }
    }

    /// The next message that is due, now sending; or when there will be one (`None`: nobody waits).
    pub fn next(&self, now: Instant) -> Result<Id, Option<Instant>> {
        loop {
            let mut schedule = self.schedule.borrow_mut();
            let Some(id) = schedule.next(now) else { return Err(schedule.soonest()) };
            if let Some(item) = self.items.borrow_mut().get_mut(&id)
                && matches!(item.state, State::Waiting(at) if at <= now)
            {
                item.state = State::Sending;
                return Ok(id);
            }
        }
    }

    /// Waits for something new to do.
    pub fn work(&self) -> &Signal {
        &self.work
    }

    /// An attempt is over and left something owed: due again at `at`.
    pub fn put_off(&self, id: Id, now: Instant, at: Instant, offline: bool) {
        let Some(item) = self.change(id, State::Waiting(at)) else { return };
        let row = if offline { item.offline.saturating_add(1) } else { 0 };
        let tried = Item { since: now, offline: row, fresh: false, ..item };
        self.items.borrow_mut().insert(id, tried);
        let mut waiting = self.offline.borrow_mut();
        let _known = if offline { waiting.insert(id) } else { waiting.remove(&id) };
    }

    /// An attempt came to nothing before it had begun, or a part of it did: due again at once.
    /// `tried`: something was tried all the same.
    pub fn again(&self, id: Id, now: Instant, tried: bool) {
        if let Some(item) = self.change(id, State::Waiting(now)) {
            let fresh = item.fresh && !tried;
            self.items.borrow_mut().insert(id, Item { fresh, ..item });
        }
    }

    /// As [`Queue::again`], but not before [`Queue::unpark`].
    pub fn park(&self, id: Id, now: Instant, tried: bool) {
        self.again(id, now, tried);
        self.change(id, State::Parked);
    }

    /// A parked message is due. False where it is not parked (any more).
    pub fn unpark(&self, id: Id, now: Instant) -> bool {
        let parked = self.item(id).is_some_and(|item| item.state == State::Parked);
        parked && self.change(id, State::Waiting(now)).is_some()
    }

    /// Give it a state; as it is now.
    fn change(&self, id: Id, state: State) -> Option<Item> {
        let item = {
            let mut items = self.items.borrow_mut();
            let item = items.get_mut(&id)?;
            item.state = state;
            *item
        };
        self.plan(id, state);
        Some(item)
    }

    /// The spool could not keep how far a message got: known here, until it can.
    pub fn remember(&self, id: Id, progress: Progress) {
        if self.items.borrow().contains_key(&id) {
            self.unsettled.borrow_mut().insert(id, progress);
        }
    }

    /// The spool knows.
    pub fn settled(&self, id: Id) {
        self.unsettled.borrow_mut().remove(&id);
    }

    /// What the spool does not know of a message.
    pub fn recall(&self, id: Id) -> Option<Progress> {
        self.unsettled.borrow().get(&id).cloned()
    }

    /// Nothing more is owed.
    pub fn remove(&self, id: Id) {
        self.items.borrow_mut().remove(&id);
        self.unsettled.borrow_mut().remove(&id);
        self.offline.borrow_mut().remove(&id);
        self.schedule.borrow_mut().forget(id);
    }

    /// Take it in hand: nobody else does anything with it until [`Queue::give_back`] or
    /// [`Queue::remove`]. Tells how it stood; `None` where it is in a hand already, or not here.
    pub fn take(&self, id: Id) -> Option<State> {
        let state = self.item(id).map(|item| item.state).filter(|s| *s != State::Sending)?;
        self.change(id, State::Sending);
        Some(state)
    }

    /// Put down what was taken in hand. The time for which it was held does not count.
    pub fn give_back(&self, id: Id, was: State, now: Instant, state: State) {
        // Whoever would have woken it may have come by meanwhile.
        let state = if state == State::Parked { State::Waiting(now) } else { state };
        if let Some(item) = self.change(id, state)
            && was == State::Held
        {
            self.items.borrow_mut().insert(id, Item { since: now, ..item });
        }
    }

    /// Due now, unless it is held. False where it is held, sending or not here.
    pub fn hasten(&self, id: Id, now: Instant) -> bool {
        match self.item(id).map(|item| item.state) {
            Some(State::Waiting(at)) => {
                if at > now {
                    self.change(id, State::Waiting(now));
                }
                true
            }
            Some(State::Parked) => true,
            Some(State::Sending | State::Held) | None => false,
        }
    }

    /// Everything that waits only because nobody could be reached is due again, spread over a few
    /// seconds.
    pub fn line_is_up(&self, now: Instant) {
        let mut delay = Duration::ZERO;
        for id in self.offline.take() {
            let Some(item) = self.item(id) else { continue };
            self.items.borrow_mut().insert(id, Item { offline: 0, ..item });
            if matches!(item.state, State::Waiting(at) if at > now + delay) {
                self.change(id, State::Waiting(now + delay));
                delay += Duration::from_millis(5);
            }
        }
    }

    /// One message.
    pub fn item(&self, id: Id) -> Option<Item> {
        self.items.borrow().get(&id).copied()
    }

    /// How many messages.
    pub fn len(&self) -> usize {
        self.items.borrow().len()
    }

    /// Nothing is owed.
    pub fn is_empty(&self) -> bool {
        self.items.borrow().is_empty()
    }

    /// A page of the messages, in the order of their next attempt, those held last.
    pub fn page(&self, offset: usize, limit: usize) -> Vec<(Id, Item)> {
        let items = self.items.borrow();
        let mut order: Vec<(u8, Instant, Id)> = items
            .iter()
            .map(|(id, item)| match item.state {
                State::Sending => (0, Instant::default(), *id),
                State::Parked => (1, Instant::default(), *id),
                State::Waiting(at) => (1, at, *id),
                State::Held => (2, Instant::default(), *id),
            })
            .collect();
        order.sort_unstable();
        let page = order.into_iter().skip(offset).take(limit);
        page.filter_map(|(_, _, id)| items.get(&id).map(|item| (id, *item))).collect()
    }

    /// Ids of all messages.
    pub fn ids(&self) -> Vec<Id> {
        self.items.borrow().keys().copied().collect()
    }

    /// Messages that wait and were tried without reaching anybody.
    pub fn offline(&self) -> usize {
        self.offline.borrow().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: Id) -> Entry {
        Entry {
            id,
            size: 10,
            recipients: 1,
            attempts: 0,
            held: false,
            warned: false,
            spent: Duration::ZERO,
            arrived: None,
        }
    }

    const NOW: Instant = Instant(1_000);
    const A: Id = Id::new(1);
    const B: Id = Id::new(2);

    #[test]
    fn each_message_is_attempted_once_at_its_time() {
        let queue = Queue::default();
        queue.add(&entry(A), NOW);
        queue.add_kept(&entry(B), NOW, NOW + Duration::from_secs(1));
        assert_eq!(queue.next(NOW), Ok(A));
        assert_eq!(queue.next(NOW), Err(Some(Instant(2_000))));
        queue.put_off(A, NOW, Instant(1_500), false);
        assert_eq!(queue.next(Instant(1_500)), Ok(A));
        queue.remove(A);
        assert_eq!(queue.next(Instant(2_000)), Ok(B));
        queue.remove(B);
        assert_eq!(queue.next(Instant(9_000)), Err(None));
        assert!(queue.is_empty());
    }

    #[test]
    fn what_is_hastened_twice_is_attempted_once() {
        let queue = Queue::default();
        queue.add_kept(&entry(A), NOW, NOW + Duration::from_mins(1));
        assert!(queue.hasten(A, NOW));
        assert!(queue.hasten(A, NOW));
        assert_eq!(queue.next(NOW), Ok(A));
        assert!(!queue.hasten(A, NOW), "it is sending");
        assert!(queue.next(NOW).is_err());
    }

    #[test]
    fn what_is_held_waits_for_its_release_and_that_time_does_not_count() {
        let queue = Queue::default();
        let later = NOW + Duration::from_hours(9);
        queue.add(&entry(A), NOW);
        let was = queue.take(A).expect("it waits");
        assert_eq!(queue.take(A), None, "it is in one hand");
        queue.give_back(A, was, NOW, State::Held);
        assert_eq!(queue.next(later), Err(None));
        assert!(!queue.hasten(A, NOW), "it is held");
        assert_eq!(queue.take(A), Some(State::Held));
        queue.give_back(A, State::Held, later, State::Waiting(later));
        assert_eq!(queue.next(later), Ok(A));
        assert_eq!(queue.item(A).map(|item| item.since), Some(later));
        assert_eq!(queue.take(B), None, "unknown");
    }

    #[test]
    fn what_is_parked_waits_for_its_destination() {
        let queue = Queue::default();
        queue.add(&entry(A), NOW);
        assert_eq!(queue.next(NOW), Ok(A));
        queue.park(A, NOW, false);
        assert_eq!(queue.next(NOW + Duration::from_hours(9)), Err(None));
        assert!(queue.item(A).is_some_and(|item| item.fresh && item.since == NOW));
        assert!(queue.hasten(A, NOW), "it is due already");
        assert_eq!(queue.next(NOW), Err(None));
        assert!(queue.unpark(A, NOW) && !queue.unpark(A, NOW));
        assert_eq!(queue.next(NOW), Ok(A));
        queue.park(A, NOW, true);
        assert!(queue.item(A).is_some_and(|item| !item.fresh));
        let was = queue.take(A).expect("it is parked");
        assert!(!queue.unpark(A, NOW), "it is in hand");
        queue.give_back(A, was, NOW, was);
        assert_eq!(queue.next(NOW), Ok(A), "nobody else would wake it");
    }

    #[test]
    fn attempts_that_reach_nobody_are_counted_until_somebody_is_reached() {
        let queue = Queue::default();
        queue.add(&entry(A), NOW);
        for n in 1..=3 {
            queue.put_off(A, NOW, NOW, true);
            assert_eq!(queue.item(A).map(|item| item.offline), Some(n));
        }
        queue.put_off(A, NOW, NOW, false);
        assert_eq!(queue.item(A).map(|item| item.offline), Some(0));
    }

    #[test]
    fn what_the_spool_could_not_note_is_recalled_until_it_could_and_gone_with_its_message() {
        let queue = Queue::default();
        let progress = Progress { attempts: 7, ..Progress::new(1) };
        queue.remember(A, progress.clone());
        assert_eq!(queue.recall(A), None, "it is not in the queue");
        queue.add(&entry(A), NOW);
        queue.remember(A, progress.clone());
        assert_eq!(queue.recall(A), Some(progress.clone()));
        queue.settled(A);
        assert_eq!(queue.recall(A), None);
        queue.remember(A, progress);
        queue.remove(A);
        assert_eq!(queue.recall(A), None);
    }

    #[test]
    fn what_waits_for_the_line_is_due_when_it_is_up() {
        let queue = Queue::default();
        for (id, offline) in [(A, true), (B, false)] {
            queue.add(&entry(id), NOW);
            assert_eq!(queue.next(NOW), Ok(id));
            queue.put_off(id, NOW, NOW + Duration::from_mins(5), offline);
        }
        assert_eq!(queue.offline(), 1);
        queue.line_is_up(NOW);
        assert_eq!(queue.next(NOW), Ok(A));
        assert!(queue.next(NOW).is_err());
        assert_eq!(queue.offline(), 0);
        queue.put_off(A, NOW, NOW + Duration::from_mins(5), true);
        queue.remove(A);
        assert_eq!(queue.offline(), 0);
    }
}
