//! Time and chance.

use super::reactor::Reactor;
use crate::{
    limits,
    sys::{Clock, Dice, Pending},
    time::{Instant, Wall},
};
use rustix::rand::{GetRandomFlags, getrandom};
use std::{
    cell::RefCell,
    io,
    time::{SystemTime, UNIX_EPOCH},
};

/// The machine's clocks.
#[derive(Clone, Copy)]
pub(super) struct RealClock {
    start: std::time::Instant,
}

impl RealClock {
    #[expect(clippy::disallowed_methods, reason = "this is where sys.clock comes from")]
    pub(super) fn new() -> RealClock {
        RealClock { start: std::time::Instant::now() }
    }
}

impl RealClock {
    /// Timers of this clock.
    pub(super) fn reactor(self) -> io::Result<Reactor> {
        Reactor::new(self.start)
    }

    /// Monotonic, milliseconds since the start.
    pub(super) fn now(self) -> Instant {
        Instant(u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    #[expect(clippy::disallowed_methods, reason = "this is where sys.clock comes from")]
    pub(super) fn wall() -> Option<Wall> {
        wall_of(SystemTime::now())
    }
}

/// The machine's clocks, with timers.
pub(super) struct TimedClock {
    pub(super) clock: RealClock,
    pub(super) reactor: Reactor,
}

impl Clock for TimedClock {
    fn now(&self) -> Instant {
        self.clock.now()
    }

    fn wall(&self) -> Option<Wall> {
        RealClock::wall()
    }

    fn sleep_until(&self, at: Instant) -> Pending<'static, ()> {
        Box::pin(self.reactor.sleep_until(at))
    }
}

/// A date that can be believed: none from before Waypost was written.
pub(super) fn wall_of(time: SystemTime) -> Option<Wall> {
    let seconds = time.duration_since(UNIX_EPOCH).ok()?.as_secs();
    (seconds >= limits::CLOCK_EPOCH_SECONDS).then_some(Wall(seconds))
}

/// The kernel's random numbers, taken 64 at a time so that a roll is not a system call.
#[derive(Default)]
pub(super) struct RealDice {
    ahead: RefCell<Vec<u64>>,
}

const AHEAD: usize = 64;

impl Dice for RealDice {
    fn roll(&self) -> u64 {
        let mut ahead = self.ahead.borrow_mut();
        if let Some(number) = ahead.pop() {
            return number;
        }
        let mut octets = [0_u8; AHEAD * 8];
        let mut filled = 0;
        while filled < octets.len() {
            // Without flags it waits, early at boot, until the kernel has enough to be
            // unpredictable.
            match getrandom(&mut octets[filled..], GetRandomFlags::empty()) {
                Ok(n) => filled += n,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => panic!("the kernel has no random numbers: {error}"),
            }
        }
        let (numbers, _) = octets.as_chunks::<8>();
        ahead.extend(numbers.iter().map(|number| u64::from_ne_bytes(*number)));
        ahead.pop().expect("it was just filled")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::HashSet, time::Duration};

    #[test]
    fn a_date_before_the_epoch_is_no_date() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(Wall(limits::CLOCK_EPOCH_SECONDS).to_string(), "2026-01-01T00:00:00Z");
        assert_eq!(wall_of(at(0)), None);
        assert_eq!(wall_of(at(limits::CLOCK_EPOCH_SECONDS - 1)), None);
        assert_eq!(
            wall_of(at(limits::CLOCK_EPOCH_SECONDS)),
            Some(Wall(limits::CLOCK_EPOCH_SECONDS))
        );
        assert_eq!(wall_of(UNIX_EPOCH - Duration::from_secs(5)), None);
    }

    #[test]
    fn a_sleep_ends_at_its_time_and_not_before() {
        let clock = RealClock::new();
        let reactor = clock.reactor().unwrap();
        let clock = TimedClock { clock, reactor: reactor.clone() };
        reactor.block_on(clock.sleep_until(Instant(0)));
        let until = clock.now() + Duration::from_millis(3);
        reactor.block_on(clock.sleep_until(until));
        assert!(clock.now() >= until);
        let never = clock.sleep_until(Instant(u64::MAX));
        assert!(reactor.block_on(futures_lite::future::poll_once(never)).is_none());
    }

    #[test]
    fn rolls_do_not_repeat_across_refills() {
        let dice = RealDice::default();
        let rolls: HashSet<u64> = (0..1000).map(|_| dice.roll()).collect();
        assert_eq!(rolls.len(), 1000);
    }
}
