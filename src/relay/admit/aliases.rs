//! From an address to the mailboxes and addresses elsewhere that it stands for.
//!
//! A local address is looked up in this order: the alias of the whole address, the alias of its
//! local part, the user of that name; the same without its `+detail`; the alias of its domain, the
//! catch-all. An alias that comes back to itself means the user of that name, so
//! `alice: alice, me@example.org` is a copy. Postmaster is always somebody; root and postmaster are
//! the owner, where there is one.

use crate::{config::Config, limits, proto::dns, proto::mail::address::Address, relay::route};
use core::fmt;
use std::collections::{HashMap, HashSet};

/// Aliases by where they come from; the values are places in `config.aliases`.
pub(super) struct Aliases {
    /// By folded local part and domain, which is empty for all of ours.
    by_address: HashMap<(String, String), usize>,
    by_domain: HashMap<String, usize>,
}

/// Why an address has no ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Knot {
    /// It is nobody's.
    Nobody,
    /// Aliases lead to each other and nowhere else.
    Circle,
    /// A chain of more than [`limits::ALIAS_DEPTH`] links.
    Long,
    /// More than [`limits::ALIAS_TARGETS`] addresses.
    Wide,
}

impl fmt::Display for Knot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Knot::Nobody => f.write_str("no user or alias has this name, and nothing catches it"),
            Knot::Circle => f.write_str("its aliases lead only to each other, or to nobody"),
            Knot::Long => write!(f, "its aliases have more than {} links", limits::ALIAS_DEPTH),
            Knot::Wide => {
                write!(f, "its aliases lead to more than {} addresses", limits::ALIAS_TARGETS)
            }
        }
    }
}

/// What an address leads to.
enum Leads {
    /// It is an end: a mailbox here, or elsewhere.
    End,
    /// The alias at this place.
    Alias(usize),
    /// Whoever catches what is nobody's.
    Catch(Address),
    /// An alias that is being followed already.
    Circle,
    Nobody,
}

/// An address on the way, and how it was come by.
struct Step {
    to: Address,
    /// Aliases followed, from the first.
    path: Vec<usize>,
    caught: bool,
}

impl Aliases {
    pub(super) fn new(config: &Config) -> Aliases {
        let mut aliases = Aliases { by_address: HashMap::new(), by_domain: HashMap::new() };
        for (place, alias) in config.aliases.iter().enumerate() {
            if let Some(domain) = alias.from.strip_prefix('@') {
                aliases.by_domain.entry(domain_key(domain)).or_insert(place);
            } else if let Ok(from) = Address::parse(&alias.from) {
                let key = (route::folded(from.local()), domain_key(from.domain()));
                aliases.by_address.entry(key).or_insert(place);
            }
        }
        aliases
    }

    /// The ends of an address (with a domain) in the order they are written: each once, at least 1
    /// and at most [`limits::ALIAS_TARGETS`]. An address elsewhere is its own end.
    ///
    /// A target that is nobody is left out where others are left; the configuration's own check
    /// names it.
    pub(super) fn ends(&self, config: &Config, to: &Address) -> Result<Vec<Address>, Knot> {
        let mut ends: Vec<Address> = Vec::new();
        let mut known: HashSet<(String, String)> = HashSet::new();
        let mut followed: HashSet<usize> = HashSet::new();
        let mut knot = Knot::Nobody;
        let mut steps = vec![Step { to: to.clone(), path: Vec::new(), caught: false }];
        while let Some(step) = steps.pop() {
            match self.leads(config, &step) {
                Leads::End => {
                    if known.insert(end_key(config, &step.to)) {
                        ends.push(step.to);
                    }
                }
                Leads::Alias(place) => {
                    if step.path.len() == limits::ALIAS_DEPTH {
                        return Err(Knot::Long);
                    }
                    knot = Knot::Circle;
                    // Followed once is followed; so the work is bounded by the aliases there are.
                    if followed.insert(place) {
                        steps.extend(follow(config, place, &step));
                    }
                }
                Leads::Catch(to) => steps.push(Step { to, path: step.path, caught: true }),
                Leads::Circle => knot = Knot::Circle,
                Leads::Nobody => {}
            }
            if ends.len() + steps.len() > limits::ALIAS_TARGETS {
                return Err(Knot::Wide);
            }
        }
        if ends.is_empty() { Err(knot) } else { Ok(ends) }
    }

    /// Is a local address somebody's, without whoever catches what is nobody's?
    pub(super) fn knows(&self, config: &Config, to: &Address) -> bool {
        let step = Step { to: to.clone(), path: Vec::new(), caught: true };
        matches!(self.leads(config, &step), Leads::End | Leads::Alias(_))
    }

    fn leads(&self, config: &Config, step: &Step) -> Leads {
        if !route::is_local_domain(config, step.to.domain()) {
            return Leads::End;
        }
        let local = route::folded(step.to.local());
        let domain = domain_key(step.to.domain());
        let is_user = |name: &str| {
            config.users.iter().any(|user| user.name == name)
                || config.push.iter().any(|push| push.name == name)
        };
        for name in [Some(local.as_str()), route::without_tag(&local)].into_iter().flatten() {
            let at = |domain: &str| self.by_address.get(&(name.to_string(), domain.to_string()));
            match at(&domain).or_else(|| at("")) {
                Some(place) if !step.path.contains(place) => return Leads::Alias(*place),
                _ if is_user(name) => return Leads::End,
                Some(_) => return Leads::Circle,
                None => {}
            }
        }
        if let Some(place) = self.by_domain.get(&domain).filter(|n| !step.path.contains(n)) {
            return Leads::Alias(*place);
        }
        let owner = config.owner.as_deref().filter(|_| is_system(&step.to));
        let catcher = owner.or(config.catch_all.as_deref()).filter(|_| !step.caught);
        let catcher = catcher.and_then(|target| parsed(config, target));
        match catcher {
            Some(to) => Leads::Catch(to),
            None if is_postmaster(&step.to) => postmaster(config),
            None => Leads::Nobody,
        }
    }
}

/// The targets of an alias, the first on top.
fn follow(config: &Config, place: usize, step: &Step) -> Vec<Step> {
    let path = [step.path.as_slice(), &[place]].concat();
    let targets = config.aliases.get(place).map(|alias| alias.to.as_slice()).unwrap_or_default();
    let targets = targets.iter().rev().filter_map(|target| parsed(config, target));
    targets.map(|to| Step { to, path: path.clone(), caught: step.caught }).collect()
}

/// RFC 5321 §4.5.1: mail for postmaster must reach somebody. Where nobody was named it is the first
/// user, or who is behind the first alias.
fn postmaster(config: &Config) -> Leads {
    match (config.users.first(), config.aliases.is_empty()) {
        (Some(user), _) => parsed(config, &user.name).map_or(Leads::Nobody, Leads::Catch),
        (None, false) => Leads::Alias(0),
        (None, true) => Leads::Nobody,
    }
}

/// Is this postmaster, in any case, quoted or with a tag? Whether at a domain of ours is another
/// question.
pub(super) fn is_postmaster(to: &Address) -> bool {
    let local = route::folded(to.local());
    route::without_tag(&local).unwrap_or(&local) == "postmaster"
}

/// A name that is nobody's own: programs send from it, and reports are sent to it. RFC 2142 §4, §5.
pub(super) fn is_system(to: &Address) -> bool {
    let local = route::folded(to.local());
    let bare = route::without_tag(&local).unwrap_or(&local);
    ["root", "postmaster", "mailer-daemon", "daemon", "abuse", "hostmaster"].contains(&bare)
}

/// Who sends reports.
pub(super) fn is_mail_system(to: &Address) -> bool {
    route::folded(to.local()) == "mailer-daemon"
}

/// The address with a domain: a bare one is at the first of our domains, or else at the host name.
/// RFC 6409 §8.6 (completing fully qualified names).
pub(super) fn completed(config: &Config, address: &Address) -> Result<Address, &'static str> {
    if address.domain().is_empty() {
        address.at_domain(config.domains.first().unwrap_or(&config.hostname))
    } else {
        Ok(address.clone())
    }
}

/// A target as it is written: a local name or an address. The configuration has checked that it is
/// one.
fn parsed(config: &Config, target: &str) -> Option<Address> {
    let address = Address::parse(target).ok()?;
    completed(config, &address).ok()
}

/// Two ends with one key are one mailbox.
fn end_key(config: &Config, end: &Address) -> (String, String) {
    if route::is_local_domain(config, end.domain()) {
        (route::folded(end.local()), String::new())
    } else {
        (end.local().to_string(), domain_key(end.domain()))
    }
}

fn domain_key(domain: &str) -> String {
    dns::ascii_name(domain).unwrap_or_else(|| domain.to_lowercase())
}
