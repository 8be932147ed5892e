//! The first pass: what is to be done, and how large it gets.

use super::{
    Change, Coder, Header, How, Obstacle, Plan, Task,
    rewrite::{Watch, is_encoding, write_field, write_outside},
    walk::{Before, Content, Entity, Event, Walker},
};
use crate::{limits, proto::mail::charset::Utf8};

/// Reads a message to see what must be done to it.
#[derive(Debug)]
pub struct Survey {
    walker: Walker,
    notes: Notes,
}

impl Survey {
    /// Before a message.
    pub fn new(task: Task) -> Survey {
        Survey { walker: Walker::default(), notes: Notes::new(task) }
    }

    /// Take the next octets.
    pub fn push(&mut self, octets: &[u8]) {
        let Survey { walker, notes } = self;
        notes.octets += octets.len() as u64;
        notes.eight_bit |= !octets.is_ascii();
        walker.push(octets, &mut |event| notes.take(event));
    }

    /// The message ends here.
    ///
    /// # Errors
    /// It cannot be done.
    pub fn finish(mut self) -> Result<Plan, Obstacle> {
        let Survey { walker, notes } = &mut self;
        walker.finish(&mut |event| notes.take(event));
        notes.settle();
        let Notes { task, changes, altered, size, obstacle, octets, eight_bit, .. } = self.notes;
        match obstacle {
            // RFC 6152 §3 asks nothing of it, and so its long lines and its signatures stay.
            _ if !eight_bit => Ok(Plan { task, changes: Vec::new(), altered: false, size: octets }),
            Some(obstacle) => Err(obstacle),
            None => Ok(Plan { task, changes, altered, size }),
        }
    }
}

#[derive(Debug)]
struct Notes {
    task: Task,
    changes: Vec<(u32, Change)>,
    altered: bool,
    /// Octets of the message.
    octets: u64,
    /// Some of them are above 127.
    eight_bit: bool,
    /// Octets of what will be written, without the present entity.
    size: u64,
    obstacle: Option<Obstacle>,
    /// Entities that have begun.
    entities: u32,
    /// Octets of the present entity, if its content stays.
    kept: u64,
    /// Octets of it, if its content is written anew.
    anew: u64,
    entity: Entity,
    coder: Option<Coder>,
    watch: Watch,
    text: Utf8,
    /// What was just written, to be counted.
    scratch: Vec<u8>,
    /// The present entity has fields that are written anew.
    touched: bool,
}

impl Notes {
    fn new(task: Task) -> Notes {
        Notes {
            task,
            changes: Vec::new(),
            altered: false,
            octets: 0,
            eight_bit: false,
            size: 0,
            obstacle: None,
            entities: 0,
            kept: 0,
            anew: 0,
            entity: Entity::default(),
            coder: None,
            watch: Watch::default(),
            text: Utf8::default(),
            scratch: Vec::new(),
            touched: false,
        }
    }

    fn take(&mut self, event: Event<'_>) {
        self.scratch.clear();
        match event {
            Event::Entity => {
                self.settle();
                self.entities += 1;
                (self.entity, self.coder) = (Entity::default(), None);
                (self.watch, self.text) = (Watch::default(), Utf8::default());
            }
            Event::Field(raw) => self.field(raw),
            Event::Long(octets) => {
                if self.task.header == Header::Must && !octets.is_ascii() {
                    self.stop(Obstacle::Structure("a field of its header is too long"));
                }
                self.count(octets.len());
            }
            Event::Body(entity, line) => {
                self.count(line.len());
                self.entity = entity.clone();
                let how = How::of(entity).filter(|_| self.task.body && !is_composite(entity));
                self.coder = how.map(Coder::new);
            }
            Event::Content(octets) => self.content(octets),
            Event::End(before) => self.end(before),
            Event::Boundary(octets) => {
                self.settle();
                self.size += octets.len() as u64;
            }
            Event::Outside(octets) => {
                self.settle();
                self.altered |= self.task.body && !octets.is_ascii();
                self.scratch.clear();
                write_outside(octets, &mut self.scratch);
                self.size += self.scratch.len() as u64;
            }
        }
    }

    fn field(&mut self, raw: &[u8]) {
        let written = write_field(self.task, raw, &mut self.scratch);
        self.touched |= self.scratch != raw;
        if let (Err(name), Header::Must) = (written, self.task.header) {
            self.stop(Obstacle::Field(name));
        }
        self.kept += self.scratch.len() as u64;
        if !is_encoding(raw) {
            self.anew += self.scratch.len() as u64;
        }
    }

    fn content(&mut self, octets: &[u8]) {
        self.kept += octets.len() as u64;
        if !self.task.body {
            self.anew += octets.len() as u64;
            return;
        }
        self.watch.look(octets);
        self.text.look(octets);
        if let Some(coder) = &mut self.coder {
            coder.encode(octets, &mut self.scratch);
            self.anew += self.scratch.len() as u64;
        }
    }

    fn end(&mut self, before: Before) {
        let coder = self.coder.take();
        if !self.task.body || !self.watch.found.is_bad(self.entity.encoding) {
            return;
        }
        let (Some(mut coder), Some(how)) = (coder, How::of(&self.entity)) else {
            let eight_bit = self.watch.found.eight_bit;
            if eight_bit {
                self.stop(Obstacle::Structure("its parts cannot be told apart"));
            }
            return;
        };
        coder.finish(before, &mut self.scratch);
        let charset = if self.text.is_valid() { "utf-8" } else { "unknown-8bit" };
        let change = Change { how, charset };
        self.anew += self.scratch.len() as u64;
        self.anew += change.fields(&self.entity).len() as u64;
        self.kept = self.anew;
        self.altered = true;
        if self.changes.len() == limits::MIME_CHANGES {
            return self.stop(Obstacle::Structure("it has too many parts"));
        }
        self.changes.push((self.entities - 1, change));
    }

    /// The present entity is over.
    fn settle(&mut self) {
        self.size += self.kept;
        self.altered |= self.touched;
        (self.kept, self.anew, self.touched) = (0, 0, false);
    }

    fn count(&mut self, octets: usize) {
        self.kept += octets as u64;
        self.anew += octets as u64;
    }

    fn stop(&mut self, obstacle: Obstacle) {
        self.obstacle.get_or_insert(obstacle);
    }
}

fn is_composite(entity: &Entity) -> bool {
    matches!(entity.content, Content::Message | Content::Parts { .. } | Content::Unreadable)
}
