//! Reports about messages, with the words of strangers in every place that has some.

use crate::{disk::Chance, input::Input, seeds as sown};
use std::time::Duration;
use waypost::{
    proto::{
        mail::{
            address::Address,
            dsn::{self, Form},
            header,
        },
        status::{Class, Outcome, Status},
    },
    relay::{
        bounce::{About, Kind, Original, report},
        envelope::{Envelope, Id, Notify, Progress, Recipient, Ret},
    },
    time::Wall,
};

pub(crate) fn check(data: &[u8]) {
    let input = Input::new(data);
    let text = String::from_utf8_lossy(input.octets);
    for form in [Form::Ascii, Form::Utf8] {
        let field = dsn::field("X-Words", &text, form);
        let fields: Vec<header::Field<'_>> = header::fields(field.as_bytes()).collect();
        assert!(fields.len() == 1 && fields[0].is("X-Words") && fields[0].is_well_formed());
        assert!(fits_lines(field.as_bytes()) && (form == Form::Utf8 || field.is_ascii()));
    }
    whole_report(&input);
}

/// The vectors, cut into words and an original.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let words = ["rfc822;a+b@x.example", "env=1", "550 5.1.1 N\u{f6} such user", "mx.x.example"];
    let long = ["x".repeat(2000), "\u{e4}".repeat(1000)].join(" ");
    let mut seeds = vec![Input::compose(long.as_bytes(), &[0, 1, 0])];
    for message in sown::files("vectors", ".eml") {
        let octets = [words.join("\n"), message.replace('\n', "\r\n")].join("\n");
        for choices in [[0, 0, 0], [1, 1, 1], [2, 2, 7], [3, 3, 15]] {
            seeds.push(Input::compose(octets.as_bytes(), &choices));
        }
    }
    seeds
}

fn whole_report(input: &Input<'_>) {
    let mut parts = input.octets.splitn(5, |octet| *octet == b'\n');
    let mut word = || String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
    let (orcpt, envid, said, by) = (word(), word(), word(), word());
    let original = parts.next().unwrap_or_default();
    let people = ["a@x.example", "\"a b\"@x.example", "j\u{f6}rg@ex\u{e4}mple.org"];
    let address = |n: usize| Address::parse(people[n % 3]).expect("an address");
    let flag = |bit: usize| input.choice(2) >> bit & 1 == 1;
    let notify = Notify { given: true, success: true, failure: true, delay: true };
    let recipient = Recipient { to: address(input.choice(0)), orcpt, notify };
    let count = 1 + input.choice(3) % 40;
    let envelope = Envelope {
        from: Some(address(input.choice(1))),
        recipients: vec![recipient; count],
        utf8: flag(0),
        ret: [None, Some(Ret::Full), Some(Ret::Headers)][input.choice(1) % 3],
        envid,
        message_id: said.clone(),
        ..Envelope::default()
    };
    let class = [Class::Permanent, Class::Transient, Class::Success][input.choice(0) % 3];
    let outcome = Outcome { status: Status::new(class, 1, 1), by, text: said };
    let mut progress = Progress::new(count);
    progress.outcomes = vec![Some(outcome); count];
    let about = About {
        id: Id::new(99),
        envelope: &envelope,
        progress: &progress,
        recipients: &(0..count).collect::<Vec<_>>(),
        original: if flag(1) { Original::Whole(original) } else { Original::Header(original) },
        hostname: "relay.example",
        wall: flag(2).then_some(Wall(1_795_338_720)),
        last_attempt: flag(3).then_some(Wall(1_795_338_000)),
        lifetime: Duration::from_hours(120),
    };
    let kind = [Kind::Failure, Kind::Delay, Kind::Success][input.choice(0) % 3];
    let (bounce, octets) = report(kind, &about, random(input)).expect("somebody is concerned");
    assert_eq!(bounce.from, None, "a report never bounces");
    assert_eq!(bounce.recipients.len(), 1);
    is_a_message(&octets, &envelope, random(input));
}

/// As good as chance: no original can hold the boundary that is made of it.
fn random(input: &Input<'_>) -> u64 {
    Chance::new(u64::from(crc32c::crc32c(input.octets))).roll()
}

fn is_a_message(octets: &[u8], envelope: &Envelope, random: u64) {
    assert!(octets.ends_with(b"--\r\n") && fits_lines(octets), "{}", octets.escape_ascii());
    let fields: Vec<header::Field<'_>> = header::fields(octets).collect();
    assert!(fields.iter().all(header::Field::is_well_formed));
    for name in ["From", "To", "Subject", "Message-ID", "Content-Type"] {
        assert_eq!(fields.iter().filter(|field| field.is(name)).count(), 1, "{name}");
    }
    if !envelope.utf8 && envelope.from.as_ref().is_some_and(Address::is_ascii) {
        let header = octets.windows(4).position(|w| w == b"\r\n\r\n").expect("a header");
        assert!(octets[..header].is_ascii());
    }
    let boundary = format!("--=_{}_{random:016x}", Id::new(99));
    let lines = octets.split(|octet| *octet == b'\n');
    let marks = lines.filter(|line| line.starts_with(boundary.as_bytes())).count();
    assert_eq!(marks, 4, "three parts and the end");
}

/// Lines end in CRLF, and are no longer than RFC 5322 §2.1.1 allows.
fn fits_lines(octets: &[u8]) -> bool {
    let text = octets.strip_suffix(b"\r\n").unwrap_or(octets);
    text.split(|octet| *octet == b'\n').all(|line| {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        line.len() <= 998 && !line.contains(&b'\r')
    })
}
