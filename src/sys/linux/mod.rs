//! The real machine: Linux, by way of smol's executor, a reactor of our own and rustix.
//!
//! One thread runs everything. File operations and slow arithmetic go to lanes of a few threads,
//! which end when there is nothing to do; then the relay wakes for nothing but its sockets and
//! timers.

mod board;
mod clock;
mod disk;
pub(in crate::sys) mod lane;
mod log;
mod net;
mod netlink;
mod reactor;

use super::{Log, Pending, Sys, Tasks, Wish, index::Store, machine::Machine, tls::Engines};
use crate::limits;
use clock::{RealClock, RealDice, TimedClock};
use disk::RealDisk;
use lane::{Lane, Shape};
use log::ErrorLog;
use net::RealNet;
use reactor::{Reactor, Watched};
use signal_hook::{consts, low_level::pipe};
use smol::LocalExecutor;
use std::{
    any::Any,
    future::poll_fn,
    io::{self, Read},
    os::unix::{fs::MetadataExt, net::UnixStream},
    panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind},
    path::Path,
    rc::{Rc, Weak},
    task::{Context, Poll},
};

/// The real world with its files below `data`, which is made where it is missing, and what runs in
/// it.
///
/// Panics are from now on told by one log line each instead of the usual text.
///
/// # Errors
/// The data directory cannot be made or reached.
pub fn world(data: &Path) -> io::Result<(Sys, Executor)> {
    let clock = RealClock::new();
    let executor = Rc::new(LocalExecutor::new());
    let lines = ErrorLog::new(clock, &executor);
    let disk = RealDisk::new(data)?;
    if !cfg!(test) {
        let line = lines.at_once();
        std::panic::set_hook(Box::new(move |panic| line(&describe(panic))));
    }
    let reactor = clock.reactor()?;
    let clock = Rc::new(TimedClock { clock, reactor: reactor.clone() });
    let dice = Rc::new(RealDice::default());
    let log: Rc<dyn Log> = Rc::new(lines.clone());
    let sys = Sys {
        clock: clock.clone(),
        dice: dice.clone(),
        net: Rc::new(RealNet::new(disk.root(), reactor.clone())),
        index: Rc::new(Store::new(&disk.root().join("index"), clock.clone())),
        disk: Rc::new(disk),
        tls: Rc::new(Engines::new(clock, dice)),
        tasks: Rc::new(RealTasks {
            executor: Rc::downgrade(&executor),
            slow: slow_lane(),
            log: log.clone(),
        }),
        log,
    };
    Ok((sys, Executor { tasks: executor, reactor, log: lines }))
}

/// Runs the tasks of one world on the calling thread.
pub struct Executor {
    tasks: Rc<LocalExecutor<'static>>,
    reactor: Reactor,
    log: ErrorLog,
}

impl Executor {
    /// Run `main`, and all that was spawned, until `main` ends. What is still running then ends
    /// with the executor.
    pub fn run<T>(&self, main: impl Future<Output = T>) -> T {
        let result = self.reactor.block_on(self.tasks.run(main));
        self.log.write();
        result
    }

    /// The machine under an image, for its keeper.
    pub fn machine(&self) -> Rc<dyn Machine> {
        Rc::new(board::RealMachine::new(self.reactor.clone()))
    }

    /// From here on SIGTERM, SIGINT and SIGHUP are notices and no longer end the process.
    ///
    /// # Errors
    /// The system's: no more signals or files can be had.
    pub fn notices(&self) -> io::Result<Notices> {
        let end = self.notice(&[consts::SIGTERM, consts::SIGINT])?;
        let reload = self.notice(&[consts::SIGHUP])?;
        Ok(Notices { end, reload })
    }

    /// A socket that has an octet for each of these signals.
    fn notice(&self, signals: &[i32]) -> io::Result<Watched<UnixStream>> {
        let (notices, from) = UnixStream::pair()?;
        notices.set_nonblocking(true)?;
        for signal in signals {
            pipe::register(*signal, from.try_clone()?)?;
        }
        self.reactor.watch(notices)
    }
}

/// The machine's own name.
pub fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Whether a directory belongs to who runs this program, or to root.
pub fn is_own(dir: &Path) -> bool {
    let own = rustix::process::geteuid().as_raw();
    std::fs::metadata(dir).is_ok_and(|found| [own, 0].contains(&found.uid()))
}

/// Switch on or off whether the terminal shows what is typed, where standard input is one.
pub fn echo(shown: bool) {
    let input = std::io::stdin();
    let Ok(mut modes) = rustix::termios::tcgetattr(&input) else { return };
    modes.local_modes.set(rustix::termios::LocalModes::ECHO, shown);
    let _a_pipe_has_no_echo =
        rustix::termios::tcsetattr(&input, rustix::termios::OptionalActions::Now, &modes);
}

/// The notices to come.
pub struct Notices {
    end: Watched<UnixStream>,
    reload: Watched<UnixStream>,
}

impl super::Signals for Notices {
    fn next(&mut self) -> Pending<'_, Wish> {
        let came = |from: &Watched<UnixStream>, cx: &mut Context<'_>| {
            from.poll_take(cx, |mut io| io.read(&mut [0; 16])).is_ready()
        };
        Box::pin(poll_fn(move |cx| {
            if came(&self.end, cx) {
                return Poll::Ready(Wish::Terminate);
            }
            if came(&self.reload, cx) { Poll::Ready(Wish::Reload) } else { Poll::Pending }
        }))
    }
}

/// One thread: passwords are verified one at a time, in the memory of one.
fn slow_lane() -> Lane {
    Lane::new(Shape {
        name: "slow",
        threads: 1,
        jobs: limits::LANE_JOBS,
        stack: limits::LANE_STACK_BYTES,
        idle: limits::LANE_IDLE,
    })
}

struct RealTasks {
    /// The executor holds the tasks and they hold this.
    executor: Weak<LocalExecutor<'static>>,
    slow: Lane,
    log: Rc<dyn Log>,
}

impl Tasks for RealTasks {
    fn spawn(&self, task: Pending<'static, ()>) {
        if let Some(executor) = self.executor.upgrade() {
            executor.spawn(contain(task, self.log.clone())).detach();
        }
    }

    fn slow(&self, work: Box<dyn FnOnce() + Send + 'static>) {
        // Who waits for refused work learns it from the work being dropped.
        let _refused_work_is_dropped = self.slow.run(work);
    }

    fn memory(&self) -> Option<u64> {
        let status = std::fs::read_to_string("/proc/self/status").ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
        Some(kib * 1024)
    }
}

/// `task`, with a panic in it ending it alone.
async fn contain(task: Pending<'static, ()>, log: Rc<dyn Log>) {
    let mut task = Some(task);
    let ended = poll_fn(|cx| {
        let Some(running) = task.as_mut() else { return Poll::Ready(Ok(())) };
        match catch_unwind(AssertUnwindSafe(|| running.as_mut().poll(cx))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(())) => Poll::Ready(Ok(())),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    })
    .await;
    let dropped = catch_unwind(AssertUnwindSafe(|| drop(task)));
    if let Err(panic) = ended.and(dropped) {
        log.line(&format!("event=task-ended panic={:?}", words(&*panic)));
    }
}

fn describe(panic: &PanicHookInfo<'_>) -> String {
    let place = panic.location().map_or_else(String::new, ToString::to_string);
    let thread = std::thread::current().name().unwrap_or("?").to_owned();
    format!("event=panic thread={thread} at={place} words={:?}", words(panic.payload()))
}

fn words(panic: &(dyn Any + Send)) -> &str {
    let owned = panic.downcast_ref::<String>().map(String::as_str);
    owned.or(panic.downcast_ref::<&str>().copied()).unwrap_or("no words")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::{
        cell::RefCell,
        path::PathBuf,
        sync::atomic::{AtomicUsize, Ordering},
    };

    pub(super) fn reactor() -> Reactor {
        RealClock::new().reactor().unwrap()
    }

    /// A directory of its own for one test, gone afterwards.
    pub(crate) struct Scratch(PathBuf);

    impl Scratch {
        pub(crate) fn new() -> Scratch {
            static COUNT: AtomicUsize = AtomicUsize::new(0);
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let name = format!("waypost-{}-{count}", std::process::id());
            let path = std::env::temp_dir().join(name);
            std::fs::create_dir_all(&path).unwrap();
            Scratch(path)
        }

        pub(crate) fn path(&self) -> &Path {
            &self.0
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            drop(std::fs::remove_dir_all(&self.0));
        }
    }

    #[derive(Default)]
    struct Memory(RefCell<Vec<String>>);

    impl Log for Memory {
        fn line(&self, line: &str) {
            self.0.borrow_mut().push(line.to_owned());
        }
    }

    #[test]
    fn a_panic_in_a_task_ends_it_alone_and_is_told() {
        struct PanicsWhenDropped;
        impl Drop for PanicsWhenDropped {
            fn drop(&mut self) {
                panic!("planted at the end");
            }
        }
        let executor = Rc::new(LocalExecutor::new());
        let log = Rc::new(Memory::default());
        let tasks =
            RealTasks { executor: Rc::downgrade(&executor), slow: slow_lane(), log: log.clone() };
        let guard = PanicsWhenDropped;
        let other = crate::sys::Signal::default();
        let raised = other.clone();
        tasks.spawn(Box::pin(async { panic!("planted \"here\"") }));
        tasks.spawn(Box::pin(async move { drop(guard) }));
        tasks.spawn(Box::pin(async move { raised.raise() }));
        assert_eq!(reactor().block_on(executor.run(other.past(0))), 1);
        assert_eq!(
            *log.0.borrow(),
            [
                r#"event=task-ended panic="planted \"here\"""#,
                r#"event=task-ended panic="planted at the end""#
            ]
        );
    }

    #[test]
    fn a_world_stores_sleeps_reckons_and_ends_its_tasks_with_itself() {
        let scratch = Scratch::new();
        let (sys, executor) = world(&scratch.path().join("data")).unwrap();
        let alive = Rc::new(());
        let seen = Rc::downgrade(&alive);
        let inner = sys.clone();
        executor.run(async {
            sys.spawn(async move {
                inner.sleep(std::time::Duration::from_hours(1)).await;
                drop(alive);
            });
            sys.sleep(std::time::Duration::from_millis(1)).await;
            assert!(sys.clock.now().0 >= 1);
            assert_eq!(sys.slow(|| 6 * 7).await, Some(42));
            assert_eq!(sys.slow(|| panic!("planted")).await, None::<()>);
            assert!(sys.tasks.memory().is_some_and(|octets| octets > 1 << 20));
            let file = sys.disk.open("f", super::super::Open::New).await.unwrap();
            file.write_sync(0, vec![1; 10]).await.unwrap();
        });
        assert!(seen.upgrade().is_some());
        drop(executor);
        assert!(seen.upgrade().is_none());
    }
}
