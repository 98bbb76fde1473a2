//! Changes to the registry file.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use citronella::{
    clock::UnixSeconds,
    ident::DeviceName,
    password::{Kind, PasswordHash},
    policy::Index,
    registry::{
        Auth, Device, Fingerprint, Registry, State,
        edit::{EditError, Editor, NewCertificate, NewDevice},
    },
};
use tempfile::TempDir;

use crate::devices_toml::{CONFIG, read};

static FOLDER: LazyLock<TempDir> = LazyLock::new(crate::folder);

/// The first two characters say what is changed and which device, the rest is the file.
///
/// A file that loads can be edited, and loads again: the device is as it was asked to be, all others as they were,
/// and no comment is lost.
pub fn check(text: &str) {
    let mut chars = text.chars();
    let (Some(change), Some(which)) = (chars.next(), chars.next()) else { return };
    let (change, which) = (u32::from(change), u32::from(which));
    let text = chars.as_str();
    let path = write(text);
    let (before, report) = read(text);
    if report.has_errors() {
        // What it makes of such a file is unspecified, but it is no panic.
        if let Ok(mut editor) = Editor::open(&path) {
            drop(apply(&mut editor, change, "a"));
            drop(editor.text());
        }
        return;
    }
    let mut editor = match Editor::open(&path) {
        Ok(editor) => editor,
        Err(EditError::LineEnds) => return,
        Err(error) => panic!("it loads but: {error}"),
    };
    assert_eq!(editor.text().trim_end(), text.trim_end(), "opening it changes it");

    let count = u32::try_from(before.len()).unwrap_or(u32::MAX);
    let Some(place) = which.checked_rem(count).and_then(|place| usize::try_from(place).ok()) else {
        return add(editor, &before, text);
    };
    let mut devices: Vec<&Device> = before.iter().collect();
    devices.sort_unstable_by_key(|device| device.name());
    let name = devices[place].name().clone();
    if change % CHANGES == 0 {
        return add(editor, &before, text);
    }
    match apply(&mut editor, change, name.as_str()) {
        Ok(()) => {}
        // A dotted key or a table inside a table is more than an edit can be asked to understand.
        Err(EditError::Shape(_)) => return,
        Err(error) => panic!("{name}: {error}"),
    }
    let edited = editor.text();
    drop(editor); // and its lock
    let (after, report) = read(&edited);
    assert!(!report.has_errors(), "{name}, change {}: {report:?}\n{edited}", change % CHANGES);
    assert_eq!(after.len(), before.len(), "{edited}");
    for device in devices {
        let found = after.get(device.name().as_str()).unwrap_or_else(|| panic!("{} is lost", device.name()));
        if *device.name() == name {
            changed(change, (&before, device), (&after, found));
        } else {
            assert_eq!(facts((&after, found)), facts((&before, device)), "{edited}");
        }
    }
    if change % CHANGES <= KEEP_COMMENTS {
        keeps_comments(text, &edited);
    }
    // Doing it again changes nothing.
    let mut again = Editor::open(&write(&edited)).unwrap_or_else(|error| panic!("{error}\n{edited}"));
    apply(&mut again, change, name.as_str()).unwrap_or_else(|error| panic!("{error}\n{edited}"));
    assert_eq!(again.text().trim_end(), edited.trim_end());
}

/// How many there are to choose from; 0 adds a device.
const CHANGES: u32 = 10;

/// An attribute that no rule of the settings needs, for it can stand in no topic.
const NOTE: (&str, &str) = ("note", "Rome \"1\"\n\u{e9}");

/// Up to this one a change touches no value that could hold comments of its own and has to go.
const KEEP_COMMENTS: u32 = 5;

fn apply(editor: &mut Editor, change: u32, name: &str) -> Result<(), EditError> {
    match change % CHANGES {
        1 => editor.set_state(name, State::Disabled),
        2 => editor.set_auth(name, Auth::Both),
        3 => editor.add_certificate(name, &certificate()),
        4 => editor.set_attribute(name, NOTE.0, Some(NOTE.1)),
        5 => editor.revoke(name, certificate().sha256),
        6 => editor.set_roles(name, &["sensor".to_owned()]),
        7 => editor.set_roles(name, &["sensor".to_owned(), "quarantine".to_owned()]),
        8 => editor.set_password(name, &PasswordHash::decoy(Kind::Sha512), true),
        _ => editor.remove_password(name),
    }
}

fn certificate() -> NewCertificate {
    NewCertificate {
        sha256: Fingerprint([0x5f; 32]),
        serial: "4a".to_owned(),
        not_after: UnixSeconds(4_000_000_000),
    }
}

/// The device is as the change says, and otherwise as it was.
fn changed(change: u32, before: (&Registry, &Device), after: (&Registry, &Device)) {
    let (mut was, mut is) = (facts(before), facts(after));
    let (_, after) = after;
    match change % CHANGES {
        1 => {
            assert_eq!(after.state(), State::Disabled);
            (was.state, is.state) = (None, None);
        }
        2 => {
            assert_eq!(after.auth(), Auth::Both);
            (was.auth, is.auth) = (None, None);
        }
        3 => (was.certificates, is.certificates) = (String::new(), String::new()),
        4 => {
            assert!(is.attributes.contains(&(NOTE.0.to_owned(), NOTE.1.to_owned())));
            was.attributes.retain(|(key, _)| key != NOTE.0);
            is.attributes.retain(|(key, _)| key != NOTE.0);
        }
        5 => {
            assert!(after.revoked().contains(&certificate().sha256));
            (was.certificates, is.certificates) = (String::new(), String::new());
            (was.revoked, is.revoked) = (Vec::new(), Vec::new());
        }
        6 | 7 => {
            assert_eq!(after.roles().len(), if change % CHANGES == 6 { 1 } else { 2 });
            (was.roles, is.roles) = (Vec::new(), Vec::new());
        }
        _ => {
            assert_eq!(after.password().is_some(), change % CHANGES == 8);
            (was.password, is.password) = (None, None);
        }
    }
    assert_eq!(is, was);
}

/// A new device comes behind everything else.
fn add(mut editor: Editor, before: &Registry, text: &str) {
    let name = DeviceName::new("new device").unwrap_or_else(|error| panic!("{error}"));
    let device = NewDevice {
        roles: vec!["sensor".to_owned()],
        attributes: vec![("a.b".to_owned(), "\"\\".to_owned())],
        auth: Auth::Password,
        ..NewDevice::default()
    };
    match editor.add(&name, &device) {
        Ok(()) => {}
        Err(EditError::Exists(_)) => return assert!(before.get("new device").is_some()),
        Err(error) => panic!("{error}"),
    }
    let edited = editor.text();
    let (after, report) = read(&edited);
    assert!(!report.has_errors(), "{report:?}\n{edited}");
    assert_eq!(after.len(), before.len() + 1, "{edited}");
    assert!(edited.starts_with(text.trim_end()), "{edited}");
    let added = after.get("new device").map(|added| facts((&after, added)));
    let attributes = added.map(|added| added.attributes);
    assert_eq!(attributes, Some(vec![("a.b".to_owned(), "\"\\".to_owned())]), "{edited}");
}

/// All that a device is, place apart.
#[derive(Debug, Eq, PartialEq)]
struct Facts {
    roles: Vec<String>,
    attributes: Vec<(String, String)>,
    state: Option<State>,
    auth: Option<Auth>,
    certificates: String,
    revoked: Vec<Fingerprint>,
    password: Option<String>,
    rules: Vec<String>,
}

fn facts((registry, device): (&Registry, &Device)) -> Facts {
    let own = registry.rules_of(device.name().as_str()).into_iter().flat_map(Index::blocks);
    Facts {
        roles: device.roles().iter().map(|role| CONFIG.roles.name(*role).to_owned()).collect(),
        attributes: device
            .attributes()
            .iter()
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect(),
        state: Some(device.state()),
        auth: Some(device.auth()),
        certificates: format!("{:?}", device.certificates()),
        revoked: device.revoked().to_vec(),
        password: device
            .password()
            .map(|hash| format!("{} {}", device.has_generated_password(), hash.to_text())),
        rules: own
            .flat_map(|block| &block.rules)
            .map(|rule| format!("{:?} {:?} {}", rule.effect, rule.actions, rule.template))
            .collect(),
    }
}

/// Lines that are comments, unless they may stand in a text of several lines.
fn keeps_comments(before: &str, after: &str) {
    if before.contains("\"\"\"") || before.contains("'''") {
        return;
    }
    let comments = |text: &str| -> Vec<String> {
        text.lines().map(str::trim).filter(|line| line.starts_with('#')).map(str::to_owned).collect()
    };
    let (mut was, mut is) = (comments(before), comments(after));
    was.sort_unstable();
    is.sort_unstable();
    for comment in was {
        assert!(is.binary_search(&comment).is_ok(), "{comment:?} is lost:\n{after}");
    }
}

fn write(text: &str) -> PathBuf {
    let path = FOLDER.path().join("devices.toml");
    fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", Path::display(&path)));
    path
}
