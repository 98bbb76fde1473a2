//! How the command talks: exit statuses, what goes where, colours, closed pipes.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, chown},
};

use crate::{
    cli_support::{CA_PASSPHRASE, Home},
    support::Cmd,
};

fn home() -> Home {
    let home = Home::new();
    home.ok(&["device", "add", "lamp", "--role", "sensor"]);
    home
}

#[test]
fn mistakes_on_the_command_line_are_status_2_and_go_to_standard_error() {
    let home = home();
    for arguments in [
        &[][..],
        &["bogus"],
        &["device"],
        &["cert"],
        &["password"],
        &["device", "bogus"],
        &["device", "add"],
        &["device", "list", "--bogus"],
        &["check", "--format", "xml"],
        &["check", "extra"],
        &["cert", "list", "--expiring", "soon"],
        &["init", "--port", "70000"],
        &["init", "--password-port", "1"],
    ] {
        let outcome = home.run(arguments);
        assert_eq!((outcome.status, &*outcome.stdout), (Some(2), ""), "{arguments:?}: {outcome:?}");
        assert!(!outcome.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn help_and_version_are_results() {
    for arguments in [
        &["--help"][..],
        &["-h"],
        &["help"],
        &["help", "device", "add"],
        &["--version"],
        &["-V"],
        &["cert", "show", "-h"],
    ] {
        let outcome = Cmd::new(arguments).run();
        assert_eq!((outcome.status, &*outcome.stderr), (Some(0), ""), "{arguments:?}: {outcome:?}");
        assert!(!outcome.stdout.is_empty(), "{arguments:?}");
    }
    let help = Cmd::new(["--help"]).ok();
    assert!(
        help.contains("Exit status: 0 ") && help.contains("1 no, denied") && help.contains("2 it could not"),
        "{help}"
    );
}

#[test]
fn every_verb_prints_one_line_of_json_and_nothing_else() {
    let home = home();
    let plugin = crate::support::plugin();
    for (arguments, stdin) in [
        (&["init", "--plugin", plugin.to_str().unwrap(), "--mosquitto-conf", "mosquitto.conf"][..], ""),
        (&["device", "add", "a"], ""),
        (&["device", "add", "b", "--no-certificate"], ""),
        (&["device", "list"], ""),
        (&["device", "show", "lamp"], ""),
        (&["device", "set", "lamp", "--attr", "a=b"], ""),
        (&["device", "edit"], ""),
        (&["device", "disable", "lamp"], ""),
        (&["device", "enable", "lamp"], ""),
        (&["device", "retire", "b"], ""),
        (&["cert", "issue", "lamp", "--force"], ""),
        (&["cert", "list"], ""),
        (&["cert", "show", "a"], ""),
        (&["cert", "revoke", "a"], ""),
        (&["password", "set", "lamp"], "x\n"),
        (&["password", "generate", "lamp"], ""),
        (&["password", "verify", "lamp"], "x\n"),
        (&["check"], ""),
        (&["explain", "lamp", "publish", "x"], ""),
        (&["uninstall", "--yes", "--mosquitto-conf", "mosquitto.conf"], ""),
    ] {
        let command = home.cmd(&[&["--format", "json"], arguments].concat()).env("EDITOR", "true");
        let outcome = command.stdin(stdin).run();
        assert!(matches!(outcome.status, Some(0 | 1)), "{arguments:?}: {outcome:?}");
        assert_eq!(outcome.stderr, "", "{arguments:?}");
        assert_eq!(outcome.stdout.lines().count(), 1, "{arguments:?}: {outcome:?}");
        let value: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
        assert!(value.is_object() || value.is_array(), "{arguments:?}: {value}");
    }
}

#[test]
fn what_is_no_result_does_not_go_to_standard_output() {
    let home = home();
    let added = home.run(&["device", "add", "x", "--days", "99999"]);
    assert!(
        added.stderr.contains("x is registered\n") && !added.stdout.contains("is registered"),
        "{added:?}"
    );
    assert!(added.stderr.contains("warning: ") && !added.stdout.contains("warning"), "{added:?}");
    let generated = home.run(&["password", "generate", "x"]);
    assert_eq!(generated.stdout.lines().count(), 1, "{generated:?}");
    let disabled = home.run(&["device", "disable", "x"]);
    assert_eq!(disabled.stdout, "x is disabled\n");
}

#[test]
fn a_closed_pipe_is_no_error_and_changes_no_answer() {
    let home = home();
    // Standard output is a pipe that nobody reads from, and the status goes round it.
    let status = |command: &str| {
        let script = format!("{{ \"$citronella\" {command}; echo $? >&3; }} 3>status | :; cat status");
        // The reader has gone only if it was quicker; a descriptor that is surely broken decides it.
        let surely = format!(
            "mkfifo pipe; exec 4<>pipe; exec 5>pipe; exec 4<&-; \"$citronella\" {command} >&5; echo $? >status2; rm pipe; cat status2"
        );
        (home.shell(&script).run(), home.shell(&surely).run())
    };
    for (command, expected) in [
        ("cert list", "0\n"),
        ("device list", "0\n"),
        ("--help", "0\n"),
        ("check", "0\n"),
        ("explain lamp publish sensors/lamp/x", "0\n"),
        ("explain lamp publish x", "1\n"),
        ("--format json cert list", "0\n"),
    ] {
        let (piped, broken) = status(command);
        assert_eq!((&*piped.stdout, &*piped.stderr), (expected, ""), "{command}");
        assert_eq!((&*broken.stdout, &*broken.stderr), (expected, ""), "{command}");
    }
    // A full disk is an error.
    let full = home.shell("exec \"$citronella\" cert list >/dev/full").run();
    assert_eq!(full.status, Some(2), "{full:?}");
    assert!(full.stderr.contains("standard output"), "{full:?}");
}

/// On a terminal of its own.
fn at_a_terminal(home: &Home, arguments: &str, no_color: &str) -> String {
    let script = format!("{no_color} exec script -qec '\"$citronella\" {arguments}' /dev/null </dev/null");
    home.shell(&script).run().stdout
}

#[test]
fn colours_are_for_terminals_whose_owners_want_them() {
    let home = home();
    for (arguments, colour) in
        [("check", "32"), ("explain lamp publish sensors/lamp/x", "32"), ("explain lamp publish x", "31")]
    {
        let coloured = at_a_terminal(&home, arguments, "unset NO_COLOR;");
        assert!(
            coloured.contains(&format!("\u{1b}[{colour}m")) && coloured.contains("\u{1b}[0m"),
            "{coloured:?}"
        );
        for no_color in ["export NO_COLOR=1;", "export NO_COLOR=yes;"] {
            let plain = at_a_terminal(&home, arguments, no_color);
            assert!(!plain.contains('\u{1b}') && !plain.is_empty(), "{plain:?}");
        }
        let piped = home.shell(&format!("unset NO_COLOR; \"$citronella\" {arguments} | cat")).run().stdout;
        assert!(!piped.contains('\u{1b}') && !piped.is_empty(), "{piped:?}");
        let json = at_a_terminal(&home, &format!("--format json {arguments}"), "unset NO_COLOR;");
        assert!(!json.contains('\u{1b}'), "{json:?}");
    }
}

#[test]
fn text_of_others_drives_no_terminal() {
    let home =
        Home::with_devices("version = 1\n[\"a\\u202Eb\"]\nattr = { x = \"\\u001B[2J\\u0007\\u009B1m\" }\n");
    let harmless = |outcome: crate::support::Outcome| {
        let bad = |ch: char| (ch.is_control() && ch != '\n') || matches!(ch, '\u{202a}'..='\u{202e}');
        assert!(!outcome.stdout.contains(bad) && !outcome.stderr.contains(bad), "{outcome:?}");
    };
    for format in ["human", "json"] {
        let ask = |arguments: &[&str]| harmless(home.run(&[arguments, &["--format", format]].concat()));
        ask(&["device", "list"]);
        ask(&["device", "show", "a\u{202e}b"]);
        ask(&["device", "show", "\u{1b}[2J\nforged"]);
        ask(&["device", "add", "x\u{1b}[2J"]);
        ask(&["explain", "a\u{202e}b", "publish", "\u{1b}]0;title\u{7}"]);
        ask(&["explain", "\u{9b}2J", "subscribe", "x/#"]);
        ask(&["cert", "show", "\u{1b}[2J"]);
        ask(&["check"]);
        ask(&["cert", "list", "\u{1b}"]);
        ask(&["check", "--\u{1b}[2J"]);
        ask(&["device", "list", "--state", "\u{1b}[2J"]);
    }
    home.write(
        "etc/devices.toml",
        "version = 1\n[x]\nrole = \"\u{1b}[2J\"\nstate = \"\\u001B[2J\"\n\u{9b} = 1\n",
    );
    harmless(home.run(&["check"]));
    harmless(home.run(&["device", "list"]));
}

#[test]
fn who_may_not_read_the_files_is_told_so_and_not_that_there_are_none() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let home = home();
    // Where a stranger gets to the program, and into a folder that is not theirs.
    let open = |name: &str| fs::set_permissions(home.path(name), fs::Permissions::from_mode(0o755)).unwrap();
    open("");
    home.write("program", fs::read(env!("CARGO_BIN_EXE_citronella")).unwrap());
    open("program");
    let stranger = |arguments: &str| {
        let script = format!("exec setpriv --reuid=65534 --regid=65534 --clear-groups ./program {arguments}");
        home.shell(&script).env("CITRONELLA_CA_PASSPHRASE", CA_PASSPHRASE).run()
    };
    for (arguments, status) in [
        ("check", 1),
        ("device list", 2),
        ("device add x", 2),
        ("cert list", 2),
        ("cert show lamp", 2),
        ("explain lamp publish x", 2),
        ("password verify lamp", 2),
    ] {
        let outcome = stranger(arguments);
        assert_eq!(outcome.status, Some(status), "{arguments}: {outcome:?}");
        let said = format!("{}{}", outcome.stdout, outcome.stderr);
        assert!(said.contains("Permission denied") && said.contains("sudo"), "{arguments}: {outcome:?}");
        assert!(!said.contains("citronella init"), "{arguments}: {outcome:?}");
    }
    // Their own authority, in a folder where they may not write: nothing is issued or registered.
    fs::create_dir(home.path("theirs")).unwrap();
    chown(home.path("theirs"), Some(65534), Some(65534)).unwrap();
    let plugin = crate::support::plugin();
    fs::copy(plugin, home.path("plugin.so")).unwrap();
    open("plugin.so");
    let made = stranger(
        "--config theirs/etc/c.toml init --plugin plugin.so --mosquitto-conf theirs/m.conf --port 9883",
    );
    assert_eq!(made.status, Some(0), "{made:?}");
    let before = home.files();
    let refused = stranger("--config theirs/etc/c.toml device add x --out .");
    assert_eq!(refused.status, Some(2), "{refused:?}");
    assert!(refused.stderr.contains("Permission denied"), "{refused:?}");
    assert!(home.files() == before, "something changed");
    assert_eq!(stranger("--config theirs/etc/c.toml device add x --out theirs").status, Some(0));
    assert_eq!(home.mode("theirs/etc/pki"), 0o700);
}

#[test]
fn a_folder_or_a_certificate_is_no_configuration() {
    let home = home();
    for config in ["etc", "etc/tls/ca.crt", "lamp/lamp.key"] {
        let outcome = home.shell(&format!("exec \"$citronella\" --config {config} check")).run();
        assert_eq!(outcome.status, Some(1), "{outcome:?}");
        assert!(outcome.stdout.contains(config), "{outcome:?}");
        // A key that was named by mistake is not shown line by line.
        let key = home.read("lamp/lamp.key");
        for line in key.lines().filter(|line| !line.starts_with("-----")) {
            assert!(!outcome.stdout.contains(line), "{outcome:?}");
        }
        assert!(!outcome.stdout.contains("`citronella init` makes one"), "{outcome:?}");
    }
}

#[test]
fn a_printed_command_is_one_command_whatever_the_device_is_called() {
    let home = Home::new();
    for name in ["x;touch pwned", "living room", "it's $(touch pwned)"] {
        let told = home.ok(&["device", "add", "--role", "sensor", "--", name]);
        let line = told.lines().last().unwrap().trim().split(" && ").next().unwrap().to_owned();
        let typed = home.shell(&format!("{line} && ls *.crt | wc -l")).ok();
        assert_eq!(typed.trim(), "2", "{line}");
        home.ok(&["device", "add", "--no-certificate", "--", &format!("{name}2")]);
    }
    assert!(!home.files().iter().any(|(name, _)| name.ends_with("/pwned") || name == "pwned"));
    let next = home.ok(&["device", "add", "--no-certificate", "--", "-my phone"]);
    let config = home.config();
    let line = format!("citronella --config {} password generate -- '-my phone'", config.display());
    assert_eq!(next, format!("give it a password: {line}\n"));
    home.ok(&["password", "generate", "--", "-my phone"]);
}
