//! Answers a receiving SMTP session: who may, what is kept, and when it is promised.

use super::{
    control::Control,
    flood,
    intake::{Intake, Source},
    listen::Service,
    relay::{Relay, Settings, count},
};
use crate::{
    drive::{End, Handler},
    limits,
    proto::{
        mail::{address::Address, srs::Wrong},
        smtp::server::{Answer, Ask, Dialect, Mail, Rcpt, Session},
        status::{Class, Reply, Status},
    },
    relay::{
        accounts::{Attempt, Login},
        admit::{Refusal, Target, Who},
        clients::{Refused, Visit},
        envelope::{Envelope, Notify, Recipient, Ret},
        spool::Coming,
        trace::Event,
    },
    sys::{Stream, TlsError, TlsFacts},
    time::Instant,
};
use std::rc::Rc;

/// The handler of one session.
pub struct Receive {
    relay: Rc<Relay>,
    control: Rc<Control>,
    service: Service,
    who: Who,
    helo: String,
    tls: Option<TlsFacts>,
    since: Instant,
    failed_logins: u32,
    transaction: Option<Box<Transaction>>,
    /// Octets of a message are coming: the session may finish that when the relay ends.
    in_message: bool,
    /// From and to of the transaction that was just broken off, for what is told of it.
    broken_off: Option<(String, String)>,
}

/// From MAIL to the end of DATA. RFC 5321 §3.3.
struct Transaction {
    mail: Mail,
    from: Option<Address>,
    recipients: Vec<Recipient>,
    intake: Option<Intake>,
    /// Others may wait for it.
    coming: Coming,
}

const FULL: Reply = Reply::new(
    452,
    Status::new(Class::Transient, 3, 1),
    "The relay's spool is full, try again later",
);
const STOPPING: Reply = Reply::new(
    421,
    Status::new(Class::Transient, 3, 2),
    "The relay is being restarted, try again in a moment",
);
/// What a device hears from which nothing is taken.
pub(super) const BLOCKED: Reply =
    Reply::new(554, Status::new(Class::Permanent, 7, 1), "Nothing is taken from your address");
const OLD: Reply = Reply::new(
    421,
    Status::new(Class::Transient, 3, 2),
    "This session has lasted long enough, begin another one",
);

impl Transaction {
    fn paths(&self) -> (String, String) {
        let to: Vec<&str> = self.recipients.iter().map(|r| r.to.as_str()).collect();
        (path(self.from.as_ref()), to.join(","))
    }
}

impl Receive {
    /// For a session of `who`, who has not logged in yet.
    pub fn new(
        relay: Rc<Relay>,
        control: Rc<Control>,
        service: Service,
        who: Who,
        tls: Option<TlsFacts>,
    ) -> Receive {
        let since = relay.sys.clock.now();
        Receive {
            relay,
            control,
            service,
            who,
            helo: String::new(),
            tls,
            since,
            failed_logins: 0,
            transaction: None,
            in_message: false,
            broken_off: None,
        }
    }

    /// The session is over. A person whose mail is missing should find that it was never whole.
    pub fn ended(&mut self, end: &End) {
        if let Some(visit) = self.visit() {
            self.relay.clients.came(&self.relay.sys, visit);
        }
        let reason = match end {
            End::Closed => "the session was closed".into(),
            End::PeerGone(why) if why.is_empty() => "the client hung up".into(),
            End::PeerGone(why) => format!("the connection broke: {why}"),
            End::TimedOut => "the client took too long".into(),
            End::Tls(why) => why.to_string(),
        };
        if let Some(transaction) = self.transaction.take() {
            let (from, to) = transaction.paths();
            let event = match &transaction.intake {
                Some(intake) => {
                    Event::of("broken-off", intake.id(), "").with("size", intake.size())
                }
                None => Event::new("broken-off"),
            };
            let event = self.about(event).with("from", from).with("to", to);
            return self.relay.tell(event.with("reason", reason));
        }
        let kind = match end {
            End::TimedOut => "timed-out",
            End::Tls(_) => "tls-failed",
            End::Closed | End::PeerGone(_) => return,
        };
        self.relay.tell(self.about(Event::new(kind)).with("reason", reason));
    }

    fn peer(&self) -> String {
        self.who.peer.map_or_else(|| "this machine".into(), |peer| peer.to_string())
    }

    fn about(&self, event: Event) -> Event {
        event.with("peer", self.peer()).with("helo", &self.helo)
    }

    /// Who it is, for what is remembered of clients; a program on this machine is none.
    fn visit(&self) -> Option<Visit<'_>> {
        Some(Visit {
            peer: self.who.peer?,
            trusted: self.who.trusted,
            helo: &self.helo,
            tls: self.tls.as_ref().map_or("", |tls| tls.version.as_str()),
            user: self.who.user.as_deref().unwrap_or_default(),
        })
    }

    fn remember_refusal(&self, event: &Event, reply: &Reply, reason: &str) {
        let Some(visit) = self.visit() else { return };
        let (from, to) = (event.field("from").into(), event.field("to").into());
        let refused = Refused { reply: reply.to_string(), reason: reason.into(), from, to };
        self.relay.clients.refused(&self.relay.sys, visit, &refused);
    }

    /// The reply to the peer, and the reason for us. STYLE: never put one into the other.
    fn refuse(&self, event: Event, refusal: Refusal) -> Answer {
        count(&self.relay.figures.refused, 1);
        self.remember_refusal(&event, &refusal.reply, &refusal.reason);
        let event = event.with("reply", &refusal.reply).with("reason", refusal.reason);
        self.relay.tell(self.about(event));
        Answer::Refuse(refusal.reply)
    }

    async fn login(&mut self, user: &str, password: &str) -> Answer {
        const WRONG: Reply =
            Reply::new(535, Status::new(Class::Permanent, 7, 8), "User name or password is wrong");
        const LATER: Reply = Reply::new(
            454,
            Status::new(Class::Transient, 7, 0),
            "Too many failed logins, try again later",
        );
        const ENOUGH: Reply = Reply::new(
            421,
            Status::new(Class::Transient, 7, 0),
            "Too many failed logins in this session",
        );
        let settings = self.relay.settings();
        if settings.policy.rules(self.who.peer).any_login {
            let event = Event::new("login").with("user", user).with("any", "true");
            self.relay.tell(self.about(event));
            return Answer::Accept;
        }
        let config = settings.config;
        let attempt = Attempt { peer: self.who.peer, user, password };
        let refused = match self.relay.accounts.login(&config, attempt).await {
            Login::Welcome(user) => {
                let event = Event::new("login").with("user", &user);
                self.relay.tell(self.about(event));
                self.who.user = Some(user);
                return Answer::Accept;
            }
            Login::Wrong => {
                let event = Event::new("login-failed").with("user", user);
                let reason = "no user of that name has that password".into();
                self.refuse(event, Refusal { reply: WRONG, reason })
            }
            Login::Throttled(wait) => {
                let event = Event::new("login-failed").with("user", user);
                let reason = format!("too many failed logins; next one in {} s", wait.as_secs());
                self.refuse(event, Refusal { reply: LATER, reason })
            }
        };
        self.failed_logins += 1;
        if self.failed_logins < config.limits.login_failures {
            refused
        } else {
            Answer::Close(ENOUGH)
        }
    }

    /// What was true when the session began or logged in may have been changed by a person since.
    fn look_again(&mut self, settings: &Settings) {
        self.who.trusted = settings.policy.is_trusted(self.who.peer);
        let known = |name: &String| settings.config.users.iter().any(|user| user.name == *name);
        self.who.user = self.who.user.take().filter(known);
    }

    fn mail(&mut self, mail: Mail) -> Answer {
        const LOGIN: Reply =
            Reply::new(530, Status::new(Class::Permanent, 7, 0), "Authentication required");
        // RFC 3207 §4.
        const ENCRYPT: Reply =
            Reply::new(530, Status::new(Class::Permanent, 7, 0), "Must issue STARTTLS first");
        self.broken_off = None;
        let settings = self.relay.settings();
        self.look_again(&settings);
        let event = Event::new("refused").with("from", path(mail.from.as_ref()));
        if self.relay.sys.clock.now().since(self.since) >= limits::SESSION_MAIL_WAIT {
            let reason = "the session is old".into();
            self.refuse(event, Refusal { reply: OLD, reason });
            return Answer::Close(OLD);
        }
        let submission = self.service != Service::Smtp;
        let rules = settings.policy.rules(self.who.peer);
        if rules.blocked {
            let reason = format!("{} is blocked by `devices`", self.peer());
            return self.refuse(event, Refusal { reply: BLOCKED, reason });
        }
        if rules.encrypted && self.tls.is_none() {
            let reason = format!("{} must encrypt what it sends, as `devices` says", self.peer());
            return self.refuse(event, Refusal { reply: ENCRYPT, reason });
        }
        if submission && !self.who.trusted && self.who.user.is_none() {
            let reason = settings.policy.no_login(&self.who);
            return self.refuse(event, Refusal { reply: LOGIN, reason });
        }
        if !self.relay.spool.has_room(mail.size.unwrap_or(0)) {
            let reason = "no room in the spool".into();
            return self.refuse(event, Refusal { reply: FULL, reason });
        }
        match settings.policy.mail(&self.who, mail.from.as_ref()) {
            Ok(from) => {
                let recipients = Vec::new();
                let coming = self.relay.spool.expect();
                let transaction = Transaction { mail, from, recipients, intake: None, coming };
                self.transaction = Some(Box::new(transaction));
                Answer::Accept
            }
            Err(refusal) => self.refuse(event, refusal),
        }
    }

    fn rcpt(&mut self, rcpt: &Rcpt) -> Answer {
        const MANY: Reply =
            Reply::new(452, Status::new(Class::Transient, 5, 3), "Too many recipients");
        let Some(transaction) = &mut self.transaction else { return lost() };
        let event = Event::new("refused")
            .with("from", path(transaction.from.as_ref()))
            .with("to", rcpt.to.as_str());
        let policy = self.relay.settings().policy;
        let bounce = Some(&rcpt.to).filter(|to| policy.is_local_domain(to.domain()));
        let targets = match bounce.and_then(|to| self.relay.srs.read(&self.relay.sys, to)) {
            Some(Ok(to)) => Ok(vec![Target { to }]),
            Some(Err(wrong)) => Err(not_forwarded(wrong)),
            None => policy.rcpt(&self.who, &rcpt.to),
        };
        let targets = match targets {
            Ok(targets) => targets,
            Err(refusal) => return self.refuse(event, refusal),
        };
        if transaction.recipients.len() + targets.len() > limits::EXPANDED_RECIPIENTS {
            let reason = "more recipients than one message may have, after aliases".into();
            return self.refuse(event, Refusal { reply: MANY, reason });
        }
        let places: Vec<Address> = targets.into_iter().map(|target| target.to).collect();
        for recipient in recipients(rcpt, places) {
            if transaction.recipients.iter().all(|r| r.to != recipient.to) {
                transaction.recipients.push(recipient);
            }
        }
        Answer::Accept
    }

    fn data(&mut self, protocol: &'static str) -> Answer {
        let Some(transaction) = &mut self.transaction else { return lost() };
        if !self.relay.spool.has_room(transaction.mail.size.unwrap_or(0)) {
            let event = Event::new("refused").with("from", path(transaction.from.as_ref()));
            let reason = "no room in the spool".into();
            return self.refuse(event, Refusal { reply: FULL, reason });
        }
        self.in_message = true;
        let source = Source {
            who: self.who.clone(),
            helo: self.helo.clone(),
            tls: self.tls.clone(),
            protocol,
        };
        let ends = transaction.recipients.iter().filter(|r| !r.notify.is_expanded());
        let to: Vec<Address> = ends.map(|r| r.to.clone()).collect();
        transaction.intake = Some(Intake::new(&self.relay, source, transaction.from.clone(), &to));
        Answer::Accept
    }

    async fn commit(&mut self, overlooked: Vec<Dialect>) -> Answer {
        let Some(transaction) = self.transaction.take() else { return lost() };
        let Transaction { mail, from, recipients, intake, coming } = *transaction;
        let Some(mut intake) = intake else { return lost() };
        intake.note_overlooked(overlooked);
        let envelope = Envelope {
            from,
            recipients,
            eight_bit: mail.eight_bit,
            utf8: mail.utf8,
            ret: mail.ret_headers.map(|h| if h { Ret::Headers } else { Ret::Full }),
            envid: mail.envid,
            ..Envelope::default()
        };
        let to: Vec<&str> = envelope.recipients.iter().map(|r| r.to.as_str()).collect();
        let event = Event::of("refused", intake.id(), "")
            .with("from", path(envelope.from.as_ref()))
            .with("to", to.join(","))
            .with("size", intake.size());
        drop(coming);
        let committed = intake.commit(envelope).await;
        self.in_message = false;
        match committed {
            Ok((id, repairs)) => {
                if let Some(visit) = self.visit() {
                    self.relay.clients.took(&self.relay.sys, visit, id, &repairs);
                    flood::came(&self.relay, visit.peer, id);
                }
                let queued = Reply::new(250, Status::new(Class::Success, 0, 0), "");
                Answer::AcceptAs(queued.says(format!("Queued as {id}")))
            }
            Err(refusal) => self.refuse(event, refusal),
        }
    }
}

impl Handler<Session> for Receive {
    async fn answer(&mut self, ask: Ask) -> Answer {
        match ask {
            Ask::Hello(name) => {
                self.helo = name;
                Answer::Accept
            }
            // In boxes: who only stands there is not to hold the room for it.
            Ask::Login { user, password } => Box::pin(self.login(&user, &password)).await,
            Ask::Mail(mail) => self.mail(mail),
            Ask::Rcpt(rcpt) => self.rcpt(&rcpt),
            Ask::Data { protocol } => self.data(protocol),
            Ask::Body(octets) => {
                if let Some(transaction) = &mut self.transaction
                    && let Some(intake) = &mut transaction.intake
                {
                    intake.append(&octets).await;
                }
                Answer::Accept
            }
            Ask::Commit { overlooked } => Box::pin(self.commit(overlooked)).await,
            Ask::Reset => {
                self.broken_off = self.transaction.take().map(|transaction| transaction.paths());
                self.in_message = false;
                Answer::Accept
            }
        }
    }

    /// Shutting down: a session between messages is told at once, one within a message may finish
    /// it.
    async fn news(&mut self) -> Answer {
        self.relay.stop.past(0).await;
        if self.in_message {
            std::future::pending::<()>().await;
        }
        Answer::Close(STOPPING)
    }

    /// What the session refuses by itself (syntax, sizes, line ends) is told as well.
    fn notice(&mut self, session: &mut Session) {
        for reply in session.take_refusals() {
            count(&self.relay.figures.refused, 1);
            let (from, to) = match &self.transaction {
                Some(transaction) => transaction.paths(),
                None => self.broken_off.clone().unwrap_or_default(),
            };
            let event = Event::new("refused").with("from", from).with("to", to);
            self.remember_refusal(&event, &reply, "");
            self.relay.tell(self.about(event.with("reply", reply)));
        }
    }

    async fn upgrade(&mut self, plain: Box<dyn Stream>) -> Result<Box<dyn Stream>, TlsError> {
        self.control.renew_certificate().await;
        let encrypted = self.relay.sys.tls.accept(plain).await?;
        self.tls = encrypted.tls();
        Ok(encrypted)
    }
}

/// The machine asked out of order, which its own checks exclude; the session may go on.
/// It looks like the sender of something that was forwarded here, and is not.
fn not_forwarded(wrong: Wrong) -> Refusal {
    const NOT_FORWARDED: Reply = Reply::new(
        550,
        Status::new(Class::Permanent, 1, 1),
        "Nothing was forwarded from this address lately",
    );
    let reason = match wrong {
        Wrong::Seal => "it looks like the sender of forwarded mail, but was not written here",
        Wrong::Old => "it was forwarded too long ago",
    };
    Refusal { reply: NOT_FORWARDED, reason: reason.into() }
}

fn lost() -> Answer {
    Answer::Refuse(Reply::new(451, Status::new(Class::Transient, 3, 0), "No transaction"))
}

/// A reverse path as the log shows it.
pub(super) fn path(from: Option<&Address>) -> String {
    from.map_or_else(|| "<>".into(), ToString::to_string)
}

/// Those for whom a forward path stands. Where they are several, and its sender wants to hear of
/// success, that is the success: what becomes of each is told where it fails. RFC 3461 §5.2.7.3.
fn recipients(rcpt: &Rcpt, places: Vec<Address>) -> Vec<Recipient> {
    let several = places.len() > 1;
    let mut recipients: Vec<Recipient> = places.into_iter().map(|to| recipient(rcpt, to)).collect();
    if several && recipients.iter().any(|recipient| recipient.notify.success) {
        let itself = recipients.iter().any(|recipient| recipient.to == rcpt.to);
        for recipient in recipients.iter_mut().filter(|recipient| recipient.to != rcpt.to) {
            recipient.notify.success = false;
        }
        if !itself {
            let alias = recipient(rcpt, rcpt.to.clone());
            recipients.push(Recipient { notify: Notify::EXPANDED, ..alias });
        }
    }
    recipients
}

/// One target of a forward path. What aliases changed stays known as the original recipient (RFC
/// 3461 §4.2).
fn recipient(rcpt: &Rcpt, to: Address) -> Recipient {
    let orcpt = match (rcpt.orcpt.is_empty(), to == rcpt.to) {
        (false, _) => rcpt.orcpt.clone(),
        (true, true) => String::new(),
        (true, false) => format!("rfc822;{}", rcpt.to),
    };
    let notify = rcpt.notify.map_or_else(Notify::default, |(success, failure, delay)| Notify {
        given: true,
        success,
        failure,
        delay,
    });
    Recipient { to, orcpt, notify }
}
