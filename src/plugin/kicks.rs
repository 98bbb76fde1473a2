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

/// The same when many are due at once and the loop turns too seldom for all of them to go in time.
const LONG_TURN: Duration = Duration::from_millis(50);

/// How soon those who are locked out are to be gone. Noticing and loading the files comes before it, within the second.
const GOAL: Duration = Duration::from_millis(500);

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

/// What a turn leaves.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Left {
    /// Nobody was due.
    Nothing,
    /// Nobody is any more.
    Emptied,
    /// Only those who go at a pace.
    Paced,
    /// Somebody who is to go at once.
    LockedOut,
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
    pace: Pace,
}

/// How closing those who are locked out goes.
#[derive(Clone, Copy, Default)]
struct Pace {
    /// Since when somebody is due.
    since: Option<Instant>,
    /// When the last turn was over.
    rested: Option<Instant>,
    /// What closing one took in it.
    each: Duration,
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

    /// Closes who is due, for as long as a tick may take; `kick` is called without a lock. What is left then.
    pub(super) fn turn(&self, kick: impl Fn(&str, Why)) -> Left {
        if !self.any.load(Ordering::Acquire) {
            return Left::Nothing;
        }
        let start = Instant::now();
        let length = self.begin(start);
        let (mut now, mut closed) = (start, 0_u32);
        while let Some((name, why)) = self.take(now) {
            kick(&name, why);
            self.done.fetch_add(1, Ordering::AcqRel);
            closed += 1;
            now = Instant::now();
            if now.duration_since(start) >= length {
                break;
            }
        }
        self.end_turn(now, (closed > 0).then(|| now.duration_since(start) / closed.max(1)))
    }

    /// How long a turn may be that starts now.
    fn begin(&self, now: Instant) -> Duration {
        // Whoever holds the lock is filling the queue; the next tick is soon.
        let Ok(mut queues) = self.queues.try_lock() else { return TURN };
        let due = u32::try_from(queues.now.order.len()).unwrap_or(u32::MAX);
        queues.pace.turn(due, now)
    }

    fn end_turn(&self, now: Instant, each: Option<Duration>) -> Left {
        let Ok(mut queues) = self.queues.try_lock() else {
            let emptied = !self.any.load(Ordering::Acquire);
            return if emptied { Left::Emptied } else { Left::LockedOut };
        };
        let none_locked_out = queues.now.order.is_empty();
        let pace = &mut queues.pace;
        pace.rested = Some(now);
        pace.each = each.unwrap_or(pace.each);
        if none_locked_out {
            pace.since = None;
        }
        match (none_locked_out, queues.is_empty()) {
            (_, true) => Left::Emptied,
            (true, false) => Left::Paced,
            (false, false) => Left::LockedOut,
        }
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

impl Pace {
    /// How long a turn may be that starts now with so many due.
    ///
    /// Brokers with websockets turn once in 100 ms when they have nothing to do: a short turn in each would take a
    /// minute for a thousand devices. So it is as long as all of them need to be gone in time, and no longer; and it is
    /// short while the loop has something else to do.
    fn turn(&mut self, due: u32, now: Instant) -> Duration {
        if due == 0 {
            return TURN;
        }
        // The first turn finds out what one takes.
        let rested = self.since.and(self.rested).unwrap_or(now);
        let since = *self.since.get_or_insert(now);
        let rest = now.saturating_duration_since(rested).min(GOAL);
        let work = self.each.saturating_mul(due);
        let left = GOAL.saturating_sub(now.saturating_duration_since(since)).saturating_sub(work);
        // With turns of this length, and rests like the last one between them, the work is done when the time is over.
        let needed =
            if left.is_zero() { LONG_TURN } else { rest.mul_f64(work.as_secs_f64() / left.as_secs_f64()) };
        needed.min(rest / 2).clamp(TURN, LONG_TURN)
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
        assert_eq!(kicks.turn(|_, _| panic!("nobody is due")), Left::Nothing);
        kicks.end(["a".to_owned()]);
        let left = kicks.turn(|name, why| assert_eq!((name, why), ("a", Why::LockedOut)));
        assert_eq!(left, Left::Emptied);
        assert_eq!((kicks.counts().due, kicks.counts().done), (1, 1));
        kicks.pace(1, ["b".to_owned(), "c".to_owned()]);
        assert_eq!(kicks.turn(|_, why| assert_eq!(why, Why::Shrunk)), Left::Paced);
    }

    #[test]
    fn who_waits_for_a_slow_kick_is_not_forgotten() {
        let kicks = Kicks::default();
        kicks.end(["a".to_owned(), "b".to_owned()]);
        assert_eq!(kicks.turn(|_, _| std::thread::sleep(TURN)), Left::LockedOut, "the loop is to turn soon");
        assert_eq!(kicks.turn(|_, _| ()), Left::Emptied);
    }

    /// So many devices, each of which takes so many microseconds, in a loop that is elsewhere so long between two
    /// turns: how long it takes until all are gone, and the longest turn.
    fn lock_out(due: u32, each_us: u64, rest_ms: u64) -> (Duration, Duration) {
        let (mut pace, start) = (Pace::default(), Instant::now());
        let (mut left, mut now, mut longest) = (due, start, Duration::ZERO);
        let each = Duration::from_micros(each_us);
        while left > 0 {
            now += Duration::from_millis(rest_ms);
            let turn = pace.turn(left, now);
            let closed = u32::try_from(turn.as_micros() / u128::from(each_us) + 1).unwrap().min(left);
            left -= closed;
            now += each * closed;
            longest = longest.max(each * closed);
            (pace.rested, pace.each) = (Some(now), each);
        }
        (now - start, longest)
    }

    #[test]
    fn many_who_are_locked_out_go_in_time_also_where_the_loop_rests() {
        let ms = Duration::from_millis;
        for (due, each_us) in [(1, 50), (100, 50), (500, 50), (1_000, 60), (2_000, 60)] {
            let (took, longest) = lock_out(due, each_us, 100);
            assert!(took <= ms(750) && longest <= ms(51), "{due}: {took:?}, turns of {longest:?}");
        }
        let (_, longest) = lock_out(100, 50, 100);
        assert!(longest <= ms(3), "few need no long turns: {longest:?}");
        let (took, longest) = lock_out(2_000, 60, 1);
        assert!(
            took <= ms(500) && longest <= ms(3),
            "a loop with work goes on with it: {took:?}, {longest:?}"
        );
        let (took, _) = lock_out(100_000, 60, 100);
        assert!(took <= Duration::from_secs(25), "{took:?}");
    }
}
