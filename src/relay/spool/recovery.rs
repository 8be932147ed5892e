//! Start-up: read the journal and know again what was promised.

use super::{
    Entry, Room,
    codec::{self, Sheet},
    item::Item,
    large,
    ledger::{Kept, Segment, Spare, Spot},
    record::{HEAD_BYTES, Head, Kind, Life, void},
    segment::{Found, Header, RECORDS_START, Walk},
    state::State,
    writer,
};
use crate::{
    limits,
    pairs::Pairs,
    relay::envelope::{Id, Progress},
    sys::{File, Open, Sys},
};
use std::{collections::BTreeMap, io, ops::Range, rc::Rc};

/// What was found at start.
#[derive(Debug, Default)]
pub struct Recovered {
    /// The messages, in the order of the journal: roughly that of their arrival.
    pub entries: Vec<Entry>,
    /// What does not read as it was written, [`limits::DAMAGE_LISTED`] at most.
    pub damaged: Vec<Damage>,
    /// How many such places there are.
    pub damage_count: usize,
}

/// A place that does not read as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The message it concerns, where that can be told.
    pub id: Option<Id>,
    /// Number of the segment file; 0: it is not in one.
    pub segment: u32,
    /// Offset in it, octets.
    pub offset: u32,
    /// What that means, for a person.
    pub words: String,
}

/// A segment file with a valid header.
struct Lived {
    slot: u32,
    /// Octets of the file.
    length: u32,
    header: Header,
}

struct Recovery<'a> {
    sys: &'a Sys,
    state: State,
    entries: BTreeMap<Id, Entry>,
    recovered: Recovered,
}

/// Read all there is. See README.md for what each state after a crash means.
pub(super) async fn recover(sys: &Sys, room: Room) -> io::Result<(State, Recovered)> {
    let disk = &sys.disk;
    disk.make_dir(large::DIR).await?;
    // Whoever made the directories or segments last may have been killed before this.
    disk.sync_dir(".").await?;
    disk.sync_dir("spool").await?;
    let mut state = State::new(room);
    state.file_system_room = disk.room("spool").await.unwrap_or(u64::MAX);
    let (entries, recovered) = (BTreeMap::new(), Recovered::default());
    let mut recovery = Recovery { sys, state, entries, recovered };
    let found = recovery.read_headers().await?;
    recovery.read_journal(found).await?;
    recovery.leave_unread_alone();
    recovery.read_large().await?;
    Ok(recovery.finish())
}

impl Recovery<'_> {
    /// Segments by sequence. Files without a life are spare.
    ///
    /// # Errors
    /// There are segments, and not one can be read: that is no bad page, the disk is failing. To go
    /// on would begin a journal beside the one that is there.
    async fn read_headers(&mut self) -> io::Result<BTreeMap<u32, Lived>> {
        let mut found: BTreeMap<u32, Lived> = BTreeMap::new();
        for (name, size) in self.sys.disk.list("spool").await? {
            let slot = name.strip_suffix(".seg").and_then(|number| number.parse().ok());
            // Exactly: `1.seg` is somebody else's, and must not be taken for `00000001.seg`.
            let is_ours = |slot: &u32| writer::path(*slot) == format!("spool/{name}");
            let Some(slot) = slot.filter(is_ours) else { continue };
            self.state.slot = self.state.slot.max(slot);
            let length = u32::try_from(size).unwrap_or(u32::MAX);
            let Some(page) = self.read_header(slot).await? else {
                self.damage(None, slot, 0, "a segment cannot be read".into());
                // It counts as room, and is never removed.
                let spare = Spare { slot, sequence: u32::MAX, length, proven: false };
                self.state.ledger.odd.push(spare);
                continue;
            };
            match Header::read(&page) {
                Some(header) if !found.contains_key(&header.life.sequence) => {
                    found.insert(header.life.sequence, Lived { slot, length, header });
                }
                _ => {
                    if !Header::is_blank(&page) {
                        let words = "a segment's header is damaged; what was in it is lost";
                        self.damage(None, slot, 0, words.into());
                    }
                    let spare = Spare { slot, sequence: 0, length, proven: false };
                    self.state.ledger.set_aside(spare);
                }
            }
        }
        if found.is_empty() && self.unread() > 0 {
            return Err(io::Error::other("none of its segments can be read"));
        }
        Ok(found)
    }

    /// Segments whose header could not be read.
    fn unread(&self) -> u32 {
        let odd = self.state.ledger.odd.iter();
        odd.map(|spare| u32::from(spare.sequence == u32::MAX)).sum()
    }

    /// A segment that could not be read may be read next time, and may be the newest: what is
    /// written now goes into a life that comes after any it can have had, and not behind an end
    /// that it may state.
    fn leave_unread_alone(&mut self) {
        let unread = self.unread();
        if unread > 0 {
            self.state.ledger.sequence += unread;
            self.state.ledger.head = None;
            self.state.file = None;
        }
    }

    /// A segment's first page; `None` where the flash does not give it. A file that cannot be
    /// opened is another matter: what is in it must not be passed over.
    async fn read_header(&self, slot: u32) -> io::Result<Option<Vec<u8>>> {
        let file = self.sys.disk.open(&writer::path(slot), Open::Read).await?;
        for _ in 0..3 {
            if let Ok(page) = file.read_at(0, limits::SPOOL_PAGE_BYTES as usize).await {
                return Ok(Some(page));
            }
        }
        Ok(None)
    }

    async fn read_journal(&mut self, found: BTreeMap<u32, Lived>) -> io::Result<()> {
        let Some((newest, last)) = found.last_key_value() else { return Ok(()) };
        let (newest, oldest) = (*newest, last.header.oldest);
        self.state.ledger.sequence = newest;
        for (sequence, this) in &found {
            let previous = this.header.previous;
            if *sequence >= oldest && previous >= oldest && !found.contains_key(&previous) {
                self.damage(None, 0, 0, format!("segment life {previous} is missing"));
            }
        }
        let headers: Vec<Header> = found.values().map(|this| this.header).collect();
        for (n, (sequence, this)) in found.into_iter().enumerate() {
            let spare = Spare { slot: this.slot, sequence, length: this.length, proven: false };
            let next = headers.get(n + 1);
            // What a later header passes over was given up before anything in it was durable.
            if sequence < oldest || next.is_some_and(|next| next.previous < sequence) {
                self.state.ledger.set_aside(spare);
                continue;
            }
            let next = next.filter(|next| next.previous == sequence);
            self.read_segment(&this, next).await?;
        }
        Ok(())
    }

    /// Read one segment. `next` is the header that tells where it ends; the newest has none.
    ///
    /// # Errors
    /// Less than half of it can be read: that is no bad page, the disk is failing. To go on would
    /// be to write over what may be read next time.
    async fn read_segment(&mut self, this: &Lived, next: Option<&Header>) -> io::Result<()> {
        let (life, slot, length) = (this.header.life, this.slot, this.length);
        let limit = next.map_or(this.header.length, |next| next.end).min(length);
        let (end, durable) = (limit, limit);
        let segment = Segment { slot, length, life, live: 0, live_octets: 0, end, durable };
        self.state.ledger.log.insert(life.sequence, segment);
        let file = self.sys.disk.open(&writer::path(slot), Open::Write).await?;
        let mut window = Window::new(file);
        let newest = self.is_newest(life);
        let mut scan = Scan::new(life, limit);
        if newest {
            scan.loose = window.durable(life, limit).await;
            window = Window::new(window.file);
        }
        loop {
            match scan.walk.next(window.start, &window.octets) {
                Found::End => break,
                Found::More(at) => window.read(at, limits::SCAN_BYTES as usize).await,
                Found::Record { offset, head } => {
                    let payload = window.payload(offset, &head).await;
                    let whole = life.payload_crc(&[payload]) == head.crc;
                    let here = Spot { sequence: life.sequence, offset, length: head.length };
                    let taken = match whole {
                        true if scan.is_loose_copy(&self.state, &head, here) => Taken::Dropped,
                        true => self.take(head, here, payload),
                        false => Taken::Broken,
                    };
                    scan.note(offset, head, taken);
                }
            }
        }
        if let Some(error) = window.failing() {
            return Err(io::Error::new(error.kind(), format!("segment {slot}: {error}")));
        }
        if let Some(error) = &window.failure {
            // Whether there was anything behind the last record that reads, nobody can tell.
            let words = format!("{} octets cannot be read ({error})", window.unread);
            self.damage(None, slot, RECORDS_START, words);
        }
        let proven = next.map_or(scan.durable, |next| next.end);
        let secured = scan.finish(proven);
        for (gap, head) in secured.gaps.iter().filter(|(gap, _)| gap.start < proven) {
            self.report(slot, gap.start, head.as_ref());
        }
        // Of the newest, the header may be there before its sync has returned, and not the length.
        let begun = !newest || secured.end > RECORDS_START;
        if length < this.header.length && begun {
            self.damage(None, slot, length, "a segment is cut short".into());
        }
        if newest {
            self.go_on_in(this, window, secured).await?;
        }
        Ok(())
    }

    fn is_newest(&self, life: Life) -> bool {
        self.state.ledger.sequence == life.sequence
    }

    /// Make the newest segment durable as it was read, and go on in it.
    async fn go_on_in(&mut self, this: &Lived, window: Window, secured: Secured) -> io::Result<()> {
        window.secure(this, &secured).await?;
        let sequence = this.header.life.sequence;
        let segment = self.state.ledger.log.get_mut(&sequence).expect("it has been read");
        segment.end = secured.end.next_multiple_of(limits::SPOOL_PAGE_BYTES);
        segment.durable = segment.end;
        self.state.ledger.over = this.header.oldest;
        if this.length == this.header.length {
            self.state.ledger.head = Some(sequence);
            self.state.file = Some(window.file);
        }
        Ok(())
    }

    /// Note a valid record.
    fn take(&mut self, head: Head, spot: Spot, payload: &[u8]) -> Taken {
        let id = head.id;
        match head.kind {
            Kind::Message => {
                let Some(sheet) = Sheet::check(payload) else { return Taken::Broken };
                let embedded = &payload[sheet.progress_range()];
                let progress = codec::decode_summary(embedded).unwrap_or_default();
                let large = if sheet.large { large::file_bytes(&sheet) } else { 0 };
                let (embedded, recipients) = (sheet.progress, sheet.recipients);
                let kept = Kept { message: spot, settled: None, embedded, recipients, large };
                self.state.ledger.keep(id, kept);
                self.entries.insert(id, Entry::new(id, &sheet, &progress));
                if let Some(replaced) = sheet.replaces {
                    self.state.ledger.forget(replaced);
                    self.entries.remove(&replaced);
                }
            }
            Kind::Settled => {
                let Some(progress) = codec::decode_summary(payload) else { return Taken::Broken };
                if let Some(entry) = self.entries.get_mut(&id) {
                    self.state.ledger.settle(id, spot);
                    entry.note(&progress);
                }
            }
            Kind::Done => {
                self.state.ledger.forget(id);
                self.entries.remove(&id);
            }
            Kind::Void => {}
        }
        Taken::Counts
    }

    fn report(&mut self, slot: u32, offset: u32, head: Option<&Head>) {
        let words = match head.map(|head| head.kind) {
            None | Some(Kind::Void) => "octets that are no record; what was here is lost",
            Some(Kind::Message) => "the message's record is damaged",
            Some(Kind::Settled) => {
                "a note of the message's progress is damaged; some attempt may be repeated"
            }
            Some(Kind::Done) => "a note that the message was done is damaged; it may be sent again",
        };
        self.damage(head.map(|head| head.id), slot, offset, words.into());
    }

    fn damage(&mut self, id: Option<Id>, segment: u32, offset: u32, words: String) {
        self.recovered.damage_count += 1;
        if self.recovered.damaged.len() < limits::DAMAGE_LISTED {
            self.recovered.damaged.push(Damage { id, segment, offset, words });
        }
    }

    /// Files of large messages: those without a message go, messages without one are lost.
    async fn read_large(&mut self) -> io::Result<()> {
        // However many there are: they come in their order, and none is taken out. What has its
        // file is owed 0 octets.
        let owed = self.state.ledger.ids().filter(|(_, kept)| kept.large > 0);
        let mut owed: Pairs<Id, u64> = owed.map(|(id, kept)| (id, kept.large)).collect();
        for (name, size) in self.sys.disk.list(large::DIR).await? {
            let id = name.parse().ok().filter(|id: &Id| id.to_string() == name);
            let Some(id) = id else { continue };
            let octets = size.next_multiple_of(limits::SPOOL_PAGE_BYTES.into());
            match owed.get_mut(&id) {
                Some(large) if octets >= *large => {
                    self.state.large_octets += std::mem::take(large);
                }
                _ => {
                    self.state.large_octets += octets;
                    self.state.litter.push((large::path(id), octets));
                }
            }
        }
        for (id, _) in owed.into_iter().filter(|(_, large)| *large > 0) {
            self.damage(Some(id), 0, 0, "the large message's file is missing or cut short".into());
            self.state.ledger.forget(id);
            self.entries.remove(&id);
            self.state.queue.push_back(Item::Done { id, file: None, reply: None });
        }
        Ok(())
    }

    fn finish(mut self) -> (State, Recovered) {
        let place = |id| self.state.ledger.kept(id).map(|kept| kept.message);
        let mut entries: Vec<Entry> = self.entries.into_values().collect();
        entries.sort_by_cached_key(|entry| place(entry.id));
        self.recovered.entries = entries;
        (self.state, self.recovered)
    }
}

impl Entry {
    fn note(&mut self, progress: &Progress) {
        self.attempts = progress.attempts;
        self.held = progress.held;
        self.warned = progress.warned;
        self.spent = progress.spent;
    }
}

/// A part of a segment in memory.
struct Window {
    file: Rc<dyn File>,
    start: u32,
    octets: Vec<u8>,
    /// Octets that were read.
    read: u64,
    /// Octets that could not be, and why.
    unread: u64,
    failure: Option<io::Error>,
}

impl Window {
    fn new(file: Rc<dyn File>) -> Window {
        Window { file, start: 0, octets: Vec::new(), read: 0, unread: 0, failure: None }
    }

    /// Why most of it could not be read, if so.
    fn failing(&self) -> Option<&io::Error> {
        self.failure.as_ref().filter(|_| self.unread > self.read)
    }

    /// Read on from `at`. A page that cannot be read counts as zeros.
    async fn read(&mut self, at: u32, length: usize) {
        self.start = at;
        let page = (at + HEAD_BYTES).next_multiple_of(limits::SPOOL_PAGE_BYTES) - at;
        let read = match self.file.read_at(at.into(), length).await {
            Ok(octets) => Ok(octets),
            Err(_) => self.file.read_at(at.into(), page as usize).await,
        };
        match &read {
            Ok(octets) => self.read += octets.len() as u64,
            Err(_) => self.unread += u64::from(page),
        }
        self.octets = read.unwrap_or_else(|error| {
            self.failure = Some(error);
            Vec::new()
        });
        if self.octets.len() < HEAD_BYTES as usize {
            self.octets.resize(page as usize, 0);
        }
    }

    /// Up to where the records of the segment say that it was durable.
    async fn durable(&mut self, life: Life, limit: u32) -> u32 {
        let mut walk = Walk::new(life, limit);
        let mut durable = RECORDS_START;
        loop {
            match walk.next(self.start, &self.octets) {
                Found::End => return durable,
                Found::More(at) => self.read(at, limits::SCAN_BYTES as usize).await,
                Found::Record { head, .. } => durable = durable.max(head.durable),
            }
        }
    }

    /// A record's payload, shorter where it cannot be read.
    async fn payload(&mut self, offset: u32, head: &Head) -> &[u8] {
        let length = (HEAD_BYTES + head.length) as usize;
        let inside = (offset - self.start) as usize;
        if self.octets.len() < inside + length {
            self.read(offset, length.max(limits::SCAN_BYTES as usize)).await;
        }
        let start = (offset - self.start + HEAD_BYTES) as usize;
        let end = self.octets.len().min(start + head.length as usize);
        self.octets.get(start..end).unwrap_or_default()
    }

    /// Make the newest segment durable as it was read. What its writer had not synced when it was
    /// killed, and what it had failed to sync, is in memory only, and a sync is not enough for the
    /// latter: it is written again, the same octets in the same place. What does not count is
    /// filled or zeroed, so that it never comes back.
    async fn secure(&self, this: &Lived, secured: &Secured) -> io::Result<()> {
        let header = &this.header;
        let fresh = secured.durable..secured.end;
        for (gap, _) in secured.gaps.iter().filter(|(gap, _)| fresh.contains(&gap.start)) {
            if gap.end >= gap.start + HEAD_BYTES {
                self.file.write_at(gap.start.into(), void(header.life, gap.clone())).await?;
            }
        }
        if secured.seen == RECORDS_START {
            // The header was written just before the cut; the length maybe too, by the last page.
            if this.length == header.length {
                let last = header.length - limits::SPOOL_PAGE_BYTES;
                let zeros = vec![0; limits::SPOOL_PAGE_BYTES as usize];
                self.file.write_at(last.into(), zeros).await?;
            }
            return self.file.write_sync(0, header.page()).await.map(drop);
        }
        let mut at = secured.durable;
        while at < secured.end {
            let length = (secured.end - at).min(limits::SCAN_BYTES);
            let octets = self.file.read_at(at.into(), length as usize).await?;
            self.file.write_at(at.into(), octets).await?;
            at += length;
        }
        // To the end of the page at least: what was to be zeros there may be lost as well.
        let zeros = secured.seen.max(at).next_multiple_of(limits::SPOOL_PAGE_BYTES);
        while at < zeros {
            let length = (zeros - at).min(limits::SCAN_BYTES);
            self.file.write_at(at.into(), vec![0; length as usize]).await?;
            at += length;
        }
        if at > secured.durable { self.file.sync().await } else { Ok(()) }
    }
}

/// What became of a record.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Taken {
    Counts,
    /// It does not: its message is still where it was copied from.
    Dropped,
    Broken,
}

/// What is noted while a segment is read.
struct Scan {
    walk: Walk,
    /// Copies from here on may be dropped.
    loose: u32,
    /// Behind the last record that counts.
    end: u32,
    /// Behind the last record at all.
    seen: u32,
    /// Everything before was durable: a later record says so.
    durable: u32,
    /// However many there are: each is behind the one before.
    broken: Pairs<u32, Head>,
}

/// What a segment was found to be.
struct Secured {
    /// Octets that are no record, and a broken record's head.
    gaps: Vec<(Range<u32>, Option<Head>)>,
    end: u32,
    seen: u32,
    durable: u32,
}

impl Scan {
    fn new(life: Life, limit: u32) -> Scan {
        let (end, seen, durable) = (RECORDS_START, RECORDS_START, RECORDS_START);
        let walk = Walk::new(life, limit);
        Scan { walk, loose: limit, end, seen, durable, broken: Pairs::new() }
    }

    /// A copy that a compaction had not finished, as far as can be told: without it everything is
    /// as it was before. So a compaction that is cut off again and again does not use up the
    /// journal.
    fn is_loose_copy(&self, state: &State, head: &Head, here: Spot) -> bool {
        here.offset >= self.loose
            && head.kind == Kind::Message
            && state.ledger.kept(head.id).is_some()
    }

    fn note(&mut self, offset: u32, head: Head, taken: Taken) {
        self.seen = offset + head.extent();
        if taken != Taken::Broken {
            self.durable = self.durable.max(head.durable);
        }
        match taken {
            Taken::Counts => self.end = self.seen,
            Taken::Dropped => {}
            Taken::Broken => {
                self.walk.broken(offset, &head);
                self.broken.insert(offset, head);
            }
        }
    }

    /// Damage is told up to `proven`, also where no record that counts is behind it.
    fn finish(self, proven: u32) -> Secured {
        let Scan { end, seen, .. } = self;
        let gaps = self.walk.gaps(end.max(proven)).into_iter();
        let gaps = gaps.map(|gap| (gap.clone(), self.broken.get(&gap.start).copied())).collect();
        Secured { gaps, end, seen, durable: self.durable.min(end) }
    }
}
