//! What happened to a message: one event a line, in the log and in the history.
//!
//! An [`Event`] is a kind and some `key=value` fields. Its line is what the log shows and what the
//! history keeps; [`Event::words`] says the same to a person. The history lives in the index, which
//! may be lost (DESIGN §3); it is written in batches, since a lone small write costs flash five
//! times as much (measured: 5 KB a lone put of sled, 1.1 KB in batches of 64).

mod history;
mod words;

pub use history::History;

use crate::{
    limits,
    proto::mail::address::Address,
    relay::envelope::Id,
    sys::Sys,
    time::{Instant, Wall},
};
use core::fmt;

/// Something that happened, worth a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What: `accepted`, `delivered`, `deferred` …
    pub kind: String,
    /// `key=value` fields in the order they are told.
    pub fields: Vec<(String, String)>,
}

impl Event {
    /// An event of this kind without fields.
    pub fn new(kind: &str) -> Event {
        Event { kind: kind.to_string(), fields: Vec::new() }
    }

    /// An event of a message: its queue id and Message-ID come first.
    pub fn of(kind: &str, id: Id, message_id: &str) -> Event {
        let event = Event::new(kind).with("id", id);
        if message_id.is_empty() { event } else { event.with("msgid", message_id) }
    }

    /// The same event with one more field; an empty value is left out, a long one is cut to
    /// [`limits::FIELD_BYTES`], control characters become blanks.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl fmt::Display) -> Event {
        let mut value: String =
            value.to_string().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        if value.len() > limits::FIELD_BYTES {
            let end = (0..=limits::FIELD_BYTES).rev().find(|n| value.is_char_boundary(*n));
            value.truncate(end.unwrap_or(0));
        }
        if !value.is_empty() {
            self.fields.push((key.to_string(), value));
        }
        self
    }

    /// A field's value, empty where there is none.
    pub fn field(&self, key: &str) -> &str {
        self.fields.iter().find(|(k, _)| k == key).map_or("", |(_, v)| v)
    }

    /// The queue id it is about.
    pub fn id(&self) -> Option<Id> {
        self.field("id").parse().ok()
    }

    /// The line, read back. `None` where it is no line of ours.
    pub fn parse(line: &str) -> Option<Event> {
        let mut event: Option<Event> = None;
        let mut rest = line;
        while !rest.is_empty() {
            let (key, after) = rest.split_once('=')?;
            let (value, after) = if let Some(quoted) = after.strip_prefix('"') {
                unquote(quoted)?
            } else {
                let (value, after) = after.split_once(' ').unwrap_or((after, ""));
                (value.to_string(), after)
            };
            match &mut event {
                None if key == "event" => event = Some(Event::new(&value)),
                None => return None,
                Some(event) => event.fields.push((key.to_string(), value)),
            }
            rest = after;
        }
        event
    }
}

/// `event=deferred id=… reply="450 4.2.1 busy"`: values with blanks, quotes or `=` are quoted, with
/// `\` before `"` and `\`.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "event={}", self.kind)?;
        for (key, value) in &self.fields {
            if value.contains([' ', '"', '=', '\\']) {
                write!(f, " {key}=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))?;
            } else {
                write!(f, " {key}={value}")?;
            }
        }
        Ok(())
    }
}

/// A quoted value without its opening quote: the value, and what follows the closing quote and a
/// blank.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => {
                let rest = &text[at + 1..];
                return Some((value, rest.strip_prefix(' ').unwrap_or(rest)));
            }
            '\\' => value.push(chars.next()?.1),
            c => value.push(c),
        }
    }
    None
}

/// An event with its place in the history and its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dated {
    /// Rises with each event.
    pub number: u64,
    /// When, if the clock was set.
    pub at: Option<Wall>,
    /// When, since the start; zero for what was told before it.
    pub since: Instant,
    /// What.
    pub event: Event,
}

/// Addresses as fields of events: lists that are not cut, and few enough each that all of them are
/// found again in the history.
pub fn lists(addresses: &[&Address]) -> Vec<String> {
    let mut lists: Vec<String> = Vec::new();
    let mut names = 0;
    for address in addresses {
        match lists.last_mut() {
            Some(list)
                if names < limits::EVENT_ADDRESSES
                    && list.len() + 1 + address.as_str().len() <= limits::FIELD_BYTES =>
            {
                list.push(',');
                list.push_str(address.as_str());
                names += 1;
            }
            _ => {
                lists.push(address.to_string());
                names = 1;
            }
        }
    }
    lists
}

/// Write the line to the log and the event to the history.
pub fn tell(sys: &Sys, history: &History, event: Event) {
    sys.log.line(&event.to_string());
    history.add(sys, event);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_reads_back_as_the_event() {
        let event = Event::of("deferred", Id::new(7), "a@b")
            .with("to", "x@y.example")
            .with("reply", "450 4.2.1 \"busy\" a=b \\ c")
            .with("empty", "");
        let line = event.to_string();
        assert_eq!(
            line,
            "event=deferred id=0000000007 msgid=a@b to=x@y.example \
             reply=\"450 4.2.1 \\\"busy\\\" a=b \\\\ c\""
        );
        assert_eq!(Event::parse(&line), Some(event));
    }

    #[test]
    fn a_peer_cannot_write_a_line_or_field_of_its_own() {
        let event = Event::new("refused").with("helo", "x\r\nevent=delivered id=1\" to=\"a");
        let line = event.to_string();
        assert_eq!(line.lines().count(), 1);
        let back = Event::parse(&line).expect("ours");
        assert_eq!(back.fields.len(), 1);
        assert_eq!(back.kind, "refused");
    }

    #[test]
    fn fields_are_cut_at_their_bound() {
        let at = |n: usize| Event::new("x").with("k", "ä".repeat(n)).field("k").len();
        assert_eq!(at(limits::FIELD_BYTES / 2), limits::FIELD_BYTES);
        assert_eq!(at(limits::FIELD_BYTES), limits::FIELD_BYTES);
    }

    #[test]
    fn every_one_of_many_addresses_is_told_whole() {
        let address = |n: usize| Address::parse(&format!("{n}{}@x.example", "a".repeat(60)));
        let many: Vec<Address> = (0..9).map(|n| address(n).expect("valid")).collect();
        let many: Vec<&Address> = many.iter().collect();
        let lists = lists(&many);
        assert!(lists.iter().all(|list| list.len() <= limits::FIELD_BYTES));
        assert_eq!(lists.join(",").split(',').count(), 9);
        let short = Address::parse("a@x").expect("valid");
        let most = limits::EVENT_ADDRESSES;
        assert_eq!(super::lists(&vec![&short; most]).len(), 1);
        assert_eq!(super::lists(&vec![&short; most + 1]).len(), 2);
    }

    #[test]
    fn lines_that_are_not_ours_are_none() {
        for bad in ["", "id=1 event=x", "event=x id=\"open", "event=x id", "nonsense"] {
            assert_eq!(Event::parse(bad), None, "{bad}");
        }
    }
}
