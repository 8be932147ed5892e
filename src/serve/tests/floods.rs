//! Alerts in a storm: summaries, and that nothing is lost on the way to one.

use super::*;
use crate::limits;

const RULES: &str = r#""devices": [{"address": "192.168.1.20", "name": "Front door",
    "digest_after": 3, "digest_every": "10m"}], "domains""#;

fn house() -> House {
    let house = House::with(&CONFIG.replace("\"domains\"", RULES));
    house.world.server(SMARTHOST);
    house
}

fn flood(house: &House, subjects: &[&str]) {
    for subject in subjects {
        house.send("camera@home.test", &["me@example.org"], subject);
    }
    house.world.run();
}

#[test]
fn what_is_beyond_the_measure_goes_out_as_one_with_the_first_and_the_last() {
    let house = house();
    flood(&house, &["one", "two", "three", "Motion", "Person", "Motion", "Motion"]);
    assert_eq!(house.world.mail.borrow().len(), 3, "the first go one by one");
    assert_eq!(house.rows().len(), 4, "and the rest is kept");
    house.pass(599);
    assert_eq!(house.world.mail.borrow().len(), 3);
    house.pass(2);
    let mail = house.world.mail.take();
    assert_eq!((mail.len(), house.rows().len()), (4, 0), "{:?}", house.world.log.borrow());
    let text = &mail[3].text;
    assert_eq!(
        (mail[3].from.as_str(), mail[3].to.as_slice()),
        ("camera@home.test", &["me@example.org".to_string()][..])
    );
    assert!(text.contains("\r\nSubject: 4 more messages from Front door\r\n"), "{text}");
    assert!(text.contains("     3 \u{d7} Motion\r\n     1 \u{d7} Person\r\n"), "{text}");
    assert_eq!(text.matches("Content-Type: message/rfc822\r\n").count(), 2, "{text}");
    assert_eq!(house.world.told("summed-up").len(), 4);
    // The measure begins anew.
    flood(&house, &["four", "five", "six"]);
    assert_eq!(house.world.mail.borrow().len(), 3);
}

#[test]
fn of_a_large_one_the_header_is_attached() {
    let house = house();
    flood(&house, &["one", "two", "three"]);
    let part = usize::try_from(limits::DIGEST_PART_BYTES).expect("a few octets");
    for (subject, octets) in [("small", 70), ("large", part)] {
        let mut session = house.call(25, "192.168.1.20:1");
        session.says("EHLO camera", "250");
        session.says("MAIL FROM:<camera@home.test>", "250");
        session.says("RCPT TO:<me@example.org>", "250");
        session.says("DATA", "354");
        let body = format!("{}\r\n", "x".repeat(68)).repeat(octets / 70);
        session.says(&format!("Subject: {subject}\r\n\r\n{body}."), "250");
    }
    house.pass(601);
    let mail = house.world.mail.take();
    let text = &mail.last().expect("a summary").text;
    assert!(text.len() < 4000 && text.contains("\r\nxxxx"), "the small one is whole: {text}");
    let (_, large) = text.split_once("Content-Type: text/rfc822-headers\r\n").expect(text);
    assert!(large.contains("\r\nSubject: large\r\n") && !large.contains("xxxx"), "{large}");
}

#[test]
fn one_that_is_beyond_goes_out_as_it_is() {
    let house = house();
    flood(&house, &["one", "two", "three", "four"]);
    house.pass(601);
    let mail = house.world.mail.take();
    assert!(mail.len() == 4 && mail[3].text.contains("Subject: four\r\n"));
}

#[test]
fn a_slow_device_and_all_others_are_left_alone() {
    let house = house();
    for _ in 0..8 {
        flood(&house, &["now and then"]);
        house.pass(201);
    }
    assert_eq!(house.world.mail.take().len(), 8, "three in ten minutes are allowed");
    let mut session = house.call(25, "192.168.1.21:1");
    session.says("EHLO other", "250");
    for _ in 0..9 {
        session.says("MAIL FROM:<o@home.test>", "250");
        session.says("RCPT TO:<me@example.org>", "250");
        session.says("DATA", "354");
        session.says("Subject: x\r\n\r\nx\r\n.", "250");
    }
    house.world.run();
    assert_eq!(house.world.mail.take().len(), 9);
}

#[test]
fn a_summary_goes_to_those_whom_its_messages_were_for() {
    let house = house();
    flood(&house, &["1", "2", "3", "4", "5"]);
    for _ in 0..2 {
        house.send("camera@home.test", &["you@example.org", "me@example.org"], "both");
    }
    house.pass(601);
    let mail = house.world.mail.take();
    let mut to: Vec<Vec<String>> = mail[3..].iter().map(|mail| mail.to.clone()).collect();
    to.sort();
    assert_eq!(to, [vec!["me@example.org"], vec!["you@example.org", "me@example.org"]]);
}

#[test]
fn nothing_is_lost_where_the_relay_ends_or_the_disk_is_full() {
    let house = house();
    flood(&house, &["1", "2", "3", "4", "5", "6"]);
    assert_eq!(house.world.mail.take().len(), 3);
    let house = house.restart();
    house.world.server(SMARTHOST);
    house.pass(300);
    assert_eq!(house.world.mail.take().len(), 3, "each by itself");
    flood(&house, &["1", "2", "3", "4", "5", "6"]);
    house.world.mail.take();
    *house.world.broken.borrow_mut() = Some("spool");
    house.pass(601);
    *house.world.broken.borrow_mut() = None;
    house.pass(900);
    let mail: String = house.world.mail.take().iter().map(|mail| mail.text.clone()).collect();
    for n in 4..=6 {
        let (alone, summed) = (format!("Subject: {n}\r\n"), format!(" 1 \u{d7} {n}\r\n"));
        assert!(mail.contains(&alone) || mail.contains(&summed), "{n}: {mail}");
    }
    assert_eq!(house.rows().len(), 0);
}

#[test]
fn a_person_may_have_what_is_kept_at_once() {
    let house = house();
    flood(&house, &["1", "2", "3", "4", "5"]);
    let kept = house.rows();
    house.act(kept[0].id, Action::Retry).expect("it is there");
    house.world.run();
    assert_eq!(house.world.mail.borrow().len(), 4);
    house.pass(601);
    let mail = house.world.mail.take();
    assert!(
        mail.len() == 5 && mail[4].text.contains("Subject: 5\r\n"),
        "what is left goes by itself"
    );
}
