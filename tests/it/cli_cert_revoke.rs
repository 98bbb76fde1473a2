//! `citronella cert revoke` of many: a role's, those before a day, those of a list.

use std::fs;

use serde_json::json;

use crate::cli_support::Home;

/// Two sensors and a viewer, the first sensor with two certificates.
fn fleet() -> Home {
    let home = Home::new();
    for (name, role) in [("a", "sensor"), ("b", "sensor"), ("v", "viewer")] {
        home.ok(&["device", "add", name, "--role", role]);
    }
    home.ok(&["cert", "issue", "a", "--force"]);
    home
}

/// The states of the devices' certificates, in the order of the ledger.
fn states(home: &Home) -> Vec<String> {
    let listed = home.json(&["cert", "list"]);
    let devices = listed.as_array().unwrap().iter().filter(|entry| entry["kind"] == "device");
    devices
        .map(|entry| format!("{} {}", entry["name"].as_str().unwrap(), entry["state"].as_str().unwrap()))
        .collect()
}

#[test]
fn a_role_is_revoked_when_it_is_meant() {
    let home = fleet();
    let before = home.files();
    home.fails(&["cert", "revoke", "--role", "sensor"], &["3 certificates", "--yes", "--dry-run"]);
    let told = home.json(&["cert", "revoke", "--role", "sensor", "--dry-run"]);
    assert_eq!(told.as_array().unwrap().len(), 3, "{told}");
    assert!(home.files() == before, "something changed");
    let done = home.json(&["cert", "revoke", "--role", "sensor", "--yes", "--reason", "affiliationChanged"]);
    assert!(done.as_array().unwrap().iter().all(|one| one["registry"] == true), "{done}");
    assert_eq!(states(&home), ["a revoked", "b revoked", "v valid", "a revoked"]);
    assert_eq!(home.json(&["device", "show", "a"])["revoked"].as_array().unwrap().len(), 2);
    assert_eq!(home.json(&["cert", "list", "b"])[0]["reason"], "affiliationChanged");
    assert_eq!(home.json(&["cert", "revoke", "--role", "sensor", "--yes"]), json!([]));
    assert_eq!(home.json(&["cert", "revoke", "--role", "nobody", "--yes"]), json!([]));
}

#[test]
fn what_was_issued_before_a_moment_is_revoked_when_it_is_meant() {
    let home = fleet();
    // The third certificate was issued then, or earlier; ledgers keep whole seconds.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let moment = jiff::Timestamp::now().to_string();
    std::thread::sleep(std::time::Duration::from_millis(1100));
    home.ok(&["cert", "issue", "b", "--force"]);
    let before = ["cert", "revoke", "--issued-before", &moment];
    home.fails(&before, &["4 certificates"]);
    home.ok(&[&before[..], &["b", "--yes"]].concat());
    assert_eq!(states(&home), ["a valid", "b revoked", "v valid", "a valid", "b valid"]);
    home.ok(&[&before[..], &["--role", "viewer", "--yes"]].concat());
    home.ok(&[&before[..], &["--yes"]].concat());
    assert_eq!(states(&home), ["a revoked", "b revoked", "v revoked", "a revoked", "b valid"]);
    home.fails(&["cert", "revoke", "--issued-before", "2999-01-01", "--yes"], &["future"]);
    home.fails(&["cert", "revoke", "--issued-before", "yesterday"], &["2026-11-22"]);
    assert_eq!(home.json(&["cert", "revoke", "--issued-before", "2020-01-01", "--yes"]), json!([]));
}

#[test]
fn a_list_is_revoked_whole_or_not_at_all() {
    let home = fleet();
    let serial = home.json(&["cert", "list", "v"])[0]["serial"].as_str().unwrap().to_uppercase();
    home.write("bad", format!("a\n{serial}\nnobody\n"));
    let before = home.files();
    home.fails(&["cert", "revoke", "--from-file", "bad"], &["`nobody`"]);
    assert!(home.files() == before, "something changed");
    home.write("list", format!("# stolen\na   # both\n\n{serial}\na\n"));
    let done = home.json(&["cert", "revoke", "--from-file", "list", "--reason", "keyCompromise"]);
    assert_eq!(done.as_array().unwrap().len(), 3, "{done}");
    assert_eq!(states(&home), ["a revoked", "b valid", "v revoked", "a revoked"]);
    home.cmd(&["cert", "revoke", "--from-file", "-"]).stdin("b\n").ok();
    assert_eq!(states(&home)[1], "b revoked");
    home.fails(&["cert", "revoke"], &["nothing is named", "--from-file"]);
    home.fails(&["cert", "revoke", "--from-file", "gone"], &["gone"]);
}

#[test]
fn commands_at_once_revoke_all_that_they_were_told() {
    let home = fleet();
    let names: Vec<String> = (0..12).map(|number| format!("d{number}")).collect();
    for name in &names {
        home.ok(&["device", "add", name]);
    }
    let children: Vec<_> = names
        .chunks(4)
        .map(|names| {
            let mut all = vec!["cert", "revoke"];
            all.extend(names.iter().map(String::as_str));
            home.cmd(&all).spawn()
        })
        .collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    let lines = fs::read_to_string(home.path("etc/pki/ledger")).unwrap();
    assert_eq!(lines.matches("\"revoked\"").count(), 12);
    for name in &names {
        assert_eq!(home.json(&["cert", "list", name])[0]["state"], "revoked");
        assert!(home.json(&["device", "show", name])["revoked"][0].is_string());
    }
}
