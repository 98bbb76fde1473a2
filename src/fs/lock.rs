//! One writer at a time, and none that waits for ever.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use thiserror::Error;

/// How long a command waits for another to finish: many changes made at once come all through, one that sits at a
/// prompt stops nobody for long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Between two looks at a lock that is taken.
const PAUSE: Duration = Duration::from_millis(10);

/// Only the owner can open the lock file, and only who can open it can hold the lock.
const MODE: u32 = 0o600;

/// What [`acquire`] says, inside an [`io::Error`], of a lock that stays taken.
#[derive(Debug, Error)]
#[error(
    "another command holds the lock `{}`, and did not let go of it for {} seconds",
    path.display(),
    patience.as_secs()
)]
struct Busy {
    path: PathBuf,
    patience: Duration,
}

/// Takes the advisory lock (flock) on the file at `path`, which is made if need be and stays; the system lets go of
/// the lock when the returned value is dropped, or its process ends, however it ends.
///
/// A new lock file is given to the owner of its folder, who may have everything in it anyway: what root locked
/// first, the owner can lock later.
pub(crate) fn acquire(path: &Path, patience: Duration) -> io::Result<File> {
    let file = open(path)?;
    let start = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if start.elapsed() < patience => thread::sleep(PAUSE),
            Err(TryLockError::WouldBlock) => {
                let busy = Busy { path: path.to_owned(), patience };
                return Err(io::Error::new(io::ErrorKind::ResourceBusy, busy));
            }
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    // Whoever owns the folder could lead us to a file elsewhere by a link; nothing is ever written to it, and
    // owner and mode are only set on a file that we made.
    options.read(true).write(true).custom_flags(libc::O_NOFOLLOW);
    match options.clone().create_new(true).mode(MODE).open(path) {
        Ok(new) => {
            let folder = std::fs::metadata(super::replace::parent(path))?;
            if folder.uid() != new.metadata()?.uid() {
                // Who may not do that is not root, and keeps the file.
                let _ = std::os::unix::fs::fchown(&new, Some(folder.uid()), Some(folder.gid()));
            }
            Ok(new)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => options.open(path),
        Err(error) => Err(error),
    }
}
