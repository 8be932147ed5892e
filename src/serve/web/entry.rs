//! What a connection to the page is: encrypted or not, on one port. The first octet tells (RFC 8446
//! §5.1: a handshake begins with 22, and no request of HTTP does).
//!
//! In clear the page is for the house alone: whoever comes from outside is sent to HTTPS.

use super::{
    guard,
    http::{Head, Response},
    talk::{Caller, Site},
};
use crate::{
    limits,
    relay::resolve::is_inside,
    sys::{Pending, Stream, Sys, TlsFacts},
};
use futures_lite::{AsyncRead, AsyncReadExt, AsyncWrite};
use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};

/// RFC 8446 §5.1.
const HANDSHAKE: u8 = 22;

/// What came.
pub(super) enum Entry {
    /// It may see the page.
    Open(Box<dyn Stream>),
    /// It may, over HTTPS.
    Outside(Box<dyn Stream>),
}

/// Find out, and make it encrypted where it is to be. `None`: nobody is there any more.
pub(super) async fn enter(sys: &Sys, mut stream: Box<dyn Stream>) -> Option<Entry> {
    let Some(peer) = stream.peer() else { return Some(Entry::Open(stream)) };
    let mut first = [0];
    let read = sys.within(limits::WEB_IDLE_WAIT, stream.read(&mut first)).await?;
    if read.ok()? == 0 {
        return None;
    }
    let whole = Box::new(Prefixed { first: Some(first[0]), stream });
    if first[0] == HANDSHAKE {
        let encrypted = sys.within(limits::TLS_WAIT, sys.tls.accept(whole)).await?;
        return encrypted.ok().map(Entry::Open);
    }
    Some(if is_inside(peer.ip()) { Entry::Open(whole) } else { Entry::Outside(whole) })
}

/// The page for those outside who come in clear: the way to it.
pub(super) struct Elsewhere {
    /// Names that are ours.
    pub(super) hosts: Vec<String>,
}

impl Site for Elsewhere {
    fn admit(&self, head: &Head, _caller: Caller) -> Result<usize, Response> {
        if !guard::is_ours(&head.host, &self.hosts) {
            return Err(guard::misdirected(&head.host));
        }
        let query = if head.query.is_empty() { String::new() } else { format!("?{}", head.query) };
        let place = format!("https://{}{}{query}", head.host, head.path);
        let words = "From outside, this page is to be had over HTTPS alone.";
        Err(Response::text(301, words).with("Location", place))
    }

    fn answer(&self, _head: Head, _body: Vec<u8>, _caller: Caller) -> Pending<'_, Response> {
        Box::pin(std::future::ready(Response::text(403, "Over HTTPS alone.")))
    }
}

/// A stream whose first octet was read already.
struct Prefixed {
    first: Option<u8>,
    stream: Box<dyn Stream>,
}

impl AsyncRead for Prefixed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if let (Some(place), Some(first)) = (into.first_mut(), self.first) {
            *place = first;
            self.first = None;
            return Poll::Ready(Ok(1));
        }
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl AsyncWrite for Prefixed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, octets)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(cx)
    }
}

impl Stream for Prefixed {
    fn peer(&self) -> Option<SocketAddr> {
        self.stream.peer()
    }

    fn local(&self) -> Option<SocketAddr> {
        self.stream.local()
    }

    fn tls(&self) -> Option<TlsFacts> {
        self.stream.tls()
    }
}
