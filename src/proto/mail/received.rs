//! Trace fields: the Received that we add, and what earlier ones tell. RFC 5321 §4.4.

use crate::{
    limits,
    proto::mail::{address::Address, date, header},
    time::Wall,
};
use std::net::IpAddr;

/// What our Received field tells. Who logged in is not among it: that is nobody else's business.
#[derive(Clone, Debug)]
pub struct Received<'a> {
    /// What the peer called itself in EHLO or HELO, as it was given; empty: it did not.
    pub hello: &'a str,
    /// The peer's address; `None` where there is none (a Unix socket).
    pub peer: Option<IpAddr>,
    /// Our name.
    pub hostname: &'a str,
    /// How the message was handed over.
    pub with: With,
    /// TLS version and cipher suite.
    pub tls: Option<(&'a str, &'a str)>,
    /// Queue id.
    pub id: &'a str,
    /// The recipient, only where there is exactly one: of several, none may learn of the others.
    pub only_recipient: Option<&'a Address>,
    /// The date, if the clock is set.
    pub wall: Option<Wall>,
}

/// How a message was handed over; with [`Received::tls`] it gives the name of the protocol.
/// RFC 3848, RFC 6531 §4.3.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct With {
    /// EHLO, not HELO.
    pub extended: bool,
    /// Somebody had logged in.
    pub login: bool,
    /// SMTPUTF8 was given.
    pub utf8: bool,
}

impl With {
    fn protocol(self, encrypted: bool) -> &'static str {
        match (self.utf8, self.extended, encrypted, self.login) {
            (true, _, false, false) => "UTF8SMTP",
            (true, _, false, true) => "UTF8SMTPA",
            (true, _, true, false) => "UTF8SMTPS",
            (true, _, true, true) => "UTF8SMTPSA",
            (false, false, false, false) => "SMTP",
            (false, true, false, false) => "ESMTP",
            // RFC 3848: login and TLS are only there after EHLO.
            (false, _, false, true) => "ESMTPA",
            (false, _, true, false) => "ESMTPS",
            (false, _, true, true) => "ESMTPSA",
        }
    }
}

impl Received<'_> {
    /// The field, folded, with its last CRLF; ASCII but for the recipient of an SMTPUTF8 message.
    ///
    /// Without a clock it has no date, though RFC 5321 §4.4 wants one: a date of 1970 makes filters
    /// distrust the message, and readers sort it where nobody looks.
    pub fn compose(&self) -> String {
        let (from, by, id) = (host(self.hello), host(self.hostname), host(self.id));
        let protocol = self.with.protocol(self.tls.is_some());
        let peer = self.peer.map(|peer| format!(" ({})", literal(peer)));
        let tls = self.tls.map(|(version, cipher)| {
            format!("\r\n\t(version={} cipher={})", host(version), host(cipher))
        });
        let told = |to: &&Address| self.with.utf8 || to.is_ascii();
        let to = self.only_recipient.filter(told).map(|to| format!("\r\n\tfor <{to}>"));
        let date = self.wall.map(|wall| format!(";\r\n\t{}", date::format(wall)));
        [
            format!("Received: from {from}"),
            peer.unwrap_or_default(),
            format!("\r\n\tby {by} (Waypost) with {protocol} id {id}"),
            tls.unwrap_or_default(),
            to.unwrap_or_default(),
            date.unwrap_or_default(),
            "\r\n".into(),
        ]
        .concat()
    }
}

/// A name as a peer gave it, with nothing in it that could mean something in a header.
fn host(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-._:[]".contains(c) { c } else { '?' };
    let name: String = name.chars().take(limits::DOMAIN_BYTES).map(plain).collect();
    if name.is_empty() { "unknown".into() } else { name }
}

/// `[192.0.2.1]`, `[IPv6:2001:db8::1]`. RFC 5321 §4.1.3.
fn literal(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(four) => format!("[{four}]"),
        IpAddr::V6(six) => format!("[IPv6:{six}]"),
    }
}

/// How many Received fields there are: more than [`limits::RECEIVED_FIELDS`] are a loop. RFC 5321
/// §6.3.
pub fn count(header: &[u8]) -> usize {
    header::fields(header).filter(|field| field.is("Received")).count()
}

/// Whether a Delivered-To field says that the message was in this mailbox already: it goes round in
/// circles.
pub fn was_delivered_to(header: &[u8], mailbox: &Address) -> bool {
    header::fields(header)
        .filter(|field| field.is("Delivered-To"))
        .any(|field| header::unfold(field.value).eq_ignore_ascii_case(mailbox.as_str().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received() -> Received<'static> {
        Received {
            hello: "camera.lan",
            peer: Some(IpAddr::from([192, 168, 1, 20])),
            hostname: "relay.home.arpa",
            with: With { extended: true, ..With::default() },
            tls: None,
            id: "7ZK3M9Q2XD",
            only_recipient: None,
            wall: Some(Wall(1_795_338_720)),
        }
    }

    #[test]
    fn a_received_field_tells_what_rfc_5321_wants() {
        assert_eq!(
            received().compose(),
            "Received: from camera.lan ([192.168.1.20])\r\n\
             \tby relay.home.arpa (Waypost) with ESMTP id 7ZK3M9Q2XD;\r\n\
             \tSun, 22 Nov 2026 09:12:00 +0000\r\n"
        );
        let to = Address::parse("alice@home.arpa").expect("valid");
        let full = Received {
            peer: "2001:db8::1".parse().ok(),
            with: With { extended: true, login: true, utf8: false },
            tls: Some(("TLSv1.3", "TLS_AES_128_GCM_SHA256")),
            only_recipient: Some(&to),
            ..received()
        };
        assert_eq!(
            full.compose(),
            "Received: from camera.lan ([IPv6:2001:db8::1])\r\n\
             \tby relay.home.arpa (Waypost) with ESMTPSA id 7ZK3M9Q2XD\r\n\
             \t(version=TLSv1.3 cipher=TLS_AES_128_GCM_SHA256)\r\n\
             \tfor <alice@home.arpa>;\r\n\
             \tSun, 22 Nov 2026 09:12:00 +0000\r\n"
        );
    }

    #[test]
    fn without_a_clock_there_is_no_date_rather_than_a_wrong_one() {
        let field = Received { wall: None, peer: None, hello: "", ..received() }.compose();
        assert_eq!(
            field,
            "Received: from unknown\r\n\tby relay.home.arpa (Waypost) with ESMTP id 7ZK3M9Q2XD\r\n"
        );
    }

    #[test]
    fn a_peers_name_stays_a_name() {
        for (hello, shown) in [
            ("a\r\nBcc: x", "a??Bcc:?x"),
            ("a) (b", "a???b"),
            ("j\u{f6}rg", "j?rg"),
            ("[192.0.2.1]", "[192.0.2.1]"),
            ("::ffff:1", "::ffff:1"),
        ] {
            let field = Received { hello, ..received() }.compose();
            assert!(field.starts_with(&format!("Received: from {shown} (")), "{field}");
            assert_eq!(header::fields(field.as_bytes()).count(), 1);
        }
        let long = "x".repeat(3000);
        let field = Received { hello: &long, ..received() }.compose();
        assert!(field.split("\r\n").all(|line| line.len() <= 998));
    }

    #[test]
    fn the_protocol_is_named_as_registered() {
        let name = |extended, login, utf8, tls| With { extended, login, utf8 }.protocol(tls);
        assert_eq!(name(false, false, false, false), "SMTP");
        assert_eq!(name(true, false, false, true), "ESMTPS");
        assert_eq!(name(true, true, false, false), "ESMTPA");
        assert_eq!(name(true, true, true, true), "UTF8SMTPSA");
        assert_eq!(name(true, false, true, false), "UTF8SMTP");
    }

    #[test]
    fn a_recipient_that_is_not_ascii_is_told_only_to_who_can_read_it() {
        let to = Address::parse("j\u{f6}rg@x.example").expect("valid");
        let field = |utf8| {
            let with = With { extended: true, login: false, utf8 };
            Received { only_recipient: Some(&to), with, ..received() }.compose()
        };
        assert!(field(false).is_ascii());
        assert!(field(true).contains("for <j\u{f6}rg@x.example>"));
    }

    #[test]
    fn loops_are_seen() {
        let header =
            "Received: a\r\n b\r\nX: y\r\nreceived: c\r\nDelivered-To:\r\n Ann@X.example\r\n";
        assert_eq!(count(header.as_bytes()), 2);
        let ann = Address::parse("ann@x.example").expect("valid");
        let bob = Address::parse("bob@x.example").expect("valid");
        assert!(was_delivered_to(header.as_bytes(), &ann));
        assert!(!was_delivered_to(header.as_bytes(), &bob));
    }
}
