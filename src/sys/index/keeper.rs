//! The process that keeps the index.
//!
//! sled gives back neither its memory (7 MB after ten thousand events, measured) nor its seven
//! threads, each of which wakes every second for ever once something was written. In a process of
//! its own, that ends after a minute without use, both cost an idle relay nothing; and what sled
//! may do to a process is not done to ours.

use super::{
    cabinet::{Cabinet, Failure},
    wire::{Answer, Request},
};
use crate::limits;
use std::{
    ffi::OsString,
    fs, io,
    io::Read,
    net::Shutdown,
    os::{
        fd::{AsFd, OwnedFd},
        unix::{fs::OpenOptionsExt, net::UnixStream, process::CommandExt},
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
};

/// The argument by which a program knows that it is to keep the index.
const ARGUMENT: &str = "index-keeper";

/// Keep the index, where this process was started for that; `main` calls it before anything else
/// and, where it returns true, ends.
pub fn keep_if_asked() -> bool {
    if std::env::args_os().nth(1).is_none_or(|argument| argument != ARGUMENT) {
        return false;
    }
    std::panic::set_hook(Box::new(|panic| {
        eprintln!("event=index-panic words={:?}", panic.to_string());
    }));
    let _closed_or_broken = keep();
    true
}

/// Answer over standard input, which is a socket, until it is closed.
pub(super) fn keep() -> io::Result<()> {
    let socket = io::stdin().as_fd().try_clone_to_owned()?;
    serve(&mut UnixStream::from(socket))
}

/// One conversation. After a failure the process is over: sled is not to be trusted any more, and
/// the next one opens the index afresh.
fn serve(socket: &mut UnixStream) -> io::Result<()> {
    let Some(Request::Open { dir, anew }) = Request::read(socket)? else { return Ok(()) };
    let dir = Path::new(&dir);
    let _one_at_a_time = lock(dir)?;
    let cabinet = match Cabinet::open(dir, anew) {
        Ok((cabinet, told)) => {
            told.map_or(Answer::Done, Answer::Anew).write(socket)?;
            cabinet
        }
        Err(failure) => return Answer::Failed(failure.words().into()).write(socket),
    };
    let memory_at_first = resident_bytes();
    let mut asked = 0_u32;
    while let Some(request) = Request::read(socket)? {
        match answer(&cabinet, request) {
            Ok(answer) => answer.write(socket)?,
            Err(failure) => {
                let last_words = give_up(&cabinet, failure);
                // Dropping it would have sled write once more.
                std::mem::forget(cabinet);
                return last_words.write(socket);
            }
        }
        asked += 1;
        if asked.is_multiple_of(limits::INDEX_MEMORY_EVERY)
            && resident_bytes() > limits::INDEX_MEMORY_BYTES.max(2 * memory_at_first)
        {
            break; // The next request starts another.
        }
    }
    // The last words of sled, which flushes as it goes.
    drop(cabinet);
    Ok(())
}

fn answer(cabinet: &Cabinet, request: Request) -> Result<Answer, Failure> {
    match request {
        Request::Open { .. } => Err(Failure::World("the index is open already".into())),
        Request::Apply(changes) => cabinet.apply(changes),
        Request::Scan(scan) => cabinet.scan(&scan),
        Request::Flush => cabinet.flush(),
    }
}

fn give_up(cabinet: &Cabinet, failure: Failure) -> Answer {
    match failure {
        Failure::World(words) => Answer::Failed(words),
        Failure::Damaged(words) => match cabinet.move_aside() {
            Ok(aside) => Answer::Anew(format!(
                "The history was damaged and starts anew; the old one is in {} ({words}).",
                aside.display()
            )),
            Err(error) => Answer::Failed(format!("{words}; and it cannot be moved aside: {error}")),
        },
    }
}

/// A keeper whose relay was killed may still be writing: wait for its end.
fn lock(dir: &Path) -> io::Result<fs::File> {
    let mut path = dir.as_os_str().to_owned();
    path.push(".lock");
    let file =
        fs::File::options().create(true).truncate(false).write(true).mode(0o600).open(path)?;
    match file.lock() {
        Err(error) if error.kind() != io::ErrorKind::Unsupported => Err(error),
        _ => Ok(file),
    }
}

/// Zero where `/proc` does not tell.
fn resident_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

/// How to start a keeper.
#[derive(Clone, Debug)]
pub(super) struct Recipe {
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<OsString>,
}

impl Recipe {
    /// This very program, also after its file has been replaced by a newer one.
    pub(super) fn own() -> Recipe {
        Recipe { program: "/proc/self/exe".into(), arguments: vec![ARGUMENT.into()] }
    }
}

/// Octets that a process has written: pages it has made dirty, as the kernel counts them. `None`
/// where it does not (`CONFIG_TASK_IO_ACCOUNTING`).
fn written_by(process: u32) -> Option<u64> {
    let io = fs::read_to_string(format!("/proc/{process}/io")).ok()?;
    io.lines().find_map(|line| line.strip_prefix("write_bytes: "))?.trim().parse().ok()
}

/// Octets that all keepers of an index have written, as far as that is known.
pub(super) type Tally = Arc<Mutex<Option<u64>>>;

/// A keeper at work, seen from the relay.
pub(super) struct Keeper {
    child: Child,
    socket: UnixStream,
    /// Octets of this one that are in `tally` already.
    counted: u64,
    tally: Tally,
}

impl Keeper {
    /// Start one for `dir`; what it writes is counted in `tally`. Returns, beside it, why the index
    /// starts anew, where it does.
    ///
    /// # Errors
    /// No process can be had, or it cannot open the index; then it is gone again.
    pub(super) fn start(
        recipe: &Recipe,
        dir: &Path,
        anew: bool,
        tally: &Tally,
    ) -> io::Result<(Keeper, Option<String>)> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_read_timeout(Some(limits::INDEX_WAIT))?;
        ours.set_write_timeout(Some(limits::INDEX_WAIT))?;
        // A group of its own: Ctrl-C is for the relay, which then asks for a last flush.
        let child = Command::new(&recipe.program)
            .args(&recipe.arguments)
            .env_clear()
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null())
            .process_group(0)
            .spawn()?;
        let mut keeper = Keeper { child, socket: ours, counted: 0, tally: tally.clone() };
        let dir = dir.to_str().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
        match keeper.ask(&Request::Open { dir, anew })? {
            Answer::Done => Ok((keeper, None)),
            Answer::Anew(told) => Ok((keeper, Some(told))),
            Answer::Failed(words) => Err(io::Error::other(words)),
            Answer::Entries(_) => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    pub(super) fn ask(&mut self, request: &Request) -> io::Result<Answer> {
        request.write(&mut self.socket)?;
        let answer = Answer::read(&mut self.socket);
        self.count();
        answer
    }

    fn count(&mut self) {
        if let Some(written) = written_by(self.child.id()) {
            let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
            *tally.get_or_insert(0) += written.saturating_sub(self.counted);
            self.counted = written.max(self.counted);
        }
    }

    #[cfg(test)]
    pub(super) fn kill(&mut self) {
        self.child.kill().expect("it is there");
    }

    /// Let it write what it holds and go.
    pub(super) fn dismiss(mut self) {
        if self.socket.shutdown(Shutdown::Write).is_ok() {
            // It closes its end by ending.
            let _ended_or_too_slow = self.socket.read(&mut [0]);
        }
    }
}

impl Drop for Keeper {
    /// However it came here, no process is left behind.
    fn drop(&mut self) {
        self.count();
        let _gone_already = self.child.kill();
        let _nothing_to_do_about_it = self.child.wait();
    }
}
