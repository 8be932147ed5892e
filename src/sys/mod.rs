//! The world behind small traits. Whoever holds a [`Sys`] may wait, roll dice, talk and write; code
//! without one is pure and is tested by calling it.
//!
//! The real world is [`linux`], [`tls`] and [`index`]; the simulator in `tests/sim` is another one.

pub mod index;
pub mod keys;
pub mod linux;
pub mod machine;
pub mod tls;

use crate::time::{Instant, Wall};
use futures_lite::{AsyncRead, AsyncWrite};
use std::{
    cell::RefCell,
    collections::BTreeMap,
    fmt,
    future::{Future, poll_fn},
    io,
    net::{IpAddr, SocketAddr},
    pin::{Pin, pin},
    rc::Rc,
    sync::{Arc, Mutex, PoisonError},
    task::{Poll, Waker},
    time::Duration,
};

/// A future behind a trait object. Single-threaded: nothing here is `Send`.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// The outside world, cheap to clone.
#[derive(Clone)]
pub struct Sys {
    /// Time.
    pub clock: Rc<dyn Clock>,
    /// Chance.
    pub dice: Rc<dyn Dice>,
    /// Sockets.
    pub net: Rc<dyn Net>,
    /// Files.
    pub disk: Rc<dyn Disk>,
    /// The index, which may be lost.
    pub index: Rc<dyn Index>,
    /// Encryption.
    pub tls: Rc<dyn Tls>,
    /// Tasks, and the pool for slow arithmetic.
    pub tasks: Rc<dyn Tasks>,
    /// Where log lines go.
    pub log: Rc<dyn Log>,
}

/// Time.
pub trait Clock {
    /// Monotonic; starts near zero with the process.
    fn now(&self) -> Instant;
    /// The date, `None` until something has set the board's clock.
    fn wall(&self) -> Option<Wall>;
    /// Completes at `at` or soon after.
    fn sleep_until(&self, at: Instant) -> Pending<'static, ()>;
}

/// Chance: cryptographically strong in the real world, seeded in the simulated one.
pub trait Dice {
    /// 64 random bits.
    fn roll(&self) -> u64;
}

/// Sockets.
pub trait Net {
    /// Listen on a TCP address. Port 0 takes any free port; [`Listener::address`] tells which.
    fn listen(&self, at: SocketAddr) -> io::Result<Box<dyn Listener>>;
    /// Listen on a Unix socket at `path` with mode 0600; an old socket there is replaced.
    fn listen_local(&self, path: &str) -> io::Result<Box<dyn Listener>>;
    /// Open a TCP connection (`TCP_NODELAY` set). No time limit here: see [`Sys::within`].
    fn connect(&self, to: SocketAddr) -> Pending<'static, io::Result<Box<dyn Stream>>>;
    /// The same from an address of this machine, and any port; an error where that cannot be had.
    fn connect_from(
        &self,
        from: IpAddr,
        to: SocketAddr,
    ) -> Pending<'static, io::Result<Box<dyn Stream>>> {
        let words = format!("no address can be chosen here, not {from} for {to}");
        Box::pin(std::future::ready(Err(io::Error::new(io::ErrorKind::Unsupported, words))))
    }
    /// Connect to a Unix socket.
    fn connect_local(&self, path: &str) -> Pending<'static, io::Result<Box<dyn Stream>>>;
    /// A UDP socket connected to `to`, from a random port: only datagrams from there are received.
    fn datagrams(&self, to: SocketAddr) -> Pending<'static, io::Result<Box<dyn Datagrams>>>;
    /// The private subnets this machine is attached to, loopback included, as (address, prefix
    /// bits), and the addresses of its default gateways, which are never to be trusted.
    fn attached(&self) -> Attached;
    /// The hardware addresses of machines on the same links, as far as the system knows them now.
    fn neighbours(&self) -> Vec<(IpAddr, [u8; 6])> {
        Vec::new()
    }
    /// Tells from now on when links, addresses or routes of this machine have changed; `None` where
    /// nobody tells.
    fn changes(&self) -> Option<Box<dyn Changes>> {
        None
    }
    /// How many files and sockets may be open at once, after the system was asked for `wanted`
    /// where it allows less.
    fn open_at_most(&self, wanted: u64) -> u64 {
        wanted
    }
}

/// News of links, addresses and routes. See [`Net::changes`].
pub trait Changes {
    /// Completes when something has changed since the last time.
    fn next(&mut self) -> Pending<'_, ()>;
}

/// Where this machine is attached. See [`Net::attached`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attached {
    /// Network address and prefix length.
    pub subnets: Vec<(IpAddr, u8)>,
    /// Default gateways.
    pub gateways: Vec<IpAddr>,
    /// Addresses of this machine by which others of its private subnets reach it.
    pub addresses: Vec<IpAddr>,
}

/// Something that accepts connections.
pub trait Listener {
    /// The next connection.
    fn accept(&self) -> Pending<'_, io::Result<Box<dyn Stream>>>;
    /// Where it listens, with the real port; `None` for a Unix socket.
    fn address(&self) -> Option<SocketAddr>;
}

/// A connection. Plain or encrypted looks the same from above.
pub trait Stream: AsyncRead + AsyncWrite + Unpin {
    /// The other end; `None` for a Unix socket.
    fn peer(&self) -> Option<SocketAddr>;
    /// Our end; `None` for a Unix socket.
    fn local(&self) -> Option<SocketAddr>;
    /// How it is encrypted, `None` where it is not.
    fn tls(&self) -> Option<TlsFacts>;
}

/// What is worth telling about an encrypted connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFacts {
    /// `TLSv1.3`, `TLSv1.2`.
    pub version: String,
    /// Cipher suite by its IANA name.
    pub cipher: String,
    /// `embedded-tls` or `rustls`.
    pub engine: &'static str,
    /// The certificate was checked against the name and a trusted authority.
    pub verified: bool,
}

/// A connected UDP socket.
pub trait Datagrams {
    /// Send one datagram.
    fn send<'a>(&'a self, octets: &'a [u8]) -> Pending<'a, io::Result<()>>;
    /// Receive one; what does not fit `into` is cut.
    fn receive<'a>(&'a self, into: &'a mut [u8]) -> Pending<'a, io::Result<usize>>;
}

/// Files, below one data directory: paths are relative to it unless they start with `/`.
///
/// Nothing survives a power cut until it is synced: contents by [`File::sync`], names by
/// [`Disk::sync_dir`]. All of it runs off the main thread.
pub trait Disk {
    /// Open a file.
    fn open<'a>(&'a self, path: &'a str, how: Open) -> Pending<'a, io::Result<Rc<dyn File>>>;
    /// Names in a directory, without `.` and `..`, sorted; with their size in octets.
    fn list<'a>(&'a self, dir: &'a str) -> Pending<'a, io::Result<Vec<(String, u64)>>>;
    /// Make a directory and those above it; fine where it is there already.
    fn make_dir<'a>(&'a self, dir: &'a str) -> Pending<'a, io::Result<()>>;
    /// Rename a file, replacing what is there.
    fn rename<'a>(&'a self, from: &'a str, to: &'a str) -> Pending<'a, io::Result<()>>;
    /// Remove a file.
    fn remove<'a>(&'a self, path: &'a str) -> Pending<'a, io::Result<()>>;
    /// Make the names in `dir` durable.
    fn sync_dir<'a>(&'a self, dir: &'a str) -> Pending<'a, io::Result<()>>;
    /// Octets that may still be written to the file system that holds `dir`.
    fn room<'a>(&'a self, dir: &'a str) -> Pending<'a, io::Result<u64>>;
    /// What has been asked of the storage since the start; nothing where nobody counts.
    fn wear(&self) -> Wear {
        Wear::default()
    }
}

/// What the storage was asked to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wear {
    /// Octets written, in whole pages of [`crate::limits::FLASH_PAGE_BYTES`]; pages written again
    /// before they were synced count once. What a file system adds of its own is not in it.
    pub octets: u64,
    /// Syncs, of files and of directories.
    pub syncs: u64,
}

/// How to open a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// It must be there; read only.
    Read,
    /// It must be there; read and write.
    Write,
    /// It must not be there; made with mode 0600.
    New,
    /// Made with mode 0600 or emptied.
    Replace,
}

/// An open file; closed when dropped. Operations on one file are made one after the other by their
/// caller.
pub trait File {
    /// Up to `length` octets from `offset`; fewer only at the end of the file.
    fn read_at(&self, offset: u64, length: usize) -> Pending<'_, io::Result<Vec<u8>>>;
    /// Write all of `octets` at `offset`, growing the file where needed. The buffer comes back for
    /// reuse.
    fn write_at(&self, offset: u64, octets: Vec<u8>) -> Pending<'_, io::Result<Vec<u8>>>;
    /// As [`File::write_at`], then [`File::sync`], in one go: what a commit does.
    fn write_sync(&self, offset: u64, octets: Vec<u8>) -> Pending<'_, io::Result<Vec<u8>>>;
    /// Make contents and length durable (`fdatasync`). After an error the pages are lost: do not
    /// retry.
    fn sync(&self) -> Pending<'_, io::Result<()>>;
    /// Length in octets.
    fn length(&self) -> Pending<'_, io::Result<u64>>;
}

/// An ordered map of small values by tree, which may be lost at any time (DESIGN §3). Keys and
/// values stay under 1 KiB together. Nothing in it is needed to deliver mail.
pub trait Index {
    /// Apply a batch of puts (`Some`) and removals (`None`).
    fn apply(&self, batch: Vec<IndexChange>) -> Pending<'_, io::Result<()>>;
    /// Up to `limit` entries from the first key at or after `from`, or at or before it where
    /// `order` is [`Order::Falling`]; only keys that start with `prefix`.
    fn scan<'a>(&'a self, tree: &'static str, range: Range<'a>)
    -> Pending<'a, io::Result<Entries>>;
    /// Write what is buffered, before the end.
    fn flush(&self) -> Pending<'_, io::Result<()>>;
    /// What is wrong with it now, in words for a person and with what they can do; empty where
    /// nothing is. At once, also where the index itself is stuck.
    fn trouble(&self) -> String;
    /// Octets that it has written since the start, as [`Wear::octets`]; `None` where it is not
    /// known.
    fn written(&self) -> Option<u64> {
        None
    }
}

/// Keys and values of the index.
pub type Entries = Vec<(Vec<u8>, Vec<u8>)>;

/// One change of the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexChange {
    /// Which tree.
    pub tree: &'static str,
    /// Key, 1 to 512 octets.
    pub key: Vec<u8>,
    /// New value, or `None` to remove.
    pub value: Option<Vec<u8>>,
}

/// Part of a tree of the index.
#[derive(Clone, Copy, Debug)]
pub struct Range<'a> {
    /// Only keys that start with this.
    pub prefix: &'a [u8],
    /// Where to start; `None`: at the beginning (or the end, falling) of the prefix.
    pub from: Option<&'a [u8]>,
    /// Rising or falling keys.
    pub order: Order,
    /// Most entries to return.
    pub limit: usize,
}

/// Order of a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// From small to large.
    Rising,
    /// From large to small.
    Falling,
}

/// Encryption.
pub trait Tls {
    /// Serve TLS over `stream` with our certificate (self-signed where none is configured).
    fn accept(
        &self,
        stream: Box<dyn Stream>,
    ) -> Pending<'static, Result<Box<dyn Stream>, TlsError>>;
    /// Start TLS to the server `name` (SNI and, for [`Trust::Verify`], the name that its
    /// certificate must bear).
    ///
    /// Tries embedded-tls first and, where that cannot speak with this server, fails with
    /// [`TlsError::OtherEngine`]: the caller opens a new connection and calls again, once; which
    /// engine a name needs is remembered for a day.
    fn connect(
        &self,
        stream: Box<dyn Stream>,
        name: &str,
        trust: Trust,
    ) -> Pending<'static, Result<Box<dyn Stream>, TlsError>>;
    /// Load certificate and key again (PEM texts), as after a reload. On error the old ones stay.
    fn certificate(&self, pem: &[u8], key: &[u8]) -> Result<(), TlsError>;
    /// A self-signed certificate and its key for these names, both PEM.
    fn self_signed(&self, names: &[String]) -> Result<(String, String), TlsError>;
    /// Authorities to trust for [`Trust::Verify`] beside the built-in ones (PEM); replaces earlier
    /// ones.
    fn authorities(&self, pem: &[u8]) -> Result<(), TlsError>;
}

/// How much of the server's certificate must be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Anything goes: encrypted against listeners only (RFC 3207, RFC 7435).
    Opportunistic,
    /// Chain, name and dates must be right.
    Verify,
    /// It must be one of these, whatever its name and dates, or be issued by one of these; then
    /// name and dates must be right. RFC 7672 §3.1.
    Match(Arc<[Match]>),
}

/// A certificate that is right, as DNS or a person describes it. RFC 6698 §2.1.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Match {
    /// It is that of an authority (usage 2), not the server's own (usage 3).
    pub authority: bool,
    /// Only its public key counts (selector 1).
    pub key: bool,
    /// What `data` is (the matching type).
    pub digest: Digest,
    /// Octets.
    pub data: Vec<u8>,
}

/// What is compared. RFC 6698 §2.1.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Digest {
    /// All of it.
    Whole,
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

/// Why there is no encrypted connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsError {
    /// The engine that was tried cannot talk to this server; call again over a new connection.
    OtherEngine(String),
    /// The certificate is not acceptable; in words.
    Certificate(String),
    /// Anything else; in words.
    Failed(String),
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TlsError::OtherEngine(why) | TlsError::Failed(why) => write!(f, "TLS failed: {why}"),
            TlsError::Certificate(why) => write!(f, "certificate refused: {why}"),
        }
    }
}

/// Tasks of the one thread, and the bounded pool of others for slow arithmetic.
pub trait Tasks {
    /// Run `task` to its end beside everything else. A panic in it ends it alone and is logged.
    fn spawn(&self, task: Pending<'static, ()>);
    /// Run `work` on the blocking pool; see [`Sys::slow`].
    fn slow(&self, work: Box<dyn FnOnce() + Send + 'static>);
    /// Resident memory of this process, octets; `None` where it is not known.
    fn memory(&self) -> Option<u64> {
        None
    }
}

/// What the operating system asks of the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// End, in an orderly way (SIGTERM, SIGINT).
    Terminate,
    /// Read the configuration again (SIGHUP).
    Reload,
}

/// Wishes as they come.
pub trait Signals {
    /// The next one.
    fn next(&mut self) -> Pending<'_, Wish>;
}

/// Where log lines go.
pub trait Log {
    /// One line without its line end. The time is added by whoever keeps it.
    fn line(&self, line: &str);
}

impl Sys {
    /// `work`, or `None` once `patience` has run out. No timer is made where `work` is ready at
    /// once.
    pub async fn within<T>(&self, patience: Duration, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        let mut timer: Option<Pending<'static, ()>> = None;
        poll_fn(move |cx| {
            if let Poll::Ready(done) = work.as_mut().poll(cx) {
                return Poll::Ready(Some(done));
            }
            let timer =
                timer.get_or_insert_with(|| self.clock.sleep_until(self.clock.now() + patience));
            timer.as_mut().poll(cx).map(|()| None)
        })
        .await
    }

    /// Wait.
    pub async fn sleep(&self, wait: Duration) {
        self.clock.sleep_until(self.clock.now() + wait).await;
    }

    /// A file's new content: after this it is there, before the old one was, and never anything
    /// else. Only who runs this relay may read it.
    ///
    /// # Errors
    /// The disk's; then it is the old one, or the new one.
    pub async fn replace(&self, path: &str, octets: Vec<u8>) -> io::Result<()> {
        let fresh = format!("{path}.new");
        let file = self.disk.open(&fresh, Open::Replace).await?;
        file.write_sync(0, octets).await?;
        self.disk.rename(&fresh, path).await?;
        let dir = match path.rsplit_once('/') {
            Some(("", _)) => "/",
            Some((dir, _)) => dir,
            None => ".",
        };
        self.disk.sync_dir(dir).await
    }

    /// Run a task beside everything else.
    pub fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.tasks.spawn(Box::pin(task));
    }

    /// The result of slow arithmetic (argon2, signatures), made off the main thread; `None` where
    /// it panicked.
    pub async fn slow<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        struct Shared<T> {
            done: Option<T>,
            over: bool,
            waker: Option<Waker>,
        }
        struct Finish<T>(Arc<Mutex<Shared<T>>>);
        impl<T> Drop for Finish<T> {
            fn drop(&mut self) {
                let mut shared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                shared.over = true;
                if let Some(waker) = shared.waker.take() {
                    waker.wake();
                }
            }
        }
        let shared = Arc::new(Mutex::new(Shared { done: None, over: false, waker: None }));
        let finish = Finish(shared.clone());
        self.tasks.slow(Box::new(move || {
            let result = work();
            finish.0.lock().unwrap_or_else(PoisonError::into_inner).done = Some(result);
            drop(finish);
        }));
        poll_fn(move |cx| {
            let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
            if shared.over {
                return Poll::Ready(shared.done.take());
            }
            shared.waker = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }
}

/// A flag that tasks of one thread wait for: shutting down, configuration changed, work to do.
///
/// Each [`Signal::raise`] wakes everybody who waits at that moment, in the order in which they
/// came. Who stops waiting is forgotten: a signal that is raised once in the life of the relay
/// holds no more than those who wait for it now.
#[derive(Clone, Default)]
pub struct Signal(Rc<RefCell<SignalState>>);

#[derive(Default)]
struct SignalState {
    raised: u64,
    waiting: BTreeMap<u64, Waker>,
    /// Places given so far.
    places: u64,
}

impl Signal {
    /// Wake all who wait.
    pub fn raise(&self) {
        let waiting = {
            let mut state = self.0.borrow_mut();
            state.raised += 1;
            std::mem::take(&mut state.waiting)
        };
        waiting.into_values().for_each(Waker::wake);
    }

    /// How often it was raised.
    pub fn count(&self) -> u64 {
        self.0.borrow().raised
    }

    /// Until it has been raised more than `seen` times; tells how often it was.
    pub async fn past(&self, seen: u64) -> u64 {
        let mut place = Place { signal: self, number: None };
        poll_fn(|cx| {
            let mut state = self.0.borrow_mut();
            if state.raised > seen {
                return Poll::Ready(state.raised);
            }
            let number = *place.number.get_or_insert_with(|| {
                state.places += 1;
                state.places
            });
            state.waiting.insert(number, cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// How many wait.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.0.borrow().waiting.len()
    }
}

/// A place among those who wait, given up when dropped.
struct Place<'a> {
    signal: &'a Signal,
    number: Option<u64>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.signal.0.borrow_mut().waiting.remove(&number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite::future::{block_on, poll_once};

    #[test]
    fn a_signal_forgets_who_does_not_wait_any_more() {
        let signal = Signal::default();
        for _ in 0..100 {
            assert_eq!(block_on(poll_once(signal.past(0))), None);
        }
        assert_eq!(signal.waiting(), 0);
        let mut one = pin!(signal.past(0));
        let mut cx = std::task::Context::from_waker(Waker::noop());
        for _ in 0..3 {
            assert!(one.as_mut().poll(&mut cx).is_pending());
        }
        assert_eq!(signal.waiting(), 1, "who asks again keeps the place");
        signal.raise();
        assert_eq!(one.as_mut().poll(&mut cx), Poll::Ready(1));
        assert_eq!(signal.waiting(), 0);
    }
}
