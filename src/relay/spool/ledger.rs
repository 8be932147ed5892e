//! What the spool knows in memory: where each message is, which segments there are, and how much
//! more fits. Plain bookkeeping; nothing here reads or writes.

use super::{
    codec::wordless_bytes,
    record::{ALIGN, Life, extent},
    segment::RECORDS_START,
};
use crate::{limits, pairs::Pairs, relay::envelope::Id};
use std::collections::{BTreeMap, VecDeque};

/// Where a record is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Spot {
    /// Which life of which segment; 0: nowhere.
    pub(super) sequence: u32,
    pub(super) offset: u32,
    /// Octets of payload.
    pub(super) length: u32,
}

/// A message of the spool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) message: Spot,
    /// Its progress, where that is newer than what the Message record holds.
    pub(super) settled: Option<Spot>,
    /// Octets of progress in the Message record.
    pub(super) embedded: u32,
    pub(super) recipients: u16,
    /// Octets of its own file; 0: it is in the journal.
    pub(super) large: u64,
}

impl Kept {
    /// Octets of the journal to set aside for it: the message, a progress with it and one behind
    /// it, each with its words or, where it has none yet, without. So it never grows by being
    /// settled without words or by being moved.
    pub(super) fn charge(&self) -> u64 {
        let wordless = u64::from(extent(wordless_bytes(self.recipients.into())));
        let embedded = u64::from(self.embedded).next_multiple_of(ALIGN.into());
        let settled = self.settled.map_or(0, |spot| extent(spot.length as usize).into());
        let bare = self.message.length - self.embedded;
        u64::from(extent(bare as usize)) + embedded.max(wordless) + settled.max(wordless)
    }

    /// Octets of its record once it is moved, where its progress may use no words.
    pub(super) fn moved(&self) -> u64 {
        let bare = self.message.length - self.embedded;
        extent(bare as usize + wordless_bytes(self.recipients.into())).into()
    }

    /// By how much that is longer where the progress keeps its words.
    pub(super) fn words(&self) -> u64 {
        let bare = self.message.length - self.embedded;
        let progress = self.settled.map_or(self.embedded, |spot| spot.length);
        u64::from(extent((bare + progress) as usize)).saturating_sub(self.moved())
    }
}

/// A segment in its place in the journal.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    /// Which file.
    pub(super) slot: u32,
    /// Octets of the file.
    pub(super) length: u32,
    pub(super) life: Life,
    /// Messages that are here.
    pub(super) live: u32,
    /// Octets of their records once they are moved, without words.
    pub(super) live_octets: u64,
    /// Where the next record goes.
    pub(super) end: u32,
    /// Up to here it is durable.
    pub(super) durable: u32,
}

impl Segment {
    /// A record fits behind the others, and its message can be moved with them: into one segment,
    /// which is all that is kept ready for that, although each may have progress by then.
    pub(super) fn fits(&self, extent: u64, moved: u64) -> bool {
        u64::from(self.end) + extent <= self.length.into()
            && (moved == 0 || self.live_octets + moved <= usable(self.length))
    }
}

/// Octets of a segment that records may take.
pub(super) fn usable(length: u32) -> u64 {
    (length - RECORDS_START).into()
}

/// A file that holds nothing alive.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spare {
    pub(super) slot: u32,
    /// The life it had last; 0: none.
    pub(super) sequence: u32,
    pub(super) length: u32,
    /// Its length is known to be durable.
    pub(super) proven: bool,
}

/// All of it.
pub(super) struct Ledger {
    kept: BTreeMap<Id, Kept>,
    charge: u64,
    /// The journal by sequence, oldest first. However many there are: the next is always the last.
    pub(super) log: Pairs<u32, Segment>,
    /// Where records are appended now; always the last of `log`.
    pub(super) head: Option<u32>,
    /// Files to be used next.
    pub(super) spare: VecDeque<Spare>,
    /// Files of another length than ours (the room was changed): to be removed.
    pub(super) odd: Vec<Spare>,
    /// The last sequence that was given to a life.
    pub(super) sequence: u32,
    /// A durable header says that lives before this one are over.
    pub(super) over: u32,
    segment_bytes: u32,
}

impl Ledger {
    pub(super) fn new(segment_bytes: u32) -> Ledger {
        Ledger {
            kept: BTreeMap::new(),
            charge: 0,
            log: Pairs::new(),
            head: None,
            spare: VecDeque::new(),
            odd: Vec::new(),
            sequence: 0,
            over: 0,
            segment_bytes,
        }
    }

    pub(super) fn kept(&self, id: Id) -> Option<Kept> {
        self.kept.get(&id).copied()
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = (Id, &Kept)> {
        self.kept.iter().map(|(id, kept)| (*id, kept))
    }

    pub(super) fn messages(&self) -> usize {
        self.kept.len()
    }

    pub(super) fn charge(&self) -> u64 {
        self.charge
    }

    /// A message is here now, new or moved.
    pub(super) fn keep(&mut self, id: Id, kept: Kept) {
        self.forget(id);
        self.charge += kept.charge();
        let segment = self.segment(kept.message);
        segment.live += 1;
        segment.live_octets += kept.moved();
        self.kept.insert(id, kept);
    }

    /// Its progress is here now.
    pub(super) fn settle(&mut self, id: Id, spot: Spot) {
        if let Some(kept) = self.kept.get_mut(&id) {
            self.charge -= kept.charge();
            kept.settled = Some(spot);
            self.charge += kept.charge();
        }
    }

    /// A message is owed no more.
    pub(super) fn forget(&mut self, id: Id) -> Option<Kept> {
        let kept = self.kept.remove(&id)?;
        self.charge -= kept.charge();
        let segment = self.segment(kept.message);
        segment.live -= 1;
        segment.live_octets -= kept.moved();
        Some(kept)
    }

    fn segment(&mut self, spot: Spot) -> &mut Segment {
        self.log.get_mut(&spot.sequence).expect("a segment stays while a message is in it")
    }

    /// The segment that is being written.
    pub(super) fn head(&self) -> Option<&Segment> {
        self.log.get(&self.head?)
    }

    pub(super) fn head_mut(&mut self) -> Option<&mut Segment> {
        self.log.get_mut(&self.head?)
    }

    /// The oldest segment, if it is not being written.
    pub(super) fn tail(&self) -> Option<u32> {
        self.log.keys().next().copied().filter(|oldest| self.head != Some(*oldest))
    }

    /// So much of the oldest segment is alive that copying it would gain little.
    pub(super) fn is_dense(&self) -> bool {
        let tail = self.tail().and_then(|tail| self.log.get(&tail));
        tail.is_some_and(|tail| tail.live_octets * 2 > u64::from(tail.length))
    }

    /// Messages in a segment, in their order there.
    pub(super) fn messages_in(&self, sequence: u32) -> Vec<(Id, Kept)> {
        let mut inside: Vec<(Id, Kept)> = self
            .kept
            .iter()
            .filter(|(_, kept)| kept.message.sequence == sequence)
            .map(|(id, kept)| (*id, *kept))
            .collect();
        inside.sort_unstable_by_key(|(_, kept)| kept.message.offset);
        inside
    }

    /// Take the oldest segments out of the journal while nothing in them is alive. Only the oldest:
    /// a Done must not go before the message that it ends.
    pub(super) fn retire(&mut self) {
        while let Some(oldest) = self.tail()
            && self.log.get(&oldest).is_some_and(|oldest| oldest.live == 0)
        {
            let dead = self.log.remove(&oldest).expect("it is the oldest");
            let (slot, length) = (dead.slot, dead.length);
            self.set_aside(Spare { slot, sequence: oldest, length, proven: true });
        }
    }

    /// A file without anything alive, for later.
    pub(super) fn set_aside(&mut self, spare: Spare) {
        if spare.length == self.segment_bytes {
            self.spare.push_back(spare);
        } else {
            self.odd.push(spare);
        }
    }

    /// A file that may be removed: a durable header says that it is dead.
    pub(super) fn surplus(&mut self) -> Option<Spare> {
        let at = self.spare.iter().position(|spare| self.is_over(spare))?;
        self.spare.remove(at)
    }

    /// The same of files of another length.
    pub(super) fn surplus_odd(&mut self) -> Option<Spare> {
        let at = self.odd.iter().position(|spare| self.is_over(spare))?;
        Some(self.odd.swap_remove(at))
    }

    fn is_over(&self, spare: &Spare) -> bool {
        spare.sequence == 0 || spare.sequence < self.over
    }

    /// Write to the head no more; what it holds behind its durable end does not count. Where that
    /// is all, its file is free at once.
    pub(super) fn give_up_head(&mut self) {
        let Some(sequence) = self.head.take() else { return };
        let head = self.log.get_mut(&sequence).expect("the head is in the journal");
        head.end = head.durable;
        if head.durable == RECORDS_START {
            let Segment { slot, length, .. } = *head;
            self.log.remove(&sequence);
            self.set_aside(Spare { slot, sequence, length, proven: true });
        }
    }

    /// The segment before the next one: its sequence and where it ends. Zeros where there is none.
    pub(super) fn before(&self) -> (u32, u32) {
        let last = self.log.iter().next_back();
        last.map_or((0, 0), |(sequence, last)| (*sequence, last.durable))
    }

    /// Segments that can hold records.
    pub(super) fn segments(&self) -> u32 {
        u32::try_from(self.log.len() + self.spare.len()).expect("files of a directory")
    }

    /// Octets of segments in the file system.
    pub(super) fn octets(&self) -> u64 {
        let log: u64 = self.log.values().map(|segment| u64::from(segment.length)).sum();
        let odd: u64 = self.odd.iter().map(|spare| u64::from(spare.length)).sum();
        log + odd + self.spare.len() as u64 * u64::from(self.segment_bytes)
    }

    /// Most [`Ledger::charge`] that so many segments may bear, so that compaction always finds its
    /// way.
    ///
    /// No record is larger than an eighth of a segment, so compacted segments are full to 7/8 at
    /// least, and messages that are 3/4 of n - 3 segments fit into n - 2 of them with one to go on
    /// in; one more is the spare that compaction needs.
    pub(super) fn bearable(&self, segments: u32) -> u64 {
        let segments = segments.saturating_sub(limits::SEGMENTS_MIN - 1);
        u64::from(segments) * usable(self.segment_bytes) * 3 / 4
    }

    /// Fewest segments that bear so much.
    pub(super) fn segments_for(&self, charge: u64) -> u32 {
        let each = self.bearable(limits::SEGMENTS_MIN);
        let more = u32::try_from(charge.div_ceil(each)).unwrap_or(u32::MAX);
        more.max(1).saturating_add(limits::SEGMENTS_MIN - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: u32 = 64 * 1024;

    fn ledger() -> Ledger {
        let mut ledger = Ledger::new(BYTES);
        for sequence in 1..=3 {
            let life = Life { sequence, salt: 0 };
            let (end, durable) = (RECORDS_START, RECORDS_START);
            let segment = Segment {
                slot: sequence,
                length: BYTES,
                life,
                live: 0,
                live_octets: 0,
                end,
                durable,
            };
            ledger.log.insert(sequence, segment);
        }
        ledger.head = Some(3);
        ledger
    }

    fn kept(sequence: u32) -> Kept {
        let message = Spot { sequence, offset: RECORDS_START, length: 1000 };
        Kept { message, settled: None, embedded: 0, recipients: 1, large: 0 }
    }

    #[test]
    fn segments_leave_the_journal_oldest_first() {
        let mut ledger = ledger();
        ledger.keep(Id::new(1), kept(1));
        ledger.retire();
        assert_eq!(
            ledger.log.len(),
            3,
            "the second is dead, but a Done in it may concern the first"
        );
        ledger.forget(Id::new(1));
        ledger.retire();
        assert_eq!(ledger.spare.iter().map(|s| s.sequence).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(ledger.log.len(), 1, "the head stays");
    }

    #[test]
    fn only_what_a_durable_header_calls_dead_is_surplus() {
        let mut ledger = ledger();
        ledger.retire();
        assert!(ledger.surplus().is_none());
        ledger.over = 2;
        assert_eq!(ledger.surplus().map(|s| s.sequence), Some(1));
        assert!(ledger.surplus().is_none());
    }

    #[test]
    fn settling_without_words_and_moving_do_not_raise_the_charge() {
        let fresh = kept(1);
        let spot = |payload| Spot { sequence: 2, offset: RECORDS_START, length: payload };
        let quiet = u32::try_from(wordless_bytes(1)).expect("small");
        let settled = Kept { settled: Some(spot(quiet)), ..fresh };
        assert_eq!(settled.charge(), fresh.charge());
        let talkative = Kept { settled: Some(spot(500)), ..fresh };
        assert!(talkative.charge() > fresh.charge());
        for (before, embedded) in [(settled, quiet), (talkative, 500)] {
            let moved = Kept { message: spot(1000 + embedded), embedded, settled: None, ..before };
            assert!(moved.charge() <= before.charge());
        }
    }

    #[test]
    fn charges_come_back() {
        let mut ledger = ledger();
        ledger.keep(Id::new(1), kept(1));
        ledger.keep(Id::new(2), kept(2));
        ledger.settle(Id::new(1), Spot { sequence: 3, offset: 5000, length: 300 });
        ledger.keep(Id::new(1), kept(3));
        assert_eq!(ledger.log.get(&1).map(|first| first.live), Some(0));
        ledger.forget(Id::new(1));
        ledger.forget(Id::new(2));
        assert_eq!((ledger.charge(), ledger.messages()), (0, 0));
    }

    #[test]
    fn segments_for_a_charge_bear_it() {
        let ledger = ledger();
        for charge in [0, 1, 46_079, 46_080, 46_081, 1_000_000] {
            let n = ledger.segments_for(charge);
            assert!(ledger.bearable(n) >= charge, "{charge}");
            assert!(n == limits::SEGMENTS_MIN || ledger.bearable(n - 1) < charge, "{charge}");
        }
    }
}
