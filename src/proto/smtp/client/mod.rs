//! The sending side of SMTP. RFC 5321 §4.1.4.
//!
//! ```text
//! Banner ─ Hello ─┬─ StartTls ─ (TLS) ─ Hello ─┬─ Login ─┬─ Ready ⇄ [Survey] ─ Envelope ─ Body ─ Final ─ Report
//!                 └────────────────────────────┴─────────┘    └─ Quit                   ⇅
//!                                                                                     Chunk
//! ```
//!
//! Every state but Ready, Survey and Body waits for a reply. Survey reads a message that the server
//! cannot take as it is (`proto/mail/downgrade`); Chunk stands between two BDAT. Whatever goes
//! wrong before Ready makes the session [`Ask::Unusable`]; what goes wrong later is the outcome of
//! one message.

mod content;
mod login;
mod message;
mod offer;
mod plan;
mod spoken;
mod transaction;

pub use message::{Forward, Outgoing, Reporter, Takes};
pub use plan::{Chunking, Login, LoginPlan, Plan, Security};
pub use spoken::Spoken;

use crate::{
    limits,
    proto::{
        machine::{Machine, Pipe, Step},
        sasl::{Key, Mechanism, Stretch},
        smtp::reply::{Garbled, Parser, PeerReply, one_line},
        status::{Class, Outcome, Status},
    },
};
use content::Need;
use offer::Offered;
use std::time::Duration;
use transaction::{Heard, Transaction};

/// What the machine asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// The session is ready for a (further) message, and the server takes these. Answer Send or
    /// Quit.
    Next(Takes),
    /// More octets of the message from this offset. Answer Chunk.
    Chunk(u64),
    /// The transaction ended: one outcome a recipient, in order, and who sends the reports about
    /// those that were taken. Answer Noted.
    Report(Vec<Outcome>, Reporter),
    /// A piece of slow arithmetic for the login. Answer Stretched.
    Stretch(Stretch),
    /// Logged in by this mechanism, after these came to nothing here. Answer Noted.
    LoggedIn(Mechanism, Vec<Mechanism>),
    /// The session cannot be used: banner, EHLO, STARTTLS or AUTH was refused, or the reply made no
    /// sense. Every message meant for it has this outcome. Answer Noted; the session closes.
    Unusable(Outcome),
}

/// What the machine is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A message.
    Send(Box<Outgoing>),
    /// No more: QUIT.
    Quit,
    /// Message octets from the offset asked for, at least 1 and at most
    /// [`crate::limits::CHUNK_BYTES`].
    Chunk(Vec<u8>),
    /// The message could not be read: break the session off, so that the remote does not take half
    /// of it.
    Abort,
    /// What came of the arithmetic; `None`: there was nobody to do it.
    Stretched(Option<Key>),
    /// Fine.
    Noted,
}

/// The status where a server refuses our login, or it comes to nothing in another way that a person
/// has to mend. Mail waits until then.
pub const LOGIN_REFUSED: Status = Status::new(Class::Transient, 7, 8);

/// A session with a server. Not printable: its buffers may hold a password.
#[expect(clippy::struct_excessive_bools, reason = "facts of a session, independent of each other")]
pub struct Session {
    pipe: Pipe,
    plan: Plan,
    parser: Parser,
    state: State,
    offered: Offered,
    encrypted: bool,
    /// There was a banner, or words in its place that a mail server has.
    greeted: bool,
    /// Encryption was wanted, and the server does not offer it, or not now.
    lacks_tls: bool,
    /// The server may hold a transaction that came to no end.
    stale: bool,
    /// A message was sent or tried.
    used: bool,
    /// The server offers CHUNKING and does not know BDAT.
    lied: bool,
    login: login::Progress,
    record: spoken::Record,
    /// The message in flight.
    transaction: Option<Box<Transaction>>,
}

enum State {
    Banner,
    /// EHLO was sent.
    Hello,
    /// HELO was sent, after EHLO was refused.
    OldHello,
    StartTls,
    /// STARTTLS was accepted.
    Upgrade,
    /// AUTH was sent.
    Login(Box<login::Talk>),
    Ready,
    /// The message is read, to see what must be done to it.
    Survey,
    Envelope,
    Body,
    /// The reply to a chunk is due before the next is sent, or before the next message.
    Chunk,
    /// DATA was accepted without any recipient, and the message ended before it began.
    LoneDot,
    /// The final dot was sent.
    Final,
    Unusable(Outcome, Then),
    Report(Then),
    /// An answer is due that changes nothing.
    Noted(Then),
    Quit,
    Close,
}

/// What follows a report.
#[derive(Clone, Copy, Debug)]
enum Then {
    Ready,
    Quit,
    /// The server has gone or makes no sense: no QUIT.
    Close,
}

impl Session {
    /// A session that waits for the banner.
    pub fn new(plan: Plan) -> Session {
        Session {
            encrypted: plan.security == Security::Implicit,
            plan,
            pipe: Pipe::default(),
            parser: Parser::default(),
            state: State::Banner,
            offered: Offered::default(),
            greeted: false,
            lacks_tls: false,
            stale: false,
            used: false,
            lied: false,
            login: login::Progress::default(),
            record: spoken::Record::default(),
            transaction: None,
        }
    }

    /// After the connection broke: the outcomes of the message that was in flight, in order of its
    /// recipients, and `None` where there was none. Recipients that were refused keep that reply;
    /// the others have `outcome`.
    pub fn break_off(&mut self, outcome: &Outcome) -> Option<Vec<Outcome>> {
        let mut transaction = self.transaction.take()?;
        transaction.settle_rest(outcome);
        Some(transaction.into_outcomes())
    }

    /// Whoever is at the other end has spoken as a mail server does.
    pub fn was_greeted(&self) -> bool {
        self.greeted
    }

    /// Encryption was wanted, and the server does not offer it.
    pub fn lacks_tls(&self) -> bool {
        self.lacks_tls
    }

    /// The server offered CHUNKING, and a message that was sent so came to an end without its first
    /// reply, or with one that says that there is no BDAT: servers in front of servers have been
    /// seen to do that. The next session should not try. To be asked before
    /// [`Session::break_off`].
    pub fn is_lost_in_chunks(&self) -> bool {
        self.lied || self.transaction.as_ref().is_some_and(|t| t.content.has_no_answer())
    }

    /// RFC 3461 §5.2.2: what a server that offers DSN has taken is its to report.
    fn reporter(&self) -> Reporter {
        if self.offered.dsn { Reporter::Server } else { Reporter::Us }
    }

    fn takes(&self) -> Takes {
        Takes { eight_bit: self.offered.eight_bit, utf8: self.offered.utf8 }
    }

    /// What was said since this was last asked, but for the octets of messages and for proofs.
    pub fn take_spoken(&mut self) -> Vec<Spoken> {
        self.record.take()
    }

    fn say(&mut self, line: &str, state: State) {
        if matches!(state, State::Login(_)) {
            self.record.proof(line);
        } else {
            self.record.us(line);
        }
        self.pipe.output.extend_from_slice(line.as_bytes());
        self.pipe.output.extend_from_slice(b"\r\n");
        self.state = state;
    }

    fn say_hello(&mut self) {
        self.offered = Offered::default();
        self.say(&format!("EHLO {}", self.plan.hello), State::Hello);
    }

    /// `last`: the words of the last line as they came.
    fn hear(&mut self, reply: &PeerReply, last: &str) {
        self.greeted = true;
        self.record.server(&reply.text);
        // RFC 5321 §3.8: it may come at any time, and the server is gone.
        if reply.code == 421 && !matches!(self.state, State::Quit) {
            return self.end(reply.outcome(&self.plan.host));
        }
        if matches!(self.state, State::Login(_)) {
            if let State::Login(talk) = std::mem::replace(&mut self.state, State::Close) {
                self.hear_login(*talk, reply, last);
            }
            return;
        }
        let in_chunks = self.is_in_chunks();
        match (&self.state, reply.digit()) {
            (State::Banner, 2) => self.say_hello(),
            (State::Hello | State::OldHello, 2) => self.secure(),
            // RFC 5321 §3.2: servers without EHLO know HELO.
            (State::Hello, 5) => {
                self.offered = Offered::default();
                self.say(&format!("HELO {}", self.plan.hello), State::OldHello);
            }
            (State::StartTls, 2) => self.state = State::Upgrade,
            (State::StartTls, 4 | 5) if self.plan.security == Security::May => {
                self.lacks_tls = true;
                self.login();
            }
            (State::StartTls, _) => self.tls_refused(reply),
            (State::Envelope, _) => self.hear_envelope(reply),
            (State::Chunk | State::Final, _) if in_chunks => self.hear_chunk(reply),
            // RFC 2920 §3.1: whatever it says to that, nothing was sent.
            (State::LoneDot, _) | (State::Final, 2 | 4 | 5) => self.conclude(reply),
            (State::Final, _) => self.out_of_step(reply),
            (State::Quit, _) => self.state = State::Close,
            (State::Banner | State::Hello | State::OldHello, _) => self.refused(reply),
            _ => unreachable!("replies are read only in the states above"),
        }
    }

    /// After EHLO: STARTTLS as planned.
    fn secure(&mut self) {
        let wanted = !self.encrypted && self.plan.security != Security::None;
        if wanted && self.offered.starttls {
            return self.say("STARTTLS", State::StartTls);
        }
        self.lacks_tls = wanted;
        if wanted && self.plan.security == Security::Must {
            let text = format!("TLS is required, and {} does not offer it", self.plan.host);
            return self.unusable(Status::new(Class::Transient, 7, 4), text);
        }
        self.login();
    }

    fn hear_envelope(&mut self, reply: &PeerReply) {
        let Some(transaction) = &mut self.transaction else { return };
        match transaction.hear(reply, &self.plan.host) {
            Heard::More => {}
            // A server that has more to say already has not understood where we are.
            Heard::Body if !self.pipe.input.is_empty() => self.out_of_step(reply),
            Heard::Body => self.state = State::Body,
            Heard::LoneDot => self.say(".", State::LoneDot),
            Heard::Done => self.finish(),
            Heard::OutOfStep | Heard::NoChunks => self.out_of_step(reply),
        }
    }

    fn is_in_chunks(&self) -> bool {
        self.transaction.as_ref().is_some_and(|transaction| transaction.content.is_in_chunks())
    }

    fn hear_chunk(&mut self, reply: &PeerReply) {
        let Some(transaction) = &mut self.transaction else { return };
        match transaction.hear_chunk(reply, &self.plan.host) {
            // Nothing is sent behind a chunk that was refused.
            Heard::More if matches!(self.state, State::Chunk) && !transaction.is_settled() => {
                self.state = State::Body;
            }
            Heard::More => {}
            Heard::Done => self.finish(),
            Heard::NoChunks => {
                // It may have taken octets of the message for commands: no word more.
                self.lied = true;
                let text =
                    format!("the server offers CHUNKING and does not take it: {}", reply.text);
                self.end(self.nonsense(&text));
            }
            _ => self.out_of_step(reply),
        }
    }

    fn start(&mut self, message: Outgoing) {
        self.used = true;
        let task = message.task(self.takes());
        let mut transaction = Transaction::new(message, self.stale);
        transaction.prepare(&self.offered, &self.plan.host);
        self.state = match task {
            _ if transaction.is_settled() => State::Report(Then::Ready),
            Some(task) => {
                transaction.content.survey(task);
                State::Survey
            }
            None => State::Envelope,
        };
        self.transaction = Some(Box::new(transaction));
        if matches!(self.state, State::Envelope) {
            self.begin();
        }
    }

    /// The message was read, if it had to be.
    fn survey(&mut self) -> Option<Step<Ask>> {
        let transaction = self.transaction.as_mut()?;
        if let Some(offset) = transaction.content.survey_wants() {
            return Some(Step::Ask(Ask::Chunk(offset)));
        }
        match transaction.content.end_survey() {
            Ok(()) => transaction.refuse_size(&self.offered, &self.plan.host),
            Err(obstacle) => transaction.refuse_form(&obstacle, &self.plan.host),
        }
        self.state = State::Envelope;
        if transaction.is_settled() {
            self.state = State::Report(Then::Ready);
        } else {
            self.begin();
        }
        None
    }

    /// The envelope is next.
    fn begin(&mut self) {
        if let Some(transaction) = &mut self.transaction {
            let chunking = self.offered.chunking && self.plan.chunking == Chunking::Large;
            transaction.begin(chunking);
        }
    }

    /// In step, and before DATA: the next commands, if anything can come of them.
    fn go_on(&mut self) {
        let Some(transaction) = &mut self.transaction else { return };
        if transaction.is_settled() {
            self.finish();
        } else if transaction.awaits_chunks() && !self.pipe.input.is_empty() {
            self.end(self.nonsense("the server spoke out of turn"));
        } else if transaction.awaits_chunks() {
            self.state = State::Body;
        } else {
            let before = self.pipe.output.len();
            transaction.write_commands(&self.offered, &mut self.pipe.output);
            self.record.commands(self.pipe.output.get(before..).unwrap_or_default());
        }
    }

    fn conclude(&mut self, reply: &PeerReply) {
        if let Some(transaction) = &mut self.transaction {
            transaction.conclude(reply, &self.plan.host);
        }
        self.finish();
    }

    fn finish(&mut self) {
        self.stale = self.transaction.as_ref().is_some_and(|transaction| transaction.is_open());
        self.state = State::Report(Then::Ready);
    }

    fn send_body(&mut self) -> Option<Step<Ask>> {
        let transaction = self.transaction.as_mut()?;
        match transaction.content.write(&mut self.pipe.output) {
            Need::Octets(offset) => return Some(Step::Ask(Ask::Chunk(offset))),
            Need::Room => return Some(Step::Write),
            Need::Reply => self.state = State::Chunk,
            Need::Nothing => {
                let size = transaction.content.size();
                self.record.us(&format!("(the message, {size} octets)"));
                self.state = State::Final;
            }
            Need::Other => self.abort(),
        }
        None
    }

    /// Half a message without its end is none (RFC 5321 §4.1.1.4, §4.5.2).
    fn abort(&mut self) {
        self.pipe.output = Vec::new();
        self.state = State::Close;
    }

    fn ready(&mut self) -> Step<Ask> {
        if self.pipe.input.is_empty() {
            return Step::Ask(Ask::Next(self.takes()));
        }
        // It spoke unasked: its next words would be taken for the reply to something else.
        self.end(self.nonsense("the server spoke out of turn"));
        self.step()
    }

    /// Take the next reply in, if all of it is here.
    fn hear_next(&mut self) -> bool {
        let hello = matches!(self.state, State::Hello);
        let challenges = matches!(self.state, State::Login(_));
        let offered = &mut self.offered;
        let mut last = String::new();
        let each = |n: usize, line: &str| {
            if hello {
                offered.note(n, line);
            } else if challenges {
                last = line.into();
            }
        };
        match self.parser.read(&mut self.pipe, each) {
            Ok(None) => return false,
            Ok(Some(reply)) => self.hear(&reply, &last),
            Err(garbled) => self.garbled(&garbled),
        }
        true
    }

    fn out_of_step(&mut self, reply: &PeerReply) {
        let text = format!("a reply that is none to what was said: {}", reply.text);
        self.end(self.nonsense(&text));
    }

    fn garbled(&mut self, garbled: &Garbled) {
        self.record.server(&format!("({garbled})"));
        self.end(self.nonsense(&garbled.to_string()));
    }

    fn nonsense(&self, text: &str) -> Outcome {
        let status = Status::new(Class::Transient, 5, 0);
        Outcome { status, by: self.plan.host.clone(), text: one_line(text) }
    }

    /// The session is over, without QUIT.
    fn end(&mut self, outcome: Outcome) {
        self.state = match &mut self.transaction {
            _ if matches!(self.state, State::Quit) => State::Close,
            Some(transaction) => {
                transaction.settle_rest(&outcome);
                State::Report(Then::Close)
            }
            None if self.used => State::Close,
            None => State::Unusable(outcome, Then::Close),
        };
    }

    /// The server will not talk with us. That is no judgement on any message: whoever sends 5yz
    /// here has been moved, is overloaded, or dislikes our address today, so mail waits. Only 521
    /// says that the host takes no mail for anybody, ever (RFC 7504 §3).
    fn refused(&mut self, reply: &PeerReply) {
        let mut outcome = reply.outcome(&self.plan.host);
        if reply.code != 521 || !matches!(self.state, State::Banner) {
            outcome.status.class = Class::Transient;
        }
        self.state = State::Unusable(outcome, Then::Quit);
    }

    fn tls_refused(&mut self, reply: &PeerReply) {
        let mut outcome = reply.outcome(&self.plan.host);
        let security = Some(outcome.status).filter(|status| status.subject() == 7);
        let detail = security.map_or(4, Status::detail);
        outcome.status = Status::new(Class::Transient, 7, detail);
        outcome.text = one_line(&format!("TLS is required, and was refused: {}", reply.text));
        self.state = State::Unusable(outcome, Then::Quit);
    }

    fn unusable(&mut self, status: Status, text: String) {
        self.state = State::Unusable(Outcome::ours(status, text), Then::Quit);
    }

    fn follow(&mut self, then: Then) {
        match then {
            Then::Ready => self.state = State::Ready,
            Then::Quit => self.say("QUIT", State::Quit),
            Then::Close => self.state = State::Close,
        }
    }
}

impl Machine for Session {
    type Ask = Ask;
    type Answer = Answer;

    fn pipe(&mut self) -> &mut Pipe {
        &mut self.pipe
    }

    fn step(&mut self) -> Step<Ask> {
        loop {
            match &mut self.state {
                State::Ready => return self.ready(),
                State::Upgrade => return Step::Upgrade,
                State::Close => return Step::Close,
                State::Unusable(outcome, then) => {
                    let (outcome, then) = (outcome.clone(), *then);
                    self.state = State::Noted(then);
                    return Step::Ask(Ask::Unusable(outcome));
                }
                State::Report(then) => {
                    self.state = State::Noted(*then);
                    let outcomes = self.transaction.take().map(|t| t.into_outcomes());
                    let reporter = self.reporter();
                    return Step::Ask(Ask::Report(outcomes.unwrap_or_default(), reporter));
                }
                State::Noted(then) => {
                    let then = *then;
                    self.follow(then);
                }
                State::Body => {
                    if let Some(step) = self.send_body() {
                        return step;
                    }
                }
                State::Survey => {
                    if let Some(step) = self.survey() {
                        return step;
                    }
                }
                State::Envelope if self.transaction.as_ref().is_some_and(|t| t.in_step()) => {
                    self.go_on();
                }
                _ => {
                    if let Some(step) = self.login_step() {
                        return step;
                    }
                    if !self.hear_next() {
                        return Step::Read;
                    }
                }
            }
        }
    }

    fn answer(&mut self, answer: Answer) {
        match (&self.state, answer) {
            (State::Ready, Answer::Send(message)) => self.start(*message),
            (State::Ready, Answer::Quit) => self.follow(Then::Quit),
            (State::Body | State::Survey, Answer::Chunk(octets)) if !octets.is_empty() => {
                if let Some(transaction) = &mut self.transaction {
                    transaction.content.take(octets);
                }
            }
            (State::Login(_), Answer::Stretched(key)) => self.stretched(key.as_ref()),
            (State::Body | State::Survey, _) => self.abort(),
            _ => {}
        }
    }

    fn upgraded(&mut self) {
        self.encrypted = true;
        self.parser = Parser::default();
        // RFC 3207 §4.2: what was offered before is forgotten.
        self.say_hello();
    }

    fn patience(&self) -> Duration {
        match &self.state {
            State::Banner => limits::BANNER_WAIT,
            State::Envelope if self.transaction.as_ref().is_some_and(|t| t.awaits_data_reply()) => {
                limits::DATA_REPLY_WAIT
            }
            State::Final | State::LoneDot | State::Chunk => limits::FINAL_WAIT,
            State::Quit => limits::QUIT_WAIT,
            _ => limits::REPLY_WAIT,
        }
    }
}

#[cfg(test)]
mod tests;
