//! `citronella cert renew` and `needs-renewal`: the next certificate, and whether it is time for it.

use std::fs;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::{
    cli_site::Site,
    cli_support::Home,
    pki_support::{accepts, run, verify},
    support::{Client, Login, Refused},
};

const NOT_AUTHORIZED: u8 = 0x87;

fn with_lamp(more: &[&str]) -> Home {
    let home = Home::new();
    home.ok(&[&["device", "add", "lamp", "--role", "sensor"], more].concat());
    home
}

/// When the registry ends each certificate of the lamp.
#[track_caller]
fn ends(home: &Home) -> Vec<Timestamp> {
    let shown = home.json(&["device", "show", "lamp"]);
    let listed = shown["certificates"].as_array().unwrap();
    listed.iter().map(|one| one["not_after"].as_str().unwrap().parse().unwrap()).collect()
}

#[test]
fn the_new_certificate_stands_beside_the_old_until_the_overlap_ends() {
    let home = with_lamp(&["--subject", "C=IT,O=Rossi\\, Bianchi", "--key", "rsa2048"]);
    let [first] = ends(&home)[..] else { panic!() };
    let said = home.run(&["cert", "renew", "lamp", "--force", "--overlap", "7d"]);
    assert_eq!(said.status, Some(0), "{said:?}");
    let [old, new] = ends(&home)[..] else { panic!() };
    let week = Timestamp::now() + SignedDuration::from_hours(7 * 24);
    assert!(old < first && week.duration_since(old).abs() < SignedDuration::from_mins(5), "{old}");
    assert!(said.stderr.contains(&format!("is good until {old}")), "{said:?}");
    assert!(new >= first);
    // Kind of key and fields of the subject are as they were.
    let views = home.json(&["cert", "show", "lamp/lamp.crt"]);
    assert_eq!(views[0]["subject"], "C=IT, O=Rossi, Bianchi, CN=lamp");
    assert_eq!(views[0]["key"], "RSA 2048");
    accepts(verify(&home.path("etc/tls/ca.crt"), &home.path("lamp/lamp.crt"), &["-purpose", "sslclient"]));
    // An end that is earlier is not put off.
    home.ok(&["cert", "renew", "lamp", "--force", "--overlap", "30d"]);
    let [one, two, _] = ends(&home)[..] else { panic!() };
    assert_eq!(one, old);
    assert!(two > one);
    assert_eq!(home.run(&["check", "--deny-warnings"]).status, Some(0));
}

#[test]
fn the_folder_of_the_device_gets_the_new_files_and_the_old_ones_stay_beside() {
    let home = with_lamp(&[]);
    let [first] = ends(&home)[..] else { panic!() };
    let old = home.read("lamp/lamp.key");
    let said = home.run(&["cert", "renew", "lamp"]);
    assert_eq!(said.status, Some(0), "{said:?}");
    let [end, _] = ends(&home)[..] else { panic!() };
    for part in [
        // Before and after.
        format!("will end in 30d (--overlap), and not on {first}"),
        format!("is good until {end}: by then lamp needs the new files"),
        "the earlier files of lamp are kept in ./lamp.old".to_owned(),
    ] {
        assert!(said.stderr.contains(&part), "{part}: {said:?}");
    }
    assert!(said.stderr.find("will end in") < said.stderr.find("is good until"), "{said:?}");
    assert_eq!(home.read("lamp.old/lamp.key"), old);
    let new = home.read("lamp/lamp.key");
    assert_ne!(new, old);
    assert_eq!(format!("{:o}", home.mode("lamp.old/lamp.key")), "600");
    // The next time these are the old ones.
    let again = home.run(&["cert", "renew", "lamp", "--overlap", "60d"]);
    assert_eq!((again.status, home.read("lamp.old/lamp.key")), (Some(0), new), "{again:?}");

    // What is no earlier certificate of the lamp does not make room.
    let before = home.files();
    home.ok(&["device", "add", "other", "--role", "sensor", "--out", "etc"]);
    fs::remove_dir_all(home.path("lamp")).unwrap();
    fs::rename(home.path("etc/other"), home.path("lamp")).unwrap();
    let there = home.files();
    home.fails(&["cert", "renew", "lamp"], &["lamp exists already", "--force"]);
    fs::remove_dir_all(home.path("lamp")).unwrap();
    home.write("lamp/mine", "");
    home.fails(&["cert", "renew", "lamp"], &["lamp exists already"]);
    assert!(before.len() < there.len());
}

#[test]
fn interrupted_before_the_registry_a_renewal_in_place_is_completed_and_not_made_again() {
    let home = with_lamp(&[]);
    let registry = home.devices();
    home.ok(&["cert", "renew", "lamp"]);
    let (key, ends_after) = (home.read("lamp/lamp.key"), ends(&home).len());
    // As a kill after the folder leaves it.
    home.write("etc/devices.toml", registry);
    let again = home.run(&["cert", "renew", "lamp"]);
    assert!(again.stderr.contains("an earlier run has made the folder"), "{again:?}");
    assert_eq!((home.read("lamp/lamp.key"), ends(&home).len()), (key, ends_after));
    assert_eq!(home.json(&["cert", "list", "lamp"]).as_array().unwrap().len(), 2);
}

#[test]
fn what_is_offered_to_try_does_nothing() {
    let home = Home::new();
    home.write(
        "etc/citronella.toml",
        "version = 1\n[registry]\nfile = 'devices.toml'\n[state]\ndirectory = 'state'\n[everyone]\npublish = ['status/{device}']\n\
         [roles.controller]\npublish = ['cmd/+/#']\n[roles.house]\npublish = ['homeassistant/#']\n\
         [roles.all]\npublish = ['#']\n[roles.sensor]\npublish = ['+/{device}/#', 'sensors/{device}/#']\n\
         [roles.deep]\npublish = ['a/{device}/cmd/#', 'b/{device}/+']\n",
    );
    for (role, topic) in [
        ("controller", "test/controller1"),
        ("house", "test/house1"),
        ("all", "test/all1"),
        ("sensor", "sensors/sensor1/test"),
        ("deep", "b/deep1/test"),
    ] {
        let name = format!("{role}1");
        let said = home.ok(&["device", "add", &name, "--role", role]);
        assert!(said.ends_with(&format!(" -t {topic} -m hello\n")), "{said}");
    }
}

#[test]
fn the_same_key_needs_no_key_to_be_carried() {
    let home = with_lamp(&[]);
    let key = home.read("lamp/lamp.key");
    let told = home.ok(&["cert", "renew", "lamp", "--same-key", "--force"]);
    assert!(
        told.contains("not the key\nOn the device, beside its lamp.key, try them:\n\n  mosquitto_pub "),
        "{told}"
    );
    assert!(!home.path("lamp/lamp.key").exists());
    let public = |arguments: &[&str]| accepts(run("openssl", arguments));
    home.write("old.key", key);
    assert_eq!(
        public(&["x509", "-pubkey", "-noout", "-in", home.path("lamp/lamp.crt").to_str().unwrap()]),
        public(&["pkey", "-pubout", "-in", home.path("old.key").to_str().unwrap()]),
    );
    assert_eq!(ends(&home).len(), 2);
    // Not if others may have it.
    let serial = home.json(&["cert", "list", "lamp"])[0]["serial"].as_str().unwrap().to_owned();
    home.ok(&["cert", "revoke", &serial, "--reason", "keyCompromise"]);
    home.fails(&["cert", "renew", "lamp", "--same-key", "--force"], &["others may have it"]);
}

#[test]
fn a_request_from_the_device_renews_too() {
    let home = with_lamp(&[]);
    for (name, status) in [("lamp", 0), ("other", 2)] {
        home.shell(&format!(
            "openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-384 -nodes -keyout k -subj /CN={name} -out r.csr"
        ))
        .ok();
        let outcome = home.run(&["cert", "renew", "lamp", "--csr", "r.csr", "--force"]);
        assert_eq!(outcome.status, Some(status), "{outcome:?}");
    }
    assert_eq!(home.json(&["cert", "show", "lamp/lamp.crt"])[0]["key"], "P-384");
}

#[test]
fn where_the_registry_takes_any_certificate_that_is_said() {
    let home = with_lamp(&[]);
    home.write("etc/devices.toml", "version = 1\n[lamp]\nrole = \"sensor\"\ncertificates = \"any\"\n");
    let said = home.run(&["cert", "renew", "lamp", "--force"]);
    assert_eq!(said.status, Some(0), "{said:?}");
    assert!(said.stderr.contains("takes any certificate of lamp"), "{said:?}");
    assert!(home.devices().contains("certificates = \"any\""));
    home.ok(&["device", "add", "bare", "--no-certificate"]);
    home.fails(&["cert", "renew", "bare"], &["no certificate to renew", "cert issue"]);
    home.fails(&["cert", "renew", "nobody"], &["no device is called"]);
}

#[test]
fn killed_at_any_instant_a_renewal_is_completed_by_typing_it_again() {
    let home = with_lamp(&[]);
    let renew = ["cert", "renew", "lamp", "--out", "out", "--overlap", "7d"];
    fs::create_dir(home.path("out")).unwrap();
    let begun = std::time::Instant::now();
    home.ok(&renew);
    let whole_us = u64::try_from(begun.elapsed().as_micros()).unwrap();
    for round in 0..10 {
        fs::remove_dir_all(home.path("out/lamp")).unwrap();
        home.cmd(&renew).kill_after(whole_us * round / 9);
        let again = home.run(&renew);
        let done = again.stderr.contains("exists already");
        assert!(again.status == Some(0) || done, "round {round}: {again:?}");
        // What was handed over is what the registry takes, without an end before its own.
        let view = &home.json(&["cert", "show", "out/lamp/lamp.crt"])[0];
        let shown = home.json(&["device", "show", "lamp"]);
        let listed = shown["certificates"].as_array().unwrap();
        let found = listed.iter().find(|one| one["sha256"] == view["sha256"]).unwrap();
        assert_eq!(found["not_after"], view["not_after"], "round {round}");
        let long = |one: &&Value| one["not_after"].as_str() >= view["not_after"].as_str();
        assert_eq!(listed.iter().filter(long).count(), 1, "round {round}: {shown}");
    }
}

#[test]
fn needs_renewal_tells_by_its_status() {
    let home = with_lamp(&["--days", "20"]);
    home.ok(&["device", "add", "late", "--role", "sensor", "--days", "100"]);
    let status = |arguments: &[&str]| home.run(&[&["cert", "needs-renewal"], arguments].concat()).status;
    assert_eq!(status(&[]), Some(0));
    assert_eq!(status(&["--within", "19d"]), Some(1));
    assert_eq!(status(&["late"]), Some(1));
    assert_eq!(status(&["late", "--within", "101d"]), Some(0));
    assert_eq!(status(&["late", "lamp"]), Some(0));
    assert_eq!(status(&["lamp/lamp.crt"]), Some(0));
    assert_eq!(status(&["lamp/lamp.crt", "--within", "12h"]), Some(1));
    assert_eq!(status(&["etc/tls/broker.crt"]), Some(1));
    assert_eq!(status(&["nobody"]), Some(2));
    assert_eq!(status(&["lamp/lamp.key"]), Some(2));
    assert_eq!(status(&["--within", "soon"]), Some(2));
    // A file needs neither the authority nor its passphrase; nothing here needs the passphrase.
    let outcome = home.locked(&["cert", "needs-renewal", "--format", "json"]).run();
    let told: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let due: Vec<&Value> =
        told.as_array().unwrap().iter().filter(|one| one["needs_renewal"] == true).collect();
    assert_eq!(due.len(), 1, "{told}");
    assert_eq!(due[0]["name"], "lamp");
    // The newest counts, and a device that is gone does not.
    home.ok(&["cert", "renew", "lamp", "--force"]);
    assert_eq!(status(&[]), Some(1));
    home.ok(&["cert", "issue", "late", "--days", "5", "--force"]);
    assert_eq!(status(&["late"]), Some(1));
    let newest = home.json(&["cert", "list", "late"])[0]["serial"].as_str().unwrap().to_owned();
    home.ok(&["cert", "revoke", &newest]);
    assert_eq!(status(&[]), Some(0));
    home.ok(&["device", "retire", "late"]);
    assert_eq!(status(&[]), Some(1));
    assert_eq!(home.json(&["cert", "list", "--expiring", "6d"]).as_array().unwrap().len(), 1);
    assert_eq!(home.json(&["cert", "list", "--expiring", "100h"]), json!([]));
}

broker_test!(both_certificates_are_let_in_while_they_overlap, |kind| {
    let (site, conf) = Site::new(kind, &[]);
    let home = &site.home;
    home.ok(&["device", "add", "lamp", "--role", "sensor"]);
    for name in ["second", "third"] {
        fs::create_dir(home.path(name)).unwrap();
    }
    home.ok(&["cert", "renew", "lamp", "--out", "second"]);
    let broker = conf.start();
    let door = |folder: &str| site.door("lamp", 8883).showing(&site.credential(folder));
    for folder in ["lamp", "second/lamp"] {
        drop(Client::welcome(&door(folder), &Login::new("lamp")));
    }
    home.ok(&["cert", "renew", "lamp", "--out", "third", "--overlap", "0"]);
    // The end is a whole second, and counts as part of the life.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    broker.reload();
    for folder in ["lamp", "second/lamp"] {
        let refused = Client::unwelcome(&door(folder), &Login::new("lamp"));
        assert_eq!(refused, Refused::Connack(NOT_AUTHORIZED), "{folder}");
    }
    drop(Client::welcome(&door("third/lamp"), &Login::new("lamp")));
});
