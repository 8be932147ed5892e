//! Where the world finds the other half of a key: a TXT record. RFC 6376 §3.6.

use super::Algorithm;
use crate::limits;
use base64::prelude::{BASE64_STANDARD, Engine};
use core::fmt;

/// A record to publish. Prints as a line of a zone file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Where: `selector._domainkey.example.org`.
    pub name: String,
    /// What, in one piece, as forms on web pages want it.
    pub text: String,
}

impl Record {
    /// The record of a public key: for RSA a `SubjectPublicKeyInfo` in DER (RFC 6376 §3.6.1), for
    /// Ed25519 its 32 octets as they are (RFC 8463 §4.2).
    pub fn new(algorithm: Algorithm, selector: &str, domain: &str, key: &[u8]) -> Record {
        let (key_type, key) = (algorithm.key_type(), BASE64_STANDARD.encode(key));
        Record {
            name: format!("{selector}._domainkey.{domain}"),
            text: format!("v=DKIM1; k={key_type}; p={key}"),
        }
    }

    /// What, in the strings of at most [`limits::DNS_STRING_BYTES`] octets that DNS has: a verifier
    /// puts them together again without blanks (RFC 6376 §3.6.2.2).
    pub fn strings(&self) -> impl Iterator<Item = &str> {
        let starts = (0..self.text.len()).step_by(limits::DNS_STRING_BYTES);
        let end = |at: usize| self.text.len().min(at + limits::DNS_STRING_BYTES);
        starts.filter_map(move |at| self.text.get(at..end(at)))
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}. IN TXT (", self.name)?;
        for string in self.strings() {
            write!(f, " \"{string}\"")?;
        }
        write!(f, " )")
    }
}
