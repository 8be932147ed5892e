//! The history: the last events, in memory first and in the index in batches.
//!
//! What one batch tells of one message is one entry of the index: a message that is accepted and
//! delivered within seconds costs one small value and its four or five keys, not one each an event.

use super::{Dated, Event};
use crate::{
    limits,
    sys::{IndexChange, Order, Range, Signal, Sys},
    time::{Instant, Wall},
};
use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    io,
};

/// Events by number.
const EVENTS: &str = "events";
/// (key, NUL, number) by queue id, Message-ID or address.
const KEYS: &str = "keys";

/// The last events: the newest in memory, up to [`limits::HISTORY_EVENTS`] in the index.
pub struct History {
    /// Not in the index yet.
    fresh: RefCell<VecDeque<Dated>>,
    /// The newest, kept for the page after they were written.
    recent: RefCell<VecDeque<Dated>>,
    /// Events told since the start.
    told: Cell<u64>,
    next: Cell<Option<u64>>,
    writing: Cell<bool>,
    written: Signal,
    work: Signal,
}

/// The right to write; one at a time.
struct Pen<'a>(&'a History);

impl Drop for Pen<'_> {
    fn drop(&mut self) {
        self.0.writing.set(false);
        self.0.written.raise();
    }
}

impl Default for History {
    fn default() -> History {
        History {
            fresh: RefCell::default(),
            recent: RefCell::default(),
            told: Cell::new(0),
            next: Cell::new(None),
            writing: Cell::new(false),
            written: Signal::default(),
            work: Signal::default(),
        }
    }
}

impl History {
    /// Keep an event. It reaches the index with the next batch; where the index cannot keep up or
    /// is broken, the oldest of those waiting are dropped.
    pub fn add(&self, sys: &Sys, event: Event) {
        let mut fresh = self.fresh.borrow_mut();
        if fresh.len() >= limits::HISTORY_WAITING {
            fresh.pop_front();
        }
        // Its number in the index is given when it is written: before the first batch the last one
        // used is not known. Until then it is known by its place since the start.
        self.told.set(self.told.get() + 1);
        let number = self.told.get();
        let dated = Dated { number, at: sys.clock.wall(), since: sys.clock.now(), event };
        let mut recent = self.recent.borrow_mut();
        if recent.len() >= limits::HISTORY_RECENT {
            recent.pop_front();
        }
        recent.push_back(dated.clone());
        fresh.push_back(dated);
        self.work.raise();
    }

    /// The newest events, newest first.
    pub fn recent(&self, most: usize) -> Vec<Dated> {
        self.recent.borrow().iter().rev().take(most).cloned().collect()
    }

    /// As [`History::find`], but only in memory: for when the index is broken.
    pub fn find_recent(&self, query: &str) -> Vec<Dated> {
        let query = normal(query);
        let recent = self.recent.borrow();
        recent.iter().filter(|dated| names(&dated.event).contains(&query)).cloned().collect()
    }

    /// Write batches for ever: as soon as one is full, or some time after its first event. Without
    /// events it does not wake.
    pub async fn keep(&self, sys: &Sys) {
        loop {
            let seen = self.work.count();
            if self.fresh.borrow().is_empty() {
                self.work.past(seen).await;
            }
            let full = async {
                loop {
                    let seen = self.work.count();
                    if self.fresh.borrow().len() >= limits::HISTORY_BATCH {
                        return;
                    }
                    self.work.past(seen).await;
                }
            };
            sys.within(limits::HISTORY_WAIT, full).await;
            if self.write(sys).await.is_err() {
                sys.sleep(limits::HISTORY_PAUSE).await;
            }
        }
    }

    /// Write what waits, oldest first. Who comes while somebody writes waits for that: afterwards
    /// all that was told before is in the index.
    pub async fn write(&self, sys: &Sys) -> io::Result<()> {
        let _pen = loop {
            let seen = self.written.count();
            if !self.writing.replace(true) {
                break Pen(self);
            }
            self.written.past(seen).await;
        };
        self.write_batches(sys).await
    }

    async fn write_batches(&self, sys: &Sys) -> io::Result<()> {
        loop {
            let batch: Vec<Dated> =
                self.fresh.borrow().iter().take(limits::HISTORY_BATCH).cloned().collect();
            let Some(last) = batch.last().map(|dated| dated.number) else { return Ok(()) };
            let first = match self.next.get() {
                Some(next) => next,
                None => last_number(sys).await? + 1,
            };
            let mut changes = Vec::new();
            let mut number = first;
            for entry in entries(&batch) {
                add_changes(&mut changes, number, &entry);
                number += 1;
            }
            forget_old(sys, &mut changes, first..number).await?;
            sys.index.apply(changes).await?;
            self.next.set(Some(number));
            // Some of them may have been dropped meanwhile, to make room for newer ones.
            self.fresh.borrow_mut().retain(|dated| dated.number > last);
        }
    }

    /// The events of everything that `query` names (a queue id, a Message-ID with or without its
    /// brackets, an address), oldest first, at most `most`. An address leads to its messages,
    /// newest first.
    ///
    /// # Errors
    /// The index cannot be read: what is still in memory is not lost, see [`History::recent`].
    pub async fn find(&self, sys: &Sys, query: &str, most: usize) -> io::Result<Vec<Dated>> {
        self.write(sys).await?;
        let query = normal(query);
        let mut found = numbers(sys, &query, most).await?;
        // Through the queue ids of those events to the rest of each message's way.
        let mut ids: Vec<String> = Vec::new();
        for number in found.iter().rev() {
            for dated in read(sys, *number).await? {
                let id = dated.event.field("id").to_string();
                if !id.is_empty() && !ids.contains(&id) && ids.len() < limits::TRACE_MESSAGES {
                    ids.push(id);
                }
            }
        }
        for id in ids {
            found.extend(numbers(sys, &normal(&id), most).await?);
        }
        found.sort_unstable();
        found.dedup();
        let skip = found.len().saturating_sub(most);
        let mut events = Vec::new();
        for number in found.into_iter().skip(skip) {
            events.extend(read(sys, number).await?);
        }
        let skip = events.len().saturating_sub(most);
        Ok(events.split_off(skip))
    }
}

/// Keys are compared without case and brackets.
fn normal(query: &str) -> String {
    let plain = query.trim().trim_start_matches('<').trim_end_matches('>').to_lowercase();
    let end =
        (0..=limits::HISTORY_KEY_BYTES.min(plain.len())).rev().find(|n| plain.is_char_boundary(*n));
    plain[..end.unwrap_or(0)].to_string()
}

fn key(name: &str, number: u64) -> Vec<u8> {
    [name.as_bytes(), &[0], &number.to_be_bytes()].concat()
}

/// The names under which an event is found again.
fn names(event: &Event) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for key in ["id", "msgid", "from", "to"] {
        for value in event.field(key).split(',') {
            let name = normal(value);
            if !name.is_empty() && !names.contains(&name) && names.len() < limits::HISTORY_NAMES {
                names.push(name);
            }
        }
    }
    names
}

/// One entry of the index: some events of one message, or one of none.
struct Entry {
    id: String,
    lines: String,
    names: Vec<String>,
}

/// The batch by message, in the order of each one's first event.
fn entries(batch: &[Dated]) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for dated in batch {
        let (line, kept) = line(dated);
        let id = kept.field("id").to_string();
        let mut names = names(&kept);
        let fits = |e: &Entry| {
            let more = names.iter().filter(|name| !e.names.contains(name)).count();
            e.lines.len() + line.len() < limits::HISTORY_LINE_BYTES
                && e.names.len() + more <= limits::HISTORY_NAMES
        };
        // Only the last of a message: its events stay in order.
        let last = entries.iter().rposition(|e| !id.is_empty() && e.id == id);
        match last.filter(|place| fits(&entries[*place])) {
            Some(place) => {
                let entry = &mut entries[place];
                entry.lines.push_str(&line);
                names.retain(|name| !entry.names.contains(name));
                entry.names.append(&mut names);
            }
            None => entries.push(Entry { id, lines: line, names }),
        }
    }
    entries
}

/// Seconds since 1970 (0: the clock was not set), a blank, the event's line and a line feed; and
/// the event as that line has it: where it is too long, its longest values are cut.
fn line(dated: &Dated) -> (String, Event) {
    let at = dated.at.map_or(0, |wall| wall.0);
    let mut event = dated.event.clone();
    let mut line = format!("{at} {event}\n");
    while line.len() >= limits::HISTORY_LINE_BYTES
        && let Some((_, longest)) = event.fields.iter_mut().max_by_key(|(_, value)| value.len())
        && !longest.is_empty()
    {
        longest.truncate(longest.floor_char_boundary(longest.len() * 3 / 4));
        line = format!("{at} {event}\n");
    }
    (line, event)
}

fn add_changes(changes: &mut Vec<IndexChange>, number: u64, entry: &Entry) {
    let value = Some(entry.lines.clone().into_bytes());
    changes.push(IndexChange { tree: EVENTS, key: number.to_be_bytes().to_vec(), value });
    for name in &entry.names {
        changes.push(IndexChange { tree: KEYS, key: key(name, number), value: Some(Vec::new()) });
    }
}

/// As many old events go as new ones come, once the history is full.
async fn forget_old(
    sys: &Sys,
    changes: &mut Vec<IndexChange>,
    new: std::ops::Range<u64>,
) -> io::Result<()> {
    for number in new {
        let Some(old) = number.checked_sub(limits::HISTORY_EVENTS) else { continue };
        let events = read(sys, old).await?;
        if !events.is_empty() {
            let key = old.to_be_bytes().to_vec();
            changes.push(IndexChange { tree: EVENTS, key, value: None });
        }
        for name in events.iter().flat_map(|dated| names(&dated.event)) {
            changes.push(IndexChange { tree: KEYS, key: key(&name, old), value: None });
        }
    }
    Ok(())
}

async fn last_number(sys: &Sys) -> io::Result<u64> {
    let range = Range { prefix: &[], from: None, order: Order::Falling, limit: 1 };
    let last = sys.index.scan(EVENTS, range).await?;
    Ok(last
        .first()
        .and_then(|(key, _)| key.as_slice().try_into().ok())
        .map_or(0, u64::from_be_bytes))
}

async fn numbers(sys: &Sys, name: &str, most: usize) -> io::Result<Vec<u64>> {
    let prefix = [name.as_bytes(), &[0]].concat();
    let range = Range { prefix: &prefix, from: None, order: Order::Falling, limit: most };
    let found = sys.index.scan(KEYS, range).await?;
    let number = |key: &[u8]| key.get(prefix.len()..)?.try_into().ok().map(u64::from_be_bytes);
    Ok(found.iter().rev().filter_map(|(key, _)| number(key)).collect())
}

async fn read(sys: &Sys, number: u64) -> io::Result<Vec<Dated>> {
    let key = number.to_be_bytes();
    let range = Range { prefix: &key, from: None, order: Order::Rising, limit: 1 };
    let found = sys.index.scan(EVENTS, range).await?;
    let lines = found.first().map_or(&[][..], |(_, value)| value);
    let read = |line: &str| {
        let (at, line) = line.split_once(' ')?;
        let at = at.parse().ok().filter(|at| *at > 0).map(Wall);
        Some(Dated { number, at, since: Instant::default(), event: Event::parse(line)? })
    };
    Ok(std::str::from_utf8(lines).unwrap_or("").lines().filter_map(read).collect())
}
