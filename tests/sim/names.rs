//! A name server that knows a small world, and may be silent, unable, cut short or lied for.

use crate::{cable::Wire, world::World};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use std::{cell::Cell, collections::BTreeMap, net::Ipv4Addr};

/// What a name has.
#[derive(Clone, Debug)]
pub enum Record {
    A(Ipv4Addr),
    Mx(u16, &'static str),
    Cname(&'static str),
}

const A: u16 = 1;
const CNAME: u16 = 5;
const MX: u16 = 15;
const TTL: u32 = 300;
const SERVFAIL: u16 = 2;
const NXDOMAIN: u16 = 3;
const REFUSED: u16 = 5;
const TRUNCATED: u16 = 0x0200;

/// Where whoever is misled goes: everything is accepted there, and must never arrive.
pub const TRAP: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 66);

pub struct Names {
    zone: BTreeMap<&'static str, Vec<Record>>,
    /// So many questions in a thousand are not answered as they should be.
    trouble: Cell<u64>,
    /// These names are always cut short in a datagram.
    long: &'static str,
}

/// A question as it came.
struct Asked {
    id: u16,
    name: String,
    kind: u16,
    /// Its octets, to be said again.
    octets: Vec<u8>,
}

impl Names {
    pub fn new(zone: BTreeMap<&'static str, Vec<Record>>, long: &'static str) -> Names {
        Names { zone, trouble: Cell::new(0), long }
    }

    pub fn trouble(&self, permille: u64) {
        self.trouble.set(permille);
    }

    /// Answers to a datagram, each with the milliseconds it takes longer than it should.
    pub fn by_datagram(&self, world: &World, octets: &[u8]) -> Vec<(u64, Vec<u8>)> {
        let Some(asked) = ask(octets) else {
            world.wrong("a question to a name server makes no sense".into());
            return Vec::new();
        };
        let right = if asked.name.ends_with(self.long) {
            reply(&asked, TRUNCATED, &[])
        } else {
            self.answer(&asked)
        };
        if !world.permille(self.trouble.get()) {
            return vec![(0, right)];
        }
        let id = asked.id.wrapping_add(1 + u16::try_from(world.below(60_000)).expect("16 bits"));
        let lie =
            reply(&Asked { id, ..asked.again() }, 0, &[(asked.name.clone(), Record::A(TRAP))]);
        let other =
            Asked { name: "else.example".into(), octets: question("else.example"), ..asked };
        let strange = reply(&other, 0, &[("else.example".into(), Record::A(TRAP))]);
        match world.below(8) {
            0 | 1 => Vec::new(),
            2 => vec![(0, reply(&asked, SERVFAIL, &[]))],
            3 => vec![(0, reply(&asked, REFUSED, &[]))],
            4 => vec![(0, lie), (world.below(3_000), right)],
            5 => vec![(0, strange), (world.below(8_000), right)],
            6 => vec![(0, reply(&asked, TRUNCATED, &[]))],
            _ => vec![(0, vec![7; 30]), (world.below(30_000), right)],
        }
    }

    /// A session by TCP: one answer.
    pub async fn by_stream(&self, world: &World, mut wire: Wire) {
        if world.permille(self.trouble.get() / 2) {
            return;
        }
        let mut length = [0; 2];
        let heard = async {
            wire.read_exact(&mut length).await?;
            let mut octets = vec![0; usize::from(u16::from_be_bytes(length))];
            wire.read_exact(&mut octets).await?;
            let answer = ask(&octets).map(|asked| self.answer(&asked)).unwrap_or_default();
            let length = u16::try_from(answer.len()).expect("a small answer").to_be_bytes();
            wire.write_all(&[&length, answer.as_slice()].concat()).await
        };
        // Who does not ask hears nothing.
        drop(heard.await);
    }

    fn answer(&self, asked: &Asked) -> Vec<u8> {
        let mut name = asked.name.clone();
        let mut records = Vec::new();
        loop {
            // Any number of domains that have one server.
            let is_wild =
                |known: &&&str| known.strip_prefix('*').is_some_and(|w| name.ends_with(w));
            let wild = self.zone.keys().find(is_wild).copied();
            let Some(found) = self.zone.get(wild.unwrap_or(name.as_str())) else {
                let parent = self.zone.keys().any(|known| known.ends_with(&format!(".{name}")));
                return reply(asked, if parent { 0 } else { NXDOMAIN }, &records);
            };
            let fits = |record: &&Record| kind(record) == asked.kind;
            records.extend(found.iter().filter(fits).map(|r| (name.clone(), r.clone())));
            match found.first() {
                Some(Record::Cname(other)) if asked.kind != CNAME => {
                    records.push((name, Record::Cname(other)));
                    name = (*other).to_string();
                }
                _ => return reply(asked, 0, &records),
            }
        }
    }
}

impl Asked {
    fn again(&self) -> Asked {
        Asked { id: self.id, name: self.name.clone(), kind: self.kind, octets: self.octets.clone() }
    }
}

fn kind(record: &Record) -> u16 {
    match record {
        Record::A(_) => A,
        Record::Mx(..) => MX,
        Record::Cname(_) => CNAME,
    }
}

/// RFC 1035 §4.1.1, §4.1.2.
fn ask(octets: &[u8]) -> Option<Asked> {
    let number = |at: usize| Some(u16::from_be_bytes([*octets.get(at)?, *octets.get(at + 1)?]));
    let mut labels: Vec<String> = Vec::new();
    let mut at = 12;
    loop {
        let length = usize::from(*octets.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        labels.push(String::from_utf8(octets.get(at..at + length)?.to_vec()).ok()?);
        at += length;
    }
    let name = labels.join(".").to_lowercase();
    Some(Asked {
        id: number(0)?,
        name,
        kind: number(at)?,
        octets: octets.get(12..at + 4)?.to_vec(),
    })
}

fn encode(name: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        octets.push(u8::try_from(label.len()).expect("at most 63"));
        octets.extend_from_slice(label.as_bytes());
    }
    octets.push(0);
    octets
}

fn question(name: &str) -> Vec<u8> {
    [encode(name), vec![0, 1, 0, 1]].concat()
}

/// RFC 1035 §4.1; names are written out.
fn reply(asked: &Asked, code: u16, records: &[(String, Record)]) -> Vec<u8> {
    let count = u16::try_from(records.len()).expect("a few");
    // What is not there the zone's SOA vouches for. RFC 2308 §3.
    let denied = records.is_empty() && [0, NXDOMAIN].contains(&code);
    let head = [asked.id, 0x8180 | code, 1, count, u16::from(denied), 0];
    let mut octets: Vec<u8> = head.iter().flat_map(|n| n.to_be_bytes()).collect();
    octets.extend_from_slice(&asked.octets);
    for (owner, record) in records {
        let data = match record {
            Record::A(address) => address.octets().to_vec(),
            Record::Mx(preference, host) => {
                [preference.to_be_bytes().to_vec(), encode(host)].concat()
            }
            Record::Cname(other) => encode(other),
        };
        octets.extend_from_slice(&encode(owner));
        octets.extend_from_slice(&kind(record).to_be_bytes());
        octets.extend_from_slice(&[0, 1]);
        octets.extend_from_slice(&TTL.to_be_bytes());
        let length = u16::try_from(data.len()).expect("a short one");
        octets.extend_from_slice(&length.to_be_bytes());
        octets.extend_from_slice(&data);
    }
    if denied {
        octets.extend_from_slice(&soa());
    }
    octets
}

/// That of the root. RFC 1035 §3.3.13.
fn soa() -> Vec<u8> {
    let numbers = [1, 60, 60, 60, TTL].map(u32::to_be_bytes).concat();
    let data = [encode("ns.example"), encode("hostmaster.example"), numbers].concat();
    let length = u16::try_from(data.len()).expect("a short one").to_be_bytes();
    [&[0, 0, 6, 0, 1][..], &TTL.to_be_bytes(), &length, &data].concat()
}
