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

    /// Lends the value to `body`. `make` makes it where it is not there: at first, inside of another `lend`, after a
    /// panic, and for other threads, whose own it is not to be (`true`: it will be kept).
    pub(super) fn lend<R>(&self, make: impl FnOnce(bool) -> T, body: impl FnOnce(&mut T) -> R) -> R {
        let is_own = current_thread() == self.thread;
        let mut value = match if is_own { self.value.take() } else { None } {
            Some(value) => value,
            None => make(is_own),
        };
        let answer = body(&mut value);
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
        let count = |kept: &Kept<u32>| {
            kept.lend(
                |_| 0,
                |count| {
                    *count += 1;
                    *count
                },
            )
        };
        assert_eq!([count(&kept), count(&kept)], [1, 2]);
        assert_eq!(std::thread::scope(|scope| scope.spawn(|| count(&kept)).join().ok()), Some(1));
        assert_eq!(kept.lend(|_| 0, |outer| (*outer, count(&kept))), (2, 1), "one inside another");
        assert_eq!(count(&kept), 3);
    }
}
