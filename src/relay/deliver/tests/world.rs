//! A world of servers made of a few lines each, and a clock that moves when everybody waits.

use crate::sys::{
    Attached, Clock, Datagrams, Dice, Disk, File, Index, IndexChange, Listener, Log, Net, Open,
    Pending, Range, Stream, Sys, Tasks, Tls, TlsError, TlsFacts, Trust,
};
use crate::time::{Instant, Wall};
use futures_lite::{AsyncRead, AsyncWrite};
use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    future::{Future, pending, poll_fn, ready},
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, Waker},
};

/// What a server does, as rules `command` → `replies`: the first rule whose beginning is that of
/// the line counts. `""` for the banner, `"."` for the final dot; no replies: it hangs up; `~`: it
/// says nothing for ever; `%`: it says an octet every four minutes for ever.
pub(super) type Rules = Vec<(&'static str, &'static str)>;

/// The rules of a server that takes everything, after `special` ones.
pub(super) fn server(special: &[(&'static str, &'static str)]) -> Rules {
    let usual = [
        ("", "220 mx"),
        ("EHLO", "250-mx\r\n250 PIPELINING"),
        ("MAIL", "250 2.1.0 Ok"),
        ("RCPT", "250 2.1.5 Ok"),
        ("DATA", "354 Go"),
        (".", "250 2.0.0 Queued"),
        ("STARTTLS", "220 Go"),
        ("QUIT", "221 Bye"),
    ];
    special.iter().chain(&usual).copied().collect()
}

pub(super) enum Knock {
    Opens(Rules),
    Refused,
    /// Neither yes nor no.
    Silent,
    Unreachable,
}

pub(super) struct World {
    now: Cell<u64>,
    timers: RefCell<Vec<u64>>,
    /// Who answers at an address; asked once a connection.
    pub(super) knock: Box<dyn Fn(SocketAddr) -> Knock>,
    /// What becomes of TLS handshakes, in order; after the last one, all succeed.
    pub(super) tls: RefCell<VecDeque<TlsError>>,
    /// So many encrypted connections break at their first octet, by a fault of their engine.
    pub(super) brittle: Cell<u32>,
    /// Every line that any server was sent, the address and, encrypted, a `*` before it.
    pub(super) heard: RefCell<Vec<String>>,
    /// Name and trust of each handshake.
    pub(super) handshakes: RefCell<Vec<(String, Trust)>>,
}

impl World {
    pub(super) fn new(knock: impl Fn(SocketAddr) -> Knock + 'static) -> (Rc<World>, Sys) {
        let world = Rc::new(World {
            now: Cell::new(1),
            timers: RefCell::default(),
            knock: Box::new(knock),
            tls: RefCell::default(),
            brittle: Cell::default(),
            heard: RefCell::default(),
            handshakes: RefCell::default(),
        });
        let fake = || Rc::new(Fake(world.clone()));
        let sys = Sys {
            clock: fake(),
            dice: fake(),
            net: fake(),
            tls: fake(),
            disk: Rc::new(Nothing),
            index: Rc::new(Nothing),
            tasks: Rc::new(Nothing),
            log: Rc::new(Nothing),
        };
        (world, sys)
    }

    /// The result of `work`; the clock jumps to the next timer whenever nothing else is left to do.
    pub(super) fn run<T>(&self, work: impl Future<Output = T>) -> T {
        let mut cx = Context::from_waker(Waker::noop());
        let mut work = pin!(work);
        loop {
            self.timers.borrow_mut().clear();
            if let Poll::Ready(done) = work.as_mut().poll(&mut cx) {
                return done;
            }
            let next = self.timers.borrow().iter().copied().min();
            self.now.set(next.expect("somebody waits for a timer"));
        }
    }

    /// The lines that a server at `address` was sent.
    pub(super) fn heard_at(&self, address: &str) -> Vec<String> {
        let heard = self.heard.borrow();
        heard.iter().filter_map(|line| line.strip_prefix(address)).map(String::from).collect()
    }

    pub(super) fn seconds(&self) -> u64 {
        self.now.get() / 1000
    }
}

struct Fake(Rc<World>);
struct Nothing;

impl Clock for Fake {
    fn now(&self) -> Instant {
        Instant(self.0.now.get())
    }
    fn wall(&self) -> Option<Wall> {
        None
    }
    fn sleep_until(&self, at: Instant) -> Pending<'static, ()> {
        let world = self.0.clone();
        Box::pin(poll_fn(move |_| {
            if world.now.get() >= at.0 {
                return Poll::Ready(());
            }
            world.timers.borrow_mut().push(at.0);
            Poll::Pending
        }))
    }
}

impl Dice for Fake {
    fn roll(&self) -> u64 {
        4
    }
}

impl Net for Fake {
    fn listen(&self, _: SocketAddr) -> io::Result<Box<dyn Listener>> {
        unreachable!()
    }
    fn listen_local(&self, _: &str) -> io::Result<Box<dyn Listener>> {
        unreachable!()
    }
    fn connect(&self, to: SocketAddr) -> Pending<'static, io::Result<Box<dyn Stream>>> {
        let refused: io::Error = match (self.0.knock)(to) {
            Knock::Opens(rules) => {
                let mut line = Line::new(self.0.clone(), to, rules);
                line.reply("");
                return Box::pin(ready(Ok(Box::new(line) as Box<dyn Stream>)));
            }
            Knock::Silent => return Box::pin(pending()),
            Knock::Refused => io::ErrorKind::ConnectionRefused.into(),
            Knock::Unreachable => io::ErrorKind::NetworkUnreachable.into(),
        };
        Box::pin(ready(Err(refused)))
    }
    fn connect_local(&self, _: &str) -> Pending<'static, io::Result<Box<dyn Stream>>> {
        unreachable!()
    }
    fn datagrams(&self, _: SocketAddr) -> Pending<'static, io::Result<Box<dyn Datagrams>>> {
        Box::pin(ready(Ok(Box::new(NameServer::default()) as Box<dyn Datagrams>)))
    }
    fn attached(&self) -> Attached {
        Attached::default()
    }
}

/// Says `MX 10 one.example, MX 20 two.example` to whatever it is asked.
#[derive(Default)]
struct NameServer(RefCell<Vec<u8>>);

impl Datagrams for NameServer {
    fn send<'a>(&'a self, query: &'a [u8]) -> Pending<'a, io::Result<()>> {
        let name = query[12..].iter().position(|b| *b == 0).expect("a name") + 13;
        let mut reply = query[..name + 4].to_vec();
        (reply[2], reply[3], reply[7], reply[11]) = (0x81, 0x80, 2, 0);
        for (preference, host) in [(10, b"\x03one\x07example\0"), (20, b"\x03two\x07example\0")] {
            reply.extend([0xc0, 12, 0, 15, 0, 1, 0, 0, 1, 0, 0, 15, 0, preference]);
            reply.extend(host);
        }
        *self.0.borrow_mut() = reply;
        Box::pin(ready(Ok(())))
    }
    fn receive<'a>(&'a self, into: &'a mut [u8]) -> Pending<'a, io::Result<usize>> {
        let reply = self.0.take();
        into[..reply.len()].copy_from_slice(&reply);
        Box::pin(ready(Ok(reply.len())))
    }
}

impl Tls for Fake {
    fn accept(&self, _: Box<dyn Stream>) -> Pending<'static, Result<Box<dyn Stream>, TlsError>> {
        unreachable!()
    }
    fn connect(
        &self,
        stream: Box<dyn Stream>,
        name: &str,
        trust: Trust,
    ) -> Pending<'static, Result<Box<dyn Stream>, TlsError>> {
        self.0.handshakes.borrow_mut().push((name.to_string(), trust));
        let trouble = self.0.tls.borrow_mut().pop_front();
        let brittle = self.0.brittle.get();
        self.0.brittle.set(brittle.saturating_sub(1));
        let encrypted = || Box::new(Encrypted(stream, brittle > 0)) as Box<dyn Stream>;
        Box::pin(ready(trouble.map_or_else(|| Ok(encrypted()), Err)))
    }
    fn certificate(&self, _: &[u8], _: &[u8]) -> Result<(), TlsError> {
        unreachable!()
    }
    fn self_signed(&self, _: &[String]) -> Result<(String, String), TlsError> {
        unreachable!()
    }
    fn authorities(&self, _: &[u8]) -> Result<(), TlsError> {
        unreachable!()
    }
}

/// The connection to one server.
struct Line {
    world: Rc<World>,
    at: SocketAddr,
    rules: Rules,
    sent: Vec<u8>,
    says: VecDeque<u8>,
    in_data: bool,
    over: bool,
    /// When the next octet of its dribble is due.
    dribbles: Option<u64>,
}

impl Line {
    fn new(world: Rc<World>, at: SocketAddr, rules: Rules) -> Line {
        let (sent, says) = (Vec::new(), VecDeque::new());
        Line { world, at, rules, sent, says, in_data: false, over: false, dribbles: None }
    }

    fn reply(&mut self, line: &str) {
        let rule = |(start, _): &&(&str, &str)| {
            if start.is_empty() || *start == "." { *start == line } else { line.starts_with(start) }
        };
        let says = self.rules.iter().find(rule).map(|(_, says)| *says);
        match says {
            Some("~") => {}
            Some("%") => self.dribbles = Some(0),
            Some("") => self.over = true,
            Some(says) => self.says.extend(format!("{says}\r\n").bytes()),
            None => self.says.extend(b"502 5.5.1 What?\r\n"),
        }
        self.in_data = line == "DATA" && says.is_some_and(|says| says.starts_with("354"));
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if let Some(due) = self.dribbles {
            if self.world.now.get() < due {
                self.world.timers.borrow_mut().push(due);
                return Poll::Pending;
            }
            self.dribbles = Some(self.world.now.get() + 240_000);
            self.says.push_back(b'2');
        }
        let n = self.says.len().min(into.len());
        into.iter_mut().zip(self.says.drain(..n)).for_each(|(to, octet)| *to = octet);
        if n == 0 && !self.over { Poll::Pending } else { Poll::Ready(Ok(n)) }
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.over {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        self.sent.extend_from_slice(octets);
        while let Some(end) = self.sent.iter().position(|b| *b == b'\n') {
            let line = String::from_utf8_lossy(&self.sent[..end]).trim_end().to_string();
            self.sent.drain(..=end);
            self.world.heard.borrow_mut().push(format!("{} {line}", self.at));
            if !self.in_data || line == "." {
                self.reply(&line);
            }
        }
        Poll::Ready(Ok(octets.len()))
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Stream for Line {
    fn peer(&self) -> Option<SocketAddr> {
        Some(self.at)
    }
    fn local(&self) -> Option<SocketAddr> {
        None
    }
    fn tls(&self) -> Option<TlsFacts> {
        None
    }
}

/// Encrypted, it is said; and whether it breaks.
struct Encrypted(Box<dyn Stream>, bool);

impl AsyncRead for Encrypted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if self.1 {
            return Poll::Ready(Err(io::Error::other("embedded-tls: Unimplemented")));
        }
        Pin::new(&mut self.0).poll_read(cx, into)
    }
}

impl AsyncWrite for Encrypted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, octets)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }
    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_close(cx)
    }
}

impl Stream for Encrypted {
    fn peer(&self) -> Option<SocketAddr> {
        self.0.peer()
    }
    fn local(&self) -> Option<SocketAddr> {
        None
    }
    fn tls(&self) -> Option<TlsFacts> {
        let engine = if self.1 { "embedded-tls" } else { "rustls" };
        Some(TlsFacts { version: "TLSv1.3".into(), engine, ..TlsFacts::default() })
    }
}

impl Disk for Nothing {
    fn open<'a>(&'a self, _: &'a str, _: Open) -> Pending<'a, io::Result<Rc<dyn File>>> {
        unreachable!()
    }
    fn list<'a>(&'a self, _: &'a str) -> Pending<'a, io::Result<Vec<(String, u64)>>> {
        unreachable!()
    }
    fn make_dir<'a>(&'a self, _: &'a str) -> Pending<'a, io::Result<()>> {
        unreachable!()
    }
    fn rename<'a>(&'a self, _: &'a str, _: &'a str) -> Pending<'a, io::Result<()>> {
        unreachable!()
    }
    fn remove<'a>(&'a self, _: &'a str) -> Pending<'a, io::Result<()>> {
        unreachable!()
    }
    fn sync_dir<'a>(&'a self, _: &'a str) -> Pending<'a, io::Result<()>> {
        unreachable!()
    }
    fn room<'a>(&'a self, _: &'a str) -> Pending<'a, io::Result<u64>> {
        unreachable!()
    }
}

impl Index for Nothing {
    fn apply(&self, _: Vec<IndexChange>) -> Pending<'_, io::Result<()>> {
        unreachable!()
    }
    fn scan<'a>(
        &'a self,
        _: &'static str,
        _: Range<'a>,
    ) -> Pending<'a, io::Result<Vec<(Vec<u8>, Vec<u8>)>>> {
        unreachable!()
    }
    fn flush(&self) -> Pending<'_, io::Result<()>> {
        unreachable!()
    }
    fn trouble(&self) -> String {
        String::new()
    }
}

impl Tasks for Nothing {
    fn spawn(&self, _: Pending<'static, ()>) {
        unreachable!()
    }
    fn slow(&self, _: Box<dyn FnOnce() + Send + 'static>) {
        unreachable!()
    }
}

impl Log for Nothing {
    fn line(&self, _: &str) {}
}
