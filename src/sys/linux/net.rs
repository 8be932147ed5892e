//! Sockets.

use super::{
    netlink,
    reactor::{Reactor, Watched},
};
use crate::{
    limits,
    sys::{Attached, Changes, Datagrams, Listener, Net, Pending, Stream, TlsFacts},
};
use futures_lite::{AsyncRead, AsyncWrite, future::yield_now};
use rustix::{
    fs::{FileType, Mode, OFlags, fchmod, lstat, open, unlink},
    io::Errno,
    net::{
        AddressFamily, Shutdown, SocketAddrAny, SocketAddrUnix, SocketFlags, SocketType,
        acceptfrom_with, bind, connect, getpeername, listen, shutdown, socket_with, sockopt,
    },
    process::{Resource, Rlimit, getrlimit, setrlimit},
};
use std::{
    cell::Cell,
    ffi::OsStr,
    future::poll_fn,
    io::{self, IoSlice, Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    pin::Pin,
    task::{Context, Poll},
};

/// The machine's sockets. Paths of Unix sockets are relative to the data directory.
pub(super) struct RealNet {
    root: PathBuf,
    reactor: Reactor,
}

impl RealNet {
    pub(super) fn new(root: &Path, reactor: Reactor) -> RealNet {
        RealNet { root: root.to_owned(), reactor }
    }
}

impl Net for RealNet {
    fn listen(&self, at: SocketAddr) -> io::Result<Box<dyn Listener>> {
        let listener = self.reactor.watch(TcpListener::from(tcp_listener(at)?))?;
        Ok(Box::new(Tcp { listener, streak: Streak::default() }))
    }

    fn listen_local(&self, path: &str) -> io::Result<Box<dyn Listener>> {
        let listener = UnixListener::from(unix_listener(&self.root.join(path))?);
        let listener = self.reactor.watch(listener)?;
        Ok(Box::new(Unix { listener, streak: Streak::default() }))
    }

    fn connect(&self, to: SocketAddr) -> Pending<'static, io::Result<Box<dyn Stream>>> {
        Box::pin(tcp(self.reactor.clone(), None, to))
    }

    fn connect_from(
        &self,
        from: IpAddr,
        to: SocketAddr,
    ) -> Pending<'static, io::Result<Box<dyn Stream>>> {
        Box::pin(tcp(self.reactor.clone(), Some(from), to))
    }

    fn connect_local(&self, path: &str) -> Pending<'static, io::Result<Box<dyn Stream>>> {
        let path = self.root.join(path);
        let reactor = self.reactor.clone();
        Box::pin(async move {
            let short = ShortPath::new(&path)?;
            let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, FLAGS, None)?;
            let begun = connect(&socket, &SocketAddrUnix::new(short.path())?);
            let io = connected(&reactor, UnixStream::from(socket), begun).await?;
            let streak = Streak::default();
            Ok(Box::new(Socket { io, peer: None, streak }) as Box<dyn Stream>)
        })
    }

    fn datagrams(&self, to: SocketAddr) -> Pending<'static, io::Result<Box<dyn Datagrams>>> {
        let reactor = self.reactor.clone();
        Box::pin(async move {
            // The kernel draws the port at random from its ephemeral ones: with the id of a DNS
            // message it is what a forger has to guess. RFC 5452 §9.2.
            let any: SocketAddr = match to {
                SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
                SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
            };
            let socket = UdpSocket::bind(any)?;
            socket.connect(to)?;
            socket.set_nonblocking(true)?;
            Ok(Box::new(Udp(reactor.watch(socket)?)) as Box<dyn Datagrams>)
        })
    }

    fn attached(&self) -> Attached {
        netlink::attached()
    }

    fn neighbours(&self) -> Vec<(IpAddr, [u8; 6])> {
        netlink::neighbours()
    }

    fn changes(&self) -> Option<Box<dyn Changes>> {
        // A sandbox may allow no such sockets.
        let notices = netlink::Notices::new(&self.reactor).ok()?;
        Some(Box::new(notices))
    }

    fn open_at_most(&self, wanted: u64) -> u64 {
        let limit = getrlimit(Resource::Nofile);
        let had = limit.current.unwrap_or(u64::MAX);
        if had >= wanted {
            return had;
        }
        let raised = limit.maximum.map_or(wanted, |most| most.min(wanted));
        let asked = Rlimit { current: Some(raised), ..limit };
        setrlimit(Resource::Nofile, asked).map_or(had, |()| raised)
    }
}

/// A socket that does not block, and that no child inherits.
const FLAGS: SocketFlags = SocketFlags::CLOEXEC.union(SocketFlags::NONBLOCK);

fn family(of: SocketAddr) -> AddressFamily {
    match of {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    }
}

async fn tcp(
    reactor: Reactor,
    from: Option<IpAddr>,
    to: SocketAddr,
) -> io::Result<Box<dyn Stream>> {
    let socket = socket_with(family(to), SocketType::STREAM, FLAGS, None)?;
    sockopt::set_tcp_nodelay(&socket, true)?;
    if let Some(from) = from {
        bind(&socket, &SocketAddr::new(from, 0))?;
    }
    let begun = connect(&socket, &to);
    let io = connected(&reactor, TcpStream::from(socket), begun).await?;
    Ok(Box::new(Socket { io, peer: Some(to), streak: Streak::default() }))
}

/// The end of a connection's beginning. connect(2): EINPROGRESS.
async fn connected<T: AsFd>(
    reactor: &Reactor,
    io: T,
    begun: rustix::io::Result<()>,
) -> io::Result<Watched<T>> {
    match begun {
        Ok(()) => return reactor.watch(io),
        Err(Errno::INPROGRESS) => {}
        Err(error) => return Err(error.into()),
    }
    let watched = reactor.watch_connecting(io)?;
    poll_fn(|cx| {
        watched.poll_send(cx, |io| match sockopt::socket_error(io)? {
            Ok(()) => match getpeername(io) {
                Ok(_) => Ok(()),
                Err(Errno::NOTCONN) => Err(Errno::WOULDBLOCK.into()),
                Err(error) => Err(error.into()),
            },
            Err(error) => Err(error.into()),
        })
    })
    .await?;
    Ok(watched)
}

/// `SO_REUSEADDR`, so that a restart need not wait for old connections to be forgotten; IPv6
/// listeners take IPv6 only, so that `[::]:25` stands beside `0.0.0.0:25`.
fn tcp_listener(at: SocketAddr) -> io::Result<OwnedFd> {
    let socket = socket_with(family(at), SocketType::STREAM, FLAGS, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    // What it accepts inherits these: no system calls a connection.
    sockopt::set_tcp_nodelay(&socket, true)?;
    sockopt::set_tcp_keepidle(&socket, limits::KEEPALIVE_IDLE)?;
    sockopt::set_tcp_keepintvl(&socket, limits::KEEPALIVE_INTERVAL)?;
    sockopt::set_tcp_keepcnt(&socket, limits::KEEPALIVE_COUNT)?;
    sockopt::set_socket_keepalive(&socket, true)?;
    if at.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    bind(&socket, &at)?;
    listen(&socket, limits::LISTEN_BACKLOG)?;
    Ok(socket)
}

/// The mode is set before the socket has a name: nobody else can connect in between. Linux gives
/// the name the mode of the socket's own inode, less the umask.
fn unix_listener(path: &Path) -> io::Result<OwnedFd> {
    match lstat(path) {
        Ok(old) if FileType::from_raw_mode(old.st_mode) == FileType::Socket => unlink(path)?,
        Ok(_) | Err(Errno::NOENT) => {} // `bind` refuses to replace anything else.
        Err(error) => return Err(error.into()),
    }
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, FLAGS, None)?;
    fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    let short = ShortPath::new(path)?;
    bind(&socket, &SocketAddrUnix::new(short.path())?)?;
    listen(&socket, limits::LISTEN_BACKLOG)?;
    Ok(socket)
}

/// Longest path of a Unix socket, octets: `sun_path` with its NUL is 108. unix(7).
const SUN_PATH_BYTES: usize = 107;

/// Another name for a path that is too long for `sun_path`, by way of its open directory.
struct ShortPath {
    path: PathBuf,
    _dir: Option<OwnedFd>,
}

impl ShortPath {
    fn new(path: &Path) -> io::Result<ShortPath> {
        if path.as_os_str().len() <= SUN_PATH_BYTES {
            return Ok(ShortPath { path: path.to_owned(), _dir: None });
        }
        let name = path.file_name().unwrap_or(OsStr::new("."));
        let above = path.parent().unwrap_or(Path::new("/"));
        let dir = open(above, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let path = Path::new("/proc/self/fd").join(dir.as_raw_fd().to_string()).join(name);
        Ok(ShortPath { path, _dir: Some(dir) })
    }

    fn path(&self) -> &Path {
        &self.path
    }
}

/// Counts what was ready at once in a row. A peer that always has more must not keep the one thread
/// from everybody else.
#[derive(Default)]
struct Streak(Cell<u32>);

impl Streak {
    /// Others are due: who calls must give way, once.
    fn is_over(&self) -> bool {
        let over = self.0.get() >= limits::READY_STREAK;
        if over {
            self.0.set(0);
        }
        over
    }

    fn count<T>(&self, polled: Poll<T>) -> Poll<T> {
        self.0.set(if polled.is_ready() { self.0.get() + 1 } else { 0 });
        polled
    }
}

struct Tcp {
    listener: Watched<TcpListener>,
    streak: Streak,
}

impl Listener for Tcp {
    /// # Errors
    /// Those of the machine, such as too many open files. The connection then stays in the kernel's
    /// queue and the next call fails at once: wait a moment before it.
    fn accept(&self) -> Pending<'_, io::Result<Box<dyn Stream>>> {
        Box::pin(async move {
            let (io, peer) = accept(&self.listener, &self.streak).await?;
            let io = self.listener.reactor().watch(TcpStream::from(io))?;
            let peer = peer.and_then(|peer| peer.try_into().ok());
            Ok(Box::new(Socket { io, peer, streak: Streak::default() }) as Box<dyn Stream>)
        })
    }

    fn address(&self) -> Option<SocketAddr> {
        self.listener.io().local_addr().ok()
    }
}

/// The next connection that has not failed by itself before it was accepted. accept(2): "Error
/// handling".
async fn accept<T: AsFd>(
    listener: &Watched<T>,
    streak: &Streak,
) -> io::Result<(OwnedFd, Option<SocketAddrAny>)> {
    loop {
        if streak.is_over() {
            yield_now().await;
        }
        let next = |io: &T| acceptfrom_with(io, FLAGS).map_err(io::Error::from);
        let accepted = poll_fn(|cx| streak.count(listener.poll_take(cx, next))).await;
        match accepted.as_ref().map_err(Errno::from_io_error) {
            Err(Some(
                Errno::CONNABORTED
                | Errno::INTR
                | Errno::PROTO
                | Errno::NETDOWN
                | Errno::NOPROTOOPT
                | Errno::HOSTDOWN
                | Errno::NONET
                | Errno::HOSTUNREACH
                | Errno::NETUNREACH,
            )) => {}
            _ => return accepted,
        }
    }
}

struct Unix {
    listener: Watched<UnixListener>,
    streak: Streak,
}

impl Listener for Unix {
    fn accept(&self) -> Pending<'_, io::Result<Box<dyn Stream>>> {
        Box::pin(async move {
            let (io, _) = accept(&self.listener, &self.streak).await?;
            let io = self.listener.reactor().watch(UnixStream::from(io))?;
            let streak = Streak::default();
            Ok(Box::new(Socket { io, peer: None, streak }) as Box<dyn Stream>)
        })
    }

    fn address(&self) -> Option<SocketAddr> {
        None
    }
}

/// A connection. Each read and write tries the system call first and waits only where that would
/// block.
struct Socket<T: AsFd> {
    io: Watched<T>,
    peer: Option<SocketAddr>,
    streak: Streak,
}

impl<T: AsFd> Socket<T> {
    fn turn<R>(
        &self,
        cx: &mut Context<'_>,
        poll: impl FnOnce(&mut Context<'_>) -> Poll<R>,
    ) -> Poll<R> {
        if self.streak.is_over() {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.streak.count(poll(cx))
    }
}

impl<T: AsFd> AsyncRead for Socket<T>
where
    for<'a> &'a T: Read,
{
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let most = into.len();
        self.turn(cx, |cx| self.io.poll_read(cx, most, |mut io| io.read(into)))
    }
}

impl<T: AsFd> AsyncWrite for Socket<T>
where
    for<'a> &'a T: Write,
{
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.turn(cx, |cx| self.io.poll_send(cx, |mut io| io.write(octets)))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.turn(cx, |cx| self.io.poll_send(cx, |mut io| io.write_vectored(pieces)))
    }

    /// Nothing is held back here.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Tells the peer that no more comes; what it still sends can be read.
    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(match shutdown(&self.io, Shutdown::Write) {
            Ok(()) | Err(Errno::NOTCONN) => Ok(()), // The peer was faster.
            Err(error) => Err(error.into()),
        })
    }
}

impl<T: AsFd + Unpin> Stream for Socket<T>
where
    for<'a> &'a T: Read + Write,
{
    fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// None for a Unix socket.
    fn local(&self) -> Option<SocketAddr> {
        rustix::net::getsockname(&self.io).ok()?.try_into().ok()
    }

    fn tls(&self) -> Option<TlsFacts> {
        None
    }
}

struct Udp(Watched<UdpSocket>);

impl Datagrams for Udp {
    fn send<'a>(&'a self, octets: &'a [u8]) -> Pending<'a, io::Result<()>> {
        Box::pin(poll_fn(move |cx| self.0.poll_send(cx, |io| io.send(octets)).map_ok(drop)))
    }

    fn receive<'a>(&'a self, into: &'a mut [u8]) -> Pending<'a, io::Result<usize>> {
        // Each datagram is one of its own, however short.
        Box::pin(poll_fn(move |cx| self.0.poll_take(cx, |io| io.recv(into))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::linux::tests::{Scratch, reactor};
    use futures_lite::{AsyncReadExt, AsyncWriteExt, future::zip};
    use std::os::unix::fs::PermissionsExt;

    fn net() -> (RealNet, Scratch) {
        let (scratch, reactor) = (Scratch::new(), reactor());
        (RealNet::new(scratch.path(), reactor), scratch)
    }

    async fn talk(mut one: Box<dyn Stream>, mut other: Box<dyn Stream>) {
        one.write_all(b"question").await.unwrap();
        one.close().await.unwrap();
        let mut heard = String::new();
        other.read_to_string(&mut heard).await.unwrap();
        assert_eq!(heard, "question");
        other.write_all(b"answer").await.unwrap();
        drop(other);
        heard.clear();
        one.read_to_string(&mut heard).await.unwrap();
        assert_eq!(heard, "answer");
    }

    #[test]
    fn two_ends_meet_over_each_family_and_know_each_other() {
        let (net, _scratch) = net();
        for at in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = net.listen(at.parse().unwrap()) else {
                assert!(at.starts_with('['), "only IPv6 may be missing on a machine");
                continue;
            };
            net.reactor.block_on(async {
                let to = listener.address().unwrap();
                let (one, other) = zip(net.connect(to), listener.accept()).await;
                let (one, other) = (one.unwrap(), other.unwrap());
                assert_eq!(one.peer(), Some(to));
                assert_eq!(other.local(), Some(to));
                assert_eq!(one.local(), other.peer());
                assert_eq!(one.tls(), None);
                talk(one, other).await;
            });
        }
    }

    #[test]
    fn a_connection_comes_from_the_address_that_is_wanted_or_is_an_error() {
        let (net, _scratch) = net();
        let listener = net.listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let at = listener.address().unwrap();
        for ours in ["127.0.0.1", "127.0.0.77"] {
            let (accepted, connected) = net
                .reactor
                .block_on(zip(listener.accept(), net.connect_from(ours.parse().unwrap(), at)));
            connected.unwrap();
            assert_eq!(accepted.unwrap().peer().unwrap().ip().to_string(), ours);
        }
        for wrong in ["192.0.2.77", "::1"] {
            let connecting = net.connect_from(wrong.parse().unwrap(), at);
            assert!(net.reactor.block_on(connecting).is_err(), "{wrong}");
        }
    }

    #[test]
    fn both_families_may_listen_on_one_port() {
        let (net, _scratch) = net();
        let four = net.listen("0.0.0.0:0".parse().unwrap()).unwrap();
        let port = four.address().unwrap().port();
        match net.listen((Ipv6Addr::UNSPECIFIED, port).into()) {
            Ok(six) => assert_eq!(six.address().unwrap().port(), port),
            Err(error) => assert_eq!(Errno::from_io_error(&error), Some(Errno::AFNOSUPPORT)),
        }
    }

    #[test]
    fn a_port_that_is_taken_or_closed_is_an_error() {
        let (net, _scratch) = net();
        let listener = net.listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let at = listener.address().unwrap();
        assert_eq!(net.listen(at).err().unwrap().kind(), io::ErrorKind::AddrInUse);
        drop(listener);
        let refused = net.reactor.block_on(net.connect(at)).err().unwrap();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn local_sockets_are_private_replace_their_forerunner_and_may_have_long_paths() {
        let (net, scratch) = net();
        let deep = format!("{}/{}", "d".repeat(100), "e".repeat(100));
        std::fs::create_dir_all(scratch.path().join(&deep)).unwrap();
        for path in ["control".to_owned(), format!("{deep}/control")] {
            drop(net.listen_local(&path).unwrap());
            let listener = net.listen_local(&path).unwrap();
            assert_eq!(listener.address(), None);
            let mode = std::fs::metadata(scratch.path().join(&path)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{path}");
            net.reactor.block_on(async {
                let (one, other) = zip(net.connect_local(&path), listener.accept()).await;
                let (one, other) = (one.unwrap(), other.unwrap());
                assert_eq!((one.peer(), other.peer()), (None, None));
                talk(one, other).await;
            });
        }
    }

    #[test]
    fn a_local_socket_does_not_replace_a_file() {
        let (net, scratch) = net();
        std::fs::write(scratch.path().join("precious"), "x").unwrap();
        let error = net.listen_local("precious").err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert_eq!(std::fs::read(scratch.path().join("precious")).unwrap(), b"x");
    }

    #[test]
    fn datagrams_come_only_from_whom_they_were_sent_to() {
        let (net, _scratch) = net();
        net.reactor.block_on(async {
            let server = UdpSocket::bind("127.0.0.1:0").unwrap();
            let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
            let client = net.datagrams(server.local_addr().unwrap()).await.unwrap();
            client.send(b"question").await.unwrap();
            let mut octets = [0; 64];
            let (n, from) = server.recv_from(&mut octets).unwrap();
            assert_eq!(&octets[..n], b"question");
            stranger.send_to(b"forged", from).unwrap();
            server.send_to(b"answer", from).unwrap();
            let n = client.receive(&mut octets).await.unwrap();
            assert_eq!(&octets[..n], b"answer");
        });
    }

    #[test]
    fn what_a_listener_accepts_sends_at_once_and_notices_peers_that_are_gone() {
        let listener = TcpListener::from(tcp_listener("127.0.0.1:0".parse().unwrap()).unwrap());
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        assert!(accepted.nodelay().unwrap());
        assert!(sockopt::socket_keepalive(&accepted).unwrap());
        assert_eq!(sockopt::tcp_keepidle(&accepted).unwrap(), limits::KEEPALIVE_IDLE);
        assert_eq!(sockopt::tcp_keepintvl(&accepted).unwrap(), limits::KEEPALIVE_INTERVAL);
        assert_eq!(sockopt::tcp_keepcnt(&accepted).unwrap(), limits::KEEPALIVE_COUNT);
    }

    #[test]
    fn a_peer_that_always_has_more_does_not_keep_others_waiting() {
        let (net, _scratch) = net();
        let listener = net.listen("127.0.0.1:0".parse().unwrap()).unwrap();
        net.reactor.block_on(async {
            let (one, other) =
                zip(net.connect(listener.address().unwrap()), listener.accept()).await;
            let (mut one, mut other) = (one.unwrap(), other.unwrap());
            one.write_all(&[7; 100]).await.unwrap();
            assert_eq!(other.read(&mut [0]).await.unwrap(), 1);
            let mut gave_way = None;
            for i in 0..100 {
                let mut octet = [0];
                if futures_lite::future::poll_once(other.read(&mut octet)).await.is_none() {
                    gave_way = Some(i);
                    break;
                }
            }
            assert_eq!(gave_way, Some(limits::READY_STREAK - 1));
            let mut octet = [0];
            assert_eq!(other.read(&mut octet).await.unwrap(), 1);
        });
    }
}
