//! Lives with the line down for days.

use crate::{
    letters::{HOME, Wish},
    life::{Came, Life},
    net::Line,
    senders::Kind,
    specials::sender,
    world::{hours, minutes, seconds},
};

const MESSAGES: u64 = 90;
const DAYS: u64 = 3;

/// Mail comes all the time, and nobody can be reached for three days; then everybody can.
pub fn days(seed: u64) -> Came {
    let mut life = Life::new(seed);
    let world = life.world.clone();
    life.start();
    life.run(seconds(5));
    // Of a link that is down the system tells; that nobody answers behind the router shows itself.
    let line = [Line::Unreachable, Line::Silent][usize::try_from(seed % 2).expect("a place")];
    world.net().line(line);
    let near = sender(&life, Kind::Near, [192, 168, 7, 20]);
    let own = world.clone();
    world.spawn(async move {
        for n in 0..MESSAGES {
            let to = vec![
                (format!("r{n}@one.example"), Wish::Default),
                (format!("r{n}@d{}.many.example", n % 20), Wish::Default),
            ];
            let letter = near.letter_to(format!("alice@{HOME}"), to);
            if let Err(error) = near.plainly(vec![letter]).await {
                own.wrong(format!("a session ends with {error}"));
            }
            own.sleep(hours(24) * DAYS / MESSAGES).await;
        }
    });
    life.run(hours(24));
    let first_day = world.net().tries();
    life.run(hours(24 * DAYS) + minutes(10));
    if seed % 4 > 1 {
        life.crash_now();
        life.start();
        life.run(world.now() + minutes(10));
    }
    // A look a minute: to two servers twice, and as often for both addresses of the smarthost.
    let a_day = (world.net().tries() - first_day) / (DAYS - 1);
    if a_day > 24 * 60 * 12 {
        world.wrong(format!("{a_day} connections and datagrams a day, of an outage"));
    }
    let up = world.now();
    world.net().line(Line::Up);
    life.run(up + minutes(3));
    let taken = life.servers.taken.borrow();
    let arrived: usize = taken.iter().map(|delivery| delivery.to.len()).sum();
    let times = || taken.iter().map(|delivery| delivery.at.saturating_sub(up));
    let (first, last) = (times().min().unwrap_or(u64::MAX), times().max().unwrap_or(u64::MAX));
    // Some cables are slow.
    let most = if line == Line::Unreachable { seconds(2) } else { seconds(75) };
    if arrived as u64 != 2 * MESSAGES || first > most || last > most + seconds(30) {
        let words = format!("{arrived} recipients were reached within {first} to {last} ms");
        world.wrong(words);
    }
    if taken.iter().any(|delivery| delivery.at < up) {
        world.wrong("somebody was reached without a line".into());
    }
    drop(taken);
    for kind in ["event=offline", "event=online"] {
        let told = world.lines().iter().filter(|line| line.text.starts_with(kind)).count();
        if !(1..=2).contains(&told) {
            world.wrong(format!("{kind} was told {told} times"));
        }
    }
    life.rest();
    life.end()
}
