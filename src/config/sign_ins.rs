//! What sign-ins have brought, in a file of its own that the relay alone writes: it changes without
//! anybody changing the configuration.

use super::{Problem, document::value};
use crate::{limits, pairs::Pairs, proto::oauth::Grant, time::Wall};
use serde_json::{Value, json};
use std::fmt;

/// Which sign-in: where its tokens come from, who we are there, and who has signed in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SignInKey {
    /// Address of the token endpoint.
    pub token: String,
    /// Our client id there.
    pub client: String,
    /// Who has signed in.
    pub user: String,
}

impl From<&Grant> for SignInKey {
    fn from(grant: &Grant) -> SignInKey {
        SignInKey {
            token: grant.provider.token.to_string(),
            client: grant.client.id.clone(),
            user: grant.user.clone(),
        }
    }
}

/// What lasts of a sign-in.
#[derive(Clone, PartialEq, Eq)]
pub struct SignIn {
    /// Gets new tokens.
    pub refresh: String,
    /// When the person signed in, where the clock was set.
    pub since: Option<Wall>,
    /// When that ends, where it is known.
    pub until: Option<Wall>,
}

/// All of them; the text of the file `sign-ins.json`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SignIns(pub Pairs<SignInKey, SignIn>);

/// Never shows one.
impl fmt::Debug for SignIns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignIns({})", self.0.len())
    }
}

impl fmt::Display for SignIns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.0.iter().map(|(key, kept)| {
            json!({
                "token": key.token, "client_id": key.client, "user": key.user,
                "refresh": kept.refresh,
                "since": kept.since.map(|at| at.0), "until": kept.until.map(|at| at.0),
            })
        });
        let text = json!({"sign_ins": all.collect::<Vec<_>>()});
        writeln!(f, "{}", serde_json::to_string_pretty(&text).map_err(|_| fmt::Error)?)
    }
}

impl SignIns {
    /// Read the text of the file; an empty text has none.
    ///
    /// # Errors
    /// It is not what [`SignIns`] prints; without showing any of it.
    pub fn parse(text: &str) -> Result<SignIns, Problem> {
        if text.trim().is_empty() {
            return Ok(SignIns::default());
        }
        let bad = || Problem::new("sign-ins.json", "something else", "what this relay wrote there");
        let file = Some(text).filter(|t| t.len() <= limits::SECRETS_BYTES).ok_or_else(bad)?;
        let file = value(file).map_err(|_| bad())?;
        let all = file.get("sign_ins").and_then(Value::as_array).ok_or_else(bad)?;
        let read = |one: &Value| {
            let text = |key: &str| one.get(key).and_then(Value::as_str).map(str::to_string);
            let wall = |key: &str| one.get(key).and_then(Value::as_u64).map(Wall);
            let key = SignInKey {
                token: text("token")?,
                client: text("client_id")?,
                user: text("user")?,
            };
            let (since, until) = (wall("since"), wall("until"));
            Some((key, SignIn { refresh: text("refresh")?, since, until }))
        };
        all.iter().map(read).collect::<Option<_>>().map(SignIns).ok_or_else(bad)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_again_and_nothing_else() {
        let key = |user: &str| SignInKey {
            token: "https://login.example.com/token".into(),
            client: "us".into(),
            user: user.into(),
        };
        let mut all = SignIns::default();
        let known = SignIn { refresh: "r/1".into(), since: Some(Wall(7)), until: Some(Wall(9)) };
        all.0.insert(key("me"), known);
        let bare = SignIn { refresh: "\"\\".into(), since: None, until: None };
        all.0.insert(key("ü"), bare);
        let text = all.to_string();
        assert_eq!(SignIns::parse(&text), Ok(all.clone()));
        assert_eq!(SignIns::parse(" \n"), Ok(SignIns::default()));
        assert!(!format!("{all:?}").contains("r/1"), "nothing shows it");
        let trimmed = text.trim_end();
        for end in 1..trimmed.len() {
            if let Some(cut) = trimmed.get(..end) {
                let problem = SignIns::parse(cut).expect_err("it is cut");
                assert!(!problem.to_string().contains("r/1"));
            }
        }
        for other in ["[]", "{}", r#"{"sign_ins": [{"user": "me"}]}"#] {
            assert!(SignIns::parse(other).is_err(), "{other}");
        }
    }
}
