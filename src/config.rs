//! The configuration: one JSON document, read into typed values.
//!
//! A [`Document`] is what a person writes and the page edits; [`Document::config`] makes a
//! [`Config`] of it or tells every [`Problem`] at once. The keys, their bounds, defaults and help
//! are one table, [`SETTINGS`]. Secrets are kept apart ([`Secrets`]): at load, `parse` both files,
//! [`Document::split`] what a person wrote in clear, [`Secrets::update`], hash what
//! [`Document::clear_passwords`] tells, write both back where something moved, then
//! [`Document::join`] and [`Document::config`].

mod aliases;
mod document;
mod problem;
mod providers;
mod read;
mod secrets;
mod sign_ins;
mod table;
mod values;

pub use document::Document;
pub use problem::{Problem, nearest};
pub use providers::{Profile, Senders, profile, profiles};
pub use secrets::{SET, Secrets, is_password};
pub use sign_ins::{SignIn, SignInKey, SignIns};
pub use table::{Kind, SETTINGS, Setting, reference};

use crate::proto::{http::Url, mail::address::Address, oauth::Grant, sasl::Secret};
use serde::Serialize;
use std::{
    net::{IpAddr, SocketAddr},
    rc::Rc,
    time::Duration,
};

/// What the configuration's defaults are taken from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// The machine's own name; one that is no host name counts as `localhost`.
    pub hostname: String,
}

/// The whole configuration, every default filled in.
#[expect(clippy::struct_excessive_bools, reason = "each is a setting of its own")]
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Our name in banners, EHLO and Received fields; also a local domain.
    pub hostname: String,
    /// Where to listen.
    pub listen: Listen,
    /// Who may send without login; `None`: loopback and the private subnets this machine is
    /// attached to, less its gateways.
    pub trusted: Option<Vec<Network>>,
    /// Devices with rules of their own, in order.
    pub devices: Vec<Device>,
    /// Local domains, lower case, the hostname not among them.
    pub domains: Vec<String>,
    /// Local users.
    pub users: Vec<User>,
    /// Aliases, as (from, targets). `from`: `name`, `name@domain` or `@domain`. A target: a local
    /// name or an address.
    pub aliases: Vec<Alias>,
    /// Whom unknown local recipients go to: a user's name or an address.
    pub catch_all: Option<String>,
    /// Who gets mail for root and postmaster, and reports that nobody else gets; as `catch_all`.
    pub owner: Option<String>,
    /// Domain of our senders in mail that leaves, in place of those that only this network knows.
    pub masquerade: Option<String>,
    /// Senders of what an alias sends on are written anew.
    pub srs: bool,
    /// Where mail ends as a notice, by name.
    pub push: Vec<Push>,
    /// Who is told when a person is needed; as `catch_all`.
    pub alerts: Option<String>,
    /// Routes in order.
    pub routes: Vec<Route>,
    /// Keys that sign what our own users and devices send.
    pub signing: Vec<Signing>,
    /// Name servers; empty: as /etc/resolv.conf says.
    pub dns: Vec<SocketAddr>,
    /// What name servers on other machines say of signatures is believed.
    pub dns_trusted: bool,
    /// Port for deliveries by MX.
    pub delivery_port: u16,
    /// IPv6 addresses of remotes are used.
    pub delivery_ipv6: bool,
    /// MTA-STS and DANE count.
    pub delivery_policies: bool,
    /// When to try again.
    pub retry: Retry,
    /// Bounds that a person may set.
    pub limits: Limits,
    /// Maildir of a user, `{user}` replaced; relative to the data directory.
    pub maildir: String,
    /// Certificate and key files, PEM; `None`: self-signed ones are made.
    pub tls: Option<CertificateFiles>,
    /// File of further authorities, PEM.
    pub authorities: Option<String>,
    /// argon2id hash of the page's password; `None`: not set up yet.
    pub admin: Option<String>,
    /// Programs that may use the API.
    pub tokens: Vec<Token>,
}

/// Where to listen, by service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// Port 25: servers, and trusted devices.
    pub smtp: Vec<SocketAddr>,
    /// Port 587: STARTTLS.
    pub submission: Vec<SocketAddr>,
    /// Port 465: TLS from the first octet.
    pub submissions: Vec<SocketAddr>,
    /// The page.
    pub web: Vec<SocketAddr>,
}

/// A network: address and prefix length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// Any address in it.
    pub address: IpAddr,
    /// Prefix length in bits.
    pub bits: u8,
}

/// A device with rules of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its address, or those of several.
    pub at: Network,
    /// What people call it; may be empty.
    pub name: String,
    /// What it may.
    pub access: Access,
    /// It must encrypt what it hands in.
    pub encrypted: bool,
    /// Its mail leaves from this sender.
    pub sender: Option<Address>,
    /// Who hears of its mail that cannot be delivered: a user, an alias or an address.
    pub owner: Option<String>,
    /// When its messages become too many to be sent one by one.
    pub digest: Option<Digest>,
    /// A person is told when nothing was heard of it for this long.
    pub silence: Option<Duration>,
}

/// What a device may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// Send without a login.
    #[default]
    Allow,
    /// The same; and where it insists on a login, any is good.
    AnyLogin,
    /// Send with a login alone, wherever it is.
    Login,
    /// Nothing.
    Block,
}

/// When the messages of a device are summed up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest {
    /// So many go one by one in any …
    pub after: u32,
    /// … time of this length; what is more is kept, and sent as one message when the time is over.
    pub within: Duration,
}

/// A local user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Login and mailbox name, lower case.
    pub name: String,
    /// argon2id hash (PHC string); `None`: no login, mail is still taken.
    pub password: Option<String>,
    /// Octets of mail kept; `None`: no bound.
    pub quota: Option<u64>,
    /// Addresses beside their own that they may send as: `me@example.org`, `*@example.org`, `*`.
    pub send_as: Vec<String>,
}

/// A name whose mail is posted to an address of the web.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Push {
    /// Its local name, lower case.
    pub name: String,
    /// Where to.
    pub url: Url,
    /// In which form.
    pub kind: PushKind,
    /// What lets us in there.
    pub token: Option<String>,
}

/// What is posted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PushKind {
    /// What ntfy takes; the topic is the last part of the address.
    #[default]
    Ntfy,
    /// An object with `id`, `from`, `to`, `subject` and `text`.
    Json,
}

/// An alias.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alias {
    /// `name`, `name@domain` or `@domain`.
    pub from: String,
    /// Targets, at least 1: local names or addresses.
    pub to: Vec<String>,
}

/// A route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Which recipients.
    pub pattern: Pattern,
    /// Which envelope senders; the null one is none of an address or domain.
    pub from: Pattern,
    /// Which devices and users; `None`: all of them.
    pub client: Option<Client>,
    /// Which way.
    pub via: Via,
    /// Use of TLS.
    pub tls: TlsPolicy,
    /// Login at the smarthost.
    pub user: Option<String>,
    /// What proves it; from the secrets file.
    pub secret: Option<Secret>,
    /// In place of that: a sign-in by a person.
    pub grant: Option<Rc<Grant>>,
    /// Senders that the server takes, patterns as in [`User::send_as`]; the first is a whole
    /// address, and stands in for all others. Empty: it takes any.
    pub senders: Rc<[String]>,
    /// The server's certificate must be one of these; empty: as `tls` says.
    pub pins: Rc<[Pin]>,
    /// Which addresses of the server are used.
    pub family: Family,
    /// How fast it takes mail.
    pub pace: Pace,
    /// What goes this way is signed, where there is a key for it.
    pub sign: bool,
}

/// Which addresses of a server are used, and from where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Family {
    /// All.
    #[default]
    Both,
    /// IPv4.
    V4,
    /// IPv6.
    V6,
    /// Those of the same kind as this one of ours, from which it is reached.
    From(IpAddr),
}

/// A certificate that is right, by its SHA-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pin {
    /// Of its public key alone: it stays as it is when the certificate is renewed.
    pub key: bool,
    /// The SHA-256.
    pub sha256: [u8; 32],
}

/// How fast a route takes mail; `None`: as many as there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Pace {
    /// Messages in any minute.
    pub per_minute: Option<u32>,
    /// Messages in any hour.
    pub per_hour: Option<u32>,
    /// Messages in any 24 hours.
    pub per_day: Option<u32>,
    /// Connections at once, [`crate::limits::CONNECTIONS_PER_LANE`] at most.
    pub connections: Option<u32>,
    /// Messages over one connection, [`crate::limits::MESSAGES_PER_CONNECTION`] at most.
    pub per_connection: Option<u32>,
}

/// Who hands mail in, as far as routes ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Client {
    /// From an address in this network.
    Network(Network),
    /// Logged in as this user, lower case.
    User(String),
}

/// A key that signs a domain's mail. RFC 6376 §3.1. The key itself is in a file of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signing {
    /// Whose mail: this domain and those below it, lower case.
    pub domain: String,
    /// Under which name the public half is found, lower case.
    pub selector: String,
}

/// Which recipients a route is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// `*`
    Any,
    /// `example.org` (that domain alone).
    Domain(String),
    /// `me@example.org`
    Address(Address),
}

/// Which way a route goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Via {
    /// The recipient domain's own mail servers.
    Mx,
    /// A smarthost: name or IP address, and port.
    Smarthost(String, u16),
    /// Nowhere: it counts as delivered, and is gone.
    Discard,
}

/// Use of TLS on a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsPolicy {
    /// `none`
    None,
    /// `may`: if offered.
    May,
    /// `require`: encrypted, whoever the server is.
    Require,
    /// `verify`: encrypted, and the certificate is right.
    Verify,
}

/// When to try again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// First wait; doubles.
    pub first: Duration,
    /// Longest wait.
    pub max: Duration,
    /// When to give up, in time during which the line was up.
    pub lifetime: Duration,
    /// When to tell the sender of a delay.
    pub warn_after: Duration,
}

/// Bounds that a person may set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest message, octets.
    pub message: u64,
    /// Most recipients of a transaction.
    pub recipients: usize,
    /// Most sessions at once.
    pub sessions: usize,
    /// Most sessions at once from one address.
    pub sessions_per_address: usize,
    /// Errors before a session is ended.
    pub bad_commands: u32,
    /// Failed logins before an address must wait.
    pub login_failures: u32,
    /// Most octets of spool.
    pub spool: u64,
}

/// A program that may use the API of the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// What people call it.
    pub name: String,
    /// `read`, `queue` or `all`.
    pub scope: String,
    /// SHA-256 of the token, lower-case hexadecimal. The token is random and long: no slow hash is
    /// needed.
    pub sha256: String,
}

/// Certificate and key files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// PEM file with the chain.
    pub certificate: String,
    /// PEM file with the key.
    pub key: String,
}
