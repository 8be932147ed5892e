//! A name on the link, and a service there: multicast DNS (RFC 6762) with DNS-SD (RFC 6763).

use core::net::IpAddr;
use hickory_proto::{
    op::{Message, MessageType, OpCode, Query},
    rr::{
        DNSClass, Name, RData, Record, RecordType,
        rdata::{PTR, SRV, TXT},
    },
};

/// What we are known by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The name, one label without `.local`.
    pub name: String,
    /// Where it is.
    pub addresses: Vec<IpAddr>,
    /// Where its page is.
    pub port: u16,
}

/// What a message means to us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// Nothing.
    Nothing,
    /// Send this.
    Answer(Vec<u8>),
    /// Somebody else says that the name is theirs. RFC 6762 §9.
    Taken,
}

/// Records of hosts live two minutes, others 75. RFC 6762 §10.
const HOST_SECONDS: u32 = 120;
const OTHER_SECONDS: u32 = 4500;
/// What asks without speaking multicast DNS keeps nothing for long. RFC 6762 §6.7.
const LEGACY_SECONDS: u32 = 10;
/// In a question: answer me alone (RFC 6762 §5.4). In an answer: forget what you knew (§10.2).
const TOP_BIT: u16 = 0x8000;
const SERVICES: &str = "_services._dns-sd._udp.local.";
const PAGE: &str = "_http._tcp.local.";

fn name(text: &str) -> Name {
    Name::from_ascii(text).expect("labels that we have made")
}

impl Told {
    fn host(&self) -> Name {
        name(&format!("{}.local.", self.name))
    }

    fn page(&self) -> Name {
        name(&format!("{}.{PAGE}", self.name))
    }

    fn address_records(&self) -> Vec<Record> {
        let data = |address: &IpAddr| match address {
            IpAddr::V4(four) => RData::A((*four).into()),
            IpAddr::V6(six) => RData::AAAA((*six).into()),
        };
        self.addresses
            .iter()
            .map(|address| Record::from_rdata(self.host(), HOST_SECONDS, data(address)))
            .collect()
    }

    /// Everything, and whether it is ours alone.
    fn records(&self) -> Vec<(Record, bool)> {
        let service = RData::SRV(SRV::new(0, 0, self.port, self.host()));
        let text = RData::TXT(TXT::new(vec!["path=/".into()]));
        let mut records: Vec<(Record, bool)> =
            self.address_records().into_iter().map(|record| (record, true)).collect();
        records.extend([
            (Record::from_rdata(self.page(), HOST_SECONDS, service), true),
            (Record::from_rdata(self.page(), OTHER_SECONDS, text), true),
            (Record::from_rdata(name(PAGE), OTHER_SECONDS, RData::PTR(PTR(self.page()))), false),
            (Record::from_rdata(name(SERVICES), OTHER_SECONDS, RData::PTR(PTR(name(PAGE)))), false),
        ]);
        records
    }
}

/// Has anybody this name? With what we would say of it, so that of two who ask at once one yields.
/// RFC 6762 §8.1 and §8.2.
pub fn probe(told: &Told) -> Vec<u8> {
    let mut message = Message::new(0, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(told.host(), RecordType::ANY));
    message.add_authorities(told.address_records());
    octets(&message)
}

/// This is ours now. RFC 6762 §8.3.
pub fn announce(told: &Told) -> Vec<u8> {
    let mut message = answer_message();
    message.add_answers(told.records().into_iter().map(flush));
    octets(&message)
}

fn answer_message() -> Message {
    let mut message = Message::new(0, MessageType::Response, OpCode::Query);
    message.metadata.authoritative = true;
    message
}

/// Of what is ours alone, others forget what they knew.
fn flush((mut record, own): (Record, bool)) -> Record {
    if own {
        record.dns_class = DNSClass::Unknown(u16::from(DNSClass::IN) | TOP_BIT);
    }
    record
}

fn octets(message: &Message) -> Vec<u8> {
    message.to_vec().expect("a few short records")
}

/// What a message from the link means to who is known as `told`. `legacy`: it was not sent from the
/// port of multicast DNS, so the answer goes to the sender alone and repeats the question.
pub fn hear(packet: &[u8], told: &Told, legacy: bool) -> Said {
    let Ok(message) = Message::from_vec(packet) else { return Said::Nothing };
    if message.metadata.op_code != OpCode::Query {
        return Said::Nothing;
    }
    if message.metadata.message_type == MessageType::Response {
        return if claims(&message.answers, told) { Said::Taken } else { Said::Nothing };
    }
    // Two ask at once: the one with the greater data wins. RFC 6762 §8.2.
    if claims(&message.authorities, told) && loses(&message.authorities, told) {
        return Said::Taken;
    }
    let known = |record: &Record| {
        let fresh = |other: &&Record| {
            other.name == record.name && other.data == record.data && other.ttl >= record.ttl / 2
        };
        message.answers.iter().find(fresh).is_some()
    };
    let asked = |record: &Record| {
        message.queries.iter().any(|query| {
            let kind = query.query_type();
            same(query.name(), &record.name)
                && (kind == RecordType::ANY || kind == record.record_type())
        })
    };
    let (answers, rest): (Vec<_>, Vec<_>) =
        told.records().into_iter().partition(|(record, _)| asked(record));
    // RFC 6762 §7.1: what the asker knows is not told again.
    let answers: Vec<_> = answers.into_iter().filter(|(record, _)| !known(record)).collect();
    if answers.is_empty() {
        return Said::Nothing;
    }
    let mut message_out = answer_message();
    if legacy {
        message_out.metadata.id = message.metadata.id;
        message_out.queries.clone_from(&message.queries);
        message_out.add_answers(answers.into_iter().map(|(mut record, _)| {
            record.ttl = record.ttl.min(LEGACY_SECONDS);
            record
        }));
        return Said::Answer(octets(&message_out));
    }
    message_out.add_answers(answers.into_iter().map(flush));
    // RFC 6763 §12: who asks for a service asks for its host next.
    message_out.add_additionals(rest.into_iter().filter(|(_, own)| *own).map(flush));
    Said::Answer(octets(&message_out))
}

/// Names are the same whatever their letters' case.
fn same(one: &Name, other: &Name) -> bool {
    one.to_lowercase() == other.to_lowercase()
}

/// Whether any of `records` gives our name an address that is not ours.
fn claims(records: &[Record], told: &Told) -> bool {
    records.iter().any(|record| {
        let address = match &record.data {
            RData::A(four) => IpAddr::V4(four.0),
            RData::AAAA(six) => IpAddr::V6(six.0),
            _ => return false,
        };
        same(&record.name, &told.host()) && !told.addresses.contains(&address)
    })
}

fn loses(theirs: &[Record], told: &Told) -> bool {
    let of = |records: &[Record]| {
        let mut data: Vec<(u16, Vec<u8>)> = records
            .iter()
            .filter(|record| same(&record.name, &told.host()))
            .filter_map(|record| match &record.data {
                RData::A(four) => Some((1, four.0.octets().to_vec())),
                RData::AAAA(six) => Some((28, six.0.octets().to_vec())),
                _ => None,
            })
            .collect();
        data.sort();
        data
    };
    of(theirs) > of(&told.address_records())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(last: u8) -> Told {
        Told { name: "waypost".into(), addresses: vec![IpAddr::from([192, 0, 2, last])], port: 80 }
    }

    fn question(asked: &str, kind: RecordType) -> Message {
        let mut message = Message::new(7, MessageType::Query, OpCode::Query);
        message.add_query(Query::query(name(asked), kind));
        message
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
        let mut known = told(1).address_records().remove(0);
        asked.add_answer(known.clone());
        assert_eq!(hear(&octets(&asked), &told(1), false), Said::Nothing);
        known.ttl = 59;
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
}
