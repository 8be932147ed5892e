//! Messages that wait: what becomes of them, and what a person can do.

use super::super::web::office::State;
use super::*;

#[test]
fn what_was_acknowledged_is_delivered_after_a_kill() {
    let house = House::new();
    let id = house.send("camera@home.test", &["alice@home.test", "me@example.org"], "alarm");
    let house = house.restart();
    assert_eq!(house.world.told("recovered").len(), 1);
    house.world.server(SMARTHOST);
    house.pass(600);
    assert_eq!(house.world.mail.borrow().len(), 1);
    assert_eq!(house.mailbox("alice").len(), 1, "once, not twice");
    assert!(house.world.mail.borrow()[0].text.contains(&id.to_string()));
    assert!(house.running.relay.queue.is_empty());
}

#[test]
fn what_is_held_is_not_tried_also_after_a_kill_until_it_is_released() {
    let house = House::new();
    let id = house.send("camera@home.test", &["me@example.org"], "alarm");
    assert_eq!(house.act(id, Action::Hold), Ok(1));
    house.world.server(SMARTHOST);
    house.pass(86_400);
    let house = house.restart();
    house.pass(86_400);
    assert_eq!(house.rows()[0].state, State::Held);
    assert_eq!(house.world.mail.borrow().len(), 0);
    assert_eq!(house.act(id, Action::Release), Ok(1));
    house.world.run();
    assert_eq!(house.world.mail.borrow().len(), 1);
    assert!(house.act(id, Action::Hold).is_err(), "it is gone");
}

#[test]
fn time_for_which_a_person_held_it_does_not_count() {
    let house = House::new();
    let smarthost = house.world.server(SMARTHOST);
    smarthost.says(&[("RCPT", "450 4.2.1 Later")]);
    let id = house.send("camera@home.test", &["me@example.org"], "alarm");
    house.world.run();
    house.act(id, Action::Hold).expect("it waits");
    house.pass(30 * 86_400);
    house.act(id, Action::Release).expect("it is held");
    house.world.run();
    assert_eq!(house.world.told("failed").len(), 0, "thirty days are not five days of attempts");
    smarthost.says(&[]);
    house.pass(600);
    assert_eq!(house.world.mail.borrow().len(), 1);
}

#[test]
fn what_is_dropped_is_gone_for_good_and_nobody_hears_of_it() {
    let house = House::new();
    let id = house.send("alice@home.test", &["me@example.org"], "alarm");
    assert_eq!(house.act(id, Action::Drop), Ok(1));
    assert_eq!(house.rows().len(), 0);
    let house = house.restart();
    house.world.server(SMARTHOST);
    house.pass(86_400);
    assert_eq!((house.world.mail.borrow().len(), house.mailbox("alice").len()), (0, 0));
}

#[test]
fn what_is_on_its_way_can_neither_be_held_nor_dropped() {
    let house = House::new();
    let smarthost = house.world.server(SMARTHOST);
    smarthost.says(&[(".", "~")]);
    let id = house.send("alice@home.test", &["me@example.org"], "alarm");
    house.world.run();
    assert_eq!(house.rows()[0].state, State::Sending);
    assert!(house.act(id, Action::Drop).is_err_and(|words| words.contains("on its way")));
    assert!(house.act(id, Action::Hold).is_err());
    assert_eq!(house.act(id, Action::Retry), Ok(1), "that is being done");
    house.world.run();
    assert_eq!(house.world.knocks.borrow().len(), 1);
}

#[test]
fn who_lets_go_of_a_message_in_the_middle_leaves_it_as_it_was() {
    let house = House::new();
    let id = house.send("alice@home.test", &["me@example.org"], "alarm");
    house.world.run();
    let before = house.running.relay.queue.item(id).map(|item| item.state);
    let desk = house.desk();
    let mut act = desk.act(Which::One(id), Action::Hold);
    let polled = futures_lite::future::block_on(futures_lite::future::poll_once(&mut act));
    assert!(polled.is_none());
    drop(act);
    house.world.run();
    assert_eq!(house.running.relay.queue.item(id).map(|item| item.state), before);
    *house.world.broken.borrow_mut() = Some("spool/");
    assert!(house.act(id, Action::Hold).is_err_and(|words| words.contains("could not be written")));
    assert_eq!(house.running.relay.queue.item(id).map(|item| item.state), before);
}

#[test]
fn a_message_that_the_flash_has_lost_is_shown_held_and_can_be_dropped() {
    let house = House::new();
    house.world.server(SMARTHOST).says(&[("RCPT", "450 4.2.1 Later")]);
    let id = house.send("alice@home.test", &["me@example.org"], "alarm");
    house.world.run();
    for (path, octets) in house.world.files.borrow_mut().iter_mut() {
        if path.starts_with("spool/") {
            octets.iter_mut().filter(|octet| **octet == b'@').for_each(|octet| *octet = b'!');
        }
    }
    house.pass(600);
    let told = house.world.told("unreadable");
    assert_eq!(told.len(), 1, "{told:?}");
    let row = house.rows().remove(0);
    assert_eq!(row.state, State::Held);
    assert!(row.reason.contains("cannot be read"), "{}", row.reason);
    assert_eq!(house.act(id, Action::Drop), Ok(1));
    assert_eq!(house.rows().len(), 0);
}

#[test]
fn a_row_says_who_waits_for_what_and_why() {
    let house = House::new();
    let smarthost = house.world.server(SMARTHOST);
    smarthost.says(&[("RCPT TO:<me@", "450 4.2.1 Mailbox busy")]);
    house.send("alice@home.test", &["me@example.org", "you@example.org"], "alarm");
    house.world.run();
    let row = house.rows().remove(0);
    assert_eq!(
        (row.from.as_str(), row.to.as_slice()),
        ("alice@home.test", &["me@example.org".into()][..])
    );
    assert_eq!((row.state, row.attempts, row.subject.as_str()), (State::Waiting, 1, "alarm"));
    assert_eq!(row.reason, "[192.0.2.25] said: 450 4.2.1 Mailbox busy");
    let next = row.next.expect("it is planned").as_secs();
    assert!((45..=75).contains(&next), "{next}");
}

#[test]
fn a_new_route_counts_for_what_waits_at_once() {
    let house = House::new();
    house.world.server(SMARTHOST).says(&[("EHLO", "450 4.3.2 Not now"), ("HELO", "450 Not now")]);
    for n in 0..50 {
        house.send("alice@home.test", &["me@example.org"], &format!("alarm {n}"));
    }
    house.pass(86_400);
    assert_eq!(house.world.mail.borrow().len(), 0);
    house.world.server("192.0.2.26:2525");
    house.configure("192.0.2.25:25", "192.0.2.26:2525");
    house.pass(5);
    let mail = house.world.mail.borrow();
    assert_eq!(mail.len(), 50);
    assert!(mail.iter().all(|mail| mail.at == "192.0.2.26:2525"));
}

#[test]
fn a_new_route_counts_for_what_waits_on_a_connection_that_is_open() {
    let house = House::new();
    house.world.server(SMARTHOST).says(&[("MAIL", "~")]);
    for n in 0..50 {
        house.send("alice@home.test", &["me@example.org"], &format!("alarm {n}"));
    }
    house.world.run();
    house.world.server("192.0.2.26:2525");
    house.configure("192.0.2.25:25", "192.0.2.26:2525");
    house.pass(5);
    // Those on the four connections wait for their answer.
    assert_eq!(house.world.mail.borrow().len(), 46);
    house.pass(3_600);
    assert_eq!(house.world.mail.borrow().len(), 50);
}

#[test]
fn a_user_who_is_gone_has_no_mailbox_and_the_sender_hears_of_it() {
    let config = CONFIG.replace("\"routes\"", r#""maildir": "full/{user}", "routes""#);
    let house = House::with(&config);
    *house.world.broken.borrow_mut() = Some("full/alice");
    house.send("bob@home.test", &["alice@home.test"], "hello");
    house.world.run();
    assert!(house.rows()[0].reason.contains("cannot be written"));
    let gone = house.running.control.user("alice", super::super::web::office::UserChange::Remove);
    house.world.wait(gone).expect("there was one");
    house.pass(1);
    let files = house.world.files.borrow();
    let mut bounces = files.iter().filter(|(path, _)| path.starts_with("full/bob/new/"));
    let (_, bounce) = bounces.next().expect("a report");
    assert!(String::from_utf8_lossy(bounce).contains("Status: 5.1.1"));
}
