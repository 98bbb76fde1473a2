//! Making certificates. The only way to one is through the ledger.
#![forbid(unsafe_code)]

use std::ops::Deref;

use jiff::Timestamp;
use thiserror::Error;
use x509_cert::{builder, name::Name};

use super::{
    anchor::Anchor,
    authority::Authority,
    key::{KeyError, KeyKind, PrivateKey},
    ledger::{Entry, LedgerError},
    life::life,
    names::BrokerName,
    profile::{BROKER_DAYS, DEVICE_DAYS, Kind, Period, Profile},
    request::SigningRequest,
    sign::fingerprint,
    store::FileError,
    subject::{Subject, SubjectError, device_uri},
    when,
};
use crate::ident::{DeviceName, MAX_COMMON_NAME_CHARS};

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
    /// No clock of a machine that is used has that.
    #[error(
        "the clock of this machine says {}, which cannot be right: set it (`sudo timedatectl set-ntp true`, or wait until it has the time from the network) and try again",
        when::whole(*.0)
    )]
    Clock(Timestamp),
    /// The clock went back, or another machine's was ahead.
    #[error(
        "the authority's certificate begins at {begins}, and the clock of this machine says {}: set it (`sudo timedatectl set-ntp true`) and try again",
        when::whole(*.now)
    )]
    BeforeAuthority {
        /// First second of the authority.
        begins: Timestamp,
        /// By the clock.
        now: Timestamp,
    },
    /// Its own certificate ended.
    #[error("the authority's certificate expired on {0}")]
    AuthorityExpired(Timestamp),
    /// Clients would take the certificate for the authority's own.
    #[error("the subject `{0}` is the authority's own; choose another name")]
    SameSubject(String),
    /// Whoever has the request's key would have the authority's.
    #[error("the key in the signing request is the authority's own")]
    AuthorityKey,
    /// Two devices that cannot be told apart, and cannot be locked out one by one.
    #[error(
        "the key in the signing request is that of `{name}` (certificate {serial}); every device needs a key of its own"
    )]
    SharedKey {
        /// Whose it is.
        name: String,
        /// Of the certificate that has it.
        serial: String,
    },
    /// It may be in other hands.
    #[error(
        "the key in the signing request was revoked with certificate {0} because others may have it; make a new key"
    )]
    CompromisedKey(String),
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

/// A certificate that was made just now.
pub struct Certified {
    /// As the ledger has it: serial, fingerprint, dates.
    pub entry: Entry,
    /// DER.
    pub certificate: Vec<u8>,
    /// What is valid and from when.
    pub period: Period,
    /// Whether it was to live longer than its issuer, and was cut.
    pub shortened: bool,
    pub(super) pem: String,
}

impl Certified {
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

/// The same with its key, which is nowhere else.
pub struct Issued {
    /// The certificate.
    pub certified: Certified,
    /// The private key.
    pub key: PrivateKey,
}

impl Deref for Issued {
    type Target = Certified;

    fn deref(&self) -> &Certified {
        &self.certified
    }
}

/// An authority whose key is open.
pub struct Issuer {
    authority: Authority,
    key: PrivateKey,
    /// Of earlier authorities: they still sign their own revocation lists.
    retired: Vec<(Anchor, PrivateKey)>,
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
    pub(super) fn period_for(&self, days: u32, now: Timestamp) -> Result<(Period, Period), IssueError> {
        let own = self.period();
        let asked = life(days, now)?;
        if now < own.not_before {
            return Err(IssueError::BeforeAuthority { begins: own.not_before, now });
        }
        if now > own.not_after {
            return Err(IssueError::AuthorityExpired(own.not_after));
        }
        Ok((asked, asked.within(own)))
    }

    pub(super) fn subject_for(
        &self,
        subject: Option<&Subject>,
        common_name: &str,
    ) -> Result<Name, IssueError> {
        let subject = subject.unwrap_or(self.default_subject()).with_common_name(common_name)?;
        if subject == *self.subject() {
            return Err(IssueError::SameSubject(subject.to_string()));
        }
        Ok(subject)
    }
}

impl Issuer {
    pub(crate) fn new(authority: Authority, key: PrivateKey, retired: Vec<(Anchor, PrivateKey)>) -> Self {
        Self { authority, key, retired }
    }

    pub(super) fn key(&self) -> &PrivateKey {
        &self.key
    }

    pub(crate) fn authority_mut(&mut self) -> &mut Authority {
        &mut self.authority
    }

    /// Every authority with its key, the one that signs now first.
    pub(crate) fn signers(&self) -> impl Iterator<Item = (&Anchor, &PrivateKey)> {
        std::iter::once((self.authority.own(), &self.key))
            .chain(self.retired.iter().map(|(old, key)| (old, key)))
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
        let job = self.device_job(request, now)?;
        // Before the lock: an RSA key can take seconds.
        let key = PrivateKey::generate(request.key)?;
        Ok(Issued { certified: self.certify(job, key.public_der())?, key })
    }

    /// The same for many, which takes the disk about as long as one.
    ///
    /// # Errors
    ///
    /// As [`Self::issue_device`]; then none of the certificates leaves this, though the ledger may know of some.
    pub fn issue_devices(
        &mut self,
        requests: &[DeviceRequest],
        now: Timestamp,
    ) -> Result<Vec<Issued>, IssueError> {
        let (mut jobs, mut keys) = (Vec::with_capacity(requests.len()), Vec::with_capacity(requests.len()));
        for request in requests {
            jobs.push(self.device_job(request, now)?);
            keys.push(PrivateKey::generate(request.key)?);
        }
        let publics = keys.iter().map(PrivateKey::public_der);
        let certified = self.certify_all(jobs.into_iter().zip(publics))?;
        Ok(certified.into_iter().zip(keys).map(|(certified, key)| Issued { certified, key }).collect())
    }

    /// Certifies a key that was made on the device; on disk in the ledger when this returns. Of the signing request
    /// the key is taken and nothing else.
    ///
    /// # Errors
    ///
    /// As [`Self::issue_device`]; and the key is the authority's own, another device's, or one that was revoked
    /// because others may have it.
    pub fn certify_device(
        &mut self,
        request: &DeviceRequest,
        signing: &SigningRequest,
        now: Timestamp,
    ) -> Result<Certified, IssueError> {
        self.authority.check_key(request.name.as_str(), signing.public_der())?;
        let job = self.device_job(request, now)?;
        self.certify(job, signing.public_der())
    }

    fn device_job<'a>(&self, request: &'a DeviceRequest, now: Timestamp) -> Result<Job<'a>, IssueError> {
        let name = request.name.as_str();
        if name.chars().count() > MAX_COMMON_NAME_CHARS {
            return Err(IssueError::NameTooLong(name.to_owned()));
        }
        Ok(Job {
            kind: Kind::Device,
            profile: Profile::Device(device_uri(self.authority.fleet(), name)),
            common_name: name.to_owned(),
            subject: request.subject.as_ref(),
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
        let key = PrivateKey::generate(request.key)?;
        let job = Job {
            kind: Kind::Broker,
            profile: Profile::Broker(names),
            common_name,
            subject: request.subject.as_ref(),
            days: request.days,
            now,
        };
        Ok(Issued { certified: self.certify(job, key.public_der())?, key })
    }
}

/// A certificate to be made.
pub(super) struct Job<'a> {
    pub(super) kind: Kind,
    pub(super) profile: Profile,
    pub(super) common_name: String,
    pub(super) subject: Option<&'a Subject>,
    pub(super) days: u32,
    pub(super) now: Timestamp,
}
