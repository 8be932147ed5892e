//! Files, on the threads of a lane.

use super::lane::{Lane, Shape};
use crate::{
    limits,
    sys::{Disk, File, Open, Pending, Wear},
};
use std::{
    cell::Cell,
    fs,
    io::{self, ErrorKind},
    os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    rc::Rc,
    sync::Arc,
};

/// The files below a data directory.
pub(super) struct RealDisk {
    root: PathBuf,
    lane: Lane,
    wear: Rc<Cell<Wear>>,
}

impl RealDisk {
    /// `root` is made, with mode 0700, where it is missing.
    pub(super) fn new(root: &Path) -> io::Result<RealDisk> {
        make_dir(root)?;
        let lane = Lane::new(Shape {
            name: "files",
            threads: limits::FILE_THREADS,
            jobs: limits::LANE_JOBS,
            stack: limits::LANE_STACK_BYTES,
            idle: limits::LANE_IDLE,
        });
        Ok(RealDisk { root: root.canonicalize()?, lane, wear: Rc::default() })
    }

    /// The data directory, absolute.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> Pending<'static, io::Result<T>> {
        run(&self.lane, work)
    }

    /// An absolute path stays what it is.
    fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }
}

fn run<T: Send + 'static>(
    lane: &Lane,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Pending<'static, io::Result<T>> {
    let asked = lane.ask(work);
    Box::pin(async move { asked.await? })
}

impl Disk for RealDisk {
    fn open<'a>(&'a self, path: &'a str, how: Open) -> Pending<'a, io::Result<Rc<dyn File>>> {
        let (path, lane, wear) = (self.path(path), self.lane.clone(), self.wear.clone());
        let opened = self.run(move || open(&path, how));
        Box::pin(async move {
            let file = Arc::new(opened.await?);
            let meter = Meter { wear, dirty: Cell::default() };
            Ok(Rc::new(RealFile { file, lane, meter }) as Rc<dyn File>)
        })
    }

    fn list<'a>(&'a self, dir: &'a str) -> Pending<'a, io::Result<Vec<(String, u64)>>> {
        let dir = self.path(dir);
        self.run(move || list(&dir))
    }

    fn make_dir<'a>(&'a self, dir: &'a str) -> Pending<'a, io::Result<()>> {
        let dir = self.path(dir);
        self.run(move || make_dir(&dir))
    }

    fn rename<'a>(&'a self, from: &'a str, to: &'a str) -> Pending<'a, io::Result<()>> {
        let (from, to) = (self.path(from), self.path(to));
        self.run(move || fs::rename(from, to))
    }

    fn remove<'a>(&'a self, path: &'a str) -> Pending<'a, io::Result<()>> {
        let path = self.path(path);
        self.run(move || fs::remove_file(path))
    }

    fn sync_dir<'a>(&'a self, dir: &'a str) -> Pending<'a, io::Result<()>> {
        let dir = self.path(dir);
        let Wear { octets, syncs } = self.wear.get();
        self.wear.set(Wear { octets, syncs: syncs + 1 });
        self.run(move || fs::File::open(dir)?.sync_all())
    }

    fn room<'a>(&'a self, dir: &'a str) -> Pending<'a, io::Result<u64>> {
        let dir = self.path(dir);
        self.run(move || {
            let room = rustix::fs::statvfs(dir)?;
            Ok(room.f_bavail.saturating_mul(room.f_frsize))
        })
    }

    fn wear(&self) -> Wear {
        self.wear.get()
    }
}

fn open(path: &Path, how: Open) -> io::Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    options.read(true).mode(0o600);
    match how {
        Open::Read => &mut options,
        Open::Write => options.write(true),
        Open::New => options.write(true).create_new(true),
        Open::Replace => options.write(true).create(true).truncate(true),
    };
    options.open(path)
}

fn make_dir(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// Names that are not UTF-8 are not ours and are left out, as are files that vanish meanwhile.
fn list(dir: &Path) -> io::Result<Vec<(String, u64)>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let length = match entry.metadata() {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        if let Ok(name) = entry.file_name().into_string() {
            names.push((name, length));
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// An open file. Shared with the operation in progress, so that dropping it meanwhile is fine.
struct RealFile {
    file: Arc<fs::File>,
    lane: Lane,
    meter: Meter,
}

/// Counts what an open file costs the storage, as it is asked for.
struct Meter {
    wear: Rc<Cell<Wear>>,
    /// Pages written since the last sync, from the first of them to behind the last. A write that
    /// does not touch them begins anew: files are written from front to end.
    dirty: Cell<(u64, u64)>,
}

impl Meter {
    fn write(&self, offset: u64, octets: usize) {
        if octets == 0 {
            return;
        }
        let first = offset / limits::FLASH_PAGE_BYTES;
        let end = (offset + octets as u64).div_ceil(limits::FLASH_PAGE_BYTES);
        let (dirty_first, dirty_end) = self.dirty.get();
        let touches = first <= dirty_end && dirty_first <= end;
        let again = end.min(dirty_end).saturating_sub(first.max(dirty_first));
        let Wear { octets, syncs } = self.wear.get();
        let fresh = (end - first - again) * limits::FLASH_PAGE_BYTES;
        self.wear.set(Wear { octets: octets + fresh, syncs });
        self.dirty.set(if touches && dirty_end > dirty_first {
            (first.min(dirty_first), end.max(dirty_end))
        } else {
            (first, end)
        });
    }

    fn sync(&self) {
        let Wear { octets, syncs } = self.wear.get();
        self.wear.set(Wear { octets, syncs: syncs + 1 });
        self.dirty.set((0, 0));
    }
}

impl RealFile {
    fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&fs::File) -> io::Result<T> + Send + 'static,
    ) -> Pending<'static, io::Result<T>> {
        let file = self.file.clone();
        run(&self.lane, move || work(&file))
    }
}

impl File for RealFile {
    fn read_at(&self, offset: u64, length: usize) -> Pending<'_, io::Result<Vec<u8>>> {
        // Made here and not there: what a thread has allocated stays in an arena of its own.
        let octets = vec![0; length];
        self.run(move |file| read_at(file, offset, octets))
    }

    fn write_at(&self, offset: u64, octets: Vec<u8>) -> Pending<'_, io::Result<Vec<u8>>> {
        self.meter.write(offset, octets.len());
        self.run(move |file| {
            file.write_all_at(&octets, offset)?;
            Ok(octets)
        })
    }

    fn write_sync(&self, offset: u64, octets: Vec<u8>) -> Pending<'_, io::Result<Vec<u8>>> {
        self.meter.write(offset, octets.len());
        self.meter.sync();
        self.run(move |file| {
            file.write_all_at(&octets, offset)?;
            file.sync_data()?;
            Ok(octets)
        })
    }

    fn sync(&self) -> Pending<'_, io::Result<()>> {
        self.meter.sync();
        self.run(fs::File::sync_data)
    }

    fn length(&self) -> Pending<'_, io::Result<u64>> {
        self.run(|file| Ok(file.metadata()?.len()))
    }
}

fn read_at(file: &fs::File, offset: u64, mut octets: Vec<u8>) -> io::Result<Vec<u8>> {
    let mut filled = 0;
    while let Some(rest) = octets.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset + filled as u64) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    octets.truncate(filled);
    Ok(octets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::linux::tests::Scratch;
    use futures_lite::future::block_on;
    use std::os::unix::fs::PermissionsExt;

    fn mode(path: PathBuf) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn what_is_written_is_read_and_no_further_than_the_end() {
        let scratch = Scratch::new();
        let disk = RealDisk::new(scratch.path()).unwrap();
        block_on(async {
            let file = disk.open("f", Open::New).await.unwrap();
            assert_eq!(file.write_at(0, b"hello".to_vec()).await.unwrap(), b"hello");
            assert_eq!(file.write_sync(5, b" world".to_vec()).await.unwrap(), b" world");
            file.sync().await.unwrap();
            assert_eq!(file.length().await.unwrap(), 11);
            assert_eq!(file.read_at(6, 5).await.unwrap(), b"world");
            assert_eq!(file.read_at(6, 6).await.unwrap(), b"world");
            assert_eq!(file.read_at(11, 5).await.unwrap(), b"");
        });
    }

    #[test]
    fn each_way_to_open_does_what_it_says() {
        let scratch = Scratch::new();
        let disk = RealDisk::new(scratch.path()).unwrap();
        let kind = |opened: io::Result<Rc<dyn File>>| opened.map(|_| ()).map_err(|e| e.kind());
        block_on(async {
            assert_eq!(kind(disk.open("f", Open::Read).await), Err(ErrorKind::NotFound));
            assert_eq!(kind(disk.open("f", Open::Write).await), Err(ErrorKind::NotFound));
            let file = disk.open("f", Open::Replace).await.unwrap();
            file.write_at(0, b"x".to_vec()).await.unwrap();
            assert_eq!(kind(disk.open("f", Open::New).await), Err(ErrorKind::AlreadyExists));
            let file = disk.open("f", Open::Read).await.unwrap();
            assert!(file.write_at(0, b"y".to_vec()).await.is_err());
            let file = disk.open("f", Open::Write).await.unwrap();
            assert_eq!(file.write_at(1, b"y".to_vec()).await.unwrap(), b"y");
            assert_eq!(file.length().await.unwrap(), 2);
            let file = disk.open("f", Open::Replace).await.unwrap();
            assert_eq!(file.length().await.unwrap(), 0);
        });
    }

    #[test]
    fn files_and_directories_are_the_owners_alone() {
        let scratch = Scratch::new();
        let root = scratch.path().join("data");
        let disk = RealDisk::new(&root).unwrap();
        block_on(async {
            disk.make_dir("a/b").await.unwrap();
            disk.make_dir("a/b").await.unwrap();
            disk.open("a/b/new", Open::New).await.unwrap();
            disk.open("a/b/replaced", Open::Replace).await.unwrap();
        });
        for dir in ["", "a", "a/b"] {
            assert_eq!(mode(root.join(dir)), 0o700, "{dir}");
        }
        for file in ["a/b/new", "a/b/replaced"] {
            assert_eq!(mode(root.join(file)), 0o600, "{file}");
        }
    }

    #[test]
    fn names_are_listed_in_order_with_their_sizes() {
        let scratch = Scratch::new();
        let disk = RealDisk::new(scratch.path()).unwrap();
        block_on(async {
            for name in ["b", "c", "a"] {
                let file = disk.open(name, Open::New).await.unwrap();
                file.write_at(0, vec![0; name.len() * 3]).await.unwrap();
            }
            disk.rename("c", "b").await.unwrap();
            disk.sync_dir(".").await.unwrap();
            let both = vec![("a".to_owned(), 3), ("b".to_owned(), 3)];
            assert_eq!(disk.list("").await.unwrap(), both);
            disk.remove("a").await.unwrap();
            assert_eq!(disk.list(".").await.unwrap(), both[1..]);
            assert_eq!(disk.remove("a").await.unwrap_err().kind(), ErrorKind::NotFound);
            assert_eq!(disk.list("none").await.unwrap_err().kind(), ErrorKind::NotFound);
        });
    }

    #[test]
    fn pages_and_syncs_are_counted_and_a_page_written_twice_before_a_sync_once() {
        let scratch = Scratch::new();
        let disk = RealDisk::new(scratch.path()).unwrap();
        let pages = || (disk.wear().octets / limits::FLASH_PAGE_BYTES, disk.wear().syncs);
        block_on(async {
            assert_eq!(pages(), (0, 0));
            let file = disk.open("f", Open::New).await.unwrap();
            file.write_at(0, vec![0; 10]).await.unwrap();
            assert_eq!(pages(), (1, 0), "ten octets are a page");
            file.write_at(10, vec![0; 4087]).await.unwrap();
            assert_eq!(pages(), (2, 0), "its first page was to be written anyway");
            file.write_sync(0, vec![0; 1]).await.unwrap();
            assert_eq!(pages(), (2, 1));
            file.write_at(0, vec![0; 1]).await.unwrap();
            assert_eq!(pages(), (3, 1), "what was synced is written again");
            file.write_at(40_960, vec![0; 4096]).await.unwrap();
            assert_eq!(pages(), (4, 1));
            file.write_at(36_863, vec![0; 8193]).await.unwrap();
            assert_eq!(pages(), (6, 1), "the page in between, not the ones beside it");
            file.write_at(7, Vec::new()).await.unwrap();
            file.sync().await.unwrap();
            disk.sync_dir(".").await.unwrap();
            let other = disk.open("g", Open::New).await.unwrap();
            other.write_sync(0, vec![0; 4096]).await.unwrap();
            assert_eq!(pages(), (7, 4));
        });
    }

    #[test]
    fn room_comes_from_the_file_system_and_absolute_paths_are_kept() {
        let scratch = Scratch::new();
        let disk = RealDisk::new(scratch.path()).unwrap();
        block_on(async {
            assert!(disk.room(".").await.unwrap() > 0);
            let absolute = scratch.path().join("f");
            disk.open(absolute.to_str().unwrap(), Open::New).await.unwrap();
            assert_eq!(disk.list(".").await.unwrap(), [("f".to_string(), 0)]);
        });
    }
}
