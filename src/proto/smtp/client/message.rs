//! A message to send, as its envelope describes it.

use crate::proto::mail::address::Address;

/// A message to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Reverse path; `None` is the null one.
    pub from: Option<Address>,
    /// Forward paths, at least 1.
    pub to: Vec<Forward>,
    /// Octets of the message, as stored (lines end in CRLF, not dot-stuffed).
    pub size: u64,
    /// It has octets above 127.
    pub eight_bit: bool,
    /// It needs SMTPUTF8.
    pub utf8: bool,
    /// RET=HDRS (`true`) or FULL.
    pub ret_headers: Option<bool>,
    /// ENVID; empty: none.
    pub envid: String,
}

/// A forward path and its DSN parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// Forward path.
    pub to: Address,
    /// ORCPT, decoded; empty: none.
    pub orcpt: String,
    /// NOTIFY as (success, failure, delay); all false is NEVER; `None`: not given.
    pub notify: Option<(bool, bool, bool)>,
}

/// Who sends the reports that were asked for about a recipient whom a server took. RFC 3461 §5.2.2,
/// §5.2.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reporter {
    /// The server was not told what to report.
    Us,
    /// It offers DSN, and was.
    Server,
}
