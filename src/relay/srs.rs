//! Forwarding, so that SPF passes and bounces come back: [`crate::proto::mail::srs`] with its key,
//! which lasts in a file, and the date.

use crate::{
    limits,
    proto::mail::{
        address::Address,
        srs::{Key, Wrong},
    },
    sys::{Open, Sys},
};
use std::{cell::RefCell, io};

/// The file: 64 digits.
pub const FILE: &str = "srs.key";

const DAY: u64 = 86_400;

/// Writes and reads senders of forwarded mail.
#[derive(Default)]
pub struct Srs(RefCell<Option<Key>>);

impl Srs {
    /// Take over the key that there is; where there is none, or none that can be read, and one is
    /// `wanted`, make one.
    ///
    /// # Errors
    /// The disk's; then nothing is written anew.
    pub async fn load(&self, sys: &Sys, wanted: bool) -> io::Result<()> {
        if self.0.borrow().is_some() {
            return Ok(());
        }
        let octets = match sys.disk.open(FILE, Open::Read).await {
            Ok(file) => file.read_at(0, limits::SRS_KEY_BYTES).await?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let key = match parse(&octets) {
            Some(key) => key,
            None if !wanted => return Ok(()),
            None => make(sys).await?,
        };
        *self.0.borrow_mut() = Some(key);
        Ok(())
    }

    /// The file is another one now: it is read anew when it is loaded.
    pub fn forget(&self) {
        self.0.take();
    }

    /// `from` as mail that is forwarded may leave from a domain of ours. `None`: it must stay as it
    /// is, since the clock is not set, there is no key, or it does not fit.
    pub fn write(&self, sys: &Sys, from: &Address, ours: &str) -> Option<Address> {
        let day = sys.clock.wall()?.0 / DAY;
        self.0.borrow().as_ref()?.write(from, ours, day)
    }

    /// Where a bounce to this local address goes; `None`: it is an address like any other. While
    /// the clock is not set, its age does not matter.
    pub fn read(&self, sys: &Sys, to: &Address) -> Option<Result<Address, Wrong>> {
        let day = sys.clock.wall().map(|wall| wall.0 / DAY);
        self.0.borrow().as_ref()?.read(to, day)
    }
}

async fn make(sys: &Sys) -> io::Result<Key> {
    let rolls: [u64; 4] = std::array::from_fn(|_| sys.dice.roll());
    let mut key = Key([0; 32]);
    for (place, octet) in key.0.iter_mut().zip(rolls.iter().flat_map(|n| n.to_be_bytes())) {
        *place = octet;
    }
    let text: Vec<String> = key.0.iter().map(|octet| format!("{octet:02x}")).collect();
    sys.replace(FILE, text.concat().into_bytes()).await?;
    Ok(key)
}

fn parse(octets: &[u8]) -> Option<Key> {
    let text = std::str::from_utf8(octets).ok()?.trim_end();
    let octet = |at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
    let all: Option<Vec<u8>> = (0..64).step_by(2).map(octet).collect();
    Some(Key(all?.try_into().ok()?)).filter(|_| text.len() == 64)
}
