//! README and `--help` say what is so: their files load, their commands run, their tables hold.

use std::{fs, os::unix::fs::symlink, path::Path, process::Command};

use crate::{
    cli_support::{CA_PASSPHRASE, Home},
    support::{Broker, Cmd, DoorKind, plugin},
};

mod brokers;
mod install;
mod symptoms;
mod tables;

fn page(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

fn readme() -> String {
    page("README.md")
}

/// The fenced blocks in this language.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let open = format!("```{language}\n");
    text.split(&open).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

/// A folder with the two files of the README.
fn home_of_readme() -> Home {
    let home = Home::new();
    let files = blocks(&readme(), "toml");
    let [settings, devices] = &files[..] else { panic!("two files, not {}", files.len()) };
    home.write("etc/citronella.toml", settings);
    home.write("etc/devices.toml", devices);
    home
}

/// Runs a line as somebody types it who need not type `sudo`, and for whom `citronella` is this build's.
fn typed(home: &Home, line: &str) -> Cmd {
    home.shell(&format!(
        "sudo() {{ \"$@\"; }}\nsystemctl() {{ :; }}\ncitronella() {{ command \"$citronella\" \"$@\"; }}\n{line}"
    ))
    .env("CITRONELLA_CA_PASSPHRASE", CA_PASSPHRASE)
}

#[test]
fn the_files_of_the_readme_are_sound() {
    let outcome = home_of_readme().run(&["check", "--deny-warnings"]);
    assert_eq!(outcome.status, Some(0), "{outcome:?}");
}

#[test]
fn the_devices_of_the_readme_can_be_imported() {
    let home = Home::new();
    let tables = blocks(&readme(), "csv");
    assert_eq!(tables.len(), 1);
    home.write("devices.csv", &tables[0]);
    typed(&home, "sudo citronella device import devices.csv --dry-run").ok();
    typed(&home, "sudo citronella device import devices.csv").ok();
    assert!(home.path("tablet/tablet.password").exists() && home.path("thunder20/connect.txt").exists());
}

#[test]
fn the_console_of_the_readme_shows_what_the_commands_print() {
    let home = home_of_readme();
    let mut commands = 0;
    for block in blocks(&readme(), "console") {
        for step in format!("\n{block}").split("\n$ ").skip(1) {
            let (line, expected) = step.split_once('\n').unwrap();
            let outcome = typed(&home, line).run();
            assert_eq!(outcome.stdout.trim_end(), expected.trim_end(), "{line}: {outcome:?}");
            commands += 1;
        }
    }
    assert!(commands >= 4, "only {commands} commands");
}

/// Every `citronella VERB …` of a text has a help that knows its options. How many there are.
fn commands_exist(text: &str) -> usize {
    // A verb whose object was named just before stands without the program's name: `device enable`.
    let objects = ["device", "cert", "ca", "broker", "password"];
    let text = objects.iter().fold(text.to_owned(), |text, object| {
        text.replace(&format!("`{object} "), &format!("`citronella {object} "))
    });
    let mut named = 0;
    for rest in text.split("citronella ").skip(1) {
        let line = rest.split(['\n', '`', '|', '&']).next().unwrap();
        let words: Vec<&str> = line
            .split_whitespace()
            .take_while(|word| word.bytes().all(|byte| byte.is_ascii_lowercase()))
            .collect();
        let Some(first) = words.first() else { continue };
        let path = &words[..words.len().min(if objects.contains(first) { 2 } else { 1 })];
        let help = Cmd::new(path.iter().copied().chain(["--help"])).run();
        assert_eq!(help.status, Some(0), "`citronella {line}`: {help:?}");
        for option in line.split_whitespace().filter(|word| word.starts_with("--")) {
            assert!(
                help.stdout.split([' ', '\n', ',']).any(|known| known == option),
                "`citronella {line}`: {option}"
            );
        }
        named += 1;
    }
    named
}

#[test]
fn the_commands_named_in_the_readme_exist() {
    let text = readme();
    assert!(commands_exist(&text) > 30);
    let option = "--password-listener";
    assert!(text.contains(option) && Cmd::new(["init", "--help"]).ok().contains(option));
    for target in ["demo", "test", "help", "release", "install"] {
        let makefile = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Makefile")).unwrap();
        assert!(
            text.contains(&format!("make {target}")) && makefile.contains(&format!("\n{target}:")),
            "make {target}"
        );
    }
    for link in text
        .split("](")
        .skip(1)
        .map(|rest| rest.split(')').next().unwrap())
        .filter(|link| !link.contains("://"))
    {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"));
        assert!(["", ".md"].iter().any(|end| path.join(format!("{link}{end}")).exists()), "{link}");
    }
}

/// The lines of the README's first `sh` block about installing, without their comments.
fn steps() -> Vec<String> {
    let block = blocks(&readme(), "sh").into_iter().find(|block| block.contains("make install")).unwrap();
    block.lines().map(|line| line.split("  #").next().unwrap().trim().to_owned()).collect()
}

broker_test!(the_five_steps_lead_to_a_guarded_broker, |kind| {
    let home = Home::empty();
    let steps = steps();
    let conf = Broker::conf(kind);
    let address = conf.address();

    // 1. What `make release` builds is this build here; the rest of the step is as it stands.
    assert_eq!(steps[0], "make release && sudo make install");
    fs::create_dir_all(home.path("target/release")).unwrap();
    symlink(plugin(), home.path("target/release/libcitronella.so")).unwrap();
    symlink(env!("CARGO_BIN_EXE_citronella"), home.path("target/release/citronella")).unwrap();
    let made = Command::new("make")
        .args(["install", &format!("DESTDIR={}", home.path("root").display())])
        .env("CARGO_TARGET_DIR", home.path("target"))
        .env_remove("MAKEFLAGS")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let installed: Vec<String> =
        home.files().into_iter().map(|(name, _)| name).filter(|name| name.starts_with("root/")).collect();
    let [command, library] = &installed[..] else { panic!("{installed:?}") };
    assert_eq!(command, "root/usr/bin/citronella");
    // One of the places where `init` looks by itself.
    let place =
        library.trim_start_matches("root/usr/lib/").trim_end_matches("/mosquitto/mosquitto_citronella.so");
    assert!(["x86_64-linux-gnu", "aarch64-linux-gnu", "arm-linux-gnueabihf"].contains(&place), "{library}");

    // 2. In a folder of our own, and on an address of our own.
    assert_eq!(steps[1], "sudo citronella init");
    let folder = conf.dir().join("conf.d");
    fs::create_dir(&folder).unwrap();
    let line = format!(
        "{} --plugin {library} --mosquitto-conf {}/citronella.conf --address {address} --listen {address}",
        steps[1],
        folder.display()
    );
    let installed_first = |line: &str| {
        typed(&home, line)
            .env("citronella", home.path(command))
            .env("PATH", format!("{}:/usr/bin:/bin", kind.program("").display()))
    };
    installed_first(&line).ok();

    // 3.
    let added = installed_first(&steps[2]).ok();
    // 4.
    assert_eq!(steps[3], "sudo systemctl enable mosquitto && sudo systemctl restart mosquitto");
    let broker = conf
        .line(&format!("include_dir {}", folder.display()))
        .listener("settled", DoorKind::Unix, "")
        .start();
    // 5. The line as it is told and as it stands in connect.txt.
    installed_first(&steps[4]).ok();
    installed_first(added.lines().last().unwrap().trim()).ok();

    let lost = blocks(&readme(), "sh").into_iter().find(|block| block.contains("device disable")).unwrap();
    installed_first(lost.trim()).ok();
    broker.settle();
    let refused = installed_first(&steps[4]).run();
    assert_ne!(refused.status, Some(0), "{refused:?}");
});

#[test]
fn a_phone_gets_its_password_as_the_readme_says() {
    let home = Home::new();
    let block =
        blocks(&readme(), "sh").into_iter().find(|block| block.contains("password generate")).unwrap();
    let said = typed(&home, &block).ok();
    let password = said.lines().last().unwrap().to_owned();
    assert_eq!(home.cmd(&["password", "verify", "phone"]).stdin(password).run().status, Some(0));
}

/// Every verb: what stands between `citronella` and its options.
const VERBS: [&[&str]; 37] = [
    &["init"],
    &["device", "add"],
    &["device", "list"],
    &["device", "show"],
    &["device", "set"],
    &["device", "edit"],
    &["device", "disable"],
    &["device", "enable"],
    &["device", "quarantine"],
    &["device", "retire"],
    &["cert", "issue"],
    &["cert", "sign"],
    &["cert", "renew"],
    &["cert", "needs-renewal"],
    &["cert", "revoke"],
    &["cert", "list"],
    &["cert", "show"],
    &["cert", "verify"],
    &["broker", "issue"],
    &["broker", "renew"],
    &["ca", "init"],
    &["ca", "adopt"],
    &["ca", "show"],
    &["ca", "crl"],
    &["ca", "rollover"],
    &["ca", "backup"],
    &["ca", "restore"],
    &["password", "set"],
    &["password", "generate"],
    &["password", "verify"],
    &["password", "import"],
    &["device", "import"],
    &["device", "export"],
    &["status"],
    &["check"],
    &["explain"],
    &["test"],
];

/// As `mosquitto_passwd` writes it.
const SHA512: &str = "$6$c2FsdHNhbHRzYWx0$UJzwhk0wOKEH9rqVh5wfmp9uRVHTMFcrVSzV6T63dHuPYoqJkzJ+fVD07EhJlkM03bbAYU2OiByi9OmeHDSw8g==";

#[test]
fn the_examples_in_the_help_work() {
    let mut ran = 0;
    for verb in VERBS {
        let help = Cmd::new(verb.iter().copied().chain(["--help"])).ok();
        let Some((_, examples)) = help.split_once("Example") else { continue };
        let examples = examples.replace("\\\n", " ");
        for line in examples.lines().skip(1).map(str::trim).filter(|line| line.contains("citronella")) {
            let home = Home::new();
            home.write(
                "etc/citronella.toml",
                home.read("etc/citronella.toml") + "\n[roles.gateway]\npublish = [\"site/{attr.site}/#\"]\n",
            );
            // What the examples speak of: a device with a certificate, one with a password, a gateway.
            let known = match verb {
                ["device", "add"] => &[][..],
                _ => &["thunder10", "gw-7", "phone"],
            };
            for name in known {
                home.ok(&[
                    "device",
                    "add",
                    name,
                    "--role",
                    if *name == "phone" { "viewer" } else { "sensor" },
                ]);
            }
            home.write("phone.password", "a password\n");
            home.write("devices.csv", "name,role\nlamp,sensor\n");
            home.write("passwd", format!("thunder10:{SHA512}\n"));
            if verb.contains(&"export") {
                fs::remove_file(home.path("devices.csv")).unwrap();
            }
            home.write(
                "policy.test.toml",
                "config = \"etc/citronella.toml\"\n[[test]]\ndevice = \"phone\"\nallow = { subscribe = [\"sensors/#\"] }\n",
            );
            home.cmd(&["password", "set", "phone"]).stdin("a password\n").run();
            fs::create_dir(home.path("stick")).unwrap();
            if verb.contains(&"sign") {
                home.shell("rm -r thunder10; openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout k -subj /CN=thunder10 -out thunder10.csr").ok();
            }
            home.write("root.pass", "of the root\n");
            let serial = home.json(&["cert", "list"]).as_array().unwrap().last().unwrap()["serial"]
                .as_str()
                .unwrap()
                .to_owned();
            if let ["ca", "init" | "adopt" | "restore"] = verb {
                let there = "mkdir -p pki/private; cp etc/pki/ca.crt pki; \
                    openssl pkey -in etc/pki/ca.key -passin env:CITRONELLA_CA_PASSPHRASE -out pki/private/ca.key; rm -r etc/pki";
                home.ok(&["ca", "backup", "authority.tar"]);
                home.shell(there).env("CITRONELLA_CA_PASSPHRASE", CA_PASSPHRASE).ok();
            }
            // A made-up serial number, a place, and a prompt are not here; everything else is as it stands.
            let line = line
                .replace("7efc7237585c72037770f3a958202951", &serial)
                .replace("/media/stick", "stick")
                .replace("/etc/citronella/", "etc/")
                .replace("/etc/mosquitto/passwd", "passwd")
                .replace("--key-passphrase", "--key-passphrase-file phone.password")
                .replace(
                    "citronella init",
                    &format!("citronella init --plugin {} --mosquitto-conf m.conf", plugin().display()),
                )
                .replace("sudo EDITOR=nano", "EDITOR=true")
                .replace("--config ./citronella.toml", "--config etc/citronella.toml");
            let outcome = typed(&home, &line).env("PASSWORD", "x").env("EDITOR", "true").run();
            let fine: &[i32] = if matches!(*verb, ["explain"] | ["status"] | ["cert", "needs-renewal"]) {
                &[0, 1]
            } else {
                &[0]
            };
            assert!(outcome.status.is_some_and(|status| fine.contains(&status)), "{line}: {outcome:?}");
            ran += 1;
        }
    }
    assert!(ran >= 20, "only {ran} examples");
}

/// Verbs whose examples need a broker, or files that only a machine with Mosquitto has.
const OTHER_VERBS: [&[&str]; 5] = [&["bundle"], &["diff"], &["doctor"], &["import"], &["probe"]];

#[test]
fn an_example_can_be_pasted_from_a_narrow_terminal() {
    for verb in VERBS.iter().chain(&OTHER_VERBS) {
        let help = Cmd::new(verb.iter().copied().chain(["--help"])).ok();
        let (_, examples) = help.split_once("\nExample").unwrap_or_else(|| panic!("{verb:?}: {help}"));
        let examples = examples.split("\n\n").next().unwrap();
        // A line that has to be broken is broken by a backslash: what the terminal breaks is two commands.
        let mut goes_on = false;
        for line in examples.lines().skip(1) {
            assert!(line.chars().count() <= 80, "{verb:?}: {line}");
            assert!(goes_on || line.contains("citronella") || line.ends_with('\\'), "{verb:?}: {line}");
            goes_on = line.ends_with('\\');
        }
        assert!(!goes_on, "{verb:?}: {examples}");
    }
}

#[test]
fn the_lists_of_kinds_have_straight_columns() {
    for verb in ["check", "doctor"] {
        let list = Cmd::new([verb, "--explain"]).ok();
        let (rows, _) = list.split_once("\n\n").unwrap_or_else(|| panic!("{list}"));
        let column = |row: &str| row.len() - row.split_once(' ').unwrap().1.trim_start().len();
        let first = column(rows.lines().next().unwrap());
        assert!(rows.lines().all(|row| column(row) == first), "{verb}: {rows}");
    }
}

#[test]
fn every_help_says_what_its_verb_does_and_has_the_common_options() {
    for verb in VERBS.iter().chain(&OTHER_VERBS) {
        let help = Cmd::new(verb.iter().copied().chain(["--help"])).ok();
        assert!(help.contains("--config <FILE>") && help.contains("--format"), "{verb:?}");
        assert!(
            help.lines().next().is_some_and(|line| line.len() > 10 && !line.ends_with('.')),
            "{verb:?}: {help}"
        );
        assert!(help.contains("Example") && help.contains("Exit status: 0 "), "{verb:?}: {help}");
        assert!(help.lines().all(|line| line.chars().count() <= 110), "{verb:?}: {help}");
    }
}
