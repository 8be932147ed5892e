//! The board under an image, as the relay there sees it: its keeper answers on a Unix socket
//! (`src/board/desk.rs`), one line of JSON there and one back.

use super::web::office::Problem;
use crate::{
    limits,
    sys::{Open, Sys},
};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use std::{io, time::Duration};

/// Where the octets of an update are put together, in the data directory; the keeper takes it from
/// there.
const UPDATE: &str = "update.part";

/// How the board is.
pub const TELL: &str = r#"{"do":"tell"}"#;
/// The keeper knows that at once.
const BRIEF: Duration = Duration::from_secs(3);

/// The way to the keeper.
pub struct Keeper {
    /// Path of its socket; `None`: this is no board.
    pub socket: Option<String>,
}

impl Keeper {
    /// Ask it; `None` where this is no board.
    ///
    /// # Errors
    /// In words: it does not answer.
    pub async fn ask(&self, sys: &Sys, question: &str) -> Option<Result<String, String>> {
        let socket = self.socket.as_deref()?;
        let ask = async {
            let mut stream = sys.net.connect_local(socket).await?;
            stream.write_all(format!("{question}\n").as_bytes()).await?;
            let mut answer = Vec::new();
            let most = limits::BOARD_ANSWER_BYTES as u64;
            stream.take(most).read_to_end(&mut answer).await?;
            String::from_utf8(answer).map_err(|_| io::ErrorKind::InvalidData.into())
        };
        let wait = if question == TELL { BRIEF } else { limits::BOARD_ANSWER_WAIT };
        let answer = sys.within(wait, ask).await;
        let answer: io::Result<String> =
            answer.unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into()));
        Some(answer.map_err(|error| format!("The board does not answer: {error}.")))
    }

    /// What is wrong with the board.
    pub async fn troubles(&self, sys: &Sys) -> Vec<Problem> {
        let problem = |words: &str| Problem { key: "board".into(), words: words.to_owned() };
        match self.ask(sys, TELL).await {
            None => Vec::new(),
            Some(Err(words)) => vec![problem(&words)],
            Some(Ok(answer)) => {
                let told: serde_json::Value = serde_json::from_str(&answer).unwrap_or_default();
                let words = |value: &serde_json::Value| value.as_str().map(problem);
                let troubles = told.get("troubles").and_then(serde_json::Value::as_array);
                troubles.map(|all| all.iter().filter_map(words).collect()).unwrap_or_default()
            }
        }
    }

    /// More octets of an update; from 0 on it begins anew.
    ///
    /// # Errors
    /// In words: too much, a gap, or the disk failed.
    pub async fn update_part(&self, sys: &Sys, at: u64, octets: Vec<u8>) -> Result<(), String> {
        if self.socket.is_none() {
            return Err("This is no board that runs an image of Waypost.".into());
        }
        if at + octets.len() as u64 > limits::BOARD_UPDATE_BYTES {
            return Err("The file is too large for an update.".into());
        }
        let failed = |error: io::Error| format!("The update cannot be stored: {error}.");
        let how = if at == 0 { Open::Replace } else { Open::Write };
        let file = sys.disk.open(UPDATE, how).await.map_err(failed)?;
        if file.length().await.map_err(failed)? != at {
            return Err("A part of the update is missing: send it again.".into());
        }
        file.write_at(at, octets).await.map_err(failed)?;
        Ok(())
    }

    /// What was put together is of no use any more.
    pub async fn forget_update(&self, sys: &Sys) {
        let _there_may_be_none = sys.disk.remove(UPDATE).await;
    }
}
