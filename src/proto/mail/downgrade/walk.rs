//! The parts of a message, found while it passes. RFC 2045, RFC 2046.

use super::words;
use crate::{limits, proto::mail::header};

/// What passes, in order; all octets together are those of the message.
#[derive(Clone, Copy, Debug)]
pub(super) enum Event<'a> {
    /// The header of the next entity begins (RFC 2045 §2.4). No octets.
    Entity,
    /// One field with its line ends.
    Field(&'a [u8]),
    /// Some octets of a field that is longer than [`limits::MIME_FIELD_BYTES`].
    Long(&'a [u8]),
    /// The empty line behind the header of an entity; these are its facts.
    Body(&'a Entity, &'a [u8]),
    /// Octets of its content, where it has no parts.
    Content(&'a [u8]),
    /// Its content has ended: before a boundary, or with the message. No octets.
    End(Before),
    /// A boundary, with the line end before it.
    Boundary(&'a [u8]),
    /// What is part of nothing: before the first boundary and after the last. RFC 2046 §5.1.1.
    Outside(&'a [u8]),
}

/// What a content ends before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Before {
    Boundary,
    Nothing,
}

/// What the header of an entity says.
#[derive(Clone, Debug, Default)]
pub(super) struct Entity {
    /// It is a whole message, not a part of one.
    pub(super) is_message: bool,
    pub(super) content: Content,
    pub(super) encoding: Encoding,
    pub(super) has_type: bool,
    pub(super) has_version: bool,
}

/// What an entity holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Content {
    /// Lines: text/*, and those message/* that are not a message.
    #[default]
    Text,
    /// Anything else that is no composite.
    Octets,
    /// A message.
    Message,
    /// Parts between boundaries.
    Parts { boundary: Vec<u8>, digest: bool },
    /// Parts that cannot be told apart, or are too deep inside others.
    Unreadable,
}

/// Content-Transfer-Encoding. RFC 2045 §6.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Encoding {
    /// 7bit, 8bit, binary; and what nobody knows, since readers take it for that.
    #[default]
    None,
    Quoted,
    Base64,
}

impl Entity {
    fn note(&mut self, field: &header::Field<'_>) {
        if field.is("Content-Type") && !self.has_type {
            self.has_type = true;
            self.content = content(field.value);
        } else if field.is("Content-Transfer-Encoding") {
            self.encoding = match words::first_word(field.value).as_slice() {
                b"quoted-printable" => Encoding::Quoted,
                b"base64" => Encoding::Base64,
                _ => Encoding::None,
            };
        } else if field.is("MIME-Version") {
            self.has_version = true;
        }
    }

    /// A field that is too long to look at, by its beginning.
    fn note_long(&mut self, beginning: &[u8]) {
        let name = header::fields(beginning).next();
        if name.is_some_and(|field| field.is("Content-Type")) {
            self.has_type = true;
            self.content = Content::Unreadable;
        }
    }
}

fn content(value: &[u8]) -> Content {
    let kind = words::first_word(value);
    if kind.starts_with(b"multipart/") {
        let boundary = words::split(value).into_iter().skip(1).find_map(|part| {
            let (name, boundary) = words::parameter(part)?;
            name.eq_ignore_ascii_case(b"boundary").then_some(boundary)
        });
        let usable = |b: &Vec<u8>| !b.is_empty() && b.len() <= limits::MIME_BOUNDARY_BYTES;
        return match boundary.filter(usable) {
            Some(boundary) => Content::Parts { boundary, digest: kind == b"multipart/digest" },
            None => Content::Unreadable,
        };
    }
    match kind.as_slice() {
        b"message/rfc822" | b"message/news" => Content::Message,
        kind if kind.starts_with(b"text/") || kind.starts_with(b"message/") => Content::Text,
        // RFC 2045 §5.2: what cannot be read is text.
        kind if kind.contains(&b'/') => Content::Octets,
        _ => Content::Text,
    }
}

/// Cuts a message into [`Event`]s.
///
/// It holds a field, a line that may be a boundary, and the boundaries of the parts that are open;
/// each of them bounded. Where one call ends and the next begins makes no difference, but for how
/// contents are cut.
#[derive(Debug)]
pub(super) struct Walker {
    open: Vec<Level>,
    place: Place,
    entity: Entity,
    /// Whole lines of the field that is being read.
    field: Vec<u8>,
    /// The beginning of a line whose meaning is not clear yet.
    line: Vec<u8>,
    /// The field is too long, and passes without being looked at.
    long: bool,
    at_line_start: bool,
    /// A line end, or the CR of one, that may belong to a boundary.
    held: &'static [u8],
}

#[derive(Debug)]
struct Level {
    boundary: Vec<u8>,
    digest: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// No entity has begun.
    Nowhere,
    Header,
    Content,
    Outside,
}

/// Longest line that is held to see whether it is a boundary.
const LINE: usize = limits::MIME_BOUNDARY_BYTES + 64;

impl Default for Walker {
    fn default() -> Walker {
        Walker {
            open: Vec::new(),
            place: Place::Nowhere,
            entity: Entity { is_message: true, ..Entity::default() },
            field: Vec::new(),
            line: Vec::new(),
            long: false,
            at_line_start: true,
            held: b"",
        }
    }
}

impl Walker {
    /// Take the next octets.
    pub(super) fn push(&mut self, octets: &[u8], sink: &mut impl FnMut(Event<'_>)) {
        if self.place == Place::Nowhere {
            self.enter(Entity { is_message: true, ..Entity::default() }, sink);
        }
        let mut rest = octets;
        while !rest.is_empty() {
            let used = match self.place {
                Place::Header => self.in_header(rest, sink),
                _ if self.at_line_start && !self.open.is_empty() => self.at_start(rest, sink),
                _ => self.in_line(rest, sink),
            };
            rest = rest.get(used..).unwrap_or_default();
        }
    }

    /// The message ends here.
    pub(super) fn finish(&mut self, sink: &mut impl FnMut(Event<'_>)) {
        let line = std::mem::take(&mut self.line);
        match self.place {
            Place::Header if !line.is_empty() && self.boundary(&line).is_none() => {
                self.header_line(&line, sink);
            }
            Place::Content | Place::Outside if self.boundary(&line).is_none() => {
                self.release(sink);
                self.pass(&line, sink);
                self.release(sink);
            }
            _ => self.pass_boundary(&line, sink),
        }
        self.leave(Before::Nothing, sink);
    }

    fn enter(&mut self, entity: Entity, sink: &mut impl FnMut(Event<'_>)) {
        self.entity = entity;
        self.place = Place::Header;
        sink(Event::Entity);
    }

    /// Whatever is open of an entity ends.
    fn leave(&mut self, before: Before, sink: &mut impl FnMut(Event<'_>)) {
        self.end_field(sink);
        if matches!(self.place, Place::Header | Place::Content) {
            sink(Event::End(before));
        }
    }

    fn in_header(&mut self, rest: &[u8], sink: &mut impl FnMut(Event<'_>)) -> usize {
        let end = rest.iter().position(|b| *b == b'\n').map(|at| at + 1);
        let room = limits::MIME_FIELD_BYTES.saturating_sub(self.field.len() + self.line.len());
        let used = end.unwrap_or(rest.len()).min(room.max(1));
        self.line.extend_from_slice(rest.get(..used).unwrap_or_default());
        if self.line.ends_with(b"\r\n") {
            let line = std::mem::take(&mut self.line);
            self.header_line(&line, sink);
        } else if self.field.len() + self.line.len() < limits::MIME_FIELD_BYTES {
            return used;
        } else if !self.field.is_empty() && !matches!(self.line.first(), Some(b' ' | b'\t')) {
            self.end_field(sink);
        } else {
            let beginning = [std::mem::take(&mut self.field), std::mem::take(&mut self.line)];
            self.pass_long(&beginning.concat(), sink);
        }
        used
    }

    fn header_line(&mut self, line: &[u8], sink: &mut impl FnMut(Event<'_>)) {
        // The rest of a line that was too long starts with anything.
        let in_long_line = self.long && !self.at_line_start;
        self.at_line_start = true;
        if in_long_line || (matches!(line, [b' ' | b'\t', ..]) && self.has_field()) {
            if self.long {
                sink(Event::Long(line));
            } else {
                self.field.extend_from_slice(line);
            }
            return;
        }
        if line == b"\r\n" {
            self.end_field(sink);
            self.end_header(line, sink);
        } else if line.starts_with(b"--") && self.boundary(line).is_some() {
            self.pass_boundary(line, sink);
        } else {
            self.end_field(sink);
            self.field.extend_from_slice(line);
        }
    }

    fn has_field(&self) -> bool {
        self.long || !self.field.is_empty()
    }

    fn pass_long(&mut self, octets: &[u8], sink: &mut impl FnMut(Event<'_>)) {
        if !std::mem::replace(&mut self.long, true) {
            self.entity.note_long(octets);
        }
        self.at_line_start = octets.ends_with(b"\r\n");
        sink(Event::Long(octets));
    }

    fn end_field(&mut self, sink: &mut impl FnMut(Event<'_>)) {
        self.long = false;
        let raw = std::mem::take(&mut self.field);
        if let Some(field) = header::fields(&raw).next() {
            self.entity.note(&field);
            sink(Event::Field(&raw));
        }
    }

    fn end_header(&mut self, line: &[u8], sink: &mut impl FnMut(Event<'_>)) {
        let digest = self.open.last().is_some_and(|level| level.digest);
        if digest && !self.entity.has_type && !self.entity.is_message {
            // RFC 2046 §5.1.5.
            self.entity.content = Content::Message;
        }
        if matches!(self.entity.content, Content::Parts { .. })
            && self.open.len() >= limits::MIME_DEPTH
        {
            self.entity.content = Content::Unreadable;
        }
        let plain = self.entity.encoding == Encoding::None;
        if self.entity.content == Content::Message && !plain {
            // RFC 2046 §5.2.1 forbids it, and some do it: a content like any other.
            self.entity.content = Content::Octets;
        }
        sink(Event::Body(&self.entity, line));
        (self.at_line_start, self.held) = (true, b"");
        match &self.entity.content {
            Content::Message => {
                self.enter(Entity { is_message: true, ..Entity::default() }, sink);
            }
            Content::Parts { boundary, digest } => {
                self.open.push(Level { boundary: boundary.clone(), digest: *digest });
                self.place = Place::Outside;
            }
            _ => self.place = Place::Content,
        }
    }

    /// Is this line a boundary? It must be at the start of its line.
    fn at_start(&mut self, rest: &[u8], sink: &mut impl FnMut(Event<'_>)) -> usize {
        if self.line.is_empty() && rest.len() >= 2 && !rest.starts_with(b"--") {
            self.at_line_start = false;
            self.release(sink);
            return 0;
        }
        let end = rest.iter().position(|b| *b == b'\n').map_or(rest.len(), |at| at + 1);
        let used = end.min(LINE - self.line.len());
        self.line.extend_from_slice(rest.get(..used).unwrap_or_default());
        let whole = self.line.ends_with(b"\r\n");
        if whole && self.boundary(&self.line).is_some() {
            let line = std::mem::take(&mut self.line);
            self.pass_boundary(&line, sink);
        } else if whole || self.line.len() >= LINE || !could_be_boundary(&self.line) {
            let line = std::mem::take(&mut self.line);
            self.at_line_start = false;
            self.release(sink);
            self.pass(&line, sink);
        }
        used
    }

    fn in_line(&mut self, rest: &[u8], sink: &mut impl FnMut(Event<'_>)) -> usize {
        if self.open.is_empty() {
            self.emit(rest, sink);
            return rest.len();
        }
        let used = rest.iter().position(|b| *b == b'\n').map_or(rest.len(), |at| at + 1);
        self.pass(rest.get(..used).unwrap_or_default(), sink);
        used
    }

    /// Octets of one line at most, whose line end is held back.
    fn pass(&mut self, octets: &[u8], sink: &mut impl FnMut(Event<'_>)) {
        if self.held == b"\r" && octets.starts_with(b"\n") {
            (self.held, self.at_line_start) = (b"\r\n", true);
            return;
        }
        self.release(sink);
        let content = if let Some(line) = octets.strip_suffix(b"\r\n") {
            (self.held, self.at_line_start) = (b"\r\n", true);
            line
        } else if let Some(line) = octets.strip_suffix(b"\r") {
            self.held = b"\r";
            line
        } else {
            octets
        };
        self.emit(content, sink);
    }

    fn release(&mut self, sink: &mut impl FnMut(Event<'_>)) {
        let held = std::mem::take(&mut self.held);
        self.emit(held, sink);
    }

    fn emit(&self, octets: &[u8], sink: &mut impl FnMut(Event<'_>)) {
        match self.place {
            _ if octets.is_empty() => {}
            Place::Outside => sink(Event::Outside(octets)),
            _ => sink(Event::Content(octets)),
        }
    }

    /// The level whose boundary this line is, and whether it is its last; the innermost first.
    /// Blanks may follow it (RFC 2046 §5.1.1), and nothing else: one may begin as another does.
    fn boundary(&self, line: &[u8]) -> Option<(usize, bool)> {
        let line = line.strip_prefix(b"--")?.trim_ascii_end();
        let levels = self.open.iter().enumerate().rev();
        levels.into_iter().find_map(|(n, level)| {
            let rest = line.strip_prefix(level.boundary.trim_ascii_end())?;
            (rest.is_empty() || rest == b"--").then_some((n, !rest.is_empty()))
        })
    }

    fn pass_boundary(&mut self, line: &[u8], sink: &mut impl FnMut(Event<'_>)) {
        let Some((level, last)) = self.boundary(line) else { return };
        self.leave(Before::Boundary, sink);
        if !self.held.is_empty() {
            sink(Event::Boundary(std::mem::take(&mut self.held)));
        }
        sink(Event::Boundary(line));
        self.at_line_start = true;
        self.open.truncate(level + 1);
        if last {
            self.open.pop();
            self.place = Place::Outside;
        } else {
            self.enter(Entity::default(), sink);
        }
    }
}

fn could_be_boundary(line: &[u8]) -> bool {
    line.starts_with(b"--") || line == b"-"
}
