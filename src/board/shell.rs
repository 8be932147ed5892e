//! A login by SSH, for as long as keys lie on the boot partition; without, there is none.

use super::{BOOT, Board, KEPT};
use crate::sys::machine::Command;
use std::{rc::Rc, time::Duration};

/// Root's home, where the server looks for keys. It goes with the power.
const HOME: &str = "/run/board/home";

/// Serve it, where there are keys.
pub async fn keep(board: Rc<Board>) {
    let keys = board.text(&format!("{BOOT}/authorized_keys")).await;
    if keys.trim().is_empty() {
        return;
    }
    let folder = format!("{HOME}/.ssh");
    let host_keys = format!("{KEPT}/ssh");
    board.command(&["mkdir", "-p", &folder, &host_keys]).await;
    let path = format!("{folder}/authorized_keys");
    if let Err(error) = board.sys.replace(&path, keys.replace('\r', "").into_bytes()).await {
        return board.trouble(&format!("There is no login by SSH: {error}."));
    }
    board.command(&["chmod", "700", HOME, &folder, &host_keys]).await;
    // In the foreground, words to us, no password of anybody, no forwarding; host keys are made at
    // the first visit, in /etc/dropbear, which leads to the data partition.
    let words = ["dropbear", "-F", "-E", "-s", "-g", "-j", "-k", "-R", "-p", "22"];
    let words: Vec<String> = words.map(String::from).to_vec();
    loop {
        match board.machine.start(&Command { words: words.clone(), ..Command::default() }) {
            Ok(mut server) => {
                while let Some(line) = server.line().await {
                    board.sys.log.line(&format!("event=ssh words={line:?}"));
                }
            }
            Err(error) => board.trouble(&format!("There is no login by SSH: {error}.")),
        }
        board.sys.sleep(Duration::from_secs(10)).await;
    }
}
