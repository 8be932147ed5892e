//! Failed logins by peer: who failed too often must wait, longer each time.

use crate::{limits, time::Instant};
use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};

/// A peer as failures are counted for it: an IPv4 address or an IPv6 /64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Source(IpAddr);

impl Source {
    pub(super) fn of(peer: IpAddr) -> Source {
        Source(match peer.to_canonical() {
            IpAddr::V6(six) => IpAddr::V6(Ipv6Addr::from_bits(six.to_bits() >> 64 << 64)),
            four @ IpAddr::V4(_) => four,
        })
    }
}

#[derive(Clone, Copy)]
struct Failures {
    count: u32,
    last: Instant,
    /// No login before this.
    until: Instant,
}

impl Failures {
    fn are_stale(&self, now: Instant) -> bool {
        now.since(self.last.max(self.until)) >= limits::LOGIN_FAILURES_KEPT
    }
}

/// Failures of at most [`limits::LOGIN_PEERS`] sources; where there are more, the one that has been
/// quiet for longest is forgotten.
#[derive(Default)]
pub(super) struct Throttle(HashMap<Source, Failures>);

impl Throttle {
    /// How long this source must still wait.
    pub(super) fn wait(&self, source: Source, now: Instant) -> Option<Duration> {
        let wait = self.0.get(&source)?.until.since(now);
        (!wait.is_zero()).then_some(wait)
    }

    /// Another failure. From the `most`-th on (at least the first), the source must wait.
    pub(super) fn fail(&mut self, source: Source, most: u32, now: Instant) {
        if !self.0.contains_key(&source) && self.0.len() >= limits::LOGIN_PEERS {
            self.make_room(now);
        }
        let fresh = Failures { count: 0, last: now, until: now };
        let failures = self.0.entry(source).or_insert(fresh);
        if failures.are_stale(now) {
            *failures = fresh;
        }
        failures.count = failures.count.saturating_add(1);
        failures.last = now;
        if let Some(beyond) = failures.count.checked_sub(most.max(1)) {
            let doubled = 2_u32.checked_pow(beyond).unwrap_or(u32::MAX);
            let penalty = limits::LOGIN_PENALTY.saturating_mul(doubled);
            failures.until = now + penalty.min(limits::LOGIN_PENALTY_MAX);
        }
    }

    /// A login succeeded: nothing is held against the source any more.
    pub(super) fn forget(&mut self, source: Source) {
        self.0.remove(&source);
    }

    fn make_room(&mut self, now: Instant) {
        self.0.retain(|_, failures| !failures.are_stale(now));
        if self.0.len() >= limits::LOGIN_PEERS
            && let Some(quiet) = self.0.iter().min_by_key(|(_, f)| f.last.max(f.until))
        {
            let quiet = *quiet.0;
            self.0.remove(&quiet);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source::of(text.parse().expect("an address"))
    }

    #[test]
    fn the_wait_begins_at_the_bound_doubles_and_ends_growing() {
        let (mut throttle, peer, mut now) = (Throttle::default(), source("192.0.2.1"), Instant(0));
        throttle.fail(peer, 2, now);
        assert_eq!(throttle.wait(peer, now), None, "one of two");
        let mut waits = Vec::new();
        for _ in 0..9 {
            throttle.fail(peer, 2, now);
            let wait = throttle.wait(peer, now).expect("too many");
            waits.push(wait.as_secs());
            now = now + wait;
            assert_eq!(throttle.wait(peer, now), None, "the wait is over");
        }
        assert_eq!(waits, [10, 20, 40, 80, 160, 320, 640, 900, 900]);
        for _ in 0..100 {
            throttle.fail(peer, 2, now);
        }
        assert_eq!(throttle.wait(peer, now), Some(limits::LOGIN_PENALTY_MAX));
    }

    #[test]
    fn a_source_that_is_quiet_or_succeeds_begins_anew() {
        let (mut throttle, peer, now) = (Throttle::default(), source("192.0.2.1"), Instant(7));
        throttle.fail(peer, 2, now);
        throttle.fail(peer, 2, now + limits::LOGIN_FAILURES_KEPT);
        assert_eq!(throttle.wait(peer, now + limits::LOGIN_FAILURES_KEPT), None);
        throttle.forget(peer);
        throttle.fail(peer, 2, now);
        assert_eq!(throttle.wait(peer, now), None);
        throttle.fail(peer, 2, now);
        throttle.forget(peer);
        assert_eq!(throttle.wait(peer, now), None);
    }

    #[test]
    fn ipv6_counts_by_household_and_ipv4_by_address() {
        assert_eq!(source("2001:db8::1"), source("2001:db8::ffff:1"));
        assert_ne!(source("2001:db8::1"), source("2001:db8:0:1::1"));
        assert_eq!(source("::ffff:192.0.2.1"), source("192.0.2.1"));
        assert_ne!(source("192.0.2.1"), source("192.0.2.2"));
    }

    #[test]
    fn sources_are_bounded_and_the_quietest_makes_room() {
        let mut throttle = Throttle::default();
        let nth =
            |n: usize| Source::of(IpAddr::from(u32::try_from(n).expect("small").to_be_bytes()));
        for n in 0..limits::LOGIN_PEERS {
            throttle.fail(nth(n), 1, Instant(n as u64));
        }
        assert!(throttle.wait(nth(0), Instant(0)).is_some(), "all of them are kept");
        throttle.fail(nth(limits::LOGIN_PEERS), 1, Instant(5000));
        assert_eq!(throttle.0.len(), limits::LOGIN_PEERS);
        assert_eq!(throttle.wait(nth(0), Instant(0)), None, "the quietest is gone");
        assert!(throttle.wait(nth(1), Instant(0)).is_some());
    }
}
