//! `citronella cert verify`: refused with the reason, and openssl refuses it too.

use std::fs;

use serde_json::Value;

use crate::{
    cli_support::Home,
    pki_support::{accepts, run, verify},
};

fn with_lamp() -> Home {
    let home = Home::empty();
    home.init(&["--name", "gw.lan", "--address", "192.0.2.7"]).ok();
    home.ok(&["device", "add", "lamp", "--role", "sensor"]);
    home
}

/// The codes of what is wrong.
#[track_caller]
fn faults(home: &Home, arguments: &[&str]) -> Vec<String> {
    let all = [&["cert", "verify"], arguments].concat();
    let told = home.json(&all);
    let codes: Vec<String> = told["faults"]
        .as_array()
        .unwrap()
        .iter()
        .map(|fault| fault["code"].as_str().unwrap().to_owned())
        .collect();
    let status = home.run(&all).status;
    assert_eq!(
        (status, &told["accepted"]),
        if codes.is_empty() { (Some(0), &Value::Bool(true)) } else { (Some(1), &Value::Bool(false)) }
    );
    codes
}

const BROKER: &str = "etc/tls/broker.crt";
const LAMP: &str = "lamp/lamp.crt";

#[test]
fn what_is_ours_is_accepted_for_what_it_is() {
    let home = with_lamp();
    for arguments in [
        &[BROKER, "--name", "gw.lan"][..],
        &[BROKER, "--name", "GW.lan."],
        &[BROKER, "--name", "192.0.2.7"],
        &[BROKER],
        &[LAMP, "--purpose", "device"],
        &[LAMP, "--ca", "lamp/ca.crt"],
        &["etc/tls/ca.crt"],
    ] {
        assert_eq!(faults(&home, arguments), [""; 0], "{arguments:?}");
    }
    for (arguments, code) in [
        (&[BROKER, "--name", "other.lan"][..], "name"),
        (&[BROKER, "--name", "192.0.2.8"], "name"),
        (&[BROKER, "--purpose", "device"], "purpose"),
        (&[LAMP, "--purpose", "broker"], "purpose"),
        (&[BROKER, "--at", "2020-01-01"], "not-yet-valid"),
        (&[BROKER, "--at", "2031-01-01"], "expired"),
        (&[LAMP, "--ca", BROKER], "unknown-issuer"),
    ] {
        assert!(faults(&home, arguments).iter().any(|found| found == code), "{arguments:?} is not {code}");
    }
    let said = home.run(&["cert", "verify", BROKER, "--name", "other.lan"]);
    assert!(
        said.stdout.contains("DNS:gw.lan, IP:192.0.2.7") && said.stdout.ends_with("refused\n"),
        "{said:?}"
    );
}

#[test]
fn an_authority_made_anew_is_told_from_an_unknown_one() {
    let (home, other) = (with_lamp(), with_lamp());
    let theirs = other.path(LAMP);
    assert_eq!(faults(&home, &[theirs.to_str().unwrap()]), ["bad-signature"]);
    let script = "set -e; exec 2>&1
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout s.key -out self.crt -subj /CN=gw.lan -addext subjectAltName=DNS:gw.lan
        openssl req -newkey rsa:1024 -nodes -keyout w.key -out w.csr -subj /CN=weak
        openssl req -newkey rsa:2048 -nodes -keyout l.key -out l.csr -subj /CN=leaf
        openssl pkey -in etc/pki/ca.key -passin env:CITRONELLA_CA_PASSPHRASE -out ca.plain
        openssl x509 -req -in w.csr -CA etc/pki/ca.crt -CAkey ca.plain -out v1.crt -days 30
        printf 'basicConstraints=critical,CA:FALSE\\n' > ext
        openssl x509 -req -in l.csr -CA etc/pki/ca.crt -CAkey ca.plain -sha1 -extfile ext -out sha1.crt -days 30
        openssl x509 -req -in l.csr -CA lamp/lamp.crt -CAkey lamp/lamp.key -extfile ext -out below.crt -days 30
        cat below.crt lamp/lamp.crt > below.pem";
    home.shell(script).env("CITRONELLA_CA_PASSPHRASE", crate::cli_support::CA_PASSPHRASE).ok();
    assert_eq!(faults(&home, &["self.crt", "--name", "gw.lan"]), ["self-signed"]);
    assert_eq!(faults(&home, &["v1.crt", "--name", "gw.lan"]), ["no-names", "version", "weak-key"]);
    assert_eq!(faults(&home, &["sha1.crt"]), ["weak-signature"]);
    // A device that issues: what openssl refuses too.
    assert_eq!(faults(&home, &["below.pem"]), ["no-authority", "no-cert-sign", "path-length"]);
    let (ca, below) = (home.path("etc/tls/ca.crt"), home.path("below.pem"));
    assert!(!verify(&ca, &below, &["-untrusted", below.to_str().unwrap()]).0);
}

#[test]
fn it_goes_by_the_revocation_list_as_a_broker_does() {
    let home = with_lamp();
    home.ok(&["ca", "crl", "--valid", "7d"]);
    let ask = |more: &[&str]| faults(&home, &[&[LAMP, "--crl", "etc/tls/crl.pem"], more].concat());
    assert_eq!(ask(&[]), [""; 0]);
    let later = (jiff::Timestamp::now() + jiff::SignedDuration::from_hours(8 * 24)).to_string();
    assert_eq!(ask(&["--at", &later]), ["crl-expired"]);
    home.ok(&["cert", "revoke", "lamp"]);
    assert_eq!(ask(&[]), ["revoked"]);
    let other = with_lamp();
    other.ok(&["ca", "crl"]);
    home.write("other.pem", other.read("etc/tls/crl.pem"));
    assert_eq!(faults(&home, &[LAMP, "--crl", "other.pem"]), ["crl-missing"]);
}

#[test]
fn a_chain_below_a_root_is_followed() {
    let home = Home::empty();
    home.cmd(&["ca", "init", "--issuing"]).env("CITRONELLA_ROOT_PASSPHRASE", "marker-root-77").ok();
    home.init(&["--name", "gw.lan"]).ok();
    assert_eq!(faults(&home, &[BROKER, "--name", "gw.lan", "--ca", "etc/pki/root.crt"]), [""; 0]);
    let chain = home.read(BROKER);
    let end = chain.find("-----END CERTIFICATE-----").unwrap() + 26;
    home.write("leaf.crt", &chain[..end]);
    assert_eq!(faults(&home, &["leaf.crt", "--ca", "etc/pki/root.crt"]), ["unknown-issuer"]);
    assert_eq!(faults(&home, &["leaf.crt", "--ca", "etc/tls/ca.crt"]), [""; 0]);
    let root = home.path("etc/pki/root.crt");
    accepts(verify(&root, &home.path(BROKER), &["-untrusted", home.path(BROKER).to_str().unwrap()]));
    assert!(!verify(&root, &home.path("leaf.crt"), &[]).0);
}

#[test]
fn hostile_files_are_refused_and_nothing_ends() {
    let home = with_lamp();
    let good = home.read(LAMP);
    home.write("huge.pem", format!("{good}{}", "x".repeat(10 << 20)));
    home.write("many.pem", good.repeat(5_000));
    home.write("nested.pem", "-----BEGIN CERTIFICATE-----\n".repeat(20_000));
    home.write("deep.der", [0x30, 0x80].repeat(200_000));
    home.write(
        "noise",
        (0..1 << 20).map(|at: u32| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect::<Vec<_>>(),
    );
    for file in ["nested.pem", "deep.der", "noise", "lamp/lamp.key", "etc/devices.toml"] {
        home.fails(&["cert", "verify", file], &[file, "no certificate"]);
    }
    for file in ["huge.pem", "many.pem"] {
        assert!(matches!(home.run(&["cert", "verify", file]).status, Some(0 | 2)), "{file}");
    }
    // Every bit of it bent: refused, or what was bent is not signed.
    let der = home.path("lamp.der");
    let (der, pem) = (der.to_str().unwrap(), home.path(LAMP));
    accepts(run("openssl", &["x509", "-outform", "DER", "-in", pem.to_str().unwrap(), "-out", der]));
    let whole = fs::read(der).unwrap();
    let trust = citronella::pki::verify::read(home.read("etc/tls/ca.crt").as_bytes()).unwrap();
    let question = citronella::pki::verify::Question {
        purpose: Some(citronella::pki::verify::Purpose::Device),
        name: None,
        crl: None,
        at: jiff::Timestamp::now(),
    };
    for bit in 0..whole.len() * 8 {
        let mut bent = whole.clone();
        bent[bit / 8] ^= 1 << (bit % 8);
        let Some(chain) = citronella::pki::verify::read(&bent) else { continue };
        let faults = citronella::pki::verify::faults(&chain, &trust, &question);
        assert!(!faults.is_empty(), "bit {bit}");
    }
}

/// A root, an authority below it with these extensions, and a leaf with these; accepted by both, or refused by both.
#[test]
fn constraints_and_extensions_count_as_openssl_counts_them() {
    let home = with_lamp();
    let script = |middle: &str, leaf: &str| {
        format!(
            "set -e; exec 2>&1; rm -f *.crt *.csr *.key
            new() {{ openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $1.key -out $1.csr -subj \"$2\"; }}
            openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout root.key -out root.crt -subj /CN=root -addext keyUsage=critical,keyCertSign
            new middle /CN=middle; new leaf /CN=leaf
            printf 'basicConstraints=critical,CA:TRUE\\nsubjectKeyIdentifier=hash\\nkeyUsage=critical,keyCertSign\\n{middle}\\n' > middle.ext
            printf 'basicConstraints=critical,CA:FALSE\\nkeyUsage=critical,digitalSignature\\n{leaf}\\n' > leaf.ext
            openssl x509 -req -in middle.csr -CA root.crt -CAkey root.key -extfile middle.ext -out middle.crt -days 30
            openssl x509 -req -in leaf.csr -CA middle.crt -CAkey middle.key -extfile leaf.ext -out leaf.crt -days 30
            cat leaf.crt middle.crt > chain.pem"
        )
    };
    let constraint = |text: &str| format!("nameConstraints=critical,{text}");
    for (middle, leaf, wanted) in [
        ("", "subjectAltName=DNS:a.gw.lan", None),
        (&*constraint("permitted;DNS:gw.lan"), "subjectAltName=DNS:a.gw.lan", None),
        (&constraint("permitted;DNS:gw.lan"), "subjectAltName=DNS:other.lan", Some("name-constraints")),
        (&constraint("excluded;DNS:gw.lan"), "subjectAltName=DNS:a.gw.lan", Some("name-constraints")),
        (&constraint("excluded;DNS:gw.lan"), "subjectAltName=DNS:other.lan", None),
        (&constraint("permitted;IP:192.0.2.0/255.255.255.0"), "subjectAltName=IP:192.0.2.9", None),
        (
            &constraint("permitted;IP:192.0.2.0/255.255.255.0"),
            "subjectAltName=IP:192.0.3.9",
            Some("name-constraints"),
        ),
        (
            "1.3.6.1.4.1.55738.666.1=critical,ASN1:NULL",
            "subjectAltName=DNS:gw.lan",
            Some("critical-extension"),
        ),
        ("", "1.3.6.1.4.1.55738.666.1=critical,ASN1:NULL", Some("critical-extension")),
        ("", "1.3.6.1.4.1.55738.666.1=ASN1:NULL", None),
    ] {
        home.shell(&script(middle, leaf)).ok();
        let (root, chain) = (home.path("root.crt"), home.path("chain.pem"));
        let theirs = verify(&root, &home.path("leaf.crt"), &["-untrusted", chain.to_str().unwrap()]);
        assert_eq!(theirs.0, wanted.is_none(), "{middle} {leaf}: {}", theirs.1);
        let ours = faults(&home, &["chain.pem", "--ca", "root.crt"]);
        assert_eq!(ours, wanted.iter().map(|code| (*code).to_owned()).collect::<Vec<_>>(), "{middle} {leaf}");
    }
    // For everything is for nothing.
    home.shell(&script("", "extendedKeyUsage=anyExtendedKeyUsage")).ok();
    let asked = ["-purpose", "sslclient", "-untrusted", "chain.pem"].map(|word| match word {
        "chain.pem" => home.path(word).display().to_string(),
        word => word.to_owned(),
    });
    let asked: Vec<&str> = asked.iter().map(String::as_str).collect();
    assert!(!verify(&home.path("root.crt"), &home.path("leaf.crt"), &asked).0);
    assert_eq!(faults(&home, &["chain.pem", "--ca", "root.crt", "--purpose", "device"]), ["purpose"]);
}
