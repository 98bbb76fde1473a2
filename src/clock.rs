//! Points in time as the files and certificates write them, and the one way to learn the present one.
#![forbid(unsafe_code)]

use std::{
    fmt,
    time::{SystemTime, UNIX_EPOCH},
};

/// Seconds since 1970-01-01T00:00:00Z, without leap seconds; negative before.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct UnixSeconds(pub i64);

/// This was written later: a clock that is before it stands wrong, as on a board without a battery that has just
/// started.
pub const WRITTEN: UnixSeconds = UnixSeconds(1_793_000_000);

/// A day of the proleptic Gregorian calendar; month and day count from 1 and are not checked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CivilDay {
    /// Year of the common era.
    pub year: i64,
    /// 1 to 12.
    pub month: i64,
    /// 1 to 31.
    pub day: i64,
}

impl UnixSeconds {
    /// The machine's clock now.
    #[must_use]
    pub fn now() -> Self {
        let seconds = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_secs()).unwrap_or(i64::MAX).saturating_neg(),
        };
        Self(seconds)
    }

    /// Midnight UTC of `day` and so many seconds after it.
    #[must_use]
    pub fn from_civil(day: CivilDay, second_of_day: i64) -> Self {
        // Years start in March here, so that the leap day is the last of its year.
        let (year, month) =
            if day.month > 2 { (day.year, day.month - 3) } else { (day.year - 1, day.month + 9) };
        let day_of_year = (153 * month + 2) / 5 + day.day - 1;
        let days =
            365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year
                - DAYS_TO_1970;
        Self(days * SECONDS_PER_DAY + second_of_day)
    }

    /// The day it falls on in UTC, and the second of that day.
    #[must_use]
    pub fn to_civil(self) -> (CivilDay, i64) {
        let days = self.0.div_euclid(SECONDS_PER_DAY) + DAYS_TO_1970;
        let era = days.div_euclid(DAYS_PER_ERA);
        let day_of_era = days.rem_euclid(DAYS_PER_ERA);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / (DAYS_PER_ERA - 1)) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month + 2) / 5 + 1;
        let year = 400 * era + year_of_era;
        let (year, month) = if month < 10 { (year, month + 3) } else { (year + 1, month - 9) };
        (CivilDay { year, month, day }, self.0.rem_euclid(SECONDS_PER_DAY))
    }
}

impl fmt::Display for UnixSeconds {
    /// As TOML and RFC 3339 write it: `2028-11-21T00:00:00Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (CivilDay { year, month, day }, second) = self.to_civil();
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

/// A point in time to the millisecond, for records.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct UnixMillis(pub u64);

impl UnixMillis {
    /// The machine's clock now; 0 before 1970.
    #[must_use]
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

impl fmt::Display for UnixMillis {
    /// As RFC 3339 writes it: `2028-11-21T00:00:00.000Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = UnixSeconds(i64::try_from(self.0 / 1_000).unwrap_or(i64::MAX)).to_string();
        write!(f, "{}.{:03}Z", seconds.trim_end_matches('Z'), self.0 % 1_000)
    }
}

/// From 0000-03-01 to 1970-01-01.
const DAYS_TO_1970: i64 = 719_468;
/// In the 400 years after which the calendar repeats.
const DAYS_PER_ERA: i64 = 146_097;
const SECONDS_PER_DAY: i64 = 86_400;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_are_told_with_three_digits() {
        assert_eq!(UnixMillis(951_782_400_007).to_string(), "2000-02-29T00:00:00.007Z");
    }

    #[test]
    fn days_count_as_date_counts_them() {
        // SOURCE: `date -u -d DAY +%s` of GNU coreutils.
        for (year, month, day, seconds) in [
            (1970, 1, 1, 0),
            (2000, 2, 29, 951_782_400),
            (2000, 3, 1, 951_868_800),
            (2028, 11, 21, 1_858_377_600),
            (2100, 3, 1, 4_107_542_400),
            (9999, 12, 31, 253_402_214_400),
            (1969, 12, 31, -86_400),
        ] {
            assert_eq!(
                UnixSeconds::from_civil(CivilDay { year, month, day }, 0),
                UnixSeconds(seconds),
                "{year}-{month}-{day}"
            );
            assert_eq!(
                UnixSeconds(seconds + 3_661).to_string(),
                format!("{year:04}-{month:02}-{day:02}T01:01:01Z")
            );
        }
    }
}
