//! Values as people write them: sizes, times, addresses, networks, names.

use super::{Client, Network, Pattern, Pin, Via};
use crate::{
    limits,
    proto::{dns, mail::address::Address},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

/// Port of a smarthost that is given without one: submission, RFC 6409 §3.1. Port 25 is closed on
/// most lines to homes, and a smarthost that wants a login takes it on 587.
const SMARTHOST_PORT: u16 = 587;
const NAME_SERVER_PORT: u16 = 53;

/// Octets: `1000`, `256K`, `25M`, `1G`, in steps of 1024.
pub(super) fn size(text: &str) -> Option<u64> {
    let unit = match text.as_bytes().last()? {
        b'K' | b'k' => 1 << 10,
        b'M' | b'm' => 1 << 20,
        b'G' | b'g' => 1 << 30,
        _ => return digits(text),
    };
    digits(&text[..text.len() - 1])?.checked_mul(unit)
}

/// `90s`, `1m`, `4h`, `5d`.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let unit = match text.as_bytes().last()? {
        b's' => 1,
        b'm' => 60,
        b'h' => 3600,
        b'd' => 86_400,
        _ => return None,
    };
    digits(&text[..text.len() - 1])?.checked_mul(unit).map(Duration::from_secs)
}

fn digits(text: &str) -> Option<u64> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| text.parse().ok())?
}

/// A selector: one label, so that the last dot of a key's file name is the one before it. RFC 6376
/// §3.1 would allow several; nobody needs them.
pub(super) fn selector(text: &str) -> Option<String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    let fits = (1..=limits::SELECTOR_BYTES).contains(&text.len());
    let fine = fits && text.bytes().all(plain) && !text.starts_with('-') && !text.ends_with('-');
    fine.then(|| text.to_ascii_lowercase())
}

/// A name server: an address, with a port or without.
pub(super) fn name_server(text: &str) -> Option<SocketAddr> {
    let bare = |text: &str| Some(SocketAddr::new(text.parse().ok()?, NAME_SERVER_PORT));
    text.parse().ok().or_else(|| bare(text)).filter(|a| a.port() != 0)
}

/// A network or a single address; host bits are cleared, and IPv4 in IPv6 dress (RFC 4291 §2.5.5.2)
/// is undressed.
pub(super) fn network(text: &str) -> Option<Network> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(u8::try_from(digits(bits)?).ok()?)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let network = Network { address, bits: bits.unwrap_or(most) };
    if network.bits > most {
        return None;
    }
    let network = Network { address: network.first(), ..network };
    match network.address {
        IpAddr::V6(six) if network.bits >= 96 => Some(match six.to_ipv4_mapped() {
            Some(four) => Network { address: IpAddr::V4(four), bits: network.bits - 96 },
            None => network,
        }),
        _ => Some(network),
    }
}

const fn v4(a: u8, b: u8, bits: u8) -> Network {
    Network { address: IpAddr::V4(Ipv4Addr::new(a, b, 0, 0)), bits }
}

/// From the first three and the last three of its groups.
const fn v6(first: [u16; 3], last: [u16; 3], bits: u8) -> Network {
    let address = Ipv6Addr::new(first[0], first[1], first[2], 0, 0, last[0], last[1], last[2]);
    Network { address: IpAddr::V6(address), bits }
}

/// Networks that no stranger on the internet has an address in: RFC 1918, RFC 6598, RFC 3927,
/// loopback; RFC 4193, RFC 4291.
const PRIVATE: [Network; 9] = [
    v4(10, 0, 8),
    v4(172, 16, 12),
    v4(192, 168, 16),
    v4(100, 64, 10),
    v4(169, 254, 16),
    v4(127, 0, 8),
    v6([0xfc00, 0, 0], [0, 0, 0], 7),
    v6([0xfe80, 0, 0], [0, 0, 0], 10),
    v6([0, 0, 0], [0, 0, 1], 128),
];
/// All of IPv4, as IPv6 shows it: RFC 4291 §2.5.5.2, RFC 6052 §2.1.
const MAPPED: Network = v6([0, 0, 0], [0xffff, 0, 0], 96);
const TRANSLATED: Network = v6([0x64, 0xff9b, 0], [0, 0, 0], 96);

/// A SHA-256 in hexadecimal, in lower case.
pub(super) fn sha256(text: &str) -> Option<String> {
    let fits = text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    fits.then(|| text.to_ascii_lowercase())
}

/// What people call a device: shown as it is, so without control characters.
pub(super) fn device_name(text: &str) -> Option<String> {
    let text = text.trim();
    let fits = (1..=limits::DEVICE_NAME_CHARS).contains(&text.chars().count());
    (fits && !text.chars().any(char::is_control)).then(|| text.to_string())
}

/// May this network be trusted? A private one may. A public one must be no wider than what one
/// organization has, so that no list within its bound comes near the whole internet:
/// [`limits::TRUSTED`] networks of /16 are 0.2 % of IPv4.
pub(super) fn is_trustable(network: &Network) -> bool {
    if PRIVATE.iter().any(|private| private.covers(network)) {
        return true;
    }
    match network.address {
        IpAddr::V4(_) => network.bits >= 16,
        IpAddr::V6(_) if TRANSLATED.covers(network) => network.bits >= 96 + 16,
        IpAddr::V6(_) => {
            network.bits >= 32 && !network.covers(&MAPPED) && !network.covers(&TRANSLATED)
        }
    }
}

impl Network {
    /// Is `address` in this network? IPv4 addresses in IPv6 dress (`::ffff:192.0.2.1`) count as
    /// what they are.
    pub fn contains(&self, address: IpAddr) -> bool {
        let bits = if address.to_canonical().is_ipv4() { 32 } else { 128 };
        self.covers(&Network { address: address.to_canonical(), bits })
    }

    /// Is all of `other` in this network?
    pub fn covers(&self, other: &Network) -> bool {
        self.address.is_ipv4() == other.address.is_ipv4()
            && self.bits <= other.bits
            && self.first() == Network { bits: self.bits, ..*other }.first()
    }

    /// Its first address: the host bits cleared.
    fn first(&self) -> IpAddr {
        match self.address {
            IpAddr::V4(four) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.bits.min(32))).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from_bits(four.to_bits() & mask))
            }
            IpAddr::V6(six) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.bits.min(128))).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from_bits(six.to_bits() & mask))
            }
        }
    }
}

impl std::fmt::Display for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

/// A domain or host name in lower case, without a dot at its end. IP addresses are none.
pub(super) fn domain(text: &str) -> Option<String> {
    let text = text.strip_suffix('.').unwrap_or(text);
    let address = Address::parse(&format!("x@{text}")).ok()?;
    let domain = address.domain();
    // RFC 3696 §2: no top-level domain is all digits, so what ends like one is a mistyped IP
    // address.
    let last = domain.rsplit('.').next()?;
    let name = !domain.starts_with('[') && !last.bytes().all(|b| b.is_ascii_digit());
    // RFC 1123 §2.1: no hyphen at the ends of a label.
    let labels = domain.split('.').all(|label| !label.starts_with('-') && !label.ends_with('-'));
    (name && labels).then(|| domain.to_string())
}

/// A domain that the world may know.
pub(super) fn public_domain(text: &str) -> Option<String> {
    domain(text).filter(|domain| !dns::is_home_name(domain))
}

/// A user's name in lower case: safe as a local part and as the name of a directory.
pub(super) fn user_name(text: &str) -> Option<String> {
    let name = text.to_ascii_lowercase();
    let first = name.bytes().next()?.is_ascii_alphanumeric();
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    (first && name.len() <= limits::USER_NAME_BYTES && name.bytes().all(plain)).then_some(name)
}

/// A whole mailbox, with its domain.
pub(super) fn mailbox(text: &str) -> Option<Address> {
    Address::parse(text).ok().filter(|a| !a.domain().is_empty())
}

/// What a user may send as: `me@example.org`, `*@example.org` or `*`, in lower case but for the
/// local part.
pub(super) fn sender_pattern(text: &str) -> Option<String> {
    match text.strip_prefix('*') {
        Some("") => Some("*".to_string()),
        Some(rest) => Some(format!("*@{}", domain(rest.strip_prefix('@')?)?)),
        None => mailbox(text).map(|a| a.to_string()),
    }
}

/// Which recipients a route is for.
pub(super) fn pattern(text: &str) -> Option<Pattern> {
    match text {
        "*" => Some(Pattern::Any),
        _ if text.contains('@') => mailbox(text).map(Pattern::Address),
        _ => domain(text).map(Pattern::Domain),
    }
}

/// Whose mail a route is for: an address, a network, or a user.
pub(super) fn client(text: &str) -> Option<Client> {
    let by_name = || user_name(text).map(Client::User);
    let single = |address: IpAddr| {
        let address = address.to_canonical();
        let bits = if address.is_ipv4() { 32 } else { 128 };
        Client::Network(Network { address, bits })
    };
    match text.parse::<IpAddr>() {
        Ok(address) => Some(single(address)),
        Err(_) if text.contains('/') => network(text).map(Client::Network),
        Err(_) => by_name(),
    }
}

/// A certificate by its key (`sha256/` and base64), or by its own SHA-256 in hex, with or without
/// colons.
pub(super) fn pin(text: &str) -> Option<Pin> {
    let (key, digest) = if let Some(base64) = text.strip_prefix("sha256/") {
        (true, STANDARD.decode(base64).ok()?)
    } else {
        let digits: String = text.chars().filter(|c| *c != ':').collect();
        let fits = digits.len() == 64 && digits.bytes().all(|b| b.is_ascii_hexdigit());
        let digits = Some(digits).filter(|_| fits)?;
        let octet = |at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
        (false, (0..64).step_by(2).map(octet).collect::<Option<Vec<u8>>>()?)
    };
    Some(Pin { key, sha256: digest.try_into().ok()? })
}

/// Which way a route goes.
pub(super) fn via(text: &str) -> Option<Via> {
    if text.eq_ignore_ascii_case("mx") {
        return Some(Via::Mx);
    }
    if text.eq_ignore_ascii_case("discard") {
        return Some(Via::Discard);
    }
    if let Ok(socket) = text.parse::<SocketAddr>() {
        let port = Some(socket.port()).filter(|p| *p != 0)?;
        return Some(Via::Smarthost(socket.ip().to_string(), port));
    }
    let inside = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
    if let Ok(address) = inside.parse::<IpAddr>() {
        return Some(Via::Smarthost(address.to_string(), SMARTHOST_PORT));
    }
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, u16::try_from(digits(port)?).ok().filter(|p| *p != 0)?),
        None => (text, SMARTHOST_PORT),
    };
    Some(Via::Smarthost(domain(host)?, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read() {
        for (text, octets) in [
            ("0", Some(0)),
            ("25M", Some(25 << 20)),
            ("256k", Some(256 << 10)),
            ("1G", Some(1 << 30)),
            ("17179869183G", Some(17_179_869_183 << 30)),
            ("17179869184G", None),
            ("18446744073709551616", None),
            ("", None),
            ("M", None),
            ("25MB", None),
            ("-1", None),
            ("+1", None),
            ("1.5M", None),
            ("1 M", None),
            ("1é", None),
        ] {
            assert_eq!(size(text), octets, "{text}");
        }
    }

    #[test]
    fn durations_are_read() {
        for (text, seconds) in [
            ("90s", Some(90)),
            ("1m", Some(60)),
            ("4h", Some(14_400)),
            ("5d", Some(432_000)),
            ("90", None),
            ("s", None),
            ("", None),
            ("1.5h", None),
            ("1w", None),
            ("-1m", None),
            ("99999999999999999999d", None),
            ("999999999999999999d", None),
        ] {
            assert_eq!(duration(text), seconds.map(Duration::from_secs), "{text}");
        }
    }

    #[test]
    fn networks_are_read_and_their_host_bits_cleared() {
        for (text, shown) in [
            ("192.168.1.7/24", Some("192.168.1.0/24")),
            ("192.168.1.7", Some("192.168.1.7/32")),
            ("0.0.0.0/0", Some("0.0.0.0/0")),
            ("::1", Some("::1/128")),
            ("FD00::1/8", Some("fd00::/8")),
            ("::ffff:10.0.0.1/104", Some("10.0.0.0/8")),
            ("::ffff:0:0/96", Some("0.0.0.0/0")),
            ("10.0.0.0/33", None),
            ("::/129", None),
            ("10.0.0.0/", None),
            ("10.0.0.0/+8", None),
            ("10.0.0.0/256", None),
            ("10.0.0/8", None),
            ("home", None),
        ] {
            assert_eq!(network(text).map(|n| n.to_string()).as_deref(), shown, "{text}");
        }
    }

    #[test]
    fn a_network_contains_its_addresses_and_no_others() {
        let contains = |net: &str, address: &str| {
            network(net).expect("a network").contains(address.parse().expect("an address"))
        };
        assert!(contains("192.168.1.0/24", "192.168.1.255"));
        assert!(!contains("192.168.1.0/24", "192.168.2.0"));
        assert!(contains("192.168.1.0/24", "::ffff:192.168.1.9"));
        assert!(contains("0.0.0.0/0", "255.255.255.255"));
        assert!(!contains("0.0.0.0/0", "2001:db8::1"), "families are apart");
        assert!(contains("2001:db8::/127", "2001:db8::1"));
        assert!(!contains("2001:db8::/127", "2001:db8::2"));
        assert!(contains("::/0", "ffff::"));
    }

    #[test]
    fn the_internet_cannot_be_trusted_whole_or_in_pieces() {
        for (text, fine) in [
            ("0.0.0.0/0", false),
            ("0.0.0.0/1", false),
            ("128.0.0.0/1", false),
            ("8.0.0.0/8", false),
            ("8.8.0.0/15", false),
            ("8.8.0.0/16", true),
            ("8.8.8.8", true),
            ("10.0.0.0/8", true),
            ("10.0.0.0/7", false),
            ("172.16.0.0/12", true),
            ("172.16.0.0/11", false),
            ("192.168.0.0/16", true),
            ("192.168.0.0/15", false),
            ("127.0.0.0/8", true),
            ("100.64.0.0/10", true),
            ("100.64.0.0/9", false),
            ("::/0", false),
            ("::/1", false),
            ("8000::/1", false),
            ("2000::/3", false),
            ("2001:db8::/31", false),
            ("2001:db8::/32", true),
            ("fc00::/7", true),
            ("fc00::/6", false),
            ("fe80::/10", true),
            ("::1/128", true),
            ("::/32", false),
            ("::/80", false),
            ("::/64", false),
            ("::ffff:0:0/96", false),
            ("::ffff:128.0.0.0/97", false),
            ("::ffff:10.0.0.0/104", true),
            ("::ffff:0:0/95", false),
            ("64:ff9b::/96", false),
            ("64:ff9b::/32", false),
            ("64:ff9b::/97", false),
            ("64:ff9b::808:0/112", true),
        ] {
            assert_eq!(is_trustable(&network(text).expect("a network")), fine, "{text}");
        }
    }

    #[test]
    fn names_are_lowered_and_bounded() {
        assert_eq!(domain("Home.Arpa.").as_deref(), Some("home.arpa"));
        for bad in [
            "",
            ".",
            "-",
            "a.-b",
            "a-.b",
            "a..b",
            "192.168.1.1",
            "1.2.3",
            "[192.0.2.1]",
            "a b",
            "a@b",
            "a:25",
        ] {
            assert_eq!(domain(bad), None, "{bad}");
        }
        assert_eq!(user_name("Alice.B-2_x").as_deref(), Some("alice.b-2_x"));
        assert!(user_name(&"a".repeat(64)).is_some());
        assert!(user_name(&"a".repeat(65)).is_none());
        for bad in ["", ".", "..", "-a", "_a", "a/b", "a b", "jörg", "a@b", "a+b", "a\0"] {
            assert_eq!(user_name(bad), None, "{bad}");
        }
        assert_eq!(sender_pattern("*@Example.org").as_deref(), Some("*@example.org"));
        assert_eq!(sender_pattern("Me@Example.org").as_deref(), Some("Me@example.org"));
        for bad in ["", "**", "*.example.org", "*@", "me", "@example.org"] {
            assert_eq!(sender_pattern(bad), None, "{bad}");
        }
    }

    #[test]
    fn selectors_are_labels() {
        assert_eq!(selector("WP2026-rsa").as_deref(), Some("wp2026-rsa"));
        assert!(selector(&"a".repeat(63)).is_some() && selector(&"a".repeat(64)).is_none());
        for bad in ["", "a.b", "-a", "a-", "a_b", "../a", "a/b", "é", "a b"] {
            assert_eq!(selector(bad), None, "{bad}");
        }
    }

    #[test]
    fn ways_are_read() {
        let smarthost = |host: &str, port| Some(Via::Smarthost(host.to_string(), port));
        for (text, way) in [
            ("mx", Some(Via::Mx)),
            ("MX", Some(Via::Mx)),
            ("smtp.Example.com:465", smarthost("smtp.example.com", 465)),
            ("smtp.example.com", smarthost("smtp.example.com", 587)),
            ("mailhost", smarthost("mailhost", 587)),
            ("192.0.2.1:25", smarthost("192.0.2.1", 25)),
            ("192.0.2.1", smarthost("192.0.2.1", 587)),
            ("[2001:db8::1]:25", smarthost("2001:db8::1", 25)),
            ("[2001:db8::1]", smarthost("2001:db8::1", 587)),
            ("2001:db8::1", smarthost("2001:db8::1", 587)),
            ("192.0.2:25", None),
            ("192.0.2.1:0", None),
            ("smtp.example.com:0", None),
            ("smtp.example.com:65536", None),
            ("smtp.example.com:", None),
            ("smtp.example.com:smtp", None),
            ("smtp://smtp.example.com", None),
            ("me@smtp.example.com", None),
            ("", None),
        ] {
            assert_eq!(via(text), way, "{text}");
        }
    }
}
