//! What a person puts on the boot partition.

use super::{land::Deed, *};
use crate::{board::boot_files, sys::Open};

const NETWORK: &str = "/boot/network";
const THEIRS: &str = "/boot/waypost.json";
const KEPT: &str = "/data/board/network";
const TEXT: &str = "wifi = home\nwifi_password = hunter2222\ncountry = de\n";

impl Home {
    /// Start with what is on the boot partition.
    fn take(&self) {
        self.world.wait(boot_files::take(&self.board));
    }

    /// What was in a file when it went, and that it was not made anew before.
    fn left_in(&self, path: &str) -> Vec<u8> {
        let deeds = self.land.deeds.borrow();
        let made = Deed::Opened(path.into(), Open::Replace);
        assert!(!deeds.contains(&made), "new octets would lie elsewhere on the card");
        let left = deeds.iter().find_map(|deed| match deed {
            Deed::Removed(removed, octets) if removed == path => Some(octets.clone()),
            _ => None,
        });
        left.expect("it was removed")
    }
}

#[test]
fn a_file_network_with_a_password_is_taken_and_its_octets_are_overwritten() {
    let home = Home::new();
    home.put(NETWORK, TEXT);
    home.put(PROBLEM, "of yesterday");
    home.take();
    assert!(!home.has(NETWORK));
    assert_eq!(home.left_in(NETWORK), vec![b' '; TEXT.len()]);
    assert_eq!(home.file(KEPT), "wifi = home\nwifi_password = (kept)\ncountry = de\n");
    assert_eq!(home.file("/data/board/wifi-password"), "hunter2222");
    let network = home.now().network.clone();
    let wifi = network.wifi.expect("a Wi-Fi");
    assert_eq!(wifi.password.as_deref(), Some("hunter2222"));
    assert!(!home.has(PROBLEM) && home.troubles().is_empty());
    let mounts = ["mount -o remount,rw /boot", "mount -o remount,ro /boot"];
    assert_eq!(home.bench.ran("mount"), mounts);
    let ran = home.bench.ran("");
    let place = |words: &str| ran.iter().position(|ran| ran == words);
    assert!(place("sync") < place(mounts[1]) && place("sync").is_some(), "{ran:?}");
    assert!(!home.world.log.borrow().join("\n").contains("hunter2222"));
}

#[test]
fn where_nothing_new_is_there_the_boot_partition_is_not_written() {
    let home = Home::new();
    home.put("/boot/README.txt", "hello");
    home.put(KEPT, "name = mail\n");
    home.take();
    assert!(home.bench.ran("").is_empty());
    assert_eq!(
        (home.now().name.as_str(), home.now().network_text.as_str()),
        ("mail", "name = mail\n")
    );
}

#[test]
fn a_wrong_file_network_stays_there_is_told_and_the_one_before_goes_on() {
    let home = Home::new();
    home.put(KEPT, "name = mail\n");
    home.put(NETWORK, "adress = 10.0.0.2/24\n");
    home.take();
    assert_eq!(home.file(NETWORK), "adress = 10.0.0.2/24\n");
    assert_eq!(home.file(KEPT), "name = mail\n");
    assert_eq!(home.now().name, "mail");
    let told = home.file(PROBLEM);
    let words = "network was not taken: network, line 1: found \"adress\"; allowed is name,";
    assert!(told.starts_with(words) && told.ends_with("\r\n"), "{told}");
    assert!(home.troubles().contains("found \"adress\""), "{}", home.troubles());
    home.put(NETWORK, "address = 10.0.0.2/24\n");
    home.take();
    assert!(!home.has(PROBLEM) && !home.has(NETWORK), "it was mended");
}

#[test]
fn a_wrong_configuration_stays_there_is_told_and_the_one_before_goes_on() {
    let home = Home::new();
    let before = home.file(CONFIG);
    for (wrong, words) in [
        ("{\"hostname\": \"a\"", "waypost.json was not taken: "),
        ("[1]", "waypost.json was not taken: "),
        ("", "waypost.json was not taken: "),
    ] {
        home.put(THEIRS, wrong);
        home.take();
        assert_eq!(home.file(THEIRS), wrong);
        assert_eq!(home.file(CONFIG), before);
        let told = home.file(PROBLEM);
        assert!(told.starts_with(words) && told.lines().count() == 1, "{told}");
    }
    assert!(!home.has("/boot/waypost-taken.json"));
}

#[test]
fn where_both_are_wrong_both_are_told_on_the_card() {
    let home = Home::new();
    home.put(NETWORK, "adress = 10.0.0.2/24\n");
    home.put(THEIRS, "{");
    home.take();
    let told = home.file(PROBLEM);
    let names: Vec<&str> = told.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(names, ["network", "waypost.json"], "{told}");
    assert_eq!(home.now().troubles.len(), 2);
    // The page was used to mend one, and the other is still wrong.
    home.put(THEIRS, "{}");
    home.take();
    assert_eq!(home.file(PROBLEM).lines().count(), 1, "{}", home.file(PROBLEM));
    assert!(home.file(PROBLEM).starts_with("network was not taken"), "{}", home.file(PROBLEM));
}

#[test]
fn a_configuration_is_taken_and_its_secrets_are_overwritten() {
    let home = Home::new();
    let before = home.file(CONFIG);
    let text = r#"{"hostname": "relay.test", "routes": [{"for": "*", "via": "mx.test:587",
        "user": "me", "password": "hunter2222"}]}"#;
    home.put(THEIRS, text);
    home.take();
    assert!(home.file(CONFIG).contains("hunter2222") && home.file(CONFIG).contains("0.0.0.0:25"));
    assert_eq!(home.left_in(THEIRS), vec![b' '; text.len()]);
    let shown = home.file("/boot/waypost-taken.json");
    assert!(shown.contains("relay.test") && !shown.contains("hunter2222"), "{shown}");
    assert_eq!(
        home.file("/data/board/waypost.json.before"),
        before,
        "until the relay has taken it"
    );
    assert_eq!(home.bench.ran("chown"), [format!("chown waypost:waypost {CONFIG}")]);
}

#[test]
fn the_first_start_says_where_to_listen() {
    let home = Home::new();
    home.world.files.borrow_mut().remove(CONFIG);
    home.take();
    assert!(home.file(CONFIG).contains("0.0.0.0:25"), "{}", home.file(CONFIG));
    assert!(home.bench.ran("mount").is_empty());
}

#[test]
fn a_password_of_the_page_is_forgotten_where_its_file_asks_for_it() {
    let home = Home::new();
    home.put(CONFIG, r#"{"hostname": "a", "admin": {"name": "me"}}"#);
    home.put("/boot/reset-password", "");
    home.take();
    let text = home.file(CONFIG);
    assert!(text.contains("hostname") && !text.contains("admin"), "{text}");
    assert!(!home.has("/boot/reset-password"));
}

#[test]
fn everything_but_mail_starts_anew_where_a_file_asks_for_it() {
    let home = Home::new();
    for path in ["/data/waypost/spool", "/data/waypost/mail", "/data/waypost/index", KEPT] {
        home.put(path, "");
    }
    home.put("/boot/reset-all", "");
    home.take();
    let gone = [CONFIG, "/data/waypost/index", KEPT].map(|path| format!("rm -rf {path}"));
    let mut ran = home.bench.ran("rm");
    ran.sort();
    let mut gone = gone.to_vec();
    gone.sort();
    assert_eq!(ran, gone);
    assert!(!home.has("/boot/reset-all"));
}

#[test]
fn a_key_for_updates_is_added_once_and_what_is_none_is_told() {
    let home = Home::new();
    let key = "0f".repeat(32);
    for _ in 0..2 {
        home.put("/boot/update.pub", &format!("{key}\r\n"));
        home.take();
        assert!(!home.has("/boot/update.pub"));
    }
    assert_eq!(home.file("/data/board/update.pub"), format!("{key}\n"));
    assert_eq!(home.world.wait(home.board.keys()), [key]);
    home.put("/boot/update.pub", "no key");
    home.take();
    assert!(home.troubles().contains("update.pub holds no key"), "{}", home.troubles());
}

#[test]
fn what_cannot_be_taken_is_told_and_stays() {
    let home = Home::new();
    home.put(NETWORK, TEXT);
    *home.world.broken.borrow_mut() = Some("/data/board");
    home.take();
    assert_eq!(home.file(NETWORK), TEXT);
    assert!(home.troubles().contains("cannot be taken over"), "{}", home.troubles());
    assert_eq!(home.bench.ran("mount").len(), 2, "the partition is read-only again");
}

/// As an editor of Windows saves it: `M\xfcller`, or two octets a letter.
#[test]
fn a_file_network_that_is_no_text_is_told_and_takes_nothing_away() {
    let home = Home::new();
    home.put(KEPT, "wifi = home\nwifi_password = (kept)\n");
    home.put("/data/board/wifi-password", "hunter2222");
    let long = format!("# {}\n", "x".repeat(limits::BOARD_TEXT_BYTES)).into_bytes();
    for (octets, words) in
        [(b"wifi = M\xfcller\n".to_vec(), "no text in UTF-8"), (long, "larger than 65536 octets")]
    {
        home.world.files.borrow_mut().insert(NETWORK.into(), octets);
        home.take();
        assert!(home.has(NETWORK), "it stays there");
        assert!(home.file(PROBLEM).contains(words), "{}", home.file(PROBLEM));
        let wifi = home.now().network.wifi.clone().expect("what was known goes on");
        assert_eq!(wifi.password.as_deref(), Some("hunter2222"));
    }
}

#[test]
fn a_password_that_was_never_kept_is_asked_for_on_the_card_and_the_rest_is_taken() {
    let home = Home::new();
    home.put(NETWORK, "wifi = home\nwifi_password = (kept)\n");
    home.put(THEIRS, r#"{"hostname": "relay.test"}"#);
    home.take();
    assert!(home.has(NETWORK), "it stays there");
    assert!(home.file(PROBLEM).contains("no password is kept"), "{}", home.file(PROBLEM));
    assert!(!home.has(THEIRS) && home.file(CONFIG).contains("relay.test"));
}
