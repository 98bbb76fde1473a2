//! `status.json`: what the plugin says of itself, for the command to read.
//!
//! The plugin writes it into its state directory (`[state] directory`) at its start and whenever it has loaded, or tried
//! to. Whoever reads it takes it for the claim of the broker's user: it decides nothing.
//!
//! The file `running` beside it is locked for as long as the plugin lives, however it ends; a lock is seen through
//! containers too, which a process number is not.
#![forbid(unsafe_code)]

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use nix::fcntl::{FcntlArg, fcntl};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::fs::{self, ReadError, ReplaceError};

/// The format that is written and read here.
pub const VERSION: u32 = 1;

/// The file's name in the state directory.
pub const FILE: &str = "status.json";

/// The lock's name there.
const LOCK: &str = "running";

/// Largest file that is read. Ours have a few thousand bytes.
const MAX_BYTES: u64 = 256 * 1024;

/// Mistakes that [`Attempt::Refused`] lists at most; `citronella check` shows all.
pub const MAX_MISTAKES: usize = 20;

/// Longest text of one mistake, in bytes.
const MAX_MISTAKE_BYTES: usize = 1_000;

/// What the plugin says of itself. Points in time are milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Status {
    /// Of this format: [`VERSION`].
    pub version: u32,
    /// The plugin's own version.
    pub plugin: String,
    /// Which kind of broker runs it: `2.0.11`, `2.0` or `2.1`.
    pub broker: String,
    /// The broker's process, as it is numbered where it runs.
    pub pid: u32,
    /// citronella.toml as configured.
    pub config: PathBuf,
    /// When the plugin started.
    pub started_ms: u64,
    /// What decides now.
    pub in_force: InForce,
    /// How the last loading went.
    pub attempt: Attempt,
    /// How many SIGHUPs were answered by loading.
    pub sighups: u64,
    /// Sessions that changes have ended, or will.
    pub kicks: Kicks,
}

/// The snapshot that decides.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct InForce {
    /// Stands for the content of all files; see `Snapshot::revision`.
    pub revision: String,
    /// When it was swapped in.
    pub since_ms: u64,
    /// How many devices it has.
    pub devices: usize,
}

/// How a loading went.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Attempt {
    /// What was loaded is in force.
    Loaded {
        /// When.
        at_ms: u64,
    },
    /// The files have mistakes.
    Refused {
        /// When.
        at_ms: u64,
        /// How many errors.
        errors: usize,
        /// The first of them, each in one line with its place.
        mistakes: Vec<String>,
    },
    /// The files are right, and the change waits for SIGHUP.
    Waiting {
        /// When.
        at_ms: u64,
        /// What is waiting: its revision.
        revision: String,
        /// Why.
        reason: String,
    },
    /// Somebody goes on writing into a file, and what was read of it may be half of it.
    Torn {
        /// When that was said.
        at_ms: u64,
        /// Which file.
        reason: String,
    },
}

impl Attempt {
    /// Files that cannot be used because of these mistakes; of many the first few are kept.
    #[must_use]
    pub fn refused(at_ms: u64, errors: usize, mistakes: &[String]) -> Self {
        let kept = mistakes.iter().take(MAX_MISTAKES).map(|mistake| {
            let end = mistake.floor_char_boundary(MAX_MISTAKE_BYTES);
            mistake.get(..end).unwrap_or_default().to_owned()
        });
        Self::Refused { at_ms, errors, mistakes: kept.collect() }
    }
}

/// Devices whose sessions are ended because of changes, counted since the start.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Kicks {
    /// So many were to be.
    pub due: u64,
    /// So many are.
    pub done: u64,
}

/// Now, in milliseconds since 1970-01-01T00:00:00Z; 0 before.
#[must_use]
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Why nothing can be said there.
#[derive(Debug, Error)]
pub enum ClaimError {
    /// Not there, not writable.
    #[error("`{}` cannot be written: {source}", path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another plugin writes there.
    #[error(
        "the plugin of another broker writes to `{}`; give each broker a `[state] directory` of its own",
        .0.display()
    )]
    Taken(PathBuf),
}

/// A state directory in which no other plugin writes while this lives.
#[derive(Debug)]
pub struct Claim {
    directory: PathBuf,
    _running: File,
}

impl Claim {
    /// Claims the directory, which must be there.
    ///
    /// # Errors
    ///
    /// It cannot be written, or is claimed.
    pub fn new(directory: &Path) -> Result<Self, ClaimError> {
        let path = directory.join(LOCK);
        let failed = |source| ClaimError::Io { path: path.clone(), source };
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(0o640)
            .custom_flags(flags)
            .open(&path)
            .map_err(failed)?;
        match fcntl(&file, FcntlArg::F_OFD_SETLK(&whole_file(libc::F_WRLCK))) {
            Ok(_) => Ok(Self { directory: directory.to_owned(), _running: file }),
            Err(nix::Error::EAGAIN | nix::Error::EACCES) => Err(ClaimError::Taken(directory.to_owned())),
            Err(error) => Err(failed(error.into())),
        }
    }

    /// The directory as it was given.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Writes the status in one step.
    ///
    /// # Errors
    ///
    /// The directory cannot be written, or the disk is full; the old status stays.
    pub fn write(&self, status: &Status) -> Result<(), ReplaceError> {
        // A map of texts and numbers has nothing that JSON could not say.
        let mut text = serde_json::to_vec(status).unwrap_or_default();
        text.push(b'\n');
        fs::replace_own(&self.directory.join(FILE), &text)
    }
}

/// Whether a plugin lives that has claimed this directory. The lock is only asked about, never taken.
///
/// # Errors
///
/// The directory or the lock cannot be read. A lock that is not there is free.
pub fn is_running(directory: &Path) -> io::Result<bool> {
    // A missing folder is no answer; a missing lock in it is one.
    std::fs::read_dir(directory)?;
    let mut options = OpenOptions::new();
    let file =
        match options.read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(directory.join(LOCK))
        {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
    let mut lock = whole_file(libc::F_WRLCK);
    fcntl(&file, FcntlArg::F_OFD_GETLK(&mut lock)).map_err(io::Error::from)?;
    Ok(libc::c_int::from(lock.l_type) != libc::F_UNLCK)
}

fn whole_file(kind: libc::c_int) -> libc::flock {
    let small = |number: libc::c_int| libc::c_short::try_from(number).unwrap_or_default();
    libc::flock { l_type: small(kind), l_whence: small(libc::SEEK_SET), l_start: 0, l_len: 0, l_pid: 0 }
}

/// Why a status cannot be read. Never holds any of the file.
#[derive(Debug, Error)]
pub enum StatusError {
    /// No plugin has written one there.
    #[error("no plugin has written `{}` yet", .0.display())]
    Missing(PathBuf),
    /// It could not be read.
    #[error(transparent)]
    Read(ReadError),
    /// It is no status.
    #[error("`{}` is no status of a plugin: line {line}, column {column}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Counted from 1; 0 for the whole.
        line: usize,
        /// Counted from 1; 0 for the whole.
        column: usize,
    },
    /// A newer plugin wrote it.
    #[error("`{}` has format {found}, and {VERSION} is known here; is the command older than the plugin?", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
}

/// What the plugin has written into this directory. The broker's user owns it, and may have put anything there.
///
/// # Errors
///
/// There is none, it is a link or no file, too large, or not of this format.
pub fn read(directory: &Path) -> Result<Status, StatusError> {
    #[derive(Deserialize)]
    struct Version {
        version: u32,
    }
    let path = directory.join(FILE);
    let text = match fs::read_untrusted(&path, MAX_BYTES) {
        Ok(text) => text,
        Err(ReadError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            return Err(StatusError::Missing(path));
        }
        Err(error) => return Err(StatusError::Read(error)),
    };
    let malformed = |error: serde_json::Error| StatusError::Malformed {
        path: path.clone(),
        line: error.line(),
        column: error.column(),
    };
    let Version { version } = serde_json::from_str(&text).map_err(malformed)?;
    if version != VERSION {
        return Err(StatusError::Version { path, found: version });
    }
    serde_json::from_str(&text).map_err(malformed)
}

#[cfg(test)]
mod tests;
