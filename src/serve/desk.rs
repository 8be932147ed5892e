//! The relay as its page and its command line see it: answers what [`Office`] asks.

use super::{
    board::Keeper,
    control::Control,
    devices,
    intake::{Intake, Source},
    lane, openness,
    receive::path,
    relay::{Relay, Taken},
    sign_ins::SignIns,
    trial::Trials,
    vitals,
    web::office::{
        Action, AdminLogin, AdminState, Advice, Apply, Begun, Chart, Counts, DeviceRow, Door,
        Event, FindingRow, Keys, Last, LogLine, LogPart, Message, Office, Page, Problem,
        PublishRow, QueuePage, Queued, RecipientRow, RecipientState, Row, Scope, SettingRow,
        SignInHow, SignInRow, Spool, State, Status, TranscriptRow, TrialAsked, TrialPart,
        UserChange, Which,
    },
};
use crate::{
    limits,
    proto::{
        mail::{address::Address, mime},
        smtp::client::{Outgoing, Reporter, Takes},
        status::{Class, Outcome},
    },
    relay::{
        admit::{Refusal, Who},
        deliver::{self, Chunkless, Freight, Note, Way},
        doctor::{self, Finding},
        envelope::{Envelope, Id, Notify, Octets, Progress, Recipient},
        queue::{self, Item},
        refusal,
        route::{self, Destination, Hop, Whence},
        trace::{self, Dated},
        transcripts::Transcript,
    },
    sys::Pending,
    time::{Instant, Wall},
};
use std::{cell::Cell, io, net::IpAddr, rc::Rc, time::Duration};

/// The relay behind its page.
pub struct Desk {
    relay: Rc<Relay>,
    control: Rc<Control>,
    sign_ins: Rc<SignIns>,
    trials: Trials,
    keeper: Keeper,
}

impl Desk {
    /// For this relay.
    pub fn new(relay: Rc<Relay>, control: Rc<Control>, keeper: Keeper) -> Desk {
        let sign_ins = Rc::new(SignIns::new(relay.clone()));
        Desk { relay, control, sign_ins, trials: Trials::default(), keeper }
    }

    /// `None` where it has gone meanwhile. What the flash does not give back is shown all the same:
    /// a person must be able to see it and to drop it.
    async fn row(&self, id: Id, item: Item) -> Option<(Row, Envelope, Progress, String)> {
        let now = self.relay.sys.clock.now();
        let (state, next) = match item.state {
            queue::State::Held => (State::Held, None),
            queue::State::Sending => (State::Sending, None),
            queue::State::Parked => (State::Due, Some(Duration::ZERO)),
            queue::State::Waiting(at) if at <= now => (State::Due, Some(Duration::ZERO)),
            queue::State::Waiting(at) => (State::Waiting, Some(at.since(now))),
        };
        let (envelope, progress) = match self.relay.load(id).await {
            Ok(loaded) => loaded,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => return Some(unreadable(id, item, (state, next), &error)),
        };
        let body = self.relay.spool.body(id).await;
        let head = match &body {
            Ok(body) => body.chunk(0).await.unwrap_or_default(),
            Err(_) => Vec::new(),
        };
        let owed: Vec<usize> = progress.owed().collect();
        let to = owed.iter().filter_map(|n| envelope.recipients.get(*n)).map(|r| r.to.to_string());
        let row = Row {
            id,
            from: envelope.from.as_ref().map_or(String::new(), ToString::to_string),
            to: to.take(limits::WEB_RECIPIENTS).collect(),
            size: item.size,
            state,
            attempts: progress.attempts,
            arrived: envelope.arrived,
            next,
            reason: reason(&progress, &owed, item.offline > 0),
            subject: mime::subject(&head),
        };
        let end = head.windows(4).position(|w| w == b"\r\n\r\n").map_or(head.len(), |at| at + 2);
        let end = end.min(limits::WEB_HEADER_BYTES);
        let text = String::from_utf8_lossy(&head[..end]).into_owned();
        Some((row, envelope, progress, text))
    }

    async fn act_on(&self, id: Id, action: Action) -> Result<bool, String> {
        let relay = &self.relay;
        let item = relay.queue.item(id).ok_or_else(|| format!("no message {id} in the queue"))?;
        let Some(taken) = Taken::take(relay, id) else {
            return if action == Action::Retry {
                Ok(true)
            } else {
                Err(format!(
                    "{id} is on its way at this moment; try again when the attempt is over"
                ))
            };
        };
        let held = item.state == queue::State::Held;
        let now = relay.sys.clock.now();
        let due = queue::State::Waiting(now);
        // Where it cannot be read, it can be dropped all the same.
        let loaded = relay.load(id).await;
        let message_id = loaded.as_ref().map_or("", |(envelope, _)| &envelope.message_id);
        let event = |kind| trace::Event::of(kind, id, message_id);
        let kind = match action {
            Action::Retry | Action::Release if !held => "retried",
            Action::Retry | Action::Release => "released",
            Action::Hold => "held",
            Action::Drop => "dropped",
        };
        let fault = |error: &io::Error| format!("the spool could not be written: {error}");
        match action {
            Action::Drop => {
                relay.spool.done(id).await.map_err(|error| fault(&error))?;
                taken.forget();
            }
            Action::Hold | Action::Retry | Action::Release => {
                let holding = action == Action::Hold;
                if holding != held {
                    let (_, progress) = loaded.as_ref().map_err(fault)?;
                    let progress = Progress { held: holding, ..progress.clone() };
                    relay.spool.settle(id, &progress).await.map_err(|error| fault(&error))?;
                    relay.queue.settled(id);
                }
                taken.put(if holding { queue::State::Held } else { due });
            }
        }
        relay.tell(event(kind));
        Ok(true)
    }

    /// "Retry all" is made without reading each message: what is held stays held.
    fn hasten_all(&self) -> u64 {
        let hastened = self.relay.hasten_all();
        self.relay.tell(trace::Event::new("retry-all").with("messages", hastened));
        hastened
    }

    async fn send_test(&self, to: &str, from: Option<&str>) -> Result<Id, String> {
        let relay = &self.relay;
        let settings = relay.settings();
        let config = &settings.config;
        let address = |text: &str| {
            Address::parse(text.trim()).map_err(|why| format!("'{text}' is no address: {why}"))
        };
        let to = address(to)?;
        let from = match from.filter(|from| !from.trim().is_empty()) {
            Some(from) => address(from)?,
            None => address(&format!("waypost@{}", config.hostname))?,
        };
        let who = Who { peer: None, user: None, trusted: true };
        let refused = |refusal: Refusal| refusal.reply.to_string();
        let from = settings.policy.mail(&who, Some(&from)).map_err(refused)?;
        let targets = settings.policy.rcpt(&who, &to).map_err(refused)?;
        let recipient = |to| Recipient { to, orcpt: String::new(), notify: Notify::default() };
        let recipients: Vec<Recipient> = targets.into_iter().map(|t| recipient(t.to)).collect();
        let source = Source { who, helo: "page".into(), tls: None, protocol: "HTTP" };
        let addresses: Vec<Address> = recipients.iter().map(|r| r.to.clone()).collect();
        let mut intake = Intake::new(relay, source, from.clone(), &addresses);
        let id = intake.id();
        let text = format!(
            "From: Waypost <{}>\r\nTo: <{to}>\r\nSubject: Test message {id}\r\n\
             MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n\
             This is a test message from the mail relay {}.\r\n\r\n\
             If you can read it, mail gets through. Its number there is {id}.\r\n",
            path(from.as_ref()),
            config.hostname
        );
        intake.append(text.as_bytes()).await;
        let envelope = Envelope { from, recipients, ..Envelope::default() };
        intake.commit(envelope).await.map(|(id, _)| id).map_err(refused)
    }

    fn outward(&self) -> String {
        let config = self.relay.config();
        let anyone = Address::parse("anyone@example.com").expect("a plain address");
        match route::route(&config, &Whence::default(), &anyone) {
            Hop::Remote(Destination { next: route::NextHop::Mx(_), .. }) => {
                "mail straight to each recipient's own server".into()
            }
            Hop::Remote(destination) => format!("mail through {}", lane::account(&destination)),
            Hop::Discard => "mail nowhere: it is thrown away, as its route says".into(),
            Hop::Local(_) | Hop::Push(_) | Hop::Unknown => {
                "mail nowhere: all of it stays here".into()
            }
        }
    }

    async fn queued(&self, now: Instant) -> Queued {
        let (mut queued, first) = vitals::census(&self.relay, now);
        if let Some(id) = first
            && let Ok((_, progress)) = self.relay.load(id).await
        {
            let owed: Vec<usize> = progress.owed().collect();
            let offline = self.relay.queue.item(id).is_some_and(|item| item.offline > 0);
            queued.reason = reason(&progress, &owed, offline);
        }
        queued
    }

    fn last(&self, cell: &Cell<Option<(Instant, Option<Wall>)>>, kinds: &[&str]) -> Option<Last> {
        let (at, _) = cell.get()?;
        let recent = self.relay.history.recent(limits::HISTORY_RECENT);
        let event = recent.into_iter().find(|dated| kinds.contains(&dated.event.kind.as_str()));
        Some(Last {
            ago: self.relay.sys.clock.now().since(at).as_secs(),
            id: event.as_ref().map_or(String::new(), |d| d.event.field("id").to_string()),
            words: event.map_or(String::new(), |d| d.event.words()),
        })
    }

    fn last_trouble(&self) -> Option<Last> {
        let kinds = ["deferred", "failed", "refused", "login-failed", "unsettled", "lost"];
        let recent = self.relay.history.recent(limits::HISTORY_RECENT);
        let dated = recent.into_iter().find(|dated| kinds.contains(&dated.event.kind.as_str()))?;
        Some(Last {
            ago: self.relay.sys.clock.now().since(dated.since).as_secs(),
            id: dated.event.field("id").to_string(),
            words: dated.event.words(),
        })
    }

    /// What is asked about may wait here though its history is lost: a power cut takes the last
    /// seconds of that along, and of mail nothing.
    pub(super) async fn known_of_queue(&self, query: &str) -> Vec<Event> {
        let query = query.trim_matches(['<', '>']).to_lowercase();
        let mut events = Vec::new();
        for (id, item) in self.relay.queue.page(0, limits::TRACE_QUEUE) {
            if events.len() >= limits::TRACE_MESSAGES {
                break;
            }
            let Some((row, envelope, ..)) = self.row(id, item).await else { continue };
            let to: Vec<String> = envelope.recipients.iter().map(|r| r.to.to_string()).collect();
            let about = [&row.from, &envelope.message_id, &envelope.source, &row.subject];
            let mut about = about.into_iter().chain(&to);
            let is_it = id.to_string().to_lowercase() == query
                || about.any(|text| text.to_lowercase().contains(&query));
            if is_it {
                let (source, to) = (&envelope.source, to.join(", "));
                let why = if row.reason.is_empty() { "it was not tried yet" } else { &row.reason };
                events.push(Event {
                    at: row.arrived,
                    id: id.to_string(),
                    event: "waiting".into(),
                    words: format!("Taken from {source} for {to}; it waits in the queue: {why}"),
                    advice: None,
                });
            }
        }
        events
    }

    /// What is wrong, with the file system's room as it is now.
    async fn problems(&self) -> Vec<Problem> {
        self.relay.spool.ask_room().await;
        let mut problems = self.control.problems();
        problems.append(&mut vitals::problems(&self.relay));
        problems.extend(self.keeper.troubles(&self.relay.sys).await);
        problems
    }

    async fn look(&self) -> Vec<Problem> {
        let relay = &self.relay;
        let config = relay.config();
        let mut problems = self.problems().await;
        let mut add = |key: String, words: String| problems.push(Problem { key, words });
        // Reserved for such use, RFC 2606 §3; any answer at all will do.
        if let Err(trouble) = relay.resolver.exchangers("example.com", false).await
            && !trouble.contact
        {
            add("dns".into(), format!("No name server answers: {}", trouble.outcome.text));
        }
        for (n, destination) in route::smarthosts(&config) {
            let chunkless = Chunkless::default();
            let way = Way { policies: None, ..relay.way(&config, &chunkless) };
            let words = lane::words(&destination);
            let mut visitor = Knock;
            let knock = async {
                let destination = match &destination.grant {
                    Some(grant) => {
                        let token = relay.grants.token(&relay.asking(), grant).await;
                        destination.with_token(&token.map_err(|missing| missing.outcome)?.text)
                    }
                    None => destination,
                };
                let knock = deliver::deliver(&way, &destination, &mut visitor).await;
                knock.map_err(|failure| failure.outcome)
            };
            match relay.sys.within(limits::KNOCK_WAIT, knock).await {
                Some(Ok(())) => {}
                Some(Err(Outcome { by, text, .. })) => {
                    let said = if by.is_empty() { text } else { format!("{by} said: {text}") };
                    add(format!("routes[{n}]"), format!("{words} cannot be used: {said}"));
                }
                None => add(format!("routes[{n}]"), format!("{words} does not answer in time")),
            }
        }
        problems
    }

    async fn whole_status(&self) -> Status {
        let relay = &self.relay;
        let now = relay.sys.clock.now();
        let config = relay.config();
        let problems = self.problems().await;
        let usage = relay.spool.usage();
        let door = |(service, address): (super::listen::Service, std::net::SocketAddr)| Door {
            service: service.key().into(),
            address: address.to_string(),
        };
        Status {
            version: env!("CARGO_PKG_VERSION").into(),
            hostname: config.hostname.clone(),
            now: relay.sys.clock.wall(),
            uptime: Duration::from_millis(now.0),
            queued: self.queued(now).await,
            last_in: self.last(&relay.figures.last_in, &["accepted"]),
            last_out: self.last(&relay.figures.last_out, &["delivered"]),
            last_trouble: self.last_trouble(),
            counts: Counts {
                received: relay.figures.accepted.get(),
                delivered: relay.figures.delivered.get(),
                bounced: relay.figures.failed.get(),
                refused: relay.figures.refused.get(),
            },
            spool: Spool { used: usage.used, most: usage.room, file_system: usage.file_system },
            memory: relay.sys.tasks.memory(),
            flash: vitals::flash(relay),
            taking: vitals::is_taking(relay).is_ok(),
            listening: self.control.listening().into_iter().map(door).collect(),
            addresses: self.control.own_addresses(),
            trusted: relay.settings().policy.trusted().iter().map(ToString::to_string).collect(),
            outward: self.outward(),
            problems,
        }
    }
}

impl Office for Desk {
    fn status(&self) -> Pending<'_, Status> {
        Box::pin(self.whole_status())
    }

    fn doctor<'a>(&'a self, domain: &'a str) -> Pending<'a, Result<Vec<FindingRow>, String>> {
        Box::pin(async move {
            let relay = &self.relay;
            let config = relay.config();
            let way = doctor::Way {
                sys: &relay.sys,
                resolver: &relay.resolver,
                config: &config,
                keyring: &relay.keyring,
            };
            let looking = Box::pin(doctor::examine(&way, domain));
            let found = relay.sys.within(limits::DOCTOR_WAIT, looking).await;
            let found = found.ok_or("the name servers take too long")??;
            Ok(found.into_iter().map(finding_row).collect())
        })
    }

    fn queue(&self, page: Page) -> Pending<'_, QueuePage> {
        Box::pin(async move {
            let offset = usize::try_from(page.offset).unwrap_or(usize::MAX);
            let mut rows = Vec::new();
            for (id, item) in self.relay.queue.page(offset, page.limit) {
                rows.extend(self.row(id, item).await.map(|(row, ..)| row));
            }
            QueuePage { total: self.relay.queue.len() as u64, rows }
        })
    }

    fn message(&self, id: Id) -> Pending<'_, Option<Message>> {
        Box::pin(async move {
            let item = self.relay.queue.item(id)?;
            let (row, envelope, progress, header) = self.row(id, item).await?;
            let recipients = envelope.recipients.iter().zip(&progress.outcomes).map(recipient_row);
            Some(Message {
                row,
                recipients: recipients.collect(),
                source: envelope.source,
                message_id: envelope.message_id,
                header,
            })
        })
    }

    fn act(&self, which: Which, action: Action) -> Pending<'_, Result<u64, String>> {
        Box::pin(async move {
            match (which, action) {
                (Which::One(id), _) => {
                    if matches!(action, Action::Retry | Action::Release) {
                        self.relay.urgent.raise();
                    }
                    self.act_on(id, action).await.map(u64::from)
                }
                (Which::All, Action::Retry) => Ok(self.hasten_all()),
                (Which::All, _) => {
                    let mut done = 0;
                    for id in self.relay.queue.ids() {
                        done += u64::from(self.act_on(id, action).await.unwrap_or(false));
                    }
                    Ok(done)
                }
            }
        })
    }

    fn trace<'a>(&'a self, query: &'a str) -> Pending<'a, Vec<Event>> {
        Box::pin(async move {
            let relay = &self.relay;
            let found = relay.history.find(&relay.sys, query, limits::WEB_EVENTS).await;
            let mut found = found.unwrap_or_else(|_| relay.history.find_recent(query));
            if found.is_empty() {
                let words = relay.history.search(&relay.sys, query, limits::WEB_EVENTS);
                found = words.await.unwrap_or_default();
            }
            if found.is_empty() {
                return self.known_of_queue(query).await;
            }
            found.iter().map(event).collect()
        })
    }

    fn recent(&self, limit: usize, until: Option<u64>) -> Pending<'_, Vec<Event>> {
        Box::pin(async move {
            let relay = &self.relay;
            let found = match until {
                Some(until) => relay.history.until(&relay.sys, Wall(until), limit).await,
                None => Ok(relay.history.recent(limit)),
            };
            found.unwrap_or_default().iter().map(event).collect()
        })
    }

    fn octets(&self, id: Id) -> Pending<'_, Option<Rc<dyn Octets>>> {
        Box::pin(async move {
            self.relay.queue.item(id)?;
            let body = self.relay.spool.body(id).await.ok()?;
            Some(Rc::new(body) as Rc<dyn Octets>)
        })
    }

    fn devices(&self) -> Pending<'_, Vec<DeviceRow>> {
        Box::pin(devices::rows(&self.relay))
    }

    fn forget_device(&self, address: IpAddr) {
        self.relay.clients.forget(address);
    }

    fn transcripts(&self, id: Id) -> Vec<TranscriptRow> {
        let kept = self.relay.transcripts.of(id).into_iter();
        kept.map(|Transcript { at, text, .. }| TranscriptRow { at, text }).collect()
    }

    fn begin_trial(&self, asked: TrialAsked) -> Result<u64, Vec<Problem>> {
        self.trials.begin(&self.relay, &self.control, &asked)
    }

    fn trial(&self, number: u64, since: usize) -> Pending<'_, Option<TrialPart>> {
        Box::pin(self.trials.part(&self.relay, number, since))
    }

    fn open_relay(&self) -> Vec<FindingRow> {
        openness::examine(&self.relay, &self.control.listening())
    }

    fn log(&self, after: u64) -> Pending<'_, LogPart> {
        Box::pin(async move {
            let (lines, last) = self.relay.history.after(&self.relay.sys, after).await;
            let line = |dated: Dated| LogLine { at: dated.at, text: dated.event.to_string() };
            LogPart { lines: lines.into_iter().map(line).collect(), last }
        })
    }

    fn whole_log(&self) -> Pending<'_, String> {
        Box::pin(async {
            let text = self.relay.history.text(&self.relay.sys).await;
            text.unwrap_or_else(|error| format!("the history cannot be read: {error}\n"))
        })
    }

    fn chart(&self) -> Chart {
        self.relay.count_up();
        let wall = self.relay.sys.clock.wall();
        let tally = &self.relay.tally;
        Chart { hours: tally.hours(wall), days: tally.days(wall) }
    }

    fn previous(&self) -> Option<String> {
        self.control.previous()
    }

    fn undo(&self) -> Pending<'_, Result<(), Vec<Problem>>> {
        Box::pin(self.control.undo())
    }

    fn backup<'a>(&'a self, password: &'a str) -> Pending<'a, Result<Vec<u8>, String>> {
        Box::pin(self.control.backup(password))
    }

    fn restore<'a>(
        &'a self,
        file: &'a [u8],
        password: &'a str,
    ) -> Pending<'a, Result<(), Vec<Problem>>> {
        Box::pin(self.control.put_back(file, password))
    }

    fn is_board(&self) -> bool {
        self.keeper.socket.is_some()
    }

    fn board<'a>(&'a self, question: &'a str) -> Pending<'a, Option<Result<String, String>>> {
        Box::pin(self.keeper.ask(&self.relay.sys, question))
    }

    fn update_part(&self, at: u64, octets: Vec<u8>) -> Pending<'_, Result<(), String>> {
        Box::pin(self.keeper.update_part(&self.relay.sys, at, octets))
    }

    fn forget_update(&self) -> Pending<'_, ()> {
        Box::pin(self.keeper.forget_update(&self.relay.sys))
    }

    fn scope(&self, token: &str) -> Option<Scope> {
        self.control.scope(token)
    }

    fn make_token<'a>(
        &'a self,
        name: &'a str,
        scope: Scope,
    ) -> Pending<'a, Result<String, String>> {
        Box::pin(self.control.make_token(name, scope))
    }

    fn document(&self) -> String {
        self.control.document()
    }

    fn apply<'a>(&'a self, document: &'a str, how: Apply) -> Pending<'a, Result<(), Vec<Problem>>> {
        Box::pin(self.control.apply(document, how))
    }

    fn check(&self) -> Pending<'_, Vec<Problem>> {
        Box::pin(self.look())
    }

    fn settings(&self) -> Vec<SettingRow> {
        self.control.settings()
    }

    fn test<'a>(&'a self, to: &'a str, from: Option<&'a str>) -> Pending<'a, Result<Id, String>> {
        Box::pin(self.send_test(to, from))
    }

    fn user<'a>(&'a self, name: &'a str, change: UserChange) -> Pending<'a, Result<(), String>> {
        Box::pin(self.control.user(name, change))
    }

    fn keys(&self) -> Keys {
        self.control.keys()
    }

    fn make_keys<'a>(
        &'a self,
        domain: &'a str,
        selector: &'a str,
    ) -> Pending<'a, Result<Keys, String>> {
        Box::pin(self.control.make_keys(domain, selector))
    }

    fn retire_keys<'a>(
        &'a self,
        domain: &'a str,
        selector: &'a str,
    ) -> Pending<'a, Result<Keys, String>> {
        Box::pin(self.control.retire_keys(domain, selector))
    }

    fn sign_ins(&self) -> Vec<SignInRow> {
        self.sign_ins.rows()
    }

    fn begin_sign_in(&self, route: usize, how: SignInHow) -> Pending<'_, Result<Begun, String>> {
        Box::pin(self.sign_ins.begin(route, how))
    }

    fn finish_sign_in<'a>(&'a self, text: &'a str) -> Pending<'a, Result<String, String>> {
        Box::pin(self.sign_ins.finish(text))
    }

    fn admin(&self) -> AdminState {
        self.control.admin()
    }

    fn set_admin<'a>(&'a self, password: &'a str) -> Pending<'a, Result<(), String>> {
        Box::pin(self.control.set_admin(password))
    }

    fn check_admin<'a>(
        &'a self,
        peer: Option<IpAddr>,
        password: &'a str,
    ) -> Pending<'a, AdminLogin> {
        Box::pin(self.control.check_admin(peer, password))
    }

    fn hosts(&self) -> Vec<String> {
        vec![self.relay.config().hostname.clone()]
    }

    fn renew(&self) -> Pending<'_, ()> {
        Box::pin(self.control.renew_certificate())
    }

    fn health(&self) -> Result<(), String> {
        vitals::is_taking(&self.relay)
    }

    fn metrics(&self) -> Pending<'_, String> {
        Box::pin(async move {
            self.relay.spool.ask_room().await;
            vitals::metrics(&self.relay, &self.control)
        })
    }
}

/// The row of a message that cannot be read.
fn unreadable(
    id: Id,
    item: Item,
    (state, next): (State, Option<Duration>),
    error: &io::Error,
) -> (Row, Envelope, Progress, String) {
    let row = Row {
        id,
        from: String::new(),
        to: Vec::new(),
        size: item.size,
        state,
        attempts: 0,
        arrived: item.arrived,
        next,
        reason: format!("it cannot be read: {error}"),
        subject: String::new(),
    };
    (row, Envelope::default(), Progress::default(), String::new())
}

/// A visit without a message: does the server let us in?
struct Knock;

impl Freight for Knock {
    fn next(&mut self, _takes: Takes) -> Pending<'_, Option<Outgoing>> {
        Box::pin(std::future::ready(None))
    }
    fn chunk(&mut self, _offset: u64) -> Pending<'_, io::Result<Vec<u8>>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }
    fn report(&mut self, _outcomes: Vec<Outcome>, _reporter: Reporter) -> Pending<'_, ()> {
        Box::pin(std::future::ready(()))
    }
    fn note(&mut self, _note: Note) {}
}

fn finding_row(finding: Finding) -> FindingRow {
    let publish = finding.publish.map(|publish| PublishRow {
        zone: publish.to_string(),
        name: publish.name,
        kind: publish.kind.into(),
        value: publish.value,
    });
    let (about, verdict) = (finding.about.into(), finding.verdict.word().into());
    FindingRow { about, verdict, words: finding.words, publish }
}

/// Why a message is still here, in words, with the remote's own.
fn reason(progress: &Progress, owed: &[usize], offline: bool) -> String {
    let last = owed.iter().find_map(|n| progress.outcomes.get(*n)?.as_ref());
    let Some(last) = last else { return String::new() };
    let said = if last.by.is_empty() { String::new() } else { format!("{} said: ", last.by) };
    let line = if offline { " (nobody outside could be reached)" } else { "" };
    let advice = match refusal::advice(last) {
        "" => String::new(),
        advice => format!(" — {advice}"),
    };
    format!("{said}{}{line}{advice}", last.text)
}

fn recipient_row((recipient, outcome): (&Recipient, &Option<Outcome>)) -> RecipientRow {
    let class = outcome.as_ref().map(|o| o.status.class);
    RecipientRow {
        to: recipient.to.to_string(),
        state: match class {
            Some(Class::Success) => RecipientState::Delivered,
            Some(Class::Permanent) => RecipientState::Failed,
            Some(Class::Transient) | None => RecipientState::Waiting,
        },
        status: outcome.as_ref().map_or(String::new(), |o| o.status.to_string()),
        by: outcome.as_ref().map_or(String::new(), |o| o.by.clone()),
        words: outcome.as_ref().map_or(String::new(), |o| o.text.clone()),
        advice: outcome.as_ref().and_then(|o| advised(&o.text, o.status.class)),
    }
}

/// What can be done about what was said, where more can be told than that.
fn advised(said: &str, class: Class) -> Option<Advice> {
    refusal::explained(said, class).map(|(words, source)| Advice { words, source })
}

fn event(dated: &Dated) -> Event {
    let class = match dated.event.kind.as_str() {
        "deferred" => Class::Transient,
        "failed" => Class::Permanent,
        _ => Class::Success,
    };
    Event {
        advice: advised(dated.event.field("reply"), class),
        at: dated.at,
        id: dated.event.field("id").to_string(),
        event: dated.event.kind.clone(),
        words: dated.event.words(),
    }
}
