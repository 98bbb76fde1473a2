//! Certificates and CRLs in the files that the broker reads, which have to be PEM.

use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, pem::PemObject as _};
use x509_parser::{certificate::X509Certificate, parse_x509_certificate};

use super::signature;
use crate::pki::inspect::{CertificateView, certificate};

/// A certificate, and what stands in it.
#[derive(Clone, Debug)]
pub struct Cert {
    /// What stands in it.
    pub view: CertificateView,
    der: CertificateDer<'static>,
}

impl Cert {
    /// Reads DER; none if it is no certificate.
    #[must_use]
    pub fn from_der(der: CertificateDer<'static>) -> Option<Self> {
        Some(Self { view: certificate(&der)?, der })
    }

    /// As it stands in the file, decoded.
    #[must_use]
    pub fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    pub(super) fn parsed(&self) -> Option<X509Certificate<'_>> {
        parse_x509_certificate(&self.der).ok().map(|(_, certificate)| certificate)
    }

    /// The DER of its SubjectPublicKeyInfo.
    #[must_use]
    pub fn public_key(&self) -> Option<Vec<u8>> {
        self.parsed().map(|certificate| certificate.public_key().raw.to_vec())
    }

    /// Whether that one names it as its issuer.
    #[must_use]
    pub fn is_named_by(&self, other: &Self) -> bool {
        match (self.parsed(), other.parsed()) {
            (Some(own), Some(other)) => own.subject().as_raw() == other.issuer().as_raw(),
            _ => false,
        }
    }

    /// Whether its key has signed that one; none where the algorithm is not known here.
    #[must_use]
    pub fn has_signed(&self, other: &Self) -> Option<bool> {
        let (own, other) = (self.parsed()?, other.parsed()?);
        signature::verifies(
            own.public_key(),
            &other.signature_algorithm,
            (other.tbs_certificate.as_ref(), &other.signature_value.data),
        )
    }

    /// Whether it may sign others: OpenSSL takes a self-signed one of version 1 as an authority too.
    #[must_use]
    pub fn is_authority(&self) -> bool {
        self.view.is_ca || (self.view.version == 1 && self.view.self_issued)
    }

    /// How people call it.
    #[must_use]
    pub fn name(&self) -> &str {
        self.view.common_names.first().map_or(&self.view.subject, String::as_str)
    }
}

/// The certificates of a PEM file, in its order; those that cannot be read are left out.
#[must_use]
pub fn certificates(pem: &[u8]) -> Vec<Cert> {
    CertificateDer::pem_slice_iter(pem)
        .filter_map(Result::ok)
        .filter_map(|der| Cert::from_der(der.into_owned()))
        .collect()
}

/// The CRLs of a PEM file, as DER; none if a block is damaged.
pub(super) fn revocation_lists(pem: &[u8]) -> Option<Vec<Vec<u8>>> {
    CertificateRevocationListDer::pem_slice_iter(pem)
        .map(|found| found.ok().map(|der| der.to_vec()))
        .collect()
}
