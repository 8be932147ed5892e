//! Whole lives of the relay in a simulated world, each made of one seed: clock, chance, network,
//! disk, index and encryption are faked, and everything above them is what runs in the real world.
//!
//! `SEED=42 cargo test --test sim` lives one life again and prints all that happened in it;
//! `SEEDS=10000` widens the search.

#![allow(
    clippy::format_push_string,
    clippy::needless_for_each,
    clippy::single_char_pattern,
    clippy::single_match_else,
    clippy::unused_async,
    clippy::unused_self,
    reason = "taste of pedantic lints; a world that is only a test may be plainer"
)]
#![expect(unreachable_pub, reason = "the modules of one test, and disk is of two")]

mod boot;
mod cable;
mod clocks;
mod crowds;
mod dates;
#[expect(dead_code, reason = "the simulation of the spool alone uses more of it")]
mod disk;
mod door;
mod full;
mod history;
mod indexes;
mod judge;
mod letters;
mod life;
mod lines;
mod medium;
mod names;
mod net;
mod nightly;
mod reports;
mod senders;
mod servers;
mod shelf;
mod specials;
mod steps;
mod talk;
mod tasks;
mod veil;
mod week;
mod world;
mod year;

use life::Came;
use std::{
    ops::Range,
    sync::atomic::{AtomicU64, Ordering},
};

/// Lives in an ordinary run of the tests.
const LIVES: u64 = 300;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|value| value.parse().ok())
}

/// Live all these lives, on as many threads as there are processors; the first that went wrong is
/// shown.
fn live_all(seeds: Range<u64>, live: fn(u64) -> Came) {
    let next = AtomicU64::new(seeds.start);
    let lives = || {
        let mut lived = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return lived;
            }
            // Whoever runs in circles, or the test itself.
            let came = std::panic::catch_unwind(|| live(seed)).unwrap_or_else(|panic| Came {
                wrongs: vec![format!("panic: {}", tasks::words(&*panic))],
                ..Came::default()
            });
            let log = if number("SEED").is_some() { came.log } else { Vec::new() };
            lived.push((seed, Came { log, ..came }));
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut lived: Vec<(u64, Came)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(lives)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("a thread of lives")).collect()
    });
    lived.sort_by_key(|(seed, _)| *seed);
    let sum = |of: fn(&Came) -> usize| lived.iter().map(|(_, came)| of(came)).sum::<usize>();
    println!(
        "{} lives: {} messages promised, {} deliveries, {} bounces, {} crashes",
        lived.len(),
        sum(|came| came.promised),
        sum(|came| came.delivered),
        sum(|came| came.bounced),
        sum(|came| came.crashes),
    );
    for (_, came) in &lived {
        came.log.iter().for_each(|line| println!("{line}"));
    }
    let bad: Vec<_> = lived.iter().filter(|(_, came)| !came.wrongs.is_empty()).collect();
    for (seed, came) in bad.iter().take(20) {
        let wrongs: Vec<&str> = came.wrongs.iter().take(5).map(String::as_str).collect();
        println!(
            "SEED={seed}: {} of {}\n    {}",
            wrongs.len(),
            came.wrongs.len(),
            wrongs.join("\n    ")
        );
    }
    assert!(bad.is_empty(), "{} of {} lives went wrong", bad.len(), lived.len());
}

/// These seeds, or the one that is asked for.
fn seeds(many: u64) -> Range<u64> {
    number("SEED").map_or(0..many, |seed| seed..seed + 1)
}

#[test]
fn every_promise_is_kept_through_crashes_and_faults() {
    let seeds = match (number("SEED"), number("SEEDS")) {
        (Some(seed), _) => seed..seed + 1,
        (None, lives) => 0..lives.unwrap_or(LIVES),
    };
    live_all(seeds, life::usual);
}

#[test]
fn the_same_seed_gives_the_same_life() {
    for seed in 0..20 {
        let (first, again) = (life::usual(seed), life::usual(seed));
        let differs = first.log.iter().zip(&again.log).find(|(a, b)| a != b);
        assert_eq!(differs, None, "SEED={seed}");
        assert_eq!(first.fingerprint, again.fingerprint, "SEED={seed}");
    }
}

#[test]
fn thirty_days_without_a_line_are_held_against_no_message() {
    live_all(seeds(4), specials::outage);
}

#[test]
fn a_message_that_goes_in_circles_ends() {
    live_all(0..2, specials::circle);
}

#[test]
fn a_user_far_away_may_send_with_the_right_password_only() {
    live_all(0..1, specials::login);
}

#[test]
fn a_full_spool_is_told_and_has_room_again_when_the_mail_has_gone() {
    live_all(seeds(3), full::spool);
}

#[test]
fn a_full_file_system_is_told_and_room_is_left_to_others() {
    live_all(seeds(4), full::file_system);
}

#[test]
fn an_index_that_is_ill_or_gone_stops_no_mail() {
    live_all(seeds(3), indexes::ill);
}

#[test]
fn a_clock_that_is_not_set_or_jumps_neither_ends_a_message_nor_hastens_it() {
    live_all(seeds(6), clocks::jumps);
}

#[test]
fn what_waits_for_the_line_goes_out_within_seconds_of_its_return_and_causes_no_storm_before() {
    live_all(seeds(4), lines::days);
}

#[test]
fn ten_thousand_recipients_owed_are_reached_when_the_line_is_up() {
    live_all(seeds(1), crowds::ten_thousand);
}

#[test]
fn a_relay_may_be_cut_off_or_killed_after_each_operation_of_its_disk() {
    live_all(seeds(steps::MOST), steps::step);
    let stepped = |n| steps::step(n).stepped;
    assert!(stepped(steps::MOST / 2) && !stepped(steps::MOST - 1), "everywhere, and no more");
}
