//! Which way a recipient goes: into a mailbox here, to a smarthost, or to the mail servers of its
//! domain.
//!
//! Pure. The question "is this address ours, and whose is it" has its one answer here;
//! [`super::admit`] asks it when mail comes in, [`route`] when it goes out, so the two cannot
//! disagree.

use crate::{
    config::{Client, Config, Family, Pace, Pattern, Pin, Route, TlsPolicy, Via},
    limits,
    proto::{dns, mail::address::Address, oauth::Grant, sasl::Secret, smtp::client::Login},
    relay::envelope::Envelope,
};
use std::{
    hash::{Hash, Hasher},
    net::IpAddr,
    rc::Rc,
};

/// Where a copy of a message is handed over. Recipients of equal destinations share a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// Who takes it.
    pub next: NextHop,
    /// Use of TLS on the way.
    pub tls: TlsPolicy,
    /// Login there.
    pub login: Option<Login>,
    /// In place of that: a person has signed in, and [`Destination::with_token`] lets us in.
    pub grant: Option<Rc<Grant>>,
    /// Senders that it takes, as [`Route::senders`].
    pub senders: Rc<[String]>,
    /// Its certificate must be one of these; empty: as `tls` says.
    pub pins: Rc<[Pin]>,
    /// Which of its addresses are used.
    pub family: Family,
    /// How fast it takes mail.
    pub pace: Pace,
    /// What goes there is signed, where there is a key for it.
    pub sign: bool,
    /// The way that is taken while this one cannot be used.
    pub otherwise: Option<Box<Destination>>,
}

impl Hash for Destination {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.next.hash(state);
        (self.tls as u8).hash(state);
        self.user().hash(state);
    }
}

impl Destination {
    /// Without a login, and with nothing that a route may say beside.
    pub fn new(next: NextHop, tls: TlsPolicy) -> Destination {
        Destination {
            next,
            tls,
            login: None,
            grant: None,
            senders: Rc::default(),
            pins: Rc::default(),
            family: Family::Both,
            pace: Pace::default(),
            sign: false,
            otherwise: None,
        }
    }

    /// Who logs in there.
    pub fn user(&self) -> Option<&str> {
        let by_login = self.login.as_ref().map(|login| login.user.as_str());
        by_login.or_else(|| self.grant.as_ref().map(|grant| grant.user.as_str()))
    }

    /// The same with a token for its grant.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Destination {
        let login = self.grant.as_ref().map(|grant| Login {
            user: grant.user.clone(),
            secret: Secret::Token(token.to_string()),
            in_clear: match &self.next {
                NextHop::Smarthost(host, _) => may_be_in_clear(self.tls, host),
                NextHop::Mx(_) => false,
            },
        });
        Destination { login, ..self.clone() }
    }
}

/// Who takes a message next.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NextHop {
    /// The mail servers of this domain (lower case). RFC 5321 §5.1.
    Mx(String),
    /// This host (a name, or an IP address without brackets) and port; MX records are not looked
    /// at.
    Smarthost(String, u16),
}

/// Which way a recipient goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hop {
    /// Into the mailbox of this user.
    Local(String),
    /// To the address of the web of this push.
    Push(String),
    /// Over the net.
    Remote(Destination),
    /// Nowhere: a route says so.
    Discard,
    /// The domain is ours, but nobody there has this name (any more): 5.1.1.
    Unknown,
}

/// The way of one recipient, after aliases.
///
/// Of the routes that match, the most specific win: by recipient (address, domain, `*`), then by
/// sender, then by client. The first of these is the way, and each is taken while those before it
/// cannot be used, [`limits::WAYS`] at most.
/// Without a route it goes by MX, encrypted where the other side offers it. An address literal (RFC
/// 5321 §4.1.3) has no MX: it goes to that address.
pub fn route(config: &Config, whence: &Whence<'_>, to: &Address) -> Hop {
    if is_local_domain(config, to.domain()) {
        let user = local_user(config, to).map(|user| Hop::Local(user.to_string()));
        let push = || local_push(config, to).map(|push| Hop::Push(push.to_string()));
        return user.or_else(push).unwrap_or(Hop::Unknown);
    }
    let direct = || match literal(to.domain()) {
        Some(address) => NextHop::Smarthost(address.to_string(), config.delivery_port),
        None => NextHop::Mx(bare(to.domain()).to_string()),
    };
    let by_mx = |tls, sign| Destination { sign, ..Destination::new(direct(), tls) };
    let routes = choose(&config.routes, whence, to);
    if routes.first().is_some_and(|first| first.via == Via::Discard) {
        return Hop::Discard;
    }
    // What could not be sent is not thrown away.
    let routes = routes.iter().filter(|route| route.via != Via::Discard);
    let ways = routes.rfold(None, |otherwise, route| {
        let way = smarthost(route).unwrap_or_else(|| {
            let (senders, pace, family) = (route.senders.clone(), route.pace, route.family);
            Destination { senders, family, pace, ..by_mx(route.tls, route.sign) }
        });
        Some(Box::new(Destination { otherwise, ..way }))
    });
    Hop::Remote(ways.map_or_else(|| by_mx(TlsPolicy::May, true), |first| *first))
}

/// Where a message comes from, as far as routes ask.
#[derive(Clone, Copy, Debug, Default)]
pub struct Whence<'a> {
    /// Reverse path.
    pub from: Option<&'a Address>,
    /// The user who handed it in.
    pub user: Option<&'a String>,
    /// The address from which it was handed in.
    pub peer: Option<IpAddr>,
}

impl<'a> From<&'a Envelope> for Whence<'a> {
    fn from(envelope: &'a Envelope) -> Whence<'a> {
        Whence { from: envelope.from.as_ref(), user: envelope.user.as_ref(), peer: envelope.peer }
    }
}

/// Where a route leads that names a smarthost.
fn smarthost(route: &Route) -> Option<Destination> {
    let Via::Smarthost(host, port) = &route.via else { return None };
    // A login is for the smarthost it was given for; with MX anybody might be at the other end.
    let login = route.user.as_ref().zip(route.secret.as_ref()).map(|(user, secret)| Login {
        user: user.clone(),
        secret: secret.clone(),
        in_clear: may_be_in_clear(route.tls, host),
    });
    let next = NextHop::Smarthost(host.clone(), *port);
    Some(Destination {
        login,
        grant: route.grant.clone(),
        senders: route.senders.clone(),
        pins: route.pins.clone(),
        family: route.family,
        pace: route.pace,
        sign: route.sign,
        ..Destination::new(next, route.tls)
    })
}

/// May a password or token be said without encryption?
fn may_be_in_clear(tls: TlsPolicy, host: &str) -> bool {
    tls == TlsPolicy::None || is_this_machine(host)
}

/// What is said to a program on this machine (one that logs in elsewhere for us, say) crosses no
/// net. A name may lead anywhere, so it must be the address itself.
fn is_this_machine(host: &str) -> bool {
    host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

/// The smarthosts of all routes, with the place of each route in the configuration.
pub fn smarthosts(config: &Config) -> Vec<(usize, Destination)> {
    let routes = config.routes.iter().enumerate();
    routes.filter_map(|(n, route)| Some((n, smarthost(route)?))).collect()
}

/// Is mail for this domain delivered here?
///
/// The configured domains, the host name, and `localhost`, which means this machine wherever it is
/// said (RFC 6761 §6.3). An absolute name (`example.org.`) is the same as without its dot, and a
/// name is the same in Unicode as in its A-labels (RFC 5890 §2.3.2.1). An address without a domain
/// is local.
pub fn is_local_domain(config: &Config, domain: &str) -> bool {
    let domain = bare(domain);
    domain.is_empty()
        || domain == "localhost"
        || is_same_domain(domain, &config.hostname)
        || config.domains.iter().any(|ours| is_same_domain(domain, ours))
}

/// The user whose mailbox an address at a local domain names; aliases are not looked at.
///
/// `user` and `user+anything` are `user`'s, in any case and quoted or not. `None` for other
/// domains.
pub fn local_user<'a>(config: &'a Config, to: &Address) -> Option<&'a str> {
    if !is_local_domain(config, to.domain()) {
        return None;
    }
    let local = folded(to.local());
    let named = |name: &str| config.users.iter().find(|user| user.name == name);
    named(&local).or_else(|| without_tag(&local).and_then(named)).map(|user| user.name.as_str())
}

/// The push that an address at a local domain names, as [`local_user`] does users.
fn local_push<'a>(config: &'a Config, to: &Address) -> Option<&'a str> {
    let local = folded(to.local());
    let named = |name: &str| config.push.iter().find(|push| push.name == name);
    named(&local).or_else(|| without_tag(&local).and_then(named)).map(|push| push.name.as_str())
}

/// A local part as it is compared at our domains: lower case, unquoted (RFC 5321 §4.1.2: quoting
/// that is not needed does not make another mailbox).
///
/// The result is a name to look up, never an address to parse again: `"a@b"` is the odd local name
/// `a@b`, and nobody's address elsewhere.
pub(super) fn folded(local: &str) -> String {
    let quoted = local.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let Some(quoted) = quoted else { return local.to_lowercase() };
    let mut escaped = false;
    let plain = quoted.chars().filter(|c| {
        escaped = !escaped && *c == '\\';
        !escaped
    });
    plain.collect::<String>().to_lowercase()
}

/// `user` of `user+tag`; `None` without a tag, or where nothing is before it. RFC 5233 §1.
pub(super) fn without_tag(local: &str) -> Option<&str> {
    local.split_once('+').map(|(base, _)| base).filter(|base| !base.is_empty())
}

/// Two names of one domain, in any case, with or without the root's dot, in U-labels or A-labels.
pub(super) fn is_same_domain(a: &str, b: &str) -> bool {
    let (a, b) = (bare(a), bare(b));
    if a.is_ascii() && b.is_ascii() {
        return a.eq_ignore_ascii_case(b);
    }
    match (dns::ascii_name(a), dns::ascii_name(b)) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}

/// Does a pattern of senders (`me@example.org`, `*@example.org`, `*`) fit?
pub fn is_sender(pattern: &str, address: &Address) -> bool {
    if pattern == "*" {
        return true;
    }
    let Some((local, domain)) = pattern.rsplit_once('@') else { return false };
    let is_local_part = local == "*" || folded(local) == folded(address.local());
    is_local_part && is_same_domain(domain, address.domain())
}

fn choose<'a>(routes: &'a [Route], whence: &Whence<'_>, to: &Address) -> Vec<&'a Route> {
    let rank = |route: &Route| {
        let to = fits(&route.pattern, Some(to))?;
        let from = fits(&route.from, whence.from)?;
        let client = match &route.client {
            Some(Client::User(user)) => whence.user.filter(|u| *u == user).map(|_| 0),
            Some(Client::Network(network)) => {
                let within = whence.peer.is_some_and(|peer| network.contains(peer));
                within.then_some(1 + 128 - u32::from(network.bits))
            }
            None => Some(u32::MAX),
        };
        Some((to, from, client?))
    };
    let best = routes.iter().filter_map(rank).min();
    let ways = routes.iter().filter(|route| best.is_some() && rank(route) == best);
    ways.take(limits::WAYS).collect()
}

/// How closely a pattern fits, 0 the closest; the null reverse path is nobody's address.
fn fits(pattern: &Pattern, address: Option<&Address>) -> Option<u8> {
    match pattern {
        Pattern::Address(wanted) => address.filter(|a| is_same_address(wanted, a)).map(|_| 0),
        Pattern::Domain(wanted) => {
            address.filter(|a| is_same_domain(wanted, a.domain())).map(|_| 1)
        }
        Pattern::Any => Some(2),
    }
}

/// RFC 5321 §2.4 leaves the case of a local part to its own domain; a person who writes a route
/// does not.
fn is_same_address(a: &Address, b: &Address) -> bool {
    a.local().to_lowercase() == b.local().to_lowercase() && is_same_domain(a.domain(), b.domain())
}

fn bare(domain: &str) -> &str {
    domain.strip_suffix('.').unwrap_or(domain)
}

/// What an address literal holds, without brackets and tag. RFC 5321 §4.1.3.
fn literal(domain: &str) -> Option<&str> {
    let inside = domain.strip_prefix('[')?.strip_suffix(']')?;
    Some(inside.strip_prefix("ipv6:").unwrap_or(inside))
}

#[cfg(test)]
pub(super) mod tests;
