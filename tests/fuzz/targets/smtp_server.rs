//! The receiving side of SMTP: any octets in any pieces, any answers, silence, TLS, the end of the
//! relay.

use crate::{input::Input, seeds as sown};
use waypost::{
    limits,
    proto::{
        machine::{Machine, Step},
        smtp::server::{Answer, Ask, Offer, Session},
        status::{Class, Reply, Status},
    },
};

pub(crate) fn check(data: &[u8]) {
    let input = Input::new(data);
    let script = Script::draw(&input);
    let whole = Stage::new(&script, usize::MAX).play();
    // Where the handler refuses octets depends on where they were cut.
    if script.event != Event::RefusedBody {
        for piece in [1, 2 + input.choice(5) % 100] {
            assert_eq!(Stage::new(&script, piece).play(), whole, "pieces of {piece}");
        }
    }
}

/// Every transcript of the receiving side, with some choices.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for session in sown::files("transcript/smtp", ".session") {
        let mut octets = Vec::new();
        let words = sown::directives(&session);
        if words.iter().any(|word| ["greeted", "addressed"].contains(word)) {
            octets.extend(b"EHLO client.example\r\n");
        }
        if words.contains(&"addressed") {
            octets.extend(b"MAIL FROM:<a@client.example>\r\nRCPT TO:<b@relay.example>\r\n");
        }
        octets.extend(sown::side(&session, 'C'));
        for choices in [&[2, 1, 0][..], &[0x12, 0, 0, 0, 0, 9, 0, 4, 0, 0, 5], &[31, 1, 1, 200]] {
            seeds.push(Input::compose(&octets, choices));
        }
    }
    seeds
}

/// Something that happens once, besides what the client sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    None,
    Silence,
    ShuttingDown,
    RefusedBody,
}

#[derive(Debug)]
struct Script<'a> {
    offer: Offer,
    octets: &'a [u8],
    event: Event,
    /// After so many octets of the client, or of a message.
    event_at: usize,
    /// Octets that are sent behind STARTTLS in clear.
    injected: usize,
    answers: &'a [u8],
}

impl<'a> Script<'a> {
    fn draw(input: &Input<'a>) -> Script<'a> {
        let flag = |bit: usize| input.choice(0) >> bit & 1 == 1;
        let offer = Offer {
            hostname: "relay.example".into(),
            submission: flag(0),
            starttls: flag(1),
            encrypted: flag(2),
            auth_in_clear: flag(3),
            auth: flag(4),
            lenient: flag(5),
            size: input.one_of(1, &[1000, 100_000, 0, 5]),
            recipients: input.one_of(1, &[10, 100, 1]),
            bad_commands: input.one_of(1, &[10, 1000, 0]),
        };
        let events = [Event::None, Event::Silence, Event::ShuttingDown, Event::RefusedBody];
        Script {
            offer,
            octets: input.octets,
            event: input.one_of(2, &events),
            event_at: input.octets.len() * input.choice(3) / 255,
            injected: input.choice(4),
            answers: input.choices.get(6..).unwrap_or_default(),
        }
    }

    fn answer(&self, number: usize) -> Answer {
        let reply =
            |code, class, text: &str| Reply::new(code, Status::new(class, 7, 1), "").says(text);
        let choice = self.answers.get(number % self.answers.len().max(1)).copied().unwrap_or(0);
        match choice % 8 {
            3 => Answer::AcceptAs(reply(250, Class::Success, "x\r\n550 \u{e4}")),
            4 => Answer::Refuse(reply(550, Class::Permanent, "no\r\n250 ok")),
            5 => Answer::Refuse(reply(450, Class::Transient, &"later ".repeat(200))),
            6 => Answer::AcceptAs(reply(250, Class::Success, &"\u{e4}".repeat(600))),
            7 => Answer::Close(reply(421, Class::Transient, "bye")),
            _ => Answer::Accept,
        }
    }
}

/// What was said and asked, wherever it was cut.
#[derive(Debug, Default, PartialEq)]
struct Told {
    output: Vec<u8>,
    asks: Vec<Ask>,
    closed: bool,
}

/// What a handler knows of the transaction.
#[derive(Debug, Default)]
struct Known {
    mail: bool,
    recipients: usize,
    /// The message may come: since this octet of the client, by DATA or not.
    data: Option<(usize, bool)>,
    body: Vec<u8>,
}

struct Stage<'a> {
    script: &'a Script<'a>,
    session: Session,
    piece: usize,
    fed: usize,
    over: bool,
    asked: usize,
    known: Known,
    told: Told,
}

impl<'a> Stage<'a> {
    fn new(script: &'a Script<'a>, piece: usize) -> Stage<'a> {
        Stage {
            script,
            session: Session::new(script.offer.clone()),
            piece,
            fed: 0,
            over: !matches!(script.event, Event::Silence | Event::ShuttingDown),
            asked: 0,
            known: Known::default(),
            told: Told::default(),
        }
    }

    fn play(mut self) -> Told {
        // Each octet is read once and handed over once at most, and no question comes from nothing.
        for _ in 0..64 + 8 * self.script.octets.len() {
            let step = self.session.step();
            let pipe = self.session.pipe();
            assert!(pipe.output.len() <= limits::OUTPUT_BYTES, "output is bounded");
            assert!(pipe.input.len() <= limits::INPUT_BYTES, "input is bounded");
            if !matches!(step, Step::Ask(_)) {
                self.told.output.append(&mut pipe.output);
            }
            match step {
                Step::Write => {}
                Step::Read if self.read() => {}
                Step::Ask(ask) => self.hear(ask),
                Step::Upgrade => {
                    self.fed = (self.used() + self.script.injected).min(self.script.octets.len());
                    self.session.upgraded();
                    assert!(self.session.pipe().input.is_empty() && self.session.encrypted());
                }
                Step::Read | Step::Close => {
                    self.told.closed = step == Step::Close;
                    replies_are_well_formed(&self.told.output);
                    return self.told;
                }
            }
        }
        panic!("it does not end");
    }

    /// Octets of the client that the machine has used.
    fn used(&mut self) -> usize {
        self.fed - self.session.pipe().input.len()
    }

    /// More input, or what happens instead; `false` where nothing will.
    fn read(&mut self) -> bool {
        let room = self.session.pipe().room();
        assert!(room > 0, "a machine that reads has room");
        assert!(!self.session.patience().is_zero());
        let end = if self.over { self.script.octets.len() } else { self.script.event_at };
        if self.fed < end {
            let next = (end - self.fed).min(self.piece).min(room);
            let octets = &self.script.octets[self.fed..self.fed + next];
            self.session.pipe().input.extend_from_slice(octets);
            self.fed += next;
            return true;
        }
        match self.script.event {
            _ if self.over => return false,
            Event::Silence => self.session.timed_out(),
            _ => {
                let status = Status::new(Class::Transient, 3, 2);
                self.session.answer(Answer::Close(Reply::new(421, status, "The relay ends")));
            }
        }
        self.over = true;
        true
    }

    fn hear(&mut self, ask: Ask) {
        if let Ask::Body(octets) = ask {
            return self.hear_body(octets);
        }
        let answer = match ask {
            Ask::Reset => Answer::Accept,
            _ => self.script.answer(self.asked),
        };
        self.asked += 1;
        let yes = matches!(answer, Answer::Accept | Answer::AcceptAs(_));
        match &ask {
            Ask::Hello(_) => assert!(!self.known.mail, "a greeting comes after the end"),
            Ask::Login { user, password } => self.may_log_in(user, password),
            Ask::Mail(_) => {
                assert!(!self.known.mail, "one transaction at a time");
                self.known.mail = yes;
            }
            Ask::Rcpt(_) => {
                assert!(self.known.mail && self.known.data.is_none());
                self.known.recipients += usize::from(yes);
                assert!(self.known.recipients <= self.script.offer.recipients);
            }
            Ask::Data { .. } => assert!(self.known.recipients > 0 && self.known.data.is_none()),
            Ask::Commit { .. } => self.check_message(),
            Ask::Reset => assert!(self.known.mail, "what is forgotten was known"),
            Ask::Body(_) => unreachable!("it was taken above"),
        }
        if matches!(ask, Ask::Commit { .. } | Ask::Reset) {
            self.known = Known::default();
        }
        let data = matches!(ask, Ask::Data { .. }) && yes;
        self.told.asks.push(ask);
        self.session.answer(answer);
        if data {
            let dotted = self.session.pipe().output.ends_with(b"<CR><LF>.<CR><LF>\r\n");
            self.known.data = Some((self.used(), dotted));
        }
    }

    fn hear_body(&mut self, octets: Vec<u8>) {
        assert!(self.known.data.is_some(), "octets come after DATA or BDAT");
        assert!((1..=limits::CHUNK_BYTES).contains(&octets.len()));
        self.known.body.extend_from_slice(&octets);
        assert!(self.known.body.len() as u64 <= self.script.offer.size);
        if let Some(Ask::Body(before)) = self.told.asks.last_mut() {
            before.extend(octets);
        } else {
            self.told.asks.push(Ask::Body(octets));
        }
        let refused =
            self.script.event == Event::RefusedBody && self.known.body.len() > self.script.event_at;
        let status = Status::new(Class::Transient, 3, 1);
        let refusal = || Answer::Refuse(Reply::new(452, status, "No room"));
        self.session.answer(if refused { refusal() } else { Answer::Accept });
    }

    fn may_log_in(&self, user: &str, password: &str) {
        let offer = &self.script.offer;
        assert!(offer.auth && (self.session.encrypted() || offer.auth_in_clear));
        assert!(!user.is_empty() && (offer.lenient || !password.is_empty()));
        assert!(!user.contains('\0') && !password.contains('\0'));
        assert!(!self.known.mail);
    }

    /// The message is what the client sent, by a second reading of it.
    fn check_message(&mut self) {
        let (start, dotted) = self.known.data.expect("a message that was to come");
        let end = self.used();
        let body = &self.known.body;
        assert!(!has_odd_line_end(body), "line ends are whole");
        let sent = &self.script.octets[start..end];
        if dotted && !sent.contains(&b'\r') {
            assert!(self.script.offer.lenient, "of strangers nothing is overlooked");
            assert_eq!(unstuffed(&with_crlf(sent)).as_ref(), Some(body), "LF stands for CRLF");
        } else if dotted {
            assert_eq!(unstuffed(sent).as_ref(), Some(body), "no octet is lost or made up");
        } else {
            let mut sent = sent.iter();
            assert!(body.iter().all(|b| sent.any(|s| s == b)), "no octet is made up");
        }
    }
}

/// Lines that end with LF alone, as they should end.
pub(super) fn with_crlf(octets: &[u8]) -> Vec<u8> {
    let lines = octets.split_inclusive(|octet| *octet == b'\n');
    let whole = lines.map(|line| match line.strip_suffix(b"\n") {
        Some(line) => [line, b"\r\n"].concat(),
        None => line.to_vec(),
    });
    whole.collect::<Vec<_>>().concat()
}

/// A CR or LF alone.
fn has_odd_line_end(octets: &[u8]) -> bool {
    octets.iter().enumerate().any(|(at, octet)| match octet {
        b'\r' => octets.get(at + 1) != Some(&b'\n'),
        b'\n' => at == 0 || octets[at - 1] != b'\r',
        _ => false,
    })
}

/// RFC 5321 §4.5.2, line by line; `None` where it is not a message and its final dot.
pub(super) fn unstuffed(wire: &[u8]) -> Option<Vec<u8>> {
    let mut message = Vec::new();
    let mut rest = wire;
    loop {
        let end = rest.windows(2).position(|pair| pair == b"\r\n")? + 2;
        let (line, after) = rest.split_at(end);
        if line == b".\r\n" {
            return after.is_empty().then_some(message);
        }
        message.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
        rest = after;
    }
}

/// RFC 5321 §4.2, §4.5.3.1.5.
fn replies_are_well_formed(output: &[u8]) {
    assert!(output.is_ascii());
    let text = str::from_utf8(output).expect("ASCII");
    assert!(text.is_empty() || text.ends_with("\r\n"));
    for line in text.split_terminator("\r\n") {
        let (code, rest) = line.split_at(3);
        assert!(code.parse::<u16>().is_ok_and(|code| (200..600).contains(&code)), "{line}");
        assert!(rest.starts_with([' ', '-']), "{line}");
        assert!(line.len() <= limits::OWN_REPLY_LINE_BYTES - 2);
        assert!(!line.contains(|c: char| c.is_control()), "{line:?}");
    }
}
