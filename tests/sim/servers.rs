//! Receiving servers: they take mail, and in every way in which one can, they do not.

use crate::{
    cable::{Fault, Receipt, Wire},
    names::{Names, Record, TRAP},
    net::{self, Net},
    talk::Talk,
    world::{World, minutes, seconds},
};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    io::{self, ErrorKind},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    rc::Rc,
};

/// What a server took: it has seen the end of it.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// When MAIL came.
    pub begun: u64,
    /// When the end of the message came.
    pub at: u64,
    pub server: &'static str,
    /// Reverse path, empty where it is null.
    pub from: String,
    pub to: Vec<String>,
    pub octets: Vec<u8>,
    /// When the relay read that it was taken.
    pub heard: Receipt,
}

/// All servers, and what they took.
pub struct Servers {
    all: Vec<Rc<Server>>,
    pub taken: Rc<RefCell<Vec<Delivery>>>,
    pub names: Rc<Names>,
}

pub struct Server {
    name: &'static str,
    at: SocketAddr,
    /// So many sessions in a thousand go wrong.
    trouble: Cell<u64>,
    /// Lines of its EHLO.
    offers: Vec<&'static str>,
    /// Recipients that begin with `later-` are put off until then.
    later: Cell<u64>,
    taken: Rc<RefCell<Vec<Delivery>>>,
}

/// What is odd about a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quirk {
    None,
    /// `421` instead of a welcome.
    Full,
    /// The connection is closed at once.
    Gone,
    /// No EHLO.
    Old,
    /// `450` to every recipient.
    PutOff,
    /// `451` to some recipients.
    PutSomeOff,
    /// `452` at DATA.
    NoRoom,
    /// `451` after the end of the message.
    Unwilling,
    /// Taken, and then closed without a word.
    TakenInSilence,
    /// Closed at the end of the message, which was not taken.
    NotTakenInSilence,
    /// Taken, and the reply never comes.
    Forgetful,
    /// Taken, and the connection breaks under the reply.
    TakenAndBroken,
    /// Every reply takes so long, in milliseconds.
    Slow(u64),
    /// Replies that are none.
    Garbled,
    /// `421` in the middle of the message's envelope.
    Restarting,
    /// STARTTLS is refused.
    NoTls,
}

const SERVERS: [(&str, [u8; 4]); 7] = [
    ("mx1.one.example", [198, 51, 100, 11]),
    ("mx2.one.example", [198, 51, 100, 12]),
    ("two.example", [198, 51, 100, 20]),
    ("mx.three.example", [198, 51, 100, 30]),
    ("smart.example", [198, 51, 100, 40]),
    ("circle.example", [198, 51, 100, 50]),
    ("trap.example", [203, 0, 113, 66]),
];

/// A machine without power.
pub const DARK: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 70);
/// A machine without a mail server.
pub const SHUT: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 71);

fn zone() -> BTreeMap<&'static str, Vec<Record>> {
    let mut zone: BTreeMap<&str, Vec<Record>> = SERVERS
        .into_iter()
        .map(|(name, address)| (name, vec![Record::A(Ipv4Addr::from(address))]))
        .collect();
    let one = [Record::Mx(10, "mx1.one.example"), Record::Mx(20, "mx2.one.example")];
    zone.insert("one.example", one.into());
    zone.insert("three.example", vec![Record::Mx(5, "alias.three.example")]);
    zone.insert("alias.three.example", vec![Record::Cname("mx.three.example")]);
    zone.insert("null.example", vec![Record::Mx(0, "")]);
    zone.insert("*.many.example", vec![Record::Mx(10, "two.example")]);
    // Nobody there ever answers; nobody listens; there is no such host.
    zone.insert("*.dark.example", vec![Record::Mx(10, "dark.example")]);
    zone.insert("dark.example", vec![Record::A(DARK)]);
    zone.insert("*.shut.example", vec![Record::Mx(10, "shut.example")]);
    zone.insert("shut.example", vec![Record::A(SHUT)]);
    zone.insert("*.lost.example", vec![Record::Mx(10, "nowhere.example")]);
    zone.insert("via.example", vec![Record::Mx(10, "trap.example")]);
    zone
}

impl Servers {
    pub fn open(world: &World) -> Servers {
        let taken = Rc::<RefCell<Vec<Delivery>>>::default();
        let names = Rc::new(Names::new(zone(), "three.example"));
        world.net().ask(names.clone());
        for at in ["192.168.7.1:53", "198.51.100.53:53"] {
            let (own, names) = (world.clone(), names.clone());
            net::serve(world, at.parse().expect("an address"), move |wire| {
                let (own, names) = (own.clone(), names.clone());
                async move { names.by_stream(&own, wire).await }
            });
        }
        let all = SERVERS.into_iter().map(|(name, address)| {
            let port = if name == "smart.example" { 587 } else { 25 };
            let server = Rc::new(Server {
                name,
                at: SocketAddr::new(IpAddr::from(address), port),
                trouble: Cell::new(0),
                offers: offers(world, name),
                later: Cell::new(0),
                taken: taken.clone(),
            });
            let (own, kept) = (world.clone(), server.clone());
            net::serve(world, server.at, move |wire| {
                let (own, server) = (own.clone(), kept.clone());
                async move { drop(server.session(&own, wire).await) }
            });
            server
        });
        let all = all.collect();
        Servers { all, taken, names }
    }

    /// So many sessions in a thousand go wrong from now on; recipients `later-` are put off until
    /// `later`.
    pub fn trouble(&self, permille: u64, later: u64) {
        for server in &self.all {
            server.trouble.set(permille);
            server.later.set(later);
        }
    }

    /// Machines that may fail.
    pub fn addresses(&self) -> Vec<IpAddr> {
        self.all.iter().map(|server| server.at.ip()).collect()
    }

    /// All of them are there again.
    pub fn heal(&self, net: &Net) {
        self.trouble(0, 0);
        for server in &self.all {
            net.power(server.at.ip(), true);
            net.closed(server.at.ip(), false);
        }
    }
}

fn offers(world: &World, name: &str) -> Vec<&'static str> {
    let mut offers = vec!["8BITMIME", "SIZE 1000000"];
    if name == "smart.example" {
        // A login must not cross the net in clear.
        return vec!["8BITMIME", "STARTTLS", "AUTH PLAIN", "PIPELINING"];
    }
    for more in ["PIPELINING", "ENHANCEDSTATUSCODES", "DSN", "STARTTLS", "SMTPUTF8", "CHUNKING"] {
        if !world.one_in(3) {
            offers.push(more);
        }
    }
    offers
}

/// A transaction under way.
#[derive(Default)]
struct Open {
    begun: u64,
    from: Option<String>,
    to: Vec<String>,
    /// Chunks so far.
    octets: Vec<u8>,
}

impl Server {
    fn quirk(&self, world: &World) -> Quirk {
        if !world.permille(self.trouble.get()) {
            return Quirk::None;
        }
        let slow = *world.pick(&[seconds(3), seconds(40), minutes(4), minutes(11)]);
        *world.pick(&[
            Quirk::Full,
            Quirk::Gone,
            Quirk::Old,
            Quirk::PutOff,
            Quirk::PutSomeOff,
            Quirk::NoRoom,
            Quirk::Unwilling,
            Quirk::TakenInSilence,
            Quirk::NotTakenInSilence,
            Quirk::Forgetful,
            Quirk::TakenAndBroken,
            Quirk::Slow(slow),
            Quirk::Garbled,
            Quirk::Restarting,
            Quirk::NoTls,
        ])
    }

    async fn session(&self, world: &World, wire: Wire) -> io::Result<()> {
        let quirk = self.quirk(world);
        if quirk != Quirk::None {
            world.note(&format!("{} has a session with {quirk:?}", self.name));
        }
        let mut desk = Desk {
            server: self,
            quirk,
            talk: Talk::new(world, wire, minutes(15)),
            open: Open::default(),
            encrypted: false,
        };
        match quirk {
            Quirk::Gone => return Ok(()),
            Quirk::Full => return desk.say("421 4.3.2 come back later").await,
            _ => desk.say("220 ready").await?,
        }
        loop {
            let line = desk.talk.line().await?;
            desk.command(&line).await?;
        }
    }
}

/// One session.
struct Desk<'a> {
    server: &'a Server,
    quirk: Quirk,
    talk: Talk,
    open: Open,
    encrypted: bool,
}

impl Desk<'_> {
    async fn say(&mut self, line: &str) -> io::Result<()> {
        if let Quirk::Slow(wait) = self.quirk {
            self.talk.world.sleep(wait).await;
        }
        if self.quirk == Quirk::Garbled && self.talk.world.one_in(3) {
            return self.talk.say(b"\x07\xffwhat?\r\n").await;
        }
        self.talk.say(format!("{line}\r\n").as_bytes()).await
    }

    async fn command(&mut self, line: &str) -> io::Result<()> {
        let verb = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        match verb.as_str() {
            "EHLO" if self.quirk == Quirk::Old => self.say("500 5.5.1 what?").await,
            "EHLO" => {
                let mut lines = format!("250-{}\r\n", self.server.name);
                for offer in
                    self.server.offers.iter().filter(|o| **o != "STARTTLS" || !self.encrypted)
                {
                    lines += &format!("250-{offer}\r\n");
                }
                lines += "250 HELP";
                self.say(&lines).await
            }
            "HELO" | "NOOP" => self.say("250 fine").await,
            "RSET" => {
                self.open = Open::default();
                self.say("250 2.0.0 fine").await
            }
            "STARTTLS" if self.quirk == Quirk::NoTls => self.say("454 4.7.0 not now").await,
            "STARTTLS" => {
                self.say("220 go ahead").await?;
                self.encrypted = true;
                Ok(())
            }
            "AUTH" => self.say("235 2.7.0 welcome").await,
            "MAIL" => self.mail(line).await,
            "RCPT" => self.rcpt(line).await,
            "DATA" => self.data().await,
            "BDAT" => self.chunk(line).await,
            "QUIT" => {
                self.say("221 2.0.0 bye").await?;
                Err(ErrorKind::UnexpectedEof.into())
            }
            _ => {
                let words = format!("{} hears '{line}', which is no command", self.server.name);
                self.talk.world.wrong(words);
                self.say("500 5.5.2 what?").await
            }
        }
    }

    async fn mail(&mut self, line: &str) -> io::Result<()> {
        if self.open.from.is_some() {
            self.talk.world.wrong(format!("{} hears MAIL within a transaction", self.server.name));
        }
        self.open =
            Open { begun: self.talk.world.now(), from: Some(path(line)), ..Open::default() };
        self.say("250 2.1.0 fine").await
    }

    async fn rcpt(&mut self, line: &str) -> io::Result<()> {
        let to = path(line);
        if self.quirk == Quirk::Restarting {
            self.say("421 4.3.2 we are going down").await?;
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let world = &self.talk.world;
        let put_off = match self.quirk {
            Quirk::PutOff => true,
            Quirk::PutSomeOff => world.one_in(2),
            _ => {
                let later = to.starts_with("later-") && world.now() < self.server.later.get();
                later || to.starts_with("never-")
            }
        };
        if to.starts_with("no-") {
            return self.say("550 5.1.1 nobody of that name").await;
        }
        if put_off {
            return self.say("451 4.2.0 not now").await;
        }
        self.open.to.push(to);
        self.say("250 2.1.5 fine").await
    }

    async fn data(&mut self) -> io::Result<()> {
        if self.open.to.is_empty() {
            return self.say("554 5.5.1 no recipients").await;
        }
        if self.quirk == Quirk::NoRoom {
            self.open = Open::default();
            return self.say("452 4.3.1 no room").await;
        }
        self.say("354 go on").await?;
        self.open.octets = self.talk.message().await?;
        self.end().await
    }

    /// RFC 3030 §2. Whatever the reply will be, the octets come first.
    async fn chunk(&mut self, line: &str) -> io::Result<()> {
        let mut words = line.split(' ').skip(1);
        let size = words.next().and_then(|size| size.parse().ok());
        let last = words.next() == Some("LAST");
        let Some(size) = size.filter(|_| self.server.offers.contains(&"CHUNKING")) else {
            self.talk.world.wrong(format!("{} hears '{line}'", self.server.name));
            return self.say("501 5.5.4 what?").await;
        };
        let octets = self.talk.octets(size).await?;
        if self.open.to.is_empty() {
            return self.say("503 5.5.1 no recipients").await;
        }
        if self.quirk == Quirk::NoRoom {
            self.open = Open::default();
            return self.say("452 4.3.1 no room").await;
        }
        self.open.octets.extend(octets);
        if last { self.end().await } else { self.say("250 2.0.0 go on").await }
    }

    /// The message is whole.
    async fn end(&mut self) -> io::Result<()> {
        let open = std::mem::take(&mut self.open);
        let delivery = Delivery {
            begun: open.begun,
            at: self.talk.world.now(),
            server: self.server.name,
            from: open.from.unwrap_or_default(),
            to: open.to,
            octets: if self.quirk == Quirk::Old {
                self.in_eight_bits(&open.octets)
            } else {
                open.octets
            },
            heard: Receipt::default(),
        };
        match self.quirk {
            Quirk::Unwilling => self.say("451 4.3.0 something is wrong here").await,
            Quirk::NotTakenInSilence => Err(ErrorKind::UnexpectedEof.into()),
            Quirk::TakenInSilence => {
                self.take(delivery);
                Err(ErrorKind::UnexpectedEof.into())
            }
            Quirk::Forgetful => {
                self.take(delivery);
                self.talk.world.sleep(minutes(30)).await;
                Err(ErrorKind::UnexpectedEof.into())
            }
            Quirk::TakenAndBroken => {
                self.take(delivery);
                self.talk.say(b"250 2.0").await?;
                self.talk.wire.suffer(Fault::Reset);
                Ok(())
            }
            _ => {
                let place = self.take(delivery);
                let garbled = self.quirk == Quirk::Garbled;
                self.say("250 2.0.0 taken").await?;
                if !garbled {
                    let receipt = self.talk.wire.receipt();
                    self.server.taken.borrow_mut()[place].heard = receipt;
                }
                Ok(())
            }
        }
    }

    /// What was sent to a server that knows no 8BITMIME, as it was before it was converted; a
    /// report that returns such a message stays as it came.
    fn in_eight_bits(&self, octets: &[u8]) -> Vec<u8> {
        const ADDED: &str = "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=";
        if !octets.is_ascii() {
            self.talk.world.wrong(format!("{} hears eight bits", self.server.name));
        }
        let text = String::from_utf8_lossy(octets);
        let converted = text.split_once(ADDED).and_then(|(header, rest)| {
            let (_, body) = rest.split_once("Encoding: quoted-printable\r\n\r\n")?;
            if header.contains("\r\n\r\n") {
                return None;
            }
            Some([header.as_bytes(), b"\r\n", &unquoted(body)].concat())
        });
        converted.unwrap_or_else(|| octets.to_vec())
    }

    fn take(&self, delivery: Delivery) -> usize {
        let world = &self.talk.world;
        let token = crate::letters::token(&delivery.octets);
        world.note(&format!("{} takes letter {token:?} for {:?}", delivery.server, delivery.to));
        if self.server.at.ip() == TRAP {
            world.wrong("mail went where a liar said".into());
        }
        let mut taken = self.server.taken.borrow_mut();
        taken.push(delivery);
        taken.len() - 1
    }
}

/// Quoted-printable, read. RFC 2045 §6.7.
fn unquoted(text: &str) -> Vec<u8> {
    let joined = text.replace("=\r\n", "");
    let mut parts = joined.split('=');
    let mut octets = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at(2);
        octets.push(u8::from_str_radix(digits, 16).expect("two digits"));
        octets.extend_from_slice(rest.as_bytes());
    }
    octets
}

/// What stands between the angle brackets.
fn path(line: &str) -> String {
    let inside = line.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
    inside.map_or_else(String::new, |(path, _)| path.to_string())
}
