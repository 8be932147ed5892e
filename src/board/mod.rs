//! BESIDE: the keeper of an image. It is the first program there that is ours, and runs as root;
//! the relay runs below it as a user who may do nothing, is started again where it ends, and asks
//! it for what only root may do. Nothing of it runs anywhere but on an image.
//!
//! | Where | What |
//! |---|---|
//! | [`boot_files`] | what a person puts on the boot partition: configuration, rescue, keys |
//! | [`links`], [`network`] | addresses: by DHCP, or as the file `network` says |
//! | [`wifi`] | the Wi-Fi that it names |
//! | [`clock`] | the time from servers |
//! | [`names`] | `waypost.local` |
//! | [`service`], [`stand_in`] | the relay, looked after, its last words kept; the watchdog |
//! | [`slots`], [`update`] | which root runs, and a new one |
//! | [`shell`] | SSH, where a person has put a key on the boot partition |
//! | [`desk`] | what the relay, and so the page, may ask |
//! | [`screen`] | the words on HDMI and the serial line |

pub mod boot_files;
pub mod clock;
pub mod desk;
pub mod links;
pub mod names;
pub mod network;
pub mod screen;
pub mod service;
pub mod shell;
pub mod slots;
pub mod stand_in;
pub mod update;
pub mod wifi;

use crate::{
    limits,
    sys::{Open, Signal, Sys, machine::Machine},
};
use network::Network;
use serde::Deserialize;
use slots::{Sectors, Slot, State};
use std::{cell::RefCell, io, rc::Rc};

/// What the image knows of itself.
pub const FACTS: &str = "/etc/waypost/board.json";
/// The boot partition.
pub const BOOT: &str = "/boot";
/// What the keeper keeps.
pub const KEPT: &str = "/data/board";
/// What the relay keeps.
pub const RELAY: &str = "/data/waypost";
/// What lasts until the power goes.
pub const RUN: &str = "/run/board";
/// Where the relay asks the keeper; it finds this in its environment as `WAYPOST_BOARD`.
pub const SOCKET: &str = "/run/board/keeper.sock";
/// The relay's user and group.
pub const USER: u32 = 100;

/// What the image knows of itself.
#[derive(Clone, Debug, Deserialize)]
pub struct Facts {
    /// Which board it is for, as `boards/` names it.
    pub board: String,
    /// That in words.
    pub title: String,
    /// Of its processor.
    pub architecture: String,
    /// Of the root that runs.
    pub version: String,
    /// When that was made, seconds since 1970.
    pub built: u64,
    /// Where the slots' sectors lie, octets.
    pub state_octets: u64,
}

/// The board, and what is known of it.
pub struct Board {
    /// The world.
    pub sys: Sys,
    /// The machine.
    pub machine: Rc<dyn Machine>,
    /// What the image knows of itself.
    pub facts: Facts,
    /// Which root runs.
    pub slots: Sectors,
    /// The medium.
    pub disk: String,
    /// The root that runs.
    pub slot: Slot,
    /// What changes.
    pub now: RefCell<Now>,
    /// Raised when something of it has changed that a person sees.
    pub changed: Signal,
    /// Raised when the board is to start anew: the relay ends first.
    pub over: Signal,
    /// Raised when the relay has.
    pub ended: Signal,
}

/// How the relay is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// It is starting, or hangs.
    #[default]
    Down,
    /// It has ended, and who comes is told why.
    StoodInFor,
    /// It answers on its own ports.
    Serves,
}

/// What changes.
#[derive(Clone, Debug, Default)]
pub struct Now {
    /// What the file `network` says.
    pub network: Network,
    /// Its text.
    pub network_text: String,
    /// Of the Wi-Fi, in words for a person; nothing where none is asked for.
    pub wifi: String,
    /// The interface that is in it.
    pub joined: Option<String>,
    /// The name that is answered to, without `.local`.
    pub name: String,
    /// Where we can be reached.
    pub addresses: Vec<String>,
    /// Of the clock, in words for a person.
    pub clock: String,
    /// Time servers have set it.
    pub clock_is_set: bool,
    /// The relay.
    pub relay: Standing,
    /// Who may set up the page, until somebody has.
    pub setup_code: Option<String>,
    /// What the sectors say.
    pub state: State,
    /// The relay's last words, from a run that nobody asked to end.
    pub last_words: String,
    /// What is wrong, in words for a person.
    pub troubles: Vec<String>,
    /// An update is on its way into its slot.
    pub updating: bool,
}

impl Board {
    /// Tell it to the log and, as long as the board runs, to the page.
    pub fn trouble(&self, words: &str) {
        let mut now = self.now.borrow_mut();
        if now.troubles.iter().any(|known| known == words) {
            return;
        }
        self.sys.log.line(&format!("event=board-trouble words={words:?}"));
        if now.troubles.len() < limits::BOARD_TROUBLES {
            now.troubles.push(words.to_owned());
        }
        drop(now);
        self.changed.raise();
    }

    /// Run a command of the image; its words are told where it fails.
    pub async fn command(&self, words: &[&str]) -> bool {
        match self.machine.run(words).await {
            Ok((0, _)) => true,
            Ok((code, said)) => {
                let line =
                    format!("event=command-failed code={code} words={words:?} said={said:?}");
                self.sys.log.line(&line);
                false
            }
            Err(error) => {
                self.sys.log.line(&format!("event=command-failed words={words:?} error={error}"));
                false
            }
        }
    }

    /// A small file's text; nothing where it is not there.
    pub async fn text(&self, path: &str) -> String {
        text(&self.sys, path).await.unwrap_or_default()
    }

    /// Keys of which updates are trusted: that of the image, and what a person has added.
    pub async fn keys(&self) -> Vec<String> {
        let mut keys: Vec<String> =
            update::key(&self.text("/etc/waypost/update.pub").await).into_iter().collect();
        let added = self.text(&format!("{KEPT}/update.pub")).await;
        keys.extend(added.lines().filter_map(update::key));
        keys
    }
}

/// A small file's text.
///
/// # Errors
/// The disk's; it is larger than [`limits::BOARD_TEXT_BYTES`], or no text.
pub async fn text(sys: &Sys, path: &str) -> io::Result<String> {
    let file = sys.disk.open(path, Open::Read).await?;
    let octets = file.read_at(0, limits::BOARD_TEXT_BYTES + 1).await?;
    if octets.len() > limits::BOARD_TEXT_BYTES {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    String::from_utf8(octets).map_err(|_| io::ErrorKind::InvalidData.into())
}

/// Keep the board until the power goes.
///
/// # Errors
/// In words: this is no image.
pub async fn keep(sys: Sys, machine: Rc<dyn Machine>) -> Result<(), String> {
    let no_image = |error: &dyn std::fmt::Display| {
        format!(
            "`waypost board` keeps a board that runs an image of Waypost; this is none ({error})"
        )
    };
    let facts = text(&sys, FACTS).await.map_err(|error| no_image(&error))?;
    let facts: Facts = serde_json::from_str(&facts).map_err(|error| no_image(&error))?;
    let read = async |name: &str| text(&sys, &format!("/run/boot/{name}")).await;
    let disk = read("disk").await.map_err(|error| no_image(&error))?.trim().to_owned();
    let slot = read("slot").await.map_err(|error| no_image(&error))?;
    let slot = Slot::parse(slot.trim()).ok_or_else(|| no_image(&slot))?;
    let slots = Sectors::new(&sys, &disk, facts.state_octets);
    let board = Rc::new(Board {
        sys: sys.clone(),
        machine,
        facts,
        slots,
        disk,
        slot,
        now: RefCell::default(),
        changed: Signal::default(),
        over: Signal::default(),
        ended: Signal::default(),
    });
    match board.slots.read().await {
        Ok(state) => board.now.borrow_mut().state = state,
        Err(error) => board.trouble(&format!("The card cannot be read: {error}.")),
    }
    for line in board.text(&format!("{RUN}/trouble")).await.lines() {
        board.trouble(line);
    }
    board.now.borrow_mut().last_words = board.text(&service::last_words()).await;
    clock::begin(&board).await;
    boot_files::take(&board).await;
    sys.spawn(links::keep(board.clone()));
    sys.spawn(wifi::keep(board.clone()));
    sys.spawn(clock::keep(board.clone()));
    sys.spawn(names::keep(board.clone()));
    sys.spawn(screen::keep(board.clone()));
    sys.spawn(desk::serve(board.clone()));
    sys.spawn(shell::keep(board.clone()));
    sys.spawn(service::watch(board.clone()));
    service::keep(board).await;
    Ok(())
}
