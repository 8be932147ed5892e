//! The receiving side of SMTP. RFC 5321, with the extensions of [`Offer`].
//!
//! A [`Session`] reads a command, asks what only its handler can know, and replies. Replies to a
//! pipelined group leave together (RFC 2920 §3.2): nothing is flushed before the machine has to
//! read, unless much has gathered.
//!
//! ```text
//! MAIL ▶ Ask::Mail ▶ RCPT ▶ Ask::Rcpt ▶ DATA ▶ Ask::Data ▶ octets ▶ Ask::Body … ▶ dot ▶ Ask::Commit
//!           └ a transaction has begun: whatever else ends it before Commit is told as Ask::Reset
//! ```

mod auth;
mod content;
mod dialect;
mod replies;
#[cfg(test)]
mod tests;

use super::command::{Command, Refusal};
use crate::{
    limits,
    proto::{
        machine::{Machine, Pipe, Step},
        mail::address::Address,
        status::Reply,
    },
};
use auth::Auth;
use content::{Chunk, Data};
pub use dialect::Dialect;
use dialect::Ends;
use std::time::Duration;

/// What the session may offer and demand; fixed for its life but for TLS and login.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
#[derive(Clone, Debug)]
pub struct Offer {
    /// Our name, in banner and EHLO.
    pub hostname: String,
    /// Port 587 or 465 (RFC 6409), or port 25.
    pub submission: bool,
    /// STARTTLS is possible.
    pub starttls: bool,
    /// The stream is encrypted from its first octet (port 465).
    pub encrypted: bool,
    /// AUTH is offered without TLS too: the peer's network is trusted for it.
    pub auth_in_clear: bool,
    /// There are users who could log in.
    pub auth: bool,
    /// The peer is one of ours: what is amiss in how it speaks, and clear all the same, is
    /// overlooked.
    pub lenient: bool,
    /// Largest message, octets. RFC 1870.
    pub size: u64,
    /// Most recipients of a transaction.
    pub recipients: usize,
    /// Errors before the session is ended.
    pub bad_commands: u32,
}

/// What only the handler can decide. After each, the machine waits for one [`Answer`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// EHLO or HELO with this name (as given, one line, maybe odd).
    Hello(String),
    /// A login. Answer Accept or Refuse (the machine supplies `235` and takes the refusal's reply).
    Login {
        /** User name. */
        user: String,
        /** Password. */
        password: String,
    },
    /// MAIL. RFC 5321 §4.1.1.2.
    Mail(Mail),
    /// RCPT. RFC 5321 §4.1.1.3.
    Rcpt(Rcpt),
    /// DATA, or the first BDAT: may the message come now?
    Data {
        /// What the Received field says after `with`: `ESMTP`, `ESMTPSA`, `UTF8SMTPS` and so on.
        /// RFC 3848, RFC 6531 §4.3.
        protocol: &'static str,
    },
    /// Message octets after dot-unstuffing; lines end in CRLF, all but perhaps the last. Accept; a
    /// failure may be told at commit, or by Refuse: then the rest is read, and that is the reply.
    Body(Vec<u8>),
    /// The message is whole: take responsibility. Accept answers `250`, in the words given. The
    /// transaction is over, whatever the answer; no Reset follows.
    Commit {
        /// What was overlooked in the session so far, each once.
        overlooked: Vec<Dialect>,
    },
    /// The transaction is gone (RSET, EHLO, STARTTLS, an error, the end of the session): forget the
    /// draft. Answer Accept.
    Reset,
}

/// MAIL FROM and its parameters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mail {
    /// Reverse path; `None` is the null one.
    pub from: Option<Address>,
    /// SIZE. RFC 1870.
    pub size: Option<u64>,
    /// BODY=8BITMIME. RFC 6152.
    pub eight_bit: bool,
    /// SMTPUTF8. RFC 6531.
    pub utf8: bool,
    /// RET=HDRS (`true`) or FULL (`false`). RFC 3461 §4.3.
    pub ret_headers: Option<bool>,
    /// ENVID, xtext-decoded; empty: none. RFC 3461 §4.4.
    pub envid: String,
}

/// RCPT TO and its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rcpt {
    /// Forward path.
    pub to: Address,
    /// ORCPT, decoded (`rfc822;user@example.org`); empty: none. RFC 3461 §4.2.
    pub orcpt: String,
    /// NOTIFY as (success, failure, delay); all false is NEVER; `None`: not given. RFC 3461 §4.1.
    pub notify: Option<(bool, bool, bool)>,
}

/// The handler's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Yes.
    Accept,
    /// Yes, in these words (Commit: `250 2.0.0 Queued as …`).
    AcceptAs(Reply),
    /// No: this reply. The session goes on.
    Refuse(Reply),
    /// No: this reply, and hang up. Also as news, when the relay is shutting down (`421`).
    Close(Reply),
}

/// One conversation with a client. It holds no buffer while it waits for a command.
#[derive(Debug)]
pub struct Session {
    pipe: Pipe,
    offer: Offer,
    state: State,
    asked: Asked,
    hello: Hello,
    user: Option<String>,
    transaction: Option<Transaction>,
    /// A transaction is gone, and the handler does not know yet.
    forget: bool,
    errors: u32,
    /// What was refused without asking the handler, since [`Session::take_refusals`].
    refusals: Vec<Reply>,
    /// How its lines end.
    ends: Ends,
    overlooked: Vec<Dialect>,
}

/// What the session does next.
#[derive(Debug)]
enum State {
    /// Greet.
    Banner,
    /// Read a command.
    Command,
    /// Drop the rest of a line that is too long, and reply this.
    LongLine(Reply),
    /// Ask about this name, given with EHLO or HELO.
    Greeting(Hello, String),
    /// Read a line of an AUTH exchange.
    Auth(Auth),
    /// Read octets up to the final dot.
    Data(Data),
    /// Read the octets of a chunk.
    Chunk(Chunk),
    /// Reply, once the handler has forgotten the transaction, and then hang up or not.
    Owe(Reply, Then),
    /// Start TLS.
    Upgrade,
    /// Hang up.
    Closed,
}

/// What follows a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Command,
    Upgrade,
    Closed,
}

/// How the client has greeted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hello {
    Missing,
    Helo,
    Ehlo,
}

/// The question that waits for its answer.
#[derive(Debug)]
enum Asked {
    Nothing,
    Hello(Hello),
    Login(String),
    Mail(Transaction),
    Rcpt,
    Data,
    FirstChunk(Chunk),
    Body,
    Commit,
    Reset,
}

/// What is known of an open transaction. RFC 5321 §3.3.
#[derive(Debug)]
struct Transaction {
    utf8: bool,
    /// RCPT was given, be it in vain.
    tried: bool,
    recipients: usize,
    /// Octets of the message so far.
    taken: u64,
    /// The reader of a message that comes in chunks.
    chunks: Option<content::Chunks>,
}

impl Session {
    /// A conversation that has not begun.
    pub fn new(offer: Offer) -> Session {
        Session {
            pipe: Pipe::default(),
            offer,
            state: State::Banner,
            asked: Asked::Nothing,
            hello: Hello::Missing,
            user: None,
            transaction: None,
            forget: false,
            errors: 0,
            refusals: Vec::new(),
            ends: Ends::Unknown,
            overlooked: Vec::new(),
        }
    }

    /// Overlook this, where that is done at all.
    fn overlooks(&mut self, dialect: Dialect) -> bool {
        if self.offer.lenient && !self.overlooked.contains(&dialect) {
            self.overlooked.push(dialect);
        }
        self.offer.lenient
    }

    /// Refusals that the handler was not asked about, for the log: at most [`limits::REFUSALS`] of
    /// those since the last call, the same one in a row once.
    pub fn take_refusals(&mut self) -> Vec<Reply> {
        std::mem::take(&mut self.refusals)
    }

    fn note(&mut self, refusal: &Reply) {
        if self.refusals.len() < limits::REFUSALS && self.refusals.last() != Some(refusal) {
            self.refusals.push(refusal.clone());
        }
    }

    /// The stream is encrypted.
    pub fn encrypted(&self) -> bool {
        self.offer.encrypted
    }

    /// The name that the client has logged in with.
    pub fn logged_in(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The client has said EHLO, not HELO.
    pub fn esmtp(&self) -> bool {
        self.hello == Hello::Ehlo
    }

    /// What a Received field says after `with`. RFC 3848, RFC 6531 §4.3. There is no name for HELO
    /// over TLS.
    pub fn protocol(&self) -> &'static str {
        let utf8 = self.transaction.as_ref().is_some_and(|t| t.utf8);
        match (self.esmtp(), utf8, self.offer.encrypted, self.user.is_some()) {
            (false, ..) => "SMTP",
            (true, false, false, false) => "ESMTP",
            (true, false, false, true) => "ESMTPA",
            (true, false, true, false) => "ESMTPS",
            (true, false, true, true) => "ESMTPSA",
            (true, true, false, false) => "UTF8SMTP",
            (true, true, false, true) => "UTF8SMTPA",
            (true, true, true, false) => "UTF8SMTPS",
            (true, true, true, true) => "UTF8SMTPSA",
        }
    }

    /// One thing more, if the input suffices: `None` means that there may be yet more to do.
    fn advance(&mut self) -> Option<Step<Ask>> {
        match std::mem::replace(&mut self.state, State::Command) {
            State::Banner => {
                let banner = format!("220 {} ESMTP Waypost\r\n", self.offer.hostname);
                self.pipe.output.extend_from_slice(banner.as_bytes());
                None
            }
            State::Command => match self.line(limits::COMMAND_LINE_BYTES, replies::LINE_TOO_LONG) {
                Ok(line) => self.command(&line),
                Err(stop) => stop,
            },
            State::LongLine(reply) => self.skip_line(reply),
            State::Greeting(hello, name) => Some(self.ask(Asked::Hello(hello), Ask::Hello(name))),
            State::Auth(auth) => self.auth_line(auth),
            State::Data(data) => self.data(data),
            State::Chunk(chunk) => self.chunk(chunk),
            State::Owe(reply, then) => {
                self.say(&reply);
                self.state = match then {
                    Then::Command => State::Command,
                    Then::Upgrade => State::Upgrade,
                    Then::Closed => State::Closed,
                };
                None
            }
            State::Upgrade => Some(Step::Upgrade),
            State::Closed => {
                self.state = State::Closed;
                Some(Step::Close)
            }
        }
    }

    fn ask(&mut self, asked: Asked, ask: Ask) -> Step<Ask> {
        self.asked = asked;
        Step::Ask(ask)
    }

    /// A line of at most `most` octets, without its CRLF; or what to do instead.
    fn line(&mut self, most: usize, too_long: Reply) -> Result<Vec<u8>, Option<Step<Ask>>> {
        let input = &self.pipe.input;
        let head = input.get(..most).unwrap_or(input);
        let Some(end) = head.iter().position(|b| *b == b'\n') else {
            if head.len() < most {
                return Err(Some(Step::Read));
            }
            self.state = State::LongLine(too_long);
            return Err(None);
        };
        // RFC 5321 §2.3.8: CR and LF come together or not at all. What others might read as two
        // commands is read as none, and nothing after it.
        let mut line = head.get(..end).unwrap_or_default().to_vec();
        if !self.ends_well(&line) {
            self.refuse_all(replies::BARE);
            return Err(None);
        }
        line.truncate(end - usize::from(self.ends == Ends::CrLf));
        self.pipe.consume(end + 1);
        Ok(line)
    }

    /// May a line end so, given without its LF?
    fn ends_well(&mut self, line: &[u8]) -> bool {
        let Some(ends) = self.ends.of(line, self.offer.lenient) else { return false };
        self.ends = ends;
        if ends == Ends::Lf {
            self.overlooks(Dialect::LineFeeds);
        }
        true
    }

    /// Drop octets up to the end of the line.
    fn skip_line(&mut self, reply: Reply) -> Option<Step<Ask>> {
        let input = &self.pipe.input;
        if let Some(end) = input.iter().position(|b| *b == b'\n') {
            let cr = end.checked_sub(1).and_then(|before| input.get(before)) == Some(&b'\r');
            if self.ends_well(if cr { b"\r" } else { b"" }) {
                self.pipe.consume(end + 1);
                self.fail(&reply);
            } else {
                self.refuse_all(replies::BARE);
            }
            return None;
        }
        // A CR stays, to be seen with its LF.
        let keep = usize::from(input.ends_with(b"\r"));
        self.pipe.consume(input.len() - keep);
        self.state = State::LongLine(reply);
        Some(Step::Read)
    }

    fn command(&mut self, line: &[u8]) -> Option<Step<Ask>> {
        let utf8 = self.transaction.as_ref().is_some_and(|t| t.utf8);
        match Command::parse(line, utf8) {
            Err(Refusal::Reply(reply)) => self.fail(&reply),
            Err(Refusal::Close(reply)) => self.refuse_all(reply),
            Ok(Command::Ehlo(name)) => self.greeting(Hello::Ehlo, name),
            Ok(Command::Helo(name)) => self.greeting(Hello::Helo, name),
            Ok(Command::Mail(mail)) => return self.mail(mail),
            Ok(Command::Rcpt(rcpt)) => return self.rcpt(rcpt),
            Ok(Command::Data) => return self.begin_data(),
            Ok(Command::Bdat { size, last }) => return self.begin_chunk(size, last),
            Ok(Command::Auth { mechanism, initial }) => {
                return self.auth(&mechanism, initial.as_deref());
            }
            Ok(Command::StartTls) => self.start_tls(),
            Ok(Command::Rset) => {
                self.drop_transaction();
                self.finish(replies::OK, Then::Command);
            }
            Ok(Command::Quit) => self.hang_up(replies::BYE),
            Ok(Command::Noop) => self.say(&replies::OK),
            Ok(Command::Help) => self.say(&replies::HELP),
            Ok(Command::Vrfy) => self.say(&replies::NOT_TELLING),
            Ok(Command::Expn) => self.fail(&replies::NO_EXPN),
        }
        None
    }

    /// RFC 5321 §4.1.4: a greeting ends an open transaction.
    fn greeting(&mut self, hello: Hello, name: String) {
        if name.is_empty() && !self.overlooks(Dialect::Nameless) {
            return self.fail(&replies::NO_NAME);
        }
        self.drop_transaction();
        self.state = State::Greeting(hello, name);
    }

    fn mail(&mut self, mail: Mail) -> Option<Step<Ask>> {
        let refusal = match () {
            () if self.hello == Hello::Missing && !self.overlooks(Dialect::NoGreeting) => {
                replies::NO_HELLO
            }
            () if self.transaction.is_some() => replies::NESTED,
            () if mail.size.is_some_and(|size| size > self.offer.size) => {
                // RFC 1870 §6.1. Not the client's mistake: it asks, and is told.
                self.refuse(&replies::TOO_LARGE);
                return None;
            }
            () => {
                let transaction = Transaction {
                    utf8: mail.utf8,
                    tried: false,
                    recipients: 0,
                    taken: 0,
                    chunks: None,
                };
                return Some(self.ask(Asked::Mail(transaction), Ask::Mail(mail)));
            }
        };
        self.fail(&refusal);
        None
    }

    fn rcpt(&mut self, rcpt: Rcpt) -> Option<Step<Ask>> {
        match &mut self.transaction {
            None => self.fail(&replies::NO_MAIL),
            Some(transaction) if transaction.chunks.is_some() => self.fail(&replies::IN_CHUNKS),
            Some(transaction) => {
                transaction.tried = true;
                if transaction.recipients < self.offer.recipients {
                    return Some(self.ask(Asked::Rcpt, Ask::Rcpt(rcpt)));
                }
                // RFC 5321 §4.5.3.1.10: no error; the client sends the message again to those left
                // over.
                self.refuse(&replies::TOO_MANY_RCPT);
            }
        }
        None
    }

    /// The reply to EHLO or HELO. RFC 5321 §4.1.1.1. It and the banner have no enhanced status (RFC
    /// 2034 §3).
    fn greeted(&mut self, hello: Hello) {
        self.hello = hello;
        let name = &self.offer.hostname;
        let mut reply = format!("250 {name}\r\n");
        if hello == Hello::Ehlo {
            let tls = self.offer.starttls && !self.offer.encrypted;
            let auth = self.may_log_in() && self.user.is_none();
            reply = format!(
                "250-{name}\r\n250-PIPELINING\r\n250-SIZE {}\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n\
                 250-CHUNKING\r\n250-ENHANCEDSTATUSCODES\r\n250-DSN\r\n{}{}250 HELP\r\n",
                self.offer.size,
                if tls { "250-STARTTLS\r\n" } else { "" },
                if auth { "250-AUTH PLAIN LOGIN\r\n" } else { "" },
            );
        }
        self.pipe.output.extend_from_slice(reply.as_bytes());
    }

    /// The handler said yes, in these words or in ours.
    fn accepted(&mut self, asked: Asked, words: Option<Reply>) {
        let say = |ours: Reply| self.say(&words.unwrap_or(ours));
        match asked {
            Asked::Nothing | Asked::Body | Asked::Reset => {}
            Asked::Hello(hello) => self.greeted(hello),
            Asked::Login(user) => {
                say(replies::LOGIN_OK);
                self.user = Some(user);
            }
            Asked::Mail(transaction) => {
                say(replies::SENDER_OK);
                self.transaction = Some(transaction);
            }
            Asked::Rcpt => {
                say(replies::RECIPIENT_OK);
                if let Some(transaction) = &mut self.transaction {
                    transaction.recipients += 1;
                }
            }
            Asked::Data => {
                self.pipe.output.extend_from_slice(b"354 End data with <CR><LF>.<CR><LF>\r\n");
                self.state = State::Data(Data::new(self.ends));
            }
            Asked::FirstChunk(chunk) => self.first_chunk(chunk),
            Asked::Commit => say(replies::TAKEN),
        }
    }

    fn refused(&mut self, asked: Asked, reply: Reply) {
        match asked {
            Asked::Nothing | Asked::Reset => {}
            Asked::FirstChunk(chunk) => self.refuse_first_chunk(chunk, reply),
            Asked::Body => self.refuse_content(reply),
            Asked::Hello(_)
            | Asked::Login(_)
            | Asked::Mail(_)
            | Asked::Rcpt
            | Asked::Data
            | Asked::Commit => self.say(&reply),
        }
    }

    /// The transaction ends without a message.
    fn drop_transaction(&mut self) {
        self.forget |= self.transaction.take().is_some();
    }

    /// Reply, but not before the handler has forgotten what it should.
    fn finish(&mut self, reply: Reply, then: Then) {
        self.state = State::Owe(reply, then);
    }

    fn hang_up(&mut self, reply: Reply) {
        self.drop_transaction();
        self.finish(reply, Then::Closed);
    }

    /// Reply what the handler was not asked about.
    fn refuse(&mut self, reply: &Reply) {
        self.note(reply);
        self.say(reply);
    }

    /// The same, and hang up.
    fn refuse_all(&mut self, reply: Reply) {
        self.note(&reply);
        self.hang_up(reply);
    }

    /// The client made a mistake: reply, or end the session where there were too many (RFC 5321
    /// §7.8).
    fn fail(&mut self, reply: &Reply) {
        self.errors = self.errors.saturating_add(1);
        if self.errors > self.offer.bad_commands {
            self.note(reply);
            self.refuse_all(replies::TOO_MANY_ERRORS);
        } else {
            self.refuse(reply);
        }
    }

    fn failed(&mut self, reply: &Reply) -> Option<Step<Ask>> {
        self.fail(reply);
        None
    }

    /// Append a reply, in ASCII as RFC 5321 §4.2 has it, and no longer than §4.5.3.1.5 allows.
    fn say(&mut self, reply: &Reply) {
        let ascii = |c: char| if c.is_ascii() { c as u8 } else { b'?' };
        let line = reply.to_string();
        let octets = line.chars().map(ascii).take(limits::OWN_REPLY_LINE_BYTES - 2);
        self.pipe.output.extend(octets);
        self.pipe.output.extend_from_slice(b"\r\n");
    }
}

impl Machine for Session {
    type Ask = Ask;
    type Answer = Answer;

    fn pipe(&mut self) -> &mut Pipe {
        &mut self.pipe
    }

    fn step(&mut self) -> Step<Ask> {
        assert!(matches!(self.asked, Asked::Nothing), "the last question has its answer");
        loop {
            if std::mem::take(&mut self.forget) {
                self.asked = Asked::Reset;
                return Step::Ask(Ask::Reset);
            }
            if self.pipe.output.len() + limits::OWN_REPLY_BYTES > limits::OUTPUT_BYTES {
                return Step::Write;
            }
            if let Some(step) = self.advance() {
                return step;
            }
        }
    }

    fn answer(&mut self, answer: Answer) {
        match (std::mem::replace(&mut self.asked, Asked::Nothing), answer) {
            (asked, Answer::Accept) => self.accepted(asked, None),
            (asked, Answer::AcceptAs(reply)) => self.accepted(asked, Some(reply)),
            (asked, Answer::Refuse(reply)) => self.refused(asked, reply),
            (_, Answer::Close(reply)) => self.hang_up(reply),
        }
    }

    /// RFC 3207 §4.2: all that was said before is forgotten. Errors are not.
    fn upgraded(&mut self) {
        self.pipe.input = Vec::new();
        self.offer.encrypted = true;
        self.hello = Hello::Missing;
        self.ends = Ends::Unknown;
        self.state = State::Command;
    }

    fn patience(&self) -> Duration {
        match self.state {
            State::Data(_) | State::Chunk(_) => limits::DATA_WAIT,
            _ => limits::COMMAND_WAIT,
        }
    }

    fn timed_out(&mut self) {
        self.say(&replies::SILENCE);
        self.state = State::Closed;
    }
}
