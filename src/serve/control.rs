//! The configuration at work: read at the start, changed by page and command line, in force at
//! once.
//!
//! Two files: `waypost.json`, which a person may read and edit, and `secrets.json` with what nobody
//! needs to see again. Both are written whole or not at all.

mod backup;
mod keys;
mod tokens;

use super::{
    listen::{Doors, Service},
    relay::{Relay, Settings},
    sign_ins,
    web::office::{AdminLogin, AdminState, Apply, Problem, SettingRow, UserChange},
};
use crate::{
    config::{self, Config, Document, Secrets, Surroundings},
    limits,
    proto::mail::address::Address,
    relay::{
        accounts,
        admit::Policy,
        envelope::Id,
        grants,
        resolve::{self, Resolver},
        srs,
        trace::Event,
    },
    sys::{Open, Signal, Sys},
    time::Instant,
};
use std::{
    cell::{Cell, OnceCell, RefCell},
    io,
    net::{IpAddr, SocketAddr},
    rc::Rc,
};

/// Where the configuration lies.
#[derive(Clone, Debug)]
pub struct Files {
    /// `waypost.json`, relative to the data directory or absolute.
    pub document: String,
    /// The host name of this machine, for the default of `hostname`.
    pub machine: String,
    /// The socket of the keeper of the board, where this runs on one.
    pub board: Option<String>,
}

const SECRETS: &str = "secrets.json";

/// What was read at the start.
pub struct Loaded {
    /// The document with its secrets.
    pub document: Document,
    /// What it means.
    pub config: Config,
    secrets: Secrets,
    /// The text of [`grants::FILE`].
    pub sign_ins: String,
}

/// The configuration of the running relay.
pub struct Control {
    relay: Rc<Relay>,
    files: Files,
    document: RefCell<Document>,
    /// The document before the last change since the start.
    previous: RefCell<Option<Document>>,
    secrets: RefCell<Secrets>,
    doors: OnceCell<Rc<Doors>>,
    /// Printed at the start; who knows it may set the page's password.
    code: String,
    /// What did not work, by what it is about.
    troubles: RefCell<Vec<Problem>>,
    /// The certificate in use, PEM, and when its file was last looked at.
    certificate: RefCell<String>,
    looked: Cell<Instant>,
    /// Somebody is changing the configuration.
    changing: Cell<bool>,
    changed: Signal,
}

/// The right to change the configuration; one at a time.
struct Turn<'a>(&'a Control);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.changing.set(false);
        self.0.changed.raise();
    }
}

/// Why there is no configuration.
#[derive(Debug)]
pub enum Unloaded {
    /// It is wrong: all that is, in words, each naming its key. A person must mend it.
    Wrong(Vec<String>),
    /// The disk failed: it may be read the next time.
    Disk(String),
}

impl Unloaded {
    fn one(words: String) -> Unloaded {
        Unloaded::Wrong(vec![words])
    }

    /// In words, one line each.
    pub fn words(self) -> Vec<String> {
        match self {
            Unloaded::Wrong(words) => words,
            Unloaded::Disk(words) => vec![words],
        }
    }
}

impl From<Unloaded> for String {
    fn from(unloaded: Unloaded) -> String {
        unloaded.words().join("; ")
    }
}

/// Read and check the configuration; passwords in clear are replaced by their hashes, in the file
/// too.
///
/// # Errors
/// It is wrong, or cannot be read or written.
pub async fn load(sys: &Sys, files: &Files) -> Result<Loaded, Unloaded> {
    let one = Unloaded::one;
    let text = read(sys, &files.document).await?;
    let document = Document::parse(&text).map_err(|p| one(format!("{}: {p}", files.document)))?;
    let text = read(sys, SECRETS).await?;
    let mut secrets = Secrets::parse(&text).map_err(|p| one(p.to_string()))?;
    let surroundings = surroundings(files);
    let words = |problems: Vec<config::Problem>| {
        Unloaded::Wrong(problems.iter().map(ToString::to_string).collect())
    };
    let was = document.clone();
    let joined = document.join(&secrets);
    let problems = joined.problems(&surroundings);
    if !problems.is_empty() {
        return Err(words(problems));
    }
    let joined = hash_passwords(sys, joined).await.map_err(one)?;
    let config = joined.config(&surroundings).map_err(words)?;
    let (open, newer) = joined.clone().split();
    secrets.update(newer, &open);
    if open != was {
        write(sys, files, &open, &secrets).await.map_err(|e| Unloaded::Disk(unwritten(&e)))?;
    }
    // One that is damaged is told, and keeps nobody from starting.
    let sign_ins = octets(sys, grants::FILE, limits::SECRETS_BYTES).await;
    let sign_ins = sign_ins.map_err(Unloaded::Disk)?;
    let sign_ins = String::from_utf8_lossy(&sign_ins).into_owned();
    Ok(Loaded { document: joined, config, secrets, sign_ins })
}

fn surroundings(files: &Files) -> Surroundings {
    Surroundings { hostname: files.machine.clone() }
}

fn unwritten(error: &io::Error) -> String {
    format!("the configuration could not be written: {error}")
}

async fn read(sys: &Sys, path: &str) -> Result<String, Unloaded> {
    let most = if path == SECRETS { limits::SECRETS_BYTES } else { limits::CONFIG_BYTES };
    let octets = octets(sys, path, most).await.map_err(Unloaded::Disk)?;
    String::from_utf8(octets).map_err(|_| Unloaded::one(format!("{path} is not text in UTF-8")))
}

/// A file of the system, as far as it is text: a long list that blocks advertisers may be cut.
async fn read_loosely(sys: &Sys, path: &str) -> String {
    let octets = octets(sys, path, limits::CONFIG_BYTES).await.unwrap_or_default();
    String::from_utf8_lossy(&octets).into_owned()
}

/// All of a file, or a little more than `most`, so that it is seen to be too long.
async fn octets(sys: &Sys, path: &str, most: usize) -> Result<Vec<u8>, String> {
    let fault = |error: io::Error| format!("{path} cannot be read: {error}");
    let file = match sys.disk.open(path, Open::Read).await {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(fault(error)),
    };
    file.read_at(0, most + 1).await.map_err(fault)
}

/// Every password in clear becomes its argon2id hash.
async fn hash_passwords(sys: &Sys, mut document: Document) -> Result<Document, String> {
    for (path, password) in document.clear_passwords() {
        let hash = accounts::hash(sys, &password).await;
        document.set_text(&path, &hash).map_err(|p| p.to_string())?;
    }
    Ok(document)
}

/// Both files, each whole or not at all, the secrets first: a document never names a secret that is
/// not there.
async fn write(sys: &Sys, files: &Files, open: &Document, secrets: &Secrets) -> io::Result<()> {
    sys.replace(SECRETS, secrets.to_string().into_bytes()).await?;
    sys.replace(&files.document, open.to_string().into_bytes()).await
}

/// Octets of the spool and of the largest message in it: what is added to a header on the way in
/// does not count against a message as it came.
pub(super) fn room(config: &Config) -> (u64, u64) {
    (config.limits.spool, config.limits.message + limits::HEADER_BYTES as u64)
}

/// What follows from a configuration.
pub fn settings(sys: &Sys, config: Config) -> Settings {
    let attached = sys.net.attached();
    let subnets = attached
        .subnets
        .iter()
        .map(|(address, bits)| config::Network { address: *address, bits: *bits });
    let config = Rc::new(config);
    let policy = Policy::new(config.clone(), subnets.collect(), attached.gateways);
    Settings { config, policy: Rc::new(policy) }
}

/// Tell the resolver whom to ask (the configured name servers, else those of the system), which
/// names are ours, and what the system's hosts file says.
pub async fn introduce(sys: &Sys, resolver: &Resolver, config: &Config) {
    let (servers, trusted) = if config.dns.is_empty() {
        let text = read_loosely(sys, "/etc/resolv.conf").await;
        (resolve::servers_of(&text), resolve::trusts_ad(&text) || config.dns_trusted)
    } else {
        (config.dns.clone(), config.dns_trusted)
    };
    resolver.set_servers(servers, trusted);
    resolver.set_own(&[vec![config.hostname.clone()], config.domains.clone()].concat());
    resolver.set_hosts(&read_loosely(sys, "/etc/hosts").await);
}

impl Control {
    /// The key for senders of forwarded mail, where any mail is sent on.
    pub async fn load_srs(&self) {
        let settings = self.relay.settings();
        let (config, policy) = (&settings.config, &settings.policy);
        let leaves = |target: &String| {
            let address = Address::parse(target);
            address.is_ok_and(|to| !policy.is_local_domain(to.domain()))
        };
        let aliases = config.aliases.iter().flat_map(|alias| &alias.to);
        let mut targets = aliases.chain(&config.catch_all).chain(&config.owner);
        let wanted = policy.srs_domain().is_some() && targets.any(leaves);
        let failed = self.relay.srs.load(&self.relay.sys, wanted).await.err();
        let words = failed.map(|error| {
            format!("{}: {error}; senders of forwarded mail stay as they are", srs::FILE)
        });
        self.trouble("srs", &words.into_iter().collect::<Vec<_>>());
    }

    /// Take over what was loaded.
    pub fn new(relay: Rc<Relay>, files: Files, loaded: Loaded) -> Control {
        let code = setup_code(relay.sys.dice.roll());
        Control {
            relay,
            files,
            document: RefCell::new(loaded.document),
            previous: RefCell::default(),
            secrets: RefCell::new(loaded.secrets),
            doors: OnceCell::new(),
            code,
            troubles: RefCell::default(),
            certificate: RefCell::default(),
            looked: Cell::default(),
            changing: Cell::new(false),
            changed: Signal::default(),
        }
    }

    /// The listeners, once there are some; opens what the configuration names.
    pub async fn open(&self, doors: Rc<Doors>) -> Vec<String> {
        let doors = self.doors.get_or_init(|| doors);
        let config = self.relay.config();
        self.trouble("limits.sessions", &doors.seat(config.limits.sessions));
        let failed = doors.set(&config.listen).await;
        self.trouble("listen", &failed);
        failed
    }

    /// Where it listens.
    pub fn listening(&self) -> Vec<(Service, SocketAddr)> {
        self.doors.get().map_or_else(Vec::new, |doors| doors.addresses())
    }

    /// Connections of clients that hand in mail, now.
    pub fn sessions(&self) -> usize {
        self.doors.get().map_or(0, |doors| doors.sessions())
    }

    /// Stop listening.
    pub fn close(&self) {
        if let Some(doors) = self.doors.get() {
            doors.close();
        }
    }

    /// What does not work.
    pub fn problems(&self) -> Vec<Problem> {
        self.troubles.borrow().clone()
    }

    fn trouble(&self, key: &str, words: &[String]) {
        let mut troubles = self.troubles.borrow_mut();
        troubles.retain(|problem| problem.key != key);
        for words in words {
            self.relay.tell(Event::new("trouble").with("about", key).with("words", words));
            troubles.push(Problem { key: key.into(), words: words.clone() });
        }
    }

    /// Addresses of this machine that a device of the same network may use for SMTP: those it
    /// listens on, or all of this machine where it listens on all.
    pub fn own_addresses(&self) -> Vec<String> {
        let mut found: Vec<IpAddr> = Vec::new();
        for (service, at) in self.listening() {
            let here = match at.ip() {
                _ if service != Service::Smtp => Vec::new(),
                ip if ip.is_unspecified() => self.relay.sys.net.attached().addresses,
                ip => vec![ip],
            };
            for ip in here {
                if !found.contains(&ip) {
                    found.push(ip);
                }
            }
        }
        // What a person would rather type comes first.
        found.sort_by_key(|ip| (ip.is_loopback(), ip.is_ipv6()));
        found.iter().map(ToString::to_string).collect()
    }

    /// The document as it may be shown.
    pub fn document(&self) -> String {
        self.document.borrow().redacted().to_string()
    }

    /// The settings table.
    pub fn settings(&self) -> Vec<SettingRow> {
        let row = |setting: &config::Setting| SettingRow {
            key: setting.key.into(),
            kind: setting.kind_name().into(),
            default: setting.default.into(),
            allowed: setting.allowed(),
            example: setting.example.into(),
            help: setting.help.into(),
        };
        config::SETTINGS.iter().map(row).collect()
    }

    /// Check a document and, where asked, keep it and let it take effect.
    pub async fn apply(&self, text: &str, how: Apply) -> Result<(), Vec<Problem>> {
        let mut document = Document::parse(text).map_err(|p| vec![problem(&p)])?;
        let many =
            |problems: Vec<config::Problem>| problems.iter().map(problem).collect::<Vec<_>>();
        let turn = self.turn().await;
        let old = self.document.borrow().clone();
        document.restore(&old).map_err(many)?;
        let problems = document.problems(&surroundings(&self.files));
        if !problems.is_empty() {
            return Err(many(problems));
        }
        match how {
            Apply::Check => Ok(()),
            Apply::Save => self
                .keep(&turn, document)
                .await
                .map_err(|words| vec![Problem { key: String::new(), words }]),
        }
    }

    /// What a configuration means in which this route (JSON, with [`config::SET`] for secrets that
    /// stay) is the way of all mail; empty: as it is. Nothing is kept of it.
    pub fn trial(&self, route: &str) -> Result<Config, Vec<Problem>> {
        if route.trim().is_empty() {
            return Ok((*self.relay.config()).clone());
        }
        let text = format!("{{\"routes\":[{route}]}}");
        let asked = Document::parse(&text).map_err(|p| vec![problem(&p)])?;
        let many = |problems: Vec<config::Problem>| -> Vec<Problem> {
            problems.iter().map(problem).collect()
        };
        let old = self.document.borrow().clone();
        let mut document = old.clone();
        let routes = asked.get("routes").cloned().unwrap_or_default();
        document.set("routes", routes).map_err(|p| vec![problem(&p)])?;
        document.restore(&old).map_err(many)?;
        document.remove("routes[0].from");
        document.remove("routes[0].client");
        document.set_text("routes[0].for", "*").map_err(|p| vec![problem(&p)])?;
        document.config(&surroundings(&self.files)).map_err(many)
    }

    /// The document before the last change, as it may be shown.
    pub fn previous(&self) -> Option<String> {
        self.previous.borrow().as_ref().map(|document| document.redacted().to_string())
    }

    /// Go back to it.
    pub async fn undo(&self) -> Result<(), Vec<Problem>> {
        let one = |words: String| vec![Problem { key: String::new(), words }];
        let turn = self.turn().await;
        let Some(document) = self.previous.borrow().clone() else {
            return Err(one("nothing was changed since the start".into()));
        };
        self.keep(&turn, document).await.map_err(one)
    }

    /// Until nobody else is changing the configuration.
    async fn turn(&self) -> Turn<'_> {
        loop {
            let seen = self.changed.count();
            if !self.changing.replace(true) {
                return Turn(self);
            }
            self.changed.past(seen).await;
        }
    }

    /// Write the document and let it take effect.
    async fn keep(&self, _turn: &Turn<'_>, document: Document) -> Result<(), String> {
        let sys = &self.relay.sys;
        self.is_as_read().await?;
        let document = hash_passwords(sys, document).await?;
        let config = document.config(&surroundings(&self.files)).map_err(|problems| {
            problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
        })?;
        let (open, newer) = document.clone().split();
        let mut secrets = self.secrets.borrow().clone();
        secrets.update(newer, &open);
        write(sys, &self.files, &open, &secrets).await.map_err(|error| unwritten(&error))?;
        *self.secrets.borrow_mut() = secrets;
        let before = self.document.replace(document);
        *self.previous.borrow_mut() = Some(before);
        self.take_effect(config).await;
        Ok(())
    }

    /// What a person has written into the file since must not be overwritten.
    async fn is_as_read(&self) -> Result<(), String> {
        let file = &self.files.document;
        let text = read(&self.relay.sys, file).await?;
        let (known, _) = self.document.borrow().clone().split();
        let same = Document::parse(&text).is_ok_and(|there| there == known);
        if same || text.is_empty() {
            return Ok(());
        }
        Err(format!(
            "{file} was edited since it was read: have it read again (SIGHUP, or a restart) first"
        ))
    }

    async fn take_effect(&self, config: Config) {
        let relay = &self.relay;
        let old = relay.config();
        introduce(&relay.sys, &relay.resolver, &config).await;
        *relay.settings.borrow_mut() = settings(&relay.sys, config);
        let new = relay.config();
        let (octets, message) = room(&new);
        relay.spool.resize(octets, message);
        self.certify().await;
        self.authorize().await;
        self.load_keys().await;
        self.load_srs().await;
        if let Some(doors) = self.doors.get() {
            self.trouble("limits.sessions", &doors.seat(new.limits.sessions));
            let failed = doors.set(&new.listen).await;
            self.trouble("listen", &failed);
        }
        relay.grants.retain(&sign_ins::grants(&new));
        relay.changed.raise();
        let mut event = Event::new("configured");
        if leads_elsewhere(&old, &new) {
            relay.barred.borrow_mut().clear();
            relay.bypassed.borrow_mut().clear();
            // A person who has mended a route wants to see mail leave by it.
            event = event.with("due", relay.hasten_all());
        }
        relay.queue.work().raise();
        relay.tell(event);
    }

    /// Read the files again (SIGHUP). What is wrong in them is told, and the old configuration
    /// stays.
    pub async fn reload(&self) {
        let _turn = self.turn().await;
        match load(&self.relay.sys, &self.files).await {
            Ok(loaded) => {
                *self.document.borrow_mut() = loaded.document;
                *self.secrets.borrow_mut() = loaded.secrets;
                self.trouble("configuration", &[]);
                self.take_effect(loaded.config).await;
            }
            Err(unloaded) => {
                let words = format!("not reloaded, the old one stays: {}", String::from(unloaded));
                self.trouble("configuration", &[words]);
            }
        }
    }

    /// Load the certificate: the configured one, else the one of our own, made where there is none
    /// yet.
    pub async fn certify(&self) {
        match self.certify_or_say().await {
            Ok(()) => self.trouble("tls", &[]),
            Err(words) => self.trouble("tls", &[words]),
        }
    }

    /// Believe the authorities that are configured, and where they cannot be read, those before.
    pub async fn authorize(&self) {
        let said = self.authorize_or_say().await.err();
        self.trouble("tls.authorities", said.as_slice());
    }

    async fn authorize_or_say(&self) -> Result<(), String> {
        let (sys, config) = (&self.relay.sys, self.relay.config());
        let Some(file) = &config.authorities else {
            return sys.tls.authorities(&[]).map_err(|error| error.to_string());
        };
        let octets = octets(sys, file, limits::AUTHORITIES_BYTES).await?;
        if octets.is_empty() || octets.len() > limits::AUTHORITIES_BYTES {
            return Err(format!("{file} is missing, empty or too long"));
        }
        sys.tls.authorities(&octets).map_err(|error| format!("{file}: {error}"))
    }

    async fn certify_or_say(&self) -> Result<(), String> {
        const CERTIFICATE: &str = "tls/self-signed.pem";
        const KEY: &str = "tls/self-signed.key";
        let sys = &self.relay.sys;
        let config = self.relay.config();
        let (certificate, key) = match &config.tls {
            Some(files) => (files.certificate.as_str(), files.key.as_str()),
            None => (CERTIFICATE, KEY),
        };
        let mut pem = read(sys, certificate).await?;
        let mut secret = read(sys, key).await?;
        let own = config.tls.is_none();
        if own && (pem.is_empty() || secret.is_empty()) {
            let names = [config.hostname.clone(), "localhost".into()];
            (pem, secret) = sys.tls.self_signed(&names).map_err(|e| e.to_string())?;
            let fault = |e: io::Error| format!("the certificate could not be written: {e}");
            sys.disk.make_dir("tls").await.map_err(fault)?;
            sys.replace(KEY, secret.clone().into_bytes()).await.map_err(fault)?;
            sys.replace(CERTIFICATE, pem.clone().into_bytes()).await.map_err(fault)?;
        }
        if pem.is_empty() || secret.is_empty() {
            return Err(format!("{certificate} or {key} is missing or empty"));
        }
        let loaded = sys.tls.certificate(pem.as_bytes(), secret.as_bytes());
        loaded.map_err(|e| format!("{certificate}: {e}"))?;
        self.looked.set(sys.clock.now());
        *self.certificate.borrow_mut() = pem;
        Ok(())
    }

    /// Load a configured certificate again where its file has changed. Looked at when TLS is used,
    /// not by a timer: an idle relay sleeps.
    pub async fn renew_certificate(&self) {
        let config = self.relay.config();
        let Some(files) = &config.tls else { return };
        let now = self.relay.sys.clock.now();
        if now.since(self.looked.get()) < limits::CERTIFICATE_LOOK {
            return;
        }
        self.looked.set(now);
        // By content: a date of the file says nothing on a board whose clock was not set.
        let pem = read(&self.relay.sys, &files.certificate).await.unwrap_or_default();
        if pem != *self.certificate.borrow() {
            self.certify().await;
        }
    }

    /// Change a local user.
    pub async fn user(&self, name: &str, change: UserChange) -> Result<(), String> {
        let turn = self.turn().await;
        let mut document = self.document.borrow().clone();
        let name = name.trim().to_lowercase();
        let plain = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
        if name.is_empty() || !name.chars().all(plain) {
            return Err(format!(
                "'{name}' is no user name: letters, digits, dot, dash and underline"
            ));
        }
        let users = document.get("users").and_then(|users| users.as_array());
        let count = users.map_or(0, Vec::len);
        let is = |n: &usize| {
            let found = document.get(&format!("users[{n}].name"));
            found.and_then(|v| v.as_str()).is_some_and(|v| v.eq_ignore_ascii_case(&name))
        };
        let place = (0..count).find(is);
        let fault = |problem: config::Problem| problem.to_string();
        match (change, place) {
            (UserChange::Add(_), Some(_)) => return Err(format!("there is a user {name} already")),
            (UserChange::Password(_) | UserChange::Remove, None) => {
                return Err(format!("there is no user {name}"));
            }
            (UserChange::Add(password), None) => {
                let quoted = format!("\"{name}\"");
                document.set_text(&format!("users[{count}].name"), &quoted).map_err(fault)?;
                if let Some(password) = password {
                    self.password(&mut document, count, &password).await?;
                }
            }
            (UserChange::Password(password), Some(n)) => {
                self.password(&mut document, n, &password).await?;
            }
            (UserChange::Remove, Some(n)) => drop(document.remove(&format!("users[{n}]"))),
        }
        self.keep(&turn, document).await
    }

    async fn password(
        &self,
        document: &mut Document,
        n: usize,
        password: &str,
    ) -> Result<(), String> {
        check_password(password)?;
        let hash = accounts::hash(&self.relay.sys, password).await;
        document.set_text(&format!("users[{n}].password"), &hash).map_err(|p| p.to_string())
    }

    /// Has the page a password?
    pub fn admin(&self) -> AdminState {
        match self.relay.config().admin {
            Some(_) => AdminState::Set,
            None => AdminState::NotSet { code: self.code.clone() },
        }
    }

    /// Set the page's password.
    pub async fn set_admin(&self, password: &str) -> Result<(), String> {
        check_password(password)?;
        let turn = self.turn().await;
        let hash = accounts::hash(&self.relay.sys, password).await;
        let mut document = self.document.borrow().clone();
        document.set_text("admin.password", &hash).map_err(|p| p.to_string())?;
        self.keep(&turn, document).await?;
        // Nobody should come back to a password that was changed.
        self.previous.take();
        Ok(())
    }

    /// Is this the page's password?
    pub async fn check_admin(&self, peer: Option<IpAddr>, password: &str) -> AdminLogin {
        let config = self.relay.config();
        match self.relay.accounts.verify_admin(&config, peer, password).await {
            accounts::Login::Welcome(_) => AdminLogin::Welcome,
            accounts::Login::Wrong => {
                let peer = peer.map_or(String::new(), |peer| peer.to_string());
                self.relay.tell(Event::new("login-failed").with("user", "page").with("peer", peer));
                AdminLogin::Wrong
            }
            accounts::Login::Throttled(wait) => AdminLogin::Throttled(wait.as_secs().max(1)),
        }
    }
}

/// Does mail that waits go another way now, or have a better chance to?
fn leads_elsewhere(old: &Config, new: &Config) -> bool {
    let ways = |config: &Config| {
        let users = config.users.iter().map(|user| (user.name.clone(), user.quota));
        (
            (config.routes.clone(), config.dns.clone()),
            (config.delivery_port, config.delivery_ipv6),
            (config.dns_trusted, config.delivery_policies),
            (config.hostname.clone(), config.domains.clone(), config.maildir.clone()),
            users.collect::<Vec<_>>(),
        )
    };
    ways(old) != ways(new)
}

fn problem(problem: &config::Problem) -> Problem {
    let words = format!("found {}; allowed is {}", problem.found, problem.allowed);
    Problem { key: problem.key.clone(), words }
}

fn check_password(password: &str) -> Result<(), String> {
    if config::is_password(password) {
        Ok(())
    } else {
        Err("a password has 1 to 256 octets and does not start with $argon2id$".into())
    }
}

/// `7ZK3-M9Q2`: 40 random bits that a person can type from a screen; guessing is throttled.
fn setup_code(chance: u64) -> String {
    let letters = Id::new(chance).to_string();
    format!("{}-{}", &letters[2..6], &letters[6..])
}
