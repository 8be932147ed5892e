//! One world, made of one seed: its time, its chance, its tasks, and the log of what the relay
//! said.

use crate::{
    disk::Chance,
    net::Net,
    tasks::{Owner, Tasks},
};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    future::{Future, poll_fn},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};
use waypost::time::Wall;

/// Polls without time passing, before somebody is said to run in circles.
const POLLS_MAX: u32 = 300_000;

/// Cheap to clone.
#[derive(Clone)]
pub struct World(Rc<Inner>);

struct Inner {
    /// Milliseconds since the beginning.
    now: Cell<u64>,
    chance: RefCell<Chance>,
    tasks: Tasks,
    timers: RefCell<BTreeMap<(u64, u64), Waker>>,
    timer: Cell<u64>,
    /// Seconds since 1970 when the world began, as the board's clock has it now; `None`: it is not
    /// set.
    wall: Cell<Option<u64>>,
    /// Until when, in milliseconds, it was otherwise set before.
    walls: RefCell<Vec<(u64, Option<u64>)>>,
    log: RefCell<Vec<Line>>,
    wrong: RefCell<Vec<String>>,
    /// Operations of the disk that are left before the next stop; 0: none is planned.
    operations: Cell<u64>,
    ended: Cell<bool>,
    /// Tasks run in any order, not the one in which they were woken.
    shuffled: Cell<bool>,
    net: Net,
}

/// One line of the relay's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Milliseconds since the beginning of the world.
    pub at: u64,
    /// Which run of the relay said it; 0: the world.
    pub run: u32,
    /// What it said.
    pub text: String,
}

/// Why the world stands still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The time has come.
    Time,
    /// Nobody has anything to do any more, ever.
    Quiet,
    /// The disk was asked for as many operations as were planned.
    Disk,
    /// The relay has ended by itself.
    Ended,
    /// Somebody has been busy for ever, and time does not pass.
    Circles,
}

impl World {
    pub fn new(seed: u64) -> World {
        let world = World(Rc::new(Inner {
            now: Cell::new(0),
            chance: RefCell::new(Chance::new(seed)),
            tasks: Tasks::default(),
            timers: RefCell::default(),
            timer: Cell::new(0),
            wall: Cell::new(None),
            walls: RefCell::default(),
            log: RefCell::default(),
            wrong: RefCell::default(),
            operations: Cell::new(0),
            ended: Cell::new(false),
            shuffled: Cell::new(false),
            net: Net::default(),
        }));
        world.0.shuffled.set(world.one_in(2));
        world
    }

    /// Milliseconds since the beginning.
    pub fn now(&self) -> u64 {
        self.0.now.get()
    }

    pub fn net(&self) -> &Net {
        &self.0.net
    }

    /// 64 bits of chance.
    pub fn roll(&self) -> u64 {
        self.0.chance.borrow_mut().roll()
    }

    /// 0 to `n` - 1.
    pub fn below(&self, n: u64) -> u64 {
        self.0.chance.borrow_mut().below(n)
    }

    pub fn between(&self, least: u64, most: u64) -> u64 {
        least + self.below(most - least + 1)
    }

    pub fn one_in(&self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub fn permille(&self, n: u64) -> bool {
        n > 0 && self.below(1000) < n
    }

    pub fn pick<'a, T>(&self, among: &'a [T]) -> &'a T {
        let place = usize::try_from(self.below(among.len() as u64)).expect("a place");
        among.get(place).expect("there is something to pick from")
    }

    /// The board's clock.
    pub fn wall(&self) -> Option<Wall> {
        self.0.wall.get().map(|began| Wall(began + self.now() / 1000))
    }

    /// Set the board's clock, as seconds since 1970 at the beginning of the world.
    pub fn set_wall(&self, began: Option<u64>) {
        self.0.walls.borrow_mut().push((self.now(), self.0.wall.replace(began)));
    }

    /// The board's clock has shown this time, or will have within `ahead` seconds.
    pub fn has_shown(&self, wall: Wall, ahead: u64) -> bool {
        let mut walls = self.0.walls.borrow().clone();
        walls.push((self.now(), self.0.wall.get()));
        let mut from = 0;
        walls.into_iter().any(|(until, began)| {
            let shown = began.map(|began| began + from / 1000..=began + until / 1000 + ahead);
            from = until;
            shown.is_some_and(|shown| shown.contains(&wall.0))
        })
    }

    /// How many tasks `owner` has.
    pub fn tasks_of(&self, owner: Owner) -> usize {
        self.0.tasks.of(owner)
    }

    /// What was said so far is forgotten.
    pub fn forget_lines(&self) {
        *self.0.log.borrow_mut() = Vec::new();
    }

    pub fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.spawn_for(Owner::World, Box::pin(task));
    }

    pub fn spawn_for(&self, owner: Owner, task: waypost::sys::Pending<'static, ()>) {
        self.0.tasks.spawn(owner, task);
    }

    /// The tasks of `owner` end where they stand.
    pub fn kill(&self, owner: Owner) {
        self.0.tasks.kill(owner);
    }

    pub fn sleep(&self, milliseconds: u64) -> Sleep {
        self.sleep_until(self.now().saturating_add(milliseconds))
    }

    pub fn sleep_until(&self, at: u64) -> Sleep {
        Sleep { world: self.clone(), at, number: None }
    }

    /// `work`, or `None` once `patience` milliseconds have passed.
    pub async fn within<T>(&self, patience: u64, work: impl Future<Output = T>) -> Option<T> {
        let mut work = std::pin::pin!(work);
        let mut timer = self.sleep(patience);
        poll_fn(move |cx| match work.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending => Pin::new(&mut timer).poll(cx).map(|()| None),
        })
        .await
    }

    /// Something that must never be.
    pub fn wrong(&self, words: String) {
        self.note(&format!("WRONG {words}"));
        self.0.wrong.borrow_mut().push(words);
    }

    pub fn wrongs(&self) -> Vec<String> {
        self.0.wrong.borrow().clone()
    }

    /// The world says something, for whoever reads a replay.
    pub fn note(&self, text: &str) {
        self.log(0, text);
    }

    pub fn log(&self, run: u32, text: &str) {
        let line = Line { at: self.now(), run, text: text.to_string() };
        self.0.log.borrow_mut().push(line);
    }

    pub fn lines(&self) -> Vec<Line> {
        self.0.log.borrow().clone()
    }

    /// Stop after so many more operations of the disk.
    pub fn stop_at_operation(&self, operations: u64) {
        self.0.operations.set(operations);
    }

    /// The relay has ended by itself: the world stops. Or it begins anew.
    pub fn relay_ended(&self, is: bool) {
        self.0.ended.set(is);
    }

    /// The disk was asked for something.
    pub fn count_operation(&self) {
        let left = self.0.operations.get();
        // 1 stays, and stops the world after the task that asked.
        self.0.operations.set(if left > 1 { left - 1 } else { left });
    }

    /// Let everything run until `until`, or until there is a reason to stop.
    pub fn run_until(&self, until: u64) -> Stop {
        loop {
            for polls in 0.. {
                if polls == POLLS_MAX {
                    self.wrong("somebody runs in circles".into());
                    return Stop::Circles;
                }
                if !self.tick() {
                    break;
                }
                if self.0.ended.take() {
                    return Stop::Ended;
                }
                if self.0.operations.get() == 1 {
                    self.0.operations.set(0);
                    return Stop::Disk;
                }
            }
            let soonest = self.0.timers.borrow().keys().next().map(|(at, _)| *at);
            match soonest {
                None => return Stop::Quiet,
                Some(at) if at > until => {
                    self.0.now.set(until.max(self.now()));
                    return Stop::Time;
                }
                Some(at) => self.fire(at),
            }
        }
    }

    /// Let the next `ticks` tasks run, and time pass where there are none.
    pub fn run_ticks(&self, ticks: u64) {
        for _ in 0..ticks {
            if !self.tick() {
                let soonest = self.0.timers.borrow().keys().next().map(|(at, _)| *at);
                let Some(at) = soonest else { return };
                self.fire(at);
            }
        }
    }

    fn tick(&self) -> bool {
        let ready = self.0.tasks.ready();
        if ready == 0 {
            return false;
        }
        let any = self.0.shuffled.get() && ready > 1;
        let place = if any { self.below(ready as u64) } else { 0 };
        let place = usize::try_from(place).expect("a place among them");
        if let Err(panic) = self.0.tasks.tick(place) {
            self.wrong(format!("a task of the relay panicked: {panic}"));
        }
        true
    }

    fn fire(&self, at: u64) {
        self.0.now.set(at.max(self.now()));
        loop {
            let mut timers = self.0.timers.borrow_mut();
            let Some(entry) = timers.first_entry().filter(|e| e.key().0 <= self.now()) else {
                return;
            };
            let waker = entry.remove();
            drop(timers);
            waker.wake();
        }
    }

    /// The same for the same life.
    pub fn fingerprint(&self) -> u64 {
        let log = self.0.log.borrow();
        let octets = log.iter().flat_map(|line| {
            let head = [line.at.to_le_bytes(), u64::from(line.run).to_le_bytes()];
            head.concat().into_iter().chain(line.text.bytes())
        });
        let start = 0xcbf2_9ce4_8422_2325 ^ self.0.chance.borrow_mut().roll();
        octets.fold(start, |hash, octet| {
            (hash ^ u64::from(octet)).wrapping_mul(0x0000_0100_0000_01b3)
        })
    }

    /// Everything ends.
    pub fn end(&self) {
        self.kill(Owner::World);
        self.0.net.clear();
    }
}

/// Completes when its time has come.
pub struct Sleep {
    world: World,
    at: u64,
    number: Option<u64>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let inner = self.world.0.clone();
        if inner.now.get() >= self.at {
            return Poll::Ready(());
        }
        let number = *self.number.get_or_insert_with(|| {
            inner.timer.set(inner.timer.get() + 1);
            inner.timer.get()
        });
        inner.timers.borrow_mut().insert((self.at, number), cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.world.0.timers.borrow_mut().remove(&(self.at, number));
        }
    }
}

/// So many seconds, in the world's milliseconds.
pub const fn seconds(n: u64) -> u64 {
    n * 1000
}

/// So many minutes.
pub const fn minutes(n: u64) -> u64 {
    n * 60_000
}

/// So many hours.
pub const fn hours(n: u64) -> u64 {
    n * 3_600_000
}
