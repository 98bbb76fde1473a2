//! `citronella diff`: who gains and who loses what.

use serde_json::{Value, json};

use crate::cli_support::Home;

const OLD: &str = "version = 1\n[roles.sensor]\npublish = [\"s/{device}/#\"]\nsubscribe = [\"cmd/#\"]\n";
const NEW: &str = "version = 1\n[roles.sensor]\npublish = [\"s/{device}/#\"]\nmax_qos = 1\nsubscribe = [\"cmd/#\"]\ndeny_subscribe = [\"cmd/+/x\"]\n[everyone]\npublish = [\"t/#\"]\n[roles.other]\n";

fn devices(names: &[&str]) -> String {
    let entries = names.iter().map(|name| format!("[{name}]\nrole = \"sensor\"\ncertificates = \"any\"\n"));
    format!("version = 1\n{}", entries.collect::<String>())
}

/// The first is in force, the second in `draft/`.
fn home() -> Home {
    let home = Home::with_files(OLD, &devices(&["a", "b", "c"]));
    home.write("draft/citronella.toml", NEW);
    home.write("draft/devices.toml", devices(&["a", "b", "d"]));
    home
}

#[test]
fn what_differs_is_told_once_for_all_to_whom_it_happens() {
    let outcome = home().locked(&["diff", "etc", "draft/citronella.toml"]).run();
    assert_eq!(
        outcome.stdout,
        "d\n  added\nc\n  removed\n\
         2 devices: a, b\n\
         \x20 ~ publish s/{device}/# only up to QoS 1 (was without limits): s/a for a\n\
         \x20 + publish t/#: t\n\
         \x20 - subscribe cmd/+/x: cmd/y/x\n\
         \x20 - receive cmd/+/x: cmd/y/x\n\
         c\n\
         \x20 - publish s/{device}/#: s/c\n\
         \x20 - subscribe cmd/#: cmd\n\
         \x20 - receive cmd/#: cmd\n\
         d\n\
         \x20 + publish s/{device}/# only up to QoS 1: s/d\n\
         \x20 + publish t/#: t\n\
         \x20 + subscribe cmd/# except cmd/+/x: cmd\n\
         \x20 + receive cmd/# except cmd/+/x: cmd\n\
         different: 2 devices, what 4 clients may do\n"
    );
    assert_eq!((outcome.status, &*outcome.stderr), (Some(1), ""));
}

#[test]
fn the_last_line_says_what_it_would_do_to_those_who_are_connected() {
    let home = home();
    let last = |arguments: &[&str]| {
        let said = home.locked(&[&["diff", "--live"], arguments].concat()).run();
        (said.status, said.stdout.lines().last().unwrap_or_default().to_owned())
    };
    let told = "different: 2 devices, what 4 clients may do; live: it locks out 1 device, cuts stored subscriptions of 2 devices";
    assert_eq!(last(&["draft"]), (Some(1), told.to_owned()));
    home.write("draft/citronella.toml", OLD.replace("cmd/#", "#"));
    home.write("draft/devices.toml", devices(&["a", "b", "c"]));
    assert_eq!(
        last(&["draft"]),
        (Some(1), "different: what 3 clients may do; live: it locks out nobody".to_owned())
    );
    assert_eq!(last(&["etc"]), (Some(0), "no difference".to_owned()));
}

#[test]
fn scripts_get_all_of_it() {
    let outcome = home().locked(&["--format", "json", "diff", "--live", "draft"]).run();
    let json: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(outcome.status, Some(1));
    assert_eq!(json["different"], true);
    assert_eq!(json["devices"][0], json!({"changes": ["added"], "devices": ["d"]}));
    assert_eq!(json["live"], json!({"locked_out": ["c"], "kicked": [], "subscriptions": ["a", "b"]}));
    assert_eq!(json["rights"][0]["devices"], json!(["a", "b"]));
    assert_eq!(
        json["rights"][0]["changes"][0],
        json!({
            "action": "publish", "change": "limits", "filter": "s/{device}/#", "except": [], "witness": "s/a",
            "limits": [{"max_qos": 1, "retain": true, "max_payload": null}], "was": null, "client_id": null,
        })
    );
}

#[test]
fn no_difference_is_status_0_and_what_cannot_be_read_status_2() {
    let home = home();
    let outcome = home.locked(&["diff", "etc", "etc"]).run();
    assert_eq!((outcome.status, &*outcome.stdout), (Some(0), "no difference\n"));
    let outcome = home.locked(&["diff", "--live", "nowhere"]).run();
    assert_eq!((outcome.status, &*outcome.stdout), (Some(2), ""));
    assert!(outcome.stderr.contains("nowhere"), "{outcome:?}");
    for wrong in [&["diff", "etc"][..], &["diff", "--live", "etc", "draft"]] {
        let outcome = home.locked(wrong).run();
        assert_eq!(outcome.status, Some(2), "{outcome:?}");
        assert!(outcome.stderr.contains("= help: "), "{outcome:?}");
    }
}

#[test]
fn ten_thousand_devices_of_one_role_are_one_entry() {
    let names: Vec<String> = (0..10_000).map(|number| format!("d{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let home = Home::with_files(OLD, &devices(&names));
    home.write("draft/citronella.toml", NEW);
    home.write("draft/devices.toml", devices(&names));
    let outcome = home.locked(&["--format", "json", "diff", "etc", "draft"]).run();
    let json: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(json["rights"].as_array().map(Vec::len), Some(1));
    assert_eq!(json["rights"][0]["devices"].as_array().map(Vec::len), Some(10_000));
}
