//! Lives in which the clock is set late and jumps, while messages wait.

use crate::{
    letters::HOME,
    life::{Came, Life, TODAY},
    senders::Kind,
    specials::{letter, sender},
    world::{hours, minutes, seconds},
};
use std::collections::{BTreeMap, BTreeSet};

const DAY: u64 = hours(24);
const YEAR: u64 = 365 * 86_400;
/// `retry` as `life.rs` configures it: the first wait and the longest, in seconds, and the lifetime
/// in days.
const FIRST: u64 = 60;
const LONGEST: u64 = 3_600;
const LIFETIME: u64 = 5;

/// Whatever the clock shows, a message is tried as often as its schedule says, lives as long as it
/// may, and its dates are true.
pub fn jumps(seed: u64) -> Came {
    let mut life = Life::new(seed);
    let world = life.world.clone();
    let settings = [None, Some(TODAY), Some(TODAY + 50 * YEAR), Some(TODAY - 86_400), Some(0)];
    world.set_wall(*world.pick(&settings[..3]));
    life.servers.trouble(0, 3 * DAY);
    life.start();
    life.run(seconds(5));
    for n in 0..8 {
        let near = sender(&life, Kind::Near, [192, 168, 7, 20]);
        let home = format!("alice@{HOME}");
        let to: [&[&str]; 4] = [
            &["later-me@one.example"],
            &["never-you@one.example"],
            &["never-me@two.example", &home],
            &["no-one@one.example", "me@three.example"],
        ];
        let mut letter = letter(&near, to[n % 4]);
        letter.from = format!("alice@{HOME}");
        let own = world.clone();
        world.spawn(async move {
            own.sleep(own.below(hours(6))).await;
            drop(near.plainly(vec![letter]).await);
        });
    }
    for _ in 0..6 {
        life.run(world.now() + world.below(hours(24)));
        // A clock that is before our time counts as not set: `sys` says so.
        world.set_wall(*world.pick(&settings[..4]));
        world.note("the clock jumps");
        if world.one_in(3) {
            life.crash_now();
            life.start();
        }
    }
    if world.wall().is_none() {
        world.set_wall(Some(TODAY));
    }
    life.run(9 * DAY);
    life.heal();
    life.rest();
    attempts(&life);
    life.end()
}

/// As often as the schedule says, for as long as it says.
fn attempts(life: &Life) {
    let world = &life.world;
    let mut accepted: BTreeMap<String, u64> = BTreeMap::new();
    let mut tries: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
    let mut expired = 0;
    for line in world.lines().iter().filter(|line| line.run > 0) {
        let field = |key: &str| line.text.split(' ').find_map(|word| word.strip_prefix(key));
        let Some(id) = field("id=").map(str::to_string) else { continue };
        if line.text.starts_with("event=accepted") {
            accepted.insert(id, line.at);
        } else if line.text.starts_with("event=deferred") {
            tries.entry(id).or_default().insert(line.at);
        } else if line.text.starts_with("event=failed") && line.text.contains("never-") {
            let lived = line.at - accepted[&id];
            // Time from the last attempt to a crash is not counted.
            let waits = 1 + life.case.crashes.len() as u64;
            let longest = LIFETIME * DAY + waits * (seconds(LONGEST * 5 / 4) + minutes(10));
            expired += 1;
            if !(LIFETIME * DAY..longest).contains(&lived) {
                world.wrong(format!("{id} was given up after {lived} ms"));
            }
        }
    }
    if expired < 4 {
        world.wrong(format!("{expired} messages came to the end of their lifetime"));
    }
    let doublings = (LONGEST / FIRST).ilog2() as usize + 1;
    for (id, times) in tries {
        let (Some(first), Some(last)) = (times.first(), times.last()) else { continue };
        let hours = usize::try_from((last - first) / seconds(LONGEST)).expect("small");
        // Waits are a quarter shorter at most; each restart tries once more.
        let most = doublings + hours * 4 / 3 + 2 + 2 * life.case.crashes.len();
        let least = hours * 4 / 5;
        if times.len() > most || times.len() < least {
            let often = times.len();
            world.wrong(format!("{id} was tried {often} times in {hours} h: {least} to {most}"));
        }
    }
}
