//! `sendmail`, as programs have called it for forty years: a message on standard input, handed to
//! the relay by SMTP.

use super::{
    CONFIG, Call, Task, Terminal, exit,
    message::{self, Prepared},
    parse::{Given, Usage, text},
};
use crate::{
    config::Document,
    drive::{End, Handler, drive},
    limits,
    proto::{
        mail::{address::Address, list::mailboxes},
        smtp::client::{Answer, Ask, Chunking, Forward, Outgoing, Plan, Security, Session},
        status::{Class, Outcome, Status},
    },
    sys::{Stream, Sys, TlsError, Trust},
};
use lexopt::{Arg, Parser};
use std::{
    io::{self, Read},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

/// A message to hand in, as the arguments of `sendmail` say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sendmail {
    /// `-f`: reverse path; inside: `None` is the null one.
    pub from: Option<Option<Address>>,
    /// `-F`: the sender's name.
    pub full_name: Option<String>,
    /// Recipients given as arguments.
    pub to: Vec<Address>,
    /// `-t`: recipients from To, Cc and Bcc too.
    pub header_recipients: bool,
    /// `-i`: a dot alone does not end the message.
    pub ignore_dots: bool,
    /// `-N`: which reports are wanted, as success, failure, delay.
    pub notify: Option<(bool, bool, bool)>,
    /// `-R hdrs` or `-R full`.
    pub ret_headers: Option<bool>,
    /// `-V`: ENVID.
    pub envid: String,
    /// Where to hand it in.
    pub smtp: Option<SocketAddr>,
    /// Who is calling.
    pub user: String,
    /// The machine's name.
    pub hostname: String,
}

/// Read the arguments that follow `sendmail`. What other sendmails know and is of no use here is
/// accepted.
pub(super) fn parse(parser: &mut Parser, given: &mut Given) -> Result<Task, Usage> {
    let mut mail = Sendmail {
        user: given.environment.user.clone().unwrap_or_else(|| "root".to_string()),
        hostname: given.environment.hostname.clone(),
        ..Sendmail::default()
    };
    let mut task = None;
    let mut smtp = given.environment.smtp.clone();
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("smtp") => smtp = Some(text(parser.value()?)?),
            Arg::Long("data") => given.data = Some(text(parser.value()?)?),
            Arg::Long("config") => given.config = Some(text(parser.value()?)?),
            Arg::Long("help") => task = Some(Task::Help),
            Arg::Long(option) => {
                return Err(Usage::new(format!("unknown option --{option} of sendmail")));
            }
            Arg::Value(word) => mail.add_recipients(&text(word)?)?,
            Arg::Short('q') => {
                // How often a queue is run is not said here; that it shall be run now is.
                parser.optional_value();
                task = Some(Task::Act(super::Act::Retry, Vec::new()));
            }
            Arg::Short('b') => match text(parser.value()?)?.as_str() {
                "m" => {}
                "p" => task = Some(Task::List),
                "i" => task = Some(Task::Nothing),
                other => {
                    let words = format!("found -b{other}; allowed is -bm, -bp and -bi");
                    return Err(Usage::new(words));
                }
            },
            Arg::Short(letter) => mail.letter(letter, parser)?,
        }
    }
    if let Some(smtp) = smtp {
        let socket = smtp.parse().map_err(|_| {
            let allowed = "an IP address and a port such as 127.0.0.1:2525";
            Usage::new(format!("found the SMTP address {smtp:?}; allowed is {allowed}"))
        })?;
        mail.smtp = Some(socket);
    }
    if task.is_none() && mail.to.is_empty() && !mail.header_recipients {
        let words =
            "found no recipients; allowed are addresses, or -t to take them from the message";
        return Err(Usage::new(words));
    }
    Ok(task.unwrap_or(Task::Send(mail)))
}

impl Sendmail {
    fn letter(&mut self, letter: char, parser: &mut Parser) -> Result<(), Usage> {
        match letter {
            't' => self.header_recipients = true,
            'i' => self.ignore_dots = true,
            'f' | 'r' => self.from = Some(reverse_path(&text(parser.value()?)?)?),
            'F' => self.full_name = Some(text(parser.value()?)?),
            'V' => self.envid = envid(&text(parser.value()?)?)?,
            'N' => self.notify = Some(notify(&text(parser.value()?)?)?),
            'R' => {
                self.ret_headers = Some(match text(parser.value()?)?.to_lowercase().as_str() {
                    "hdrs" => true,
                    "full" => false,
                    other => {
                        return Err(Usage::new(format!(
                            "found -R {other}; allowed is full or hdrs"
                        )));
                    }
                });
            }
            'o' => {
                // -oi and -oiTRUE; every other option of sendmail's configuration means nothing
                // here.
                let option = text(parser.value()?)?;
                self.ignore_dots |=
                    option.starts_with('i') && !option.to_lowercase().ends_with("false");
            }
            // Debug level, error mode.
            'd' | 'e' => drop(parser.optional_value()),
            // Body type, configuration file, hop count, log tag, protocol, trace file …
            'A' | 'B' | 'C' | 'D' | 'h' | 'L' | 'M' | 'O' | 'p' | 'Q' | 'S' | 'X' => {
                drop(parser.value()?);
            }
            'E' | 'G' | 'I' | 'm' | 'n' | 's' | 'U' | 'v' => {}
            other => return Err(Usage::new(format!("unknown option -{other} of sendmail"))),
        }
        Ok(())
    }

    fn add_recipients(&mut self, words: &str) -> Result<(), Usage> {
        let wrong = |why: &str| Usage::new(format!("found the recipient {words:?}: {why}"));
        let found = mailboxes(words.as_bytes()).map_err(wrong)?;
        if found.is_empty() {
            return Err(wrong("no address"));
        }
        for mailbox in found {
            if self.to.len() >= limits::SENDMAIL_RECIPIENTS {
                return Err(wrong(&format!("more than {} of them", limits::SENDMAIL_RECIPIENTS)));
            }
            if !self.to.contains(&mailbox.address) {
                self.to.push(mailbox.address);
            }
        }
        Ok(())
    }

    /// The reverse path: as given, or whoever is calling.
    fn sender(&self) -> Option<Address> {
        match &self.from {
            Some(from) => from.clone(),
            None => self.caller(),
        }
    }

    /// Whoever is calling, as an address; without a domain where this machine has no name that is
    /// one.
    pub(super) fn caller(&self) -> Option<Address> {
        let whole = Address::parse(&format!("{}@{}", self.user, self.hostname));
        whole.or_else(|_| Address::parse(&self.user)).ok()
    }
}

fn reverse_path(words: &str) -> Result<Option<Address>, Usage> {
    let wrong = |why: &str| Usage::new(format!("found the sender {words:?}: {why}"));
    if matches!(words.trim(), "" | "<>") {
        return Ok(None);
    }
    let found = mailboxes(words.as_bytes()).map_err(wrong)?;
    match <[_; 1]>::try_from(found) {
        Ok([mailbox]) => Ok(Some(mailbox.address)),
        Err(_) => Err(wrong("allowed is one address, or <>")),
    }
}

/// RFC 3461 §4.1.
fn notify(words: &str) -> Result<(bool, bool, bool), Usage> {
    let mut wanted = (false, false, false);
    for word in words.to_lowercase().split(',') {
        match word.trim() {
            "never" => {}
            "success" => wanted.0 = true,
            "failure" => wanted.1 = true,
            "delay" => wanted.2 = true,
            other => {
                let allowed = "never, or of success, failure and delay one or more";
                return Err(Usage::new(format!("found -N {other}; allowed is {allowed}")));
            }
        }
    }
    Ok(wanted)
}

/// RFC 3461 §4.4: up to 100 printable characters.
fn envid(words: &str) -> Result<String, Usage> {
    let fine = words.len() <= 100 && words.bytes().all(|b| (b' '..=b'~').contains(&b));
    let wrong =
        || Usage::new("found an envelope id (-V) that is not 100 or fewer printable characters");
    fine.then(|| words.to_string()).ok_or_else(wrong)
}

/// Hand in the message on standard input.
pub(super) async fn send(
    sys: &Sys,
    call: &Call,
    mail: &Sendmail,
    terminal: &mut Terminal<'_>,
) -> io::Result<u8> {
    let configured = configured(sys, call).await;
    let mut mail = mail.clone();
    if let Some(hostname) = configured.get("hostname").and_then(|name| name.as_str()) {
        mail.hostname = hostname.to_string();
    }
    let mut input = Vec::new();
    let most = limits::SENDMAIL_BYTES;
    terminal.input.take(most as u64 + 1).read_to_end(&mut input)?;
    if input.len() > most {
        terminal.complain(&format!("sendmail: the message is larger than {} MiB", most >> 20))?;
        return Ok(exit::DATA);
    }
    let prepared = match message::prepare(&input, &mail) {
        Ok(prepared) => prepared,
        Err(why) => {
            terminal.complain(&format!("sendmail: {why}"))?;
            return Ok(exit::DATA);
        }
    };
    drop(input);
    let places = mail.smtp.map_or_else(|| places(&configured), |smtp| vec![smtp]);
    let Some((stream, place)) = connect(sys, &places, terminal).await? else {
        return Ok(exit::TRY_AGAIN);
    };
    let outcomes = submit(sys, stream, place, &mail, &prepared).await;
    report(&prepared.recipients, &outcomes, terminal)
}

/// The configuration in the data directory; empty where there is none that can be read.
async fn configured(sys: &Sys, call: &Call) -> Document {
    let in_data = call.data_directories().into_iter().map(|data| format!("{data}/{CONFIG}"));
    for path in call.config.clone().into_iter().chain(in_data) {
        if let Some(document) = super::tasks::read_document(sys, &path).await.ok().flatten() {
            return document;
        }
    }
    Document::default()
}

/// Where a relay with this configuration listens on this machine; the usual places where it does
/// not say.
fn places(document: &Document) -> Vec<SocketAddr> {
    let listed = document.get("listen.smtp").and_then(|list| list.as_array());
    let listed = listed.into_iter().flatten().filter_map(|place| place.as_str()?.parse().ok());
    let here = |place: SocketAddr| {
        let address = match place.ip() {
            IpAddr::V4(four) if four.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(six) if six.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
            address => address,
        };
        SocketAddr::new(address, place.port())
    };
    let mut places: Vec<SocketAddr> = listed.map(here).take(limits::LISTEN).collect();
    places.sort_by_key(|place| !place.ip().is_loopback());
    if places.is_empty() {
        places.extend([25, 2525].map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port))));
    }
    places
}

/// A connection to the first place that answers.
async fn connect(
    sys: &Sys,
    places: &[SocketAddr],
    terminal: &mut Terminal<'_>,
) -> io::Result<Option<(Box<dyn Stream>, SocketAddr)>> {
    let mut why = String::new();
    for place in places {
        match sys.within(limits::CONNECT_WAIT, sys.net.connect(*place)).await {
            Some(Ok(stream)) => return Ok(Some((stream, *place))),
            Some(Err(error)) => why = format!("{place}: {error}"),
            None => why = format!("{place}: no answer"),
        }
    }
    terminal
        .complain(&format!("sendmail: the relay cannot be reached at {why}; try again later"))?;
    Ok(None)
}

/// Hand the message over: one outcome a recipient, in order.
async fn submit(
    sys: &Sys,
    stream: Box<dyn Stream>,
    place: SocketAddr,
    mail: &Sendmail,
    prepared: &Prepared,
) -> Vec<Outcome> {
    let hello = if mail.hostname.is_empty() { "localhost" } else { &mail.hostname };
    // Who listens on loopback is this machine itself.
    let security = if place.ip().is_loopback() { Security::None } else { Security::May };
    let plan = Plan {
        hello: hello.to_string(),
        security,
        login: None,
        host: place.ip().to_string(),
        chunking: Chunking::Never,
    };
    let mut session = Session::new(plan);
    let mut handing = Handing { sys, place, mail, prepared, outcomes: Vec::new(), broken: None };
    let mut stream = Some(stream);
    let end = drive(sys, &mut stream, &mut session, &mut handing).await;
    let words = match end {
        End::Closed => "the session ended early".to_string(),
        End::PeerGone(words) if words.is_empty() => "the relay hung up".to_string(),
        End::PeerGone(words) => format!("the connection broke: {words}"),
        End::TimedOut => "the relay took too long".to_string(),
        End::Tls(error) => error.to_string(),
    };
    // RFC 3463 §3.5, X.4.2: bad connection.
    let broken = Outcome::ours(Status::new(Class::Transient, 4, 2), words);
    if let Some(outcomes) = session.break_off(&broken) {
        handing.outcomes.extend(outcomes);
    }
    let rest = handing.broken.unwrap_or(broken);
    handing.outcomes.resize(prepared.recipients.len(), rest);
    handing.outcomes
}

/// Answers the session: the message to as many recipients at a time as every server takes, then the
/// end.
struct Handing<'a> {
    sys: &'a Sys,
    place: SocketAddr,
    mail: &'a Sendmail,
    prepared: &'a Prepared,
    outcomes: Vec<Outcome>,
    /// What holds for all that were not tried.
    broken: Option<Outcome>,
}

impl Handing<'_> {
    fn next(&self) -> Answer {
        let rest = self.prepared.recipients.get(self.outcomes.len()..).unwrap_or_default();
        if rest.is_empty() {
            return Answer::Quit;
        }
        let forward = |to: &Address| Forward {
            to: to.clone(),
            orcpt: String::new(),
            notify: self.mail.notify,
        };
        let from = self.mail.sender();
        let utf8 = self.prepared.utf8 || from.as_ref().is_some_and(|from| !from.is_ascii());
        Answer::Send(Box::new(Outgoing {
            from,
            to: rest.iter().take(limits::SENDMAIL_TRANSACTION).map(forward).collect(),
            size: self.prepared.octets.len() as u64,
            eight_bit: !self.prepared.octets.is_ascii(),
            utf8,
            ret_headers: self.mail.ret_headers,
            envid: self.mail.envid.clone(),
        }))
    }
}

impl Handler<Session> for Handing<'_> {
    async fn answer(&mut self, ask: Ask) -> Answer {
        match ask {
            Ask::Next(_) => self.next(),
            Ask::Chunk(offset) => {
                let rest = usize::try_from(offset).ok().and_then(|o| self.prepared.octets.get(o..));
                let rest = rest.unwrap_or_default();
                match rest.get(..limits::CHUNK_BYTES).unwrap_or(rest) {
                    [] => Answer::Abort,
                    chunk => Answer::Chunk(chunk.to_vec()),
                }
            }
            Ask::Report(outcomes, _) => {
                self.outcomes.extend(outcomes);
                Answer::Noted
            }
            // Nobody logs in at their own relay from the machine it runs on.
            Ask::Stretch(_) => Answer::Stretched(None),
            Ask::LoggedIn(..) => Answer::Noted,
            Ask::Unusable(outcome) => {
                self.broken = Some(outcome);
                Answer::Noted
            }
        }
    }

    async fn upgrade(&mut self, plain: Box<dyn Stream>) -> Result<Box<dyn Stream>, TlsError> {
        let name = self.place.ip().to_string();
        self.sys.tls.connect(plain, &name, Trust::Opportunistic).await
    }
}

/// Tell what was not taken, in the relay's own words, and how to exit.
fn report(
    recipients: &[Address],
    outcomes: &[Outcome],
    terminal: &mut Terminal<'_>,
) -> io::Result<u8> {
    let class = |wanted: Class| outcomes.iter().any(|o| o.status.class == wanted);
    for (to, outcome) in recipients.iter().zip(outcomes) {
        if outcome.status.class != Class::Success {
            let words = super::show::plain(&outcome.text);
            terminal.complain(&format!("sendmail: {to}: {words}"))?;
        }
    }
    // "Try again" must not send a second copy to those whose copy was taken.
    let taken = class(Class::Success);
    Ok(match (class(Class::Permanent), class(Class::Transient)) {
        (false, false) => exit::OK,
        (false, true) if !taken => exit::TRY_AGAIN,
        // RFC 3463 §3.7: the content is the trouble.
        _ if !taken && outcomes.iter().all(|o| o.status.subject() == 6) => exit::DATA,
        _ => exit::UNAVAILABLE,
    })
}
