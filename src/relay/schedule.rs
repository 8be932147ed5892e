//! When to try which message again. Touches nothing but memory; is told the time and the dice.

use crate::{config::Retry, relay::envelope::Id, time::Instant};
use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

/// The messages that wait for an attempt, each with its one moment.
///
/// Memory is in proportion to the messages in it, however often they are woken: there are no stale
/// entries to collect, since a new moment replaces the old one.
#[derive(Debug, Default)]
pub struct Schedule {
    by_moment: BTreeSet<(Instant, Id)>,
    moments: HashMap<Id, Instant>,
}

impl Schedule {
    /// An empty one.
    pub fn new() -> Schedule {
        Schedule::default()
    }

    /// Attempt `id` at `at`, and only then: what was planned for it before no longer counts.
    pub fn wake(&mut self, id: Id, at: Instant) {
        if let Some(before) = self.moments.insert(id, at) {
            self.by_moment.remove(&(before, id));
        }
        self.by_moment.insert((at, id));
    }

    /// The message that is due for longest at `now`, if any. It leaves the schedule: whoever takes
    /// it wakes it again or is done with it.
    pub fn next(&mut self, now: Instant) -> Option<Id> {
        let (at, id) = *self.by_moment.first()?;
        if at > now {
            return None;
        }
        self.forget(id);
        Some(id)
    }

    /// When the next message will be due; `None`: none waits, and there is no need to wake up.
    pub fn soonest(&self) -> Option<Instant> {
        self.by_moment.first().map(|(at, _)| *at)
    }

    /// When `id` is planned; `None`: it is not.
    pub fn planned(&self, id: Id) -> Option<Instant> {
        self.moments.get(&id).copied()
    }

    /// No attempt for `id` (it is held, dropped or done).
    pub fn forget(&mut self, id: Id) {
        if let Some(at) = self.moments.remove(&id) {
            self.by_moment.remove(&(at, id));
        }
    }

    /// How many messages wait.
    pub fn len(&self) -> usize {
        self.moments.len()
    }

    /// Nobody waits.
    pub fn is_empty(&self) -> bool {
        self.moments.is_empty()
    }
}

/// How long to wait after `attempts` attempts: `retry.first`, doubled with each, up to `retry.max`;
/// then 25 % more or less by `chance` (64 random bits), so that what failed together does not come
/// back together.
pub fn backoff(retry: &Retry, attempts: u16, chance: u64) -> Duration {
    let wait = full_wait(retry, attempts);
    // Three quarters, and up to another half.
    wait * 3 / 4 + part(wait / 2, chance)
}

/// How long to wait after a restart, where only the number of attempts is known: anything up to the
/// wait that was running, which is as the rest of it would be spread. What was never tried is due
/// at once.
pub fn respread(retry: &Retry, attempts: u16, chance: u64) -> Duration {
    if attempts == 0 { Duration::ZERO } else { part(full_wait(retry, attempts), chance) }
}

fn full_wait(retry: &Retry, attempts: u16) -> Duration {
    let doublings = u32::from(attempts.saturating_sub(1)).min(31);
    retry.first.saturating_mul(1 << doublings).min(retry.max).min(LONGEST)
}

/// Beyond a year nobody waits; it keeps the arithmetic from overflowing whatever is configured.
const LONGEST: Duration = Duration::from_hours(24 * 366);

/// `chance / 2^64` of `whole`, in milliseconds.
fn part(whole: Duration, chance: u64) -> Duration {
    let share = (whole.as_millis() * u128::from(chance)) >> 64;
    Duration::from_millis(u64::try_from(share).expect("less than the whole, and that is a year"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETRY: Retry = Retry {
        first: Duration::from_mins(1),
        max: Duration::from_hours(4),
        lifetime: Duration::from_hours(120),
        warn_after: Duration::from_hours(4),
    };

    fn id(n: u64) -> Id {
        Id::new(n)
    }

    #[test]
    fn messages_come_in_the_order_of_their_moments_and_not_before() {
        let mut schedule = Schedule::new();
        schedule.wake(id(1), Instant(30));
        schedule.wake(id(2), Instant(10));
        schedule.wake(id(3), Instant(20));
        assert_eq!(schedule.soonest(), Some(Instant(10)));
        assert_eq!(schedule.next(Instant(9)), None);
        assert_eq!(schedule.next(Instant(10)), Some(id(2)));
        assert_eq!(schedule.next(Instant(10)), None);
        assert_eq!(schedule.next(Instant(99)), Some(id(3)));
        assert_eq!(schedule.next(Instant(99)), Some(id(1)));
        assert_eq!((schedule.next(Instant(99)), schedule.soonest()), (None, None));
    }

    #[test]
    fn a_message_woken_twice_is_attempted_once_at_the_later_word() {
        let mut schedule = Schedule::new();
        schedule.wake(id(1), Instant(10));
        schedule.wake(id(1), Instant(50));
        assert_eq!(schedule.next(Instant(49)), None);
        assert_eq!(schedule.planned(id(1)), Some(Instant(50)));
        schedule.wake(id(1), Instant(5));
        assert_eq!(schedule.next(Instant(49)), Some(id(1)));
        assert_eq!(schedule.next(Instant(99)), None);
        assert!(schedule.is_empty());
    }

    #[test]
    fn a_forgotten_message_is_not_attempted() {
        let mut schedule = Schedule::new();
        schedule.wake(id(1), Instant(10));
        schedule.wake(id(2), Instant(10));
        schedule.forget(id(1));
        schedule.forget(id(7));
        assert_eq!(schedule.next(Instant(99)), Some(id(2)));
        assert_eq!(schedule.next(Instant(99)), None);
    }

    #[test]
    fn ten_thousand_messages_woken_often_take_the_room_of_ten_thousand() {
        let mut schedule = Schedule::new();
        for round in 0..20u64 {
            for n in 0..10_000 {
                schedule.wake(id(n), Instant(n * 7919 % 10_007 + round));
            }
        }
        assert_eq!((schedule.len(), schedule.by_moment.len()), (10_000, 10_000));
        let mut seen = vec![false; 10_000];
        while let Some(id) = schedule.next(Instant(u64::MAX)) {
            let place = usize::try_from(id.bits()).expect("small");
            assert!(!std::mem::replace(&mut seen[place], true), "twice");
        }
        assert!(seen.iter().all(|seen| *seen));
        assert!(schedule.is_empty() && schedule.by_moment.is_empty());
    }

    #[test]
    fn the_wait_doubles_from_first_to_max_within_a_quarter() {
        for (attempts, wait) in [(0, 60), (1, 60), (2, 120), (3, 240), (8, 7680), (9, 14_400)] {
            let wait = Duration::from_secs(wait);
            assert_eq!(backoff(&RETRY, attempts, 0), wait * 3 / 4, "{attempts}");
            assert_eq!(backoff(&RETRY, attempts, 1 << 63), wait, "{attempts}");
            let most = backoff(&RETRY, attempts, u64::MAX);
            assert!(most <= wait * 5 / 4 && most + Duration::from_millis(2) > wait * 5 / 4);
        }
        assert_eq!(backoff(&RETRY, u16::MAX, 1 << 63), RETRY.max);
    }

    #[test]
    fn odd_settings_do_not_overflow() {
        let endless = Retry { first: Duration::MAX, max: Duration::MAX, ..RETRY };
        assert_eq!(backoff(&endless, u16::MAX, 1 << 63), LONGEST);
        assert!(respread(&endless, u16::MAX, u64::MAX) < LONGEST);
        let never = Retry { first: Duration::ZERO, ..RETRY };
        assert_eq!(backoff(&never, u16::MAX, u64::MAX), Duration::ZERO);
        let crossed = Retry { first: Duration::from_hours(9), ..RETRY };
        assert_eq!(backoff(&crossed, 1, 1 << 63), RETRY.max);
    }

    #[test]
    fn after_a_restart_waits_are_spread_over_the_wait_that_was_running() {
        assert_eq!(respread(&RETRY, 0, u64::MAX), Duration::ZERO);
        assert_eq!(respread(&RETRY, 3, 0), Duration::ZERO);
        assert_eq!(respread(&RETRY, 3, 1 << 63), Duration::from_mins(2));
        assert!(respread(&RETRY, 3, u64::MAX) < Duration::from_mins(4));
    }
}
