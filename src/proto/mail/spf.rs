//! What a domain says about who may send in its name: SPF, as far as it is written. RFC 7208.
//!
//! Pure. Whoever follows it through DNS is [`crate::relay::spf`].

use std::net::IpAddr;

/// A record, taken apart. RFC 7208 §4.6.1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Directives in order.
    pub terms: Vec<Term>,
    /// Where to go on, where none of them fits.
    pub redirect: Option<String>,
}

/// What is said about those whom a mechanism fits. RFC 7208 §4.6.2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// What is said.
    pub verdict: Verdict,
    /// About whom.
    pub mechanism: Mechanism,
}

/// RFC 7208 §2.6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// They may.
    Pass,
    /// They may not.
    Fail,
    /// They should not.
    SoftFail,
    /// Nothing.
    Neutral,
}

/// Whom a term fits. Domains are as they stand there: they may hold macros (RFC 7208 §7); `None` is
/// the domain itself. RFC 7208 §5.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// Everybody.
    All,
    /// Whom another domain lets pass.
    Include(String),
    /// The addresses of a host, and their neighbours.
    A(Option<String>, Prefix),
    /// The addresses of a domain's mail servers, and their neighbours.
    Mx(Option<String>, Prefix),
    /// Whose name is below a domain; nobody should use it.
    Ptr(Option<String>),
    /// A network.
    Ip(IpAddr, u8),
    /// Everybody, where this name has an address.
    Exists(String),
}

/// Bits that count, of an IPv4 and of an IPv6 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix(pub u8, pub u8);

/// Is the text an SPF record at all? RFC 7208 §4.5.
pub fn is_record(text: &[u8]) -> bool {
    let Some((version, rest)) = text.split_at_checked(6) else { return false };
    version.eq_ignore_ascii_case(b"v=spf1") && rest.first().is_none_or(|b| *b == b' ')
}

impl Record {
    /// Take it apart.
    ///
    /// # Errors
    /// The term that is wrong.
    pub fn parse(text: &str) -> Result<Record, String> {
        let (mut terms, mut redirect, mut explained) = (Vec::new(), None, false);
        for word in text.split(' ').filter(|word| !word.is_empty()).skip(1) {
            let wrong = || word.to_string();
            if let Some((name, value)) = modifier(word) {
                let again = match name.to_ascii_lowercase().as_str() {
                    "redirect" => redirect.replace(domain(value).ok_or_else(wrong)?).is_some(),
                    "exp" => std::mem::replace(&mut explained, true),
                    _ => false,
                };
                if again {
                    return Err(wrong());
                }
                continue;
            }
            terms.push(term(word).ok_or_else(wrong)?);
        }
        Ok(Record { terms, redirect })
    }
}

/// `name=value`; what has a colon or a slash first is a mechanism.
fn modifier(word: &str) -> Option<(&str, &str)> {
    let (name, value) = word.split_once('=')?;
    let mut letters = name.bytes();
    let named = letters.next().is_some_and(|b| b.is_ascii_alphabetic())
        && letters.all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    named.then_some((name, value))
}

fn term(word: &str) -> Option<Term> {
    let qualifiers = [
        ('+', Verdict::Pass),
        ('-', Verdict::Fail),
        ('~', Verdict::SoftFail),
        ('?', Verdict::Neutral),
    ];
    let qualifier = qualifiers.into_iter().find(|(sign, _)| word.starts_with(*sign));
    let (verdict, word) =
        qualifier.map_or((Verdict::Pass, word), |(_, verdict)| (verdict, &word[1..]));
    let end = word.find([':', '/']).unwrap_or(word.len());
    let (name, rest) = word.split_at(end);
    let value = rest.strip_prefix(':');
    let hosts = || {
        let (host, prefix) = prefix(value.unwrap_or(rest))?;
        let host = match (value, host) {
            (None, "") => None,
            (Some(_), host) => Some(domain(host)?),
            (None, _) => return None,
        };
        Some((host, prefix))
    };
    let mechanism = match name.to_ascii_lowercase().as_str() {
        "all" if rest.is_empty() => Mechanism::All,
        "include" => Mechanism::Include(domain(value?)?),
        "exists" => Mechanism::Exists(domain(value?)?),
        "ptr" if rest.is_empty() => Mechanism::Ptr(None),
        "ptr" => Mechanism::Ptr(Some(domain(value?)?)),
        "a" => hosts().map(|(host, prefix)| Mechanism::A(host, prefix))?,
        "mx" => hosts().map(|(host, prefix)| Mechanism::Mx(host, prefix))?,
        "ip4" => network(value?).filter(|(ip, _)| ip.is_ipv4()).map(ip)?,
        "ip6" => network(value?).filter(|(ip, _)| ip.is_ipv6()).map(ip)?,
        _ => return None,
    };
    Some(Term { verdict, mechanism })
}

fn ip((address, bits): (IpAddr, u8)) -> Mechanism {
    Mechanism::Ip(address, bits)
}

fn network(text: &str) -> Option<(IpAddr, u8)> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    Some((address, bits.map_or(Some(most), |bits| length(bits, most))?))
}

/// What stands before `/24//64`, and these. RFC 7208 §5.3.
fn prefix(text: &str) -> Option<(&str, Prefix)> {
    // A slash may stand inside a macro.
    let from = text.rfind('}').map_or(0, |at| at + 1);
    let (text, six) = match text[from..].find("//") {
        Some(at) => (&text[..from + at], length(&text[from + at + 2..], 128)?),
        None => (text, 128),
    };
    let (text, four) = match text.get(from..).and_then(|rest| rest.find('/')) {
        Some(at) => (&text[..from + at], length(&text[from + at + 1..], 32)?),
        None => (text, 32),
    };
    Some((text, Prefix(four, six)))
}

fn length(digits: &str, most: u8) -> Option<u8> {
    let plain =
        digits.bytes().all(|b| b.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
    digits.parse().ok().filter(|bits| plain && *bits <= most)
}

/// Something that may stand for a domain: visible letters, macros among them. RFC 7208 §7.1.
fn domain(text: &str) -> Option<String> {
    let plain = text.bytes().all(|b| b.is_ascii_graphic());
    (plain && !text.is_empty()).then(|| text.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Record, String> {
        assert!(is_record(text.as_bytes()), "{text}");
        Record::parse(text)
    }

    fn mechanisms(text: &str) -> Vec<Mechanism> {
        parse(text).expect(text).terms.into_iter().map(|term| term.mechanism).collect()
    }

    fn ip(text: &str, bits: u8) -> Mechanism {
        Mechanism::Ip(text.parse().expect("an address"), bits)
    }

    #[test]
    fn a_record_is_told_from_other_texts() {
        for (text, is) in [
            ("v=spf1", true),
            ("V=SPF1 -all", true),
            ("v=spf1 ", true),
            ("v=spf10 -all", false),
            ("v=spf1\t-all", false),
            (" v=spf1 -all", false),
            ("v=spf", false),
            ("", false),
        ] {
            assert_eq!(is_record(text.as_bytes()), is, "{text:?}");
        }
    }

    #[test]
    fn every_mechanism_is_read_with_its_parts() {
        let host = |text: &str| Some(text.to_string());
        assert_eq!(
            mechanisms(
                "v=spf1 a a:x.example a/24 a:x.example/24//64 mx//48 +mx:y.example ptr \
                 ptr:z.example include:i.example exists:%{i}.e.example/x ip4:192.0.2.0/24 \
                 ip4:192.0.2.1 ip6:2001:db8::/32 all"
            ),
            [
                Mechanism::A(None, Prefix(32, 128)),
                Mechanism::A(host("x.example"), Prefix(32, 128)),
                Mechanism::A(None, Prefix(24, 128)),
                Mechanism::A(host("x.example"), Prefix(24, 64)),
                Mechanism::Mx(None, Prefix(32, 48)),
                Mechanism::Mx(host("y.example"), Prefix(32, 128)),
                Mechanism::Ptr(None),
                Mechanism::Ptr(host("z.example")),
                Mechanism::Include("i.example".into()),
                Mechanism::Exists("%{i}.e.example/x".into()),
                ip("192.0.2.0", 24),
                ip("192.0.2.1", 32),
                ip("2001:db8::", 32),
                Mechanism::All,
            ]
        );
    }

    #[test]
    fn qualifiers_case_blanks_and_modifiers_are_read() {
        let record =
            parse("v=spf1  -A ~MX  ?All x-y.z=1 Redirect=r.example exp=e.example").unwrap();
        let verdicts: Vec<Verdict> = record.terms.iter().map(|term| term.verdict).collect();
        assert_eq!(verdicts, [Verdict::Fail, Verdict::SoftFail, Verdict::Neutral]);
        assert_eq!(record.redirect.as_deref(), Some("r.example"));
        assert_eq!(
            parse("v=spf1 redirect=%{d1r/}.x").unwrap().redirect.as_deref(),
            Some("%{d1r/}.x")
        );
        assert_eq!(
            mechanisms("v=spf1 a:%{d1r/}.x/8"),
            [Mechanism::A(Some("%{d1r/}.x".into()), Prefix(8, 128))]
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        for wrong in [
            "foo",
            "all:x",
            "all/8",
            "include",
            "include:",
            "exists",
            "a:",
            "a/33",
            "a//129",
            "a/",
            "a/08",
            "a/24/64",
            "mx:x/24/x",
            "ip4:192.0.2.0/33",
            "ip4:2001:db8::1",
            "ip4",
            "ip4:192.0.2",
            "ip6:192.0.2.1",
            "ip6:2001:db8::1/129",
            "--all",
            "redirect=",
            "ptr/8",
            "\u{e4}",
        ] {
            assert_eq!(
                parse(&format!("v=spf1 mx {wrong} -all")),
                Err(wrong.to_string()),
                "{wrong}"
            );
        }
        assert_eq!(parse("v=spf1 redirect=a redirect=b"), Err("redirect=b".into()));
        assert_eq!(parse("v=spf1 exp=a exp=b"), Err("exp=b".into()));
    }
}
