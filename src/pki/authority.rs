//! An authority on disk: opened, asked, and told what to revoke.
#![forbid(unsafe_code)]

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use thiserror::Error;
use x509_cert::name::Name;

use super::{
    anchor::Anchor,
    create::MAX_NAME_CHARS,
    crl::CrlError,
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
    /// Made by others, and no client would be content with what it signs.
    #[error("{} cannot be adopted: {why}", path.display())]
    Adopt {
        /// Its certificate.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Its root would have to sign.
    #[error("there is a root above this authority; a new one below it is not made yet")]
    TwoTiers,
    /// Not one of ours.
    #[error("this is no backup of an authority: {0}")]
    Archive(String),
    /// It would do harm, so it is not handed out.
    #[error("the new revocation list is not used: {0}")]
    Crl(CrlError),
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
    default_subject: Subject,
    /// What signs brokers and devices.
    own: Anchor,
    /// What signed that, where there are two tiers.
    root: Option<Anchor>,
    /// Earlier ones that are still trusted.
    retired: Vec<Anchor>,
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
        if fs::metadata(&path).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
            return Err(AuthorityError::Missing(directory.to_owned()));
        }
        // Not "missing" for other errors: who may not look into the directory does not know that.
        let own = Anchor::read(&path)?;
        let root = store.root_certificate();
        let root = if root.exists() { Some(Anchor::read(&root)?) } else { None };
        let mut retired =
            store.retired().iter().map(|path| Anchor::read(path)).collect::<Result<Vec<_>, _>>()?;
        // A roll-over that was killed has copied what is still in use.
        retired.retain(|old| old.der != own.der);
        let organization = own.subject.organization().ok().flatten();
        let default_subject =
            organization.and_then(|value| Subject::organization(&value.value()).ok()).unwrap_or_default();
        let ledger = Ledger::open(&store.ledger())?;
        Ok(Self { store, ledger, default_subject, own, root, retired })
    }

    /// Opens the key, and those of earlier authorities that the same passphrase opens.
    ///
    /// # Errors
    ///
    /// A wrong passphrase, a key that others may read, or one that is not the certificate's.
    pub fn unlock(self, passphrase: &Secret) -> Result<Issuer, AuthorityError> {
        let key = self.open_key(&self.own, passphrase)?;
        let retired = self.retired.iter();
        let retired =
            retired.filter_map(|old| Some((old.clone(), self.open_key(old, passphrase).ok()?))).collect();
        Ok(Issuer::new(self, key, retired))
    }

    fn open_key(&self, anchor: &Anchor, passphrase: &Secret) -> Result<PrivateKey, AuthorityError> {
        let path = self.store.key(&anchor.serial);
        let mode = fs::metadata(&path).map_err(store::at("read", &path))?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(AuthorityError::LooseKey(path));
        }
        let text = Secret::new(fs::read(&path).map_err(store::at("read", &path))?);
        let key = match PrivateKey::from_pem(text.expose(), Some(passphrase)) {
            Ok(key) => key,
            Err(source) => return Err(AuthorityError::Key { path, source }),
        };
        if !key.matches(&anchor.public) {
            return Err(AuthorityError::OtherKey(path));
        }
        Ok(key)
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
            let sha256 = entry.certificate.as_ref().map(|made| &made.sha256);
            let known = [Some(&self.own), self.root.as_ref()].into_iter().flatten().chain(&self.retired);
            if let Some(found) = known.into_iter().find(|known| Some(&known.sha256()) == sha256) {
                return Ok(found.pem.clone());
            }
        }
        let path = self.store.issued(&entry.serial);
        Ok(fs::read_to_string(&path).map_err(store::at("read", &path))?)
    }

    /// Refuses a key (DER of a SubjectPublicKeyInfo) that is not the device's alone, as far as the certificates that
    /// were made tell.
    pub(crate) fn check_key(&self, name: &str, public: &[u8]) -> Result<(), IssueError> {
        if self.own.public == public || self.root.as_ref().is_some_and(|root| root.public == public) {
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

    /// The certificate whose key signs; PEM.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.own.pem
    }

    /// What devices trust: the root, and earlier ones while they overlap; PEM.
    #[must_use]
    pub fn trust_pem(&self) -> String {
        let root = self.root.as_ref().unwrap_or(&self.own);
        let all = std::iter::once(root).chain(&self.retired);
        all.map(|anchor| anchor.pem.as_str()).collect()
    }

    /// What a broker's `cafile` holds: the same, and what stands between the root and the devices, so that devices
    /// that send their own certificate alone are let in too; PEM.
    #[must_use]
    pub fn broker_trust_pem(&self) -> String {
        match &self.root {
            Some(_) => format!("{}{}", self.own.pem, self.trust_pem()),
            None => self.trust_pem(),
        }
    }

    /// What follows a leaf in its chain: nothing while there is one tier; PEM.
    pub(crate) fn chain_tail(&self) -> &str {
        self.root.as_ref().map_or("", |_| &self.own.pem)
    }

    /// Those whose certificates devices may have, each in PEM, the one that signs now first.
    pub(crate) fn anchors_pem(&self) -> Vec<&str> {
        std::iter::once(&self.own).chain(&self.retired).map(|anchor| anchor.pem.as_str()).collect()
    }

    /// Whether a root stands above the one that signs.
    #[must_use]
    pub fn has_two_tiers(&self) -> bool {
        self.root.is_some()
    }

    /// Earlier authorities that are still trusted; PEM.
    pub fn retired(&self) -> impl Iterator<Item = &str> {
        self.retired.iter().map(|anchor| anchor.pem.as_str())
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
        self.own.period
    }

    pub(crate) fn subject(&self) -> &Name {
        &self.own.subject
    }

    pub(crate) fn default_subject(&self) -> &Subject {
        &self.default_subject
    }

    pub(crate) fn key_id(&self) -> &[u8] {
        &self.own.key_id
    }

    pub(crate) fn own(&self) -> &Anchor {
        &self.own
    }

    pub(crate) fn parts(&mut self) -> (&Store, &mut Ledger) {
        (&self.store, &mut self.ledger)
    }
}
