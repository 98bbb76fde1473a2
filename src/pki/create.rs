//! A new authority.
#![forbid(unsafe_code)]

use std::path::Path;

use der::Encode;
use jiff::Timestamp;

use super::{
    authority::{Authority, AuthorityError},
    issue::{IssueError, Issuer},
    key::{KeyKind, PBKDF2_ITERATIONS, PrivateKey},
    ledger::{Event, Ledger},
    profile::{Kind, Period, Profile, ROOT_DAYS, Template},
    sign::{self, Ground},
    store::{self, Store},
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
        let serial = sign::fresh_serial(|_| false)?;
        let kind = Kind::Ca;
        let hex = sign::hex(&serial);
        ledger.append(Event::Reserved { at, serial: hex.clone(), kind, name: common_name.clone() }, &lock)?;
        let subject = subject.with_common_name(&common_name).map_err(IssueError::from)?;
        let template =
            Template { profile: Profile::Root, issuer: subject.clone(), subject, issuer_key_id: None };
        let ground = Ground { serial: &serial, period, public: key.public_der() };
        let der = sign::sign(template, ground, &key)?.to_der().map_err(IssueError::from)?;
        let Period { not_before, not_after } = period;
        let sha256 = sign::fingerprint(&der);
        ledger.append(
            Event::Issued { at, serial: hex, sha256, kind, name: common_name, not_before, not_after },
            &lock,
        )?;
        store::replace(&store.key(), sealed.expose(), store::PRIVATE)?;
        store::replace(&store.certificate(), sign::certificate_pem(&der)?.as_bytes(), store::PUBLIC)?;
        drop(lock);
        Ok(Issuer::new(Self::open(directory)?, key))
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
        return if store.key().exists() { Err(AuthorityError::Remains(directory())) } else { Ok(()) };
    }
    match Ledger::open(&store.ledger()) {
        Ok(ledger) if ledger.entries().iter().all(|entry| entry.kind == Kind::Ca) => Ok(()),
        _ => Err(AuthorityError::Remains(directory())),
    }
}
