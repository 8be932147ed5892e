//! SCRAM-SHA-256 (RFC 5802 with the hash of RFC 7677), the client, without channel binding.

use super::{BASE64, client::Turn};
use crate::{limits, proto::smtp::reply::one_line};
use base64::Engine;
use core::fmt;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use unicode_normalization::UnicodeNormalization;

/// "No channel binding": RFC 5802 §5.1, and the same in base64 as `c=`.
const HEADER: &str = "n,,";
const BINDING: &str = "c=biws";

/// One exchange.
pub(super) struct Scram {
    password: String,
    /// `client-first-message-bare`, and the nonce in it.
    first: String,
    nonce: String,
    state: State,
}

enum State {
    /// The server's first message is next.
    First,
    /// The password is being stretched. These are the server's message and the whole nonce.
    Stretch(String, String),
    /// What the server must prove its knowledge with.
    Final([u8; 32]),
    Proved,
    /// It came to nothing.
    Lost,
}

impl Scram {
    pub(super) fn new(user: &str, password: &str, nonce: &str) -> Scram {
        Scram {
            password: prepared(password),
            first: format!("n={},r={nonce}", name(&prepared(user))),
            nonce: nonce.into(),
            state: State::First,
        }
    }

    /// `client-first-message`.
    pub(super) fn first(&self) -> String {
        format!("{HEADER}{}", self.first)
    }

    /// A message of the server; `reason` takes its words where it refuses.
    pub(super) fn hear(&mut self, message: &[u8], reason: &mut String) -> Turn {
        let Ok(message) = core::str::from_utf8(message) else {
            return self.lost("the server's message is not UTF-8");
        };
        match self.state {
            State::First => self.hear_first(message),
            State::Final(expected) => self.hear_final(message, expected, reason),
            State::Stretch(..) | State::Proved | State::Lost => Turn::Over,
        }
    }

    /// What was said is no message of the server. After our proof it is worse than that: whoever
    /// says it has not proved anything.
    pub(super) fn lost(&mut self, why: &str) -> Turn {
        let proof_given = matches!(self.state, State::Final(_) | State::Proved);
        self.state = State::Lost;
        if proof_given { Turn::Untrue(why.into()) } else { Turn::Cancel(why.into()) }
    }

    /// `server-first-message`: nonce, salt, iteration count, and extensions that we may ignore.
    fn hear_first(&mut self, message: &str) -> Turn {
        let mut fields = message.split(',');
        let mut field = |name| fields.next().and_then(|field| field.strip_prefix(name));
        // A mandatory extension (`m=`) would stand before these.
        let (Some(nonce), Some(salt), Some(count)) = (field("r="), field("s="), field("i=")) else {
            return self.lost("the server's challenge has no nonce, salt and count");
        };
        // RFC 5802 §5.1: it must begin with ours, and the server adds its own.
        let added = nonce.strip_prefix(&self.nonce).is_some_and(|added| !added.is_empty());
        let salt = BASE64.decode(salt).ok().filter(|salt| !salt.is_empty());
        let (true, Some(salt)) = (added, salt) else {
            return self.lost("the server's challenge has a nonce or salt that cannot be");
        };
        let range = limits::SCRAM_ITERATIONS_MIN..=limits::SCRAM_ITERATIONS_MAX;
        let Some(iterations) = count.parse().ok().filter(|count| range.contains(count)) else {
            let (min, max) = (range.start(), range.end());
            let why = format!("the server wants {count} iterations; {min} to {max} are allowed");
            return self.lost(&one_line(&why));
        };
        let nonce = nonce.to_string();
        self.state = State::Stretch(message.into(), nonce);
        Turn::Stretch(Stretch { password: self.password.clone(), salt, iterations })
    }

    /// `client-final-message`. RFC 5802 §3.
    pub(super) fn stretched(&mut self, salted: &Key) -> Turn {
        let State::Stretch(server_first, nonce) = &self.state else { return Turn::Over };
        let plain = format!("{BINDING},r={nonce}");
        let signed = format!("{},{server_first},{plain}", self.first);
        let client_key = hmac(&salted.0, b"Client Key");
        let stored_key: [u8; 32] = Sha256::digest(client_key).into();
        let mut proof = hmac(&stored_key, signed.as_bytes());
        proof.iter_mut().zip(client_key).for_each(|(octet, key)| *octet ^= key);
        let server_key = hmac(&salted.0, b"Server Key");
        self.state = State::Final(hmac(&server_key, signed.as_bytes()));
        Turn::Say(BASE64.encode(format!("{plain},p={}", BASE64.encode(proof))))
    }

    /// `server-final-message`: a proof, or why there is none.
    fn hear_final(&mut self, message: &str, expected: [u8; 32], reason: &mut String) -> Turn {
        let first = message.split(',').next().unwrap_or_default();
        if let Some(error) = first.strip_prefix("e=") {
            self.state = State::Lost;
            *reason = one_line(error);
            // The refusal itself follows.
            return Turn::Say(String::new());
        }
        let proof = first.strip_prefix("v=").and_then(|proof| BASE64.decode(proof).ok());
        if proof.as_deref() != Some(&expected) {
            return self.lost("the server's proof that it knows the password is wrong");
        }
        self.state = State::Proved;
        Turn::Say(String::new())
    }

    pub(super) fn is_proved(&self) -> bool {
        matches!(self.state, State::Proved)
    }
}

/// The slow part: a password made into a [`Key`] by thousands of hashes. That is milliseconds for a
/// desktop processor, and with the most iterations seconds for a small board: it belongs on a
/// thread of its own.
#[derive(Clone, PartialEq, Eq)]
pub struct Stretch {
    password: String,
    salt: Vec<u8>,
    iterations: u32,
}

/// Not the password.
impl fmt::Debug for Stretch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} times", self.iterations)
    }
}

/// What a stretched password is. As secret as the password itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(pub [u8; 32]);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

impl Stretch {
    /// `Hi(password, salt, iterations)`, RFC 5802 §2.2: PBKDF2 (RFC 8018 §5.2) with one block.
    pub fn run(&self) -> Key {
        let keyed = mac(self.password.as_bytes());
        let round = |octets: &[&[u8]]| -> [u8; 32] {
            let mut mac = keyed.clone();
            for part in octets {
                mac.update(part);
            }
            mac.finalize().into_bytes().into()
        };
        let mut last = round(&[&self.salt, &1u32.to_be_bytes()]);
        let mut key = last;
        for _ in 1..self.iterations {
            last = round(&[&last]);
            key.iter_mut().zip(last).for_each(|(octet, next)| *octet ^= next);
        }
        Key(key)
    }
}

fn mac(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length")
}

fn hmac(key: &[u8], octets: &[u8]) -> [u8; 32] {
    mac(key).chain_update(octets).finalize().into_bytes().into()
}

/// RFC 5802 §5.1: comma and equals sign are written otherwise in a name.
pub(super) fn name(user: &str) -> String {
    user.replace('=', "=3D").replace(',', "=2C")
}

/// `SASLprep` (RFC 4013 §2.1, §2.2), so that `é` is the same however it was typed. What §2.3
/// forbids (controls, which no name or password of ours has, and the like) is left to the server to
/// refuse.
fn prepared(text: &str) -> String {
    if text.is_ascii() {
        return text.into();
    }
    let mapped = text.chars().filter_map(|c| match c {
        // RFC 3454, tables C.1.2 and B.1.
        '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200b}' | '\u{202f}' | '\u{205f}' | '\u{3000}' => {
            Some(' ')
        }
        '\u{ad}'
        | '\u{34f}'
        | '\u{1806}'
        | '\u{180b}'..='\u{180d}'
        | '\u{200c}'
        | '\u{200d}'
        | '\u{2060}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}' => None,
        c => Some(c),
    });
    let mapped: String = mapped.collect();
    mapped.nfkc().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: &str = "rOprNGfwEbeRWgbNEkqO";
    const SERVER_FIRST: &str =
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    const SERVER_FINAL: &[u8] = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

    fn pencil() -> Scram {
        Scram::new("user", "pencil", NONCE)
    }

    fn hear(scram: &mut Scram, message: &str) -> Turn {
        scram.hear(message.as_bytes(), &mut String::new())
    }

    /// An exchange in which our proof was given.
    fn proved() -> Scram {
        let mut scram = pencil();
        let Turn::Stretch(work) = hear(&mut scram, SERVER_FIRST) else { panic!("no work") };
        let turn = scram.stretched(&work.run());
        let expected = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                        p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
        assert_eq!(turn, Turn::Say(BASE64.encode(expected)));
        scram
    }

    #[test]
    fn the_exchange_of_rfc_7677_is_as_it_stands_there() {
        assert_eq!(pencil().first(), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let mut scram = proved();
        assert!(!scram.is_proved());
        assert_eq!(scram.hear(SERVER_FINAL, &mut String::new()), Turn::Say(String::new()));
        assert!(scram.is_proved());
        assert_eq!(scram.hear(SERVER_FINAL, &mut String::new()), Turn::Over);
    }

    #[test]
    fn the_stretched_password_is_that_of_pbkdf2() {
        // RFC 7914 §11, the first half of its 64 octets.
        let work = Stretch { password: "passwd".into(), salt: b"salt".to_vec(), iterations: 1 };
        let expected = [
            0x55, 0xac, 0x04, 0x6e, 0x56, 0xe3, 0x08, 0x9f, 0xec, 0x16, 0x91, 0xc2, 0x25, 0x44,
            0xb6, 0x05, 0xf9, 0x41, 0x85, 0x21, 0x6d, 0xde, 0x04, 0x65, 0xe6, 0x8b, 0x9d, 0x57,
            0xc2, 0x0d, 0xac, 0xbc,
        ];
        assert_eq!(work.run().0, expected);
    }

    #[test]
    fn a_server_that_cannot_prove_itself_is_no_server() {
        for message in [
            "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5=",
            "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl9",
            "v=",
            "v=?",
            "x=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
            "",
            "\u{e9}",
        ] {
            let mut scram = proved();
            let turn = hear(&mut scram, message);
            assert!(matches!(turn, Turn::Untrue(_)), "{message}: {turn:?}");
            assert!(!scram.is_proved(), "{message}");
        }
        let mut scram = proved();
        assert!(matches!(scram.hear(b"\xff", &mut String::new()), Turn::Untrue(_)));
    }

    #[test]
    fn the_servers_own_error_is_kept() {
        let (mut scram, mut reason) = (proved(), String::new());
        let turn = scram.hear(b"e=invalid-proof,x=y", &mut reason);
        assert_eq!((turn, reason.as_str()), (Turn::Say(String::new()), "invalid-proof"));
        assert!(!scram.is_proved());
    }

    #[test]
    fn a_challenge_that_is_none_gets_no_proof() {
        let first = |nonce: &str, salt: &str, count: &str| format!("r={nonce},s={salt},i={count}");
        let whole = format!("{NONCE}x");
        for message in [
            String::new(),
            "r=,s=,i=".into(),
            first(NONCE, "c2FsdA==", "4096"), // nothing of the server's own
            first("x", "c2FsdA==", "4096"),
            first(&whole, "", "4096"),
            first(&whole, "?", "4096"),
            first(&whole, "c2FsdA==", "4095"),
            first(&whole, "c2FsdA==", "100001"),
            first(&whole, "c2FsdA==", "99999999999"),
            first(&whole, "c2FsdA==", "-1"),
            first(&whole, "c2FsdA==", ""),
            format!("m=x,{}", first(&whole, "c2FsdA==", "4096")),
            format!("s=c2FsdA==,r={whole},i=4096"),
        ] {
            let mut scram = pencil();
            let turn = hear(&mut scram, &message);
            assert!(matches!(turn, Turn::Cancel(_)), "{message}: {turn:?}");
        }
        for count in [limits::SCRAM_ITERATIONS_MIN, limits::SCRAM_ITERATIONS_MAX] {
            let message = first(&whole, "c2FsdA==", &format!("{count},x=ignored"));
            let turn = hear(&mut pencil(), &message);
            assert!(matches!(turn, Turn::Stretch(work) if work.iterations == count));
        }
    }

    #[test]
    fn names_and_passwords_are_prepared_and_escaped() {
        assert_eq!(name("a=b,c"), "a=3Db=2Cc");
        for (typed, meant) in [
            ("pencil", "pencil"),
            ("I\u{ad}X", "IX"),     // RFC 4013 §3
            ("USER", "USER"),       //
            ("\u{aa}", "a"),        //
            ("\u{2168}", "IX"),     //
            ("e\u{301}", "\u{e9}"), // composed or not
            ("a\u{a0}b", "a b"),
        ] {
            assert_eq!(prepared(typed), meant, "{typed:?}");
        }
        assert_eq!(Scram::new("a,b", "x", "r").first(), "n,,n=a=2Cb,r=r");
    }

    #[test]
    fn nothing_that_is_printed_shows_the_password() {
        let work = Stretch { password: "pencil".into(), salt: vec![1], iterations: 4096 };
        assert_eq!(format!("{work:?} {:?}", work.run()), "4096 times Key");
    }
}
