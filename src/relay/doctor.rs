//! What the world sees of a domain whose mail leaves here, and what is to be done about it: records
//! in DNS, the name of our address, and whether port 25 is open. Asks the configured name servers,
//! and one mail server for its greeting; nobody else.

mod domain;
mod outside;

use crate::{
    config::{self, Config},
    proto::{
        dns,
        mail::{address::Address, dkim},
    },
    relay::{
        resolve::{Resolver, Trouble},
        route::{self, Hop, NextHop, Whence},
        sign::Keyring,
    },
    sys::Sys,
};
use std::{fmt, net::IpAddr};

/// What it takes.
#[derive(Clone, Copy)]
pub struct Way<'a> {
    /// The world.
    pub sys: &'a Sys,
    /// Names to addresses.
    pub resolver: &'a Resolver,
    /// As it is in force.
    pub config: &'a Config,
    /// Keys that sign.
    pub keyring: &'a Keyring,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What: `SPF`, `reverse name` …
    pub about: &'static str,
    /// How it is.
    pub verdict: Verdict,
    /// Why, and what to do, in sentences.
    pub words: String,
    /// What is to be published.
    pub publish: Option<Publish>,
}

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Good,
    /// It works, and could be better.
    Advice,
    /// Mail is refused, or ends as spam, by this.
    Wrong,
    /// It could not be found out.
    Unknown,
}

impl Verdict {
    /// One word.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Good => "good",
            Verdict::Advice => "advice",
            Verdict::Wrong => "wrong",
            Verdict::Unknown => "unknown",
        }
    }
}

/// A record to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// Where, without a dot at the end.
    pub name: String,
    /// `TXT`, `A`, `PTR` …
    pub kind: &'static str,
    /// What, in one piece, as forms on web pages want it.
    pub value: String,
}

/// As a line of a zone file.
impl fmt::Display for Publish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.kind == "TXT" {
            return dkim::Record { name: self.name.clone(), text: self.value.clone() }.fmt(f);
        }
        write!(f, "{}. IN {} {}", self.name, self.kind, self.value)
    }
}

impl Finding {
    fn new(about: &'static str, verdict: Verdict, words: impl Into<String>) -> Finding {
        Finding { about, verdict, words: words.into(), publish: None }
    }

    fn publish(self, name: &str, kind: &'static str, value: impl Into<String>) -> Finding {
        let publish = Publish { name: name.into(), kind, value: value.into() };
        Finding { publish: Some(publish), ..self }
    }

    fn unknown(about: &'static str, trouble: &Trouble) -> Finding {
        Finding::new(about, Verdict::Unknown, format!("{}.", trouble.outcome.text))
    }
}

/// How mail from the domain leaves.
enum Leaves {
    /// To the recipients' own servers.
    Directly,
    /// Through this server; what SPF records include for its provider, where that is known.
    Through(String, Option<String>),
}

/// All that can be found out about mail from `domain`, in the order in which to mend it.
///
/// # Errors
/// It is no domain, or the name servers know nothing; in words.
pub async fn examine(way: &Way<'_>, domain: &str) -> Result<Vec<Finding>, String> {
    let name = dns::ascii_name(domain).filter(|name| name.contains('.'));
    let name = name.ok_or_else(|| format!("{domain} is no domain, such as example.org"))?;
    if way.resolver.denies_everything(&name).await {
        return Err(
            "The name servers know no name at all: is the line down, or does a captive portal \
                    want a login?"
                .into(),
        );
    }
    let is_local = route::is_local_domain(way.config, &name);
    let leaves = leaves(way.config, &name);
    let mut findings = vec![domain::exchangers(way, &name, is_local).await];
    let mut addresses: Vec<IpAddr> = Vec::new();
    match &leaves {
        Leaves::Through(server, _) => findings.push(Finding::new(
            "way out",
            Verdict::Good,
            format!(
                "Mail from {name} leaves through {server}; nobody sees this machine's address."
            ),
        )),
        Leaves::Directly => {
            let outside = outside::look(way, &name, is_local).await;
            findings.extend(outside.findings);
            addresses = outside.addresses;
        }
    }
    findings.push(match &leaves {
        Leaves::Directly => domain::spf_of_addresses(way, &name, &addresses).await,
        Leaves::Through(server, include) => {
            domain::spf_of_provider(way, &name, server, include.as_deref()).await
        }
    });
    findings.extend(domain::keys(way, &name, matches!(leaves, Leaves::Directly)).await);
    findings.push(domain::dmarc(way, &name).await);
    if matches!(leaves, Leaves::Directly) {
        findings.extend(outside::named(way, &addresses).await);
    }
    findings.push(domain::sts(way, &name).await);
    findings.extend(domain::dane(way, &name).await);
    Ok(findings)
}

/// The route that mail from the domain takes to somebody of whom nothing is configured.
fn leaves(config: &Config, domain: &str) -> Leaves {
    let from = Address::parse(&format!("postmaster@{domain}")).ok();
    // Reserved, RFC 2606 §3.
    let to = Address::parse("postmaster@example.com").expect("it is one");
    let whence = Whence { from: from.as_ref(), ..Whence::default() };
    let Hop::Remote(destination) = route::route(config, &whence, &to) else {
        return Leaves::Directly;
    };
    match destination.next {
        NextHop::Mx(_) => Leaves::Directly,
        NextHop::Smarthost(host, _) => {
            let is_there = |via: &str| via.rsplit_once(':').is_some_and(|(name, _)| name == host);
            let profile = config::profiles().find(|profile| {
                profile.spf.is_some() && profile.via.as_deref().is_some_and(is_there)
            });
            Leaves::Through(host, profile.and_then(|profile| profile.spf))
        }
    }
}
