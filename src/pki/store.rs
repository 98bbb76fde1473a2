//! The authority's directory: its files, their modes, its lock.
//!
//! ```text
//! pki/              0700
//!   ca.crt          0644  last to appear: without it there is no authority here
//!   ca.key          0600  encrypted
//!   root.crt, root.key    where two tiers were asked for; the key may be kept elsewhere
//!   keys/SERIAL.key       of the authority that took over, by its certificate's serial
//!   retired/SERIAL.crt    earlier authorities, while they are still trusted
//!   ledger          0600  one line per event, see `ledger`
//!   certs/SERIAL.crt      every certificate that was made
//!   lock            0600  held by whoever writes
//! ```
#![forbid(unsafe_code)]

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use thiserror::Error;

use crate::fs::{PATIENCE, ReplaceError, UNFINISHED, acquire, replace_with_mode};

/// Where the authority is, unless told otherwise.
pub const DEFAULT_DIRECTORY: &str = "/etc/citronella/pki";

/// Only the owner.
pub(crate) const PRIVATE: u32 = 0o600;
/// Everybody may read.
pub(crate) const PUBLIC: u32 = 0o644;

/// What the file system refused, and where.
#[derive(Debug, Error)]
#[error("cannot {action} {}: {source}", path.display())]
pub struct FileError {
    /// `read`, `write`, …
    pub action: &'static str,
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

impl From<ReplaceError> for FileError {
    fn from(error: ReplaceError) -> Self {
        Self { action: "write", path: error.path, source: error.source }
    }
}

/// Adds the path to what the system says.
pub(crate) fn at<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> FileError + use<'a> {
    move |source| FileError { action, path: path.to_owned(), source }
}

/// The directory.
#[derive(Debug)]
pub(crate) struct Store {
    directory: PathBuf,
}

/// Held while anything in the directory changes; the system lets go when the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Store {
    pub(crate) fn at(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }

    /// Makes the directory with mode 0700 if it is not there.
    pub(crate) fn create(&self) -> Result<(), FileError> {
        create_private(&self.directory)
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(crate) fn certificate(&self) -> PathBuf {
        self.directory.join("ca.crt")
    }

    /// The key of the authority's certificate with that serial.
    pub(crate) fn key(&self, serial: &str) -> PathBuf {
        let own = self.directory.join("keys").join(format!("{serial}.key"));
        if own.exists() { own } else { self.first_key() }
    }

    /// The key of the first certificate that signed here.
    pub(crate) fn first_key(&self) -> PathBuf {
        self.directory.join("ca.key")
    }

    pub(crate) fn root_certificate(&self) -> PathBuf {
        self.directory.join("root.crt")
    }

    pub(crate) fn root_key(&self) -> PathBuf {
        self.directory.join("root.key")
    }

    /// Certificates of earlier authorities that are still trusted, in a stable order.
    pub(crate) fn retired(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.directory.join("retired")).into_iter().flatten().flatten();
        let mut paths: Vec<PathBuf> = entries
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|end| end == "crt"))
            .collect();
        paths.sort();
        paths
    }

    pub(crate) fn ledger(&self) -> PathBuf {
        self.directory.join("ledger")
    }

    /// Where the certificate with that serial is kept.
    pub(crate) fn issued(&self, serial: &str) -> PathBuf {
        self.directory.join("certs").join(format!("{serial}.crt"))
    }

    /// Keeps copies of certificates, each PEM under its serial; on disk when this returns. Nobody reads them before the
    /// ledger speaks of them, so a torn one does no harm.
    pub(crate) fn keep<'a>(
        &self,
        certificates: &[(&'a str, &'a str)],
        _lock: &Lock,
    ) -> Result<(), FileError> {
        let flush = if certificates.len() > 1 { Flush::Later } else { Flush::Now };
        for (serial, pem) in certificates {
            create(&self.issued(serial), pem.as_bytes(), PUBLIC, flush)?;
        }
        let folder = self.directory.join("certs");
        let synced = if flush == Flush::Later { sync_all(&folder) } else { sync(&folder) };
        synced.map_err(at("write", &folder))
    }

    /// Waits some seconds until nobody else writes, then clears away what a killed writer left.
    pub(crate) fn lock(&self) -> Result<Lock, FileError> {
        let path = self.directory.join("lock");
        let file = acquire(&path, PATIENCE).map_err(at("lock", &path))?;
        sweep(&self.directory);
        for folder in ["certs", "keys", "retired"] {
            sweep(&self.directory.join(folder));
        }
        Ok(Lock { _file: file })
    }
}

/// Only what we write is called so, and whoever writes holds the lock. Litter does no harm, so nothing is said.
fn sweep(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with('.') && name.ends_with(UNFINISHED) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Makes a directory, and those above it, only for us; one that is there stays as it is.
pub(crate) fn create_private(path: &Path) -> Result<(), FileError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(at("make", path))
}

/// Replaces `path` by these bytes whole or not at all, with exactly this mode. The caller holds the [`Lock`].
pub(crate) fn replace(path: &Path, bytes: &[u8], mode: u32) -> Result<(), FileError> {
    Ok(replace_with_mode(path, bytes, mode)?)
}

/// When a new file is to be on the disk.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Flush {
    /// When writing it returns.
    Now,
    /// After [`sync_all`].
    Later,
}

/// Writes a file that is not there, in a folder that nobody else knows of yet.
pub(crate) fn create(path: &Path, bytes: &[u8], mode: u32, flush: Flush) -> Result<(), FileError> {
    let writing = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(PRIVATE).open(path)?;
        file.write_all(bytes)?;
        // The umask applies to the mode at creation, not to this one.
        file.set_permissions(Permissions::from_mode(mode))?;
        if flush == Flush::Now { file.sync_all() } else { Ok(()) }
    };
    writing().map_err(at("write", path))
}

/// Makes what happened in a directory last.
pub(crate) fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Makes everything last that was written on the file system of a folder, by whomever.
pub(crate) fn sync_all(folder: &Path) -> io::Result<()> {
    Ok(nix::unistd::syncfs(File::open(folder)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_file_has_its_mode_whatever_it_had_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.key");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        replace(&path, b"new", PRIVATE).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, PRIVATE);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_a_killed_writer_left_is_cleared_away() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::at(&folder.path().join("deep/pki"));
        store.create().unwrap();
        let litter = ["", "certs", "keys", "retired"].map(|folder| {
            create_private(&store.directory().join(folder)).unwrap();
            store.directory().join(folder).join(format!(".ca.key.x1{UNFINISHED}"))
        });
        for file in &litter {
            fs::write(file, "half").unwrap();
        }
        let _lock = store.lock().unwrap();
        assert!(litter.iter().all(|file| !file.exists()));
        assert_eq!(fs::metadata(store.directory()).unwrap().permissions().mode() & 0o777, 0o700);
    }
}
