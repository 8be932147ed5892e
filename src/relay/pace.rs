//! How fast a way takes mail: so many messages a minute, an hour, a day. Pure.

use crate::{config::Pace, time::Instant};
use std::{collections::VecDeque, time::Duration};

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// The spans and the messages allowed within them, where there are bounds.
fn bounds(pace: &Pace) -> impl Iterator<Item = (Duration, u32)> {
    let all = [(MINUTE, pace.per_minute), (HOUR, pace.per_hour), (DAY, pace.per_day)];
    all.into_iter().filter_map(|(span, most)| Some((span, most?)))
}

/// Does it bound how many messages go in some time?
pub fn is_bounded(pace: &Pace) -> bool {
    bounds(pace).next().is_some()
}

/// What has gone lately.
#[derive(Clone, Debug, Default)]
pub struct Meter {
    minute: Window,
    hour: Window,
    day: Window,
}

impl Meter {
    /// When the next message may go; `None`: now.
    pub fn next(&self, pace: &Pace, now: Instant) -> Option<Instant> {
        bounds(pace).filter_map(|(span, most)| self.window(span).next(span, most, now)).max()
    }

    /// A message goes.
    pub fn count(&mut self, now: Instant) {
        for (span, window) in
            [(MINUTE, &mut self.minute), (HOUR, &mut self.hour), (DAY, &mut self.day)]
        {
            window.count(span, now);
        }
    }

    fn window(&self, span: Duration) -> &Window {
        match span {
            MINUTE => &self.minute,
            HOUR => &self.hour,
            _ => &self.day,
        }
    }
}

/// Parts that a span is counted in: what has gone in one of them counts until all of it is older
/// than the span.
const PARTS: u64 = 12;

/// Messages by part of a span, oldest first; none of them older than the span.
#[derive(Clone, Debug, Default)]
struct Window(VecDeque<(u64, u32)>);

impl Window {
    fn part(span: Duration, now: Instant) -> u64 {
        now.since(Instant::default()).as_secs() * PARTS / span.as_secs()
    }

    fn count(&mut self, span: Duration, now: Instant) {
        let part = Window::part(span, now);
        while self.0.front().is_some_and(|(old, _)| old + PARTS < part) {
            self.0.pop_front();
        }
        match self.0.back_mut() {
            Some((last, n)) if *last == part => *n = n.saturating_add(1),
            _ => self.0.push_back((part, 1)),
        }
    }

    fn next(&self, span: Duration, most: u32, now: Instant) -> Option<Instant> {
        let part = Window::part(span, now);
        let counts = || self.0.iter().filter(|(old, _)| old + PARTS >= part);
        let mut sum: u64 = counts().map(|(_, n)| u64::from(*n)).sum();
        for (old, n) in counts() {
            if sum < most.into() {
                break;
            }
            sum -= u64::from(*n);
            if sum < most.into() {
                // Rounded up, so that it is over then.
                let seconds = ((old + PARTS + 1) * span.as_secs()).div_ceil(PARTS);
                return Some(Instant::default() + Duration::from_secs(seconds));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::default() + Duration::from_secs(seconds)
    }

    /// Send as soon as allowed, `count` messages; when each went.
    fn times(pace: Pace, count: usize) -> Vec<u64> {
        let (mut meter, mut now, mut times) = (Meter::default(), at(1234), Vec::new());
        while times.len() < count {
            match meter.next(&pace, now) {
                None => {
                    meter.count(now);
                    times.push(now.since(Instant::default()).as_secs());
                }
                Some(next) => {
                    assert!(next > now, "time goes on");
                    now = next;
                }
            }
        }
        times
    }

    #[test]
    fn never_more_than_allowed_in_any_span_and_hardly_less() {
        for (pace, span, most) in [
            (Pace { per_minute: Some(1), ..Pace::default() }, 60, 1),
            (Pace { per_minute: Some(30), ..Pace::default() }, 60, 30),
            (Pace { per_hour: Some(7), ..Pace::default() }, 3600, 7),
            (Pace { per_day: Some(500), ..Pace::default() }, 86_400, 500),
        ] {
            let times = times(pace, 4 * most);
            for (n, first) in times.iter().enumerate() {
                let within = times[n..].iter().filter(|time| **time < first + span).count();
                assert!(within <= most, "{within} of {most} within {span} s");
            }
            let took = times[4 * most - 1] - times[0];
            assert!(took <= 3 * span + span / 2, "{took} s for four times {most} in {span} s");
        }
    }

    #[test]
    fn the_narrowest_bound_counts_and_without_one_all_may_go() {
        let pace = Pace { per_minute: Some(2), per_hour: Some(3), ..Pace::default() };
        let times = times(pace, 4);
        assert_eq!(times[1] - times[0], 0);
        assert!((60..=66).contains(&(times[2] - times[0])), "{times:?}");
        assert!((3600..=3900).contains(&(times[3] - times[0])), "{times:?}");
        let mut meter = Meter::default();
        for _ in 0..1000 {
            assert_eq!(meter.next(&Pace::default(), at(5)), None);
            meter.count(at(5));
        }
        assert!(!is_bounded(&Pace { connections: Some(1), ..Pace::default() }));
    }

    #[test]
    fn a_meter_stays_small() {
        let mut meter = Meter::default();
        for second in 0..1_000_000 {
            meter.count(at(second));
        }
        let kept = meter.minute.0.len() + meter.hour.0.len() + meter.day.0.len();
        assert!(kept <= 3 * (usize::try_from(PARTS).expect("small") + 2), "{kept}");
    }
}
