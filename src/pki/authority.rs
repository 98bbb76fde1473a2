//! An authority on disk: made, opened, asked, and told what to revoke.
#![forbid(unsafe_code)]

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use der::{Decode, Encode, pem};
use jiff::Timestamp;
use thiserror::Error;
use x509_cert::{Certificate, ext::pkix::SubjectKeyIdentifier, name::Name};

use super::{
    issue::{self, Ground, IssueError, Issuer},
    key::{KeyError, KeyKind, PBKDF2_ITERATIONS, PrivateKey},
    ledger::{Entry, Event, Ledger, LedgerError, Reason},
    profile::{Kind, Period, Profile, ROOT_DAYS, Template},
    store::{self, FileError, Lock, Store},
    subject::{Subject, fleet_domain},
    when,
};
use crate::secret::Secret;

/// Leaves room in the common name for ` Root CA 2026`.
const MAX_NAME_CHARS: usize = 48;

/// Why an authority could not be made, opened or changed.
#[derive(Debug, Error)]
pub enum AuthorityError {
    /// Nothing is made over it.
    #[error("there is an authority in {} already", .0.display())]
    Exists(PathBuf),
    /// A key, or a ledger that knows certificates, without `ca.crt`.
    #[error("{} has files of an authority but no ca.crt; restore it from a backup or choose another directory", .0.display())]
    Remains(PathBuf),
    /// Nothing there.
    #[error("there is no authority in {}", .0.display())]
    Missing(PathBuf),
    /// Too long, empty, or with control characters.
    #[error("an authority's name has 1 to {MAX_NAME_CHARS} characters without control characters")]
    Name,
    /// The first certificate in the file is damaged or lacks what an authority's has.
    #[error("{} is no certificate of an authority: {why}", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: &'static str,
    },
    /// Others may read it.
    #[error("others may read {}; run `chmod 600` on it", .0.display())]
    LooseKey(PathBuf),
    /// Two halves that do not belong together.
    #[error("{} is not the key of ca.crt", .0.display())]
    OtherKey(PathBuf),
    /// Not in the ledger.
    #[error("the ledger knows no certificate with the serial or SHA-256 `{0}`")]
    Unknown(String),
    /// The authority's own.
    #[error("the authority cannot revoke itself; devices must stop trusting its certificate instead")]
    OwnCertificate,
    /// Reading or writing the key.
    #[error("{}: {source}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Why.
        source: KeyError,
    },
    /// Signing its own certificate.
    #[error(transparent)]
    Issue(#[from] IssueError),
    /// Ledger trouble.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The file system refused.
    #[error(transparent)]
    File(#[from] FileError),
}

/// What a new authority is to be.
#[derive(Clone, Debug)]
pub struct NewAuthority {
    /// What people call it: a house, a firm. Becomes the organization if the subject is empty, and the
    /// domain in devices' URIs.
    pub name: String,
    /// Fields of its subject; devices and brokers inherit the organization.
    pub subject: Subject,
    /// P-256 unless told otherwise.
    pub key: KeyKind,
    /// [`ROOT_DAYS`] unless told otherwise.
    pub days: u32,
    /// [`PBKDF2_ITERATIONS`] but in tests.
    pub iterations: u32,
}

impl NewAuthority {
    /// With the defaults.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            subject: Subject::default(),
            key: KeyKind::default(),
            days: ROOT_DAYS,
            iterations: PBKDF2_ITERATIONS,
        }
    }

    /// The subject's fields, and the common name.
    fn names(&self, now: Timestamp) -> Result<(Subject, String), AuthorityError> {
        let name = self.name.trim();
        let fits = (1..=MAX_NAME_CHARS).contains(&name.chars().count());
        if !fits || name.chars().any(char::is_control) {
            return Err(AuthorityError::Name);
        }
        let subject = if self.subject.is_empty() {
            Subject::organization(name).map_err(IssueError::from)?
        } else {
            self.subject.clone()
        };
        Ok((subject, format!("{name} Root CA {}", now.strftime("%Y"))))
    }
}

/// What [`Authority::revoke`] found.
#[derive(Clone, Debug, PartialEq)]
pub enum Revocation {
    /// It is revoked now.
    Done(Entry),
    /// It was before; nothing changed.
    Already(Entry),
}

/// An authority without its key: it can be asked, and told what to revoke.
#[derive(Debug)]
pub struct Authority {
    store: Store,
    ledger: Ledger,
    subject: Name,
    default_subject: Subject,
    period: Period,
    key_id: Vec<u8>,
    /// The DER of the SubjectPublicKeyInfo.
    public: Vec<u8>,
    pem: String,
}

impl Authority {
    /// Makes an authority in `directory`, which is made with mode 0700 if it is missing.
    ///
    /// Killed half-way it leaves no `ca.crt`, and doing it again starts afresh.
    ///
    /// # Errors
    ///
    /// An authority is there, or its remains; the name or the days are impossible; the passphrase is empty.
    pub fn init(
        directory: &Path,
        new: &NewAuthority,
        passphrase: &Secret,
        now: Timestamp,
    ) -> Result<Issuer, AuthorityError> {
        let store = Store::at(directory);
        let (subject, common_name) = new.names(now)?;
        let period = Period::of_days(new.days, now).ok_or(IssueError::Days(new.days))?;
        let key_error = |source| AuthorityError::Key { path: store.key(), source };
        let key = PrivateKey::generate(new.key).map_err(key_error)?;
        let sealed = key.to_encrypted_pem(passphrase, new.iterations).map_err(key_error)?;

        store.create()?;
        let lock = store.lock()?;
        refuse_remains(&store)?;
        store::create_private(&directory.join("certs"))?;
        let at = when::whole(now);
        let mut ledger = Ledger::create(&store.ledger(), &fleet_domain(new.name.trim()), at, &lock)?;
        let serial = issue::fresh_serial(|_| false)?;
        let kind = Kind::Ca;
        let hex = issue::hex(&serial);
        ledger.append(Event::Reserved { at, serial: hex.clone(), kind, name: common_name.clone() }, &lock)?;
        let subject = subject.with_common_name(&common_name).map_err(IssueError::from)?;
        let template =
            Template { profile: Profile::Root, issuer: subject.clone(), subject, issuer_key_id: None };
        let ground = Ground { serial: &serial, period, public: key.public_der() };
        let der = issue::sign(template, ground, &key)?.to_der().map_err(IssueError::from)?;
        let Period { not_before, not_after } = period;
        let sha256 = issue::fingerprint(&der);
        ledger.append(
            Event::Issued { at, serial: hex, sha256, kind, name: common_name, not_before, not_after },
            &lock,
        )?;
        store::replace(&store.key(), sealed.expose(), store::PRIVATE)?;
        store::replace(&store.certificate(), issue::certificate_pem(&der)?.as_bytes(), store::PUBLIC)?;
        drop(lock);
        Ok(Issuer::new(Self::open(directory)?, key))
    }

    /// Opens the authority in `directory`; needs no passphrase.
    ///
    /// # Errors
    ///
    /// None is there, or its certificate or ledger cannot be read.
    pub fn open(directory: &Path) -> Result<Self, AuthorityError> {
        let store = Store::at(directory);
        let path = store.certificate();
        if !path.exists() {
            return Err(AuthorityError::Missing(directory.to_owned()));
        }
        let pem = fs::read_to_string(&path).map_err(store::at("read", &path))?;
        let why = |why| AuthorityError::Certificate { path: path.clone(), why };
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
        let public = body.subject_public_key_info().to_der().map_err(|_| why("its key cannot be read"))?;
        let subject = body.subject().clone();
        let organization = subject.organization().ok().flatten();
        let default_subject =
            organization.and_then(|value| Subject::organization(&value.value()).ok()).unwrap_or_default();
        let ledger = Ledger::open(&store.ledger())?;
        Ok(Self { store, ledger, subject, default_subject, period, key_id, public, pem })
    }

    /// Opens the key.
    ///
    /// # Errors
    ///
    /// A wrong passphrase, a key that others may read, or one that is not the certificate's.
    pub fn unlock(self, passphrase: &Secret) -> Result<Issuer, AuthorityError> {
        let path = self.store.key();
        let mode = fs::metadata(&path).map_err(store::at("read", &path))?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(AuthorityError::LooseKey(path));
        }
        let text = Secret::new(fs::read(&path).map_err(store::at("read", &path))?);
        let key = match PrivateKey::from_pem(text.expose(), Some(passphrase)) {
            Ok(key) => key,
            Err(source) => return Err(AuthorityError::Key { path, source }),
        };
        if !key.matches(&self.public) {
            return Err(AuthorityError::OtherKey(path));
        }
        Ok(Issuer::new(self, key))
    }

    /// Records that a certificate is not to be accepted any more. Needs no passphrase.
    ///
    /// `id` is its serial or SHA-256 in hexadecimal, in any case, colons and blanks left out.
    ///
    /// # Errors
    ///
    /// The ledger does not know it, it is the authority's own, or the ledger cannot be written.
    pub fn revoke(&mut self, id: &str, reason: Reason, now: Timestamp) -> Result<Revocation, AuthorityError> {
        let lock = self.store.lock()?;
        self.ledger.refresh()?;
        let found = self.find(id).cloned().ok_or_else(|| AuthorityError::Unknown(id.to_owned()))?;
        if found.kind == Kind::Ca {
            return Err(AuthorityError::OwnCertificate);
        }
        if found.revoked.is_some() {
            return Ok(Revocation::Already(found));
        }
        self.record_revocation(found.serial, reason, Moment { at: now, lock: &lock }).map(Revocation::Done)
    }

    fn record_revocation(
        &mut self,
        serial: String,
        reason: Reason,
        moment: Moment<'_>,
    ) -> Result<Entry, AuthorityError> {
        let at = when::whole(moment.at);
        self.ledger.append(Event::Revoked { at, serial: serial.clone(), reason }, moment.lock)?;
        self.ledger.find(&serial).cloned().ok_or(AuthorityError::Unknown(serial))
    }

    /// Everything in the ledger in the order of its making, the authority's own certificate first.
    #[must_use]
    pub fn list(&self) -> &[Entry] {
        self.ledger.entries()
    }

    /// By serial or SHA-256, written as in [`Authority::revoke`].
    #[must_use]
    pub fn find(&self, id: &str) -> Option<&Entry> {
        let plain: String = id.chars().filter(|ch| !matches!(ch, ':' | ' ')).collect();
        self.ledger.find(&plain.to_ascii_lowercase())
    }

    /// The kept copy of a certificate with that serial, PEM.
    ///
    /// # Errors
    ///
    /// It was never made, or the file cannot be read.
    pub fn certificate_of(&self, entry: &Entry) -> Result<String, AuthorityError> {
        if entry.kind == Kind::Ca {
            return Ok(self.pem.clone());
        }
        let path = self.store.issued(&entry.serial);
        Ok(fs::read_to_string(&path).map_err(store::at("read", &path))?)
    }

    /// What a person should hear about the ledger, if anything.
    #[must_use]
    pub fn note(&self) -> Option<&'static str> {
        self.ledger.is_torn().then_some(
            "the last line of the ledger was torn when a command was killed; it announced nothing that happened, and the next change removes it",
        )
    }

    /// Its certificate, which devices and brokers trust; PEM.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.pem
    }

    /// Where it is.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.store.directory()
    }

    /// The domain in devices' URIs.
    #[must_use]
    pub fn fleet(&self) -> &str {
        self.ledger.fleet()
    }

    /// From when to when its own certificate is valid.
    #[must_use]
    pub fn period(&self) -> Period {
        self.period
    }

    pub(crate) fn subject(&self) -> &Name {
        &self.subject
    }

    pub(crate) fn default_subject(&self) -> &Subject {
        &self.default_subject
    }

    pub(crate) fn key_id(&self) -> &[u8] {
        &self.key_id
    }

    pub(crate) fn parts(&mut self) -> (&Store, &mut Ledger) {
        (&self.store, &mut self.ledger)
    }
}

struct Moment<'a> {
    at: Timestamp,
    lock: &'a Lock,
}

/// An interrupted `init` leaves a ledger that knows the authority alone, and perhaps a key; that is made anew.
/// Anything more is somebody's data.
fn refuse_remains(store: &Store) -> Result<(), AuthorityError> {
    let directory = || store.directory().to_owned();
    if store.certificate().exists() {
        return Err(AuthorityError::Exists(directory()));
    }
    if !store.ledger().exists() {
        return if store.key().exists() { Err(AuthorityError::Remains(directory())) } else { Ok(()) };
    }
    match Ledger::open(&store.ledger()) {
        Ok(ledger) if ledger.entries().iter().all(|entry| entry.kind == Kind::Ca) => Ok(()),
        _ => Err(AuthorityError::Remains(directory())),
    }
}
