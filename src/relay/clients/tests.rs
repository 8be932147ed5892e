//! Tests of what is remembered of clients.

use super::*;
use crate::relay::accounts::world::World;
use futures_lite::future::block_on;
use std::net::Ipv4Addr;

fn peer(n: u32) -> IpAddr {
    Ipv4Addr::from_bits(0x0a00_0000 + n).into()
}

fn visit(n: u32, trusted: bool) -> Visit<'static> {
    Visit { peer: peer(n), trusted, helo: "cam", tls: "", user: "" }
}

fn refused(words: &str) -> Refused {
    Refused { reply: words.into(), ..Refused::default() }
}

#[test]
fn the_last_of_each_kind_is_known_and_all_are_counted() {
    let (world, sys) = World::new();
    let clients = Clients::default();
    clients.refused(&sys, visit(1, false), &refused("550 no"));
    world.now.set(Instant(60_000));
    clients.took(&sys, visit(1, true), Id::new(7), &["Date added".into()]);
    clients.took(&sys, Visit { helo: "", tls: "TLSv1.3", ..visit(1, true) }, Id::new(8), &[]);
    world.now.set(Instant(90_000));
    let client = clients.get(peer(1)).expect("known");
    assert_eq!((client.messages, client.refused, client.trusted), (2, 1, true));
    assert_eq!((client.helo.as_str(), client.tls.as_str()), ("cam", "TLSv1.3"));
    let (at, id) = client.last_in.expect("two came");
    assert_eq!((at.ago(&sys), id), (Some(30), Id::new(8).to_string()));
    let (at, no) = client.last_refusal.expect("one was refused");
    assert_eq!((at.ago(&sys), no.reply.as_str()), (Some(90), "550 no"));
    clients.forget(peer(1));
    assert_eq!(clients.get(peer(1)), None);
}

#[test]
fn what_follows_a_refusal_does_not_hide_why() {
    let (world, sys) = World::new();
    let clients = Clients::default();
    let why = Refused { reason: "not trusted".into(), ..refused("550 no") };
    let reply = || clients.get(peer(1)).and_then(|c| c.last_refusal).expect("refused").1.reply;
    clients.refused(&sys, visit(1, false), &why);
    world.now.set(Instant(59_999));
    clients.refused(&sys, visit(1, false), &refused("554 none"));
    assert_eq!(reply(), "550 no");
    world.now.set(Instant(60_000));
    clients.refused(&sys, visit(1, false), &refused("554 none"));
    assert_eq!(reply(), "554 none");
    clients.refused(&sys, visit(1, false), &why);
    assert_eq!((reply().as_str(), clients.get(peer(1)).expect("known").refused), ("550 no", 4));
}

#[test]
fn an_address_is_one_in_either_dress() {
    let (_world, sys) = World::new();
    let clients = Clients::default();
    let mapped = "::ffff:10.0.0.1".parse().expect("an address");
    clients.came(&sys, Visit { peer: mapped, ..visit(1, true) });
    clients.came(&sys, visit(1, true));
    assert_eq!(clients.all().len(), 1);
}

#[test]
fn strangers_take_no_place_of_the_house() {
    let (world, sys) = World::new();
    let clients = Clients::default();
    let [ours, strange] =
        [limits::CLIENTS, limits::CLIENTS_STRANGE].map(|n| u32::try_from(n).expect("few"));
    for n in 0..10 {
        clients.came(&sys, visit(n, true));
    }
    for n in 0..3 * strange {
        world.now.set(Instant(u64::from(1000 + n)));
        clients.refused(&sys, visit(1000 + n, false), &refused("550"));
    }
    assert_eq!(clients.all().len(), 10 + strange as usize);
    assert!(clients.get(peer(1000 + 3 * strange - 1)).is_some(), "the newest stays");
    assert!(clients.get(peer(1000)).is_none(), "the oldest goes");
    // Of the house there may be as many as there are places, and strangers go first.
    for n in 0..ours {
        world.now.set(Instant(u64::from(100_000 + n)));
        clients.came(&sys, visit(10_000 + n, true));
    }
    assert_eq!(clients.all().len(), ours as usize);
    assert!(clients.all().iter().all(|(_, client)| client.trusted));
    assert!(clients.get(peer(0)).is_none() && clients.get(peer(10_000)).is_some());
}

#[test]
fn what_peers_say_is_cut_at_its_bound() {
    let (_world, sys) = World::new();
    let clients = Clients::default();
    let most = limits::CLIENT_TEXT_CHARS;
    let long = "\u{fc}".repeat(most + 1);
    clients.refused(&sys, Visit { helo: &long, ..visit(1, false) }, &refused(&long));
    let client = clients.get(peer(1)).expect("known");
    assert_eq!(client.helo.chars().count(), most);
    assert_eq!(client.last_refusal.expect("refused").1.reply.chars().count(), most);
}

#[test]
fn what_is_written_fits_the_index_and_reads_back() {
    let (_world, sys) = World::new();
    let clients = Clients::default();
    let long = "\u{fc}\"".repeat(limits::CLIENT_TEXT_CHARS / 2);
    let all =
        Refused { reply: long.clone(), reason: long.clone(), from: long.clone(), to: long.clone() };
    let repairs = vec![long.clone(); limits::CLIENT_REPAIRS];
    for n in 1..3 {
        clients.refused(&sys, Visit { helo: &long, tls: "x", ..visit(n, true) }, &all);
    }
    clients.took(&sys, visit(2, true), Id::new(1), &repairs);
    for n in 1..3 {
        let client = clients.get(peer(n)).expect("known");
        let octets = written(&client).expect("it fits");
        assert!(octets.len() <= limits::INDEX_ENTRY_BYTES - limits::INDEX_CLIENT_KEY_BYTES);
        let back: Client = serde_json::from_slice(&octets).expect("ours");
        assert_eq!((back.messages, back.refused), (client.messages, 1));
        assert_eq!(back.last_refusal.expect("refused").1.reason, long);
    }
}

#[test]
fn what_is_of_the_house_outlives_the_process_and_strangers_do_not() {
    let (world, sys) = World::new();
    let clients = Clients::default();
    clients.took(&sys, visit(1, true), Id::new(1), &[]);
    let stranger = "203.0.113.9".parse().expect("an address");
    clients.came(&sys, Visit { peer: stranger, ..visit(0, false) });
    clients.refused(&sys, visit(2, false), &refused("550 no"));
    block_on(sys.index.apply(clients.changes())).expect("an index");
    let after = Clients::default();
    world.now.set(Instant(5));
    after.took(&sys, visit(1, true), Id::new(2), &[]);
    block_on(after.load(&sys));
    let names: Vec<IpAddr> = after.all().into_iter().map(|(peer, _)| peer).collect();
    assert_eq!(names, [peer(1), peer(2)]);
    let one = after.get(peer(1)).expect("known");
    assert_eq!((one.messages, one.last_in.map(|(_, id)| id)), (2, Some(Id::new(2).to_string())));
    after.forget(peer(2));
    block_on(sys.index.apply(after.changes())).expect("an index");
    let last = Clients::default();
    block_on(last.load(&sys));
    assert_eq!(last.all().len(), 1);
}
