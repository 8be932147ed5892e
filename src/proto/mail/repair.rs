//! What is done to a header on its way into the spool. RFC 6409 §8 for submissions; nothing for
//! mail from strangers.

use crate::{
    limits,
    pairs::Pairs,
    proto::{
        mail::{address::Address, date, header, list, mime, received},
        status::{Class, Reply, Status},
    },
    time::Wall,
};
use core::fmt;

/// Whose message it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A device in a trusted network, or a user who logged in: its header is repaired.
    Submitted,
    /// A stranger: its header is looked at and never altered (signatures cover it, RFC 6376).
    Relayed,
}

/// How to prepare a header.
#[derive(Clone, Debug)]
pub struct Preparation<'a> {
    /// Whose message it is.
    pub origin: Origin,
    /// Our name, for Message-IDs.
    pub hostname: &'a str,
    /// The domain of addresses without one; empty: they stay as they are.
    pub domain: &'a str,
    /// Reverse path; `None` is the null one.
    pub from: Option<&'a Address>,
    /// The date, if the clock is set.
    pub wall: Option<Wall>,
    /// A random number, for the Message-ID.
    pub random: u64,
}

/// A header ready for the spool, and what it says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prepared {
    /// The header with its empty line: our Received field goes before it, the body after it.
    pub header: Vec<u8>,
    /// Message-ID without its angle brackets; empty: none that can be shown.
    pub message_id: String,
    /// The mailboxes of From.
    pub from: Vec<Address>,
    /// The mailbox of Sender.
    pub sender: Option<Address>,
    /// Subject for people, at most [`limits::SUBJECT_CHARS`] characters.
    pub subject: String,
    /// There are octets above 127 in the header.
    pub eight_bit: bool,
    /// It has a Date that can be read. One that lacks it stays without where our clock is not set:
    /// a wrong date is worse than none, and servers further on that know the time add it (RFC 6409
    /// §8.2).
    pub dated: bool,
    /// How many Received fields it came with.
    pub received: usize,
    /// What was repaired, in short words, for the trace.
    pub repairs: Vec<&'static str>,
}

/// Why a message is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// More than [`limits::RECEIVED_FIELDS`] Received fields.
    Loop,
    /// More than [`limits::HEADER_BYTES`] of header.
    TooLong,
    /// Not a field; the line's number, and how it starts.
    Line(usize, String),
    /// More than one From field, and they differ: Gmail, among others, takes none of it.
    Senders,
    /// From has no address; why.
    Sender(&'static str),
}

impl From<header::TooLong> for Problem {
    fn from(_: header::TooLong) -> Problem {
        Problem::TooLong
    }
}

impl Problem {
    /// What the peer is told.
    pub fn reply(&self) -> Reply {
        // RFC 3463 §3.5, §3.7.
        const LOOP: Reply = Reply::new(554, Status::new(Class::Permanent, 4, 6), "Mail loop");
        const BAD: Reply = Reply::new(550, Status::new(Class::Permanent, 6, 0), "Bad header");
        if let Problem::Loop = self { LOOP } else { BAD }.says(self.to_string())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Loop => write!(f, "The message goes in circles: too many Received fields"),
            Problem::TooLong => {
                write!(f, "The header is longer than {} KiB", limits::HEADER_BYTES / 1024)
            }
            Problem::Line(number, start) => {
                write!(f, "Line {number} of the header is not a field: '{start}'")
            }
            Problem::Senders => write!(f, "There is more than one From field"),
            Problem::Sender(why) => write!(f, "The From field holds no address: {why}"),
        }
    }
}

/// Repair a header where that is our business, and tell what it says.
///
/// `header` is as [`header::Reader`] gives it: with its empty line, or empty where the message has
/// no header. Submitted messages get what they lack (Date, From, Message-ID), lose Bcc, have their
/// addresses completed, and fields that may stand only once made one; MIME and all the rest stay
/// octet by octet. Time taken is nearly linear in the length.
///
/// # Errors
/// The message must not be taken; see [`Problem`]. From a stranger only a loop is one.
pub fn prepare(header: &[u8], how: &Preparation<'_>) -> Result<Prepared, Problem> {
    let received = received::count(header);
    if received > limits::RECEIVED_FIELDS {
        return Err(Problem::Loop);
    }
    let (header, repairs) = match how.origin {
        Origin::Submitted => Repair::new(header, how)?.run()?,
        // Our Received field must not run into a body that has no header before it.
        Origin::Relayed if header.is_empty() => (b"\r\n".to_vec(), vec!["empty line added"]),
        Origin::Relayed => (header.to_vec(), Vec::new()),
    };
    let addresses = |name: &str| {
        header::fields(&header)
            .filter(|field| field.is(name))
            .flat_map(|field| list::mailboxes(field.value).unwrap_or_default())
            .map(|mailbox| mailbox.address)
            .collect::<Vec<_>>()
    };
    Ok(Prepared {
        message_id: header::message_id(&header),
        from: addresses("From"),
        sender: addresses("Sender").into_iter().next(),
        subject: mime::subject(&header),
        eight_bit: !header.is_ascii(),
        dated: header::find(&header, "Date").is_some_and(|d| date::parse(d.value).is_some()),
        received,
        repairs,
        header,
    })
}

/// Fields of which RFC 5322 §3.6 allows one; several large providers refuse more.
const SINGLE: [&str; 10] = [
    "Date",
    "From",
    "Sender",
    "Reply-To",
    "To",
    "Cc",
    "Message-ID",
    "Subject",
    "In-Reply-To",
    "References",
];

/// A year that only clocks have which nobody has set: Dates before it are theirs.
const FIRST_REAL_DATE: i64 = 365 * 86_400;

struct Repair<'a> {
    how: &'a Preparation<'a>,
    header: &'a [u8],
    /// Values of the fields in [`SINGLE`].
    values: Pairs<&'static str, Vec<&'a [u8]>>,
    /// Names whose values were made one field.
    joined: Vec<&'static str>,
    out: Vec<u8>,
    repairs: Vec<&'static str>,
}

impl<'a> Repair<'a> {
    /// Look at all fields first.
    fn new(header: &'a [u8], how: &'a Preparation<'a>) -> Result<Repair<'a>, Problem> {
        let mut values: Pairs<_, Vec<_>> = Pairs::new();
        let mut line = 1;
        for field in header::fields(header) {
            if !field.is_well_formed() {
                let start: String = mime::decode_words(field.raw, 40);
                return Err(Problem::Line(line, start));
            }
            if let Some(name) = single(&field) {
                values.entry(name, Vec::new).push(field.value);
            }
            line += field.raw.split(|b| *b == b'\n').count() - 1;
        }
        let out = Vec::with_capacity(header.len() + 512);
        Ok(Repair { how, header, values, joined: Vec::new(), out, repairs: Vec::new() })
    }

    fn run(mut self) -> Result<(Vec<u8>, Vec<&'static str>), Problem> {
        if self.header.is_empty() {
            self.note("header added");
        }
        let redate = self.how.wall.is_some() && !self.has_date();
        let mut done: Vec<&'static str> = Vec::new();
        for field in header::fields(self.header) {
            let name = single(&field);
            let again = name.is_some_and(|name| done.contains(&name));
            // An empty Message-ID is as good as none: the next one counts.
            let is_none = name == Some("Message-ID") && is_blank(field.value);
            if !again && !is_none {
                done.extend(name);
            }
            match name {
                None if field.is("Bcc") || field.is("Resent-Bcc") => self.note("Bcc removed"),
                Some("From") if again => self.note("second From removed"),
                Some("From") => self.sender(&field)?,
                Some("Date") if again => self.note("second Date removed"),
                Some("Date") if redate && is_blank(field.value) => {}
                Some("Date") if redate => {
                    self.put("X-Original-Date", field.value);
                    self.note("Date replaced");
                }
                Some(_) if is_none => {}
                Some(name @ ("To" | "Cc" | "Reply-To")) => self.recipients(name, &field, again),
                Some(_) if again => self.note("repeated field removed"),
                Some("Sender") => self.put_completed(&field, field.value),
                _ => self.copy(&field),
            }
        }
        self.add_what_is_missing(redate);
        self.out.extend_from_slice(b"\r\n");
        Ok((self.out, self.repairs))
    }

    fn add_what_is_missing(&mut self, redate: bool) {
        if let (Some(wall), true) = (self.how.wall, redate) {
            self.put("Date", format!(" {}", date::format(wall)).as_bytes());
            if !self.repairs.contains(&"Date replaced") {
                self.note("Date added");
            }
        }
        if self.values("From").is_empty() {
            self.put("From", format!(" <{}>", self.reverse_path()).as_bytes());
            self.note("From added");
        }
        // Some servers take no message that is for nobody.
        if self.values("To").is_empty() && self.values("Cc").is_empty() {
            self.put("To", b" undisclosed-recipients:;");
            self.note("To added");
        }
        let has = |name: &str| header::fields(self.header).any(|field| field.is(name));
        let is_mime = has("Content-Type") || has("Content-Transfer-Encoding");
        if is_mime && !has("MIME-Version") {
            self.put("MIME-Version", b" 1.0");
            self.note("MIME-Version added");
        }
        if self.values("Message-ID").iter().all(|value| is_blank(value)) {
            let id = format!(" <{:016x}@{}>", self.how.random, self.how.hostname);
            self.put("Message-ID", id.as_bytes());
            self.note("Message-ID added");
        }
    }

    /// The first From field. An address is made of the reverse path where the field has none but a
    /// name.
    fn sender(&mut self, field: &header::Field<'_>) -> Result<(), Problem> {
        let first = header::unfold(field.value);
        if self.values("From").iter().any(|value| header::unfold(value) != first) {
            return Err(Problem::Senders);
        }
        let read = list::mailboxes(field.value);
        // A lone encoded word (RFC 2047) is a name, though its signs would do for a local part.
        let encoded = |m: &list::Mailbox| {
            m.address.domain().is_empty() && m.address.local().starts_with("=?")
        };
        match read {
            Ok(mailboxes) if !mailboxes.is_empty() && !mailboxes.iter().any(encoded) => {
                self.put_completed(field, field.value);
            }
            _ => {
                let why = read.err().unwrap_or("there is only a name");
                let name = phrase(&first).ok_or(Problem::Sender(why))?;
                let value = format!(" {name}<{}>", self.reverse_path());
                self.put(field.name, value.as_bytes());
                self.note("From completed");
            }
        }
        Ok(())
    }

    /// To, Cc or Reply-To. Several of one name become one; those that cannot be read stay as they
    /// are.
    fn recipients(&mut self, name: &'static str, field: &header::Field<'_>, again: bool) {
        if again {
            if !self.joined.contains(&name) {
                self.copy(field);
            }
            return;
        }
        let values = self.values(name);
        let readable = || values.iter().all(|value| list::mailboxes(value).is_ok());
        if values.len() < 2 || !readable() {
            return self.put_completed(field, field.value);
        }
        let trimmed = values.iter().map(|value| value.trim_ascii()).filter(|v| !v.is_empty());
        let joined = trimmed.collect::<Vec<_>>().join(&b",\r\n\t"[..]);
        self.put_completed(field, &[b" ", &joined[..]].concat());
        self.joined.push(name);
        self.note("repeated fields joined");
    }

    /// Put a field whose addresses without a domain get the default one.
    fn put_completed(&mut self, field: &header::Field<'_>, value: &[u8]) {
        let mut completed = Vec::with_capacity(value.len());
        let mut copied = 0;
        if !self.how.domain.is_empty() {
            let bare = list::mailboxes(value).unwrap_or_default().into_iter();
            for mailbox in bare.filter(|mailbox| mailbox.address.domain().is_empty()) {
                completed.extend_from_slice(value.get(copied..mailbox.place.end).unwrap_or(b""));
                completed.push(b'@');
                completed.extend_from_slice(self.how.domain.as_bytes());
                copied = mailbox.place.end;
                self.note("address completed");
            }
        }
        completed.extend_from_slice(value.get(copied..).unwrap_or(b""));
        if completed == field.value {
            return self.copy(field);
        }
        self.put(field.name, &completed);
    }

    fn reverse_path(&self) -> String {
        match self.how.from {
            Some(from) if from.domain().is_empty() && !self.how.domain.is_empty() => {
                format!("{from}@{}", self.how.domain)
            }
            Some(from) => from.to_string(),
            None => format!("MAILER-DAEMON@{}", self.how.hostname),
        }
    }

    fn values(&self, name: &str) -> &[&'a [u8]] {
        self.values.get(name).map_or(&[], Vec::as_slice)
    }

    /// The first Date can be read and is from a clock that was set.
    fn has_date(&self) -> bool {
        let first = self.values("Date").first();
        first.and_then(|value| date::parse(value)).is_some_and(|date| date >= FIRST_REAL_DATE)
    }

    fn copy(&mut self, field: &header::Field<'_>) {
        self.out.extend_from_slice(field.raw);
        if !field.raw.ends_with(b"\r\n") {
            self.out.extend_from_slice(b"\r\n");
        }
    }

    fn put(&mut self, name: &str, value: &[u8]) {
        for part in [name.as_bytes(), b":", value, b"\r\n"] {
            self.out.extend_from_slice(part);
        }
    }

    fn note(&mut self, what: &'static str) {
        if !self.repairs.contains(&what) {
            self.repairs.push(what);
        }
    }
}

fn single(field: &header::Field<'_>) -> Option<&'static str> {
    SINGLE.into_iter().find(|name| field.is(name))
}

/// Nothing in it; an empty Message-ID counts too.
fn is_blank(value: &[u8]) -> bool {
    matches!(&header::unfold(value)[..], b"" | b"<>")
}

/// A display name ready to stand before an angle bracket, with the blank between; empty for none.
/// `None` where the text holds anything that could be part of an address.
fn phrase(text: &[u8]) -> Option<String> {
    let text = core::str::from_utf8(text).ok()?;
    let word = |c: char| !c.is_control() && !"()<>[]:;@\\,\"".contains(c);
    if text.len() > limits::PATH_BYTES || !text.chars().all(word) {
        return None;
    }
    Some(match text {
        "" => String::new(),
        // RFC 2047 §5: no encoded word in a quoted string.
        _ if text.contains("=?") => format!("{text} "),
        _ => format!("\"{text}\" "),
    })
}

#[cfg(test)]
#[path = "repair_tests.rs"]
mod tests;
