//! Octets that only a key opens: AES-256-GCM (NIST SP 800-38D) with a random nonce before them.

use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    rand::{SecureRandom, SystemRandom},
};

/// Octets of a key.
pub const KEY_BYTES: usize = 32;

/// `text`, such that only who has the key can read it, or change it or `head` unseen.
///
/// # Errors
/// There is no chance to be had from the system.
pub fn seal(key: &[u8; KEY_BYTES], head: &[u8], text: &[u8]) -> Result<Vec<u8>, String> {
    let mut nonce = [0; NONCE_LEN];
    SystemRandom::new().fill(&mut nonce).map_err(|_| "no random numbers".to_string())?;
    let mut sealed = text.to_vec();
    let tag = cipher(key)
        .seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(head),
            &mut sealed,
        )
        .map_err(|_| "too much to be sealed".to_string())?;
    Ok([&nonce, sealed.as_slice(), tag.as_ref()].concat())
}

/// What was sealed; `None`: by another key, or somebody has changed it.
pub fn open(key: &[u8; KEY_BYTES], head: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>()?;
    let nonce = Nonce::assume_unique_for_key(*nonce);
    let mut text = sealed.to_vec();
    let length = cipher(key).open_in_place(nonce, Aad::from(head), &mut text).ok()?.len();
    text.truncate(length);
    Some(text)
}

fn cipher(key: &[u8; KEY_BYTES]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("a key of 32 octets"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_key_and_head_open_what_nobody_has_changed() {
        let (key, other) = ([7; KEY_BYTES], [8; KEY_BYTES]);
        let sealed = seal(&key, b"head", b"text").expect("sealed");
        assert_eq!(open(&key, b"head", &sealed), Some(b"text".to_vec()));
        assert_eq!(open(&other, b"head", &sealed), None);
        assert_eq!(open(&key, b"heat", &sealed), None);
        for n in 0..sealed.len() {
            let mut flipped = sealed.clone();
            flipped[n] ^= 1;
            assert_eq!(open(&key, b"head", &flipped), None, "{n}");
            assert_eq!(open(&key, b"head", &sealed[..n]), None, "{n}");
        }
        assert_ne!(seal(&key, b"head", b"text").expect("sealed"), sealed, "nonces differ");
    }

    #[test]
    fn a_published_vector_opens() {
        // NIST CAVP, gcmDecrypt256: Keylen 256, IVlen 96, PTlen 128, AADlen 128, Taglen 128,
        // Count 0.
        let hex = |text: &str| -> Vec<u8> {
            let digits: Vec<u32> = text.chars().map(|c| c.to_digit(16).expect("hex")).collect();
            digits.chunks(2).map(|d| u8::try_from(d[0] * 16 + d[1]).expect("an octet")).collect()
        };
        let key = hex("92e11dcdaa866f5ce790fd24501f92509aacf4cb8b1339d50c9c1240935dd08b");
        let sealed = [
            "ac93a1a6145299bde902f21a",
            "8995ae2e6df3dbf96fac7b7137bae67f",
            "eca5aa77d51d4a0a14d9c51e1da474ab",
        ];
        let head = hex("1e0889016f67601c8ebea4943bc23ad6");
        let key: [u8; KEY_BYTES] = key.try_into().expect("32 octets");
        let text = open(&key, &head, &hex(&sealed.concat())).expect("it opens");
        assert_eq!(text, hex("2d71bcfa914e4ac045b2aa60955fad24"));
    }
}
