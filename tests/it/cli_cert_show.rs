//! `citronella cert show`: every kind of file, of openssl and of ours, and nothing secret of any.

use std::{fs, process::Command};

use serde_json::{Value, json};

use crate::{
    cli_support::Home,
    pki_support::{accepts, run},
};

const PASSPHRASE: &str = "marker-show-41";

/// A folder with a device, and the passphrase in `pass`.
fn home() -> Home {
    let home = Home::empty();
    home.init(&["--name", "gw.lan"]).ok();
    home.ok(&["device", "add", "lamp", "--role", "sensor"]);
    home.write("pass", format!("{PASSPHRASE}\n"));
    home
}

#[track_caller]
fn openssl(home: &Home, line: &str) -> Vec<u8> {
    let done =
        Command::new("openssl").args(line.split_whitespace()).current_dir(home.dir()).output().unwrap();
    assert!(done.status.success(), "openssl {line}: {}", String::from_utf8_lossy(&done.stderr));
    done.stdout
}

/// The one thing in a file.
#[track_caller]
fn item(home: &Home, file: &str, more: &[&str]) -> Value {
    let shown = home.json(&[&["cert", "show", file], more].concat());
    let items = shown.as_array().unwrap();
    assert_eq!(items.len(), 1, "{file}: {shown}");
    items[0].clone()
}

#[test]
fn keys_are_named_and_never_shown() {
    let home = home();
    for (name, line, kind) in [
        ("ec", "ecparam -name prime256v1 -genkey -out ec", "P-256"),
        ("rsa", "genrsa -out rsa 2048", "RSA 2048"),
        ("rsa1", "genrsa -traditional -out rsa1 2048", "RSA 2048"),
        ("ed", "genpkey -algorithm ed25519 -out ed", "Ed25519"),
    ] {
        openssl(&home, line);
        let public = openssl(&home, &format!("pkey -in {name} -pubout -outform DER"));
        home.write("public", public);
        let said = String::from_utf8(openssl(&home, "dgst -sha256 -r public")).unwrap();
        let sha256 = said.split(' ').next().unwrap();
        openssl(&home, &format!("pkey -in {name} -pubout -out {name}.pub"));
        openssl(&home, &format!("pkcs8 -topk8 -v2 aes-256-cbc -in {name} -out {name}.p8 -passout file:pass"));
        openssl(&home, &format!("pkcs8 -topk8 -nocrypt -in {name} -outform DER -out {name}.der"));
        for (file, more, encrypted) in [
            (name.to_owned(), &[][..], Some(false)),
            (format!("{name}.der"), &[], Some(false)),
            (format!("{name}.p8"), &["--passphrase-file", "pass"], Some(true)),
            (format!("{name}.pub"), &[], None),
        ] {
            let found = item(&home, &file, more);
            let wanted = if encrypted.is_some() { "private-key" } else { "public-key" };
            assert_eq!(
                (&found["type"], &found["key"], &found["public_sha256"]),
                (&json!(wanted), &json!(kind), &json!(sha256)),
                "{file}"
            );
            assert_eq!(found.get("encrypted").and_then(Value::as_bool), encrypted, "{file}");
            let secret = home.read(name).lines().nth(1).unwrap().to_owned();
            let human = home.ok(&[&["cert", "show", &file], more].concat());
            assert!(human.contains(sha256) && !human.contains(&secret), "{human}");
        }
        let shut = item(&home, &format!("{name}.p8"), &[]);
        assert_eq!(
            (&shut["encrypted"], &shut["key"], &shut["unread"]),
            (&json!(true), &Value::Null, &json!("it was not opened"))
        );
        home.write("other", "wrong\n");
        let wrong = item(&home, &format!("{name}.p8"), &["--passphrase-file", "other"]);
        assert_eq!(wrong["unread"], "the passphrase does not open the key");
    }
    openssl(&home, "rsa -in rsa1 -aes256 -traditional -out old -passout file:pass");
    let old = item(&home, "old", &["--passphrase-file", "pass"]);
    assert!(old["unread"].as_str().unwrap().contains("openssl pkcs8 -topk8"), "{old}");
    openssl(&home, "genrsa -out weak 1024");
    let weak = item(&home, "weak", &[]);
    assert!(weak["unread"].as_str().unwrap().contains("2048 bits"), "{weak}");
    let lamp = item(&home, "lamp/lamp.crt", &[]);
    assert_eq!(item(&home, "lamp/lamp.key", &[])["public_sha256"], lamp["public_sha256"]);
}

#[test]
fn tasmotas_fingerprint_is_the_one_that_it_computes() {
    let home = home();
    openssl(&home, "ecparam -name prime256v1 -genkey -noout -out ec");
    openssl(&home, "genrsa -out rsa 2048");
    // SHA-1 over fields, each behind its length of four bytes.
    let by_python = |program: &str| {
        accepts(run(
            "python3",
            &[
                "-c",
                &format!(
                    "import hashlib, struct, subprocess, os\nos.chdir('{}')\nrun = lambda line: subprocess.run(line.split(), capture_output=True, check=True).stdout\nfields = lambda *all: hashlib.sha1(b''.join(struct.pack('>I', len(one)) + one for one in all)).hexdigest().upper()\n{program}",
                    home.dir().display()
                ),
            ],
        ))
    };
    let ec = by_python(
        "print(fields(b'ecdsa-sha2-nistp256', run('openssl pkey -in ec -pubout -outform DER')[-65:]))",
    );
    let rsa = by_python(
        "print(fields(b'ssh-rsa', b'\\x01\\x00\\x01', bytes.fromhex(run('openssl rsa -in rsa -noout -modulus').decode().strip().split('=')[1])))",
    );
    for (file, wanted) in [("ec", ec), ("rsa", rsa)] {
        let found = item(&home, file, &[])["tasmota_fingerprint"].as_str().unwrap().replace(' ', "");
        assert_eq!(found, wanted.trim(), "{file}");
    }
    openssl(&home, "genpkey -algorithm ed25519 -out ed");
    assert_eq!(item(&home, "ed", &[])["tasmota_fingerprint"], Value::Null);
    let broker = home.ok(&["cert", "show", "etc/tls/broker.crt"]);
    let of_key = item(&home, "etc/tls/broker.key", &[]);
    assert!(
        broker.contains(&format!("for Tasmota      {}", of_key["tasmota_fingerprint"].as_str().unwrap())),
        "{broker}"
    );
}

#[test]
fn requests_say_what_they_ask_for_and_whether_they_would_be_signed() {
    let home = home();
    openssl(&home, "ecparam -name prime256v1 -genkey -noout -out ec");
    openssl(
        &home,
        "req -new -key ec -subj /CN=lamp/O=Rossi -addext subjectAltName=DNS:lamp.lan -out good.csr",
    );
    openssl(&home, "req -in good.csr -outform DER -out good.der");
    for file in ["good.csr", "good.der"] {
        let good = item(&home, file, &[]);
        assert_eq!(
            (&good["type"], &good["key"], &good["refused"]),
            (&json!("request"), &json!("P-256"), &Value::Null)
        );
        assert_eq!(good["asks_for"], json!(["the names DNS:lamp.lan"]));
        assert_eq!(good["public_sha256"], item(&home, "ec", &[])["public_sha256"]);
        assert!(good["subject"].as_str().unwrap().contains("CN=lamp"), "{good}");
    }
    openssl(&home, "req -new -newkey rsa:1024 -nodes -keyout weak -subj /CN=lamp -out weak.csr");
    let weak = item(&home, "weak.csr", &[]);
    assert!(weak["refused"].as_str().unwrap().starts_with("the signing request is refused"), "{weak}");
}

#[test]
fn revocation_lists_are_shown_with_what_stands_in_them() {
    let home = home();
    home.ok(&["device", "add", "lost"]);
    home.ok(&["ca", "crl"]);
    home.ok(&["cert", "revoke", "lost", "--reason", "keyCompromise"]);
    openssl(&home, "crl -in etc/tls/crl.pem -outform DER -out crl.der");
    let serial = home.json(&["cert", "list", "lost"])[0]["serial"].clone();
    for file in ["etc/tls/crl.pem", "crl.der"] {
        let list = item(&home, file, &[]);
        assert_eq!((&list["type"], &list["number"]), (&json!("crl"), &json!("2")), "{list}");
        assert_eq!((&list["revoked"][0]["serial"], list["revoked"].as_array().unwrap().len()), (&serial, 1));
        let human = home.ok(&["cert", "show", file]);
        for part in [
            "revocation list",
            "issuer           ",
            "until            20",
            "1 certificates",
            serial.as_str().unwrap(),
        ] {
            assert!(human.contains(part), "{part} is not in {human}");
        }
    }
}

#[test]
fn stores_open_with_their_passphrase_only() {
    let home = home();
    let lamp = item(&home, "lamp/lamp.crt", &[]);
    openssl(
        &home,
        "pkcs12 -export -in lamp/lamp.crt -inkey lamp/lamp.key -certfile lamp/ca.crt -name lamp -out modern.p12 -passout file:pass",
    );
    openssl(
        &home,
        "pkcs12 -export -legacy -in lamp/lamp.crt -inkey lamp/lamp.key -name lamp -out legacy.p12 -passout file:pass",
    );
    home.cmd(&["bundle", "lamp", "--for", "java", "--from", "lamp"])
        .env("CITRONELLA_KEY_PASSPHRASE", PASSPHRASE)
        .ok();
    let ours = fs::read_dir(home.path("lamp-java")).unwrap().map(|entry| entry.unwrap().path());
    let ours =
        ours.into_iter().find(|path| path.to_string_lossy().ends_with("lamp.p12")).expect("a key store");
    for (file, count) in [("modern.p12", 3), ("legacy.p12", 2), (ours.to_str().unwrap(), 2)] {
        let outcome = home.run(&["cert", "show", file, "--passphrase-file", "pass", "--format", "json"]);
        assert_eq!(outcome.status, Some(0), "{file}: {outcome:?}");
        let items: Value = serde_json::from_str(&outcome.stdout).unwrap();
        assert!(items.as_array().unwrap().len() >= count, "{file}: {items}");
        assert_eq!(
            (&items[0]["type"], &items[0]["alias"]),
            (&json!("private-key"), &json!("lamp")),
            "{file}"
        );
        assert_eq!(items[0]["public_sha256"], lamp["public_sha256"]);
        assert!(
            items.as_array().unwrap().iter().any(|item| item["sha256"] == lamp["sha256"]),
            "{file}: {items}"
        );
        home.write("other", "wrong\n");
        home.fails(
            &["cert", "show", file, "--passphrase-file", "other"],
            &["does not open the PKCS#12 store"],
        );
        let asked = home.run(&["cert", "show", file]);
        assert_eq!(asked.status, Some(2), "{asked:?}");
        assert!(asked.stderr.contains("--passphrase-file or CITRONELLA_KEY_PASSPHRASE"), "{asked:?}");
        assert!(!format!("{outcome:?}{asked:?}").contains(PASSPHRASE), "{file}");
    }
}

#[test]
fn several_things_in_one_file_are_shown_in_their_order() {
    let home = home();
    openssl(&home, "ecparam -name prime256v1 -genkey -out ec");
    let all = [
        home.read("lamp/ca.crt"),
        home.read("ec"),
        home.read("lamp/lamp.key"),
        "-----BEGIN PKCS7-----\nAAAA\n-----END PKCS7-----\n".to_owned(),
    ];
    home.write("all.pem", all.concat());
    let shown = home.json(&["cert", "show", "all.pem"]);
    let kinds: Vec<&str> =
        shown.as_array().unwrap().iter().map(|item| item["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["certificate", "private-key", "private-key", "other"], "{shown}");
    let human = home.ok(&["cert", "show", "all.pem"]);
    assert!(human.contains("private key      not encrypted") && human.contains("pkcs7"), "{human}");
}

#[test]
fn hostile_files_get_a_clear_error() {
    let home = home();
    openssl(&home, "pkcs12 -export -in lamp/lamp.crt -inkey lamp/lamp.key -out good.p12 -passout file:pass");
    let good = fs::read(home.path("good.p12")).unwrap();
    home.write("torn.p12", &good[..good.len() / 2]);
    let mut bent = good.clone();
    bent[good.len() / 2] ^= 1;
    home.write("bent.p12", bent);
    home.write("store", [0x30, 0x82, 0xff, 0xff, 0x02, 0x01, 0x03, 0x30]);
    home.write("deep", [0x30, 0x80].repeat(100_000));
    home.write("pem", "-----BEGIN X509 CRL-----\n!!!!\n-----END X509 CRL-----\n");
    home.write("request", "-----BEGIN CERTIFICATE REQUEST-----\nMAA=\n-----END CERTIFICATE REQUEST-----\n");
    home.write("begins", "-----BEGIN ".repeat(1000));
    home.write("huge", vec![b'x'; (16 << 20) + 1]);
    for (file, says) in [
        ("torn.p12", "PKCS#12 store"),
        ("bent.p12", "PKCS#12 store"),
        ("store", "PKCS#12 store"),
        ("deep", "no certificate"),
        ("pem", "the revocation list at place 1 in this file is damaged"),
        ("request", "the signing request at place 1 in this file is damaged"),
        ("huge", "larger than"),
        ("etc", "nothing that is in force"),
    ] {
        home.fails(&["cert", "show", file, "--passphrase-file", "pass"], &[says, file]);
    }
    assert!(matches!(home.run(&["cert", "show", "begins"]).status, Some(0 | 2)));
    // Whatever stands in a label drives no terminal.
    home.write("label", "-----BEGIN \u{1b}[2J-----\nAAAA\n-----END \u{1b}[2J-----\n");
    assert!(!home.run(&["cert", "show", "label"]).stdout.contains('\u{1b}'));
}
