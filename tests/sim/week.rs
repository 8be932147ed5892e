//! A week of mail to a hundred domains of which thirty are dead: the living are not made to wait
//! for those, and those cost no more than their schedule says.

use crate::{
    letters::{Fate, HOME, Sent, Wish, token},
    life::{Came, Life},
    senders::Kind,
    servers::{DARK, SHUT},
    specials::sender,
    world::{World, hours, minutes, seconds},
};
use std::collections::BTreeMap;

const LIVING: u64 = 70;
const DAYS: u64 = 7;
/// Letters an hour, to domains in turn.
const AN_HOUR: u64 = 4;
/// A living domain gets its letter within.
const SOON: u64 = seconds(60);
/// The configured schedule: a minute, doubling, an hour at most, each somewhat less by chance.
const FIRST: u64 = minutes(1);
const MOST: u64 = hours(1);
const LIFETIME: u64 = hours(24 * 5);

fn domain(n: u64) -> String {
    match n % 100 {
        n if n < LIVING => format!("d{n}.many.example"),
        n if n < 80 => format!("d{n}.dark.example"),
        n if n < 90 => format!("d{n}.shut.example"),
        n => format!("d{n}.lost.example"),
    }
}

/// So often a letter is tried at most that is never taken: pauses are three quarters of the
/// schedule's at least (that is what the relay promises of its dice).
fn attempts() -> usize {
    let (mut at, mut pause, mut attempts) = (0, FIRST, 1);
    while at < LIFETIME {
        at += pause * 3 / 4;
        pause = (2 * pause).min(MOST);
        attempts += 1;
    }
    attempts
}

pub fn hundred_domains(seed: u64) -> Came {
    let mut life = Life::new(seed);
    let world = life.world.clone();
    world.net().power(DARK.into(), false);
    world.net().closed(SHUT.into(), true);
    life.start();
    life.run(seconds(5));
    let near = sender(&life, Kind::Near, [192, 168, 7, 20]);
    let own = world.clone();
    world.spawn(async move {
        for n in 0..DAYS * 24 * AN_HOUR {
            // Not in order: what is dead is met among what is not.
            let to = vec![(format!("r{n}@{}", domain(n * 37)), Wish::Default)];
            let letter = near.letter_to(format!("alice@{HOME}"), to);
            if let Err(error) = near.plainly(vec![letter]).await {
                own.wrong(format!("a session ends with {error}"));
            }
            own.sleep(hours(1) / AN_HOUR).await;
        }
    });
    life.run(hours(24 * DAYS) + minutes(5));
    let tries = world.net().tries();
    soon(&life, &world);
    within_schedule(&life, &world, tries);
    // The last of them are given up, and everything ends.
    life.run(world.now() + LIFETIME + 2 * MOST);
    life.rest();
    life.end()
}

/// Each letter to a living domain arrived at once.
fn soon(life: &Life, world: &World) {
    let arrived: BTreeMap<u64, u64> = life
        .servers
        .taken
        .borrow()
        .iter()
        .filter_map(|delivery| Some((token(&delivery.octets)?, delivery.at)))
        .collect();
    let is_living = |sent: &&Sent| sent.letter.to[0].0.ends_with(".many.example");
    let (mut slowest, mut letters) = (0, 0);
    for sent in life.book.all().iter().filter(is_living) {
        let Fate::Promised(at) = sent.fate else {
            world.wrong(format!("{} was not taken", sent.letter.to[0].0));
            continue;
        };
        let Some(end) = arrived.get(&sent.letter.token) else {
            world.wrong(format!("{} has nothing", sent.letter.to[0].0));
            continue;
        };
        letters += 1;
        slowest = slowest.max(end.saturating_sub(at));
    }
    world.note(&format!("{letters} letters to the living arrived within {slowest} ms"));
    if slowest > SOON || letters < (DAYS * 24 * AN_HOUR * LIVING / 100) - LIVING {
        world.wrong(format!("{letters} letters to the living, within {slowest} ms"));
    }
}

/// No letter to a dead domain was tried more often than its schedule says.
fn within_schedule(life: &Life, world: &World, tries: u64) {
    let mut deferred: BTreeMap<String, usize> = BTreeMap::new();
    for line in world.lines().iter().filter(|line| line.text.starts_with("event=deferred")) {
        let id = line.text.split(' ').find(|word| word.starts_with("id=")).unwrap_or_default();
        *deferred.entry(id.to_string()).or_default() += 1;
    }
    let most = deferred.values().max().copied().unwrap_or_default();
    world.note(&format!("{} dead letters, tried {most} times at most", deferred.len()));
    if most > attempts() || most < attempts() / 2 {
        world.wrong(format!("a dead letter was tried {most} times, {} allowed", attempts()));
    }
    // For each: a connection, and questions (MX, policy, address) whose answers have ended.
    let attempts: usize = deferred.values().sum();
    let living = life.book.all().len() as u64;
    let costs = tries.saturating_sub(living * 8);
    world.note(&format!("{costs} connections and datagrams for {attempts} attempts"));
    if costs > 4 * attempts as u64 {
        world.wrong(format!("{costs} connections and datagrams for {attempts} attempts"));
    }
}

#[test]
fn each_letter_to_a_living_domain_arrives_within_a_minute_and_a_dead_one_costs_its_schedule() {
    crate::live_all(crate::seeds(2), hundred_domains);
}
