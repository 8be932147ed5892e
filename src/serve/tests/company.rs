//! Sessions that end their messages at about the same time share a sync.

use super::*;
use crate::limits;

fn address(house: &House, last: u8) -> Session<'_> {
    let mut session = house.call(25, &format!("192.168.1.{last}:4000"));
    session.says("EHLO device", "250");
    session
}

fn begin(session: &mut Session<'_>) {
    session.says("MAIL FROM:<device@home.test>", "250 2.1.0");
    session.says("RCPT TO:<me@example.org>", "250 2.1.5");
    session.says("DATA", "354");
}

fn syncs(house: &House) -> u64 {
    house.running.relay.spool.usage().syncs
}

#[test]
fn a_commit_waits_for_an_open_transaction_and_shares_its_sync() {
    let house = House::new();
    house.send("device@home.test", &["alice@home.test"], "the first has a segment begun");
    house.pass(60);
    let [mut one, mut other] = [1, 2].map(|last| address(&house, last));
    begin(&mut one);
    begin(&mut other);
    let before = syncs(&house);
    assert_eq!(one.say("Subject: one\r\n\r\n."), "");
    other.says("Subject: other\r\n\r\n.", "250 2.0.0");
    assert!(one.wire.take().starts_with("250 2.0.0"));
    assert_eq!(syncs(&house), before + 1);
}

#[test]
fn a_lone_commit_waits_for_nobody() {
    let house = House::new();
    let [mut one, mut idle] = [1, 2].map(|last| address(&house, last));
    begin(&mut one);
    one.says("Subject: one\r\n\r\n.", "250 2.0.0");
    idle.says("MAIL FROM:<device@home.test>", "250 2.1.0");
    idle.says("RSET", "250");
    begin(&mut one);
    one.says("Subject: two\r\n\r\n.", "250 2.0.0");
}

#[test]
fn who_dawdles_in_a_transaction_holds_up_one_commit_for_a_moment_and_no_other() {
    let house = House::new();
    house.pass(60);
    let [mut one, mut slow] = [1, 2].map(|last| address(&house, last));
    slow.says("MAIL FROM:<slow@home.test>", "250 2.1.0");
    begin(&mut one);
    assert_eq!(one.say("Subject: one\r\n\r\n."), "");
    house.world.pass(limits::COMPANY_WAIT / 2);
    assert_eq!(one.wire.take(), "");
    house.world.pass(limits::COMPANY_WAIT / 2);
    assert!(one.wire.take().starts_with("250 2.0.0"));
    begin(&mut one);
    one.says("Subject: two\r\n\r\n.", "250 2.0.0");
    slow.says("RCPT TO:<me@example.org>", "250 2.1.5");
    slow.says("DATA", "354");
    slow.says("Subject: slow\r\n\r\n.", "250 2.0.0");
}

#[test]
fn who_has_much_to_write_waits_for_nobody() {
    let house = House::new();
    let [mut one, mut slow] = [1, 2].map(|last| address(&house, last));
    slow.says("MAIL FROM:<slow@home.test>", "250 2.1.0");
    begin(&mut one);
    let line = format!("{}\r\n", "x".repeat(998));
    let body = line.repeat(limits::COMPANY_BYTES / line.len() - 2);
    assert_eq!(one.say(&format!("Subject: nearly\r\n\r\n{body}.")), "");
    house.world.pass(limits::COMPANY_WAIT);
    assert!(one.wire.take().starts_with("250 2.0.0"));
    slow.says("RSET", "250");
    slow.says("MAIL FROM:<slow@home.test>", "250 2.1.0");
    begin(&mut one);
    one.says(&format!("Subject: much\r\n\r\n{}.", line.repeat(70)), "250 2.0.0");
}
