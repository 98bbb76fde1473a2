//! Threads that compute hashes beside the broker's loop, and the questions that wait for them.
//!
//! Questions are bounded in number and bytes, addresses take turns, and those that brought a right password before go
//! first: whoever asks most waits longest.

use std::{
    collections::{HashMap, VecDeque},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use super::{
    super::{event::Peer, limit::neighbourhood, locked, thread},
    question::Question,
};
use crate::password::{Memory, PasswordHash, VerifyError};

/// Questions that wait at most.
const QUESTIONS: usize = 4_096;

/// Bytes of passwords and certificates that wait at most.
const BYTES: usize = 4 * 1024 * 1024;

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

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
    finished: Mutex<VecDeque<Finished>>,
    /// Questions that were asked and whose answers nobody has taken.
    open: AtomicUsize,
}

#[derive(Default)]
struct Queue {
    known: Turns,
    strangers: Turns,
    questions: usize,
    bytes: usize,
    stopping: bool,
}

/// The questions of several addresses, who take turns.
#[derive(Default)]
struct Turns {
    order: VecDeque<Peer>,
    waiting: HashMap<Peer, VecDeque<Question>>,
}

impl Pool {
    /// So many threads, at least one.
    pub(super) fn new(workers: usize) -> Self {
        Self { shared: Arc::default(), threads: Mutex::default(), workers: workers.max(1) }
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
        if !queue.has_room(&question) {
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
        *queue = Queue { stopping: true, ..Queue::default() };
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
        if queue.stopping {
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
            if waited.1.timed_out() && queue.questions == 0 {
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
    // A thread that ended by a panic would answer nobody any more.
    let right = catch_unwind(AssertUnwindSafe(|| compute(&question, memory)));
    let right = right.unwrap_or(Err(VerifyError::Parameters));
    let finished = Finished { question, right, took: start.elapsed() };
    locked(&shared.finished).push_back(finished);
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

impl Queue {
    /// Whoever has much in the queue finds it full before others do: an address may have as much as is still free.
    fn has_room(&self, question: &Question) -> bool {
        let peer = neighbourhood(question.peer());
        let own = |turns: &Turns| turns.waiting.get(&peer).map_or(0, VecDeque::len);
        let own = own(&self.known) + own(&self.strangers);
        own < QUESTIONS.saturating_sub(self.questions) && self.bytes + question.bytes() <= BYTES
    }

    fn push(&mut self, question: Question, known: bool) {
        self.questions += 1;
        self.bytes += question.bytes();
        if known { &mut self.known } else { &mut self.strangers }.push(question);
    }

    fn pop(&mut self) -> Option<Question> {
        let question = self.known.pop().or_else(|| self.strangers.pop())?;
        self.questions -= 1;
        self.bytes -= question.bytes();
        Some(question)
    }
}

impl Turns {
    fn push(&mut self, question: Question) {
        let peer = neighbourhood(question.peer());
        let own = self.waiting.entry(peer).or_default();
        if own.is_empty() {
            self.order.push_back(peer);
        }
        own.push_back(question);
    }

    fn pop(&mut self) -> Option<Question> {
        let peer = self.order.pop_front()?;
        let own = self.waiting.get_mut(&peer)?;
        let question = own.pop_front();
        if own.is_empty() {
            self.waiting.remove(&peer);
        } else {
            self.order.push_back(peer);
        }
        question
    }
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

    fn addresses(queue: &mut Queue) -> Vec<u32> {
        let address = |question: Question| match question.peer() {
            Peer::Address(std::net::IpAddr::V4(address)) => u32::from(address),
            _ => 0,
        };
        std::iter::from_fn(|| queue.pop()).map(address).collect()
    }

    #[test]
    fn addresses_take_turns_and_known_ones_go_first() {
        let mut queue = Queue::default();
        for (number, known) in
            [(1, false), (1, false), (1, false), (2, false), (3, true), (3, true), (4, false)]
        {
            queue.push(question(number), known);
        }
        assert_eq!(addresses(&mut queue), [3, 3, 1, 2, 4, 1, 1]);
        assert_eq!((queue.questions, queue.bytes), (0, 0));
        assert!(queue.strangers.waiting.is_empty() && queue.strangers.order.is_empty());
    }

    #[test]
    fn whoever_fills_the_queue_leaves_room_for_others() {
        let mut queue = Queue::default();
        while queue.has_room(&question(1)) {
            queue.push(question(1), false);
        }
        assert_eq!(queue.questions, QUESTIONS / 2);
        assert!(queue.has_room(&question(2)));
        for number in 2.. {
            if !queue.has_room(&question(number)) {
                break;
            }
            queue.push(question(number), false);
        }
        assert_eq!(queue.questions, QUESTIONS, "no room without an end");
    }

    #[test]
    fn answers_come_and_the_threads_end() {
        let pool = Pool::new(2);
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
