use std::{fmt::Write as _, fs, os::unix::fs::PermissionsExt as _};

use super::*;
use crate::registry::{Auth, Certificates};

const ARGON2: &str = "$argon2id$v=19$m=1024,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$bmt1GKdQPs82BsJesjAdSirKsymWdxhWuju1LZkOaDHl2aDXwaF/CZtIo+mSG/OqbfHyC0IJan/3bVumglzUAQ";
const SHA512: &str = "$6$UvrH2l6Lh3E2AFcM$ChWYqL/JeK890OGUqKho5Ch7U0VQCcQJxzyv2JWG4F+MrUQ/CHQK9T1EXqIpNf8lCGRskSslZkruSPBf6nk21Q==";

const SETTINGS: &str = r#"version = 1
[roles.sensor]
publish = ["sensors/{device}/#"]
[roles.gateway]
include = ["sensor"]
publish = ["site/{attr.site}/+"]
max_qos = 1
[roles.quarantine]
publish = "quarantine/{device}"
[everyone]
publish = ["status/{device}"]
[anonymous]
subscribe = ["public/#"]
"#;

const DEVICES: &str = r#"version = 1
[thunder10]
role = "sensor"
[gw-7]
roles = ["gateway"]
attr = { site = "rome" }
subscribe = ["cmd/#"]
[lost]
role = "sensor"
state = "disabled"
[old]
state = "retired"
[odd]
role = "sensor"
state = "quarantined"
publish = ["own"]
"#;

pub(super) struct Folder(tempfile::TempDir);

impl Folder {
    pub(super) fn new(settings: &str, devices: &str) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.write("citronella.toml", settings);
        folder.write("devices.toml", devices);
        folder
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.0.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o640)).unwrap();
    }

    pub(super) fn load(&self) -> Loaded {
        Snapshot::load(&self.0.path().join("citronella.toml"), Permissions::Judge)
    }

    fn snapshot(&self) -> Snapshot {
        let loaded = self.load();
        let report: Vec<String> = loaded.report.iter().map(ToString::to_string).collect();
        assert_eq!(report, [""; 0]);
        loaded.snapshot.unwrap()
    }

    fn errors(&self) -> String {
        let loaded = self.load();
        assert!(loaded.snapshot.is_none());
        loaded.report.iter().map(|found| format!("{found}\n")).collect()
    }
}

fn publish(topic: &str, qos: u8) -> Request<'_> {
    Request::Publish { topic, qos, retain: false, payload_bytes: 1 }
}

#[test]
fn a_policy_is_roles_with_what_they_include_own_rules_and_everyone() {
    let snapshot = Folder::new(SETTINGS, DEVICES).snapshot();
    for (name, topic, qos, allowed) in [
        ("thunder10", "sensors/thunder10/t", 2, true),
        ("thunder10", "sensors/gw-7/t", 0, false),
        ("thunder10", "status/thunder10", 0, true),
        ("thunder10", "site/rome/t", 0, false),
        ("gw-7", "sensors/gw-7/t", 2, true),
        ("gw-7", "site/rome/t", 1, true),
        ("gw-7", "site/rome/t", 2, false),
        ("gw-7", "site/milan/t", 0, false),
        ("gw-7", "cmd/x", 0, false),
    ] {
        let request = publish(topic, qos);
        let decision = snapshot.authorize(name, "c", &request);
        assert_eq!(decision.is_allowed(), allowed, "{name} {topic} {qos}: {decision}");
    }
    let request = Request::Subscribe { filter: "cmd/x/#" };
    assert!(snapshot.authorize("gw-7", "c", &request).is_allowed());
}

#[test]
fn a_state_other_than_active_takes_the_rules_away_and_says_so() {
    let snapshot = Folder::new(SETTINGS, DEVICES).snapshot();
    for (name, topic, said) in [
        ("lost", "sensors/lost/t", "refused: the device is disabled"),
        ("old", "status/old", "refused: the device is retired"),
        ("nobody", "status/nobody", "refused: no device has this name"),
        ("Thunder10", "status/Thunder10", "refused: no device has this name"),
        ("", "status/", "refused: no device has this name"),
        ("odd", "sensors/odd/t", "refused: no rule allows publish to `sensors/odd/t`"),
        ("odd", "own", "refused: no rule allows publish to `own`"),
        ("odd", "status/odd", "refused: no rule allows publish to `status/odd`"),
    ] {
        assert_eq!(snapshot.authorize(name, "c", &publish(topic, 0)).to_string(), said, "{name} {topic}");
    }
    assert!(snapshot.authorize("odd", "c", &publish("quarantine/odd", 0)).is_allowed());
}

#[test]
fn a_quarantined_device_without_the_role_has_nothing() {
    let snapshot =
        Folder::new("version = 1\n[everyone]\npubsub = \"#\"\n", "version = 1\n[a]\nstate=\"quarantined\"\n")
            .snapshot();
    assert!(!snapshot.authorize("a", "c", &publish("x", 0)).is_allowed());
}

#[test]
fn anonymous_clients_have_their_block_alone_and_none_without_it() {
    let snapshot = Folder::new(SETTINGS, DEVICES).snapshot();
    let filter = Request::Subscribe { filter: "public/a" };
    assert!(snapshot.admits_anonymous());
    assert!(snapshot.authorize(ident::ANONYMOUS, "c", &filter).is_allowed());
    let status = "status/~anonymous";
    assert!(!snapshot.authorize(ident::ANONYMOUS, "c", &publish(status, 0)).is_allowed());

    let snapshot = Folder::new("version = 1\n", DEVICES.split_at(12).0).snapshot();
    assert!(!snapshot.admits_anonymous());
    assert!(!snapshot.authorize(ident::ANONYMOUS, "c", &filter).is_allowed());
}

#[test]
fn devices_with_the_same_roles_share_one_index() {
    let devices = "version = 1\n[a]\nroles=[\"gateway\"]\n[b]\nroles=[\"sensor\", \"gateway\"]\n[c]\nrole=\"gateway\"\npublish=[\"x\"]\n[d]\nrole=\"sensor\"\n";
    let snapshot = Folder::new(SETTINGS, devices).snapshot();
    assert_eq!(snapshot.role_sets(), 2);
}

#[test]
fn password_file_and_registry_come_together() {
    let settings = "version = 1\n[auth]\npassword_file = \"passwd\"\n";
    let devices = format!("version = 1\n[a]\n[b]\npassword = \"{SHA512}\"\n[c]\nauth = \"both\"\n");
    let folder = Folder::new(settings, &devices);
    folder.write("passwd", &format!("x:{SHA512}\na:{ARGON2}\n"));
    let snapshot = folder.snapshot();
    assert_eq!(snapshot.device("a").unwrap().password().unwrap().verify(b"pw"), Ok(true));
    assert_eq!(snapshot.device("b").unwrap().password().unwrap().verify(b"pw"), Ok(true));
    assert!(snapshot.device("c").unwrap().password().is_none());
    assert_eq!(snapshot.device("c").unwrap().auth(), Auth::Both);
    let unlisted: Vec<&str> = snapshot.unlisted_users().iter().map(|user| &*user.name).collect();
    assert_eq!(unlisted, ["x"]);
    assert_eq!(
        snapshot.costliest_hash().unwrap().kind(),
        Kind::Argon2id { memory_kib: 1024, passes: 2, lanes: 1 }
    );

    folder.write("passwd", &format!("b:{SHA512}\n"));
    assert!(folder.errors().contains("`b` has a password here and another at devices.toml:3"));
}

#[test]
fn a_user_whom_no_device_could_be_called_keeps_nobody_else_out() {
    let settings = "version = 1\n[auth]\npassword_file = \"passwd\"\n";
    let folder = Folder::new(settings, "version = 1\n[a]\n");
    folder.write("passwd", &format!("bob+iot@example.com:{ARGON2}\na:{SHA512}\n"));
    let loaded = folder.load();
    assert_eq!(loaded.report.count(), (0, 1));
    let said = loaded.report.iter().next().unwrap().to_string();
    assert!(said.contains("passwd:1:1: warning: no device can be called `bob+iot@example.com`"), "{said}");
    let snapshot = loaded.snapshot.unwrap();
    assert!(snapshot.device("a").unwrap().password().is_some());
    assert!(snapshot.device("bob+iot@example.com").is_none());
    // Nor does anybody pay the price of a hash that is never verified.
    assert_eq!(snapshot.costliest_hash().unwrap().kind(), Kind::Sha512);
}

#[test]
fn without_certificates_a_device_accepts_none_unless_the_default_is_any_and_it_has_no_password() {
    let devices = format!("version = 1\n[a]\n[b]\npassword = \"{SHA512}\"\n[c]\ncertificates = []\n");
    let certificates = |settings: &str, name: &str| {
        Folder::new(settings, &devices).snapshot().device(name).unwrap().certificates().clone()
    };
    let none = Certificates::Listed(Box::new([]));
    assert_eq!(certificates("version = 1\n", "a"), none);
    let any = "version = 1\n[identity]\ndefault_certificates = \"any\"\n";
    assert_eq!(certificates(any, "a"), Certificates::Any);
    assert_eq!(certificates(any, "b"), none);
    assert_eq!(certificates(any, "c"), none);
}

#[test]
fn the_mistakes_of_all_files_are_reported_at_once() {
    let folder = Folder::new(
        "version = 1\nfoo = 1\n[auth]\npassword_file = \"passwd\"\n",
        "version = 1\n[a]\nrole = \"x\"\n",
    );
    folder.write("passwd", "a:hunter2\n");
    let errors = folder.errors();
    for expected in ["unknown key `foo`", "no role is called `x`", "the entry of `a`"] {
        assert!(errors.contains(expected), "{errors}");
    }
    assert!(!errors.contains("hunter2"));
}

#[test]
fn a_missing_file_is_an_error_and_not_an_empty_registry() {
    let folder = Folder::new("version = 1\n", "");
    fs::remove_file(folder.0.path().join("devices.toml")).unwrap();
    assert!(folder.errors().contains("devices.toml` cannot be read"));
}

#[test]
fn a_file_that_strangers_can_write_is_not_used() {
    let folder = Folder::new("version = 1\n", "version = 1\n");
    let path = folder.0.path().join("devices.toml");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    assert!(folder.errors().contains("can be written by everybody"));
    let loaded = Snapshot::load(&folder.0.path().join("citronella.toml"), Permissions::Ignore);
    assert!(loaded.snapshot.is_some());
}

#[test]
fn a_change_is_tried_before_it_is_written() {
    let folder = Folder::new(SETTINGS, DEVICES);
    let settings = folder.0.path().join("citronella.toml");
    let registry = folder.0.path().join("devices.toml");
    let mut editor = crate::registry::edit::Editor::open(&registry).unwrap();
    editor.set_state("lost", State::Active).unwrap();
    editor.save(|text| Snapshot::load_with_registry(&settings, text).report).unwrap();
    assert_eq!(folder.snapshot().device("lost").unwrap().state(), State::Active);

    let mut editor = crate::registry::edit::Editor::open(&registry).unwrap();
    editor.set_roles("lost", &["nothing".to_owned()]).unwrap();
    assert!(editor.save(|text| Snapshot::load_with_registry(&settings, text).report).is_err());
    assert_eq!(folder.snapshot().device("lost").unwrap().roles().len(), 1);
}

#[test]
fn the_revision_changes_with_any_file_and_only_then() {
    let folder = Folder::new("version = 1\n", "version = 1\n");
    let first = folder.snapshot().revision().to_owned();
    assert_eq!(first.len(), 12);
    assert_eq!(folder.snapshot().revision(), first);
    folder.write("devices.toml", "version = 1\n#\n");
    assert_ne!(folder.snapshot().revision(), first);
}

#[test]
fn a_revision_is_the_same_on_every_machine() {
    let folder = Folder::new("version = 1\n", "version = 1\n");
    assert_eq!(folder.snapshot().revision(), "71ddb2f659be", "32-bit systems count in fewer bytes");
}

#[test]
fn a_client_id_belongs_to_the_longest_name_it_begins_with() {
    let devices = "version = 1\n[pump]\n[pump-1]\n[\"a b\"]\n[\"pump-1.x\"]\n";
    let snapshot = Folder::new("version = 1\n", devices).snapshot();
    let long = format!("pump-{}", "-".repeat(60_000));
    for (client_id, owner) in [
        ("pump", Some("pump")),
        ("pump-1", Some("pump-1")),
        ("pump-1-tcp", Some("pump-1")),
        ("pump-1.x", Some("pump-1.x")),
        ("pump-1.x/2", Some("pump-1.x")),
        ("pump-12", Some("pump")),
        ("pump12", None),
        ("Pump", None),
        ("a b:1", Some("a b")),
        ("", None),
        ("-pump", None),
        (&long, Some("pump")),
    ] {
        let found = snapshot.owner_of_client_id(client_id).map(|device| device.name().as_str());
        assert_eq!(found, owner, "{client_id}");
    }
}

#[test]
fn ten_thousand_devices_with_one_role_share_one_policy() {
    let mut devices = "version = 1\n".to_owned();
    for number in 0..10_000 {
        write!(devices, "[dev-{number}]\nrole = \"sensor\"\n").unwrap();
    }
    let snapshot = Folder::new(SETTINGS, &devices).snapshot();
    assert_eq!((snapshot.devices().len(), snapshot.role_sets()), (10_000, 1));
}

#[test]
fn a_file_may_be_as_large_as_the_settings_say() {
    let folder = Folder::new("version = 1\n[limits]\nfile_mib = 0\n", "version = 1\n[a]\n");
    let said = |folder: &Folder| -> String {
        let loaded = folder.load();
        assert!(loaded.snapshot.is_none());
        loaded.report.iter().map(|found| format!("{found:#}\n")).collect()
    };
    let none = said(&folder);
    assert!(none.contains("citronella.toml:3:12") && none.contains("`file_mib` is 0"), "{none}");
    assert!(!none.contains("larger than"), "one mistake is told once: {none}");
    folder.write("citronella.toml", "version = 1\n[limits]\nfile_mib = 1\n");
    let loaded = folder.load().snapshot.unwrap();
    assert!(loaded.is_current());
    folder.write("devices.toml", &"#".repeat(1 << 20 | 1));
    let large = said(&folder);
    assert!(
        large.contains("is larger than 1048576 bytes") && large.contains("`[limits] file_mib`"),
        "{large}"
    );
    assert!(!loaded.is_current());
    folder.write("citronella.toml", "version = 1\n");
    folder.write("devices.toml", &format!("version = 1\n{}", "#".repeat(1 << 20)));
    assert!(folder.load().snapshot.is_some(), "64 MiB are allowed");
}
