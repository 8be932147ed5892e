//! Power cuts: what reaches the medium of all that was not synced.

use super::{Chance, Change, Inode, Shared, SimDisk, apply, parent, put};
use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

const SECTOR: usize = 512;

/// What becomes of a sector of an unsynced write, or of an unsynced change of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is on the medium.
    Kept,
    /// It is not, as if it had never been.
    Lost,
    /// So many octets of a sector are, the rest is as before. A name is lost.
    Torn(usize),
}

/// The fate of each unit, given the number of its file (0: the directories) and its own.
type Fates<'a> = dyn FnMut(usize, usize) -> Fate + 'a;

/// Of a file all, nothing or any part.
pub(super) fn by_chance(chance: &mut Chance) -> impl FnMut(usize, usize) -> Fate {
    let (mut file, mut keep) = (usize::MAX, 0);
    move |this, _| {
        if file != this {
            (file, keep) = (this, chance.below(4));
        }
        match keep {
            0 => Fate::Lost,
            1 => Fate::Kept,
            _ if chance.below(2) == 0 => Fate::Kept,
            _ => Fate::Lost,
        }
    }
}

/// The sectors that a write touches: the first octet in each, and the first behind it.
fn sectors(offset: usize, length: usize) -> impl Iterator<Item = (usize, usize)> {
    let end = offset + length;
    let first = offset / SECTOR;
    let last = if length == 0 { first } else { end.div_ceil(SECTOR) };
    (first..last).map(move |n| ((n * SECTOR).max(offset), ((n + 1) * SECTOR).min(end)))
}

impl Inode {
    /// Each sector of each unsynced write meets its fate.
    pub(super) fn tear(&mut self, file: usize, fates: &mut Fates) {
        let mut unit = 0;
        for (offset, octets) in std::mem::take(&mut self.unsynced) {
            for (at, end) in sectors(offset, octets.len()) {
                let kept = match fates(file, unit) {
                    Fate::Kept => end,
                    Fate::Lost => at,
                    Fate::Torn(part) => end.min(at + part),
                };
                unit += 1;
                if kept > at {
                    let octets = &octets[at - offset..kept - offset];
                    put(Rc::make_mut(&mut self.durable), at, octets);
                }
            }
        }
    }

    fn units(&self) -> usize {
        self.unsynced.iter().map(|(offset, octets)| sectors(*offset, octets.len()).count()).sum()
    }
}

impl SimDisk {
    /// The power fails. Whoever used the disk is to be dropped before.
    pub(crate) fn cut(&self) {
        let mut chance = Chance::new(self.0.borrow_mut().chance.roll());
        let mut fates = by_chance(&mut chance);
        self.cut_by(&mut fates);
    }

    /// The power fails, and each unit that was not durable meets the fate it is given, in an order
    /// that is always the same.
    pub(crate) fn cut_as(&self, mut fate: impl FnMut(usize) -> Fate) {
        let mut unit = 0;
        self.cut_by(&mut |_, _| {
            unit += 1;
            fate(unit - 1)
        });
    }

    /// How many units a cut would decide about.
    pub(crate) fn undecided(&self) -> usize {
        let changes = self.0.borrow().changes.len();
        changes + self.inodes().iter().map(|inode| inode.borrow().units()).sum::<usize>()
    }

    fn cut_by(&self, fates: &mut Fates) {
        let inodes = self.inodes();
        let world = &mut *self.0.borrow_mut();
        for (unit, (_, change)) in std::mem::take(&mut world.changes).into_iter().enumerate() {
            if fates(0, unit) == Fate::Kept {
                apply(&mut world.durable_names, &mut world.durable_dirs, change);
            }
        }
        let durable_dirs = world.durable_dirs.clone();
        world.durable_names.retain(|path, _| {
            let mut dir = parent(path);
            while dir != "." && durable_dirs.contains(dir) {
                dir = parent(dir);
            }
            dir == "."
        });
        world.names = world.durable_names.clone();
        world.dirs = durable_dirs;
        for (n, inode) in inodes.iter().enumerate() {
            let mut inode = inode.borrow_mut();
            inode.tear(n + 1, fates);
            inode.cached = inode.durable.clone();
        }
    }

    /// All files that a name leads to, or may lead to after a cut.
    fn inodes(&self) -> Vec<Shared> {
        let world = self.0.borrow();
        let changed = world.changes.iter().filter_map(|(_, change)| match change {
            Change::Link(_, inode) => Some(inode),
            Change::Unlink(_) | Change::MakeDir(_) => None,
        });
        let mut all: Vec<Shared> = Vec::new();
        for inode in world.names.values().chain(world.durable_names.values()).chain(changed) {
            if all.iter().all(|known| !Rc::ptr_eq(known, inode)) {
                all.push(inode.clone());
            }
        }
        all
    }

    /// Another disk, with the same on the medium and in memory, which goes its own way from now on.
    pub(crate) fn fork(&self) -> SimDisk {
        let copies: BTreeMap<_, Shared> = self
            .inodes()
            .into_iter()
            .map(|inode| (Rc::as_ptr(&inode), Rc::new(RefCell::new(inode.borrow().clone()))))
            .collect();
        let copy = |inode: &Shared| copies[&Rc::as_ptr(inode)].clone();
        let world = self.0.borrow();
        let names = |names: &BTreeMap<String, Shared>| {
            names.iter().map(|(path, inode)| (path.clone(), copy(inode))).collect()
        };
        let change = |change: &Change| match change {
            Change::Link(path, inode) => Change::Link(path.clone(), copy(inode)),
            other => other.clone(),
        };
        SimDisk(Rc::new(RefCell::new(super::World {
            chance: world.chance.clone(),
            faults: world.faults,
            room: world.room,
            names: names(&world.names),
            durable_names: names(&world.durable_names),
            dirs: world.dirs.clone(),
            durable_dirs: world.durable_dirs.clone(),
            changes: world.changes.iter().map(|(dir, c)| (dir.clone(), change(c))).collect(),
            operations: world.operations,
            ceiling: world.ceiling.clone(),
            spare: world.spare.clone(),
        })))
    }
}
