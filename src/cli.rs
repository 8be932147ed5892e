//! The subcommands. [`parse`] is pure; [`run`] talks to the running relay, over its control socket
//! (HTTP with the JSON API of the page, where the permissions of the socket are the login) or, for
//! `sendmail`, over SMTP.

mod control;
mod message;
mod parse;
mod sendmail;
mod show;
mod sign_in;
mod tasks;
#[cfg(test)]
mod tests;
mod update;

pub use parse::{Usage, parse};
pub use sendmail::Sendmail;
pub use tasks::run;

use crate::relay::envelope::Id;
use std::{
    io::{self, Read, Write},
    path::Path,
};

/// Where the relay keeps its data if nothing else is said.
pub const DATA: &str = "waypost-data";
/// Where an installed relay keeps it: tried where [`DATA`] has no running relay.
const INSTALLED_DATA: &str = "/var/lib/waypost";
/// The control socket, in the data directory.
pub const SOCKET: &str = "control.sock";
/// The configuration, in the data directory.
pub const CONFIG: &str = "waypost.json";
/// The routes' passwords, in the data directory.
pub const SECRETS: &str = "secrets.json";

/// Exit codes, as in `sysexits.h`.
pub mod exit {
    /// Done.
    pub const OK: u8 = 0;
    /// The command line is wrong.
    pub const USAGE: u8 = 64;
    /// The message is wrong.
    pub const DATA: u8 = 65;
    /// Refused, or not there.
    pub const UNAVAILABLE: u8 = 69;
    /// Input or output failed.
    pub const IO: u8 = 74;
    /// Not now; try again.
    pub const TRY_AGAIN: u8 = 75;
    /// The configuration is wrong.
    pub const CONFIG: u8 = 78;
}

/// What the command line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// What to do.
    pub command: Command,
    /// Data directory, as given by `--data` or the environment.
    pub data: Option<String>,
    /// [`DATA`] in the working directory is the caller's own, or root's. What somebody else has put
    /// there could listen to their mail and passwords.
    pub owns_data: bool,
    /// Configuration file, as given by `--config`.
    pub config: Option<String>,
    /// Print JSON, for programs.
    pub json: bool,
}

impl Call {
    /// The data directory of a relay that starts.
    pub fn data_directory(&self) -> &str {
        self.data.as_deref().unwrap_or(DATA)
    }

    /// Where a running relay's data directory may be, the likeliest first.
    fn data_directories(&self) -> Vec<&str> {
        match &self.data {
            Some(data) => vec![data],
            None if self.owns_data => vec![DATA, INSTALLED_DATA],
            None => vec![INSTALLED_DATA],
        }
    }
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Be the relay.
    Run,
    /// Keep the board that runs an image.
    Board,
    /// Anything else: for [`run`].
    Task(Task),
}

/// What to do beside a running relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    /// Bring the board that runs an image a new version of it, from this file.
    Update(String),
    /// List what waits.
    List,
    /// Show messages of the queue.
    Show(Vec<Id>),
    /// Do something to messages of the queue; to none in particular: to all of them.
    Act(Act, Vec<Id>),
    /// The way of a message.
    Trace(String),
    /// Does the relay run and take mail? For supervisors: the exit code is the answer.
    Health,
    /// Is everything right?
    Check,
    /// How a domain looks from outside.
    Doctor(String),
    /// Take a message in.
    Send(Sendmail),
    /// Change a local user.
    User(UserAct, String),
    /// Show, make or retire keys that sign.
    Dkim(Keys),
    /// Sign in as this user; with `true`, by a code that is typed elsewhere.
    LogIn(Option<String>, bool),
    /// The configuration, or the part of it with this key.
    Get(Option<String>),
    /// Set this key to this value; without one, it is read from standard input.
    Set(String, Option<String>),
    /// The table of settings as Markdown.
    Reference,
    /// Which version this is.
    Version,
    /// How to use this.
    Help,
    /// Nothing: `newaliases`, which other programs insist on calling.
    Nothing,
}

/// What to do to messages of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Try now.
    Retry,
    /// No attempts until released.
    Hold,
    /// As before it was held.
    Release,
    /// Forget it, without a bounce.
    Drop,
}

/// What to do to a local user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserAct {
    /// Add one who can log in.
    Add(Prompt),
    /// Add one who only gets mail.
    AddWithoutPassword,
    /// Another password.
    Password(Prompt),
    /// Remove one; the mail stays.
    Remove,
}

/// What to do about keys that sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keys {
    /// Show the records to publish: of this domain, or of all.
    Show(Option<String>),
    /// Make some for this domain, named like this.
    Make(String, Option<String>),
    /// Use those of this domain with this name no more.
    Retire(String, String),
}

/// Whether to ask for what is read from standard input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prompt {
    /// If a person sits there.
    Shown,
    /// No: a program is writing.
    Hidden,
}

/// What surrounds a call beside its arguments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// `WAYPOST_DATA`: the data directory.
    pub data: Option<String>,
    /// `WAYPOST_SMTP`: where `sendmail` hands messages in.
    pub smtp: Option<String>,
    /// `LOGNAME` or `USER`: who is calling.
    pub user: Option<String>,
    /// The machine's name; empty where it is not known.
    pub hostname: String,
    /// Whether [`DATA`] belongs to the caller or to root.
    pub owns_data: bool,
}

impl Environment {
    /// That of this process.
    ///
    /// `owns` tells whether a directory belongs to the caller or to root.
    pub fn read(hostname: String, owns: impl FnOnce(&Path) -> bool) -> Environment {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        Environment {
            data: variable("WAYPOST_DATA"),
            smtp: variable("WAYPOST_SMTP"),
            user: variable("LOGNAME").or_else(|| variable("USER")),
            hostname,
            owns_data: owns(Path::new(DATA)),
        }
    }
}

/// Where a command reads and writes.
pub struct Terminal<'a> {
    /// Standard input.
    pub input: &'a mut dyn Read,
    /// Standard output.
    pub output: &'a mut dyn Write,
    /// Standard error.
    pub errors: &'a mut dyn Write,
    /// A person types the input.
    pub interactive: bool,
    /// Switches on and off whether the terminal shows what is typed, if it can.
    pub echo: &'a mut dyn FnMut(bool),
}

impl Terminal<'_> {
    /// A line for standard output.
    fn say(&mut self, line: &str) -> io::Result<()> {
        writeln!(self.output, "{line}")
    }

    /// A line for standard error.
    fn complain(&mut self, line: &str) -> io::Result<()> {
        writeln!(self.errors, "{line}")
    }
}
