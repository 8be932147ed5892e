//! The relay looked after through its own ports: the watchdog, a root on trial, a card that fails.

use super::*;
use crate::board::{
    Standing, service,
    slots::{Slot, State},
};

const SECOND: Duration = Duration::from_secs(1);

impl Home {
    /// One that is looked after; its relay serves, or not.
    fn watched(serves: bool) -> Home {
        let home = Home::new();
        if serves {
            home.serves();
        }
        home.begin(service::watch(home.board.clone()));
        home
    }

    /// One whose root is on trial.
    fn on_trial(serves: bool) -> Home {
        let home = Home::new();
        home.put("/run/boot/deadline", "77\n");
        let state = State { trial: Some(Slot::A), good: Slot::B, tries: 1, ..State::default() };
        home.board.now.borrow_mut().state = state.clone();
        home.world.wait(home.board.slots.change(|old| *old = state)).expect("a disk");
        if serves {
            home.serves();
        }
        home.begin(service::watch(home.board.clone()));
        home
    }

    fn is_kept(&self) -> bool {
        let state = self.world.wait(self.board.slots.read()).expect("a disk");
        assert_eq!(state.good == Slot::A, state.trial.is_none());
        state.trial.is_none()
    }

    fn fed(&self) -> Vec<Instant> {
        self.bench.watchdog.fed.borrow().clone()
    }

    fn mounts(&self, options: &str) {
        self.put("/proc/mounts", &format!("/dev/vda4 /data ext4 {options} 0 0\n"));
    }
}

/// The longest time between two meals.
fn longest(fed: &[Instant]) -> Duration {
    let waits = fed.windows(2).map(|two| two[1].since(two[0]));
    waits.max().expect("it was fed twice")
}

#[test]
fn the_watchdog_is_fed_while_the_relay_serves() {
    let home = Home::watched(true);
    assert_eq!(home.now().relay, Standing::Serves);
    home.pass(HOUR);
    let fed = home.fed();
    assert_eq!(longest(&fed), limits::BOARD_LOOK_EVERY);
    assert!(home.time().since(*fed.last().expect("fed")) < limits::BOARD_LOOK_EVERY + SECOND);
}

#[test]
fn without_the_relay_the_watchdog_is_fed_for_as_long_as_the_bound_says() {
    let home = Home::watched(true);
    home.pass(60);
    home.serves_no_more();
    let good = *home.fed().last().expect("fed");
    home.pass(HOUR);
    let fed = home.fed();
    let last = fed.last().expect("fed").since(good);
    let patience = limits::BOARD_WATCHDOG_PATIENCE;
    assert!(last < patience && last + 2 * SECOND > patience, "{last:?}");
    assert!(longest(&fed) <= limits::BOARD_LOOK_EVERY, "without a gap");
    home.serves();
    home.pass(2);
    assert!(home.fed().len() > fed.len(), "it serves again, and the board still runs");
}

#[test]
fn a_relay_that_never_serves_has_that_long_too() {
    let home = Home::watched(false);
    let begun = home.time();
    home.pass(HOUR);
    let last = home.fed().last().expect("fed").since(begun);
    let patience = limits::BOARD_WATCHDOG_PATIENCE;
    assert!(last < patience && last + 2 * SECOND > patience, "{last:?}");
}

#[test]
fn while_the_relay_is_stood_in_for_the_watchdog_is_fed_on() {
    let home = Home::watched(false);
    home.board.now.borrow_mut().relay = Standing::StoodInFor;
    home.pass(2 * HOUR);
    assert_eq!(home.now().relay, Standing::StoodInFor, "whoever looks does not change that");
    assert!(longest(&home.fed()) < 2 * SECOND);
    assert!(home.time().since(*home.fed().last().expect("fed")) < 2 * SECOND);
}

/// It ends whenever it is started: a new start of the board would not help.
#[test]
fn a_relay_that_ends_again_and_again_does_not_starve_the_watchdog() {
    let home = Home::watched(false);
    home.begin(service::keep(home.board.clone()));
    for _ in 0..HOUR {
        home.bench.last("setpriv").ends(1);
        home.pass(1);
    }
    assert!(longest(&home.fed()) < Duration::from_secs(4), "{:?}", longest(&home.fed()));
    assert!(home.bench.started("setpriv").len() > 60);
}

#[test]
fn a_relay_that_answers_slowly_but_in_time_does_not_starve_the_watchdog() {
    let home = Home::new();
    home.land.slow.set(limits::BOARD_LOOK_WAIT.mul_f32(0.97));
    home.serves();
    home.begin(service::watch(home.board.clone()));
    home.pass(HOUR);
    assert_eq!(home.now().relay, Standing::Serves);
    assert!(longest(&home.fed()) < Duration::from_secs(15), "{:?}", longest(&home.fed()));
}

#[test]
fn a_look_that_gets_no_answer_is_given_up_in_time() {
    let home = Home::watched(true);
    let service = home.world.services.borrow()[&WEB.parse().unwrap()].clone();
    service.mute.set(true);
    home.pass_but(limits::BOARD_LOOK_EVERY + limits::BOARD_LOOK_WAIT, 1000);
    assert_eq!(home.now().relay, Standing::Serves, "it has that long");
    home.pass(1);
    assert_eq!(home.now().relay, Standing::Down);
    service.mute.set(false);
    home.world.pass(limits::BOARD_LOOK_WAIT + SECOND);
    assert_eq!(home.now().relay, Standing::Serves);
    service.says(&[("503 Service Unavailable", "")]);
    home.world.pass(limits::BOARD_LOOK_EVERY);
    assert_eq!(home.now().relay, Standing::Down, "it says that it is not well");
    service.says(&[("200 OK", "")]);
    home.world.server(SMTP).says(&[("", "421 4.3.2 Busy")]);
    home.pass(10);
    assert_eq!(home.now().relay, Standing::Down, "it does not greet");
}

#[test]
fn a_board_without_a_watchdog_is_none_the_worse_and_one_that_fails_is_told_once() {
    let home = Home::new();
    home.bench.watchdog.is_missing.set(true);
    home.begin(service::watch(home.board.clone()));
    home.pass(60);
    assert_eq!(home.troubles(), "");
    let home = Home::new();
    home.bench.watchdog.fails.set(true);
    home.begin(service::watch(home.board.clone()));
    home.pass(60);
    assert_eq!(home.troubles(), "The watchdog cannot be fed: planted: no watchdog.");
}

#[test]
fn a_root_on_trial_is_kept_once_it_has_served_for_as_long_as_the_bound() {
    let home = Home::on_trial(true);
    home.pass_but(limits::BOARD_TRIAL_SERVES, 1000);
    assert!(!home.is_kept() && home.bench.ran("").is_empty());
    home.pass(1);
    assert!(home.is_kept());
    assert_eq!(home.now().state.word, "updated 0.2.0");
    assert_eq!((home.now().state.good, home.now().state.tries), (Slot::A, 0));
    assert_eq!(home.bench.ran(""), ["kill 77"], "that of the initramfs, which would end it");
    home.serves_no_more();
    home.pass(HOUR);
    assert!(home.is_kept() && home.bench.ran("reboot").is_empty());
}

#[test]
fn a_root_that_stops_serving_in_between_begins_again() {
    let home = Home::on_trial(true);
    home.pass_but(limits::BOARD_TRIAL_SERVES, 3000);
    home.serves_no_more();
    home.pass(6);
    home.serves();
    home.pass_but(limits::BOARD_TRIAL_SERVES, 1000);
    assert!(!home.is_kept());
    home.world.pass(limits::BOARD_LOOK_EVERY);
    assert!(home.is_kept());
}

#[test]
fn a_root_that_does_not_serve_within_the_bound_is_given_up() {
    let home = Home::on_trial(false);
    home.world.pass(limits::BOARD_TRIAL_PATIENCE);
    assert!(home.bench.ran("").is_empty());
    home.pass(1);
    assert_eq!(home.bench.ran(""), ["sync", "reboot -f"]);
    assert!(home.troubles().contains("back to the old one"), "{}", home.troubles());
    assert!(!home.is_kept());
}

#[test]
fn a_root_that_serves_at_the_last_moment_is_kept() {
    let home = Home::on_trial(false);
    let rest = limits::BOARD_TRIAL_PATIENCE.saturating_sub(limits::BOARD_TRIAL_SERVES);
    home.pass_but(rest, 1000);
    home.serves();
    home.world.pass(limits::BOARD_TRIAL_SERVES + SECOND);
    assert!(home.is_kept() && home.bench.ran("reboot").is_empty());
}

#[test]
fn a_root_that_is_kept_already_is_not_given_up() {
    let home = Home::watched(false);
    home.pass(HOUR);
    assert!(home.bench.ran("").is_empty());
    let home = Home::new();
    home.board.now.borrow_mut().state.trial = Some(Slot::B);
    home.begin(service::watch(home.board.clone()));
    home.pass(HOUR);
    assert!(home.bench.ran("").is_empty(), "the other one is on trial, after the next start");
}

#[test]
fn a_trial_whose_end_cannot_be_written_is_told() {
    let home = Home::on_trial(true);
    *home.world.broken.borrow_mut() = Some(DISK);
    home.world.pass(limits::BOARD_TRIAL_SERVES + SECOND);
    assert!(home.troubles().starts_with("The card cannot be written: "), "{}", home.troubles());
    *home.world.broken.borrow_mut() = None;
    home.world.pass(limits::BOARD_LOOK_EVERY);
    assert!(home.is_kept());
}

#[test]
fn the_configuration_before_is_let_go_once_the_relay_runs_with_the_new_one() {
    let home = Home::new();
    let before = "/data/board/waypost.json.before";
    home.put(before, "{}");
    home.serves();
    home.begin(service::watch(home.board.clone()));
    home.pass_but(limits::BOARD_RELAY_STEADY, 1000);
    assert!(home.has(before));
    home.pass(1);
    assert!(!home.has(before));
}

#[test]
fn a_card_that_failed_while_the_board_ran_is_mended_by_a_new_start() {
    let home = Home::watched(true);
    home.begin(service::keep(home.board.clone()));
    home.pass(60);
    assert_eq!(home.troubles(), "");
    home.mounts("ro,noatime");
    home.world.pass(limits::BOARD_LOOK_EVERY);
    assert!(home.troubles().starts_with("The card failed while it was written"));
    home.world.pass(limits::BOARD_CARD_PATIENCE.saturating_sub(limits::BOARD_LOOK_EVERY));
    assert!(home.bench.ran("reboot").is_empty());
    home.world.pass(2 * limits::BOARD_LOOK_EVERY);
    assert_eq!(home.bench.ran("reboot"), ["reboot"]);
    assert!(home.bench.last("setpriv").asked.get().is_some(), "in an orderly way");
    home.pass(HOUR);
    assert_eq!(home.bench.ran("reboot").len(), 1, "once");
}

#[test]
fn a_card_that_took_nothing_at_the_start_is_left_alone() {
    let home = Home::new();
    home.mounts("ro,noatime");
    home.serves();
    home.begin(service::watch(home.board.clone()));
    home.pass(HOUR);
    assert!(home.bench.ran("reboot").is_empty(), "that has been tried");
}

#[test]
fn where_only_one_door_is_the_relays_that_one_is_looked_at() {
    let home = Home::new();
    for (listen, door) in [
        (r#"{"submission": "0.0.0.0:587"}"#, "127.0.0.1:587"),
        (r#"{"smtp": ["192.168.1.5:2525"], "web": []}"#, "192.168.1.5:2525"),
        (r#"{"smtp": "[::]:25"}"#, "[::1]:25"),
    ] {
        home.put(CONFIG, &format!(r#"{{"listen": {listen}}}"#));
        home.serves_no_more();
        assert!(!home.world.wait(service::serves(&home.board)), "{listen}");
        home.world.server(door);
        assert!(home.world.wait(service::serves(&home.board)), "{listen}");
    }
    home.put(CONFIG, r#"{"listen": {"smtp": [], "web": []}}"#);
    assert!(!home.world.wait(service::serves(&home.board)), "there is none");
}

/// Until somebody has set up the page, each look asks thrice.
#[test]
fn a_slow_relay_that_nobody_has_set_up_does_not_starve_the_watchdog() {
    let home = Home::new();
    home.land.slow.set(limits::BOARD_LOOK_WAIT.mul_f32(0.97));
    home.serves();
    home.world.services.borrow()[&WEB.parse().unwrap()].says(&[("200 OK", r#"{"setup": true}"#)]);
    home.board.now.borrow_mut().setup_code = Some("AAAA-BBBB".into());
    home.begin(service::watch(home.board.clone()));
    home.pass(HOUR);
    assert!(home.now().setup_code.is_some());
    assert!(longest(&home.fed()) < Duration::from_secs(15), "{:?}", longest(&home.fed()));
}

#[test]
fn a_slow_relay_lets_the_configuration_before_go_as_well() {
    for hundredths in 0..100_u32 {
        let home = Home::new();
        let before = "/data/board/waypost.json.before";
        home.put(before, "{}");
        home.land.slow.set(limits::BOARD_LOOK_WAIT.mul_f64(f64::from(hundredths) / 100.0));
        home.serves();
        home.begin(service::watch(home.board.clone()));
        home.pass(120);
        assert!(!home.has(before), "{hundredths}");
    }
}

/// Else the watchdog would start the board anew, again and again.
#[test]
fn a_relay_that_is_only_reached_by_tls_serves_as_well() {
    let home = Home::new();
    home.put(CONFIG, r#"{"listen": {"submissions": ["0.0.0.0:465"]}}"#);
    assert!(!home.world.wait(service::serves(&home.board)));
    home.world.server("127.0.0.1:465");
    assert!(home.world.wait(service::serves(&home.board)));
}
