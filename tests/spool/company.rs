//! Commits that wait a moment for open transactions.

use crate::bounds::{commit, with_spool};
use std::time::Duration;
use waypost::{limits, relay::spool::Room};

#[test]
fn what_is_done_is_written_while_a_commit_waits_for_company() {
    with_spool(Room::new(64 << 20, 25 << 20), |sys, spool| async move {
        let first = commit(&spool, 2300).await.expect("there is room");
        sys.sleep(Duration::from_secs(10)).await;
        let before = spool.usage();
        let slow = spool.expect();
        let begun = sys.clock.now();
        let (waiting, done) = futures_lite::future::zip(commit(&spool, 2300), async {
            spool.done(first.id).await.expect("the disk is fine");
            (sys.clock.now().since(begun), spool.usage().syncs)
        })
        .await;
        waiting.expect("there is room");
        assert_eq!(done, (Duration::ZERO, before.syncs), "at once, and without a sync");
        assert_eq!(sys.clock.now().since(begun), limits::COMPANY_WAIT);
        assert_eq!(spool.usage().syncs, before.syncs + 1);
        drop(slow);
    });
}
