//! All that changes, and the one function that decides what the writer does next.

use super::company::Company;
use super::{
    Room, SpoolError, codec,
    fetch::Cache,
    item::{Batch, Item, Litter},
    large,
    ledger::{Ledger, Spare},
    reply::Reply,
};
use crate::{limits, relay::envelope::Id, sys::File, time::Instant};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    io,
    rc::Rc,
};

/// What the writer does next.
pub(super) enum Step {
    /// Append records to the head.
    Write(Batch),
    /// Wait for company, until then at most.
    Gather(Instant),
    /// Begin a new life of this file, as the head.
    Open(Spare),
    /// Copy what is alive in this segment, the oldest, to the head.
    Compact(u32),
    /// Make a segment.
    Make,
    /// Remove a file.
    Remove(Litter),
    /// Remove a segment.
    Trim(Spare),
    /// There is nothing to do.
    Idle,
}

/// All that changes.
#[expect(clippy::struct_excessive_bools, reason = "tasks and pauses, each there or not")]
pub(super) struct State {
    pub(super) ledger: Ledger,
    pub(super) room: Room,
    pub(super) queue: VecDeque<Item>,
    /// The writer's task is there.
    pub(super) running: bool,
    /// The head's file.
    pub(super) file: Option<Rc<dyn File>>,
    /// Records of the head that are written and not synced: those that a lost sync makes us write
    /// again, and since when.
    pub(super) unsynced: Vec<Item>,
    pub(super) unsynced_bytes: usize,
    pub(super) dirty: Option<Instant>,
    /// Progress of messages that the disk has lost, until it is written again.
    pub(super) afloat: BTreeMap<Id, Vec<u8>>,
    /// A batch is being synced.
    pub(super) syncing: bool,
    /// The task that syncs what nobody else does is there.
    pub(super) timer: bool,
    /// Files to be removed: nothing durable names them.
    pub(super) litter: Vec<Litter>,
    /// Files that could or may not be removed, until the next sync.
    pub(super) stuck: Vec<Litter>,
    /// Who waits for room that can be given back.
    pub(super) squeezed: Vec<Reply>,
    /// Messages of which it is known that they are coming.
    pub(super) company: Company,
    pub(super) drafts: BTreeSet<Id>,
    pub(super) draft_octets: usize,
    pub(super) cache: Cache,
    /// Octets of large messages and drafts on disk.
    pub(super) large_octets: u64,
    /// Octets of a segment that is being made.
    pub(super) making: u64,
    pub(super) file_system_room: u64,
    /// Somebody is asking for it.
    pub(super) looking: bool,
    /// The next segment file's number.
    pub(super) slot: u32,
    /// Writes that failed in a row.
    pub(super) failures: u32,
    /// The last write failed.
    pub(super) failing: bool,
    /// Compactions since the last write: more than there are segments bring nothing.
    pub(super) compactions: u32,
    /// No segments are made before.
    pub(super) make_after: Instant,
    /// Housekeeping failed: it has to wait until something is written again.
    pub(super) resting: bool,
    pub(super) written: u64,
    pub(super) syncs: u64,
    pub(super) trouble: String,
}

impl State {
    pub(super) fn new(room: Room) -> State {
        State {
            ledger: Ledger::new(room.segment_bytes),
            room,
            queue: VecDeque::new(),
            running: false,
            file: None,
            unsynced: Vec::new(),
            unsynced_bytes: 0,
            dirty: None,
            afloat: BTreeMap::new(),
            syncing: false,
            timer: false,
            litter: Vec::new(),
            stuck: Vec::new(),
            squeezed: Vec::new(),
            company: Company::default(),
            drafts: BTreeSet::new(),
            draft_octets: 0,
            cache: Cache::default(),
            large_octets: 0,
            making: 0,
            file_system_room: u64::MAX,
            looking: false,
            slot: 0,
            failures: 0,
            failing: false,
            compactions: 0,
            make_after: Instant::default(),
            resting: false,
            written: 0,
            syncs: 0,
            trouble: String::new(),
        }
    }

    /// What the writer does next. What is to be forgotten without being written goes to `out` with
    /// its answer, to be told when the state is not borrowed any more.
    pub(super) fn plan(&mut self, now: Instant, out: &mut Vec<Answered>) -> Step {
        loop {
            self.ledger.retire();
            if self.failures >= limits::SPOOL_FAILURES {
                return self.refuse_all(out);
            }
            let Some(item) = self.queue.front() else { return self.housekeeping(now) };
            if self.is_stale(item) {
                out.extend(self.queue.pop_front().map(|item| (item, Ok(()))));
                continue;
            }
            let demand = item.demand(&self.ledger);
            if demand > 0 && self.ledger.charge() + demand > self.bearable_for(item) {
                if self.may_make(now) {
                    return Step::Make;
                }
                if !self.resting
                    && let Some(odd) = self.ledger.surplus_odd()
                {
                    return Step::Trim(odd);
                }
                if self.do_without(out) {
                    continue;
                }
            }
            if let Some(step) = self.place(now) {
                return step;
            }
            if self.queue.front().is_some_and(Item::is_internal) {
                // It must not be lost, and nothing may be written before it.
                return self.refuse_all(out);
            }
            out.extend(self.queue.pop_front().map(|item| (item, Err(SpoolError::Full))));
        }
    }

    fn bearable(&self) -> u64 {
        self.ledger.bearable(self.ledger.segments())
    }

    /// How full this may make the journal. Mail that comes in leaves some room for the reports that
    /// end what is here: a spool that is full of small messages would else keep them for ever.
    fn bearable_for(&self, item: &Item) -> u64 {
        let all = self.bearable();
        match item {
            Item::Message(message) if message.sheet.replaces.is_none() => {
                all - all / limits::REPORT_SHARE
            }
            _ => all,
        }
    }

    /// It need not be written any more.
    fn is_stale(&self, item: &Item) -> bool {
        match item {
            Item::Message(message) => {
                message.sheet.replaces.is_none() && message.reply.is_abandoned()
            }
            Item::Settled { id, .. } => self.ledger.kept(*id).is_none(),
            // One without a reply is written again: the ledger knows it already, the disk may not.
            Item::Done { id, reply, .. } => reply.is_some() && self.ledger.kept(*id).is_none(),
            Item::Sync { .. } => self.dirty.is_none() && !self.may_unstick(),
        }
    }

    /// There is no room for the first item as it is: refuse a message, and take the words out of a
    /// progress. Tells whether that changed anything.
    fn do_without(&mut self, out: &mut Vec<Answered>) -> bool {
        match self.queue.front_mut() {
            Some(Item::Message(_)) => {
                out.extend(self.queue.pop_front().map(|item| (item, Err(SpoolError::Full))));
                true
            }
            Some(Item::Settled { payload, .. }) => {
                let progress = codec::decode_progress(payload).expect("we have just encoded it");
                let wordless = codec::encode_progress(&progress, 0);
                let shorter = wordless.len() < payload.len();
                *payload = wordless;
                shorter
            }
            _ => false,
        }
    }

    /// How to get the first item written; `None` where it cannot be.
    fn place(&mut self, now: Instant) -> Option<Step> {
        let (extent, moved) = self.queue.front().map_or((0, 0), |it| (it.extent(), it.moved()));
        if self.ledger.head().is_some_and(|head| head.fits(extent.into(), moved)) {
            return Some(match self.gather(now) {
                // What a killed process may not lose is not held back.
                Some(until) => self.take_progress(&[]).map_or(Step::Gather(until), Step::Write),
                None => Step::Write(self.take_batch()),
            });
        }
        // One spare is left for compaction.
        if self.ledger.spare.len() > 1 {
            return self.ledger.spare.pop_front().map(Step::Open);
        }
        if self.ledger.segments() < limits::SEGMENTS_MIN && self.may_make(now) {
            return Some(Step::Make);
        }
        // With room to spare, flash is worn less by growing than by copying what will be gone soon.
        let ample = self.ledger.octets() * 2 <= self.room.octets;
        if ample && self.ledger.is_dense() && self.may_make(now) {
            return Some(Step::Make);
        }
        if let Some(compact) = self.compaction() {
            return Some(compact);
        }
        self.may_make(now).then_some(Step::Make)
    }

    /// Messages that wait for a sync wait for those that are known to come: each would else cost
    /// the flash a sync and part of a page of its own. Who does not come in time is not waited for
    /// again, and where there is much to write already, company would save little.
    fn gather(&mut self, now: Instant) -> Option<Instant> {
        if self.queue.iter().any(|item| matches!(item, Item::Sync { .. })) {
            return None;
        }
        let mut messages = self.queue.iter().filter(|item| matches!(item, Item::Message(_)));
        let Some(first) = messages.next() else {
            // Whoever had waited has gone away.
            self.company.since = None;
            return None;
        };
        let (ready, octets) =
            messages.fold((1, first.extent()), |(n, sum), item| (n + 1, sum + item.extent()));
        if octets as usize >= limits::COMPANY_BYTES {
            return None;
        }
        self.company.patience(now, ready)
    }

    fn compaction(&mut self) -> Option<Step> {
        let tail = self.ledger.tail()?;
        if self.compactions > self.ledger.segments() {
            return None;
        }
        self.compactions += 1;
        Some(Step::Compact(tail))
    }

    /// Items from the front of the queue that fit the head, the room and one write.
    fn take_batch(&mut self) -> Batch {
        let head = self.ledger.head().expect("the first item fits it");
        let mut charge = self.ledger.charge();
        let mut batch = Batch { items: Vec::new(), sync: false };
        self.company.since = None;
        let (mut octets, mut moved) = (0, 0);
        while let Some(item) = self.queue.front() {
            let first = batch.items.is_empty();
            let demand = item.demand(&self.ledger);
            let fits = octets + item.extent() as usize <= limits::BATCH_BYTES
                && head.fits(octets as u64 + u64::from(item.extent()), moved + item.moved())
                && (demand == 0 || charge + demand <= self.bearable_for(item));
            if !first && !fits {
                break;
            }
            octets += item.extent() as usize;
            moved += item.moved();
            charge += demand;
            batch.sync |= matches!(item, Item::Message(_) | Item::Sync { .. });
            batch.items.extend(self.queue.pop_front());
        }
        batch.sync |= self.unsynced_bytes + octets > limits::LAZY_SYNC_BYTES;
        batch
    }

    /// Settled and Done records that fit, before messages that wait for company or for the sync of
    /// others: those are of no message that is among them, since nobody else knows of it yet, and
    /// of none that is `busy`, so that each one's stay in order. No more than may wait for a sync.
    pub(super) fn take_progress(&mut self, busy: &[Id]) -> Option<Batch> {
        let head = self.ledger.head()?;
        let mut room = (head.length - head.end).min(limits::SPOOL_PAGE_BYTES) as usize;
        room = room.min(limits::LAZY_SYNC_BYTES.saturating_sub(self.unsynced_bytes));
        let mut batch = Batch { items: Vec::new(), sync: false };
        for item in std::mem::take(&mut self.queue) {
            let extent = item.extent() as usize;
            let fits = extent <= room && item.demand(&self.ledger) == 0;
            match item {
                Item::Settled { id, .. } | Item::Done { id, .. } if fits && !busy.contains(&id) => {
                    room -= extent;
                    batch.items.push(item);
                }
                _ => {
                    if !matches!(item, Item::Message(_)) {
                        room = 0; // Those of one message stay in order.
                    }
                    self.queue.push_back(item);
                }
            }
        }
        (!batch.items.is_empty()).then_some(batch)
    }

    /// What there is to do when nobody waits.
    fn housekeeping(&mut self, now: Instant) -> Step {
        if let Some(litter) = self.litter.pop() {
            return Step::Remove(litter);
        }
        if !self.resting {
            if self.ledger.segments() < limits::SEGMENTS_MIN && self.may_make(now) {
                return Step::Make;
            }
            if self.ledger.spare.len() < 2
                && let Some(compact) = self.compaction()
            {
                return compact;
            }
            if let Some(step) = self.shrink() {
                return step;
            }
        }
        Step::Idle
    }

    /// Give back segments: after an outage, and when a large message wants the room.
    fn shrink(&mut self) -> Option<Step> {
        let segments = self.ledger.segments();
        let fewer = self.ledger.bearable(segments - u32::from(segments > 0));
        let ample = if self.squeezed.is_empty() { fewer / 4 } else { fewer };
        let too_many = segments > limits::SEGMENTS_MIN && self.ledger.charge() <= ample;
        if let Some(odd) = self.ledger.surplus_odd() {
            return Some(Step::Trim(odd));
        }
        if too_many && self.ledger.spare.len() > 2 {
            return match self.ledger.surplus() {
                Some(surplus) => Some(Step::Trim(surplus)),
                // A new head says durably that all spare ones are dead.
                None => self.ledger.spare.pop_front().map(Step::Open),
            };
        }
        if too_many { self.compaction() } else { None }
    }

    /// There may be one more segment.
    pub(super) fn may_make(&self, now: Instant) -> bool {
        let each = u64::from(self.room.segment_bytes);
        now >= self.make_after
            && self.ledger.octets() + self.large_octets + each <= self.room.octets
            && self.file_system_room >= each + limits::FILE_SYSTEM_SPARE_BYTES
    }

    /// The disk fails again and again: nobody should wait for it. What was promised before stays to
    /// be written again.
    fn refuse_all(&mut self, out: &mut Vec<Answered>) -> Step {
        self.failures = 0;
        self.resting = true;
        for item in std::mem::take(&mut self.queue) {
            if item.is_internal() {
                self.queue.push_back(item);
            } else {
                let error = io::Error::other(self.trouble.clone());
                out.push((item, Err(SpoolError::Io(error))));
            }
        }
        self.litter.pop().map_or(Step::Idle, Step::Remove)
    }

    /// Something was written without a sync: keep what it takes to write it again.
    pub(super) fn remember(&mut self, item: Item) {
        self.unsynced_bytes += item.extent() as usize;
        self.unsynced.push(item);
    }

    /// A message's progress, where it is not durable yet.
    pub(super) fn not_durable(&self, id: Id) -> Option<Vec<u8>> {
        let newest = self.unsynced.iter().rev().find_map(|item| match item {
            Item::Settled { id: of, payload, .. } if *of == id => Some(payload),
            _ => None,
        });
        newest.or_else(|| self.afloat.get(&id)).cloned()
    }

    /// A message is owed no more; its file, if it has one.
    pub(super) fn forget(&mut self, id: Id) -> Option<Litter> {
        self.cache.remove(id);
        self.afloat.remove(&id);
        let kept = self.ledger.forget(id)?;
        (kept.large > 0).then(|| (large::path(id), kept.large))
    }

    /// Something has to be made durable, written again or removed that nobody waits for.
    pub(super) fn is_owing(&self) -> bool {
        self.dirty.is_some() || self.may_unstick() || self.queue.iter().any(Item::is_internal)
    }

    /// A sync would let files be removed, and can be had without room for a segment.
    fn may_unstick(&self) -> bool {
        let head = self.ledger.head.is_some() || self.ledger.spare.len() > 1;
        head && !self.stuck.is_empty()
    }

    /// The same; if not, the task that would see to it ends.
    pub(super) fn is_timed(&mut self) -> bool {
        self.timer = self.is_owing();
        self.timer
    }

    /// The writer has something to do.
    pub(super) fn has_work(&self) -> bool {
        !self.litter.is_empty() || !self.queue.iter().all(Item::is_internal)
    }

    /// Give the head up: what was written to it since its last sync counts as not written (DESIGN
    /// §3: a failed sync is final for those pages). Done and Settled records among it are written
    /// again, first of all.
    pub(super) fn give_up_head(&mut self, error: &io::Error) {
        if self.ledger.head.is_none() {
            return;
        }
        self.failures += 1;
        self.failing = true;
        self.trouble = format!("writing the journal failed: {error}");
        self.ledger.give_up_head();
        self.file = None;
        self.dirty = None;
        self.unsynced_bytes = 0;
        let mut seen = BTreeSet::new();
        for item in std::mem::take(&mut self.unsynced).into_iter().rev() {
            match &item {
                // Only the last of each message counts.
                Item::Settled { id, .. } if !seen.insert(*id) => continue,
                Item::Settled { id, payload, .. } => {
                    self.afloat.insert(*id, payload.clone());
                }
                Item::Done { id, .. } => {
                    seen.insert(*id);
                }
                Item::Message(_) | Item::Sync { .. } => {}
            }
            self.queue.push_front(item);
        }
    }

    /// So many octets of records are about to be written at the end of the head. With a sync,
    /// what is written before it ends is not part of it, and goes to pages of its own.
    pub(super) fn begin(&mut self, records: u32, sync: bool) -> Option<Mark> {
        let unsynced = self.unsynced.len();
        let head = self.ledger.head_mut().expect("only the writer opens and closes it");
        head.end += records;
        if !sync {
            return None;
        }
        head.end = head.end.next_multiple_of(limits::SPOOL_PAGE_BYTES);
        Some(Mark { end: head.end, unsynced })
    }

    /// The head is durable up to where a sync began.
    pub(super) fn synced(&mut self, mark: &Mark, now: Instant) {
        if let Some(head) = self.ledger.head_mut() {
            // Pages that were written more than once in between reach the flash once.
            self.written += u64::from(mark.end - head.durable);
            head.durable = mark.end;
        }
        self.failures = 0;
        self.failing = false;
        self.resting = false;
        // The disk writes: what was wrong is over, or will be told again.
        self.trouble.clear();
        let beside = self.unsynced.split_off(mark.unsynced);
        self.dirty = (!beside.is_empty()).then_some(now);
        self.unsynced_bytes = beside.iter().map(|item| item.extent() as usize).sum();
        for item in std::mem::replace(&mut self.unsynced, beside) {
            if let Item::Done { file: Some(file), .. } = item {
                self.litter.push(file);
            }
        }
        self.litter.append(&mut self.stuck);
    }
}

/// What a sync covers.
pub(super) struct Mark {
    /// Up to here in the head.
    end: u32,
    /// So many of what had been written without one.
    unsynced: usize,
}

/// An item that was dealt with, and what to tell who waits for it.
pub(super) type Answered = (Item, Result<(), SpoolError>);
