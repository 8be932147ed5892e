//! A segment's header page, and the walk over its records.

use super::record::{ALIGN, HEAD_BYTES, Head, Kind, Life, u32_at, u64_at};
use crate::limits::SPOOL_PAGE_BYTES;
use std::ops::Range;

/// Where records start: after the header page.
pub(super) const RECORDS_START: u32 = SPOOL_PAGE_BYTES;

const MAGIC: [u8; 8] = *b"WpSegmt1";
const COPY_BYTES: usize = 40;
const ZEROS: [u8; SPOOL_PAGE_BYTES as usize] = [0; SPOOL_PAGE_BYTES as usize];
/// The header is there twice, so that a flipped bit in it costs nothing.
const COPIES: [usize; 2] = [0, SPOOL_PAGE_BYTES as usize / 2];

/// What a segment says about itself, in its first page, written alone and synced before anything
/// else of its life is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) life: Life,
    /// Octets of the segment.
    pub(super) length: u32,
    /// Segments with a smaller sequence hold nothing that is alive.
    pub(super) oldest: u32,
    /// The segment written before this; 0: none.
    pub(super) previous: u32,
    /// That segment is whole up to here, and ends here: what does not read before is damaged, what
    /// follows was never promised and does not count.
    pub(super) end: u32,
}

impl Header {
    /// The header page.
    pub(super) fn page(&self) -> Vec<u8> {
        let mut copy = Vec::with_capacity(COPY_BYTES);
        copy.extend(MAGIC);
        copy.extend(self.life.sequence.to_le_bytes());
        copy.extend(self.length.to_le_bytes());
        copy.extend(self.life.salt.to_le_bytes());
        copy.extend(self.oldest.to_le_bytes());
        copy.extend(self.previous.to_le_bytes());
        copy.extend(self.end.to_le_bytes());
        copy.extend(crc32c::crc32c(&copy).to_le_bytes());
        let mut page = vec![0; SPOOL_PAGE_BYTES as usize];
        for at in COPIES {
            page[at..at + COPY_BYTES].copy_from_slice(&copy);
        }
        page
    }

    /// From a header page. Where a cut left one copy of an old life and one of a new, the new one
    /// counts: an old life is only written over when nothing in it is alive.
    pub(super) fn read(page: &[u8]) -> Option<Header> {
        let copies = COPIES.into_iter().filter_map(|at| page.get(at..at + COPY_BYTES));
        copies.filter_map(Header::read_copy).max_by_key(|header| header.life.sequence)
    }

    /// A header page that is cut off in its first copy was never whole: the file is as good as new.
    pub(super) fn is_blank(page: &[u8]) -> bool {
        let blank = |at: usize| {
            page.get(at..at + COPY_BYTES).is_none_or(|copy| *copy == ZEROS[..COPY_BYTES])
        };
        COPIES.into_iter().any(blank)
    }

    fn read_copy(copy: &[u8]) -> Option<Header> {
        let (checked, crc) = copy.split_at(COPY_BYTES - 4);
        if checked[..8] != MAGIC || crc32c::crc32c(checked) != u32_at(crc, 0) {
            return None;
        }
        Some(Header {
            life: Life { sequence: u32_at(copy, 8), salt: u64_at(copy, 16) },
            length: u32_at(copy, 12),
            oldest: u32_at(copy, 24),
            previous: u32_at(copy, 28),
            end: u32_at(copy, 32),
        })
    }
}

/// What a walk meets.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A head whose payload is to be checked: read so many octets behind it.
    Record { offset: u32, head: Head },
    /// From here octets are needed that are not in the window.
    More(u32),
    /// Nothing until the end of the segment.
    End,
}

/// A walk over the records of one segment, in windows of its octets.
pub(super) struct Walk {
    life: Life,
    length: u32,
    at: u32,
    /// Where octets began to make no sense, until the next record.
    lost: Option<u32>,
    /// Stretches that hold no record and should not be there if they were durable.
    gaps: Vec<Range<u32>>,
}

impl Walk {
    pub(super) fn new(life: Life, length: u32) -> Walk {
        Walk { life, length, at: RECORDS_START, lost: None, gaps: Vec::new() }
    }

    /// The next record, given `window`, the octets from offset `start` of the segment.
    pub(super) fn next(&mut self, start: u32, window: &[u8]) -> Found {
        loop {
            if self.at + HEAD_BYTES > self.length {
                return Found::End;
            }
            let inside = self.at.checked_sub(start).and_then(|at| window.get(at as usize..));
            let Some(octets) = inside.filter(|octets| octets.len() >= HEAD_BYTES as usize) else {
                return Found::More(self.at);
            };
            if let Some(head) = Head::read(octets, self.life, self.at)
                && head.length <= self.length - self.at - HEAD_BYTES
            {
                let offset = self.at;
                self.gaps.extend(self.lost.take().map(|lost| lost..offset));
                self.at += head.extent();
                if head.kind == Kind::Void {
                    continue;
                }
                return Found::Record { offset, head };
            }
            self.skip(octets);
        }
    }

    /// Past octets that are no record: zeros to the end of the page are padding.
    fn skip(&mut self, octets: &[u8]) {
        let page_end = (self.at + 1).next_multiple_of(SPOOL_PAGE_BYTES);
        let rest = &octets[..octets.len().min((page_end - self.at) as usize)];
        let page_start = self.at.is_multiple_of(SPOOL_PAGE_BYTES);
        if !page_start && *rest == ZEROS[..rest.len()] {
            self.at = page_end;
            return;
        }
        self.lost.get_or_insert(self.at);
        self.at += ALIGN;
    }

    /// A record's payload does not match its head.
    pub(super) fn broken(&mut self, offset: u32, head: &Head) {
        self.gaps.push(offset..offset + head.extent());
    }

    /// Stretches before `end` that hold no record.
    pub(super) fn gaps(self, end: u32) -> Vec<Range<u32>> {
        let rest = self.lost.map(|lost| lost..end);
        self.gaps.into_iter().chain(rest).filter(|gap| gap.start < end).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::{
        envelope::Id,
        spool::record::{Place, append, void},
    };

    const LIFE: Life = Life { sequence: 3, salt: 11 };
    const LENGTH: u32 = 16 * 1024;

    #[test]
    fn a_header_reads_back_from_either_copy() {
        let header = Header { life: LIFE, length: LENGTH, oldest: 1, previous: 2, end: 8192 };
        let page = header.page();
        for bit in 0..page.len() * 8 {
            let mut flipped = page.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            if bit % 97 == 0 || bit < 320 {
                assert_eq!(Header::read(&flipped), Some(header), "bit {bit}");
            }
        }
        assert_eq!(Header::read(&vec![0; 4096]), None);
        assert!(Header::is_blank(&vec![0; 4096]) && !Header::is_blank(&page));
        let cut = [&page[..20], &[0; 4076]].concat();
        assert!(Header::read(&cut).is_none() && Header::is_blank(&cut));
        assert_eq!(Header::read(&[]), None);
    }

    #[test]
    fn of_two_lives_in_one_header_the_new_one_counts() {
        let old = Header { life: LIFE, length: LENGTH, oldest: 1, previous: 2, end: 8192 };
        let new = Header { life: Life { sequence: 9, salt: 5 }, oldest: 8, ..old };
        let (old_page, new_page) = (old.page(), new.page());
        let torn = [&old_page[..512], &new_page[512..]].concat();
        assert_eq!(Header::read(&torn), Some(new));
        let torn = [&new_page[..512], &old_page[512..]].concat();
        assert_eq!(Header::read(&torn), Some(new));
    }

    /// A segment with records at these offsets.
    fn segment(offsets: &[u32]) -> Vec<u8> {
        let mut octets = vec![0; LENGTH as usize];
        for offset in offsets {
            let mut record = Vec::new();
            let place = Place { life: LIFE, offset: *offset, durable: RECORDS_START };
            append(&mut record, place, Kind::Done, Id::new(u64::from(*offset)), &[]);
            octets[*offset as usize..][..record.len()].copy_from_slice(&record);
        }
        octets
    }

    fn walk(octets: &[u8], proven: u32) -> (Vec<u32>, Vec<u32>) {
        let mut walk = Walk::new(LIFE, LENGTH);
        let mut found = Vec::new();
        let mut start = 0;
        loop {
            // Windows of 64 octets: every seam is met.
            let end = (start + 64).min(octets.len());
            match walk.next(u32::try_from(start).expect("small"), &octets[start..end]) {
                Found::Record { offset, .. } => found.push(offset),
                Found::More(at) => start = at as usize,
                Found::End => {
                    return (found, walk.gaps(proven).into_iter().map(|gap| gap.start).collect());
                }
            }
        }
    }

    #[test]
    fn records_are_found_behind_each_other_and_at_the_start_of_pages() {
        let octets = segment(&[4096, 4128, 8192]);
        assert_eq!(walk(&octets, 8224), (vec![4096, 4128, 8192], vec![]));
    }

    #[test]
    fn records_behind_a_broken_one_are_found_and_the_break_is_told_where_it_is_proven() {
        let mut octets = segment(&[4096, 4128, 4160, 8192]);
        octets[4130] ^= 1;
        assert_eq!(walk(&octets, 8224), (vec![4096, 4160, 8192], vec![4128]));
        assert_eq!(walk(&octets, 4096), (vec![4096, 4160, 8192], vec![]));
    }

    #[test]
    fn a_void_fills_a_gap() {
        let mut octets = segment(&[4096, 4224, 8192]);
        octets[4128..4224].fill(0x55);
        assert_eq!(walk(&octets, 8224), (vec![4096, 4224, 8192], vec![4128]));
        octets[4128..4160].copy_from_slice(&void(LIFE, 4128..4224));
        assert_eq!(walk(&octets, 8224), (vec![4096, 4224, 8192], vec![]));
    }

    #[test]
    fn a_lost_end_is_told_where_it_is_proven() {
        let mut octets = segment(&[4096, 8192]);
        octets[8192] ^= 1;
        assert_eq!(walk(&octets, 8224), (vec![4096], vec![8192]));
        assert_eq!(walk(&octets, 8192), (vec![4096], vec![]));
    }
}
