//! RSA keys, which ring reads and uses but does not make: two primes, what follows from them, and
//! the DER around it.

use base64::prelude::{BASE64_STANDARD, Engine};
use crypto_bigint::{Encoding, U1024, U2048};
use rand_core::{CryptoRng, RngCore};
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::{Zeroize, Zeroizing};

/// The usual public exponent. RFC 8017 §3.1; FIPS 186-5 §A.1.1.
const EXPONENT: u32 = 65_537;

/// Bits of a prime that two of them may not have in common at their top, less one: FIPS 186-5
/// §A.1.3.
const APART_BITS: usize = 100;

/// `rsaEncryption` with its empty parameters, DER. RFC 8017 §A.1.
const ALGORITHM: [u8; 15] =
    [0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const SEQUENCE: u8 = 0x30;

/// An RSA key of 2048 bits as PKCS #8: what every verifier takes (RFC 8301 §3.2), and what fits
/// into a DNS answer.
pub(super) fn make(random: &SystemRandom) -> Zeroizing<Vec<u8>> {
    loop {
        let (mut p, mut q) = (prime(random), prime(random));
        let key = encode(&p, &q);
        p.zeroize();
        q.zeroize();
        if let Some(key) = key {
            return key;
        }
    }
}

/// A prime of 1024 bits with both upper ones set: two of them multiply to 2048 bits.
fn prime(random: &SystemRandom) -> U1024 {
    loop {
        let p: U1024 = crypto_primes::generate_prime_with_rng(&mut Dice(random), Some(1024));
        if p.bit_vartime(1022) {
            return p;
        }
    }
}

/// The key of two primes; `None` where they make none (they are close together, or do not go with
/// the exponent), which happens once in thousands.
fn encode(p: &U1024, q: &U1024) -> Option<Zeroizing<Vec<u8>>> {
    let top = U1024::BITS - APART_BITS;
    let apart = p.shr_vartime(top) != q.shr_vartime(top);
    let (below_p, below_q) = (p.wrapping_sub(&U1024::ONE), q.wrapping_sub(&U1024::ONE));
    let (n, phi): (U2048, U2048) = (p.mul(q), below_p.mul(&below_q));
    let (d, is_coprime) = U2048::from(EXPONENT).inv_mod(&phi);
    let (dp, _) = U1024::from(EXPONENT).inv_mod(&below_p);
    let (dq, _) = U1024::from(EXPONENT).inv_mod(&below_q);
    let (coefficient, _) = q.inv_mod(p);
    if !apart || !bool::from(is_coprime) {
        return None;
    }
    // RFC 8017 §A.1.2, RFC 5208 §5.
    let mut numbers = Zeroizing::new(integer(&[0]));
    for number in [n.to_be_bytes().as_slice(), &EXPONENT.to_be_bytes(), &d.to_be_bytes()] {
        numbers.extend(Zeroizing::new(integer(number)).iter());
    }
    for number in [p, q, &dp, &dq, &coefficient] {
        let octets = Zeroizing::new(number.to_be_bytes());
        numbers.extend(Zeroizing::new(integer(octets.as_slice())).iter());
    }
    let key = Zeroizing::new(wrapped(SEQUENCE, &[&numbers]));
    let key = Zeroizing::new(wrapped(OCTET_STRING, &[&key]));
    Some(Zeroizing::new(wrapped(SEQUENCE, &[&integer(&[0]), &ALGORITHM, &key])))
}

/// An `RSAPublicKey` as `SubjectPublicKeyInfo`. RFC 5280 §4.1.
pub(super) fn public_info(key: &[u8]) -> Vec<u8> {
    let bits = wrapped(BIT_STRING, &[&[0], key]);
    wrapped(SEQUENCE, &[&ALGORITHM, &bits])
}

/// PEM. RFC 7468 §10.
pub(super) fn pem(pkcs8: &[u8]) -> Zeroizing<String> {
    let text = Zeroizing::new(BASE64_STANDARD.encode(pkcs8));
    let mut pem = Zeroizing::new(String::with_capacity(text.len() + text.len() / 32 + 80));
    pem.push_str("-----BEGIN PRIVATE KEY-----\n");
    for (n, c) in text.chars().enumerate() {
        if n > 0 && n % 64 == 0 {
            pem.push('\n');
        }
        pem.push(c);
    }
    pem.push_str("\n-----END PRIVATE KEY-----\n");
    pem
}

/// A number that is not negative, DER.
fn integer(big_endian: &[u8]) -> Vec<u8> {
    let zeros = big_endian.iter().take_while(|octet| **octet == 0).count();
    let digits = &big_endian[zeros.min(big_endian.len() - 1)..];
    let sign: &[u8] = if digits[0] & 0x80 == 0 { &[] } else { &[0] };
    wrapped(INTEGER, &[sign, digits])
}

/// A value with its tag and length, DER; shorter than 64 KiB.
fn wrapped(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let [high, low] = u16::try_from(length).expect("keys are far shorter").to_be_bytes();
    let mut octets = Vec::with_capacity(length + 4);
    octets.push(tag);
    match (high, low) {
        (0, ..0x80) => octets.push(low),
        (0, _) => octets.extend([0x81, low]),
        _ => octets.extend([0x82, high, low]),
    }
    octets.extend(parts.concat());
    octets
}

/// ring's chance as crypto-primes asks for it.
struct Dice<'a>(&'a SystemRandom);

impl CryptoRng for Dice<'_> {}

impl RngCore for Dice<'_> {
    fn next_u32(&mut self) -> u32 {
        let mut octets = [0; 4];
        self.fill_bytes(&mut octets);
        u32::from_le_bytes(octets)
    }

    fn next_u64(&mut self) -> u64 {
        let mut octets = [0; 8];
        self.fill_bytes(&mut octets);
        u64::from_le_bytes(octets)
    }

    fn fill_bytes(&mut self, into: &mut [u8]) {
        self.0.fill(into).expect("the system has given random numbers before");
    }

    fn try_fill_bytes(&mut self, into: &mut [u8]) -> Result<(), rand_core::Error> {
        self.fill_bytes(into);
        Ok(())
    }
}
