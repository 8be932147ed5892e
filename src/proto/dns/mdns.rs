//! A name on the link, and a service there: multicast DNS (RFC 6762) with DNS-SD (RFC 6763).

use super::wire::{self, Header, Query, Rdata, Reader, Record};
use core::net::IpAddr;
use hickory_proto::rr::Name;

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
/// Flags of an answer. RFC 6762 §18.2 and §18.4.
const ANSWER: u16 = wire::RESPONSE | wire::AUTHORITATIVE;
const SHORT: &str = "a few short records";
const SERVICES: &str = "_services._dns-sd._udp.local.";
const PAGE: &str = "_http._tcp.local.";

fn name(text: &str) -> Name {
    wire::name(text).expect("labels that we have made")
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
            IpAddr::V4(four) => Rdata::A(*four),
            IpAddr::V6(six) => Rdata::Aaaa(*six),
        };
        self.addresses
            .iter()
            .map(|address| record(self.host(), HOST_SECONDS, data(address)))
            .collect()
    }

    /// Everything, and whether it is ours alone.
    fn records(&self) -> Vec<(Record, bool)> {
        let service = Rdata::Srv([0, 0, self.port], self.host());
        let text = Rdata::Txt(vec![b"path=/".to_vec()]);
        let mut records: Vec<(Record, bool)> =
            self.address_records().into_iter().map(|record| (record, true)).collect();
        records.extend([
            (record(self.page(), HOST_SECONDS, service), true),
            (record(self.page(), OTHER_SECONDS, text), true),
            (record(name(PAGE), OTHER_SECONDS, Rdata::Ptr(self.page())), false),
            (record(name(SERVICES), OTHER_SECONDS, Rdata::Ptr(name(PAGE))), false),
        ]);
        records
    }
}

fn record(name: Name, ttl: u32, data: Rdata) -> Record {
    Record { name, class: wire::IN, ttl, data }
}

/// Has anybody this name? With what we would say of it, so that of two who ask at once one yields.
/// RFC 6762 §8.1 and §8.2.
pub fn probe(told: &Told) -> Vec<u8> {
    let asked = Query { name: told.host(), kind: wire::ANY, class: wire::IN };
    wire::write((0, 0), &[asked], [&[], &told.address_records(), &[]]).expect(SHORT)
}

/// This is ours now. RFC 6762 §8.3.
pub fn announce(told: &Told) -> Vec<u8> {
    let records: Vec<Record> = told.records().into_iter().map(flush).collect();
    wire::write((0, ANSWER), &[], [&records, &[], &[]]).expect(SHORT)
}

/// Of what is ours alone, others forget what they knew.
fn flush((mut record, own): (Record, bool)) -> Record {
    if own {
        record.class |= TOP_BIT;
    }
    record
}

/// What was heard; of the additional records only that they can be read.
struct Heard {
    header: Header,
    queries: Vec<Query>,
    answers: Vec<Record>,
    authorities: Vec<Record>,
}

impl Heard {
    /// All of a message, or nothing: the number of records is bounded by that of the octets.
    fn read(packet: &[u8]) -> Option<Heard> {
        let mut reader = Reader::new(packet);
        let header = reader.header()?;
        let [queries, answers, authorities, additionals] = header.counts;
        let queries = (0..queries).map(|_| reader.query()).collect::<Option<_>>()?;
        let mut records = |count| (0..count).map(|_| whole(&mut reader)).collect::<Option<_>>();
        let (answers, authorities) = (records(answers)?, records(authorities)?);
        records(additionals)?;
        Some(Heard { header, queries, answers, authorities })
    }
}

/// A record with something in it, which all but OPT have.
fn whole(reader: &mut Reader<'_>) -> Option<Record> {
    let record = reader.record()?;
    let is_whole = !matches!(record.data, Rdata::Empty(kind) if kind != wire::OPT);
    is_whole.then_some(record)
}

/// What a message from the link means to who is known as `told`. `legacy`: it was not sent from the
/// port of multicast DNS, so the answer goes to the sender alone and repeats the question.
pub fn hear(packet: &[u8], told: &Told, legacy: bool) -> Said {
    let Some(message) = Heard::read(packet) else { return Said::Nothing };
    if message.header.flags & wire::OPCODE != 0 {
        return Said::Nothing;
    }
    // RFC 9619: plain DNS asks one thing at a time, and the answer that repeats it stays short.
    if legacy && message.queries.len() > 1 {
        return Said::Nothing;
    }
    if message.header.flags & wire::RESPONSE != 0 {
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
            query.name == record.name
                && (query.kind == wire::ANY || query.kind == record.data.kind())
        })
    };
    let (answers, rest): (Vec<_>, Vec<_>) =
        told.records().into_iter().partition(|(record, _)| asked(record));
    // RFC 6762 §7.1: what the asker knows is not told again.
    let answers: Vec<_> = answers.into_iter().filter(|(record, _)| !known(record)).collect();
    if answers.is_empty() {
        return Said::Nothing;
    }
    let octets = if legacy {
        let shorten = |(mut record, _): (Record, bool)| {
            record.ttl = record.ttl.min(LEGACY_SECONDS);
            record
        };
        let answers: Vec<Record> = answers.into_iter().map(shorten).collect();
        wire::write((message.header.id, ANSWER), &message.queries, [&answers, &[], &[]])
    } else {
        let answers: Vec<Record> = answers.into_iter().map(flush).collect();
        // RFC 6763 §12: who asks for a service asks for its host next.
        let rest: Vec<Record> = rest.into_iter().filter(|(_, own)| *own).map(flush).collect();
        wire::write((0, ANSWER), &[], [&answers, &[], &rest])
    };
    octets.map_or(Said::Nothing, Said::Answer)
}

/// Whether any of `records` gives our name an address that is not ours. Names are the same whatever
/// their letters' case.
fn claims(records: &[Record], told: &Told) -> bool {
    records.iter().any(|record| {
        record.name == told.host()
            && address(record).is_some_and(|address| !told.addresses.contains(&address))
    })
}

/// Whether another's records are the greater. RFC 6762 §8.2: they are set in order by type and
/// data, which is that of addresses, and the first that differ decide.
fn loses(theirs: &[Record], told: &Told) -> bool {
    let in_order = |records: &[Record]| {
        let mut addresses: Vec<IpAddr> = Vec::new();
        for record in records.iter().filter(|record| record.name == told.host()) {
            if let Some(address) = address(record) {
                let at = addresses.partition_point(|other| *other < address);
                addresses.insert(at, address);
            }
        }
        addresses
    };
    in_order(theirs) > in_order(&told.address_records())
}

fn address(record: &Record) -> Option<IpAddr> {
    match record.data {
        Rdata::A(four) => Some(four.into()),
        Rdata::Aaaa(six) => Some(six.into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
