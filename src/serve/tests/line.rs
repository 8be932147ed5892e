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
