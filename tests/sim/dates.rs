//! Dates in what arrives: each is one that the board's clock has shown.

use crate::world::World;
use waypost::time::Wall;

/// What the senders of this world write themselves: `letters.rs`.
pub const LETTER: &str = "22 Feb 2026 10:00:00 +0000";

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A message goes back at most so much later than a report says that it is tried.
const LIFETIME: u64 = 5 * 86_400;

/// No date is there, or one that was.
pub fn judge(world: &World, to: &str, octets: &[u8]) {
    let text = String::from_utf8_lossy(octets).replace("\r\n\t", " ");
    for line in text.lines().filter(|line| !line.contains(LETTER)) {
        let ahead = if line.starts_with("Will-Retry-Until:") { LIFETIME } else { 0 };
        let Some(end) = line.find(" +0000") else { continue };
        match read(&line[..end]) {
            Some(wall) if world.has_shown(wall, ahead) => {}
            Some(_) => world.wrong(format!("{to} reads a date that never was: {line}")),
            None if line.contains(':') => {
                world.wrong(format!("{to} reads a date that is none: {line}"));
            }
            None => {}
        }
    }
}

/// `22 Feb 2026 10:00:00`, at the end of a line. RFC 5322 §3.3; the days are counted by hand: not
/// with the code that is under test.
fn read(line: &str) -> Option<Wall> {
    let words: Vec<&str> = line.split([' ', ',']).filter(|word| !word.is_empty()).collect();
    let [.., day, month, year, time] = words.as_slice() else { return None };
    let month = MONTHS.iter().position(|name| name == month)?;
    let (day, year): (u64, u64) = (day.parse().ok()?, year.parse().ok()?);
    let clock: Vec<u64> = time.split(':').map_while(|part| part.parse().ok()).collect();
    let [hours, minutes, seconds] = clock.as_slice() else { return None };
    let leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let lengths = [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let years: u64 = (1970..year).map(|year| 365 + u64::from(leap(year))).sum();
    let days = years + lengths[..month].iter().sum::<u64>() + day - 1;
    Some(Wall(((days * 24 + hours) * 60 + minutes) * 60 + seconds))
}
