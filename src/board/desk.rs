//! What the relay may ask of its keeper: one line of JSON there, one back.
//!
//! `{"do": "tell"}` · `{"do": "update"}` · `{"do": "restart"}` · `{"do": "network", "text": "…"}`.
//! An answer has `error`, in words for a person, or what was asked.

use super::{Board, RELAY, SOCKET, network, service, slots::Slot, update, wifi};
use crate::{limits, sys::Stream};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use serde_json::{Value, json};
use std::{rc::Rc, time::Duration};

/// Where the relay puts an update together.
const UPDATE: &str = "update.part";

/// Answer for as long as the board runs.
pub async fn serve(board: Rc<Board>) {
    let listener = match board.sys.net.listen_local(SOCKET) {
        Ok(listener) => listener,
        Err(error) => return board.trouble(&format!("The page cannot ask the board: {error}.")),
    };
    board.command(&["chown", "waypost:waypost", SOCKET]).await;
    loop {
        match listener.accept().await {
            Ok(peer) => board.sys.spawn(talk(board.clone(), peer)),
            Err(_) => board.sys.sleep(Duration::from_secs(1)).await,
        }
    }
}

async fn talk(board: Rc<Board>, mut peer: Box<dyn Stream>) {
    let mut asked = Vec::new();
    let hear = async {
        let mut octets = [0; 1024];
        while !asked.contains(&b'\n') && asked.len() <= limits::BOARD_TEXT_BYTES {
            match peer.read(&mut octets).await {
                Ok(n) if n > 0 => asked.extend(octets.get(..n).unwrap_or_default()),
                _ => return,
            }
        }
    };
    if board.sys.within(limits::BOARD_LOOK_WAIT, hear).await.is_none() {
        return;
    }
    let answer = match serde_json::from_slice(&asked) {
        Ok(asked) => act(&board, &asked).await,
        Err(_) => Err("That is no question.".into()),
    };
    let answer = answer.unwrap_or_else(|words| json!({"error": words}));
    let say = async {
        peer.write_all(format!("{answer}\n").as_bytes()).await?;
        peer.close().await
    };
    let _who_asked_may_be_gone = board.sys.within(limits::BOARD_LOOK_WAIT, say).await;
}

async fn act(board: &Rc<Board>, asked: &Value) -> Result<Value, String> {
    let text = |name: &str| asked.get(name).and_then(Value::as_str).unwrap_or_default();
    match text("do") {
        "tell" => Ok(tell(board).await),
        "update" => {
            let header = install(board).await?;
            restart(board, "update");
            Ok(json!({"version": header.version}))
        }
        "restart" => {
            restart(board, "asked");
            Ok(json!({}))
        }
        "network" => set_network(board, text("text")).await,
        _ => Err("That cannot be done here.".into()),
    }
}

async fn tell(board: &Board) -> Value {
    let memory = board.text("/proc/meminfo").await;
    let octets = |name: &str| {
        let line = memory.lines().find_map(|line| line.strip_prefix(name));
        let kibi = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
        kibi.unwrap_or(0) * 1024
    };
    let now = board.now.borrow();
    let trial = now.state.trial == Some(board.slot);
    json!({
        "board": board.facts.board,
        "title": board.facts.title,
        "architecture": board.facts.architecture,
        "version": board.facts.version,
        "built": board.facts.built,
        "slot": board.slot.letter(),
        "trial": trial,
        "outcome": now.state.word,
        "updating": now.updating,
        "name": format!("{}.local", now.name),
        "addresses": now.addresses,
        "network": now.network_text,
        "wifi": now.wifi,
        "clock": now.clock,
        "clock_is_set": now.clock_is_set,
        "last_words": now.last_words,
        "memory_octets": octets("MemTotal:"),
        "free_octets": octets("MemAvailable:"),
        "troubles": now.troubles,
    })
}

/// After the answer is out, in an orderly way.
fn restart(board: &Rc<Board>, why: &str) {
    board.sys.log.line(&format!("event=board-restarts why={why}"));
    let board = board.clone();
    board.sys.clone().spawn(async move {
        board.sys.sleep(Duration::from_secs(1)).await;
        service::end(&board).await;
        board.command(&["reboot"]).await;
    });
}

async fn install(board: &Board) -> Result<update::Header, String> {
    let mut state = board.slots.read().await.map_err(|error| error.to_string())?;
    if state.trial.is_some() && state.trial == Some(board.slot) {
        return Err("This version is itself on trial: wait some minutes, until it is kept.".into());
    }
    if std::mem::replace(&mut board.now.borrow_mut().updating, true) {
        return Err("Another update is being written.".into());
    }
    let installed = write(board, &format!("{RELAY}/{UPDATE}"), board.slot.other()).await;
    board.now.borrow_mut().updating = false;
    match &installed {
        Ok(header) => {
            board.sys.log.line(&format!("event=update-written version={}", header.version));
            state = board.slots.read().await.unwrap_or(state);
            board.now.borrow_mut().state = state;
        }
        Err(words) => board.sys.log.line(&format!("event=update-refused words={words:?}")),
    }
    installed
}

async fn write(board: &Board, file: &str, slot: Slot) -> Result<update::Header, String> {
    let keys = board.keys().await;
    let device = update::partition(&board.disk, slot.partition());
    let name = device.trim_start_matches("/dev/");
    let sectors = board.text(&format!("/sys/class/block/{name}/size")).await;
    let room = sectors.trim().parse::<u64>().map_err(|_| "There is no second slot.")? * 512;
    let check = |header: &[u8]| update::read(header, &board.facts.architecture, &keys);
    let to = (board.disk.as_str(), slot, room);
    let header = update::install(&board.sys, file, to, check).await?;
    let version = header.version.clone();
    let marked = board.slots.change(|state| {
        state.good = board.slot;
        state.trial = Some(slot);
        state.tries = 1;
        state.word = format!("trying {version}");
    });
    marked.await.map_err(|error| format!("The card cannot be written: {error}."))?;
    Ok(header)
}

/// In effect at once; a person whose board is not found any more has the boot partition.
async fn set_network(board: &Board, text: &str) -> Result<Value, String> {
    let mut network = network::parse(text)?;
    let kept = wifi::keep_network(board, &mut network, text).await;
    let kept = kept.map_err(|error| error.to_string())?;
    let mut now = board.now.borrow_mut();
    now.network = network;
    now.network_text = kept;
    Ok(json!({}))
}
