//! Sign-ins of persons: tokens that let us in at a smarthost, had when they are needed and kept no
//! longer than they work. RFC 6749 §6.
//!
//! What lasts of a sign-in (its refresh token) is in `sign-ins.json`, a file that only this relay's
//! user may read. Access tokens are in memory alone.

use crate::{
    config::{SignIn, SignInKey, SignIns},
    limits,
    pairs::Pairs,
    proto::{
        http::{Answer, Content},
        oauth::{self, Grant, Said, Tokens},
        smtp::client::LOGIN_REFUSED,
        status::Outcome,
    },
    relay::{
        fetch::{Unanswered, fetch},
        resolve::Resolver,
    },
    sys::{Signal, Sys},
    time::{Instant, Wall},
};
use std::{
    cell::{Cell, RefCell},
    io,
    rc::Rc,
    time::Duration,
};

/// The file.
pub const FILE: &str = "sign-ins.json";

/// What asking for a token takes of the world.
#[derive(Clone, Copy)]
pub struct Way<'a> {
    /// The world.
    pub sys: &'a Sys,
    /// Names to addresses.
    pub resolver: &'a Resolver,
    /// IPv6 addresses are used.
    pub ipv6: bool,
    /// How often a person has wanted everything tried now.
    pub urgent: u64,
}

/// A token that lets us in.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// What is shown to the mail server.
    pub text: Rc<str>,
    /// When we had it.
    pub since: Instant,
}

/// There is no token now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// What that means for every message that waits for it: [`LOGIN_REFUSED`], so that it waits
    /// and is not given up.
    pub outcome: Outcome,
    /// Somebody out there was reached.
    pub contact: bool,
}

/// How a sign-in stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nobody has signed in yet.
    Missing,
    /// It works, as far as is known; when the person signed in, and when it ends, where that is
    /// known.
    Good(Option<Wall>, Option<Wall>),
    /// The service has not given a token lately; why.
    Late(String),
    /// It works no more: the person has to sign in again; why.
    Ended(String),
}

/// All sign-ins that the configuration names.
#[derive(Default)]
pub struct Grants {
    kept: RefCell<SignIns>,
    live: RefCell<Pairs<SignInKey, Live>>,
    /// Raised when somebody has done asking, or writing: something may stand otherwise now.
    pub over: Signal,
    writing: Cell<bool>,
    /// What kept the file from being read.
    trouble: RefCell<String>,
}

/// What is known of a sign-in since the start.
#[derive(Default)]
struct Live {
    access: Option<(Token, Instant)>,
    /// Somebody asks for a token.
    asking: bool,
    /// When a token was had last.
    had: Option<Instant>,
    /// The service said no: why, and how often a person had wanted everything tried now. Unless
    /// one wants it, it is not asked again before somebody has signed in.
    ended: Option<(String, u64)>,
    /// It is not asked again before that, unless a person wants it.
    later: Option<Later>,
    failures: u32,
}

struct Later {
    until: Instant,
    urgent: u64,
    why: Missing,
}

impl Grants {
    /// Take over what was read from [`FILE`].
    pub fn load(&self, text: &str) {
        match SignIns::parse(text) {
            Ok(kept) => *self.kept.borrow_mut() = kept,
            Err(problem) => {
                *self.trouble.borrow_mut() =
                    format!("{problem}. Sign in again: that writes it anew.");
            }
        }
    }

    /// The file could not be understood; in words, empty where nothing is wrong.
    pub fn trouble(&self) -> String {
        self.trouble.borrow().clone()
    }

    /// How the sign-in for a grant stands.
    pub fn standing(&self, grant: &Grant) -> Standing {
        let key = SignInKey::from(grant);
        let live = self.live.borrow();
        let live = live.get(&key);
        if let Some((why, _)) = live.and_then(|live| live.ended.clone()) {
            return Standing::Ended(why);
        }
        let kept = self.kept.borrow();
        let Some(kept) = kept.0.get(&key) else { return Standing::Missing };
        match live.and_then(|live| live.later.as_ref()) {
            Some(later) => Standing::Late(later.why.outcome.text.clone()),
            None => Standing::Good(kept.since, kept.until),
        }
    }

    /// When a token was last had for it, since the start.
    pub fn had(&self, grant: &Grant) -> Option<Instant> {
        self.live.borrow().get(&SignInKey::from(grant))?.had
    }

    /// A token for a grant: the one we have, or a new one. Who comes while somebody asks waits for
    /// the same answer.
    ///
    /// # Errors
    /// Nobody has signed in, the sign-in has ended, or the service gives none now.
    pub async fn token(&self, way: &Way<'_>, grant: &Grant) -> Result<Token, Missing> {
        let key = SignInKey::from(grant);
        let refresh = loop {
            let seen = self.over.count();
            match self.at_hand(way, &key) {
                Hand::Token(token) => return Ok(token),
                Hand::Missing(missing) => return Err(missing),
                Hand::Ask(refresh) => break refresh,
                Hand::Wait => drop(self.over.past(seen).await),
            }
        };
        let asking = Asking { grants: self, key: &key };
        let form = grant.client.refresh(&refresh);
        let answer =
            fetch(way.sys, way.resolver, way.ipv6, &grant.provider.token, Content::Form(&form))
                .await;
        let result = self.hear(way, grant, &refresh, answer).await;
        drop(asking);
        result
    }

    fn at_hand(&self, way: &Way<'_>, key: &SignInKey) -> Hand {
        let now = way.sys.clock.now();
        let mut live = self.live.borrow_mut();
        let live = live.entry(key.clone(), Live::default);
        if let Some((why, _)) = live.ended.as_ref().filter(|(_, seen)| *seen == way.urgent) {
            return Hand::Missing(refused(key, why));
        }
        if let Some((token, _)) = live.access.as_ref().filter(|(_, until)| now < *until) {
            return Hand::Token(token.clone());
        }
        if live.asking {
            return Hand::Wait;
        }
        let later = live.later.as_ref();
        if let Some(later) = later.filter(|l| now < l.until && l.urgent == way.urgent) {
            return Hand::Missing(later.why.clone());
        }
        let Some(refresh) = self.kept.borrow().0.get(key).map(|kept| kept.refresh.clone()) else {
            return Hand::Missing(refused(key, "nobody has signed in yet"));
        };
        live.asking = true;
        Hand::Ask(refresh)
    }

    /// What the service has answered to `refresh`.
    async fn hear(
        &self,
        way: &Way<'_>,
        grant: &Grant,
        refresh: &str,
        answer: Result<Answer, Unanswered>,
    ) -> Result<Token, Missing> {
        let key = SignInKey::from(grant);
        let host = &grant.provider.token.host;
        let (words, wait, contact) = match answer {
            Err(Unanswered { words, contact }) => (words, None, contact),
            Ok(answer) => match oauth::tokens(&answer) {
                Said::Yes(tokens) => return Ok(self.renewed(way, grant, refresh, tokens).await),
                Said::No(why) => {
                    // Somebody may have signed in while we asked.
                    let same = self.kept.borrow().0.get(&key).is_none_or(|k| k.refresh == refresh);
                    if same {
                        let ended = Some((why.clone(), way.urgent));
                        self.with(&key, |live| live.ended = ended);
                    }
                    return Err(refused(&key, &why));
                }
                Said::Later(why, wait) => (format!("{host} says: {why}"), wait, true),
                Said::NotYet(_) => (format!("{host} wants to be asked later"), None, true),
            },
        };
        // No message is to blame for it, however long it lasts.
        let text = format!("there is no token to log in with: {words}");
        let why = Missing { outcome: Outcome::ours(LOGIN_REFUSED, text), contact };
        let now = way.sys.clock.now();
        self.with(&key, |live| {
            let grown = limits::TOKEN_RETRY_FIRST * (1 << live.failures.min(8));
            let wait = wait.unwrap_or_default().max(grown.min(limits::TOKEN_RETRY_MAX));
            live.failures += 1;
            live.later = Some(Later { until: now + wait, urgent: way.urgent, why: why.clone() });
        });
        Err(why)
    }

    /// New tokens for old. A refresh token that takes the place of the old one is durable before it
    /// is relied on; where it cannot be written, the old one may still do.
    async fn renewed(&self, way: &Way<'_>, grant: &Grant, old: &str, tokens: Tokens) -> Token {
        let key = SignInKey::from(grant);
        let newer = tokens.refresh.as_ref().filter(|newer| *newer != old).cloned();
        let token = self.had_token(way.sys, &key, &tokens);
        let known = self.kept.borrow().0.get(&key).cloned();
        let ends = ends(way.sys, tokens.refresh_lifetime);
        if let Some(known) = known.filter(|known| known.refresh == old) {
            let until = ends.or(known.until.filter(|_| newer.is_none()));
            let refresh = newer.unwrap_or_else(|| known.refresh.clone());
            let fresh = SignIn { refresh, since: known.since, until };
            // An end that moves with each use need not be written each time.
            if fresh.refresh != known.refresh {
                self.kept.borrow_mut().0.insert(key, fresh);
                drop(self.write(way.sys).await);
            } else if fresh.until != known.until {
                self.kept.borrow_mut().0.insert(key, fresh);
            }
        }
        token
    }

    fn had_token(&self, sys: &Sys, key: &SignInKey, tokens: &Tokens) -> Token {
        let now = sys.clock.now();
        let lifetime = tokens.lifetime.unwrap_or(limits::TOKEN_LIFETIME);
        let until = now + lifetime.saturating_sub(limits::TOKEN_MARGIN.min(lifetime / 2));
        let token = Token { text: tokens.access.as_str().into(), since: now };
        self.with(key, |live| {
            *live = Live {
                access: Some((token.clone(), until)),
                asking: live.asking,
                had: Some(now),
                ..Live::default()
            };
        });
        token
    }

    /// The mail server does not take this token. Tells whether another one may help: it was not
    /// fresh.
    pub fn doubt(&self, sys: &Sys, grant: &Grant, token: &Token) -> bool {
        self.with(&SignInKey::from(grant), |live| {
            live.access.take_if(|(known, _)| known == token);
        });
        sys.clock.now().since(token.since) > limits::TOKEN_FRESH
    }

    /// A person has signed in: keep that, durably.
    ///
    /// # Errors
    /// In words: the service gave nothing that lasts, or the disk failed.
    pub async fn signed_in(&self, sys: &Sys, grant: &Grant, tokens: Tokens) -> Result<(), String> {
        let Some(refresh) = tokens.refresh.clone() else {
            return Err(format!(
                "{} gave a token for now, and none to renew it with: the sign-in would end within \
                 the hour. See that the program registered there may keep access (the scope \
                 offline_access, or \"offline\" access).",
                grant.provider.token.host
            ));
        };
        let key = SignInKey::from(grant);
        let until = ends(sys, tokens.refresh_lifetime);
        let kept = SignIn { refresh, since: sys.clock.wall(), until };
        let before = self.kept.borrow_mut().0.insert(key.clone(), kept);
        if let Err(error) = self.write(sys).await {
            let mut kept = self.kept.borrow_mut();
            match before {
                Some(before) => drop(kept.0.insert(key, before)),
                None => drop(kept.0.remove(&key)),
            }
            return Err(format!("{FILE} could not be written: {error}"));
        }
        self.had_token(sys, &key, &tokens);
        self.trouble.borrow_mut().clear();
        Ok(())
    }

    /// Forget all but these. The file follows when it is next written.
    pub fn retain(&self, grants: &[Rc<Grant>]) {
        let keys: Vec<SignInKey> = grants.iter().map(|grant| SignInKey::from(&**grant)).collect();
        self.kept.borrow_mut().0.retain(|key, _| keys.contains(key));
        self.live.borrow_mut().retain(|key, live| live.asking || keys.contains(key));
    }

    /// One at a time, and what is newest is what is there in the end.
    async fn write(&self, sys: &Sys) -> io::Result<()> {
        while self.writing.replace(true) {
            self.over.past(self.over.count()).await;
        }
        let writing = Writing(self);
        let text = self.kept.borrow().to_string();
        let result = sys.replace(FILE, text.into_bytes()).await;
        drop(writing);
        result
    }

    fn with<T>(&self, key: &SignInKey, change: impl FnOnce(&mut Live) -> T) -> T {
        change(self.live.borrow_mut().entry(key.clone(), Live::default))
    }
}

/// What [`Grants::token`] finds.
enum Hand {
    Token(Token),
    Missing(Missing),
    Ask(String),
    Wait,
}

fn refused(key: &SignInKey, why: &str) -> Missing {
    let host = key.token.split('/').nth(2).unwrap_or_default();
    let text = format!("{} has to sign in at {host}: {why}", key.user);
    Missing { outcome: Outcome::ours(LOGIN_REFUSED, text), contact: true }
}

fn ends(sys: &Sys, lifetime: Option<Duration>) -> Option<Wall> {
    Some(Wall(sys.clock.wall()?.0 + lifetime?.as_secs()))
}

/// Somebody asks for a token.
struct Asking<'a> {
    grants: &'a Grants,
    key: &'a SignInKey,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.grants.with(self.key, |live| live.asking = false);
        self.grants.over.raise();
    }
}

/// Somebody writes the file.
struct Writing<'a>(&'a Grants);

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.0.writing.set(false);
        self.0.over.raise();
    }
}
