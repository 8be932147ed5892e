//! Local delivery into a Maildir: written in `tmp`, then renamed into `new`.
//! <https://cr.yp.to/proto/maildir.html>
//!
//! The name comes from the message and the recipient alone, so that a delivery repeated after a
//! crash finds what it did before (DESIGN §1, promise 3). Lines end in LF, as Maildir readers
//! expect.

use crate::{
    limits,
    proto::mail::address::Address,
    relay::envelope::{Id, Octets},
    sys::{File, Open, Sys},
    time::Wall,
};
use std::{
    io::{self, ErrorKind},
    rc::Rc,
};

/// A message for one recipient.
#[derive(Clone, Copy)]
pub struct Letter<'a> {
    /// Queue id.
    pub id: Id,
    /// Whether an earlier attempt may have delivered it.
    pub attempt: Attempt,
    /// When the message was accepted, as its envelope says: the same at every attempt.
    pub arrived: Option<Wall>,
    /// Reverse path; `None` is the null one.
    pub from: Option<&'a Address>,
    /// Forward path.
    pub to: &'a Address,
    /// The message.
    pub octets: &'a dyn Octets,
    /// Our name.
    pub hostname: &'a str,
    /// Most octets that the Maildir may hold; `None`: no bound.
    pub quota: Option<u64>,
}

/// Which attempt this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// Certainly the first for this recipient: the message was accepted since the relay started,
    /// and no attempt was made. The folders are not searched, however big they are.
    First,
    /// Perhaps not the first.
    Again,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivered {
    /// It is in `new`.
    Now,
    /// An earlier attempt had delivered it.
    Already,
    /// There is no room for it: octets used, and the quota. Nothing was written.
    Full {
        /// Octets in `new` and `cur`.
        used: u64,
        /// Most that may be there.
        quota: u64,
    },
}

/// The Maildir of a user: `{user}` in the template replaced. `None` where the name could lead
/// elsewhere.
pub fn place(template: &str, user: &str) -> Option<String> {
    let safe = !user.is_empty()
        && !user.starts_with('.')
        && !user.contains('/')
        && !user.contains(char::is_control);
    safe.then(|| template.replace("{user}", user))
}

/// Deliver into the Maildir at `maildir`, which is made where it is not there.
///
/// Durable on return, contents and name. `Return-Path` and `Delivered-To` are put on top (RFC 5321
/// §4.4). Memory is bounded by [`limits::MAILDIR_WRITE_BYTES`].
///
/// # Errors
/// It could not be written or made durable: try again later, as [`Attempt::Again`]. Nothing is
/// visible in `new`, but where the very last step, syncing the name, failed; the next attempt finds
/// it then.
pub async fn deliver(sys: &Sys, maildir: &str, letter: &Letter<'_>) -> io::Result<Delivered> {
    if letter.attempt == Attempt::Again && was_delivered(sys, maildir, letter).await? {
        return Ok(Delivered::Already);
    }
    if let Some(quota) = letter.quota {
        let used = size(sys, maildir).await?;
        if used.saturating_add(letter.octets.size()) > quota {
            return Ok(Delivered::Full { used, quota });
        }
    }
    match put(sys, maildir, letter).await {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            make(sys, maildir).await?;
            put(sys, maildir, letter).await?;
        }
        done => done?,
    }
    Ok(Delivered::Now)
}

/// Octets in a Maildir: what lies in `new` and `cur`; none where it is not there yet.
async fn size(sys: &Sys, maildir: &str) -> io::Result<u64> {
    let mut octets = 0u64;
    for folder in ["new", "cur"] {
        match sys.disk.list(&format!("{maildir}/{folder}")).await {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            names => octets += names?.iter().map(|(_, size)| size).sum::<u64>(),
        }
    }
    Ok(octets)
}

/// Search `new` and `cur`, where readers add flags to the name. A find is made durable: the attempt
/// that wrote it may have ended before it did so.
async fn was_delivered(sys: &Sys, maildir: &str, letter: &Letter<'_>) -> io::Result<bool> {
    let stem = stem(letter);
    for folder in ["new", "cur"] {
        let folder = format!("{maildir}/{folder}");
        let names = match sys.disk.list(&folder).await {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            names => names?,
        };
        if names.iter().any(|(name, _)| name.starts_with(&stem)) {
            sys.disk.sync_dir(&folder).await?;
            return Ok(true);
        }
    }
    Ok(false)
}

/// Write into `tmp`, sync, rename into `new`, sync.
async fn put(sys: &Sys, maildir: &str, letter: &Letter<'_>) -> io::Result<()> {
    let host = host(letter.hostname);
    let name = format!("{}{host}", stem(letter));
    let draft = format!("{maildir}/tmp/{name}");
    let file = sys.disk.open(&draft, Open::Replace).await?;
    let written = match write(&file, letter).await {
        // Readers take the size from the name (",S=", as Dovecot has it) instead of asking the
        // disk.
        Ok(size) => sys.disk.rename(&draft, &format!("{maildir}/new/{name},S={size}")).await,
        Err(error) => Err(error),
    };
    if let Err(error) = written {
        // Best effort: the next attempt replaces it, and nobody reads `tmp`.
        let _left = sys.disk.remove(&draft).await;
        return Err(error);
    }
    sys.disk.sync_dir(&format!("{maildir}/new")).await
}

/// Write and sync the file; tells its size.
async fn write(file: &Rc<dyn File>, letter: &Letter<'_>) -> io::Result<u64> {
    let mut buffer = Vec::with_capacity(limits::MAILDIR_WRITE_BYTES);
    let from = letter.from.map_or("", Address::as_str);
    buffer.extend_from_slice(format!("Return-Path: <{from}>\n").as_bytes());
    buffer.extend_from_slice(format!("Delivered-To: {}\n", letter.to).as_bytes());
    let (mut read, mut written) = (0u64, 0u64);
    let mut lines = Lines::default();
    loop {
        let chunk = letter.octets.chunk(read).await?;
        if chunk.is_empty() {
            break;
        }
        read += chunk.len() as u64;
        // A chunk can grow by the CR that was held back before it.
        if buffer.len() + chunk.len() >= limits::MAILDIR_WRITE_BYTES {
            let length = buffer.len() as u64;
            buffer = file.write_at(written, buffer).await?;
            buffer.clear();
            written += length;
        }
        lines.convert(&chunk, &mut buffer);
    }
    if read != letter.octets.size() {
        return Err(io::Error::new(
            ErrorKind::UnexpectedEof,
            "the message in the spool is cut off",
        ));
    }
    lines.finish(&mut buffer);
    let length = buffer.len() as u64;
    file.write_sync(written, buffer).await?;
    Ok(written + length)
}

/// CRLF to LF; a CR or LF alone stays what it is.
#[derive(Default)]
struct Lines {
    /// A CR whose next octet is not known yet.
    held: bool,
}

impl Lines {
    fn convert(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        for octet in chunk {
            if std::mem::take(&mut self.held) && *octet != b'\n' {
                out.push(b'\r');
            }
            match octet {
                b'\r' => self.held = true,
                _ => out.push(*octet),
            }
        }
    }

    fn finish(self, out: &mut Vec<u8>) {
        if self.held {
            out.push(b'\r');
        }
    }
}

/// Make the Maildir, durably. `tmp` comes last: where it is there, all else is there for good, and
/// [`put`] need not ask.
async fn make(sys: &Sys, maildir: &str) -> io::Result<()> {
    for folder in ["new", "cur"] {
        sys.disk.make_dir(&format!("{maildir}/{folder}")).await?;
    }
    sys.disk.sync_dir(maildir).await?;
    let mut below = maildir.trim_end_matches('/');
    while !below.is_empty() {
        // "" is the data directory, "/" the root.
        let above = match below.rsplit_once('/') {
            Some(("", _)) => "/",
            Some((above, _)) => above,
            None => "",
        };
        match sys.disk.sync_dir(above).await {
            // A directory that we may not read, or whose file system cannot be written (the root of
            // an image, say, where fsync is EINVAL), is not one in which we have just made
            // something.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::PermissionDenied
                        | ErrorKind::InvalidInput
                        | ErrorKind::ReadOnlyFilesystem
                ) => {}
            synced => synced?,
        }
        below = if above == "/" { "" } else { above };
    }
    sys.disk.make_dir(&format!("{maildir}/tmp")).await
}

/// The part of the name that tells message and recipient:
/// `1795338720.W7ZK3M9Q2XD_0123456789abcdef.`; without a clock the number is 0. The recipient is in
/// it because one mailbox can be several recipients of a message.
fn stem(letter: &Letter<'_>) -> String {
    let seconds = letter.arrived.unwrap_or_default().0;
    let recipient = fnv(letter.to.as_str().as_bytes());
    format!("{seconds}.W{}_{recipient:016x}.", letter.id)
}

/// FNV-1a, 64 bits: the same on every machine and in every version.
fn fnv(octets: &[u8]) -> u64 {
    octets.iter().fold(0xcbf2_9ce4_8422_2325, |hash, octet| {
        (hash ^ u64::from(*octet)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// A host name fit for a file name: no `/`, and no `:` or `,`, which Maildir gives a meaning.
fn host(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' || c == '.' { c } else { '_' };
    name.chars().take(limits::MAILDIR_HOST_BYTES).map(plain).collect()
}

#[cfg(test)]
#[path = "maildir_tests.rs"]
mod tests;
