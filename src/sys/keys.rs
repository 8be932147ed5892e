//! Keys that sign mail, and the hash they sign: the door of ring.
//!
//! Arithmetic, not the world: nothing here waits. Signing with RSA takes a millisecond on a PC and
//! tens on a board, making an RSA key a thousand times that: both are for [`super::Sys::slow`].

mod rsa;
pub mod seal;

use ring::{
    digest,
    rand::SystemRandom,
    signature::{self, Ed25519KeyPair, KeyPair, RsaKeyPair},
};
use rustls_pki_types::{PrivateKeyDer, pem::PemObject};
use std::fmt;
use zeroize::Zeroizing;

/// What a key is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// RSA with PKCS #1 v1.5 and SHA-256; of 2048 bits where it is made here, up to 4096 where it
    /// comes from elsewhere.
    Rsa,
    /// Ed25519.
    Ed25519,
}

/// A private key.
pub struct Key(Pair);

enum Pair {
    Rsa(RsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// Never shows it.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:?})", self.kind())
    }
}

impl Key {
    /// A key from its PEM file: PKCS #8 as it is made here and by openssl, or PKCS #1 as older
    /// tools write RSA keys.
    ///
    /// # Errors
    /// In words, without showing any of it.
    pub fn parse(pem: &[u8]) -> Result<Key, String> {
        let no_key = "there is no private key in PEM in it";
        let key = PrivateKeyDer::from_pem_slice(pem).map_err(|_| no_key.to_string())?;
        let rsa = |pair: Result<RsaKeyPair, ring::error::KeyRejected>| {
            pair.map(|pair| Key(Pair::Rsa(pair))).map_err(|error| {
                match error.to_string().as_str() {
                    "TooSmall" => "an RSA key of less than 2048 bits".to_string(),
                    "TooLarge" => "an RSA key of more than 4096 bits".to_string(),
                    _ => "neither an RSA nor an Ed25519 key that can be used".to_string(),
                }
            })
        };
        match key {
            PrivateKeyDer::Pkcs1(der) => rsa(RsaKeyPair::from_der(der.secret_pkcs1_der())),
            PrivateKeyDer::Pkcs8(der) => {
                let der = der.secret_pkcs8_der();
                // openssl writes Ed25519 keys without their public half.
                match Ed25519KeyPair::from_pkcs8_maybe_unchecked(der) {
                    Ok(pair) => Ok(Key(Pair::Ed25519(pair))),
                    Err(_) => rsa(RsaKeyPair::from_pkcs8(der)),
                }
            }
            _ => Err("neither an RSA nor an Ed25519 key".to_string()),
        }
    }

    /// What it is good for.
    pub fn kind(&self) -> Kind {
        match self.0 {
            Pair::Rsa(_) => Kind::Rsa,
            Pair::Ed25519(_) => Kind::Ed25519,
        }
    }

    /// The public half as DKIM publishes it: for RSA a `SubjectPublicKeyInfo` (RFC 5280 §4.1),
    /// for Ed25519 its 32 octets.
    pub fn public(&self) -> Vec<u8> {
        match &self.0 {
            Pair::Rsa(pair) => rsa::public_info(pair.public_key().as_ref()),
            Pair::Ed25519(pair) => pair.public_key().as_ref().to_vec(),
        }
    }

    /// Sign the SHA-256 of `octets`, as DKIM does with either kind: RFC 6376 §3.3.3, RFC 8463 §3.
    ///
    /// Slow.
    pub fn sign(&self, octets: &[u8]) -> Vec<u8> {
        match &self.0 {
            Pair::Rsa(pair) => {
                let mut signed = vec![0; pair.public().modulus_len()];
                let padding = &signature::RSA_PKCS1_SHA256;
                let done = pair.sign(padding, &SystemRandom::new(), octets, &mut signed);
                done.expect("the buffer is as long as the modulus");
                signed
            }
            Pair::Ed25519(pair) => {
                let hash = digest::digest(&digest::SHA256, octets);
                pair.sign(hash.as_ref()).as_ref().to_vec()
            }
        }
    }
}

/// Make a key: its PEM file.
///
/// Slow: an RSA key takes a tenth of a second on a PC.
///
/// # Errors
/// There is no chance to be had from the system.
pub fn make(kind: Kind) -> Result<Zeroizing<String>, String> {
    let random = SystemRandom::new();
    let der = match kind {
        Kind::Ed25519 => {
            let document = Ed25519KeyPair::generate_pkcs8(&random);
            let document = document.map_err(|_| "no random numbers".to_string())?;
            Zeroizing::new(document.as_ref().to_vec())
        }
        Kind::Rsa => rsa::make(&random),
    };
    let pem = rsa::pem(&der);
    // What cannot be read back and used is no key.
    Key::parse(pem.as_bytes())?.sign(b"");
    Ok(pem)
}

/// SHA-256 of what comes in pieces.
pub struct Hash(digest::Context);

impl Default for Hash {
    fn default() -> Hash {
        Hash(digest::Context::new(&digest::SHA256))
    }
}

impl Hash {
    /// More octets.
    pub fn push(&mut self, octets: &[u8]) {
        self.0.update(octets);
    }

    /// The hash of all of them.
    pub fn finish(self) -> Vec<u8> {
        self.0.finish().as_ref().to_vec()
    }
}

/// SHA-256 of these octets.
pub fn sha256(octets: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA256, octets).as_ref().to_vec()
}

/// Whether `signature` is that of `octets` by the Ed25519 key whose public half this is, 32 octets.
/// RFC 8032 §5.1.7.
pub fn is_signed(public: &[u8], octets: &[u8], signature: &[u8]) -> bool {
    signature::UnparsedPublicKey::new(&signature::ED25519, public).verify(octets, signature).is_ok()
}

#[cfg(test)]
mod tests;
