//! A device's credentials in the form that its program takes, each with lines that work as they stand.
//!
//! ```text
//! certificate, key, authority ──▶ files(Target) ──▶ thunder10-java/   0700
//!                                                      thunder10.p12   0600
//!                                                      …
//!                                                      README.txt      what to do with them
//! ```
#![forbid(unsafe_code)]

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use der::{
    Decode as _, Encode as _,
    pem::{self, LineEnding},
};
use serde::Serialize;
use thiserror::Error;

use super::{
    PBKDF2_ITERATIONS,
    bundle::{Try, folder_name},
    folder::{self, FolderError, NewFile, NewFolder, OnExisting},
    key::{KeyError, PrivateKey},
};
use crate::{ident::DeviceName, secret::Secret};
use words::Words;

mod archive;
mod firmware;
mod jks;
mod literal;
mod p12;
mod words;

pub use archive::{Packing, archive};

/// Java's key tool takes no shorter password.
const MIN_STORE_PASSWORD: usize = 6;

/// Who is to use the credentials.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// mosquitto_pub, mosquitto_sub, a bridge.
    Mosquitto,
    /// Paho and everything else on the Java virtual machine.
    Java,
    /// Paho in Python.
    Python,
    /// MQTT.js.
    Node,
    /// The system's store of an Android phone.
    Android,
    /// Arduino on an ESP32 or ESP8266.
    Esp32,
    /// Tasmota's console.
    Tasmota,
    /// openssl, curl and what takes PKCS#12.
    Openssl,
}

impl Target {
    /// All of them, by the words that people type.
    pub const WORDS: [(&str, Self); 8] = [
        ("mosquitto", Self::Mosquitto),
        ("java", Self::Java),
        ("python", Self::Python),
        ("node", Self::Node),
        ("android", Self::Android),
        ("esp32", Self::Esp32),
        ("tasmota", Self::Tasmota),
        ("openssl", Self::Openssl),
    ];

    /// Whether it cannot be asked for a passphrase, so that its key has to be plain.
    #[must_use]
    pub const fn is_mute(self) -> bool {
        matches!(self, Self::Esp32 | Self::Tasmota)
    }

    /// Whether its key is in a store that has a password in any case.
    #[must_use]
    pub const fn has_store(self) -> bool {
        matches!(self, Self::Java | Self::Android)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = Self::WORDS.iter().find(|(_, target)| target == self).map_or("", |(word, _)| word);
        f.write_str(word)
    }
}

impl FromStr for Target {
    type Err = KitError;

    fn from_str(text: &str) -> Result<Self, KitError> {
        let found = Self::WORDS.iter().find(|(word, _)| *word == text);
        found.map(|(_, target)| *target).ok_or_else(|| KitError::UnknownTarget(text.to_owned()))
    }
}

/// Kinds of stores for Java.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Store {
    /// PKCS#12 with PBES2, AES-256 and SHA-256.
    #[default]
    Modern,
    /// PKCS#12 with 3DES and SHA-1, for Android 9 and older and for macOS.
    Compatible,
    /// Java's own, for programs that know nothing else. Its protection is weak.
    Jks,
}

/// Who is to use it, and which kind of store.
pub type Form = (Target, Store);

/// Why there are no files.
#[derive(Debug, Error)]
pub enum KitError {
    /// See [`Target`].
    #[error(
        "there is nothing for `{0}`; there is mosquitto, java, python, node, android, esp32, tasmota and openssl"
    )]
    UnknownTarget(String),
    /// A store has a password.
    #[error("a key store needs a passphrase of at least {MIN_STORE_PASSWORD} characters")]
    ShortPassphrase,
    /// Stores hold passwords as text.
    #[error("the passphrase of a key store has to be text in UTF-8")]
    PassphraseIsNoText,
    /// Not a chain of certificates in PEM.
    #[error("this is not a certificate")]
    NotACertificate,
    /// The key's certificate is another one.
    #[error("the key does not belong to the certificate")]
    Mismatch,
    /// Tasmota takes the number of a P-256 key.
    #[error("Tasmota takes P-256 keys only; issue a certificate with one: --new --key p256")]
    NotP256,
    /// Tasmota would read it as something else, a further command perhaps.
    #[error(
        "`{0}` cannot be typed into Tasmota's console as it stands: `;` ends a command there, and `%`, `\"`, 0 and 1 mean \
         something of their own; take another name"
    )]
    NotForConsole(String),
    /// Key trouble.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The encoder refused.
    #[error("the key store cannot be made: {0}")]
    Store(String),
    /// The archive could not be put together.
    #[error("the archive cannot be made: {0}")]
    Archive(String),
    /// No folder.
    #[error(transparent)]
    Folder(#[from] FolderError),
}

/// What a kit is made from.
pub struct Material<'a> {
    /// The device.
    pub name: &'a DeviceName,
    /// Its certificate and what leads to the authority, as PEM.
    pub chain_pem: &'a str,
    /// The authority's certificate, as PEM.
    pub ca_pem: &'a str,
    /// Its key.
    pub key: &'a PrivateKey,
    /// What the key is to be encrypted with; plain without.
    pub passphrase: Option<&'a Secret>,
    /// Where the broker is.
    pub connect: Try<'a>,
}

/// Writes the folder `NAME-TARGET` into `parent`, whole or not at all, and returns its path.
///
/// # Errors
///
/// The material does not fit together or to the target, or the folder cannot be written.
pub fn write(
    parent: &Path,
    material: &Material<'_>,
    (target, store): Form,
    on_existing: OnExisting,
) -> Result<PathBuf, KitError> {
    let files = files(material, target, store)?;
    let ours: Vec<String> = files.iter().map(|file| file.name().to_owned()).collect();
    let name = folder(material.name, target);
    Ok(folder::write(parent, NewFolder { name, files, ours }, on_existing)?)
}

/// Fails as [`write()`] would because of the name, without writing; to be asked before issuing.
///
/// # Errors
///
/// The target cannot be told that name.
pub fn check(name: &DeviceName, target: Target) -> Result<(), KitError> {
    match target {
        Target::Tasmota => firmware::console_word(name.as_str()).map(drop),
        _ => Ok(()),
    }
}

/// `NAME-TARGET`, in what the target takes for the name of a folder.
fn folder(name: &DeviceName, target: Target) -> String {
    let stem = folder_name(name);
    match target {
        Target::Esp32 => firmware::sketch_name(&stem, &format!("-{target}")),
        // Node takes no module from below a folder with a backslash in its name.
        Target::Node => format!("{}-{target}", stem.replace('\\', "%5C")),
        _ => format!("{stem}-{target}"),
    }
}

fn files(material: &Material<'_>, target: Target, store: Store) -> Result<Vec<NewFile>, KitError> {
    let chain = certificates(material.chain_pem)?;
    let leaf = chain.first().ok_or(KitError::NotACertificate)?;
    let parsed = x509_cert::Certificate::from_der(leaf).map_err(|_| KitError::NotACertificate)?;
    let public = parsed.tbs_certificate().subject_public_key_info().to_der();
    if !public.is_ok_and(|public| material.key.matches(&public)) {
        return Err(KitError::Mismatch);
    }
    let words = Words::new(material, target);
    let readme = |text: &str| NewFile::public("README.txt", words.fill(text));
    let stem = words.stem();
    Ok(match target {
        Target::Mosquitto => {
            let mut files = pem_files(material, stem)?;
            files.push(readme(include_str!("kit/mosquitto.txt")));
            files
        }
        Target::Python => {
            let mut files = pem_files(material, stem)?;
            files.push(NewFile::public("publish.py", words.fill(include_str!("kit/publish.py"))));
            files.push(readme(include_str!("kit/python.txt")));
            files
        }
        Target::Node => {
            let mut files = pem_files(material, stem)?;
            files.push(NewFile::public("publish.mjs", words.fill(include_str!("kit/publish.mjs"))));
            files.push(readme(include_str!("kit/node.txt")));
            files
        }
        Target::Openssl => {
            let mut files = pem_files(material, stem)?;
            if let Some(passphrase) = material.passphrase {
                let password = store_password(Some(passphrase))?;
                let text = p12::key_store(material, &chain, password, store)?;
                files.push(NewFile::private(&format!("{stem}.p12"), text));
            }
            files.push(readme(include_str!("kit/openssl.txt")));
            files
        }
        Target::Java => {
            let password = store_password(material.passphrase)?;
            let end = if store == Store::Jks { "jks" } else { "p12" };
            let (own, trusted) = if store == Store::Jks {
                (jks::key_store(material, &chain, password)?, jks::trust_store(material, password)?)
            } else {
                (
                    p12::key_store(material, &chain, password, store)?,
                    p12::trust_store(material, password, store)?,
                )
            };
            let words = words.with_store(end, if end == "jks" { "JKS" } else { "PKCS12" });
            let stem = words.stem();
            vec![
                NewFile::private(&format!("{stem}.{end}"), own),
                NewFile::private(&format!("truststore.{end}"), trusted),
                NewFile::public("Tls.java", words.fill(include_str!("kit/Tls.java"))),
                NewFile::public("README.txt", words.fill(include_str!("kit/java.txt"))),
            ]
        }
        Target::Android => {
            let password = store_password(material.passphrase)?;
            // Android 9 and older read nothing else, and newer ones read this too.
            let text = p12::key_store(material, &chain, password, Store::Compatible)?;
            vec![
                NewFile::public("ca.crt", material.ca_pem.to_owned()),
                NewFile::private(&format!("{stem}.p12"), text),
                readme(include_str!("kit/android.txt")),
            ]
        }
        Target::Esp32 => {
            // The IDE opens a sketch that is called as its folder.
            let sketch = format!("{}.ino", folder(material.name, target));
            vec![
                NewFile::private("citronella.h", firmware::header(material)?),
                NewFile::public(&sketch, words.fill(include_str!("kit/sketch.ino"))),
                readme(include_str!("kit/esp32.txt")),
            ]
        }
        Target::Tasmota => {
            firmware::console_word(material.name.as_str())?;
            firmware::console_word(material.connect.host)?;
            let words = Words::new(material, target)
                .with("KEY", &firmware::tasmota_key(material.key)?)
                .with("CERTIFICATE", &firmware::base64(leaf));
            vec![
                NewFile::private("console.txt", words.fill(include_str!("kit/console.txt"))),
                readme(include_str!("kit/tasmota.txt")),
            ]
        }
    })
}

/// Authority, chain and key as most programs take them.
fn pem_files(material: &Material<'_>, stem: &str) -> Result<Vec<NewFile>, KitError> {
    let key = match material.passphrase {
        Some(passphrase) => material.key.to_encrypted_pem(passphrase, PBKDF2_ITERATIONS)?,
        None => material.key.to_plain_pem()?,
    };
    Ok(vec![
        NewFile::public("ca.crt", material.ca_pem.to_owned()),
        NewFile::public(&format!("{stem}.crt"), material.chain_pem.to_owned()),
        NewFile::private(&format!("{stem}.key"), key),
    ])
}

/// As text of the length that Java's tools take.
fn store_password(passphrase: Option<&Secret>) -> Result<&str, KitError> {
    let bytes = passphrase.map(Secret::expose).unwrap_or_default();
    let text = std::str::from_utf8(bytes).map_err(|_| KitError::PassphraseIsNoText)?;
    if text.chars().count() < MIN_STORE_PASSWORD { Err(KitError::ShortPassphrase) } else { Ok(text) }
}

/// What the key is called in a store: Java compares small letters.
fn store_alias(name: &DeviceName) -> String {
    let alias: String = name.as_str().chars().filter(char::is_ascii).collect();
    if alias.is_empty() { "device".to_owned() } else { alias.to_ascii_lowercase() }
}

/// The DER of each certificate in a PEM text.
fn certificates(pem_text: &str) -> Result<Vec<Vec<u8>>, KitError> {
    const BEGIN: &str = "-----BEGIN ";
    const END: &str = "-----END CERTIFICATE-----";
    let mut found = Vec::new();
    let mut rest = pem_text;
    while let Some(start) = rest.find(BEGIN) {
        let text = rest.get(start..).unwrap_or_default();
        let end = text.find(END).map(|end| end + END.len()).ok_or(KitError::NotACertificate)?;
        let (block, after) = text.split_at_checked(end).ok_or(KitError::NotACertificate)?;
        match pem::decode_vec(block.as_bytes()) {
            Ok(("CERTIFICATE", der)) => found.push(der),
            _ => return Err(KitError::NotACertificate),
        }
        rest = after;
    }
    if found.is_empty() { Err(KitError::NotACertificate) } else { Ok(found) }
}

/// One certificate as PEM.
fn to_pem(der: &[u8]) -> Result<String, KitError> {
    pem::encode_string("CERTIFICATE", LineEnding::LF, der).map_err(|_| KitError::NotACertificate)
}

#[cfg(test)]
mod tests;
