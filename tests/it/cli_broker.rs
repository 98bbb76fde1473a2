//! `citronella broker`: its certificate, put in place in one step, and the old one when that fails.

use std::fs;

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    cli_site::Site,
    cli_support::Home,
    pki_support::{accepts, judged_by_gnutls, run, verify},
    support::{Client, Login, Outcome, wait_for},
};

/// The key belongs to the certificate, and others accept it under this name.
#[track_caller]
fn assert_whole(home: &Home, name: &str) {
    let path = |name: &str| home.path(name).to_str().unwrap().to_owned();
    let public = |arguments: &[&str]| accepts(run("openssl", arguments));
    assert_eq!(
        public(&["pkey", "-pubout", "-in", &path("etc/tls/broker.key")]),
        public(&["x509", "-pubkey", "-noout", "-in", &path("etc/tls/broker.crt")])
    );
    let (ca, broker) = (home.path("etc/tls/ca.crt"), home.path("etc/tls/broker.crt"));
    accepts(verify(&ca, &broker, &["-purpose", "sslserver", "-verify_hostname", name]));
    accepts(judged_by_gnutls(&ca, &broker, "1.3.6.1.5.5.7.3.1"));
}

fn with_broker() -> Home {
    let home = Home::empty();
    home.init(&["--name", "gw.lan", "--address", "192.0.2.7", "--key", "rsa2048", "--subject", "O=Rossi"])
        .ok();
    home
}

#[test]
fn renewed_it_is_for_the_same_names_with_the_same_kind_of_key() {
    let home = with_broker();
    home.write("etc/tls/mine.txt", "kept");
    let before = home.json(&["cert", "show", "etc/tls/broker.crt"]);
    let done = home.json(&["broker", "renew"]);
    let after = home.json(&["cert", "show", "etc/tls/broker.crt"]);
    assert_eq!(after[0]["sha256"], done["sha256"]);
    assert_ne!(after[0]["sha256"], before[0]["sha256"]);
    assert_ne!(after[0]["public_sha256"], before[0]["public_sha256"]);
    for same in ["alternative_names", "key", "subject"] {
        assert_eq!(after[0][same], before[0][same]);
    }
    assert_whole(&home, "gw.lan");
    for (name, mode) in [
        ("", 0o750),
        ("/broker.key", 0o640),
        ("/broker.crt", 0o644),
        ("/ca.crt", 0o644),
        ("/mine.txt", 0o640),
    ] {
        assert_eq!(home.mode(&format!("etc/tls{name}")), mode, "{name}");
    }
    assert_eq!(home.read("etc/tls/mine.txt"), "kept");
    assert_eq!((&done["reloaded"], &done["restart"]), (&false.into(), &false.into()), "{done}");
    // Others are for whoever asks for them.
    home.ok(&["broker", "issue", "--name", "other.lan"]);
    assert_whole(&home, "other.lan");
    home.ok(&["broker", "issue"]);
    assert_whole(&home, "localhost");
    assert_eq!(
        home.json(&["cert", "list"]).as_array().unwrap().iter().filter(|one| one["kind"] == "broker").count(),
        4
    );
}

#[test]
fn what_cannot_be_is_told_and_nothing_changes() {
    let home = with_broker();
    let before = home.files();
    home.fails(&["broker", "issue", "--name", "*.lan"], &["wildcard"]);
    home.fails(&["broker", "issue", "--name", "a b"], &["neither a DNS name"]);
    home.fails(&["broker", "renew", "--days", "0"], &["0 days"]);
    let wrong = home.cmd(&["broker", "renew"]).env("CITRONELLA_CA_PASSPHRASE", "wrong").run();
    assert!(wrong.status == Some(2) && wrong.stderr.contains("does not open"), "{wrong:?}");
    assert!(home.files() == before, "something changed");
    fs::create_dir(home.path("etc/tls/folder")).unwrap();
    home.fails(&["broker", "renew"], &["would be lost"]);
    assert_whole(&home, "gw.lan");
    fs::remove_dir(home.path("etc/tls/folder")).unwrap();
    fs::remove_file(home.path("etc/tls/broker.crt")).unwrap();
    home.fails(&["broker", "renew"], &["broker.crt", "broker issue"]);
    home.ok(&["broker", "issue", "--name", "gw.lan"]);
    assert_whole(&home, "gw.lan");
}

#[test]
fn a_new_authority_asks_for_a_restart() {
    let home = with_broker();
    home.ok(&["ca", "rollover"]);
    // The roll-over put both in place; renewing changes nothing of that.
    assert_eq!(home.json(&["broker", "renew"])["restart"], false);
    home.ok(&["device", "add", "lamp"]);
    accepts(verify(&home.path("lamp/ca.crt"), &home.path("etc/tls/broker.crt"), &["-purpose", "sslserver"]));
    home.write("etc/tls/ca.crt", home.read("etc/pki/ca.crt"));
    assert_eq!(home.json(&["broker", "renew"])["restart"], true);
}

#[test]
fn killed_at_any_instant_the_pair_fits() {
    let home = with_broker();
    let begun = std::time::Instant::now();
    home.ok(&["broker", "renew"]);
    let whole_us = u64::try_from(begun.elapsed().as_micros()).unwrap();
    for round in 0..16 {
        home.cmd(&["broker", "renew"]).kill_after(whole_us * round / 14);
        assert_whole(&home, "gw.lan");
    }
    home.ok(&["broker", "renew"]);
    let litter: Vec<_> = fs::read_dir(home.path("etc"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with('.') && name != ".citronella.lock")
        .collect();
    assert!(litter.is_empty(), "{litter:?}");
}

broker_test!(a_running_broker_shows_the_new_one_or_the_old_one_comes_back, |kind| {
    let (site, conf) = Site::new(kind, &[]);
    let home = &site.home;
    home.ok(&["device", "add", "lamp", "--role", "sensor"]);
    let broker = conf.start();
    let door = site.own_door("lamp");
    drop(Client::welcome(&door, &Login::new("lamp")));
    let (tell, place) = (format!("kill -HUP {}", broker.pid()), site.place(8883).to_string());
    let renew = ["broker", "renew", "--probe", &place, "--reload-command"];
    let done = home.json(&[&renew[..], &[&tell]].concat());
    assert_eq!((&done["reloaded"], &done["seen"]), (&true.into(), &true.into()), "{done}");
    drop(Client::welcome(&door, &Login::new("lamp")));
    // One that is told nothing goes on with the old one, which then is in its place again.
    let before = home.files();
    home.fails(
        &[&renew[..], &["true"]].concat(),
        &["did not come up", "shows another certificate", "back in place"],
    );
    let tls = |files: Vec<(String, Vec<u8>)>| {
        files.into_iter().filter(|(name, _)| name.starts_with("etc/tls/")).collect::<Vec<_>>()
    };
    assert!(tls(home.files()) == tls(before.clone()), "not the old ones");
    // The same for whoever waits no longer.
    let renewing = home.cmd(&[&renew[..], &["touch told"]].concat()).attended().spawn();
    assert!(wait_for(|| home.path("told").exists().then_some(())).is_some());
    kill_process(Pid::from_child(&renewing), Signal::INT).unwrap();
    let stopped = Outcome::of(renewing);
    assert_eq!((stopped.status, &*stopped.stdout), (Some(2), ""), "{stopped:?}");
    assert!(
        stopped.stderr.contains("stopped by SIGINT") && stopped.stderr.contains("back in place"),
        "{stopped:?}"
    );
    assert!(tls(home.files()) == tls(before), "not the old ones");
    broker.reload();
    drop(Client::welcome(&door, &Login::new("lamp")));
});
