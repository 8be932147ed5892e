//! One message on its way: the commands that carry its envelope, and what was replied to them.

use super::{Forward, Outgoing, content::Content, offer::Offered};
use crate::{
    limits,
    proto::{
        mail::{
            address::Address,
            downgrade::{self, Obstacle},
        },
        smtp::reply::{PeerReply, one_line},
        status::{Class, Outcome, Status},
    },
};
use core::fmt::Write;

/// RFC 6531 §3.2, RFC 3463 §3.7 as RFC 6531 §4.1 adds to it.
const NEEDS_UTF8: Status = Status::new(Class::Permanent, 6, 7);

/// A mail transaction. RFC 5321 §3.3.
#[derive(Debug)]
pub(super) struct Transaction {
    message: Outgoing,
    /// RSET goes first: the server may still hold a transaction that came to no end.
    resets: bool,
    /// Commands written.
    sent: usize,
    /// Commands whose reply was read.
    heard: usize,
    /// MAIL was accepted and nothing has ended it since; here or, before RSET, in the transaction
    /// before.
    open: bool,
    /// One a recipient: what is settled already.
    outcomes: Vec<Option<Outcome>>,
    /// Recipients that the server is asked for, by their number.
    asked: Vec<usize>,
    /// Its octets.
    pub(super) content: Content,
}

/// The commands of a transaction, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Command {
    Reset,
    Mail,
    Rcpt(usize),
    Data,
}

/// What a reply leads to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// Further replies, or commands.
    More,
    /// The message may be sent.
    Body,
    /// The server waits for a message that has no recipient.
    LoneDot,
    /// Nothing more can come of this transaction.
    Done,
    /// The server does not know BDAT.
    NoChunks,
    /// The reply makes no sense here: the session is out of step.
    OutOfStep,
}

impl Transaction {
    pub(super) fn new(message: Outgoing, resets: bool) -> Transaction {
        let outcomes = vec![None; message.to.len()];
        let content = Content::new(message.size);
        Transaction {
            message,
            resets,
            sent: 0,
            heard: 0,
            open: resets,
            outcomes,
            asked: Vec::new(),
            content,
        }
    }

    /// Settle what this server cannot take, by what it offers; addresses become such that it can
    /// take them.
    pub(super) fn prepare(&mut self, offered: &Offered, host: &str) {
        self.refuse_size(offered, host);
        if offered.utf8 {
            return;
        }
        let refusal = |whose: &str, address: &Address| {
            let text = format!(
                "{whose} {address} is not plain ASCII, and {host} takes no such addresses \
                 (SMTPUTF8)"
            );
            Outcome::ours(NEEDS_UTF8, one_line(&text))
        };
        if let Some(from) = &mut self.message.from {
            if let Some(ascii) = downgrade::ascii_address(from) {
                *from = ascii;
            } else {
                let outcome = refusal("the sender's address", from);
                self.settle_rest(&outcome);
            }
        }
        for (forward, outcome) in self.message.to.iter_mut().zip(&mut self.outcomes) {
            match downgrade::ascii_address(&forward.to) {
                Some(ascii) => forward.to = ascii,
                None if outcome.is_none() => *outcome = Some(refusal("the address", &forward.to)),
                None => {}
            }
        }
    }

    /// RFC 1870 §6.1. Not the next server's turn: those of one domain take the same, and the one
    /// that takes more is not the one that its owner wanted to have the mail.
    pub(super) fn refuse_size(&mut self, offered: &Offered, host: &str) {
        let size = self.content.size();
        if let Some(most) = offered.size_max.filter(|most| size > *most) {
            let text = format!(
                "the message is too large: it has {}, and {host} takes no more than {}",
                amount(size),
                amount(most)
            );
            self.settle_rest(&Outcome::ours(Status::new(Class::Permanent, 3, 4), one_line(&text)));
        }
    }

    /// It cannot be done.
    pub(super) fn refuse_form(&mut self, obstacle: &Obstacle, host: &str) {
        let (status, text) = match obstacle {
            Obstacle::Field(name) => (
                NEEDS_UTF8,
                format!(
                    "the {name} field of the message is not plain ASCII where it must be, and \
                     {host} takes no other (SMTPUTF8)"
                ),
            ),
            // RFC 3463 §3.7.
            Obstacle::Structure(why) => (
                Status::new(Class::Permanent, 6, 3),
                format!(
                    "the message has 8-bit text, {host} takes only 7-bit (no 8BITMIME), and it \
                     cannot be converted: {why}"
                ),
            ),
        };
        self.settle_rest(&Outcome::ours(status, one_line(&text)));
    }

    /// What can be asked of the server is known. The message goes by BDAT where that is offered and
    /// worth it.
    pub(super) fn begin(&mut self, chunking: bool) {
        let open = self.outcomes.iter().enumerate().filter(|(_, outcome)| outcome.is_none());
        self.asked = open.map(|(n, _)| n).collect();
        if chunking && self.content.size() >= limits::BDAT_MESSAGE_BYTES {
            self.content.use_chunks();
        }
    }

    /// Every command that was written has its reply.
    pub(super) fn in_step(&self) -> bool {
        self.heard == self.sent
    }

    /// No recipient is left that anything more could be done for.
    pub(super) fn is_settled(&self) -> bool {
        self.outcomes.iter().all(Option::is_some)
    }

    /// MAIL was accepted, and the server has no reason to believe that the transaction is over.
    pub(super) fn is_open(&self) -> bool {
        self.open
    }

    /// The reply to DATA is next.
    pub(super) fn awaits_data_reply(&self) -> bool {
        self.command(self.heard) == Some(Command::Data)
    }

    /// The whole envelope has its replies, and chunks may follow.
    pub(super) fn awaits_chunks(&self) -> bool {
        self.command(self.heard).is_none()
    }

    /// Write the next command, or, with PIPELINING, all that fit into [`limits::OUTPUT_BYTES`].
    ///
    /// RFC 2920 §3.1: replies are read before more is written than buffers on the way can hold;
    /// DATA ends a group.
    pub(super) fn write_commands(&mut self, offered: &Offered, output: &mut Vec<u8>) {
        loop {
            let Some(command) = self.command(self.sent) else { return };
            self.sent += 1;
            match command {
                Command::Reset => output.extend_from_slice(b"RSET\r\n"),
                Command::Mail => self.write_mail(offered, output),
                Command::Rcpt(n) => {
                    if let Some(forward) = self.message.to.get(n) {
                        write_rcpt(forward, offered, output);
                    }
                }
                Command::Data => output.extend_from_slice(b"DATA\r\n"),
            }
            let full = output.len() + limits::COMMAND_LINE_BYTES > limits::OUTPUT_BYTES;
            if command == Command::Data || full || !offered.pipelining {
                return;
            }
        }
    }

    /// Take the reply to the oldest command without one.
    pub(super) fn hear(&mut self, reply: &PeerReply, host: &str) -> Heard {
        let Some(command) = self.command(self.heard) else { return Heard::OutOfStep };
        self.heard += 1;
        match (command, reply.digit()) {
            (Command::Reset | Command::Mail, 2) => self.open = command == Command::Mail,
            (Command::Rcpt(_), 2) => {}
            (Command::Mail, 4 | 5) => self.settle_rest(&reply.outcome(host)),
            (Command::Rcpt(n), 4 | 5) => self.refuse(n, reply, host),
            // RFC 2920 §3.1: DATA may be accepted though no recipient was.
            (Command::Data, 3) if self.is_settled() => return Heard::LoneDot,
            (Command::Data, 3) => return Heard::Body,
            (Command::Data, 4 | 5) => {
                self.settle_rest(&reply.outcome(host));
                return Heard::Done;
            }
            _ => return Heard::OutOfStep,
        }
        Heard::More
    }

    /// The reply to the final dot: it ends the transaction (RFC 5321 §4.1.1.4), and is for all who
    /// were accepted.
    pub(super) fn conclude(&mut self, reply: &PeerReply, host: &str) {
        self.open = false;
        self.settle_rest(&reply.outcome(host));
    }

    /// Give `outcome` to every recipient without one.
    pub(super) fn settle_rest(&mut self, outcome: &Outcome) {
        for unsettled in self.outcomes.iter_mut().filter(|outcome| outcome.is_none()) {
            *unsettled = Some(outcome.clone());
        }
    }

    /// One outcome a recipient.
    pub(super) fn into_outcomes(self) -> Vec<Outcome> {
        self.outcomes.into_iter().map(|outcome| outcome.expect("every one was settled")).collect()
    }

    /// The reply to the oldest chunk without one. RFC 3030 §2: the one to the last chunk is for the
    /// message, and one of class 4 or 5 to any ends it.
    pub(super) fn hear_chunk(&mut self, reply: &PeerReply, host: &str) -> Heard {
        let (first, unanswered) = self.content.chunk_answered();
        match reply.digit() {
            // Its recipients were accepted: only a server that does not know BDAT says so.
            5 if first && matches!(reply.code, 500 | 502 | 503 | 504) => return Heard::NoChunks,
            4 | 5 => self.settle_rest(&reply.outcome(host)),
            2 if unanswered == 0 && self.content.is_announced() => {
                if !self.is_settled() {
                    self.conclude(reply, host);
                }
                return Heard::Done;
            }
            2 => {}
            _ => return Heard::OutOfStep,
        }
        if unanswered == 0 && self.is_settled() { Heard::Done } else { Heard::More }
    }

    fn command(&self, number: usize) -> Option<Command> {
        match number.checked_sub(usize::from(self.resets)) {
            None => Some(Command::Reset),
            Some(0) => Some(Command::Mail),
            Some(n) => match self.asked.get(n - 1) {
                Some(recipient) => Some(Command::Rcpt(*recipient)),
                None if n == self.asked.len() + 1 && !self.content.is_in_chunks() => {
                    Some(Command::Data)
                }
                None => None,
            },
        }
    }

    fn refuse(&mut self, recipient: usize, reply: &PeerReply, host: &str) {
        let mut outcome = reply.outcome(host);
        // RFC 5321 §4.5.3.1.10: by an error in RFC 821, 552 may mean no more than "too many
        // recipients".
        let too_many = Status::new(Class::Permanent, 5, 3);
        let vague = reply.status.is_none_or(|status| status == too_many);
        if reply.code == 552 && vague && self.outcomes.iter().take(recipient).any(Option::is_none) {
            outcome.status = Status::new(Class::Transient, 5, 3);
        }
        if let Some(unsettled @ None) = self.outcomes.get_mut(recipient) {
            *unsettled = Some(outcome);
        }
    }

    /// MAIL with what RFC 1870, RFC 6152, RFC 6531 and RFC 3461 add to it, each where it is
    /// offered.
    fn write_mail(&self, offered: &Offered, output: &mut Vec<u8>) {
        let message = &self.message;
        let from = message.from.as_ref().map_or("", |from| from.as_str());
        put(output, &["MAIL FROM:<", from, ">"]);
        if offered.size {
            put(output, &[" SIZE=", &self.content.size().to_string()]);
        }
        if message.eight_bit && offered.eight_bit {
            put(output, &[" BODY=8BITMIME"]);
        }
        if message.needs_utf8() && offered.utf8 {
            put(output, &[" SMTPUTF8"]);
        }
        if offered.dsn {
            match message.ret_headers {
                Some(true) => put(output, &[" RET=HDRS"]),
                Some(false) => put(output, &[" RET=FULL"]),
                None => {}
            }
            if !message.envid.is_empty() {
                put(output, &[" ENVID=", &xtext(&message.envid)]);
            }
        }
        put(output, &["\r\n"]);
    }
}

/// RCPT, with NOTIFY and ORCPT (RFC 3461 §4.1, §4.2) where DSN is offered.
fn write_rcpt(forward: &Forward, offered: &Offered, output: &mut Vec<u8>) {
    put(output, &["RCPT TO:<", forward.to.as_str(), ">"]);
    if offered.dsn {
        match forward.notify {
            None => {}
            Some((false, false, false)) => put(output, &[" NOTIFY=NEVER"]),
            Some((success, failure, delay)) => {
                let asked = [(success, "SUCCESS"), (failure, "FAILURE"), (delay, "DELAY")];
                let asked: Vec<&str> =
                    asked.iter().filter(|(wanted, _)| *wanted).map(|(_, word)| *word).collect();
                put(output, &[" NOTIFY=", &asked.join(",")]);
            }
        }
        if let Some((kind, address)) = forward.orcpt.split_once(';') {
            // RFC 6533 §3: an address beyond ASCII has the type utf-8.
            let kind = if address.is_ascii() { kind } else { "utf-8" };
            let address = xtext(address);
            // RFC 3461 §4.2: what is longer once encoded would be refused, and the mail with it.
            if kind.len() + 1 + address.len() <= limits::ORCPT_BYTES {
                put(output, &[" ORCPT=", kind, ";", &address]);
            }
        }
    }
    put(output, &["\r\n"]);
}

/// Octets as a person reads them, too.
fn amount(octets: u64) -> String {
    let tenths = octets.saturating_add(50_000) / 100_000;
    match tenths {
        0 => format!("{octets} octets"),
        _ => format!("{octets} octets ({}.{} MB)", tenths / 10, tenths % 10),
    }
}

fn put(output: &mut Vec<u8>, parts: &[&str]) {
    for part in parts {
        output.extend_from_slice(part.as_bytes());
    }
}

/// RFC 3461 §4; characters beyond ASCII as RFC 6533 §3 does (`\x{E9}`).
fn xtext(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '!'..='~' if c != '+' && c != '=' => encoded.push(c),
            _ => {
                let code = u32::from(c);
                let _a_string_takes_all = if c.is_ascii() {
                    write!(encoded, "+{code:02X}")
                } else {
                    write!(encoded, "\\x{{{code:X}}}")
                };
            }
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xtext_is_as_the_rfcs_say() {
        assert_eq!(xtext("user@example.org"), "user@example.org");
        assert_eq!(xtext("a+b=c d\u{7f}\0"), "a+2Bb+3Dc+20d+7F+00");
        assert_eq!(xtext("jörg"), "j\\x{F6}rg");
    }

    #[test]
    fn an_orcpt_that_encoding_makes_too_long_is_left_out() {
        let said = |letters: usize| {
            let to = Address::parse("b@x.example").expect("valid");
            let orcpt = format!("utf-8;{}", "ö".repeat(letters));
            let offered = Offered { dsn: true, ..Offered::default() };
            let mut output = Vec::new();
            write_rcpt(&Forward { to, orcpt, notify: None }, &offered, &mut output);
            String::from_utf8(output).expect("ASCII")
        };
        // Six octets a letter, and "utf-8;".
        let most = (limits::ORCPT_BYTES - 6) / 6;
        assert!(said(most).contains(" ORCPT=utf-8;\\x{F6}"));
        assert_eq!(said(most + 1), "RCPT TO:<b@x.example>\r\n");
    }
}
