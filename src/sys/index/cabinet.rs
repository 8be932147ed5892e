//! sled, held at arm's length: it may fail, lie damaged or panic, and the worst that comes of it is
//! a history that starts anew.
//!
//! Measured of 0.34.7: `flush` is not durable across a power cut, values over an eighth of a
//! megabyte become unsynced files that make it panic when it opens, a write error poisons it until
//! it is opened again, a flipped bit is an error when opening or reading, mostly: two in five
//! hundred made it tell a wrong key. So values stay small, bear a checksum with their key, and
//! every call is fenced.

use super::wire::{Answer, Change, Entry, Scan};
use crate::{limits, pairs::Pairs, sys::Order};
use sled::{Batch, Config, Db, Error, Mode, Tree};
use std::{
    collections::VecDeque,
    fs, io,
    ops::Bound,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

/// An open index.
pub(super) struct Cabinet {
    dir: PathBuf,
    db: Db,
}

/// Why something could not be done.
#[derive(Debug)]
pub(super) enum Failure {
    /// The disk is full or the like: what is stored is fine, and opening it again may help.
    World(String),
    /// What is stored is damaged, or sled has panicked over it.
    Damaged(String),
}

impl Failure {
    pub(super) fn words(&self) -> &str {
        let (Failure::World(words) | Failure::Damaged(words)) = self;
        words
    }
}

impl Cabinet {
    /// Open the index in `dir`. Where that fails, or `anew` is set, what is there is moved aside
    /// and an empty one begun. Returns, beside it, why that was, in words for a person.
    ///
    /// # Errors
    /// The disk does not let us, or an empty index cannot be opened either.
    pub(super) fn open(dir: &Path, anew: bool) -> Result<(Cabinet, Option<String>), Failure> {
        let why = if anew {
            "the process that keeps it has died over it".to_owned()
        } else {
            match open(dir) {
                Ok(db) => return Ok((Cabinet { dir: dir.to_owned(), db }, None)),
                Err(Failure::Damaged(why)) => why,
                Err(world) => return Err(world),
            }
        };
        let aside = move_aside(dir).map_err(|error| {
            Failure::World(format!("{why}; and it cannot be moved aside: {error}"))
        })?;
        let db = open(dir)?;
        let told = format!(
            "The history could not be read and starts anew; the old one is in {} ({why}).",
            aside.display()
        );
        Ok((Cabinet { dir: dir.to_owned(), db }, Some(told)))
    }

    /// Out of the way of the next one, without giving sled another chance to write.
    pub(super) fn move_aside(&self) -> io::Result<PathBuf> {
        move_aside(&self.dir)
    }

    pub(super) fn apply(&self, changes: Vec<Change>) -> Result<Answer, Failure> {
        let mut batches: Pairs<String, Batch> = Pairs::new();
        for Change { tree, key, value } in changes {
            let batch = batches.entry(tree, Batch::default);
            match value {
                Some(value) => {
                    let sealed = [&checksum(&key, &value)[..], &value].concat();
                    batch.insert(key, sealed);
                }
                None => batch.remove(key),
            }
        }
        fence(|| {
            for (tree, batch) in batches {
                self.db.open_tree(tree)?.apply_batch(batch)?;
            }
            Ok(Answer::Done)
        })
    }

    pub(super) fn scan(&self, scan: &Scan) -> Result<Answer, Failure> {
        let Scan { tree, prefix, from, order, limit } = scan;
        let start = match (order, from) {
            (Order::Rising, Some(from)) if from > prefix => Bound::Included(from.clone()),
            _ => Bound::Included(prefix.clone()),
        };
        let end = match (order, from, after(prefix)) {
            (Order::Falling, Some(from), Some(end)) if *from >= end => Bound::Excluded(end),
            (Order::Falling, Some(from), _) => Bound::Included(from.clone()),
            (_, _, Some(end)) => Bound::Excluded(end),
            (_, _, None) => Bound::Unbounded,
        };
        if is_empty(&start, &end) {
            return Ok(Answer::Entries(Vec::new()));
        }
        let limit = (*limit).min(limits::INDEX_SCAN);
        fence(|| {
            let tree = self.db.open_tree(tree)?;
            let entries: sled::Result<Vec<Entry>> = match order {
                Order::Rising => tree.range((start, end)).take(limit).map(unseal).collect(),
                Order::Falling => last_of(&tree, prefix, (start, end), limit)?
                    .into_iter()
                    .rev()
                    .map(|found| unseal(Ok(found)))
                    .collect(),
            };
            Ok(Answer::Entries(entries?))
        })
    }

    pub(super) fn flush(&self) -> Result<Answer, Failure> {
        fence(|| self.db.flush().map(|_| Answer::Done))
    }
}

fn open(dir: &Path) -> Result<Db, Failure> {
    fence(|| {
        Config::new()
            .path(dir)
            .cache_capacity(64 * 1024)
            .flush_every_ms(None)
            .segment_size(512 * 1024)
            .mode(Mode::LowSpace)
            .open()
    })
}

type Found = (sled::IVec, sled::IVec);

/// The last `limit` entries of a range, in the order of their keys.
///
/// sled's own way backwards holds a constant of a mebibyte, a fifth of the program. So the place
/// where they begin is looked for: keys that follow `prefix` are taken for numbers, by their first
/// eight octets, and halved until not many more than wanted are behind.
fn last_of(
    tree: &Tree,
    prefix: &[u8],
    (start, end): (Bound<Vec<u8>>, Bound<Vec<u8>>),
    limit: usize,
) -> sled::Result<VecDeque<Found>> {
    let number = |key: &[u8]| {
        let mut octets = [0; 8];
        let tail = key.strip_prefix(prefix).unwrap_or(&[255; 8]);
        octets.iter_mut().zip(tail).for_each(|(to, from)| *to = *from);
        u64::from_be_bytes(octets)
    };
    let at = |number: u64| (Bound::Included([prefix, &number.to_be_bytes()].concat()), end.clone());
    let enough = limit.saturating_mul(4);
    let count = |from: u64| {
        let range = at(from);
        if is_empty(&range.0, &range.1) { 0 } else { tree.range(range).take(enough).count() }
    };
    let mut low = 0;
    let mut high = match &end {
        Bound::Included(key) | Bound::Excluded(key) => number(key),
        Bound::Unbounded => u64::MAX,
    };
    // From `low` on there are enough, or it is the beginning; from `high` on there are not.
    let mut step = 16;
    while low < high {
        let middle = high.saturating_sub(step).max(low + (high - low) / 2);
        match count(middle) {
            found if found < limit => high = middle,
            found => {
                low = middle;
                if found < enough {
                    break;
                }
            }
        }
        if middle == low && high - low <= 1 {
            break;
        }
        step = step.saturating_mul(16);
    }
    let first = if low == 0 { (start, end.clone()) } else { at(low) };
    let mut last = VecDeque::new();
    for found in tree.range(first) {
        if last.len() == limit {
            last.pop_front();
        }
        last.push_back(found?);
    }
    Ok(last)
}

fn checksum(key: &[u8], value: &[u8]) -> [u8; 4] {
    crc32c::crc32c_append(crc32c::crc32c(key), value).to_le_bytes()
}

fn unseal(found: sled::Result<(sled::IVec, sled::IVec)>) -> sled::Result<Entry> {
    let (key, sealed) = found?;
    match sealed.split_first_chunk() {
        Some((sum, value)) if *sum == checksum(&key, value) => Ok((key.to_vec(), value.to_vec())),
        _ => Err(Error::ReportableBug("an entry is not what was stored".into())),
    }
}

/// Let sled do something, and take what it throws.
fn fence<T>(work: impl FnOnce() -> sled::Result<T>) -> Result<T, Failure> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(Error::Io(error))) if is_the_worlds(&error) => {
            // sled's own words are the debug output of what it was told.
            Err(Failure::World(format!("the history cannot be written: {}", error.kind())))
        }
        Ok(Err(error)) => Err(Failure::Damaged(error.to_string())),
        Err(_) => Err(Failure::Damaged("sled panicked".into())),
    }
}

/// Whether the fault is not in what is stored. sled wraps some errors and keeps only their kind.
fn is_the_worlds(error: &io::Error) -> bool {
    use io::ErrorKind::{
        OutOfMemory, QuotaExceeded, ReadOnlyFilesystem, StaleNetworkFileHandle, StorageFull,
        TimedOut, WouldBlock,
    };
    matches!(
        error.kind(),
        OutOfMemory
            | QuotaExceeded
            | ReadOnlyFilesystem
            | StaleNetworkFileHandle
            | StorageFull
            | TimedOut
            | WouldBlock
    )
}

/// Where an index that was in `dir` is moved to: `index.bad-1`.
pub(super) fn aside(dir: &Path) -> PathBuf {
    let mut aside = dir.as_os_str().to_owned();
    aside.push(".bad-1");
    aside.into()
}

/// Out of the way. A forerunner goes: one is kept for whoever wants to look at it.
fn move_aside(dir: &Path) -> io::Result<PathBuf> {
    let aside = aside(dir);
    for removed in [fs::remove_dir_all(&aside), fs::remove_file(&aside)] {
        if removed.is_ok() {
            break;
        }
    }
    match fs::rename(dir, &aside) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(aside),
        moved => moved.map(|()| aside),
    }
}

/// The first key behind all that start with `prefix`; `None` where there is none.
fn after(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|octet| *octet < 255)?;
    let mut end = prefix.get(..=last)?.to_vec();
    *end.last_mut()? += 1;
    Some(end)
}

/// sled panics when a range ends before it starts.
fn is_empty(start: &Bound<Vec<u8>>, end: &Bound<Vec<u8>>) -> bool {
    match (start, end) {
        (Bound::Included(start), Bound::Included(end)) => start > end,
        (Bound::Included(start), Bound::Excluded(end)) => start >= end,
        _ => false,
    }
}

#[cfg(test)]
#[path = "cabinet_tests.rs"]
mod tests;
