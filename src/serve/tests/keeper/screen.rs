//! What stands on the screen, and who may log in.

use super::*;
use crate::board::{screen, shell};

#[test]
fn what_changes_within_a_second_is_shown_once_on_each_screen() {
    let home = Home::new();
    home.begin(screen::keep(home.board.clone()));
    let devices = || -> Vec<String> {
        home.bench.shown.borrow().iter().map(|(device, _)| device.clone()).collect()
    };
    assert_eq!(devices(), ["/dev/tty1", "/dev/console"]);
    home.pass(10);
    for n in 0..10 {
        home.board.trouble(&format!("trouble {n}"));
        home.pass_millis(50);
    }
    home.pass(60);
    assert_eq!(devices().len(), 4, "{:?}", devices());
    let last = home.bench.shown.borrow().last().expect("shown").1.clone();
    assert!(last.contains("! trouble 9\r\n"), "{last}");
    home.board.changed.raise();
    home.pass(60);
    assert_eq!(devices().len(), 4, "a person sees no other words");
}

#[test]
fn without_keys_on_the_boot_partition_nobody_logs_in() {
    let home = Home::new();
    home.begin(shell::keep(home.board.clone()));
    home.put("/boot/authorized_keys", " \n");
    home.begin(shell::keep(home.board.clone()));
    home.pass(HOUR);
    assert!(home.bench.started.borrow().is_empty() && home.bench.ran("").is_empty());
}

#[test]
fn with_keys_the_server_runs_without_passwords_and_is_started_again() {
    let home = Home::new();
    home.world.dirs.borrow_mut().insert("/run/board/home/.ssh".into());
    home.put("/boot/authorized_keys", "ssh-ed25519 AAAA me\r\n");
    home.begin(shell::keep(home.board.clone()));
    let server = home.bench.last("dropbear");
    assert_eq!(server.words(), "dropbear -F -E -s -g -j -k -R -p 22");
    assert_eq!(home.file("/run/board/home/.ssh/authorized_keys"), "ssh-ed25519 AAAA me\n");
    assert!(home.bench.ran("chmod")[0].starts_with("chmod 700 /run/board/home "));
    server.says("Not backgrounding");
    server.ends(1);
    home.pass(9);
    assert_eq!(home.world.told("ssh").len(), 1);
    assert_eq!(home.bench.started("dropbear").len(), 1);
    home.pass(1);
    assert_eq!(home.bench.started("dropbear").len(), 2);
}
