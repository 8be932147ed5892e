//! The one table of settings: what the parser knows, what the page's form shows and what the
//! reference says come from it.

mod settings;

pub use settings::SETTINGS;

use std::fmt::Write as _;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const GIB: u64 = 1024 * MIB;
const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

/// One setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its place in the document: `retry.first`, `routes[].via`.
    pub key: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// What holds where it is missing. For sizes, durations, numbers, flags and the listening
    /// addresses this text is the value itself (and is read as such); elsewhere it is words. Empty:
    /// the key must be there.
    pub default: &'static str,
    /// What it is for, in plain words.
    pub help: &'static str,
    /// A value as it stands in the document.
    pub example: &'static str,
}

/// What a setting holds. The bounds belong to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A text; what is allowed, in words.
    Text(&'static str),
    /// A text that is never shown again.
    Secret {
        /// Longest, octets.
        most: usize,
        /// What it is made of, in words.
        of: &'static str,
    },
    /// `true` or `false`.
    Flag,
    /// A whole number.
    Number {
        /// Smallest.
        min: u64,
        /// Largest.
        max: u64,
    },
    /// Octets: a number, or `256K`, `25M`, `1G` (steps of 1024).
    Size {
        /// Smallest, octets.
        min: u64,
        /// Largest, octets.
        max: u64,
    },
    /// A duration: `90s`, `1m`, `4h`, `5d`.
    Duration {
        /// Shortest, seconds.
        min: u64,
        /// Longest, seconds.
        max: u64,
    },
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A list of texts.
    List {
        /// What one of them may be, in words.
        of: &'static str,
        /// Most of them.
        most: usize,
    },
    /// A list of objects, whose keys follow in the table as `key[].name`.
    Objects {
        /// What one of them is called.
        of: &'static str,
        /// Most of them.
        most: usize,
    },
}

impl Setting {
    /// The setting with this key (`routes[].via`).
    pub fn find(key: &str) -> Option<&'static Setting> {
        SETTINGS.iter().find(|s| s.key == key)
    }

    /// The key must be there.
    pub fn is_required(&self) -> bool {
        self.default.is_empty() && !matches!(self.kind, Kind::List { .. })
            || self.key == "aliases[].to"
    }

    /// What is allowed, in words.
    pub fn allowed(&self) -> String {
        match self.kind {
            Kind::Text(words) => words.to_string(),
            Kind::Secret { most, of } => format!("a text of 1 to {most} octets, {of}"),
            Kind::Flag => "true or false".to_string(),
            Kind::Number { min, max } => format!("a whole number from {min} to {max}"),
            Kind::Size { min, max } => {
                format!("a size such as 256K, 25M or 1G, from {} to {}", size(min), size(max))
            }
            Kind::Duration { min, max } => {
                let (min, max) = (duration(min), duration(max));
                format!("a time such as 90s, 1m, 4h or 5d, from {min} to {max}")
            }
            Kind::Choice(words) => words.join(", "),
            Kind::List { of, most } => format!("a list of at most {most}, each {of}"),
            Kind::Objects { of, most } => {
                let keys = keys_below(&format!("{}[]", self.key)).collect::<Vec<_>>();
                format!("a list of at most {most}, each {of}: an object with {}", keys.join(", "))
            }
        }
    }

    /// The kind in a word or two, for forms: `text`, `secret`, `yes or no`, `number`, `size`,
    /// `time`, `choice`,
    /// `list`, `objects`.
    pub fn kind_name(&self) -> &'static str {
        match self.kind {
            Kind::Text(_) => "text",
            Kind::Secret { .. } => "secret",
            Kind::Flag => "yes or no",
            Kind::Number { .. } => "number",
            Kind::Size { .. } => "size",
            Kind::Duration { .. } => "time",
            Kind::Choice(_) => "choice",
            Kind::List { .. } => "list",
            Kind::Objects { .. } => "objects",
        }
    }
}

/// The names directly below a place of the document (`""`, `listen`, `users[]`), each once, in
/// order.
pub(super) fn keys_below(place: &str) -> impl Iterator<Item = &'static str> {
    let start = if place.is_empty() { 0 } else { place.len() + 1 };
    let mut last = "";
    SETTINGS.iter().filter_map(move |setting| {
        let inside = place.is_empty()
            || setting.key.strip_prefix(place).is_some_and(|rest| rest.starts_with('.'));
        let name = setting.key.get(start..).filter(|_| inside)?;
        let name = &name[..name.find(['.', '[']).unwrap_or(name.len())];
        let new = name != last;
        last = name;
        new.then_some(name)
    })
}

/// The table as Markdown, for the README.
pub fn reference() -> String {
    let mut text =
        String::from("| Key | Meaning | Allowed | Default | Example |\n|---|---|---|---|---|\n");
    for setting in SETTINGS {
        let default = match (setting.default, setting.kind) {
            ("", _) if setting.is_required() => "must be given".to_string(),
            ("", _) => "none".to_string(),
            (
                value,
                Kind::Number { .. } | Kind::Size { .. } | Kind::Duration { .. } | Kind::Flag,
            ) if !value.contains(' ') => {
                format!("`{value}`")
            }
            (words, _) => words.to_string(),
        };
        writeln!(
            text,
            "| `{}` | {} | {} | {} | `{}` |",
            setting.key,
            setting.help,
            in_cell(&setting.allowed()),
            in_cell(&default),
            setting.example
        )
        .expect("a String takes what is written to it");
    }
    text
}

/// Stars and angle brackets are markup in Markdown.
fn in_cell(text: &str) -> String {
    text.replace('*', "\\*").replace('|', "\\|")
}

/// Octets in the largest unit that keeps them whole.
pub(super) fn size(octets: u64) -> String {
    let units = [(GIB, "G"), (MIB, "M"), (KIB, "K")];
    match units.iter().find(|(unit, _)| octets >= *unit && octets.is_multiple_of(*unit)) {
        Some((unit, name)) => format!("{}{name}", octets / unit),
        None => octets.to_string(),
    }
}

/// Seconds in the largest unit that keeps them whole.
fn duration(seconds: u64) -> String {
    let units = [(DAY, "d"), (HOUR, "h"), (60, "m")];
    match units.iter().find(|(unit, _)| seconds >= *unit && seconds.is_multiple_of(*unit)) {
        Some((unit, name)) => format!("{}{name}", seconds / unit),
        None => format!("{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_of_a_place_are_told_once_and_in_order() {
        let keys = |place| keys_below(place).collect::<Vec<_>>();
        assert_eq!(keys("listen"), ["smtp", "submission", "submissions", "web"]);
        assert_eq!(keys("users[]"), ["name", "password", "quota", "send_as"]);
        assert_eq!(keys("")[..4], ["hostname", "listen", "trusted", "devices"]);
        assert_eq!(keys("").len(), 25);
        assert!(keys("nonsense").is_empty() && keys("listen.smtp").is_empty());
    }

    #[test]
    fn every_setting_is_documented_once() {
        for (n, setting) in SETTINGS.iter().enumerate() {
            assert!(setting.help.ends_with('.'), "{}", setting.key);
            assert!(setting.help.len() < 120, "{}", setting.key);
            assert!(SETTINGS[..n].iter().all(|s| s.key != setting.key), "{} twice", setting.key);
            assert!(reference().contains(&format!("| `{}` |", setting.key)));
        }
    }

    #[test]
    fn sizes_and_times_print_as_people_write_them() {
        assert_eq!([size(1), size(1536), size(25 * MIB)], ["1", "1536", "25M"]);
        assert_eq!([duration(1), duration(90), duration(2 * DAY)], ["1s", "90s", "2d"]);
    }
}
