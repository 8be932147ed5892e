//! What was said to servers about the last messages, so that a person can see it. In memory, and
//! bounded: the history keeps the words that mattered.

use crate::{limits, proto::smtp::client::Spoken, relay::envelope::Id, time::Wall};
use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    fmt::Write,
};

/// The last ones.
#[derive(Default)]
pub struct Transcripts {
    kept: RefCell<VecDeque<Transcript>>,
    octets: Cell<usize>,
}

/// One session, as far as it was about one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transcript {
    /// The message.
    pub id: Id,
    /// When it ended, if the clock was set.
    pub at: Option<Wall>,
    /// Lines, `C: ` before ours and `S: ` before the server's.
    pub text: String,
}

impl Transcripts {
    /// Keep one; the oldest make room for it.
    pub fn keep(&self, transcript: Transcript) {
        let mut kept = self.kept.borrow_mut();
        let of = |transcript: &Transcript| transcript.text.len() + size_of::<Transcript>();
        self.octets.set(self.octets.get() + of(&transcript));
        kept.push_back(transcript);
        while self.octets.get() > limits::TRANSCRIPTS_BYTES {
            let Some(oldest) = kept.pop_front() else { return };
            self.octets.set(self.octets.get() - of(&oldest));
        }
    }

    /// Those of a message, the earliest first.
    pub fn of(&self, id: Id) -> Vec<Transcript> {
        self.kept.borrow().iter().filter(|kept| kept.id == id).cloned().collect()
    }
}

/// A session that goes on: what was said before its first message, and about the present one.
#[derive(Debug, Default)]
pub struct Scribe {
    opening: Vec<String>,
    message: Vec<String>,
    begun: bool,
}

impl Scribe {
    /// There is a new connection; in words, to whom.
    pub fn connected(&mut self, host: &str) {
        *self = Scribe::default();
        self.opening.push(format!("({host})"));
    }

    /// Something happened that was not said, in words.
    pub fn note(&mut self, words: &str) {
        self.add(format!("({words})"));
    }

    /// Something was said.
    pub fn heard(&mut self, spoken: &Spoken) {
        self.add(spoken.line());
    }

    /// What follows is about another message.
    pub fn begin(&mut self) {
        self.begun = true;
        self.message.clear();
    }

    fn add(&mut self, line: String) {
        let lines = if self.begun { &mut self.message } else { &mut self.opening };
        if lines.len() < limits::SPOKEN_LINES {
            lines.push(line);
        }
    }

    /// All of it that is about the present message: where there is too much, the middle is left
    /// out.
    pub fn text(&self) -> String {
        let lines: Vec<&String> = self.opening.iter().chain(&self.message).collect();
        let octets = |lines: &[&String]| lines.iter().map(|line| line.len() + 1).sum::<usize>();
        let half = limits::TRANSCRIPT_BYTES / 2;
        let (mut first, mut last) = (lines.len(), lines.len());
        if octets(&lines) > limits::TRANSCRIPT_BYTES {
            first = (0..lines.len()).rev().find(|n| octets(&lines[..*n]) <= half).unwrap_or(0);
            last = (first..lines.len()).find(|n| octets(&lines[*n..]) <= half).unwrap_or(last);
        }
        let mut text = String::with_capacity(octets(&lines).min(limits::TRANSCRIPT_BYTES + 64));
        let left = last - first;
        for (n, line) in lines.iter().enumerate() {
            if n == first && left > 0 {
                writeln!(text, "({left} lines are left out)").expect("a String takes everything");
            }
            if n < first || n >= last {
                text.push_str(line);
                text.push('\n');
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_message_has_its_own_after_what_opened_the_session() {
        let mut scribe = Scribe::default();
        scribe.connected("mx.example [192.0.2.1]:25");
        scribe.heard(&Spoken::Server("220 hi".into()));
        scribe.begin();
        scribe.heard(&Spoken::Us("MAIL FROM:<a@b>".into()));
        let first = "(mx.example [192.0.2.1]:25)\nS: 220 hi\nC: MAIL FROM:<a@b>\n";
        assert_eq!(scribe.text(), first);
        scribe.begin();
        scribe.note("encrypted");
        assert!(scribe.text().ends_with("S: 220 hi\n(encrypted)\n"));
    }

    #[test]
    fn of_one_that_is_too_long_the_middle_is_left_out() {
        let mut scribe = Scribe::default();
        scribe.connected("host");
        for n in 0..limits::SPOKEN_LINES {
            scribe.heard(&Spoken::Us(format!("{n:0>250}")));
        }
        let text = scribe.text();
        assert!(text.len() <= limits::TRANSCRIPT_BYTES + 64, "{}", text.len());
        assert!(text.starts_with("(host)\nC: 000") && text.contains(" lines are left out)\n"));
        let last = limits::SPOKEN_LINES - 2;
        assert!(text.ends_with(&format!("{last}\n")), "the connection takes a line of its own");
    }

    #[test]
    fn the_oldest_make_room() {
        let kept = Transcripts::default();
        let text = "x".repeat(limits::TRANSCRIPT_BYTES);
        let most = limits::TRANSCRIPTS_BYTES / (text.len() + size_of::<Transcript>());
        for n in 0..most as u64 + 3 {
            kept.keep(Transcript { id: Id::new(n), at: None, text: text.clone() });
        }
        assert_eq!(kept.kept.borrow().len(), most);
        assert!(kept.of(Id::new(2)).is_empty() && kept.of(Id::new(3)).len() == 1);
    }
}
