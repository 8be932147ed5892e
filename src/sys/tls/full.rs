//! rustls: all of the server side, and the client side where embedded-tls cannot talk.

use super::judge::Judge;
use crate::sys::{Stream, TlsError, TlsFacts};
use futures_lite::{AsyncRead, AsyncWrite};
use futures_rustls::{TlsAcceptor, TlsConnector, TlsStream};
use rustls::{ClientConfig, ProtocolVersion, client::Resumption, crypto::CryptoProvider};
use std::{
    io::{self, IoSlice},
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

/// Serve TLS over `stream`.
pub(super) async fn accept(
    acceptor: TlsAcceptor,
    stream: Box<dyn Stream>,
) -> Result<Box<dyn Stream>, TlsError> {
    let inner = acceptor.accept(stream).await.map_err(|error| words(&error))?;
    Ok(Box::new(Full { inner: inner.into(), verified: false }))
}

/// Start TLS 1.3 or 1.2 over `stream`. A configuration of its own for each connection carries the
/// judge; sessions are not resumed, since connections are kept and used again.
pub(super) async fn connect(
    provider: Arc<CryptoProvider>,
    stream: Box<dyn Stream>,
    judge: Judge,
) -> Result<Box<dyn Stream>, TlsError> {
    let (name, verified) = (judge.name().clone(), judge.is_strict());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError::Failed(error.to_string()))?
        .dangerous() // Only [`Judge`] decides how much must be right.
        .with_custom_certificate_verifier(Arc::new(judge))
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    let connecting = TlsConnector::from(Arc::new(config)).connect(name, stream);
    let inner = connecting.await.map_err(|error| words(&error))?;
    Ok(Box::new(Full { inner: inner.into(), verified }))
}

fn words(error: &io::Error) -> TlsError {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(
            why @ (rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented),
        ) => TlsError::Certificate(why.to_string()),
        // The judge's own words.
        Some(rustls::Error::General(why)) => TlsError::Certificate(why.clone()),
        _ => TlsError::Failed(error.to_string()),
    }
}

struct Full {
    inner: TlsStream<Box<dyn Stream>>,
    verified: bool,
}

impl AsyncRead for Full {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_read(cx, into)
    }
}

impl AsyncWrite for Full {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, octets)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, pieces)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_close(cx)
    }
}

impl Stream for Full {
    fn peer(&self) -> Option<SocketAddr> {
        self.inner.get_ref().0.peer()
    }

    fn local(&self) -> Option<SocketAddr> {
        self.inner.get_ref().0.local()
    }

    fn tls(&self) -> Option<TlsFacts> {
        let connection = self.inner.get_ref().1;
        let version = match connection.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
            Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
            _ => "unknown",
        };
        let cipher = connection
            .negotiated_cipher_suite()
            .and_then(|suite| suite.suite().as_str().map(|name| name.replace("TLS13_", "TLS_")));
        Some(TlsFacts {
            version: version.into(),
            cipher: cipher.unwrap_or_default(),
            engine: "rustls",
            verified: self.verified,
        })
    }
}
