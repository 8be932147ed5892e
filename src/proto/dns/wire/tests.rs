//! Records beside hickory-proto's, and messages that lie about themselves.

use super::{
    super::{
        Answer, Data, Kind, Question, Stray, limits, parse,
        tests::{dice, mutate},
    },
    *,
};
use hickory_proto::{
    op::{Message, MessageType, OpCode},
    rr::{RData, rdata},
};

/// That a record is the one that hickory-proto has read.
pub(crate) fn is_same(ours: &Record, theirs: &hickory_proto::rr::Record) {
    assert!(ours.name == theirs.name && ours.ttl == theirs.ttl);
    let kind = u16::from(theirs.record_type());
    assert_eq!(ours.data.kind(), kind);
    assert!(kind == OPT || ours.class == u16::from(theirs.dns_class));
    let good = match (&ours.data, &theirs.data) {
        (Rdata::A(ours), RData::A(theirs)) => *ours == theirs.0,
        (Rdata::Aaaa(ours), RData::AAAA(theirs)) => *ours == theirs.0,
        (Rdata::Cname(ours), RData::CNAME(theirs)) => *ours == theirs.0,
        (Rdata::Ptr(ours), RData::PTR(theirs)) => *ours == theirs.0,
        (Rdata::Mx(preference, host), RData::MX(mx)) => {
            *preference == mx.preference && *host == mx.exchange
        }
        (Rdata::Soa { minimum }, RData::SOA(soa)) => *minimum == soa.minimum,
        (Rdata::Srv(numbers, host), RData::SRV(srv)) => {
            *numbers == [srv.priority, srv.weight, srv.port] && *host == srv.target
        }
        (Rdata::Tlsa(ours), RData::TLSA(theirs)) => {
            let numbers: [u8; 3] =
                [theirs.cert_usage.into(), theirs.selector.into(), theirs.matching.into()];
            [ours.usage, ours.selector, ours.matching] == numbers && ours.data == theirs.cert_data
        }
        (Rdata::Txt(ours), RData::TXT(theirs)) => {
            ours.iter().map(Vec::as_slice).eq(theirs.txt_data.iter().map(AsRef::as_ref))
        }
        (Rdata::Empty(_), RData::Update0(_)) => true,
        (Rdata::Other(_), _) => ![A, CNAME, SOA, PTR, MX, TXT, AAAA, SRV, TLSA].contains(&kind),
        _ => false,
    };
    assert!(good, "{theirs:?}");
}

/// A record of each type that we use, as hickory-proto has it, and of some that we do not.
fn one_of_each() -> Vec<hickory_proto::rr::Record> {
    let host = |text: &str| name(text).unwrap();
    [
        RData::A(rdata::A::new(192, 0, 2, 1)),
        RData::AAAA(rdata::AAAA::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
        RData::CNAME(rdata::CNAME(host("alias.example.org"))),
        RData::MX(rdata::MX::new(10, host("MX.example.org"))),
        RData::PTR(rdata::PTR(host("other.example.net"))),
        RData::SOA(rdata::SOA::new(host("ns.example.org"), host("root.example"), 1, 2, 3, 4, 5)),
        RData::SRV(rdata::SRV::new(1, 2, 3, host("host.example.org"))),
        RData::TXT(rdata::TXT::new(vec!["v=spf1 ".into(), String::new(), "-all".into()])),
        RData::TLSA(rdata::TLSA::new(3.into(), 1.into(), 1.into(), vec![7; 32])),
        RData::NS(rdata::NS(host("ns.example.org"))),
        RData::NULL(rdata::NULL::with(vec![1, 2, 3])),
        RData::HINFO(rdata::HINFO::new("cpu".into(), "os".into())),
    ]
    .into_iter()
    .zip(1..)
    .map(|(data, ttl)| hickory_proto::rr::Record::from_rdata(host("example.org"), ttl, data))
    .collect()
}

fn message(records: Vec<hickory_proto::rr::Record>) -> Vec<u8> {
    let mut message = Message::new(7, MessageType::Response, OpCode::Query);
    message.add_answers(records);
    message.to_vec().unwrap()
}

/// All records of the answer section, or as many of them as can be read.
fn read(octets: &[u8]) -> (Option<u16>, Vec<Record>) {
    let mut reader = Reader::new(octets);
    let Some(header) = reader.header() else { return (None, Vec::new()) };
    let records = (0..header.counts[1]).map_while(|_| reader.record()).collect();
    (Some(header.counts[1]), records)
}

#[test]
fn records_are_read_as_hickory_reads_them() {
    let records = one_of_each();
    let (_, ours) = read(&message(records.clone()));
    assert_eq!(ours.len(), records.len());
    for (ours, theirs) in ours.iter().zip(&records) {
        is_same(ours, theirs);
    }
}

#[test]
fn what_hickory_reads_of_a_mutated_message_we_read_alike() {
    let good = message(one_of_each());
    let mut random = dice(5);
    let (mut alike, mut refused, mut only_ours) = (0, 0, 0);
    for _ in 0..30_000 {
        let mut octets = good.clone();
        mutate(&mut octets, &mut random);
        let (count, ours) = read(&octets);
        let is_whole = count.is_some_and(|count| usize::from(count) == ours.len());
        let Ok(theirs) = Message::from_vec(&octets) else {
            refused += u32::from(!is_whole);
            only_ours += u32::from(is_whole);
            continue;
        };
        if !theirs.queries.is_empty() {
            continue;
        }
        assert!(is_whole);
        for (ours, theirs) in ours.iter().zip(&theirs.answers) {
            is_same(ours, theirs);
        }
        alike += 1;
    }
    // What only we read has an empty record, or one that we do not look into.
    assert!(alike > 3000 && refused > 3000 && only_ours < refused, "{alike} {refused} {only_ours}");
}

#[test]
fn a_message_may_end_anywhere() {
    let octets = message(one_of_each());
    let (mut last, mut counts) = (0, 0);
    for end in 0..=octets.len() {
        let (count, records) = read(&octets[..end]);
        assert_eq!(count.is_some(), end >= 12);
        assert!(records.len() >= last, "more octets, no fewer records");
        counts += usize::from(records.len() > last);
        last = records.len();
    }
    assert_eq!((last, counts), (12, 12));
}

#[test]
fn the_data_of_a_type_that_we_use_is_no_longer_and_no_shorter() {
    for record in one_of_each() {
        let kind = u16::from(record.record_type());
        let octets = message(vec![record]);
        let at = 12 + b"\x07example\x03org\0".len() + 8;
        let length = u16::from_be_bytes([octets[at], octets[at + 1]]);
        for wrong in (0..=length + 2).filter(|wrong| *wrong != length) {
            let mut octets = octets.clone();
            octets[at..at + 2].copy_from_slice(&wrong.to_be_bytes());
            octets.extend([0; 2]);
            let (_, records) = read(&octets);
            match records.first().map(|record| &record.data) {
                Some(Rdata::Empty(same)) => assert!(*same == kind && wrong == 0),
                // A certificate is of any length.
                Some(Rdata::Tlsa(tlsa)) => assert_eq!(tlsa.data.len(), usize::from(wrong) - 3),
                // An empty string more or less, or two.
                Some(Rdata::Txt(_)) => {
                    assert!(wrong > length || [8, 9].contains(&wrong), "{wrong}");
                }
                Some(Rdata::Other(same)) => assert!(*same == kind && wrong > 0),
                Some(_) => panic!("{kind} of {wrong} octets"),
                None => assert!(![2, 10, 13].contains(&kind), "{kind} of {wrong} octets"),
            }
        }
    }
}

#[test]
fn a_name_that_points_at_itself_or_onward_is_none() {
    let read = |tail: &[u8]| {
        let mut octets = vec![0; 12];
        octets.extend(tail);
        let mut reader = Reader::new(&octets);
        reader.header().unwrap();
        reader.name().map(|name| super::super::plain(&name))
    };
    assert_eq!(read(b"\x01a\0").as_deref(), Some("a"));
    assert_eq!(read(b"\x01a"), None, "no end");
    assert_eq!(read(b"\x02a"), None);
    assert_eq!(read(b"\xc0"), None, "half a pointer");
    assert_eq!(read(b"\xc0\x0c"), None, "itself");
    assert_eq!(read(b"\x01a\xc0\x0c"), None, "its own beginning");
    assert_eq!(read(b"\xc0\x0e\x01a\0"), None, "onward");
    assert_eq!(read(b"\xff\xff"), None, "over the end");
    assert_eq!(read(b"\x41a\0"), None, "no kind of label. RFC 1035 §4.1.4");
    assert_eq!(read(b"\x81a\0"), None);
    assert_eq!(read(b"\xc0\x00").as_deref(), Some(""), "into the header, where a name ends");
    // 255 octets at most, RFC 1035 §2.3.4, which is 127 labels.
    let labels = |n: usize| [b"\x01a".repeat(n), vec![0]].concat();
    assert!(read(&labels(127)).is_some());
    assert!(read(&labels(128)).is_none());
}

#[test]
fn names_that_point_at_one_another_end() {
    // At 12 and at 14: each points at the other. Then the record.
    let mut octets = b"\0\x07\x80\0\0\0\0\x01\0\0\0\0\xc0\x0e\xc0\x0c".to_vec();
    octets.extend(b"\0\x01\0\x01\0\0\0\0\0\x04abcd");
    let (count, records) = read(&octets);
    assert_eq!((count, records.len()), (Some(1), 0));
    // The root, and 8,000 pointers, each at the one before.
    let mut octets = b"\0\x07\x80\0\0\0\0\x01\0\0\0\0\0".to_vec();
    for n in 0..8000_u16 {
        let at = if n == 0 { 12 } else { 13 + (n - 1) * 2 };
        octets.extend((0xc000 | at).to_be_bytes());
    }
    let mut decoder = BinDecoder::new(&octets).clone(13 + 7999 * 2);
    assert!(Name::read(&mut decoder).is_ok_and(|name| name.is_root()), "pointers lead back only");
}

fn question() -> Question {
    Question { name: "example.org".into(), kind: Kind::A }
}

/// An answer with so many records of 16 octets, which says that it has `counts` of them.
fn answer(records: usize, counts: [u16; 3]) -> Vec<u8> {
    let mut octets = b"\0\x07\x80\0\0\x01".to_vec();
    octets.extend(counts.map(u16::to_be_bytes).concat());
    octets.extend(b"\x07example\x03org\0\0\x01\0\x01");
    octets.extend(b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\xc0\0\x02\x01".repeat(records));
    octets
}

#[test]
fn what_is_counted_and_not_there_is_garbled() {
    let said = |octets: &[u8]| parse(octets, 7, &question()).map(|response| response.answer);
    let found = |n| Answer::Found(vec![Data::A([192, 0, 2, 1].into()); n]);
    assert_eq!(said(&answer(2, [2, 0, 0])), Ok(found(2)));
    assert_eq!(said(&answer(2, [1, 0, 0])), Ok(found(1)), "the rest is no answer");
    assert_eq!(said(&answer(2, [0, 0, 0])), Ok(Answer::NoData));
    assert_eq!(said(&answer(2, [3, 0, 0])), Err(Stray::Garbled));
    assert_eq!(said(&answer(0, [u16::MAX; 3])), Err(Stray::Garbled));
    assert_eq!(said(&answer(127, [u16::MAX; 3])), Err(Stray::Garbled));
    // Of authorities and the rest nothing is needed here.
    assert_eq!(said(&answer(2, [2, u16::MAX, u16::MAX])), Ok(found(2)));
    assert_eq!(said(&answer(0, [0, u16::MAX, 0])), Ok(Answer::NoData));
    let many = answer(4000, [u16::MAX; 3]);
    assert!(many.len() > 64_000);
    assert_eq!(said(&many), Ok(found(limits::DNS_RECORDS)));
}

#[test]
fn an_answer_may_be_cut_anywhere() {
    let octets = answer(3, [3, 0, 0]);
    for end in 0..octets.len() {
        let said = parse(&octets[..end], 7, &question());
        let expected = if (12..29).contains(&end) { Stray::Foreign } else { Stray::Garbled };
        assert_eq!(said, Err(expected), "{end}");
    }
}

#[test]
fn a_record_that_goes_over_the_end_is_garbled_whatever_its_type() {
    for kind in 0..=300_u16 {
        let mut octets = answer(1, [1, 0, 0]);
        let at = octets.len();
        octets[at - 14..at - 12].copy_from_slice(&kind.to_be_bytes());
        octets[at - 5] = 5;
        assert_eq!(parse(&octets, 7, &question()), Err(Stray::Garbled), "{kind}");
    }
}

#[test]
fn a_record_of_a_type_that_we_do_not_use_is_passed_over_whatever_is_in_it() {
    let used = [A, CNAME, SOA, PTR, MX, TXT, AAAA, SRV, TLSA];
    for kind in (0..=u16::MAX).filter(|kind| !used.contains(kind)) {
        let mut octets = answer(2, [2, 0, 0]);
        let first = octets.len() - 32;
        octets[first + 2..first + 4].copy_from_slice(&kind.to_be_bytes());
        let said = parse(&octets, 7, &question()).map(|response| response.answer);
        let found = Answer::Found(vec![Data::A([192, 0, 2, 1].into())]);
        assert_eq!(said, Ok(found), "{kind}");
    }
}

#[test]
fn only_what_we_say_can_be_written() {
    let say = |data| {
        let record = Record { name: name("a.").unwrap(), class: IN, ttl: 1, data };
        write((7, RESPONSE), &[], [&[record], &[], &[]]).is_some()
    };
    assert!(say(Rdata::A([192, 0, 2, 1].into())) && say(Rdata::Empty(OPT)));
    assert!(say(Rdata::Txt(vec![vec![0; 255]])) && !say(Rdata::Txt(vec![vec![0; 256]])));
    assert!(!say(Rdata::Cname(Name::root())) && !say(Rdata::Other(99)));
    assert!(!say(Rdata::Txt(vec![vec![0; 255]; 256])), "65,536 octets and more");
    assert!(say(Rdata::Txt(vec![vec![0; 255]; 255])));
}
