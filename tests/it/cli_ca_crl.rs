//! `citronella ca crl`: lists that foreign judges and real brokers go by.

use std::{fs, path::Path};

use citronella::pki::crl;
use jiff::{SignedDuration, Timestamp};

use crate::{
    cli_site::Site,
    cli_support::Home,
    pki_support::{accepts, refuses, run, verify},
    support::{Client, Login, Refused},
};

fn with_two(more: &[&str]) -> Home {
    let home = Home::empty();
    home.cmd(&[&["ca", "init"], more].concat()).env("CITRONELLA_ROOT_PASSPHRASE", "marker-root-77").ok();
    home.init(&[]).ok();
    for name in ["lamp", "lost"] {
        home.ok(&["device", "add", name, "--role", "sensor"]);
    }
    home
}

fn check(home: &Home, name: &str) -> (bool, String) {
    let path = |name: &str| home.path(name).to_str().unwrap().to_owned();
    let (list, chain) = (path("etc/tls/crl.pem"), path(&format!("{name}/{name}.crt")));
    verify(
        &home.path("etc/tls/ca.crt"),
        Path::new(&chain),
        &["-crl_check", "-CRLfile", &list, "-purpose", "sslclient"],
    )
}

#[test]
fn openssl_gnutls_and_java_go_by_it_whatever_signs() {
    for more in [&[][..], &["--issuing"], &["--key", "rsa2048"], &["--key", "ed25519"], &["--key", "p384"]] {
        let home = with_two(more);
        home.ok(&["ca", "crl"]);
        accepts(check(&home, "lost"));
        home.ok(&["cert", "revoke", "lost", "--reason", "keyCompromise"]);
        accepts(check(&home, "lamp"));
        refuses(check(&home, "lost"), "certificate revoked");
        let list = home.path("etc/tls/crl.pem");
        let (list, ca) = (list.to_str().unwrap(), home.path("etc/pki/ca.crt"));
        let text = accepts(run("openssl", &["crl", "-in", list, "-noout", "-text"]));
        for part in ["Version 2", "Key Compromise", "X509v3 Authority Key Identifier", "X509v3 CRL Number"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let said = accepts(run(
            "certtool",
            &["--verify-crl", "--load-ca-certificate", ca.to_str().unwrap(), "--infile", list],
        ));
        assert!(said.contains("Verified"), "{said}");
        accepts(run("keytool", &["-printcrl", "-file", list]));
        assert_eq!(home.mode("etc/tls/crl.pem"), 0o640);
    }
}

#[test]
fn it_is_good_as_long_as_was_asked_and_its_numbers_rise() {
    let home = with_two(&[]);
    let view = || crl::views(home.read("etc/tls/crl.pem").as_bytes()).unwrap().remove(0);
    let end = |text: &Option<String>| text.as_ref().unwrap().parse::<Timestamp>().unwrap();
    home.ok(&["ca", "crl"]);
    let authority: Timestamp =
        home.json(&["ca", "show"])["certificate"]["not_after"].as_str().unwrap().parse().unwrap();
    assert_eq!((end(&view().next_update), view().number.as_deref()), (authority, Some("1")));
    home.ok(&["ca", "crl", "--valid", "7d"]);
    // Renewed by a revocation it is good for as long again.
    home.ok(&["cert", "revoke", "lost"]);
    let week = Timestamp::now() + SignedDuration::from_hours(7 * 24);
    assert!(week.duration_since(end(&view().next_update)).abs() < SignedDuration::from_mins(5));
    assert_eq!((view().number.as_deref(), view().revoked.len()), (Some("3"), 1));
    assert_eq!(view().revoked[0].reason, None);
    home.fails(&["ca", "crl", "--valid", "0d"], &["lock everybody out"]);
    home.fails(&["ca", "crl", "--out", "no/such/crl.pem"], &["there is no folder"]);
    home.ok(&["ca", "crl", "--out", "copy.pem"]);
    assert_eq!(crl::views(home.read("copy.pem").as_bytes()).unwrap().len(), 1);
}

#[test]
fn without_the_passphrase_everything_but_the_list_is_done_and_told() {
    let home = with_two(&[]);
    home.ok(&["ca", "crl"]);
    let before = home.read("etc/tls/crl.pem");
    let outcome = home.locked(&["cert", "revoke", "lost"]).run();
    assert_eq!(outcome.status, Some(1), "{outcome:?}");
    assert!(
        outcome.stderr.contains("does not have it yet") && outcome.stderr.contains("ca crl"),
        "{outcome:?}"
    );
    assert_eq!(home.read("etc/tls/crl.pem"), before);
    assert_eq!(home.json(&["cert", "list", "lost"])[0]["state"], "revoked");
    home.ok(&["ca", "crl"]);
    refuses(check(&home, "lost"), "certificate revoked");
    // Without a list nobody asks for a passphrase.
    fs::remove_file(home.path("etc/tls/crl.pem")).unwrap();
    assert_eq!(home.locked(&["cert", "revoke", "lamp"]).run().status, Some(0));
    assert!(!home.path("etc/tls/crl.pem").exists());
}

#[test]
fn after_a_roll_over_each_authority_has_its_list() {
    let home = with_two(&[]);
    home.ok(&["ca", "rollover"]);
    home.ok(&["device", "add", "new", "--role", "sensor"]);
    home.ok(&["ca", "crl"]);
    for name in ["lamp", "lost", "new"] {
        accepts(check(&home, name));
    }
    home.ok(&["cert", "revoke", "lost", "new"]);
    accepts(check(&home, "lamp"));
    for name in ["lost", "new"] {
        refuses(check(&home, name), "certificate revoked");
    }
    let views = crl::views(home.read("etc/tls/crl.pem").as_bytes()).unwrap();
    assert_eq!(views.iter().map(|view| view.revoked.len()).collect::<Vec<_>>(), [1, 1]);
}

#[test]
fn killed_at_any_instant_there_is_a_whole_list() {
    let home = with_two(&[]);
    let begun = std::time::Instant::now();
    home.ok(&["ca", "crl"]);
    let whole_us = u64::try_from(begun.elapsed().as_micros()).unwrap();
    let mut last = 0_u64;
    for round in 0..12 {
        home.cmd(&["ca", "crl"]).kill_after(whole_us * round / 11);
        let view = crl::views(home.read("etc/tls/crl.pem").as_bytes()).unwrap().remove(0);
        let number: u64 = view.number.unwrap().parse().unwrap();
        assert!(number >= last, "{number} after {last}");
        last = number;
        accepts(check(&home, "lamp"));
    }
    home.ok(&["ca", "crl"]);
    let litter = fs::read_dir(home.path("etc/tls")).unwrap().filter(|entry| {
        let name = entry.as_ref().unwrap().file_name().into_string().unwrap();
        name.starts_with('.') && name != ".citronella.lock"
    });
    assert_eq!(litter.count(), 0);
}

broker_test!(a_broker_with_crlfile_goes_by_it, |kind| {
    let (site, conf) = Site::bare(kind);
    let home = &site.home;
    home.cmd(&["ca", "init", "--issuing"]).env("CITRONELLA_ROOT_PASSPHRASE", "marker-root-77").ok();
    site.init(&[]);
    for name in ["lamp", "lost"] {
        home.ok(&["device", "add", name, "--role", "sensor"]);
    }
    home.ok(&["ca", "crl"]);
    let text = fs::read_to_string(site.lines()).unwrap();
    fs::write(site.lines(), format!("{text}crlfile {}\n", home.path("etc/tls/crl.pem").display())).unwrap();
    let broker = conf.start();
    for name in ["lamp", "lost"] {
        drop(Client::welcome(&site.own_door(name), &Login::new(name)));
    }
    // By the list alone: the registry still has it.
    let devices = home.devices();
    home.ok(&["cert", "revoke", "lost"]);
    home.write("etc/devices.toml", devices);
    broker.reload();
    drop(Client::welcome(&site.own_door("lamp"), &Login::new("lamp")));
    let refused = Client::unwelcome(&site.own_door("lost"), &Login::new("lost"));
    assert!(matches!(&refused, Refused::Below(why) if why.contains("CertificateRevoked")), "{refused:?}");
});
