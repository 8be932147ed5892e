//! What the fuzzer found, replayed without it: `found/TARGET/*`; and its first inputs, so that no
//! target rots. `FUZZ_INPUT=TARGET:FILE` replays one more.

#[path = "../sim/disk/mod.rs"]
#[allow(dead_code, reason = "other tests use the rest of it")]
mod disk;
mod input;
mod seeds;
mod targets;
#[path = "../spool/world.rs"]
#[allow(dead_code, reason = "other tests use the rest of it")]
mod world;

use std::{
    env, fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};
use targets::{TARGETS, Target};

/// Whether an input passes its target; where it does not, says which it was.
fn passes(target: &Target, input: &[u8], name: &str) -> bool {
    let passed = catch_unwind(AssertUnwindSafe(|| (target.check)(input))).is_ok();
    if !passed {
        eprintln!("{} fails on {name}: {}", target.name, input.escape_ascii());
    }
    passed
}

fn named(name: &str) -> &'static Target {
    TARGETS.iter().find(|t| t.name == name).unwrap_or_else(|| panic!("{name} is no target"))
}

#[test]
fn what_was_found_once_is_not_found_again() {
    let found = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/found");
    let inside = |dir: &Path| {
        let entries = fs::read_dir(dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
        entries.map(|entry| entry.expect("readable").path()).collect::<Vec<_>>()
    };
    for folder in inside(&found) {
        let target = named(&folder.file_name().expect("a name").to_string_lossy());
        for file in inside(&folder) {
            let input = fs::read(&file).expect("readable");
            assert!(passes(target, &input, &file.display().to_string()));
        }
    }
    if let Ok(wanted) = env::var("FUZZ_INPUT") {
        let (target, file) = wanted.split_once(':').expect("FUZZ_INPUT=TARGET:FILE");
        assert!(passes(named(target), &fs::read(file).expect("readable"), file));
    }
}

#[test]
fn the_first_inputs_of_every_target_pass() {
    let mut failed = Vec::new();
    for target in TARGETS {
        let seeds = (target.seeds)();
        assert!(!seeds.is_empty(), "{} has some", target.name);
        let mut seeds = seeds.iter().enumerate();
        if !seeds.all(|(n, seed)| passes(target, seed, &format!("seed {n}"))) {
            failed.push(target.name);
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
}
