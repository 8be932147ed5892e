//! Harm done to what is on the medium, by bad flash or by people.

use super::{Shared, SimDisk, below};
use std::rc::Rc;

impl SimDisk {
    /// Flip a bit of a file below `dir`, on the medium and in memory; where.
    pub(crate) fn flip(&self, dir: &str) -> Option<(String, usize)> {
        let total = below(&self.0.borrow().names, dir);
        let mut at = self.chance(total);
        for (path, length) in self.files(dir) {
            if at < length {
                let (place, bit) = (usize::try_from(at).expect("small"), self.chance(8));
                self.flip_at(&path, place, u8::try_from(bit).expect("small"));
                return Some((path, place));
            }
            at -= length;
        }
        None
    }

    /// Flip this bit.
    pub(crate) fn flip_at(&self, path: &str, place: usize, bit: u8) {
        let inode = self.find(path).expect("it was listed");
        let mut inode = inode.borrow_mut();
        Rc::make_mut(&mut inode.cached)[place] ^= 1 << bit;
        if place < inode.durable.len() {
            Rc::make_mut(&mut inode.durable)[place] ^= 1 << bit;
        }
    }

    /// Remove one of the files below `dir`, as a person might; which.
    pub(crate) fn lose(&self, dir: &str) -> Option<String> {
        let all = self.files(dir);
        let (lost, _) = all.get(usize::try_from(self.chance(all.len() as u64)).ok()?)?;
        self.lose_file(lost);
        Some(lost.clone())
    }

    /// Remove this file.
    pub(crate) fn lose_file(&self, path: &str) {
        let world = &mut *self.0.borrow_mut();
        world.names.remove(path);
        world.durable_names.remove(path);
    }

    /// Cut a file to `length` octets, or lengthen it by zeros.
    pub(crate) fn truncate(&self, path: &str, length: usize) {
        let inode = self.find(path).expect("it was listed");
        let mut inode = inode.borrow_mut();
        Rc::make_mut(&mut inode.cached).resize(length, 0);
        inode.durable = inode.cached.clone();
        inode.unsynced.clear();
    }

    /// The system has written back by itself what nobody made durable.
    pub(crate) fn write_back(&self) {
        let world = &mut *self.0.borrow_mut();
        world.changes.clear();
        world.durable_names = world.names.clone();
        world.durable_dirs = world.dirs.clone();
        for inode in world.names.values() {
            let mut inode = inode.borrow_mut();
            inode.unsynced.clear();
            inode.durable = inode.cached.clone();
        }
    }

    /// A file of somebody else.
    pub(crate) fn place(&self, path: &str, octets: Vec<u8>) {
        let inode = Shared::default();
        inode.borrow_mut().cached = Rc::new(octets);
        let durable = inode.borrow().cached.clone();
        inode.borrow_mut().durable = durable;
        let world = &mut *self.0.borrow_mut();
        world.names.insert(path.to_string(), inode.clone());
        world.durable_names.insert(path.to_string(), inode);
    }

    /// What a file holds.
    pub(crate) fn peek(&self, path: &str) -> Option<Rc<Vec<u8>>> {
        self.find(path).ok().map(|inode| inode.borrow().cached.clone())
    }

    /// Files whose path begins with `dir`, with their octets.
    pub(crate) fn files(&self, dir: &str) -> Vec<(String, u64)> {
        let world = self.0.borrow();
        let inside = world.names.iter().filter(|(path, _)| path.starts_with(dir));
        inside.map(|(path, inode)| (path.clone(), inode.borrow().cached.len() as u64)).collect()
    }
}
