//! Which characters a text is of: devices send octets above 127 and say nothing, or that it is
//! ASCII; readers then guess, and mostly wrongly. RFC 2045 §5.2, RFC 2046 §4.1.2.

use super::header;

/// Is this the header of a text that claims to be ASCII, or claims nothing? What is signed is left
/// alone: the signature may be over fields that are not there (RFC 6376 §5.4.2).
pub fn is_unlabelled(header: &[u8]) -> bool {
    if header::find(header, "DKIM-Signature").is_some() {
        return false;
    }
    let value = |name: &str| {
        let field = header::fields(header).find(|field| field.is(name))?;
        Some(String::from_utf8_lossy(&header::unfold(field.value)).to_ascii_lowercase())
    };
    let encoding = value("Content-Transfer-Encoding").unwrap_or_default();
    if !["", "7bit", "8bit", "binary"].contains(&encoding.trim()) {
        return false;
    }
    let Some(kind) = value("Content-Type") else { return true };
    let Some(rest) = kind.trim().strip_prefix("text/") else { return false };
    let charset = rest.split(';').skip(1).find_map(|part| part.trim().strip_prefix("charset="));
    charset.is_none_or(|name| ["us-ascii", "ascii", ""].contains(&name.trim_matches('"')))
}

/// The header of such a text, that says its charset. Comments in Content-Type are kept; other
/// parameters, too.
pub fn labelled(header: &[u8], charset: &str) -> Vec<u8> {
    let mut new = Vec::with_capacity(header.len() + 100);
    let (mut version, mut kind, mut encoding) = (false, false, false);
    for field in header::fields(header) {
        version |= field.is("MIME-Version");
        if field.is("Content-Transfer-Encoding") {
            encoding = true;
            new.extend_from_slice(b"Content-Transfer-Encoding: 8bit\r\n");
        } else if field.is("Content-Type") {
            kind = true;
            let value = header::unfold(field.value);
            let value = String::from_utf8_lossy(&value).into_owned();
            let is_charset = |part: &&str| part.trim().to_ascii_lowercase().starts_with("charset=");
            let parts: Vec<&str> = value.split(';').filter(|part| !is_charset(part)).collect();
            let value = parts.join(";");
            let value = value.trim().trim_end_matches(';');
            new.extend_from_slice(
                format!("Content-Type: {value};\r\n charset={charset}\r\n").as_bytes(),
            );
        } else {
            new.extend_from_slice(field.raw);
        }
    }
    if !version {
        new.extend_from_slice(b"MIME-Version: 1.0\r\n");
    }
    if !kind {
        let field = format!("Content-Type: text/plain; charset={charset}\r\n");
        new.extend_from_slice(field.as_bytes());
    }
    if !encoding {
        new.extend_from_slice(b"Content-Transfer-Encoding: 8bit\r\n");
    }
    new.extend_from_slice(b"\r\n");
    new
}

/// Is it UTF-8? Octets may come in any pieces.
#[derive(Debug, Default)]
pub struct Utf8 {
    /// A character that has begun.
    begun: Vec<u8>,
    bad: bool,
    /// There is an octet above 127.
    wide: bool,
}

impl Utf8 {
    /// The next octets.
    pub fn look(&mut self, octets: &[u8]) {
        if self.bad || (self.begun.is_empty() && octets.is_ascii()) {
            return;
        }
        self.wide = true;
        self.begun.extend_from_slice(octets);
        match core::str::from_utf8(&self.begun) {
            Ok(_) => self.begun.clear(),
            Err(error) if error.error_len().is_none() => {
                self.begun.drain(..error.valid_up_to());
            }
            Err(_) => self.bad = true,
        }
    }

    /// All of it was, and no character is left begun.
    pub fn is_valid(&self) -> bool {
        !self.bad && self.begun.is_empty()
    }

    /// There was no octet above 127.
    pub fn is_ascii(&self) -> bool {
        !self.wide
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_may_be_cut_anywhere() {
        for (octets, valid, ascii) in [
            (&b"plain"[..], true, true),
            ("Grüße €".as_bytes(), true, false),
            (b"Gr\xfc\xdfe", false, false),
            (b"cut \xe2\x82", false, false),
        ] {
            for piece in 1..=octets.len() {
                let mut utf8 = Utf8::default();
                octets.chunks(piece).for_each(|octets| utf8.look(octets));
                assert_eq!((utf8.is_valid(), utf8.is_ascii()), (valid, ascii), "{octets:?}");
            }
        }
    }

    #[test]
    fn only_text_that_says_nothing_or_ascii_is_unlabelled() {
        for (header, unlabelled) in [
            ("Subject: x\r\n\r\n", true),
            ("Content-Type: text/plain\r\n\r\n", true),
            ("content-type: TEXT/html; format=flowed\r\n\r\n", true),
            ("Content-Type: text/plain;\r\n charset=\"US-ASCII\"\r\n\r\n", true),
            ("Content-Type: text/plain; charset=utf-8\r\n\r\n", false),
            ("Content-Type: text/plain; charset=iso-8859-1\r\n\r\n", false),
            ("Content-Type: multipart/mixed; boundary=x\r\n\r\n", false),
            ("Content-Type: image/png\r\n\r\n", false),
            ("Content-Transfer-Encoding: base64\r\n\r\n", false),
            ("Content-Transfer-Encoding: 7BIT\r\n\r\n", true),
            ("DKIM-Signature: v=1; h=from\r\nSubject: x\r\n\r\n", false),
        ] {
            assert_eq!(is_unlabelled(header.as_bytes()), unlabelled, "{header}");
        }
    }

    #[test]
    fn what_is_labelled_says_so_and_keeps_the_rest() {
        for (header, new) in [
            (
                "Subject: x\r\n\r\n",
                "Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\
                 Content-Transfer-Encoding: 8bit\r\n\r\n",
            ),
            (
                "MIME-Version: 1.0\r\nContent-Type: text/html; charset=us-ascii; format=flowed\r\n\
                 Content-Transfer-Encoding: 7bit\r\nTo: a@b\r\n\r\n",
                "MIME-Version: 1.0\r\nContent-Type: text/html; format=flowed;\r\n charset=utf-8\r\n\
                 Content-Transfer-Encoding: 8bit\r\nTo: a@b\r\n\r\n",
            ),
        ] {
            let text = String::from_utf8(labelled(header.as_bytes(), "utf-8")).expect("text");
            assert_eq!(text, new);
            assert!(!is_unlabelled(text.as_bytes()));
        }
    }
}
