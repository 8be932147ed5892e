//! Delivery runs to servers of a few lines.

mod world;

use super::*;
use crate::config::TlsPolicy;
use crate::proto::{
    mail::address::Address,
    sasl::Secret,
    smtp::client::{Forward, LOGIN_REFUSED, Login},
};
use crate::sys::Trust;
use std::{
    cell::Cell,
    future::ready,
    net::{IpAddr, Ipv4Addr},
};
use world::{Knock, Rules, World, server};

const ONE: &str = "192.0.2.1:25";
const TWO: &str = "192.0.2.2:25";
const HOSTS: &str = "192.0.2.1 one.example one\n192.0.2.2 two.example\n";

/// Messages of one line each.
struct Crate {
    waiting: Vec<Outgoing>,
    reports: Vec<Vec<Outcome>>,
    notes: Vec<Note>,
    spoken: Vec<String>,
    readable: bool,
}

impl Crate {
    fn new(messages: usize, recipients: usize) -> Crate {
        let forward = |n| Forward {
            to: Address::parse(&format!("b{n}@y.example")).expect("valid"),
            orcpt: String::new(),
            notify: None,
        };
        let message = Outgoing {
            from: Address::parse("a@x.example").ok(),
            to: (0..recipients).map(forward).collect(),
            size: 4,
            eight_bit: false,
            utf8: false,
            ret_headers: None,
            envid: String::new(),
        };
        Crate {
            waiting: vec![message; messages],
            reports: Vec::new(),
            notes: Vec::new(),
            spoken: Vec::new(),
            readable: true,
        }
    }

    fn texts(&self) -> Vec<Vec<&str>> {
        self.reports.iter().map(|r| r.iter().map(|o| o.text.as_str()).collect()).collect()
    }

    fn statuses(&self) -> Vec<String> {
        self.reports.iter().flatten().map(|outcome| outcome.status.to_string()).collect()
    }
}

impl Freight for Crate {
    fn next(&mut self, _: Takes) -> Pending<'_, Option<Outgoing>> {
        Box::pin(ready(self.waiting.pop()))
    }
    fn chunk(&mut self, _: u64) -> Pending<'_, io::Result<Vec<u8>>> {
        let readable = self.readable;
        let octets = readable.then(|| b"hi\r\n".to_vec());
        Box::pin(ready(octets.ok_or_else(|| io::ErrorKind::InvalidData.into())))
    }
    fn report(&mut self, outcomes: Vec<Outcome>, _: Reporter) -> Pending<'_, ()> {
        self.reports.push(outcomes);
        Box::pin(ready(()))
    }
    fn note(&mut self, note: Note) {
        // What is said has tests of its own, below.
        if let Note::Spoke(spoken) = note {
            return self.spoken.push(spoken.line());
        }
        if !matches!(note, Note::Found(..)) {
            self.notes.push(note);
        }
    }
}

fn mx() -> Destination {
    let next = NextHop::Mx("y.example".into());
    Destination { sign: true, ..Destination::new(next, TlsPolicy::May) }
}

fn smarthost(port: u16, tls: TlsPolicy, login: bool) -> Destination {
    let in_clear = tls == TlsPolicy::None;
    let login = login.then(|| {
        let secret = Secret::Password("secret".into());
        Login { user: "tim".into(), secret, in_clear }
    });
    let next = NextHop::Smarthost("one.example".into(), port);
    Destination { login, ..Destination::new(next, tls) }
}

fn run(
    destination: &Destination,
    freight: &mut Crate,
    (world, sys): &(std::rc::Rc<World>, Sys),
) -> Result<(), Failure> {
    let resolver = Resolver::new(sys, vec!["192.0.2.53:53".parse().expect("an address")]);
    resolver.set_hosts(HOSTS);
    let way = Way {
        sys,
        resolver: &resolver,
        hostname: "relay.example",
        port: 25,
        ipv6: false,
        without: &[],
        chunkless: &Chunkless::default(),
        policies: None,
    };
    world.run(deliver(&way, destination, freight))
}

/// `first` at the first address, `second` at the second, all the time.
fn world(first: fn() -> Knock, second: fn() -> Knock) -> (std::rc::Rc<World>, Sys) {
    World::new(move |to| match to.ip() {
        IpAddr::V4(ip) if ip == Ipv4Addr::new(192, 0, 2, 1) => first(),
        _ => second(),
    })
}

fn opens(special: &[(&'static str, &'static str)]) -> Knock {
    Knock::Opens(server(special))
}

fn tls_rules() -> Rules {
    server(&[("EHLO", "250-mx\r\n250-STARTTLS\r\n250 AUTH PLAIN"), ("AUTH", "235 Ok")])
}

#[test]
fn three_messages_share_one_session() {
    let world = world(|| opens(&[]), || Knock::Refused);
    let mut freight = Crate::new(3, 1);
    assert_eq!(run(&mx(), &mut freight, &world), Ok(()));
    assert_eq!(freight.texts(), vec![vec!["250 2.0.0 Queued"]; 3]);
    assert_eq!(freight.reports[0][0].by, "one.example [192.0.2.1]");
    let heard = world.0.heard_at(ONE);
    assert_eq!(heard.iter().filter(|line| *line == " EHLO relay.example").count(), 1);
    assert_eq!(heard.iter().filter(|line| *line == " .").count(), 3);
    assert_eq!(heard.last().map(String::as_str), Some(" QUIT"));
    let bare = Note::Insecure(By::Us, "starttls-not-supported");
    assert_eq!(freight.notes, [Note::Connected("one.example [192.0.2.1]:25".into()), bare]);
}

#[test]
fn one_of_three_recipients_is_refused_alone() {
    let world = world(|| opens(&[("RCPT TO:<b1", "550 5.1.1 No b1")]), || Knock::Refused);
    let mut freight = Crate::new(1, 3);
    assert_eq!(run(&mx(), &mut freight, &world), Ok(()));
    assert_eq!(freight.statuses(), ["2.0.0", "5.1.1", "2.0.0"]);
}

#[test]
fn where_the_first_host_refuses_the_connection_the_second_is_used() {
    for first in [|| Knock::Refused, || Knock::Silent, || Knock::Unreachable] {
        let world = world(first, || opens(&[]));
        let mut freight = Crate::new(1, 1);
        assert_eq!(run(&mx(), &mut freight, &world), Ok(()));
        assert_eq!(freight.reports[0][0].by, "two.example [192.0.2.2]");
        assert!(matches!(&freight.notes[0], Note::Skipped(host, _) if host.contains("one")));
        assert!(world.0.seconds() <= limits::CONNECT_WAIT.as_secs());
    }
}

#[test]
fn where_the_first_host_cannot_be_used_the_second_is() {
    let rules: [fn() -> Knock; 6] = [
        || opens(&[("", "421 Busy")]),
        || opens(&[("", "554 No")]),
        || opens(&[("", "SSH-2.0-OpenSSH_9.9")]),
        || opens(&[("", "~")]),
        || opens(&[("EHLO", "")]),
        || opens(&[("EHLO", "550 No"), ("HELO", "550 No")]),
    ];
    for first in rules {
        let world = world(first, || opens(&[]));
        let mut freight = Crate::new(2, 1);
        assert_eq!(run(&mx(), &mut freight, &world), Ok(()));
        assert_eq!(freight.texts(), vec![vec!["250 2.0.0 Queued"]; 2]);
        assert!(!world.0.heard_at(ONE).iter().any(|line| line.contains("MAIL")));
    }
}

#[test]
fn a_message_goes_to_one_server_only_whatever_it_says() {
    for (command, reply) in [
        ("MAIL", "450 4.2.1 Later"),
        ("RCPT", "451 4.7.1 Greylisted"),
        ("DATA", "421 4.3.2 Bye"),
        (".", "550 5.7.1 No"),
    ] {
        let world = World::new(move |_| Knock::Opens(server(&[(command, reply)])));
        let mut freight = Crate::new(1, 1);
        assert_eq!(run(&mx(), &mut freight, &world), Ok(()));
        assert_eq!(freight.texts(), [[reply]]);
        assert!(world.0.heard_at(TWO).is_empty());
    }
}

#[test]
fn a_connection_lost_after_the_dot_leaves_the_message_for_later() {
    let world = world(|| opens(&[(".", "")]), || opens(&[]));
    let mut freight = Crate::new(2, 2);
    assert_eq!(run(&mx(), &mut freight, &world), Ok(()));
    assert_eq!(freight.statuses(), ["4.4.2", "4.4.2"]);
    assert_eq!(freight.waiting.len(), 1, "the other one was not touched");
    assert!(world.0.heard_at(TWO).is_empty(), "it may have been taken: no other server now");
}

#[test]
fn a_server_silent_after_the_dot_is_left_after_ten_minutes() {
    let world = world(|| opens(&[(".", "~"), ("RCPT TO:<b1", "550 5.1.1 No")]), || opens(&[]));
    let mut freight = Crate::new(1, 2);
    assert_eq!(run(&mx(), &mut freight, &world), Ok(()));
    assert_eq!(freight.statuses(), ["4.4.2", "5.1.1"], "what is known is kept");
    assert_eq!(world.0.seconds(), limits::FINAL_WAIT.as_secs());
}

#[test]
fn a_server_that_dribbles_is_left_after_four_hours() {
    let world = world(|| opens(&[(".", "%")]), || opens(&[]));
    let mut freight = Crate::new(1, 1);
    assert_eq!(run(&mx(), &mut freight, &world), Ok(()));
    assert_eq!(freight.statuses(), ["4.4.2"]);
    assert_eq!(world.0.seconds(), limits::DELIVERY_WAIT.as_secs());
}

#[test]
fn an_unreadable_message_is_broken_off_and_waits() {
    let world = world(|| opens(&[]), || opens(&[]));
    let mut freight = Crate { readable: false, ..Crate::new(1, 1) };
    assert_eq!(run(&mx(), &mut freight, &world), Ok(()));
    assert_eq!(freight.statuses(), ["4.3.0"]);
    assert_eq!(world.0.heard_at(ONE).last().map(String::as_str), Some(" DATA"));
}

#[test]
fn a_failure_tells_whether_anybody_was_there() {
    type Case = (fn() -> Knock, &'static str, bool);
    let table: [Case; 6] = [
        (|| Knock::Silent, "4.4.1", false),
        (|| Knock::Unreachable, "4.4.1", false),
        (|| Knock::Refused, "4.4.1", true),
        (|| opens(&[("", "554 5.7.1 No")]), "4.7.1", true),
        (|| opens(&[("", "521 Never")]), "5.3.2", true),
        (|| opens(&[("EHLO", "")]), "4.4.2", true),
    ];
    for (knock, status, contact) in table {
        let mut freight = Crate::new(1, 1);
        let failure = run(&mx(), &mut freight, &world(knock, knock)).expect_err("no server");
        assert_eq!(
            (failure.outcome.status.to_string().as_str(), failure.contact),
            (status, contact)
        );
        assert_eq!((freight.waiting.len(), freight.reports.len()), (1, 0));
    }
}

#[test]
fn a_failure_is_permanent_only_where_every_server_says_so() {
    let mut freight = Crate::new(1, 1);
    let never = || opens(&[("", "521 Never")]);
    let failure = run(&mx(), &mut freight, &world(never, || Knock::Silent)).expect_err("none");
    assert_eq!(failure.outcome.status.class, Class::Transient);
    let later = || opens(&[("", "421 4.3.2 Busy")]);
    for (first, second) in [(later, Knock::Silent), (later, Knock::Refused)] {
        let second = Cell::new(Some(second));
        let world = World::new(move |to| match to.to_string().as_str() {
            ONE => first(),
            _ => second.take().expect("once"),
        });
        let failure = run(&mx(), &mut freight, &world).expect_err("none");
        assert_eq!(failure.outcome.text, "421 4.3.2 Busy", "words tell more than silence");
    }
}

#[test]
fn a_domain_that_cannot_be_looked_up_fails_as_a_whole() {
    let destination = Destination { next: NextHop::Mx("not a domain".into()), ..mx() };
    let mut freight = Crate::new(1, 1);
    let world = world(|| opens(&[]), || opens(&[]));
    let failure = run(&destination, &mut freight, &world).expect_err("no domain");
    assert_eq!(failure.outcome.status.to_string(), "5.1.2");
}

#[test]
fn no_more_addresses_than_the_bound_are_tried() {
    for (count, reached) in
        [(limits::DELIVERY_ADDRESSES, true), (limits::DELIVERY_ADDRESSES + 1, false)]
    {
        let last = u8::try_from(count).expect("few");
        let (world, sys) = World::new(move |to| {
            if to.ip() == IpAddr::V4(Ipv4Addr::new(192, 0, 2, last)) {
                opens(&[])
            } else {
                Knock::Refused
            }
        });
        let resolver = Resolver::new(&sys, Vec::new());
        let hosts: Vec<String> = (1..=count).map(|n| format!("192.0.2.{n} one.example")).collect();
        resolver.set_hosts(&hosts.join("\n"));
        let way = Way {
            sys: &sys,
            resolver: &resolver,
            hostname: "x",
            port: 25,
            ipv6: true,
            without: &[],
            chunkless: &Chunkless::default(),
            policies: None,
        };
        let mut freight = Crate::new(1, 1);
        let destination = smarthost(25, TlsPolicy::None, false);
        let result = world.run(deliver(&way, &destination, &mut freight));
        assert_eq!(result.is_ok(), reached, "{count}");
    }
}

#[test]
fn a_refused_login_makes_mail_wait_and_is_not_tried_elsewhere() {
    let rules =
        || opens(&[("EHLO", "250-mx\r\n250 AUTH PLAIN"), ("AUTH", "535 5.7.8 Wrong password")]);
    let mut freight = Crate::new(1, 1);
    let world = world(rules, rules);
    let resolver = Resolver::new(&world.1, Vec::new());
    resolver.set_hosts("192.0.2.1 one.example\n192.0.2.2 one.example\n");
    let destination = smarthost(465, TlsPolicy::Verify, true);
    let way = Way {
        sys: &world.1,
        resolver: &resolver,
        hostname: "x",
        port: 25,
        ipv6: false,
        without: &[],
        chunkless: &Chunkless::default(),
        policies: None,
    };
    let failure = world.0.run(deliver(&way, &destination, &mut freight)).expect_err("no login");
    assert_eq!(failure.outcome.status, LOGIN_REFUSED);
    assert!(failure.outcome.text.ends_with("535 5.7.8 Wrong password"));
    assert!(failure.contact);
    let logins = world.0.heard.borrow().iter().filter(|line| line.contains("AUTH")).count();
    assert_eq!(logins, 1);
    assert!(freight.spoken.contains(&"C: AUTH PLAIN …".into()), "{:?}", freight.spoken);
    let shown = freight.spoken.join("\n");
    assert!(shown.contains("S: 535") && !shown.contains("secret"), "{shown}");
}

#[test]
fn mail_waits_where_a_smarthost_wants_a_login_that_was_not_given() {
    let rules = || opens(&[("MAIL", "530 5.7.0 Authentication required")]);
    for (destination, status) in [(smarthost(25, TlsPolicy::May, false), "4.7.8"), (mx(), "5.7.0")]
    {
        let mut freight = Crate::new(1, 1);
        assert_eq!(run(&destination, &mut freight, &world(rules, rules)), Ok(()));
        assert_eq!(freight.statuses(), [status]);
    }
}

#[test]
fn what_a_servers_says_about_a_login_counts_from_a_smarthost_alone() {
    for (command, status) in [("", "4.7.0"), ("MAIL", "4.7.0"), ("RCPT", "4.7.0")] {
        let world = World::new(move |_| Knock::Opens(server(&[(command, "450 4.7.8 Log in")])));
        let mut freight = Crate::new(1, 1);
        match run(&mx(), &mut freight, &world) {
            Ok(()) => assert_eq!(freight.statuses(), [status], "{command}"),
            Err(failure) => assert_eq!(failure.outcome.status.to_string(), status, "{command}"),
        }
    }
}

#[test]
fn a_route_that_requires_tls_does_without_no_server() {
    let mut freight = Crate::new(1, 1);
    let world_ = world(|| opens(&[]), || opens(&[]));
    let destination = Destination { tls: TlsPolicy::Require, ..mx() };
    let failure = run(&destination, &mut freight, &world_).expect_err("no TLS");
    assert_eq!(failure.outcome.status.to_string(), "4.7.4");

    let world_ = world(|| Knock::Opens(tls_rules()), || Knock::Refused);
    let bad = TlsError::Certificate("it has expired\nyesterday".into());
    world_.0.tls.borrow_mut().push_back(bad);
    let destination = Destination { tls: TlsPolicy::Verify, ..mx() };
    let failure = run(&destination, &mut freight, &world_).expect_err("no TLS");
    assert_eq!(failure.outcome.status.to_string(), "4.7.5");
    assert_eq!(
        failure.outcome.text,
        "one.example [192.0.2.1]: certificate refused: it has expired yesterday"
    );
    let handshakes = world_.0.handshakes.borrow();
    assert_eq!(*handshakes, [("one.example".to_string(), Trust::Verify)]);
    assert!(!world_.0.heard.borrow().iter().any(|line| line.contains("MAIL")));
}

#[test]
fn where_tls_is_broken_and_not_required_mail_goes_in_clear() {
    let world = world(|| Knock::Opens(tls_rules()), || Knock::Refused);
    world.0.tls.borrow_mut().push_back(TlsError::Failed("it is from 1999".into()));
    let mut freight = Crate::new(1, 1);
    assert_eq!(run(&mx(), &mut freight, &world), Ok(()));
    assert_eq!(freight.texts(), [["250 2.0.0 Queued"]]);
    assert_eq!(world.0.handshakes.borrow().len(), 1);
    assert!(matches!(
        &freight.notes[..],
        [Note::Connected(_), Note::Insecure(..), Note::InClear(..), Note::Connected(_)]
    ));
}

#[test]
fn a_login_that_a_server_gives_no_way_to_waits_for_a_person() {
    let why = "offers no TLS, and no password is shown without it";
    for hello in ["250-one.example\r\n250 AUTH PLAIN", "250-one.example\r\n250 SIZE"] {
        let world = World::new(move |_| Knock::Opens(server(&[("EHLO", hello)])));
        let mut freight = Crate::new(1, 1);
        let failure = run(&smarthost(25, TlsPolicy::May, true), &mut freight, &world);
        let failure = failure.expect_err("no login");
        assert!(waits_for_a_person(&failure.outcome), "{:?}", failure.outcome);
        assert!(failure.outcome.text.ends_with(why), "{}", failure.outcome.text);
        assert!(!world.0.heard.borrow().iter().any(|line| line.contains("AUTH")));
    }
}

#[test]
fn no_password_goes_in_clear_where_tls_is_broken() {
    let world = world(|| Knock::Opens(tls_rules()), || Knock::Refused);
    world.0.tls.borrow_mut().push_back(TlsError::Failed("no".into()));
    let mut freight = Crate::new(1, 1);
    let failure =
        run(&smarthost(25, TlsPolicy::May, true), &mut freight, &world).expect_err("none");
    assert_eq!(failure.outcome.status.to_string(), "4.7.5");
    assert!(failure.outcome.text.ends_with(": no"), "{}", failure.outcome.text);
    assert_eq!(world.0.handshakes.borrow().len(), 1);
    assert!(!world.0.heard.borrow().iter().any(|line| line.contains("AUTH")));
}

#[test]
fn the_other_engine_is_tried_once_over_a_new_connection() {
    let other = || TlsError::OtherEngine("no X25519".into());
    for (troubles, handshakes, notes) in [(1, 2, 3), (2, 2, 5)] {
        let world = world(|| Knock::Opens(tls_rules()), || Knock::Refused);
        world.0.tls.borrow_mut().extend((0..troubles).map(|_| other()));
        let mut freight = Crate::new(1, 1);
        assert_eq!(run(&mx(), &mut freight, &world), Ok(()));
        assert_eq!(freight.texts(), [["250 2.0.0 Queued"]]);
        assert_eq!(world.0.handshakes.borrow().len(), handshakes);
        assert_eq!(freight.notes.len(), notes, "{:?}", freight.notes);
    }
}

#[test]
fn an_engine_that_breaks_after_the_handshake_makes_room_for_the_other_once_and_never_for_clear() {
    for (breaks, taken) in [(1, true), (2, false)] {
        let world = world(|| Knock::Opens(tls_rules()), || Knock::Refused);
        world.0.brittle.set(breaks);
        let mut freight = Crate::new(1, 1);
        let run = run(&smarthost(25, TlsPolicy::May, false), &mut freight, &world);
        assert_eq!(run.is_ok(), taken);
        assert_eq!(world.0.handshakes.borrow().len(), 2);
        if let Err(failure) = run {
            assert!(failure.outcome.text.contains("connection lost"), "{failure:?}");
            assert!(failure.contact, "a banner came before it");
        }
        let connections =
            freight.notes.iter().filter(|note| matches!(note, Note::Connected(_))).count();
        assert_eq!(connections, 2, "each of them was encrypted");
    }
}

#[test]
fn port_465_is_encrypted_before_the_first_word() {
    let world = world(|| Knock::Opens(tls_rules()), || Knock::Refused);
    let mut freight = Crate::new(1, 1);
    let destination = smarthost(465, TlsPolicy::Require, true);
    assert_eq!(run(&destination, &mut freight, &world), Ok(()));
    let handshakes = world.0.handshakes.borrow();
    assert_eq!(*handshakes, [("one.example".to_string(), Trust::Opportunistic)]);
    let heard = world.0.heard_at("192.0.2.1:465");
    assert_eq!(heard[..2], [" EHLO relay.example", " AUTH PLAIN AHRpbQBzZWNyZXQ="]);
    assert_eq!(freight.statuses(), ["2.0.0"]);
    let encrypted =
        |note: &Note| matches!(note, Note::Encrypted(_, facts, _) if facts.version == "TLSv1.3");
    assert!(freight.notes.iter().any(encrypted));
}

#[test]
fn port_465_never_falls_back_to_clear() {
    let world = world(|| Knock::Opens(tls_rules()), || Knock::Refused);
    world.0.tls.borrow_mut().push_back(TlsError::Failed("no".into()));
    let mut freight = Crate::new(1, 1);
    let failure = run(&smarthost(465, TlsPolicy::May, false), &mut freight, &world);
    assert_eq!(failure.expect_err("no TLS").outcome.status.to_string(), "4.7.5");
    assert!(world.0.heard.borrow().is_empty());
}

#[test]
fn a_server_that_does_not_take_the_chunks_it_offers_gets_data_next_time() {
    for refusal in [&[("BDAT", "502 What?")][..], &[("BDAT", "")], &[("BDAT", "~")]] {
        let offers = [("EHLO", "250-mx\r\n250 CHUNKING")];
        let rules: Vec<_> = offers.iter().chain(refusal).copied().collect();
        let (world, sys) = World::new(move |_| Knock::Opens(server(&rules)));
        let resolver = Resolver::new(&sys, vec!["192.0.2.53:53".parse().expect("an address")]);
        resolver.set_hosts(HOSTS);
        let chunkless = Chunkless::default();
        let way = Way {
            sys: &sys,
            resolver: &resolver,
            hostname: "x",
            port: 25,
            ipv6: false,
            without: &[],
            chunkless: &chunkless,
            policies: None,
        };
        let mut freight = Crate::new(1, 1);
        freight.waiting[0].size = limits::BDAT_MESSAGE_BYTES;
        freight.waiting.push(freight.waiting[0].clone());
        assert_eq!(world.run(deliver(&way, &mx(), &mut freight)), Ok(()));
        assert_eq!(freight.statuses().len(), 1);
        assert_eq!(freight.reports[0][0].status.class, Class::Transient);
        assert_eq!(world.run(deliver(&way, &mx(), &mut freight)), Ok(()));
        assert_eq!(freight.texts()[1], ["250 2.0.0 Queued"], "{refusal:?}");
        let heard = world.heard_at(ONE);
        assert_eq!(heard.iter().filter(|line| line.starts_with(" BDAT")).count(), 1);
    }
}
