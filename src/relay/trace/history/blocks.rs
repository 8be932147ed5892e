//! How events lie in the index: their lines in blocks, and what the blocks name in digests.
//!
//! A *block* is a value of up to [`limits::HISTORY_BLOCK_BYTES`] of lines; blocks are numbered. A
//! *digest* is a value of six octets for each name in some blocks: a hash of the name and how far
//! its block is behind the digest's number, which is that of its first block. Who looks for a name
//! reads the digests, a few octets a message, and then only the blocks that may name it.
//!
//! Both trees only grow at their end, and that is the point: of a key in the middle of a tree sled
//! writes, sooner or later, the page around it. (Counted, ten sessions, 2 KiB messages: 2.3 KB of
//! flash for the history of a message with a key for each of its names.)

use crate::{
    limits,
    pairs::Pairs,
    sys::{Entries, IndexChange, Order, Range, Sys},
};
use std::io;

/// Lines by number of the block.
const EVENTS: &str = "events";
/// Digests by number of their first block.
const NAMES: &str = "names";
/// Octets of one name in a digest: hash, distance of its block.
const NAME_BYTES: usize = 6;
/// Digests read at a time.
const DIGESTS_AT_A_TIME: usize = 128;

/// The open block and the open digest: the next lines go there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tail {
    block: u64,
    lines: String,
    digest: u64,
    names: Vec<u8>,
}

impl Tail {
    /// The last block and digest in the index, to be filled further.
    ///
    /// # Errors
    /// They cannot be read.
    pub(super) async fn find(sys: &Sys) -> io::Result<Tail> {
        let range = Range { prefix: &[], from: None, order: Order::Falling, limit: 1 };
        let (blocks, digests) =
            (sys.index.scan(EVENTS, range).await?, sys.index.scan(NAMES, range).await?);
        let last = |entries: Entries| {
            let (key, value) = entries.into_iter().next()?;
            Some((number(&key)?, value))
        };
        let (block, lines) = last(blocks).unwrap_or((1, Vec::new()));
        let digest = last(digests).filter(|(digest, _)| *digest <= block);
        let (digest, names) = digest.unwrap_or((block, Vec::new()));
        Ok(Tail { block, lines: String::from_utf8(lines).unwrap_or_default(), digest, names })
    }

    /// Add a line, with its line feed and at most [`limits::HISTORY_LINE_BYTES`] long, and its
    /// names. What is full thereby goes to `changes`, and as many old blocks go as new ones begin.
    pub(super) fn push(&mut self, line: &str, names: &[String], changes: &mut Vec<IndexChange>) {
        if self.lines.len() + line.len() > limits::HISTORY_BLOCK_BYTES {
            self.put_block(changes);
            self.lines.clear();
            self.block += 1;
            if let Some(old) = self.oldest().checked_sub(1) {
                changes.push(change(EVENTS, old, None));
            }
        }
        self.lines.push_str(line);
        for name in names {
            self.push_name(hash(name), changes);
        }
    }

    fn push_name(&mut self, hash: [u8; 4], changes: &mut Vec<IndexChange>) {
        let mut distance = u16::try_from(self.block - self.digest);
        if self.names.len() + NAME_BYTES > limits::HISTORY_BLOCK_BYTES || distance.is_err() {
            self.put_digest(changes);
            self.names.clear();
            self.digest = self.block;
            distance = Ok(0);
        }
        let distance = distance.unwrap_or_default().to_le_bytes();
        let mut of_block = self.names.rchunks_exact(NAME_BYTES).take_while(|n| n[4..] == distance);
        if !of_block.any(|name| name[..4] == hash) {
            self.names.extend_from_slice(&hash);
            self.names.extend_from_slice(&distance);
        }
    }

    /// What is open, as it is now: it is put again as it grows.
    pub(super) fn put(&self, changes: &mut Vec<IndexChange>) {
        self.put_block(changes);
        self.put_digest(changes);
    }

    fn put_block(&self, changes: &mut Vec<IndexChange>) {
        changes.push(change(EVENTS, self.block, Some(self.lines.clone().into_bytes())));
    }

    fn put_digest(&self, changes: &mut Vec<IndexChange>) {
        if !self.names.is_empty() {
            changes.push(change(NAMES, self.digest, Some(self.names.clone())));
        }
    }

    /// The oldest block that is kept.
    fn oldest(&self) -> u64 {
        (self.block + 1).saturating_sub(limits::HISTORY_BLOCKS)
    }

    /// Digests of blocks that are gone go too: as many as new ones have begun since `before`, and
    /// one more where there is one.
    pub(super) async fn forget_digests(
        &self,
        sys: &Sys,
        before: &Tail,
        changes: &mut Vec<IndexChange>,
    ) -> io::Result<()> {
        if self.digest == before.digest || self.oldest() == 0 {
            return Ok(());
        }
        let begun = changes.iter().filter(|c| c.tree == NAMES).count();
        let range = Range { prefix: &[], from: None, order: Order::Rising, limit: begun + 2 };
        let first: Vec<u64> = keys(&sys.index.scan(NAMES, range).await?).collect();
        for pair in first.windows(2) {
            // Its blocks are before those of the next one.
            if pair[1] <= self.oldest() {
                changes.push(change(NAMES, pair[0], None));
            }
        }
        Ok(())
    }
}

/// The newest blocks that may name one of `names`, at most `most` of them.
///
/// # Errors
/// The index cannot be read.
pub(super) async fn naming(sys: &Sys, names: &[String], most: usize) -> io::Result<Pairs<u64, ()>> {
    let wanted: Vec<[u8; 4]> = names.iter().map(|name| hash(name)).collect();
    let mut found = Pairs::new();
    let mut from = u64::MAX;
    loop {
        let key = from.to_be_bytes();
        let limit = DIGESTS_AT_A_TIME;
        let range = Range { prefix: &[], from: Some(&key), order: Order::Falling, limit };
        let digests = sys.index.scan(NAMES, range).await?;
        for (key, digest) in &digests {
            let Some(first) = number(key) else { continue };
            for name in digest.rchunks_exact(NAME_BYTES) {
                if wanted.iter().any(|hash| *hash == name[..4]) {
                    let distance = u16::from_le_bytes([name[4], name[5]]);
                    let block = first + u64::from(distance);
                    let is_newer = |oldest: &u64| block > *oldest;
                    if found.len() < most || found.keys().next().is_some_and(is_newer) {
                        found.insert(block, ());
                    }
                }
                if found.len() > most {
                    found.pop_first();
                }
            }
            from = first;
        }
        if found.len() >= most || digests.len() < limit || from == 0 {
            return Ok(found);
        }
        from -= 1;
    }
}

/// The newest blocks, up to `before` (that one not among them), newest first: number and lines, at
/// most [`limits::HISTORY_BLOCKS_AT_A_TIME`].
///
/// # Errors
/// The index cannot be read.
pub(super) async fn newest(sys: &Sys, before: u64) -> io::Result<Vec<(u64, String)>> {
    let Some(last) = before.checked_sub(1) else { return Ok(Vec::new()) };
    let (key, limit) = (last.to_be_bytes(), limits::HISTORY_BLOCKS_AT_A_TIME);
    let range = Range { prefix: &[], from: Some(&key), order: Order::Falling, limit };
    let found = sys.index.scan(EVENTS, range).await?;
    let block = |(key, lines): (Vec<u8>, Vec<u8>)| {
        Some((number(&key)?, String::from_utf8(lines).unwrap_or_default()))
    };
    Ok(found.into_iter().filter_map(block).collect())
}

/// The lines of a block; empty where it is gone.
///
/// # Errors
/// The index cannot be read.
pub(super) async fn lines(sys: &Sys, block: u64) -> io::Result<String> {
    let key = block.to_be_bytes();
    let range = Range { prefix: &key, from: None, order: Order::Rising, limit: 1 };
    let found = sys.index.scan(EVENTS, range).await?;
    let lines = found.into_iter().next().map(|(_, lines)| lines).unwrap_or_default();
    Ok(String::from_utf8(lines).unwrap_or_default())
}

/// Two names may have the same: whoever reads a block looks at the names themselves.
fn hash(name: &str) -> [u8; 4] {
    crc32c::crc32c(name.as_bytes()).to_le_bytes()
}

fn change(tree: &'static str, number: u64, value: Option<Vec<u8>>) -> IndexChange {
    IndexChange { tree, key: number.to_be_bytes().to_vec(), value }
}

fn number(key: &[u8]) -> Option<u64> {
    key.try_into().ok().map(u64::from_be_bytes)
}

fn keys(entries: &[(Vec<u8>, Vec<u8>)]) -> impl Iterator<Item = u64> + '_ {
    entries.iter().filter_map(|(key, _)| number(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(block: u64) -> Tail {
        Tail { block, lines: String::new(), digest: block, names: Vec::new() }
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_block_is_filled_to_its_bound_and_no_further() {
        let mut tail = at(5);
        let mut changes = Vec::new();
        let half = "x".repeat(limits::HISTORY_BLOCK_BYTES / 2);
        tail.push(&half, &[], &mut changes);
        tail.push(&half, &[], &mut changes);
        assert!(changes.is_empty());
        tail.push("y", &[], &mut changes);
        assert_eq!(changes, [change(EVENTS, 5, Some([half.clone(), half].concat().into_bytes()))]);
        assert_eq!((tail.block, tail.lines.as_str()), (6, "y"));
    }

    #[test]
    fn a_name_stands_once_a_block_and_a_digest_is_filled_to_its_bound() {
        let mut tail = at(5);
        let mut changes = Vec::new();
        tail.push("a\n", &names(&["n", "m", "n"]), &mut changes);
        tail.push("b\n", &names(&["m", "n"]), &mut changes);
        assert_eq!(tail.names.len(), 2 * NAME_BYTES);
        let most = limits::HISTORY_BLOCK_BYTES / NAME_BYTES;
        for n in 2..most {
            tail.push("", &[format!("{n}")], &mut changes);
        }
        assert!(changes.is_empty());
        tail.push("", &names(&["one too many"]), &mut changes);
        assert_eq!(changes.len(), 1);
        assert_eq!((tail.digest, tail.names.len()), (5, NAME_BYTES), "both of block 5");
    }

    #[test]
    fn a_digest_reaches_as_far_as_its_distances() {
        let mut tail = at(5);
        let mut changes = Vec::new();
        tail.push("a\n", &names(&["n"]), &mut changes);
        tail.block = 5 + u64::from(u16::MAX);
        tail.push("b\n", &names(&["n"]), &mut changes);
        assert_eq!((tail.digest, tail.names.len(), changes.len()), (5, 2 * NAME_BYTES, 0));
        tail.block += 1;
        tail.push("c\n", &names(&["n"]), &mut changes);
        assert_eq!((tail.digest, tail.names.len(), changes.len()), (tail.block, NAME_BYTES, 1));
    }
}
