//! Routes that ask who sends, and servers that take some senders and no others.

use super::*;

const OTHER: &str = "192.0.2.26:25";

fn house(route: &str) -> House {
    House::with(&CONFIG.replace(r#""tls": "may"}"#, route))
}

#[test]
fn what_a_provider_would_refuse_is_sent_from_the_address_that_it_takes() {
    let house = house(r#""tls": "none", "senders": ["me@gmail.com", "*@mine.example"]}"#);
    house.world.server(SMARTHOST);
    house.send("camera@home.test", &["you@example.org"], "alarm");
    house.send("info@mine.example", &["you@example.org"], "hello");
    house.pass(1);
    let mail = house.world.mail.take();
    assert_eq!(mail[0].from, "me@gmail.com");
    let header = "From: \"camera@home.test\"\r\n <me@gmail.com>\r\nReply-To: camera@home.test\r\n";
    assert!(mail[0].text.contains(header), "{}", mail[0].text);
    assert!(mail[0].text.contains("Original-From:"), "{}", mail[0].text);
    assert!(mail[0].text.ends_with("\r\nalarm\r\n"), "{}", mail[0].text);
    assert_eq!(mail[1].from, "info@mine.example");
    assert!(!mail[1].text.contains("gmail.com"), "{}", mail[1].text);
    let told = house.world.told("renamed");
    assert!(told.len() == 1 && told[0].contains("as=me@gmail.com"), "{told:?}");
}

#[test]
fn a_report_keeps_its_null_path_and_gets_a_from_that_is_taken() {
    let house = house(r#""tls": "none", "senders": ["me@gmail.com"]}"#);
    house.world.server(SMARTHOST).says(&[("RCPT TO:<ghost", "550 5.1.1 No such user")]);
    house.send("you@example.org", &["ghost@example.org"], "lost");
    house.pass(60);
    let mail = house.world.mail.take();
    assert_eq!((mail.len(), mail[0].from.as_str()), (1, ""), "RFC 5321 §4.5.5");
    assert_eq!(mail[0].to, ["you@example.org"]);
    assert!(mail[0].text.contains("<me@gmail.com>"), "{}", mail[0].text);
}

#[test]
fn a_second_way_takes_its_own_senders() {
    let routes = format!(
        r#""tls": "none", "senders": ["one@a.example"]}},
           {{"for": "*", "via": "{OTHER}", "tls": "none", "senders": ["two@b.example"]}}"#
    );
    let house = house(&routes);
    house.world.server(OTHER);
    house.send("camera@home.test", &["you@example.org"], "alarm");
    house.pass(60);
    let mail = house.world.mail.take();
    assert_eq!((mail[0].at.as_str(), mail[0].from.as_str()), (OTHER, "two@b.example"));
}

#[test]
fn a_device_has_a_route_of_its_own() {
    let routes = format!(
        r#""tls": "none"}}, {{"for": "*", "client": "192.168.1.20", "via": "{OTHER}", "tls": "none"}}"#
    );
    let house = house(&routes);
    house.world.server(SMARTHOST);
    house.world.server(OTHER);
    house.send("camera@home.test", &["you@example.org"], "alarm");
    house.world.run();
    let mut session = house.call(25, "192.168.1.21:4000");
    session.says("EHLO printer", "250");
    session.says("MAIL FROM:<printer@home.test>", "250");
    session.says("RCPT TO:<you@example.org>", "250");
    session.says("DATA", "354");
    session.says("Subject: x\r\n\r\nx\r\n.", "250");
    house.world.run();
    let mail = house.world.mail.take();
    let ways: Vec<_> = mail.iter().map(|m| (m.at.as_str(), m.from.as_str())).collect();
    assert_eq!(ways, [(OTHER, "camera@home.test"), (SMARTHOST, "printer@home.test")]);
    // It is known after a restart, too.
    house.world.server(OTHER).says(&[("MAIL", "451 4.3.0 later")]);
    house.send("camera@home.test", &["you@example.org"], "alarm");
    house.pass(1);
    let house = house.restart();
    house.world.server(OTHER);
    house.pass(3600);
    assert_eq!(house.world.mail.take().last().map(|m| m.at.clone()).as_deref(), Some(OTHER));
}

#[test]
fn what_is_discarded_is_told_and_gone() {
    let house = house(r#""tls": "none"}, {"for": "tests.example", "via": "discard"}"#);
    house.send("camera@home.test", &["a@tests.example", "b@tests.example"], "alarm");
    house.pass(1);
    assert_eq!((house.rows().len(), house.world.knocks.borrow().len()), (0, 0));
    let told = house.world.told("discarded");
    assert!(told.len() == 1 && told[0].contains("a@tests.example,b@tests.example"), "{told:?}");
    assert_eq!(house.world.told("delivered").len(), 0);
}

#[test]
fn the_world_sees_no_name_that_only_this_network_knows() {
    let own = r#""owner": "me@example.com", "masquerade": "example.org", "routes""#;
    let config = CONFIG.replace(r#""tls": "may"}"#, r#""tls": "none"}"#);
    let house = House::with(&config.replace("\"routes\"", own).replace("home.test", "home.lan"));
    house.world.server(SMARTHOST).says(&[("RCPT TO:<ghost", "550 5.1.1 No such user")]);
    house.send("alice@home.lan", &["you@example.net"], "hello");
    house.send("root@raspberrypi", &["you@example.net"], "disk");
    // The system's own mail, and a report about a device's, are for the owner.
    house.send("root@home.lan", &["root@home.lan"], "cron");
    house.send("camera@home.lan", &["ghost@example.net"], "alarm");
    house.pass(60);
    let mail = house.world.mail.take();
    let seen: Vec<(&str, &str)> =
        mail.iter().map(|mail| (mail.from.as_str(), mail.to[0].as_str())).collect();
    assert_eq!(
        seen,
        [
            ("alice@example.org", "you@example.net"),
            ("me@example.com", "you@example.net"),
            ("me@example.com", "me@example.com"),
            ("", "me@example.com"),
        ]
    );
    for mail in &mail {
        let from = mail.text.lines().find(|line| line.starts_with("From: ")).expect("a From");
        assert!(!from.contains("home.lan") && !from.contains("raspberrypi"), "{from}");
    }
    assert!(house.world.told("renamed").len() >= 3);
}
