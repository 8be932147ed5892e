//! What no transcript can show: bounds of memory, and conversations that nobody wrote.

use super::*;
use crate::{
    chance::Chance,
    proto::status::{Class, Status},
};

fn offer() -> Offer {
    Offer {
        hostname: "relay.example".into(),
        submission: false,
        starttls: true,
        encrypted: false,
        auth_in_clear: true,
        lenient: false,
        auth: true,
        size: 400,
        recipients: 3,
        bad_commands: 50,
    }
}

/// Everything that happened, with neighbouring bodies joined.
#[derive(Debug, Default, PartialEq)]
struct Story {
    output: Vec<u8>,
    asks: Vec<Ask>,
    closed: bool,
}

impl Story {
    fn note(&mut self, ask: Ask) {
        match (self.asks.last_mut(), ask) {
            (Some(Ask::Body(before)), Ask::Body(more)) => before.extend(more),
            (_, ask) => self.asks.push(ask),
        }
    }
}

/// Let the session hear this in pieces of the lengths given, again and again. The handler refuses
/// now and then, always at the same questions.
fn converse(offer: Offer, wire: &[u8], pieces: &[usize]) -> Story {
    let mut session = Session::new(offer);
    let mut story = Story::default();
    let mut pieces = pieces.iter().copied().cycle();
    let mut at = 0;
    loop {
        let step = session.step();
        assert!(session.pipe.output.len() <= limits::OUTPUT_BYTES, "output is bounded");
        match step {
            Step::Ask(ask) => {
                let nth = story.asks.len();
                let answer = verdict(&ask, nth);
                story.note(ask);
                session.answer(answer);
            }
            Step::Write => flush(&mut session, &mut story),
            Step::Read => {
                flush(&mut session, &mut story);
                let pipe = &mut session.pipe;
                assert!(pipe.room() > 0, "a session that reads has room");
                if at == wire.len() {
                    return story;
                }
                let n = pieces.next().unwrap_or(1).min(pipe.room()).min(wire.len() - at);
                pipe.input.extend_from_slice(&wire[at..at + n]);
                at += n;
            }
            Step::Upgrade => {
                flush(&mut session, &mut story);
                session.pipe.input.clear();
                // What comes after TLS has begun is another wire, which this one has none of.
                session.upgraded();
                return story;
            }
            Step::Close => {
                flush(&mut session, &mut story);
                story.closed = true;
                return story;
            }
        }
    }
}

fn flush(session: &mut Session, story: &mut Story) {
    story.output.append(&mut session.pipe.output);
    session.pipe.output = Vec::new();
}

fn verdict(ask: &Ask, nth: usize) -> Answer {
    let no = Reply::new(451, Status::new(Class::Transient, 3, 0), "Not now");
    match ask {
        Ask::Body(_) | Ask::Reset => Answer::Accept,
        _ if nth % 11 == 10 => Answer::Refuse(no),
        _ => Answer::Accept,
    }
}

impl Chance {
    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

const WORDS: &[&[u8]] = &[
    b"EHLO c.example\r\n",
    b"HELO c\r\n",
    b"MAIL FROM:<a@b.example>\r\n",
    b"MAIL FROM:<> SIZE=400 BODY=8BITMIME SMTPUTF8\r\n",
    b"MAIL FROM:<@x.example:a@b> ENVID=a+2B RET=HDRS\r\n",
    b"RCPT TO:<c@d.example>\r\n",
    b"RCPT TO:<c@d.example> NOTIFY=DELAY ORCPT=rfc822;x\r\n",
    b"DATA\r\n",
    b"DATA\r\nhello\r\n.\r\n",
    b".\r\n",
    b"..\r\n",
    b"\r\n.\r\n",
    b"\n.\r\n",
    b"\r",
    b"\n",
    b"\0",
    b"\xff",
    b"BDAT 5\r\n12\r\n3",
    b"BDAT 7 LAST\r\n4567890",
    b"BDAT 3 LAST\r\n6\r\n",
    b"BDAT 500\r\n",
    b"BDAT 0 LAST\r\n",
    b"BDAT\r\n",
    b"AUTH LOGIN\r\n",
    b"AUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n",
    b"YWxpY2U=\r\n",
    b"*\r\n",
    b"RSET\r\n",
    b"NOOP\r\n",
    b"VRFY x\r\n",
    b"XYZZY\r\n",
    b"QUIT\r\n",
    b"STARTTLS\r\n",
    b"GET / HTTP/1.1\r\n",
    b"a line of text that is no command\r\n",
];

/// Mostly commands in an order that makes sense, then mutated.
fn random_wire(dice: &mut Chance) -> Vec<u8> {
    let mut wire = Vec::new();
    for _ in 0..dice.below(4) {
        for word in [0, 2, 5, 7] {
            if dice.below(8) > 0 {
                wire.extend_from_slice(WORDS[word]);
            }
        }
        for _ in 0..dice.below(8) {
            wire.extend_from_slice(WORDS[dice.below(WORDS.len())]);
        }
    }
    if dice.below(6) == 0 {
        wire.extend(std::iter::repeat_n(b'x', dice.below(5000)));
        wire.extend_from_slice(b"\r\n");
    }
    for _ in 0..dice.below(4) {
        if wire.is_empty() {
            break;
        }
        let at = dice.below(wire.len());
        match dice.below(4) {
            0 => wire[at] = *dice.pick(b"\r\n.\0 <>:=x\x80"),
            1 => drop(wire.remove(at)),
            2 => wire.insert(at, *dice.pick(b"\r\n.\0 <>:=x\x80")),
            _ => wire.truncate(at),
        }
    }
    wire
}

#[test]
fn whatever_a_client_sends_in_whatever_pieces_goes_the_same_way() {
    let mut dice = Chance(0x5eed_5eed_5eed);
    let mut committed = 0;
    for round in 0..10_000 {
        let wire = random_wire(&mut dice);
        let offer = || Offer { lenient: round % 2 == 1, ..offer() };
        let whole = converse(offer(), &wire, &[usize::MAX]);
        let pieces: Vec<usize> = (0..4).map(|_| 1 + dice.below(9)).collect();
        let torn = converse(offer(), &wire, &pieces);
        assert_eq!(
            whole,
            torn,
            "round {round}, in pieces of {pieces:?}: '{}'",
            wire.escape_ascii()
        );
        check_transactions(&whole, &wire);
        committed += whole.asks.iter().filter(|ask| matches!(ask, Ask::Commit { .. })).count();
    }
    assert!(committed > 1_000, "only {committed} messages: the dice do not reach far enough");
}

/// A transaction begins once, and ends once: by Commit, or by Reset; bodies come between Data and
/// either, and never with what some server might take for an end of data.
fn check_transactions(story: &Story, wire: &[u8]) {
    let context = || format!("'{}'\n{:?}", wire.escape_ascii(), story.asks);
    let (mut open, mut data, mut size) = (false, false, 0);
    for (nth, ask) in story.asks.iter().enumerate() {
        let yes = verdict(ask, nth) == Answer::Accept;
        match ask {
            Ask::Hello(_) | Ask::Login { .. } => assert!(!open, "{}", context()),
            Ask::Mail(_) => {
                assert!(!open, "{}", context());
                (open, data, size) = (yes, false, 0);
            }
            Ask::Rcpt(_) => assert!(open && !data, "{}", context()),
            Ask::Data { .. } => {
                assert!(open && !data, "{}", context());
                data = yes;
            }
            Ask::Body(octets) => {
                assert!(open && data, "{}", context());
                size += octets.len();
                assert!(size <= 400, "{}", context());
                assert!(
                    !octets.windows(2).any(|w| w[0] != b'\r' && w[1] == b'\n'),
                    "{}",
                    context()
                );
            }
            Ask::Commit { .. } => {
                assert!(open && data, "{}", context());
                open = false;
            }
            Ask::Reset => {
                assert!(open, "{}", context());
                open = false;
            }
        }
    }
    assert!(!(open && story.closed), "a session that ended told of its draft: {}", context());
}

#[test]
fn an_idle_session_holds_no_buffer() {
    assert!(size_of::<Session>() < 500, "{} octets", size_of::<Session>());
    let mut session = Session::new(offer());
    let wire: &[u8] =
        b"EHLO c.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n\
        hello\r\n.\r\nRSET\r\n";
    let mut story = Story::default();
    let mut waiting = Some(wire);
    loop {
        match session.step() {
            Step::Ask(_) => session.answer(Answer::Accept),
            Step::Write => flush(&mut session, &mut story),
            Step::Read => {
                flush(&mut session, &mut story);
                match waiting.take() {
                    Some(wire) => session.pipe.input.extend_from_slice(wire),
                    None => break,
                }
            }
            Step::Upgrade | Step::Close => unreachable!("neither was asked for"),
        }
    }
    assert!(story.output.ends_with(b"250 2.0.0 OK\r\n"), "all was heard");
    assert_eq!((session.pipe.input.capacity(), session.pipe.output.capacity()), (0, 0));
    assert!(session.user.is_none() && session.transaction.is_none());
}

#[test]
fn a_flood_of_commands_is_written_out_before_it_fills_memory() {
    let wire = b"NOOP\r\n".repeat(20_000);
    let story = converse(offer(), &wire, &[usize::MAX]);
    assert_eq!(story.output.len(), 20_000 * 14 + b"220 relay.example ESMTP Waypost\r\n".len());
}

#[test]
fn a_pipelined_group_costs_one_write() {
    let mut session = Session::new(offer());
    session.pipe.input =
        b"EHLO c.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n".into();
    for _ in 0..4 {
        assert!(matches!(session.step(), Step::Ask(_)), "nothing is flushed between questions");
        session.answer(Answer::Accept);
    }
    assert_eq!(session.step(), Step::Read);
    assert!(session.pipe.output.ends_with(b"354 End data with <CR><LF>.<CR><LF>\r\n"));
}

#[test]
fn the_longest_reply_of_ours_fits_its_bound() {
    let mut longest = offer();
    longest.hostname = "h".repeat(limits::DOMAIN_BYTES);
    longest.size = u64::MAX;
    let mut session = Session::new(longest);
    session.greeted(Hello::Ehlo);
    assert!(session.pipe.output.len() <= limits::OWN_REPLY_BYTES);
    session.pipe.output.clear();
    let words = Reply::new(550, Status::new(Class::Permanent, 7, 1), "").says("ä".repeat(9999));
    session.say(&words);
    assert_eq!(session.pipe.output.len(), limits::OWN_REPLY_LINE_BYTES);
}

#[test]
fn a_body_that_the_handler_refuses_is_read_to_its_end_and_answered_there() {
    for (wire, close) in [
        (&b"DATA\r\none\r\ntwo\r\n.\r\nQUIT\r\n"[..], "221"),
        (b"BDAT 10\r\none\r\ntwo\r\nQUIT\r\n", "221"),
    ] {
        let mut session = Session::new(offer());
        session.pipe.input = [b"EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n", wire].concat();
        let mut asks = Vec::new();
        loop {
            match session.step() {
                Step::Ask(ask) => {
                    let full = Reply::new(452, Status::new(Class::Transient, 3, 1), "Full");
                    let body = matches!(ask, Ask::Body(_));
                    session.answer(if body { Answer::Refuse(full) } else { Answer::Accept });
                    asks.push(ask);
                }
                Step::Close => break,
                step => panic!("{step:?}"),
            }
        }
        let output = String::from_utf8_lossy(&session.pipe.output).into_owned();
        let last: Vec<&str> = output.lines().rev().take(2).map(|l| &l[..3]).collect();
        assert_eq!(last, [close, "452"], "{output}");
        assert_eq!(asks.last(), Some(&Ask::Reset));
    }
}

#[test]
fn what_is_asked_of_a_session_from_outside_is_told() {
    let mut session = Session::new(offer());
    assert!(!session.encrypted() && !session.esmtp() && session.logged_in().is_none());
    assert_eq!(session.protocol(), "SMTP");
    session.pipe.input = b"EHLO c\r\nAUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n".into();
    while let Step::Ask(_) = session.step() {
        session.answer(Answer::Accept);
    }
    assert_eq!((session.esmtp(), session.logged_in()), (true, Some("alice")));
    assert_eq!(session.protocol(), "ESMTPA");
}

#[test]
fn news_other_than_an_end_changes_nothing() {
    let mut session = Session::new(offer());
    assert_eq!(session.step(), Step::Read);
    session.answer(Answer::Accept);
    session.answer(Answer::Refuse(replies::TOO_LARGE));
    session.pipe.output.clear();
    assert_eq!(session.step(), Step::Read);
    assert!(session.pipe.output.is_empty());
}
