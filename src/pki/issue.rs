//! Making certificates. The only way to one is through the ledger.
#![forbid(unsafe_code)]

use aws_lc_rs::digest;
use der::{
    Decode, Encode,
    pem::{self, LineEnding},
};
use jiff::Timestamp;
use thiserror::Error;
use x509_cert::{
    Certificate,
    builder::{self, Builder as _, CertificateBuilder},
    name::Name,
    serial_number::SerialNumber,
    spki::SubjectPublicKeyInfoOwned,
    time::{Time, Validity},
};

use super::{
    authority::Authority,
    key::{KeyError, KeyKind, PrivateKey, Signed},
    ledger::{Entry, Event, LedgerError},
    names::BrokerName,
    profile::{BROKER_DAYS, DEVICE_DAYS, Kind, Period, Profile, Template},
    store::{self, FileError},
    subject::{Subject, SubjectError, device_uri},
    when,
};
use crate::ident::{DeviceName, MAX_COMMON_NAME_CHARS};

/// Bytes of a serial number; the top bits are 01, so that it is positive and always of this length.
// SOURCE: RFC 5280 §4.1.2.2 takes up to 20.
const SERIAL_BYTES: usize = 16;

/// Why no certificate was made.
#[derive(Debug, Error)]
pub enum IssueError {
    /// Longer than a common name.
    #[error("`{0}` is longer than {MAX_COMMON_NAME_CHARS} characters, which no certificate can carry")]
    NameTooLong(String),
    /// Nothing for clients to compare.
    #[error("a broker's certificate needs at least one name or address")]
    NoNames,
    /// None, or more than the calendar has.
    #[error("a certificate cannot be valid for {0} days")]
    Days(u32),
    /// Its own certificate ended.
    #[error("the authority's certificate expired on {0}")]
    AuthorityExpired(Timestamp),
    /// Clients would take the certificate for the authority's own.
    #[error("the subject `{0}` is the authority's own; choose another name")]
    SameSubject(String),
    /// Key trouble.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Subject trouble.
    #[error(transparent)]
    Subject(#[from] SubjectError),
    /// Ledger trouble.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The file system refused.
    #[error(transparent)]
    File(#[from] FileError),
    /// No randomness.
    #[error("the system has no random bytes to give")]
    Random,
    /// The encoder refused.
    #[error("the certificate cannot be built: {0}")]
    Build(#[from] builder::Error),
}

impl From<der::Error> for IssueError {
    fn from(error: der::Error) -> Self {
        Self::Build(builder::Error::Asn1(error))
    }
}

/// What to certify for a device.
#[derive(Clone, Debug)]
pub struct DeviceRequest {
    /// The common name.
    pub name: DeviceName,
    /// P-256 unless told otherwise.
    pub key: KeyKind,
    /// The authority's organization if `None`.
    pub subject: Option<Subject>,
    /// [`DEVICE_DAYS`] unless told otherwise.
    pub days: u32,
}

impl DeviceRequest {
    /// With the defaults.
    #[must_use]
    pub fn new(name: DeviceName) -> Self {
        Self { name, key: KeyKind::default(), subject: None, days: DEVICE_DAYS }
    }
}

/// What to certify for a broker.
#[derive(Clone, Debug)]
pub struct BrokerRequest {
    /// All of them go into the SAN; the first one that fits is the common name too, for people to read.
    pub names: Vec<BrokerName>,
    /// P-256 unless told otherwise.
    pub key: KeyKind,
    /// The authority's organization if `None`.
    pub subject: Option<Subject>,
    /// [`BROKER_DAYS`] unless told otherwise.
    pub days: u32,
}

impl BrokerRequest {
    /// With the defaults.
    #[must_use]
    pub fn new(names: Vec<BrokerName>) -> Self {
        Self { names, key: KeyKind::default(), subject: None, days: BROKER_DAYS }
    }

    /// The first DNS name that fits a common name, else the first address.
    fn common_name(&self) -> Result<String, IssueError> {
        let fits = |name: &&BrokerName| name.to_string().len() <= MAX_COMMON_NAME_CHARS;
        let dns = self.names.iter().filter(|name| matches!(name, BrokerName::Dns(_))).find(fits);
        let first = dns.or_else(|| self.names.iter().find(fits));
        match first {
            Some(name) => Ok(name.to_string()),
            None => match self.names.first() {
                Some(name) => Err(IssueError::NameTooLong(name.to_string())),
                None => Err(IssueError::NoNames),
            },
        }
    }
}

/// A certificate with its key, made just now. The key is nowhere else.
pub struct Issued {
    /// As the ledger has it: serial, fingerprint, dates.
    pub entry: Entry,
    /// DER.
    pub certificate: Vec<u8>,
    /// What is valid and from when.
    pub period: Period,
    /// Whether it was to live longer than its issuer, and was cut.
    pub shortened: bool,
    /// The private key.
    pub key: PrivateKey,
    pem: String,
}

impl Issued {
    /// The leaf, then the authorities between it and the root: none while there is one tier. PEM.
    #[must_use]
    pub fn chain_pem(&self) -> &str {
        &self.pem
    }

    /// Of the DER, lower-case hexadecimal.
    #[must_use]
    pub fn sha256(&self) -> String {
        fingerprint(&self.certificate)
    }
}

/// An authority whose key is open.
pub struct Issuer {
    authority: Authority,
    key: PrivateKey,
}

impl Authority {
    /// Whether a certificate for the device could be made, as far as that shows without the key; nothing is written.
    ///
    /// # Errors
    ///
    /// A name over 64 characters, impossible days, an expired authority, or a subject that cannot be.
    pub fn check_device(&self, request: &DeviceRequest, now: Timestamp) -> Result<(), IssueError> {
        let name = request.name.as_str();
        if name.chars().count() > MAX_COMMON_NAME_CHARS {
            return Err(IssueError::NameTooLong(name.to_owned()));
        }
        self.period_for(request.days, now)?;
        self.subject_for(request.subject.as_ref(), name)?;
        Ok(())
    }

    /// What was asked for, and what of it this authority lives to see.
    fn period_for(&self, days: u32, now: Timestamp) -> Result<(Period, Period), IssueError> {
        let own = self.period();
        if now > own.not_after {
            return Err(IssueError::AuthorityExpired(own.not_after));
        }
        let asked = Period::of_days(days, now).ok_or(IssueError::Days(days))?;
        Ok((asked, asked.within(own)))
    }

    fn subject_for(&self, subject: Option<&Subject>, common_name: &str) -> Result<Name, IssueError> {
        let subject = subject.unwrap_or(self.default_subject()).with_common_name(common_name)?;
        if subject == *self.subject() {
            return Err(IssueError::SameSubject(subject.to_string()));
        }
        Ok(subject)
    }
}

impl Issuer {
    pub(crate) fn new(authority: Authority, key: PrivateKey) -> Self {
        Self { authority, key }
    }

    /// The same without the key.
    #[must_use]
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Closes the key.
    #[must_use]
    pub fn lock(self) -> Authority {
        self.authority
    }

    /// Makes a key and certifies it for a device; on disk in the ledger when this returns.
    ///
    /// # Errors
    ///
    /// A name over 64 characters, impossible days, an expired authority, or a file that cannot be written.
    pub fn issue_device(&mut self, request: &DeviceRequest, now: Timestamp) -> Result<Issued, IssueError> {
        let name = request.name.as_str();
        if name.chars().count() > MAX_COMMON_NAME_CHARS {
            return Err(IssueError::NameTooLong(name.to_owned()));
        }
        let uri = device_uri(self.authority.fleet(), name);
        self.issue(Job {
            kind: Kind::Device,
            profile: Profile::Device(uri),
            common_name: name,
            subject: request.subject.as_ref(),
            key: request.key,
            days: request.days,
            now,
        })
    }

    /// Makes a key and certifies it for a broker; on disk in the ledger when this returns.
    ///
    /// # Errors
    ///
    /// No names, impossible days, an expired authority, or a file that cannot be written.
    pub fn issue_broker(&mut self, request: &BrokerRequest, now: Timestamp) -> Result<Issued, IssueError> {
        let common_name = request.common_name()?;
        let mut names: Vec<BrokerName> = Vec::with_capacity(request.names.len());
        for name in &request.names {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        self.issue(Job {
            kind: Kind::Broker,
            profile: Profile::Broker(names),
            common_name: &common_name,
            subject: request.subject.as_ref(),
            key: request.key,
            days: request.days,
            now,
        })
    }

    fn issue(&mut self, job: Job<'_>) -> Result<Issued, IssueError> {
        let (asked, period) = self.authority.period_for(job.days, job.now)?;
        let subject = self.authority.subject_for(job.subject, job.common_name)?;
        let issuer = self.authority.subject().clone();
        let issuer_key_id = Some(self.authority.key_id().to_vec());
        let template = Template { profile: job.profile, subject, issuer, issuer_key_id };
        // Before the lock: an RSA key can take seconds.
        let key = PrivateKey::generate(job.key)?;

        let (store, ledger) = self.authority.parts();
        let lock = store.lock()?;
        ledger.refresh()?;
        let serial = fresh_serial(|serial| ledger.knows(serial))?;
        let at = when::whole(job.now);
        let name = job.common_name.to_owned();
        let kind = job.kind;
        ledger.append(Event::Reserved { at, serial: hex(&serial), kind, name: name.clone() }, &lock)?;
        let certificate =
            sign(template, Ground { serial: &serial, period, public: key.public_der() }, &self.key)?;
        let certificate = certificate.to_der()?;
        let pem = certificate_pem(&certificate)?;
        let (serial, sha256) = (hex(&serial), fingerprint(&certificate));
        store::replace(&store.issued(&serial), pem.as_bytes(), store::PUBLIC)?;
        let Period { not_before, not_after } = period;
        ledger.append(
            Event::Issued { at, serial: serial.clone(), sha256, kind, name, not_before, not_after },
            &lock,
        )?;
        let entry = ledger.find(&serial).cloned().ok_or(IssueError::Random)?;
        let shortened = period.not_after < asked.not_after;
        Ok(Issued { entry, certificate, period, shortened, key, pem })
    }
}

struct Job<'a> {
    kind: Kind,
    profile: Profile,
    common_name: &'a str,
    subject: Option<&'a Subject>,
    key: KeyKind,
    days: u32,
    now: Timestamp,
}

/// What of a certificate is neither a name nor an extension.
pub(crate) struct Ground<'a> {
    pub(crate) serial: &'a [u8],
    pub(crate) period: Period,
    /// The DER of the SubjectPublicKeyInfo.
    pub(crate) public: &'a [u8],
}

/// Builds and signs.
pub(crate) fn sign(
    template: Template,
    ground: Ground<'_>,
    key: &PrivateKey,
) -> Result<Certificate, IssueError> {
    let serial = SerialNumber::new(ground.serial)?;
    let validity = Validity::new(time(ground.period.not_before)?, time(ground.period.not_after)?);
    let public = SubjectPublicKeyInfoOwned::from_der(ground.public)?;
    let builder = CertificateBuilder::new(template, serial, validity, public)?;
    Ok(builder.build::<_, Signed>(key)?)
}

/// UTCTime up to 2049, GeneralizedTime after (RFC 5280 §4.1.2.5).
fn time(at: Timestamp) -> der::Result<Time> {
    let seconds = u64::try_from(at.as_second()).map_err(|_| der::Error::from(der::ErrorKind::DateTime))?;
    Ok(Time::from(der::DateTime::from_unix_duration(std::time::Duration::from_secs(seconds))?))
}

/// Random, positive, of full length, and one that `taken` does not know.
pub(crate) fn fresh_serial(taken: impl Fn(&str) -> bool) -> Result<[u8; SERIAL_BYTES], IssueError> {
    loop {
        let mut serial = [0; SERIAL_BYTES];
        getrandom::fill(&mut serial).map_err(|_| IssueError::Random)?;
        let [first, ..] = &mut serial;
        *first = *first & 0b0011_1111 | 0b0100_0000;
        if !taken(&hex(&serial)) {
            return Ok(serial);
        }
    }
}

/// In PEM.
pub(crate) fn certificate_pem(der: &[u8]) -> Result<String, IssueError> {
    pem::encode_string("CERTIFICATE", LineEnding::LF, der)
        .map_err(|error| IssueError::from(der::Error::from(error)))
}

/// SHA-256 in lower-case hexadecimal.
pub(crate) fn fingerprint(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

/// Lower-case, without separators.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serials_are_positive_of_full_length_and_never_taken_ones() {
        for _ in 0..200 {
            let serial = fresh_serial(|_| false).unwrap();
            assert_eq!(serial.first().unwrap() & 0b1100_0000, 0b0100_0000);
        }
        let refused = std::cell::Cell::new(3);
        fresh_serial(|_| refused.replace(refused.get() - 1) > 0).unwrap();
        assert_eq!(refused.get(), -1);
    }
}
