//! DNS messages: questions out, answers in. RFC 1035, RFC 6891. The door of hickory-proto.
//!
//! Of an answer only what was asked for is used: the records of the name asked, or of the name that
//! its CNAME chain in the same answer leads to. Everything else in it is ignored, whoever put it
//! there.

pub mod mdns;

use crate::limits;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use hickory_proto::{
    op::{Edns, Header, Message, MessageType, OpCode, Query, ResponseCode},
    rr::{DNSClass, Name, RData, Record, RecordType},
    serialize::binary::{BinDecodable, BinDecoder},
};

/// What is asked about a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// Mail exchangers.
    Mx,
    /// Texts.
    Txt,
    /// Certificates of a service, at `_25._tcp.mx.example.org`. RFC 6698 §3.
    Tlsa,
    /// The names of an address, at what [`reverse_name`] gives.
    Ptr,
}

/// A question: a name, as [`ascii_name`] gives it, and what is asked about it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Question {
    /// Name.
    pub name: String,
    /// Record type.
    pub kind: Kind,
}

/// Contents of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// IPv4 address.
    A(Ipv4Addr),
    /// IPv6 address.
    Aaaa(Ipv6Addr),
    /// Preference, and the host in lower case without the dot at its end; the root (`.`) is empty.
    /// What no host name may contain is escaped with backslashes.
    Mx(u16, String),
    /// The strings of a text, one after the other. RFC 7208 §3.3.
    Txt(Vec<u8>),
    /// A certificate.
    Tlsa(Tlsa),
    /// A host, as in `Mx`.
    Ptr(String),
}

/// A certificate that DNS describes. RFC 6698 §2.1, with the numbers of RFC 7218.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tlsa {
    /// Whose it is: 2 that of an authority (DANE-TA), 3 the server's own (DANE-EE).
    pub usage: u8,
    /// What of it counts: 0 all of it, 1 its public key.
    pub selector: u8,
    /// What `data` is of that: 0 itself, 1 its SHA-256, 2 its SHA-512.
    pub matching: u8,
    /// Octets.
    pub data: Vec<u8>,
}

/// What a server says to a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// These, at least 1 and at most [`limits::DNS_RECORDS`].
    Found(Vec<Data>),
    /// The name is there, such records are not.
    NoData,
    /// There is no such name (NXDOMAIN).
    NoName,
    /// It is an alias of this name, about which nothing is said: ask again.
    Elsewhere(String),
    /// The answer does not fit a datagram: ask by TCP.
    Truncated,
    /// The server cannot or will not say; its RCODE.
    Unable(u16),
}

/// RCODE of a server that does not understand the question, such as EDNS. RFC 6891 §7.
pub const FORMERR: u16 = 1;
/// RCODE of a server that tried and failed.
pub const SERVFAIL: u16 = 2;
/// RCODE of a server that lacks what was asked of it.
pub const NOTIMP: u16 = 4;

/// An answer and how far it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The answer.
    pub answer: Answer,
    /// Seconds for which it may be remembered; `None`: nothing was said about that. RFC 2308 §5.
    pub ttl: Option<u32>,
    /// The server says that it has checked the signatures (AD). Worth as much as the way to it.
    pub authentic: bool,
}

/// Whether a question says how large an answer may be. RFC 6891.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    /// [`limits::DNS_PAYLOAD_BYTES`], by EDNS.
    Large,
    /// 512 octets, without EDNS.
    Plain,
}

/// Why octets are not the answer to a question: skip them, the answer may still come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stray {
    /// No DNS message.
    Garbled,
    /// Not a response, or one to something else.
    Foreign,
}

/// A domain name as DNS and SMTP carry it: A-labels, lower case, no dot at the end. RFC 5891 §5.
///
/// `None` where it is no domain name: an empty or overlong label, a character that may not be
/// there.
pub fn ascii_name(domain: &str) -> Option<String> {
    let name = if domain.is_ascii() { Name::from_ascii(domain) } else { Name::from_utf8(domain) };
    let text = plain(&name.ok()?);
    // DNS itself takes any octet. RFC 1123 §2.1, and the underscore of service names.
    let good = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    (!text.is_empty() && text.bytes().all(good)).then_some(text)
}

/// Does only some network at home know this domain? It has no dot, it is an address, or it ends in
/// what is nobody's in DNS: RFC 6761, RFC 6762, RFC 8375, and what routers make up.
pub fn is_home_name(domain: &str) -> bool {
    const MADE_UP: [&str; 7] =
        ["local", "localhost", "localdomain", "lan", "home", "internal", "invalid"];
    let domain = domain.strip_suffix('.').unwrap_or(domain).to_ascii_lowercase();
    let last = domain.rsplit('.').next().unwrap_or_default();
    let is_home =
        domain.strip_suffix("home.arpa").is_some_and(|w| w.is_empty() || w.ends_with('.'));
    !domain.contains('.') || domain.starts_with('[') || MADE_UP.contains(&last) || is_home
}

/// The name at which the names of an address stand. RFC 1035 §3.5, RFC 3596 §2.5.
pub fn reverse_name(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(four) => {
            let [a, b, c, d] = four.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(six) => {
            let nibbles = six.octets().into_iter().rev().flat_map(|b| [b & 15, b >> 4]);
            let labels: Vec<String> = nibbles.map(|nibble| format!("{nibble:x}")).collect();
            format!("{}.ip6.arpa", labels.join("."))
        }
    }
}

/// The octets of a question, for a datagram; TCP puts their number before them. `ad`: we want to
/// know whether the answer is authentic, and believe that server (RFC 6840 §5.7).
///
/// `None` where the name is none.
pub fn query(id: u16, question: &Question, payload: Payload, ad: bool) -> Option<Vec<u8>> {
    let mut message = Message::new(id, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.metadata.authentic_data = ad;
    message.add_query(Query::query(wire_name(question)?, record_type(question.kind)));
    if payload == Payload::Large {
        let mut edns = Edns::new();
        edns.set_max_payload(limits::DNS_PAYLOAD_BYTES);
        message.set_edns(edns);
    }
    message.to_vec().ok()
}

/// What `octets` say to `question`, which was asked with `id`.
///
/// # Errors
/// They are not an answer to it.
pub fn parse(octets: &[u8], id: u16, question: &Question) -> Result<Response, Stray> {
    let mut decoder = BinDecoder::new(octets);
    let header = Header::read(&mut decoder).map_err(|_| Stray::Garbled)?;
    let meta = header.metadata;
    if meta.id != id || meta.message_type != MessageType::Response || meta.op_code != OpCode::Query
    {
        return Err(Stray::Foreign);
    }
    // We ask with EDNS version 0, so the upper bits of an extended RCODE are never needed (RFC 6891
    // §6.1.3).
    let unable = Response {
        answer: Answer::Unable(meta.response_code.into()),
        ttl: None,
        authentic: meta.authentic_data,
    };
    let useful = matches!(meta.response_code, ResponseCode::NoError | ResponseCode::NXDomain);
    if header.counts.queries == 0 && !useful {
        // Some servers that do not understand a question do not repeat it either.
        return Ok(unable);
    }
    let asked = wire_name(question).ok_or(Stray::Foreign)?;
    let repeated = header.counts.queries == 1
        && Query::read(&mut decoder).is_ok_and(|query| {
            *query.name() == asked
                && query.query_type() == record_type(question.kind)
                && query.query_class() == DNSClass::IN
        });
    if !repeated {
        return Err(Stray::Foreign);
    }
    if !useful {
        return Ok(unable);
    }
    if meta.truncation {
        return Ok(Response { answer: Answer::Truncated, ..unable });
    }
    let answers = records(&mut decoder, header.counts.answers).ok_or(Stray::Garbled)?;
    let chain = Chain::follow(asked, &answers);
    let data: Vec<Data> = chain.records(&answers, question.kind).collect();
    if !data.is_empty() {
        return Ok(Response { answer: Answer::Found(data), ttl: Some(chain.ttl), ..unable });
    }
    let negative = negative_ttl(&mut decoder, header.counts.authorities);
    let ttl = negative.map(|ttl| ttl.min(chain.ttl));
    let (answer, ttl) = match chain.end {
        _ if chain.is_endless => (Answer::Unable(SERVFAIL), None),
        _ if meta.response_code == ResponseCode::NXDomain => (Answer::NoName, ttl),
        end if chain.links > 0 && ttl.is_none() => {
            (Answer::Elsewhere(plain(&end)), Some(chain.ttl))
        }
        _ => (Answer::NoData, ttl),
    };
    Ok(Response { answer, ttl, ..unable })
}

/// The CNAMEs of an answer, from the name that was asked for. RFC 1034 §3.6.2.
struct Chain {
    end: Name,
    links: usize,
    is_endless: bool,
    /// Of all links and of the records at the end.
    ttl: u32,
}

impl Chain {
    fn follow(asked: Name, answers: &[Record]) -> Chain {
        let mut chain = Chain { end: asked, links: 0, is_endless: false, ttl: u32::MAX };
        while let Some((target, ttl)) = chain.next_link(answers) {
            if chain.links == limits::DNS_ALIASES {
                chain.is_endless = true;
                break;
            }
            chain.links += 1;
            chain.ttl = chain.ttl.min(ttl);
            chain.end = target;
        }
        for record in answers.iter().filter(|record| record.name == chain.end) {
            chain.ttl = chain.ttl.min(record.ttl);
        }
        chain
    }

    fn next_link(&self, answers: &[Record]) -> Option<(Name, u32)> {
        answers.iter().find_map(|record| match &record.data {
            RData::CNAME(target) if record.name == self.end => Some((target.0.clone(), record.ttl)),
            _ => None,
        })
    }

    fn records<'a>(&'a self, answers: &'a [Record], kind: Kind) -> impl Iterator<Item = Data> + 'a {
        let ours = move |record: &&Record| {
            record.name == self.end
                && record.dns_class == DNSClass::IN
                && record.record_type() == record_type(kind)
        };
        answers.iter().filter(ours).filter_map(|record| match &record.data {
            RData::A(address) => Some(Data::A(address.0)),
            RData::AAAA(address) => Some(Data::Aaaa(address.0)),
            RData::MX(mx) => Some(Data::Mx(mx.preference, plain(&mx.exchange))),
            RData::TXT(text) => Some(Data::Txt(text.txt_data.concat())),
            RData::TLSA(tlsa) => Some(Data::Tlsa(Tlsa {
                usage: tlsa.cert_usage.into(),
                selector: tlsa.selector.into(),
                matching: tlsa.matching.into(),
                data: tlsa.cert_data.clone(),
            })),
            RData::PTR(name) => Some(Data::Ptr(plain(&name.0))),
            _ => None,
        })
    }
}

/// Up to [`limits::DNS_RECORDS`] of `count` records; `None` where one of them cannot be read.
fn records(decoder: &mut BinDecoder<'_>, count: u16) -> Option<Vec<Record>> {
    let count = usize::from(count).min(limits::DNS_RECORDS);
    let mut records = Vec::new();
    for _ in 0..count {
        records.push(Record::read(decoder).ok()?);
    }
    Some(records)
}

/// How long "no" may be remembered: the SOA's own TTL, and the minimum in it. RFC 2308 §5.
fn negative_ttl(decoder: &mut BinDecoder<'_>, count: u16) -> Option<u32> {
    records(decoder, count)?.iter().find_map(|record| match &record.data {
        RData::SOA(soa) => Some(record.ttl.min(soa.minimum)),
        _ => None,
    })
}

fn record_type(kind: Kind) -> RecordType {
    match kind {
        Kind::A => RecordType::A,
        Kind::Aaaa => RecordType::AAAA,
        Kind::Mx => RecordType::MX,
        Kind::Txt => RecordType::TXT,
        Kind::Tlsa => RecordType::TLSA,
        Kind::Ptr => RecordType::PTR,
    }
}

fn wire_name(question: &Question) -> Option<Name> {
    let mut name = Name::from_ascii(&question.name).ok()?;
    name.set_fqdn(true);
    Some(name)
}

fn plain(name: &Name) -> String {
    let text = name.to_ascii().to_ascii_lowercase();
    text.strip_suffix('.').unwrap_or(&text).to_string()
}

#[cfg(test)]
mod tests;
