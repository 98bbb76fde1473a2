//! Panics end here: one request is refused, one line is logged, the broker lives on.

use std::{
    any::Any,
    cell::Cell,
    fmt,
    panic::{self, AssertUnwindSafe},
};

use crate::plugin::{Host, Level};

#[cfg(panic = "abort")]
compile_error!("a panic must refuse one request, not end the broker: build with panic = \"unwind\"");

/// Where a panic began: the last bytes of the file's name, and the line. It owns nothing, so that noting it cannot
/// fail, allocate or leave a destructor behind in a thread of the broker's; see the parent module for the one that
/// arc-swap leaves.
#[derive(Clone, Copy)]
struct Origin {
    file: [u8; 64],
    line: u32,
}

thread_local! {
    /// Where the last panic of this thread began.
    static ORIGIN: Cell<Option<Origin>> = const { Cell::new(None) };
}

/// From now on a panic is noted for [`guarded`] and not printed on the broker's standard error. The hook
/// belongs to this library's own copy of the standard library.
pub(super) fn install_hook() {
    panic::set_hook(Box::new(|info| {
        ORIGIN.set(info.location().map(|place| {
            let mut file = [b' '; 64];
            let name = place.file().as_bytes();
            for (to, from) in file.iter_mut().rev().zip(name.iter().rev()) {
                *to = *from;
            }
            Origin { file, line: place.line() }
        }));
    }));
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", String::from_utf8_lossy(&self.file).trim_start(), self.line)
    }
}

/// Runs `body`; if it panics, tells that and answers `refusal`.
///
/// What the callbacks share is read-only or replaced whole, so an unwound call leaves nothing half done:
/// that is what makes `AssertUnwindSafe` true.
pub(super) fn guarded<T>(tell: impl FnOnce(&str), event: &str, refusal: T, body: impl FnOnce() -> T) -> T {
    panic::catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|payload| {
        let line = describe(event, &*payload);
        // Dropping the payload runs foreign code once more; a leak of a few bytes is the lesser harm.
        core::mem::forget(payload);
        if let Err(payload) = panic::catch_unwind(AssertUnwindSafe(|| tell(&line))) {
            core::mem::forget(payload);
        }
        refusal
    })
}

/// For [`guarded`], where there is nobody else to tell: a line in the broker's log, if this is the thread that may write
/// there.
pub(super) fn to_log(host: &dyn Host) -> impl FnOnce(&str) {
    move |line| {
        if host.on_main_thread() {
            host.write(Level::Error, &crate::diag::Visible(format!("citronella: {line}")).to_string());
        }
    }
}

fn describe(event: &str, payload: &(dyn Any + Send)) -> String {
    let message = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    match ORIGIN.take() {
        Some(place) => format!("{event}: internal error at {place}: {message}"),
        None => format!("{event}: internal error: {message}"),
    }
}
