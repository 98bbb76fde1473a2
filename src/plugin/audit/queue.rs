//! What waits for the thread.
//!
//! A wake costs the broker's loop a call of the system, and the woken thread takes a core while a thousand clients come at
//! once. So the first message wakes the thread, and those of the next moment are left to gather until there are many:
//! a storm of log-ins costs a wake and an append now and then, not one each.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, PoisonError},
    time::Duration,
};

use super::{Message, locked};

/// Messages that wait at most.
const ROOM: usize = 2_048;

/// So many are waited for no longer.
const MANY: usize = ROOM / 2;

/// How long messages gather.
pub(super) const GATHER: Duration = Duration::from_millis(10);

/// Lines that are handed over together, in bytes.
const BATCH_BYTES: usize = 64 * 1024;

/// A queue of bounded length with one thread at its end.
pub(super) struct Queue {
    state: Mutex<State>,
    wake: Condvar,
    gather: Duration,
}

#[derive(Default)]
struct State {
    messages: VecDeque<Message>,
    closed: bool,
}

impl Queue {
    /// An empty one, whose messages gather for so long.
    pub(super) fn new(gather: Duration) -> Self {
        Self { state: Mutex::default(), wake: Condvar::new(), gather }
    }

    /// Puts it in; whether the thread will get it.
    pub(super) fn send(&self, message: Message) -> bool {
        let mut state = locked(&self.state);
        if state.closed || state.messages.len() >= ROOM {
            return false;
        }
        state.messages.push_back(message);
        let waiting = state.messages.len();
        drop(state);
        if waiting == 1 || waiting == MANY {
            self.wake.notify_one();
        }
        true
    }

    /// Nothing more comes, and what is in it need not gather.
    pub(super) fn close(&self) {
        locked(&self.state).closed = true;
        self.wake.notify_one();
    }

    /// The next messages: lines up to a number of bytes, or up to something else, which is the last then. None when none
    /// came for this long; nothing when the queue is closed and empty.
    pub(super) fn take(&self, most: Duration) -> Option<Vec<Message>> {
        let mut state = locked(&self.state);
        if state.messages.is_empty() {
            let quiet = |state: &mut State| state.messages.is_empty() && !state.closed;
            state =
                self.wake.wait_timeout_while(state, most, quiet).unwrap_or_else(PoisonError::into_inner).0;
            if !state.messages.is_empty() {
                let few = |state: &mut State| state.messages.len() < MANY && !state.closed;
                let gathered = self.wake.wait_timeout_while(state, self.gather, few);
                state = gathered.unwrap_or_else(PoisonError::into_inner).0;
            }
        }
        if state.closed && state.messages.is_empty() {
            return None;
        }
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while bytes < BATCH_BYTES
            && let Some(message) = state.messages.pop_front()
        {
            let Message::Line(line) = &message else {
                batch.push(message);
                break;
            };
            bytes += line.len();
            batch.push(message);
        }
        Some(batch)
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, thread};

    use super::*;

    /// Longer than any test.
    const HOUR: Duration = Duration::from_secs(3_600);

    fn line(number: usize) -> Message {
        Message::Line(format!("{number}\n"))
    }

    fn text(batch: &[Message]) -> String {
        let line = |message: &Message| match message {
            Message::Line(line) => line.clone(),
            Message::Last(_, line) => format!("last {line}"),
            Message::Look => "look\n".to_owned(),
        };
        batch.iter().map(line).collect()
    }

    #[test]
    fn lines_gather_until_there_are_many() {
        let queue = Arc::new(Queue::new(HOUR));
        let taker = thread::spawn({
            let queue = Arc::clone(&queue);
            move || queue.take(HOUR).unwrap().len()
        });
        for number in 0..MANY {
            assert!(!taker.is_finished(), "nothing is taken before");
            assert!(queue.send(line(number)));
        }
        assert_eq!(taker.join().unwrap(), MANY);
    }

    #[test]
    fn what_gathers_is_taken_at_once_when_the_queue_is_closed() {
        let queue = Arc::new(Queue::new(HOUR));
        let taker = thread::spawn({
            let queue = Arc::clone(&queue);
            move || std::iter::from_fn(|| queue.take(HOUR)).map(|batch| text(&batch)).collect::<String>()
        });
        for number in 0..3 {
            assert!(queue.send(line(number)));
        }
        queue.close();
        assert_eq!(taker.join().unwrap(), "0\n1\n2\n");
        assert!(!queue.send(line(3)), "it would be lost");
    }

    #[test]
    fn there_is_room_for_so_many_and_for_more_when_some_are_taken() {
        let queue = Queue::new(HOUR);
        assert_eq!((0..ROOM + 1).filter(|number| queue.send(line(*number))).count(), ROOM);
        let taken = queue.take(HOUR).unwrap().len();
        assert_eq!((0..ROOM).filter(|number| queue.send(line(*number))).count(), taken);
    }

    #[test]
    fn a_batch_ends_at_its_size_and_at_what_is_no_line() {
        let queue = Queue::new(Duration::ZERO);
        let long = "x".repeat(BATCH_BYTES / 2) + "\n";
        for _ in 0..3 {
            queue.send(Message::Line(long.clone()));
        }
        queue.send(Message::Look);
        queue.send(line(1));
        queue.send(Message::Last("there".into(), "2\n".to_owned()));
        queue.send(line(3));
        let taken: Vec<String> =
            std::iter::repeat_with(|| text(&queue.take(Duration::ZERO).unwrap())).take(5).collect();
        let [two, one] = [2, 1].map(|times| long.repeat(times));
        assert_eq!(taken, [two, one + "look\n", "1\nlast 2\n".to_owned(), "3\n".to_owned(), String::new()]);
    }
}
