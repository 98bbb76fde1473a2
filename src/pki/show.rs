//! Everything that a file of certificates can hold, for people and for JSON: never anything secret.
#![forbid(unsafe_code)]

use std::{fmt, sync::mpsc, thread, time::Duration};

use jiff::Timestamp;
use p12_keystore::Pkcs12Archive;
use serde::Serialize;
use thiserror::Error;
use x509_parser::{
    certification_request::X509CertificationRequest, pem::Pem, prelude::FromDer as _,
    x509::SubjectPublicKeyInfo,
};

use super::{
    crl::{self, CrlView},
    inspect::{self, CertificateView, algorithm, key},
    key::{KeyError, PrivateKey},
    request::SigningRequest,
    sign::fingerprint,
    tasmota,
};
use crate::{diag::Visible, secret::Secret};

/// Largest file that is looked at: a revocation list of some hundred thousand certificates.
pub const MAX_BYTES: u64 = 16 << 20;

/// A store may say how often its passphrase is to be turned, up to thousands of millions of times.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why nothing is shown.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum ShowError {
    /// None of the kinds.
    #[error(
        "this is no certificate, signing request, key, revocation list or PKCS#12 store, neither PEM nor DER"
    )]
    Unknown,
    /// A PEM block that does not hold what it says.
    #[error("the {1} at place {0} in this file is damaged")]
    Damaged(usize, &'static str),
    /// Nobody has given one.
    #[error("this is a PKCS#12 store, which needs its passphrase")]
    PassphraseNeeded,
    /// The passphrase does not open it, or it was changed.
    #[error("the passphrase does not open the PKCS#12 store, or it is damaged")]
    WrongPassphrase,
    /// Of a kind that is not read.
    #[error("the PKCS#12 store cannot be read: {0}")]
    Store(String),
    /// It asks for more work than any honest one.
    #[error("the passphrase is to be turned so often that it was given up after {} seconds", PATIENCE.as_secs())]
    TooLong,
}

/// One thing in a file.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Item {
    /// Of anybody.
    Certificate(Box<CertificateView>),
    /// PKCS#10.
    Request(RequestView),
    /// What is known of a private key without showing it.
    PrivateKey(KeyView),
    /// A public key by itself.
    PublicKey(KeyView),
    /// A revocation list.
    Crl(CrlView),
    /// Something else in PEM.
    Other {
        /// As it stands there.
        label: String,
    },
}

/// What stands in a signing request.
#[derive(Clone, Debug, Serialize)]
pub struct RequestView {
    /// As `CN=thunder10`.
    pub subject: String,
    /// Names, purposes and other extensions that it asks for.
    pub asks_for: Vec<String>,
    /// `P-256`, `RSA 2048`, …
    pub key: String,
    /// The algorithm of the signature.
    pub signature: String,
    /// Of the public key's DER, lower-case hexadecimal.
    pub public_sha256: String,
    /// Why it would not be certified; `None` if its key and its signature are good.
    pub refused: Option<String>,
}

/// What may be known of a key.
#[derive(Clone, Debug, Serialize)]
pub struct KeyView {
    /// In a PKCS#12 store, what it is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    /// Of a private key: whether it needs a passphrase.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encrypted: Option<bool>,
    /// `P-256`, `RSA 2048`, …; `None` where it was not opened.
    pub key: Option<String>,
    /// Of the public key's DER, lower-case hexadecimal: the same as that of its certificate.
    pub public_sha256: Option<String>,
    /// How Tasmota calls a broker with this key, where it takes such keys.
    pub tasmota_fingerprint: Option<String>,
    /// Why nothing is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unread: Option<String>,
}

/// Everything in a file, in its order. The passphrase opens keys and stores; without one, keys are shown as far as
/// that goes.
///
/// # Errors
///
/// Nothing that is known, something damaged, or a store that does not open.
pub fn items(bytes: &[u8], passphrase: Option<&Secret>) -> Result<Vec<Item>, ShowError> {
    if inspect::is_pem(bytes) { pem(bytes, passphrase) } else { der(bytes, passphrase) }
}

/// Whether a passphrase is needed to look into it at all.
#[must_use]
pub fn is_store(bytes: &[u8]) -> bool {
    // SOURCE: RFC 7292 section 4: a sequence that begins with the version 3, and goes on with a sequence.
    let Some((0x30, rest)) = bytes.split_first() else { return false };
    let header = match rest.split_first() {
        Some((length, _)) if *length < 0x80 => 1,
        Some((length, _)) => 1 + usize::from(*length & 0x7f),
        None => return false,
    };
    matches!(rest.get(header..), Some([0x02, 0x01, 0x03, 0x30, ..]))
}

fn pem(bytes: &[u8], passphrase: Option<&Secret>) -> Result<Vec<Item>, ShowError> {
    const BEGIN: &[u8] = b"-----BEGIN ";
    let starts: Vec<usize> =
        bytes.windows(BEGIN.len()).enumerate().filter(|(_, part)| *part == BEGIN).map(|(at, _)| at).collect();
    let ends = starts.iter().skip(1).copied().chain([bytes.len()]);
    let mut items = Vec::new();
    for (start, end) in starts.iter().zip(ends) {
        let block = bytes.get(*start..end).unwrap_or_default();
        items.extend(pem_block(block, items.len() + 1, passphrase)?);
    }
    if items.is_empty() { Err(ShowError::Unknown) } else { Ok(items) }
}

/// The block that a text begins with; nothing for what only goes with others.
fn pem_block(block: &[u8], place: usize, passphrase: Option<&Secret>) -> Result<Option<Item>, ShowError> {
    let label = block.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let label =
        String::from_utf8_lossy(label).trim().trim_matches('-').trim_start_matches("BEGIN ").to_owned();
    let content = |what| match Pem::iter_from_buffer(block).next() {
        Some(Ok(pem)) => Ok(pem.contents),
        _ => Err(ShowError::Damaged(place, what)),
    };
    Ok(Some(match label.as_str() {
        "CERTIFICATE" | "X509 CERTIFICATE" | "TRUSTED CERTIFICATE" => {
            const WHAT: &str = "certificate";
            let view = inspect::certificate(&content(WHAT)?).ok_or(ShowError::Damaged(place, WHAT))?;
            Item::Certificate(Box::new(view))
        }
        "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST" => {
            const WHAT: &str = "signing request";
            Item::Request(request(&content(WHAT)?).ok_or(ShowError::Damaged(place, WHAT))?)
        }
        "X509 CRL" => {
            const WHAT: &str = "revocation list";
            Item::Crl(crl::view(&content(WHAT)?).ok_or(ShowError::Damaged(place, WHAT))?)
        }
        "PUBLIC KEY" => {
            const WHAT: &str = "public key";
            let content = content(WHAT)?;
            let (_, info) =
                SubjectPublicKeyInfo::from_der(&content).map_err(|_| ShowError::Damaged(place, WHAT))?;
            Item::PublicKey(KeyView::of(&info))
        }
        "EC PARAMETERS" | "DH PARAMETERS" => return Ok(None),
        "OPENSSH PRIVATE KEY" => Item::Other { label },
        other if other.ends_with("PRIVATE KEY") => Item::PrivateKey(private_key(block, passphrase)),
        _ => Item::Other { label },
    }))
}

fn der(bytes: &[u8], passphrase: Option<&Secret>) -> Result<Vec<Item>, ShowError> {
    if is_store(bytes) {
        return store(bytes, passphrase.ok_or(ShowError::PassphraseNeeded)?);
    }
    let certificate = || Some(Item::Certificate(Box::new(inspect::certificate(bytes)?)));
    let request = || request(bytes).map(Item::Request);
    let list = || crl::view(bytes).map(Item::Crl);
    let key = || Some(Item::PrivateKey(KeyView::of_private(&PrivateKey::from_pkcs8(bytes).ok()?, false)));
    let found = certificate().or_else(request).or_else(list).or_else(key);
    found.map(|item| vec![item]).ok_or(ShowError::Unknown)
}

fn request(der: &[u8]) -> Option<RequestView> {
    let (rest, request) = X509CertificationRequest::from_der(der).ok()?;
    let info = &request.certification_request_info;
    let asked = request.requested_extensions().into_iter().flatten().filter_map(inspect::extension);
    let view = RequestView {
        subject: info.subject.to_string(),
        asks_for: asked.collect(),
        key: key(&info.subject_pki),
        signature: algorithm(&request.signature_algorithm),
        public_sha256: fingerprint(info.subject_pki.raw),
        refused: SigningRequest::read(der).err().map(|error| error.to_string()),
    };
    rest.is_empty().then_some(view)
}

/// The first key of a PEM text.
fn private_key(block: &[u8], passphrase: Option<&Secret>) -> KeyView {
    let text = String::from_utf8_lossy(block);
    let encrypted = text.contains("BEGIN ENCRYPTED ") || text.contains("Proc-Type:");
    let (block, passphrase) = (Secret::new(block.to_vec()), passphrase.map(|known| known.expose().to_vec()));
    let opened = patiently(move || {
        let passphrase = passphrase.map(Secret::new);
        PrivateKey::from_pem(block.expose(), passphrase.as_ref())
    });
    let unread = match opened {
        Some(Ok(key)) => return KeyView::of_private(&key, encrypted),
        Some(Err(KeyError::PassphraseNeeded)) => "it was not opened".to_owned(),
        Some(Err(error)) => error.to_string(),
        None => ShowError::TooLong.to_string(),
    };
    KeyView { encrypted: Some(encrypted), unread: Some(unread), ..KeyView::NOTHING }
}

fn store(bytes: &[u8], passphrase: &Secret) -> Result<Vec<Item>, ShowError> {
    let Ok(passphrase) = String::from_utf8(passphrase.expose().to_vec()) else {
        return Err(ShowError::WrongPassphrase);
    };
    let bytes = bytes.to_vec();
    let archive = patiently(move || Pkcs12Archive::from_pkcs12(&bytes, &passphrase));
    let archive = match archive.ok_or(ShowError::TooLong)? {
        Ok(archive) => archive,
        Err(p12_keystore::error::Error::MacError(_) | p12_keystore::error::Error::UnpadError) => {
            return Err(ShowError::WrongPassphrase);
        }
        Err(error) => return Err(ShowError::Store(error.to_string())),
    };
    let mut items = Vec::new();
    for bag in &archive.keys {
        let view = match PrivateKey::from_pkcs8(bag.key.as_der()) {
            Ok(key) => KeyView::of_private(&key, true),
            Err(error) => {
                KeyView { encrypted: Some(true), unread: Some(error.to_string()), ..KeyView::NOTHING }
            }
        };
        items.push(Item::PrivateKey(KeyView { alias: bag.friendly_name.clone(), ..view }));
    }
    for (place, bag) in archive.certs.iter().enumerate() {
        let view = inspect::certificate(bag.cert.as_der());
        let view = view.ok_or(ShowError::Damaged(items.len().max(place + 1), "certificate"))?;
        items.push(Item::Certificate(Box::new(view)));
    }
    Ok(items)
}

/// What comes of it in a time that a person waits; the rest of the work ends with the process.
fn patiently<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (done, result) = mpsc::channel();
    thread::spawn(move || {
        // Nobody may be waiting any more.
        let _ = done.send(work());
    });
    result.recv_timeout(PATIENCE).ok()
}

impl KeyView {
    const NOTHING: Self = Self {
        alias: None,
        encrypted: None,
        key: None,
        public_sha256: None,
        tasmota_fingerprint: None,
        unread: None,
    };

    fn of(info: &SubjectPublicKeyInfo<'_>) -> Self {
        Self {
            key: Some(key(info)),
            public_sha256: Some(fingerprint(info.raw)),
            tasmota_fingerprint: tasmota::fingerprint(info),
            ..Self::NOTHING
        }
    }

    fn of_private(private: &PrivateKey, encrypted: bool) -> Self {
        let view = SubjectPublicKeyInfo::from_der(private.public_der()).map(|(_, info)| Self::of(&info));
        Self { encrypted: Some(encrypted), ..view.unwrap_or(Self::NOTHING) }
    }
}

/// Certificates of a list that people are shown.
const SHOWN: usize = 20;

impl fmt::Display for Item {
    /// Lines of `label  value`, without a final line end; text of others cannot start a line of its own.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificate(view) => view.fmt(f),
            Self::Request(view) => lines(
                f,
                "signing request",
                &[
                    ("subject", view.subject.clone()),
                    ("asks for", view.asks_for.join(", ")),
                    ("key", view.key.clone()),
                    ("signature", view.signature.clone()),
                    ("public sha256", view.public_sha256.clone()),
                    ("refused", view.refused.clone().unwrap_or_default()),
                ],
            ),
            Self::PrivateKey(view) => {
                let encrypted = if view.encrypted == Some(true) { "encrypted" } else { "not encrypted" };
                lines(f, &format!("private key      {encrypted}"), &view.lines())
            }
            Self::PublicKey(view) => lines(f, "public key", &view.lines()),
            Self::Crl(view) => list(f, view),
            Self::Other { label } => {
                write!(f, "{:<16} nothing is known of it", Visible(&label.to_lowercase()).to_string())
            }
        }
    }
}

impl KeyView {
    fn lines(&self) -> [(&'static str, String); 5] {
        [
            ("called", self.alias.clone().unwrap_or_default()),
            ("key", self.key.clone().unwrap_or_default()),
            ("public sha256", self.public_sha256.clone().unwrap_or_default()),
            ("for Tasmota", self.tasmota_fingerprint.clone().unwrap_or_default()),
            ("unread", self.unread.clone().unwrap_or_default()),
        ]
    }
}

fn lines(f: &mut fmt::Formatter<'_>, title: &str, lines: &[(&str, String)]) -> fmt::Result {
    f.write_str(title)?;
    for (label, value) in lines.iter().filter(|(_, value)| !value.is_empty()) {
        write!(f, "\n{label:<16} {}", Visible(value))?;
    }
    Ok(())
}

fn list(f: &mut fmt::Formatter<'_>, view: &CrlView) -> fmt::Result {
    let ended = view.next_update.as_ref().and_then(|end| end.parse::<Timestamp>().ok());
    let end = match (&view.next_update, ended.is_some_and(|end| end < Timestamp::now())) {
        (None, _) => "never, which no profile allows".to_owned(),
        (Some(end), false) => end.clone(),
        (Some(end), true) => format!("{end}: it has ended, and brokers that use it let nobody in"),
    };
    lines(
        f,
        "revocation list",
        &[
            ("issuer", view.issuer.clone()),
            ("number", view.number.clone().unwrap_or_default()),
            ("from", view.this_update.to_string()),
            ("until", end),
            ("signature", view.signature.clone()),
            ("issuer's key id", view.authority_key_id.clone().unwrap_or_default()),
            ("revoked", format!("{} certificates", view.revoked.len())),
        ],
    )?;
    for entry in view.revoked.iter().take(SHOWN) {
        let reason = entry.reason.as_deref().unwrap_or_default();
        write!(f, "\n  {}  {}  {}", Visible(&entry.serial), entry.at, Visible(reason))?;
    }
    match view.revoked.len().checked_sub(SHOWN) {
        Some(more) if more > 0 => write!(f, "\n  and {more} more; --format json has them all"),
        _ => Ok(()),
    }
}
