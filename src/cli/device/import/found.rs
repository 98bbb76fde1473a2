//! What an interrupted run has left in the folder of a device.

use std::{fs, path::Path};

use citronella::{
    password::PasswordHash,
    pki::{Authority, Entry, KeyError, KeyKind, PrivateKey, bundle, inspect},
    registry::{Device, Fingerprint},
    secret::Secret,
    snapshot::Snapshot,
};
use jiff::{SignedDuration, Timestamp};

use super::{Import, plan::Pending};
use crate::cert;

/// Credentials in a folder that the registry does not have.
pub(super) struct Found {
    pub(super) entry: Option<Entry>,
    pub(super) password: Option<PasswordHash>,
}

/// What is there and is not what is asked for, and what to do about it.
pub(super) struct Objection {
    pub(super) message: String,
    pub(super) help: String,
}

/// What is in the folder, if that is all there is to be; nothing if it is something else.
pub(super) fn look(
    (snapshot, authority): (&Snapshot, Option<&Authority>),
    import: &Import,
    pending: &Pending,
    folder: &Path,
) -> Result<Option<Found>, Objection> {
    let Some(found) = whole((snapshot, authority), pending, folder) else { return Ok(None) };
    if let Some(entry) = &found.entry {
        as_asked(import, pending, folder, entry)?;
    }
    Ok(Some(found))
}

fn whole(
    (snapshot, authority): (&Snapshot, Option<&Authority>),
    pending: &Pending,
    folder: &Path,
) -> Option<Found> {
    let name = &pending.row.name;
    let file = |extension| folder.join(bundle::folder_name(name)).with_added_extension(extension);
    let mut found = Found { entry: None, password: None };
    if pending.wants_certificate() {
        let entry = cert::in_folder(authority?, folder, name)?;
        let fingerprint: Fingerprint = entry.certificate.as_ref()?.sha256.parse().ok()?;
        let refused = |device: &Device| device.revoked().contains(&fingerprint);
        if !file("key").is_file() || snapshot.device(name.as_str()).is_some_and(refused) {
            return None;
        }
        found.entry = Some(entry);
    }
    if pending.row.credentials.password {
        let text = Secret::new(fs::read(file("password")).ok()?);
        let line = text.expose().strip_suffix(b"\n")?;
        found.password = Some(PasswordHash::of_generated(line).ok()?);
    }
    Some(found)
}

/// Whether the options would make such a key and such a certificate.
fn as_asked(import: &Import, pending: &Pending, folder: &Path, entry: &Entry) -> Result<(), Objection> {
    let options = &import.certificate;
    let objection = |what: String, help: &str| Objection {
        message: format!("{} has a key of an earlier run, {what}", folder.display()),
        help: help.to_owned(),
    };
    let request = options.request(&pending.row.name);
    let file = |extension| {
        let path = folder.join(bundle::folder_name(&pending.row.name)).with_added_extension(extension);
        Secret::new(fs::read(path).unwrap_or_default())
    };
    let views = inspect::certificates(file("crt").expose()).unwrap_or_default();
    let kind = views.first().and_then(|view| KeyKind::of_words(&view.key));
    if kind != Some(request.key) {
        let is = kind.map_or_else(|| "of another kind".to_owned(), |kind| kind.to_string());
        return Err(objection(
            format!("{is}, and {} is asked for", request.key),
            "`--key` takes it up as it is, --force makes a new one",
        ));
    }
    let opened = PrivateKey::from_pem(file("key").expose(), None);
    let is_encrypted = matches!(opened, Err(KeyError::PassphraseNeeded | KeyError::Traditional));
    if is_encrypted != options.encrypts() {
        return Err(if is_encrypted {
            objection(
                "encrypted, and no passphrase is asked for".to_owned(),
                "give its passphrase (--key-passphrase-file) to take it up, or --force to make a new one",
            )
        } else {
            objection("not encrypted, and a passphrase is asked for".to_owned(), "--force makes a new one")
        });
    }
    // The authority's end may have shortened it, and nothing lengthens it.
    let most = |made: Timestamp| {
        let days = SignedDuration::from_hours(24 * (i64::from(request.days) + 1));
        made.checked_add(days).unwrap_or(Timestamp::MAX)
    };
    if entry.certificate.as_ref().is_some_and(|made| made.period.not_after > most(made.issued_at)) {
        return Err(objection(
            format!("with a certificate for more than {} days", request.days),
            "--force makes a new one",
        ));
    }
    Ok(())
}
