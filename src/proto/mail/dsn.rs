//! The machine-readable part of a delivery status notification. RFC 3464, RFC 6533.
//!
//! What remotes said is in it: every value is made one line of printable characters, folded, and no
//! line is longer than RFC 5322 §2.1.1 allows.

use crate::{
    proto::{
        mail::{address::Address, date},
        status::Status,
    },
    time::Wall,
};
use core::fmt::Write;

/// Which characters a report may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// ASCII: `message/delivery-status`.
    Ascii,
    /// UTF-8: `message/global-delivery-status`, for senders who used SMTPUTF8. RFC 6533.
    Utf8,
}

/// What happened to a recipient. RFC 3464 §2.3.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It will not be delivered.
    Failed,
    /// It has not been delivered yet.
    Delayed,
    /// It is in its mailbox.
    Delivered,
    /// It was handed to a server that sends no reports.
    Relayed,
    /// It is on its way to the several addresses that this one stands for.
    Expanded,
}

/// The fields about the message. RFC 3464 §2.2.
#[derive(Clone, Copy, Debug)]
pub struct AboutMessage<'a> {
    /// Our name.
    pub hostname: &'a str,
    /// ENVID, decoded; empty: none.
    pub envelope_id: &'a str,
    /// Our queue id.
    pub queue_id: &'a str,
    /// When we took it.
    pub arrived: Option<Wall>,
}

/// The fields about one recipient. RFC 3464 §2.3.
#[derive(Clone, Copy, Debug)]
pub struct AboutRecipient<'a> {
    /// ORCPT, decoded: `rfc822;user@example.org`; empty: none.
    pub original: &'a str,
    /// The forward path.
    pub to: &'a Address,
    /// What happened.
    pub action: Action,
    /// In numbers.
    pub status: Status,
    /// Who said so: `mx.example.org [192.0.2.1]`; empty: ourselves.
    pub by: &'a str,
    /// Their words, or ours; empty: none.
    pub text: &'a str,
    /// When it was last tried.
    pub last_attempt: Option<Wall>,
    /// How long it will be tried.
    pub retry_until: Option<Wall>,
}

impl AboutMessage<'_> {
    /// The fields, without the empty line after them.
    pub fn compose(&self, form: Form) -> String {
        let mut out = field("Reporting-MTA", &format!("dns; {}", self.hostname), form);
        if !self.envelope_id.is_empty() {
            out += &field("Original-Envelope-Id", self.envelope_id, form);
        }
        out += &field("X-Waypost-Queue-Id", self.queue_id, form);
        if let Some(arrived) = self.arrived {
            out += &field("Arrival-Date", &date::format(arrived), form);
        }
        out
    }
}

impl AboutRecipient<'_> {
    /// The fields, without the empty line after them.
    pub fn compose(&self, form: Form) -> String {
        let mut out = String::new();
        if !self.original.is_empty() {
            let (kind, address) =
                self.original.split_once(';').unwrap_or(("rfc822", self.original));
            out +=
                &field("Original-Recipient", &recipient(kind.trim(), address.trim(), form), form);
        }
        out += &field("Final-Recipient", &recipient("rfc822", self.to.as_str(), form), form);
        let action = match self.action {
            Action::Failed => "failed",
            Action::Delayed => "delayed",
            Action::Delivered => "delivered",
            Action::Relayed => "relayed",
            Action::Expanded => "expanded",
        };
        out += &field("Action", action, form);
        out += &field("Status", &self.status.to_string(), form);
        if !self.by.is_empty() {
            // `mx.example.org [192.0.2.1]`: the address is a comment, as RFC 3464 §2.3.5 shows it.
            let by = match self.by.split_once(' ') {
                Some((name, address)) => format!("dns; {name} ({address})"),
                None => format!("dns; {}", self.by),
            };
            out += &field("Remote-MTA", &by, form);
        }
        if !self.text.is_empty() {
            // RFC 3464 §2.3.6: "smtp" is only what a server said.
            let kind = if self.by.is_empty() { "X-Waypost" } else { "smtp" };
            out += &field("Diagnostic-Code", &format!("{kind}; {}", self.text), form);
        }
        if let Some(last) = self.last_attempt {
            out += &field("Last-Attempt-Date", &date::format(last), form);
        }
        if let Some(until) = self.retry_until {
            out += &field("Will-Retry-Until", &date::format(until), form);
        }
        out
    }
}

/// An address with its type. RFC 3464 §2.1.2, RFC 6533 §3.
fn recipient(kind: &str, address: &str, form: Form) -> String {
    match form {
        _ if address.is_ascii() => format!("{kind}; {address}"),
        Form::Utf8 => format!("utf-8; {address}"),
        Form::Ascii => {
            let mut out = "utf-8; ".to_string();
            for c in address.chars() {
                // RFC 6533 §3, utf-8-addr-xtext.
                if c.is_ascii_graphic() && !"+=\\".contains(c) {
                    out.push(c);
                } else {
                    write!(out, "\\x{{{:X}}}", u32::from(c)).expect("a String takes everything");
                }
            }
            out
        }
    }
}

/// One field, folded, with its CRLF.
pub fn field(name: &str, value: &str, form: Form) -> String {
    let line = format!("{name}: {}", one_line(value, form));
    fold(&line, "\r\n ") + "\r\n"
}

/// Text without anything that could start a line or hide what it says; in [`Form::Ascii`] without
/// anything but ASCII.
pub fn one_line(text: &str, form: Form) -> String {
    let shown = |c: char| match c {
        ' '..='~' => c,
        _ if c.is_ascii() || c.is_control() => ' ',
        // Marks that turn the direction of what follows (Unicode TR 9).
        '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => ' ',
        _ if form == Form::Ascii => '?',
        _ => c,
    };
    text.chars().map(shown).collect::<String>().trim().to_string()
}

/// A line broken at blanks, so that it is at most 76 columns wide where its words allow it; words
/// of more octets than a line may have are broken too. `break_` stands for the blank.
pub fn fold(line: &str, break_: &str) -> String {
    // What is left of 998 (RFC 5322 §2.1.1) after what may stand before a word.
    const WORD_BYTES: usize = 900;
    let mut out = String::with_capacity(line.len() + line.len() / 32);
    let mut column = 0;
    for word in line.split(' ').filter(|word| !word.is_empty()) {
        let mut rest = word;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.floor_char_boundary(WORD_BYTES));
            rest = later;
            let width = now.chars().count();
            if column == 0 {
                column = width;
            } else if column + 1 + width > 76 {
                out.push_str(break_);
                column = 1 + width;
            } else {
                out.push(' ');
                column += 1 + width;
            }
            out.push_str(now);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::{mail::header, status::Class};

    fn failed(to: &Address) -> AboutRecipient<'_> {
        AboutRecipient {
            original: "rfc822;louisl@larry.slip.umd.example",
            to,
            action: Action::Failed,
            status: Status::new(Class::Permanent, 1, 1),
            by: "mx.example.org [192.0.2.1]",
            text: "550 5.1.1 No such user",
            last_attempt: Some(Wall(1_795_338_720)),
            retry_until: None,
        }
    }

    #[test]
    fn the_fields_are_those_of_rfc_3464() {
        let about = AboutMessage {
            hostname: "relay.home.arpa",
            envelope_id: "QQ314159",
            queue_id: "7ZK3M9Q2XD",
            arrived: Some(Wall(1_795_338_720)),
        };
        assert_eq!(
            about.compose(Form::Ascii),
            "Reporting-MTA: dns; relay.home.arpa\r\nOriginal-Envelope-Id: QQ314159\r\n\
             X-Waypost-Queue-Id: 7ZK3M9Q2XD\r\nArrival-Date: Sun, 22 Nov 2026 09:12:00 +0000\r\n"
        );
        let to = Address::parse("louisl@umd.example").expect("valid");
        assert_eq!(
            failed(&to).compose(Form::Ascii),
            "Original-Recipient: rfc822; louisl@larry.slip.umd.example\r\n\
             Final-Recipient: rfc822; louisl@umd.example\r\nAction: failed\r\nStatus: 5.1.1\r\n\
             Remote-MTA: dns; mx.example.org ([192.0.2.1])\r\n\
             Diagnostic-Code: smtp; 550 5.1.1 No such user\r\n\
             Last-Attempt-Date: Sun, 22 Nov 2026 09:12:00 +0000\r\n"
        );
        let ours = AboutRecipient {
            original: "",
            action: Action::Delayed,
            by: "",
            text: "no route",
            last_attempt: None,
            retry_until: Some(Wall(1_795_338_720)),
            ..failed(&to)
        };
        assert_eq!(
            ours.compose(Form::Ascii),
            "Final-Recipient: rfc822; louisl@umd.example\r\nAction: delayed\r\nStatus: 5.1.1\r\n\
             Diagnostic-Code: X-Waypost; no route\r\n\
             Will-Retry-Until: Sun, 22 Nov 2026 09:12:00 +0000\r\n"
        );
    }

    #[test]
    fn addresses_beyond_ascii_are_written_as_rfc_6533_has_them() {
        let to = Address::parse("j\u{f6}rg+x@ex\u{e4}mple.org").expect("valid");
        let fields = AboutRecipient { original: "utf-8;\u{fc}@x", ..failed(&to) };
        let ascii = fields.compose(Form::Ascii);
        assert!(ascii.is_ascii());
        assert!(ascii.contains("Final-Recipient: utf-8; j\\x{F6}rg\\x{2B}x@ex\\x{E4}mple.org\r\n"));
        assert!(ascii.starts_with("Original-Recipient: utf-8; \\x{FC}@x\r\n"));
        let utf8 = fields.compose(Form::Utf8);
        assert!(utf8.contains("Final-Recipient: utf-8; j\u{f6}rg+x@ex\u{e4}mple.org\r\n"));
    }

    #[test]
    fn what_a_remote_says_stays_in_its_field() {
        let to = Address::parse("a@x").expect("valid");
        let words = "550 a\r\nAction: delivered\r\n\r\n--x\0 \u{202e}\u{f6} ".to_string();
        for text in [words.clone(), words.repeat(200), "x".repeat(5000), "\u{1f602}".repeat(3000)] {
            for form in [Form::Ascii, Form::Utf8] {
                let fields = AboutRecipient { text: &text, by: &text, ..failed(&to) };
                let out = fields.compose(form);
                assert!(out.split("\r\n").all(|line| line.len() <= 998), "{out}");
                assert!(!out.contains("\r\n\r\n") && !out.contains("\r\n \r\n"), "{out}");
                assert_eq!(header::fields(out.as_bytes()).count(), 7);
                assert!(header::fields(out.as_bytes()).all(|f| f.is_well_formed()));
            }
        }
    }

    #[test]
    fn lines_fold_at_blanks_only_where_they_can() {
        let folded = fold(&"word ".repeat(40), "\r\n ");
        assert!(folded.split("\r\n").all(|line| line.len() <= 76 && !line.ends_with(' ')));
        assert_eq!(folded.replace("\r\n", ""), "word ".repeat(40).trim_end());
        assert_eq!(fold("a  b", "\n"), "a b");
        assert_eq!(fold("", "\n"), "");
    }
}
