//! The key pairs behind [`super::PrivateKey`]: one arm per algorithm, and nothing else knows of these.

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der},
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING,
        EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
    },
};
use der::{
    Decode as _, Encode as _,
    asn1::{Any, Null},
};
use pkcs8::PrivateKeyInfoRef;
use spki::{AlgorithmIdentifierOwned, ObjectIdentifier};
use zeroize::Zeroizing;

use super::{KeyError, KeyKind};

const SHA256_WITH_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");
const ID_ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// A curve with the hash that is as strong as it.
pub(super) struct Curve {
    signing: &'static EcdsaSigningAlgorithm,
    /// Of the signature.
    oid: ObjectIdentifier,
}

static CURVES: [Curve; 3] = [
    Curve {
        signing: &ECDSA_P256_SHA256_ASN1_SIGNING,
        oid: ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2"),
    },
    Curve {
        signing: &ECDSA_P384_SHA384_ASN1_SIGNING,
        oid: ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3"),
    },
    Curve {
        signing: &ECDSA_P521_SHA512_ASN1_SIGNING,
        oid: ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.4"),
    },
];

pub(super) enum Pair {
    Ecdsa(Box<EcdsaKeyPair>, &'static Curve),
    Rsa(Box<RsaKeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
}

const NOT_MADE: KeyError = KeyError::Crypto("no key was made");
const NOT_ENCODED: KeyError = KeyError::Crypto("the key was not encoded");

impl Pair {
    pub(super) fn generate(kind: KeyKind) -> Result<Self, KeyError> {
        let [p256, p384, _] = &CURVES;
        let ecdsa = |curve: &'static Curve| {
            let pair = EcdsaKeyPair::generate(curve.signing).map_err(|_| NOT_MADE)?;
            Ok(Self::Ecdsa(Box::new(pair), curve))
        };
        let rsa = |size| Ok(Self::Rsa(Box::new(RsaKeyPair::generate(size).map_err(|_| NOT_MADE)?)));
        match kind {
            KeyKind::P256 => ecdsa(p256),
            KeyKind::P384 => ecdsa(p384),
            KeyKind::Rsa2048 => rsa(KeySize::Rsa2048),
            KeyKind::Rsa3072 => rsa(KeySize::Rsa3072),
            KeyKind::Ed25519 => {
                Ok(Self::Ed25519(Box::new(Ed25519KeyPair::generate().map_err(|_| NOT_MADE)?)))
            }
        }
    }

    /// From PKCS#8 DER, either version.
    pub(super) fn from_pkcs8(der: &[u8]) -> Result<Self, KeyError> {
        PrivateKeyInfoRef::from_der(der).map_err(|_| KeyError::NotAKey)?;
        if let Some(pair) = Self::on_a_curve(|curve| EcdsaKeyPair::from_pkcs8(curve.signing, der).ok()) {
            return Ok(pair);
        }
        if let Ok(pair) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der) {
            return Ok(Self::Ed25519(Box::new(pair)));
        }
        let pair = RsaKeyPair::from_pkcs8(der).map_err(|_| KeyError::Unsupported)?;
        Ok(Self::Rsa(Box::new(pair)))
    }

    /// From the DER of `EC PRIVATE KEY` (SEC 1).
    pub(super) fn from_sec1(der: &[u8]) -> Result<Self, KeyError> {
        Self::on_a_curve(|curve| EcdsaKeyPair::from_private_key_der(curve.signing, der).ok())
            .ok_or(KeyError::Unsupported)
    }

    /// From the DER of `RSA PRIVATE KEY` (PKCS#1).
    pub(super) fn from_pkcs1(der: &[u8]) -> Result<Self, KeyError> {
        RsaKeyPair::from_der(der).map(|pair| Self::Rsa(Box::new(pair))).map_err(|_| KeyError::Unsupported)
    }

    fn on_a_curve(read: impl Fn(&Curve) -> Option<EcdsaKeyPair>) -> Option<Self> {
        CURVES.iter().find_map(|curve| Some(Self::Ecdsa(Box::new(read(curve)?), curve)))
    }

    /// PKCS#8 version 1, which OpenSSL 3.0, Python and mbedTLS read; version 2 they refuse.
    pub(super) fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let bytes = match self {
            Self::Ecdsa(pair, _) => pair.to_pkcs8v1().map_err(|_| NOT_ENCODED)?.as_ref().to_vec(),
            Self::Ed25519(pair) => pair.to_pkcs8v1().map_err(|_| NOT_ENCODED)?.as_ref().to_vec(),
            Self::Rsa(pair) => {
                AsDer::<Pkcs8V1Der<'_>>::as_der(&**pair).map_err(|_| NOT_ENCODED)?.as_ref().to_vec()
            }
        };
        Ok(Zeroizing::new(bytes))
    }

    /// The DER of the SubjectPublicKeyInfo.
    pub(super) fn public_der(&self) -> Result<Vec<u8>, KeyError> {
        let der = match self {
            Self::Ecdsa(pair, _) => AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key()),
            Self::Rsa(pair) => AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key()),
            Self::Ed25519(pair) => AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key()),
        };
        der.map(|der| der.as_ref().to_vec()).map_err(|_| NOT_ENCODED)
    }

    /// How what it signs says so.
    pub(super) fn algorithm(&self) -> der::Result<AlgorithmIdentifierOwned> {
        // RFC 5758 §3.2 and RFC 8410 §3: parameters are absent. RFC 4055 §5: they are NULL.
        let plain = |oid| AlgorithmIdentifierOwned { oid, parameters: None };
        Ok(match self {
            Self::Ecdsa(_, curve) => plain(curve.oid),
            Self::Ed25519(_) => plain(ID_ED25519),
            Self::Rsa(_) => AlgorithmIdentifierOwned {
                oid: SHA256_WITH_RSA,
                parameters: Some(Any::from_der(&Null.to_der()?)?),
            },
        })
    }

    /// `None` where the library refuses, which is without randomness.
    pub(super) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        match self {
            Self::Ecdsa(pair, _) => Some(pair.sign(&random, message).ok()?.as_ref().to_vec()),
            Self::Ed25519(pair) => Some(pair.sign(message).as_ref().to_vec()),
            Self::Rsa(pair) => {
                let mut signed = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signed).ok()?;
                Some(signed)
            }
        }
    }
}
