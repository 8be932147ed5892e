//! From the document to typed values, with all problems told at once.

use super::{
    Access, Alias, CertificateFiles, Config, Device, Digest, Document, Family, Kind, Limits,
    Listen, Network, Pace, Pattern, Problem, Push, PushKind, Retry, Route, Setting, Signing,
    Surroundings, TlsPolicy, Token, User, Via, aliases,
    problem::{kind_shown, nearest, quoted, shown},
    providers::{self, Profile, Senders},
    secrets::{self, Password},
    table::keys_below,
    values,
};
use crate::{
    limits,
    pairs::Pairs,
    proto::{http::Url, oauth::Provider, sasl::Secret},
};
use serde_json::{Map, Value};
use std::{
    net::{IpAddr, SocketAddr},
    rc::Rc,
    time::Duration,
};

mod sign_in;

/// Whether passwords in clear are a problem.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Clear {
    Refused,
    Taken,
}

/// See [`Document::config`].
pub(super) fn config(
    document: &Document,
    surroundings: &Surroundings,
    clear: Clear,
) -> Result<Config, Vec<Problem>> {
    let mut reader = Reader { problems: Vec::new(), clear };
    reader.object("", "", &document.0);
    let root = Node { path: String::new(), pattern: String::new(), value: None };
    let root = Root { node: root, object: &document.0 };
    let config = reader.config(&root, surroundings);
    aliases::check(&config, &mut reader.problems);
    if reader.problems.is_empty() {
        return Ok(config);
    }
    let more = reader.problems.len().saturating_sub(limits::CONFIG_PROBLEMS);
    if more > 0 {
        reader.problems.truncate(limits::CONFIG_PROBLEMS);
        reader.problems.push(Problem::new("", format!("{more} more problems"), "none"));
    }
    Err(reader.problems)
}

struct Root<'a> {
    node: Node<'a>,
    object: &'a Map<String, Value>,
}

impl<'a> Root<'a> {
    fn child(&self, key: &str) -> Node<'a> {
        Node { value: present(self.object, key), ..self.node.child(key) }
    }
}

/// A place in the document; its value is missing where nothing or `null` is there.
struct Node<'a> {
    path: String,
    pattern: String,
    value: Option<&'a Value>,
}

impl<'a> Node<'a> {
    fn child(&self, key: &str) -> Node<'a> {
        Node {
            path: below(&self.path, key),
            pattern: below(&self.pattern, key),
            value: self.value.and_then(Value::as_object).and_then(|object| present(object, key)),
        }
    }

    fn items(&self) -> impl Iterator<Item = Node<'a>> {
        let list = self.value.and_then(Value::as_array).into_iter().flatten();
        list.enumerate().map(|(n, value)| Node {
            path: format!("{}[{n}]", self.path),
            pattern: format!("{}[]", self.pattern),
            value: Some(value),
        })
    }

    fn setting(&self) -> &'static Setting {
        Setting::find(&self.pattern).expect("only keys of the table are read")
    }

    fn text(&self) -> Option<&'a str> {
        self.value.and_then(Value::as_str)
    }
}

fn present<'a>(object: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    object.get(key).filter(|value| !value.is_null())
}

fn below(place: &str, key: &str) -> String {
    if place.is_empty() { key.to_string() } else { format!("{place}.{key}") }
}

struct Reader {
    problems: Vec<Problem>,
    clear: Clear,
}

impl Reader {
    fn problem(&mut self, node: &Node, found: impl Into<String>, allowed: impl Into<String>) {
        self.problems.push(Problem::new(&node.path, found, allowed));
    }

    /// The value is not what the table allows there.
    fn wrong(&mut self, node: &Node, value: &Value) {
        let setting = node.setting();
        let is_secret = matches!(setting.kind, Kind::Secret { .. });
        let found = if is_secret { kind_shown(value) } else { shown(value) };
        self.problem(node, found, setting.allowed());
    }

    // ---- Shape: unknown and missing keys, by the table alone ----

    fn object(&mut self, path: &str, pattern: &str, object: &Map<String, Value>) {
        let known: Vec<&str> = keys_below(pattern).collect();
        for (key, value) in object {
            let place = below(path, key);
            if !known.contains(&key.as_str()) {
                let meant = nearest(key, known.iter().copied());
                let meant = meant.map(|key| format!(" (did you mean {}?)", below(path, key)));
                let found = format!("an unknown key{}", meant.unwrap_or_default());
                // The key itself may be anything, and as long as the document.
                let place = below(path, quoted(key).trim_matches('"'));
                self.problems.push(Problem::new(place, found, known.join(", ")));
            } else if !value.is_null() {
                self.shape(&place, &below(pattern, key), value);
            }
        }
        for key in known.iter().filter(|key| present(object, key).is_none()) {
            let setting = Setting::find(&below(pattern, key));
            if let Some(setting) = setting.filter(|s| s.is_required()) {
                let place = below(path, key);
                self.problems.push(Problem::new(place, "nothing", setting.allowed()));
            }
        }
    }

    fn shape(&mut self, path: &str, pattern: &str, value: &Value) {
        match (Setting::find(pattern), value) {
            (None, Value::Object(object)) => self.object(path, pattern, object),
            (None, other) => {
                let keys: Vec<_> = keys_below(pattern).collect();
                let allowed = format!("an object with {}", keys.join(", "));
                self.problems.push(Problem::new(path, kind_shown(other), allowed));
            }
            (Some(Setting { kind: Kind::Objects { .. }, .. }), Value::Array(list)) => {
                for (n, item) in list.iter().enumerate() {
                    self.shape(&format!("{path}[{n}]"), &format!("{pattern}[]"), item);
                }
            }
            _ => {}
        }
    }

    // ---- Values by kind ----

    /// A text as `read` understands it; `None` where it is missing, or wrong (and then told).
    fn text<T>(&mut self, node: &Node, read: impl Fn(&str) -> Option<T>) -> Option<T> {
        let value = node.value?;
        let text = node.text().filter(|t| t.len() <= limits::CONFIG_TEXT_BYTES);
        let read = text.and_then(read);
        if read.is_none() {
            self.wrong(node, value);
        }
        read
    }

    /// The items of a list, no more than the table allows.
    fn items<'a>(&mut self, node: &Node<'a>) -> Vec<Node<'a>> {
        let (Kind::List { most, .. } | Kind::Objects { most, .. }) = node.setting().kind else {
            unreachable!("only lists of the table are read as lists");
        };
        match node.value {
            None => Vec::new(),
            Some(Value::Array(list)) if list.len() <= most => node.items().collect(),
            Some(value) => {
                self.wrong(node, value);
                Vec::new()
            }
        }
    }

    /// A list of texts as `read` understands them.
    fn list<T>(&mut self, node: &Node, read: impl Fn(&str) -> Option<T>) -> Vec<T> {
        let Kind::List { of, .. } = node.setting().kind else {
            unreachable!("only lists of the table are read as lists");
        };
        let items = self.items(node);
        let mut list = Vec::with_capacity(items.len());
        for item in items {
            let text = item.text().filter(|t| t.len() <= limits::CONFIG_TEXT_BYTES);
            match text.and_then(&read) {
                Some(value) => list.push(value),
                None => self.problem(&item, item.value.map_or(String::new(), shown), of),
            }
        }
        list
    }

    /// A number, size or duration (in seconds) within the bounds of the table, which also has the
    /// default.
    fn amount(&mut self, node: &Node) -> u64 {
        let setting = node.setting();
        let seconds = |text: &str| values::duration(text).map(|d| d.as_secs());
        let default = match setting.kind {
            Kind::Duration { .. } => seconds(setting.default),
            _ => values::size(setting.default),
        };
        self.maybe_amount(node).or(default).unwrap_or(0)
    }

    fn maybe_amount(&mut self, node: &Node) -> Option<u64> {
        let value = node.value?;
        let (amount, min, max) = match node.setting().kind {
            Kind::Number { min, max } => (value.as_u64(), min, max),
            Kind::Size { min, max } => {
                (value.as_u64().or_else(|| values::size(node.text()?)), min, max)
            }
            Kind::Duration { min, max } => {
                (node.text().and_then(values::duration).map(|d| d.as_secs()), min, max)
            }
            _ => unreachable!("only amounts of the table are read as amounts"),
        };
        let amount = amount.filter(|a| (min..=max).contains(a));
        if amount.is_none() {
            self.wrong(node, value);
        }
        amount
    }

    fn count(&mut self, node: &Node) -> usize {
        usize::try_from(self.amount(node)).unwrap_or(usize::MAX)
    }

    fn duration(&mut self, node: &Node) -> Duration {
        Duration::from_secs(self.amount(node))
    }

    fn flag(&mut self, node: &Node) -> bool {
        self.maybe_flag(node).unwrap_or(node.setting().default == "true")
    }

    fn maybe_flag(&mut self, node: &Node) -> Option<bool> {
        match node.value? {
            Value::Bool(flag) => Some(*flag),
            value => {
                self.wrong(node, value);
                None
            }
        }
    }

    /// The hash of a password.
    fn hash(&mut self, node: &Node) -> Option<String> {
        match secrets::hash(node.value?) {
            Ok(Password::Hash(hash)) => return Some(hash.to_string()),
            Ok(Password::Clear) if self.clear == Clear::Taken => {}
            Ok(Password::Clear) => self.problem(node, "a password in clear", "its argon2id hash"),
            Err(found) => {
                let allowed = node.setting().allowed();
                self.problem(node, found, format!("{allowed}, or its argon2id hash"));
            }
        }
        None
    }

    // ---- The settings ----

    fn config(&mut self, root: &Root, surroundings: &Surroundings) -> Config {
        let hostname = self.text(&root.child("hostname"), values::domain);
        let hostname = hostname.unwrap_or_else(|| {
            values::domain(&surroundings.hostname).unwrap_or_else(|| "localhost".to_string())
        });
        let listen = self.listen(&root.child("listen"));
        let trusted = self.trusted(&root.child("trusted"));
        let devices = self.devices(&root.child("devices"));
        let mut domains = self.list(&root.child("domains"), values::domain);
        domains.sort();
        domains.dedup();
        domains.retain(|domain| *domain != hostname);
        let (delivery, retry) = (root.child("delivery"), root.child("retry"));
        Config {
            hostname,
            listen,
            trusted,
            devices,
            domains,
            users: self.users(&root.child("users")),
            aliases: self.aliases(&root.child("aliases")),
            catch_all: self.text(&root.child("catch_all"), aliases::target),
            owner: self.text(&root.child("owner"), aliases::target),
            masquerade: self.text(&root.child("masquerade"), values::public_domain),
            srs: self.flag(&root.child("srs")),
            push: self.push(&root.child("push")),
            alerts: self.text(&root.child("alerts"), aliases::target),
            routes: self.routes(root),
            signing: self.signing(&root.child("signing")),
            dns: self.list(&root.child("dns"), values::name_server),
            dns_trusted: self.flag(&root.child("dns_trusted")),
            delivery_port: u16::try_from(self.amount(&delivery.child("port"))).unwrap_or(25),
            delivery_ipv6: self.flag(&delivery.child("ipv6")),
            delivery_policies: self.flag(&delivery.child("policies")),
            retry: self.retry(&retry),
            limits: self.limits(&root.child("limits")),
            maildir: self.maildir(&root.child("maildir")),
            tls: self.certificate_files(&root.child("tls")),
            authorities: self.text(&root.child("tls").child("authorities"), plain_path),
            admin: self.hash(&root.child("admin").child("password")),
            tokens: self.tokens(&root.child("tokens")),
        }
    }

    fn listen(&mut self, node: &Node) -> Listen {
        let mut taken: Vec<(SocketAddr, String)> = Vec::new();
        let mut service = |key: &str| {
            let node = node.child(key);
            let default = node.setting().default.parse().into_iter();
            let listen: Vec<SocketAddr> = match node.value {
                None => default.collect(),
                Some(_) => self.list(&node, |text| text.parse().ok()),
            };
            for address in &listen {
                match taken.iter().find(|(other, _)| collide(*other, *address)) {
                    Some((other, place)) => {
                        let found = format!("{address}, but {place} has {other}");
                        self.problem(&node, found, "each address and port once");
                    }
                    None => taken.push((*address, node.path.clone())),
                }
            }
            listen
        };
        Listen {
            smtp: service("smtp"),
            submission: service("submission"),
            submissions: service("submissions"),
            web: service("web"),
        }
    }

    fn trusted(&mut self, node: &Node) -> Option<Vec<Network>> {
        node.value?;
        let fine = |text: &str| values::network(text).filter(values::is_trustable);
        Some(self.list(node, fine))
    }

    fn devices(&mut self, node: &Node) -> Vec<Device> {
        let mut devices: Vec<Device> = Vec::new();
        for node in self.items(node) {
            let at_node = node.child("address");
            let at = |text: &str| values::network(text).filter(values::is_trustable);
            let at = self.text(&at_node, at);
            let name = self.text(&node.child("name"), values::device_name).unwrap_or_default();
            let access = self.text(&node.child("access"), access).unwrap_or_default();
            let encrypted = self.maybe_flag(&node.child("encrypted")).unwrap_or(false);
            let sender = self.text(&node.child("sender"), values::mailbox);
            let owner = self.text(&node.child("owner"), aliases::target);
            let within = Duration::from_secs(self.amount(&node.child("digest_every")));
            let after = self.maybe_amount(&node.child("digest_after"));
            let after = after.and_then(|after| u32::try_from(after).ok());
            let digest = after.map(|after| Digest { after, within });
            let silence = self.maybe_amount(&node.child("expect_every")).map(Duration::from_secs);
            let Some(at) = at else { continue };
            if devices.iter().any(|other| other.at == at) {
                let found = format!("{at} again");
                self.problem(&at_node, found, "each address once");
            }
            devices.push(Device { at, name, access, encrypted, sender, owner, digest, silence });
        }
        devices
    }

    fn push(&mut self, node: &Node) -> Vec<Push> {
        let kind = |text: &str| match text {
            "ntfy" => Some(PushKind::Ntfy),
            "json" => Some(PushKind::Json),
            _ => None,
        };
        let mut all: Vec<Push> = Vec::new();
        for node in self.items(node) {
            let name_node = node.child("name");
            let name = self.text(&name_node, values::user_name);
            let url = self.text(&node.child("url"), Url::parse_near);
            let kind = self.text(&node.child("kind"), kind).unwrap_or_default();
            let token = self.secret(&node.child("token"), secrets::is_token);
            let (Some(name), Some(url)) = (name, url) else { continue };
            if all.iter().any(|other| other.name == name) {
                self.problem(&name_node, format!("{} again", quoted(&name)), "each name once");
            }
            all.push(Push { name, url, kind, token });
        }
        all
    }

    fn tokens(&mut self, node: &Node) -> Vec<Token> {
        let scope = |text: &str| ["read", "queue", "all"].contains(&text).then(|| text.to_string());
        let mut tokens: Vec<Token> = Vec::new();
        for node in self.items(node) {
            let name_node = node.child("name");
            let name = self.text(&name_node, values::device_name);
            let scope = self.text(&node.child("scope"), scope).unwrap_or_else(|| "read".into());
            let sha256 = self.text(&node.child("sha256"), values::sha256);
            let (Some(name), Some(sha256)) = (name, sha256) else { continue };
            if tokens.iter().any(|other| other.name == name) {
                self.problem(&name_node, format!("{} again", quoted(&name)), "each name once");
            }
            tokens.push(Token { name, scope, sha256 });
        }
        tokens
    }

    fn users(&mut self, node: &Node) -> Vec<User> {
        let mut users: Vec<User> = Vec::new();
        let mut names = std::collections::HashSet::new();
        for node in self.items(node) {
            let name_node = node.child("name");
            let password = self.hash(&node.child("password"));
            let quota = self.maybe_amount(&node.child("quota"));
            let send_as = self.list(&node.child("send_as"), values::sender_pattern);
            let Some(name) = self.text(&name_node, values::user_name) else { continue };
            if !names.insert(name.clone()) {
                self.problem(&name_node, format!("{} again", quoted(&name)), "each user once");
            }
            users.push(User { name, password, quota, send_as });
        }
        users
    }

    fn aliases(&mut self, node: &Node) -> Vec<Alias> {
        let mut aliases = Vec::new();
        for node in self.items(node) {
            let to_node = node.child("to");
            let to = self.list(&to_node, aliases::target);
            if to_node.value.and_then(Value::as_array).is_some_and(Vec::is_empty) {
                self.problem(&to_node, "an empty list", "at least one target");
            }
            if let Some(from) = self.text(&node.child("from"), aliases::source) {
                aliases.push(Alias { from, to });
            } else {
                // Keeps the numbers in further problems right; there is at least one problem
                // already.
                aliases.push(Alias { from: String::new(), to: Vec::new() });
            }
        }
        aliases
    }

    fn routes(&mut self, root: &Root) -> Vec<Route> {
        let services = self.services(&root.child("oauth"));
        let items = self.items(&root.child("routes"));
        items.iter().filter_map(|node| self.route(node, &services)).collect()
    }

    fn route(&mut self, node: &Node, services: &Pairs<String, Provider>) -> Option<Route> {
        let pattern = self.text(&node.child("for"), values::pattern);
        let profile = self.text(&node.child("provider"), providers::profile);
        let via = self.via(&node.child("via"), profile.as_ref());
        let from = self.text(&node.child("from"), values::pattern).unwrap_or(Pattern::Any);
        let client = self.text(&node.child("client"), values::client);
        let senders = self.senders(&node.child("senders"));
        let pins = self.list(&node.child("pins"), values::pin).into();
        let family = self.text(&node.child("ip"), family).unwrap_or_default();
        let pace = self.pace(node, profile.as_ref().map(|p| p.pace).unwrap_or_default());
        let tls = self.text(&node.child("tls"), tls_policy);
        let plain = |text: &str| {
            (is_plain(text) && text.len() <= limits::PASSWORD_BYTES).then(|| text.to_string())
        };
        let user_node = node.child("user");
        let user = self.text(&user_node, plain);
        // What it takes beside that can be listed; nothing at all can be, too.
        let own = profile.is_some_and(|profile| profile.senders == Senders::Own);
        let own = own && node.child("senders").value.is_none();
        let address = user.clone().filter(|user| own && values::mailbox(user).is_some());
        let senders = address.map_or(senders, |address| Rc::from([address]));
        let secret = self.route_secret(node, &user_node);
        let grant = self.grant(node, services);
        let pins_node = node.child("pins");
        if matches!(via, Some(Via::Mx | Via::Discard)) && pins_node.value.is_some() {
            let found = "pins without a server";
            self.problem(&pins_node, found, "pins only for a server that is named");
        }
        for (word, name) in [(Via::Mx, "mx"), (Via::Discard, "discard")] {
            if via.as_ref() == Some(&word) && user_node.value.is_some() {
                let found = format!("a login for {name}");
                self.problem(&user_node, found, "a login only for a server that is named");
            }
        }
        let sign = self.maybe_flag(&node.child("sign"));
        let via = via?;
        let tls = tls.unwrap_or_else(|| default_tls(&via));
        let sign = sign.unwrap_or_else(|| default_sign(&via));
        let pattern = pattern?;
        Some(Route {
            pattern,
            from,
            client,
            via,
            tls,
            user,
            secret,
            grant,
            senders,
            pins,
            family,
            pace,
            sign,
        })
    }

    /// The server, where it is given or its provider has one.
    fn via(&mut self, via_node: &Node, profile: Option<&Profile>) -> Option<Via> {
        let known = profile.and_then(|p| p.via.as_deref()).and_then(values::via);
        if via_node.value.is_none() && known.is_none() {
            let example = profile.and_then(|profile| profile.example.clone());
            let allowed = match example {
                Some(example) => format!("your server there, such as {example}"),
                None => via_node.setting().allowed(),
            };
            self.problem(via_node, "nothing", allowed);
        }
        match via_node.text() {
            // `user:password@server` is how a secret would come to stand here.
            Some(text) if text.contains('@') => {
                let allowed = via_node.setting().allowed();
                self.problem(via_node, "something with an @ in it", allowed);
                None
            }
            _ => self.text(via_node, values::via).or(known),
        }
    }

    fn pace(&mut self, route: &Node, known: Pace) -> Pace {
        let mut number = |key: &str| {
            let amount = self.maybe_amount(&route.child(key))?;
            u32::try_from(amount).ok()
        };
        Pace {
            per_minute: number("per_minute").or(known.per_minute),
            per_hour: number("per_hour").or(known.per_hour),
            per_day: number("per_day").or(known.per_day),
            connections: number("connections").or(known.connections),
            per_connection: number("per_connection").or(known.per_connection),
        }
    }

    /// The first stands in for others, so it must be one address.
    fn senders(&mut self, node: &Node) -> Rc<[String]> {
        let senders = self.list(node, |text| values::sender_pattern(text).filter(|s| s != "*"));
        if let (Some(first), Some(item)) = (senders.first(), node.items().next())
            && first.starts_with('*')
        {
            self.problem(&item, quoted(first), "a whole address first, such as me@example.org");
        }
        senders.into()
    }

    fn signing(&mut self, node: &Node) -> Vec<Signing> {
        let mut keys: Vec<Signing> = Vec::new();
        for node in self.items(node) {
            let (domain_node, selector_node) = (node.child("domain"), node.child("selector"));
            let domain = self.text(&domain_node, values::domain);
            let selector = self.text(&selector_node, values::selector);
            let (Some(domain), Some(selector)) = (domain, selector) else { continue };
            let mut same = keys.iter().filter(|key| key.domain == domain);
            if same.clone().any(|key| key.selector == selector) {
                let found = format!("{} again", quoted(&selector));
                self.problem(&selector_node, found, "each selector of a domain once");
            } else if same.nth(limits::SIGNING_PER_DOMAIN - 1).is_some() {
                let found = format!("one more key for {}", quoted(&domain));
                let allowed = format!("at most {} for a domain", limits::SIGNING_PER_DOMAIN);
                self.problem(&domain_node, found, allowed);
            }
            keys.push(Signing { domain, selector });
        }
        keys
    }

    /// A user and what proves it come together, and it is one thing that proves it.
    fn route_secret(&mut self, route: &Node, user: &Node) -> Option<Secret> {
        let (password_node, token_node) = (route.child("password"), route.child("token"));
        let password = self.secret(&password_node, secrets::is_password).map(Secret::Password);
        let token = self.secret(&token_node, secrets::is_token).map(Secret::Token);
        match (user.value, password_node.value, token_node.value) {
            (_, Some(_), Some(_)) => {
                self.problem(&token_node, "a token beside a password", "one of the two");
            }
            (Some(_), None, None) if route.child("oauth").value.is_none() => {
                let allowed = "the password of that user, a token, or a sign-in by oauth";
                self.problem(&password_node, "nothing", allowed);
            }
            (None, Some(_), None) => self.problem(user, "nothing", "the user of that password"),
            (None, None, Some(_)) => self.problem(user, "nothing", "the user of that token"),
            _ => {}
        }
        password.or(token)
    }

    fn secret(&mut self, node: &Node, fits: fn(&str) -> bool) -> Option<String> {
        let value = node.value?;
        match node.text() {
            Some(secrets::SET) => {
                let found = format!("the placeholder {}", secrets::SET);
                self.problem(node, found, "the secret itself");
            }
            Some(secret) if fits(secret) => return Some(secret.to_string()),
            _ => self.wrong(node, value),
        }
        None
    }

    fn retry(&mut self, node: &Node) -> Retry {
        let retry = Retry {
            first: self.duration(&node.child("first")),
            max: self.duration(&node.child("max")),
            lifetime: self.duration(&node.child("lifetime")),
            warn_after: self.duration(&node.child("warn_after")),
        };
        if retry.first > retry.max {
            let found = "less than retry.first";
            self.problem(&node.child("max"), found, "at least as long as retry.first");
        }
        retry
    }

    fn limits(&mut self, node: &Node) -> Limits {
        let limits = Limits {
            message: self.amount(&node.child("message")),
            recipients: self.count(&node.child("recipients")),
            sessions: self.count(&node.child("sessions")),
            sessions_per_address: self.count(&node.child("sessions_per_address")),
            bad_commands: u32::try_from(self.amount(&node.child("bad_commands"))).unwrap_or(10),
            login_failures: u32::try_from(self.amount(&node.child("login_failures"))).unwrap_or(5),
            spool: self.amount(&node.child("spool")),
        };
        if limits.spool < limits.message {
            let found = "less than limits.message";
            self.problem(&node.child("spool"), found, "room for at least one message");
        }
        limits
    }

    fn maildir(&mut self, node: &Node) -> String {
        let fine = |text: &str| {
            let own = text.split('/').any(|part| part.contains("{user}"));
            let climbs = text.split('/').any(|part| part == "..");
            (own && !climbs && is_plain(text)).then(|| text.to_string())
        };
        self.text(node, fine).unwrap_or_else(|| node.setting().default.to_string())
    }

    fn certificate_files(&mut self, node: &Node) -> Option<CertificateFiles> {
        let (certificate_node, key_node) = (node.child("certificate"), node.child("key"));
        let certificate = self.text(&certificate_node, plain_path);
        let key = self.text(&key_node, plain_path);
        match (certificate_node.value, key_node.value) {
            (Some(_), None) => self.problem(&key_node, "nothing", "the certificate's key file"),
            (None, Some(_)) => self.problem(&certificate_node, "nothing", "the key's certificate"),
            _ => {}
        }
        Some(CertificateFiles { certificate: certificate?, key: key? })
    }
}

/// Can these two not be listened on at once? Port 0 is any free port.
fn collide(a: SocketAddr, b: SocketAddr) -> bool {
    let any = |address: IpAddr| address.is_unspecified();
    a.port() != 0
        && a.port() == b.port()
        && a.is_ipv4() == b.is_ipv4()
        && (a.ip() == b.ip() || any(a.ip()) || any(b.ip()))
}

fn access(text: &str) -> Option<Access> {
    Some(match text {
        "allow" => Access::Allow,
        "any-login" => Access::AnyLogin,
        "login" => Access::Login,
        "block" => Access::Block,
        _ => return None,
    })
}

fn tls_policy(text: &str) -> Option<TlsPolicy> {
    Some(match text {
        "none" => TlsPolicy::None,
        "may" => TlsPolicy::May,
        "require" => TlsPolicy::Require,
        "verify" => TlsPolicy::Verify,
        _ => return None,
    })
}

/// A smarthost by name can prove who it is, and mail for it usually carries a login: it must. An MX
/// cannot (RFC 7672 §1.3), nor can a server known by its address only, which is mostly one in the
/// same house with a certificate of its own making: encryption is used where it is offered, and a
/// password never goes unencrypted unless the route says `none`.
fn default_tls(via: &Via) -> TlsPolicy {
    match via {
        Via::Smarthost(host, _) if host.parse::<IpAddr>().is_err() => TlsPolicy::Verify,
        _ => TlsPolicy::May,
    }
}

/// Who takes mail for the world (an MX) judges it by our signature. A smarthost mostly signs with
/// its own, rewrites what ours would cover (Gmail the Message-ID, Amazon SES that and the Date), or
/// refuses ours (SES, where it signs too); a person who knows better says so at the route.
fn default_sign(via: &Via) -> bool {
    *via == Via::Mx
}

fn plain_path(text: &str) -> Option<String> {
    is_plain(text).then(|| text.to_string())
}

fn family(text: &str) -> Option<Family> {
    match text {
        "4" => Some(Family::V4),
        "6" => Some(Family::V6),
        _ => {
            let address: IpAddr = text.parse().ok()?;
            let may_be_ours = !address.is_unspecified() && !address.is_multicast();
            may_be_ours.then_some(Family::From(address))
        }
    }
}

fn is_plain(text: &str) -> bool {
    !text.is_empty() && !text.chars().any(char::is_control)
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
