//! Secrets apart from the document: they live in a file of their own, and nothing that is shown has
//! them.

use super::{Document, Problem, document::value, problem};
use crate::limits;
use serde_json::{Map, Value, json};
use std::fmt;

/// What stands for a secret where a document is shown. Given back, it means: as it was.
pub const SET: &str = "(set)";

/// How an argon2id hash begins.
const HASH: &str = "$argon2id$";

/// The keys of secrets. A route has one of them, everybody else a password.
const SECRETS: [&str; 3] = ["password", "token", "client_secret"];

/// The routes' secrets, by route: what it is for, its server and its user. A route that changes in
/// any of them needs its secret again, so that no edit can send one to another server.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secrets(Vec<(RouteKey, Kept)>);

type RouteKey = [String; 3];

/// One of [`SECRETS`], and what it is.
type Kept = (&'static str, String);

/// Never shows one.
impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({})", self.0.len())
    }
}

/// The text of the file `secrets.json`.
impl fmt::Display for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let routes = self.0.iter().map(|([pattern, via, user], (name, secret))| {
            json!({"for": pattern, "via": via, "user": user, *name: secret})
        });
        let text = json!({"routes": routes.collect::<Vec<_>>()});
        writeln!(f, "{}", serde_json::to_string_pretty(&text).map_err(|_| fmt::Error)?)
    }
}

impl Secrets {
    /// Read the text of `secrets.json`; an empty text has none.
    ///
    /// # Errors
    /// It is not what [`Secrets`] prints; without showing any of it.
    pub fn parse(text: &str) -> Result<Secrets, Problem> {
        if text.trim().is_empty() {
            return Ok(Secrets::default());
        }
        let bad = || Problem::new("secrets.json", "something else", "what this relay wrote there");
        let file = Some(text).filter(|t| t.len() <= limits::SECRETS_BYTES).ok_or_else(bad)?;
        let file = value(file).map_err(|_| bad())?;
        let routes = file.get("routes").and_then(Value::as_array).ok_or_else(bad)?;
        let read = |route: &Value| {
            let route = route.as_object()?;
            Some((route_key(route)?, secret_of(route)?))
        };
        routes.iter().map(read).collect::<Option<_>>().map(Secrets).ok_or_else(bad)
    }

    /// No secrets at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Take over `newer` ones, and forget those whose route `document` no longer has.
    pub fn update(&mut self, newer: Secrets, document: &Document) {
        for (key, secret) in newer.0 {
            self.0.retain(|(k, _)| *k != key);
            self.0.push((key, secret));
        }
        let keys: Vec<RouteKey> = document.routes().filter_map(route_key).collect();
        self.0.retain(|(key, _)| keys.contains(key));
    }

    fn of(&self, key: &RouteKey) -> Option<&Kept> {
        self.0.iter().find(|(k, _)| k == key).map(|(_, secret)| secret)
    }
}

/// The one secret of a route; `None` where it has none, or two.
fn secret_of(route: &Map<String, Value>) -> Option<Kept> {
    let has = |name: &&'static str| route.get(*name).is_some_and(|value| !value.is_null());
    let mut names = SECRETS.into_iter().filter(|name| has(name));
    let (Some(name), None) = (names.next(), names.next()) else { return None };
    Some((name, route.get(name)?.as_str()?.to_string()))
}

/// Lists whose objects have secrets of others in them, and not hashes.
const KEEPERS: [&str; 2] = ["routes", "push"];

/// Which route (or push) a secret belongs to; `None` where none makes sense: without a user.
fn route_key(route: &Map<String, Value>) -> Option<RouteKey> {
    let text = |key: &str| route.get(key).and_then(Value::as_str);
    if let (Some(name), Some(url)) = (text("name"), text("url")) {
        return Some(["push".into(), url.to_ascii_lowercase(), name.to_ascii_lowercase()]);
    }
    let via = text("via").or_else(|| text("provider"))?.to_ascii_lowercase();
    Some([text("for")?.to_ascii_lowercase(), via, text("user")?.to_string()])
}

impl Document {
    fn routes(&self) -> impl Iterator<Item = &Map<String, Value>> {
        KEEPERS.into_iter().flat_map(|key| self.objects(key)).filter_map(Value::as_object)
    }

    fn objects(&self, key: &str) -> impl Iterator<Item = &Value> {
        self.0.get(key).and_then(Value::as_array).into_iter().flatten()
    }

    fn objects_mut(&mut self, key: &str) -> impl Iterator<Item = &mut Map<String, Value>> {
        let list = self.0.get_mut(key).and_then(Value::as_array_mut);
        list.into_iter().flatten().filter_map(Value::as_object_mut)
    }

    /// The document without the routes' secrets, and these. What has no `for`, `via` and `user`, or
    /// both a password and a token, keeps them (its problems are told by [`Document::config`]), and
    /// so do placeholders.
    pub fn split(mut self) -> (Document, Secrets) {
        let mut secrets = Secrets::default();
        for list in KEEPERS {
            for route in self.objects_mut(list) {
                let Some(key) = route_key(route) else { continue };
                if let Some((name, secret)) = secret_of(route)
                    && secret != SET
                    && secrets.of(&key).is_none()
                {
                    route.shift_remove(name);
                    secrets.0.push((key, (name, secret)));
                }
            }
        }
        (self, secrets)
    }

    /// The document with the routes' secrets put back where it has none itself.
    #[must_use]
    pub fn join(mut self, secrets: &Secrets) -> Document {
        for list in KEEPERS {
            for route in self.objects_mut(list) {
                let has = |name: &str| route.get(name).is_some_and(|v| !v.is_null());
                let given = SECRETS.iter().any(|name| has(name));
                if !given
                    && let Some((name, secret)) = route_key(route).and_then(|key| secrets.of(&key))
                {
                    route.insert((*name).to_string(), json!(secret));
                }
            }
        }
        self
    }

    /// Passwords of users and of the page that are still in clear, by path, for their hashes to be
    /// [`Document::set`] there. What is no text, too long or empty is left to [`Document::config`]
    /// to refuse.
    pub fn clear_passwords(&self) -> Vec<(String, String)> {
        let users = self.objects("users").enumerate();
        let users = users.map(|(n, user)| (format!("users[{n}].password"), user.get("password")));
        let admin = ("admin.password".to_string(), self.get("admin.password"));
        users
            .chain([admin])
            .filter_map(|(path, password)| Some((path, password?.as_str()?)))
            .filter(|(_, password)| is_clear(password) && is_password(password))
            .map(|(path, password)| (path, password.to_string()))
            .collect()
    }

    /// The document as it may be shown: [`SET`] in place of every secret, hashes too.
    #[must_use]
    pub fn redacted(&self) -> Document {
        let mut shown = self.clone();
        for key in ["users", "routes", "push"] {
            for object in shown.objects_mut(key) {
                hide(object);
            }
        }
        if let Some(Value::Object(admin)) = shown.0.get_mut("admin") {
            hide(admin);
        }
        shown
    }

    /// Put the secrets of `old` where this document, which came from a page that was shown the
    /// redacted one, has [`SET`]: by name for users, by `for`, `via` and `user` for routes.
    ///
    /// # Errors
    /// Placeholders for secrets that `old` does not have; they stay.
    pub fn restore(&mut self, old: &Document) -> Result<(), Vec<Problem>> {
        let mut problems = Vec::new();
        let mut put = |object: &mut Map<String, Value>, was: Option<&Value>, path: &str| {
            for name in SECRETS {
                if object.get(name).and_then(Value::as_str) != Some(SET) {
                    continue;
                }
                match was.and_then(|w| w.get(name)).filter(|w| w.as_str() != Some(SET)) {
                    Some(was) => drop(object.insert(name.to_string(), was.clone())),
                    None => problems.push(Problem::new(
                        format!("{path}.{name}"),
                        format!("{SET}, but there is none to keep"),
                        format!(
                            "the {name} itself (after a change of name or server it must be given \
                             again)"
                        ),
                    )),
                }
            }
        };
        for (n, user) in self.objects_mut("users").enumerate() {
            let name = |user: &Map<String, Value>| {
                user.get("name").and_then(Value::as_str).map(str::to_ascii_lowercase)
            };
            let same = |was: &&Value| {
                name(user).is_some() && was.as_object().map(name) == Some(name(user))
            };
            let was = old.objects("users").find(same);
            put(user, was, &format!("users[{n}]"));
        }
        for list in KEEPERS {
            for (n, route) in self.objects_mut(list).enumerate() {
                let key = route_key(route);
                let same =
                    |was: &&Value| key.is_some() && was.as_object().and_then(route_key) == key;
                let was = old.objects(list).find(same);
                put(route, was, &format!("{list}[{n}]"));
            }
        }
        if let Some(Value::Object(admin)) = self.0.get_mut("admin") {
            put(admin, old.get("admin"), "admin");
        }
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }
}

fn hide(object: &mut Map<String, Value>) {
    for name in SECRETS {
        if let Some(secret) = object.get_mut(name).filter(|secret| !secret.is_null()) {
            *secret = json!(SET);
        }
    }
}

fn is_clear(password: &str) -> bool {
    !password.starts_with(HASH) && password != SET
}

/// May this be a password?
pub fn is_password(text: &str) -> bool {
    (1..=limits::PASSWORD_BYTES).contains(&text.len()) && !text.chars().any(char::is_control)
}

/// May this be a client id of OAuth 2, or its secret? RFC 6749 appendix A.
pub(super) fn is_client(text: &str) -> bool {
    let visible = text.bytes().all(|b| (b' '..=b'~').contains(&b));
    (1..=limits::CLIENT_BYTES).contains(&text.len()) && visible
}

/// May this be an access token? RFC 6750 §2.1.
pub(super) fn is_token(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/".contains(&b);
    let body = text.trim_end_matches('=');
    text.len() <= limits::TOKEN_BYTES && !body.is_empty() && body.bytes().all(plain)
}

/// How the password of a user or of the page stands in the document: its hash, or nothing that may
/// be used.
///
/// # Errors
/// What was found instead, without showing it.
pub(super) fn hash(value: &Value) -> Result<Password<'_>, String> {
    let text = value.as_str().ok_or_else(|| problem::kind_shown(value))?;
    if text == SET {
        return Err(format!("the placeholder {SET}"));
    }
    if is_clear(text) {
        let fine = is_password(text);
        return if fine { Ok(Password::Clear) } else { Err(problem::kind_shown(value)) };
    }
    // $argon2id$v=19$m=7168,t=5,p=1$salt$hash: the PHC string format.
    let fields = text.split('$').count();
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"$=,+/-".contains(&b);
    let whole = (5..=6).contains(&fields) && text.len() <= limits::PASSWORD_BYTES;
    if !whole || !text.bytes().all(plain) {
        return Err("an argon2id hash that is damaged".to_string());
    }
    let cost = |name: &str| {
        let costs = text.split(['$', ',']).find_map(|field| field.strip_prefix(name));
        costs.and_then(|cost| cost.parse::<u32>().ok()).unwrap_or(u32::MAX)
    };
    if cost("m=") > limits::PASSWORD_KIB_MAX
        || cost("t=") > limits::PASSWORD_PASSES_MAX
        || cost("p=") > limits::PASSWORD_LANES_MAX
    {
        return Err("an argon2id hash that takes too much memory or time".to_string());
    }
    Ok(Password::Hash(text))
}

/// See [`hash`].
pub(super) enum Password<'a> {
    /// In clear: to be hashed first.
    Clear,
    /// An argon2id hash.
    Hash(&'a str),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(value: &Value) -> Document {
        Document::parse(&value.to_string()).expect("a document")
    }

    fn example() -> Document {
        document(&json!({
            "users": [{"name": "alice", "password": "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaA"},
                      {"name": "bob", "password": "hunter2"}, {"name": "box"}],
            "routes": [{"for": "*", "via": "smtp.example.com", "user": "me", "password": "s3cret"},
                       {"for": "example.org", "via": "mx"},
                       {"for": "example.net", "via": "smtp.example.com", "user": "me", "token": "ya29"}],
            "admin": {"password": "topsecret"},
        }))
    }

    #[test]
    fn the_routes_passwords_move_to_their_file_and_back() {
        let (without, found) = example().split();
        assert!(!without.to_string().contains("s3cret") && !without.to_string().contains("ya29"));
        assert_eq!(without.get("routes[0].password"), None);
        assert_eq!(without.get("routes[2].token"), None);
        let again = Secrets::parse(&found.to_string()).expect("as printed");
        assert_eq!(again, found);
        assert_eq!(without.join(&again), example());
    }

    #[test]
    fn a_new_password_replaces_the_old_and_that_of_a_gone_route_is_forgotten() {
        let (mut document, mut secrets) = example().split();
        document.set_text("routes[0].password", "newer").expect("a path");
        let (document, newer) = document.split();
        secrets.update(newer, &document);
        assert_eq!(
            document.clone().join(&secrets).get("routes[0].password"),
            Some(&json!("newer"))
        );
        let mut gone = document;
        gone.remove("routes[2]");
        gone.set_text("routes[0].via", "other.example.com").expect("a path");
        assert_eq!(
            gone.clone().join(&secrets).get("routes[0].password"),
            None,
            "no leak to another"
        );
        secrets.update(Secrets::default(), &gone);
        assert!(secrets.is_empty());
    }

    #[test]
    fn a_token_takes_the_place_of_a_password_and_the_other_way_round() {
        let (mut document, mut secrets) = example().split();
        for (new, old) in [("token", "password"), ("password", "token")] {
            document.set_text(&format!("routes[0].{new}"), "newer").expect("a path");
            let (open, newer) = document.join(&secrets).split();
            secrets.update(newer, &open);
            let joined = open.clone().join(&secrets);
            assert_eq!(joined.get(&format!("routes[0].{new}")), Some(&json!("newer")));
            assert_eq!(joined.get(&format!("routes[0].{old}")), None);
            document = open;
        }
        let mut both = example();
        both.set_text("routes[0].token", "newer").expect("a path");
        let (open, newer) = both.clone().split();
        assert_eq!(open.get("routes[0]"), both.get("routes[0]"), "a person must choose");
        assert!(!newer.to_string().contains("newer"));
    }

    #[test]
    fn the_secrets_of_all_routes_fit_their_file() {
        let text = |n: usize, length: usize| format!("{n:03}{}", "\"".repeat(length - 3));
        let routes = (0..limits::ROUTES).map(|n| {
            let (user, via) = (text(n, limits::PASSWORD_BYTES), text(n, limits::DOMAIN_BYTES));
            let pattern = text(n, limits::PATH_BYTES);
            ([pattern, via, user], ("token", "t".repeat(limits::TOKEN_BYTES)))
        });
        let secrets = Secrets(routes.collect());
        assert_eq!(Secrets::parse(&secrets.to_string()).expect("as printed"), secrets);
    }

    #[test]
    fn only_passwords_in_clear_are_told_for_hashing() {
        let clear = example().clear_passwords();
        let clear: Vec<_> = clear.iter().map(|(k, p)| (k.as_str(), p.as_str())).collect();
        assert_eq!(clear, [("users[1].password", "hunter2"), ("admin.password", "topsecret")]);
    }

    #[test]
    fn what_is_shown_has_no_secret_and_gives_them_back() {
        let old = example();
        let shown = old.redacted();
        let text = format!("{shown}{shown:?}{old:?}{:?}", old.clone().split().1);
        for secret in ["argon2id", "hunter2", "s3cret", "topsecret", "ya29"] {
            assert!(!text.contains(secret), "{secret} is shown");
        }
        assert_eq!(shown.get("users[2].password"), None);
        let mut given_back = shown;
        given_back.restore(&old).expect("all are there");
        assert_eq!(given_back, old);
    }

    #[test]
    fn a_secret_follows_its_owner_and_nobody_else() {
        let old = example();
        let mut new = old.redacted();
        new.remove("users[0]");
        new.set_text("routes[0].via", "smtp.example.net").expect("a path");
        new.set("users[2]", json!({"name": "carol", "password": SET})).expect("a path");
        let problems = new.restore(&old).expect_err("two are unknown");
        let keys: Vec<_> = problems.iter().map(|p| p.key.as_str()).collect();
        assert_eq!(keys, ["users[2].password", "routes[0].password"]);
        assert_eq!(new.get("users[0].password"), Some(&json!("hunter2")), "bob keeps his");
    }

    #[test]
    fn a_damaged_secrets_file_is_refused_without_showing_it() {
        for text in
            ["{", "[]", "{}", r#"{"routes":[{"password":"hunter2"}]}"#, r#"{"routes":"hunter2"}"#]
        {
            let problem = Secrets::parse(text).expect_err("damaged");
            assert!(!problem.to_string().contains("hunter2"));
        }
        assert!(Secrets::parse("").expect("nothing is fine").is_empty());
    }

    #[test]
    fn passwords_are_bounded() {
        assert!(is_password(&"é".repeat(128)) && !is_password(&"é".repeat(129)));
        assert!(
            is_password("x") && !is_password("") && !is_password("a\0b") && !is_password("a\nb")
        );
        assert!(is_token(&"t".repeat(4096)) && !is_token(&"t".repeat(4097)));
        assert!(is_token("ya29.a0-_~+/=="));
        for bad in ["", "=", "a b", "a=b", "a\u{1}", "é", SET] {
            assert!(!is_token(bad), "{bad}");
        }
    }
}
