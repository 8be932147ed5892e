//! Several ways for the same mail.

use super::*;
use crate::limits;
use std::net::SocketAddr;

const SECOND: &str = "192.0.2.26:25";
const HELLO: (&str, &str) = ("EHLO", "250-mx\r\n250-PIPELINING\r\n250 AUTH PLAIN");

/// Everything goes by the first smarthost, and by the second while that cannot be used.
fn house() -> House {
    let first = r#"{"for": "*", "via": "192.0.2.25:25", "tls": "may"}"#;
    let both = format!(r#"{first}, {{"for": "*", "via": "{SECOND}", "tls": "may"}}"#);
    House::with(&CONFIG.replace(first, &both))
}

fn alarm(house: &House) {
    house.send("alice@home.test", &["me@example.org"], "alarm");
    house.world.run();
}

/// Messages that each of the two took.
fn taken(house: &House) -> (usize, usize) {
    let mail = house.world.mail.borrow();
    let at = |server: &str| mail.iter().filter(|mail| mail.at == server).count();
    (at(SMARTHOST), at(SECOND))
}

fn problems(house: &House) -> Vec<String> {
    let status = house.world.wait(house.desk().status());
    status.problems.into_iter().filter(|p| p.key == "routes").map(|p| p.words).collect()
}

#[test]
fn mail_goes_by_the_second_way_at_once_and_by_the_first_when_it_is_back() {
    let house = house();
    house.world.server(SECOND);
    for _ in 0..10 {
        alarm(&house);
    }
    assert_eq!(taken(&house), (0, 10));
    assert_eq!(house.world.knocks.borrow().len(), 2, "one connection carries them all");
    let told = house.world.told("rerouted");
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("from=192.0.2.25:25 to=192.0.2.26:25 reason="), "{told:?}");
    assert_eq!(house.world.told("deferred").len(), 0);
    let shown = problems(&house);
    assert!(shown.len() == 1 && shown[0].contains("goes by 192.0.2.26:25, since"), "{shown:?}");

    house.world.server(SMARTHOST);
    alarm(&house);
    assert_eq!(taken(&house), (0, 11), "it rests");
    house.pass(limits::LANE_REST.as_secs() + 1);
    alarm(&house);
    alarm(&house);
    assert_eq!(taken(&house), (2, 11));
    assert_eq!(problems(&house).len(), 0);
}

#[test]
fn a_way_that_says_later_or_refuses_the_login_is_passed_by_and_one_that_refuses_mail_is_not() {
    for refusal in [("", "421 4.3.2 Busy"), ("", "554 5.3.2 Not here"), ("EHLO", "451 Later")] {
        let house = house();
        house.world.server(SMARTHOST).says(&[refusal]);
        house.world.server(SECOND);
        alarm(&house);
        assert_eq!(taken(&house), (0, 1), "{refusal:?}");
    }
    for refusal in [("MAIL", "550 5.7.1 Not you"), ("RCPT", "550 5.1.1 Nobody"), (".", "554 No")] {
        let house = house();
        house.world.server(SMARTHOST).says(&[refusal]);
        house.world.server(SECOND);
        alarm(&house);
        assert_eq!(taken(&house).1, 0, "{refusal:?}");
        assert_eq!(house.mailbox("alice").len(), 1, "{refusal:?}");
    }
}

#[test]
fn one_message_at_a_time_finds_out_whether_a_way_is_back_and_its_rests_grow() {
    let house = house();
    house.world.server(SMARTHOST).says(&[("", "~")]);
    house.world.server(SECOND);
    let first: SocketAddr = SMARTHOST.parse().expect("an address");
    let mut probes = Vec::new();
    for minute in 0..120 {
        let before = house.world.knocks.borrow().len();
        for _ in 0..5 {
            alarm(&house);
        }
        let knocks = house.world.knocks.borrow()[before..].to_vec();
        let probing = knocks.iter().filter(|at| **at == first).count();
        assert!(probing <= 1 || minute == 0, "{probing} in minute {minute}");
        if probing > 0 {
            probes.push(minute);
        }
        house.pass(60);
    }
    house.pass(600);
    assert_eq!(taken(&house), (0, 600), "all are there by the other");
    assert!((8..=40).contains(&probes.len()), "{probes:?}");
    let pauses: Vec<u64> = probes.windows(2).map(|two| two[1] - two[0]).collect();
    assert!(pauses.iter().rev().take(3).all(|pause| *pause >= 10), "{pauses:?}");
}

#[test]
fn two_accounts_at_one_provider_are_two_ways() {
    let login = |user: &str| format!(r#""tls": "none", "user": "{user}", "password": "secret"}}"#);
    let second = format!(r#"{{"for": "*", "via": "{SMARTHOST}", {}"#, login("second"));
    let ways = format!("{}, {second}", login("first"));
    let house = House::with(&CONFIG.replace(r#""tls": "may"}"#, &ways));
    // AGZpcnN0 begins what PLAIN says of the user first. RFC 4616.
    let refusal = ("AUTH PLAIN AGZpcnN0", "535 5.7.8 Over its quota");
    house.world.server(SMARTHOST).says(&[HELLO, refusal]);
    alarm(&house);
    assert_eq!(taken(&house), (1, 0));
    let shown = problems(&house);
    assert!(shown.len() == 1 && shown[0].contains("192.0.2.25:25 as first"), "{shown:?}");
    assert!(shown[0].starts_with("Mail goes by 192.0.2.25:25 as second"), "{shown:?}");
}

#[test]
fn an_outage_of_all_ways_is_held_against_no_message() {
    let house = house();
    alarm(&house);
    house.pass(60 * 86_400);
    assert_eq!(house.world.told("failed").len(), 0);
    assert_eq!(house.mailbox("alice").len(), 0);
    house.world.server(SECOND);
    house.pass(86_400);
    assert_eq!(taken(&house), (0, 1));
}

#[test]
fn mail_waits_for_a_person_where_one_way_refuses_the_login_and_no_other_takes_it() {
    let login = r#""tls": "none", "user": "me", "password": "secret"}"#;
    let ways = format!(r#"{login}, {{"for": "*", "via": "{SECOND}", "tls": "may"}}"#);
    let house = House::with(&CONFIG.replace(r#""tls": "may"}"#, &ways));
    let first = house.world.server(SMARTHOST);
    first.says(&[HELLO, ("AUTH", "535 5.7.8 Not accepted")]);
    house.world.server(SECOND).says(&[("", "421 4.3.2 Busy")]);
    alarm(&house);
    house.pass(60 * 86_400);
    assert_eq!(house.world.told("failed").len(), 0);
    assert_eq!(house.mailbox("alice").len(), 0);
    let shown = problems(&house).join(" ");
    assert!(shown.contains("correct the login") && shown.contains("535 5.7.8"), "{shown}");
    house.world.server(SECOND);
    house.pass(86_400);
    assert_eq!(taken(&house), (0, 1));
}

#[test]
fn a_server_is_reached_by_the_kind_of_address_that_its_route_wants() {
    for (ip, there) in [("4", true), ("192.0.2.1", true), ("6", false), ("2001:db8::1", false)] {
        let route = format!(r#""tls": "none", "ip": "{ip}"}}"#);
        let house = House::with(&CONFIG.replace(r#""tls": "may"}"#, &route));
        house.world.server(SMARTHOST);
        house.send("camera@home.test", &["me@example.org"], "alarm");
        house.pass(1);
        assert_eq!(house.world.mail.borrow().len(), usize::from(there), "{ip}");
        let sources: Vec<String> =
            house.world.sources.borrow().iter().map(ToString::to_string).collect();
        assert_eq!(sources, if ip == "192.0.2.1" { vec![ip] } else { vec![] });
        if !there {
            assert!(house.world.knocks.borrow().is_empty());
            let reason = house.rows().remove(0).reason;
            assert!(reason.contains("192.0.2.25 has no IPv6 address"), "{reason}");
        }
    }
}
