//! The history: the last events, in memory first and in the index in batches.

mod blocks;

use super::{Dated, Event};
use crate::{
    limits,
    pairs::Pairs,
    sys::{Signal, Sys},
    time::{Instant, Wall},
};
use blocks::Tail;
use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    io,
};

/// The last events: the newest in memory, [`limits::HISTORY_BLOCKS`] of them in the index.
pub struct History {
    /// Not in the index yet.
    fresh: RefCell<VecDeque<Dated>>,
    /// The newest, kept for the page after they were written.
    recent: RefCell<VecDeque<Dated>>,
    /// Events told since the start.
    told: Cell<u64>,
    /// Where the next one goes, once the index was read.
    tail: RefCell<Option<Tail>>,
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
            tail: RefCell::default(),
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

    /// Raised by each event.
    pub fn work(&self) -> &Signal {
        &self.work
    }

    /// The newest events, newest first.
    pub fn recent(&self, most: usize) -> Vec<Dated> {
        self.recent.borrow().iter().rev().take(most).cloned().collect()
    }

    /// What is told after the event of this number, as far as it is remembered, the earliest first;
    /// with the number of the last. Where there is nothing yet, waits for
    /// [`limits::WEB_NEWS_WAIT`] at most.
    pub async fn after(&self, sys: &Sys, number: u64) -> (Vec<Dated>, u64) {
        // A number of the process before this one.
        let number = if number > self.told.get() { 0 } else { number };
        let seen = self.work.count();
        if self.told.get() == number && number > 0 {
            sys.within(limits::WEB_NEWS_WAIT, self.work.past(seen)).await;
        }
        let recent = self.recent.borrow();
        let new = recent.iter().filter(|dated| dated.number > number).cloned().collect();
        (new, self.told.get())
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
            let known = self.tail.borrow().clone();
            let before = match known {
                Some(tail) => tail,
                None => Tail::find(sys).await?,
            };
            let mut tail = before.clone();
            let mut changes = Vec::new();
            let begun: Pairs<&str, ()> = batch
                .iter()
                .filter(|dated| dated.event.kind == "accepted")
                .map(|dated| (dated.event.field("id"), ()))
                .collect();
            for dated in &batch {
                let mut event = dated.event.clone();
                // The beginning of the message's way is beside it, and leads from one name to the
                // other.
                if event.kind != "accepted" && begun.contains_key(event.field("id")) {
                    event.fields.retain(|(key, _)| key != "msgid");
                }
                let (line, kept) = line(dated.at, event);
                tail.push(&line, &names(&kept), &mut changes);
            }
            tail.forget_digests(sys, &before, &mut changes).await?;
            tail.put(&mut changes);
            sys.index.apply(changes).await?;
            *self.tail.borrow_mut() = Some(tail);
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
        let is_asked = |dated: &Dated| names(&dated.event).contains(&query);
        let found = blocks::naming(sys, std::slice::from_ref(&query), most).await?;
        // Through the queue ids of those events to the rest of each message's way.
        let mut ids: Vec<String> = Vec::new();
        for block in found.keys().rev() {
            for dated in read(sys, *block).await?.iter().rev().filter(|dated| is_asked(dated)) {
                let id = normal(dated.event.field("id"));
                if !id.is_empty() && !ids.contains(&id) && ids.len() < limits::TRACE_MESSAGES {
                    ids.push(id);
                }
            }
        }
        let asked = Asked { query: &query, ids: &ids };
        way(sys, asked, found, most).await
    }

    /// The events of messages that have all of these words in their lines, in any case: of a
    /// subject, of an address, of who handed them in; the newest.
    ///
    /// # Errors
    /// The index cannot be read.
    pub async fn search(&self, sys: &Sys, query: &str, most: usize) -> io::Result<Vec<Dated>> {
        self.write(sys).await?;
        let query = query.to_lowercase();
        let words: Vec<&str> = query.split_whitespace().collect();
        if words.is_empty() {
            return Ok(Vec::new());
        }
        let fits = |line: &str| {
            let line = line.to_lowercase();
            words.iter().all(|word| line.contains(word))
        };
        let (mut ids, mut alone) = (Vec::new(), Vec::new());
        let mut before = u64::MAX;
        while ids.len() < limits::TRACE_MESSAGES && alone.len() < most {
            let blocks = blocks::newest(sys, before).await?;
            let Some((last, _)) = blocks.last() else { break };
            before = *last;
            // Most blocks need not be taken apart.
            let likely = blocks.iter().filter(|(_, lines)| fits(lines));
            for dated in likely.flat_map(|(block, lines)| events(*block, lines).rev()) {
                if !fits(&dated.event.to_string()) {
                    continue;
                }
                let id = normal(dated.event.field("id"));
                if id.is_empty() {
                    alone.push(dated);
                } else if !ids.contains(&id) && ids.len() < limits::TRACE_MESSAGES {
                    ids.push(id);
                }
            }
        }
        let mut found = way(sys, Asked { query: "", ids: &ids }, Pairs::new(), most).await?;
        alone.truncate(most);
        found.append(&mut alone);
        found.sort_by_key(|dated| dated.number);
        let skip = found.len().saturating_sub(most);
        Ok(found.split_off(skip))
    }

    /// What was told up to a time, the newest first, at most `most`. What was told while the clock
    /// was not set has no time, and is told with its neighbours.
    ///
    /// # Errors
    /// The index cannot be read.
    pub async fn until(&self, sys: &Sys, until: Wall, most: usize) -> io::Result<Vec<Dated>> {
        self.write(sys).await?;
        let (mut found, mut before): (Vec<Dated>, _) = (Vec::new(), u64::MAX);
        while found.len() < most {
            let blocks = blocks::newest(sys, before).await?;
            let Some((last, _)) = blocks.last() else { break };
            before = *last;
            for (block, lines) in &blocks {
                let all = events(*block, lines).rev();
                found.extend(all.filter(|dated| match dated.at {
                    Some(at) => at.0 <= until.0,
                    None => true,
                }));
            }
        }
        found.truncate(most);
        Ok(found)
    }

    /// The lines that are kept, the oldest first: the newest [`limits::LOG_BYTES`] of them.
    ///
    /// # Errors
    /// The index cannot be read.
    pub async fn text(&self, sys: &Sys) -> io::Result<String> {
        self.write(sys).await?;
        let (mut all, mut octets, mut before) = (Vec::new(), 0, u64::MAX);
        loop {
            let blocks = blocks::newest(sys, before).await?;
            let Some((last, _)) = blocks.last() else { break };
            before = *last;
            for (_, lines) in blocks {
                octets += lines.len();
                if octets > limits::LOG_BYTES {
                    all.reverse();
                    return Ok(all.concat());
                }
                all.push(lines);
            }
        }
        all.reverse();
        Ok(all.concat())
    }
}

/// What a search has come to.
#[derive(Clone, Copy)]
struct Asked<'a> {
    /// The name that was asked for; empty: none.
    query: &'a str,
    /// Messages that it leads to.
    ids: &'a [String],
}

/// The events of the messages that were asked for, and those that the query names, in these blocks
/// and in those that name the messages.
async fn way(
    sys: &Sys,
    Asked { query, ids }: Asked<'_>,
    mut found: Pairs<u64, ()>,
    most: usize,
) -> io::Result<Vec<Dated>> {
    let is_asked =
        |dated: &Dated| !query.is_empty() && names(&dated.event).iter().any(|n| n == query);
    found.extend(blocks::naming(sys, ids, most).await?);
    let mut events = Vec::new();
    for (block, ()) in found {
        let wanted =
            |dated: &Dated| ids.contains(&normal(dated.event.field("id"))) || is_asked(dated);
        events.extend(read(sys, block).await?.into_iter().filter(wanted));
    }
    let skip = events.len().saturating_sub(most);
    Ok(events.split_off(skip))
}

/// Keys are compared without case and brackets.
fn normal(query: &str) -> String {
    let plain = query.trim().trim_start_matches('<').trim_end_matches('>').to_lowercase();
    let end =
        (0..=limits::HISTORY_KEY_BYTES.min(plain.len())).rev().find(|n| plain.is_char_boundary(*n));
    plain[..end.unwrap_or(0)].to_string()
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

/// Seconds since 1970 (0: the clock was not set), a blank, the event's line and a line feed; and
/// the event as that line has it: where it is too long, its longest values are cut.
fn line(at: Option<Wall>, mut event: Event) -> (String, Event) {
    let at = at.map_or(0, |wall| wall.0);
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

/// The events of a block, in the order in which they were told.
async fn read(sys: &Sys, block: u64) -> io::Result<Vec<Dated>> {
    Ok(events(block, &blocks::lines(sys, block).await?).collect())
}

/// The events of the lines of a block.
fn events(block: u64, lines: &str) -> impl DoubleEndedIterator<Item = Dated> {
    let event = move |(place, line): (usize, &str)| {
        let (at, line) = line.split_once(' ')?;
        let at = at.parse().ok().filter(|at| *at > 0).map(Wall);
        // A line has more than one octet.
        let number = block * limits::HISTORY_BLOCK_BYTES as u64 + place as u64;
        Some(Dated { number, at, since: Instant::default(), event: Event::parse(line)? })
    };
    let events: Vec<Dated> = lines.lines().enumerate().filter_map(event).collect();
    events.into_iter()
}
