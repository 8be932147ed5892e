//! What the page does with messages, beside what is said of them: several at once, their octets,
//! what was said to servers about them, and the devices they come from.

use super::{
    Web,
    acts::{done, id, read},
    api::{Answer, Visit, error, json},
    http::Response,
    json::Json,
    office::{Action, Which},
};
use crate::{limits, relay::envelope::Id};
use serde::Deserialize;
use std::net::IpAddr;

impl Web {
    /// Several messages of the queue, or all; what cannot be done to one is told, and done to the
    /// others.
    pub(super) async fn act_on_some(&self, visit: Visit) -> Answer {
        let asked: Several = read(&visit.body)?;
        let few = !asked.ids.is_empty() && asked.ids.len() <= limits::WEB_ROWS;
        if few == asked.all || asked.all && !asked.ids.is_empty() {
            let words = format!("From 1 to {} ids at a time, or all: true.", limits::WEB_ROWS);
            return Err(error(422, &words));
        }
        let action = match asked.action.as_str() {
            "retry" => Action::Retry,
            "hold" => Action::Hold,
            "release" => Action::Release,
            "drop" => Action::Drop,
            other => {
                let words = format!("'{other}' is none of retry, hold, release and drop.");
                return Err(error(422, &words));
            }
        };
        if asked.all {
            return self.act_on(Which::All, action).await;
        }
        let ids: Result<Vec<Id>, String> = asked.ids.iter().map(|id| id.parse()).collect();
        let ids = ids.map_err(|words| error(422, &words))?;
        let (mut messages, mut failed) = (0, Vec::new());
        for id in ids {
            match self.office.act(Which::One(id), action).await {
                Ok(n) => messages += n,
                Err(words) => failed.push(words),
            }
        }
        Ok(json(200, Json::object().member("messages", &messages).list("failed", &failed)))
    }

    /// The message itself, for a mail program. RFC 6532 §3.7: it may hold UTF-8.
    pub(super) async fn octets(&self, visit: Visit) -> Answer {
        let id = id(&visit)?;
        let octets = self.office.octets(id).await;
        let octets = octets.ok_or_else(|| error(404, "This message is no longer in the queue."))?;
        let name = format!("attachment; filename=\"{id}.eml\"");
        let response = Response::stream("message/rfc822", octets);
        Ok(response.with("Content-Disposition", name))
    }

    /// What was said to servers about a message.
    pub(super) fn transcripts(&self, visit: &Visit) -> Answer {
        let rows = self.office.transcripts(id(visit)?);
        Ok(json(200, Json::object().list("rows", &rows)))
    }

    pub(super) async fn devices(&self) -> Answer {
        let rows = self.office.devices().await;
        Ok(json(200, Json::object().list("rows", &rows)))
    }

    pub(super) fn forget_device(&self, visit: &Visit) -> Answer {
        let asked: Device = read(&visit.body)?;
        let address: IpAddr = asked
            .address
            .parse()
            .map_err(|_| error(422, &format!("'{}' is no IP address.", asked.address)))?;
        self.office.forget_device(address);
        Ok(done())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Several {
    #[serde(default)]
    ids: Vec<String>,
    #[serde(default)]
    all: bool,
    action: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Device {
    address: String,
}
