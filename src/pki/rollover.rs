//! A new authority in the place of the old one, which stays trusted until everybody has the new one.
//!
//! New key → certificate of the old one put aside → new certificate. The last step is one rename: before it the old
//! authority signs, after it the new one. A kill before it leaves a key that nobody uses.
#![forbid(unsafe_code)]

use std::fs;

use der::Encode as _;
use jiff::Timestamp;

use super::{
    authority::{Authority, AuthorityError},
    create::NewAuthority,
    issue::{IssueError, Issuer},
    key::PrivateKey,
    ledger::Event,
    life::life,
    profile::{Kind, Period, Profile, Template},
    sign::{self, Ground},
    store, when,
};
use crate::secret::Secret;

impl Issuer {
    /// Makes a new root under the same passphrase, which signs from now on. Its name differs from those of all before
    /// it: clients that hold one of two authorities of one name cannot tell which has signed.
    ///
    /// # Errors
    ///
    /// There are two tiers, or the file system refuses; then the old authority signs on.
    pub fn roll_over(
        self,
        new: &NewAuthority,
        passphrase: &Secret,
        now: Timestamp,
    ) -> Result<Self, AuthorityError> {
        let mut authority = self.lock();
        if authority.has_two_tiers() {
            return Err(AuthorityError::TwoTiers);
        }
        let taken: Vec<String> = authority.list().iter().map(|entry| entry.name.clone()).collect();
        let (subject, name) = new.unused_names(&taken, now)?;
        let period = life(new.days, now)?;
        let directory = authority.directory().to_owned();
        let key_error = |source| AuthorityError::Key { path: directory.join("keys"), source };
        let key = PrivateKey::generate(new.key).map_err(key_error)?;
        let sealed = key.to_encrypted_pem(passphrase, new.iterations).map_err(key_error)?;
        let subject = subject.with_common_name(&name).map_err(IssueError::from)?;
        let template =
            Template { profile: Profile::Root(0), issuer: subject.clone(), subject, issuer_key_id: None };

        let (old_serial, old_pem) = (authority.own().serial.clone(), authority.certificate_pem().to_owned());
        let (store, ledger) = authority.parts();
        let lock = store.lock()?;
        ledger.refresh()?;
        let serial = sign::fresh_serial(|serial| ledger.knows(serial))?;
        let ground = Ground { serial: &serial, period, public: key.public_der() };
        let der = sign::sign(template, ground, &key)?.to_der().map_err(IssueError::from)?;
        let (at, kind, serial) = (when::whole(now), Kind::Ca, sign::hex(&serial));
        let (sha256, Period { not_before, not_after }) = (sign::fingerprint(&der), period);
        for folder in ["keys", "retired"] {
            store::create_private(&directory.join(folder))?;
        }
        ledger.append(Event::Reserved { at, serial: serial.clone(), kind, name: name.clone() }, &lock)?;
        let path = directory.join("keys").join(format!("{serial}.key"));
        store::replace(&path, sealed.expose(), store::PRIVATE)?;
        ledger.append(Event::Issued { at, serial, sha256, kind, name, not_before, not_after }, &lock)?;
        let retired = directory.join("retired").join(format!("{old_serial}.crt"));
        store::replace(&retired, old_pem.as_bytes(), store::PUBLIC)?;
        let pem = sign::certificate_pem(&der)?;
        store::replace(&store.certificate(), pem.as_bytes(), store::PUBLIC)?;
        drop(lock);
        Authority::open(&directory)?.unlock(passphrase)
    }
}

impl Authority {
    /// Stops trusting the earlier authorities; how many there were. Their certificates stay on record.
    ///
    /// # Errors
    ///
    /// The file system refuses.
    pub fn forget_retired(&mut self) -> Result<usize, AuthorityError> {
        let (store, _) = self.parts();
        let _lock = store.lock()?;
        let paths = store.retired();
        for path in &paths {
            let Some(name) = path.file_name() else { continue };
            let record = store.directory().join("certs").join(name);
            fs::rename(path, &record).map_err(store::at("move", path))?;
        }
        Ok(paths.len())
    }
}
