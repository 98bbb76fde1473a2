//! What a device gets: a folder with its certificate, its key, the authority's certificate and the line to try it with.
//!
//! ```text
//! thunder10/          0700
//!   ca.crt            0644  what to trust
//!   thunder10.crt     0644  the chain
//!   thunder10.key     0600  encrypted if there is a passphrase; absent if it was made on the device
//!   connect.txt       0644  the mosquitto_pub line
//! ```
//!
//! It is made beside its place and moved there whole.
#![forbid(unsafe_code)]

use std::{
    fs::{self, DirBuilder, File, TryLockError},
    io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use thiserror::Error;

use super::{
    issue::Certified,
    key::{KeyError, PrivateKey},
    sign::hex,
    store::{self, FileError, PRIVATE, PUBLIC, at},
};
use crate::{ident::DeviceName, secret::Secret};

const CONNECT: &str = "connect.txt";
const CA: &str = "ca.crt";

/// What to do when the folder is there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OnExisting {
    /// Leave it.
    Refuse,
    /// Replace it, if it holds nothing but a bundle.
    Replace,
}

/// Where the broker is, as the device shall call it, and what to try.
#[derive(Clone, Copy, Debug)]
pub struct Try<'a> {
    /// A name or address of the broker's certificate.
    pub host: &'a str,
    /// 8883 as a rule.
    pub port: u16,
    /// A topic to which the device may publish.
    pub topic: &'a str,
}

/// How the key is written.
#[derive(Clone, Copy)]
pub enum KeyFile<'a> {
    /// For devices that cannot be asked.
    Plain(&'a PrivateKey),
    /// PBKDF2 turns this often, which is [`super::PBKDF2_ITERATIONS`] but in tests.
    Encrypted(&'a PrivateKey, &'a Secret, u32),
    /// Not at all: it was made on the device, and stays there.
    OnDevice,
}

/// Everything that goes into the folder.
pub struct Bundle<'a> {
    /// The device; the folder and files are called after it.
    pub name: &'a DeviceName,
    /// Its certificate.
    pub certified: &'a Certified,
    /// The authority's certificate.
    pub ca_pem: &'a str,
    /// Plain, encrypted or absent.
    pub key: KeyFile<'a>,
    /// For the line to paste.
    pub connect: Try<'a>,
}

/// Why there is no folder.
#[derive(Debug, Error)]
pub enum BundleError {
    /// Not replaced unasked.
    #[error("{} exists already", .0.display())]
    Exists(PathBuf),
    /// Not replaced even when asked.
    #[error("{} has files that are not of a bundle, so it is not replaced", .0.display())]
    Foreign(PathBuf),
    /// The file system refused.
    #[error(transparent)]
    File(#[from] FileError),
    /// The key could not be encoded.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// The name of the folder for a device; what is hidden or means a folder itself gets its dot spelled out.
#[must_use]
pub fn folder_name(name: &DeviceName) -> String {
    match name.as_str().strip_prefix(['.', '-']) {
        Some(rest) if name.as_str().starts_with('.') => format!("%2E{rest}"),
        Some(rest) => format!("%2D{rest}"),
        None => name.as_str().to_owned(),
    }
}

/// Fails as [`write()`] would because of what is there, without writing; to be asked before issuing.
///
/// # Errors
///
/// The folder exists, or is to be replaced but holds foreign files.
pub fn check(parent: &Path, name: &DeviceName, on_existing: OnExisting) -> Result<(), BundleError> {
    let target = parent.join(folder_name(name));
    match fs::symlink_metadata(&target) {
        Err(_) => Ok(()),
        Ok(_) if on_existing == OnExisting::Refuse => Err(BundleError::Exists(target)),
        Ok(found) if found.is_dir() && is_bundle(&target, &folder_name(name)) => Ok(()),
        Ok(_) => Err(BundleError::Foreign(target)),
    }
}

/// Writes the folder into `parent` and returns its path. Killed at any instant, it is there whole or not at all.
///
/// Whoever owns `parent` can move things in it at any instant: root must not write there with its own rights.
///
/// # Errors
///
/// As [`check`], or the file system refuses.
pub fn write(parent: &Path, bundle: &Bundle<'_>, on_existing: OnExisting) -> Result<PathBuf, BundleError> {
    check(parent, bundle.name, on_existing)?;
    let folder = folder_name(bundle.name);
    let target = parent.join(&folder);
    sweep(parent, &folder);
    let draft = Draft::create(parent, &folder)?;
    let key = match bundle.key {
        KeyFile::Plain(key) => Some(key.to_plain_pem()?),
        KeyFile::Encrypted(key, passphrase, iterations) => {
            Some(key.to_encrypted_pem(passphrase, iterations)?)
        }
        KeyFile::OnDevice => None,
    };
    let write = |name: &str, bytes: &[u8], mode| store::create(&draft.path.join(name), bytes, mode);
    write(CA, bundle.ca_pem.as_bytes(), PUBLIC)?;
    write(&format!("{folder}.crt"), bundle.certified.chain_pem().as_bytes(), PUBLIC)?;
    if let Some(key) = key {
        write(&format!("{folder}.key"), key.expose(), PRIVATE)?;
    }
    write(CONNECT, connect_text(bundle, &folder).as_bytes(), PUBLIC)?;
    store::sync(&draft.path).map_err(at("write", &draft.path))?;
    let kept = match on_existing {
        OnExisting::Replace if target.exists() => exchange(&draft.path, &target),
        OnExisting::Refuse | OnExisting::Replace => {
            renameat2(AT_FDCWD, &draft.path, AT_FDCWD, &target, RenameFlags::RENAME_NOREPLACE)
                .map_err(io::Error::from)
                // File systems that cannot say so: a rename takes the place of an empty folder at most.
                .or_else(|error| match error.raw_os_error() {
                    Some(libc::EINVAL) => fs::rename(&draft.path, &target),
                    _ => Err(error),
                })
        }
    };
    match kept {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(BundleError::Exists(target));
        }
        other => other.map_err(at("write", &target))?,
    }
    store::sync(parent).map_err(at("write", parent))?;
    Ok(target)
}

/// Puts the draft in the place of the old folder; the old one ends up where the draft was.
///
/// # Errors
///
/// The file system refuses; then the old folder is in its place.
pub fn exchange(draft: &Path, target: &Path) -> io::Result<()> {
    match renameat2(AT_FDCWD, draft, AT_FDCWD, target, RenameFlags::RENAME_EXCHANGE) {
        // File systems that cannot: for an instant there is no folder, never half of one.
        Err(nix::errno::Errno::EINVAL) => {
            let old = draft.with_extension("old");
            fs::rename(target, &old)?;
            fs::rename(draft, target)?;
            fs::rename(&old, draft)
        }
        other => Ok(other?),
    }
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

fn draft_prefix(folder: &str) -> String {
    format!(".citronella-{folder}-")
}

/// Removes drafts of this bundle whose writer was killed: the system unlocked them. They hold keys.
fn sweep(parent: &Path, folder: &str) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    let prefix = draft_prefix(folder);
    for entry in entries.flatten() {
        let name = entry.file_name();
        let ours = name.to_str().and_then(|name| name.strip_prefix(&prefix)).is_some_and(is_draft_suffix);
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

/// Whether nothing but a bundle's files is in it.
fn is_bundle(path: &Path, folder: &str) -> bool {
    let ours = [CA.to_owned(), CONNECT.to_owned(), format!("{folder}.crt"), format!("{folder}.key")];
    fs::read_dir(path).is_ok_and(|mut entries| {
        entries
            .all(|entry| entry.is_ok_and(|entry| ours.iter().any(|name| entry.file_name() == name.as_str())))
    })
}

/// `connect.txt`.
fn connect_text(bundle: &Bundle<'_>, folder: &str) -> String {
    let asked = match bundle.key {
        KeyFile::Plain(_) => "The key is not encrypted: whoever has this folder is the device.".to_owned(),
        KeyFile::Encrypted(..) => "It asks for the passphrase of the key.".to_owned(),
        KeyFile::OnDevice => format!(
            "The key is where it was made; call it {folder}.key, and put it beside these files there."
        ),
    };
    format!(
        "Device {}, certificate valid until {}, serial {}.\n\
         Type this inside this folder. {asked}\n\n\
         {}\n",
        bundle.name,
        bundle.certified.period.not_after,
        bundle.certified.entry.serial,
        connect_line(bundle.connect, folder),
    )
}

/// The `mosquitto_pub` line for the files of a folder with that name, to be typed inside it.
#[must_use]
pub fn connect_line(connect: Try<'_>, folder: &str) -> String {
    let (certificate, key) = (format!("{folder}.crt"), format!("{folder}.key"));
    format!(
        "mosquitto_pub -h {} -p {} --cafile {CA} --cert {} --key {} -t {} -m hello",
        quoted(connect.host),
        connect.port,
        quoted(&certificate),
        quoted(&key),
        quoted(connect.topic),
    )
}

/// As one word of a shell, for a line to paste.
#[must_use]
pub fn quoted(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._/:@%+,=".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_lead_out_of_its_place_or_become_an_option() {
        let folder = |name| folder_name(&DeviceName::new(name).unwrap());
        assert_eq!(folder(".."), "%2E.");
        assert_eq!(folder("."), "%2E");
        assert_eq!(folder("-rf"), "%2Drf");
        assert_eq!(folder("living room"), "living room");
    }

    #[test]
    fn the_line_is_one_command_whatever_the_name_is() {
        let connect = Try { host: "gw.local", port: 8883, topic: "sensors/it's/#" };
        assert_eq!(
            connect_line(connect, "a b"),
            r"mosquitto_pub -h gw.local -p 8883 --cafile ca.crt --cert 'a b.crt' --key 'a b.key' -t 'sensors/it'\''s/#' -m hello"
        );
    }
}
