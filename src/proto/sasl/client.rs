//! The side that logs in: one exchange, whatever the mechanism. RFC 4954 §4, RFC 4422 §3.
//!
//! A [`Client`] is told each challenge (what follows `334`, in base64) and answers with a [`Turn`].
//! It says every secret once, so a server that asks on for ever gets nothing more.

use super::{
    BASE64, plain,
    scram::{self, Scram},
};
use crate::{limits, proto::smtp::reply::one_line};
use base64::Engine;
use core::fmt;
use hmac::{Hmac, Mac};
use md5::Md5;
use std::mem;

/// Mechanisms, the strongest first: the first two do not show the password, the last two carry a
/// token that expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// RFC 5802, RFC 7677.
    ScramSha256,
    /// RFC 2195.
    CramMd5,
    /// RFC 4616.
    Plain,
    /// draft-murchison-sasl-login.
    Login,
    /// Google's, before there was a standard; Microsoft's only one.
    /// <https://developers.google.com/workspace/gmail/imap/xoauth2-protocol>
    XOauth2,
    /// RFC 7628.
    OauthBearer,
}

impl Mechanism {
    /// All of them, the strongest first.
    pub const ALL: [Mechanism; 6] = [
        Mechanism::ScramSha256,
        Mechanism::CramMd5,
        Mechanism::Plain,
        Mechanism::Login,
        Mechanism::XOauth2,
        Mechanism::OauthBearer,
    ];

    /// As it is said after AUTH.
    pub const fn name(self) -> &'static str {
        match self {
            Mechanism::ScramSha256 => "SCRAM-SHA-256",
            Mechanism::CramMd5 => "CRAM-MD5",
            Mechanism::Plain => "PLAIN",
            Mechanism::Login => "LOGIN",
            Mechanism::XOauth2 => "XOAUTH2",
            Mechanism::OauthBearer => "OAUTHBEARER",
        }
    }

    /// The server gets to see the password itself, so it needs nothing but a hash of it.
    pub const fn shows_password(self) -> bool {
        matches!(self, Mechanism::Plain | Mechanism::Login)
    }

    /// It can prove this secret.
    pub const fn takes(self, secret: &Secret) -> bool {
        let bearer = matches!(self, Mechanism::XOauth2 | Mechanism::OauthBearer);
        bearer == matches!(secret, Secret::Token(_))
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a user is known by. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// A password.
    Password(String),
    /// An OAuth 2 access token. RFC 6750.
    Token(String),
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Secret::Password(_) => "Password",
            Secret::Token(_) => "Token",
        })
    }
}

/// Who logs in, and where.
#[derive(Clone, Copy)]
pub struct Claim<'a> {
    /// User name.
    pub user: &'a str,
    /// What proves it.
    pub secret: &'a Secret,
    /// The server and its port, as the route names them.
    pub server: (&'a str, u16),
    /// Nobody can guess it. RFC 5802 §5.1 asks for a nonce of its own in each exchange.
    pub chance: [u64; 2],
}

/// What to do about a challenge.
#[derive(Debug, PartialEq, Eq)]
pub enum Turn {
    /// Say this, in base64 already; it may be empty.
    Say(String),
    /// Do this slow piece of work, and tell its result by [`Client::stretched`].
    Stretch(scram::Stretch),
    /// Say `*`: this mechanism cannot work here. Nothing was shown that another could not show.
    Cancel(String),
    /// The server does not know the password: it is not who it should be. Hang up.
    Untrue(String),
    /// Everything was said. What the server wants now is no part of the mechanism.
    Over,
}

/// One exchange. Not printable: it holds a secret.
pub struct Client {
    mechanism: Mechanism,
    /// The initial response, until it was said.
    first: Option<String>,
    state: State,
    reason: String,
}

enum State {
    Over,
    Scram(Scram),
    /// User and password.
    Cram(String, String),
    /// What was not said yet.
    Login(Option<String>, Option<String>),
    /// What to answer where the server tells why it refuses the token.
    Bearer(&'static str),
}

impl Client {
    /// An exchange by `mechanism`; `None` where it cannot prove this secret.
    pub fn new(mechanism: Mechanism, claim: Claim<'_>) -> Option<Client> {
        let Claim { user, secret, server: (host, port), chance } = claim;
        let (first, state) = match (mechanism, secret) {
            (Mechanism::ScramSha256, Secret::Password(password)) => {
                let scram = Scram::new(user, password, &nonce(chance));
                (Some(BASE64.encode(scram.first())), State::Scram(scram))
            }
            (Mechanism::CramMd5, Secret::Password(password)) => {
                (None, State::Cram(user.into(), password.clone()))
            }
            (Mechanism::Plain, Secret::Password(password)) => {
                (Some(plain(user, password)), State::Over)
            }
            (Mechanism::Login, Secret::Password(password)) => {
                (None, State::Login(Some(user.into()), Some(password.clone())))
            }
            (Mechanism::XOauth2, Secret::Token(token)) => {
                let message = format!("user={user}\x01auth=Bearer {token}\x01\x01");
                (Some(BASE64.encode(message)), State::Bearer(""))
            }
            (Mechanism::OauthBearer, Secret::Token(token)) => {
                // RFC 7628 §3.1.
                let name = scram::name(user);
                let server = format!("host={host}\x01port={port}");
                let message = format!("n,a={name},\x01{server}\x01auth=Bearer {token}\x01\x01");
                // RFC 7628 §3.2.3: a lone 0x01 acknowledges the error.
                (Some(BASE64.encode(message)), State::Bearer("AQ=="))
            }
            _ => return None,
        };
        Some(Client { mechanism, first, state, reason: String::new() })
    }

    /// Its mechanism.
    pub fn mechanism(&self) -> Mechanism {
        self.mechanism
    }

    /// The AUTH command, with the initial response where there is one and the line has at most 512
    /// octets with its CRLF: a longer one waits for its 334 (RFC 4954 §4).
    pub fn command(&mut self) -> String {
        let name = self.mechanism.name();
        match self.first.take() {
            Some(first) if "AUTH  \r\n".len() + name.len() + first.len() <= 512 => {
                format!("AUTH {name} {first}")
            }
            first => {
                self.first = first;
                format!("AUTH {name}")
            }
        }
    }

    /// A challenge, as it stands behind `334`.
    pub fn hear(&mut self, challenge: &str) -> Turn {
        // Whatever it says here is no more than "go on".
        if let Some(first) = self.first.take() {
            return Turn::Say(first);
        }
        match mem::replace(&mut self.state, State::Over) {
            State::Over => Turn::Over,
            State::Scram(mut scram) => {
                let turn = match read(challenge) {
                    _ if scram.is_proved() => Turn::Over,
                    Some(challenge) => scram.hear(&challenge, &mut self.reason),
                    None => scram.lost("the server's challenge is not base64"),
                };
                self.state = State::Scram(scram);
                turn
            }
            State::Cram(user, password) => match read(challenge) {
                Some(challenge) if !challenge.is_empty() => {
                    Turn::Say(cram(&user, &password, &challenge))
                }
                _ => Turn::Cancel("the server's challenge is none".into()),
            },
            State::Login(user, password) => self.prompted(challenge, user, password),
            State::Bearer(answer) => {
                let words = read(challenge).unwrap_or_else(|| challenge.as_bytes().to_vec());
                self.reason = one_line(&String::from_utf8_lossy(&words));
                Turn::Say(answer.into())
            }
        }
    }

    /// Servers ask by `Username:` and `Password:`, or by something like it, or by nothing at all,
    /// and most in this order: what cannot be understood is answered in turn. None is told the
    /// password where it asks for the name again, which might end in a log.
    fn prompted(&mut self, prompt: &str, user: Option<String>, password: Option<String>) -> Turn {
        let prompt = read(prompt).unwrap_or_else(|| prompt.as_bytes().to_vec());
        let prompt = String::from_utf8_lossy(&prompt).to_ascii_lowercase();
        let wants_password = if prompt.contains("pass") {
            true
        } else if prompt.contains("user") || prompt.contains("login") {
            false
        } else {
            user.is_none()
        };
        match (wants_password, user, password) {
            (false, Some(user), password) => {
                self.state = State::Login(None, password);
                Turn::Say(BASE64.encode(user))
            }
            (true, user, Some(password)) => {
                self.state = State::Login(user, None);
                Turn::Say(BASE64.encode(password))
            }
            (_, None, None) => Turn::Over,
            _ => Turn::Cancel("the server asks for the same again".into()),
        }
    }

    /// The work of [`Turn::Stretch`] is done.
    pub fn stretched(&mut self, key: &scram::Key) -> Turn {
        match &mut self.state {
            State::Scram(scram) => scram.stretched(key),
            _ => Turn::Over,
        }
    }

    /// The server says that we are logged in.
    ///
    /// # Errors
    /// It has not proved that it knows the password, where the mechanism demands it.
    pub fn conclude(&self) -> Result<(), String> {
        match &self.state {
            State::Scram(scram) if !scram.is_proved() => {
                Err("the server did not prove that it knows the password".into())
            }
            _ => Ok(()),
        }
    }

    /// Why the server refuses us, as far as it has told within the mechanism; else empty.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

/// A challenge, decoded; `None` where it is not base64, or so long that it may have been cut.
fn read(challenge: &str) -> Option<Vec<u8>> {
    let whole = challenge.len() <= limits::CHALLENGE_BYTES;
    if challenge == "=" {
        return Some(Vec::new());
    }
    whole.then(|| BASE64.decode(challenge).ok())?
}

/// RFC 2195 §2.
fn cram(user: &str, password: &str, challenge: &[u8]) -> String {
    let mut mac =
        Hmac::<Md5>::new_from_slice(password.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(challenge);
    let digest = mac.finalize().into_bytes();
    BASE64.encode(format!("{user} {digest:x}"))
}

/// Printable, without a comma: RFC 5802 §7.
fn nonce(chance: [u64; 2]) -> String {
    let octets: Vec<u8> = chance.iter().flat_map(|half| half.to_be_bytes()).collect();
    BASE64.encode(octets).trim_end_matches('=').to_string()
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
