use std::fs as files;

use super::*;
use crate::{clock::UnixSeconds, diag::Diagnostic, ident::DeviceName, registry::Password};

const HASH: &str = "$6$UvrH2l6Lh3E2AFcM$ChWYqL/JeK890OGUqKho5Ch7U0VQCcQJxzyv2JWG4F+MrUQ/CHQK9T1EXqIpNf8lCGRskSslZkruSPBf6nk21Q==";

const BEFORE: &str = r#"# our devices
version = 1   # the only one

  # the oldest
[thunder10]   # in the hall
role   = "sensor"    # reads
state = 'active' # for now
certificates = [
  { sha256 = "5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f" }, # the first
  { sha256 = "6060606060606060606060606060606060606060606060606060606060606060" }, # the second
]
# end of thunder10

[ "b c" ]
password = "old"  # mine
attr = { site = "rome" }
# nothing follows
"#;

fn edited(text: &str, change: impl FnOnce(&mut Editor) -> Result<(), EditError>) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("devices.toml");
    files::write(&path, text).unwrap();
    let mut editor = Editor::open(&path).unwrap();
    change(&mut editor).unwrap();
    editor.save(|_| Report::new()).unwrap();
    files::read_to_string(&path).unwrap()
}

/// The lines that went and the lines that came, which is all that may differ.
fn difference(before: &str, after: &str) -> (Vec<String>, Vec<String>) {
    let (before, after): (Vec<&str>, Vec<&str>) = (before.split('\n').collect(), after.split('\n').collect());
    let head = before.iter().zip(&after).take_while(|(one, other)| one == other).count();
    let rest = before.len().min(after.len()) - head;
    let tail = before.iter().rev().zip(after.iter().rev()).take(rest).take_while(|(a, b)| a == b).count();
    let lines = |text: &[&str]| text[head..text.len() - tail].iter().map(ToString::to_string).collect();
    (lines(&before), lines(&after))
}

#[track_caller]
fn changes(change: impl FnOnce(&mut Editor) -> Result<(), EditError>, gone: &[&str], come: &[&str]) {
    let (old, new) = difference(BEFORE, &edited(BEFORE, change));
    assert_eq!(
        (old, new),
        (gone.iter().map(ToString::to_string).collect(), come.iter().map(ToString::to_string).collect())
    );
}

#[test]
fn no_change_changes_no_byte() {
    for text in [BEFORE, &BEFORE.replace('\n', "\r\n"), "", "\n\n#\n", "a.b = 1\n[[c]]\n"] {
        assert_eq!(edited(text, |_| Ok(())), text);
    }
}

#[test]
fn a_key_that_is_there_changes_in_place() {
    changes(
        |editor| editor.set_state("thunder10", State::Disabled),
        &["state = 'active' # for now"],
        &["state = \"disabled\" # for now"],
    );
    changes(
        |editor| editor.set_roles("thunder10", &["gateway".to_owned()]),
        &["role   = \"sensor\"    # reads"],
        &["role   = \"gateway\"    # reads"],
    );
    changes(
        |editor| editor.set_password("b c", &PasswordHash::parse(HASH).unwrap(), false),
        &["password = \"old\"  # mine"],
        &[&format!("password = \"{HASH}\"  # mine")],
    );
    changes(
        |editor| editor.set_attribute("b c", "site", Some("milan")),
        &["attr = { site = \"rome\" }"],
        &["attr = { site = \"milan\" }"],
    );
}

#[test]
fn a_key_that_is_not_there_comes_after_the_others() {
    changes(|editor| editor.set_auth("thunder10", Auth::Both), &[], &["auth = \"both\""]);
    changes(|editor| editor.set_state("b c", State::Retired), &[], &["state = \"retired\""]);
    changes(
        |editor| editor.set_password("thunder10", &PasswordHash::parse(HASH).unwrap(), true),
        &[],
        &[&format!("password = {{ hash = \"{HASH}\", generated = true }}")],
    );
    changes(
        |editor| editor.set_attribute("b c", "floor", Some("2")),
        &["attr = { site = \"rome\" }"],
        &["attr = { site = \"rome\", floor = \"2\" }"],
    );
}

#[test]
fn an_empty_table_of_attributes_gets_its_first_between_single_blanks() {
    for braces in ["{}", "{   }", "{\n}"] {
        let before = format!("version = 1\n[a]\nattr = {braces}\n");
        let after = edited(&before, |editor| editor.set_attribute("a", "floor", Some("2")));
        assert_eq!(after, "version = 1\n[a]\nattr = { floor = \"2\" }\n", "{braces}");
    }
}

#[test]
fn a_certificate_goes_on_a_line_of_its_own_where_the_others_do() {
    let certificate = NewCertificate {
        sha256: "61".repeat(32).parse().unwrap(),
        serial: "4a".to_owned(),
        not_after: UnixSeconds(1_858_377_600),
    };
    let line =
        format!("{{ sha256 = \"{}\", serial = \"4a\", not_after = 2028-11-21T00:00:00Z }}", "61".repeat(32));
    changes(|editor| editor.add_certificate("thunder10", &certificate), &[], &[&format!("  {line},")]);
    changes(
        |editor| editor.add_certificate("b c", &certificate),
        &[],
        &[&format!("certificates = [{line}]")],
    );
    let known = NewCertificate { sha256: "5f".repeat(32).parse().unwrap(), ..certificate.clone() };
    changes(|editor| editor.add_certificate("thunder10", &known), &[], &[]);
    let any = "[a]\ncertificates = \"any\"\n";
    assert_eq!(edited(any, |editor| editor.add_certificate("a", &certificate)), any);
}

#[test]
fn a_revoked_certificate_moves_and_every_comment_stays() {
    let after = edited(BEFORE, |editor| {
        editor.revoke("thunder10", "5f".repeat(32).parse().unwrap())?;
        editor.revoke("thunder10", "60".repeat(32).parse().unwrap())?;
        editor.revoke("thunder10", "60".repeat(32).parse().unwrap())
    });
    for comment in BEFORE.lines().filter_map(|line| line.split_once('#')).map(|(_, comment)| comment) {
        assert!(after.contains(&format!("#{comment}")), "`{comment}` is lost:\n{after}");
    }
    assert!(
        after.contains(&format!("revoked = [\"{}\", \"{}\"]", "5f".repeat(32), "60".repeat(32))),
        "{after}"
    );
    let document: DocumentMut = after.parse().unwrap();
    assert_eq!(document["thunder10"]["certificates"].as_array().unwrap().len(), 0, "{after}");
}

#[test]
fn the_comment_of_a_revoked_certificate_swallows_nothing() {
    let (gone, kept) = ("5f".repeat(32), "60".repeat(32));
    let revoked = |list: &str| {
        let list = list.replace("GONE", &format!("{{ sha256 = \"{gone}\" }}"));
        let text = format!("version = 1\n[a]\ncertificates = [{list}]\n");
        let text = text.replace("KEPT", &format!("{{ sha256 = \"{kept}\" }}"));
        edited(&text, |editor| editor.revoke("a", gone.parse().unwrap())).replace(&kept, "kept")
    };
    let after = revoked("\n  # old\n  GONE, KEPT,\n");
    assert!(after.contains("[\n  # old\n  { sha256 = \"kept\" },\n]\n"), "{after}");
    let after = revoked("\n  # old\n  GONE");
    assert!(after.contains("[\n  # old\n  ]\n"), "{after}");
    let after = revoked("\n  # old\n  GONE, # lost\n");
    assert!(after.contains("[\n  # old\n  # lost\n]\n"), "{after}");
}

#[test]
fn certificates_written_as_tables_are_understood() {
    let text = format!("[a]\n[[a.certificates]]\nsha256 = \"{}\"\n", "5F".repeat(32));
    let after = edited(&text, |editor| editor.revoke("a", "5f".repeat(32).parse().unwrap()));
    assert!(after.contains("certificates = []") && after.contains("revoked = ["), "{after}");
}

#[test]
fn taking_a_password_away_keeps_the_comments_around_it() {
    changes(|editor| editor.remove_password("b c"), &["password = \"old\"  # mine"], &["# mine"]);
    let text = "[a]\nrole = \"x\"\n# about it\npassword = \"old\"\n\n[b]\n";
    assert_eq!(edited(text, |editor| editor.remove_password("a")), "[a]\nrole = \"x\"\n# about it\n\n[b]\n");
    changes(|editor| editor.remove_password("thunder10"), &[], &[]);
}

#[test]
fn one_role_becomes_several_and_none() {
    let text = "[a]\nrole = \"x\"\nauth = \"any\"\n";
    let two = ["x".to_owned(), "y".to_owned()];
    let after = edited(text, |editor| editor.set_roles("a", &two));
    assert_eq!(after, "[a]\nauth = \"any\"\nroles = [\"x\", \"y\"]\n");
    assert_eq!(
        edited(&after, |editor| editor.set_roles("a", &["z".to_owned()])),
        "[a]\nauth = \"any\"\nroles = [\"z\"]\n"
    );
    assert_eq!(edited(text, |editor| editor.set_roles("a", &[])), "[a]\nauth = \"any\"\n");
}

#[test]
fn a_new_device_stands_at_the_end() {
    let device = NewDevice {
        roles: vec!["sensor".to_owned()],
        attributes: vec![("site".to_owned(), "rome".to_owned())],
        auth: Auth::Certificate,
        ..NewDevice::default()
    };
    let name = DeviceName::new("living room").unwrap();
    changes(
        |editor| editor.add(&name, &device),
        &[],
        &[
            "[\"living room\"]",
            "role = \"sensor\"",
            "attr = { site = \"rome\" }",
            "auth = \"certificate\"",
            "",
        ],
    );
    let two = edited("version = 1\r\n", |editor| {
        editor.add(&DeviceName::new("a").unwrap(), &NewDevice::default())?;
        editor.set_state("a", State::Disabled)?;
        editor.add(&DeviceName::new("b").unwrap(), &NewDevice::default())
    });
    assert_eq!(
        edited("version = 1", |editor| editor.add(&name, &NewDevice::default())),
        "version = 1\n\n[\"living room\"]\n"
    );
    assert_eq!(two, "version = 1\r\n\r\n[a]\r\nstate = \"disabled\"\r\n\r\n[b]\r\n");
}

#[test]
fn a_value_of_several_lines_stays_what_it_is_whatever_the_lines_end_with() {
    let value = "a\n\"b\\\r\nc\u{1}";
    let name = DeviceName::new("lamp").unwrap();
    let device = NewDevice { attributes: vec![("one".to_owned(), value.to_owned())], ..NewDevice::default() };
    for ends in ["\n", "\r\n"] {
        let text = edited(&format!("version = 1{ends}"), |editor| {
            editor.add(&name, &device)?;
            editor.set_attribute("lamp", "two", Some(value))
        });
        let read: toml_edit::DocumentMut = text.parse().unwrap();
        for key in ["one", "two"] {
            assert_eq!(read["lamp"]["attr"][key].as_str(), Some(value), "{text:?}");
        }
    }
}

#[test]
fn what_is_there_is_not_added_and_what_is_not_there_not_changed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("devices.toml");
    files::write(&path, BEFORE).unwrap();
    let mut editor = Editor::open(&path).unwrap();
    let name = DeviceName::new("Thunder10").unwrap();
    assert!(
        matches!(editor.add(&name, &NewDevice::default()), Err(EditError::Exists(known)) if &*known == "thunder10")
    );
    assert!(matches!(editor.set_state("x", State::Active), Err(EditError::Unknown(_))));
    assert!(matches!(editor.set_state("version", State::Active), Err(EditError::Unknown(_))));
}

#[test]
fn a_change_that_does_not_load_is_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("devices.toml");
    files::write(&path, BEFORE).unwrap();
    let mut editor = Editor::open(&path).unwrap();
    editor.set_roles("thunder10", &["none".to_owned()]).unwrap();
    let refused = editor.save(|text| {
        assert!(text.contains("\"none\""));
        let mut report = Report::new();
        report.push(Diagnostic::general("no role is called `none`"));
        report
    });
    assert!(matches!(refused, Err(EditError::Refused(_))));
    assert_eq!(files::read_to_string(&path).unwrap(), BEFORE);
}

#[test]
fn many_devices_are_added_in_one_step_or_none_is() {
    let certificate = NewCertificate {
        sha256: "61".repeat(32).parse().unwrap(),
        serial: "4a".to_owned(),
        not_after: UnixSeconds(0),
    };
    let full = NewDevice {
        state: State::Quarantined,
        certificates: NewCertificates::Listed(certificate),
        password: Some(Password { hash: PasswordHash::parse(HASH).unwrap(), generated: true }),
        ..NewDevice::default()
    };
    let any = NewDevice { certificates: NewCertificates::Any, ..NewDevice::default() };
    let [one, two, same] = ["one", "two", "ONE"].map(|name| DeviceName::new(name).unwrap());
    let after = edited("version = 1", |editor| {
        editor.add_all([(&one, &full), (&two, &any)])?;
        editor.set_state("two", State::Disabled)
    });
    let listed =
        format!("{{ sha256 = \"{}\", serial = \"4a\", not_after = 1970-01-01T00:00:00Z }}", "61".repeat(32));
    let wanted = format!(
        "version = 1\n\n[one]\nstate = \"quarantined\"\ncertificates = [{listed}]\n\
         password = {{ hash = \"{HASH}\", generated = true }}\n\n[two]\ncertificates = \"any\"\nstate = \"disabled\"\n"
    );
    assert_eq!(after, wanted);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("devices.toml");
    files::write(&path, BEFORE).unwrap();
    let mut editor = Editor::open(&path).unwrap();
    let refused = editor.add_all([(&one, &full), (&two, &any), (&same, &any)]);
    assert!(matches!(refused, Err(EditError::Exists(known)) if &*known == "ONE"));
    assert_eq!(editor.text(), BEFORE);
}
