//! Which of the two roots runs: two sectors of the medium, of which one is written at a time.
//!
//! The initramfs reads and writes the same (`image/initramfs/slots.sh`): a root on trial is counted
//! there before it runs, and given up where it has been counted and nobody has said here that it is
//! good. So whatever ends a trial, a panic, a power cut or the watchdog, the old root comes back.

use crate::sys::{Open, Sys, keys};
use std::{fmt, io};

/// Octets of a sector: what a medium writes whole or not at all.
pub const SECTOR: usize = 512;
const FIRST_LINE: &str = "waypost-slots 1";

/// One of the two roots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// The second partition.
    A,
    /// The third.
    B,
}

impl Slot {
    /// Its letter.
    pub fn letter(self) -> &'static str {
        match self {
            Slot::A => "a",
            Slot::B => "b",
        }
    }

    /// By its letter.
    pub fn parse(letter: &str) -> Option<Slot> {
        [Slot::A, Slot::B].into_iter().find(|slot| slot.letter() == letter)
    }

    /// The one that is not this.
    #[must_use]
    pub fn other(self) -> Slot {
        match self {
            Slot::A => Slot::B,
            Slot::B => Slot::A,
        }
    }

    /// Number of its partition on every medium.
    pub fn partition(self) -> u8 {
        match self {
            Slot::A => 2,
            Slot::B => 3,
        }
    }
}

/// What the sectors say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// The higher one counts.
    pub sequence: u64,
    /// The root that has served.
    pub good: Slot,
    /// The root that is tried, or is to be.
    pub trial: Option<Slot>,
    /// How often that may be started.
    pub tries: u8,
    /// What came of the last trial: `new`, `updated`, `fell-back WHY`; one line.
    pub word: String,
}

impl Default for State {
    /// As the initramfs has it where no sector can be read.
    fn default() -> State {
        State { sequence: 0, good: Slot::A, trial: None, tries: 0, word: "-".into() }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let trial = self.trial.map_or("-", Slot::letter);
        let State { sequence, good, tries, word, .. } = self;
        let good = good.letter();
        writeln!(f, "{FIRST_LINE}\nsequence {sequence}\ngood {good}\ntrial {trial}")?;
        writeln!(f, "tries {tries}\nword {word}")
    }
}

impl State {
    /// Its sector.
    fn sector(&self) -> Vec<u8> {
        let mut sector = self.to_string();
        let sum = hex(&keys::sha256(sector.as_bytes()));
        sector = format!("{sector}sum {sum}\n");
        assert!(sector.len() <= SECTOR, "words are cut when they are made");
        let mut sector = sector.into_bytes();
        sector.resize(SECTOR, 0);
        sector
    }

    /// From a sector; `None` where it is not whole.
    fn read(sector: &[u8]) -> Option<State> {
        let end = sector.iter().position(|octet| *octet == 0).unwrap_or(sector.len());
        let text = std::str::from_utf8(sector.get(..end)?).ok()?;
        let (plain, sum) = text.split_once("sum ")?;
        if hex(&keys::sha256(plain.as_bytes())) != sum.trim_end() {
            return None;
        }
        let mut lines = plain.lines();
        let mut field = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(' ');
        (field("waypost-slots")? == "1").then_some(())?;
        Some(State {
            sequence: field("sequence")?.parse().ok()?,
            good: Slot::parse(field("good")?)?,
            trial: match field("trial")? {
                "-" => None,
                letter => Some(Slot::parse(letter)?),
            },
            tries: field("tries")?.parse().ok()?,
            word: field("word")?.to_owned(),
        })
    }
}

/// Lower-case hexadecimal.
pub fn hex(octets: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).expect("four bits");
    octets.iter().flat_map(|octet| [digit(octet >> 4), digit(octet & 15)]).collect()
}

/// The sectors of a medium.
pub struct Sectors {
    sys: Sys,
    disk: String,
    at: u64,
}

impl Sectors {
    /// Those at octet `at` of the device `disk`.
    pub fn new(sys: &Sys, disk: &str, at: u64) -> Sectors {
        Sectors { sys: sys.clone(), disk: disk.to_owned(), at }
    }

    /// The state that counts.
    ///
    /// # Errors
    /// The medium's.
    pub async fn read(&self) -> io::Result<State> {
        let file = self.sys.disk.open(&self.disk, Open::Read).await?;
        let both = file.read_at(self.at, 2 * SECTOR).await?;
        let whole = both.chunks(SECTOR).filter_map(State::read);
        Ok(whole.max_by_key(|state| state.sequence).unwrap_or_default())
    }

    /// Change it. Durable on return; before that, the old one counts.
    ///
    /// # Errors
    /// The medium's.
    pub async fn change(&self, change: impl FnOnce(&mut State)) -> io::Result<State> {
        let mut state = self.read().await?;
        change(&mut state);
        state.word = state.word.replace('\n', " ");
        state.word.truncate(state.word.floor_char_boundary(WORD_BYTES));
        state.sequence += 1;
        let file = self.sys.disk.open(&self.disk, Open::Write).await?;
        let place = self.at + (state.sequence % 2) * SECTOR as u64;
        file.write_sync(place, state.sector()).await?;
        Ok(state)
    }
}

/// Most octets of [`State::word`], so that a sector holds it beside all else.
const WORD_BYTES: usize = 240;

#[cfg(test)]
mod tests;
