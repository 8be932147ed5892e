//! The board that runs an image: how it is, an update, its network. What is answered is what the
//! keeper says.

use super::{
    Web,
    acts::{done, read},
    api::{Answer, Visit, error},
    http::Response,
};
use crate::{limits, serve::board::TELL};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Part {
    at: u64,
    /// In base64.
    octets: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NetworkText {
    text: String,
}

impl Web {
    pub(super) async fn board(&self) -> Answer {
        self.ask_board(TELL, 502).await
    }

    pub(super) async fn update_part(&self, visit: Visit) -> Answer {
        let part: Part = read(&visit.body)?;
        let octets = STANDARD.decode(&part.octets);
        let octets = octets.map_err(|_| error(400, "The part is no base64."))?;
        if octets.len() > limits::BOARD_PART_BYTES {
            return Err(error(413, "The part is too large."));
        }
        let stored = self.office.update_part(part.at, octets).await;
        stored.map_err(|words| error(422, &words))?;
        Ok(done())
    }

    pub(super) async fn update(&self) -> Answer {
        let answer = self.ask_board(r#"{"do":"update"}"#, 422).await;
        self.office.forget_update().await;
        answer
    }

    pub(super) async fn restart_board(&self) -> Answer {
        self.ask_board(r#"{"do":"restart"}"#, 422).await
    }

    pub(super) async fn set_network(&self, visit: Visit) -> Answer {
        let asked: NetworkText = read(&visit.body)?;
        let question = json!({"do": "network", "text": asked.text}).to_string();
        self.ask_board(&question, 422).await
    }

    /// What the keeper answers; `refusal` is the status of its error.
    async fn ask_board(&self, question: &str, refusal: u16) -> Answer {
        let none = "This is no board that runs an image of Waypost.";
        let answer = self.office.board(question).await;
        let answer = answer.ok_or_else(|| error(404, none))?;
        let answer = answer.map_err(|words| error(502, &words))?;
        let value: serde_json::Value =
            serde_json::from_str(&answer).map_err(|_| error(502, "The board answers nonsense."))?;
        match value.get("error").and_then(serde_json::Value::as_str) {
            Some(words) => Err(error(refusal, words)),
            None => Ok(Response::new(200, "application/json", value.to_string().into_bytes())),
        }
    }
}
