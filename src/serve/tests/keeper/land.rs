//! What the keeper needs of the world beyond the relay's: addresses of its own, time servers, a way
//! to a local socket, and a disk that tells what was done to it.

use super::{Fake, World, bench::Bench};
use crate::{
    serve::tests::wire::Wire,
    sys::{
        Attached, Clock, Datagrams, Disk, File, Listener, Net, Open, Pending, Stream, Tasks,
        machine::Machine,
    },
    time::Instant,
};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    future::{pending, ready},
    io,
    net::{IpAddr, SocketAddr},
    rc::Rc,
    time::Duration,
};

/// The world, and this.
pub(super) struct Land {
    world: Fake,
    bench: Rc<Bench>,
    /// Our addresses.
    pub(super) own: RefCell<Vec<IpAddr>>,
    /// Time servers, and how many microseconds our date is behind theirs.
    pub(super) times: RefCell<BTreeMap<SocketAddr, i64>>,
    /// Who was asked for the time, and when.
    pub(super) asked: RefCell<Vec<(Instant, SocketAddr)>>,
    /// How long it takes to connect.
    pub(super) slow: Cell<Duration>,
    /// What a local socket answers to a line; without anything it is silent.
    pub(super) answer: RefCell<Option<Vec<u8>>>,
    /// What was done to the disk.
    pub(super) deeds: RefCell<Vec<Deed>>,
}

/// What was done to the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    /// A file was opened to be written.
    Opened(String, Open),
    /// A file was put in another's place.
    Put(String),
    /// A file went, and these octets were in it.
    Removed(String, Vec<u8>),
}

impl Land {
    pub(super) fn new(world: &Rc<World>, bench: &Rc<Bench>) -> Rc<Land> {
        Rc::new(Land {
            world: Fake(world.clone()),
            bench: bench.clone(),
            own: RefCell::default(),
            times: RefCell::default(),
            asked: RefCell::default(),
            slow: Cell::default(),
            answer: RefCell::default(),
            deeds: RefCell::default(),
        })
    }

    /// How often a file was put there.
    pub(super) fn puts(&self, path: &str) -> usize {
        let deed = Deed::Put(path.into());
        self.deeds.borrow().iter().filter(|other| **other == deed).count()
    }
}

/// A trait object must be of a type of its own.
pub(super) struct Shared(pub(super) Rc<Land>);

impl Net for Shared {
    fn listen(&self, at: SocketAddr) -> io::Result<Box<dyn Listener>> {
        self.0.world.listen(at)
    }
    fn listen_local(&self, path: &str) -> io::Result<Box<dyn Listener>> {
        self.0.world.listen_local(path)
    }
    fn connect(&self, to: SocketAddr) -> Pending<'static, io::Result<Box<dyn Stream>>> {
        let land = self.0.clone();
        let wait = land.world.sleep_until(land.world.now() + land.slow.get());
        Box::pin(async move {
            wait.await;
            Net::connect(&land.world, to).await
        })
    }
    fn connect_local(&self, _: &str) -> Pending<'static, io::Result<Box<dyn Stream>>> {
        let (mut wire, end) = Wire::new(None);
        let answer = self.0.answer.borrow().clone();
        self.0.world.spawn(Box::pin(async move {
            wire.line().await;
            match answer {
                Some(octets) => wire.send(&octets),
                None => pending().await,
            }
        }));
        Box::pin(ready(Ok(Box::new(end) as Box<dyn Stream>)))
    }
    fn datagrams(&self, to: SocketAddr) -> Pending<'static, io::Result<Box<dyn Datagrams>>> {
        let socket = TimeSocket { land: self.0.clone(), to, nonce: Cell::default() };
        Box::pin(ready(Ok(Box::new(socket) as Box<dyn Datagrams>)))
    }
    fn attached(&self) -> Attached {
        Attached { addresses: self.0.own.borrow().clone(), ..Attached::default() }
    }
}

/// A socket to a time server, which answers only where there is one.
struct TimeSocket {
    land: Rc<Land>,
    to: SocketAddr,
    nonce: Cell<[u8; 8]>,
}

impl TimeSocket {
    /// RFC 5905 §7.3.
    fn answer(&self, behind: i64) -> Vec<u8> {
        let date = self.land.bench.date() + behind;
        let seconds = date.div_euclid(1_000_000) + 2_208_988_800;
        // Rounded up, so that it is read as the same microsecond.
        let fraction = ((date.rem_euclid(1_000_000) << 32) + 999_999) / 1_000_000;
        let stamp = (seconds << 32 | fraction).to_be_bytes();
        let mut packet = vec![0; 48];
        packet[..2].copy_from_slice(&[0b00_100_100, 2]);
        packet[24..32].copy_from_slice(&self.nonce.get());
        packet[32..40].copy_from_slice(&stamp);
        packet[40..48].copy_from_slice(&stamp);
        packet
    }
}

impl Datagrams for TimeSocket {
    fn send<'a>(&'a self, octets: &'a [u8]) -> Pending<'a, io::Result<()>> {
        self.nonce.set(octets[40..48].try_into().expect("eight"));
        self.land.asked.borrow_mut().push((self.land.bench.now(), self.to));
        Box::pin(ready(Ok(())))
    }
    fn receive<'a>(&'a self, into: &'a mut [u8]) -> Pending<'a, io::Result<usize>> {
        let Some(behind) = self.land.times.borrow().get(&self.to).copied() else {
            return Box::pin(pending());
        };
        let answer = self.answer(behind);
        into[..answer.len()].copy_from_slice(&answer);
        Box::pin(ready(Ok(answer.len())))
    }
}

impl Disk for Shared {
    fn open<'a>(&'a self, path: &'a str, how: Open) -> Pending<'a, io::Result<Rc<dyn File>>> {
        if how != Open::Read {
            self.0.deeds.borrow_mut().push(Deed::Opened(path.into(), how));
        }
        self.0.world.open(path, how)
    }
    fn list<'a>(&'a self, dir: &'a str) -> Pending<'a, io::Result<Vec<(String, u64)>>> {
        self.0.world.list(dir)
    }
    fn make_dir<'a>(&'a self, dir: &'a str) -> Pending<'a, io::Result<()>> {
        self.0.world.make_dir(dir)
    }
    fn rename<'a>(&'a self, from: &'a str, to: &'a str) -> Pending<'a, io::Result<()>> {
        self.0.deeds.borrow_mut().push(Deed::Put(to.into()));
        self.0.world.rename(from, to)
    }
    fn remove<'a>(&'a self, path: &'a str) -> Pending<'a, io::Result<()>> {
        if let Some(octets) = self.0.world.0.files.borrow().get(path) {
            self.0.deeds.borrow_mut().push(Deed::Removed(path.into(), octets.clone()));
        }
        self.0.world.remove(path)
    }
    fn sync_dir<'a>(&'a self, dir: &'a str) -> Pending<'a, io::Result<()>> {
        self.0.world.sync_dir(dir)
    }
    fn room<'a>(&'a self, dir: &'a str) -> Pending<'a, io::Result<u64>> {
        self.0.world.room(dir)
    }
}
