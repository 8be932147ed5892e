//! A world with nothing but a disk: a scheduler that picks the next task by chance, and a clock
//! that jumps to the next timer when nothing else is to be done.

use crate::disk::{Chance, SimDisk};
use std::{
    cell::RefCell,
    io,
    net::SocketAddr,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};
use waypost::{
    sys::{
        Attached, Clock, Datagrams, Dice, Index, IndexChange, Listener, Log, Net, Pending, Range,
        Stream, Sys, Tasks, Tls, TlsError, Trust,
    },
    time::{Instant, Wall},
};

struct Ready(AtomicBool);

impl Wake for Ready {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Task {
    work: Pending<'static, ()>,
    ready: Arc<Ready>,
}

#[derive(Default)]
struct Inner {
    tasks: Vec<Task>,
    now: u64,
    timers: Vec<(u64, Waker)>,
}

/// The scheduler, the clock and chance.
#[derive(Clone)]
pub(crate) struct World {
    inner: Rc<RefCell<Inner>>,
    chance: Rc<RefCell<Chance>>,
}

/// Why a run ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// All tasks are over.
    Done,
    /// Tasks are left that nothing will ever wake.
    Stuck,
    /// The steps were used up.
    Cut,
}

impl World {
    pub(crate) fn new(seed: u64) -> World {
        let chance = Rc::new(RefCell::new(Chance::new(seed)));
        World { inner: Rc::default(), chance }
    }

    pub(crate) fn sys(&self, disk: &SimDisk) -> Sys {
        let nothing = Rc::new(Nothing);
        Sys {
            clock: Rc::new(self.clone()),
            dice: Rc::new(self.clone()),
            net: nothing.clone(),
            disk: Rc::new(disk.clone()),
            index: nothing.clone(),
            tls: nothing.clone(),
            tasks: Rc::new(self.clone()),
            log: nothing,
        }
    }

    pub(crate) fn below(&self, n: u64) -> u64 {
        self.chance.borrow_mut().below(n)
    }

    /// Run until all is done or `steps` polls have been made.
    pub(crate) fn run(&self, steps: u64) -> Ended {
        for _ in 0..steps {
            let picked = {
                let mut inner = self.inner.borrow_mut();
                if inner.tasks.is_empty() {
                    return Ended::Done;
                }
                let is_ready = |task: &Task| task.ready.0.load(Ordering::Relaxed);
                let ready: Vec<usize> =
                    (0..inner.tasks.len()).filter(|n| is_ready(&inner.tasks[*n])).collect();
                if ready.is_empty() {
                    let next = inner.timers.iter().map(|(at, _)| *at).min();
                    let Some(next) = next else { return Ended::Stuck };
                    inner.now = inner.now.max(next);
                    let (due, later) = std::mem::take(&mut inner.timers)
                        .into_iter()
                        .partition::<Vec<_>, _>(|(at, _)| *at <= next);
                    inner.timers = later;
                    for (_, waker) in due {
                        waker.wake();
                    }
                    continue;
                }
                let n = self.below(ready.len() as u64);
                inner.tasks.swap_remove(ready[usize::try_from(n).expect("an index")])
            };
            let Task { mut work, ready } = picked;
            ready.0.store(false, Ordering::Relaxed);
            let waker = Waker::from(ready.clone());
            if work.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
                self.inner.borrow_mut().tasks.push(Task { work, ready });
            }
        }
        Ended::Cut
    }

    /// The process is killed: its tasks are gone wherever they were.
    pub(crate) fn kill(&self) {
        let tasks = std::mem::take(&mut self.inner.borrow_mut().tasks);
        drop(tasks);
        let late = std::mem::take(&mut *self.inner.borrow_mut());
        drop(late);
    }
}

impl Clock for World {
    fn now(&self) -> Instant {
        Instant(self.inner.borrow().now)
    }

    fn wall(&self) -> Option<Wall> {
        None
    }

    fn sleep_until(&self, at: Instant) -> Pending<'static, ()> {
        let world = self.clone();
        Box::pin(std::future::poll_fn(move |cx| {
            let mut inner = world.inner.borrow_mut();
            if inner.now >= at.0 {
                return Poll::Ready(());
            }
            inner.timers.push((at.0, cx.waker().clone()));
            Poll::Pending
        }))
    }
}

impl Dice for World {
    fn roll(&self) -> u64 {
        self.chance.borrow_mut().roll()
    }
}

impl Tasks for World {
    fn spawn(&self, work: Pending<'static, ()>) {
        let ready = Arc::new(Ready(AtomicBool::new(true)));
        self.inner.borrow_mut().tasks.push(Task { work, ready });
    }

    fn slow(&self, work: Box<dyn FnOnce() + Send + 'static>) {
        work();
    }
}

/// What a spool never asks for.
struct Nothing;

fn none<T>() -> io::Result<T> {
    Err(io::ErrorKind::Unsupported.into())
}

fn never<T: 'static>() -> Pending<'static, io::Result<T>> {
    Box::pin(async { none() })
}

impl Net for Nothing {
    fn listen(&self, _: SocketAddr) -> io::Result<Box<dyn Listener>> {
        none()
    }
    fn listen_local(&self, _: &str) -> io::Result<Box<dyn Listener>> {
        none()
    }
    fn connect(&self, _: SocketAddr) -> Pending<'static, io::Result<Box<dyn Stream>>> {
        never()
    }
    fn connect_local(&self, _: &str) -> Pending<'static, io::Result<Box<dyn Stream>>> {
        never()
    }
    fn datagrams(&self, _: SocketAddr) -> Pending<'static, io::Result<Box<dyn Datagrams>>> {
        never()
    }
    fn attached(&self) -> Attached {
        Attached::default()
    }
}

impl Index for Nothing {
    fn apply(&self, _: Vec<IndexChange>) -> Pending<'_, io::Result<()>> {
        never()
    }
    fn scan<'a>(
        &'a self,
        _: &'static str,
        _: Range<'a>,
    ) -> Pending<'a, io::Result<Vec<(Vec<u8>, Vec<u8>)>>> {
        never()
    }
    fn flush(&self) -> Pending<'_, io::Result<()>> {
        never()
    }
    fn trouble(&self) -> String {
        String::new()
    }
}

type Encrypted = Result<Box<dyn Stream>, TlsError>;

fn no_tls() -> TlsError {
    TlsError::Failed("no TLS here".into())
}

impl Tls for Nothing {
    fn accept(&self, _: Box<dyn Stream>) -> Pending<'static, Encrypted> {
        Box::pin(async { Err(no_tls()) })
    }
    fn connect(&self, _: Box<dyn Stream>, _: &str, _: Trust) -> Pending<'static, Encrypted> {
        Box::pin(async { Err(no_tls()) })
    }
    fn certificate(&self, _: &[u8], _: &[u8]) -> Result<(), TlsError> {
        Err(no_tls())
    }
    fn self_signed(&self, _: &[String]) -> Result<(String, String), TlsError> {
        Err(no_tls())
    }
    fn authorities(&self, _: &[u8]) -> Result<(), TlsError> {
        Err(no_tls())
    }
}

impl Log for Nothing {
    fn line(&self, _: &str) {}
}
