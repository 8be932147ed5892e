//! The time from servers: RFC 4330 (SNTP version 4), in the packets of RFC 5905.
//!
//! Dates are microseconds since 1970; those of 64 bits in a packet count seconds since 1900 and
//! begin anew in 2036, which [`date_of`] knows how to read for a hundred years.

use std::fmt;

/// Octets of a packet without extensions. RFC 5905 §7.3.
pub const PACKET_BYTES: usize = 48;
/// Seconds from 1900 to 1970.
const SECONDS_1900_TO_1970: i64 = 2_208_988_800;
/// Version 4, client.
const ASK: u8 = 0b00_100_011;

/// A question. `nonce` stands where the server reads when it was asked and sends it back; it need
/// not be a time, and one that cannot be guessed keeps forgers out who do not hear us.
/// RFC 5905 §7.3, draft-ietf-ntp-data-minimization.
pub fn ask(nonce: u64) -> [u8; PACKET_BYTES] {
    let mut packet = [0; PACKET_BYTES];
    packet[0] = ASK;
    packet[40..48].copy_from_slice(&nonce.to_be_bytes());
    packet
}

/// What a server says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// When our question came there, microseconds since 1970.
    pub received: i64,
    /// When it answered.
    pub sent: i64,
}

/// Why an answer does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Useless {
    /// Shorter than a packet.
    Short,
    /// Not an answer to this question.
    Foreign,
    /// The server has no time itself (leap indicator 3, or a stratum above 15).
    Unsynchronized,
    /// The server wants to be left alone (stratum 0, "kiss of death"). RFC 5905 §7.4.
    KissOfDeath,
}

impl fmt::Display for Useless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Useless::Short => "its answer is cut",
            Useless::Foreign => "its answer is to another question",
            Useless::Unsynchronized => "it has no time itself",
            Useless::KissOfDeath => "it wants to be asked no more",
        })
    }
}

/// Read an answer. RFC 4330 §5.
///
/// # Errors
/// Why it does not count.
pub fn read(packet: &[u8], nonce: u64) -> Result<Reply, Useless> {
    let packet: &[u8; PACKET_BYTES] = packet.first_chunk().ok_or(Useless::Short)?;
    let word = |at: usize| {
        packet[at..at + 8].iter().fold(0_u64, |number, octet| number << 8 | u64::from(*octet))
    };
    let (leap, mode, stratum) = (packet[0] >> 6, packet[0] & 7, packet[1]);
    if mode != 4 || word(24) != nonce {
        return Err(Useless::Foreign);
    }
    match stratum {
        0 => return Err(Useless::KissOfDeath),
        1..=15 if leap != 3 => {}
        _ => return Err(Useless::Unsynchronized),
    }
    let (received, sent) = (word(32), word(40));
    if sent == 0 || received == 0 {
        return Err(Useless::Unsynchronized);
    }
    Ok(Reply { received: date_of(received), sent: date_of(sent) })
}

/// Microseconds since 1970 of a time of 64 bits. Where its highest bit is not set, the count has
/// begun anew: RFC 4330 §3.
pub fn date_of(stamp: u64) -> i64 {
    let seconds = i64::try_from(stamp >> 32).expect("32 bits");
    let again = if stamp >> 63 == 0 { 1 << 32 } else { 0 };
    let micros = i64::try_from(((stamp & 0xffff_ffff) * 1_000_000) >> 32).expect("a second's");
    (seconds + again - SECONDS_1900_TO_1970) * 1_000_000 + micros
}

/// How far off our clock is by one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offset {
    /// What is to be added to our clock, microseconds.
    pub micros: i64,
    /// The most that this may be wrong by for the way there and back, microseconds.
    pub doubt: i64,
}

impl Offset {
    /// From an answer to what was asked at `asked` and came at `answered` by our clock.
    /// RFC 4330 §5.
    pub fn of(reply: Reply, asked: i64, answered: i64) -> Offset {
        let there = reply.received.saturating_sub(asked);
        let back = reply.sent.saturating_sub(answered);
        let there_and_back = answered.saturating_sub(asked);
        let way = there_and_back.saturating_sub(reply.sent.saturating_sub(reply.received));
        Offset { micros: there.midpoint(back), doubt: (way / 2).max(0) }
    }
}

/// What more than half of the servers that answered say, by the middle of those who agree: a liar,
/// or two out of five, has no say. `None` where they do not agree. `slack` is by how much honest
/// servers may differ beyond their doubts.
pub fn agree(offsets: &[Offset], slack: i64) -> Option<i64> {
    let close = |one: &Offset, other: &Offset| {
        let apart = one.micros.saturating_sub(other.micros).saturating_abs();
        apart <= one.doubt.saturating_add(other.doubt).saturating_add(slack)
    };
    let party = |one: &Offset| offsets.iter().filter(|other| close(one, other)).count();
    let leader = offsets.iter().max_by_key(|one| (party(one), std::cmp::Reverse(one.doubt)))?;
    if party(leader) * 2 <= offsets.len() {
        return None;
    }
    let mut agreed: Vec<i64> =
        offsets.iter().filter(|other| close(leader, other)).map(|one| one.micros).collect();
    agreed.sort_unstable();
    agreed.get(agreed.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer as a server makes it.
    fn answer(nonce: u64, received: u64, sent: u64) -> [u8; PACKET_BYTES] {
        let mut packet = [0; PACKET_BYTES];
        packet[0] = 0b00_100_100;
        packet[1] = 2;
        packet[24..32].copy_from_slice(&nonce.to_be_bytes());
        packet[32..40].copy_from_slice(&received.to_be_bytes());
        packet[40..48].copy_from_slice(&sent.to_be_bytes());
        packet
    }

    #[test]
    fn dates_are_read_before_and_after_2036() {
        // RFC 5905 figure 4: 31 December 1999 and 7 February 2036.
        assert_eq!(date_of(3_155_587_200 << 32), 946_598_400_000_000);
        assert_eq!(date_of(0), (1 << 32) * 1_000_000 - SECONDS_1900_TO_1970 * 1_000_000);
        assert_eq!(date_of(0xffff_ffff_ffff_ffff), 2_085_978_495_999_999);
        assert_eq!(
            date_of(0x8000_0000_8000_0000),
            (0x8000_0000 - SECONDS_1900_TO_1970) * 1_000_000 + 500_000
        );
    }

    #[test]
    fn an_answer_counts_only_for_its_question() {
        let good = answer(7, 3_900_000_000 << 32, 3_900_000_001 << 32);
        let reply = read(&good, 7).unwrap();
        assert_eq!(reply.sent - reply.received, 1_000_000);
        assert_eq!(read(&good, 8), Err(Useless::Foreign));
        assert_eq!(read(&good[..47], 7), Err(Useless::Short));
        let with = |at: usize, octet: u8| {
            let mut packet = good;
            packet[at] = octet;
            read(&packet, 7)
        };
        assert_eq!(with(0, ASK), Err(Useless::Foreign), "a question is no answer");
        assert_eq!(with(0, 0b11_100_100), Err(Useless::Unsynchronized));
        assert_eq!(with(1, 0), Err(Useless::KissOfDeath));
        assert_eq!(with(1, 16), Err(Useless::Unsynchronized));
        assert!(with(1, 15).is_ok());
        assert_eq!(read(&answer(7, 0, 1 << 63), 7), Err(Useless::Unsynchronized));
        assert_eq!(read(&answer(7, 1 << 63, 0), 7), Err(Useless::Unsynchronized));
        assert_eq!(read(&ask(7), 7), Err(Useless::Foreign));
    }

    #[test]
    fn an_offset_is_the_middle_of_both_ways() {
        // Ours is 10 s behind; 100 ms there, 300 ms back, 50 ms at the server.
        let reply = Reply { received: 11_100_000, sent: 11_150_000 };
        let offset = Offset::of(reply, 1_000_000, 1_450_000);
        assert_eq!(offset, Offset { micros: 9_900_000, doubt: 200_000 });
        let extreme = Offset::of(Reply { received: i64::MAX, sent: i64::MIN }, i64::MIN, i64::MAX);
        assert!(extreme.doubt >= 0);
    }

    #[test]
    fn most_have_their_say_and_liars_have_none() {
        let say = |seconds: &[i64]| -> Vec<Offset> {
            seconds.iter().map(|s| Offset { micros: s * 1_000_000, doubt: 10_000 }).collect()
        };
        let slack = 100_000;
        assert_eq!(agree(&[], slack), None);
        assert_eq!(agree(&say(&[5]), slack), Some(5_000_000));
        assert_eq!(agree(&say(&[5, 9]), slack), None, "one of two lies, and nobody knows which");
        assert_eq!(agree(&say(&[5, 9, 5]), slack), Some(5_000_000));
        assert_eq!(agree(&say(&[5, 9, 13]), slack), None);
        assert_eq!(agree(&say(&[5, 900, 5, -900, 5]), slack), Some(5_000_000));
        assert_eq!(agree(&say(&[5, 9, 5, 9]), slack), None, "half is not most");
    }
}
