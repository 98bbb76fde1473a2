//! The authority as one file, and back: encrypted keys, ledger, certificates.
#![forbid(unsafe_code)]

use std::{
    fs,
    io::{self, Read as _},
    path::{Component, Path, PathBuf},
};

use jiff::Timestamp;

use super::{
    authority::{Authority, AuthorityError},
    store::{self, Store},
};

/// Most bytes of one file: a ledger of some millions of certificates.
const MAX_FILE_BYTES: u64 = 2 << 30;

impl Authority {
    /// Everything that the authority is, as a tar archive. Keys are in it as they are on disk: encrypted.
    ///
    /// # Errors
    ///
    /// A file cannot be read.
    pub fn backup(&mut self, now: Timestamp) -> Result<Vec<u8>, AuthorityError> {
        let (store, _) = self.parts();
        // So that the ledger knows every certificate that is copied, and the reverse.
        let _lock = store.lock()?;
        let mut archive = tar::Builder::new(Vec::new());
        for path in files(store.directory()) {
            let bytes = fs::read(&path).map_err(store::at("read", &path))?;
            let name = path.strip_prefix(store.directory()).unwrap_or(&path);
            let mut header = tar::Header::new_gnu();
            header.set_size(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
            header.set_mode(mode(name));
            header.set_mtime(u64::try_from(now.as_second()).unwrap_or_default());
            let added = archive.append_data(&mut header, name, bytes.as_slice());
            added.map_err(store::at("archive", &path))?;
        }
        Ok(archive.into_inner().map_err(store::at("archive", store.directory()))?)
    }

    /// Puts an archive of [`Self::backup`] into `directory`, where no authority is, and opens it. The certificate comes
    /// last: killed half-way there is no authority, and doing it again completes it.
    ///
    /// # Errors
    ///
    /// An authority is there, or files that differ from those of the archive; or the archive is none of ours.
    pub fn restore(directory: &Path, archive: &[u8]) -> Result<Self, AuthorityError> {
        let store = Store::at(directory);
        if store.certificate().exists() {
            return Err(AuthorityError::Exists(directory.to_owned()));
        }
        let files = unpack(archive).map_err(|why| AuthorityError::Archive(why.to_string()))?;
        let Some((_, ledger)) = files.iter().find(|(name, _)| name == Path::new("ledger")) else {
            return Err(AuthorityError::Archive("it has no ledger".to_owned()));
        };
        if fs::read(store.ledger()).is_ok_and(|found| found != *ledger) {
            return Err(AuthorityError::Remains(directory.to_owned()));
        }
        store.create()?;
        let lock = store.lock()?;
        for folder in ["certs", "keys", "retired"] {
            if folder == "certs" || files.iter().any(|(name, _)| name.starts_with(folder)) {
                store::create_private(&directory.join(folder))?;
            }
        }
        let is_last = |name: &Path| name == Path::new("ca.crt");
        let (last, first): (Vec<_>, Vec<_>) = files.iter().partition(|(name, _)| is_last(name));
        if last.is_empty() {
            return Err(AuthorityError::Archive("it has no ca.crt".to_owned()));
        }
        for (name, bytes) in first.into_iter().chain(last) {
            store::replace(&directory.join(name), bytes, mode(name))?;
        }
        drop(lock);
        Self::open(directory)
    }
}

/// Everything that belongs to an authority, in a stable order.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = Vec::new();
    for folder in ["", "certs", "keys", "retired"] {
        let entries = fs::read_dir(directory.join(folder)).into_iter().flatten().flatten();
        paths.extend(entries.map(|entry| entry.path()));
    }
    let ours = |path: &PathBuf| path.strip_prefix(directory).is_ok_and(is_ours) && path.is_file();
    paths.retain(ours);
    paths.sort();
    paths
}

/// Whether a path inside the directory is one that an authority has.
fn is_ours(path: &Path) -> bool {
    let parts: Option<Vec<&str>> = path
        .components()
        .map(|part| match part {
            Component::Normal(name) => name.to_str(),
            _ => None,
        })
        .collect();
    let hex = |name: &str, end: &str| {
        name.strip_suffix(end)
            .is_some_and(|serial| !serial.is_empty() && serial.bytes().all(|byte| byte.is_ascii_hexdigit()))
    };
    match parts.as_deref() {
        Some([name]) => ["ca.crt", "ca.key", "root.crt", "root.key", "ledger"].contains(name),
        Some(["certs" | "retired", name]) => hex(name, ".crt"),
        Some(["keys", name]) => hex(name, ".key"),
        _ => false,
    }
}

fn mode(name: &Path) -> u32 {
    if name.extension().is_some_and(|end| end == "crt") { store::PUBLIC } else { store::PRIVATE }
}

fn unpack(archive: &[u8]) -> io::Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut files = Vec::new();
    let mut archive = tar::Archive::new(archive);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let name = entry.path()?.into_owned();
        let plain = entry.header().entry_type().is_file() && entry.size() <= MAX_FILE_BYTES;
        if !plain || !is_ours(&name) {
            let what = format!("it has `{}`, which is no part of an authority", name.display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes)?;
        files.push((name, bytes));
    }
    Ok(files)
}
