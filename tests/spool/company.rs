//! Commits that wait a moment for open transactions, and what is written beside them.

use crate::{
    bounds::{commit, with_spool},
    disk::{Faults, SimDisk},
    world::{Ended, World},
};
use std::{cell::Cell, rc::Rc, time::Duration};
use waypost::{
    limits,
    relay::spool::{Room, Spool},
};

const ROOM: Room = Room { octets: 64 << 20, message: 25 << 20, segment_bytes: 1 << 20 };

#[test]
fn what_is_done_is_written_while_a_commit_waits_for_company() {
    with_spool(ROOM, |sys, spool| async move {
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

/// A relay that is killed in the middle of a sync forgets no delivery that was over by then.
#[test]
fn what_is_done_is_written_while_others_are_synced() {
    let (disk, noted) = (SimDisk::new(1, 1 << 30), Rc::new(Cell::new(false)));
    let (world, flash, over) = (World::new(1), disk.clone(), noted.clone());
    let sys = world.sys(&disk);
    world.sys(&disk).spawn(async move {
        let (spool, _) = Spool::open(&sys, ROOM).await.expect("an empty disk");
        let first = commit(&spool, 2300).await.expect("there is room");
        let second = commit(&spool, 2300).await.expect("there is room");
        flash.fail(Faults { stalled: true, ..Faults::default() });
        futures_lite::future::zip(commit(&spool, 2300), async {
            // The commit's sync has begun.
            sys.sleep(Duration::from_secs(1)).await;
            spool.done(first.id).await.expect("the disk writes");
            spool.done(second.id).await.expect("the disk writes");
            over.set(true);
        })
        .await
        .0
        .expect("not reached");
    });
    assert_eq!(world.run(u64::MAX), Ended::Stuck);
    assert!(noted.get(), "nobody waits for the others' sync");
    world.kill();
    disk.fail(Faults::default());
    let world = World::new(2);
    let sys = world.sys(&disk);
    world.sys(&disk).spawn(async move {
        let (_, recovered) = Spool::open(&sys, ROOM).await.expect("the disk is fine");
        let sizes: Vec<u64> = recovered.entries.iter().map(|entry| entry.size).collect();
        assert_eq!(sizes, [2300], "the one that was promised to nobody, which is no harm");
        assert_eq!(recovered.damage_count, 0);
    });
    assert_eq!(world.run(u64::MAX), Ended::Done);
}

/// What a sync that never ends keeps from being durable is bounded all the same.
#[test]
fn no_more_is_written_beside_a_sync_than_may_wait_for_one() {
    // A record without payload.
    const DONE: usize = 32;
    let most = limits::LAZY_SYNC_BYTES / DONE;
    let (disk, noted) = (SimDisk::new(1, 1 << 30), Rc::new(Cell::new(0)));
    let (world, flash, count) = (World::new(1), disk.clone(), noted.clone());
    let sys = world.sys(&disk);
    world.sys(&disk).spawn(async move {
        let (spool, _) = Spool::open(&sys, ROOM).await.expect("an empty disk");
        let mut kept = Vec::new();
        for _ in 0..most + 2 {
            kept.push(commit(&spool, 100).await.expect("there is room").id);
        }
        flash.fail(Faults { stalled: true, ..Faults::default() });
        let others = async {
            sys.sleep(Duration::from_secs(1)).await;
            for id in kept {
                spool.done(id).await.expect("the disk writes");
                count.set(count.get() + 1);
            }
        };
        drop(futures_lite::future::zip(commit(&spool, 100), others).await);
    });
    assert_eq!(world.run(u64::MAX), Ended::Stuck);
    assert_eq!(noted.get(), most);
}
