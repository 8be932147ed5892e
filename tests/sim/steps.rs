//! One life, cut off or killed after each single operation of its disk in turn.

use crate::{
    letters::{HOME, Wish},
    life::{Came, Crash, Life},
    senders::{Kind, Sender},
    specials::{letter, sender},
    world::{Stop, minutes, seconds},
};
use waypost::limits;

/// Operations of the disk, twice: once each for both kinds of crash. There are some less.
pub const MOST: u64 = 200;

/// A letter to each kind of recipient: both mailboxes, far away, to nobody there (which makes a
/// report); and one that is large.
fn hand_over(life: &Life) {
    let near = sender(life, Kind::Near, [192, 168, 7, 20]);
    let staff = format!("staff@{HOME}");
    let mut mixed = letter(&near, &[&staff, "me@one.example", "no-one@one.example"]);
    mixed.from = format!("bob@{HOME}");
    let mut large = near.letter_to(String::new(), vec![(staff, Wish::Default)]);
    let lines = limits::DRAFT_BUFFER_BYTES * 3 / 64;
    (0..lines).for_each(|_| large.octets.extend_from_slice(&[&[b'y'; 62][..], b"\r\n"].concat()));
    let world = life.world.clone();
    world.spawn(async move {
        let Sender { world, .. } = near.clone();
        drop(near.plainly(vec![mixed]).await);
        world.sleep(seconds(3)).await;
        drop(near.plainly(vec![large]).await);
    });
}

/// Cut off after the so-manieth operation from when the mail comes; the seed says which, and how.
pub fn step(seed: u64) -> Came {
    let (step, crash) =
        (seed / 2 % (MOST / 2), [Crash::Cut, Crash::Kill][usize::from(seed % 2 == 1)]);
    // The world is always the same one.
    let mut life = Life::new(7);
    let world = life.world.clone();
    life.start();
    life.run(seconds(5));
    hand_over(&life);
    world.stop_at_operation(step + 2);
    let stop = life.run_once(world.now() + minutes(10));
    world.stop_at_operation(0);
    if stop == Stop::Disk {
        life.crash(crash);
        life.start();
        life.run(world.now() + minutes(1));
    }
    life.rest();
    Came { stepped: stop == Stop::Disk, ..life.end() }
}
