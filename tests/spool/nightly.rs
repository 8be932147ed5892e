//! The same stories for as long as one likes: `scripts/nightly`.

use crate::{
    cuts, flips, losses,
    story::RECOVERIES,
    sweep::{self, Sweep},
};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// A story, and the test that tells it again: `SEED=n cargo test --test spool NAME`.
type Named = (&'static str, fn(u64));

const STORIES: [Named; 12] = [
    ("what_was_promised_is_there_after_every_cut", cuts),
    ("a_life_may_be_cut_off", |seed| sweep::whole_life(seed, Sweep::Part(3))),
    ("what_was_promised_is_there_after_every_cut", cuts),
    ("whatever_part_of_what_was_not_synced", sweep::short_life),
    ("what_was_promised_is_there_after_every_cut", cuts),
    ("a_flipped_bit_costs_the_record", crate::flips),
    ("a_flipped_bit_in_a_record", |seed| flips::records(seed, 149)),
    ("a_bit_that_flips_while_it_is_at_work", flips::at_work),
    ("a_lost_file_is_never_fatal", crate::losses),
    ("missing_segments_cost", losses::segments),
    ("a_segment_of_another_length", losses::short_segments),
    ("a_large_file_that_is_missing", losses::large),
];

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

#[test]
#[ignore = "for minutes: scripts/nightly"]
#[expect(clippy::disallowed_methods, reason = "how long it runs is a matter of the real clock")]
fn nightly() {
    let began = Instant::now();
    let patience = Duration::from_secs(60 * number("MINUTES").unwrap_or(1));
    let (next, failures) = (AtomicU64::new(number("FROM").unwrap_or(0)), AtomicU64::new(0));
    let work = || {
        while began.elapsed() < patience {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            let (name, story) = STORIES[usize::try_from(seed % 12).expect("small")];
            if catch_unwind(AssertUnwindSafe(|| story(seed))).is_err() {
                println!("SEED={seed} cargo test --test spool {name}");
                failures.fetch_add(1, Ordering::Relaxed);
            }
        }
        RECOVERIES.get()
    };
    let threads = number("THREADS").unwrap_or(1);
    let points: u64 = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().expect("a thread of stories")).sum()
    });
    let seconds = began.elapsed().as_secs().max(1);
    println!("the journal: {points} crash points in {seconds} s, {} a second", points / seconds);
    let (failures, stories) = (failures.into_inner(), next.into_inner());
    assert_eq!(failures, 0, "of the stories before seed {stories}");
}
