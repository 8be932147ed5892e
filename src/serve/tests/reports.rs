//! What senders are told of messages that do not arrive, or late, or do.

use super::*;

fn reports(house: &House, user: &str) -> Vec<String> {
    house.mailbox(user)
}

#[test]
fn of_three_recipients_the_one_that_was_refused_is_reported_and_the_two_have_it_once() {
    let house = House::new();
    let smarthost = house.world.server(SMARTHOST);
    smarthost.says(&[("RCPT TO:<no@", "550 5.1.1 No such user")]);
    let to = ["me@example.org", "no@example.org", "you@example.org"];
    let id = house.send("alice@home.test", &to, "hello");
    house.pass(5 * 86_400);
    let mail = house.world.mail.borrow();
    assert_eq!(mail.len(), 1);
    assert_eq!(mail[0].to, ["me@example.org", "you@example.org"]);
    let reports = reports(&house, "alice");
    assert_eq!(reports.len(), 1, "one, not more");
    assert!(reports[0].contains("Final-Recipient: rfc822; no@example.org"), "{}", reports[0]);
    assert!(reports[0].contains("550 5.1.1 No such user"));
    assert!(!reports[0].contains("me@example.org"));
    assert!(house.running.relay.queue.is_empty());
    let log = house.world.log.borrow().join("\n");
    assert!(log.contains(&format!("event=bounced id={id}")), "{log}");
    assert_eq!(house.world.told("delivered").len(), 2, "to two at once, and the report");
}

#[test]
fn a_delay_is_reported_once_and_the_end_too() {
    let house = House::new();
    house.world.server(SMARTHOST).says(&[("RCPT", "450 4.2.1 Later")]);
    house.send("alice@home.test", &["me@example.org"], "hello");
    house.pass(3 * 3_600);
    assert_eq!(reports(&house, "alice").len(), 0);
    house.pass(6 * 3_600);
    let after = reports(&house, "alice");
    assert_eq!(after.len(), 1);
    assert!(after[0].contains("Action: delayed") && after[0].contains("450 4.2.1 Later"));
    let house = house.restart();
    house.pass(3 * 86_400);
    assert_eq!(reports(&house, "alice").len(), 1);
    house.pass(3 * 86_400);
    let after = reports(&house, "alice");
    assert_eq!(after.len(), 2);
    let end = after.iter().find(|report| report.contains("Action: failed")).expect("the end");
    assert!(end.contains("Status: 5.4.7") && end.contains("450 4.2.1 Later"), "{end}");
    assert!(house.running.relay.queue.is_empty());
}

#[test]
fn a_null_sender_hears_nothing_and_the_log_says_so() {
    let house = House::new();
    house.world.server(SMARTHOST).says(&[("RCPT", "550 5.1.1 No such user")]);
    house.send("", &["me@example.org"], "hello");
    house.pass(60);
    assert!(house.running.relay.queue.is_empty());
    assert_eq!(house.world.told("bounced").len(), 0);
    assert_eq!(house.world.told("failed").len(), 1);
    assert_eq!(house.world.told("unreported").len(), 1);
}

fn asking(house: &House, notify: &str, to: &str) {
    let mut session = house.call(25, CAMERA);
    session.says("EHLO camera", "250");
    session.says("MAIL FROM:<alice@home.test>", "250");
    session.says(&format!("RCPT TO:<{to}> NOTIFY={notify}"), "250");
    session.says("DATA", "354");
    session.says("Subject: x\r\n\r\nx\r\n.", "250");
    house.world.run();
}

#[test]
fn success_is_reported_where_it_is_wanted_and_the_next_server_will_not() {
    let house = House::new();
    let smarthost = house.world.server(SMARTHOST);
    asking(&house, "SUCCESS", "me@example.org");
    assert_eq!(reports(&house, "alice").len(), 1);
    assert!(reports(&house, "alice")[0].contains("Action: relayed"));
    asking(&house, "SUCCESS", "bob@home.test");
    let told = reports(&house, "alice");
    assert!(told.len() == 2 && told.iter().any(|report| report.contains("Action: delivered")));
    asking(&house, "FAILURE", "me@example.org");
    assert_eq!(reports(&house, "alice").len(), 2);
    smarthost.says(&[("EHLO", "250-mx\r\n250 DSN")]);
    house.pass(60);
    asking(&house, "SUCCESS", "me@example.org");
    assert_eq!(reports(&house, "alice").len(), 2, "it is theirs to report now");
    assert!(house.running.relay.queue.is_empty());
}

#[test]
fn an_alias_of_several_is_reported_as_expanded_once_and_its_targets_only_where_they_fail() {
    let aliases = r#""aliases": [{"from": "all", "to": ["alice", "bob", "me@example.org"]},
        {"from": "bob", "to": ["bob", "you@example.org"]}], "routes""#;
    let house = House::with(&CONFIG.replace("\"routes\"", aliases));
    house.world.server(SMARTHOST).says(&[("RCPT TO:<me@", "550 5.1.1 No such user")]);
    asking(&house, "SUCCESS,FAILURE", "all@home.test");
    let told = reports(&house, "alice");
    let of = |action: &str| told.iter().filter(|told| told.contains(action)).count();
    assert_eq!((of("Action: expanded"), of("Action: failed"), told.len()), (1, 1, 3), "{told:?}");
    let expanded = told.iter().find(|told| told.contains("Action: expanded")).expect("one");
    for has in ["Final-Recipient: rfc822; all@home.test", "Status: 2.1.0", "was distributed"] {
        assert!(expanded.contains(has), "{has}: {expanded}");
    }
    let failed = told.iter().find(|told| told.contains("Action: failed")).expect("one");
    assert!(failed.contains("Original-Recipient: rfc822; all@home.test"), "{failed}");
    assert_eq!(reports(&house, "bob").len(), 1, "the message itself");
    // Who keeps a copy has it delivered.
    asking(&house, "SUCCESS", "bob@home.test");
    let told = reports(&house, "alice");
    let last: Vec<&String> = told.iter().filter(|t| t.contains("bob@home.test")).collect();
    assert!(last.len() == 1 && last[0].contains("Action: delivered"), "{last:?}");
    // Who wants to hear nothing of success hears nothing.
    let before = told.len();
    asking(&house, "FAILURE", "bob@home.test");
    assert_eq!(reports(&house, "alice").len(), before);
    assert!(house.running.relay.queue.is_empty());
}

#[test]
fn nobody_is_told_who_asked_not_to_be() {
    let house = House::new();
    house.world.server(SMARTHOST).says(&[("RCPT", "550 5.1.1 No such user")]);
    asking(&house, "NEVER", "me@example.org");
    assert!(house.running.relay.queue.is_empty());
    assert_eq!(reports(&house, "alice").len(), 0);
    assert!(house.world.told("unreported")[0].contains("NOTIFY"));
}

#[test]
fn a_spool_that_is_full_of_messages_that_fail_empties_by_their_reports() {
    let limits = r#""limits": {"spool": "4M", "message": "64K"}, "routes""#;
    let house = House::with(&CONFIG.replace("\"routes\"", limits));
    let mut session = house.call(25, CAMERA);
    session.says("EHLO camera", "250");
    let mut taken = 0;
    while session.say("MAIL FROM:<alice@home.test>").starts_with("250") {
        session.says("RCPT TO:<no@example.org>", "250");
        session.says("DATA", "354");
        if session.say("Subject: x\r\n\r\nx\r\n.").starts_with("250") {
            taken += 1;
        }
    }
    assert!(taken > 500, "{taken}");
    house.world.server(SMARTHOST).says(&[("RCPT", "550 5.1.1 No such user")]);
    house.pass(3_600);
    assert_eq!(house.running.relay.queue.len(), 0);
    assert_eq!(reports(&house, "alice").len(), taken);
    let mut session = house.call(25, CAMERA);
    session.says("EHLO camera", "250");
    session.says("MAIL FROM:<alice@home.test>", "250");
}

#[test]
fn while_the_disk_fails_nobody_gets_the_message_twice() {
    let house = House::new();
    let smarthost = house.world.server(SMARTHOST);
    smarthost.says(&[(".", "~")]);
    house.send("alice@home.test", &["me@example.org"], "hello");
    house.send("alice@home.test", &["you@example.org", "no@example.org"], "hello");
    house.world.run();
    assert_eq!(house.world.mail.borrow().len(), 0);
    smarthost.says(&[("RCPT TO:<no@", "450 4.2.1 Later")]);
    *house.world.broken.borrow_mut() = Some("spool/");
    house.pass(86_400);
    assert_eq!(house.world.mail.borrow().len(), 2, "after the timeout, once each");
    assert_eq!(house.running.relay.queue.len(), 2, "but that could not be noted");
    assert!(!house.world.told("unsettled").is_empty());
    *house.world.broken.borrow_mut() = None;
    smarthost.says(&[]);
    house.pass(86_400);
    let mail = house.world.mail.borrow();
    let mut to: Vec<&String> = mail.iter().flat_map(|mail| &mail.to).collect();
    to.sort();
    assert_eq!(to, ["me@example.org", "no@example.org", "you@example.org"]);
    assert!(house.running.relay.queue.is_empty());
}

#[test]
fn a_panic_in_an_attempt_costs_a_minute_and_no_message() {
    let house = House::new();
    house.world.server(SMARTHOST);
    *house.world.cursed.borrow_mut() = Some("mail/alice");
    house.send("bob@home.test", &["alice@home.test", "me@example.org"], "hello");
    house.pass(30);
    assert_eq!(house.world.panics.get(), 1);
    assert_eq!(house.world.mail.borrow().len(), 1);
    assert_eq!(house.mailbox("alice").len(), 0);
    house.pass(60);
    assert_eq!((house.world.panics.get(), house.world.mail.borrow().len()), (2, 1));
    *house.world.cursed.borrow_mut() = Some("nothing");
    house.pass(86_400);
    assert_eq!((house.mailbox("alice").len(), house.world.mail.borrow().len()), (1, 1));
    assert!(house.running.relay.queue.is_empty());
}

#[test]
fn many_recipients_are_all_in_the_log_and_all_are_found() {
    let house =
        House::with(&CONFIG.replace("\"routes\"", r#""limits": {"recipients": 100}, "routes""#));
    house.world.server(SMARTHOST).says(&[("RCPT TO:<somebody-77@", "550 5.1.1 No such user")]);
    let to: Vec<String> = (0..100).map(|n| format!("somebody-{n}@example.org")).collect();
    let to: Vec<&str> = to.iter().map(String::as_str).collect();
    house.send("alice@home.test", &to, "hello");
    house.world.run();
    let log = house.world.log.borrow().join("\n");
    for to in to {
        assert!(log.matches(to).count() >= 2, "{to}");
        let found = house.world.wait(house.desk().trace(to));
        let end = if to.starts_with("somebody-77@") { "failed" } else { "delivered" };
        let mut ends = found.iter().filter(|event| event.event == end);
        assert!(ends.any(|event| event.words.contains(to)), "{to}: {found:?}");
    }
}
