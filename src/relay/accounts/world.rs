//! A world for tests that has a clock, dice, files in memory, streams that were written beforehand,
//! and a slow pool that works when it is told to.

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
    collections::{BTreeMap, HashMap, VecDeque},
    future::ready,
    io,
    net::SocketAddr,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

/// Of an entry of the index, with its tree.
type Key = (&'static str, Vec<u8>);
type Work = Box<dyn FnOnce() + Send + 'static>;

/// The world, and what happened in it.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) now: Cell<Instant>,
    /// Whoever sleeps takes the clock with them.
    pub(crate) slept: Rc<Cell<Instant>>,
    rolls: Cell<u64>,
    /// Slow work is kept for [`World::work`] instead of being done at once.
    pub(crate) lazy: Cell<bool>,
    works: RefCell<VecDeque<Work>>,
    /// How often slow work was asked for.
    pub(crate) slow_works: Cell<u32>,
    /// Files by path.
    pub(crate) files: RefCell<HashMap<String, Vec<u8>>>,
    /// The next connections, by address or path; a place without any refuses.
    servers: RefCell<HashMap<String, VecDeque<Server>>>,
    index: RefCell<BTreeMap<Key, Vec<u8>>>,
    /// What was sent over each connection, in the order in which they were opened.
    pub(crate) sent: Rc<RefCell<Vec<Vec<u8>>>>,
}

impl World {
    /// A world, and the `Sys` that is it.
    pub(crate) fn new() -> (Rc<World>, Sys) {
        let world = Rc::new(World::default());
        let sys = Sys {
            clock: world.clone(),
            dice: world.clone(),
            net: world.clone(),
            disk: world.clone(),
            index: world.clone(),
            tls: world.clone(),
            tasks: world.clone(),
            log: world.clone(),
        };
        (world, sys)
    }

    /// Do one piece of slow work; `false` where there is none.
    pub(crate) fn work(&self) -> bool {
        let work = self.works.borrow_mut().pop_front();
        work.map(|work| work()).is_some()
    }

    /// The next connection to `place` will hear this, and then the end.
    pub(crate) fn will_say(&self, place: &str, octets: &[u8]) {
        self.serve(place, Server { hear: octets.to_vec(), ..Server::default() });
    }

    /// The next connection to `place` will hear the first of these replies, another one after each
    /// line it sends (after 354: after each message), and then the end.
    pub(crate) fn will_reply(&self, place: &str, replies: &[&str]) {
        let mut replies = replies.iter().map(|reply| format!("{reply}\r\n"));
        let hear = replies.next().unwrap_or_default().into_bytes();
        self.serve(place, Server { hear, replies: replies.collect(), ..Server::default() });
    }

    fn serve(&self, place: &str, server: Server) {
        self.servers.borrow_mut().entry(place.to_string()).or_default().push_back(server);
    }

    /// What was sent over the `n`-th connection.
    pub(crate) fn heard(&self, n: usize) -> String {
        String::from_utf8_lossy(&self.sent.borrow()[n]).into_owned()
    }

    fn open(&self, place: &str) -> Pending<'static, io::Result<Box<dyn Stream>>> {
        let server = self.servers.borrow_mut().get_mut(place).and_then(VecDeque::pop_front);
        let stream = server.map(|server| {
            self.sent.borrow_mut().push(Vec::new());
            let at = self.sent.borrow().len() - 1;
            Box::new(Scripted { server, sent: self.sent.clone(), at }) as Box<dyn Stream>
        });
        Box::pin(ready(stream.ok_or_else(|| io::ErrorKind::ConnectionRefused.into())))
    }
}

impl Clock for World {
    fn now(&self) -> Instant {
        self.now.get().max(self.slept.get())
    }
    fn wall(&self) -> Option<Wall> {
        None
    }
    fn sleep_until(&self, at: Instant) -> Pending<'static, ()> {
        let slept = self.slept.clone();
        Box::pin(async move { slept.set(slept.get().max(at)) })
    }
}

impl Dice for World {
    fn roll(&self) -> u64 {
        self.rolls.set(self.rolls.get() + 1);
        self.rolls.get().wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

impl Tasks for World {
    fn spawn(&self, _task: Pending<'static, ()>) {
        unreachable!("nothing here spawns");
    }
    fn slow(&self, work: Work) {
        self.slow_works.set(self.slow_works.get() + 1);
        if self.lazy.get() {
            self.works.borrow_mut().push_back(work);
        } else {
            work();
        }
    }
}

impl Log for World {
    fn line(&self, _line: &str) {}
}

impl Net for World {
    fn listen(&self, _at: SocketAddr) -> io::Result<Box<dyn Listener>> {
        Err(io::ErrorKind::Unsupported.into())
    }
    fn listen_local(&self, _path: &str) -> io::Result<Box<dyn Listener>> {
        Err(io::ErrorKind::Unsupported.into())
    }
    fn connect(&self, to: SocketAddr) -> Pending<'static, io::Result<Box<dyn Stream>>> {
        self.open(&to.to_string())
    }
    fn connect_local(&self, path: &str) -> Pending<'static, io::Result<Box<dyn Stream>>> {
        self.open(path)
    }
    fn datagrams(&self, _to: SocketAddr) -> Pending<'static, io::Result<Box<dyn Datagrams>>> {
        Box::pin(ready(Err(io::ErrorKind::Unsupported.into())))
    }
    fn attached(&self) -> Attached {
        Attached::default()
    }
}

/// What a connection is going to hear.
#[derive(Default)]
struct Server {
    hear: Vec<u8>,
    replies: VecDeque<String>,
    /// What was sent since the last reply.
    unanswered: Vec<u8>,
    in_message: bool,
}

impl Server {
    fn listen(&mut self, octets: &[u8]) {
        self.unanswered.extend_from_slice(octets);
        loop {
            let end: &[u8] = if self.in_message { b".\r\n" } else { b"\r\n" };
            let mut places = self.unanswered.windows(end.len()).enumerate();
            let ends = |at: usize| at == 0 || self.unanswered[..at].ends_with(b"\r\n");
            let found = places.find(|(at, seen)| *seen == end && (!self.in_message || ends(*at)));
            let Some((at, _)) = found else { return };
            self.unanswered.drain(..at + end.len());
            let Some(reply) = self.replies.pop_front() else { return };
            self.in_message = reply.starts_with("354");
            self.hear.extend_from_slice(reply.as_bytes());
        }
    }
}

struct Scripted {
    server: Server,
    sent: Rc<RefCell<Vec<Vec<u8>>>>,
    at: usize,
}

impl AsyncRead for Scripted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let hear = &mut self.server.hear;
        let length = hear.len().min(into.len());
        into[..length].copy_from_slice(&hear[..length]);
        hear.drain(..length);
        if length == 0 && !self.server.replies.is_empty() {
            return Poll::Pending;
        }
        Poll::Ready(Ok(length))
    }
}

impl AsyncWrite for Scripted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        let at = self.at;
        self.sent.borrow_mut()[at].extend_from_slice(octets);
        self.server.listen(octets);
        Poll::Ready(Ok(octets.len()))
    }
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_close(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Stream for Scripted {
    fn peer(&self) -> Option<SocketAddr> {
        None
    }
    fn local(&self) -> Option<SocketAddr> {
        None
    }
    fn tls(&self) -> Option<TlsFacts> {
        None
    }
}

fn unsupported<'a, T: 'a>() -> Pending<'a, io::Result<T>> {
    Box::pin(ready(Err(io::ErrorKind::Unsupported.into())))
}

/// Files that can be read.
impl Disk for World {
    fn open<'a>(&'a self, path: &'a str, how: Open) -> Pending<'a, io::Result<Rc<dyn File>>> {
        assert_eq!(how, Open::Read, "nothing here writes");
        let file = self.files.borrow().get(path).cloned();
        let file = file.map(|octets| Rc::new(Octets(octets)) as Rc<dyn File>);
        Box::pin(ready(file.ok_or_else(|| io::ErrorKind::NotFound.into())))
    }
    fn list<'a>(&'a self, _dir: &'a str) -> Pending<'a, io::Result<Vec<(String, u64)>>> {
        unsupported()
    }
    fn make_dir<'a>(&'a self, _dir: &'a str) -> Pending<'a, io::Result<()>> {
        unsupported()
    }
    fn rename<'a>(&'a self, _from: &'a str, _to: &'a str) -> Pending<'a, io::Result<()>> {
        unsupported()
    }
    fn remove<'a>(&'a self, _path: &'a str) -> Pending<'a, io::Result<()>> {
        unsupported()
    }
    fn sync_dir<'a>(&'a self, _dir: &'a str) -> Pending<'a, io::Result<()>> {
        unsupported()
    }
    fn room<'a>(&'a self, _dir: &'a str) -> Pending<'a, io::Result<u64>> {
        unsupported()
    }
}

struct Octets(Vec<u8>);

impl File for Octets {
    fn read_at(&self, offset: u64, length: usize) -> Pending<'_, io::Result<Vec<u8>>> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.0.len());
        let end = start.saturating_add(length).min(self.0.len());
        Box::pin(ready(Ok(self.0[start..end].to_vec())))
    }
    fn write_at(&self, _offset: u64, _octets: Vec<u8>) -> Pending<'_, io::Result<Vec<u8>>> {
        unsupported()
    }
    fn write_sync(&self, _offset: u64, _octets: Vec<u8>) -> Pending<'_, io::Result<Vec<u8>>> {
        unsupported()
    }
    fn sync(&self) -> Pending<'_, io::Result<()>> {
        unsupported()
    }
    fn length(&self) -> Pending<'_, io::Result<u64>> {
        Box::pin(ready(Ok(self.0.len() as u64)))
    }
}

impl Index for World {
    fn apply(&self, batch: Vec<IndexChange>) -> Pending<'_, io::Result<()>> {
        let mut index = self.index.borrow_mut();
        for IndexChange { tree, key, value } in batch {
            match value {
                Some(value) => drop(index.insert((tree, key), value)),
                None => drop(index.remove(&(tree, key))),
            }
        }
        Box::pin(ready(Ok(())))
    }
    /// All of a tree, rising: nobody here asks for less.
    fn scan<'a>(
        &'a self,
        tree: &'static str,
        _range: Range<'a>,
    ) -> Pending<'a, io::Result<Vec<(Vec<u8>, Vec<u8>)>>> {
        let index = self.index.borrow();
        let entries = index.iter().filter(|((of, _), _)| *of == tree);
        let entries = entries.map(|((_, key), value)| (key.clone(), value.clone())).collect();
        Box::pin(ready(Ok(entries)))
    }
    fn flush(&self) -> Pending<'_, io::Result<()>> {
        unsupported()
    }
    fn trouble(&self) -> String {
        String::new()
    }
}

impl Tls for World {
    fn accept(
        &self,
        _stream: Box<dyn Stream>,
    ) -> Pending<'static, Result<Box<dyn Stream>, TlsError>> {
        Box::pin(ready(Err(TlsError::Failed("no TLS here".into()))))
    }
    fn connect(
        &self,
        _stream: Box<dyn Stream>,
        _name: &str,
        _trust: Trust,
    ) -> Pending<'static, Result<Box<dyn Stream>, TlsError>> {
        Box::pin(ready(Err(TlsError::Failed("no TLS here".into()))))
    }
    fn certificate(&self, _pem: &[u8], _key: &[u8]) -> Result<(), TlsError> {
        Err(TlsError::Failed("no TLS here".into()))
    }
    fn self_signed(&self, _names: &[String]) -> Result<(String, String), TlsError> {
        Err(TlsError::Failed("no TLS here".into()))
    }
    fn authorities(&self, _pem: &[u8]) -> Result<(), TlsError> {
        Err(TlsError::Failed("no TLS here".into()))
    }
}
