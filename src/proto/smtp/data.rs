//! Message octets on the wire: dots stuffed and unstuffed, line ends checked. RFC 5321 §4.5.2.
//!
//! The end of DATA is CRLF `.` CRLF and nothing else (RFC 5321 §4.1.1.4). Servers that saw an end
//! elsewhere, or passed such places on to servers that did, let messages be smuggled in behind
//! another (CVE-2023-51764, CVE-2023-51765, CVE-2023-51766). So whatever anyone might take for an
//! end of line that is none is not repaired: it makes the message [`Found::Bad`].
//!
//! NUL is taken as it comes, since RFC 5321 §4.1.1.4 allows all of ASCII and RFC 5322 §4 asks
//! readers to bear it, but not where leaving it out, as some servers do, would make a line of a
//! lone dot.

/// Reads message octets: [`Unstuff::data`] those after DATA, [`Unstuff::chunks`] those of BDAT,
/// [`Unstuff::line_feeds`] those of a client that has never sent a CR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unstuff {
    place: Place,
    stuffed: bool,
    /// Lines end with LF alone, and a CR anywhere is bad.
    line_feeds: bool,
}

/// Where the last octet has left us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// At the start of a line.
    Start,
    /// After a dot at the start of a line, which is not handed over.
    Dot,
    /// After such a dot and a CR, which is not handed over either.
    DotCr,
    /// After nothing but NULs since the start of a line.
    Nul,
    /// After a CR.
    Cr,
    /// Anywhere else.
    Text,
}

/// What stopped the reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// All octets were read.
    More,
    /// The final dot; octets after it were not read.
    End,
    /// A CR without LF, a LF without CR, or NULs about a dot. Reading may go on after it, to find
    /// the end.
    Bad,
}

impl Unstuff {
    /// For DATA: dots are unstuffed, and the final one ends it.
    pub const fn data() -> Unstuff {
        Unstuff { place: Place::Start, stuffed: true, line_feeds: false }
    }

    /// For BDAT, where a dot means nothing (RFC 3030 §2).
    pub const fn chunks() -> Unstuff {
        Unstuff { place: Place::Start, stuffed: false, line_feeds: false }
    }

    /// For DATA of a session whose lines all end with LF alone: so do those of the message, and LF
    /// `.` LF ends it. What is handed over has CRLF.
    pub const fn line_feeds() -> Unstuff {
        Unstuff { place: Place::Start, stuffed: true, line_feeds: true }
    }

    /// How many octets at most one octet of input stands for.
    pub const fn growth(&self) -> usize {
        if self.line_feeds { 2 } else { 1 }
    }

    /// Append the octets that `input` stands for to `output`, which grows by no more than `input`
    /// has, times [`Unstuff::growth`].
    ///
    /// Returns how many octets of `input` were used. Where one ends and the next begins makes no
    /// difference to the sum of it.
    pub fn decode(&mut self, input: &[u8], output: &mut Vec<u8>) -> (usize, Found) {
        self.advance(input, |octets| output.extend_from_slice(octets))
    }

    /// The same without any output.
    pub fn skip(&mut self, input: &[u8]) -> (usize, Found) {
        self.advance(input, |_| {})
    }

    /// The octets so far end with a CR that may not stand there.
    pub const fn ends_badly(&self) -> bool {
        matches!(self.place, Place::Cr)
    }

    fn advance(&mut self, input: &[u8], sink: impl FnMut(&[u8])) -> (usize, Found) {
        if self.line_feeds { self.by_line_feeds(input, sink) } else { self.by_crlf(input, sink) }
    }

    fn by_line_feeds(&mut self, input: &[u8], mut sink: impl FnMut(&[u8])) -> (usize, Found) {
        let mut at = 0;
        while let Some(&octet) = input.get(at) {
            let rest = input.get(at..).unwrap_or_default();
            let (used, place) = match (self.place, octet) {
                (Place::Start, b'.') => (1, Place::Dot),
                (Place::Dot, b'\n') => {
                    self.place = Place::Start;
                    return (at + 1, Found::End);
                }
                (_, b'\r') | (Place::Dot, 0) | (Place::Nul, b'.') => {
                    self.place = Place::Text;
                    return (at + 1, Found::Bad);
                }
                (_, b'\n') => {
                    sink(b"\r\n");
                    (1, Place::Start)
                }
                (Place::Start | Place::Nul, 0) => {
                    sink(&[0]);
                    (1, Place::Nul)
                }
                _ => {
                    let text = run(rest, |b| b == b'\r' || b == b'\n');
                    sink(rest.get(..text).unwrap_or_default());
                    (text, Place::Text)
                }
            };
            at += used;
            self.place = place;
        }
        (at, Found::More)
    }

    fn by_crlf(&mut self, input: &[u8], mut sink: impl FnMut(&[u8])) -> (usize, Found) {
        let mut from = 0; // the first octet that was not handed over
        let mut at = 0;
        let mut hand_over = |from, at| sink(input.get(from..at).unwrap_or_default());
        while let Some(&octet) = input.get(at) {
            match (self.place, octet) {
                (Place::Start, b'.') if self.stuffed => {
                    hand_over(from, at);
                    at += 1;
                    from = at;
                    self.place = Place::Dot;
                }
                (Place::Dot, b'\r') => {
                    at += 1;
                    from = at;
                    self.place = Place::DotCr;
                }
                (Place::DotCr, b'\n') => {
                    self.place = Place::Start;
                    return (at + 1, Found::End);
                }
                (Place::Cr, b'\n') => {
                    at += 1;
                    self.place = Place::Start;
                }
                (Place::Cr | Place::DotCr, _) => {
                    hand_over(from, at);
                    self.place = Place::Text;
                    return (at, Found::Bad);
                }
                (_, b'\n') | (Place::Dot, 0) | (Place::Nul, b'.') => {
                    hand_over(from, at);
                    self.place = Place::Text;
                    return (at + 1, Found::Bad);
                }
                (_, b'\r') => {
                    at += 1;
                    self.place = Place::Cr;
                }
                (Place::Start | Place::Nul, 0) => {
                    at += 1;
                    self.place = Place::Nul;
                }
                (Place::Start | Place::Dot | Place::Nul | Place::Text, _) => {
                    let rest = input.get(at..).unwrap_or_default();
                    at += run(rest, |b| b == b'\r' || b == b'\n');
                    self.place = Place::Text;
                }
            }
        }
        hand_over(from, at);
        (at, Found::More)
    }
}

/// Octets before the next one that `stops`. Whole blocks are looked at without a branch an octet,
/// which the compiler turns into vector instructions: most octets of most messages are neither CR
/// nor LF.
fn run(octets: &[u8], stops: impl Fn(u8) -> bool) -> usize {
    const BLOCK: usize = 16;
    let (blocks, _) = octets.as_chunks::<BLOCK>();
    let clear = |block: &&[u8; BLOCK]| !block.iter().fold(false, |stop, b| stop | stops(*b));
    let whole = blocks.iter().take_while(clear).count() * BLOCK;
    let rest = octets.get(whole..).unwrap_or_default();
    whole + rest.iter().position(|octet| stops(*octet)).unwrap_or(rest.len())
}

/// Writes message octets for DATA: stuffs dots and ends with the final one. RFC 5321 §4.5.2.
///
/// The octets are those of the spool, where every line ends in CRLF; they are not checked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stuff {
    at_line_start: bool,
}

impl Default for Stuff {
    fn default() -> Stuff {
        Stuff { at_line_start: true }
    }
}

impl Stuff {
    /// Append what `octets` look like on the wire to `output`, which grows by at most four octets
    /// for three and one more.
    ///
    /// Where one call ends and the next begins makes no difference to the sum of it.
    pub fn encode(&mut self, octets: &[u8], output: &mut Vec<u8>) {
        let mut from = 0; // the first octet that was not appended
        let mut at = 0;
        while let Some(octet) = octets.get(at) {
            if self.at_line_start && *octet == b'.' {
                output.extend_from_slice(octets.get(from..at).unwrap_or_default());
                output.push(b'.');
                from = at;
            }
            at += run(octets.get(at..).unwrap_or_default(), |b| b == b'\n');
            self.at_line_start = at < octets.len();
            at += 1;
        }
        output.extend_from_slice(octets.get(from..).unwrap_or_default());
    }

    /// Append the end of data, after a CRLF where the last line had none (RFC 5321 §4.1.1.4). What
    /// is encoded after it is another message.
    pub fn end(&mut self, output: &mut Vec<u8>) {
        if !self.at_line_start {
            output.extend_from_slice(b"\r\n");
        }
        output.extend_from_slice(b".\r\n");
        *self = Stuff::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All that a message stands for, given in pieces of `piece` octets; and how it ended.
    fn unstuff(mut how: Unstuff, wire: &[u8], piece: usize) -> (Vec<u8>, usize, Found) {
        let mut out = Vec::new();
        let mut at = 0;
        while at < wire.len() {
            let end = (at + piece).min(wire.len());
            let before = out.len();
            let (used, found) = how.decode(&wire[at..end], &mut out);
            assert!(out.len() - before <= used * how.growth(), "output grows within its bound");
            at += used;
            if found != Found::More {
                return (out, at, found);
            }
            assert_eq!(at, end, "all is used where nothing was found");
        }
        (out, at, Found::More)
    }

    fn data(wire: &[u8]) -> (Vec<u8>, usize, Found) {
        let whole = unstuff(Unstuff::data(), wire, usize::MAX / 2);
        for piece in 1..9 {
            assert_eq!(unstuff(Unstuff::data(), wire, piece), whole, "in pieces of {piece}");
        }
        whole
    }

    #[test]
    fn dots_are_unstuffed_and_the_final_one_ends_it() {
        for (wire, message) in [
            (&b".\r\n"[..], &b""[..]),
            (b"a\r\n.\r\n", b"a\r\n"),
            (b"..\r\n...b\r\nc.\r\n.d\r\n.\r\n", b".\r\n..b\r\nc.\r\nd\r\n"),
            (b"\r\n\r\n.\r\n", b"\r\n\r\n"),
            (b"0123456789abcdef0123456789abcdef\r\n.\r\n", b"0123456789abcdef0123456789abcdef\r\n"),
            (b"a\0b\r\n\0c\r\nd\0\r\n\0\r\n.\r\n", b"a\0b\r\n\0c\r\nd\0\r\n\0\r\n"),
        ] {
            let (out, used, found) = data(wire);
            assert_eq!(
                (out.as_slice(), used, found),
                (message, wire.len(), Found::End),
                "{wire:?}"
            );
        }
    }

    #[test]
    fn what_follows_the_final_dot_is_not_read() {
        let (out, used, found) = data(b"a\r\n.\r\nQUIT\r\n");
        assert_eq!((out.as_slice(), used, found), (&b"a\r\n"[..], 6, Found::End));
    }

    #[test]
    fn whatever_others_might_take_for_an_end_is_bad() {
        for wire in [
            &b"a\n.\n"[..],
            b"a\n.\r\n",
            b"a\r\n.\nb",
            b"a\r.\r\n",
            b"a\r\n.\rb",
            b"a\r.\rb",
            b"a\r\r\n.\r\n",
            b"a\r\n.\r\r\n",
            b"a\n\r\n",
            b"a\r\0\n.\r\n",
            b"a\r\n\0.\r\n",
            b"a\r\n\0\0.\0\r\n",
            b"a\r\n.\0\r\n",
            b"a\r\n.\r\0\n",
        ] {
            assert_eq!(data(wire).2, Found::Bad, "{wire:?}");
        }
    }

    #[test]
    fn reading_goes_on_after_bad_octets_to_the_one_true_end() {
        for wire in [
            &b"a\n.\nMAIL\n.\r\n\r.\r\rx\r\n.\r\nQUIT"[..],
            b"\n.\r\n..\r\n\r\r\n.\r\nQUIT",
            b"\r\n\0.\r\n.\0\r\n.\r\nQUIT",
            b"a\r.\r\nRSET\r\n.\r\nQUIT",
            b"a\r\n.\r.\r\nRSET\r\n.\r\nQUIT",
            b"a\n.\r\nRSET\r\n.\r\nQUIT",
            b"a\r\n\0.\r\nRSET\r\n.\r\nQUIT",
        ] {
            for piece in 1..wire.len() {
                let mut how = Unstuff::data();
                let mut at = 0;
                let mut found = Found::More;
                while found != Found::End && at < wire.len() {
                    let (used, what) = how.skip(&wire[at..wire.len().min(at + piece)]);
                    (at, found) = (at + used, what);
                }
                assert_eq!(&wire[at..], b"QUIT", "{wire:?} in pieces of {piece}");
            }
        }
    }

    #[test]
    fn where_lines_end_with_lf_alone_so_does_the_message_and_no_cr_may_come() {
        for (wire, message, used, found) in [
            (&b".\n"[..], &b""[..], 2, Found::End),
            (b"a\n.\nQUIT\n", b"a\r\n", 4, Found::End),
            (b"..\n...b\n\n.c\n.\n", b".\r\n..b\r\n\r\nc\r\n", 14, Found::End),
            (b"a\0\n\0\n.\n", b"a\0\r\n\0\r\n", 7, Found::End),
            (b"a\n\n", b"a\r\n\r\n", 3, Found::More),
            (b"a\r\n.\r\n", b"a", 2, Found::Bad),
            (b"a\n.\r\n", b"a\r\n", 4, Found::Bad),
            (b".\0\n", b"", 2, Found::Bad),
            (b"\0.\n", b"\0", 2, Found::Bad),
        ] {
            for piece in 1..9 {
                let read = unstuff(Unstuff::line_feeds(), wire, piece);
                assert_eq!(read, (message.to_vec(), used, found), "{wire:?} in pieces of {piece}");
            }
        }
    }

    #[test]
    fn a_dot_means_nothing_in_chunks() {
        let wire = b".\r\n..a\r\n.\r\n";
        let (out, used, found) = unstuff(Unstuff::chunks(), wire, 4);
        assert_eq!((out.as_slice(), used, found), (&wire[..], wire.len(), Found::More));
        assert_eq!(unstuff(Unstuff::chunks(), b"a\nb", 9).2, Found::Bad);
        assert_eq!(unstuff(Unstuff::chunks(), b"\0.\r\n", 9).2, Found::Bad);
        let mut cut = Unstuff::chunks();
        assert_eq!(cut.skip(b"a\r"), (2, Found::More));
        assert!(cut.ends_badly());
        assert_eq!(cut.skip(b"\n"), (1, Found::More));
        assert!(!cut.ends_badly());
    }

    #[test]
    fn what_is_stuffed_is_unstuffed_to_the_same() {
        for message in [
            &b""[..],
            b".\r\n",
            b"a\r\n.\r\n..\r\n...\r\n",
            b".a\r\n\r\n.b.\r\n",
            b"\r\n.\r\n",
            b"0123456789abcdef\r\n.0123456789abcdef.\r\n",
        ] {
            for piece in 1..20 {
                let (mut stuff, mut wire) = (Stuff::default(), Vec::new());
                message.chunks(piece).for_each(|part| stuff.encode(part, &mut wire));
                assert!(wire.len() <= message.len() * 4 / 3 + 1);
                stuff.end(&mut wire);
                assert_eq!(data(&wire), (message.to_vec(), wire.len(), Found::End));
            }
        }
    }

    #[test]
    fn a_last_line_without_crlf_is_given_one() {
        let (mut stuff, mut wire) = (Stuff::default(), Vec::new());
        stuff.encode(b"a", &mut wire);
        stuff.end(&mut wire);
        assert_eq!(wire, b"a\r\n.\r\n");
    }
}
