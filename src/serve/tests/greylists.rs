//! Servers that put strangers off: they are tried again when they want it.

use super::*;

/// Attempts at the end of each of so many minutes.
fn attempts(house: &House, minutes: usize) -> Vec<usize> {
    let mut seen = Vec::new();
    for _ in 0..minutes {
        house.pass(60);
        seen.push(house.world.told("deferred").len() + house.world.told("delivered").len());
    }
    seen
}

fn send(house: &House) {
    house.send("alice@home.test", &["me@example.org"], "alarm");
    house.world.run();
}

#[test]
fn who_says_how_long_is_left_alone_for_so_long() {
    let house = House::new();
    let server = house.world.server(SMARTHOST);
    server.says(&[("RCPT", "450 4.2.0 Greylisted, come back in 5 minutes")]);
    send(&house);
    assert_eq!(attempts(&house, 4), [1, 1, 1, 1], "not before");
    server.says(&[]);
    assert_eq!(attempts(&house, 2), [1, 2], "and then at once");
    assert_eq!(house.world.mail.borrow().len(), 1);
}

#[test]
fn who_does_not_say_is_remembered_and_the_second_attempt_is_the_last() {
    let house = House::new();
    let server = house.world.server(SMARTHOST);
    let put_off = [("RCPT", "451 4.7.1 Greylisting in effect")];
    server.says(&put_off);
    send(&house);
    // One, two, four minutes, more or less.
    house.pass(300);
    server.says(&[]);
    house.pass(600);
    assert_eq!(house.world.mail.borrow().len(), 1);
    let before = house.world.told("deferred").len();
    assert!(before >= 2, "{before}");
    server.says(&put_off);
    send(&house);
    house.pass(240);
    assert_eq!(house.world.told("deferred").len(), before + 1, "it is not tried in vain");
    server.says(&[]);
    house.pass(700);
    assert_eq!(house.world.mail.borrow().len(), 2);
    assert_eq!(house.world.told("deferred").len(), before + 1);
}

#[test]
fn who_goes_on_saying_so_is_tried_as_any_other() {
    let house = House::new();
    let server = house.world.server(SMARTHOST);
    server.says(&[("RCPT", "450 4.2.0 Greylisted for 30 seconds")]);
    send(&house);
    house.pass(6 * 3600);
    let told = house.world.told("deferred").len();
    assert!((5..20).contains(&told), "{told}");
}
