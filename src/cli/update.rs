//! `waypost update FILE`, on a board that runs an image: the same as its page does.

use super::{
    Terminal,
    control::Question,
    exit, show,
    tasks::{Doing, Stop},
};
use crate::{limits, sys::Open};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::json;

impl Doing<'_> {
    /// Send it in parts, and have it tried.
    pub(super) async fn update(&self, file: &str, terminal: &mut Terminal<'_>) -> Result<u8, Stop> {
        let from = self.sys.disk.open(file, Open::Read).await?;
        let mut at = 0;
        loop {
            let octets = from.read_at(at, limits::BOARD_PART_BYTES).await?;
            let length = octets.len() as u64;
            if length == 0 && at > 0 {
                break;
            }
            let part = json!({"at": at, "octets": STANDARD.encode(octets)}).to_string();
            self.done(&Question::post("/api/board/update/part", Some(&part))).await?;
            at += length;
            if length == 0 {
                break;
            }
        }
        let answer = self.done(&Question::post("/api/board/update", None)).await?;
        let version = show::plain(&show::text(&answer.body, "version"));
        terminal.say(&format!(
            "Version {version} is written. The board starts anew and tries it: if it does not \
             serve within some minutes, the old one comes back."
        ))?;
        Ok(exit::OK)
    }
}
