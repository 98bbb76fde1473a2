//! What a device gets: a folder with its certificate, its key, the authority's certificate and the line to try it with.
//!
//! ```text
//! thunder10/          0700
//!   ca.crt            0644  what to trust
//!   thunder10.crt     0644  the chain
//!   thunder10.key     0600  encrypted if there is a passphrase; absent if it was made on the device
//!   connect.txt       0644  the mosquitto_pub line
//! ```
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

use thiserror::Error;

pub use super::folder::{FolderError, OnExisting, exchange};
use super::{
    folder::{self, NewFile},
    issue::Certified,
    key::{KeyError, PrivateKey},
};
use crate::{diag::shell_word, ident::DeviceName, secret::Secret};

const CONNECT: &str = "connect.txt";
const CA: &str = "ca.crt";

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

/// Why there is no bundle.
#[derive(Debug, Error)]
pub enum BundleError {
    /// No folder.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The key could not be encoded.
    #[error(transparent)]
    Key(#[from] KeyError),
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
pub fn check(parent: &Path, name: &DeviceName, on_existing: OnExisting) -> Result<(), FolderError> {
    let folder = folder_name(name);
    folder::check(&parent.join(&folder), &file_names(&folder), on_existing)
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
    let key = match bundle.key {
        KeyFile::Plain(key) => Some(key.to_plain_pem()?),
        KeyFile::Encrypted(key, passphrase, iterations) => {
            Some(key.to_encrypted_pem(passphrase, iterations)?)
        }
        KeyFile::OnDevice => None,
    };
    let [ca, certificate, key_name, connect] = file_names(&folder);
    let mut files = vec![
        NewFile::public(&ca, bundle.ca_pem.to_owned()),
        NewFile::public(&certificate, bundle.certified.chain_pem().to_owned()),
    ];
    files.extend(key.map(|key| NewFile::private(&key_name, key)));
    files.push(NewFile::public(&connect, connect_text(bundle, &folder)));
    Ok(folder::write(parent, &folder, &files, (on_existing, &file_names(&folder)))?)
}

/// What a bundle's files are called.
fn file_names(folder: &str) -> [String; 4] {
    [CA.to_owned(), format!("{folder}.crt"), format!("{folder}.key"), CONNECT.to_owned()]
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
        shell_word(connect.host),
        connect.port,
        shell_word(&certificate),
        shell_word(&key),
        shell_word(connect.topic),
    )
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
