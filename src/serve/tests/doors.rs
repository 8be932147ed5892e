//! Who may come in, and what they are told.

use super::super::web::office::UserChange;
use super::*;
use crate::limits;

#[test]
fn a_message_goes_from_a_device_to_the_smarthost() {
    let house = House::new();
    house.world.server(SMARTHOST);
    let id = house.send("camera@home.test", &["me@example.org"], "alarm");
    house.world.run();
    let mail = house.world.mail.borrow();
    assert_eq!(mail.len(), 1, "{:?}", house.world.log.borrow());
    assert_eq!(mail[0].to, ["me@example.org"]);
    assert!(mail[0].text.contains(&id.to_string()) && mail[0].text.ends_with("\r\n\r\nalarm\r\n"));
    assert!(house.running.relay.queue.is_empty());
}

#[test]
fn its_way_is_in_the_log_from_the_first_word_to_the_smarthosts_last() {
    let house = House::new();
    house.world.server(SMARTHOST).says(&[(".", "250 2.0.0 Ok: kept as 4711")]);
    let id = house.send("camera@home.test", &["me@example.org"], "alarm");
    house.world.run();
    let log = house.world.log.borrow();
    let id = format!(" id={id} msgid=");
    let lines: Vec<&String> = log.iter().filter(|line| line.contains(&id)).collect();
    let kinds: Vec<&str> = lines.iter().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(kinds, ["event=accepted", "event=connected", "event=delivered"], "{log:?}");
    assert!(lines[0].contains("192.168.1.20") && lines[0].contains("to=me@example.org"));
    assert!(lines[2].contains("4711") && lines[2].contains("192.0.2.25"));
}

#[test]
fn strangers_reach_our_users_and_nobody_else_and_the_log_says_why() {
    let house = House::new();
    let mut session = house.call(25, STRANGER);
    assert_eq!(session.banner, "220 relay.test ESMTP Waypost\r\n");
    session.says("EHLO stranger", "250");
    session.says("MAIL FROM:<x@example.net>", "250 2.1.0");
    let denied = session.says("RCPT TO:<me@example.org>", "550 5.7.1");
    assert!(!denied.contains("trusted`"), "our reasons are not the stranger's: {denied}");
    session.says("RCPT TO:<nobody@home.test>", "550 5.1.1");
    session.says("DATA", "554 5.5.1");
    session.says("RCPT TO:<alice@home.test>", "250 2.1.5");
    session.says("DATA", "354");
    session.says("Subject: x\r\n\r\nx\r\n.", "250 2.0.0");
    house.world.run();
    assert_eq!(house.mailbox("alice").len(), 1);
    let refused = house.world.told("refused");
    assert!(refused[0].contains("to=me@example.org") && refused[0].contains("`trusted`"));
    assert!(refused[0].contains("peer=203.0.113.9") && refused[0].contains("from=x@example.net"));
    assert!(refused[1].contains("to=nobody@home.test"), "{refused:?}");
}

#[test]
fn submission_needs_a_login_but_in_trusted_networks() {
    let house = House::new();
    let mut session = house.call(587, STRANGER);
    session.says("EHLO stranger", "250");
    session.says("MAIL FROM:<alice@home.test>", "530 5.7.0");
    session.says("MAIL FROM:<>", "530 5.7.0");
    let mut session = house.call(465, STRANGER);
    session.says("EHLO stranger", "250");
    session.says("MAIL FROM:<alice@home.test>", "530 5.7.0");
    let mut session = house.call(587, CAMERA);
    session.says("EHLO camera", "250");
    session.says("MAIL FROM:<alice@home.test>", "250 2.1.0");
}

#[test]
fn an_ipv4_peer_of_an_ipv6_listener_is_who_it_is() {
    let house = House::new();
    for (from, answer) in [("[::ffff:192.168.1.20]:9", "250"), ("[::ffff:203.0.113.9]:9", "550")] {
        let mut session = house.call(25, from);
        session.says("EHLO x", "250");
        session.says("MAIL FROM:<x@example.net>", "250");
        session.says("RCPT TO:<me@example.org>", answer);
    }
}

#[test]
fn an_alias_reaches_people_here_and_elsewhere() {
    let config = CONFIG.replace(
        "\"routes\"",
        r#""aliases": [{"from": "family", "to": ["alice", "bob", "me@example.org"]}], "routes""#,
    );
    let house = House::with(&config);
    house.world.server(SMARTHOST);
    house.send("camera@home.test", &["family@home.test", "bob+x@home.test"], "dinner");
    house.world.run();
    assert_eq!((house.mailbox("alice").len(), house.mailbox("bob").len()), (1, 2));
    let mail = house.world.mail.borrow();
    assert_eq!(mail.iter().map(|mail| mail.to.clone()).collect::<Vec<_>>(), [["me@example.org"]]);
}

#[test]
fn sessions_are_let_in_up_to_their_bounds_and_not_one_past() {
    let limits = r#""limits": {"sessions": 5, "sessions_per_address": 3}, "routes""#;
    let house = House::with(&CONFIG.replace("\"routes\"", limits));
    let one: Vec<_> = (0..3).map(|_| house.call(25, CAMERA)).collect();
    assert!(one.iter().all(|session| session.banner.starts_with("220 ")));
    let past = house.call(25, CAMERA);
    assert!(past.banner.starts_with("421 4.3.2 Too many sessions from your"), "{}", past.banner);
    assert!(past.wire.is_over());
    let others = [house.call(25, "192.168.1.21:9"), house.call(587, "192.168.1.22:9")];
    assert!(others.iter().all(|session| session.banner.starts_with("220 ")));
    let past = house.call(587, "192.168.1.23:9");
    assert!(past.banner.starts_with("421 4.3.2 Too many sessions,"), "{}", past.banner);
    assert_eq!(house.world.told("refused").len(), 2);
    drop(one);
    house.world.run();
    assert!(house.call(25, CAMERA).banner.starts_with("220 "), "who leaves makes room");
}

#[test]
fn a_household_counts_as_one_peer_by_ipv6() {
    let limits = r#""limits": {"sessions_per_address": 1}, "routes""#;
    let house = House::with(&CONFIG.replace("\"routes\"", limits));
    let first = house.call(25, "[2001:db8::1]:9");
    assert!(first.banner.starts_with("220 "));
    assert!(house.call(25, "[2001:db8::2]:9").banner.starts_with("421 "));
    assert!(house.call(25, "[2001:db8:0:1::1]:9").banner.starts_with("220 "));
}

#[test]
fn a_full_spool_says_so_at_mail_and_takes_mail_again_when_there_is_room() {
    let limits = r#""limits": {"spool": "4M", "message": "64K"}, "routes""#;
    let house = House::with(&CONFIG.replace("\"routes\"", limits));
    let body = "x".repeat(900) + "\r\n";
    let body = body.repeat(60);
    let mut session = house.call(25, CAMERA);
    session.says("EHLO camera", "250");
    let mut ids = Vec::new();
    let full = loop {
        let said = session.say("MAIL FROM:<camera@home.test>");
        if !said.starts_with("250") {
            break said;
        }
        session.says("RCPT TO:<me@example.org>", "250");
        session.says("DATA", "354");
        let said = session.say(&format!("Subject: x\r\n\r\n{body}."));
        if !said.starts_with("250") {
            break said;
        }
        ids.push(said.split_whitespace().last().expect("an id").parse().expect("an id"));
    };
    assert!(full.starts_with("452 4.3.1"), "{full}");
    assert!(ids.len() > 10, "{}", ids.len());
    session.says("MAIL FROM:<camera@home.test> SIZE=50000", "452 4.3.1");
    assert!(house.spool_problem().contains("nearly full"), "{}", house.spool_problem());
    while session.say("MAIL FROM:<camera@home.test>").starts_with("250") {
        session.says("RCPT TO:<me@example.org>", "250");
        session.says("DATA", "354");
        let said = session.say("Subject: x\r\n\r\nx\r\n.");
        if said.starts_with("250") {
            ids.push(said.split_whitespace().last().expect("an id").parse().expect("an id"));
        }
    }
    assert!(house.spool_problem().contains("is full"), "{}", house.spool_problem());
    assert!(house.world.told("refused").iter().all(|line| line.contains("reason=")));
    for id in ids {
        house.act(id, Action::Drop).expect("it waits");
    }
    house.pass(5);
    session.says("MAIL FROM:<camera@home.test> SIZE=50000", "250");
    assert_eq!(house.spool_problem(), "");
}

#[test]
fn sessions_that_have_ended_leave_nothing_behind() {
    let house = House::new();
    let relay = &house.running.relay;
    let before = (house.world.tasks(), relay.stop.waiting());
    for _ in 0..50 {
        house.call(25, STRANGER).says("EHLO x", "250");
        house.world.run();
    }
    assert_eq!((house.world.tasks(), relay.stop.waiting()), before);
    assert_eq!(relay.busy.get(), 0);
}

#[test]
fn who_is_silent_is_told_so_and_is_in_the_log() {
    let house = House::new();
    let mut session = house.call(25, CAMERA);
    session.says("EHLO camera", "250");
    session.says("MAIL FROM:<camera@home.test>", "250");
    let mut other = house.call(25, STRANGER);
    other.says("EHLO stranger", "250");
    house.world.pass(limits::COMMAND_WAIT);
    assert!(session.wire.take().starts_with("421 4.4.2"));
    assert!(session.wire.is_over() && other.wire.is_over());
    let told = house.world.told("broken-off");
    assert!(told[0].contains("192.168.1.20") && told[0].contains("too long"), "{told:?}");
    let told = house.world.told("timed-out");
    assert!(told[0].contains("203.0.113.9 helo=stranger"), "{told:?}");
}

#[test]
fn what_the_session_refuses_by_itself_is_in_the_log() {
    let house =
        House::with(&CONFIG.replace("\"routes\"", r#""limits": {"message": "64K"}, "routes""#));
    let mut session = house.call(25, CAMERA);
    session.says("EHLO camera", "250");
    session.says("MAIL FROM:<camera@home.test> SIZE=70000", "552 5.3.4");
    session.says("MAIL FROM:<camera@home.test", "501 5.5.2");
    session.says("MAIL FROM:<camera@home.test>", "250");
    session.says("RCPT TO:<me@example.org>", "250");
    session.says("DATA", "354");
    session.says(&format!("Subject: x\r\n\r\n{}.", "x\r\n".repeat(30_000)), "552 5.3.4");
    session.says("MAIL FROM:<camera@home.test>", "250");
    session.says("RCPT TO:<me@example.org>", "250");
    session.says("DATA", "354");
    session.says("Subject: x\r\n\r\nbare\nline\r\n.", "554 5.6.0");
    assert!(session.wire.is_over());
    let told = house.world.told("refused");
    assert_eq!(told.len(), 4, "{told:?}");
    assert!(told.iter().all(|line| line.contains("peer=192.168.1.20 helo=camera")));
    assert!(told[2].contains("from=camera@home.test to=me@example.org reply=\"552 5.3.4"));
    assert!(told[3].contains("from=camera@home.test to=me@example.org reply=\"554 5.6.0"));
}

#[test]
fn a_message_that_was_never_whole_is_in_the_log() {
    let house = House::new();
    let mut session = house.call(25, CAMERA);
    session.says("EHLO camera", "250");
    session.says("MAIL FROM:<camera@home.test>", "250");
    session.says("RCPT TO:<me@example.org>", "250");
    session.says("DATA", "354");
    session.say("Subject: x\r\n\r\nhalf");
    session.wire.close();
    house.world.run();
    let told = house.world.told("broken-off");
    assert!(told[0].contains("from=camera@home.test to=me@example.org"), "{told:?}");
    assert!(told[0].contains("the client hung up"), "{told:?}");
    assert!(house.running.relay.queue.is_empty());
}

#[test]
fn a_session_ends_with_so_many_failed_logins_and_the_right_one_gets_in() {
    let config =
        CONFIG.replace(r#"{"name": "alice"}"#, r#"{"name": "alice", "password": "open sesame"}"#);
    let house =
        House::with(&config.replace("\"routes\"", r#""limits": {"login_failures": 2}, "routes""#));
    let document = String::from_utf8(house.world.files.borrow()["waypost.json"].clone());
    assert!(!document.expect("text").contains("sesame"), "it is kept as its hash");
    let mut session = house.call(465, STRANGER);
    session.says("EHLO stranger", "250");
    // alice, "closed"
    session.wire.send(b"AUTH PLAIN AGFsaWNlAGNsb3NlZA==\r\n");
    house.pass(2);
    assert!(session.wire.take().starts_with("535 5.7.8"));
    session.wire.send(b"AUTH PLAIN AGFsaWNlAGNsb3NlZA==\r\n");
    house.pass(2);
    assert!(session.wire.take().starts_with("421 4.7.0"));
    assert!(session.wire.is_over());
    let failed = house.world.told("login-failed");
    assert_eq!(failed.len(), 2);
    assert!(failed[0].contains("user=alice") && failed[0].contains("peer=203.0.113.9"));
    let mut session = house.call(465, "203.0.113.10:9");
    session.says("EHLO alice", "250");
    session.says("AUTH PLAIN AGFsaWNlAG9wZW4gc2VzYW1l", "235 2.7.0");
    session.says("MAIL FROM:<bob@home.test>", "553 5.7.1");
    session.says("MAIL FROM:<alice@home.test>", "250");
    session.says("RCPT TO:<me@example.org>", "250");
    session.says("RSET", "250");
    let gone = house.running.control.user("alice", UserChange::Remove);
    house.world.wait(gone).expect("there was one");
    session.says("MAIL FROM:<>", "530 5.7.0");
    let log = house.world.log.borrow().join("\n");
    assert!(!log.contains("sesame") && !log.contains("c2VzYW1l") && !log.contains("argon2"));
}

#[test]
fn who_is_trusted_no_more_may_not_relay_in_a_session_that_goes_on() {
    let house = House::new();
    let mut session = house.call(25, CAMERA);
    session.says("EHLO camera", "250");
    session.says("MAIL FROM:<camera@home.test>", "250");
    session.says("RCPT TO:<me@example.org>", "250");
    session.says("RSET", "250");
    house.configure("192.168.1.0/24", "192.168.2.0/24");
    session.says("MAIL FROM:<camera@home.test>", "250");
    session.says("RCPT TO:<me@example.org>", "550 5.7.1");
}

#[test]
fn an_old_session_begins_no_transaction_and_an_endless_one_ends() {
    let house = House::new();
    let mut session = house.call(25, CAMERA);
    session.says("EHLO camera", "250");
    let step = Duration::from_mins(4);
    for _ in 0..11 {
        house.world.pass(step);
        session.says("NOOP", "250");
    }
    session.says("MAIL FROM:<camera@home.test>", "250");
    session.says("RCPT TO:<me@example.org>", "250");
    let mut late = house.call(25, CAMERA);
    late.says("EHLO camera", "250");
    house.world.pass(Duration::from_mins(1));
    session.says("RSET", "250");
    session.says("MAIL FROM:<camera@home.test>", "421 4.3.2");
    assert!(session.wire.is_over());
    late.says("MAIL FROM:<camera@home.test>", "250");
    late.says("RCPT TO:<me@example.org>", "250");
    late.says("DATA", "354");
    for _ in 0..29 {
        house.world.pass(Duration::from_mins(2));
        late.says("x", "");
    }
    assert!(!late.wire.is_over());
    house.world.pass(Duration::from_mins(2));
    assert!(late.wire.take().starts_with("421 4.4.2"));
    assert!(late.wire.is_over());
    assert!(house.world.told("broken-off")[0].contains("took too long"));
}

#[test]
fn a_port_may_move_from_all_addresses_to_one() {
    let house = House::new();
    house.configure(r#""smtp": ["0.0.0.0:25"]"#, r#""smtp": ["192.168.1.1:25"]"#);
    assert_eq!(house.running.control.problems(), []);
    assert!(house.world.connect("0.0.0.0:25", CAMERA).is_none());
    assert!(house.world.connect("192.168.1.1:25", CAMERA).is_some());
}

#[test]
fn a_start_that_fails_tells_a_wrong_configuration_from_a_failing_disk() {
    let secret =
        CONFIG.replace(r#"{"name": "alice"}"#, r#"{"name": "alice", "password": "sesame"}"#);
    for (text, broken, code) in [("{ \"hostname", "none", 78), (&*secret, "waypost.json", 74)] {
        let world = World::new();
        world.files.borrow_mut().insert("waypost.json".into(), text.into());
        *world.broken.borrow_mut() = Some(broken);
        let (document, machine) = ("waypost.json".into(), "machine".into());
        let files = Files { document, machine, board: None };
        match world.wait(start::open(&world.sys(), files)) {
            Err(failed) => assert_eq!(failed.code, code, "{:?}", failed.words),
            Ok(_) => panic!("it started with {text}"),
        }
    }
}

#[test]
fn authorities_that_cannot_be_read_are_told_and_take_nothing_else_away() {
    use crate::limits::AUTHORITIES_BYTES;
    let about = r#""hostname": "relay.test", "tls": {"authorities": "my-ca.pem"},"#;
    let config = CONFIG.replace(r#""hostname": "relay.test","#, about);
    for (octets, fine) in
        [(0, false), (1, true), (AUTHORITIES_BYTES, true), (AUTHORITIES_BYTES + 1, false)]
    {
        let world = World::new();
        world.files.borrow_mut().insert("waypost.json".into(), config.clone().into());
        if octets > 0 {
            world.files.borrow_mut().insert("my-ca.pem".into(), vec![b'x'; octets]);
        }
        let house = House::open(world);
        let problems = house.running.control.problems();
        let told = problems.iter().any(|problem| problem.key == "tls.authorities");
        assert_eq!(told, !fine, "{octets}: {problems:?}");
        let served = house.world.log.borrow().iter().any(|line| line.starts_with("certificate "));
        assert!(served, "the relay's own certificate is there all the same");
    }
}
