//! Who made a device, by its hardware address.

use std::fmt::Write as _;

/// See its head.
const MAKERS: &str = include_str!("makers.txt");

/// The maker of what has this hardware address, where it is a known one. Addresses that a device
/// has made up for itself (IEEE 802 §8.4) are nobody's.
pub fn maker(mac: [u8; 6]) -> Option<&'static str> {
    let mut digits = String::with_capacity(6);
    for octet in &mac[..3] {
        write!(digits, "{octet:02X}").ok()?;
    }
    let lines = MAKERS.lines().filter_map(|line| line.split_once('\t'));
    let mut makers = lines.filter(|(_, all)| all.split(' ').any(|digit| digit == digits));
    makers.next().map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_of_makers_is_well_formed_and_found() {
        assert_eq!(maker([0xb8, 0x27, 0xeb, 1, 2, 3]), Some("Raspberry Pi"));
        assert_eq!(maker([0x00, 0x11, 0x32, 0, 0, 0]), Some("Synology"));
        assert_eq!(maker([0x02, 0x11, 0x32, 0, 0, 0]), None, "made up by the device itself");
        let mut seen = std::collections::BTreeSet::new();
        for line in MAKERS.lines().filter(|line| !line.starts_with('#')) {
            let (name, all) = line.split_once('\t').expect("a name and a tab");
            assert!(!name.is_empty());
            for digits in all.split(' ') {
                let octets = u32::from_str_radix(digits, 16).expect("hexadecimal");
                assert_eq!(format!("{octets:06X}"), digits, "{name}");
                assert!(seen.insert(octets), "{digits} has one maker");
            }
        }
    }
}
