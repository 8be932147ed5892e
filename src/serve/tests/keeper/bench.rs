//! A machine in memory for the keeper: programs that say what they are told to say, commands that
//! are remembered, a watchdog, groups on the link, a date.

use super::{Fake, World};
use crate::{
    sys::{
        Clock, Pending,
        machine::{Command, Device, Group, Machine, Program},
    },
    time::Instant,
};
use futures_lite::future::yield_now;
use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, VecDeque},
    future::{pending, poll_fn, ready},
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    rc::Rc,
    task::{Poll, Waker},
};

/// The machine.
pub(super) struct Bench {
    clock: Fake,
    /// Commands that ran, and when.
    pub(super) ran: RefCell<Vec<(Instant, String)>>,
    /// Commands that begin so fail.
    pub(super) failing: RefCell<Option<&'static str>>,
    /// This program is not there, or cannot be started.
    pub(super) missing: RefCell<Option<&'static str>>,
    /// Every program that was started.
    pub(super) started: RefCell<Vec<Rc<Run>>>,
    /// What the kernel has said.
    pub(super) dmesg: RefCell<String>,
    pub(super) wired: RefCell<Vec<String>>,
    pub(super) radios: RefCell<Vec<String>>,
    pub(super) watchdog: Rc<Watchdog>,
    /// Every socket of a group.
    pub(super) groups: RefCell<Vec<Rc<Link>>>,
    /// What was shown, and where.
    pub(super) shown: RefCell<Vec<(String, String)>>,
    /// Microseconds between the world's clock and the date.
    ahead: Cell<i64>,
    /// Dates that were set.
    pub(super) set: RefCell<Vec<i64>>,
    pub(super) hosts: RefCell<BTreeMap<String, Vec<IpAddr>>>,
    /// Names are looked for without end.
    pub(super) is_lost: Cell<bool>,
}

impl Bench {
    pub(super) fn new(world: &Rc<World>) -> Rc<Bench> {
        let clock = Fake(world.clone());
        let date = clock.wall().expect("the world has a date").0;
        let ahead = i64::try_from(date * 1_000_000 - clock.now().0 * 1000).expect("a date");
        Rc::new(Bench {
            clock,
            ran: RefCell::default(),
            failing: RefCell::default(),
            missing: RefCell::default(),
            started: RefCell::default(),
            dmesg: RefCell::default(),
            wired: RefCell::default(),
            radios: RefCell::default(),
            watchdog: Rc::default(),
            groups: RefCell::default(),
            shown: RefCell::default(),
            ahead: Cell::new(ahead),
            set: RefCell::default(),
            hosts: RefCell::default(),
            is_lost: Cell::new(false),
        })
    }

    pub(super) fn now(&self) -> Instant {
        self.clock.now()
    }

    /// Put the date there, as a board without a battery does.
    pub(super) fn dated(&self, micros: i64) {
        let now = i64::try_from(self.now().0 * 1000).expect("not long");
        self.ahead.set(micros - now);
    }

    /// The date in seconds.
    pub(super) fn clock_seconds(&self) -> u64 {
        u64::try_from(self.date() / 1_000_000).expect("after 1970")
    }

    /// Commands that ran, of those that begin so.
    pub(super) fn ran(&self, start: &str) -> Vec<String> {
        let ran = self.ran.borrow();
        ran.iter()
            .map(|(_, words)| words)
            .filter(|words| words.starts_with(start))
            .cloned()
            .collect()
    }

    /// Programs of this name that were started.
    pub(super) fn started(&self, name: &str) -> Vec<Rc<Run>> {
        let started = self.started.borrow();
        started.iter().filter(|run| run.command.words[0] == name).cloned().collect()
    }

    /// The last of them.
    #[track_caller]
    pub(super) fn last(&self, name: &str) -> Rc<Run> {
        self.started(name).pop().unwrap_or_else(|| panic!("{name} was not started"))
    }

    /// The socket of the group that is in use.
    #[track_caller]
    pub(super) fn link(&self) -> Rc<Link> {
        self.groups.borrow().last().cloned().expect("a group was joined")
    }
}

impl Machine for Bench {
    fn start(&self, command: &Command) -> io::Result<Box<dyn Program>> {
        if *self.missing.borrow() == Some(command.words[0].as_str()) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let run = Rc::new(Run {
            command: command.clone(),
            lines: RefCell::default(),
            is_closed: Cell::new(false),
            code: Cell::new(None),
            asked: Cell::new(None),
            is_stubborn: Cell::new(false),
            is_gone: Cell::new(false),
            clock: Fake(self.clock.0.clone()),
            waker: RefCell::default(),
        });
        self.started.borrow_mut().push(run.clone());
        Ok(Box::new(Held(run)))
    }
    fn run(&self, words: &[&str]) -> Pending<'static, io::Result<(i32, String)>> {
        let words = words.join(" ");
        let fails = self.failing.borrow().is_some_and(|start| words.starts_with(start));
        let said = if words.starts_with("sh -c dmesg |") {
            self.dmesg.borrow().clone()
        } else {
            String::new()
        };
        self.ran.borrow_mut().push((self.now(), words));
        Box::pin(async move {
            yield_now().await;
            Ok((i32::from(fails), said))
        })
    }
    fn device(&self, path: &str) -> io::Result<Box<dyn Device>> {
        if path != "/dev/watchdog" || self.watchdog.is_missing.get() {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(Box::new(Leash { clock: Fake(self.clock.0.clone()), watchdog: self.watchdog.clone() }))
    }
    fn show(&self, device: &str, text: &str) {
        self.shown.borrow_mut().push((device.into(), text.into()));
    }
    fn date(&self) -> i64 {
        i64::try_from(self.now().0 * 1000).expect("not long") + self.ahead.get()
    }
    fn set_date(&self, to: i64) -> io::Result<()> {
        self.set.borrow_mut().push(to);
        self.dated(to);
        Ok(())
    }
    fn wired(&self) -> Vec<String> {
        self.wired.borrow().clone()
    }
    fn radios(&self) -> Vec<String> {
        self.radios.borrow().clone()
    }
    fn addresses(&self, host: &str) -> Pending<'static, Vec<IpAddr>> {
        if self.is_lost.get() {
            return Box::pin(pending());
        }
        Box::pin(ready(self.hosts.borrow().get(host).cloned().unwrap_or_default()))
    }
    fn group(&self, _: Ipv4Addr, _: u16, own: Ipv4Addr) -> io::Result<Box<dyn Group>> {
        let link = Rc::new(Link { own, ..Link::default() });
        self.groups.borrow_mut().push(link.clone());
        Ok(Box::new(Ear(link)))
    }
}

/// A program that was started, in the test's hand.
pub(super) struct Run {
    pub(super) command: Command,
    lines: RefCell<VecDeque<String>>,
    is_closed: Cell<bool>,
    code: Cell<Option<i32>>,
    /// When it was first asked to end.
    pub(super) asked: Cell<Option<Instant>>,
    /// It does not end where it is asked to.
    pub(super) is_stubborn: Cell<bool>,
    /// Its keeper has let go of it: it is killed where it still ran.
    pub(super) is_gone: Cell<bool>,
    clock: Fake,
    waker: RefCell<Option<Waker>>,
}

impl Run {
    fn news(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    pub(super) fn says(&self, line: &str) {
        self.lines.borrow_mut().push_back(line.into());
        self.news();
    }

    /// It closes its outputs, and has not ended.
    pub(super) fn closes(&self) {
        self.is_closed.set(true);
        self.news();
    }

    pub(super) fn ends(&self, code: i32) {
        self.code.set(Some(code));
        self.closes();
    }

    pub(super) fn words(&self) -> String {
        self.command.words.join(" ")
    }

    /// It has neither ended nor been let go.
    pub(super) fn lives(&self) -> bool {
        self.code.get().is_none() && !self.is_gone.get()
    }
}

/// A program in its keeper's hand.
struct Held(Rc<Run>);

impl Program for Held {
    fn line(&mut self) -> Pending<'_, Option<String>> {
        Box::pin(poll_fn(|cx| {
            if let Some(line) = self.0.lines.borrow_mut().pop_front() {
                return Poll::Ready(Some(line));
            }
            if self.0.is_closed.get() {
                return Poll::Ready(None);
            }
            *self.0.waker.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        }))
    }
    fn code(&mut self) -> Option<i32> {
        self.0.code.get()
    }
    fn end(&self) {
        if self.0.asked.get().is_none() {
            self.0.asked.set(Some(self.0.clock.now()));
        }
        if !self.0.is_stubborn.get() {
            self.0.ends(128 + 15);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.is_gone.set(true);
    }
}

/// What has fed a watchdog.
#[derive(Default)]
pub(super) struct Watchdog {
    pub(super) is_missing: Cell<bool>,
    pub(super) fails: Cell<bool>,
    pub(super) fed: RefCell<Vec<Instant>>,
}

struct Leash {
    clock: Fake,
    watchdog: Rc<Watchdog>,
}

impl Device for Leash {
    fn write(&self, octets: &[u8]) -> io::Result<()> {
        assert_eq!(octets, b".", "V would stop it");
        if self.watchdog.fails.get() {
            return Err(io::Error::other("planted: no watchdog"));
        }
        self.watchdog.fed.borrow_mut().push(self.clock.now());
        Ok(())
    }
}

/// A group on the link.
pub(super) struct Link {
    /// The address it was joined by.
    pub(super) own: Ipv4Addr,
    /// What was sent, and to whom.
    pub(super) sent: RefCell<Vec<(Vec<u8>, SocketAddr)>>,
    heard: RefCell<VecDeque<(Vec<u8>, SocketAddr)>>,
    waker: RefCell<Option<Waker>>,
}

impl Default for Link {
    fn default() -> Link {
        Link {
            own: Ipv4Addr::UNSPECIFIED,
            sent: RefCell::default(),
            heard: RefCell::default(),
            waker: RefCell::default(),
        }
    }
}

impl Link {
    /// Somebody else says this.
    pub(super) fn hears(&self, octets: Vec<u8>, from: &str) {
        self.heard.borrow_mut().push_back((octets, from.parse().expect("address and port")));
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

struct Ear(Rc<Link>);

impl Group for Ear {
    fn receive<'a>(&'a self, into: &'a mut [u8]) -> Pending<'a, io::Result<(usize, SocketAddr)>> {
        Box::pin(poll_fn(move |cx| {
            let Some((octets, from)) = self.0.heard.borrow_mut().pop_front() else {
                *self.0.waker.borrow_mut() = Some(cx.waker().clone());
                return Poll::Pending;
            };
            into[..octets.len()].copy_from_slice(&octets);
            Poll::Ready(Ok((octets.len(), from)))
        }))
    }
    fn send<'a>(&'a self, octets: &'a [u8], to: SocketAddr) -> Pending<'a, io::Result<()>> {
        self.0.sent.borrow_mut().push((octets.to_vec(), to));
        Box::pin(ready(Ok(())))
    }
}
