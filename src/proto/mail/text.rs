//! What a message says, in a few lines: for notices that show no more. The first text of it,
//! decoded as far as that is known; nothing where there is none. RFC 2045, RFC 2046.

use super::{header, mime};
use base64::{Engine, engine::general_purpose::STANDARD};

/// How deep parts may lie in parts.
const DEPTH: usize = 4;

/// The first plain text of a message, of which `message` is all or the beginning; at most
/// `chars_max` characters. Line ends are LF, blanks at the end are cut.
pub fn excerpt(message: &[u8], chars_max: usize) -> String {
    let text = first_text(message, DEPTH).unwrap_or_default();
    let text = text.replace("\r\n", "\n");
    let visible = |c: char| if c.is_control() && c != '\n' && c != '\t' { ' ' } else { c };
    let text: String = text.chars().map(visible).take(chars_max).collect();
    text.trim().to_string()
}

/// The text of an entity: its own, or that of the first of its parts that has one.
fn first_text(entity: &[u8], depth: usize) -> Option<String> {
    let (head, body) = split(entity);
    let value = |name: &str| {
        let field = header::fields(head).find(|field| field.is(name))?;
        Some(String::from_utf8_lossy(&header::unfold(field.value)).into_owned())
    };
    let kind = value("Content-Type").unwrap_or_else(|| "text/plain".into());
    let lower = kind.to_ascii_lowercase();
    if lower.starts_with("multipart/") && depth > 0 {
        let boundary = parameter(&kind, "boundary")?;
        return parts(body, &boundary).find_map(|part| first_text(part, depth - 1));
    }
    if !lower.starts_with("text/plain") {
        return None;
    }
    let encoding = value("Content-Transfer-Encoding").unwrap_or_default().to_ascii_lowercase();
    let octets = match encoding.trim() {
        "base64" => base_64(body),
        "quoted-printable" => quoted_printable(body),
        _ => body.to_vec(),
    };
    Some(mime::text(&octets))
}

/// Header and body. A body without a header before it has an empty one.
fn split(entity: &[u8]) -> (&[u8], &[u8]) {
    if let Some(body) = entity.strip_prefix(b"\r\n") {
        return (&[], body);
    }
    match entity.windows(4).position(|four| four == b"\r\n\r\n") {
        Some(at) => (&entity[..at + 2], &entity[at + 4..]),
        None => (entity, &[]),
    }
}

/// A parameter of a field, unquoted.
fn parameter(value: &str, name: &str) -> Option<String> {
    let mut parts = value.split(';').skip(1).map(str::trim);
    let found = parts.find_map(|part| {
        let (key, text) = part.split_once('=')?;
        key.trim().eq_ignore_ascii_case(name).then_some(text.trim())
    })?;
    let plain = found.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(found);
    (!plain.is_empty()).then(|| plain.to_string())
}

/// The parts between boundary lines; the last may be cut off.
fn parts<'a>(body: &'a [u8], boundary: &str) -> impl Iterator<Item = &'a [u8]> {
    let line = format!("--{boundary}");
    let mut starts = Vec::new();
    let mut at = 0;
    for piece in body.split_inclusive(|octet| *octet == b'\n') {
        if piece.starts_with(line.as_bytes()) {
            starts.push((at, at + piece.len()));
        }
        at += piece.len();
    }
    let ends: Vec<usize> = starts.iter().skip(1).map(|(at, _)| *at).chain([body.len()]).collect();
    starts.into_iter().zip(ends).map(move |((_, from), to)| &body[from.min(to)..to])
}

/// As many whole groups as there are: the text may be cut.
fn base_64(body: &[u8]) -> Vec<u8> {
    let mut letters: Vec<u8> =
        body.iter().copied().filter(|b| b.is_ascii_alphanumeric() || b"+/=".contains(b)).collect();
    letters.truncate(letters.len() / 4 * 4);
    STANDARD.decode(letters).unwrap_or_default()
}

fn quoted_printable(body: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(body.len());
    let mut rest = body;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'=' {
            text.push(*first);
        } else if let Some(after) = rest.strip_prefix(b"\r\n") {
            rest = after;
        } else if let Some((digits, after)) = rest.split_at_checked(2)
            && let Ok(digits) = std::str::from_utf8(digits)
            && let Ok(octet) = u8::from_str_radix(digits, 16)
        {
            text.push(octet);
            rest = after;
        } else {
            text.push(b'=');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_plain_text_is_found_and_decoded() {
        for (message, text) in [
            ("Subject: x\r\n\r\nHello\r\nyou \r\n", "Hello\nyou"),
            ("\r\nno header", "no header"),
            ("Subject: cut off", ""),
            ("Content-Type: text/html\r\n\r\n<b>x</b>", ""),
            (
                "Content-Transfer-Encoding: quoted-printable\r\n\r\nGr=C3=BC=\r\n=C3=9Fe =XY =\r\n",
                "Gr\u{fc}\u{df}e =XY",
            ),
            ("Content-Transfer-Encoding: BASE64\r\n\r\nR3LD\r\nvMOfZQ==\r\n", "Gr\u{fc}\u{df}e"),
            ("Content-Transfer-Encoding: base64\r\n\r\nR3LDvA\r\n", "Gr\u{fffd}"),
            (
                "Content-Type: multipart/mixed;\r\n boundary=\"b c\"\r\n\r\npreamble\r\n--b c\r\n\
                 Content-Type: image/png\r\n\r\nx\r\n--b c\r\n\r\nthe text\r\n--b c--\r\nepilogue",
                "the text",
            ),
            ("Content-Type: multipart/mixed\r\n\r\n--x\r\n\r\ntext", ""),
        ] {
            let shown = excerpt(message.as_bytes(), 100);
            assert!(
                shown == text || shown.starts_with(text) && text.ends_with('\u{fffd}'),
                "{shown}"
            );
        }
        assert_eq!(excerpt(b"\r\n\x1b[31m\xfc", 100), "[31m\u{fc}");
    }

    #[test]
    fn it_is_bounded_in_length_and_depth() {
        let long = format!("\r\n{}", "\u{fc}".repeat(50));
        assert_eq!(excerpt(long.as_bytes(), 7).chars().count(), 7);
        let nested = |depth: usize| {
            let mut message = String::from("\r\ntext");
            for _ in 0..depth {
                message =
                    format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n{message}");
            }
            message
        };
        // Each boundary is that of the one before: the first part is found at once.
        assert_eq!(excerpt(nested(1).as_bytes(), 9), "text");
        let cut: String = nested(3).chars().take(90).collect();
        assert_eq!(excerpt(cut.as_bytes(), 9), "");
    }
}
