//! What a server's refusal means beyond "now, later or never": it may be about us rather than about
//! the message.
//!
//! The first digit of a reply decides (RFC 5321 §4.2.1), and `proto/smtp/client` says at which
//! command it is about the whole session. What lies beyond that is in the words: an account that is
//! suspended, a quota that is used up, an internet address on a block list. Such replies come as
//! 4yz from one provider and as 5yz from the next, and a bounce helps nobody where a person can
//! mend it. [`TABLE`] has them, row by row. Pure.

mod table;

use crate::proto::{
    smtp::client::LOGIN_REFUSED,
    status::{Class, Outcome, Status},
};
use table::{ABOUT_SESSIONS, TABLE};

/// The account at a smarthost is closed, or something is wanted of its owner (X.7.13, RFC 5248).
/// Mail waits until then.
pub const ACCOUNT_CLOSED: Status = Status::new(Class::Transient, 7, 13);

/// What follows from a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The login is refused, or wanted and not there: mail waits for a person.
    Login,
    /// The account may not send: mail waits for a person.
    Account,
    /// No more for today or this hour: another way, or later.
    Quota,
    /// Our internet address is not liked: another way, or a bounce.
    Blocked,
    /// It is about the session, or about how fast we send: later.
    Later,
    /// It is about the message or its recipient: as the status says.
    Plain,
}

/// Who is believed to mean it so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Any server.
    Any,
    /// A smarthost: only there have we an account.
    Smarthost,
    /// A smarthost where we do not log in.
    Unknown,
}

/// Who refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// One of a domain's own: what it says of accounts of ours is not believed, else it could keep
    /// mail from its end by that.
    Exchanger,
    /// One that the configuration names.
    Smarthost {
        /// We log in there.
        login: bool,
    },
}

/// What was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// The session, before any message: connection, EHLO, STARTTLS or AUTH.
    Session,
    /// One message: MAIL, RCPT, DATA or its end.
    Message,
}

/// A row of the table. It fits a reply with one of the codes (none: any) and with one of the
/// statuses or words (neither: any).
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Who must have said it.
    pub whose: Whose,
    /// Reply codes.
    pub codes: &'static [u16],
    /// Subject and detail of the enhanced status, whatever its class.
    pub statuses: &'static [(u8, u16)],
    /// Lower case; `*` stands for anything.
    pub words: &'static [&'static str],
    /// What follows.
    pub means: Meaning,
    /// What a person can do, in whole sentences.
    pub advice: &'static str,
    /// Where it is documented.
    pub source: &'static str,
}

/// The outcome as it is to be taken: with the class and the status of what it means.
///
/// What we found ourselves, and successes, stay as they are.
#[must_use]
pub fn read(mut outcome: Outcome, server: Server, at: At) -> Outcome {
    if server == Server::Exchanger && waits_for_a_person(&outcome) {
        outcome.status = Status::new(Class::Transient, 7, 0);
    }
    if outcome.by.is_empty() || outcome.status.class == Class::Success {
        return outcome;
    }
    let Some((said, row)) = find(&outcome.text, |row| row.is_for(server)) else { return outcome };
    let Status { class, .. } = outcome.status;
    let (subject, detail) = (outcome.status.subject(), outcome.status.detail());
    outcome.status = match row.means {
        Meaning::Login => LOGIN_REFUSED,
        Meaning::Account => ACCOUNT_CLOSED,
        Meaning::Quota | Meaning::Later => Status::new(Class::Transient, subject, detail),
        // Before a message every 5yz counts as later; but no wait takes us off a list.
        Meaning::Blocked if at == At::Session && said.code >= 500 => {
            let detail = if subject == 7 { detail } else { 1 };
            Status::new(Class::Permanent, 7, detail)
        }
        Meaning::Blocked | Meaning::Plain => Status::new(class, subject, detail),
    };
    outcome
}

/// Nobody but the owner of the account can mend it, and that time is not held against a message.
pub fn waits_for_a_person(outcome: &Outcome) -> bool {
    [LOGIN_REFUSED, ACCOUNT_CLOSED].contains(&outcome.status)
}

/// The outcome of a message, where it is about us and not about the message: with another way there
/// is another outcome. `None` where one recipient's is not.
pub fn about_us(outcomes: &[Outcome], server: Server) -> Option<(Meaning, &Outcome)> {
    let meaning = |outcome: &Outcome| {
        let refused = !outcome.by.is_empty() && outcome.status.class != Class::Success;
        let found = find(&outcome.text, |row| refused && row.is_for(server));
        let means = found.map(|(_, row)| row.means);
        means.filter(|means| matches!(means, Meaning::Blocked | Meaning::Quota)).or_else(|| {
            let login = outcome.status == LOGIN_REFUSED;
            let person = if login { Meaning::Login } else { Meaning::Account };
            waits_for_a_person(outcome).then_some(person)
        })
    };
    let first = outcomes.first()?;
    let means = meaning(first)?;
    outcomes.iter().all(|outcome| meaning(outcome) == Some(means)).then_some((means, first))
}

/// What a person can do about it; empty where nothing more can be said than the server did.
pub fn advice(outcome: &Outcome) -> &'static str {
    advice_on(&outcome.text, outcome.status)
}

/// The same of an outcome's words and status.
pub fn advice_on(text: &str, status: Status) -> &'static str {
    explained_by(text, |means| match means {
        Meaning::Login => status == LOGIN_REFUSED,
        Meaning::Account => status == ACCOUNT_CLOSED,
        Meaning::Quota | Meaning::Later => status.class == Class::Transient,
        Meaning::Blocked | Meaning::Plain => status.class != Class::Success,
    })
    .map_or("", |(advice, _)| advice)
}

/// What a person can do about a reply, and where that is documented; `None` where nothing more can
/// be said than the server did. Of its outcome, `class` is all that is known.
pub fn explained(text: &str, class: Class) -> Option<(&'static str, &'static str)> {
    explained_by(text, |means| match means {
        // What waits for a person has not failed for good.
        Meaning::Login | Meaning::Account | Meaning::Quota | Meaning::Later => {
            class == Class::Transient
        }
        Meaning::Blocked | Meaning::Plain => class != Class::Success,
    })
}

fn explained_by(
    text: &str,
    may_mean: impl Fn(Meaning) -> bool,
) -> Option<(&'static str, &'static str)> {
    let (_, row) = find(text, |row| may_mean(row.means))?;
    (!row.advice.is_empty()).then_some((row.advice, row.source))
}

/// What the owner of an account can do that refuses us with these words.
pub fn owners_advice(text: &str) -> &'static str {
    let known = [LOGIN_REFUSED, ACCOUNT_CLOSED].map(|status| advice_on(text, status));
    let special = known.into_iter().find(|advice| !advice.is_empty());
    special.unwrap_or("Correct the login in the settings.")
}

/// What was said, in the parts that the table knows.
struct Said {
    code: u16,
    status: Option<(u8, u16)>,
    words: String,
}

impl Said {
    /// The reply in an outcome's text, which may begin with words of ours: `login refused: 535 …`.
    fn parse(text: &str) -> Option<Said> {
        let mut rest = text;
        loop {
            if let Some((code, words)) = coded(rest) {
                let status = Status::parse(words).map(|(s, _)| (s.subject(), s.detail()));
                return Some(Said { code, status, words: words.to_lowercase() });
            }
            rest = rest.split_once(": ")?.1;
        }
    }
}

/// A code of 400 to 599 at the start, and what follows it.
fn coded(text: &str) -> Option<(u16, &str)> {
    let (digits, rest) = text.split_at_checked(3)?;
    let code = digits.parse().ok().filter(|code| (400..600).contains(code))?;
    match rest.chars().next() {
        None => Some((code, "")),
        Some(' ') => Some((code, rest.trim_start())),
        Some(_) => None,
    }
}

impl Row {
    fn is_for(&self, server: Server) -> bool {
        match self.whose {
            Whose::Any => true,
            Whose::Smarthost => matches!(server, Server::Smarthost { .. }),
            Whose::Unknown => server == Server::Smarthost { login: false },
        }
    }

    fn fits(&self, said: &Said) -> bool {
        let coded = self.codes.is_empty() || self.codes.contains(&said.code);
        let any = self.statuses.is_empty() && self.words.is_empty();
        let status = said.status.is_some_and(|status| self.statuses.contains(&status));
        coded && (any || status || self.words.iter().any(|words| is_in(words, &said.words)))
    }
}

/// The first row for a text.
fn find(text: &str, may: impl Fn(&Row) -> bool) -> Option<(Said, &'static Row)> {
    let said = Said::parse(text)?;
    let row = TABLE.iter().chain(ABOUT_SESSIONS).find(|row| may(row) && row.fits(&said))?;
    Some((said, row))
}

/// The pieces between the stars come in `text` in their order.
fn is_in(pattern: &str, text: &str) -> bool {
    let mut rest = text;
    pattern.split('*').all(|piece| match rest.find(piece) {
        Some(at) => {
            rest = rest.get(at + piece.len()..).unwrap_or_default();
            true
        }
        None => false,
    })
}

#[cfg(test)]
mod tests;
