//! Tests of the reports: whole ones as files in `tests/vectors/dsn`, the rules one by one.

use super::*;
use crate::proto::mail::{address::Address, header};

const NOW: Wall = Wall(1_795_338_720);
const HEADER: &[u8] = b"Received: from camera.lan ([192.168.1.20])\r\n\tby relay.home.arpa\r\n\
    From: <camera@home.arpa>\r\nTo: bob@example.org\r\nSubject: Motion at the front door\r\n\
    Message-ID: <1@camera.lan>\r\n\r\n";

fn address(text: &str) -> Address {
    Address::parse(text).expect("the tests' addresses are valid")
}

fn recipient(to: &str) -> Recipient {
    Recipient { to: address(to), orcpt: String::new(), notify: Notify::default() }
}

fn said(class: Class, by: &str, text: &str) -> Outcome {
    Outcome { status: Status::new(class, 1, 1), by: by.into(), text: text.into() }
}

const REMOTE: &str = "mx.example.org [192.0.2.1]";

/// A message to bob, refused.
fn refused() -> (Envelope, Progress) {
    let envelope = Envelope {
        from: Some(address("camera@home.arpa")),
        recipients: vec![recipient("bob@example.org")],
        arrived: Some(Wall(NOW.0 - 60)),
        message_id: "1@camera.lan".into(),
        ..Envelope::default()
    };
    let outcome = Some(said(Class::Permanent, REMOTE, "550 5.1.1 No such user here"));
    let progress = Progress { attempts: 1, outcomes: vec![outcome], ..Progress::default() };
    (envelope, progress)
}

fn about<'a>(envelope: &'a Envelope, progress: &'a Progress, places: &'a [usize]) -> About<'a> {
    About {
        id: Id::new(0x1234_5678_9abc),
        envelope,
        progress,
        recipients: places,
        original: Original::Header(HEADER),
        hostname: "relay.home.arpa",
        wall: Some(NOW),
        last_attempt: Some(NOW),
        lifetime: Duration::from_hours(120),
    }
}

fn text_of(kind: Kind, about: &About<'_>) -> String {
    let (_, octets) = report(kind, about, 0xbeef).expect("a report is owed");
    String::from_utf8(octets).expect("the tests' reports are UTF-8")
}

fn assert_is(report: &str, vector: &str) {
    assert_eq!(report.replace("\r\n", "\n"), vector);
    assert!(!report.replace("\r\n", "").contains(['\r', '\n']), "lines end in CRLF");
}

#[test]
fn a_refusal_is_reported_with_the_words_of_the_server() {
    let (envelope, progress) = refused();
    let about = about(&envelope, &progress, &[0]);
    assert_is(&text_of(Kind::Failure, &about), include_str!("../../tests/vectors/dsn/failure.eml"));
    let (bounce, octets) = report(Kind::Failure, &about, 0xbeef).expect("owed");
    assert_eq!(bounce.from, None, "a report goes out with the null reverse path");
    assert_eq!(bounce.recipients.len(), 1);
    assert_eq!(bounce.recipients[0].to, address("camera@home.arpa"));
    assert_eq!(bounce.recipients[0].notify, NEVER);
    assert_eq!(bounce.arrived, Some(NOW));
    assert_eq!(bounce.message_id, header::message_id(&octets));
    assert!(!bounce.eight_bit && !bounce.utf8);
}

#[test]
fn a_delay_is_reported_once_with_what_happens_next() {
    let (mut envelope, mut progress) = refused();
    envelope.recipients.push(recipient("carol@example.net"));
    envelope.recipients.push(recipient("dan@example.net"));
    envelope.recipients[1].orcpt = "rfc822;Carol@home.arpa".into();
    envelope.envid = "QQ314159".into();
    progress.outcomes.push(Some(said(Class::Transient, REMOTE, "451 4.7.1 Greylisted, come back")));
    progress.outcomes.push(Some(Outcome::ours(
        Status::new(Class::Transient, 4, 1),
        "No answer from mx.example.net [192.0.2.2]: connection timed out",
    )));
    progress.attempts = 7;
    progress.spent = Duration::from_hours(4);
    let mut about = about(&envelope, &progress, &[0, 1, 2, 99]);
    assert_is(&text_of(Kind::Delay, &about), include_str!("../../tests/vectors/dsn/delay.eml"));
    let warned = Progress { warned: true, ..progress.clone() };
    about.progress = &warned;
    assert_eq!(report(Kind::Delay, &about, 1), None);
}

#[test]
fn a_success_tells_delivered_from_passed_on() {
    let (mut envelope, mut progress) = refused();
    let wanted = Notify { given: true, success: true, failure: false, delay: false };
    envelope.recipients.push(recipient("alice@home.arpa"));
    envelope.recipients.iter_mut().for_each(|r| r.notify = wanted);
    progress.outcomes = vec![
        Some(said(Class::Success, REMOTE, "250 2.0.0 Ok")),
        Some(said(Class::Success, "", "delivered")),
    ];
    let about = about(&envelope, &progress, &[0, 1]);
    assert_is(&text_of(Kind::Success, &about), include_str!("../../tests/vectors/dsn/success.eml"));
}

#[test]
fn senders_of_smtputf8_get_a_global_report() {
    let (mut envelope, progress) = refused();
    envelope.from = Some(address("j\u{f6}rg@ex\u{e4}mple.org"));
    envelope.utf8 = true;
    envelope.recipients[0].to = address("\u{fc}ser@example.org");
    let mut about = about(&envelope, &progress, &[0]);
    about.original = Original::Header("Subject: Gr\u{fc}\u{df}e\r\n\r\n".as_bytes());
    assert_is(&text_of(Kind::Failure, &about), include_str!("../../tests/vectors/dsn/global.eml"));
    let (bounce, _) = report(Kind::Failure, &about, 1).expect("owed");
    assert!(bounce.utf8 && bounce.eight_bit);
}

#[test]
fn without_smtputf8_a_report_is_ascii_whatever_came() {
    let (mut envelope, mut progress) = refused();
    envelope.recipients[0].to = address("\u{fc}ser@example.org");
    progress.outcomes = vec![Some(said(Class::Permanent, REMOTE, "550 Benutzer gel\u{f6}scht"))];
    let mut about = about(&envelope, &progress, &[0]);
    about.original = Original::Header(b"Subject: Gr\xfc\xdfe\r\nX: a\0b\rc\nd\r\n\r\n");
    let report = text_of(Kind::Failure, &about);
    assert!(report.is_ascii());
    assert!(report.contains("\r\nSubject: Gr=FC=DFe\r\nX: a=00b=0Dc=0Ad\r\n"), "{report}");
    assert!(report.contains("Final-Recipient: utf-8; \\x{FC}ser@example.org\r\n"));
    assert!(report.contains("Subject: Your message to its recipient could not be delivered\r\n"));
}

#[test]
fn a_null_reverse_path_and_who_did_not_ask_get_no_report() {
    let (envelope, progress) = refused();
    let null = Envelope { from: None, ..envelope.clone() };
    for kind in [Kind::Failure, Kind::Delay, Kind::Success] {
        assert_eq!(report(kind, &about(&null, &progress, &[0]), 1), None);
    }
    let notify = |success, failure, delay| {
        let notify = Notify { given: true, success, failure, delay };
        let mut envelope = envelope.clone();
        envelope.recipients[0].notify = notify;
        envelope
    };
    let owed = |kind, notify: &Envelope, class| {
        let progress =
            Progress { outcomes: vec![Some(said(class, "", "x"))], ..Progress::default() };
        report(kind, &about(notify, &progress, &[0]), 1).is_some()
    };
    for (envelope, expected) in [
        (notify(false, false, false), [false, false, false]),
        (notify(true, false, false), [true, false, false]),
        (notify(false, true, false), [false, true, false]),
        (notify(false, false, true), [false, false, true]),
        (envelope.clone(), [false, true, true]),
    ] {
        let found = [
            owed(Kind::Success, &envelope, Class::Success),
            owed(Kind::Failure, &envelope, Class::Permanent),
            owed(Kind::Delay, &envelope, Class::Transient),
        ];
        assert_eq!(found, expected, "{:?}", envelope.recipients[0].notify);
    }
    assert!(!owed(Kind::Failure, &envelope, Class::Success), "that one arrived");
    assert!(!owed(Kind::Delay, &envelope, Class::Permanent), "that one is over");
    assert_eq!(report(Kind::Failure, &about(&envelope, &progress, &[]), 1), None);
}

#[test]
fn only_the_recipients_concerned_are_in_a_report() {
    let (mut envelope, mut progress) = refused();
    envelope.recipients.push(recipient("secret@example.org"));
    progress.outcomes.push(Some(said(Class::Success, REMOTE, "250 ok")));
    let report = text_of(Kind::Failure, &about(&envelope, &progress, &[0, 1]));
    assert!(!report.contains("secret"), "{report}");
}

#[test]
fn what_was_tried_for_too_long_has_failed_for_good() {
    let (envelope, mut progress) = refused();
    progress.outcomes = vec![Some(said(Class::Transient, REMOTE, "451 4.3.0 Try again"))];
    progress.attempts = 30;
    progress.spent = Duration::from_hours(121);
    let late = text_of(Kind::Failure, &about(&envelope, &progress, &[0]));
    assert!(late.contains("Action: failed\r\nStatus: 5.4.7\r\n"), "{late}");
    assert!(late.contains("It was tried 30 times in 5 days"), "{late}");
    progress.outcomes = vec![None];
    let never = text_of(Kind::Failure, &about(&envelope, &progress, &[0]));
    assert!(never.contains("It could not be tried at all."), "{never}");
}

#[test]
fn the_whole_message_comes_back_only_where_that_was_asked_for_and_fits() {
    let (mut envelope, progress) = refused();
    let whole = |body: &[u8]| [HEADER, body].concat();
    let returned = |envelope: &Envelope, kind, octets: &[u8]| {
        let mut about = about(envelope, &progress, &[0]);
        about.original = Original::Whole(octets);
        report(kind, &about, 1).map(|(_, octets)| String::from_utf8_lossy(&octets).into_owned())
    };
    let comes_back = |envelope: &Envelope, octets: &[u8]| {
        let report = returned(envelope, Kind::Failure, octets).expect("owed");
        assert!(report.contains("Subject: Motion at the front door\r\n"));
        report.contains("Content-Type: message/rfc822\r\n")
    };
    assert!(!comes_back(&envelope, &whole(b"body\r\n")), "RET was not given");
    envelope.ret = Some(Ret::Headers);
    assert!(!comes_back(&envelope, &whole(b"body\r\n")));
    envelope.ret = Some(Ret::Full);
    assert!(comes_back(&envelope, &whole(b"body \xff\r\n")));
    assert!(!comes_back(&envelope, &whole(b"bare\nlf\r\n")));
    assert!(!comes_back(&envelope, &whole(&[b'x'; limits::TEXT_LINE_BYTES - 1])));
    let sized = |size: usize| {
        let mut octets = HEADER.to_vec();
        while octets.len() < size {
            octets.extend_from_slice(b"x\r\n");
        }
        octets.truncate(size);
        octets[size - 2..].copy_from_slice(b"\r\n");
        if octets[size - 3] == b'\r' {
            octets[size - 3] = b'x';
        }
        octets
    };
    assert!(comes_back(&envelope, &sized(limits::REPORT_MESSAGE_BYTES)));
    assert!(!comes_back(&envelope, &sized(limits::REPORT_MESSAGE_BYTES + 1)));
    let delayed = Progress { outcomes: vec![None], ..Progress::default() };
    let mut about = about(&envelope, &delayed, &[0]);
    let octets = whole(b"body");
    about.original = Original::Whole(&octets);
    assert!(!text_of(Kind::Delay, &about).contains("body"), "RFC 3461 §4.3: only failures");
}

#[test]
fn a_long_header_comes_back_up_to_its_bound() {
    let (envelope, progress) = refused();
    let returned = |size: usize| {
        let mut header = "X-A: 34567890123\r\n".repeat(size / 18 + 1).into_bytes();
        header.truncate(size - 2);
        header.extend_from_slice(b"\r\n");
        let mut about = about(&envelope, &progress, &[0]);
        about.original = Original::Header(&header);
        about.original.header().len()
    };
    assert_eq!(returned(limits::REPORT_HEADER_BYTES), limits::REPORT_HEADER_BYTES);
    let cut = returned(limits::REPORT_HEADER_BYTES + 1);
    assert_eq!((cut % 18, cut > limits::REPORT_HEADER_BYTES - 36), (0, true));
    assert_eq!(Original::Header(b"\r\nbody\r\n\r\n").header(), b"", "there was no header");
}

#[test]
fn many_recipients_are_named_up_to_a_bound_and_all_in_the_fields() {
    let (mut envelope, mut progress) = refused();
    let many = limits::REPORT_NAMES + 1;
    let to = |n| recipient(&format!("r{n}@example.org"));
    envelope.recipients = (0..many).map(to).collect();
    progress.outcomes = vec![Some(said(Class::Permanent, REMOTE, "550 no")); many];
    let places: Vec<usize> = (0..many).collect();
    let report = text_of(Kind::Failure, &about(&envelope, &progress, &places));
    assert_eq!(report.matches("answered:").count(), limits::REPORT_NAMES);
    assert!(report.contains("... and 1 more, who are named below."));
    assert_eq!(report.matches("Final-Recipient:").count(), many);
    let all = text_of(Kind::Failure, &about(&envelope, &progress, &places[1..]));
    assert!(!all.contains("more, who are named"));
}

#[test]
fn nothing_a_remote_said_breaks_the_report() {
    let hostile =
        "550 x\r\n\r\n--=_001JAP3NQ56_000000000000beef--\r\n.\r\nFrom: y\0\u{202e}".repeat(40);
    let (mut envelope, mut progress) = refused();
    envelope.message_id = "a>\r\nBcc: <z@x".into();
    envelope.envid = hostile.clone();
    envelope.recipients[0].orcpt = hostile.clone();
    progress.outcomes = vec![Some(said(Class::Permanent, &hostile, &hostile))];
    let header = format!("Subject: {hostile}\r\n\r\n");
    for utf8 in [false, true] {
        envelope.utf8 = utf8;
        let mut about = about(&envelope, &progress, &[0]);
        about.original = Original::Header(header.as_bytes());
        // Their boundary is a guess; ours is from other dice.
        let (_, octets) = report(Kind::Failure, &about, 0x1234).expect("owed");
        let text = String::from_utf8(octets).expect("UTF-8");
        let ours = "--=_0J6HB7H6NW_0000000000001234";
        let lines: Vec<&str> = text.split("\r\n").collect();
        assert!(lines.iter().all(|line| line.len() <= 998 && !line.contains(['\r', '\n', '\0'])));
        assert_eq!(lines.iter().filter(|line| line.starts_with(ours)).count(), 4, "{text}");
        assert!(header::find(text.as_bytes(), "Bcc").is_none());
    }
}

#[test]
fn without_a_clock_a_report_has_no_wrong_date() {
    let (mut envelope, progress) = refused();
    envelope.arrived = None;
    let mut about = about(&envelope, &progress, &[0]);
    (about.wall, about.last_attempt) = (None, None);
    let report = text_of(Kind::Failure, &about);
    assert!(!report.contains("1970") && !report.contains("Date:"), "{report}");
}
