//! Files as the rest sees them: read whole and checked, judged by who may write them, replaced atomically.
#![forbid(unsafe_code)]

mod lock;
mod permissions;
mod replace;

use std::{
    fs::{File, Metadata, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use thiserror::Error;

pub(crate) use lock::{PATIENCE, acquire};
pub(crate) use permissions::way;
pub use permissions::{Holds, judge, judge_way, this_user};
pub use replace::{Locked, ReplaceError};
pub(crate) use replace::{SUFFIX as UNFINISHED, replace_own, replace_with_mode};

/// Largest file of settings, devices or passwords: some 300 bytes for each of 100,000 devices, twice over.
pub const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024;

/// Largest registry or password file that the settings can allow, and the largest that is edited.
pub const LARGEST_FILE_BYTES: u64 = 4 * 1024 * 1024 * 1024;

/// A text that was read whole, and what the file system said of it at that moment.
pub struct Text {
    /// The content; may hold hashes, so it has no `Debug`.
    pub text: String,
    /// Of the open file, not of what its name means by now.
    pub metadata: Metadata,
}

/// Why a file could not be read as text.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The machine refused.
    #[error("`{}` cannot be read: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A folder, a device, a pipe.
    #[error("`{}` is not a regular file", .0.display())]
    NotAFile(PathBuf),
    /// Longer than allowed.
    #[error("`{}` is larger than {limit_bytes} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The most it may have.
        limit_bytes: u64,
    },
    /// Holds bytes that are no UTF-8.
    #[error("`{}` is not UTF-8: line {line}, byte {column} of that line", path.display())]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// Of the first bad byte, counted from 1.
        line: usize,
        /// Of the first bad byte in its line, in bytes counted from 1.
        column: usize,
    },
}

impl ReadError {
    /// Whether it may be read later though nothing changes about it: the system had no descriptor or memory left, the disk
    /// or the network failed.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        const PASSING: [i32; 11] = [
            libc::EMFILE,
            libc::ENFILE,
            libc::ENOMEM,
            libc::EIO,
            libc::EINTR,
            libc::EAGAIN,
            libc::ESTALE,
            libc::ETIMEDOUT,
            libc::EHOSTDOWN,
            libc::EHOSTUNREACH,
            libc::ENETUNREACH,
        ];
        let of_system = |error: &io::Error| error.raw_os_error().is_some_and(|code| PASSING.contains(&code));
        matches!(self, Self::Io { source, .. } if of_system(source) || source.kind() == io::ErrorKind::OutOfMemory)
    }

    /// Whether the file may be there and somebody else could read it.
    #[must_use]
    pub fn is_permission_denied(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied)
    }
}

/// The whole of a file, as UTF-8; a byte order mark at its start is left out.
///
/// A change while reading is seen whole or not at all only if the writer renames, as [`Locked::replace`] does.
///
/// # Errors
///
/// Not found, not readable, no regular file, longer than `limit_bytes`, or not UTF-8.
pub fn read(path: &Path, limit_bytes: u64) -> Result<Text, ReadError> {
    let (file, metadata) = open(path, 0)?;
    let mut text = read_text(path, file, limit_bytes)?;
    if text.starts_with('\u{feff}') {
        text.drain(..'\u{feff}'.len_utf8());
    }
    Ok(Text { text, metadata })
}

/// The whole of a file that somebody else may have put there: no symbolic link is followed to it, and nothing that is
/// no file is read or waited for.
///
/// # Errors
///
/// As [`read`]; a symbolic link cannot be opened.
pub(crate) fn read_untrusted(path: &Path, limit_bytes: u64) -> Result<String, ReadError> {
    let (file, _) = open(path, libc::O_NOFOLLOW)?;
    read_text(path, file, limit_bytes)
}

/// The whole of a file that need not be text.
///
/// # Errors
///
/// As [`read`], but for UTF-8.
pub(crate) fn read_bytes(path: &Path, limit_bytes: u64) -> Result<Vec<u8>, ReadError> {
    let (file, _) = open(path, 0)?;
    read_file(path, file, limit_bytes)
}

/// Opens a file for reading. What is no file is refused, unopened if it was none before: a pipe would stall the opener
/// until somebody writes to it, and opening some devices does something.
fn open(path: &Path, flags: i32) -> Result<(File, Metadata), ReadError> {
    let io = |source| ReadError::Io { path: path.to_owned(), source };
    if std::fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        return Err(ReadError::NotAFile(path.to_owned()));
    }
    let file = OpenOptions::new().read(true).custom_flags(flags | libc::O_NONBLOCK).open(path).map_err(io)?;
    let metadata = file.metadata().map_err(io)?;
    if metadata.is_file() { Ok((file, metadata)) } else { Err(ReadError::NotAFile(path.to_owned())) }
}

fn read_file(path: &Path, file: File, limit_bytes: u64) -> Result<Vec<u8>, ReadError> {
    let mut bytes = Vec::new();
    let read = file.take(limit_bytes.saturating_add(1)).read_to_end(&mut bytes);
    let read = read.map_err(|source| ReadError::Io { path: path.to_owned(), source })?;
    if u64::try_from(read).unwrap_or(u64::MAX) > limit_bytes {
        return Err(ReadError::TooLarge { path: path.to_owned(), limit_bytes });
    }
    Ok(bytes)
}

fn read_text(path: &Path, file: File, limit_bytes: u64) -> Result<String, ReadError> {
    let bytes = read_file(path, file, limit_bytes)?;
    String::from_utf8(bytes).map_err(|error| {
        let good = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        let line = good.split(|byte| *byte == b'\n').count();
        let column = good.rsplit(|byte| *byte == b'\n').next().map_or(0, <[u8]>::len) + 1;
        ReadError::NotUtf8 { path: path.to_owned(), line, column }
    })
}

#[cfg(test)]
mod tests;
