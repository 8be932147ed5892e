//! Lives for as long as one likes: `scripts/nightly`.

use crate::{
    clocks, crowds, full, indexes,
    life::{self, Came},
    number, specials, steps, tasks, week,
};
use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// A life, and the test that lives it again: `SEED=n cargo test --test sim NAME`.
type Named = (&'static str, fn(u64) -> Came);

const LIVES: [Named; 8] = [
    ("every_promise_is_kept", life::usual),
    ("cut_off_or_killed_after_each", steps::step),
    ("every_promise_is_kept", life::usual),
    ("a_clock_that_is_not_set", clocks::jumps),
    ("every_promise_is_kept", life::usual),
    ("a_full_spool_is_told", full::spool),
    ("every_promise_is_kept", life::usual),
    ("a_full_file_system_is_told", full::file_system),
];

/// Lives that take long, each once in so many.
const RARE: [Named; 4] = [
    ("ten_thousand_recipients", crowds::ten_thousand),
    ("an_index_that_is_ill", indexes::ill),
    ("thirty_days_without_a_line", specials::outage),
    ("each_letter_to_a_living_domain", week::hundred_domains),
];

fn which(seed: u64) -> Named {
    let rare = RARE.get(usize::try_from(seed % 400 / 100).expect("small"));
    match rare {
        Some(rare) if seed.is_multiple_of(100) => *rare,
        _ => LIVES[usize::try_from(seed % 8).expect("small")],
    }
}

#[test]
#[ignore = "for minutes: scripts/nightly"]
#[expect(clippy::disallowed_methods, reason = "how long it runs is a matter of the real clock")]
fn nightly() {
    let began = Instant::now();
    let patience = Duration::from_secs(60 * number("MINUTES").unwrap_or(1));
    let (next, failures) = (AtomicU64::new(number("FROM").unwrap_or(0)), AtomicU64::new(0));
    let first = next.load(Ordering::Relaxed);
    let work = || {
        let mut crashes = 0;
        while began.elapsed() < patience {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            let (name, live) = which(seed);
            let came = std::panic::catch_unwind(|| live(seed)).unwrap_or_else(|panic| Came {
                wrongs: vec![format!("panic: {}", tasks::words(&*panic))],
                ..Came::default()
            });
            crashes += came.crashes as u64;
            if let Some(wrong) = came.wrongs.first() {
                println!("SEED={seed} cargo test --test sim {name}\n    {wrong}");
                failures.fetch_add(1, Ordering::Relaxed);
            }
        }
        crashes
    };
    let threads = number("THREADS").unwrap_or(1);
    let crashes: u64 = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().expect("a thread of lives")).sum()
    });
    let seconds = began.elapsed().as_secs().max(1);
    let lives = next.into_inner() - first;
    println!(
        "whole lives: {lives} with {crashes} crashes in {seconds} s, {} a second",
        lives / seconds
    );
    assert_eq!(failures.into_inner(), 0);
}
