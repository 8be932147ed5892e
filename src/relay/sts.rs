//! Policies of domains (MTA-STS, RFC 8461): found, kept, and heeded for as long as they last.
//!
//! A policy is believed because it comes over HTTPS from a host of its domain, and it counts for
//! as long as it says, though its text in DNS or its page may be gone meanwhile: whoever keeps
//! them away gains nothing. So it is remembered across restarts, in the index, as far as that
//! lasts; without it the policy is had anew.

use crate::{
    limits,
    pairs::Pairs,
    proto::{
        dns,
        http::{Content, Url},
        sts::{self, Policy},
    },
    relay::{fetch::fetch, resolve::Resolver},
    sys::{IndexChange, Order, Range, Signal, Sys},
    time::Instant,
};
use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

const TREE: &str = "policies";

/// The policies that are known.
#[derive(Default)]
pub struct Policies {
    kept: RefCell<Pairs<String, Kept>>,
    /// The index was asked what it has.
    loaded: Cell<bool>,
    /// Domains whose policy somebody asks for now; "" while the index is read.
    asking: RefCell<Pairs<String, ()>>,
    /// Raised when somebody has done asking.
    over: Signal,
}

/// What finding a policy takes of the world.
#[derive(Clone, Copy)]
pub struct Way<'a> {
    /// The world.
    pub sys: &'a Sys,
    /// Names to addresses.
    pub resolver: &'a Resolver,
    /// IPv6 addresses are used.
    pub ipv6: bool,
}

/// What is to be heeded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Finding {
    /// The domain's policy, where it has one.
    pub policy: Option<Rc<Policy>>,
    /// It has one that could not be had just now, and why; `policy` is the one before.
    pub trouble: Option<String>,
}

/// What is known of a domain that has, or had, a policy.
struct Kept {
    /// Which policy was asked for last.
    id: String,
    policy: Option<(Rc<Policy>, Instant)>,
    /// Unless there is another one, nothing is asked for before that.
    look: Instant,
}

impl Kept {
    fn valid(&self, now: Instant) -> Option<Rc<Policy>> {
        let (policy, until) = self.policy.as_ref()?;
        (now < *until).then(|| policy.clone())
    }

    /// When it may be forgotten.
    fn end(&self) -> Instant {
        self.policy.as_ref().map_or(self.look, |(_, until)| *until)
    }
}

enum Hand {
    Is(Option<Rc<Policy>>),
    Ask,
    Wait,
}

impl Policies {
    /// What `domain` demands. Who asks while somebody finds out waits for the same.
    pub async fn find(&self, way: &Way<'_>, domain: &str) -> Finding {
        let Some(name) = dns::ascii_name(domain) else { return Finding::default() };
        self.load(way.sys).await;
        let texts = way.resolver.texts(&sts::record_name(&name)).await;
        let id = texts.ok().and_then(|texts| sts::id(&texts));
        loop {
            let seen = self.over.count();
            match self.at_hand(&name, id.as_deref(), way.sys.clock.now()) {
                Hand::Is(policy) => return Finding { policy, trouble: None },
                Hand::Wait => drop(self.over.past(seen).await),
                Hand::Ask => break,
            }
        }
        let asking = Asking { policies: self, what: &name };
        let had = way.sys.within(limits::STS_WAIT, page(way, &name)).await;
        let had = had.unwrap_or_else(|| Err("it takes too long".into()));
        let finding = self.hear(way.sys, &name, id.unwrap_or_default(), had).await;
        drop(asking);
        finding
    }

    fn at_hand(&self, name: &str, id: Option<&str>, now: Instant) -> Hand {
        let kept = self.kept.borrow();
        let kept = kept.get(name);
        let valid = kept.and_then(|kept| kept.valid(now));
        let Some(id) = id else { return Hand::Is(valid) };
        if kept.is_some_and(|kept| kept.id == id && now < kept.look) {
            return Hand::Is(valid);
        }
        let first = self.asking.borrow_mut().insert(name.to_string(), ()).is_none();
        if first { Hand::Ask } else { Hand::Wait }
    }

    async fn hear(
        &self,
        sys: &Sys,
        name: &str,
        id: String,
        had: Result<Policy, String>,
    ) -> Finding {
        let now = sys.clock.now();
        let before = self.kept.borrow().get(name).and_then(|kept| kept.policy.clone());
        match had {
            Ok(policy) => {
                let policy = Rc::new(policy);
                let until = now + policy.age;
                let look = now + policy.age.min(limits::STS_REFRESH);
                let mut changes = vec![change(name, written(sys, name, &id, &policy))];
                let kept = Kept { id, policy: Some((policy.clone(), until)), look };
                changes.extend(self.keep(name, kept).iter().map(|name| change(name, None)));
                write(sys, changes).await;
                Finding { policy: Some(policy), trouble: None }
            }
            Err(why) => {
                let kept = Kept { id, policy: before, look: now + limits::STS_RETRY };
                let policy = kept.valid(now);
                let forgotten = self.keep(name, kept);
                if !forgotten.is_empty() {
                    write(sys, forgotten.iter().map(|name| change(name, None)).collect()).await;
                }
                Finding { policy, trouble: Some(why) }
            }
        }
    }

    /// The domains that had to make way for it.
    fn keep(&self, name: &str, kept: Kept) -> Vec<String> {
        let mut forgotten = Vec::new();
        let mut all = self.kept.borrow_mut();
        all.insert(name.to_string(), kept);
        while all.len() > limits::STS_POLICIES {
            let soonest = all.iter().min_by_key(|(_, kept)| kept.end());
            let name = soonest.map(|(name, _)| name.clone()).unwrap_or_default();
            all.remove(&name);
            forgotten.push(name);
        }
        forgotten
    }

    /// What the index has is asked for once. Without it the domains' own word does.
    async fn load(&self, sys: &Sys) {
        while !self.loaded.get() {
            let seen = self.over.count();
            if self.asking.borrow_mut().insert(String::new(), ()).is_some() {
                self.over.past(seen).await;
                continue;
            }
            let asking = Asking { policies: self, what: "" };
            let limit = limits::STS_POLICIES;
            let range = Range { prefix: b"", from: None, order: Order::Rising, limit };
            let found = sys.within(limits::STS_INDEX_WAIT, sys.index.scan(TREE, range)).await;
            let mut over = Vec::new();
            for (name, value) in found.and_then(Result::ok).unwrap_or_default() {
                let text = String::from_utf8_lossy(&name);
                match read(sys, &value) {
                    Some(kept) => drop(self.keep(&text, kept)),
                    None => over.push(IndexChange { tree: TREE, key: name, value: None }),
                }
            }
            if !over.is_empty() {
                write(sys, over).await;
            }
            self.loaded.set(true);
            drop(asking);
        }
    }
}

/// What the index has of a policy; `None` where it counts no more. Where the clock is unset, or has
/// gone back, it counts as new.
fn read(sys: &Sys, value: &[u8]) -> Option<Kept> {
    let value = std::str::from_utf8(value).ok()?;
    let (head, page) = value.split_once('\n')?;
    let (since, id) = head.split_once(' ')?;
    let since: u64 = since.parse().ok()?;
    let age = sys.clock.wall().map_or(0, |wall| wall.0.saturating_sub(since));
    let age = Duration::from_secs(age);
    let policy = Policy::parse(page.as_bytes()).ok()?;
    let left = policy.age.checked_sub(age).filter(|left| !left.is_zero())?;
    let now = sys.clock.now();
    let look = now + limits::STS_REFRESH.min(policy.age).saturating_sub(age);
    Some(Kept { id: id.into(), policy: Some((Rc::new(policy), now + left)), look })
}

/// `None` where there is no room in the index, or no date: then it is remembered until the end.
fn written(sys: &Sys, name: &str, id: &str, policy: &Policy) -> Option<Vec<u8>> {
    let value = format!("{} {id}\n{}", sys.clock.wall()?.0, policy.page());
    (name.len() + value.len() <= limits::INDEX_ENTRY_BYTES).then(|| value.into_bytes())
}

fn change(name: &str, value: Option<Vec<u8>>) -> IndexChange {
    IndexChange { tree: TREE, key: name.into(), value }
}

/// The index tells of its own troubles.
async fn write(sys: &Sys, changes: Vec<IndexChange>) {
    drop(sys.within(limits::STS_INDEX_WAIT, sys.index.apply(changes)).await);
}

/// Somebody finds out.
struct Asking<'a> {
    policies: &'a Policies,
    what: &'a str,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.policies.asking.borrow_mut().remove(self.what);
        self.policies.over.raise();
    }
}

/// The policy as its domain has it now. RFC 8461 §3.3: nothing but 200 is an answer.
async fn page(way: &Way<'_>, name: &str) -> Result<Policy, String> {
    let url = sts::policy_url(name);
    let url = Url::parse(&url).ok_or("its domain is no host name")?;
    let answer = fetch(way.sys, way.resolver, way.ipv6, &url, Content::Nothing).await;
    let answer = answer.map_err(|unanswered| unanswered.words)?;
    if answer.status != 200 {
        return Err(format!("{} answers with status {}", url.host, answer.status));
    }
    if answer.kind != "text/plain" {
        return Err(format!("{} sends no plain text", url.host));
    }
    Policy::parse(&answer.body)
}
