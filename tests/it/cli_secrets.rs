//! Passphrases and passwords go in by file, descriptor, environment and standard input, and come out nowhere.

use crate::{
    cli_support::{CA_PASSPHRASE, Home},
    pki_support::{accepts, run},
    support::Outcome,
};

const KEY_PASSPHRASE: &str = "marker-key-77aa";
const PASSWORD: &str = "marker-password-19c4";
const WRONG: &str = "marker-wrong-5d5d";

/// OpenSSL opens the key with this passphrase and with no other.
#[track_caller]
fn assert_opens(home: &Home, key: &str, passphrase: &str) {
    let path = home.path(key);
    let opened = |passphrase: &str| {
        let passin = format!("pass:{passphrase}");
        run("openssl", &["pkey", "-noout", "-in", path.to_str().unwrap(), "-passin", &passin])
    };
    accepts(opened(passphrase));
    assert!(!opened("another").0, "{key} opens with anything");
}

#[test]
fn the_authoritys_passphrase_comes_by_file_descriptor_or_environment() {
    let home = Home::empty();
    home.write("first", format!("{CA_PASSPHRASE}\r\nand another line\n"));
    home.write("wrong", format!("{WRONG}\n"));
    let plugin = crate::support::plugin();
    let init = [
        "init",
        "--plugin",
        plugin.to_str().unwrap(),
        "--mosquitto-conf",
        "m.conf",
        "--ca-passphrase-file",
        "first",
    ];
    home.locked(&init).ok();
    assert_opens(&home, "etc/pki/ca.key", CA_PASSPHRASE);

    home.locked(&["device", "add", "by-file", "--ca-passphrase-file", "first"]).ok();
    home.shell("\"$citronella\" device add by-descriptor --ca-passphrase-fd 3 3<first").ok();
    home.shell("cat first | \"$citronella\" device add by-pipe --ca-passphrase-fd 0").ok();
    home.cmd(&["device", "add", "by-environment"]).ok();
    // A file comes before the environment.
    home.locked(&["device", "add", "both", "--ca-passphrase-file", "first"])
        .env("CITRONELLA_CA_PASSPHRASE", WRONG)
        .ok();
    assert_eq!(home.json(&["device", "list"]).as_array().unwrap().len(), 5);

    for (arguments, says) in [
        (&["--ca-passphrase-file", "wrong"][..], "passphrase does not open the key"),
        (&["--ca-passphrase-file", "missing"], "missing: No such file"),
        (&["--ca-passphrase-fd", "77"], "descriptor 77"),
        (&["--ca-passphrase-fd", "3", "--ca-passphrase-file", "first"], "cannot be used with"),
        (&[], "CITRONELLA_CA_PASSPHRASE"),
    ] {
        let outcome = home
            .shell(&format!("exec setsid --wait \"$citronella\" device add x {}", arguments.join(" ")))
            .run();
        assert_eq!((outcome.status, &*outcome.stdout), (Some(2), ""), "{arguments:?}: {outcome:?}");
        assert!(outcome.stderr.contains(says), "{arguments:?}: {outcome:?}");
    }
    let empty = home.locked(&["device", "add", "x"]).env("CITRONELLA_CA_PASSPHRASE", "").run();
    assert!(
        empty.status == Some(2) && empty.stderr.contains("CITRONELLA_CA_PASSPHRASE is empty"),
        "{empty:?}"
    );
}

#[test]
fn a_devices_key_is_encrypted_when_there_is_a_passphrase_for_it() {
    let home = Home::new();
    home.write("key", format!("{KEY_PASSPHRASE}\n"));
    home.ok(&["device", "add", "plain"]);
    home.ok(&["device", "add", "by-file", "--key-passphrase-file", "key"]);
    home.shell("\"$citronella\" device add by-descriptor --key-passphrase-fd 3 3<key")
        .env("CITRONELLA_CA_PASSPHRASE", CA_PASSPHRASE)
        .ok();
    home.cmd(&["device", "add", "by-environment"]).env("CITRONELLA_KEY_PASSPHRASE", KEY_PASSPHRASE).ok();
    for name in ["by-file", "by-descriptor", "by-environment"] {
        assert_opens(&home, &format!("{name}/{name}.key"), KEY_PASSPHRASE);
        let told = home.read(&format!("{name}/connect.txt"));
        assert!(told.contains("asks for the passphrase of the key"), "{told}");
    }
    let plain = home.path("plain/plain.key");
    accepts(run("openssl", &["pkey", "-noout", "-in", plain.to_str().unwrap(), "-passin", "pass:"]));
    assert!(home.read("plain/connect.txt").contains("not encrypted"));
}

/// Everything that was said, by every verb that ever has to do with a secret, right and wrong.
fn everything_said(home: &Home) -> Vec<(String, Outcome)> {
    let mut said = Vec::new();
    let mut ask = |arguments: &[&str], stdin: &str, wrong: bool| {
        let mut cmd = home.locked(arguments).stdin(format!("{stdin}\n"));
        cmd = cmd.env("CITRONELLA_CA_PASSPHRASE", if wrong { WRONG } else { CA_PASSPHRASE });
        cmd = cmd.env("CITRONELLA_KEY_PASSPHRASE", KEY_PASSPHRASE);
        said.push((arguments.join(" "), cmd.run()));
    };
    let plugin = crate::support::plugin();
    let init = ["init", "--plugin", plugin.to_str().unwrap(), "--mosquitto-conf", "mosquitto.conf"];
    for arguments in
        [&init[..], &["device", "add", "lamp", "--role", "sensor"], &["cert", "issue", "lamp", "--force"]]
    {
        ask(arguments, "", false);
        ask(&[arguments, &["--format", "json"]].concat(), "", true);
        ask(&[arguments, &["--help"]].concat(), "", false);
    }
    ask(&["cert", "issue", "lamp", "--force"], "", true);
    ask(&["device", "add", "phone", "--role", "viewer", "--no-certificate"], "", false);
    for format in ["human", "json"] {
        ask(&["password", "set", "phone", "--format", format], PASSWORD, false);
        ask(&["password", "verify", "phone", "--format", format], PASSWORD, false);
        ask(&["password", "verify", "phone", "--format", format], WRONG, false);
        for arguments in [
            &["check"][..],
            &["device", "list"],
            &["device", "show", "phone"],
            &["device", "show", "lamp"],
            &["cert", "list"],
            &["cert", "show", "lamp"],
            &["cert", "show", "lamp/lamp.key"],
            &["explain", "phone", "subscribe", "sensors/#"],
            &["device", "set", "phone", "--role", "nothing"],
            &["cert", "revoke", "lamp"],
        ] {
            ask(&[arguments, &["--format", format]].concat(), "", false);
        }
    }
    for arguments in
        [&["--help"][..], &["password", "set", "--help"], &["check", "--bogus"], &["password", "set"]]
    {
        ask(arguments, PASSWORD, false);
    }
    // The line of a hash with a mistake behind it is cited.
    let devices = home.devices();
    home.write("etc/devices.toml", devices.replace("password = \"", "password = \"x"));
    ask(&["check"], "", false);
    ask(&["device", "list"], "", false);
    home.write("etc/devices.toml", devices);
    said
}

#[test]
fn no_secret_is_ever_said_or_written_where_it_does_not_belong() {
    let home = Home::empty();
    let said = everything_said(&home);
    assert!(said.iter().filter(|(_, outcome)| outcome.status == Some(0)).count() > 20, "{said:#?}");
    assert!(said.iter().filter(|(_, outcome)| outcome.status == Some(2)).count() > 5, "{said:#?}");
    let hash = home.devices().split('"').find(|part| part.starts_with("$argon2id$")).unwrap().to_owned();
    let digest = hash.rsplit('$').next().unwrap();
    for (arguments, outcome) in &said {
        for secret in [CA_PASSPHRASE, KEY_PASSPHRASE, PASSWORD, WRONG, digest, "PRIVATE KEY-----"] {
            assert!(!outcome.stdout.contains(secret), "{arguments}: {secret} in {outcome:?}");
            assert!(!outcome.stderr.contains(secret), "{arguments}: {secret} in {outcome:?}");
        }
    }
    for (name, content) in home.files() {
        let content = String::from_utf8_lossy(&content);
        for secret in [CA_PASSPHRASE, KEY_PASSPHRASE, PASSWORD, WRONG] {
            assert!(!content.contains(secret), "{name} contains {secret}");
        }
        assert!(name == "etc/devices.toml" || !content.contains(digest), "{name} contains the hash");
        // Private keys stand in three places, of which only the broker's is open: it has nobody to ask.
        let key = content.contains("PRIVATE KEY-----");
        let places = ["etc/pki/ca.key", "etc/tls/broker.key", "lamp/lamp.key"];
        assert_eq!(key, places.contains(&&*name), "{name}");
        assert!(!content.contains("BEGIN PRIVATE KEY") || name == "etc/tls/broker.key", "{name}");
    }
}

#[test]
fn no_secret_stands_in_the_process_table() {
    // What is not an argument cannot be read there: no verb takes a secret as one.
    for verb in
        [&["init"][..], &["device", "add"], &["cert", "issue"], &["password", "set"], &["password", "verify"]]
    {
        let help = Home::empty().ok(&[verb, &["--help"]].concat());
        for option in help.split_whitespace().filter(|word| word.starts_with("--") && word.contains("pass")) {
            let option = option.trim_matches(|ch: char| !ch.is_ascii_alphanumeric() && ch != '-');
            let safe = [
                "--ca-passphrase-file",
                "--ca-passphrase-fd",
                "--key-passphrase-file",
                "--key-passphrase-fd",
                "--key-passphrase",
                "--password-file",
                "--password-listener",
                "--password-port",
            ];
            assert!(safe.contains(&option), "{verb:?}: {option}");
        }
    }
}

#[test]
fn no_passphrase_is_asked_for_before_a_role_that_is_none_is_told() {
    let home = Home::new();
    let before = home.devices();
    let outcome = home.locked(&["device", "add", "lamp", "--role", "sensr"]).run();
    assert_eq!(outcome.status, Some(2), "{outcome:?}");
    assert!(outcome.stderr.contains("no role is called `sensr`"), "{outcome:?}");
    assert!(!outcome.stderr.contains("passphrase"), "{outcome:?}");
    assert_eq!(home.devices(), before);
}
