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
        if at.saturating_add(octets.len() as u64) > limits::BOARD_UPDATE_BYTES {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::linux::{self, Executor, tests::Scratch};

    /// A board whose keeper answers this; `None` is one that hangs up.
    fn board(answer: Option<&'static str>) -> (Sys, Executor, Keeper, Scratch) {
        let scratch = Scratch::new();
        let (sys, executor) = linux::world(scratch.path()).unwrap();
        let door = sys.net.listen_local("keeper.sock").unwrap();
        sys.spawn(async move {
            while let Ok(mut peer) = door.accept().await {
                let mut asked = [0; 512];
                let heard = peer.read(&mut asked).await.unwrap();
                assert!(asked[..heard].ends_with(b"\n"), "one line");
                if let Some(answer) = answer {
                    peer.write_all(answer.as_bytes()).await.unwrap();
                }
                peer.close().await.unwrap();
            }
        });
        (sys, executor, Keeper { socket: Some("keeper.sock".into()) }, scratch)
    }

    fn troubles(board: &(Sys, Executor, Keeper, Scratch)) -> Vec<String> {
        let (sys, executor, keeper, _) = board;
        executor.run(keeper.troubles(sys)).into_iter().map(|problem| problem.words).collect()
    }

    #[test]
    fn the_boards_troubles_are_the_relays_too() {
        let told = "{\"troubles\": [\"The card is full.\", \"It is hot.\"]}\n";
        assert_eq!(troubles(&board(Some(told))), ["The card is full.", "It is hot."]);
        assert!(troubles(&board(Some("{}\n"))).is_empty());
        assert!(troubles(&board(Some("nonsense"))).is_empty());
        assert!(troubles(&board(None)).is_empty());
        let (sys, executor, mut keeper, scratch) = board(None);
        keeper.socket = Some("nobody.sock".into());
        let board = (sys, executor, keeper, scratch);
        assert!(troubles(&board)[0].starts_with("The board does not answer: "));
        let (sys, executor, mut keeper, scratch) = board;
        keeper.socket = None;
        assert!(troubles(&(sys, executor, keeper, scratch)).is_empty(), "this is no board");
    }

    #[test]
    fn an_update_is_put_together_without_gaps_and_within_its_bound() {
        let (sys, executor, mut keeper, scratch) = board(None);
        let send = |keeper: &Keeper, at, octets: &[u8]| {
            executor.run(keeper.update_part(&sys, at, octets.to_vec()))
        };
        send(&keeper, 0, b"first").unwrap();
        send(&keeper, 5, b" second").unwrap();
        let path = scratch.path().join(UPDATE);
        assert_eq!(std::fs::read(&path).unwrap(), b"first second");
        let gap = send(&keeper, 20, b"x").unwrap_err();
        assert_eq!(gap, "A part of the update is missing: send it again.");
        assert!(
            send(&keeper, limits::BOARD_UPDATE_BYTES - 1, b"x").unwrap_err().contains("missing")
        );
        assert!(send(&keeper, limits::BOARD_UPDATE_BYTES, b"x").unwrap_err().contains("too large"));
        assert!(send(&keeper, u64::MAX, b"x").unwrap_err().contains("too large"));
        send(&keeper, 0, b"anew").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"anew");
        executor.run(keeper.forget_update(&sys));
        assert!(!path.exists());
        keeper.socket = None;
        assert!(send(&keeper, 0, b"x").unwrap_err().contains("no board"));
    }
}
