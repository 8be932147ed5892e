//! A connection in memory: one end is the relay's, the other is in the test's hand.

use crate::sys::{Stream, TlsFacts};
use futures_lite::{AsyncRead, AsyncWrite};
use std::{
    cell::RefCell,
    collections::VecDeque,
    future::poll_fn,
    io,
    net::SocketAddr,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

/// One direction.
#[derive(Default)]
struct Half {
    octets: VecDeque<u8>,
    closed: bool,
    reader: Option<Waker>,
}

impl Half {
    fn news(&mut self) {
        if let Some(waker) = self.reader.take() {
            waker.wake();
        }
    }
}

type Shared = Rc<RefCell<Half>>;

/// The far end of a connection: what is sent here the relay reads.
pub(super) struct Wire {
    up: Shared,
    down: Shared,
}

/// The relay's end.
pub(super) struct End {
    up: Shared,
    down: Shared,
    peer: Option<SocketAddr>,
}

impl Wire {
    /// Both ends; `peer` is how the relay knows the far one.
    pub(super) fn new(peer: Option<SocketAddr>) -> (Wire, End) {
        let (up, down) = (Shared::default(), Shared::default());
        (Wire { up: up.clone(), down: down.clone() }, End { up, down, peer })
    }

    pub(super) fn send(&self, octets: &[u8]) {
        let mut up = self.up.borrow_mut();
        up.octets.extend(octets);
        up.news();
    }

    pub(super) fn close(&self) {
        let mut up = self.up.borrow_mut();
        up.closed = true;
        up.news();
    }

    /// All that has come.
    pub(super) fn take(&self) -> String {
        let octets: Vec<u8> = self.down.borrow_mut().octets.drain(..).collect();
        String::from_utf8_lossy(&octets).into_owned()
    }

    /// The relay has hung up.
    pub(super) fn is_over(&self) -> bool {
        self.down.borrow().closed
    }

    /// The next line that comes, without its end; `None` where no more will.
    pub(super) async fn line(&mut self) -> Option<String> {
        poll_fn(|cx| {
            let mut down = self.down.borrow_mut();
            if let Some(end) = down.octets.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = down.octets.drain(..=end).collect();
                return Poll::Ready(Some(String::from_utf8_lossy(&line).trim_end().to_string()));
            }
            if down.closed {
                return Poll::Ready(None);
            }
            down.reader = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.close();
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let mut down = self.down.borrow_mut();
        down.closed = true;
        down.news();
    }
}

impl AsyncRead for End {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut up = self.up.borrow_mut();
        let n = up.octets.len().min(into.len());
        into.iter_mut().zip(up.octets.drain(..n)).for_each(|(to, octet)| *to = octet);
        if n > 0 || up.closed {
            return Poll::Ready(Ok(n));
        }
        up.reader = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl AsyncWrite for End {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.up.borrow().closed {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let mut down = self.down.borrow_mut();
        down.octets.extend(octets);
        down.news();
        Poll::Ready(Ok(octets.len()))
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Stream for End {
    fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }
    fn local(&self) -> Option<SocketAddr> {
        None
    }
    fn tls(&self) -> Option<TlsFacts> {
        None
    }
}

/// The same connection, encrypted, it is said.
pub(in crate::serve) fn encrypted(stream: Box<dyn Stream>) -> Box<dyn Stream> {
    Box::new(Encrypted(stream))
}

struct Encrypted(Box<dyn Stream>);

impl AsyncRead for Encrypted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
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
        self.0.local()
    }
    fn tls(&self) -> Option<TlsFacts> {
        Some(super::world::facts())
    }
}
