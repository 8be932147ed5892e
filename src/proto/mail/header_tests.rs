//! Tests of the header reader, hostile input among them.

use super::*;
use crate::{chance::Chance, proto::mail::list};

fn read_in(message: &[u8], piece: usize) -> Result<Parts, TooLong> {
    let mut reader = Reader::default();
    let mut rest = message;
    while !rest.is_empty() {
        let (now, later) = rest.split_at(piece.min(rest.len()));
        rest = later;
        if reader.push(now)? == Progress::Whole {
            break;
        }
    }
    let mut parts = reader.finish();
    parts.body.extend_from_slice(rest);
    Ok(parts)
}

fn read(message: &str) -> (String, String) {
    let parts = read_in(message.as_bytes(), message.len().max(1)).expect("short enough");
    for piece in 1..message.len().min(40) {
        assert_eq!(read_in(message.as_bytes(), piece), Ok(parts.clone()), "{message:?} by {piece}");
    }
    let text = |octets| String::from_utf8(octets).expect("the tests are UTF-8");
    (text(parts.header), text(parts.body))
}

#[test]
fn a_header_ends_at_the_first_empty_line() {
    let cut = |header: &str, body: &str| {
        assert_eq!(read(&format!("{header}{body}")), (header.into(), body.into()));
    };
    cut("A: b\r\n\r\n", "C: d\r\n\r\n");
    cut("A: b\r\n c\r\n\td\r\nE : f\r\n\r\n", "");
    cut("A: b\r\n", "");
    cut("A: b", "");
    cut("\r\n", "body");
    cut("A: b\nC: d\r\n\rx\r\n\r\n", "body\r\n");
    cut("A: b\r\nno field\r\n\r\n", "body\r\n");
    cut("", "");
}

#[test]
fn a_message_whose_first_line_is_no_field_is_all_body() {
    for body in [
        "Motion at the door\r\n\r\nA: b\r\n",
        " A: b\r\n\r\n",
        ": b\r\n\r\n",
        "A b: c\r\n",
        "\u{e9}: c\r\n",
        "AAAA",
        "A  ",
        "\nA: b\r\n",
    ] {
        assert_eq!(read(body), (String::new(), body.into()));
    }
}

#[test]
fn a_name_without_colon_is_given_up_at_its_bound() {
    let exactly = format!("{}: x\r\n\r\n", "a".repeat(limits::FIELD_NAME_BYTES - 1));
    assert_eq!(read(&exactly).1, "");
    let past = format!("{}: x\r\n\r\n", "a".repeat(limits::FIELD_NAME_BYTES));
    assert_eq!(read(&past), (String::new(), past.clone()));
    let mut reader = Reader::default();
    let endless = vec![b'a'; limits::FIELD_NAME_BYTES - 1];
    assert_eq!(reader.push(&endless), Ok(Progress::More));
    assert_eq!(reader.push(b"a"), Ok(Progress::Whole), "no need to wait for the line's end");
}

#[test]
fn a_header_may_be_as_long_as_the_bound_and_no_longer() {
    let header = |size: usize| {
        let mut octets = b"X: ".to_vec();
        octets.resize(size - 4, b'x');
        octets.extend_from_slice(b"\r\n\r\nbody");
        octets
    };
    for piece in [1000, 16 * 1024, 1 << 20] {
        let exactly = read_in(&header(limits::HEADER_BYTES), piece).expect("just fits");
        assert_eq!((exactly.header.len(), exactly.body), (limits::HEADER_BYTES, b"body".to_vec()));
        assert_eq!(read_in(&header(limits::HEADER_BYTES + 1), piece), Err(TooLong));
    }
}

#[test]
fn fields_keep_their_octets_and_find_their_names() {
    let header = b"Subject : a\r\n b \r\nno field\r\n\tmore\r\nX-Y:\r\nsubject: c\r\n\r\nZ: z\r\n";
    let all: Vec<_> = fields(header).map(|f| (f.name, f.value)).collect();
    let expected: [(&str, &[u8]); 4] =
        [("Subject", b" a\r\n b "), ("", b"no field\r\n\tmore"), ("X-Y", b""), ("subject", b" c")];
    assert_eq!(all, expected);
    let joined: Vec<u8> = fields(header).flat_map(|f| f.raw.to_vec()).collect();
    assert!(header.starts_with(&joined), "nothing is lost between fields");
    assert_eq!(unfold(find(header, "SUBJECT").expect("there").value), b"a b");
    assert_eq!(find(header, "Z"), None, "that is body");
}

#[test]
fn controls_that_hide_lines_are_told() {
    for (value, good) in [
        ("A: b\r\n c\r\n", true),
        ("A: \u{1b}$B\r\n", true),
        ("A: b\0c\r\n", false),
        ("A: b\rc\r\n", false),
        ("A: b\nBcc: c\r\n", false),
        ("A: b\r\r\n", false),
        ("A b\r\n", false),
    ] {
        let first = fields(value.as_bytes()).next().expect("one");
        assert_eq!(first.is_well_formed(), good, "{value:?}");
    }
}

#[test]
fn a_message_id_is_found_where_it_can_be_shown() {
    for (field, id) in [
        ("Message-ID: <a.b@c>\r\n", "a.b@c"),
        ("message-id:\r\n <a@b>\r\n", "a@b"),
        ("Message-ID: a@b\r\n", "a@b"),
        ("Message-ID: (x) <a@b> y\r\n", "a@b"),
        ("Message-ID: <a b>\r\n", ""),
        ("Message-ID: <>\r\n", ""),
        ("Message-ID:\r\n", ""),
        ("Subject: x\r\n", ""),
    ] {
        assert_eq!(message_id(field.as_bytes()), id, "{field}");
    }
    let id = |n: usize| message_id(format!("Message-ID: <{}>\r\n", "i".repeat(n)).as_bytes()).len();
    assert_eq!(id(limits::MESSAGE_ID_BYTES), limits::MESSAGE_ID_BYTES);
    assert_eq!(id(limits::MESSAGE_ID_BYTES + 1), 0);
}

#[test]
fn comments_are_taken_out_and_quotes_kept() {
    let clean = |text: &str| {
        uncommented(text.as_bytes()).map(|t| String::from_utf8(t).expect("the tests are UTF-8"))
    };
    assert_eq!(clean("a(b(c)\\)d)e").as_deref(), Some("a e"));
    assert_eq!(clean("\"a(b\\\"\"(c)").as_deref(), Some("\"a(b\\\"\" "));
    assert_eq!(clean("a(b"), None);
    assert_eq!(clean("a)b").as_deref(), Some("a)b"));
}

#[test]
fn ten_thousand_fields_and_a_huge_folded_one_are_read_in_one_pass() {
    let many = "A: b\r\n".repeat(10_000) + "\r\n";
    assert_eq!(fields(many.as_bytes()).count(), 10_000);
    let folded = format!("A: b\r\n{}\r\n", " x\r\n".repeat(60_000));
    assert!(folded.len() < limits::HEADER_BYTES);
    let parts = read_in(folded.as_bytes(), 7).expect("just fits");
    let field = fields(&parts.header).next().expect("one");
    assert_eq!(field.raw.len() + 2, parts.header.len());
    assert_eq!(unfold(field.value).len(), 1 + 2 * 60_000);
}

impl Chance {
    fn octets(&mut self, pieces: &[&[u8]], most: usize) -> Vec<u8> {
        let mut octets = Vec::new();
        for _ in 0..self.below(most) {
            octets.extend_from_slice(pieces[self.below(pieces.len())]);
        }
        octets
    }
}

#[test]
fn whatever_comes_and_however_it_is_cut_the_reader_says_the_same() {
    let pieces: [&[u8]; 16] = [
        b"\r\n",
        b"\r",
        b"\n",
        b" ",
        b"\t",
        b":",
        b"A",
        b"Subject",
        b"\0",
        b"\xff",
        b"\r\n\r\n",
        b"\r\n ",
        b"From: a@b",
        b"(",
        b"\"",
        b"Message-ID: <",
    ];
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
    for _ in 0..20_000 {
        let message = chance.octets(&pieces, 24);
        let whole = read_in(&message, message.len().max(1)).expect("short");
        let cut = read_in(&message, 1 + chance.below(5)).expect("short");
        assert_eq!(whole, cut, "{:?}", message.escape_ascii().to_string());
        assert_eq!([&whole.header[..], &whole.body[..]].concat(), message);
        for field in fields(&whole.header) {
            let _good = field.is_well_formed();
            let _line = unfold(field.value);
            let _clean = uncommented(field.value);
        }
        let _id = message_id(&whole.header);
        let _subject = crate::proto::mail::mime::subject(&whole.header);
    }
}

#[test]
fn whatever_comes_an_address_list_is_read_or_refused() {
    let pieces: [&[u8]; 22] = [
        b"<",
        b">",
        b"@",
        b",",
        b";",
        b":",
        b".",
        b"(",
        b")",
        b"\"",
        b"\\",
        b"[",
        b"]",
        b" ",
        b"\r\n ",
        b"a",
        b"b.example",
        b"192.0.2.1",
        b"\xc3\xa9",
        b"\xff",
        b"\0",
        b"=?UTF-8?Q?=41?=",
    ];
    let mut chance = Chance(42);
    let mut read = 0;
    for _ in 0..50_000 {
        let value = chance.octets(&pieces, 16);
        for mailbox in list::mailboxes(&value).into_iter().flatten() {
            read += 1;
            let place = value.get(mailbox.place.clone()).expect("the place is in the value");
            assert!(!place.is_empty());
            assert!(mailbox.place.end > mailbox.place.start);
        }
        let _date = crate::proto::mail::date::parse(&value);
        let _words = crate::proto::mail::mime::decode_words(&value, 20);
    }
    assert!(read > 1000, "the pieces make real addresses too: {read}");
}
