//! Lengths of time as people type them.

use std::{fmt, str::FromStr};

use jiff::SignedDuration;

/// `30d`, `12h` or `4w`; a bare number is days.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Span {
    hours: u32,
}

impl Span {
    /// So many times 24 hours.
    pub(crate) const fn days(days: u16) -> Self {
        // Widening; `From` is not const.
        #[allow(clippy::as_conversions, reason = "u16 to u32 loses nothing")]
        Self { hours: days as u32 * 24 }
    }

    pub(crate) fn duration(self) -> SignedDuration {
        SignedDuration::from_hours(i64::from(self.hours))
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.trim_end_matches(|ch: char| !ch.is_ascii_digit());
        let unit_hours = match text.strip_prefix(digits).unwrap_or_default() {
            "" | "d" => 24,
            "h" => 1,
            "w" => 7 * 24,
            _ => 0,
        };
        let hours = digits.parse::<u32>().ok().filter(|_| unit_hours > 0);
        hours
            .and_then(|count| count.checked_mul(unit_hours))
            .map(|hours| Self { hours })
            .ok_or_else(|| "it is written 30d, 12h or 4w".to_owned())
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.hours % 24 {
            0 => write!(f, "{}d", self.hours / 24),
            _ => write!(f, "{}h", self.hours),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops by panicking")]

    use super::*;

    #[test]
    fn what_people_type_is_understood_and_the_rest_refused() {
        for (text, hours) in [("30", 720), ("30d", 720), ("12h", 12), ("4w", 672), ("0", 0)] {
            assert_eq!(text.parse::<Span>().unwrap().duration(), SignedDuration::from_hours(hours));
        }
        for text in ["", "d", "-1", "1.5d", "30 days", "1m", "4294967295w", "\u{663}d"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
        assert_eq!(Span::days(30).to_string(), "30d");
        assert_eq!("25h".parse::<Span>().unwrap().to_string(), "25h");
    }
}
