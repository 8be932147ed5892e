//! May this address send in a domain's name? SPF, followed through DNS. RFC 7208 §4.
//!
//! Macros (RFC 7208 §7) are not followed: they ask about a sender, and there is none here.

use crate::{
    config::Network,
    limits,
    proto::mail::spf::{self, Mechanism, Prefix, Record, Verdict},
    relay::resolve::Resolver,
};
use std::{future::Future, net::IpAddr, pin::Pin};

/// What a domain says of an address. RFC 7208 §2.6.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// There is no record.
    None,
    /// What fits, or that nothing does ([`Verdict::Neutral`]).
    Verdict(Verdict),
    /// The record is wrong, and with that nobody passes; in words.
    Wrong(String),
    /// DNS does not say; in words.
    Later(String),
    /// It holds macros.
    Macros,
}

/// Follows one question.
pub struct Inquiry<'a> {
    resolver: &'a Resolver,
    address: IpAddr,
    ipv6: bool,
    lookups: usize,
    voids: usize,
    /// The domains that were included so far.
    pub included: Vec<String>,
}

type Pending<'b, T> = Pin<Box<dyn Future<Output = T> + 'b>>;

impl<'a> Inquiry<'a> {
    /// About this address.
    pub fn new(resolver: &'a Resolver, address: IpAddr) -> Inquiry<'a> {
        let (address, included) = (address.to_canonical(), Vec::new());
        Inquiry { resolver, address, ipv6: address.is_ipv6(), lookups: 0, voids: 0, included }
    }

    /// What `domain` says of it.
    pub fn ask<'b>(&'b mut self, domain: &'b str) -> Pending<'b, Said> {
        Box::pin(async move { self.follow(domain).await.unwrap_or_else(|said| said) })
    }

    async fn follow(&mut self, domain: &str) -> Result<Said, Said> {
        let Some(record) = self.record(domain).await? else { return Ok(Said::None) };
        for term in &record.terms {
            if self.fits(&term.mechanism, domain).await? {
                return Ok(Said::Verdict(term.verdict));
            }
        }
        let everybody = record.terms.iter().any(|term| term.mechanism == Mechanism::All);
        let Some(next) = record.redirect.filter(|_| !everybody) else {
            return Ok(Said::Verdict(Verdict::Neutral));
        };
        self.count()?;
        match self.ask(plain(&next)?).await {
            Said::None => Err(Said::Wrong(format!("redirect={next} leads to no record"))),
            said => Ok(said),
        }
    }

    async fn record(&self, domain: &str) -> Result<Option<Record>, Said> {
        let texts = self.resolver.texts(domain).await;
        let texts = texts.map_err(|trouble| Said::Later(trouble.outcome.text))?;
        let mut records = texts.iter().filter(|text| spf::is_record(text));
        let Some(text) = records.next() else { return Ok(None) };
        if records.next().is_some() {
            return Err(Said::Wrong(format!("{domain} has more than one record")));
        }
        let text = std::str::from_utf8(text);
        let record =
            text.map_err(|_| Said::Wrong(format!("the record of {domain} is not ASCII")))?;
        let wrong = |term| Said::Wrong(format!("{domain} has the term \"{term}\" that is none"));
        Record::parse(record).map(Some).map_err(wrong)
    }

    async fn fits(&mut self, mechanism: &Mechanism, domain: &str) -> Result<bool, Said> {
        match mechanism {
            Mechanism::All => Ok(true),
            Mechanism::Ip(network, bits) => Ok(self.is_in(*network, *bits)),
            Mechanism::Include(other) => {
                self.count()?;
                let other = plain(other)?;
                self.included.push(other.to_ascii_lowercase());
                match self.ask(other).await {
                    Said::Verdict(verdict) => Ok(verdict == Verdict::Pass),
                    Said::None => Err(Said::Wrong(format!("include:{other} leads to no record"))),
                    said => Err(said),
                }
            }
            Mechanism::A(host, prefix) => {
                self.count()?;
                let host = host.as_deref().map_or(Ok(domain), plain)?;
                self.has(host, *prefix).await
            }
            Mechanism::Mx(other, prefix) => {
                self.count()?;
                let other = other.as_deref().map_or(Ok(domain), plain)?;
                let hosts = self.resolver.mail_hosts(other).await;
                let hosts = hosts.map_err(|trouble| Said::Later(trouble.outcome.text))?;
                if hosts.len() > limits::SPF_LOOKUPS {
                    return Err(Said::Wrong(format!("{other} has more than 10 mail servers")));
                }
                self.void(hosts.is_empty())?;
                for (_, host) in hosts {
                    if self.has(&host, *prefix).await? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Mechanism::Exists(host) => {
                self.count()?;
                let found = self.resolver.addresses_of(plain(host)?, false).await;
                let found = found.map_err(|trouble| Said::Later(trouble.outcome.text))?;
                self.void(found.is_empty())?;
                Ok(!found.is_empty())
            }
            // Slow, unreliable, and not to be used (RFC 7208 §5.5): who relies on it is told.
            Mechanism::Ptr(_) => {
                self.count()?;
                Ok(false)
            }
        }
    }

    async fn has(&mut self, host: &str, prefix: Prefix) -> Result<bool, Said> {
        let found = self.resolver.addresses_of(host, self.ipv6).await;
        let found = found.map_err(|trouble| Said::Later(trouble.outcome.text))?;
        self.void(found.is_empty())?;
        let bits = if self.ipv6 { prefix.1 } else { prefix.0 };
        Ok(found.into_iter().any(|found| self.is_in(found, bits)))
    }

    fn is_in(&self, network: IpAddr, bits: u8) -> bool {
        Network { address: network, bits }.contains(self.address)
    }

    /// RFC 7208 §4.6.4.
    fn count(&mut self) -> Result<(), Said> {
        self.lookups += 1;
        let over = self.lookups > limits::SPF_LOOKUPS;
        over.then(|| Said::Wrong("it takes more than 10 lookups".into())).map_or(Ok(()), Err)
    }

    /// A question to which there is nothing to say.
    fn void(&mut self, is: bool) -> Result<(), Said> {
        self.voids += usize::from(is);
        let over = self.voids > limits::SPF_VOIDS;
        let words = "more than 2 of its lookups lead nowhere";
        over.then(|| Said::Wrong(words.into())).map_or(Ok(()), Err)
    }
}

fn plain(domain: &str) -> Result<&str, Said> {
    if domain.contains('%') { Err(Said::Macros) } else { Ok(domain) }
}
