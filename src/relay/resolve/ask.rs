//! One question to the name servers: by datagram, or by stream where that does not do. RFC 7766.

use super::NameServer;
use crate::{
    limits,
    proto::dns::{self, Answer, Payload, Question, Response},
    sys::Sys,
};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use std::io;

/// A server's answer and the place of that server in the list.
///
/// Each server is asked in turn, beginning with the one at `first`; then once more with more
/// patience ([`limits::DNS_WAITS`]) and without EDNS, which some routers answer with silence. What
/// a server that is not trusted says of signatures is not heard.
///
/// # Errors
/// What the last server said or did, in words.
pub(super) async fn ask(
    sys: &Sys,
    servers: &[NameServer],
    first: usize,
    question: &Question,
) -> Result<(Response, usize), String> {
    let mut trouble = "no name server is configured".to_string();
    for (wait, payload) in limits::DNS_WAITS.into_iter().zip([Payload::Large, Payload::Plain]) {
        for n in 0..servers.len() {
            let place = (first + n) % servers.len();
            let Some(server) = servers.get(place) else { continue };
            let silent = || format!("{} does not answer", server.at);
            let heard = match sys.within(wait, by_datagram(sys, *server, question, payload)).await {
                Some(Ok(Heard::UseStream)) => {
                    let stream = by_stream(sys, *server, question);
                    sys.within(limits::DNS_STREAM_WAIT, stream).await
                }
                Some(Ok(Heard::Response(response))) => Some(Ok(response)),
                Some(Err(error)) => Some(Err(error)),
                None => None,
            };
            match heard {
                Some(Ok(Response { answer: Answer::Unable(code), .. })) => {
                    trouble = format!("{} says {}", server.at, rcode(code));
                }
                Some(Ok(response)) => {
                    let authentic = response.authentic && server.trusted;
                    return Ok((Response { authentic, ..response }, place));
                }
                Some(Err(error)) => trouble = format!("{}: {error}", server.at),
                None => trouble = silent(),
            }
        }
    }
    Err(trouble)
}

enum Heard {
    Response(Response),
    UseStream,
}

async fn by_datagram(
    sys: &Sys,
    server: NameServer,
    question: &Question,
    payload: Payload,
) -> io::Result<Heard> {
    let heard = exchange(sys, server, question, payload).await?;
    let Heard::Response(Response { answer: Answer::Unable(dns::FORMERR | dns::NOTIMP), .. }) =
        heard
    else {
        return Ok(heard);
    };
    // A server from before EDNS. RFC 6891 §7.
    exchange(sys, server, question, Payload::Plain).await
}

/// The socket is new each time, so its port is as hard to guess as the id. RFC 5452 §9.2.
async fn exchange(
    sys: &Sys,
    server: NameServer,
    question: &Question,
    payload: Payload,
) -> io::Result<Heard> {
    let (id, query) = compose(sys, server, question, payload)?;
    let socket = sys.net.datagrams(server.at).await?;
    socket.send(&query).await?;
    let mut buffer = vec![0; limits::DNS_DATAGRAM_BYTES];
    for _ in 0..=limits::DNS_STRAYS {
        let length = socket.receive(&mut buffer).await?;
        let octets = buffer.get(..length).unwrap_or_default();
        match dns::parse(octets, id, question) {
            Ok(Response { answer: Answer::Truncated, .. }) => return Ok(Heard::UseStream),
            Ok(response) => return Ok(Heard::Response(response)),
            Err(_stray) => {}
        }
    }
    Ok(Heard::UseStream)
}

async fn by_stream(sys: &Sys, server: NameServer, question: &Question) -> io::Result<Response> {
    let (id, query) = compose(sys, server, question, Payload::Large)?;
    let length = u16::try_from(query.len()).expect("a name and a few numbers");
    // In one write: some servers take the length alone for the whole. RFC 7766 §8.
    let framed = [&length.to_be_bytes(), query.as_slice()].concat();
    let mut stream = sys.net.connect(server.at).await?;
    stream.write_all(&framed).await?;
    stream.flush().await?;
    let mut length = [0; 2];
    stream.read_exact(&mut length).await?;
    let mut octets = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut octets).await?;
    match dns::parse(&octets, id, question) {
        Ok(Response { answer: Answer::Truncated, .. }) => Err(io::Error::other("cut even by TCP")),
        Ok(response) => Ok(response),
        Err(_stray) => Err(io::Error::other("answered something else")),
    }
}

fn compose(
    sys: &Sys,
    server: NameServer,
    question: &Question,
    payload: Payload,
) -> io::Result<(u16, Vec<u8>)> {
    let id = u16::try_from(sys.dice.roll() >> 48).expect("the upper 16 of 64 bits");
    let query = dns::query(id, question, payload, server.trusted);
    query.map(|query| (id, query)).ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

fn rcode(code: u16) -> String {
    match code {
        dns::FORMERR => "FORMERR".into(),
        dns::SERVFAIL => "SERVFAIL".into(),
        dns::NOTIMP => "NOTIMP".into(),
        5 => "REFUSED".into(),
        other => format!("RCODE {other}"),
    }
}
