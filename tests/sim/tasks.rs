//! The tasks of a world, on one thread and in an order that the seed decides.

use std::{
    any::Any,
    cell::{Cell, RefCell},
    collections::{BTreeMap, VecDeque},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};
use waypost::sys::Pending;

/// Whose task it is: the world's own, or of one run of the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Peers, servers and whoever breaks things. A panic here is a fault of the test.
    World,
    /// The relay, in its so-manieth run.
    Relay(u32),
}

/// All tasks.
#[derive(Default)]
pub struct Tasks {
    slots: RefCell<BTreeMap<u64, Slot>>,
    ready: Arc<Ready>,
    next: Cell<u64>,
}

type Ready = Mutex<VecDeque<u64>>;

struct Slot {
    owner: Owner,
    /// `None` while it is polled.
    future: Option<Pending<'static, ()>>,
    bell: Arc<Bell>,
}

struct Bell {
    id: u64,
    rung: AtomicBool,
    ready: Arc<Ready>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.rung.swap(true, Ordering::Relaxed) {
            lock(&self.ready).push_back(self.id);
        }
    }
}

fn lock(ready: &Ready) -> std::sync::MutexGuard<'_, VecDeque<u64>> {
    ready.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Tasks {
    pub fn spawn(&self, owner: Owner, future: Pending<'static, ()>) {
        let id = self.next.get();
        self.next.set(id + 1);
        let bell = Arc::new(Bell { id, rung: AtomicBool::new(false), ready: self.ready.clone() });
        bell.wake_by_ref();
        self.slots.borrow_mut().insert(id, Slot { owner, future: Some(future), bell });
    }

    /// How many tasks `owner` has.
    pub fn of(&self, owner: Owner) -> usize {
        self.slots.borrow().values().filter(|slot| slot.owner == owner).count()
    }

    /// How many tasks could run now.
    pub fn ready(&self) -> usize {
        lock(&self.ready).len()
    }

    /// Poll the one at this place among those that could run. `Err`: a task of the relay panicked,
    /// in words.
    pub fn tick(&self, place: usize) -> Result<(), String> {
        let Some(id) = lock(&self.ready).remove(place) else { return Ok(()) };
        let taken = self.slots.borrow_mut().get_mut(&id).and_then(|slot| {
            slot.bell.rung.store(false, Ordering::Relaxed);
            slot.future.take().map(|future| (slot.owner, future, slot.bell.clone()))
        });
        let Some((owner, mut future, bell)) = taken else { return Ok(()) };
        let waker = Waker::from(bell);
        let mut context = Context::from_waker(&waker);
        let polled = match owner {
            Owner::World => Ok(future.as_mut().poll(&mut context)),
            Owner::Relay(_) => {
                catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut context)))
            }
        };
        match polled {
            Ok(Poll::Pending) => {
                if let Some(slot) = self.slots.borrow_mut().get_mut(&id) {
                    slot.future = Some(future);
                }
                Ok(())
            }
            Ok(Poll::Ready(())) => {
                self.slots.borrow_mut().remove(&id);
                end(owner, future)
            }
            Err(panic) => {
                self.slots.borrow_mut().remove(&id);
                end(owner, future)?;
                Err(words(&*panic))
            }
        }
    }

    /// The tasks of `owner` end where they stand.
    pub fn kill(&self, owner: Owner) {
        loop {
            let mut slots = self.slots.borrow_mut();
            let found = slots.iter().find(|(_, slot)| slot.owner == owner).map(|(id, _)| *id);
            let Some(slot) = found.and_then(|id| slots.remove(&id)) else { return };
            drop(slots);
            drop(slot);
        }
    }
}

/// Dropping what a task held may panic too.
fn end(owner: Owner, future: Pending<'static, ()>) -> Result<(), String> {
    match owner {
        Owner::World => {
            drop(future);
            Ok(())
        }
        Owner::Relay(_) => {
            catch_unwind(AssertUnwindSafe(|| drop(future))).map_err(|panic| words(&*panic))
        }
    }
}

/// What a panic says.
pub fn words(panic: &(dyn Any + Send)) -> String {
    let owned = panic.downcast_ref::<String>().map(String::as_str);
    owned.or(panic.downcast_ref::<&str>().copied()).unwrap_or("no words").to_string()
}
