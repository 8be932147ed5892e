//! Aliases: where they may come from and lead to, and that they end.
//!
//! A local address is looked up in this order, which is that of `relay::admit`: the alias of the
//! whole address, the alias of its local part, the user of that name; the same without its
//! `+detail`; the alias of its domain. An alias that comes back to itself means the user of that
//! name. What only the catch-all would take counts as nobody here: a target with a slip in it
//! should not end there unseen.

use super::{Config, Problem, problem::quoted, values};
use crate::{limits, proto::mail::address::Address};
use std::collections::{HashMap, HashSet};

/// Where an alias may come from: `name`, `name@domain` or `@domain`, in lower case.
pub(super) fn source(text: &str) -> Option<String> {
    match text.strip_prefix('@') {
        Some(domain) => values::domain(domain).map(|domain| format!("@{domain}")),
        None => target(text).map(|from| from.to_lowercase()),
    }
}

/// Where an alias may lead: a local name or an address.
pub(super) fn target(text: &str) -> Option<String> {
    Address::parse(text).ok().map(|address| address.to_string())
}

/// Tell what cannot be delivered: sources outside, sources given twice, targets nobody has,
/// circles, chains of more than [`limits::ALIAS_DEPTH`] links and ones that reach more than
/// [`limits::ALIAS_TARGETS`] addresses.
pub(super) fn check(config: &Config, problems: &mut Vec<Problem>) {
    let mut map = Map { config, sources: HashMap::new(), users: HashSet::new() };
    map.users.extend(config.users.iter().map(|user| user.name.as_str()));
    for (n, push) in config.push.iter().enumerate() {
        if !map.users.insert(push.name.as_str()) {
            let found = format!("{}, which is a user", quoted(&push.name));
            problems.push(Problem::new(format!("push[{n}].name"), found, "another name"));
        }
    }
    for (n, alias) in config.aliases.iter().enumerate().filter(|(_, a)| !a.from.is_empty()) {
        let place = || format!("aliases[{n}].from");
        if map.sources.insert(&alias.from, n).is_some() {
            let found = format!("{} again", quoted(&alias.from));
            problems.push(Problem::new(place(), found, "each alias once, with all its targets"));
        }
        let domain = alias.from.split_once('@').map_or("", |(_, domain)| domain);
        if !domain.is_empty() && !map.is_local(domain) {
            let allowed = "a name without a domain, or in hostname or domains";
            problems.push(Problem::new(place(), quoted(&alias.from), allowed));
        }
    }
    for (n, alias) in config.aliases.iter().enumerate() {
        for (m, to) in alias.to.iter().enumerate().filter(|(_, to)| map.is_dead(to, &[n])) {
            let place = format!("aliases[{n}].to[{m}]");
            problems.push(Problem::new(
                place,
                format!("{}, whom nobody knows here", quoted(to)),
                KNOWN,
            ));
        }
        if let Err(found) = map.follow(n) {
            let allowed = format!(
                "aliases that end at users or addresses, within {} links and {} addresses",
                limits::ALIAS_DEPTH,
                limits::ALIAS_TARGETS
            );
            let found = format!("{}, {found}", quoted(&alias.from));
            problems.push(Problem::new(format!("aliases[{n}]"), found, allowed));
        }
    }
    let devices = config.devices.iter().enumerate();
    let owners = devices.map(|(n, device)| (format!("devices[{n}].owner"), &device.owner));
    let whole =
        [("catch_all", &config.catch_all), ("owner", &config.owner), ("alerts", &config.alerts)];
    for (key, to) in whole.map(|(key, to)| (key.to_string(), to)).into_iter().chain(owners) {
        if let Some(to) = to.as_ref().filter(|to| map.is_dead(to, &[])) {
            let found = format!("{}, whom nobody knows here", quoted(to));
            problems.push(Problem::new(key, found, KNOWN));
        }
    }
}

const KNOWN: &str = "a user, an alias, or an address elsewhere";

struct Map<'a> {
    config: &'a Config,
    sources: HashMap<&'a str, usize>,
    users: HashSet<&'a str>,
}

/// What a target leads to.
enum Leads {
    /// Another alias, by number.
    Alias(usize),
    /// An end: a mailbox or an address elsewhere.
    End,
    /// An alias that is being followed already.
    Circle(usize),
    /// Nobody.
    Nobody,
}

impl Map<'_> {
    fn is_local(&self, domain: &str) -> bool {
        domain == self.config.hostname || self.config.domains.iter().any(|d| d == domain)
    }

    fn is_dead(&self, target: &str, path: &[usize]) -> bool {
        matches!(self.leads(target, path), Leads::Nobody)
    }

    /// What `target` leads to, `path` being the aliases followed so far.
    fn leads(&self, target: &str, path: &[usize]) -> Leads {
        let target = target.to_lowercase();
        let own = self.config.domains.first().unwrap_or(&self.config.hostname);
        let (local, domain) = target.rsplit_once('@').unwrap_or((&target, own));
        if !self.is_local(domain) {
            return Leads::End;
        }
        let bare = local.split_once('+').map_or(local, |(bare, _)| bare);
        for name in [local, bare] {
            let whole = format!("{name}@{domain}");
            let alias = self.sources.get(whole.as_str()).or_else(|| self.sources.get(name));
            match alias {
                Some(alias) if !path.contains(alias) => return Leads::Alias(*alias),
                _ if self.users.contains(name) => return Leads::End,
                Some(alias) => return Leads::Circle(*alias),
                None => {}
            }
        }
        match self.sources.get(format!("@{domain}").as_str()) {
            Some(alias) if !path.contains(alias) => Leads::Alias(*alias),
            Some(alias) => Leads::Circle(*alias),
            // RFC 5321 §4.5.1: there is always a postmaster.
            None if bare == "postmaster" => Leads::End,
            None => Leads::Nobody,
        }
    }

    /// Follow an alias to all its ends.
    fn follow(&self, start: usize) -> Result<(), String> {
        self.descend(&mut vec![start], &mut HashSet::new())
    }

    /// Follow the last alias of `path`; `reached` are the addresses come by so far.
    fn descend(&self, path: &mut Vec<usize>, reached: &mut HashSet<String>) -> Result<(), String> {
        let Some(alias) = path.last().and_then(|last| self.config.aliases.get(*last)) else {
            return Ok(());
        };
        for to in &alias.to {
            let leads = self.leads(to, path);
            if let Leads::Circle(back) = leads {
                let names = path.iter().skip_while(|n| **n != back).chain([&back]);
                let names = names.filter_map(|n| self.config.aliases.get(*n));
                let names: Vec<&str> = names.map(|alias| alias.from.as_str()).collect();
                return Err(format!("which goes in a circle: {}", names.join(" → ")));
            }
            if !reached.insert(to.to_lowercase()) {
                continue;
            }
            if reached.len() > limits::ALIAS_TARGETS {
                return Err("which reaches too many addresses".to_string());
            }
            if let Leads::Alias(next) = leads {
                if path.len() >= limits::ALIAS_DEPTH {
                    return Err("which is a chain of too many aliases".to_string());
                }
                path.push(next);
                self.descend(path, reached)?;
                path.pop();
            }
        }
        Ok(())
    }
}
