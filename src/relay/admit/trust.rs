//! Whose address alone is reason enough to relay.

use crate::config::Network;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub(super) struct Trust {
    networks: Vec<Network>,
    /// Never trusted.
    except: Vec<IpAddr>,
}

const fn v4(a: u8, b: u8, bits: u8) -> Network {
    Network { address: IpAddr::V4(Ipv4Addr::new(a, b, 0, 0)), bits }
}

const fn v6(first: u16, last: u16, bits: u8) -> Network {
    Network { address: IpAddr::V6(Ipv6Addr::new(first, 0, 0, 0, 0, 0, 0, last)), bits }
}

const LOOPBACK: [Network; 2] = [v4(127, 0, 8), v6(0, 1, 128)];

/// RFC 1918 §3, RFC 3927, RFC 4193, RFC 4291 §2.5.6. Not RFC 6598: there the other customers of a
/// provider are.
const PRIVATE: [Network; 6] = [
    v4(10, 0, 8),
    v4(172, 16, 12),
    v4(192, 168, 16),
    v4(169, 254, 16),
    v6(0xfc00, 0, 7),
    v6(0xfe80, 0, 10),
];

impl Trust {
    /// What is configured, which has been checked to be no large part of the internet; or else
    /// loopback and those of the attached networks that are private, less the gateways: behind
    /// these NAT and container proxies hide strangers.
    pub(super) fn new(
        configured: Option<&[Network]>,
        attached: Vec<Network>,
        gateways: Vec<IpAddr>,
    ) -> Trust {
        if let Some(networks) = configured {
            return Trust { networks: networks.to_vec(), except: Vec::new() };
        }
        let is_private = |network: &Network| PRIVATE.iter().any(|wide| wide.covers(network));
        let attached = attached.into_iter().filter(is_private);
        let except = gateways.into_iter().map(|gateway| gateway.to_canonical());
        Trust { networks: LOOPBACK.into_iter().chain(attached).collect(), except: except.collect() }
    }

    pub(super) fn networks(&self) -> &[Network] {
        &self.networks
    }

    /// Is this address trusted? IPv4 in IPv6 dress (`::ffff:192.0.2.1`, as a socket for both shows
    /// it) counts as what it is.
    pub(super) fn covers(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        !self.except.contains(&peer) && self.networks.iter().any(|network| network.contains(peer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn network(address: &str, bits: u8) -> Network {
        Network { address: ip(address), bits }
    }

    /// What a router's own network looks like.
    fn attached() -> Trust {
        let attached = vec![
            network("192.168.7.0", 24),
            network("fd00:7::", 64),
            network("fe80::", 64),
            network("203.0.113.0", 24),
            network("2001:db8::", 64),
            network("100.64.0.0", 10),
            network("0.0.0.0", 0),
            network("8.0.0.0", 5),
            network("::", 0),
        ];
        Trust::new(None, attached, vec![ip("192.168.7.1"), ip("::ffff:192.168.7.2"), ip("fe80::1")])
    }

    #[test]
    fn by_default_loopback_and_attached_private_networks_are_trusted() {
        let trust = attached();
        for good in ["127.0.0.1", "127.9.9.9", "::1", "192.168.7.0", "192.168.7.255", "fd00:7::9"] {
            assert!(trust.covers(ip(good)), "{good}");
        }
        for good in ["fe80::2", "::ffff:192.168.7.9", "::ffff:127.0.0.1"] {
            assert!(trust.covers(ip(good)), "{good}");
        }
    }

    #[test]
    fn by_default_no_public_network_is_trusted_attached_or_not() {
        let trust = attached();
        for bad in ["203.0.113.9", "2001:db8::1", "100.64.0.1", "8.8.8.8", "10.0.0.1", "0.0.0.0"] {
            assert!(!trust.covers(ip(bad)), "{bad}");
        }
        for bad in ["192.168.8.0", "192.168.6.255", "fd00:8::1", "::", "::2", "::ffff:8.8.8.8"] {
            assert!(!trust.covers(ip(bad)), "{bad}");
        }
        assert!(!Trust::new(None, vec![], vec![]).covers(ip("192.168.7.9")));
    }

    #[test]
    fn a_gateway_is_not_trusted_unless_a_person_says_so() {
        for gateway in ["192.168.7.1", "::ffff:192.168.7.1", "192.168.7.2", "fe80::1"] {
            assert!(!attached().covers(ip(gateway)), "{gateway}");
        }
        let said = [network("192.168.7.0", 24)];
        assert!(Trust::new(Some(&said), vec![], vec![ip("192.168.7.1")]).covers(ip("192.168.7.1")));
    }

    #[test]
    fn what_a_person_says_replaces_the_default() {
        let said = [network("203.0.113.64", 26), network("2001:db8:1::", 48)];
        let trust = Trust::new(Some(&said), vec![network("192.168.7.0", 24)], vec![]);
        for good in ["203.0.113.64", "203.0.113.127", "2001:db8:1:ffff::1"] {
            assert!(trust.covers(ip(good)), "{good}");
        }
        for bad in ["203.0.113.63", "203.0.113.128", "2001:db8:2::", "192.168.7.9", "127.0.0.1"] {
            assert!(!trust.covers(ip(bad)), "{bad}");
        }
        assert!(!Trust::new(Some(&[]), vec![network("192.168.7.0", 24)], vec![]).covers(ip("::1")));
    }
}
