//! Signing requests (PKCS#10) made on a device: only the key and the name are taken, and both are judged.
#![forbid(unsafe_code)]

use thiserror::Error;
use x509_cert::{request::CertReq, spki::SubjectPublicKeyInfoOwned};
use x509_parser::{
    asn1_rs::Tag, certificate::X509Certificate, certification_request::X509CertificationRequest,
    oid_registry::OID_X509_COMMON_NAME, pem::Pem, prelude::FromDer as _,
};

use super::{
    inspect,
    public::{self, PublicKeyError, PublicKind, SignatureError},
};
use der::Decode as _;

/// Largest file that is read, in bytes; a request with a key of 8192 bits has some 3000.
pub const MAX_REQUEST_BYTES: usize = 1 << 20;

/// Why a request is refused.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum RequestError {
    /// Neither PEM nor DER.
    #[error("this is no signing request, neither PEM nor DER")]
    NoRequest,
    /// Larger than [`MAX_REQUEST_BYTES`].
    #[error("this is larger than any signing request is")]
    TooLarge,
    /// Something else in PEM, by its label.
    #[error("this is a `{0}`, not a signing request")]
    Other(String),
    /// Only what is not secret is to leave the device.
    #[error("this is a private key, which should stay on the device; the request alone is needed here")]
    PrivateKey,
    /// Which one?
    #[error("there are several signing requests in this file")]
    Several,
    /// A PEM block that does not hold what it says.
    #[error("the signing request is damaged")]
    Damaged,
    /// Of another version than 1, which is the only one.
    #[error("the signing request is of an unknown version")]
    Version,
    /// Two or more.
    #[error("the signing request has several common names")]
    SeveralNames,
    /// BMPString and the like.
    #[error("the signing request's common name is not in UTF-8 or ASCII")]
    NameEncoding,
    /// Weak, or of a kind that is not taken.
    #[error("the signing request is refused: {0}")]
    Key(#[from] PublicKeyError),
    /// Whoever made the request does not have the key.
    #[error("the signing request is refused: {0}")]
    Signature(#[from] SignatureError),
}

/// A request whose signature is right and whose key is good enough.
#[derive(Clone, Debug)]
pub struct SigningRequest {
    common_name: Option<String>,
    kind: PublicKind,
    /// The DER of the SubjectPublicKeyInfo as it stands in the request.
    public: Vec<u8>,
    ignored: Vec<String>,
}

impl SigningRequest {
    /// Reads PEM (with text around it) or DER, and checks the signature and the key.
    ///
    /// # Errors
    ///
    /// See [`RequestError`].
    pub fn read(bytes: &[u8]) -> Result<Self, RequestError> {
        if bytes.len() > MAX_REQUEST_BYTES {
            return Err(RequestError::TooLarge);
        }
        if !inspect::is_pem(bytes) {
            return Self::from_der(bytes).map_err(|error| match error {
                RequestError::Damaged => RequestError::NoRequest,
                error => error,
            });
        }
        let mut found: Option<Vec<u8>> = None;
        let mut other = RequestError::NoRequest;
        for block in Pem::iter_from_buffer(bytes) {
            let block = block.map_err(|_| RequestError::Damaged)?;
            match block.label.as_str() {
                "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST" if found.is_some() => {
                    return Err(RequestError::Several);
                }
                "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST" => found = Some(block.contents),
                label if label.ends_with("PRIVATE KEY") => other = RequestError::PrivateKey,
                label if other == RequestError::NoRequest => other = RequestError::Other(label.to_owned()),
                _ => {}
            }
        }
        Self::from_der(&found.ok_or(other)?)
    }

    /// The key of the first certificate of a PEM text, to be certified again under the same name. Whoever has the
    /// certificate has shown the key before.
    ///
    /// # Errors
    ///
    /// No certificate, or a key that is not good enough any more.
    pub fn again(certificate: &[u8]) -> Result<Self, RequestError> {
        let block = Pem::iter_from_buffer(certificate).next().and_then(Result::ok);
        let block = block.ok_or(RequestError::Damaged)?;
        let (_, found) = X509Certificate::from_der(&block.contents).map_err(|_| RequestError::Damaged)?;
        let info = found.public_key();
        Ok(Self {
            common_name: None,
            kind: public::judge(info)?,
            public: info.raw.to_vec(),
            ignored: Vec::new(),
        })
    }

    fn from_der(der: &[u8]) -> Result<Self, RequestError> {
        let (rest, request) = X509CertificationRequest::from_der(der).map_err(|_| RequestError::Damaged)?;
        if !rest.is_empty() {
            return Err(RequestError::Damaged);
        }
        // The reader above takes some tags for others; this one does not.
        CertReq::from_der(der).map_err(|_| RequestError::Damaged)?;
        let info = &request.certification_request_info;
        if info.version.0 != 0 {
            return Err(RequestError::Version);
        }
        let kind = public::judge(&info.subject_pki)?;
        let signature = &request.signature_value;
        if signature.unused_bits != 0 {
            return Err(SignatureError::Wrong.into());
        }
        public::check_signature(&info.subject_pki, &request.signature_algorithm, info.raw, &signature.data)?;
        // It goes into the certificate byte for byte, and must be what that may hold.
        SubjectPublicKeyInfoOwned::from_der(info.subject_pki.raw).map_err(|_| PublicKeyError::Damaged)?;
        Ok(Self {
            common_name: common_name(&request)?,
            kind,
            public: info.subject_pki.raw.to_vec(),
            ignored: ignored(&request),
        })
    }

    /// The one common name of its subject.
    #[must_use]
    pub fn common_name(&self) -> Option<&str> {
        self.common_name.as_deref()
    }

    /// What kind of key it is for.
    #[must_use]
    pub fn kind(&self) -> PublicKind {
        self.kind
    }

    /// What else it asks for and does not get, one phrase each.
    #[must_use]
    pub fn ignored(&self) -> &[String] {
        &self.ignored
    }

    pub(crate) fn public_der(&self) -> &[u8] {
        &self.public
    }
}

fn common_name(request: &X509CertificationRequest<'_>) -> Result<Option<String>, RequestError> {
    let subject = &request.certification_request_info.subject;
    let mut names = subject.iter_attributes().filter(|found| *found.attr_type() == OID_X509_COMMON_NAME);
    let Some(name) = names.next() else { return Ok(None) };
    if names.next().is_some() {
        return Err(RequestError::SeveralNames);
    }
    let value = name.attr_value();
    let plain = matches!(value.tag(), Tag::Utf8String | Tag::PrintableString | Tag::Ia5String);
    let text = core::str::from_utf8(value.data).ok().filter(|_| plain).ok_or(RequestError::NameEncoding)?;
    Ok(Some(text.to_owned()).filter(|text| !text.is_empty()))
}

/// Other fields of the subject, and extensions.
fn ignored(request: &X509CertificationRequest<'_>) -> Vec<String> {
    let subject = &request.certification_request_info.subject;
    let others = subject.iter_attributes().filter(|found| *found.attr_type() != OID_X509_COMMON_NAME).count();
    let mut ignored = Vec::new();
    if others > 0 {
        ignored.push(format!("the subject `{subject}` beside its common name"));
    }
    ignored.extend(request.requested_extensions().into_iter().flatten().filter_map(inspect::extension));
    ignored
}
