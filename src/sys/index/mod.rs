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
use keeper::{Keeper, Recipe};
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
    retry_at: Rc<Cell<Instant>>,
    retry_wait: Rc<Cell<Duration>>,
}

/// What the thread works with.
struct Desk {
    recipe: Recipe,
    dir: PathBuf,
    keeper: Option<Keeper>,
    /// What is wrong now; empty as soon as it works.
    trouble: String,
    /// What became of an earlier history: a person should read it also when all is well again.
    lost: String,
}

impl Store {
    /// The index in the directory `dir`, kept by this same program: its `main` must call
    /// [`keep_if_asked`].
    pub fn new(dir: &Path, clock: Rc<dyn Clock>) -> Store {
        Store::with_recipe(dir, clock, Recipe::own(), limits::INDEX_IDLE)
    }

    fn with_recipe(dir: &Path, clock: Rc<dyn Clock>, recipe: Recipe, idle: Duration) -> Store {
        let dir = dir.to_owned();
        let (trouble, lost) = (String::new(), String::new());
        let desk = Desk { recipe, dir, keeper: None, trouble, lost };
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
        let desk = lock(&self.desk);
        if desk.trouble.is_empty() { desk.lost.clone() } else { desk.trouble.clone() }
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
                    self.trouble.clone_from(&words);
                    return Err(io::Error::other(words));
                }
                Ok(Answer::Lost(words)) => {
                    self.keeper = None;
                    self.lost.clone_from(&words);
                    return Err(io::Error::other(words));
                }
                Ok(answer) => return Ok(answer),
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
        self.trouble = format!("there is no history at the moment: {error}");
        Err(error)
    }

    fn ask_once(&mut self, request: &Request, anew: bool) -> io::Result<Answer> {
        let mut keeper = match mem::take(&mut self.keeper) {
            Some(keeper) => keeper,
            None if *request == Request::Flush => return Ok(Answer::Done(String::new())),
            None => {
                let (keeper, told) = Keeper::start(&self.recipe, &self.dir, anew)?;
                if !told.is_empty() {
                    self.lost = told;
                }
                keeper
            }
        };
        let answer = keeper.ask(request)?;
        if matches!(answer, Answer::Done(_) | Answer::Entries(_)) {
            self.trouble.clear();
        }
        self.keeper = Some(keeper);
        Ok(answer)
    }
}

fn lock(desk: &Mutex<Desk>) -> MutexGuard<'_, Desk> {
    desk.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
