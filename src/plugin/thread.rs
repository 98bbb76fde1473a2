//! Threads of ours in the broker's process.

use std::{
    io,
    thread::{Builder, JoinHandle, sleep},
    time::{Duration, Instant},
};

use nix::sys::signal::{SigSet, SigmaskHow, pthread_sigmask};

/// Enough for what they do, which is bounded.
const STACK_BYTES: usize = 256 * 1024;

/// What the broker yields to: no work of a thread of ours is urgent to the microsecond, and the broker's loop is.
const NICENESS: i32 = 10;

/// How long the end of the plugin waits for a thread that may wait for a disk. It is longer than any loading from one
/// that works.
pub(super) const FAREWELL: Duration = Duration::from_secs(10);

/// Between two looks whether a thread has ended.
const LOOK: Duration = Duration::from_millis(2);

/// Starts a thread to which no signal is delivered: the broker's handlers only set a flag, and its loop, waiting on
/// another thread, would not see it before something else happens. The loop goes before it where there are too few
/// cores for both. Whoever starts it joins it before the library may be unloaded.
///
/// # Errors
///
/// The system has no more threads or memory.
pub(super) fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    let mut before = SigSet::empty();
    // The new thread inherits the mask, so that there is no moment without it.
    pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), Some(&mut before))?;
    let body = || {
        // Without it the work is done all the same.
        let _ = rustix::process::nice(NICENESS);
        body();
    };
    let thread = Builder::new().name(name.to_owned()).stack_size(STACK_BYTES).spawn(body);
    pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&before), None)?;
    thread
}

/// Waits for a thread that was told to end, and no longer than `most`; whether it has ended.
///
/// A file system that does not answer must not keep the broker from ending. Such a thread is left behind; the library's
/// code stays mapped (see the module `ffi`), and what the thread uses is its own or shared with it.
pub(super) fn join_within(thread: JoinHandle<()>, most: Duration) -> bool {
    let deadline = Instant::now() + most;
    // Not with a channel: that leaves thread-local values behind in the broker's own thread.
    while !thread.is_finished() {
        if Instant::now() >= deadline {
            return false;
        }
        sleep(LOOK);
    }
    // That it panicked, the broker cannot be told any more.
    let _ = thread.join();
    true
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn a_thread_that_does_not_end_is_left_behind() {
        let (release, wait) = channel::<()>();
        let stuck = spawn("stuck", move || {
            // As long as the other end is there.
            let _ = wait.recv();
        })
        .unwrap();
        assert!(!join_within(stuck, Duration::from_millis(10)));
        drop(release);
        let ends = spawn("ends", || {}).unwrap();
        assert!(join_within(ends, Duration::from_secs(30)));
    }

    #[test]
    fn the_loop_goes_before_a_thread_of_ours() {
        let own = || rustix::process::getpriority_process(None).unwrap();
        let (tell, told) = channel();
        let before = own();
        let thread = spawn("yields", move || tell.send(own()).unwrap()).unwrap();
        assert_eq!(told.recv().unwrap(), (before + NICENESS).min(19));
        assert!(join_within(thread, Duration::from_secs(30)));
        assert_eq!(own(), before, "and the one who started it stays as it was");
    }

    #[test]
    fn no_signal_is_delivered_to_a_thread_of_ours() {
        let (tell, told) = channel();
        let before = SigSet::thread_get_mask().unwrap();
        let thread = spawn("masked", move || tell.send(SigSet::thread_get_mask().unwrap()).unwrap()).unwrap();
        let masked = told.recv().unwrap();
        assert!(join_within(thread, Duration::from_secs(30)));
        for signal in [nix::sys::signal::SIGHUP, nix::sys::signal::SIGTERM, nix::sys::signal::SIGUSR1] {
            assert!(masked.contains(signal));
        }
        assert_eq!(SigSet::thread_get_mask().unwrap(), before, "and the one who started it has its own");
    }
}
