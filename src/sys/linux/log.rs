//! Log lines to standard error, which may be a file, a terminal, a pipe or the journal.

use super::clock::RealClock;
use crate::{limits, sys::Log};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::{Errno, write},
};
use smol::LocalExecutor;
use std::{
    fmt::Write,
    os::fd::AsFd,
    rc::{Rc, Weak},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

/// Writes lines and never waits for who reads them: a line for which there is no room at once is
/// lost, and the next one that gets through is preceded by how many were.
pub(super) struct Lines<F> {
    to: F,
    /// Where lines are to bear the time: nobody behind `to` adds it.
    clock: Option<RealClock>,
    /// Held back to be written together with those that come in the same moment.
    held: Mutex<String>,
    lost: AtomicU32,
}

impl<F: AsFd> Lines<F> {
    pub(super) fn new(to: F, clock: Option<RealClock>) -> Lines<F> {
        Lines { to, clock, held: Mutex::default(), lost: AtomicU32::new(0) }
    }

    /// Hold `line` back until the next [`Lines::write`]; true for the first of those held.
    pub(super) fn hold(&self, line: &str) -> bool {
        let line = self.compose(line);
        let mut held = self.held();
        if held.len() + line.len() > limits::LOG_LINE_BYTES {
            self.put(&mut held);
        }
        let first = held.is_empty();
        held.push_str(&line);
        first
    }

    /// Write what is held back, or count it as lost.
    pub(super) fn write(&self) {
        self.put(&mut self.held());
    }

    fn held(&self) -> MutexGuard<'_, String> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, held: &mut String) {
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 && !self.put_text(&self.compose(&format!("event=log-lost lines={lost}"))) {
            self.lost.fetch_add(lost, Ordering::Relaxed);
        }
        if !self.put_text(held) {
            let lines = u32::try_from(held.lines().count()).unwrap_or(u32::MAX);
            self.lost.fetch_add(lines, Ordering::Relaxed);
        }
        held.clear();
    }

    fn put_text(&self, text: &str) -> bool {
        let mut left = text.as_bytes();
        while !left.is_empty() {
            if !self.has_room() {
                return false;
            }
            match write(&self.to, left) {
                Ok(n) => left = left.get(n..).unwrap_or_default(),
                Err(Errno::INTR) => {}
                Err(_) => return false,
            }
        }
        true
    }

    /// With its time, without anything that would make two lines of it or steer a terminal.
    fn compose(&self, line: &str) -> String {
        let mut text = String::with_capacity(line.len() + 24);
        if let Some(clock) = self.clock {
            let stamped = match RealClock::wall() {
                Some(wall) => write!(text, "{wall} "),
                None => write!(text, "+{}s ", clock.now().0 / 1000),
            };
            stamped.expect("a String takes all that is written to it");
        }
        text.extend(line.chars().map(|c| if c.is_control() { ' ' } else { c }));
        text.truncate(text.floor_char_boundary(limits::LOG_LINE_BYTES - 1));
        text.push('\n');
        text
    }

    /// A pipe is ready when it takes `PIPE_BUF` octets, which is the longest line.
    fn has_room(&self) -> bool {
        let mut to = [PollFd::new(&self.to, PollFlags::OUT)];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        matches!(poll(&mut to, Some(&at_once)), Ok(1))
    }
}

/// Standard error as the world's log. Lines of one moment are written together, when the tasks that
/// are ready now have run.
#[derive(Clone)]
pub(super) struct ErrorLog {
    lines: Arc<Lines<std::io::Stderr>>,
    executor: Weak<LocalExecutor<'static>>,
}

impl ErrorLog {
    /// systemd sets `JOURNAL_STREAM` where it reads our standard error; the journal then adds the
    /// time.
    pub(super) fn new(clock: RealClock, executor: &Rc<LocalExecutor<'static>>) -> ErrorLog {
        let clock = std::env::var_os("JOURNAL_STREAM").is_none().then_some(clock);
        let lines = Arc::new(Lines::new(std::io::stderr(), clock));
        ErrorLog { lines, executor: Rc::downgrade(executor) }
    }

    /// For any thread, and for last words: written at once.
    pub(super) fn at_once(&self) -> impl Fn(&str) + Send + Sync + 'static {
        let lines = self.lines.clone();
        move |line| {
            lines.hold(line);
            lines.write();
        }
    }

    /// Write what is held back.
    pub(super) fn write(&self) {
        self.lines.write();
    }
}

impl Log for ErrorLog {
    fn line(&self, line: &str) {
        if !self.lines.hold(line) {
            return;
        }
        let lines = self.lines.clone();
        match self.executor.upgrade() {
            Some(executor) => executor.spawn(async move { lines.write() }).detach(),
            None => lines.write(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::Read,
        os::unix::net::{UnixDatagram, UnixStream},
    };

    impl<F: AsFd> Lines<F> {
        fn line(&self, line: &str) {
            self.hold(line);
            self.write();
        }
    }

    fn written(write: impl FnOnce(&Lines<UnixStream>)) -> String {
        let (to, mut from) = UnixStream::pair().unwrap();
        write(&Lines::new(to, None));
        let mut text = String::new();
        from.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn control_characters_neither_break_a_line_nor_steer_a_terminal() {
        assert_eq!(
            written(|log| log.line("from=a\r\nevent=forged \x1b[2J\u{9b}x")),
            "from=a  event=forged  [2J x\n"
        );
    }

    #[test]
    fn a_line_is_cut_at_its_bound_and_between_characters() {
        let fits = "x".repeat(limits::LOG_LINE_BYTES - 1);
        assert_eq!(written(|log| log.line(&fits)), format!("{fits}\n"));
        let long = format!("{}ü", "x".repeat(limits::LOG_LINE_BYTES - 2));
        assert_eq!(
            written(|log| log.line(&long)),
            format!("{}\n", "x".repeat(limits::LOG_LINE_BYTES - 2))
        );
    }

    #[test]
    fn a_reader_that_does_not_read_costs_lines_and_no_time() {
        let (mut from, to) = std::io::pipe().unwrap();
        let log = Lines::new(to, None);
        for _ in 0..100 {
            log.line(&"x".repeat(limits::LOG_LINE_BYTES - 1));
        }
        let lost = log.lost.load(Ordering::Relaxed);
        assert!((1..100).contains(&lost), "{lost} lines of 100 were lost");
        let mut room = vec![0; 2 * limits::LOG_LINE_BYTES];
        from.read_exact(&mut room).unwrap();
        log.line("again");
        drop(log);
        let mut text = String::new();
        from.read_to_string(&mut text).unwrap();
        assert!(text.ends_with(&format!("x\nevent=log-lost lines={lost}\nagain\n")));
    }

    #[test]
    fn lines_bear_the_time_where_nobody_else_adds_it() {
        let (to, mut from) = UnixStream::pair().unwrap();
        Lines::new(to, Some(RealClock::new())).line("up");
        let mut text = String::new();
        from.read_to_string(&mut text).unwrap();
        let (stamp, line) = text.split_once(' ').unwrap();
        assert!(stamp.ends_with('Z') || stamp.starts_with('+'), "{stamp}");
        assert_eq!(line, "up\n");
    }

    #[test]
    fn lines_of_one_moment_are_one_write_of_no_more_than_a_pipe_takes_in_one_piece() {
        let (to, from) = UnixDatagram::pair().unwrap();
        let log = Lines::new(to, None);
        assert!(log.hold("first"));
        assert!(!log.hold("second"));
        log.write();
        let mut datagram = vec![0; 2 * limits::LOG_LINE_BYTES];
        let mut next = || {
            let n = from.recv(&mut datagram).unwrap();
            String::from_utf8(datagram[..n].to_vec()).unwrap()
        };
        assert_eq!(next(), "first\nsecond\n");
        let half = "x".repeat(limits::LOG_LINE_BYTES / 2 - 1);
        assert!(log.hold(&half));
        assert!(!log.hold(&half));
        assert!(log.hold("one too many"));
        assert_eq!(next(), format!("{half}\n{half}\n"));
        log.write();
        assert_eq!(next(), "one too many\n");
    }
}
