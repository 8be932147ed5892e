//! What the relay owes about a message: where it came from, to whom it goes, and how far it got.

use crate::sys::Pending;
use crate::{
    proto::{mail::address::Address, status::Outcome},
    time::Wall,
};
use core::fmt;
use std::{io, net::IpAddr, str::FromStr, time::Duration};

/// The octets of a message, wherever they are kept; lines end in CRLF, nothing is dot-stuffed.
pub trait Octets {
    /// How many.
    fn size(&self) -> u64;
    /// Some octets from `offset`: at least 1 and at most [`crate::limits::CHUNK_BYTES`], none only
    /// at the end.
    fn chunk(&self, offset: u64) -> Pending<'_, io::Result<Vec<u8>>>;
}

impl Octets for Vec<u8> {
    fn size(&self) -> u64 {
        self.len() as u64
    }
    fn chunk(&self, offset: u64) -> Pending<'_, io::Result<Vec<u8>>> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.len());
        let end = (start + crate::limits::CHUNK_BYTES).min(self.len());
        Box::pin(std::future::ready(Ok(self[start..end].to_vec())))
    }
}

/// Queue id of a message: 50 random bits, printed as ten characters of Crockford's base 32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(u64);

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

impl Id {
    /// From any 64 random bits; the upper 14 are dropped.
    pub const fn new(bits: u64) -> Id {
        Id(bits & ((1 << 50) - 1))
    }

    /// The 50 bits.
    pub const fn bits(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for place in (0..10).rev() {
            let digit = ALPHABET[usize::try_from(self.0 >> (place * 5) & 31).expect("five bits")];
            write!(f, "{}", char::from(digit))?;
        }
        Ok(())
    }
}

impl FromStr for Id {
    type Err = String;
    fn from_str(text: &str) -> Result<Id, String> {
        let wrong =
            || format!("'{text}' is not a queue id: ten letters and digits like 7ZK3M9Q2XD");
        if text.len() != 10 {
            return Err(wrong());
        }
        text.bytes()
            .try_fold(0u64, |bits, b| {
                let digit = ALPHABET.iter().position(|a| *a == b.to_ascii_uppercase())?;
                Some(bits << 5 | digit as u64)
            })
            .map(Id)
            .ok_or_else(wrong)
    }
}

/// Everything about a message that is not in its octets. RFC 5321 §2.3.1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Envelope {
    /// Reverse path; `None` is the null one, `<>`.
    pub from: Option<Address>,
    /// Forward paths after aliases, at least 1.
    pub recipients: Vec<Recipient>,
    /// BODY=8BITMIME was given, or the octets need it. RFC 6152.
    pub eight_bit: bool,
    /// SMTPUTF8 was given. RFC 6531.
    pub utf8: bool,
    /// It comes from one of our users or devices, or from this relay itself, and not from a
    /// stranger: we answer for it, and may sign it.
    pub ours: bool,
    /// RET. RFC 3461 §4.3.
    pub ret: Option<Ret>,
    /// ENVID, xtext-decoded; empty: none. RFC 3461 §4.4.
    pub envid: String,
    /// When it was accepted, if the clock was set then.
    pub arrived: Option<Wall>,
    /// The user who logged in to hand it over.
    pub user: Option<String>,
    /// The address from which it was handed over; `None`: this machine, or not known.
    pub peer: Option<IpAddr>,
    /// Who handed it over, for people: `192.168.1.20 (camera)`, `alice at 192.168.1.7`, `bounce`.
    pub source: String,
    /// Message-ID without its angle brackets; empty: none.
    pub message_id: String,
}

/// One forward path and what its sender wants to hear about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// Where it goes now.
    pub to: Address,
    /// ORCPT as it was given (`rfc822;user@example.org`, decoded), or what it was before aliases;
    /// empty: none.
    pub orcpt: String,
    /// NOTIFY. RFC 3461 §4.1.
    pub notify: Notify,
}

/// Which reports a sender wants. RFC 3461 §4.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "the RFC's keywords, independent of each other")]
pub struct Notify {
    /// The parameter was given at all; without it the default is failure (and delay).
    pub given: bool,
    /// SUCCESS.
    pub success: bool,
    /// FAILURE.
    pub failure: bool,
    /// DELAY.
    pub delay: bool,
}

impl Notify {
    /// An alias that stands for several: its mail goes to these, and its sender, who wanted to hear
    /// of success, hears that. RFC 3461 §5.2.7.3, RFC 3464 §2.3.3. NOTIFY itself cannot say this.
    pub const EXPANDED: Notify =
        Notify { given: false, success: true, failure: false, delay: false };

    /// It is [`Notify::EXPANDED`].
    pub fn is_expanded(self) -> bool {
        self == Notify::EXPANDED
    }
}

impl Default for Notify {
    fn default() -> Notify {
        Notify { given: false, success: false, failure: true, delay: true }
    }
}

/// How much of the message a report should bring back. RFC 3461 §4.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ret {
    /// FULL.
    Full,
    /// HDRS.
    Headers,
}

/// How far a message got. Durable with each Settled record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Attempts that reached somebody.
    pub attempts: u16,
    /// The last outcome of each recipient, in the envelope's order; `None`: not tried yet.
    pub outcomes: Vec<Option<Outcome>>,
    /// Time that counts against the lifetime: only while the line was up (DESIGN §1, promise 7).
    pub spent: Duration,
    /// Recipients whose final outcome its sender has been told, or need not be told, by index.
    pub reported: Vec<usize>,
    /// The sender has been told of the delay.
    pub warned: bool,
    /// A person holds it: no attempts until it is released.
    pub held: bool,
}

impl Progress {
    /// Nothing tried yet, for `recipients` recipients.
    pub fn new(recipients: usize) -> Progress {
        Progress { outcomes: vec![None; recipients], ..Progress::default() }
    }

    /// Indexes of the recipients without a final outcome.
    pub fn owed(&self) -> impl Iterator<Item = usize> + '_ {
        let owed = |o: &Option<Outcome>| o.as_ref().is_none_or(|o| !o.is_final());
        self.outcomes.iter().enumerate().filter(move |(_, o)| owed(o)).map(|(n, _)| n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_as_it_prints() {
        for bits in [0, 1, 31, 32, u64::MAX, 0x0123_4567_89ab_cdef] {
            let id = Id::new(bits);
            assert_eq!(id.to_string().len(), 10);
            assert_eq!(id.to_string().parse(), Ok(id));
            assert_eq!(id.to_string().to_lowercase().parse(), Ok(id));
        }
        assert!("".parse::<Id>().is_err());
        assert!("ABCDEFGHIJ".parse::<Id>().is_err(), "I is not in the alphabet");
    }
}
