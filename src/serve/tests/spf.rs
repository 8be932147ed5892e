//! SPF, followed through DNS.

use super::{
    names::{MX, wire},
    *,
};
use crate::{
    limits,
    proto::mail::spf::Verdict::{Fail, Neutral, Pass, SoftFail},
    relay::spf::{Inquiry, Said},
};

/// A world with these texts, and what `domain` says of an address there.
fn ask(texts: &[(&str, &str)], more: impl Fn(&World), domain: &str, address: &str) -> Said {
    let house = House::with(&CONFIG.replace(r#""routes""#, r#""dns": ["127.0.0.53"], "routes""#));
    let world = &house.world;
    for (name, text) in texts {
        world.text(name, text);
    }
    world.exchanger("m.example", "mx.m.example", [192, 0, 2, 10]);
    more(world);
    let address = address.parse().expect("an address");
    let resolver = &house.running.relay.resolver;
    world.wait(async { Inquiry::new(resolver, address).ask(domain).await })
}

fn plain(text: &str, address: &str) -> Said {
    ask(&[("x.example", text)], |_| {}, "x.example", address)
}

#[test]
fn the_first_term_that_fits_counts() {
    for (text, address, verdict) in [
        ("v=spf1 ip4:192.0.2.0/24 -all", "192.0.2.7", Pass),
        ("v=spf1 ip4:192.0.2.0/24 -all", "192.0.3.7", Fail),
        ("v=spf1 -ip4:192.0.2.7 ip4:192.0.2.0/24 -all", "192.0.2.7", Fail),
        ("v=spf1 ~all", "192.0.2.7", SoftFail),
        ("v=spf1 ?all", "192.0.2.7", Neutral),
        ("v=spf1", "192.0.2.7", Neutral),
        ("v=spf1 a:mx.m.example -all", "192.0.2.10", Pass),
        ("v=spf1 a:mx.m.example/24 -all", "192.0.2.99", Pass),
        ("v=spf1 a:mx.m.example/28 -all", "192.0.2.99", Fail),
        ("v=spf1 a:mx.m.example//0 -all", "2001:db8::1", Fail),
        ("v=spf1 mx:m.example -all", "192.0.2.10", Pass),
        ("v=spf1 mx:m.example/24 -all", "::ffff:192.0.2.99", Pass),
        ("v=spf1 exists:mx.m.example -all", "198.51.100.1", Pass),
        ("v=spf1 ip6:2001:db8::/32 -all", "2001:db8:7::7", Pass),
        ("v=spf1 ip6:2001:db8::/32 -all", "192.0.2.7", Fail),
        ("v=spf1 ptr -all", "192.0.2.7", Fail),
    ] {
        assert_eq!(plain(text, address), Said::Verdict(verdict), "{text} {address}");
    }
}

#[test]
fn other_domains_are_included_and_gone_on_with() {
    let texts = |first: &'static str| {
        [
            ("x.example", first),
            ("pass.example", "v=spf1 ip4:192.0.2.7 -all"),
            ("fail.example", "v=spf1 -all"),
            ("wrong.example", "v=spf1 nonsense"),
        ]
    };
    let said = |first| ask(&texts(first), |_| {}, "x.example", "192.0.2.7");
    assert_eq!(said("v=spf1 include:pass.example -all"), Said::Verdict(Pass));
    assert_eq!(said("v=spf1 ?include:pass.example -all"), Said::Verdict(Neutral));
    assert_eq!(said("v=spf1 include:fail.example ~all"), Said::Verdict(SoftFail));
    assert_eq!(said("v=spf1 redirect=fail.example"), Said::Verdict(Fail));
    assert_eq!(said("v=spf1 redirect=fail.example ip4:192.0.2.7"), Said::Verdict(Pass));
    assert_eq!(said("v=spf1 redirect=wrong.example ~all"), Said::Verdict(SoftFail));
    for wrong in
        ["include:none.example", "include:wrong.example", "redirect=none.example", "nonsense"]
    {
        assert!(matches!(said(&*format!("v=spf1 {wrong}").leak()), Said::Wrong(_)), "{wrong}");
    }
    assert_eq!(said("v=spf1 exists:%{i}.x.example -all"), Said::Macros);
    assert_eq!(ask(&[], |_| {}, "x.example", "192.0.2.7"), Said::None);
    let loops =
        [("x.example", "v=spf1 include:y.example"), ("y.example", "v=spf1 include:x.example")];
    assert!(matches!(ask(&loops, |_| {}, "x.example", "192.0.2.7"), Said::Wrong(_)));
}

#[test]
fn questions_are_bounded() {
    let of = |lookups: usize| {
        let terms = "a:mx.m.example ".repeat(lookups);
        plain(&format!("v=spf1 {terms}-all"), "198.51.100.1")
    };
    assert_eq!(of(limits::SPF_LOOKUPS), Said::Verdict(Fail));
    assert!(matches!(of(limits::SPF_LOOKUPS + 1), Said::Wrong(why) if why.contains("10 lookups")));
    let of = |voids: usize| {
        let terms: Vec<String> = (0..voids).map(|n| format!("a:n{n}.example ")).collect();
        plain(&format!("v=spf1 {}-all", terms.concat()), "198.51.100.1")
    };
    assert_eq!(of(limits::SPF_VOIDS), Said::Verdict(Fail));
    assert!(matches!(of(limits::SPF_VOIDS + 1), Said::Wrong(why) if why.contains("nowhere")));
    let of = |servers: usize| {
        let more = |world: &World| {
            for _ in 1..servers {
                world.record("m.example", MX, [&[0, 20][..], &wire("mx.m.example")].concat());
            }
        };
        ask(&[("x.example", "v=spf1 mx:m.example -all")], more, "x.example", "198.51.100.1")
    };
    assert_eq!(of(limits::SPF_LOOKUPS), Said::Verdict(Fail));
    assert!(matches!(of(limits::SPF_LOOKUPS + 1), Said::Wrong(_)));
}

#[test]
fn trouble_in_dns_is_no_answer() {
    let more = |world: &World| world.zone.borrow_mut().failing = vec![super::names::A];
    let texts = [("x.example", "v=spf1 a:mx.m.example -all")];
    assert!(matches!(ask(&texts, more, "x.example", "192.0.2.7"), Said::Later(_)));
}
