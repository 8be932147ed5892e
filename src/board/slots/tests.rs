use super::*;
use crate::sys::linux::{self, tests::Scratch};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

const AT: u64 = 30720 * 512;

/// A medium with sectors, and the shell of the initramfs beside it.
struct Medium {
    scratch: Scratch,
    sys: Sys,
    executor: linux::Executor,
}

impl Medium {
    fn new() -> Medium {
        let scratch = Scratch::new();
        let (sys, executor) = linux::world(scratch.path()).unwrap();
        fs::write(scratch.path().join("disk"), vec![0; usize::try_from(AT).unwrap() + 1024])
            .unwrap();
        Medium { scratch, sys, executor }
    }

    fn disk(&self) -> PathBuf {
        self.scratch.path().join("disk")
    }

    fn sectors(&self) -> Sectors {
        Sectors::new(&self.sys, self.disk().to_str().unwrap(), AT)
    }

    fn read(&self) -> State {
        self.executor.run(self.sectors().read()).unwrap()
    }

    fn change(&self, change: impl FnOnce(&mut State)) -> State {
        self.executor.run(self.sectors().change(change)).unwrap()
    }

    /// Run a part of the initramfs, and tell what it says.
    fn shell(&self, script: &str) -> String {
        let slots = Path::new(env!("CARGO_MANIFEST_DIR")).join("image/initramfs/slots.sh");
        let script = format!(". {}; disk={}; {script}", slots.display(), self.disk().display());
        let done = Command::new("sh").args(["-ec", &script]).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    }

    /// What a start runs.
    fn start(&self) -> String {
        self.shell("slots_turn $disk; echo $slot")
    }
}

#[test]
fn keeper_and_initramfs_read_what_the_other_wrote() {
    let medium = Medium::new();
    assert_eq!(medium.read(), State::default());
    assert_eq!(medium.start(), "a", "nothing is written there: the first root");
    for (n, slot) in [Slot::A, Slot::B, Slot::A].into_iter().enumerate() {
        let wrote = medium.change(|state| {
            state.good = slot;
            state.trial = Some(slot.other());
            state.tries = 3;
            state.word = format!("trying 0.{n} with some words");
        });
        let read = medium.shell("slots_read $disk; echo $sequence $good $trial $tries $word");
        let State { sequence, good, trial, tries, word } = &wrote;
        let (good, trial) = (good.letter(), trial.unwrap().letter());
        assert_eq!(read, format!("{sequence} {good} {trial} {tries} {word}"));
        medium.shell("slots_read $disk; tries=7 word='said by the shell'; slots_write $disk");
        let read = medium.read();
        assert_eq!((read.tries, read.word.as_str()), (7, "said by the shell"));
        assert_eq!(read.sequence, wrote.sequence + 1);
    }
}

#[test]
fn a_root_on_trial_runs_once_and_is_kept_only_where_that_is_said() {
    let medium = Medium::new();
    let begin = |state: &mut State| {
        state.trial = Some(Slot::B);
        state.tries = 1;
        state.word = "trying 2".into();
    };
    medium.change(begin);
    assert_eq!(medium.start(), "b");
    // Whatever happened there, nobody has said that it is good.
    assert_eq!(medium.start(), "a");
    let state = medium.read();
    assert_eq!((state.good, state.trial), (Slot::A, None));
    assert_eq!(state.word, "fell-back slot b was started and did not serve");
    assert_eq!(medium.start(), "a", "and so it stays");
    medium.change(begin);
    assert_eq!(medium.start(), "b");
    medium.change(|state| {
        state.good = Slot::B;
        state.trial = None;
    });
    for _ in 0..3 {
        assert_eq!(medium.start(), "b");
    }
}

#[test]
fn a_root_that_cannot_be_mounted_gives_way_to_the_other() {
    let medium = Medium::new();
    medium.change(|state| {
        state.trial = Some(Slot::B);
        state.tries = 1;
    });
    let said =
        medium.shell("slots_turn $disk; slots_failed $disk 'slot b cannot be mounted'; echo $slot");
    assert_eq!(said, "a");
    assert_eq!(medium.read().word, "fell-back slot b cannot be mounted");
    // The good one is broken: the other runs for this once, and nothing is written.
    let before = medium.read();
    assert_eq!(medium.shell("slots_turn $disk; slots_failed $disk x; echo $slot"), "b");
    assert_eq!(medium.read(), before);
}

#[test]
fn a_power_cut_in_the_middle_of_a_change_leaves_the_old_state_or_the_new_one() {
    let medium = Medium::new();
    let old = medium.change(|state| state.word = "old".into());
    let before = fs::read(medium.disk()).unwrap();
    let new = medium.change(|state| state.word = "new".into());
    let after = fs::read(medium.disk()).unwrap();
    let place = usize::try_from(AT).unwrap() + usize::try_from(new.sequence % 2).unwrap() * SECTOR;
    for kept in (0..=SECTOR).step_by(7) {
        let mut torn = before.clone();
        torn[place..place + kept].copy_from_slice(&after[place..place + kept]);
        fs::write(medium.disk(), &torn).unwrap();
        let read = medium.read();
        assert!(read == old || read == new, "{kept}: {read:?}");
        if kept % 49 == 0 {
            let word = medium.shell("slots_read $disk; echo $word");
            assert_eq!(word, read.word, "{kept}");
        }
    }
    for n in 0..2 {
        let mut damaged = after.clone();
        damaged[usize::try_from(AT).unwrap() + n * SECTOR + 20] ^= 1;
        fs::write(medium.disk(), &damaged).unwrap();
        assert!([&old, &new].contains(&&medium.read()));
    }
}

#[test]
fn words_are_cut_to_what_a_sector_holds() {
    let medium = Medium::new();
    let state = medium.change(|state| {
        state.sequence = u64::MAX - 1;
        state.word = "ä\n".repeat(500);
    });
    assert!(state.word.len() <= WORD_BYTES && !state.word.contains('\n'));
    assert_eq!(medium.read(), state);
}

#[test]
fn slots_are_the_partitions_that_the_initramfs_mounts() {
    assert_eq!([Slot::A, Slot::B].map(Slot::partition), [2, 3]);
    let init = include_str!("../../../image/initramfs/init");
    assert!(init.contains("a) number=2 ;; b) number=3"));
}
