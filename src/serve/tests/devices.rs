//! Devices: rules of their own, what is remembered of them, and what is overlooked of how they
//! speak.

use super::*;
use crate::serve::web::office::DeviceRow;

/// The configuration, with rules for the camera.
fn ruled(rules: &str) -> House {
    let entry = format!(r#""devices": [{{"address": "192.168.1.20", {rules}}}], "domains""#);
    let password = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$\
                    cq9eQRCw0zlQ6+BJpWfLYxhMqEH3YSxwpO8vcHKrXJo";
    let users = format!(r#"[{{"name": "alice", "password": "{password}"}}"#);
    House::with(&CONFIG.replace("\"domains\"", &entry).replace(r#"[{"name": "alice"}"#, &users))
}

fn devices(house: &House) -> Vec<DeviceRow> {
    house.world.wait(house.desk().devices())
}

#[test]
fn a_device_that_is_refused_is_known_with_the_reason_and_allowed_by_its_address() {
    let house = House::with(&CONFIG.replace("192.168.1.0/24", "10.0.0.0/8"));
    house.world.server(SMARTHOST);
    let mut session = house.call(25, CAMERA);
    session.says("EHLO reolink", "250");
    session.says("MAIL FROM:<camera@home.test>", "250");
    session.says("RCPT TO:<me@example.org>", "550 5.7.1");
    session.says("DATA", "554 5.5.1");
    let row = &devices(&house)[0];
    assert_eq!((row.address.as_str(), row.access.as_str()), ("192.168.1.20", "near"));
    let no = row.last_refusal.as_ref().expect("it was refused");
    assert!(no.reply.starts_with("550 5.7.1 Relaying denied"), "{no:?}");
    assert!(no.reason.contains("`trusted`") && no.to == "me@example.org", "{no:?}");
    assert_eq!((row.helo.as_str(), row.messages, row.refused), ("reolink", 0, 2));
    // The session goes on, and the rule counts from its next transaction on.
    house.configure(r#""domains""#, r#""devices": [{"address": "192.168.1.20"}], "domains""#);
    session.says("RSET", "250");
    session.says("MAIL FROM:<camera@home.test>", "250");
    session.says("RCPT TO:<me@example.org>", "250");
    session.says("DATA", "354");
    session.says("Subject: x\r\n\r\nx\r\n.", "250");
    let row = &devices(&house)[0];
    assert_eq!((row.access.as_str(), row.messages, row.entry), ("allow", 1, Some(0)));
    // All of it is known after a restart, the latest first; strangers are not.
    session.says("QUIT", "221");
    let mut stranger = house.call(25, STRANGER);
    stranger.says("EHLO x", "250");
    stranger.says("QUIT", "221");
    assert_eq!(devices(&house).len(), 2);
    house.pass(660);
    let house = house.restart();
    house.pass(1);
    let rows = devices(&house);
    assert_eq!((rows.len(), rows[0].messages, rows[0].helo.as_str()), (1, 1, "reolink"));
    house.desk().forget_device("192.168.1.20".parse().expect("an address"));
    let rows = devices(&house);
    assert_eq!((rows.len(), rows[0].seen), (1, None), "its entry stays");
}

#[test]
fn the_narrowest_rule_counts_and_goes_before_the_network() {
    let rules = r#""devices": [{"address": "192.168.1.0/24", "access": "block"},
                              {"address": "192.168.1.20", "name": "cam"}], "domains""#;
    let house = House::with(&CONFIG.replace("\"domains\"", rules));
    let id = house.send("camera@home.test", &["alice@home.test"], "alarm");
    house.world.run();
    assert_eq!(house.mailbox("alice").len(), 1, "{id}");
    let blocked = house.world.connect("0.0.0.0:25", "192.168.1.21:1").expect("it listens");
    house.world.run();
    assert_eq!(blocked.take(), "554 5.7.1 Nothing is taken from your address\r\n");
    let refused = house.world.told("refused");
    assert!(refused[0].contains("peer=192.168.1.21"), "{refused:?}");
}

#[test]
fn who_is_blocked_in_the_middle_of_a_session_gets_no_further() {
    let house = House::new();
    let mut session = house.call(25, CAMERA);
    session.says("EHLO x", "250");
    let rules = r#""devices": [{"address": "192.168.1.20", "access": "block"}], "domains""#;
    house.configure(r#""domains""#, rules);
    session.says("MAIL FROM:<x@home.test>", "554 5.7.1");
}

#[test]
fn a_device_that_must_log_in_may_do_so_in_clear_and_one_that_must_encrypt_may_not() {
    let house = ruled(r#""access": "login""#);
    let mut session = house.call(25, CAMERA);
    let offered = session.says("EHLO x", "250");
    assert!(offered.contains("AUTH PLAIN LOGIN"), "{offered}");
    session.says("MAIL FROM:<x@home.test>", "250");
    session.says("RCPT TO:<me@example.org>", "550 5.7.1");
    let refused = house.world.told("refused");
    assert!(refused[0].contains("must log in, as `devices` says"), "{refused:?}");
    let house = ruled(r#""encrypted": true"#);
    let mut session = house.call(25, CAMERA);
    let offered = session.says("EHLO x", "250");
    assert!(!offered.contains("AUTH") && offered.contains("STARTTLS"), "{offered}");
    session.says("MAIL FROM:<x@home.test>", "530 5.7.0 Must issue STARTTLS first");
    let mut session = house.call(465, CAMERA);
    session.says("EHLO x", "250");
    session.says("MAIL FROM:<x@home.test>", "250");
}

#[test]
fn whatever_a_device_logs_in_with_is_good_where_that_is_said_and_nowhere_else() {
    let rules = r#""devices": [{"address": "192.168.1.20", "access": "any-login"}], "domains""#;
    let house = House::with(&CONFIG.replace("\"domains\"", rules));
    house.world.server(SMARTHOST);
    let mut session = house.call(25, CAMERA);
    assert!(session.says("EHLO cam", "250").contains("AUTH"), "though no user has a password");
    session.says("AUTH LOGIN YWRtaW4=", "334");
    session.says("", "235");
    session.says("MAIL FROM:<anything@example.net>", "250");
    session.says("RCPT TO:<me@example.org>", "250");
    session.says("DATA", "354");
    session.says("Subject: x\r\n\r\nx\r\n.", "250");
    let told = house.world.told("accepted");
    assert!(told[0].contains("login without a password"), "{told:?}");
    let mut stranger = house.call(25, STRANGER);
    assert!(!stranger.says("EHLO x", "250").contains("AUTH"));
    stranger.says("AUTH LOGIN YWRtaW4=", "502");
}

#[test]
fn what_a_device_says_wrong_is_put_right_and_told() {
    let house = House::new();
    house.world.server(SMARTHOST);
    let wire = house.world.connect("0.0.0.0:25", CAMERA).expect("it listens");
    let say = |text: &str| {
        wire.send(text.as_bytes());
        house.world.run();
        wire.take()
    };
    house.world.run();
    let talk = "helo\nmail from: camera\nrcpt to: me@example.org\ndata\n";
    assert!(say(talk).ends_with("354 End data with <CR><LF>.<CR><LF>\r\n"));
    assert!(say("Subject: Alarm\nContent-Type: text/plain\n\nMotion\n..\n.\n").starts_with("250"));
    wire.close();
    house.pass(1);
    let told = house.world.told("accepted");
    let repairs = ["EHLO without a name", "lines ended with LF alone", "Date added", "To added"];
    for repair in repairs.iter().chain(&["From added", "Message-ID added", "MIME-Version added"]) {
        assert!(told[0].contains(repair), "{repair}: {told:?}");
    }
    let mail = house.world.mail.take();
    assert_eq!(mail[0].from, "camera@home.test");
    assert!(mail[0].text.ends_with("\r\n\r\nMotion\r\n.\r\n"), "{}", mail[0].text);
    let row = &devices(&house)[0];
    assert!(row.repairs.contains(&"lines ended with LF alone".to_string()), "{row:?}");
    // A stranger is told what is wrong with each of these.
    for (line, answer) in [("EHLO", "501"), ("MAIL FROM:<a@b>", "503"), ("NOOP\nNOOP", "500")] {
        let mut session = house.call(25, STRANGER);
        session.says(line, answer);
    }
}

#[test]
fn text_of_a_device_says_of_which_characters_it_is() {
    let house = House::new();
    house.world.server(SMARTHOST);
    house.send("camera@home.test", &["me@example.org"], "T\u{fc}r offen");
    house.send("camera@home.test", &["me@example.org"], "Door open");
    house.pass(1);
    let mail = house.world.mail.take();
    assert!(
        mail[0].text.contains("Content-Type: text/plain; charset=utf-8\r\n"),
        "{}",
        mail[0].text
    );
    assert!(!mail[1].text.contains("charset"), "{}", mail[1].text);
    assert_eq!(house.world.told("labelled").len(), 1);
}

#[test]
fn its_mail_leaves_from_its_own_sender_and_its_failures_go_to_its_owner() {
    let rules = r#""devices": [{"address": "192.168.1.20", "sender": "alarm@mine.example",
                               "owner": "bob"}], "domains""#;
    let house = House::with(&CONFIG.replace("\"domains\"", rules));
    house.world.server(SMARTHOST).says(&[("RCPT TO:<ghost", "550 5.1.1 No such user")]);
    house.send("camera@home.test", &["me@example.org"], "alarm");
    house.send("camera@home.test", &["ghost@example.org"], "lost");
    house.send("camera@home.test", &["alice@home.test"], "here");
    house.pass(60);
    let mail = house.world.mail.take();
    assert_eq!((mail.len(), mail[0].from.as_str()), (1, "alarm@mine.example"));
    assert!(mail[0].text.contains("<alarm@mine.example>"), "{}", mail[0].text);
    assert!(house.mailbox("bob")[0].contains("ghost@example.org"), "{:?}", house.mailbox("bob"));
    assert!(
        house.mailbox("alice")[0].contains("camera@home.test"),
        "who reads here is not lied to"
    );
}

#[test]
fn the_senders_of_a_route_go_before_that_of_a_device() {
    let rules =
        r#""devices": [{"address": "192.168.1.20", "sender": "alarm@mine.example"}], "domains""#;
    let senders = r#""tls": "none", "senders": ["me@gmail.com", "*@ok.example"]}"#;
    let config = CONFIG.replace("\"domains\"", rules).replace(r#""tls": "may"}"#, senders);
    let house = House::with(&config);
    house.world.server(SMARTHOST);
    house.send("camera@home.test", &["me@example.org"], "one");
    house.configure("alarm@mine.example", "alarm@ok.example");
    house.send("camera@home.test", &["me@example.org"], "two");
    house.pass(1);
    let from: Vec<String> = house.world.mail.take().into_iter().map(|mail| mail.from).collect();
    assert_eq!(from, ["me@gmail.com", "alarm@ok.example"]);
}

#[test]
fn a_device_that_falls_silent_is_told() {
    let house = ruled(r#""name": "Cellar", "expect_every": "1h""#);
    house.world.server(SMARTHOST);
    let silent = || {
        let problems = house.world.wait(house.desk().status()).problems.into_iter();
        problems.filter(|p| p.key == "devices").map(|p| p.words).collect::<Vec<_>>()
    };
    assert_eq!(silent(), Vec::<String>::new());
    house.pass(3_590);
    assert_eq!(silent(), Vec::<String>::new());
    house.pass(10);
    let words =
        "Cellar has sent nothing since this relay started; it is expected to every 60 minutes";
    assert_eq!(silent(), [words]);
    assert!(devices(&house)[0].silent);
    house.send("camera@home.test", &["alice@home.test"], "alarm");
    assert_eq!(silent(), Vec::<String>::new());
    house.pass(7_200);
    assert_eq!(
        silent(),
        ["Cellar has sent nothing for 2 hours; it is expected to every 60 minutes"]
    );
}
