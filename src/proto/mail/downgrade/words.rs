//! Header fields in ASCII: encoded words (RFC 2047), parameter values (RFC 2231), A-labels (RFC
//! 5891).

use crate::proto::{
    dns,
    mail::{
        address::Address,
        header::{self, Field},
        list,
        quoted::put_hex,
    },
};
use base64::{Engine, engine::general_purpose::STANDARD};

/// The field says something that only UTF-8 can say: an address, an identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Misfit;

/// Longest line with encoded words in it, and one more than the longest word. RFC 2047 §2.
const COLUMNS: usize = 76;

/// Append `field` in ASCII to `out`.
///
/// Free text, names beside addresses, comments and parameter values are encoded, as UTF-8 where
/// the whole value is that, else as `unknown-8bit` (RFC 1428 §3): nothing is guessed, and nothing
/// lost. The domain of an address becomes A-labels. In fields of trace, which no reply depends on,
/// each octet above 127 becomes a question mark: whoever signed them signed octets that no longer
/// exist.
///
/// # Errors
/// See [`Misfit`]; nothing was appended then.
pub(super) fn rewrite(field: &Field<'_>, out: &mut Vec<u8>) -> Result<(), Misfit> {
    if field.raw.is_ascii() {
        out.extend_from_slice(field.raw);
        return Ok(());
    }
    let mut text = Vec::with_capacity(field.raw.len() * 2);
    text.extend_from_slice(field.name.as_bytes());
    text.push(b':');
    match Kind::of(field.name) {
        Kind::Free => write(&free(field.value), field.value, &mut text),
        Kind::Addresses => write(&addresses(field.value)?, field.value, &mut text),
        Kind::Parameters => parameters(field.value, &mut text)?,
        Kind::Trace => text.extend(field.value.iter().map(|b| if *b < 128 { *b } else { b'?' })),
        Kind::Strict => return Err(Misfit),
    }
    out.append(&mut text);
    if field.raw.ends_with(b"\r\n") {
        out.extend_from_slice(b"\r\n");
    }
    Ok(())
}

enum Kind {
    /// Text for people; every field that is not known (RFC 5322 §3.6.8).
    Free,
    Addresses,
    Parameters,
    Trace,
    /// Everything in it means something to programs.
    Strict,
}

impl Kind {
    fn of(name: &str) -> Kind {
        let name = name.to_ascii_lowercase();
        match name.strip_prefix("resent-").unwrap_or(&name) {
            "from"
            | "sender"
            | "reply-to"
            | "to"
            | "cc"
            | "bcc"
            | "disposition-notification-to"
            | "return-receipt-to"
            | "errors-to"
            | "list-id" => Kind::Addresses,
            "content-type" | "content-disposition" => Kind::Parameters,
            "received"
            | "received-spf"
            | "return-path"
            | "delivered-to"
            | "dkim-signature"
            | "domainkey-signature"
            | "authentication-results" => Kind::Trace,
            "message-id"
            | "in-reply-to"
            | "references"
            | "date"
            | "content-id"
            | "content-transfer-encoding"
            | "mime-version"
            | "" => Kind::Strict,
            name if name.starts_with("arc-") => Kind::Trace,
            name if name.starts_with("list-") => Kind::Strict,
            _ => Kind::Free,
        }
    }
}

/// What a value is made of.
enum Token {
    /// Blanks, folding included.
    Gap(Vec<u8>),
    /// What stays as it is.
    Plain(Vec<u8>),
    /// What is to be encoded.
    Text(Vec<u8>),
}

fn word(octets: &[u8]) -> Token {
    if octets.is_ascii() { Token::Plain(octets.to_vec()) } else { Token::Text(octets.to_vec()) }
}

/// Words and what is between them.
fn free(value: &[u8]) -> Vec<Token> {
    let blank = |b: &u8| b.is_ascii_whitespace();
    value
        .chunk_by(|a, b| blank(a) == blank(b))
        .map(|run| match run.first() {
            Some(first) if blank(first) => Token::Gap(run.to_vec()),
            _ => word(run),
        })
        .collect()
}

/// Mailboxes with their names and comments. RFC 5322 §3.4.
fn addresses(value: &[u8]) -> Result<Vec<Token>, Misfit> {
    let mailboxes = list::mailboxes(value).map_err(|_| Misfit)?;
    let mut tokens = Vec::new();
    let mut at = 0;
    for list::Mailbox { address, place } in mailboxes {
        names(value.get(at..place.start).unwrap_or_default(), &mut tokens)?;
        let written = value.get(place.clone()).unwrap_or_default();
        tokens.push(Token::Plain(if written.is_ascii() {
            written.to_vec()
        } else {
            ascii_address(&address).ok_or(Misfit)?.as_str().into()
        }));
        at = place.end;
    }
    names(value.get(at..).unwrap_or_default(), &mut tokens)?;
    Ok(tokens)
}

/// The address with its domain in A-labels; `None` where its local part is not ASCII: there is no
/// other way to write that (RFC 6530 §8).
pub fn ascii_address(address: &Address) -> Option<Address> {
    if address.is_ascii() {
        return Some(address.clone());
    }
    address.at_domain(&dns::ascii_name(address.domain())?).ok().filter(Address::is_ascii)
}

/// What stands around addresses: phrases, quoted strings, comments and signs.
fn names(mut rest: &[u8], tokens: &mut Vec<Token>) -> Result<(), Misfit> {
    while let Some(first) = rest.first() {
        let length = match first {
            b' ' | b'\t' | b'\r' | b'\n' => run(rest, |b| b" \t\r\n".contains(&b)),
            b'"' => quoted_length(rest).ok_or(Misfit)?,
            b'(' => comment_length(rest).ok_or(Misfit)?,
            b'<' | b'>' | b'@' | b',' | b';' | b':' | b'.' => 1,
            _ => run(rest, |b| !b" \t\r\n\"(<>@,;:".contains(&b)).max(1),
        };
        let (part, after) = rest.split_at_checked(length).ok_or(Misfit)?;
        rest = after;
        match first {
            b' ' | b'\t' | b'\r' | b'\n' => tokens.push(Token::Gap(part.to_vec())),
            b'"' if !part.is_ascii() => tokens.push(Token::Text(unquoted(part))),
            b'(' if !part.is_ascii() => comment(part, tokens),
            _ => tokens.push(word(part)),
        }
    }
    Ok(())
}

fn run(octets: &[u8], belongs: impl Fn(u8) -> bool) -> usize {
    octets.iter().take_while(|b| belongs(**b)).count()
}

/// The words of a comment, with its parentheses.
fn comment(octets: &[u8], tokens: &mut Vec<Token>) {
    let sign = |b: &u8| matches!(b, b'(' | b')');
    for part in octets.chunk_by(|a, b| !sign(a) && !sign(b)) {
        tokens.extend(free(part));
    }
}

fn quoted_length(octets: &[u8]) -> Option<usize> {
    let mut escaped = false;
    let end = octets.iter().skip(1).position(|b| {
        let ends = *b == b'"' && !escaped;
        escaped = *b == b'\\' && !escaped;
        ends
    });
    end.map(|at| at + 2)
}

fn comment_length(octets: &[u8]) -> Option<usize> {
    let (mut depth, mut escaped) = (0usize, false);
    let end = octets.iter().position(|b| {
        match b {
            _ if escaped => {}
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        escaped = *b == b'\\' && !escaped;
        depth == 0
    });
    end.map(|at| at + 1)
}

/// The content of a quoted string, on one line.
fn unquoted(octets: &[u8]) -> Vec<u8> {
    let inside = octets.strip_prefix(b"\"").unwrap_or(octets);
    let inside = inside.strip_suffix(b"\"").unwrap_or(inside);
    let mut escaped = false;
    let kept = inside.iter().copied().filter(|b| {
        let sign = *b == b'\\' && !escaped;
        escaped = sign;
        !sign && !matches!(b, b'\r' | b'\n')
    });
    kept.collect()
}

/// Write `tokens`, which make up `value`, behind a field's name; texts that only blanks divide
/// become one.
fn write(tokens: &[Token], value: &[u8], out: &mut Vec<u8>) {
    let charset = charset(value);
    let mut writer = Writer { column: out.len(), out, charset };
    let mut gap: Vec<u8> = Vec::new();
    let mut text: Option<(Vec<u8>, Vec<u8>)> = None;
    // What stands directly before, to know what must not touch it.
    let mut last = Vec::new();
    for token in tokens {
        match (token, &mut text) {
            (Token::Gap(blanks), _) => gap.extend_from_slice(blanks),
            (Token::Text(more), Some((_, so_far))) => {
                so_far.extend(flat(&std::mem::take(&mut gap)));
                so_far.extend_from_slice(more);
            }
            (Token::Text(first), None) => {
                let mut content = if is_encoded(&last) { flat(&gap) } else { Vec::new() };
                content.extend_from_slice(first);
                if gap.is_empty() && !matches!(last.last(), None | Some(b'(')) {
                    gap.push(b' ');
                }
                text = Some((std::mem::take(&mut gap), content));
            }
            (Token::Plain(octets), _) => {
                if let Some((before, mut content)) = text.take() {
                    if is_encoded(octets) {
                        content.extend(flat(&gap));
                    }
                    writer.put_text(&before, &content);
                    if gap.is_empty() && !matches!(octets.first(), Some(b')' | b',' | b';' | b':'))
                    {
                        gap.push(b' ');
                    }
                }
                writer.put(&gap, octets);
                gap.clear();
                last.clone_from(octets);
            }
        }
    }
    if let Some((before, content)) = text {
        writer.put_text(&before, &content);
    }
    writer.put(&gap, b"");
}

/// Blanks without folding.
fn flat(gap: &[u8]) -> Vec<u8> {
    gap.iter().copied().filter(|b| !matches!(b, b'\r' | b'\n')).collect()
}

/// RFC 2047 §6.2: blanks between two of them do not show, so they have to go into one of them.
fn is_encoded(word: &[u8]) -> bool {
    word.starts_with(b"=?") && word.ends_with(b"?=")
}

fn charset(octets: &[u8]) -> &'static str {
    if core::str::from_utf8(octets).is_ok() { "utf-8" } else { "unknown-8bit" }
}

struct Writer<'a> {
    out: &'a mut Vec<u8>,
    column: usize,
    charset: &'static str,
}

impl Writer<'_> {
    fn put(&mut self, gap: &[u8], octets: &[u8]) {
        for part in [gap, octets] {
            self.out.extend_from_slice(part);
            self.column = match part.iter().rposition(|b| *b == b'\n') {
                Some(end) => part.len() - end - 1,
                None => self.column + part.len(),
            };
        }
    }

    /// Encoded words with as few lines as they fit on.
    fn put_text(&mut self, gap: &[u8], text: &[u8]) {
        let signs = "=??Q??=".len() + self.charset.len();
        let mut rest = pieces(text, self.charset).peekable();
        let mut gap = gap.to_vec();
        // Words in Latin letters stay readable for those whose programs do not decode them.
        let base64 = self.charset == "utf-8" && text.len().div_ceil(3) * 4 * 2 < q_length(text);
        loop {
            let folded = gap.iter().rposition(|b| *b == b'\n');
            let before = folded.map_or(self.column + gap.len(), |end| gap.len() - end - 1);
            let mut room = COLUMNS.saturating_sub(before + signs);
            // A character takes 12 columns at most.
            if room < 12 && folded.is_none() && !gap.is_empty() {
                gap.splice(0..0, *b"\r\n");
                continue;
            }
            room = room.clamp(12, COLUMNS - 1 - signs);
            let (mut octets, mut used) = (Vec::new(), 0);
            let fits = |piece: &&[u8], octets: &Vec<u8>, used: usize| {
                let base64_length = (octets.len() + piece.len()).div_ceil(3) * 4;
                (if base64 { base64_length } else { used + q_length(piece) }) <= room
            };
            while let Some(piece) = rest.next_if(|piece| fits(piece, &octets, used)) {
                used += q_length(piece);
                octets.extend_from_slice(piece);
            }
            let word = self.encoded(&octets, base64);
            self.put(&gap, &word);
            assert!(!octets.is_empty(), "a character takes 12 columns at most");
            if rest.peek().is_none() {
                return;
            }
            gap = b"\r\n ".to_vec();
        }
    }

    fn encoded(&self, octets: &[u8], base64: bool) -> Vec<u8> {
        let mut word = format!("=?{}?{}?", self.charset, if base64 { 'B' } else { 'Q' });
        if base64 {
            word.push_str(&STANDARD.encode(octets));
        }
        let mut word = word.into_bytes();
        if !base64 {
            for octet in octets {
                match octet {
                    b' ' => word.push(b'_'),
                    _ if is_q_literal(*octet) => word.push(*octet),
                    _ => put_hex(*octet, b'=', &mut word),
                }
            }
        }
        word.extend_from_slice(b"?=");
        word
    }
}

/// RFC 2047 §5: a character stays in one word.
fn pieces<'a>(text: &'a [u8], charset: &str) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    let characters = charset == "utf-8";
    text.chunk_by(move |_, b| characters && (0x80..0xc0).contains(b))
}

/// What may stand for itself in a word anywhere. RFC 2047 §5 (3).
fn is_q_literal(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b"!*+-/".contains(&octet)
}

fn q_length(octets: &[u8]) -> usize {
    octets.iter().map(|b| if *b == b' ' || is_q_literal(*b) { 1 } else { 3 }).sum()
}

/// A value with parameters (RFC 2045 §5.1): those beyond ASCII as RFC 2231 §3, §4 has them.
fn parameters(value: &[u8], out: &mut Vec<u8>) -> Result<(), Misfit> {
    for (n, part) in split(value).into_iter().enumerate() {
        if n > 0 {
            out.push(b';');
        }
        if part.is_ascii() {
            out.extend_from_slice(part);
            continue;
        }
        let (name, text) = parameter(part).ok_or(Misfit)?;
        if n == 0 || !name.is_ascii() || name.contains(&b'*') {
            return Err(Misfit);
        }
        extended(name, &text, out);
    }
    Ok(())
}

/// `name*=utf-8''gr%C3%BC%C3%9Fe`, in sections where it is long.
fn extended(name: &[u8], text: &[u8], out: &mut Vec<u8>) {
    let literal = |b: u8| b.is_ascii_alphanumeric() || b"!#$&+-.^_`{|}~".contains(&b);
    let mut lines = vec![format!("{}''", charset(text)).into_bytes()];
    for octet in text {
        if lines.last().is_some_and(|line| line.len() + name.len() > 60 && line.len() > 20) {
            lines.push(Vec::new());
        }
        let Some(line) = lines.last_mut() else { return };
        if literal(*octet) { line.push(*octet) } else { put_hex(*octet, b'%', line) }
    }
    let several = lines.len() > 1;
    for (n, line) in lines.iter().enumerate() {
        out.extend_from_slice(if n > 0 { b";\r\n\t" } else { b"\r\n\t" });
        out.extend_from_slice(name);
        let section = if several { format!("*{n}*=") } else { "*=".into() };
        out.extend_from_slice(section.as_bytes());
        out.extend_from_slice(line);
    }
}

/// The parts of a value with parameters, without the `;` between them.
pub(super) fn split(value: &[u8]) -> Vec<&[u8]> {
    let (mut quoted, mut escaped, mut depth) = (false, false, 0usize);
    let parts = value.split(|b| {
        let was_escaped = std::mem::take(&mut escaped);
        match b {
            _ if was_escaped => {}
            b'\\' if quoted || depth > 0 => escaped = true,
            b'"' if depth == 0 => quoted = !quoted,
            b'(' if !quoted => depth += 1,
            b')' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
        *b == b';' && !quoted && depth == 0
    });
    parts.collect()
}

/// Name and value of one part, quotes taken off.
pub(super) fn parameter(part: &[u8]) -> Option<(&[u8], Vec<u8>)> {
    let sign = part.iter().position(|b| *b == b'=')?;
    let (name, value) = part.split_at_checked(sign)?;
    let value = value.get(1..)?.trim_ascii();
    let value = if value.starts_with(b"\"") {
        unquoted(value.get(..quoted_length(value)?)?)
    } else {
        value.split(|b| b" \t\r\n(".contains(b)).next()?.to_vec()
    };
    Some((name.trim_ascii(), value))
}

/// The first word of a value, in lower case: a type, an encoding.
pub(super) fn first_word(value: &[u8]) -> Vec<u8> {
    let text = header::uncommented(value).unwrap_or_else(|| value.to_vec());
    let text = header::unfold(&text);
    let word = text.split(|b| b" \t;".contains(b)).next().unwrap_or_default();
    word.to_ascii_lowercase()
}

#[cfg(test)]
#[path = "words_tests.rs"]
mod tests;
