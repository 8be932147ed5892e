//! Message octets on the wire: what is read after DATA and BDAT, what is written, and that nobody
//! can see an end in it where there is none.

use super::smtp_server::{unstuffed, with_crlf};
use crate::{input::Input, seeds as sown};
use waypost::proto::smtp::data::{Found, Stuff, Unstuff};

pub(crate) fn check(data: &[u8]) {
    let input = Input::new(data);
    let piece = 1 + input.choice(0) % 40;
    for reader in [Unstuff::data(), Unstuff::chunks(), Unstuff::line_feeds()] {
        let whole = read(reader, input.octets, usize::MAX);
        assert_eq!(read(reader, input.octets, 1), whole);
        assert_eq!(read(reader, input.octets, piece), whole);
        skips_as_it_reads(reader, input.octets);
    }
    let (body, used, found) = read(Unstuff::data(), input.octets, usize::MAX);
    if found == Found::End {
        assert_eq!(unstuffed(&input.octets[..used]).as_ref(), Some(&body));
    }
    let (body, used, found) = read(Unstuff::line_feeds(), input.octets, usize::MAX);
    if found == Found::End {
        assert!(!input.octets[..used].contains(&b'\r'));
        assert_eq!(unstuffed(&with_crlf(&input.octets[..used])).as_ref(), Some(&body));
    }
    let (mut body, _, found) = read(Unstuff::chunks(), input.octets, usize::MAX);
    if found == Found::More {
        // A CR at the very end is told by `ends_badly`.
        body.truncate(body.len() - usize::from(body.ends_with(b"\r")));
        is_sent_safely(&body, piece);
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let sessions = sown::files("transcript/smtp", ".session");
    sessions.iter().map(|session| Input::compose(&sown::side(session, 'C'), &[3])).collect()
}

fn read(mut reader: Unstuff, octets: &[u8], piece: usize) -> (Vec<u8>, usize, Found) {
    let (mut body, mut used) = (Vec::new(), 0);
    for part in octets.chunks(piece.min(octets.len().max(1))) {
        let before = body.len();
        let (n, found) = reader.decode(part, &mut body);
        assert!(n <= part.len() && body.len() - before <= part.len() * reader.growth() + 2);
        used += n;
        if found != Found::More {
            return (body, used, found);
        }
        assert_eq!(n, part.len(), "all is read unless something was found");
    }
    (body, used, Found::More)
}

fn skips_as_it_reads(reader: Unstuff, octets: &[u8]) {
    let (mut reading, mut skipping) = (reader, reader);
    assert_eq!(reading.decode(octets, &mut Vec::new()), skipping.skip(octets));
    assert_eq!(reading, skipping);
}

/// What was taken goes out so that it reads back, with one end in it and no other, whoever looks.
fn is_sent_safely(body: &[u8], piece: usize) {
    let mut wire = Vec::new();
    let mut stuff = Stuff::default();
    body.chunks(piece).for_each(|part| stuff.encode(part, &mut wire));
    assert!(wire.len() <= body.len() + body.len() / 3 + 1);
    stuff.end(&mut wire);
    let mut expected = body.to_vec();
    if !body.is_empty() && !body.ends_with(b"\r\n") {
        expected.extend(b"\r\n");
    }
    assert_eq!(unstuffed(&wire), Some(expected.clone()));
    let (back, used, found) = read(Unstuff::data(), &wire, usize::MAX);
    assert_eq!((back, used, found), (expected, wire.len(), Found::End));
    // CVE-2023-51764 and its kin: other servers take other line ends for the end, or drop NULs.
    assert_eq!(lenient_ends(&wire), 1, "{}", wire.escape_ascii());
    wire.retain(|octet| *octet != 0);
    assert_eq!(lenient_ends(&wire), 1, "{} without NULs", wire.escape_ascii());
}

/// Lines of a lone dot, for somebody to whom CR, LF and both of them end a line.
fn lenient_ends(wire: &[u8]) -> usize {
    wire.split(|octet| matches!(octet, b'\r' | b'\n')).filter(|line| *line == b".").count()
}
