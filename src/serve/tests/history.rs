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
fn what_waits_is_known_though_its_history_was_cut_off() {
    let house = House::new();
    house.world.server(SMARTHOST).says(&[("RCPT", "451 4.7.1 Later")]);
    let id = house.send("camera@home.test", &["me@example.org"], "Motion at the door");
    house.world.run();
    let house = house.restart();
    house.world.server(SMARTHOST).says(&[("RCPT", "451 4.7.1 Later")]);
    let trace = |query: &str| house.world.wait(house.desk().trace(query));
    let id = id.to_string();
    for query in [&id, &id.to_lowercase(), "ME@example.org", "<camera@home.test>", "at the door"] {
        let found = trace(query);
        assert_eq!(found.len(), 1, "{query}: {found:?}");
        assert_eq!((found[0].event.as_str(), &found[0].id), ("waiting", &id));
        let words = &found[0].words;
        assert!(words.contains("for me@example.org") && words.contains("451 4.7.1"), "{words}");
    }
    assert_eq!(trace("nobody@example.org"), []);
}

#[test]
fn of_a_long_queue_the_oldest_are_looked_at() {
    let house = House::new();
    house.world.server(SMARTHOST).says(&[("RCPT", "451 4.7.1 Later")]);
    for n in 0..=limits::TRACE_QUEUE {
        house.send("camera@home.test", &["me@example.org"], &format!("alarm {n}"));
    }
    house.pass(60);
    let house = house.restart();
    let page = house.running.relay.queue.page(limits::TRACE_QUEUE - 1, 2);
    let known = |id: Id| house.world.wait(house.desk().known_of_queue(&id.to_string())).len();
    assert_eq!(page.iter().map(|(id, _)| known(*id)).collect::<Vec<_>>(), [1, 0]);
    let all = house.world.wait(house.desk().known_of_queue("me@example.org"));
    assert_eq!(all.len(), limits::TRACE_MESSAGES);
}

#[test]
fn what_happened_up_to_a_time_is_found() {
    let house = House::new();
    house.world.server(SMARTHOST);
    let [first, second] = ["first", "second"].map(|subject| {
        let id = house.send("camera@home.test", &["me@example.org"], subject);
        house.pass(3_600);
        id.to_string()
    });
    let now = house.world.sys().clock.wall().expect("a time").0;
    let until = |at: u64, most| house.world.wait(house.desk().recent(most, Some(at)));
    let ids = |at| -> Vec<String> {
        let mut ids: Vec<String> = until(at, 50).into_iter().map(|event| event.id).collect();
        ids.retain(|id| !id.is_empty());
        ids.dedup();
        ids
    };
    assert_eq!(ids(now), [second.clone(), first.clone()]);
    assert_eq!(ids(now - 3_601), [first]);
    assert_eq!(ids(now - 10_000), Vec::<String>::new());
    assert_eq!(until(now, 1).len(), 1);
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
    let last = house.world.index_batches.get();
    assert_eq!(last, before + 2, "who has come, and then it is quiet");
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
fn the_oldest_blocks_go_with_all_their_names_when_there_are_enough() {
    let house = House::new();
    let sys = house.world.sys();
    let count = |tree| house.world.index.borrow().get(tree).map_or(0, BTreeMap::len);
    let event = |n: u64| {
        // Two fill a block.
        let event = Event::new("refused").with("from", format!("{n}@example.org"));
        event.with("reply", "w".repeat(limits::HISTORY_BLOCK_BYTES / 2 - 60))
    };
    let history = History::default();
    for n in 0..2 * limits::HISTORY_BLOCKS + 600 {
        history.add(&sys, event(n));
        if n % 256 == 255 {
            house.world.wait(history.write(&sys)).expect("an index");
        }
    }
    house.world.wait(history.write(&sys)).expect("an index");
    assert_eq!(count("events") as u64, limits::HISTORY_BLOCKS);
    let find = |n: u64| {
        let query = format!("{n}@example.org");
        house.world.wait(history.find(&sys, &query, 10)).expect("an index").len()
    };
    assert_eq!([find(599), find(600), find(2 * limits::HISTORY_BLOCKS + 599)], [0, 1, 1]);
    let names_a_digest = limits::HISTORY_BLOCK_BYTES / 6;
    let digests = 2 * usize::try_from(limits::HISTORY_BLOCKS).expect("few") / names_a_digest;
    assert!(count("names") <= digests + 4, "{} digests", count("names"));
    // After a start it goes on where it was.
    let next = History::default();
    next.add(&sys, event(2 * limits::HISTORY_BLOCKS + 600));
    house.world.wait(next.write(&sys)).expect("an index");
    assert_eq!(count("events") as u64, limits::HISTORY_BLOCKS);
    assert_eq!([find(601), find(602), find(2 * limits::HISTORY_BLOCKS + 600)], [0, 1, 1]);
}

#[test]
fn lone_events_share_a_block() {
    let house = House::new();
    let sys = house.world.sys();
    let history = History::default();
    let count = |tree| house.world.index.borrow().get(tree).map_or(0, BTreeMap::len);
    let before = (count("events"), count("names"));
    let histories = [history, History::default()];
    for n in 0..8 {
        let history = &histories[n / 4];
        history.add(&sys, Event::new("refused").with("from", format!("{n}@example.org")));
        house.world.wait(history.write(&sys)).expect("an index");
    }
    assert_eq!((count("events"), count("names")), (before.0 + 1, before.1 + 1));
    for n in 0..8 {
        let query = format!("{n}@example.org");
        let found = house.world.wait(histories[0].find(&sys, &query, 10)).expect("an index");
        assert_eq!(found.len(), 1, "{n}");
    }
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
