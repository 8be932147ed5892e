//! Quoted-printable, written while octets arrive. RFC 2045 §6.7.

use core::fmt::Write;

/// What the octets are that come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// Anything.
    Plain,
    /// Quoted-printable already, by somebody who left octets above 127 or long lines in it: its
    /// `=` signs and the blanks at its line ends keep their meaning.
    Quoted,
}

/// Makes lines of at most 76 printable ASCII octets with CRLF of any octets.
///
/// CRLF stays a line end; a CR or LF alone, like everything else that is not plain text, is
/// encoded. So is a dot, a dash or an F at the start of a line, so that neither SMTP nor a mailbox
/// file nor a boundary finds there what means something to it. Where one call ends and the next
/// begins makes no difference to the sum of it.
#[derive(Clone, Copy, Debug)]
pub struct Encoder {
    input: Input,
    column: usize,
    /// A blank or a CR, whose meaning depends on what follows.
    held: Option<u8>,
}

/// Octets on a line before the `=` of a soft line break.
const COLUMNS: usize = 75;

impl Encoder {
    /// At the start of a line.
    pub const fn new(input: Input) -> Encoder {
        Encoder { input, column: 0, held: None }
    }

    /// Append `octets` to `out`, which grows by at most four octets for one and six more.
    pub fn encode(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        for octet in octets {
            self.push(*octet, out);
        }
    }

    /// The content ends here.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        match self.held.take() {
            Some(b'\r') => self.put_hex(b'\r', out),
            Some(blank) => self.end_line(blank, out),
            None => {}
        }
    }

    fn push(&mut self, octet: u8, out: &mut Vec<u8>) {
        match self.held.take() {
            Some(b'\r') if octet == b'\n' => {
                out.extend_from_slice(b"\r\n");
                self.column = 0;
                return;
            }
            Some(b'\r') => self.put_hex(b'\r', out),
            Some(blank) if octet == b'\r' => self.end_line(blank, out),
            Some(blank) => self.put(blank, out),
            None => {}
        }
        match octet {
            b' ' | b'\t' | b'\r' => self.held = Some(octet),
            b'=' if self.input == Input::Quoted => {
                // The two digits behind it must stay on its line.
                self.make_room(3, out);
                self.put(octet, out);
            }
            b'=' => self.put_hex(octet, out),
            _ if octet.is_ascii_graphic() => self.put(octet, out),
            _ => self.put_hex(octet, out),
        }
    }

    /// A blank that may be the last octet of its line.
    fn end_line(&mut self, blank: u8, out: &mut Vec<u8>) {
        match self.input {
            Input::Plain => self.put_hex(blank, out),
            // Rule 3: such a blank is not part of the content, and must not become one.
            Input::Quoted => self.put(blank, out),
        }
    }

    fn make_room(&mut self, width: usize, out: &mut Vec<u8>) {
        if self.column + width > COLUMNS {
            out.extend_from_slice(b"=\r\n");
            self.column = 0;
        }
    }

    fn put(&mut self, octet: u8, out: &mut Vec<u8>) {
        self.make_room(1, out);
        if self.column == 0 && matches!(octet, b'.' | b'F' | b'-') {
            return self.put_hex(octet, out);
        }
        out.push(octet);
        self.column += 1;
    }

    fn put_hex(&mut self, octet: u8, out: &mut Vec<u8>) {
        self.make_room(3, out);
        put_hex(octet, b'=', out);
        self.column += 3;
    }
}

/// `=E9`, or with another sign before its digits.
pub(super) fn put_hex(octet: u8, sign: u8, out: &mut Vec<u8>) {
    let mut digits = heapless::String::<2>::new();
    write!(digits, "{octet:02X}").expect("two digits");
    out.push(sign);
    out.extend_from_slice(digits.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(octets: &[u8], input: Input, piece: usize) -> Vec<u8> {
        let (mut encoder, mut out) = (Encoder::new(input), Vec::new());
        octets.chunks(piece).for_each(|part| encoder.encode(part, &mut out));
        encoder.finish(&mut out);
        out
    }

    /// RFC 2045 §6.7, as a reader does it.
    fn decoded(text: &[u8]) -> Vec<u8> {
        let text = String::from_utf8(text.to_vec()).expect("ASCII");
        let mut out = Vec::new();
        let lines: Vec<&str> = text.split("\r\n").collect();
        for (n, line) in lines.iter().enumerate() {
            assert!(line.len() <= 76, "{line}");
            let line = line.trim_end_matches([' ', '\t']);
            let (line, soft) = line.strip_suffix('=').map_or((line, false), |line| (line, true));
            let mut parts = line.split('=');
            out.extend(parts.next().expect("one part").bytes());
            for part in parts {
                out.push(u8::from_str_radix(&part[..2], 16).expect("two digits"));
                out.extend(part[2..].bytes());
            }
            if !soft && n + 1 < lines.len() {
                out.extend(b"\r\n");
            }
        }
        out
    }

    #[test]
    fn it_reads_back_however_it_was_cut() {
        let every: Vec<u8> = (0..=255).collect();
        for content in [
            &b""[..],
            b"a=b\t\r\n.x \r\n",
            b"From x\r\n--y\r\n.\r\n",
            b"\r\x00\n\xff\r",
            b" \r\n \r \r\n\t",
            &[b'x'; 400],
            &[b' '; 400],
            &[0xe9; 100],
            &every,
        ] {
            let whole = encoded(content, Input::Plain, usize::MAX);
            assert_eq!(decoded(&whole), content, "{}", whole.escape_ascii());
            assert!(whole.is_ascii());
            for piece in 1..8 {
                assert_eq!(encoded(content, Input::Plain, piece), whole, "in pieces of {piece}");
            }
        }
        assert_eq!(encoded(b".\r\nFr\r\n-- \r\n", Input::Plain, 9), b"=2E\r\n=46r\r\n=2D-=20\r\n");
    }

    #[test]
    fn what_was_quoted_before_keeps_its_meaning() {
        for (content, expected) in [
            (&b"gr\xc3\xbc=C3=9Fe=\r\n x \r\n"[..], &b"gr=C3=BC=C3=9Fe=\r\n x \r\n"[..]),
            (b"a=20\r\nb\xe9", b"a=20\r\nb=E9"),
        ] {
            for piece in 1..9 {
                assert_eq!(encoded(content, Input::Quoted, piece), expected);
            }
        }
        // Whatever the place of its signs on a line that is too long.
        for before in 0..80 {
            let content = [&vec![b'x'; before][..], b"=C3=BC=\r\n=E9y\xe9"].concat();
            let text = encoded(&content, Input::Quoted, 7);
            let expected = [&vec![b'x'; before][..], b"\xc3\xbc\xe9y\xe9"].concat();
            assert_eq!(decoded(&text), expected, "{before}");
        }
    }
}
