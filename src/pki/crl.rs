//! Revocation lists: made from the ledger, and read back before anybody relies on them.
//!
//! A broker whose list is damaged lets revoked devices in (2.0) or ends (2.1), and one whose list has expired lets
//! nobody in. So a list is checked as the broker would before it takes the place of the last one, and by default it
//! ends with the authority itself: it lies beside the broker, and a date makes it no fresher.
#![forbid(unsafe_code)]

use der::{
    Decode, Encode,
    asn1::{BitString, OctetString, Uint},
    pem::{self, LineEnding},
};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use signature::Signer as _;
use spki::DynSignatureAlgorithmIdentifier as _;
use thiserror::Error;
use x509_cert::{
    Version,
    crl::{CertificateList, RevokedCert, TbsCertList},
    ext::{
        Extension,
        pkix::{AuthorityKeyIdentifier, CrlNumber, CrlReason},
    },
    serial_number::SerialNumber,
};
use x509_parser::{parse_x509_certificate, parse_x509_crl, pem::Pem};

use super::{
    anchor::Anchor,
    authority::{Authority, AuthorityError},
    inspect,
    issue::{IssueError, Issuer},
    key::{PrivateKey, Signed},
    ledger::{Entry, Event},
    life::check_clock,
    profile::Kind,
    public,
    reason::Reason,
    sign::{hex, time},
    when,
};

/// How far back a list begins, for clocks that run behind: one in the future refuses everybody.
const BACKDATE: SignedDuration = SignedDuration::from_hours(1);

/// How long a list is good.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CrlLife {
    /// As long as the authority, for those who renew by hand.
    Authority,
    /// So long, for those who renew by a timer.
    For(SignedDuration),
}

/// A list for each authority whose certificates are about, in one text.
#[derive(Clone, Debug)]
pub struct Crl {
    /// PEM, as Mosquitto's `crlfile` takes it.
    pub pem: String,
    /// The cRLNumber, one more than the last.
    pub number: u64,
    /// When it has to be renewed.
    pub next_update: Timestamp,
    /// How many certificates stand in it.
    pub revoked: usize,
}

/// What stands in a list.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct CrlView {
    /// As `O=Rossi, CN=Rossi Root CA 2026`.
    pub issuer: String,
    /// The cRLNumber, decimal.
    pub number: Option<String>,
    /// First second.
    #[serde(with = "when")]
    pub this_update: Timestamp,
    /// Last second; a list without one is good for ever, which no profile allows.
    pub next_update: Option<String>,
    /// The issuer's, lower-case hexadecimal.
    pub authority_key_id: Option<String>,
    /// The algorithm of the signature.
    pub signature: String,
    /// What is revoked.
    pub revoked: Vec<CrlEntry>,
}

/// A revoked certificate.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct CrlEntry {
    /// Lower-case hexadecimal.
    pub serial: String,
    /// When.
    #[serde(with = "when")]
    pub at: Timestamp,
    /// Why, as RFC 5280 calls it.
    pub reason: Option<String>,
}

/// Why a list would do harm.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum CrlError {
    /// Mosquitto takes PEM only.
    #[error("there is no revocation list in PEM in it")]
    NoList,
    /// One of the blocks.
    #[error("a revocation list in it is damaged")]
    Damaged,
    /// No list for this one: devices below it would all be refused.
    #[error("it has no list of `{0}`, so a broker would refuse all its certificates")]
    Missing(String),
    /// Signed by another key.
    #[error("the list of `{0}` is not signed by it")]
    Signature(String),
    /// Past its end.
    #[error("the list of `{0}` has expired, so a broker would refuse everybody")]
    Expired(String),
    /// A clock is wrong.
    #[error("the list of `{0}` begins in the future, so a broker would refuse everybody")]
    Future(String),
}

impl Issuer {
    /// A new list of everything that is revoked and has not long expired; its number is on disk when this returns.
    ///
    /// # Errors
    ///
    /// The ledger cannot be read or written, or the list would do harm.
    pub fn crl(&mut self, life: CrlLife, now: Timestamp) -> Result<Crl, AuthorityError> {
        check_clock(now)?;
        let number = {
            let (store, ledger) = self.authority_mut().parts();
            let lock = store.lock()?;
            ledger.refresh()?;
            let number = ledger.crl_number() + 1;
            ledger.append(Event::Crl { at: when::whole(now), number }, &lock)?;
            number
        };
        let authority = self.authority();
        let revoked = authority.revoked(now);
        let (mut text, mut next) = (String::new(), Timestamp::MAX);
        for (anchor, key) in self.signers() {
            let end = match life {
                CrlLife::Authority => anchor.period.not_after,
                CrlLife::For(span) => now.checked_add(span).unwrap_or(anchor.period.not_after),
            };
            let end = when::whole(end);
            next = next.min(end);
            let below =
                revoked.iter().filter(|(_, issuer)| issuer.as_ref().is_none_or(|id| *id == anchor.key_id));
            let entries = below.map(|(entry, _)| *entry).collect::<Vec<_>>();
            let der = list(&entries, (anchor, key), number, (now, end)).map_err(IssueError::from)?;
            let pem = pem::encode_string("X509 CRL", LineEnding::LF, &der);
            text.push_str(&pem.map_err(|error| IssueError::from(der::Error::from(error)))?);
        }
        check(text.as_bytes(), &authority.anchors_pem(), now).map_err(AuthorityError::Crl)?;
        Ok(Crl { pem: text, number, next_update: next, revoked: revoked.len() })
    }
}

impl Authority {
    /// Revoked entries that somebody may still show, each with its issuer's key id as its kept copy tells it.
    fn revoked(&self, now: Timestamp) -> Vec<(&Entry, Option<Vec<u8>>)> {
        // RFC 5280 §3.3: it stays until one list after its own end.
        let about = |entry: &&Entry| {
            let Some(made) = &entry.certificate else { return false };
            let gone = made.period.not_after.checked_add(SignedDuration::from_hours(30 * 24));
            entry.kind != Kind::Ca && entry.revoked.is_some() && gone.is_ok_and(|gone| now < gone)
        };
        let issuer = |entry: &Entry| {
            let pem = self.certificate_of(entry).ok()?;
            let views = inspect::certificates(pem.as_bytes()).ok()?;
            let id = views.first()?.authority_key_id.clone()?;
            (0..id.len()).step_by(2).map(|at| u8::from_str_radix(id.get(at..at + 2)?, 16).ok()).collect()
        };
        self.list().iter().filter(about).map(|entry| (entry, issuer(entry))).collect()
    }
}

fn list(
    entries: &[&Entry],
    (anchor, key): (&Anchor, &PrivateKey),
    number: u64,
    (now, end): (Timestamp, Timestamp),
) -> der::Result<Vec<u8>> {
    let algorithm = key.signature_algorithm_identifier().map_err(|_| der::ErrorKind::Failed)?;
    let mut revoked: Vec<RevokedCert> = Vec::new();
    for entry in entries {
        let Some(found) = entry.revoked else { continue };
        revoked.push(RevokedCert {
            serial_number: SerialNumber::new(&bytes(&entry.serial))?,
            revocation_date: time(found.at)?,
            crl_entry_extensions: reason(found.reason)
                .map(|reason| extension(&reason))
                .transpose()?
                .map(|one| vec![one]),
        });
    }
    let issuer = AuthorityKeyIdentifier {
        key_identifier: Some(OctetString::new(anchor.key_id.as_slice())?),
        authority_cert_issuer: None,
        authority_cert_serial_number: None,
    };
    let body: TbsCertList = TbsCertList {
        version: Version::V2,
        signature: algorithm.clone(),
        issuer: anchor.subject.clone(),
        this_update: time(when::whole(now - BACKDATE).max(anchor.period.not_before))?,
        next_update: Some(time(end)?),
        revoked_certificates: (!revoked.is_empty()).then_some(revoked),
        crl_extensions: Some(vec![
            extension(&issuer)?,
            extension(&CrlNumber(Uint::new(&number.to_be_bytes())?))?,
        ]),
    };
    let signed: Signed = key.try_sign(&body.to_der()?).map_err(|_| der::ErrorKind::Failed)?;
    let signature: BitString = spki::SignatureBitStringEncoding::to_bitstring(&signed)?;
    CertificateList { tbs_cert_list: body, signature_algorithm: algorithm, signature }.to_der()
}

/// None of these is critical.
fn extension<T: Encode + const_oid::AssociatedOid>(value: &T) -> der::Result<Extension> {
    Ok(Extension { extn_id: T::OID, critical: false, extn_value: OctetString::new(value.to_der()?)? })
}

/// RFC 5280 §5.3.1: unspecified is said by saying nothing.
fn reason(reason: Reason) -> Option<CrlReason> {
    Some(match reason {
        Reason::Unspecified => return None,
        Reason::KeyCompromise => CrlReason::KeyCompromise,
        Reason::AffiliationChanged => CrlReason::AffiliationChanged,
        Reason::Superseded => CrlReason::Superseded,
        Reason::CessationOfOperation => CrlReason::CessationOfOperation,
        Reason::PrivilegeWithdrawn => CrlReason::PrivilegeWithdrawn,
    })
}

fn bytes(hex: &str) -> Vec<u8> {
    let pair = |at: usize| hex.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    (0..hex.len()).step_by(2).filter_map(pair).collect()
}

/// The lists of a PEM text, in their order.
///
/// # Errors
///
/// None, or a damaged one.
pub fn views(bytes: &[u8]) -> Result<Vec<CrlView>, CrlError> {
    let mut views = Vec::new();
    for der in blocks(bytes)? {
        views.push(view(&der).ok_or(CrlError::Damaged)?);
    }
    if views.is_empty() { Err(CrlError::NoList) } else { Ok(views) }
}

fn blocks(bytes: &[u8]) -> Result<Vec<Vec<u8>>, CrlError> {
    let mut found = Vec::new();
    for block in Pem::iter_from_buffer(bytes) {
        let block = block.map_err(|_| CrlError::Damaged)?;
        if block.label == "X509 CRL" {
            found.push(block.contents);
        }
    }
    Ok(found)
}

/// One list in DER; `None` if it is none.
#[must_use]
pub fn view(der: &[u8]) -> Option<CrlView> {
    let (rest, list) = parse_x509_crl(der).ok()?;
    let at = |time: x509_parser::time::ASN1Time| Timestamp::from_second(time.timestamp()).ok();
    let revoked = list.iter_revoked_certificates().map(|entry| {
        Some(CrlEntry {
            serial: hex(entry.raw_serial()),
            at: at(entry.revocation_date)?,
            reason: entry.reason_code().map(|(_, code)| format!("{code:?}")),
        })
    });
    let key_id = list.extensions().iter().find_map(|found| match found.parsed_extension() {
        x509_parser::extensions::ParsedExtension::AuthorityKeyIdentifier(id) => {
            id.key_identifier.as_ref().map(|id| hex(id.0))
        }
        _ => None,
    });
    let next = match list.next_update() {
        Some(time) => Some(at(time)?.to_string()),
        None => None,
    };
    let view = CrlView {
        issuer: list.issuer().to_string(),
        number: list.crl_number().map(ToString::to_string),
        this_update: at(list.last_update())?,
        next_update: next,
        authority_key_id: key_id,
        signature: inspect::algorithm(&list.signature_algorithm),
        revoked: revoked.collect::<Option<_>>()?,
    };
    rest.is_empty().then_some(view)
}

/// Whether a broker could rely on the lists for certificates of these authorities (PEM, one each).
///
/// # Errors
///
/// What a broker would make of them, if it is not what is wanted.
pub fn check(bytes: &[u8], authorities: &[&str], now: Timestamp) -> Result<(), CrlError> {
    let blocks = blocks(bytes)?;
    if blocks.is_empty() {
        return Err(CrlError::NoList);
    }
    let mut lists = Vec::new();
    for der in &blocks {
        let (rest, list) = parse_x509_crl(der).map_err(|_| CrlError::Damaged)?;
        // A strict reader has to agree.
        CertificateList::<x509_cert::certificate::Rfc5280>::from_der(der).map_err(|_| CrlError::Damaged)?;
        if !rest.is_empty() {
            return Err(CrlError::Damaged);
        }
        lists.push(list);
    }
    for pem in authorities {
        let block =
            Pem::iter_from_buffer(pem.as_bytes()).next().and_then(Result::ok).ok_or(CrlError::Damaged)?;
        let (_, authority) = parse_x509_certificate(&block.contents).map_err(|_| CrlError::Damaged)?;
        let name = authority.subject().to_string();
        let mut own =
            lists.iter().filter(|list| list.issuer().as_raw() == authority.subject().as_raw()).peekable();
        if own.peek().is_none() {
            return Err(CrlError::Missing(name));
        }
        let signed = own.find(|list| {
            let (info, bits) = (authority.public_key(), &list.signature_value.data);
            public::check_signature(info, &list.signature_algorithm, list.tbs_cert_list.as_ref(), bits)
                .is_ok()
        });
        let Some(list) = signed else { return Err(CrlError::Signature(name)) };
        let second = now.as_second();
        if list.last_update().timestamp() > second {
            return Err(CrlError::Future(name));
        }
        if list.next_update().is_some_and(|end| end.timestamp() < second) {
            return Err(CrlError::Expired(name));
        }
    }
    Ok(())
}
