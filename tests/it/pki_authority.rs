//! The authority's directory, its ledger, and the folders devices get.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use citronella::pki::{
    Authority, AuthorityError, CrlLife, DeviceRequest, KeyError, KeyKind, Kind, NewAuthority, PrivateKey,
    Reason, Revocation, State,
    bundle::{BundleError, FolderError, OnExisting},
    inspect,
};
use jiff::{SignedDuration, Timestamp};

use crate::pki_support::{House, ITERATIONS, PASSPHRASE, accepts, device, run, secret, write_bundle};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn the_directory_lets_nobody_else_in() {
    let mut house = House::new(KeyKind::P256);
    house.device("thunder10", KeyKind::P256);
    for (name, expected) in [
        ("", 0o700),
        ("certs", 0o700),
        ("ca.key", 0o600),
        ("ledger", 0o600),
        ("lock", 0o600),
        ("ca.crt", 0o644),
    ] {
        assert_eq!(mode(&house.pki().join(name)), expected, "{name}");
    }
    let key = fs::read_to_string(house.pki().join("ca.key")).unwrap();
    assert!(key.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"));
}

#[test]
fn an_authority_opens_with_its_passphrase_only() {
    let house = House::new(KeyKind::P256);
    let unlock = |passphrase: &str| Authority::open(&house.pki()).unwrap().unlock(&secret(passphrase)).err();
    assert!(unlock(PASSPHRASE).is_none());
    let wrong = unlock("wrong").unwrap();
    assert!(matches!(&wrong, AuthorityError::Key { source: KeyError::WrongPassphrase, .. }), "{wrong}");
    assert!(wrong.to_string().ends_with("ca.key: the passphrase does not open the key"), "{wrong}");
    fs::set_permissions(house.pki().join("ca.key"), fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(unlock(PASSPHRASE), Some(AuthorityError::LooseKey(_))));
    let other =
        PrivateKey::generate(KeyKind::P256).unwrap().to_encrypted_pem(&secret(PASSPHRASE), 1000).unwrap();
    fs::write(house.pki().join("ca.key"), other.expose()).unwrap();
    fs::set_permissions(house.pki().join("ca.key"), fs::Permissions::from_mode(0o600)).unwrap();
    assert!(matches!(unlock(PASSPHRASE), Some(AuthorityError::OtherKey(_))));
}

#[test]
fn nothing_is_made_over_an_authority_or_its_remains() {
    let house = House::new(KeyKind::P256);
    let init = |name: &str, passphrase: &str| {
        let new = NewAuthority { iterations: ITERATIONS, ..NewAuthority::new(name) };
        Authority::init(&house.pki(), &new, &secret(passphrase), Timestamp::now()).err().unwrap()
    };
    let key = fs::read(house.pki().join("ca.key")).unwrap();
    assert!(matches!(init("x", "y"), AuthorityError::Exists(_)));
    let mut house = house;
    house.device("thunder10", KeyKind::P256);
    fs::remove_file(house.ca()).unwrap();
    let new = NewAuthority { iterations: ITERATIONS, ..NewAuthority::new("x") };
    let error = Authority::init(&house.pki(), &new, &secret("y"), Timestamp::now()).err().unwrap();
    assert!(matches!(error, AuthorityError::Remains(_)), "{error}");
    assert_eq!(fs::read(house.pki().join("ca.key")).unwrap(), key);
    fs::remove_file(house.pki().join("ledger")).unwrap();
    let error = Authority::init(&house.pki(), &new, &secret("y"), Timestamp::now()).err().unwrap();
    assert!(matches!(error, AuthorityError::Remains(_)), "{error}");
    assert!(matches!(Authority::open(&house.pki()), Err(AuthorityError::Missing(_))));
}

#[test]
fn bad_wishes_for_an_authority_leave_no_directory() {
    let folder = tempfile::tempdir().unwrap();
    let pki = folder.path().join("pki");
    for (name, days, passphrase) in [("", 10, "p"), ("a\nb", 10, "p"), ("x", 0, "p"), ("x", 10, "")] {
        let new = NewAuthority { days, iterations: ITERATIONS, ..NewAuthority::new(name) };
        assert!(
            Authority::init(&pki, &new, &secret(passphrase), Timestamp::now()).is_err(),
            "{name:?} {days}"
        );
        assert!(!pki.exists());
    }
}

#[test]
fn the_ledger_knows_what_was_issued_and_revoked() {
    let mut house = House::new(KeyKind::P256);
    house.broker(&["iotgateway1"], KeyKind::P256);
    let one = house.device("thunder10", KeyKind::P256);
    let two = house.device("thunder11", KeyKind::P256);
    let mut authority = Authority::open(&house.pki()).unwrap();
    let kinds: Vec<_> = authority.list().iter().map(|entry| (entry.kind, entry.name.clone())).collect();
    assert_eq!(
        kinds[1..],
        [
            (Kind::Broker, "iotgateway1".to_owned()),
            (Kind::Device, "thunder10".to_owned()),
            (Kind::Device, "thunder11".to_owned()),
        ]
    );
    assert_eq!(kinds[0].0, Kind::Ca);
    let now = Timestamp::now();
    // As openssl prints a serial: upper case.
    let serial = one.entry.serial.to_uppercase();
    let done = authority.revoke(&serial, Reason::KeyCompromise, now).unwrap();
    assert!(matches!(&done, Revocation::Done(entry) if entry.state(now) == State::Revoked));
    let colons = two
        .sha256()
        .as_bytes()
        .chunks(2)
        .map(|pair| std::str::from_utf8(pair).unwrap())
        .collect::<Vec<_>>()
        .join(":");
    assert!(matches!(authority.revoke(&colons, Reason::Superseded, now), Ok(Revocation::Done(_))));
    assert!(matches!(authority.revoke(&serial, Reason::Superseded, now), Ok(Revocation::Already(_))));
    assert!(matches!(authority.revoke("00ff", Reason::Superseded, now), Err(AuthorityError::Unknown(_))));
    let own = authority.list()[0].serial.clone();
    assert!(matches!(authority.revoke(&own, Reason::Superseded, now), Err(AuthorityError::OwnCertificate)));
    assert_eq!(authority.valid(Kind::Device, "thunder10", now).count(), 0);
    assert_eq!(authority.valid(Kind::Broker, "iotgateway1", now).count(), 1);
    let read = Authority::open(&house.pki()).unwrap();
    assert_eq!(read.list(), authority.list());
    let json = serde_json::to_value(read.find(&serial).unwrap()).unwrap();
    for (key, value) in [
        ("sha256", one.sha256()),
        ("name", "thunder10".to_owned()),
        ("not_after", one.period.not_after.to_string()),
    ] {
        assert_eq!(json[key], value, "{json}");
    }
    assert_eq!(json["revoked"]["reason"], "keyCompromise");
    assert_eq!(read.find(&serial).unwrap().revoked.unwrap().reason, Reason::KeyCompromise);
    assert_eq!(read.certificate_of(&one.entry).unwrap(), one.chain_pem());
}

#[test]
fn a_torn_ledger_line_is_told_and_mended() {
    let mut house = House::new(KeyKind::P256);
    house.device("thunder10", KeyKind::P256);
    let path = house.pki().join("ledger");
    let mut text = fs::read(&path).unwrap();
    text.extend_from_slice(b"{\"event\":\"reserved\",\"at\":\"20");
    fs::write(&path, &text).unwrap();
    let torn = Authority::open(&house.pki()).unwrap();
    assert!(torn.note().is_some_and(|note| note.contains("torn")));
    house.issuer = torn.unlock(&secret(PASSPHRASE)).unwrap();
    house.device("thunder11", KeyKind::P256);
    let mended = Authority::open(&house.pki()).unwrap();
    assert_eq!((mended.note(), mended.list().len()), (None, 3));
}

#[test]
fn a_bundle_is_ready_to_use() {
    let mut house = House::new(KeyKind::P256);
    let issued = house.device("thunder10", KeyKind::P256);
    let path = house.bundle(house.folder.path(), "thunder10", &issued).unwrap();
    assert_eq!(path, house.folder.path().join("thunder10"));
    for (name, expected) in [
        ("", 0o700),
        ("ca.crt", 0o644),
        ("thunder10.crt", 0o644),
        ("thunder10.key", 0o600),
        ("connect.txt", 0o644),
    ] {
        assert_eq!(mode(&path.join(name)), expected, "{name}");
    }
    let text = fs::read_to_string(path.join("connect.txt")).unwrap();
    assert!(text.contains(
        "mosquitto_pub -h iotgateway1 -p 8883 --cafile ca.crt --cert thunder10.crt --key thunder10.key -t sensors/thunder10/temperature -m hello"
    ), "{text}");
    let key = path.join("thunder10.key");
    accepts(run(
        "openssl",
        &["pkey", "-in", key.to_str().unwrap(), "-passin", &format!("pass:{PASSPHRASE}"), "-noout"],
    ));
    let views = inspect::certificates(&fs::read(path.join("thunder10.crt")).unwrap()).unwrap();
    assert_eq!(views[0].sha256, issued.sha256());
}

#[test]
fn a_bundle_replaces_a_bundle_when_told_and_nothing_else_ever() {
    let mut house = House::new(KeyKind::P256);
    let (one, two) = (house.device("thunder10", KeyKind::P256), house.device("thunder10", KeyKind::P256));
    let parent = house.folder.path();
    let path = house.bundle(parent, "thunder10", &one).unwrap();
    let certificate = || fs::read_to_string(path.join("thunder10.crt")).unwrap();
    assert!(matches!(
        house.bundle(parent, "thunder10", &two),
        Err(BundleError::Folder(FolderError::Exists(_)))
    ));
    assert_eq!(certificate(), one.chain_pem());
    let replace = |issued| {
        write_bundle(
            parent,
            ("thunder10", issued),
            house.issuer.authority().certificate_pem(),
            OnExisting::Replace,
        )
    };
    replace(&two).unwrap();
    assert_eq!(certificate(), two.chain_pem());
    fs::write(path.join("notes.txt"), "mine").unwrap();
    assert!(matches!(replace(&one), Err(BundleError::Folder(FolderError::Foreign(_)))));
    assert_eq!(fs::read_to_string(path.join("notes.txt")).unwrap(), "mine");
    let litter = fs::read_dir(parent)
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with('.'))
        .count();
    assert_eq!(litter, 0);
}

#[test]
fn certificates_of_others_are_read_too_and_other_files_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    // The guides' recipe: version 1, no names.
    let (key, old) = (path("k"), path("old.crt"));
    accepts(run(
        "openssl",
        &[
            "req",
            "-new",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-keyout",
            &key,
            "-out",
            &path("r"),
            "-subj",
            "/C=IT/CN=a\u{1b}[2J",
        ],
    ));
    accepts(run("openssl", &["x509", "-req", "-in", &path("r"), "-signkey", &key, "-out", &old]));
    let view = inspect::certificates(&fs::read(&old).unwrap()).unwrap().remove(0);
    assert_eq!((view.version, view.key.as_str(), view.self_issued), (1, "RSA 2048", true));
    assert!(!view.to_string().contains('\u{1b}'), "{view}");
    assert_eq!(inspect::certificates(&fs::read(&key).unwrap()).unwrap_err(), inspect::InspectError::Key);
    assert_eq!(inspect::certificates(b"hello").unwrap_err(), inspect::InspectError::NoCertificate);
    let mut house = House::new(KeyKind::P256);
    let broker = house.broker(&["gw.local", "10.0.0.1"], KeyKind::Rsa2048);
    let view = inspect::certificate(&broker.certificate).unwrap();
    let json = serde_json::to_value(&view).unwrap();
    assert_eq!(json["alternative_names"], serde_json::json!(["DNS:gw.local", "IP:10.0.0.1"]));
    assert_eq!(json["key_usage"], serde_json::json!(["digitalSignature", "keyEncipherment"]));
    assert_eq!(json["extended_key_usage"], serde_json::json!(["serverAuth"]));
    assert_eq!(json["serial"], broker.entry.serial);
    assert!(view.to_string().contains("\nnames            DNS:gw.local, IP:10.0.0.1\n"), "{view}");
    let file = [house.issuer.authority().certificate_pem(), broker.chain_pem()].concat();
    assert_eq!(inspect::certificates(file.as_bytes()).unwrap().len(), 2);
}

#[test]
fn a_clock_that_cannot_be_right_is_named_and_nothing_is_made() {
    let house = House::new(KeyKind::P256);
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let new = NewAuthority { iterations: ITERATIONS, ..NewAuthority::new("Casa Rossi") };
    let other = tempfile::tempdir().unwrap();
    for clock in ["1970-01-01T00:00:07Z", "2000-01-01T00:00:00Z", "2106-02-07T06:28:15Z"] {
        let now = at(clock);
        let pki = other.path().join("pki");
        let errors = [
            Authority::init(&pki, &new, &secret(PASSPHRASE), now).err().unwrap().to_string(),
            Authority::init_issuing(&pki, &new, (&secret("x"), &secret("y")), now).err().unwrap().to_string(),
        ];
        assert!(!pki.exists(), "something was made at {clock}");
        let mut issuer = Authority::open(&house.pki()).unwrap().unlock(&secret(PASSPHRASE)).unwrap();
        let request = DeviceRequest::new(device("thunder10"));
        let refused = issuer.issue_device(&request, now).err().unwrap().to_string();
        let list = issuer.crl(CrlLife::Authority, now).err().unwrap().to_string();
        let before = fs::read(house.pki().join("ledger")).unwrap();
        let rolled = issuer.roll_over(&new, &secret(PASSPHRASE), now).err().unwrap().to_string();
        for error in errors.into_iter().chain([refused, list, rolled]) {
            for part in [&format!("the clock of this machine says {clock}"), "timedatectl", "try again"] {
                assert!(error.contains(part), "{clock}: {error}");
            }
        }
        assert_eq!(fs::read(house.pki().join("ledger")).unwrap(), before);
    }
    // Behind the authority by more than clocks run behind.
    let mut issuer = Authority::open(&house.pki()).unwrap().unlock(&secret(PASSPHRASE)).unwrap();
    let early = issuer.authority().period().not_before - SignedDuration::from_secs(1);
    let error =
        issuer.issue_device(&DeviceRequest::new(device("thunder10")), early).err().unwrap().to_string();
    for part in ["the authority's certificate begins at", &format!("clock of this machine says {early}")] {
        assert!(error.contains(part), "{error}");
    }
    assert_eq!(Authority::open(&house.pki()).unwrap().list().len(), 1);
}
