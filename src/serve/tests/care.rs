//! What a person does with the relay itself: tries a way out, looks for holes, undoes, backs up.

use super::*;
use crate::limits;
use crate::serve::web::office::{Scope, TrialAsked, TrialStep};

fn asked(route: &str, to: &str) -> TrialAsked {
    TrialAsked { route: route.into(), to: to.into(), from: String::new() }
}

#[test]
fn a_way_out_is_tried_with_values_that_are_not_saved_and_the_servers_words_are_told() {
    let house = House::new();
    let desk = house.desk();
    let other = "192.0.2.77:25";
    house
        .world
        .server(other)
        .says(&[("EHLO", "250-mx\r\n250 AUTH PLAIN"), (".", "250 2.0.0 Kept")]);
    let route = format!(
        r#"{{"for": "*", "via": "{other}", "tls": "none", "user": "me@mine.example", "password": "secret"}}"#
    );
    let number = desk.begin_trial(asked(&route, "you@example.org")).expect("it begins");
    let mut all: Vec<TrialStep> = Vec::new();
    let part = loop {
        let part = house.world.wait(desk.trial(number, all.len())).expect("it goes on");
        all.extend(part.steps.clone());
        if part.over {
            break part;
        }
    };
    let mail = house.world.mail.take();
    assert_eq!((mail.len(), mail[0].at.as_str()), (1, other));
    assert_eq!(
        (mail[0].from.as_str(), mail[0].to[0].as_str()),
        ("me@mine.example", "you@example.org")
    );
    assert!(mail[0].text.contains(&format!("Subject: Test message {}\r\n", part.code)));
    let stages: Vec<&str> = all.iter().map(|step| step.stage.as_str()).collect();
    for stage in ["dns", "connect", "hello", "login", "sender", "recipient", "message", "end"] {
        assert!(stages.contains(&stage), "{stage}: {stages:?}");
    }
    let said = |words: &str| all.iter().any(|step| step.words.contains(words));
    assert!(said("AUTH PLAIN …"), "{all:?}");
    assert!(!said("secret") && said("The server has taken the message: 250 2.0.0 Kept"), "{all:?}");
    assert!(house.running.control.document().contains(SMARTHOST), "nothing was saved");
    assert!(house.running.relay.queue.is_empty());
    assert_eq!(house.world.wait(desk.trial(number + 1, 0)), None);
}

#[test]
fn a_refused_login_is_told_word_by_word_with_what_to_do() {
    let house = House::new();
    let desk = house.desk();
    house.world.server(SMARTHOST).says(&[
        ("EHLO", "250-mx\r\n250 AUTH PLAIN"),
        ("AUTH", "535 5.7.8 Username and Password not accepted"),
    ]);
    let route = format!(
        r#"{{"for": "*", "via": "{SMARTHOST}", "tls": "none", "user": "me", "password": "wrong"}}"#
    );
    let number = desk.begin_trial(asked(&route, "you@example.org")).expect("it begins");
    house.pass(1);
    let part = house.world.wait(desk.trial(number, 0)).expect("it is there");
    assert!(part.over);
    let end = part.steps.last().expect("an end");
    assert_eq!((end.stage.as_str(), end.kind.as_str()), ("end", "bad"));
    assert!(end.words.contains("535 5.7.8 Username and Password not accepted"), "{end:?}");
    assert_eq!(house.running.relay.barred.borrow().len(), 0, "a trial bars nobody's mail");
}

#[test]
fn a_secret_that_is_kept_is_used_and_what_is_wrong_is_told_by_key() {
    let login = r#""tls": "none", "user": "me", "password": "kept"}"#;
    let house = House::with(&CONFIG.replace(r#""tls": "may"}"#, login));
    let desk = house.desk();
    let server = house.world.server(SMARTHOST);
    server.says(&[("EHLO", "250-mx\r\n250 AUTH PLAIN")]);
    let route = format!(
        r#"{{"for": "*", "via": "{SMARTHOST}", "tls": "none", "user": "me", "password": "(set)"}}"#
    );
    for route in [route.as_str(), ""] {
        let number = desk.begin_trial(asked(route, "you@example.org")).expect("it begins");
        house.pass(1);
        let part = house.world.wait(desk.trial(number, 0)).expect("it is there");
        assert_eq!(part.steps.last().map(|step| step.kind.as_str()), Some("good"), "{part:?}");
    }
    for (route, to, key) in [
        (r#"{"for": "*", "via": "no server"}"#, "you@example.org", "routes[0].via"),
        (
            r#"{"for": "*", "via": "x.example", "user": "me"}"#,
            "you@example.org",
            "routes[0].password",
        ),
        (
            r#"{"for": "*", "via": "x.example", "user": "me", "password": "(set)"}"#,
            "you@example.org",
            "routes[0].password",
        ),
        ("nonsense", "you@example.org", ""),
        ("", "nobody@", "to"),
        ("", "alice@home.test", "to"),
    ] {
        let problems = desk.begin_trial(asked(route, to)).expect_err(to);
        assert_eq!(problems[0].key, key, "{route} {to}: {problems:?}");
    }
}

#[test]
fn a_second_trial_ends_the_first() {
    let house = House::new();
    let desk = house.desk();
    let first = desk.begin_trial(asked("", "you@example.org")).expect("it begins");
    let second = desk.begin_trial(asked("", "you@example.org")).expect("it begins");
    house.pass(1);
    assert_eq!(house.world.wait(desk.trial(first, 0)), None);
    let part = house.world.wait(desk.trial(second, 0)).expect("it is there");
    assert!(part.over && part.steps.iter().any(|step| step.kind == "bad"), "nobody is there");
}

#[test]
fn a_stranger_gets_nothing_through_and_a_trusted_internet_is_told() {
    let house = House::new();
    let rows = house.desk().open_relay();
    let verdicts: Vec<&str> = rows.iter().map(|row| row.verdict.as_str()).collect();
    assert_eq!(verdicts, ["good"; 4], "{rows:?}");
    house.configure(r#"["192.168.1.0/24"]"#, r#"["192.0.2.0/24"]"#);
    let rows = house.desk().open_relay();
    let verdicts: Vec<&str> = rows.iter().map(|row| row.verdict.as_str()).collect();
    assert_eq!(verdicts, ["wrong", "wrong", "wrong", "advice"], "{rows:?}");
    assert!(rows[0].words.contains("b@example.net would be taken"), "{rows:?}");
    assert!(house.world.told("refused").is_empty(), "nobody has come");
}

#[test]
fn the_last_change_is_undone_and_that_again() {
    let house = House::new();
    let desk = house.desk();
    assert_eq!(desk.previous(), None);
    assert!(house.world.wait(desk.undo()).is_err());
    let before = house.running.control.document();
    house.configure(r#"["home.test"]"#, r#"["other.test"]"#);
    let after = house.running.control.document();
    assert_eq!(desk.previous().as_deref(), Some(before.as_str()));
    house.world.wait(desk.undo()).expect("undone");
    assert_eq!(house.running.control.document(), before);
    assert!(house.running.relay.config().domains.contains(&"home.test".to_string()));
    house.world.wait(desk.undo()).expect("done again");
    assert_eq!(house.running.control.document(), after);
    house.world.wait(desk.set_admin("a new password")).expect("set");
    assert_eq!(desk.previous(), None, "nobody comes back to another password");
}

#[test]
fn a_backup_opens_with_its_password_alone_and_brings_all_of_it() {
    let login = r#""tls": "none", "user": "me", "password": "kept"}"#;
    let house = House::with(&CONFIG.replace(r#""tls": "may"}"#, login));
    let desk = house.desk();
    house.world.wait(desk.make_keys("home.test", "s1")).expect("keys");
    assert!(house.world.wait(desk.backup("short")).is_err());
    let file = house.world.wait(desk.backup("a long password")).expect("a backup");
    let text = String::from_utf8_lossy(&file);
    assert!(text.starts_with("waypost-backup-1 argon2id ") && !text.contains("kept"));
    let other = House::with(r#"{"listen": {"web": []}}"#);
    let there = other.desk();
    let restore = |file: &[u8], password: &str| other.world.wait(there.restore(file, password));
    let words = restore(&file, "another password").expect_err("no").remove(0).words;
    assert!(words.contains("the password is not right"), "{words}");
    for bad in
        [&b""[..], b"waypost-backup-1 x\n", b"waypost-backup-2 argon2id 8 1 AAAA\n", &file[1..]]
    {
        let words = restore(bad, "a long password").expect_err("no").remove(0).words;
        assert!(words.contains("this is no backup of Waypost"), "{words}");
    }
    let mut changed = file.clone();
    let last = changed.len() - 1;
    changed[last] ^= 1;
    assert!(restore(&changed, "a long password").is_err());
    assert!(other.running.relay.config().users.is_empty(), "nothing has changed yet");
    restore(&file, "a long password").expect("it is in place");
    let config = other.running.relay.config();
    assert_eq!((config.hostname.as_str(), config.users.len()), ("relay.test", 2));
    assert!(config.routes[0].secret.is_some() && config.signing.len() == 2);
    assert_eq!(there.keys().keys.len(), 2, "with the keys themselves");
    let other = other.restart();
    assert!(other.running.relay.config().routes[0].secret.is_some());
}

#[test]
fn a_token_is_known_by_its_hash_alone_and_gone_when_it_is_taken_away() {
    let house = House::new();
    let desk = house.desk();
    let token = house.world.wait(desk.make_token("ha", Scope::Queue)).expect("a token");
    assert!(token.starts_with("wp_") && token.len() == 35, "{token}");
    assert_eq!(desk.scope(&token), Some(Scope::Queue));
    assert_eq!(desk.scope("wp_"), None);
    assert!(!house.running.control.document().contains(&token));
    assert!(house.world.wait(desk.make_token("ha", Scope::Read)).is_err(), "the name is taken");
    assert!(house.world.wait(desk.make_token(" ", Scope::Read)).is_err());
    let house = house.restart();
    assert_eq!(house.desk().scope(&token), Some(Scope::Queue));
    house.configure(r#""scope": "queue""#, r#""scope": "all""#);
    assert_eq!(house.desk().scope(&token), Some(Scope::All));
}

#[test]
fn the_log_is_followed_and_had_whole_and_words_are_found_in_it() {
    let house = House::new();
    let desk = house.desk();
    house.world.server(SMARTHOST);
    let begun = house.world.wait(desk.log(0));
    assert!(begun.lines.iter().any(|line| line.text.contains("event=started")));
    let id = house.send("camera@home.test", &["me@example.org"], "Motion in the Garden");
    house.pass(1);
    let more = house.world.wait(desk.log(begun.last));
    assert!(more.lines[0].text.contains("event=accepted") && more.last > begun.last);
    let nothing = house.world.wait(desk.log(more.last));
    assert_eq!((nothing.lines.len(), nothing.last), (0, more.last), "after a while");
    assert_eq!(house.world.wait(desk.log(u64::MAX)).last, more.last, "of another process");
    let whole = house.world.wait(desk.whole_log());
    assert!(whole.contains("event=accepted") && whole.contains("subject=\"Motion in the Garden\""));
    for query in ["garden motion", "GARDEN", "192.168.1.20", "reolink camera@home.test"] {
        let found = house.world.wait(desk.trace(query));
        let its =
            found.iter().any(|event| event.id == id.to_string() && event.event == "delivered");
        assert_eq!(its, !query.contains("reolink"), "{query}: {found:?}");
    }
    let said = desk.transcripts(id);
    assert_eq!(said.len(), 1);
    assert!(said[0].text.contains("C: MAIL FROM:<camera@home.test>"), "{said:?}");
    assert!(said[0].text.contains("S: 250") && !said[0].text.contains("Motion"), "{said:?}");
}

#[test]
fn what_is_delivered_hours_after_it_came_is_charted_then_though_nobody_looks() {
    let house = House::new();
    let hour = || house.world.sys().clock.wall().expect("a time").0 / 3_600;
    house.world.server(SMARTHOST).says(&[("RCPT", "451 4.7.1 Later")]);
    house.send("camera@home.test", &["me@example.org"], "alarm");
    house.pass(3 * 3_600);
    while house.world.sys().clock.wall().expect("a time").0 % 3_600 > 600 {
        house.pass(300);
    }
    house.world.server(SMARTHOST);
    house.world.wait(house.desk().act(Which::All, Action::Retry)).expect("tried");
    house.world.run();
    assert_eq!(house.world.mail.borrow().len(), 1);
    let then = hour();
    house.pass(5 * 3_600);
    let hours = house.desk().chart().hours;
    let delivered: Vec<u64> = hours.iter().map(|counts| counts[1]).collect();
    let place = limits::TALLY_HOURS - 1 - usize::try_from(hour() - then).expect("hours");
    assert_eq!((delivered[place], delivered.iter().sum::<u64>()), (1, 1), "{delivered:?}");
}
