//! Keys that sign: made, shown and retired. The configuration names them; each is a file of its own
//! that nothing shows.

use super::{Control, problem, surroundings};
use crate::{
    config::{Document, Signing, Via},
    relay::{
        envelope::Id,
        sign::{KEYS, Signer, path},
        trace::Event,
    },
    serve::web::office::{KeyRow, Keys, Problem},
    sys::{
        Open,
        keys::{self, Kind},
    },
    time::Wall,
};
use std::io;

/// A domain has a key of each kind: many verifiers do not know Ed25519 yet (RFC 8463 §5).
const KINDS: [(Kind, &str); 2] = [(Kind::Rsa, "rsa"), (Kind::Ed25519, "ed25519")];

impl Control {
    /// Read the keys that the configuration names. What cannot be used is told.
    pub async fn load_keys(&self) {
        let troubles = self.relay.keyring.load(&self.relay.sys, &self.relay.config()).await;
        self.trouble("signing", &troubles);
    }

    /// The keys, and which mail they do not sign.
    pub fn keys(&self) -> Keys {
        let keys: Vec<KeyRow> = self.relay.keyring.all().iter().map(|key| row(key)).collect();
        let mut notes = Vec::new();
        for (n, route) in self.relay.config().routes.iter().enumerate() {
            let way = match &route.via {
                Via::Smarthost(host, port) => format!("{host}:{port}"),
                Via::Mx => "mx".to_string(),
                Via::Discard => continue,
            };
            if !route.sign && !keys.is_empty() {
                notes.push(format!(
                    "What goes through {way} is not signed. If it should be, set routes[{n}].sign \
                     to true; most providers sign themselves."
                ));
            }
        }
        Keys { keys, notes }
    }

    /// Make a key of each kind and sign with them from now on. The files are durable before the
    /// configuration names them.
    pub async fn make_keys(&self, domain: &str, selector: &str) -> Result<Keys, String> {
        let turn = self.turn().await;
        let selector = match selector.trim() {
            "" => self.unused_selector(),
            given => given.to_string(),
        };
        let mut document = self.document.borrow().clone();
        for (_, kind) in KINDS {
            add(&mut document, domain.trim(), &format!("{selector}-{kind}"))?;
        }
        let config = document.config(&surroundings(&self.files)).map_err(|problems| {
            let words = problems.iter().map(problem).map(|Problem { words, .. }| words);
            words.collect::<Vec<_>>().join("; ")
        })?;
        let new = &config.signing[config.signing.len() - KINDS.len()..];
        let mut written = Vec::new();
        let mut done = Ok(());
        for (signing, (kind, _)) in new.iter().zip(KINDS) {
            if done.is_ok() {
                done = self.make_key(signing, kind).await.map(|path| written.push(path));
            }
        }
        if done.is_ok() {
            done = self.keep(&turn, document).await;
        }
        if let Err(words) = done {
            for path in written {
                self.forget(&path).await;
            }
            return Err(words);
        }
        for signing in new {
            self.relay.tell(Event::new("key-made").with("key", name(signing)));
        }
        let of = |row: &KeyRow| new.iter().any(|new| is(row, new));
        let Keys { mut keys, notes } = self.keys();
        keys.retain(of);
        Ok(Keys { keys, notes })
    }

    /// Sign with these keys no more; then their files go. Tells the keys that were retired, whose
    /// records should stay published for some days: mail that they have signed is on its way.
    pub async fn retire_keys(&self, domain: &str, selector: &str) -> Result<Keys, String> {
        let turn = self.turn().await;
        let config = self.relay.config();
        let (domain, selector) = (domain.trim().to_lowercase(), selector.trim().to_lowercase());
        let meant = |key: &Signing| {
            key.domain == domain
                && key.selector.strip_prefix(selector.as_str()).is_some_and(|rest| {
                    rest.is_empty() || KINDS.iter().any(|(_, k)| rest.strip_prefix('-') == Some(k))
                })
        };
        let places = config.signing.iter().enumerate().filter(|(_, key)| meant(key));
        let places: Vec<(usize, &Signing)> = places.collect();
        if places.is_empty() {
            return Err(format!("there is no key {selector} of {domain}"));
        }
        let rows = self.keys().keys;
        let mut document = self.document.borrow().clone();
        for (n, _) in places.iter().rev() {
            document.remove(&format!("signing[{n}]"));
        }
        self.keep(&turn, document).await?;
        for (_, key) in &places {
            self.relay.tell(Event::new("key-retired").with("key", name(key)));
            self.forget(&path(&key.domain, &key.selector)).await;
        }
        let retired = |row: &KeyRow| places.iter().any(|(_, key)| is(row, key));
        Ok(Keys { keys: rows.into_iter().filter(retired).collect(), notes: Vec::new() })
    }

    /// A name by its month, where that is known, and by chance: one that was used must not come
    /// again, or mail that the old key signed would be held against the new.
    fn unused_selector(&self) -> String {
        let sys = &self.relay.sys;
        let chance = Id::new(sys.dice.roll()).to_string().to_lowercase();
        match sys.clock.wall().map(Wall::civil) {
            Some(date) => format!("wp{:04}{:02}{}", date.year, date.month, &chance[7..]),
            None => format!("wp{chance}"),
        }
    }

    /// The path of the new key's file.
    async fn make_key(&self, signing: &Signing, kind: Kind) -> Result<String, String> {
        let sys = &self.relay.sys;
        let path = path(&signing.domain, &signing.selector);
        let fault = |error: io::Error| format!("{path} could not be written: {error}");
        match sys.disk.open(&path, Open::Read).await {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(fault(error)),
            Ok(_) => return Err(format!("there is a file {path} already: choose another name")),
        }
        let made = sys.slow(move || keys::make(kind)).await;
        let pem = made.unwrap_or_else(|| Err("no key could be made".to_string()))?;
        sys.disk.make_dir(KEYS).await.map_err(fault)?;
        sys.disk.sync_dir(".").await.map_err(fault)?;
        sys.replace(&path, pem.to_string().into_bytes()).await.map_err(fault)?;
        Ok(path)
    }

    /// What is not named any more does no harm if it stays.
    async fn forget(&self, path: &str) {
        let disk = &self.relay.sys.disk;
        let gone = match disk.remove(path).await {
            Ok(()) => disk.sync_dir(KEYS).await,
            Err(error) => Err(error),
        };
        if let Err(error) = gone {
            let words = format!("{path} could not be removed: {error}");
            self.relay.tell(Event::new("trouble").with("about", "signing").with("words", words));
        }
    }
}

fn add(document: &mut Document, domain: &str, selector: &str) -> Result<(), String> {
    let keys = document.get("signing").and_then(|keys| keys.as_array()).map_or(0, Vec::len);
    for (key, text) in [("domain", domain), ("selector", selector)] {
        let path = format!("signing[{keys}].{key}");
        document.set(&path, text.into()).map_err(|problem| problem.to_string())?;
    }
    Ok(())
}

fn row(key: &Signer) -> KeyRow {
    let record = key.record();
    KeyRow {
        domain: key.domain.clone(),
        selector: key.selector.clone(),
        algorithm: key.algorithm().key_type().to_string(),
        zone: record.to_string(),
        name: record.name,
        text: record.text,
    }
}

fn is(row: &KeyRow, key: &Signing) -> bool {
    row.domain == key.domain && row.selector == key.selector
}

fn name(key: &Signing) -> String {
    format!("{}._domainkey.{}", key.selector, key.domain)
}
