//! Lines for the broker's log, few enough that nobody can fill a disk with refusals.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use super::event::{Host, Level};
use crate::diag::Visible;

/// Refusals of one address that are logged one by one in a minute; the rest is counted.
const SINGLE_LINES: u32 = 10;

/// Addresses that are counted at a time. Beyond it the one that was quiet longest makes room.
const ADDRESSES: usize = 256;

/// Lines that wait for the main thread to write them.
const WAITING: usize = 64;

const MINUTE: Duration = Duration::from_secs(60);

/// The log and what it remembers of the last minute.
#[derive(Default)]
pub(super) struct Log {
    counted: Mutex<Vec<Counted>>,
    waiting: Mutex<Vec<(Level, String)>>,
    /// Whether the tick has anything to do here: its common case is this one load.
    pending: AtomicBool,
}

struct Counted {
    address: Box<str>,
    since: Instant,
    refusals: u32,
}

impl Log {
    /// Writes `citronella: TEXT`, now or, from another thread, at the next tick.
    pub(super) fn write(&self, host: &dyn Host, level: Level, text: &str) {
        let line = format!("citronella: {}", Visible(text));
        if host.on_main_thread() {
            host.write(level, &line);
            return;
        }
        let mut waiting = locked(&self.waiting);
        if waiting.len() < WAITING {
            waiting.push((level, line));
        }
        self.pending.store(true, Ordering::Release);
    }

    /// Logs a refusal as `citronella: ADDRESS: TEXT`, unless this address had its lines for this minute.
    /// `text` is made only if it is used.
    pub(super) fn refusal(&self, host: &dyn Host, address: Option<&str>, text: impl FnOnce() -> String) {
        let address = address.unwrap_or("no address");
        if self.count(address, Instant::now()) {
            self.write(host, Level::Notice, &format!("{address}: {}", text()));
        }
    }

    /// Counts a refusal; whether it gets a line of its own.
    fn count(&self, address: &str, now: Instant) -> bool {
        let mut counted = locked(&self.counted);
        if let Some(found) = counted.iter_mut().find(|found| *found.address == *address) {
            let age = now.duration_since(found.since);
            // The tick sums up and forgets; where no tick comes (2.0.11 with per_listener_settings) this does.
            if age >= MINUTE && (found.refusals <= SINGLE_LINES || age >= 2 * MINUTE) {
                (found.since, found.refusals) = (now, 0);
            }
            found.refusals = found.refusals.saturating_add(1);
            if found.refusals > SINGLE_LINES {
                self.pending.store(true, Ordering::Release);
            }
            return found.refusals <= SINGLE_LINES;
        }
        if counted.len() >= ADDRESSES {
            let quiet = counted.iter().enumerate().min_by_key(|(_, found)| found.since).map(|(at, _)| at);
            counted.swap_remove(quiet.unwrap_or_default());
        }
        counted.push(Counted { address: address.into(), since: now, refusals: 1 });
        true
    }

    /// Writes what waits, and sums up the minutes that are over.
    pub(super) fn tick(&self, host: &dyn Host) {
        if self.pending.load(Ordering::Acquire) {
            for (level, line) in self.due(Instant::now()) {
                host.write(level, &line);
            }
        }
    }

    /// The lines to write now, taken out under the locks and written without them.
    fn due(&self, now: Instant) -> Vec<(Level, String)> {
        let mut lines = std::mem::take(&mut *locked(&self.waiting));
        let mut counted = locked(&self.counted);
        counted.retain(|found| {
            let over = now.duration_since(found.since) >= MINUTE;
            if over && found.refusals > SINGLE_LINES {
                let more = found.refusals - SINGLE_LINES;
                let text =
                    format!("citronella: {}: {more} more refusals in a minute", Visible(&found.address));
                lines.push((Level::Notice, text));
            }
            !over
        });
        let more_to_come = counted.iter().any(|found| found.refusals > SINGLE_LINES);
        self.pending.store(more_to_come, Ordering::Release);
        lines
    }
}

/// What the lock guards is whole whatever happened to the thread that held it: lists of finished entries.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_lines_an_address_and_minute_then_a_sum() {
        let log = Log::default();
        let start = Instant::now();
        let said = (0..31).filter(|_| log.count("10.0.0.1", start)).count();
        assert_eq!(said, 10);
        assert!(log.count("10.0.0.2", start), "another address has lines of its own");

        assert!(log.due(start + MINUTE / 2).is_empty(), "the minute is not over");
        let lines = log.due(start + MINUTE);
        assert_eq!(lines, [(Level::Notice, "citronella: 10.0.0.1: 21 more refusals in a minute".to_owned())]);
        assert!(log.due(start + MINUTE).is_empty(), "said once");
        assert!(log.count("10.0.0.1", start + MINUTE), "and a new minute begins");
    }

    #[test]
    fn memory_stays_bounded_whoever_calls() {
        let log = Log::default();
        let start = Instant::now();
        for number in 0..10_000 {
            log.count(&format!("10.0.{}.{}", number / 256, number % 256), start);
        }
        assert_eq!(locked(&log.counted).len(), ADDRESSES);
    }
}
