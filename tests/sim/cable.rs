//! A connection: two pipes with a latency, which may stall, break or fall silent on the way.

use crate::world::{Sleep, World};
use futures_lite::{AsyncRead, AsyncWrite};
use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    future::Future,
    io::{self, ErrorKind},
    net::SocketAddr,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};
use waypost::sys::{Stream, TlsFacts};

/// Which end of a cable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Who connected.
    Caller = 0,
    /// Who listened.
    Listener = 1,
}

impl End {
    fn other(self) -> End {
        if self == End::Caller { End::Listener } else { End::Caller }
    }
}

/// In which pieces octets are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pieces {
    /// As they come.
    Whole,
    /// Of any size.
    Any,
    /// One by one, the first few hundred.
    Single,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Both ends learn that it is broken.
    Reset,
    /// Nothing arrives any more, and nobody is told.
    Silence,
    /// Octets take so many milliseconds more from now on.
    Stall(u64),
}

/// What a cable is made of.
#[derive(Clone, Copy, Debug)]
pub struct Make {
    pub number: u64,
    /// Addresses of caller and listener.
    pub ends: [SocketAddr; 2],
    /// Milliseconds from end to end.
    pub latency: u64,
    pub pieces: Pieces,
    /// Octets that are on the way at most.
    pub window: usize,
    /// What goes wrong once so many octets were written at an end.
    pub fault: Option<(End, u64, Fault)>,
}

pub struct Cable {
    world: World,
    make: Make,
    state: Cell<State>,
    /// Octets from the caller, and from the listener.
    pipes: [RefCell<Pipe>; 2],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Whole,
    Reset,
    Silent,
}

#[derive(Default)]
struct Pipe {
    /// Octets on the way, with the time of their arrival.
    segments: VecDeque<(u64, VecDeque<u8>)>,
    /// How many these are, with those that will never arrive.
    queued: usize,
    written: u64,
    read: u64,
    /// When the end of it arrives.
    end: Option<u64>,
    /// Nobody reads it from then on.
    unread: Option<u64>,
    stall: u64,
    reader: Option<Waker>,
    writer: Option<Waker>,
    /// Who wants to know when so many octets were read.
    receipts: Vec<(u64, Receipt)>,
}

/// When the octets it stands for were read, in milliseconds; `None`: they were not.
pub type Receipt = Rc<Cell<Option<u64>>>;

impl Pipe {
    fn wake(&mut self) {
        self.reader.take().into_iter().chain(self.writer.take()).for_each(Waker::wake);
    }
}

impl Cable {
    pub fn new(world: &World, make: Make) -> Rc<Cable> {
        let state = Cell::new(State::Whole);
        Rc::new(Cable { world: world.clone(), make, state, pipes: Default::default() })
    }

    /// The two ends, to be given to whom they belong.
    pub fn wires(self: &Rc<Cable>) -> (Wire, Wire) {
        let wire = |end| Wire { cable: self.clone(), end, sleep: None };
        (wire(End::Caller), wire(End::Listener))
    }

    pub fn address(&self, end: End) -> SocketAddr {
        self.make.ends[end as usize]
    }

    /// Something goes wrong now.
    pub fn suffer(&self, fault: Fault, at: End) {
        match fault {
            Fault::Reset if self.state.get() == State::Whole => self.state.set(State::Reset),
            Fault::Silence if self.state.get() == State::Whole => self.state.set(State::Silent),
            Fault::Stall(more) => self.pipe(at).borrow_mut().stall += more,
            Fault::Reset | Fault::Silence => {}
        }
        for pipe in &self.pipes {
            pipe.borrow_mut().wake();
        }
    }

    fn pipe(&self, from: End) -> &RefCell<Pipe> {
        &self.pipes[from as usize]
    }

    /// Octets that may be written before something goes wrong.
    fn suffer_in_time(&self, end: End, written: u64) {
        if let Some((at, after, fault)) = self.make.fault
            && at == end
            && written < after
            && self.pipe(end).borrow().written >= after
        {
            self.suffer(fault, end);
        }
    }
}

/// One end of a cable.
pub struct Wire {
    cable: Rc<Cable>,
    end: End,
    sleep: Option<Sleep>,
}

impl Wire {
    /// Notes when all that was written so far has been read at the other end.
    pub fn receipt(&self) -> Receipt {
        let receipt = Receipt::default();
        let mut pipe = self.cable.pipe(self.end).borrow_mut();
        let written = pipe.written;
        if pipe.read < written {
            pipe.receipts.push((written, receipt.clone()));
        } else {
            receipt.set(Some(self.cable.world.now()));
        }
        receipt
    }

    /// Something goes wrong at this end.
    pub fn suffer(&self, fault: Fault) {
        self.cable.suffer(fault, self.end);
    }

    pub fn peer(&self) -> SocketAddr {
        self.cable.address(self.end.other())
    }

    fn wait(&mut self, until: u64, cx: &mut Context<'_>) {
        let mut sleep = self.cable.world.sleep_until(until);
        if Pin::new(&mut sleep).poll(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
        self.sleep = Some(sleep);
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let cable = self.cable.clone();
        self.sleep = None;
        if cable.state.get() == State::Reset {
            return Poll::Ready(Err(ErrorKind::ConnectionReset.into()));
        }
        let now = cable.world.now();
        let mut pipe = cable.pipe(self.end.other()).borrow_mut();
        let pipe = &mut *pipe;
        if let Some((at, octets)) = pipe.segments.front_mut()
            && *at <= now
        {
            let most = into.len().min(octets.len());
            let single = cable.make.pieces == Pieces::Single && pipe.read < 300;
            let n = match cable.make.pieces {
                _ if single => most.min(1),
                Pieces::Any => usize::try_from(cable.world.between(1, most as u64)).expect("a few"),
                _ => most,
            };
            for (to, octet) in into.iter_mut().zip(octets.drain(..n)) {
                *to = octet;
            }
            if octets.is_empty() {
                pipe.segments.pop_front();
            }
            pipe.queued -= n;
            pipe.read += n as u64;
            let read = pipe.read;
            let heard = pipe.receipts.iter().take_while(|(at, _)| *at <= read).count();
            pipe.receipts.drain(..heard).for_each(|(_, receipt)| receipt.set(Some(now)));
            if let Some(writer) = pipe.writer.take() {
                writer.wake();
            }
            return Poll::Ready(Ok(n));
        }
        if pipe.segments.is_empty() && pipe.end.is_some_and(|end| end <= now) {
            return Poll::Ready(Ok(0));
        }
        pipe.reader = Some(cx.waker().clone());
        let next = pipe.segments.front().map(|(at, _)| *at).or(pipe.end);
        if let Some(at) = next {
            self.wait(at, cx);
        }
        Poll::Pending
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        let cable = self.cable.clone();
        let now = cable.world.now();
        if cable.state.get() == State::Reset {
            return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
        }
        let mut borrowed = cable.pipe(self.end).borrow_mut();
        let pipe = &mut *borrowed;
        if pipe.unread.is_some_and(|since| since <= now) && cable.state.get() == State::Whole {
            return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
        }
        let n = octets.len().min(cable.make.window.saturating_sub(pipe.queued));
        if n == 0 && !octets.is_empty() {
            pipe.writer = Some(cx.waker().clone());
            if let Some(since) = pipe.unread.filter(|since| *since > now) {
                self.wait(since, cx);
            }
            return Poll::Pending;
        }
        let before = pipe.written;
        pipe.written += n as u64;
        pipe.queued += n;
        if cable.state.get() == State::Whole {
            let last = pipe.segments.back().map_or(0, |(at, _)| *at);
            let at = (now + cable.make.latency + pipe.stall).max(last);
            let octets = octets[..n].iter().copied();
            match pipe.segments.back_mut() {
                Some((last, segment)) if *last == at => segment.extend(octets),
                _ => pipe.segments.push_back((at, octets.collect())),
            }
            if let Some(reader) = pipe.reader.take() {
                reader.wake();
            }
        }
        drop(borrowed);
        if self.end == End::Listener && before == 0 && octets.starts_with(b"220") {
            cable.world.net().greeted(&cable.world, cable.make.number, cable.make.ends);
        }
        cable.suffer_in_time(self.end, before);
        Poll::Ready(Ok(n))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let cable = &self.cable;
        let mut pipe = cable.pipe(self.end).borrow_mut();
        if pipe.end.is_none() && cable.state.get() == State::Whole {
            let last = pipe.segments.back().map_or(0, |(at, _)| *at);
            pipe.end = Some((cable.world.now() + cable.make.latency + pipe.stall).max(last));
            pipe.wake();
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for Wire {
    /// The end is closed. What arrives later, or was never read, makes the system send a reset,
    /// which may overtake what was written last.
    fn drop(&mut self) {
        let cable = self.cable.clone();
        if self.end == End::Listener {
            cable.world.net().gone(cable.make.number);
        }
        let mut context = Context::from_waker(Waker::noop());
        let _always_ready = Pin::new(&mut *self).poll_close(&mut context);
        let mut coming = cable.pipe(self.end.other()).borrow_mut();
        coming.unread = Some(cable.world.now() + cable.make.latency);
        let unread = coming.segments.iter().any(|(at, _)| *at <= cable.world.now());
        coming.segments.clear();
        coming.wake();
        drop(coming);
        if unread && cable.world.one_in(2) {
            cable.suffer(Fault::Reset, self.end);
        }
    }
}

impl Stream for Wire {
    fn peer(&self) -> Option<SocketAddr> {
        Some(Wire::peer(self))
    }

    fn local(&self) -> Option<SocketAddr> {
        Some(self.cable.address(self.end))
    }

    fn tls(&self) -> Option<TlsFacts> {
        None
    }
}
