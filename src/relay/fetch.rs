//! One request over HTTPS, and its answer.

use crate::{
    limits,
    proto::http::{self, Answer, Content, Reader, Url},
    relay::resolve::Resolver,
    sys::{Stream, Sys, TlsError, Trust},
};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use std::{io, net::SocketAddr};

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unanswered {
    /// In words.
    pub words: String,
    /// Somebody out there was reached, and proved who they are.
    pub contact: bool,
}

/// How a try ended that brought nothing.
enum Failed {
    /// TLS of another kind is needed; nothing was asked yet.
    OtherEngine(String),
    /// Nothing was asked yet.
    Unreached(String),
    /// It was asked. To ask again could use up what may be shown once only.
    Unheard(String),
}

/// Ask, and hear the answer.
///
/// The host's addresses are tried in turn, [`limits::HTTP_ADDRESSES`] at most and each for
/// [`limits::HTTP_WAIT`], until one takes the request: it is sent once. A server without a
/// certificate that is right is told nothing.
///
/// # Errors
/// Nobody was reached, or what came was no answer.
pub async fn fetch(
    sys: &Sys,
    resolver: &Resolver,
    ipv6: bool,
    url: &Url,
    content: Content<'_>,
) -> Result<Answer, Unanswered> {
    let unanswered = |why: &str, contact| Unanswered {
        words: format!("{} cannot be asked: {why}", url.host),
        contact,
    };
    let addresses = match resolver.addresses(&url.host, ipv6).await {
        Ok(addresses) => addresses,
        Err(trouble) => return Err(unanswered(&trouble.outcome.text, trouble.contact)),
    };
    let mut why = String::from("it has no address");
    for address in addresses.into_iter().take(limits::HTTP_ADDRESSES) {
        let at = SocketAddr::new(address, url.port);
        let mut engines = 2;
        while engines > 0 {
            engines -= 1;
            let asked = ask(sys, at, url, content);
            let late = || Err(Failed::Unheard(format!("{at} took too long")));
            why = match sys.within(limits::HTTP_WAIT, asked).await.unwrap_or_else(late) {
                Ok(answer) => return Ok(answer),
                // Who has proved who they are was reached.
                Err(Failed::Unheard(why)) => return Err(unanswered(&why, url.secure)),
                Err(Failed::OtherEngine(why)) => why,
                Err(Failed::Unreached(why)) => {
                    engines = 0;
                    why
                }
            };
        }
    }
    Err(unanswered(&why, false))
}

async fn ask(sys: &Sys, at: SocketAddr, url: &Url, content: Content<'_>) -> Result<Answer, Failed> {
    let unreached = |error: io::Error| Failed::Unreached(format!("{at}: no connection: {error}"));
    let plain = match sys.within(limits::HTTP_CONNECT_WAIT, sys.net.connect(at)).await {
        Some(plain) => plain.map_err(unreached)?,
        None => return Err(Failed::Unreached(format!("{at}: no connection: it took too long"))),
    };
    let mut stream = if url.secure { encrypt(sys, plain, at, url).await? } else { plain };
    let unheard = |error: io::Error| Failed::Unheard(format!("{at}: connection lost: {error}"));
    stream.write_all(&http::request(url, content)).await.map_err(unheard)?;
    stream.flush().await.map_err(unheard)?;
    let garbled = |http::Garbled(why)| Failed::Unheard(format!("{at}: {why}"));
    let mut reader = Reader::default();
    let mut buffer = vec![0; 4096];
    loop {
        match stream.read(&mut buffer).await.map_err(unheard)? {
            0 => return reader.end().map_err(garbled),
            n => {
                if let Some(answer) = reader.read(&buffer[..n]).map_err(garbled)? {
                    return Ok(answer);
                }
            }
        }
    }
}

async fn encrypt(
    sys: &Sys,
    plain: Box<dyn Stream>,
    at: SocketAddr,
    url: &Url,
) -> Result<Box<dyn Stream>, Failed> {
    let hello = sys.tls.connect(plain, &url.host, Trust::Verify);
    match sys.within(limits::TLS_WAIT, hello).await {
        Some(Ok(stream)) => Ok(stream),
        Some(Err(error @ TlsError::OtherEngine(_))) => {
            Err(Failed::OtherEngine(format!("{at}: {error}")))
        }
        Some(Err(error)) => Err(Failed::Unreached(format!("{at}: {error}"))),
        None => Err(Failed::Unreached(format!("{at}: the handshake took too long"))),
    }
}
