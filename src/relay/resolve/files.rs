//! What the machine's own files say about names: resolv.conf(5) and hosts(5), as texts.

use crate::{limits, pairs::Pairs, proto::dns};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const DNS_PORT: u16 = 53;

/// The name servers that the text of /etc/resolv.conf names, at most [`limits::DNS_SERVERS`], in
/// order.
///
/// Addresses with a zone (`fe80::1%eth0`) are left out: the zone's number is not ours to know.
/// `search` does not matter, since mail is sent to full names (RFC 5321 §2.3.5).
pub fn servers_of(resolv_conf: &str) -> Vec<SocketAddr> {
    let address = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        let is_server = words.next() == Some("nameserver");
        let address: IpAddr = words.next().filter(|_| is_server)?.parse().ok()?;
        Some(SocketAddr::new(address, DNS_PORT))
    };
    resolv_conf.lines().filter_map(address).take(limits::DNS_SERVERS).collect()
}

/// Does the text of /etc/resolv.conf say that its name servers are to be believed what they say of
/// signatures (`options trust-ad`)?
pub fn trusts_ad(resolv_conf: &str) -> bool {
    resolv_conf.lines().any(|line| {
        let mut words = line.split_ascii_whitespace();
        words.next() == Some("options") && words.any(|word| word == "trust-ad")
    })
}

/// Names that need no name server.
#[derive(Default)]
pub(super) struct Hosts(Pairs<String, Vec<IpAddr>>);

impl Hosts {
    /// From the text of /etc/hosts; the first [`limits::DNS_HOSTS`] names count.
    pub(super) fn parse(text: &str) -> Hosts {
        let mut hosts: Pairs<String, Vec<IpAddr>> = Pairs::new();
        for line in text.lines() {
            let mut words = line.split('#').next().unwrap_or("").split_ascii_whitespace();
            let Some(address) = words.next().and_then(|word| word.parse::<IpAddr>().ok()) else {
                continue;
            };
            for name in words.filter_map(dns::ascii_name) {
                if hosts.len() < limits::DNS_HOSTS || hosts.contains_key(&name) {
                    let addresses = hosts.entry(name, Vec::new);
                    if addresses.len() < limits::HOST_ADDRESSES && !addresses.contains(&address) {
                        addresses.push(address);
                    }
                }
            }
        }
        Hosts(hosts)
    }

    /// The addresses of `name`; empty where this does not know it. `localhost` and names below it
    /// are this machine whatever the file says. RFC 6761 §6.3.
    pub(super) fn addresses(&self, name: &str) -> Vec<IpAddr> {
        if name == "localhost" || name.ends_with(".localhost") {
            return vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        }
        self.0.get(name).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_three_name_servers_are_used_and_zones_are_not() {
        let text = "# made by dhcp\nsearch lan\nnameserver 192.0.2.1 # router\n\
                    nameserver fe80::1%eth0\nnameserver\t2001:db8::53\nnameservers 192.0.2.9\n\
                    ;nameserver 192.0.2.8\nnameserver nonsense\nnameserver\n\
                    nameserver 127.0.0.53\nnameserver 192.0.2.4\noptions edns0";
        let servers: Vec<String> = servers_of(text).iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["192.0.2.1:53", "[2001:db8::53]:53", "127.0.0.53:53"]);
        assert!(servers_of("").is_empty());
        for (text, trusts) in [
            ("options edns0 trust-ad\n", true),
            ("nameserver 192.0.2.1\n  options\ttrust-ad", true),
            ("options edns0\n# options trust-ad\n", false),
            ("search trust-ad\n", false),
        ] {
            assert_eq!(trusts_ad(text), trusts, "{text}");
        }
    }

    #[test]
    fn hosts_are_read_with_aliases_comments_and_several_addresses() {
        let text = "127.0.1.1 box\n192.0.2.7\tNas.lan nas # the disk\n2001:db8::7 nas\n\
                    #192.0.2.9 gone\nnonsense x\n192.0.2.7 nas\n";
        let hosts = Hosts::parse(text);
        let nas: Vec<String> = hosts.addresses("nas").iter().map(ToString::to_string).collect();
        assert_eq!(nas, ["192.0.2.7", "2001:db8::7"]);
        assert_eq!(hosts.addresses("nas.lan").len(), 1);
        assert!(hosts.addresses("gone").is_empty() && hosts.addresses("x").is_empty());
    }

    #[test]
    fn localhost_is_this_machine_whatever_the_file_says() {
        let hosts = Hosts::parse("192.0.2.66 localhost mail.localhost");
        for name in ["localhost", "mail.localhost"] {
            assert!(hosts.addresses(name).iter().all(IpAddr::is_loopback), "{name}");
        }
    }

    #[test]
    fn names_beyond_the_bound_are_left_out() {
        let line = |n: usize| format!("192.0.2.1 h{n}");
        let lines = |n: usize| (0..n).map(line).collect::<Vec<_>>().join("\n");
        assert_eq!(Hosts::parse(&lines(limits::DNS_HOSTS)).0.len(), limits::DNS_HOSTS);
        assert_eq!(Hosts::parse(&lines(limits::DNS_HOSTS + 1)).0.len(), limits::DNS_HOSTS);
        let many: Vec<String> = (0..40).map(|n| format!("192.0.2.{n} h")).collect();
        assert_eq!(Hosts::parse(&many.join("\n")).addresses("h").len(), limits::HOST_ADDRESSES);
    }
}
