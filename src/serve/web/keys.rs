//! Keys that sign: what can be asked about them.

use super::{
    Web,
    acts::read,
    api::{Answer, Visit, error, json},
    http::Response,
    json::Json,
    office::Keys,
};
use serde::Deserialize;

impl Web {
    /// The keys that sign, with the records to publish: `{"keys": [...], "notes": [...]}`.
    pub(super) fn keys(&self) -> Response {
        told(&self.office.keys())
    }

    /// New keys for a domain; the answer has those alone.
    pub(super) async fn make_keys(&self, visit: Visit) -> Answer {
        let asked: New = read(&visit.body)?;
        let made = self.office.make_keys(&asked.domain, &asked.selector).await;
        made.map(|keys| told(&keys)).map_err(|words| error(422, &words))
    }

    /// The answer has the keys that are gone.
    pub(super) async fn retire_keys(&self, visit: Visit) -> Answer {
        let asked: Which = read(&visit.body)?;
        let retired = self.office.retire_keys(&asked.domain, &asked.selector).await;
        retired.map(|keys| told(&keys)).map_err(|words| error(422, &words))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct New {
    domain: String,
    #[serde(default)]
    selector: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    domain: String,
    selector: String,
}

fn told(keys: &Keys) -> Response {
    json(200, Json::object().list("keys", &keys.keys).list("notes", &keys.notes))
}
