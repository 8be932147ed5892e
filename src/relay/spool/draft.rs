//! A message that is being received: invisible to everybody else until it is committed.

use super::{
    Spool, SpoolError,
    large::{self, LargeDraft},
};
use crate::{limits, relay::envelope::Id, sys::Open};
use std::io;

/// A message on its way into the spool. Small ones are in memory, others in a file as they arrive.
/// Dropping it forgets both.
pub struct Draft {
    spool: Spool,
    id: Id,
    size: u64,
    octets: Vec<u8>,
    large: Option<LargeDraft>,
    failed: Option<SpoolError>,
    /// The file is a kept message's now.
    kept: bool,
}

impl Draft {
    pub(super) fn new(spool: Spool, id: Id) -> Draft {
        let (octets, large, failed) = (Vec::new(), None, None);
        Draft { spool, id, size: 0, octets, large, failed, kept: false }
    }

    /// The queue id that the message will have: for the Received field.
    pub fn id(&self) -> Id {
        self.id
    }

    /// Octets so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// More octets of the message, in order, as they are to be kept.
    ///
    /// # Errors
    /// `StorageFull` where the spool has no room, or the disk's error. The draft cannot be
    /// committed then: [`Spool::commit`] says the same again, so this result need not be looked at.
    pub async fn append(&mut self, octets: &[u8]) -> io::Result<()> {
        if let Some(failed) = &self.failed {
            return Err(failed.to_io());
        }
        // If the caller goes away while this waits, some of the octets may be lost.
        self.failed = Some(SpoolError::Io(io::ErrorKind::Interrupted.into()));
        let result = self.try_append(octets).await;
        self.failed = result.err();
        self.failed.as_ref().map_or(Ok(()), |error| Err(error.to_io()))
    }

    async fn try_append(&mut self, octets: &[u8]) -> Result<(), SpoolError> {
        self.size += octets.len() as u64;
        if self.size > self.spool.room().message {
            return Err(SpoolError::Full);
        }
        if self.large.is_none() {
            let fits = self.octets.len() + octets.len() <= self.spool.room().octets_share();
            if fits && self.spool.take_draft_memory(octets.len()) {
                self.octets.extend_from_slice(octets);
                return Ok(());
            }
            self.enlarge().await?;
        }
        let large = self.large.as_mut().expect("it has just been made");
        large.append(&self.spool, octets).await
    }

    /// Move it into a file of its own.
    pub(super) async fn enlarge(&mut self) -> Result<(), SpoolError> {
        let disk = &self.spool.sys().disk;
        let file = disk.open(&large::path(self.id), Open::New).await?;
        let large = self.large.insert(LargeDraft::new(file));
        let octets = std::mem::take(&mut self.octets);
        let result = large.append(&self.spool, &octets).await;
        self.spool.give_draft_memory(octets.len());
        result
    }

    pub(super) fn failed(&mut self) -> Option<SpoolError> {
        self.failed.take()
    }

    pub(super) fn large(&mut self) -> Option<&mut LargeDraft> {
        self.large.as_mut()
    }

    pub(super) fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// It is durable now: its octets, and its file is not removed any more.
    pub(super) fn into_kept(mut self) -> Vec<u8> {
        self.kept = true;
        let mut octets = std::mem::take(&mut self.octets);
        self.spool.give_draft_memory(octets.len());
        octets.shrink_to_fit();
        octets
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        self.spool.give_draft_memory(self.octets.len());
        let litter = if self.kept { None } else { self.large.as_ref() };
        self.spool.end_draft(self.id, litter.map(|large| large.claimed));
    }
}

const _: () = assert!(limits::DRAFTS_BYTES > limits::DRAFT_BUFFER_BYTES);
