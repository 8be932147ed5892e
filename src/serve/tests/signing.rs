//! Keys made, used and retired while mail flows.

use super::*;
use crate::{
    proto::mail::dkim::{Record, verify_tests::verdicts},
    serve::web::office::Keys,
};

const MX: &str = "192.0.2.25:25";

/// Mail for the world goes by MX to an address literal.
const DIRECT: &str = r#"{
    "hostname": "relay.test",
    "listen": {"smtp": ["0.0.0.0:25"], "submission": [], "submissions": [], "web": []},
    "trusted": ["192.168.1.0/24"],
    "domains": ["home.test"],
    "users": [{"name": "alice"}],
    "aliases": [{"from": "out", "to": ["me@[192.0.2.25]"]}]
}"#;

fn make(house: &House, domain: &str, selector: &str) -> Result<Keys, String> {
    house.world.wait(house.running.control.make_keys(domain, selector))
}

fn retire(house: &House, selector: &str) -> Result<Keys, String> {
    house.world.wait(house.running.control.retire_keys("Home.test", selector))
}

/// Hand in a message; the last one that the world got.
fn delivered(house: &House, from: &str, peer: &str, to: &str) -> String {
    let mut session = house.call(25, peer);
    session.says("EHLO client", "250");
    session.says(&format!("MAIL FROM:<{from}>"), "250 2.1.0");
    session.says(&format!("RCPT TO:<{to}>"), "250 2.1.5");
    session.says("DATA", "354");
    session.says(&format!("From: {from}\r\nSubject: x\r\n\r\n..dot \r\n."), "250 2.0.0");
    session.says("QUIT", "221");
    house.world.run();
    let mail = house.world.mail.borrow();
    mail.last().expect("a message").text.clone()
}

/// Selectors whose signatures the message has, all of them right.
fn signers(house: &House, text: &str) -> Vec<String> {
    let keys = house.running.relay.keyring.all();
    let records: Vec<Record> = keys.iter().map(|key| key.record()).collect();
    let verdicts = verdicts(text.as_bytes(), &records);
    assert!(verdicts.iter().all(|(_, right)| *right), "{verdicts:?}");
    verdicts.into_iter().map(|(selector, _)| selector).collect()
}

#[test]
fn keys_that_are_made_sign_at_once_and_after_a_restart_and_no_more_once_they_are_retired() {
    let house = House::with(DIRECT);
    house.world.server(MX);
    let to = "me@[192.0.2.25]";
    assert!(!delivered(&house, "a@home.test", CAMERA, to).contains("DKIM-Signature"));
    let made = make(&house, "Home.test", "one").expect("made");
    let names: Vec<&str> = made.keys.iter().map(|key| key.name.as_str()).collect();
    assert_eq!(names, ["one-rsa._domainkey.home.test", "one-ed25519._domainkey.home.test"]);
    assert!(made.keys[0].text.starts_with("v=DKIM1; k=rsa; p=MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A"));
    let text = delivered(&house, "a@home.test", CAMERA, to);
    assert_eq!(signers(&house, &text), ["one-rsa", "one-ed25519"]);
    let told = house.world.told("signed");
    let by = "by=\"one-rsa._domainkey.home.test (rsa-sha256), one-ed25519._domainkey.home.test \
              (ed25519-sha256)\"";
    assert!(told.len() == 1 && told[0].contains(by), "{told:?}");
    let files = || house.world.files.borrow().keys().cloned().collect::<Vec<_>>();
    let in_keys = |files: Vec<String>| files.into_iter().filter(|f| f.starts_with("keys/"));
    let there: Vec<String> = in_keys(files()).collect();
    assert_eq!(there, ["keys/home.test.one-ed25519.pem", "keys/home.test.one-rsa.pem"]);
    // No page, log or answer shows a key.
    let shown = format!("{}{:?}{made:?}", house.running.control.document(), house.world.log);
    assert!(!shown.contains("PRIVATE"));

    let house = house.restart();
    let text = delivered(&house, "a@home.test", CAMERA, to);
    assert_eq!(signers(&house, &text), ["one-rsa", "one-ed25519"]);
    // Rotation: both pairs sign until the old one is retired.
    make(&house, "home.test", "two").expect("made");
    let text = delivered(&house, "a@home.test", CAMERA, to);
    let expected = ["one-rsa", "one-ed25519", "two-rsa", "two-ed25519"];
    assert_eq!(signers(&house, &text), expected);
    assert!(make(&house, "home.test", "three").expect_err("four are enough").contains("at most 4"));
    let gone = retire(&house, "one").expect("it is there");
    assert_eq!(gone.keys.len(), 2);
    let text = delivered(&house, "a@home.test", CAMERA, to);
    assert_eq!(signers(&house, &text), ["two-rsa", "two-ed25519"]);
    assert_eq!(retire(&house, "two-ed25519").expect("it is there").keys.len(), 1);
    let gone = retire(&house, "two-ed25519").expect_err("gone");
    assert_eq!(gone, "there is no key two-ed25519 of home.test");
    let left: Vec<String> = in_keys(house.world.files.borrow().keys().cloned().collect()).collect();
    assert_eq!(left, ["keys/home.test.two-rsa.pem"]);
}

#[test]
fn only_what_is_ours_and_goes_where_signatures_are_wanted_is_signed() {
    let house = House::with(DIRECT);
    house.world.server(MX);
    make(&house, "home.test", "").expect("made");
    let signed = |from, peer, to| delivered(&house, from, peer, to).contains("DKIM-Signature");
    let (out, direct) = ("out@home.test", "me@[192.0.2.25]");
    assert!(signed("a@home.test", CAMERA, direct));
    assert!(signed("a@home.test", CAMERA, out));
    assert!(signed("a@sub.home.test", CAMERA, direct));
    assert!(!signed("a@else.test", CAMERA, direct), "there is no key");
    assert!(!signed("a@home.test", STRANGER, out), "a stranger says to be one of us");
    let document = house.running.control.document();
    let with = |routes: &str| {
        let mut document: serde_json::Value = serde_json::from_str(&document).expect("JSON");
        document["routes"] = serde_json::from_str(routes).expect("JSON");
        let text = document.to_string();
        house.world.wait(house.desk().apply(&text, Apply::Save)).expect("good");
    };
    with(r#"[{"for": "*", "via": "192.0.2.25:25", "tls": "none"}]"#);
    assert!(!signed("a@home.test", CAMERA, direct), "smarthosts mostly sign themselves");
    let notes = house.running.control.keys().notes;
    assert!(notes.len() == 1 && notes[0].contains("routes[0].sign"), "{notes:?}");
    with(r#"[{"for": "*", "via": "192.0.2.25:25", "tls": "none", "sign": true}]"#);
    assert!(signed("a@home.test", CAMERA, direct));
    with(r#"[{"for": "*", "via": "mx", "sign": false}]"#);
    assert!(!signed("a@home.test", CAMERA, direct));
}

#[test]
fn a_key_that_is_lost_is_told_and_mail_goes_out_unsigned() {
    let house = House::with(DIRECT);
    house.world.server(MX);
    make(&house, "home.test", "one").expect("made");
    house.world.files.borrow_mut().retain(|path, _| !path.starts_with("keys/"));
    let house = house.restart();
    let problems = house.running.control.problems();
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(
        problems[0].key == "signing" && problems[0].words.contains("keys/home.test.one-rsa.pem")
    );
    let text = delivered(&house, "a@home.test", CAMERA, "me@[192.0.2.25]");
    assert!(!text.contains("DKIM-Signature"));
}

#[test]
fn where_the_disk_fails_no_key_is_named_and_none_is_left_behind() {
    for broken in ["keys/", "waypost.json", "secrets.json"] {
        let house = House::with(DIRECT);
        *house.world.broken.borrow_mut() = Some(broken);
        assert!(make(&house, "home.test", "one").is_err(), "{broken}");
        *house.world.broken.borrow_mut() = None;
        assert!(house.running.control.keys().keys.is_empty(), "{broken}");
        let files = house.world.files.borrow();
        assert!(!files.keys().any(|f| f.starts_with("keys/") && !f.contains(".new")), "{broken}");
        assert!(!files["waypost.json"].windows(7).any(|w| w == b"signing"), "{broken}");
    }
}

#[test]
fn wrong_names_are_refused_and_a_file_that_is_there_is_kept() {
    let house = House::with(DIRECT);
    for (domain, selector) in [("", ""), ("no domain", "x"), ("home.test", "a.b"), ("../x", "y")] {
        assert!(make(&house, domain, selector).is_err(), "{domain} {selector}");
    }
    let path = "keys/home.test.mine-rsa.pem".to_string();
    house.world.files.borrow_mut().insert(path.clone(), b"precious".to_vec());
    assert!(make(&house, "home.test", "mine").expect_err("it is there").contains(&path));
    assert_eq!(house.world.files.borrow()[&path], b"precious");
}
