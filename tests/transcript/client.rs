//! The sending side: `tests/transcript/client`.
//!
//! `@` describes the plan: `none`, `may`, `must` or `implicit`; `login:USER:PASSWORD` or
//! `token:USER:TOKEN`; `in-clear`; `without:MECHANISM`; `no-chunks`. The dice always show zeros.
//! Questions are `Next`, `Chunk OFFSET`, `Stretch N times`, `LoggedIn MECHANISM` (with ` after …`
//! and those that came to nothing), `Unusable OUTCOME` and `Report OUTCOME | OUTCOME`, an outcome
//! being `STATUS HOST: TEXT` or, where it is our own, `STATUS: TEXT`; ` (theirs to report)` behind
//! them where the server offers DSN. Answers are `Quit`, `Noted`, `Abort`, `Chunk OCTETS`,
//! `Stretched` (with the 32 octets in hexadecimal, or nothing) and `Send <FROM> <TO> …` with the
//! words `size=`, `8bit`, `utf8`, `ret=`, `envid=` after it, and `orcpt=`, `notify=` after their
//! `<TO>`.

use crate::replay::{Actor, octets, replay, replay_folder};
use waypost::proto::{
    mail::address::Address,
    sasl::{Key, Mechanism, Secret},
    smtp::client::{
        Answer, Ask, Chunking, Forward, Login, LoginPlan, Outgoing, Plan, Reporter, Security,
        Session,
    },
    status::Outcome,
};

struct Client;

impl Actor for Client {
    type Machine = Session;
    const SPEAKS: char = 'C';
    const HASTY_PEER: bool = false;

    fn cast(directives: &[&str]) -> Result<Session, String> {
        let mut plan = Plan {
            hello: "relay.example".into(),
            security: Security::None,
            login: None,
            host: "mx".into(),
            chunking: Chunking::Large,
        };
        let (mut login, mut without) = (None, Vec::new());
        let in_clear = directives.contains(&"in-clear");
        for word in directives {
            match word.split(':').collect::<Vec<_>>()[..] {
                ["none" | "in-clear"] => {}
                ["no-chunks"] => plan.chunking = Chunking::Never,
                ["may"] => plan.security = Security::May,
                ["must"] => plan.security = Security::Must,
                ["implicit"] => plan.security = Security::Implicit,
                ["login", user, password] => {
                    let secret = Secret::Password(password.into());
                    login = Some(Login { user: user.into(), secret, in_clear });
                }
                ["token", user, token] => {
                    let secret = Secret::Token(token.into());
                    login = Some(Login { user: user.into(), secret, in_clear });
                }
                ["without", name] => {
                    let named = Mechanism::ALL.into_iter().find(|m| m.name() == name);
                    without.push(named.ok_or("no such mechanism")?);
                }
                _ => return Err(format!("no such directive: {word}")),
            }
        }
        let server = ("mx.example".into(), 587);
        plan.login =
            login.map(|login| Box::new(LoginPlan { login, without, server, chance: [0, 0] }));
        Ok(Session::new(plan))
    }

    fn line(ask: &Ask) -> String {
        match ask {
            Ask::Next(_) => "Next".into(),
            Ask::Chunk(offset) => format!("Chunk {offset}"),
            Ask::Stretch(work) => format!("Stretch {work:?}"),
            Ask::LoggedIn(mechanism, failed) if failed.is_empty() => {
                format!("LoggedIn {mechanism}")
            }
            Ask::LoggedIn(mechanism, failed) => {
                let failed: Vec<&str> = failed.iter().map(|failed| failed.name()).collect();
                format!("LoggedIn {mechanism} after {}", failed.join(" "))
            }
            Ask::Unusable(outcome) => format!("Unusable {}", describe(outcome)),
            Ask::Report(outcomes, reporter) => {
                let outcomes: Vec<String> = outcomes.iter().map(describe).collect();
                let whose = if *reporter == Reporter::Server { " (theirs to report)" } else { "" };
                format!("Report {}{whose}", outcomes.join(" | "))
            }
        }
    }

    fn answer(text: &str) -> Result<Answer, String> {
        match text.split_once(' ').unwrap_or((text, "")) {
            ("Quit", "") => Ok(Answer::Quit),
            ("Noted", "") => Ok(Answer::Noted),
            ("Abort", "") => Ok(Answer::Abort),
            ("Stretched", "") => Ok(Answer::Stretched(None)),
            ("Stretched", hex) => Ok(Answer::Stretched(Some(key(hex)?))),
            ("Chunk", body) => Ok(Answer::Chunk(octets(body)?)),
            ("Send", words) => outgoing(words).map(|message| Answer::Send(Box::new(message))),
            _ => Err(format!("no such answer: {text}")),
        }
    }
}

fn key(hex: &str) -> Result<Key, String> {
    let mut octets = [0; 32];
    for (n, octet) in octets.iter_mut().enumerate() {
        let digits = hex.get(2 * n..2 * n + 2).ok_or("a key has 32 octets")?;
        *octet = u8::from_str_radix(digits, 16).map_err(|e| e.to_string())?;
    }
    Ok(Key(octets))
}

fn describe(outcome: &Outcome) -> String {
    let by = if outcome.by.is_empty() { String::new() } else { format!(" {}", outcome.by) };
    format!("{}{by}: {}", outcome.status, outcome.text)
}

fn outgoing(words: &str) -> Result<Outgoing, String> {
    let mut message = Outgoing {
        from: None,
        to: Vec::new(),
        size: 0,
        eight_bit: false,
        utf8: false,
        ret_headers: None,
        envid: String::new(),
    };
    for (number, word) in words.split_whitespace().enumerate() {
        if let Some(path) = word.strip_prefix('<').and_then(|w| w.strip_suffix('>')) {
            let address = || Address::parse(path).map_err(|e| format!("{path}: {e}"));
            match (number, path) {
                (0, "") => {}
                (0, _) => message.from = Some(address()?),
                _ => {
                    message.to.push(Forward { to: address()?, orcpt: String::new(), notify: None });
                }
            }
            continue;
        }
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        match (key, message.to.last_mut()) {
            ("size", _) => message.size = value.parse().map_err(|_| "size")?,
            ("8bit", _) => message.eight_bit = true,
            ("utf8", _) => message.utf8 = true,
            ("ret", _) => message.ret_headers = Some(value == "hdrs"),
            ("envid", _) => message.envid = value.into(),
            ("orcpt", Some(to)) => to.orcpt = value.into(),
            ("notify", Some(to)) => {
                let has = |word| value.split(',').any(|v| v == word);
                to.notify = Some((has("success"), has("failure"), has("delay")));
            }
            _ => return Err(format!("no such word: {word}")),
        }
    }
    Ok(message)
}

#[test]
fn the_sending_side_talks_as_its_transcripts_say() {
    replay_folder::<Client>("client");
}

#[test]
fn a_transcript_that_is_wrong_is_noticed() {
    let right = "S: 220 x\nC: EHLO relay.example\n";
    assert_eq!(replay::<Client>(right), Ok(()));
    for wrong in ["S: 220 x\nC: HELO relay.example\n", "S: 220 x\n? Next\n! Quit\n", "S: 220 x\n"] {
        assert!(replay::<Client>(wrong).is_err(), "{wrong}");
    }
}
