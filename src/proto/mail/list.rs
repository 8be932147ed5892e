//! Mailboxes and lists of them as header fields hold them. RFC 5322 §3.4, read also as §4.4 had it.

use crate::{limits, proto::mail::address::Address};
use core::ops::Range;

/// A mailbox of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailbox {
    /// The address; its domain is empty where none was written.
    pub address: Address,
    /// Where the address stands in the value, angle brackets not included.
    pub place: Range<usize>,
}

/// The mailboxes of From, Sender, To, Cc, Bcc or Reply-To, those in groups among them, in order.
///
/// Beyond RFC 5322, what real senders write is taken: octets above 127 in names, `.` and `@` in a
/// name without quotes, and `;` between mailboxes. Encoded words (RFC 2047) are left as they are.
/// Time taken is linear in the length.
///
/// # Errors
/// In words, what cannot be read, or that there are more than [`limits::FIELD_MAILBOXES`] of them.
pub fn mailboxes(value: &[u8]) -> Result<Vec<Mailbox>, &'static str> {
    let mut tokens = Tokens { octets: value, at: 0 };
    let mut found = Vec::new();
    let mut words: Vec<Token> = Vec::new();
    let (mut in_group, mut angle) = (false, false);
    loop {
        let token = tokens.next_token()?;
        let kind = token.as_ref().map_or(Kind::Sign(b','), |t| t.kind);
        let ended = token.is_none();
        match kind {
            Kind::Sign(b',' | b';') => {
                if words.is_empty() && angle {
                    return Err("an empty address");
                }
                if let Some(mailbox) = mailbox(value, &words)? {
                    if found.len() == limits::FIELD_MAILBOXES {
                        return Err("too many addresses in one field");
                    }
                    found.push(mailbox);
                }
                words.clear();
                angle = false;
                in_group &= kind != Kind::Sign(b';');
            }
            Kind::Sign(b':') if !in_group && !angle => {
                if words.is_empty() {
                    return Err("a : with no name of a group before it");
                }
                words.clear();
                in_group = true;
            }
            // Two readers must not see two senders: after the > of a mailbox only a comment may
            // stand.
            _ if angle => return Err("two addresses with no comma between them"),
            Kind::Sign(b'<') => {
                words.clear();
                tokens.inside_angle(&mut words)?;
                angle = true;
            }
            Kind::Sign(b'>') => return Err("a > without its <"),
            _ if words.len() == limits::MAILBOX_TOKENS => {
                return Err("an address of too many words");
            }
            _ => words.extend(token),
        }
        if ended {
            return Ok(found);
        }
    }
}

/// The mailbox that these words make; `None` where there are none: RFC 5322 §4.4 allows empty
/// places in a list.
fn mailbox(value: &[u8], words: &[Token]) -> Result<Option<Mailbox>, &'static str> {
    let (Some(first), Some(last)) = (words.first(), words.last()) else { return Ok(None) };
    let mut text = Vec::new();
    let mut before = None;
    for token in words {
        // Blanks are allowed beside dots and the @ (RFC 5322 §4.4), not between two words.
        if token.is_word() && before.is_some_and(Token::is_word) {
            return Err("words, but no address");
        }
        text.extend_from_slice(value.get(token.place.clone()).unwrap_or_default());
        before = Some(token);
    }
    let text = String::from_utf8(text).map_err(|_| "octets above 127 that are not UTF-8")?;
    let address = Address::parse(&text)?;
    Ok(Some(Mailbox { address, place: first.place.start..last.place.end }))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A run of octets that mean nothing special.
    Atom,
    /// A quoted string with its quotes.
    Quoted,
    /// A domain literal with its brackets.
    Literal,
    /// One of `<>@,;:.`.
    Sign(u8),
}

#[derive(Clone, Debug)]
struct Token {
    kind: Kind,
    place: Range<usize>,
}

impl Token {
    fn is_word(&self) -> bool {
        !matches!(self.kind, Kind::Sign(_))
    }
}

struct Tokens<'a> {
    octets: &'a [u8],
    at: usize,
}

impl Tokens<'_> {
    /// The next token; comments and blanks are passed over.
    fn next_token(&mut self) -> Result<Option<Token>, &'static str> {
        loop {
            let start = self.at;
            let Some(octet) = self.take() else { return Ok(None) };
            let kind = match octet {
                b' ' | b'\t' | b'\r' | b'\n' => continue,
                b'(' => {
                    self.pass_comment()?;
                    continue;
                }
                b'"' => {
                    self.pass_to(b'"').ok_or("a quote is not closed")?;
                    Kind::Quoted
                }
                b'[' => {
                    self.pass_to(b']').ok_or("a [ is not closed")?;
                    Kind::Literal
                }
                b'<' | b'>' | b'@' | b',' | b';' | b':' | b'.' => Kind::Sign(octet),
                b')' | b']' | b'\\' => return Err("a sign that does not belong there"),
                _ if octet.is_ascii_control() => return Err("a control character"),
                _ => {
                    while self.octets.get(self.at).is_some_and(|b| is_atom(*b)) {
                        self.at += 1;
                    }
                    Kind::Atom
                }
            };
            return Ok(Some(Token { kind, place: start..self.at }));
        }
    }

    /// From after `<` to after `>`; the tokens of the address go into `words`. A source route
    /// (RFC 5322 §4.4) is dropped.
    fn inside_angle(&mut self, words: &mut Vec<Token>) -> Result<(), &'static str> {
        loop {
            let token = self.next_token()?.ok_or("a < without its >")?;
            let route = words.first().is_some_and(|t| t.kind == Kind::Sign(b'@'));
            match token.kind {
                Kind::Sign(b'>') => return Ok(()),
                Kind::Sign(b':') if route => words.clear(),
                Kind::Sign(b',') if route || words.is_empty() => {}
                Kind::Sign(b'<' | b',' | b';' | b':') => {
                    return Err("a sign that does not belong into an address");
                }
                _ if words.len() == limits::MAILBOX_TOKENS => {
                    return Err("an address of too many words");
                }
                _ => words.push(token),
            }
        }
    }

    fn take(&mut self) -> Option<u8> {
        let octet = self.octets.get(self.at).copied()?;
        self.at += 1;
        Some(octet)
    }

    /// To after the next `end` that no backslash stands before.
    fn pass_to(&mut self, end: u8) -> Option<()> {
        loop {
            match self.take()? {
                b'\\' => {
                    self.take()?;
                }
                octet if octet == end => return Some(()),
                _ => {}
            }
        }
    }

    /// To after the end of the comment whose `(` was taken. Comments nest: counted, not recursed
    /// into.
    fn pass_comment(&mut self) -> Result<(), &'static str> {
        let mut depth = 1usize;
        while depth > 0 {
            match self.take().ok_or("a comment is not closed")? {
                b'\\' => {
                    self.take();
                }
                b'(' => depth += 1,
                b')' => depth -= 1,
                _ => {}
            }
        }
        Ok(())
    }
}

fn is_atom(octet: u8) -> bool {
    !octet.is_ascii_control() && !b" ()<>[]:;@\\,.\"".contains(&octet)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> Result<Vec<String>, &'static str> {
        let found = mailboxes(value.as_bytes())?;
        Ok(found.into_iter().map(|m| m.address.to_string()).collect())
    }

    #[test]
    fn lists_are_read_as_people_and_devices_write_them() {
        for (value, addresses) in [
            ("", ""),
            (" , ,, ", ""),
            ("ann@x.example", "ann@x.example"),
            ("Ann Bee <ann@x.example>, bob@y.example", "ann@x.example bob@y.example"),
            ("\"Bee, Ann (x) <y>\" <ann@x.example>", "ann@x.example"),
            ("\"an \\\" odd\"@x.example", "\"an \\\" odd\"@x.example"),
            ("Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>", "pete@silly.test"),
            (
                "A Group(Some people):Chris <c@(Chris's host.)public.example>, joe@example.org;",
                "c@public.example joe@example.org",
            ),
            ("undisclosed-recipients:;", ""),
            ("a:b@x;, c@y", "b@x c@y"),
            ("ann@x.example; bob@y.example;", "ann@x.example bob@y.example"),
            ("<@one.example,@two.example:ann@x.example>", "ann@x.example"),
            ("ann . bee @ x . example", "ann.bee@x.example"),
            ("Cam v2.0 <cam@x>", "cam@x"),
            ("ann@x.example <ann@x.example>", "ann@x.example"),
            ("=?UTF-8?Q?J=C3=B6rg?= <j@x>", "j@x"),
            ("J\u{f6}rg <j\u{f6}rg@ex\u{e4}mple.org>", "j\u{f6}rg@ex\u{e4}mple.org"),
            ("root", "root"),
            ("a@[192.0.2.1], b@[IPv6:2001:db8::1]", "a@[192.0.2.1] b@[ipv6:2001:db8::1]"),
            ("Ann\r\n <ann@x>,\r\n\tbob@y", "ann@x bob@y"),
        ] {
            assert_eq!(read(value).map(|a| a.join(" ")), Ok(addresses.to_string()), "{value}");
        }
        assert_eq!(mailboxes(b"J\xf6rg <j@x>").map(|m| m.len()), Ok(1), "Latin-1 in a name");
    }

    #[test]
    fn what_two_readers_could_read_differently_is_refused() {
        for bad in [
            "Front Door",
            "<>",
            "a@x <>",
            "<a@x> b@y",
            "<a@x> <b@y>",
            "<a@x",
            "a@x>",
            "a@x (open",
            "\"open",
            "a@[1.2.3.4",
            ":a@x;",
            "g:h:a@x;",
            "a b@x",
            "<a@x, b@y>",
            "a@x@y",
            "a\u{0}@x",
            "a\\@x",
            "a@x)",
        ] {
            assert!(read(bad).is_err(), "{bad:?}: {:?}", read(bad));
        }
        assert!(mailboxes(b"j\xf6rg@x").is_err(), "an address that is not UTF-8");
    }

    #[test]
    fn the_place_of_an_address_is_where_it_can_be_completed() {
        let value = "Ann <ann>, bob (x), \"c d\"";
        let mut completed = value.to_string();
        for mailbox in mailboxes(value.as_bytes()).expect("readable").iter().rev() {
            completed.insert_str(mailbox.place.end, "@x.example");
        }
        assert_eq!(completed, "Ann <ann@x.example>, bob@x.example (x), \"c d\"@x.example");
    }

    #[test]
    fn a_field_holds_only_so_many_addresses_and_words() {
        let list = |n: usize| vec!["a@x"; n].join(",");
        assert_eq!(
            read(&list(limits::FIELD_MAILBOXES)).map(|a| a.len()),
            Ok(limits::FIELD_MAILBOXES)
        );
        assert!(read(&list(limits::FIELD_MAILBOXES + 1)).is_err());
        let name = |n: usize| format!("{}<a@x>", "w ".repeat(n));
        assert!(read(&name(limits::MAILBOX_TOKENS)).is_ok());
        assert!(read(&name(limits::MAILBOX_TOKENS + 1)).is_err());
        let route = |n: usize| format!("<@{}:a@x>", "r.".repeat(n));
        assert!(read(&route(limits::MAILBOX_TOKENS / 2 - 1)).is_ok());
        assert!(read(&route(limits::MAILBOX_TOKENS / 2)).is_err());
        let nested = format!("{}{} a@x", "(".repeat(100_000), ")".repeat(100_000));
        assert_eq!(read(&nested).map(|a| a.len()), Ok(1), "comments nest without recursion");
    }
}
