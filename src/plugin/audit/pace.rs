//! When the file for Prometheus is written: at its interval, and sooner where little happens.

use std::time::{Duration, Instant};

/// Writes before it is time, until an interval passes in which nothing changes: whoever tries a device finds it in
/// `citronella status` at once, and a busy broker wears out no memory card.
const EARLY: u8 = 5;

/// How long is waited then for what comes along with it.
const SOON: Duration = Duration::from_millis(500);

/// When it is time.
#[derive(Debug)]
pub(super) struct Pace {
    due: Instant,
    /// Before that, because something has happened.
    soon: Option<Instant>,
    /// Early writes that are left.
    early: u8,
}

impl Pace {
    /// At once.
    pub(super) fn new(now: Instant) -> Self {
        Self { due: now, soon: None, early: EARLY }
    }

    /// Something has happened that the file tells of.
    pub(super) fn stir(&mut self, now: Instant) {
        if self.early > 0 {
            self.soon.get_or_insert(now + SOON);
        }
    }

    /// How long until it is time; nothing if it is now.
    pub(super) fn left(&mut self, now: Instant, interval: Duration) -> Option<Duration> {
        // The interval may be shorter by now.
        self.due = self.due.min(now + interval);
        let next = self.soon.map_or(self.due, |soon| soon.min(self.due));
        Some(next.saturating_duration_since(now)).filter(|left| !left.is_zero())
    }

    /// It was time; `changed` if there was anything to write.
    pub(super) fn passed(&mut self, now: Instant, interval: Duration, changed: bool) {
        self.soon = None;
        if now >= self.due {
            self.due = now + interval;
            if !changed {
                self.early = EARLY;
            }
        } else if changed {
            self.early = self.early.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(30);

    #[test]
    fn what_happens_is_written_soon_until_much_happens_and_again_after_a_rest() {
        let begin = Instant::now();
        let at = |seconds: u64| begin + Duration::from_secs(seconds);
        let mut pace = Pace::new(begin);
        assert_eq!(pace.left(begin, INTERVAL), None);
        pace.passed(begin, INTERVAL, true);
        assert_eq!(pace.left(begin, INTERVAL), Some(INTERVAL));
        for second in 1..=5 {
            pace.stir(at(second));
            assert_eq!(pace.left(at(second), INTERVAL), Some(SOON));
            // More of it puts nothing off.
            pace.stir(at(second) + SOON / 2);
            assert_eq!(pace.left(at(second) + SOON, INTERVAL), None);
            pace.passed(at(second) + SOON, INTERVAL, true);
        }
        pace.stir(at(6));
        assert_eq!(pace.left(at(6), INTERVAL), Some(Duration::from_secs(24)), "as often as it is told to");
        pace.passed(at(30), INTERVAL, true);
        pace.stir(at(31));
        assert_eq!(pace.left(at(31), INTERVAL), Some(Duration::from_secs(29)), "it goes on");
        pace.passed(at(60), INTERVAL, false);
        pace.stir(at(61));
        assert_eq!(pace.left(at(61), INTERVAL), Some(SOON));
        // A shorter interval counts from now on.
        pace.passed(at(62), INTERVAL, true);
        assert_eq!(pace.left(at(63), Duration::from_secs(2)), Some(Duration::from_secs(2)));
    }
}
