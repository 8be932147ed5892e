//! How other mail servers see this machine: whether port 25 is open to them, by which address we
//! come, what that address is called, and as whom we greet.

use super::{Finding, Verdict, Way};
use crate::{
    limits,
    proto::{dns, smtp::reply::one_line},
    relay::resolve::is_inside,
};
use futures_lite::{AsyncReadExt, AsyncWriteExt, future::zip};
use std::net::{IpAddr, SocketAddr};

/// What was seen.
#[derive(Default)]
pub(super) struct Outside {
    pub(super) findings: Vec<Finding>,
    /// By which we come, as far as is known; IPv4 first.
    pub(super) addresses: Vec<IpAddr>,
}

/// Whom to ask where the domain's own servers are ourselves: they answer everybody.
const OTHERS: [&str; 2] = ["gmail.com", "outlook.com"];

const PORT: &str = "port 25";

pub(super) async fn look(way: &Way<'_>, name: &str, is_local: bool) -> Outside {
    let whom = Some(name).filter(|_| !is_local);
    let (four, six) = zip(family(way, whom, false), family(way, whom, true)).await;
    let mut outside = Outside::default();
    for (greeted, ipv6) in [(four, false), (six, true)] {
        match greeted {
            Greeted::Heard(heard) => {
                let words = format!("Open: {} said \"{}\".", heard.by, heard.words);
                outside.findings.push(Finding::new(PORT, Verdict::Good, words));
                outside.addresses.extend(heard.address);
            }
            // Without IPv6 nothing is amiss.
            _ if ipv6 => {}
            Greeted::Not(why) => {
                let words = format!(
                    "No mail server can be reached: {why}. Many providers close port 25 to homes; \
                     then mail must leave through a smarthost."
                );
                outside.findings.push(Finding::new(PORT, Verdict::Wrong, words));
            }
            Greeted::Nobody => {
                let words = "No mail server was found to try it with.";
                outside.findings.push(Finding::new(PORT, Verdict::Unknown, words));
            }
        }
    }
    if outside.addresses.is_empty() {
        outside.addresses = by_name(way).await;
    }
    outside
}

/// A greeting over this family, by the domain's own server or by one of the others.
async fn family(way: &Way<'_>, whom: Option<&str>, ipv6: bool) -> Greeted {
    if ipv6 && !way.config.delivery_ipv6 {
        return Greeted::Nobody;
    }
    let own = match whom {
        Some(domain) => greet(way, domain, ipv6).await,
        None => Greeted::Nobody,
    };
    if let Greeted::Heard(_) = own {
        return own;
    }
    let [one, two] = OTHERS;
    let (one, two) = zip(greet(way, one, ipv6), greet(way, two, ipv6)).await;
    own.or(one).or(two)
}

/// What our own name leads to, where nobody has told us.
async fn by_name(way: &Way<'_>) -> Vec<IpAddr> {
    let found = way.resolver.addresses_of(&way.config.hostname, false).await;
    found.unwrap_or_default().into_iter().filter(|address| is_outside(*address)).collect()
}

struct Heard {
    by: String,
    words: String,
    /// Ours.
    address: Option<IpAddr>,
}

enum Greeted {
    Heard(Heard),
    Not(String),
    /// There is no such server.
    Nobody,
}

impl Greeted {
    /// The better of two.
    fn or(self, other: Greeted) -> Greeted {
        match (self, other) {
            (Greeted::Heard(heard), _) | (_, Greeted::Heard(heard)) => Greeted::Heard(heard),
            (Greeted::Not(why), Greeted::Not(also)) => Greeted::Not(format!("{why}; {also}")),
            (Greeted::Not(why), _) | (_, Greeted::Not(why)) => Greeted::Not(why),
            (Greeted::Nobody, Greeted::Nobody) => Greeted::Nobody,
        }
    }
}

async fn greet(way: &Way<'_>, domain: &str, ipv6: bool) -> Greeted {
    let Ok(hosts) = way.resolver.mail_hosts(domain).await else { return Greeted::Nobody };
    let Some((_, host)) = hosts.first().filter(|(_, host)| !host.is_empty()) else {
        return Greeted::Nobody;
    };
    let found = way.resolver.addresses_of(host, ipv6).await.unwrap_or_default();
    let Some(address) = found.first() else { return Greeted::Nobody };
    let at = SocketAddr::new(*address, way.config.delivery_port);
    let talk = way.sys.within(limits::GREETING_WAIT, talk(way, at)).await;
    match talk.unwrap_or_else(|| Err("it took too long".into())) {
        Ok((words, address)) => Greeted::Heard(Heard { by: host.clone(), words, address }),
        Err(why) => Greeted::Not(format!("{host} [{}]: {why}", at.ip())),
    }
}

/// The server's greeting, and the address by which it sees us: its answer to EHLO often has it, and
/// where there is no NAT it is our end of the connection.
async fn talk(way: &Way<'_>, at: SocketAddr) -> Result<(String, Option<IpAddr>), String> {
    let lost = |error: std::io::Error| error.to_string();
    let mut stream = way.sys.net.connect(at).await.map_err(lost)?;
    let own = stream.local().map(|local| local.ip().to_canonical());
    let greeting = reply(&mut stream).await?;
    let hello = format!("EHLO {}\r\n", way.config.hostname);
    stream.write_all(hello.as_bytes()).await.map_err(lost)?;
    stream.flush().await.map_err(lost)?;
    let answer = reply(&mut stream).await.unwrap_or_default();
    // Whatever becomes of it: it was there.
    drop(stream.write_all(b"QUIT\r\n").await);
    drop(stream.flush().await);
    let first = answer.lines().next().unwrap_or_default();
    let told = first.split(['[', ']', ' ', '(', ')']).filter_map(|word| word.parse().ok());
    let told = told.chain(own).find(|address| is_outside(*address) && *address != at.ip());
    Ok((one_line(greeting.lines().next().unwrap_or_default()), told))
}

/// One reply, whole, of at most [`limits::GREETING_BYTES`].
async fn reply(stream: &mut Box<dyn crate::sys::Stream>) -> Result<String, String> {
    let mut heard = Vec::new();
    let mut buffer = [0; 512];
    loop {
        match stream.read(&mut buffer).await {
            Ok(0) => return Err("it closed the connection".into()),
            Ok(n) => heard.extend_from_slice(&buffer[..n]),
            Err(error) => return Err(error.to_string()),
        }
        let text = String::from_utf8_lossy(&heard);
        let last = text.lines().last().unwrap_or_default();
        let is_digit = |n: usize| last.as_bytes().get(n).is_some_and(u8::is_ascii_digit);
        let is_reply = (0..3).all(is_digit);
        if text.ends_with('\n') && is_reply && last.as_bytes().get(3) != Some(&b'-') {
            return Ok(text.into_owned());
        }
        if heard.len() > limits::GREETING_BYTES || (text.ends_with('\n') && !is_reply) {
            return Err(format!("it is no mail server: it said \"{}\"", one_line(last)));
        }
    }
}

/// The name that we greet with, and those of our addresses.
pub(super) async fn named(way: &Way<'_>, addresses: &[IpAddr]) -> Vec<Finding> {
    let mut findings = vec![hello(way, addresses).await];
    for address in addresses {
        findings.push(reverse(way, *address).await);
    }
    findings
}

async fn hello(way: &Way<'_>, addresses: &[IpAddr]) -> Finding {
    const ABOUT: &str = "own name";
    let name = way.config.hostname.as_str();
    if dns::is_home_name(name) {
        let words = format!(
            "This relay greets as {name}, which nobody outside can look up. Set hostname to a name \
             in DNS that leads to its address."
        );
        return Finding::new(ABOUT, Verdict::Wrong, words);
    }
    let mut found = Vec::new();
    for ipv6 in [false, true] {
        match way.resolver.addresses_of(name, ipv6).await {
            Ok(more) => found.extend(more),
            Err(trouble) => return Finding::unknown(ABOUT, &trouble),
        }
    }
    let missing = addresses.iter().find(|address| !found.contains(address));
    match missing {
        Some(address) => {
            let kind = if address.is_ipv4() { "A" } else { "AAAA" };
            let words = if found.is_empty() {
                format!("This relay greets as {name}, which has no address in DNS.")
            } else {
                format!(
                    "This relay greets as {name}, which does not lead to {address}, by which it \
                     comes."
                )
            };
            Finding::new(ABOUT, Verdict::Wrong, words).publish(name, kind, address.to_string())
        }
        None if found.is_empty() => {
            let words = format!("This relay greets as {name}, which has no address in DNS.");
            Finding::new(ABOUT, Verdict::Wrong, words)
        }
        None => {
            let words = format!("This relay greets as {name}, which leads to it.");
            Finding::new(ABOUT, Verdict::Good, words)
        }
    }
}

/// A name, and one that leads back: without it large receivers refuse mail.
async fn reverse(way: &Way<'_>, address: IpAddr) -> Finding {
    const ABOUT: &str = "reverse name";
    let ours = way.config.hostname.as_str();
    let names = match way.resolver.names_of(address).await {
        Ok(names) => names,
        Err(trouble) => return Finding::unknown(ABOUT, &trouble),
    };
    let at = crate::proto::dns::reverse_name(address);
    let without = if address.is_ipv6() {
        " Without one, switch delivery.ipv6 off, and mail goes over IPv4."
    } else {
        ""
    };
    let wanted = |finding: Finding| finding.publish(&at, "PTR", format!("{ours}."));
    let Some(first) = names.first() else {
        let words = format!(
            "{address} has no name, and many servers refuse mail from such. Whoever gives you the \
             address can give it one.{without}"
        );
        return wanted(Finding::new(ABOUT, Verdict::Wrong, words));
    };
    for name in &names {
        let leads = way.resolver.addresses_of(name, address.is_ipv6()).await;
        match leads {
            Err(trouble) => return Finding::unknown(ABOUT, &trouble),
            Ok(found) if !found.contains(&address) => {}
            Ok(_) if name.as_str() == ours => {
                let words = format!("{address} is called {name}, and that leads to it.");
                return Finding::new(ABOUT, Verdict::Good, words);
            }
            Ok(_) => {
                let words = format!(
                    "{address} is called {name}, and that leads to it, but this relay greets as \
                     {ours}. Set hostname to {name}, or have the address called {ours}."
                );
                return wanted(Finding::new(ABOUT, Verdict::Advice, words));
            }
        }
    }
    let words = format!(
        "{address} is called {first}, which does not lead back to it: such names are not \
         believed.{without}"
    );
    wanted(Finding::new(ABOUT, Verdict::Wrong, words))
}

/// An address of the internet.
fn is_outside(address: IpAddr) -> bool {
    !is_inside(address) && !address.is_multicast()
}
