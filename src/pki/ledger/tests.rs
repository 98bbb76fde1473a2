use std::fs;

use super::*;
use crate::pki::store::Store;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn reserved(serial: &str) -> Event {
    Event::Reserved {
        at: at("2026-01-01T00:00:00Z"),
        serial: serial.to_owned(),
        kind: Kind::Device,
        name: "thunder10".to_owned(),
    }
}

fn issued(serial: &str) -> Event {
    Event::Issued {
        at: at("2026-01-01T00:00:00Z"),
        serial: serial.to_owned(),
        sha256: format!("ff{serial}"),
        kind: Kind::Device,
        name: "thunder10".to_owned(),
        not_before: at("2026-01-01T00:00:00Z"),
        not_after: at("2026-03-01T00:00:00Z"),
    }
}

fn fresh() -> (tempfile::TempDir, Store, Ledger, Lock) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::at(folder.path());
    let lock = store.lock().unwrap();
    let ledger = Ledger::create(&store.ledger(), "home", at("2026-01-01T00:00:00Z"), &lock).unwrap();
    (folder, store, ledger, lock)
}

#[test]
fn what_is_written_is_read_back() {
    let (_folder, store, mut ledger, lock) = fresh();
    ledger.append(reserved("4a"), &lock).unwrap();
    ledger.append(issued("4a"), &lock).unwrap();
    ledger.append(reserved("4b"), &lock).unwrap();
    let read = Ledger::open(&store.ledger()).unwrap();
    assert_eq!(read.entries(), ledger.entries());
    assert_eq!(read.fleet(), "home");
    assert_eq!(read.find("ff4a").unwrap().serial, "4a");
    let states = |now: &str| read.entries().iter().map(|entry| entry.state(at(now))).collect::<Vec<_>>();
    assert_eq!(states("2026-02-01T00:00:00Z"), [State::Valid, State::Unfinished]);
    assert_eq!(states("2026-03-01T00:00:01Z"), [State::Expired, State::Unfinished]);
    assert_eq!(states("2025-02-01T00:00:00Z"), [State::Future, State::Unfinished]);
    assert!(
        read.entries()[0]
            .expires_within(jiff::SignedDuration::from_hours(30 * 24), at("2026-02-15T00:00:00Z"))
    );
    assert!(
        !read.entries()[0]
            .expires_within(jiff::SignedDuration::from_hours(10 * 24), at("2026-02-15T00:00:00Z"))
    );
}

#[test]
fn a_kill_at_any_byte_of_a_line_loses_only_that_line() {
    let (_folder, store, mut ledger, lock) = fresh();
    ledger.append(reserved("4a"), &lock).unwrap();
    let before = fs::read(store.ledger()).unwrap();
    ledger.append(issued("4a"), &lock).unwrap();
    let after = fs::read(store.ledger()).unwrap();
    for end in before.len()..after.len() {
        fs::write(store.ledger(), &after[..end]).unwrap();
        let mut torn = Ledger::open(&store.ledger()).unwrap();
        assert_eq!(torn.is_torn(), end > before.len(), "{end}");
        assert_eq!(torn.entries().len(), 1);
        assert_eq!(torn.entries()[0].certificate, None);
        torn.append(issued("4a"), &lock).unwrap();
        assert!(!torn.is_torn());
        assert_eq!(fs::read(store.ledger()).unwrap(), after);
    }
}

#[test]
fn two_readers_see_what_the_other_wrote() {
    let (_folder, store, mut one, lock) = fresh();
    let mut two = Ledger::open(&store.ledger()).unwrap();
    one.append(reserved("4a"), &lock).unwrap();
    two.append(reserved("4b"), &lock).unwrap();
    one.refresh().unwrap();
    assert_eq!(one.entries().len(), 2);
    assert!(one.append(reserved("4b"), &lock).is_err(), "a serial is never used twice");
}

#[test]
fn damage_in_the_middle_is_named_with_its_line() {
    let (_folder, store, mut ledger, lock) = fresh();
    ledger.append(reserved("4a"), &lock).unwrap();
    ledger.append(issued("4a"), &lock).unwrap();
    let text = fs::read_to_string(store.ledger()).unwrap();
    fs::write(store.ledger(), text.replace("\"reserved\"", "\"reversed\"")).unwrap();
    let error = Ledger::open(&store.ledger()).unwrap_err().to_string();
    assert!(error.contains("ledger:2: this line of the ledger cannot be read"), "{error}");
    fs::write(store.ledger(), "").unwrap();
    assert!(matches!(Ledger::open(&store.ledger()), Err(LedgerError::NoLedger(_))));
}

#[test]
fn the_first_revocation_stands() {
    let (_folder, _store, mut ledger, lock) = fresh();
    ledger.append(reserved("4a"), &lock).unwrap();
    for (when, reason) in
        [("2026-01-02T00:00:00Z", Reason::KeyCompromise), ("2026-01-03T00:00:00Z", Reason::Superseded)]
    {
        ledger.append(Event::Revoked { at: at(when), serial: "4a".to_owned(), reason }, &lock).unwrap();
    }
    assert_eq!(
        ledger.entries()[0].revoked,
        Some(Revoked { at: at("2026-01-02T00:00:00Z"), reason: Reason::KeyCompromise })
    );
}
