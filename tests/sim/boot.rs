//! One run of the relay in the world: a `Sys` that dies with it.

use crate::{
    disk::{Chance, SimDisk},
    medium::Medium,
    net::{self, Ear, Questions, RELAY, ROUTER},
    tasks::Owner,
    world::{World, seconds},
};
use futures_lite::{AsyncRead, AsyncWrite};
use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, VecDeque},
    future::{pending, poll_fn},
    io::{self, ErrorKind},
    net::SocketAddr,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};
use waypost::{
    relay::spool::{Room, Spool},
    serve::{control::Files, start},
    sys::{
        Attached, Clock, Datagrams, Dice, Index, IndexChange, Listener, Log, Net, Order, Pending,
        Range, Signals, Stream, Sys, Tasks, Tls, TlsError, TlsFacts, Trust, Wish,
    },
    time::{Instant, Wall},
};

/// How a run came to its end by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was asked to.
    Asked,
    /// It could not begin: words.
    Failed(String),
}

/// A run of the relay.
pub struct Boot {
    world: World,
    run: u32,
    plug: Rc<Plug>,
    wishes: Rc<Wishes>,
    ended: Rc<RefCell<Option<Ended>>>,
}

/// What goes wrong inside the machine beside its disk.
#[derive(Clone, Copy, Debug, Default)]
pub struct Frailty {
    /// So many handshakes in a thousand fail.
    pub tls: u64,
    /// So many operations of the index in a thousand fail.
    pub index: u64,
}

/// What is left of the index between runs.
pub type Entries = Rc<RefCell<BTreeMap<(String, Vec<u8>), Vec<u8>>>>;

impl Boot {
    /// Switch the relay on.
    pub fn start(world: &World, run: u32, disk: &SimDisk, entries: &Entries) -> Boot {
        let plug = Plug::new(world, run, disk, entries);
        let wishes = Rc::<Wishes>::default();
        let ended = Rc::<RefCell<Option<Ended>>>::default();
        let (sys, mut signals, end) = (plug.sys(), Switch(wishes.clone()), ended.clone());
        let own = world.clone();
        let files = Files { document: "waypost.json".into(), machine: "relay".into() };
        let main = async move {
            let came_to = match start::open(&sys, files).await {
                Ok(running) => {
                    running.serve(&mut signals).await;
                    Ended::Asked
                }
                Err(failed) => Ended::Failed(failed.words.join("; ")),
            };
            *end.borrow_mut() = Some(came_to);
            own.relay_ended(true);
        };
        world.note(&format!("run {run} begins"));
        world.relay_ended(false);
        world.net().power(RELAY.into(), true);
        world.spawn_for(Owner::Relay(run), Box::pin(main));
        Boot { world: world.clone(), run, plug, wishes, ended }
    }

    /// What a spool holds that nobody uses, in words; empty where it holds nothing.
    pub fn look_into_spool(world: &World, run: u32, disk: &SimDisk, octets: u64) -> Vec<String> {
        let plug = Plug::new(world, run, disk, &Entries::default());
        let (sys, left) = (plug.sys(), Rc::new(RefCell::new(vec!["not opened".to_string()])));
        let kept = left.clone();
        let look = async move {
            *kept.borrow_mut() = match Spool::open(&sys, Room::new(octets, octets)).await {
                Ok((_, found)) => {
                    let damage = found.damaged.iter().map(|damage| format!("{damage:?}"));
                    found.entries.iter().map(|e| format!("{e:?}")).chain(damage).collect()
                }
                Err(error) => vec![error.to_string()],
            };
        };
        world.spawn_for(Owner::Relay(run), Box::pin(look));
        world.run_until(world.now() + seconds(60));
        world.kill(Owner::Relay(run));
        plug.pull();
        left.take()
    }

    pub fn ended(&self) -> Option<Ended> {
        self.ended.borrow().clone()
    }

    pub fn frailty(&self, frailty: Frailty) {
        self.plug.frailty.set(frailty);
    }

    /// Send it a signal.
    pub fn wish(&self, wish: Wish) {
        self.wishes.waiting.borrow_mut().push_back(wish);
        if let Some(waker) = self.wishes.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    /// The process is gone; the system closes what it had open.
    pub fn kill(self) {
        self.world.kill(Owner::Relay(self.run));
        self.plug.pull();
    }

    /// The whole machine is gone, and nobody is told.
    pub fn cut(self, disk: &SimDisk) {
        self.world.net().power(RELAY.into(), false);
        self.kill();
        disk.cut();
    }
}

#[derive(Default)]
struct Wishes {
    waiting: RefCell<VecDeque<Wish>>,
    waker: RefCell<Option<Waker>>,
}

struct Switch(Rc<Wishes>);

impl Signals for Switch {
    fn next(&mut self) -> Pending<'_, Wish> {
        Box::pin(poll_fn(|cx| match self.0.waiting.borrow_mut().pop_front() {
            Some(wish) => Poll::Ready(wish),
            None => {
                *self.0.waker.borrow_mut() = Some(cx.waker().clone());
                Poll::Pending
            }
        }))
    }
}

/// What connects a run with the world; pulled at its end, so that nothing of it can act any more.
struct Plug {
    world: RefCell<Option<World>>,
    run: u32,
    began: u64,
    dice: RefCell<Chance>,
    entries: Entries,
    frailty: Cell<Frailty>,
    medium: Medium,
}

impl Plug {
    fn new(world: &World, run: u32, disk: &SimDisk, entries: &Entries) -> Rc<Plug> {
        Rc::new(Plug {
            world: RefCell::new(Some(world.clone())),
            run,
            began: world.now(),
            dice: RefCell::new(Chance::new(world.roll())),
            entries: entries.clone(),
            frailty: Cell::new(Frailty::default()),
            medium: Medium::new(world, run, disk),
        })
    }

    fn sys(self: &Rc<Plug>) -> Sys {
        let socket = Rc::new(Socket(self.clone()));
        Sys {
            clock: socket.clone(),
            dice: socket.clone(),
            net: socket.clone(),
            disk: Rc::new(self.medium.clone()),
            index: socket.clone(),
            tls: socket.clone(),
            tasks: socket.clone(),
            log: socket,
        }
    }

    fn pull(&self) {
        self.medium.pull();
        drop(self.world.borrow_mut().take());
    }

    fn world(&self) -> Option<World> {
        self.world.borrow().clone()
    }
}

/// What the relay holds in its hand.
struct Socket(Rc<Plug>);

impl Clock for Socket {
    fn now(&self) -> Instant {
        Instant(self.0.world().map_or(0, |world| world.now() - self.0.began))
    }

    fn wall(&self) -> Option<Wall> {
        self.0.world().and_then(|world| world.wall())
    }

    fn sleep_until(&self, at: Instant) -> Pending<'static, ()> {
        match self.0.world() {
            Some(world) => Box::pin(world.sleep_until(self.0.began.saturating_add(at.0))),
            None => Box::pin(pending()),
        }
    }
}

impl Dice for Socket {
    fn roll(&self) -> u64 {
        self.0.dice.borrow_mut().roll()
    }
}

impl Tasks for Socket {
    fn spawn(&self, task: Pending<'static, ()>) {
        if let Some(world) = self.0.world() {
            world.spawn_for(Owner::Relay(self.0.run), task);
        }
    }

    fn slow(&self, work: Box<dyn FnOnce() + Send + 'static>) {
        work();
    }
}

impl Log for Socket {
    fn line(&self, line: &str) {
        if let Some(world) = self.0.world() {
            world.log(self.0.run, line);
        }
    }
}

impl Net for Socket {
    fn listen(&self, at: SocketAddr) -> io::Result<Box<dyn Listener>> {
        let world = self.0.world().ok_or(ErrorKind::NotConnected)?;
        Ok(Box::new(Ear::of(&world, at)?))
    }

    fn listen_local(&self, _path: &str) -> io::Result<Box<dyn Listener>> {
        Ok(Box::new(Nobody))
    }

    fn connect(&self, to: SocketAddr) -> Pending<'static, io::Result<Box<dyn Stream>>> {
        let Some(world) = self.0.world() else { return Box::pin(pending()) };
        Box::pin(async move {
            let wire = net::connect(&world, RELAY.into(), to).await?;
            Ok(Box::new(wire) as Box<dyn Stream>)
        })
    }

    fn connect_local(&self, _path: &str) -> Pending<'static, io::Result<Box<dyn Stream>>> {
        Box::pin(async { Err(ErrorKind::NotFound.into()) })
    }

    fn datagrams(&self, to: SocketAddr) -> Pending<'static, io::Result<Box<dyn Datagrams>>> {
        let Some(world) = self.0.world() else { return Box::pin(pending()) };
        Box::pin(async move {
            Ok(Box::new(Questions::new(&world, RELAY.into(), to)) as Box<dyn Datagrams>)
        })
    }

    fn attached(&self) -> Attached {
        let loopback = "127.0.0.0".parse().expect("an address");
        let lan = "192.168.7.0".parse().expect("an address");
        Attached {
            subnets: vec![(loopback, 8), (lan, 24)],
            gateways: vec![ROUTER.into()],
            addresses: vec![RELAY.into()],
        }
    }
}

/// A listener that nobody calls.
struct Nobody;

impl Listener for Nobody {
    fn accept(&self) -> Pending<'_, io::Result<Box<dyn Stream>>> {
        Box::pin(pending())
    }

    fn address(&self) -> Option<SocketAddr> {
        None
    }
}

impl Index for Socket {
    fn apply(&self, batch: Vec<IndexChange>) -> Pending<'_, io::Result<()>> {
        Box::pin(async move {
            self.may_fail()?;
            let mut entries = self.0.entries.borrow_mut();
            for change in batch {
                let key = (change.tree.to_string(), change.key);
                match change.value {
                    Some(value) => drop(entries.insert(key, value)),
                    None => drop(entries.remove(&key)),
                }
            }
            Ok(())
        })
    }

    fn scan<'a>(
        &'a self,
        tree: &'static str,
        range: Range<'a>,
    ) -> Pending<'a, io::Result<Vec<(Vec<u8>, Vec<u8>)>>> {
        Box::pin(async move {
            self.may_fail()?;
            let entries = self.0.entries.borrow();
            let fits = |key: &[u8]| {
                key.starts_with(range.prefix)
                    && range.from.is_none_or(|from| match range.order {
                        Order::Rising => key >= from,
                        Order::Falling => key <= from,
                    })
            };
            let found = entries.iter().filter(|((t, key), _)| t == tree && fits(key));
            let mut found: Vec<_> = found.map(|((_, k), v)| (k.clone(), v.clone())).collect();
            if range.order == Order::Falling {
                found.reverse();
            }
            found.truncate(range.limit);
            Ok(found)
        })
    }

    fn flush(&self) -> Pending<'_, io::Result<()>> {
        Box::pin(async { self.may_fail() })
    }

    fn trouble(&self) -> String {
        String::new()
    }
}

impl Socket {
    fn may_fail(&self) -> io::Result<()> {
        let world = self.0.world().ok_or(ErrorKind::NotConnected)?;
        if world.permille(self.0.frailty.get().index) {
            return Err(io::Error::other("the simulated index fails"));
        }
        Ok(())
    }
}

impl Tls for Socket {
    fn accept(
        &self,
        stream: Box<dyn Stream>,
    ) -> Pending<'static, Result<Box<dyn Stream>, TlsError>> {
        let result = self.veiled(stream, false);
        Box::pin(async { result })
    }

    fn connect(
        &self,
        stream: Box<dyn Stream>,
        _name: &str,
        trust: Trust,
    ) -> Pending<'static, Result<Box<dyn Stream>, TlsError>> {
        let result = self.veiled(stream, trust == Trust::Verify);
        Box::pin(async { result })
    }

    fn certificate(&self, _pem: &[u8], _key: &[u8]) -> Result<(), TlsError> {
        Ok(())
    }

    fn self_signed(&self, _names: &[String]) -> Result<(String, String), TlsError> {
        Ok(("certificate\n".into(), "key\n".into()))
    }

    fn authorities(&self, _pem: &[u8]) -> Result<(), TlsError> {
        Ok(())
    }
}

impl Socket {
    /// Plain as before, and said to be encrypted.
    fn veiled(&self, stream: Box<dyn Stream>, verified: bool) -> Result<Box<dyn Stream>, TlsError> {
        let world = self.0.world().ok_or(TlsError::Failed("no power".into()))?;
        if world.permille(self.0.frailty.get().tls) {
            let words = "the simulated handshake fails".to_string();
            return Err(if world.one_in(2) {
                TlsError::OtherEngine(words)
            } else {
                TlsError::Failed(words)
            });
        }
        let facts = TlsFacts {
            version: "TLSv1.3".into(),
            cipher: "TLS_AES_128_GCM_SHA256".into(),
            engine: "simulated",
            verified,
        };
        Ok(Box::new(Veil { stream, facts }))
    }
}

struct Veil {
    stream: Box<dyn Stream>,
    facts: TlsFacts,
}

impl AsyncRead for Veil {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl AsyncWrite for Veil {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, octets)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(cx)
    }
}

impl Stream for Veil {
    fn peer(&self) -> Option<SocketAddr> {
        self.stream.peer()
    }

    fn local(&self) -> Option<SocketAddr> {
        self.stream.local()
    }

    fn tls(&self) -> Option<TlsFacts> {
        Some(self.facts.clone())
    }
}
