//! A message to send, as its envelope describes it.

use crate::proto::mail::{
    address::Address,
    downgrade::{Header, Task},
};

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

/// Which octets above 127 a server takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Takes {
    /// In bodies: 8BITMIME, RFC 6152.
    pub eight_bit: bool,
    /// In headers and addresses: SMTPUTF8, RFC 6531.
    pub utf8: bool,
}

impl Outgoing {
    /// What must be done to the message before such a server can take it.
    pub fn task(&self, takes: Takes) -> Option<Task> {
        let body = self.eight_bit && !takes.eight_bit;
        let header = match self.needs_utf8() {
            true if takes.utf8 => Header::Keep,
            // RFC 6531 §3.2: what only UTF-8 can say goes back.
            _ if self.utf8 && !takes.utf8 => Header::Must,
            _ if body => Header::Try,
            _ => Header::Keep,
        };
        (body || header != Header::Keep).then_some(Task { header, body })
    }

    /// That was done, and the message has so many octets.
    pub fn fitted(&mut self, task: Task, size: u64) {
        self.size = size;
        self.eight_bit &= !task.body;
        self.utf8 &= task.header != Header::Must;
    }

    /// It, or an address, needs SMTPUTF8.
    pub(super) fn needs_utf8(&self) -> bool {
        let ascii = self.from.as_ref().is_none_or(Address::is_ascii)
            && self.to.iter().all(|forward| forward.to.is_ascii());
        self.utf8 || !ascii
    }
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
