//! The messages of RFC 5322 appendix A, read by everything here that reads.

use super::{
    address::Address,
    date, header, list, received,
    repair::{self, Origin, Preparation},
};
use crate::time::Wall;

/// What a message reads as: From, To and Cc, seconds of Date, Message-ID, Subject, Received fields.
type Reading = (&'static str, &'static str, &'static str, i64, &'static str, &'static str, usize);

macro_rules! vector {
    ($name:literal) => {
        include_str!(concat!("../../../tests/vectors/mail/", $name, ".eml"))
    };
}

const HELLO: i64 = 880_127_706;

#[rustfmt::skip]
const APPENDIX_A: [(&str, Reading); 11] = [
    (vector!("a1-1-simple"), ("jdoe@machine.example", "mary@example.net", "",
        HELLO, "1234@local.machine.example", "Saying Hello", 0)),
    (vector!("a1-1-sender"), ("jdoe@machine.example", "mary@example.net", "",
        HELLO, "1234@local.machine.example", "Saying Hello", 0)),
    (vector!("a1-2-mailboxes"), ("john.q.public@example.com",
        "mary@x.test jdoe@example.org one@y.test",
        "boss@nil.test sysservices@example.net",
        1_057_049_557, "5678.21-Nov-1997@example.com", "", 0)),
    (vector!("a1-3-group"), ("pete@silly.example", "c@a.test joe@where.test jdoe@one.test", "",
        -27_723_426, "testabcd.1234@silly.example", "", 0)),
    (vector!("a2-reply"), ("mary@example.net", "jdoe@machine.example", "",
        880_128_070, "3456@example.net", "Re: Saying Hello", 0)),
    (vector!("a3-resent"), ("jdoe@machine.example", "mary@example.net", "",
        HELLO, "1234@local.machine.example", "Saying Hello", 0)),
    (vector!("a4-trace"), ("jdoe@node.example", "mary@example.net", "",
        HELLO, "1234@local.node.example", "Saying Hello", 2)),
    (vector!("a5-comments"), ("pete@silly.test",
        "c@public.example joe@example.org jdoe@one.test", "",
        -27_723_480, "testabcd.1234@silly.test", "", 0)),
    (vector!("a6-1-obsolete-addresses"), ("john.q.public@example.com",
        "mary@example.net jdoe@test.example", "",
        1_057_049_557, "5678.21-Nov-1997@example.com", "", 0)),
    (vector!("a6-2-obsolete-dates"), ("jdoe@machine.example", "mary@example.net", "",
        880_106_106, "1234@local.machine.example", "Saying Hello", 0)),
    // Blanks within a Message-ID are allowed by §4.5.4 and written by nobody: such an id is not
    // shown.
    (vector!("a6-3-obsolete-space"), ("jdoe@machine.example", "mary@example.net", "",
        HELLO, "", "Saying Hello", 0)),
];

fn read(message: &str) -> header::Parts {
    let mut reader = header::Reader::default();
    reader.push(message.replace('\n', "\r\n").as_bytes()).expect("short");
    reader.finish()
}

fn addresses(header: &[u8], name: &str) -> String {
    let value = header::find(header, name).map_or(&b""[..], |field| field.value);
    let found = list::mailboxes(value).expect("readable");
    found.iter().map(|m| m.address.to_string()).collect::<Vec<_>>().join(" ")
}

#[test]
fn the_examples_of_rfc_5322_read_as_it_says() {
    for (message, (from, to, cc, date, id, subject, trace)) in APPENDIX_A {
        let parts = read(message);
        let header = &parts.header;
        assert_eq!(addresses(header, "From"), from, "{message}");
        assert_eq!(addresses(header, "To"), to, "{message}");
        assert_eq!(addresses(header, "Cc"), cc, "{message}");
        let field = header::find(header, "Date").expect("each has one");
        assert_eq!(date::parse(field.value), Some(date), "{message}");
        assert_eq!(header::message_id(header), id, "{message}");
        assert_eq!(super::mime::subject(header), subject, "{message}");
        assert_eq!(received::count(header), trace, "{message}");
        assert!(!parts.body.is_empty() && !parts.body.starts_with(b"\r"));
    }
}

#[test]
fn the_examples_of_rfc_5322_need_no_repair() {
    let from = Address::parse("x@y.example").expect("valid");
    for (message, (.., date, _, _, _)) in APPENDIX_A {
        let header = read(message).header;
        let how = Preparation {
            origin: Origin::Submitted,
            hostname: "relay.home.arpa",
            domain: "home.arpa",
            from: Some(&from),
            wall: Some(Wall(1_795_338_720)),
            random: 7,
        };
        let prepared = repair::prepare(&header, &how).expect("acceptable");
        // Two of them are from before 1970, when there was no mail: their clocks were not set.
        if date > 0 {
            assert_eq!(prepared.header, header, "{:?}", prepared.repairs);
        } else {
            assert_eq!(prepared.repairs, ["Date replaced"]);
        }
    }
}
