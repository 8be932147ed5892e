//! The relay below its keeper: started, ended, started again.

use super::{bench::Run, *};
use crate::board::service;

const WORDS: &str = "/data/board/last-words";
const BEFORE: &str = "/data/board/waypost.json.before";
/// What the stand-in's doors take to close.
const DOORS_CLOSE: u64 = 50;
/// `EX_CONFIG` of `sysexits.h`.
const WRONG: i32 = 78;

impl Home {
    /// One whose relay has been started.
    fn kept() -> Home {
        let home = Home::new();
        home.begin(service::keep(home.board.clone()));
        home
    }

    fn relay(&self) -> Rc<Run> {
        self.bench.last("setpriv")
    }

    fn starts(&self) -> usize {
        self.bench.started("setpriv").len()
    }

    /// The relay ends.
    fn ends(&self, code: i32) {
        self.relay().ends(code);
        self.world.run();
    }

    /// What a client hears at this door, where somebody opens.
    fn hears(&self, door: &str, says: &str) -> Option<String> {
        let wire = self.world.connect(door, CAMERA)?;
        wire.send(says.as_bytes());
        self.world.run();
        assert!(wire.is_over(), "and that is all");
        Some(wire.take())
    }
}

#[test]
fn the_relay_runs_as_its_own_user_and_knows_its_keeper() {
    let command = Home::kept().relay().command.clone();
    let words = ["setpriv", "--nnp", "/usr/bin/waypost", "run", "--data", "/data/waypost"];
    assert_eq!(command.words, words);
    assert_eq!(command.user, Some(100));
    let told = ("WAYPOST_BOARD".to_owned(), "/run/board/keeper.sock".to_owned());
    assert_eq!(command.environment, [told]);
}

#[test]
fn a_relay_that_ends_soon_rests_longer_each_time_up_to_the_bound() {
    let home = Home::kept();
    for (n, wait) in [1, 2, 4, 8, 16, 32, 60, 60, 60].into_iter().enumerate() {
        home.ends(1);
        home.pass(wait);
        assert_eq!(home.starts(), n + 1, "it rests for {wait} s");
        home.pass_millis(DOORS_CLOSE);
        assert_eq!(home.starts(), n + 2, "it has rested for {wait} s");
    }
    let home = Home::kept();
    let steady = limits::BOARD_RELAY_STEADY;
    for (lived, wait) in [(0, 1), (0, 2), (0, 4), (1, 1), (0, 1), (0, 2)] {
        home.world.pass(steady * lived + Duration::from_millis(u64::from(lived)));
        home.ends(1);
        home.pass_millis(wait * 1000 + DOORS_CLOSE - 1);
        assert!(!home.relay().lives(), "{wait}");
        home.pass_millis(1);
        assert!(home.relay().lives(), "{wait}");
    }
    home.world.pass(steady);
    home.ends(1);
    home.pass(1);
    home.pass_millis(DOORS_CLOSE);
    assert!(!home.relay().lives(), "that was not longer than the bound");
}

#[test]
fn a_relay_that_cannot_be_started_is_tried_again() {
    let home = Home::new();
    *home.bench.missing.borrow_mut() = Some("setpriv");
    home.begin(service::keep(home.board.clone()));
    assert!(home.now().last_words.contains("it cannot be started: "), "{}", home.now().last_words);
    *home.bench.missing.borrow_mut() = None;
    home.pass(2);
    assert!(home.relay().lives());
}

#[test]
fn while_it_rests_devices_are_told_to_come_again_and_people_why() {
    let home = Home::kept();
    home.board.trouble("The card is full.");
    home.relay().says("waypost: the spool cannot be opened");
    home.relay().says("event=end");
    assert_eq!(home.hears("0.0.0.0:25", ""), None, "the door is the relay's");
    home.ends(1);
    assert_eq!(home.now().relay, board::Standing::StoodInFor);
    let refusal = "421 4.3.0 The relay is not running: the spool cannot be opened\r\n";
    for door in ["0.0.0.0:25", "0.0.0.0:587"] {
        assert_eq!(home.hears(door, "").as_deref(), Some(refusal), "{door}");
    }
    let page = home.hears("0.0.0.0:80", "GET / HTTP/1.1\r\n\r\n").expect("the page");
    assert!(page.starts_with("HTTP/1.1 503 "), "{page}");
    assert!(page.contains("the spool cannot be opened\nThe card is full.\n"), "{page}");
    home.pass_millis(1000 + DOORS_CLOSE);
    assert_eq!(home.starts(), 2);
    assert_eq!(home.hears("0.0.0.0:25", ""), None, "the doors were closed before");
    assert_eq!(home.now().relay, board::Standing::Down);
}

#[test]
fn who_talks_for_long_at_the_stand_ins_door_does_not_shut_others_out() {
    let home = Home::kept();
    for _ in 0..5 {
        home.ends(1);
        home.pass(20);
    }
    home.ends(1);
    let mute = home.world.connect("0.0.0.0:80", CAMERA).expect("it is open");
    let other = home.world.connect("0.0.0.0:80", CAMERA).expect("it is open");
    other.send(b"GET / HTTP/1.1\r\n\r\n");
    home.pass_but(limits::BOARD_LOOK_WAIT, 1);
    assert!(!mute.is_over() && other.take().is_empty());
    home.pass_millis(1);
    assert!(mute.is_over() && other.take().starts_with("HTTP/1.1 503 "));
}

#[test]
fn its_last_lines_are_kept_and_no_more_of_them_than_the_bound() {
    let home = Home::kept();
    for n in 0..=limits::BOARD_LAST_LINES {
        home.relay().says(&format!("line {n} of it"));
    }
    home.world.run();
    assert!(!home.has(WORDS), "it runs");
    home.ends(3);
    let text = home.file(WORDS);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("The relay ended with code 3, 2026-"), "{}", lines[0]);
    assert_eq!(lines.len(), 1 + limits::BOARD_LAST_LINES);
    assert_eq!(lines[1], "line 1 of it", "the oldest one went");
    assert_eq!(lines.last(), Some(&"line 60 of it"));
    assert_eq!(home.now().last_words, text, "the page tells them");
    home.world.dated.set(false);
    home.pass(2);
    home.ends(3);
    assert!(home.file(WORDS).starts_with("The relay ended with code 3, at an unknown date.\n"));
}

#[test]
fn last_words_are_cut_at_the_bound() {
    let home = Home::kept();
    for _ in 0..limits::BOARD_LAST_LINES {
        home.relay().says(&"\u{fc}".repeat(1000));
    }
    home.ends(1);
    let length = home.file(WORDS).len();
    let most = limits::BOARD_TEXT_BYTES;
    assert!((most - 1..=most).contains(&length), "{length}");
    assert!(!home.world.wait(home.board.text(WORDS)).is_empty(), "it is read after a start");
}

#[test]
fn a_card_that_takes_no_last_words_holds_nothing_up() {
    let home = Home::kept();
    *home.world.broken.borrow_mut() = Some("/data");
    home.relay().says("waypost: the disk is broken");
    home.ends(1);
    assert!(home.now().last_words.contains("the disk is broken"));
    home.pass(2);
    assert!(home.relay().lives());
}

#[test]
fn a_relay_whose_outputs_close_is_waited_for_a_moment() {
    let home = Home::kept();
    home.relay().closes();
    home.pass_millis(300);
    home.relay().ends(5);
    home.pass_millis(50);
    assert!(home.now().last_words.starts_with("The relay ended with code 5, "));
    home.pass(2);
    let second = home.relay();
    second.closes();
    home.pass(4);
    assert!(second.lives(), "it may still end");
    home.pass(1);
    assert!(second.is_gone.get(), "it is killed");
    assert!(home.now().last_words.starts_with("The relay ended with code -1, "));
}

#[test]
fn a_configuration_that_the_relay_does_not_take_gives_way_to_the_one_before() {
    let home = Home::kept();
    let good = home.file(CONFIG);
    home.put(BEFORE, &good);
    home.put(CONFIG, r#"{"hostname": 1}"#);
    home.relay().says("waypost: hostname: found 1; allowed is a name");
    home.ends(WRONG);
    assert_eq!(home.starts(), 2, "at once");
    let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
    assert_eq!(value(&home.file(CONFIG)), value(&good));
    assert!(!home.has(BEFORE));
    let words = "waypost.json was not taken: hostname: found 1; allowed is a name\r\n";
    assert_eq!(home.file(PROBLEM), words);
    assert!(home.troubles().contains("hostname: found 1"), "{}", home.troubles());
    let mounts = ["mount -o remount,rw /boot", "mount -o remount,ro /boot"];
    assert_eq!(home.bench.ran("mount"), mounts);
    assert_eq!(home.bench.ran("chown"), [format!("chown waypost:waypost {CONFIG}")]);
    home.ends(WRONG);
    assert_eq!(home.now().relay, board::Standing::StoodInFor, "there is none before that");
    home.pass_millis(2000 + DOORS_CLOSE);
    assert_eq!(home.starts(), 3);
    assert_eq!(home.file(PROBLEM), words, "nothing is added");
}

#[test]
fn only_a_wrong_configuration_gives_way() {
    let home = Home::kept();
    home.put(BEFORE, "{}");
    for code in [0, 1, 75, 77, 128 + 9] {
        home.ends(code);
        assert!(home.has(BEFORE), "{code}");
        home.pass(120);
    }
    assert!(!home.has(PROBLEM));
    home.put(BEFORE, "damaged");
    home.ends(WRONG);
    assert_eq!(home.now().relay, board::Standing::StoodInFor, "what is damaged is not put there");
    assert!(home.file(CONFIG).contains("listen"));
}

#[test]
fn the_code_of_the_first_setup_is_told_until_it_is_of_no_use() {
    let home = Home::kept();
    home.serves();
    let page =
        |body: &str| home.world.services.borrow()[&WEB.parse().unwrap()].says(&[("200", body)]);
    page(r#"{"setup": true}"#);
    home.relay().says("  http://waypost.local/#setup=AAAA-BBBB ");
    home.begin(service::watch(home.board.clone()));
    home.pass(60);
    assert_eq!(home.now().setup_code.as_deref(), Some("AAAA-BBBB"));
    page("{}");
    home.world.pass(limits::BOARD_LOOK_EVERY);
    assert_eq!(home.now().setup_code, None, "somebody has used it");
}

#[test]
fn of_long_last_words_the_last_are_kept() {
    let home = Home::kept();
    for _ in 1..limits::BOARD_LAST_LINES {
        home.relay().says(&"x".repeat(limits::LOG_LINE_BYTES));
    }
    home.relay().says("waypost: the spool cannot be opened");
    home.ends(1);
    assert!(home.file(WORDS).ends_with("\nwaypost: the spool cannot be opened\n"));
    assert!(home.file(WORDS).starts_with("The relay ended with code 1, "));
}

/// What is not read when we hang up resets the connection.
#[test]
fn who_opens_the_page_is_heard_to_the_end_of_what_it_asks() {
    let home = Home::kept();
    home.ends(1);
    let wire = home.world.connect("0.0.0.0:80", CAMERA).expect("it is open");
    wire.send(format!("GET / HTTP/1.1\r\nCookie: {}\r\n", "x".repeat(2000)).as_bytes());
    home.world.run();
    assert_eq!(wire.take(), "");
    wire.send(b"\r\n");
    home.world.run();
    assert!(wire.take().starts_with("HTTP/1.1 503 "));
}
