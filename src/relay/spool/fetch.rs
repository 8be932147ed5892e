//! Reading messages back, from memory while they are fresh and from the journal later.

use super::{
    Spool,
    codec::{self, Sheet},
    large::{self, LargeBody},
    ledger::{Kept, Spot},
    record::{HEAD_BYTES, Head, Kind},
    writer,
};
use crate::{
    limits,
    relay::envelope::{Envelope, Id, Octets, Progress},
    sys::{File, Open, Pending},
};
use std::{
    collections::{BTreeMap, VecDeque},
    io,
    rc::Rc,
};

/// A message as it was read, or as it was just written.
pub(super) struct Fetched {
    sheet: Sheet,
    /// Encoded; a large message's trailer, with the checksums of its blocks behind it.
    pub(super) meta: Vec<u8>,
    /// Encoded; empty: nothing tried yet.
    progress: Vec<u8>,
    /// Holds the octets from `start` on, unless it is large.
    octets: Rc<Vec<u8>>,
    start: usize,
}

impl Fetched {
    pub(super) fn fresh(sheet: Sheet, meta: Vec<u8>, octets: Vec<u8>) -> Fetched {
        Fetched { sheet, meta, progress: Vec::new(), octets: Rc::new(octets), start: 0 }
    }

    fn bytes(&self) -> usize {
        size_of::<Fetched>() + self.meta.len() + self.progress.len() + self.octets.len()
    }
}

/// Messages that are likely to be read soon, and open segment files.
#[derive(Default)]
pub(super) struct Cache {
    messages: BTreeMap<Id, Rc<Fetched>>,
    /// Oldest first; with some that are gone.
    order: VecDeque<Id>,
    bytes: usize,
    files: VecDeque<(u32, Rc<dyn File>)>,
}

impl Cache {
    pub(super) fn insert(&mut self, id: Id, fetched: Rc<Fetched>) {
        self.remove(id);
        self.bytes += fetched.bytes();
        self.messages.insert(id, fetched);
        self.order.push_back(id);
        while self.bytes > limits::SPOOL_CACHE_BYTES
            && let Some(oldest) = self.order.front().copied()
        {
            self.remove(oldest);
        }
    }

    pub(super) fn remove(&mut self, id: Id) {
        if let Some(fetched) = self.messages.remove(&id) {
            self.bytes -= fetched.bytes();
        }
        // Messages mostly go in the order in which they came.
        while self.order.front().is_some_and(|oldest| !self.messages.contains_key(oldest)) {
            self.order.pop_front();
        }
        if self.order.len() > 2 * self.messages.len() + 16 {
            self.order.retain(|id| self.messages.contains_key(id));
        }
    }

    /// Forget the open file of a segment.
    pub(super) fn close(&mut self, slot: u32) {
        self.files.retain(|(open, _)| *open != slot);
    }
}

/// The octets of a kept message.
pub struct Body(Held);

enum Held {
    Small { octets: Rc<Vec<u8>>, start: usize },
    Large(LargeBody),
}

impl Octets for Body {
    fn size(&self) -> u64 {
        match &self.0 {
            Held::Small { octets, start } => (octets.len() - start) as u64,
            Held::Large(large) => large.size(),
        }
    }

    fn chunk(&self, offset: u64) -> Pending<'_, io::Result<Vec<u8>>> {
        match &self.0 {
            Held::Small { octets, start } => {
                let from = usize::try_from(offset).unwrap_or(usize::MAX).saturating_add(*start);
                let from = from.min(octets.len());
                let to = octets.len().min(from + limits::CHUNK_BYTES);
                Box::pin(std::future::ready(Ok(octets[from..to].to_vec())))
            }
            Held::Large(large) => large.chunk(offset),
        }
    }
}

impl Spool {
    /// A message's envelope and how far it got.
    ///
    /// # Errors
    /// `NotFound` where it is not in the spool (any more); `InvalidData` where the flash lost it;
    /// else the disk's error.
    pub async fn load(&self, id: Id) -> io::Result<(Envelope, Progress)> {
        loop {
            let kept = self.known(id)?;
            let read = self.try_load(id, kept).await;
            // It may have been moved or settled while it was read.
            if self.known(id)? == kept {
                return read;
            }
        }
    }

    async fn try_load(&self, id: Id, kept: Kept) -> io::Result<(Envelope, Progress)> {
        let fetched = self.fetch(id, kept).await?;
        let sheet = &fetched.sheet;
        let envelope = fetched.meta.get(..sheet.envelope as usize);
        let envelope = envelope
            .and_then(|octets| codec::decode_envelope(octets, sheet.arrived))
            .ok_or_else(|| damaged(id))?;
        let mut progress = match kept.settled {
            Some(spot) => {
                let octets = self.read_settled(id, spot).await?;
                codec::decode_progress(&octets).ok_or_else(|| damaged(id))?
            }
            None if fetched.progress.is_empty() => Progress::default(),
            None => codec::decode_progress(&fetched.progress).ok_or_else(|| damaged(id))?,
        };
        progress.outcomes.resize(envelope.recipients.len(), None);
        Ok((envelope, progress))
    }

    /// A message's octets. They stay readable while this is held, also when the message is done.
    ///
    /// # Errors
    /// As [`Spool::load`].
    pub async fn body(&self, id: Id) -> io::Result<Body> {
        loop {
            let kept = self.known(id)?;
            let read = self.try_body(id, kept).await;
            if self.known(id)?.message == kept.message {
                return read;
            }
        }
    }

    async fn try_body(&self, id: Id, kept: Kept) -> io::Result<Body> {
        let fetched = self.fetch(id, kept).await?;
        if !fetched.sheet.large {
            let octets = fetched.octets.clone();
            return Ok(Body(Held::Small { octets, start: fetched.start }));
        }
        let file = self.sys().disk.open(&large::path(id), Open::Read).await?;
        let size = fetched.sheet.size;
        let start = fetched.sheet.envelope as usize;
        Ok(Body(Held::Large(LargeBody { file, size, trailer: fetched, start })))
    }

    fn known(&self, id: Id) -> io::Result<Kept> {
        let words = || io::Error::new(io::ErrorKind::NotFound, format!("no message {id}"));
        self.0.state.borrow().ledger.kept(id).ok_or_else(words)
    }

    async fn fetch(&self, id: Id, kept: Kept) -> io::Result<Rc<Fetched>> {
        let cached = self.0.state.borrow().cache.messages.get(&id).cloned();
        if let Some(fetched) = cached {
            return Ok(fetched);
        }
        let fetched = Rc::new(self.read_message(id, kept.message).await?);
        if self.known(id)? == kept {
            self.0.state.borrow_mut().cache.insert(id, fetched.clone());
        }
        Ok(fetched)
    }

    async fn read_message(&self, id: Id, spot: Spot) -> io::Result<Fetched> {
        let payload = self.read_record(Kind::Message, id, spot).await?;
        let (sheet, payload) = Sheet::of(payload).ok_or_else(|| damaged(id))?;
        let progress = payload[sheet.progress_range()].to_vec();
        let meta = if sheet.large {
            self.read_trailer(id, &sheet).await?
        } else {
            payload[sheet.envelope_range()].to_vec()
        };
        let start = sheet.progress_range().end;
        Ok(Fetched { sheet, meta, progress, octets: Rc::new(payload), start })
    }

    async fn read_trailer(&self, id: Id, sheet: &Sheet) -> io::Result<Vec<u8>> {
        let file = self.sys().disk.open(&large::path(id), Open::Read).await?;
        let length = usize::try_from(large::trailer_bytes(sheet)).map_err(|_| damaged(id))?;
        let trailer = file.read_at(sheet.size, length).await?;
        let whole = trailer.len() == length && crc32c::crc32c(&trailer) == sheet.trailer_crc;
        if whole { Ok(trailer) } else { Err(damaged(id)) }
    }

    /// A progress from where it was written; or from memory, where the disk failed to make it
    /// durable.
    pub(super) async fn read_settled(&self, id: Id, spot: Spot) -> io::Result<Vec<u8>> {
        let read = self.read_record(Kind::Settled, id, spot).await;
        read.or_else(|error| self.0.state.borrow().not_durable(id).ok_or(error))
    }

    /// A record's payload, checked: `InvalidData` where the flash does not give it as it was
    /// written, also not when asked again. Other errors are of the moment.
    pub(super) async fn read_record(&self, kind: Kind, id: Id, spot: Spot) -> io::Result<Vec<u8>> {
        let segment = self.0.state.borrow().ledger.log.get(&spot.sequence).copied();
        let segment = segment.ok_or_else(|| damaged(id))?;
        let file = self.open_segment(segment.slot).await?;
        let length = (HEAD_BYTES + spot.length) as usize;
        let mut read = file.read_at(spot.offset.into(), length).await;
        for _ in 0..2 {
            if read.is_err() {
                read = file.read_at(spot.offset.into(), length).await;
            }
        }
        let mut octets = read.map_err(|_| damaged(id))?;
        let head = Head::read(&octets, segment.life, spot.offset).filter(|head| {
            (head.kind, head.id, head.length) == (kind, id, spot.length) && octets.len() == length
        });
        let payload = octets.get(HEAD_BYTES as usize..).unwrap_or_default();
        if head.is_none_or(|head| segment.life.payload_crc(&[payload]) != head.crc) {
            return Err(damaged(id));
        }
        octets.drain(..HEAD_BYTES as usize);
        Ok(octets)
    }

    async fn open_segment(&self, slot: u32) -> io::Result<Rc<dyn File>> {
        let open = {
            let state = self.0.state.borrow();
            let found = state.cache.files.iter().find(|(open, _)| *open == slot);
            found.map(|(_, file)| file.clone())
        };
        if let Some(file) = open {
            return Ok(file);
        }
        let file = self.sys().disk.open(&writer::path(slot), Open::Read).await?;
        let mut state = self.0.state.borrow_mut();
        state.cache.close(slot);
        if state.cache.files.len() >= limits::SPOOL_FILES_OPEN {
            state.cache.files.pop_front();
        }
        state.cache.files.push_back((slot, file.clone()));
        Ok(file)
    }
}

fn damaged(id: Id) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("a record of message {id} is damaged"))
}
