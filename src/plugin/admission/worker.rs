//! Threads that compute hashes beside the broker's loop.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use super::{
    super::{counters::Counters, locked, thread},
    question::Question,
    queue::Queue,
};
use crate::password::{Memory, PasswordHash, VerifyError};

/// How long argon2id's memory is kept when there is nothing to do.
const KEEP: Duration = Duration::from_secs(60);

/// The answer to a question.
pub(super) struct Finished {
    pub(super) question: Question,
    /// Whether the password is right.
    pub(super) right: Result<bool, VerifyError>,
    pub(super) took: Duration,
}

/// The threads. None is started before there is a question.
pub(super) struct Pool {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    workers: usize,
}

struct Shared {
    counters: Arc<Counters>,
    queue: Mutex<Queue>,
    wake: Condvar,
    finished: Mutex<VecDeque<Finished>>,
    /// Questions that were asked and whose answers nobody has taken.
    open: AtomicUsize,
}

impl Pool {
    /// So many threads, at least one.
    pub(super) fn new(workers: usize, counters: &Arc<Counters>) -> Self {
        let shared = Shared {
            counters: Arc::clone(counters),
            queue: Mutex::default(),
            wake: Condvar::new(),
            finished: Mutex::default(),
            open: AtomicUsize::new(0),
        };
        Self { shared: Arc::new(shared), threads: Mutex::default(), workers: workers.max(1) }
    }

    /// Whether any question is open: the common case of a tick is this one load.
    pub(super) fn open(&self) -> usize {
        self.shared.open.load(Ordering::Acquire)
    }

    /// The same, to be shown.
    pub(super) fn open_number(&self) -> u64 {
        u64::try_from(self.open()).unwrap_or(u64::MAX)
    }

    /// Puts a question into the queue; whether there was room for it. `known` says that its address brought a right
    /// password before.
    pub(super) fn ask(&self, question: Question, known: bool) -> bool {
        if !self.run() {
            return false;
        }
        let mut queue = locked(&self.shared.queue);
        if !queue.has_room(&question, known) {
            return false;
        }
        queue.push(question, known);
        self.shared.open.fetch_add(1, Ordering::AcqRel);
        drop(queue);
        self.shared.wake.notify_one();
        true
    }

    /// One of the answers, if there is one.
    pub(super) fn answer(&self) -> Option<Finished> {
        let finished = locked(&self.shared.finished).pop_front()?;
        self.shared.open.fetch_sub(1, Ordering::AcqRel);
        Some(finished)
    }

    /// Starts the threads unless they run; whether there is one.
    fn run(&self) -> bool {
        let mut threads = locked(&self.threads);
        for _ in threads.len()..self.workers {
            let shared = Arc::clone(&self.shared);
            match thread::spawn("citronella-hash", move || work(&shared)) {
                Ok(thread) => threads.push(thread),
                // Fewer will do; none, and whoever asks is refused for now.
                Err(_) => break,
            }
        }
        !threads.is_empty()
    }
}

impl Drop for Pool {
    /// Waits for the hashes that are being computed, of which each is bounded, and for no other.
    fn drop(&mut self) {
        let mut queue = locked(&self.shared.queue);
        *queue = Queue::stopping();
        drop(queue);
        self.shared.wake.notify_all();
        for thread in std::mem::take(&mut *locked(&self.threads)) {
            // It has nothing to say.
            let _ = thread.join();
        }
    }
}

fn work(shared: &Shared) {
    let mut memory = Memory::new();
    let mut kept = false;
    let mut queue = locked(&shared.queue);
    loop {
        if queue.is_stopping() {
            return;
        }
        if let Some(question) = queue.pop() {
            drop(queue);
            answer(shared, question, &mut memory);
            kept = true;
            queue = locked(&shared.queue);
        } else if kept {
            let waited = shared.wake.wait_timeout(queue, KEEP).unwrap_or_else(PoisonError::into_inner);
            queue = waited.0;
            if waited.1.timed_out() && queue.is_empty() {
                drop(queue);
                (memory, kept) = (Memory::new(), false);
                queue = locked(&shared.queue);
            }
        } else {
            queue = shared.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn answer(shared: &Shared, question: Question, memory: &mut Memory) {
    if question.is_void() {
        shared.open.fetch_sub(1, Ordering::AcqRel);
        return;
    }
    let start = Instant::now();
    let right = guarded(&shared.counters, || compute(&question, memory));
    let finished = Finished { question, right, took: start.elapsed() };
    locked(&shared.finished).push_back(finished);
}

/// A panic is counted and lets nobody in: a thread that ended by it would answer nobody any more.
fn guarded(
    counters: &Counters,
    compute: impl FnOnce() -> Result<bool, VerifyError>,
) -> Result<bool, VerifyError> {
    catch_unwind(AssertUnwindSafe(compute)).unwrap_or_else(|payload| {
        // Dropping the payload runs foreign code once more; a leak of a few bytes is the lesser harm.
        std::mem::forget(payload);
        counters.internal_errors.panics.add();
        Err(VerifyError::Parameters)
    })
}

/// Compares the password; a wrong one takes the time of the costliest hash in use.
fn compute(question: &Question, memory: &mut Memory) -> Result<bool, VerifyError> {
    let password = question.password();
    let right = question.hash.verify_with(password, memory)?;
    if !right && let Some(decoy) = &question.decoy {
        // Nothing could follow from either answer.
        let _ = decoy.verify_with(password, memory);
    }
    Ok(right)
}

/// A hash that takes the rest of the time of the costliest kind in use, after one that is cheaper.
pub(super) fn decoy_after(hash: &PasswordHash, costliest: Option<PasswordHash>) -> Option<PasswordHash> {
    costliest.filter(|costliest| costliest.cost() > hash.cost())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(number: u32) -> Question {
        Question::of_test(std::net::Ipv4Addr::from(number))
    }

    #[test]
    fn a_panic_is_counted_and_lets_nobody_in() {
        let counters = Counters::default();
        assert_eq!(guarded(&counters, || Ok(true)), Ok(true));
        assert_eq!(counters.internal_errors.panics.value(), 0);
        assert_eq!(guarded(&counters, || panic!("of the test")), Err(VerifyError::Parameters));
        assert_eq!(counters.internal_errors.panics.value(), 1);
    }

    #[test]
    fn answers_come_and_the_threads_end() {
        let pool = Pool::new(2, &Arc::default());
        for number in 0..10 {
            assert!(pool.ask(question(number), false));
        }
        let void = question(11);
        void.cancel.store(true, Ordering::Release);
        assert!(pool.ask(void, false));
        let mut answers = 0;
        let deadline = Instant::now() + Duration::from_secs(30);
        while pool.open() > 0 {
            assert!(Instant::now() < deadline, "{answers} answers");
            if let Some(finished) = pool.answer() {
                assert_eq!(finished.right, Ok(false));
                answers += 1;
            }
        }
        assert_eq!(answers, 10, "none to the question that was taken back");
    }
}
