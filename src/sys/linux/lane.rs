//! Threads beside the main one, for what would block it: file operations, slow arithmetic, the
//! index.
//!
//! A lane is a bounded queue with a few threads of its own, so that a password being verified never
//! stands in the way of a commit. Threads start when there is work and end when there has been none
//! for a while: an idle relay is one thread and wakes for nothing. (The pool of the `blocking`
//! crate is one for all and grows to 500 threads unless the environment says otherwise.)

use std::{
    collections::VecDeque,
    future::poll_fn,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    task::{Poll, Waker},
    thread,
    time::Duration,
};

/// A piece of work.
pub(in crate::sys) type Job = Box<dyn FnOnce() + Send + 'static>;

/// How a lane is built.
#[derive(Clone, Copy)]
pub(in crate::sys) struct Shape {
    /// Name of its threads.
    pub(in crate::sys) name: &'static str,
    /// Most threads; with one, jobs are done in the order of their arrival.
    pub(in crate::sys) threads: usize,
    /// Most jobs that wait.
    pub(in crate::sys) jobs: usize,
    /// Stack of a thread, octets.
    pub(in crate::sys) stack: usize,
    /// A thread ends after so long without work.
    pub(in crate::sys) idle: Duration,
}

/// Why a job has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sys) enum Lost {
    /// It was not taken: too many wait, or no thread can be had.
    Refused,
    /// It panicked.
    Panicked,
}

impl From<Lost> for io::Error {
    fn from(lost: Lost) -> io::Error {
        match lost {
            Lost::Refused => {
                io::Error::new(io::ErrorKind::WouldBlock, "too much work is waiting for a thread")
            }
            Lost::Panicked => io::Error::other("the operation panicked"),
        }
    }
}

/// A queue with its threads. Clones share both.
#[derive(Clone)]
pub(in crate::sys) struct Lane(Arc<Shared>);

struct Shared {
    shape: Shape,
    state: Mutex<State>,
    work: Condvar,
    /// Done by a thread that ends for want of work.
    at_rest: Option<Box<dyn Fn() + Send + Sync>>,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    threads: usize,
    waiting: usize,
}

impl Lane {
    pub(in crate::sys) fn new(shape: Shape) -> Lane {
        Lane::with_rest(shape, None)
    }

    /// A lane that does `at_rest` whenever one of its threads ends.
    pub(in crate::sys) fn with_rest(
        shape: Shape,
        at_rest: Option<Box<dyn Fn() + Send + Sync>>,
    ) -> Lane {
        let state = Mutex::default();
        Lane(Arc::new(Shared { shape, state, work: Condvar::new(), at_rest }))
    }

    /// Do `job` on one of the threads. What waits for it learns of a refusal by `job` being
    /// dropped.
    pub(in crate::sys) fn run(&self, job: Job) -> Result<(), Lost> {
        let mut state = self.0.lock();
        if state.jobs.len() >= self.0.shape.jobs {
            return Err(Lost::Refused);
        }
        state.jobs.push_back(job);
        if state.jobs.len() > state.waiting && state.threads < self.0.shape.threads {
            let shared = self.0.clone();
            let started = thread::Builder::new()
                .name(self.0.shape.name.into())
                .stack_size(self.0.shape.stack)
                .spawn(move || shared.work_until_idle());
            match started {
                Ok(_) => state.threads += 1,
                Err(_) if state.threads > 0 => {} // One of those will come to it.
                Err(_) => {
                    state.jobs.pop_back();
                    return Err(Lost::Refused);
                }
            }
        } else {
            drop(state);
            self.0.work.notify_one();
        }
        Ok(())
    }

    /// The result of `work`, done on one of the threads from now on, whether or not this is
    /// awaited.
    pub(in crate::sys) fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = Result<T, Lost>> + 'static {
        let reply = Arc::new(Mutex::new(Reply { done: None, over: false, waker: None }));
        let sender = Sender(reply.clone());
        let refused = self.run(Box::new(move || {
            let result = work();
            lock(&sender.0).done = Some(result);
        }));
        poll_fn(move |cx| {
            refused?;
            let mut reply = lock(&reply);
            if reply.over {
                return Poll::Ready(reply.done.take().ok_or(Lost::Panicked));
            }
            if !reply.waker.as_ref().is_some_and(|w| w.will_wake(cx.waker())) {
                reply.waker = Some(cx.waker().clone());
            }
            Poll::Pending
        })
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn work_until_idle(&self) {
        while let Some(job) = self.next() {
            // Told by the panic hook; who waits for the result learns it from the dropped sender.
            drop(catch_unwind(AssertUnwindSafe(job)));
        }
        if let Some(at_rest) = &self.at_rest {
            drop(catch_unwind(AssertUnwindSafe(at_rest)));
        }
    }

    /// The next job, or `None` (and one thread fewer) after a while without.
    fn next(&self) -> Option<Job> {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                return Some(job);
            }
            state.waiting += 1;
            let (woken, wait) = self
                .work
                .wait_timeout(state, self.shape.idle)
                .unwrap_or_else(PoisonError::into_inner);
            state = woken;
            state.waiting -= 1;
            if wait.timed_out() && state.jobs.is_empty() {
                state.threads -= 1;
                return None;
            }
        }
    }
}

struct Reply<T> {
    done: Option<T>,
    over: bool,
    waker: Option<Waker>,
}

/// Tells that the work is over when it is dropped, also by a panic.
struct Sender<T>(Arc<Mutex<Reply<T>>>);

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let waker = {
            let mut reply = lock(&self.0);
            reply.over = true;
            reply.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite::future::block_on;
    use std::sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc,
    };

    const SHAPE: Shape = Shape {
        name: "test",
        threads: 1,
        jobs: 4,
        stack: 128 * 1024,
        idle: Duration::from_millis(1),
    };

    #[test]
    fn a_lane_of_one_thread_works_in_the_order_of_arrival() {
        let lane = Lane::new(SHAPE);
        let (send, seen) = mpsc::channel();
        for i in 0..4 {
            let send = send.clone();
            lane.run(Box::new(move || send.send(i).unwrap())).unwrap();
        }
        assert_eq!((0..4).map(|_| seen.recv().unwrap()).collect::<Vec<_>>(), [0, 1, 2, 3]);
    }

    #[test]
    fn a_full_lane_refuses_and_says_so() {
        let lane = Lane::new(SHAPE);
        let (release, gate) = mpsc::channel::<()>();
        let (started, begun) = mpsc::channel();
        lane.run(Box::new(move || {
            started.send(()).unwrap();
            gate.recv().unwrap();
        }))
        .unwrap();
        begun.recv().unwrap();
        let waiting: Vec<_> = (0..4).map(|i| lane.ask(move || i)).collect();
        assert_eq!(block_on(lane.ask(|| 4)), Err(Lost::Refused));
        release.send(()).unwrap();
        for (i, reply) in waiting.into_iter().enumerate() {
            assert_eq!(block_on(reply), Ok(i));
        }
    }

    #[test]
    fn a_panic_costs_its_own_result_and_nothing_else() {
        let lane = Lane::new(SHAPE);
        assert_eq!(block_on(lane.ask(|| panic!("planted"))), Err::<(), _>(Lost::Panicked));
        assert_eq!(block_on(lane.ask(|| 7)), Ok(7));
    }

    #[test]
    fn threads_end_at_rest_and_come_back() {
        let rests = Arc::new(AtomicUsize::new(0));
        let (send, rested) = mpsc::channel();
        let counted = rests.clone();
        let lane = Lane::with_rest(
            SHAPE,
            Some(Box::new(move || {
                counted.fetch_add(1, Ordering::SeqCst);
                send.send(()).unwrap();
            })),
        );
        for round in 1..=2 {
            assert_eq!(block_on(lane.ask(|| 1)), Ok(1));
            rested.recv().unwrap();
            assert_eq!(rests.load(Ordering::SeqCst), round);
        }
    }

    #[test]
    fn a_job_never_waits_behind_another_while_a_thread_may_be_had() {
        let lane = Lane::new(Shape { threads: 2, idle: Duration::from_mins(1), ..SHAPE });
        assert_eq!(block_on(lane.ask(|| 1)), Ok(1));
        while lock(&lane.0.state).waiting == 0 {
            thread::yield_now();
        }
        // Two jobs that need each other, for one thread that waits.
        let (to_second, from_first) = mpsc::channel();
        let first = lane.ask(move || from_first.recv_timeout(Duration::from_secs(5)));
        let second = lane.ask(move || to_second.send(7));
        assert_eq!(block_on(first), Ok(Ok(7)));
        assert_eq!(block_on(second), Ok(Ok(())));
    }

    #[test]
    fn a_lane_never_has_more_threads_than_its_shape_says() {
        let lane = Lane::new(Shape { threads: 2, jobs: 64, ..SHAPE });
        let now = Arc::new(AtomicUsize::new(0));
        let most = Arc::new(AtomicUsize::new(0));
        let replies: Vec<_> = (0..64)
            .map(|_| {
                let (now, most) = (now.clone(), most.clone());
                lane.ask(move || {
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    thread::yield_now();
                    now.fetch_sub(1, Ordering::SeqCst);
                })
            })
            .collect();
        for reply in replies {
            assert_eq!(block_on(reply), Ok(()));
        }
        assert!(most.load(Ordering::SeqCst) <= 2);
    }
}
