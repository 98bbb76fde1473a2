//! The certificate of an authority, as the certificates below it need it.
#![forbid(unsafe_code)]

use std::{fs, path::Path};

use der::{Decode, Encode, pem};
use jiff::Timestamp;
use x509_cert::{Certificate, ext::pkix::SubjectKeyIdentifier, name::Name};

use super::{
    authority::AuthorityError,
    profile::Period,
    sign::{fingerprint, hex},
    store,
};

/// One of an authority's certificates.
#[derive(Clone, Debug)]
pub(crate) struct Anchor {
    pub(crate) pem: String,
    pub(crate) der: Vec<u8>,
    pub(crate) subject: Name,
    pub(crate) period: Period,
    /// Its SKI, as certificates below it have to repeat it.
    pub(crate) key_id: Vec<u8>,
    /// The DER of the SubjectPublicKeyInfo.
    pub(crate) public: Vec<u8>,
    /// Lower-case hexadecimal.
    pub(crate) serial: String,
    pub(crate) self_issued: bool,
}

impl Anchor {
    /// The first certificate of a PEM file.
    pub(crate) fn read(path: &Path) -> Result<Self, AuthorityError> {
        let pem = fs::read_to_string(path).map_err(store::at("read", path))?;
        Self::from_pem(&pem, path)
    }

    /// The same of a text; `path` is for messages.
    pub(crate) fn from_pem(text: &str, path: &Path) -> Result<Self, AuthorityError> {
        let why = |why| AuthorityError::Certificate { path: path.to_owned(), why };
        let start = text.find("-----BEGIN CERTIFICATE-----").ok_or(why("it is not PEM"))?;
        let text = text.get(start..).unwrap_or_default();
        let end = "-----END CERTIFICATE-----";
        let length = text.find(end).ok_or(why("it is not PEM"))? + end.len();
        let pem = format!("{}\n", text.get(..length).unwrap_or_default());
        let (_, der) = pem::decode_vec(pem.as_bytes()).map_err(|_| why("it is not PEM"))?;
        let certificate = Certificate::from_der(&der).map_err(|_| why("it is not X.509"))?;
        let body = certificate.tbs_certificate();
        let key_id = match body.get_extension::<SubjectKeyIdentifier>() {
            Ok(Some((_, id))) => id.0.as_bytes().to_vec(),
            _ => return Err(why("it has no subject key identifier")),
        };
        let second = |time: x509_cert::time::Time| {
            let seconds = i64::try_from(time.to_unix_duration().as_secs()).ok();
            seconds
                .and_then(|seconds| Timestamp::from_second(seconds).ok())
                .ok_or(why("its dates are beyond reach"))
        };
        let period = Period {
            not_before: second(body.validity().not_before)?,
            not_after: second(body.validity().not_after)?,
        };
        Ok(Self {
            period,
            key_id,
            public: body.subject_public_key_info().to_der().map_err(|_| why("its key cannot be read"))?,
            subject: body.subject().clone(),
            serial: hex(body.serial_number().as_bytes()),
            self_issued: body.subject() == body.issuer(),
            pem,
            der,
        })
    }

    /// Of the DER, lower-case hexadecimal.
    pub(crate) fn sha256(&self) -> String {
        fingerprint(&self.der)
    }
}
