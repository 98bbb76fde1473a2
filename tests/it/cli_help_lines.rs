//! Every refusal says what to do: where a passphrase came from, what file was expected, which word was meant.

use crate::cli_support::{CA_PASSPHRASE, Home};

#[test]
fn a_wrong_passphrase_says_where_it_came_from() {
    let home = Home::new();
    home.ok(&["device", "add", "lamp", "--role", "sensor"]);
    home.write("wrong.pass", "wrong\n");
    let add = ["cert", "issue", "lamp", "--out", "etc"];
    let from_file = [&add[..], &["--ca-passphrase-file", "wrong.pass"]].concat();
    let cases = [
        (home.cmd(&from_file), "= help: it was the first line of wrong.pass"),
        (
            home.locked(&add).env("CITRONELLA_CA_PASSPHRASE", "wrong"),
            "= help: it came from CITRONELLA_CA_PASSPHRASE in the environment; `unset CITRONELLA_CA_PASSPHRASE`",
        ),
        (home.locked(&["ca", "crl"]).env("CITRONELLA_CA_PASSPHRASE", "wrong"), "in the environment"),
        (home.locked(&["broker", "renew"]).env("CITRONELLA_CA_PASSPHRASE", "wrong"), "in the environment"),
        (home.locked(&["ca", "rollover"]).env("CITRONELLA_CA_PASSPHRASE", "wrong"), "in the environment"),
    ];
    for (command, origin) in cases {
        let outcome = command.run();
        assert_eq!(outcome.status, Some(2), "{outcome:?}");
        for part in ["does not open the key", origin, "chosen when the authority was made"] {
            assert!(outcome.stderr.contains(part), "{part}: {outcome:?}");
        }
        assert!(!outcome.stderr.contains(CA_PASSPHRASE), "{outcome:?}");
    }
    // Of a device's key.
    home.write("right.pass", "right\n");
    home.ok(&["device", "add", "locked", "--role", "sensor", "--key-passphrase-file", "right.pass"]);
    let origin = "it was the first line of wrong.pass";
    for arguments in [
        &["bundle", "locked", "--for", "python", "--key-passphrase-file", "wrong.pass"][..],
        &["probe", "mqtts://localhost:1", "--from", "locked", "--key-passphrase-file", "wrong.pass"],
        &["ca", "adopt", "locked/ca.crt", "locked/locked.key", "--key-passphrase-file", "wrong.pass"],
    ] {
        home.fails(arguments, &["does not open the key", origin]);
    }
}

#[test]
fn a_file_that_is_not_there_says_what_was_expected() {
    let home = Home::new();
    home.fails(
        &["test", "nosuch.toml"],
        &["`nosuch.toml` cannot be read", "= help: name a file with `[[test]]` tables"],
    );
    for (option, key) in [
        ("--acl-file", "acl_file"),
        ("--password-file", "password_file"),
        ("--dynsec", "plugin_opt_config_file"),
    ] {
        let told =
            format!("= help: Mosquitto's configuration says where it is: grep -r {key} /etc/mosquitto");
        home.fails(&["import", option, "nosuch", "--output", "out"], &["nosuch", &told]);
    }
    let told =
        "= help: --from takes the folder that `citronella device add` wrote, with NAME.crt and NAME.key";
    home.fails(&["probe", "mqtts://localhost:1", "--from", "nosuch"], &["nosuch", told]);
    // Where nobody knows more: where it was looked for.
    let looked = format!(
        "= help: is the name right? A path that does not begin with `/` is looked for in {}",
        home.dir().display()
    );
    for arguments in [
        &["device", "import", "nosuch.csv"][..],
        &["cert", "sign", "nosuch.csr"],
        &["ca", "restore", "nosuch.tar"],
        &["diff", "nosuch.toml", "nosuch.toml"],
    ] {
        let outcome = home.run(arguments);
        assert_eq!(outcome.status, Some(2), "{arguments:?}: {outcome:?}");
        assert_eq!(outcome.stderr.matches("= help").count(), 1, "{arguments:?}: {outcome:?}");
        assert!(arguments[0] == "diff" || outcome.stderr.contains(&looked), "{arguments:?}: {outcome:?}");
    }
}

#[test]
fn a_word_that_is_none_says_which_was_meant() {
    let home = Home::new();
    home.ok(&["device", "add", "lamp", "--role", "sensor"]);
    for typed in ["esp23", "ESP32"] {
        home.fails(&["bundle", "lamp", "--for", typed], &["did you mean `esp32`?"]);
    }
    home.fails(&["bundle", "lamp", "--for", "cobol"], &["there is nothing for `cobol`; there is mosquitto"]);
    let outcome = home.run(&["ca", "backup"]);
    assert!(outcome.stderr.contains("<ARCHIVE>") && !outcome.stderr.contains("<FILE> <FILE>"), "{outcome:?}");
}

#[test]
fn what_was_set_is_told_in_a_sentence() {
    let home = Home::new();
    home.ok(&["device", "add", "lamp", "--no-certificate"]);
    for (arguments, sentence) in [
        (&["--role", "controller"][..], "lamp has the role controller\n"),
        (
            &["--role", "viewer", "--role", "sensor", "--attr", "site=rome", "--auth", "both"],
            "lamp has the roles viewer and sensor, has attr.site = rome, must show both, certificate and password\n",
        ),
        (&["--no-attr", "site"], "lamp has no attr.site any more\n"),
        (&["--auth", "password"], "lamp must show a password\n"),
        (&["--auth", "any"], "lamp may show a certificate, a password or both\n"),
    ] {
        assert_eq!(home.ok(&[&["device", "set", "lamp"], arguments].concat()), sentence);
    }
    let shown = home.ok(&["device", "show", "lamp"]);
    assert!(shown.contains("must show     a certificate or a password\n"), "{shown}");
    // Where no plugin runs, what to type.
    let outcome = home.run(&["device", "disable", "lamp"]);
    assert!(
        outcome.stderr.contains("reads them when it starts: `sudo systemctl restart mosquitto`"),
        "{outcome:?}"
    );
}

#[test]
fn a_device_that_is_not_known_says_which_was_meant() {
    let home = Home::new();
    home.ok(&["device", "add", "thunder10", "--role", "sensor"]);
    for arguments in [
        &["device", "show", "thundre10"][..],
        &["device", "disable", "thundre10"],
        &["device", "set", "thundre10", "--role", "viewer"],
        &["cert", "renew", "thundre10"],
        &["password", "generate", "thundre10"],
        &["bundle", "thundre10", "--for", "python"],
    ] {
        home.fails(
            arguments,
            &["no device is called `thundre10`", "did you mean `thunder10`?", "device list"],
        );
    }
}

#[test]
fn a_device_without_a_role_is_told_how_to_get_one() {
    let home = Home::new();
    for (name, more) in [("one", &["--no-certificate"][..]), ("two", &[])] {
        let said = home.run(&[&["device", "add", name], more].concat());
        let told = format!("device set --role ROLE {name}` gives it one (");
        assert!(said.stderr.contains(&told) && said.stderr.contains("sensor"), "{said:?}");
    }
    let said = home.run(&["device", "add", "three", "--role", "sensor"]);
    assert!(!said.stderr.contains("has no role"), "{said:?}");
}
