//! What is said on the link, and what hickory-proto would have said.

use super::*;
use hickory_proto::{
    op::{Message, MessageType, OpCode, Query},
    rr::{
        DNSClass, RData, Record, RecordType,
        rdata::{A, PTR, SRV, TXT},
    },
};

fn told(last: u8) -> Told {
    Told { name: "waypost".into(), addresses: vec![IpAddr::from([192, 0, 2, last])], port: 80 }
}

fn question(asked: &str, kind: RecordType) -> Message {
    let mut message = Message::new(7, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(name(asked), kind));
    message
}

fn octets(message: &Message) -> Vec<u8> {
    message.to_vec().unwrap()
}

fn answer(message: &Message, legacy: bool) -> Message {
    match hear(&octets(message), &told(1), legacy) {
        Said::Answer(octets) => Message::from_vec(&octets).unwrap(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_name_is_answered_with_its_address_whatever_its_case() {
    for asked in ["waypost.local.", "WayPost.LOCAL."] {
        let found = answer(&question(asked, RecordType::A), false);
        assert_eq!(found.metadata.id, 0);
        assert!(found.metadata.authoritative);
        assert_eq!(found.answers.len(), 1);
        assert_eq!(u16::from(found.answers[0].dns_class), 0x8001);
        assert_eq!(found.answers[0].ttl, 120);
        assert!(found.queries.is_empty());
    }
    for (asked, kind) in [
        ("waypost.local.", RecordType::AAAA),
        ("waypost-2.local.", RecordType::A),
        ("waypost.example.", RecordType::A),
        ("local.", RecordType::ANY),
    ] {
        let said = hear(&octets(&question(asked, kind)), &told(1), false);
        assert_eq!(said, Said::Nothing, "{asked}");
    }
}

#[test]
fn who_does_not_speak_it_is_answered_as_by_a_name_server() {
    let found = answer(&question("waypost.local.", RecordType::A), true);
    assert_eq!(found.metadata.id, 7);
    assert_eq!(found.queries.len(), 1);
    assert_eq!(found.answers[0].dns_class, DNSClass::IN);
    assert!(found.answers[0].ttl <= 10);
}

#[test]
fn the_page_is_found_as_a_service_with_all_that_is_asked_next() {
    let found = answer(&question("_http._tcp.local.", RecordType::PTR), false);
    assert_eq!(found.answers.len(), 1);
    assert_eq!(found.answers[0].dns_class, DNSClass::IN, "others have one there, too");
    let kinds: Vec<_> = found.additionals.iter().map(Record::record_type).collect();
    assert_eq!(kinds, [RecordType::A, RecordType::SRV, RecordType::TXT]);
    let found = answer(&question("waypost._http._tcp.local.", RecordType::SRV), false);
    assert!(matches!(&found.answers[0].data, RData::SRV(srv) if srv.port == 80));
    answer(&question("_services._dns-sd._udp.local.", RecordType::PTR), false);
}

#[test]
fn what_the_asker_knows_is_not_told_again_unless_it_is_old() {
    let mut asked = question("waypost.local.", RecordType::A);
    let address = RData::A(A::new(192, 0, 2, 1));
    let mut known = Record::from_rdata(name("Waypost.local."), 120, address);
    asked.add_answer(known.clone());
    assert_eq!(hear(&octets(&asked), &told(1), false), Said::Nothing);
    known.ttl = 59;
    asked.answers = vec![known.clone()];
    answer(&asked, false);
    known.ttl = 60;
    asked.answers = vec![known.clone()];
    assert_eq!(hear(&octets(&asked), &told(1), false), Said::Nothing);
    assert!(matches!(hear(&octets(&asked), &told(2), false), Said::Answer(_)), "another address");
    known.name = name("other.local.");
    asked.answers = vec![known];
    answer(&asked, false);
}

#[test]
fn a_name_that_another_has_is_taken_and_our_own_echo_is_not() {
    assert_eq!(hear(&announce(&told(2)), &told(1), false), Said::Taken);
    assert_eq!(hear(&announce(&told(1)), &told(1), false), Said::Nothing);
    let other = Told { name: "other".into(), ..told(2) };
    assert_eq!(hear(&announce(&other), &told(1), false), Said::Nothing);
}

#[test]
fn of_two_who_ask_at_once_the_one_with_the_greater_address_wins() {
    assert_eq!(hear(&probe(&told(2)), &told(1), false), Said::Taken);
    assert!(matches!(hear(&probe(&told(1)), &told(2), false), Said::Answer(_)));
    assert!(!matches!(hear(&probe(&told(1)), &told(1), false), Said::Taken));
}

#[test]
fn what_is_no_message_is_nothing() {
    let packet = announce(&told(2));
    for end in 0..packet.len() {
        let said = hear(&packet[..end], &told(1), false);
        assert!(matches!(said, Said::Nothing | Said::Taken), "{end}");
    }
}

/// Everything about `told`, whether it is ours alone, and whether it is about an address.
fn oracle(told: &Told) -> Vec<(Record, bool)> {
    let (host, page) = (told.host(), told.page());
    let data = |address: &IpAddr| match address {
        IpAddr::V4(four) => RData::A((*four).into()),
        IpAddr::V6(six) => RData::AAAA((*six).into()),
    };
    let address = |one| (Record::from_rdata(host.clone(), 120, data(one)), true);
    let mut records: Vec<_> = told.addresses.iter().map(address).collect();
    let service = RData::SRV(SRV::new(0, 0, told.port, host.clone()));
    let text = RData::TXT(TXT::new(vec!["path=/".into()]));
    let (kind, all) = (name("_http._tcp.local."), name("_services._dns-sd._udp.local."));
    records.extend([
        (Record::from_rdata(page.clone(), 120, service), true),
        (Record::from_rdata(page.clone(), 4500, text), true),
        (Record::from_rdata(kind.clone(), 4500, RData::PTR(PTR(page))), false),
        (Record::from_rdata(all, 4500, RData::PTR(PTR(kind))), false),
    ]);
    records
}

fn flushed((mut record, own): (Record, bool)) -> Record {
    if own {
        record.dns_class = DNSClass::Unknown(0x8001);
    }
    record
}

fn from_authority(id: u16) -> Message {
    let mut message = Message::new(id, MessageType::Response, OpCode::Query);
    message.metadata.authoritative = true;
    message
}

/// Who has one address, two of either kind, and a long name.
fn several() -> [Told; 3] {
    let six: IpAddr = "fd00::1".parse().unwrap();
    let both = vec![six, [192, 0, 2, 9].into(), [198, 51, 100, 1].into(), six];
    let long = "w".repeat(63);
    [
        told(1),
        Told { name: "Way-Post".into(), addresses: both, port: 8080 },
        Told { name: long, addresses: vec![six], port: 80 },
    ]
}

#[test]
fn probes_and_announcements_are_octet_for_octet_what_hickory_writes() {
    for told in several() {
        let count = told.addresses.len();
        let mut asked = Message::new(0, MessageType::Query, OpCode::Query);
        asked.add_query(Query::query(told.host(), RecordType::ANY));
        asked.add_authorities(oracle(&told).into_iter().take(count).map(|(record, _)| record));
        assert_eq!(probe(&told), octets(&asked));
        let mut said = from_authority(0);
        said.add_answers(oracle(&told).into_iter().map(flushed));
        assert_eq!(announce(&told), octets(&said));
        let heard = Message::from_vec(&announce(&told)).unwrap();
        assert_eq!(heard.answers, said.answers);
    }
}

#[test]
fn plain_dns_asks_one_thing_at_a_time() {
    let mut message = question("waypost.local.", RecordType::A);
    assert!(matches!(hear(&octets(&message), &told(1), true), Said::Answer(_)));
    message.add_query(message.queries[0].clone());
    assert_eq!(hear(&octets(&message), &told(1), true), Said::Nothing);
    assert!(matches!(hear(&octets(&message), &told(1), false), Said::Answer(_)));
}

#[test]
fn answers_are_octet_for_octet_what_hickory_writes() {
    let mut answers = 0;
    for told in several() {
        let names = [told.host(), told.page(), name(PAGE), name(SERVICES), name("x.local.")];
        for (asked, kind) in names.iter().flat_map(|name| {
            [1, 12, 16, 28, 33, 41, 255].map(|kind| (name.clone(), RecordType::from(kind)))
        }) {
            let mut message = question(".", kind);
            message.queries = vec![Query::query(asked.clone(), kind)];
            let (found, rest): (Vec<_>, Vec<_>) =
                oracle(&told).into_iter().partition(|(record, _)| {
                    record.name == asked
                        && (kind == RecordType::ANY || kind == record.record_type())
                });
            let (mut alone, mut all) = (from_authority(7), from_authority(0));
            alone.queries.clone_from(&message.queries);
            alone.add_answers(found.iter().cloned().map(|(mut record, _)| {
                record.ttl = 10;
                record
            }));
            all.add_additionals(rest.into_iter().filter(|(_, own)| *own).map(flushed));
            all.add_answers(found.iter().cloned().map(flushed));
            for (legacy, expected) in [(true, alone), (false, all)] {
                if !legacy {
                    message.add_query(Query::query(name("y."), kind));
                }
                let said = hear(&octets(&message), &told, legacy);
                if found.is_empty() {
                    assert_eq!(said, Said::Nothing);
                } else {
                    assert_eq!(said, Said::Answer(octets(&expected)), "{asked} {kind}");
                    answers += 1;
                }
            }
        }
    }
    assert!(answers >= 40, "{answers}");
}

#[test]
fn an_answer_about_several_addresses_is_weighed_in_their_order() {
    let two = |last: [u8; 2]| Told {
        addresses: last.map(|n| IpAddr::from([192, 0, 2, n])).to_vec(),
        ..told(1)
    };
    let wins = |theirs: &Told, ours: &Told| hear(&probe(theirs), ours, false) == Said::Taken;
    assert!(wins(&two([1, 3]), &two([2, 1])));
    assert!(wins(&two([3, 1]), &two([2, 1])), "whatever the order in the message");
    assert!(!wins(&two([2, 1]), &two([1, 3])));
    // RFC 6762 §8.2: who has more to say wins, all else equal; type 28 is greater than type 1.
    assert!(wins(&two([1, 2]), &told(1)));
    // Our own question of when we had one address less.
    assert!(!wins(&told(2), &two([1, 2])));
    let six = Told { addresses: vec!["::1".parse().unwrap()], ..told(1) };
    assert!(wins(&six, &told(255)) && !wins(&told(255), &six));
}

#[test]
fn a_message_in_which_one_record_is_wrong_is_nothing() {
    let whole = octets(&{
        let mut message = question("waypost.local.", RecordType::A);
        message.add_additional(Record::from_rdata(name("x."), 1, RData::A(A::new(1, 2, 3, 4))));
        message
    });
    assert!(matches!(hear(&whole, &told(1), false), Said::Answer(_)));
    // Of the record, the last 16 octets, those at 8 and 9 are the length.
    let at = whole.len() - 6;
    for length in [0, 3, 5, 255] {
        let mut packet = whole.clone();
        packet[at + 1] = length;
        packet.truncate(at + 2 + usize::from(length));
        assert_eq!(hear(&packet, &told(1), false), Said::Nothing, "{length}");
    }
    // RFC 6891 §6.1.2: OPT may hold nothing. What is not ours to read may hold anything.
    for (kind, length, good) in [(41, 0, true), (41, 4, true), (64, 4, true), (64, 0, false)] {
        let mut packet = whole.clone();
        packet[at - 7] = kind;
        packet[at + 1] = length;
        packet.truncate(at + 2 + usize::from(length));
        let said = hear(&packet, &told(1), false);
        assert_eq!(matches!(said, Said::Answer(_)), good, "{kind} {length}");
    }
    let mut unreadable = whole.clone();
    unreadable[2] |= 0x28;
    assert_eq!(hear(&unreadable, &told(1), false), Said::Nothing, "an update. RFC 6762 §18.3");
}

#[test]
fn more_questions_than_one_are_not_repeated() {
    // A name of 250 octets, asked for again and again by a pointer to it.
    let mut packet = b"\0\x07\0\0\x10\0\0\0\0\0\0\0".to_vec();
    packet.extend(b"\x07waypost\x05local\0\0\x01\0\x01");
    let long = u8::try_from(packet.len()).unwrap();
    packet.extend([b"\x3e".as_slice(), &[b'a'; 62]].concat().repeat(3));
    packet.extend(b"\0\0\x01\0\x01");
    while packet.len() < 12 + 4096 * 6 + 400 {
        packet.extend([0xc0, long, 0, 1, 0, 1]);
    }
    assert_eq!(hear(&packet, &told(1), true), Said::Nothing);
    assert!(matches!(hear(&packet, &told(1), false), Said::Answer(_)));
}

#[test]
fn what_is_heard_is_understood_as_hickory_reads_it() {
    let mut random = super::super::tests::dice(11);
    let mut good = question("waypost.local.", RecordType::ANY);
    good.add_answers(oracle(&told(1)).into_iter().map(|(record, _)| record));
    let good = [octets(&good), probe(&told(2)), announce(&told(3))];
    let (mut read, mut refused) = (0, 0);
    for n in 0..30_000 {
        let mut packet = good[n % 3].clone();
        super::super::tests::mutate(&mut packet, &mut random);
        let Ok(message) = Message::from_vec(&packet) else {
            refused += 1;
            continue;
        };
        // RFC 2136 §2.4: in an update, which we do not take, a record may be empty.
        if message.metadata.op_code == OpCode::Update {
            assert_eq!(hear(&packet, &told(1), false), Said::Nothing);
            continue;
        }
        let heard = Heard::read(&packet).expect("what hickory reads");
        assert_eq!(heard.header.id, message.metadata.id);
        assert_eq!(heard.queries.len(), message.queries.len());
        for (ours, theirs) in heard.queries.iter().zip(&message.queries) {
            assert!(ours.name == theirs.name && ours.kind == u16::from(theirs.query_type));
        }
        for (ours, theirs) in
            [(&heard.answers, &message.answers), (&heard.authorities, &message.authorities)]
        {
            assert_eq!(ours.len(), theirs.len());
            for (ours, theirs) in ours.iter().zip(theirs) {
                super::super::wire::tests::is_same(ours, theirs);
            }
        }
        read += 1;
    }
    assert!(read > 3000 && refused > 3000, "{read} {refused}");
}
