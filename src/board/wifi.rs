//! The Wi-Fi of the file `network`: one radio joins it, by `wpa_supplicant`, and says how it is.

use super::{Board, KEPT, RUN, network};
use crate::{
    limits,
    sys::machine::{Command, Program},
    time::Instant,
};
use futures_lite::FutureExt;
use network::{KEPT_PASSWORD, Network, Wifi};
use std::{io, rc::Rc};

fn password() -> String {
    format!("{KEPT}/wifi-password")
}

/// Put the kept password where the file `network` says that there is one; a new one is kept, and
/// one that is of no use any more goes.
///
/// # Errors
/// The disk's; `InvalidInput`: none is kept.
pub async fn keep_password(board: &Board, network: &mut Network) -> io::Result<()> {
    let path = password();
    match network.wifi.as_mut().map(|wifi| &mut wifi.password) {
        Some(Some(kept)) if kept == KEPT_PASSWORD => {
            *kept = board.text(&path).await;
            if kept.is_empty() {
                let words = "no password is kept: write it where (kept) stands";
                return Err(io::Error::new(io::ErrorKind::InvalidInput, words));
            }
            Ok(())
        }
        Some(Some(new)) => board.sys.replace(&path, new.clone().into_bytes()).await,
        _ => {
            let _there_may_be_none = board.sys.disk.remove(&path).await;
            Ok(())
        }
    }
}

/// Keep what a person has written, its password apart from the rest. Tells the rest.
///
/// # Errors
/// As [`keep_password`].
pub async fn keep_network(board: &Board, network: &mut Network, text: &str) -> io::Result<String> {
    keep_password(board, network).await?;
    let rest = network::without_password(text);
    board.sys.replace(&format!("{KEPT}/network"), rest.clone().into_bytes()).await?;
    Ok(rest)
}

/// Be in the Wi-Fi for as long as the board runs, and the file `network` names one.
pub async fn keep(board: Rc<Board>) {
    // When the kernel was asked for what the radio lacks.
    let mut asked: Option<Instant> = None;
    loop {
        let wifi = board.now.borrow().network.wifi.clone();
        let radio = board.machine.radios().into_iter().next();
        match (wifi, radio) {
            (None, _) => {
                asked = None;
                tell(&board, "");
            }
            (Some(_), None) => {
                let now = board.sys.clock.now();
                if asked.is_none_or(|asked| now.since(asked) >= limits::BOARD_FIRMWARE_EVERY) {
                    asked = Some(now);
                    let words = missing(&board).await;
                    tell(&board, &words);
                }
            }
            (Some(wifi), Some(radio)) => {
                asked = None;
                join(&board, &radio, &wifi).await;
            }
        }
        board.now.borrow_mut().joined = None;
        board.sys.sleep(limits::BOARD_LINKS_EVERY).await;
    }
}

fn tell(board: &Board, words: &str) {
    if board.now.borrow().wifi != words {
        board.sys.log.line(&format!("event=wifi words={words:?}"));
        words.clone_into(&mut board.now.borrow_mut().wifi);
        board.changed.raise();
    }
}

/// Why there is no radio.
async fn missing(board: &Board) -> String {
    // Only these lines: of all that the kernel has said, no more than the end would be told.
    let ask = ["sh", "-c", "dmesg | grep 'Direct firmware load for'"];
    let said = board.machine.run(&ask).await.map(|(_, said)| said).unwrap_or_default();
    match wanted_firmware(&said) {
        Some(file) => format!(
            "The Wi-Fi of this board asks for a file that the image does not have: {file}. Put it \
             into the folder firmware of the boot partition."
        ),
        None => "No Wi-Fi is found in this board.".into(),
    }
}

/// The file that the kernel did not find: `… Direct firmware load for NAME failed with error -2`.
fn wanted_firmware(kernel: &str) -> Option<&str> {
    kernel.lines().rev().find_map(|line| {
        let (_, rest) = line.split_once("Direct firmware load for ")?;
        let (file, _) = rest.split_once(" failed")?;
        // Of these the chip has an own one, or none is needed.
        (!file.starts_with("regulatory.db") && !file.ends_with(".clm_blob")).then_some(file)
    })
}

/// Until the file `network` says something else, the radio is gone, or the program ends.
async fn join(board: &Rc<Board>, radio: &str, wifi: &Wifi) {
    let path = format!("{RUN}/wifi.conf");
    let text = network::supplicant(wifi).into_bytes();
    let started = match board.sys.replace(&path, text).await {
        Ok(()) => {
            let words = ["wpa_supplicant", "-Dnl80211", "-i", radio, "-c", &path];
            let words = words.map(String::from).to_vec();
            board.machine.start(&Command { words, ..Command::default() })
        }
        Err(error) => Err(error),
    };
    let mut program = match started {
        Ok(program) => program,
        Err(error) => return tell(board, &format!("The Wi-Fi cannot be joined: {error}.")),
    };
    tell(board, &format!("Looking for {}.", wifi.name));
    let mut why = String::from("its program ended");
    loop {
        match hear(board, &mut program).await {
            Heard::Nothing => {}
            Heard::Line(line) => {
                if line.contains("CTRL-EVENT-CONNECTED") {
                    board.now.borrow_mut().joined = Some(radio.to_owned());
                }
                if let Some(words) = meaning(&line, &wifi.name) {
                    tell(board, &words);
                }
                if ["ailed", "rror", "ould not"].iter().any(|word| line.contains(word)) {
                    why = line;
                }
            }
            Heard::End => {
                board.now.borrow_mut().joined = None;
                tell(board, &format!("The Wi-Fi cannot be joined: {why}."));
                // It may be a moment too early, and then it ends at once.
                return board.sys.sleep(limits::BOARD_WIFI_REST).await;
            }
        }
        // Also where it talks without a pause, as it does while a radio cannot scan.
        let is_same = board.now.borrow().network.wifi.as_ref() == Some(wifi);
        if !is_same || !board.machine.radios().iter().any(|name| name == radio) {
            program.end();
            let to_its_end = async { while program.line().await.is_some() {} };
            // What does not end is killed where it is dropped.
            board.sys.within(limits::BOARD_END_WAIT, to_its_end).await;
            return;
        }
    }
}

enum Heard {
    Line(String),
    End,
    /// For [`limits::BOARD_LINKS_EVERY`].
    Nothing,
}

async fn hear(board: &Board, program: &mut Box<dyn Program>) -> Heard {
    let late = async {
        board.sys.sleep(limits::BOARD_LINKS_EVERY).await;
        Heard::Nothing
    };
    let line = async { program.line().await.map_or(Heard::End, Heard::Line) };
    line.or(late).await
}

/// What a line of `wpa_supplicant` means for a person.
fn meaning(line: &str, name: &str) -> Option<String> {
    let has = |word: &str| line.contains(word);
    Some(if has("CTRL-EVENT-CONNECTED") {
        format!("In {name}.")
    } else if has("reason=WRONG_KEY") || has("reason=AUTH_FAILED") || has("CTRL-EVENT-AUTH-REJECT")
    {
        format!("{name} does not let this board in: the password is wrong, most likely.")
    } else if has("CTRL-EVENT-ASSOC-REJECT") {
        format!("{name} does not take this board: its access point may be full, or have a list.")
    } else if has("CTRL-EVENT-DISCONNECTED") {
        format!("{name} is not there any more, or not heard: it is looked for.")
    } else {
        return None;
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_supplicant_are_told_in_words() {
        let words = |line: &str| meaning(line, "home").unwrap_or_default();
        assert_eq!(
            words("wlan0: CTRL-EVENT-CONNECTED - Connection to 02:00:00:00:01:00 completed"),
            "In home."
        );
        let wrong = "wlan0: CTRL-EVENT-SSID-TEMP-DISABLED id=0 ssid=\"home\" auth_failures=1 \
                     duration=10 reason=WRONG_KEY";
        assert!(words(wrong).contains("the password is wrong"));
        assert!(words("wlan0: CTRL-EVENT-ASSOC-REJECT bssid=x status_code=17").contains("full"));
        assert!(words("wlan0: CTRL-EVENT-DISCONNECTED bssid=x reason=3").contains("looked for"));
        assert_eq!(words("wlan0: SME: Trying to authenticate with 02:00:00:00:01:00"), "");
    }

    #[test]
    fn a_file_that_the_kernel_misses_is_named() {
        let said = "[ 1.0] mmc0: new card\n[ 2.0] brcmfmac mmc1:0001:1: Direct firmware load for \
                    brcm/brcmfmac43436-sdio.bin failed with error -2\n[ 3.0] platform \
                    regulatory.0: Direct firmware load for regulatory.db failed with error -2\n\
                    [ 3.1] brcmfmac: Direct firmware load for brcm/x.clm_blob failed with error -2";
        assert_eq!(wanted_firmware(said), Some("brcm/brcmfmac43436-sdio.bin"));
        assert_eq!(wanted_firmware("[ 1.0] all is well"), None);
    }
}
