//! Questions, answers, and what lying servers send.

use super::*;
use crate::chance::Chance;
use hickory_proto::{
    op::{Edns, Message, MessageType, OpCode, Query, ResponseCode},
    rr::{
        DNSClass, RData, Record, RecordType,
        rdata::{A, AAAA, CNAME, MX, PTR, SOA, TLSA, TXT},
    },
};

const ID: u16 = 0x1234;

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

fn question(text: &str, kind: Kind) -> Question {
    Question { name: text.into(), kind }
}

fn record(owner: &str, ttl: u32, data: RData) -> Record {
    Record::from_rdata(name(owner), ttl, data)
}

fn a(last: u8) -> RData {
    RData::A(A(Ipv4Addr::new(192, 0, 2, last)))
}

fn cname(target: &str) -> RData {
    RData::CNAME(CNAME(name(target)))
}

fn soa(minimum: u32) -> RData {
    RData::SOA(SOA::new(name("ns.example."), name("root.example."), 1, 2, 3, 4, minimum))
}

fn asked(question: &Question) -> Query {
    let kind = RecordType::from(question.kind.number());
    Query::query(wire::name(&question.name).unwrap(), kind)
}

/// A response to `question` before anything is answered.
fn response(question: &Question) -> Message {
    let mut message = Message::new(ID, MessageType::Response, OpCode::Query);
    message.add_query(asked(question));
    message
}

fn read(message: &Message, question: &Question) -> Result<Response, Stray> {
    parse(&message.to_vec().unwrap(), ID, question)
}

fn answered(question: &Question, answers: Vec<Record>) -> Answer {
    let mut message = response(question);
    message.add_answers(answers);
    read(&message, question).unwrap().answer
}

#[test]
fn a_question_has_its_id_recursion_and_the_size_we_take() {
    let octets = query(ID, &question("example.org", Kind::Mx), Payload::Large, false).unwrap();
    let message = Message::from_vec(&octets).unwrap();
    assert_eq!((message.metadata.id, message.metadata.recursion_desired), (ID, true));
    assert_eq!(message.queries[0].name().to_ascii(), "example.org.");
    assert_eq!(message.queries[0].query_type(), RecordType::MX);
    assert_eq!(message.edns.unwrap().max_payload(), 1232);
    let plain = query(ID, &question("example.org", Kind::Mx), Payload::Plain, false).unwrap();
    assert_eq!(Message::from_vec(&plain).unwrap().edns, None);
    assert_eq!(query(ID, &question("a..b", Kind::Mx), Payload::Large, false), None);
    assert!(!message.metadata.authentic_data);
    let trusting = query(ID, &question("example.org", Kind::Mx), Payload::Plain, true).unwrap();
    assert!(Message::from_vec(&trusting).unwrap().metadata.authentic_data);
}

#[test]
fn a_question_is_octet_for_octet_the_one_that_hickory_writes() {
    let mut compared = 0;
    for name in ["example.org", "a", "_25._tcp.MX.example.org", "a\\.b.example", "", "x.x.x.x."] {
        for kind in [Kind::A, Kind::Aaaa, Kind::Mx, Kind::Txt, Kind::Tlsa, Kind::Ptr] {
            for (payload, ad) in [(Payload::Large, false), (Payload::Plain, true)] {
                let ask = question(name, kind);
                let mut message = Message::new(ID, MessageType::Query, OpCode::Query);
                message.metadata.recursion_desired = true;
                message.metadata.authentic_data = ad;
                message.add_query(asked(&ask));
                if payload == Payload::Large {
                    let mut edns = Edns::new();
                    edns.set_max_payload(limits::DNS_PAYLOAD_BYTES);
                    message.set_edns(edns);
                }
                assert_eq!(query(ID, &ask, payload, ad), message.to_vec().ok(), "{ask:?}");
                compared += 1;
            }
        }
    }
    assert_eq!(compared, 72);
}

#[test]
fn a_name_is_shown_as_hickory_shows_it() {
    for octet in 0..=u8::MAX {
        for label in [vec![octet], vec![b'a', octet, octet], vec![octet, b'B']] {
            let name = Name::from_labels([label.as_slice(), b"Example", &[octet]]).unwrap();
            let shown = name.to_ascii().to_ascii_lowercase();
            assert_eq!(Some(&*plain(&name)), shown.strip_suffix('.'), "{octet}");
        }
    }
    assert_eq!(plain(&Name::root()), "");
}

#[test]
fn certificates_and_names_of_addresses_are_read() {
    let ask = question("_25._tcp.mx.example.org", Kind::Tlsa);
    let octets = vec![1, 2, 3];
    let tlsa = TLSA::new(3.into(), 1.into(), 2.into(), octets.clone());
    let found = answered(&ask, vec![record("_25._tcp.mx.example.org.", 60, RData::TLSA(tlsa))]);
    let expected = Tlsa { usage: 3, selector: 1, matching: 2, data: octets };
    assert_eq!(found, Answer::Found(vec![Data::Tlsa(expected)]));
    let ask = question("1.2.0.192.in-addr.arpa", Kind::Ptr);
    let named = RData::PTR(PTR(name("Mail.Example.org.")));
    let found = answered(&ask, vec![record("1.2.0.192.in-addr.arpa.", 60, named)]);
    assert_eq!(found, Answer::Found(vec![Data::Ptr("mail.example.org".into())]));
}

#[test]
fn names_that_only_a_network_at_home_knows_are_told() {
    for (name, home) in [
        ("nas", true),
        ("", true),
        ("nas.LAN", true),
        ("nas.local.", true),
        ("relay.home.arpa", true),
        ("home.arpa", true),
        ("[192.168.1.5]", true),
        ("localhost.localdomain", true),
        ("example.org", false),
        ("athome.arpa.example", false),
        ("lan.example.org", false),
        ("awayhome.arpa", false),
    ] {
        assert_eq!(is_home_name(name), home, "{name}");
    }
}

#[test]
fn the_name_of_an_address_is_that_of_the_standard() {
    let of = |text: &str| reverse_name(text.parse().expect("an address"));
    assert_eq!(of("192.0.2.1"), "1.2.0.192.in-addr.arpa");
    assert_eq!(of("::ffff:192.0.2.1"), "1.2.0.192.in-addr.arpa");
    // RFC 3596 §2.5.
    assert_eq!(
        of("4321:0:1:2:3:4:567:89ab"),
        "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.0.0.0.0.1.2.3.4.ip6.arpa"
    );
}

#[test]
fn records_of_the_kind_asked_for_are_read() {
    let ask = question("example.org", Kind::Mx);
    let mx = |preference, host: &str| RData::MX(MX::new(preference, name(host)));
    let answers = vec![
        record("example.org.", 60, mx(10, "MX1.Example.org.")),
        record("EXAMPLE.org.", 30, mx(20, ".")),
        record("example.org.", 60, a(1)),
    ];
    let mut message = response(&ask);
    message.add_answers(answers);
    message.metadata.authentic_data = true;
    let found = vec![Data::Mx(10, "mx1.example.org".into()), Data::Mx(20, String::new())];
    let expected = Response { answer: Answer::Found(found), ttl: Some(30), authentic: true };
    assert_eq!(read(&message, &ask), Ok(expected));

    let ask = question("example.org", Kind::Aaaa);
    let aaaa = RData::AAAA(AAAA(Ipv6Addr::LOCALHOST));
    let found = Answer::Found(vec![Data::Aaaa(Ipv6Addr::LOCALHOST)]);
    assert_eq!(answered(&ask, vec![record("example.org.", 60, aaaa)]), found);

    let ask = question("example.org", Kind::Txt);
    let txt = RData::TXT(TXT::new(vec!["v=spf1 ".into(), "-all".into()]));
    let found = Answer::Found(vec![Data::Txt(b"v=spf1 -all".to_vec())]);
    assert_eq!(answered(&ask, vec![record("example.org.", 60, txt)]), found);
}

#[test]
fn records_of_another_class_are_not_used() {
    let ask = question("example.org", Kind::A);
    let mut chaos = record("example.org.", 60, a(1));
    chaos.dns_class = DNSClass::CH;
    assert_eq!(answered(&ask, vec![chaos.clone()]), Answer::NoData);
    let found = Answer::Found(vec![Data::A(Ipv4Addr::new(192, 0, 2, 2))]);
    assert_eq!(answered(&ask, vec![chaos, record("example.org.", 60, a(2))]), found);
}

#[test]
fn a_cname_chain_is_followed_in_any_order_and_other_names_are_not_believed() {
    let ask = question("www.example", Kind::A);
    let answers = vec![
        record("c.example.", 50, a(3)),
        record("b.example.", 40, cname("c.example.")),
        record("evil.example.", 10, a(66)),
        record("www.example.", 60, cname("b.example.")),
    ];
    let mut message = response(&ask);
    message.add_answers(answers);
    let read = read(&message, &ask).unwrap();
    assert_eq!(read.answer, Answer::Found(vec![Data::A(Ipv4Addr::new(192, 0, 2, 3))]));
    assert_eq!(read.ttl, Some(40));
    assert_eq!(answered(&ask, vec![record("evil.example.", 9, a(66))]), Answer::NoData);
}

#[test]
fn a_chain_may_have_eight_links_and_must_end() {
    let ask = question("n0.example", Kind::A);
    let chain = |links: u8| {
        let link =
            |n: u8| record(&format!("n{n}.example."), 60, cname(&format!("n{}.example.", n + 1)));
        let mut answers: Vec<Record> = (0..links).map(link).collect();
        answers.push(record(&format!("n{links}.example."), 60, a(1)));
        answers
    };
    assert!(matches!(answered(&ask, chain(8)), Answer::Found(_)));
    assert_eq!(answered(&ask, chain(9)), Answer::Unable(SERVFAIL));
    let circle = vec![
        record("n0.example.", 60, cname("n1.example.")),
        record("n1.example.", 60, cname("n0.example.")),
    ];
    assert_eq!(answered(&ask, circle), Answer::Unable(SERVFAIL));
}

#[test]
fn a_chain_that_leaves_the_answer_is_asked_again_unless_its_end_is_said_to_be_empty() {
    let ask = question("www.example", Kind::A);
    let mut message = response(&ask);
    message.add_answer(record("www.example.", 60, cname("Far.example.net.")));
    assert_eq!(read(&message, &ask).unwrap().answer, Answer::Elsewhere("far.example.net".into()));
    message.add_authority(record("example.net.", 600, soa(300)));
    let read = read(&message, &ask).unwrap();
    assert_eq!((read.answer, read.ttl), (Answer::NoData, Some(60)));
}

#[test]
fn no_is_remembered_as_the_soa_says() {
    let ask = question("example.org", Kind::Mx);
    let mut message = response(&ask);
    assert_eq!(read(&message, &ask).unwrap().ttl, None);
    message.add_authority(record("org.", 900, soa(300)));
    let no_data = read(&message, &ask).unwrap();
    assert_eq!((no_data.answer, no_data.ttl), (Answer::NoData, Some(300)));
    message.metadata.response_code = ResponseCode::NXDomain;
    let no_name = read(&message, &ask).unwrap();
    assert_eq!((no_name.answer, no_name.ttl), (Answer::NoName, Some(300)));
}

#[test]
fn what_answers_another_question_is_foreign() {
    let ask = question("example.org", Kind::Mx);
    let good = response(&ask).to_vec().unwrap();
    assert!(parse(&good, ID, &ask).is_ok());
    assert_eq!(parse(&good, ID + 1, &ask), Err(Stray::Foreign));
    assert_eq!(parse(&good, ID, &question("example.net", Kind::Mx)), Err(Stray::Foreign));
    assert_eq!(parse(&good, ID, &question("example.org", Kind::A)), Err(Stray::Foreign));
    assert!(parse(&good, ID, &question("EXAMPLE.ORG", Kind::Mx)).is_ok(), "case is nothing");
    let asked = query(ID, &ask, Payload::Plain, false).unwrap();
    assert_eq!(parse(&asked, ID, &ask), Err(Stray::Foreign), "an echo is no answer");
    let mut message = response(&ask);
    message.queries.clear();
    assert_eq!(read(&message, &ask), Err(Stray::Foreign));
    message.metadata.response_code = ResponseCode::NXDomain;
    assert_eq!(read(&message, &ask), Err(Stray::Foreign), "too weighty to be believed");
    for (octet, bits) in [(2, 0x08), (2, 0x78), (28, 3)] {
        let mut other = good.clone();
        other[octet] ^= bits;
        let said = parse(&other, ID, &ask);
        assert_eq!(said, Err(Stray::Foreign), "what is wanted, or the class: {octet}");
    }
    assert_eq!(parse(&good[..11], ID, &ask), Err(Stray::Garbled));
    assert_eq!(parse(&[], ID, &ask), Err(Stray::Garbled));
}

#[test]
fn a_server_that_cannot_answer_is_told_from_one_that_says_no() {
    let ask = question("example.org", Kind::Mx);
    let mut message = response(&ask);
    for (code, number) in [
        (ResponseCode::FormErr, FORMERR),
        (ResponseCode::ServFail, SERVFAIL),
        (ResponseCode::NotImp, NOTIMP),
        (ResponseCode::Refused, 5),
    ] {
        message.metadata.response_code = code;
        assert_eq!(read(&message, &ask).unwrap().answer, Answer::Unable(number));
        let mut bare = message.clone();
        bare.queries.clear();
        assert_eq!(read(&bare, &ask).unwrap().answer, Answer::Unable(number));
    }
}

#[test]
fn a_truncated_answer_says_so_whatever_is_in_it() {
    let ask = question("example.org", Kind::A);
    let mut message = response(&ask);
    message.metadata.truncation = true;
    message.add_answer(record("example.org.", 60, a(1)));
    let octets = message.to_vec().unwrap();
    for cut in [octets.len(), octets.len() - 3] {
        let read = parse(&octets[..cut], ID, &ask).unwrap();
        assert_eq!(read.answer, Answer::Truncated);
    }
    message.metadata.truncation = false;
    let octets = message.to_vec().unwrap();
    assert_eq!(parse(&octets[..octets.len() - 3], ID, &ask), Err(Stray::Garbled));
}

#[test]
fn of_too_many_records_the_first_are_used() {
    let ask = question("example.org", Kind::A);
    let many = |n: usize| (0..n).map(|_| record("example.org.", 60, a(1))).collect::<Vec<_>>();
    for (sent, used) in [(128, 128), (129, 128), (2000, 128)] {
        let Answer::Found(found) = answered(&ask, many(sent)) else { panic!() };
        assert_eq!(found.len(), used);
    }
}

#[test]
fn names_become_a_labels() {
    let long = "a".repeat(63);
    for (from, to) in [
        ("Example.ORG", Some("example.org")),
        ("example.org.", Some("example.org")),
        ("exämple.org", Some("xn--exmple-cua.org")),
        ("EXÄMPLE.org", Some("xn--exmple-cua.org")),
        ("_dmarc.example.org", Some("_dmarc.example.org")),
        ("my_printer.lan", Some("my_printer.lan")),
        ("-a.example", None),
        ("a--b.example", Some("a--b.example")),
        (long.as_str(), Some(long.as_str())),
        (&format!("{long}a"), None),
        ("", None),
        (".", None),
        ("a..b", None),
        ("ä b.example", None),
        ("a\u{2028}b", None),
        ("\\", None),
        ("a\\.b", None),
        ("a/b.example", None),
    ] {
        assert_eq!(ascii_name(from).as_deref(), to, "{from:?}");
    }
    let name = |labels: usize, last: usize| {
        format!("{}{}", format!("{long}.").repeat(labels), "b".repeat(last))
    };
    assert!(ascii_name(&name(3, 61)).is_some(), "255 octets on the wire. RFC 1035 §2.3.4");
    assert!(ascii_name(&name(3, 62)).is_none());
}

#[test]
fn an_exchanger_that_is_no_host_name_is_escaped() {
    let ask = question("example.org", Kind::Mx);
    let odd = Name::from_labels([&b"a b\r\n"[..], &b"example"[..]]).unwrap();
    let answers = vec![record("example.org.", 60, RData::MX(MX::new(1, odd)))];
    let Answer::Found(found) = answered(&ask, answers) else { panic!() };
    let [Data::Mx(1, host)] = found.as_slice() else { panic!("{found:?}") };
    assert!(host.starts_with("a\\") && host.chars().all(|c| c.is_ascii_graphic()), "{host}");
}

/// Dice that fall alike every time: a number below the one that is asked for.
pub(super) fn dice(seed: u64) -> impl FnMut(usize) -> usize {
    let mut chance = Chance(seed ^ 0x9e37_79b9_7f4a_7c15);
    move |bound| chance.below(bound)
}

/// Changes up to five places of `octets`.
pub(super) fn mutate(octets: &mut Vec<u8>, random: &mut impl FnMut(usize) -> usize) {
    for _ in 0..=random(4) {
        let at = random(octets.len());
        match random(5) {
            0 => octets[at] = u8::try_from(random(256)).unwrap(),
            1 => octets[at] ^= 1 << random(8),
            2 => octets.truncate(at.max(1)),
            3 => octets[at] = 0xc0, // a compression pointer
            _ => octets.insert(at, u8::try_from(random(256)).unwrap()),
        }
    }
}

#[test]
fn mutated_answers_never_panic() {
    let mut random = dice(0);
    let ask = question("www.example", Kind::Mx);
    let mut message = response(&ask);
    message.add_answer(record("www.example.", 60, cname("b.example.")));
    message.add_answer(record("b.example.", 60, RData::MX(MX::new(1, name("mx.b.example.")))));
    message.add_answer(record("b.example.", 60, RData::TXT(TXT::new(vec!["x".into()]))));
    message.add_authority(record("example.", 900, soa(300)));
    message.add_additional(record("mx.b.example.", 60, a(1)));
    message.set_edns(Edns::new());
    let good = message.to_vec().unwrap();
    let mut understood = 0;
    for _ in 0..60_000 {
        let mut octets = good.clone();
        mutate(&mut octets, &mut random);
        // Most mutants of the header are foreign at once: keep id and question in some.
        if random(2) == 0 && octets.len() > 30 {
            octets[..6].copy_from_slice(&good[..6]);
            octets[12..29].copy_from_slice(&good[12..29]);
        }
        understood += usize::from(parse(&octets, ID, &ask).is_ok());
    }
    assert!(understood > 1000, "{understood}");
}
