//! A new root: a header that is signed, and the root itself, into the slot that does not run.
//!
//! The header is text, [`HEADER_BYTES`] long with newlines behind it:
//!
//! ```text
//! waypost-update 1
//! architecture aarch64
//! version 0.2.0
//! built 1764200000
//! octets 7340032
//! sha256 …            of the root that follows
//! key …               the Ed25519 key that signs, 32 octets in hexadecimal
//! signature …         of the lines above, 64 octets in hexadecimal (RFC 8032)
//! ```

use super::slots::{Slot, hex};
use crate::{
    limits,
    sys::{File, Open, Sys, keys},
};
use std::rc::Rc;

/// Octets before the root.
pub const HEADER_BYTES: usize = 4096;

/// What a header says, once its signature is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Of the machine it is for, such as `aarch64`.
    pub architecture: String,
    /// Of the relay in it.
    pub version: String,
    /// Seconds since 1970.
    pub built: u64,
    /// Of the root.
    pub octets: u64,
    /// Of the root, in hexadecimal.
    pub sha256: String,
}

/// The header of an update for this `architecture`, signed by one of `trusted` (hexadecimal).
///
/// # Errors
/// In words for the person who brought it.
pub fn read(header: &[u8], architecture: &str, trusted: &[String]) -> Result<Header, String> {
    let header = header.get(..HEADER_BYTES).ok_or("It is no update of Waypost: it is cut.")?;
    let text = std::str::from_utf8(header).map_err(|_| "It is no update of Waypost.")?;
    if !text.starts_with("waypost-update 1\n") {
        let words = if text.starts_with("waypost-update ") {
            "It is an update for a newer Waypost than this."
        } else {
            "It is no update of Waypost. The file's name ends in .update; an image for a new card \
             is something else."
        };
        return Err(words.into());
    }
    let broken = "The update's header is damaged.";
    let field = |name: &str| {
        let mut lines = text.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).ok_or(broken)
    };
    let (key, signature) = (field("key")?, unhex(field("signature")?).ok_or(broken)?);
    let signed = text.split("signature ").next().unwrap_or_default();
    if !trusted.iter().any(|one| one == key) {
        return Err(format!(
            "The update is signed with a key that this board does not know ({}…). Put the key's \
             file on the boot partition as update.pub if you trust whoever made it.",
            key.get(..16).unwrap_or(key)
        ));
    }
    let public = unhex(key).ok_or(broken)?;
    if !keys::is_signed(&public, signed.as_bytes(), &signature) {
        return Err("The update's signature is not right: it was changed on its way.".into());
    }
    let found = field("architecture")?;
    if found != architecture {
        return Err(format!("The update is for {found}, and this board is {architecture}."));
    }
    let number = |name: &str| field(name)?.parse().map_err(|_| broken);
    Ok(Header {
        architecture: found.into(),
        version: field("version")?.into(),
        built: number("built")?,
        octets: number("octets")?,
        sha256: field("sha256")?.into(),
    })
}

/// Octets from hexadecimal.
fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let octet = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.chunks(2).map(octet).collect()
}

/// A key's file as a person brings it: its first word.
pub fn key(text: &str) -> Option<String> {
    let word = text.split_whitespace().next()?.to_ascii_lowercase();
    (unhex(&word)?.len() == 32).then_some(word)
}

/// The partition `number` of the medium `disk`, as the kernel names it.
pub fn partition(disk: &str, number: u8) -> String {
    let between = if disk.ends_with(|c: char| c.is_ascii_digit()) { "p" } else { "" };
    format!("{disk}{between}{number}")
}

/// Write the root of the update `file` into `slot` of `disk`, where `room` octets are.
///
/// What runs is not touched. Durable on return, and what was written has been read again.
///
/// # Errors
/// In words; the slot then holds nothing of use.
pub async fn install(
    sys: &Sys,
    file: &str,
    (disk, slot, room): (&str, Slot, u64),
    check: impl FnOnce(&[u8]) -> Result<Header, String>,
) -> Result<Header, String> {
    let reading = |error: std::io::Error| format!("The update cannot be read: {error}.");
    let from = sys.disk.open(file, Open::Read).await.map_err(reading)?;
    let header = check(&from.read_at(0, HEADER_BYTES).await.map_err(reading)?)?;
    let length = from.length().await.map_err(reading)?;
    if length != header.octets + HEADER_BYTES as u64 {
        let expected = header.octets + HEADER_BYTES as u64;
        return Err(format!("The update is cut: it has {length} octets of {expected}."));
    }
    if header.octets > room {
        return Err(format!(
            "The update has {} octets, and a slot of this card {room}: flash the card anew.",
            header.octets
        ));
    }
    let to = partition(disk, slot.partition());
    let writing = |error: std::io::Error| format!("The card cannot be written: {error}.");
    let to = sys.disk.open(&to, Open::Write).await.map_err(writing)?;
    let mut hash = keys::Hash::default();
    let mut at = 0;
    while at < header.octets {
        let part = next(&from, HEADER_BYTES as u64 + at, header.octets - at).await;
        let part = part.map_err(reading)?;
        hash.push(&part);
        let length = part.len() as u64;
        to.write_at(at, part).await.map_err(writing)?;
        at += length;
    }
    to.sync().await.map_err(writing)?;
    if hex(&hash.finish()) != header.sha256 {
        return Err("The update is damaged: its content is not what was signed.".into());
    }
    if sum(&to, header.octets).await.map_err(writing)? != header.sha256 {
        return Err("The card does not keep what is written to it: it may be broken.".into());
    }
    Ok(header)
}

async fn next(from: &Rc<dyn File>, at: u64, left: u64) -> std::io::Result<Vec<u8>> {
    let most = usize::try_from(left).unwrap_or(usize::MAX).min(limits::BOARD_COPY_BYTES);
    let part = from.read_at(at, most).await?;
    if part.is_empty() { Err(std::io::ErrorKind::UnexpectedEof.into()) } else { Ok(part) }
}

/// SHA-256 of the first `octets`, in hexadecimal.
async fn sum(file: &Rc<dyn File>, octets: u64) -> std::io::Result<String> {
    let mut hash = keys::Hash::default();
    let mut at = 0;
    while at < octets {
        let part = next(file, at, octets - at).await?;
        hash.push(&part);
        at += part.len() as u64;
    }
    Ok(hex(&hash.finish()))
}

#[cfg(test)]
mod tests;
