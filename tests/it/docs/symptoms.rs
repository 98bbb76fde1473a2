//! The table of INSTALL.md of what `mosquitto_pub` prints: each line made with the clients of each release, and what the
//! guide says to type tells the cause.

use std::fs;

use super::page;
use crate::support::{Authority, Broker, Cmd, DoorKind, Fleet, Kind, Outcome};

const SETTINGS: &str = "[everyone]\npublish = ['sensors/{device}/#']\nsubscribe = ['cmd/{device}/#']\n";
const DEVICES: &str = "[thunder10]\ncertificates = 'any'\n[lost]\ncertificates = 'any'\nstate = 'disabled'\n";

/// A guarded broker, and a folder as a device has it, with one of a device that is locked out and strangers' things beside it.
struct Scene {
    fleet: Fleet,
    broker: Broker,
}

impl Scene {
    fn new(kind: Kind) -> Self {
        let fleet = Fleet::with_passwords(kind, SETTINGS, DEVICES);
        let authority = fleet.authority();
        for name in ["thunder10", "lost"] {
            let credential = authority.device(name);
            fs::create_dir(fleet.path(name)).unwrap();
            fs::copy(authority.certificate(), fleet.path(&format!("{name}/ca.crt"))).unwrap();
            fs::copy(credential.certificate, fleet.path(&format!("{name}/{name}.crt"))).unwrap();
            fs::copy(credential.key, fleet.path(&format!("{name}/{name}.key"))).unwrap();
        }
        Authority::new(&fleet.path("stranger"));
        let broker = Broker::conf(kind)
            .line("allow_anonymous false")
            .guarded_by(&fleet.config())
            .tls("tls", authority, "require_certificate true")
            .listener("passwords", DoorKind::Tcp, "")
            .start();
        Self { fleet, broker }
    }

    /// A line of the shell, in a folder with those folders; `PUB` and `SUB` are the release's own clients, `TO` the way to the
    /// broker, `AS` that of the device with its certificate.
    fn sh(&self, line: &str) -> Outcome {
        let (tls, plain) = (self.broker.door("tls").address, self.broker.door("passwords").address);
        let program = |name| self.broker.kind().program(name).display().to_string();
        let line = line
            .replace("AS", "TO --cert thunder10/thunder10.crt --key thunder10/thunder10.key")
            .replace("TO", &format!("-h {} -p {} --cafile thunder10/ca.crt", tls.ip(), tls.port()))
            .replace("PLAIN", &format!("-h {} -p {}", plain.ip(), plain.port()))
            .replace("BARE", &format!("-h {} -p {}", tls.ip(), tls.port()))
            .replace("NOBODY", &format!("-h {} -p 9", tls.ip()))
            .replace("HOST:8883", &tls.to_string())
            .replace("PUB", &program("mosquitto_pub"))
            .replace("SUB", &program("mosquitto_sub"));
        Cmd::shell(&format!("citronella() {{ \"$citronella\" \"$@\"; }}\n{line}"))
            .env("CITRONELLA_CONFIG", self.fleet.config())
            .dir(self.fleet.dir())
            .run()
    }
}

/// What leads to the symptom of this row.
fn causes(row: &str) -> &'static [&'static str] {
    if row.contains("Connection refused") {
        &["PUB NOBODY -t a -m 1"]
    } else if row.contains("Lookup error") {
        &["PUB -h nobody.invalid -p 8883 -t a -m 1"]
    } else if row.contains("File not found") {
        &["PUB TO --cert thunder10.crt --key thunder10.key -t a -m 1"]
    } else if row.contains("not authorised") {
        &[
            "PUB TO --cert lost/lost.crt --key lost/lost.key -t a -m 1",
            "PUB TO --cert lost/lost.crt --key lost/lost.key -t a -m 1 -V 5",
            "PUB PLAIN -u thunder10 -P wrong -t a -m 1",
        ]
    } else if row.contains("TLS error") {
        &[
            "PUB TO -t a -m 1",
            "PUB AS --cafile stranger/ca.crt -t a -m 1",
            "PUB TO --cert thunder10/thunder10.crt --key lost/lost.key -t a -m 1",
            "PUB BARE -t a -m 1",
        ]
    } else if row.contains("Publish 1 failed") {
        &["PUB AS -V 5 -q 1 -t other/x -m 1"]
    } else if row.contains("subscription requests") {
        &["SUB AS -t '#' -W 20", "SUB AS -V 5 -t 'cmd/#' -W 20"]
    } else {
        panic!("nothing is known to lead to {row}")
    }
}

broker_test!(the_symptoms_are_what_the_clients_print_and_their_causes_are_told, |kind| {
    let scene = Scene::new(kind);
    let text = page("INSTALL.md");
    let (_, table) =
        text.split_once("\nWhat `mosquitto_pub` and `mosquitto_sub` print:\n").expect("the table");
    let (table, _) = table.split_once("\nWhat prints nothing:\n").expect("the next table");
    let rows: Vec<&str> = table.lines().filter(|line| line.starts_with('|')).skip(2).collect();
    assert_eq!(rows.len(), 7, "{rows:#?}");
    for row in rows {
        let symptoms: Vec<&str> = row.split('|').nth(1).unwrap().split('`').skip(1).step_by(2).collect();
        for cause in causes(row) {
            let seen = scene.sh(cause);
            let printed = format!("{}{}", seen.stdout, seen.stderr);
            assert!(symptoms.iter().any(|symptom| printed.contains(symptom)), "{row}\n{cause}: {seen:?}");
        }
    }
    // What the guide says to type.
    for reason in ["log-in refused: the device is disabled", "log-in refused: wrong password"] {
        scene.broker.wait_for_log(&format!("citronella: 127.0.0.1: {reason}"));
    }
    for (line, told) in [
        ("citronella probe mqtts://HOST:8883 --from lost", "[not-authorised]"),
        ("citronella probe mqtts://HOST:8883 --cafile thunder10/ca.crt", "certificate"),
        ("citronella explain thunder10 publish other/x", "no rule allows"),
        ("citronella explain thunder10 subscribe 'cmd/#'", "also matches `cmd`"),
    ] {
        let seen = scene.sh(line);
        assert_eq!(seen.status, Some(1), "{line}: {seen:?}");
        assert!(format!("{}{}", seen.stdout, seen.stderr).contains(told), "{line}: {seen:?}");
    }
});
