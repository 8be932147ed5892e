//! Reads that fail at the start and not the next time: what the disk did not give is not written
//! over.

use super::{
    disk::SimDisk,
    world::{Ended, World},
};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    io,
    rc::Rc,
};
use waypost::{
    proto::mail::address::Address,
    relay::{
        envelope::{Envelope, Id, Notify, Recipient},
        spool::{Room, Spool},
    },
    sys::{Disk, File, Open, Pending, Sys},
};

const ROOM: Room = Room { octets: 16 * 64 * 1024, message: 60 * 1024, segment_bytes: 64 * 1024 };

/// Whether a read at this path and offset fails.
type Rule = Rc<dyn Fn(&str, u64) -> bool>;

fn rule(fails: impl Fn(&str, u64) -> bool + 'static) -> Rule {
    Rc::new(fails)
}

/// A disk some of whose reads fail.
struct Deaf {
    disk: SimDisk,
    fails: Rule,
}

struct DeafFile {
    file: Rc<dyn File>,
    path: String,
    fails: Rule,
}

impl Disk for Deaf {
    fn open<'a>(&'a self, path: &'a str, how: Open) -> Pending<'a, io::Result<Rc<dyn File>>> {
        Box::pin(async move {
            let (file, path) = (self.disk.open(path, how).await?, path.to_string());
            Ok(Rc::new(DeafFile { file, path, fails: self.fails.clone() }) as Rc<dyn File>)
        })
    }

    fn list<'a>(&'a self, dir: &'a str) -> Pending<'a, io::Result<Vec<(String, u64)>>> {
        self.disk.list(dir)
    }

    fn make_dir<'a>(&'a self, dir: &'a str) -> Pending<'a, io::Result<()>> {
        self.disk.make_dir(dir)
    }

    fn rename<'a>(&'a self, from: &'a str, to: &'a str) -> Pending<'a, io::Result<()>> {
        self.disk.rename(from, to)
    }

    fn remove<'a>(&'a self, path: &'a str) -> Pending<'a, io::Result<()>> {
        self.disk.remove(path)
    }

    fn sync_dir<'a>(&'a self, dir: &'a str) -> Pending<'a, io::Result<()>> {
        self.disk.sync_dir(dir)
    }

    fn room<'a>(&'a self, dir: &'a str) -> Pending<'a, io::Result<u64>> {
        self.disk.room(dir)
    }
}

impl File for DeafFile {
    fn read_at(&self, offset: u64, length: usize) -> Pending<'_, io::Result<Vec<u8>>> {
        if (self.fails)(&self.path, offset) {
            return Box::pin(std::future::ready(Err(io::Error::other("it is not read"))));
        }
        self.file.read_at(offset, length)
    }

    fn write_at(&self, offset: u64, octets: Vec<u8>) -> Pending<'_, io::Result<Vec<u8>>> {
        self.file.write_at(offset, octets)
    }

    fn write_sync(&self, offset: u64, octets: Vec<u8>) -> Pending<'_, io::Result<Vec<u8>>> {
        self.file.write_sync(offset, octets)
    }

    fn sync(&self) -> Pending<'_, io::Result<()>> {
        self.file.sync()
    }

    fn length(&self) -> Pending<'_, io::Result<u64>> {
        self.file.length()
    }
}

/// What a life finds, and what it promises.
type Ids = (BTreeSet<Id>, BTreeSet<Id>);

/// One life of a spool, with `messages` more promised; or why it did not open.
fn live(disk: &SimDisk, fails: Rule, messages: usize) -> io::Result<Ids> {
    let world = World::new(1);
    let unread = Rc::new(Cell::new(false));
    let seen = unread.clone();
    let fails = rule(move |path, at| {
        let failed = fails(path, at);
        seen.set(seen.get() || failed);
        failed
    });
    let deaf = Deaf { disk: disk.clone(), fails };
    let sys = Sys { disk: Rc::new(deaf), ..world.sys(disk) };
    let result = Rc::new(RefCell::new(None));
    let told = result.clone();
    sys.clone().spawn(async move {
        let life = async {
            let (spool, recovered) = Spool::open(&sys, ROOM).await?;
            let told = recovered.damaged.iter().any(|damage| damage.words.contains("read"));
            assert_eq!(told, unread.get(), "damage is told: {:?}", recovered.damaged);
            let mut kept = BTreeSet::new();
            for _ in 0..messages {
                let mut draft = spool.draft();
                draft.append(&[b'x'; 3000]).await.expect("there is room");
                kept.insert(spool.commit(draft, &envelope()).await.expect("a disk to write").id);
            }
            spool.sync_now().await.expect("a disk to write");
            Ok((recovered.entries.iter().map(|entry| entry.id).collect(), kept))
        };
        *told.borrow_mut() = Some(life.await);
    });
    assert_eq!(world.run(u64::MAX), Ended::Done);
    world.kill();
    disk.cut();
    result.take().expect("it came to an end")
}

fn envelope() -> Envelope {
    let to = Address::parse("a@example.org").expect("valid");
    let recipient = Recipient { to, orcpt: String::new(), notify: Notify::default() };
    Envelope { recipients: vec![recipient], ..Envelope::default() }
}

fn nothing() -> Rule {
    rule(|_, _| false)
}

#[test]
fn a_disk_that_gives_next_to_nothing_of_the_journal_ends_the_start_and_all_is_there_the_next_time()
{
    let rules = [
        rule(|path, _| path.contains(".seg")),
        rule(|path, at| path.contains(".seg") && at > 0),
        rule(|path, at| path.ends_with("01.seg") && at > 0),
        rule(|path, at| path.ends_with("03.seg") && at > 0),
        rule(|path, at| path.ends_with("03.seg") && at > 2 * 4096),
    ];
    for (n, fails) in rules.into_iter().enumerate() {
        let disk = SimDisk::new(1, 1 << 30);
        let (_, kept) = live(&disk, nothing(), 40).expect("a fine disk");
        assert!(live(&disk, fails, 5).is_err(), "rule {n}");
        let (found, _) = live(&disk, nothing(), 0).expect("a fine disk");
        assert_eq!(found, kept, "rule {n}");
    }
}

#[test]
fn a_disk_that_gives_nothing_any_more_from_some_moment_on_costs_nothing() {
    let (mut ended, mut opened) = (0, 0);
    for n in 0..60_u32 {
        let disk = SimDisk::new(1, 1 << 30);
        let (_, kept) = live(&disk, nothing(), 40).expect("a fine disk");
        let left = Cell::new(n);
        let fails = rule(move |path, _| {
            let over = left.get() == 0;
            left.set(left.get().saturating_sub(u32::from(path.contains(".seg"))));
            over && path.contains(".seg")
        });
        match live(&disk, fails, 5) {
            Err(_) => ended += 1,
            Ok((found, _)) => {
                assert_eq!(found, kept, "read {n}");
                opened += 1;
            }
        }
        let (later, _) = live(&disk, nothing(), 0).expect("a fine disk");
        assert!(later.is_superset(&kept), "read {n}: {} of {}", later.len(), kept.len());
    }
    assert!(ended > 5 && opened > 5, "{ended}, {opened}");
}

#[test]
fn a_bad_page_is_no_failing_disk() {
    let rules = [
        rule(|path, at| path.ends_with("01.seg") && at == 4096),
        rule(|path, at| path.ends_with("03.seg") && at == 4096),
    ];
    for (n, fails) in rules.into_iter().enumerate() {
        let disk = SimDisk::new(1, 1 << 30);
        let (_, kept) = live(&disk, nothing(), 40).expect("a fine disk");
        let (found, _) = live(&disk, fails, 0).expect("a page is no reason");
        assert!(
            found.len() < kept.len() && found.len() + 3 > kept.len(),
            "rule {n}: {}",
            found.len()
        );
    }
}

#[test]
fn what_is_promised_beside_a_segment_that_is_not_read_is_there_when_it_is_read_again() {
    let rules = [
        rule(|path, _| path.ends_with("01.seg")),
        rule(|path, _| path.ends_with("02.seg")),
        rule(|path, _| path.ends_with("03.seg")),
    ];
    for (n, fails) in rules.into_iter().enumerate() {
        for more in [1, 5, 40] {
            let disk = SimDisk::new(1, 1 << 30);
            let (_, kept) = live(&disk, nothing(), 40).expect("a fine disk");
            let (found, fresh) = live(&disk, fails.clone(), more).expect("there are others");
            assert!(found.len() < kept.len() && found.is_subset(&kept), "rule {n}");
            let (later, _) = live(&disk, nothing(), 0).expect("a fine disk");
            let owed = found.union(&fresh).copied().collect();
            assert!(
                later.is_superset(&owed),
                "rule {n}, {more}: {} of {}",
                later.len(),
                owed.len()
            );
        }
    }
}
