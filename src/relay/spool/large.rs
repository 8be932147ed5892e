//! A large message's own file: its octets, then a trailer of its envelope and a checksum for each
//! block.

use super::{Spool, SpoolError, codec::Sheet, fetch::Fetched};
use crate::{
    limits,
    relay::envelope::{Id, Octets},
    sys::{File, Pending},
};
use std::{io, rc::Rc};

/// Where the file is.
pub(super) fn path(id: Id) -> String {
    format!("{DIR}/{id}")
}

/// Where all of them are.
pub(super) const DIR: &str = "spool/large";

const CRC_BYTES: usize = 4;

/// Blocks of a message, the last one maybe short.
fn blocks(size: u64) -> u64 {
    size.div_ceil(limits::LARGE_BLOCK_BYTES as u64)
}

/// Octets of the trailer.
pub(super) fn trailer_bytes(sheet: &Sheet) -> u64 {
    u64::from(sheet.envelope) + blocks(sheet.size) * CRC_BYTES as u64
}

/// Octets that a file takes of the room.
pub(super) fn file_bytes(sheet: &Sheet) -> u64 {
    (sheet.size + trailer_bytes(sheet)).next_multiple_of(limits::SPOOL_PAGE_BYTES.into())
}

/// Checksum of a block: it covers which one it is.
fn block_crc(number: u64, octets: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&number.to_le_bytes()), octets)
}

/// A large draft.
pub(super) struct LargeDraft {
    file: Rc<dyn File>,
    /// Octets in the file.
    written: u64,
    /// Octets that are not yet, less than [`limits::DRAFT_BUFFER_BYTES`] between calls.
    buffer: Vec<u8>,
    table: Vec<u8>,
    /// Octets of the room that are set aside for it.
    pub(super) claimed: u64,
}

impl LargeDraft {
    pub(super) fn new(file: Rc<dyn File>) -> LargeDraft {
        LargeDraft { file, written: 0, buffer: Vec::new(), table: Vec::new(), claimed: 0 }
    }

    pub(super) async fn append(
        &mut self,
        spool: &Spool,
        mut octets: &[u8],
    ) -> Result<(), SpoolError> {
        while !octets.is_empty() {
            let fits = (limits::DRAFT_BUFFER_BYTES - self.buffer.len()).min(octets.len());
            let (now, later) = octets.split_at(fits);
            self.buffer.extend_from_slice(now);
            octets = later;
            if self.buffer.len() == limits::DRAFT_BUFFER_BYTES {
                self.flush(spool).await?;
            }
        }
        Ok(())
    }

    async fn flush(&mut self, spool: &Spool) -> Result<(), SpoolError> {
        let octets = std::mem::take(&mut self.buffer);
        for block in octets.chunks(limits::LARGE_BLOCK_BYTES) {
            let number = self.table.len() / CRC_BYTES;
            self.table.extend(block_crc(number as u64, block).to_le_bytes());
        }
        self.write(spool, octets).await
    }

    async fn write(&mut self, spool: &Spool, octets: Vec<u8>) -> Result<(), SpoolError> {
        let end = self.written + octets.len() as u64;
        let needed = end.next_multiple_of(limits::SPOOL_PAGE_BYTES.into());
        if needed > self.claimed {
            // Others may have filled the file system since it was last asked.
            if self.claimed.is_multiple_of(limits::ROOM_LOOK_BYTES) {
                spool.ask_room().await;
            }
            spool.claim(needed - self.claimed).await?;
            self.claimed = needed;
        }
        spool.count_written(octets.len());
        self.buffer = self.file.write_at(self.written, octets).await.map_err(SpoolError::from)?;
        self.buffer.clear();
        self.written = end;
        Ok(())
    }

    /// Write the trailer and make all of it durable; the trailer and its checksum.
    pub(super) async fn finish(
        &mut self,
        spool: &Spool,
        envelope: &[u8],
    ) -> Result<(Vec<u8>, u32), SpoolError> {
        if !self.buffer.is_empty() {
            self.flush(spool).await?;
        }
        let trailer = [envelope, &self.table].concat();
        let crc = crc32c::crc32c(&trailer);
        self.write(spool, trailer.clone()).await?;
        self.buffer = Vec::new();
        spool.count_sync();
        self.file.sync().await?;
        // The name is as much part of the promise as the octets are.
        spool.count_sync();
        spool.sys().disk.sync_dir(DIR).await?;
        Ok((trailer, crc))
    }
}

/// The octets of a large message, read in blocks.
pub(super) struct LargeBody {
    pub(super) file: Rc<dyn File>,
    pub(super) size: u64,
    /// Holds the checksums of its blocks, from `start` of the trailer on.
    pub(super) trailer: Rc<Fetched>,
    pub(super) start: usize,
}

impl Octets for LargeBody {
    fn size(&self) -> u64 {
        self.size
    }

    fn chunk(&self, offset: u64) -> Pending<'_, io::Result<Vec<u8>>> {
        Box::pin(async move {
            if offset >= self.size {
                return Ok(Vec::new());
            }
            let number = offset / limits::LARGE_BLOCK_BYTES as u64;
            let start = number * limits::LARGE_BLOCK_BYTES as u64;
            let length = (self.size - start).min(limits::LARGE_BLOCK_BYTES as u64);
            let length = usize::try_from(length).expect("a block");
            let mut octets = self.file.read_at(start, length).await?;
            if octets.len() != length || self.crc(number) != Some(block_crc(number, &octets)) {
                let words = "a large message does not read as it was written";
                return Err(io::Error::new(io::ErrorKind::InvalidData, words));
            }
            octets.drain(..usize::try_from(offset - start).expect("inside a block"));
            Ok(octets)
        })
    }
}

impl LargeBody {
    fn crc(&self, number: u64) -> Option<u32> {
        let at = self.start + usize::try_from(number).ok()? * CRC_BYTES;
        let octets = self.trailer.meta.get(at..at + CRC_BYTES)?;
        Some(u32::from_le_bytes(octets.try_into().expect("four octets")))
    }
}
