//! What the broker's own thread keeps at hand between two checks, so that a check costs no write to memory that threads
//! share.

use std::sync::Arc;

use arc_swap::{ArcSwap, Cache};

use super::{Plugin, event::Host, repeats::Repeats};
use crate::snapshot::Snapshot;

/// On which thread access is asked for: what is counted without others depends on it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Thread {
    /// The broker's loop.
    Loop,
    /// Another thread of the broker's.
    Other,
}

/// The snapshot in force, as one thread has seen it last, and the refusals that it has not handed on yet.
///
/// Looking whether it still is takes one load. What was in force before is kept until then, and freed by the thread that
/// loads: it holds on to what others hold.
pub struct Hand {
    snapshot: Cache<Arc<ArcSwap<Snapshot>>, Arc<Snapshot>>,
    repeats: Repeats,
}

impl Hand {
    /// What is in force now, and the refusals.
    #[inline]
    pub(super) fn parts(&mut self) -> (&Snapshot, &mut Repeats) {
        (self.snapshot.load(), &mut self.repeats)
    }
}

impl Plugin {
    /// For a thread that has none yet.
    #[must_use]
    pub fn hand(&self) -> Hand {
        Hand { snapshot: Cache::new(Arc::clone(&self.snapshot)), repeats: Repeats::default() }
    }

    /// Lets go of what is in force no longer, and hands on refusals that have waited for a while.
    pub fn settle(&self, host: &dyn Host, hand: &mut Hand) {
        let (snapshot, repeats) = hand.parts();
        if repeats.are_due() {
            self.tell(host, snapshot).unsaid(repeats.end());
        }
    }
}
