//! The time from servers.

use super::*;
use crate::board::clock;

const MICROS: i64 = 1_000_000;
const ONE: &str = "192.0.2.1:123";
const DATE: &str = "/data/board/clock";

impl Home {
    /// One that asks a server, which says that our date is behind by so many microseconds.
    fn asking(behind: i64) -> Home {
        let home = Home::new();
        home.network("time = 192.0.2.1\n");
        home.answers(behind);
        home.begin(clock::keep(home.board.clone()));
        home
    }

    fn answers(&self, behind: i64) {
        self.land.times.borrow_mut().insert(ONE.parse().expect("a server"), behind);
    }

    /// The times between two questions.
    fn waits(&self) -> Vec<u64> {
        let asked = self.land.asked.borrow();
        asked.windows(2).map(|two| two[1].0.since(two[0].0).as_secs()).collect()
    }
}

#[test]
fn a_clock_that_is_right_is_asked_for_as_seldom_as_the_bound_says() {
    let home = Home::asking(0);
    assert!(home.now().clock_is_set);
    assert_eq!(home.now().clock, "By time servers.");
    home.pass(10 * HOUR);
    let waits = home.waits();
    assert_eq!(waits.len(), 20);
    assert!(waits.iter().all(|wait| *wait == limits::BOARD_CLOCK_EVERY.as_secs()), "{waits:?}");
    assert!(home.bench.set.borrow().is_empty(), "nothing is stepped");
}

#[test]
fn the_date_is_written_down_as_seldom_as_the_bound_says() {
    let home = Home::asking(0);
    let date = home.file(DATE);
    assert_eq!(date.trim().parse(), Ok(home.bench.clock_seconds()));
    let every = limits::BOARD_CLOCK_KEPT_EVERY;
    home.pass_but(every, 1000);
    assert_eq!(home.land.puts(DATE), 1);
    home.world.pass(Duration::from_secs(1));
    assert_eq!(home.land.puts(DATE), 2);
    home.world.pass(8 * every);
    assert_eq!(home.land.puts(DATE), 10);
}

#[test]
fn servers_that_do_not_answer_are_asked_less_often_up_to_the_bound() {
    let home = Home::new();
    home.network("time = 192.0.2.1\n");
    home.begin(clock::keep(home.board.clone()));
    home.pass(15 * 60);
    // Each is waited for, too.
    let waited = limits::BOARD_TIME_WAIT.as_secs();
    let waits: Vec<u64> = home.waits().iter().map(|wait| wait - waited).collect();
    let most = limits::BOARD_CLOCK_PATIENCE.as_secs();
    assert_eq!(waits.get(..8), Some(&[4, 8, 16, 32, 64, most, most, most][..]), "{waits:?}");
    assert!(!home.now().clock_is_set);
    let told = home.now().clock.clone();
    assert!(told.contains("No time server answers (192.0.2.1:123: it does not answer)"), "{told}");
    home.answers(0);
    home.world.pass(limits::BOARD_CLOCK_PATIENCE);
    assert!(home.now().clock_is_set, "an outage is over within minutes");
    home.land.times.borrow_mut().clear();
    let every = limits::BOARD_CLOCK_EVERY;
    home.world.pass(every + Duration::from_secs(10));
    let begins_anew = [every.as_secs(), 4 + waited];
    assert!(home.waits().windows(2).any(|two| two == begins_anew), "{:?}", home.waits());
}

#[test]
fn a_clock_that_is_set_keeps_its_words_through_a_short_outage() {
    let home = Home::asking(0);
    home.land.times.borrow_mut().clear();
    home.world.pass(limits::BOARD_CLOCK_EVERY + Duration::from_secs(30));
    assert_eq!(home.now().clock, "By time servers.");
    home.pass(HOUR);
    assert!(home.now().clock.starts_with("No time server answers"), "{}", home.now().clock);
    assert!(home.now().clock_is_set, "it goes on by itself");
}

#[test]
fn a_clock_far_off_is_set_and_one_a_little_off_runs_faster_for_a_while() {
    let step = i64::try_from(limits::BOARD_CLOCK_STEP.as_micros()).expect("short");
    let home = Home::asking(step);
    assert_eq!(home.bench.ran("adjtimex"), [format!("adjtimex -q -o {step}")]);
    assert!(home.bench.set.borrow().is_empty());
    let home = Home::asking(step + 1000);
    assert!(home.bench.ran("adjtimex").is_empty());
    assert_eq!(home.bench.set.borrow().len(), 1);
    assert_eq!(home.world.told("clock-stepped").len(), 1);
}

#[test]
fn a_date_that_cannot_be_is_not_believed() {
    let built = i64::try_from(BUILT).expect("a date") * MICROS;
    let ahead = i64::try_from(limits::BOARD_CLOCK_AHEAD.as_secs()).expect("a time") * MICROS;
    for (date, is_believed) in [
        (built - MICROS, false),
        (built + MICROS, true),
        (built + ahead, false),
        (built + ahead - MICROS, true),
    ] {
        let home = Home::new();
        let behind = date - crate::sys::machine::Machine::date(&*home.bench);
        home.network("time = 192.0.2.1\n");
        home.answers(behind);
        home.begin(clock::keep(home.board.clone()));
        assert_eq!(home.now().clock_is_set, is_believed, "{date}: {}", home.now().clock);
        assert_eq!(home.bench.set.borrow().is_empty(), !is_believed, "{date}");
    }
}

#[test]
fn no_date_before_the_one_that_was_written_down_is_believed() {
    let home = Home::new();
    let kept = home.bench.clock_seconds() + 1000;
    home.put(DATE, &format!("{kept}\n"));
    home.world.wait(clock::begin(&home.board));
    assert!(home.now().clock.starts_with("The date is not known yet"), "{}", home.now().clock);
    assert_eq!(home.bench.set.borrow().len(), 1, "to one that is surely none");
    let home = Home::new();
    home.world.wait(clock::begin(&home.board));
    assert_eq!(home.now().clock, "By the board's own clock.");
    assert!(home.bench.set.borrow().is_empty());
}

#[test]
fn as_many_servers_are_asked_as_the_bound_allows_and_two_addresses_of_each() {
    let home = Home::new();
    let names: Vec<String> = (1..=8).map(|n| format!("t{n}.test")).collect();
    home.network(&format!("time = {}\n", names.join(" ")));
    for (name, n) in names.iter().zip(1..) {
        let addresses = (1..=3).map(|last| IpAddr::from([192, 0, n, last])).collect();
        home.bench.hosts.borrow_mut().insert(name.clone(), addresses);
    }
    home.begin(clock::keep(home.board.clone()));
    home.pass(18);
    let asked: Vec<String> =
        home.land.asked.borrow().iter().map(|(_, at)| at.to_string()).collect();
    assert_eq!(asked.len(), limits::BOARD_SERVERS);
    assert_eq!(asked[..3], ["192.0.1.1:123", "192.0.1.2:123", "192.0.2.1:123"]);
}

#[test]
fn servers_that_dhcp_names_are_asked_beside_the_pool() {
    let home = Home::new();
    home.bench.radios.borrow_mut().push("wlan0".into());
    home.put("/run/board/ntp.eth0", "192.0.2.7\n");
    home.put("/run/board/ntp.wlan0", "192.0.2.8 192.0.2.9\n");
    let pool = IpAddr::from([198, 51, 100, 1]);
    home.bench.hosts.borrow_mut().insert("0.pool.ntp.org".into(), vec![pool]);
    home.begin(clock::keep(home.board.clone()));
    home.pass(7);
    let asked: Vec<String> =
        home.land.asked.borrow().iter().map(|(_, at)| at.to_string()).collect();
    assert_eq!(asked, ["192.0.2.7:123", "192.0.2.8:123", "198.51.100.1:123"]);
}

#[test]
fn a_name_that_is_not_found_is_not_waited_for_without_end() {
    let home = Home::new();
    home.network("time = one.test 192.0.2.1\n");
    home.answers(0);
    home.bench.is_lost.set(true);
    home.begin(clock::keep(home.board.clone()));
    home.pass_but(limits::BOARD_NAMES_WAIT, 1);
    assert!(!home.now().clock_is_set);
    home.pass_millis(1);
    assert!(home.now().clock_is_set, "the other one is asked");
}

#[test]
fn servers_agree_where_they_differ_by_no_more_than_the_bound() {
    let slack = i64::try_from(limits::BOARD_CLOCK_SLACK.as_micros()).expect("short");
    for (apart, agree) in [(slack, true), (slack + 1, false)] {
        let home = Home::new();
        home.network("time = 192.0.2.1 192.0.2.2\n");
        home.answers(0);
        home.land.times.borrow_mut().insert("192.0.2.2:123".parse().expect("a server"), apart);
        home.begin(clock::keep(home.board.clone()));
        assert_eq!(home.now().clock_is_set, agree, "{}", home.now().clock);
    }
}
