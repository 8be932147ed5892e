//! The Wi-Fi: joined, left, joined anew.

use super::{bench::Run, *};
use crate::board::{desk, wifi};

const SUPPLICANT: &str = "wpa_supplicant";
const PASSWORD: &str = "/data/board/wifi-password";
const CONNECTED: &str = "wlan0: CTRL-EVENT-CONNECTED - Connection to 02:00:00:00:01:00 completed";

impl Home {
    /// One whose file `network` names a Wi-Fi, and whose radio looks for it.
    fn looking() -> (Home, Rc<Run>) {
        let home = Home::new();
        home.bench.radios.borrow_mut().push("wlan0".into());
        home.network("wifi = home\nwifi_password = hunter2222\n");
        home.begin(wifi::keep(home.board.clone()));
        let program = home.bench.last(SUPPLICANT);
        (home, program)
    }
}

#[test]
fn without_a_radio_the_file_that_it_misses_is_named() {
    let home = Home::new();
    home.network("wifi = home\n");
    home.begin(wifi::keep(home.board.clone()));
    assert_eq!(home.now().wifi, "No Wi-Fi is found in this board.");
    home.pass(60);
    assert_eq!(home.world.told("wifi").len(), 1, "told once");
    let asked = home.bench.ran("sh -c dmesg").len();
    assert_eq!(asked, 2, "the kernel is asked at once, and a minute later");
    *home.bench.dmesg.borrow_mut() =
        "[ 2.0] brcmfmac: Direct firmware load for brcm/x.bin failed with error -2\n".into();
    home.world.pass(limits::BOARD_FIRMWARE_EVERY);
    assert!(home.now().wifi.contains("does not have: brcm/x.bin."), "{}", home.now().wifi);
    home.bench.radios.borrow_mut().push("wlan0".into());
    home.world.pass(limits::BOARD_LINKS_EVERY);
    assert_eq!(home.now().wifi, "Looking for home.", "a stick was plugged in");
    assert!(home.bench.last(SUPPLICANT).lives());
}

#[test]
fn where_no_wifi_is_asked_for_no_radio_is_touched() {
    let home = Home::new();
    home.bench.radios.borrow_mut().push("wlan0".into());
    home.begin(wifi::keep(home.board.clone()));
    home.pass(60);
    assert_eq!(home.now().wifi, "");
    assert!(home.bench.started(SUPPLICANT).is_empty() && home.bench.ran("").is_empty());
}

#[test]
fn a_radio_joins_with_what_the_file_says_and_is_told_to_be_in() {
    let (home, program) = Home::looking();
    let conf = "/run/board/wifi.conf";
    assert_eq!(program.words(), format!("wpa_supplicant -Dnl80211 -i wlan0 -c {conf}"));
    assert_eq!(program.command.user, None, "it needs root");
    assert!(home.file(conf).contains("\tssid=686f6d65\n"), "{}", home.file(conf));
    assert!(home.file(conf).contains("\tpsk=\"hunter2222\"\n"), "{}", home.file(conf));
    let told = |line: &str| {
        program.says(line);
        home.world.run();
        (home.now().wifi.clone(), home.now().joined.clone())
    };
    assert_eq!(told("wlan0: Trying to associate").1, None);
    assert_eq!(told(CONNECTED), ("In home.".into(), Some("wlan0".into())));
    let (words, joined) = told("wlan0: CTRL-EVENT-DISCONNECTED bssid=x reason=3");
    assert!(words.contains("looked for"), "{words}");
    assert!(joined.is_some(), "its address stays, as that of a cable that was pulled out");
    let (words, _) = told("wlan0: CTRL-EVENT-SSID-TEMP-DISABLED id=0 reason=WRONG_KEY");
    assert!(words.contains("the password is wrong, most likely"), "{words}");
    assert_eq!(home.world.told("wifi").len(), 4, "each word once");
    assert!(!home.world.log.borrow().join("\n").contains("hunter2222"));
}

#[test]
fn a_program_that_ends_is_started_again_after_a_rest() {
    let (home, program) = Home::looking();
    program.says(CONNECTED);
    program.says("Failed to initialize driver interface");
    program.says("wlan0: CTRL-EVENT-DSCP-POLICY clear_all");
    home.world.run();
    assert!(home.now().joined.is_some());
    program.ends(255);
    home.world.run();
    let words = "The Wi-Fi cannot be joined: Failed to initialize driver interface.";
    assert_eq!(home.now().wifi, words);
    home.pass(5);
    assert_eq!(home.now().joined, None);
    assert_eq!(home.bench.started(SUPPLICANT).len(), 1);
    home.world.pass(limits::BOARD_LINKS_EVERY);
    assert_eq!(home.bench.started(SUPPLICANT).len(), 2);
    assert_eq!(home.now().wifi, "Looking for home.");
    *home.bench.missing.borrow_mut() = Some(SUPPLICANT);
    home.bench.last(SUPPLICANT).ends(1);
    home.world.run();
    assert_eq!(home.now().wifi, "The Wi-Fi cannot be joined: its program ended.");
    home.pass(20);
    assert!(home.now().wifi.starts_with("The Wi-Fi cannot be joined: "), "{}", home.now().wifi);
    *home.bench.missing.borrow_mut() = None;
    home.world.pass(limits::BOARD_LINKS_EVERY);
    assert!(home.bench.last(SUPPLICANT).lives());
}

#[test]
fn another_network_is_joined_once_the_program_of_the_first_has_ended() {
    let (home, first) = Home::looking();
    first.says(CONNECTED);
    first.is_stubborn.set(true);
    home.pass(60);
    assert!(first.asked.get().is_none(), "nothing has changed");
    home.network("wifi = other\n");
    home.world.pass(limits::BOARD_LINKS_EVERY);
    assert!(first.asked.get().is_some());
    home.pass(10);
    assert_eq!(home.bench.started(SUPPLICANT).len(), 1, "one at a time");
    first.ends(0);
    home.world.run();
    assert_eq!(home.now().joined, None);
    home.world.pass(limits::BOARD_LINKS_EVERY);
    assert_eq!(home.bench.started(SUPPLICANT).len(), 2);
    assert!(home.file("/run/board/wifi.conf").contains("\tssid=6f74686572\n"));
    assert!(home.file("/run/board/wifi.conf").contains("key_mgmt=NONE"));
    assert_eq!(home.now().wifi, "Looking for other.");
    home.network("");
    home.world.pass(2 * limits::BOARD_LINKS_EVERY);
    assert!(!home.bench.last(SUPPLICANT).lives());
    assert_eq!(home.now().wifi, "", "none is asked for");
}

#[test]
fn a_radio_that_is_pulled_out_is_let_go() {
    let (home, program) = Home::looking();
    program.says(CONNECTED);
    home.pass(1);
    home.bench.radios.borrow_mut().clear();
    home.world.pass(2 * limits::BOARD_LINKS_EVERY);
    assert!(program.asked.get().is_some() && !program.lives());
    assert_eq!(home.now().joined, None);
    assert_eq!(home.now().wifi, "No Wi-Fi is found in this board.");
    home.bench.radios.borrow_mut().push("wlan1".into());
    home.world.pass(limits::BOARD_LINKS_EVERY);
    assert!(home.bench.last(SUPPLICANT).words().contains("-i wlan1"));
}

#[test]
fn the_password_is_kept_apart_for_who_says_that_it_is_kept() {
    let home = Home::new();
    home.begin(desk::serve(home.board.clone()));
    let set = |text: &str| {
        let question = serde_json::json!({"do": "network", "text": text}).to_string();
        home.ask(&question)
    };
    let password = || home.now().network.wifi.as_ref().and_then(|wifi| wifi.password.clone());
    assert_eq!(set("wifi = home\nwifi_password = hunter2222\n"), "{}\n");
    let kept = "wifi = home\nwifi_password = (kept)\n";
    assert_eq!(home.now().network_text, kept);
    assert_eq!(home.file("/data/board/network"), kept);
    assert_eq!(home.file(PASSWORD), "hunter2222");
    assert_eq!(password().as_deref(), Some("hunter2222"));
    assert!(!home.ask(r#"{"do":"tell"}"#).contains("hunter2222"));
    // As the page sends it back.
    assert_eq!(set("name = mail\nwifi = home\nwifi_password = (kept)\n"), "{}\n");
    assert_eq!(password().as_deref(), Some("hunter2222"));
    assert_eq!(home.file(PASSWORD), "hunter2222");
    assert!(set("wifi = home\nwifi_password = short\n").contains("allowed are 8 to 63"));
    assert_eq!(home.file(PASSWORD), "hunter2222");
    assert_eq!(home.now().network.name.as_deref(), Some("mail"), "what was known goes on");
    assert_eq!(set("name = mail\n"), "{}\n");
    assert!(!home.has(PASSWORD), "of no use any more");
}

#[test]
fn the_kept_password_is_there_after_a_start_and_goes_with_the_wifi() {
    let home = Home::new();
    home.put(PASSWORD, "hunter2222");
    home.put("/data/board/network", "wifi = home\nwifi_password = (kept)\n");
    home.world.wait(board::boot_files::take(&home.board));
    let wifi = home.now().network.wifi.clone().expect("a Wi-Fi");
    assert_eq!(wifi.password.as_deref(), Some("hunter2222"));
    assert!(home.now().network_text.contains("(kept)"));
    home.put("/data/board/network", "wifi = open\n");
    home.world.wait(board::boot_files::take(&home.board));
    assert!(!home.has(PASSWORD));
}

#[test]
fn what_cannot_be_kept_changes_nothing_and_is_told() {
    let home = Home::new();
    home.begin(desk::serve(home.board.clone()));
    *home.world.broken.borrow_mut() = Some("/data/board");
    let text = r"wifi = home\nwifi_password = hunter2222";
    let said = home.ask(&format!(r#"{{"do":"network","text":"{text}"}}"#));
    assert!(said.contains("the disk is broken"), "{said}");
    assert_eq!(home.now().network.wifi, None);
}

#[test]
fn a_program_that_talks_without_a_pause_is_asked_to_end_all_the_same() {
    let (home, program) = Home::looking();
    home.network("wifi = other\n");
    for _ in 0..10 {
        program.says("wlan0: CTRL-EVENT-SCAN-FAILED ret=-16 retry=1");
        home.pass(1);
    }
    assert!(program.asked.get().is_some());
    assert_eq!(home.now().wifi, "Looking for other.");
}

#[test]
fn a_program_that_does_not_end_is_not_waited_for_without_end() {
    let (home, program) = Home::looking();
    program.is_stubborn.set(true);
    home.network("wifi = other\n");
    home.world.pass(limits::BOARD_END_WAIT + 2 * limits::BOARD_LINKS_EVERY);
    assert!(program.is_gone.get(), "it is killed");
    assert_eq!(home.now().wifi, "Looking for other.");
}

#[test]
fn where_no_password_is_kept_that_is_told() {
    let home = Home::new();
    home.begin(desk::serve(home.board.clone()));
    let said = home.ask(r#"{"do":"network","text":"wifi = home\nwifi_password = (kept)\n"}"#);
    assert!(said.contains("no password is kept"), "{said}");
    assert_eq!(home.now().network.wifi, None);
    assert!(!home.has("/data/board/network"));
}
