//! `citronella bundle` and what devices are called: a name is what the program says to the broker, and nothing else.

use std::fs;

use crate::{
    cli_bundle::{Stage, judges},
    cli_support::Home,
    support::{Kind, Outcome},
};

/// Names that end a string or a comment, or are read as something else, in one of the languages. The first one is the
/// longest that a certificate carries, and its length takes two bytes in a CONNECT.
const NAMES: [&str; 7] = [
    "éééééééééééééééééééééééééééééééééééééééééééééééééééééééééééé",
    "e\"\"\"; import os; os.system(\"touch pwned\"); \"\"\"",
    "x\"-y\\",
    "\\u0022; evil(); \\u000a@PORT@",
    "line\u{2028}process.exit(7)",
    "q'$(touch pwned)`touch pwned`",
    "ca",
];

/// What a program in a kit of a device with this name does; `run` is a command of the shell.
fn publishes(stage: &mut Stage, name: &str, target: &str, run: &str) {
    let folder = kit(stage, name, target);
    if target == "node" {
        let modules = stage.home.path(&format!("{folder}/node_modules"));
        std::os::unix::fs::symlink(judges("node/node_modules"), modules).unwrap();
    }
    let outcome = typed(stage, &folder, run);
    assert_eq!(outcome.status, Some(0), "{name:?}: {outcome:?}");
    assert!(!stage.home.path(&folder).join("pwned").exists(), "{name:?} was run");
    let message = stage.watcher.receive();
    assert_eq!((&*message.topic, &*message.payload), (&*format!("sensors/{name}/test"), &b"hello"[..]));
}

/// Makes the kit, and returns its folder.
fn kit(stage: &Stage, name: &str, target: &str) -> String {
    let made = stage.home.json(&["bundle", name, "--for", target, "--host", &stage.host, "--plain-key"]);
    made["folder"].as_str().unwrap().to_owned()
}

fn typed(stage: &Stage, folder: &str, run: &str) -> Outcome {
    // File names are UTF-8 in whatever language this machine speaks.
    stage.typed(folder, &format!("export LC_ALL=C.UTF-8; {run}"))
}

/// The stage, and all of them registered: a registry that was written by hand may have names that `device add` refuses.
fn stage() -> Stage {
    let stage = Stage::new(Kind::named("2.0.11"));
    let mut registry = stage.home.devices();
    for name in NAMES {
        let quoted = serde_json::to_string(name).unwrap();
        registry.push_str(&format!("\n[{quoted}]\nroles = [\"sensor\"]\ncertificates = \"any\"\n"));
    }
    stage.home.write("etc/devices.toml", registry);
    for name in NAMES {
        stage.home.ok(&["cert", "issue", name]);
    }
    stage
}

#[test]
fn whatever_a_device_is_called_python_publishes_as_that() {
    let mut stage = stage();
    let run = format!("PYTHONPATH={} python3 publish.py", judges("python"));
    for name in NAMES {
        publishes(&mut stage, name, "python", &run);
    }
}

#[test]
fn whatever_a_device_is_called_node_publishes_as_that() {
    let mut stage = stage();
    for name in NAMES {
        publishes(&mut stage, name, "node", "node publish.mjs");
    }
}

#[test]
fn whatever_a_device_is_called_java_is_admitted_as_that() {
    let stage = stage();
    for name in NAMES.into_iter().chain(["truststore"]) {
        if name == "truststore" {
            stage.home.ok(&["device", "add", name, "--role", "sensor"]);
        }
        let made = stage
            .home
            .cmd(&["bundle", name, "--for", "java", "--host", &stage.host, "--format", "json"])
            .env("CITRONELLA_KEY_PASSPHRASE", "marker-device-77")
            .ok();
        let made: serde_json::Value = serde_json::from_str(&made).unwrap();
        let outcome = typed(&stage, made["folder"].as_str().unwrap(), "java Tls.java");
        assert_eq!((outcome.status, outcome.stdout.trim()), (Some(0), "admitted"), "{name:?}: {outcome:?}");
    }
}

#[test]
fn whatever_a_device_is_called_its_sketch_has_a_legal_name_and_says_that() {
    let stage = stage();
    for name in NAMES.into_iter().chain(["thunder10"]) {
        let folder = kit(&stage, name, "esp32");
        let bare = folder.rsplit('/').next().unwrap();
        let legal = |ch: char| ch.is_ascii_alphanumeric() || matches!(ch, '_' | '-' | '.');
        assert!(bare.chars().all(legal) && bare.len() <= 63 && !bare.starts_with(['-', '.']), "{bare}");
        let sketch = stage.home.read(&format!("{folder}/{bare}.ino"));
        let line = sketch.lines().find_map(|line| line.trim().strip_prefix("if (mqtt.connect(")).unwrap();
        let literal = line.strip_suffix(")) {").unwrap();
        let program =
            format!("#include <stdio.h>\nint main(void) {{ fputs({literal}, stdout); return 0; }}\n");
        fs::write(stage.home.path(&format!("{folder}/main.c")), program).unwrap();
        let outcome = typed(&stage, &folder, "cc -std=c99 -Wall -Werror main.c -o main && ./main");
        assert_eq!((outcome.status, &*outcome.stdout), (Some(0), name), "{outcome:?}");
        let mut comments = sketch.lines().filter(|line| line.trim().starts_with("//"));
        assert!(name == "ca" || !comments.any(|line| line.contains(name)), "{sketch}");
    }
}

#[test]
fn a_name_that_tasmota_reads_as_a_command_is_refused_before_anything_is_issued() {
    let home = Home::new();
    for name in ["lamp; Reset 1", "1", "lamp%06X"] {
        home.ok(&["device", "add", name, "--role", "sensor", "--no-certificate"]);
        let before = home.files();
        home.fails(&["bundle", name, "--for", "tasmota", "--new"], &["Tasmota's console", "another name"]);
        assert!(home.files() == before, "something was made for {name}");
    }
    home.ok(&["device", "add", "living room", "--role", "sensor"]);
    home.ok(&["bundle", "living room", "--for", "tasmota"]);
    assert!(home.read("living room-tasmota/console.txt").contains("; MqttClient living room; "));
}

#[test]
fn a_device_called_as_the_files_beside_it_gets_its_own() {
    let home = Home::new();
    let ledger = |home: &Home| home.json(&["cert", "list"]).as_array().unwrap().len();
    let before = ledger(&home);
    for name in ["ca", "truststore"] {
        home.ok(&["device", "add", name, "--role", "sensor"]);
        for target in ["mosquitto", "java", "python", "node", "android", "openssl", "esp32", "tasmota"] {
            let made = home
                .cmd(&["bundle", name, "--for", target])
                .env("CITRONELLA_KEY_PASSPHRASE", "marker-device-77")
                .run();
            assert_eq!(made.status, Some(0), "{made:?}");
        }
    }
    assert_eq!(ledger(&home), before + 2, "one certificate each");
    assert!(home.read("%63a/connect.txt").contains("--cafile ca.crt --cert %63a.crt --key %63a.key"));

    home.write("list.csv", "name,role\nok1,sensor\nTrustStore,sensor\nCA,sensor\nok2,sensor\n");
    home.fails(&["device", "import", "list.csv"], &["`ca`"]);
    home.write("list.csv", "name,role\nok1,sensor\nok2,sensor\n");
    home.ok(&["device", "import", "list.csv"]);
    let home = Home::new();
    home.write("list.csv", "name,role\nok1,sensor\nTrustStore,sensor\nCA,sensor\nok2,sensor\n");
    home.ok(&["device", "import", "list.csv"]);
    let again = home.ok(&["device", "import", "list.csv"]);
    assert!(again.contains("4 are there already"), "{again}");
    assert!(home.path("%43A/%43A.crt").exists() && home.path("ok2/ok2.crt").exists());
}
