//! `citronella device edit`: the registry in an editor.

use std::{fs, path::PathBuf};

use serde_json::json;

use crate::cli_support::Home;

const DEVICES: &str = "\
# my devices
version = 1

[lamp] # green
role = \"sensor\"
";

/// An editor that runs this script, with the file to edit as `$1`.
fn edited(home: &Home, script: &str, arguments: &[&str]) -> crate::support::Outcome {
    home.write("editor", format!("#!/bin/sh\n{script}\n"));
    let editor = format!("sh {}", home.path("editor").display());
    let mut all = vec!["device", "edit"];
    all.extend(arguments);
    home.cmd(&all).env("EDITOR", editor).env("TMPDIR", home.dir()).run()
}

/// What is left of drafts.
fn drafts(home: &Home) -> Vec<PathBuf> {
    let entries = fs::read_dir(home.dir()).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.to_string_lossy().contains("citronella-edit-")).collect()
}

#[test]
fn what_was_written_is_in_the_registry_as_it_was_written() {
    let home = Home::with_devices(DEVICES);
    let outcome = edited(
        &home,
        "stat -c %a \"$1\" \"${1%/*}\" > seen; printf '\\n[pump]\\nrole = \"viewer\"   # new\\n' >> \"$1\"",
        &[],
    );
    assert_eq!(outcome.status, Some(0), "{outcome:?}");
    assert!(outcome.stdout.contains("devices.toml is changed"), "{outcome:?}");
    assert_eq!(home.devices(), format!("{DEVICES}\n[pump]\nrole = \"viewer\"   # new\n"));
    assert_eq!(home.mode("etc/devices.toml"), 0o640);
    assert_eq!(home.read("seen"), "600\n700\n", "the copy is nobody else's");
    assert_eq!(drafts(&home).len(), 0);
}

#[test]
fn nothing_written_changes_nothing() {
    let home = Home::with_devices(DEVICES);
    let outcome = edited(&home, "true", &["--format", "json"]);
    let said: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!((outcome.status, &said["changed"], &said["broker"]), (Some(0), &json!(false), &json!(null)));
    assert_eq!(drafts(&home).len(), 0);
}

#[test]
fn a_registry_with_mistakes_is_mended() {
    let home = Home::with_devices("version = 1\n[lamp]\nrole = \"sensr\"\n[lamp\n");
    let outcome = edited(&home, "sed -i 's/sensr/sensor/; /^\\[lamp$/d' \"$1\"", &[]);
    assert_eq!(outcome.status, Some(0), "{outcome:?}");
    assert_eq!(home.devices(), "version = 1\n[lamp]\nrole = \"sensor\"\n");
}

#[test]
fn mistakes_reach_no_registry_and_are_kept_for_whoever_made_them() {
    let home = Home::with_devices(DEVICES);
    let outcome = edited(&home, "sed -i 's/sensor/sensr/' \"$1\"", &[]);
    assert_eq!((outcome.status, &*outcome.stdout), (Some(2), ""), "{outcome:?}");
    for part in [
        "nothing was changed",
        "devices.toml:5:8: error: no role is called `sensr`",
        "did you mean `sensor`?",
    ] {
        assert!(outcome.stderr.contains(part), "{part}: {outcome:?}");
    }
    assert_eq!(home.devices(), DEVICES);
    let [kept] = &drafts(&home)[..] else { panic!("{outcome:?}") };
    let kept = kept.join("devices.toml");
    assert!(outcome.stderr.contains(&format!("what you wrote is kept in {}", kept.display())), "{outcome:?}");
    assert_eq!(fs::read_to_string(kept).unwrap(), DEVICES.replace("sensor", "sensr"));
}

#[test]
fn at_a_terminal_it_is_edited_until_it_is_right() {
    let home = Home::with_devices(DEVICES);
    home.write("editor", "#!/bin/sh\nif [ -e again ]; then sed -i s/sensr/viewer/ \"$1\"; else sed -i s/sensor/sensr/ \"$1\"; : > again; fi\n");
    let editor = format!("sh {}", home.path("editor").display());
    let script = "exec script -qec '\"$citronella\" device edit' /dev/null";
    let outcome = home.shell(script).env("EDITOR", editor).stdin("y\n").run();
    assert_eq!(outcome.status, Some(0), "{outcome:?}");
    assert!(outcome.stdout.contains("no role is called `sensr`"), "{outcome:?}");
    assert_eq!(home.devices(), DEVICES.replace("sensor", "viewer"));
}

#[test]
fn what_somebody_else_has_written_meanwhile_stays() {
    let home = Home::with_devices(DEVICES);
    let outcome = edited(&home, "sed -i s/green/red/ \"$1\"; printf '[other]\\n' >> etc/devices.toml", &[]);
    assert_eq!(outcome.status, Some(2), "{outcome:?}");
    assert!(outcome.stderr.contains("has been changed by somebody else meanwhile"), "{outcome:?}");
    assert_eq!(home.devices(), format!("{DEVICES}[other]\n"));
    assert_eq!(drafts(&home).len(), 1);
}

#[test]
fn an_editor_that_fails_has_written_nothing() {
    let home = Home::with_devices(DEVICES);
    let outcome = edited(&home, "exit 3", &[]);
    assert_eq!(outcome.status, Some(2), "{outcome:?}");
    assert!(outcome.stderr.contains("ended with exit status: 3"), "{outcome:?}");
    assert_eq!(drafts(&home).len(), 0);
    // What it left half done is there to be looked at.
    let outcome = edited(&home, "echo '[half' >> \"$1\"; kill -TERM $$", &[]);
    assert_eq!(outcome.status, Some(2), "{outcome:?}");
    assert_eq!((home.devices(), drafts(&home).len()), (DEVICES.to_owned(), 1));
}

#[test]
fn settings_with_mistakes_are_to_be_mended_first() {
    let home = Home::with_devices(DEVICES);
    home.write("etc/citronella.toml", "version = 1\n[registry\n");
    let outcome = edited(&home, "echo never > seen", &[]);
    assert_eq!(outcome.status, Some(2), "{outcome:?}");
    assert!(outcome.stderr.contains("citronella.toml:2"), "{outcome:?}");
    assert!(!home.path("seen").exists());
}
