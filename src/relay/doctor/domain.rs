//! What DNS says about the domain itself.

use super::{Finding, Verdict, Way};
use crate::{
    proto::{
        mail::spf::{self as syntax, Verdict as Spf},
        sts,
    },
    relay::spf::{Inquiry, Said},
};
use std::net::{IpAddr, Ipv4Addr};

pub(super) async fn exchangers(way: &Way<'_>, name: &str, is_local: bool) -> Finding {
    const ABOUT: &str = "mail servers";
    let hosts = match way.resolver.mail_hosts(name).await {
        Ok(hosts) => hosts,
        Err(trouble) => return Finding::unknown(ABOUT, &trouble),
    };
    if hosts.iter().any(|(_, host)| host.is_empty()) {
        let words = format!("{name} says that it takes no mail, so replies and reports are lost.");
        return Finding::new(ABOUT, Verdict::Advice, words);
    }
    let Some((_, best)) = hosts.first() else {
        let words = format!(
            "{name} names no server for its mail: replies and reports may find nobody, and some \
             servers refuse mail from such a domain."
        );
        let ours = way.config.hostname.as_str();
        let finding = Finding::new(ABOUT, Verdict::Advice, words);
        return if is_local { finding.publish(name, "MX", format!("10 {ours}.")) } else { finding };
    };
    let mut lost = Vec::new();
    for (_, host) in &hosts {
        match way.resolver.addresses(host, true).await {
            Ok(_) => {}
            Err(trouble) if trouble.contact => lost.push(host.as_str()),
            Err(trouble) => return Finding::unknown(ABOUT, &trouble),
        }
    }
    if !lost.is_empty() {
        let words = format!("{name} names mail servers without an address: {}.", lost.join(", "));
        return Finding::new(ABOUT, Verdict::Wrong, words);
    }
    Finding::new(ABOUT, Verdict::Good, format!("Mail to {name} goes to {best}."))
}

/// Does SPF let these addresses send?
pub(super) async fn spf_of_addresses(way: &Way<'_>, name: &str, addresses: &[IpAddr]) -> Finding {
    let ours: Vec<String> = addresses.iter().map(|address| mechanism(*address)).collect();
    for (address, ours) in addresses.iter().zip(&ours) {
        let said = Inquiry::new(way.resolver, *address).ask(name).await;
        if said != Said::Verdict(Spf::Pass) {
            let who = format!("mail from {address}");
            return unpassed(way, name, said, &who, ours).await;
        }
    }
    if addresses.is_empty() {
        return match record(way, name).await {
            Ok(Some(_)) => Finding::new(
                SPF,
                Verdict::Unknown,
                "There is a record; whether it allows our address cannot be told, since that is \
                 not known.",
            ),
            Ok(None) => none(name, "a"),
            Err(finding) => finding,
        };
    }
    let list: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    let words = format!("Mail from {} is allowed.", list.join(" and "));
    Finding::new(SPF, Verdict::Good, words)
}

/// Does SPF let a provider's servers send?
pub(super) async fn spf_of_provider(
    way: &Way<'_>,
    name: &str,
    server: &str,
    include: Option<&str>,
) -> Finding {
    // Nobody has this address, so every term is looked at.
    let mut inquiry = Inquiry::new(way.resolver, Ipv4Addr::new(192, 0, 2, 1).into());
    let said = inquiry.ask(name).await;
    let included = include.is_some_and(|it| inquiry.included.iter().any(|other| other == it));
    match (said, include) {
        (Said::Verdict(_) | Said::Macros, _) if included => {
            let words = format!("The servers of {server} are allowed.");
            Finding::new(SPF, Verdict::Good, words)
        }
        (Said::Verdict(_), None) => {
            let words = format!(
                "There is a record. What it must say of {server} is known to that provider: look \
                 for \"SPF\" in its help."
            );
            Finding::new(SPF, Verdict::Unknown, words)
        }
        (Said::None, None) => {
            let words = format!(
                "There is no record. What it must say of {server} is known to that provider: look \
                 for \"SPF\" in its help."
            );
            Finding::new(SPF, Verdict::Advice, words)
        }
        (said, include) => {
            let include = include.map_or("a".into(), |it| format!("include:{it}"));
            unpassed(way, name, said, &format!("mail through {server}"), &include).await
        }
    }
}

const SPF: &str = "SPF";

fn mechanism(address: IpAddr) -> String {
    match address {
        IpAddr::V4(four) => format!("ip4:{four}"),
        IpAddr::V6(six) => format!("ip6:{six}"),
    }
}

async fn unpassed(way: &Way<'_>, name: &str, said: Said, who: &str, ours: &str) -> Finding {
    let words = match said {
        Said::None => return none(name, ours),
        Said::Later(why) => return Finding::new(SPF, Verdict::Unknown, format!("{why}.")),
        Said::Macros => {
            let words = "The record holds macros, which are not followed here.";
            return Finding::new(SPF, Verdict::Unknown, words);
        }
        Said::Wrong(why) => {
            let words = format!("The record is wrong, so nobody heeds it: {why}.");
            return Finding::new(SPF, Verdict::Wrong, words);
        }
        Said::Verdict(Spf::Fail) => format!("The record says that {who} is forged."),
        Said::Verdict(Spf::SoftFail) => format!("The record says that {who} is suspicious."),
        Said::Verdict(_) => format!("The record does not allow {who}."),
    };
    let finding = Finding::new(SPF, Verdict::Wrong, words);
    match record(way, name).await {
        Ok(Some(old)) => finding.publish(name, "TXT", amended(&old, ours)),
        _ => finding,
    }
}

fn none(name: &str, ours: &str) -> Finding {
    let words = format!("There is no record: nobody can tell mail from {name} from forged mail.");
    Finding::new(SPF, Verdict::Wrong, words).publish(name, "TXT", format!("v=spf1 {ours} ~all"))
}

async fn record(way: &Way<'_>, name: &str) -> Result<Option<String>, Finding> {
    let texts = way.resolver.texts(name).await;
    let texts = texts.map_err(|trouble| Finding::unknown(SPF, &trouble))?;
    let record = texts.into_iter().find(|text| syntax::is_record(text));
    Ok(record.map(|text| String::from_utf8_lossy(&text).into_owned()))
}

/// The same record with one mechanism more, the first: a lookup less for those who come from us.
fn amended(old: &str, ours: &str) -> String {
    let rest = old.split_once(' ').map_or("", |(_, rest)| rest.trim());
    format!("v=spf1 {ours} {rest}").trim_end().to_string()
}

pub(super) async fn keys(way: &Way<'_>, name: &str, needed: bool) -> Vec<Finding> {
    const ABOUT: &str = "DKIM";
    let keys = way.keyring.of(name);
    if keys.is_empty() {
        let words = if needed {
            format!(
                "Mail from {name} is not signed. Make keys for it, on the page or with `waypost \
                 dkim make {name}`, and publish them."
            )
        } else {
            format!("Mail from {name} is not signed here; the provider may do that.")
        };
        let verdict = if needed { Verdict::Wrong } else { Verdict::Good };
        return vec![Finding::new(ABOUT, verdict, words)];
    }
    let mut findings = Vec::new();
    for key in keys {
        let record = key.record();
        let texts = match way.resolver.texts(&record.name).await {
            Ok(texts) => texts,
            Err(trouble) => {
                findings.push(Finding::unknown(ABOUT, &trouble));
                continue;
            }
        };
        let published: Vec<String> =
            texts.iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect();
        let finding = match published.as_slice() {
            [] => {
                let words = format!("The key {} signs and is not published.", key.selector);
                Finding::new(ABOUT, Verdict::Wrong, words)
            }
            [text] if tag(text, "p") == tag(&record.text, "p") => {
                let words = format!("The key {} is published.", key.selector);
                findings.push(Finding::new(ABOUT, Verdict::Good, words));
                continue;
            }
            [_] => {
                let words = format!(
                    "What is published as {} is another key than the one that signs.",
                    key.selector
                );
                Finding::new(ABOUT, Verdict::Wrong, words)
            }
            _ => {
                let words = format!("{} is published more than once.", key.selector);
                Finding::new(ABOUT, Verdict::Wrong, words)
            }
        };
        findings.push(finding.publish(&record.name, "TXT", &record.text));
    }
    findings
}

/// A tag's value in a list such as `v=DMARC1; p=none`, without blanks. RFC 6376 §3.2.
fn tag(text: &str, name: &str) -> Option<String> {
    let mut tags = text.split(';').filter_map(|tag| tag.split_once('='));
    let (_, value) = tags.find(|(known, _)| known.trim().eq_ignore_ascii_case(name))?;
    Some(value.split_whitespace().collect())
}

pub(super) async fn dmarc(way: &Way<'_>, name: &str) -> Finding {
    const ABOUT: &str = "DMARC";
    // A subdomain has its own, or that of a domain above it (RFC 7489 §6.6.3).
    let mut at = Some(name);
    while let Some(domain) = at.filter(|domain| domain.contains('.')) {
        let texts = match way.resolver.texts(&format!("_dmarc.{domain}")).await {
            Ok(texts) => texts,
            Err(trouble) => return Finding::unknown(ABOUT, &trouble),
        };
        let records: Vec<String> =
            texts.iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect();
        let records: Vec<&String> =
            records.iter().filter(|text| tag(text, "v").as_deref() == Some("DMARC1")).collect();
        match records.as_slice() {
            [] => at = domain.split_once('.').map(|(_, above)| above),
            [text] => {
                let policy = tag(text, "p").unwrap_or_default().to_ascii_lowercase();
                return match policy.as_str() {
                    "none" | "quarantine" | "reject" => {
                        let words = format!("The policy of {domain} is \"{policy}\".");
                        Finding::new(ABOUT, Verdict::Good, words)
                    }
                    _ => {
                        let words = format!(
                            "The record of {domain} has no policy (p), so nobody heeds it."
                        );
                        let value = "v=DMARC1; p=none".to_string();
                        Finding::new(ABOUT, Verdict::Wrong, words).publish(
                            &format!("_dmarc.{domain}"),
                            "TXT",
                            value,
                        )
                    }
                };
            }
            _ => {
                let words = format!("{domain} has more than one record, so nobody heeds them.");
                return Finding::new(ABOUT, Verdict::Wrong, words);
            }
        }
    }
    let words = "There is no record. Large providers want one; \"none\" asks for nothing.";
    let value = format!("v=DMARC1; p=none; rua=mailto:postmaster@{name}");
    Finding::new(ABOUT, Verdict::Advice, words).publish(&format!("_dmarc.{name}"), "TXT", value)
}

/// A policy for those who send to the domain. It is looked at as it is announced; who fetches it is
/// who sends.
pub(super) async fn sts(way: &Way<'_>, name: &str) -> Finding {
    const ABOUT: &str = "MTA-STS";
    match way.resolver.texts(&sts::record_name(name)).await {
        Err(trouble) => Finding::unknown(ABOUT, &trouble),
        Ok(texts) => match sts::id(&texts) {
            Some(id) => {
                let words = format!("{name} has a policy for those who send to it ({id}).");
                Finding::new(ABOUT, Verdict::Good, words)
            }
            None if texts.is_empty() => Finding::new(
                ABOUT,
                Verdict::Good,
                "There is no policy for those who send to the domain; none is needed.",
            ),
            None => {
                let words = "The text that announces a policy is wrong, so nobody heeds it.";
                Finding::new(ABOUT, Verdict::Wrong, words).publish(
                    &sts::record_name(name),
                    "TXT",
                    "v=STSv1; id=1",
                )
            }
        },
    }
}

/// Certificates of the domain's servers in signed DNS.
pub(super) async fn dane(way: &Way<'_>, name: &str) -> Option<Finding> {
    const ABOUT: &str = "DANE";
    if !way.resolver.has_trusted() {
        let words = "No name server is known that checks signatures, so nothing can be told.";
        return Some(Finding::new(ABOUT, Verdict::Unknown, words));
    }
    let hosts = way.resolver.mail_hosts(name).await.ok()?;
    let mut described = Vec::new();
    for (_, host) in &hosts {
        match way.resolver.certificates(host, way.config.delivery_port).await {
            Ok(found) if found.is_empty() => {}
            Ok(_) => described.push(host.as_str()),
            Err(trouble) => {
                let words = format!(
                    "Signed mail to {name} waits, since {}. Mend the signature, or take it away.",
                    trouble.outcome.text
                );
                return Some(Finding::new(ABOUT, Verdict::Wrong, words));
            }
        }
    }
    let words = match described.as_slice() {
        [] => "The certificates of the domain's servers are not in signed DNS; nothing needs them."
            .to_string(),
        hosts => format!("The certificates of {} are in signed DNS.", hosts.join(", ")),
    };
    Some(Finding::new(ABOUT, Verdict::Good, words))
}
