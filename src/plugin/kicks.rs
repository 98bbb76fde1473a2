//! Names whose connections are to be closed, at a tick: elsewhere the broker is still using them.

use std::{
    collections::{HashSet, VecDeque},
    sync::{
        Arc, Mutex,
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
    now: Queue,
    paced: Queue,
    /// When the next of `paced` may be closed.
    next: Option<Instant>,
    /// Between two of them.
    pause: Duration,
}

/// Names in their order, each once: changes may come faster than they are dealt with, and to close somebody once is
/// enough for all of them.
#[derive(Default)]
struct Queue {
    order: VecDeque<Arc<str>>,
    names: HashSet<Arc<str>>,
}

impl Kicks {
    /// These are welcome no longer. Whoever of them was to be closed at a pace is closed now instead.
    pub(super) fn end(&self, names: impl IntoIterator<Item = String>) {
        let mut queues = locked(&self.queues);
        let Queues { now, paced, .. } = &mut *queues;
        let (mut added, mut instead) = (0, 0);
        for name in names {
            let name = Arc::from(name);
            instead += u64::from(paced.names.remove(&name));
            added += u64::from(now.push(name));
        }
        if instead > 0 {
            paced.order.retain(|name| paced.names.contains(name));
        }
        self.due.fetch_add(added, Ordering::AcqRel);
        self.done.fetch_add(instead, Ordering::AcqRel);
        self.any.store(!queues.is_empty(), Ordering::Release);
    }

    /// What these may do is to be asked about anew, so many in a second.
    pub(super) fn pace(&self, rate: u32, names: impl IntoIterator<Item = String>) {
        let mut queues = locked(&self.queues);
        queues.pause = Duration::from_secs(1) / rate.max(1);
        let Queues { now, paced, .. } = &mut *queues;
        let mut added = 0;
        for name in names {
            if !now.names.contains(name.as_str()) {
                added += u64::from(paced.push(name.into()));
            }
        }
        self.due.fetch_add(added, Ordering::AcqRel);
        self.any.store(!queues.is_empty(), Ordering::Release);
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

    fn take(&self, now: Instant) -> Option<(Arc<str>, Why)> {
        // Whoever holds the lock is filling the queue; the next tick is soon.
        let mut queues = self.queues.try_lock().ok()?;
        let taken = queues.take(now);
        self.any.store(!queues.is_empty(), Ordering::Release);
        taken
    }

    /// How many there were, for `status.json`.
    pub(super) fn counts(&self) -> status::Kicks {
        status::Kicks { due: self.due.load(Ordering::Acquire), done: self.done.load(Ordering::Acquire) }
    }
}

impl Queues {
    fn is_empty(&self) -> bool {
        self.now.order.is_empty() && self.paced.order.is_empty()
    }

    fn take(&mut self, now: Instant) -> Option<(Arc<str>, Why)> {
        if let Some(name) = self.now.pop() {
            return Some((name, Why::LockedOut));
        }
        if self.next.is_some_and(|next| now < next) {
            return None;
        }
        let name = self.paced.pop()?;
        // Ticks come up to a tenth of a second late. What they are late by is made up for, and no more than that.
        let late = now.checked_sub(Duration::from_millis(200)).unwrap_or(now);
        self.next = Some(self.next.map_or(now, |next| next.max(late)) + self.pause);
        Some((name, Why::Shrunk))
    }
}

impl Queue {
    /// Puts the name at the end; whether it was not there.
    fn push(&mut self, name: Arc<str>) -> bool {
        let is_new = self.names.insert(Arc::clone(&name));
        if is_new {
            self.order.push_back(name);
        }
        is_new
    }

    fn pop(&mut self) -> Option<Arc<str>> {
        let name = self.order.pop_front()?;
        self.names.remove(&name);
        Some(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(kicks: &Kicks, now: Instant) -> Vec<String> {
        std::iter::from_fn(|| kicks.take(now)).map(|(name, _)| name.to_string()).collect()
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
    fn whoever_is_due_already_is_not_put_there_again() {
        let (kicks, start) = (Kicks::default(), Instant::now());
        let many = || (0..100).map(|number| format!("d{number}"));
        for _ in 0..50 {
            kicks.pace(50, many());
        }
        assert_eq!(locked(&kicks.queues).paced.order.len(), 100, "changes come faster than they are paced");
        kicks.end(["d5".to_owned()]);
        kicks.end(["d7".to_owned(), "d5".to_owned()]);
        assert_eq!(due(&kicks, start), ["d5", "d7", "d0"]);
        let later = (1..200).map(|tick| start + Duration::from_millis(100) * tick);
        let rest: Vec<String> = later.flat_map(|now| due(&kicks, now)).collect();
        assert_eq!(rest.len(), 97, "to close somebody once is enough: {rest:?}");
        assert!(!rest.contains(&"d5".to_owned()));
        kicks.pace(50, ["d0".to_owned()]);
        assert_eq!(due(&kicks, start + Duration::from_secs(60)), ["d0"], "who was closed can be due again");
        assert_eq!(
            (kicks.counts().due, kicks.counts().done),
            (103, 2),
            "d5 and d7 were put there twice, and closed once"
        );
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
