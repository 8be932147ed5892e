//! A way out, tried step by step while a person looks on: with values that are not saved yet, up to
//! a real message. What the server says is shown as it says it.

use super::{
    control::Control,
    relay::Relay,
    web::office::{Problem, TrialAsked, TrialPart, TrialStep},
};
use crate::{
    config::Config,
    limits,
    proto::{
        mail::{address::Address, date},
        smtp::client::{Forward, Outgoing, Reporter, Spoken, Takes},
        status::{Class, Outcome},
    },
    relay::{
        deliver::{self, Chunkless, Freight, Note},
        envelope::{Id, Octets},
        refusal,
        route::{self, Destination, Hop, Whence},
    },
    sys::{Pending, Signal},
    time::Instant,
};
use futures_lite::future;
use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    io,
    rc::Rc,
};

/// The trial that goes on, or was the last.
#[derive(Default)]
pub(super) struct Trials {
    last: RefCell<Option<Rc<Trial>>>,
    made: Cell<u64>,
}

struct Trial {
    number: u64,
    began: Instant,
    code: String,
    steps: RefCell<Vec<TrialStep>>,
    over: Cell<bool>,
    news: Signal,
    /// Another one has begun.
    replaced: Signal,
}

impl Trials {
    /// Begin one; what went on ends.
    pub(super) fn begin(
        &self,
        relay: &Rc<Relay>,
        control: &Control,
        asked: &TrialAsked,
    ) -> Result<u64, Vec<Problem>> {
        let one = |key: &str, words: String| vec![Problem { key: key.into(), words }];
        let config = control.trial(&asked.route)?;
        let address = |key: &str, text: &str| {
            Address::parse(text.trim())
                .map_err(|why| one(key, format!("'{text}' is no address: {why}")))
        };
        let to = address("to", &asked.to)?;
        let destination = match route::route(&config, &Whence::default(), &to) {
            Hop::Remote(destination) => destination,
            Hop::Local(_) | Hop::Push(_) | Hop::Unknown => {
                let words = format!("{to} is an address of this relay: give one outside");
                return Err(one("to", words));
            }
            Hop::Discard => return Err(one("route", "this route throws mail away".into())),
        };
        let from = match asked.from.trim() {
            "" => usual_sender(&config, &destination),
            from => address("from", from)?,
        };
        let code = Id::new(relay.sys.dice.roll()).to_string()[6..].to_string();
        self.made.set(self.made.get() + 1);
        let trial = Rc::new(Trial {
            number: self.made.get(),
            began: relay.sys.clock.now(),
            code,
            steps: RefCell::default(),
            over: Cell::new(false),
            news: Signal::default(),
            replaced: Signal::default(),
        });
        if let Some(before) = self.last.replace(Some(trial.clone())) {
            before.replaced.raise();
        }
        let number = trial.number;
        let work = run(relay.clone(), trial, config, destination, (from, to));
        relay.sys.spawn(work);
        Ok(number)
    }

    /// What has happened since.
    pub(super) async fn part(&self, relay: &Relay, number: u64, since: usize) -> Option<TrialPart> {
        let trial = self.last.borrow().clone().filter(|trial| trial.number == number)?;
        let seen = trial.news.count();
        if trial.steps.borrow().len() <= since && !trial.over.get() {
            relay.sys.within(limits::WEB_NEWS_WAIT, trial.news.past(seen)).await;
        }
        let steps = trial.steps.borrow().get(since..).unwrap_or_default().to_vec();
        Some(TrialPart { steps, over: trial.over.get(), code: trial.code.clone() })
    }
}

/// Whom a server is most likely to take.
fn usual_sender(config: &Config, destination: &Destination) -> Address {
    let first = destination.senders.first().and_then(|first| Address::parse(first).ok());
    let user = destination.user().and_then(|user| Address::parse(user).ok());
    let user = user.filter(|user| !user.domain().is_empty());
    let domain = config.masquerade.as_deref().unwrap_or(&config.hostname);
    first.or(user).unwrap_or_else(|| {
        let ours = Address::parse(&format!("waypost@{domain}"));
        ours.unwrap_or_else(|_| Address::parse("waypost@localhost").expect("a plain address"))
    })
}

async fn run(
    relay: Rc<Relay>,
    trial: Rc<Trial>,
    config: Config,
    destination: Destination,
    (from, to): (Address, Address),
) {
    let text = message(&relay, &config, &trial.code, (&from, &to));
    let mut carrier = Carrier {
        relay: &relay,
        trial: &trial,
        text,
        path: Some((from, to)),
        unanswered: VecDeque::new(),
        stage: "dns",
        said: None,
    };
    let chunkless = Chunkless::default();
    let way = relay.way(&config, &chunkless);
    let deliver = async {
        let with = match &destination.grant {
            Some(grant) => match relay.grants.token(&relay.asking(), grant).await {
                Ok(token) => destination.with_token(&token.text),
                Err(missing) => return Err(missing.outcome),
            },
            None => destination,
        };
        deliver::deliver(&way, &with, &mut carrier).await.map_err(|failure| failure.outcome)
    };
    let whole = relay.sys.within(limits::TRIAL_WAIT, Box::pin(deliver));
    let ended = future::or(async { Some(whole.await) }, async {
        trial.replaced.past(0).await;
        None
    });
    let ended = ended.await;
    let said = carrier.said.take();
    let (kind, words) = match (ended, said) {
        (None, _) => ("note", "Another trial was begun.".to_string()),
        (Some(None), _) => ("bad", "It took too long.".to_string()),
        (Some(Some(Ok(()))), Some(outcome)) if outcome.status.class == Class::Success => {
            ("good", format!("The server has taken the message: {}", outcome.text))
        }
        (Some(Some(Err(outcome))), _) | (Some(Some(Ok(()))), Some(outcome)) => {
            ("bad", told(&outcome))
        }
        (Some(Some(Ok(()))), None) => ("bad", "The server took no message.".to_string()),
    };
    trial.add(&relay, "end", kind, words);
    trial.over.set(true);
    trial.news.raise();
}

fn told(outcome: &Outcome) -> String {
    let advice = refusal::advice(outcome);
    let space = if advice.is_empty() { "" } else { " — " };
    format!("{}{space}{advice}", outcome.text)
}

fn message(relay: &Relay, config: &Config, code: &str, path: (&Address, &Address)) -> Vec<u8> {
    let date = relay.sys.clock.wall().map(date::format);
    let date = date.map_or_else(String::new, |date| format!("Date: {date}\r\n"));
    let (from, to) = path;
    format!(
        "{date}From: Waypost <{from}>\r\nTo: <{to}>\r\nSubject: Test message {code}\r\n\
         Message-ID: <{:016x}@{}>\r\nMIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=utf-8\r\n\r\n\
         This is a test message from the mail relay {}.\r\n\r\n\
         If you can read it, this way works. The code is {code}.\r\n",
        relay.sys.dice.roll(),
        config.hostname,
        config.hostname
    )
    .into_bytes()
}

impl Trial {
    fn add(&self, relay: &Relay, stage: &str, kind: &str, words: String) {
        let mut steps = self.steps.borrow_mut();
        if steps.len() < limits::TRIAL_STEPS {
            let at = relay.sys.clock.now().since(self.began).as_millis();
            let at = u64::try_from(at).unwrap_or(u64::MAX);
            steps.push(TrialStep { stage: stage.into(), kind: kind.into(), words, at });
        }
        drop(steps);
        self.news.raise();
    }
}

/// Carries one message, and tells everything that happens to it.
struct Carrier<'a> {
    relay: &'a Relay,
    trial: &'a Trial,
    text: Vec<u8>,
    /// From and to, until the message is on its way.
    path: Option<(Address, Address)>,
    /// The stages of commands that have no reply yet.
    unanswered: VecDeque<&'static str>,
    stage: &'static str,
    /// What became of the message.
    said: Option<Outcome>,
}

impl Carrier<'_> {
    fn tell(&mut self, stage: &'static str, kind: &str, words: String) {
        self.stage = stage;
        self.trial.add(self.relay, stage, kind, words);
    }

    fn spoke(&mut self, spoken: Spoken) {
        match spoken {
            Spoken::Us(words) => {
                let verb = words.split(' ').next().unwrap_or_default();
                let stage = match verb {
                    "EHLO" | "HELO" => "hello",
                    "STARTTLS" => "tls",
                    "MAIL" => "sender",
                    "RCPT" => "recipient",
                    "DATA" | "(the" | "BDAT" => "message",
                    "QUIT" => "end",
                    _ => "login",
                };
                self.unanswered.push_back(stage);
                self.tell(stage, "us", words);
            }
            Spoken::Server(words) => {
                let stage = self.unanswered.pop_front().unwrap_or("hello");
                self.tell(stage, "server", words);
            }
        }
    }
}

impl Freight for Carrier<'_> {
    fn next(&mut self, _takes: Takes) -> Pending<'_, Option<Outgoing>> {
        let path = self.path.take();
        let outgoing = path.map(|(from, to)| Outgoing {
            from: Some(from),
            to: vec![Forward { to, orcpt: String::new(), notify: None }],
            size: self.text.len() as u64,
            eight_bit: false,
            utf8: false,
            ret_headers: None,
            envid: String::new(),
        });
        Box::pin(std::future::ready(outgoing))
    }

    fn chunk(&mut self, offset: u64) -> Pending<'_, io::Result<Vec<u8>>> {
        self.text.chunk(offset)
    }

    fn report(&mut self, outcomes: Vec<Outcome>, _reporter: Reporter) -> Pending<'_, ()> {
        self.said = outcomes.into_iter().next();
        Box::pin(std::future::ready(()))
    }

    fn note(&mut self, note: Note) {
        match note {
            Note::Spoke(spoken) => self.spoke(spoken),
            Note::Found(host, addresses) => {
                let all: Vec<String> = addresses.iter().map(ToString::to_string).collect();
                let words = if addresses.iter().any(|a| a.to_string() == host) {
                    format!("{host} is an address: no name is looked up.")
                } else {
                    format!("{host} has {}.", all.join(", "))
                };
                self.tell("dns", "good", words);
            }
            Note::Connected(host) => {
                self.unanswered = VecDeque::from(["hello"]);
                self.tell("connect", "good", format!("Connected to {host}."));
            }
            Note::Encrypted(_, tls, _) => {
                let verified = if tls.verified { "verified" } else { "not verified" };
                let words = format!(
                    "Encrypted with {} {} (by {}); the certificate was {verified}.",
                    tls.version, tls.cipher, tls.engine
                );
                self.tell("tls", "good", words);
            }
            Note::InClear(host, error) => {
                let words = format!("{host} could not be used encrypted: {error}. Without, then.");
                self.tell("tls", "note", words);
            }
            Note::Policy { of, by, says } => {
                self.tell("dns", "note", format!("{of} wants by {}: {says}.", by.word()));
            }
            Note::LoggedIn(_, mechanism, _) => {
                self.tell("login", "good", format!("Logged in by {mechanism}."));
            }
            Note::Skipped(_, outcome) => {
                let stage = self.stage;
                self.tell(stage, "bad", told(&outcome));
            }
            Note::Insecure(..) => {}
        }
    }
}
