//! `citronella bundle`: what it makes is used as it stands, by the programs it is made for, with a real broker.

use std::{fs, path::Path};

use crate::{
    cli_site::Site,
    cli_support::Home,
    pki_support::run,
    support::{Broker, Client, Cmd, Kind, Login, Outcome},
};

const PASSPHRASE: &str = "marker-device-77";
const TOPIC: &str = "sensors/thunder10/test";

/// A guarded broker, a device `thunder10` whose folder has its key, and somebody who listens.
pub(crate) struct Stage {
    pub(crate) home: Home,
    pub(crate) host: String,
    _broker: Broker,
    pub(crate) watcher: Client,
}

impl Stage {
    pub(crate) fn new(kind: Kind) -> Self {
        let (site, conf) = Site::new(kind, &[]);
        let home = &site.home;
        home.ok(&["device", "add", "thunder10", "--role", "sensor"]);
        home.ok(&["device", "add", "watcher", "--role", "viewer"]);
        let broker = conf.start();
        let mut watcher = Client::welcome(&site.own_door("watcher"), &Login::new("watcher"));
        assert_eq!(watcher.subscribe("sensors/#"), 2);
        Self { home: site.home, host: site.address, _broker: broker, watcher }
    }

    fn bundle(&self, arguments: &[&str]) -> Cmd {
        self.home
            .cmd(&[&["bundle", "thunder10", "--host", &self.host], arguments].concat())
            .env("CITRONELLA_KEY_PASSPHRASE", PASSPHRASE)
    }

    /// Runs this in the folder that was made, and waits for the message.
    #[track_caller]
    fn hears(&mut self, folder: &str, script: &str) {
        let outcome = self.typed(folder, script);
        assert_eq!(outcome.status, Some(0), "{script}: {outcome:?}");
        let message = self.watcher.receive();
        assert_eq!((&*message.topic, &*message.payload), (TOPIC, &b"hello"[..]));
    }

    pub(crate) fn typed(&self, folder: &str, script: &str) -> Outcome {
        Cmd::shell(script).dir(&self.home.path(folder)).env("CITRONELLA_KEY_PASSPHRASE", PASSPHRASE).run()
    }
}

/// The lines of a README that begin with this, without their indent.
fn lines(home: &Home, folder: &str, begin: &str) -> Vec<String> {
    let text = home.read(&format!("{folder}/README.txt"));
    assert!(!text.contains('@'), "something was not filled in: {text}");
    text.lines().map(str::trim).filter(|line| line.starts_with(begin)).map(str::to_owned).collect()
}

/// What the folder of judges has, which `make test-deps` fills from PyPI and npm.
pub(crate) fn judges(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/judges").join(name);
    assert!(path.is_dir(), "{} is missing; `make test-deps` fetches it", path.display());
    path.to_str().unwrap().to_owned()
}

broker_test!(the_lines_for_mosquitto_publish, |kind| {
    let mut stage = Stage::new(kind);
    stage.bundle(&["--for", "mosquitto"]).ok();
    assert!(stage.home.read("thunder10-mosquitto/thunder10.key").contains("ENCRYPTED"));
    let line = lines(&stage.home, "thunder10-mosquitto", "mosquitto_pub").remove(0);
    // Without a terminal the passphrase is read from standard input.
    stage
        .hears("thunder10-mosquitto", &format!("printf '{PASSPHRASE}\\n' | timeout 20 setsid --wait {line}"));

    stage.bundle(&["--for", "mosquitto", "--plain-key", "--force"]).ok();
    let line = lines(&stage.home, "thunder10-mosquitto", "mosquitto_pub").remove(0);
    stage.hears("thunder10-mosquitto", &format!("timeout 20 {line}"));
});

#[test]
fn paho_in_python_publishes() {
    let mut stage = Stage::new(Kind::named("2.0.11"));
    stage.bundle(&["--for", "python"]).ok();
    let modules = judges("python");
    assert_eq!(lines(&stage.home, "thunder10-python", "python3"), ["python3 publish.py"]);
    stage.hears("thunder10-python", &format!("PYTHONPATH={modules} python3 publish.py"));
    stage.bundle(&["--for", "python", "--plain-key", "--force"]).ok();
    stage.hears(
        "thunder10-python",
        &format!("env -u CITRONELLA_KEY_PASSPHRASE PYTHONPATH={modules} python3 publish.py"),
    );
}

#[test]
fn mqtt_js_publishes() {
    let mut stage = Stage::new(Kind::named("2.0.11"));
    stage.bundle(&["--for", "node"]).ok();
    // Modules are found beside the script.
    let modules = judges("node/node_modules");
    std::os::unix::fs::symlink(modules, stage.home.path("thunder10-node/node_modules")).unwrap();
    assert_eq!(lines(&stage.home, "thunder10-node", "node "), ["node publish.mjs"]);
    stage.hears("thunder10-node", "node publish.mjs");
}

#[test]
fn java_is_admitted_with_every_kind_of_store() {
    let stage = Stage::new(Kind::named("2.0.11"));
    for kind in [&[][..], &["--compat"], &["--jks"]] {
        stage.bundle(&[&["--for", "java", "--out", "."], kind].concat()).ok();
        assert_eq!(lines(&stage.home, "thunder10-java", "java "), ["java Tls.java"]);
        let outcome = stage.typed("thunder10-java", "java Tls.java");
        assert_eq!((outcome.status, outcome.stdout.trim()), (Some(0), "admitted"), "{kind:?}: {outcome:?}");
        // Java's key tool opens both, and the key.
        let end = if kind == ["--jks"] { "jks" } else { "p12" };
        for store in ["thunder10", "truststore"] {
            let listed = stage.typed(
                "thunder10-java",
                &format!("keytool -list -v -keystore {store}.{end} -storepass {PASSPHRASE} 2>&1"),
            );
            let entry = if store == "truststore" { "trustedCertEntry" } else { "PrivateKeyEntry" };
            assert!(listed.status == Some(0) && listed.stdout.contains(entry), "{listed:?}");
        }
        fs::remove_dir_all(stage.home.path("thunder10-java")).unwrap();
    }
}

#[test]
fn openssl_opens_the_stores_without_its_legacy_provider() {
    let stage = Stage::new(Kind::named("2.0.11"));
    for (target, more) in [("openssl", &[][..]), ("openssl", &["--compat"]), ("android", &[])] {
        stage.bundle(&[&["--for", target, "--force"], more].concat()).ok();
        let folder = format!("thunder10-{target}");
        let store = stage.home.path(&format!("{folder}/thunder10.p12"));
        let password = format!("pass:{PASSPHRASE}");
        let (opened, text) = run(
            "openssl",
            &["pkcs12", "-in", store.to_str().unwrap(), "-passin", &password, "-noenc", "-info"],
        );
        assert!(opened && text.contains("BEGIN PRIVATE KEY"), "{text}");
        assert_eq!(text.matches("BEGIN CERTIFICATE").count(), 2, "{text}");
        let weak = more == ["--compat"] || target == "android";
        assert_eq!(text.contains("pbeWithSHA1And3-KeyTripleDES-CBC"), weak, "{text}");
        assert_eq!(text.contains("AES-256-CBC"), !weak, "{text}");
    }
}

#[test]
fn a_c_compiler_takes_the_header_and_it_is_the_device() {
    let stage = Stage::new(Kind::named("2.0.11"));
    let said = stage.bundle(&["--for", "esp32"]).run();
    assert!(
        said.status == Some(0) && said.stderr.contains("whoever has the folder is thunder10"),
        "{said:?}"
    );
    assert_eq!(stage.home.mode("thunder10-esp32/citronella.h"), 0o600);
    let program = "#include \"citronella.h\"\n#include \"citronella.h\"\n#include <stdio.h>\n\
        int main(void) { fputs(CITRONELLA_CERTIFICATE, stdout); fputs(CITRONELLA_KEY, stdout); fputs(CITRONELLA_CA, stdout); return 0; }\n";
    fs::write(stage.home.path("thunder10-esp32/main.c"), program).unwrap();
    let outcome =
        stage.typed("thunder10-esp32", "cc -Wall -Wextra -Werror main.c -o main && ./main > all.pem");
    assert_eq!(outcome.status, Some(0), "{outcome:?}");
    let outcome = stage.typed(
        "thunder10-esp32",
        "openssl x509 -in all.pem -pubkey -noout > one && openssl pkey -in all.pem -pubout > two && cmp one two",
    );
    assert_eq!(outcome.status, Some(0), "{outcome:?}");
    let sketch = stage.home.read("thunder10-esp32/thunder10-esp32.ino");
    assert!(sketch.contains("mqtt.connect(\"thunder10\")") && sketch.contains(TOPIC), "{sketch}");
}

#[test]
fn tasmota_gets_the_number_of_the_key() {
    let stage = Stage::new(Kind::named("2.0.11"));
    stage.bundle(&["--for", "tasmota"]).ok();
    assert_eq!(stage.home.mode("thunder10-tasmota/console.txt"), 0o600);
    let console = stage.home.read("thunder10-tasmota/console.txt");
    let number = console.lines().find_map(|line| line.strip_prefix("TLSKey1 ")).unwrap();
    // As Tasmota's guide gets it with openssl.
    let expected = stage.typed(
        "thunder10",
        "openssl ec -in thunder10.key -noout -text 2>/dev/null | sed -n '/priv:/,/pub:/p' | grep '^ ' | tr -d ' :\\n' | tr a-f A-F | basenc --base16 -d | base64",
    );
    assert_eq!(expected.stdout.trim(), number, "{expected:?}");
    let certificate = console.lines().find_map(|line| line.strip_prefix("TLSKey2 ")).unwrap();
    let expected = stage.typed("thunder10", "openssl x509 -in thunder10.crt -outform DER | base64 -w 0");
    assert_eq!(expected.stdout.trim(), certificate);
}

#[test]
fn a_new_key_is_made_where_it_is_asked_for() {
    let home = Home::new();
    home.ok(&["device", "add", "thunder10", "--role", "sensor", "--no-certificate"]);
    home.fails(&["bundle", "thunder10", "--for", "esp32"], &["there is no folder thunder10", "--new"]);
    home.ok(&["bundle", "thunder10", "--for", "esp32", "--new"]);
    let listed = home.json(&["device", "show", "thunder10"]);
    assert_eq!(listed["certificates"].as_array().unwrap().len(), 1, "{listed}");
    assert!(home.path("thunder10-esp32/citronella.h").exists());

    let encrypted = home
        .cmd(&["bundle", "thunder10", "--for", "python", "--new", "--force"])
        .env("CITRONELLA_KEY_PASSPHRASE", PASSPHRASE)
        .run();
    assert_eq!(encrypted.status, Some(0), "{encrypted:?}");
    for key in ["thunder10/thunder10.key", "thunder10-python/thunder10.key"] {
        assert!(home.read(key).contains("ENCRYPTED"), "{key}");
    }
    // One passphrase opens what was there and closes what is made.
    let again = home
        .cmd(&["bundle", "thunder10", "--for", "mosquitto"])
        .env("CITRONELLA_KEY_PASSPHRASE", PASSPHRASE)
        .run();
    assert_eq!(again.status, Some(0), "{again:?}");
    assert!(home.read("thunder10-mosquitto/thunder10.key").contains("ENCRYPTED"));
}

#[test]
fn an_archive_holds_what_the_folder_would() {
    let home = Home::new();
    home.ok(&["device", "add", "thunder10", "--role", "sensor"]);
    let bundle = |more: &[&str]| home.run(&[&["bundle", "thunder10", "--for", "esp32"], more].concat());
    for file in ["thunder10.tar", "Thunder10.ZIP"] {
        let made = bundle(&["--archive", file]);
        assert!(made.status == Some(0) && made.stdout.contains("its key is not encrypted"), "{made:?}");
        assert_eq!(home.mode(file), 0o600, "{file}");
        assert!(!home.path("thunder10-esp32").exists(), "a folder was made as well");
        let before = home.read_bytes(file);
        home.fails(
            &["bundle", "thunder10", "--for", "esp32", "--archive", file],
            &["exists already", "--force"],
        );
        assert_eq!(home.read_bytes(file), before);
        assert_eq!(bundle(&["--archive", file, "--force"]).status, Some(0));
    }
    home.shell(
        "mkdir tar zip && tar -xpf thunder10.tar -C tar && python3 - <<'E'
import os, zipfile
archive = zipfile.ZipFile('Thunder10.ZIP')
archive.extractall('zip')
for entry in archive.infolist():
    os.chmod('zip/' + entry.filename, entry.external_attr >> 16 & 0o7777)
E",
    )
    .ok();
    assert_eq!(bundle(&[]).status, Some(0));
    for name in ["citronella.h", "thunder10-esp32.ino", "README.txt"] {
        for unpacked in ["tar", "zip"] {
            let path = format!("{unpacked}/thunder10-esp32/{name}");
            let folder = format!("thunder10-esp32/{name}");
            assert_eq!(home.read(&path), home.read(&folder), "{path}");
            assert_eq!(home.mode(&path), home.mode(&folder), "{path}");
        }
    }
    home.fails(&["bundle", "thunder10", "--for", "esp32", "--archive", "t.rar"], &["neither .tar nor .zip"]);
}

#[test]
fn what_does_not_fit_is_refused_and_nothing_is_made() {
    let home = Home::new();
    for name in ["thunder10", "other"] {
        home.ok(&["device", "add", name, "--role", "sensor"]);
    }
    let before = home.files();
    // Nobody is there to be asked.
    let timer = |target| home.cmd(&["bundle", "thunder10", "--for", target]).run();
    for (target, remedy) in [("python", "--plain-key"), ("java", "--key-passphrase-file")] {
        let asked = timer(target);
        assert!(asked.status == Some(2) && asked.stderr.contains(remedy), "{asked:?}");
    }
    assert!(!timer("java").stderr.contains("--plain-key"), "a store has a passphrase");
    home.fails(&["bundle", "nobody", "--for", "java"], &["no device is called `nobody`"]);
    home.fails(&["bundle", "thunder10", "--for", "palm"], &["there is nothing for `palm`", "esp32"]);
    home.fails(&["bundle", "thunder10", "--for", "java", "--plain-key"], &["in any case"]);
    home.fails(&["bundle", "thunder10", "--for", "python", "--jks", "--plain-key"], &["no such key store"]);
    home.fails(&["bundle", "thunder10", "--for", "esp32", "--from", "other"], &["thunder10.crt"]);
    let short =
        home.cmd(&["bundle", "thunder10", "--for", "java"]).env("CITRONELLA_KEY_PASSPHRASE", "12345").run();
    assert!(short.status == Some(2) && short.stderr.contains("at least 6 characters"), "{short:?}");
    assert!(home.files() == before, "something was made");

    home.ok(&["bundle", "thunder10", "--for", "esp32"]);
    home.fails(&["bundle", "thunder10", "--for", "esp32"], &["exists already", "--force"]);
    fs::copy(home.path("other/other.key"), home.path("thunder10/thunder10.key")).unwrap();
    home.fails(
        &["bundle", "thunder10", "--for", "esp32", "--force"],
        &["does not belong to the certificate"],
    );
}
