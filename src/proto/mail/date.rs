//! Date and time as messages write them. RFC 5322 §3.3, read also as §4.3 had it.

use crate::{proto::mail::header, time::Wall};

const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Zones that have names. RFC 5322 §4.3.
const ZONES: [(&str, i64); 11] = [
    ("UT", 0),
    ("GMT", 0),
    ("UTC", 0),
    ("EDT", -4),
    ("EST", -5),
    ("CDT", -5),
    ("CST", -6),
    ("MDT", -6),
    ("MST", -7),
    ("PDT", -7),
    ("PST", -8),
];

/// `Sun, 22 Nov 2026 09:12:00 +0000`.
pub fn format(wall: Wall) -> String {
    let c = wall.civil();
    let day = DAYS.get(usize::from(c.weekday)).expect("a weekday is below 7");
    let month = MONTHS.get(usize::from(c.month - 1)).expect("a month is 1 to 12");
    format!(
        "{day}, {} {month} {:04} {:02}:{:02}:{:02} +0000",
        c.day, c.year, c.hour, c.minute, c.second
    )
}

/// Seconds since 1970 UTC of a Date field's value; `None` where it is not a date-time.
///
/// Obsolete forms are read too: years of two and three digits, named zones, comments and folding
/// anywhere. The name of the day may disagree with the date: devices get it wrong, and nobody
/// relies on it. Time taken is linear in the length.
pub fn parse(value: &[u8]) -> Option<i64> {
    let text = header::uncommented(value)?;
    let mut cursor = Cursor { rest: core::str::from_utf8(&text).ok()? };
    if let Some(day) = cursor.word() {
        DAYS.iter().find(|d| d.eq_ignore_ascii_case(day))?;
        cursor.sign(',')?;
    }
    let (day, _) = cursor.number(2)?;
    let month = cursor.word()?;
    let month = MONTHS.iter().position(|m| m.eq_ignore_ascii_case(month))?;
    let month = i64::try_from(month).ok()? + 1;
    let year = match cursor.number(4)? {
        (year @ 0..=49, 2) => 2000 + year,
        (year, 2 | 3) => 1900 + year,
        (year @ 1900.., 4) => year,
        _ => return None,
    };
    let (hour, _) = cursor.number(2)?;
    cursor.sign(':')?;
    let (minute, _) = cursor.number(2)?;
    let second = match cursor.sign(':') {
        Some(()) => cursor.number(2)?.0,
        None => 0,
    };
    let offset = cursor.zone()?;
    cursor.skip();
    // 60: a leap second.
    let in_range = hour <= 23 && minute <= 59 && second <= 60 && day >= 1;
    if !cursor.rest.is_empty() || !in_range || day > days_of(year, month) {
        return None;
    }
    Some(days_since_1970(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second - offset)
}

fn days_of(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Howard Hinnant's `days_from_civil`, for years from 0.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year / 400, year % 400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

struct Cursor<'a> {
    rest: &'a str,
}

impl<'a> Cursor<'a> {
    fn skip(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
    }

    /// What comes next as long as `belongs`; `None` where that is nothing.
    fn take(&mut self, belongs: impl Fn(char) -> bool) -> Option<&'a str> {
        self.skip();
        let end = self.rest.find(|c| !belongs(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest;
        (!taken.is_empty()).then_some(taken)
    }

    fn word(&mut self) -> Option<&'a str> {
        self.take(|c| c.is_ascii_alphabetic())
    }

    /// A number and how many digits it has.
    fn number(&mut self, most_digits: usize) -> Option<(i64, usize)> {
        let digits = self.take(|c| c.is_ascii_digit())?;
        let value = digits.parse().ok()?;
        (digits.len() <= most_digits).then_some((value, digits.len()))
    }

    fn sign(&mut self, sign: char) -> Option<()> {
        self.skip();
        self.rest = self.rest.strip_prefix(sign)?;
        Some(())
    }

    /// Seconds east of Greenwich.
    fn zone(&mut self) -> Option<i64> {
        if let Some(name) = self.word() {
            let known = ZONES.iter().find(|(zone, _)| zone.eq_ignore_ascii_case(name));
            // RFC 5322 §4.3: other names, and the military letters, count as "-0000".
            return (name.len() <= 5).then(|| known.map_or(0, |(_, hours)| hours * 3_600));
        }
        let east = self.sign('+').is_some();
        if !east {
            self.sign('-')?;
        }
        let (digits, 4) = self.number(4)? else { return None };
        let seconds = digits / 100 * 3_600 + digits % 100 * 60;
        (digits % 100 <= 59).then_some(if east { seconds } else { -seconds })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_reads_as_it_was_written() {
        assert_eq!(format(Wall(1_795_338_720)), "Sun, 22 Nov 2026 09:12:00 +0000");
        for seconds in [0, 951_827_696, 951_782_399, 1_709_164_800, 4_102_444_799] {
            let text = format(Wall(seconds));
            assert_eq!(parse(text.as_bytes()), i64::try_from(seconds).ok(), "{text}");
        }
    }

    #[test]
    fn current_and_obsolete_dates_are_read() {
        for (text, seconds) in [
            ("Fri, 21 Nov 1997 09:55:06 -0600", 880_127_706),
            ("Fri, 21 Nov 97 09(comment):   55  :  06 -0600", 880_127_706),
            ("21 Nov 97 09:55:06 CST", 880_127_706),
            (
                "Thu,\r\n   13\r\n  Feb\r\n   1969\r\n  23:32\r\n -0330 (Newfoundland Time)",
                -27_723_480,
            ),
            ("1 Jan 1970 00:00 GMT", 0),
            ("1 jan 100 00:00:60 z", 946_684_860),
            ("29 Feb 2000 12:34:56 XYZ", 951_827_696),
        ] {
            assert_eq!(parse(text.as_bytes()), Some(seconds), "{text}");
        }
    }

    #[test]
    fn what_is_no_date_is_not_read() {
        for bad in [
            "",
            "now",
            "Sun Nov 22 09:12:00 2026",
            "Sun 22 Nov 2026 09:12:00 +0000",
            "Sonntag, 22 Nov 2026 09:12:00 +0000",
            "22 Nov 2026 09:12:00",
            "22 Nov 2026 24:00:00 +0000",
            "22 Nov 2026 09:60:00 +0000",
            "22 Nov 2026 09:12:61 +0000",
            "22 Nov 2026 09:12:00 +0060",
            "22 Nov 2026 09:12:00 +000",
            "22 Nov 2026 09:12:00 +00000",
            "22 Nov 2026 09:12:00 +0000 x",
            "0 Nov 2026 09:12:00 +0000",
            "31 Nov 2026 09:12:00 +0000",
            "29 Feb 2100 09:12:00 +0000",
            "22 Nov 1899 09:12:00 +0000",
            "22 Nov 20260 09:12:00 +0000",
            "22 Nov 6 09:12:00 +0000",
            "99999999999999999999999 Nov 2026 09:12:00 +0000",
            "22 Nov 2026 (open 09:12:00 +0000",
            "22 N\u{f6}v 2026 09:12:00 +0000",
        ] {
            assert_eq!(parse(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(parse(b"\xff"), None);
    }
}
