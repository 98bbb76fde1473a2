//! The questions that wait for the threads.
//!
//! They are bounded in number and bytes, addresses take turns, and those that brought a right password before go first:
//! whoever asks most waits longest.

use std::{
    collections::{HashMap, VecDeque},
    ops::{Add, Sub},
};

use super::{
    super::{event::Peer, limit::neighbourhood},
    question::Question,
};

/// What waits at most.
const ROOM: Load = Load { questions: 4_096, bytes: 4 * 1024 * 1024 };

/// What of it those may have who brought no right password yet.
const ROOM_OF_STRANGERS: Load = Load { questions: ROOM.questions / 4 * 3, bytes: ROOM.bytes / 4 * 3 };

/// What waits for the threads.
#[derive(Default)]
pub(super) struct Queue {
    known: Turns,
    strangers: Turns,
    stopping: bool,
}

/// Questions, and the bytes of what their clients sent.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Load {
    questions: usize,
    bytes: usize,
}

/// The questions of several addresses, who take turns.
#[derive(Default)]
struct Turns {
    order: VecDeque<Peer>,
    waiting: HashMap<Peer, Own>,
    load: Load,
}

/// The questions of one of them.
#[derive(Default)]
struct Own {
    questions: VecDeque<Question>,
    load: Load,
}

impl Queue {
    /// One that takes nothing, and whose threads are to end.
    pub(super) fn stopping() -> Self {
        Self { stopping: true, ..Self::default() }
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping
    }

    pub(super) fn is_empty(&self) -> bool {
        self.load() == Load::default()
    }

    /// Whether there is room for the question; `known` says that its address brought a right password before. Whoever
    /// has much in the queue finds it full before others do: an address may have as much as is still free.
    pub(super) fn has_room(&self, question: &Question, known: bool) -> bool {
        let peer = neighbourhood(question.peer());
        let own = self.known.load_of(peer) + self.strangers.load_of(peer) + Load::of(question);
        let mut free = ROOM - self.load();
        if !known {
            free = free.min(ROOM_OF_STRANGERS - self.strangers.load);
        }
        own.questions <= free.questions && own.bytes <= free.bytes
    }

    fn load(&self) -> Load {
        self.known.load + self.strangers.load
    }

    pub(super) fn push(&mut self, question: Question, known: bool) {
        if known { &mut self.known } else { &mut self.strangers }.push(question);
    }

    /// The next one, of those who are known first.
    pub(super) fn pop(&mut self) -> Option<Question> {
        self.known.pop().or_else(|| self.strangers.pop())
    }
}

impl Load {
    fn of(question: &Question) -> Self {
        Self { questions: 1, bytes: question.bytes() }
    }

    fn min(self, other: Self) -> Self {
        Self { questions: self.questions.min(other.questions), bytes: self.bytes.min(other.bytes) }
    }
}

impl Add for Load {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { questions: self.questions + other.questions, bytes: self.bytes + other.bytes }
    }
}

impl Sub for Load {
    type Output = Self;

    /// Nothing rather than less.
    fn sub(self, other: Self) -> Self {
        Self {
            questions: self.questions.saturating_sub(other.questions),
            bytes: self.bytes.saturating_sub(other.bytes),
        }
    }
}

impl Turns {
    fn load_of(&self, peer: Peer) -> Load {
        self.waiting.get(&peer).map_or_else(Load::default, |own| own.load)
    }

    fn push(&mut self, question: Question) {
        let (peer, load) = (neighbourhood(question.peer()), Load::of(&question));
        let own = self.waiting.entry(peer).or_default();
        if own.questions.is_empty() {
            self.order.push_back(peer);
        }
        own.questions.push_back(question);
        own.load = own.load + load;
        self.load = self.load + load;
    }

    fn pop(&mut self) -> Option<Question> {
        let peer = self.order.pop_front()?;
        let own = self.waiting.get_mut(&peer)?;
        let question = own.questions.pop_front()?;
        let load = Load::of(&question);
        own.load = own.load - load;
        self.load = self.load - load;
        if own.questions.is_empty() {
            self.waiting.remove(&peer);
        } else {
            self.order.push_back(peer);
        }
        Some(question)
    }
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
        assert_eq!(queue.load(), Load::default());
        assert!(queue.strangers.waiting.is_empty() && queue.strangers.order.is_empty());
    }

    #[test]
    fn whoever_fills_the_queue_leaves_room_for_others() {
        let fat = |number| {
            let mut question = question(number);
            question.password = crate::secret::Secret::new(vec![0; 60_000]);
            question
        };
        for (make, fills) in [
            (&question as &dyn Fn(u32) -> Question, Load { questions: 1, bytes: 0 }),
            (&fat, Load { questions: 0, bytes: 60_100 }),
        ] {
            let mut queue = Queue::default();
            while queue.has_room(&make(1), false) {
                queue.push(make(1), false);
            }
            let own = queue.load();
            let at_most = |all: Load| own.questions <= all.questions / 2 && own.bytes <= all.bytes / 2;
            let full = |of: Load, all: Load| {
                let next = of + fills;
                next.questions > all.questions || next.bytes > all.bytes
            };
            assert!(at_most(ROOM_OF_STRANGERS) && full(own + own, ROOM_OF_STRANGERS), "{own:?}");
            assert!(queue.has_room(&make(2), false), "there is room for the next");
            for number in 2.. {
                if !queue.has_room(&make(number), false) {
                    break;
                }
                queue.push(make(number), false);
            }
            assert!(full(queue.load(), ROOM_OF_STRANGERS), "all of it is used: {:?}", queue.load());
            assert!(queue.has_room(&make(0), true), "who is known has room of their own");
            for number in (1 << 16).. {
                if !queue.has_room(&make(number), true) {
                    break;
                }
                queue.push(make(number), true);
            }
            let all = queue.load();
            assert!(full(all, ROOM), "and no more than there is: {all:?}");
            assert!(all.questions <= ROOM.questions && all.bytes <= ROOM.bytes, "{all:?}");
        }
    }
}
