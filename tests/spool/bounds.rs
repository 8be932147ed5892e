//! What a spool costs the flash, and what it says at each of its bounds.

use crate::{
    disk::{Faults, SimDisk},
    life,
    world::{Ended, World},
};
use std::{
    cell::{Cell, RefCell},
    future::Future,
    rc::Rc,
    time::Duration,
};
use waypost::{
    limits,
    proto::{
        mail::address::Address,
        status::{Class, Outcome, Status},
    },
    relay::{
        envelope::{Envelope, Id, Notify, Progress, Recipient},
        spool::{Room, Spool, SpoolError},
    },
    sys::Sys,
};

const SMALL: Room = Room { octets: 16 * 64 * 1024, message: 60 * 1024, segment_bytes: 64 * 1024 };

/// Run `work` with a new spool on a disk without faults, until nothing is left to do.
pub(crate) fn with_spool<F: Future<Output = ()> + 'static>(
    room: Room,
    work: impl FnOnce(Sys, Spool) -> F + 'static,
) -> (World, SimDisk) {
    with_disk(SimDisk::new(1, 1 << 30), room, work)
}

fn with_disk<F: Future<Output = ()> + 'static>(
    disk: SimDisk,
    room: Room,
    work: impl FnOnce(Sys, Spool) -> F + 'static,
) -> (World, SimDisk) {
    let world = World::new(1);
    let sys = world.sys(&disk);
    let over = Rc::new(Cell::new(false));
    let ended = over.clone();
    sys.clone().spawn(async move {
        let (spool, _) = Spool::open(&sys, room).await.expect("an empty disk");
        work(sys, spool).await;
        ended.set(true);
    });
    assert_eq!(world.run(u64::MAX), Ended::Done, "nothing is awake when nothing is to be done");
    assert!(over.get());
    (world, disk)
}

fn envelope(recipients: usize, orcpt: usize) -> Envelope {
    let recipient = |n: usize| Recipient {
        to: Address::parse(&format!("r{n}@example.org")).expect("valid"),
        orcpt: "x".repeat(orcpt),
        notify: Notify::default(),
    };
    Envelope { recipients: (0..recipients).map(recipient).collect(), ..Envelope::default() }
}

pub(crate) async fn commit(
    spool: &Spool,
    size: usize,
) -> Result<waypost::relay::spool::Entry, SpoolError> {
    let mut draft = spool.draft();
    // A failure is told again at commit.
    draft.append(&vec![b'x'; size]).await.ok();
    spool.commit(draft, &envelope(1, 0)).await
}

#[test]
fn a_message_alone_costs_one_sync_and_one_page() {
    with_spool(Room::new(64 << 20, 25 << 20), |sys, spool| async move {
        // The segments are made first.
        sys.sleep(Duration::from_secs(10)).await;
        let before = spool.usage();
        for _ in 0..2000 {
            let entry = commit(&spool, 2300).await.expect("there is room");
            spool.done(entry.id).await.expect("the disk is fine");
        }
        let after = spool.usage();
        let syncs = after.syncs - before.syncs;
        assert!((2000..=2020).contains(&syncs), "{syncs} syncs for 2000 messages");
        let octets = (after.written - before.written) / 2000;
        assert!(octets <= 4096 + 20, "{octets} octets a message");
        assert_eq!(after.segments, limits::SEGMENTS_MIN, "nothing grows when nothing stays");
    });
}

#[test]
fn all_who_wait_share_a_sync() {
    with_spool(Room::new(64 << 20, 25 << 20), |sys, spool| async move {
        sys.sleep(Duration::from_secs(10)).await;
        let before = spool.usage();
        let left = Rc::new(Cell::new(10));
        for _ in 0..10 {
            let (spool, left) = (spool.clone(), left.clone());
            sys.spawn(async move {
                for _ in 0..100 {
                    let entry = commit(&spool, 2300).await.expect("there is room");
                    spool.done(entry.id).await.expect("the disk is fine");
                }
                left.set(left.get() - 1);
            });
        }
        while left.get() > 0 {
            sys.sleep(Duration::from_secs(1)).await;
        }
        let after = spool.usage();
        let syncs = after.syncs - before.syncs;
        assert!(syncs <= 400, "{syncs} syncs for 1000 messages");
        let octets = (after.written - before.written) / 1000;
        assert!(octets <= 4096, "{octets} octets a message");
    });
}

#[test]
fn what_nobody_waits_for_is_durable_soon_after() {
    let (_, disk) = with_spool(SMALL, |sys, spool| async move {
        let entry = commit(&spool, 100).await.expect("there is room");
        spool.done(entry.id).await.expect("the disk is fine");
        let before = spool.usage().syncs;
        sys.sleep(limits::LAZY_SYNC_WAIT + Duration::from_secs(1)).await;
        assert_eq!(spool.usage().syncs, before + 1);
    });
    disk.cut();
    let world = World::new(2);
    let sys = world.sys(&disk);
    world.sys(&disk).spawn(async move {
        let (_, recovered) = Spool::open(&sys, SMALL).await.expect("the disk is fine");
        assert_eq!(recovered.entries, []);
    });
    assert_eq!(world.run(u64::MAX), Ended::Done);
}

#[test]
fn a_file_that_could_not_be_removed_goes_when_the_disk_lets_it() {
    let disk = SimDisk::new(1, 1 << 30);
    let frail = disk.clone();
    let (_, disk) = with_disk(disk, SMALL, |sys, spool| async move {
        let entry = commit(&spool, 50_000).await.expect("there is room");
        assert_eq!(frail.files("spool/large/").len(), 1, "it has a file of its own");
        frail.fail(Faults { names: 1000, ..Faults::default() });
        spool.done(entry.id).await.expect("the journal is fine");
        sys.sleep(5 * limits::LAZY_SYNC_WAIT).await;
        assert!(spool.usage().trouble.contains("removing"), "{}", spool.usage().trouble);
        assert_eq!(frail.files("spool/large/").len(), 1);
        frail.fail(Faults::default());
        sys.sleep(2 * limits::LAZY_SYNC_WAIT).await;
        assert_eq!(spool.usage().trouble, "");
    });
    assert_eq!(disk.files("spool/large/"), []);
}

#[test]
fn a_full_spool_says_so_and_takes_mail_again_when_there_is_room() {
    with_spool(SMALL, |_, spool| async move {
        let mut kept = Vec::new();
        assert!(spool.has_room(3000));
        let full = loop {
            match commit(&spool, 3000).await {
                Ok(entry) => kept.push(entry),
                Err(error) => break error,
            }
        };
        assert!(matches!(full, SpoolError::Full), "{full}");
        assert!(!spool.has_room(3000));
        let held: u64 = kept.len() as u64 * 3000;
        // Half of it, less what is left to the reports that end messages.
        let most = SMALL.octets - SMALL.octets / limits::REPORT_SHARE;
        assert!(held * 2 > most, "{held} octets of {most} are used");
        // Every attempt can still be noted, with or without words.
        for entry in &kept {
            let progress = Progress { attempts: 9, held: true, ..Progress::new(1) };
            spool.settle(entry.id, &progress).await.expect("there is always room for that");
        }
        for entry in &kept {
            let (_, progress) = spool.load(entry.id).await.expect("it is there");
            assert_eq!((progress.attempts, progress.held), (9, true));
            spool.done(entry.id).await.expect("there is always room for that");
        }
        assert!(spool.has_room(3000));
        commit(&spool, 3000).await.expect("there is room again");
    });
}

/// Messages of `size` octets to so many, written side by side: as many as there is room for, `most`
/// at most.
async fn fill(sys: &Sys, spool: &Spool, most: usize, size: usize, recipients: usize) -> Vec<Id> {
    let kept = Rc::new(RefCell::new(Vec::new()));
    for _ in 0..most {
        let (spool, kept) = (spool.clone(), kept.clone());
        sys.spawn(async move {
            let mut draft = spool.draft();
            // A failure is told again at commit.
            draft.append(&vec![b'x'; size]).await.ok();
            match spool.commit(draft, &envelope(recipients, 0)).await {
                Ok(entry) => kept.borrow_mut().push(entry.id),
                Err(SpoolError::Full) => {}
                Err(error) => panic!("{error}"),
            }
        });
    }
    sys.sleep(Duration::from_mins(1)).await;
    kept.take()
}

#[test]
fn what_becomes_of_each_recipient_can_be_noted_however_full_the_spool_is() {
    for (recipients, size) in [(1, 1), (5, 1), (5, 600), (5, 20_000), (100, 1), (100, 3000)] {
        for most in [20, 50, 100, 200, 1000] {
            with_spool(SMALL, move |sys, spool| async move {
                let kept = fill(&sys, &spool, most, size, recipients).await;
                let status = Status::new(Class::Transient, 4, 1);
                let outcomes = vec![Some(Outcome::ours(status, "w".repeat(240))); recipients];
                for attempts in 1..=3 {
                    let progress =
                        Progress { attempts, outcomes: outcomes.clone(), ..Progress::default() };
                    for id in &kept {
                        let noted = spool.settle(*id, &progress).await;
                        noted.unwrap_or_else(|error| {
                            panic!("{most} of {size} octets for {recipients}: {error}")
                        });
                    }
                }
                for id in &kept {
                    let (_, progress) = spool.load(*id).await.expect("it is there");
                    assert_eq!((progress.attempts, progress.outcomes.len()), (3, recipients));
                    spool.done(*id).await.expect("there is always room for that");
                }
                assert_eq!(spool.usage().messages, 0);
            });
        }
    }
}

#[test]
fn a_message_of_the_largest_size_is_taken_and_one_octet_more_is_not() {
    with_spool(SMALL, |_, spool| async move {
        let size = usize::try_from(SMALL.message).expect("small");
        let entry = commit(&spool, size).await.expect("just as large as allowed");
        assert_eq!(life::read(&spool, entry.id).await.expect("it is there").len(), size);
        assert!(matches!(commit(&spool, size + 1).await, Err(SpoolError::Full)));
    });
}

#[test]
fn a_message_beyond_its_share_of_the_journal_is_in_a_file() {
    with_spool(SMALL, |_, spool| async move {
        let share = 5 * 1024;
        let disk = |spool: &Spool| spool.usage().disk % u64::from(SMALL.segment_bytes);
        commit(&spool, share).await.expect("there is room");
        assert_eq!(disk(&spool), 0);
        let entry = commit(&spool, share + 1).await.expect("there is room");
        assert_eq!(disk(&spool), 8192);
        assert_eq!(life::read(&spool, entry.id).await.expect("it is there").len(), share + 1);
    });
}

#[test]
fn an_envelope_beyond_its_share_of_the_journal_is_in_a_file() {
    with_spool(SMALL, |_, spool| async move {
        for (orcpt, files) in [(10, 0), (60, 4096)] {
            let mut draft = spool.draft();
            draft.append(b"x\r\n").await.expect("there is room");
            let wide = envelope(20, orcpt);
            let entry = spool.commit(draft, &wide).await.expect("there is room");
            assert_eq!(spool.usage().disk % u64::from(SMALL.segment_bytes), files);
            assert_eq!(spool.load(entry.id).await.expect("it is there").0, wide);
            assert_eq!(life::read(&spool, entry.id).await.expect("it is there"), b"x\r\n");
        }
    });
}

#[test]
fn as_many_recipients_as_a_record_can_keep_outcomes_of_and_no_more() {
    with_spool(SMALL, |_, spool| async move {
        let most = (1024 - 13) / 7;
        for (recipients, fits) in [(most, true), (most + 1, false)] {
            let result = spool.commit(spool.draft(), &envelope(recipients, 0)).await;
            assert_eq!(result.is_ok(), fits, "{recipients}");
            assert!(fits || matches!(result, Err(SpoolError::TooMany)));
        }
    });
}

#[test]
fn drafts_beyond_their_common_memory_go_to_files() {
    with_spool(Room::new(64 << 20, 25 << 20), |_, spool| async move {
        let files = |spool: &Spool| spool.usage().disk % (1 << 20);
        let mut drafts = Vec::new();
        let piece = vec![b'x'; limits::DRAFTS_BYTES / 16];
        for _ in 0..16 {
            let mut draft = spool.draft();
            draft.append(&piece).await.expect("there is room");
            drafts.push(draft);
        }
        assert_eq!(files(&spool), 0, "they just fit");
        let mut draft = spool.draft();
        draft.append(&piece).await.expect("there is room");
        assert!(files(&spool) > 0);
        let entry = spool.commit(draft, &envelope(1, 0)).await.expect("there is room");
        assert!(life::read(&spool, entry.id).await.expect("it is there") == piece);
        drop(drafts);
        let mut draft = spool.draft();
        let before = files(&spool);
        draft.append(&piece).await.expect("there is room");
        assert_eq!(files(&spool), before, "the memory is there again");
    });
}

#[test]
fn room_that_others_need_on_the_file_system_is_left_to_them() {
    let world = World::new(1);
    let short = limits::FILE_SYSTEM_SPARE_BYTES + 5 * u64::from(SMALL.segment_bytes);
    let disk = SimDisk::new(1, short);
    let sys = world.sys(&disk);
    let inside = disk.clone();
    sys.clone().spawn(async move {
        let (spool, _) = Spool::open(&sys, SMALL).await.expect("an empty disk");
        while commit(&spool, 3000).await.is_ok() {}
        assert!(!spool.has_room(3000));
        assert!(inside.octets("") <= 5 * u64::from(SMALL.segment_bytes));
        assert!(!spool.has_room(50_000));
        inside.set_room(short * 2);
        // The next who asks learns that it was asked again, and the one after is let in.
        sys.sleep(Duration::from_secs(2)).await;
        spool.has_room(3000);
        sys.sleep(Duration::from_secs(2)).await;
        assert!(spool.has_room(3000) && spool.has_room(50_000));
        commit(&spool, 3000).await.expect("there is room again");
    });
    assert_eq!(world.run(u64::MAX), Ended::Done);
}
