//! Reading certificates back, ours or anybody's, for people and for JSON.
#![forbid(unsafe_code)]

use std::{fmt, net::IpAddr};

use jiff::Timestamp;
use serde::Serialize;
use thiserror::Error;
use x509_parser::{
    certificate::X509Certificate,
    extensions::{ExtendedKeyUsage, GeneralName, KeyUsage, ParsedExtension},
    objects::{oid_registry, oid2abbrev},
    oid_registry::OID_X509_COMMON_NAME,
    parse_x509_certificate,
    pem::Pem,
    public_key::PublicKey,
    time::ASN1Time,
    x509::{AlgorithmIdentifier, SubjectPublicKeyInfo},
};

use super::{
    sign::{fingerprint, hex},
    subject::Subject,
    tasmota, when,
};
use crate::diag::Visible;

/// Why a file shows nothing.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum InspectError {
    /// Neither a PEM certificate nor DER.
    #[error("this is no certificate, neither PEM nor DER")]
    NoCertificate,
    /// A private key, by its label.
    #[error("this is a private key, not a certificate")]
    Key,
    /// A PEM block that does not hold what it says.
    #[error("certificate {0} in this file is damaged")]
    Damaged(usize),
}

/// What stands in a certificate.
#[derive(Clone, Debug, Serialize)]
pub struct CertificateView {
    /// 1 or 3; many clients refuse 1.
    pub version: u32,
    /// As `C=IT, O=Rossi, CN=thunder10`.
    pub subject: String,
    /// All of them; ours have one.
    pub common_names: Vec<String>,
    /// As the subject.
    pub issuer: String,
    /// Whether subject and issuer are the same.
    pub self_issued: bool,
    /// Lower-case hexadecimal.
    pub serial: String,
    /// First second.
    #[serde(with = "when")]
    pub not_before: Timestamp,
    /// Last second.
    #[serde(with = "when")]
    pub not_after: Timestamp,
    /// `DNS:…`, `IP:…`, `URI:…`, `email:…`, `other`.
    pub alternative_names: Vec<String>,
    /// Whether it may sign certificates.
    pub is_ca: bool,
    /// How many authorities may follow below.
    pub path_length: Option<u32>,
    /// As RFC 5280 calls them.
    pub key_usage: Vec<&'static str>,
    /// As RFC 5280 calls them, or OIDs.
    pub extended_key_usage: Vec<String>,
    /// Lower-case hexadecimal.
    pub subject_key_id: Option<String>,
    /// Lower-case hexadecimal.
    pub authority_key_id: Option<String>,
    /// `P-256`, `RSA 2048`, …
    pub key: String,
    /// The algorithm of the signature.
    pub signature: String,
    /// Of the DER, lower-case hexadecimal.
    pub sha256: String,
    /// Of the public key's DER, lower-case hexadecimal: what a certificate and its key have in common.
    pub public_sha256: String,
    /// What Tasmota's `MqttFingerprint` takes for a broker with this certificate; `None` for keys that it does not take.
    pub tasmota_fingerprint: Option<String>,
}

/// All certificates of a PEM file in their order, or the one of a DER file. At least one.
///
/// # Errors
///
/// No certificate, or a damaged one.
pub fn certificates(bytes: &[u8]) -> Result<Vec<CertificateView>, InspectError> {
    if !is_pem(bytes) {
        return certificate(bytes).map(|found| vec![found]).ok_or(InspectError::NoCertificate);
    }
    let mut views = Vec::new();
    let mut other = InspectError::NoCertificate;
    for block in Pem::iter_from_buffer(bytes) {
        let damaged = InspectError::Damaged(views.len() + 1);
        let block = block.map_err(|_| damaged)?;
        match block.label.as_str() {
            "CERTIFICATE" | "X509 CERTIFICATE" | "TRUSTED CERTIFICATE" => {
                views.push(certificate(&block.contents).ok_or(damaged)?);
            }
            label if label.ends_with("PRIVATE KEY") => other = InspectError::Key,
            _ => {}
        }
    }
    if views.is_empty() { Err(other) } else { Ok(views) }
}

/// Whether there is anything in PEM in it.
pub(crate) fn is_pem(bytes: &[u8]) -> bool {
    const BEGIN: &[u8] = b"-----BEGIN ";
    bytes.windows(BEGIN.len()).any(|window| window == BEGIN)
}

/// Whether the first certificate of a PEM text has that key (DER of its SubjectPublicKeyInfo).
pub(crate) fn has_key(pem: &[u8], public: &[u8]) -> bool {
    let Some(Ok(block)) = Pem::iter_from_buffer(pem).next() else { return false };
    parse_x509_certificate(&block.contents).is_ok_and(|(_, found)| found.public_key().raw == public)
}

/// The fields of the first certificate's subject that people may set; `None` if they cannot be read.
#[must_use]
pub fn subject(pem: &[u8]) -> Option<Subject> {
    let block = Pem::iter_from_buffer(pem).next()?.ok()?;
    let (_, found) = parse_x509_certificate(&block.contents).ok()?;
    let attributes = found.subject().iter_attributes();
    let fields: Option<Vec<(String, String)>> = attributes
        .filter(|attribute| *attribute.attr_type() != OID_X509_COMMON_NAME)
        .map(|attribute| {
            let name = oid2abbrev(attribute.attr_type(), oid_registry()).ok()?;
            Some((name.to_owned(), attribute.as_str().ok()?.to_owned()))
        })
        .collect();
    Subject::of_fields(&fields?).ok()
}

/// One certificate in DER; `None` if it is none.
#[must_use]
pub fn certificate(der: &[u8]) -> Option<CertificateView> {
    let (rest, certificate) = parse_x509_certificate(der).ok()?;
    let own = der.get(..der.len() - rest.len())?;
    let mut view = CertificateView {
        version: certificate.version().0.saturating_add(1),
        subject: certificate.subject().to_string(),
        common_names: certificate.subject().iter_common_name().map(text).collect(),
        issuer: certificate.issuer().to_string(),
        self_issued: certificate.subject().as_raw() == certificate.issuer().as_raw(),
        serial: hex(certificate.raw_serial()),
        not_before: timestamp(certificate.validity().not_before)?,
        not_after: timestamp(certificate.validity().not_after)?,
        alternative_names: Vec::new(),
        is_ca: false,
        path_length: None,
        key_usage: Vec::new(),
        extended_key_usage: Vec::new(),
        subject_key_id: None,
        authority_key_id: None,
        key: key(certificate.public_key()),
        signature: algorithm(&certificate.signature_algorithm),
        sha256: fingerprint(own),
        public_sha256: fingerprint(certificate.public_key().raw),
        tasmota_fingerprint: tasmota::fingerprint(certificate.public_key()),
    };
    view.read_extensions(&certificate);
    Some(view)
}

impl CertificateView {
    fn read_extensions(&mut self, certificate: &X509Certificate<'_>) {
        for extension in certificate.extensions() {
            match extension.parsed_extension() {
                ParsedExtension::BasicConstraints(found) => {
                    self.is_ca = found.ca;
                    self.path_length = found.path_len_constraint;
                }
                ParsedExtension::KeyUsage(found) => self.key_usage = usages(found),
                ParsedExtension::ExtendedKeyUsage(found) => self.extended_key_usage = purposes(found),
                ParsedExtension::SubjectAlternativeName(found) => {
                    self.alternative_names = found.general_names.iter().map(general_name).collect();
                }
                ParsedExtension::SubjectKeyIdentifier(id) => self.subject_key_id = Some(hex(id.0)),
                ParsedExtension::AuthorityKeyIdentifier(found) => {
                    self.authority_key_id = found.key_identifier.as_ref().map(|id| hex(id.0));
                }
                _ => {}
            }
        }
    }
}

impl CertificateView {
    fn may_be_a_brokers(&self) -> bool {
        let purposes = &self.extended_key_usage;
        !self.is_ca && (purposes.is_empty() || purposes.iter().any(|purpose| purpose == "serverAuth"))
    }
}

impl fmt::Display for CertificateView {
    /// Lines of `label  value`, without a final line end; text of others cannot start a line of its own.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authority = match (self.is_ca, self.path_length) {
            (false, _) => "no".to_owned(),
            (true, None) => "yes".to_owned(),
            (true, Some(length)) => format!("yes, path length {length}"),
        };
        let lines = [
            ("subject", self.subject.clone()),
            ("issuer", self.issuer.clone()),
            ("serial", self.serial.clone()),
            ("valid from", self.not_before.to_string()),
            ("valid until", self.not_after.to_string()),
            ("names", self.alternative_names.join(", ")),
            ("authority", authority),
            ("usage", self.key_usage.join(", ")),
            ("purpose", self.extended_key_usage.join(", ")),
            ("key", self.key.clone()),
            ("signature", self.signature.clone()),
            ("key id", self.subject_key_id.clone().unwrap_or_default()),
            ("issuer's key id", self.authority_key_id.clone().unwrap_or_default()),
            ("sha256", self.sha256.clone()),
            ("public sha256", self.public_sha256.clone()),
            (
                "for Tasmota",
                self.tasmota_fingerprint.clone().filter(|_| self.may_be_a_brokers()).unwrap_or_default(),
            ),
        ];
        write!(f, "{:<16} X.509 v{}", "certificate", self.version)?;
        for (label, value) in lines.iter().filter(|(_, value)| !value.is_empty()) {
            write!(f, "\n{label:<16} {}", Visible(value))?;
        }
        Ok(())
    }
}

fn timestamp(time: ASN1Time) -> Option<Timestamp> {
    Timestamp::from_second(time.timestamp()).ok()
}

/// An attribute as text, or its bytes where it is none.
fn text(attribute: &x509_parser::x509::AttributeTypeAndValue<'_>) -> String {
    attribute.as_str().map_or_else(|_| format!("#{}", hex(attribute.as_slice())), str::to_owned)
}

/// `DNS:…`, `IP:…`, `URI:…`, `email:…`, `other`.
pub(crate) fn general_name(name: &GeneralName<'_>) -> String {
    match name {
        GeneralName::DNSName(name) => format!("DNS:{name}"),
        GeneralName::URI(uri) => format!("URI:{uri}"),
        GeneralName::RFC822Name(mail) => format!("email:{mail}"),
        GeneralName::IPAddress(bytes) => match (<[u8; 4]>::try_from(*bytes), <[u8; 16]>::try_from(*bytes)) {
            (Ok(v4), _) => format!("IP:{}", IpAddr::from(v4)),
            (_, Ok(v6)) => format!("IP:{}", IpAddr::from(v6)),
            _ => format!("IP:#{}", hex(bytes)),
        },
        _ => "other".to_owned(),
    }
}

fn usages(usage: &KeyUsage) -> Vec<&'static str> {
    [
        (usage.digital_signature(), "digitalSignature"),
        (usage.non_repudiation(), "nonRepudiation"),
        (usage.key_encipherment(), "keyEncipherment"),
        (usage.data_encipherment(), "dataEncipherment"),
        (usage.key_agreement(), "keyAgreement"),
        (usage.key_cert_sign(), "keyCertSign"),
        (usage.crl_sign(), "cRLSign"),
        (usage.encipher_only(), "encipherOnly"),
        (usage.decipher_only(), "decipherOnly"),
    ]
    .into_iter()
    .filter_map(|(set, name)| set.then_some(name))
    .collect()
}

fn purposes(found: &ExtendedKeyUsage<'_>) -> Vec<String> {
    [
        (found.any, "any"),
        (found.server_auth, "serverAuth"),
        (found.client_auth, "clientAuth"),
        (found.code_signing, "codeSigning"),
        (found.email_protection, "emailProtection"),
        (found.time_stamping, "timeStamping"),
        (found.ocsp_signing, "OCSPSigning"),
    ]
    .into_iter()
    .filter(|(set, _)| *set)
    .map(|(_, name)| name.to_owned())
    .chain(found.other.iter().map(ToString::to_string))
    .collect()
}

/// What an extension that somebody asks for would say, in a few words.
pub(crate) fn extension(found: &ParsedExtension<'_>) -> Option<String> {
    let of = |what: &str, values: Vec<String>| Some(format!("{what} {}", values.join(", ")));
    match found {
        ParsedExtension::BasicConstraints(found) if found.ca => Some("to be an authority".to_owned()),
        ParsedExtension::BasicConstraints(_) | ParsedExtension::SubjectKeyIdentifier(_) => None,
        ParsedExtension::KeyUsage(found) => {
            of("the usage", usages(found).into_iter().map(str::to_owned).collect())
        }
        ParsedExtension::ExtendedKeyUsage(found) => of("the purpose", purposes(found)),
        ParsedExtension::SubjectAlternativeName(found) => {
            of("the names", found.general_names.iter().map(general_name).collect())
        }
        _ => Some("an extension that devices do not have".to_owned()),
    }
}

/// The key's kind and size.
pub(super) fn key(info: &SubjectPublicKeyInfo<'_>) -> String {
    let curve =
        || info.algorithm.parameters.as_ref().and_then(|any| any.as_oid().ok()).map(|oid| oid.to_string());
    match info.parsed() {
        Ok(PublicKey::RSA(_)) => format!("RSA {}", info.parsed().map_or(0, |key| key.key_size())),
        Ok(PublicKey::EC(_)) => match curve().as_deref() {
            Some("1.2.840.10045.3.1.7") => "P-256".to_owned(),
            Some("1.3.132.0.34") => "P-384".to_owned(),
            Some("1.3.132.0.35") => "P-521".to_owned(),
            other => format!("EC {}", other.unwrap_or("of unknown curve")),
        },
        _ if info.algorithm.algorithm.to_string() == "1.3.101.112" => "Ed25519".to_owned(),
        _ => info.algorithm.algorithm.to_string(),
    }
}

/// The algorithm of a signature, or its OID.
pub(crate) fn algorithm(found: &AlgorithmIdentifier<'_>) -> String {
    let oid = found.algorithm.to_string();
    match oid.as_str() {
        "1.2.840.10045.4.3.2" => "ecdsa-with-SHA256",
        "1.2.840.10045.4.3.3" => "ecdsa-with-SHA384",
        "1.2.840.10045.4.3.4" => "ecdsa-with-SHA512",
        "1.2.840.113549.1.1.5" => "sha1WithRSAEncryption",
        "1.2.840.113549.1.1.10" => "rsassaPss",
        "1.2.840.113549.1.1.11" => "sha256WithRSAEncryption",
        "1.2.840.113549.1.1.12" => "sha384WithRSAEncryption",
        "1.2.840.113549.1.1.13" => "sha512WithRSAEncryption",
        "1.3.101.112" => "Ed25519",
        other => other,
    }
    .to_owned()
}
