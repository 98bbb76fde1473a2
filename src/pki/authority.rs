//! An authority on disk: opened, asked, and told what to revoke.
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
    create::MAX_NAME_CHARS,
    inspect,
    issue::{IssueError, Issuer},
    key::{KeyError, PrivateKey},
    ledger::{Entry, Event, Ledger, LedgerError, State},
    profile::{Kind, Period},
    reason::Reason,
    store::{self, FileError, Store},
    subject::Subject,
    when,
};
use crate::secret::Secret;

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
    /// Opens the authority in `directory`; needs no passphrase.
    ///
    /// # Errors
    ///
    /// None is there, or its certificate or ledger cannot be read.
    pub fn open(directory: &Path) -> Result<Self, AuthorityError> {
        let store = Store::at(directory);
        let path = store.certificate();
        let pem = match fs::read_to_string(&path) {
            Ok(pem) => pem,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(AuthorityError::Missing(directory.to_owned()));
            }
            // Not "missing": who may not look into the directory does not know that.
            Err(error) => return Err(store::at("read", &path)(error).into()),
        };
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
        let done = self.revoke_all(&[id], reason, now)?;
        done.into_iter().next().ok_or_else(|| AuthorityError::Unknown(id.to_owned()))
    }

    /// The same for many, on disk in one step; what came of each, in their order.
    ///
    /// # Errors
    ///
    /// As [`Self::revoke`]; then none of them is revoked.
    pub fn revoke_all(
        &mut self,
        ids: &[impl AsRef<str>],
        reason: Reason,
        now: Timestamp,
    ) -> Result<Vec<Revocation>, AuthorityError> {
        let lock = self.store.lock()?;
        self.ledger.refresh()?;
        let at = when::whole(now);
        let (mut events, mut serials) = (Vec::new(), Vec::new());
        for id in ids.iter().map(AsRef::as_ref) {
            let found = self.find(id).ok_or_else(|| AuthorityError::Unknown(id.to_owned()))?;
            if found.kind == Kind::Ca {
                return Err(AuthorityError::OwnCertificate);
            }
            let serial = found.serial.clone();
            let already = found.revoked.is_some();
            if !already {
                events.push(Event::Revoked { at, serial: serial.clone(), reason });
            }
            serials.push((serial, already));
        }
        self.ledger.append_all(events, &lock)?;
        let told = |(serial, already): (String, bool)| {
            let entry = self.ledger.find(&serial).cloned().ok_or(AuthorityError::Unknown(serial))?;
            Ok(if already { Revocation::Already(entry) } else { Revocation::Done(entry) })
        };
        serials.into_iter().map(told).collect()
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

    /// Certificates of that kind and common name that are valid at `now`, oldest first.
    pub fn valid<'a>(&'a self, kind: Kind, name: &'a str, now: Timestamp) -> impl Iterator<Item = &'a Entry> {
        let asked = move |entry: &&Entry| {
            entry.kind == kind && entry.name == name && entry.state(now) == State::Valid
        };
        self.list().iter().filter(asked)
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

    /// Refuses a key (DER of a SubjectPublicKeyInfo) that is not the device's alone, as far as the certificates that
    /// were made tell.
    pub(crate) fn check_key(&self, name: &str, public: &[u8]) -> Result<(), IssueError> {
        if self.public == public {
            return Err(IssueError::AuthorityKey);
        }
        for entry in self.list().iter().filter(|entry| entry.kind != Kind::Ca && entry.certificate.is_some())
        {
            // One whose copy is gone tells nothing.
            let Ok(pem) = fs::read(self.store.issued(&entry.serial)) else { continue };
            if !inspect::has_key(&pem, public) {
                continue;
            }
            if entry.name != name || entry.kind != Kind::Device {
                return Err(IssueError::SharedKey { name: entry.name.clone(), serial: entry.serial.clone() });
            }
            if entry.revoked.is_some_and(|revoked| revoked.reason == Reason::KeyCompromise) {
                return Err(IssueError::CompromisedKey(entry.serial.clone()));
            }
        }
        Ok(())
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
