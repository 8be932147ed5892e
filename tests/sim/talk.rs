//! One side of an SMTP conversation, written by hand: not with the code that is under test.

use crate::{cable::Wire, world::World};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use std::io::{self, ErrorKind};

pub struct Talk {
    pub world: World,
    pub wire: Wire,
    heard: Vec<u8>,
    /// Milliseconds of silence after which the other side counts as gone.
    patience: u64,
}

/// A reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    pub code: u16,
    pub lines: Vec<String>,
}

impl Talk {
    pub fn new(world: &World, wire: Wire, patience: u64) -> Talk {
        Talk { world: world.clone(), wire, heard: Vec::new(), patience }
    }

    pub async fn say(&mut self, octets: &[u8]) -> io::Result<()> {
        let written = self.wire.write_all(octets);
        self.world.within(self.patience, written).await.unwrap_or(Err(ErrorKind::TimedOut.into()))
    }

    async fn hear(&mut self) -> io::Result<()> {
        let mut piece = [0; 4096];
        let read = self.wire.read(&mut piece);
        let read = self.world.within(self.patience, read).await;
        match read.unwrap_or(Err(ErrorKind::TimedOut.into()))? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            n => {
                self.heard.extend_from_slice(&piece[..n]);
                Ok(())
            }
        }
    }

    /// All that comes until the other side hangs up.
    pub async fn rest(&mut self) -> io::Result<Vec<u8>> {
        loop {
            match self.hear().await {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                    return Ok(std::mem::take(&mut self.heard));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// A line without its end.
    pub async fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.heard.windows(2).position(|pair| pair == b"\r\n") {
                let line = String::from_utf8_lossy(&self.heard[..end]).into_owned();
                self.heard.drain(..end + 2);
                return Ok(line);
            }
            self.hear().await?;
        }
    }

    /// A reply of one line or several. RFC 5321 §4.2.1.
    pub async fn reply(&mut self) -> io::Result<Said> {
        let mut lines = Vec::new();
        loop {
            let line = self.line().await?;
            let code = line.get(..3).and_then(|code| code.parse().ok());
            let code = code.ok_or(ErrorKind::InvalidData)?;
            let more = line.as_bytes().get(3) == Some(&b'-');
            lines.push(line);
            if !more {
                return Ok(Said { code, lines });
            }
        }
    }

    /// So many octets.
    pub async fn octets(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.heard.len() < count {
            self.hear().await?;
        }
        Ok(self.heard.drain(..count).collect())
    }

    /// A message, without the dots that hide its dots. RFC 5321 §4.5.2.
    pub async fn message(&mut self) -> io::Result<Vec<u8>> {
        let mut message = Vec::new();
        loop {
            let end = loop {
                if let Some(end) = self.heard.windows(2).position(|pair| pair == b"\r\n") {
                    break end;
                }
                self.hear().await?;
            };
            let line: Vec<u8> = self.heard.drain(..end + 2).collect();
            match line.strip_prefix(b".") {
                Some(b"\r\n") => return Ok(message),
                Some(rest) => message.extend_from_slice(rest),
                None => message.extend_from_slice(&line),
            }
        }
    }
}

/// Dots hidden, and the end. RFC 5321 §4.5.2.
pub fn stuffed(message: &[u8]) -> Vec<u8> {
    let mut octets = Vec::with_capacity(message.len() + 16);
    for line in message.split_inclusive(|octet| *octet == b'\n') {
        if line.starts_with(b".") {
            octets.push(b'.');
        }
        octets.extend_from_slice(line);
    }
    octets.extend_from_slice(b".\r\n");
    octets
}
