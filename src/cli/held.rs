//! Signals that end a command, held back while it changes what belongs together.

use std::{
    fs, io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    flag,
};

use super::output::Failure;

/// Ctrl-C, `kill` and the end of the service manager's patience, a terminal that has gone.
const HELD: [(i32, usize, &str); 3] = [(SIGINT, 1, "SIGINT"), (SIGTERM, 2, "SIGTERM"), (SIGHUP, 3, "SIGHUP")];

/// As long as it lives, these signals end nothing and are remembered; then they end the command again. Programs that
/// are started meanwhile know nothing of it.
pub(crate) struct Held {
    /// The last one, as numbered above; 0 is none.
    came: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
}

impl Held {
    /// From now on.
    pub(crate) fn begin() -> io::Result<Self> {
        let held = Self { came: Arc::default(), over: Arc::default() };
        let ignored = ignored();
        for (signal, number, _) in HELD {
            // `nohup` wants it to be nothing at all.
            if ignored >> (signal - 1) & 1 == 1 {
                continue;
            }
            flag::register_conditional_default(signal, Arc::clone(&held.over))?;
            flag::register_usize(signal, Arc::clone(&held.came), number)?;
        }
        Ok(held)
    }

    /// The name of one that came.
    pub(crate) fn came(&self) -> Option<&'static str> {
        let came = self.came.load(Ordering::SeqCst);
        HELD.iter().find(|(_, number, _)| *number == came).map(|(.., name)| *name)
    }

    /// Where a change can still be taken back.
    ///
    /// # Errors
    ///
    /// One came.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        match self.came() {
            Some(name) => Err(Failure::new(format!("stopped by {name}"))),
            None => Ok(()),
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
    }
}

/// The signals that whoever started this process wants ignored, from bit 0 for signal 1 on; none if the system does
/// not say. See proc(5), `SigIgn`.
fn ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
