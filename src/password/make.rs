//! Hashes that we make.

use thiserror::Error;
use zeroize::{Zeroize as _, Zeroizing};

use super::{Kind, Memory, PasswordHash, SHA512_BYTES, VerifyError};
use crate::secret::Secret;

/// What people's passwords are hashed with: 19 MiB and two passes.
/// SOURCE: OWASP Password Storage Cheat Sheet, the argon2id setting with the least memory but one.
pub const FOR_PEOPLE: Kind = Kind::Argon2id { memory_kib: 19_456, passes: 2, lanes: 1 };

const SALT_BYTES: usize = 16;

/// Of the hash of a person's password; more bits than any password holds.
const ARGON2_HASH_BYTES: usize = 32;

/// Bytes of a generated password: 160 bits, far beyond guessing even with the fastest hash.
const GENERATED_BYTES: usize = 20;

/// Why a hash was not made.
#[derive(Debug, Error)]
pub enum MakeError {
    /// Mosquitto up to 2.1.2 gives plugins what stands before the first NUL.
    #[error("a password cannot contain a NUL byte: the broker cuts it off there")]
    Nul,
    /// A fast hash would give it away.
    #[error("this is no password that was generated here")]
    NotGenerated,
    /// Would be no password at all.
    #[error("a password has at least one character")]
    Empty,
    /// Longer than MQTT can carry.
    #[error("a password has at most 65535 bytes")]
    TooLong,
    /// The system gave no random bytes.
    #[error("the system gives no random bytes: {0}")]
    Random(getrandom::Error),
    /// argon2id's memory.
    #[error(transparent)]
    Hash(#[from] VerifyError),
}

/// A password that was made up, and its hash.
pub struct Generated {
    /// Thirty-two lower-case letters and digits, in groups of four with hyphens between: `k3ab-…`.
    pub text: Secret,
    /// Of the text as it stands, hyphens included.
    pub hash: PasswordHash,
}

/// A password of 160 random bits with its `$6$` hash: nothing is gained by a slow hash where nothing can be guessed.
///
/// # Errors
///
/// The system gives no random bytes.
pub fn generate() -> Result<Generated, MakeError> {
    let mut random = Zeroizing::new([0; GENERATED_BYTES]);
    getrandom::fill(&mut *random).map_err(MakeError::Random)?;
    let mut text = Zeroizing::new(String::with_capacity(40));
    for (index, group) in random.chunks(5).enumerate() {
        if index > 0 {
            text.push('-');
        }
        let mut bits = group.iter().fold(0_u64, |bits, byte| (bits << 8) | u64::from(*byte));
        for place in 0..8 {
            if place == 4 {
                text.push('-');
            }
            let digit = usize::try_from((bits >> (35 - 5 * place)) & 31).unwrap_or_default();
            text.push(BASE32.get(digit).copied().map_or('a', char::from));
        }
        bits.zeroize();
    }
    let hash = PasswordHash::new(Kind::Sha512, text.as_bytes())?;
    Ok(Generated { text: Secret::new(text.as_bytes().to_vec()), hash })
}

/// SOURCE: RFC 4648 section 6, in lower case: no 0, 1, 8 or 9 to be taken for letters.
const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// Digits between two hyphens.
const GROUP: usize = 4;
/// Groups in a generated password.
const GROUPS: usize = 8;

impl PasswordHash {
    /// The hash of a password that [`generate`] made earlier, with a fresh salt.
    ///
    /// # Errors
    ///
    /// The text is not what one looks like, or the system gives no random bytes.
    pub fn of_generated(text: &[u8]) -> Result<Self, MakeError> {
        let groups: Vec<&[u8]> = text.split(|byte| *byte == b'-').collect();
        let whole = |group: &&[u8]| group.len() == GROUP && group.iter().all(|byte| BASE32.contains(byte));
        if groups.len() != GROUPS || !groups.iter().all(whole) {
            return Err(MakeError::NotGenerated);
        }
        Self::new(Kind::Sha512, text)
    }

    /// A hash with a fresh salt of what a person chose.
    ///
    /// # Errors
    ///
    /// The password is empty, too long or holds a NUL; no random bytes; no memory.
    pub fn new_argon2id(password: &[u8]) -> Result<Self, MakeError> {
        Self::new(FOR_PEOPLE, password)
    }

    fn new(kind: Kind, password: &[u8]) -> Result<Self, MakeError> {
        if password.is_empty() {
            return Err(MakeError::Empty);
        }
        if password.contains(&0) {
            return Err(MakeError::Nul);
        }
        if password.len() > usize::from(u16::MAX) {
            return Err(MakeError::TooLong);
        }
        let mut salt: Box<[u8]> = Box::new([0; SALT_BYTES]);
        getrandom::fill(&mut salt).map_err(MakeError::Random)?;
        let bytes = match kind {
            Kind::Argon2id { .. } => ARGON2_HASH_BYTES,
            Kind::Sha512 | Kind::Pbkdf2 { .. } => SHA512_BYTES,
        };
        let mut hash = vec![0; bytes].into_boxed_slice();
        kind.compute((password, &salt), &mut hash, &mut Memory::new())?;
        Ok(Self { kind, salt, hash })
    }
}
