//! A message in the form that a server takes, before it is signed: what is signed must be what is
//! sent. RFC 6376 §5.3.
//!
//! A session converts by itself what nobody has fitted for its server. A message that is to be
//! signed is fitted first, and a session then finds nothing to be done to it.

use crate::{
    limits,
    proto::{
        mail::downgrade::{Plan, Rewriter, Survey},
        smtp::client::{Outgoing, Takes},
    },
    relay::envelope::Octets,
    sys::Pending,
};
use std::{cell::Cell, io};

/// A message as it is kept, or written anew whenever it is read.
pub struct Recast<B> {
    message: B,
    /// `None`: it is as it is kept.
    plan: Option<Plan>,
    /// Where it was read last. From there on it is not written anew from its beginning.
    reading: Cell<Option<Box<Reading>>>,
}

struct Reading {
    rewriter: Rewriter,
    /// Octets of the message as it is kept that were read.
    read: u64,
    /// What the last of them became.
    ready: Vec<u8>,
    /// Octets that were written before those.
    at: u64,
    /// There are no more.
    ended: bool,
}

impl<B: Octets> Recast<B> {
    /// A message as it is kept.
    pub const fn new(message: B) -> Recast<B> {
        Recast { message, plan: None, reading: Cell::new(None) }
    }

    /// Make it such as a server takes it, and `outgoing` say so. False where that cannot be done:
    /// the session will say why, and nothing is sent.
    ///
    /// # Errors
    /// The message could not be read.
    pub async fn fit(&mut self, outgoing: &mut Outgoing, takes: Takes) -> io::Result<bool> {
        let Some(task) = outgoing.task(takes) else { return Ok(true) };
        let mut survey = Survey::new(task);
        let mut offset = 0;
        while offset < self.message.size() {
            let octets = some(&self.message, offset).await?;
            survey.push(&octets);
            offset += octets.len() as u64;
        }
        let Ok(plan) = survey.finish() else { return Ok(false) };
        self.plan = Some(plan).filter(Plan::is_needed);
        self.reading.take();
        outgoing.fitted(task, self.size());
        Ok(true)
    }

    async fn read(&self, plan: &Plan, offset: u64) -> io::Result<Vec<u8>> {
        let reading = self.reading.take().filter(|reading| reading.at <= offset);
        let mut reading = reading.unwrap_or_else(|| Box::new(Reading::new(plan)));
        while offset >= reading.at + reading.ready.len() as u64 && !reading.ended {
            reading.go_on(&self.message).await?;
        }
        let from = usize::try_from(offset - reading.at).unwrap_or(usize::MAX);
        let rest = reading.ready.get(from..).unwrap_or_default();
        let octets = rest.get(..limits::CHUNK_BYTES).unwrap_or(rest).to_vec();
        self.reading.set(Some(reading));
        Ok(octets)
    }
}

impl<B: Octets> Octets for Recast<B> {
    fn size(&self) -> u64 {
        self.plan.as_ref().map_or(self.message.size(), Plan::size)
    }

    fn chunk(&self, offset: u64) -> Pending<'_, io::Result<Vec<u8>>> {
        match &self.plan {
            None => self.message.chunk(offset),
            Some(plan) => Box::pin(self.read(plan, offset)),
        }
    }
}

impl Reading {
    fn new(plan: &Plan) -> Reading {
        let rewriter = Rewriter::new(plan.clone());
        Reading { rewriter, read: 0, ready: Vec::new(), at: 0, ended: false }
    }

    async fn go_on(&mut self, message: &impl Octets) -> io::Result<()> {
        let more = self.read < message.size();
        let octets = if more { some(message, self.read).await? } else { Vec::new() };
        self.read += octets.len() as u64;
        self.at += self.ready.len() as u64;
        self.ready.clear();
        if more {
            self.rewriter.push(&octets, &mut self.ready);
        } else {
            self.rewriter.finish(&mut self.ready);
            self.ended = true;
        }
        Ok(())
    }
}

/// Octets of a message that has some there.
async fn some(message: &impl Octets, offset: u64) -> io::Result<Vec<u8>> {
    let octets = message.chunk(offset).await?;
    if octets.is_empty() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(octets) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite::future::block_on;

    const ASCII: Takes = Takes { eight_bit: false, utf8: false };

    fn outgoing(message: &[u8], utf8: bool) -> Outgoing {
        let (size, ret_headers, envid) = (message.len() as u64, None, String::new());
        Outgoing { from: None, to: Vec::new(), size, eight_bit: true, utf8, ret_headers, envid }
    }

    fn chunk(message: &Recast<Vec<u8>>, offset: u64) -> Vec<u8> {
        block_on(message.chunk(offset)).expect("readable")
    }

    fn read(message: &Recast<Vec<u8>>) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            let octets = chunk(message, all.len() as u64);
            if octets.is_empty() {
                return all;
            }
            assert!(octets.len() <= limits::CHUNK_BYTES);
            all.extend(octets);
        }
    }

    #[test]
    fn it_reads_the_same_from_anywhere_and_again() {
        let line = "Gr\u{fc}\u{df}e, \u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\r\n";
        let text = format!("Subject: \u{fc}\r\n\r\n{}", line.repeat(9_000)).into_bytes();
        let mut outgoing = outgoing(&text, true);
        let mut message = Recast::new(text.clone());
        assert_eq!(read(&message), text);
        assert!(block_on(message.fit(&mut outgoing, ASCII)).expect("readable"));
        let whole = read(&message);
        assert!(whole.is_ascii() && whole.len() > 2 * text.len());
        assert_eq!((message.size(), outgoing.size), (whole.len() as u64, whole.len() as u64));
        assert!(!outgoing.eight_bit && !outgoing.utf8);
        assert_eq!(outgoing.task(ASCII), None, "a session has nothing left to do");
        assert_eq!(read(&message), whole);
        for offset in [70_000, 70_001, 3, 200_000, 0, whole.len() - 1] {
            let octets = chunk(&message, offset as u64);
            assert!(!octets.is_empty() && whole[offset..].starts_with(&octets), "{offset}");
        }
        assert!(chunk(&message, whole.len() as u64 + 9).is_empty());
    }

    #[test]
    fn only_what_a_server_does_not_take_is_touched() {
        let text = "Subject: \u{fc}\r\n\r\n\u{fc}\r\n".as_bytes();
        for (eight_bit, utf8, header, body) in [
            (true, true, "Subject: \u{fc}\r\n", "\u{fc}\r\n"),
            (true, false, "Subject: =?", "\u{fc}\r\n"),
            (false, true, "Subject: \u{fc}\r\n", "=C3=BC\r\n"),
            (false, false, "Subject: =?", "=C3=BC\r\n"),
        ] {
            let (takes, mut outgoing) = (Takes { eight_bit, utf8 }, outgoing(text, true));
            let mut message = Recast::new(text.to_vec());
            assert!(block_on(message.fit(&mut outgoing, takes)).expect("readable"));
            let fitted = String::from_utf8(read(&message)).expect("text");
            assert!(fitted.starts_with(header) && fitted.ends_with(body), "{takes:?} {fitted}");
            assert_eq!((outgoing.eight_bit, outgoing.utf8), (eight_bit, utf8));
        }
    }

    #[test]
    fn what_cannot_be_fitted_stays_and_is_the_sessions_to_refuse() {
        let text = "Message-ID: <\u{fc}@x.example>\r\n\r\n\u{fc}\r\n".as_bytes();
        let mut outgoing = outgoing(text, true);
        let before = outgoing.clone();
        let mut message = Recast::new(text.to_vec());
        assert!(!block_on(message.fit(&mut outgoing, ASCII)).expect("readable"));
        assert_eq!((read(&message), outgoing), (text.to_vec(), before));
    }
}
