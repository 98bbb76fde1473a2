//! Lines for the broker's log: few enough, whoever asks for them, and none that says something false of somebody.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use super::{
    event::{Host, Level, Peer},
    limit::{Limit, Quota},
    locked,
};
use crate::diag::Visible;

/// Refusals that are logged one by one; the rest is counted.
pub(super) const LINES: Quota = Quota { each: 10, all: 300 };

/// Lines that wait for the main thread to write them.
const WAITING: usize = 256;

/// What was refused: each kind has lines of its own, so that many of one kind hide none of the other.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refusal {
    /// A connection.
    LogIn,
    /// A publish or a subscription.
    Access,
}

/// The log and what it remembers of the last minute.
pub(super) struct Log {
    refusals: Limit<Refusal>,
    waiting: Mutex<Vec<(Level, String)>>,
    /// Whether any line waits.
    pending: AtomicBool,
}

impl Default for Log {
    fn default() -> Self {
        Self { refusals: Limit::new(LINES), waiting: Mutex::default(), pending: AtomicBool::default() }
    }
}

impl Log {
    /// Writes `citronella: TEXT`, now or, from another thread, at the next tick.
    pub(super) fn write(&self, host: &dyn Host, level: Level, text: &str) {
        if host.on_main_thread() {
            host.write(level, &format!("citronella: {}", Visible(text)));
            return;
        }
        self.later(level, text);
    }

    /// The same from a thread that may not call the broker: at the next tick.
    pub(super) fn later(&self, level: Level, text: &str) {
        let mut waiting = locked(&self.waiting);
        if waiting.len() < WAITING {
            waiting.push((level, format!("citronella: {}", Visible(text))));
        }
        self.pending.store(true, Ordering::Release);
    }

    /// Logs a refusal as `citronella: PEER: TEXT`, unless there were enough this minute; whether it did. `text` is made
    /// only if it is used.
    pub(super) fn refusal(
        &self,
        host: &dyn Host,
        (kind, peer): (Refusal, Peer),
        text: impl FnOnce() -> String,
    ) -> bool {
        let says = self.refusals.count(kind, peer, Instant::now());
        if says {
            self.write(host, Level::Notice, &format!("{peer}: {}", text()));
        }
        says
    }

    /// So many more refusals that are not logged one by one.
    pub(super) fn more_refusals(&self, of: (Refusal, Peer), times: u32, now: Instant) {
        self.refusals.count_unsaid(of, times, now);
    }

    /// Writes what waits, and sums up the minutes that are over.
    pub(super) fn tick(&self, host: &dyn Host) {
        if self.pending.load(Ordering::Acquire) || self.refusals.is_pending() {
            for (level, line) in self.due(Instant::now()) {
                host.write(level, &line);
            }
        }
    }

    /// The lines to write now, taken out under the locks and written without them.
    fn due(&self, now: Instant) -> Vec<(Level, String)> {
        let mut lines = {
            let mut waiting = locked(&self.waiting);
            self.pending.store(false, Ordering::Release);
            std::mem::take(&mut *waiting)
        };
        lines.extend(self.refusals.due(now).into_iter().map(|sum| {
            let text = match sum.place {
                Some((_, peer)) => format!("{peer}: {} more refusals in a minute", sum.unsaid),
                None => format!("{} more refusals of many addresses in a minute", sum.unsaid),
            };
            (Level::Notice, format!("citronella: {text}"))
        }));
        lines
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;
    use crate::plugin::limit::MINUTE;

    #[test]
    fn what_is_not_logged_is_summed_up() {
        let (log, start) = (Log::default(), Instant::now());
        let peer = Peer::Address(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)));
        let said = (0..31).filter(|_| log.refusals.count(Refusal::LogIn, peer, start)).count();
        assert_eq!(said, 10);
        let sum = (Level::Notice, "citronella: 192.0.2.1: 21 more refusals in a minute".to_owned());
        assert_eq!(log.due(start + MINUTE), [sum]);
    }
}
