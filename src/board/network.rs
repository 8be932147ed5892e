//! The file `network`: a fixed address, or a name. Pure.
//!
//! Lines `key = value`; what is left out, DHCP tells.

use crate::limits;
use std::net::{IpAddr, Ipv4Addr};

/// What the file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// Of the board, without `.local`.
    pub name: Option<String>,
    /// Address and bits of its network; without one, DHCP is asked.
    pub address: Option<(Ipv4Addr, u8)>,
    /// The way to everywhere else.
    pub gateway: Option<Ipv4Addr>,
    /// Name servers.
    pub dns: Vec<IpAddr>,
    /// Time servers, names or addresses.
    pub time: Vec<String>,
}

const KEYS: &str = "name, address, gateway, dns and time";

/// Read it.
///
/// # Errors
/// The line, what was found there and what is allowed.
pub fn parse(text: &str) -> Result<Network, String> {
    let mut network = Network::default();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let read = line
            .split_once('=')
            .ok_or_else(|| format!("found {line:?}; allowed is a key, = and a value"))
            .and_then(|(key, value)| set(&mut network, key.trim(), value.trim()));
        read.map_err(|words| format!("network, line {}: {words}", number + 1))?;
    }
    match (network.address, network.gateway) {
        (None, Some(_)) => Err("network: a gateway without an address".into()),
        (Some((own, bits)), Some(gateway)) if !same_net(own, gateway, bits) => {
            Err(format!("network: the gateway {gateway} is not in the network of {own}/{bits}"))
        }
        _ => Ok(network),
    }
}

fn set(network: &mut Network, key: &str, value: &str) -> Result<(), String> {
    let wrong = |allowed: &str| format!("{key}: found {value:?}; allowed is {allowed}");
    let words = || value.split([' ', ',']).filter(|word| !word.is_empty());
    match key {
        "name" => {
            let fits = is_label(value);
            network.name = Some(fits.then(|| value.to_ascii_lowercase()).ok_or_else(|| {
                wrong("letters, digits and hyphens, at most 63, such as waypost")
            })?);
        }
        "address" => {
            let allowed = "an address and the bits of its network, such as 192.168.1.5/24";
            network.address = Some(subnet(value).ok_or_else(|| wrong(allowed))?);
        }
        "gateway" => {
            let allowed = "an address, such as 192.168.1.1";
            network.gateway = Some(value.parse().map_err(|_| wrong(allowed))?);
        }
        "dns" => {
            let servers: Result<Vec<IpAddr>, _> = words().map(str::parse).collect();
            network.dns = servers.map_err(|_| wrong("addresses, such as 192.168.1.1"))?;
        }
        "time" => network.time = words().map(str::to_owned).collect(),
        _ => return Err(format!("found {key:?}; allowed is {KEYS}")),
    }
    let most = limits::BOARD_SERVERS;
    if network.dns.len() > most || network.time.len() > most {
        return Err(format!("{key}: more than {most} servers"));
    }
    Ok(())
}

/// RFC 1123 §2.1.
fn is_label(text: &str) -> bool {
    let within = |c: char| c.is_ascii_alphanumeric() || c == '-';
    (1..=63).contains(&text.len())
        && text.chars().all(within)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

fn subnet(text: &str) -> Option<(Ipv4Addr, u8)> {
    let (address, bits) = text.split_once('/')?;
    let bits = bits.parse().ok().filter(|bits| (1..=30).contains(bits))?;
    let address: Ipv4Addr = address.parse().ok()?;
    (!address.is_unspecified() && !address.is_multicast()).then_some((address, bits))
}

fn same_net(one: Ipv4Addr, other: Ipv4Addr, bits: u8) -> bool {
    (one.to_bits() ^ other.to_bits()) >> (32 - u32::from(bits)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_with_everything_is_read() {
        let text = "# mine\nname = Mail-1\naddress = 192.168.1.5/24\ngateway = 192.168.1.1\n\
                    dns = 192.168.1.1, fd00::1\r\n\ntime = a.example 192.0.2.1\n";
        let network = parse(text).unwrap();
        assert_eq!(network.name.as_deref(), Some("mail-1"));
        assert_eq!(network.address, Some((Ipv4Addr::new(192, 168, 1, 5), 24)));
        assert_eq!(network.gateway, Some(Ipv4Addr::new(192, 168, 1, 1)));
        assert_eq!(network.dns.len(), 2);
        assert_eq!(network.time, ["a.example", "192.0.2.1"]);
        assert_eq!(parse(""), Ok(Network::default()));
    }

    #[test]
    fn what_is_wrong_is_told_with_what_is_allowed() {
        for (text, words) in [
            ("adress = 1.2.3.4/8", "network, line 1: found \"adress\"; allowed is name, address"),
            ("\nname", "network, line 2: found \"name\"; allowed is a key"),
            ("name = a_b", "name: found \"a_b\"; allowed is letters"),
            ("name = -a", "allowed is letters"),
            ("address = 1.2.3.4", "allowed is an address and the bits"),
            ("address = 1.2.3.4/31", "allowed is an address and the bits"),
            ("address = 1.2.3.4/0", "allowed is an address and the bits"),
            ("address = 224.0.0.1/8", "allowed is an address and the bits"),
            ("gateway = x", "gateway: found \"x\"; allowed is an address"),
            ("gateway = 1.2.3.4", "a gateway without an address"),
            ("address = 10.0.0.2/24\ngateway = 10.0.1.1", "is not in the network"),
            ("dns = one", "dns: found \"one\"; allowed is addresses"),
            ("time = a b c d e f g h i", "time: more than 8 servers"),
        ] {
            let told = parse(text).unwrap_err();
            assert!(told.contains(words), "{text:?}: {told}");
        }
        let long = |n| format!("name = {}", "a".repeat(n));
        assert!(parse(&long(63)).is_ok());
        assert!(parse(&long(64)).is_err());
        assert!(parse("time = a b c d e f g h").is_ok());
        for bits in [1, 30] {
            assert!(parse(&format!("address = 10.0.0.1/{bits}")).is_ok());
        }
    }
}
