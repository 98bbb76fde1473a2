//! `citronella cert`: issuing again, revoking, looking at files of anybody.

use std::{fs, path::Path, process::Command, time::Instant};

use serde_json::{Value, json};

use crate::{
    cli_support::Home,
    pki_support::{accepts, refuses, verify},
    support::Authority,
};

/// One entry of the ledger, as `cert list` tells it.
#[track_caller]
fn entry(home: &Home, name: &str, number: usize) -> Value {
    home.json(&["cert", "list", name])[number].clone()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn with_lamp() -> Home {
    let home = Home::new();
    home.ok(&["device", "add", "lamp", "--role", "sensor"]);
    home
}

#[test]
fn issue_gives_a_registered_device_one_more() {
    let home = with_lamp();
    home.fails(&["cert", "issue", "lamp"], &["lamp exists already", "--force"]);
    home.ok(&["cert", "issue", "lamp", "--force", "--days", "10"]);
    home.ok(&["cert", "issue", "lamp", "--out", "etc"]);
    let shown = home.json(&["device", "show", "lamp"]);
    assert_eq!(shown["certificates"].as_array().unwrap().len(), 3, "{shown}");
    let listed = home.json(&["cert", "list", "lamp"]);
    assert_eq!(listed.as_array().unwrap().len(), 3);
    assert_eq!(home.json(&["cert", "list", "lamp", "--expiring", "11"]), json!([listed[1]]));
    assert_eq!(home.json(&["cert", "list", "--expiring", "9"]), json!([]));
    assert_eq!(home.ok(&["cert", "list"]).lines().count(), 1 + 2 + 3);
}

#[test]
fn issue_refuses_before_anything_is_in_the_ledger() {
    let home = with_lamp();
    fs::create_dir(home.path("mine")).unwrap();
    home.write("mine/lamp/photo.jpg", "x");
    let ledger = home.read("etc/pki/ledger");
    for (arguments, says) in [
        (&["nobody"][..], "no device is called `nobody`"),
        (&["lamp", "--out", "gone", "--force"], "no folder gone"),
        (&["lamp", "--out", "mine", "--force"], "not of a bundle"),
        (&["lamp", "--force", "--days", "0"], "0 days"),
        (&["lamp", "--force", "--key", "ed448"], "ed448"),
    ] {
        home.fails(&[&["cert", "issue"], arguments].concat(), &[says]);
        assert_eq!(home.read("etc/pki/ledger"), ledger, "{arguments:?}");
    }
    let wrong =
        home.cmd(&["cert", "issue", "lamp", "--force"]).env("CITRONELLA_CA_PASSPHRASE", "wrong").run();
    assert_eq!(wrong.status, Some(2), "{wrong:?}");
    assert!(wrong.stderr.contains("passphrase does not open"), "{wrong:?}");
    assert_eq!(home.read("etc/pki/ledger"), ledger);
}

#[test]
fn issue_never_outlives_the_authority_and_says_so() {
    let home = with_lamp();
    let outcome = home.run(&["cert", "issue", "lamp", "--force", "--days", "99999"]);
    assert_eq!(outcome.status, Some(0), "{outcome:?}");
    assert!(outcome.stderr.contains("warning: the certificate ends with the authority's"), "{outcome:?}");
    accepts(verify(&home.path("etc/tls/ca.crt"), &home.path("lamp/lamp.crt"), &[]));
}

#[test]
fn revoke_takes_a_device_a_serial_number_or_a_fingerprint() {
    for how in ["name", "serial", "sha256", "colons"] {
        let home = with_lamp();
        home.ok(&["cert", "issue", "lamp", "--force"]);
        let first = entry(&home, "lamp", 0);
        let id = match how {
            "name" => "lamp".to_owned(),
            "serial" => text(&first["serial"]).to_uppercase(),
            "sha256" => text(&first["sha256"]).to_owned(),
            _ => {
                let digits: Vec<char> = text(&first["sha256"]).chars().collect();
                digits.chunks(2).map(String::from_iter).collect::<Vec<_>>().join(":")
            }
        };
        let done = home.json(&["cert", "revoke", &id, "--reason", "keyCompromise"]);
        let count = if how == "name" { 2 } else { 1 };
        assert_eq!(done.as_array().unwrap().len(), count, "{how}: {done}");
        assert_eq!((&done[0]["registry"], &done[0]["already"]), (&json!(true), &json!(false)), "{how}");
        let shown = home.json(&["device", "show", "lamp"]);
        assert_eq!(shown["revoked"][0], first["sha256"], "{how}");
        assert_eq!(shown["certificates"].as_array().unwrap().len(), 2 - count, "{how}");
        let now = entry(&home, "lamp", 0);
        assert_eq!((text(&now["state"]), text(&now["reason"])), ("revoked", "keyCompromise"), "{how}");
        // Again changes nothing; by name there is nothing left.
        let devices = home.devices();
        match how {
            "name" => home.fails(&["cert", "revoke", "lamp"], &["nothing that is in force"]),
            _ => assert_eq!(home.json(&["cert", "revoke", &id])[0]["already"], true),
        }
        assert_eq!(home.devices(), devices);
    }
}

#[test]
fn revoke_says_what_it_does_not_know() {
    let home = with_lamp();
    home.fails(&["cert", "revoke", "nobody"], &["`nobody`", "cert list"]);
    home.fails(&["cert", "revoke", &"ab".repeat(32)], &["nothing that is in force"]);
    home.fails(&["cert", "revoke", "lamp", "--reason", "boredom"], &["boredom", "keyCompromise"]);
    home.fails(&["cert", "revoke", "lamp", "--reason", "removeFromCRL"], &["superseded"]);
}

#[test]
fn the_brokers_and_the_authoritys_certificate_are_not_revoked_by_accident() {
    let home = Home::empty();
    home.init(&["--name", "gw"]).ok();
    // A device of the broker's name has nothing to do with the broker.
    home.ok(&["device", "add", "gw", "--role", "sensor"]);
    let listed = home.json(&["cert", "list"]);
    let (ca, broker) = (text(&listed[0]["serial"]), text(&listed[1]["serial"]));
    let before = home.files();
    home.fails(&["cert", "revoke", broker], &["the certificate of the broker `gw`", "--broker"]);
    home.fails(&["cert", "revoke", text(&listed[1]["sha256"])], &["the certificate of the broker `gw`"]);
    home.fails(&["cert", "revoke", ca], &["authority cannot revoke itself"]);
    home.fails(&["cert", "revoke", ca, "--broker"], &["authority cannot revoke itself"]);
    assert!(home.files() == before, "something changed");
    home.ok(&["cert", "revoke", "gw"]);
    let now = home.json(&["cert", "list"]);
    assert_eq!((text(&now[1]["state"]), text(&now[2]["state"])), ("valid", "revoked"));
    home.ok(&["cert", "revoke", broker, "--broker"]);
    assert_eq!(home.json(&["cert", "list"])[1]["state"], "revoked");
}

#[test]
fn killed_between_registry_and_ledger_a_revocation_is_completed_by_typing_it_again() {
    let home = Home::new();
    home.ok(&["device", "add", "first"]);
    let whole = Instant::now();
    home.ok(&["cert", "revoke", "first"]);
    let whole_us = u64::try_from(whole.elapsed().as_micros()).unwrap();
    for round in 0..12 {
        let name = format!("d{round}");
        home.ok(&["device", "add", &name]);
        home.cmd(&["cert", "revoke", &name]).kill_after(whole_us * round / 10);
        let (in_registry, in_ledger) = (
            home.json(&["device", "show", &name])["revoked"][0].is_string(),
            entry(&home, &name, 0)["state"] == "revoked",
        );
        // The registry is what the broker reads: it comes first.
        assert!(in_registry || !in_ledger, "round {round}");
        if !in_ledger {
            home.ok(&["cert", "revoke", &name]);
        }
        assert!(home.json(&["device", "show", &name])["revoked"][0].is_string());
        assert_eq!(entry(&home, &name, 0)["state"], "revoked");
    }
}

#[test]
fn a_revocation_whose_device_is_gone_from_the_registry_is_in_the_ledger() {
    let home = with_lamp();
    home.write("etc/devices.toml", "version = 1\n");
    assert_eq!(home.json(&["cert", "revoke", "lamp"])[0]["registry"], false);
    assert_eq!(entry(&home, "lamp", 0)["state"], "revoked");
}

#[test]
fn show_reads_certificates_of_anybody_in_pem_and_der() {
    let home = with_lamp();
    let foreign = Authority::new(&home.path("foreign"));
    let other =
        foreign.client("other", "/C=DE/O=Meier/CN=Türsteher", &["subjectAltName=URI:urn:x,DNS:a.example"]);
    let der = home.path("other.der");
    let pem = other.certificate.to_str().unwrap();
    openssl(&["x509", "-outform", "DER", "-in", pem, "-out", der.to_str().unwrap()]);
    for file in [pem, der.to_str().unwrap()] {
        let views = home.json(&["cert", "show", file]);
        assert_eq!(views[0]["sha256"], other.fingerprint(), "{file}");
        assert_eq!(views[0]["serial"], other.serial(), "{file}");
        assert_eq!(views[0]["common_names"], json!(["Türsteher"]), "{file}");
        assert_eq!(views[0]["alternative_names"], json!(["URI:urn:x", "DNS:a.example"]), "{file}");
    }
    // A chain, with text around it, shows both.
    let chain = format!("hello\n{}\n{}", home.read("lamp/lamp.crt"), fs::read_to_string(pem).unwrap());
    home.write("chain.pem", chain);
    assert_eq!(home.json(&["cert", "show", "chain.pem"]).as_array().unwrap().len(), 2);
    let shown = home.ok(&["cert", "show", "chain.pem"]);
    assert!(shown.contains("CN=lamp") && shown.contains("Türsteher"), "{shown}");
    // What was issued, by serial number, fingerprint and name; the authority's too.
    let lamp = entry(&home, "lamp", 0);
    for id in [text(&lamp["serial"]), text(&lamp["sha256"]), "lamp/lamp.crt"] {
        assert_eq!(home.json(&["cert", "show", id])[0]["sha256"], lamp["sha256"], "{id}");
    }
    let ca = home.json(&["cert", "show", "etc/tls/ca.crt"]);
    assert_eq!((&ca[0]["is_ca"], &ca[0]["path_length"]), (&json!(true), &json!(0)));
}

#[test]
fn show_refuses_what_is_no_certificate_in_one_line() {
    let home = with_lamp();
    home.write("empty", "");
    home.write("words", "not a certificate\n");
    home.write("torn.pem", &home.read("lamp/lamp.crt")[..200]);
    home.write("damaged.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    home.write("zeros", [0_u8; 4096]);
    home.write("deep.der", [0x30, 0x80].repeat(50_000));
    home.write("long.der", [0x30, 0x84, 0xff, 0xff, 0xff, 0xff]);
    let mut bent = fs::read(home.path("lamp/lamp.crt")).unwrap();
    bent[100] ^= 1;
    home.write("bent.pem", &bent);
    for (file, says) in [
        ("empty", "no certificate"),
        ("words", "no certificate"),
        ("torn.pem", "damaged"),
        ("damaged.pem", "damaged"),
        ("zeros", "no certificate"),
        ("deep.der", "no certificate"),
        ("long.der", "no certificate"),
        ("nothing/there", "nothing that is in force"),
    ] {
        let outcome = home.run(&["cert", "show", file]);
        assert_eq!((outcome.status, &*outcome.stdout), (Some(2), ""), "{file}: {outcome:?}");
        assert!(outcome.stderr.contains(says) && outcome.stderr.contains(file), "{file}: {outcome:?}");
    }
    // One bit more or less may still be a certificate; it is never a crash.
    assert!(matches!(home.run(&["cert", "show", "bent.pem"]).status, Some(0 | 2)));
}

#[test]
fn show_prints_hostile_names_without_obeying_them() {
    let home = with_lamp();
    let foreign = Authority::new(&home.path("foreign"));
    let hostile = foreign.client("hostile", "/CN=a\u{1b}[2J\u{7}\u{9b}5m\u{202e}b", &[]);
    for format in ["human", "json"] {
        let outcome = home.run(&["cert", "show", hostile.certificate.to_str().unwrap(), "--format", format]);
        assert_eq!(outcome.status, Some(0), "{outcome:?}");
        let controls: Vec<char> = outcome
            .stdout
            .chars()
            .filter(|ch| (ch.is_control() && *ch != '\n') || *ch == '\u{202e}')
            .collect();
        assert!(controls.is_empty(), "{format}: {controls:?}");
    }
}

#[test]
fn without_an_authority_the_remedy_is_told() {
    let home = Home::empty();
    home.write("etc/citronella.toml", "version = 1\n[registry]\nfile = \"devices.toml\"\n");
    home.write("etc/devices.toml", "version = 1\n[lamp]\n");
    for arguments in [
        &["cert", "list"][..],
        &["cert", "revoke", "lamp"],
        &["cert", "issue", "lamp"],
        &["device", "add", "x"],
    ] {
        home.fails(arguments, &["no authority", "`citronella init` makes one"]);
    }
    // A file needs none.
    home.fails(&["cert", "show", "etc/devices.toml"], &["no certificate"]);
}

#[test]
fn a_certificate_of_another_authority_is_not_ours() {
    let (home, other) = (with_lamp(), with_lamp());
    refuses(verify(&home.path("etc/tls/ca.crt"), &other.path("lamp/lamp.crt"), &[]), "error");
}

#[track_caller]
fn openssl(arguments: &[&str]) {
    assert!(Command::new("openssl").args(arguments).current_dir(Path::new("/")).status().unwrap().success());
}

#[test]
fn what_cannot_be_issued_is_told_before_the_device_is_registered() {
    let home = Home::new();
    let before = home.devices();
    home.fails(&["device", "add", "lamp", "--days", "0"], &["0 days"]);
    home.fails(&["device", "add", "lamp", "--days", "4000000000"], &["4000000000 days"]);
    let shown = home.ok(&["cert", "show", "etc/tls/ca.crt"]);
    let root = shown.split("CN=").nth(1).unwrap().lines().next().unwrap().split(',').next().unwrap();
    home.fails(&["device", "add", root], &["the authority's own"]);
    assert_eq!(home.devices(), before);
}

#[test]
fn an_earlier_certificate_that_stays_good_is_named() {
    let home = Home::new();
    let issue = ["cert", "issue", "lamp", "--force"];
    home.ok(&["device", "add", "lamp", "--role", "sensor", "--no-certificate"]);
    let first = home.run(&issue);
    assert!(first.status == Some(0) && !first.stderr.contains("stays good"), "{first:?}");
    let serial = home.json(&["cert", "list"]).to_string();
    let second = home.run(&issue);
    let line = second.stderr.lines().find(|line| line.contains("stays good")).unwrap();
    let named = line.split(" cert revoke ").nth(1).unwrap().split('`').next().unwrap();
    assert!(serial.contains(named), "{second:?}");
    home.ok(&["cert", "revoke", named]);
    let third = home.run(&issue);
    assert_eq!(third.stderr.matches("stays good").count(), 1, "{third:?}");
}

#[test]
fn a_host_that_the_brokers_certificate_does_not_name_is_pointed_out() {
    let home = Home::empty();
    home.init(&["--name", "gw.lan", "--address", "192.0.2.7"]).ok();
    for (device, host, good) in [("a", "GW.lan", true), ("b", "192.0.2.7", true), ("c", "192.0.2.8", false)] {
        let outcome = home.run(&["device", "add", device, "--host", host]);
        assert_eq!(outcome.status, Some(0), "{outcome:?}");
        assert_eq!(outcome.stderr.contains("is not good for"), !good, "{host}: {outcome:?}");
    }
}
