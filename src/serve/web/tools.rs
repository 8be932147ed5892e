//! What the page does with the relay itself: tries a way out, looks for holes, shows the log, keeps
//! and puts back a backup, undoes a change, makes tokens for programs.

use super::{
    Web,
    acts::{done, number, read},
    api::{Answer, Visit, error, json},
    http::Response,
    json::Json,
    office::{Problem, Scope, TrialAsked},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::value::RawValue;

impl Web {
    /// Begin a trial: `{"number": 3}`.
    pub(super) fn begin_trial(&self, visit: &Visit) -> Answer {
        let asked: Trial = read(&visit.body)?;
        let route = asked.route.map_or(String::new(), |route| route.get().to_string());
        let from = asked.from.unwrap_or_default();
        let begun = self.office.begin_trial(TrialAsked { route, to: asked.to, from });
        let number = begun.map_err(|problems| refused(&problems))?;
        Ok(json(200, Json::object().member("number", &number)))
    }

    /// What has happened in it.
    pub(super) async fn trial(&self, visit: Visit) -> Answer {
        let since = usize::try_from(number(&visit.head, "since", 0)?).unwrap_or(usize::MAX);
        let trial = match visit.name.parse() {
            Ok(number) => self.office.trial(number, since).await,
            Err(_) => None,
        };
        let part = trial.ok_or_else(|| error(404, "This trial is over, and another has begun."))?;
        let object = Json::object().list("steps", &part.steps).member("over", &part.over);
        Ok(json(200, object.member("code", &part.code)))
    }

    pub(super) fn open_relay(&self) -> Response {
        json(200, Json::object().list("findings", &self.office.open_relay()))
    }

    pub(super) async fn log_part(&self, visit: Visit) -> Answer {
        let part = self.office.log(number(&visit.head, "after", 0)?).await;
        Ok(json(200, Json::object().list("lines", &part.lines).member("last", &part.last)))
    }

    pub(super) async fn whole_log(&self) -> Answer {
        let text = self.office.whole_log().await;
        let response = Response::new(200, "text/plain; charset=utf-8", text.into_bytes());
        Ok(response.with("Content-Disposition", "attachment; filename=\"waypost.log\""))
    }

    pub(super) fn chart(&self) -> Response {
        let chart = self.office.chart();
        json(200, Json::object().list("hours", &chart.hours).list("days", &chart.days))
    }

    /// The configuration before the last change: `{"document": "…"}`, `null` where there is none.
    pub(super) fn previous(&self) -> Response {
        json(200, Json::object().member("document", &self.office.previous()))
    }

    pub(super) async fn undo(&self) -> Answer {
        self.office.undo().await.map_err(|problems| refused(&problems))?;
        Ok(done())
    }

    pub(super) async fn backup(&self, visit: Visit) -> Answer {
        let asked: Password = read(&visit.body)?;
        let file = self.office.backup(&asked.password).await.map_err(|words| error(422, &words))?;
        let response = Response::new(200, "application/octet-stream", file);
        Ok(response.with("Content-Disposition", "attachment; filename=\"waypost.backup\""))
    }

    pub(super) async fn restore(&self, visit: Visit) -> Answer {
        let asked: Backup = read(&visit.body)?;
        let file =
            STANDARD.decode(&asked.file).map_err(|_| error(400, "The file is no base64."))?;
        let restored = self.office.restore(&file, &asked.password).await;
        restored.map_err(|problems| refused(&problems))?;
        Ok(done())
    }

    /// Make a token: `{"token": "wp_…"}`, told this once.
    pub(super) async fn make_token(&self, visit: Visit) -> Answer {
        let asked: Token = read(&visit.body)?;
        let scope = Scope::of(&asked.scope);
        let scope = scope.ok_or_else(|| error(422, "The scope is none of read, queue and all."))?;
        let token = self.office.make_token(&asked.name, scope).await;
        let token = token.map_err(|words| error(422, &words))?;
        Ok(json(200, Json::object().member("token", &token)))
    }
}

/// What is wrong, by key and in one sentence.
pub(super) fn refused(problems: &[Problem]) -> Response {
    let words = match problems {
        [one] if one.key.is_empty() => one.words.clone(),
        [one] => format!("{}: {}", one.key, one.words),
        more => format!("{} settings are not right yet.", more.len()),
    };
    json(422, Json::object().member("error", &words).list("problems", problems))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Trial {
    route: Option<Box<RawValue>>,
    to: String,
    from: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Password {
    password: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Backup {
    file: String,
    password: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Token {
    name: String,
    scope: String,
}
