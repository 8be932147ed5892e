//! What domains publish about themselves, and senders that were written anew.

use crate::{input::Input, seeds as sown};
use waypost::{
    limits,
    proto::{
        mail::{
            address::Address,
            header, list, sender,
            spf::{self, Mechanism, Prefix},
            srs::Key,
        },
        sts,
    },
};

pub(crate) fn check(data: &[u8]) {
    let input = Input::new(data);
    strict_transport(input.octets);
    allowed_senders(input.text());
    forwarded(input.text(), input.choice(0));
    masqueraded(input.octets);
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = [
        "version: STSv1\r\nmode: enforce\r\nmx: mx.x.example\r\nmx: *.y.example\r\nmax_age: 9\r\n",
        "version: STSv1\nmode: none\nmax_age: 0\nx: y\n",
        "v=STSv1; id=20160831085700Z;",
        "v=spf1 mx a:x.example/24//64 ip4:192.0.2.0/24 ip6:2001:db8::/32 include:y.example -all",
        "v=spf1 exists:%{i}.x redirect=%{d1r/}.x exp=y ?all",
        "a.b@x.example",
        "SRS0=HHH=TT=x.example=a@them.example",
        "SRS1=HHHHHHHH=them.example==HHH=TT=x.example=a@ours.example",
        "From: \"Root, the\" <root@nas.lan> (cron), a@nas.lan\r\nSender: b@nas.lan\r\n\r\n",
    ]
    .map(|text| Input::compose(text.as_bytes(), &[3]))
    .into();
    for message in sown::files("vectors", ".eml") {
        seeds.push(Input::compose(message.replace('\n', "\r\n").as_bytes(), &[1]));
    }
    seeds
}

fn strict_transport(octets: &[u8]) {
    if let Some(id) = sts::id(&[octets.to_vec()]) {
        assert!((1..=32).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric()));
    }
    let Ok(policy) = sts::Policy::parse(octets) else { return };
    assert!(policy.mx.len() <= limits::STS_PATTERNS && policy.age <= limits::STS_AGE_MAX);
    assert_eq!(sts::Policy::parse(policy.page().as_bytes()).as_ref(), Ok(&policy));
    for pattern in &policy.mx {
        let host = pattern.strip_prefix("*.").map_or(pattern.clone(), |rest| format!("x.{rest}"));
        assert!(policy.allows(&host), "{pattern} allows {host}");
        for other in [String::new(), format!("a.b.{host}.c"), format!("a.{host}")] {
            assert_eq!(policy.allows(&other), matches(&policy.mx, &other), "{other}");
        }
    }
}

/// RFC 8461 section 4.1, label by label: `*` stands for one label, the first.
fn matches(patterns: &[String], host: &str) -> bool {
    patterns.iter().any(|pattern| {
        let (pattern, host): (Vec<_>, Vec<_>) =
            (pattern.split('.').collect(), host.split('.').collect());
        pattern.len() == host.len()
            && pattern.iter().zip(&host).enumerate().all(|(at, (label, part))| {
                (at == 0 && *label == "*" && !part.is_empty()) || label.eq_ignore_ascii_case(part)
            })
    })
}

fn allowed_senders(text: &str) {
    if !spf::is_record(text.as_bytes()) {
        return;
    }
    let Ok(record) = spf::Record::parse(text) else { return };
    assert!(record.terms.len() <= text.split(' ').count());
    for term in &record.terms {
        match &term.mechanism {
            Mechanism::A(_, Prefix(four, six)) | Mechanism::Mx(_, Prefix(four, six)) => {
                assert!(*four <= 32 && *six <= 128);
            }
            Mechanism::Ip(address, bits) => {
                assert!(*bits <= if address.is_ipv4() { 32 } else { 128 });
            }
            Mechanism::Include(domain) | Mechanism::Exists(domain) => assert!(!domain.is_empty()),
            Mechanism::All | Mechanism::Ptr(_) => {}
        }
    }
}

fn forwarded(text: &str, day: usize) {
    let Ok(from) = Address::parse(text) else { return };
    let octet = u8::try_from(day).expect("a choice is an octet");
    let (key, day) = (Key([octet; 32]), u64::from(octet));
    if let Some(Ok(to)) = key.read(&from, Some(day)) {
        // With a key that the input does not know nothing is read but what was written.
        panic!("{from} reads as {to}");
    }
    let Some(written) = key.write(&from, "ours.example", day) else { return };
    assert_eq!(written.domain(), "ours.example");
    assert!(written.local().len() <= limits::LOCAL_PART_BYTES);
    let back = key.read(&written, Some(day)).expect("it is one of ours");
    let is_first = written.local().starts_with("SRS0=");
    match back {
        Ok(back) if is_first => assert_eq!(back, from, "{written}"),
        Ok(back) => assert!(back.local().starts_with("SRS0")),
        // What others have written may be no address at all.
        Err(_) => assert!(!is_first, "{written}"),
    }
}

fn masqueraded(octets: &[u8]) {
    let stands = |address: &Address| {
        (address.domain() == "nas.lan").then(|| Address::parse("me@example.org").expect("valid"))
    };
    let Some(new) = sender::masquerade(octets, stands) else { return };
    assert!(sender::masquerade(&new, stands).is_none(), "once is enough");
    let fields =
        |octets: &[u8]| header::fields(octets).map(|f| f.name.to_string()).collect::<Vec<_>>();
    assert_eq!(fields(&new), fields(octets), "field by field");
    for (old, new) in header::fields(octets).zip(header::fields(&new)) {
        let count = |value: &[u8]| list::mailboxes(value).map(|list| list.len());
        if old.raw != new.raw {
            assert_eq!(count(old.value), count(new.value), "nobody comes or goes");
        }
    }
}
