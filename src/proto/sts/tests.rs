//! Policies as RFC 8461 has them, and as others write them.

use super::*;

/// RFC 8461 §3.2 and appendix A.
const PAGE: &str = "version: STSv1\nmode: enforce\nmx: mail.example.com\nmx: *.example.net\n\
                    mx: backupmx.example.com\nmax_age: 604800\n";

fn found(texts: &[&str]) -> Option<String> {
    id(&texts.iter().map(|text| text.as_bytes().to_vec()).collect::<Vec<_>>())
}

#[test]
fn the_policy_of_the_standard_is_read_and_allows_what_it_names() {
    let policy = Policy::parse(PAGE.as_bytes()).expect("it is one");
    assert_eq!((policy.mode, policy.age), (Mode::Enforce, Duration::from_hours(168)));
    for (host, allowed) in [
        ("mail.example.com", true),
        ("backupmx.example.com", true),
        ("mx.example.net", true),
        ("example.net", false),
        (".example.net", false),
        ("a.b.example.net", false),
        ("mx.mail.example.com", false),
        ("example.com", false),
        ("mail.example.com.evil.example", false),
    ] {
        assert_eq!(policy.allows(host), allowed, "{host}");
    }
}

#[test]
fn line_ends_order_blanks_and_unknown_fields_do_not_matter() {
    let plain = Policy::parse(PAGE.as_bytes());
    for other in [
        PAGE.replace('\n', "\r\n"),
        PAGE.trim_end().to_string(),
        PAGE.replace(": ", ":").replace('\n', " \t\n"),
        PAGE.replace("mode", "x-more: than: this\nmode"),
        format!("{PAGE}mode: none\nmax_age: 1\nversion: STSv2\n"),
        PAGE.replace("mail.example.com", "MAIL.Example.com."),
    ] {
        assert_eq!(Policy::parse(other.as_bytes()), plain, "{other}");
    }
}

#[test]
fn what_is_no_policy_is_told_why() {
    for (from, to, why) in [
        ("version: STSv1\n", "", "version"),
        ("STSv1", "STSv2", "version"),
        ("mode: enforce\n", "", "no mode"),
        ("enforce", "Enforce", "none of enforce"),
        ("max_age: 604800\n", "", "no max_age"),
        ("604800", "", "no number"),
        ("604800", "-1", "no number"),
        ("604800", "12345678901", "no number"),
        ("mx: mail", "mx: ma il", "no host name"),
        ("*.example.net", "*.*.example.net", "no host name"),
        ("*.example.net", "mx.*.net", "no host name"),
        ("*.example.net", "*.", "no host name"),
        ("mode:", "mode", "without a colon"),
    ] {
        let found = Policy::parse(PAGE.replace(from, to).as_bytes()).expect_err(to);
        assert!(found.contains(why), "{from} -> {to}: {found}");
    }
    assert!(Policy::parse(b"version: STSv1\nmode: testing\nmax_age: 5\n").is_err());
    assert!(Policy::parse(b"version: STSv1\nmode: none\nmax_age: 5\n").is_ok());
    assert!(Policy::parse(b"version: STSv1\nmode: none\xff\nmax_age: 5\n").is_err());
    assert!(Policy::parse(b"").is_err());
}

#[test]
fn ages_and_numbers_of_servers_have_bounds() {
    let age = |text: &str| {
        Policy::parse(PAGE.replace("604800", text).as_bytes()).map(|policy| policy.age.as_secs())
    };
    let most = limits::STS_AGE_MAX.as_secs();
    for (text, seconds) in [
        ("0".to_string(), 0),
        (most.to_string(), most),
        ((most + 1).to_string(), most),
        ("9999999999".to_string(), most),
    ] {
        assert_eq!(age(&text), Ok(seconds));
    }
    let of = |servers: usize| {
        let mx: Vec<String> = (0..servers).map(|n| format!("mx: m{n}.example\n")).collect();
        let mx = mx.concat();
        Policy::parse(format!("version: STSv1\nmode: enforce\nmax_age: 1\n{mx}").as_bytes())
    };
    assert_eq!(of(limits::STS_PATTERNS).expect("it fits").mx.len(), limits::STS_PATTERNS);
    assert!(of(limits::STS_PATTERNS + 1).is_err());
}

#[test]
fn a_page_that_we_write_is_the_same_policy() {
    for page in [PAGE, "version: STSv1\nmode: none\nmax_age: 0\n"] {
        let policy = Policy::parse(page.as_bytes()).expect("it is one");
        assert_eq!(Policy::parse(policy.page().as_bytes()), Ok(policy));
    }
}

#[test]
fn of_the_texts_in_dns_exactly_one_says_which_policy_there_is() {
    let long = format!("v=STSv1; id={};", "a".repeat(32));
    for (texts, id) in [
        (&["v=STSv1; id=20160831085700Z;"][..], Some("20160831085700Z")),
        (&["v=STSv1;id=1"], Some("1")),
        (&["v=STSv1; x=y; id = a1 ; z"], Some("a1")),
        (&["v=spf1 -all", "v=STSv1; id=1"], Some("1")),
        (&[&long], Some("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")),
        (&["v=STSv1; id=1", "v=STSv1; id=2"], None),
        (&["v=STSv1; id=1", "v=STSv1; nothing"], None),
        (&["v=STSv1 ; id=1"], None),
        (&["v=STSv1; id="], None),
        (&["v=STSv1; id=a-b"], None),
        (&["v=STSv1; id=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"], None),
        (&["v=STSv1;"], None),
        (&["id=1; v=STSv1;"], None),
        (&[], None),
    ] {
        assert_eq!(found(texts).as_deref(), id, "{texts:?}");
    }
    assert_eq!(id(&[b"v=STSv1; id=\xff".to_vec()]), None);
}
