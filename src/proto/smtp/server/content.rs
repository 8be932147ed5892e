//! The octets of a message: DATA up to the final dot (RFC 5321 §4.1.1.4), or BDAT in chunks (RFC
//! 3030).

use super::{Ask, Asked, Session, State, Then, dialect::Ends, replies};
use crate::{
    limits,
    proto::{
        machine::Step,
        smtp::data::{Found, Unstuff},
        status::Reply,
    },
};

/// Reading after DATA.
#[derive(Debug)]
pub(super) struct Data {
    reader: Unstuff,
    /// What will be said at the end; the rest is read for its end only.
    refusal: Option<Reply>,
    ended: bool,
    then: Then,
}

impl Data {
    /// Of a session whose lines end so.
    pub(super) fn new(ends: Ends) -> Data {
        let reader = if ends == Ends::Lf { Unstuff::line_feeds() } else { Unstuff::data() };
        Data { reader, refusal: None, ended: false, then: Then::Command }
    }
}

/// Reading after BDAT.
#[derive(Debug)]
pub(super) struct Chunk {
    size: u64,
    left: u64,
    last: bool,
    /// What will be said at the end of the chunk.
    refusal: Option<Reply>,
}

/// What one chunk leaves to the next.
#[derive(Debug)]
pub(super) struct Chunks {
    reader: Unstuff,
    /// A bad line end was found: the last chunk will be refused.
    bad: bool,
}

impl Session {
    /// DATA.
    pub(super) fn begin_data(&mut self) -> Option<Step<Ask>> {
        match self.unfit() {
            Some(refusal) if refusal == replies::NO_VALID_RCPT => self.refuse(&refusal),
            Some(refusal) => self.fail(&refusal),
            None if self.transaction.as_ref().is_some_and(|t| t.chunks.is_some()) => {
                self.fail(&replies::IN_CHUNKS);
            }
            None => {
                let protocol = self.protocol();
                return Some(self.ask(Asked::Data, Ask::Data { protocol }));
            }
        }
        None
    }

    /// Why no message may come now. That no recipient was valid a client that pipelines could not
    /// know: it is no mistake (RFC 2920 §3.1).
    fn unfit(&self) -> Option<Reply> {
        match &self.transaction {
            None => Some(replies::NO_MAIL),
            Some(transaction) if transaction.recipients > 0 => None,
            Some(transaction) if transaction.tried => Some(replies::NO_VALID_RCPT),
            Some(_) => Some(replies::NO_RCPT),
        }
    }

    /// The octets after DATA.
    pub(super) fn data(&mut self, mut data: Data) -> Option<Step<Ask>> {
        if data.ended {
            return match data.refusal {
                Some(refusal) => {
                    self.finish(refusal, data.then);
                    None
                }
                None => Some(self.commit()),
            };
        }
        let most = limits::CHUNK_BYTES / data.reader.growth();
        let input = self.pipe.input.get(..most).unwrap_or(&self.pipe.input);
        if input.is_empty() {
            self.state = State::Data(data);
            return Some(Step::Read);
        }
        let mut body = Vec::new();
        let (used, found) = if data.refusal.is_none() {
            body.reserve(input.len());
            data.reader.decode(input, &mut body)
        } else {
            data.reader.skip(input)
        };
        self.pipe.consume(used);
        if !self.fits(&mut body) {
            // RFC 1870 §6.3: told at the end, and no octet more is kept.
            data.refusal = Some(replies::TOO_LARGE);
            self.note(&replies::TOO_LARGE);
            self.drop_transaction();
        }
        match found {
            Found::More => {}
            Found::End => data.ended = true,
            Found::Bad => {
                // The message is read to its one true end, and the session ends there: nothing that
                // was meant to look like commands to somebody is ever read as such.
                data.refusal = Some(replies::BAD_LINE_END);
                self.note(&replies::BAD_LINE_END);
                data.then = Then::Closed;
                self.drop_transaction();
            }
        }
        self.state = State::Data(data);
        self.hand_over(body)
    }

    /// BDAT. What is refused is read all the same (RFC 3030 §2), and since a client that pipelines
    /// could not know, it is no mistake.
    pub(super) fn begin_chunk(&mut self, size: u64, last: bool) -> Option<Step<Ask>> {
        let mut chunk = Chunk { size, left: size, last, refusal: self.unfit() };
        let message = self.transaction.as_ref().map_or(0, |t| t.taken).saturating_add(size);
        if chunk.refusal.is_none() && message > self.offer.size {
            chunk.refusal = Some(replies::TOO_LARGE);
            self.drop_transaction();
        }
        if let Some(refusal) = &chunk.refusal {
            self.note(refusal);
        }
        let first = self.transaction.as_ref().is_some_and(|t| t.chunks.is_none());
        if first && chunk.refusal.is_none() {
            let protocol = self.protocol();
            return Some(self.ask(Asked::FirstChunk(chunk), Ask::Data { protocol }));
        }
        self.state = State::Chunk(chunk);
        None
    }

    /// The message may come.
    pub(super) fn first_chunk(&mut self, chunk: Chunk) {
        if let Some(transaction) = &mut self.transaction {
            transaction.chunks = Some(Chunks { reader: Unstuff::chunks(), bad: false });
        }
        self.state = State::Chunk(chunk);
    }

    /// RFC 3030 §2: a chunk that is refused fails the transaction.
    pub(super) fn refuse_first_chunk(&mut self, mut chunk: Chunk, refusal: Reply) {
        self.drop_transaction();
        chunk.refusal = Some(refusal);
        self.state = State::Chunk(chunk);
    }

    /// The octets after BDAT.
    pub(super) fn chunk(&mut self, mut chunk: Chunk) -> Option<Step<Ask>> {
        if chunk.left == 0 {
            return self.chunk_ended(chunk);
        }
        let most = usize::try_from(chunk.left).unwrap_or(usize::MAX).min(limits::CHUNK_BYTES);
        let input = self.pipe.input.get(..most).unwrap_or(&self.pipe.input);
        if input.is_empty() {
            self.state = State::Chunk(chunk);
            return Some(Step::Read);
        }
        let mut body = Vec::new();
        let chunks = self.transaction.as_mut().and_then(|t| t.chunks.as_mut());
        if let Some(chunks) = chunks.filter(|chunks| !chunks.bad && chunk.refusal.is_none()) {
            body.reserve(input.len());
            let (_, found) = chunks.reader.decode(input, &mut body);
            chunks.bad = found == Found::Bad;
        }
        let used = input.len();
        chunk.left -= used as u64;
        self.pipe.consume(used);
        let fits = self.fits(&mut body);
        assert!(fits, "a chunk that does not fit was refused before it came");
        self.state = State::Chunk(chunk);
        self.hand_over(body)
    }

    fn chunk_ended(&mut self, chunk: Chunk) -> Option<Step<Ask>> {
        if let Some(refusal) = chunk.refusal {
            self.finish(refusal, Then::Command);
            return None;
        }
        if !chunk.last {
            self.say(&replies::CHUNK_OK.says(format!("{} octets received", chunk.size)));
            return None;
        }
        let chunks = self.transaction.as_ref().and_then(|t| t.chunks.as_ref());
        if chunks.is_some_and(|chunks| chunks.bad || chunks.reader.ends_badly()) {
            // The lengths say where commands start, whatever the content: the session may go on.
            self.drop_transaction();
            self.note(&replies::BAD_LINE_END);
            self.finish(replies::BAD_LINE_END, Then::Command);
            return None;
        }
        Some(self.commit())
    }

    /// The handler would not have more of the message.
    pub(super) fn refuse_content(&mut self, reply: Reply) {
        if let State::Data(Data { refusal, .. }) | State::Chunk(Chunk { refusal, .. }) =
            &mut self.state
        {
            refusal.get_or_insert(reply);
        }
        self.drop_transaction();
    }

    /// Count octets of the message, and cut them where it grows too large.
    fn fits(&mut self, body: &mut Vec<u8>) -> bool {
        let Some(transaction) = &mut self.transaction else { return true };
        let room = self.offer.size.saturating_sub(transaction.taken);
        let fits = body.len() as u64 <= room;
        body.truncate(usize::try_from(room).unwrap_or(usize::MAX));
        transaction.taken += body.len() as u64;
        fits
    }

    fn hand_over(&mut self, body: Vec<u8>) -> Option<Step<Ask>> {
        (!body.is_empty()).then(|| self.ask(Asked::Body, Ask::Body(body)))
    }

    /// The handler has it now: the transaction is over, whatever it answers.
    fn commit(&mut self) -> Step<Ask> {
        self.transaction = None;
        let overlooked = self.overlooked.clone();
        self.ask(Asked::Commit, Ask::Commit { overlooked })
    }
}
