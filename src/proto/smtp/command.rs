//! Command lines, read. RFC 5321 §4.1.1, and the extensions that add commands and parameters.

use super::server::{Mail, Rcpt};
use crate::{
    limits,
    proto::{
        mail::address::Address,
        status::{Class, Reply, Status},
    },
};

/// A command that is well-formed; whether it may come now is another question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// EHLO, with the name given. RFC 5321 §4.1.1.1.
    Ehlo(String),
    /// HELO, with the name given.
    Helo(String),
    /// MAIL. RFC 5321 §4.1.1.2.
    Mail(Mail),
    /// RCPT. RFC 5321 §4.1.1.3.
    Rcpt(Rcpt),
    /// DATA. RFC 5321 §4.1.1.4.
    Data,
    /// BDAT; so many octets follow. RFC 3030 §2.
    Bdat {
        /// Octets of the chunk.
        size: u64,
        /// It is the last one.
        last: bool,
    },
    /// RSET. RFC 5321 §4.1.1.5.
    Rset,
    /// VRFY. RFC 5321 §4.1.1.6.
    Vrfy,
    /// EXPN. RFC 5321 §4.1.1.7.
    Expn,
    /// HELP. RFC 5321 §4.1.1.8.
    Help,
    /// NOOP. RFC 5321 §4.1.1.9.
    Noop,
    /// QUIT. RFC 5321 §4.1.1.10.
    Quit,
    /// STARTTLS. RFC 3207 §4.
    StartTls,
    /// AUTH. RFC 4954 §4.
    Auth {
        /// Name of the mechanism, upper case.
        mechanism: String,
        /// Initial response, in base64; `=` is an empty one.
        initial: Option<String>,
    },
}

/// Why a line is no command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// This reply, and the session goes on.
    Reply(Reply),
    /// This reply, and nothing more is read: what follows is no command, or nobody can tell where
    /// one starts.
    Close(Reply),
}

const BAD_SYNTAX: Status = Status::new(Class::Permanent, 5, 2);
const BAD_COMMAND: Status = Status::new(Class::Permanent, 5, 1);
const BAD_ARGUMENT: Status = Status::new(Class::Permanent, 5, 4);
const BAD_SENDER: Status = Status::new(Class::Permanent, 1, 7);
const BAD_RECIPIENT: Status = Status::new(Class::Permanent, 1, 3);
const UTF8_ADDRESS: Status = Status::new(Class::Permanent, 6, 7);

const UNKNOWN: Reply = Reply::new(500, BAD_COMMAND, "Command unknown");
const NOT_TEXT: Reply = Reply::new(500, BAD_SYNTAX, "Not a line of UTF-8 text");
const NOT_SMTP: Reply = Reply::new(500, BAD_COMMAND, "This is SMTP");
const NO_ARGUMENT: Reply = Reply::new(501, BAD_ARGUMENT, "An argument is missing");
const NEEDS_NONE: Reply = Reply::new(501, BAD_ARGUMENT, "No argument is allowed here");
const NAME_TOO_LONG: Reply = Reply::new(501, BAD_ARGUMENT, "The name is too long");
const BAD_CHUNK: Reply = Reply::new(501, BAD_ARGUMENT, "Syntax: BDAT size [LAST]");
const MAIL_SYNTAX: Reply = Reply::new(501, BAD_SYNTAX, "Syntax: MAIL FROM:<address>");
const RCPT_SYNTAX: Reply = Reply::new(501, BAD_SYNTAX, "Syntax: RCPT TO:<address>");
const AUTH_SYNTAX: Reply = Reply::new(501, BAD_ARGUMENT, "Syntax: AUTH mechanism [response]");
const NEEDS_SMTPUTF8: Reply =
    Reply::new(553, UTF8_ADDRESS, "A non-ASCII address needs the parameter SMTPUTF8");

impl From<Reply> for Refusal {
    fn from(reply: Reply) -> Refusal {
        Refusal::Reply(reply)
    }
}

impl Command {
    /// Read a line without its CRLF. `utf8`: the transaction began with SMTPUTF8.
    ///
    /// # Errors
    /// The reply to send, and whether the session may go on.
    pub fn parse(line: &[u8], utf8: bool) -> Result<Command, Refusal> {
        let line = str::from_utf8(line).map_err(|_| NOT_TEXT)?;
        if line.chars().any(|c| c.is_control() && c != '\t') {
            return Err(NOT_TEXT.into());
        }
        // RFC 5321 §4.1.1: trailing white space is to be tolerated.
        let line = line.trim_end_matches([' ', '\t']);
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let rest = rest.trim_start_matches(' ');
        match verb.to_ascii_uppercase().as_str() {
            "EHLO" => name(rest).map(Command::Ehlo),
            "HELO" => name(rest).map(Command::Helo),
            "MAIL" => mail(rest).map(Command::Mail),
            "RCPT" => rcpt(rest, utf8).map(Command::Rcpt),
            "BDAT" => bdat(rest),
            "AUTH" => auth(rest),
            "DATA" => alone(rest, Command::Data),
            "RSET" => alone(rest, Command::Rset),
            "QUIT" => alone(rest, Command::Quit),
            "STARTTLS" => alone(rest, Command::StartTls),
            "VRFY" if rest.is_empty() => Err(NO_ARGUMENT.into()),
            "VRFY" => Ok(Command::Vrfy),
            "EXPN" => Ok(Command::Expn),
            "HELP" => Ok(Command::Help),
            "NOOP" => Ok(Command::Noop),
            // A browser was made to send us a form; the commands are in what follows.
            "GET" | "POST" | "PUT" | "OPTIONS" | "CONNECT" | "HOST:" => {
                Err(Refusal::Close(NOT_SMTP))
            }
            _ => Err(UNKNOWN.into()),
        }
    }
}

fn alone(rest: &str, command: Command) -> Result<Command, Refusal> {
    if rest.is_empty() { Ok(command) } else { Err(NEEDS_NONE.into()) }
}

/// The client's name, empty where it gives none, which RFC 5321 §4.1.4 forbids to check here:
/// devices give odd ones.
fn name(rest: &str) -> Result<String, Refusal> {
    match rest.len() {
        0..=limits::DOMAIN_BYTES => Ok(rest.into()),
        _ => Err(NAME_TOO_LONG.into()),
    }
}

/// Where the size cannot be read nobody can tell where the next command starts: the session must
/// end.
fn bdat(rest: &str) -> Result<Command, Refusal> {
    let (size, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    let last = match rest.trim_start_matches(' ') {
        "" => false,
        word if word.eq_ignore_ascii_case("LAST") => true,
        _ => return Err(Refusal::Close(BAD_CHUNK)),
    };
    let size = number(size).ok_or(Refusal::Close(BAD_CHUNK))?;
    Ok(Command::Bdat { size, last })
}

fn auth(rest: &str) -> Result<Command, Refusal> {
    let mut words = rest.split(' ').filter(|word| !word.is_empty());
    let (Some(mechanism), initial, None) = (words.next(), words.next(), words.next()) else {
        return Err(AUTH_SYNTAX.into());
    };
    Ok(Command::Auth {
        mechanism: mechanism.to_ascii_uppercase(),
        initial: initial.map(String::from),
    })
}

fn mail(rest: &str) -> Result<Mail, Refusal> {
    let rest = keyword(rest, "FROM:").ok_or(MAIL_SYNTAX)?;
    let (path, parameters) = split_path(rest).ok_or(MAIL_SYNTAX)?;
    let mut mail = Mail { from: address(path, BAD_SENDER)?, ..Mail::default() };
    let mut seen = Seen::default();
    for parameter in parameters.split(' ').filter(|p| !p.is_empty()) {
        let (keyword, value) = seen.once(parameter)?;
        let wrong = || bad(parameter);
        match (keyword.as_str(), value) {
            ("SIZE", Some(size)) => mail.size = Some(number(size).ok_or_else(wrong)?),
            ("BODY", Some(body)) => mail.eight_bit = body_type(body).ok_or_else(wrong)?,
            ("SMTPUTF8", None) => mail.utf8 = true,
            ("RET", Some(what)) => mail.ret_headers = Some(ret_headers(what).ok_or_else(wrong)?),
            ("ENVID", Some(id)) => mail.envid = envid(id).ok_or_else(wrong)?,
            // RFC 4954 §5: to be understood, but believed only from those one trusts with it: from
            // nobody here.
            ("AUTH", Some(who)) => {
                xtext(who, limits::AUTH_PARAMETER_BYTES).ok_or_else(wrong)?;
            }
            ("SIZE" | "BODY" | "SMTPUTF8" | "RET" | "ENVID" | "AUTH", _) => {
                return Err(bad(parameter));
            }
            _ => return Err(unknown(parameter)),
        }
    }
    if !mail.utf8 && mail.from.as_ref().is_some_and(|from| !from.is_ascii()) {
        return Err(NEEDS_SMTPUTF8.into());
    }
    Ok(mail)
}

fn rcpt(rest: &str, utf8: bool) -> Result<Rcpt, Refusal> {
    let rest = keyword(rest, "TO:").ok_or(RCPT_SYNTAX)?;
    let (path, parameters) = split_path(rest).ok_or(RCPT_SYNTAX)?;
    let null = Reply::new(553, BAD_RECIPIENT, "The null path receives no mail");
    let to = address(path, BAD_RECIPIENT)?.ok_or(null)?;
    let mut rcpt = Rcpt { to, orcpt: String::new(), notify: None };
    let mut seen = Seen::default();
    for parameter in parameters.split(' ').filter(|p| !p.is_empty()) {
        let (keyword, value) = seen.once(parameter)?;
        match (keyword.as_str(), value) {
            ("NOTIFY", Some(when)) => {
                rcpt.notify = Some(notify(when).ok_or_else(|| bad(parameter))?);
            }
            ("ORCPT", Some(original)) => {
                rcpt.orcpt = orcpt(original)
                    .filter(|original| utf8 || original.is_ascii())
                    .ok_or_else(|| bad(parameter))?;
            }
            ("NOTIFY" | "ORCPT", None) => return Err(bad(parameter)),
            _ => return Err(unknown(parameter)),
        }
    }
    if !utf8 && !rcpt.to.is_ascii() {
        return Err(NEEDS_SMTPUTF8.into());
    }
    Ok(rcpt)
}

/// What follows `FROM:` or `TO:`. Blanks after the colon are against RFC 5321 §3.3, and common.
fn keyword<'a>(rest: &'a str, keyword: &str) -> Option<&'a str> {
    let (head, rest) = rest.split_at_checked(keyword.len())?;
    head.eq_ignore_ascii_case(keyword).then_some(rest.trim_start_matches(' '))
}

/// The path without its angle brackets, and the parameters. Brackets that are missing are common
/// with devices, and what is meant is clear.
fn split_path(rest: &str) -> Option<(&str, &str)> {
    let Some(inside) = rest.strip_prefix('<') else {
        let (path, parameters) = rest.split_once(' ').unwrap_or((rest, ""));
        return (!path.is_empty()).then_some((path, parameters));
    };
    let (mut quoted, mut escaped) = (false, false);
    for (at, c) in inside.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '>' if !quoted => {
                let (path, after) = inside.split_at(at);
                let parameters = after.strip_prefix('>')?;
                let apart = parameters.is_empty() || parameters.starts_with(' ');
                return apart.then_some((path, parameters));
            }
            _ => {}
        }
    }
    None
}

/// The mailbox of a path; `None` is the null one.
fn address(path: &str, status: Status) -> Result<Option<Address>, Refusal> {
    let wrong =
        |why: &str| Refusal::Reply(Reply::new(553, status, "").says(format!("Bad address: {why}")));
    if path.is_empty() {
        return Ok(None);
    }
    let mailbox = without_route(path).ok_or_else(|| wrong("a source route that is none"))?;
    Address::parse(mailbox).map(Some).map_err(wrong)
}

/// A source route, `@one,@two:`, is taken and ignored. RFC 5321 §4.1.1.3, appendix C.
fn without_route(path: &str) -> Option<&str> {
    let mut rest = path;
    while let Some(hop) = rest.strip_prefix('@') {
        let end = if hop.starts_with('[') { hop.find(']')? + 1 } else { hop.find([',', ':'])? };
        let (domain, after) = hop.split_at(end);
        Address::parse(&format!("a@{domain}")).ok()?;
        match after.strip_prefix(':') {
            Some(mailbox) => return Some(mailbox),
            None => rest = after.strip_prefix(',').filter(|next| next.starts_with('@'))?,
        }
    }
    Some(rest)
}

/// Parameters so far: each may be given once.
#[derive(Default)]
struct Seen(Vec<String>);

impl Seen {
    /// Keyword in upper case, and value, of a parameter. RFC 5321 §4.1.2.
    fn once<'a>(&mut self, parameter: &'a str) -> Result<(String, Option<&'a str>), Refusal> {
        let (keyword, value) = match parameter.split_once('=') {
            Some((keyword, value)) => (keyword, Some(value)),
            None => (parameter, None),
        };
        let keyword = keyword.to_ascii_uppercase();
        if value.is_some_and(|value| value.is_empty() || value.contains('=')) {
            return Err(bad(parameter));
        }
        if self.0.contains(&keyword) {
            let twice = Reply::new(501, BAD_ARGUMENT, "").says(format!("{keyword} is given twice"));
            return Err(twice.into());
        }
        self.0.push(keyword.clone());
        Ok((keyword, value))
    }
}

fn bad(parameter: &str) -> Refusal {
    Reply::new(501, BAD_ARGUMENT, "").says(format!("Bad parameter {parameter}")).into()
}

fn unknown(parameter: &str) -> Refusal {
    Reply::new(555, BAD_ARGUMENT, "").says(format!("Unknown parameter {parameter}")).into()
}

/// Up to 20 digits. RFC 1870 §4, RFC 3030 §2.
fn number(text: &str) -> Option<u64> {
    let digits = text.len() <= 20 && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}

/// Whether octets above 127 may come. RFC 6152 §2. BINARYMIME (RFC 3030 §3) is not offered.
fn body_type(value: &str) -> Option<bool> {
    match value.to_ascii_uppercase().as_str() {
        "7BIT" => Some(false),
        "8BITMIME" => Some(true),
        _ => None,
    }
}

/// RFC 3461 §4.3.
fn ret_headers(value: &str) -> Option<bool> {
    match value.to_ascii_uppercase().as_str() {
        "FULL" => Some(false),
        "HDRS" => Some(true),
        _ => None,
    }
}

/// RFC 3461 §4.1: NEVER alone, or any of the others.
fn notify(value: &str) -> Option<(bool, bool, bool)> {
    let (mut success, mut failure, mut delay) = (false, false, false);
    if value.eq_ignore_ascii_case("NEVER") {
        return Some((success, failure, delay));
    }
    for word in value.split(',') {
        match word.to_ascii_uppercase().as_str() {
            "SUCCESS" => success = true,
            "FAILURE" => failure = true,
            "DELAY" => delay = true,
            _ => return None,
        }
    }
    Some((success, failure, delay))
}

/// Printable ASCII, encoded. RFC 3461 §4.4.
fn envid(value: &str) -> Option<String> {
    xtext(value, limits::ENVID_BYTES).filter(|id| id.is_ascii())
}

/// `rfc822;xtext`, decoded. RFC 3461 §4.2.
fn orcpt(value: &str) -> Option<String> {
    let (kind, address) = value.split_once(';')?;
    let atom = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let good = !kind.is_empty() && kind.chars().all(atom) && value.len() <= limits::ORCPT_BYTES;
    let address = xtext(address, limits::ORCPT_BYTES).filter(|address| !address.is_empty())?;
    good.then(|| format!("{kind};{address}"))
}

/// Decode xtext of at most `most` octets. RFC 3461 §4; RFC 6533 §3 adds what lies above 127.
///
/// Encoded controls are refused: the text comes back in the header of a report.
fn xtext(text: &str, most: usize) -> Option<String> {
    if text.len() > most {
        return None;
    }
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = if *first == b'+' {
            let (digits, after) = after.split_at_checked(2)?;
            octets.push(digits.iter().try_fold(0, |value, digit| {
                // Upper case only, says RFC 3461 §4; lower is clear too.
                Some(value << 4 | u8::try_from(char::from(*digit).to_digit(16)?).ok()?)
            })?);
            after
        } else {
            octets.push(*first);
            after
        };
    }
    String::from_utf8(octets).ok().filter(|text| !text.chars().any(char::is_control))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_digits_and_no_more_than_fit() {
        assert_eq!(number("0"), Some(0));
        assert_eq!(number("18446744073709551615"), Some(u64::MAX));
        for bad in ["", "+1", "-1", "1 ", "0x1", "18446744073709551616", "000000000000000000000"] {
            assert_eq!(number(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn xtext_is_decoded_within_its_bound() {
        assert_eq!(xtext("a+2Bb+20c", 9), Some("a+b c".into()));
        assert_eq!(xtext("a+2Bb+20c", 8), None);
        assert_eq!(xtext("+C3+A4+c3+a4", 12), Some("ää".into()));
        for bad in ["+", "+2", "+2G", "+0A", "+7F", "+FF", "+ä"] {
            assert_eq!(xtext(bad, 99), None, "{bad:?}");
        }
    }

    #[test]
    fn a_path_ends_at_the_bracket_that_is_not_quoted() {
        assert_eq!(split_path("<>"), Some(("", "")));
        assert_eq!(split_path("<a@b> X=<>"), Some(("a@b", " X=<>")));
        assert_eq!(split_path(r#"<"\">"@b> X"#), Some((r#""\">"@b"#, " X")));
        assert_eq!(split_path("a@b X"), Some(("a@b", "X")));
        for bad in ["", " a", "<", "<a", "<a>b", r#"<"a>"#] {
            assert_eq!(split_path(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_source_route_is_cut_off() {
        assert_eq!(without_route("a@b"), Some("a@b"));
        assert_eq!(without_route("@x,@[IPv6:::1]:a@b"), Some("a@b"));
        for bad in ["@", "@x", "@x:", "@:a@b", "@x,:a@b", "@x,y:a@b", "@[x:a@b", "@[::1]a@b"] {
            assert!(without_route(bad).is_none_or(str::is_empty), "{bad:?}");
        }
    }
}
