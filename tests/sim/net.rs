//! The network: who listens where, what the line does, and how many the relay serves at once.

use crate::{
    cable::{Cable, End, Fault, Make, Pieces, Wire},
    names::Names,
    world::{World, seconds},
};
use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet, VecDeque},
    future::{Future, pending, poll_fn},
    io::{self, ErrorKind},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    rc::{Rc, Weak},
    task::{Poll, Waker},
};
use waypost::sys::{Changes, Datagrams, Listener, Pending, Signal, Stream};

/// The relay's own address, on its LAN.
pub const RELAY: Ipv4Addr = Ipv4Addr::new(192, 168, 7, 2);
/// The way out of the LAN, and its name server.
pub const ROUTER: Ipv4Addr = Ipv4Addr::new(192, 168, 7, 1);

/// The way from the LAN to everybody else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Line {
    #[default]
    Up,
    /// What is sent vanishes.
    Silent,
    /// The router says at once that there is no way.
    Unreachable,
}

#[derive(Default)]
pub struct Net {
    listeners: RefCell<BTreeMap<SocketAddr, Rc<Backlog>>>,
    line: Cell<Line>,
    /// Machines without power.
    dark: RefCell<BTreeSet<IpAddr>>,
    /// Machines that say at once that nobody listens.
    closed: RefCell<BTreeSet<IpAddr>>,
    /// So many connections in a thousand go wrong.
    rough: Cell<u64>,
    /// Connections made so far.
    number: Cell<u64>,
    cables: RefCell<Vec<Weak<Cable>>>,
    /// Connections that the relay tried to make, and datagrams that it sent.
    tries: Cell<u64>,
    /// The system tells that links or routes have changed.
    changed: Signal,
    /// The most connections that the relay had to others at once.
    most: Cell<usize>,
    names: RefCell<Option<Rc<Names>>>,
    /// Sessions that the relay serves: the number of the connection, and whose it is.
    served: RefCell<BTreeMap<u64, IpAddr>>,
    /// Sessions that it may serve, in all and of one address.
    bounds: Cell<(usize, usize)>,
}

#[derive(Default)]
struct Backlog {
    waiting: RefCell<VecDeque<Wire>>,
    waker: RefCell<Option<Waker>>,
}

/// On the LAN of the relay.
pub fn is_near(address: IpAddr) -> bool {
    matches!(address, IpAddr::V4(four) if four.octets()[..3] == RELAY.octets()[..3])
}

impl Net {
    pub fn line(&self, line: Line) {
        let before = self.line.replace(line);
        // What happens behind the router nobody tells.
        if before != line && [before, line].contains(&Line::Unreachable) {
            self.changed.raise();
        }
        if line != Line::Up {
            self.each_cable(|cable| {
                let far = [End::Caller, End::Listener];
                if far.into_iter().any(|end| !is_near(cable.address(end).ip())) {
                    cable.suffer(Fault::Silence, End::Caller);
                }
            });
        }
    }

    /// A machine has power, or not: its connections fall silent then.
    pub fn power(&self, address: IpAddr, on: bool) {
        if on {
            self.dark.borrow_mut().remove(&address);
            return;
        }
        self.dark.borrow_mut().insert(address);
        self.each_cable(|cable| {
            if [End::Caller, End::Listener]
                .into_iter()
                .any(|end| cable.address(end).ip() == address)
            {
                cable.suffer(Fault::Silence, End::Caller);
            }
        });
    }

    /// Nobody listens there, or somebody does.
    pub fn closed(&self, address: IpAddr, is: bool) {
        if is {
            self.closed.borrow_mut().insert(address);
        } else {
            self.closed.borrow_mut().remove(&address);
        }
    }

    fn each_cable(&self, act: impl Fn(&Cable)) {
        self.cables.borrow_mut().retain(|cable| cable.strong_count() > 0);
        let cables: Vec<_> = self.cables.borrow().iter().filter_map(Weak::upgrade).collect();
        cables.iter().for_each(|cable| act(cable));
    }

    fn note(&self, cable: &Rc<Cable>, from: IpAddr) {
        let mut cables = self.cables.borrow_mut();
        cables.retain(|cable| cable.strong_count() > 0);
        cables.push(Rc::downgrade(cable));
        let relays = |cable: &Weak<Cable>| {
            cable.upgrade().is_some_and(|cable| cable.address(End::Caller).ip() == RELAY)
        };
        if from == RELAY {
            let now = cables.iter().filter(|cable| relays(cable)).count();
            self.most.set(self.most.get().max(now));
        }
    }

    /// The most connections that the relay had to others at once.
    pub fn most_from_relay(&self) -> usize {
        self.most.get()
    }

    /// Connections that the relay tried to make, and datagrams that it sent.
    pub fn tries(&self) -> u64 {
        self.tries.get()
    }

    fn try_from(&self, from: IpAddr) {
        self.tries.set(self.tries.get() + u64::from(from == RELAY));
    }

    /// What the system tells of links and routes.
    pub fn news(&self) -> News {
        News { changed: self.changed.clone(), seen: self.changed.count() }
    }

    /// So many connections in a thousand go wrong from now on.
    pub fn rough(&self, permille: u64) {
        self.rough.set(permille);
    }

    pub fn bounds(&self, all: usize, of_one: usize) {
        self.bounds.set((all, of_one));
    }

    pub fn ask(&self, names: Rc<Names>) {
        *self.names.borrow_mut() = Some(names);
    }

    pub fn clear(&self) {
        self.listeners.borrow_mut().clear();
        *self.names.borrow_mut() = None;
    }

    /// The relay has let somebody in.
    pub fn greeted(&self, world: &World, number: u64, ends: [SocketAddr; 2]) {
        if ends[1].ip() != RELAY {
            return;
        }
        let mut served = self.served.borrow_mut();
        served.insert(number, ends[0].ip());
        let of_one = served.values().filter(|who| **who == ends[0].ip()).count();
        let (most, most_of_one) = self.bounds.get();
        if served.len() > most || of_one > most_of_one {
            let all = served.len();
            world.wrong(format!("{all} sessions at once, {of_one} of {}", ends[0].ip()));
        }
    }

    pub fn gone(&self, number: u64) {
        self.served.borrow_mut().remove(&number);
    }

    fn blocked(&self, from: IpAddr, to: IpAddr) -> Option<Line> {
        let dark = self.dark.borrow();
        if dark.contains(&from) || dark.contains(&to) {
            return Some(Line::Silent);
        }
        let line = self.line.get();
        (is_near(from) != is_near(to) && line != Line::Up).then_some(line)
    }

    fn latency(&self, world: &World, from: IpAddr, to: IpAddr) -> u64 {
        if is_near(from) && is_near(to) { world.below(3) } else { world.between(4, 120) }
    }
}

/// See [`Net::news`].
pub struct News {
    changed: Signal,
    seen: u64,
}

impl Changes for News {
    fn next(&mut self) -> Pending<'_, ()> {
        Box::pin(async move { self.seen = self.changed.past(self.seen).await })
    }
}

/// Open a connection from the machine at `from`.
pub async fn connect(world: &World, from: IpAddr, to: SocketAddr) -> io::Result<Wire> {
    let net = world.net();
    net.try_from(from);
    let latency = net.latency(world, from, to.ip());
    world.sleep(latency).await;
    match net.blocked(from, to.ip()) {
        Some(Line::Unreachable) => return Err(ErrorKind::NetworkUnreachable.into()),
        Some(_) => pending().await,
        None => {}
    }
    let number = net.number.get() + 1;
    net.number.set(number);
    let found = net.listeners.borrow().get(&to).cloned();
    let found = found.filter(|_| !net.closed.borrow().contains(&to.ip()));
    let Some(backlog) = found else { return Err(ErrorKind::ConnectionRefused.into()) };
    let port = u16::try_from(20_000 + number % 40_000).expect("a port");
    let pieces = *world.pick(&[Pieces::Whole, Pieces::Whole, Pieces::Any, Pieces::Any]);
    let make = Make {
        number,
        ends: [SocketAddr::new(from, port), to],
        latency,
        pieces: if world.one_in(12) { Pieces::Single } else { pieces },
        window: *world.pick(&[700, 5_000, 64_000, 64_000]),
        fault: world.permille(net.rough.get()).then(|| fault(world)),
    };
    let cable = Cable::new(world, make);
    net.note(&cable, from);
    let (caller, listener) = cable.wires();
    backlog.waiting.borrow_mut().push_back(listener);
    if let Some(waker) = backlog.waker.borrow_mut().take() {
        waker.wake();
    }
    Ok(caller)
}

fn fault(world: &World) -> (End, u64, Fault) {
    let end = *world.pick(&[End::Caller, End::Listener]);
    let after = match world.below(3) {
        0 => world.between(1, 60),
        1 => world.between(1, 600),
        _ => world.between(1, 5_000),
    };
    let fault = match world.below(4) {
        0 | 1 => Fault::Reset,
        2 => Fault::Silence,
        _ => Fault::Stall(seconds(world.between(1, 700))),
    };
    (end, after, fault)
}

/// Somebody listens here until this is dropped.
pub struct Ear {
    at: SocketAddr,
    backlog: Rc<Backlog>,
    world: World,
}

impl Ear {
    pub fn of(world: &World, at: SocketAddr) -> io::Result<Ear> {
        let mut listeners = world.net().listeners.borrow_mut();
        if listeners.contains_key(&at) {
            return Err(ErrorKind::AddrInUse.into());
        }
        let backlog: Rc<Backlog> = Rc::default();
        listeners.insert(at, backlog.clone());
        Ok(Ear { at, backlog, world: world.clone() })
    }

    pub async fn next(&self) -> Wire {
        poll_fn(|cx| match self.backlog.waiting.borrow_mut().pop_front() {
            Some(wire) => Poll::Ready(wire),
            None => {
                *self.backlog.waker.borrow_mut() = Some(cx.waker().clone());
                Poll::Pending
            }
        })
        .await
    }
}

impl Listener for Ear {
    fn accept(&self) -> Pending<'_, io::Result<Box<dyn Stream>>> {
        Box::pin(async { Ok(Box::new(self.next().await) as Box<dyn Stream>) })
    }

    fn address(&self) -> Option<SocketAddr> {
        Some(self.at)
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.world.net().listeners.borrow_mut().remove(&self.at);
        // As the system does: what nobody has accepted is closed.
        let left = std::mem::take(&mut *self.backlog.waiting.borrow_mut());
        drop(left);
    }
}

/// A socket for questions to a name server.
pub struct Questions {
    world: World,
    from: IpAddr,
    to: SocketAddr,
    /// Answers on the way, with the time of their arrival.
    coming: RefCell<Vec<(u64, Vec<u8>)>>,
}

impl Questions {
    pub fn new(world: &World, from: IpAddr, to: SocketAddr) -> Questions {
        Questions { world: world.clone(), from, to, coming: RefCell::default() }
    }
}

impl Datagrams for Questions {
    fn send<'a>(&'a self, octets: &'a [u8]) -> Pending<'a, io::Result<()>> {
        Box::pin(async move {
            let net = self.world.net();
            net.try_from(self.from);
            match net.blocked(self.from, self.to.ip()) {
                Some(Line::Unreachable) => return Err(ErrorKind::NetworkUnreachable.into()),
                Some(_) => return Ok(()),
                None => {}
            }
            let names = net.names.borrow().clone();
            let Some(names) = names else { return Ok(()) };
            // The name server of the LAN asks others for us, and they are behind the line.
            if net.line.get() != Line::Up {
                return Ok(());
            }
            let latency = net.latency(&self.world, self.from, self.to.ip());
            let answers = names.by_datagram(&self.world, octets);
            let now = self.world.now();
            let mut coming = self.coming.borrow_mut();
            coming.extend(answers.into_iter().map(|(wait, a)| (now + latency + wait, a)));
            coming.sort();
            Ok(())
        })
    }

    fn receive<'a>(&'a self, into: &'a mut [u8]) -> Pending<'a, io::Result<usize>> {
        Box::pin(async move {
            let first = self.coming.borrow().first().map(|(at, _)| *at);
            let Some(at) = first else { return pending().await };
            self.world.sleep_until(at).await;
            let (_, answer) = self.coming.borrow_mut().remove(0);
            let n = answer.len().min(into.len());
            into[..n].copy_from_slice(&answer[..n]);
            Ok(n)
        })
    }
}

/// Whoever calls at this address has a session.
pub fn serve<F: Future<Output = ()> + 'static>(
    world: &World,
    at: SocketAddr,
    session: impl Fn(Wire) -> F + 'static,
) {
    let ear = Ear::of(world, at).expect("each address is used once");
    let own = world.clone();
    world.spawn(async move {
        loop {
            let wire = ear.next().await;
            own.spawn(session(wire));
        }
    });
}
