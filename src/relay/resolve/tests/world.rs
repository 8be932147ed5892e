//! A world with nothing in it but a clock that moves when everybody waits, known dice, and name
//! servers that say what a test tells them to.

use crate::{
    sys::{
        Attached, Clock, Datagrams, Dice, Disk, File, Index, IndexChange, Listener, Log, Net, Open,
        Pending, Range, Stream, Sys, Tasks, Tls, TlsError, TlsFacts, Trust,
    },
    time::{Instant, Wall},
};
use futures_lite::{AsyncRead, AsyncWrite};
use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    future::{Future, pending, poll_fn, ready},
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

pub(super) const A: u16 = 1;
pub(super) const CNAME: u16 = 5;
pub(super) const SOA: u16 = 6;
pub(super) const MX: u16 = 15;
pub(super) const AAAA: u16 = 28;
pub(super) const TLSA: u16 = 52;

/// A question as it reached a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) server: SocketAddr,
    pub(super) name: String,
    pub(super) kind: u16,
    pub(super) by_stream: bool,
    pub(super) has_edns: bool,
    /// It asks whether signatures were checked (AD).
    pub(super) has_ad: bool,
}

/// What a server sends for a question; nothing at all where a test returns none of these.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
#[derive(Clone, Debug, Default)]
pub(super) struct Says {
    pub(super) rcode: u8,
    pub(super) truncated: bool,
    /// It says that signatures were checked (AD).
    pub(super) authentic: bool,
    pub(super) answers: Vec<Vec<u8>>,
    pub(super) authorities: Vec<Vec<u8>>,
    pub(super) wrong_id: bool,
    pub(super) wrong_question: bool,
}

pub(super) type Script = Box<dyn FnMut(&Asked) -> io::Result<Vec<Says>>>;

pub(super) struct World {
    pub(super) now: Cell<u64>,
    pub(super) rolls: RefCell<VecDeque<u64>>,
    pub(super) asked: RefCell<Vec<Asked>>,
    pub(super) script: RefCell<Script>,
    timers: RefCell<Vec<u64>>,
    /// Octets of a stream come this many at a time.
    pub(super) stride: Cell<usize>,
    /// Streams without anything more to say stay open.
    pub(super) hangs: Cell<bool>,
}

impl World {
    pub(super) fn new(
        script: impl FnMut(&Asked) -> io::Result<Vec<Says>> + 'static,
    ) -> (Rc<World>, Sys) {
        let world = Rc::new(World {
            now: Cell::new(1000),
            rolls: RefCell::default(),
            asked: RefCell::default(),
            script: RefCell::new(Box::new(script)),
            timers: RefCell::default(),
            stride: Cell::new(7),
            hangs: Cell::new(false),
        });
        let sys = Sys {
            clock: Rc::new(Fake(world.clone())),
            dice: Rc::new(Fake(world.clone())),
            net: Rc::new(Fake(world.clone())),
            disk: Rc::new(Nothing),
            index: Rc::new(Nothing),
            tls: Rc::new(Nothing),
            tasks: Rc::new(Nothing),
            log: Rc::new(Nothing),
        };
        (world, sys)
    }

    /// The result of `work`; the clock jumps to the next timer whenever nothing else is left to do.
    pub(super) fn run<T>(&self, work: impl Future<Output = T>) -> T {
        struct Flag(AtomicBool);
        impl Wake for Flag {
            fn wake(self: Arc<Flag>) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let flag = Arc::new(Flag(AtomicBool::new(false)));
        let waker = Waker::from(flag.clone());
        let mut cx = Context::from_waker(&waker);
        let mut work = pin!(work);
        loop {
            self.timers.borrow_mut().clear();
            if let Poll::Ready(done) = work.as_mut().poll(&mut cx) {
                return done;
            }
            if !flag.0.swap(false, Ordering::Relaxed) {
                let next = self.timers.borrow().iter().copied().min();
                self.now.set(next.expect("somebody waits for a timer"));
            }
        }
    }

    /// How often servers were asked.
    pub(super) fn count(&self) -> usize {
        self.asked.borrow().len()
    }

    pub(super) fn pass(&self, seconds: u64) {
        self.now.set(self.now.get() + seconds * 1000);
    }

    fn hear(&self, server: SocketAddr, query: &[u8], by_stream: bool) -> io::Result<Vec<Vec<u8>>> {
        let (name, end) = read_name(query);
        let kind = u16::from_be_bytes([query[end], query[end + 1]]);
        let asked = Asked {
            server,
            name,
            kind,
            by_stream,
            has_edns: query[11] == 1,
            has_ad: query[3] & 0x20 != 0,
        };
        self.asked.borrow_mut().push(asked.clone());
        let says = (self.script.borrow_mut())(&asked)?;
        Ok(says.iter().map(|says| encode(query, end + 4, says)).collect())
    }
}

fn read_name(query: &[u8]) -> (String, usize) {
    let (mut at, mut labels) = (12, Vec::new());
    while query[at] != 0 {
        let length = usize::from(query[at]);
        labels.push(String::from_utf8(query[at + 1..=at + length].to_vec()).expect("ASCII"));
        at += length + 1;
    }
    (labels.join("."), at + 1)
}

fn encode(query: &[u8], question_end: usize, says: &Says) -> Vec<u8> {
    let mut octets = query[..question_end].to_vec();
    if says.wrong_id {
        octets[0] ^= 1;
    }
    if says.wrong_question {
        octets[13] ^= 1;
    }
    octets[2] = 0x81 | u8::from(says.truncated) << 1;
    octets[3] = 0x80 | u8::from(says.authentic) << 5 | says.rcode;
    octets[7] = u8::try_from(says.answers.len()).expect("few");
    octets[9] = u8::try_from(says.authorities.len()).expect("few");
    octets[11] = 0;
    octets.extend(says.answers.concat());
    octets.extend(says.authorities.concat());
    octets
}

fn name(text: &str) -> Vec<u8> {
    let label = |l: &str| [&[u8::try_from(l.len()).expect("short")], l.as_bytes()].concat();
    let labels = text.split('.').filter(|l| !l.is_empty());
    labels.flat_map(label).chain([0]).collect()
}

/// A record's octets.
fn record(owner: &str, kind: u16, ttl: u32, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).expect("short");
    let mut octets = name(owner);
    octets.extend([&kind.to_be_bytes()[..], &[0, 1], &ttl.to_be_bytes()].concat());
    octets.extend([&length.to_be_bytes()[..], data].concat());
    octets
}

pub(super) fn mx(owner: &str, ttl: u32, preference: u16, host: &str) -> Vec<u8> {
    record(owner, MX, ttl, &[&preference.to_be_bytes()[..], &name(host)].concat())
}

pub(super) fn a(owner: &str, ttl: u32, address: [u8; 4]) -> Vec<u8> {
    record(owner, A, ttl, &address)
}

pub(super) fn aaaa(owner: &str, ttl: u32, last: u16) -> Vec<u8> {
    let address = std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last);
    record(owner, AAAA, ttl, &address.octets())
}

pub(super) fn tlsa(owner: &str, ttl: u32, usage: u8, data: &[u8]) -> Vec<u8> {
    record(owner, TLSA, ttl, &[&[usage, 1, 1][..], data].concat())
}

pub(super) fn cname(owner: &str, ttl: u32, target: &str) -> Vec<u8> {
    record(owner, CNAME, ttl, &name(target))
}

pub(super) fn soa(owner: &str, ttl: u32, minimum: u32) -> Vec<u8> {
    let numbers = [[0; 16], [0; 16]].concat();
    let data = [name("ns"), name("root"), numbers[..16].to_vec(), minimum.to_be_bytes().to_vec()];
    record(owner, SOA, ttl, &data.concat())
}

struct Fake(Rc<World>);

impl Clock for Fake {
    fn now(&self) -> Instant {
        Instant(self.0.now.get())
    }
    fn wall(&self) -> Option<Wall> {
        None
    }
    fn sleep_until(&self, at: Instant) -> Pending<'static, ()> {
        let world = self.0.clone();
        Box::pin(poll_fn(move |_| {
            if world.now.get() >= at.0 {
                return Poll::Ready(());
            }
            world.timers.borrow_mut().push(at.0);
            Poll::Pending
        }))
    }
}

impl Dice for Fake {
    fn roll(&self) -> u64 {
        self.0.rolls.borrow_mut().pop_front().unwrap_or(0x1234_5678_9abc_def0)
    }
}

impl Net for Fake {
    fn listen(&self, _at: SocketAddr) -> io::Result<Box<dyn Listener>> {
        unreachable!("a resolver does not listen")
    }
    fn listen_local(&self, _path: &str) -> io::Result<Box<dyn Listener>> {
        unreachable!("a resolver does not listen")
    }
    fn connect(&self, to: SocketAddr) -> Pending<'static, io::Result<Box<dyn Stream>>> {
        let pipe = Pipe { world: self.0.clone(), server: to, sent: vec![], heard: VecDeque::new() };
        Box::pin(ready(Ok(Box::new(pipe) as Box<dyn Stream>)))
    }
    fn connect_local(&self, _path: &str) -> Pending<'static, io::Result<Box<dyn Stream>>> {
        unreachable!("name servers are asked over the net")
    }
    fn datagrams(&self, to: SocketAddr) -> Pending<'static, io::Result<Box<dyn Datagrams>>> {
        let socket = Socket { world: self.0.clone(), server: to, heard: RefCell::default() };
        Box::pin(ready(Ok(Box::new(socket) as Box<dyn Datagrams>)))
    }
    fn attached(&self) -> Attached {
        Attached::default()
    }
}

struct Socket {
    world: Rc<World>,
    server: SocketAddr,
    heard: RefCell<VecDeque<Vec<u8>>>,
}

impl Datagrams for Socket {
    fn send<'a>(&'a self, octets: &'a [u8]) -> Pending<'a, io::Result<()>> {
        let heard = self.world.hear(self.server, octets, false);
        Box::pin(ready(heard.map(|heard| self.heard.borrow_mut().extend(heard))))
    }
    fn receive<'a>(&'a self, into: &'a mut [u8]) -> Pending<'a, io::Result<usize>> {
        let Some(datagram) = self.heard.borrow_mut().pop_front() else {
            return Box::pin(pending());
        };
        let length = datagram.len().min(into.len());
        into[..length].copy_from_slice(&datagram[..length]);
        Box::pin(ready(Ok(length)))
    }
}

/// A stream to a name server: answers once the whole question is there, then ends.
struct Pipe {
    world: Rc<World>,
    server: SocketAddr,
    sent: Vec<u8>,
    heard: VecDeque<u8>,
}

impl AsyncRead for Pipe {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if self.heard.is_empty() && self.world.hangs.get() {
            return Poll::Pending;
        }
        let length = into.len().min(self.heard.len()).min(self.world.stride.get());
        for (place, octet) in into.iter_mut().zip(self.heard.drain(..length)) {
            *place = octet;
        }
        Poll::Ready(Ok(length))
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.sent.extend_from_slice(octets);
        let whole = usize::from(u16::from_be_bytes([self.sent[0], self.sent[1]])) + 2;
        if self.sent.len() == whole {
            let heard = self.world.hear(self.server, &self.sent[2..], true)?;
            for message in heard {
                let length = u16::try_from(message.len()).expect("fits");
                self.heard.extend(length.to_be_bytes());
                self.heard.extend(message);
            }
        }
        Poll::Ready(Ok(octets.len()))
    }
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_close(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Stream for Pipe {
    fn peer(&self) -> Option<SocketAddr> {
        Some(self.server)
    }
    fn local(&self) -> Option<SocketAddr> {
        None
    }
    fn tls(&self) -> Option<TlsFacts> {
        None
    }
}

/// What a resolver has no use for.
struct Nothing;

impl Disk for Nothing {
    fn open<'a>(&'a self, _: &'a str, _: Open) -> Pending<'a, io::Result<Rc<dyn File>>> {
        unreachable!()
    }
    fn list<'a>(&'a self, _: &'a str) -> Pending<'a, io::Result<Vec<(String, u64)>>> {
        unreachable!()
    }
    fn make_dir<'a>(&'a self, _: &'a str) -> Pending<'a, io::Result<()>> {
        unreachable!()
    }
    fn rename<'a>(&'a self, _: &'a str, _: &'a str) -> Pending<'a, io::Result<()>> {
        unreachable!()
    }
    fn remove<'a>(&'a self, _: &'a str) -> Pending<'a, io::Result<()>> {
        unreachable!()
    }
    fn sync_dir<'a>(&'a self, _: &'a str) -> Pending<'a, io::Result<()>> {
        unreachable!()
    }
    fn room<'a>(&'a self, _: &'a str) -> Pending<'a, io::Result<u64>> {
        unreachable!()
    }
}

impl Index for Nothing {
    fn apply(&self, _: Vec<IndexChange>) -> Pending<'_, io::Result<()>> {
        unreachable!()
    }
    fn scan<'a>(
        &'a self,
        _: &'static str,
        _: Range<'a>,
    ) -> Pending<'a, io::Result<Vec<(Vec<u8>, Vec<u8>)>>> {
        unreachable!()
    }
    fn flush(&self) -> Pending<'_, io::Result<()>> {
        unreachable!()
    }
    fn trouble(&self) -> String {
        unreachable!()
    }
}

impl Tls for Nothing {
    fn accept(&self, _: Box<dyn Stream>) -> Pending<'static, Result<Box<dyn Stream>, TlsError>> {
        unreachable!()
    }
    fn connect(
        &self,
        _: Box<dyn Stream>,
        _: &str,
        _: Trust,
    ) -> Pending<'static, Result<Box<dyn Stream>, TlsError>> {
        unreachable!()
    }
    fn certificate(&self, _: &[u8], _: &[u8]) -> Result<(), TlsError> {
        unreachable!()
    }
    fn self_signed(&self, _: &[String]) -> Result<(String, String), TlsError> {
        unreachable!()
    }
    fn authorities(&self, _: &[u8]) -> Result<(), TlsError> {
        unreachable!()
    }
}

impl Tasks for Nothing {
    fn spawn(&self, _: Pending<'static, ()>) {
        unreachable!()
    }
    fn slow(&self, _: Box<dyn FnOnce() + Send + 'static>) {
        unreachable!()
    }
}

impl Log for Nothing {
    fn line(&self, _: &str) {
        unreachable!()
    }
}
