//! Folders that are handed over: made beside their place and moved there whole.
#![forbid(unsafe_code)]

use std::{
    collections::HashSet,
    fs::{self, DirBuilder, File, TryLockError},
    io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use thiserror::Error;

use super::{
    sign::hex,
    store::{self, FileError, Flush, PRIVATE, PUBLIC, at},
};
use crate::secret::Secret;

/// What to do when the folder is there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OnExisting {
    /// Leave it.
    Refuse,
    /// Replace it, if it holds nothing but files of ours.
    Replace,
    /// The same, and keep it: see [`kept`].
    Keep,
}

/// Where [`OnExisting::Keep`] puts the folder that was there. One that was kept before makes room for it.
#[must_use]
pub fn kept(target: &Path) -> PathBuf {
    target.with_added_extension("old")
}

/// Why there is no folder.
#[derive(Debug, Error)]
pub enum FolderError {
    /// Not replaced unasked.
    #[error("{} exists already", .0.display())]
    Exists(PathBuf),
    /// Not replaced even when asked.
    #[error("{} has files that are not of a bundle, so it is not replaced", .0.display())]
    Foreign(PathBuf),
    /// The file system refused.
    #[error(transparent)]
    File(#[from] FileError),
}

/// A file of the folder to be.
pub(crate) struct NewFile {
    name: String,
    content: Secret,
    mode: u32,
}

impl NewFile {
    /// For everybody who gets to the folder.
    pub(crate) fn public(name: &str, content: impl Into<Secret>) -> Self {
        Self { name: name.to_owned(), content: content.into(), mode: PUBLIC }
    }

    /// For the owner.
    pub(crate) fn private(name: &str, content: impl Into<Secret>) -> Self {
        Self { name: name.to_owned(), content: content.into(), mode: PRIVATE }
    }

    /// What it is called.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// What is in it.
    pub(crate) fn content(&self) -> &Secret {
        &self.content
    }

    /// Its permission bits.
    pub(crate) fn mode(&self) -> u32 {
        self.mode
    }
}

/// Fails as [`write_all`] would because of what is there. `ours` are the files that may be replaced.
///
/// # Errors
///
/// The folder exists, or is to be replaced but holds foreign files.
pub(crate) fn check(target: &Path, ours: &[String], on_existing: OnExisting) -> Result<(), FolderError> {
    let replaceable = |path: &Path| match fs::symlink_metadata(path) {
        Err(_) => Ok(()),
        Ok(_) if on_existing == OnExisting::Refuse => Err(FolderError::Exists(path.to_owned())),
        Ok(found) if found.is_dir() && holds_only(path, ours) => Ok(()),
        Ok(_) => Err(FolderError::Foreign(path.to_owned())),
    };
    replaceable(target)?;
    if on_existing == OnExisting::Keep { replaceable(&kept(target)) } else { Ok(()) }
}

/// A folder to be.
pub(crate) struct NewFolder {
    pub(crate) name: String,
    pub(crate) files: Vec<NewFile>,
    /// Files that may be replaced with it.
    pub(crate) ours: Vec<String>,
}

/// Writes a folder into `parent` and returns its path. Killed at any instant, it is there whole or not at all.
///
/// # Errors
///
/// As [`check`], or the file system refuses.
pub(crate) fn write(
    parent: &Path,
    folder: NewFolder,
    on_existing: OnExisting,
) -> Result<PathBuf, FolderError> {
    let target = parent.join(&folder.name);
    write_all(parent, &[folder], on_existing)?;
    Ok(target)
}

/// Writes folders into `parent`, in their order. Killed at any instant, each is there whole or not at all.
///
/// # Errors
///
/// As [`check`], or the file system refuses; some of them may be there then.
pub(crate) fn write_all(
    parent: &Path,
    folders: &[NewFolder],
    on_existing: OnExisting,
) -> Result<(), FolderError> {
    for folder in folders {
        check(&parent.join(&folder.name), &folder.ours, on_existing)?;
    }
    sweep(parent, folders);
    let mut drafts = Vec::with_capacity(folders.len());
    // Many are flushed in one step: a disk takes about as long for that as for one file.
    let flush = if folders.len() > 1 { Flush::Later } else { Flush::Now };
    for folder in folders {
        let draft = Draft::create(parent, &folder.name)?;
        for NewFile { name, content, mode } in &folder.files {
            store::create(&draft.path.join(name), content.expose(), *mode, flush)?;
        }
        if flush == Flush::Now {
            store::sync(&draft.path).map_err(at("write", &draft.path))?;
        }
        drafts.push(draft);
    }
    if flush == Flush::Later {
        store::sync_all(parent).map_err(at("write", parent))?;
    }
    for (folder, draft) in folders.iter().zip(drafts) {
        put(draft, &parent.join(&folder.name), on_existing)?;
    }
    Ok(store::sync(parent).map_err(at("write", parent))?)
}

/// Moves a draft to its place.
fn put(draft: Draft, target: &Path, on_existing: OnExisting) -> Result<(), FolderError> {
    let moved = match on_existing {
        OnExisting::Replace if target.exists() => exchange(&draft.path, target),
        OnExisting::Keep if target.exists() => exchange_and_keep(draft, target),
        _ => {
            renameat2(AT_FDCWD, &draft.path, AT_FDCWD, target, RenameFlags::RENAME_NOREPLACE)
                .map_err(io::Error::from)
                // File systems that cannot say so: a rename takes the place of an empty folder at most.
                .or_else(|error| match error.raw_os_error() {
                    Some(libc::EINVAL) => fs::rename(&draft.path, target),
                    _ => Err(error),
                })
        }
    };
    match moved {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Err(FolderError::Exists(target.to_owned()))
        }
        other => Ok(other.map_err(at("write", target))?),
    }
}

/// Puts the draft in the place of the old folder, and that beside it. Where that fails the old one is in its place.
fn exchange_and_keep(draft: Draft, target: &Path) -> io::Result<()> {
    exchange(&draft.path, target)?;
    let kept = kept(target);
    let aside = if kept.exists() { exchange(&draft.path, &kept) } else { fs::rename(&draft.path, &kept) };
    aside.inspect_err(|_| {
        if exchange(&draft.path, target).is_err() {
            // It is the old folder that lies there.
            std::mem::forget(draft);
        }
    })
}

/// Puts the draft in the place of the old folder; the old one ends up where the draft was.
///
/// # Errors
///
/// The file system refuses; then the old folder is in its place.
pub fn exchange(draft: &Path, target: &Path) -> io::Result<()> {
    match renameat2(AT_FDCWD, draft, AT_FDCWD, target, RenameFlags::RENAME_EXCHANGE) {
        Err(nix::errno::Errno::EINVAL) => exchange_by_turns(draft, target),
        other => Ok(other?),
    }
}

/// For file systems that cannot: for an instant there is no folder, never half of one.
fn exchange_by_turns(draft: &Path, target: &Path) -> io::Result<()> {
    let old = draft.with_extension("old");
    fs::rename(target, &old)?;
    let back = |error| {
        // Whatever the first error was, it is the one to tell.
        let _ = fs::rename(&old, target);
        Err(error)
    };
    fs::rename(draft, target).or_else(back)?;
    fs::rename(&old, draft).or_else(|error| {
        let _ = fs::rename(target, draft);
        back(error)
    })
}

/// How often a draft is begun that somebody else sweeps away.
const TRIES: usize = 8;

/// A folder beside the final one, locked by us; gone when dropped, unless it was moved.
struct Draft {
    path: PathBuf,
    _lock: File,
}

impl Draft {
    fn create(parent: &Path, folder: &str) -> Result<Self, FileError> {
        let mut random = [0; 8];
        for _ in 0..TRIES {
            getrandom::fill(&mut random).map_err(|error| at("write", parent)(error.into()))?;
            let path = parent.join(format!("{}{}", draft_prefix(folder), hex(&random)));
            DirBuilder::new().mode(0o700).create(&path).map_err(at("make", &path))?;
            let draft = File::open(&path).and_then(|folder| match folder.try_lock() {
                Ok(()) => Ok(Self { path: path.clone(), _lock: folder }),
                Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
                Err(TryLockError::Error(error)) => Err(error),
            });
            match draft {
                Ok(draft) if path.exists() => return Ok(draft),
                // Somebody's sweep came between, and takes it away.
                Ok(_) => {}
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::NotFound) => {
                }
                Err(error) => {
                    // A file system without locks, for one.
                    let _ = fs::remove_dir(&path);
                    return Err(at("lock", &path)(error));
                }
            }
        }
        Err(at("make a folder in", parent)(io::ErrorKind::ResourceBusy.into()))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

const DRAFT: &str = ".citronella-";

fn draft_prefix(folder: &str) -> String {
    format!("{DRAFT}{folder}-")
}

/// Removes drafts of these folders whose writer was killed: the system unlocked them. They hold keys.
fn sweep(parent: &Path, folders: &[NewFolder]) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    let names: HashSet<&str> = folders.iter().map(|folder| folder.name.as_str()).collect();
    for entry in entries.flatten() {
        let name = entry.file_name();
        let draft = name.to_str().and_then(|name| name.strip_prefix(DRAFT)?.rsplit_once('-'));
        let ours = draft.is_some_and(|(folder, random)| names.contains(folder) && is_draft_suffix(random));
        if ours && File::open(entry.path()).is_ok_and(|file| file.try_lock().is_ok()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Sixteen digits, with or without the `.old` of [`exchange`].
fn is_draft_suffix(text: &str) -> bool {
    let digits = text.strip_suffix(".old").unwrap_or(text);
    digits.len() == 16 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether nothing but these files is in it.
fn holds_only(path: &Path, ours: &[String]) -> bool {
    fs::read_dir(path).is_ok_and(|mut entries| {
        entries
            .all(|entry| entry.is_ok_and(|entry| ours.iter().any(|name| entry.file_name() == name.as_str())))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(path: &Path, file: &str) {
        fs::create_dir(path).unwrap();
        fs::write(path.join(file), file).unwrap();
    }

    #[test]
    fn folders_change_places_by_turns_or_stay() {
        let dir = tempfile::tempdir().unwrap();
        let (draft, target) = (dir.path().join("draft.new"), dir.path().join("target"));
        folder(&draft, "new");
        folder(&target, "old");
        exchange_by_turns(&draft, &target).unwrap();
        assert!(target.join("new").exists() && draft.join("old").exists());
        // There is nothing to put in its place.
        fs::remove_dir_all(&draft).unwrap();
        exchange_by_turns(&draft, &target).unwrap_err();
        assert!(target.join("new").exists(), "the folder is gone");
    }

    #[test]
    fn what_was_there_is_kept_beside_and_what_was_kept_before_makes_room() {
        let dir = tempfile::tempdir().unwrap();
        let ours = ["a".to_owned()];
        let put = |text: &str, on_existing| {
            let files = vec![NewFile::private("a", text.to_owned())];
            write(dir.path(), NewFolder { name: "lamp".to_owned(), files, ours: ours.to_vec() }, on_existing)
        };
        let read = |name: &str| fs::read_to_string(dir.path().join(name).join("a")).unwrap_or_default();
        for (text, kept) in [("1", ""), ("2", "1"), ("3", "2")] {
            put(text, OnExisting::Keep).unwrap();
            assert_eq!((&*read("lamp"), &*read("lamp.old")), (text, kept));
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "a draft is left");
        // Somebody else's is not taken for one that was kept.
        fs::write(dir.path().join("lamp.old/mine"), "").unwrap();
        assert!(matches!(put("4", OnExisting::Keep), Err(FolderError::Foreign(_))));
        assert_eq!((&*read("lamp"), &*read("lamp.old")), ("3", "2"));
        put("4", OnExisting::Replace).unwrap();
        assert_eq!((&*read("lamp"), &*read("lamp.old")), ("4", "2"));
    }
}
