//! Every character beside the table of UTS #46, and names as people write them.

use super::{
    super::{ascii_name, tests::dice},
    is_ignored,
};
use hickory_proto::rr::Name;
use unicode_normalization::{char::canonical_combining_class, is_nfd};

/// The name as hickory-proto makes it of the table.
fn oracle(domain: &str) -> Option<String> {
    let text = Name::from_utf8(domain).ok()?.to_ascii();
    // A dot that a label has got is escaped.
    (!text.contains('\\')).then_some(text)
}

#[test]
fn every_character_becomes_what_uts_46_says() {
    let mut named = 0;
    for c in '\u{80}'..=char::MAX {
        let domain = format!("a{c}b.example");
        if let Some(name) = oracle(&domain) {
            assert_eq!(ascii_name(&domain), Some(name), "U+{:04X}", u32::from(c));
            named += 1;
        }
    }
    // Of Unicode 16: of the others it makes no name, and we one that nobody has.
    assert!(named >= 151_334, "{named}");
}

#[test]
fn characters_beside_one_another_become_what_uts_46_says() {
    let mut random = dice(1);
    let letters: Vec<char> =
        ('\u{80}'..='\u{ffff}').filter(|c| oracle(&format!("a{c}b.example")).is_some()).collect();
    // What joins with its neighbours: marks, what has them, and what does not show.
    let marks: Vec<char> = letters
        .iter()
        .copied()
        .filter(|c| canonical_combining_class(*c) > 0 || !is_nfd(&c.to_string()) || is_ignored(*c))
        .collect();
    let mut named = 0;
    for _ in 0..60_000 {
        let mut domain = String::new();
        for _ in 0..=random(5) {
            domain.push(match random(6) {
                0 => letters[random(letters.len())],
                1 => letters[random(1000)],
                2 => char::from(b"-AZaz19x_."[random(10)]),
                _ => marks[random(marks.len())],
            });
        }
        domain.push_str(".example");
        if let Some(name) = oracle(&domain).filter(|_| !domain.is_ascii()) {
            assert_eq!(ascii_name(&domain), Some(name), "{}", domain.escape_unicode());
            named += 1;
        }
    }
    assert!(named > 30_000, "{named}");
}

#[test]
fn names_as_people_write_them_become_those_that_dns_has() {
    for (written, name) in [
        ("bücher.example", "xn--bcher-kva.example"),
        ("BU\u{308}CHER.Example.", "xn--bcher-kva.example"),
        ("ΣΊΣΥΦΟΣ.example", "xn--kxa6akbbkh.example"),
        ("σίσυφος.example", "xn--kxa6ajbbmh.example"),
        ("faß.de", "xn--fa-hia.de"),
        ("FAẞ.de", "xn--fa-hia.de"),
        ("例え.テスト", "xn--r8jz45g.xn--zckzah"),
        ("पत्रिका.भारत", "xn--11b3arz5ee0h.xn--h2brj9c"),
        ("İstanbul.example", "xn--istanbul-o0e.example"),
        ("💩.la", "xn--ls8h.la"),
        ("i❤\u{fe0f}.ws", "xn--i-7iq.ws"),
        ("نامه\u{200c}ای.example", "xn--mgba3gch31f060k.example"),
        ("ｅｘａｍｐｌｅ．ｏｒｇ", "example.org"),
        ("ex\u{ad}ample.org", "example.org"),
        ("_dmarc.bücher.example", "_dmarc.xn--bcher-kva.example"),
        ("-ü.example", "xn----eha.example"),
        ("xn--bcher-kva.bücher.example", "xn--bcher-kva.xn--bcher-kva.example"),
    ] {
        assert_eq!(ascii_name(written).as_deref(), Some(name), "{written}");
        let made = oracle(written).map(|name| name.trim_end_matches('.').to_owned());
        assert!(made.is_none_or(|made| made == name), "{written}");
    }
}

#[test]
fn the_full_stops_of_other_scripts_end_a_label() {
    for dot in ['。', '．', '｡'] {
        let written = format!("例え{dot}テスト{dot}");
        assert_eq!(ascii_name(&written).as_deref(), Some("xn--r8jz45g.xn--zckzah"), "{dot}");
    }
    // What only looks like one does not, nor does one within another character.
    for other in ["a․b.example", "a…b.example", "⒈example"] {
        assert_eq!(ascii_name(other), None, "{other}");
    }
}

#[test]
fn a_label_has_63_octets_at_most_once_it_is_in_punycode() {
    for letter in ["ü", "例", "💩"] {
        let mut longest = 0;
        for count in 1..200 {
            for written in [letter.repeat(count), format!("{letter}{}", "a".repeat(count))] {
                let domain = format!("{written}.example");
                let name = ascii_name(&domain);
                assert_eq!(name, oracle(&domain), "{domain}");
                longest = longest.max(name.map_or(0, |name| name.len() - ".example".len()));
            }
        }
        assert_eq!(longest, 63, "{letter}");
    }
    assert_eq!(ascii_name(&"ü".repeat(100_000)), None);
    let long = format!("{}ü", format!("{}.", "a".repeat(63)).repeat(3));
    assert!(ascii_name(&long).is_some() && ascii_name(&format!("{long}.{long}")).is_none());
}

#[test]
fn what_no_label_may_hold_makes_no_name() {
    for bad in [
        "ü b.example",
        "ü\u{a0}b.example",
        "ü\tb.example",
        "ü\u{85}b.example",
        "ü\u{9f}b.example",
        "\u{a8}.example", // a space and a mark
        "ü_b.example",
        "_ü.example",
        "ü/b.example",
        "a℀b.example", // a/c
        "ü@example",
        "ü\\.example",
        "\\ü.example",
        "xn--ü.example",
        "ｘn--ü.example",
        "ü..example",
        ".ü.example",
        "ü.\u{ad}.example",
        "ü.\u{ad}",
        "\u{200b}",
        "*.ü.example",
        "ü.a b",
    ] {
        assert_eq!(ascii_name(bad), None, "{}", bad.escape_unicode());
    }
}
