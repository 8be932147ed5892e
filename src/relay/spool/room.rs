//! How much the spool may hold, how much it does, and what it has cost the flash.

use super::{Spool, SpoolError, item::Item, large};
use crate::{limits, relay::envelope::Id};

/// What a spool may take. Its other bounds scale with the segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Octets on disk, never passed (`limits.spool`).
    pub octets: u64,
    /// Octets of the largest message (`limits.message`).
    pub message: u64,
    /// Octets of a segment: a multiple of 64 KiB. At least [`limits::SEGMENTS_MIN`] fit `octets`.
    pub segment_bytes: u32,
}

impl Room {
    /// A spool of `octets`, at least 1 MiB. Segments are [`limits::SEGMENT_BYTES`] where 16 of them
    /// fit.
    pub fn new(octets: u64, message: u64) -> Room {
        let sixteenth = octets / 16 / (64 * 1024) * (64 * 1024);
        let segment = u32::try_from(sixteenth)
            .unwrap_or(u32::MAX)
            .clamp(limits::SEGMENT_BYTES_MIN, limits::SEGMENT_BYTES);
        Room { octets, message, segment_bytes: segment }
    }

    /// Octets of an envelope or a progress in the journal.
    pub(super) fn share(&self) -> usize {
        (self.segment_bytes / limits::SEGMENT_SHARES) as usize
    }

    /// Octets of a message in the journal.
    pub(super) fn octets_share(&self) -> usize {
        self.share() * limits::SPOOL_OCTETS_SHARES as usize
    }
}

/// How the spool stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Octets that it may take on disk.
    pub room: u64,
    /// Octets that it takes on disk.
    pub disk: u64,
    /// Octets of it that belong to messages.
    pub used: u64,
    /// Octets of messages that still fit, as far as is known.
    pub free: u64,
    /// Messages.
    pub messages: usize,
    /// Segments, with the spare ones.
    pub segments: u32,
    /// Octets written since the start, in whole pages: what the flash sees of them.
    pub written: u64,
    /// Octets of them that laid out the segments by which the spool has grown: no message's cost.
    pub laid_out: u64,
    /// Syncs since the start.
    pub syncs: u64,
    /// Octets that the file system still takes, as far as is known.
    pub file_system: Option<u64>,
    /// Why no more mail is taken; `None` while it is.
    pub full: Option<Full>,
    /// What went wrong, in words for a person; empty where nothing did, and again once something
    /// has been written.
    pub trouble: String,
    /// The last message that the flash has lost since the start, and how many it has.
    pub lost: Option<(Id, u64)>,
}

/// What there is too little of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// The room that was configured.
    Room,
    /// The room on the file system.
    Disk,
}

/// What a record takes beside a message's octets, roughly: for the answer to SIZE.
const OVERHEAD: u64 = 1024;

impl Spool {
    /// Take as much from now on, and messages of that size. What is there stays, also where it is
    /// more; segments stay as long as they are until the next start.
    pub fn resize(&self, octets: u64, message: u64) {
        let room = Room { octets, message, ..self.room() };
        self.0.room.set(room);
        self.0.state.borrow_mut().room = room;
    }

    /// How it stands.
    pub fn usage(&self) -> Usage {
        let state = self.0.state.borrow();
        let used = state.ledger.charge() + state.large_octets;
        let (bearable, narrow) = self.bearable();
        Usage {
            room: self.room().octets,
            disk: state.ledger.octets() + state.large_octets,
            used,
            free: bearable.saturating_sub(state.ledger.charge()),
            messages: state.ledger.messages(),
            segments: state.ledger.segments(),
            written: state.written,
            laid_out: u64::from(state.ledger.segments().saturating_sub(self.0.segments_before))
                * u64::from(self.room().segment_bytes),
            syncs: state.syncs,
            file_system: Some(state.file_system_room).filter(|room| *room < u64::MAX),
            full: (state.ledger.charge() + OVERHEAD > bearable).then_some(narrow),
            trouble: state.trouble.clone(),
            lost: self.0.lost.get(),
        }
    }

    /// Whether a message of `size` octets would be taken now: for SIZE at MAIL (RFC 1870 §6.1). A
    /// yes is no promise.
    pub fn has_room(&self, size: u64) -> bool {
        let needed = size + OVERHEAD;
        let fits = if size <= self.room().octets_share() as u64 {
            self.0.state.borrow().ledger.charge() + needed <= self.bearable().0
        } else {
            let state = self.0.state.borrow();
            let segments = state.ledger.segments_for(state.ledger.charge());
            let journal = u64::from(segments) * u64::from(self.room().segment_bytes);
            journal + state.large_octets + needed <= self.room().octets
                && state.file_system_room >= needed + limits::FILE_SYSTEM_SPARE_BYTES
        };
        if !fits {
            self.look_again();
        }
        fits
    }

    /// What the journal bears of mail that comes in, with as many segments as it may have, and what
    /// would have to grow for more.
    fn bearable(&self) -> (u64, Full) {
        let state = self.0.state.borrow();
        let each = u64::from(self.room().segment_bytes);
        let by_room = self.room().octets.saturating_sub(state.large_octets) / each;
        let free = state.file_system_room.saturating_sub(limits::FILE_SYSTEM_SPARE_BYTES);
        let by_disk = u64::from(state.ledger.segments()) + free / each;
        let segments = by_room.min(by_disk);
        let all = state.ledger.bearable(u32::try_from(segments).unwrap_or(u32::MAX));
        let narrow = if by_disk < by_room { Full::Disk } else { Full::Room };
        (all - all / limits::REPORT_SHARE, narrow)
    }

    /// Others may have made room on the file system since it was last asked.
    fn look_again(&self) {
        let mut state = self.0.state.borrow_mut();
        if std::mem::replace(&mut state.looking, true) {
            return;
        }
        drop(state);
        let spool = self.clone();
        self.0.sys.spawn(async move {
            spool.ask_room().await;
            spool.0.state.borrow_mut().looking = false;
        });
    }

    /// Octets that the file system still takes, asked now; as it was known, where it does not say.
    pub async fn ask_room(&self) -> u64 {
        let room = self.0.sys.disk.room("spool").await;
        let mut state = self.0.state.borrow_mut();
        if let Ok(room) = room {
            state.file_system_room = room;
        }
        state.file_system_room
    }

    /// Set aside octets for a large draft.
    ///
    /// # Errors
    /// `Full`, also after what can be given back has been.
    pub(super) async fn claim(&self, octets: u64) -> Result<(), SpoolError> {
        if !self.try_claim(octets) {
            self.squeeze().await;
            self.ask_room().await;
            if !self.try_claim(octets) {
                return Err(SpoolError::Full);
            }
        }
        Ok(())
    }

    fn try_claim(&self, octets: u64) -> bool {
        let mut state = self.0.state.borrow_mut();
        let least = u64::from(limits::SEGMENTS_MIN) * u64::from(self.room().segment_bytes);
        let journal = state.ledger.octets().max(least);
        let fits = journal + state.making + state.large_octets + octets <= self.room().octets
            && state.file_system_room >= octets + limits::FILE_SYSTEM_SPARE_BYTES;
        if fits {
            state.large_octets += octets;
            state.file_system_room -= octets;
        }
        fits
    }

    /// Have the writer give back files and segments that nothing needs.
    async fn squeeze(&self) {
        let (reply, waiting) = super::reply::pair();
        {
            let mut state = self.0.state.borrow_mut();
            state.queue.push_back(Item::Sync { reply: None });
            state.squeezed.push(reply);
        }
        self.kick();
        // It says nothing but that it is over.
        drop(waiting.result().await);
    }

    pub(super) fn take_draft_memory(&self, octets: usize) -> bool {
        let mut state = self.0.state.borrow_mut();
        let fits = state.draft_octets + octets <= limits::DRAFTS_BYTES;
        if fits {
            state.draft_octets += octets;
        }
        fits
    }

    pub(super) fn give_draft_memory(&self, octets: usize) {
        self.0.state.borrow_mut().draft_octets -= octets;
    }

    /// A draft is gone; its file, of so many octets, is to be removed.
    pub(super) fn end_draft(&self, id: Id, litter: Option<u64>) {
        {
            let mut state = self.0.state.borrow_mut();
            state.drafts.remove(&id);
            let file = litter.map(|octets| (large::path(id), octets));
            if state.ledger.head.is_some() {
                state.litter.extend(file);
            } else {
                // A record of it may be in the segment that was given up, until a new one says
                // where that ends.
                state.stuck.extend(file);
            }
        }
        if litter.is_some() {
            self.kick();
        }
    }

    pub(super) fn count_written(&self, octets: usize) {
        let page = u64::from(limits::SPOOL_PAGE_BYTES);
        self.0.state.borrow_mut().written += (octets as u64).next_multiple_of(page);
    }

    pub(super) fn count_sync(&self) {
        self.0.state.borrow_mut().syncs += 1;
    }
}
