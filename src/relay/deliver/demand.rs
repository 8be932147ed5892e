//! How well the way to a server must be secured, and who says so: the route, the server's own
//! certificates in DNS (DANE, RFC 7672), or a policy of the domain (MTA-STS, RFC 8461).
//!
//! What the route says comes first where it is more, or a person's pins; what is in DNS goes before
//! a policy, which must not weaken it (RFC 8461 §2).

use super::{Note, Run};
use crate::{
    config::{Pin, TlsPolicy},
    proto::{
        dns::Tlsa,
        smtp::client::Security,
        status::{Class, Outcome, Status},
        sts::{Mode, Policy},
    },
    relay::{resolve::Trouble, route::NextHop, sts},
    sys::{Digest, Match, Trust},
};
use std::rc::Rc;

/// What is demanded of the way to a server.
#[derive(Clone, Debug)]
pub(super) struct Demand {
    pub(super) security: Security,
    pub(super) trust: Trust,
    pub(super) by: By,
}

/// Who demands it. RFC 8460 §4.4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Nobody, or the route.
    Us,
    /// The server's certificates in DNS.
    Dane,
    /// The domain's policy.
    Sts,
}

impl By {
    /// How it is told.
    pub fn word(self) -> &'static str {
        match self {
            By::Us => "",
            By::Dane => "DANE",
            By::Sts => "MTA-STS",
        }
    }

    /// How it is called in reports. RFC 8460 §4.4.
    pub fn report(self) -> &'static str {
        match self {
            By::Us => "no-policy-found",
            By::Dane => "tlsa",
            By::Sts => "sts",
        }
    }
}

impl Run<'_> {
    /// The policy of the domain, where it has one that binds or will.
    pub(super) async fn policy(&mut self) -> Option<Rc<Policy>> {
        let NextHop::Mx(domain) = &self.destination.next else { return None };
        let policies = self.way.policies.filter(|_| self.heeds_policies())?;
        let way = sts::Way { sys: self.way.sys, resolver: self.way.resolver, ipv6: self.way.ipv6 };
        // Boxed: few ways need all that it holds.
        let finding = Box::pin(policies.find(&way, domain)).await;
        let policy = finding.policy.filter(|policy| policy.mode != Mode::None);
        let told = |says: String| Note::Policy { of: domain.clone(), by: By::Sts, says };
        if let Some(why) = finding.trouble {
            self.freight.note(Note::Insecure(By::Sts, "sts-policy-fetch-error"));
            let meanwhile = match &policy {
                Some(_) => "the one from before counts",
                None => "mail goes as without",
            };
            let says = format!("its policy cannot be had, so {meanwhile}: {why}");
            self.freight.note(told(says));
        }
        if let Some(policy) = &policy {
            let says = match policy.mode {
                Mode::Enforce => "only encrypted, and only to the servers that its policy names",
                _ => "its policy is only being tested, and does not bind",
            };
            self.freight.note(told(says.into()));
        }
        policy
    }

    fn heeds_policies(&self) -> bool {
        self.destination.tls != TlsPolicy::None && self.destination.pins.is_empty()
    }

    /// What the way to this host must be like.
    ///
    /// # Errors
    /// Mail must not go there now.
    pub(super) async fn demand(
        &mut self,
        host: &str,
        policy: Option<&Policy>,
    ) -> Result<Demand, Outcome> {
        let by_route = self.by_route();
        if !matches!(self.destination.next, NextHop::Mx(_)) || !self.heeds_policies() {
            return Ok(by_route);
        }
        let may_be_weaker = self.destination.tls != TlsPolicy::Verify;
        if self.way.policies.is_some() && may_be_weaker {
            let records = self.way.resolver.certificates(host, self.way.port).await;
            let records = records.map_err(|Trouble { outcome, contact }| {
                self.freight.note(Note::Insecure(By::Dane, "dnssec-invalid"));
                self.tally.contact |= contact;
                outcome
            })?;
            if !records.is_empty() {
                return Ok(self.by_dane(host, &records));
            }
        }
        let Some(policy) = policy.filter(|policy| policy.mode == Mode::Enforce) else {
            return Ok(by_route);
        };
        if !policy.allows(host) {
            const UNSAFE: Status = Status::new(Class::Transient, 7, 5);
            self.freight.note(Note::Insecure(By::Sts, "validation-failure"));
            self.tally.contact = true;
            let text = format!("{host} is not among the servers that the domain's policy names");
            return Err(Outcome::ours(UNSAFE, format!("{text} (MTA-STS)")));
        }
        Ok(Demand { security: Security::Must, trust: Trust::Verify, by: By::Sts })
    }

    fn by_dane(&mut self, host: &str, records: &[Tlsa]) -> Demand {
        let matches: Vec<Match> = records.iter().filter_map(described).collect();
        let says = match matches.len() {
            0 => "only encrypted; no certificate is described there in a way that mail uses".into(),
            1 => "only encrypted, with the certificate that is described there".into(),
            n => format!("only encrypted, with one of {n} certificates that are described there"),
        };
        self.freight.note(Note::Policy { of: host.to_string(), by: By::Dane, says });
        // RFC 7672 §2.2: encrypted all the same.
        let trust =
            if matches.is_empty() { Trust::Opportunistic } else { Trust::Match(matches.into()) };
        Demand { security: Security::Must, trust, by: By::Dane }
    }

    fn by_route(&self) -> Demand {
        let pins = &self.destination.pins;
        let trust = match self.destination.tls {
            _ if !pins.is_empty() => Trust::Match(pins.iter().map(pinned).collect()),
            TlsPolicy::Verify => Trust::Verify,
            _ => Trust::Opportunistic,
        };
        // RFC 8314 §3.3.
        let is_implicit = matches!(self.destination.next, NextHop::Smarthost(_, 465));
        let security = match self.destination.tls {
            _ if !pins.is_empty() && !is_implicit => Security::Must,
            TlsPolicy::None if pins.is_empty() => Security::None,
            _ if is_implicit => Security::Implicit,
            TlsPolicy::May => Security::May,
            _ => Security::Must,
        };
        Demand { security, trust, by: By::Us }
    }
}

fn pinned(pin: &Pin) -> Match {
    let data = pin.sha256.to_vec();
    Match { authority: false, key: pin.key, digest: Digest::Sha256, data }
}

/// What mail servers can show; the usages that need the public authorities are not among that (RFC
/// 7672 §3.1.3).
fn described(record: &Tlsa) -> Option<Match> {
    let authority = match record.usage {
        2 => true,
        3 => false,
        _ => return None,
    };
    let key = match record.selector {
        0 => false,
        1 => true,
        _ => return None,
    };
    let digest = match (record.matching, record.data.len()) {
        (0, 1..) => Digest::Whole,
        (1, 32) => Digest::Sha256,
        (2, 64) => Digest::Sha512,
        _ => return None,
    };
    Some(Match { authority, key, digest, data: record.data.clone() })
}
