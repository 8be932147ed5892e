//! More strangers than there are places.

use super::*;
use crate::limits;

/// Four places, one of them for trusted peers only.
fn small() -> House {
    let limits = r#""limits": {"sessions": 4, "sessions_per_address": 3}, "routes""#;
    House::with(&CONFIG.replace("\"routes\"", limits))
}

fn stranger(house: &House, n: u8) -> Session<'_> {
    house.call(25, &format!("203.0.113.{n}:9"))
}

const FULL: &str = "421 4.3.2 Too many sessions, try";

#[test]
fn strangers_who_sit_on_all_places_make_room_and_are_told_why() {
    let house = small();
    let crowd: Vec<_> = (1..4).map(|n| stranger(&house, n)).collect();
    assert!(crowd.iter().all(|session| session.banner.starts_with("220 ")));
    assert!(stranger(&house, 4).banner.starts_with(FULL));
    assert!(house.call(25, CAMERA).banner.starts_with("220 "), "a place is kept for the house");
    house.world.pass(limits::CROWDED_WAIT);
    let mut fresh = stranger(&house, 5);
    assert!(fresh.banner.starts_with("220 "), "{}", fresh.banner);
    house.world.run();
    assert!(crowd[0].wire.take().starts_with("421 4.3.2 Too many sessions, and nothing came"));
    assert!(crowd[0].wire.is_over() && !crowd[1].wire.is_over());
    fresh.says("EHLO fresh", "250");
    let told = house.world.told("made-room");
    assert!(told[0].contains("peer=203.0.113.1") && told[0].contains("idle for 10 s"), "{told:?}");
}

#[test]
fn while_there_are_places_nobody_is_hurried() {
    let house = small();
    let mut one = stranger(&house, 1);
    house.world.pass(limits::COMMAND_WAIT / 2);
    let _two = stranger(&house, 2);
    one.says("NOOP", "250");
}

#[test]
fn a_message_that_comes_by_the_octet_makes_room_and_one_that_comes_slowly_does_not() {
    let house = small();
    let mut crowd: Vec<_> = (1..4).map(|n| stranger(&house, n)).collect();
    for session in &mut crowd {
        session.says("EHLO x", "250");
        session.says("MAIL FROM:<x@example.net>", "250");
        session.says("RCPT TO:<alice@home.test>", "250");
        session.says("DATA", "354");
    }
    let line = "y".repeat(150);
    for _ in 0..20 {
        house.pass(1);
        crowd[0].wire.send(b"x");
        crowd[1].say(&line);
        crowd[2].say(&line);
    }
    let fresh = stranger(&house, 4);
    assert!(fresh.banner.starts_with("220 "));
    house.world.run();
    assert!(crowd[0].wire.take().starts_with("421 4.3.2"));
    assert!(stranger(&house, 5).banner.starts_with(FULL), "the others get on");
    assert_eq!(crowd[1].say("."), "", "it waits a moment for the third");
    house.world.pass(limits::COMPANY_WAIT);
    assert!(crowd[1].wire.take().starts_with("250"));
    assert!(house.world.told("broken-off")[0].contains("from=x@example.net"));
}

#[test]
fn noise_is_no_work() {
    let house = small();
    let mut crowd: Vec<_> = (1..4).map(|n| stranger(&house, n)).collect();
    for _ in 0..limits::CROWDED_WAIT.as_secs() {
        house.pass(1);
        for session in &mut crowd {
            session.says("EHLO x", "250");
            session.says("NOOP", "250");
            session.says("RSET", "250");
        }
    }
    assert!(stranger(&house, 4).banner.starts_with("220 "));
}

#[test]
fn one_that_reads_nothing_is_gone_all_the_same() {
    let house = small();
    let crowd: Vec<_> = (1..4).map(|n| stranger(&house, n)).collect();
    let busy = house.running.relay.busy.get();
    house.world.pass(limits::CROWDED_WAIT);
    let _fresh = stranger(&house, 5);
    house.world.pass(limits::LEAVE_WAIT);
    assert_eq!(house.running.relay.busy.get(), busy, "one came, one went");
    drop(crowd);
}

#[test]
fn who_has_logged_in_is_no_stranger() {
    let config =
        CONFIG.replace(r#"{"name": "alice"}"#, r#"{"name": "alice", "password": "open sesame"}"#);
    let limits = r#""limits": {"sessions": 4}, "routes""#;
    let house = House::with(&config.replace("\"routes\"", limits));
    let mut alice = house.call(465, "203.0.113.10:9");
    alice.says("EHLO alice", "250");
    alice.says("AUTH PLAIN AGFsaWNlAG9wZW4gc2VzYW1l", "235 2.7.0");
    let crowd: Vec<_> = (1..4).map(|n| stranger(&house, n)).collect();
    assert!(crowd.iter().all(|session| session.banner.starts_with("220 ")), "hers is not theirs");
    house.pass(60);
    for n in 5..8 {
        assert!(stranger(&house, n).banner.starts_with("220 "));
    }
    alice.says("NOOP", "250");
}

#[test]
fn fewer_places_than_configured_are_told_and_kept_to() {
    let house = House::new();
    let problems = || {
        let all = house.running.control.problems().into_iter();
        all.map(|problem| [problem.key, problem.words].join(": ")).collect::<String>()
    };
    house.world.files_most.set(limits::OTHER_FILES + 2 * limits::SESSION_FILES);
    house.configure("\"routes\"", "\"limits\": {\"sessions\": 9}, \"routes\"");
    assert!(problems().starts_with("limits.sessions: 2 sessions at once instead of 9"));
    let _two = [house.call(25, CAMERA), house.call(25, "192.168.1.21:9")];
    assert!(house.call(25, "192.168.1.22:9").banner.starts_with(FULL));
    house.world.files_most.set(u64::MAX);
    house.configure("\"sessions\":9", "\"sessions\":8");
    assert_eq!(problems(), "");
}

#[test]
fn a_flood_of_refusals_is_told_in_part_and_the_house_has_its_say() {
    let house = House::new();
    let refuse = |peer: &str| {
        house.running.relay.tell(crate::relay::trace::Event::new("refused").with("peer", peer));
        house.world.told("refused").len()
    };
    let most = limits::NOISE_TOLD as usize;
    assert_eq!((0..most + 50).map(|_| refuse("203.0.113.1")).max(), Some(most));
    assert_eq!(refuse("192.168.1.20"), most + 1, "a device");
    house.world.pass(limits::NOISE_WAIT);
    assert_eq!(refuse("203.0.113.2"), most + 2);
    assert!(house.world.told("untold")[0].contains("events=50"));
}
