//! The canonical forms, with the examples of RFC 6376. What keys make of them is tested where the
//! keys are: `relay/sign`.

use super::*;

/// The canonical body, pushed in pieces of this size.
fn body(octets: &[u8], piece: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let mut body = Body::default();
    for piece in octets.chunks(piece) {
        body.push(piece, |octets| out.extend_from_slice(octets));
    }
    body.finish(|octets| out.extend_from_slice(octets));
    out
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

fn canonical(header: &str, names: &[&str]) -> String {
    text(&signed_fields(header.as_bytes(), names))
}

#[test]
fn the_example_of_the_rfc_is_made_relaxed() {
    // RFC 6376 §3.4.5, example 1.
    let header = "A: X\r\nB : Y\t\r\n\tZ  \r\n\r\n";
    assert_eq!(canonical(header, &["a", "b"]), "a:X\r\nb:Y Z\r\n");
    assert_eq!(text(&body(b" C \r\nD \t E\r\n\r\n\r\n", 99)), " C\r\nD E\r\n");
}

#[test]
fn bodies_are_relaxed_however_they_are_cut() {
    for (raw, relaxed) in [
        // RFC 6376 §3.4.4: an empty body stays empty.
        ("", ""),
        ("\r\n", ""),
        ("\r\n\r\n\r\n", ""),
        (" \t \r\n \r\n", ""),
        (" ", ""),
        // A line end that is missing is added.
        ("a", "a\r\n"),
        ("a\r\n", "a\r\n"),
        ("a\r\n\r\n\r\n", "a\r\n"),
        ("a \t", "a\r\n"),
        ("a\r\n  ", "a\r\n"),
        ("a\r\n  \r\n\t\r\n", "a\r\n"),
        ("\r\n\r\na", "\r\n\r\na\r\n"),
        ("a\r\n\r\n  \r\nb", "a\r\n\r\n\r\nb\r\n"),
        ("  a \t b\t\r\n", " a b\r\n"),
        ("\ta", " a\r\n"),
        // Only both together are a line end.
        ("a\nb\r\n", "a\nb\r\n"),
        ("a \nb", "a \nb\r\n"),
        ("a\rb", "a\rb\r\n"),
        ("a \r b", "a \r b\r\n"),
        ("a\r\r\n", "a\r\r\n"),
        ("a\r", "a\r\r\n"),
        ("\r", "\r\r\n"),
        ("\n", "\n\r\n"),
        ("\r\n\r", "\r\n\r\r\n"),
        ("8 bit: \u{e9}\u{20ac}  \r\n", "8 bit: \u{e9}\u{20ac}\r\n"),
        ("nul \0 \r\n", "nul \0\r\n"),
    ] {
        for piece in [1, 2, 3, 7, 99] {
            assert_eq!(text(&body(raw.as_bytes(), piece)), relaxed, "{raw:?} by {piece}");
        }
    }
}

#[test]
fn a_body_is_handed_on_in_blocks_whatever_it_holds() {
    let mut bodies = vec![vec![b'x'; 100_000], b" x".repeat(50_000), b"x\r\n".repeat(30_000)];
    // Line ends are held back until something follows, and do not come all at once either.
    bodies.push([b"\r\n".repeat(100_000).as_slice(), b"x"].concat());
    for raw in bodies {
        let mut body = Body::default();
        let (mut length, mut largest) = (0, 0);
        let mut count = |octets: &[u8]| {
            length += octets.len();
            largest = largest.max(octets.len());
        };
        body.push(&raw, &mut count);
        body.finish(&mut count);
        assert!(largest <= 2 * 4096 + 1024, "{largest}");
        assert!((raw.len()..=raw.len() + 2).contains(&length), "{length} of {}", raw.len());
    }
}

#[test]
fn repeated_fields_are_taken_from_the_bottom() {
    // RFC 6376 §5.4.2: and once more than there are, nothing is taken.
    let header = "To: 1\r\nFrom: a\r\nTo: 2\r\nTo: 3\r\n\r\n";
    assert_eq!(canonical(header, &["to", "to", "from"]), "to:3\r\nto:2\r\nfrom:a\r\n");
    assert_eq!(
        canonical(header, &["To", "To", "To", "To", "From", "From", "Cc"]),
        "to:3\r\nto:2\r\nto:1\r\nfrom:a\r\n"
    );
}

#[test]
fn fields_are_relaxed_whatever_they_hold() {
    for (raw, relaxed) in [
        ("Subject:\r\n", "subject:\r\n"),
        ("Subject: \r\n \r\n", "subject:\r\n"),
        ("sUBJECT \t:\r\n\ta\r\n b \r\n", "subject:a b\r\n"),
        ("Subject: a:b: c\r\n", "subject:a:b: c\r\n"),
        ("Subject: \u{e9}  \u{20ac}\t\r\n", "subject:\u{e9} \u{20ac}\r\n"),
        ("Subject: a\rb\nc\r\n", "subject:a\rb\nc\r\n"),
        ("Subject: no line end", "subject:no line end\r\n"),
    ] {
        assert_eq!(canonical(raw, &["subject"]), relaxed, "{raw:?}");
    }
    let long = format!("Subject: {}\r\n", "x ".repeat(100_000));
    assert_eq!(canonical(&long, &["subject"]).len(), "subject:".len() + 199_999 + 2);
}

#[test]
fn what_is_there_is_signed_and_what_may_not_be_added_is_sealed() {
    let header = b"Received: x\r\nFrom: a@b.example\r\nTo: c\r\nSubject: s\r\nDate: d\r\n\
        List-Id: l\r\nX-Mailer: m\r\n\r\n";
    let names = names(header);
    let count = |name: &str| names.iter().filter(|n| **n == name).count();
    for (name, times) in [
        ("From", 2),
        ("To", 2),
        ("Subject", 2),
        ("Date", 2),
        ("Cc", 1),
        ("Reply-To", 1),
        ("Content-Type", 1),
        ("MIME-Version", 1),
        // A Message-ID may still be added where there is none.
        ("Message-ID", 0),
        ("List-Id", 1),
        ("List-Unsubscribe", 0),
        ("Sender", 0),
        ("Received", 0),
        ("X-Mailer", 0),
    ] {
        assert_eq!(count(name), times, "{name}");
    }
}

#[test]
fn names_are_bounded() {
    let header = "List-Id: l\r\n".repeat(5000) + "From: a@b.example\r\n\r\n";
    let names = names(header.as_bytes());
    assert_eq!(names.len(), limits::DKIM_FIELDS);
    assert_eq!(names[..2], ["From", "From"], "what matters most comes first");
}

#[test]
fn the_author_is_the_first_mailbox_of_the_only_from() {
    let domain = |header: &str| author_domain(header.as_bytes());
    let some = |text: &str| Some(text.to_string());
    assert_eq!(domain("From: A <a@Example.ORG>\r\n\r\n"), some("example.org"));
    assert_eq!(domain("From: a@b.example, c@d.example\r\n\r\n"), some("b.example"));
    assert_eq!(domain("From: \"x@evil.example\" <a@b.example>\r\n\r\n"), some("b.example"));
    assert_eq!(domain("From: a@b\u{fc}cher.example\r\n\r\n"), some("xn--bcher-kva.example"));
    for none in ["To: a@b.example\r\n", "From: nobody\r\n", "From:\r\n", "From: a@b, <\r\n"] {
        assert_eq!(domain(&format!("{none}\r\n")), None, "{none}");
    }
    assert_eq!(domain("From: a@b.example\r\nFrom: a@b.example\r\n\r\n"), None);
}

#[test]
fn a_signature_of_the_domain_is_seen() {
    let signed = |field: &str| is_signed_by(format!("{field}\r\n\r\n").as_bytes(), "b.example");
    assert!(signed("DKIM-Signature: v=1; a=rsa-sha256; d=b.example; s=x; b=y"));
    assert!(signed("dkim-signature: v=1;\r\n\td = B.Example\r\n ; s=x"));
    assert!(signed("DKIM-Signature: d=c.example\r\nDKIM-Signature: d=b.example"));
    for other in ["v=1; d=c.example", "v=1; d=sub.b.example", "v=1; s=b.example", "", "d", "d="] {
        assert!(!signed(&format!("DKIM-Signature: {other}")), "{other}");
    }
    assert!(!signed("ARC-Message-Signature: v=1; d=b.example"));
    assert!(!is_signed_by(b"From: x\r\n\r\nDKIM-Signature: d=b.example\r\n", "b.example"));
}

#[test]
fn the_field_is_folded_and_says_what_the_octets_say() {
    let header = b"From: a@b.example\r\nSubject: s\r\n\r\n";
    let names = names(header);
    let domain = format!("{}.example", "d".repeat(60));
    let claim = Claim {
        algorithm: Algorithm::Rsa,
        domain: &domain,
        selector: "wp20261122-rsa",
        wall: Some(Wall(1_795_338_000)),
        names: &names,
        body_hash: &[0xff; 32],
    };
    let field = claim.field(&[0xfb; 256]);
    let lines: Vec<&str> = field.strip_suffix("\r\n").expect("a line end").split("\r\n").collect();
    assert!(lines.iter().all(|line| line.len() <= 78), "{field}");
    assert!(lines[1..].iter().all(|line| line.starts_with(' ') && line.len() > 1), "{field}");
    let flat: String = field.split_whitespace().collect();
    let tail = "from:from:subject:subject:to:cc:reply-to:in-reply-to:references:mime-version:\
                content-type:content-transfer-encoding;";
    assert!(flat.starts_with("DKIM-Signature:v=1;a=rsa-sha256;c=relaxed/relaxed;d=dddd"), "{flat}");
    assert!(flat.contains(&format!(";s=wp20261122-rsa;t=1795338000;h={tail}bh=//")), "{flat}");
    assert!(flat.ends_with(&format!(";b={}", BASE64_STANDARD.encode([0xfb; 256]))), "{flat}");
    // What is signed is this very field, relaxed, without the value of b=.
    let own = field.replace(&flat[flat.len() - 344..], "");
    let octets = text(&claim.octets(header));
    let last = octets.rsplit("\r\n").next().expect("no line end behind it");
    let squeezed = last.split_whitespace().collect::<String>();
    assert_eq!(squeezed, flat[..flat.len() - 344].replace("DKIM-Signature", "dkim-signature"));
    assert!(own.starts_with("DKIM-Signature: v=1;") && last.ends_with(" b="), "{last}");
}

#[test]
fn without_a_clock_there_is_no_time_in_it() {
    let claim = Claim {
        algorithm: Algorithm::Ed25519,
        domain: "b.example",
        selector: "s",
        wall: None,
        names: &["From"],
        body_hash: &[0; 32],
    };
    assert!(!claim.field(&[0; 64]).contains("t="));
}

#[test]
fn records_are_cut_into_strings_that_dns_can_carry() {
    let key = [0xaa; 294];
    let record = Record::new(Algorithm::Rsa, "wp-rsa", "example.org", &key);
    assert_eq!(record.name, "wp-rsa._domainkey.example.org");
    let strings: Vec<&str> = record.strings().collect();
    assert_eq!(strings.iter().map(|s| s.len()).collect::<Vec<_>>(), [255, 155]);
    assert_eq!(strings.concat(), record.text);
    assert!(record.text.starts_with("v=DKIM1; k=rsa; p=qqqq"));
    let line = record.to_string();
    assert!(line.starts_with("wp-rsa._domainkey.example.org. IN TXT ( \"v=DKIM1; k=rsa; p="));
    assert!(line.ends_with("\" )") && line.matches('"').count() == 4, "{line}");
    // RFC 8463 §A.2.
    let key = BASE64_STANDARD.decode("11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=");
    let key = key.expect("base64");
    let record = Record::new(Algorithm::Ed25519, "brisbane", "football.example.com", &key);
    assert_eq!(record.text, "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=");
}

/// RFC 8463 §A.3: one message, signed by both kinds of keys.
const SIGNED_BY_BOTH: &str = "\
DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;\r
 d=football.example.com; i=@football.example.com;\r
 q=dns/txt; s=brisbane; t=1528637909; h=from : to :\r
 subject : date : message-id : from : subject : date;\r
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r
 b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus\r
 Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==\r
DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;\r
 d=football.example.com; i=@football.example.com;\r
 q=dns/txt; s=test; t=1528637909; h=from : to : subject :\r
 date : message-id : from : subject : date;\r
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r
 b=F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3\r
 DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2Jz\r
 dA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=\r
From: Joe SixPack <joe@football.example.com>\r
To: Suzie Q <suzie@shopping.example.net>\r
Subject: Is dinner ready?\r
Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r
Message-ID: <20030712040037.46341.5F8J@football.example.com>\r
\r
Hi.\r
\r
We lost the game.  Are you hungry yet?\r
\r
Joe.\r
";

/// What was signed by the n-th signature of that message, and the signature itself.
fn of_the_rfc(n: usize) -> (Vec<u8>, Vec<u8>) {
    let (header, _) = SIGNED_BY_BOTH.split_once("\r\n\r\n").expect("a header");
    let header = format!("{header}\r\n");
    let field = header::fields(header.as_bytes()).nth(n).expect("a field");
    let raw = text(field.raw);
    let (_, after) = raw.split_once("h=").expect("h=");
    let (names, _) = after.split_once(';').expect("its end");
    let names: Vec<&str> = names.split(':').map(str::trim).collect();
    let (unsigned, signature) = raw.split_once(" b=").expect("b=");
    let mut octets = signed_fields(header.as_bytes(), &names);
    let own = format!("{unsigned} b=");
    relax(&header::fields(own.as_bytes()).next().expect("a field"), &mut octets);
    let signature: String = signature.split_whitespace().collect();
    (octets, BASE64_STANDARD.decode(signature).expect("base64"))
}

#[test]
fn the_bodies_of_both_rfcs_have_the_hash_they_say() {
    let (_, rfc8463) = SIGNED_BY_BOTH.split_once("\r\n\r\n").expect("a body");
    // RFC 6376 §A.2 has the same message with one blank fewer.
    for raw in [rfc8463, &rfc8463.replace("  ", " "), &format!("{rfc8463}\r\n \r\n")] {
        let mut hash = crate::sys::keys::Hash::default();
        hash.push(&body(raw.as_bytes(), 5));
        let hash = BASE64_STANDARD.encode(hash.finish());
        assert_eq!(hash, "2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=");
    }
    // RFC 6376 §3.4.4: of nothing.
    let empty = crate::sys::keys::Hash::default().finish();
    let empty = BASE64_STANDARD.encode(empty);
    assert_eq!(empty, "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
}

#[test]
fn the_ed25519_key_of_the_rfc_makes_the_signature_of_the_rfc() {
    // RFC 8463 §A.1, in the clothes of RFC 8410 §7.
    let der = "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g";
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{der}\n-----END PRIVATE KEY-----\n");
    let key = crate::sys::keys::Key::parse(pem.as_bytes()).expect("the key");
    let public = BASE64_STANDARD.encode(key.public());
    assert_eq!(public, "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=");
    let (octets, signature) = of_the_rfc(0);
    assert_eq!(key.sign(&octets), signature);
}

#[test]
fn the_rsa_signature_of_the_rfc_is_over_the_octets_that_are_made_here() {
    use ring::signature::{RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, RsaPublicKeyComponents};
    // RFC 6376 §C, RFC 8463 §A.2: a key of 1024 bits, with which ring verifies but does not sign.
    let record = "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qh\
                  dR6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+\
                  PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB";
    let info = BASE64_STANDARD.decode(record).expect("base64");
    let key = RsaPublicKeyComponents { n: &info[29..157], e: &info[159..] };
    let (octets, signature) = of_the_rfc(1);
    // PKCS #1 v1.5 has no chance in it: only these octets have this signature.
    let legacy = &RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY;
    assert!(key.verify(legacy, &octets, &signature).is_ok());
    assert!(key.verify(legacy, &octets[1..], &signature).is_err());
}
