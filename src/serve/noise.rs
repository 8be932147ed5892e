//! What peers can bring about as often as they like (refusals, sessions that break off) is told,
//! but not without end: a flood of it would drown all else in the log and the history, and wear the
//! flash. Measured of a stranger who sends eight bad commands again and again: 4,000 lines and 22
//! MB of index a second.

use crate::{limits, relay::trace::Event, time::Instant};
use std::cell::Cell;

/// What may be told of it, for our own devices and for strangers apart: these must not hide what is
/// wrong with those.
#[derive(Default)]
pub struct Noise {
    house: Bucket,
    strangers: Bucket,
}

/// Holds [`limits::NOISE_TOLD`], loses one with each event, and gets one back in
/// [`limits::NOISE_WAIT`].
#[derive(Default)]
struct Bucket {
    spent: Cell<u32>,
    since: Cell<Instant>,
    untold: Cell<u64>,
}

/// Whether to tell of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tell {
    /// Yes; and that so many before it were not told.
    Yes(u64),
    /// It is counted.
    No,
}

impl Noise {
    /// Whether this kind of event is up to peers.
    pub fn is_noise(event: &Event) -> bool {
        ["refused", "made-room", "broken-off", "timed-out", "tls-failed"]
            .contains(&event.kind.as_str())
    }

    /// Whether to tell of one more.
    pub fn tell(&self, now: Instant, trusted: bool) -> Tell {
        if trusted { self.house.take(now) } else { self.strangers.take(now) }
    }
}

impl Bucket {
    fn take(&self, now: Instant) -> Tell {
        let wait = limits::NOISE_WAIT.as_millis();
        let back = now.since(self.since.get()).as_millis() / wait;
        let spent = self.spent.get().saturating_sub(u32::try_from(back).unwrap_or(u32::MAX));
        if spent == 0 {
            self.since.set(now);
        } else {
            let gone = limits::NOISE_WAIT * u32::try_from(back).unwrap_or(0);
            self.since.set(self.since.get() + gone);
        }
        if spent >= limits::NOISE_TOLD {
            self.spent.set(spent);
            self.untold.set(self.untold.get() + 1);
            return Tell::No;
        }
        self.spent.set(spent + 1);
        Tell::Yes(self.untold.take())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(noise: &Noise, events: u64, every: u64, trusted: bool) -> usize {
        let tell = |n| noise.tell(Instant(n * every), trusted);
        (0..events).filter(|n| tell(*n) != Tell::No).count()
    }

    #[test]
    fn a_flood_is_told_in_part_and_the_rest_is_counted() {
        let noise = Noise::default();
        let most = limits::NOISE_TOLD as usize;
        assert_eq!(told(&noise, 10_000, 0, false), most);
        assert_eq!(told(&noise, 10, 0, true), 10, "the house has its own");
        let later = Instant(0) + limits::NOISE_WAIT;
        assert_eq!(noise.tell(later, false), Tell::Yes(10_000 - u64::from(limits::NOISE_TOLD)));
        assert_eq!(noise.tell(later, false), Tell::No);
        assert_eq!(noise.tell(later + limits::NOISE_WAIT, false), Tell::Yes(1));
    }

    #[test]
    fn what_lasts_is_told_at_its_pace_and_what_is_rare_always() {
        let wait = u64::try_from(limits::NOISE_WAIT.as_millis()).expect("short");
        let day = 24 * 3600 * 1000;
        let flood = told(&Noise::default(), day / 100, 100, false) as u64;
        let most = u64::from(limits::NOISE_TOLD) + day / wait;
        assert!(flood <= most && flood + 2 >= most, "{flood} of {most}");
        let rare = Noise::default();
        assert_eq!(told(&rare, 5_000, wait, false), 5_000);
        let now = Instant(5_000 * wait * 1_000);
        let burst = (0..1_000).filter(|_| rare.tell(now, false) != Tell::No).count();
        assert_eq!(burst, limits::NOISE_TOLD as usize, "quiet fills it up, and not beyond");
    }
}
