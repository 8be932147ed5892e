//! What happened, found again.

use super::*;
use crate::{
    limits,
    relay::trace::{Dated, Event, History},
};
use std::collections::BTreeMap;

fn find(house: &House, query: &str) -> Vec<Dated> {
    let (relay, sys) = (&house.running.relay, house.world.sys());
    house.world.wait(relay.history.find(&sys, query, limits::WEB_EVENTS)).expect("an index")
}

fn kinds(found: &[Dated]) -> Vec<&str> {
    found.iter().map(|dated| dated.event.kind.as_str()).collect()
}

const WAY: [&str; 3] = ["accepted", "connected", "delivered"];

#[test]
fn a_message_is_found_by_id_message_id_sender_and_recipient_also_after_a_restart() {
    let house = House::new();
    house.world.server(SMARTHOST);
    let id = house.send("camera@home.test", &["me@example.org", "you@example.org"], "alarm");
    house.send("alice@home.test", &["else@example.org"], "other");
    house.world.run();
    let msgid = find(&house, &id.to_string())[0].event.field("msgid").to_string();
    let check = |house: &House| {
        let id = id.to_string();
        for query in [&id, &id.to_lowercase(), &msgid, &format!("<{msgid}>")] {
            let found = find(house, query);
            assert_eq!(kinds(&found), WAY, "{query}");
            assert!(found.iter().all(|dated| dated.event.field("id") == id));
        }
        for query in ["me@example.org", "you@example.org", "YOU@example.org", "camera@home.test"] {
            assert_eq!(kinds(&find(house, query)), WAY, "{query}");
        }
        assert_eq!(find(house, "nobody@example.org"), []);
        assert_eq!(find(house, "example.org"), []);
    };
    check(&house);
    check(&house.restart());
}

#[test]
fn events_wait_for_company_and_cost_one_batch() {
    let house = House::new();
    house.pass(60);
    let before = house.world.index_batches.get();
    house.world.server(SMARTHOST);
    for _ in 0..20 {
        house.send("camera@home.test", &["me@example.org"], "alarm");
    }
    house.world.run();
    house.pass(29);
    assert_eq!(house.world.index_batches.get(), before);
    house.pass(2);
    assert_eq!(house.world.index_batches.get(), before + 1);
    house.pass(3_600);
    assert_eq!(house.world.index_batches.get(), before + 1, "and then it is quiet");
}

#[test]
fn who_asks_while_a_batch_is_written_sees_what_was_told_before() {
    let house = House::new();
    let (relay, sys) = (house.running.relay.clone(), house.world.sys());
    for n in 0..600 {
        relay.tell(Event::new("login-failed").with("from", format!("{n}@example.org")));
    }
    let write = relay.history.write(&sys);
    let find = relay.history.find(&sys, "599@example.org", 10);
    let (written, found) = house.world.wait(futures_lite::future::zip(write, find));
    assert!(written.is_ok());
    assert_eq!(found.expect("an index").len(), 1);
}

#[test]
fn who_goes_away_while_a_batch_is_written_stops_nobody_else() {
    let house = House::new();
    let (relay, sys) = (house.running.relay.clone(), house.world.sys());
    relay.tell(Event::new("login-failed").with("from", "a@example.org"));
    {
        let mut gone = Box::pin(relay.history.write(&sys));
        let polled = futures_lite::future::block_on(futures_lite::future::poll_once(&mut gone));
        assert!(polled.is_none());
    }
    assert_eq!(find(&house, "a@example.org").len(), 1);
}

#[test]
fn the_oldest_entries_go_with_all_their_names_when_there_are_enough() {
    let house = House::new();
    let sys = house.world.sys();
    let old = History::default();
    old.add(&sys, Event::of("accepted", Id::new(7), "old@example.org").with("to", "a@x,b@x"));
    let long = Event::new("refused").with("to", "x@y.example").with("reply", "w".repeat(470));
    old.add(&sys, long.with("from", "z".repeat(470)).with("helo", "h".repeat(400)));
    house.world.wait(old.write(&sys)).expect("an index");
    let count = |tree| house.world.index.borrow().get(tree).map_or(0, BTreeMap::len);
    let first = count("events");
    assert!(first >= 2 && count("keys") >= 6, "{first}");
    // The last of those that are kept: the next ones drive the first out, one for one.
    let key = limits::HISTORY_EVENTS.to_be_bytes().to_vec();
    let line = b"0 event=started\n".to_vec();
    house.world.index.borrow_mut().get_mut("events").expect("there").insert(key, line);
    let next = History::default();
    next.add(&sys, Event::new("stopping"));
    house.world.wait(next.write(&sys)).expect("an index");
    assert_eq!(count("events"), first + 1, "one came, one went");
    for _ in 0..first {
        next.add(&sys, Event::new("stopping"));
    }
    house.world.wait(next.write(&sys)).expect("an index");
    assert_eq!(count("keys"), 0, "{:?}", house.world.index.borrow().get("keys"));
}

#[test]
fn a_broken_index_stops_no_mail_and_loses_the_oldest_events_first() {
    let house = House::new();
    house.world.server(SMARTHOST);
    house.world.index_broken.set(true);
    house.send("camera@home.test", &["me@example.org"], "alarm");
    house.pass(600);
    assert_eq!(house.world.mail.borrow().len(), 1);
    let recent = house.world.wait(house.desk().trace("me@example.org"));
    assert_eq!(recent.len(), 2, "from memory: {recent:?}");
    for n in 0..limits::HISTORY_WAITING {
        house
            .running
            .relay
            .tell(Event::new("login-failed").with("from", format!("{n}@example.org")));
    }
    house.world.index_broken.set(false);
    house.pass(600);
    assert_eq!(find(&house, "camera@home.test"), []);
    assert_eq!(find(&house, "0@example.org").len(), 1);
    let last = format!("{}@example.org", limits::HISTORY_WAITING - 1);
    assert_eq!(find(&house, &last).len(), 1);
}
