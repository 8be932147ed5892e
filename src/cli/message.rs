//! A message as programs write it to `sendmail`, made into one as SMTP carries it. Pure.

use super::sendmail::Sendmail;
use crate::{
    limits,
    proto::mail::{
        address::Address,
        header::{self, Field, Progress},
        list::mailboxes,
    },
};
use base64::{Engine, engine::general_purpose::STANDARD};

/// A message that is ready to be handed in.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Prepared {
    /// Header and body; lines end in CRLF.
    pub(super) octets: Vec<u8>,
    /// Forward paths, at least 1, each once.
    pub(super) recipients: Vec<Address>,
    /// It needs SMTPUTF8: octets above 127 in its header or forward paths. RFC 6531 §3.
    pub(super) utf8: bool,
}

/// Line ends are made CRLF, a first line `From …` (of a mailbox file) is dropped, a From field is
/// added where there is none; with `-t` the recipients are taken from the header and Bcc is
/// removed. Date and Message-ID are the relay's to add.
///
/// # Errors
/// In words: no recipients, too many, an address that is none, a header without end.
pub(super) fn prepare(input: &[u8], mail: &Sendmail) -> Result<Prepared, String> {
    let mut octets = lines_to_crlf(input, mail.ignore_dots);
    let length = header_length(&octets)?;
    let mut header = octets.get(..length).unwrap_or_default().to_vec();
    let mut recipients = mail.to.clone();
    if mail.header_recipients {
        add_header_recipients(&header, &mut recipients)?;
        header = without_bcc(&header);
    }
    if recipients.is_empty() {
        return Err("the message names no recipients in To, Cc or Bcc".to_string());
    }
    if header::find(&header, "From").is_none() {
        add_from(&mut header, mail);
    }
    let utf8 = !header.is_ascii() || recipients.iter().any(|to| !to.is_ascii());
    octets.splice(..length, header);
    Ok(Prepared { octets, recipients, utf8 })
}

/// Octets of the header with the empty line that ends it.
fn header_length(octets: &[u8]) -> Result<usize, String> {
    let mut reader = header::Reader::default();
    for chunk in octets.chunks(limits::CHUNK_BYTES) {
        match reader.push(chunk) {
            Ok(Progress::More) => {}
            Ok(Progress::Whole) => break,
            Err(_) => return Err("the header of the message is too long".to_string()),
        }
    }
    Ok(reader.finish().header.len())
}

fn lines_to_crlf(input: &[u8], ignore_dots: bool) -> Vec<u8> {
    let mut octets = Vec::with_capacity(input.len() + input.len() / 32 + 2);
    for (n, line) in input.split_inclusive(|b| *b == b'\n').enumerate() {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line == b"." && !ignore_dots {
            break;
        }
        if n == 0 && line.starts_with(b"From ") {
            continue;
        }
        // A CR that ends no line is no line end for SMTP either (RFC 5321 §2.3.8): it becomes one.
        for (m, piece) in line.split(|b| *b == b'\r').enumerate() {
            octets.extend_from_slice(if m == 0 { b"" } else { b"\r\n" });
            octets.extend_from_slice(piece);
        }
        octets.extend_from_slice(b"\r\n");
    }
    octets
}

/// To, Cc and Bcc, or, where it was sent on, their Resent- forms. RFC 5322 §3.6.6.
fn add_header_recipients(header: &[u8], recipients: &mut Vec<Address>) -> Result<(), String> {
    let one_of = |names: &'static [&'static str]| {
        header::fields(header).filter(move |field| names.iter().any(|name| field.is(name)))
    };
    let resent = ["Resent-To", "Resent-Cc", "Resent-Bcc"].as_slice();
    let names =
        if one_of(resent).next().is_some() { resent } else { ["To", "Cc", "Bcc"].as_slice() };
    for field in one_of(names) {
        let found = mailboxes(field.value).map_err(|why| format!("{}: {why}", field.name))?;
        for mailbox in found {
            if recipients.contains(&mailbox.address) {
                continue;
            }
            if recipients.len() >= limits::SENDMAIL_RECIPIENTS {
                return Err(format!("more than {} recipients", limits::SENDMAIL_RECIPIENTS));
            }
            recipients.push(mailbox.address);
        }
    }
    Ok(())
}

fn without_bcc(header: &[u8]) -> Vec<u8> {
    let is_bcc = |field: &Field| field.is("Bcc") || field.is("Resent-Bcc");
    let mut kept = Vec::with_capacity(header.len());
    for field in header::fields(header).filter(|field| !is_bcc(field)) {
        kept.extend_from_slice(field.raw);
    }
    if header.ends_with(b"\r\n\r\n") || header == b"\r\n" {
        kept.extend_from_slice(b"\r\n");
    }
    kept
}

fn add_from(header: &mut Vec<u8>, mail: &Sendmail) {
    let sender = mail.from.clone().flatten().or_else(|| mail.caller());
    let Some(sender) = sender else { return };
    let from = match mail.full_name.as_deref().and_then(phrase) {
        Some(name) => format!("From: {name} <{sender}>\r\n"),
        None => format!("From: {sender}\r\n"),
    };
    if header.is_empty() {
        header.extend_from_slice(b"\r\n");
    }
    header.splice(0..0, from.into_bytes());
}

/// A name as it may stand before an address: quoted, or, where it is not ASCII, one encoded word of
/// the at most 75 characters that RFC 2047 §2 gives it. What does not fit is left away.
fn phrase(name: &str) -> Option<String> {
    let name = name.trim();
    if name.is_empty() || name.chars().any(char::is_control) || name.len() > 200 {
        return None;
    }
    if name.is_ascii() {
        return Some(format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\"")));
    }
    let word = format!("=?UTF-8?B?{}?=", STANDARD.encode(name));
    (word.len() <= 75).then_some(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail() -> Sendmail {
        Sendmail {
            user: "ann".into(),
            hostname: "box.lan".into(),
            to: vec![Address::parse("bob@x").expect("an address")],
            ..Sendmail::default()
        }
    }

    fn prepared(input: &str, mail: &Sendmail) -> (String, Vec<String>) {
        let prepared = prepare(input.as_bytes(), mail).expect("a message");
        let octets = String::from_utf8(prepared.octets).expect("UTF-8");
        (octets, prepared.recipients.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn line_ends_are_made_those_of_smtp() {
        let octets = |input: &[u8], ignore| lines_to_crlf(input, ignore);
        assert_eq!(octets(b"a\nb\r\nc", false), b"a\r\nb\r\nc\r\n");
        assert_eq!(octets(b"a\rb\n\r\n", false), b"a\r\nb\r\n\r\n");
        assert_eq!(octets(b"a\n.\nb\n", false), b"a\r\n");
        assert_eq!(octets(b"a\n.\nb\n", true), b"a\r\n.\r\nb\r\n");
        assert_eq!(octets(b"a\n..\n.b\n", false), b"a\r\n..\r\n.b\r\n");
        assert_eq!(octets(b"From ann Mon\nTo: x\n", false), b"To: x\r\n");
        assert_eq!(octets(b"", false), b"");
    }

    #[test]
    fn a_sender_is_added_where_none_is_named() {
        let (with, _) = prepared("From: x@y\n\nbody\n", &mail());
        assert_eq!(with, "From: x@y\r\n\r\nbody\r\n");
        let (without, _) = prepared("Subject: s\n\nbody\n", &mail());
        assert_eq!(without, "From: ann@box.lan\r\nSubject: s\r\n\r\nbody\r\n");
        let (bare, _) = prepared("only a body\n", &mail());
        assert_eq!(bare, "From: ann@box.lan\r\n\r\nonly a body\r\n");
        let (empty, _) = prepared("", &mail());
        assert_eq!(empty, "From: ann@box.lan\r\n\r\n");
        let named = |name: &str| {
            let mail = Sendmail { full_name: Some(name.into()), from: Some(None), ..mail() };
            let (octets, _) = prepared("Subject: s\n\n", &mail);
            octets.split("\r\n").next().map(String::from)
        };
        assert_eq!(named("Ann \"X\" \\").as_deref(), Some(r#"From: "Ann \"X\" \\" <ann@box.lan>"#));
        assert_eq!(named("J\u{f6}rg").as_deref(), Some("From: =?UTF-8?B?SsO2cmc=?= <ann@box.lan>"));
        assert_eq!(named("a\nBcc: x").as_deref(), Some("From: ann@box.lan"), "no line of its own");
        assert_eq!(named(&"\u{f6}".repeat(40)).as_deref(), Some("From: ann@box.lan"));
    }

    #[test]
    fn recipients_are_taken_from_the_header_and_the_hidden_ones_hidden() {
        let t = Sendmail { header_recipients: true, ..mail() };
        let text = "From: a@x\nTo: Bob <bob@x>, \"C, D\" <c@x>\ncc: team: d@x, e@x;\n\
                    Bcc: f@x,\n g@x\nSubject: s\n\nTo: z@x\n";
        let (octets, to) = prepared(text, &t);
        assert_eq!(to, ["bob@x", "c@x", "d@x", "e@x", "f@x", "g@x"]);
        assert!(!octets.contains("f@x") && !octets.contains("g@x"), "{octets}");
        assert!(octets.ends_with("Subject: s\r\n\r\nTo: z@x\r\n"));
        let (octets, to) = prepared("To: a@x\nResent-To: b@x\nResent-Bcc: c@x\n\n", &t);
        assert_eq!(to, ["bob@x", "b@x", "c@x"]);
        assert!(!octets.contains("c@x") && octets.ends_with("Resent-To: b@x\r\n\r\n"));
        let (octets, _) = prepared("Bcc: z@x\n\n", &t);
        assert_eq!(octets, "From: ann@box.lan\r\n\r\n");
        let (octets, _) = prepared("To: a@x\nBcc: z@x", &t);
        assert_eq!(octets, "From: ann@box.lan\r\nTo: a@x\r\n");
        let (octets, _) = prepared("To: a@x\nBcc: z@x\n\n", &mail());
        assert!(octets.contains("Bcc: z@x"), "without -t the relay decides");
    }

    #[test]
    fn what_cannot_be_sent_is_told() {
        let t = Sendmail { header_recipients: true, to: vec![], ..mail() };
        for (text, words) in [
            ("Subject: s\n\n", "no recipients"),
            ("To: a b c@@\n\n", "To: "),
            ("To: undisclosed-recipients:;\n\n", "no recipients"),
        ] {
            let why = prepare(text.as_bytes(), &t).expect_err(text);
            assert!(why.contains(words), "{text}: {why}");
        }
    }

    #[test]
    fn header_and_recipients_are_bounded() {
        let header = |n: usize| format!("X: {}\n\n", "x".repeat(n - 7));
        assert!(prepare(header(limits::HEADER_BYTES).as_bytes(), &mail()).is_ok());
        assert!(prepare(header(limits::HEADER_BYTES + 1).as_bytes(), &mail()).is_err());
        let t = Sendmail { header_recipients: true, to: vec![], ..mail() };
        let to = |n: usize| {
            let to: Vec<String> = (0..n).map(|n| format!("u{n}@x")).collect();
            prepare(format!("To: {}\n\n", to.join(",\n ")).as_bytes(), &t)
        };
        assert_eq!(
            to(limits::SENDMAIL_RECIPIENTS).map(|p| p.recipients.len()),
            Ok(limits::SENDMAIL_RECIPIENTS)
        );
        assert!(to(limits::SENDMAIL_RECIPIENTS + 1).is_err());
    }

    #[test]
    fn octets_above_127_ask_for_what_they_need() {
        let utf8 = |text: &str| prepare(text.as_bytes(), &mail()).expect("a message").utf8;
        assert!(!utf8("Subject: s\n\n\u{f6}"));
        assert!(utf8("Subject: \u{f6}\n\n"));
    }
}
