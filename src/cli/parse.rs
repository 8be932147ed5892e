//! From arguments to a [`Call`]. Pure: what the environment adds is handed in.

use super::{Act, Call, Command, Environment, Keys, Prompt, Task, UserAct, sendmail};
use crate::config::{SETTINGS, nearest};
use lexopt::{Arg, Parser};
use std::{ffi::OsString, fmt};

/// The command line is wrong; in words that say what is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage(String);

impl Usage {
    pub(super) fn new(words: impl Into<String>) -> Usage {
        Usage(words.into())
    }

    fn found(found: &str, allowed: &str) -> Usage {
        Usage(format!("found {found:?}; allowed is {allowed}"))
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (see `waypost help`)", self.0)
    }
}

impl std::error::Error for Usage {}

impl From<lexopt::Error> for Usage {
    fn from(error: lexopt::Error) -> Usage {
        Usage(error.to_string())
    }
}

/// Commands and their first words.
const COMMANDS: &[&str] = &[
    "run", "board", "queue", "trace", "check", "health", "send", "sendmail", "user", "login",
    "dkim", "config", "update", "version", "help", "mailq",
];
const OPTIONS: &str = "--data DIR, --config FILE, --json, --password-stdin, --no-password, \
                       --selector NAME, --code, --help";

/// Read the arguments, the program's own name first: called `sendmail`, `mailq` or `newaliases` it
/// is that program.
///
/// # Errors
/// What was found that is not allowed, and what is.
pub fn parse(
    arguments: impl IntoIterator<Item = OsString>,
    environment: &Environment,
) -> Result<Call, Usage> {
    let mut arguments = arguments.into_iter().peekable();
    let name = arguments.peek().map(|name| name.to_string_lossy().into_owned());
    let name = name.as_deref().unwrap_or_default();
    let name = name.rsplit('/').next().unwrap_or_default();
    let mut given = Given::new(environment);
    let mut parser = Parser::from_iter(arguments);
    let command = match name {
        "sendmail" => Command::Task(sendmail::parse(&mut parser, &mut given)?),
        "mailq" => Command::Task(Task::List),
        "newaliases" => Command::Task(Task::Nothing),
        _ => words(&mut parser, &mut given)?,
    };
    Ok(given.call(command))
}

/// Options that may stand anywhere.
pub(super) struct Given {
    pub(super) data: Option<String>,
    pub(super) config: Option<String>,
    selector: Option<String>,
    /// The names of those that take no value.
    flags: Vec<String>,
    pub(super) environment: Environment,
}

impl Given {
    fn new(environment: &Environment) -> Given {
        Given {
            data: environment.data.clone(),
            config: None,
            selector: None,
            flags: Vec::new(),
            environment: environment.clone(),
        }
    }

    fn call(self, command: Command) -> Call {
        let json = self.has("json");
        let owns_data = self.environment.owns_data;
        Call { command, data: self.data, owns_data, config: self.config, json }
    }

    fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|given| given == flag)
    }

    fn prompt(&self) -> Prompt {
        if self.has("password-stdin") { Prompt::Hidden } else { Prompt::Shown }
    }

    fn option(&mut self, option: &str, parser: &mut Parser) -> Result<(), Usage> {
        match option {
            "data" => self.data = Some(text(parser.value()?)?),
            "config" => self.config = Some(text(parser.value()?)?),
            "selector" => self.selector = Some(text(parser.value()?)?),
            "json" | "password-stdin" | "no-password" | "code" | "help" => {
                self.flags.push(option.to_string());
            }
            other => return Err(Usage::found(&format!("--{other}"), OPTIONS)),
        }
        Ok(())
    }
}

/// The command that the words name.
fn words(parser: &mut Parser, given: &mut Given) -> Result<Command, Usage> {
    let mut words: Vec<String> = Vec::new();
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long(option) => {
                let option = option.to_string();
                given.option(&option, parser)?;
            }
            Arg::Short('h') => given.option("help", parser)?,
            Arg::Short(letter) => return Err(Usage::found(&format!("-{letter}"), OPTIONS)),
            Arg::Value(word) => words.push(text(word)?),
        }
        if matches!(words.as_slice(), [word] if word == "send" || word == "sendmail")
            && !given.has("help")
        {
            return sendmail::parse(parser, given).map(Command::Task);
        }
    }
    if given.has("help") {
        return Ok(Command::Task(Task::Help));
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (first, rest) = words.split_first().unwrap_or((&"run", &[]));
    let task = match (*first, rest) {
        ("run", []) => return Ok(Command::Run),
        ("board", []) => return Ok(Command::Board),
        ("update", [file]) => Task::Update((*file).to_string()),
        ("update", rest) => return Err(count(rest, "update FILE")),
        ("queue", rest) => queue(rest)?,
        ("mailq", []) => Task::List,
        ("trace", [what]) => Task::Trace((*what).to_string()),
        ("trace", rest) => return Err(count(rest, "trace ID, trace MESSAGE-ID or trace ADDRESS")),
        ("health", []) => Task::Health,
        ("check", []) => Task::Check,
        ("check", [domain]) => Task::Doctor((*domain).to_string()),
        ("user", rest) => user(rest, given)?,
        ("dkim", rest) => dkim(rest, given)?,
        ("login", []) => Task::LogIn(None, given.has("code")),
        ("login", [user]) => Task::LogIn(Some((*user).to_string()), given.has("code")),
        ("config", rest) => config(rest)?,
        ("version", []) => Task::Version,
        ("help", _) => Task::Help,
        (first, rest) if COMMANDS.contains(&first) => return Err(count(rest, first)),
        (first, _) => {
            let meant = nearest(first, COMMANDS.iter().copied());
            let meant = meant.map(|word| format!(" (did you mean {word}?)")).unwrap_or_default();
            return Err(Usage::found(first, &format!("{}{meant}", COMMANDS.join(", "))));
        }
    };
    Ok(Command::Task(task))
}

/// There are too many words, or too few.
fn count(rest: &[&str], allowed: &str) -> Usage {
    Usage::found(&rest.join(" "), allowed)
}

fn queue(words: &[&str]) -> Result<Task, Usage> {
    const ALLOWED: &str = "queue list, queue show ID, queue retry [ID|all], queue hold \
           ID|all, queue release ID|all or queue drop ID|all";
    let (first, ids) = words.split_first().unwrap_or((&"list", &[]));
    let act = match *first {
        "list" if ids.is_empty() => return Ok(Task::List),
        "show" if !ids.is_empty() => return Ok(Task::Show(self::ids(ids)?)),
        "retry" if ids.is_empty() => return Ok(Task::Act(Act::Retry, Vec::new())),
        "retry" => Act::Retry,
        "hold" => Act::Hold,
        "release" => Act::Release,
        "drop" => Act::Drop,
        _ => return Err(count(words, ALLOWED)),
    };
    if ids.is_empty() {
        return Err(count(words, ALLOWED));
    }
    let ids = if ids == ["all"] { Vec::new() } else { self::ids(ids)? };
    Ok(Task::Act(act, ids))
}

fn ids(words: &[&str]) -> Result<Vec<crate::relay::envelope::Id>, Usage> {
    let id = |word: &&str| {
        let allowed =
            "the queue id of a message: ten letters and digits, as `waypost queue` lists them";
        word.parse().map_err(|_| Usage::found(word, allowed))
    };
    words.iter().map(id).collect()
}

fn user(words: &[&str], given: &Given) -> Result<Task, Usage> {
    let [act, name] = words else {
        return Err(count(words, "user add NAME, user passwd NAME or user remove NAME"));
    };
    let act = match *act {
        "add" if given.has("no-password") => UserAct::AddWithoutPassword,
        "add" => UserAct::Add(given.prompt()),
        "passwd" => UserAct::Password(given.prompt()),
        "remove" => UserAct::Remove,
        other => return Err(Usage::found(other, "add, passwd or remove")),
    };
    Ok(Task::User(act, (*name).to_string()))
}

fn dkim(words: &[&str], given: &Given) -> Result<Task, Usage> {
    let keys = match words {
        [] | ["show"] => Keys::Show(None),
        ["show", domain] => Keys::Show(Some((*domain).to_string())),
        ["make", domain] => Keys::Make((*domain).to_string(), given.selector.clone()),
        ["retire", domain, selector] => {
            Keys::Retire((*domain).to_string(), (*selector).to_string())
        }
        _ => {
            let allowed = "dkim show [DOMAIN], dkim make DOMAIN [--selector NAME] or dkim retire \
                           DOMAIN SELECTOR";
            return Err(count(words, allowed));
        }
    };
    Ok(Task::Dkim(keys))
}

fn config(words: &[&str]) -> Result<Task, Usage> {
    match words {
        ["show" | "get"] => Ok(Task::Get(None)),
        ["get", key] => Ok(Task::Get(Some(known(key)?))),
        ["set", key] => Ok(Task::Set(known(key)?, None)),
        ["set", key, value] => Ok(Task::Set(known(key)?, Some((*value).to_string()))),
        ["reference"] => Ok(Task::Reference),
        _ => {
            let allowed = "config show, config get KEY, config set KEY VALUE or config reference";
            Err(count(words, allowed))
        }
    }
}

/// A key of the table of settings, a part of one (`listen`), or an item (`users[0]`, `trusted[1]`).
fn known(key: &str) -> Result<String, Usage> {
    let mut pattern = String::new();
    for part in key.split_inclusive(']') {
        match part.split_once('[') {
            Some((before, _)) => pattern.extend([before, "[]"]),
            None => pattern.push_str(part),
        }
    }
    let item = pattern.strip_suffix("[]");
    let is_known = SETTINGS.iter().any(|setting| {
        let rest = setting.key.strip_prefix(pattern.as_str());
        item == Some(setting.key) || rest.is_some_and(|r| r.is_empty() || r.starts_with(['.', '[']))
    });
    if is_known {
        return Ok(key.to_string());
    }
    let meant = nearest(&pattern, SETTINGS.iter().map(|setting| setting.key));
    let meant = meant.map(|key| format!(" (did you mean {key}?)")).unwrap_or_default();
    Err(Usage::found(key, &format!("a key of `waypost config reference`{meant}")))
}

/// An argument as text.
pub(super) fn text(argument: OsString) -> Result<String, Usage> {
    argument.into_string().map_err(|a| Usage::found(&a.to_string_lossy(), "UTF-8 only"))
}
