//! A world small enough for the page: a clock that is set by hand, streams in memory, tasks run
//! when told to.

use crate::{
    serve::tests::wire::encrypted,
    sys::{
        Attached, Clock, Datagrams, Dice, Disk, File, Index, IndexChange, Listener, Log, Net, Open,
        Pending, Range, Stream, Sys, Tasks, Tls, TlsError, TlsFacts, Trust,
    },
    time::{Instant, Wall},
};
use futures_lite::{AsyncRead, AsyncReadExt, AsyncWrite};
use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    future::{poll_fn, ready},
    io,
    net::SocketAddr,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

/// Everything below the page.
#[derive(Default)]
pub(super) struct World {
    now: Rc<Cell<Instant>>,
    rolls: Cell<u64>,
    tasks: RefCell<Vec<Pending<'static, ()>>>,
    spawned: RefCell<Vec<Pending<'static, ()>>>,
    pub(super) log: RefCell<Vec<String>>,
}

impl World {
    pub(super) fn sys(self: &Rc<World>) -> Sys {
        Sys {
            clock: self.clone(),
            dice: self.clone(),
            net: self.clone(),
            disk: self.clone(),
            index: self.clone(),
            tls: self.clone(),
            tasks: self.clone(),
            log: self.clone(),
        }
    }

    /// Let everything happen that can happen now. Each task is polled until a few rounds have
    /// brought no news, so no waker is needed.
    pub(super) fn run(&self) {
        for _ in 0..16 {
            let mut tasks = self.tasks.take();
            tasks.append(&mut self.spawned.borrow_mut());
            let mut cx = Context::from_waker(Waker::noop());
            tasks.retain_mut(|task| task.as_mut().poll(&mut cx).is_pending());
            *self.tasks.borrow_mut() = tasks;
        }
    }

    /// Time passes, then everything happens that can.
    pub(super) fn pass(&self, time: Duration) {
        self.now.set(self.now.get() + time);
        self.run();
    }
}

impl Clock for World {
    fn now(&self) -> Instant {
        self.now.get()
    }
    fn wall(&self) -> Option<Wall> {
        Some(Wall(1_795_338_720 + self.now.get().0 / 1000))
    }
    fn sleep_until(&self, at: Instant) -> Pending<'static, ()> {
        let now = self.now.clone();
        let late = move || if now.get() >= at { Poll::Ready(()) } else { Poll::Pending };
        Box::pin(poll_fn(move |_| late()))
    }
}

impl Dice for World {
    fn roll(&self) -> u64 {
        self.rolls.set(self.rolls.get() + 1);
        self.rolls.get().wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

impl Tasks for World {
    fn spawn(&self, task: Pending<'static, ()>) {
        self.spawned.borrow_mut().push(task);
    }
    fn slow(&self, work: Box<dyn FnOnce() + Send + 'static>) {
        work();
    }
}

impl Log for World {
    fn line(&self, line: &str) {
        self.log.borrow_mut().push(line.into());
    }
}

/// One direction of a connection.
#[derive(Default)]
struct Pipe {
    octets: VecDeque<u8>,
    closed: bool,
}

/// Both directions, seen from the client.
#[derive(Clone, Default)]
pub(super) struct Client {
    up: Rc<RefCell<Pipe>>,
    down: Rc<RefCell<Pipe>>,
    /// Octets the client's side takes before it reads them; `None`: any number.
    pub(super) window: Rc<Cell<Option<usize>>>,
}

impl Client {
    pub(super) fn send(&self, octets: &[u8]) {
        self.up.borrow_mut().octets.extend(octets);
    }

    pub(super) fn close(&self) {
        self.up.borrow_mut().closed = true;
    }

    /// What has arrived.
    pub(super) fn take(&self) -> Vec<u8> {
        self.down.borrow_mut().octets.drain(..).collect()
    }

    /// The server has closed it, and everything was read.
    pub(super) fn is_over(&self) -> bool {
        let down = self.down.borrow();
        down.closed && down.octets.is_empty()
    }

    /// The server's end.
    pub(super) fn stream(&self, peer: Option<&str>) -> Box<dyn Stream> {
        let peer = peer.map(|peer| peer.parse().expect("an address and a port"));
        Box::new(End { client: self.clone(), peer })
    }
}

struct End {
    client: Client,
    peer: Option<SocketAddr>,
}

impl Drop for End {
    fn drop(&mut self) {
        self.client.down.borrow_mut().closed = true;
    }
}

impl Stream for End {
    fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }
    fn local(&self) -> Option<SocketAddr> {
        None
    }
    fn tls(&self) -> Option<TlsFacts> {
        None
    }
}

impl AsyncRead for End {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut up = self.client.up.borrow_mut();
        if up.octets.is_empty() {
            return if up.closed { Poll::Ready(Ok(0)) } else { Poll::Pending };
        }
        let n = into.len().min(up.octets.len());
        for (place, octet) in into.iter_mut().zip(up.octets.drain(..n)) {
            *place = octet;
        }
        Poll::Ready(Ok(n))
    }
}

impl AsyncWrite for End {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut down = self.client.down.borrow_mut();
        let window = self.client.window.get().unwrap_or(usize::MAX);
        let n = octets.len().min(window.saturating_sub(down.octets.len()));
        if n == 0 && !octets.is_empty() {
            return Poll::Pending;
        }
        down.octets.extend(&octets[..n]);
        Poll::Ready(Ok(n))
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.client.down.borrow_mut().closed = true;
        Poll::Ready(Ok(()))
    }
}

/// Connections on their way to a listener.
#[derive(Clone, Default)]
pub(super) struct Door(Rc<RefCell<VecDeque<Box<dyn Stream>>>>);

impl Door {
    pub(super) fn connect(&self, peer: Option<&str>) -> Client {
        let client = Client::default();
        self.0.borrow_mut().push_back(client.stream(peer));
        client
    }
}

impl Listener for Door {
    fn accept(&self) -> Pending<'_, io::Result<Box<dyn Stream>>> {
        Box::pin(poll_fn(|_| match self.0.borrow_mut().pop_front() {
            Some(stream) => Poll::Ready(Ok(stream)),
            None => Poll::Pending,
        }))
    }
    fn address(&self) -> Option<SocketAddr> {
        None
    }
}

/// What the page has no business with.
fn none<T: 'static>() -> Pending<'static, io::Result<T>> {
    Box::pin(ready(Err(io::ErrorKind::Unsupported.into())))
}

impl Net for World {
    fn listen(&self, _: SocketAddr) -> io::Result<Box<dyn Listener>> {
        Err(io::ErrorKind::Unsupported.into())
    }
    fn listen_local(&self, _: &str) -> io::Result<Box<dyn Listener>> {
        Err(io::ErrorKind::Unsupported.into())
    }
    fn connect(&self, _: SocketAddr) -> Pending<'static, io::Result<Box<dyn Stream>>> {
        none()
    }
    fn connect_local(&self, _: &str) -> Pending<'static, io::Result<Box<dyn Stream>>> {
        none()
    }
    fn datagrams(&self, _: SocketAddr) -> Pending<'static, io::Result<Box<dyn Datagrams>>> {
        none()
    }
    fn attached(&self) -> Attached {
        Attached::default()
    }
}

impl Disk for World {
    fn open<'a>(&'a self, _: &'a str, _: Open) -> Pending<'a, io::Result<Rc<dyn File>>> {
        none()
    }
    fn list<'a>(&'a self, _: &'a str) -> Pending<'a, io::Result<Vec<(String, u64)>>> {
        none()
    }
    fn make_dir<'a>(&'a self, _: &'a str) -> Pending<'a, io::Result<()>> {
        none()
    }
    fn rename<'a>(&'a self, _: &'a str, _: &'a str) -> Pending<'a, io::Result<()>> {
        none()
    }
    fn remove<'a>(&'a self, _: &'a str) -> Pending<'a, io::Result<()>> {
        none()
    }
    fn sync_dir<'a>(&'a self, _: &'a str) -> Pending<'a, io::Result<()>> {
        none()
    }
    fn room<'a>(&'a self, _: &'a str) -> Pending<'a, io::Result<u64>> {
        none()
    }
}

impl Index for World {
    fn apply(&self, _: Vec<IndexChange>) -> Pending<'_, io::Result<()>> {
        none()
    }
    fn scan<'a>(
        &'a self,
        _: &'static str,
        _: Range<'a>,
    ) -> Pending<'a, io::Result<Vec<(Vec<u8>, Vec<u8>)>>> {
        none()
    }
    fn flush(&self) -> Pending<'_, io::Result<()>> {
        none()
    }
    fn trouble(&self) -> String {
        String::new()
    }
}

impl Tls for World {
    /// A handshake is one octet here.
    fn accept(
        &self,
        mut stream: Box<dyn Stream>,
    ) -> Pending<'static, Result<Box<dyn Stream>, TlsError>> {
        Box::pin(async move {
            let failed = |_| TlsError::Failed(String::new());
            stream.read_exact(&mut [0]).await.map_err(failed)?;
            Ok(encrypted(stream))
        })
    }
    fn connect(
        &self,
        _: Box<dyn Stream>,
        _: &str,
        _: Trust,
    ) -> Pending<'static, Result<Box<dyn Stream>, TlsError>> {
        Box::pin(ready(Err(TlsError::Failed(String::new()))))
    }
    fn certificate(&self, _: &[u8], _: &[u8]) -> Result<(), TlsError> {
        Err(TlsError::Failed(String::new()))
    }
    fn self_signed(&self, _: &[String]) -> Result<(String, String), TlsError> {
        Err(TlsError::Failed(String::new()))
    }
    fn authorities(&self, _: &[u8]) -> Result<(), TlsError> {
        Err(TlsError::Failed(String::new()))
    }
}
