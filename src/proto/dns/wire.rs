//! What a DNS message is made of, read and written. RFC 1035 §4.
//!
//! Of records whose type we use the data is read, and must be as that type says; those of any other
//! type are passed over by their length. Names are hickory-proto's. Nothing else of it may be named
//! outside of tests: neither what knows all types of records (`Message`, `Record`), nor what shows
//! a name (`Display`, `Debug`, `to_ascii`, and so `expect` on its results), for which it has the
//! tables of UTS #46. Together they are some 250 KB of the program.

use super::Tlsa;
use core::net::{Ipv4Addr, Ipv6Addr};
use hickory_proto::{
    ProtoError,
    rr::Name,
    serialize::binary::{BinDecodable, BinDecoder, BinEncodable, BinEncoder, NameEncoding},
};

/// IPv4 address. RFC 1035 §3.4.1.
pub(super) const A: u16 = 1;
const CNAME: u16 = 5;
const SOA: u16 = 6;
/// Another name. RFC 1035 §3.3.12.
pub(super) const PTR: u16 = 12;
/// Mail exchanger. RFC 1035 §3.3.9.
pub(super) const MX: u16 = 15;
/// Texts. RFC 1035 §3.3.14.
pub(super) const TXT: u16 = 16;
/// IPv6 address. RFC 3596 §2.1.
pub(super) const AAAA: u16 = 28;
/// A service. RFC 2782.
pub(super) const SRV: u16 = 33;
/// What the sender of a message can. RFC 6891 §6.1.
pub(super) const OPT: u16 = 41;
/// A certificate. RFC 6698 §2.1.
pub(super) const TLSA: u16 = 52;
/// Of a question: every type. RFC 1035 §3.2.3.
pub(super) const ANY: u16 = 255;

/// The class of the Internet. RFC 1035 §3.2.4.
pub(super) const IN: u16 = 1;

/// Flag: a response. This and the others: RFC 1035 §4.1.1.
pub(super) const RESPONSE: u16 = 0x8000;
/// Bits of the flags: what is wanted; 0 is a query.
pub(super) const OPCODE: u16 = 0x7800;
/// Flag: from who has the name.
pub(super) const AUTHORITATIVE: u16 = 0x0400;
/// Flag: there was more.
pub(super) const TRUNCATED: u16 = 0x0200;
/// Flag: ask others as well.
pub(super) const RECURSION_DESIRED: u16 = 0x0100;
/// Flag: signatures were checked. RFC 4035 §3.2.3.
pub(super) const AUTHENTIC: u16 = 0x0020;
/// Bits of the flags: what came of it.
pub(super) const RCODE: u16 = 0x000f;

/// The first twelve octets. RFC 1035 §4.1.1.
pub(super) struct Header {
    /// What an answer is known by.
    pub(super) id: u16,
    /// Flags, OPCODE and RCODE.
    pub(super) flags: u16,
    /// How many questions, answers, authorities and additional records are said to follow.
    pub(super) counts: [u16; 4],
}

/// A question in a message. RFC 1035 §4.1.2.
#[derive(Clone)]
pub(super) struct Query {
    /// Name.
    pub(super) name: Name,
    /// Type.
    pub(super) kind: u16,
    /// Class.
    pub(super) class: u16,
}

/// A record. RFC 1035 §4.1.3.
#[derive(Clone)]
pub(super) struct Record {
    /// Whose it is.
    pub(super) name: Name,
    /// Class.
    pub(super) class: u16,
    /// Seconds for which it may be remembered.
    pub(super) ttl: u32,
    /// Type and data.
    pub(super) data: Rdata,
}

/// Type and data of a record.
#[derive(Clone, PartialEq)]
pub(super) enum Rdata {
    A(Ipv4Addr),
    Aaaa(Ipv6Addr),
    Cname(Name),
    Mx(u16, Name),
    Ptr(Name),
    /// How long "no" may be remembered is all that we want of it.
    Soa {
        minimum: u32,
    },
    /// Priority, weight and port; the host.
    Srv([u16; 3], Name),
    Tlsa(Tlsa),
    Txt(Vec<Vec<u8>>),
    /// Of this type, which we do not use.
    Other(u16),
    /// Of this type, used or not, without a single octet.
    Empty(u16),
}

impl Rdata {
    /// The number of its type.
    pub(super) fn kind(&self) -> u16 {
        match self {
            Rdata::A(_) => A,
            Rdata::Aaaa(_) => AAAA,
            Rdata::Cname(_) => CNAME,
            Rdata::Mx(..) => MX,
            Rdata::Ptr(_) => PTR,
            Rdata::Soa { .. } => SOA,
            Rdata::Srv(..) => SRV,
            Rdata::Tlsa(_) => TLSA,
            Rdata::Txt(_) => TXT,
            Rdata::Other(kind) | Rdata::Empty(kind) => *kind,
        }
    }
}

/// The name that `text` is, from the root, with or without the dot at its end.
pub(super) fn name(text: &str) -> Option<Name> {
    let mut name = Name::from_ascii(text).ok()?;
    name.set_fqdn(true);
    Some(name)
}

/// Reads a message from its beginning. Whatever is asked of it, `None` says that the octets are not
/// that; what was read before stays good.
pub(super) struct Reader<'a>(BinDecoder<'a>);

impl<'a> Reader<'a> {
    pub(super) fn new(octets: &'a [u8]) -> Reader<'a> {
        Reader(BinDecoder::new(octets))
    }

    pub(super) fn header(&mut self) -> Option<Header> {
        let (id, flags) = (self.number()?, self.number()?);
        let counts = [self.number()?, self.number()?, self.number()?, self.number()?];
        Some(Header { id, flags, counts })
    }

    pub(super) fn query(&mut self) -> Option<Query> {
        Some(Query { name: self.name()?, kind: self.number()?, class: self.number()? })
    }

    pub(super) fn record(&mut self) -> Option<Record> {
        let (name, kind, class) = (self.name()?, self.number()?, self.number()?);
        let ttl = self.long()?;
        let length = usize::from(self.number()?);
        let end = self.0.index() + length;
        let data = self.data(kind, length)?;
        // The data of a type that we know is no shorter and no longer than this type says.
        (self.0.index() == end).then_some(Record { name, class, ttl, data })
    }

    fn data(&mut self, kind: u16, length: usize) -> Option<Rdata> {
        Some(match kind {
            _ if length == 0 => Rdata::Empty(kind),
            A => Rdata::A(self.array::<4>()?.into()),
            AAAA => Rdata::Aaaa(self.array::<16>()?.into()),
            CNAME => Rdata::Cname(self.name()?),
            MX => Rdata::Mx(self.number()?, self.name()?),
            PTR => Rdata::Ptr(self.name()?),
            SOA => self.soa()?,
            SRV => Rdata::Srv([self.number()?, self.number()?, self.number()?], self.name()?),
            TLSA => {
                let [usage, selector, matching] = self.array()?;
                let data = self.octets(length.checked_sub(3)?)?.to_vec();
                Rdata::Tlsa(Tlsa { usage, selector, matching, data })
            }
            TXT => Rdata::Txt(strings(self.octets(length)?)?),
            _ => {
                self.octets(length)?;
                Rdata::Other(kind)
            }
        })
    }

    /// RFC 1035 §3.3.13: two names, then five numbers of which the last is the minimum.
    fn soa(&mut self) -> Option<Rdata> {
        self.name()?;
        self.name()?;
        self.octets(16)?;
        Some(Rdata::Soa { minimum: self.long()? })
    }

    fn name(&mut self) -> Option<Name> {
        Name::read(&mut self.0).ok()
    }

    fn number(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    fn long(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.octets(N)?.try_into().ok()
    }

    fn octets(&mut self, length: usize) -> Option<&'a [u8]> {
        Some(self.0.read_slice(length).ok()?.unverified())
    }
}

/// Texts, each with its length before it. RFC 1035 §3.3.
fn strings(mut octets: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut strings = Vec::new();
    while let Some((length, rest)) = octets.split_first() {
        let (string, rest) = rest.split_at_checked(usize::from(*length))?;
        strings.push(string.to_vec());
        octets = rest;
    }
    Some(strings)
}

/// The octets of a message: its id and flags, the questions, and the three sections of records.
/// Names that stood before are pointed to. RFC 1035 §4.1.4.
///
/// `None` where they are more than a message may have, or a record is of a type that we only read.
pub(super) fn write(
    (id, flags): (u16, u16),
    queries: &[Query],
    sections: [&[Record]; 3],
) -> Option<Vec<u8>> {
    let mut octets = Vec::new();
    let mut encoder = BinEncoder::new(&mut octets);
    let [answers, authorities, additionals] = sections.map(<[Record]>::len);
    let mut numbers = vec![id, flags];
    for count in [queries.len(), answers, authorities, additionals] {
        numbers.push(u16::try_from(count).ok()?);
    }
    emit(&mut encoder, &numbers).ok()?;
    for query in queries {
        query.name.emit(&mut encoder).ok()?;
        emit(&mut encoder, &[query.kind, query.class]).ok()?;
    }
    for record in sections.into_iter().flatten() {
        write_record(&mut encoder, record).ok()?;
    }
    Some(octets)
}

fn write_record(encoder: &mut BinEncoder<'_>, record: &Record) -> Result<(), ProtoError> {
    record.name.emit(encoder)?;
    emit(encoder, &[record.data.kind(), record.class])?;
    encoder.emit_u32(record.ttl)?;
    let place = encoder.place::<u16>()?;
    match &record.data {
        Rdata::A(address) => encoder.emit_vec(&address.octets())?,
        Rdata::Aaaa(address) => encoder.emit_vec(&address.octets())?,
        Rdata::Ptr(name) => name.emit(encoder)?,
        Rdata::Srv(numbers, host) => {
            emit(encoder, numbers)?;
            // RFC 2782: this name is not compressed.
            host.emit(&mut encoder.with_name_encoding(NameEncoding::Uncompressed))?;
        }
        Rdata::Txt(strings) => {
            for string in strings {
                encoder.emit_character_data(string)?;
            }
        }
        Rdata::Empty(_) => {}
        Rdata::Cname(_) | Rdata::Mx(..) | Rdata::Soa { .. } | Rdata::Tlsa(_) | Rdata::Other(_) => {
            return Err("only read".into());
        }
    }
    let length = u16::try_from(encoder.len_since_place(&place)).map_err(|_| "too long")?;
    place.replace(encoder, length)
}

fn emit(encoder: &mut BinEncoder<'_>, numbers: &[u16]) -> Result<(), ProtoError> {
    numbers.iter().try_for_each(|number| encoder.emit_u16(*number))
}

#[cfg(test)]
pub(super) mod tests;
