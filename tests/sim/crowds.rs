//! Lives with much to do.

use crate::{
    letters::{HOME, Wish},
    life::{Came, Life},
    net::Line,
    senders::Kind,
    specials::sender,
    world::{hours, minutes, seconds},
};

/// Messages, and recipients of each.
const MESSAGES: usize = 100;
const RECIPIENTS: usize = 100;
/// Domains that these are in: a message is split into as many transactions.
const DOMAINS: usize = 10;

/// Ten thousand recipients are owed while the line is down; then it is up.
pub fn ten_thousand(seed: u64) -> Came {
    let mut life = Life::new(seed);
    let world = life.world.clone();
    life.start();
    life.run(seconds(5));
    world.net().line(*world.pick(&[Line::Silent, Line::Unreachable]));
    let near = sender(&life, Kind::Near, [192, 168, 7, 20]);
    let own = world.clone();
    world.spawn(async move {
        for _ in 0..MESSAGES {
            let far = |n| format!("r{n}@d{}.many.example", n % DOMAINS);
            let to = (0..RECIPIENTS).map(|n| (far(n), Wish::Default)).collect();
            let letter = near.letter_to(format!("alice@{HOME}"), to);
            if let Err(error) = near.plainly(vec![letter]).await {
                own.wrong(format!("a session ends with {error}"));
            }
        }
    });
    life.run(hours(2));
    let promised = life.book.all().iter().filter(|sent| sent.is_promised()).count();
    if promised != MESSAGES {
        world.wrong(format!("{promised} of {MESSAGES} were taken"));
    }
    if seed % 2 == 1 {
        life.crash_now();
        life.start();
        life.run(world.now() + minutes(10));
    }
    world.net().line(Line::Up);
    let up = world.now();
    life.run(up + hours(1));
    let taken = life.servers.taken.borrow();
    let arrived: usize = taken.iter().map(|delivery| delivery.to.len()).sum();
    let last = taken.iter().map(|delivery| delivery.at).max().unwrap_or(up);
    if arrived != MESSAGES * RECIPIENTS {
        world.wrong(format!("{arrived} recipients got it within an hour"));
    }
    world.note(&format!("{arrived} recipients were reached within {} s", (last - up) / 1000));
    let connections = world.net().most_from_relay();
    if connections > waypost::limits::CONNECTIONS {
        world.wrong(format!("{connections} connections at once"));
    }
    drop(taken);
    life.rest();
    life.end()
}
