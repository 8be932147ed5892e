//! Names to addresses: a stub resolver with a cache, and what an answer means for mail. RFC 1034
//! §5.3.1, RFC 5321 §5.1.
//!
//! What the domain's own records say may be final: it has no such name, or takes no mail. What
//! anybody may be mending (a smarthost's name, an exchanger's address) is tried again. And whether
//! a name server answered at all is told apart from what it said, since an outage is not the
//! message's fault.

mod ask;
mod cache;
mod files;
mod records;

pub use files::{servers_of, trusts_ad};

use crate::{
    limits,
    proto::{
        dns::{self, Answer, Data, Kind, Question, Response},
        status::{Class, Outcome, Status},
    },
    sys::{Signal, Sys},
};
use cache::{Cache, Denied, Found, Known};
use files::Hosts;
use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    rc::Rc,
};

const TOO_LONG: &str = "the name servers take too long";

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// What it means for every recipient behind that name.
    pub outcome: Outcome,
    /// A name server answered over the net within [`limits::DNS_CONTACT`]. Where it is `false` we
    /// may be offline, and nothing of this is held against a message (DESIGN §1, promise 7).
    pub contact: bool,
}

/// A name server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct NameServer {
    at: SocketAddr,
    /// What it says of signatures (AD) is believed: it checks them, and nobody stands between.
    trusted: bool,
}

/// A stub resolver. One for the whole relay: concurrent questions for one name are asked once.
pub struct Resolver {
    sys: Sys,
    servers: RefCell<Vec<NameServer>>,
    /// Place of the server that answered last: it is asked first, so that a dead one costs one
    /// wait, not each.
    first: Cell<usize>,
    own: RefCell<Vec<String>>,
    hosts: RefCell<Hosts>,
    cache: RefCell<Cache>,
    flights: RefCell<HashMap<Question, Signal>>,
}

impl Resolver {
    /// A resolver that asks `servers`, of which the first [`limits::DNS_SERVERS`] count; those on
    /// this machine are believed what they say of signatures.
    pub fn new(sys: &Sys, servers: Vec<SocketAddr>) -> Resolver {
        let resolver = Resolver {
            sys: sys.clone(),
            servers: RefCell::default(),
            first: Cell::default(),
            own: RefCell::default(),
            hosts: RefCell::default(),
            cache: RefCell::default(),
            flights: RefCell::default(),
        };
        resolver.set_servers(servers, false);
        resolver
    }

    /// Ask these servers from now on. What others said is forgotten: they may see another world.
    /// `trusted`: those on other machines are believed as well.
    pub fn set_servers(&self, servers: Vec<SocketAddr>, trusted: bool) {
        let known = |at: SocketAddr| NameServer { at, trusted: trusted || at.ip().is_loopback() };
        let servers: Vec<NameServer> =
            servers.into_iter().take(limits::DNS_SERVERS).map(known).collect();
        if *self.servers.borrow() != servers {
            *self.servers.borrow_mut() = servers;
            self.first.set(0);
            self.cache.borrow_mut().clear();
        }
    }

    /// Our own names: where one is an exchanger of a domain, only better ones are used. RFC 5321
    /// §5.1.
    pub fn set_own(&self, names: &[String]) {
        *self.own.borrow_mut() = names.iter().filter_map(|name| dns::ascii_name(name)).collect();
    }

    /// Take names from the text of /etc/hosts, in place of earlier ones.
    pub fn set_hosts(&self, text: &str) {
        *self.hosts.borrow_mut() = Hosts::parse(text);
    }

    /// Does anybody out there answer? The name servers are asked past the cache for `name`, which
    /// should be one that nobody has asked for before: else a name server nearby answers from its
    /// own cache, line or no line. That there is no such name is a good answer.
    ///
    /// # Errors
    /// Nobody answers, or all names lead into a private network: so it is behind a captive portal,
    /// until a person has accepted its terms. In words.
    pub async fn looks_out(&self, name: &str) -> Result<(), String> {
        let response = self.ask_anew(name).await?;
        match response.answer {
            Answer::Found(records) if records.iter().all(leads_inside) => {
                Err("every name leads into a private network (a captive portal?)".into())
            }
            Answer::NoName | Answer::NoData if response.ttl.is_none() => {
                let known = self.is_truthful().await;
                known.then_some(()).ok_or_else(|| "no name is known (a captive portal?)".into())
            }
            _ => Ok(()),
        }
    }

    /// What the name servers say now of a name's IPv4 addresses, whatever the cache has.
    async fn ask_anew(&self, name: &str) -> Result<Response, String> {
        let question = Question { name: name.into(), kind: Kind::A };
        let asked = self.sys.within(limits::PROBE_WAIT, self.ask_servers(&question)).await;
        asked.unwrap_or_else(|| Err(TOO_LONG.into()))
    }

    /// Nobody would say what these names have; that is asked again at once.
    pub fn forget_failures(&self) {
        self.cache.borrow_mut().forget_failures();
    }

    /// The hosts that take mail for `domain`, in the order to try: by preference, in any order
    /// among equals, at least 1 and at most [`limits::EXCHANGERS`]. RFC 5321 §5.1.
    ///
    /// # Errors
    /// There are none (permanent), or nobody would say (transient).
    pub async fn exchangers(&self, domain: &str, ipv6: bool) -> Result<Vec<String>, Trouble> {
        let Some(name) = dns::ascii_name(domain) else {
            return Err(permanent(1, 2, format!("{domain} is not a domain name"), false));
        };
        let reply = self.lookup(&Question { name: name.clone(), kind: Kind::Mx }).await;
        match reply.known {
            Known::Records(records) => self.ordered(&name, &records, reply.contact),
            Known::NoData | Known::Unvouched(_) => self.implicit(&name, ipv6).await,
            Known::NoName if self.hosts.borrow().addresses(&name).is_empty() => {
                Err(permanent(1, 2, format!("{name} does not exist in DNS"), reply.contact))
            }
            Known::NoName => Ok(vec![name]),
            Known::Failed(why) => Err(unanswered(&name, &why)),
        }
    }

    /// The addresses of `host`, in the order to try, at least 1 and at most
    /// [`limits::HOST_ADDRESSES`]. An IP address is its own address.
    ///
    /// IPv4 comes first: few lines at home have a name for their IPv6 address, and large receivers
    /// refuse mail from an address without one. Within a family the order is the server's (RFC 5321
    /// §5.1).
    ///
    /// # Errors
    /// There are none, or nobody would say: always transient. RFC 5321 §5.1 wants an error where no
    /// exchanger can be used, but does not say how soon. A smarthost's mistyped name and an
    /// exchanger that is being renamed are both mended within hours, and a bounce is not; so the
    /// lifetime of the message decides.
    pub async fn addresses(&self, host: &str, ipv6: bool) -> Result<Vec<IpAddr>, Trouble> {
        self.find(host, ipv6).await.map_err(|missing| missing.trouble(host))
    }

    /// No MX: the domain is its own exchanger, if it has an address. RFC 5321 §5.1.
    async fn implicit(&self, name: &str, ipv6: bool) -> Result<Vec<String>, Trouble> {
        match self.find(name, ipv6).await {
            Ok(_) if self.is_own(name) => Err(looping(name, true)),
            Ok(_) => Ok(vec![name.to_string()]),
            Err(missing) => {
                let is_sure = match missing.why {
                    Why::NoName | Why::NoData => true,
                    Why::Unvouched(Denied::Name) => self.is_truthful().await,
                    _ => false,
                };
                if !is_sure {
                    return Err(missing.trouble(name));
                }
                let text = format!("{name} has neither mail servers nor an address in DNS");
                Err(permanent(1, 2, text, missing.contact))
            }
        }
    }

    /// Do the name servers know what all the world knows? A captive portal, or a router whose line
    /// is down, says of every name that it does not exist, or that it is the portal: nothing may
    /// bounce by that.
    async fn is_truthful(&self) -> bool {
        const ROOT: &str = "a.root-servers.net";
        let heard = self.ask_anew(ROOT).await.map(|response| response.answer);
        matches!(heard, Ok(Answer::Found(records)) if !records.iter().any(leads_inside))
    }

    fn ordered(
        &self,
        domain: &str,
        records: &[Data],
        contact: bool,
    ) -> Result<Vec<String>, Trouble> {
        let exchangers = records.iter().filter_map(|record| match record {
            Data::Mx(preference, host) => Some((*preference, host)),
            _ => None,
        });
        let mut exchangers: Vec<(u16, &String)> = exchangers.collect();
        if exchangers.iter().all(|(_, host)| host.is_empty()) {
            let text = format!("{domain} takes no mail, it says in DNS (RFC 7505)");
            return Err(permanent(1, 10, text, contact));
        }
        exchangers.retain(|(_, host)| is_host_name(host));
        if exchangers.is_empty() {
            // RFC 5321 §5.1: an exchanger must be a name. No wait makes a name of an address, so
            // the sender hears of it at once.
            let text = format!("the mail servers of {domain} are not host names in DNS");
            return Err(permanent(4, 4, text, contact));
        }
        let ours = exchangers.iter().filter(|(_, host)| self.is_own(host));
        if let Some(ours) = ours.map(|(preference, _)| *preference).min() {
            exchangers.retain(|(preference, _)| *preference < ours);
        }
        if exchangers.is_empty() {
            return Err(looping(domain, contact));
        }
        let roll = |(preference, host)| ((preference, self.sys.dice.roll()), host);
        let mut rolled: Vec<((u16, u64), &String)> = exchangers.into_iter().map(roll).collect();
        rolled.sort();
        let mut hosts: Vec<String> = Vec::new();
        for (_, host) in rolled {
            if hosts.len() < limits::EXCHANGERS && !hosts.contains(host) {
                hosts.push(host.clone());
            }
        }
        Ok(hosts)
    }

    fn is_own(&self, host: &str) -> bool {
        host == "localhost" || self.own.borrow().iter().any(|own| own == host)
    }

    async fn find(&self, host: &str, ipv6: bool) -> Result<Vec<IpAddr>, Missing> {
        if let Ok(address) = host.parse() {
            return Ok(vec![address]);
        }
        let no_name = Missing { why: Why::NoName, contact: false };
        let name = dns::ascii_name(host).ok_or(no_name)?;
        let mut local = self.hosts.borrow().addresses(&name);
        local.retain(|address| ipv6 || address.is_ipv4());
        if !local.is_empty() {
            return Ok(local);
        }
        let ask = |kind| Question { name: name.clone(), kind };
        let (question4, question6) = (ask(Kind::A), ask(Kind::Aaaa));
        let (four, six) = if ipv6 {
            futures_lite::future::zip(self.lookup(&question4), self.lookup(&question6)).await
        } else {
            let four = self.lookup(&question4).await;
            let six = match four.known {
                // Only to tell "no address" from "none that may be used".
                Known::NoData | Known::Unvouched(_) => self.lookup(&question6).await,
                _ => four.clone(),
            };
            (four, six)
        };
        gather(&four, &six, ipv6)
    }

    /// What is known about a question, after asking where needed. Who asks what is being asked
    /// already waits for that answer.
    async fn lookup(&self, question: &Question) -> Reply {
        loop {
            let now = self.sys.clock.now();
            if let Some((found, since)) = self.cache.borrow().find(question, now) {
                let Found { known, authentic } = found;
                let is_answer = !matches!(known, Known::Failed(_));
                let contact = is_answer && now.since(since) <= limits::DNS_CONTACT;
                return Reply { known, authentic, contact };
            }
            let flight = self.flights.borrow().get(question).cloned();
            let Some(flight) = flight else { break };
            flight.past(0).await;
        }
        let _landing = Flight::start(self, question);
        let asked = self.sys.within(limits::DNS_LOOKUP_WAIT, self.ask(question)).await;
        let failed = |why: Rc<str>| (Found { known: Known::Failed(why), authentic: false }, None);
        let (found, ttl) = match asked {
            Some(Ok(answer)) => answer,
            Some(Err(why)) => failed(why.into()),
            None => failed(TOO_LONG.into()),
        };
        let contact = !matches!(found.known, Known::Failed(_));
        self.cache.borrow_mut().keep(question, found.clone(), ttl, self.sys.clock.now());
        Reply { known: found.known, authentic: found.authentic, contact }
    }

    /// What a server says, the one that answered last being asked first.
    async fn ask_servers(&self, question: &Question) -> Result<Response, String> {
        let servers = self.servers.borrow().clone();
        let (response, place) = ask::ask(&self.sys, &servers, self.first.get(), question).await?;
        self.first.set(place);
        Ok(response)
    }

    /// Ask the servers, and again where an answer only names another name: a server that does not
    /// recurse for the end of a CNAME chain.
    async fn ask(&self, question: &Question) -> Result<(Found, Option<u32>), String> {
        let mut question = question.clone();
        let mut shortest: Option<u32> = None;
        let mut authentic = true;
        for _ in 0..=limits::DNS_ALIASES {
            let response = self.ask_servers(&question).await?;
            authentic &= response.authentic;
            let ttl = match (response.ttl, shortest) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (ttl, _) => ttl,
            };
            let known = match response.answer {
                Answer::Found(records) => Known::Records(records.into()),
                Answer::NoData if response.ttl.is_none() => Known::Unvouched(Denied::Data),
                Answer::NoName if response.ttl.is_none() => Known::Unvouched(Denied::Name),
                Answer::NoData => Known::NoData,
                Answer::NoName => Known::NoName,
                Answer::Elsewhere(name) => {
                    question.name = name;
                    shortest = ttl;
                    continue;
                }
                Answer::Truncated | Answer::Unable(_) => return Err("no answer".into()),
            };
            return Ok((Found { known, authentic }, ttl));
        }
        Err(format!("too many aliases lead to {}", question.name))
    }
}

#[derive(Clone)]
struct Reply {
    known: Known,
    /// Its signatures were checked, says somebody whom we believe.
    authentic: bool,
    contact: bool,
}

/// A question under way; whoever waits for it looks again when this is dropped, however the asking
/// ended.
struct Flight<'a> {
    resolver: &'a Resolver,
    question: &'a Question,
}

impl Flight<'_> {
    fn start<'a>(resolver: &'a Resolver, question: &'a Question) -> Flight<'a> {
        resolver.flights.borrow_mut().insert(question.clone(), Signal::default());
        Flight { resolver, question }
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        let signal = self.resolver.flights.borrow_mut().remove(self.question);
        if let Some(signal) = signal {
            signal.raise();
        }
    }
}

/// No address, and why.
struct Missing {
    why: Why,
    contact: bool,
}

enum Why {
    NoName,
    NoData,
    /// There are some, which the configuration does not want.
    OnlyIpv6,
    /// There are none, says somebody who may not know.
    Unvouched(Denied),
    Failed(Rc<str>),
}

impl Missing {
    fn trouble(self, host: &str) -> Trouble {
        let text = match self.why {
            Why::Failed(why) => return unanswered(host, &why),
            Why::NoName => format!("the mail server's name {host} does not exist in DNS"),
            Why::NoData => format!("the mail server {host} has no address in DNS"),
            Why::Unvouched(Denied::Name) => {
                let why = "the name servers deny it, and know no name at all (a captive portal?)";
                return unanswered(host, why);
            }
            // So says a server that is asked for a zone that it does not have.
            Why::Unvouched(Denied::Data) => {
                return unanswered(host, "an empty answer, for which nobody vouches (is it lame?)");
            }
            Why::OnlyIpv6 => {
                format!("{host} has only IPv6 addresses, and delivery.ipv6 is off")
            }
        };
        let outcome = Outcome::ours(Status::new(Class::Transient, 4, 4), text);
        Trouble { outcome, contact: self.contact }
    }
}

/// The usable addresses of two answers.
fn gather(four: &Reply, six: &Reply, ipv6: bool) -> Result<Vec<IpAddr>, Missing> {
    let contact = four.contact || six.contact;
    let of = |reply: &Reply| match &reply.known {
        Known::Records(records) => records.iter().filter_map(usable).collect(),
        _ => Vec::new(),
    };
    let mut addresses: Vec<IpAddr> = of(four);
    let only_ipv6 = addresses.is_empty() && !ipv6 && !of(six).is_empty();
    if ipv6 {
        // Neither family crowds the other out of more than half of the room.
        let six = of(six);
        addresses.truncate(limits::HOST_ADDRESSES - six.len().min(limits::HOST_ADDRESSES / 2));
        addresses.extend(six);
    }
    addresses.truncate(limits::HOST_ADDRESSES);
    if !addresses.is_empty() {
        return Ok(addresses);
    }
    let why = match (&four.known, &six.known) {
        _ if only_ipv6 => Why::OnlyIpv6,
        (Known::Failed(why), _) | (_, Known::Failed(why)) => Why::Failed(why.clone()),
        (Known::NoName, _) | (_, Known::NoName) => Why::NoName,
        (Known::Unvouched(denied), _) | (_, Known::Unvouched(denied)) => Why::Unvouched(*denied),
        _ => Why::NoData,
    };
    Err(Missing { why, contact })
}

/// Nobody can be reached at these, but on Linux 0.0.0.0 is ourselves: a record must not lead there.
fn usable(record: &Data) -> Option<IpAddr> {
    let address: IpAddr = match record {
        Data::A(address) => (*address).into(),
        Data::Aaaa(address) => (*address).into(),
        _ => return None,
    };
    let plain = address.to_canonical();
    let is_broadcast = matches!(plain, IpAddr::V4(four) if four.is_broadcast());
    (!plain.is_unspecified() && !plain.is_multicast() && !is_broadcast).then_some(address)
}

/// RFC 1918, RFC 6598, loopback and the like: no host of the internet has such an address.
fn leads_inside(record: &Data) -> bool {
    match record {
        Data::A(address) => is_inside((*address).into()),
        Data::Aaaa(address) => is_inside((*address).into()),
        _ => false,
    }
}

/// No address of the internet: of this machine or of a private network.
pub fn is_inside(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(four) => {
            let shared = four.octets()[0] == 100 && (64..128).contains(&four.octets()[1]);
            let local = four.is_loopback() || four.is_link_local() || four.is_unspecified();
            four.is_private() || shared || local
        }
        IpAddr::V6(six) => {
            let local = six.is_loopback() || six.is_unspecified();
            local || six.is_unique_local() || six.is_unicast_link_local()
        }
    }
}

fn is_address(host: &str) -> bool {
    host.parse::<IpAddr>().is_ok()
}

/// Letters, digits, hyphens and dots (and underscores, which some have); not an IP address.
fn is_host_name(host: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    !host.is_empty() && host.bytes().all(plain) && !is_address(host)
}

fn permanent(subject: u8, detail: u16, text: String, contact: bool) -> Trouble {
    let outcome = Outcome::ours(Status::new(Class::Permanent, subject, detail), text);
    Trouble { outcome, contact }
}

/// RFC 3463 §3.5, 4.4.3: directory server failure.
fn unanswered(name: &str, why: &str) -> Trouble {
    let text = format!("DNS does not say where {name} is: {why}");
    let outcome = Outcome::ours(Status::new(Class::Transient, 4, 3), text);
    Trouble { outcome, contact: false }
}

fn looping(domain: &str, contact: bool) -> Trouble {
    let text = format!("mail for {domain} comes back to this machine, and the domain is not local");
    permanent(4, 6, text, contact)
}

#[cfg(test)]
mod tests;
