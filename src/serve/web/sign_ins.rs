//! Sign-ins: what can be asked about them.

use super::{
    Web,
    acts::read,
    api::{Answer, Visit, error, json},
    http::Response,
    json::Json,
    office::{Begun, SignInHow},
};
use serde::Deserialize;

impl Web {
    /// The sign-ins that the configuration names: `{"rows": [...]}`.
    pub(super) fn sign_ins(&self) -> Response {
        json(200, Json::object().list("rows", &self.office.sign_ins()))
    }

    /// Begin one: `{"link", "redirect"}` to open, or `{"code", "at", "seconds"}` to type.
    pub(super) async fn begin_sign_in(&self, visit: Visit) -> Answer {
        let asked: New = read(&visit.body)?;
        let how = match asked.by {
            By::Link => SignInHow::Link(asked.page),
            By::Code => SignInHow::Code,
        };
        let begun = self.office.begin_sign_in(asked.route, how).await;
        Ok(match begun.map_err(|words| error(422, &words))? {
            Begun::Link { link, redirect } => {
                json(200, Json::object().member("link", &link).member("redirect", &redirect))
            }
            Begun::Code { code, at, seconds } => {
                let object = Json::object().member("code", &code).member("at", &at);
                json(200, object.member("seconds", &seconds))
            }
        })
    }

    /// Hand in what came back: `{"words"}` tells who has signed in.
    pub(super) async fn finish_sign_in(&self, visit: Visit) -> Answer {
        let asked: Returned = read(&visit.body)?;
        let words = self.office.finish_sign_in(&asked.answer).await;
        let words = words.map_err(|words| error(422, &words))?;
        Ok(json(200, Json::object().member("words", &words)))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct New {
    route: usize,
    by: By,
    page: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum By {
    Link,
    Code,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Returned {
    answer: String,
}
