//! A device's certificate and key, ready to be shown.

use std::sync::Arc;

use rustls::{
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    sign::CertifiedKey,
};
use thiserror::Error;

use crate::{
    doctor::{Cert, certificates},
    pki::PrivateKey,
    secret::Secret,
};

/// Who a client is by its certificate.
#[derive(Clone)]
pub struct Identity {
    pub(super) key: Arc<CertifiedKey>,
    pub(super) chain: Arc<[Cert]>,
}

/// Why a certificate and a key are no identity.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum IdentityError {
    /// No PEM certificate.
    #[error("there is no certificate in the file for the certificate")]
    NoCertificate,
    /// No PEM key.
    #[error("there is no private key in the file for the key")]
    NoKey,
    /// A passphrase is needed, and there is none.
    #[error("the key is encrypted and needs its passphrase")]
    Encrypted,
    /// Another passphrase.
    #[error("the passphrase does not open the key")]
    WrongPassphrase,
    /// Encrypted in a way that is not read here.
    #[error(
        "the key is encrypted in an old format that is not read; convert it with `openssl pkcs8 -topk8 -v2 aes-256-cbc`"
    )]
    OldEncryption,
    /// Of a kind that TLS cannot use.
    #[error("the key is of a kind that TLS does not use")]
    Unsupported,
    /// Of two different pairs.
    #[error("the key is not that of the certificate")]
    Mismatch,
}

impl Identity {
    /// Reads a chain and its key in PEM, the key encrypted or not.
    ///
    /// # Errors
    ///
    /// One of the two is missing or cannot be opened, or they are no pair.
    pub fn from_pem(chain: &[u8], key: &Secret, passphrase: Option<&Secret>) -> Result<Self, IdentityError> {
        let certs = certificates(chain);
        if certs.is_empty() {
            return Err(IdentityError::NoCertificate);
        }
        let text = String::from_utf8_lossy(key.expose());
        let key = if text.contains("BEGIN ENCRYPTED PRIVATE KEY") {
            let passphrase = passphrase.ok_or(IdentityError::Encrypted)?;
            let opened =
                PrivateKey::from_pem(key.expose(), Some(passphrase)).map_err(|error| match error {
                    crate::pki::KeyError::WrongPassphrase => IdentityError::WrongPassphrase,
                    crate::pki::KeyError::Unsupported => IdentityError::Unsupported,
                    _ => IdentityError::OldEncryption,
                })?;
            let plain = opened.to_plain_pem().map_err(|_| IdentityError::Unsupported)?;
            PrivateKeyDer::from_pem_slice(plain.expose())
        } else if text.contains("Proc-Type: 4,ENCRYPTED") {
            return Err(IdentityError::OldEncryption);
        } else {
            PrivateKeyDer::from_pem_slice(key.expose())
        };
        let key = key.map_err(|_| IdentityError::NoKey)?;
        let signer = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key)
            .map_err(|_| IdentityError::Unsupported)?;
        // Not compared by rustls, which cannot read a certificate of version 1.
        let own = signer.public_key().map(|public| public.to_vec());
        let certified = certs.first().and_then(Cert::public_key);
        if own.is_some() && certified.is_some() && own != certified {
            return Err(IdentityError::Mismatch);
        }
        let ders: Vec<CertificateDer<'static>> = certs.iter().map(|cert| cert.der().clone()).collect();
        Ok(Self { key: Arc::new(CertifiedKey::new(ders, signer)), chain: certs.into() })
    }

    pub(super) fn leaf(&self) -> Option<&Cert> {
        self.chain.first()
    }

    /// What its certificate calls it.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.leaf()?.view.common_names.first().map(String::as_str)
    }
}
