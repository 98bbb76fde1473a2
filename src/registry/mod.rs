//! The devices: who they are, what they prove it with, which roles they have.
//!
//! A [`Registry`] is filled with checked [`Device`]s by whatever knows where they are kept; [`read`] is the one
//! such place now, and reads `devices.toml`. Nothing behind it knows about files.
#![forbid(unsafe_code)]

mod credentials;
#[cfg(feature = "command")]
pub mod edit;
pub mod read;

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
    path::Path,
    str::FromStr,
    sync::Arc,
};

use thiserror::Error;

use crate::{
    clock::UnixSeconds,
    config::RoleId,
    diag::Place,
    ident::DeviceName,
    password::PasswordHash,
    policy::{Attributes, Index},
};

/// One entry of the registry. What it may do is compiled elsewhere; its own rules stand here until then.
#[derive(Debug)]
pub struct Device {
    pub(crate) name: DeviceName,
    pub(crate) kin: Arc<Kin>,
    pub(crate) line: u32,
    pub(crate) attributes: Attributes,
    pub(crate) state: State,
    pub(crate) auth: Auth,
    pub(crate) certificates: Option<Certificates>,
    pub(crate) revoked: Box<[Fingerprint]>,
    /// Apart, because many devices have none.
    pub(crate) password: Option<Box<Password>>,
}

/// What all devices of one file with the same roles have in common.
#[derive(Debug)]
pub(crate) struct Kin {
    pub(crate) roles: Box<[RoleId]>,
    pub(crate) file: Arc<Path>,
}

/// A hash and how its password came about.
#[derive(Clone, Debug)]
pub struct Password {
    /// What a password is verified against.
    pub hash: PasswordHash,
    /// Whether the password is 160 random bits of ours.
    pub generated: bool,
}

/// Whether a device may connect.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum State {
    /// Yes.
    #[default]
    Active,
    /// Not now.
    Disabled,
    /// Yes, but it has only what the role `quarantine` gives.
    Quarantined,
    /// Never again; the entry stays so that the name is not given to another.
    Retired,
}

impl State {
    /// The states as they are written.
    pub const WORDS: [(&'static str, Self); 4] = [
        ("active", Self::Active),
        ("disabled", Self::Disabled),
        ("quarantined", Self::Quarantined),
        ("retired", Self::Retired),
    ];
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(word(&Self::WORDS, self))
    }
}

/// What a device must show.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Auth {
    /// A certificate or a password, whichever it has.
    #[default]
    Any,
    /// A certificate.
    Certificate,
    /// A password.
    Password,
    /// A certificate and a password.
    Both,
}

impl Auth {
    /// The choices as they are written.
    pub const WORDS: [(&'static str, Self); 4] = [
        ("any", Self::Any),
        ("certificate", Self::Certificate),
        ("password", Self::Password),
        ("both", Self::Both),
    ];
}

impl fmt::Display for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(word(&Self::WORDS, self))
    }
}

fn word<T: PartialEq>(words: &[(&'static str, T)], wanted: &T) -> &'static str {
    words.iter().find(|(_, value)| value == wanted).map_or("", |(word, _)| word)
}

/// Which certificates a device may show.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Certificates {
    /// All that the listener's CA signed, that name it and are not revoked.
    Any,
    /// These.
    Listed(Box<[Certificate]>),
}

/// A certificate that a device may show.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Certificate {
    /// Of the whole certificate.
    pub sha256: Fingerprint,
    /// Serial number in lower-case hexadecimal digits without colons, for people.
    pub serial: Option<Box<str>>,
    /// Refused from the second after this one.
    pub not_after: Option<UnixSeconds>,
}

/// The SHA-256 of a certificate in DER. Written as 64 hexadecimal digits; colons between bytes and capitals, as
/// `openssl x509 -fingerprint` prints them, are read too.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Fingerprint(pub [u8; 32]);

/// A text is no fingerprint.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("a SHA-256 fingerprint has 64 hexadecimal digits")]
pub struct FingerprintError;

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 32];
        let digits = hex_digits(text).ok_or(FingerprintError)?;
        if digits.len() != 2 * bytes.len() {
            return Err(FingerprintError);
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| FingerprintError)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| FingerprintError)?;
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Hexadecimal digits in lower case; colons may stand between pairs of them. `None` for anything else.
pub(crate) fn hex_digits(text: &str) -> Option<String> {
    let pairs = text.split(':');
    if text.contains(':') && !pairs.clone().all(|pair| pair.len() == 2) {
        return None;
    }
    let digits: String = pairs.collect();
    let hex = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    hex.then(|| digits.to_ascii_lowercase())
}

impl Device {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &DeviceName {
        &self.name
    }

    /// The line its entry begins at.
    #[must_use]
    pub fn place(&self) -> Place {
        Place { file: Arc::clone(&self.kin.file), line: self.line }
    }

    /// Its roles as written, without what they include.
    #[must_use]
    pub fn roles(&self) -> &[RoleId] {
        &self.kin.roles
    }

    /// What fills `{attr.NAME}`.
    #[must_use]
    pub fn attributes(&self) -> &Attributes {
        &self.attributes
    }

    /// Whether it may connect.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// What it must show.
    #[must_use]
    pub fn auth(&self) -> Auth {
        self.auth
    }

    /// The certificates it may show, revoked ones not yet taken out; none if nothing is written and the
    /// settings have no other default.
    #[must_use]
    pub fn certificates(&self) -> &Certificates {
        static NONE: std::sync::LazyLock<Certificates> =
            std::sync::LazyLock::new(|| Certificates::Listed(Box::new([])));
        self.certificates.as_ref().unwrap_or_else(|| &NONE)
    }

    /// Certificates refused for ever.
    #[must_use]
    pub fn revoked(&self) -> &[Fingerprint] {
        &self.revoked
    }

    /// The hash of its password, wherever it is written.
    #[must_use]
    pub fn password(&self) -> Option<&PasswordHash> {
        self.password.as_ref().map(|password| &password.hash)
    }

    /// Whether its password was made by us; such passwords need no slow hash.
    #[must_use]
    pub fn has_generated_password(&self) -> bool {
        self.password.as_ref().is_some_and(|password| password.generated)
    }
}

/// Devices whose names differ in more than ASCII case.
#[derive(Debug, Default)]
pub struct Registry {
    /// Each with the rules of its own, compiled. In the order in which they came: whoever goes through all of them meets
    /// what was made together.
    devices: Vec<(Device, Option<Index>)>,
    /// Places in `devices`, by names in lower case.
    places: HashMap<Box<str>, usize, foldhash::fast::RandomState>,
}

impl Registry {
    /// Adds a device, unless one of its name is there already, small and capital letters being alike.
    ///
    /// # Errors
    ///
    /// The place of the one that is there.
    pub fn insert(&mut self, device: Device, own: Option<Index>) -> Result<(), Place> {
        match self.places.entry(folded(device.name.as_str())) {
            Entry::Occupied(taken) => match self.devices.get(*taken.get()) {
                Some((first, _)) => Err(first.place()),
                None => Ok(()),
            },
            Entry::Vacant(free) => {
                free.insert(self.devices.len());
                self.devices.push((device, own));
                Ok(())
            }
        }
    }

    /// The device of exactly this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Device> {
        self.find(name).map(|(device, _)| device)
    }

    /// The rules of its own, if it has any.
    #[must_use]
    pub fn rules_of(&self, name: &str) -> Option<&Index> {
        self.find(name)?.1.as_ref()
    }

    fn find(&self, name: &str) -> Option<&(Device, Option<Index>)> {
        self.devices.get(*self.places.get(&folded(name))?).filter(|(device, _)| device.name.as_str() == name)
    }

    /// The device of exactly this name, to be completed while loading.
    pub(crate) fn get_mut(&mut self, name: &str) -> Option<&mut Device> {
        let place = *self.places.get(&folded(name))?;
        let (device, _) = self.devices.get_mut(place)?;
        (device.name.as_str() == name).then_some(device)
    }

    /// All devices, in the order in which they came.
    pub fn iter(&self) -> impl Iterator<Item = &Device> {
        self.devices.iter().map(|(device, _)| device)
    }

    /// The same, to be completed while loading.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Device> {
        self.devices.iter_mut().map(|(device, _)| device)
    }

    /// How many devices there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.devices.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.devices.is_empty()
    }

    /// Takes the devices out, each with the rules of its own.
    pub(crate) fn into_devices(self) -> impl ExactSizeIterator<Item = (Device, Option<Index>)> {
        self.devices.into_iter()
    }
}

fn folded(name: &str) -> Box<str> {
    name.to_ascii_lowercase().into()
}

#[cfg(test)]
mod tests;
