//! What each line of [`super::api::ROUTES`] does: read what was asked, ask the office, write the
//! answer.

use super::{
    Web,
    api::{Answer, Visit, error, json},
    http::{Head, Response},
    json::Json,
    login,
    office::{Action, AdminLogin, AdminState, Apply, Page, UserChange, Which},
    page,
    tools::refused,
};
use crate::{
    config::{self, Profile},
    limits,
    proto::http::decode,
    relay::envelope::Id,
};
use serde::{Deserialize, de::DeserializeOwned};
use std::{cell::Cell, net::IpAddr};

impl Web {
    /// Fit to work? For a watchdog; what is wrong is for those who are logged in.
    pub(super) fn health(&self) -> Response {
        match self.office.health() {
            Ok(()) => Response::text(200, "ok"),
            Err(_) => Response::text(503, "not well"),
        }
    }

    /// What is wrong, by looking: `{"problems": [...]}`.
    pub(super) async fn check(&self) -> Answer {
        let problems = self.office.check().await;
        Ok(json(200, Json::object().list("problems", &problems)))
    }

    /// How a domain looks from outside: `{"findings": [...]}`.
    pub(super) async fn doctor(&self, visit: Visit) -> Answer {
        let asked: Domain = read(&visit.body)?;
        let findings = self.office.doctor(&asked.domain).await;
        let findings = findings.map_err(|words| error(422, &words))?;
        Ok(json(200, Json::object().list("findings", &findings)))
    }

    pub(super) async fn metrics(&self) -> Answer {
        let kind = "text/plain; version=0.0.4; charset=utf-8";
        Ok(Response::new(200, kind, self.office.metrics().await.into_bytes()))
    }

    /// What the page must do first: `setup`, `login`, or nothing (`ok`, with the token for
    /// changes).
    pub(super) fn session(&self, visit: &Visit) -> Response {
        let token = self.sessions.token(&visit.head, self.now());
        let state = match (self.office.admin(), visit.caller.peer, &token) {
            (_, None, _) | (_, _, Some(_)) => "ok",
            (AdminState::NotSet { .. }, ..) => "setup",
            (AdminState::Set, ..) => "login",
        };
        let shortest = limits::WEB_PASSWORD_CHARACTERS;
        let object = Json::object().member("state", state).member("token", &token);
        let object = object.member("board", &self.office.is_board());
        json(200, object.member("shortest_password", &shortest))
    }

    /// The first password, for who knows the code that was printed at the start.
    pub(super) async fn setup(&self, visit: Visit) -> Answer {
        let asked: Setup = read(&visit.body)?;
        let AdminState::NotSet { code } = self.office.admin() else {
            return Err(error(409, "This relay has a password already: log in with it."));
        };
        let now = self.now();
        if let Some(peer) = peer(&visit) {
            throttled(self.throttle.wait(peer, now))?;
            if !login::same_code(&asked.code, &code) {
                self.throttle.wrong(peer, now);
                self.log(&visit, "web-setup-refused");
                let words = "That is not the setup code. The relay prints it when it starts.";
                return Err(error(403, words));
            }
        }
        login::check_password(&asked.password).map_err(|words| error(422, &words))?;
        self.office.set_admin(&asked.password).await.map_err(|words| error(500, &words))?;
        self.log(&visit, "web-setup");
        Ok(self.welcome(&visit))
    }

    pub(super) async fn log_in(&self, visit: Visit) -> Answer {
        let asked: Login = read(&visit.body)?;
        if self.office.admin() != AdminState::Set {
            return Err(error(409, "This relay has no password yet: set one with the setup code."));
        }
        self.prove(&visit, &asked.password).await?;
        self.log(&visit, "web-login");
        Ok(self.welcome(&visit))
    }

    pub(super) fn log_out(&self, visit: &Visit) -> Response {
        self.sessions.close(&visit.head);
        done().with("Set-Cookie", login::farewell())
    }

    /// Another password for the page. Who is at the machine itself needs not know the old one.
    pub(super) async fn password(&self, visit: Visit) -> Answer {
        let asked: NewPassword = read(&visit.body)?;
        if visit.caller.peer.is_some() {
            self.prove(&visit, &asked.old).await?;
        }
        login::check_password(&asked.new).map_err(|words| error(422, &words))?;
        self.office.set_admin(&asked.new).await.map_err(|words| error(500, &words))?;
        self.sessions.close_all();
        self.log(&visit, "web-password-changed");
        Ok(self.welcome(&visit))
    }

    pub(super) async fn status(&self) -> Answer {
        Ok(json(200, Json::object().members(&self.office.status().await)))
    }

    pub(super) async fn queue(&self, visit: Visit) -> Answer {
        let offset = number(&visit.head, "offset", 0)?;
        let limit = rows(&visit.head, limits::WEB_ROWS / 2, limits::WEB_ROWS)?;
        let page = self.office.queue(Page { offset, limit }).await;
        Ok(json(200, Json::object().member("total", &page.total).list("rows", &page.rows)))
    }

    pub(super) async fn message(&self, visit: Visit) -> Answer {
        let message = self.office.message(id(&visit)?).await;
        let message =
            message.ok_or_else(|| error(404, "This message is no longer in the queue."))?;
        let object = Json::object().members(&message.row).list("recipients", &message.recipients);
        let object = object.member("source", &message.source);
        let object = object.member("message_id", &message.message_id);
        Ok(json(200, object.member("header", &message.header)))
    }

    pub(super) async fn act(&self, visit: Visit, action: Action) -> Answer {
        self.act_on(Which::One(id(&visit)?), action).await
    }

    pub(super) async fn retry_all(&self) -> Answer {
        self.act_on(Which::All, Action::Retry).await
    }

    pub(super) async fn act_on(&self, which: Which, action: Action) -> Answer {
        let messages = self.office.act(which, action).await.map_err(|words| error(422, &words))?;
        Ok(json(200, Json::object().member("messages", &messages)))
    }

    pub(super) async fn trace(&self, visit: Visit) -> Answer {
        let query = value(&visit.head, "q")?;
        let query = query.trim();
        if query.is_empty() {
            return Err(error(422, "Search for a queue id, a Message-ID or an address."));
        }
        if query.len() > limits::WEB_QUERY_BYTES {
            return Err(error(422, "That is too long to search for."));
        }
        let events = self.office.trace(query).await;
        Ok(json(200, Json::object().list("events", &events)))
    }

    pub(super) async fn recent(&self, visit: Visit) -> Answer {
        let limit = rows(&visit.head, 50, limits::WEB_EVENTS)?;
        let until = number(&visit.head, "until", 0)?;
        let events = self.office.recent(limit, (until > 0).then_some(until)).await;
        Ok(json(200, Json::object().list("events", &events)))
    }

    /// The configuration, with a tag that tells whether it has changed since.
    pub(super) fn config(&self) -> Response {
        let text = self.office.document().into_bytes();
        let tag = page::tag(&text);
        Response::new(200, "application/json", text).with("ETag", tag)
    }

    pub(super) async fn apply(&self, visit: Visit, how: Apply) -> Answer {
        // RFC 9110 §13.1.1: who says what they have read does not undo what another has changed
        // since.
        let now = page::tag(self.office.document().as_bytes());
        if visit.head.field("if-match").is_some_and(|tag| tag != "*" && tag != now) {
            let words = "The settings have changed meanwhile: load them again.";
            return Err(error(412, words));
        }
        let Ok(document) = std::str::from_utf8(&visit.body) else {
            return Err(error(400, "The configuration is not UTF-8."));
        };
        match self.office.apply(document, how).await {
            Ok(()) => Ok(done().with("ETag", page::tag(self.office.document().as_bytes()))),
            Err(problems) => Err(refused(&problems)),
        }
    }

    pub(super) fn settings(&self) -> Response {
        json(200, Json::object().list("rows", &self.office.settings()))
    }

    /// What is known of providers.
    pub(super) fn providers() -> Response {
        let all: Vec<Profile> = config::profiles().collect();
        json(200, Json::object().list("rows", &all))
    }

    pub(super) async fn test(&self, visit: Visit) -> Answer {
        let asked: Test = read(&visit.body)?;
        let from = asked.from.as_deref().filter(|from| !from.is_empty());
        let sent = self.office.test(&asked.to, from).await;
        let id = sent.map_err(|words| error(422, &words))?;
        Ok(json(200, Json::object().member("id", &id.to_string())))
    }

    pub(super) async fn add_user(&self, visit: Visit) -> Answer {
        let asked: NewUser = read(&visit.body)?;
        self.change_user(&asked.name, UserChange::Add(asked.password)).await
    }

    pub(super) async fn user_password(&self, visit: Visit) -> Answer {
        let asked: Login = read(&visit.body)?;
        self.change_user(&visit.name, UserChange::Password(asked.password)).await
    }

    pub(super) async fn remove_user(&self, visit: Visit) -> Answer {
        self.change_user(&visit.name, UserChange::Remove).await
    }

    async fn change_user(&self, name: &str, change: UserChange) -> Answer {
        self.office.user(name, change).await.map_err(|words| error(422, &words))?;
        Ok(done())
    }

    /// Go on only with the page's password.
    async fn prove(&self, visit: &Visit, password: &str) -> Result<(), Response> {
        self.proof(visit, password).await.map_err(|Unproven { status, words, seconds }| {
            let response = error(status, &words);
            let wait = (seconds > 0).then(|| seconds.to_string());
            wait.into_iter().fold(response, |response, wait| response.with("Retry-After", wait))
        })
    }

    pub(super) async fn proof(&self, visit: &Visit, password: &str) -> Result<(), Unproven> {
        let no = |status, words: &str| Unproven { status, words: words.into(), seconds: 0 };
        if password.len() > limits::WEB_PASSWORD_BYTES {
            return Err(no(422, "That is too long for a password."));
        }
        // A check is slow on purpose, and nobody who waits for one can be asked to make room for
        // others.
        let Some(_turn) = Turn::take(&self.checks) else { return Err(too_many(1)) };
        match self.office.check_admin(peer(visit), password).await {
            AdminLogin::Welcome => Ok(()),
            AdminLogin::Wrong => {
                self.log(visit, "web-login-refused");
                Err(no(403, "That password is not right."))
            }
            AdminLogin::Throttled(seconds) => Err(too_many(seconds.max(1))),
        }
    }

    /// A new session. The control socket needs none.
    fn welcome(&self, visit: &Visit) -> Response {
        if visit.caller.peer.is_none() {
            return done();
        }
        // The session this browser may have had ends: its cookie could be known to somebody
        // (session fixation).
        self.sessions.close(&visit.head);
        let opened = self.sessions.open(&self.sys, visit.caller.encrypted);
        let object = Json::object().member("state", "ok").member("token", &opened.token);
        json(200, object).with("Set-Cookie", opened.cookie)
    }

    fn log(&self, visit: &Visit, event: &str) {
        let peer = peer(visit).map_or_else(|| "local".into(), |peer| peer.to_string());
        self.sys.log.line(&format!("event={event} peer={peer}"));
    }
}

/// One of the password checks that may wait at once.
struct Turn<'a>(&'a Cell<usize>);

impl Turn<'_> {
    fn take(checks: &Cell<usize>) -> Option<Turn<'_>> {
        (checks.get() < limits::WEB_LOGINS).then(|| {
            checks.set(checks.get() + 1);
            Turn(checks)
        })
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Domain {
    domain: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Setup {
    code: String,
    password: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Login {
    password: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewPassword {
    #[serde(default)]
    old: String,
    new: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Test {
    to: String,
    from: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewUser {
    name: String,
    password: Option<String>,
}

pub(super) fn done() -> Response {
    json(200, Json::object())
}

/// Why somebody is not let in.
pub(super) struct Unproven {
    pub(super) status: u16,
    pub(super) words: String,
    /// How long to wait; 0: that would not help.
    pub(super) seconds: u64,
}

fn too_many(seconds: u64) -> Unproven {
    let words = format!("Too many wrong tries. Try again in {seconds} seconds.");
    Unproven { status: 429, words, seconds }
}

fn throttled(seconds: u64) -> Result<(), Response> {
    if seconds == 0 {
        return Ok(());
    }
    let Unproven { status, words, .. } = too_many(seconds);
    Err(error(status, &words).with("Retry-After", seconds.to_string()))
}

/// A value of the query, decoded; empty where it is not there.
fn value(head: &Head, name: &str) -> Result<String, Response> {
    let mut pairs = head.query.split('&').filter_map(|pair| pair.split_once('='));
    let raw = pairs.find(|(n, _)| *n == name).map_or("", |(_, value)| value);
    decode(raw).ok_or_else(|| error(400, "The address is not UTF-8."))
}

/// A number of the query, or `default` where it is not there.
pub(super) fn number(head: &Head, name: &str, default: u64) -> Result<u64, Response> {
    let text = value(head, name)?;
    if text.is_empty() {
        return Ok(default);
    }
    text.parse().map_err(|_| error(400, &format!("'{name}' must be a number.")))
}

/// Rows asked for: at least 1, at most `most`.
fn rows(head: &Head, default: usize, most: usize) -> Result<usize, Response> {
    let asked = number(head, "limit", default as u64)?;
    Ok(usize::try_from(asked).unwrap_or(usize::MAX).clamp(1, most))
}

pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Response> {
    serde_json::from_slice(body)
        .map_err(|wrong| error(400, &format!("The request is not as expected: {wrong}.")))
}

pub(super) fn id(visit: &Visit) -> Result<Id, Response> {
    visit.name.parse().map_err(|words: String| error(404, &words))
}

pub(super) fn peer(visit: &Visit) -> Option<IpAddr> {
    visit.caller.peer.map(|p| p.ip())
}
