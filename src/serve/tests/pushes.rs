//! Mail that ends as a notice, and people who are told that they are needed.

use super::*;
use crate::limits;

const NTFY: &str = "192.168.1.5:8080";
const PUSH: &str = r#""push": [{"name": "phone", "url": "http://192.168.1.5:8080/alarms", "token": "tk_1"},
    {"name": "lamp", "url": "http://192.168.1.5:8080/hook?a=b", "kind": "json"}], "domains""#;

fn house(more: &str) -> House {
    House::with(&CONFIG.replace("\"domains\"", &format!("{more}{PUSH}")))
}

#[test]
fn a_message_becomes_a_notice_and_an_object() {
    let house = house("");
    let ntfy = house.world.service(NTFY);
    ntfy.says(&[("200 OK", "{}")]);
    house.send("camera@home.test", &["phone@home.test", "lamp+hall@home.test"], "Motion \u{fc}");
    house.world.run();
    let mut asked = ntfy.asked.borrow().clone();
    asked.sort();
    assert_eq!(asked.len(), 2, "{:?}", house.world.log.borrow());
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
    let (hook, notice) = (json(&asked[1]), json(&asked[0]));
    let (hook, notice) = if hook.get("topic").is_some() { (notice, hook) } else { (hook, notice) };
    assert_eq!(notice["topic"], "alarms");
    assert_eq!(
        (&notice["title"], &notice["message"]),
        (&"Motion \u{fc}".into(), &"Motion \u{fc}".into())
    );
    assert_eq!((&hook["to"], &hook["subject"]), (&"lamp".into(), &"Motion \u{fc}".into()));
    assert!(hook["from"].as_str().expect("text").contains("camera@home.test"), "{hook}");
    assert_eq!((house.rows().len(), house.world.told("pushed").len()), (0, 2));
}

#[test]
fn a_notice_waits_for_its_service_as_mail_does_for_its_server() {
    let house = house("");
    house.send("camera@home.test", &["phone@home.test"], "alarm");
    house.world.run();
    assert_eq!(house.rows().len(), 1, "nobody is there");
    let ntfy = house.world.service(NTFY);
    ntfy.says(&[("429 Too Many Requests", "slow down"), ("200 OK", "{}")]);
    let house = house.restart();
    house.pass(120);
    assert!(house.rows().is_empty() || house.rows()[0].reason.contains("429 slow down"));
    house.pass(1200);
    assert_eq!((house.rows().len(), ntfy.count()), (0, 2));
}

#[test]
fn a_notice_that_cannot_be_taken_is_reported_to_its_sender() {
    let house = house("");
    house.world.service(NTFY).says(&[("413 Content Too Large", "too large")]);
    house.send("alice@home.test", &["phone@home.test"], "alarm");
    house.pass(5);
    assert_eq!(house.rows().len(), 0);
    let report = house.mailbox("alice").pop().expect("a report");
    assert!(report.contains("413 too large"), "{report}");
}

#[test]
fn a_service_that_is_slow_holds_up_nobody_but_itself() {
    let house = house("");
    let ntfy = house.world.service(NTFY);
    ntfy.mute.set(true);
    house.world.server(SMARTHOST);
    for n in 0..2 * limits::ACTIVE_MESSAGES {
        house.send("camera@home.test", &["phone@home.test"], &n.to_string());
    }
    house.send("camera@home.test", &["me@example.org"], "alarm");
    house.world.run();
    assert_eq!(house.world.mail.take().len(), 1);
    assert_eq!(ntfy.count(), limits::PUSHES, "so many at a time");
}

#[test]
fn who_is_to_be_told_is_told_once_and_when_it_is_over() {
    let house = house(r#""alerts": "phone", "#);
    let ntfy = house.world.service(NTFY);
    ntfy.says(&[("200 OK", "{}")]);
    let login = r#""tls": "none", "user": "me", "password": "wrong"}"#;
    house.configure(r#""tls": "may"}"#, login);
    let server = house.world.server(SMARTHOST);
    server.says(&[("EHLO", "250-mx\r\n250 AUTH PLAIN"), ("AUTH", "535 5.7.8 No")]);
    house.send("camera@home.test", &["me@example.org"], "alarm");
    house.pass(60);
    assert_eq!(ntfy.count(), 0, "it may pass by itself");
    house.pass(420);
    assert_eq!(ntfy.count(), 1, "{:?}", house.world.wait(house.desk().status()).problems);
    let told = ntfy.asked.borrow()[0].clone();
    assert!(told.contains("something needs you") && told.contains("535 5.7.8 No"), "{told}");
    house.pass(1_200);
    assert_eq!(ntfy.count(), 1, "once is enough");
    server.says(&[("EHLO", "250-mx\r\n250 AUTH PLAIN")]);
    house.world.wait(house.desk().act(Which::All, Action::Retry)).expect("tried");
    house.pass(180);
    assert_eq!(ntfy.count(), 2);
    assert!(ntfy.asked.borrow()[1].contains("It is over: "), "{:?}", ntfy.asked.borrow());
}

#[test]
fn mail_that_is_stuck_is_told_though_nothing_else_is_wrong() {
    let house = house(r#""alerts": "phone", "retry": {"warn_after": "2h"}, "#);
    let ntfy = house.world.service(NTFY);
    ntfy.says(&[("200 OK", "{}")]);
    house.world.server(SMARTHOST).says(&[("RCPT", "451 4.7.1 Later")]);
    house.send("camera@home.test", &["me@example.org"], "alarm");
    house.pass(7_100);
    assert_eq!(ntfy.count(), 0);
    house.pass(600);
    assert_eq!(ntfy.count(), 1);
    let told = ntfy.asked.borrow()[0].clone();
    assert!(told.contains("1 message waits") && told.contains("451 4.7.1 Later"), "{told}");
}

#[test]
fn without_anybody_to_tell_it_never_wakes() {
    let house = house("");
    house.world.server(SMARTHOST).says(&[("RCPT", "451 4.7.1 Later")]);
    assert!(house.world.told("alert-failed").is_empty());
    house.pass(100_000);
    assert_eq!(house.rows().len(), 0);
}
