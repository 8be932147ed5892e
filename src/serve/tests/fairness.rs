//! However much waits for those who do not answer: who answers gets mail at once.

use super::{
    names::{MX, wire},
    *,
};
use crate::limits;

/// A relay that delivers by MX, and one domain that takes mail.
fn house() -> House {
    let route = r#""routes": [{"for": "*", "via": "192.0.2.25:25", "tls": "may"}]"#;
    let house = House::with(&CONFIG.replace(route, r#""routes": [], "dns": ["127.0.0.53"]"#));
    house.world.exchanger("living.example", "mx.living.example", [192, 0, 2, 30]);
    house.world.server("192.0.2.30:25");
    house
}

/// A host that lets us connect and then says nothing.
fn mute(house: &House, last: u8) {
    let host = format!("mx{last}.dead.example");
    house.world.exchanger(&format!("unused{last}.dead.example"), &host, [198, 51, 100, last]);
    house.world.server(&format!("198.51.100.{last}:25")).says(&[("", "~")]);
}

fn many(house: &House, domain: &str, messages: usize) {
    let mut session = house.call(25, CAMERA);
    session.says("EHLO camera", "250");
    for n in 0..messages {
        session.says("MAIL FROM:<alice@home.test>", "250");
        session.says(&format!("RCPT TO:<r{n}@{domain}>"), "250");
        session.says("DATA", "354");
        session.says("Subject: x\r\n\r\nx\r\n.", "250");
    }
    session.says("QUIT", "221");
    house.world.run();
}

fn connections(house: &House, last: u8) -> usize {
    let at = format!("198.51.100.{last}:25").parse().expect("an address");
    house.world.knocks.borrow().iter().filter(|knock| **knock == at).count()
}

#[test]
fn a_dead_domain_with_five_thousand_messages_costs_one_connection_and_delays_nobody() {
    let house = house();
    mute(&house, 1);
    house.world.record("dead.example", MX, [&[0, 10][..], &wire("mx1.dead.example")].concat());
    many(&house, "dead.example", 5_000);
    assert_eq!(connections(&house, 1), 1);
    for _ in 0..20 {
        let before = house.world.mail.borrow().len();
        house.send("alice@home.test", &["me@living.example"], "alarm");
        house.world.run();
        assert_eq!(house.world.mail.borrow().len(), before + 1, "at once");
        house.pass(30);
    }
    // An hour later it has cost a connection now and then, not one a message.
    house.pass(3600);
    assert!((2..=200).contains(&connections(&house, 1)), "{}", connections(&house, 1));
}

#[test]
fn more_dead_domains_than_there_are_connections_leave_some_for_the_living() {
    let house = house();
    let dead = limits::CONNECTIONS + 50;
    for n in 0..dead {
        let last = u8::try_from(n % 200 + 1).expect("an octet");
        mute(&house, last);
        let host = format!("mx{last}.dead.example");
        house.world.record(&format!("d{n}.example"), MX, [&[0, 10][..], &wire(&host)].concat());
    }
    // While nothing is known of them they may have all connections, once.
    for n in 0..dead {
        many(&house, &format!("d{n}.example"), 3);
    }
    house.pass(20 * 60);
    // What was opened in a shorter time than a banner may take is open still.
    let mut most = 0;
    for _ in 0..6 {
        house.world.knocks.borrow_mut().clear();
        house.pass(limits::BANNER_WAIT.as_secs() - 1);
        most = most.max(house.world.knocks.borrow().len());
    }
    assert_eq!(most, limits::CONNECTIONS_ON_TRIAL);
    for _ in 0..50 {
        let before = house.world.mail.borrow().len();
        house.send("alice@home.test", &["me@living.example"], "alarm");
        house.world.run();
        assert_eq!(house.world.mail.borrow().len(), before + 1, "at once");
        house.pass(61);
    }
}

#[test]
fn a_server_that_says_nothing_gets_one_connection_until_it_is_ready_for_mail() {
    let house = house();
    let at = "192.0.2.30:25".parse().expect("an address");
    let knocks = || house.world.knocks.borrow().iter().filter(|knock| **knock == at).count();
    // It takes the first message, and then says nothing to the next ones.
    house.world.server("192.0.2.30:25").says(&[("", "~")]);
    many(&house, "living.example", 40);
    assert_eq!(knocks(), 1, "nothing is known of it");
    house.world.server("192.0.2.30:25").says(&[("MAIL", "~")]);
    house.pass(3600);
    let ready = knocks();
    assert!(ready > 1, "it was ready for mail");
    house.world.server("192.0.2.30:25");
    house.pass(2 * 3600);
    assert_eq!(house.world.mail.borrow().len(), 40);
}
