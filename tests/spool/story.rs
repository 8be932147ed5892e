//! A disk, what is known of it, and how it is treated.

use crate::{
    disk::{Chance, Faults, SimDisk},
    life::{self, Life},
    model::{Found, Model},
    world::{Ended, World},
};
use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};
use waypost::relay::spool::{Room, Spool};

pub(crate) const SEGMENT: u64 = 64 * 1024;
/// The rest of the file system, which the spool leaves alone.
const ELSEWHERE: u64 = 8 * 1024 * 1024;

thread_local! {
    /// How often a spool was recovered on this thread: from crashes, damage or nothing.
    pub(crate) static RECOVERIES: Cell<u64> = const { Cell::new(0) };
}

pub(crate) struct Story {
    pub(crate) chance: Chance,
    pub(crate) disk: SimDisk,
    pub(crate) room: Room,
    pub(crate) model: Rc<RefCell<Model>>,
    eager: u64,
}

impl Story {
    pub(crate) fn new(seed: u64) -> Story {
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

    /// A life that has ended with mail in the spool, all of it durable. What was written last is
    /// the end of a message that is not there any more.
    pub(crate) fn at_rest(seed: u64) -> Story {
        let mut story = Story::new(seed);
        story.cramp();
        let (world, _) = story.begin(Faults::default(), 2, 200);
        assert_eq!(world.run(u64::MAX), Ended::Done);
        world.kill();
        let world = World::new(story.chance.roll());
        let (sys, room, inside) = (world.sys(&story.disk), story.room, world.clone());
        let (model, eager) = (story.model.clone(), story.eager);
        world.sys(&story.disk).spawn(async move {
            let (spool, recovered) = Spool::open(&sys, room).await.expect("the disk is fine");
            model.borrow_mut().recovered(&recovered);
            let life = Life { world: inside, sys, spool: spool.clone(), model, eager };
            let mut last = 2;
            while last > 0 {
                let draft = spool.draft();
                let id = match spool.commit(draft, &life.envelope()).await {
                    Ok(entry) => entry.id,
                    // It is full: something must go first.
                    Err(_) => life.model.borrow().idle()[0],
                };
                spool.done(id).await.expect("the disk is fine");
                spool.sync_now().await.expect("the disk is fine");
                last -= u64::from(!life.model.borrow().sent.contains_key(&id));
                life.model.borrow_mut().end(id);
            }
        });
        assert_eq!(world.run(u64::MAX), Ended::Done);
        world.kill();
        assert!(story.model.borrow().sent.len() > 8, "there is something to damage");
        story
    }

    /// The same story so far, which goes its own way from now on.
    pub(crate) fn fork(&self, seed: u64) -> Story {
        let (disk, room, eager) = (self.disk.fork(), self.room, self.eager);
        let model = Rc::new(RefCell::new(self.model.borrow().clone()));
        Story { chance: Chance::new(seed), disk, room, model, eager }
    }

    /// As little room as there may be, so that segments are used again and again.
    pub(crate) fn cramp(&mut self) {
        self.widen(6);
        self.eager = 4;
    }

    /// Room for so many segments.
    pub(crate) fn widen(&mut self, segments: u64) {
        self.room.octets = segments * SEGMENT;
        self.disk.hold_below("spool", self.room.octets);
        self.disk.set_room(ELSEWHERE + self.room.octets);
    }

    /// How many lives its segments have had: the newest sequence (see the format in
    /// `src/relay/spool/README.md`).
    pub(crate) fn lives(&self) -> usize {
        let sequence = |path: &str| {
            let octets = self.disk.peek(path)?;
            Some(u32::from_le_bytes(octets.get(8..12)?.try_into().ok()?) as usize)
        };
        let files = self.disk.files("spool/0");
        files.iter().filter_map(|(path, _)| sequence(path)).max().unwrap_or(0)
    }

    pub(crate) fn faults(&mut self) -> Faults {
        match self.chance.below(4) {
            0 => Faults { sync: 30, write: 10, names: 10, stalled: false },
            1 => Faults { sync: 300, write: 100, names: 100, stalled: false },
            _ => Faults::default(),
        }
    }

    /// One life: recover, check, go on. Ends when all is done, or after `steps`.
    pub(crate) fn live(&mut self, faults: Faults, steps: u64) -> Found {
        let things = 10 + self.chance.below(60);
        let people = 1 + self.chance.below(8);
        let (world, found) = self.begin(faults, people, things);
        let ended = world.run(steps);
        assert_ne!(ended, Ended::Stuck, "somebody waits for ever");
        world.kill();
        found.take()
    }

    /// Recover and compare, and nothing else.
    pub(crate) fn recover(&mut self) -> Found {
        let (world, found) = self.begin(Faults::default(), 0, 0);
        assert_eq!(world.run(u64::MAX), Ended::Done, "recovery comes to an end");
        world.kill();
        found.take()
    }

    /// A life is about to begin, in which so many people do so many things each.
    pub(crate) fn begin(
        &mut self,
        faults: Faults,
        people: u64,
        things: u64,
    ) -> (World, Rc<Cell<Found>>) {
        RECOVERIES.set(RECOVERIES.get() + 1);
        let world = World::new(self.chance.roll());
        let sys = world.sys(&self.disk);
        self.disk.fail(faults);
        let told = Rc::new(Cell::new(Found::default()));
        let (disk, room, eager) = (self.disk.clone(), self.room, self.eager);
        let (model, found, inside) = (self.model.clone(), told.clone(), world.clone());
        world.sys(&self.disk).spawn(async move {
            let (spool, recovered) = life::open(&sys, room, &disk).await;
            let mut seen = model.borrow_mut().recovered(&recovered);
            for entry in &recovered.entries {
                match life::recall(&spool, entry.id).await {
                    Ok((envelope, progress, octets)) => {
                        model.borrow_mut().reloaded(entry.id, &envelope, &progress, &octets);
                    }
                    Err(failed) => {
                        assert!(model.borrow().damaged, "{} unreadable: {failed:?}", entry.id);
                        seen.missing += 1;
                        spool.done(entry.id).await.ok();
                        model.borrow_mut().end(entry.id);
                    }
                }
            }
            found.set(seen);
            for _ in 0..people {
                let (world, sys, spool) = (inside.clone(), sys.clone(), spool.clone());
                let life = Life { world, sys: sys.clone(), spool, model: model.clone(), eager };
                sys.spawn(life.live(things));
            }
        });
        (world, told)
    }

    /// Once faults stop, everything can be delivered, the room is there again and new mail is
    /// taken.
    pub(crate) fn end(&mut self) {
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
            for entry in &recovered.entries {
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
        // One of them may be longer than we made it.
        let most = 5 * SEGMENT + 4096;
        assert!(self.disk.octets("spool/") <= most, "{} octets", self.disk.octets("spool/"));
        assert_eq!(self.disk.octets("spool/large/"), 0, "no large file is left behind");
        world.kill();
    }
}
