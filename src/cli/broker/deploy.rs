//! A new folder for the broker in the place of the old one, in one step, and back again.
//!
//! Certificate and key are two files, and a broker that reads them out of step refuses every handshake or ends. So the
//! whole folder is made beside the old one, checked, and exchanged with it.

use std::{
    cell::Cell,
    fs::{self, DirBuilder, File, Permissions},
    io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, fchown},
    path::{Path, PathBuf},
};

use citronella::{
    fs::Locked,
    pki::{
        PrivateKey, bundle, inspect,
        verify::{self, Purpose, Question},
    },
};

use crate::{
    files::{Files, Mode},
    output::Failure,
};

/// What the broker gets.
pub(super) struct Content<'a> {
    /// The leaf and what stands between it and the root, PEM.
    pub(super) chain: &'a str,
    pub(super) key: &'a PrivateKey,
    /// For `cafile`, PEM.
    pub(super) trust: &'a str,
}

/// The folder that was put in place, and the old one beside it until this is dropped. Nobody else of ours changes
/// either meanwhile.
pub(super) struct Deployed {
    folder: PathBuf,
    beside: PathBuf,
    /// Whether the broker's `cafile` has changed.
    pub(super) new_trust: bool,
    /// The old folder could not be put back, and is the only one of its kind.
    stays: Cell<bool>,
    _lock: Locked,
}

const FILES: [&str; 3] = ["ca.crt", "broker.crt", "broker.key"];
const PREFIX: &str = ".tls-";
const SUFFIX: &str = ".new";

/// Makes, checks and exchanges.
pub(super) fn deploy(folder: &Path, content: &Content<'_>) -> Result<Deployed, Failure> {
    let failed = |error: &io::Error| Failure::file(folder, error);
    let files = Files::for_broker();
    if !folder.is_dir() {
        files.folder(folder, Mode::Shared)?;
    }
    let folder = fs::canonicalize(folder).map_err(|error| failed(&error))?;
    let lock = Locked::new(&folder)?;
    let parent = folder.parent().unwrap_or(Path::new("/")).to_owned();
    sweep(&parent);
    let beside = parent.join(format!("{PREFIX}{}{SUFFIX}", std::process::id()));
    let made = make(&folder, &beside, content, &files);
    let new_trust = fs::read(folder.join("ca.crt")).is_ok_and(|old| old != content.trust.as_bytes());
    let swapped = made.and_then(|()| bundle::exchange(&beside, &folder).map_err(|error| failed(&error)));
    if let Err(failure) = swapped {
        let _ = fs::remove_dir_all(&beside);
        return Err(failure);
    }
    Ok(Deployed { folder, beside, new_trust, stays: Cell::new(false), _lock: lock })
}

impl Deployed {
    /// Puts the old folder back. Where that cannot be done it stays beside the new one, under a name that no later run
    /// takes for its own.
    pub(super) fn undo(&self) -> Result<(), Failure> {
        bundle::exchange(&self.beside, &self.folder).map_err(|error| {
            self.stays.set(true);
            let aside = self.beside.with_extension("old");
            let lies = if fs::rename(&self.beside, &aside).is_ok() { &aside } else { &self.beside };
            Failure::file(&self.folder, &error).help(format!(
                "the broker did not come up with the new certificate, and the old folder could not be put back; it is in {}: \
                 move it there and restart the broker",
                lies.display()
            ))
        })
    }
}

impl Drop for Deployed {
    fn drop(&mut self) {
        if !self.stays.get() {
            let _ = fs::remove_dir_all(&self.beside);
        }
    }
}

/// Removes what a killed run left; the lock is ours, so nobody is at work there. It may hold a key.
fn sweep(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let number = name.strip_prefix(PREFIX).and_then(|name| name.strip_suffix(SUFFIX));
        if number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
        {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn make(folder: &Path, beside: &Path, content: &Content<'_>, files: &Files) -> Result<(), Failure> {
    DirBuilder::new().mode(0o700).create(beside).map_err(|error| Failure::file(beside, &error))?;
    for entry in fs::read_dir(folder).map_err(|error| Failure::file(folder, &error))?.flatten() {
        let name = entry.file_name();
        let ours = FILES.iter().any(|own| name == *own) || name.to_string_lossy().starts_with('.');
        if !ours {
            copy(&entry.path(), &beside.join(&name)).map_err(|error| Failure::file(&entry.path(), &error))?;
        }
    }
    files.replace(&beside.join("broker.key"), content.key.to_plain_pem()?.expose(), Mode::Shared)?;
    files.replace(&beside.join("broker.crt"), content.chain.as_bytes(), Mode::Public)?;
    files.replace(&beside.join("ca.crt"), content.trust.as_bytes(), Mode::Public)?;
    fits(beside)?;
    let finish = || -> io::Result<()> {
        let (old, new) = (fs::metadata(folder)?, File::open(beside)?);
        fchown(&new, Some(old.uid()), Some(old.gid()))?;
        new.set_permissions(Permissions::from_mode(old.mode() & 0o7777))?;
        new.sync_all()
    };
    finish().map_err(|error| Failure::file(beside, &error))
}

/// A file of somebody else's in the folder, with its owner and mode; a link stays a link.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let found = fs::symlink_metadata(from)?;
    if found.is_symlink() {
        return std::os::unix::fs::symlink(fs::read_link(from)?, to);
    }
    if !found.is_file() {
        let what = "it is neither a file nor a link, and would be lost";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    }
    fs::copy(from, to)?;
    let file = File::open(to)?;
    fchown(&file, Some(found.uid()), Some(found.gid()))?;
    file.set_permissions(Permissions::from_mode(found.mode() & 0o7777))?;
    file.sync_all()
}

/// Reads back what was written, as the broker will.
fn fits(folder: &Path) -> Result<(), Failure> {
    let read =
        |name: &str| fs::read(folder.join(name)).map_err(|error| Failure::file(&folder.join(name), &error));
    let (chain, key, trust) = (read("broker.crt")?, read("broker.key")?, read("ca.crt")?);
    let refused = |why: &str| Failure::new(format!("the new certificate is not put in place: {why}"));
    let chain = verify::read(&chain).ok_or_else(|| refused("its file is damaged"))?;
    let trust = verify::read(&trust).ok_or_else(|| refused("the authority's file is damaged"))?;
    let leaf = chain.first().and_then(|der| inspect::certificate(der));
    let key = PrivateKey::from_pem(&key, None)?;
    if leaf.is_none_or(|leaf| leaf.public_sha256 != key.public_sha256()) {
        return Err(refused("the key is not its own"));
    }
    let question =
        Question { purpose: Some(Purpose::Broker), name: None, crl: None, at: jiff::Timestamp::now() };
    match verify::faults(&chain, &trust, &question).first() {
        Some(fault) => Err(refused(&fault.message)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops by panicking")]

    use super::*;

    #[test]
    fn an_old_folder_that_cannot_be_put_back_is_not_deleted() {
        let dir = tempfile::tempdir().unwrap();
        let (folder, beside) = (dir.path().join("tls"), dir.path().join(".tls-7.new"));
        let deployed = || Deployed {
            folder: folder.clone(),
            beside: beside.clone(),
            new_trust: false,
            stays: Cell::new(false),
            _lock: Locked::new(&folder).unwrap(),
        };
        fs::create_dir(&beside).unwrap();
        fs::write(beside.join("broker.key"), "the old one").unwrap();
        // Somebody has taken the new folder away meanwhile.
        let (undone, kept) = (deployed(), dir.path().join(".tls-7.old"));
        let told = format!("{:?}", undone.undo().unwrap_err());
        assert!(told.contains(kept.to_str().unwrap()), "{told}");
        drop(undone);
        sweep(dir.path());
        assert_eq!(fs::read_to_string(kept.join("broker.key")).unwrap(), "the old one");

        // As a rule it is there again, and nothing beside it.
        fs::rename(&kept, &beside).unwrap();
        fs::create_dir(&folder).unwrap();
        let undone = deployed();
        undone.undo().unwrap();
        drop(undone);
        assert!(folder.join("broker.key").exists() && !beside.exists());
    }
}
