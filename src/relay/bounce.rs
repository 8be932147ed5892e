//! The reports we send about a message: delivery status notifications. RFC 3464, RFC 3461 §6,
//! RFC 6522, RFC 3834.

use crate::{
    limits,
    proto::{
        mail::{
            date,
            dsn::{self, AboutMessage, AboutRecipient, Action, Form},
            mime,
        },
        status::{Class, Outcome, Status},
    },
    relay::{
        envelope::{Envelope, Id, Notify, Progress, Recipient, Ret},
        refusal,
    },
    time::Wall,
};
use std::{fmt::Write, time::Duration};

/// What a report is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It will not be delivered: refused, or tried for too long.
    Failure,
    /// It could not be delivered yet. Sent once.
    Delay,
    /// It was delivered here, or passed on to a server that sends no reports.
    Success,
}

/// What a report needs to know.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// Queue id of the message.
    pub id: Id,
    /// Its envelope.
    pub envelope: &'a Envelope,
    /// How far it got.
    pub progress: &'a Progress,
    /// Which recipients, by their place in the envelope; those whose outcome does not fit the kind,
    /// or whose sender did not ask for it, are left out. For [`Kind::Success`] the caller leaves
    /// out those whose next server sends reports.
    pub recipients: &'a [usize],
    /// The message, or its header.
    pub original: Original<'a>,
    /// Our name.
    pub hostname: &'a str,
    /// The date, if the clock is set. Without it the report has none; whoever can wait for the
    /// clock should.
    pub wall: Option<Wall>,
    /// When the recipients were last tried, if that is known.
    pub last_attempt: Option<Wall>,
    /// How long a message is tried, in time during which the line was up.
    pub lifetime: Duration,
}

/// What a report can bring back.
#[derive(Clone, Copy, Debug)]
pub enum Original<'a> {
    /// The header, with or without its empty line.
    Header(&'a [u8]),
    /// The whole message; it is brought back where RET=FULL asks for it and
    /// [`limits::REPORT_MESSAGE_BYTES`] allow it.
    Whole(&'a [u8]),
}

impl<'a> Original<'a> {
    /// The header without its empty line, cut at a line's end.
    fn header(self) -> &'a [u8] {
        let (Original::Header(octets) | Original::Whole(octets)) = self;
        let end =
            octets.windows(4).position(|w| w == b"\r\n\r\n").map_or(octets.len(), |at| at + 2);
        let header = octets.get(..end).unwrap_or(octets);
        let header = if octets.starts_with(b"\r\n") { b"" } else { header };
        match header.get(..limits::REPORT_HEADER_BYTES) {
            Some(cut) if cut.len() < header.len() => {
                let line = cut.windows(2).rposition(|w| w == b"\r\n").map_or(0, |at| at + 2);
                cut.get(..line).unwrap_or_default()
            }
            _ => header,
        }
    }
}

/// The report and its envelope, ready for the spool; `random` makes its Message-ID and its
/// boundary.
///
/// `None` where none is owed: the reverse path is null (a bounce never bounces, RFC 5321 §6.1),
/// NOTIFY does not ask for it (RFC 3461 §4.1), the delay was told already, or no recipient is
/// concerned. The octets end in CRLF; in size they are bounded by what is brought back and by the
/// recipients, of whom [`limits::REPORT_NAMES`] are named in words.
pub fn report(kind: Kind, about: &About<'_>, random: u64) -> Option<(Envelope, Vec<u8>)> {
    let to = about.envelope.from.as_ref()?;
    if kind == Kind::Delay && about.progress.warned {
        return None;
    }
    let concerned: Vec<Concerned<'_>> =
        about.recipients.iter().filter_map(|n| concerned(kind, about, *n)).collect();
    if concerned.is_empty() {
        return None;
    }
    let ascii = to.is_ascii() && !about.envelope.utf8;
    let form = if ascii { Form::Ascii } else { Form::Utf8 };
    let text = Words { kind, about, concerned: &concerned };
    let parts = [
        Part { kind: "text/plain; charset=utf-8", octets: text.compose().into_bytes() },
        machine_part(kind, about, &concerned, form),
        returned_part(kind, about, form),
    ];
    let message_id = format!("{}.{random:016x}@{}", about.id, about.hostname);
    let boundary = format!("=_{}_{random:016x}", about.id);
    // Its header holds an address above ASCII only where the sender has one.
    let header_form = if to.is_ascii() { Form::Ascii } else { Form::Utf8 };
    let mut octets = Vec::new();
    for (name, value) in [
        ("Date", about.wall.map(date::format).unwrap_or_default()),
        ("From", format!("Mail Delivery System <MAILER-DAEMON@{}>", about.hostname)),
        ("To", format!("<{to}>")),
        ("Subject", text.subject(header_form)),
        ("Message-ID", format!("<{message_id}>")),
        ("In-Reply-To", bracketed(&about.envelope.message_id)),
        ("References", bracketed(&about.envelope.message_id)),
        // RFC 3834 §5: no vacation program shall answer.
        ("Auto-Submitted", "auto-replied".into()),
        ("MIME-Version", "1.0".into()),
    ] {
        if !value.is_empty() {
            octets.extend_from_slice(dsn::field(name, &value, header_form).as_bytes());
        }
    }
    // RFC 6522 §3: report-type is the subtype of the second part.
    let report_type = parts[1].kind.trim_start_matches("message/");
    let kind = format!(
        "Content-Type: multipart/report; report-type={report_type};\r\n \
         boundary=\"{boundary}\"\r\n\r\n"
    );
    octets.extend_from_slice(kind.as_bytes());
    for part in &parts {
        part.write(&boundary, form, &mut octets);
    }
    octets.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    let envelope = Envelope {
        from: None,
        // RFC 3461 §6.2: a report asks for no reports.
        recipients: vec![Recipient { to: to.clone(), orcpt: String::new(), notify: NEVER }],
        eight_bit: !octets.is_ascii(),
        utf8: !to.is_ascii(),
        ours: true,
        arrived: about.wall,
        source: "bounce".into(),
        message_id,
        ..Envelope::default()
    };
    Some((envelope, octets))
}

const NEVER: Notify = Notify { given: true, success: false, failure: false, delay: false };

fn bracketed(message_id: &str) -> String {
    if message_id.is_empty() { String::new() } else { format!("<{message_id}>") }
}

/// A recipient that the report is about, and its last outcome.
#[derive(Clone, Copy)]
struct Concerned<'a> {
    recipient: &'a Recipient,
    outcome: Option<&'a Outcome>,
}

fn concerned<'a>(kind: Kind, about: &About<'a>, n: usize) -> Option<Concerned<'a>> {
    let recipient = about.envelope.recipients.get(n)?;
    let outcome = about.progress.outcomes.get(n).and_then(Option::as_ref);
    let class = outcome.map(|o| o.status.class);
    let (fits, wanted) = match kind {
        // Without a permanent outcome it was tried for too long.
        Kind::Failure => (class != Some(Class::Success), recipient.notify.failure),
        Kind::Delay => (class.is_none_or(|c| c == Class::Transient), recipient.notify.delay),
        Kind::Success => (class == Some(Class::Success), recipient.notify.success),
    };
    (fits && wanted).then_some(Concerned { recipient, outcome })
}

impl Concerned<'_> {
    /// RFC 3463 §3.5: X.4.7 is "delivery time expired"; §3.5 X.4.1 "no answer from host".
    fn status(&self, kind: Kind) -> Status {
        const EXPIRED: Status = Status::new(Class::Permanent, 4, 7);
        const UNTRIED: Status = Status::new(Class::Transient, 4, 1);
        let last = self.outcome.map(|outcome| outcome.status);
        match kind {
            Kind::Failure => last.filter(|s| s.class == Class::Permanent).unwrap_or(EXPIRED),
            Kind::Delay | Kind::Success => last.unwrap_or(UNTRIED),
        }
    }

    fn expired(&self) -> bool {
        self.outcome.is_none_or(|outcome| outcome.status.class == Class::Transient)
    }

    fn is_expanded(&self) -> bool {
        self.recipient.notify.is_expanded()
    }

    fn by(&self) -> &str {
        self.outcome.map_or("", |outcome| &outcome.by)
    }

    fn text(&self) -> &str {
        self.outcome.map_or("", |outcome| &outcome.text)
    }
}

fn machine_part(kind: Kind, about: &About<'_>, concerned: &[Concerned<'_>], form: Form) -> Part {
    let message = AboutMessage {
        hostname: about.hostname,
        envelope_id: &about.envelope.envid,
        queue_id: &about.id.to_string(),
        arrived: about.envelope.arrived,
    };
    let mut fields = message.compose(form);
    for one in concerned {
        let action = match kind {
            Kind::Failure => Action::Failed,
            Kind::Delay => Action::Delayed,
            Kind::Success if one.is_expanded() => Action::Expanded,
            Kind::Success if one.by().is_empty() => Action::Delivered,
            Kind::Success => Action::Relayed,
        };
        let recipient = AboutRecipient {
            original: &one.recipient.orcpt,
            to: &one.recipient.to,
            action,
            status: one.status(kind),
            by: one.by(),
            text: one.text(),
            last_attempt: about.last_attempt,
            retry_until: about.retry_until().filter(|_| kind == Kind::Delay),
        };
        fields += "\r\n";
        fields += &recipient.compose(form);
    }
    let kind = match form {
        Form::Ascii => "message/delivery-status",
        Form::Utf8 => "message/global-delivery-status",
    };
    Part { kind, octets: fields.into_bytes() }
}

impl About<'_> {
    /// When it will have been tried for long enough, if the line stays up.
    fn retry_until(&self) -> Option<Wall> {
        let left = self.lifetime.saturating_sub(self.progress.spent);
        self.wall.map(|now| Wall(now.0.saturating_add(left.as_secs())))
    }
}

/// What comes back of the message. RFC 3461 §4.3: all of it only in a report of failure, and only
/// where that is wanted.
fn returned_part(kind: Kind, about: &About<'_>, form: Form) -> Part {
    if let Original::Whole(octets) = about.original
        && kind == Kind::Failure
        && about.envelope.ret == Some(Ret::Full)
        && octets.len() <= limits::REPORT_MESSAGE_BYTES
        // RFC 2046 §5.2.1: a message may not be encoded, so it must be fit to travel as it is.
        && has_clean_lines(octets)
    {
        let kind = if form == Form::Utf8 { "message/global" } else { "message/rfc822" };
        return Part { kind, octets: octets.to_vec() };
    }
    let kind = if form == Form::Utf8 { "message/global-headers" } else { "text/rfc822-headers" };
    Part { kind, octets: about.original.header().to_vec() }
}

/// One part of the report.
struct Part {
    kind: &'static str,
    octets: Vec<u8>,
}

impl Part {
    /// 7bit where that will do; 8bit where the sender reads UTF-8 or a whole message comes back;
    /// else encoded.
    fn write(&self, boundary: &str, form: Form, out: &mut Vec<u8>) {
        let whole = matches!(self.kind, "message/rfc822" | "message/global");
        let utf8 = form == Form::Utf8 && core::str::from_utf8(&self.octets).is_ok();
        let encoding = match has_clean_lines(&self.octets) {
            true if self.octets.is_ascii() => "7bit",
            true if whole || utf8 => "8bit",
            _ => "quoted-printable",
        };
        let head = format!(
            "--{boundary}\r\nContent-Type: {}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n",
            self.kind
        );
        out.extend_from_slice(head.as_bytes());
        match encoding {
            "quoted-printable" => {
                out.extend_from_slice(mime::quoted_printable(&self.octets).as_bytes());
            }
            _ => out.extend_from_slice(&self.octets),
        }
        out.extend_from_slice(b"\r\n");
    }
}

/// No NUL, no CR or LF alone, no line too long: RFC 2045 §2.7, §2.8.
fn has_clean_lines(octets: &[u8]) -> bool {
    octets.split_inclusive(|b| *b == b'\n').all(|line| {
        let text = line.strip_suffix(b"\r\n").unwrap_or(line);
        text.len() <= limits::TEXT_LINE_BYTES - 2 && !text.iter().any(|b| b"\r\n\0".contains(b))
    })
}

/// The report in words.
struct Words<'a> {
    kind: Kind,
    about: &'a About<'a>,
    concerned: &'a [Concerned<'a>],
}

impl Words<'_> {
    fn subject(&self, form: Form) -> String {
        let whom = match self.concerned {
            [one] if one.recipient.to.is_ascii() || form == Form::Utf8 => {
                one.recipient.to.to_string()
            }
            [_] => "its recipient".into(),
            several => format!("{} recipients", several.len()),
        };
        match self.kind {
            Kind::Failure => format!("Your message to {whom} could not be delivered"),
            Kind::Delay => format!("Your message to {whom} is delayed"),
            Kind::Success => format!("Your message to {whom} was {}", self.arrived()),
        }
    }

    fn compose(&self) -> String {
        let mut text = String::new();
        paragraph(&self.opening(), &mut text);
        for one in self.concerned.iter().take(limits::REPORT_NAMES) {
            self.recipient(*one, &mut text);
        }
        let more = self.concerned.len().saturating_sub(limits::REPORT_NAMES);
        if more > 0 {
            paragraph(&format!("... and {more} more, who are named below."), &mut text);
        }
        paragraph(&self.next(), &mut text);
        let (host, id) = (self.about.hostname, self.about.id);
        let us = format!("This is the mail relay {host}; it knows your message as {id}.");
        paragraph(&us, &mut text);
        text.truncate(text.len() - "\r\n".len());
        text
    }

    /// What was sent, when, and what became of it.
    fn opening(&self) -> String {
        let about = self.about;
        let subject = mime::subject(about.original.header());
        let what = match subject.as_str() {
            "" => "Your message".to_string(),
            subject => format!("Your message \"{subject}\""),
        };
        let date = |wall| format!(", sent on {},", date::format(wall).replace(" +0000", " UTC"));
        let when = about.envelope.arrived.map(date).unwrap_or_default();
        let whom = match self.concerned {
            [one] => one.recipient.to.to_string(),
            several => format!("{} recipients", several.len()),
        };
        let became = match self.kind {
            Kind::Failure => format!("could not be delivered to {whom}."),
            Kind::Delay => format!("could not be delivered to {whom} yet."),
            Kind::Success => format!("was {} to {whom}.", self.arrived()),
        };
        let advice = match self.concerned {
            [one] => self.advice(*one),
            _ => "",
        };
        format!("{what}{when} {became} {advice}")
    }

    /// What is known about such words, and what a person can do.
    fn advice(&self, one: Concerned<'_>) -> &'static str {
        if self.kind == Kind::Success { "" } else { one.outcome.map_or("", refusal::advice) }
    }

    fn arrived(&self) -> &'static str {
        let here = self.concerned.iter().filter(|one| one.by().is_empty()).count();
        if self.concerned.iter().all(Concerned::is_expanded) {
            return "distributed";
        }
        match here {
            0 => "passed on",
            all if all == self.concerned.len() => "delivered",
            _ => "delivered or passed on",
        }
    }

    /// Who said what about one recipient.
    fn recipient(&self, one: Concerned<'_>, text: &mut String) {
        let said = match (self.kind, one.by(), one.outcome.is_some()) {
            (_, _, false) => "It could not be tried at all.".into(),
            (Kind::Success, ..) if one.is_expanded() => {
                "This address stands for several, and the message is on its way to all of them. \
                 There will be no further report unless it does not reach one."
                    .into()
            }
            (Kind::Success, "", _) => "It is in the mailbox.".to_string(),
            (Kind::Success, by, _) => {
                format!("It was passed on to {by}, from where there will be no further report.")
            }
            (_, "", _) => "This was the trouble:".into(),
            (_, by, _) => format!("The server {by} answered:"),
        };
        let name = if self.concerned.len() > 1 {
            format!("{}: ", one.recipient.to)
        } else {
            String::new()
        };
        paragraph(&format!("{name}{said}"), text);
        if self.kind != Kind::Success && !one.text().is_empty() {
            let words = dsn::fold(&dsn::one_line(one.text(), Form::Utf8), "\r\n    ");
            write!(text, "    {words}\r\n\r\n").expect("a String takes everything");
        }
        let advice = self.advice(one);
        if self.concerned.len() > 1 && !advice.is_empty() {
            paragraph(advice, text);
        }
    }

    /// What happens next.
    fn next(&self) -> String {
        let about = self.about;
        let tries = match about.progress.attempts {
            0 | 1 => "once".to_string(),
            n => format!("{n} times"),
        };
        match self.kind {
            Kind::Failure if self.concerned.iter().any(Concerned::expired) => format!(
                "It was tried {tries} in {}, and will not be tried again. If it still matters, \
                 please send it again.",
                span(about.progress.spent)
            ),
            Kind::Failure if self.concerned.iter().any(|one| !self.advice(*one).is_empty()) => {
                "It will not be tried again.".into()
            }
            Kind::Failure => {
                "It will not be tried again. Please check the address; if it is right, \
                 the words above tell why the message was not taken."
                    .into()
            }
            Kind::Delay => {
                let left = about.lifetime.saturating_sub(about.progress.spent);
                format!(
                    "You need not do anything. It was tried {tries} and will be tried for another \
                     {}; should that fail too, you will be told.",
                    span(left)
                )
            }
            Kind::Success => "You asked for this notice; nothing more needs to be done.".into(),
        }
    }
}

fn paragraph(words: &str, text: &mut String) {
    let line = dsn::one_line(words, Form::Utf8);
    text.push_str(&dsn::fold(&line, "\r\n"));
    text.push_str("\r\n\r\n");
}

/// A duration as people say it.
fn span(time: Duration) -> String {
    let minutes = time.as_secs() / 60;
    let (number, unit) = match minutes {
        0..120 => (minutes.max(1), "minute"),
        120..2880 => (minutes / 60, "hour"),
        _ => (minutes / 1440, "day"),
    };
    if number == 1 { format!("1 {unit}") } else { format!("{number} {unit}s") }
}

#[cfg(test)]
#[path = "bounce_tests.rs"]
mod tests;
