//! Password hashes as `mosquitto_passwd` and libargon2 write them: read, verified, made.
//!
//! | text | what |
//! |---|---|
//! | `$6$SALT$HASH` | SHA-512 of password and salt, once |
//! | `$7$ITERATIONS$SALT$HASH` | PBKDF2-HMAC-SHA-512 |
//! | `$argon2id$v=19$m=KIB,t=PASSES,p=LANES$SALT$HASH` | argon2id |
//!
//! Salts and hashes are base64, of `$6$` and `$7$` with padding, of argon2id without.
#![forbid(unsafe_code)]

pub mod file;
mod make;
mod memory;

use std::{fmt, ops::Range};

use argon2::{Algorithm, Argon2, Params, Version};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD},
};
use hmac::Hmac;
use sha2::{Digest as _, Sha512};
use subtle::ConstantTimeEq as _;
use thiserror::Error;
use zeroize::Zeroizing;

pub use make::{FOR_PEOPLE, Generated, MakeError, generate};
pub use memory::Memory;

/// Most iterations of `$7$` that a file may ask for. Measured: 0.31 s on one core of a server (AMD EPYC); on
/// smaller machines it is more, and a broker's loop may have to wait for it.
pub const MAX_ITERATIONS: u32 = 1_000_000;

/// Most that verifying may cost in all, in the unit of [`Kind::cost`]: what [`MAX_ITERATIONS`] cost. It keeps argon2id
/// from having its most memory and its most passes at once; at this ceiling that took 0.6 to 0.8 s on the same core.
pub const MAX_COST: u64 = 2_000_000;

/// Most memory of argon2id that a file may ask for, in KiB: a Raspberry Pi has 512 MiB in all.
pub const MAX_ARGON2_KIB: u32 = 256 * 1024;

/// Most passes of argon2id.
pub const MAX_ARGON2_PASSES: u32 = 10;

/// Most lanes of argon2id; they are computed one after the other.
pub const MAX_ARGON2_LANES: u32 = 4;

/// Bytes that a salt of `$6$` and `$7$` may have; Mosquitto 2.0 makes 12 and 2.1 makes 64.
pub const SALT_BYTES: Range<usize> = 1..65;

/// Bytes that an argon2id salt may have. SOURCE: RFC 9106 section 3.1 for the least.
pub const ARGON2_SALT_BYTES: Range<usize> = 8..65;

/// Bytes that an argon2id hash may have; four would be allowed by RFC 9106, and guessed.
pub const ARGON2_HASH_BYTES: Range<usize> = 16..65;

/// Longest text of a hash; the longest of `mosquitto_passwd` has some 210 bytes.
const MAX_TEXT_BYTES: usize = 512;

/// Ten KiB and passes of argon2id cost this much.
const ARGON2_COST: u64 = 17;

/// Bytes of a SHA-512.
const SHA512_BYTES: usize = 64;

/// A salted password hash that can be verified within the limits above.
///
/// Its `Debug` and `Display` show the kind only; [`PasswordHash::to_text`] gives what a file holds.
#[derive(Clone, Eq, Hash, PartialEq)]
pub struct PasswordHash {
    kind: Kind,
    salt: Box<[u8]>,
    hash: Box<[u8]>,
}

/// How a hash is computed; also how long that takes, see [`PasswordHash::cost`].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Kind {
    /// `$6$`
    Sha512,
    /// `$7$`
    Pbkdf2 {
        /// 1 to [`MAX_ITERATIONS`].
        iterations: u32,
    },
    /// `$argon2id$`
    Argon2id {
        /// Memory in KiB, up to [`MAX_ARGON2_KIB`].
        memory_kib: u32,
        /// Up to [`MAX_ARGON2_PASSES`].
        passes: u32,
        /// Up to [`MAX_ARGON2_LANES`].
        lanes: u32,
    },
}

/// Why a text is no hash that we verify. Never holds any of the text.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum PasswordHashError {
    /// Most likely the password itself.
    #[error("this is not a password hash: `$6$`, `$7$` or `$argon2id$` is how one starts")]
    NotAHash,
    /// Another hash than those of the table above.
    #[error("this kind of password hash is not known: `$6$`, `$7$` and `$argon2id$` are")]
    UnknownKind,
    /// A field is missing, empty or too many.
    #[error("the password hash is not whole")]
    Fields,
    /// A field is no base64.
    #[error("the {0} of the password hash is not base64")]
    Base64(&'static str),
    /// Too short or too long.
    #[error("the {field} of the password hash has {found} bytes, not {least} to {most}")]
    Length {
        /// Salt or hash.
        field: &'static str,
        /// Bytes it has.
        found: usize,
        /// Bytes it needs.
        least: usize,
        /// Bytes it may have.
        most: usize,
    },
    /// No number, or one that would cost too much to verify.
    #[error("the {field} of the password hash must be a number from {least} to {most}")]
    Number {
        /// Iterations, memory, passes or lanes.
        field: &'static str,
        /// Smallest allowed.
        least: u32,
        /// Largest allowed.
        most: u32,
    },
    /// Each number is allowed, but not all of them together.
    #[error(
        "the password hash would take too long to verify: its memory times its passes are more than {} KiB",
        MAX_COST * 10 / ARGON2_COST
    )]
    Cost,
    /// argon2 before version 1.3.
    #[error("only version 19 of argon2id is known")]
    Version,
}

/// A password could not be checked; the client is refused for now, which is not the same as a wrong password.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum VerifyError {
    /// argon2id needs memory that the machine does not give.
    #[error("{0} KiB of memory for argon2id are not free")]
    Memory(u32),
    /// The library refused what [`PasswordHash::parse`] accepted.
    #[error("the password cannot be hashed with these parameters")]
    Parameters,
}

impl PasswordHash {
    /// Reads a hash as a file holds it.
    ///
    /// # Errors
    ///
    /// Unknown kind, missing or extra fields, no base64, lengths and costs outside the limits above.
    pub fn parse(text: &str) -> Result<Self, PasswordHashError> {
        if text.len() > MAX_TEXT_BYTES {
            return Err(PasswordHashError::Fields);
        }
        let rest = text.strip_prefix('$').ok_or(PasswordHashError::NotAHash)?;
        let fields: Vec<&str> = rest.split('$').collect();
        match *fields.as_slice() {
            ["6", salt, hash] => Self::sha512_based(Kind::Sha512, salt, hash),
            ["7", iterations, salt, hash] => {
                let iterations = number("iteration count", iterations, 1..=MAX_ITERATIONS)?;
                Self::sha512_based(Kind::Pbkdf2 { iterations }, salt, hash)
            }
            ["argon2id", version, costs, salt, hash] => {
                if version != "v=19" {
                    return Err(PasswordHashError::Version);
                }
                let kind = argon2_costs(costs)?;
                let salt = bytes("salt", salt, &STANDARD_NO_PAD, ARGON2_SALT_BYTES)?;
                let hash = bytes("hash", hash, &STANDARD_NO_PAD, ARGON2_HASH_BYTES)?;
                Ok(Self { kind, salt, hash })
            }
            ["6" | "7" | "argon2id", ..] => Err(PasswordHashError::Fields),
            [_, _, ..] => Err(PasswordHashError::UnknownKind),
            _ => Err(PasswordHashError::NotAHash),
        }
    }

    fn sha512_based(kind: Kind, salt: &str, hash: &str) -> Result<Self, PasswordHashError> {
        let salt = bytes("salt", salt, &STANDARD, SALT_BYTES)?;
        let hash = bytes("hash", hash, &STANDARD, SHA512_BYTES..SHA512_BYTES + 1)?;
        Ok(Self { kind, salt, hash })
    }

    /// A hash of the same cost that no password is known for: what is verified for a name that does not
    /// exist, so that the time of the answer does not tell.
    #[must_use]
    pub fn decoy(kind: Kind) -> Self {
        Self { kind, salt: Box::new([0; 16]), hash: Box::new([0; SHA512_BYTES]) }
    }

    /// Whether `password` is the one. Takes the time of [`Self::cost`], whatever the answer.
    ///
    /// # Errors
    ///
    /// Memory for argon2id is not free.
    pub fn verify(&self, password: &[u8]) -> Result<bool, VerifyError> {
        self.verify_with(password, &mut Memory::new())
    }

    /// As [`Self::verify`], with memory that may be kept from one call to the next: half of argon2id's time
    /// is otherwise spent on getting pages from the system.
    ///
    /// # Errors
    ///
    /// Memory for argon2id is not free.
    pub fn verify_with(&self, password: &[u8], memory: &mut Memory) -> Result<bool, VerifyError> {
        let mut computed = Zeroizing::new(vec![0; self.hash.len()]);
        self.kind.compute((password, &self.salt), &mut computed, memory)?;
        Ok(computed.ct_eq(&self.hash).into())
    }

    /// How it is computed.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What verifying costs, to compare with others: see [`Kind::cost`].
    #[must_use]
    pub fn cost(&self) -> u64 {
        self.kind.cost()
    }

    /// The text that [`Self::parse`] reads.
    #[must_use]
    pub fn to_text(&self) -> String {
        let (salt, hash) = (&self.salt, &self.hash);
        match self.kind {
            Kind::Sha512 => format!("$6${}${}", STANDARD.encode(salt), STANDARD.encode(hash)),
            Kind::Pbkdf2 { iterations } => {
                format!("$7${iterations}${}${}", STANDARD.encode(salt), STANDARD.encode(hash))
            }
            Kind::Argon2id { memory_kib, passes, lanes } => format!(
                "$argon2id$v=19$m={memory_kib},t={passes},p={lanes}${}${}",
                STANDARD_NO_PAD.encode(salt),
                STANDARD_NO_PAD.encode(hash)
            ),
        }
    }

    /// What no other password's hash has, as it is in memory.
    #[must_use]
    pub fn salt_and_digest(&self) -> [&[u8]; 2] {
        [&self.salt, &self.hash]
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PasswordHash({})", self.kind)
    }
}

impl fmt::Display for Kind {
    /// Kind and costs, without salt and hash.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sha512 => f.write_str("sha512"),
            Self::Pbkdf2 { iterations } => write!(f, "sha512-pbkdf2, {iterations} iterations"),
            Self::Argon2id { memory_kib, passes, lanes } => {
                write!(f, "argon2id, {memory_kib} KiB, {passes} passes, {lanes} lanes")
            }
        }
    }
}

impl Kind {
    /// About how long one verification takes, in blocks of SHA-512 (0.16 µs on the core that [`MAX_ITERATIONS`]
    /// speaks of): two for `$6$`, two an iteration for `$7$`, and 1.7 for each KiB and pass of argon2id. What that
    /// takes depends on the memory: on the same core it was the time of 2 with 19 MiB and of 3 to 5 with 256 MiB.
    #[must_use]
    pub fn cost(self) -> u64 {
        match self {
            Self::Sha512 => 2,
            Self::Pbkdf2 { iterations } => 2 * u64::from(iterations),
            Self::Argon2id { memory_kib, passes, .. } => {
                u64::from(memory_kib) * u64::from(passes) * ARGON2_COST / 10
            }
        }
    }

    /// Fills `out` with the hash of a password and a salt.
    fn compute(
        self,
        (password, salt): (&[u8], &[u8]),
        out: &mut [u8],
        memory: &mut Memory,
    ) -> Result<(), VerifyError> {
        match self {
            Self::Sha512 => {
                let digest = Sha512::new().chain_update(password).chain_update(salt).finalize();
                if out.len() != digest.len() {
                    return Err(VerifyError::Parameters);
                }
                out.copy_from_slice(&digest);
                Ok(())
            }
            Self::Pbkdf2 { iterations } => pbkdf2::pbkdf2::<Hmac<Sha512>>(password, salt, iterations, out)
                .map_err(|_| VerifyError::Parameters),
            Self::Argon2id { memory_kib, passes, lanes } => {
                let params = Params::new(memory_kib, passes, lanes, Some(out.len()))
                    .map_err(|_| VerifyError::Parameters)?;
                let blocks = memory.reserve(params.block_count()).ok_or(VerifyError::Memory(memory_kib))?;
                Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
                    .hash_password_into_with_memory(password, salt, out, blocks)
                    .map_err(|_| VerifyError::Parameters)
            }
        }
    }
}

fn argon2_costs(text: &str) -> Result<Kind, PasswordHashError> {
    let costs: Vec<(&str, &str)> = text.split(',').filter_map(|cost| cost.split_once('=')).collect();
    let [("m", memory), ("t", passes), ("p", lanes)] = *costs.as_slice() else {
        return Err(PasswordHashError::Fields);
    };
    if text.split(',').count() != costs.len() {
        return Err(PasswordHashError::Fields);
    }
    let lanes = number("number of lanes", lanes, 1..=MAX_ARGON2_LANES)?;
    let kind = Kind::Argon2id {
        // SOURCE: RFC 9106 section 3.1, at least eight blocks a lane.
        memory_kib: number("memory", memory, 8 * lanes..=MAX_ARGON2_KIB)?,
        passes: number("number of passes", passes, 1..=MAX_ARGON2_PASSES)?,
        lanes,
    };
    if kind.cost() > MAX_COST { Err(PasswordHashError::Cost) } else { Ok(kind) }
}

fn number(
    field: &'static str,
    text: &str,
    range: std::ops::RangeInclusive<u32>,
) -> Result<u32, PasswordHashError> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(value) if plain && range.contains(&value) => Ok(value),
        _ => Err(PasswordHashError::Number { field, least: *range.start(), most: *range.end() }),
    }
}

fn bytes(
    field: &'static str,
    text: &str,
    alphabet: &base64::engine::GeneralPurpose,
    lengths: Range<usize>,
) -> Result<Box<[u8]>, PasswordHashError> {
    if text.is_empty() {
        return Err(PasswordHashError::Fields);
    }
    let bytes = alphabet.decode(text).map_err(|_| PasswordHashError::Base64(field))?;
    if lengths.contains(&bytes.len()) {
        return Ok(bytes.into());
    }
    let (least, most) = (lengths.start, lengths.end - 1);
    Err(PasswordHashError::Length { field, found: bytes.len(), least, most })
}

#[cfg(test)]
mod tests;
