//! Files and the index, in memory.

use super::world::{Fake, World};
use crate::sys::{Disk, Entries, File, Index, IndexChange, Open, Order, Pending, Range, Wear};
use std::{future::pending, io, rc::Rc};

struct Memory {
    world: Rc<World>,
    path: String,
}

impl Disk for Fake {
    fn open<'a>(&'a self, path: &'a str, how: Open) -> Pending<'a, io::Result<Rc<dyn File>>> {
        let open = || {
            if how != Open::Read {
                self.0.refuses(path)?;
            }
            let mut files = self.0.files.borrow_mut();
            let there = files.contains_key(path);
            match how {
                Open::Read | Open::Write if !there => return Err(io::ErrorKind::NotFound.into()),
                Open::New if there => return Err(io::ErrorKind::AlreadyExists.into()),
                Open::New | Open::Replace => {
                    let above = path.rsplit_once('/').map_or("", |(above, _)| above);
                    if !above.is_empty() && !self.0.dirs.borrow().contains(above) {
                        return Err(io::ErrorKind::NotFound.into());
                    }
                    files.insert(path.into(), Vec::new());
                }
                Open::Read | Open::Write => {}
            }
            let file = Memory { world: self.0.clone(), path: path.into() };
            Ok(Rc::new(file) as Rc<dyn File>)
        };
        Box::pin(later(open()))
    }
    fn list<'a>(&'a self, dir: &'a str) -> Pending<'a, io::Result<Vec<(String, u64)>>> {
        let files = self.0.files.borrow();
        let below = |(path, octets): (&String, &Vec<u8>)| {
            let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
            (above == dir).then(|| (name.to_string(), octets.len() as u64))
        };
        let found = self.0.dirs.borrow().contains(dir);
        let names = files.iter().filter_map(below).collect();
        Box::pin(later(if found { Ok(names) } else { Err(io::ErrorKind::NotFound.into()) }))
    }
    fn make_dir<'a>(&'a self, dir: &'a str) -> Pending<'a, io::Result<()>> {
        let made = self.0.refuses(dir);
        let mut all = String::new();
        for part in dir.split('/') {
            all.push_str(part);
            self.0.dirs.borrow_mut().insert(all.clone());
            all.push('/');
        }
        Box::pin(later(made))
    }
    fn rename<'a>(&'a self, from: &'a str, to: &'a str) -> Pending<'a, io::Result<()>> {
        let mut files = self.0.files.borrow_mut();
        let octets = files.remove(from);
        let renamed = octets.map(|octets| files.insert(to.into(), octets));
        Box::pin(later(renamed.map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())))
    }
    fn remove<'a>(&'a self, path: &'a str) -> Pending<'a, io::Result<()>> {
        let gone = self.0.files.borrow_mut().remove(path).map(drop);
        Box::pin(later(gone.ok_or_else(|| io::ErrorKind::NotFound.into())))
    }
    fn sync_dir<'a>(&'a self, _: &'a str) -> Pending<'a, io::Result<()>> {
        Box::pin(later(Ok(())))
    }
    fn room<'a>(&'a self, _: &'a str) -> Pending<'a, io::Result<u64>> {
        Box::pin(later(Ok(self.0.room.get().unwrap_or(u64::MAX / 2))))
    }
    fn wear(&self) -> Wear {
        self.0.wear.get()
    }
}

/// Others get their turn first, as where a thread does the work.
async fn later<T>(done: T) -> T {
    futures_lite::future::yield_now().await;
    done
}

impl Memory {
    fn write(&self, offset: u64, octets: &[u8]) -> io::Result<()> {
        self.world.refuses(&self.path)?;
        let mut files = self.world.files.borrow_mut();
        let file = files.entry(self.path.clone()).or_default();
        let start = usize::try_from(offset).expect("small");
        if file.len() < start + octets.len() {
            file.resize(start + octets.len(), 0);
        }
        file[start..start + octets.len()].copy_from_slice(octets);
        Ok(())
    }
}

impl File for Memory {
    fn read_at(&self, offset: u64, length: usize) -> Pending<'_, io::Result<Vec<u8>>> {
        let files = self.world.files.borrow();
        let all = files.get(&self.path).map_or(&[][..], Vec::as_slice);
        let start = usize::try_from(offset).expect("small").min(all.len());
        let octets = all[start..all.len().min(start + length)].to_vec();
        Box::pin(later(Ok(octets)))
    }
    fn write_at(&self, offset: u64, octets: Vec<u8>) -> Pending<'_, io::Result<Vec<u8>>> {
        let written = self.write(offset, &octets).map(|()| octets);
        Box::pin(later(written))
    }
    fn write_sync(&self, offset: u64, octets: Vec<u8>) -> Pending<'_, io::Result<Vec<u8>>> {
        self.write_at(offset, octets)
    }
    fn sync(&self) -> Pending<'_, io::Result<()>> {
        Box::pin(later(self.world.refuses(&self.path)))
    }
    fn length(&self) -> Pending<'_, io::Result<u64>> {
        let length = self.world.files.borrow().get(&self.path).map_or(0, Vec::len);
        Box::pin(later(Ok(length as u64)))
    }
}

impl Fake {
    fn index<T: 'static>(&self, result: T) -> Pending<'static, io::Result<T>> {
        if self.0.index_hangs.get() {
            return Box::pin(pending());
        }
        let broken = self.0.index_broken.get();
        Box::pin(later(if broken { Err(io::Error::other("planted")) } else { Ok(result) }))
    }
}

impl Index for Fake {
    fn apply(&self, batch: Vec<IndexChange>) -> Pending<'_, io::Result<()>> {
        if !self.0.index_broken.get() && !self.0.index_hangs.get() {
            self.0.index_batches.set(self.0.index_batches.get() + 1);
            let mut index = self.0.index.borrow_mut();
            for change in batch {
                let tree = index.entry(change.tree).or_default();
                match change.value {
                    Some(value) => drop(tree.insert(change.key, value)),
                    None => drop(tree.remove(&change.key)),
                }
            }
        }
        self.index(())
    }
    fn scan<'a>(
        &'a self,
        tree: &'static str,
        range: Range<'a>,
    ) -> Pending<'a, io::Result<Entries>> {
        let mut index = self.0.index.borrow_mut();
        let entries = index.entry(tree).or_default().iter();
        let fits = |key: &[u8]| {
            key.starts_with(range.prefix)
                && range.from.is_none_or(|from| match range.order {
                    Order::Rising => key >= from,
                    Order::Falling => key <= from,
                })
        };
        let mut found: Entries = entries
            .filter(|(key, _)| fits(key))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        if range.order == Order::Falling {
            found.reverse();
        }
        found.truncate(range.limit);
        self.index(found)
    }
    fn flush(&self) -> Pending<'_, io::Result<()>> {
        self.index(())
    }
    fn trouble(&self) -> String {
        self.0.index_trouble.borrow().clone()
    }
    fn written(&self) -> Option<u64> {
        self.0.index_written.get()
    }
}
