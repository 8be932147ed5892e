//! What documents mean. The folder `tests/config` has the bad ones, each beside its problems.

use super::*;
use crate::{
    config::Pattern,
    proto::{mail::address::Address, oauth::Client},
};
use serde_json::json;

fn surroundings() -> Surroundings {
    Surroundings { hostname: "box.lan".to_string() }
}

fn read(value: &Value) -> Result<Config, Vec<Problem>> {
    Document::parse(&value.to_string()).expect("a document").config(&surroundings())
}

fn good(value: &Value) -> Config {
    read(value).expect("a good configuration")
}

/// The keys of all problems.
fn bad(value: &Value) -> Vec<String> {
    read(value).expect_err("a bad configuration").into_iter().map(|p| p.key).collect()
}

fn sockets(list: &[&str]) -> Vec<SocketAddr> {
    list.iter().map(|text| text.parse().expect("an address")).collect()
}

#[test]
fn nothing_at_all_is_a_configuration_on_loopback() {
    let config = good(&json!({}));
    assert_eq!(config.hostname, "box.lan");
    assert_eq!(config.listen.smtp, sockets(&["127.0.0.1:2525"]));
    assert_eq!(config.listen.submission, sockets(&["127.0.0.1:2587"]));
    assert_eq!(config.listen.submissions, []);
    assert_eq!(config.listen.web, sockets(&["127.0.0.1:8025"]));
    assert_eq!(
        (config.trusted, config.catch_all, config.tls, config.admin),
        (None, None, None, None)
    );
    assert_eq!((config.delivery_port, config.delivery_ipv6), (25, true));
    assert_eq!((config.dns_trusted, config.delivery_policies), (false, true));
    assert_eq!(config.maildir, "mail/{user}");
    let retry = Retry {
        first: Duration::from_mins(1),
        max: Duration::from_hours(4),
        lifetime: Duration::from_hours(120),
        warn_after: Duration::from_hours(4),
    };
    assert_eq!(config.retry, retry);
    let limits = Limits {
        message: 25 << 20,
        recipients: 100,
        sessions: 64,
        sessions_per_address: 16,
        bad_commands: 10,
        login_failures: 5,
        spool: 256 << 20,
    };
    assert_eq!(config.limits, limits);
}

#[test]
fn null_counts_as_missing_and_an_empty_list_as_none() {
    let nothing =
        json!({"catch_all": null, "listen": null, "retry": {"first": null}, "users": null});
    assert_eq!(read(&nothing), read(&json!({})));
    let quiet = good(&json!({"listen": {"submission": [], "web": []}, "trusted": []}));
    assert_eq!((quiet.listen.submission, quiet.listen.web), (vec![], vec![]));
    assert_eq!(
        quiet.listen.smtp,
        sockets(&["127.0.0.1:2525"]),
        "what is not named keeps its default"
    );
    assert_eq!(quiet.trusted, Some(vec![]));
}

#[test]
fn the_machines_name_is_used_only_where_it_is_one() {
    let named = |name: &str| {
        let surroundings = Surroundings { hostname: name.to_string() };
        Document::default().config(&surroundings).expect("every default is fine").hostname
    };
    assert_eq!(named("Router.Home.Arpa."), "router.home.arpa");
    assert_eq!(named("(none)"), "localhost");
    assert_eq!(named(""), "localhost");
}

#[test]
fn the_documents_of_the_design_and_of_the_benchmark_are_read() {
    let mut design: Value =
        serde_json::from_str(include_str!("../../tests/config/design.json")).expect("JSON");
    let config = good(&design);
    assert_eq!(config.users[0].quota, Some(256 << 20));
    assert_eq!(config.aliases[0].to, ["alice", "me@example.com"]);
    assert_eq!(config.catch_all.as_deref(), Some("alice"));
    assert_eq!(config.routes.len(), 2);
    assert_eq!(config.dns, sockets(&["127.0.0.1:53"]));
    design["routes"] = json!([]);
    assert!(good(&design).routes.is_empty());
    let bench = good(&json!({
        "hostname": "bench.test",
        "listen": {"smtp": ["127.0.0.1:2525"], "submission": [], "submissions": [], "web": []},
        "trusted": ["127.0.0.0/8"], "domains": ["bench.test", "sink.test"],
        "users": [{"name": "box"}], "catch_all": "box",
        "routes": [{"for": "*", "via": "127.0.0.1:2600", "tls": "none"}],
        "limits": {"message": "25M", "recipients": 100, "sessions": 600, "sessions_per_address": 600,
                   "bad_commands": 100, "spool": "512M"},
        "maildir": "/var/mail/{user}",
    }));
    assert_eq!(bench.domains, ["sink.test"], "the host name is not among them");
    assert_eq!(bench.users[0].password, None);
    assert_eq!(bench.limits.sessions, 600);
}

#[test]
fn every_example_of_the_table_is_allowed() {
    for setting in super::super::SETTINGS {
        let mut document =
            Document::parse(include_str!("../../tests/config/design.json")).expect("good");
        document.set_text("routes[0].user", "me").expect("a path");
        let path = setting.key.replace("[]", "[0]");
        let value = super::super::document::value(setting.example).expect("JSON");
        document.set(&path, value).expect("a path");
        if ["routes[].token", "routes[].oauth", "routes[].client_id", "routes[].client_secret"]
            .contains(&setting.key)
        {
            document.remove("routes[0].password");
        }
        if setting.key.starts_with("routes[].client_") {
            document.set_text("routes[0].oauth", "google").expect("a path");
        }
        if setting.key.starts_with("devices[].") && setting.key != "devices[].address" {
            document.set_text("devices[0].address", "10.0.0.1").expect("a path");
        }
        if setting.key.starts_with("tokens[].") {
            for (key, value) in [("name", "a".to_string()), ("sha256", "0".repeat(64))] {
                let path = format!("tokens[0].{key}");
                if document.get(&path).is_none() {
                    document.set(&path, json!(value)).expect("a path");
                }
            }
        }
        if setting.key.starts_with("push[].") {
            for (key, value) in [("name", "phone"), ("url", "https://ntfy.sh/x")] {
                let path = format!("push[0].{key}");
                if document.get(&path).is_none() {
                    document.set(&path, json!(value)).expect("a path");
                }
            }
        }
        if setting.key == "alerts" {
            document
                .set("push", json!([{"name": "phone", "url": "https://ntfy.sh/x"}]))
                .expect("a path");
        }
        if setting.key.starts_with("oauth[].") {
            for key in ["authorize", "token", "name", "scope"] {
                let path = format!("oauth[0].{key}");
                if document.get(&path).is_none() {
                    document.set_text(&path, "https://login.example.com").expect("a path");
                }
            }
            if setting.key != "oauth[].name" {
                document.set_text("oauth[0].name", "example").expect("a path");
            }
        }
        if let Some(other) = match setting.key {
            "routes[].oauth" | "routes[].client_secret" => Some("routes[0].client_id"),
            "tls.certificate" => Some("tls.key"),
            "tls.key" => Some("tls.certificate"),
            "signing[].domain" => Some("signing[0].selector"),
            "signing[].selector" => Some("signing[0].domain"),
            _ => None,
        } {
            document.set_text(other, "x").expect("a path");
        }
        assert_eq!(document.problems(&surroundings()), [], "{}", setting.key);
    }
}

#[test]
fn a_route_is_signed_as_it_says_and_keys_are_read_in_lower_case() {
    let config = good(&json!({
        "routes": [{"for": "*", "via": "smtp.example.com", "sign": true},
                   {"for": "example.org", "via": "mx", "sign": false}],
        "signing": [{"domain": "Example.ORG.", "selector": "A-rsa"},
                    {"domain": "example.org", "selector": "a-ed25519"},
                    {"domain": "example.net", "selector": "a-rsa"}],
    }));
    assert!(config.routes[0].sign && !config.routes[1].sign);
    let keys = config.signing.iter().map(|key| (key.domain.as_str(), key.selector.as_str()));
    let expected =
        [("example.org", "a-rsa"), ("example.org", "a-ed25519"), ("example.net", "a-rsa")];
    assert!(keys.eq(expected));
}

#[test]
fn routes_have_sensible_defaults() {
    let route = |via: &str| good(&json!({"routes": [{"for": "*", "via": via}]})).routes.remove(0);
    assert_eq!(route("mx").tls, TlsPolicy::May);
    assert_eq!(route("smtp.example.com").tls, TlsPolicy::Verify);
    assert_eq!(route("192.0.2.1:25").tls, TlsPolicy::May);
    assert_eq!(route("[2001:db8::1]:25").tls, TlsPolicy::May);
    assert!(route("mx").sign && !route("smtp.example.com").sign && !route("192.0.2.1").sign);
    let routes = good(&json!({"routes": [
        {"for": "Example.ORG", "via": "mx", "tls": "require"},
        {"for": "Me@Example.ORG", "via": "mx", "tls": "none"},
    ]}))
    .routes;
    let me = Address::parse("Me@example.org").expect("an address");
    assert_eq!(routes[0].pattern, Pattern::Domain("example.org".to_string()));
    assert_eq!((&routes[1].pattern, routes[1].tls), (&Pattern::Address(me), TlsPolicy::None));
}

#[test]
fn amounts_are_taken_at_their_bounds_and_not_past_them() {
    for setting in super::super::SETTINGS {
        let (Kind::Number { min, max } | Kind::Size { min, max } | Kind::Duration { min, max }) =
            setting.kind
        else {
            continue;
        };
        let time = matches!(setting.kind, Kind::Duration { .. });
        for (amount, fine) in [(min, true), (max, true), (min - 1, false), (max + 1, false)] {
            let mut document = Document::default();
            if setting.key.starts_with("users[]") {
                document.set_text("users[0].name", "a").expect("a path");
            }
            if setting.key.starts_with("devices[]") {
                document.set_text("devices[0].address", "10.0.0.1").expect("a path");
            }
            if setting.key.starts_with("routes[]") {
                document.set_text("routes[0].for", "*").expect("a path");
                document.set_text("routes[0].via", "smtp.example.com").expect("a path");
            }
            let value = if time { json!(format!("{amount}s")) } else { json!(amount) };
            // What depends on it, so that it alone decides.
            match setting.key {
                "retry.max" => document.set_text("retry.first", "1s").expect("a path"),
                "retry.first" => document.set_text("retry.max", "2d").expect("a path"),
                "limits.message" => document.set_text("limits.spool", "1G").expect("a path"),
                "limits.spool" => document.set_text("limits.message", "64K").expect("a path"),
                _ => {}
            }
            document.set(&setting.key.replace("[]", "[0]"), value).expect("a path");
            let problems = document.problems(&surroundings());
            assert_eq!(problems.is_empty(), fine, "{} {amount}: {problems:?}", setting.key);
        }
    }
}

/// A sign-in service of this name.
fn service(name: &str) -> Value {
    let at = |end: &str| format!("https://login.example.com/{end}");
    json!({"name": name, "authorize": at("auth"), "token": at("token"), "scope": "mail"})
}

#[test]
fn a_sign_in_takes_the_place_of_a_password() {
    let route = |more: Value| {
        let mut route = json!({"for": "*", "via": "smtp.example.com", "user": "me@example.com"});
        for (key, value) in more.as_object().expect("an object") {
            route[key] = value.clone();
        }
        json!({"routes": [route], "oauth": [service("Mine")]})
    };
    let secret = json!({"oauth": "mine", "client_id": "us", "client_secret": "s"});
    let mine = good(&route(secret)).routes.remove(0);
    let grant = mine.grant.expect("a grant");
    assert_eq!((mine.secret, grant.user.as_str()), (None, "me@example.com"));
    assert_eq!(grant.client, Client { id: "us".into(), secret: Some("s".into()) });
    assert_eq!(grant.provider.token.to_string(), "https://login.example.com/token");
    let built_in = good(&route(json!({"oauth": "Microsoft/example.org", "client_id": "us"})));
    let token = built_in.routes[0].grant.as_ref().map(|grant| grant.provider.token.to_string());
    let at = "https://login.microsoftonline.com/example.org/oauth2/v2.0/token";
    assert_eq!(token.as_deref(), Some(at));
    for (more, wrong) in [
        (json!({"oauth": "google"}), &["routes[0].client_id"][..]),
        (json!({"oauth": "nobody", "client_id": "us"}), &["routes[0].oauth"]),
        (json!({"oauth": "microsoft/", "client_id": "us"}), &["routes[0].oauth"]),
        (json!({"oauth": "google", "client_id": "us", "password": "p"}), &["routes[0].oauth"]),
        (json!({"oauth": "google", "client_id": "us", "token": "t"}), &["routes[0].oauth"]),
        (json!({"oauth": "google", "client_id": "us", "user": null}), &["routes[0].user"]),
        (json!({"password": "p", "client_id": "us"}), &["routes[0].client_id"]),
        (json!({"password": "p", "client_secret": "s"}), &["routes[0].client_secret"]),
        (json!({"oauth": "google", "client_id": "ü"}), &["routes[0].client_id"]),
    ] {
        assert_eq!(bad(&route(more.clone())), wrong, "{more}");
    }
    for length in [limits::CLIENT_BYTES, limits::CLIENT_BYTES + 1] {
        let document = route(json!({"oauth": "google", "client_id": "i".repeat(length)}));
        assert_eq!(read(&document).is_ok(), length == limits::CLIENT_BYTES, "{length}");
    }
}

#[test]
fn sign_in_services_are_elsewhere_and_have_names_of_their_own() {
    for (service, wrong) in [
        (json!({"name": "google"}), "oauth[0].name"),
        (json!({"name": "microsoft"}), "oauth[0].name"),
        (json!({"name": "a b"}), "oauth[0].name"),
        (json!({"token": "http://login.example.com/"}), "oauth[0].token"),
        (json!({"authorize": "login.example.com"}), "oauth[0].authorize"),
        (json!({"device": "ftp://login.example.com"}), "oauth[0].device"),
        (json!({"scope": ""}), "oauth[0].scope"),
        (json!({"scope": null}), "oauth[0].scope"),
    ] {
        let mut whole = self::service("mine");
        for (key, value) in service.as_object().expect("an object") {
            whole[key] = value.clone();
        }
        assert_eq!(bad(&json!({"oauth": [whole]})), [wrong], "{service}");
    }
    assert_eq!(bad(&json!({"oauth": [service("a"), service("A")]})), ["oauth[1].name"]);
}

#[test]
fn lists_are_taken_at_their_bounds_and_not_past_them() {
    type Item = fn(usize) -> Value;
    let lists: [(&str, usize, Item); 10] = [
        ("listen.smtp", limits::LISTEN, |n| json!(format!("127.0.0.1:{}", 3000 + n))),
        ("trusted", limits::TRUSTED, |n| json!(format!("10.0.{n}.0/24"))),
        ("domains", limits::DOMAINS, |n| json!(format!("d{n}.example"))),
        ("users", limits::USERS, |n| json!({"name": format!("u{n}")})),
        ("aliases", limits::ALIASES, |n| json!({"from": format!("a{n}"), "to": ["x@example.com"]})),
        ("routes", limits::ROUTES, |n| json!({"for": format!("d{n}.example"), "via": "mx"})),
        ("oauth", limits::SIGN_IN_SERVICES, |n| service(&format!("s{n}"))),
        ("dns", limits::NAME_SERVERS, |n| json!(format!("192.0.2.{n}"))),
        ("users[0].send_as", limits::SEND_AS, |n| json!(format!("u{n}@example.com"))),
        ("aliases[0].to", limits::ALIAS_TARGETS, |n| json!(format!("u{n}@example.com"))),
    ];
    for (key, most, item) in lists {
        for (length, fine) in [(most, true), (most + 1, false)] {
            let mut document = Document::default();
            if key.starts_with("users[0]") {
                document.set_text("users[0].name", "a").expect("a path");
            } else if key.starts_with("aliases[0]") {
                document.set_text("aliases[0].from", "a").expect("a path");
            }
            document.set(key, (0..length).map(item).collect()).expect("a path");
            let problems = document.problems(&surroundings());
            assert_eq!(problems.is_empty(), fine, "{length} {key}: {problems:?}");
        }
    }
}

#[test]
fn problems_are_bounded_and_the_rest_counted() {
    let users = |n: usize| json!({"users": vec![json!({"name": "!"}); n]});
    assert_eq!(bad(&users(limits::CONFIG_PROBLEMS)).len(), limits::CONFIG_PROBLEMS);
    let problems = read(&users(limits::CONFIG_PROBLEMS + 1)).expect_err("bad");
    assert_eq!(problems.len(), limits::CONFIG_PROBLEMS + 1);
    assert_eq!(problems.last().map(|p| p.found.as_str()), Some("1 more problems"));
}

#[test]
fn passwords_in_clear_are_refused_only_where_hashes_must_be() {
    let clear =
        json!({"users": [{"name": "a", "password": "hunter2"}], "admin": {"password": "hunter2"}});
    assert_eq!(bad(&clear), ["users[0].password", "admin.password"]);
    let document = Document::parse(&clear.to_string()).expect("a document");
    assert_eq!(document.problems(&surroundings()), []);
}

#[test]
fn no_problem_ever_shows_a_secret() {
    let long = "hunter2".repeat(200);
    let users =
        [json!("hunter2\n"), json!(["hunter2"]), json!({"hunter2": "hunter2"}), json!(long)];
    for password in users {
        let everywhere = json!({
            "users": [{"name": "a", "password": password}],
            "routes": [{"for": "*", "via": "smtp.example.com", "user": "u", "password": password},
                       {"for": "*", "via": "u:hunter2@smtp.example.com"}],
            "admin": {"password": password},
            "secret": password,
        });
        let problems = read(&everywhere).expect_err("bad");
        assert!(problems.len() >= 5, "{problems:?}");
        assert!(problems.iter().all(|p| !p.to_string().contains("hunter2")), "{problems:?}");
    }
    assert_eq!(bad(&json!({"users": "hunter2", "admin": "hunter2"})), ["admin", "users"]);
}

#[test]
fn an_alias_that_names_its_own_user_is_a_copy_and_no_circle() {
    let copy = json!({"users": [{"name": "alice"}],
                      "aliases": [{"from": "alice", "to": ["alice", "me@example.com"]}]});
    assert_eq!(good(&copy).aliases.len(), 1);
    let round = json!({"users": [{"name": "alice"}],
                       "aliases": [{"from": "alice", "to": ["bob"]}, {"from": "bob", "to": ["alice"]}]});
    assert_eq!(bad(&round), ["aliases[1]"], "bob leads to alice, alice to bob, and bob is nobody");
}

#[test]
fn a_target_may_be_caught_by_its_domain_but_not_by_the_catch_all() {
    let to = |target: &str| {
        json!({"hostname": "box.lan", "domains": ["home.arpa"], "users": [{"name": "alice"}],
               "aliases": [{"from": "@home.arpa", "to": ["alice"]}, {"from": "root", "to": [target]}],
               "catch_all": "alice"})
    };
    for fine in [
        "alice",
        "Alice+x@box.lan",
        "anybody@home.arpa",
        "anybody",
        "postmaster@box.lan",
        "a@example.com",
    ] {
        assert_eq!(good(&to(fine)).aliases.len(), 2, "{fine}");
    }
    assert_eq!(bad(&to("anybody@box.lan")), ["aliases[1].to[0]"]);
}

#[test]
fn aliases_may_chain_up_to_their_bound() {
    let chain = |n: usize| {
        let mut aliases: Vec<Value> = (1..n)
            .map(|i| json!({"from": format!("a{i}"), "to": [format!("a{}", i + 1)]}))
            .collect();
        aliases.push(json!({"from": format!("a{n}"), "to": ["box@example.com"]}));
        json!({ "aliases": aliases })
    };
    assert_eq!(good(&chain(limits::ALIAS_DEPTH)).aliases.len(), limits::ALIAS_DEPTH);
    assert_eq!(bad(&chain(limits::ALIAS_DEPTH + 1)), ["aliases[0]"]);
}

#[test]
fn a_thousand_tangled_aliases_are_judged_quickly() {
    let to = |n: usize| {
        (1..=30).map(|i| json!(format!("a{}", (n * 7 + i * 13) % 1000))).collect::<Vec<_>>()
    };
    let aliases: Vec<_> =
        (0..1000).map(|n| json!({"from": format!("a{n}"), "to": to(n)})).collect();
    assert!(
        bad(&json!({ "aliases": aliases }))
            .iter()
            .all(|key| key.starts_with("aliases") || key.is_empty())
    );
}

#[test]
fn routes_ask_who_sends_and_name_senders_that_are_taken() {
    let with = |more: Value| {
        let mut route = json!({"for": "*", "via": "smtp.example.com"});
        for (key, value) in more.as_object().expect("an object") {
            route[key] = value.clone();
        }
        json!({ "routes": [route] })
    };
    let one = |more| good(&with(more)).routes.remove(0);
    let network = |text: &str| values::network(text).map(crate::config::Client::Network);
    for (text, client) in [
        ("192.168.1.20", network("192.168.1.20/32")),
        ("192.168.1.0/24", network("192.168.1.0/24")),
        ("fd00::7", network("fd00::7/128")),
        ("Alice", Some(crate::config::Client::User("alice".into()))),
    ] {
        assert_eq!(one(json!({ "client": text })).client, client, "{text}");
    }
    assert_eq!(one(json!({})).from, Pattern::Any);
    assert_eq!(one(json!({"from": "Home.arpa"})).from, Pattern::Domain("home.arpa".into()));
    let senders = one(json!({"senders": ["Me@gmail.com", "*@example.org"]})).senders;
    assert_eq!(*senders, ["Me@gmail.com", "*@example.org"].map(String::from));
    assert_eq!(one(json!({"via": "discard"})).via, Via::Discard);
    for (more, wrong) in [
        (json!({"client": "192.168.1.0/33"}), "routes[0].client"),
        (json!({"client": "a b"}), "routes[0].client"),
        (json!({"from": "@x"}), "routes[0].from"),
        (json!({"senders": ["*@example.org", "me@gmail.com"]}), "routes[0].senders[0]"),
        (json!({"senders": ["*"]}), "routes[0].senders[0]"),
        (json!({"senders": ["me"]}), "routes[0].senders[0]"),
        (json!({"via": "discard", "user": "me", "password": "p"}), "routes[0].user"),
    ] {
        assert_eq!(bad(&with(more.clone())), [wrong], "{more}");
    }
    for length in [limits::SEND_AS, limits::SEND_AS + 1] {
        let senders: Vec<String> = (0..length).map(|n| format!("u{n}@example.com")).collect();
        let document = with(json!({ "senders": senders }));
        assert_eq!(read(&document).is_ok(), length == limits::SEND_AS);
    }
}

#[test]
fn a_provider_brings_what_a_route_need_not_say() {
    let route = |more: Value| {
        let mut route =
            json!({"for": "*", "provider": "gmail", "user": "Me@gmail.com", "password": "p"});
        for (key, value) in more.as_object().expect("an object") {
            route[key] = value.clone();
        }
        json!({ "routes": [route] })
    };
    let one = |more| good(&route(more)).routes.remove(0);
    let gmail = one(json!({}));
    assert_eq!(gmail.via, Via::Smarthost("smtp.gmail.com".into(), 587));
    assert_eq!((gmail.tls, gmail.pace.per_day, gmail.sign), (TlsPolicy::Verify, Some(500), false));
    assert_eq!(*gmail.senders, ["Me@gmail.com".to_string()]);
    let own = json!({"via": "127.0.0.1:2525", "per_day": 7, "senders": ["you@gmail.com"]});
    let own = one(own);
    assert_eq!(own.via, Via::Smarthost("127.0.0.1".into(), 2525));
    assert_eq!((own.pace.per_day, &*own.senders), (Some(7), &["you@gmail.com".to_string()][..]));
    assert!(one(json!({"senders": []})).senders.is_empty(), "a person may know better");
    assert!(one(json!({"provider": "sendgrid", "user": "apikey"})).senders.is_empty());
    let ses = json!({"provider": "amazon-ses"});
    assert_eq!(bad(&route(ses)), ["routes[0].via"]);
    assert_eq!(bad(&route(json!({"provider": "gogle"}))), ["routes[0].provider", "routes[0].via"]);
    assert_eq!(bad(&json!({"routes": [{"for": "*"}]})), ["routes[0].via"]);
}

#[test]
fn a_certificate_is_pinned_by_its_key_or_its_fingerprint() {
    let with = |pins: Value| json!({"routes": [{"for": "*", "via": "nas.lan", "pins": pins}]});
    let key = format!("sha256/{}=", "A".repeat(43));
    let (dense, colons) = ("0a".repeat(32), vec!["0A"; 32].join(":"));
    let pins = good(&with(json!([key, dense, colons]))).routes.remove(0).pins;
    let expected = [(true, [0; 32]), (false, [10; 32]), (false, [10; 32])];
    assert_eq!(*pins, expected.map(|(key, sha256)| crate::config::Pin { key, sha256 }));
    for wrong in ["", "sha256/", "sha256/AAAA", &"0a".repeat(31), &"0g".repeat(32), "+a"] {
        assert_eq!(bad(&with(json!([wrong]))), ["routes[0].pins[0]"], "{wrong}");
    }
    for count in [limits::PINS, limits::PINS + 1] {
        assert_eq!(read(&with(json!(vec![&key; count]))).is_ok(), count == limits::PINS);
    }
    let mx = json!({"routes": [{"for": "*", "via": "mx", "pins": [key]}]});
    assert_eq!(bad(&mx), ["routes[0].pins"], "anybody may be at the other end");
    let route = |ip: &str| json!({"routes": [{"for": "*", "via": "nas.lan", "ip": ip}]});
    assert_eq!(good(&route("6")).routes[0].family, Family::V6);
    let ours = |text: &str| Family::From(text.parse().expect("an address"));
    assert_eq!(good(&route("192.0.2.7")).routes[0].family, ours("192.0.2.7"));
    assert_eq!(good(&route("2001:db8::7")).routes[0].family, ours("2001:db8::7"));
    for wrong in ["5", "", "0.0.0.0", "::", "224.0.0.1", "192.0.2.7/32", "nas.lan"] {
        assert_eq!(bad(&route(wrong)), ["routes[0].ip"], "{wrong}");
    }
}
