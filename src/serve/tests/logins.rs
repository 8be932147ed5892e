//! Smarthosts that want a login.

use super::*;
use crate::limits;

const HELLO: (&str, &str) = ("EHLO", "250-mx\r\n250-PIPELINING\r\n250 AUTH PLAIN");
const REFUSED: (&str, &str) = ("AUTH", "535 5.7.8 Username and Password not accepted");
const DAY: u64 = 86_400;

/// All mail goes to a smarthost with a login.
fn house() -> House {
    let login = r#""tls": "none", "user": "me", "password": "secret"}"#;
    House::with(&CONFIG.replace(r#""tls": "may"}"#, login))
}

fn knocks(house: &House) -> usize {
    house.world.knocks.borrow().len()
}

fn problems(house: &House) -> Vec<String> {
    let status = house.world.wait(house.desk().status());
    status.problems.into_iter().filter(|p| p.key == "routes").map(|p| p.words).collect()
}

#[test]
fn mail_waits_for_as_long_as_its_login_is_refused_and_the_page_says_so() {
    for (refusal, said) in [
        (REFUSED, REFUSED.1),
        (("AUTH", "534 5.7.9 Application-specific password required"), "534 5.7.9"),
        (("AUTH", "530 5.7.0 Must issue STARTTLS first"), "530 5.7.0"),
        (("MAIL", "530 5.7.0 Authentication required"), "530 5.7.0"),
        (("EHLO", "250-mail.example\r\n250 AUTH GSSAPI NTLM"), "offers none that we know"),
        (("EHLO", "250 mail.example"), "offers none that we know"),
    ] {
        let house = house();
        let smarthost = house.world.server(SMARTHOST);
        smarthost.says(&[refusal, HELLO, ("RCPT", "503 5.5.1 MAIL first")]);
        house.send("alice@home.test", &["me@example.org"], "alarm");
        house.pass(60 * DAY);
        assert_eq!(house.world.told("failed").len(), 0, "{said}");
        assert_eq!(house.mailbox("alice").len(), 0, "nobody is told that it was late");
        let rows = house.rows();
        assert!(rows[0].reason.contains(said), "{}", rows[0].reason);
        let told = problems(&house);
        assert!(told.len() == 1 && told[0].contains(said), "{told:?}");
        let metrics = house.world.wait(house.desk().metrics());
        assert!(metrics.contains("waypost_barred_smarthosts 1\n"));

        smarthost.says(&[HELLO]);
        house.pass(DAY);
        assert_eq!(house.world.mail.borrow().len(), 1, "{said}");
        assert_eq!(problems(&house).len(), 0, "{said}");
    }
}

#[test]
fn a_login_that_cannot_be_checked_now_is_like_any_other_trouble() {
    for refusal in ["454 4.7.0 No database", "421 4.3.2 Shutting down"] {
        let house = house();
        house.world.server(SMARTHOST).says(&[HELLO, ("AUTH", refusal)]);
        house.send("alice@home.test", &["me@example.org"], "alarm");
        house.pass(DAY);
        assert_eq!(problems(&house).len(), 0);
        house.pass(6 * DAY);
        assert_eq!(house.world.told("failed").len(), 1, "{refusal}");
    }
}

#[test]
fn who_waits_for_another_reason_does_not_wait_for_ever() {
    let routes = r#""tls": "none", "user": "me", "password": "secret"},
                    {"for": "slow.example", "via": "192.0.2.26:25", "tls": "may"}"#;
    let house = House::with(&CONFIG.replace(r#""tls": "may"}"#, routes));
    house.world.server(SMARTHOST).says(&[HELLO, REFUSED]);
    house.world.server("192.0.2.26:25").says(&[("RCPT", "450 4.2.1 Later")]);
    house.send("alice@home.test", &["me@example.org", "you@slow.example"], "alarm");
    house.pass(7 * DAY);
    let failed = house.world.told("failed");
    assert!(failed.len() == 1 && failed[0].contains("you@slow.example"), "{failed:?}");
    assert_eq!(house.rows()[0].to, ["me@example.org"]);
}

#[test]
fn a_refused_login_is_not_tried_again_for_every_message() {
    let house = house();
    house.world.server(SMARTHOST).says(&[HELLO, REFUSED]);
    for _ in 0..14 {
        house.send("camera@home.test", &["me@example.org"], "alarm");
        house.pass(60);
    }
    assert_eq!(knocks(&house), 1);
    for _ in 0..14 {
        house.send("camera@home.test", &["me@example.org"], "alarm");
        house.pass(60);
    }
    assert_eq!(knocks(&house), 2);
}

#[test]
fn a_corrected_password_is_tried_at_once() {
    let house = house();
    house.world.server(SMARTHOST).says(&[HELLO, ("AUTH PLAIN AG1lAG5ldw==", "235 Ok"), REFUSED]);
    let id = house.send("camera@home.test", &["me@example.org"], "alarm");
    house.pass(3 * DAY);
    let before = knocks(&house);
    house.act(id, Action::Retry).expect("it waits");
    house.world.run();
    assert_eq!(knocks(&house), before + 1, "a person has asked for it");
    house.configure(r#""password": "(set)""#, r#""password": "new""#);
    assert_eq!(problems(&house).len(), 0, "nobody knows yet");
    house.world.run();
    assert_eq!(house.world.mail.borrow().len(), 1);
    let told = house.world.told("logged-in");
    assert!(told.len() == 1 && told[0].contains("user=me by=PLAIN"), "{told:?}");
}

#[test]
fn the_page_goes_on_to_say_so_whatever_else_is_changed() {
    let house = house();
    house.world.server(SMARTHOST).says(&[HELLO, REFUSED]);
    house.send("camera@home.test", &["me@example.org"], "alarm");
    house.world.run();
    house.configure(r#""domains":"#, r#""catch_all": "alice", "domains":"#);
    assert_eq!(problems(&house).len(), 1);
}

#[test]
fn several_connections_are_made_only_where_a_login_has_worked() {
    for (login, connections) in [("~", 1), ("235 Ok", limits::CONNECTIONS_EASILY)] {
        let house = house();
        for _ in 0..8 {
            house.send("camera@home.test", &["me@example.org"], "alarm");
        }
        house.world.run();
        house.world.knocks.borrow_mut().clear();
        let smarthost = house.world.server(SMARTHOST);
        smarthost.says(&[HELLO, ("AUTH", login), ("MAIL", "~")]);
        house.running.relay.hasten_all();
        house.world.run();
        assert_eq!(knocks(&house), connections, "{login}");
    }
}

#[test]
fn a_mechanism_that_does_not_work_is_tried_once_and_then_left() {
    let house = house();
    house.world.server(SMARTHOST).says(&[
        ("EHLO", "250-mx\r\n250 AUTH CRAM-MD5 PLAIN"),
        ("AUTH CRAM-MD5", "504 5.5.4 Unrecognized"),
        ("AUTH PLAIN", "235 Ok"),
    ]);
    for _ in 0..2 {
        house.send("camera@home.test", &["me@example.org"], "alarm");
        house.pass(60);
    }
    let told = house.world.told("logged-in");
    assert_eq!((told.len(), knocks(&house)), (2, 2));
    assert!(told[0].contains("by=PLAIN not=CRAM-MD5"), "{told:?}");
    assert!(told[1].contains("by=PLAIN") && !told[1].contains("not="), "{told:?}");
}

#[test]
fn a_token_is_shown_to_the_smarthost_and_to_nobody_else() {
    let login = r#""tls": "none", "user": "me", "token": "ya29.token"}"#;
    let house = House::with(&CONFIG.replace(r#""tls": "may"}"#, login));
    house.world.server(SMARTHOST).says(&[
        ("EHLO", "250-mx\r\n250 AUTH PLAIN XOAUTH2"),
        ("AUTH XOAUTH2 dXNlcj1tZQFhdXRoPUJlYXJlciB5YTI5LnRva2VuAQE=", "235 Ok"),
        ("AUTH", "535 No"),
    ]);
    house.send("camera@home.test", &["me@example.org"], "alarm");
    house.world.run();
    assert_eq!(house.world.mail.borrow().len(), 1);
    let files = house.world.files.borrow();
    let has = |path: &str| String::from_utf8_lossy(&files[path]).contains("ya29.token");
    assert!(has("secrets.json") && !has("waypost.json"));
    let shown = house.running.control.document();
    assert!(shown.contains(r#""token": "(set)""#) && !shown.contains("ya29"), "{shown}");
    assert!(!house.world.log.borrow().iter().any(|line| line.contains("ya29")));
}
