//! What is known of providers: their server, what they want to be logged in with, whom they take as
//! sender and how much they take. One file each in `providers/`, with where it is documented.

use super::{Pace, document::value};
use serde::Serialize;
use serde_json::{Map, Value};

/// What a person has to know of a provider, and what a route need not say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Profile {
    /// What a route calls it.
    pub name: &'static str,
    /// What it calls itself.
    pub title: String,
    /// Server and port; `None`: each customer has another.
    pub via: Option<String>,
    /// What that may look like.
    pub example: Option<String>,
    /// What to log in as, in words.
    pub user: String,
    /// What with, in words.
    pub password: String,
    /// Where people sign in with it, as `routes[].oauth`.
    pub oauth: Option<String>,
    /// Whom it takes as sender.
    pub senders: Senders,
    /// What an SPF record includes, where mail of one's own domain leaves through it.
    pub spf: Option<String>,
    /// Octets of the largest message, where that is documented.
    pub size: Option<u64>,
    /// How much it takes, where that is documented.
    pub pace: Pace,
    /// What else matters, in sentences.
    pub notes: Vec<String>,
    /// Where all this is documented.
    pub sources: Vec<String>,
}

/// Whom a provider takes as sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Senders {
    /// The address of the account.
    Own,
    /// What the account has proved to be its own.
    Verified,
    /// Anybody, as far as is known.
    Any,
}

macro_rules! profiles {
    ($($name:literal),+ $(,)?) => {
        /// Their names.
        pub(super) const NAMES: &[&str] = &[$($name),+];
        const FILES: &[(&str, &str)] =
            &[$(($name, include_str!(concat!("providers/", $name, ".json")))),+];
    };
}

profiles![
    "gmail",
    "google-workspace",
    "microsoft-365",
    "outlook",
    "icloud",
    "fastmail",
    "yahoo",
    "gmx",
    "amazon-ses",
    "mailgun",
    "sendgrid",
    "postmark",
    "brevo",
    "mailjet",
    "generic",
];

/// All of them, the most wanted first.
pub fn profiles() -> impl Iterator<Item = Profile> {
    FILES.iter().map(|(name, text)| read(name, text).expect("a test has read it"))
}

/// The one of this name.
pub fn profile(name: &str) -> Option<Profile> {
    let (name, text) = FILES.iter().find(|(known, _)| *known == name)?;
    read(name, text)
}

fn read(name: &'static str, text: &str) -> Option<Profile> {
    let value = value(text).ok()?;
    let object = value.as_object()?;
    let text = |key: &str| object.get(key).and_then(Value::as_str).map(str::to_string);
    let texts = |key: &str| {
        let list = object.get(key).and_then(Value::as_array).into_iter().flatten();
        list.filter_map(Value::as_str).map(str::to_string).collect::<Vec<_>>()
    };
    Some(Profile {
        name,
        title: text("title")?,
        via: text("via"),
        example: text("example"),
        user: text("user")?,
        password: text("password")?,
        oauth: text("oauth"),
        senders: match text("senders")?.as_str() {
            "own" => Senders::Own,
            "verified" => Senders::Verified,
            "any" => Senders::Any,
            _ => return None,
        },
        spf: text("spf"),
        size: object.get("size").and_then(Value::as_u64),
        pace: pace(object.get("pace").and_then(Value::as_object)),
        notes: texts("notes"),
        sources: texts("sources"),
    })
}

fn pace(object: Option<&Map<String, Value>>) -> Pace {
    let number = |key: &str| {
        let number = object?.get(key)?.as_u64()?;
        u32::try_from(number).ok()
    };
    Pace {
        per_minute: number("per_minute"),
        per_hour: number("per_hour"),
        per_day: number("per_day"),
        connections: number("connections"),
        per_connection: number("per_connection"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::values, proto::oauth::Provider};

    #[test]
    fn every_profile_is_whole_and_says_where_it_is_from() {
        for (name, text) in FILES {
            let profile = read(name, text).unwrap_or_else(|| panic!("{name} cannot be read"));
            let object = value(text).expect("JSON");
            for key in object.as_object().expect("an object").keys() {
                let known = [
                    "title", "via", "example", "user", "password", "oauth", "senders", "spf",
                    "size", "pace", "notes", "sources",
                ];
                assert!(known.contains(&key.as_str()), "{name}: {key}");
            }
            let paces = object.get("pace").and_then(Value::as_object);
            for key in paces.into_iter().flat_map(Map::keys) {
                let known = ["per_minute", "per_hour", "per_day", "connections", "per_connection"];
                assert!(known.contains(&key.as_str()), "{name}: {key}");
            }
            let server = profile.via.as_ref().or(profile.example.as_ref());
            let server = server.unwrap_or_else(|| panic!("{name} has no server"));
            assert!(values::via(server).is_some() && server.contains(':'), "{name}: {server}");
            if let Some(oauth) = &profile.oauth {
                assert!(Provider::built_in(oauth).is_some(), "{name}");
            }
            let https = profile.sources.iter().all(|source| source.starts_with("https://"));
            assert!(https && (*name == "generic" || !profile.sources.is_empty()), "{name}");
            assert!(profile.notes.iter().all(|note| note.ends_with('.')), "{name}");
        }
        assert_eq!(profiles().count(), NAMES.len());
        assert_eq!(profile("gmail").map(|p| p.title).as_deref(), Some("Gmail"));
        assert_eq!(profile("nobody"), None);
    }
}
