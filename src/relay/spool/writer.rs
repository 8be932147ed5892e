//! The one task that writes the journal. It is there only while there is something to do.

use super::{
    Spool, SpoolError,
    fetch::Fetched,
    item::{Batch, Item, Litter, Message},
    ledger::{Segment, Spare, Spot},
    record::{self, Kind, Life, Place, extent},
    segment::{Header, RECORDS_START},
    state::{Mark, State, Step},
};
use crate::{
    limits,
    relay::envelope::Id,
    sys::{File, Open},
    time::Instant,
};
use std::{io, rc::Rc, time::Duration};

/// Name of a segment file.
pub(super) fn path(slot: u32) -> String {
    format!("spool/{slot:08}.seg")
}

/// How long nothing is made after that has failed.
const MAKE_WAIT: Duration = Duration::from_secs(1);

impl Spool {
    /// Have the writer look at what there is to do.
    pub(super) fn kick(&self) {
        let mut state = self.0.state.borrow_mut();
        if !std::mem::replace(&mut state.running, true) {
            state.compactions = 0;
            drop(state);
            let spool = self.clone();
            self.0.sys.spawn(async move { spool.write_all().await });
        }
    }

    async fn write_all(&self) {
        let ending = Ending(self);
        loop {
            let mut out = Vec::new();
            let step = self.0.state.borrow_mut().plan(self.0.sys.clock.now(), &mut out);
            for (item, result) in out {
                item.answer(result);
            }
            match step {
                Step::Write(batch) => self.write(batch).await,
                Step::Gather(until) => self.gather(until).await,
                Step::Open(spare) => drop(self.open_head(spare).await),
                Step::Compact(tail) => self.compact(tail).await,
                Step::Make => self.make().await,
                Step::Remove(litter) => self.remove(litter).await,
                Step::Trim(spare) => self.trim(spare).await,
                // Telling those above may have brought more to do.
                Step::Idle if self.0.state.borrow().has_work() => {}
                Step::Idle => break,
            }
        }
        drop(ending);
        self.sync_later();
    }

    async fn gather(&self, until: Instant) {
        let news = self.0.state.borrow().company.news.clone();
        let seen = news.count();
        let wait = until.since(self.0.sys.clock.now());
        self.0.sys.within(wait, news.past(seen)).await;
    }

    /// One write for all of a batch.
    async fn write(&self, batch: Batch) {
        let mut buffer = Vec::new();
        let spots = self.encode(&batch, &mut buffer);
        let result = if batch.sync {
            self.append_synced(buffer, &batch).await
        } else {
            self.append(buffer, false).await
        };
        match result {
            Ok(()) => self.apply(batch, spots),
            Err(error) => self.fail(batch, &error),
        }
    }

    /// The records of a batch, and where they will be.
    pub(super) fn encode(&self, batch: &Batch, buffer: &mut Vec<u8>) -> Vec<Spot> {
        let octets: u32 = batch.items.iter().map(|item| extent(item.payload_bytes())).sum();
        buffer.reserve_exact((octets + limits::SPOOL_PAGE_BYTES) as usize);
        let state = self.0.state.borrow();
        batch
            .items
            .iter()
            .map(|item| match item {
                Item::Message(message) => {
                    let (envelope, octets) = message.parts();
                    let payload = [&message.sheet.encode(), envelope, octets];
                    put(&state, buffer, Kind::Message, message.draft.id(), &payload)
                }
                Item::Settled { id, payload, .. } => {
                    put(&state, buffer, Kind::Settled, *id, &[payload])
                }
                Item::Done { id, .. } => put(&state, buffer, Kind::Done, *id, &[]),
                Item::Sync { .. } => Spot::default(),
            })
            .collect()
    }

    /// Write records at the end of the head.
    pub(super) async fn append(&self, buffer: Vec<u8>, sync: bool) -> io::Result<()> {
        let records = u32::try_from(buffer.len()).expect("part of a segment");
        let (file, offset, octets) = self.whole_pages(buffer);
        let mark = self.0.state.borrow_mut().begin(records, sync);
        let result = self.put_octets(&*file, offset, octets, sync).await;
        self.end(mark, &result);
        result
    }

    /// The head's file, where records go, and their octets. Whole pages are written, so that none
    /// has to be read first, and what has been synced is never written again.
    pub(super) fn whole_pages(&self, mut buffer: Vec<u8>) -> (Rc<dyn File>, u32, Vec<u8>) {
        let state = self.0.state.borrow();
        let head = state.ledger.head().expect("the plan was made for a head");
        let file = state.file.clone().expect("a head has a file");
        if !buffer.is_empty() {
            let length = u32::try_from(buffer.len()).expect("part of a segment");
            let end = (head.end + length).next_multiple_of(limits::SPOOL_PAGE_BYTES);
            buffer.resize((end - head.end) as usize, 0);
        }
        (file, head.end, buffer)
    }

    /// A write that was begun, with a sync where it has a mark, has ended.
    pub(super) fn end(&self, mark: Option<Mark>, result: &io::Result<()>) {
        let now = self.0.sys.clock.now();
        let mut state = self.0.state.borrow_mut();
        match (result, mark) {
            (Ok(()), Some(mark)) => state.synced(&mark, now),
            (Ok(()), None) => drop(state.dirty.get_or_insert(now)),
            (Err(error), _) => state.give_up_head(error),
        }
    }

    pub(super) async fn put_octets(
        &self,
        file: &dyn File,
        offset: u32,
        octets: Vec<u8>,
        sync: bool,
    ) -> io::Result<()> {
        if sync {
            self.count_sync();
        }
        match (sync, octets.is_empty()) {
            (true, true) => file.sync().await,
            (true, false) => file.write_sync(offset.into(), octets).await.map(drop),
            (false, true) => Ok(()),
            (false, false) => file.write_at(offset.into(), octets).await.map(drop),
        }
    }

    /// A batch is written: note it, and tell those who wait.
    pub(super) fn apply(&self, batch: Batch, spots: Vec<Spot>) {
        let mut state = self.0.state.borrow_mut();
        if batch.sync {
            let messages = |item: &&Item| matches!(item, Item::Message(_));
            let synced = batch.items.iter().filter(messages).count();
            let waiting = state.queue.iter().filter(messages).count();
            state.company.synced(synced, waiting);
        }
        for (item, spot) in batch.items.into_iter().zip(spots) {
            let reply = match item {
                Item::Message(message) => {
                    drop(state);
                    self.kept(*message, spot);
                    state = self.0.state.borrow_mut();
                    continue;
                }
                Item::Settled { id, payload, reply } => {
                    state.ledger.settle(id, spot);
                    state.cache.remove(id);
                    state.afloat.remove(&id);
                    if !batch.sync {
                        state.remember(Item::Settled { id, payload, reply: None });
                    }
                    reply
                }
                Item::Done { id, file, reply } => {
                    let file = state.forget(id).or(file);
                    if batch.sync {
                        state.litter.extend(file);
                    } else {
                        state.remember(Item::Done { id, file, reply: None });
                    }
                    reply
                }
                Item::Sync { reply } => reply,
            };
            if let Some(reply) = reply {
                reply.send(Ok(()));
            }
        }
    }

    /// A message is durable.
    fn kept(&self, message: Message, spot: Spot) {
        let id = message.draft.id();
        let kept = message.kept(spot);
        let Message { draft, sheet, meta, reply } = message;
        let octets = draft.into_kept();
        let mut state = self.0.state.borrow_mut();
        state.ledger.keep(id, kept);
        if let Some(replaced) = sheet.replaces {
            let file = state.forget(replaced);
            state.litter.extend(file);
        } else if reply.is_abandoned() {
            // Whoever sent it was not told, and will send it again.
            state.queue.push_back(Item::Done { id, file: None, reply: None });
        }
        state.cache.insert(id, Rc::new(Fetched::fresh(sheet, meta, octets)));
        drop(state);
        reply.send(Ok(()));
    }

    /// A batch could not be written: nobody was promised anything.
    pub(super) fn fail(&self, batch: Batch, error: &io::Error) {
        let mut again = Vec::new();
        for item in batch.items {
            if item.is_internal() {
                again.push(item);
            } else {
                let same = io::Error::new(error.kind(), error.to_string());
                item.answer(Err(SpoolError::from(same)));
            }
        }
        let mut state = self.0.state.borrow_mut();
        // Behind those written before them, which give_up_head has put there.
        let at = state.queue.iter().take_while(|item| item.is_internal()).count();
        let rest = state.queue.split_off(at);
        state.queue.extend(again);
        state.queue.extend(rest);
    }

    /// Begin a new life of a file. The header is durable before anything else of the old life is
    /// written over, and says that all lives before the oldest in the journal are over.
    pub(super) async fn open_head(&self, spare: Spare) -> io::Result<()> {
        self.0.state.borrow_mut().making = spare.length.into();
        if let Err(error) = self.finish_head().await {
            // Copies may have been among what is not durable now: nothing may be built on them.
            let mut state = self.0.state.borrow_mut();
            state.making = 0;
            state.ledger.set_aside(spare);
            return Err(error);
        }
        let header = {
            let mut state = self.0.state.borrow_mut();
            state.ledger.head = None;
            state.file = None;
            state.ledger.retire();
            state.ledger.sequence += 1;
            let sequence = state.ledger.sequence;
            let (previous, end) = state.ledger.before();
            let oldest = state.ledger.log.keys().next().copied().unwrap_or(sequence);
            let life = Life { sequence, salt: self.0.sys.dice.roll() };
            Header { life, length: spare.length, oldest, previous, end }
        };
        self.count_written(limits::SPOOL_PAGE_BYTES as usize);
        self.count_sync();
        let opened = async {
            let file = self.0.sys.disk.open(&path(spare.slot), Open::Write).await?;
            if !spare.proven {
                // Whoever made it may have been killed, or failed, before its length was durable.
                // The same octets: an old life in it counts until the header is there.
                let last = spare.length - limits::SPOOL_PAGE_BYTES;
                let mut page = file.read_at(last.into(), limits::SPOOL_PAGE_BYTES as usize).await?;
                page.resize(limits::SPOOL_PAGE_BYTES as usize, 0);
                file.write_at(last.into(), page).await?;
            }
            file.write_sync(0, header.page()).await?;
            Ok(file)
        };
        let opened: io::Result<_> = opened.await;
        let mut state = self.0.state.borrow_mut();
        state.making = 0;
        match opened {
            Ok(file) => {
                let (end, durable) = (RECORDS_START, RECORDS_START);
                let Spare { slot, length, .. } = spare;
                let life = header.life;
                let head = Segment { slot, length, life, live: 0, live_octets: 0, end, durable };
                state.ledger.log.insert(life.sequence, head);
                state.ledger.head = Some(life.sequence);
                state.ledger.over = header.oldest;
                state.file = Some(file);
                Ok(())
            }
            Err(error) => {
                state.failures += 1;
                state.failing = true;
                state.resting = true;
                state.trouble = format!("beginning a segment failed: {error}");
                // It may have either life now; both are dead. A file that never had one stays so
                // for us.
                let sequence = if spare.sequence == 0 { 0 } else { header.life.sequence };
                state.ledger.set_aside(Spare { sequence, ..spare });
                Err(error)
            }
        }
    }

    /// What is written to the head must be durable before another one begins: then only the newest
    /// segment can hold anything that is not.
    async fn finish_head(&self) -> io::Result<()> {
        let is_dirty = {
            let state = self.0.state.borrow();
            state.dirty.is_some() && state.file.is_some()
        };
        if is_dirty { self.append(Vec::new(), true).await } else { Ok(()) }
    }

    /// Make a segment: real zeros, so that writing to it later changes nothing but its octets.
    async fn make(&self) {
        let length = self.room().segment_bytes;
        self.ask_room().await;
        let slot = {
            let mut state = self.0.state.borrow_mut();
            let now = self.0.sys.clock.now();
            if !state.may_make(now) {
                state.make_after = now + MAKE_WAIT;
                return;
            }
            state.making = length.into();
            state.slot += 1;
            state.slot
        };
        let result = self.make_file(slot, length).await;
        let mut state = self.0.state.borrow_mut();
        state.making = 0;
        state.file_system_room = state.file_system_room.saturating_sub(length.into());
        let made = Spare { slot, sequence: 0, length, proven: false };
        match result {
            Ok(()) => state.ledger.spare.push_back(made),
            Err(error) => {
                state.trouble = format!("making a segment failed: {error}");
                state.make_after = self.0.sys.clock.now() + MAKE_WAIT;
                state.ledger.odd.push(made);
            }
        }
    }

    async fn make_file(&self, slot: u32, length: u32) -> io::Result<()> {
        let file = self.0.sys.disk.open(&path(slot), Open::New).await?;
        let piece = length.min(limits::SCAN_BYTES);
        let mut zeros = vec![0; piece as usize];
        for at in (0..length).step_by(piece as usize) {
            zeros.truncate((length - at) as usize);
            self.count_written(zeros.len());
            zeros = file.write_at(at.into(), zeros).await?;
        }
        self.count_sync();
        file.sync().await?;
        self.count_sync();
        self.0.sys.disk.sync_dir("spool").await
    }

    async fn remove(&self, litter: Litter) {
        let result = self.0.sys.disk.remove(&litter.0).await;
        let mut state = self.0.state.borrow_mut();
        match result {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                state.trouble = format!("removing {} failed: {error}", litter.0);
                state.stuck.push(litter);
            }
            _ => {
                state.large_octets -= litter.1;
                state.file_system_room = state.file_system_room.saturating_add(litter.1);
            }
        }
    }

    /// Remove a segment. If its name comes back after a power cut, a durable header says that it is
    /// dead.
    async fn trim(&self, spare: Spare) {
        self.0.state.borrow_mut().making = spare.length.into();
        let mut result = self.0.sys.disk.remove(&path(spare.slot)).await;
        if result.is_ok() {
            // It takes room as long as it may come back.
            result = self.0.sys.disk.sync_dir("spool").await;
        }
        let mut state = self.0.state.borrow_mut();
        state.making = 0;
        state.cache.close(spare.slot);
        match result {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                state.trouble = format!("removing a segment failed: {error}");
                state.resting = true;
                state.ledger.odd.push(spare);
            }
            _ => {
                let octets = spare.length.into();
                state.file_system_room = state.file_system_room.saturating_add(octets);
            }
        }
    }

    /// Sync what nobody else syncs for a while, and try again to write or remove what could not be.
    /// Nothing is there to wake up when all is durable.
    fn sync_later(&self) {
        let mut state = self.0.state.borrow_mut();
        if !state.is_owing() || std::mem::replace(&mut state.timer, true) {
            return;
        }
        drop(state);
        let spool = self.clone();
        self.0.sys.spawn(async move {
            while spool.0.state.borrow_mut().is_timed() {
                let clock = &spool.0.sys.clock;
                let since = spool.0.state.borrow().dirty.unwrap_or_else(|| clock.now());
                clock.sleep_until(since + limits::LAZY_SYNC_WAIT).await;
                let dirty = spool.0.state.borrow().dirty;
                if dirty.is_none_or(|since| since + limits::LAZY_SYNC_WAIT <= clock.now()) {
                    // A failure is in the trouble; the next round tries again.
                    drop(spool.sync_now().await);
                }
            }
        });
    }
}

/// Append a record to octets that will be written at the end of the head.
pub(super) fn put(
    state: &State,
    buffer: &mut Vec<u8>,
    kind: Kind,
    id: Id,
    payload: &[&[u8]],
) -> Spot {
    let head = state.ledger.head().expect("the plan was made for a head");
    let offset = head.end + u32::try_from(buffer.len()).expect("part of a segment");
    let place = Place { life: head.life, offset, durable: head.durable };
    record::append(buffer, place, kind, id, payload);
    let length = payload.iter().map(|part| part.len()).sum::<usize>();
    let length = u32::try_from(length).expect("part of a segment");
    Spot { sequence: head.life.sequence, offset, length }
}

/// The writer is gone, whichever way.
struct Ending<'a>(&'a Spool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        let (queue, squeezed) = {
            let mut state = self.0.0.state.borrow_mut();
            state.running = false;
            // After a plain end only what is to be written again is left; after a panic nobody must
            // wait.
            let (again, waiting) = std::mem::take(&mut state.queue)
                .into_iter()
                .partition::<Vec<_>, _>(Item::is_internal);
            state.queue = again.into();
            (waiting, std::mem::take(&mut state.squeezed))
        };
        drop(queue);
        drop(squeezed);
    }
}
