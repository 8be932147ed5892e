//! More events than the history keeps.

use crate::{boot::Boot, disk::SimDisk, shelf::Entries, world::World};
use waypost::{
    limits,
    relay::{
        envelope::Id,
        trace::{Event, History},
    },
    sys::Sys,
};

/// Entries of the index, in all.
fn count(entries: &Entries) -> u64 {
    entries.borrow().len() as u64
}

async fn tell(sys: &Sys, history: &History, which: std::ops::Range<u64>) {
    for n in which {
        let event = Event::of("accepted", Id::new(n + 1), &format!("{n:06}@camera.example"));
        let event = event.with("from", format!("{n:06}@two.example"));
        history.add(sys, event.with("words", "w".repeat(110)));
        if n % 200 == 0 {
            history.write(sys).await.expect("the index is fine");
        }
    }
    history.write(sys).await.expect("the index is fine");
}

#[test]
fn a_hundred_thousand_events_are_kept_and_the_oldest_forgotten_with_all_their_names() {
    let (world, disk, entries) = (World::new(1), SimDisk::new(1, 1 << 20), Entries::default());
    // Four of these fill a block.
    let most = 4 * limits::HISTORY_BLOCKS;
    assert_eq!(most, 100_000);
    let own = entries.clone();
    let work = move |sys: Sys| async move {
        let history = History::default();
        tell(&sys, &history, 0..most + 5_000).await;
        let full = count(&own);
        tell(&sys, &history, most + 5_000..most + 15_000).await;
        // A block or two more or less.
        let later = count(&own);
        assert!(later.abs_diff(full) < full / 100, "{full} entries, {later} later");
        assert!(later <= limits::HISTORY_BLOCKS * 11 / 10, "blocks and their digests: {later}");
        for n in [0, 1, 4_000, most + 14_999] {
            let kept = usize::from(n > 15_000);
            let id = Id::new(n + 1).to_string();
            for query in [id, format!("{n:06}@camera.example"), format!("{n:06}@two.example")] {
                let found = history.find(&sys, &query, 10).await.expect("the index is fine");
                assert_eq!(found.len(), kept, "{query}");
            }
        }
        // A new process goes on where it was.
        let next = History::default();
        tell(&sys, &next, most + 15_000..most + 16_000).await;
        let later = count(&own);
        assert!(later.abs_diff(full) < full / 100, "{full} entries, {later} after a restart");
    };
    assert!(Boot::borrowed(&world, 1, &disk, &entries, work).is_some(), "it comes to an end");
    assert_eq!(world.wrongs(), Vec::<String>::new());
}
