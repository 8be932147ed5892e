//! The octets of one message on their way: as they are or in seven bits, for DATA or in chunks.

use crate::{
    limits,
    proto::{
        mail::downgrade::{Obstacle, Rewriter, Survey, Task},
        smtp::data::Stuff,
    },
};

/// Octets of a message that come in and go out. It holds one chunk of them, and what that became.
#[derive(Debug)]
pub(super) struct Content {
    /// Octets of the message as it is kept.
    kept: u64,
    /// Those that came in so far, in this pass.
    offset: u64,
    pass: Pass,
    /// Octets that go out.
    size: u64,
    /// Some of them, of which `used` have gone.
    ready: Vec<u8>,
    used: usize,
    /// All of them are, or were, in `ready`.
    whole: bool,
    wire: Wire,
}

#[derive(Debug)]
enum Pass {
    /// To see what must be done to it.
    Survey(Box<Survey>),
    AsItIs,
    Anew(Box<Rewriter>),
}

#[derive(Debug)]
enum Wire {
    /// RFC 5321 §4.1.1.4.
    Data(Stuff),
    /// RFC 3030 §2.
    Chunks(Chunks),
}

#[derive(Clone, Copy, Debug)]
struct Chunks {
    /// Octets that no BDAT has announced yet.
    unannounced: u64,
    /// Octets that the present chunk still lacks.
    lacking: u64,
    /// Chunks without a reply.
    unanswered: usize,
    /// Chunks with one.
    answered: usize,
}

/// What it takes to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// More octets of the message, from this offset.
    Octets(u64),
    /// Room for output.
    Room,
    /// The reply to a chunk.
    Reply,
    /// Nothing: it is out.
    Nothing,
    /// It has not the size that was announced.
    Other,
}

impl Content {
    pub(super) fn new(size: u64) -> Content {
        Content {
            kept: size,
            offset: 0,
            pass: Pass::AsItIs,
            size,
            ready: Vec::new(),
            used: 0,
            whole: false,
            wire: Wire::Data(Stuff::default()),
        }
    }

    /// Octets that go out, dots not stuffed. RFC 1870 §5.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Read it once to see what must be done to it.
    pub(super) fn survey(&mut self, task: Task) {
        self.pass = Pass::Survey(Box::new(Survey::new(task)));
    }

    /// Where the survey goes on; `None` at its end.
    pub(super) fn survey_wants(&self) -> Option<u64> {
        (self.offset < self.kept).then_some(self.offset)
    }

    /// The survey is over: what must be done is known, and so is the size.
    ///
    /// # Errors
    /// It cannot be done.
    pub(super) fn end_survey(&mut self) -> Result<(), Obstacle> {
        self.offset = 0;
        if let Pass::Survey(survey) = std::mem::replace(&mut self.pass, Pass::AsItIs) {
            let plan = survey.finish()?;
            if plan.is_needed() {
                self.size = plan.size();
                self.pass = Pass::Anew(Box::new(Rewriter::new(plan)));
            }
        }
        Ok(())
    }

    /// Octets of the message, from where they were wanted.
    pub(super) fn take(&mut self, octets: Vec<u8>) {
        self.offset += octets.len() as u64;
        self.used = 0;
        match &mut self.pass {
            Pass::Survey(survey) => survey.push(&octets),
            Pass::AsItIs => self.ready = octets,
            Pass::Anew(rewriter) => {
                self.ready.clear();
                rewriter.push(&octets, &mut self.ready);
            }
        }
    }

    /// It goes out by BDAT.
    pub(super) fn use_chunks(&mut self) {
        self.wire =
            Wire::Chunks(Chunks { unannounced: self.size, lacking: 0, unanswered: 0, answered: 0 });
    }

    pub(super) fn is_in_chunks(&self) -> bool {
        matches!(self.wire, Wire::Chunks(_))
    }

    /// The reply to the oldest chunk without one has come: was it the first, and how many are left
    /// without one?
    pub(super) fn chunk_answered(&mut self) -> (bool, usize) {
        let Wire::Chunks(chunks) = &mut self.wire else { return (false, 0) };
        chunks.answered += 1;
        chunks.unanswered = chunks.unanswered.saturating_sub(1);
        (chunks.answered == 1, chunks.unanswered)
    }

    /// The last chunk was announced.
    pub(super) fn is_announced(&self) -> bool {
        matches!(self.wire, Wire::Chunks(chunks) if chunks.unannounced == 0)
    }

    /// A chunk was sent, and none was answered.
    pub(super) fn has_no_answer(&self) -> bool {
        matches!(self.wire, Wire::Chunks(chunks) if chunks.answered == 0 && chunks.unanswered > 0)
    }

    /// Write as much as there is and fits.
    pub(super) fn write(&mut self, output: &mut Vec<u8>) -> Need {
        loop {
            let room = limits::OUTPUT_BYTES.saturating_sub(output.len());
            if room == 0 {
                return Need::Room;
            }
            if let Wire::Chunks(chunks) = &mut self.wire
                && chunks.lacking == 0
            {
                if chunks.unannounced == 0 {
                    return self.end_chunks();
                }
                if chunks.unanswered >= limits::BDAT_UNANSWERED {
                    return Need::Reply;
                }
                chunks.announce(output);
                continue;
            }
            let rest = self.ready.get(self.used..).unwrap_or_default();
            if rest.is_empty() {
                if self.offset < self.kept {
                    return Need::Octets(self.offset);
                }
                if self.end_pass() {
                    continue;
                }
                return match &mut self.wire {
                    Wire::Data(stuff) => {
                        stuff.end(output);
                        Need::Nothing
                    }
                    Wire::Chunks(_) => Need::Other,
                };
            }
            let mut now = rest.get(..room).unwrap_or(rest);
            match &mut self.wire {
                Wire::Data(stuff) => stuff.encode(now, output),
                Wire::Chunks(chunks) => {
                    let lacking = usize::try_from(chunks.lacking).unwrap_or(usize::MAX);
                    now = now.get(..lacking).unwrap_or(now);
                    output.extend_from_slice(now);
                    chunks.lacking -= now.len() as u64;
                }
            }
            self.used += now.len();
        }
    }

    /// All octets came in: what was held back of them is ready. False where that was before.
    fn end_pass(&mut self) -> bool {
        if std::mem::replace(&mut self.whole, true) {
            return false;
        }
        (self.ready, self.used) = (Vec::new(), 0);
        if let Pass::Anew(rewriter) = &mut self.pass {
            rewriter.finish(&mut self.ready);
        }
        true
    }

    /// Nothing may be left where all that was announced is out.
    fn end_chunks(&mut self) -> Need {
        if self.offset < self.kept {
            return if matches!(self.pass, Pass::Anew(_)) && self.used == self.ready.len() {
                Need::Octets(self.offset)
            } else {
                Need::Other
            };
        }
        if self.used < self.ready.len() || (self.end_pass() && !self.ready.is_empty()) {
            return Need::Other;
        }
        Need::Nothing
    }
}

impl Chunks {
    fn announce(&mut self, output: &mut Vec<u8>) {
        self.lacking = self.unannounced.min(limits::BDAT_BYTES);
        self.unannounced -= self.lacking;
        self.unanswered += 1;
        let last = if self.unannounced == 0 { " LAST" } else { "" };
        output.extend_from_slice(format!("BDAT {}{last}\r\n", self.lacking).as_bytes());
    }
}
