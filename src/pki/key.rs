//! Private keys: made, written encrypted or plain, read back, matched to a certificate, and used to sign.
//!
//! Keys are held and written as PKCS#8 version 1, because OpenSSL 3.0, Python and mbedTLS refuse version 2.
//! Encrypted keys use PBES2 with PBKDF2-HMAC-SHA256 and AES-256-CBC; scrypt is unreadable for Java, GnuTLS,
//! wolfSSL and mbedTLS.
#![forbid(unsafe_code)]

use std::fmt;

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der},
    rand::SystemRandom,
    rsa::KeySize,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair},
};
use der::{
    Decode, Document, Encode,
    asn1::{Any, BitString, Null},
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

/// How often PBKDF2 turns for a key file.
// SOURCE: OWASP Password Storage Cheat Sheet, PBKDF2-HMAC-SHA256.
pub const PBKDF2_ITERATIONS: u32 = 600_000;

const ECDSA_WITH_SHA256: spki::ObjectIdentifier = spki::ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
const SHA256_WITH_RSA: spki::ObjectIdentifier = spki::ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");
const PLAIN: &str = "PRIVATE KEY";
const ENCRYPTED: &str = "ENCRYPTED PRIVATE KEY";

/// Kinds of keys that can be made.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyKind {
    /// ECDSA on P-256: accepted by every client that was tried.
    #[default]
    P256,
    /// For older devices that know no elliptic curves.
    Rsa2048,
    /// For an authority that must be RSA.
    Rsa3072,
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::P256 => "p256",
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
    #[error("no kind of key is called `{0}`; there are p256, rsa2048 and rsa3072")]
    UnknownKind(String),
    /// No PEM block of a private key in it.
    #[error("this is not a private key")]
    NotAKey,
    /// A PEM block of another kind, by its label.
    #[error("this is a `{0}`, not a private key")]
    OtherPem(String),
    /// Encrypted the way OpenSSL 1 did it.
    #[error(
        "the key is in the traditional format, which is not read; convert it with `openssl pkcs8 -topk8 -v2 aes-256-cbc`"
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
    /// Neither P-256 nor RSA of at least 2048 bits.
    #[error("the key is neither P-256 nor RSA with 2048 bits or more")]
    Unsupported,
    /// The cryptographic library refused.
    #[error("the cryptographic library refused: {0}")]
    Crypto(&'static str),
}

enum Pair {
    Ecdsa(Box<EcdsaKeyPair>),
    Rsa(Box<RsaKeyPair>),
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
        let size = match kind {
            KeyKind::P256 => {
                let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING)
                    .map_err(|_| KeyError::Crypto("no P-256 key was made"))?;
                let document =
                    pair.to_pkcs8v1().map_err(|_| KeyError::Crypto("the new key was not encoded"))?;
                return Self::from_pkcs8(document.as_ref());
            }
            KeyKind::Rsa2048 => KeySize::Rsa2048,
            KeyKind::Rsa3072 => KeySize::Rsa3072,
        };
        let pair = RsaKeyPair::generate(size).map_err(|_| KeyError::Crypto("no RSA key was made"))?;
        let document = AsDer::<Pkcs8V1Der>::as_der(&pair)
            .map_err(|_| KeyError::Crypto("the new key was not encoded"))?;
        Self::from_pkcs8(document.as_ref())
    }

    /// Reads PKCS#8 DER, either version, P-256 or RSA.
    fn from_pkcs8(der: &[u8]) -> Result<Self, KeyError> {
        PrivateKeyInfoRef::from_der(der).map_err(|_| KeyError::NotAKey)?;
        let encoding = KeyError::Crypto("the key was not encoded");
        if let Ok(pair) = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, der) {
            let Ok(public) = AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key()) else {
                return Err(encoding);
            };
            let public = PublicKey(public.as_ref().to_vec());
            let document = pair.to_pkcs8v1().map_err(|_| encoding)?;
            let pkcs8 = Zeroizing::new(document.as_ref().to_vec());
            return Ok(Self { pkcs8, pair: Pair::Ecdsa(Box::new(pair)), public });
        }
        let pair = RsaKeyPair::from_pkcs8(der).map_err(|_| KeyError::Unsupported)?;
        let Ok(public) = AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key()) else {
            return Err(encoding);
        };
        let public = PublicKey(public.as_ref().to_vec());
        let document = AsDer::<Pkcs8V1Der>::as_der(&pair).map_err(|_| encoding)?;
        let pkcs8 = Zeroizing::new(document.as_ref().to_vec());
        Ok(Self { pkcs8, pair: Pair::Rsa(Box::new(pair)), public })
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
            Ok("EC PRIVATE KEY" | "RSA PRIVATE KEY" | "EC PARAMETERS") => Err(KeyError::Traditional),
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
        Ok(match &self.pair {
            // RFC 5758 §3.2: parameters are absent. RFC 4055 §5: they are NULL.
            Pair::Ecdsa(_) => AlgorithmIdentifierOwned { oid: ECDSA_WITH_SHA256, parameters: None },
            Pair::Rsa(_) => AlgorithmIdentifierOwned {
                oid: SHA256_WITH_RSA,
                parameters: Some(Any::from_der(&Null.to_der()?)?),
            },
        })
    }
}

impl signature::Signer<Signed> for PrivateKey {
    fn try_sign(&self, message: &[u8]) -> Result<Signed, signature::Error> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Ecdsa(pair) => pair
                .sign(&random, message)
                .map(|signed| Signed(signed.as_ref().to_vec()))
                .map_err(|_| signature::Error::new()),
            Pair::Rsa(pair) => {
                let mut signed = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signed)
                    .map_err(|_| signature::Error::new())?;
                Ok(Signed(signed))
            }
        }
    }
}

#[cfg(test)]
mod tests;
