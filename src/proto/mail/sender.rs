//! Another sender, where a provider refuses the one that a message has. RFC 5322 §3.6.2.
//!
//! Who it was from stays readable: beside the name in From, in Reply-To where there is none yet, so
//! that answers go there, and as it was in Original-From (RFC 5703 §9).

use super::{
    address::Address,
    header::{self, Field},
    list,
};

/// The header with `sender` in From where somebody stands there whom `takes` does not. `None`: it
/// may stay as it is.
///
/// A header may lack its empty line, and have any number of From fields; the new one has one. A
/// Sender field that is not taken goes, since there is one author now (§3.6.2).
pub fn replace(
    header: &[u8],
    sender: &Address,
    takes: impl Fn(&Address) -> bool,
) -> Option<Vec<u8>> {
    let fields = || header::fields(header);
    let authors: Vec<Address> = fields().filter(|f| f.is("From")).flat_map(addresses).collect();
    let readable = fields()
        .filter(|f| f.is("From"))
        .all(|f| list::mailboxes(f.value).is_ok_and(|list| !list.is_empty()));
    let one = fields().filter(|f| f.is("From")).count() == 1;
    let agent = |field: &Field<'_>| field.is("Sender") && !addresses(*field).iter().all(&takes);
    if one && readable && authors.iter().all(&takes) && !fields().any(|field| agent(&field)) {
        return None;
    }
    let answers = fields().any(|field| field.is("Reply-To"));
    let mut written = false;
    let mut out = Vec::with_capacity(header.len() + 256);
    for field in fields() {
        if field.is("From") {
            if !written {
                write(&mut out, &field, sender, &authors, answers);
            }
            written = true;
        } else if !agent(&field) {
            out.extend_from_slice(field.raw);
        }
    }
    if !written {
        out.extend_from_slice(format!("From: <{sender}>\r\n").as_bytes());
    }
    if header.is_empty() || header.ends_with(b"\r\n\r\n") || header == b"\r\n" {
        out.extend_from_slice(b"\r\n");
    }
    Some(out)
}

/// The header with other addresses in From, Sender and Reply-To where `stands` gives one; names and
/// all else stay as they are. `None`: nothing changes.
///
/// A field that cannot be read stays, too.
pub fn masquerade(header: &[u8], stands: impl Fn(&Address) -> Option<Address>) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(header.len() + 64);
    let mut changed = false;
    let mut rest = header;
    for field in header::fields(header) {
        rest = rest.get(field.raw.len()..).unwrap_or_default();
        let concerned = ["From", "Sender", "Reply-To"].iter().any(|name| field.is(name));
        let mailboxes =
            if concerned { list::mailboxes(field.value).unwrap_or_default() } else { vec![] };
        let others = mailboxes.into_iter().filter_map(|mailbox| {
            let stand = stands(&mailbox.address)?;
            (stand != mailbox.address).then_some((mailbox.place, stand))
        });
        let start = field.raw.len() - raw_value(&field).len();
        let mut at = 0;
        for (place, stand) in others {
            out.extend_from_slice(field.raw.get(at..start + place.start).unwrap_or_default());
            out.extend_from_slice(stand.as_str().as_bytes());
            at = start + place.end;
            changed = true;
        }
        out.extend_from_slice(field.raw.get(at..).unwrap_or_default());
    }
    out.extend_from_slice(rest);
    changed.then_some(out)
}

/// What follows the colon in a field's octets, with its line end.
fn raw_value<'a>(field: &Field<'a>) -> &'a [u8] {
    let end = if field.raw.ends_with(b"\r\n") { 2 } else { 0 };
    field.raw.get(field.raw.len() - end - field.value.len()..).unwrap_or_default()
}

fn addresses(field: Field<'_>) -> Vec<Address> {
    let mailboxes = list::mailboxes(field.value).unwrap_or_default();
    mailboxes.into_iter().map(|mailbox| mailbox.address).collect()
}

/// The new From, and what is left of the old one.
fn write(out: &mut Vec<u8>, old: &Field<'_>, sender: &Address, authors: &[Address], answers: bool) {
    out.extend_from_slice(b"From:");
    if let Some(author) = authors.first() {
        let name = name(old.value);
        let (open, close) = if name.is_empty() { ("", "") } else { ("(", ")") };
        if !name.is_empty() {
            out.push(b' ');
            out.extend_from_slice(&name);
            out.extend_from_slice(b"\r\n");
        }
        out.push(b' ');
        out.extend_from_slice(&quoted(format!("{open}{author}{close}").as_bytes()));
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(format!(" <{sender}>\r\n").as_bytes());
    let reachable = |author: &&Address| author.domain().contains('.');
    let to: Vec<&str> = authors.iter().filter(reachable).map(Address::as_str).collect();
    if !answers && !to.is_empty() {
        out.extend_from_slice(format!("Reply-To: {}\r\n", to.join(",\r\n ")).as_bytes());
    }
    // What is no ASCII would need SMTPUTF8 for nothing.
    if old.value.is_ascii() && old.is_well_formed() {
        out.extend_from_slice(b"Original-From:");
        out.extend_from_slice(old.value);
        out.extend_from_slice(b"\r\n");
    }
}

/// The name before the first address, as it may stand before another one; empty where there is
/// none.
fn name(value: &[u8]) -> Vec<u8> {
    let Some(first) = list::mailboxes(value).ok().and_then(|list| list.into_iter().next()) else {
        return Vec::new();
    };
    let before = value.get(..first.place.start).unwrap_or_default().trim_ascii_end();
    let Some(before) = before.strip_suffix(b"<") else { return Vec::new() };
    let name = before.trim_ascii();
    if is_phrase(name) {
        return name.to_vec();
    }
    // Something that only lenient readers take for a name.
    let odd = name.iter().any(|b| b"<>()[]\r\n".contains(b) || b.is_ascii_control());
    if odd { Vec::new() } else { quoted(name) }
}

/// Words and quoted strings, with blanks between them. RFC 5322 §3.2.5, and octets above 127.
fn is_phrase(text: &[u8]) -> bool {
    let (mut quoted, mut escaped) = (false, false);
    for b in text {
        match (quoted, b) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => quoted = !quoted,
            (true, _) | (false, b' ' | b'\t' | b'\r' | b'\n' | b'.') => {}
            (false, b) if b.is_ascii_alphanumeric() || *b > 127 => {}
            (false, b) if b"!#$%&'*+-/=?^_`{|}~".contains(b) => {}
            _ => return false,
        }
    }
    !quoted
}

fn quoted(text: &[u8]) -> Vec<u8> {
    let mut out = vec![b'"'];
    for b in text {
        if matches!(b, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(*b);
    }
    out.push(b'"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: &str = "me@gmail.com";

    fn address(text: &str) -> Address {
        Address::parse(text).expect("an address")
    }

    fn replaced(header: &str) -> Option<String> {
        let takes = |a: &Address| a.as_str() == ME || a.domain() == "mine.example";
        let out = replace(header.as_bytes(), &address(ME), takes)?;
        Some(String::from_utf8(out).expect("text"))
    }

    fn masked(header: &str) -> Option<String> {
        let stands = |sender: &Address| match (sender.local(), sender.domain()) {
            ("root", "nas.lan" | "") => Some(address("me@example.org")),
            (_, "nas.lan") => sender.at_domain("example.org").ok(),
            _ => None,
        };
        let out = masquerade(header.as_bytes(), stands)?;
        Some(String::from_utf8(out).expect("text"))
    }

    #[test]
    fn an_address_that_nobody_outside_knows_is_another_and_all_around_it_stays() {
        for (old, new) in [
            ("From: cam@nas.lan\r\n\r\n", "From: cam@example.org\r\n\r\n"),
            (
                "From:  \"Root, the\" <root@nas.lan> (cron)\r\nTo: root@nas.lan\r\n\r\n",
                "From:  \"Root, the\" <me@example.org> (cron)\r\nTo: root@nas.lan\r\n\r\n",
            ),
            ("FROM :root\r\nSubject: x\r\n", "FROM :me@example.org\r\nSubject: x\r\n"),
            (
                "From: a@nas.lan,\r\n b@x.example, C <c@nas.lan>\r\nReply-To: d@nas.lan\r\n\r\n",
                "From: a@example.org,\r\n b@x.example, C <c@example.org>\r\nReply-To: \
                 d@example.org\r\n\r\n",
            ),
            ("Sender: root@nas.lan\r\n\r\n", "Sender: me@example.org\r\n\r\n"),
            ("A: b\r\nFrom: a@nas.lan", "A: b\r\nFrom: a@example.org"),
        ] {
            assert_eq!(masked(old).as_deref(), Some(new), "{old}");
            assert_eq!(masked(new), None, "once is enough: {new}");
        }
        for same in [
            "From: me@example.org\r\n\r\n",
            "X-From: a@nas.lan\r\n\r\n",
            "From: <a@nas.lan\r\n\r\n",
            "\r\n",
            "",
        ] {
            assert_eq!(masked(same), None, "{same}");
        }
    }

    #[test]
    fn what_is_taken_stays_octet_by_octet() {
        for header in [
            "From: me@gmail.com\r\n\r\n",
            "Subject: x\r\nfrom : \"Me\" <me@gmail.com>\r\n\r\n",
            "From: a@mine.example, b@mine.example\r\nSender: a@mine.example\r\n\r\n",
        ] {
            assert_eq!(replaced(header), None, "{header}");
        }
    }

    #[test]
    fn the_name_and_the_one_it_was_from_stay_readable() {
        for (from, new) in [
            ("cam@home.lan", " \"cam@home.lan\"\r\n <me@gmail.com>"),
            ("<cam@home.lan>", " \"cam@home.lan\"\r\n <me@gmail.com>"),
            ("Front Door <cam@home.lan>", " Front Door\r\n \"(cam@home.lan)\"\r\n <me@gmail.com>"),
            (
                "\"Door, \\\"front\\\"\" <cam@home.lan>",
                " \"Door, \\\"front\\\"\"\r\n \"(cam@home.lan)\"\r\n <me@gmail.com>",
            ),
            (
                "=?UTF-8?Q?T=C3=BCr?= <cam@home.lan>",
                " =?UTF-8?Q?T=C3=BCr?=\r\n \"(cam@home.lan)\"\r\n <me@gmail.com>",
            ),
            ("cam@x <cam@home.lan>", " \"cam@x\"\r\n \"(cam@home.lan)\"\r\n <me@gmail.com>"),
            ("cam@home.lan (Front Door)", " \"cam@home.lan\"\r\n <me@gmail.com>"),
        ] {
            let out = replaced(&format!("A: b\r\nFrom: {from}\r\nTo: x@y\r\n\r\n")).expect(from);
            let whole = format!(
                "A: b\r\nFrom:{new}\r\nReply-To: cam@home.lan\r\nOriginal-From: {from}\r\nTo: \
                 x@y\r\n\r\n"
            );
            assert_eq!(out, whole, "{from}");
            let made = header::find(out.as_bytes(), "From").expect("it is there");
            let authors = addresses(made);
            assert_eq!(authors, [address(ME)], "every reader sees one author: {from}");
            assert_eq!(replaced(&out), None, "once is enough");
        }
    }

    #[test]
    fn answers_go_where_they_were_to_go() {
        let out = replaced("From: cam@home.lan\r\nReply-To: you@x.example\r\n\r\n").expect("new");
        assert!(out.ends_with("Original-From: cam@home.lan\r\nReply-To: you@x.example\r\n\r\n"));
        let out = replaced("From: root@raspberrypi\r\n\r\n").expect("new");
        assert!(!out.contains("Reply-To"), "nobody could answer there: {out}");
        let out = replaced("From: a@x.example, b@y.example\r\n\r\n").expect("new");
        assert!(out.contains("\r\nReply-To: a@x.example,\r\n b@y.example\r\n"), "{out}");
    }

    #[test]
    fn there_is_one_author_and_one_sender_in_the_end() {
        let two = "From: me@gmail.com\r\nFrom: eve@x.example\r\nSender: eve@x.example\r\n\r\n";
        let out = replaced(two).expect("new");
        assert_eq!(out.matches("\r\nFrom").count() + usize::from(out.starts_with("From")), 1);
        assert!(!out.contains("Sender:"), "{out}");
        let out = replaced("From: me@gmail.com\r\nSender: cron@x.example\r\n\r\n").expect("new");
        assert!(out.starts_with("From:") && !out.contains("Sender:"), "{out}");
        for (none, new) in [
            ("Subject: x\r\n\r\n", "Subject: x\r\nFrom: <me@gmail.com>\r\n\r\n"),
            ("Subject: x\r\n", "Subject: x\r\nFrom: <me@gmail.com>\r\n"),
            ("\r\n", "From: <me@gmail.com>\r\n\r\n"),
            ("", "From: <me@gmail.com>\r\n\r\n"),
        ] {
            assert_eq!(replaced(none).as_deref(), Some(new));
        }
        let unreadable = replaced("From: <<>\r\n\r\n").expect("new");
        assert_eq!(unreadable, "From: <me@gmail.com>\r\nOriginal-From: <<>\r\n\r\n");
    }

    #[test]
    fn whatever_comes_in_every_reader_sees_the_sender_alone() {
        let signs = ["<", ">", ",", ";", ":", "\"", "\\", "(", ")", "a@b.example", " ", "=?", "@"];
        let mut state = 7u64;
        for _ in 0..20_000 {
            let mut value = String::new();
            for _ in 0..8 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let n = usize::try_from(state >> 33).expect("31 bits") % signs.len();
                value += signs[n];
            }
            let Some(out) = replaced(&format!("From: {value}\r\nTo: x@y\r\n\r\n")) else {
                panic!("nobody of these is taken: {value}")
            };
            let from = header::fields(out.as_bytes()).filter(|field| field.is("From"));
            let authors: Vec<_> = from.flat_map(addresses).collect();
            assert_eq!(authors, [address(ME)], "{value}: {out}");
        }
    }
}
