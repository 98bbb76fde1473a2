//! What one thread keeps from callback to callback.

use core::cell::Cell;

use super::api::current_thread;

/// A value of one thread's own; others get one that is made for them.
pub(super) struct Kept<T> {
    thread: usize,
    value: Cell<Option<T>>,
}

// SAFETY: the cell is looked into by `thread` alone, see `lend`; whoever drops it may be another, which is why the value
// has to be `Send`. A later thread with the number of one that has ended begins after that end.
unsafe impl<T: Send> Sync for Kept<T> {}

impl<T> Kept<T> {
    /// For the thread that calls this.
    pub(super) fn new() -> Self {
        Self { thread: current_thread(), value: Cell::new(None) }
    }

    /// Lends the value to `body`, and tells it whether this is the thread that keeps it. `make` makes it where it is not
    /// there: at first, inside of another `lend`, after a panic, and for other threads.
    pub(super) fn lend<R>(&self, make: impl FnOnce() -> T, body: impl FnOnce(bool, &mut T) -> R) -> R {
        let is_own = current_thread() == self.thread;
        let mut value = match if is_own { self.value.take() } else { None } {
            Some(value) => value,
            None => make(),
        };
        let answer = body(is_own, &mut value);
        if is_own {
            self.value.set(Some(value));
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_finds_what_it_left_and_others_do_not() {
        let kept = Kept::new();
        let add = |count: &mut u32| {
            *count += 1;
            *count
        };
        let count = |kept: &Kept<u32>| kept.lend(|| 0, |_, count| add(count));
        assert_eq!([count(&kept), count(&kept)], [1, 2]);
        assert_eq!(std::thread::scope(|scope| scope.spawn(|| count(&kept)).join().ok()), Some(1));
        assert_eq!(
            kept.lend(|| 0, |own, outer| (own, *outer, count(&kept))),
            (true, 2, 1),
            "one inside another"
        );
        assert_eq!(count(&kept), 3);
        let elsewhere = || kept.lend(|| 0, |own, _| own);
        assert_eq!(std::thread::scope(|scope| scope.spawn(elsewhere).join().ok()), Some(false));
    }
}
