//! Where a pure machine meets the world: one driver for every protocol, client or server.

use crate::{
    limits,
    proto::machine::{Machine, Step},
    sys::{Stream, Sys, TlsError},
};
use futures_lite::{AsyncRead, AsyncWriteExt};
use std::{
    cell::RefCell,
    future::{Future, poll_fn},
    io,
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};

/// Answers what a machine asks.
#[allow(async_fn_in_trait, reason = "single-threaded: no Send bound is wanted")]
pub trait Handler<M: Machine> {
    /// The answer to a question.
    async fn answer(&mut self, ask: M::Ask) -> M::Answer;

    /// Something the machine should hear without asking (shutting down, IMAP IDLE); by default,
    /// never.
    async fn news(&mut self) -> M::Answer {
        std::future::pending().await
    }

    /// The machine has gone as far as it can by itself, and its words are about to be sent: a
    /// chance to see what the peer is told without the handler having been asked.
    fn notice(&mut self, _machine: &mut M) {}

    /// The machine has made a step, whichever: a chance to take what it has recorded.
    fn overhear(&mut self, _machine: &mut M) {}

    /// Encrypt the stream.
    async fn upgrade(&mut self, _plain: Box<dyn Stream>) -> Result<Box<dyn Stream>, TlsError> {
        Err(TlsError::Failed("no TLS here".into()))
    }
}

/// How a conversation ended.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// The machine closed it.
    Closed,
    /// The peer closed it, or it broke; the words are the system's, empty for a plain close.
    PeerGone(String),
    /// The peer stayed silent for longer than the machine's patience, or read nothing we wrote.
    TimedOut,
    /// No encrypted connection.
    Tls(TlsError),
}

/// Let `machine` talk over `stream` until one of them ends it. The stream is `None` afterwards
/// only where TLS failed.
pub async fn drive<M: Machine>(
    sys: &Sys,
    stream: &mut Option<Box<dyn Stream>>,
    machine: &mut M,
    handler: &mut impl Handler<M>,
) -> End {
    loop {
        let step = machine.step();
        handler.overhear(machine);
        if !matches!(step, Step::Ask(_)) {
            handler.notice(machine);
        }
        match step {
            Step::Ask(ask) => {
                let answer = handler.answer(ask).await;
                machine.answer(answer);
            }
            Step::Write => {
                if let Err(end) = flush(sys, stream, machine).await {
                    return end;
                }
            }
            Step::Read => {
                if let Err(end) = flush(sys, stream, machine).await {
                    return end;
                }
                let patience = machine.patience();
                match listen(sys, stream, machine, handler, patience).await {
                    Heard::Octets => {}
                    Heard::News(news) => machine.answer(news),
                    Heard::End(End::TimedOut) => {
                        machine.timed_out();
                        let _ended_anyway = flush(sys, stream, machine).await;
                        return End::TimedOut;
                    }
                    Heard::End(end) => return end,
                }
            }
            Step::Upgrade => {
                if let Err(end) = flush(sys, stream, machine).await {
                    return end;
                }
                // CVE-2011-0411: what was sent before TLS is not from who speaks after it.
                machine.pipe().input = Vec::new();
                let plain = stream.take().expect("a stream is there until TLS fails");
                match sys.within(limits::TLS_WAIT, handler.upgrade(plain)).await {
                    Some(Ok(encrypted)) => *stream = Some(encrypted),
                    Some(Err(error)) => return End::Tls(error),
                    None => {
                        return End::Tls(TlsError::Failed("the handshake took too long".into()));
                    }
                }
                machine.upgraded();
            }
            Step::Close => {
                return match flush(sys, stream, machine).await {
                    Ok(()) => End::Closed,
                    Err(end) => end,
                };
            }
        }
    }
}

enum Heard<N> {
    Octets,
    News(N),
    End(End),
}

/// More input, or news, or the end. The buffer of a read lives only while it is polled: a waiting
/// session holds none.
async fn listen<M: Machine, H: Handler<M>>(
    sys: &Sys,
    stream: &mut Option<Box<dyn Stream>>,
    machine: &mut M,
    handler: &mut H,
    patience: Duration,
) -> Heard<M::Answer> {
    let stream = stream.as_mut().expect("a stream is there until TLS fails");
    let pipe = machine.pipe();
    assert!(pipe.room() > 0, "a machine that asks to read has room for it");
    let heard = {
        let mut news = pin!(handler.news());
        let read = poll_fn(|cx| {
            if let Poll::Ready(read) = read_some(stream, pipe, cx) {
                return Poll::Ready(match read {
                    Ok(0) => Heard::End(End::PeerGone(String::new())),
                    Ok(_) => Heard::Octets,
                    Err(error) => Heard::End(End::PeerGone(error.to_string())),
                });
            }
            news.as_mut().poll(cx).map(Heard::News)
        });
        sys.within(patience, read).await
    };
    heard.unwrap_or(Heard::End(End::TimedOut))
}

fn read_some(
    stream: &mut Box<dyn Stream>,
    pipe: &mut crate::proto::machine::Pipe,
    cx: &mut std::task::Context<'_>,
) -> Poll<io::Result<usize>> {
    // One for all: none has to be cleared, and a waiting session holds none.
    thread_local! { static BUFFER: RefCell<Box<[u8]>> = RefCell::new(Box::default()) }
    BUFFER.with_borrow_mut(|buffer| {
        if buffer.is_empty() {
            *buffer = vec![0; limits::READ_BYTES].into();
        }
        let room = pipe.room().min(buffer.len());
        Pin::new(stream).poll_read(cx, &mut buffer[..room]).map_ok(|n| {
            pipe.input.extend_from_slice(&buffer[..n]);
            n
        })
    })
}

/// Send all output.
async fn flush<M: Machine>(
    sys: &Sys,
    stream: &mut Option<Box<dyn Stream>>,
    machine: &mut M,
) -> Result<(), End> {
    let output = std::mem::take(&mut machine.pipe().output);
    if output.is_empty() {
        return Ok(());
    }
    let stream = stream.as_mut().expect("a stream is there until TLS fails");
    let write = async {
        stream.write_all(&output).await?;
        stream.flush().await
    };
    match sys.within(limits::WRITE_WAIT, write).await {
        Some(Ok(())) => Ok(()),
        Some(Err(error)) => Err(End::PeerGone(error.to_string())),
        None => Err(End::TimedOut),
    }
}
