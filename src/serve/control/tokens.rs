//! Tokens for programs that use the API of the page: made here, told once, and known by their hash.

use super::{Control, problem};
use crate::{limits, serve::web::office::Scope, sys::keys::Hash};
use serde_json::json;

impl Control {
    /// What may be done with this token.
    pub fn scope(&self, token: &str) -> Option<Scope> {
        let hash = hash(token);
        let config = self.relay.config();
        let known = config.tokens.iter().find(|known| known.sha256 == hash)?;
        Scope::of(&known.scope)
    }

    /// Make one.
    pub async fn make_token(&self, name: &str, scope: Scope) -> Result<String, String> {
        let turn = self.turn().await;
        let mut document = self.document.borrow().clone();
        let count = document.get("tokens").and_then(|tokens| tokens.as_array()).map_or(0, Vec::len);
        if count >= limits::TOKENS {
            return Err(format!("there are {count} tokens already: take one away first"));
        }
        let dice = &self.relay.sys.dice;
        let token = format!("wp_{:016x}{:016x}", dice.roll(), dice.roll());
        let entry = json!({"name": name.trim(), "scope": scope.word(), "sha256": hash(&token)});
        let place = format!("tokens[{count}]");
        document.set(&place, entry).map_err(|problem| problem.to_string())?;
        document.config(&super::surroundings(&self.files)).map_err(|problems| {
            let words: Vec<String> = problems.iter().map(|p| problem(p).words).collect();
            words.join("; ")
        })?;
        self.keep(&turn, document).await?;
        Ok(token)
    }
}

/// Of 128 random bits: a fast hash does.
fn hash(token: &str) -> String {
    let mut hash = Hash::default();
    hash.push(token.as_bytes());
    let octets: Vec<String> = hash.finish().iter().map(|octet| format!("{octet:02x}")).collect();
    octets.concat()
}
