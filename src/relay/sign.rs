//! Signing what our own send: which keys there are, and what they make of a message. RFC 6376 §5.
//!
//! A message is signed when it is about to be sent, by the keys of that moment, and over the octets
//! that are sent. So the body is read twice, once to be hashed and once to be sent: what has just
//! been read is in memory still, and hashing costs less than encrypting. A hash kept since the
//! message came in would cost every message that is not signed, or not sent, and be wrong for one
//! that is written anew for a server that takes no 8-bit bodies, say ([`crate::relay::recast`]).

use crate::{
    config::Config,
    limits,
    proto::{
        dns,
        mail::{
            dkim::{self, Algorithm, Claim, Record},
            header,
        },
    },
    relay::envelope::Octets,
    sys::{
        Open, Pending, Sys,
        keys::{Hash, Key, Kind},
    },
};
use std::{cell::RefCell, io, rc::Rc, sync::Arc};

/// Where keys lie, in the data directory.
pub const KEYS: &str = "keys";

/// The keys that there are.
#[derive(Default)]
pub struct Keyring(RefCell<Vec<Rc<Signer>>>);

/// A key with what the world knows it by.
#[derive(Debug)]
pub struct Signer {
    /// Whose mail it signs, as it is configured.
    pub domain: String,
    /// The key's name.
    pub selector: String,
    /// The domain in A-labels.
    ascii: String,
    key: Arc<Key>,
}

impl Signer {
    /// How it signs.
    pub fn algorithm(&self) -> Algorithm {
        match self.key.kind() {
            Kind::Rsa => Algorithm::Rsa,
            Kind::Ed25519 => Algorithm::Ed25519,
        }
    }

    /// What has to be published.
    pub fn record(&self) -> Record {
        Record::new(self.algorithm(), &self.selector, &self.ascii, &self.key.public())
    }
}

/// What became of a message that may be signed.
#[derive(Debug, PartialEq, Eq)]
pub enum Signed {
    /// Nothing: we have no key for whoever it is from, or it has that domain's signature already.
    No,
    /// There was a key and no signature; why, in words.
    Failed(String),
    /// By these keys, `selector._domainkey.domain (algorithm)` each; the fields go before the
    /// header.
    By {
        /// Which keys.
        keys: Vec<String>,
        /// Fields with their line ends.
        fields: Vec<u8>,
    },
}

/// The file of a key.
pub fn path(domain: &str, selector: &str) -> String {
    format!("{KEYS}/{domain}.{selector}.pem")
}

impl Keyring {
    /// Read the keys that the configuration names, in place of those there were. Tells what is
    /// wrong with those that cannot be used, in words; the others sign.
    pub async fn load(&self, sys: &Sys, config: &Config) -> Vec<String> {
        let (mut keys, mut troubles) = (Vec::new(), Vec::new());
        for signing in &config.signing {
            let path = path(&signing.domain, &signing.selector);
            let fault = |words: String| format!("{path}: {words}");
            match (read(sys, &path).await, dns::ascii_name(&signing.domain)) {
                (Ok(key), Some(ascii)) => keys.push(Rc::new(Signer {
                    domain: signing.domain.clone(),
                    selector: signing.selector.clone(),
                    ascii,
                    key: Arc::new(key),
                })),
                (Err(words), _) => troubles.push(fault(words)),
                (_, None) => troubles.push(fault("the domain is no name in DNS".to_string())),
            }
        }
        *self.0.borrow_mut() = keys;
        troubles
    }

    /// All keys, in the order of the configuration.
    pub fn all(&self) -> Vec<Rc<Signer>> {
        self.0.borrow().clone()
    }

    /// The keys of a domain, or of the nearest one above it: mail from `camera.example.org` is
    /// `example.org`'s to sign, and aligned with it (RFC 7489 §3.1.1).
    pub fn of(&self, domain: &str) -> Vec<Rc<Signer>> {
        let keys = self.0.borrow();
        let mut name = Some(domain);
        while let Some(this) = name {
            let found: Vec<_> = keys.iter().filter(|key| key.ascii == this).cloned().collect();
            if !found.is_empty() {
                return found;
            }
            name = this.split_once('.').map(|(_, above)| above);
        }
        Vec::new()
    }

    /// Sign a message as it is: every key of its author's domain makes a signature, so that a
    /// verifier that does not know Ed25519 has the RSA one, and one that does not find a new key
    /// yet has the old one.
    ///
    /// # Errors
    /// The message could not be read.
    pub async fn sign(&self, sys: &Sys, message: &dyn Octets) -> io::Result<Signed> {
        if self.0.borrow().is_empty() {
            return Ok(Signed::No);
        }
        let mut reader = header::Reader::default();
        let mut offset = 0;
        while offset < message.size() {
            let octets = chunk(message, &mut offset).await?;
            match reader.push(&octets) {
                Ok(header::Progress::More) => {}
                Ok(header::Progress::Whole) => break,
                Err(header::TooLong) => return Ok(Signed::Failed("the header is too long".into())),
            }
        }
        let header::Parts { header, body } = reader.finish();
        let Some(domain) = dkim::author_domain(&header) else { return Ok(Signed::No) };
        let keys = self.of(&domain);
        if keys.first().is_none_or(|key| dkim::is_signed_by(&header, &key.ascii)) {
            return Ok(Signed::No);
        }
        let mut hash = Hash::default();
        let mut canonical = dkim::Body::default();
        canonical.push(&body, |octets| hash.push(octets));
        drop(body);
        while offset < message.size() {
            let octets = chunk(message, &mut offset).await?;
            canonical.push(&octets, |octets| hash.push(octets));
        }
        canonical.finish(|octets| hash.push(octets));
        Ok(fields(sys, &keys, &header, &hash.finish()).await)
    }
}

async fn read(sys: &Sys, path: &str) -> Result<Key, String> {
    let missing = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => "the key is not there".to_string(),
        _ => format!("it cannot be read: {error}"),
    };
    let file = sys.disk.open(path, Open::Read).await.map_err(missing)?;
    let pem = file.read_at(0, limits::KEY_FILE_BYTES + 1).await.map_err(missing)?;
    if pem.len() > limits::KEY_FILE_BYTES {
        return Err("it is too long for a key".to_string());
    }
    Key::parse(&zeroize::Zeroizing::new(pem))
}

/// The next octets of a message, which has some.
async fn chunk(message: &dyn Octets, offset: &mut u64) -> io::Result<Vec<u8>> {
    let octets = message.chunk(*offset).await?;
    if octets.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    *offset += octets.len() as u64;
    Ok(octets)
}

/// A field of each key.
async fn fields(sys: &Sys, keys: &[Rc<Signer>], header: &[u8], body_hash: &[u8]) -> Signed {
    let names = dkim::names(header);
    let (mut made, mut fields) = (Vec::new(), Vec::new());
    for signer in keys {
        let claim = Claim {
            algorithm: signer.algorithm(),
            domain: &signer.ascii,
            selector: &signer.selector,
            wall: sys.clock.wall(),
            names: &names,
            body_hash,
        };
        let (key, octets) = (signer.key.clone(), claim.octets(header));
        let Some(signature) = sys.slow(move || key.sign(&octets)).await else {
            return Signed::Failed(format!("{} could not be used", signer.record().name));
        };
        fields.extend_from_slice(claim.field(&signature).as_bytes());
        let (name, algorithm) = (signer.record().name, signer.algorithm().name());
        made.push(format!("{name} ({algorithm})"));
    }
    Signed::By { keys: made, fields }
}

/// A message with further fields before its own.
pub struct Topped<B> {
    /// The fields, with their line ends.
    pub fields: Vec<u8>,
    /// The message.
    pub message: B,
}

impl<B: Octets> Octets for Topped<B> {
    fn size(&self) -> u64 {
        self.fields.size() + self.message.size()
    }

    fn chunk(&self, offset: u64) -> Pending<'_, io::Result<Vec<u8>>> {
        match offset.checked_sub(self.fields.size()) {
            None => self.fields.chunk(offset),
            Some(offset) => self.message.chunk(offset),
        }
    }
}

#[cfg(test)]
mod tests;
