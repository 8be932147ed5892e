//! The line is down, and up again.

use super::*;
use crate::limits;

const DAY: u64 = 86_400;

fn line(house: &House) -> String {
    let status = house.world.wait(house.desk().status());
    let line = status.problems.into_iter().filter(|problem| problem.key == "line");
    line.map(|problem| problem.words).collect()
}

fn metric(house: &House, name: &str) -> String {
    let text = house.world.wait(house.desk().metrics());
    let start = format!("{name} ");
    text.lines().find_map(|line| line.strip_prefix(start.as_str())).unwrap_or("").to_string()
}

fn knocks(house: &House) -> usize {
    house.world.knocks.borrow().len()
}

#[test]
fn an_outage_is_told_and_over_within_a_minute_of_its_end() {
    let house = House::new();
    assert_eq!((line(&house), metric(&house, "waypost_line_up")), (String::new(), "1".into()));
    for n in 0..40 {
        house.send("alice@home.test", &["me@example.org"], &format!("alarm {n}"));
    }
    house.pass(60);
    assert!(line(&house).starts_with("Offline for 60 s: nobody outside"), "{}", line(&house));
    assert!(line(&house).contains("40 messages wait for the line"), "{}", line(&house));
    assert_eq!(metric(&house, "waypost_line_up"), "0");
    assert_eq!(house.world.told("offline").len(), 1);
    assert!(house.rows().iter().all(|row| row.attempts == 0));

    let before = knocks(&house);
    house.pass(DAY);
    let looks = knocks(&house) - before;
    let most = DAY / limits::PROBE_PAUSES[1].as_secs() + 10;
    assert!((1_000..=usize::try_from(most).expect("few")).contains(&looks), "{looks} looks a day");
    house.pass(30 * DAY);
    assert_eq!(house.world.told("failed").len(), 0);
    assert_eq!(house.mailbox("alice").len(), 0, "nobody is told that it is late");

    house.world.server(SMARTHOST);
    house.pass(limits::PROBE_PAUSES[1].as_secs() + 2);
    assert_eq!(house.world.mail.borrow().len(), 40, "each once, at once");
    assert_eq!(line(&house), "");
    let told = house.world.told("online");
    assert!(told.len() == 1 && told[0].contains("messages=40"), "{told:?}");
}

#[test]
fn mail_that_comes_while_offline_opens_no_connection_and_a_person_may_want_it_tried() {
    let house = House::new();
    house.send("alice@home.test", &["me@example.org"], "alarm");
    house.pass(1);
    let before = knocks(&house);
    let id = house.send("alice@home.test", &["me@example.org"], "another");
    house.world.run();
    assert_eq!(knocks(&house), before);
    assert!(house.rows()[0].reason.contains("offline: "), "{}", house.rows()[0].reason);
    house.act(id, Action::Retry).expect("it waits");
    house.world.run();
    assert!(knocks(&house) > before, "a person has asked for it");
    house.world.server(SMARTHOST);
    house.act(id, Action::Retry).expect("it waits");
    house.pass(1);
    assert_eq!(house.world.mail.borrow().len(), 2, "the first one follows");
}

#[test]
fn who_is_near_is_reached_without_the_line() {
    let near = r#"{"for": "near.example", "via": "192.168.1.9:25", "tls": "may"}, {"for": "*""#;
    let house = House::with(&CONFIG.replace(r#"{"for": "*""#, near));
    house.world.server("192.168.1.9:25");
    house.send("alice@home.test", &["me@example.org"], "alarm");
    house.pass(1);
    assert!(!line(&house).is_empty());
    for _ in 0..5 {
        house.send("alice@home.test", &["me@near.example"], "to the nas");
        house.pass(5);
    }
    let near = house.world.mail.borrow().iter().filter(|mail| mail.at == "192.168.1.9:25").count();
    assert_eq!(near, 5);
    assert!(!line(&house).is_empty(), "that proves nothing");
    assert_eq!(house.world.told("offline").len(), 1);
}

#[test]
fn whoever_answers_but_not_like_a_mail_server_is_a_captive_portal() {
    let house = House::new();
    let portal = house.world.server(SMARTHOST);
    portal.says(&[("", "HTTP/1.1 302 Found")]);
    house.send("alice@home.test", &["me@example.org"], "alarm");
    house.pass(40 * DAY);
    assert!(line(&house).starts_with("Offline for"), "{}", line(&house));
    assert_eq!(house.world.told("failed").len(), 0);
    assert_eq!(house.rows()[0].attempts, 0);
    portal.says(&[]);
    house.pass(limits::PROBE_PAUSES[1].as_secs() + 2);
    assert_eq!(house.world.mail.borrow().len(), 1);
}

#[test]
fn a_server_that_is_there_and_not_well_is_no_outage() {
    for banner in ["421 4.3.2 Busy", "554 5.3.2 Not here"] {
        let house = House::new();
        house.world.server(SMARTHOST).says(&[("", banner)]);
        house.send("alice@home.test", &["me@example.org"], "alarm");
        house.pass(DAY);
        assert_eq!(line(&house), "", "{banner}");
        assert!(house.rows()[0].attempts > 3);
        house.pass(6 * DAY);
        assert_eq!(house.world.told("failed").len(), 1, "{banner}");
    }
}

/// No look finds anybody there, ever: mail goes from house to house all the same.
#[test]
fn in_a_network_without_the_internet_mail_gets_through() {
    let (up, down) = ("me@[192.0.2.8]", "me@[192.0.2.7]");
    let routes = r#""routes": [{"for": "*", "via": "192.0.2.25:25", "tls": "may"}]"#;
    let house = House::with(&CONFIG.replace(routes, r#""routes": []"#));
    house.world.server("192.0.2.8:25");
    house.send("alice@home.test", &[down], "to a dead one");
    house.pass(1);
    house.send("alice@home.test", &[up], "to a live one");
    house.pass(limits::OFFLINE_TRY.as_secs() - 2);
    assert_eq!(house.world.mail.borrow().len(), 0, "a look has found nobody");
    house.pass(limits::OFFLINE_WAIT_MAX.as_secs() + 120);
    assert_eq!(house.world.mail.borrow().len(), 1);
    assert!(!line(&house).starts_with("Offline"), "{}", line(&house));
    for hour in 0..7 * 24 {
        house.send("alice@home.test", &[up], "to a live one");
        house.pass(1);
        assert_eq!(house.world.mail.borrow().len(), 2 + hour, "at once, from now on");
        house.pass(3600);
    }
    assert_eq!(house.world.told("offline").len(), 1, "looks are not believed any more");
    assert_eq!(house.world.told("failed").len(), 1, "the other one was tried for five days");
}

/// While nobody is found, those whom no look asks for are tried from time to time, and no others.
#[test]
fn who_is_not_looked_for_is_tried_from_time_to_time() {
    let house = House::new();
    house.send("alice@home.test", &["me@example.org"], "alarm");
    house.pass(1);
    let routes = r#""routes": [{"for": "*", "via": "192.0.2.25:25", "tls": "may"}]"#;
    house.configure(routes, r#""routes": []"#);
    house.send("alice@home.test", &["me@[192.0.2.7]"], "alarm");
    house.pass(DAY);
    let tries =
        house.world.knocks.borrow().iter().filter(|at| at.to_string() == "192.0.2.7:25").count();
    // As soon as the bound allows, and then after each half as long again.
    assert!((4..=12).contains(&tries), "{tries} tries a day");
    assert!(line(&house).starts_with("Offline for"), "{}", line(&house));
    assert_eq!(house.rows().iter().map(|row| row.attempts).sum::<u16>(), 0);
}
