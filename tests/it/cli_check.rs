//! `citronella check`: are the files right?

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use crate::cli_support::Home;

const HASH: &str = "$6$c2FsdHNhbHRzYWx0$UJzwhk0wOKEH9rqVh5wfmp9uRVHTMFcrVSzV6T63dHuPYoqJkzJ+fVD07EhJlkM03bbAYU2OiByi9OmeHDSw8g==";

#[test]
fn every_golden_case_is_told_and_is_status_1_if_it_cannot_be_used() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let (mut unusable, mut usable) = (0, 0);
    for case in fs::read_dir(cases).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
        let home = Home::empty();
        // The expectations name the files as they stand in the package.
        let folder = format!("tests/golden/{}", case.file_name().unwrap().to_str().unwrap());
        for file in fs::read_dir(&case).unwrap().map(|entry| entry.unwrap().path()) {
            home.write(
                &format!("{folder}/{}", file.file_name().unwrap().to_str().unwrap()),
                fs::read(&file).unwrap(),
            );
        }
        let expected = fs::read_to_string(case.join("expected.txt")).unwrap();
        let (findings, counts) = expected.trim_end().rsplit_once('\n').unwrap_or(("", expected.trim_end()));
        let errors: usize = counts.split(' ').next().unwrap().parse().unwrap();
        let config = format!("{folder}/citronella.toml");
        let run = |more: &[&str]| {
            home.shell(&format!("exec \"$citronella\" --config {config} check {}", more.join(" "))).run()
        };
        let outcome = run(&[]);
        assert!(outcome.stdout.starts_with(findings), "{folder}: {outcome:?}");
        assert_eq!(outcome.stderr, "", "{folder}");
        assert_eq!(outcome.status, Some(i32::from(errors > 0)), "{folder}: {outcome:?}");
        let json: serde_json::Value = serde_json::from_str(&run(&["--format", "json"]).stdout).unwrap();
        assert_eq!(
            (json["usable"].as_bool(), json["errors"].as_u64()),
            (Some(errors == 0), Some(errors as u64)),
            "{folder}"
        );
        let count = json["errors"].as_u64().unwrap() + json["warnings"].as_u64().unwrap();
        assert_eq!(json["findings"].as_array().unwrap().len() as u64, count, "{folder}");
        for finding in json["findings"].as_array().unwrap() {
            let line = format!(
                "{}:{}:{}: {}: ",
                finding["file"].as_str().unwrap_or_default(),
                finding["line"],
                finding["column"],
                finding["severity"].as_str().unwrap()
            );
            assert!(
                finding["file"].is_null() || outcome.stdout.contains(&line),
                "{folder}: {line} not in {outcome:?}"
            );
        }
        unusable += usize::from(errors > 0);
        usable += usize::from(errors == 0);
        assert_eq!(run(&["--deny-warnings"]).status, Some(i32::from(count > 0)), "{folder}");
    }
    assert!(unusable > 8 && usable > 0, "{unusable} unusable, {usable} usable");
}

/// Files without a mistake, with these devices and this password file.
fn home(devices: &str, passwd: &str) -> Home {
    let home = Home::empty();
    home.init(&["--password-file", "passwd"]).ok();
    home.write("etc/devices.toml", format!("version = 1\n{devices}"));
    home.write("passwd", passwd);
    home
}

#[test]
fn warnings_are_status_0_unless_they_are_denied() {
    let home = home("", &format!("bob:{HASH}\n"));
    let outcome = home.run(&["check"]);
    assert_eq!(outcome.status, Some(0), "{outcome:?}");
    assert!(outcome.stdout.ends_with("sound: 0 devices, 1 warning\n"), "{outcome:?}");
    let denied = home.run(&["check", "--deny-warnings"]);
    assert_eq!(denied.status, Some(1), "{denied:?}");
    assert!(denied.stdout.ends_with("usable, but 1 warning\n"), "{denied:?}");
}

#[test]
fn users_who_are_no_devices_are_told_with_their_lines_and_without_their_hashes() {
    let home = home("[phone]\n", &format!("bob:{HASH}\nphone:{HASH}\neve:{HASH}\n"));
    let said = home.ok(&["check"]);
    for (user, line) in [("bob", 1), ("eve", 3)] {
        let expected = format!(
            "{}:{line}:1: warning: `{user}` has a password here and is no device, so it is refused [unlisted-user]\n  | {user}\n  | ^^^\n",
            home.path("passwd").display()
        );
        assert!(said.contains(&expected), "{said}");
    }
    assert!(
        !said.contains("`phone` has a password") && !said.contains("$6$c") && !said.contains("UJzwhk"),
        "{said}"
    );
}

#[test]
fn devices_that_can_never_connect_are_told() {
    let long = "x".repeat(65);
    let password = format!("{{ hash = \"{HASH}\", generated = true }}");
    let devices = format!(
        "bare = {{ password = {password}, auth = \"certificate\" }}\n\
         [nothing]\n[off]\nstate = \"disabled\"\n[gone]\nstate = \"retired\"\n[fine]\ncertificates = \"any\"\n\
         [both]\nauth = \"both\"\ncertificates = \"any\"\n[word]\nauth = \"password\"\ncertificates = \"any\"\n\
         [{long}]\ncertificates = \"any\"\n[{long}2]\npassword = {password}\n"
    );
    let home = home(&devices, "");
    let found = home.json(&["check"]);
    let told: Vec<(u64, String)> = found["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["line"].as_u64().unwrap(), one["message"].as_str().unwrap().to_owned()))
        .collect();
    let expected = [
        (2, "`bare` cannot connect: it has no certificate, which its `auth` asks for".to_owned()),
        (3, "`nothing` cannot connect: it has neither a certificate nor a password".to_owned()),
        (10, "`both` cannot connect: it has no password, which its `auth` asks for".to_owned()),
        (13, "`word` cannot connect: it has no password, which its `auth` asks for".to_owned()),
        (
            16,
            format!(
                "`{long}` has more than 64 characters, which no certificate can carry as its common name"
            ),
        ),
    ];
    assert_eq!(told, expected);
    let said = home.ok(&["check"]);
    assert!(said.contains("  | bare\n  | ^^^^\n") && !said.contains("$6$"), "{said}");
}

#[test]
fn who_could_change_or_read_the_files_is_judged_as_the_broker_will() {
    let home = home("", "");
    let set =
        |name: &str, mode| fs::set_permissions(home.path(name), fs::Permissions::from_mode(mode)).unwrap();
    set("passwd", 0o644);
    let warned = home.run(&["check"]);
    assert!(warned.status == Some(0) && warned.stdout.contains("everybody can read it"), "{warned:?}");
    set("passwd", 0o640);
    set("etc/devices.toml", 0o666);
    let refused = home.run(&["check"]);
    assert!(refused.status == Some(1) && refused.stdout.contains("chmod o-w"), "{refused:?}");
    set("etc/devices.toml", 0o640);
    if nix::unistd::geteuid().is_root() {
        use std::os::unix::fs::chown;
        // The broker's own user may own them, as people do for its password file; a stranger may not.
        if let Some(user) = nix::unistd::User::from_name("mosquitto").unwrap() {
            chown(home.path("passwd"), Some(user.uid.as_raw()), None).unwrap();
            assert_eq!(home.run(&["check", "--deny-warnings"]).status, Some(0));
        }
        chown(home.path("passwd"), Some(54_321), None).unwrap();
        let refused = home.run(&["check"]);
        assert!(refused.status == Some(1) && refused.stdout.contains("belongs to user 54321"), "{refused:?}");
    }
}

#[test]
fn a_missing_configuration_says_how_to_make_one() {
    let home = Home::empty();
    let outcome = home.run(&["check"]);
    assert_eq!(outcome.status, Some(1), "{outcome:?}");
    assert!(outcome.stdout.contains("`citronella init` makes one"), "{outcome:?}");
}
