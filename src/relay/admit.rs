//! Who may send what to whom. Pure: the configuration and where this machine is attached go in,
//! verdicts come out.
//!
//! Mail for our own domains is everybody's; anything else only for who logged in or sits in a
//! trusted network. The one question "is this domain ours" is [`route::is_local_domain`]'s, so that
//! nothing is taken as local that would later be sent on: that would be an open relay.

mod aliases;
mod trust;

use crate::{
    config::{Access, Config, Device, Network},
    proto::{
        dns,
        mail::address::Address,
        status::{Class, Reply, Status},
    },
    relay::route,
};
use aliases::{Aliases, Knot};
use std::{net::IpAddr, rc::Rc};
use trust::Trust;

/// Who is at the other end of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Who {
    /// Address; `None`: a Unix socket of ours.
    pub peer: Option<IpAddr>,
    /// The user who logged in.
    pub user: Option<String>,
    /// As [`Policy::is_trusted`] said.
    pub trusted: bool,
}

impl Who {
    fn may_relay(&self) -> bool {
        self.trusted || self.user.is_some()
    }
}

/// How a session is held with somebody, before a login.
#[expect(clippy::struct_excessive_bools, reason = "each is a rule of its own")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Nothing is taken from it.
    pub blocked: bool,
    /// Mail is taken over TLS alone.
    pub encrypted: bool,
    /// A login may come without TLS.
    pub auth_in_clear: bool,
    /// A login is possible.
    pub auth: bool,
    /// Any name and password will do.
    pub any_login: bool,
    /// It is one of ours, and what is amiss in how it speaks is overlooked.
    pub lenient: bool,
}

/// One forward path of an accepted recipient, after aliases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// A whole address: one of a user here, or one elsewhere.
    pub to: Address,
}

/// A "no".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What the peer may know.
    pub reply: Reply,
    /// What the log and the page say, and what to change if this is not wanted.
    pub reason: String,
}

impl Refusal {
    fn new(reply: Reply, reason: String) -> Refusal {
        Refusal { reply, reason }
    }
}

const fn permanent(subject: u8, detail: u16) -> Status {
    Status::new(Class::Permanent, subject, detail)
}

const RELAYING: Reply =
    Reply::new(550, permanent(7, 1), "Relaying denied: log in, or ask to be trusted here");
const NOBODY: Reply = Reply::new(550, permanent(1, 1), "Nobody here has this address");
const NO_DOMAIN_TO: Reply = Reply::new(553, permanent(1, 3), "This address needs a domain");
const NO_DOMAIN_FROM: Reply = Reply::new(553, permanent(1, 7), "The sender needs a domain");
const NOT_YOURS: Reply = Reply::new(553, permanent(7, 1), "This sender address is not yours");
const FROM_NOT_YOURS: Reply = Reply::new(550, permanent(7, 1), "No From address of this is yours");
/// Transient: a person will untie it, and the sender's queue can wait for that. RFC 3463 §3.4.
const KNOTTED: Reply = Reply::new(
    451,
    Status::new(Class::Transient, 3, 5),
    "The aliases of this address lead nowhere; try again later",
);

/// The rules, made anew whenever the configuration or the machine's attachment changes.
pub struct Policy {
    config: Rc<Config>,
    trust: Trust,
    aliases: Aliases,
}

impl Policy {
    /// `attached` and `gateways`: where this machine is attached; they matter only where `trusted`
    /// is not set.
    pub fn new(config: Rc<Config>, attached: Vec<Network>, gateways: Vec<IpAddr>) -> Policy {
        let trust = Trust::new(config.trusted.as_deref(), attached, gateways);
        let aliases = Aliases::new(&config);
        Policy { config, trust, aliases }
    }

    /// The networks whose peers may send without login.
    pub fn trusted(&self) -> &[Network] {
        self.trust.networks()
    }

    /// The domain of addresses that are given without one: the first local domain, else our name.
    pub fn own_domain(&self) -> &str {
        self.config.domains.first().unwrap_or(&self.config.hostname)
    }

    /// May this peer send without login? `None`, a Unix socket of ours, may. What is said of a
    /// device counts more than what is said of its network.
    pub fn is_trusted(&self, peer: Option<IpAddr>) -> bool {
        let Some(peer) = peer else { return true };
        match self.device(peer).map(|device| device.access) {
            Some(Access::Allow | Access::AnyLogin) => true,
            Some(Access::Login | Access::Block) => false,
            None => self.trust.covers(peer),
        }
    }

    /// What is said of the device at this address: the narrowest entry.
    pub fn device(&self, peer: IpAddr) -> Option<&Device> {
        let fitting = self.config.devices.iter().filter(|device| device.at.contains(peer));
        fitting.max_by_key(|device| device.at.bits)
    }

    /// How a session with this peer is held.
    pub fn rules(&self, peer: Option<IpAddr>) -> Rules {
        let device = peer.and_then(|peer| self.device(peer));
        let access = device.map(|device| device.access);
        let trusted = self.is_trusted(peer);
        let known = trusted || access == Some(Access::Login);
        let encrypted = device.is_some_and(|device| device.encrypted);
        let logins = self.config.users.iter().any(|user| user.password.is_some());
        let any_login = access == Some(Access::AnyLogin);
        Rules {
            blocked: access == Some(Access::Block),
            encrypted,
            auth_in_clear: known && !encrypted,
            auth: logins || any_login,
            any_login,
            lenient: known,
        }
    }

    /// The reverse path to use for MAIL, completed; `None` is the null one, which everybody may
    /// use.
    ///
    /// A user sends as an address that is theirs (RFC 6409 §6.1), wherever they are: who logs in
    /// wants to be known. Strangers may use our own domains: forwarders and mailing lists elsewhere
    /// do, with good reason.
    ///
    /// # Errors
    /// The address is not this user's, or has no domain.
    pub fn mail(&self, who: &Who, from: Option<&Address>) -> Result<Option<Address>, Refusal> {
        let Some(from) = from else { return Ok(None) };
        if from.domain().is_empty() && !who.may_relay() {
            let reason = format!("{} sends as {from}, without a domain", caller(who));
            return Err(Refusal::new(NO_DOMAIN_FROM, reason));
        }
        let from = self.completed(from).map_err(|why| {
            Refusal::new(NO_DOMAIN_FROM, format!("{from} cannot be completed: {why}"))
        })?;
        match &who.user {
            Some(user) if !self.owns(user, &from) => {
                let reason =
                    format!("{from} is not {user}'s; add it to send_as of {user} if it is");
                Err(Refusal::new(NOT_YOURS, reason))
            }
            _ => Ok(Some(from)),
        }
    }

    /// Where mail for this RCPT goes: at least 1 address and at most
    /// [`crate::limits::ALIAS_TARGETS`], each once.
    ///
    /// # Errors
    /// Nobody has this address, its aliases lead nowhere, or it is elsewhere and `who` may not
    /// relay.
    pub fn rcpt(&self, who: &Who, to: &Address) -> Result<Vec<Target>, Refusal> {
        if !who.may_relay() {
            if !self.is_local_domain(to.domain()) {
                return Err(Refusal::new(RELAYING, self.no_login(who)));
            }
            // RFC 5321 §4.5.1: <postmaster> alone needs no domain.
            if to.domain().is_empty() && !aliases::is_postmaster(to) {
                let reason = format!("{} sends to {to}, without a domain", caller(who));
                return Err(Refusal::new(NO_DOMAIN_TO, reason));
            }
        }
        self.targets(to)
    }

    /// Why somebody may not send without a login, in words.
    pub fn no_login(&self, who: &Who) -> String {
        let device = who.peer.and_then(|peer| self.device(peer));
        match device.map(|device| device.access) {
            Some(Access::Login) => {
                format!("{} must log in, as `devices` says, and did not", caller(who))
            }
            _ => format!("{} is not in `trusted` and did not log in", caller(who)),
        }
    }

    /// Where mail of our own (a bounce, a report) for this address goes. As [`Policy::rcpt`] for
    /// somebody trusted.
    ///
    /// # Errors
    /// Nobody has this address, or its aliases lead nowhere.
    pub fn targets(&self, to: &Address) -> Result<Vec<Target>, Refusal> {
        let refusal = |knot: Knot| {
            let reason = format!("{to}: {knot}");
            let reply = if knot == Knot::Nobody { NOBODY } else { KNOTTED };
            Refusal::new(reply, reason)
        };
        let whole = self.completed(to).map_err(|why| {
            Refusal::new(NO_DOMAIN_TO, format!("{to} cannot be completed: {why}"))
        })?;
        let ends = self.aliases.ends(&self.config, &whole).map_err(refusal)?;
        Ok(ends.into_iter().map(|to| Target { to }).collect())
    }

    /// Where a report for this address goes: to the owner of the device that handed in the message,
    /// where it has one; else there, or else to the owner of all.
    ///
    /// # Errors
    /// As [`Policy::targets`], and there is no owner.
    pub fn report_targets(
        &self,
        to: &Address,
        peer: Option<IpAddr>,
    ) -> Result<Vec<Target>, Refusal> {
        let device = peer.and_then(|peer| self.device(peer));
        let owner = device.and_then(|device| Address::parse(device.owner.as_ref()?).ok());
        if let Some(Ok(targets)) = owner.map(|owner| self.targets(&owner)) {
            return Ok(targets);
        }
        self.targets(to).or_else(|refusal| {
            let owner = self.config.owner.as_ref().and_then(|owner| Address::parse(owner).ok());
            owner.map_or(Err(refusal), |owner| self.targets(&owner))
        })
    }

    /// The domain of ours in which senders of forwarded mail are written; `None`: they stay, since
    /// that is not wanted, or the world knows no domain of ours.
    pub fn srs_domain(&self) -> Option<&str> {
        let names = self.config.domains.iter().chain([&self.config.hostname]);
        let mut known = names.filter(|name| !dns::is_home_name(name));
        known.next().filter(|_| self.config.srs).map(String::as_str)
    }

    /// Does anybody ever stand for a sender?
    pub fn stands_in(&self) -> bool {
        self.config.masquerade.is_some() || self.config.owner.is_some()
    }

    /// Who stands for a sender of ours in mail that leaves, where only this network knows that
    /// sender's domain: a person is the same at the domain that the world knows, and root, or
    /// somebody whom nobody knows here, is the owner. `None`: the sender stays.
    pub fn stand_in(&self, sender: &Address) -> Option<Address> {
        let domain = sender.domain();
        let world = self.config.masquerade.as_deref();
        let ours = &self.config.hostname;
        let is_known = self.config.domains.iter().any(|known| route::is_same_domain(known, ours));
        let below =
            |world: &str| domain.strip_suffix(world).is_some_and(|host| host.ends_with('.'));
        let is_inside = dns::is_home_name(domain)
            || (!is_known && route::is_same_domain(domain, ours))
            || world.is_some_and(below);
        if !is_inside || world.is_some_and(|world| route::is_same_domain(domain, world)) {
            return None;
        }
        let is_person = self.is_local_domain(domain)
            && !aliases::is_system(sender)
            && self.aliases.knows(&self.config, sender);
        let same = world.and_then(|world| sender.at_domain(world).ok());
        // Reports are nobody's, and stay so.
        let stays = is_person || aliases::is_mail_system(sender);
        if stays { same } else { self.owner(world).or(same) }
    }

    /// The owner as the world may answer to.
    fn owner(&self, world: Option<&str>) -> Option<Address> {
        let owner = Address::parse(self.config.owner.as_ref()?).ok()?;
        let whole = self.completed(&owner).ok()?;
        let known = Some(whole.clone()).filter(|owner| !dns::is_home_name(owner.domain()));
        known.or_else(|| whole.at_domain(world?).ok())
    }

    /// May `who` send a message with these addresses in its From field?
    ///
    /// Of a user, one of them must be theirs; a message without any claims nothing, so a From field
    /// that cannot be read must be refused before. Others may: trusted devices write what they
    /// like, and strangers' From is their own domain's to vouch for (RFC 7489).
    ///
    /// # Errors
    /// None of them is this user's.
    pub fn header_from(&self, who: &Who, from: &[Address]) -> Result<(), Refusal> {
        let Some(user) = &who.user else { return Ok(()) };
        let is_theirs =
            |from: &Address| self.completed(from).is_ok_and(|from| self.owns(user, &from));
        if from.is_empty() || from.iter().any(is_theirs) {
            return Ok(());
        }
        let named: Vec<&str> = from.iter().map(Address::as_str).collect();
        let named = named.join(", ");
        let reason = format!("From: {named} is not {user}'s; add it to send_as of {user} if it is");
        Err(Refusal::new(FROM_NOT_YOURS, reason))
    }

    /// The user whose mailbox this address names; aliases are not looked at.
    pub fn local_user(&self, to: &Address) -> Option<&str> {
        route::local_user(&self.config, to)
    }

    /// Is mail for this domain delivered here?
    pub fn is_local_domain(&self, domain: &str) -> bool {
        route::is_local_domain(&self.config, domain)
    }

    /// An address is a user's where mail to it comes to them, and where `send_as` says so. Who was
    /// removed since the login owns nothing.
    fn owns(&self, user: &str, address: &Address) -> bool {
        let Some(user) = self.config.users.iter().find(|known| known.name == user) else {
            return false;
        };
        let comes_to_them = |to: &Address| self.local_user(to) == Some(user.name.as_str());
        user.send_as.iter().any(|pattern| route::is_sender(pattern, address))
            || (self.is_local_domain(address.domain())
                && self
                    .aliases
                    .ends(&self.config, address)
                    .is_ok_and(|ends| ends.iter().any(comes_to_them)))
    }

    fn completed(&self, address: &Address) -> Result<Address, &'static str> {
        aliases::completed(&self.config, address)
    }
}

/// Who it was, for a reason.
fn caller(who: &Who) -> String {
    match (&who.user, who.peer) {
        (Some(user), _) => user.clone(),
        (None, Some(peer)) => peer.to_canonical().to_string(),
        (None, None) => "a program here".to_string(),
    }
}

#[cfg(test)]
mod tests;
