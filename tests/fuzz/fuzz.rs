//! The fuzzer: libFuzzer drives the target that `FUZZ_TARGET` names; without a name it tells all of
//! them. `FUZZ_SEEDS` is a folder to put that target's first inputs into.

#![no_main]

#[path = "../sim/disk/mod.rs"]
#[allow(dead_code, reason = "other tests use the rest of it")]
mod disk;
mod input;
mod seeds;
mod targets;
#[path = "../spool/world.rs"]
#[allow(dead_code, reason = "other tests use the rest of it")]
mod world;

use std::{env, fs, path::Path, process::exit, sync::OnceLock};
use targets::{TARGETS, Target};

fn target() -> &'static Target {
    static CHOSEN: OnceLock<&Target> = OnceLock::new();
    CHOSEN.get_or_init(|| {
        let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
        let Ok(name) = env::var("FUZZ_TARGET") else {
            println!("{}", names.join("\n"));
            exit(0);
        };
        TARGETS.iter().find(|target| target.name == name).unwrap_or_else(|| {
            eprintln!("{name} is none of {}", names.join(" "));
            exit(2);
        })
    })
}

fn sow() {
    let target = target();
    let Some(folder) = env::var_os("FUZZ_SEEDS") else { return };
    let folder = Path::new(&folder);
    fs::create_dir_all(folder).expect("a folder for seeds");
    for (n, seed) in (target.seeds)().into_iter().enumerate() {
        fs::write(folder.join(format!("seed-{n}")), seed).expect("a seed is written");
    }
}

libfuzzer_sys::fuzz_target!(
    init: {
        sow();
    },
    |data: &[u8]| (target().check)(data)
);
