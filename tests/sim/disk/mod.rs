//! A simulated disk that loses, after a power cut, whatever a real one may lose.
//!
//! Contents reach the medium with [`File::sync`], names with [`Disk::sync_dir`]. At a power cut
//! each 512-octet sector of each unsynced write, and each unsynced change of a directory, is kept
//! or lost by chance. A failing sync does the same to the unsynced writes and forgets them: a later
//! sync does not try again.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    future::poll_fn,
    io,
    rc::Rc,
    task::Poll,
};
use waypost::sys::{Disk, File, Open, Pending};

mod cut;
mod harm;

#[allow(unused_imports, reason = "the simulation of the spool alone chooses what a cut keeps")]
pub(crate) use cut::Fate;

/// Chance from a seed: splitmix64.
#[derive(Clone, Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    /// The same seed gives the same rolls.
    pub(crate) fn new(seed: u64) -> Chance {
        Chance(seed)
    }

    /// 64 bits.
    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 0 to `n` - 1.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.roll() % n.max(1)
    }

    /// True `n` times in a thousand.
    pub(crate) fn permille(&mut self, n: u64) -> bool {
        self.below(1000) < n
    }
}

/// What goes wrong while the disk is in use, each number so many times in a thousand.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    /// A sync fails, and what it should have written is lost or not.
    pub(crate) sync: u64,
    /// A write fails, and some of it is done.
    pub(crate) write: u64,
    /// Opening, removing or syncing a directory fails.
    pub(crate) names: u64,
    /// No sync ends any more.
    pub(crate) stalled: bool,
}

/// The disk. It outlives the processes that use it.
#[derive(Clone)]
pub(crate) struct SimDisk(Rc<RefCell<World>>);

type Shared = Rc<RefCell<Inode>>;

struct World {
    chance: Chance,
    faults: Faults,
    /// Octets that all files may have together.
    room: u64,
    names: BTreeMap<String, Shared>,
    durable_names: BTreeMap<String, Shared>,
    dirs: BTreeSet<String>,
    durable_dirs: BTreeSet<String>,
    changes: Vec<(String, Change)>,
    /// How often it was changed, or made durable.
    operations: u64,
    /// Files below this may never have more octets together.
    ceiling: Option<(String, u64)>,
    /// Files below this may not grow where they leave fewer octets to all others.
    spare: Option<(String, u64)>,
}

#[derive(Clone)]
enum Change {
    Link(String, Shared),
    Unlink(String),
    MakeDir(String),
}

/// The octets are shared with forks of the disk until they are written to.
#[derive(Clone, Default)]
struct Inode {
    /// What reads see.
    cached: Rc<Vec<u8>>,
    /// What a power cut leaves.
    durable: Rc<Vec<u8>>,
    unsynced: Vec<(usize, Rc<Vec<u8>>)>,
}

impl Inode {
    fn write(&mut self, offset: usize, octets: &[u8]) {
        put(Rc::make_mut(&mut self.cached), offset, octets);
        self.unsynced.push((offset, Rc::new(octets.to_vec())));
    }

    /// Make the first so many of the unsynced writes durable.
    fn sync(&mut self, covered: usize) {
        let covered = covered.min(self.unsynced.len());
        for (offset, octets) in self.unsynced.drain(..covered) {
            put(Rc::make_mut(&mut self.durable), offset, &octets);
        }
    }
}

fn put(into: &mut Vec<u8>, offset: usize, octets: &[u8]) {
    let end = offset + octets.len();
    if into.len() < end {
        into.resize(end, 0);
    }
    into[offset..end].copy_from_slice(octets);
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or(".", |(parent, _)| parent)
}

impl SimDisk {
    /// An empty disk of `room` octets.
    pub(crate) fn new(seed: u64, room: u64) -> SimDisk {
        let (names, durable_names) = (BTreeMap::new(), BTreeMap::new());
        let dirs = BTreeSet::from([".".to_string()]);
        SimDisk(Rc::new(RefCell::new(World {
            chance: Chance::new(seed),
            faults: Faults::default(),
            room,
            names,
            durable_names,
            durable_dirs: dirs.clone(),
            dirs,
            changes: Vec::new(),
            operations: 0,
            ceiling: None,
            spare: None,
        })))
    }

    /// What goes wrong from now on.
    pub(crate) fn fail(&self, faults: Faults) {
        self.0.borrow_mut().faults = faults;
    }

    /// Octets that all files may have together from now on.
    pub(crate) fn set_room(&self, octets: u64) {
        self.0.borrow_mut().room = octets;
    }

    /// Panic when the files below `dir` ever have more than `octets` together.
    pub(crate) fn hold_below(&self, dir: &str, octets: u64) {
        self.0.borrow_mut().ceiling = Some((format!("{dir}/"), octets));
    }

    /// Panic when a file below `dir` grows though fewer than `octets` are left to all others then.
    pub(crate) fn leave_free(&self, dir: &str, octets: u64) {
        self.0.borrow_mut().spare = Some((format!("{dir}/"), octets));
    }

    /// How often it was changed, or made durable, so far: a power cut after each of them is another
    /// one.
    pub(crate) fn operations(&self) -> u64 {
        self.0.borrow().operations
    }

    /// Octets of all files below `dir`.
    pub(crate) fn octets(&self, dir: &str) -> u64 {
        below(&self.0.borrow().names, dir)
    }

    fn chance(&self, most: u64) -> u64 {
        self.0.borrow_mut().chance.below(most)
    }

    /// Let others run for a while: an operation takes time, and a cut may come before it or after.
    /// No task does two operations without others having their turn between.
    async fn delay(&self) {
        let mut rounds = 1 + self.chance(2);
        poll_fn(|cx| {
            if rounds == 0 {
                return Poll::Ready(());
            }
            rounds -= 1;
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    fn names_fail(&self) -> io::Result<()> {
        let world = &mut *self.0.borrow_mut();
        if world.chance.permille(world.faults.names) { Err(broken()) } else { Ok(()) }
    }

    fn change(&self, dir: &str, change: Change) {
        let world = &mut *self.0.borrow_mut();
        world.operations += 1;
        apply(&mut world.names, &mut world.dirs, change.clone());
        world.changes.push((dir.to_string(), change));
    }

    fn find(&self, path: &str) -> io::Result<Shared> {
        let found = self.0.borrow().names.get(path).cloned();
        found.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// What fits of a write, which may be all; chance may cut it short.
    fn admit(&self, inode: &Shared, offset: usize, octets: &[u8]) -> (usize, io::Result<()>) {
        let world = &mut *self.0.borrow_mut();
        let length = inode.borrow().cached.len();
        let grow = (offset + octets.len()).saturating_sub(length) as u64;
        let total = below(&world.names, "");
        if grow > 0 && total + grow > world.room {
            return (0, Err(io::ErrorKind::StorageFull.into()));
        }
        if world.chance.permille(world.faults.write) {
            let part = world.chance.below(octets.len() as u64 + 1);
            return (usize::try_from(part).expect("a part of it"), Err(broken()));
        }
        let is_below = |dir: &String| {
            let mut inside =
                world.names.range(dir.clone()..).take_while(|(p, _)| p.starts_with(dir));
            grow > 0 && inside.any(|(_, i)| Rc::ptr_eq(i, inode))
        };
        // A cut may bring files back that were removed: then nothing may grow before they are gone.
        if let Some((dir, most)) = world.ceiling.as_ref().filter(|(dir, _)| is_below(dir)) {
            let now = below(&world.names, dir) + grow;
            assert!(now <= *most, "{now} octets below {dir}, {most} are allowed");
        }
        if let Some((dir, least)) = world.spare.as_ref().filter(|(dir, _)| is_below(dir)) {
            let left = world.room - total - grow;
            assert!(left >= *least, "a file below {dir} grows by {grow} octets and leaves {left}");
        }
        (octets.len(), Ok(()))
    }

    fn sync(&self, inode: &Shared, covered: usize) -> io::Result<()> {
        let world = &mut *self.0.borrow_mut();
        world.operations += 1;
        let mut inode = inode.borrow_mut();
        if !world.chance.permille(world.faults.sync) {
            inode.sync(covered);
            return Ok(());
        }
        let mut fates = cut::by_chance(&mut world.chance);
        inode.tear(0, &mut fates);
        drop(fates);
        if world.chance.below(2) == 0 && inode.durable.len() == inode.cached.len() {
            inode.cached = inode.durable.clone();
        }
        Err(broken())
    }
}

fn apply(names: &mut BTreeMap<String, Shared>, dirs: &mut BTreeSet<String>, change: Change) {
    match change {
        Change::Link(path, inode) => drop(names.insert(path, inode)),
        Change::Unlink(path) => drop(names.remove(&path)),
        Change::MakeDir(path) => drop(dirs.insert(path)),
    }
}

fn below(names: &BTreeMap<String, Shared>, dir: &str) -> u64 {
    let inside = names.iter().filter(|(path, _)| path.starts_with(dir));
    inside.map(|(_, inode)| inode.borrow().cached.len() as u64).sum()
}

fn broken() -> io::Error {
    io::Error::other("the simulated disk fails")
}

impl Disk for SimDisk {
    fn open<'a>(&'a self, path: &'a str, how: Open) -> Pending<'a, io::Result<Rc<dyn File>>> {
        Box::pin(async move {
            self.delay().await;
            self.names_fail()?;
            let inode = match (how, self.find(path)) {
                (Open::New, Ok(_)) => return Err(io::ErrorKind::AlreadyExists.into()),
                (Open::Read | Open::Write, found) => found?,
                (Open::New | Open::Replace, _) => {
                    if !self.0.borrow().dirs.contains(parent(path)) {
                        return Err(io::ErrorKind::NotFound.into());
                    }
                    let inode = Shared::default();
                    self.change(parent(path), Change::Link(path.to_string(), inode.clone()));
                    inode
                }
            };
            Ok(Rc::new(SimFile { disk: self.clone(), inode }) as Rc<dyn File>)
        })
    }

    fn list<'a>(&'a self, dir: &'a str) -> Pending<'a, io::Result<Vec<(String, u64)>>> {
        Box::pin(async move {
            self.delay().await;
            let world = self.0.borrow();
            if !world.dirs.contains(dir) {
                return Err(io::ErrorKind::NotFound.into());
            }
            let inside = world.names.iter().filter(|(path, _)| parent(path) == dir);
            let name = |path: &str| path.rsplit('/').next().unwrap_or(path).to_string();
            Ok(inside
                .map(|(path, inode)| (name(path), inode.borrow().cached.len() as u64))
                .collect())
        })
    }

    fn make_dir<'a>(&'a self, dir: &'a str) -> Pending<'a, io::Result<()>> {
        Box::pin(async move {
            self.delay().await;
            let ends = dir.match_indices('/').map(|(at, _)| at).chain([dir.len()]);
            for path in ends.map(|end| &dir[..end]) {
                if !self.0.borrow().dirs.contains(path) {
                    self.change(parent(path), Change::MakeDir(path.to_string()));
                }
            }
            Ok(())
        })
    }

    fn rename<'a>(&'a self, from: &'a str, to: &'a str) -> Pending<'a, io::Result<()>> {
        Box::pin(async move {
            self.delay().await;
            self.names_fail()?;
            let inode = self.find(from)?;
            self.change(parent(to), Change::Link(to.to_string(), inode));
            self.change(parent(from), Change::Unlink(from.to_string()));
            Ok(())
        })
    }

    fn remove<'a>(&'a self, path: &'a str) -> Pending<'a, io::Result<()>> {
        Box::pin(async move {
            self.delay().await;
            self.names_fail()?;
            self.find(path)?;
            self.change(parent(path), Change::Unlink(path.to_string()));
            Ok(())
        })
    }

    fn sync_dir<'a>(&'a self, dir: &'a str) -> Pending<'a, io::Result<()>> {
        Box::pin(async move {
            self.delay().await;
            self.names_fail()?;
            let world = &mut *self.0.borrow_mut();
            world.operations += 1;
            let (now, later) = std::mem::take(&mut world.changes)
                .into_iter()
                .partition(|(where_, _)| where_ == dir);
            world.changes = later;
            let now: Vec<(String, Change)> = now;
            for (_, change) in now {
                apply(&mut world.durable_names, &mut world.durable_dirs, change);
            }
            Ok(())
        })
    }

    fn room<'a>(&'a self, _dir: &'a str) -> Pending<'a, io::Result<u64>> {
        Box::pin(async move {
            let world = self.0.borrow();
            Ok(world.room.saturating_sub(below(&world.names, "")))
        })
    }
}

struct SimFile {
    disk: SimDisk,
    inode: Shared,
}

impl SimFile {
    fn write(&self, offset: u64, octets: &[u8]) -> io::Result<()> {
        let offset = usize::try_from(offset).expect("a small file");
        let (part, result) = self.disk.admit(&self.inode, offset, octets);
        self.disk.0.borrow_mut().operations += 1;
        self.inode.borrow_mut().write(offset, &octets[..part]);
        result
    }
}

impl File for SimFile {
    fn read_at(&self, offset: u64, length: usize) -> Pending<'_, io::Result<Vec<u8>>> {
        Box::pin(async move {
            self.disk.delay().await;
            let inode = self.inode.borrow();
            let start = usize::try_from(offset).unwrap_or(usize::MAX).min(inode.cached.len());
            let end = start.saturating_add(length).min(inode.cached.len());
            Ok(inode.cached[start..end].to_vec())
        })
    }

    fn write_at(&self, offset: u64, octets: Vec<u8>) -> Pending<'_, io::Result<Vec<u8>>> {
        Box::pin(async move {
            self.disk.delay().await;
            self.write(offset, &octets)?;
            self.disk.delay().await;
            Ok(octets)
        })
    }

    fn write_sync(&self, offset: u64, octets: Vec<u8>) -> Pending<'_, io::Result<Vec<u8>>> {
        Box::pin(async move {
            let octets = self.write_at(offset, octets).await?;
            self.sync().await?;
            Ok(octets)
        })
    }

    fn sync(&self) -> Pending<'_, io::Result<()>> {
        Box::pin(async move {
            // What is written while it goes on is not part of it.
            let covered = self.inode.borrow().unsynced.len();
            self.disk.delay().await;
            if self.disk.0.borrow().faults.stalled {
                std::future::pending::<()>().await;
            }
            let result = self.disk.sync(&self.inode, covered);
            self.disk.delay().await;
            result
        })
    }

    fn length(&self) -> Pending<'_, io::Result<u64>> {
        Box::pin(async move { Ok(self.inode.borrow().cached.len() as u64) })
    }
}
