//! Envelopes, progress and what else is in a record, as octets. Numbers are little-endian; a text
//! is its length in 2 octets and UTF-8.

use super::record::{u16_at, u32_at, u64_at};
use crate::{
    proto::{
        mail::address::Address,
        status::{Class, Outcome, Status},
    },
    relay::envelope::{Envelope, Id, Notify, Progress, Recipient, Ret},
    time::Wall,
};
use std::{net::IpAddr, time::Duration};

/// Octets of a [`Sheet`].
pub(super) const SHEET_BYTES: usize = 40;

/// The fixed start of a Message record's payload. Envelope, progress and octets follow; of a large
/// message only the progress does, and its file holds the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sheet {
    /// The message is in a file of its own.
    pub(super) large: bool,
    pub(super) recipients: u16,
    /// Octets of the envelope.
    pub(super) envelope: u32,
    /// Octets of the progress; 0: nothing tried yet.
    pub(super) progress: u32,
    /// Large: checksum of the file's trailer.
    pub(super) trailer_crc: u32,
    /// Octets of the message.
    pub(super) size: u64,
    pub(super) arrived: Option<Wall>,
    /// The message that this one is a bounce of, and which is done with it.
    pub(super) replaces: Option<Id>,
}

const NONE: u64 = u64::MAX;

impl Sheet {
    pub(super) fn encode(&self) -> [u8; SHEET_BYTES] {
        let mut octets = [0; SHEET_BYTES];
        octets[0] = u8::from(self.large);
        octets[2..4].copy_from_slice(&self.recipients.to_le_bytes());
        octets[4..8].copy_from_slice(&self.envelope.to_le_bytes());
        octets[8..12].copy_from_slice(&self.progress.to_le_bytes());
        octets[12..16].copy_from_slice(&self.trailer_crc.to_le_bytes());
        octets[16..24].copy_from_slice(&self.size.to_le_bytes());
        octets[24..32].copy_from_slice(&self.arrived.map_or(NONE, |wall| wall.0).to_le_bytes());
        octets[32..40].copy_from_slice(&self.replaces.map_or(NONE, Id::bits).to_le_bytes());
        octets
    }

    pub(super) fn decode(octets: &[u8]) -> Option<Sheet> {
        let octets = octets.get(..SHEET_BYTES)?;
        let some = |bits: u64| (bits != NONE).then_some(bits);
        Some(Sheet {
            large: octets[0] & 1 != 0,
            recipients: u16_at(octets, 2),
            envelope: u32_at(octets, 4),
            progress: u32_at(octets, 8),
            trailer_crc: u32_at(octets, 12),
            size: u64_at(octets, 16),
            arrived: some(u64_at(octets, 24)).map(Wall),
            replaces: some(u64_at(octets, 32)).map(Id::new),
        })
    }

    /// A Message record's payload with its sheet; `None` where it has none that fits it.
    pub(super) fn of(payload: Vec<u8>) -> Option<(Sheet, Vec<u8>)> {
        Sheet::check(&payload).map(|sheet| (sheet, payload))
    }

    /// The sheet of a payload, if it fits it.
    pub(super) fn check(payload: &[u8]) -> Option<Sheet> {
        let sheet = Sheet::decode(payload)?;
        let octets = if sheet.large { 0 } else { sheet.size };
        let length = (sheet.progress_range().end as u64).checked_add(octets)?;
        (length == payload.len() as u64).then_some(sheet)
    }

    /// Where in the payload the envelope is; empty for a large message.
    pub(super) fn envelope_range(&self) -> std::ops::Range<usize> {
        let length = if self.large { 0 } else { self.envelope as usize };
        SHEET_BYTES..SHEET_BYTES + length
    }

    pub(super) fn progress_range(&self) -> std::ops::Range<usize> {
        let start = self.envelope_range().end;
        start..start + self.progress as usize
    }
}

/// Takes fields off the front.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        Some(self.take(1)?[0])
    }

    fn u16(&mut self) -> Option<u16> {
        self.take(2).map(|octets| u16_at(octets, 0))
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = self.u16()?;
        core::str::from_utf8(self.take(length.into())?).ok()
    }

    fn address(&mut self) -> Option<Address> {
        Address::parse(self.text()?).ok()
    }
}

/// `text` cut at `most` octets, between characters.
fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

fn put_text(into: &mut Vec<u8>, text: &str) {
    let text = cut(text, u16::MAX.into());
    into.extend(u16::try_from(text.len()).expect("it has been cut").to_le_bytes());
    into.extend(text.as_bytes());
}

const FROM: u8 = 1;
const EIGHT_BIT: u8 = 2;
const UTF8: u8 = 4;
const RET_FULL: u8 = 8;
const RET_HEADERS: u8 = 16;
/// Journals of versions that did not sign lack it.
const OURS: u8 = 32;
/// A user, and the octets of an IP address: journals of versions whose routes did not ask lack
/// these.
const USER: u8 = 64;
const PEER: u8 = 128;

/// Everything but `arrived`, which is in the [`Sheet`]. `None` where it would not read back as it
/// is.
pub(super) fn encode_envelope(envelope: &Envelope) -> Option<Vec<u8>> {
    let mut octets = Vec::with_capacity(128);
    let mut flags = 0;
    for (flag, is) in [
        (FROM, envelope.from.is_some()),
        (EIGHT_BIT, envelope.eight_bit),
        (UTF8, envelope.utf8),
        (OURS, envelope.ours),
        (RET_FULL, envelope.ret == Some(Ret::Full)),
        (RET_HEADERS, envelope.ret == Some(Ret::Headers)),
        (USER, envelope.user.is_some()),
        (PEER, envelope.peer.is_some()),
    ] {
        flags |= if is { flag } else { 0 };
    }
    octets.push(flags);
    octets.extend(u16::try_from(envelope.recipients.len()).ok()?.to_le_bytes());
    if let Some(from) = &envelope.from {
        put_text(&mut octets, from.as_str());
    }
    for text in [&envelope.envid, &envelope.source, &envelope.message_id] {
        put_text(&mut octets, text);
    }
    if let Some(user) = &envelope.user {
        put_text(&mut octets, user);
    }
    match envelope.peer {
        Some(IpAddr::V4(peer)) => octets.extend([&[4], &peer.octets()[..]].concat()),
        Some(IpAddr::V6(peer)) => octets.extend([&[16], &peer.octets()[..]].concat()),
        None => {}
    }
    for recipient in &envelope.recipients {
        put_text(&mut octets, recipient.to.as_str());
        put_text(&mut octets, &recipient.orcpt);
        let Notify { given, success, failure, delay } = recipient.notify;
        octets.push(
            u8::from(given)
                | u8::from(success) << 1
                | u8::from(failure) << 2
                | u8::from(delay) << 3,
        );
    }
    (decode_envelope(&octets, envelope.arrived).as_ref() == Some(envelope)).then_some(octets)
}

pub(super) fn decode_envelope(octets: &[u8], arrived: Option<Wall>) -> Option<Envelope> {
    let mut reader = Reader(octets);
    let flags = reader.u8()?;
    let recipients = reader.u16()?;
    let from = if flags & FROM == 0 { None } else { Some(reader.address()?) };
    let ret = match flags & (RET_FULL | RET_HEADERS) {
        0 => None,
        RET_FULL => Some(Ret::Full),
        _ => Some(Ret::Headers),
    };
    let mut envelope = Envelope {
        from,
        recipients: Vec::with_capacity(recipients.into()),
        eight_bit: flags & EIGHT_BIT != 0,
        utf8: flags & UTF8 != 0,
        ours: flags & OURS != 0,
        ret,
        envid: reader.text()?.into(),
        arrived,
        source: reader.text()?.into(),
        message_id: reader.text()?.into(),
        user: None,
        peer: None,
    };
    if flags & USER != 0 {
        envelope.user = Some(reader.text()?.into());
    }
    if flags & PEER != 0 {
        let length = reader.u8()?;
        let octets = reader.take(length.into())?;
        let v4 = <[u8; 4]>::try_from(octets).map(IpAddr::from);
        envelope.peer = Some(v4.or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from)).ok()?);
    }
    for _ in 0..recipients {
        let to = reader.address()?;
        let orcpt = reader.text()?.into();
        let bits = reader.u8()?;
        let notify = Notify {
            given: bits & 1 != 0,
            success: bits & 2 != 0,
            failure: bits & 4 != 0,
            delay: bits & 8 != 0,
        };
        envelope.recipients.push(Recipient { to, orcpt, notify });
    }
    reader.0.is_empty().then_some(envelope)
}

/// Octets of a progress before its outcomes.
const PROGRESS_BYTES: usize = 13;
/// In the first octet of an outcome: its sender knows it, or need not.
const REPORTED: u8 = 0x80;
/// Octets of an outcome without words.
const OUTCOME_BYTES: usize = 7;

/// Most octets that the progress of so many recipients takes when it may use no words.
pub(super) const fn wordless_bytes(recipients: usize) -> usize {
    PROGRESS_BYTES + OUTCOME_BYTES * recipients
}

/// A progress in at most `room` octets, which must be [`wordless_bytes`] at least: where it does
/// not fit, the words of its outcomes are cut, never the outcomes.
pub(super) fn encode_progress(progress: &Progress, room: usize) -> Vec<u8> {
    [usize::from(u16::MAX), 240, 120, 60, 30, 0]
        .into_iter()
        .map(|words| progress_with_words(progress, words))
        .find(|octets| octets.len() <= room)
        .unwrap_or_else(|| progress_with_words(progress, 0))
}

fn progress_with_words(progress: &Progress, words: usize) -> Vec<u8> {
    let mut octets = Vec::with_capacity(64);
    octets.extend(progress.attempts.to_le_bytes());
    octets.push(u8::from(progress.warned) | u8::from(progress.held) << 1);
    let spent = u64::try_from(progress.spent.as_millis()).unwrap_or(u64::MAX);
    octets.extend(spent.to_le_bytes());
    let count = u16::try_from(progress.outcomes.len()).expect("one a recipient of an envelope");
    octets.extend(count.to_le_bytes());
    let mut before: Option<&Outcome> = None;
    for (n, outcome) in progress.outcomes.iter().enumerate() {
        let told = if progress.reported.contains(&n) { REPORTED } else { 0 };
        match outcome {
            None => octets.push(told),
            // Recipients of one server mostly share an outcome: it is written once.
            Some(same) if before == Some(same) => octets.push(told | 1),
            Some(outcome) => {
                let class = outcome.status.class as u8;
                octets.push(told | class << 4 | outcome.status.subject());
                octets.extend(outcome.status.detail().to_le_bytes());
                put_text(&mut octets, cut(&outcome.by, words));
                put_text(&mut octets, cut(&outcome.text, words));
            }
        }
        before = outcome.as_ref().or(before);
    }
    octets
}

/// What the queue wants to know of a progress, from its first octets.
pub(super) fn decode_summary(octets: &[u8]) -> Option<Progress> {
    let mut reader = Reader(octets);
    let attempts = reader.u16()?;
    let flags = reader.u8()?;
    let spent = Duration::from_millis(u64_at(reader.take(8)?, 0));
    let (warned, held) = (flags & 1 != 0, flags & 2 != 0);
    Some(Progress { attempts, spent, warned, held, ..Progress::default() })
}

pub(super) fn decode_progress(octets: &[u8]) -> Option<Progress> {
    let mut progress = decode_summary(octets)?;
    let mut reader = Reader(octets.get(PROGRESS_BYTES - 2..)?);
    let count = reader.u16()?;
    progress.outcomes.reserve_exact(count.into());
    let mut before = None;
    for n in 0..count {
        let octet = reader.u8()?;
        if octet & REPORTED != 0 {
            progress.reported.push(n.into());
        }
        let outcome = match octet & !REPORTED {
            0 => None,
            1 => before.clone(),
            octet => Some(decode_outcome(octet, &mut reader)?),
        };
        before = outcome.clone().or(before);
        progress.outcomes.push(outcome);
    }
    reader.0.is_empty().then_some(progress)
}

fn decode_outcome(octet: u8, reader: &mut Reader<'_>) -> Option<Outcome> {
    let class = Class::from_digit(u16::from(octet >> 4))?;
    let (subject, detail) = (octet & 15, reader.u16()?);
    if subject > 7 || detail > 999 {
        return None;
    }
    let status = Status::new(class, subject, detail);
    Some(Outcome { status, by: reader.text()?.into(), text: reader.text()?.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope() -> Envelope {
        let address = |text: &str| Address::parse(text).expect("valid");
        Envelope {
            from: Some(address("cam@home.arpa")),
            recipients: vec![
                Recipient {
                    to: address("ann@example.org"),
                    orcpt: "rfc822;a@b".into(),
                    notify: Notify { given: true, success: true, failure: false, delay: false },
                },
                Recipient {
                    to: address("jörg@exämple.org"),
                    orcpt: String::new(),
                    notify: Notify::default(),
                },
            ],
            eight_bit: true,
            utf8: true,
            ours: true,
            ret: Some(Ret::Headers),
            envid: "e".into(),
            arrived: Some(Wall(5)),
            source: "192.0.2.1 (camera)".into(),
            message_id: "x@y".into(),
            user: Some("alice".into()),
            peer: "fd00::7".parse().ok(),
        }
    }

    fn outcome(class: Class, text: &str) -> Outcome {
        let status = Status::new(class, 2, 2);
        Outcome { status, by: "mx.example".into(), text: text.into() }
    }

    #[test]
    fn envelopes_read_back() {
        let full = envelope();
        let octets = encode_envelope(&full).expect("reads back");
        assert_eq!(decode_envelope(&octets, full.arrived), Some(full));
        let bounce = Envelope { from: None, ours: false, ret: None, arrived: None, ..envelope() };
        let octets = encode_envelope(&bounce).expect("reads back");
        assert_eq!(decode_envelope(&octets, None), Some(bounce));
        for end in 0..octets.len() {
            assert_eq!(decode_envelope(&octets[..end], None), None, "cut at {end}");
        }
    }

    #[test]
    fn an_envelope_that_would_not_read_back_is_not_promised() {
        let long = Envelope { source: "x".repeat(70_000), ..envelope() };
        assert_eq!(encode_envelope(&long), None);
    }

    #[test]
    fn progress_reads_back() {
        let progress = Progress {
            attempts: 3,
            outcomes: vec![
                None,
                Some(outcome(Class::Transient, "full")),
                Some(outcome(Class::Transient, "full")),
                None,
                Some(outcome(Class::Transient, "full")),
                Some(outcome(Class::Permanent, "")),
            ],
            spent: Duration::from_millis(12_345),
            reported: vec![2, 3, 5],
            warned: true,
            held: false,
        };
        let octets = encode_progress(&progress, 1000);
        let once = octets.windows(4).filter(|words| *words == b"full").count();
        assert_eq!(once, 1, "what is equal is written once");
        assert_eq!(decode_progress(&octets), Some(progress.clone()));
        let summary = decode_summary(&octets).expect("a start");
        let short = Progress { outcomes: Vec::new(), reported: Vec::new(), ..progress };
        assert_eq!(summary, short);
        for end in 0..octets.len() {
            assert_eq!(decode_progress(&octets[..end]), None, "cut at {end}");
        }
    }

    #[test]
    fn words_are_cut_to_the_room_and_outcomes_are_not() {
        let words = |n: usize| format!("é{n}").repeat(200);
        let outcomes = (0..50).map(|n| Some(outcome(Class::Permanent, &words(n)))).collect();
        let progress = Progress { outcomes, ..Progress::default() };
        for room in [wordless_bytes(50), 4000, 20_000] {
            let octets = encode_progress(&progress, room);
            assert!(octets.len() <= room, "{} of {room}", octets.len());
            let back = decode_progress(&octets).expect("reads back");
            assert!(back.outcomes.iter().flatten().all(Outcome::is_final));
            assert_eq!(back.outcomes.len(), 50);
        }
    }

    #[test]
    fn a_sheet_reads_back() {
        let sheet = Sheet {
            large: true,
            recipients: 2,
            envelope: 3,
            progress: 4,
            trailer_crc: 5,
            size: 6,
            arrived: None,
            replaces: Some(Id::new(7)),
        };
        assert_eq!(Sheet::decode(&sheet.encode()), Some(sheet));
        let sheet = Sheet { large: false, arrived: Some(Wall(1)), replaces: None, ..sheet };
        assert_eq!(Sheet::decode(&sheet.encode()), Some(sheet));
        assert_eq!(sheet.progress_range(), 43..47);
    }
}
