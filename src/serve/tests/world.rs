//! A world in memory for the whole relay: tasks that run when they are woken, a clock that moves
//! when it is told to, a disk and an index that can fail, connections with both ends, and mail
//! servers made of a few rules.

use super::{
    names::{Socket, Zone},
    server::{self, Mail, Server},
    service::{self, Service},
    wire::Wire,
};
use crate::{
    sys::{
        Attached, Clock, Datagrams, Dice, Listener, Log, Net, Pending, Stream, Sys, Tasks, Tls,
        TlsError, TlsFacts, Trust, Wear,
    },
    time::{Instant, Wall},
};
use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet, VecDeque},
    future::{Future, poll_fn, ready},
    io,
    net::{IpAddr, SocketAddr},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

/// Everything below the relay.
#[derive(Default)]
pub(super) struct World {
    now: Cell<Instant>,
    /// The clock shows the date.
    pub(super) dated: Cell<bool>,
    timers: RefCell<BTreeMap<(Instant, u64), Waker>>,
    timer: Cell<u64>,
    rolls: Cell<u64>,
    tasks: RefCell<BTreeMap<u64, Task>>,
    task: Cell<u64>,
    /// How often a task was polled.
    pub(super) polls: Cell<u64>,
    /// How many tasks panicked.
    pub(super) panics: Cell<u32>,
    pub(super) log: RefCell<Vec<String>>,
    pub(super) files: RefCell<BTreeMap<String, Vec<u8>>>,
    /// Directories that are there.
    pub(super) dirs: RefCell<BTreeSet<String>>,
    /// Nothing can be written to files whose path begins so.
    pub(super) broken: RefCell<Option<&'static str>>,
    /// Opening a file whose path begins so panics.
    pub(super) cursed: RefCell<Option<&'static str>>,
    /// Files and sockets that may be open at once.
    pub(super) files_most: Cell<u64>,
    /// Octets the file system still takes.
    pub(super) room: Cell<Option<u64>>,
    pub(super) index: RefCell<BTreeMap<&'static str, Tree>>,
    pub(super) index_broken: Cell<bool>,
    /// Batches that were written to it.
    pub(super) index_batches: Cell<u64>,
    /// What it says is wrong with it, and what it has written.
    pub(super) index_trouble: RefCell<String>,
    pub(super) index_written: Cell<Option<u64>>,
    /// What the disk says it was asked.
    pub(super) wear: Cell<Wear>,
    /// The index answers nothing.
    pub(super) index_hangs: Cell<bool>,
    listeners: RefCell<BTreeMap<String, Rc<Waiting>>>,
    pub(super) servers: RefCell<BTreeMap<SocketAddr, Rc<Server>>>,
    /// Sign-in services.
    pub(super) services: RefCell<BTreeMap<SocketAddr, Rc<Service>>>,
    /// What the name server knows; without any record there is no name server.
    pub(super) zone: RefCell<Zone>,
    /// Names whose certificate is wrong, and how.
    pub(super) impostors: RefCell<BTreeMap<String, TlsError>>,
    /// Name and trust of each handshake.
    pub(super) handshakes: RefCell<Vec<(String, Trust)>>,
    /// What the servers took.
    pub(super) mail: RefCell<Vec<Mail>>,
    /// Our end of connections, where it was chosen.
    pub(super) sources: RefCell<Vec<IpAddr>>,
    /// Every connection that was tried.
    pub(super) knocks: RefCell<Vec<SocketAddr>>,
}

/// Keys and values.
pub(super) type Tree = BTreeMap<Vec<u8>, Vec<u8>>;

struct Task {
    future: Pending<'static, ()>,
    flag: Arc<Flag>,
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl World {
    pub(super) fn new() -> Rc<World> {
        let world = Rc::new(World::default());
        world.dated.set(true);
        world.files_most.set(u64::MAX);
        world.now.set(Instant(1_000));
        world
    }

    pub(super) fn sys(self: &Rc<World>) -> Sys {
        let fake = || Rc::new(Fake(self.clone()));
        Sys {
            clock: fake(),
            dice: fake(),
            net: fake(),
            disk: fake(),
            index: fake(),
            tls: fake(),
            tasks: fake(),
            log: fake(),
        }
    }

    fn spawn(&self, future: Pending<'static, ()>) {
        self.task.set(self.task.get() + 1);
        let flag = Arc::new(Flag(AtomicBool::new(true)));
        self.tasks.borrow_mut().insert(self.task.get(), Task { future, flag });
    }

    /// Whatever was woken runs, until nothing is. A panic ends its task alone.
    pub(super) fn run(&self) {
        loop {
            let woken = |task: &Task| task.flag.0.swap(false, Ordering::Relaxed);
            let numbers: Vec<u64> =
                self.tasks.borrow().iter().filter(|(_, t)| woken(t)).map(|(n, _)| *n).collect();
            if numbers.is_empty() {
                return;
            }
            for number in numbers {
                let Some(mut task) = self.tasks.borrow_mut().remove(&number) else { continue };
                self.polls.set(self.polls.get() + 1);
                let waker = Waker::from(task.flag.clone());
                let mut cx = Context::from_waker(&waker);
                let polled = catch_unwind(AssertUnwindSafe(|| task.future.as_mut().poll(&mut cx)));
                match polled {
                    Ok(Poll::Pending) => drop(self.tasks.borrow_mut().insert(number, task)),
                    Ok(Poll::Ready(())) => {}
                    Err(_) => self.panics.set(self.panics.get() + 1),
                }
            }
        }
    }

    /// Time passes; whatever has its time within it happens at its time.
    pub(super) fn pass(&self, time: Duration) {
        let end = self.now.get() + time;
        self.run();
        while let Some(next) = self.next_timer().filter(|at| *at <= end) {
            self.wake_at(next);
        }
        self.now.set(end);
    }

    fn next_timer(&self) -> Option<Instant> {
        self.timers.borrow().first_key_value().map(|((at, _), _)| *at)
    }

    fn wake_at(&self, at: Instant) {
        self.now.set(self.now.get().max(at));
        loop {
            let first = self.timers.borrow().first_key_value().map(|(key, _)| *key);
            let Some(key) = first.filter(|(due, _)| *due <= at) else { break };
            let waker = self.timers.borrow_mut().remove(&key);
            waker.expect("it was just seen").wake();
        }
        self.run();
    }

    /// The result of `work`. Time passes only where everybody waits for it.
    pub(super) fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        let flag = Arc::new(Flag(AtomicBool::new(true)));
        let waker = Waker::from(flag.clone());
        for _ in 0..1_000_000 {
            if flag.0.swap(false, Ordering::Relaxed)
                && let Poll::Ready(done) = work.as_mut().poll(&mut Context::from_waker(&waker))
            {
                self.run();
                return done;
            }
            self.run();
            if !flag.0.load(Ordering::Relaxed) {
                self.wake_at(self.next_timer().expect("somebody waits for a time"));
            }
        }
        panic!("this never ends");
    }

    /// End everything, as `kill -9` does: what is not on the disk is gone.
    pub(super) fn kill(&self) {
        let tasks = self.tasks.take();
        drop(tasks);
        self.timers.borrow_mut().clear();
        self.listeners.borrow_mut().clear();
    }

    /// Tasks that have not ended.
    pub(super) fn tasks(&self) -> usize {
        self.tasks.borrow().len()
    }

    /// Connect to the relay from this address.
    pub(super) fn connect(&self, to: &str, from: &str) -> Option<Wire> {
        let place = self.listeners.borrow().get(to).cloned()?;
        let (wire, end) = Wire::new(Some(from.parse().expect("address and port")));
        place.come(Box::new(end));
        self.run();
        Some(wire)
    }

    /// A mail server that says yes to everything.
    pub(super) fn server(&self, at: &str) -> Rc<Server> {
        let server = Rc::new(Server { rules: RefCell::default() });
        self.servers.borrow_mut().insert(at.parse().expect("address and port"), server.clone());
        server
    }

    /// Lines of the log about this kind of event.
    pub(super) fn told(&self, kind: &str) -> Vec<String> {
        let start = format!("event={kind} ");
        let log = self.log.borrow();
        log.iter().filter(|line| format!("{line} ").starts_with(&start)).cloned().collect()
    }

    fn open(self: &Rc<World>, to: SocketAddr) -> io::Result<Box<dyn Stream>> {
        self.knocks.borrow_mut().push(to);
        if let Some(service) = self.services.borrow().get(&to).cloned() {
            let (wire, end) = Wire::new(Some(to));
            self.spawn(Box::pin(async move { service::serve(&service, wire).await }));
            return Ok(Box::new(end));
        }
        let unreachable = io::ErrorKind::NetworkUnreachable;
        let server = self.servers.borrow().get(&to).cloned().ok_or(unreachable)?;
        let (wire, end) = Wire::new(Some(to));
        let world = self.clone();
        self.spawn(Box::pin(async move { server::serve(&world, &server, to, wire).await }));
        Ok(Box::new(end))
    }

    pub(super) fn refuses(&self, path: &str) -> io::Result<()> {
        let cursed = self.cursed.borrow().is_some_and(|start| path.starts_with(start));
        assert!(!cursed, "planted at {path}");
        if self.broken.borrow().is_some_and(|start| path.starts_with(start)) {
            return Err(io::Error::other("planted: the disk is broken"));
        }
        Ok(())
    }
}

/// Connections that wait to be accepted.
#[derive(Default)]
struct Waiting {
    streams: RefCell<VecDeque<Box<dyn Stream>>>,
    waker: RefCell<Option<Waker>>,
}

impl Waiting {
    fn come(&self, stream: Box<dyn Stream>) {
        self.streams.borrow_mut().push_back(stream);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

struct Ear {
    world: Rc<World>,
    name: String,
    place: Rc<Waiting>,
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.world.listeners.borrow_mut().remove(&self.name);
    }
}

impl Listener for Ear {
    fn accept(&self) -> Pending<'_, io::Result<Box<dyn Stream>>> {
        Box::pin(poll_fn(|cx| {
            if let Some(stream) = self.place.streams.borrow_mut().pop_front() {
                return Poll::Ready(Ok(stream));
            }
            *self.place.waker.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        }))
    }
    fn address(&self) -> Option<SocketAddr> {
        self.name.parse().ok()
    }
}

/// Every part of the world.
pub(super) struct Fake(pub(super) Rc<World>);

impl Clock for Fake {
    fn now(&self) -> Instant {
        self.0.now.get()
    }
    fn wall(&self) -> Option<Wall> {
        let now = self.0.now.get().0 / 1000;
        self.0.dated.get().then_some(Wall(1_795_338_720 + now))
    }
    fn sleep_until(&self, at: Instant) -> Pending<'static, ()> {
        self.0.timer.set(self.0.timer.get() + 1);
        let mut timer = Timer { world: self.0.clone(), key: (at, self.0.timer.get()) };
        Box::pin(poll_fn(move |cx| timer.poll(cx)))
    }
}

struct Timer {
    world: Rc<World>,
    key: (Instant, u64),
}

impl Timer {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.world.now.get() >= self.key.0 {
            return Poll::Ready(());
        }
        self.world.timers.borrow_mut().insert(self.key, cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        let gone = self.world.timers.borrow_mut().remove(&self.key);
        drop(gone);
    }
}

impl Dice for Fake {
    fn roll(&self) -> u64 {
        self.0.rolls.set(self.0.rolls.get() + 1);
        self.0.rolls.get().wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

impl Net for Fake {
    fn listen(&self, at: SocketAddr) -> io::Result<Box<dyn Listener>> {
        let clash = |name: &String| {
            let other: Option<SocketAddr> = name.parse().ok();
            other.is_some_and(|other| {
                other.port() == at.port()
                    && (other.ip() == at.ip()
                        || other.ip().is_unspecified()
                        || at.ip().is_unspecified())
            })
        };
        if self.0.listeners.borrow().keys().any(clash) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        self.listen_local(&at.to_string())
    }
    fn listen_local(&self, path: &str) -> io::Result<Box<dyn Listener>> {
        let place: Rc<Waiting> = Rc::default();
        self.0.listeners.borrow_mut().insert(path.into(), place.clone());
        Ok(Box::new(Ear { world: self.0.clone(), name: path.into(), place }))
    }
    fn connect(&self, to: SocketAddr) -> Pending<'static, io::Result<Box<dyn Stream>>> {
        Box::pin(ready(self.0.open(to)))
    }
    fn connect_from(
        &self,
        from: IpAddr,
        to: SocketAddr,
    ) -> Pending<'static, io::Result<Box<dyn Stream>>> {
        self.0.sources.borrow_mut().push(from);
        Net::connect(self, to)
    }
    fn connect_local(&self, path: &str) -> Pending<'static, io::Result<Box<dyn Stream>>> {
        let there = self.0.listeners.borrow().contains_key(path);
        let stream = there.then(|| Box::new(Wire::new(None).1) as Box<dyn Stream>);
        Box::pin(ready(stream.ok_or_else(|| io::ErrorKind::ConnectionRefused.into())))
    }
    fn datagrams(&self, _: SocketAddr) -> Pending<'static, io::Result<Box<dyn Datagrams>>> {
        let known = !self.0.zone.borrow().records.is_empty();
        let socket = known.then(|| Box::new(Socket::new(self.0.clone())) as Box<dyn Datagrams>);
        Box::pin(ready(socket.ok_or_else(|| io::ErrorKind::NetworkUnreachable.into())))
    }
    fn attached(&self) -> Attached {
        Attached::default()
    }
    fn open_at_most(&self, _: u64) -> u64 {
        self.0.files_most.get()
    }
}

impl Tls for Fake {
    fn accept(
        &self,
        stream: Box<dyn Stream>,
    ) -> Pending<'static, Result<Box<dyn Stream>, TlsError>> {
        Box::pin(ready(Ok(super::wire::encrypted(stream))))
    }
    fn connect(
        &self,
        stream: Box<dyn Stream>,
        name: &str,
        trust: Trust,
    ) -> Pending<'static, Result<Box<dyn Stream>, TlsError>> {
        let wrong = self.0.impostors.borrow().get(name).cloned();
        let wrong = wrong.filter(|_| trust != Trust::Opportunistic);
        self.0.handshakes.borrow_mut().push((name.into(), trust));
        Box::pin(ready(wrong.map_or_else(|| Ok(super::wire::encrypted(stream)), Err)))
    }
    fn certificate(&self, pem: &[u8], key: &[u8]) -> Result<(), TlsError> {
        self.0.log.borrow_mut().push(format!(
            "certificate {} {}",
            String::from_utf8_lossy(pem),
            String::from_utf8_lossy(key)
        ));
        let pair = pem.strip_prefix(b"certificate") == key.strip_prefix(b"key");
        if pair { Ok(()) } else { Err(TlsError::Failed("they do not belong together".into())) }
    }
    fn self_signed(&self, _: &[String]) -> Result<(String, String), TlsError> {
        Ok(("certificate".into(), "key".into()))
    }
    fn authorities(&self, _: &[u8]) -> Result<(), TlsError> {
        Ok(())
    }
}

impl Tasks for Fake {
    fn spawn(&self, task: Pending<'static, ()>) {
        self.0.spawn(task);
    }
    fn slow(&self, work: Box<dyn FnOnce() + Send + 'static>) {
        work();
    }
    fn memory(&self) -> Option<u64> {
        Some(3 << 20)
    }
}

impl Log for Fake {
    fn line(&self, line: &str) {
        self.0.log.borrow_mut().push(line.into());
    }
}

/// What is told of an encrypted connection.
pub(super) fn facts() -> TlsFacts {
    TlsFacts { version: "TLSv1.3".into(), ..TlsFacts::default() }
}
