//! What strangers send to an alias that leads elsewhere: it leaves in a way that bounces come back.

use super::*;
use crate::limits;

fn house() -> House {
    let alias = r#""aliases": [{"from": "me", "to": ["me@mail.example"]}], "routes""#;
    House::with(&CONFIG.replace("\"routes\"", alias))
}

fn stranger(house: &House, from: &str, to: &str, answer: &str) -> String {
    let mut session = house.call(25, STRANGER);
    session.says("EHLO mx.example.net", "250");
    session.says(&format!("MAIL FROM:<{from}>"), "250");
    let said = session.say(&format!("RCPT TO:<{to}>"));
    assert!(said.starts_with(answer), "{to}: {said}");
    if answer == "250" {
        session.says("DATA", "354");
        session.says("From: you@example.net\r\nSubject: x\r\n\r\nx\r\n.", "250");
    }
    session.says("QUIT", "221");
    house.pass(3);
    said
}

/// The sender of the last message that the smarthost took, and to whom it went.
fn last(house: &House) -> (String, String) {
    let mail = house.world.mail.borrow();
    let mail = mail.last().expect("a message");
    (mail.from.clone(), mail.to[0].clone())
}

#[test]
fn forwarded_mail_comes_from_us_and_its_bounce_goes_to_the_sender() {
    let house = house();
    house.world.server(SMARTHOST);
    stranger(&house, "you@example.net", "me@home.test", "250");
    let (written, to) = last(&house);
    assert_eq!(to, "me@mail.example");
    assert!(written.starts_with("SRS0=") && written.ends_with("=example.net=you@home.test"));
    assert!(house.world.told("renamed")[0].contains(&written));
    // The header is the stranger's, and stays so.
    assert!(house.world.mail.borrow()[0].text.contains("From: you@example.net\r\n"));
    stranger(&house, "", &written, "250");
    assert_eq!(last(&house), (String::new(), "you@example.net".into()));
    // The key lasts.
    let house = house.restart();
    stranger(&house, "", &written.to_lowercase(), "250");
    assert_eq!(house.world.mail.borrow().len(), 3);
    house.pass(86_400 * (limits::SRS_DAYS + 2));
    let said = stranger(&house, "", &written, "550 5.1.1");
    assert!(said.contains("Nothing was forwarded"), "{said}");
    assert!(house.world.told("refused").last().expect("told").contains("too long ago"));
}

#[test]
fn whoever_sends_mail_on_has_a_key_for_it() {
    for who in
        [r#""catch_all": "me@mail.example", "routes""#, r#""owner": "me@mail.example", "routes""#]
    {
        let house = House::with(&CONFIG.replace("\"routes\"", who));
        house.world.server(SMARTHOST);
        stranger(&house, "you@example.net", "postmaster@home.test", "250");
        let (written, to) = last(&house);
        assert!(written.starts_with("SRS0=") && to == "me@mail.example", "{who}: {written}");
    }
}

#[test]
fn nobody_can_make_us_forward_anywhere() {
    let house = house();
    house.world.server(SMARTHOST);
    for to in [
        "SRS0=AAAAAAAA=AA=victim.example=you@home.test",
        "SRS1=AAAAAAAA=victim.example==a=b=c=d@home.test",
        "SRS0=a=b=c=d@home.test",
    ] {
        stranger(&house, "", to, "550 5.1.1");
    }
    stranger(&house, "", "SRS0=AAAAAAAA=AA=victim.example=you@elsewhere.example", "550 5.7.1");
    assert!(house.world.mail.borrow().is_empty());
}

#[test]
fn our_own_mail_and_what_cannot_be_written_anew_keep_their_senders() {
    let house = house();
    house.world.server(SMARTHOST);
    house.send("alice@home.test", &["you@example.net"], "hello");
    house.pass(3);
    assert_eq!(last(&house).0, "alice@home.test");
    house.send("guest@example.net", &["me@home.test"], "a device of ours");
    house.pass(3);
    assert_eq!(last(&house).0, "guest@example.net");
    let long = format!("{}@example.net", "y".repeat(60));
    stranger(&house, &long, "me@home.test", "250");
    assert_eq!(last(&house).0, long);
    stranger(&house, "", "me@home.test", "250");
    assert_eq!(last(&house).0, "");
    house.world.dated.set(false);
    stranger(&house, "you@example.net", "me@home.test", "250");
    assert_eq!(last(&house).0, "you@example.net", "without a clock there is no day");
    house.world.dated.set(true);
    house.configure(r#""aliases":"#, r#""srs": false, "aliases":"#);
    stranger(&house, "you@example.net", "me@home.test", "250");
    assert_eq!(last(&house).0, "you@example.net");
}

#[test]
fn a_key_is_made_only_where_mail_is_sent_on_and_a_disk_that_fails_is_told() {
    let key = |house: &House| house.world.files.borrow().get("srs.key").cloned();
    assert_eq!(key(&House::new()), None);
    let house = house();
    assert_eq!(key(&house).expect("it was made").len(), 64);
    let before = key(&house);
    let house = house.restart();
    assert_eq!(key(&house), before);
    // What is no key is replaced: nothing else can be done.
    house.world.files.borrow_mut().insert("srs.key".into(), b"\xffnonsense".to_vec());
    let house = house.restart();
    assert_eq!(key(&house).expect("it was made").len(), 64);
    let world = World::new();
    *world.broken.borrow_mut() = Some("srs.key");
    let alias = r#""aliases": [{"from": "me", "to": ["me@mail.example"]}], "routes""#;
    let config = CONFIG.replace("\"routes\"", alias);
    world.files.borrow_mut().insert("waypost.json".into(), config.into());
    let house = House::open(world);
    house.world.server(SMARTHOST);
    let problems = house.world.wait(house.desk().status()).problems;
    let told = problems.iter().find(|problem| problem.key == "srs").expect("it is told");
    assert!(told.words.contains("stay as they are"), "{}", told.words);
    stranger(&house, "you@example.net", "me@home.test", "250");
    assert_eq!(last(&house).0, "you@example.net");
}
