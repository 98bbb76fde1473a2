//! Points in time as the files and certificates write them, and the one way to learn the present one.
#![forbid(unsafe_code)]

use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since 1970-01-01T00:00:00Z, without leap seconds; negative before.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct UnixSeconds(pub i64);

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
}

/// From 0000-03-01 to 1970-01-01.
const DAYS_TO_1970: i64 = 719_468;
const SECONDS_PER_DAY: i64 = 86_400;

#[cfg(test)]
mod tests {
    use super::*;

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
        }
    }
}
