//! The little of MIME that a relay needs: encoded words, to show a subject, and quoted-printable,
//! to send a report.

use super::quoted::{Encoder, Input};
use crate::limits;
use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

/// A field's value as a person would read it: encoded words decoded (RFC 2047: UTF-8, US-ASCII,
/// ISO-8859-1 and windows-1252; others stay as they are), controls made blanks, at most `chars_max`
/// characters.
///
/// Octets above 127 outside encoded words are read as UTF-8 where they are UTF-8, else as
/// windows-1252.
pub fn decode_words(value: &[u8], chars_max: usize) -> String {
    // An encoded character takes at most 12 octets in base 64 or "Q", and what frames a word is 75
    // octets at most (RFC 2047 §2): more than this of the value never shows.
    let octets_max = chars_max.saturating_mul(100);
    let value = value.get(..octets_max).unwrap_or(value);
    let mut shown = String::new();
    let mut rest = value;
    let mut run = Run::default();
    while !rest.is_empty() {
        let blanks = rest.iter().take_while(|b| b.is_ascii_whitespace()).count();
        let (gap, after) = rest.split_at_checked(blanks).unwrap_or((rest, &[]));
        let length = after.iter().take_while(|b| !b.is_ascii_whitespace()).count();
        let (word, after) = after.split_at_checked(length).unwrap_or((after, &[]));
        rest = after;
        let encoded = encoded_word(word);
        // RFC 2047 §6.2: blanks between encoded words are not shown.
        if encoded.is_none() || !run.running {
            run.end(&mut shown);
            shown.push_str(&plain(gap));
        }
        if let Some((charset, octets)) = encoded {
            run.take(charset, octets, &mut shown);
        } else {
            shown.push_str(&plain(word));
        }
    }
    run.end(&mut shown);
    let visible = |c: char| if c.is_control() { ' ' } else { c };
    let shown: String = shown.chars().map(visible).collect();
    shown.trim().chars().take(chars_max).collect()
}

/// A text as it may stand in a field of a header: as it is where it is plain, else in encoded words
/// (RFC 2047 §2), folded between them. Controls become blanks.
pub fn encoded(text: &str) -> String {
    /// Octets that fit an encoded word of 75 characters in base 64.
    const PIECE: usize = 42;
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let plain = |c: char| c.is_ascii_alphanumeric() || " .-_+/'!".contains(c);
    if text.len() <= 60 && text.chars().all(plain) {
        return text;
    }
    let mut words = Vec::new();
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let end = rest.floor_char_boundary(PIECE);
        let (piece, after) = rest.split_at(end);
        words.push(format!(
            "=?utf-8?B?{}?=",
            base64::engine::general_purpose::STANDARD.encode(piece)
        ));
        rest = after;
    }
    words.join("\r\n ")
}

/// Octets as text: UTF-8 where they are UTF-8, else windows-1252.
pub fn text(octets: &[u8]) -> String {
    match core::str::from_utf8(octets) {
        Ok(text) => text.to_string(),
        Err(error) if error.error_len().is_none() => String::from_utf8_lossy(octets).into_owned(),
        Err(_) => octets.iter().map(|b| windows_1252(*b)).collect(),
    }
}

fn plain(octets: &[u8]) -> String {
    match core::str::from_utf8(octets) {
        Ok(text) => text.replace("\r\n", ""),
        Err(_) => octets.iter().map(|b| windows_1252(*b)).collect(),
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Charset {
    /// US-ASCII as well.
    #[default]
    Utf8,
    /// ISO-8859-1 as well: as everywhere on the web, what it leaves to controls is read as the
    /// other.
    Windows1252,
}

/// Encoded words that follow each other: many senders cut characters of several octets between two
/// of them.
#[derive(Default)]
struct Run {
    running: bool,
    charset: Charset,
    octets: Vec<u8>,
}

impl Run {
    fn take(&mut self, charset: Charset, octets: Vec<u8>, shown: &mut String) {
        if self.running && self.charset != charset {
            self.end(shown);
        }
        self.running = true;
        self.charset = charset;
        self.octets.extend(octets);
    }

    fn end(&mut self, shown: &mut String) {
        let octets = core::mem::take(&mut self.octets);
        self.running = false;
        match self.charset {
            Charset::Utf8 => shown.push_str(&String::from_utf8_lossy(&octets)),
            Charset::Windows1252 => shown.extend(octets.iter().map(|b| windows_1252(*b))),
        }
    }
}

/// `=?charset*language?encoding?text?=`. RFC 2047 §2, RFC 2231 §5.
fn encoded_word(word: &[u8]) -> Option<(Charset, Vec<u8>)> {
    let word = core::str::from_utf8(word).ok()?;
    let inside = word.strip_prefix("=?")?.strip_suffix("?=")?;
    let (charset, inside) = inside.split_once('?')?;
    let (encoding, text) = inside.split_once('?')?;
    let charset = charset.split_once('*').map_or(charset, |(charset, _)| charset);
    let charset = match charset.to_ascii_lowercase().as_str() {
        "utf-8" | "utf8" | "us-ascii" => Charset::Utf8,
        "iso-8859-1" | "windows-1252" => Charset::Windows1252,
        _ => return None,
    };
    let octets = match encoding {
        "B" | "b" => base_64(text)?,
        "Q" | "q" => q(text)?,
        _ => return None,
    };
    Some((charset, octets))
}

fn base_64(text: &str) -> Option<Vec<u8>> {
    let lenient = GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent);
    GeneralPurpose::new(&STANDARD, lenient).decode(text).ok()
}

/// RFC 2047 §4.2.
fn q(text: &str) -> Option<Vec<u8>> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(octet) = rest.next() {
        octets.push(match octet {
            b'_' => b' ',
            b'=' => hex(rest.next()?)? << 4 | hex(rest.next()?)?,
            _ => octet,
        });
    }
    Some(octets)
}

fn hex(digit: u8) -> Option<u8> {
    let value = char::from(digit).to_digit(16)?;
    u8::try_from(value).ok()
}

/// One octet of windows-1252, by the WHATWG table.
fn windows_1252(octet: u8) -> char {
    const HIGH: [char; 32] = [
        '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž',
        '\u{8f}', '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}',
        'ž', 'Ÿ',
    ];
    let high = usize::from(octet).checked_sub(0x80).and_then(|at| HIGH.get(at));
    high.copied().unwrap_or(char::from(octet))
}

/// Any octets as lines of at most 76 printable ASCII octets with CRLF; see [`Encoder`].
pub fn quoted_printable(octets: &[u8]) -> String {
    let (mut encoder, mut out) = (Encoder::new(Input::Plain), Vec::new());
    encoder.encode(octets, &mut out);
    encoder.finish(&mut out);
    String::from_utf8(out).expect("quoted-printable is ASCII")
}

/// The subject for people; empty where there is none.
pub fn subject(header: &[u8]) -> String {
    super::header::find(header, "Subject")
        .map(|field| decode_words(field.value, limits::SUBJECT_CHARS))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(value: &str) -> String {
        decode_words(value.as_bytes(), 128)
    }

    #[test]
    fn what_is_encoded_reads_back_and_is_folded() {
        assert_eq!(encoded("47 more messages from door-1"), "47 more messages from door-1");
        for text in ["Gr\u{fc}\u{df}e", "a\"b", "x@y <z>", &"\u{fc}".repeat(100), "=?x?="] {
            let field = encoded(text);
            assert!(field.is_ascii() && field.lines().all(|line| line.len() <= 76), "{field}");
            assert_eq!(decode_words(field.as_bytes(), 200), *text);
        }
        assert_eq!(encoded("a\r\nBcc: b"), encoded("a  Bcc: b"));
    }

    #[test]
    fn encoded_words_are_shown_as_rfc_2047_section_8_has_them() {
        for (value, shown) in [
            ("=?ISO-8859-1?Q?a?=", "a"),
            ("=?ISO-8859-1?Q?a?= b", "a b"),
            ("=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=", "ab"),
            ("=?ISO-8859-1?Q?a?=  =?ISO-8859-1?Q?b?=", "ab"),
            ("=?ISO-8859-1?Q?a?=\r\n    =?ISO-8859-1?Q?b?=", "ab"),
            ("=?ISO-8859-1?Q?a_b?=", "a b"),
            ("=?ISO-8859-1?Q?a?= =?ISO-8859-2?Q?_b?=", "a =?ISO-8859-2?Q?_b?="),
            ("=?US-ASCII?Q?Keith_Moore?= <moore@cs.utk.edu>", "Keith Moore <moore@cs.utk.edu>"),
            ("=?ISO-8859-1?B?SWYgeW91IGNhbiByZWFkIHRoaXMgeW8=?=", "If you can read this yo"),
            ("=?ISO-8859-1?Q?Andr=E9?= Pirard", "André Pirard"),
            ("=?utf-8*de?q?Gr=C3=BC=C3=9Fe?=", "Grüße"),
            ("=?UTF-8?B?8J+Ygg?= ok", "😂 ok"),
            ("=?UTF-8?Q?=F0=9F?= =?UTF-8?Q?=98=82?=", "😂"),
            ("=?windows-1252?Q?=80_100?=", "€ 100"),
        ] {
            assert_eq!(decoded(value), shown, "{value}");
        }
    }

    #[test]
    fn broken_words_are_shown_as_they_are_and_controls_are_not() {
        for (value, shown) in [
            ("=?UTF-8?Q?=F?=", "=?UTF-8?Q?=F?="),
            ("=?UTF-8?B?a?=", "=?UTF-8?B?a?="),
            ("=?UTF-8?X?a?=", "=?UTF-8?X?a?="),
            ("=?x?=", "=?x?="),
            ("=?UTF-8?Q?a=0D=0ABcc:_x?=", "a  Bcc: x"),
            ("=?UTF-8?Q?=FF?=", "\u{fffd}"),
            ("a\r\n b", "a b"),
            ("", ""),
        ] {
            assert_eq!(decoded(value), shown, "{value}");
        }
        assert_eq!(decode_words(b"caf\xe9 \x80", 128), "café €");
        assert_eq!(decode_words("café".as_bytes(), 128), "café");
    }

    #[test]
    fn a_subject_is_cut_at_its_bound() {
        let header = |n: usize| format!("subject: {}\r\n\r\n", "é".repeat(n));
        let exactly = limits::SUBJECT_CHARS;
        assert_eq!(subject(header(exactly).as_bytes()), "é".repeat(exactly));
        assert_eq!(subject(header(exactly + 1).as_bytes()), "é".repeat(exactly));
        assert_eq!(subject(b"To: x\r\n\r\n"), "");
        assert_eq!(decode_words(&vec![b'='; 1 << 20], 128).len(), 128);
    }

    #[test]
    fn quoted_printable_reads_back_and_keeps_to_its_lines() {
        assert_eq!(quoted_printable(b"a=b\t\r\n.x \r\n"), "a=3Db=09\r\n=2Ex=20\r\n");
        assert_eq!(quoted_printable(b"From x\r\n--y"), "=46rom x\r\n=2D-y");
        assert_eq!(quoted_printable(b"\r\x00\n\xff"), "=0D=00=0A=FF");
        let long = quoted_printable(&[b'x'; 200]);
        assert!(long.split("\r\n").all(|line| line.len() <= 76), "{long}");
        assert_eq!(long.replace("=\r\n", ""), "x".repeat(200));
        // The same holds for a line that starts after a soft line break.
        let broken = quoted_printable(&[&[b'x'; 75][..], b".", &[b'y'; 72], b"From"].concat());
        assert!(broken.contains("=\r\n=2Ey") && broken.contains("=\r\n=46rom"), "{broken}");
        let every: Vec<u8> = (0..=255).collect();
        let encoded = quoted_printable(&every).replace("=\r\n", "").replace('_', "=5F");
        assert_eq!(q(&encoded), Some(every));
    }
}
