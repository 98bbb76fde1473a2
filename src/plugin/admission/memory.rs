//! Passwords that were right before: a device that comes again, and each session after SIGHUP, costs a look-up.
//!
//! What is kept is no password and cannot be turned back into one without the key, which no other process has
//! and which is gone with this one: a keyed MAC over the device, its hash and the password.

use std::{hash::BuildHasher as _, sync::Mutex};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha512;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::{super::locked, recent::Recent};
use crate::password::PasswordHash;

/// Devices whose passwords are remembered; some 200 bytes each.
const MAX: usize = 100_000;

/// Bytes of a MAC; half of HMAC-SHA-512.
const MAC_BYTES: usize = 32;

/// Bytes of the key: a block of SHA-512, as RFC 2104 takes it without changing it.
const KEY_BYTES: usize = 128;

/// What the memory knows of a password.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Recall {
    /// It was verified against this very hash.
    Right,
    /// Another one was.
    Wrong,
    /// One was verified for this device, but against another hash: it was changed since.
    Changed,
    /// Nothing.
    Unknown,
}

/// The passwords that were verified, one for each device.
pub(super) struct Verified {
    /// With the key, and nothing else yet: keyed once, not for each MAC.
    keyed: Hmac<Sha512>,
    /// Tells whether a hash is the one of an entry; nothing secret depends on it.
    hashes: std::hash::RandomState,
    devices: Mutex<Recent<Box<str>, Entry>>,
}

struct Entry {
    hash: u64,
    mac: Zeroizing<[u8; MAC_BYTES]>,
}

impl Verified {
    /// Empty, with a key of its own.
    ///
    /// # Errors
    ///
    /// The system gives no random bytes.
    pub(super) fn new() -> Result<Self, getrandom::Error> {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        getrandom::fill(&mut *key)?;
        Ok(Self {
            keyed: Hmac::new((&*key).into()),
            hashes: std::hash::RandomState::new(),
            devices: Mutex::new(Recent::new(MAX)),
        })
    }

    /// Whether this password of the device was verified before, in about a microsecond whatever the hash costs.
    pub(super) fn recall(&self, device: &str, hash: &PasswordHash, password: &[u8]) -> Recall {
        let given = self.mac(device, hash, password);
        let devices = locked(&self.devices);
        match devices.get(device) {
            None => Recall::Unknown,
            Some(entry) if entry.hash != self.tag(hash) => Recall::Changed,
            Some(entry) if bool::from(entry.mac.ct_eq(given.as_slice())) => Recall::Right,
            Some(_) => Recall::Wrong,
        }
    }

    /// The password was found to be right. What was known of another hash of the device is gone.
    pub(super) fn remember(&self, device: &str, hash: &PasswordHash, password: &[u8]) {
        let entry = Entry { hash: self.tag(hash), mac: self.mac(device, hash, password) };
        locked(&self.devices).insert(device.into(), entry);
    }

    fn mac(&self, device: &str, hash: &PasswordHash, password: &[u8]) -> Zeroizing<[u8; MAC_BYTES]> {
        let mut kept = Zeroizing::new([0; MAC_BYTES]);
        let mut mac = self.keyed.clone();
        let [salt, digest] = hash.salt_and_digest();
        // Lengths first, so that no two of them make the same text.
        for part in [device.as_bytes(), salt, digest, password] {
            mac.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
            mac.update(part);
        }
        let full = Zeroizing::new(<[u8; 64]>::from(mac.finalize().into_bytes()));
        for (to, from) in kept.iter_mut().zip(full.iter()) {
            *to = *from;
        }
        kept
    }

    fn tag(&self, hash: &PasswordHash) -> u64 {
        self.hashes.hash_one(hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(password: &[u8]) -> PasswordHash {
        PasswordHash::new_argon2id(password).unwrap()
    }

    #[test]
    fn a_password_is_remembered_for_its_device_and_its_hash() {
        let verified = Verified::new().unwrap();
        let [hash, other] = [hash(b"right"), hash(b"right")];
        assert_eq!(verified.recall("d", &hash, b"right"), Recall::Unknown);
        verified.remember("d", &hash, b"right");
        assert_eq!(verified.recall("d", &hash, b"right"), Recall::Right);
        assert_eq!(verified.recall("d", &hash, b"wrong"), Recall::Wrong);
        assert_eq!(verified.recall("d", &hash, b""), Recall::Wrong);
        assert_eq!(verified.recall("d", &other, b"right"), Recall::Changed, "the same password hashed anew");
        assert_eq!(verified.recall("e", &hash, b"right"), Recall::Unknown);
        verified.remember("d", &other, b"right");
        assert_eq!(verified.recall("d", &other, b"right"), Recall::Right);
        assert_eq!(verified.recall("d", &hash, b"right"), Recall::Changed, "one hash a device");
    }

    #[test]
    fn what_is_kept_is_of_this_process_alone() {
        let [one, another] = [Verified::new().unwrap(), Verified::new().unwrap()];
        let hash = hash(b"right");
        assert_ne!(one.mac("d", &hash, b"right"), another.mac("d", &hash, b"right"));
        assert_ne!(one.mac("d", &hash, b"right"), one.mac("dr", &hash, b"ight"), "parts do not run together");
    }
}
