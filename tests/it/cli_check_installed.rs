//! `citronella check --installed`: owners and modes, as the broker's user will meet them.

use std::{fs, os::unix::fs::PermissionsExt as _};

use serde_json::Value;

use crate::cli_support::Home;

fn set(home: &Home, name: &str, mode: u32) {
    fs::set_permissions(home.path(name), fs::Permissions::from_mode(mode)).unwrap();
}

/// What `init` makes, where other users get to it.
fn home() -> Home {
    let home = Home::new();
    fs::set_permissions(home.dir(), fs::Permissions::from_mode(0o755)).unwrap();
    set(&home, "etc", 0o755);
    home
}

/// Code, message and help of each finding that has a code.
fn coded(found: &Value) -> Vec<(&str, &str, &str)> {
    let findings = found["findings"].as_array().unwrap().iter();
    findings
        .filter_map(|one| Some((one["code"].as_str()?, one["message"].as_str()?, one["help"].as_str()?)))
        .collect()
}

const CHECK: [&str; 2] = ["check", "--installed=nobody"];

#[test]
fn each_fault_has_its_code_and_the_line_that_mends_it() {
    let home = home();
    set(&home, "etc/citronella.toml", 0o600);
    set(&home, "etc/devices.toml", 0o604);
    set(&home, "etc/tls", 0o755);
    set(&home, "etc/tls/broker.key", 0o644);
    set(&home, "etc/pki/ca.key", 0o640);
    let found = home.json(&CHECK);
    assert_eq!(found["usable"], false, "{found}");
    let told = coded(&found);
    for (code, about, line) in [
        ("unreadable-file", "etc/citronella.toml", "&& chmod g+r "),
        ("world-readable", "etc/devices.toml", "`chmod o-rwx "),
        ("readable-key", "etc/tls/broker.key", "`chmod o-rwx "),
        ("readable-key", "etc/pki/ca.key", "`chmod 600 "),
    ] {
        let is = |one: &&(&str, &str, &str)| one.0 == code && one.1.contains(about) && one.2.contains(line);
        assert_eq!(told.iter().filter(is).count(), 1, "{code} {about}: {found}");
        assert!(home.ok(&["check", "--explain", code]).contains(code));
    }
    assert_eq!(home.run(&CHECK).status, Some(1));
}

#[test]
fn the_lines_mend_everything() {
    // Only root may give files away, as who installs is.
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let home = home();
    for (name, mode) in [
        ("etc", 0o700),
        ("etc/citronella.toml", 0o602),
        ("etc/devices.toml", 0o666),
        ("etc/tls", 0o700),
        ("etc/pki/ca.key", 0o644),
    ] {
        set(&home, name, mode);
    }
    let mut rounds = 0;
    loop {
        let found = home.json(&CHECK);
        let findings = found["findings"].as_array().unwrap();
        let helps = findings.iter().filter_map(|one| one["help"].as_str());
        let lines: Vec<&str> = helps.filter_map(|help| help.strip_prefix('`')?.strip_suffix('`')).collect();
        if lines.is_empty() {
            assert_eq!(home.run(&CHECK).status, Some(0), "{found}");
            break;
        }
        rounds += 1;
        assert!(rounds < 8, "{found}");
        for line in lines {
            home.shell(line).ok();
        }
    }
    assert!(rounds > 0);
}

#[test]
fn a_user_who_is_not_there_is_said() {
    home().fails(&["check", "--installed=no-such-user"], &["no user `no-such-user`", "--installed=USER"]);
}
