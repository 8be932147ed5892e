//! What a person puts on the boot partition, which every PC can write: taken over at the start, and
//! blanked there where it holds secrets.

use super::{BOOT, Board, KEPT, RELAY, network, update, wifi};
use crate::{config::Document, limits, sys::Open};
use serde_json::{Map, Value, json};
use std::io;

/// Files that are looked for.
const FILES: &[&str] = &["waypost.json", "network", "reset-password", "reset-all", "update.pub"];
/// What is kept where everything else starts anew: the mail.
const MAIL: &[&str] = &["spool", "mail"];
/// Why a file was not taken, for who looks at the card.
pub const PROBLEM: &str = "waypost-problem.txt";

/// Take over what is there.
pub async fn take(board: &Board) {
    let names = board.sys.disk.list(BOOT).await.unwrap_or_default();
    let names: Vec<String> = names.into_iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    let is_there = |name: &str| names.iter().any(|found| found == name);
    begin(board).await;
    if FILES.iter().any(|name| is_there(name)) {
        board.command(&["mount", "-o", "remount,rw", BOOT]).await;
        let taken = take_all(board, &is_there).await;
        if let Err(error) = taken {
            board.trouble(&format!("What is on the boot partition cannot be taken over: {error}."));
        }
        board.command(&["sync"]).await;
        board.command(&["mount", "-o", "remount,ro", BOOT]).await;
    }
    let text = board.text(&format!("{KEPT}/network")).await;
    match network::parse(&text) {
        Ok(mut network) => {
            if let Err(error) = wifi::keep_password(board, &mut network).await {
                board.trouble(&format!("The password of the Wi-Fi cannot be kept: {error}."));
            }
            let mut now = board.now.borrow_mut();
            now.name = network.own_name();
            now.network = network;
            now.network_text = text;
        }
        Err(words) => {
            board.now.borrow_mut().name = network::Network::default().own_name();
            board.trouble(&format!("{words}. The address is asked for by DHCP."));
        }
    }
}

async fn take_all(board: &Board, is_there: &impl Fn(&str) -> bool) -> io::Result<()> {
    if is_there("reset-all") {
        reset_all(board).await?;
        remove(board, "reset-all").await?;
    }
    if is_there("reset-password") {
        change(board, |document| drop(document.shift_remove("admin"))).await?;
        remove(board, "reset-password").await?;
        board.sys.log.line("event=password-reset");
    }
    if is_there("network") || is_there("waypost.json") {
        let _there_may_be_none = remove(board, PROBLEM).await;
    }
    if is_there("network") {
        take_network(board).await?;
    }
    if is_there("update.pub") {
        let path = format!("{KEPT}/update.pub");
        let key = update::key(&board.text(&format!("{BOOT}/update.pub")).await);
        match key {
            Some(key) => {
                let mut keys = board.text(&path).await;
                if !keys.lines().any(|known| known == key) {
                    keys.extend([key.as_str(), "\n"]);
                }
                board.sys.replace(&path, keys.into_bytes()).await?;
            }
            None => board.trouble("update.pub holds no key: 64 hexadecimal digits are allowed."),
        }
        remove(board, "update.pub").await?;
    }
    if is_there("waypost.json") {
        take_configuration(board).await?;
    }
    Ok(())
}

/// What is wrong stays there for its owner to mend, and what was known before goes on.
async fn take_network(board: &Board) -> io::Result<()> {
    let text = match super::text(&board.sys, &format!("{BOOT}/network")).await {
        Ok(text) => text,
        Err(error) => return refuse(board, "network", &unreadable(&error)).await,
    };
    match network::parse(&text) {
        Ok(mut network) => match wifi::keep_network(board, &mut network, &text).await {
            Ok(_) => wipe(board, "network", text.len()).await,
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                refuse(board, "network", &error.to_string()).await
            }
            Err(error) => Err(error),
        },
        Err(words) => refuse(board, "network", &words).await,
    }
}

/// Why a file is no text, for who wrote it.
fn unreadable(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::InvalidData => "it is no text in UTF-8: save it in that encoding".into(),
        io::ErrorKind::FileTooLarge => {
            format!("it is larger than {} octets", limits::BOARD_TEXT_BYTES)
        }
        _ => error.to_string(),
    }
}

/// The relay of an image listens where others find it; `theirs` says otherwise where it says so.
fn with_listeners(theirs: Map<String, Value>) -> Map<String, Value> {
    let both = |port: u16| json!([format!("0.0.0.0:{port}"), format!("[::]:{port}")]);
    let listen = json!({"smtp": both(25), "submission": both(587), "submissions": both(465),
        "web": both(80)});
    let mut document = Map::new();
    document.insert("listen".into(), listen);
    document.extend(theirs);
    document
}

/// The first start: a configuration that says where to listen, and nothing else.
async fn begin(board: &Board) {
    let path = format!("{RELAY}/waypost.json");
    if board.sys.disk.open(&path, Open::Read).await.is_err() {
        let document = with_listeners(Map::new());
        if let Err(error) = keep(board, document).await {
            board.trouble(&format!("The data partition cannot be written: {error}."));
        }
    }
}

async fn keep(board: &Board, document: Map<String, Value>) -> io::Result<()> {
    let path = format!("{RELAY}/waypost.json");
    let text = serde_json::to_string_pretty(&document).map_err(io::Error::other)?;
    board.sys.replace(&path, text.into_bytes()).await?;
    board.command(&["chown", "waypost:waypost", &path]).await;
    Ok(())
}

/// Change the relay's configuration while that does not run.
async fn change(board: &Board, change: impl FnOnce(&mut Map<String, Value>)) -> io::Result<()> {
    let text = board.text(&format!("{RELAY}/waypost.json")).await;
    let Ok(Value::Object(mut document)) = serde_json::from_str(&text) else {
        return Err(io::Error::other("waypost.json on the data partition is damaged"));
    };
    change(&mut document);
    keep(board, document).await
}

async fn take_configuration(board: &Board) -> io::Result<()> {
    let text = board.text(&format!("{BOOT}/waypost.json")).await;
    // What is no document stays for its owner to mend; what is one is judged by the relay.
    let theirs = match (Document::parse(&text), serde_json::from_str(&text)) {
        (Ok(_), Ok(Value::Object(theirs))) => theirs,
        (Err(problem), _) => return refuse(board, "waypost.json", &problem.to_string()).await,
        _ => return refuse(board, "waypost.json", "it is not a JSON object").await,
    };
    let mut blank = Value::Object(theirs.clone());
    blank_secrets(&mut blank);
    // An old one comes back where the relay does not take the new one.
    let before = board.text(&format!("{RELAY}/waypost.json")).await;
    board.sys.replace(&format!("{KEPT}/waypost.json.before"), before.into_bytes()).await?;
    keep(board, with_listeners(theirs)).await?;
    let blank = serde_json::to_string_pretty(&blank).map_err(io::Error::other)?;
    wipe(board, "waypost.json", text.len()).await?;
    write(board, "waypost-taken.json", blank).await?;
    board.sys.log.line("event=configuration-taken-over");
    Ok(())
}

/// Say on the card itself why a file there was not taken.
pub async fn refuse(board: &Board, name: &str, words: &str) -> io::Result<()> {
    board.trouble(&format!("{name} on the boot partition was not taken: {words}."));
    let before = board.text(&format!("{BOOT}/{PROBLEM}")).await;
    write(board, PROBLEM, format!("{before}{name} was not taken: {words}\r\n")).await
}

/// The relay does not take what was taken over: back to what was there before.
pub async fn go_back(board: &Board, words: &str) -> bool {
    let path = format!("{KEPT}/waypost.json.before");
    let before = board.text(&path).await;
    let Ok(Value::Object(before)) = serde_json::from_str(&before) else { return false };
    if keep(board, before).await.is_err() || board.sys.disk.remove(&path).await.is_err() {
        return false;
    }
    board.command(&["mount", "-o", "remount,rw", BOOT]).await;
    let told = refuse(board, "waypost.json", words).await;
    board.command(&["mount", "-o", "remount,ro", BOOT]).await;
    told.is_ok()
}

/// The relay took it.
pub async fn settled(board: &Board) {
    let _there_may_be_none = board.sys.disk.remove(&format!("{KEPT}/waypost.json.before")).await;
}

/// Texts by which somebody could log in, empty from now on. What is hashed stays.
fn blank_secrets(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                let secret = ["password", "secret", "token", "client_secret", "refresh_token"];
                match member {
                    Value::String(text) if secret.contains(&key.as_str()) => text.clear(),
                    member => blank_secrets(member),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(blank_secrets),
        _ => {}
    }
}

/// Everything but mail starts anew.
async fn reset_all(board: &Board) -> io::Result<()> {
    for (name, _) in board.sys.disk.list(RELAY).await? {
        if !MAIL.contains(&name.as_str()) {
            board.command(&["rm", "-rf", &format!("{RELAY}/{name}")]).await;
        }
    }
    for (name, _) in board.sys.disk.list(KEPT).await? {
        board.command(&["rm", "-rf", &format!("{KEPT}/{name}")]).await;
    }
    board.sys.disk.sync_dir(RELAY).await?;
    board.sys.log.line("event=reset-all");
    begin(board).await;
    Ok(())
}

async fn write(board: &Board, name: &str, text: String) -> io::Result<()> {
    let file = board.sys.disk.open(&format!("{BOOT}/{name}"), Open::Replace).await?;
    file.write_sync(0, text.into_bytes()).await.map(drop)
}

/// Its octets are overwritten where they are: a file that is only removed is still on the card.
async fn wipe(board: &Board, name: &str, length: usize) -> io::Result<()> {
    let file = board.sys.disk.open(&format!("{BOOT}/{name}"), Open::Write).await?;
    file.write_sync(0, vec![b' '; length]).await?;
    drop(file);
    remove(board, name).await
}

async fn remove(board: &Board, name: &str) -> io::Result<()> {
    board.sys.disk.remove(&format!("{BOOT}/{name}")).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_could_log_in_with_is_blanked_and_nothing_else() {
        let mut document = json!({"hostname": "a", "routes": [{"via": "x:587", "user": "me",
            "password": "hunter2"}], "users": [{"name": "alice", "password": "clear"}],
            "oauth": [{"client_secret": "s", "id": "i"}]});
        blank_secrets(&mut document);
        assert_eq!(
            document,
            json!({"hostname": "a", "routes": [{"via": "x:587", "user": "me", "password": ""}],
            "users": [{"name": "alice", "password": ""}],
            "oauth": [{"client_secret": "", "id": "i"}]})
        );
    }

    #[test]
    fn a_configuration_is_laid_over_where_an_image_listens() {
        let Value::Object(theirs) = json!({"hostname": "a", "listen": {"smtp": ["0.0.0.0:26"]}})
        else {
            panic!("an object")
        };
        let document = with_listeners(theirs);
        assert_eq!(document["listen"], json!({"smtp": ["0.0.0.0:26"]}), "all of it is theirs");
        let document = with_listeners(Map::new());
        assert_eq!(document["listen"]["web"], json!(["0.0.0.0:80", "[::]:80"]));
    }
}
