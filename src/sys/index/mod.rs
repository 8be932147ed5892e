//! The index: sled, in a process of its own, which may fail, be lost or be absent without mail
//! suffering.

mod cabinet;
mod keeper;
mod wire;

pub use keeper::keep_if_asked;

use super::{
    Clock, Index, IndexChange, Pending, Range,
    linux::lane::{Lane, Shape},
};
use crate::{limits, time::Instant};
use keeper::{Keeper, Recipe, Tally};
use std::{
    cell::Cell,
    io, mem,
    path::{Path, PathBuf},
    rc::Rc,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use wire::{Answer, Request};

/// The index in one directory.
///
/// Nothing happens before it is first used. All requests go one after the other through one thread
/// to one keeper; both end after [`limits::INDEX_IDLE`]. Where there is trouble, requests fail at
/// once for a while and then it is tried again.
pub struct Store {
    clock: Rc<dyn Clock>,
    lane: Lane,
    desk: Arc<Mutex<Desk>>,
    told: Arc<Mutex<Told>>,
    tally: Tally,
    retry_at: Rc<Cell<Instant>>,
    retry_wait: Rc<Cell<Duration>>,
}

/// What the thread works with; locked for as long as it works.
struct Desk {
    recipe: Recipe,
    dir: PathBuf,
    keeper: Option<Keeper>,
    told: Arc<Mutex<Told>>,
    tally: Tally,
}

/// What there is to tell a person; locked only for a moment, never while the index is at work.
#[derive(Default)]
struct Told {
    /// Why there is no history at present; empty where there is one.
    failing: String,
    /// Why the history started anew; empty once nobody keeps the old one any more.
    anew: String,
    /// Somebody is looking whether it is still there.
    looking: bool,
}

impl Store {
    /// The index in the directory `dir`, kept by this same program: its `main` must call
    /// [`keep_if_asked`].
    pub fn new(dir: &Path, clock: Rc<dyn Clock>) -> Store {
        Store::with_recipe(dir, clock, Recipe::own(), limits::INDEX_IDLE)
    }

    fn with_recipe(dir: &Path, clock: Rc<dyn Clock>, recipe: Recipe, idle: Duration) -> Store {
        let dir = dir.to_owned();
        let (told, tally) = (Arc::<Mutex<Told>>::default(), Tally::default());
        let desk = Desk { recipe, dir, keeper: None, told: told.clone(), tally: tally.clone() };
        let desk = Arc::new(Mutex::new(desk));
        let shape = Shape {
            name: "index",
            threads: 1,
            jobs: limits::LANE_JOBS,
            stack: limits::LANE_STACK_BYTES,
            idle,
        };
        let resting = desk.clone();
        let rest: Box<dyn Fn() + Send + Sync> = Box::new(move || {
            let keeper = lock(&resting).keeper.take();
            if let Some(keeper) = keeper {
                keeper.dismiss();
            }
        });
        Store {
            clock,
            lane: Lane::with_rest(shape, Some(rest)),
            desk,
            told,
            tally,
            retry_at: Rc::default(),
            retry_wait: Rc::new(Cell::new(limits::INDEX_RETRY_FIRST)),
        }
    }

    fn ask(&self, request: Request) -> Pending<'static, io::Result<Answer>> {
        let (retry_at, retry_wait) = (self.retry_at.clone(), self.retry_wait.clone());
        let clock = self.clock.clone();
        if clock.now() < retry_at.get() {
            let why = io::Error::other("the index has failed and rests for a while");
            return Box::pin(std::future::ready(Err(why)));
        }
        let desk = self.desk.clone();
        let asked = self.lane.ask(move || lock(&desk).ask(&request));
        Box::pin(async move {
            let answered = asked.await?;
            if answered.is_ok() {
                retry_wait.set(limits::INDEX_RETRY_FIRST);
            } else if clock.now() >= retry_at.get() {
                let wait = retry_wait.get();
                retry_at.set(clock.now() + wait);
                retry_wait.set((wait * 2).min(limits::INDEX_RETRY_MAX));
            }
            answered
        })
    }
}

impl Index for Store {
    fn apply(&self, batch: Vec<IndexChange>) -> Pending<'_, io::Result<()>> {
        let asked = Request::apply(batch).map(|request| self.ask(request));
        Box::pin(async move { asked?.await.map(drop) })
    }

    fn scan<'a>(
        &'a self,
        tree: &'static str,
        range: Range<'a>,
    ) -> Pending<'a, io::Result<Vec<(Vec<u8>, Vec<u8>)>>> {
        let asked = self.ask(Request::scan(tree, range));
        Box::pin(async move {
            match asked.await? {
                Answer::Entries(entries) => Ok(entries),
                _ => Err(io::ErrorKind::InvalidData.into()),
            }
        })
    }

    fn flush(&self) -> Pending<'_, io::Result<()>> {
        let asked = self.ask(Request::Flush);
        Box::pin(async move { asked.await.map(drop) })
    }

    fn trouble(&self) -> String {
        let told = lock(&self.told);
        if !told.failing.is_empty() {
            return format!(
                "There is no history at the moment: {}. Mail goes on without it, and it is tried \
                 again by itself. Where it stays so, look whether the disk is full or broken; \
                 `index` in the data directory may be deleted.",
                told.failing
            );
        }
        if told.anew.is_empty() {
            return String::new();
        }
        let words = format!(
            "{} No mail is touched by that. Delete the old one when nobody wants to look at it: \
             then this goes.",
            told.anew
        );
        drop(told);
        self.look_for_the_old_one();
        words
    }

    fn written(&self) -> Option<u64> {
        *lock(&self.tally)
    }
}

impl Store {
    /// Once a person has deleted what was moved aside, there is nothing to tell any more. That is
    /// found out on the thread and told the next time.
    fn look_for_the_old_one(&self) {
        if mem::replace(&mut lock(&self.told).looking, true) {
            return;
        }
        let (desk, told) = (self.desk.clone(), self.told.clone());
        let look = move || {
            // Also where it is a link that leads nowhere.
            let is_there = cabinet::aside(&lock(&desk).dir).symlink_metadata().is_ok();
            let mut told = lock(&told);
            told.looking = false;
            if !is_there {
                told.anew.clear();
            }
        };
        if self.lane.run(Box::new(look)).is_err() {
            lock(&self.told).looking = false;
        }
    }
}

impl Desk {
    /// Ask the keeper, and where it has died, another, and where that dies too, one that begins
    /// anew. What is asked twice does no harm: to put the same value again changes nothing.
    fn ask(&mut self, request: &Request) -> io::Result<Answer> {
        let mut failed = None;
        for anew in [false, false, true] {
            match self.ask_once(request, anew) {
                Ok(Answer::Failed(words)) => {
                    self.keeper = None;
                    lock(&self.told).failing.clone_from(&words);
                    return Err(io::Error::other(words));
                }
                Ok(Answer::Anew(words)) => {
                    self.keeper = None;
                    lock(&self.told).anew.clone_from(&words);
                    return Err(io::Error::other(words));
                }
                Ok(answer) => {
                    // Without a keeper, nothing was there to be flushed.
                    if self.keeper.is_some() {
                        lock(&self.told).failing.clear();
                    }
                    return Ok(answer);
                }
                Err(error) => {
                    self.keeper = None;
                    let is_death = matches!(
                        error.kind(),
                        io::ErrorKind::UnexpectedEof
                            | io::ErrorKind::BrokenPipe
                            | io::ErrorKind::ConnectionReset
                    );
                    failed = Some(error);
                    if !is_death {
                        break;
                    }
                }
            }
        }
        let error = failed.unwrap_or_else(|| io::ErrorKind::Other.into());
        lock(&self.told).failing = error.to_string();
        Err(error)
    }

    fn ask_once(&mut self, request: &Request, anew: bool) -> io::Result<Answer> {
        let mut keeper = match mem::take(&mut self.keeper) {
            Some(keeper) => keeper,
            None if *request == Request::Flush => return Ok(Answer::Done),
            None => {
                let (keeper, told) = Keeper::start(&self.recipe, &self.dir, anew, &self.tally)?;
                if let Some(told) = told {
                    lock(&self.told).anew = told;
                }
                keeper
            }
        };
        let answer = keeper.ask(request)?;
        self.keeper = Some(keeper);
        Ok(answer)
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
