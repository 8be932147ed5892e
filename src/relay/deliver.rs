//! One delivery run: to the mail servers of a destination, the first that can be used, with all
//! messages that wait for it. RFC 5321 §5.1.
//!
//! What goes wrong before a server is ready for mail makes the next address be tried; [`Failure`]
//! says what became of all of them. From then on every message has outcomes of its own, and there
//! is no second server: one that has said 4yz to a message may be repeated later, never sooner (RFC
//! 5321 §4.5.4.1).

mod chunkless;
mod demand;

pub use chunkless::Chunkless;
pub use demand::By;

use crate::{
    config::Family,
    drive::{End, Handler, drive},
    limits,
    proto::{
        sasl::Mechanism,
        smtp::{
            client::{
                Answer, Ask, Chunking, LoginPlan, Outgoing, Plan, Reporter, Security, Session,
                Spoken, Takes,
            },
            reply::one_line,
        },
        status::{Class, Outcome, Status},
    },
    relay::{
        refusal::{self, At, waits_for_a_person},
        resolve::{Resolver, Trouble, is_inside},
        route::{Destination, NextHop},
        sts::Policies,
    },
    sys::{Pending, Stream, Sys, TlsError, TlsFacts},
};
use demand::Demand;
use std::{
    io,
    net::{IpAddr, SocketAddr},
};

/// The messages of one run, and who hears of them.
pub trait Freight {
    /// The next message for this destination, `None` where there are no more; its server takes
    /// these. Its recipients are all reported before the next one is asked for.
    fn next(&mut self, takes: Takes) -> Pending<'_, Option<Outgoing>>;
    /// Octets of the current message from `offset`, at least 1 and at most [`limits::CHUNK_BYTES`].
    fn chunk(&mut self, offset: u64) -> Pending<'_, io::Result<Vec<u8>>>;
    /// What became of the current message: one outcome a recipient, in order. Called once a
    /// message. `reporter`: who sends the reports about those that were taken.
    fn report(&mut self, outcomes: Vec<Outcome>, reporter: Reporter) -> Pending<'_, ()>;
    /// For the trace.
    fn note(&mut self, note: Note);
}

/// What happened on the way. Hosts read `mx.example.org [192.0.2.1]:25`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// These are the addresses of this host.
    Found(String, Vec<IpAddr>),
    /// Something was said.
    Spoke(Spoken),
    /// There is a connection to this host.
    Connected(String),
    /// What a domain, or a server, demands of the way to it.
    Policy {
        /// Whose it is.
        of: String,
        /// How it is said.
        by: By,
        /// In words.
        says: String,
    },
    /// It is encrypted, as was demanded.
    Encrypted(String, TlsFacts, By),
    /// It could not be encrypted as was demanded, or hoped for: how that is called in reports (RFC
    /// 8460 §4.3).
    Insecure(By, &'static str),
    /// TLS failed, and nothing demands it: the next connection goes without. RFC 7435.
    InClear(String, TlsError),
    /// We are logged in there by this mechanism, after these came to nothing.
    LoggedIn(String, Mechanism, Vec<Mechanism>),
    /// This host could not be used; the next one is tried.
    Skipped(String, Outcome),
}

/// What a run needs to know of the world and of ourselves.
#[derive(Clone, Copy)]
pub struct Way<'a> {
    /// The world.
    pub sys: &'a Sys,
    /// Names to addresses.
    pub resolver: &'a Resolver,
    /// Our name, for EHLO.
    pub hostname: &'a str,
    /// Port for deliveries by MX.
    pub port: u16,
    /// IPv6 addresses are used.
    pub ipv6: bool,
    /// Mechanisms that came to nothing at this destination before: they come last.
    pub without: &'a [Mechanism],
    /// Servers that BDAT is not used with.
    pub chunkless: &'a Chunkless,
    /// What domains demand; `None`: that is not heeded.
    pub policies: Option<&'a Policies>,
}

/// No server could be used. It is about every message that waits for the destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What became of them. Permanent where the domain or all its servers take no mail.
    pub outcome: Outcome,
    /// Somebody out there answered, if only to refuse. Where it is `false` we may be offline, and
    /// this attempt is not held against a message (DESIGN §1, promise 7).
    pub contact: bool,
}

/// Deliver what `freight` has for `destination`.
///
/// At most [`limits::DELIVERY_ADDRESSES`] addresses are tried. `Ok` where a server was ready for
/// mail: all messages that were taken from `freight` were reported, those that were not may be
/// tried again at once.
///
/// # Errors
/// No server could be used; no message was taken from `freight`.
pub async fn deliver(
    way: &Way<'_>,
    destination: &Destination,
    freight: &mut dyn Freight,
) -> Result<(), Failure> {
    let hosts = match &destination.next {
        NextHop::Mx(domain) => way.resolver.exchangers(domain, way.ipv6).await?,
        NextHop::Smarthost(host, _) => vec![host.clone()],
    };
    let mut run = Run { way, destination, freight, tally: Tally::default() };
    let policy = run.policy().await;
    let mut tried = 0;
    for host in &hosts {
        let addresses = match way.resolver.addresses(host, way.ipv6).await {
            Ok(addresses) => addresses,
            Err(trouble) => {
                run.tally.contact |= trouble.contact;
                run.skip(host.clone(), trouble.outcome);
                continue;
            }
        };
        run.freight.note(Note::Found(host.clone(), addresses.clone()));
        let family = destination.family;
        let fits = |address: &IpAddr| match family {
            Family::Both => true,
            Family::V4 => address.is_ipv4(),
            Family::V6 => address.is_ipv6(),
            Family::From(ours) => address.is_ipv4() == ours.is_ipv4(),
        };
        if !addresses.iter().any(fits) {
            let is_four = match family {
                Family::From(ours) => ours.is_ipv4(),
                family => family == Family::V4,
            };
            let word = if is_four { "IPv4" } else { "IPv6" };
            let text = format!("{host} has no {word} address, and its route wants one");
            run.tally.contact = true;
            run.skip(host.clone(), Outcome::ours(Status::new(Class::Transient, 4, 4), text));
            continue;
        }
        let demand = match run.demand(host, policy.as_deref()).await {
            Ok(demand) => demand,
            Err(outcome) => {
                run.skip(host.clone(), outcome);
                continue;
            }
        };
        for address in addresses.into_iter().filter(fits) {
            if tried == limits::DELIVERY_ADDRESSES {
                return Err(run.tally.failure());
            }
            tried += 1;
            let server = Server { name: host, at: SocketAddr::new(address, run.port()) };
            let Err(outcome) = run.attempt(&server, &demand).await else { return Ok(()) };
            let refused = waits_for_a_person(&outcome);
            run.skip(server.for_notes(), outcome);
            if refused {
                // More of the same would look like guessing, and lock the account.
                return Err(run.tally.failure());
            }
        }
    }
    Err(run.tally.failure())
}

/// Who answers at a destination, as far as refusals go.
pub fn server(destination: &Destination) -> refusal::Server {
    match destination.next {
        NextHop::Mx(_) => refusal::Server::Exchanger,
        NextHop::Smarthost(..) => {
            refusal::Server::Smarthost { login: destination.user().is_some() }
        }
    }
}

impl From<Trouble> for Failure {
    fn from(Trouble { outcome, contact }: Trouble) -> Failure {
        Failure { outcome, contact }
    }
}

/// What became of the servers so far.
#[derive(Default)]
struct Tally {
    contact: bool,
    /// A server will never take mail (521, RFC 7504), or so it says.
    never: Option<Outcome>,
    /// A server spoke, and said later.
    later: Option<Outcome>,
    /// There was nobody to speak with.
    silent: Option<Outcome>,
}

impl Tally {
    fn add(&mut self, outcome: Outcome) {
        let place = match outcome.status.class {
            Class::Permanent => &mut self.never,
            _ if outcome.status.subject() == 4 => &mut self.silent,
            _ => &mut self.later,
        };
        *place = Some(outcome);
    }

    /// Permanent only where every server said so; else the words of one that spoke tell more than
    /// silence.
    fn failure(self) -> Failure {
        let outcome = self.later.or(self.silent).or(self.never).unwrap_or_else(|| {
            Outcome::ours(Status::new(Class::Transient, 4, 4), "there is no server to try")
        });
        Failure { outcome, contact: self.contact }
    }
}

/// One address of one server.
struct Server<'a> {
    name: &'a str,
    at: SocketAddr,
}

impl Server<'_> {
    /// `mx.example.org [192.0.2.1]`.
    fn for_outcomes(&self) -> String {
        let address = self.at.ip();
        if self.name == address.to_string() {
            return format!("[{address}]");
        }
        format!("{} [{address}]", self.name)
    }

    fn for_notes(&self) -> String {
        format!("{}:{}", self.for_outcomes(), self.at.port())
    }

    fn trouble(&self, detail: u16, text: &str) -> Outcome {
        let status = Status::new(Class::Transient, 4, detail);
        Outcome::ours(status, one_line(&format!("{}: {text}", self.for_outcomes())))
    }
}

/// How one session ended.
enum Ended {
    /// It was ready for mail.
    Used,
    /// It was not.
    Unusable(Outcome),
    /// It was not, by TLS.
    Tls(TlsError),
    /// It was not: the connection broke while it was encrypted by an engine that not every server
    /// gets on with once the handshake is over. There is another engine.
    Broken(Outcome),
}

struct Run<'a> {
    way: &'a Way<'a>,
    destination: &'a Destination,
    freight: &'a mut dyn Freight,
    tally: Tally,
}

impl Run<'_> {
    fn port(&self) -> u16 {
        match self.destination.next {
            NextHop::Mx(_) => self.way.port,
            NextHop::Smarthost(_, port) => port,
        }
    }

    fn login(&self, server: &Server<'_>) -> Option<Box<LoginPlan>> {
        let dice = &self.way.sys.dice;
        Some(Box::new(LoginPlan {
            login: self.destination.login.clone()?,
            without: self.way.without.to_vec(),
            server: (server.name.to_string(), server.at.port()),
            chance: [dice.roll(), dice.roll()],
        }))
    }

    fn may_speak_in_clear(&self) -> bool {
        self.destination.login.as_ref().is_none_or(|login| login.in_clear)
    }

    fn skip(&mut self, host: String, outcome: Outcome) {
        self.freight.note(Note::Skipped(host, outcome.clone()));
        self.tally.add(outcome);
    }

    /// At most three connections to one address: with one TLS engine, with the other, without TLS
    /// where there is no password to be overheard.
    async fn attempt(&mut self, server: &Server<'_>, demand: &Demand) -> Result<(), Outcome> {
        let mut demand = demand.clone();
        let mut other_engine = false;
        loop {
            match self.session(server, &demand).await {
                Ended::Used => return Ok(()),
                Ended::Tls(TlsError::OtherEngine(_)) | Ended::Broken(_) if !other_engine => {
                    other_engine = true;
                }
                Ended::Unusable(outcome) | Ended::Broken(outcome) => return Err(outcome),
                Ended::Tls(error)
                    if demand.security == Security::May && self.may_speak_in_clear() =>
                {
                    self.freight.note(Note::Insecure(demand.by, fault(&error)));
                    self.freight.note(Note::InClear(server.for_notes(), error));
                    demand.security = Security::None;
                }
                Ended::Tls(error) => {
                    self.freight.note(Note::Insecure(demand.by, fault(&error)));
                    let status = Status::new(Class::Transient, 7, 5);
                    let text = one_line(&format!("{}: {error}", server.for_outcomes()));
                    return Err(Outcome::ours(status, text));
                }
            }
        }
    }

    async fn session(&mut self, server: &Server<'_>, demand: &Demand) -> Ended {
        let sys = self.way.sys;
        let security = demand.security;
        let stream = match self.connect(server).await {
            Ok(stream) => stream,
            Err(outcome) => return Ended::Unusable(outcome),
        };
        let mut session = Session::new(Plan {
            hello: self.way.hostname.to_string(),
            security,
            login: self.login(server),
            host: server.for_outcomes(),
            chunking: if self.way.chunkless.holds(server.at, sys.clock.now()) {
                Chunking::Never
            } else {
                Chunking::Large
            },
        });
        let mut clerk = Clerk {
            sys,
            server,
            destination: self.destination,
            freight: self.freight,
            demand,
            ready: false,
            small_engine: false,
            unusable: None,
            unreadable: None,
        };
        let mut stream = Some(stream);
        if security == Security::Implicit {
            let plain = stream.take().expect("it was just made");
            match sys.within(limits::TLS_WAIT, clerk.upgrade(plain)).await {
                Some(Ok(encrypted)) => stream = Some(encrypted),
                Some(Err(error)) => return Ended::Tls(error),
                None => return Ended::Tls(TlsError::Failed("the handshake took too long".into())),
            }
        }
        let talk = drive(sys, &mut stream, &mut session, &mut clerk);
        let end = sys.within(limits::DELIVERY_WAIT, talk).await.unwrap_or(End::TimedOut);
        // Whoever answers otherwise may be no mail server at all, but a captive portal.
        self.tally.contact |= session.was_greeted();
        if session.is_lost_in_chunks() && clerk.unreadable.is_none() {
            self.way.chunkless.add(server.at, sys.clock.now());
        }
        if session.lacks_tls() {
            clerk.freight.note(Note::Insecure(demand.by, "starttls-not-supported"));
        }
        clerk.close(session, end).await
    }

    async fn connect(&mut self, server: &Server<'_>) -> Result<Box<dyn Stream>, Outcome> {
        let sys = self.way.sys;
        let from = match self.destination.family {
            Family::From(ours) => Some(ours),
            _ => None,
        };
        let connecting = match from {
            Some(ours) => sys.net.connect_from(ours, server.at),
            None => sys.net.connect(server.at),
        };
        match sys.within(limits::CONNECT_WAIT, connecting).await {
            Some(Ok(stream)) => {
                self.freight.note(Note::Connected(server.for_notes()));
                Ok(stream)
            }
            Some(Err(error)) => {
                use io::ErrorKind::{ConnectionRefused, ConnectionReset};
                let answered = matches!(error.kind(), ConnectionRefused | ConnectionReset);
                // Where a captive portal leads all names to itself, it is what refuses.
                let by_mx = matches!(self.destination.next, NextHop::Mx(_));
                self.tally.contact |= answered && !(by_mx && is_inside(server.at.ip()));
                let from = from.map_or_else(String::new, |ours| format!(" from {ours}"));
                Err(server.trouble(1, &format!("no connection{from}: {error}")))
            }
            None => Err(server.trouble(1, "no connection: it took too long")),
        }
    }
}

/// Answers what one session asks.
struct Clerk<'a> {
    sys: &'a Sys,
    server: &'a Server<'a>,
    destination: &'a Destination,
    freight: &'a mut dyn Freight,
    demand: &'a Demand,
    /// The session has asked for mail.
    ready: bool,
    /// It is encrypted by embedded-tls.
    small_engine: bool,
    unusable: Option<Outcome>,
    /// Why the current message could not be read.
    unreadable: Option<io::Error>,
}

impl Handler<Session> for Clerk<'_> {
    async fn answer(&mut self, ask: Ask) -> Answer {
        match ask {
            Ask::Next(takes) => {
                self.ready = true;
                let next = self.freight.next(takes).await;
                next.map_or(Answer::Quit, |message| Answer::Send(Box::new(message)))
            }
            Ask::Chunk(offset) => match self.freight.chunk(offset).await {
                Ok(octets) if !octets.is_empty() => Answer::Chunk(octets),
                Ok(_) => self.abort(io::ErrorKind::UnexpectedEof.into()),
                Err(error) => self.abort(error),
            },
            Ask::Report(outcomes, reporter) => {
                self.report(outcomes, reporter).await;
                Answer::Noted
            }
            Ask::Stretch(work) => Answer::Stretched(self.sys.slow(move || work.run()).await),
            Ask::LoggedIn(mechanism, failed) => {
                self.freight.note(Note::LoggedIn(self.server.for_notes(), mechanism, failed));
                Answer::Noted
            }
            Ask::Unusable(outcome) => {
                self.unusable = Some(self.heard(outcome, At::Session));
                Answer::Noted
            }
        }
    }

    fn overhear(&mut self, session: &mut Session) {
        for spoken in session.take_spoken() {
            self.freight.note(Note::Spoke(spoken));
        }
    }

    async fn upgrade(&mut self, plain: Box<dyn Stream>) -> Result<Box<dyn Stream>, TlsError> {
        let trust = self.demand.trust.clone();
        let encrypted = self.sys.tls.connect(plain, self.server.name, trust).await?;
        let facts = encrypted.tls().unwrap_or_default();
        self.small_engine = facts.engine == "embedded-tls";
        self.freight.note(Note::Encrypted(self.server.for_notes(), facts, self.demand.by));
        Ok(encrypted)
    }
}

impl Clerk<'_> {
    fn abort(&mut self, error: io::Error) -> Answer {
        self.unreadable = Some(error);
        Answer::Abort
    }

    async fn report(&mut self, outcomes: Vec<Outcome>, reporter: Reporter) {
        let heard = |outcome| self.heard(outcome, At::Message);
        let outcomes = outcomes.into_iter().map(heard).collect();
        self.freight.report(outcomes, reporter).await;
    }

    fn heard(&self, outcome: Outcome, at: At) -> Outcome {
        refusal::read(outcome, server(self.destination), at)
    }

    async fn close(mut self, mut session: Session, end: End) -> Ended {
        if let Some(outcome) = self.unusable {
            return Ended::Unusable(outcome);
        }
        let broken = self.small_engine && matches!(&end, End::PeerGone(why) if !why.is_empty());
        let lost = match (&self.unreadable, end) {
            (Some(error), _) => {
                let status = Status::new(Class::Transient, 3, 0);
                Outcome::ours(status, one_line(&format!("the message could not be read: {error}")))
            }
            (None, End::Tls(error)) => return Ended::Tls(error),
            (None, End::TimedOut) => self.server.trouble(2, "the server did not answer in time"),
            (None, End::PeerGone(why)) if !why.is_empty() => {
                self.server.trouble(2, &format!("connection lost: {why}"))
            }
            (None, End::PeerGone(_) | End::Closed) => {
                self.server.trouble(2, "connection lost: the server closed it")
            }
        };
        if let Some(outcomes) = session.break_off(&lost) {
            self.report(outcomes, Reporter::Us).await;
        }
        match self.ready {
            true => Ended::Used,
            false if broken => Ended::Broken(lost),
            false => Ended::Unusable(lost),
        }
    }
}

/// RFC 8460 §4.3.
fn fault(error: &TlsError) -> &'static str {
    match error {
        TlsError::Certificate(_) => "certificate-not-trusted",
        TlsError::OtherEngine(_) | TlsError::Failed(_) => "validation-failure",
    }
}

#[cfg(test)]
mod tests;
