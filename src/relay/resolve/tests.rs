//! What becomes of a domain, by what its name servers say.

mod signed;
mod world;

use super::*;
use futures_lite::future::zip;
use std::{cell::Cell, io, rc::Rc};
use world::{A, AAAA, Asked, MX, SOA, Says, World, a, aaaa, cname, mx, soa};

const FIRST: &str = "192.0.2.53:53";
const SECOND: &str = "192.0.2.54:53";

fn servers(of: &[&str]) -> Vec<SocketAddr> {
    of.iter().map(|server| server.parse().expect("an address")).collect()
}

fn resolver(sys: &Sys) -> Resolver {
    Resolver::new(sys, servers(&[FIRST]))
}

fn says(answers: Vec<Vec<u8>>) -> Says {
    Says { answers, ..Says::default() }
}

fn fails(rcode: u8) -> Says {
    Says { rcode, ..Says::default() }
}

const NXDOMAIN: u8 = 3;
const REFUSED: u8 = 5;

/// One server; it answers with the records of `zone` that fit, and knows no other name.
fn serve(zone: Vec<(&'static str, u16, Vec<u8>)>) -> (Rc<World>, Sys) {
    World::new(move |asked| {
        let named = |(name, _, _): &&(&str, u16, Vec<u8>)| *name == asked.name;
        let known = zone.iter().any(|record| named(&record));
        let fit = zone.iter().filter(named).filter(|(_, kind, _)| *kind == asked.kind);
        let answers = fit.map(|(_, _, record)| record.clone()).collect();
        let authorities = vec![soa("example", 300, 300)];
        let rcode = if known { 0 } else { NXDOMAIN };
        Ok(vec![Says { rcode, answers, authorities, ..Says::default() }])
    })
}

fn status(trouble: &Trouble) -> String {
    trouble.outcome.status.to_string()
}

#[test]
fn exchangers_come_by_preference_and_by_the_dice_among_equals() {
    let zone = |(preference, host)| ("x.example", MX, mx("x.example", 60, preference, host));
    let records = [(20, "c.example"), (10, "a.example"), (10, "B.example"), (20, "a.example")];
    let (world, sys) = serve(records.into_iter().map(zone).collect());
    let resolver = resolver(&sys);
    let order = |rolls: [u64; 5]| {
        *world.rolls.borrow_mut() = rolls.into();
        world.pass(100);
        world.run(resolver.exchangers("X.example.", true)).expect("found")
    };
    // The first roll is the query's id.
    assert_eq!(order([0, 0, 5, 6, 0]), ["a.example", "b.example", "c.example"]);
    assert_eq!(order([0, 0, 6, 5, 9]), ["b.example", "a.example", "c.example"]);
}

#[test]
fn of_many_exchangers_the_best_are_tried() {
    let record = |n: u16| ("x.example", MX, mx("x.example", 60, 100 - n, &format!("m{n}.example")));
    let found = |many: u16| {
        let (world, sys) = serve((0..many).map(record).collect());
        world.run(resolver(&sys).exchangers("x.example", true)).expect("found")
    };
    for (many, used) in [(20, 20), (21, 20), (60, 20)] {
        assert_eq!(found(many).len(), used);
        assert_eq!(used, limits::EXCHANGERS);
    }
    assert_eq!((found(60)[0].as_str(), found(60)[19].as_str()), ("m59.example", "m40.example"));
}

#[test]
fn without_mx_the_domain_is_its_own_exchanger() {
    let (world, sys) = serve(vec![
        ("x.example", A, a("x.example", 60, [192, 0, 2, 1])),
        ("six.example", AAAA, aaaa("six.example", 60, 1)),
        ("void.example", SOA, vec![]),
    ]);
    let resolver = resolver(&sys);
    let found = |domain, ipv6| world.run(resolver.exchangers(domain, ipv6));
    assert_eq!(found("x.example", true), Ok(vec!["x.example".into()]));
    assert_eq!(found("six.example", true), Ok(vec!["six.example".into()]));
    let only_six = found("six.example", false).unwrap_err();
    assert_eq!((status(&only_six).as_str(), only_six.contact), ("4.4.4", true));
    let nothing = found("void.example", true).unwrap_err();
    assert_eq!((status(&nothing).as_str(), nothing.contact), ("5.1.2", true));
}

#[test]
fn a_domain_that_does_not_exist_bounces() {
    let (world, sys) = serve(vec![]);
    let trouble = world.run(resolver(&sys).exchangers("gone.example", true)).unwrap_err();
    assert_eq!((status(&trouble).as_str(), trouble.contact), ("5.1.2", true));
    let count = world.count();
    for bad in ["a..b", "", "x\u{2028}.example"] {
        let trouble = world.run(resolver(&sys).exchangers(bad, true)).unwrap_err();
        assert_eq!(status(&trouble), "5.1.2", "{bad:?}");
    }
    assert_eq!(world.count(), count, "nobody is asked about what is no name");
}

#[test]
fn a_domain_in_unicode_is_asked_for_in_a_labels() {
    let record = mx("xn--exmple-cua.org", 60, 10, "mx.example");
    let (world, sys) = serve(vec![("xn--exmple-cua.org", MX, record)]);
    let found = world.run(resolver(&sys).exchangers("exämple.org", true));
    assert_eq!(found, Ok(vec!["mx.example".into()]));
}

#[test]
fn a_null_mx_bounces_at_once_and_beside_others_counts_for_nothing() {
    let (world, sys) = serve(vec![
        ("null.example", MX, mx("null.example", 60, 0, "")),
        ("odd.example", MX, mx("odd.example", 60, 0, "")),
        ("odd.example", MX, mx("odd.example", 60, 5, "mx.example")),
    ]);
    let resolver = resolver(&sys);
    let trouble = world.run(resolver.exchangers("null.example", true)).unwrap_err();
    assert_eq!(status(&trouble), "5.1.10");
    let found = world.run(resolver.exchangers("odd.example", true));
    assert_eq!(found, Ok(vec!["mx.example".into()]));
}

#[test]
fn an_exchanger_that_is_an_ip_address_is_skipped_and_alone_bounces() {
    let (world, sys) = serve(vec![
        ("x.example", MX, mx("x.example", 60, 1, "192.0.2.1")),
        ("x.example", MX, mx("x.example", 60, 5, "mx.example")),
        ("ip.example", MX, mx("ip.example", 60, 1, "192.0.2.1")),
        ("odd.example", MX, mx("odd.example", 60, 1, "a b.example")),
    ]);
    let resolver = resolver(&sys);
    let found = world.run(resolver.exchangers("x.example", true));
    assert_eq!(found, Ok(vec!["mx.example".into()]));
    for domain in ["ip.example", "odd.example"] {
        let trouble = world.run(resolver.exchangers(domain, true)).unwrap_err();
        assert_eq!(status(&trouble), "5.4.4", "{domain}");
    }
}

#[test]
fn where_we_are_an_exchanger_only_better_ones_are_used() {
    let (world, sys) = serve(vec![
        ("x.example", MX, mx("x.example", 60, 5, "better.example")),
        ("x.example", MX, mx("x.example", 60, 10, "relay.example")),
        ("x.example", MX, mx("x.example", 60, 10, "equal.example")),
        ("x.example", MX, mx("x.example", 60, 20, "worse.example")),
        ("ours.example", MX, mx("ours.example", 60, 10, "relay.example")),
        ("ours.example", MX, mx("ours.example", 60, 20, "worse.example")),
        ("self.example", MX, mx("self.example", 60, 10, "localhost")),
        ("relay.example", A, a("relay.example", 60, [192, 0, 2, 1])),
    ]);
    let resolver = resolver(&sys);
    resolver.set_own(&["Relay.example.".into(), "..".into()]);
    let found = world.run(resolver.exchangers("x.example", true));
    assert_eq!(found, Ok(vec!["better.example".into()]));
    for domain in ["ours.example", "self.example", "relay.example"] {
        let trouble = world.run(resolver.exchangers(domain, true)).unwrap_err();
        assert_eq!(status(&trouble), "5.4.6", "{domain}");
    }
}

#[test]
fn an_exchanger_behind_a_cname_works_wherever_the_chain_ends() {
    let (world, sys) = World::new(|asked| {
        let answers = match (asked.name.as_str(), asked.kind) {
            ("mx.example", A) => {
                vec![cname("mx.example", 60, "h.example"), a("h.example", 60, [192, 0, 2, 1])]
            }
            ("far.example", A) => vec![cname("far.example", 60, "end.example")],
            ("end.example", A) => vec![a("end.example", 60, [192, 0, 2, 2])],
            _ => vec![],
        };
        Ok(vec![says(answers)])
    });
    let resolver = resolver(&sys);
    let addresses = |host| world.run(resolver.addresses(host, false)).expect("found");
    assert_eq!(addresses("mx.example"), ["192.0.2.1".parse::<IpAddr>().unwrap()]);
    assert_eq!(addresses("far.example"), ["192.0.2.2".parse::<IpAddr>().unwrap()]);
}

#[test]
fn aliases_that_lead_nowhere_end() {
    let n = Cell::new(0);
    let (world, sys) = World::new(move |asked| {
        n.set(n.get() + 1);
        Ok(vec![says(vec![cname(&asked.name, 60, &format!("n{}.example", n.get()))])])
    });
    let trouble = world.run(resolver(&sys).addresses("n0.example", false)).unwrap_err();
    assert_eq!((status(&trouble).as_str(), trouble.contact), ("4.4.3", false));
    assert_eq!(world.count(), limits::DNS_ALIASES + 1);
}

#[test]
fn addresses_are_ipv4_first_and_usable_ones() {
    let (world, sys) = serve(vec![
        ("h.example", A, a("h.example", 60, [192, 0, 2, 2])),
        ("h.example", A, a("h.example", 60, [0, 0, 0, 0])),
        ("h.example", A, a("h.example", 60, [255, 255, 255, 255])),
        ("h.example", A, a("h.example", 60, [224, 0, 0, 1])),
        ("h.example", A, a("h.example", 60, [192, 0, 2, 1])),
        ("h.example", AAAA, aaaa("h.example", 60, 7)),
        ("zero.example", A, a("zero.example", 60, [0, 0, 0, 0])),
    ]);
    let resolver = resolver(&sys);
    let addresses = |host, ipv6| {
        let found = world.run(resolver.addresses(host, ipv6));
        found.map(|found| found.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    let all = ["192.0.2.2", "192.0.2.1", "2001:db8::7"];
    assert_eq!(addresses("h.example", true).expect("found"), all);
    assert_eq!(addresses("h.example", false).expect("found"), all[..2]);
    assert_eq!(addresses("192.0.2.9", false).expect("itself"), ["192.0.2.9"]);
    assert_eq!(addresses("2001:db8::9", false).expect("asked for"), ["2001:db8::9"]);
    assert_eq!(status(&addresses("zero.example", true).unwrap_err()), "4.4.4");
    assert_eq!(status(&addresses("gone.example", true).unwrap_err()), "4.4.4");
}

#[test]
fn neither_family_crowds_the_other_out() {
    let many = |asked: &Asked, fours: u8, sixes: u16| match asked.kind {
        A => (0..fours).map(|n| a("h.example", 60, [192, 0, 2, n])).collect(),
        _ => (1..=sixes).map(|n| aaaa("h.example", 60, n)).collect(),
    };
    for (fours, sixes, used) in [(40, 40, (8, 8)), (40, 1, (15, 1)), (1, 40, (1, 15))] {
        let (world, sys) = World::new(move |asked| Ok(vec![says(many(asked, fours, sixes))]));
        let found = world.run(resolver(&sys).addresses("h.example", true)).expect("found");
        let v4 = found.iter().filter(|address| address.is_ipv4()).count();
        assert_eq!((v4, found.len() - v4), used);
        assert_eq!(found.len(), limits::HOST_ADDRESSES);
    }
}

#[test]
fn one_family_is_enough_where_the_other_fails() {
    let (world, sys) = World::new(|asked| match asked.kind {
        A => Ok(vec![fails(2)]),
        _ => Ok(vec![says(vec![aaaa("h.example", 60, 1)])]),
    });
    let resolver = resolver(&sys);
    let found = world.run(resolver.addresses("h.example", true)).expect("found");
    assert_eq!(found.len(), 1);
    let trouble = world.run(resolver.addresses("h.example", false)).unwrap_err();
    assert_eq!((status(&trouble).as_str(), trouble.contact), ("4.4.3", false));
}

#[test]
fn a_truncated_answer_is_fetched_by_stream_in_any_pieces() {
    for stride in [1, 2, 7, 4096] {
        let (world, sys) = World::new(|asked| {
            let record = |n: u16| mx("x.example", 60, n, &format!("mail-{n}.example.org"));
            let answers = (0..60).map(record).collect();
            Ok(vec![if asked.by_stream {
                says(answers)
            } else {
                Says { truncated: true, ..Says::default() }
            }])
        });
        world.stride.set(stride);
        let found = world.run(resolver(&sys).exchangers("x.example", true)).expect("found");
        assert_eq!(found[0], "mail-0.example.org");
        assert_eq!(world.count(), 2);
    }
}

#[test]
fn a_stream_that_ends_early_or_is_cut_again_is_no_answer() {
    let (world, sys) = World::new(|asked| {
        let cut = Says { truncated: true, ..Says::default() };
        Ok(if asked.by_stream && asked.server.port() == 1 { vec![] } else { vec![cut] })
    });
    for server in ["192.0.2.53:1", "192.0.2.53:2"] {
        let resolver = Resolver::new(&sys, servers(&[server]));
        let trouble = world.run(resolver.exchangers("x.example", true)).unwrap_err();
        assert_eq!((status(&trouble).as_str(), trouble.contact), ("4.4.3", false));
    }
}

#[test]
fn strays_are_skipped_and_a_flood_of_them_is_evaded_by_stream() {
    let good = || says(vec![mx("x.example", 60, 1, "mx.example")]);
    for (strays, by_stream) in [(16, false), (17, true), (1000, true)] {
        let (world, sys) = World::new(move |asked| {
            let mut heard = Vec::new();
            if !asked.by_stream {
                let evil = says(vec![mx("x.example", 60, 1, "evil.example")]);
                heard.extend((0..strays).map(|n| Says {
                    wrong_id: n % 2 == 0,
                    wrong_question: n % 2 == 1,
                    ..evil.clone()
                }));
            }
            heard.push(good());
            Ok(heard)
        });
        let found = world.run(resolver(&sys).exchangers("x.example", true));
        assert_eq!(found, Ok(vec!["mx.example".into()]));
        let last = world.asked.borrow().last().cloned().expect("asked");
        assert_eq!(last.by_stream, by_stream, "{strays}");
    }
}

#[test]
fn an_old_server_is_asked_again_without_edns() {
    let (world, sys) = World::new(|asked| {
        let good = says(vec![mx("x.example", 60, 1, "mx.example")]);
        Ok(vec![if asked.has_edns { fails(1) } else { good }])
    });
    let found = world.run(resolver(&sys).exchangers("x.example", true));
    assert_eq!(found, Ok(vec!["mx.example".into()]));
}

#[test]
fn a_router_that_is_silent_about_edns_is_asked_again_without() {
    let (world, sys) = World::new(|asked| {
        let good = says(vec![mx("x.example", 60, 1, "mx.example")]);
        Ok(if asked.has_edns { vec![] } else { vec![good] })
    });
    let found = world.run(resolver(&sys).exchangers("x.example", true));
    assert_eq!(found, Ok(vec!["mx.example".into()]));
}

#[test]
fn the_next_server_is_asked_after_silence_refusal_or_an_error_and_stays_first() {
    let troubles: [fn() -> io::Result<Vec<Says>>; 4] = [
        || Ok(vec![]),
        || Ok(vec![fails(2)]),
        || Ok(vec![fails(REFUSED)]),
        || Err(io::ErrorKind::ConnectionRefused.into()),
    ];
    for trouble in troubles {
        let (world, sys) = World::new(move |asked| {
            if asked.server.to_string() == FIRST {
                return trouble();
            }
            Ok(vec![says(vec![mx(&asked.name, 60, 1, "mx.example")])])
        });
        let resolver = Resolver::new(&sys, servers(&[FIRST, SECOND]));
        assert!(world.run(resolver.exchangers("x.example", true)).is_ok());
        assert!(world.run(resolver.exchangers("y.example", true)).is_ok());
        let order: Vec<String> =
            world.asked.borrow().iter().map(|asked| asked.server.to_string()).collect();
        assert_eq!(order, [FIRST, SECOND, SECOND]);
    }
}

#[test]
fn silence_is_an_outage_within_the_bound_and_is_remembered_for_seconds() {
    let (world, sys) = World::new(|_| Ok(vec![]));
    let resolver = Resolver::new(&sys, servers(&[FIRST, SECOND, "192.0.2.55:53", "192.0.2.56:53"]));
    let start = sys.clock.now();
    let trouble = world.run(resolver.exchangers("x.example", true)).unwrap_err();
    assert_eq!((status(&trouble).as_str(), trouble.contact), ("4.4.3", false));
    assert_eq!(sys.clock.now().since(start).as_secs(), 21, "three servers, 2 s and 5 s each");
    assert_eq!(world.count(), 6);
    let again = world.run(resolver.exchangers("x.example", true)).unwrap_err();
    assert_eq!((again, world.count()), (trouble, 6));
    world.pass(6);
    assert!(world.run(resolver.exchangers("x.example", true)).is_err());
    assert_eq!(world.count(), 12);
}

#[test]
fn streams_that_hang_do_not_pass_the_bound_of_a_lookup() {
    let (world, sys) = World::new(|asked| {
        let cut = Says { truncated: true, ..Says::default() };
        Ok(if asked.by_stream { vec![] } else { vec![cut] })
    });
    world.hangs.set(true);
    let start = sys.clock.now();
    let resolver = Resolver::new(&sys, servers(&[FIRST, SECOND, "192.0.2.55:53"]));
    let trouble = world.run(resolver.exchangers("x.example", true)).unwrap_err();
    assert_eq!((status(&trouble).as_str(), trouble.contact), ("4.4.3", false));
    assert_eq!(sys.clock.now().since(start), limits::DNS_LOOKUP_WAIT, "not six times 5 s");
}

#[test]
fn without_a_name_server_the_trouble_says_so() {
    let (world, sys) = World::new(|_| Ok(vec![]));
    let resolver = Resolver::new(&sys, vec![]);
    let trouble = world.run(resolver.exchangers("x.example", true)).unwrap_err();
    assert!(trouble.outcome.text.contains("no name server is configured"), "{trouble:?}");
    assert!(!trouble.contact);
}

#[test]
fn an_answer_is_asked_for_once_until_its_ttl_has_passed() {
    let (world, sys) = serve(vec![("x.example", MX, mx("x.example", 60, 1, "mx.example"))]);
    let resolver = resolver(&sys);
    for (pass, count) in [(0, 1), (59, 1), (1, 2), (0, 2)] {
        world.pass(pass);
        assert!(world.run(resolver.exchangers("x.example", true)).is_ok());
        assert_eq!(world.count(), count);
    }
}

#[test]
fn no_is_remembered_too_and_proves_contact_only_while_fresh() {
    let (world, sys) = serve(vec![]);
    let resolver = resolver(&sys);
    for (pass, count, contact) in [(0, 1, true), (60, 1, true), (1, 1, false), (239, 2, true)] {
        world.pass(pass);
        let trouble = world.run(resolver.exchangers("gone.example", true)).unwrap_err();
        assert_eq!((world.count(), trouble.contact), (count, contact));
    }
}

#[test]
fn other_servers_are_asked_anew_and_the_same_are_not() {
    let (world, sys) = serve(vec![("x.example", MX, mx("x.example", 600, 1, "mx.example"))]);
    let resolver = resolver(&sys);
    for (list, count) in [(vec![FIRST], 1), (vec![SECOND], 2), (vec![SECOND], 2)] {
        resolver.set_servers(servers(&list), false);
        assert!(world.run(resolver.exchangers("x.example", true)).is_ok());
        assert_eq!(world.count(), count);
    }
}

#[test]
fn who_asks_the_same_at_once_waits_for_one_answer() {
    let (world, sys) = World::new(|asked| match asked.server.to_string().as_str() {
        FIRST => Ok(vec![]),
        _ => Ok(vec![says(vec![mx("x.example", 60, 1, "mx.example")])]),
    });
    let resolver = Resolver::new(&sys, servers(&[FIRST, SECOND]));
    let ask = || resolver.exchangers("x.example", true);
    let (one, (two, three)) = world.run(zip(ask(), zip(ask(), ask())));
    assert!(one.is_ok() && one == two && two == three);
    assert_eq!(world.count(), 2, "one question, of two servers");
    assert!(resolver.flights.borrow().is_empty());
}

#[test]
fn who_waits_asks_himself_where_the_other_gave_up() {
    let (world, sys) = World::new(|asked| match asked.server.to_string().as_str() {
        FIRST => Ok(vec![]),
        _ => Ok(vec![says(vec![mx("x.example", 60, 1, "mx.example")])]),
    });
    let resolver = Resolver::new(&sys, servers(&[FIRST, SECOND]));
    let impatient = sys.within(std::time::Duration::from_secs(1), async {
        resolver.exchangers("x.example", true).await.expect("not within a second");
    });
    let (gave_up, found) = world.run(zip(impatient, resolver.exchangers("x.example", true)));
    assert_eq!((gave_up, found), (None, Ok(vec!["mx.example".into()])));
}

#[test]
fn names_in_the_hosts_file_need_no_server() {
    let (world, sys) = World::new(|_| Ok(vec![fails(NXDOMAIN)]));
    let resolver = resolver(&sys);
    resolver.set_hosts("192.0.2.7 nas.lan nas\n2001:db8::7 nas\n2001:db8::8 six\n");
    let addresses = |host, ipv6| {
        let found = world.run(resolver.addresses(host, ipv6));
        found.map(|found| found.len())
    };
    assert_eq!(addresses("NAS", true), Ok(2));
    assert_eq!(addresses("nas", false), Ok(1));
    assert_eq!(addresses("localhost", true), Ok(2));
    assert_eq!(world.count(), 0);
    let found = world.run(resolver.exchangers("nas.lan", true));
    assert_eq!(found, Ok(vec!["nas.lan".into()]), "the domain itself, though DNS does not know it");
}

#[test]
fn who_knows_no_name_at_all_is_not_believed_that_there_is_none() {
    let root = || a("a.root-servers.net", 60, [198, 41, 0, 4]);
    let portal = || a("x.example", 60, [10, 0, 0, 1]);
    // What the root's server is said to have, and whether a bounce may follow.
    for (rcode, known, believed) in [
        (NXDOMAIN, Some(root()), true),
        (0, Some(root()), false),
        (NXDOMAIN, None, false),
        (0, None, false),
        (NXDOMAIN, Some(a("a.root-servers.net", 60, [10, 0, 0, 1])), false),
    ] {
        let (world, sys) = World::new(move |asked| {
            let root = known.clone().filter(|_| asked.name.ends_with("servers.net"));
            let denied = if root.is_none() { rcode } else { 0 };
            Ok(vec![Says { answers: root.into_iter().collect(), ..fails(denied) }])
        });
        let resolver = resolver(&sys);
        let trouble = world.run(resolver.exchangers("x.example", true)).expect_err("none");
        assert_eq!(status(&trouble), if believed { "5.1.2" } else { "4.4.3" });
        assert_eq!(trouble.contact, believed, "{trouble:?}");
    }
    // A portal has one address for all names.
    let (world, sys) = World::new(move |_| Ok(vec![says(vec![portal()])]));
    let heard = world.run(resolver(&sys).looks_out("x.example"));
    assert!(heard.expect_err("inside").contains("captive portal"));
    let (world, sys) = serve(vec![]);
    assert_eq!(world.run(resolver(&sys).looks_out("x.example")), Ok(()), "that is an answer");
    for rcode in [REFUSED, NXDOMAIN, 0] {
        let (world, sys) = World::new(move |_| Ok(vec![fails(rcode)]));
        assert!(world.run(resolver(&sys).looks_out("x.example")).is_err(), "{rcode}");
    }
    let (world, sys) = World::new(|_| Ok(vec![]));
    let before = world.now.get();
    assert!(world.run(resolver(&sys).looks_out("x.example")).is_err());
    assert!(world.now.get() - before <= 1000 * limits::PROBE_WAIT.as_secs());
}

#[test]
fn addresses_of_private_networks_and_of_this_machine_are_inside() {
    for (address, inside) in [
        ("10.1.2.3", true),
        ("172.16.0.1", true),
        ("172.32.0.1", false),
        ("192.168.1.1", true),
        ("127.7.0.2", true),
        ("100.64.0.1", true),
        ("100.128.0.1", false),
        ("169.254.1.1", true),
        ("0.0.0.0", true),
        ("198.41.0.4", false),
        ("::1", true),
        ("fd00::1", true),
        ("fe80::1", true),
        ("::ffff:10.0.0.1", true),
        ("2001:db8::1", false),
    ] {
        assert_eq!(is_inside(address.parse().expect("an address")), inside, "{address}");
    }
}
