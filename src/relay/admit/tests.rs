//! Who may send what to whom.

use super::*;
use crate::{
    chance::Chance,
    limits,
    relay::route::{
        Hop, Whence, route,
        tests::{address, alias, config, user},
    },
};

fn policy(config: Config) -> Policy {
    Policy::new(Rc::new(config), vec![], vec![])
}

fn stranger() -> Who {
    Who { peer: Some("192.0.2.9".parse().unwrap()), user: None, trusted: false }
}

fn trusted() -> Who {
    Who { trusted: true, ..stranger() }
}

fn login(user: &str) -> Who {
    Who { user: Some(user.into()), ..stranger() }
}

/// Where mail for `to` goes, or the code and status of the refusal.
fn rcpt(policy: &Policy, who: &Who, to: &str) -> Result<Vec<String>, String> {
    let said = policy.rcpt(who, &address(to));
    said.map(|targets| targets.iter().map(|target| target.to.to_string()).collect())
        .map_err(|refusal| format!("{} {}", refusal.reply.code(), refusal.reply.status()))
}

fn mail(policy: &Policy, who: &Who, from: &str) -> Result<String, String> {
    let said = policy.mail(who, Some(&address(from)));
    said.map(|from| from.expect("not null").to_string())
        .map_err(|refusal| format!("{} {}", refusal.reply.code(), refusal.reply.status()))
}

#[expect(clippy::unnecessary_wraps, reason = "it is compared with results")]
fn to(ends: &[&str]) -> Result<Vec<String>, String> {
    Ok(ends.iter().map(ToString::to_string).collect())
}

/// Aliases of every kind.
fn household() -> Config {
    let mut config = config();
    config.aliases = vec![
        alias("root", &["admins", "me@example.com"]),
        alias("admins", &["alice", "bob"]),
        alias("info@home.arpa", &["bob"]),
        alias("alice", &["alice", "alice@example.com"]),
        alias("@relay.home.arpa", &["bob+relay"]),
        alias("\"odd name\"", &["bob"]),
    ];
    config
}

#[test]
fn everybody_may_send_to_who_is_here() {
    let policy = policy(household());
    for who in [stranger(), trusted(), login("bob")] {
        let ends = |to| rcpt(&policy, &who, to);
        assert_eq!(ends("bob@home.arpa"), to(&["bob@home.arpa"]));
        assert_eq!(ends("Bob+Lists@HOME.arpa"), to(&["Bob+Lists@home.arpa"]));
        assert_eq!(ends("\"bob\"@localhost"), to(&["\"bob\"@localhost"]));
        assert_eq!(ends("bob@xn--exmple-cua.org"), to(&["bob@xn--exmple-cua.org"]));
        assert_eq!(ends("nobody@home.arpa"), Err("550 5.1.1".into()));
        assert_eq!(ends("+bob@home.arpa"), Err("550 5.1.1".into()));
    }
}

#[test]
fn aliases_lead_to_all_their_ends_in_order_and_once() {
    let policy = policy(household());
    let ends = |to| rcpt(&policy, &stranger(), to);
    let first = "alice@home.arpa";
    let root = to(&[first, "alice@example.com", "bob@home.arpa", "me@example.com"]);
    assert_eq!(ends("root@home.arpa"), root);
    assert_eq!(ends("ROOT+cron@localhost"), root, "a tag is for who has it");
    assert_eq!(ends("\"Odd Name\"@home.arpa"), to(&["bob@home.arpa"]));
}

#[test]
fn the_alias_of_an_address_comes_before_that_of_a_name_and_the_domains_last() {
    let mut config = household();
    config.aliases.push(alias("bob@home.arpa", &["b@example.com"]));
    config.aliases.push(alias("sales+eu", &["eu@example.com"]));
    config.aliases.push(alias("sales", &["all@example.com"]));
    let policy = policy(config);
    let ends = |to| rcpt(&policy, &stranger(), to);
    assert_eq!(ends("bob@home.arpa"), to(&["b@example.com"]));
    assert_eq!(ends("bob+x@home.arpa"), to(&["b@example.com"]));
    assert_eq!(ends("bob@localhost"), to(&["bob@localhost"]));
    assert_eq!(ends("info@home.arpa"), to(&["b@example.com"]));
    assert_eq!(ends("info@exämple.org"), Err("550 5.1.1".into()));
    assert_eq!(ends("anybody@relay.home.arpa"), to(&["b@example.com"]));
    assert_eq!(ends("bob@relay.home.arpa"), to(&["bob@relay.home.arpa"]), "users come before");
    assert_eq!(ends("sales+eu@home.arpa"), to(&["eu@example.com"]));
    assert_eq!(ends("sales+us@home.arpa"), to(&["all@example.com"]));
}

#[test]
fn an_alias_that_comes_back_means_the_user_and_else_is_a_knot() {
    let mut config = household();
    config.aliases.push(alias("a", &["b"]));
    config.aliases.push(alias("b", &["c", "a"]));
    config.aliases.push(alias("c", &["a"]));
    config.aliases.push(alias("bob", &["carol"]));
    config.aliases.push(alias("carol", &["bob"]));
    config.aliases.push(alias("dead", &["nobody"]));
    config.aliases.push(alias("half", &["nobody", "x@example.com"]));
    let policy = policy(config);
    let ends = |to| rcpt(&policy, &stranger(), to);
    assert_eq!(ends("alice@home.arpa"), to(&["alice@home.arpa", "alice@example.com"]));
    assert_eq!(ends("bob@home.arpa"), to(&["bob@home.arpa"]));
    assert_eq!(ends("a@home.arpa"), Err("451 4.3.5".into()));
    assert_eq!(ends("dead@home.arpa"), Err("451 4.3.5".into()));
    assert_eq!(ends("half@home.arpa"), to(&["x@example.com"]));
}

#[test]
fn chains_and_fans_of_aliases_have_their_bounds() {
    let chain = |links: usize| {
        let mut config = config();
        let link = |n: usize| alias(&format!("a{n}"), &[&format!("a{}", n + 1)]);
        config.aliases = (1..links).map(link).collect();
        config.aliases.push(alias(&format!("a{links}"), &["bob"]));
        rcpt(&policy(config), &stranger(), "a1@home.arpa")
    };
    assert_eq!(chain(limits::ALIAS_DEPTH), to(&["bob@home.arpa"]));
    assert_eq!(chain(limits::ALIAS_DEPTH + 1), Err("451 4.3.5".into()));
    let fan = |width: usize| {
        let mut config = config();
        let targets: Vec<String> = (0..width).map(|n| format!("x{n}@example.com")).collect();
        let targets: Vec<&str> = targets.iter().map(String::as_str).collect();
        config.aliases = vec![alias("all", &["one", "two"]), alias("one", &targets[1..])];
        config.aliases.push(alias("two", &targets[..1]));
        rcpt(&policy(config), &stranger(), "all@home.arpa").map(|ends| ends.len())
    };
    assert_eq!(fan(limits::ALIAS_TARGETS), Ok(limits::ALIAS_TARGETS));
    assert_eq!(fan(limits::ALIAS_TARGETS + 1), Err("451 4.3.5".into()));
}

#[test]
fn tangled_aliases_cost_no_more_than_there_are() {
    let mut config = config();
    let names: Vec<String> = (0..20).map(|n| format!("t{n}")).collect();
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    config.aliases = all.iter().map(|name| alias(name, &all)).collect();
    let said = rcpt(&policy(config), &stranger(), "t0@home.arpa");
    assert_eq!(said, Err("451 4.3.5".into()));
}

#[test]
fn a_catch_all_takes_what_is_nobodys_once() {
    let mut config = household();
    for (catch_all, ends) in [
        ("bob", to(&["bob@home.arpa"])),
        ("root", to(&["alice@home.arpa", "alice@example.com", "bob@home.arpa", "me@example.com"])),
        ("all@example.com", to(&["all@example.com"])),
        ("nobody", Err("550 5.1.1".into())),
    ] {
        config.catch_all = Some(catch_all.into());
        let policy = policy(config.clone());
        for odd in ["x@home.arpa", "\"a@example.org\"@home.arpa", "a%example.org@home.arpa"] {
            assert_eq!(rcpt(&policy, &stranger(), odd), ends, "{odd}");
        }
        assert_eq!(rcpt(&policy, &stranger(), "info@home.arpa"), to(&["bob@home.arpa"]));
        assert_eq!(rcpt(&policy, &stranger(), "x@example.org"), Err("550 5.7.1".into()));
    }
}

#[test]
fn postmaster_is_always_somebody() {
    let mut config = config();
    let ends = |config: &Config, to| rcpt(&policy(config.clone()), &stranger(), to);
    for spelling in ["postmaster", "Postmaster", "postMaster@home.arpa", "\"postmaster\"@localhost"]
    {
        assert_eq!(ends(&config, spelling), to(&["alice@home.arpa"]), "{spelling}");
    }
    config.catch_all = Some("bob".into());
    assert_eq!(ends(&config, "postmaster"), to(&["bob@home.arpa"]));
    config.aliases = vec![alias("postmaster", &["me@example.com"])];
    assert_eq!(ends(&config, "postmaster"), to(&["me@example.com"]));
    config.aliases = vec![alias("x", &["x@example.com"])];
    (config.users, config.catch_all) = (vec![], None);
    assert_eq!(ends(&config, "postmaster"), to(&["x@example.com"]));
    config.aliases = vec![];
    assert_eq!(ends(&config, "postmaster"), Err("550 5.1.1".into()));
    assert_eq!(ends(&config, "postmaster@example.org"), Err("550 5.7.1".into()));
    config.users = vec![user("postmaster", &[])];
    assert_eq!(ends(&config, "postmaster"), to(&["postmaster@home.arpa"]));
}

#[test]
fn only_users_and_trusted_networks_may_relay() {
    let policy = policy(household());
    for who in [trusted(), login("bob"), Who { trusted: true, ..Who::default() }] {
        assert_eq!(rcpt(&policy, &who, "x@example.org"), to(&["x@example.org"]));
        assert_eq!(rcpt(&policy, &who, "x@[192.0.2.1]"), to(&["x@[192.0.2.1]"]));
    }
    let refusal = policy.rcpt(&stranger(), &address("x@example.org")).unwrap_err();
    assert_eq!((refusal.reply.code(), refusal.reply.status().to_string().as_str()), (550, "5.7.1"));
    assert_eq!(refusal.reason, "192.0.2.9 is not in `trusted` and did not log in");
}

#[test]
fn a_name_alone_is_completed_for_those_who_may_relay() {
    let policy = policy(household());
    for who in [trusted(), login("bob")] {
        assert_eq!(rcpt(&policy, &who, "bob"), to(&["bob@home.arpa"]));
        assert_eq!(rcpt(&policy, &who, "nobody"), Err("550 5.1.1".into()));
        assert_eq!(mail(&policy, &who, "bob"), Ok("bob@home.arpa".into()));
    }
    assert_eq!(rcpt(&policy, &stranger(), "bob"), Err("553 5.1.3".into()));
    assert_eq!(mail(&policy, &stranger(), "bob"), Err("553 5.1.7".into()));
    let mut bare = config();
    bare.domains.clear();
    let policy = self::policy(bare);
    assert_eq!(mail(&policy, &trusted(), "cam"), Ok("cam@relay.home.arpa".into()));
}

#[test]
fn the_null_reverse_path_is_everybodys() {
    let policy = policy(config());
    for who in [stranger(), trusted(), login("bob")] {
        assert_eq!(policy.mail(&who, None), Ok(None));
    }
}

#[test]
fn a_user_sends_as_what_comes_to_them_or_is_theirs_by_send_as() {
    let mut config = household();
    config.users = vec![
        user("alice", &["me@example.org", "*@Alice.example"]),
        user("bob", &[]),
        user("c", &["*"]),
    ];
    let policy = policy(config);
    let table = [
        ("alice@home.arpa", true, false),
        ("ALICE+tag@localhost", true, false),
        ("root@home.arpa", true, true),
        ("info@home.arpa", false, true),
        ("x@relay.home.arpa", false, true),
        ("me@Example.org", true, false),
        ("Me@example.org", true, false),
        ("me+tag@example.org", false, false),
        ("you@example.org", false, false),
        ("any@alice.example.", true, false),
        ("any@sub.alice.example", false, false),
        ("me@example.com", false, false),
        ("nobody@home.arpa", false, false),
        ("postmaster@home.arpa", true, false),
    ];
    for (from, alices, bobs) in table {
        for (name, theirs) in [("alice", alices), ("bob", bobs), ("c", true), ("gone", false)] {
            let said = mail(&policy, &login(name), from);
            assert_eq!(said.is_ok(), theirs, "{name} as {from}");
            let both = [address("x@other.example"), address(from)];
            assert_eq!(policy.header_from(&login(name), &both).is_ok(), theirs || name == "c");
        }
        assert!(mail(&policy, &trusted(), from).is_ok());
        assert!(mail(&policy, &stranger(), from).is_ok());
    }
    assert_eq!(mail(&policy, &login("bob"), "x@example.org"), Err("553 5.7.1".into()));
    let at_home = Who { trusted: true, ..login("bob") };
    assert_eq!(mail(&policy, &at_home, "x@example.org"), Err("553 5.7.1".into()));
}

#[test]
fn a_from_field_must_name_the_user_who_logged_in() {
    let policy = policy(config());
    let (bob, other) = (address("Bob@home.arpa"), address("alice@home.arpa"));
    for (from, fine) in [
        (vec![bob.clone()], true),
        (vec![address("bob")], true),
        (vec![other.clone(), bob], true),
        (vec![other.clone()], false),
        (vec![address("boss@example.org"), other], false),
        (vec![], true),
    ] {
        assert_eq!(policy.header_from(&login("bob"), &from).is_ok(), fine, "{from:?}");
        assert!(policy.header_from(&trusted(), &from).is_ok());
        assert!(policy.header_from(&stranger(), &from).is_ok());
    }
}

#[test]
fn a_socket_of_ours_is_trusted() {
    let mut config = config();
    config.trusted = Some(vec![]);
    let policy = policy(config);
    assert!(policy.is_trusted(None));
    assert!(!policy.is_trusted(Some("127.0.0.1".parse().unwrap())));
}

#[test]
fn odd_addresses_make_no_open_relay() {
    let policy = policy(household());
    for odd in [
        "x%example.org@home.arpa",
        "x%example.org@[127.0.0.1]",
        "example.org!x@home.arpa",
        "home.arpa!x@example.org",
        "\"x@example.org\"@home.arpa",
        "\"x@example.org\"",
        "\"x@example.org\"@localhost",
        "\"bob@home.arpa\"@example.org",
        "\"bob@home.arpa \"@home.arpa",
        "\"\"@home.arpa",
        "\"@example.org\"@home.arpa",
        "bob@home.arpa.example.org",
        "bob@example.home.arpa",
        "bob@arpa",
        "bob@localhost.example.org",
        "bob@[192.0.2.1]",
        "bob@[127.0.0.1]",
        "bob@[IPv6:::1]",
        "bob@home.arpa..",
        "postmaster@example.org",
        "postmaster%example.org@home.arpa",
        "x@exämple.com",
        "x%example.org",
        "x!example.org",
    ] {
        let Ok(odd) = Address::parse(odd) else { continue };
        assert!(policy.rcpt(&stranger(), &odd).is_err(), "{odd}");
    }
}

impl Chance {
    fn of<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len())]
    }
}

/// A configuration of anything that fits together, knots and all.
fn any_config(random: &mut Chance) -> Config {
    let mut config = config();
    let names = ["alice", "bob", "a", "b", "root", "postmaster"];
    let domains = ["", "@home.arpa", "@localhost", "@example.com", "@relay.home.arpa"];
    for _ in 0..random.below(6) {
        let from = match random.below(4) {
            0 => "@home.arpa".to_string(),
            _ => format!("{}{}", random.of(&names), random.of(&domains)),
        };
        let target = |random: &mut Chance| format!("{}{}", random.of(&names), random.of(&domains));
        let targets: Vec<String> = (0..=random.below(3)).map(|_| target(random)).collect();
        let targets: Vec<&str> = targets.iter().map(String::as_str).collect();
        config.aliases.push(alias(&from, &targets));
    }
    if random.below(3) == 0 {
        config.catch_all = Some(format!("{}{}", random.of(&names), random.of(&domains)));
    }
    config
}

#[test]
fn whatever_is_configured_strangers_reach_only_what_a_local_address_stands_for() {
    let mut random = Chance(0x9e37_79b9_7f4a_7c15);
    let parts = [
        "alice",
        "bob",
        "a",
        "root",
        "x",
        "@",
        "@",
        "%",
        "!",
        "+",
        "\"",
        "\\",
        ".",
        "home.arpa",
        "localhost",
        "example.com",
        "relay.home.arpa",
        "[127.0.0.1]",
        "postmaster",
        " ",
        "HOME.ARPA",
        "xn--exmple-cua.org",
        "exämple.org",
    ];
    let ours =
        ["home.arpa", "localhost", "relay.home.arpa", "exämple.org", "xn--exmple-cua.org", ""];
    let is_ours = |domain: &str| ours.contains(&domain.strip_suffix('.').unwrap_or(domain));
    let (mut taken, mut refused) = (0, 0);
    for _ in 0..400 {
        let config = any_config(&mut random);
        let configured: Vec<String> = config
            .aliases
            .iter()
            .flat_map(|alias| alias.to.clone())
            .chain(config.catch_all.clone())
            .collect();
        let policy = policy(config.clone());
        for _ in 0..100 {
            let mut text: String = (0..=random.below(6)).map(|_| random.of(&parts)).collect();
            if random.below(2) == 0 {
                text = format!("{}@{}", random.of(&parts), random.of(&ours));
            }
            let Ok(to) = Address::parse(&text) else { continue };
            let Ok(targets) = policy.rcpt(&stranger(), &to) else {
                refused += 1;
                continue;
            };
            taken += 1;
            assert!(is_ours(to.domain()), "{to} was taken");
            assert!(!targets.is_empty() && targets.len() <= limits::ALIAS_TARGETS);
            for Target { to: target } in targets {
                match route(&config, &Whence::default(), &target) {
                    Hop::Local(_) => assert!(is_ours(target.domain()), "{to} → {target}"),
                    Hop::Remote(_) => {
                        assert!(configured.iter().any(|t| t == target.as_str()), "{to} → {target}");
                    }
                    Hop::Discard | Hop::Push(_) | Hop::Unknown => {
                        panic!("{to} → {target}, whom nobody would take")
                    }
                }
            }
        }
    }
    assert!(taken > 1000 && refused > 1000, "{taken} taken, {refused} refused");
}

#[test]
fn mail_for_root_and_postmaster_is_the_owners_unless_somebody_has_that_name() {
    let mut config = config();
    config.owner = Some("me@example.com".into());
    let targets = |config: &Config, to: &str| -> String {
        let ends = policy(config.clone()).targets(&Address::parse(to).unwrap());
        let ends = ends.map(|ends| ends.iter().map(|end| end.to.to_string()).collect::<Vec<_>>());
        ends.map_or_else(|refusal| refusal.reply.code().to_string(), |ends| ends.join(" "))
    };
    for system in ["root", "postmaster@home.arpa", "ROOT+cron@home.arpa", "abuse@home.arpa"] {
        assert_eq!(targets(&config, system), "me@example.com", "{system}");
    }
    assert_eq!(targets(&config, "alice@home.arpa"), "alice@home.arpa");
    assert_eq!(targets(&config, "nobody@home.arpa"), "550");
    config.catch_all = Some("bob".into());
    assert_eq!(targets(&config, "nobody@home.arpa"), "bob@home.arpa");
    assert_eq!(targets(&config, "root@home.arpa"), "me@example.com");
    config.aliases = vec![crate::config::Alias { from: "root".into(), to: vec!["alice".into()] }];
    assert_eq!(targets(&config, "root@home.arpa"), "alice@home.arpa");
    // What is elsewhere is not ours to catch.
    assert_eq!(targets(&config, "root@example.net"), "root@example.net");
    config.owner = Some("bob".into());
    config.aliases.clear();
    assert_eq!(targets(&config, "root"), "bob@home.arpa");
}

#[test]
fn a_report_for_somebody_whom_nobody_knows_goes_to_the_owner() {
    let mut config = config();
    let to = |config: &Config, to: &str| {
        let ends = policy(config.clone()).report_targets(&Address::parse(to).unwrap(), None);
        ends.ok().map(|ends| ends[0].to.to_string())
    };
    assert_eq!(to(&config, "camera@home.arpa"), None);
    config.owner = Some("me@example.com".into());
    assert_eq!(to(&config, "camera@home.arpa").as_deref(), Some("me@example.com"));
    assert_eq!(to(&config, "alice@home.arpa").as_deref(), Some("alice@home.arpa"));
    assert_eq!(to(&config, "you@example.net").as_deref(), Some("you@example.net"));
}

#[test]
fn senders_that_only_this_network_knows_are_stood_in_for() {
    let stand = |owner: Option<&str>, world: Option<&str>, sender: &str| {
        let mut config = config();
        config.owner = owner.map(Into::into);
        config.masquerade = world.map(Into::into);
        let stand = policy(config).stand_in(&Address::parse(sender).unwrap());
        stand.map_or(String::new(), |stand| stand.to_string())
    };
    let (me, world) = (Some("me@example.com"), Some("example.org"));
    for (owner, masquerade, sender, expected) in [
        // People keep their names, where the world has a domain for them.
        (me, world, "alice@home.arpa", "alice@example.org"),
        (me, None, "alice@home.arpa", ""),
        (None, world, "Alice+x@HOME.arpa.", "Alice+x@example.org"),
        // Programs and devices are the owner's, or at least at a domain that is there.
        (me, world, "root@home.arpa", "me@example.com"),
        (None, world, "root@home.arpa", "root@example.org"),
        (me, None, "root@home.arpa", "me@example.com"),
        (me, world, "camera@home.arpa", "me@example.com"),
        (me, world, "cron@raspberrypi", "me@example.com"),
        (me, world, "cam@[192.168.1.5]", "me@example.com"),
        (None, world, "pi@nas.lan", "pi@example.org"),
        (me, world, "pi@nas.example.org", "me@example.com"),
        (None, world, "pi@nas.example.org", "pi@example.org"),
        (me, world, "MAILER-DAEMON@home.arpa", "MAILER-DAEMON@example.org"),
        (me, None, "MAILER-DAEMON@home.arpa", ""),
        // What the world knows stays.
        (me, world, "anybody@example.org", ""),
        (me, world, "anybody@ex\u{e4}mple.org", ""),
        (me, world, "you@example.net", ""),
        (me, world, "you@notexample.org", ""),
        (None, None, "root@home.arpa", ""),
        // An owner who has a mailbox here is known to the world by its domain, if at all.
        (Some("alice"), world, "root@home.arpa", "alice@example.org"),
        (Some("alice"), None, "root@home.arpa", ""),
    ] {
        assert_eq!(stand(owner, masquerade, sender), expected, "{sender} {owner:?} {masquerade:?}");
    }
}
