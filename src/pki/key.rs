//! Private keys: made, written encrypted or plain, read back, matched to a certificate, and used to sign.
//!
//! Keys are held and written as PKCS#8 version 1, because OpenSSL 3.0, Python and mbedTLS refuse version 2.
//! Encrypted keys use PBES2 with PBKDF2-HMAC-SHA256 and AES-256-CBC; scrypt is unreadable for Java, GnuTLS,
//! wolfSSL and mbedTLS.
#![forbid(unsafe_code)]

use std::fmt;

use der::{
    Decode, Document,
    asn1::BitString,
    pem::{self, LineEnding},
};
use pkcs8::{EncryptedPrivateKeyInfoRef, PrivateKeyInfoRef, pkcs5::pbes2};
use serde::Serialize;
use signature::Keypair;
use spki::{
    AlgorithmIdentifierOwned, DynSignatureAlgorithmIdentifier, EncodePublicKey, SignatureBitStringEncoding,
};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::secret::Secret;

mod pair;

use pair::Pair;

/// How often PBKDF2 turns for a key file.
// SOURCE: OWASP Password Storage Cheat Sheet, PBKDF2-HMAC-SHA256.
pub const PBKDF2_ITERATIONS: u32 = 600_000;

const PLAIN: &str = "PRIVATE KEY";
const ENCRYPTED: &str = "ENCRYPTED PRIVATE KEY";

/// Kinds of keys that can be made.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyKind {
    /// ECDSA on P-256: accepted by every client that was tried.
    #[default]
    P256,
    /// ECDSA on P-384.
    P384,
    /// For older devices that know no elliptic curves.
    Rsa2048,
    /// For an authority that must be RSA.
    Rsa3072,
    /// Small and quick, and read by few small devices; see [`KeyKind::breaks`].
    Ed25519,
}

impl KeyKind {
    /// The kind that [`super::inspect`] calls so, if keys of it can be made.
    #[must_use]
    pub fn of_words(text: &str) -> Option<Self> {
        Some(match text {
            "P-256" => Self::P256,
            "P-384" => Self::P384,
            "RSA 2048" => Self::Rsa2048,
            "RSA 3072" => Self::Rsa3072,
            "Ed25519" => Self::Ed25519,
            _ => return None,
        })
    }

    /// Who cannot use such a key, in words, if anybody is known who cannot.
    #[must_use]
    pub fn breaks(self) -> Option<&'static str> {
        match self {
            // Measured with each of these.
            Self::Ed25519 => Some(
                "mbedTLS (ESP32, Arduino), Tasmota, NSS (Firefox, Chrome on Linux) and Python's verifier do not take Ed25519",
            ),
            Self::P384 => Some("Tasmota on ESP8266 knows no P-384, and small boards take long for it"),
            Self::P256 | Self::Rsa2048 | Self::Rsa3072 => None,
        }
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::P256 => "p256",
            Self::P384 => "p384",
            Self::Ed25519 => "ed25519",
            Self::Rsa2048 => "rsa2048",
            Self::Rsa3072 => "rsa3072",
        })
    }
}

impl std::str::FromStr for KeyKind {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        match text.to_ascii_lowercase().as_str() {
            "p256" | "p-256" | "ec" => Ok(Self::P256),
            "p384" | "p-384" => Ok(Self::P384),
            "ed25519" => Ok(Self::Ed25519),
            "rsa2048" | "rsa-2048" | "rsa" => Ok(Self::Rsa2048),
            "rsa3072" | "rsa-3072" => Ok(Self::Rsa3072),
            _ => Err(KeyError::UnknownKind(text.to_owned())),
        }
    }
}

/// Why a key could not be made, read or used.
#[derive(Debug, Error)]
pub enum KeyError {
    /// See [`KeyKind`].
    #[error("no kind of key is called `{0}`; there are p256, p384, rsa2048, rsa3072 and ed25519")]
    UnknownKind(String),
    /// No PEM block of a private key in it.
    #[error("this is not a private key")]
    NotAKey,
    /// A PEM block of another kind, by its label.
    #[error("this is a `{0}`, not a private key")]
    OtherPem(String),
    /// Encrypted the way OpenSSL 1 did it.
    #[error(
        "the key is encrypted in the traditional format, which is not read; convert it with `openssl pkcs8 -topk8 -v2 aes-256-cbc`"
    )]
    Traditional,
    /// Encrypted, and no passphrase was given.
    #[error("the key is encrypted and needs its passphrase")]
    PassphraseNeeded,
    /// The passphrase does not open it.
    #[error("the passphrase does not open the key")]
    WrongPassphrase,
    /// A passphrase of no bytes protects nothing.
    #[error("the passphrase is empty")]
    EmptyPassphrase,
    /// Of a kind with which nothing is signed here.
    #[error("the key is neither on P-256, P-384 or P-521, nor RSA with 2048 bits or more, nor Ed25519")]
    Unsupported,
    /// The cryptographic library refused.
    #[error("the cryptographic library refused: {0}")]
    Crypto(&'static str),
}

/// A private key that can sign. Its bytes are wiped when it is dropped, and it has no `Debug`.
pub struct PrivateKey {
    /// PKCS#8 version 1.
    pkcs8: Zeroizing<Vec<u8>>,
    pair: Pair,
    /// The DER of the SubjectPublicKeyInfo.
    public: PublicKey,
}

impl PrivateKey {
    /// Makes a new one. RSA takes up to a few seconds on a small board.
    ///
    /// # Errors
    ///
    /// When the library cannot, which is without randomness only.
    pub fn generate(kind: KeyKind) -> Result<Self, KeyError> {
        Self::of(Pair::generate(kind)?)
    }

    fn of(pair: Pair) -> Result<Self, KeyError> {
        Ok(Self { pkcs8: pair.to_pkcs8()?, public: PublicKey(pair.public_der()?), pair })
    }

    /// Reads PKCS#8 DER, either version.
    pub(super) fn from_pkcs8(der: &[u8]) -> Result<Self, KeyError> {
        Self::of(Pair::from_pkcs8(der)?)
    }

    /// Reads the first key of a PEM text, encrypted or not.
    ///
    /// A passphrase that is given for a plain key is not used.
    ///
    /// # Errors
    ///
    /// [`KeyError::WrongPassphrase`] only where the file is an encrypted key; a file that is none says so.
    pub fn from_pem(text: &[u8], passphrase: Option<&Secret>) -> Result<Self, KeyError> {
        let start = find(text, b"-----BEGIN ").ok_or(KeyError::NotAKey)?;
        let text = text.get(start..).unwrap_or_default();
        let label = pem::decode_label(text);
        match label {
            Ok(PLAIN) => {
                let (_, der) = pem::decode_vec(text).map_err(|_| KeyError::NotAKey)?;
                Self::from_pkcs8(&Zeroizing::new(der))
            }
            Ok(ENCRYPTED) => {
                let (_, der) = pem::decode_vec(text).map_err(|_| KeyError::NotAKey)?;
                let sealed = EncryptedPrivateKeyInfoRef::from_der(&der).map_err(|_| KeyError::NotAKey)?;
                let passphrase = passphrase.ok_or(KeyError::PassphraseNeeded)?;
                let opened = sealed.decrypt(passphrase.expose()).map_err(|_| KeyError::WrongPassphrase)?;
                // One wrong passphrase in 256 leaves a correct padding around rubbish.
                Self::from_pkcs8(opened.as_bytes()).map_err(|error| match error {
                    KeyError::NotAKey => KeyError::WrongPassphrase,
                    other => other,
                })
            }
            // `openssl ecparam -genkey` writes the curve before the key.
            Ok("EC PARAMETERS") => {
                let end = find(text, b"-----END ").ok_or(KeyError::NotAKey)?;
                let rest = text.get(end..).unwrap_or_default();
                Self::from_pem(rest.get(1..).unwrap_or_default(), passphrase)
            }
            Ok(label @ ("EC PRIVATE KEY" | "RSA PRIVATE KEY")) => {
                // The headers of an encrypted one are more than the strict reader takes.
                let encrypted = find(text, b"Proc-Type:").is_some();
                let unread = if encrypted { KeyError::Traditional } else { KeyError::NotAKey };
                let (_, der) = pem::decode_vec(text).map_err(|_| unread)?;
                let der = Zeroizing::new(der);
                let ec = label.starts_with("EC");
                Self::of(if ec { Pair::from_sec1(&der)? } else { Pair::from_pkcs1(&der)? })
            }
            Ok(other) => Err(KeyError::OtherPem(other.to_owned())),
            // The headers of a traditional encrypted key are more than the strict reader takes.
            Err(_) if find(text, b"Proc-Type:").is_some() => Err(KeyError::Traditional),
            Err(_) => Err(KeyError::NotAKey),
        }
    }

    /// The key in plain PEM. Whoever reads it is the device.
    ///
    /// # Errors
    ///
    /// None in practice; encoding is fallible by its types.
    pub fn to_plain_pem(&self) -> Result<Secret, KeyError> {
        pem::encode_string(PLAIN, LineEnding::LF, &self.pkcs8)
            .map(Secret::from)
            .map_err(|_| KeyError::Crypto("the key was not encoded"))
    }

    /// The key in PEM, encrypted; `iterations` is [`PBKDF2_ITERATIONS`] but in tests.
    ///
    /// # Errors
    ///
    /// An empty passphrase.
    pub fn to_encrypted_pem(&self, passphrase: &Secret, iterations: u32) -> Result<Secret, KeyError> {
        if passphrase.expose().is_empty() {
            return Err(KeyError::EmptyPassphrase);
        }
        let [mut salt, mut iv] = [[0_u8; 16]; 2];
        for bytes in [&mut salt, &mut iv] {
            getrandom::fill(bytes).map_err(|_| KeyError::Crypto("no random bytes"))?;
        }
        let refused = KeyError::Crypto("the key was not encrypted");
        let Ok(parameters) = pbes2::Parameters::generate_pbkdf2_sha256_aes256cbc(iterations, &salt, iv)
        else {
            return Err(refused);
        };
        let info = PrivateKeyInfoRef::from_der(&self.pkcs8).map_err(|_| KeyError::NotAKey)?;
        let Ok(sealed) = info.encrypt_with_params(parameters, passphrase.expose()) else {
            return Err(refused);
        };
        sealed
            .to_pem(ENCRYPTED, LineEnding::LF)
            .map(|text| Secret::new(text.as_bytes().to_vec()))
            .map_err(|_| refused)
    }

    /// PKCS#8 version 1, plain, for formats that encrypt it themselves.
    pub(crate) fn pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    /// The public half as the DER of a SubjectPublicKeyInfo.
    #[must_use]
    pub fn public_der(&self) -> &[u8] {
        &self.public.0
    }

    /// SHA-256 of the same, lower-case hexadecimal.
    #[must_use]
    pub fn public_sha256(&self) -> String {
        super::sign::fingerprint(self.public_der())
    }

    /// Whether this key is the one in a certificate with that SubjectPublicKeyInfo (DER).
    #[must_use]
    pub fn matches(&self, public_der: &[u8]) -> bool {
        self.public.0 == public_der
    }
}

/// Where `needle` begins.
fn find(text: &[u8], needle: &[u8]) -> Option<usize> {
    text.windows(needle.len()).position(|window| window == needle)
}

/// The DER of a SubjectPublicKeyInfo.
#[derive(Clone)]
pub struct PublicKey(Vec<u8>);

impl EncodePublicKey for PublicKey {
    fn to_public_key_der(&self) -> spki::Result<Document> {
        Ok(Document::try_from(self.0.as_slice())?)
    }
}

/// A signature as it stands in a certificate.
pub struct Signed(Vec<u8>);

impl SignatureBitStringEncoding for Signed {
    fn to_bitstring(&self) -> der::Result<BitString> {
        BitString::from_bytes(&self.0)
    }
}

impl Keypair for PrivateKey {
    type VerifyingKey = PublicKey;

    fn verifying_key(&self) -> PublicKey {
        self.public.clone()
    }
}

impl DynSignatureAlgorithmIdentifier for PrivateKey {
    fn signature_algorithm_identifier(&self) -> spki::Result<AlgorithmIdentifierOwned> {
        Ok(self.pair.algorithm()?)
    }
}

impl signature::Signer<Signed> for PrivateKey {
    fn try_sign(&self, message: &[u8]) -> Result<Signed, signature::Error> {
        self.pair.sign(message).map(Signed).ok_or_else(signature::Error::new)
    }
}

#[cfg(test)]
mod tests;
