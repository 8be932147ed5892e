//! The spool's promises, by simulation: thousands of lives with power cuts, failing disks and
//! little room, each from one seed. `SEED=n` replays one, `SEEDS=n` runs more of them;
//! `scripts/nightly` runs them for as long as it is told to.

mod bounds;
mod company;
#[expect(dead_code, reason = "the simulation of whole lives uses more of it")]
#[path = "../sim/disk/mod.rs"]
mod disk;
mod flips;
mod life;
mod losses;
mod model;
mod nightly;
mod story;
mod sweep;
mod unread;
mod world;

use disk::Faults;
use std::panic::{AssertUnwindSafe, catch_unwind};
use story::Story;

/// Run `story` for many seeds; a failure names its seed.
fn for_seeds(many: u64, story: fn(u64)) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(seed) = number("SEED") {
        return story(seed);
    }
    let (before, seeds) = (story::RECOVERIES.get(), number("SEEDS").unwrap_or(many));
    for seed in 0..seeds {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| story(seed))) {
            eprintln!("to see it again: SEED={seed}");
            std::panic::resume_unwind(panic);
        }
    }
    println!("{seeds} stories, {} recoveries", story::RECOVERIES.get() - before);
}

/// Lives with failing disks and little room, killed or cut off at any time.
fn cuts(seed: u64) {
    let mut story = Story::new(seed);
    for _ in 0..=story.chance.below(4) {
        let faults = story.faults();
        let steps = match story.chance.below(4) {
            0 => u64::MAX,
            1 => story.chance.below(100),
            _ => story.chance.below(6000),
        };
        story.live(faults, steps);
        // The process may be killed without the power being cut.
        if story.chance.below(4) > 0 {
            story.disk.cut();
        }
    }
    story.end();
}

/// Bits are flipped between lives.
fn flips(seed: u64) {
    let mut story = Story::new(seed);
    story.live(Faults::default(), u64::MAX);
    let (mut flips, mut missing) = (0, 0);
    for _ in 0..=story.chance.below(3) {
        story.disk.flip("spool/");
        flips += 1;
        story.model.borrow_mut().damaged = true;
        let steps = story.chance.below(6000);
        missing += story.live(Faults::default(), steps).missing;
        assert!(missing <= flips, "{flips} bits have cost {missing} messages");
    }
    story.end();
}

/// A file is lost between lives.
fn losses(seed: u64) {
    let mut story = Story::new(seed);
    story.live(Faults::default(), u64::MAX);
    story.disk.lose("spool/");
    story.model.borrow_mut().damaged = true;
    let steps = story.chance.below(6000);
    story.live(Faults::default(), steps);
    story.end();
}

#[test]
fn what_was_promised_is_there_after_every_cut() {
    for_seeds(700, cuts);
}

#[test]
fn a_flipped_bit_costs_the_record_it_hits_and_no_more() {
    for_seeds(200, flips);
}

#[test]
fn a_lost_file_is_never_fatal() {
    for_seeds(80, losses);
}
