//! A message for a server that takes some senders and no others: sent from one of these, in the
//! envelope and in the header. What that looks like is in `proto/mail/sender`.

use crate::{
    proto::mail::{address::Address, charset, date, header, sender},
    relay::{envelope::Octets, route},
    sys::Pending,
    time::Wall,
};
use std::{cell::RefCell, io};

/// A message, with another header where it needs one.
pub struct Renamed<B> {
    head: Vec<u8>,
    /// Octets of the message that this header stands for.
    instead: u64,
    message: B,
}

/// Who stands for a sender, if anybody does.
pub type StandIn<'a> = dyn Fn(&Address) -> Option<Address> + 'a;

/// Whose place was taken, and by whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stand {
    /// In the envelope, from now on; `None`: the null path, or as it was.
    pub from: Option<Address>,
    /// The sender that stands in; the first, where several do.
    pub by: Address,
    /// The header has changed, too.
    pub header: bool,
}

impl<B: Octets> Renamed<B> {
    /// A message as it is.
    pub fn as_it_is(message: B) -> Renamed<B> {
        Renamed { head: Vec::new(), instead: 0, message }
    }

    /// A message as the world should have it: `stands` gives who stands for a sender that only this
    /// network knows; and as `senders` (patterns as in `routes[].senders`; none: all are taken)
    /// want it. `from`: its reverse path. Tells what was changed, if anything was.
    ///
    /// A header beyond [`crate::limits::HEADER_BYTES`] stays as it is.
    ///
    /// # Errors
    /// The message could not be read.
    pub async fn new(
        message: B,
        from: Option<&Address>,
        stands: Option<&StandIn<'_>>,
        senders: &[String],
    ) -> io::Result<(Renamed<B>, Option<Stand>)> {
        let mut renamed = Renamed::as_it_is(message);
        let by = senders.first().and_then(|first| Address::parse(first).ok());
        if by.is_none() && stands.is_none() {
            return Ok((renamed, None));
        }
        let takes =
            |address: &Address| senders.iter().any(|pattern| route::is_sender(pattern, address));
        let stands = |address: &Address| stands.and_then(|stands| stands(address));
        let world = from.and_then(stands);
        let from = world.as_ref().or(from);
        let from = match &by {
            Some(by) if from.is_some_and(|from| !takes(from)) => Some(by.clone()),
            _ => world,
        };
        let old = renamed.header().await?;
        let first = RefCell::new(from.clone());
        let noted = |address: &Address| {
            let stand = stands(address)?;
            first.borrow_mut().get_or_insert_with(|| stand.clone());
            Some(stand)
        };
        let masked = old.as_ref().and_then(|old| sender::masquerade(old, noted));
        let seen = masked.as_ref().or(old.as_ref());
        let new = seen.zip(by.as_ref()).and_then(|(seen, by)| sender::replace(seen, by, takes));
        let by = new.as_ref().and(by).or_else(|| first.take());
        let new = new.or(masked);
        let header = new.is_some();
        if let (Some(old), Some(new)) = (old, new) {
            (renamed.head, renamed.instead) = (new, old.len() as u64);
        }
        let changed = header || from.is_some();
        let by = by.filter(|_| changed);
        Ok((renamed, by.map(|by| Stand { from, by, header })))
    }

    /// Say of which characters a text is that has octets above 127 and says nothing, or that it is
    /// ASCII: UTF-8 where it is that, else windows-1252. Tells what was said, if anything.
    ///
    /// # Errors
    /// The message could not be read.
    pub async fn label(&mut self) -> io::Result<Option<&'static str>> {
        let current = self.current().await?;
        let Some((header, instead)) = current.filter(|(h, _)| charset::is_unlabelled(h)) else {
            return Ok(None);
        };
        let mut utf8 = charset::Utf8::default();
        let mut offset = header.len() as u64;
        while offset < self.size() {
            let octets = self.chunk(offset).await?;
            if octets.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            utf8.look(&octets);
            offset += octets.len() as u64;
        }
        if utf8.is_ascii() {
            return Ok(None);
        }
        let name = if utf8.is_valid() { "utf-8" } else { "windows-1252" };
        (self.head, self.instead) = (charset::labelled(&header, name), instead);
        Ok(Some(name))
    }

    /// Give it a date, where it has none: what was taken before anybody set the clock has waited
    /// for one. RFC 5322 §3.6.1. Tells whether it was given one.
    ///
    /// # Errors
    /// The message could not be read.
    pub async fn date(&mut self, date: Wall) -> io::Result<bool> {
        let current = self.current().await?;
        let Some((header, instead)) = current.filter(|(h, _)| header::find(h, "Date").is_none())
        else {
            return Ok(false);
        };
        let field = format!("Date: {}\r\n", date::format(date));
        // Before the empty line, where there is one.
        let fields =
            header.strip_suffix(b"\r\n").filter(|rest| rest.is_empty() || rest.ends_with(b"\r\n"));
        let (fields, end) = fields.map_or((&header[..], &b""[..]), |fields| (fields, b"\r\n"));
        (self.head, self.instead) = ([fields, field.as_bytes(), end].concat(), instead);
        Ok(true)
    }

    /// The header as it is by now, and the octets of the message that it stands for; `None`: it is
    /// too long.
    async fn current(&self) -> io::Result<Option<(Vec<u8>, u64)>> {
        if !self.head.is_empty() {
            return Ok(Some((self.head.clone(), self.instead)));
        }
        let header = self.header().await?;
        Ok(header.map(|header| {
            let length = header.len() as u64;
            (header, length)
        }))
    }

    /// The header with its empty line; `None`: it is too long.
    async fn header(&self) -> io::Result<Option<Vec<u8>>> {
        let mut reader = header::Reader::default();
        let mut offset = 0;
        while offset < self.message.size() {
            let octets = self.message.chunk(offset).await?;
            if octets.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            offset += octets.len() as u64;
            match reader.push(&octets) {
                Ok(header::Progress::More) => {}
                Ok(header::Progress::Whole) => break,
                Err(header::TooLong) => return Ok(None),
            }
        }
        Ok(Some(reader.finish().header))
    }
}

impl<B: Octets> Octets for Renamed<B> {
    fn size(&self) -> u64 {
        self.head.len() as u64 + (self.message.size() - self.instead)
    }

    fn chunk(&self, offset: u64) -> Pending<'_, io::Result<Vec<u8>>> {
        match offset.checked_sub(self.head.len() as u64) {
            None => self.head.chunk(offset),
            Some(offset) => self.message.chunk(self.instead + offset),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits;
    use futures_lite::future::block_on;

    fn renamed(message: &[u8], from: &str, senders: &[&str]) -> (Vec<u8>, Option<Stand>) {
        let senders: Vec<String> = senders.iter().map(ToString::to_string).collect();
        let from = Address::parse(from).ok();
        let work = Renamed::new(message.to_vec(), from.as_ref(), None, &senders);
        let (renamed, stand) = block_on(work).expect("readable");
        let mut all = Vec::new();
        while let Some(octets) = Some(block_on(renamed.chunk(all.len() as u64)).expect("readable"))
            .filter(|o| !o.is_empty())
        {
            assert!(octets.len() <= limits::CHUNK_BYTES);
            all.extend(octets);
        }
        assert_eq!(all.len() as u64, renamed.size());
        for offset in [0, 1, all.len() / 2, all.len() - 1] {
            let octets = block_on(renamed.chunk(offset as u64)).expect("readable");
            assert!(!octets.is_empty() && all[offset..].starts_with(&octets), "{offset}");
        }
        (all, stand)
    }

    #[test]
    fn a_message_without_a_date_is_given_one_and_no_other() {
        let date = Wall(1_795_338_000);
        let dated = |message: &[u8]| {
            let mut renamed = Renamed::as_it_is(message.to_vec());
            let was = block_on(renamed.date(date)).expect("readable");
            let mut all = Vec::new();
            while (all.len() as u64) < renamed.size() {
                all.extend(block_on(renamed.chunk(all.len() as u64)).expect("readable"));
            }
            (was, String::from_utf8(all).expect("text"))
        };
        let field = "Date: Sun, 22 Nov 2026 09:00:00 +0000\r\n";
        for (message, expected) in [
            ("From: a\r\n\r\nbody\r\n", format!("From: a\r\n{field}\r\nbody\r\n")),
            ("\r\nbody\r\n", format!("{field}\r\nbody\r\n")),
            ("From: a\r\n", format!("From: a\r\n{field}")),
        ] {
            assert_eq!(dated(message.as_bytes()), (true, expected));
        }
        let has = "From: a\r\ndate: Thu, 1 Jan 1970 00:00:00 +0000\r\n\r\nbody\r\n";
        assert_eq!(dated(has.as_bytes()), (false, has.to_string()));
    }

    #[test]
    fn envelope_and_header_are_changed_each_where_it_needs_it_and_the_body_never() {
        let body = "x".repeat(200_000);
        let mine = "me@gmail.com";
        for (from, author, envelope, header) in [
            ("cam@home.lan", "cam@home.lan", true, true),
            (mine, "cam@home.lan", false, true),
            ("cam@home.lan", mine, true, false),
            (mine, mine, false, false),
            ("a@mine.example", "b@mine.example", false, false),
            ("", "cam@home.lan", false, true),
        ] {
            let message = format!("From: <{author}>\r\nSubject: x\r\n\r\n{body}");
            let (all, stand) = renamed(message.as_bytes(), from, &[mine, "*@mine.example"]);
            let all = String::from_utf8(all).expect("text");
            let by = Address::parse(mine).expect("an address");
            let expected = Stand { from: envelope.then(|| by.clone()), by, header };
            assert_eq!(stand, (envelope || header).then_some(expected), "{from} {author}");
            assert!(all.ends_with(&format!("Subject: x\r\n\r\n{body}")), "{from} {author}");
            assert_eq!(all == message, !header, "{from} {author}");
        }
    }

    #[test]
    fn a_text_says_of_which_characters_it_is() {
        for (head, body, name) in [
            ("Subject: x\r\n", &b"Gr\xc3\xbc\xc3\x9fe"[..], Some("utf-8")),
            ("Subject: x\r\n", b"Gr\xfc\xdfe", Some("windows-1252")),
            ("Subject: x\r\n", b"cut \xc3", Some("windows-1252")),
            ("Subject: x\r\n", b"plain", None),
            ("Content-Type: text/plain; charset=koi8-r\r\n", b"\xc1", None),
            ("Subject: \u{fc}\r\n", b"plain", None),
        ] {
            let message = [head.as_bytes(), b"\r\n", body].concat();
            let mut renamed = Renamed::as_it_is(message.clone());
            assert_eq!(block_on(renamed.label()).expect("readable"), name, "{head}");
            let mut all = Vec::new();
            while let Some(octets) =
                Some(block_on(renamed.chunk(all.len() as u64)).expect("readable"))
                    .filter(|octets| !octets.is_empty())
            {
                all.extend(octets);
            }
            assert_eq!(all.len() as u64, renamed.size());
            assert!(all.ends_with(&[b"\r\n\r\n", body].concat()), "the body stays");
            assert_eq!(all == message, name.is_none());
        }
        // After another sender was put in it, too, and across the bounds of chunks.
        let body = "\u{fc}".repeat(40_000);
        let message = format!("From: a@b\r\n\r\nx{body}").into_bytes();
        let senders = ["me@gmail.com".to_string()];
        let work = Renamed::new(message, None, None, &senders);
        let (mut renamed, _) = block_on(work).expect("readable");
        assert_eq!(block_on(renamed.label()).expect("readable"), Some("utf-8"));
        let start = block_on(renamed.chunk(0)).expect("readable");
        let start = String::from_utf8_lossy(&start).into_owned();
        assert!(start.contains("me@gmail.com") && start.contains("charset=utf-8"), "{start}");
    }

    #[test]
    fn without_senders_and_with_a_header_too_long_it_stays_as_it_is() {
        let message = b"From: <cam@home.lan>\r\n\r\nx".to_vec();
        assert_eq!(renamed(&message, "cam@home.lan", &[]), (message.clone(), None));
        let long = format!("From: a@b\r\nX: {}\r\n\r\n", "y".repeat(limits::HEADER_BYTES));
        let (all, stand) = renamed(long.as_bytes(), "a@b", &["me@gmail.com"]);
        assert!(all == long.as_bytes() && stand.is_some_and(|stand| !stand.header));
    }
}
