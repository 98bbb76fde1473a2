//! Public keys of others: which are good enough to certify, and what they have signed.
//!
//! A library that reads requests and certificates does not thereby check their signatures, and one that checks them
//! may take SHA-1. So both are decided here, by one table.
#![forbid(unsafe_code)]

use std::fmt;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA384_ASN1, ECDSA_P256_SHA512_ASN1, ECDSA_P384_SHA256_ASN1,
    ECDSA_P384_SHA384_ASN1, ECDSA_P384_SHA512_ASN1, ECDSA_P521_SHA256_ASN1, ECDSA_P521_SHA384_ASN1,
    ECDSA_P521_SHA512_ASN1, ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    RSA_PKCS1_2048_8192_SHA512, UnparsedPublicKey, VerificationAlgorithm,
};
use serde::Serialize;
use thiserror::Error;
use x509_parser::{
    asn1_rs::Tag,
    public_key::PublicKey,
    x509::{AlgorithmIdentifier, SubjectPublicKeyInfo},
};

const EC_PUBLIC_KEY: &str = "1.2.840.10045.2.1";
const RSA_ENCRYPTION: &str = "1.2.840.113549.1.1.1";
const ID_ED25519: &str = "1.3.101.112";

/// Fewest bits of an RSA key that is certified.
// SOURCE: NIST SP 800-131A, the least that is acceptable for signatures.
const MIN_RSA_BITS: usize = 2048;
/// Most bits; more can be checked by few.
const MAX_RSA_BITS: usize = 8192;
/// Smallest exponent; smaller ones made forgeries possible with careless readers of the padding.
// SOURCE: NIST FIPS 186-5 appendix A.1.1, and CA/Browser Baseline Requirements 6.1.6.
const MIN_EXPONENT: u64 = 65_537;

/// A public key that can be certified.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PublicKind {
    /// On the curve P-256.
    P256,
    /// On P-384.
    P384,
    /// On P-521.
    P521,
    /// With so many bits, 2048 to 8192.
    Rsa(usize),
    /// Edwards curve 25519.
    Ed25519,
}

impl fmt::Display for PublicKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::P256 => f.write_str("P-256"),
            Self::P384 => f.write_str("P-384"),
            Self::P521 => f.write_str("P-521"),
            Self::Rsa(bits) => write!(f, "RSA {bits}"),
            Self::Ed25519 => f.write_str("Ed25519"),
        }
    }
}

/// Why a public key is not certified.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum PublicKeyError {
    /// Too few bits.
    #[error("its RSA key has {0} bits, and {MIN_RSA_BITS} are the least that is safe")]
    Short(usize),
    /// Too many.
    #[error("its RSA key has {0} bits, and few programs take more than {MAX_RSA_BITS}")]
    Long(usize),
    /// Too small, or even.
    #[error("its RSA key has an exponent other than an odd number from {MIN_EXPONENT} on")]
    Exponent,
    /// By OID.
    #[error("its key is on the curve {0}; P-256, P-384 and P-521 are taken")]
    Curve(String),
    /// Its point is not written in full.
    #[error("its key's point is compressed, which many programs cannot read; have it written uncompressed")]
    Compressed,
    /// By OID.
    #[error("its key is of the kind {0}; ECDSA, RSA and Ed25519 are taken")]
    Kind(String),
    /// Cannot be read.
    #[error("its key is damaged")]
    Damaged,
}

/// Why a signature is not accepted.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum SignatureError {
    /// By OID: SHA-1 and MD5, PSS, or none that goes with the key.
    #[error("its signature is of the kind {0}, which is not taken; sign with SHA-256")]
    Algorithm(String),
    /// The key did not sign this.
    #[error("its signature is wrong: the key has not signed these bytes")]
    Wrong,
}

/// The kind of a key that is good enough.
pub(crate) fn judge(info: &SubjectPublicKeyInfo<'_>) -> Result<PublicKind, PublicKeyError> {
    let algorithm = info.algorithm.algorithm.to_string();
    match (algorithm.as_str(), info.parsed()) {
        (EC_PUBLIC_KEY, _) => {
            let curve = curve(info).unwrap_or_else(|| "of its own parameters".to_owned());
            let (kind, bytes) = match curve.as_str() {
                "1.2.840.10045.3.1.7" => (PublicKind::P256, 32),
                "1.3.132.0.34" => (PublicKind::P384, 48),
                "1.3.132.0.35" => (PublicKind::P521, 66),
                _ => return Err(PublicKeyError::Curve(curve)),
            };
            match info.subject_public_key.data.split_first() {
                Some((4, point)) if point.len() == 2 * bytes => Ok(kind),
                Some((2 | 3, point)) if point.len() == bytes => Err(PublicKeyError::Compressed),
                _ => Err(PublicKeyError::Damaged),
            }
        }
        (RSA_ENCRYPTION, Ok(PublicKey::RSA(key))) => {
            let modulus = key.modulus.iter().skip_while(|byte| **byte == 0);
            let bits = modulus.clone().count() * 8
                - modulus
                    .clone()
                    .next()
                    .map_or(0, |first| usize::try_from(first.leading_zeros()).unwrap_or(0));
            let odd = |bytes: &[u8]| bytes.last().is_some_and(|last| last & 1 == 1);
            if bits < MIN_RSA_BITS {
                return Err(PublicKeyError::Short(bits));
            }
            if bits > MAX_RSA_BITS {
                return Err(PublicKeyError::Long(bits));
            }
            if !odd(key.modulus) {
                return Err(PublicKeyError::Damaged);
            }
            match key.try_exponent() {
                Ok(exponent) if exponent >= MIN_EXPONENT && exponent & 1 == 1 => Ok(PublicKind::Rsa(bits)),
                _ => Err(PublicKeyError::Exponent),
            }
        }
        (RSA_ENCRYPTION, _) => Err(PublicKeyError::Damaged),
        (ID_ED25519, _) if info.subject_public_key.data.len() == 32 => Ok(PublicKind::Ed25519),
        (ID_ED25519, _) => Err(PublicKeyError::Damaged),
        (other, _) => Err(PublicKeyError::Kind(other.to_owned())),
    }
}

/// Whether the key has signed `message`, by an algorithm that is still good. RSA keys under 2048 bits have signed
/// nothing.
pub(crate) fn check_signature(
    info: &SubjectPublicKeyInfo<'_>,
    algorithm: &AlgorithmIdentifier<'_>,
    message: &[u8],
    signature: &[u8],
) -> Result<(), SignatureError> {
    let (key, signed) = (info.algorithm.algorithm.to_string(), algorithm.algorithm.to_string());
    let curve = curve(info).unwrap_or_default();
    let unknown = || SignatureError::Algorithm(super::inspect::algorithm(algorithm));
    let verifier: &'static dyn VerificationAlgorithm = match (key.as_str(), curve.as_str(), signed.as_str()) {
        (EC_PUBLIC_KEY, "1.2.840.10045.3.1.7", "1.2.840.10045.4.3.2") => &ECDSA_P256_SHA256_ASN1,
        (EC_PUBLIC_KEY, "1.2.840.10045.3.1.7", "1.2.840.10045.4.3.3") => &ECDSA_P256_SHA384_ASN1,
        (EC_PUBLIC_KEY, "1.2.840.10045.3.1.7", "1.2.840.10045.4.3.4") => &ECDSA_P256_SHA512_ASN1,
        (EC_PUBLIC_KEY, "1.3.132.0.34", "1.2.840.10045.4.3.2") => &ECDSA_P384_SHA256_ASN1,
        (EC_PUBLIC_KEY, "1.3.132.0.34", "1.2.840.10045.4.3.3") => &ECDSA_P384_SHA384_ASN1,
        (EC_PUBLIC_KEY, "1.3.132.0.34", "1.2.840.10045.4.3.4") => &ECDSA_P384_SHA512_ASN1,
        (EC_PUBLIC_KEY, "1.3.132.0.35", "1.2.840.10045.4.3.2") => &ECDSA_P521_SHA256_ASN1,
        (EC_PUBLIC_KEY, "1.3.132.0.35", "1.2.840.10045.4.3.3") => &ECDSA_P521_SHA384_ASN1,
        (EC_PUBLIC_KEY, "1.3.132.0.35", "1.2.840.10045.4.3.4") => &ECDSA_P521_SHA512_ASN1,
        (RSA_ENCRYPTION, _, "1.2.840.113549.1.1.11") => &RSA_PKCS1_2048_8192_SHA256,
        (RSA_ENCRYPTION, _, "1.2.840.113549.1.1.12") => &RSA_PKCS1_2048_8192_SHA384,
        (RSA_ENCRYPTION, _, "1.2.840.113549.1.1.13") => &RSA_PKCS1_2048_8192_SHA512,
        (ID_ED25519, _, ID_ED25519) => &ED25519,
        _ => return Err(unknown()),
    };
    UnparsedPublicKey::new(verifier, &info.subject_public_key.data)
        .verify(message, signature)
        .map_err(|_| SignatureError::Wrong)
}

/// The OID of the curve, if it has one.
fn curve(info: &SubjectPublicKeyInfo<'_>) -> Option<String> {
    let named = info.algorithm.parameters.as_ref().filter(|any| any.tag() == Tag::Oid)?;
    named.as_oid().ok().map(|oid| oid.to_string())
}
