//! Where this machine is attached, asked of the kernel over rtnetlink(7): the only source that
//! tells each address with its own prefix, all routing tables, and needs no `/proc`.

use super::reactor::{Reactor, Watched};
use crate::{
    limits,
    sys::{Attached, Changes, Pending},
};
use rustix::{
    io::Errno,
    net::{
        AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind,
        netlink::SocketAddrNetlink, recv, send, socket_with, sockopt,
    },
};
use std::{
    future::poll_fn,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::fd::OwnedFd,
    task::{Context, Poll},
    time::Duration,
};

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
const RTM_NEWROUTE: u16 = 24;
const RTM_GETROUTE: u16 = 26;
const RTM_NEWNEIGH: u16 = 28;
const RTM_GETNEIGH: u16 = 30;
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_DUMP: u16 = 0x300;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const NDA_DST: u16 = 1;
const NDA_LLADDR: u16 = 2;
const RTA_GATEWAY: u16 = 5;
const RTA_MULTIPATH: u16 = 9;
const RTA_VIA: u16 = 18;
/// The two high bits of an attribute's type are flags.
const NLA_TYPE_MASK: u16 = 0x3fff;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// Groups of notices, of rtnetlink(7): `RTMGRP_LINK`, `RTMGRP_IPV4_IFADDR`, `RTMGRP_IPV4_ROUTE`,
/// `RTMGRP_IPV6_IFADDR`, `RTMGRP_IPV6_ROUTE`.
const GROUPS: u32 = 0x1 | 0x10 | 0x40 | 0x100 | 0x400;

/// What the kernel tells of links, addresses and routes, as it happens. What precisely has changed
/// is not read: it says only that it is worth to look again.
pub(super) struct Notices(Watched<OwnedFd>);

impl Notices {
    pub(super) fn new(reactor: &Reactor) -> io::Result<Notices> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
        bind(&socket, &SocketAddrNetlink::new(0, GROUPS))?;
        reactor.watch(socket).map(Notices)
    }

    /// Everything that has come is taken; ready where that was anything.
    fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut into = [0; 1024];
        let mut came = false;
        for _ in 0..limits::NETLINK_ANSWERS {
            let took = self.0.poll_take(cx, |socket| {
                recv(socket, &mut into[..], RecvFlags::TRUNC).map_err(io::Error::from)
            });
            match took {
                Poll::Pending if came => return Poll::Ready(()),
                Poll::Ready(Ok(_)) => came = true,
                // Notices were lost, for there were too many: that is news, too.
                Poll::Ready(Err(error)) if Errno::from_io_error(&error) == Some(Errno::NOBUFS) => {
                    came = true;
                }
                Poll::Pending | Poll::Ready(Err(_)) => return Poll::Pending,
            }
        }
        Poll::Ready(())
    }
}

impl Changes for Notices {
    fn next(&mut self) -> Pending<'_, ()> {
        Box::pin(poll_fn(|cx| self.poll(cx)))
    }
}

/// The private subnets of this machine and its default gateways. Loopback alone where the kernel
/// does not answer: then nobody else is trusted.
pub(super) fn attached() -> Attached {
    let mut found = Found::default();
    let asked = dump(RTM_GETADDR, &mut found).and_then(|()| dump(RTM_GETROUTE, &mut found));
    if asked.is_err() {
        found = Found::default();
    }
    found.attached()
}

/// Who is on the same links, and under which hardware address; nobody where the kernel does not
/// answer. [`limits::NEIGHBOURS`] at most.
pub(super) fn neighbours() -> Vec<(IpAddr, [u8; 6])> {
    let mut found = Found::default();
    drop(dump(RTM_GETNEIGH, &mut found));
    found.neighbours
}

/// Ask for all objects of a kind, of both families.
fn dump(kind: u16, found: &mut Found) -> io::Result<()> {
    // NETLINK_ROUTE is protocol 0.
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(Duration::from_secs(1)))?;
    // nlmsghdr, and a zeroed rtmsg, which is no shorter than an ifaddrmsg or an ndmsg.
    let mut request = [0_u8; 28];
    request[0..4].copy_from_slice(&28_u32.to_ne_bytes());
    request[4..6].copy_from_slice(&kind.to_ne_bytes());
    request[6..8].copy_from_slice(&(NLM_F_REQUEST | NLM_F_DUMP).to_ne_bytes());
    send(&socket, &request, SendFlags::empty())?;
    let mut answer = vec![0; limits::NETLINK_BYTES];
    for _ in 0..limits::NETLINK_ANSWERS {
        let (length, _) = recv(&socket, &mut answer[..], RecvFlags::empty())?;
        match found.take(answer.get(..length).unwrap_or_default()) {
            More::Comes => {}
            More::Done => return Ok(()),
            More::Failed => break,
        }
    }
    Err(io::Error::other("the kernel does not tell addresses and routes"))
}

#[derive(Debug, PartialEq, Eq)]
enum More {
    Comes,
    Done,
    Failed,
}

/// What was learned so far.
#[derive(Default)]
struct Found {
    addresses: Vec<(IpAddr, u8)>,
    gateways: Vec<IpAddr>,
    own: Vec<IpAddr>,
    neighbours: Vec<(IpAddr, [u8; 6])>,
}

impl Found {
    /// Read one datagram of the kernel: `struct nlmsghdr` and payload, again and again.
    fn take(&mut self, mut messages: &[u8]) -> More {
        while let Some(length) = u32_at(messages, 0) {
            let length = length as usize;
            let Some(message) = messages.get(16..length) else { return More::Failed };
            match u16_at(messages, 4) {
                Some(NLMSG_DONE) => return More::Done,
                Some(NLMSG_ERROR) | None => return More::Failed,
                Some(RTM_NEWADDR) => self.take_address(message),
                Some(RTM_NEWROUTE) => self.take_route(message),
                Some(RTM_NEWNEIGH) => self.take_neighbour(message),
                Some(_) => {}
            }
            messages = messages.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
        More::Comes
    }

    /// `struct ifaddrmsg`: family, prefix length, flags, scope, index.
    fn take_address(&mut self, message: &[u8]) {
        let (Some(&family), Some(&bits)) = (message.first(), message.get(1)) else { return };
        let mut address = None;
        let mut local = None;
        for (kind, value) in Attributes(message.get(8..).unwrap_or_default()) {
            match kind {
                IFA_ADDRESS => address = ip(family, value),
                IFA_LOCAL => local = ip(family, value),
                _ => {}
            }
        }
        // On a point-to-point link IFA_ADDRESS is the other end, to which the prefix belongs.
        if let Some(address) = address.or(local) {
            self.addresses.push((address, bits));
        }
        self.own.extend(local.or(address).filter(|own| subnet(*own, bits).is_some()));
    }

    /// `struct ndmsg`: family, three octets of padding, index, state, flags, type.
    fn take_neighbour(&mut self, message: &[u8]) {
        let Some(&family) = message.first() else { return };
        let (mut address, mut mac) = (None, None);
        for (kind, value) in Attributes(message.get(12..).unwrap_or_default()) {
            match kind {
                NDA_DST => address = ip(family, value),
                NDA_LLADDR => mac = <[u8; 6]>::try_from(value).ok(),
                _ => {}
            }
        }
        // Loopback has one of zeroes.
        let mac = mac.filter(|mac| *mac != [0; 6]);
        if self.neighbours.len() < limits::NEIGHBOURS {
            self.neighbours.extend(address.zip(mac));
        }
    }

    /// `struct rtmsg`: family, length of the destination prefix, eight more octets.
    fn take_route(&mut self, message: &[u8]) {
        let (Some(&family), Some(&bits)) = (message.first(), message.get(1)) else { return };
        // Two halves of the internet are a default route, too: VPN clients set them.
        if bits > 1 {
            return;
        }
        self.take_gateways(family, message.get(12..).unwrap_or_default());
    }

    fn take_gateways(&mut self, family: u8, attributes: &[u8]) {
        for (kind, value) in Attributes(attributes) {
            match kind {
                RTA_GATEWAY => self.gateways.extend(ip(family, value)),
                RTA_VIA => {
                    let family = u16_at(value, 0).and_then(|family| u8::try_from(family).ok());
                    let address = value.get(2..).unwrap_or_default();
                    self.gateways.extend(family.and_then(|family| ip(family, address)));
                }
                RTA_MULTIPATH => self.take_hops(family, value),
                _ => {}
            }
        }
    }

    /// `struct rtnexthop`: length, flags, hops, index; then attributes.
    fn take_hops(&mut self, family: u8, mut hops: &[u8]) {
        while let Some(length) = u16_at(hops, 0) {
            let length = usize::from(length);
            let Some(attributes) = hops.get(8..length) else { return };
            // The kernel does not nest these further.
            for (kind, value) in Attributes(attributes) {
                if kind == RTA_GATEWAY {
                    self.gateways.extend(ip(family, value));
                }
            }
            hops = hops.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
    }

    fn attached(self) -> Attached {
        let mut subnets: Vec<(IpAddr, u8)> = self
            .addresses
            .into_iter()
            .filter_map(|(address, bits)| subnet(address, bits))
            .collect();
        subnets.push((Ipv4Addr::new(127, 0, 0, 0).into(), 8));
        subnets.push((Ipv6Addr::LOCALHOST.into(), 128));
        subnets.sort_unstable();
        subnets.dedup();
        let mut gateways = self.gateways;
        gateways.retain(|gateway| !gateway.is_unspecified());
        gateways.sort_unstable();
        gateways.dedup();
        let mut addresses = self.own;
        addresses.retain(|own| !own.is_loopback());
        Attached { subnets, gateways, addresses }
    }
}

/// The private ranges: RFC 1918, RFC 1122 §3.2.1.3 (loopback), RFC 4193, RFC 4291 §2.5.3 and
/// §2.5.6.
const PRIVATE: [(IpAddr, u8); 7] = [
    (IpAddr::V4(Ipv4Addr::new(10, 0, 0, 0)), 8),
    (IpAddr::V4(Ipv4Addr::new(172, 16, 0, 0)), 12),
    (IpAddr::V4(Ipv4Addr::new(192, 168, 0, 0)), 16),
    (IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), 8),
    (IpAddr::V6(Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0)), 7),
    (IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0)), 10),
    (IpAddr::V6(Ipv6Addr::LOCALHOST), 128),
];

/// The part of the address's subnet that is private, if any: a prefix that is set too short does
/// not make strangers neighbours.
fn subnet(address: IpAddr, bits: u8) -> Option<(IpAddr, u8)> {
    let (_, least) = PRIVATE.into_iter().find(|&(range, length)| {
        range.is_ipv4() == address.is_ipv4() && network(address, length) == range
    })?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.clamp(least, most);
    Some((network(address, bits), bits))
}

fn network(address: IpAddr, bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(bits.into())).unwrap_or(0);
            Ipv4Addr::from_bits(v4.to_bits() & mask).into()
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(bits.into())).unwrap_or(0);
            Ipv6Addr::from_bits(v6.to_bits() & mask).into()
        }
    }
}

/// `struct rtattr`: length with its own four octets, type, value; aligned to four.
struct Attributes<'a>(&'a [u8]);

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let length = usize::from(u16_at(self.0, 0)?);
        let kind = u16_at(self.0, 2)? & NLA_TYPE_MASK;
        let value = self.0.get(4..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    }
}

fn ip(family: u8, octets: &[u8]) -> Option<IpAddr> {
    match family {
        AF_INET => <[u8; 4]>::try_from(octets).ok().map(IpAddr::from),
        AF_INET6 => <[u8; 16]>::try_from(octets).ok().map(IpAddr::from),
        _ => None,
    }
}

fn u16_at(octets: &[u8], at: usize) -> Option<u16> {
    octets.get(at..)?.first_chunk().map(|two| u16::from_ne_bytes(*two))
}

fn u32_at(octets: &[u8], at: usize) -> Option<u32> {
    octets.get(at..)?.first_chunk().map(|four| u32::from_ne_bytes(*four))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut octets = u16::try_from(4 + value.len()).unwrap().to_ne_bytes().to_vec();
        octets.extend(kind.to_ne_bytes());
        octets.extend(value);
        octets.resize(octets.len().next_multiple_of(4), 0);
        octets
    }

    fn message(kind: u16, payload: &[u8]) -> Vec<u8> {
        let mut octets = u32::try_from(16 + payload.len()).unwrap().to_ne_bytes().to_vec();
        octets.extend(kind.to_ne_bytes());
        octets.resize(16, 0);
        octets.extend(payload);
        octets
    }

    fn octets(ip: IpAddr) -> Vec<u8> {
        match ip {
            IpAddr::V4(v4) => v4.octets().to_vec(),
            IpAddr::V6(v6) => v6.octets().to_vec(),
        }
    }

    fn family(ip: IpAddr) -> u8 {
        if ip.is_ipv4() { AF_INET } else { AF_INET6 }
    }

    fn address(text: &str, bits: u8) -> Vec<u8> {
        let ip = text.parse().unwrap();
        let mut payload = vec![family(ip), bits, 0, 0, 1, 0, 0, 0];
        payload.extend(attribute(IFA_ADDRESS, &octets(ip)));
        payload.extend(attribute(3, b"eth0\0"));
        message(RTM_NEWADDR, &payload)
    }

    fn route(family: u8, bits: u8, attributes: &[Vec<u8>]) -> Vec<u8> {
        let mut payload = vec![0; 12];
        (payload[0], payload[1]) = (family, bits);
        payload.extend(attributes.concat());
        message(RTM_NEWROUTE, &payload)
    }

    fn gateway(text: &str) -> Vec<u8> {
        attribute(RTA_GATEWAY, &octets(text.parse().unwrap()))
    }

    fn found(messages: &[Vec<u8>]) -> Attached {
        let mut found = Found::default();
        assert_eq!(found.take(&messages.concat()), More::Comes);
        found.attached()
    }

    fn pairs(list: &[(&str, u8)]) -> Vec<(IpAddr, u8)> {
        list.iter().map(|(ip, bits)| (ip.parse().unwrap(), *bits)).collect()
    }

    const LOOPBACK: [(&str, u8); 2] = [("127.0.0.0", 8), ("::1", 128)];

    #[test]
    fn private_subnets_are_told_and_public_ones_are_not() {
        let attached = found(&[
            address("127.0.0.1", 8),
            address("192.168.1.20", 24),
            address("172.17.0.1", 16),
            address("172.32.0.1", 16),
            address("203.0.113.7", 24),
            address("100.64.0.9", 10),
            address("::1", 128),
            address("fd12:3456::1", 64),
            address("fe80::1", 64),
            address("2001:db8::1", 64),
        ]);
        assert_eq!(
            attached.subnets,
            pairs(&[
                LOOPBACK[0],
                ("172.17.0.0", 16),
                ("192.168.1.0", 24),
                LOOPBACK[1],
                ("fd12:3456::", 64),
                ("fe80::", 64),
            ])
        );
        assert!(attached.gateways.is_empty());
    }

    #[test]
    fn a_prefix_that_is_set_too_short_makes_no_stranger_a_neighbour() {
        let attached = found(&[address("192.168.1.1", 8), address("10.1.2.3", 0)]);
        assert_eq!(
            attached.subnets,
            pairs(&[("10.0.0.0", 8), LOOPBACK[0], ("192.168.0.0", 16), LOOPBACK[1]])
        );
    }

    #[test]
    fn only_default_routes_have_default_gateways() {
        let hop = |gateway: &[u8]| {
            let mut hop = u16::try_from(8 + gateway.len()).unwrap().to_ne_bytes().to_vec();
            hop.resize(8, 0);
            hop.extend(gateway);
            hop
        };
        let hops = [hop(&gateway("10.0.0.3")), hop(&gateway("10.0.0.4"))].concat();
        let via = [&u16::from(AF_INET6).to_ne_bytes()[..], &[0xfe; 16]].concat();
        let attached = found(&[
            route(AF_INET, 0, &[attribute(15, &[254, 0, 0, 0]), gateway("10.0.0.1")]),
            route(AF_INET, 0, &[gateway("10.0.0.1")]),
            route(AF_INET, 1, &[gateway("10.0.0.2")]),
            route(AF_INET, 0, &[attribute(RTA_MULTIPATH, &hops)]),
            route(AF_INET, 24, &[gateway("10.0.0.99")]),
            route(AF_INET, 0, &[attribute(RTA_VIA, &via)]),
            route(AF_INET6, 0, &[gateway("fe80::1")]),
        ]);
        let expected = pairs(&[
            ("10.0.0.1", 0),
            ("10.0.0.2", 0),
            ("10.0.0.3", 0),
            ("10.0.0.4", 0),
            ("fe80::1", 0),
            ("fefe:fefe:fefe:fefe:fefe:fefe:fefe:fefe", 0),
        ]);
        assert_eq!(attached.gateways, expected.into_iter().map(|(ip, _)| ip).collect::<Vec<_>>());
    }

    #[test]
    fn neighbours_have_a_hardware_address_and_no_more_are_kept_than_their_bound() {
        let neighbour = |address: &[u8], family: u8, mac: &[u8]| {
            let head = [family, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 1].to_vec();
            let (to, mac) = (attribute(NDA_DST, address), attribute(NDA_LLADDR, mac));
            message(RTM_NEWNEIGH, &[head, to, mac].concat())
        };
        let mut found = Found::default();
        let mac = [0xb8, 0x27, 0xeb, 1, 2, 3];
        assert_eq!(found.take(&neighbour(&[10, 0, 0, 1], AF_INET, &mac)), More::Comes);
        found.take(&neighbour(&[0xfe; 16], AF_INET6, &mac));
        found.take(&neighbour(&[127, 0, 0, 1], AF_INET, &[0; 6]));
        found.take(&neighbour(&[10, 0, 0, 2], AF_INET, &[1; 20]));
        found.take(&neighbour(&[10, 0, 0, 3], AF_INET, &[]));
        let whom = [IpAddr::from([10, 0, 0, 1]), IpAddr::from([0xfe_u8; 16])];
        assert_eq!(found.neighbours, whom.map(|address| (address, mac)));
        for _ in 0..limits::NEIGHBOURS {
            found.take(&neighbour(&[10, 0, 0, 1], AF_INET, &mac));
        }
        assert_eq!(found.neighbours.len(), limits::NEIGHBOURS);
    }

    #[test]
    fn a_captured_answer_is_understood() {
        // RTM_NEWADDR of 127.0.0.1/8 on lo, as Linux 6 on a little-endian machine sends it.
        if cfg!(target_endian = "big") {
            return;
        }
        let captured = [
            0x4c, 0, 0, 0, 0x14, 0, 2, 0, 1, 0, 0, 0, 0x39, 5, 0, 0, 2, 8, 0x80, 0xfe, 1, 0, 0, 0,
            8, 0, 1, 0, 127, 0, 0, 1, 8, 0, 2, 0, 127, 0, 0, 1, 7, 0, 3, 0, b'l', b'o', 0, 0, 8, 0,
            8, 0, 0x80, 0, 0, 0, 20, 0, 6, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0,
            0, 0, 0, 0, 0, 0,
        ];
        let mut found = Found::default();
        assert_eq!(found.take(&captured), More::Comes);
        assert_eq!(found.addresses, pairs(&[("127.0.0.1", 8)]));
    }

    #[test]
    fn the_end_an_error_and_nonsense_all_end_the_reading() {
        let take = |octets: &[u8]| Found::default().take(octets);
        assert_eq!(take(&message(NLMSG_DONE, &[0; 4])), More::Done);
        assert_eq!(take(&message(NLMSG_ERROR, &[0; 20])), More::Failed);
        assert_eq!(take(&[]), More::Comes);
        assert_eq!(take(&[3, 0, 0, 0, 20, 0]), More::Failed);
        assert_eq!(take(&[255; 64]), More::Failed);
        let whole = address("10.0.0.1", 8);
        for cut in 4..whole.len() {
            assert_eq!(take(&whole[..cut]), More::Failed, "{cut}");
        }
        // An attribute that claims no length, or more than there is, ends the list of them.
        for length in [0_u16, 3, 200] {
            let mut payload = vec![AF_INET, 8, 0, 0, 1, 0, 0, 0];
            payload.extend(length.to_ne_bytes());
            payload.extend([1, 0, 10, 0, 0, 1]);
            assert_eq!(found(&[message(RTM_NEWADDR, &payload)]).subnets, pairs(&LOOPBACK));
        }
    }

    #[test]
    fn this_machine_answers() {
        let mut found = Found::default();
        dump(RTM_GETADDR, &mut found).unwrap();
        dump(RTM_GETROUTE, &mut found).unwrap();
        dump(RTM_GETNEIGH, &mut found).unwrap();
        assert!(attached().subnets.starts_with(&pairs(&[])));
        assert!(attached().subnets.contains(&pairs(&LOOPBACK)[0]));
    }
}
