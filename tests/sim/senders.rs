//! Those who hand mail to the relay, and remember what they were promised.

use crate::{
    letters::{Book, Fate, HOME, Letter, Sent, Wish, compose},
    net::{self, RELAY},
    talk::{Said, Talk, stuffed},
    world::{World, minutes, seconds},
};
use std::{
    io::{self, ErrorKind},
    net::{IpAddr, SocketAddr},
    rc::Rc,
};

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A device of the LAN.
    Near,
    /// A server somewhere.
    Stranger,
}

#[derive(Clone)]
pub struct Sender {
    pub world: World,
    pub book: Rc<Book>,
    pub kind: Kind,
    pub address: IpAddr,
}

/// How one session is held.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "habits of clients, independent of each other")]
struct Manner {
    pipelining: bool,
    encrypted: bool,
    chunking: bool,
    submission: bool,
    /// Hangs up within the message of this place.
    hangs_up: Option<usize>,
}

const FAR: [&str; 8] = [
    "me@one.example",
    "you@one.example",
    "no-one@one.example",
    "later-me@one.example",
    "you@two.example",
    "me@three.example",
    "no-two@three.example",
    "printer@via.example",
];
const NOWHERE: [&str; 2] = ["x@null.example", "x@nowhere.example"];
const OURS: [&str; 6] = ["alice", "bob", "bob+tag", "root", "staff", "nobody"];

impl Sender {
    /// Some sessions, with some time between them.
    pub async fn live(self, sessions: u64, within: u64) {
        for _ in 0..sessions {
            self.world.sleep(self.world.below(within / sessions)).await;
            let letters = self.world.between(1, 3);
            let letters: Vec<Letter> = (0..letters).map(|_| self.letter()).collect();
            let manner = self.manner(letters.len());
            // What goes wrong with a session is in the book.
            drop(self.session(letters, manner).await);
        }
    }

    fn manner(&self, letters: usize) -> Manner {
        let world = &self.world;
        let place = usize::try_from(world.below(letters as u64)).expect("a place");
        Manner {
            pipelining: world.one_in(2),
            encrypted: world.one_in(6),
            chunking: world.one_in(5),
            submission: self.kind == Kind::Near && world.one_in(4),
            hangs_up: world.one_in(8).then_some(place),
        }
    }

    fn letter(&self) -> Letter {
        let world = &self.world;
        let from = match self.kind {
            _ if world.one_in(8) => String::new(),
            Kind::Near if world.one_in(3) => format!("alice@{HOME}"),
            Kind::Near if world.one_in(6) => "no-reply@two.example".into(),
            _ => "sender@two.example".into(),
        };
        let mut to: Vec<(String, Wish)> = Vec::new();
        for _ in 0..world.between(1, 4) {
            let address = self.recipient();
            if to.iter().all(|(known, _)| *known != address) {
                let wish = match world.below(12) {
                    0 => Wish::Never,
                    1 => Wish::Success,
                    _ => Wish::Default,
                };
                to.push((address, wish));
            }
        }
        self.letter_to(from, to)
    }

    pub fn letter_to(&self, from: String, to: Vec<(String, Wish)>) -> Letter {
        let token = self.book.token();
        let names: Vec<String> = to.iter().map(|(to, _)| to.clone()).collect();
        let (octets, complete) = compose(&self.world, token, &from, &names);
        Letter { token, from, to, octets, complete }
    }

    fn recipient(&self) -> String {
        let world = &self.world;
        let chance = if self.kind == Kind::Near { world.below(12) } else { world.below(6) };
        match chance {
            0 if self.kind == Kind::Stranger => (*world.pick(&FAR)).to_string(),
            0 => (*world.pick(&NOWHERE)).to_string(),
            1..6 => format!("{}@{HOME}", world.pick(&OURS)),
            _ => (*world.pick(&FAR)).to_string(),
        }
    }

    /// Note what became of a letter that was sent to its end, for all its recipients.
    pub fn note(&self, letter: Letter, code: u16) {
        let now = self.world.now();
        let accepted = (0..letter.to.len()).collect();
        let fate = if code == 250 { Fate::Promised(now) } else { Fate::Refused };
        self.book.note(Sent { letter, by: self.address, accepted, fate, at: now });
    }

    /// A session without any oddity.
    pub async fn plainly(&self, letters: Vec<Letter>) -> io::Result<()> {
        // A crowd of commands might fill the window one way while the replies fill it the other: a
        // client that pipelines must look out for that (RFC 2920 §3.1), and this one cannot.
        let manner = Manner {
            pipelining: letters.iter().all(|letter| letter.to.len() < 10),
            encrypted: false,
            chunking: false,
            submission: false,
            hangs_up: None,
        };
        self.session(letters, manner).await
    }

    /// One session. Any trouble ends it.
    async fn session(&self, letters: Vec<Letter>, manner: Manner) -> io::Result<()> {
        let world = &self.world;
        let port = if manner.submission { 587 } else { 25 };
        let calling = net::connect(world, self.address, SocketAddr::new(RELAY.into(), port));
        let wire = world.within(minutes(2), calling).await.ok_or(ErrorKind::TimedOut)??;
        let mut talk = Talk::new(world, wire, minutes(12));
        expect(&talk.reply().await?, 220)?;
        ask(&mut talk, "EHLO sender.example", 250).await?;
        if manner.encrypted {
            ask(&mut talk, "STARTTLS", 220).await?;
            ask(&mut talk, "EHLO sender.example", 250).await?;
        }
        for (place, letter) in letters.into_iter().enumerate() {
            let mut sent = Sent {
                letter,
                by: self.address,
                accepted: Vec::new(),
                fate: Fate::Never,
                at: world.now(),
            };
            let result = self.hand_over(&mut talk, &mut sent, manner, place).await;
            let Sent { letter, accepted, fate, .. } = &sent;
            world.note(&format!(
                "{} handed over letter {} from <{}> for {accepted:?} of {:?}: {fate:?}, {result:?}",
                self.address, letter.token, letter.from, letter.to
            ));
            self.book.note(sent);
            result?;
        }
        if !world.one_in(5) {
            ask(&mut talk, "QUIT", 221).await?;
        }
        Ok(())
    }

    async fn hand_over(
        &self,
        talk: &mut Talk,
        sent: &mut Sent,
        manner: Manner,
        place: usize,
    ) -> io::Result<()> {
        let commands = self.commands(&sent.letter);
        let data = !manner.chunking;
        let mut lead = None;
        if manner.pipelining {
            let mut all = commands.join("\r\n") + "\r\n";
            if data {
                all += "DATA\r\n";
            }
            talk.say(all.as_bytes()).await?;
        }
        for (n, command) in commands.iter().enumerate() {
            if !manner.pipelining {
                talk.say(format!("{command}\r\n").as_bytes()).await?;
            }
            let said = talk.reply().await?;
            match (n.checked_sub(1), said.code) {
                (Some(recipient), 250) => self.accepted(sent, recipient),
                (_, 250 | 400..=599) => {}
                _ => return Err(ErrorKind::InvalidData.into()),
            }
        }
        if manner.pipelining && data {
            lead = Some(talk.reply().await?);
        } else if sent.accepted.is_empty() {
            return ask(talk, "RSET", 250).await;
        }
        sent.at = self.world.now();
        let hangs_up = manner.hangs_up == Some(place);
        if data {
            let said = match lead {
                Some(said) => said,
                None => command(talk, "DATA").await?,
            };
            if said.code != 354 {
                return ask(talk, "RSET", 250).await;
            }
            self.send(talk, &stuffed(&sent.letter.octets), hangs_up).await?;
        } else {
            self.send_chunks(talk, &sent.letter.octets, hangs_up).await?;
        }
        sent.fate = Fate::Unknown;
        let said = talk.reply().await?;
        sent.fate = match said.code {
            250 => Fate::Promised(self.world.now()),
            400..=599 => Fate::Refused,
            _ => return Err(ErrorKind::InvalidData.into()),
        };
        if said.code == 250 && sent.accepted.is_empty() {
            self.world.wrong("a message without recipients was taken".into());
        }
        Ok(())
    }

    fn commands(&self, letter: &Letter) -> Vec<String> {
        let world = &self.world;
        let mut mail = format!("MAIL FROM:<{}>", letter.from);
        if world.one_in(2) {
            mail += &format!(" SIZE={}", letter.octets.len());
        }
        if !letter.octets.is_ascii() {
            mail += " BODY=8BITMIME";
        }
        if world.one_in(10) {
            mail += " RET=FULL ENVID=e1";
        }
        let rcpt = |(to, wish): &(String, Wish)| match wish {
            Wish::Default => format!("RCPT TO:<{to}>"),
            Wish::Never => format!("RCPT TO:<{to}> NOTIFY=NEVER"),
            Wish::Success => format!("RCPT TO:<{to}> NOTIFY=SUCCESS,FAILURE"),
        };
        [mail].into_iter().chain(letter.to.iter().map(rcpt)).collect()
    }

    /// Promise 8.
    fn accepted(&self, sent: &mut Sent, recipient: usize) {
        let (to, _) = &sent.letter.to[recipient];
        if self.kind == Kind::Stranger && !to.ends_with(HOME) {
            self.world.wrong(format!("a stranger at {} may send to {to}", self.address));
        }
        sent.accepted.push(recipient);
    }

    async fn send(&self, talk: &mut Talk, octets: &[u8], hangs_up: bool) -> io::Result<()> {
        if hangs_up {
            let part = usize::try_from(self.world.below(octets.len() as u64)).expect("a place");
            talk.say(&octets[..part]).await?;
            return Err(ErrorKind::ConnectionAborted.into());
        }
        talk.say(octets).await
    }

    /// RFC 3030 §2. The reply to the last chunk is left to the caller.
    async fn send_chunks(&self, talk: &mut Talk, octets: &[u8], hangs_up: bool) -> io::Result<()> {
        let most = self.world.between(1, octets.len() as u64);
        let (first, last) = octets.split_at(usize::try_from(most).expect("a place"));
        let head = format!("BDAT {}\r\n", first.len());
        talk.say(&[head.as_bytes(), first].concat()).await?;
        expect(&talk.reply().await?, 250)?;
        let head = format!("BDAT {} LAST\r\n", last.len());
        if hangs_up && !last.is_empty() {
            return self.send(talk, &[head.as_bytes(), last].concat(), true).await;
        }
        talk.say(&[head.as_bytes(), last].concat()).await
    }
}

pub async fn command(talk: &mut Talk, line: &str) -> io::Result<Said> {
    talk.say(format!("{line}\r\n").as_bytes()).await?;
    talk.reply().await
}

pub async fn ask(talk: &mut Talk, line: &str, code: u16) -> io::Result<()> {
    expect(&command(talk, line).await?, code)
}

pub fn expect(said: &Said, code: u16) -> io::Result<()> {
    if said.code == code { Ok(()) } else { Err(ErrorKind::ConnectionAborted.into()) }
}

/// Those who want no mail sent. None of them may do harm.
pub mod rogues {
    use super::{
        ErrorKind, HOME, IpAddr, RELAY, SocketAddr, Talk, World, ask, expect, io, minutes, net,
        seconds,
    };

    async fn call(world: &World, from: IpAddr) -> io::Result<Talk> {
        let calling = net::connect(world, from, SocketAddr::new(RELAY.into(), 25));
        let wire = world.within(minutes(2), calling).await.ok_or(ErrorKind::TimedOut)??;
        Ok(Talk::new(world, wire, minutes(20)))
    }

    /// Octets of any kind.
    pub async fn babble(world: World, from: IpAddr) -> io::Result<()> {
        let mut talk = call(&world, from).await?;
        let words: [&[u8]; 10] = [
            b"DATA\r\n",
            b"\r\n",
            b"MAIL FROM:<a@b.example>\r\n",
            b"RCPT TO:<alice@home.example>\r\n",
            b"BDAT 99999999999999999999\r\n",
            b"BDAT 3\r\nabc",
            b"\0\xff\xfe\r",
            b"AUTH PLAIN ====\r\n",
            b"MAIL FROM:<\"\\",
            b"EHLO [\r\n",
        ];
        for _ in 0..world.below(30) {
            match world.below(4) {
                0 => {
                    let length = usize::try_from(world.below(3_000)).expect("a few");
                    let octet = world.roll().to_le_bytes()[0];
                    talk.say(&vec![octet; length]).await?;
                }
                _ => talk.say(world.pick::<&[u8]>(&words)).await?,
            }
            world.sleep(world.below(seconds(5))).await;
        }
        Ok(())
    }

    /// Many sessions at once, that do nothing for a while.
    pub async fn crowd(world: World, from: IpAddr) -> io::Result<()> {
        for _ in 0..world.between(4, 14) {
            let own = world.clone();
            world.spawn(async move {
                let Ok(mut talk) = call(&own, from).await else { return };
                let Ok(said) = talk.reply().await else { return };
                if said.code != 220 && said.code != 421 {
                    own.wrong(format!("a session begins with {said:?}"));
                }
                own.sleep(own.below(minutes(8))).await;
            });
        }
        Ok(())
    }

    /// A message that pretends to be two: the second one must never be one. CVE-2023-51764.
    pub async fn smuggle(world: World, from: IpAddr) -> io::Result<()> {
        let mut talk = call(&world, from).await?;
        expect(&talk.reply().await?, 220)?;
        ask(&mut talk, "EHLO smuggler.example", 250).await?;
        ask(&mut talk, "MAIL FROM:<smuggler@two.example>", 250).await?;
        ask(&mut talk, &format!("RCPT TO:<alice@{HOME}>"), 250).await?;
        ask(&mut talk, "DATA", 354).await?;
        let end = *world.pick(&["\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r\n.\r", "\r\n\0.\r\n"]);
        let second = format!(
            "MAIL FROM:<evil@two.example>\r\nRCPT TO:<bob@{HOME}>\r\nDATA\r\n\
             X-Token: 666666\r\n\r\n\r\n.\r\n"
        );
        talk.say(format!("X-Token: 666666\r\n\r\nfirst{end}{second}").as_bytes()).await?;
        let said = talk.reply().await?;
        if said.code < 400 && !end.contains("\0") {
            world.note(&format!("a smuggler with {end:?} hears {said:?}"));
        }
        Ok(())
    }
}
