//! What is signed, by which keys, and that it verifies.

use super::*;
use crate::{
    config::{Document, Surroundings},
    proto::{
        machine::{Machine, Step},
        mail::{address::Address, dkim::verify_tests::verdicts},
        smtp::client::{Answer, Ask, Chunking, Forward, Outgoing, Plan, Security, Session, Takes},
    },
    relay::recast::Recast,
    sys::{keys, linux},
};
use std::{cell::Cell, path::PathBuf};

/// A relay's data directory with keys in it, and the machine around it.
struct House {
    sys: Sys,
    executor: linux::Executor,
    data: PathBuf,
    ring: Keyring,
}

impl House {
    /// With a key for each of these `selector domain`: an RSA one, and Ed25519 ones.
    fn new(name: &str, keys: &[&str]) -> House {
        let data = std::env::temp_dir().join(format!("waypost-sign-{name}-{}", std::process::id()));
        let (sys, executor) = linux::world(&data).expect("a world");
        let house = House { sys, executor, data, ring: Keyring::default() };
        std::fs::create_dir_all(house.data.join(KEYS)).expect("a folder");
        for (n, words) in keys.iter().enumerate() {
            let (selector, domain) = words.split_once(' ').expect("two words");
            let pem = match n {
                0 => include_str!("../../../tests/keys/openssl-rsa.pem").to_string(),
                _ => keys::make(Kind::Ed25519).expect("made").to_string(),
            };
            std::fs::write(house.data.join(path(domain, selector)), pem).expect("written");
        }
        let troubles = house.load(keys);
        assert_eq!(troubles, [""; 0]);
        house
    }

    fn load(&self, keys: &[&str]) -> Vec<String> {
        let keys = keys.iter().map(|words| {
            let (selector, domain) = words.split_once(' ').expect("two words");
            format!("{{\"domain\": \"{domain}\", \"selector\": \"{selector}\"}}")
        });
        let text = format!("{{\"signing\": [{}]}}", keys.collect::<Vec<_>>().join(","));
        let document = Document::parse(&text).expect("a document");
        let config = document.config(&Surroundings::default()).expect("a configuration");
        self.executor.run(self.ring.load(&self.sys, &config))
    }

    fn sign(&self, message: &dyn Octets) -> Signed {
        self.executor.run(self.ring.sign(&self.sys, message)).expect("readable")
    }

    /// The message as it is sent, read in chunks.
    fn sent(&self, message: &[u8]) -> Vec<u8> {
        let Signed::By { fields, .. } = self.sign(&message.to_vec()) else { panic!("unsigned") };
        let topped = Topped { fields, message: message.to_vec() };
        let mut sent = Vec::new();
        while sent.len() as u64 != topped.size() {
            let chunk = topped.chunk(sent.len() as u64);
            let chunk = self.executor.run(chunk).expect("readable");
            assert!((1..=limits::CHUNK_BYTES).contains(&chunk.len()));
            sent.extend(chunk);
        }
        sent
    }

    /// What a server that offers this has of a message that is signed after it was fitted, or
    /// before: the octets behind its DATA or BDAT.
    fn received(&self, message: &[u8], offers: &str, fit: bool) -> Vec<u8> {
        let (mut message, mut outgoing) = (Recast::new(message.to_vec()), outgoing());
        let takes =
            Takes { eight_bit: offers.contains("8BITMIME"), utf8: offers.contains("SMTPUTF8") };
        if fit {
            let fits = self.executor.run(message.fit(&mut outgoing, takes)).expect("readable");
            assert!(fits);
        }
        let Signed::By { fields, .. } = self.sign(&message) else { panic!("unsigned") };
        let topped = Topped { fields, message };
        outgoing.size = topped.size();
        let mut session = Session::new(Plan {
            hello: "relay.example".into(),
            security: Security::None,
            login: None,
            host: "mx".into(),
            chunking: Chunking::Large,
        });
        let mut replies = ["220 mx\r\n", offers, "250 a\r\n", "250 b\r\n", "354 c\r\n"].into_iter();
        let mut said = Vec::new();
        loop {
            match session.step() {
                Step::Ask(Ask::Next(told)) => {
                    assert_eq!(told, takes);
                    session.answer(Answer::Send(Box::new(outgoing.clone())));
                }
                Step::Ask(Ask::Chunk(offset)) => {
                    let octets = self.executor.run(topped.chunk(offset)).expect("readable");
                    session.answer(Answer::Chunk(octets));
                }
                Step::Write => said.append(&mut session.pipe().output),
                Step::Read => {
                    said.append(&mut session.pipe().output);
                    let Some(reply) = replies.next() else { break };
                    session.pipe().input.extend_from_slice(reply.as_bytes());
                }
                _ => panic!("not on the way to the end of the message"),
            }
        }
        let at = said.windows(6).position(|word| word == b"DATA\r\n").expect("DATA") + 6;
        said[at..].strip_suffix(b".\r\n").expect("the end").to_vec()
    }

    fn verdicts(&self, sent: &[u8]) -> Vec<(String, bool)> {
        let records: Vec<Record> = self.ring.all().iter().map(|key| key.record()).collect();
        verdicts(sent, &records)
    }
}

impl Drop for House {
    fn drop(&mut self) {
        let _the_system_clears_its_own_folder = std::fs::remove_dir_all(&self.data);
    }
}

fn outgoing() -> Outgoing {
    let to = Address::parse("c@d.example").expect("an address");
    Outgoing {
        from: None,
        to: vec![Forward { to, orcpt: String::new(), notify: None }],
        size: 0,
        eight_bit: true,
        utf8: true,
        ret_headers: None,
        envid: String::new(),
    }
}

const LETTER: &str = "Received: from x\r\nFrom: A <a@b.example>\r\nTo: c@d.example\r\n\
                      Subject: long\r\n  and folded\r\nDate: d\r\n\r\nBody \t of\r\nit.\r\n\r\n";

fn right(selector: &str) -> (String, bool) {
    (selector.to_string(), true)
}

#[test]
fn every_key_of_the_domain_signs_what_is_sent() {
    let house = House::new("every", &["r b.example", "e b.example", "r d.example"]);
    let large = format!("{LETTER}{}", "0123456789 abcdef \r\n".repeat(5_000));
    let eight = LETTER.replace("Body", "B\u{f6}dy").replace("long", "l\u{f6}ng");
    let no_end = LETTER.trim_end();
    for message in [LETTER, &large, &eight, no_end, LETTER.split_once("Body").expect("it").0] {
        let sent = house.sent(message.as_bytes());
        assert!(sent.ends_with(message.as_bytes()), "the message itself is as it was");
        assert_eq!(house.verdicts(&sent), [right("r"), right("e")], "{message:.200}");
        // What servers do to blanks, folding and what is before the header does no harm.
        let text = String::from_utf8(sent).expect("text");
        let handled = text.replace("long\r\n  and", "long and").replace("Subject: ", "SUBJECT:\t");
        let handled = format!("Received: by y\r\n{handled}");
        assert_eq!(house.verdicts(handled.as_bytes()), [right("r"), right("e")]);
        // What would change the message for a reader breaks both.
        for (from, to) in [
            ("Subject: long", "Subject: short"),
            ("Subject: l", "Subject: x\r\nSubject: l"),
            ("To: c@d.example\r\n", ""),
            ("Subject:", "Content-Type: text/html\r\nSubject:"),
            ("Subject:", "Reply-To: x@y.example\r\nSubject:"),
            ("From:", "From: x@y.example\r\nFrom:"),
            ("it.", "that."),
        ] {
            let changed = text.replacen(from, to, 1);
            if changed != text {
                let found = house.verdicts(changed.as_bytes());
                assert_eq!(found, [("r".into(), false), ("e".into(), false)], "{from} {to}");
            }
        }
    }
}

#[test]
fn what_is_signed_is_what_a_server_gets_whatever_it_takes() {
    let house = House::new("fitted", &["r b.example", "e b.example"]);
    let letter = LETTER.replace("Body", "B\u{f6}dy").replace("long", "l\u{f6}ng");
    for (offers, header, body) in [
        ("250 mx\r\n", "=?utf-8?", "B=C3=B6dy"),
        ("250-mx\r\n250 8BITMIME\r\n", "=?utf-8?", "B\u{f6}dy"),
        ("250-mx\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n", "l\u{f6}ng", "B\u{f6}dy"),
    ] {
        let received = house.received(letter.as_bytes(), offers, true);
        assert_eq!(house.verdicts(&received), [right("r"), right("e")], "{offers}");
        let text = String::from_utf8(received).expect("text");
        assert!(text.contains(header) && text.contains(body), "{offers}{text}");
    }
    // Signed first and converted by the session, it would be broken.
    let broken = house.received(letter.as_bytes(), "250 mx\r\n", false);
    assert_eq!(house.verdicts(&broken), [("r".into(), false), ("e".into(), false)]);
}

#[test]
fn a_domain_is_signed_by_its_own_key_or_by_the_nearest_one_above() {
    let house = House::new("above", &["r b.example", "e sub.b.example"]);
    for (author, by) in [
        ("a@b.example", Some("r._domainkey.b.example (rsa-sha256)")),
        ("a@B.EXAMPLE", Some("r._domainkey.b.example (rsa-sha256)")),
        ("a@camera.b.example", Some("r._domainkey.b.example (rsa-sha256)")),
        ("a@sub.b.example", Some("e._domainkey.sub.b.example (ed25519-sha256)")),
        ("a@x.sub.b.example", Some("e._domainkey.sub.b.example (ed25519-sha256)")),
        ("a@xb.example", None),
        ("a@example", None),
        ("a@c.example", None),
    ] {
        let signed = house.sign(&LETTER.replace("a@b.example", author).into_bytes());
        match (signed, by) {
            (Signed::By { keys, .. }, Some(by)) => assert_eq!(keys, [by], "{author}"),
            (signed, by) => assert_eq!((signed, by), (Signed::No, None), "{author}"),
        }
    }
}

#[test]
fn what_is_signed_already_or_has_no_author_is_left_alone() {
    let house = House::new("already", &["r b.example"]);
    let signed = |before: &str| {
        let message = format!("{before}{LETTER}").into_bytes();
        matches!(house.sign(&message), Signed::By { .. })
    };
    assert!(signed(""));
    assert!(signed("DKIM-Signature: v=1; d=other.example; s=r; b=x\r\n"));
    assert!(!signed("DKIM-Signature: v=1; d=b.example; s=other; b=x\r\n"));
    assert!(!signed("From: x@b.example\r\n"));
    assert_eq!(house.sign(&b"no header at all\r\n".to_vec()), Signed::No);
    assert_eq!(house.sign(&Vec::new()), Signed::No);
}

#[test]
fn keys_that_cannot_be_used_are_told_and_the_others_sign() {
    let house = House::new("unusable", &["r b.example"]);
    std::fs::write(house.data.join("keys/b.example.bad.pem"), "hunter2").expect("written");
    std::fs::write(house.data.join("keys/b.example.long.pem"), "x".repeat(20_000)).expect("it");
    let keys = ["r b.example", "gone b.example", "bad b.example", "long b.example"];
    let expected = [
        "keys/b.example.gone.pem: the key is not there",
        "keys/b.example.bad.pem: there is no private key in PEM in it",
        "keys/b.example.long.pem: it is too long for a key",
    ];
    assert_eq!(house.load(&keys), expected);
    assert_eq!(house.verdicts(&house.sent(LETTER.as_bytes())), [right("r")]);
    assert_eq!(house.load(&[]), [""; 0]);
    assert_eq!(house.sign(&LETTER.as_bytes().to_vec()), Signed::No);
}

/// A message that cannot be read beyond some octet.
struct Torn {
    text: Vec<u8>,
    until: u64,
    reads: Cell<u32>,
}

impl Octets for Torn {
    fn size(&self) -> u64 {
        self.text.size()
    }
    fn chunk(&self, offset: u64) -> Pending<'_, io::Result<Vec<u8>>> {
        self.reads.set(self.reads.get() + 1);
        if offset >= self.until {
            return Box::pin(std::future::ready(Err(io::Error::other("torn"))));
        }
        self.text.chunk(offset)
    }
}

#[test]
fn a_message_that_cannot_be_read_is_an_error_and_no_half_signature() {
    let house = House::new("torn", &["r b.example"]);
    let text = format!("{LETTER}{}", "x".repeat(100_000)).into_bytes();
    for until in [0, 20_000, 90_000] {
        let torn = Torn { text: text.clone(), until, reads: Cell::new(0) };
        assert!(house.executor.run(house.ring.sign(&house.sys, &torn)).is_err());
    }
    // Of a stranger's domain no more is read than the header.
    let other = String::from_utf8(text).expect("text").replace("b.example", "z.example");
    let torn = Torn { text: other.into_bytes(), until: 1, reads: Cell::new(0) };
    assert_eq!(house.sign(&torn), Signed::No);
    assert_eq!(torn.reads.get(), 1);
}

#[test]
fn a_header_beyond_its_bound_is_not_signed_and_that_is_told() {
    let house = House::new("long", &["r b.example"]);
    let long = format!("X: {}\r\n", "x".repeat(900));
    let count = limits::HEADER_BYTES / long.len();
    let message = |count: usize| format!("{}{LETTER}", long.repeat(count)).into_bytes();
    assert!(matches!(house.sign(&message(count - 1)), Signed::By { .. }));
    assert!(matches!(house.sign(&message(count + 1)), Signed::Failed(_)));
}
