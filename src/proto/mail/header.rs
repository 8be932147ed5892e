//! The header section of a message. RFC 5322 §2.2, §3.6.
//!
//! Reading it is separate from judging it: [`Reader`] finds where it ends while octets arrive,
//! [`fields`] walks it, `repair` decides what to do about it.

use crate::limits;

/// Collects a header section while a message arrives, and finds where it ends.
///
/// The header ends with the first empty line, or with the message. A message whose first line is no
/// field has no header at all: all of it is body. Lines end in CRLF; a CR or LF alone ends nothing.
/// Time taken is linear in the length, however the octets are cut.
#[derive(Debug, Default)]
pub struct Reader {
    taken: Vec<u8>,
    scanned: usize,
    line: usize,
    state: State,
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    #[default]
    FirstLine,
    Fields,
    /// Where the body starts.
    Whole(usize),
}

/// The header is longer than [`limits::HEADER_BYTES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

/// Whether more octets are needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The header may go on.
    More,
    /// The header is whole: call [`Reader::finish`].
    Whole,
}

/// A message as far as it was read, cut in two; one after the other they are the octets that came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// The header with the empty line that ends it, if there was one; empty where there is no
    /// header.
    pub header: Vec<u8>,
    /// What came after it.
    pub body: Vec<u8>,
}

impl Reader {
    /// Take the next octets of the message.
    ///
    /// # Errors
    /// The header is longer than [`limits::HEADER_BYTES`], its empty line included.
    pub fn push(&mut self, octets: &[u8]) -> Result<Progress, TooLong> {
        self.taken.extend_from_slice(octets);
        while !matches!(self.state, State::Whole(_)) {
            let Some(rest) = self.taken.get(self.scanned..) else { break };
            let Some(found) = rest.iter().position(|b| *b == b'\n') else {
                self.scanned = self.taken.len();
                break;
            };
            self.scanned += found + 1;
            let line = self.taken.get(self.line..self.scanned).unwrap_or_default();
            if let Some(line) = line.strip_suffix(b"\r\n") {
                self.state = match self.state {
                    _ if line.is_empty() => State::Whole(self.scanned),
                    State::FirstLine if starts_field(line, Line::Whole) != Some(true) => {
                        State::Whole(0)
                    }
                    _ => State::Fields,
                };
                self.line = self.scanned;
            }
        }
        if let State::FirstLine = self.state
            && starts_field(&self.taken, Line::Partial) == Some(false)
        {
            self.state = State::Whole(0);
        }
        match self.state {
            State::Whole(end) if end <= limits::HEADER_BYTES => Ok(Progress::Whole),
            State::FirstLine | State::Fields if self.taken.len() <= limits::HEADER_BYTES => {
                Ok(Progress::More)
            }
            _ => Err(TooLong),
        }
    }

    /// The header and what was taken of the body. Before [`Progress::Whole`] this means that the
    /// message ends here.
    pub fn finish(self) -> Parts {
        let mut header = self.taken;
        let end = match self.state {
            State::Whole(end) => end,
            State::Fields => header.len(),
            State::FirstLine if starts_field(&header, Line::Whole) == Some(true) => header.len(),
            State::FirstLine => 0,
        };
        let body = header.split_off(end);
        Parts { header, body }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Line {
    Whole,
    Partial,
}

/// Whether a line starts a field; `None` where more of it must be seen. Looks at no more than
/// [`limits::FIELD_NAME_BYTES`].
fn starts_field(line: &[u8], extent: Line) -> Option<bool> {
    let head = line.get(..limits::FIELD_NAME_BYTES).unwrap_or(line);
    if name_end(head).is_some() {
        return Some(true);
    }
    let name = head.iter().take_while(|b| is_name(**b)).count();
    let only_blanks = head.iter().skip(name).all(|b| is_blank(*b));
    let undecided = head.len() == line.len() && head.len() < limits::FIELD_NAME_BYTES;
    let could_be = line.is_empty() || line == b"\r" || (name > 0 && only_blanks && undecided);
    (extent == Line::Whole || !could_be).then_some(false)
}

/// Octets of a field's name, and where its value starts. Blanks before the colon are read as
/// RFC 5322 §4.5 has them.
fn name_end(line: &[u8]) -> Option<(usize, usize)> {
    let head = line.get(..limits::FIELD_NAME_BYTES).unwrap_or(line);
    let name = head.iter().take_while(|b| is_name(**b)).count();
    let blanks = head.iter().skip(name).take_while(|b| is_blank(**b)).count();
    let colon = name + blanks;
    (name > 0 && head.get(colon) == Some(&b':')).then_some((name, colon + 1))
}

/// RFC 5322 §3.6.8 `ftext`.
fn is_name(octet: u8) -> bool {
    octet.is_ascii_graphic() && octet != b':'
}

fn is_blank(octet: u8) -> bool {
    octet == b' ' || octet == b'\t'
}

/// One field, or a line that should be one and is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// All of it with its line ends.
    pub raw: &'a [u8],
    /// Its name as it was written; empty where the line is no field.
    pub name: &'a str,
    /// What follows the colon, folding included, without the last line end.
    pub value: &'a [u8],
}

impl Field<'_> {
    /// Has it this name? RFC 5322 §1.2.2: case does not matter.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// It has a name, and holds no NUL and no CR or LF that is not part of folding.
    pub fn is_well_formed(&self) -> bool {
        let mut before = 0;
        let clean = self.value.iter().enumerate().all(|(at, b)| {
            let good = match b {
                0 => false,
                b'\r' => self.value.get(at + 1) == Some(&b'\n'),
                b'\n' => before == b'\r',
                _ => true,
            };
            before = *b;
            good
        });
        clean && !self.name.is_empty()
    }
}

/// The fields of a header section in order; ends at an empty line. Lines that are no fields come
/// with an empty name.
pub fn fields(header: &[u8]) -> Fields<'_> {
    Fields { rest: header }
}

/// See [`fields`].
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        if self.rest.is_empty() || self.rest.starts_with(b"\r\n") {
            return None;
        }
        let mut end = line_length(self.rest);
        while self.rest.get(end).is_some_and(|b| is_blank(*b)) {
            end += self.rest.get(end..).map_or(0, line_length);
        }
        let (raw, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest;
        let text = raw.strip_suffix(b"\r\n").unwrap_or(raw);
        let named = name_end(text).and_then(|(name, value)| {
            let name = core::str::from_utf8(text.get(..name)?).ok()?;
            Some(Field { raw, name, value: text.get(value..)? })
        });
        Some(named.unwrap_or(Field { raw, name: "", value: text }))
    }
}

/// Octets up to and with the first CRLF; all of them where there is none.
fn line_length(octets: &[u8]) -> usize {
    let end = octets.windows(2).position(|pair| pair == b"\r\n");
    end.map_or(octets.len(), |at| at + 2)
}

/// The first field of this name.
pub fn find<'a>(header: &'a [u8], name: &str) -> Option<Field<'a>> {
    fields(header).find(|field| field.is(name))
}

/// A value on one line, without blanks around it. RFC 5322 §2.2.3.
pub fn unfold(value: &[u8]) -> Vec<u8> {
    let mut line = Vec::with_capacity(value.len());
    let mut rest = value;
    while !rest.is_empty() {
        let (part, after) = rest.split_at_checked(line_length(rest)).unwrap_or((rest, &[]));
        line.extend_from_slice(part.strip_suffix(b"\r\n").unwrap_or(part));
        rest = after;
    }
    line.trim_ascii().to_vec()
}

/// A value with a blank for each comment; `None` where one is not closed. Quoted strings stay as
/// they are. RFC 5322 §3.2.2.
pub fn uncommented(value: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(value.len());
    let (mut depth, mut quoted, mut escaped) = (0usize, false, false);
    for octet in value {
        let was_escaped = core::mem::replace(&mut escaped, false);
        if depth == 0 {
            match octet {
                b'(' if !quoted => {
                    depth = 1;
                    out.push(b' ');
                    continue;
                }
                b'"' if !was_escaped => quoted = !quoted,
                b'\\' if quoted => escaped = !was_escaped,
                _ => {}
            }
            out.push(*octet);
            continue;
        }
        match octet {
            _ if was_escaped => {}
            b'\\' => escaped = true,
            b'(' => depth += 1,
            b')' => depth -= 1,
            _ => {}
        }
    }
    (depth == 0).then_some(out)
}

/// The Message-ID without its angle brackets; empty where there is none, or none that can be shown
/// (longer than [`limits::MESSAGE_ID_BYTES`], or with blanks or controls in it). RFC 5322 §3.6.4.
pub fn message_id(header: &[u8]) -> String {
    let id = find(header, "Message-ID").map(|field| unfold(field.value)).unwrap_or_default();
    let id = String::from_utf8(id).unwrap_or_default();
    let inside = id.split_once('<').map_or(id.as_str(), |(_, after)| after);
    let inside = inside.split_once('>').map_or(inside, |(before, _)| before).trim();
    let shown = |c: char| !c.is_whitespace() && !c.is_control();
    let fits = inside.len() <= limits::MESSAGE_ID_BYTES && inside.chars().all(shown);
    if fits { inside.to_string() } else { String::new() }
}

#[cfg(test)]
#[path = "header_tests.rs"]
mod tests;
