//! The disk fails, and then it does not.

use super::*;
use crate::limits;

#[test]
fn while_nothing_can_be_noted_few_messages_are_tried_and_all_of_them_when_it_can() {
    let house = House::new();
    for n in 0..40 {
        house.send("camera@home.test", &["me@example.org"], &format!("alarm {n}"));
    }
    house.pass(1);
    *house.world.broken.borrow_mut() = Some("spool/");
    house.world.server(SMARTHOST);
    let desk = house.desk();
    assert_eq!(house.world.wait(desk.act(Which::All, Action::Retry)), Ok(40));
    house.pass(1);
    let at_once = house.world.mail.borrow().len();
    // Each connection may have begun another one before the disk has said no to the first.
    assert!((1..=2 * limits::CONNECTIONS_PER_LANE).contains(&at_once), "{at_once}");
    house.pass(60);
    let later = house.world.mail.borrow().len() - at_once;
    assert!((3..=7).contains(&later), "{later} in a minute");
    *house.world.broken.borrow_mut() = None;
    // The last of them were put off for a minute, more or less.
    house.pass(90);
    assert_eq!(house.world.mail.borrow().len(), 40, "each once");
    assert_eq!(house.rows().len(), 0);
}
