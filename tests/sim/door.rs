//! The door of the command line: the page's API without a login.

use crate::{
    net::{self, Ear},
    talk::Talk,
    world::{World, minutes},
};
use futures_lite::{AsyncRead, AsyncWrite};
use std::{
    io::{self, ErrorKind},
    net::{Ipv4Addr, SocketAddr},
    pin::Pin,
    task::{Context, Poll},
};
use waypost::sys::{Listener, Pending, Stream, TlsFacts};

/// Where the socket is in this world, which has only addresses.
pub const AT: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 1);

/// Who comes in here has no address.
pub struct Door(pub Ear);

impl Listener for Door {
    fn accept(&self) -> Pending<'_, io::Result<Box<dyn Stream>>> {
        Box::pin(async { Ok(Box::new(Nameless(self.0.accept().await?)) as Box<dyn Stream>) })
    }

    fn address(&self) -> Option<SocketAddr> {
        None
    }
}

struct Nameless(Box<dyn Stream>);

impl AsyncRead for Nameless {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_read(cx, into)
    }
}

impl AsyncWrite for Nameless {
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

impl Stream for Nameless {
    fn peer(&self) -> Option<SocketAddr> {
        None
    }

    fn local(&self) -> Option<SocketAddr> {
        None
    }

    fn tls(&self) -> Option<TlsFacts> {
        None
    }
}

/// What the relay answers to a question of the command line.
pub async fn ask(world: &World, path: &str) -> io::Result<serde_json::Value> {
    let wire = net::connect(world, Ipv4Addr::LOCALHOST.into(), AT.into()).await?;
    let mut talk = Talk::new(world, wire, minutes(5));
    talk.say(
        format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").as_bytes(),
    )
    .await?;
    let octets = talk.rest().await?;
    let body = octets.windows(4).position(|four| four == b"\r\n\r\n").map(|at| &octets[at + 4..]);
    serde_json::from_slice(body.ok_or(ErrorKind::InvalidData)?).map_err(io::Error::from)
}
