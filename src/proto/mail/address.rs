//! Mailboxes. RFC 5321 §4.1.2.

use crate::limits;
use core::fmt;

/// A mailbox, `local@domain`, or a bare local part where no domain was given (its domain is then
/// empty).
///
/// The local part is kept as it was given, quotes included; the domain is lower case. An address
/// literal (`[192.0.2.1]`) counts as a domain.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    text: String,
    at: usize,
}

impl Address {
    /// Read a mailbox without angle brackets.
    ///
    /// # Errors
    /// What is wrong with it, in words for a person.
    pub fn parse(text: &str) -> Result<Address, &'static str> {
        let end = local_part_end(text)?;
        let (local, rest) = text.split_at(end);
        if local.is_empty() {
            return Err("the part before the @ is empty");
        }
        if local.len() > limits::LOCAL_PART_BYTES {
            return Err("the part before the @ is longer than 64 octets");
        }
        let domain = match rest.strip_prefix('@') {
            None if rest.is_empty() => "",
            None => return Err("only an @ may follow the part before it"),
            Some("") => return Err("the domain is empty"),
            Some(domain) => domain,
        };
        // Some letters are longer in lower case: what counts is what is kept.
        let domain = domain.to_lowercase();
        if !domain.is_empty() {
            check_domain(&domain)?;
        }
        let text = if domain.is_empty() { local.to_string() } else { format!("{local}@{domain}") };
        if text.len() > limits::PATH_BYTES - 2 {
            return Err("longer than 254 octets");
        }
        Ok(Address { text, at: end })
    }

    /// The part before the @, quotes included.
    pub fn local(&self) -> &str {
        self.text.get(..self.at).unwrap_or("")
    }

    /// The part after the @, lower case; empty where there is none.
    pub fn domain(&self) -> &str {
        self.text.get(self.at + 1..).unwrap_or("")
    }

    /// The whole of it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Free of octets above 127.
    pub fn is_ascii(&self) -> bool {
        self.text.is_ascii()
    }

    /// The same mailbox at another domain.
    ///
    /// # Errors
    /// As [`Address::parse`].
    pub fn at_domain(&self, domain: &str) -> Result<Address, &'static str> {
        Address::parse(&format!("{}@{domain}", self.local()))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Where the local part ends: a dot-string or a quoted string. RFC 5321 §4.1.2, RFC 6531 §3.3.
fn local_part_end(text: &str) -> Result<usize, &'static str> {
    if let Some(quoted) = text.strip_prefix('"') {
        let mut escaped = false;
        for (at, c) in quoted.char_indices() {
            match c {
                _ if c.is_control() => return Err("a control character in the quoted part"),
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => return Ok(at + 2),
                _ => {}
            }
        }
        return Err("a quote is not closed");
    }
    let end = text.find('@').unwrap_or(text.len());
    let local = text.get(..end).unwrap_or("");
    let plain = |c: char| {
        c.is_ascii_alphanumeric()
            || "!#$%&'*+-/=?^_`{|}~.".contains(c)
            || (!c.is_ascii() && !c.is_control())
    };
    if !local.chars().all(plain) {
        return Err("a character before the @ that is not allowed there without quotes");
    }
    // Devices send `a..b@` and `.a@`; several large providers hand such addresses out too. What
    // they mean is clear, so they are taken (RFC 1122 §1.2.2).
    Ok(end)
}

fn check_domain(domain: &str) -> Result<(), &'static str> {
    if domain.len() > limits::DOMAIN_BYTES {
        return Err("the domain is longer than 255 octets");
    }
    if let Some(literal) = domain.strip_prefix('[') {
        let inside = literal.strip_suffix(']').ok_or("an address literal without its ]")?;
        let address = inside.strip_prefix("ipv6:");
        let good = match address {
            Some(six) => six.parse::<core::net::Ipv6Addr>().is_ok(),
            None => inside.parse::<core::net::Ipv4Addr>().is_ok(),
        };
        return if good { Ok(()) } else { Err("not an IP address between [ and ]") };
    }
    for label in domain.strip_suffix('.').unwrap_or(domain).split('.') {
        if label.is_empty() || label.len() > 63 {
            return Err("a domain label is empty or longer than 63 octets");
        }
        // Underscores are in real host names of devices. Beyond ASCII a label has marks as well as
        // letters (RFC 5892 §2.1); which of them may stand where is judged when DNS is asked.
        let good = |c: char| {
            c.is_ascii_alphanumeric()
                || c == '-'
                || c == '_'
                || (!c.is_ascii() && !c.is_control() && !c.is_whitespace())
        };
        if !label.chars().all(good) {
            return Err("a character in the domain that is not allowed there");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mailboxes_are_read_and_domains_lowered() {
        let a = Address::parse("Ann.Bee+x@Example.ORG").expect("valid");
        assert_eq!(
            (a.local(), a.domain(), a.as_str()),
            ("Ann.Bee+x", "example.org", "Ann.Bee+x@example.org")
        );
        let q = Address::parse("\"a @ b\"@x.example").expect("valid");
        assert_eq!((q.local(), q.domain()), ("\"a @ b\"", "x.example"));
        let bare = Address::parse("postmaster").expect("valid");
        assert_eq!((bare.local(), bare.domain()), ("postmaster", ""));
        assert!(Address::parse("a@[192.0.2.1]").is_ok());
        assert!(Address::parse("a@[IPv6:2001:db8::1]").is_ok());
        assert!(Address::parse("jörg@exämple.org").is_ok());
    }

    #[test]
    fn bad_mailboxes_are_refused() {
        for bad in [
            "",
            "@x",
            "a@",
            "a b@x",
            "a@x y",
            "a@@x",
            "a@[1.2.3]",
            "\"a@x",
            "a@x..y",
            "a\r\n@x",
            "a@-\u{7f}",
            "<a@x>",
        ] {
            assert!(Address::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_address_reads_back_as_it_prints() {
        // A dotted capital I becomes two characters in lower case, one of them a mark.
        let hindi = "a@\u{939}\u{93f}\u{928}\u{94d}\u{926}\u{940}.example";
        for text in ["a@\u{130}.example", hindi, "A@[IPv6:2001:DB8::1]", "a@\u{212a}.example"] {
            let address = Address::parse(text).expect(text);
            assert_eq!(Address::parse(address.as_str()), Ok(address), "{text}");
        }
        let label = "\u{23a}".repeat(31);
        let long = format!("a@{label}.{label}.{label}.{}", "\u{23a}".repeat(30));
        assert!(long.len() <= 254 && Address::parse(&long).is_err(), "longer in lower case");
    }

    #[test]
    fn lengths_are_bounded_as_the_rfc_does() {
        let local = |n: usize| format!("{}@x.example", "a".repeat(n));
        assert!(Address::parse(&local(64)).is_ok());
        assert!(Address::parse(&local(65)).is_err());
        let label = "b".repeat(60);
        let long = |n: usize| format!("a@{label}.{label}.{label}.{}", "c".repeat(n));
        assert_eq!(long(69).len(), 254);
        assert!(Address::parse(&long(60)).is_ok());
        assert!(Address::parse(&long(64)).is_err(), "a label of 64");
    }
}
