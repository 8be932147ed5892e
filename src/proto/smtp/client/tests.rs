use super::*;
use crate::{
    chance::Chance,
    proto::{mail::address::Address, sasl::Secret},
};

fn plan(security: Security) -> Plan {
    Plan {
        hello: "relay.example".into(),
        security,
        login: None,
        host: "mx".into(),
        chunking: Chunking::Large,
    }
}

fn message(recipients: usize, size: u64) -> Outgoing {
    let forward = |n: usize| Forward {
        to: Address::parse(&format!("b{n}@y.example")).expect("valid"),
        orcpt: String::new(),
        notify: None,
    };
    Outgoing {
        from: Address::parse("a@x.example").ok(),
        to: (0..recipients).map(forward).collect(),
        size,
        eight_bit: false,
        utf8: false,
        ret_headers: None,
        envid: String::new(),
    }
}

/// Take what was written, as the driver does.
fn written(session: &mut Session) -> String {
    String::from_utf8(std::mem::take(&mut session.pipe().output)).expect("ASCII")
}

fn hears(session: &mut Session, octets: &str) -> Step<Ask> {
    assert_eq!(session.step(), Step::Read);
    session.pipe().input.extend_from_slice(octets.as_bytes());
    session.step()
}

/// A session with PIPELINING that is ready for a message.
fn ready() -> Session {
    let mut session = Session::new(plan(Security::None));
    assert_eq!(hears(&mut session, "220 mx\r\n"), Step::Read);
    assert_eq!(written(&mut session), "EHLO relay.example\r\n");
    let step = hears(&mut session, "250-mx\r\n250 PIPELINING\r\n");
    assert!(matches!(step, Step::Ask(Ask::Next(_))));
    session
}

/// A session that has sent the envelope of `message` and been accepted.
fn in_body(message: Outgoing) -> Session {
    let mut session = ready();
    let recipients = message.to.len();
    session.answer(Answer::Send(Box::new(message)));
    let replies = format!("{}354 Go\r\n", "250 Ok\r\n".repeat(recipients + 1));
    assert_eq!(session.step(), Step::Read);
    written(&mut session);
    assert_eq!(hears(&mut session, &replies), Step::Ask(Ask::Chunk(0)));
    session
}

fn text(outcomes: &[Outcome]) -> Vec<&str> {
    outcomes.iter().map(|outcome| outcome.text.as_str()).collect()
}

#[test]
fn a_message_over_an_open_session_costs_two_writes_and_two_reads() {
    let mut session = ready();
    for _ in 0..3 {
        session.answer(Answer::Send(Box::new(message(1, 4))));
        assert_eq!(session.step(), Step::Read);
        let envelope = "MAIL FROM:<a@x.example>\r\nRCPT TO:<b0@y.example>\r\nDATA\r\n";
        assert_eq!(written(&mut session), envelope);
        let step = hears(&mut session, "250 Ok\r\n250 Ok\r\n354 Go\r\n");
        assert_eq!(step, Step::Ask(Ask::Chunk(0)));
        session.answer(Answer::Chunk(b"hi\r\n".to_vec()));
        assert_eq!(session.step(), Step::Read);
        assert_eq!(written(&mut session), "hi\r\n.\r\n");
        let Step::Ask(Ask::Report(outcomes, _)) = hears(&mut session, "250 Ok\r\n") else {
            panic!("no report")
        };
        assert_eq!(text(&outcomes), ["250 Ok"]);
        session.answer(Answer::Noted);
        assert!(matches!(session.step(), Step::Ask(Ask::Next(_))));
    }
}

#[test]
fn an_idle_session_holds_little() {
    let session = ready();
    assert!(size_of::<Session>() <= 400, "{}", size_of::<Session>());
    assert_eq!((session.pipe.input.capacity(), session.pipe.output.capacity()), (0, 0));
}

#[test]
fn a_server_that_speaks_out_of_turn_is_not_trusted_with_a_message() {
    let mut session = Session::new(plan(Security::None));
    assert_eq!(hears(&mut session, "220 mx\r\n"), Step::Read);
    let step = hears(&mut session, "250 mx\r\n250 and\r\n");
    assert!(matches!(step, Step::Ask(Ask::Unusable(_))), "{step:?}");
    session.answer(Answer::Noted);
    assert_eq!(session.step(), Step::Close);

    let mut session = in_body(message(1, 1));
    session.answer(Answer::Chunk(b"x".to_vec()));
    let step = hears(&mut session, "250 Ok\r\n421 Bye\r\n");
    assert!(matches!(step, Step::Ask(Ask::Report(..))), "what was said first stands");
    session.answer(Answer::Noted);
    assert_eq!(session.step(), Step::Close);

    let mut session = ready();
    session.answer(Answer::Send(Box::new(message(1, 1))));
    let Step::Ask(Ask::Report(outcomes, _)) =
        hears(&mut session, "250 Ok\r\n250 Ok\r\n354 Go\r\n250 Have it\r\n")
    else {
        panic!("a reply to what was not sent yet")
    };
    assert_eq!(outcomes[0].status.class, Class::Transient);
}

#[test]
fn a_broken_session_tells_what_it_knows() {
    let broken = Outcome::ours(Status::new(Class::Transient, 4, 2), "connection lost");
    let mut session = ready();
    assert_eq!(session.break_off(&broken), None);
    session.answer(Answer::Send(Box::new(message(3, 1))));
    assert_eq!(session.step(), Step::Read);
    assert_eq!(hears(&mut session, "250 Ok\r\n250 Ok\r\n550 No\r\n250"), Step::Read);
    let outcomes = session.break_off(&broken).expect("a message was in flight");
    assert_eq!(text(&outcomes), ["connection lost", "550 No", "connection lost"]);

    let mut session = in_body(message(1, 1));
    session.answer(Answer::Chunk(b"x".to_vec()));
    assert_eq!(session.step(), Step::Read);
    let outcomes = session.break_off(&broken).expect("a message was in flight");
    assert_eq!(text(&outcomes), ["connection lost"], "the final reply is not known");
}

#[test]
fn an_aborted_message_is_not_ended() {
    let mut session = in_body(message(1, 100));
    session.answer(Answer::Chunk(b"half\r\n".to_vec()));
    assert_eq!(session.step(), Step::Ask(Ask::Chunk(6)));
    session.answer(Answer::Abort);
    assert_eq!(session.step(), Step::Close);
    assert!(!written(&mut session).contains("\r\n.\r\n"));
    let outcome = Outcome::ours(Status::new(Class::Transient, 3, 0), "unreadable");
    assert_eq!(session.break_off(&outcome).map(|outcomes| outcomes.len()), Some(1));
}

#[test]
fn output_is_bounded_however_the_message_looks() {
    // Every octet that can be stuffed is: four octets for three.
    let chunk: Vec<u8> = b".\r\n".iter().copied().cycle().take(limits::CHUNK_BYTES).collect();
    let chunks = 5;
    let mut session = in_body(message(1, chunks * chunk.len() as u64));
    let (mut most, mut total) = (0, 0);
    for _ in 0..100 {
        match session.step() {
            Step::Ask(Ask::Chunk(offset)) => {
                assert_eq!(offset % chunk.len() as u64, 0);
                session.answer(Answer::Chunk(chunk.clone()));
            }
            Step::Write => total += written(&mut session).len(),
            step => {
                assert_eq!(step, Step::Read);
                total += written(&mut session).len();
                break;
            }
        }
        most = most.max(session.pipe.output.len());
    }
    assert!(most <= limits::OUTPUT_BYTES + limits::CHUNK_BYTES / 3 * 4 + 2, "{most}");
    assert!(total > 5 * limits::CHUNK_BYTES / 3 * 4, "all of it was written: {total}");
}

#[test]
fn one_recipient_more_than_fit_makes_a_second_group() {
    let line = "RCPT TO:<b000@y.example>\r\n".len();
    let envelope = |n: usize| {
        let mut message = message(n, 1);
        for (n, forward) in message.to.iter_mut().enumerate() {
            forward.to = Address::parse(&format!("b{n:03}@y.example")).expect("valid");
        }
        let mut session = ready();
        session.answer(Answer::Send(Box::new(message)));
        assert_eq!(session.step(), Step::Read);
        written(&mut session)
    };
    let first = "MAIL FROM:<a@x.example>\r\n".len();
    let room = limits::OUTPUT_BYTES - limits::COMMAND_LINE_BYTES - first;
    let fit = room / line;
    assert!(envelope(fit).ends_with("DATA\r\n"));
    assert!(!envelope(fit + 2).ends_with("DATA\r\n"));
    assert!(envelope(2000).len() <= limits::OUTPUT_BYTES);
}

const WELCOME: &str = "250-mx\r\n250-PIPELINING\r\n250-AUTH LOGIN PLAIN CRAM-MD5 SCRAM-SHA-256 \
                       XOAUTH2 OAUTHBEARER\r\n250 DSN\r\n";

const WORDS: &[&str] = &[
    "220 mx\r\n",
    "250 Ok\r\n",
    WELCOME,
    "250-",
    "250 ",
    "354 Go\r\n",
    "334 VXNlcm5hbWU6\r\n",
    "235 Ok\r\n",
    "535 5.7.8 No\r\n",
    "504 5.5.4 No\r\n",
    // A challenge of SCRAM for the nonce of zeros.
    "334 cj1BQUFBQUFBQUFBQUFBQUFBQUFBQUFBeCxzPWMyRnNkQT09LGk9NDA5Ng==\r\n",
    "421 Bye\r\n",
    "450 4.2.1 Later\r\n",
    "550 5.1.1 No\r\n",
    "552 Full\r\n",
    "\r\n",
    "\n",
    "\r",
    "-",
    "\0",
    "999 x\r\n",
];

/// What the server says; a polite one starts well, so that some sessions get as far as messages.
fn babble(chance: &mut Chance, polite: bool, turn: usize) -> Vec<u8> {
    if let Some(word) = ["220 mx\r\n", WELCOME].get(turn).filter(|_| polite) {
        return word.as_bytes().to_vec();
    }
    let mut octets = Vec::new();
    for _ in 0..=chance.below(4) {
        match chance.below(if polite { 28 } else { 30 }) {
            n if n >= 29 => octets.extend(vec![b'x'; chance.below(3000)]),
            n if n >= 28 => octets.extend(chance.0.to_le_bytes()),
            n if n >= 15 && polite => octets.extend_from_slice(b"250 Ok\r\n"),
            n => octets.extend_from_slice(WORDS[n % WORDS.len()].as_bytes()),
        }
    }
    octets
}

/// Whatever a server says: no panic, no growth, every message reported once or broken off.
fn live(seed: u64) -> bool {
    let mut chance = Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let securities = [Security::None, Security::May, Security::Must, Security::Implicit];
    let mut plan = plan(securities[chance.below(4)]);
    if chance.below(3) == 0 {
        let secret = "p".repeat(chance.below(600));
        let secret =
            if chance.below(3) == 0 { Secret::Token(secret) } else { Secret::Password(secret) };
        let in_clear = chance.below(2) == 0;
        plan.login = Some(Box::new(LoginPlan {
            login: Login { user: "tim".into(), secret, in_clear },
            without: Mechanism::ALL.into_iter().filter(|_| chance.below(4) == 0).collect(),
            server: ("mx.example".into(), 587),
            chance: [0, 0],
        }));
    }
    let polite = chance.below(2) == 0;
    let mut session = Session::new(plan);
    let (mut taken, mut reported, mut turn) = (0, 0, 0);
    for _ in 0..400 {
        match session.step() {
            Step::Write => session.pipe().output = Vec::new(),
            Step::Read => {
                session.pipe().output = Vec::new();
                assert!(session.pipe.input.len() < limits::REPLY_LINE_BYTES);
                assert!(!session.patience().is_zero());
                let octets = babble(&mut chance, polite, turn);
                turn += 1;
                let n = octets.len().min(session.pipe().room());
                session.pipe().input.extend_from_slice(&octets[..n]);
            }
            Step::Upgrade => {
                session.pipe().input = Vec::new();
                session.upgraded();
            }
            Step::Close => break,
            Step::Ask(Ask::Next(_)) if chance.below(8) == 0 => session.answer(Answer::Quit),
            Step::Ask(Ask::Next(_)) => {
                taken += 1;
                let message = message(chance.below(5), chance.below(60_000) as u64);
                session.answer(Answer::Send(Box::new(message)));
            }
            Step::Ask(Ask::Chunk(_)) if chance.below(20) == 0 => session.answer(Answer::Abort),
            Step::Ask(Ask::Chunk(_)) => {
                let octets = vec![b'.'; 1 + chance.below(limits::CHUNK_BYTES)];
                session.answer(Answer::Chunk(octets));
            }
            Step::Ask(Ask::Stretch(_)) => {
                let key = (chance.below(9) > 0).then_some(Key([7; 32]));
                session.answer(Answer::Stretched(key));
            }
            Step::Ask(Ask::LoggedIn(..)) => session.answer(Answer::Noted),
            Step::Ask(Ask::Report(..)) => {
                reported += 1;
                session.answer(Answer::Noted);
            }
            Step::Ask(Ask::Unusable(outcome)) => {
                assert_eq!(taken, 0);
                assert_ne!(outcome.status.class, Class::Success);
                assert!(outcome.text.len() <= limits::REPLY_TEXT_BYTES);
                session.answer(Answer::Noted);
            }
        }
        assert!(session.pipe.output.len() <= 2 * limits::OUTPUT_BYTES + limits::CHUNK_BYTES);
    }
    let broken = Outcome::ours(Status::new(Class::Transient, 4, 2), "connection lost");
    let in_flight = session.break_off(&broken).map_or(0, |_| 1);
    assert_eq!(taken, reported + in_flight, "seed {seed}");
    reported > 0
}

#[test]
fn whatever_a_server_says_nothing_panics_or_grows_and_every_message_has_its_outcome() {
    let lives = 4000;
    let busy = (1..=lives).filter(|seed| live(*seed)).count();
    assert!(busy > 400, "only {busy} lives got as far as a message");
}

/// Answer what is asked of a message of `x` until something else is due; all that was written.
fn send_xs(session: &mut Session) -> (String, Step<Ask>) {
    let mut output = String::new();
    loop {
        let step = session.step();
        output.push_str(&written(session));
        match step {
            Step::Ask(Ask::Chunk(offset)) => {
                let left = usize::try_from(3 * limits::BDAT_BYTES + 5 - offset).expect("a few MB");
                session.answer(Answer::Chunk(vec![b'x'; left.min(limits::CHUNK_BYTES)]));
            }
            Step::Write => {}
            step => return (output, step),
        }
        assert!(session.pipe.output.capacity() <= 2 * limits::OUTPUT_BYTES);
    }
}

/// A session in the third of four chunks, the first of which was answered; and what it has written.
fn in_chunks(first: &str) -> (Session, String, Step<Ask>) {
    let mut session = Session::new(plan(Security::None));
    hears(&mut session, "220 mx\r\n");
    hears(&mut session, "250-mx\r\n250-PIPELINING\r\n250 CHUNKING\r\n");
    session.answer(Answer::Send(Box::new(message(1, 3 * limits::BDAT_BYTES + 5))));
    written(&mut session);
    assert_eq!(session.step(), Step::Read);
    written(&mut session);
    session.pipe().input.extend_from_slice(b"250 Ok\r\n250 Ok\r\n");
    let (output, step) = send_xs(&mut session);
    assert_eq!(step, Step::Read, "two chunks are out");
    let chunk = "x".repeat(usize::try_from(limits::BDAT_BYTES).expect("small"));
    assert_eq!(output, format!("BDAT 1048576\r\n{chunk}BDAT 1048576\r\n{chunk}"));
    session.pipe().input.extend_from_slice(first.as_bytes());
    let (output, step) = send_xs(&mut session);
    (session, output, step)
}

#[test]
fn a_message_of_several_chunks_has_no_more_than_two_of_them_unanswered() {
    let (mut session, output, step) = in_chunks("250 first\r\n");
    assert_eq!(step, Step::Read);
    assert!(output.starts_with("BDAT 1048576\r\nx") && output.len() == 14 + (1 << 20));
    session.pipe().input.extend_from_slice(b"250 second\r\n");
    let (output, step) = send_xs(&mut session);
    assert_eq!((output.as_str(), step), ("BDAT 5 LAST\r\nxxxxx", Step::Read));
    assert_eq!(session.patience(), limits::FINAL_WAIT);
    let Step::Ask(Ask::Report(outcomes, _)) = hears(&mut session, "250 third\r\n250 whole\r\n")
    else {
        panic!("no report")
    };
    assert_eq!(text(&outcomes), ["250 whole"]);
    session.answer(Answer::Noted);
    assert!(matches!(session.step(), Step::Ask(Ask::Next(_))));
}

#[test]
fn a_chunk_that_is_refused_is_the_last() {
    let (mut session, output, step) = in_chunks("552 5.3.4 first\r\n");
    assert_eq!((output.as_str(), step), ("", Step::Read), "the second has no reply yet");
    assert!(!session.is_lost_in_chunks());
    let step = hears(&mut session, "503 second\r\n");
    let Step::Ask(Ask::Report(outcomes, _)) = step else { panic!("no report") };
    assert_eq!(text(&outcomes), ["552 5.3.4 first"]);
    session.answer(Answer::Noted);
    assert!(matches!(session.step(), Step::Ask(Ask::Next(_))));
    session.answer(Answer::Send(Box::new(message(1, 4))));
    assert_eq!(session.step(), Step::Read);
    assert!(written(&mut session).starts_with("RSET\r\nMAIL"));
}

#[test]
fn a_session_knows_whether_it_was_lost_in_chunks() {
    let (mut session, _, step) = in_chunks("500 What?\r\n");
    let Step::Ask(Ask::Report(outcomes, _)) = step else { panic!("no report") };
    assert_eq!(outcomes[0].status, Status::new(Class::Transient, 5, 0));
    session.answer(Answer::Noted);
    assert_eq!(session.step(), Step::Close);
    assert!(session.is_lost_in_chunks(), "it said so");
    let (session, _, _) = in_chunks("");
    assert!(session.is_lost_in_chunks(), "it said nothing");
    let (session, _, _) = in_chunks("250 first\r\n");
    assert!(!session.is_lost_in_chunks(), "it knows what BDAT is");
    assert!(!in_body(message(1, 1)).is_lost_in_chunks());
}
