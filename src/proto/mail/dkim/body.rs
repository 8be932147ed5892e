//! The canonical body, while it passes. RFC 6376 §3.4.4.

/// Octets handed on at a time.
const BLOCK_BYTES: usize = 4096;

/// Line ends that were held back.
const LINE_ENDS: [u8; 512] = {
    let mut ends = [b'\r'; 512];
    let mut at = 1;
    while at < ends.len() {
        ends[at] = b'\n';
        at += 2;
    }
    ends
};

/// Makes a body `relaxed` as it comes, in a few kilobytes whatever its size: each run of blanks
/// becomes one, none is left at a line's end, empty lines at the end go, and a last line without
/// CRLF gets one. CR and LF alone are octets like others.
///
/// What comes out is handed on in blocks; together they are what is hashed.
#[derive(Debug, Default)]
pub struct Body {
    /// Line ends that are nothing unless more follows.
    ends: u64,
    /// The line has blanks that are nothing unless more follows on it.
    blank: bool,
    /// A CR that may be half of a line end.
    cr: bool,
    /// There is more than empty lines.
    any: bool,
    block: Vec<u8>,
}

impl Body {
    /// More octets of the body, cut anywhere.
    pub fn push(&mut self, octets: &[u8], mut hand_on: impl FnMut(&[u8])) {
        let mut rest = octets;
        while let Some((octet, after)) = rest.split_first() {
            if core::mem::take(&mut self.cr) {
                if *octet == b'\n' {
                    self.ends += 1;
                    self.blank = false;
                    rest = after;
                    continue;
                }
                self.put(b"\r", &mut hand_on);
            }
            rest = match octet {
                b'\r' => {
                    self.cr = true;
                    after
                }
                b' ' | b'\t' => {
                    self.blank = true;
                    after
                }
                _ => {
                    let most = rest.iter().take(BLOCK_BYTES);
                    let plain = most.take_while(|b| !matches!(b, b'\r' | b' ' | b'\t')).count();
                    let (run, after) = rest.split_at(plain);
                    self.put(run, &mut hand_on);
                    after
                }
            };
        }
    }

    /// The end of the body.
    pub fn finish(mut self, mut hand_on: impl FnMut(&[u8])) {
        if self.cr {
            self.put(b"\r", &mut hand_on);
        }
        // Nothing stays nothing, and so do empty lines alone.
        if self.any {
            self.block.extend_from_slice(b"\r\n");
        }
        hand_on(&self.block);
    }

    /// Octets that are neither blanks nor line ends, at most a block of them.
    fn put(&mut self, octets: &[u8], hand_on: &mut impl FnMut(&[u8])) {
        while self.ends > 0 {
            let most = LINE_ENDS.len() / 2;
            let now = usize::try_from(self.ends).unwrap_or(most).min(most);
            self.block.extend_from_slice(LINE_ENDS.get(..2 * now).unwrap_or_default());
            self.ends -= now as u64;
            self.hand_on(hand_on);
        }
        if core::mem::take(&mut self.blank) {
            self.block.push(b' ');
        }
        self.block.extend_from_slice(octets);
        self.any = true;
        self.hand_on(hand_on);
    }

    fn hand_on(&mut self, hand_on: &mut impl FnMut(&[u8])) {
        if self.block.len() >= BLOCK_BYTES {
            hand_on(&self.block);
            self.block.clear();
        }
    }
}
