//! What domains demand of the way to them: MTA-STS and DANE.

use super::{
    names::{A, MX, TLSA, TXT, wire},
    service::Service,
    *,
};
use crate::{
    limits,
    sys::{Digest, Match, TlsError, Trust},
};
use std::collections::BTreeMap;

const DOMAIN: &str = "example.net";
const HOST: &str = "mx.example.net";
const AT: &str = "192.0.2.30:25";
const TEXT: &str = "_mta-sts.example.net";
const PAGES: &str = "mta-sts.example.net";
const DAY: u64 = 86_400;
const ENFORCE: &str =
    "version: STSv1\r\nmode: enforce\r\nmx: mx.example.net\r\nmax_age: 604800\r\n";

/// A relay that delivers by MX, a domain with one server that offers TLS, and a place for its
/// policy.
struct Net {
    house: House,
    pages: Rc<Service>,
}

fn config() -> String {
    let route = r#""routes": [{"for": "*", "via": "192.0.2.25:25", "tls": "may"}]"#;
    CONFIG.replace(route, r#""routes": [], "dns": ["127.0.0.53"]"#)
}

impl Net {
    fn new() -> Net {
        Net::with(&config())
    }

    fn with(config: &str) -> Net {
        let world = World::new();
        world.exchanger(DOMAIN, HOST, [192, 0, 2, 30]);
        world.record(PAGES, A, vec![192, 0, 2, 80]);
        world.server(AT).says(&[("EHLO", "250-mx\r\n250 STARTTLS"), ("STARTTLS", "220 Go")]);
        let pages = world.service("192.0.2.80:443");
        world.files.borrow_mut().insert("waypost.json".into(), config.into());
        Net { house: House::open(world), pages }
    }

    /// The domain has this policy from now on.
    fn has(&self, id: &str, page: &str) {
        self.house.world.text(TEXT, &format!("v=STSv1; id={id};"));
        self.pages.says(&[("200 OK\r\nContent-Type: text/plain; charset=utf-8", page)]);
    }

    /// So many messages more have arrived, and how each connection was secured.
    fn send(&self) -> (usize, Vec<(String, Trust)>) {
        let world = &self.house.world;
        let before = world.mail.borrow().len();
        world.handshakes.borrow_mut().clear();
        self.house.send("alice@home.test", &["me@example.net"], "alarm");
        world.run();
        self.house.pass(limits::LANE_LINGER.as_secs() + 1);
        let hands = world.handshakes.take();
        (world.mail.borrow().len() - before, hands)
    }

    fn told(&self, kind: &str) -> String {
        self.house.world.told(kind).join("\n")
    }

    fn metrics(&self) -> String {
        self.house.world.wait(self.house.desk().metrics())
    }

    fn is_counted(&self, policy: &str, result: &str) -> bool {
        let labels = format!("{{policy=\"{policy}\",result=\"{result}\"}} ");
        self.metrics().contains(&format!("waypost_tls_sessions_total{labels}"))
    }
}

fn page_asked() -> (String, Trust) {
    (PAGES.into(), Trust::Verify)
}

fn verified() -> (String, Trust) {
    (HOST.into(), Trust::Verify)
}

fn hoped_for() -> (String, Trust) {
    (HOST.into(), Trust::Opportunistic)
}

fn wrong() -> TlsError {
    TlsError::Certificate("it is for another name".into())
}

#[test]
fn a_policy_is_fetched_once_and_the_server_has_to_prove_who_it_is() {
    let net = Net::new();
    net.has("1", ENFORCE);
    assert_eq!(net.send(), (1, vec![page_asked(), verified()]));
    let told = net.told("policy");
    assert!(told.contains("of=example.net by=MTA-STS says=\"only encrypted"), "{told}");
    assert!(net.told("encrypted").contains(" as=MTA-STS"), "{}", net.told("encrypted"));
    assert!(net.is_counted("sts", "successful"));
    for _ in 0..3 {
        assert_eq!(net.send(), (1, vec![verified()]), "it is remembered");
    }
    // Asked for by name and path, and by nothing else.
    assert_eq!(net.pages.count(), 1);
}

#[test]
fn a_server_with_a_wrong_certificate_or_without_tls_gets_nothing_and_the_reason_is_told() {
    for (rules, impostor, reason, result) in [
        (&[][..], true, "another name", "certificate-not-trusted"),
        (&[("EHLO", "250 mx")], false, "does not offer it", "starttls-not-supported"),
        (&[("STARTTLS", "454 4.7.0 Not now")], false, "Not now", ""),
    ] {
        let net = Net::new();
        net.has("1", ENFORCE);
        let world = &net.house.world;
        if impostor {
            world.impostors.borrow_mut().insert(HOST.into(), wrong());
        }
        let offer = [("EHLO", "250-mx\r\n250 STARTTLS"), ("STARTTLS", "220 Go")];
        world.server(AT).says(&[rules, &offer[..]].concat());
        assert_eq!(net.send().0, 0);
        assert!(net.told("deferred").contains(reason), "{}", net.told("deferred"));
        assert!(net.told("in-clear").is_empty());
        assert!(result.is_empty() || net.is_counted("sts", result), "{}", net.metrics());
        // Without the policy it would have arrived.
        let other =
            Net::with(&config().replace(r#""dns""#, r#""delivery": {"policies": false}, "dns""#));
        other.has("1", ENFORCE);
        let world = &other.house.world;
        world.impostors.borrow_mut().insert(HOST.into(), wrong());
        world.server(AT).says(&[rules, &offer[..]].concat());
        assert_eq!(other.send().0, 1);
        assert_eq!(other.pages.count(), 0, "nor is anybody asked");
    }
}

#[test]
fn servers_that_the_policy_does_not_name_are_passed_over() {
    let net = Net::new();
    let world = &net.house.world;
    world.record(DOMAIN, MX, [&[0, 5][..], &wire("evil.example.com")].concat());
    world.record("evil.example.com", A, vec![192, 0, 2, 66]);
    world.server("192.0.2.66:25");
    net.has("1", ENFORCE);
    assert_eq!(net.send(), (1, vec![page_asked(), verified()]));
    assert_eq!(world.mail.borrow()[0].at, AT);
    let told = net.told("skipped");
    assert!(told.contains("host=evil.example.com") && told.contains("MTA-STS"), "{told}");
    assert!(net.is_counted("sts", "validation-failure"));
}

#[test]
fn a_policy_under_test_is_told_and_does_not_bind() {
    let net = Net::new();
    net.house.world.impostors.borrow_mut().insert(HOST.into(), wrong());
    net.has("1", &ENFORCE.replace("enforce", "testing"));
    assert_eq!(net.send(), (1, vec![page_asked(), hoped_for()]));
    assert!(net.told("policy").contains("only being tested"), "{}", net.told("policy"));
    net.has("2", "version: STSv1\nmode: none\nmax_age: 86400\n");
    net.house.pass(61);
    assert_eq!(net.send(), (1, vec![page_asked(), hoped_for()]));
    assert_eq!(net.told("policy").lines().count(), 1, "there is none any more");
}

#[test]
fn a_policy_counts_while_it_lasts_whatever_is_kept_away() {
    let net = Net::new();
    net.has("1", ENFORCE);
    assert_eq!(net.send().0, 1);
    let world = &net.house.world;
    world.impostors.borrow_mut().insert(HOST.into(), wrong());
    // The text is gone.
    world.zone.borrow_mut().records.retain(|(owner, ..)| owner != TEXT);
    net.house.pass(61);
    assert_eq!(net.send().0, 0);
    // The questions for it fail.
    world.zone.borrow_mut().failing = vec![TXT];
    net.house.pass(3600);
    assert_eq!(net.send().0, 0);
    world.zone.borrow_mut().failing.clear();
    // There is another one, and its page is not to be had.
    net.has("2", ENFORCE);
    net.pages.says(&[("404 Not Found\r\nContent-Type: text/plain", "")]);
    net.house.pass(61);
    assert_eq!(net.send().0, 0);
    let told = net.told("policy");
    assert!(told.contains("the one from before counts") && told.contains("404"), "{told}");
    assert!(net.is_counted("sts", "sts-policy-fetch-error"));
    // After a week it is over.
    world.impostors.borrow_mut().remove(HOST);
    world.server(AT).says(&[]);
    net.house.pass(7 * DAY);
    assert!(net.send().0 > 0);
}

#[test]
fn a_policy_outlives_a_restart_and_the_index_its_loss() {
    for lost in [false, true] {
        let net = Net::new();
        net.has("1", ENFORCE);
        assert_eq!(net.send().0, 1);
        let world = net.house.world.clone();
        world.zone.borrow_mut().records.retain(|(owner, ..)| owner != TEXT);
        world.impostors.borrow_mut().insert(HOST.into(), wrong());
        if lost {
            world.index.borrow_mut().clear();
        }
        let net = Net { house: net.house.restart(), pages: net.pages };
        net.house.pass(61);
        assert_eq!(net.send().0, usize::from(lost));
        // It has an end, whether anybody was up meanwhile or not.
        let world = net.house.world.clone();
        let net = Net { house: net.house.restart(), pages: net.pages };
        world.pass(Duration::from_secs(7 * DAY));
        let net = Net { house: net.house.restart(), pages: net.pages };
        let before = world.mail.borrow().len();
        net.send();
        assert!(world.mail.borrow().len() > before);
    }
}

#[test]
fn a_policy_too_long_for_the_index_counts_until_the_end_of_the_relay() {
    let pattern = |n: usize| format!("mx: {n:02}{}.example.net\r\n", "x".repeat(40));
    let of = |servers: usize| {
        let more: Vec<String> = (0..servers).map(pattern).collect();
        ENFORCE.replace("max_age", &format!("{}max_age", more.concat()))
    };
    for (servers, kept) in [(10, 1), (limits::STS_PATTERNS - 1, 0)] {
        let net = Net::new();
        net.has("1", &of(servers));
        for _ in 0..2 {
            assert_eq!(net.send().1.last(), Some(&verified()), "{servers}");
        }
        assert_eq!(net.pages.count(), 1);
        let index = net.house.world.index.borrow();
        assert_eq!(index.get("policies").map_or(0, BTreeMap::len), kept, "{servers}");
        let longest = index.get("policies").and_then(|tree| tree.values().map(Vec::len).max());
        assert!(longest.is_none_or(|octets| octets + DOMAIN.len() <= limits::INDEX_ENTRY_BYTES));
    }
}

#[test]
fn an_index_that_hangs_or_fails_holds_nothing_up_for_long() {
    for hangs in [false, true] {
        let net = Net::new();
        net.has("1", ENFORCE);
        let world = &net.house.world;
        world.index_broken.set(!hangs);
        world.index_hangs.set(hangs);
        net.send();
        net.house.pass(2 * limits::STS_INDEX_WAIT.as_secs());
        assert_eq!(world.mail.borrow().len(), 1);
        assert_eq!(net.send().0, 1, "and never again");
    }
}

#[test]
fn a_page_that_cannot_be_had_is_asked_for_again_after_minutes_and_mail_goes_meanwhile() {
    let long = "x".repeat(limits::HTTP_BODY_BYTES + 1);
    for (head, page, why) in [
        ("404 Not Found\r\nContent-Type: text/plain", "", "status 404"),
        ("301 Moved\r\nContent-Type: text/plain\r\nLocation: https://x.example/", "", "status 301"),
        ("200 OK\r\nContent-Type: text/html", ENFORCE, "no plain text"),
        ("200 OK\r\nContent-Type: text/plain", "hello", "STSv1"),
        ("200 OK\r\nContent-Type: text/plain", &long, "too long"),
    ] {
        let net = Net::new();
        net.has("1", ENFORCE);
        net.pages.says(&[(head, page)]);
        assert_eq!(net.send(), (1, vec![page_asked(), hoped_for()]), "{why}");
        let told = net.told("policy");
        assert!(told.contains("mail goes as without") && told.contains(why), "{told}");
        assert_eq!(net.send().0, 1);
        assert_eq!(net.pages.count(), 1, "not at once");
        net.has("1", ENFORCE);
        net.house.pass(limits::STS_RETRY.as_secs());
        assert_eq!(net.send(), (1, vec![page_asked(), verified()]));
    }
    // Nobody is there, or nobody who can prove it, or who says anything.
    let net = Net::new();
    net.has("1", ENFORCE);
    net.house.world.impostors.borrow_mut().insert(PAGES.into(), wrong());
    assert_eq!(net.send(), (1, vec![page_asked(), hoped_for()]));
    let net = Net::new();
    net.has("1", ENFORCE);
    net.pages.mute.set(true);
    net.send();
    net.house.pass(limits::STS_WAIT.as_secs());
    assert_eq!(net.house.world.mail.borrow().len(), 1);
}

#[test]
fn many_messages_at_once_ask_for_one_policy() {
    let net = Net::new();
    net.has("1", ENFORCE);
    net.pages.mute.set(true);
    for _ in 0..20 {
        net.house.send("alice@home.test", &["me@example.net"], "alarm");
    }
    net.house.world.run();
    net.house.pass(limits::STS_WAIT.as_secs() + 1);
    assert_eq!(net.pages.count(), 1);
    assert_eq!(net.house.world.mail.borrow().len(), 20);
}

#[test]
fn a_new_policy_counts_at_once_and_an_old_one_is_looked_at_daily() {
    let net = Net::new();
    net.has("1", ENFORCE);
    assert_eq!(net.send().0, 1);
    net.has("2", &ENFORCE.replace("mx.example.net", "*.example.org"));
    net.house.pass(61);
    assert_eq!(net.send().0, 0);
    net.has("3", ENFORCE);
    net.house.pass(61);
    assert!(net.send().0 > 0);
    assert_eq!(net.pages.count(), 3);
    net.house.pass(limits::STS_REFRESH.as_secs() - 200);
    net.send();
    assert_eq!(net.pages.count(), 3);
    net.house.pass(200);
    net.send();
    assert_eq!(net.pages.count(), 4);
}

#[test]
fn policies_known_are_bounded_in_memory_and_in_the_index() {
    let net = Net::new();
    let world = &net.house.world;
    let domains = limits::STS_POLICIES + 10;
    for n in 0..domains {
        let domain = format!("d{n}.example.net");
        world.record(&domain, MX, [&[0, 10][..], &wire(HOST)].concat());
        world.record(&format!("mta-sts.{domain}"), A, vec![192, 0, 2, 80]);
        world.text(&format!("_mta-sts.{domain}"), "v=STSv1; id=1;");
    }
    net.pages.says(&[("200 OK\r\nContent-Type: text/plain", ENFORCE)]);
    for n in 0..domains {
        net.house.send("alice@home.test", &[&format!("me@d{n}.example.net")], "alarm");
        world.run();
    }
    net.house.pass(60);
    assert_eq!(world.mail.borrow().len(), domains);
    assert_eq!(world.index.borrow()["policies"].len(), limits::STS_POLICIES);
}

fn described(usage: u8) -> Vec<u8> {
    [&[usage, 1, 1][..], &[7; 32]].concat()
}

fn dane() -> (String, Trust) {
    let it = Match { authority: false, key: true, digest: Digest::Sha256, data: vec![7; 32] };
    (HOST.into(), Trust::Match([it].into()))
}

#[test]
fn a_certificate_that_signed_dns_describes_is_demanded_and_goes_before_a_policy() {
    let net = Net::new();
    let world = &net.house.world;
    world.record("_25._tcp.mx.example.net", TLSA, described(3));
    // Whoever is not signed is not heeded.
    assert_eq!(net.send(), (1, vec![hoped_for()]));
    world.zone.borrow_mut().signed = true;
    net.house.pass(61);
    assert_eq!(net.send(), (1, vec![dane()]));
    let told = net.told("policy");
    assert!(told.contains("of=mx.example.net by=DANE says=\"only encrypted"), "{told}");
    assert!(net.is_counted("tlsa", "successful"));
    net.has("1", &ENFORCE.replace("mx.example.net", "other.example.net"));
    net.house.pass(61);
    assert_eq!(net.send(), (1, vec![page_asked(), dane()]));
    world.impostors.borrow_mut().insert(HOST.into(), wrong());
    assert_eq!(net.send().0, 0);
    assert!(net.is_counted("tlsa", "certificate-not-trusted"));
}

#[test]
fn certificates_of_no_use_demand_encryption_and_a_question_that_fails_holds_mail_back() {
    for usage in [0, 1, 4, 255] {
        let net = Net::new();
        let world = &net.house.world;
        world.zone.borrow_mut().signed = true;
        world.record("_25._tcp.mx.example.net", TLSA, described(usage));
        assert_eq!(net.send(), (1, vec![hoped_for()]), "{usage}");
        world.server(AT).says(&[]);
        assert_eq!(net.send().0, 0, "{usage}");
    }
    let net = Net::new();
    net.house.world.zone.borrow_mut().signed = true;
    net.house.world.zone.borrow_mut().failing = vec![TLSA];
    assert_eq!(net.send(), (0, vec![]));
    let told = net.told("deferred");
    assert!(told.contains("_25._tcp.mx.example.net"), "{told}");
    assert!(net.is_counted("tlsa", "dnssec-invalid"));
}
