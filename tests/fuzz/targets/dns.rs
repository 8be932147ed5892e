//! DNS: any answer to our questions, and our questions themselves.

use crate::input::Input;
use waypost::{
    limits,
    proto::dns::{Answer, Data, Kind, Payload, Question, ascii_name, parse, query},
};

pub(crate) fn check(data: &[u8]) {
    let input = Input::new(data);
    let kinds = [Kind::Mx, Kind::A, Kind::Aaaa, Kind::Txt, Kind::Tlsa, Kind::Ptr];
    let question = Question { name: "example.org".into(), kind: input.one_of(0, &kinds) };
    // The id is right: a wrong one ends everything at once.
    let id = input.octets.first_chunk().map_or(0, |id| u16::from_be_bytes(*id));
    if let Ok(response) = parse(input.octets, id, &question) {
        is_usable(&response.answer, &question);
    }
    name_is_asked(input.text(), question.kind);
}

/// Answers of every kind to the question that is asked.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let name = b"\x07example\x03org\0";
    let mut seeds = Vec::new();
    let records: [(u16, &[u8]); 10] = [
        (15, b"\0\x0a\x02mx\xc0\x0c"),
        (15, b"\0\0\0"),
        (1, &[192, 0, 2, 1]),
        (28, &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
        (16, b"\x03abc\x01d"),
        (5, b"\x05alias\xc0\x0c"),
        (6, b"\xc0\x0c\xc0\x0c\0\0\0\x01\0\0\0\x02\0\0\0\x03\0\0\0\x04\0\0\0\x05"),
        (41, b""),
        (52, b"\x03\x01\x01\xaa\xbb"),
        (12, b"\x02mx\xc0\x0c"),
    ];
    for (choice, kind) in [(0, 15u16), (1, 1), (2, 28), (3, 16), (4, 52), (5, 12)] {
        for flags in [0x8180u16, 0x8183, 0x8182, 0x8380, 0x81a0] {
            for (first, second) in (0..records.len()).flat_map(|n| [(n, n), (n, 5), (5, n)]) {
                let mut message = b"\0\x07".to_vec();
                message.extend(flags.to_be_bytes());
                message.extend(b"\0\x01\0\x02\0\x01\0\0");
                message.extend(name);
                message.extend([kind.to_be_bytes(), 1u16.to_be_bytes()].concat());
                for n in [first, second, 6] {
                    let (kind, data) = records[n];
                    message.extend(b"\xc0\x0c");
                    message.extend([kind.to_be_bytes(), 1u16.to_be_bytes()].concat());
                    message.extend(b"\0\0\x0e\x10");
                    message.extend(u16::try_from(data.len()).expect("short").to_be_bytes());
                    message.extend(data);
                }
                seeds.push(Input::compose(&message, &[choice]));
            }
        }
    }
    for name in ["Example.ORG.", "b\u{fc}cher.example", "xn--bcher-kva.example", "a..b", "_x.y"] {
        seeds.push(Input::compose(name.as_bytes(), &[0]));
    }
    seeds
}

fn is_usable(answer: &Answer, question: &Question) {
    match answer {
        Answer::Found(records) => {
            assert!((1..=limits::DNS_RECORDS).contains(&records.len()));
            for record in records {
                let fits = match record {
                    Data::A(_) => question.kind == Kind::A,
                    Data::Aaaa(_) => question.kind == Kind::Aaaa,
                    Data::Txt(_) => question.kind == Kind::Txt,
                    Data::Mx(_, host) => question.kind == Kind::Mx && is_plain(host),
                    Data::Tlsa(_) => question.kind == Kind::Tlsa,
                    Data::Ptr(host) => question.kind == Kind::Ptr && is_plain(host),
                };
                assert!(fits, "{record:?} is no answer to {question:?}");
            }
        }
        Answer::Elsewhere(name) => {
            assert!(is_plain(name));
            let question = Question { name: name.clone(), ..question.clone() };
            // What a host may be called can be asked for; the resolver bears that others cannot.
            let host = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            let asked = query(1, &question, Payload::Plain, true);
            assert!(asked.is_some() || name.is_empty() || !name.chars().all(host), "{name:?}");
        }
        Answer::Unable(code) => assert!(*code < 16 || *code == 2),
        Answer::NoData | Answer::NoName | Answer::Truncated => {}
    }
}

/// A name that may be shown and logged.
fn is_plain(name: &str) -> bool {
    // 255 octets, each of which may be shown as `\123`.
    name.len() <= 4 * 255 && name.chars().all(|c| c.is_ascii_graphic() && !c.is_ascii_uppercase())
}

/// A name that was made one for DNS stays so, and a question about it is understood by ourselves.
fn name_is_asked(text: &str, kind: Kind) {
    let Some(name) = ascii_name(text) else { return };
    assert!(name.is_ascii() && !name.ends_with('.') && is_plain(&name), "{name:?}");
    assert_eq!(ascii_name(&name).as_deref(), Some(&*name), "a name stays as it is");
    let question = Question { name, kind };
    for payload in [Payload::Large, Payload::Plain] {
        let mut octets =
            query(0x1234, &question, payload, true).expect("a name that can be asked for");
        assert!(octets.len() <= 512, "a question is small");
        octets[2] |= 0x80;
        let response = parse(&octets, 0x1234, &question).expect("our own question");
        assert_eq!(response.answer, Answer::NoData);
    }
}
