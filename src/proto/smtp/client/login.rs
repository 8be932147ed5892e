//! The login: AUTH by the strongest mechanism that both sides know, and by the next one where that
//! cannot work. RFC 4954.
//!
//! A password that was refused is shown once more at most, see [`Session::hear_login`]: servers
//! lock accounts, and ban addresses, that seem to guess.

use super::{Ask, LOGIN_REFUSED, LoginPlan, Session, State, Then};
use crate::proto::{
    machine::Step,
    sasl::{Claim, Client, Key, Mechanism, Secret, Stretch, Turn},
    smtp::reply::{PeerReply, one_line},
    status::{Class, Outcome, Status},
};
use std::mem;

/// How far the login got.
#[derive(Default)]
pub(super) struct Progress {
    /// Mechanisms that came to nothing here, in their order.
    failed: Vec<Mechanism>,
    /// A mechanism that does not show the password was refused with it.
    doubted: bool,
    /// Why the last one failed.
    why: Option<Box<Outcome>>,
}

/// An exchange that goes on.
pub(super) enum Talk {
    /// A reply is due.
    Reply(Client),
    /// A piece of work is to be asked for.
    Work(Client, Option<Stretch>),
    /// `*` was said.
    Cancelled,
    /// It has worked, and is to be told.
    Done(Mechanism),
}

impl Session {
    /// After TLS, or where there is none: AUTH as planned.
    pub(super) fn login(&mut self) {
        let Some(plan) = &self.plan.login else {
            self.state = State::Ready;
            return;
        };
        let (host, login) = (&self.plan.host, &plan.login);
        if !self.encrypted && !login.in_clear {
            let text = format!("{host} offers no TLS, and no password is shown without it");
            return self.unusable(LOGIN_REFUSED, text);
        }
        let Some(mechanism) = self.next_mechanism(plan) else {
            return self.login_failed();
        };
        let claim = Claim {
            user: &login.user,
            secret: &login.secret,
            server: (&plan.server.0, plan.server.1),
            chance: plan.chance,
        };
        let mut client = Client::new(mechanism, claim).expect("it was chosen for this secret");
        let command = client.command();
        self.say(&command, State::Login(Box::new(Talk::Reply(client))));
    }

    /// The strongest that both know and that was not tried. One that did not work here lately is
    /// only tried where there is no other.
    fn next_mechanism(&self, plan: &LoginPlan) -> Option<Mechanism> {
        let possible = |mechanism: &Mechanism| {
            mechanism.takes(&plan.login.secret)
                && self.offered.mechanisms.contains(mechanism)
                && !self.login.failed.contains(mechanism)
                && (!self.login.doubted || mechanism.shows_password())
        };
        let mut all = Mechanism::ALL.into_iter().filter(possible);
        let without = &plan.without;
        let first = all.next()?;
        if !without.contains(&first) {
            return Some(first);
        }
        Some(all.find(|mechanism| !without.contains(mechanism)).unwrap_or(first))
    }

    /// What to ask before the login can go on.
    pub(super) fn login_step(&mut self) -> Option<Step<Ask>> {
        let State::Login(talk) = &mut self.state else { return None };
        match talk.as_mut() {
            Talk::Work(_, work) => work.take().map(|work| Step::Ask(Ask::Stretch(work))),
            Talk::Done(mechanism) => {
                let ask = Ask::LoggedIn(*mechanism, mem::take(&mut self.login.failed));
                self.state = State::Noted(Then::Ready);
                Some(Step::Ask(ask))
            }
            Talk::Reply(_) | Talk::Cancelled => None,
        }
    }

    /// The work is done; `None`: nobody could do it.
    pub(super) fn stretched(&mut self, key: Option<&Key>) {
        let State::Login(talk) = mem::replace(&mut self.state, State::Close) else { return };
        if let (Talk::Work(mut client, _), Some(key)) = (*talk, key) {
            let turn = client.stretched(key);
            return self.take_turn(client, turn, None);
        }
        let text = "the login could not be computed: too much else is waiting";
        let outcome = Outcome::ours(Status::new(Class::Transient, 3, 0), text);
        self.state = State::Unusable(outcome, Then::Close);
    }

    /// A reply within the login. `challenge`: the words of its last line.
    ///
    /// RFC 4954 §4, §6: 504 says that the server does not know the mechanism it offered. 535 to one
    /// that does not show the password may mean no more than that the server has only a hash of it:
    /// over TLS the password is then shown, once, as it would have been without the stronger offer.
    /// So it is with 432, which asks for just that. Everything else is for a person to mend.
    pub(super) fn hear_login(&mut self, talk: Talk, reply: &PeerReply, challenge: &str) {
        let mut client = match talk {
            Talk::Reply(client) => client,
            // Nobody is logged in by a cancelled exchange.
            Talk::Cancelled if reply.digit() == 2 => return self.out_of_step(reply),
            Talk::Cancelled => return self.login(),
            Talk::Work(..) | Talk::Done(_) => return,
        };
        let mechanism = client.mechanism();
        match (reply.digit(), reply.code) {
            (2, _) => match client.conclude() {
                Ok(()) => self.state = State::Login(Box::new(Talk::Done(mechanism))),
                Err(why) => self.untrue(&why),
            },
            (3, _) => {
                let turn = client.hear(challenge);
                self.take_turn(client, turn, Some(reply));
            }
            (_, 432 | 535) if self.may_show_password(mechanism) => {
                self.login.doubted = true;
                self.note_failure(mechanism, self.refusal(&client, reply));
                self.login();
            }
            (_, 504) => {
                self.note_failure(mechanism, self.refusal(&client, reply));
                self.login();
            }
            (5, _) => {
                self.state = State::Unusable(self.refusal(&client, reply), Then::Quit);
            }
            _ => self.refused(reply),
        }
    }

    fn take_turn(&mut self, client: Client, turn: Turn, reply: Option<&PeerReply>) {
        match turn {
            Turn::Say(line) => self.say(&line, State::Login(Box::new(Talk::Reply(client)))),
            Turn::Stretch(work) => {
                self.state = State::Login(Box::new(Talk::Work(client, Some(work))));
            }
            Turn::Cancel(why) => {
                let text = format!("login by {} broken off: {why}", client.mechanism());
                self.note_failure(client.mechanism(), self.login_outcome(&text));
                self.say("*", State::Login(Box::new(Talk::Cancelled)));
            }
            Turn::Untrue(why) => self.untrue(&why),
            Turn::Over => match reply {
                Some(reply) => self.out_of_step(reply),
                None => self.state = State::Close,
            },
        }
    }

    /// The password may be shown to a server that refuses it unseen.
    fn may_show_password(&self, mechanism: Mechanism) -> bool {
        let hidden = matches!(mechanism, Mechanism::ScramSha256 | Mechanism::CramMd5);
        let shows = |mechanism: &Mechanism| mechanism.shows_password();
        hidden && self.encrypted && self.offered.mechanisms.iter().any(shows)
    }

    fn note_failure(&mut self, mechanism: Mechanism, outcome: Outcome) {
        self.login.failed.push(mechanism);
        self.login.why = Some(Box::new(outcome));
    }

    /// There is no mechanism left to try.
    fn login_failed(&mut self) {
        if let Some(why) = self.login.why.take() {
            self.state = State::Unusable(*why, Then::Quit);
            return;
        }
        let text =
            format!("a login is configured, and {} offers none that we know", self.plan.host);
        self.unusable(LOGIN_REFUSED, text);
    }

    /// Whoever this is has no proof. It gets no further word.
    fn untrue(&mut self, why: &str) {
        let outcome = self.login_outcome(&format!("login broken off: {why}"));
        self.state = State::Unusable(outcome, Then::Close);
    }

    /// What a refusal means, with the server's words: those of its reply, and those in which it
    /// explained itself before.
    fn refusal(&self, client: &Client, reply: &PeerReply) -> Outcome {
        let wrong = match self.plan.login.as_ref().map(|plan| &plan.login.secret) {
            _ if reply.code != 535 => "",
            Some(Secret::Token(_)) => ", its token is wrong or has expired",
            _ => ", its user or password is wrong",
        };
        let mut text = format!("login refused{wrong}: {}", reply.text);
        if !client.reason().is_empty() {
            text = format!("{text} ({})", client.reason());
        }
        self.login_outcome(&text)
    }

    fn login_outcome(&self, text: &str) -> Outcome {
        Outcome { status: LOGIN_REFUSED, by: self.plan.host.clone(), text: one_line(text) }
    }
}
