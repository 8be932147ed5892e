//! The file `network`: Wi-Fi, a fixed address, a name. Pure.
//!
//! Lines `key = value`; what is left out, DHCP tells. The password of the Wi-Fi is kept apart, so
//! that nobody reads it on the page: [`KEPT_PASSWORD`] stands in its place.

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
    /// The Wi-Fi to join.
    pub wifi: Option<Wifi>,
}

/// A Wi-Fi, and what it asks of who joins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wifi {
    /// Its name (SSID), 1 to 32 octets.
    pub name: String,
    /// 8 to 63 letters of ASCII, or a key of 64 hexadecimal digits; nothing where it is open.
    pub password: Option<String>,
    /// Where it is, by ISO 3166, such as DE: the law there says which channels may be used.
    pub country: Option<String>,
}

impl Network {
    /// The name that the board is to have, without `.local`.
    pub fn own_name(&self) -> String {
        self.name.clone().unwrap_or_else(|| "waypost".into())
    }
}

const KEYS: &str = "name, address, gateway, dns, time, wifi, wifi_password and country";

/// Stands for a password that is kept: too short to be one.
pub const KEPT_PASSWORD: &str = "(kept)";

/// Read it.
///
/// # Errors
/// The line, what was found there and what is allowed.
pub fn parse(text: &str) -> Result<Network, String> {
    let mut network = Network::default();
    let mut wifi = Wifi::default();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let read = line
            .split_once('=')
            .ok_or_else(|| format!("found {line:?}; allowed is a key, = and a value"))
            .and_then(|(key, value)| match key.trim() {
                key @ ("wifi" | "wifi_password" | "country") => {
                    set_wifi(&mut wifi, key, value.trim())
                }
                key => set(&mut network, key, value.trim()),
            });
        read.map_err(|words| format!("network, line {}: {words}", number + 1))?;
    }
    if !wifi.name.is_empty() {
        network.wifi = Some(wifi);
    } else if wifi != Wifi::default() {
        return Err("network: a password or a country of a Wi-Fi without its name".into());
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

fn set_wifi(wifi: &mut Wifi, key: &str, value: &str) -> Result<(), String> {
    match key {
        "wifi" if (1..=32).contains(&value.len()) => value.clone_into(&mut wifi.name),
        "wifi" => {
            let found = value.len();
            return Err(format!(
                "wifi: found a name of {found} octets; allowed are 1 to 32, and letters of some \
                 languages have more than one"
            ));
        }
        "country" => {
            let fits = value.len() == 2 && value.bytes().all(|octet| octet.is_ascii_alphabetic());
            wifi.country = Some(fits.then(|| value.to_ascii_uppercase()).ok_or_else(|| {
                format!("country: found {value:?}; allowed are two letters, such as DE")
            })?);
        }
        _ => {
            // It is not told: somebody may look over the shoulder, and the log goes elsewhere.
            let allowed = "wifi_password: allowed are 8 to 63 letters, digits, signs and spaces of \
                           ASCII, or 64 hexadecimal digits; leave the line out where it is open";
            let plain = value.bytes().all(|octet| (b' '..=b'~').contains(&octet));
            let is_key = value.len() == 64 && value.bytes().all(|octet| octet.is_ascii_hexdigit());
            let fits = (8..=63).contains(&value.len()) && plain || is_key;
            if !fits && value != KEPT_PASSWORD {
                return Err(format!("{allowed}; found {} octets", value.len()));
            }
            wifi.password = Some(value.to_owned());
        }
    }
    Ok(())
}

/// The text with the password's place taken by [`KEPT_PASSWORD`].
pub fn without_password(text: &str) -> String {
    let lines = text.split_inclusive('\n').map(|line| match line.split_once('=') {
        Some((key, _)) if key.trim() == "wifi_password" => {
            format!("{key}= {KEPT_PASSWORD}\n")
        }
        _ => line.to_owned(),
    });
    lines.collect()
}

/// What `wpa_supplicant.conf(5)` says of it: WPA2 and WPA3 where there is a password
/// (IEEE 802.11-2020 §12).
pub fn supplicant(wifi: &Wifi) -> String {
    use std::fmt::Write;
    let mut text = String::from("update_config=0\n");
    if let Some(country) = &wifi.country {
        let _a_string_takes_it = writeln!(text, "country={country}");
    }
    text.push_str("network={\n\tssid=");
    for octet in wifi.name.bytes() {
        let _a_string_takes_it = write!(text, "{octet:02x}");
    }
    // Names that are not told are asked for, too.
    text.push_str("\n\tscan_ssid=1\n");
    let _a_string_takes_it = match &wifi.password {
        None => writeln!(text, "\tkey_mgmt=NONE"),
        Some(key) if key.len() == 64 => writeln!(text, "\tkey_mgmt=WPA-PSK\n\tpsk={key}"),
        Some(password) => writeln!(
            text,
            "\tkey_mgmt=WPA-PSK WPA-PSK-SHA256 SAE\n\tieee80211w=1\n\tpsk=\"{password}\""
        ),
    };
    text + "}\n"
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
        let text = "wifi = My home = here\nwifi_password =  a \"b\" #c = d \ncountry = de\n";
        let wifi = parse(text).unwrap().wifi.unwrap();
        assert_eq!(wifi.name, "My home = here");
        assert_eq!(wifi.password.as_deref(), Some("a \"b\" #c = d"));
        assert_eq!(wifi.country.as_deref(), Some("DE"));
    }

    #[test]
    fn a_password_of_the_wifi_is_not_told() {
        let text = "# home\r\nwifi = x\n wifi_password=hunter2222\nname = a\n";
        let told = without_password(text);
        assert_eq!(told, "# home\r\nwifi = x\n wifi_password= (kept)\nname = a\n");
        let wifi = parse(&told).unwrap().wifi.unwrap();
        assert_eq!(wifi.password.as_deref(), Some(KEPT_PASSWORD));
        assert_eq!(without_password("wifi_password = x"), "wifi_password = (kept)\n");
        let words = parse("wifi = x\nwifi_password = hunter2").unwrap_err();
        assert!(!words.contains("hunter2") && words.contains("found 7 octets"), "{words}");
    }

    #[test]
    fn what_the_supplicant_is_told_leaves_no_octet_to_chance() {
        let mut wifi = Wifi { name: "a\"\n}\u{fc}".into(), ..Wifi::default() };
        let told = supplicant(&wifi);
        assert!(told.contains("\tssid=61220a7dc3bc\n") && told.contains("key_mgmt=NONE"), "{told}");
        assert!(!told.contains("country"), "{told}");
        wifi.password = Some("a\"b#c d!".into());
        wifi.country = Some("DE".into());
        let told = supplicant(&wifi);
        assert!(told.contains("\tpsk=\"a\"b#c d!\"\n"), "{told}");
        assert!(told.contains("SAE") && told.contains("\ncountry=DE\n"), "{told}");
        wifi.password = Some("0f".repeat(32));
        assert!(supplicant(&wifi).contains(&format!("\tpsk={}\n", "0f".repeat(32))));
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
            ("wifi =", "wifi: found a name of 0 octets; allowed are 1 to 32"),
            ("country = DEU", "country: found \"DEU\"; allowed are two letters"),
            ("country = DE", "without its name"),
            ("wifi_password = 12345678", "without its name"),
            ("wifi = x\nwifi_password = p\u{e4}ssword", "wifi_password: allowed are 8 to 63"),
        ] {
            let told = parse(text).unwrap_err();
            assert!(told.contains(words), "{text:?}: {told}");
        }
        let long = |n| format!("name = {}", "a".repeat(n));
        assert!(parse(&long(63)).is_ok());
        assert!(parse(&long(64)).is_err());
        assert!(parse("time = a b c d e f g h").is_ok());
        let named = |n| format!("wifi = {}", "a".repeat(n));
        assert!(parse(&named(32)).is_ok() && parse(&named(33)).is_err());
        let locked = |password: &str| parse(&format!("wifi = x\nwifi_password = {password}"));
        for (octets, fits) in [(7, false), (8, true), (63, true), (65, false)] {
            assert_eq!(locked(&"z".repeat(octets)).is_ok(), fits, "{octets}");
        }
        assert!(locked(&"f".repeat(64)).is_ok() && locked(&"z".repeat(64)).is_err());
        for bits in [1, 30] {
            assert!(parse(&format!("address = 10.0.0.1/{bits}")).is_ok());
        }
    }
}
