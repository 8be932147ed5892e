//! What a domain looks like from outside, and what is to be published.

use super::{
    names::{A, MX, TLSA, wire},
    *,
};
use crate::{limits, serve::web::office::FindingRow};

const AAAA: u16 = 28;
const PTR: u16 = 12;
const REVERSE: &str = "7.113.0.203.in-addr.arpa";
const OUR_KEY: &str = "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=";

/// A relay whose mail leaves by MX from 203.0.113.7, as a mail server of gmail.com sees it.
fn house() -> House {
    let route = r#""routes": [{"for": "*", "via": "192.0.2.25:25", "tls": "may"}]"#;
    let config = CONFIG.replace(route, r#""routes": [], "dns": ["127.0.0.53"]"#);
    let config = config.replace("relay.test", "relay.example.org");
    let house = House::with(&config.replace("home.test", "example.org"));
    let world = &house.world;
    world.exchanger("gmail.com", "mx.gmail.com", [198, 51, 100, 25]);
    let seen = "250-mx.gmail.com at your service, [203.0.113.7]\r\n250 SIZE";
    world.server("198.51.100.25:25").says(&[("", "220 mx.gmail.com ready"), ("EHLO", seen)]);
    house
}

/// All that a domain needs.
fn published(house: &House) {
    let world = &house.world;
    world.exchanger("example.org", "relay.example.org", [203, 0, 113, 7]);
    world.record(REVERSE, PTR, wire("relay.example.org"));
    world.text("example.org", "v=spf1 ip4:203.0.113.0/24 -all");
    world.text("_dmarc.example.org", "v=DMARC1; p=quarantine");
}

fn look(house: &House, domain: &str) -> Vec<FindingRow> {
    house.world.wait(house.desk().doctor(domain)).expect("a domain")
}

fn find(house: &House, about: &str) -> FindingRow {
    let found = look(house, "example.org").into_iter().find(|row| row.about == about);
    found.unwrap_or_else(|| panic!("nothing about {about}"))
}

/// Verdict, and the record as a line of a zone.
fn verdict(house: &House, about: &str) -> (String, String) {
    let row = find(house, about);
    (row.verdict, row.publish.map_or(String::new(), |publish| publish.zone))
}

fn good() -> (String, String) {
    ("good".into(), String::new())
}

fn wrong(zone: &str) -> (String, String) {
    ("wrong".into(), zone.into())
}

/// Look at one thing after a change of what is published.
fn after(change: impl Fn(&House), about: &str) -> (String, String) {
    let house = house();
    published(&house);
    change(&house);
    verdict(&house, about)
}

fn gone(name: &'static str, kind: u16) -> impl Fn(&House) {
    move |house| {
        let mut zone = house.world.zone.borrow_mut();
        zone.records.retain(|r| (r.0.as_str(), r.1) != (name, kind));
    }
}

#[test]
fn what_is_no_domain_is_told() {
    let house = house();
    for domain in ["", "localhost", "a..b", "me@example.org", "example"] {
        let said = house.world.wait(house.desk().doctor(domain));
        assert!(said.expect_err(domain).contains("no domain"), "{domain}");
    }
}

#[test]
fn a_domain_that_has_all_is_good_in_everything_but_the_key() {
    let house = house();
    published(&house);
    let rows = look(&house, "example.org");
    let about: Vec<(&str, &str)> =
        rows.iter().map(|row| (row.about.as_str(), row.verdict.as_str())).collect();
    assert_eq!(
        about,
        [
            ("mail servers", "good"),
            ("port 25", "good"),
            ("SPF", "good"),
            ("DKIM", "wrong"),
            ("DMARC", "good"),
            ("own name", "good"),
            ("reverse name", "good"),
            ("MTA-STS", "good"),
            ("DANE", "good"),
        ]
    );
    let port = find(&house, "port 25").words;
    assert_eq!(port, "Open: mx.gmail.com said \"220 mx.gmail.com ready\".");
    assert!(house.world.mail.borrow().is_empty(), "nobody is sent anything");
}

#[test]
fn keys_are_compared_with_what_is_published() {
    let house = house();
    published(&house);
    let make = house.desk();
    house.world.wait(make.make_keys("example.org", "s")).expect("keys");
    let rows: Vec<FindingRow> =
        look(&house, "example.org").into_iter().filter(|row| row.about == "DKIM").collect();
    assert_eq!(rows.len(), 2);
    for row in rows {
        let publish = row.publish.expect("a record");
        assert_eq!((row.verdict.as_str(), publish.kind.as_str()), ("wrong", "TXT"));
        assert!(publish.name.ends_with("._domainkey.example.org"), "{publish:?}");
        // Published as it was shown, and with blanks that mean nothing.
        let parts = publish
            .value
            .as_bytes()
            .chunks(200)
            .flat_map(|part| [&[u8::try_from(part.len()).expect("short")], part].concat());
        house.world.record(&publish.name, super::names::TXT, parts.collect());
    }
    house.pass(301);
    let rows = look(&house, "example.org");
    let keys: Vec<&FindingRow> = rows.iter().filter(|row| row.about == "DKIM").collect();
    assert!(keys.iter().all(|row| row.verdict == "good"), "{keys:?}");
    // Somebody else's.
    let name = "s-ed25519._domainkey.example.org";
    house.world.text(name, &format!("v=DKIM1; k=ed25519; p={OUR_KEY}"));
    house.pass(301);
    let rows = look(&house, "example.org");
    let other = rows.iter().find(|row| row.about == "DKIM" && row.verdict == "wrong");
    assert!(other.expect("it is told").words.contains("another key"));
}

#[test]
fn spf_is_told_with_the_record_that_would_do() {
    const ABOUT: &str = "SPF";
    let has = |text: &'static str| move |house: &House| house.world.text("example.org", text);
    let line = |value: &str| format!("example.org. IN TXT ( \"{value}\" )");
    assert_eq!(
        after(gone("example.org", super::names::TXT), ABOUT),
        wrong(&line("v=spf1 ip4:203.0.113.7 ~all"))
    );
    for (text, amended) in [
        ("v=spf1 mx:other.example -all", "v=spf1 ip4:203.0.113.7 mx:other.example -all"),
        ("v=spf1 ~all", "v=spf1 ip4:203.0.113.7 ~all"),
        ("v=spf1 -ip4:203.0.113.7 +all", "v=spf1 ip4:203.0.113.7 -ip4:203.0.113.7 +all"),
        ("v=spf1", "v=spf1 ip4:203.0.113.7"),
    ] {
        assert_eq!(after(has(text), ABOUT), wrong(&line(amended)), "{text}");
    }
    for text in ["v=spf1 mx -all", "v=spf1 a:relay.example.org -all", "v=spf1 +all"] {
        assert_eq!(after(has(text), ABOUT), good(), "{text}");
    }
    let broken = |house: &House| house.world.text("example.org", "v=spf1 ipv4:203.0.113.7");
    assert_eq!(after(broken, ABOUT), wrong(""));
    let twice = |house: &House| {
        let text = b"\x0bv=spf1 -all".to_vec();
        house.world.record("example.org", super::names::TXT, text);
    };
    assert_eq!(after(twice, ABOUT), wrong(""));
    let fails = |house: &House| house.world.zone.borrow_mut().failing = vec![super::names::TXT];
    assert_eq!(after(fails, ABOUT).0, "unknown");
}

#[test]
fn the_address_has_to_have_a_name_and_the_name_the_address() {
    let ptr = format!("{REVERSE}. IN PTR relay.example.org.");
    assert_eq!(after(gone(REVERSE, PTR), "reverse name"), wrong(&ptr));
    let other = |house: &House| {
        gone(REVERSE, PTR)(house);
        house.world.record(REVERSE, PTR, wire("dsl-7.isp.example"));
    };
    assert_eq!(after(other, "reverse name"), wrong(&ptr), "it does not lead back");
    let both = |house: &House| {
        other(house);
        house.world.record("dsl-7.isp.example", A, vec![203, 0, 113, 7]);
    };
    assert_eq!(after(both, "reverse name"), ("advice".into(), ptr));
    let name = "relay.example.org. IN A 203.0.113.7";
    assert_eq!(after(gone("relay.example.org", A), "own name"), wrong(name));
    let moved = |house: &House| {
        gone("relay.example.org", A)(house);
        house.world.record("relay.example.org", A, vec![203, 0, 113, 8]);
    };
    assert_eq!(after(moved, "own name"), wrong(name));
    let house = house();
    published(&house);
    house.configure(r#""hostname":"relay.example.org""#, r#""hostname":"nas.lan""#);
    assert_eq!(verdict(&house, "own name"), wrong(""));
}

#[test]
fn an_ipv6_address_needs_a_name_of_its_own_or_is_not_used() {
    let house = house();
    published(&house);
    let world = &house.world;
    let six: std::net::Ipv6Addr = "2001:db8::25".parse().expect("an address");
    world.record("mx.gmail.com", AAAA, six.octets().to_vec());
    let seen = "250 mx.gmail.com at your service, [2001:db8:7::7]";
    world.server("[2001:db8::25]:25").says(&[("EHLO", seen)]);
    let rows = look(&house, "example.org");
    let rows: Vec<&FindingRow> = rows.iter().filter(|row| row.about == "reverse name").collect();
    assert_eq!(rows.len(), 2);
    assert_eq!((rows[0].verdict.as_str(), rows[1].verdict.as_str()), ("good", "wrong"));
    assert!(rows[1].words.contains("delivery.ipv6"), "{}", rows[1].words);
    assert_eq!(verdict(&house, "SPF").0, "wrong", "nor is it allowed to send");
    house.configure(r#""dns":["127.0.0.53"]"#, r#""dns":["127.0.0.53"],"delivery":{"ipv6":false}"#);
    assert_eq!(verdict(&house, "SPF"), good());
}

#[test]
fn a_port_that_is_closed_is_told_in_the_systems_words() {
    let house = house();
    published(&house);
    house.world.servers.borrow_mut().clear();
    let row = find(&house, "port 25");
    assert_eq!(row.verdict, "wrong");
    assert!(row.words.contains("mx.gmail.com [198.51.100.25]: network"), "{}", row.words);
    // What our own name leads to is taken for our address then.
    assert_eq!(verdict(&house, "reverse name"), good());
    for (says, verdict) in [("~", "wrong"), ("HTTP/1.1 400", "wrong"), ("554 5.7.1 Go", "good")] {
        let house = self::house();
        published(&house);
        house.world.server("198.51.100.25:25").says(&[("", says)]);
        let desk = house.desk();
        let rows = house.world.wait(desk.doctor("example.org")).expect("a domain");
        let row = rows.iter().find(|row| row.about == "port 25").expect("it is there");
        assert_eq!(row.verdict, verdict, "{says}: {}", row.words);
    }
}

#[test]
fn a_greeting_has_bounds() {
    for (octets, verdict) in
        [(limits::GREETING_BYTES, "good"), (limits::GREETING_BYTES + 600, "wrong")]
    {
        let house = house();
        published(&house);
        // The server adds the line end.
        let long = format!("220 {}", "x".repeat(octets - 6));
        house.world.server("198.51.100.25:25").says(&[("", &long)]);
        assert_eq!(find(&house, "port 25").verdict, verdict, "{octets}");
    }
}

#[test]
fn name_servers_that_say_nothing_are_told_in_time() {
    let house = house();
    published(&house);
    house.world.zone.borrow_mut().mute = true;
    let before = house.world.sys().clock.now();
    let said = house.world.wait(house.desk().doctor("example.org"));
    assert!(said.expect_err("nobody answers").contains("too long"));
    let took = house.world.sys().clock.now().since(before);
    assert_eq!(took, limits::DOCTOR_WAIT);
}

#[test]
fn dmarc_counts_from_above_and_a_domain_without_gets_one() {
    let none =
        "_dmarc.example.org. IN TXT ( \"v=DMARC1; p=none; rua=mailto:postmaster@example.org\" )";
    let gone = gone("_dmarc.example.org", super::names::TXT);
    assert_eq!(after(gone, "DMARC"), ("advice".into(), none.into()));
    let odd = |house: &House| house.world.text("_dmarc.example.org", "v=DMARC1; sp=none");
    assert_eq!(after(odd, "DMARC").0, "wrong");
    let house = house();
    published(&house);
    let rows = look(&house, "camera.example.org");
    let row = rows.iter().find(|row| row.about == "DMARC").expect("it is there");
    assert!(row.verdict == "good" && row.words.contains("of example.org"), "{row:?}");
}

#[test]
fn a_domain_whose_mail_leaves_through_a_provider_needs_what_that_says() {
    let route = r#""routes": [{"for": "*", "via": "192.0.2.25:25", "tls": "may"}]"#;
    let through = |via: &str| {
        let new = format!(r#""routes": [{{"for": "*", "via": "{via}"}}], "dns": ["127.0.0.53"]"#);
        let house = House::with(&CONFIG.replace(route, &new));
        published(&house);
        house
    };
    let house = through("smtp.isp.example:587");
    assert_eq!(verdict(&house, "SPF").0, "unknown", "nobody here knows what that wants");
    let house = through("smtp.gmail.com:587");
    assert!(verdict(&house, "SPF").1.contains("include:_spf.google.com"));
    let house = through("smtp.fastmail.com:465");
    let amended = "v=spf1 include:spf.messagingengine.com ip4:203.0.113.0/24 -all";
    assert_eq!(verdict(&house, "SPF"), wrong(&format!("example.org. IN TXT ( \"{amended}\" )")));
    house.world.text("spf.messagingengine.com", "v=spf1 ip4:198.51.100.0/24 ?all");
    house.world.text("example.org", amended);
    house.pass(301);
    assert_eq!(verdict(&house, "SPF"), good());
    let rows = look(&house, "example.org");
    assert!(!rows.iter().any(|row| row.about == "port 25" || row.about == "reverse name"));
    assert_eq!(verdict(&house, "DKIM"), good());
}

#[test]
fn mail_servers_and_signed_certificates_are_looked_at() {
    let mx = |data: &'static [u8]| {
        move |house: &House| {
            gone("example.org", MX)(house);
            house.world.record("example.org", MX, data.to_vec());
        }
    };
    let line = "example.org. IN MX 10 relay.example.org.".to_string();
    assert_eq!(after(gone("example.org", MX), "mail servers"), ("advice".into(), line));
    assert_eq!(after(mx(b"\0\0\0"), "mail servers").0, "advice");
    assert_eq!(after(mx(b"\0\x0a\x05ghost\0"), "mail servers"), wrong(""));
    let signed = |house: &House| {
        house.world.zone.borrow_mut().signed = true;
        house.world.record("_25._tcp.relay.example.org", TLSA, [&[3, 1, 1][..], &[7; 32]].concat());
    };
    assert_eq!(after(signed, "DANE"), good());
    let bogus = |house: &House| {
        house.world.zone.borrow_mut().signed = true;
        house.world.zone.borrow_mut().failing = vec![TLSA];
    };
    assert_eq!(after(bogus, "DANE"), wrong(""));
    let odd = |house: &House| house.world.text("_mta-sts.example.org", "v=STSv1");
    assert_eq!(after(odd, "MTA-STS").0, "wrong");
    let fine = |house: &House| house.world.text("_mta-sts.example.org", "v=STSv1; id=7;");
    assert_eq!(after(fine, "MTA-STS"), good());
}

#[test]
fn name_servers_that_deny_everything_are_told_as_that() {
    let house = house();
    published(&house);
    house.world.zone.borrow_mut().vouches_for_nothing = true;
    let said = house.world.wait(house.desk().doctor("nowhere.example"));
    assert!(said.expect_err("nothing is known").contains("know no name at all"));
    house.world.record("a.root-servers.net", A, vec![198, 41, 0, 4]);
    house.pass(301);
    assert_eq!(look(&house, "nowhere.example")[0].verdict, "advice", "it is only missing");
}

#[test]
fn without_a_name_server_everything_is_unknown_and_ends() {
    let house =
        House::with(&CONFIG.replace(r#""domains": ["home.test"]"#, r#""dns": ["127.0.0.53"]"#));
    let rows = look(&house, "example.org");
    let known = rows.iter().filter(|row| row.verdict != "unknown" && row.about != "way out");
    let known: Vec<&FindingRow> = known.filter(|row| row.about != "DKIM").collect();
    assert!(known.is_empty(), "{known:?}");
}
