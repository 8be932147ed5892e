//! The load of the bench (`tests/bench`): a generator of mail, a sink that takes it, and the moment
//! at which a relay is started.
//!
//! ```text
//! load send port=N mark=WORD messages=N sessions=N octets=N acks=FILE
//!           [on-loss=stop] [seconds=N] [domains=N | spread=N]
//! load sink port=N log=FILE [host=ADDRESS]
//! load start FILE COMMAND …
//! ```
//!
//! Blocking threads and the standard library: what is measured is the relay, so nothing clever
//! stands in its way. Times are microseconds since 1970, by the clock of the machine.
#![expect(clippy::disallowed_methods, reason = "a bench measures the real time")]

mod message;
mod send;
mod sink;

use std::{
    collections::HashMap,
    env, fs,
    io::{self, Error},
    os::unix::process::CommandExt,
    process::{Command, ExitCode},
    time::SystemTime,
};

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let done = match words.split_first().map(|(verb, rest)| (verb.as_str(), rest)) {
        Some(("send", rest)) => Options::read(rest).and_then(|o| send::send(&o)),
        Some(("sink", rest)) => Options::read(rest).and_then(|o| sink::sink(&o)),
        Some(("start", [stamp, command @ ..])) if !command.is_empty() => start(stamp, command),
        _ => Err(Error::other("say send, sink or start, with its options")),
    };
    let Err(error) = done else { return ExitCode::SUCCESS };
    eprintln!("load: {error}");
    ExitCode::FAILURE
}

/// Becomes `command`; the time at which it does is in the file `stamp`.
fn start(stamp: &str, command: &[String]) -> io::Result<()> {
    fs::write(stamp, now().to_string())?;
    Err(Command::new(&command[0]).args(&command[1..]).exec())
}

/// Microseconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// `key=value` words.
struct Options(HashMap<String, String>);

impl Options {
    fn read(words: &[String]) -> io::Result<Options> {
        let pair = |word: &String| {
            let (key, value) = word.split_once('=')?;
            Some((key.to_string(), value.to_string()))
        };
        let pairs =
            words.iter().map(|w| pair(w).ok_or_else(|| Error::other(format!("no = in {w}"))));
        Ok(Options(pairs.collect::<io::Result<_>>()?))
    }

    fn text(&self, key: &str) -> io::Result<&str> {
        self.0
            .get(key)
            .map(String::as_str)
            .ok_or_else(|| Error::other(format!("{key}= is missing")))
    }

    fn number(&self, key: &str) -> io::Result<usize> {
        self.text(key)?.parse().map_err(|_| Error::other(format!("{key} is not a number")))
    }
}
