//! What a device gets: a folder with its credentials, the authority's certificate and the line to try them with.
//!
//! ```text
//! thunder10/          0700
//!   ca.crt            0644  what to trust
//!   thunder10.crt     0644  the chain, if it has a certificate
//!   thunder10.key     0600  its key, encrypted if there is a passphrase; absent if it was made on the device
//!   thunder10.password 0600 its password, if one was made with the folder
//!   connect.txt       0644  the mosquitto_pub line
//! ```
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

use thiserror::Error;

pub use super::folder::{FolderError, OnExisting, exchange, kept};
use super::{
    folder::{self, NewFile, NewFolder},
    issue::Certified,
    key::{KeyError, PrivateKey},
};
use crate::{diag::shell_word, ident::DeviceName, secret::Secret};

const CONNECT: &str = "connect.txt";
const CA: &str = "ca.crt";
/// Files that are called so stand beside a device's own: `ca.crt` in all folders, `truststore.p12` in those for Java.
const TAKEN: [&str; 2] = ["ca", "truststore"];

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
    /// What it shows, if that is a certificate: this one, with its key plain, encrypted or absent.
    pub certificate: Option<(&'a Certified, KeyFile<'a>)>,
    /// What it gives, if a password was made for it.
    pub password: Option<&'a Secret>,
    /// The authority's certificate.
    pub ca_pem: &'a str,
    /// For the line to paste.
    pub connect: Try<'a>,
}

/// The name of the folder for a device, and of its files without their ends. The first character is spelled out where
/// it would hide the folder, mean another one or an option, where the files of others are called so, and where it looks
/// as if it were spelled out already: no two devices have the same.
#[must_use]
pub fn folder_name(name: &DeviceName) -> String {
    let text = name.as_str();
    let is_spelled_out = |rest: &str| rest.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2;
    let mut chars = text.chars();
    match chars.next() {
        Some('%') if !is_spelled_out(chars.as_str()) => text.to_owned(),
        Some(first @ ('.' | '-' | '%')) => format!("%{:02X}{}", u32::from(first), chars.as_str()),
        // A memory stick does not tell capital letters from small ones.
        Some(first) if TAKEN.iter().any(|taken| text.eq_ignore_ascii_case(taken)) => {
            format!("%{:02X}{}", u32::from(first), chars.as_str())
        }
        _ => text.to_owned(),
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
    Ok(folder::write(parent, bundle.folder()?, on_existing)?)
}

/// The same for many, which takes the disk about as long as a few.
///
/// # Errors
///
/// As [`write()`]; some of the folders may be there then.
pub fn write_all(parent: &Path, bundles: &[Bundle<'_>], on_existing: OnExisting) -> Result<(), BundleError> {
    let folders = bundles.iter().map(Bundle::folder).collect::<Result<Vec<_>, _>>()?;
    Ok(folder::write_all(parent, &folders, on_existing)?)
}

impl Bundle<'_> {
    fn folder(&self) -> Result<NewFolder, KeyError> {
        let folder = folder_name(self.name);
        let ours = file_names(&folder);
        let [ca, certificate, key_name, password, connect] = &ours;
        let mut files = vec![NewFile::public(ca, self.ca_pem.to_owned())];
        if let Some((certified, key)) = self.certificate {
            files.push(NewFile::public(certificate, certified.chain_pem().to_owned()));
            let key = match key {
                KeyFile::Plain(key) => Some(key.to_plain_pem()?),
                KeyFile::Encrypted(key, passphrase, iterations) => {
                    Some(key.to_encrypted_pem(passphrase, iterations)?)
                }
                KeyFile::OnDevice => None,
            };
            files.extend(key.map(|key| NewFile::private(key_name, key)));
        }
        if let Some(text) = self.password {
            files.push(NewFile::private(password, Secret::new([text.expose(), b"\n"].concat())));
        }
        files.push(NewFile::public(connect, self.connect_text(&folder)));
        Ok(NewFolder { name: folder, files, ours: ours.into() })
    }

    /// `connect.txt`.
    fn connect_text(&self, folder: &str) -> String {
        let until = |(certified, _): (&Certified, _)| {
            format!(
                ", certificate valid until {}, serial {}",
                certified.period.not_after, certified.entry.serial
            )
        };
        let asked = match self.certificate {
            Some((_, KeyFile::Plain(_))) => {
                "The key is not encrypted: whoever has this folder is the device.".to_owned()
            }
            Some((_, KeyFile::Encrypted(..))) => "It asks for the passphrase of the key.".to_owned(),
            Some((_, KeyFile::OnDevice)) => format!(
                "The key is where it was made; call it {folder}.key, and put it beside these files there."
            ),
            None => "Whoever has the password is the device.".to_owned(),
        };
        let shows = (self.certificate.is_some(), self.password.is_some());
        format!(
            "Device {}{}.\nType this inside this folder. {asked}\n\n{}\n",
            self.name,
            self.certificate.map(until).unwrap_or_default(),
            connect_line(self.connect, (self.name, shows)),
        )
    }
}

/// What a bundle's files are called.
fn file_names(folder: &str) -> [String; 5] {
    [
        CA.to_owned(),
        format!("{folder}.crt"),
        format!("{folder}.key"),
        format!("{folder}.password"),
        CONNECT.to_owned(),
    ]
}

/// The `mosquitto_pub` line for the files of a device's folder, to be typed inside it; the device shows a certificate,
/// gives a password, or both.
#[must_use]
pub fn connect_line(
    connect: Try<'_>,
    (name, (certificate, password)): (&DeviceName, (bool, bool)),
) -> String {
    let [_, crt, key, secret, _] = file_names(&folder_name(name)).map(|file| shell_word(&file));
    let mut line = format!("mosquitto_pub -h {} -p {} --cafile {CA}", shell_word(connect.host), connect.port);
    if certificate {
        line.push_str(&format!(" --cert {crt} --key {key}"));
    }
    if password {
        line.push_str(&format!(" -u {} -P \"$(cat {secret})\"", shell_word(name.as_str())));
    }
    line.push_str(&format!(" -t {} -m hello", shell_word(connect.topic)));
    line
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_cannot_lead_out_of_its_place_or_become_an_option() {
        let folder = |name| folder_name(&DeviceName::new(name).unwrap());
        assert_eq!(folder(".."), "%2E.");
        assert_eq!(folder("."), "%2E");
        assert_eq!(folder("-rf"), "%2Drf");
        assert_eq!(folder("living room"), "living room");
        assert_eq!(folder("100%"), "100%");
        assert_eq!(folder("%"), "%");
    }

    fn name() -> impl Strategy<Value = DeviceName> {
        let hard = r"(?i)(ca|truststore|connect|%|%2|[.%-]?[.%-](2[e5d])?(25)?(ca|63a)?)";
        prop_oneof!["[.%a2e-]{1,4}", hard, r"\PC{1,40}"]
            .prop_filter_map("no name", |text| DeviceName::new(&text).ok())
    }

    proptest! {
        #[test]
        fn the_files_of_a_folder_and_the_folders_of_devices_have_names_of_their_own(one in name(), other in name()) {
            let small = |text: &String| text.to_ascii_lowercase();
            let mut files = file_names(&folder_name(&one)).map(|file| small(&file)).to_vec();
            for beside in ["truststore.crt", "truststore.key"] {
                prop_assert!(!files.contains(&beside.to_owned()));
            }
            files.sort();
            files.dedup();
            prop_assert_eq!(files.len(), 5);
            // Names that differ in capital letters only are the same name.
            if !one.as_str().eq_ignore_ascii_case(other.as_str()) {
                prop_assert_ne!(small(&folder_name(&one)), small(&folder_name(&other)));
            }
        }
    }

    #[test]
    fn the_line_is_one_command_whatever_the_name_is() {
        let connect = Try { host: "gw.local", port: 8883, topic: "sensors/it's/#" };
        assert_eq!(
            connect_line(connect, (&DeviceName::new("a b").unwrap(), (true, false))),
            r"mosquitto_pub -h gw.local -p 8883 --cafile ca.crt --cert 'a b.crt' --key 'a b.key' -t 'sensors/it'\''s/#' -m hello"
        );
        assert_eq!(
            connect_line(connect, (&DeviceName::new("a b").unwrap(), (false, true))),
            r#"mosquitto_pub -h gw.local -p 8883 --cafile ca.crt -u 'a b' -P "$(cat 'a b.password')" -t 'sensors/it'\''s/#' -m hello"#
        );
    }
}
