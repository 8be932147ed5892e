//! The receiving side: `tests/transcript/smtp`.

use crate::replay::{Actor, replay, replay_folder};
use waypost::proto::{
    machine::{Machine, Step},
    smtp::server::{Answer, Ask, Offer, Session},
    status::{Reply, Status},
};

#[test]
fn every_conversation_of_the_receiving_side_goes_as_written() {
    replay_folder::<Server>("smtp");
}

/// Words after `@`: `submission`, `encrypted`, `plain` (no STARTTLS), `auth`, `clear` (AUTH without
/// TLS), `lenient`, `size=…`, `recipients=…`, `errors=…`; and how far the conversation is when the
/// transcript starts: `greeted` (EHLO was said), `addressed` (and a transaction with one recipient
/// is open).
enum Server {}

impl Actor for Server {
    type Machine = Session;
    const SPEAKS: char = 'S';
    const HASTY_PEER: bool = true;

    fn cast(directives: &[&str]) -> Result<Session, String> {
        let mut offer = Offer {
            hostname: "relay.example".into(),
            submission: false,
            starttls: true,
            encrypted: false,
            auth_in_clear: false,
            auth: false,
            lenient: false,
            size: 1000,
            recipients: 10,
            bad_commands: 10,
        };
        let mut before = "";
        for word in directives {
            let (key, value) = word.split_once('=').unwrap_or((word, "0"));
            let number: u32 = value.parse().map_err(|_| format!("no number: {word}"))?;
            match key {
                "submission" => offer.submission = true,
                "encrypted" => offer.encrypted = true,
                "plain" => offer.starttls = false,
                "auth" => offer.auth = true,
                "clear" => offer.auth_in_clear = true,
                "lenient" => offer.lenient = true,
                "size" => offer.size = number.into(),
                "recipients" => offer.recipients = number as usize,
                "errors" => offer.bad_commands = number,
                "greeted" => before = "EHLO client.example\r\n",
                "addressed" => {
                    before = "EHLO client.example\r\nMAIL FROM:<a@client.example>\r\n\
                              RCPT TO:<b@relay.example>\r\n";
                }
                _ => return Err(format!("not a directive: {word}")),
            }
        }
        let mut session = Session::new(offer);
        if !before.is_empty() {
            hear(&mut session, before);
        }
        Ok(session)
    }

    fn line(ask: &Ask) -> String {
        match ask {
            Ask::Hello(name) => format!("Hello {name}").trim_end().into(),
            Ask::Login { user, password } => format!("Login {user} {password}").trim_end().into(),
            Ask::Mail(mail) => {
                let mut line = format!("Mail <{}>", mail.from.as_ref().map_or("", |a| a.as_str()));
                let mut add = |word: Option<String>| line.extend(word.map(|w| format!(" {w}")));
                add(mail.size.map(|size| format!("size={size}")));
                add(mail.eight_bit.then(|| "8bit".into()));
                add(mail.utf8.then(|| "utf8".into()));
                add(mail.ret_headers.map(|headers| if headers { "hdrs" } else { "full" }.into()));
                add((!mail.envid.is_empty()).then(|| format!("envid={}", mail.envid)));
                line
            }
            Ask::Rcpt(rcpt) => {
                let mut line = format!("Rcpt <{}>", rcpt.to);
                if let Some((success, failure, delay)) = rcpt.notify {
                    line.push_str(" notify:");
                    let words = [(success, " success"), (failure, " failure"), (delay, " delay")];
                    line.extend(words.iter().filter(|(on, _)| *on).map(|(_, word)| *word));
                }
                if !rcpt.orcpt.is_empty() {
                    line.extend([" orcpt=", &rcpt.orcpt]);
                }
                line
            }
            Ask::Data { protocol } => format!("Data {protocol}"),
            Ask::Body(_) => "Body".into(),
            Ask::Commit { overlooked } if overlooked.is_empty() => "Commit".into(),
            Ask::Commit { overlooked } => {
                let words: Vec<String> = overlooked.iter().map(ToString::to_string).collect();
                format!("Commit: {}", words.join(", "))
            }
            Ask::Reset => "Reset".into(),
        }
    }

    /// `accept`, a reply of class 2 (yes, in these words), of another (no), or `close` and a reply.
    fn answer(text: &str) -> Result<Answer, String> {
        if text == "accept" {
            return Ok(Answer::Accept);
        }
        let (close, text) = match text.strip_prefix("close ") {
            Some(text) => (true, text),
            None => (false, text),
        };
        let wrong = || format!("not an answer: {text}");
        let (code, rest) = text.split_once(' ').ok_or_else(wrong)?;
        let code = code.parse().map_err(|_| wrong())?;
        let (status, words) = Status::parse(rest).ok_or_else(wrong)?;
        let reply = Reply::new(code, status, "").says(words);
        Ok(match code {
            _ if close => Answer::Close(reply),
            200..300 => Answer::AcceptAs(reply),
            _ => Answer::Refuse(reply),
        })
    }

    fn handed_over(ask: &Ask) -> Option<(&[u8], Answer)> {
        match ask {
            Ask::Body(octets) => Some((octets, Answer::Accept)),
            _ => None,
        }
    }
}

/// Let the client say this, and the handler say yes to everything.
fn hear(session: &mut Session, octets: &str) {
    let mut octets = octets.as_bytes();
    loop {
        match session.step() {
            Step::Ask(_) => session.answer(Answer::Accept),
            Step::Read if octets.is_empty() => break,
            Step::Read => session.pipe().input = std::mem::take(&mut octets).to_vec(),
            Step::Write => session.pipe().output.clear(),
            Step::Upgrade | Step::Close => panic!("a prelude without TLS or an end"),
        }
    }
    session.pipe().output = Vec::new();
}

#[test]
fn the_runner_notices_what_is_missing_too_much_or_different() {
    let good = "@ greeted\nC: NOOP\nS: 250 2.0.0 OK\nC: QUIT\nS: 221 2.0.0 Bye\n= closed\n";
    assert_eq!(replay::<Server>(good), Ok(()));
    for (from, to, line) in [
        ("250 2.0.0 OK", "250 2.0.0 Ok", "3: "),
        ("S: 250 2.0.0 OK\n", "", "4: "),
        ("= closed\n", "", "5: "),
        ("= closed", "= tls", "6: "),
        ("= closed", "= closed\nS: 250 2.0.0 OK", "7: "),
        ("C: NOOP", "C: NOOP\nC: NOOP", "5: "),
        ("C: NOOP", "C: RSET\n? Reset\n! accept", "3: "),
        ("C: NOOP", "? Reset\nC: NOOP", "3: "),
        ("C: NOOP", "x NOOP", "2: "),
        ("greeted", "great", "1: "),
    ] {
        let failure = replay::<Server>(&good.replace(from, to)).expect_err(to);
        assert!(failure.starts_with(line), "{to}: {failure}");
    }
}
