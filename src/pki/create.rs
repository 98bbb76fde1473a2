//! A new authority.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

use der::Encode;
use jiff::Timestamp;

use super::{
    anchor::Anchor,
    authority::{Authority, AuthorityError},
    issue::{IssueError, Issuer},
    key::{KeyKind, PBKDF2_ITERATIONS, PrivateKey},
    ledger::{Event, Ledger},
    life::life,
    profile::{ISSUING_DAYS, Kind, Period, Profile, ROOT_DAYS, Template},
    sign::{self, Ground},
    store::{self, Lock, Store},
    subject::{Subject, fleet_domain},
    when,
};
use crate::secret::Secret;

/// Leaves room in the common name for ` Root CA 2026`.
pub(crate) const MAX_NAME_CHARS: usize = 48;

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
    fn names(&self, what: &str, now: Timestamp) -> Result<(Subject, String), AuthorityError> {
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
        Ok((subject, format!("{name} {what} {}", now.strftime("%Y"))))
    }

    /// The same for a root that is called like none of `taken`.
    pub(crate) fn unused_names(
        &self,
        taken: &[String],
        now: Timestamp,
    ) -> Result<(Subject, String), AuthorityError> {
        let (subject, name) = self.names("Root CA", now)?;
        let numbered = (2_u32..).map(|number| format!("{name}-{number}"));
        let unused = std::iter::once(name.clone()).chain(numbered).find(|name| !taken.contains(name));
        Ok((subject, unused.unwrap_or(name)))
    }
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
        let draft = Draft::new(directory, new, now)?;
        let root = draft.key(passphrase, draft.store.first_key())?;
        let mut opened = draft.open()?;
        let (subject, name) = new.names("Root CA", now)?;
        let subject = subject.with_common_name(&name).map_err(IssueError::from)?;
        let template =
            Template { profile: Profile::Root(0), issuer: subject.clone(), subject, issuer_key_id: None };
        let der = opened.certify(template, (&name, draft.period), (&root.key, &root.key))?;
        opened.finish(&root, &der)?;
        drop(opened);
        Ok(Issuer::new(Self::open(directory)?, root.key, Vec::new()))
    }

    /// The same with a root that signs nothing but an issuing authority, under a passphrase of its own; the days are
    /// the root's. `root.key` may be kept elsewhere afterwards.
    ///
    /// # Errors
    ///
    /// As [`Self::init`].
    pub fn init_issuing(
        directory: &Path,
        new: &NewAuthority,
        (root_passphrase, passphrase): (&Secret, &Secret),
        now: Timestamp,
    ) -> Result<Issuer, AuthorityError> {
        let draft = Draft::new(directory, new, now)?;
        let root = draft.key(root_passphrase, draft.store.root_key())?;
        let own = draft.key(passphrase, draft.store.first_key())?;
        let mut opened = draft.open()?;
        let (subject, root_name) = new.names("Root CA", now)?;
        let root_subject = subject.with_common_name(&root_name).map_err(IssueError::from)?;
        let template = Template {
            profile: Profile::Root(1),
            issuer: root_subject.clone(),
            subject: root_subject,
            issuer_key_id: None,
        };
        let der = opened.certify(template, (&root_name, draft.period), (&root.key, &root.key))?;
        let root_pem = sign::certificate_pem(&der)?;
        let anchor = Anchor::from_pem(&root_pem, &draft.store.root_certificate())?;
        store::replace(&root.path, root.sealed.expose(), store::PRIVATE)?;
        store::replace(&draft.store.root_certificate(), root_pem.as_bytes(), store::PUBLIC)?;

        let (subject, name) = new.names("Issuing CA", now)?;
        let subject = subject.with_common_name(&name).map_err(IssueError::from)?;
        let period = life(ISSUING_DAYS, now)?;
        let template = Template {
            profile: Profile::Issuing,
            subject,
            issuer: anchor.subject,
            issuer_key_id: Some(anchor.key_id),
        };
        let der = opened.certify(template, (&name, period.within(draft.period)), (&own.key, &root.key))?;
        opened.finish(&own, &der)?;
        drop(opened);
        Ok(Issuer::new(Self::open(directory)?, own.key, Vec::new()))
    }
}

/// Everything that can fail before anything is written.
struct Draft<'a> {
    store: Store,
    new: &'a NewAuthority,
    period: Period,
    now: Timestamp,
}

/// A key and how it will stand on disk.
struct Sealed {
    key: PrivateKey,
    sealed: Secret,
    path: PathBuf,
}

impl<'a> Draft<'a> {
    fn new(directory: &Path, new: &'a NewAuthority, now: Timestamp) -> Result<Self, AuthorityError> {
        new.names("Issuing CA", now)?;
        let period = life(new.days, now)?;
        Ok(Self { store: Store::at(directory), new, period, now })
    }

    fn key(&self, passphrase: &Secret, path: PathBuf) -> Result<Sealed, AuthorityError> {
        let seal = || {
            let key = PrivateKey::generate(self.new.key)?;
            let sealed = key.to_encrypted_pem(passphrase, self.new.iterations)?;
            Ok((key, sealed))
        };
        match seal() {
            Ok((key, sealed)) => Ok(Sealed { key, sealed, path }),
            Err(source) => Err(AuthorityError::Key { path, source }),
        }
    }

    fn open(&self) -> Result<Opened<'_>, AuthorityError> {
        Opened::new(&self.store, &fleet_domain(self.new.name.trim()), self.now)
    }
}

/// A directory that is being filled, locked.
pub(crate) struct Opened<'a> {
    store: &'a Store,
    ledger: Ledger,
    lock: Lock,
    at: Timestamp,
}

impl<'a> Opened<'a> {
    pub(crate) fn new(store: &'a Store, fleet: &str, now: Timestamp) -> Result<Self, AuthorityError> {
        store.create()?;
        let lock = store.lock()?;
        refuse_remains(store)?;
        store::create_private(&store.directory().join("certs"))?;
        let at = when::whole(now);
        let ledger = Ledger::create(&store.ledger(), fleet, at, &lock)?;
        Ok(Self { store, ledger, lock, at })
    }

    /// Signs a certificate for `key` with `signer`, and has it in the ledger before it is anywhere else; its DER.
    fn certify(
        &mut self,
        template: Template,
        (name, period): (&str, Period),
        (key, signer): (&PrivateKey, &PrivateKey),
    ) -> Result<Vec<u8>, AuthorityError> {
        let serial = sign::fresh_serial(|serial| self.ledger.knows(serial))?;
        let ground = Ground { serial: &serial, period, public: key.public_der() };
        let der = sign::sign(template, ground, signer)?.to_der().map_err(IssueError::from)?;
        self.record(sign::hex(&serial), name, (period, &der))?;
        Ok(der)
    }

    /// Has a certificate of the authority in the ledger.
    pub(crate) fn record(
        &mut self,
        serial: String,
        name: &str,
        (period, der): (Period, &[u8]),
    ) -> Result<(), AuthorityError> {
        let (at, kind, name) = (self.at, Kind::Ca, name.to_owned());
        self.ledger
            .append(Event::Reserved { at, serial: serial.clone(), kind, name: name.clone() }, &self.lock)?;
        let (sha256, Period { not_before, not_after }) = (sign::fingerprint(der), period);
        let issued = Event::Issued { at, serial, sha256, kind, name, not_before, not_after };
        Ok(self.ledger.append(issued, &self.lock)?)
    }

    /// Writes key and certificate; with the latter the authority is there.
    fn finish(&self, sealed: &Sealed, der: &[u8]) -> Result<(), AuthorityError> {
        store::replace(&sealed.path, sealed.sealed.expose(), store::PRIVATE)?;
        let pem = sign::certificate_pem(der)?;
        Ok(store::replace(&self.store.certificate(), pem.as_bytes(), store::PUBLIC)?)
    }
}

/// An interrupted `init` leaves a ledger that knows the authority alone, and perhaps a key; that is made anew.
/// Anything more is somebody's data.
fn refuse_remains(store: &Store) -> Result<(), AuthorityError> {
    let directory = || store.directory().to_owned();
    if store.certificate().exists() {
        return Err(AuthorityError::Exists(directory()));
    }
    if !store.ledger().exists() {
        return if store.first_key().exists() { Err(AuthorityError::Remains(directory())) } else { Ok(()) };
    }
    match Ledger::open(&store.ledger()) {
        Ok(ledger) if ledger.entries().iter().all(|entry| entry.kind == Kind::Ca) => Ok(()),
        _ => Err(AuthorityError::Remains(directory())),
    }
}
