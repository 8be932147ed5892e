//! One run of the relay in the world: a `Sys` that dies with it.

use crate::{
    disk::{Chance, SimDisk},
    door,
    medium::Medium,
    net::{self, Ear, Questions, RELAY, ROUTER},
    shelf::{Ailment, Entries},
    tasks::Owner,
    world::{World, seconds},
};
use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    future::{pending, poll_fn},
    io::{self, ErrorKind},
    net::SocketAddr,
    rc::Rc,
    task::{Poll, Waker},
};
use waypost::{
    relay::spool::{Room, Spool},
    serve::{control::Files, start},
    sys::{
        Attached, Changes, Clock, Datagrams, Dice, Listener, Log, Net, Pending, Signals, Stream,
        Sys, Tasks, Wish,
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
    pub index: Ailment,
}

impl Boot {
    /// Switch the relay on.
    pub fn start(world: &World, run: u32, disk: &SimDisk, entries: &Entries) -> Boot {
        let plug = Plug::new(world, run, disk, entries);
        let wishes = Rc::<Wishes>::default();
        let ended = Rc::<RefCell<Option<Ended>>>::default();
        let (sys, mut signals, end) = (plug.sys(), Switch(wishes.clone()), ended.clone());
        let own = world.clone();
        let (document, machine) = ("waypost.json".into(), "relay".into());
        let files = Files { document, machine, board: None };
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
        let left = Boot::borrowed(world, run, disk, &Entries::default(), move |sys| async move {
            match Spool::open(&sys, Room::new(octets, octets)).await {
                Ok((_, found)) => {
                    let damage = found.damaged.iter().map(|damage| format!("{damage:?}"));
                    found.entries.iter().map(|e| format!("{e:?}")).chain(damage).collect()
                }
                Err(error) => vec![error.to_string()],
            }
        });
        left.unwrap_or_else(|| vec!["not opened".to_string()])
    }

    /// What comes of `work` on the relay's machine within a minute, with no relay there.
    pub fn borrowed<T: 'static, F: Future<Output = T> + 'static>(
        world: &World,
        run: u32,
        disk: &SimDisk,
        entries: &Entries,
        work: impl FnOnce(Sys) -> F + 'static,
    ) -> Option<T> {
        let plug = Plug::new(world, run, disk, entries);
        let (sys, came) = (plug.sys(), Rc::new(RefCell::new(None)));
        let into = came.clone();
        let task = async move { *into.borrow_mut() = Some(work(sys).await) };
        world.spawn_for(Owner::Relay(run), Box::pin(task));
        world.run_until(world.now() + seconds(60));
        world.kill(Owner::Relay(run));
        plug.pull();
        came.take()
    }

    pub fn ended(&self) -> Option<Ended> {
        self.ended.borrow().clone()
    }

    /// How many tasks it has.
    pub fn tasks(&self) -> usize {
        self.world.tasks_of(Owner::Relay(self.run))
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
pub struct Socket(Rc<Plug>);

impl Socket {
    pub fn world(&self) -> Option<World> {
        self.0.world()
    }

    pub fn frailty(&self) -> Frailty {
        self.0.frailty.get()
    }

    pub fn entries(&self) -> &Entries {
        &self.0.entries
    }
}

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
        let world = self.0.world().ok_or(ErrorKind::NotConnected)?;
        Ok(Box::new(door::Door(Ear::of(&world, door::AT.into())?)))
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

    fn changes(&self) -> Option<Box<dyn Changes>> {
        Some(Box::new(self.0.world()?.net().news()))
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
