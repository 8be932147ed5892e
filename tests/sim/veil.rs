//! Encryption that is none: what is said to be encrypted crosses the net as it is.

use crate::boot::Socket;
use futures_lite::{AsyncRead, AsyncWrite};
use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};
use waypost::sys::{Pending, Stream, Tls, TlsError, TlsFacts, Trust};

impl Tls for Socket {
    fn accept(
        &self,
        stream: Box<dyn Stream>,
    ) -> Pending<'static, Result<Box<dyn Stream>, TlsError>> {
        let result = self.veiled(stream, false);
        Box::pin(async { result })
    }

    fn connect(
        &self,
        stream: Box<dyn Stream>,
        _name: &str,
        trust: Trust,
    ) -> Pending<'static, Result<Box<dyn Stream>, TlsError>> {
        let result = self.veiled(stream, trust == Trust::Verify);
        Box::pin(async { result })
    }

    fn certificate(&self, _pem: &[u8], _key: &[u8]) -> Result<(), TlsError> {
        Ok(())
    }

    fn self_signed(&self, _names: &[String]) -> Result<(String, String), TlsError> {
        Ok(("certificate\n".into(), "key\n".into()))
    }

    fn authorities(&self, _pem: &[u8]) -> Result<(), TlsError> {
        Ok(())
    }
}

impl Socket {
    /// Plain as before, and said to be encrypted.
    fn veiled(&self, stream: Box<dyn Stream>, verified: bool) -> Result<Box<dyn Stream>, TlsError> {
        let world = self.world().ok_or(TlsError::Failed("no power".into()))?;
        if world.permille(self.frailty().tls) {
            let words = "the simulated handshake fails".to_string();
            return Err(if world.one_in(2) {
                TlsError::OtherEngine(words)
            } else {
                TlsError::Failed(words)
            });
        }
        let facts = TlsFacts {
            version: "TLSv1.3".into(),
            cipher: "TLS_AES_128_GCM_SHA256".into(),
            engine: "simulated",
            verified,
        };
        Ok(Box::new(Veil { stream, facts }))
    }
}

struct Veil {
    stream: Box<dyn Stream>,
    facts: TlsFacts,
}

impl AsyncRead for Veil {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl AsyncWrite for Veil {
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

impl Stream for Veil {
    fn peer(&self) -> Option<SocketAddr> {
        self.stream.peer()
    }

    fn local(&self) -> Option<SocketAddr> {
        self.stream.local()
    }

    fn tls(&self) -> Option<TlsFacts> {
        Some(self.facts.clone())
    }
}
