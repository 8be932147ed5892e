//! Keys that were made here and elsewhere.

use super::*;
use ring::signature::{ED25519, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};

fn verifies(key: &Key, octets: &[u8], signature: &[u8]) -> bool {
    match &key.0 {
        Pair::Rsa(pair) => {
            UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public_key().as_ref())
                .verify(octets, signature)
                .is_ok()
        }
        Pair::Ed25519(pair) => {
            let hash = digest::digest(&digest::SHA256, octets);
            UnparsedPublicKey::new(&ED25519, pair.public_key().as_ref())
                .verify(hash.as_ref(), signature)
                .is_ok()
        }
    }
}

#[test]
fn keys_that_are_made_sign_and_are_all_different() {
    for (kind, public_bytes, signature_bytes) in [(Kind::Rsa, 294, 256), (Kind::Ed25519, 32, 64)] {
        let made: Vec<_> = (0..2).map(|_| make(kind).expect("made")).collect();
        assert!(made[0] != made[1]);
        for pem in made {
            let key = Key::parse(pem.as_bytes()).expect("as it was made");
            assert_eq!(key.kind(), kind);
            assert_eq!(key.public().len(), public_bytes);
            let signature = key.sign(b"octets");
            assert_eq!(signature.len(), signature_bytes);
            assert!(verifies(&key, b"octets", &signature));
            assert!(!verifies(&key, b"octet", &signature));
        }
    }
}

#[test]
fn keys_of_other_tools_are_read() {
    for (name, kind) in [
        ("openssl-rsa.pem", Kind::Rsa),
        ("openssl-rsa-traditional.pem", Kind::Rsa),
        ("openssl-ed25519.pem", Kind::Ed25519),
    ] {
        let path = format!("{}/tests/keys/{name}", env!("CARGO_MANIFEST_DIR"));
        let pem = std::fs::read(path).expect("it is there");
        let key = Key::parse(&pem).unwrap_or_else(|words| panic!("{name}: {words}"));
        assert_eq!(key.kind(), kind, "{name}");
        assert!(verifies(&key, b"x", &key.sign(b"x")), "{name}");
    }
}

#[test]
fn what_is_no_key_is_told_in_words_without_any_of_it() {
    let small = include_bytes!("../../../tests/keys/openssl-rsa-1024.pem");
    let curve = include_bytes!("../../../tests/keys/openssl-p256.pem");
    let damaged = include_str!("../../../tests/keys/openssl-rsa.pem").replacen('M', "N", 40);
    for (pem, words) in [
        (&small[..], "less than 2048 bits"),
        (&curve[..], "neither"),
        (damaged.as_bytes(), "neither"),
        (b"", "no private key"),
        (b"hunter2", "no private key"),
        (b"-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n", "no"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "neither"),
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "no private key"),
    ] {
        let said = Key::parse(pem).expect_err("no key");
        assert!(said.contains(words) && !said.contains("hunter2"), "{said}");
    }
    let key = Key::parse(make(Kind::Ed25519).expect("made").as_bytes()).expect("a key");
    assert_eq!(format!("{key:?}"), "Key(Ed25519)");
}

#[test]
fn a_hash_is_the_same_in_pieces() {
    let mut hash = Hash::default();
    hash.push(b"a");
    hash.push(b"bc");
    // FIPS 180-4, the example "abc".
    assert_eq!(hash.finish()[..4], [0xba, 0x78, 0x16, 0xbf]);
}

#[test]
fn a_key_is_made_and_used_on_half_the_stack_that_slow_work_has() {
    let thread = std::thread::Builder::new().stack_size(crate::limits::LANE_STACK_BYTES / 2);
    let made = thread.spawn(|| make(Kind::Rsa).map(|pem| pem.len()));
    let length = made.expect("a thread").join().expect("no panic").expect("made");
    assert!((1_600..1_800).contains(&length), "{length}");
}
