//! A verifier, for tests alone. RFC 6376 §6.1. What real ones say is in `tests/interop`.

use super::*;
use crate::sys::keys::Hash;
use ring::signature::{ED25519, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};

/// Each signature of a message, the first first: its selector, and whether it is right by these
/// records.
pub(crate) fn verdicts(message: &[u8], records: &[Record]) -> Vec<(String, bool)> {
    let end = message.windows(4).position(|w| w == b"\r\n\r\n").expect("a header") + 4;
    let (header, body) = message.split_at(end);
    let signatures = header::fields(header).filter(|field| field.is(FIELD));
    signatures.map(|field| verdict(&field, header, body, records)).collect()
}

fn verdict(field: &Field, header: &[u8], body: &[u8], records: &[Record]) -> (String, bool) {
    let value = String::from_utf8(header::unfold(field.value)).expect("text");
    let tag = |name: &str| {
        let tags = value.split(';').filter_map(|tag| tag.split_once('='));
        let mut tags = tags.filter(|(n, _)| n.trim() == name);
        tags.next().map_or_else(String::new, |(_, v)| v.split_whitespace().collect())
    };
    let decode = |name: &str| BASE64_STANDARD.decode(tag(name)).expect("base64");
    let names = tag("h");
    let names: Vec<&str> = names.split(':').collect();
    let raw = String::from_utf8(field.raw.to_vec()).expect("text");
    let unsigned = &raw[..raw.rfind(" b=").expect("b=") + 3];
    let mut octets = signed_fields(header, &names);
    relax(&header::fields(unsigned.as_bytes()).next().expect("a field"), &mut octets);
    let (mut hash, mut canonical) = (Hash::default(), Body::default());
    canonical.push(body, |octets| hash.push(octets));
    canonical.finish(|octets| hash.push(octets));
    let place = format!("{}._domainkey.{}", tag("s"), tag("d"));
    let record = records.iter().find(|record| record.name == place).expect("a record");
    let (_, key) = record.text.split_once("p=").expect("a key");
    let key = BASE64_STANDARD.decode(key).expect("base64");
    let fits = match tag("a").as_str() {
        // What is before the key in a SubjectPublicKeyInfo of 2048 bits takes 24 octets.
        "rsa-sha256" => UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &key[24..])
            .verify(&octets, &decode("b")),
        "ed25519-sha256" => {
            let mut hash = Hash::default();
            hash.push(&octets);
            UnparsedPublicKey::new(&ED25519, &key[..]).verify(&hash.finish(), &decode("b"))
        }
        other => panic!("{other}"),
    };
    (tag("s"), fits.is_ok() && decode("bh") == hash.finish())
}
