//! What the one thread waits for: sockets, timers, and whoever wakes it from another thread.
//!
//! epoll(7) is told of a socket once, when it is made, and tells each change of it once
//! (`EPOLLET`); what is known of it is kept beside it. So a wait is one system call, and a read or
//! write that need not wait is one, too. (The reactor of the async-io crate, for comparison, asks
//! anew for each wait, sets a timer in the kernel for each, and has a thread of its own that
//! contends with the main one for the socket that is ready: five system calls and two changes of
//! thread for what is one here.)

use crate::{limits, time::Instant};
use rustix::{
    buffer::spare_capacity,
    event::{
        EventfdFlags, Timespec,
        epoll::{self, CreateFlags, Event, EventData, EventFlags},
        eventfd,
    },
    io::Errno,
};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    pin::pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

/// The bell's place among the sources.
const BELL: u64 = u64::MAX;

/// Sockets, timers and the bell of one thread. Clones share them.
#[derive(Clone)]
pub(super) struct Reactor(Rc<Inner>);

struct Inner {
    start: std::time::Instant,
    epoll: OwnedFd,
    bell: Arc<Bell>,
    sources: RefCell<Sources>,
    timers: RefCell<BTreeMap<(Instant, u64), Waker>>,
    /// Timers set so far.
    set: Cell<u64>,
    events: RefCell<Vec<Event>>,
    /// News came last within [`limits::REACTOR_LINGER`].
    is_near: Cell<bool>,
    /// There is one processor: whoever we wait for cannot run while we linger.
    is_alone: bool,
}

/// Wakes the thread, from any thread.
struct Bell {
    rung: AtomicBool,
    /// The thread sleeps, or is about to: ringing takes a system call.
    asleep: AtomicBool,
    event: OwnedFd,
}

impl Bell {
    fn ring(&self) {
        if !self.rung.swap(true, Ordering::SeqCst) && self.asleep.load(Ordering::SeqCst) {
            // It fails only where it is rung already.
            let _rung = rustix::io::write(&self.event, &1_u64.to_ne_bytes());
        }
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.ring();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ring();
    }
}

/// Places of sources. A place is used again, under another number.
#[derive(Default)]
struct Sources {
    places: Vec<Option<(u32, Rc<State>)>>,
    free: Vec<u32>,
    made: u32,
}

/// What is known of a source.
#[derive(Default)]
struct State {
    read: Side,
    write: Side,
    /// No more comes, or it is broken: each read has its result at once.
    over: Cell<bool>,
    /// It has been full: the kernel tells when it is not any more.
    fills: Cell<bool>,
}

impl State {
    fn told(&self, flags: EventFlags) {
        let broken = flags.intersects(EventFlags::ERR | EventFlags::HUP);
        if broken || flags.contains(EventFlags::RDHUP) {
            self.over.set(true);
        }
        if broken || flags.intersects(EventFlags::IN | EventFlags::RDHUP) {
            self.read.is_now_ready();
        }
        if broken || flags.contains(EventFlags::OUT) {
            self.write.is_now_ready();
        }
    }
}

/// One direction.
#[derive(Default)]
struct Side {
    ready: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Side {
    fn is_now_ready(&self) {
        self.ready.set(true);
        let waker = self.waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn wait(&self, cx: &Context<'_>) {
        let known = self.waker.borrow().as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
        if !known {
            drop(self.waker.replace(Some(cx.waker().clone())));
        }
    }
}

impl Reactor {
    /// `start`: from when on its timers count.
    pub(super) fn new(start: std::time::Instant) -> io::Result<Reactor> {
        Reactor::on(start, std::thread::available_parallelism().map_or(1, usize::from))
    }

    fn on(start: std::time::Instant, processors: usize) -> io::Result<Reactor> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let (rung, asleep) = (AtomicBool::new(false), AtomicBool::new(false));
        let bell = Arc::new(Bell { rung, asleep, event });
        // Told once a ring: it need not be read.
        epoll::add(&epoll, &bell.event, EventData::new_u64(BELL), EventFlags::IN | EventFlags::ET)?;
        Ok(Reactor(Rc::new(Inner {
            start,
            epoll,
            bell,
            sources: RefCell::default(),
            timers: RefCell::default(),
            set: Cell::default(),
            events: RefCell::new(Vec::with_capacity(limits::REACTOR_EVENTS)),
            is_near: Cell::default(),
            is_alone: processors == 1,
        })))
    }

    /// Run `work` to its end on this thread, and sleep where it can go on with nothing.
    pub(super) fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        let bell = &self.0.bell;
        let waker = Waker::from(bell.clone());
        let mut cx = Context::from_waker(&waker);
        let mut work = pin!(work);
        loop {
            // A swap, and no store: what was done before the ring that it takes is seen below.
            bell.rung.swap(false, Ordering::SeqCst);
            if let Poll::Ready(done) = work.as_mut().poll(&mut cx) {
                return done;
            }
            self.react();
        }
    }

    /// Wait until there is news, unless the bell has been rung already, and pass the news on.
    fn react(&self) {
        let inner = &*self.0;
        let began = self.now();
        let mut events = inner.events.borrow_mut();
        if self.would_linger() {
            self.linger(&mut events, began);
        }
        if events.is_empty() {
            self.sleep(&mut events);
        }
        inner.is_near.set(self.now().saturating_sub(began) < limits::REACTOR_LINGER);
        for event in events.drain(..) {
            let state = inner.sources.borrow().find(event.data.u64());
            if let Some(state) = state {
                state.told(event.flags);
            }
        }
        drop(events);
        self.wake_sleepers();
    }

    fn would_linger(&self) -> bool {
        self.0.is_near.get() && !self.0.is_alone
    }

    /// Look for news for a while without sleeping. Who talks to us on this machine, a word at a
    /// time, answers sooner than a sleeping processor wakes. Whoever is farther away is not
    /// lingered for: then the last news took longer.
    fn linger(&self, events: &mut Vec<Event>, began: Duration) {
        let inner = &*self.0;
        let at_once = timespec(Some(Duration::ZERO));
        let timer = self.until_next_timer().unwrap_or(Duration::MAX);
        while !inner.bell.rung.load(Ordering::SeqCst) {
            let waited = self.now().saturating_sub(began);
            if waited >= limits::REACTOR_LINGER || waited >= timer {
                return;
            }
            match epoll::wait(&inner.epoll, spare_capacity(events), at_once.as_ref()) {
                Ok(0) | Err(_) => std::hint::spin_loop(),
                Ok(_) => return,
            }
        }
    }

    fn sleep(&self, events: &mut Vec<Event>) {
        let inner = &*self.0;
        inner.bell.asleep.store(true, Ordering::SeqCst);
        // Who rings from here on writes to the event; who rang before is seen here.
        let rung = inner.bell.rung.load(Ordering::SeqCst);
        let timeout = if rung { Some(Duration::ZERO) } else { self.until_next_timer() };
        let waited = epoll::wait(&inner.epoll, spare_capacity(events), timespec(timeout).as_ref());
        inner.bell.asleep.store(false, Ordering::SeqCst);
        match waited {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => panic!("waiting for events failed: {error}"),
        }
    }

    fn now(&self) -> Duration {
        self.0.start.elapsed()
    }

    fn until_next_timer(&self) -> Option<Duration> {
        let timers = self.0.timers.borrow();
        let ((at, _), _) = timers.first_key_value()?;
        Some(Duration::from_millis(at.0).saturating_sub(self.now()))
    }

    fn wake_sleepers(&self) {
        if self.0.timers.borrow().is_empty() {
            return;
        }
        let now = Instant(u64::try_from(self.now().as_millis()).unwrap_or(u64::MAX));
        loop {
            let mut timers = self.0.timers.borrow_mut();
            let Some(first) = timers.first_entry().filter(|first| first.key().0 <= now) else {
                return;
            };
            let waker = first.remove();
            drop(timers);
            waker.wake();
        }
    }

    /// Ends at `at`, counted from this reactor's start, or soon after.
    pub(super) fn sleep_until(&self, at: Instant) -> Sleep {
        Sleep { reactor: self.clone(), at, number: None }
    }

    /// Watch a socket that does not block and can be written to. No copy of it may be left open
    /// when it is dropped.
    pub(super) fn watch<T: AsFd>(&self, io: T) -> io::Result<Watched<T>> {
        let state = State::default();
        state.write.ready.set(true);
        self.add(io, state)
    }

    /// Watch a socket that is being connected: it can be written to when it is, or has failed.
    pub(super) fn watch_connecting<T: AsFd>(&self, io: T) -> io::Result<Watched<T>> {
        let state = State::default();
        state.fills.set(true);
        self.add(io, state)
    }

    fn add<T: AsFd>(&self, io: T, state: State) -> io::Result<Watched<T>> {
        let flags = changes(&state);
        let state = Rc::new(state);
        let place = self.0.sources.borrow_mut().seat(&state);
        let watched = Watched { io, state, place, reactor: self.clone() };
        epoll::add(&self.0.epoll, &watched.io, EventData::new_u64(place), flags)?;
        Ok(watched)
    }
}

/// That a socket can be written to is asked only where it was full once: most never are.
fn changes(state: &State) -> EventFlags {
    let flags = EventFlags::IN | EventFlags::RDHUP | EventFlags::ET;
    if state.fills.get() { flags | EventFlags::OUT } else { flags }
}

/// In milliseconds, rounded up: a timer that is woken for early would be woken for again.
fn timespec(timeout: Option<Duration>) -> Option<Timespec> {
    let timeout = timeout?.checked_add(Duration::from_nanos(999_999))?;
    let whole = Duration::from_millis(timeout.as_millis().try_into().ok()?);
    whole.try_into().ok()
}

impl Sources {
    fn seat(&mut self, state: &Rc<State>) -> u64 {
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            u32::try_from(self.places.len() - 1).expect("fewer sockets than that")
        });
        self.made = self.made.wrapping_add(1);
        self.places[place as usize] = Some((self.made, state.clone()));
        (u64::from(self.made) << 32) | u64::from(place)
    }

    fn leave(&mut self, place: u64) {
        let place = place & u64::from(u32::MAX);
        self.places[usize::try_from(place).expect("32 bits")] = None;
        self.free.push(u32::try_from(place).expect("32 bits"));
    }

    /// Of a source that is gone meanwhile nobody wants to know.
    fn find(&self, number: u64) -> Option<Rc<State>> {
        let place = usize::try_from(number & u64::from(u32::MAX)).expect("32 bits");
        let (made, state) = self.places.get(place)?.as_ref()?;
        (u64::from(*made) == number >> 32).then(|| state.clone())
    }
}

/// A socket of which every change is known. Each operation is tried first where it may work, and
/// waits for a change where it does not.
pub(super) struct Watched<T: AsFd> {
    io: T,
    state: Rc<State>,
    place: u64,
    reactor: Reactor,
}

impl<T: AsFd> Watched<T> {
    pub(super) fn io(&self) -> &T {
        &self.io
    }

    pub(super) fn reactor(&self) -> &Reactor {
        &self.reactor
    }

    /// `operation`, which takes what has come, such as an accept.
    pub(super) fn poll_take<R>(
        &self,
        cx: &mut Context<'_>,
        operation: impl FnMut(&T) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        self.poll_side(&self.state.read, cx, operation)
    }

    /// `operation`, which reads at most so many octets.
    pub(super) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        most: usize,
        operation: impl FnMut(&T) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        let read = self.poll_side(&self.state.read, cx, operation);
        // What was less than there was room for was all there is, and what comes next will be told.
        if matches!(read, Poll::Ready(Ok(n)) if n < most) && !self.state.over.get() {
            self.state.read.ready.set(false);
        }
        read
    }

    /// `operation`, which sends.
    pub(super) fn poll_send<R>(
        &self,
        cx: &mut Context<'_>,
        operation: impl FnMut(&T) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        let sent = self.poll_side(&self.state.write, cx, operation);
        if sent.is_pending() && !self.state.fills.replace(true) {
            // That it can be written to by now is told, too.
            let place = EventData::new_u64(self.place);
            epoll::modify(&self.reactor.0.epoll, &self.io, place, changes(&self.state))?;
        }
        sent
    }

    fn poll_side<R>(
        &self,
        side: &Side,
        cx: &mut Context<'_>,
        mut operation: impl FnMut(&T) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        while side.ready.get() {
            match operation(&self.io) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => side.ready.set(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return Poll::Ready(done),
            }
        }
        side.wait(cx);
        Poll::Pending
    }
}

impl<T: AsFd> AsFd for Watched<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.io.as_fd()
    }
}

/// The socket is closed with it, and epoll forgets it then.
impl<T: AsFd> Drop for Watched<T> {
    fn drop(&mut self) {
        self.reactor.0.sources.borrow_mut().leave(self.place);
    }
}

/// A wait for a moment.
pub(super) struct Sleep {
    reactor: Reactor,
    at: Instant,
    /// Of its timer, where it has one.
    number: Option<u64>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: std::pin::Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let inner = &*self.reactor.0;
        if self.reactor.now() >= Duration::from_millis(self.at.0) {
            return Poll::Ready(());
        }
        let number = self.number.unwrap_or_else(|| {
            inner.set.set(inner.set.get() + 1);
            inner.set.get()
        });
        let before = inner.timers.borrow_mut().insert((self.at, number), cx.waker().clone());
        drop(before); // As below: nothing is borrowed any more.
        self.number = Some(number);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            // The waker may be the last that holds a task, whose end may drop another sleep.
            let waker = self.reactor.0.timers.borrow_mut().remove(&(self.at, number));
            drop(waker);
        }
    }
}

#[cfg(test)]
mod tests;
