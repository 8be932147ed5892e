//! The board's name on its link.

use super::*;
use crate::{
    board::names,
    proto::dns::mdns::{self, Told},
};

const OTHER: &str = "192.168.1.9:5353";
/// Three questions, a quarter of a second each.
const PROBED: u64 = 750;

impl Home {
    fn named(network: &str) -> Home {
        let home = Home::new();
        home.owns(&["192.168.1.5", "fd00::5"]);
        home.network(network);
        home.begin(names::keep(home.board.clone()));
        home
    }

    /// The name that is asked for or told by the packet sent last, as far as a packet shows it.
    fn said(&self) -> String {
        let link = self.bench.link();
        let sent = link.sent.borrow();
        let (octets, _) = sent.last().expect("something was sent");
        let length = usize::from(octets[12]);
        String::from_utf8_lossy(&octets[13..13 + length]).into_owned()
    }

    /// Somebody else has this name.
    fn is_anothers(&self, name: &str) {
        self.bench.link().hears(mdns::announce(&other(name)), OTHER);
        self.world.run();
    }

    fn sent(&self) -> usize {
        self.bench.link().sent.borrow().len()
    }
}

fn other(name: &str) -> Told {
    Told { name: name.into(), addresses: vec![IpAddr::from([192, 168, 1, 9])], port: 80 }
}

/// As the keeper tells it.
fn own(name: &str) -> Told {
    let addresses = ["192.168.1.5", "fd00::5"].map(|address| address.parse().expect("an address"));
    Told { name: name.into(), addresses: addresses.to_vec(), port: 80 }
}

#[test]
fn a_name_is_asked_for_three_times_and_told_twice() {
    let home = Home::named("");
    assert_eq!(home.bench.link().own.to_string(), "192.168.1.5");
    home.pass_millis(PROBED - 1);
    assert_eq!(home.now().name, "", "somebody may have it");
    home.pass_millis(1);
    assert_eq!(home.now().name, "waypost");
    home.pass(60);
    let (probe, announce) = (mdns::probe(&own("waypost")), mdns::announce(&own("waypost")));
    let sent: Vec<Vec<u8>> =
        home.bench.link().sent.borrow().iter().map(|(octets, _)| octets.clone()).collect();
    assert_eq!(sent, [probe.clone(), probe.clone(), probe, announce.clone(), announce]);
    let all =
        home.bench.link().sent.borrow().iter().all(|(_, to)| to.to_string() == "224.0.0.251:5353");
    assert!(all);
}

#[test]
fn a_name_that_another_has_gets_a_number() {
    let home = Home::named("name = mail\n");
    home.is_anothers("mail");
    assert_eq!(home.said(), "mail-2");
    home.pass_millis(PROBED);
    assert_eq!(home.now().name, "mail-2");
    home.pass(60);
    home.is_anothers("mail");
    home.pass(60);
    assert_eq!(home.now().name, "mail-2", "that is not ours any more");
    home.is_anothers("mail-2");
    home.pass(1);
    assert_eq!(home.now().name, "mail-3", "who came later has it all the same");
}

#[test]
fn after_as_many_names_as_the_bound_allows_the_plain_one_is_tried_again() {
    let home = Home::named("");
    for number in 1..=limits::BOARD_NAMES {
        let name = if number == 1 { "waypost".into() } else { format!("waypost-{number}") };
        // Whoever has met many asks again only after a rest. RFC 6762 §8.1.
        if home.said() != name {
            home.pass(5);
        }
        assert_eq!(home.said(), name);
        home.is_anothers(&name);
    }
    home.pass(10);
    assert_eq!(home.now().name, "waypost");
}

#[test]
fn who_asks_is_answered_alone_where_it_does_not_speak_multicast() {
    let home = Home::named("");
    home.pass(10);
    // What asks for an address of the name, RFC 1035 §4.1.
    let question =
        [&[0, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 7][..], b"waypost\x05local\0\0\x01\0\x01"];
    for (from, to) in [(OTHER, "224.0.0.251:5353"), ("192.168.1.9:4000", "192.168.1.9:4000")] {
        let before = home.sent();
        home.bench.link().hears(question.concat(), from);
        home.world.run();
        assert_eq!(home.sent(), before + 1);
        let link = home.bench.link();
        assert_eq!(link.sent.borrow().last().expect("an answer").1.to_string(), to);
    }
}

#[test]
fn another_name_or_address_is_told_anew() {
    let home = Home::named("");
    home.pass(10);
    assert_eq!(home.bench.groups.borrow().len(), 1);
    home.network("name = mail\n");
    home.pass(10);
    assert_eq!(home.now().name, "mail");
    home.is_anothers("mail");
    home.pass(1);
    assert_eq!(home.now().name, "mail-2");
    home.owns(&["192.168.1.6"]);
    home.pass(10);
    assert_eq!(home.bench.link().own.to_string(), "192.168.1.6");
    assert_eq!(home.now().name, "mail-2", "that one was free");
    home.network("");
    home.pass(10);
    assert_eq!(home.now().name, "waypost", "without a number: nobody has it");
}

#[test]
fn a_board_without_an_address_waits_for_one() {
    let home = Home::new();
    home.owns(&["fd00::5"]);
    home.begin(names::keep(home.board.clone()));
    home.pass(60);
    assert!(home.bench.groups.borrow().is_empty());
    home.owns(&["fd00::5", "192.168.1.5"]);
    home.world.pass(limits::BOARD_LINKS_EVERY);
    assert_eq!(home.bench.groups.borrow().len(), 1);
}

#[test]
fn whoever_has_every_name_is_not_asked_without_a_rest() {
    let home = Home::named("");
    for _ in 0..limits::BOARD_NAMES_QUICK {
        let name = home.said();
        home.is_anothers(&name);
    }
    let groups = home.bench.groups.borrow().len();
    assert_eq!(groups, usize::try_from(limits::BOARD_NAMES_QUICK).expect("few"));
    home.pass_but(limits::BOARD_NAMES_REST, 1);
    assert_eq!(home.bench.groups.borrow().len(), groups);
    home.pass_millis(1);
    assert_eq!(home.said(), format!("waypost-{}", limits::BOARD_NAMES_QUICK + 1));
}
