//! A record of the journal, octet by octet. See README.md for the picture.

use crate::relay::envelope::Id;
use std::ops::Range;

/// Octets of a record's head.
pub(super) const HEAD_BYTES: u32 = 32;

/// Records start at multiples of this.
pub(super) const ALIGN: u32 = 8;

/// What a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A message is kept (or has been moved here): its envelope, progress and octets.
    Message,
    /// How far a message got.
    Settled,
    /// A message is owed no more.
    Done,
    /// Nothing: recovery fills with these what was lost of writes that nobody was promised. The
    /// payload is whatever was there.
    Void,
}

impl Kind {
    fn of(octet: u8) -> Option<Kind> {
        let all = [Kind::Message, Kind::Settled, Kind::Done, Kind::Void];
        all.into_iter().find(|kind| kind.octet() == octet)
    }

    const fn octet(self) -> u8 {
        match self {
            Kind::Message => b'M',
            Kind::Settled => b'S',
            Kind::Done => b'D',
            Kind::Void => b'V',
        }
    }
}

/// What makes the records of one life of a segment its own: octets of an earlier life, or octets
/// that a peer made up, do not match it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Life {
    /// Counts lives of all segments.
    pub(super) sequence: u32,
    /// Random, so that nobody can send a message that holds a valid record.
    pub(super) salt: u64,
}

impl Life {
    /// Start of every checksum of this life.
    fn seed(self) -> u32 {
        let crc = crc32c::crc32c(&self.salt.to_le_bytes());
        crc32c::crc32c_append(crc, &self.sequence.to_le_bytes())
    }

    /// Checksum of a payload in parts.
    pub(super) fn payload_crc(self, parts: &[&[u8]]) -> u32 {
        parts.iter().fold(self.seed(), |crc, part| crc32c::crc32c_append(crc, part))
    }

    fn head_crc(self, offset: u32, head: &[u8]) -> u32 {
        let crc = crc32c::crc32c_append(self.seed(), &offset.to_le_bytes());
        crc32c::crc32c_append(crc, head)
    }
}

/// The first 32 octets of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) kind: Kind,
    pub(super) id: Id,
    /// Octets of payload.
    pub(super) length: u32,
    /// Checksum of the payload.
    pub(super) crc: u32,
    /// Everything in the segment before this offset was durable when the record was written. So a
    /// record that is missing there is damaged, while one that is missing after it may never have
    /// been whole.
    pub(super) durable: u32,
}

const MAGIC: [u8; 3] = *b"WpR";

impl Head {
    /// The head at `offset` of a segment, if there is one of this life.
    pub(super) fn read(octets: &[u8], life: Life, offset: u32) -> Option<Head> {
        let head = octets.get(..HEAD_BYTES as usize)?;
        if head[..3] != MAGIC {
            return None;
        }
        let (checked, crc) = head.split_at(28);
        if life.head_crc(offset, checked) != u32_at(crc, 0) {
            return None;
        }
        Some(Head {
            kind: Kind::of(head[3])?,
            length: u32_at(head, 4),
            id: Id::new(u64_at(head, 8)),
            crc: u32_at(head, 16),
            durable: u32_at(head, 20),
        })
    }

    fn write(self, life: Life, offset: u32, into: &mut Vec<u8>) {
        let start = into.len();
        into.extend(MAGIC);
        into.push(self.kind.octet());
        into.extend(self.length.to_le_bytes());
        into.extend(self.id.bits().to_le_bytes());
        into.extend(self.crc.to_le_bytes());
        into.extend(self.durable.to_le_bytes());
        into.extend(life.sequence.to_le_bytes());
        let crc = life.head_crc(offset, &into[start..]);
        into.extend(crc.to_le_bytes());
    }

    /// Octets from this record's start to where the next may start.
    pub(super) fn extent(&self) -> u32 {
        extent(self.length as usize)
    }
}

/// Octets that a record with a payload of `length` octets takes.
pub(super) fn extent(length: usize) -> u32 {
    let length = u32::try_from(length).expect("payloads are far smaller than a segment");
    (HEAD_BYTES + length).next_multiple_of(ALIGN)
}

/// Where and in which life a record is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) life: Life,
    pub(super) offset: u32,
    /// See [`Head::durable`].
    pub(super) durable: u32,
}

/// Append a record to `into`; its extent.
pub(super) fn append(
    into: &mut Vec<u8>,
    place: Place,
    kind: Kind,
    id: Id,
    payload: &[&[u8]],
) -> u32 {
    let length: usize = payload.iter().map(|part| part.len()).sum();
    let extent = extent(length);
    let head = Head {
        kind,
        id,
        length: u32::try_from(length).expect("extent has checked it"),
        crc: place.life.payload_crc(payload),
        durable: place.durable,
    };
    let end = into.len() + extent as usize;
    head.write(place.life, place.offset, into);
    for part in payload {
        into.extend_from_slice(part);
    }
    into.resize(end, 0);
    extent
}

/// The head of a record that fills a gap of [`HEAD_BYTES`] at least.
pub(super) fn void(life: Life, gap: Range<u32>) -> Vec<u8> {
    let length = gap.end - gap.start - HEAD_BYTES;
    let head = Head { kind: Kind::Void, id: Id::new(0), length, crc: 0, durable: 0 };
    let mut octets = Vec::with_capacity(HEAD_BYTES as usize);
    head.write(life, gap.start, &mut octets);
    octets
}

pub(super) fn u16_at(octets: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(octets[at..at + 2].try_into().expect("two octets"))
}

pub(super) fn u32_at(octets: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(octets[at..at + 4].try_into().expect("four octets"))
}

pub(super) fn u64_at(octets: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(octets[at..at + 8].try_into().expect("eight octets"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFE: Life = Life { sequence: 7, salt: 0x1234_5678_9abc_def0 };

    fn record(offset: u32) -> Vec<u8> {
        let mut octets = Vec::new();
        let place = Place { life: LIFE, offset, durable: 4096 };
        let extent = append(&mut octets, place, Kind::Settled, Id::new(99), &[b"abc", b"de"]);
        assert_eq!(extent as usize, octets.len());
        octets
    }

    #[test]
    fn a_record_reads_back() {
        let octets = record(8192);
        assert_eq!(octets.len(), 40, "32 of head and 5 of payload, to the next multiple of 8");
        let head = Head::read(&octets, LIFE, 8192).expect("valid");
        assert_eq!((head.kind, head.id, head.length), (Kind::Settled, Id::new(99), 5));
        assert_eq!((head.durable, head.extent()), (4096, 40));
        assert_eq!(LIFE.payload_crc(&[&octets[32..37]]), head.crc);
    }

    #[test]
    fn a_record_of_another_life_or_place_is_none() {
        let octets = record(8192);
        let elder = Life { sequence: 6, ..LIFE };
        let other = Life { salt: 1, ..LIFE };
        assert_eq!(Head::read(&octets, elder, 8192), None);
        assert_eq!(Head::read(&octets, other, 8192), None);
        assert_eq!(Head::read(&octets, LIFE, 8200), None);
        assert_eq!(Head::read(&octets[..31], LIFE, 8192), None);
    }

    #[test]
    fn any_flipped_bit_is_seen() {
        let octets = record(4096);
        for bit in 0..37 * 8 {
            let mut flipped = octets.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let whole = Head::read(&flipped, LIFE, 4096)
                .is_some_and(|head| LIFE.payload_crc(&[&flipped[32..37]]) == head.crc);
            assert!(!whole, "bit {bit}");
        }
    }
}
