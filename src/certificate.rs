//! What a client certificate says, read from DER that nobody has vouched for.
#![forbid(unsafe_code)]

use std::fmt;

use sha2::{Digest, Sha256};
use thiserror::Error;
use x509_parser::{
    asn1_rs::Tag, certificate::X509Certificate, extensions::GeneralName, oid_registry::OID_X509_COMMON_NAME,
    prelude::FromDer,
};

use crate::{
    clock::UnixSeconds,
    config::IdentitySource,
    diag::Visible,
    ident::{self, NameError},
    registry::Fingerprint,
};

/// What a source is called in a sentence.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Found {
    /// The subject's common name.
    CommonName,
    /// A DNS name among the subject's alternative names.
    DnsName,
    /// A URI among them.
    Uri,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CommonName => "common name",
            Self::DnsName => "DNS name",
            Self::Uri => "URI",
        })
    }
}

impl From<&IdentitySource> for Found {
    fn from(source: &IdentitySource) -> Self {
        match source {
            IdentitySource::CommonName => Self::CommonName,
            IdentitySource::SanDns => Self::DnsName,
            IdentitySource::SanUri { .. } => Self::Uri,
        }
    }
}

/// The fingerprint of a certificate in DER.
#[must_use]
pub fn fingerprint(der: &[u8]) -> Fingerprint {
    Fingerprint(Sha256::digest(der).into())
}

/// A certificate as far as admission cares.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Certificate {
    /// The device it names.
    pub name: String,
    /// Of the leaf's DER.
    pub fingerprint: Fingerprint,
    /// First second of its validity.
    pub not_before: UnixSeconds,
    /// Last second of its validity.
    pub not_after: UnixSeconds,
}

/// Why a certificate names nobody.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum CertificateError {
    /// Larger than is looked at, or the broker could not give it.
    #[error("the certificate cannot be read")]
    Unreadable,
    /// Not a certificate.
    #[error("the certificate is malformed")]
    Malformed,
    /// None of the configured sources is in it.
    #[error("the certificate has no name where the configuration looks for one")]
    NoName,
    /// Which of them would be meant?
    #[error("the certificate has several values for its {0}")]
    Several(Found),
    /// BMPString, TeletexString and the like, or bytes that are not UTF-8.
    #[error("the certificate's {0} is not in UTF-8 or ASCII")]
    Encoding(Found),
    /// A text that no device can be called.
    #[error("the certificate's {found} `{text}` is no device name: {reason}", text = Visible(.text))]
    Name {
        /// Where it stands.
        found: Found,
        /// As it stands there.
        text: String,
        /// What is wrong with it.
        reason: NameError,
    },
}

impl Certificate {
    /// Reads `der` and takes the name from the first of `sources` that is present; there is no falling through
    /// to a later one when that is invalid or ambiguous.
    ///
    /// Dates are reported, not judged. Signatures are the broker's business.
    ///
    /// # Errors
    ///
    /// Not a certificate, or no single valid name in the deciding source.
    pub fn parse(der: &[u8], sources: &[IdentitySource]) -> Result<Self, CertificateError> {
        let (rest, parsed) = X509Certificate::from_der(der).map_err(|_| CertificateError::Malformed)?;
        if !rest.is_empty() {
            return Err(CertificateError::Malformed);
        }
        for source in sources {
            let mut values = values(&parsed, source)?.into_iter();
            let Some(first) = values.next() else { continue };
            if values.next().is_some() {
                return Err(CertificateError::Several(source.into()));
            }
            let text = first.ok_or_else(|| CertificateError::Encoding(source.into()))?;
            ident::check_name(text).map_err(|reason| CertificateError::Name {
                found: source.into(),
                text: text.to_owned(),
                reason,
            })?;
            return Ok(Self {
                name: text.to_owned(),
                fingerprint: fingerprint(der),
                not_before: UnixSeconds(parsed.validity().not_before.timestamp()),
                not_after: UnixSeconds(parsed.validity().not_after.timestamp()),
            });
        }
        Err(CertificateError::NoName)
    }
}

/// SOURCE: RFC 5280 section 4.2.1.6, `GeneralName`, as for the next.
const DNS_NAME: Tag = Tag(2);
const UNIFORM_RESOURCE_IDENTIFIER: Tag = Tag(6);

/// All values of one source; `None` stands for a value in an encoding that is refused.
fn values<'a>(
    parsed: &'a X509Certificate<'_>,
    source: &IdentitySource,
) -> Result<Vec<Option<&'a str>>, CertificateError> {
    if *source == IdentitySource::CommonName {
        let names =
            parsed.subject().iter_attributes().filter(|found| *found.attr_type() == OID_X509_COMMON_NAME);
        return Ok(names
            .map(|found| {
                let value = found.attr_value();
                let plain = matches!(value.tag(), Tag::Utf8String | Tag::PrintableString | Tag::Ia5String);
                core::str::from_utf8(value.data).ok().filter(|_| plain)
            })
            .collect());
    }
    let names = parsed.subject_alternative_name().map_err(|_| CertificateError::Malformed)?;
    let names = names.map(|extension| extension.value.general_names.as_slice()).unwrap_or_default();
    Ok(names
        .iter()
        .filter_map(|name| match (source, name) {
            (IdentitySource::SanDns, GeneralName::DNSName(text)) => Some(Some(*text)),
            (IdentitySource::SanUri { prefix }, GeneralName::URI(text)) => {
                text.strip_prefix(&**prefix).map(Some)
            }
            // What the parser could not decode is there all the same, and no later source may decide instead.
            (IdentitySource::SanDns, GeneralName::Invalid(DNS_NAME, _)) => Some(None),
            (IdentitySource::SanUri { prefix }, GeneralName::Invalid(UNIFORM_RESOURCE_IDENTIFIER, bytes)) => {
                bytes.starts_with(prefix.as_bytes()).then_some(None)
            }
            _ => None,
        })
        .collect())
}

#[cfg(test)]
mod tests;
