//! How long a certificate lives, by a clock that can be right.
#![forbid(unsafe_code)]

use jiff::Timestamp;

use super::{issue::IssueError, profile::Period};
use crate::clock::WRITTEN;

/// So many days from `now` on, if a clock can say that.
pub(super) fn life(days: u32, now: Timestamp) -> Result<Period, IssueError> {
    check_clock(now)?;
    Period::of_days(days, now).ok_or(IssueError::Days(days))
}

/// Whether a clock can say that: not before this was written, and not so late that the calendar of certificates is
/// another.
pub(super) fn check_clock(now: Timestamp) -> Result<(), IssueError> {
    // 2100-01-01.
    const FAR: i64 = 4_102_444_800;
    let right = (WRITTEN.0..FAR).contains(&now.as_second());
    if right { Ok(()) } else { Err(IssueError::Clock(now)) }
}
