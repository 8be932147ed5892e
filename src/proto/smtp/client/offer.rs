//! What a server offers in its reply to EHLO. RFC 5321 §4.1.1.1.

use crate::proto::sasl::Mechanism;

/// The extensions that we use where they are offered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "the RFCs' keywords, independent of each other")]
pub(super) struct Offered {
    /// RFC 2920.
    pub(super) pipelining: bool,
    /// RFC 1870.
    pub(super) size: bool,
    /// Largest message, octets; `None`: not told.
    pub(super) size_max: Option<u64>,
    /// RFC 6152.
    pub(super) eight_bit: bool,
    /// RFC 6531.
    pub(super) utf8: bool,
    /// RFC 3030.
    pub(super) chunking: bool,
    /// RFC 3461.
    pub(super) dsn: bool,
    /// RFC 3207.
    pub(super) starttls: bool,
    /// RFC 4954, those that we know.
    pub(super) mechanisms: Vec<Mechanism>,
}

impl Offered {
    /// Take in one line of the reply, without its code. The first names the server and offers
    /// nothing.
    pub(super) fn note(&mut self, number: usize, line: &str) {
        if number == 0 {
            return;
        }
        // Old servers write `AUTH=LOGIN`, before RFC 2554 settled on a blank.
        let mut words = line.split([' ', '=']).filter(|word| !word.is_empty());
        match words.next().unwrap_or_default().to_ascii_uppercase().as_str() {
            "PIPELINING" => self.pipelining = true,
            "SIZE" => {
                self.size = true;
                // RFC 1870 §4: 0 stands for no fixed maximum.
                self.size_max = words.next().and_then(|n| n.parse().ok()).filter(|n| *n > 0);
            }
            "8BITMIME" => self.eight_bit = true,
            "SMTPUTF8" => self.utf8 = true,
            "CHUNKING" => self.chunking = true,
            "DSN" => self.dsn = true,
            "STARTTLS" => self.starttls = true,
            "AUTH" => words.for_each(|word| {
                let known = Mechanism::ALL.into_iter();
                let mut known = known.filter(|known| word.eq_ignore_ascii_case(known.name()));
                if let Some(mechanism) = known.next()
                    && !self.mechanisms.contains(&mechanism)
                {
                    self.mechanisms.push(mechanism);
                }
            }),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(lines: &[&str]) -> Offered {
        let mut offered = Offered::default();
        lines.iter().enumerate().for_each(|(number, line)| offered.note(number, line));
        offered
    }

    #[test]
    fn keywords_are_known_in_any_case_and_the_first_line_is_none() {
        let all = offered(&[
            "mx.example",
            "pipelining",
            "SIZE 1000",
            "8BitMime",
            "SMTPUTF8",
            "chunking",
            "DSN",
            "STARTTLS",
            "AUTH GSSAPI SCRAM-SHA-256-PLUS plain cram-md5",
            "AUTH=LOGIN PLAIN",
            "X-ODD thing",
            "",
        ]);
        let expected = Offered {
            pipelining: true,
            size: true,
            size_max: Some(1000),
            eight_bit: true,
            utf8: true,
            chunking: true,
            dsn: true,
            starttls: true,
            mechanisms: vec![Mechanism::Plain, Mechanism::CramMd5, Mechanism::Login],
        };
        assert_eq!(all, expected);
        assert_eq!(offered(&["PIPELINING"]), Offered::default());
        assert_eq!(offered(&["x", "PIPELININGS", "XSIZE 5", "AUTHPLAIN"]), Offered::default());
    }

    #[test]
    fn a_size_of_nothing_is_no_bound() {
        for line in ["SIZE", "SIZE 0", "SIZE much", "SIZE 99999999999999999999999"] {
            let offered = offered(&["x", line]);
            assert_eq!((offered.size, offered.size_max), (true, None), "{line}");
        }
    }
}
