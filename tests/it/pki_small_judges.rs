//! Judges that small boards bring along, each in a program of a page: mbedTLS, which is that of the ESP32, and wolfSSL.

use std::{
    path::{Path, PathBuf},
    sync::OnceLock,
};

use citronella::pki::KeyKind;

use crate::{
    cli_site::Site,
    pki_foreign_judges::{Fleet, KINDS, text},
    pki_support::{House, accepts, refuses, run},
    support::compiled,
};

fn mbedtls(words: &[&str]) -> (bool, String) {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    let libraries = ["-lmbedtls", "-lmbedx509", "-lmbedcrypto"];
    run(text(PROGRAM.get_or_init(|| compiled("mbedtls.c", "mbedtls", &libraries))), words)
}

fn wolfssl(words: &[&str]) -> (bool, String) {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    run(text(PROGRAM.get_or_init(|| compiled("wolfssl.c", "wolfssl", &["-lwolfssl"]))), words)
}

#[test]
fn mbedtls_goes_by_chain_name_purpose_and_the_revocation_list() {
    for (authority, leaf) in KINDS {
        let (fleet, other) = (Fleet::new(authority, leaf), House::new(authority));
        let (ca, list) = (fleet.house.ca(), fleet.path("crl.pem"));
        let judged = |path: &Path, purpose: &str, more: &[&str]| {
            mbedtls(&[&["verify", text(&ca), text(path), purpose], more].concat())
        };
        for more in [&[][..], &[text(&list)]] {
            accepts(judged(&fleet.broker, "broker.lan", more));
            accepts(judged(&fleet.lamp, "client", more));
        }
        refuses(judged(&fleet.broker, "other.lan", &[]), "does not match with the expected CN");
        refuses(judged(&fleet.broker, "client", &[]), "does not match the extendedKeyUsage");
        refuses(judged(&fleet.lamp, "broker.lan", &[]), "does not match with the expected CN");
        accepts(judged(&fleet.lost, "client", &[]));
        refuses(judged(&fleet.lost, "client", &[text(&list)]), "revoked");
        let stranger = mbedtls(&["verify", text(&other.ca()), text(&fleet.lamp), "client"]);
        refuses(stranger, "not correctly signed by the trusted CA");
    }
}

#[test]
fn wolfssl_goes_by_the_chain_and_the_revocation_list() {
    for (authority, leaf) in KINDS.into_iter().chain([(KeyKind::Ed25519, KeyKind::Ed25519)]) {
        let (fleet, other) = (Fleet::new(authority, leaf), House::new(authority));
        let (ca, list) = (fleet.house.ca(), fleet.path("crl.pem"));
        for path in [&fleet.broker, &fleet.lamp] {
            accepts(wolfssl(&[text(&ca), text(path)]));
            accepts(wolfssl(&[text(&ca), text(path), text(&list)]));
            refuses(wolfssl(&[text(&other.ca()), text(path)]), "refused");
        }
        accepts(wolfssl(&[text(&ca), text(&fleet.lost)]));
        refuses(wolfssl(&[text(&ca), text(&fleet.lost), text(&list)]), "revoked");
    }
}

broker_test!(a_board_with_mbedtls_comes_in_with_what_it_was_given, |kind| {
    let (site, conf) = Site::new(kind, &[]);
    for (name, key) in [("lamp", "p256"), ("old", "rsa2048"), ("big", "p384")] {
        site.home.ok(&["device", "add", name, "--role", "sensor", "--key", key]);
    }
    let broker = conf.start();
    let connects = |name: &str, ca: &Path| {
        let own = site.credential(name);
        let files = [text(ca), text(&own.certificate), text(&own.key)];
        mbedtls(&[&["connect", &site.address, "8883"], &files[..], &[name]].concat())
    };
    for name in ["lamp", "old", "big"] {
        let said = accepts(connects(name, &site.home.path(&format!("{name}/ca.crt"))));
        assert!(said.contains("CONNACK 0"), "{said}");
    }
    let other = House::new(KeyKind::P256);
    refuses(connects("lamp", &other.ca()), "not correctly signed by the trusted CA");
    site.home.ok(&["device", "disable", "lamp"]);
    broker.settle();
    refuses(connects("lamp", &site.home.path("lamp/ca.crt")), "CONNACK 5");
});
