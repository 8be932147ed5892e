//! Time as plain numbers: nothing here looks at a clock.

use core::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

/// Milliseconds since the process started; never goes back, knows no date.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(pub u64);

impl Instant {
    /// The time from `earlier` to this, or zero where `earlier` is later.
    pub fn since(self, earlier: Instant) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;
    fn add(self, wait: Duration) -> Instant {
        Instant(self.0.saturating_add(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)))
    }
}

impl Sub<Duration> for Instant {
    type Output = Instant;
    fn sub(self, wait: Duration) -> Instant {
        Instant(self.0.saturating_sub(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)))
    }
}

/// Seconds since 1970-01-01 UTC, as a clock that has been set tells them.
///
/// Boards without a battery start in 1970: whoever needs a date gets an `Option<Wall>`, which is
/// `None` until something has set the clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wall(pub u64);

/// A date and time of day, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Civil {
    /// Year, 1970 and later.
    pub year: u64,
    /// Month, 1 to 12.
    pub month: u8,
    /// Day of the month, 1 to 31.
    pub day: u8,
    /// Hour, 0 to 23.
    pub hour: u8,
    /// Minute, 0 to 59.
    pub minute: u8,
    /// Second, 0 to 59.
    pub second: u8,
    /// Day of the week, 0 is Sunday.
    pub weekday: u8,
}

impl Wall {
    /// The proleptic Gregorian date; the algorithm is Howard Hinnant's `civil_from_days`.
    #[allow(clippy::cast_possible_truncation, reason = "each value is reduced to its range first")]
    pub fn civil(self) -> Civil {
        let days = self.0 / 86_400;
        let seconds = self.0 % 86_400;
        let z = days + 719_468;
        let era = z / 146_097;
        let day_of_era = z % 146_097;
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * day_of_year + 2) / 153;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        Civil {
            year: year_of_era + era * 400 + u64::from(month <= 2),
            month: month as u8,
            day: (day_of_year - (153 * shifted + 2) / 5 + 1) as u8,
            hour: (seconds / 3_600) as u8,
            minute: (seconds / 60 % 60) as u8,
            second: (seconds % 60) as u8,
            weekday: ((days + 4) % 7) as u8,
        }
    }
}

/// `2026-11-22T09:12:00Z`. RFC 3339.
impl fmt::Display for Wall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let c = self.civil();
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
            c.year, c.month, c.day, c.hour, c.minute, c.second
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_agree_with_known_ones() {
        assert_eq!(Wall(0).to_string(), "1970-01-01T00:00:00Z");
        assert_eq!(Wall(951_827_696).to_string(), "2000-02-29T12:34:56Z");
        assert_eq!(Wall(4_102_444_799).to_string(), "2099-12-31T23:59:59Z");
        assert_eq!(Wall(951_827_696).civil().weekday, 2); // a Tuesday
    }

    #[test]
    fn instants_do_not_wrap() {
        assert_eq!(Instant(5) - Duration::from_secs(1), Instant(0));
        assert_eq!(Instant(u64::MAX) + Duration::MAX, Instant(u64::MAX));
        assert_eq!(Instant(5).since(Instant(9)), Duration::ZERO);
    }
}
