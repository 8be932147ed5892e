//! The disk as one run of the relay has it: operations take time, and none can be made when the run
//! is over.

use crate::{disk::SimDisk, tasks::Owner, world::World};
use std::{
    cell::RefCell,
    future::poll_fn,
    io::{self, ErrorKind},
    rc::Rc,
    task::{Poll, Waker},
};
use waypost::sys::{Disk, File, Open, Pending};

/// Cheap to clone.
#[derive(Clone)]
pub struct Medium(Rc<Inner>);

struct Inner {
    run: u32,
    parts: RefCell<Option<(World, SimDisk)>>,
    /// Open files, which hold the disk too.
    files: RefCell<Vec<Slot>>,
}

type Slot = Rc<RefCell<Option<Rc<dyn File>>>>;

fn gone() -> io::Error {
    ErrorKind::NotConnected.into()
}

impl Medium {
    pub fn new(world: &World, run: u32, disk: &SimDisk) -> Medium {
        let parts = RefCell::new(Some((world.clone(), disk.clone())));
        Medium(Rc::new(Inner { run, parts, files: RefCell::default() }))
    }

    /// No operations any more.
    pub fn pull(&self) {
        drop(self.0.parts.borrow_mut().take());
        for file in std::mem::take(&mut *self.0.files.borrow_mut()) {
            drop(file.borrow_mut().take());
        }
    }

    /// Have something done by another thread: it is done even where the caller goes away meanwhile.
    async fn away<T: 'static, F: Future<Output = io::Result<T>> + 'static>(
        &self,
        work: impl FnOnce(SimDisk) -> F + 'static,
    ) -> io::Result<T> {
        let parts = self.0.parts.borrow().clone();
        let (world, disk) = parts.ok_or_else(gone)?;
        world.count_operation();
        let done = Rc::<Done<T>>::default();
        let (own, job) = (world.clone(), done.clone());
        let task = async move {
            // Most are done by the system's memory, some wait for the flash.
            match own.below(12) {
                0 => own.sleep(own.between(1, 40)).await,
                1 if own.one_in(20) => own.sleep(own.between(100, 3_000)).await,
                _ => {}
            }
            *job.result.borrow_mut() = Some(work(disk).await);
            if let Some(waker) = job.waker.borrow_mut().take() {
                waker.wake();
            }
        };
        world.spawn_for(Owner::Relay(self.0.run), Box::pin(task));
        drop(world);
        poll_fn(|cx| match done.result.borrow_mut().take() {
            Some(result) => Poll::Ready(result),
            None => {
                *done.waker.borrow_mut() = Some(cx.waker().clone());
                Poll::Pending
            }
        })
        .await
    }
}

/// What another thread has done.
struct Done<T> {
    result: RefCell<Option<io::Result<T>>>,
    waker: RefCell<Option<Waker>>,
}

impl<T> Default for Done<T> {
    fn default() -> Done<T> {
        Done { result: RefCell::default(), waker: RefCell::default() }
    }
}

impl Disk for Medium {
    fn open<'a>(&'a self, path: &'a str, how: Open) -> Pending<'a, io::Result<Rc<dyn File>>> {
        Box::pin(async move {
            let path = path.to_string();
            let open = move |disk: SimDisk| async move { disk.open(&path, how).await };
            let file = self.away(open).await?;
            let slot: Slot = Rc::new(RefCell::new(Some(file)));
            let mut files = self.0.files.borrow_mut();
            files.retain(|file| Rc::strong_count(file) > 1);
            files.push(slot.clone());
            Ok(Rc::new(OpenFile { medium: self.clone(), slot }) as Rc<dyn File>)
        })
    }

    fn list<'a>(&'a self, dir: &'a str) -> Pending<'a, io::Result<Vec<(String, u64)>>> {
        let dir = dir.to_string();
        Box::pin(self.away(move |disk| async move { disk.list(&dir).await }))
    }

    fn make_dir<'a>(&'a self, dir: &'a str) -> Pending<'a, io::Result<()>> {
        let dir = dir.to_string();
        Box::pin(self.away(move |disk| async move { disk.make_dir(&dir).await }))
    }

    fn rename<'a>(&'a self, from: &'a str, to: &'a str) -> Pending<'a, io::Result<()>> {
        let (from, to) = (from.to_string(), to.to_string());
        Box::pin(self.away(move |disk| async move { disk.rename(&from, &to).await }))
    }

    fn remove<'a>(&'a self, path: &'a str) -> Pending<'a, io::Result<()>> {
        let path = path.to_string();
        Box::pin(self.away(move |disk| async move { disk.remove(&path).await }))
    }

    fn sync_dir<'a>(&'a self, dir: &'a str) -> Pending<'a, io::Result<()>> {
        // The data directory has two names.
        let dir = if dir.is_empty() { "." } else { dir }.to_string();
        Box::pin(self.away(move |disk| async move { disk.sync_dir(&dir).await }))
    }

    fn room<'a>(&'a self, dir: &'a str) -> Pending<'a, io::Result<u64>> {
        let dir = dir.to_string();
        Box::pin(self.away(move |disk| async move { disk.room(&dir).await }))
    }
}

struct OpenFile {
    medium: Medium,
    slot: Slot,
}

impl OpenFile {
    fn file(&self) -> io::Result<Rc<dyn File>> {
        self.slot.borrow().clone().ok_or_else(gone)
    }
}

impl File for OpenFile {
    fn read_at(&self, offset: u64, length: usize) -> Pending<'_, io::Result<Vec<u8>>> {
        Box::pin(async move {
            let file = self.file()?;
            self.medium.away(move |_| async move { file.read_at(offset, length).await }).await
        })
    }

    fn write_at(&self, offset: u64, octets: Vec<u8>) -> Pending<'_, io::Result<Vec<u8>>> {
        Box::pin(async move {
            let file = self.file()?;
            self.medium.away(move |_| async move { file.write_at(offset, octets).await }).await
        })
    }

    fn write_sync(&self, offset: u64, octets: Vec<u8>) -> Pending<'_, io::Result<Vec<u8>>> {
        Box::pin(async move {
            let file = self.file()?;
            self.medium.away(move |_| async move { file.write_sync(offset, octets).await }).await
        })
    }

    fn sync(&self) -> Pending<'_, io::Result<()>> {
        Box::pin(async move {
            let file = self.file()?;
            self.medium.away(move |_| async move { file.sync().await }).await
        })
    }

    fn length(&self) -> Pending<'_, io::Result<u64>> {
        Box::pin(async move {
            let file = self.file()?;
            self.medium.away(move |_| async move { file.length().await }).await
        })
    }
}
