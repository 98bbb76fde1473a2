//! Threads of ours in the broker's process.

use std::{
    io,
    thread::{Builder, JoinHandle},
};

use nix::sys::signal::{SigSet, SigmaskHow, pthread_sigmask};

/// Enough for what they do, which is bounded.
const STACK_BYTES: usize = 256 * 1024;

/// Starts a thread to which no signal is delivered: the broker's handlers only set a flag, and its loop, waiting on
/// another thread, would not see it before something else happens. Whoever starts it joins it before the library may
/// be unloaded.
///
/// # Errors
///
/// The system has no more threads or memory.
pub(super) fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    let mut before = SigSet::empty();
    // The new thread inherits the mask, so that there is no moment without it.
    pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), Some(&mut before))?;
    let thread = Builder::new().name(name.to_owned()).stack_size(STACK_BYTES).spawn(body);
    pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&before), None)?;
    thread
}
