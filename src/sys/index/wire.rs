//! What is said between the relay and the process that keeps its index: frames of a 32-bit length
//! and that many octets, a request and its answer in turn. Both ends are the same program, so
//! numbers are little-endian and nothing is versioned; lengths are checked all the same.

use crate::{
    limits,
    sys::{IndexChange, Order, Range},
};
use std::io::{self, Read, Write};

/// A key and its value.
pub(super) type Entry = (Vec<u8>, Vec<u8>);

/// What the index is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// Use the index in this directory, moving aside what is there where `anew` is set. Comes
    /// first.
    Open { dir: String, anew: bool },
    /// Apply these changes.
    Apply(Vec<Change>),
    /// Look up.
    Scan(Scan),
    /// Write what is buffered.
    Flush,
}

/// An [`IndexChange`] on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) tree: String,
    pub(super) key: Vec<u8>,
    pub(super) value: Option<Vec<u8>>,
}

/// A tree and a [`Range`] on their way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scan {
    pub(super) tree: String,
    pub(super) prefix: Vec<u8>,
    pub(super) from: Option<Vec<u8>>,
    pub(super) order: Order,
    pub(super) limit: usize,
}

/// What it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Done.
    Done,
    /// The index was damaged, is moved aside and starts anew; what that was, in words. Opening it
    /// is done then, anything else is not.
    Anew(String),
    /// What was found.
    Entries(Vec<Entry>),
    /// Not done, and why.
    Failed(String),
}

impl Request {
    /// # Errors
    /// Something is longer than the index allows.
    pub(super) fn apply(batch: Vec<IndexChange>) -> io::Result<Request> {
        let refuse = |why| Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        if batch.len() > limits::INDEX_BATCH {
            return refuse("too many changes of the index at once");
        }
        let mut changes = Vec::with_capacity(batch.len());
        for IndexChange { tree, key, value } in batch {
            let length = key.len() + value.as_ref().map_or(0, Vec::len);
            if !(1..=limits::INDEX_KEY_BYTES).contains(&key.len()) {
                return refuse("a key of the index has 1 to 512 octets");
            }
            if length > limits::INDEX_ENTRY_BYTES {
                return refuse("a key and value of the index have at most 1024 octets");
            }
            changes.push(Change { tree: tree.into(), key, value });
        }
        Ok(Request::Apply(changes))
    }

    pub(super) fn scan(tree: &str, range: Range<'_>) -> Request {
        Request::Scan(Scan {
            tree: tree.into(),
            prefix: range.prefix.to_vec(),
            from: range.from.map(<[u8]>::to_vec),
            order: range.order,
            limit: range.limit.min(limits::INDEX_SCAN),
        })
    }

    pub(super) fn write(&self, to: &mut impl Write) -> io::Result<()> {
        let mut frame = Frame::default();
        match self {
            Request::Open { dir, anew } => {
                frame.octet(u8::from(*anew)).octets(dir.as_bytes());
            }
            Request::Apply(changes) => {
                frame.octet(2).number(changes.len());
                for change in changes {
                    frame.octets(change.tree.as_bytes()).octets(&change.key);
                    frame.option(change.value.as_deref());
                }
            }
            Request::Scan(scan) => {
                frame.octet(3).octets(scan.tree.as_bytes()).octets(&scan.prefix);
                frame.option(scan.from.as_deref());
                frame.octet(u8::from(scan.order == Order::Falling)).number(scan.limit);
            }
            Request::Flush => {
                frame.octet(4);
            }
        }
        frame.write(to)
    }

    /// `None`: the other end has closed.
    pub(super) fn read(from: &mut impl Read) -> io::Result<Option<Request>> {
        let Some(octets) = read_frame(from)? else { return Ok(None) };
        let mut octets = Cursor(&octets);
        let request = octets.request().filter(|_| octets.0.is_empty());
        request.map(Some).ok_or_else(nonsense)
    }
}

impl Answer {
    pub(super) fn write(&self, to: &mut impl Write) -> io::Result<()> {
        let mut frame = Frame::default();
        match self {
            Answer::Done => {
                frame.octet(0);
            }
            Answer::Anew(words) => {
                frame.octet(3).octets(words.as_bytes());
            }
            Answer::Failed(words) => {
                frame.octet(1).octets(words.as_bytes());
            }
            Answer::Entries(entries) => {
                frame.octet(2).number(entries.len());
                for (key, value) in entries {
                    frame.octets(key).octets(value);
                }
            }
        }
        frame.write(to)
    }

    /// # Errors
    /// The other end is gone, or says what no answer is.
    pub(super) fn read(from: &mut impl Read) -> io::Result<Answer> {
        let octets = read_frame(from)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let mut octets = Cursor(&octets);
        let answer = octets.answer().filter(|_| octets.0.is_empty());
        answer.ok_or_else(nonsense)
    }
}

fn nonsense() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the index process talks nonsense")
}

fn read_frame(from: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    match from.read(&mut length)? {
        0 => return Ok(None),
        n => from.read_exact(length.get_mut(n..).unwrap_or_default())?,
    }
    let length = u32::from_le_bytes(length) as usize;
    if length > limits::INDEX_FRAME_BYTES {
        return Err(nonsense());
    }
    let mut octets = vec![0; length];
    from.read_exact(&mut octets)?;
    Ok(Some(octets))
}

#[derive(Default)]
struct Frame(Vec<u8>);

impl Frame {
    fn octet(&mut self, octet: u8) -> &mut Frame {
        self.0.push(octet);
        self
    }

    fn number(&mut self, number: usize) -> &mut Frame {
        let number = u32::try_from(number).expect("what is counted here is bounded far below");
        self.0.extend(number.to_le_bytes());
        self
    }

    fn octets(&mut self, octets: &[u8]) -> &mut Frame {
        self.number(octets.len());
        self.0.extend(octets);
        self
    }

    fn option(&mut self, octets: Option<&[u8]>) -> &mut Frame {
        match octets {
            Some(octets) => self.octet(1).octets(octets),
            None => self.octet(0),
        }
    }

    /// In one piece, so that the other end wakes once.
    fn write(mut self, to: &mut impl Write) -> io::Result<()> {
        let length = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        self.0.splice(0..0, length.to_le_bytes());
        to.write_all(&self.0)
    }
}

struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn request(&mut self) -> Option<Request> {
        Some(match self.octet()? {
            anew @ 0..=1 => Request::Open { dir: self.text()?, anew: anew == 1 },
            2 => {
                let count = self.number()?;
                let change = |octets: &mut Self| {
                    let (tree, key) = (octets.text()?, octets.octets()?);
                    Some(Change { tree, key, value: octets.option()? })
                };
                Request::Apply((0..count).map(|_| change(self)).collect::<Option<_>>()?)
            }
            3 => {
                let (tree, prefix, from) = (self.text()?, self.octets()?, self.option()?);
                let order = if self.octet()? == 0 { Order::Rising } else { Order::Falling };
                Request::Scan(Scan { tree, prefix, from, order, limit: self.number()? })
            }
            4 => Request::Flush,
            _ => return None,
        })
    }

    fn answer(&mut self) -> Option<Answer> {
        Some(match self.octet()? {
            0 => Answer::Done,
            3 => Answer::Anew(self.text()?),
            1 => Answer::Failed(self.text()?),
            2 => {
                let count = self.number()?;
                let entry = |octets: &mut Self| Some((octets.octets()?, octets.octets()?));
                Answer::Entries((0..count).map(|_| entry(self)).collect::<Option<_>>()?)
            }
            _ => return None,
        })
    }

    fn octet(&mut self) -> Option<u8> {
        let (octet, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*octet)
    }

    fn number(&mut self) -> Option<usize> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        usize::try_from(u32::from_le_bytes(*number)).ok()
    }

    fn octets(&mut self) -> Option<Vec<u8>> {
        let length = self.number()?;
        let (octets, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(octets.to_vec())
    }

    fn text(&mut self) -> Option<String> {
        String::from_utf8(self.octets()?).ok()
    }

    /// `None` inside: there is none.
    #[expect(clippy::option_option, reason = "the outer one is that of every reading here")]
    fn option(&mut self) -> Option<Option<Vec<u8>>> {
        match self.octet()? {
            0 => Some(None),
            _ => Some(Some(self.octets()?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requests() -> Vec<Request> {
        let change = |value| Change { tree: "t".into(), key: vec![0, 255], value };
        let scan = |from, order| Scan {
            tree: "history".into(),
            prefix: b"p".to_vec(),
            from,
            order,
            limit: 7,
        };
        vec![
            Request::Open { dir: "/x".into(), anew: false },
            Request::Open { dir: "/x".into(), anew: true },
            Request::Apply(vec![]),
            Request::Apply(vec![change(None), change(Some(vec![])), change(Some(vec![1, 2]))]),
            Request::Scan(scan(None, Order::Rising)),
            Request::Scan(scan(Some(b"pq".to_vec()), Order::Falling)),
            Request::Flush,
        ]
    }

    #[test]
    fn what_is_said_is_understood() {
        let mut said = Vec::new();
        for request in requests() {
            request.write(&mut said).unwrap();
        }
        let mut from = &said[..];
        for request in requests() {
            assert_eq!(Request::read(&mut from).unwrap(), Some(request));
        }
        assert_eq!(Request::read(&mut from).unwrap(), None);
        for answer in [
            Answer::Done,
            Answer::Anew("moved".into()),
            Answer::Failed("full".into()),
            Answer::Entries(vec![(b"k".to_vec(), b"v".to_vec()), (vec![1], vec![])]),
        ] {
            let mut said = Vec::new();
            answer.write(&mut said).unwrap();
            assert_eq!(Answer::read(&mut &said[..]).unwrap(), answer);
        }
    }

    #[test]
    fn what_is_cut_or_nonsense_is_an_error() {
        for request in requests() {
            let mut said = Vec::new();
            request.write(&mut said).unwrap();
            for cut in 1..said.len() {
                assert!(Request::read(&mut &said[..cut]).is_err(), "{request:?} {cut}");
            }
            let mut longer = said.clone();
            longer[0] += 1;
            longer.push(0);
            assert!(Request::read(&mut &longer[..]).is_err(), "{request:?}");
        }
        assert!(Request::read(&mut &[1, 0, 0, 0, 9][..]).is_err());
        assert!(Answer::read(&mut &[1, 0, 0, 0, 9][..]).is_err());
        assert!(Answer::read(&mut &[5, 0, 0, 0, 2, 255, 255, 255, 255][..]).is_err());
        assert!(Answer::read(&mut &[][..]).is_err());
        let too_long = u32::try_from(limits::INDEX_FRAME_BYTES + 1).unwrap().to_le_bytes();
        assert!(Answer::read(&mut &too_long[..]).is_err());
    }

    #[test]
    fn entries_and_batches_keep_to_their_bounds() {
        let batch = |count, key, value: Option<usize>| {
            let value = value.map(|length| vec![2; length]);
            vec![IndexChange { tree: "t", key: vec![1; key], value }; count]
        };
        let (key, entry) = (limits::INDEX_KEY_BYTES, limits::INDEX_ENTRY_BYTES);
        let full = Request::apply(batch(limits::INDEX_BATCH, key, Some(entry - key))).unwrap();
        let mut said = Vec::new();
        full.write(&mut said).unwrap();
        assert_eq!(Request::read(&mut &said[..]).unwrap(), Some(full));
        for refused in [
            batch(limits::INDEX_BATCH + 1, 1, None),
            batch(1, 0, None),
            batch(1, key + 1, None),
            batch(1, key, Some(entry - key + 1)),
        ] {
            let error = Request::apply(refused).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        }
    }
}
