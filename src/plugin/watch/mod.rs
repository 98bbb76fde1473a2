//! The thread that loads: it notices changed files, checks and compiles them beside the broker's loop, puts the new
//! snapshot in force, and tells the loop whose sessions are to be closed. It calls no function of the broker.

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
};

use arc_swap::ArcSwap;
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::{
    counters::Counters, kicks::Kicks, locked, log::Log, sessions::Sessions, state_directory::StateDirectory,
    thread,
};
use crate::{config::AuditTo, snapshot::Snapshot};

mod files;
mod lost;
mod work;

pub(super) use work::DOZE;
use work::Work;

/// What the loop and the thread have in common.
pub(super) struct World {
    pub(super) config: PathBuf,
    /// Which kind of broker this is.
    pub(super) broker: &'static str,
    pub(super) snapshot: Arc<ArcSwap<Snapshot>>,
    pub(super) sessions: Arc<Sessions>,
    pub(super) kicks: Arc<Kicks>,
    pub(super) log: Arc<Log>,
    pub(super) counters: Arc<Counters>,
    pub(super) directory: Arc<StateDirectory>,
}

/// The thread, as the loop sees it. Dropped, it has ended.
pub(super) struct Watcher {
    signals: Arc<Signals>,
    thread: Option<JoinHandle<()>>,
}

struct Signals {
    wake: EventFd,
    stop: AtomicBool,
    /// How many SIGHUPs have come.
    sighups: AtomicU64,
    /// What came of loading, for the loop to record.
    outcomes: Mutex<Vec<Outcome>>,
    /// Whether there is any.
    any_outcome: AtomicBool,
}

/// What came of a loading.
pub(super) struct Outcome {
    /// `loaded`, `failed` or `held`.
    pub(super) decision: &'static str,
    /// Why it is not in force.
    pub(super) reason: Option<String>,
    /// What was in force then.
    pub(super) revision: String,
    /// Where the audit was that ends with it, and its state directory.
    pub(super) left: Option<(AuditTo, PathBuf)>,
}

impl Watcher {
    /// Starts the thread. `said` are the lines about the files that are in the log already.
    ///
    /// # Errors
    ///
    /// The system has no more descriptors or threads.
    pub(super) fn start(world: World, said: Vec<String>) -> io::Result<Self> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let signals = Arc::new(Signals {
            wake: EventFd::from_flags(flags)?,
            stop: AtomicBool::new(false),
            sighups: AtomicU64::new(0),
            outcomes: Mutex::default(),
            any_outcome: AtomicBool::new(false),
        });
        let work = Work::new(world, Arc::clone(&signals), said);
        let thread = thread::spawn("citronella-load", move || work.run())?;
        Ok(Self { signals, thread: Some(thread) })
    }

    /// SIGHUP has come: everything is loaded anew, and what waited for it is taken.
    pub(super) fn sighup(&self) {
        self.signals.sighups.fetch_add(1, Ordering::AcqRel);
        self.wake();
    }

    /// What came of loading since this was asked last.
    pub(super) fn outcomes(&self) -> Vec<Outcome> {
        if self.signals.any_outcome.swap(false, Ordering::AcqRel) {
            return std::mem::take(&mut *locked(&self.signals.outcomes));
        }
        Vec::new()
    }

    /// There is something new to write into the status.
    pub(super) fn wake(&self) {
        // It can only be full of wake-ups.
        let _ = self.signals.wake.write(1);
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.signals.stop.store(true, Ordering::Release);
        self.wake();
        let Some(thread) = self.thread.take() else { return };
        thread::join_within(thread, thread::FAREWELL);
    }
}
