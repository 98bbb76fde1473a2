//! What the broker's own thread keeps at hand between two checks, so that a check costs no write to memory that threads
//! share.

use std::sync::Arc;

use arc_swap::{ArcSwap, Cache};

use super::Plugin;
use crate::snapshot::Snapshot;

/// Who asks for access: what is counted without others depends on it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Asker {
    /// The broker's loop.
    Loop,
    /// Another thread of the broker's.
    Other,
}

/// The snapshot in force, as one thread has seen it last.
///
/// Looking whether it still is takes one load. What was in force before is kept until then, and freed by the thread that
/// loads: it holds on to what others hold.
pub struct Hand {
    snapshot: Cache<Arc<ArcSwap<Snapshot>>, Arc<Snapshot>>,
}

impl Hand {
    /// What is in force now.
    #[inline]
    pub(super) fn snapshot(&mut self) -> &Snapshot {
        self.snapshot.load()
    }

    /// Lets go of what is in force no longer.
    pub fn refresh(&mut self) {
        self.snapshot.load();
    }
}

impl Plugin {
    /// For a thread that has none yet.
    #[must_use]
    pub fn hand(&self) -> Hand {
        Hand { snapshot: Cache::new(Arc::clone(&self.snapshot)) }
    }
}
