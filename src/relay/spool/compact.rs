//! Compaction: what is alive in the oldest segment moves to the head, so that the segment can be
//! used again.

use super::{
    Spool,
    codec::{self, Sheet},
    ledger::{Kept, usable},
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
        let mut words = self.room_for_words(&inside);
        let mut here = 0;
        for (id, kept) in inside {
            let Some((sheet, payload, mut progress)) = self.read_for_copy(id, kept).await? else {
                continue;
            };
            match words.checked_sub(kept.words()) {
                Some(left) => words = left,
                // What is owed counts, and what was said of it last is in the history.
                None => progress = wordless(progress),
            }
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
            let needed = |buffer: &[u8]| buffer.len() as u64 + u64::from(extent(length));
            if !buffer.is_empty() && !self.fits(needed(&buffer), here + kept.moved()) {
                self.append(std::mem::take(&mut buffer), false).await?;
            }
            if !self.fits(needed(&buffer), here + kept.moved()) {
                let spare = self.0.state.borrow_mut().ledger.spare.pop_front();
                let full = || io::Error::from(io::ErrorKind::StorageFull);
                self.open_head(spare.ok_or_else(full)?).await?;
                here = 0;
            }
            here += kept.moved();
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

    /// Octets of words that there is room for in what is spare: without, all fits one segment.
    /// Others than the last to be opened may end an eighth before their end.
    fn room_for_words(&self, inside: &[(Id, Kept)]) -> u64 {
        let ledger = &self.0.state.borrow().ledger;
        let each = usable(self.room().segment_bytes);
        let spare = ledger.spare.len() as u64;
        let room = each * spare - (each / 8) * spare.saturating_sub(1);
        room.saturating_sub(inside.iter().map(|(_, kept)| kept.moved()).sum())
    }

    /// So many octets of records fit the head, and those of them that have not been noted yet can
    /// be moved with what is there.
    fn fits(&self, octets: u64, moved: u64) -> bool {
        self.0.state.borrow().ledger.head().is_some_and(|head| head.fits(octets, moved))
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

/// The same progress without the words.
fn wordless(octets: Vec<u8>) -> Vec<u8> {
    let progress = codec::decode_progress(&octets);
    progress.map_or(octets, |progress| codec::encode_progress(&progress, 0))
}
