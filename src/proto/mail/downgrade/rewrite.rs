//! The second pass: the message is written anew.

use super::{
    Change, Coder, Header, Plan, Task,
    walk::{Encoding, Event, Walker},
    words,
};
use crate::proto::mail::header;

/// Writes a message as its [`Plan`] says.
#[derive(Debug)]
pub struct Rewriter {
    walker: Walker,
    pen: Pen,
}

#[derive(Debug)]
struct Pen {
    plan: Plan,
    /// Entities that have begun.
    entities: u32,
    /// Changes of entities that have begun.
    used: usize,
    /// That of the present one.
    change: Option<Change>,
    coder: Option<Coder>,
}

impl Rewriter {
    /// For the message that the plan was made of, where the plan [`is_needed`](Plan::is_needed).
    pub fn new(plan: Plan) -> Rewriter {
        let pen = Pen { plan, entities: 0, used: 0, change: None, coder: None };
        Rewriter { walker: Walker::default(), pen }
    }

    /// Take the next octets, and append what they became to `out`: at most some four octets for
    /// one, and those of a field, a line or a character that was held back before.
    ///
    /// Where one call ends and the next begins makes no difference to the sum of it.
    pub fn push(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        let Rewriter { walker, pen } = self;
        walker.push(octets, &mut |event| pen.take(event, out));
    }

    /// The message ends here.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        let Rewriter { walker, pen } = self;
        walker.finish(&mut |event| pen.take(event, out));
    }
}

impl Pen {
    fn take(&mut self, event: Event<'_>, out: &mut Vec<u8>) {
        match event {
            Event::Entity => {
                let next = self.plan.changes.get(self.used);
                self.change = next.filter(|(n, _)| *n == self.entities).map(|(_, change)| *change);
                self.used += usize::from(self.change.is_some());
                self.entities += 1;
            }
            // What cannot be said in ASCII was found by the survey, and may stay.
            Event::Field(raw) => match self.change {
                Some(_) if is_encoding(raw) => {}
                _ => drop(write_field(self.plan.task, raw, out)),
            },
            Event::Body(entity, line) => {
                if let Some(change) = self.change {
                    out.extend_from_slice(change.fields(entity).as_bytes());
                    self.coder = Some(Coder::new(change.how));
                }
                out.extend_from_slice(line);
            }
            Event::Content(octets) => match &mut self.coder {
                Some(coder) => coder.encode(octets, out),
                None => out.extend_from_slice(octets),
            },
            Event::End(before) => {
                if let Some(mut coder) = self.coder.take() {
                    coder.finish(before, out);
                }
            }
            Event::Outside(octets) if self.plan.task.body => write_outside(octets, out),
            Event::Outside(octets) | Event::Long(octets) | Event::Boundary(octets) => {
                out.extend_from_slice(octets);
            }
        }
    }
}

pub(super) fn is_encoding(raw: &[u8]) -> bool {
    let field = header::fields(raw).next();
    field.is_some_and(|field| field.is("Content-Transfer-Encoding"))
}

/// A field of an entity whose content stays as it is.
///
/// # Errors
/// It cannot be said in ASCII, and was written as it is.
pub(super) fn write_field(task: Task, raw: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    let Some(field) = header::fields(raw).next() else { return Ok(()) };
    if task.body && field.is("Content-Transfer-Encoding") {
        let encoding = words::first_word(field.value);
        if matches!(encoding.as_slice(), b"8bit" | b"binary") {
            out.extend_from_slice(b"Content-Transfer-Encoding: 7bit\r\n");
            return Ok(());
        }
    }
    if task.header == Header::Keep {
        out.extend_from_slice(raw);
        return Ok(());
    }
    words::rewrite(&field, out).map_err(|_| {
        out.extend_from_slice(raw);
        field.name.to_string()
    })
}

pub(super) fn write_outside(octets: &[u8], out: &mut Vec<u8>) {
    out.extend(octets.iter().map(|b| if b.is_ascii() { *b } else { b'?' }));
}

/// Longest line of a content that passes. RFC 5321 §4.5.3.1.6, without its end.
const LINE: usize = crate::limits::TEXT_LINE_BYTES - 2;

/// Watches a content for what seven bits cannot carry.
#[derive(Debug, Default)]
pub(super) struct Watch {
    line: usize,
    pub(super) found: Found,
}

/// What was seen of a content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) eight_bit: bool,
    pub(super) long_or_nul: bool,
}

impl Watch {
    pub(super) fn look(&mut self, octets: &[u8]) {
        self.found.eight_bit |= !octets.is_ascii();
        for (n, line) in octets.split(|b| *b == b'\n').enumerate() {
            if n > 0 {
                self.line = 0;
            }
            if let Some(last) = line.last() {
                self.line += line.len();
                let end = usize::from(*last == b'\r');
                self.found.long_or_nul |= self.line - end > LINE || line.contains(&0);
            }
        }
    }
}

impl Found {
    /// The content must be written anew.
    pub(super) fn is_bad(self, encoding: Encoding) -> bool {
        // Nobody can mend base64 but by leaving out what it does not have.
        self.eight_bit || (self.long_or_nul && encoding != Encoding::Base64)
    }
}
