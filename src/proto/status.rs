//! What became of something, in the field's own numbers.

use core::fmt;
use std::borrow::Cow;

/// First number of a status code. RFC 3463 §3.1. Nothing else in this program tells "try again"
/// from "give up".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// 2: done.
    Success = 2,
    /// 4: try again later.
    Transient = 4,
    /// 5: give up.
    Permanent = 5,
}

impl Class {
    /// From the first digit of a reply or status; `None` for anything but 2, 4 and 5.
    pub const fn from_digit(digit: u16) -> Option<Class> {
        match digit {
            2 => Some(Class::Success),
            4 => Some(Class::Transient),
            5 => Some(Class::Permanent),
            _ => None,
        }
    }
}

/// Enhanced status code, `class.subject.detail`. RFC 3463 §2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Success, transient or permanent.
    pub class: Class,
    subject: u8,
    detail: u16,
}

impl Status {
    /// Panics (at compile time, in a `const`) outside the ranges of RFC 3463 §2.
    pub const fn new(class: Class, subject: u8, detail: u16) -> Status {
        assert!(subject <= 7, "RFC 3463 §3.2 to §3.8 define subjects 0 to 7");
        assert!(detail <= 999, "RFC 3463 §2 allows three digits");
        Status { class, subject, detail }
    }

    /// Second number: what it is about.
    pub const fn subject(self) -> u8 {
        self.subject
    }

    /// Third number: what precisely.
    pub const fn detail(self) -> u16 {
        self.detail
    }

    /// `4.2.2` and the like at the start of `text`, followed by blank or end, and the rest of the
    /// text. Out-of-range numbers are no status.
    pub fn parse(text: &str) -> Option<(Status, &str)> {
        let (head, rest) = text.split_once(' ').unwrap_or((text, ""));
        let mut numbers = head.split('.');
        let mut number = |most_digits: usize| {
            let n = numbers.next()?;
            let plain = !n.is_empty() && n.len() <= most_digits;
            (plain && n.bytes().all(|b| b.is_ascii_digit())).then(|| n.parse::<u16>().ok())?
        };
        let class = Class::from_digit(number(1)?)?;
        let subject = u8::try_from(number(3)?).ok().filter(|s| *s <= 7)?;
        let detail = number(3)?;
        numbers.next().is_none().then_some((Status { class, subject, detail }, rest))
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class as u8, self.subject, self.detail)
    }
}

/// One SMTP reply of ours. RFC 5321 §4.2, with RFC 2034 status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    code: u16,
    status: Status,
    text: Cow<'static, str>,
}

impl Reply {
    /// A code and a status that disagree do not compile: RFC 2034 §4 wants one class.
    pub const fn new(code: u16, status: Status, text: &'static str) -> Reply {
        assert!(code / 100 == status.class as u16, "code and status must have one class");
        Reply { code, status, text: Cow::Borrowed(text) }
    }

    /// The same reply in other words. Line breaks and other controls become blanks, so that nothing
    /// a peer said can start a reply line of its own.
    #[must_use]
    pub fn says(self, text: impl Into<String>) -> Reply {
        let text: String =
            text.into().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        Reply { text: Cow::Owned(text), ..self }
    }

    /// Three digits, 200 to 599.
    pub const fn code(&self) -> u16 {
        self.code
    }

    /// The enhanced status.
    pub const fn status(&self) -> Status {
        self.status
    }

    /// The words.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.code, self.status, self.text)
    }
}

/// The end of one attempt for one recipient.
///
/// `text` is what the remote said (`550 5.1.1 No such user`), or our own words where there was no
/// remote to say anything; one line, at most [`crate::limits::REPLY_TEXT_BYTES`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Success: delivered or passed on. Transient: try again. Permanent: bounce.
    pub status: Status,
    /// Who said it: the host name of the remote (`mx.example.org [192.0.2.1]`); empty where it was
    /// ourselves.
    pub by: String,
    /// Code and words.
    pub text: String,
}

impl Outcome {
    /// An outcome that we found ourselves.
    pub fn ours(status: Status, text: impl Into<String>) -> Outcome {
        Outcome { status, by: String::new(), text: text.into() }
    }

    /// Nothing more to do for this recipient.
    pub fn is_final(&self) -> bool {
        self.status.class != Class::Transient
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_as_the_rfc_does() {
        let status = Status::new(Class::Permanent, 1, 1);
        assert_eq!(
            Reply::new(550, status, "No such mailbox").to_string(),
            "550 5.1.1 No such mailbox"
        );
    }

    #[test]
    fn a_status_is_read_only_where_it_is_one() {
        let status = Status::new(Class::Transient, 2, 2);
        assert_eq!(Status::parse("4.2.2 Full"), Some((status, "Full")));
        assert_eq!(Status::parse("4.2.2"), Some((status, "")));
        for bad in [
            "",
            "4",
            "4.2",
            "3.1.1 x",
            "4.2.2.1 x",
            "4.8.1 x",
            "4.2.1000 x",
            "4.+2.1 x",
            "45.2.2 x",
        ] {
            assert_eq!(Status::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_peers_words_cannot_start_a_line() {
        let reply = Reply::new(550, Status::new(Class::Permanent, 7, 1), "x").says("a\r\n250 b");
        assert_eq!(reply.to_string(), "550 5.7.1 a  250 b");
    }
}
