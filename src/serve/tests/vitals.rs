//! What page and `/metrics` tell of how the relay is: shown while it lasts, and gone when it is
//! over.

use super::{super::web::office::Status, exposition, *};
use crate::sys::Wear;

impl House {
    fn status(&self) -> Status {
        self.world.wait(self.desk().status())
    }

    /// Words of the problems about this.
    fn problems(&self, key: &str) -> Vec<String> {
        let problems = self.status().problems.into_iter();
        problems.filter(|problem| problem.key == key).map(|problem| problem.words).collect()
    }

    fn metrics(&self) -> exposition::Samples {
        let text = self.world.wait(self.desk().metrics());
        exposition::read(&text).unwrap_or_else(|wrong| panic!("{wrong}\n{text}"))
    }

    fn metric(&self, name: &str) -> u64 {
        *self.metrics().get(name).unwrap_or_else(|| panic!("there is no {name}"))
    }

    /// The reply to a message of so many octets at the end of its data.
    fn hand_in(&self, octets: usize) -> String {
        let mut session = self.call(25, CAMERA);
        session.says("EHLO camera", "250");
        let mail = session.say("MAIL FROM:<camera@home.test>");
        if !mail.starts_with("250") {
            return mail;
        }
        session.says("RCPT TO:<me@example.org>", "250 2.1.5");
        session.says("DATA", "354");
        let line = format!("{}\r\n", "x".repeat(998)).repeat(octets / 1000);
        session.say(&format!("Subject: picture\r\n\r\n{line}."))
    }
}

const SMALL: &str = r#""limits": {"spool": "4M", "message": "1M"}, "domains""#;

/// A relay with a spool of 4 MiB whose smarthost wants everything later; filled to its brim.
fn full_house() -> House {
    let house = House::with(&CONFIG.replacen("\"domains\"", SMALL, 1));
    for _ in 0..200 {
        let reply = house.hand_in(50_000);
        if !reply.starts_with("250") {
            assert!(reply.starts_with("452 4.3.1"), "{reply}");
            return house;
        }
    }
    panic!("200 messages of 50 kB fit into 4 MiB");
}

#[test]
fn a_full_spool_is_told_with_what_to_do_and_is_over_when_mail_has_gone() {
    let house = full_house();
    // What a message of 50 kB does not fit, small ones still do.
    for _ in 0..4000 {
        if !house.hand_in(0).starts_with("250") {
            break;
        }
    }
    let told = house.problems("spool").concat();
    assert!(told.starts_with("The spool is full: mail that waits takes "), "{told}");
    assert!(told.contains("of the 4.0 MB that it may have"), "{told}");
    assert!(told.contains("told to come back later") && told.contains("by itself"), "{told}");
    assert!(!house.status().taking);
    assert_eq!(house.metric("waypost_spool_full"), 1);
    assert!(house.desk().health().is_err());
    let used = house.metric("waypost_spool_used_bytes");
    house.world.server(SMARTHOST);
    house.world.wait(house.desk().act(Which::All, Action::Retry)).expect("they wait");
    house.pass(60);
    assert!(house.running.relay.queue.is_empty());
    assert_eq!(house.problems("spool"), Vec::<String>::new(), "it is over");
    assert!(house.status().taking);
    assert_eq!(house.metric("waypost_spool_full"), 0);
    assert!(house.metric("waypost_spool_used_bytes") < used / 10);
    assert_eq!(house.metric("waypost_spool_limit_bytes"), 4 << 20);
}

#[test]
fn a_spool_that_is_nearly_full_says_so_before_it_refuses_anybody() {
    let house = House::with(&CONFIG.replacen("\"domains\"", SMALL, 1));
    let mut told = Vec::new();
    for _ in 0..200 {
        told = house.problems("spool");
        if !told.is_empty() {
            break;
        }
        assert!(house.hand_in(50_000).starts_with("250"), "it was refused before it was told");
    }
    assert!(told.concat().starts_with("The spool is nearly full: "), "{told:?}");
    assert!(house.status().taking);
    assert_eq!(house.metric("waypost_spool_full"), 0);
}

#[test]
fn a_full_disk_is_told_apart_from_a_full_spool_and_is_over_when_there_is_room() {
    let house = House::new();
    house.world.room.set(Some(100 << 10));
    // The segments that are there already bear some mail.
    let refused = (0..200).any(|_| !house.hand_in(50_000).starts_with("250"));
    assert!(refused);
    while house.hand_in(0).starts_with("250") {}
    let told = house.problems("spool").concat();
    assert!(told.starts_with("The disk is full: 100 KB are left"), "{told}");
    assert_eq!(house.status().spool.file_system, Some(100 << 10));
    assert_eq!(house.metric("waypost_spool_file_system_free_bytes"), 100 << 10);
    house.world.room.set(Some(1 << 30));
    assert_eq!(house.problems("spool"), Vec::<String>::new());
    house.pass(2);
    assert!(house.hand_in(50_000).starts_with("250"));
}

#[test]
fn a_disk_that_fails_is_told_until_something_could_be_written_again() {
    let house = House::new();
    house.send("camera@home.test", &["me@example.org"], "before");
    *house.world.broken.borrow_mut() = Some("spool/");
    assert!(house.hand_in(0).starts_with("451"));
    let told = house.problems("spool").concat();
    assert!(told.starts_with("The disk gives trouble: "), "{told}");
    assert!(told.contains("planted: the disk is broken"), "{told}");
    assert_eq!((house.metric("waypost_spool_trouble"), house.status().taking), (1, false));
    assert!(house.desk().health().is_err());
    *house.world.broken.borrow_mut() = None;
    house.pass(10);
    assert!(house.hand_in(0).starts_with("250"));
    assert_eq!(house.problems("spool"), Vec::<String>::new());
    assert_eq!((house.metric("waypost_spool_trouble"), house.status().taking), (0, true));
    assert_eq!(house.desk().health(), Ok(()));
}

#[test]
fn trouble_of_the_history_is_told_while_it_lasts_and_mail_is_taken_meanwhile() {
    let house = House::new();
    *house.world.index_trouble.borrow_mut() = "The history starts anew.".into();
    assert_eq!(house.problems("index"), ["The history starts anew."]);
    assert_eq!((house.metric("waypost_index_trouble"), house.status().taking), (1, true));
    house.world.index_trouble.borrow_mut().clear();
    assert_eq!(house.problems("index"), Vec::<String>::new());
    assert_eq!(house.metric("waypost_index_trouble"), 0);
}

#[test]
fn everything_is_exposed_to_prometheus_as_its_format_wants_it() {
    let house = House::new();
    house.world.wear.set(Wear { octets: 40_960, syncs: 7 });
    let samples = house.metrics();
    let counter = |name: &&String| !name.contains('{');
    assert!(samples.keys().filter(counter).all(|name| name.starts_with("waypost_")));
    let version = format!("waypost_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"));
    assert_eq!(samples[&version], 1);
    assert_eq!(samples["waypost_start_time_seconds"], 1_795_338_720);
    assert_eq!(samples["waypost_resident_memory_bytes"], 3 << 20);
    assert_eq!(samples["waypost_flash_written_bytes_total{by=\"relay\"}"], 40_960);
    assert!(!samples.contains_key("waypost_flash_written_bytes_total{by=\"history\"}"));
    assert_eq!(samples["waypost_flash_syncs_total"], 7);
    assert_eq!(samples["waypost_sessions"], 0);
    assert_eq!(samples["waypost_queue_oldest_age_seconds"], 0);
    house.world.index_written.set(Some(8192));
    let by_history = house.metric("waypost_flash_written_bytes_total{by=\"history\"}");
    assert_eq!(by_history, 8192);
    assert_eq!(house.metric("waypost_flash_written_bytes_total{by=\"relay\"}"), 40_960);
    let flash = house.status().flash;
    assert_eq!((flash.written, flash.history, flash.syncs), (40_960 + 8192, Some(8192), 7));
}

#[test]
fn laying_out_the_spool_is_told_apart_from_what_messages_cost_and_is_done_once() {
    let house = House::new();
    let usage = house.running.relay.spool.usage();
    let laid_out = house.status().flash.laid_out;
    assert_eq!(laid_out, u64::from(usage.segments) << 20);
    assert!(laid_out > 0 && (laid_out..laid_out + 65_536).contains(&usage.written));
    assert_eq!(house.restart().status().flash.laid_out, 0);
}

#[test]
fn what_happens_is_counted() {
    let house = House::new();
    let session = house.call(25, CAMERA);
    assert_eq!(house.metric("waypost_sessions"), 1);
    drop(session);
    house.world.run();
    assert_eq!(house.metric("waypost_sessions"), 0);
    let id = house.send("camera@home.test", &["alice@home.test", "me@example.org"], "alarm");
    house.world.run();
    house.act(id, Action::Hold).expect("it waits");
    let mut stranger = house.call(25, STRANGER);
    stranger.says("EHLO a", "250");
    stranger.says("MAIL FROM:<a@b.example>", "250");
    stranger.says("RCPT TO:<c@d.example>", "5");
    house.pass(90);
    let samples = house.metrics();
    for (name, value) in [
        ("waypost_accepted_messages_total", 1),
        ("waypost_delivered_recipients_total", 1),
        ("waypost_refused_commands_total", 1),
        ("waypost_queue_messages", 1),
        ("waypost_queue_held_messages", 1),
        ("waypost_queue_oldest_age_seconds", 90),
        ("waypost_uptime_seconds", 91),
    ] {
        assert_eq!(samples[name], value, "{name}");
    }
    assert!(samples["waypost_deferred_recipients_total"] >= 1);
    assert!(samples["waypost_spool_written_bytes_total"] > 4096);
    assert!(samples["waypost_spool_syncs_total"] >= 1);
    house.world.dated.set(false);
    assert!(!house.metrics().contains_key("waypost_queue_oldest_age_seconds"), "nobody knows");
}
