//! All that makes a relay this one, in one file: configuration, secrets, sign-ins and keys, but no
//! mail. A password opens it.
//!
//! A line of text that says how the key is made of the password (argon2id, RFC 9106), then the
//! files as JSON, sealed with AES-256-GCM; that line is sealed with it.

use super::{Control, Files, SECRETS, octets, problem, surroundings, write};
use crate::{
    config::{Document, Secrets},
    limits,
    relay::{
        accounts::{self, Stretch},
        grants,
        sign::KEYS,
        srs,
        trace::Event,
    },
    serve::web::office::Problem,
    sys::{Sys, keys::seal},
};
use serde::{Deserialize, Serialize};
use std::io;

/// What a file begins with, and what follows is no other version.
const MAGIC: &str = "waypost-backup-1";

/// What is sealed.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    /// Of the program that made it.
    version: String,
    /// The open part of the configuration.
    document: String,
    secrets: String,
    /// Other files by path, text all of them.
    #[serde(with = "object")]
    files: Vec<(String, String)>,
}

/// Texts by name as an object.
mod object {
    use serde::{
        Deserializer, Serializer,
        de::{MapAccess, Visitor},
    };
    use std::fmt;

    pub(super) fn serialize<S: Serializer>(
        texts: &[(String, String)],
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_map(texts.iter().map(|(name, text)| (name, text)))
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(
        from: D,
    ) -> Result<Vec<(String, String)>, D::Error> {
        from.deserialize_map(Texts)
    }

    struct Texts;

    impl<'d> Visitor<'d> for Texts {
        type Value = Vec<(String, String)>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a map")
        }

        fn visit_map<A: MapAccess<'d>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut texts = Vec::new();
            while let Some(text) = map.next_entry()? {
                texts.push(text);
            }
            Ok(texts)
        }
    }
}

fn one(words: impl Into<String>) -> Vec<Problem> {
    vec![Problem { key: String::new(), words: words.into() }]
}

impl Control {
    /// The file.
    pub async fn backup(&self, password: &str) -> Result<Vec<u8>, String> {
        if password.chars().count() < limits::WEB_PASSWORD_CHARACTERS {
            let least = limits::WEB_PASSWORD_CHARACTERS;
            return Err(format!("a password of at least {least} characters is needed"));
        }
        let sys = &self.relay.sys;
        let (document, _) = self.document.borrow().clone().split();
        let mut files = Vec::new();
        for path in paths(sys).await {
            let octets = octets(sys, &path, limits::BACKUP_BYTES).await?;
            let text = String::from_utf8(octets).map_err(|_| format!("{path} is not text"))?;
            if !text.is_empty() {
                files.push((path, text));
            }
        }
        let content = Content {
            version: env!("CARGO_PKG_VERSION").into(),
            document: document.to_string(),
            secrets: self.secrets.borrow().to_string(),
            files,
        };
        let text = serde_json::to_vec(&content).map_err(|error| error.to_string())?;
        let stretch = Stretch::new(sys);
        let head = format!("{MAGIC} {stretch}\n");
        let key = accounts::stretch(sys, password, stretch).await;
        let sealed = seal::seal(&key, head.as_bytes(), &text)?;
        self.relay.tell(Event::new("backup-made"));
        Ok([head.as_bytes(), &sealed].concat())
    }

    /// Put back what is in a file. Everything in it is looked at before anything is written.
    pub async fn put_back(&self, file: &[u8], password: &str) -> Result<(), Vec<Problem>> {
        let sys = &self.relay.sys;
        let content = opened(sys, file, password).await.map_err(one)?;
        let document = Document::parse(&content.document).map_err(|p| vec![problem(&p)])?;
        let secrets = Secrets::parse(&content.secrets).map_err(|p| vec![problem(&p)])?;
        let problems = document.clone().join(&secrets).problems(&surroundings(&self.files));
        if !problems.is_empty() {
            return Err(problems.iter().map(problem).collect());
        }
        if let Some((path, _)) = content.files.iter().find(|(path, _)| !is_ours(path)) {
            return Err(one(format!("there is a file in it that is none of ours: {path}")));
        }
        let before = self.document.borrow().clone();
        let turn = self.turn().await;
        let written = restore_files(sys, &self.files, &content, (&document, &secrets)).await;
        written.map_err(|error| one(format!("it could not be written: {error}")))?;
        drop(turn);
        self.relay.srs.forget();
        self.reload().await;
        let sign_ins = content.files.iter().rfind(|(path, _)| path == grants::FILE);
        let sign_ins = sign_ins.map_or("", |(_, text)| text);
        self.relay.grants.load(sign_ins);
        *self.previous.borrow_mut() = Some(before);
        self.relay.tell(Event::new("backup-restored").with("version", &content.version));
        Ok(())
    }
}

async fn restore_files(
    sys: &Sys,
    places: &Files,
    content: &Content,
    (document, secrets): (&Document, &Secrets),
) -> io::Result<()> {
    for dir in [KEYS, "tls"] {
        sys.disk.make_dir(dir).await?;
    }
    for (path, text) in &content.files {
        sys.replace(path, text.clone().into_bytes()).await?;
    }
    write(sys, places, document, secrets).await
}

/// Everything but the configuration.
async fn paths(sys: &Sys) -> Vec<String> {
    let mut paths = vec![grants::FILE.to_string(), srs::FILE.to_string()];
    for dir in [KEYS, "tls"] {
        let there = sys.disk.list(dir).await.unwrap_or_default();
        let inside = there.into_iter().map(|(name, _)| format!("{dir}/{name}"));
        paths.extend(inside.filter(|path| is_ours(path)));
    }
    paths.sort();
    paths
}

/// No file of a backup may lead anywhere else, whoever made it.
fn is_ours(path: &str) -> bool {
    let plain = |name: &str| {
        let fine = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        !name.is_empty() && !name.starts_with('.') && name.bytes().all(fine)
    };
    let below = |dir: &str, ends: &[&str]| {
        let name = path.strip_prefix(dir).and_then(|rest| rest.strip_prefix('/'));
        name.is_some_and(|name| plain(name) && ends.iter().any(|end| name.ends_with(end)))
    };
    path != SECRETS
        && ([grants::FILE, srs::FILE].contains(&path)
            || below(KEYS, &[".pem"])
            || below("tls", &[".pem", ".key"]))
}

async fn opened(sys: &Sys, file: &[u8], password: &str) -> Result<Content, String> {
    let none = || "this is no backup of Waypost".to_string();
    let end = file.iter().take(200).position(|octet| *octet == b'\n').ok_or_else(none)?;
    let (head, sealed) = file.split_at(end + 1);
    let line = std::str::from_utf8(head).map_err(|_| none())?.trim_end();
    let (magic, stretch) = line.split_once(' ').ok_or_else(none)?;
    if magic != MAGIC {
        return Err(none());
    }
    let stretch = Stretch::parse(stretch).ok_or_else(none)?;
    let key = accounts::stretch(sys, password, stretch).await;
    let text = seal::open(&key, head, sealed)
        .ok_or("the password is not right, or the file has been changed")?;
    serde_json::from_slice(&text).map_err(|error| format!("what is in it cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_file_of_a_backup_leads_anywhere_else() {
        for good in ["sign-ins.json", "srs.key", "keys/a.b-1.pem", "tls/self-signed.key"] {
            assert!(is_ours(good), "{good}");
        }
        for bad in [
            "",
            "secrets.json",
            "waypost.json",
            "../x.pem",
            "keys/../x.pem",
            "keys/.x.pem",
            "keys/x.sh",
            "keys//x.pem",
            "/etc/passwd",
            "tls",
            "spool/1.pem",
            "keys/a b.pem",
        ] {
            assert!(!is_ours(bad), "{bad}");
        }
    }
}
