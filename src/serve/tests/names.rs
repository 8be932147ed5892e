//! A name server: what is in its zone it says, what is not it denies with the zone's word.

use super::world::World;
use crate::sys::{Datagrams, Pending};
use std::{
    cell::RefCell,
    future::{pending, ready},
    io,
    rc::Rc,
};

/// A record: owner, type, data as it goes over the wire.
pub(super) type Record = (String, u16, Vec<u8>);

/// All names, and how they are told.
#[derive(Default)]
pub(super) struct Zone {
    pub(super) records: Vec<Record>,
    /// Signatures were checked.
    pub(super) signed: bool,
    /// What is not there is denied without a zone's word for it.
    pub(super) vouches_for_nothing: bool,
    /// Nothing is answered.
    pub(super) mute: bool,
    /// Questions of these types fail.
    pub(super) failing: Vec<u16>,
}

pub(super) const A: u16 = 1;
pub(super) const MX: u16 = 15;
pub(super) const TXT: u16 = 16;
pub(super) const TLSA: u16 = 52;

/// A name as it goes over the wire.
pub(super) fn wire(name: &str) -> Vec<u8> {
    let label = |l: &str| [&[u8::try_from(l.len()).expect("short")], l.as_bytes()].concat();
    name.split('.').flat_map(label).chain([0]).collect()
}

impl World {
    pub(super) fn record(&self, owner: &str, kind: u16, data: Vec<u8>) {
        self.zone.borrow_mut().records.push((owner.into(), kind, data));
    }

    /// A mail server of a domain, at this address.
    pub(super) fn exchanger(&self, domain: &str, host: &str, address: [u8; 4]) {
        self.record(domain, MX, [&[0, 10][..], &wire(host)].concat());
        self.record(host, A, address.to_vec());
    }

    /// This is the text of a name, and no other.
    pub(super) fn text(&self, owner: &str, text: &str) {
        self.zone.borrow_mut().records.retain(|(name, kind, _)| name != owner || *kind != TXT);
        let length = u8::try_from(text.len()).expect("short");
        self.record(owner, TXT, [&[length], text.as_bytes()].concat());
    }
}

/// A socket to the name server.
pub(super) struct Socket {
    pub(super) world: Rc<World>,
    heard: RefCell<Vec<u8>>,
}

impl Socket {
    pub(super) fn new(world: Rc<World>) -> Socket {
        Socket { world, heard: RefCell::default() }
    }

    fn answer(&self, query: &[u8]) -> Vec<u8> {
        let end = query[12..].iter().position(|b| *b == 0).expect("a name") + 13;
        let asked = &query[12..end];
        let kind = u16::from_be_bytes([query[end], query[end + 1]]);
        let zone = self.world.zone.borrow();
        let named = |record: &&Record| wire(&record.0) == asked;
        let found: Vec<&Record> = zone.records.iter().filter(named).collect();
        let fit: Vec<&&Record> = found.iter().filter(|record| record.1 == kind).collect();
        let rcode = match found.len() {
            _ if zone.failing.contains(&kind) => 2,
            0 => 3,
            _ => 0,
        };
        let mut octets = query[..end + 4].to_vec();
        octets[2] = 0x81;
        octets[3] = 0x80 | u8::from(zone.signed) << 5 | rcode;
        octets[7] = u8::try_from(fit.len()).expect("few");
        let vouched = fit.is_empty() && !zone.vouches_for_nothing;
        octets[9] = u8::from(vouched);
        octets[11] = 0;
        let mut put = |owner: &[u8], kind: u16, data: &[u8]| {
            let length = u16::try_from(data.len()).expect("short");
            octets.extend([owner, &kind.to_be_bytes(), &[0, 1, 0, 0, 0, 60]].concat());
            octets.extend([&length.to_be_bytes()[..], data].concat());
        };
        for (_, kind, data) in &fit {
            put(&[0xc0, 12], *kind, data);
        }
        if vouched {
            put(&[0], 6, &[&[0, 0][..], &[0, 0, 0, 60].repeat(5)].concat());
        }
        octets
    }
}

impl Datagrams for Socket {
    fn send<'a>(&'a self, query: &'a [u8]) -> Pending<'a, io::Result<()>> {
        *self.heard.borrow_mut() = self.answer(query);
        Box::pin(ready(Ok(())))
    }
    fn receive<'a>(&'a self, into: &'a mut [u8]) -> Pending<'a, io::Result<usize>> {
        if self.world.zone.borrow().mute {
            return Box::pin(pending());
        }
        let heard = self.heard.take();
        into[..heard.len()].copy_from_slice(&heard);
        Box::pin(ready(Ok(heard.len())))
    }
}
