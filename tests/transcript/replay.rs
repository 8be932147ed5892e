//! The runner, for any machine. `tests/README.md` describes the format of a transcript.

use std::{collections::VecDeque, fs, path::Path, time::Duration};
use waypost::{
    limits,
    proto::machine::{Machine, Step},
};

/// What the runner must know of a machine to replay its transcripts.
pub(crate) trait Actor {
    /// The machine.
    type Machine: Machine;
    /// The letter before the lines that the machine says: `S`, or `C`. The other letter is the
    /// peer's.
    const SPEAKS: char;
    /// The peer may send everything at once, without waiting for any reply: replay it so as well.
    const HASTY_PEER: bool;

    /// The machine that the words after the `@` describe.
    fn cast(directives: &[&str]) -> Result<Self::Machine, String>;

    /// A question in one line.
    fn line(ask: &<Self::Machine as Machine>::Ask) -> String;

    /// The answer that a line after `!` means. [`octets`] reads escapes.
    fn answer(text: &str) -> Result<<Self::Machine as Machine>::Answer, String>;

    /// Where a question only hands octets over: these, and its answer. Where one of them ends is no
    /// part of the conversation, so the runner joins neighbours before it compares.
    fn handed_over(
        _ask: &<Self::Machine as Machine>::Ask,
    ) -> Option<(&[u8], <Self::Machine as Machine>::Answer)> {
        None
    }
}

/// Replay every `*.session` in a folder beside this file, in every way.
pub(crate) fn replay_folder<A: Actor>(folder: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcript").join(folder);
    let mut paths: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("a folder that can be listed").path())
        .filter(|path| path.extension().is_some_and(|e| e == "session"))
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "no *.session in {}", folder.display());
    let mut failures = Vec::new();
    for path in paths {
        let text = fs::read_to_string(&path).expect("a transcript is UTF-8");
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if let Err(failure) = replay::<A>(&text) {
            failures.push(format!("{name}:{failure}"));
        }
    }
    assert!(failures.is_empty(), "{} failed\n\n{}\n", failures.len(), failures.join("\n\n"));
}

/// Replay one transcript, in every way.
///
/// # Errors
/// `line: (way) what was expected, and what came`.
pub(crate) fn replay<A: Actor>(text: &str) -> Result<(), String> {
    let script = Script::parse::<A>(text)?;
    let ways: &[bool] = if A::HASTY_PEER { &[false, true] } else { &[false] };
    for &hasty in ways {
        for piece in [usize::MAX, 1, 2, 3, 7, 64] {
            let directives: Vec<&str> = script.directives.iter().map(String::as_str).collect();
            let machine = A::cast(&directives).map_err(|e| format!("1: {e}"))?;
            let items = if hasty { ahead(&script.items) } else { script.items.clone() };
            let mut stage = Stage::<A> {
                machine,
                items,
                hasty,
                at: 0,
                matched: 0,
                wire: VecDeque::new(),
                seen: 0,
            };
            stage.play(piece).map_err(|error| {
                let line = stage.items.get(stage.at).map_or(script.lines, |item| item.line);
                let haste = if hasty { "all at once, " } else { "" };
                let piece = if piece == usize::MAX { "whole".into() } else { piece.to_string() };
                format!("{line}: ({haste}pieces: {piece}) {error}")
            })?;
        }
    }
    Ok(())
}

/// The octets that a line stands for: `\r`, `\n`, `\t`, `\0`, `\s` (a blank), `\\`, `\{`, `\x80`,
/// and `{text*500}` for repetition. CRLF is added, unless the line ends in a lone `\`.
pub(crate) fn octets(text: &str) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = match c {
            '\\' if rest.len() == 1 => return Ok(out),
            '\\' | '{' => special(rest, &mut out)?,
            _ => {
                let (one, rest) = rest.split_at(c.len_utf8());
                out.extend_from_slice(one.as_bytes());
                rest
            }
        };
    }
    out.extend_from_slice(b"\r\n");
    Ok(out)
}

/// An escape or a repetition; returns what follows it.
fn special<'a>(text: &'a str, out: &mut Vec<u8>) -> Result<&'a str, String> {
    let wrong = || format!("an escape that is none: {text}");
    if let Some(inner) = text.strip_prefix('{') {
        let (inner, rest) = inner.split_once('}').ok_or_else(wrong)?;
        let (what, times) = inner.rsplit_once('*').ok_or_else(wrong)?;
        let what = octets(&format!("{what}\\"))?;
        out.extend(what.repeat(times.parse().map_err(|_| wrong())?));
        return Ok(rest);
    }
    let simple = match text.as_bytes().get(1).copied() {
        Some(b'x') => {
            let digits = text.get(2..4).ok_or_else(wrong)?;
            out.push(u8::from_str_radix(digits, 16).map_err(|_| wrong())?);
            return Ok(&text[4..]);
        }
        Some(b'r') => b'\r',
        Some(b'n') => b'\n',
        Some(b't') => b'\t',
        Some(b'0') => 0,
        Some(b's') => b' ',
        Some(b'\\') => b'\\',
        Some(b'{') => b'{',
        _ => return Err(wrong()),
    };
    out.push(simple);
    Ok(&text[2..])
}

/// What happens in a transcript, in order.
#[derive(Clone, Debug, PartialEq)]
enum Event {
    /// The peer sends.
    Feed(Vec<u8>),
    /// The machine sends.
    Say(Vec<u8>),
    /// The machine hands octets over.
    Body(Vec<u8>),
    /// The machine asks, and is answered.
    Ask(String, String),
    /// The machine is told something unasked.
    News(String),
    /// The peer stays silent.
    Silence(Duration),
    /// TLS starts.
    Tls,
    /// The machine hangs up.
    Closed,
}

#[derive(Clone, Debug)]
struct Item {
    line: usize,
    event: Event,
}

#[derive(Debug, Default)]
struct Script {
    directives: Vec<String>,
    items: Vec<Item>,
    lines: usize,
}

impl Script {
    fn parse<A: Actor>(text: &str) -> Result<Script, String> {
        let mut script = Script::default();
        let mut question: Option<(usize, String)> = None;
        for (line, text) in (1..).zip(text.lines()) {
            script.lines = line;
            let wrong = |why: &str| format!("{line}: {why}: {text}");
            let (mark, rest) = text.split_at(text.find([' ', ':']).unwrap_or(text.len()));
            let rest = rest.strip_prefix(':').unwrap_or(rest);
            let rest = rest.strip_prefix(' ').unwrap_or(rest);
            if question.is_some() && mark != "!" {
                return Err(wrong("a question without its answer before this"));
            }
            let event = match mark {
                "" | "#" => continue,
                "@" => {
                    script.directives.extend(rest.split_whitespace().map(String::from));
                    continue;
                }
                "C" | "S" => {
                    let octets = octets(rest).map_err(|e| wrong(&e))?;
                    if mark.starts_with(A::SPEAKS) {
                        Event::Say(octets)
                    } else {
                        Event::Feed(octets)
                    }
                }
                "?" => {
                    let Some(body) = rest.strip_prefix("Body ").or((rest == "Body").then_some(""))
                    else {
                        question = Some((line, rest.to_string()));
                        continue;
                    };
                    Event::Body(octets(body).map_err(|e| wrong(&e))?)
                }
                "!" => match question.take() {
                    Some((line, ask)) => {
                        script.items.push(Item { line, event: Event::Ask(ask, rest.to_string()) });
                        continue;
                    }
                    None => Event::News(rest.to_string()),
                },
                "~" => Event::Silence(duration(rest).ok_or_else(|| wrong("no duration"))?),
                "=" if rest == "tls" => Event::Tls,
                "=" if rest == "closed" => Event::Closed,
                _ => return Err(wrong("not a line of a transcript")),
            };
            script.push(line, event);
        }
        Ok(script)
    }

    /// Append, as one with a neighbour of the same kind.
    fn push(&mut self, line: usize, event: Event) {
        match (self.items.last_mut().map(|item| &mut item.event), event) {
            (Some(Event::Feed(before)), Event::Feed(more))
            | (Some(Event::Body(before)), Event::Body(more)) => before.extend(more),
            (_, event) => self.items.push(Item { line, event }),
        }
    }
}

fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let number = number.parse().ok()?;
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_mins(number)),
        "h" => Some(Duration::from_hours(number)),
        _ => None,
    }
}

/// The same conversation with a peer that sends all it has to say as early as it can: what stops it
/// are TLS, silence and news.
fn ahead(items: &[Item]) -> Vec<Item> {
    let barrier = |item: &Item| {
        matches!(item.event, Event::Tls | Event::Silence(_) | Event::News(_) | Event::Closed)
    };
    let mut out = Vec::new();
    for part in items.split_inclusive(barrier) {
        let mut early = Vec::new();
        for item in part {
            if let Event::Feed(octets) = &item.event {
                early.extend_from_slice(octets);
            }
        }
        if let Some(Item { line, .. }) = part.first()
            && !early.is_empty()
        {
            out.push(Item { line: *line, event: Event::Feed(early) });
        }
        out.extend(part.iter().filter(|i| !matches!(i.event, Event::Feed(_))).cloned());
    }
    out
}

/// One replay under way.
struct Stage<A: Actor> {
    machine: A::Machine,
    items: Vec<Item>,
    /// The peer sends what it has to say whether the machine waits for it or not.
    hasty: bool,
    /// The item that is expected next.
    at: usize,
    /// Octets of that item that have come already.
    matched: usize,
    /// What the peer has sent and the machine has not been given.
    wire: VecDeque<u8>,
    /// Octets of the machine's output that were compared already.
    seen: usize,
}

impl<A: Actor> Stage<A> {
    fn play(&mut self, piece: usize) -> Result<(), String> {
        // A machine that takes this many steps for one transcript goes round in circles.
        for _ in 0..10_000_000 {
            let next = self.items.get(self.at).map(|item| &item.event);
            if self.hasty
                && let Some(Event::Feed(octets)) = next
            {
                self.wire.extend(octets);
                self.at += 1;
            }
            let step = self.machine.step();
            self.compare_output()?;
            match step {
                Step::Write => self.flush(),
                Step::Ask(ask) => self.ask(&ask)?,
                Step::Read => {
                    self.flush();
                    if self.wire.is_empty() && !self.go_on()? {
                        return Ok(());
                    }
                    self.feed(piece);
                }
                Step::Upgrade => {
                    self.flush();
                    self.expect(&Event::Tls)?;
                    self.machine.pipe().input = Vec::new();
                    self.wire.clear();
                    self.machine.upgraded();
                }
                Step::Close => {
                    self.flush();
                    self.expect(&Event::Closed)?;
                    return self.expect_nothing_more();
                }
            }
        }
        Err("the machine goes round in circles".into())
    }

    /// As the driver does: the whole output is written, and its memory is free.
    fn flush(&mut self) {
        self.machine.pipe().output = Vec::new();
        self.seen = 0;
    }

    /// What the machine has said since the last look.
    fn compare_output(&mut self) -> Result<(), String> {
        let output = &self.machine.pipe().output;
        if output.len() > limits::OUTPUT_BYTES {
            return Err(format!("{} octets of output wait", output.len()));
        }
        let new = output.get(self.seen..).unwrap_or_default().to_vec();
        self.seen += new.len();
        let mut rest = new.as_slice();
        while !rest.is_empty() {
            let expected = match self.items.get(self.at).map(|item| &item.event) {
                Some(Event::Say(octets)) => octets.get(self.matched..).unwrap_or_default(),
                _ => &[],
            };
            let n = expected.len().min(rest.len());
            if n == 0 || expected[..n] != rest[..n] {
                return Err(self.surprise(&format!("'{}'", rest.escape_ascii())));
            }
            let whole = n == expected.len();
            self.match_more(n, whole);
            rest = &rest[n..];
        }
        Ok(())
    }

    /// So many octets have come as expected; and they were all that the item has, or not.
    fn match_more(&mut self, n: usize, whole: bool) {
        self.matched += n;
        if whole {
            self.at += 1;
            self.matched = 0;
        }
    }

    fn ask(&mut self, ask: &<A::Machine as Machine>::Ask) -> Result<(), String> {
        if let Some((octets, answer)) = A::handed_over(ask) {
            if octets.is_empty() || octets.len() > limits::CHUNK_BYTES {
                return Err(format!("{} octets handed over at a time", octets.len()));
            }
            let expected = match self.items.get(self.at).map(|item| &item.event) {
                Some(Event::Body(octets)) => octets.get(self.matched..).unwrap_or_default(),
                _ => &[],
            };
            if !expected.starts_with(octets) {
                return Err(self.surprise(&format!("Body '{}'", octets.escape_ascii())));
            }
            let whole = octets.len() == expected.len();
            self.match_more(octets.len(), whole);
            self.machine.answer(answer);
            return Ok(());
        }
        let line = A::line(ask);
        match self.items.get(self.at).map(|item| &item.event) {
            Some(Event::Ask(expected, answer)) if *expected == line => {
                self.machine.answer(A::answer(answer)?);
                self.at += 1;
                Ok(())
            }
            _ => Err(self.surprise(&format!("? {line}"))),
        }
    }

    /// The machine waits for the peer, who has nothing on the wire: false at the end of the
    /// transcript.
    fn go_on(&mut self) -> Result<bool, String> {
        let Some(item) = self.items.get(self.at) else { return Ok(false) };
        let event = item.event.clone();
        match event {
            Event::Feed(octets) => self.wire = octets.into(),
            Event::News(text) => self.machine.answer(A::answer(&text)?),
            Event::Silence(silence) => {
                if silence >= self.machine.patience() {
                    self.machine.timed_out();
                    self.at += 1;
                    self.compare_output()?;
                    self.expect(&Event::Closed)?;
                    self.expect_nothing_more()?;
                    return Ok(false);
                }
            }
            _ => return Err(self.surprise("a machine that waits for input")),
        }
        self.at += 1;
        Ok(true)
    }

    fn feed(&mut self, piece: usize) {
        let pipe = self.machine.pipe();
        assert!(pipe.room() > 0, "a machine that asks to read has room for it");
        if pipe.input.is_empty() {
            assert_eq!(pipe.input.capacity(), 0, "empty buffers hold no memory");
        }
        let n = piece.min(pipe.room()).min(self.wire.len());
        pipe.input.extend(self.wire.drain(..n));
    }

    fn expect(&mut self, event: &Event) -> Result<(), String> {
        if self.items.get(self.at).map(|item| &item.event) != Some(event) {
            return Err(self.surprise(&format!("{event:?}")));
        }
        self.at += 1;
        Ok(())
    }

    fn expect_nothing_more(&self) -> Result<(), String> {
        match self.items.get(self.at) {
            None => Ok(()),
            Some(_) => Err(self.surprise("the end")),
        }
    }

    fn surprise(&self, came: &str) -> String {
        let expected = match self.items.get(self.at).map(|item| &item.event) {
            None => "the end of the transcript".to_string(),
            Some(Event::Say(octets)) => {
                let octets = octets.get(self.matched..).unwrap_or_default();
                format!("'{}'", octets.escape_ascii())
            }
            Some(Event::Body(octets)) => {
                let octets = octets.get(self.matched..).unwrap_or_default();
                format!("Body '{}'", octets.escape_ascii())
            }
            Some(Event::Ask(line, _)) => format!("? {line}"),
            Some(Event::Feed(_)) => "a machine that waits for input".to_string(),
            Some(event) => format!("{event:?}"),
        };
        format!("expected {expected}\n    came {came}")
    }
}

#[test]
fn a_line_of_a_transcript_stands_for_any_octets() {
    let octets = |text| octets(text).expect("valid");
    assert_eq!(octets("a b"), b"a b\r\n");
    assert_eq!(octets("a\\"), b"a");
    assert_eq!(octets("\\\\"), b"\\\r\n");
    assert_eq!(octets("\\r\\n\\0\\s\\x80\\{\\"), b"\r\n\0 \x80{");
    assert_eq!(octets("<{ab*3}>\\"), b"<ababab>");
    assert_eq!(octets("{\\x00*2}\\"), b"\0\0");
    assert!(super::replay::octets("\\q").is_err());
    assert!(super::replay::octets("{a*x}").is_err());
}
