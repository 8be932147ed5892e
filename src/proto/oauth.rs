//! Signing in where a password is not taken any more: OAuth 2.0 as a client says it. RFC 6749, RFC
//! 7636 (PKCE), RFC 8628 (device code).
//!
//! Pure: forms and addresses out, answers in.

use super::{
    http::{self, Answer, Url, form},
    smtp::reply::one_line,
};
use crate::limits;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::{fmt, time::Duration};

/// Who signs people in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Provider {
    /// Where a person says yes, in a browser.
    pub authorize: Url,
    /// Where tokens are given out.
    pub token: Url,
    /// Where a code for a person without a browser at hand is given out; `None`: there are none.
    pub device: Option<Url>,
    /// What we ask to be allowed, words with spaces between.
    pub scope: String,
}

impl Provider {
    /// One that is built in: `google`, `microsoft` (any account) or `microsoft/TENANT` (accounts of
    /// this organisation).
    ///
    /// Google: <https://developers.google.com/identity/protocols/oauth2/native-app>, and the scope
    /// <https://developers.google.com/workspace/gmail/imap/xoauth2-protocol>; its device codes are
    /// not for mail. Microsoft: `learn.microsoft.com/entra/identity-platform`, "authorization code
    /// flow", and `learn.microsoft.com/exchange`, "authenticate an SMTP application by OAuth".
    pub fn built_in(name: &str) -> Option<Provider> {
        if name == "google" {
            // It gives a refresh token only if asked like that, and again only after consent.
            let offline = "access_type=offline&prompt=consent";
            let authorize = format!("https://accounts.google.com/o/oauth2/v2/auth?{offline}");
            return Some(Provider {
                authorize: Url::parse(&authorize)?,
                token: Url::parse("https://oauth2.googleapis.com/token")?,
                device: None,
                scope: "https://mail.google.com/".into(),
            });
        }
        let tenant = match name.strip_prefix("microsoft")? {
            "" => "common",
            rest => rest.strip_prefix('/').filter(|tenant| is_tenant(tenant))?,
        };
        let at = |end: &str| {
            let base = "https://login.microsoftonline.com";
            Url::parse(&format!("{base}/{tenant}/oauth2/v2.0/{end}"))
        };
        Some(Provider {
            authorize: at("authorize")?,
            token: at("token")?,
            device: at("devicecode"),
            scope: "offline_access https://outlook.office.com/SMTP.Send".into(),
        })
    }
}

/// A domain of the organisation, its number, or `common`, `organizations`, `consumers`.
fn is_tenant(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-');
    (1..=limits::DOMAIN_BYTES).contains(&text.len()) && text.bytes().all(fits)
}

/// Who we are to a provider.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Client {
    /// As the provider has registered us.
    pub id: String,
    /// Some want one, though a program in everybody's hands keeps none (RFC 8252 §8.5).
    pub secret: Option<String>,
}

/// Never shows the secret.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({})", self.id)
    }
}

impl Client {
    /// A form of this client.
    fn form(&self, fields: &[(&str, &str)]) -> String {
        let mut all = vec![("client_id", self.id.as_str())];
        all.extend(self.secret.as_deref().map(|secret| ("client_secret", secret)));
        all.extend(fields);
        form(&all)
    }

    /// Where a person is sent to say yes. `redirect`: where the answer is to arrive; `user` spares
    /// them typing it.
    pub fn authorize(&self, at: &Provider, flow: &Flow, user: &str) -> String {
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(flow.verifier.as_bytes()));
        let query = form(&[
            ("client_id", &self.id),
            ("response_type", "code"),
            ("redirect_uri", &flow.redirect),
            ("scope", &at.scope),
            ("state", &flow.state),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
            ("login_hint", user),
        ]);
        let separator = if at.authorize.target.contains('?') { '&' } else { '?' };
        format!("{}{separator}{query}", at.authorize)
    }

    /// A code for tokens. RFC 6749 §4.1.3, RFC 7636 §4.5.
    pub fn redeem(&self, flow: &Flow, code: &str) -> String {
        self.form(&[
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &flow.redirect),
            ("code_verifier", &flow.verifier),
        ])
    }

    /// New tokens for old. RFC 6749 §6.
    pub fn refresh(&self, refresh: &str) -> String {
        self.form(&[("grant_type", "refresh_token"), ("refresh_token", refresh)])
    }

    /// A code for a person. RFC 8628 §3.1.
    pub fn device(&self, at: &Provider) -> String {
        form(&[("client_id", &self.id), ("scope", &at.scope)])
    }

    /// Has that person said yes? RFC 8628 §3.4.
    pub fn poll(&self, device: &str) -> String {
        let grant = "urn:ietf:params:oauth:grant-type:device_code";
        self.form(&[("grant_type", grant), ("device_code", device)])
    }
}

/// What a person gives by signing in: leave to send as them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Grant {
    /// Where they sign in.
    pub provider: Provider,
    /// Who we are there.
    pub client: Client,
    /// Who they are to the mail server.
    pub user: String,
}

/// One sign-in by browser, from its link to its code.
#[derive(Clone, PartialEq, Eq)]
pub struct Flow {
    /// Nobody else can guess it: whoever brings it back comes from our link. RFC 6749 §10.12.
    pub state: String,
    /// Proves that who redeems the code has made the link. RFC 7636 §4.1.
    pub verifier: String,
    /// Where the answer arrives.
    pub redirect: String,
}

impl Flow {
    /// From chance, 64 octets of it.
    pub fn new(chance: [u64; 8], redirect: String) -> Flow {
        let text = |part: &[u64]| {
            let octets: Vec<u8> = part.iter().flat_map(|roll| roll.to_le_bytes()).collect();
            URL_SAFE_NO_PAD.encode(octets)
        };
        Flow { state: text(&chance[..3]), verifier: text(&chance[3..]), redirect }
    }
}

/// What comes back to the address of a flow, or what a person pastes: the whole address, its query,
/// or the code alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Returned {
    /// A code, with the state of its flow where it is known.
    Code(String, Option<String>),
    /// They said no, or were not let; in words.
    Refused(String, Option<String>),
}

impl Returned {
    /// From text of at most [`limits::URL_BYTES`]; `None` where it is nothing of the kind.
    pub fn read(text: &str) -> Option<Returned> {
        let text = Some(text.trim()).filter(|t| t.len() <= limits::URL_BYTES && !t.is_empty())?;
        let query = text.split_once('?').map_or(text, |(_, query)| query);
        let query = query.split('#').next().unwrap_or_default();
        let state = http::field(query, "state");
        if let Some(error) = http::field(query, "error") {
            let words = http::field(query, "error_description").unwrap_or(error);
            return Some(Returned::Refused(one_line(&words), state));
        }
        if let Some(code) = http::field(query, "code") {
            return Some(Returned::Code(code, state));
        }
        let alone = !text.contains(['?', '=', ' ']) && !text.contains("://");
        let code = http::decode(text).filter(|_| alone)?;
        Some(Returned::Code(code, None))
    }
}

/// What lets us in, and for how long.
#[derive(Clone, PartialEq, Eq)]
pub struct Tokens {
    /// Shown to the mail server. RFC 6750.
    pub access: String,
    /// How long that works, where it is said.
    pub lifetime: Option<Duration>,
    /// Gets new ones; `None`: the old one stays as it is, if there was one.
    pub refresh: Option<String>,
    /// How long that works, where it is said (`refresh_token_expires_in`: Google's programs under
    /// test have 7 days).
    pub refresh_lifetime: Option<Duration>,
}

/// Never shows them.
impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tokens(for {:?})", self.lifetime)
    }
}

/// What a provider has said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said<T> {
    /// This.
    Yes(T),
    /// The person has not decided yet; with `true`, and we ask too often. RFC 8628 §3.5.
    NotYet(bool),
    /// No, and no again until a person has done something; in its words.
    No(String),
    /// Nothing of use now; in words, and for how long it wants to be left alone.
    Later(String, Option<Duration>),
}

/// A code for a person to type somewhere else. RFC 8628 §3.2.
#[derive(Clone, PartialEq, Eq)]
pub struct DeviceCode {
    /// Ours.
    pub device: String,
    /// Theirs.
    pub user: String,
    /// Where they type it.
    pub at: String,
    /// How long it works, [`limits::SIGN_IN_WAIT`] at most.
    pub lifetime: Duration,
    /// How often may be asked, 1 s to 1 min.
    pub interval: Duration,
}

/// The answer to a form that asks for tokens.
pub fn tokens(answer: &Answer) -> Said<Tokens> {
    understand(answer, |object| {
        let text = |key: &str| object.get(key).and_then(Value::as_str);
        let seconds = |key: &str| object.get(key).and_then(number).map(Duration::from_secs);
        let access = text("access_token").filter(|token| is_token(token))?;
        Some(Tokens {
            access: access.into(),
            lifetime: seconds("expires_in").filter(|lifetime| !lifetime.is_zero()),
            refresh: text("refresh_token").filter(|token| is_plain(token)).map(str::to_string),
            refresh_lifetime: seconds("refresh_token_expires_in").filter(|l| !l.is_zero()),
        })
    })
}

/// The answer to a form that asks for a code for a person.
pub fn device(answer: &Answer) -> Said<DeviceCode> {
    understand(answer, |object| {
        let text = |key: &str| object.get(key).and_then(Value::as_str).filter(|t| is_plain(t));
        let seconds = |key: &str, default: u64| object.get(key).and_then(number).unwrap_or(default);
        // Google says `verification_url`.
        let at = text("verification_uri").or_else(|| text("verification_url"))?;
        Some(DeviceCode {
            device: text("device_code")?.into(),
            user: text("user_code")?.into(),
            at: Url::parse(at)?.to_string(),
            lifetime: Duration::from_secs(seconds("expires_in", 300)).min(limits::SIGN_IN_WAIT),
            interval: Duration::from_secs(seconds("interval", 5).clamp(1, 60)),
        })
    })
}

/// A token as it may stand in a header, and not too long. RFC 6750 §2.1.
fn is_token(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b);
    (1..=limits::TOKEN_BYTES).contains(&text.len()) && text.bytes().all(fits)
}

/// RFC 6749 appendix A: visible characters.
fn is_plain(text: &str) -> bool {
    (1..=limits::TOKEN_BYTES).contains(&text.len())
        && text.bytes().all(|b| (b' '..=b'~').contains(&b))
}

/// Azure has sent numbers as texts.
fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

fn understand<T>(answer: &Answer, read: impl Fn(&Value) -> Option<T>) -> Said<T> {
    let later = |words: String| Said::Later(words, answer.retry_after);
    let object = serde_json::from_slice::<Value>(&answer.body).ok().filter(Value::is_object);
    if let Some(error) = object.as_ref().and_then(|o| o.get("error")) {
        // RFC 6749 §5.2; some put an object of their own there.
        let code = error.as_str().unwrap_or_default();
        let words = object.as_ref().and_then(|o| o.get("error_description")?.as_str());
        let words = match words {
            Some(words) if !code.is_empty() => format!("{code}: {words}"),
            Some(words) => words.to_string(),
            None => error.as_str().map_or_else(|| error.to_string(), str::to_string),
        };
        let words = one_line(&words);
        return match code {
            "authorization_pending" => Said::NotYet(false),
            "slow_down" => Said::NotYet(true),
            "temporarily_unavailable" | "server_error" => later(words),
            _ if answer.status == 429 || answer.status >= 500 => later(words),
            _ => Said::No(words),
        };
    }
    match object.as_ref().filter(|_| answer.status == 200).and_then(read) {
        Some(read) => Said::Yes(read),
        // A page of a hotel that wants to be paid, a proxy, a server in trouble.
        None => later(format!("HTTP {} with nothing that could be understood", answer.status)),
    }
}

#[cfg(test)]
mod tests;
