//! The sender of forwarded mail, written anew so that its bounces come back to who forwards: SRS,
//! the Sender Rewriting Scheme, as libsrs2 and its kin write it.
//!
//! Pure. `a@x.example` becomes `SRS0=HHHHHHHH=TT=x.example=a@ours`: a seal that only we can make,
//! and a day, so that nobody sends through us what was never forwarded, or long ago. What another
//! forwarder has written becomes `SRS1=HHHHHHHH=theirs==HHH=TT=x.example=a@ours`, and its bounces
//! go to them.

use super::address::Address;
use crate::limits;
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// What seals.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(pub [u8; 32]);

/// What makes an address that looks like one of ours none, in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// It was not written here.
    Seal,
    /// It is older than [`limits::SRS_DAYS`].
    Old,
}

/// Days are counted modulo this.
const DAYS: u64 = 1024;
const DIGITS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

impl Key {
    /// The sender `from` as it may leave from a domain of ours; `day`: days since 1970.
    ///
    /// `None`: it has no domain, is no ASCII or quoted, or would be longer than RFC 5321 §4.5.3.1.1
    /// allows; then it must stay as it is.
    pub fn write(&self, from: &Address, ours: &str, day: u64) -> Option<Address> {
        let (local, domain) = (from.local(), from.domain());
        if domain.is_empty() || !from.is_ascii() || local.starts_with('"') {
            return None;
        }
        let local = match part(local, "SRS1").and_then(|rest| rest.split_once('=')) {
            // Whoever was first gets it back; those between are left out.
            Some((_, rest)) => format!("SRS1={}={rest}", self.seal(rest)),
            None if part(local, "SRS0").is_some() => {
                let rest = format!("{domain}={}", &local["SRS0".len()..]);
                format!("SRS1={}={rest}", self.seal(&rest))
            }
            None => {
                let rest = format!("{}={domain}={local}", stamp(day));
                format!("SRS0={}={rest}", self.seal(&rest))
            }
        };
        let fits = local.len() <= limits::LOCAL_PART_BYTES;
        Address::parse(&format!("{local}@{ours}")).ok().filter(|_| fits)
    }

    /// Where a bounce to `to`, a local address, goes. `None`: it is an address like any other.
    /// Without a `day` its age does not matter.
    pub fn read(&self, to: &Address, day: Option<u64>) -> Option<Result<Address, Wrong>> {
        let local = to.local();
        if let Some((seal, rest)) = part(local, "SRS0").and_then(|rest| rest.split_once('=')) {
            return Some(self.read_first(seal, rest, day));
        }
        let (seal, rest) = part(local, "SRS1")?.split_once('=')?;
        Some(self.read_further(seal, rest))
    }

    fn read_first(&self, seal: &str, rest: &str, day: Option<u64>) -> Result<Address, Wrong> {
        self.check(seal, rest)?;
        let mut parts = rest.splitn(3, '=');
        let (then, domain, local) = (parts.next(), parts.next(), parts.next());
        let then = then.and_then(days).ok_or(Wrong::Seal)?;
        if day.is_some_and(|day| (day % DAYS + DAYS - then) % DAYS > limits::SRS_DAYS) {
            return Err(Wrong::Old);
        }
        let address = local.zip(domain).map(|(local, domain)| format!("{local}@{domain}"));
        Address::parse(&address.unwrap_or_default()).map_err(|_| Wrong::Seal)
    }

    fn read_further(&self, seal: &str, rest: &str) -> Result<Address, Wrong> {
        self.check(seal, rest)?;
        let (domain, local) = rest.split_once('=').ok_or(Wrong::Seal)?;
        Address::parse(&format!("SRS0{local}@{domain}")).map_err(|_| Wrong::Seal)
    }

    /// Some servers change the case of what they answer to.
    fn check(&self, seal: &str, rest: &str) -> Result<(), Wrong> {
        let right = self.seal(rest).eq_ignore_ascii_case(seal);
        right.then_some(()).ok_or(Wrong::Seal)
    }

    /// 40 bits.
    fn seal(&self, rest: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("any length will do");
        mac.update(rest.to_ascii_lowercase().as_bytes());
        let digest = mac.finalize().into_bytes();
        digest.iter().take(8).map(|b| digit(u64::from(b & 31))).collect()
    }
}

/// What follows a mark and its separator.
fn part<'a>(local: &'a str, mark: &str) -> Option<&'a str> {
    let (head, rest) = local.split_at_checked(mark.len())?;
    let rest = rest.strip_prefix(['=', '+', '-'])?;
    head.eq_ignore_ascii_case(mark).then_some(rest)
}

fn digit(n: u64) -> char {
    char::from(DIGITS[usize::try_from(n % 32).expect("below 32")])
}

fn stamp(day: u64) -> String {
    [digit(day / 32 % 32), digit(day % 32)].iter().collect()
}

fn days(stamp: &str) -> Option<u64> {
    let value = |b: u8| DIGITS.iter().position(|d| *d == b.to_ascii_uppercase());
    match stamp.as_bytes() {
        [high, low] => Some((value(*high)? * 32 + value(*low)?) as u64),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Key = Key([7; 32]);
    const TODAY: u64 = 20_784;

    fn address(text: &str) -> Address {
        Address::parse(text).expect(text)
    }

    fn write(from: &str) -> Option<Address> {
        KEY.write(&address(from), "ours.example", TODAY)
    }

    fn read(to: &Address, day: u64) -> Option<Result<String, Wrong>> {
        KEY.read(to, Some(day)).map(|read| read.map(|address| address.to_string()))
    }

    #[test]
    fn a_sender_comes_back_as_it_was() {
        for from in ["a@x.example", "A.b+c=d@x.example", "a=b=c@x.example", "SRS@x.example"] {
            let written = write(from).expect(from);
            assert!(written.as_str().starts_with("SRS0="), "{written}");
            assert_eq!(written.domain(), "ours.example");
            assert_eq!(read(&written, TODAY), Some(Ok(from.to_string())));
            let lower = address(&written.to_string().to_lowercase());
            assert_eq!(read(&lower, TODAY), Some(Ok(from.to_lowercase())), "in any case");
        }
    }

    #[test]
    fn what_others_have_written_goes_back_to_the_first_of_them() {
        let theirs = "SRS0=HHH=TT=x.example=a@them.example";
        let written = write(theirs).expect("it fits");
        assert!(written.as_str().ends_with("=them.example==HHH=TT=x.example=a@ours.example"));
        assert_eq!(read(&written, TODAY + 500), Some(Ok(theirs.to_string())), "it has no day");
        let further = Key([8; 32]).write(&written, "far.example", TODAY).expect("it fits");
        assert!(further.as_str().ends_with("=them.example==HHH=TT=x.example=a@far.example"));
        let back = Key([8; 32]).read(&further, None).expect("ours").expect("it is right");
        assert_eq!(back.as_str(), theirs, "the one between is left out");
    }

    #[test]
    fn nobody_else_can_write_one_and_none_lasts_for_ever() {
        let written = write("a@x.example").expect("it fits");
        let most = limits::SRS_DAYS;
        assert_eq!(read(&written, TODAY + most), Some(Ok("a@x.example".into())));
        assert_eq!(read(&written, TODAY + most + 1), Some(Err(Wrong::Old)));
        assert_eq!(read(&written, TODAY - 1), Some(Err(Wrong::Old)), "a clock that went back");
        assert_eq!(KEY.read(&written, None), Some(Ok(address("a@x.example"))), "without a clock");
        assert_eq!(Key([8; 32]).read(&written, None), Some(Err(Wrong::Seal)));
        let text = written.to_string();
        for (from, to) in [("x.example", "y.example"), ("=a@", "=b@"), ("SRS0=", "SRS0=A")] {
            let other = address(&text.replacen(from, to, 1));
            assert_eq!(read(&other, TODAY), Some(Err(Wrong::Seal)), "{other}");
        }
        for none in ["srs@ours.example", "SRS0@ours.example", "SRS2=a=b=c=d@ours.example", "a@b"] {
            assert_eq!(read(&address(none), TODAY), None, "{none}");
        }
        for wrong in ["SRS0=@b", "SRS0==@b", "SRS0=a=b@b", "SRS1=a=b@b", "SRS0=a=AA=@b"] {
            let to = Address::parse(wrong).expect(wrong);
            assert!(!matches!(read(&to, TODAY), Some(Ok(_))), "{wrong}");
        }
    }

    #[test]
    fn what_does_not_fit_stays_as_it_is() {
        let longest = limits::LOCAL_PART_BYTES - "SRS0=HHHHHHHH=TT=x.example=".len();
        let of = |length: usize| write(&format!("{}@x.example", "a".repeat(length)));
        assert_eq!(of(longest).expect("it fits").local().len(), limits::LOCAL_PART_BYTES);
        assert_eq!(of(longest + 1), None);
        for from in ["\"a b\"@x.example", "\u{fc}@x.example", "a@\u{fc}.example"] {
            assert_eq!(write(from), None, "{from}");
        }
    }

    #[test]
    fn days_are_two_digits() {
        for day in [0, 1, 31, 32, 1023] {
            assert_eq!(days(&stamp(day)), Some(day));
        }
        assert_eq!(stamp(1024), stamp(0));
        for wrong in ["", "A", "AAA", "A1", "0A"] {
            assert_eq!(days(wrong), None, "{wrong}");
        }
    }
}
