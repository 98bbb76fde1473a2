//! `citronella cert sign`: keys that were made on the device, by openssl and by GnuTLS.

use std::{fs, path::Path};

use citronella::pki::{RequestError, SigningRequest};

use crate::{
    cli_support::Home,
    pki_support::{accepts, judged_by_gnutls, run, verify},
};

/// A registered device without a certificate.
fn with_lamp() -> Home {
    let home = Home::new();
    home.ok(&["device", "add", "lamp", "--role", "sensor", "--no-certificate"]);
    home
}

/// `openssl req -new` in the home's folder: `lamp.key` and the request in `file`.
#[track_caller]
fn request(home: &Home, key: &[&str], file: &str, more: &[&str]) {
    let path = |name: &str| home.path(name).to_str().unwrap().to_owned();
    accepts(run("openssl", &[&["genpkey", "-out", &path("lamp.key")], key].concat()));
    let new = ["req", "-new", "-key", &path("lamp.key"), "-out", &path(file)];
    accepts(run("openssl", &[&new, more].concat()));
}

const P256: [&str; 4] = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
const LAMP: [&str; 2] = ["-subj", "/CN=lamp"];

#[test]
fn every_good_key_is_certified_as_it_is() {
    let curve = |name: &'static str| vec!["-algorithm", "EC", "-pkeyopt", name];
    let rsa = |bits: &'static str| vec!["-algorithm", "RSA", "-pkeyopt", bits];
    for (key, digest) in [
        (curve("ec_paramgen_curve:P-256"), "-sha256"),
        // Some builders of certificates take such a key for one on P-384.
        (curve("ec_paramgen_curve:P-256"), "-sha384"),
        (curve("ec_paramgen_curve:P-384"), "-sha256"),
        (curve("ec_paramgen_curve:P-384"), "-sha384"),
        (curve("ec_paramgen_curve:P-521"), "-sha512"),
        (curve("ec_paramgen_curve:P-521"), "-sha256"),
        (rsa("rsa_keygen_bits:2048"), "-sha256"),
        (rsa("rsa_keygen_bits:3072"), "-sha512"),
        (vec!["-algorithm", "ED25519"], "-sha256"),
    ] {
        let home = with_lamp();
        request(&home, &key, "lamp.csr", &[&LAMP[..], &[digest]].concat());
        home.ok(&["cert", "sign", "lamp.csr"]);
        let (ca, chain) = (home.path("etc/tls/ca.crt"), home.path("lamp/lamp.crt"));
        accepts(verify(&ca, &chain, &["-purpose", "sslclient"]));
        accepts(judged_by_gnutls(&ca, &chain, "1.3.6.1.5.5.7.3.2"));
        let public = |arguments: &[&str]| accepts(run("openssl", arguments));
        assert_eq!(
            public(&["x509", "-pubkey", "-noout", "-in", chain.to_str().unwrap()]),
            public(&["pkey", "-pubout", "-in", home.path("lamp.key").to_str().unwrap()]),
            "{key:?} {digest}"
        );
        let shown = home.json(&["device", "show", "lamp"]);
        let listed = home.json(&["cert", "list", "lamp"]);
        assert_eq!(shown["certificates"][0]["sha256"], listed[0]["sha256"], "{key:?}");
    }
}

#[test]
fn the_folder_has_everything_but_the_key() {
    let home = with_lamp();
    request(&home, &P256, "lamp.csr", &LAMP);
    home.ok(&["cert", "sign", "lamp.csr"]);
    let mut names: Vec<_> = fs::read_dir(home.path("lamp"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["ca.crt", "connect.txt", "lamp.crt"]);
    assert!(home.read("lamp/connect.txt").contains("call it lamp.key"));
    home.fails(&["cert", "sign", "lamp.csr"], &["lamp exists already"]);
    // The same key again: it is the device's.
    home.ok(&["cert", "sign", "lamp.csr", "--force"]);
    assert_eq!(home.json(&["device", "show", "lamp"])["certificates"].as_array().unwrap().len(), 2);
}

#[test]
fn der_and_standard_input_are_read_too() {
    let home = with_lamp();
    request(&home, &P256, "lamp.der", &[&LAMP[..], &["-outform", "DER"]].concat());
    home.ok(&["cert", "sign", "lamp.der"]);
    let der = fs::read(home.path("lamp.der")).unwrap();
    home.cmd(&["cert", "sign", "-", "--force"]).stdin(der).ok();
    // With the text that openssl prints before it, and line ends of Windows.
    request(&home, &P256, "text.csr", &[&LAMP[..], &["-text"]].concat());
    let text = home.read("text.csr").replace('\n', "\r\n");
    home.cmd(&["cert", "sign", "-", "--force"]).stdin(text).ok();
}

#[test]
fn nothing_is_taken_but_the_key_and_the_name() {
    let home = with_lamp();
    let wishes = [
        "-subj",
        "/C=IT/O=Other/CN=lamp",
        "-addext",
        "basicConstraints=critical,CA:TRUE",
        "-addext",
        "keyUsage=keyCertSign",
        "-addext",
        "extendedKeyUsage=serverAuth",
        "-addext",
        "subjectAltName=DNS:broker.lan,URI:spiffe://citronella/device/other",
    ];
    request(&home, &P256, "lamp.csr", &wishes);
    let outcome = home.run(&["cert", "sign", "lamp.csr"]);
    assert_eq!(outcome.status, Some(0), "{outcome:?}");
    for said in ["to be an authority", "keyCertSign", "serverAuth", "DNS:broker.lan", "O=Other"] {
        assert!(outcome.stderr.contains(said), "{said}: {outcome:?}");
    }
    let view = &home.json(&["cert", "show", "lamp/lamp.crt"])[0];
    assert_eq!(view["is_ca"], false);
    assert_eq!(view["subject"], "O=Citronella, CN=lamp");
    assert_eq!(view["key_usage"], serde_json::json!(["digitalSignature"]));
    assert_eq!(view["extended_key_usage"], serde_json::json!(["clientAuth"]));
    assert_eq!(view["alternative_names"], serde_json::json!(["URI:spiffe://citronella/device/lamp"]));
}

/// What is refused leaves neither ledger nor registry changed.
#[track_caller]
fn refused(home: &Home, arguments: &[&str], says: &[&str]) {
    let before = (home.read("etc/pki/ledger"), home.devices());
    home.fails(&[&["cert", "sign"], arguments].concat(), says);
    assert_eq!((home.read("etc/pki/ledger"), home.devices()), before);
    assert!(!home.path("lamp").exists());
}

#[test]
fn weak_keys_are_refused_with_the_reason() {
    let home = with_lamp();
    for (key, says) in [
        (&["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"][..], "1024 bits"),
        (
            &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-pkeyopt", "rsa_keygen_pubexp:3"],
            "exponent",
        ),
        (&["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:secp256k1"], "curve 1.3.132.0.10"),
        (&["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:brainpoolP256r1"], "curve 1.3.36"),
        (
            &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-pkeyopt", "ec_param_enc:explicit"],
            "curve of its own parameters",
        ),
        (&["-algorithm", "ED448"], "1.3.101.113"),
        (&["-algorithm", "RSA-PSS", "-pkeyopt", "rsa_keygen_bits:2048"], "1.2.840.113549.1.1.10"),
    ] {
        request(&home, key, "lamp.csr", &LAMP);
        refused(&home, &["lamp.csr"], &[says]);
    }
    request(&home, &P256, "lamp.csr", &[&LAMP[..], &["-sha1"]].concat());
    refused(&home, &["lamp.csr"], &["sign with SHA-256"]);
    request(
        &home,
        &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
        "lamp.csr",
        &[&LAMP[..], &["-sigopt", "rsa_padding_mode:pss"]].concat(),
    );
    refused(&home, &["lamp.csr"], &["rsassaPss", "sign with SHA-256"]);
}

#[test]
fn a_request_that_its_key_did_not_sign_is_refused() {
    for (key, name) in [(&P256[..], "P-256"), (&["-algorithm", "ED25519"], "Ed25519")] {
        let home = with_lamp();
        request(&home, key, "lamp.csr", &[&LAMP[..], &["-outform", "DER"]].concat());
        let whole = fs::read(home.path("lamp.csr")).unwrap();
        // Every bit of it, one at a time: nothing bent is taken.
        let mut wrong = 0;
        for at in 0..whole.len() * 8 {
            let mut bent = whole.clone();
            bent[at / 8] ^= 1 << (at % 8);
            let error = SigningRequest::read(&bent).err().unwrap_or_else(|| panic!("{name}: bit {at}"));
            wrong += usize::from(matches!(error, RequestError::Signature(_)));
            if at % 200 == 0 {
                home.write("bent.csr", &bent);
                refused(&home, &["bent.csr"], &["signing request"]);
            }
        }
        assert!(wrong > 500, "{name}: {wrong}");
    }
}

#[test]
fn the_name_must_be_a_registered_devices_and_the_one_that_was_asked_for() {
    let home = with_lamp();
    home.ok(&["device", "add", "other", "--role", "sensor", "--no-certificate"]);
    request(&home, &P256, "nobody.csr", &["-subj", "/CN=nobody"]);
    refused(&home, &["nobody.csr"], &["no device is called `nobody`", "device add --no-certificate nobody"]);
    request(&home, &P256, "none.csr", &["-subj", "/O=x"]);
    refused(&home, &["none.csr"], &["no common name", "--device"]);
    request(&home, &P256, "two.csr", &["-subj", "/CN=lamp/CN=other"]);
    refused(&home, &["two.csr"], &["several common names"]);
    request(&home, &P256, "lamp.csr", &LAMP);
    refused(&home, &["lamp.csr", "--device", "other"], &["for `lamp`, not for `other`"]);
    home.ok(&["cert", "sign", "none.csr", "--device", "lamp"]);
    home.ok(&["device", "retire", "other"]);
    request(&home, &P256, "other.csr", &["-subj", "/CN=other"]);
    home.fails(&["cert", "sign", "other.csr"], &["retired"]);
}

#[test]
fn a_key_is_one_devices_alone() {
    let home = with_lamp();
    home.ok(&["device", "add", "other", "--role", "sensor", "--no-certificate"]);
    request(&home, &P256, "lamp.csr", &LAMP);
    let again = |file: &str, name: &str| {
        let key = home.path("lamp.key");
        let subject = format!("/CN={name}");
        let out = home.path(file);
        let arguments =
            ["req", "-new", "-key", key.to_str().unwrap(), "-subj", &subject, "-out", out.to_str().unwrap()];
        accepts(run("openssl", &arguments));
    };
    again("other.csr", "other");
    home.ok(&["cert", "sign", "lamp.csr"]);
    home.fails(&["cert", "sign", "other.csr"], &["is that of `lamp`", "a key of its own"]);
    assert!(!home.path("other").exists());
    home.ok(&["cert", "revoke", "lamp", "--reason", "keyCompromise"]);
    home.fails(&["cert", "sign", "lamp.csr", "--force"], &["others may have it", "make a new key"]);
    // The authority's own.
    let key = home.path("etc/pki/ca.key");
    let arguments = ["-passin", &format!("pass:{}", crate::cli_support::CA_PASSPHRASE)];
    let csr = home.path("ca.csr");
    let new =
        ["req", "-new", "-key", key.to_str().unwrap(), "-subj", "/CN=lamp", "-out", csr.to_str().unwrap()];
    accepts(run("openssl", &[&new[..], &arguments].concat()));
    home.fails(&["cert", "sign", "ca.csr", "--force"], &["the authority's own"]);
}

#[test]
fn what_is_no_request_is_refused_in_one_line() {
    let home = with_lamp();
    request(&home, &P256, "lamp.csr", &LAMP);
    let good = home.read("lamp.csr");
    home.write("twice.csr", format!("{good}{good}"));
    home.write("torn.csr", &good[..good.len() / 2]);
    home.write("empty.csr", "");
    home.write("words.csr", "sign me\n");
    home.write("deep.csr", [0x30, 0x80].repeat(50_000));
    home.write("long.csr", [0x30, 0x84, 0xff, 0xff, 0xff, 0xff]);
    home.write("huge.csr", "-----BEGIN CERTIFICATE REQUEST-----\n".to_owned() + &"A".repeat(10 << 20));
    home.write("trailing.csr", [fs::read(home.path("lamp.csr")).unwrap(), vec![0; 9]].concat());
    for (file, says) in [
        ("twice.csr", "several signing requests"),
        ("torn.csr", "damaged"),
        ("empty.csr", "no signing request"),
        ("words.csr", "no signing request"),
        ("deep.csr", "no signing request"),
        ("long.csr", "no signing request"),
        ("huge.csr", "larger than any"),
        ("lamp.key", "private key, which should stay on the device"),
        ("etc/tls/ca.crt", "`CERTIFICATE`, not a signing request"),
        ("gone.csr", "gone.csr"),
    ] {
        refused(&home, &[file], &[says]);
    }
    assert!(Path::new(&home.path("lamp.csr")).exists());
}
