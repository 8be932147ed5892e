//! Lines of SMTP: commands, replies, logins. What was understood of a command is said again by our
//! client, and understood the same.

use crate::{input::Input, seeds as sown};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use waypost::{
    limits,
    proto::{
        machine::{Machine, Pipe, Step},
        mail::address::Address,
        sasl::{self, Claim, Client, Key, Mechanism, Secret, Turn},
        smtp::{
            client::{self, Chunking, Forward, Outgoing, Plan, Security},
            command::Command,
            reply::{Garbled, Parser, PeerReply, one_line},
            server::{Mail, Rcpt},
        },
        status::Status,
    },
};

pub(crate) fn check(data: &[u8]) {
    let input = Input::new(data);
    commands(&input);
    replies(&input);
    logins(&input);
    if let Some((status, rest)) = Status::parse(input.text()) {
        let printed = status.to_string();
        assert_eq!(Status::parse(&printed), Some((status, "")));
        assert!(rest.len() < input.text().len());
    }
    let line = one_line(input.text());
    assert!(line.len() <= limits::REPLY_TEXT_BYTES && !line.contains(char::is_control));
}

/// Every line that either side of a transcript sends.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (folder, mark) in [("transcript/smtp", 'C'), ("transcript/client", 'S')] {
        for session in sown::files(folder, ".session") {
            let octets = sown::side(&session, mark);
            seeds.push(Input::compose(&octets, &[1, 5]));
            for line in octets.split(|octet| *octet == b'\n') {
                let line = line.strip_suffix(b"\r").unwrap_or(line);
                seeds.push(Input::compose(line, &[1, 5]));
            }
        }
    }
    let long = format!("RCPT TO:<a@b.example> ORCPT=utf-8;{}", "\u{f6}".repeat(200));
    seeds.push(Input::compose(long.as_bytes(), &[1, 5]));
    seeds.sort();
    seeds.dedup();
    seeds.retain(|seed| seed.len() < 4000);
    seeds
}

fn commands(input: &Input<'_>) {
    let line = input.octets.get(..limits::COMMAND_LINE_BYTES).unwrap_or(input.octets);
    match Command::parse(line, input.choice(0) & 1 == 1) {
        Ok(Command::Mail(mail)) => mail_is_said_again(mail),
        Ok(Command::Rcpt(rcpt)) => rcpt_is_said_again(&rcpt, input.choice(0) & 1 == 1),
        Ok(Command::Ehlo(name) | Command::Helo(name)) => {
            assert!(name.len() <= limits::DOMAIN_BYTES);
        }
        _ => {}
    }
}

fn mail_is_said_again(mail: Mail) {
    assert!(mail.utf8 || mail.from.as_ref().is_none_or(Address::is_ascii));
    assert!(mail.envid.len() <= limits::ENVID_BYTES && !mail.envid.contains(char::is_control));
    let size = mail.size.unwrap_or(7);
    let to = Address::parse("b@relay.example").expect("an address");
    let outgoing = Outgoing {
        from: mail.from.clone(),
        to: vec![Forward { to, orcpt: String::new(), notify: None }],
        size,
        eight_bit: mail.eight_bit,
        utf8: mail.utf8,
        ret_headers: mail.ret_headers,
        envid: mail.envid.clone(),
    };
    let (line, _) = said(outgoing);
    let again = Command::parse(line.as_bytes(), false);
    assert_eq!(again, Ok(Command::Mail(Mail { size: Some(size), ..mail })), "{line}");
}

fn rcpt_is_said_again(rcpt: &Rcpt, utf8: bool) {
    assert!(utf8 || (rcpt.to.is_ascii() && rcpt.orcpt.is_ascii()));
    assert!(rcpt.orcpt.len() <= limits::ORCPT_BYTES && !rcpt.orcpt.contains(char::is_control));
    let Rcpt { to, orcpt, notify } = rcpt.clone();
    let outgoing = Outgoing {
        from: None,
        to: vec![Forward { to, orcpt, notify }],
        size: 7,
        eight_bit: false,
        utf8,
        ret_headers: None,
        envid: String::new(),
    };
    let (_, line) = said(outgoing);
    match Command::parse(line.as_bytes(), utf8) {
        Ok(Command::Rcpt(again)) if rcpt.orcpt.is_ascii() => assert_eq!(&again, rcpt, "{line}"),
        // RFC 6533 §3: beyond ASCII it has another type, whose signs are kept as they are.
        Ok(Command::Rcpt(again)) => assert_eq!((&again.to, again.notify), (&rcpt.to, rcpt.notify)),
        other => panic!("{line}: {other:?}"),
    }
}

/// The MAIL and RCPT lines of our client, to a server that offers all there is.
fn said(message: Outgoing) -> (String, String) {
    let plan = Plan {
        hello: "relay.example".into(),
        security: Security::None,
        login: None,
        host: "mx.example".into(),
        chunking: Chunking::Large,
    };
    let mut session = client::Session::new(plan);
    let mut replies = [
        "220 mx.example\r\n",
        "250-mx.example\r\n250-PIPELINING\r\n250-SIZE\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n\
         250 DSN\r\n",
    ]
    .into_iter();
    let mut message = Some(Box::new(message));
    loop {
        match session.step() {
            Step::Read => {
                let Some(reply) = replies.next() else { break };
                session.pipe().output.clear();
                session.pipe().input.extend_from_slice(reply.as_bytes());
            }
            Step::Ask(client::Ask::Next(_)) => {
                session.pipe().output.clear();
                session.answer(client::Answer::Send(message.take().expect("one message")));
            }
            other => panic!("not on the way to MAIL: {other:?}"),
        }
    }
    let output = String::from_utf8(session.pipe().output.clone()).expect("text");
    let lines: Vec<&str> = output.split("\r\n").collect();
    let [mail, rcpt, "DATA", ""] = lines[..] else { panic!("not three lines: {output:?}") };
    (mail.into(), rcpt.into())
}

fn replies(input: &Input<'_>) {
    let whole = heard(input.octets, usize::MAX);
    assert_eq!(heard(input.octets, 1), whole);
    assert_eq!(heard(input.octets, 2 + input.choice(1)), whole);
    for reply in whole.iter().filter_map(|reply| reply.as_ref().ok()) {
        assert!((200..=599).contains(&reply.code));
        assert!(reply.text.starts_with(&reply.code.to_string()));
        assert!(reply.text.len() <= limits::REPLY_TEXT_BYTES);
        assert!(!reply.text.contains(char::is_control));
        let outcome = reply.outcome("mx.example");
        let class = outcome.status.class as u16;
        assert!(class == reply.digit() || (reply.digit() == 3 && class == 4));
    }
}

/// All replies, up to the first that is none.
fn heard(octets: &[u8], piece: usize) -> Vec<Result<PeerReply, Garbled>> {
    let (mut pipe, mut parser) = (Pipe::default(), Parser::default());
    let mut heard = Vec::new();
    for part in octets.chunks(piece.min(limits::INPUT_BYTES - limits::REPLY_LINE_BYTES)) {
        pipe.input.extend_from_slice(part);
        while let Some(reply) = parser.read(&mut pipe, |_, _| {}).transpose() {
            heard.push(reply);
            if heard.last().is_some_and(Result::is_err) {
                return heard;
            }
        }
        assert!(pipe.input.len() < limits::REPLY_LINE_BYTES, "what is left is short");
    }
    heard
}

fn logins(input: &Input<'_>) {
    let text = input.text();
    if let Ok((user, password)) = sasl::decode_plain(text) {
        assert!(!user.is_empty() && !password.is_empty());
        let again = plain(&user, &password);
        assert_eq!(sasl::decode_plain(&again), Ok((user, password)));
    }
    if let Ok(word) = sasl::decode_login(text) {
        assert_eq!(sasl::decode_login(&BASE64.encode(&word)), Ok(word));
    }
    if !text.is_empty() && !text.contains('\0') {
        assert_eq!(sasl::decode_login(&BASE64.encode(text)), Ok(text.to_string()));
        assert_eq!(sasl::decode_plain(&plain(text, text)), Ok((text.into(), text.into())));
    }
    challenged(input);
}

/// What our client says, as RFC 4616 has it.
fn plain(user: &str, password: &str) -> String {
    BASE64.encode(format!("\0{user}\0{password}"))
}

/// Whatever a server asks in an exchange, it ends, and a password is shown by no mechanism that
/// does not show it.
fn challenged(input: &Input<'_>) {
    const WORD: &str = "a password that nobody guesses";
    let text = input.text();
    for mechanism in Mechanism::ALL {
        let secret = match input.choice(0) % 2 {
            0 => Secret::Password(WORD.into()),
            _ => Secret::Token(WORD.into()),
        };
        let claim = Claim { user: "me", secret: &secret, server: ("mx", 587), chance: [1, 2] };
        let Some(mut client) = Client::new(mechanism, claim) else { continue };
        let mut said = client.command();
        for line in text.lines().take(20) {
            let mut turn = client.hear(line);
            if let Turn::Stretch(_) = turn {
                turn = client.stretched(&Key([7; 32]));
            }
            match turn {
                Turn::Say(more) => said.push_str(&more),
                Turn::Stretch(_) => panic!("one piece of work, once"),
                Turn::Cancel(_) | Turn::Untrue(_) | Turn::Over => break,
            }
        }
        assert!(!said.contains(WORD) && said.len() < 20_000);
        let shown = said.contains(&BASE64.encode(WORD));
        assert!(!shown || mechanism.shows_password(), "{mechanism}");
    }
}
