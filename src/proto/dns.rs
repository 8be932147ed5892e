//! DNS messages: questions out, answers in. RFC 1035, RFC 6891. The door of hickory-proto, of which
//! only the names are in the program.
//!
//! Of an answer only what was asked for is used: the records of the name asked, or of the name that
//! its CNAME chain in the same answer leads to. Everything else in it is ignored, whoever put it
//! there.

mod idn;
pub mod mdns;
mod wire;

use crate::limits;
use core::{
    fmt::Write,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    slice,
};
use hickory_proto::rr::Name;
use wire::{Query, Rdata, Reader, Record};

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
/// RCODE that all is well.
const NOERROR: u16 = 0;
/// RCODE that there is no such name.
const NXDOMAIN: u16 = 3;

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
    let text = if domain.is_ascii() {
        plain(&wire::name(domain)?)
    } else {
        plain(&wire::name(&idn::to_ascii(domain)?)?)
    };
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
    let trust = if ad { wire::AUTHENTIC } else { 0 };
    let name = wire::name(&question.name)?;
    let asked = Query { name, kind: question.kind.number(), class: wire::IN };
    // RFC 6891 §6.1.2: the root's, and the class is the size. Version 0, no flags, no options.
    let data = Rdata::Empty(wire::OPT);
    let size = Record { name: Name::root(), class: limits::DNS_PAYLOAD_BYTES, ttl: 0, data };
    let additionals = match payload {
        Payload::Large => slice::from_ref(&size),
        Payload::Plain => &[],
    };
    wire::write((id, wire::RECURSION_DESIRED | trust), &[asked], [&[], &[], additionals])
}

/// What `octets` say to `question`, which was asked with `id`.
///
/// # Errors
/// They are not an answer to it.
pub fn parse(octets: &[u8], id: u16, question: &Question) -> Result<Response, Stray> {
    let mut reader = Reader::new(octets);
    let header = reader.header().ok_or(Stray::Garbled)?;
    let is_response = header.flags & (wire::RESPONSE | wire::OPCODE) == wire::RESPONSE;
    if header.id != id || !is_response {
        return Err(Stray::Foreign);
    }
    // We ask with EDNS version 0, so the upper bits of an extended RCODE are never needed (RFC 6891
    // §6.1.3).
    let code = header.flags & wire::RCODE;
    let authentic = header.flags & wire::AUTHENTIC != 0;
    let unable = Response { answer: Answer::Unable(code), ttl: None, authentic };
    let useful = matches!(code, NOERROR | NXDOMAIN);
    let [queries, answers, authorities, _] = header.counts;
    if queries == 0 && !useful {
        // Some servers that do not understand a question do not repeat it either.
        return Ok(unable);
    }
    let asked = wire::name(&question.name).ok_or(Stray::Foreign)?;
    let repeated = queries == 1
        && reader.query().is_some_and(|query| {
            query.name == asked && query.kind == question.kind.number() && query.class == wire::IN
        });
    if !repeated {
        return Err(Stray::Foreign);
    }
    if !useful {
        return Ok(unable);
    }
    if header.flags & wire::TRUNCATED != 0 {
        return Ok(Response { answer: Answer::Truncated, ..unable });
    }
    let answers = records(&mut reader, answers).ok_or(Stray::Garbled)?;
    let chain = Chain::follow(asked, &answers);
    let data: Vec<Data> = chain.records(&answers, question.kind).collect();
    if !data.is_empty() {
        return Ok(Response { answer: Answer::Found(data), ttl: Some(chain.ttl), ..unable });
    }
    let negative = negative_ttl(&mut reader, authorities);
    let ttl = negative.map(|ttl| ttl.min(chain.ttl));
    let (answer, ttl) = match chain.end {
        _ if chain.is_endless => (Answer::Unable(SERVFAIL), None),
        _ if code == NXDOMAIN => (Answer::NoName, ttl),
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
            Rdata::Cname(target) if record.name == self.end => Some((target.clone(), record.ttl)),
            _ => None,
        })
    }

    fn records<'a>(&'a self, answers: &'a [Record], kind: Kind) -> impl Iterator<Item = Data> + 'a {
        let ours = move |record: &&Record| {
            record.name == self.end
                && record.class == wire::IN
                && record.data.kind() == kind.number()
        };
        answers.iter().filter(ours).filter_map(|record| match &record.data {
            Rdata::A(address) => Some(Data::A(*address)),
            Rdata::Aaaa(address) => Some(Data::Aaaa(*address)),
            Rdata::Mx(preference, host) => Some(Data::Mx(*preference, plain(host))),
            Rdata::Txt(strings) => Some(Data::Txt(strings.concat())),
            Rdata::Tlsa(tlsa) => Some(Data::Tlsa(tlsa.clone())),
            Rdata::Ptr(name) => Some(Data::Ptr(plain(name))),
            _ => None,
        })
    }
}

/// Up to [`limits::DNS_RECORDS`] of `count` records; `None` where one of them cannot be read.
fn records(reader: &mut Reader<'_>, count: u16) -> Option<Vec<Record>> {
    let count = usize::from(count).min(limits::DNS_RECORDS);
    let mut records = Vec::new();
    for _ in 0..count {
        records.push(reader.record()?);
    }
    Some(records)
}

/// How long "no" may be remembered: the SOA's own TTL, and the minimum in it. RFC 2308 §5.
fn negative_ttl(reader: &mut Reader<'_>, count: u16) -> Option<u32> {
    records(reader, count)?.iter().find_map(|record| match record.data {
        Rdata::Soa { minimum } => Some(record.ttl.min(minimum)),
        _ => None,
    })
}

impl Kind {
    /// The number of its type.
    fn number(self) -> u16 {
        match self {
            Kind::A => wire::A,
            Kind::Aaaa => wire::AAAA,
            Kind::Mx => wire::MX,
            Kind::Txt => wire::TXT,
            Kind::Tlsa => wire::TLSA,
            Kind::Ptr => wire::PTR,
        }
    }
}

/// A name in lower case without the dot at its end; what no host name may contain is escaped as
/// [`wire::name`] reads it, which is RFC 1035 §5.1 with octal numbers.
fn plain(name: &Name) -> String {
    let mut text = String::new();
    for label in name {
        if !text.is_empty() {
            text.push('.');
        }
        for (at, octet) in label.iter().enumerate() {
            let c = char::from(octet.to_ascii_lowercase());
            match octet {
                b'_' => text.push(c),
                b'-' if at > 0 => text.push(c),
                b'*' if at == 0 => text.push(c),
                _ if octet.is_ascii_alphanumeric() => text.push(c),
                _ if octet.is_ascii_graphic() => text.extend(['\\', c]),
                _ => write!(text, "\\{octet:03o}").expect("a string takes all"),
            }
        }
    }
    text
}

#[cfg(test)]
mod tests;
