//! What each subcommand does.

use super::{
    Act, CONFIG, Call, Command, Keys, Prompt, SECRETS, Task, Terminal, UserAct,
    control::{Answer, Question, Trouble, ask},
    exit, sendmail, show,
};
use crate::{
    config::{self, Document, Secrets, Setting, Surroundings},
    limits,
    proto::http::encode,
    relay::envelope::Id,
    sys::{Open, Sys},
};
use serde_json::{Value, json};
use std::{
    collections::HashSet,
    io::{self, BufRead, BufReader, Read},
};

const HELP: &str = "\
Usage: waypost [COMMAND] [--data DIR] [--config FILE] [--json]

  run                            be the relay (also without any command)
  queue [list]                   what waits, and why
  queue show ID                  a message of the queue
  queue retry [ID|all]           try again now
  queue hold|release|drop ID|all hold messages, release them, or forget them
  trace ID|MESSAGE-ID|ADDRESS    the way of a message
  health                         exit code 0 where the relay runs and takes mail
  check                          is the configuration right, and the relay well?
  check DOMAIN                   how mail from there looks to others, and what to publish
  send [-t] [-f FROM] [-i] TO    take in the message on standard input
  user add|passwd|remove NAME    change a user (--password-stdin, --no-password)
  login [USER] [--code]          sign in by OAuth, where a route says so
  dkim [show [DOMAIN]]           the DNS records of the keys that sign
  dkim make DOMAIN               make keys that sign (--selector NAME)
  dkim retire DOMAIN SELECTOR    sign with these no more
  config show | get KEY | set KEY VALUE | reference
  update FILE                    a new version for the board that runs an image
  version

DIR holds all that the relay knows: ./waypost-data, or what WAYPOST_DATA says.
Called sendmail or mailq, it is that program. Exit codes are as in sysexits.h:
0 done, 64 wrong command line, 65 wrong message, 69 refused or not there,
74 input or output failed, 75 try again later, 78 wrong configuration.";

/// Do what a call says, unless it is to run the relay, and tell how to exit (see [`exit`]).
///
/// `sys` is the world as seen from the working directory: its data directory is `.`.
pub async fn run(sys: &Sys, call: &Call, terminal: &mut Terminal<'_>) -> u8 {
    let Command::Task(task) = &call.command else { return exit::USAGE };
    let doing = Doing { sys, call };
    match doing.task(task, terminal).await {
        Ok(code) => code,
        Err(Stop::Trouble(trouble)) => {
            let code = match trouble {
                Trouble::NoRelay(_) => exit::UNAVAILABLE,
                Trouble::Broken(_) => exit::TRY_AGAIN,
            };
            complain(terminal, &show::plain(&trouble.to_string()), code)
        }
        Err(Stop::Refused(words)) => complain(terminal, &words, exit::UNAVAILABLE),
        Err(Stop::Wrong(words)) => complain(terminal, &words, exit::CONFIG),
        // Whoever closed our output early (`| head`) has seen enough.
        Err(Stop::Io(error)) if error.kind() == io::ErrorKind::BrokenPipe => exit::OK,
        Err(Stop::Io(error)) => complain(terminal, &error.to_string(), exit::IO),
    }
}

fn complain(terminal: &mut Terminal<'_>, words: &str, code: u8) -> u8 {
    match terminal.complain(&format!("waypost: {words}")) {
        Ok(()) => code,
        Err(_) => exit::IO,
    }
}

/// Why a task ended early.
pub(super) enum Stop {
    Trouble(Trouble),
    /// The relay said no; its words.
    Refused(String),
    /// The configuration is wrong.
    Wrong(String),
    Io(io::Error),
}

impl From<Trouble> for Stop {
    fn from(trouble: Trouble) -> Stop {
        Stop::Trouble(trouble)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Stop {
        Stop::Io(error)
    }
}

pub(super) struct Doing<'a> {
    pub(super) sys: &'a Sys,
    pub(super) call: &'a Call,
}

impl Doing<'_> {
    async fn task(&self, task: &Task, terminal: &mut Terminal<'_>) -> Result<u8, Stop> {
        match task {
            Task::List => self.list(terminal).await?,
            Task::Show(ids) => self.show(ids, terminal).await?,
            Task::Act(act, ids) => self.act(*act, ids, terminal).await?,
            Task::Trace(what) => return self.trace(what, terminal).await,
            Task::Health => drop(self.done(&Question::get("/healthz")).await?),
            Task::Check => return self.check(terminal).await,
            Task::Doctor(domain) => return self.doctor(domain, terminal).await,
            Task::Send(mail) => {
                return Ok(sendmail::send(self.sys, self.call, mail, terminal).await?);
            }
            Task::User(act, name) => self.user(*act, name, terminal).await?,
            Task::Dkim(keys) => return self.dkim(keys, terminal).await,
            Task::LogIn(user, by_code) => {
                return self.log_in(user.as_deref(), *by_code, terminal).await;
            }
            Task::Get(key) => return self.get(key.as_deref(), terminal).await,
            Task::Set(key, value) => self.set(key, value.as_deref(), terminal).await?,
            Task::Reference => terminal.say(config::reference().trim_end())?,
            Task::Update(file) => return self.update(file, terminal).await,
            Task::Version => terminal.say(concat!("waypost ", env!("CARGO_PKG_VERSION")))?,
            Task::Help => terminal.say(HELP)?,
            Task::Nothing => {}
        }
        Ok(exit::OK)
    }

    /// The answer, if the relay did what was asked.
    pub(super) async fn done(&self, question: &Question<'_>) -> Result<Answer, Stop> {
        let answer = ask(self.sys, self.call, question).await?;
        if (200..300).contains(&answer.status) {
            return Ok(answer);
        }
        let problems = show::problems(&answer.body);
        if !problems.is_empty() {
            return Err(Stop::Wrong(problems.join("\nwaypost: ")));
        }
        let words = match show::text(&answer.body, "error") {
            words if words.is_empty() && answer.body.is_string() => {
                format!("the relay is {}", show::plain(answer.body.as_str().unwrap_or_default()))
            }
            words if words.is_empty() => {
                format!("the relay answered with HTTP status {}", answer.status)
            }
            words => words,
        };
        Err(Stop::Refused(words))
    }

    /// The whole queue, a page at a time. It moves meanwhile: what comes twice is listed once, and
    /// for what moved past the pages they are read again.
    async fn list(&self, terminal: &mut Terminal<'_>) -> Result<(), Stop> {
        let mut seen: HashSet<String> = HashSet::new();
        let mut states: Vec<String> = Vec::new();
        let mut offset = 0;
        let mut rounds = 0;
        loop {
            let path = format!("/api/queue?offset={offset}&limit={}", limits::CONTROL_ROWS);
            let answer = self.done(&Question::get(&path)).await?;
            let rows = answer.body.get("rows").and_then(Value::as_array);
            let rows = rows.map(Vec::as_slice).unwrap_or_default();
            for row in rows {
                if !seen.insert(show::text(row, "id")) {
                    continue;
                }
                if self.call.json {
                    let start = if states.is_empty() { "[" } else { ",\n" };
                    write!(terminal.output, "{start}{row}")?;
                } else {
                    write!(terminal.output, "{}", show::row(row))?;
                }
                states.push(show::text(row, "state"));
            }
            offset += rows.len();
            let total = answer.body.get("total").and_then(Value::as_u64).unwrap_or(0);
            if rows.is_empty() || offset as u64 >= total {
                rounds += 1;
                if seen.len() as u64 >= total || rounds == limits::CONTROL_ROUNDS {
                    break;
                }
                offset = 0;
            }
        }
        match (self.call.json, states.is_empty()) {
            (true, true) => terminal.say("[]")?,
            (true, false) => terminal.say("]")?,
            (false, _) => {
                terminal.say(&show::total(&states))?;
                // What is wrong may be why they wait; a relay that does not tell has said the rest.
                if let Ok(status) = self.done(&Question::get("/api/status")).await {
                    write!(terminal.output, "{}", show::standing(&status.body))?;
                }
            }
        }
        Ok(())
    }

    async fn show(&self, ids: &[Id], terminal: &mut Terminal<'_>) -> Result<(), Stop> {
        for id in ids {
            let answer = self.done(&Question::get(&format!("/api/queue/{id}"))).await?;
            if self.call.json {
                terminal.say(&answer.body.to_string())?;
            } else {
                write!(terminal.output, "{}", show::message(&answer.body))?;
            }
        }
        Ok(())
    }

    async fn act(&self, act: Act, ids: &[Id], terminal: &mut Terminal<'_>) -> Result<(), Stop> {
        let (verb, done) = match act {
            Act::Retry => ("retry", "will be tried now"),
            Act::Hold => ("hold", "held"),
            Act::Release => ("release", "released"),
            Act::Drop => ("drop", "dropped"),
        };
        let all = json!({ "all": true, "action": verb }).to_string();
        let mut paths: Vec<(String, Option<&str>)> =
            ids.iter().map(|id| (format!("/api/queue/{id}/{verb}"), None)).collect();
        if paths.is_empty() {
            paths.push(("/api/queue/act".into(), Some(&all)));
        }
        let mut messages = 0;
        for (path, body) in &paths {
            let answer = self.done(&Question::post(path, *body)).await?;
            messages += answer.body.get("messages").and_then(Value::as_u64).unwrap_or(1);
        }
        if self.call.json {
            terminal.say(&json!({ "messages": messages }).to_string())?;
        } else {
            let plural = if messages == 1 { "" } else { "s" };
            terminal.say(&format!("{messages} message{plural} {done}"))?;
        }
        Ok(())
    }

    async fn trace(&self, what: &str, terminal: &mut Terminal<'_>) -> Result<u8, Stop> {
        let path = format!("/api/trace?q={}", encode(what));
        let answer = self.done(&Question::get(&path)).await?;
        if self.call.json {
            terminal.say(&answer.body.to_string())?;
            return Ok(exit::OK);
        }
        let events = show::events(&answer.body);
        if events.is_empty() {
            terminal.complain(&format!("waypost: nothing is known of {}", show::plain(what)))?;
            return Ok(exit::UNAVAILABLE);
        }
        write!(terminal.output, "{events}")?;
        Ok(exit::OK)
    }

    /// The file first: it can be checked before any relay runs with it.
    async fn check(&self, terminal: &mut Terminal<'_>) -> Result<u8, Stop> {
        let mut problems = self.check_file().await;
        // An older relay has no check of its own; its status has what it knows.
        let mut answer = ask(self.sys, self.call, &Question::post("/api/check", None)).await;
        if answer.as_ref().is_ok_and(|answer| answer.status == 404) {
            answer = ask(self.sys, self.call, &Question::get("/api/status")).await;
        }
        let answer = match answer {
            Ok(answer) => answer.body,
            Err(trouble) if problems.is_empty() => {
                terminal.say("The configuration is right.")?;
                return Err(trouble.into());
            }
            Err(_) => Value::Null,
        };
        problems.extend(show::problems(&answer));
        if self.call.json {
            terminal.say(&json!({ "problems": problems }).to_string())?;
        } else if problems.is_empty() {
            terminal.say("The configuration is right and the relay is well.")?;
        } else {
            for problem in &problems {
                write!(terminal.output, "{}", show::wrapped(problem, 0))?;
            }
        }
        Ok(if problems.is_empty() { exit::OK } else { exit::CONFIG })
    }

    async fn doctor(&self, domain: &str, terminal: &mut Terminal<'_>) -> Result<u8, Stop> {
        let body = json!({ "domain": domain }).to_string();
        let answer = self.done(&Question::post("/api/check/domain", Some(&body))).await?;
        if self.call.json {
            terminal.say(&answer.body.to_string())?;
        } else {
            write!(terminal.output, "{}", show::findings(&answer.body))?;
        }
        let is_wrong = show::verdicts(&answer.body).any(|verdict| verdict == "wrong");
        Ok(if is_wrong { exit::CONFIG } else { exit::OK })
    }

    /// What is wrong with the configuration file; nothing where there is none.
    async fn check_file(&self) -> Vec<String> {
        for data in self.call.data_directories() {
            let in_data = format!("{data}/{CONFIG}");
            let path = self.call.config.as_deref().unwrap_or(&in_data);
            let document = match read_document(self.sys, path).await {
                Ok(None) => continue,
                Ok(Some(document)) => document,
                Err(problem) => return vec![format!("{path}: {problem}")],
            };
            let path = format!("{data}/{SECRETS}");
            let secrets = match read_text(self.sys, &path).await {
                Ok(text) => Secrets::parse(&text.unwrap_or_default()).map_err(|p| p.to_string()),
                Err(problem) => Err(problem),
            };
            let problems = match secrets {
                Ok(secrets) => document.join(&secrets).problems(&Surroundings::default()),
                Err(problem) => return vec![format!("{path}: {problem}")],
            };
            return problems.iter().map(|problem| show::plain(&problem.to_string())).collect();
        }
        Vec::new()
    }

    async fn user(
        &self,
        act: UserAct,
        name: &str,
        terminal: &mut Terminal<'_>,
    ) -> Result<(), Stop> {
        let mut password = |prompt: Prompt| {
            let asked = format!("Password of {}: ", show::plain(name));
            let password = typed(terminal, prompt, &asked, Echo::Off)?;
            let allowed =
                format!("1 to {} octets, without control characters", limits::PASSWORD_BYTES);
            if config::is_password(&password) {
                Ok(password)
            } else {
                Err(Stop::Refused(format!("that cannot be a password; allowed is {allowed}")))
            }
        };
        let (path, one) = ("/api/users", format!("/api/users/{}", encode(name)));
        match act {
            UserAct::Add(prompt) => {
                let body = json!({"name": name, "password": password(prompt)?}).to_string();
                self.done(&Question::post(path, Some(&body))).await?;
            }
            UserAct::AddWithoutPassword => {
                let body = json!({ "name": name }).to_string();
                self.done(&Question::post(path, Some(&body))).await?;
            }
            UserAct::Password(prompt) => {
                let body = json!({ "password": password(prompt)? }).to_string();
                self.done(&Question::post(&format!("{one}/password"), Some(&body))).await?;
            }
            UserAct::Remove => {
                let question = Question { method: "DELETE", path: &one, body: None, tag: None };
                self.done(&question).await?;
            }
        }
        Ok(())
    }

    async fn dkim(&self, keys: &Keys, terminal: &mut Terminal<'_>) -> Result<u8, Stop> {
        let mut answer = match keys {
            Keys::Show(_) => self.done(&Question::get("/api/dkim")).await?.body,
            Keys::Make(domain, selector) => {
                let selector = selector.as_deref().unwrap_or_default();
                let body = json!({"domain": domain, "selector": selector}).to_string();
                self.done(&Question::post("/api/dkim", Some(&body))).await?.body
            }
            Keys::Retire(domain, selector) => {
                let body = json!({"domain": domain, "selector": selector}).to_string();
                self.done(&Question::post("/api/dkim/retire", Some(&body))).await?.body
            }
        };
        if let Keys::Show(Some(domain)) = keys
            && let Some(Value::Array(keys)) = answer.get_mut("keys")
        {
            let domain = domain.to_lowercase();
            keys.retain(|key| key.get("domain").and_then(Value::as_str) == Some(&domain));
        }
        if self.call.json {
            terminal.say(&answer.to_string())?;
            return Ok(exit::OK);
        }
        let records = show::records(&answer);
        if records.is_empty() {
            terminal.complain("waypost: there is no key; `waypost dkim make DOMAIN` makes some")?;
            return Ok(exit::UNAVAILABLE);
        }
        let told = match keys {
            Keys::Show(_) => "Publish these records:",
            Keys::Make(..) => "Made. Mail is signed with these keys from now on; publish them:",
            Keys::Retire(..) => {
                "Retired: these keys are gone. Leave their records published for a week, for mail \
                 that is on its way:"
            }
        };
        write!(terminal.output, "{}{records}", show::wrapped(told, 0))?;
        for note in show::notes(&answer) {
            write!(terminal.output, "\n{}", show::wrapped(&note, 0))?;
        }
        Ok(exit::OK)
    }

    async fn get(&self, key: Option<&str>, terminal: &mut Terminal<'_>) -> Result<u8, Stop> {
        let (document, _) = self.document().await?;
        let Some(key) = key else {
            write!(terminal.output, "{document}")?;
            return Ok(exit::OK);
        };
        match document.get(key).filter(|value| !value.is_null()) {
            Some(Value::String(text)) if !self.call.json => terminal.say(&show::plain(text))?,
            Some(value) => terminal.say(&value.to_string())?,
            None => {
                let default = Setting::find(key).map(|setting| setting.default);
                let default = default.filter(|d| !d.is_empty()).unwrap_or("none");
                let words = format!("waypost: {key} is not set; the default is: {default}");
                terminal.complain(&words)?;
                return Ok(exit::UNAVAILABLE);
            }
        }
        Ok(exit::OK)
    }

    async fn set(
        &self,
        key: &str,
        value: Option<&str>,
        terminal: &mut Terminal<'_>,
    ) -> Result<(), Stop> {
        let (mut document, tag) = self.document().await?;
        let value = match value {
            Some(value) => value.to_string(),
            None => typed(terminal, Prompt::Shown, &format!("{key}: "), Echo::On)?,
        };
        if value == "null" {
            document.remove(key);
        } else {
            document.set_text(key, &value).map_err(|problem| Stop::Wrong(problem.to_string()))?;
        }
        let body = document.to_string();
        let question =
            Question { method: "PUT", path: "/api/config", body: Some(&body), tag: tag.as_deref() };
        self.done(&question).await?;
        Ok(())
    }

    /// The running relay's configuration, and its tag.
    async fn document(&self) -> Result<(Document, Option<String>), Stop> {
        let answer = self.done(&Question::get("/api/config")).await?;
        let document = Document::parse(&answer.body.to_string());
        let document = document.map_err(|problem| Stop::Wrong(problem.to_string()))?;
        Ok((document, answer.tag))
    }
}

/// Whether what is typed is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Echo {
    On,
    Off,
}

/// A line of standard input without its end.
pub(super) fn typed(
    terminal: &mut Terminal<'_>,
    prompt: Prompt,
    words: &str,
    echo: Echo,
) -> Result<String, Stop> {
    let asks = terminal.interactive && prompt == Prompt::Shown;
    if asks {
        write!(terminal.errors, "{words}")?;
        terminal.errors.flush()?;
    }
    let hides = terminal.interactive && echo == Echo::Off;
    if hides {
        (terminal.echo)(false);
    }
    let line = line(terminal.input);
    if hides {
        (terminal.echo)(true);
        terminal.complain("")?;
    }
    line
}

fn line(input: &mut dyn Read) -> Result<String, Stop> {
    let mut octets = Vec::new();
    let most = limits::TYPED_BYTES as u64;
    BufReader::new(input.take(most + 1)).read_until(b'\n', &mut octets)?;
    if octets.ends_with(b"\n") {
        octets.pop();
    }
    if octets.len() > limits::TYPED_BYTES {
        return Err(Stop::Refused(format!("a line of more than {} octets", limits::TYPED_BYTES)));
    }
    if octets.ends_with(b"\r") {
        octets.pop();
    }
    String::from_utf8(octets).map_err(|_| Stop::Refused("what was typed is not UTF-8".to_string()))
}

/// The document in a file; `None` where there is no such file.
///
/// # Errors
/// In words, without secrets.
pub(super) async fn read_document(sys: &Sys, path: &str) -> Result<Option<Document>, String> {
    let Some(text) = read_text(sys, path).await? else { return Ok(None) };
    Document::parse(&text).map(Some).map_err(|problem| problem.to_string())
}

async fn read_text(sys: &Sys, path: &str) -> Result<Option<String>, String> {
    let file = match sys.disk.open(path, Open::Read).await {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let octets = file.read_at(0, limits::CONFIG_BYTES + 1).await.map_err(|e| e.to_string())?;
    String::from_utf8(octets).map(Some).map_err(|_| "it is not UTF-8".to_string())
}
