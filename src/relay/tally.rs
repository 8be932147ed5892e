//! What came and went, by the hour and by the day, for the page's charts: counted in memory, kept
//! in the index.

use crate::{
    limits,
    pairs::Pairs,
    sys::{IndexChange, Order, Range, Sys},
    time::Wall,
};
use std::cell::{Cell, RefCell};

const TREE: &str = "tally";
const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

/// Kinds of things that are counted.
pub const KINDS: usize = 4;

/// Received, delivered, failed, refused, in some time.
pub type Counts = [u64; KINDS];

/// All that is counted.
#[derive(Default)]
pub struct Tally {
    hours: RefCell<Pairs<u64, Counts>>,
    days: RefCell<Pairs<u64, Counts>>,
    /// What the figures since the start were when they were last looked at.
    seen: Cell<Counts>,
    changed: Cell<bool>,
}

impl Tally {
    /// Add what the figures since the start have grown by to the present hour and day. Without a
    /// clock it waits.
    pub fn look(&self, wall: Option<Wall>, figures: Counts) {
        let Some(Wall(now)) = wall else { return };
        let seen = self.seen.replace(figures);
        let grown: Counts = std::array::from_fn(|n| figures[n].saturating_sub(seen[n]));
        if grown == Counts::default() {
            return;
        }
        self.changed.set(true);
        for (counts, step, most) in
            [(&self.hours, HOUR, limits::TALLY_HOURS), (&self.days, DAY, limits::TALLY_DAYS)]
        {
            let mut counts = counts.borrow_mut();
            let present = counts.entry(now / step, Counts::default);
            for (count, grown) in present.iter_mut().zip(grown) {
                *count += grown;
            }
            while counts.len() > most {
                counts.pop_first();
            }
        }
    }

    /// These figures are other than those that were looked at last.
    pub fn is_behind(&self, figures: Counts) -> bool {
        self.seen.get() != figures
    }

    /// The last hours, the present one last; none where the clock is not set.
    pub fn hours(&self, wall: Option<Wall>) -> Vec<Counts> {
        last(&self.hours.borrow(), wall, HOUR, limits::TALLY_HOURS)
    }

    /// The last days.
    pub fn days(&self, wall: Option<Wall>) -> Vec<Counts> {
        last(&self.days.borrow(), wall, DAY, limits::TALLY_DAYS)
    }

    /// What is to be written to the index, if anything has changed.
    pub fn changes(&self) -> Vec<IndexChange> {
        if !self.changed.replace(false) {
            return Vec::new();
        }
        let change = |key: &str, counts: &Pairs<u64, Counts>| {
            let text = written(counts);
            IndexChange { tree: TREE, key: key.into(), value: Some(text.into_bytes()) }
        };
        let mut changes = Vec::new();
        for (name, counts) in [("days", &self.days), ("hours", &self.hours)] {
            for (n, part) in parts(&counts.borrow()).iter().enumerate() {
                changes.push(change(&format!("{name}{n}"), part));
            }
        }
        changes
    }

    /// What was counted before the start.
    pub async fn load(&self, sys: &Sys) {
        let range =
            Range { prefix: b"", from: None, order: Order::Rising, limit: limits::TALLY_PARTS };
        let found = sys.within(limits::CLIENTS_INDEX_WAIT, sys.index.scan(TREE, range)).await;
        for (key, value) in found.and_then(Result::ok).unwrap_or_default() {
            let place = if key.starts_with(b"days") { &self.days } else { &self.hours };
            let text = String::from_utf8_lossy(&value).into_owned();
            let mut place = place.borrow_mut();
            for (at, counts) in text.lines().filter_map(read) {
                let all = place.entry(at, Counts::default);
                for (count, more) in all.iter_mut().zip(counts) {
                    *count += more;
                }
            }
        }
    }
}

/// In pieces that fit the index.
fn parts(counts: &Pairs<u64, Counts>) -> Vec<Pairs<u64, Counts>> {
    let all: Vec<(u64, Counts)> = counts.iter().map(|(at, counts)| (*at, *counts)).collect();
    all.chunks(limits::TALLY_PART).map(|part| part.iter().copied().collect()).collect()
}

fn last(counts: &Pairs<u64, Counts>, wall: Option<Wall>, step: u64, most: usize) -> Vec<Counts> {
    let Some(Wall(now)) = wall else { return Vec::new() };
    let now = now / step;
    let first = (now + 1).saturating_sub(most as u64);
    (first..=now).map(|at| counts.get(&at).copied().unwrap_or_default()).collect()
}

fn written(counts: &Pairs<u64, Counts>) -> String {
    let line = |(at, counts): (&u64, &Counts)| {
        let counts = counts.map(|count| count.to_string());
        format!("{at} {}\n", counts.join(" "))
    };
    counts.iter().map(line).collect()
}

fn read(line: &str) -> Option<(u64, Counts)> {
    let mut numbers = line.split(' ').map(|word| word.parse::<u64>().ok());
    let at = numbers.next()??;
    let mut counts = Counts::default();
    for count in &mut counts {
        *count = numbers.next()??;
    }
    Some((at, counts))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::accounts::world::World;
    use futures_lite::future::block_on;

    const NOW: u64 = 1_795_338_720;

    #[test]
    fn what_has_grown_counts_for_the_present_hour_and_day() {
        let tally = Tally::default();
        tally.look(None, [1, 0, 0, 0]);
        assert!(tally.hours(None).is_empty(), "without a clock it waits");
        tally.look(Some(Wall(NOW)), [2, 1, 0, 0]);
        tally.look(Some(Wall(NOW + HOUR)), [5, 1, 0, 4]);
        let hours = tally.hours(Some(Wall(NOW + HOUR)));
        assert_eq!(hours.len(), limits::TALLY_HOURS);
        assert_eq!(hours[limits::TALLY_HOURS - 2..], [[2, 1, 0, 0], [3, 0, 0, 4]]);
        let days = tally.days(Some(Wall(NOW + HOUR)));
        assert_eq!((days.len(), days.last()), (limits::TALLY_DAYS, Some(&[5, 1, 0, 4])));
        assert_eq!(tally.hours(Some(Wall(NOW + 2 * DAY))).last(), Some(&[0; 4]));
    }

    #[test]
    fn it_is_bounded_fits_the_index_and_comes_back() {
        let (_world, sys) = World::new();
        let tally = Tally::default();
        for n in 0..40 * 24 {
            let many = u64::from(u32::MAX) * (n + 1);
            tally.look(Some(Wall(NOW + n * HOUR)), [many; 4]);
        }
        assert_eq!(tally.hours.borrow().len(), limits::TALLY_HOURS);
        assert_eq!(tally.days.borrow().len(), limits::TALLY_DAYS);
        let changes = tally.changes();
        for change in &changes {
            let octets = change.key.len() + change.value.as_ref().expect("put").len();
            assert!(octets <= limits::INDEX_ENTRY_BYTES, "{octets}");
        }
        assert!(tally.changes().is_empty(), "once is enough");
        block_on(sys.index.apply(changes)).expect("an index");
        let after = Tally::default();
        block_on(after.load(&sys));
        assert_eq!(*after.hours.borrow(), *tally.hours.borrow());
        assert_eq!(*after.days.borrow(), *tally.days.borrow());
    }
}
