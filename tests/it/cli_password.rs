//! `citronella password`: hashes, never on the command line, never where strangers read.

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::fs::PermissionsExt as _,
    process::Child,
};

use crate::{
    cli_support::Home,
    support::{Kind, Outcome},
};

const DEVICES: &str = "version = 1\n\n[phone]\nrole = \"viewer\"\n\n[lamp]\n";

#[track_caller]
fn verify(home: &Home, device: &str, password: impl Into<Vec<u8>>) -> Option<i32> {
    let outcome = home.cmd(&["password", "verify", device]).stdin(password).run();
    let expected = match outcome.status {
        Some(0) => "right\n",
        Some(1) => "wrong\n",
        _ => "",
    };
    assert_eq!(outcome.stdout, expected, "{outcome:?}");
    outcome.status
}

#[test]
fn set_reads_the_first_line_of_standard_input() {
    let home = Home::with_devices(DEVICES);
    for (input, password) in [
        (&b"correct horse\n"[..], &b"correct horse"[..]),
        (b"correct horse", b"correct horse"),
        (b"with cr\r\nsecond line\n", b"with cr"),
        (b" outer blanks \n", b" outer blanks "),
        (b"bytes \xff\xfe that are no text\n", b"bytes \xff\xfe that are no text"),
        ("pässwörd ☂\n".as_bytes(), "pässwörd ☂".as_bytes()),
    ] {
        home.cmd(&["password", "set", "phone"]).stdin(input).ok();
        assert_eq!(verify(&home, "phone", password), Some(0), "{}", String::from_utf8_lossy(input));
        assert_eq!(verify(&home, "phone", [password, b"x"].concat()), Some(1));
        assert_eq!(verify(&home, "phone", "something else"), Some(1));
    }
    assert_eq!(home.json(&["device", "show", "phone"])["password"], "chosen");
    assert!(home.devices().contains("password = \"$argon2id$"), "{}", home.devices());
    assert_eq!(home.mode("etc/devices.toml"), 0o640);
}

#[test]
fn what_no_broker_could_take_is_refused() {
    let home = Home::with_devices(DEVICES);
    for (input, says) in [
        (&b""[..], "is empty"),
        (b"\n", "is empty"),
        (b"\r\n", "is empty"),
        (b"a\0b\n", "NUL"),
        (&[b'x'; 70_000], "longer than"),
    ] {
        let outcome = home.cmd(&["password", "set", "phone"]).stdin(input).run();
        assert_eq!((outcome.status, &*outcome.stdout), (Some(2), ""), "{outcome:?}");
        assert!(outcome.stderr.contains(says), "{says}: {outcome:?}");
    }
    assert_eq!(home.devices(), DEVICES);
}

#[test]
fn generate_prints_what_verifies_and_nothing_else() {
    let home = Home::with_devices(DEVICES);
    let outcome = home.run(&["password", "generate", "phone"]);
    assert_eq!(outcome.status, Some(0), "{outcome:?}");
    let password = outcome.stdout.trim_end();
    assert!(password.len() >= 32 && !password.contains(char::is_whitespace), "{outcome:?}");
    assert!(!outcome.stderr.contains(password), "{outcome:?}");
    assert!(!home.devices().contains(password));
    assert_eq!(verify(&home, "phone", &*outcome.stdout), Some(0));
    assert_eq!(home.json(&["device", "show", "phone"])["password"], "generated");

    let again = home.json(&["password", "generate", "phone"]);
    assert_eq!(again["device"], "phone");
    assert_ne!(again["password"], password);
    assert_eq!(verify(&home, "phone", password), Some(1));
    assert_eq!(verify(&home, "phone", again["password"].as_str().unwrap()), Some(0));
    home.cmd(&["password", "set", "phone"]).stdin("chosen\n").ok();
    assert_eq!(home.json(&["device", "show", "phone"])["password"], "chosen");
}

#[test]
fn hashes_of_mosquitto_passwd_verify_and_are_not_given_twice() {
    let home = Home::empty();
    home.init(&["--password-file", "passwd"]).ok();
    home.ok(&["device", "add", "phone", "--role", "viewer", "--no-certificate"]);
    assert_eq!(format!("{:o}", home.mode("passwd")), "640");
    for label in Kind::LABELS {
        let program = Kind::named(label).program("mosquitto_passwd");
        let made = std::process::Command::new(program)
            .args(["-b", "passwd", "phone", "s3cret of phone"])
            .current_dir(home.dir())
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        assert_eq!(verify(&home, "phone", "s3cret of phone"), Some(0), "{label}");
        assert_eq!(verify(&home, "phone", "s3cret of phone "), Some(1), "{label}");
    }
    let before = home.files();
    home.fails(
        &["password", "generate", "phone"],
        &["has a password here and another at", "take one of them out"],
    );
    assert!(home.files() == before, "something changed");
}

#[test]
fn who_is_asked_about_is_known_and_has_one() {
    let home = Home::with_devices(DEVICES);
    for verb in ["set", "generate", "verify"] {
        let outcome = home.cmd(&["password", verb, "nobody"]).stdin("x\n").run();
        assert_eq!((outcome.status, &*outcome.stdout), (Some(2), ""), "{outcome:?}");
        assert!(outcome.stderr.contains("no device is called `nobody`"), "{outcome:?}");
    }
    let outcome = home.cmd(&["password", "verify", "lamp"]).stdin("x\n").run();
    assert_eq!(outcome.status, Some(2), "{outcome:?}");
    assert!(
        outcome.stderr.contains("has no password") && outcome.stderr.contains("password generate lamp"),
        "{outcome:?}"
    );
}

#[test]
fn a_registry_that_everybody_can_read_is_pointed_out() {
    let home = Home::with_devices(DEVICES);
    let quiet = home.run(&["password", "generate", "phone"]);
    assert!(quiet.status == Some(0) && !quiet.stderr.contains("warning"), "{quiet:?}");
    fs::set_permissions(home.path("etc/devices.toml"), fs::Permissions::from_mode(0o644)).unwrap();
    let warned = home.run(&["password", "generate", "phone"]);
    assert_eq!(warned.status, Some(0), "{warned:?}");
    assert!(warned.stderr.contains("warning: ") && warned.stderr.contains("chmod o-rwx"), "{warned:?}");
    assert_eq!(home.mode("etc/devices.toml"), 0o644);
}

#[test]
fn a_password_that_takes_the_default_for_certificates_away_is_pointed_out() {
    let home = Home::with_devices(DEVICES);
    let settings = home.read("etc/citronella.toml");
    home.write("etc/citronella.toml", settings + "\n[identity]\ndefault_certificates = \"any\"\n");
    let warned = home.run(&["password", "generate", "lamp"]);
    assert!(
        warned.status == Some(0) && warned.stderr.contains("can show no certificate any more"),
        "{warned:?}"
    );
    let quiet = home.run(&["password", "generate", "lamp"]);
    assert!(!quiet.stderr.contains("warning"), "{quiet:?}");
    home.ok(&["cert", "issue", "lamp"]);
    assert!(home.json(&["device", "show", "lamp"])["certificates"][0]["sha256"].is_string());
}

#[test]
fn a_password_is_no_argument() {
    let home = Home::with_devices(DEVICES);
    for verb in ["set", "generate", "verify"] {
        let outcome = home.run(&["password", verb, "phone", "marker-on-the-command-line"]);
        assert_eq!(outcome.status, Some(2), "{outcome:?}");
        let help = home.ok(&["password", verb, "--help"]);
        assert!(!help.contains("<PASSWORD>") && !help.contains("--password"), "{help}");
    }
    assert_eq!(home.devices(), DEVICES);
}

/// On a terminal of its own, as `script` makes one: answers each prompt in turn, once it stands there.
#[track_caller]
fn at_a_terminal(home: &Home, arguments: &str, answers: &[(&str, &str)]) -> Outcome {
    let mut child = home.shell(&format!("exec script -qec '\"$citronella\" {arguments}' /dev/null")).spawn();
    let mut said = String::new();
    for (prompt, answer) in answers {
        let from = said.len();
        while !said[from..].contains(prompt) {
            assert!(read_some(&mut child, &mut said), "`{prompt}` was not asked: {said}");
        }
        assert!(is_silent(child.id()), "what is typed at `{prompt}` would be shown");
        child.stdin.as_mut().unwrap().write_all(format!("{answer}\n").as_bytes()).unwrap();
    }
    while read_some(&mut child, &mut said) {}
    let status = child.wait().unwrap().code();
    Outcome { status, stdout: said, stderr: String::new() }
}

/// Whether the terminal of what `script` has started does not echo.
fn is_silent(script: u32) -> bool {
    let children =
        std::fs::read_to_string(format!("/proc/{script}/task/{script}/children")).unwrap_or_default();
    let terminals =
        children.split_whitespace().filter_map(|pid| std::fs::read_link(format!("/proc/{pid}/fd/0")).ok());
    terminals.into_iter().any(|terminal| {
        let output = std::process::Command::new("stty").arg("-F").arg(terminal).arg("-a").output().unwrap();
        String::from_utf8_lossy(&output.stdout).split_whitespace().any(|word| word == "-echo")
    })
}

fn read_some(child: &mut Child, said: &mut String) -> bool {
    let mut bytes = [0; 256];
    let count = child.stdout.as_mut().unwrap().read(&mut bytes).unwrap();
    said.push_str(&String::from_utf8_lossy(&bytes[..count]));
    count > 0
}

#[test]
fn at_a_terminal_it_is_asked_for_twice_and_not_echoed() {
    let home = Home::with_devices(DEVICES);
    let set = |first, second| {
        at_a_terminal(
            &home,
            "password set phone",
            &[("password for phone: ", first), ("once more: ", second)],
        )
    };
    let done = set("typed-marker", "typed-marker");
    assert_eq!(done.status, Some(0), "{done:?}");
    assert!(!done.stdout.contains("typed-marker"), "{done:?}");
    assert_eq!(verify(&home, "phone", "typed-marker"), Some(0));
    let before = home.devices();
    let other = set("typed-marker-2", "typed-marker-3");
    assert_eq!(other.status, Some(2), "{other:?}");
    assert!(other.stdout.contains("not the same; nothing was changed"), "{other:?}");
    assert_eq!(home.devices(), before);
    let verified = at_a_terminal(&home, "password verify phone", &[("password of phone: ", "typed-marker")]);
    assert_eq!(verified.status, Some(0), "{verified:?}");
    assert!(verified.stdout.contains("right") && !verified.stdout.contains("typed-marker"), "{verified:?}");
}

#[test]
fn the_authoritys_passphrase_is_asked_for_at_a_terminal() {
    let home = Home::with_devices(DEVICES);
    let done = at_a_terminal(
        &home,
        "cert issue lamp",
        &[("passphrase of the authority", crate::cli_support::CA_PASSPHRASE)],
    );
    assert_eq!(done.status, Some(0), "{done:?}");
    assert!(!done.stdout.contains(crate::cli_support::CA_PASSPHRASE), "{done:?}");
    assert!(home.path("lamp/lamp.key").exists());
}
