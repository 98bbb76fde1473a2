//! Replacing a file so that every reader and every crash finds the old content or the new, never a part.

use std::{
    ffi::OsStr,
    fs::{File, Metadata, OpenOptions, Permissions},
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use thiserror::Error;

use super::lock;

/// Mode of a file that was not there before; its group is the folder's.
const NEW_FILE_MODE: u32 = 0o640;

/// A file that no other writer of ours can change while this value lives.
///
/// The lock is that of a file of its own, `.citronella.lock`, and covers all files of its folder. It is not taken on
/// the folder itself: whoever can read that could hold it, and keep a device from being locked out.
#[derive(Debug)]
pub struct Locked {
    /// After symbolic links.
    path: PathBuf,
    folder: File,
    /// Held as long as one of those that share it lives.
    lock: Arc<File>,
}

/// Stays in each folder in which we change files; only the folder's owner and root can open it.
pub(crate) const LOCK: &str = ".citronella.lock";

/// Why a file was not replaced. The old one is as it was.
#[derive(Debug, Error)]
#[error("`{}` cannot be {action}: {source}", path.display())]
pub struct ReplaceError {
    pub(crate) path: PathBuf,
    action: &'static str,
    pub(crate) source: io::Error,
}

impl Locked {
    /// Follows symbolic links to the real file, and waits some seconds until no other writer holds its folder. The
    /// file itself need not exist.
    ///
    /// # Errors
    ///
    /// The folder does not exist or cannot be written, another writer does not let go of it, or links go round in a
    /// circle.
    pub fn new(path: &Path) -> Result<Self, ReplaceError> {
        let failed = |source| ReplaceError { path: path.to_owned(), action: "locked", source };
        let path = resolve(path).map_err(failed)?;
        let folder = File::open(parent(&path)).map_err(failed)?;
        let lock = lock::acquire(&parent(&path).join(LOCK), lock::PATIENCE).map_err(failed)?;
        Ok(Self { path, folder, lock: Arc::new(lock) })
    }

    /// Several files at once, in their order: for changes that have to be made all or not at all. A folder is locked
    /// once for all of its files.
    ///
    /// # Errors
    ///
    /// As [`Self::new`], for the first that cannot be locked; then none is.
    pub fn all<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Result<Vec<Self>, ReplaceError> {
        let mut all: Vec<Self> = Vec::new();
        for path in paths {
            let failed = |source| ReplaceError { path: path.to_owned(), action: "locked", source };
            let real = resolve(path).map_err(failed)?;
            let locked = match all.iter().find(|other| parent(&other.path) == parent(&real)) {
                Some(other) => Self {
                    folder: other.folder.try_clone().map_err(failed)?,
                    lock: Arc::clone(&other.lock),
                    path: real,
                },
                None => Self::new(path)?,
            };
            all.push(locked);
        }
        Ok(all)
    }

    /// The real file, after symbolic links.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Puts `content` in the file's place in one step, with the mode and the owner of what was there; a new
    /// file gets mode 0640 and the folder's group where that is allowed. Returns once it is on disk.
    ///
    /// # Errors
    ///
    /// The folder cannot be written, the disk is full, or the old owner cannot be kept.
    pub fn replace(&self, content: &[u8]) -> Result<(), ReplaceError> {
        self.sweep();
        put(&self.path, &self.folder, content, None)
    }

    /// The same with exactly this mode and, if one is given, this group, whatever was there before.
    ///
    /// # Errors
    ///
    /// As [`Self::replace`], or the group cannot be given.
    pub fn replace_as(&self, content: &[u8], mode: u32, group: Option<u32>) -> Result<(), ReplaceError> {
        self.sweep();
        put(&self.path, &self.folder, content, Some(Access { mode, group }))
    }

    /// Removes what a writer left behind that was killed before its rename. Nobody is writing now: the lock is ours.
    fn sweep(&self) {
        let prefix = prefix(&self.path);
        let Ok(entries) = std::fs::read_dir(parent(&self.path)) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let random = name.to_str().and_then(|name| name.strip_prefix(&prefix)?.strip_suffix(SUFFIX));
            if random.is_some_and(|random| random.len() == RANDOM_BYTES) {
                // One that stays is ugly and does no harm.
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }
}

/// Puts `content` in the place of `path` in one step, with exactly this mode, and takes no lock: for whoever holds one
/// of its own. Symbolic links are followed to the real file.
///
/// # Errors
///
/// The folder cannot be opened or written, the disk is full, or links go round in a circle.
pub(crate) fn replace_with_mode(path: &Path, content: &[u8], mode: u32) -> Result<(), ReplaceError> {
    let failed = |source| ReplaceError { path: path.to_owned(), action: "replaced", source };
    let path = resolve(path).map_err(failed)?;
    let folder = File::open(parent(&path)).map_err(failed)?;
    put(&path, &folder, content, Some(Access { mode, group: None }))
}

/// Puts `content` in the place of `path`, mode 0640, in a folder in which nobody else writes that file. What a writer
/// leaves that is killed is taken up by the next: the unfinished file always has the same name.
///
/// # Errors
///
/// The folder cannot be written, or the disk is full; the old file stays.
pub(crate) fn replace_own(path: &Path, content: &[u8]) -> Result<(), ReplaceError> {
    let failed = |source| ReplaceError { path: path.to_owned(), action: "written", source };
    let unfinished = parent(path).join(format!("{}new", prefix(path)));
    match std::fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    // A new file follows no link.
    let mut new = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(NEW_FILE_MODE)
        .open(&unfinished)
        .map_err(failed)?;
    let written = new.write_all(content).and_then(|()| new.sync_all());
    let replaced = written.and_then(|()| std::fs::rename(&unfinished, path));
    replaced.map_err(|error| {
        // On a full disk it would only be in the way.
        let _ = std::fs::remove_file(&unfinished);
        failed(error)
    })
}

/// Who may get at a file.
#[derive(Clone, Copy)]
struct Access {
    mode: u32,
    group: Option<u32>,
}

fn put(path: &Path, folder: &File, content: &[u8], access: Option<Access>) -> Result<(), ReplaceError> {
    let failed = |action| move |source| ReplaceError { path: path.to_owned(), action, source };
    let old = match std::fs::metadata(path) {
        Ok(old) => Some(old),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(failed("examined")(error)),
    };
    let mut new = tempfile::Builder::new()
        .prefix(&prefix(path))
        .suffix(SUFFIX)
        .rand_bytes(RANDOM_BYTES)
        .tempfile_in(parent(path))
        .map_err(failed("written beside itself"))?;
    new.write_all(content).map_err(failed("written"))?;
    keep_owner(new.as_file(), old.as_ref(), folder).map_err(failed("given its old owner"))?;
    if let Some(group) = access.and_then(|access| access.group) {
        std::os::unix::fs::fchown(new.as_file(), None, Some(group)).map_err(failed("given its group"))?;
    }
    let kept = || old.as_ref().map_or(NEW_FILE_MODE, |old| old.mode() & 0o7777);
    let mode = access.map_or_else(kept, |access| access.mode);
    new.as_file().set_permissions(Permissions::from_mode(mode)).map_err(failed("given its mode"))?;
    new.as_file().sync_all().map_err(failed("flushed to disk"))?;
    new.persist(path).map_err(|error| failed("replaced")(error.error))?;
    folder.sync_all().map_err(failed("flushed to disk"))
}

/// Of the file that is to take the old one's place. Its name begins with a dot.
pub(crate) const SUFFIX: &str = ".new";
const RANDOM_BYTES: usize = 6;

/// Hidden, and near its file in a listing, should a power cut leave it behind.
fn prefix(path: &Path) -> String {
    format!(".{}.", path.file_name().map_or_else(Default::default, OsStr::to_string_lossy))
}

/// Root gives the new file to the old one's owner, or a new file to the folder's group; anybody else
/// can only keep what is already theirs.
fn keep_owner(new: &File, old: Option<&Metadata>, folder: &File) -> io::Result<()> {
    let made = new.metadata()?;
    let Some(old) = old else {
        let group = folder.metadata()?.gid();
        if group != made.gid() {
            // Without the right to do so the file is only readable by fewer people, which is no harm.
            let _ = std::os::unix::fs::fchown(new, None, Some(group));
        }
        return Ok(());
    };
    if (old.uid(), old.gid()) == (made.uid(), made.gid()) {
        return Ok(());
    }
    std::os::unix::fs::fchown(new, Some(old.uid()), Some(old.gid()))
}

/// SOURCE: MAXSYMLINKS of Linux, path_resolution(7).
pub(super) const MAX_LINKS: usize = 40;

/// The file a path leads to, which need not exist; only its folder must.
fn resolve(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        match std::fs::read_link(&path) {
            Ok(target) => path = parent(&path).join(target),
            Err(_) => {
                let folder = parent(&path).canonicalize()?;
                let name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
                return Ok(folder.join(name));
            }
        }
    }
    Err(io::Error::from_raw_os_error(libc::ELOOP))
}

pub(super) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}
