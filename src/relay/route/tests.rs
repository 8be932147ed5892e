//! The way of a recipient.

use super::*;
use crate::{
    config::{Alias, Limits, Listen, Retry, User},
    proto::sasl::Secret,
};
use std::time::Duration;

pub(in crate::relay) fn address(text: &str) -> Address {
    Address::parse(text).unwrap_or_else(|why| panic!("{text}: {why}"))
}

pub(in crate::relay) fn user(name: &str, send_as: &[&str]) -> User {
    let send_as = send_as.iter().map(ToString::to_string).collect();
    User { name: name.into(), password: None, quota: None, send_as }
}

pub(in crate::relay) fn alias(from: &str, to: &[&str]) -> Alias {
    Alias { from: from.into(), to: to.iter().map(ToString::to_string).collect() }
}

/// `home.arpa` and `relay.home.arpa` with the users alice and bob.
pub(in crate::relay) fn config() -> Config {
    Config {
        hostname: "relay.home.arpa".into(),
        listen: Listen { smtp: vec![], submission: vec![], submissions: vec![], web: vec![] },
        trusted: None,
        devices: vec![],
        domains: vec!["home.arpa".into(), "exämple.org".into()],
        users: vec![user("alice", &[]), user("bob", &[])],
        aliases: vec![],
        catch_all: None,
        owner: None,
        masquerade: None,
        srs: true,
        push: vec![],
        alerts: None,
        routes: vec![],
        signing: Vec::new(),
        dns: vec![],
        delivery_port: 25,
        delivery_ipv6: true,
        delivery_policies: true,
        dns_trusted: false,
        retry: Retry {
            first: Duration::from_mins(1),
            max: Duration::from_hours(4),
            lifetime: Duration::from_hours(120),
            warn_after: Duration::from_hours(4),
        },
        limits: Limits {
            message: 25 << 20,
            recipients: 100,
            sessions: 64,
            sessions_per_address: 16,
            bad_commands: 10,
            login_failures: 5,
            spool: 256 << 20,
        },
        maildir: "mail/{user}".into(),
        tls: None,
        authorities: None,
        admin: None,
        tokens: vec![],
    }
}

fn via(pattern: Pattern, host: &str) -> Route {
    let via = Via::Smarthost(host.into(), 587);
    Route {
        pattern,
        from: Pattern::Any,
        client: None,
        via,
        tls: TlsPolicy::Verify,
        user: None,
        secret: None,
        grant: None,
        senders: Rc::default(),
        pins: Rc::default(),
        family: Family::Both,
        pace: Pace::default(),
        sign: false,
    }
}

fn smarthost(hop: Hop) -> String {
    match hop {
        Hop::Remote(Destination { next: NextHop::Smarthost(host, _), .. }) => host,
        other => panic!("{other:?}"),
    }
}

#[test]
fn users_of_our_domains_are_local_in_any_spelling() {
    let config = config();
    let alice = Hop::Local("alice".into());
    for ours in [
        "alice@home.arpa",
        "Alice@HOME.arpa.",
        "\"alice\"@home.arpa",
        "\"al\\ice\"@home.arpa",
        "alice+list+x@relay.home.arpa",
        "alice@localhost",
        "alice@exämple.org",
        "alice@xn--exmple-cua.org",
        "alice",
    ] {
        assert_eq!(route(&config, &Whence::default(), &address(ours)), alice, "{ours}");
    }
}

#[test]
fn nobody_of_our_domains_is_unknown_and_never_routed() {
    let mut config = config();
    config.routes = vec![via(Pattern::Any, "smart.example")];
    for nobody in [
        "carol@home.arpa",
        "+alice@home.arpa",
        "alice%example.org@home.arpa",
        "example.org!alice@home.arpa",
        "\"alice@example.org\"@home.arpa",
        "\"alice \"@home.arpa",
        "carol",
    ] {
        assert_eq!(route(&config, &Whence::default(), &address(nobody)), Hop::Unknown, "{nobody}");
    }
}

#[test]
fn without_a_route_mail_goes_by_mx_encrypted_where_offered() {
    for to in ["x@Example.org", "x@example.org."] {
        let Hop::Remote(destination) = route(&config(), &Whence::default(), &address(to)) else {
            panic!("{to}")
        };
        let next = NextHop::Mx("example.org".into());
        let tls = TlsPolicy::May;
        let expected = Destination { sign: true, ..Destination::new(next, tls) };
        assert_eq!(destination, expected);
    }
}

#[test]
fn the_most_specific_routes_win_and_the_first_of_them_is_the_way() {
    let mut config = config();
    config.routes = vec![
        via(Pattern::Any, "any1.example"),
        via(Pattern::Any, "any2.example"),
        via(Pattern::Domain("example.org".into()), "domain1.example"),
        via(Pattern::Domain("example.org".into()), "domain2.example"),
        via(Pattern::Address(address("Me@example.org")), "address1.example"),
        via(Pattern::Address(address("me@example.org")), "address2.example"),
    ];
    let hop = |to| smarthost(route(&config, &Whence::default(), &address(to)));
    assert_eq!(hop("me@EXAMPLE.org"), "address1.example");
    assert_eq!(hop("ME@example.org."), "address1.example");
    assert_eq!(hop("you@example.org"), "domain1.example");
    assert_eq!(hop("me@sub.example.org"), "any1.example", "a domain is that domain alone");
    assert_eq!(hop("me@[192.0.2.1]"), "any1.example");
}

#[test]
fn routes_that_match_equally_well_are_ways_in_their_order() {
    let mut config = config();
    let named = |n: usize| via(Pattern::Any, &format!("way{n}.example"));
    config.routes = (0..=limits::WAYS).map(named).collect();
    config.routes.insert(1, via(Pattern::Domain("example.net".into()), "net.example"));
    config.routes[2].via = Via::Mx;
    let ways = |to: &str| {
        let Hop::Remote(first) = route(&config, &Whence::default(), &address(to)) else {
            panic!("{to}")
        };
        let all = std::iter::successors(Some(&first), |way| way.otherwise.as_deref());
        all.map(|way| way.next.clone()).collect::<Vec<_>>()
    };
    let smart = |name: &str| NextHop::Smarthost(name.into(), 587);
    let (second, third) = (NextHop::Mx("example.org".into()), smart("way2.example"));
    let expected = [smart("way0.example"), second, third, smart("way3.example")];
    assert_eq!(ways("x@example.org"), expected, "and no more than four");
    assert_eq!(ways("x@example.net"), [smart("net.example")], "a narrower route is all there is");
}

#[test]
fn an_exception_from_the_smarthost_goes_by_mx() {
    let mut config = config();
    let mut exception = via(Pattern::Domain("example.org".into()), "");
    exception.via = Via::Mx;
    exception.tls = TlsPolicy::Require;
    exception.user = Some("me".into());
    exception.secret = Some(Secret::Password("secret".into()));
    config.routes = vec![via(Pattern::Any, "smart.example"), exception];
    let next = NextHop::Mx("example.org".into());
    let tls = TlsPolicy::Require;
    let expected = Destination::new(next, tls);
    assert_eq!(
        route(&config, &Whence::default(), &address("x@example.org")),
        Hop::Remote(expected)
    );
}

#[test]
fn a_login_goes_along_and_in_clear_only_where_the_route_has_no_tls() {
    let mut config = config();
    let mut smart = via(Pattern::Any, "smart.example");
    smart.user = Some("me".into());
    smart.secret = Some(Secret::Password("secret".into()));
    for (tls, in_clear) in [
        (TlsPolicy::Verify, false),
        (TlsPolicy::Require, false),
        (TlsPolicy::May, false),
        (TlsPolicy::None, true),
    ] {
        smart.tls = tls;
        config.routes = vec![smart.clone()];
        let Hop::Remote(destination) =
            route(&config, &Whence::default(), &address("x@example.org"))
        else {
            panic!()
        };
        let login =
            Login { user: "me".into(), secret: Secret::Password("secret".into()), in_clear };
        assert_eq!((destination.tls, destination.login), (tls, Some(login)));
    }
}

#[test]
fn what_goes_to_a_program_on_this_machine_needs_no_tls() {
    let mut config = config();
    for (host, in_clear) in [
        ("127.0.0.1", true),
        ("127.9.0.1", true),
        ("::1", true),
        ("::ffff:127.0.0.1", true),
        ("192.168.1.2", false),
        ("::2", false),
        ("localhost", false),
        ("127.example", false),
    ] {
        let mut local = via(Pattern::Any, host);
        local.tls = TlsPolicy::May;
        local.user = Some("me".into());
        local.secret = Some(Secret::Token("secret".into()));
        config.routes = vec![local];
        let Hop::Remote(destination) =
            route(&config, &Whence::default(), &address("x@example.org"))
        else {
            panic!()
        };
        assert_eq!(destination.login.map(|login| login.in_clear), Some(in_clear), "{host}");
    }
}

#[test]
fn an_address_literal_is_its_own_exchanger() {
    let mut config = config();
    config.delivery_port = 2526;
    for (to, host) in [("x@[192.0.2.1]", "192.0.2.1"), ("x@[IPv6:2001:db8::1]", "2001:db8::1")] {
        let Hop::Remote(destination) = route(&config, &Whence::default(), &address(to)) else {
            panic!("{to}")
        };
        assert_eq!(destination.next, NextHop::Smarthost(host.into(), 2526));
        assert_eq!(destination.tls, TlsPolicy::May);
    }
}

#[test]
fn equal_destinations_share_their_hash() {
    let hash = |destination: &Destination| {
        let mut state = std::hash::DefaultHasher::new();
        destination.hash(&mut state);
        state.finish()
    };
    let next = NextHop::Smarthost("smart.example".into(), 587);
    let login =
        Login { user: "me".into(), secret: Secret::Password("secret".into()), in_clear: false };
    let (tls, login) = (TlsPolicy::Verify, Some(login));
    let one = Destination { login, ..Destination::new(next, tls) };
    assert_eq!(hash(&one), hash(&one.clone()));
    assert_ne!(hash(&one), hash(&Destination { tls: TlsPolicy::May, ..one.clone() }));
}

#[test]
fn of_routes_for_the_same_recipients_the_one_for_its_sender_or_device_wins() {
    let mut config = config();
    let route_to = |host: &str, from: &str, client: Option<Client>| {
        let from = match from.split_once('@') {
            Some(_) => Pattern::Address(address(from)),
            None if from == "*" => Pattern::Any,
            None => Pattern::Domain(from.into()),
        };
        Route { from, client, ..via(Pattern::Any, host) }
    };
    let network = |text: &str, bits| {
        Client::Network(crate::config::Network { address: text.parse().expect("an IP"), bits })
    };
    config.routes = vec![
        route_to("any.example", "*", None),
        route_to("wide.example", "*", Some(network("192.168.1.0", 24))),
        route_to("device.example", "*", Some(network("192.168.1.20", 32))),
        route_to("user.example", "*", Some(Client::User("alice".into()))),
        route_to("domain.example", "home.arpa", None),
        route_to("sender.example", "cam@home.arpa", None),
        Route {
            pattern: Pattern::Domain("special.example".into()),
            ..via(Pattern::Any, "to.example")
        },
    ];
    let alice = "alice".to_string();
    for (from, user, peer, to, expected) in [
        ("x@y.example", None, None, "a@b.example", "any.example"),
        ("x@y.example", None, Some("192.168.2.1"), "a@b.example", "any.example"),
        ("x@y.example", None, Some("192.168.1.9"), "a@b.example", "wide.example"),
        ("x@y.example", None, Some("192.168.1.20"), "a@b.example", "device.example"),
        ("x@y.example", Some(&alice), Some("192.168.1.20"), "a@b.example", "user.example"),
        ("x@HOME.arpa", None, Some("192.168.1.20"), "a@b.example", "domain.example"),
        ("Cam@home.arpa", None, None, "a@b.example", "sender.example"),
        ("x@sub.home.arpa", None, None, "a@b.example", "any.example"),
        ("", None, None, "a@b.example", "any.example"),
        ("Cam@home.arpa", Some(&alice), None, "a@special.example", "to.example"),
    ] {
        let sender = Address::parse(from).ok();
        let peer = peer.map(|ip| ip.parse().expect("an IP"));
        let whence = Whence { from: sender.as_ref(), user, peer };
        let way = smarthost(route(&config, &whence, &address(to)));
        assert_eq!(way, expected, "{from} {user:?} {peer:?} {to}");
    }
}

#[test]
fn what_is_to_be_discarded_goes_nowhere_and_a_second_way_is_never_that() {
    let mut config = config();
    let discard = |pattern| Route { via: Via::Discard, ..via(pattern, "x") };
    let there = Pattern::Domain("tests.example".into());
    config.routes = vec![via(Pattern::Any, "smart.example"), discard(there.clone())];
    let way = |config: &Config| route(config, &Whence::default(), &address("a@tests.example"));
    assert_eq!(way(&config), Hop::Discard);
    config.routes.insert(1, via(there, "first.example"));
    let Hop::Remote(first) = way(&config) else { panic!("the first way is taken") };
    assert_eq!(first.otherwise, None, "mail that waits is not thrown away");
    config.routes.clear();
    config.routes.push(discard(Pattern::Any));
    let ours = route(&config, &Whence::default(), &address("alice@home.arpa"));
    assert_eq!(ours, Hop::Local("alice".into()), "what is for us is not sent at all");
}
