//! The authority's record.

use std::{collections::HashSet, fs, hint::black_box, sync::LazyLock};

use citronella::{
    pki::{Authority, Kind, NewAuthority, Reason, Revocation},
    secret::Secret,
};
use jiff::Timestamp;
use tempfile::TempDir;

/// 2026-11-22T16:00:00Z
const NOW: Timestamp = Timestamp::constant(1_795_363_200, 0);

/// An authority whose ledger is replaced again and again, and what its ledger says of itself.
static AUTHORITY: LazyLock<(TempDir, Vec<u8>)> = LazyLock::new(|| {
    let folder = crate::folder();
    let new = NewAuthority { iterations: 1_000, ..NewAuthority::new("home") };
    let made = Authority::init(folder.path(), &new, &Secret::new(b"passphrase".to_vec()), NOW);
    made.unwrap_or_else(|error| panic!("{error}"));
    let lines = fs::read(folder.path().join("ledger")).unwrap_or_else(|error| panic!("{error}"));
    (folder, lines)
});

/// Any bytes as the whole ledger, and behind the lines of a real one.
pub fn check(bytes: &[u8]) {
    open(bytes);
    open(&[&AUTHORITY.1, bytes].concat());
}

fn open(bytes: &[u8]) {
    let path = AUTHORITY.0.path().join("ledger");
    fs::write(&path, bytes).unwrap_or_else(|error| panic!("{error}"));
    let mut authority = match Authority::open(AUTHORITY.0.path()) {
        Ok(authority) => authority,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    assert!(!authority.fleet().is_empty());
    assert_eq!(authority.note().is_some(), bytes.last() != Some(&b'\n'));
    let mut serials = HashSet::new();
    for entry in authority.list() {
        assert!(serials.insert(entry.serial.clone()), "{} twice", entry.serial);
        black_box(entry.state(NOW));
        black_box(entry.expires_within(jiff::SignedDuration::MAX, NOW));
    }
    let Some(last) = authority.list().last().filter(|last| last.kind != Kind::Ca).cloned() else { return };
    if authority.find(&last.serial).is_none() {
        return; // written in a way in which no serial is
    }
    revoke(&mut authority, &last.serial);
}

/// A revocation is one line more, and stays.
fn revoke(authority: &mut Authority, serial: &str) {
    let before = authority.list().len();
    let found =
        authority.find(serial).map(|found| (found.serial.clone(), found.kind, found.revoked.is_some()));
    let Some((serial, kind, known)) = found.filter(|(_, kind, _)| *kind != Kind::Ca) else { return };
    let done = authority.revoke(&serial, Reason::KeyCompromise, NOW);
    let done = done.unwrap_or_else(|error| panic!("{kind:?} {serial:?}: {error}"));
    assert_eq!(matches!(done, Revocation::Already(_)), known);
    let again = Authority::open(authority.directory()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((again.list().len(), again.list()), (before, authority.list()));
    assert!(again.find(&serial).is_some_and(|found| found.revoked.is_some()), "{serial}");
}
