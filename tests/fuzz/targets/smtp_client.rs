//! The sending side of SMTP: the server says anything, in turn or all at once.

use super::smtp_server::unstuffed;
use crate::{input::Input, seeds as sown};
use waypost::{
    limits,
    proto::{
        machine::{Machine, Step},
        mail::address::Address,
        sasl::{Key, Secret},
        smtp::client::{
            Answer, Ask, Chunking, Forward, Login, LoginPlan, Outgoing, Plan, Security, Session,
        },
        status::{Class, Outcome, Status},
    },
};

pub(crate) fn check(data: &[u8]) {
    let input = Input::new(data);
    let lines = Stage::new(&input, Pace::Line(usize::MAX)).play();
    for piece in [1, 2 + input.choice(1) % 50] {
        let pieces = Stage::new(&input, Pace::Line(piece)).play();
        assert_eq!(pieces, lines, "pieces of {piece}");
    }
    Stage::new(&input, Pace::AtOnce).play();
}

/// Every transcript of the sending side, with some choices.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for session in sown::files("transcript/client", ".session") {
        let words = sown::directives(&session);
        let security = ["none", "may", "must", "implicit"];
        let plan = security.iter().position(|word| words.contains(word)).unwrap_or(0);
        let login = words.iter().any(|word| word.starts_with("login"));
        let clear = words.contains(&"in-clear");
        let chunkless = words.contains(&"no-chunks");
        let plan = plan | usize::from(login) << 2 | usize::from(clear) << 3;
        let plan = plan | usize::from(chunkless) << 4;
        let plan = u8::try_from(plan).expect("a few bits");
        for message in 0..7 {
            // Eight bits, declared, between plain addresses.
            let (to, more) = if message < 5 { (message, message) } else { (0, 9) };
            let choices = [plan, 9, message, to, 1, more, 3, 0, message, 1];
            seeds.push(Input::compose(&sown::side(&session, 'S'), &choices));
        }
    }
    seeds
}

/// How the server's octets come.
#[derive(Clone, Copy, Debug)]
enum Pace {
    /// No line before it is waited for, in pieces of so many octets.
    Line(usize),
    AtOnce,
}

/// What was said and asked, wherever it was cut.
#[derive(Debug, Default, PartialEq)]
struct Told {
    output: Vec<u8>,
    asks: Vec<Ask>,
}

/// A message on its way.
struct Flight {
    recipients: usize,
    body: Vec<u8>,
    /// Octets of it that were asked for, in this pass.
    given: usize,
    eight_bit: bool,
    /// Where the output stood when it was handed over.
    from: usize,
    /// It was read before anything was said of it.
    surveyed: bool,
    /// Where its octets start in the output, with the first BDAT.
    start: Option<usize>,
}

struct Stage<'a> {
    input: Input<'a>,
    session: Session,
    pace: Pace,
    fed: usize,
    sent: usize,
    encrypted: bool,
    flight: Option<Flight>,
    told: Told,
}

const MESSAGES: usize = 3;
const PASSWORD: &str = "a password that nobody guesses";

impl<'a> Stage<'a> {
    fn new(input: &Input<'a>, pace: Pace) -> Stage<'a> {
        let plan = input.choice(0);
        let securities = [Security::None, Security::May, Security::Must, Security::Implicit];
        let security = securities[plan % 4];
        let in_clear = plan >> 3 & 1 == 1;
        let secret = match input.choice(1) % 4 {
            0 => Secret::Token(PASSWORD.into()),
            _ => Secret::Password(PASSWORD.into()),
        };
        let login = Login { user: "me".into(), secret, in_clear };
        let login = LoginPlan {
            login,
            without: Vec::new(),
            server: ("mx.example".into(), 587),
            chance: [1, 2],
        };
        let session = Session::new(Plan {
            hello: "relay.example".into(),
            security,
            login: (plan >> 2 & 1 == 1).then(|| Box::new(login)),
            host: "mx.example [192.0.2.1]".into(),
            chunking: if plan >> 4 & 1 == 1 { Chunking::Never } else { Chunking::Large },
        });
        let encrypted = security == Security::Implicit;
        let (fed, sent, flight, told) = (0, 0, None, Told::default());
        Stage { input: *input, session, pace, fed, sent, encrypted, flight, told }
    }

    fn play(mut self) -> Told {
        for _ in 0..2048 + 8 * self.input.octets.len() {
            let step = self.session.step();
            let pipe = self.session.pipe();
            let most = limits::OUTPUT_BYTES + limits::CHUNK_BYTES * 4 / 3 + 1024;
            assert!(pipe.output.len() <= most, "output is bounded");
            assert!(pipe.input.len() <= limits::INPUT_BYTES, "input is bounded");
            if !matches!(step, Step::Ask(_)) {
                self.told.output.append(&mut pipe.output);
            }
            self.keeps_the_password();
            match step {
                Step::Write => {}
                Step::Read if self.read() => {}
                Step::Ask(ask) => self.hear(ask),
                Step::Upgrade => {
                    assert!(!self.encrypted, "TLS starts once");
                    self.session.pipe().input.clear();
                    self.session.upgraded();
                    self.encrypted = true;
                }
                Step::Read | Step::Close => {
                    self.broken_off();
                    return self.told;
                }
            }
        }
        panic!("it does not end");
    }

    /// More of what the server says; `false` at its end.
    fn read(&mut self) -> bool {
        let room = self.session.pipe().room();
        assert!(room > 0, "a machine that reads has room");
        assert!(!self.session.patience().is_zero());
        let rest = &self.input.octets[self.fed..];
        let next = match self.pace {
            Pace::AtOnce => rest.len(),
            Pace::Line(piece) => {
                let line = rest.iter().position(|b| *b == b'\n').map_or(rest.len(), |at| at + 1);
                line.min(piece)
            }
        };
        let next = &rest[..next.min(room)];
        self.session.pipe().input.extend_from_slice(next);
        self.fed += next.len();
        !next.is_empty()
    }

    fn hear(&mut self, ask: Ask) {
        let answer = match &ask {
            Ask::Next(_) if self.sent == MESSAGES => Answer::Quit,
            Ask::Next(_) => Answer::Send(Box::new(self.next_message())),
            Ask::Chunk(offset) => self.chunk(*offset),
            Ask::Stretch(_) => Answer::Stretched(Some(Key([7; 32]))),
            Ask::LoggedIn(_, failed) => {
                assert!(self.flight.is_none() && self.sent == 0 && failed.len() < 6);
                Answer::Noted
            }
            Ask::Report(outcomes, _) => {
                self.reported(outcomes);
                Answer::Noted
            }
            Ask::Unusable(outcome) => {
                assert!(self.flight.is_none() && self.sent == 0);
                is_told_well(outcome);
                assert_ne!(outcome.status.class, Class::Success);
                Answer::Noted
            }
        };
        if !matches!(ask, Ask::Chunk(_)) {
            self.told.asks.push(ask);
        }
        self.session.answer(answer);
    }

    fn next_message(&mut self) -> Outgoing {
        assert!(self.flight.is_none(), "one message at a time, each with its outcomes");
        let choice = |n| self.input.choice(2 + 4 * self.sent + n);
        let address = |text: &str| Address::parse(text).expect("an address");
        let senders = ["a@client.example", "\"a b\"@x.example", "j\u{f6}rg@ex\u{e4}mple.example"];
        let to = Forward {
            to: address(senders[choice(1) % 3]),
            orcpt: ["", "rfc822;x+y=z@example.org"][choice(1) / 3 % 2].into(),
            notify: [None, Some((false, false, false)), Some((true, true, false))]
                [choice(1) / 6 % 3],
        };
        let line = b".\r\n..a\r\n.b\r\n";
        let body = match choice(0) % 8 {
            0 => b"Subject: x\r\n\r\n.\r\n..\r\nhi\r\n".to_vec(),
            1 => Vec::new(),
            2 => b"no end".to_vec(),
            3 => line.repeat(4000),
            4 => b".".to_vec(),
            5 => "Subject: x\r\n\r\n.\u{fc}\r\nFrom \u{fc}\r\n".as_bytes().to_vec(),
            6 => ["Subject: \u{fc}\r\n\r\n", &".\u{fc}\r\n".repeat(4000)].concat().into_bytes(),
            _ => line.repeat(choice(3)),
        };
        let recipients = 1 + choice(2) % 200;
        let outgoing = Outgoing {
            from: (choice(3) % 4 > 0).then(|| address(senders[choice(3) % 3])),
            to: vec![to; recipients],
            size: body.len() as u64,
            eight_bit: choice(3) & 1 == 1,
            utf8: choice(3) & 2 == 2,
            ret_headers: [None, Some(true), Some(false)][choice(3) % 3],
            envid: ["", "a+b=c d"][choice(3) % 2].into(),
        };
        self.sent += 1;
        let from = self.told.output.len() + self.session.pipe().output.len();
        let eight_bit = outgoing.eight_bit;
        let (given, surveyed, start) = (0, false, None);
        let flight = Flight { recipients, body, given, eight_bit, from, surveyed, start };
        self.flight = Some(flight);
        outgoing
    }

    fn chunk(&mut self, offset: u64) -> Answer {
        let output = [&self.told.output[..], &self.session.pipe().output].concat();
        let flight = self.flight.as_mut().expect("a message in flight");
        if output.len() == flight.from {
            flight.surveyed = true;
        } else if flight.start.is_none() {
            assert!(!flight.surveyed || flight.given == flight.body.len(), "all of it is read");
            flight.given = 0;
            flight.start = Some(body_start(&output));
        }
        assert_eq!(offset, flight.given as u64, "octets are asked for in order");
        if self.input.choice(15) == 255 && flight.given > 100 {
            return Answer::Abort;
        }
        let size = [limits::CHUNK_BYTES, 1000, 1, 7][self.input.choice(16) % 4];
        let size = if flight.body.len() > 5000 { limits::CHUNK_BYTES } else { size };
        let rest = &flight.body[flight.given..];
        let chunk = rest[..rest.len().min(size)].to_vec();
        flight.given += chunk.len();
        Answer::Chunk(chunk)
    }

    /// Who was told that a recipient has it had all of it; and nothing else was sent.
    fn reported(&mut self, outcomes: &[Outcome]) {
        let flight = self.flight.take().expect("a message in flight");
        assert_eq!(outcomes.len(), flight.recipients, "one outcome a recipient");
        outcomes.iter().for_each(is_told_well);
        let output = [&self.told.output[..], &self.session.pipe().output].concat();
        let given = flight.given == flight.body.len();
        let whole = given && (flight.start.is_some() || flight.body.is_empty());
        let success = outcomes.iter().any(|outcome| outcome.status.class == Class::Success);
        assert!(whole || !success, "nobody has a message that was not sent");
        match flight.start.filter(|_| whole) {
            Some(start) if output[start..].starts_with(b"BDAT ") => {
                let (sent, last) = unchunked(&output[start..]);
                assert!(last || !success, "the last chunk says so");
                flight.has_gone(&sent, &output[flight.from..start], last);
            }
            Some(start) => {
                let sent = unstuffed(&output[start..]).expect("a message with its end");
                flight.has_gone(&sent, &output[flight.from..start], true);
            }
            None => assert!(!success || output.ends_with(b".\r\n")),
        }
    }

    /// The connection is gone: a message in flight has an outcome all the same.
    fn broken_off(&mut self) {
        let outcome = Outcome::ours(Status::new(Class::Transient, 4, 2), "gone");
        let outcomes = self.session.break_off(&outcome);
        assert_eq!(outcomes.is_some(), self.flight.is_some());
        if let (Some(outcomes), Some(flight)) = (outcomes, &self.flight) {
            assert_eq!(outcomes.len(), flight.recipients);
            let success = |outcome: &Outcome| outcome.status.class == Class::Success;
            assert!(!outcomes.iter().any(success), "nobody has what was broken off");
        }
    }

    fn keeps_the_password(&mut self) {
        if self.encrypted || self.input.choice(0) >> 3 & 1 == 1 {
            return;
        }
        let said = &self.told.output;
        let login = said.windows(4).any(|word| word == b"AUTH");
        assert!(!login, "no login where others listen");
    }
}

impl Flight {
    /// What was sent, after `before`, is the message as it is, or, where the server takes no eight
    /// bits, in seven; a piece of it where it is not `whole`.
    fn has_gone(&self, sent: &[u8], before: &[u8], whole: bool) {
        let declared = before.windows(13).any(|word| word == b"BODY=8BITMIME");
        if self.eight_bit && !declared && !self.body.is_ascii() {
            assert!(sent.is_ascii(), "seven bits for a server that takes no more");
            assert!(!whole || sent.windows(6).filter(|w| w == b"=C3=BC").count() > 0);
            return;
        }
        let mut body = self.body.clone();
        if !body.ends_with(b"\r\n") && before.ends_with(b"DATA\r\n") {
            body.extend(b"\r\n");
        }
        let (mut sent, mut body) = (sent, &body[..]);
        if let (true, Some(header)) = (self.surveyed, header(body).filter(|h| !h.is_ascii())) {
            // Without SMTPUTF8, its header alone is written anew.
            let anew = self::header(sent).unwrap_or(sent);
            assert!(anew.is_ascii(), "no header that the server does not take");
            (sent, body) = (&sent[anew.len()..], &body[header.len()..]);
        }
        assert!(body.starts_with(sent), "the message is sent as it is");
        assert!(!whole || body.len() == sent.len(), "all of it");
    }
}

/// All before the empty line.
fn header(message: &[u8]) -> Option<&[u8]> {
    message.windows(4).position(|end| end == b"\r\n\r\n").map(|end| &message[..end])
}

/// Where a message starts whose first octets are about to be written: behind DATA, or at the BDAT.
fn body_start(output: &[u8]) -> usize {
    let line = output.strip_suffix(b"\r\n").expect("a command before it");
    let start = line.iter().rposition(|octet| *octet == b'\n').map_or(0, |at| at + 1);
    if line[start..].starts_with(b"BDAT ") {
        return start;
    }
    assert_eq!(&line[start..], b"DATA");
    output.len()
}

/// The octets of chunks, and whether the last of them is whole and says that it is the last. RFC
/// 3030 §2.
fn unchunked(wire: &[u8]) -> (Vec<u8>, bool) {
    let (mut message, mut rest) = (Vec::new(), wire);
    while !rest.is_empty() {
        let end = rest.windows(2).position(|pair| pair == b"\r\n").expect("a line") + 2;
        let line = str::from_utf8(&rest[..end - 2]).expect("ASCII");
        let size = line.strip_prefix("BDAT ").expect("nothing but chunks");
        let last = size.strip_suffix(" LAST");
        let size: usize = last.unwrap_or(size).parse().expect("a size");
        let chunk = &rest[end..];
        message.extend_from_slice(&chunk[..size.min(chunk.len())]);
        if last.is_some() || chunk.len() < size {
            assert!(chunk.len() <= size, "nothing comes behind the last chunk");
            return (message, last.is_some() && chunk.len() == size);
        }
        rest = &chunk[size..];
    }
    (message, false)
}

/// One bounded line.
fn is_told_well(outcome: &Outcome) {
    assert!(outcome.text.len() <= limits::REPLY_TEXT_BYTES);
    assert!(!outcome.text.contains(char::is_control) && !outcome.by.contains(char::is_control));
}
