//! What was said in a session, for a person to read: every command and every reply, without the
//! octets of messages and without anything that proves who we are.

use crate::limits;

/// One line of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spoken {
    /// By us.
    Us(String),
    /// By the server; the lines of a reply joined.
    Server(String),
}

impl Spoken {
    /// `C: EHLO relay.example`, `S: 250 …`.
    pub fn line(&self) -> String {
        match self {
            Spoken::Us(words) => format!("C: {words}"),
            Spoken::Server(words) => format!("S: {words}"),
        }
    }
}

/// What was said since it was last taken: no more lines than [`limits::SPOKEN_LINES`].
#[derive(Debug, Default)]
pub(super) struct Record(Vec<Spoken>);

impl Record {
    pub(super) fn us(&mut self, words: &str) {
        self.add(Spoken::Us(cut(words)));
    }

    /// A line of a login: the name of the mechanism may be seen, and that something was said.
    pub(super) fn proof(&mut self, line: &str) {
        let mut words = line.splitn(3, ' ');
        let shown = match (words.next(), words.next(), words.next()) {
            (Some("AUTH"), Some(mechanism), None) => format!("AUTH {mechanism}"),
            (Some("AUTH"), Some(mechanism), Some(_)) => format!("AUTH {mechanism} …"),
            (Some("*"), None, None) => "*".into(),
            _ => "…".into(),
        };
        self.add(Spoken::Us(shown));
    }

    /// Commands as they were written.
    pub(super) fn commands(&mut self, octets: &[u8]) {
        for line in octets.split(|octet| *octet == b'\n') {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if !line.is_empty() {
                self.us(&String::from_utf8_lossy(line));
            }
        }
    }

    pub(super) fn server(&mut self, words: &str) {
        self.add(Spoken::Server(cut(words)));
    }

    fn add(&mut self, spoken: Spoken) {
        if self.0.len() < limits::SPOKEN_LINES {
            self.0.push(spoken);
        }
    }

    pub(super) fn take(&mut self) -> Vec<Spoken> {
        std::mem::take(&mut self.0)
    }
}

fn cut(words: &str) -> String {
    let end = words.floor_char_boundary(limits::SPOKEN_BYTES);
    let more = if end < words.len() { "…" } else { "" };
    format!("{}{more}", &words[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_proves_who_we_are_is_kept() {
        let mut record = Record::default();
        for line in ["AUTH PLAIN AHRpbQB4", "AUTH LOGIN", "c2VjcmV0", "*", "a b c", ""] {
            record.proof(line);
        }
        let lines: Vec<String> = record.take().iter().map(Spoken::line).collect();
        assert_eq!(lines, ["C: AUTH PLAIN …", "C: AUTH LOGIN", "C: …", "C: *", "C: …", "C: …"]);
        assert!(record.take().is_empty());
    }

    #[test]
    fn lines_are_cut_and_counted() {
        let mut record = Record::default();
        record.commands(b"MAIL FROM:<a@b>\r\nRCPT TO:<\xffc@d>\r\n");
        record.server(&"x".repeat(limits::SPOKEN_BYTES));
        record.server(&"x".repeat(limits::SPOKEN_BYTES + 1));
        let lines = record.take();
        assert_eq!(lines[0], Spoken::Us("MAIL FROM:<a@b>".into()));
        assert_eq!(lines.len(), 4);
        assert_eq!(lines[2].line().len(), limits::SPOKEN_BYTES + 3);
        assert!(lines[3].line().ends_with("x…"));
        for _ in 0..=limits::SPOKEN_LINES {
            record.us("NOOP");
        }
        assert_eq!(record.take().len(), limits::SPOKEN_LINES);
    }
}
