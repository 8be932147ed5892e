//! Compaction: what is alive in the oldest segment moves to the head, so that the segment can be
//! used again.

use super::{
    Spool,
    codec::Sheet,
    ledger::Kept,
    record::{Kind, extent},
    state::State,
    writer::put,
};
use crate::{limits, relay::envelope::Id};
use std::io;

impl Spool {
    /// Copy what is alive in the oldest segment to the head. Its messages are said to be in their
    /// new places only when the copies are durable.
    pub(super) async fn compact(&self, tail: u32) {
        let head = |state: &State| state.ledger.head().map(|head| (head.life, head.end));
        let (inside, before) = {
            let state = self.0.state.borrow();
            (state.ledger.messages_in(tail), head(&state))
        };
        if let Err(error) = self.copy(inside).await {
            let mut state = self.0.state.borrow_mut();
            if head(&state) != before {
                // The next try must not find the head full of copies that do not count.
                state.give_up_head(&error);
            }
            state.resting = true;
            state.trouble = format!("compacting the journal failed: {error}");
        }
    }

    async fn copy(&self, inside: Vec<(Id, Kept)>) -> io::Result<()> {
        let mut moved = Vec::new();
        let mut buffer = Vec::new();
        for (id, kept) in inside {
            let Some((sheet, payload, progress)) = self.read_for_copy(id, kept).await? else {
                continue;
            };
            let embedded = u32::try_from(progress.len()).expect("part of a segment");
            // A bounce's cause is gone from the journal when the bounce is moved.
            let moved_sheet = Sheet { progress: embedded, replaces: None, ..sheet };
            let parts = [
                &moved_sheet.encode(),
                &payload[sheet.envelope_range()],
                &progress,
                &payload[sheet.progress_range().end..],
            ];
            let length = parts.iter().map(|part| part.len()).sum();
            if !buffer.is_empty() && !self.fits(buffer.len() + extent(length) as usize) {
                self.append(std::mem::take(&mut buffer), false).await?;
            }
            if !self.fits(extent(length) as usize) {
                let spare = self.0.state.borrow_mut().ledger.spare.pop_front();
                let full = || io::Error::from(io::ErrorKind::StorageFull);
                self.open_head(spare.ok_or_else(full)?).await?;
            }
            let spot = put(&self.0.state.borrow(), &mut buffer, Kind::Message, id, &parts);
            moved.push((id, Kept { message: spot, settled: None, embedded, ..kept }));
            if buffer.len() >= limits::BATCH_BYTES / 2 {
                self.append(std::mem::take(&mut buffer), false).await?;
            }
        }
        if !moved.is_empty() {
            self.append(buffer, true).await?;
        }
        let mut state = self.0.state.borrow_mut();
        for (id, kept) in moved {
            state.cache.remove(id);
            state.ledger.keep(id, kept);
        }
        Ok(())
    }

    /// So many octets of records fit the head.
    fn fits(&self, octets: usize) -> bool {
        let state = self.0.state.borrow();
        state.ledger.head().is_some_and(|head| (head.length - head.end) as usize >= octets)
    }

    /// A message's sheet, payload and newest progress. `None` where the flash has lost it: then the
    /// message is gone, and that is said.
    async fn read_for_copy(
        &self,
        id: Id,
        kept: Kept,
    ) -> io::Result<Option<(Sheet, Vec<u8>, Vec<u8>)>> {
        let is_damaged = |error: &io::Error| error.kind() == io::ErrorKind::InvalidData;
        let read = match self.read_record(Kind::Message, id, kept.message).await {
            Err(error) if !is_damaged(&error) => return Err(error),
            read => read.ok().and_then(Sheet::of),
        };
        let Some((sheet, payload)) = read else {
            let (_, before) = self.0.lost.get().unwrap_or((id, 0));
            self.0.lost.set(Some((id, before + 1)));
            let mut state = self.0.state.borrow_mut();
            let file = state.forget(id);
            state.litter.extend(file);
            return Ok(None);
        };
        let embedded = &payload[sheet.progress_range()];
        let progress = match kept.settled {
            None => embedded.to_vec(),
            Some(spot) => match self.read_settled(id, spot).await {
                // An older one repeats some recipients, and loses none.
                Err(error) if is_damaged(&error) => embedded.to_vec(),
                read => read?,
            },
        };
        Ok(Some((sheet, payload, progress)))
    }
}
