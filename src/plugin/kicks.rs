//! Names whose connections are to be closed, at a tick: elsewhere the broker is still using them.

use std::{
    collections::VecDeque,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use super::locked;
use crate::status;

/// How long a tick may go on closing connections; the rest is for the next. Each name costs a walk through all sockets.
const TURN: Duration = Duration::from_millis(2);

/// Who is to be closed now, and who at a pace.
#[derive(Default)]
pub(super) struct Kicks {
    queues: Mutex<Queues>,
    /// Whether there is anybody in them: the tick's common case is this one load.
    any: AtomicBool,
    /// Names that were put there, and that were taken out to be closed.
    due: AtomicU64,
    done: AtomicU64,
}

/// Why a name is there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Why {
    /// What admitted a session does so no more.
    LockedOut,
    /// The device may do less than before.
    Shrunk,
}

#[derive(Default)]
struct Queues {
    now: VecDeque<String>,
    paced: VecDeque<String>,
    /// When the next of `paced` may be closed.
    next: Option<Instant>,
    /// Between two of them.
    pause: Duration,
}

impl Kicks {
    /// These are welcome no longer.
    pub(super) fn end(&self, names: impl IntoIterator<Item = String>) {
        self.push(|queues| &mut queues.now, names);
    }

    /// What these may do is to be asked about anew, so many in a second.
    pub(super) fn pace(&self, rate: u32, names: impl IntoIterator<Item = String>) {
        locked(&self.queues).pause = Duration::from_secs(1) / rate.max(1);
        self.push(|queues| &mut queues.paced, names);
    }

    fn push(
        &self,
        queue: impl Fn(&mut Queues) -> &mut VecDeque<String>,
        names: impl IntoIterator<Item = String>,
    ) {
        let mut queues = locked(&self.queues);
        let queue = queue(&mut queues);
        let before = queue.len();
        for name in names {
            // A device more than once in a row comes from its several sessions.
            if queue.back() != Some(&name) {
                queue.push_back(name);
            }
        }
        self.due.fetch_add(u64::try_from(queue.len() - before).unwrap_or_default(), Ordering::AcqRel);
        self.any.store(!queues.now.is_empty() || !queues.paced.is_empty(), Ordering::Release);
    }

    /// Closes who is due, for as long as a tick may take; `kick` is called without a lock. Whether that emptied the
    /// queues.
    pub(super) fn turn(&self, kick: impl Fn(&str, Why)) -> bool {
        if !self.any.load(Ordering::Acquire) {
            return false;
        }
        let start = Instant::now();
        let mut now = start;
        while let Some((name, why)) = self.take(now) {
            kick(&name, why);
            self.done.fetch_add(1, Ordering::AcqRel);
            now = Instant::now();
            if now.duration_since(start) >= TURN {
                break;
            }
        }
        !self.any.load(Ordering::Acquire)
    }

    fn take(&self, now: Instant) -> Option<(String, Why)> {
        // Whoever holds the lock is filling the queue; the next tick is soon.
        let mut queues = self.queues.try_lock().ok()?;
        let taken = queues.take(now);
        self.any.store(!queues.now.is_empty() || !queues.paced.is_empty(), Ordering::Release);
        taken
    }

    /// How many there were, for `status.json`.
    pub(super) fn counts(&self) -> status::Kicks {
        status::Kicks { due: self.due.load(Ordering::Acquire), done: self.done.load(Ordering::Acquire) }
    }
}

impl Queues {
    fn take(&mut self, now: Instant) -> Option<(String, Why)> {
        if let Some(name) = self.now.pop_front() {
            return Some((name, Why::LockedOut));
        }
        if self.next.is_some_and(|next| now < next) {
            return None;
        }
        let name = self.paced.pop_front()?;
        // Ticks come up to a tenth of a second late. What they are late by is made up for, and no more than that.
        let late = now.checked_sub(Duration::from_millis(200)).unwrap_or(now);
        self.next = Some(self.next.map_or(now, |next| next.max(late)) + self.pause);
        Some((name, Why::Shrunk))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(kicks: &Kicks, now: Instant) -> Vec<String> {
        std::iter::from_fn(|| kicks.take(now)).map(|(name, _)| name).collect()
    }

    #[test]
    fn those_with_fewer_rights_go_at_a_pace_and_after_those_locked_out() {
        let (kicks, start) = (Kicks::default(), Instant::now());
        kicks.pace(50, (0..100).map(|number| format!("d{number}")));
        kicks.end(["lost".to_owned()]);
        assert_eq!(due(&kicks, start), ["lost", "d0"]);
        assert!(due(&kicks, start).is_empty());
        let mut gone = 1;
        for tick in 1..=30 {
            let now = due(&kicks, start + Duration::from_millis(100) * tick);
            assert!(now.iter().all(|name| *name == format!("d{gone}") || {
                gone += 1;
                *name == format!("d{gone}")
            }));
            assert!(now.len() <= 6, "{now:?}");
        }
        assert!(!kicks.any.load(Ordering::Acquire), "two seconds are enough for 100");
        assert_eq!(kicks.counts().due, 101);
    }

    #[test]
    fn a_long_pause_of_the_loop_is_not_made_up_for_by_a_storm() {
        let (kicks, start) = (Kicks::default(), Instant::now());
        kicks.pace(50, (0..1_000).map(|number| format!("d{number}")));
        assert_eq!(due(&kicks, start).len(), 1);
        assert!(due(&kicks, start + Duration::from_secs(10)).len() <= 12);
    }

    #[test]
    fn an_empty_turn_closes_nobody_and_the_last_one_says_so() {
        let kicks = Kicks::default();
        assert!(!kicks.turn(|_, _| panic!("nobody is due")));
        kicks.end(["a".to_owned()]);
        assert!(kicks.turn(|name, why| assert_eq!((name, why), ("a", Why::LockedOut))));
        assert_eq!((kicks.counts().due, kicks.counts().done), (1, 1));
    }
}
