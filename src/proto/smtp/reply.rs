//! Replies of a server that we are the client of. RFC 5321 §4.2.

use crate::{
    limits,
    proto::{
        machine::Pipe,
        status::{Class, Outcome, Status},
    },
};
use core::fmt;

/// One whole reply of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerReply {
    /// 200 to 599; that of the last line where lines differ (RFC 5321 §4.2.1).
    pub code: u16,
    /// Enhanced status as it was given, whatever its class. RFC 2034.
    pub status: Option<Status>,
    /// Code and words, all lines joined: `550 5.1.1 No such user`. One line of UTF-8 without
    /// controls, at most [`limits::REPLY_TEXT_BYTES`] octets.
    pub text: String,
}

/// What a server sent is no reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Garbled {
    /// A line without a code of 200 to 599; its beginning.
    NoCode(String),
    /// More than [`limits::REPLY_LINES`] lines, or as many octets as fill so many of the longest.
    TooLong,
}

impl fmt::Display for Garbled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Garbled::NoCode(line) => write!(f, "the server's reply made no sense: {line}"),
            Garbled::TooLong => f.write_str("the server's reply did not end"),
        }
    }
}

/// Reads replies as they arrive. Holds nothing between two replies.
#[derive(Debug, Default)]
pub struct Parser {
    /// Words of the lines so far.
    words: String,
    status: Option<Status>,
    lines: usize,
    /// Octets of this reply, those that were cut included.
    octets: usize,
    /// The beginning of a line that is longer than [`limits::REPLY_LINE_BYTES`] and has not ended
    /// yet.
    cut: Option<Vec<u8>>,
}

impl Parser {
    /// The next reply, or `None` where more input is needed; less than [`limits::REPLY_LINE_BYTES`]
    /// octets of input are left then. `each` sees the number, from 0, and the words of every line
    /// (EHLO keywords).
    ///
    /// Taken as they come: bare LF as line end; lines inside a multi-line reply that bear another
    /// code or none; lines that are too long, which are cut. RFC 5321 §4.2.1 asks a client to look
    /// at the code of the last line.
    ///
    /// # Errors
    /// What was sent is no reply. Nothing more can be read from this server then.
    pub fn read(
        &mut self,
        pipe: &mut Pipe,
        mut each: impl FnMut(usize, &str),
    ) -> Result<Option<PeerReply>, Garbled> {
        loop {
            let Some(line) = self.line(pipe)? else { return Ok(None) };
            self.lines += 1;
            let (code, more, words) = match split(&line) {
                Some(parts) => parts,
                None if self.lines > 1 => (200, true, line.as_slice()),
                None => return Err(Garbled::NoCode(beginning(&line))),
            };
            if !(200..=599).contains(&code) {
                return Err(Garbled::NoCode(beginning(&line)));
            }
            let words = printable(words);
            each(self.lines - 1, &words);
            self.append(&words);
            if !more {
                return Ok(Some(self.finish(code)));
            }
            if self.lines == limits::REPLY_LINES {
                return Err(Garbled::TooLong);
            }
        }
    }

    /// The next line without its end, cut at [`limits::REPLY_LINE_BYTES`].
    fn line(&mut self, pipe: &mut Pipe) -> Result<Option<Vec<u8>>, Garbled> {
        let end = pipe.input.iter().position(|b| *b == b'\n');
        let here = end.unwrap_or(pipe.input.len());
        if end.is_none() && self.cut.is_none() && here < limits::REPLY_LINE_BYTES {
            return Ok(None);
        }
        self.octets += here;
        if self.octets > limits::REPLY_LINES * limits::REPLY_LINE_BYTES {
            return Err(Garbled::TooLong);
        }
        let mut line = self.cut.take().unwrap_or_else(|| {
            pipe.input.get(..here.min(limits::REPLY_LINE_BYTES)).unwrap_or_default().to_vec()
        });
        pipe.consume(here.saturating_add(1));
        if end.is_none() {
            self.cut = Some(line);
            return Ok(None);
        }
        while line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(Some(line))
    }

    fn append(&mut self, words: &str) {
        let found = Status::parse(words);
        // RFC 2034 §4: every line of a multi-line reply starts with the status; once is enough for
        // a reader.
        let words = match found {
            Some((status, rest)) if self.lines > 1 && Some(status) == self.status => rest,
            _ => words,
        };
        self.status = self.status.or(found.map(|(status, _)| status));
        if self.words.len() < limits::REPLY_TEXT_BYTES && !words.is_empty() {
            if !self.words.is_empty() {
                self.words.push(' ');
            }
            self.words.push_str(words);
        }
    }

    fn finish(&mut self, code: u16) -> PeerReply {
        let Parser { words, status, .. } = std::mem::take(self);
        let text = if words.is_empty() { code.to_string() } else { format!("{code} {words}") };
        PeerReply { code, status, text: shortened(text) }
    }
}

impl PeerReply {
    /// 2, 3, 4 or 5.
    pub fn digit(&self) -> u16 {
        self.code / 100
    }

    /// What the reply means for a recipient; said by `by`.
    ///
    /// The first digit of the code decides between now, later and never (RFC 5321 §4.2.1); a status
    /// of another class is not believed (RFC 2034 §4). A 3yz where none was due is no success: try
    /// later.
    pub fn outcome(&self, by: &str) -> Outcome {
        let class = Class::from_digit(self.digit()).unwrap_or(Class::Transient);
        let status = self
            .status
            .filter(|status| status.class == class)
            .unwrap_or_else(|| customary(self.code, class));
        Outcome { status, by: by.to_string(), text: self.text.clone() }
    }
}

/// The status that goes with a code where the server gave none: RFC 5321 §4.2.3 and RFC 5248 §2.4
/// where they leave no doubt, else `x.0.0`.
fn customary(code: u16, class: Class) -> Status {
    let (subject, detail) = match code {
        421 | 521 => (3, 2),             // not accepting messages; RFC 7504 for 521
        450 => (2, 0),                   // mailbox unavailable
        452 => (3, 1),                   // system storage
        500 => (5, 2),                   // syntax
        502 | 503 | 300..=399 => (5, 0), // sequence of commands
        501 | 504 | 455 | 555 => (5, 4), // arguments
        551 => (1, 6),                   // moved
        552 => (2, 2),                   // storage allocation
        553 => (1, 3),                   // mailbox name
        556 => (1, 10),                  // domain takes no mail; RFC 7505
        534 => (7, 9),                   // RFC 4954 §6, as the next two
        535 => (7, 8),
        538 => (7, 11),
        _ => (0, 0),
    };
    Status::new(class, subject, detail)
}

/// Words that may hold anything, as the text of an outcome: one line without controls, cut at
/// [`limits::REPLY_TEXT_BYTES`].
pub fn one_line(text: &str) -> String {
    shortened(printable(text.as_bytes()))
}

fn shortened(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(limits::REPLY_TEXT_BYTES));
    text
}

/// Code, whether more lines follow, words.
fn split(line: &[u8]) -> Option<(u16, bool, &[u8])> {
    let (digits, rest) = line.split_first_chunk::<3>()?;
    let code = digits.iter().try_fold(0u16, |code, digit| {
        digit.is_ascii_digit().then(|| code * 10 + u16::from(digit - b'0'))
    })?;
    match rest {
        [] => Some((code, false, rest)),
        [b' ', words @ ..] => Some((code, false, words)),
        [b'-', words @ ..] => Some((code, true, words)),
        _ => None,
    }
}

fn printable(octets: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(octets)
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    text.trim().to_string()
}

fn beginning(line: &[u8]) -> String {
    printable(line.get(..80).unwrap_or(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(octets: &[u8]) -> Result<Option<PeerReply>, Garbled> {
        let mut parser = Parser::default();
        let mut pipe = Pipe::default();
        for octet in octets {
            pipe.input.push(*octet);
            let read = parser.read(&mut pipe, |_, _| {})?;
            if read.is_some() {
                assert!(pipe.input.is_empty());
                return Ok(read);
            }
            assert!(pipe.input.len() < limits::REPLY_LINE_BYTES);
        }
        Ok(None)
    }

    fn reply(octets: &[u8]) -> PeerReply {
        let slow = read(octets).expect("a reply").expect("whole");
        let mut pipe = Pipe { input: octets.to_vec(), output: Vec::new() };
        let fast = Parser::default().read(&mut pipe, |_, _| {}).expect("a reply").expect("whole");
        assert_eq!(slow, fast, "in one piece and octet by octet");
        fast
    }

    fn status(text: &str) -> Status {
        Status::parse(text).expect("a status").0
    }

    #[test]
    fn a_reply_is_code_status_and_words() {
        let one = reply(b"550 5.1.1 No such user\r\n");
        assert_eq!((one.code, one.status), (550, Some(status("5.1.1"))));
        assert_eq!(one.text, "550 5.1.1 No such user");
        assert_eq!(reply(b"250\r\n").text, "250");
        assert_eq!(reply(b"250 \r\n").text, "250");
        assert_eq!(reply(b"250 ok\n").text, "250 ok", "bare LF");
    }

    #[test]
    fn lines_are_joined_and_the_status_is_kept_once() {
        let joined = reply(b"550-5.1.1 No such\r\n550-5.1.1 user\r\n550 5.1.1 here\r\n");
        assert_eq!(joined.text, "550 5.1.1 No such user here");
        let late = reply(b"250-Fine\r\n250 2.6.0 Queued\r\n");
        assert_eq!(
            (late.text.as_str(), late.status),
            ("250 Fine 2.6.0 Queued", Some(status("2.6.0")))
        );
    }

    #[test]
    fn oddities_inside_a_reply_are_tolerated_and_the_last_code_counts() {
        assert_eq!(
            reply(b"250-a\r\n550-b\r\nnonsense\r\n\r\n451 c\r\n").text,
            "451 a b nonsense c"
        );
    }

    #[test]
    fn what_is_no_reply_is_told() {
        for bad in [
            &b"hello\r\n"[..],
            b"\r\n",
            b"25\r\n",
            b"2500 x\r\n",
            b"250OK\r\n",
            b"199 x\r\n",
            b"600 x\r\n",
            b"099-x\r\n",
            b"-250 x\r\n",
            b"\xff\xfe\x00\n",
            b"250-a\r\n999 b\r\n",
        ] {
            assert!(matches!(read(bad), Err(Garbled::NoCode(_))), "{bad:?}");
        }
        assert!(read(b"200 x\r\n").is_ok_and(|r| r.is_some()));
        assert!(read(b"599 x\r\n").is_ok_and(|r| r.is_some()));
    }

    #[test]
    fn a_long_line_is_cut_at_the_bound() {
        for (length, kept) in [(1023, 480), (1024, 480), (1025, 480), (9000, 480)] {
            let line = format!("250 {}\r\n250 next\r\n", "x".repeat(length - 4));
            let mut pipe = Pipe { input: line.into_bytes(), output: Vec::new() };
            let mut seen = 0;
            let mut parser = Parser::default();
            let reply = parser.read(&mut pipe, |_, words| seen = words.len()).expect("a reply");
            assert_eq!(reply.expect("whole").text.len(), kept);
            assert_eq!(seen, length.min(limits::REPLY_LINE_BYTES) - 4);
            let next = parser.read(&mut pipe, |_, _| {}).expect("a reply").expect("whole");
            assert_eq!(next.text, "250 next");
        }
        assert_eq!(reply(format!("250 {}\r\n", "x".repeat(5000)).as_bytes()).code, 250);
    }

    #[test]
    fn lines_are_counted_to_the_bound_and_refused_past_it() {
        let lines = |n: usize| format!("{}250 z\r\n", "250-y\r\n".repeat(n - 1));
        assert!(read(lines(limits::REPLY_LINES).as_bytes()).is_ok_and(|r| r.is_some()));
        assert_eq!(read(lines(limits::REPLY_LINES + 1).as_bytes()), Err(Garbled::TooLong));
    }

    #[test]
    fn a_line_without_end_is_refused_at_the_bound() {
        let most = limits::REPLY_LINES * limits::REPLY_LINE_BYTES;
        let line = |n: usize| format!("250 {}\n", "x".repeat(n - 4));
        assert!(read(line(most).as_bytes()).is_ok_and(|r| r.is_some()));
        assert_eq!(read(line(most + 1).as_bytes()), Err(Garbled::TooLong));
    }

    #[test]
    fn text_is_one_bounded_line_of_utf_8_without_controls() {
        assert_eq!(reply(b"550 a\tb\x07\xffc\r\r\n").text, "550 a b \u{fffd}c");
        let long = reply(format!("550 {}\r\n", "é".repeat(400)).as_bytes());
        assert_eq!(long.text.len(), limits::REPLY_TEXT_BYTES);
        let odd = reply(format!("550 x{}\r\n", "é".repeat(400)).as_bytes());
        assert_eq!(odd.text.len(), limits::REPLY_TEXT_BYTES - 1);
        assert_eq!(one_line("a\r\n250 b\0"), "a  250 b");
        assert_eq!(one_line(&"x".repeat(481)).len(), 480);
    }

    #[test]
    fn the_first_digit_decides_and_a_status_of_another_class_is_not_believed() {
        for (line, expected) in [
            ("250 2.6.0 Queued", "2.6.0"),
            ("250 Ok", "2.0.0"),
            ("250 5.1.1 odd", "2.0.0"),
            ("450 4.2.1 Busy", "4.2.1"),
            ("451 Later", "4.0.0"),
            ("421 Bye", "4.3.2"),
            ("550 No", "5.0.0"),
            ("550 4.2.2 Full", "5.0.0"),
            ("552 Full", "5.2.2"),
            ("556 Null MX", "5.1.10"),
            ("354 Go ahead", "4.5.0"),
        ] {
            let outcome = reply(format!("{line}\r\n").as_bytes()).outcome("mx.example");
            assert_eq!(outcome.status, status(expected), "{line}");
            assert_eq!((outcome.text.as_str(), outcome.by.as_str()), (line, "mx.example"));
        }
    }
}
