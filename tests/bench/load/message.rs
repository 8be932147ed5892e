//! Messages that can be told apart and whose damage shows: an own Message-ID each, and a checksum
//! of the body.

use crate::now;

/// Bodies are made once and taken in turn: making them is no part of what is measured.
const BODIES: usize = 16;
/// Octets of a line with its CRLF, as mail programs wrap base64 (RFC 2045 §6.8).
const LINE: usize = 78;
/// About what the header takes, so that a message of 2 KiB is one.
const HEADER: usize = 260;

/// What is sent after DATA, for message `number`.
pub(crate) struct Letters {
    mark: String,
    bodies: Vec<Body>,
}

/// As it goes over the wire: dots stuffed (RFC 5321 §4.5.2), with the dot that ends it.
struct Body {
    wire: Vec<u8>,
    sum: u32,
}

impl Letters {
    /// `count` messages of about `octets` each, whose ids begin with `mark`.
    pub(crate) fn new(mark: &str, octets: usize, count: usize) -> Letters {
        let bodies = (0..BODIES.min(count)).map(|n| Body::new(octets.saturating_sub(HEADER), n));
        Letters { mark: mark.to_string(), bodies: bodies.collect() }
    }

    /// The name under which message `number` is known.
    pub(crate) fn id(&self, number: usize) -> String {
        format!("{}.{number}", self.mark)
    }

    /// Header and body of message `number`, in place of what `out` holds.
    pub(crate) fn write(&self, number: usize, out: &mut Vec<u8>) {
        let body = &self.bodies[number % self.bodies.len()];
        let (id, sum) = (self.id(number), body.sum);
        let header = format!(
            "From: Bench <bench@load.test>\r\nTo: <box@sink.test>\r\nSubject: bench {id}\r\n\
             Date: Thu, 01 Jan 2026 00:00:00 +0000\r\nMessage-ID: <{id}@load.test>\r\n\
             X-Bench-Sum: {sum:08x}\r\n\r\n"
        );
        out.clear();
        out.extend_from_slice(header.as_bytes());
        out.extend_from_slice(&body.wire);
    }
}

impl Body {
    fn new(octets: usize, seed: usize) -> Body {
        let mut dice = now() ^ (seed as u64) << 48 | 1;
        let mut wire = Vec::with_capacity(octets + LINE);
        for line in 0..octets.div_ceil(LINE).max(1) {
            // Some lines begin with a dot, which goes doubled.
            let start: &[u8] = if line % 16 == 3 { b".." } else { b"" };
            wire.extend_from_slice(start);
            wire.extend((start.len()..LINE - 2).map(|_| {
                // xorshift64, Marsaglia 2003
                dice ^= dice << 13;
                dice ^= dice >> 7;
                dice ^= dice << 17;
                b'A' + (dice % 26) as u8
            }));
            wire.extend_from_slice(b"\r\n");
        }
        let mut sum = Sum::new();
        sum.add(&wire);
        wire.extend_from_slice(b".\r\n");
        Body { wire, sum: sum.value() }
    }
}

/// Adler-32 (RFC 1950 §8.2): shows damage, and costs next to nothing.
pub(crate) struct Sum(u32, u32);

impl Sum {
    const MODULUS: u32 = 65521;
    /// The most octets whose sums fit 32 bits before they are reduced.
    const RUN: usize = 5552;

    pub(crate) fn new() -> Sum {
        Sum(1, 0)
    }

    pub(crate) fn add(&mut self, octets: &[u8]) {
        for run in octets.chunks(Sum::RUN) {
            for octet in run {
                self.0 += u32::from(*octet);
                self.1 += self.0;
            }
            self.0 %= Sum::MODULUS;
            self.1 %= Sum::MODULUS;
        }
    }

    pub(crate) fn value(&self) -> u32 {
        self.1 << 16 | self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_adler_32() {
        let sum = |text: &[u8]| {
            let mut sum = Sum::new();
            sum.add(text);
            sum.value()
        };
        // As zlib says.
        assert_eq!(sum(b"Wikipedia"), 0x11e6_0398);
        assert_eq!(sum(&vec![0xff; 100_000]), 0x149a_302c);
    }
}
