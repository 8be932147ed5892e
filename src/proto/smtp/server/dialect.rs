//! How devices speak that nobody can mend: what is overlooked of those we trust, and of nobody
//! else.

use core::fmt;

/// A departure from the standard that was overlooked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dialect {
    /// MAIL or AUTH without EHLO or HELO before it. RFC 5321 §4.1.4.
    NoGreeting,
    /// EHLO or HELO without a name. RFC 5321 §4.1.1.1.
    Nameless,
    /// Every line ended with LF alone, the message with LF `.` LF. RFC 5321 §2.3.8.
    LineFeeds,
    /// A login without a password.
    NoPassword,
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Dialect::NoGreeting => "no EHLO was said",
            Dialect::Nameless => "EHLO without a name",
            Dialect::LineFeeds => "lines ended with LF alone",
            Dialect::NoPassword => "login without a password",
        })
    }
}

/// How the lines of a session end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Ends {
    /// No line has come yet.
    #[default]
    Unknown,
    /// CR LF, as it should be.
    CrLf,
    /// LF alone: then a CR is nothing that may come.
    Lf,
}

impl Ends {
    /// How lines end from this one on, given without its LF; `None` where it may not end so. A
    /// session keeps to what it began with: were both taken, what is one message here could be two
    /// elsewhere.
    pub(super) fn of(self, line: &[u8], lenient: bool) -> Option<Ends> {
        let (cr, text) = match line.split_last() {
            Some((b'\r', text)) => (true, text),
            _ => (false, line),
        };
        let ends = if cr { Ends::CrLf } else { Ends::Lf };
        let begins = self == Ends::Unknown && (cr || lenient);
        ((self == ends || begins) && !text.contains(&b'\r')).then_some(ends)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_keeps_to_the_line_ends_it_began_with() {
        for (before, line, lenient, ends) in [
            (Ends::Unknown, "NOOP\r", false, Some(Ends::CrLf)),
            (Ends::Unknown, "NOOP\r", true, Some(Ends::CrLf)),
            (Ends::Unknown, "NOOP", false, None),
            (Ends::Unknown, "NOOP", true, Some(Ends::Lf)),
            (Ends::Unknown, "", true, Some(Ends::Lf)),
            (Ends::CrLf, "NOOP", true, None),
            (Ends::Lf, "NOOP\r", true, None),
            (Ends::Lf, "NO\rOP", true, None),
            (Ends::CrLf, "NO\rOP\r", true, None),
            (Ends::CrLf, "NOOP\r\r", true, None),
            (Ends::Lf, "NOOP", true, Some(Ends::Lf)),
        ] {
            assert_eq!(before.of(line.as_bytes(), lenient), ends, "{before:?} {line:?} {lenient}");
        }
    }
}
