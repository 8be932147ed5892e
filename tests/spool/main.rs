//! The spool's promises, by simulation: thousands of lives with power cuts, failing disks and
//! little room, each from one seed. `SEED=n` replays one, `SEEDS=n` runs more of them.

mod bounds;
mod company;
#[path = "../sim/disk.rs"]
mod disk;
mod life;
mod model;
mod unread;
mod world;

use disk::{Chance, Faults, SimDisk};
use life::Life;
use model::Model;
use std::{
    cell::{Cell, RefCell},
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
};
use waypost::relay::spool::Room;
use world::{Ended, World};

const SEGMENT: u64 = 64 * 1024;
/// The rest of the file system, which the spool leaves alone.
const ELSEWHERE: u64 = 8 * 1024 * 1024;

/// Run `story` for many seeds; a failure names its seed.
fn for_seeds(many: u64, story: fn(u64)) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(seed) = number("SEED") {
        return story(seed);
    }
    for seed in 0..number("SEEDS").unwrap_or(many) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| story(seed))) {
            eprintln!("to see it again: SEED={seed}");
            std::panic::resume_unwind(panic);
        }
    }
}

/// A disk, what is known of it, and how it is treated.
struct Story {
    chance: Chance,
    disk: SimDisk,
    room: Room,
    model: Rc<RefCell<Model>>,
    eager: u64,
}

impl Story {
    fn new(seed: u64) -> Story {
        let mut chance = Chance::new(seed);
        let segments = 6 + chance.below(8);
        let room = Room {
            octets: segments * SEGMENT + chance.below(SEGMENT),
            message: 60 * 1024,
            segment_bytes: 64 * 1024,
        };
        // Now and then it is the file system that is short, not the room.
        let short = if chance.below(6) == 0 { 2 * SEGMENT } else { 0 };
        let disk = SimDisk::new(chance.roll(), ELSEWHERE + room.octets - short);
        disk.hold_below("spool", room.octets);
        let eager = 2 + chance.below(6);
        Story { chance, disk, room, model: Rc::default(), eager }
    }

    fn faults(&mut self) -> Faults {
        match self.chance.below(4) {
            0 => Faults { sync: 30, write: 10, names: 10 },
            1 => Faults { sync: 300, write: 100, names: 100 },
            _ => Faults::default(),
        }
    }

    /// One life: recover, check, go on. Ends when all is done, or after `steps`.
    fn live(&mut self, faults: Faults, steps: u64) -> usize {
        let world = World::new(self.chance.roll());
        let sys = world.sys(&self.disk);
        self.disk.fail(faults);
        let missing = Rc::new(Cell::new(0));
        let things = 10 + self.chance.below(60);
        let people = 1 + self.chance.below(8);
        let (disk, room, eager) = (self.disk.clone(), self.room, self.eager);
        let (model, told, inside) = (self.model.clone(), missing.clone(), world.clone());
        world.sys(&self.disk).spawn(async move {
            let (spool, recovered) = life::open(&sys, room, &disk).await;
            told.set(model.borrow_mut().recovered(&recovered));
            let mut unreadable = 0;
            for entry in &recovered.entries {
                match life::recall(&spool, entry.id).await {
                    Ok((envelope, progress, octets)) => {
                        model.borrow_mut().reloaded(entry.id, &envelope, &progress, &octets);
                    }
                    Err(failed) => {
                        assert!(model.borrow().damaged, "{} unreadable: {failed:?}", entry.id);
                        unreadable += 1;
                        spool.done(entry.id).await.ok();
                        model.borrow_mut().end(entry.id);
                    }
                }
            }
            told.set(told.get() + unreadable);
            for _ in 0..people {
                let (world, sys, spool) = (inside.clone(), sys.clone(), spool.clone());
                let life = Life { world, sys: sys.clone(), spool, model: model.clone(), eager };
                sys.spawn(life.live(things));
            }
        });
        let ended = world.run(steps);
        assert_ne!(ended, Ended::Stuck, "somebody waits for ever");
        world.kill();
        missing.get()
    }

    /// Once faults stop, everything can be delivered, the room is there again and new mail is
    /// taken.
    fn end(&mut self) {
        self.disk.fail(Faults::default());
        self.disk.set_room(ELSEWHERE + self.room.octets);
        let world = World::new(self.chance.roll());
        let sys = world.sys(&self.disk);
        let (disk, room, model) = (self.disk.clone(), self.room, self.model.clone());
        let inside = world.clone();
        let over = Rc::new(Cell::new(false));
        let ended = over.clone();
        world.sys(&self.disk).spawn(async move {
            let (spool, recovered) = life::open(&sys, room, &disk).await;
            model.borrow_mut().recovered(&recovered);
            for entry in recovered.entries {
                spool.done(entry.id).await.expect("the disk is fine");
            }
            spool.sync_now().await.expect("the disk is fine");
            assert_eq!(spool.usage().messages, 0);
            let life = Life { world: inside, sys, spool: spool.clone(), model, eager: 0 };
            let mut kept = Vec::new();
            for size in [3000; 8].into_iter().chain([50_000]) {
                let mut draft = spool.draft();
                draft.append(&vec![7; size]).await.expect("there is room");
                kept.push(spool.commit(draft, &life.envelope()).await.expect("there is room"));
            }
            for entry in kept {
                spool.done(entry.id).await.expect("the disk is fine");
            }
            ended.set(true);
        });
        assert_eq!(world.run(u64::MAX), Ended::Done, "it comes to rest");
        assert!(over.get());
        let most = 5 * SEGMENT;
        assert!(self.disk.octets("spool/") <= most, "{} octets", self.disk.octets("spool/"));
        assert_eq!(self.disk.octets("spool/large/"), 0, "no large file is left behind");
        world.kill();
    }
}

#[test]
fn what_was_promised_is_there_after_every_cut() {
    for_seeds(700, |seed| {
        let mut story = Story::new(seed);
        for _ in 0..=story.chance.below(4) {
            let faults = story.faults();
            let steps = match story.chance.below(4) {
                0 => u64::MAX,
                1 => story.chance.below(100),
                _ => story.chance.below(6000),
            };
            story.live(faults, steps);
            // The process may be killed without the power being cut.
            if story.chance.below(4) > 0 {
                story.disk.cut();
            }
        }
        story.end();
    });
}

#[test]
fn a_flipped_bit_costs_the_record_it_hits_and_no_more() {
    for_seeds(200, |seed| {
        let mut story = Story::new(seed);
        story.live(Faults::default(), u64::MAX);
        let (mut flips, mut missing) = (0, 0);
        for _ in 0..=story.chance.below(3) {
            story.disk.flip("spool/");
            flips += 1;
            story.model.borrow_mut().damaged = true;
            let steps = story.chance.below(6000);
            missing += story.live(Faults::default(), steps);
            assert!(missing <= flips, "{flips} bits have cost {missing} messages");
        }
        story.end();
    });
}

#[test]
fn a_lost_file_is_never_fatal() {
    for_seeds(80, |seed| {
        let mut story = Story::new(seed);
        story.live(Faults::default(), u64::MAX);
        story.disk.lose("spool/");
        story.model.borrow_mut().damaged = true;
        let steps = story.chance.below(6000);
        story.live(Faults::default(), steps);
        story.end();
    });
}
