//! One life, cut off after each single operation of its disk in turn, in every way in which what
//! was not synced may be kept, lost or torn.

use crate::{
    disk::{Fate, Faults},
    for_seeds,
    story::Story,
    world::Ended,
};

/// What a cut does to so many units that were not durable.
#[derive(Clone, Copy, Debug)]
enum Cut {
    /// Those whose bit is set are kept.
    Some(u64),
    /// The first so many are kept.
    First(usize),
    /// All but the first so many are kept: written in another order.
    Last(usize),
    /// This one is kept alone.
    Only(usize),
    /// This one is lost alone.
    But(usize),
    /// Of this one so many octets are kept, of those before all, of those behind none.
    Torn(usize, usize),
    /// The same, and those behind are kept.
    TornAmong(usize, usize),
}

impl Cut {
    fn fate(self, unit: usize) -> Fate {
        let kept = match self {
            Cut::Torn(torn, part) | Cut::TornAmong(torn, part) if unit == torn => {
                return Fate::Torn(part);
            }
            Cut::Some(bits) => bits >> (unit % 64) & 1 == 1,
            Cut::First(many) => unit < many,
            Cut::Last(many) => unit >= many,
            Cut::Only(one) => unit == one,
            Cut::But(one) => unit != one,
            Cut::Torn(torn, _) => unit < torn,
            Cut::TornAmong(..) => true,
        };
        if kept { Fate::Kept } else { Fate::Lost }
    }

    /// Of a few units every choice, of more every one that differs in kind.
    fn all(units: usize) -> Vec<Cut> {
        let mut cuts: Vec<Cut> = if units <= 4 {
            (0..1 << units).map(Cut::Some).collect()
        } else {
            let each = (0..units).flat_map(|n| [Cut::Only(n), Cut::But(n)]);
            let runs = (0..=units).flat_map(|n| [Cut::First(n), Cut::Last(n)]);
            each.chain(runs)
                .chain([0x5555_5555_5555_5555, 0x3333_cccc_9696_5aa5].map(Cut::Some))
                .collect()
        };
        for n in 0..units {
            // Where the records of a page, and the fields of their heads, have their seams.
            cuts.extend([8, 36, 260, 508].map(|part| Cut::Torn(n, part)));
            cuts.push(Cut::TornAmong(n, 4 + n * 97 % 500));
        }
        cuts
    }
}

/// How much of a sweep is made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sweep {
    /// At each operation all kinds of cuts.
    Whole,
    /// At each operation so many of them, others at each.
    Part(u64),
}

/// Says where it was when a panic passes by.
struct At(u64, Cut, u32);

impl Drop for At {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("cut after operation {} as {:?}, depth {}", self.0, self.1, self.2);
        }
    }
}

/// Run a life and cut it off at each operation; `depth` recoveries are cut off in the same way.
fn sweep(story: &mut Story, how: Sweep, depth: u32, life: (Faults, u64, u64)) {
    let (faults, people, things) = life;
    let (world, _) = story.begin(faults, people, things);
    loop {
        let before = story.disk.operations();
        let ended = world.run(1);
        if story.disk.operations() != before {
            crash(story, how, depth);
        }
        match ended {
            Ended::Cut => {}
            Ended::Done => break,
            Ended::Stuck => panic!("somebody waits for ever"),
        }
    }
    world.kill();
}

fn crash(story: &mut Story, how: Sweep, depth: u32) {
    let operation = story.disk.operations();
    let cuts = Cut::all(story.disk.undecided());
    let chosen: Vec<Cut> = match how {
        Sweep::Whole => cuts,
        Sweep::Part(many) => {
            let pick =
                |_| cuts[usize::try_from(story.chance.below(cuts.len() as u64)).expect("small")];
            (0..many).map(pick).collect()
        }
    };
    for cut in chosen {
        let at = At(operation, cut, depth);
        let seed = story.chance.roll();
        let mut after = story.fork(seed);
        after.disk.fail(Faults::default());
        after.disk.cut_as(|unit| cut.fate(unit));
        if depth > 0 && seed.is_multiple_of(10) {
            sweep(&mut after, Sweep::Part(1), depth - 1, (Faults::default(), 0, 0));
        } else {
            after.recover();
        }
        if seed.is_multiple_of(16) {
            after.end();
        }
        drop(at);
    }
}

/// Long enough that segments are recycled and compacted; with a disk that fails now and then in
/// each second life.
pub(crate) fn whole_life(seed: u64, how: Sweep) {
    let mut story = Story::new(seed);
    story.cramp();
    let faulty = Faults { sync: 40, write: 20, names: 10, stalled: false };
    let faults = if seed % 2 == 1 { faulty } else { Faults::default() };
    let people = 1 + seed % 3;
    sweep(&mut story, how, 1, (faults, people, 480 / people));
    let (lives, files) = (story.lives(), story.disk.files("spool/0").len());
    assert!(lives > 2 * files, "{files} segments have {lives} lives");
    story.disk.fail(Faults::default());
    story.recover();
    story.end();
}

/// Few operations, and all that can become of each.
pub(crate) fn short_life(seed: u64) {
    let mut story = Story::new(seed);
    story.cramp();
    let faults = Faults { sync: 40 * (seed % 2), ..Faults::default() };
    sweep(&mut story, Sweep::Whole, 1, (faults, 1 + seed % 2, 8));
    story.disk.fail(Faults::default());
    story.end();
}

#[test]
fn a_life_may_be_cut_off_after_each_operation_of_its_disk() {
    for_seeds(4, |seed| whole_life(seed, Sweep::Part(2)));
}

#[test]
fn whatever_part_of_what_was_not_synced_is_kept_lost_or_torn() {
    for_seeds(1, short_life);
}
