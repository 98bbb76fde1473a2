//! `citronella ca`: authorities of every kind, made here or elsewhere, saved, and replaced.

use std::{fs, path::Path};

use serde_json::Value;

use crate::{
    cli_support::{CA_PASSPHRASE, Home},
    pki_support::{accepts, judged_by_gnutls, refuses, run, verify},
};

const SERVER: &str = "1.3.6.1.5.5.7.3.1";
const CLIENT: &str = "1.3.6.1.5.5.7.3.2";

/// Runs `init` and adds a device, with an authority that is there already.
#[track_caller]
fn settle(home: &Home) {
    home.init(&["--name", "gw.lan"]).ok();
    home.ok(&["device", "add", "lamp", "--role", "sensor"]);
}

/// OpenSSL and GnuTLS are content with the broker's and the device's chains, by what the other side trusts.
#[track_caller]
fn judged(home: &Home) {
    let (broker_ca, broker) = (home.path("etc/tls/ca.crt"), home.path("etc/tls/broker.crt"));
    let (ca, lamp) = (home.path("lamp/ca.crt"), home.path("lamp/lamp.crt"));
    for (ca, chain, purpose, name) in
        [(&ca, &broker, "sslserver", SERVER), (&broker_ca, &lamp, "sslclient", CLIENT)]
    {
        let untrusted = ["-purpose", purpose, "-untrusted", chain.to_str().unwrap()];
        accepts(verify(ca, chain, &untrusted));
        accepts(judged_by_gnutls(ca, chain, name));
    }
    let wrong = ["-purpose", "sslserver", "-untrusted", lamp.to_str().unwrap()];
    refuses(verify(&broker_ca, &lamp, &wrong), "purpose");
    assert!(!judged_by_gnutls(&broker_ca, &lamp, SERVER).0);
}

fn first<'a>(shown: &'a Value, key: &str) -> &'a str {
    shown["certificate"][key].as_str().unwrap()
}

#[test]
fn every_kind_of_key_signs_what_others_accept() {
    for kind in ["p256", "p384", "rsa2048", "rsa3072", "ed25519"] {
        for tiers in [&[][..], &["--issuing"]] {
            let home = Home::empty();
            let arguments = [&["ca", "init", "--authority", "Casa Rossi", "--key", kind], tiers].concat();
            let outcome = home.cmd(&arguments).env("CITRONELLA_ROOT_PASSPHRASE", "marker-root-77").run();
            assert_eq!(outcome.status, Some(0), "{kind}: {outcome:?}");
            assert_eq!(outcome.stderr.contains("mbedTLS"), kind == "ed25519", "{outcome:?}");
            settle(&home);
            judged(&home);
        }
    }
}

#[test]
fn a_root_over_an_issuing_authority_is_needed_for_nothing_else() {
    let home = Home::empty();
    home.cmd(&["ca", "init", "--issuing"]).env("CITRONELLA_ROOT_PASSPHRASE", "marker-root-77").ok();
    assert_eq!((home.mode("etc/pki/root.key"), home.mode("etc/pki/ca.key")), (0o600, 0o600));
    let shown = home.json(&["ca", "show"]);
    assert_eq!((&shown["tiers"], &shown["certificate"]["path_length"]), (&2.into(), &0.into()), "{shown}");
    let root = &home.json(&["cert", "show", "etc/pki/root.crt"])[0];
    assert_eq!(root["path_length"], 1);
    assert_eq!(root["subject_key_id"], shown["certificate"]["authority_key_id"]);
    fs::remove_file(home.path("etc/pki/root.key")).unwrap();
    settle(&home);
    judged(&home);
    // Devices trust the root alone; who sends the leaf alone is let in by the broker all the same.
    let count = |file: &str| home.read(file).matches("BEGIN CERTIFICATE").count();
    assert_eq!((count("lamp/ca.crt"), count("lamp/lamp.crt"), count("etc/tls/ca.crt")), (1, 2, 2));
    let leaf = home.read("lamp/lamp.crt");
    let end = leaf.find("-----END CERTIFICATE-----").unwrap() + 26;
    home.write("leaf.crt", &leaf[..end]);
    accepts(verify(&home.path("etc/tls/ca.crt"), &home.path("leaf.crt"), &["-purpose", "sslclient"]));
    let (key, pass) = (home.path("etc/pki/ca.key"), format!("pass:{CA_PASSPHRASE}"));
    accepts(run("openssl", &["pkey", "-in", key.to_str().unwrap(), "-passin", &pass, "-noout"]));
    home.fails(&["ca", "init"], &["already"]);
    home.fails(&["ca", "rollover"], &["root above"]);
}

/// Adopts, settles, and returns what `ca show` tells.
#[track_caller]
fn adopt(home: &Home, certificate: &Path, key: &Path, more: &[&str]) -> (Value, String) {
    let arguments = ["ca", "adopt", certificate.to_str().unwrap(), key.to_str().unwrap()];
    let outcome = home.run(&[&arguments, more].concat());
    assert_eq!(outcome.status, Some(0), "{outcome:?}");
    settle(home);
    let lamp = &home.json(&["cert", "show", "lamp/lamp.crt"])[0];
    let shown = home.json(&["ca", "show"]);
    assert_eq!(lamp["authority_key_id"], shown["certificate"]["subject_key_id"]);
    // To the byte.
    let name = |file: &Path, which: &str| {
        accepts(run(
            "openssl",
            &["x509", "-noout", which, "-nameopt", "oid,dump_all,dump_der", "-in", file.to_str().unwrap()],
        ))
    };
    assert_eq!(
        name(certificate, "-subject").trim_start_matches("subject="),
        name(&home.path("lamp/lamp.crt"), "-issuer").trim_start_matches("issuer=")
    );
    assert_eq!(
        fs::read_to_string(certificate).unwrap().trim_end().lines().last(),
        home.read("etc/pki/ca.crt").trim_end().lines().last()
    );
    (shown, outcome.stderr)
}

#[test]
fn an_authority_of_openssl_is_adopted() {
    for (algorithm, key_format, subject) in [
        ("rsa:2048", "pkcs8", "/C=IT/O=Rossi/OU=One/OU=Two/CN=Rossi CA"),
        ("rsa:2048", "traditional", "/CN=Türsteher CA"),
        ("ec", "traditional", "/O=Meier/CN=EC CA"),
        ("ec", "des3", "/O=Meier/CN=EC CA/emailAddress=a@example.org"),
        ("rsa:2048", "aes", "/DC=org/DC=example/CN=Directory CA"),
        ("ed25519", "pkcs8", "/CN=Edwards CA"),
    ] {
        let home = Home::empty();
        let script = format!(
            "openssl req -x509 -newkey {algorithm} {} -nodes -utf8 -keyout plain.key -out ca.crt -days 3650 -subj '{subject}' \
             -addext keyUsage=critical,keyCertSign,cRLSign 2>&1 && case {key_format} in \
             traditional) openssl pkey -in plain.key -traditional -out ca.key;; \
             des3) openssl pkcs8 -topk8 -in plain.key -v2 des3 -passout pass:old -out ca.key;; \
             aes) openssl pkcs8 -topk8 -in plain.key -v2 aes-256-cbc -passout pass:old -out ca.key;; \
             *) cp plain.key ca.key;; esac",
            if algorithm == "ec" { "-pkeyopt ec_paramgen_curve:P-384" } else { "" },
        );
        home.shell(&script).ok();
        home.write("old.pass", "old\n");
        let (shown, said) =
            adopt(&home, &home.path("ca.crt"), &home.path("ca.key"), &["--key-passphrase-file", "old.pass"]);
        judged(&home);
        assert_eq!(said.contains("mail address"), subject.contains("emailAddress"), "{said}");
        assert!(home.read("etc/pki/ca.key").contains("ENCRYPTED"));
        assert_eq!(first(&shown, "subject").contains("OU=One, OU=Two"), subject.contains("Two"), "{shown}");
    }
}

#[test]
fn authorities_of_easy_rsa_and_mkcert_are_adopted() {
    let home = Home::empty();
    home.shell("EASYRSA_BATCH=1 EASYRSA_REQ_CN='Easy CA' /usr/share/easy-rsa/easyrsa init-pki >/dev/null && EASYRSA_BATCH=1 EASYRSA_REQ_CN='Easy CA' /usr/share/easy-rsa/easyrsa build-ca nopass >/dev/null 2>&1").ok();
    let (shown, said) = adopt(&home, &home.path("pki/ca.crt"), &home.path("pki/private/ca.key"), &[]);
    assert_eq!(first(&shown, "subject"), "CN=Easy CA");
    // What strict clients object to was told, and others accept it.
    assert!(said.contains("basicConstraints are not critical"), "{said}");
    let (ca, lamp) = (home.path("etc/tls/ca.crt"), home.path("lamp/lamp.crt"));
    refuses(verify(&ca, &lamp, &[]), "not marked critical");
    let (ca_path, lamp_path) = (ca.to_str().unwrap(), lamp.to_str().unwrap());
    accepts(run("openssl", &["verify", "-CAfile", ca_path, "-purpose", "sslclient", lamp_path]));
    accepts(judged_by_gnutls(&ca, &lamp, CLIENT));

    let home = Home::empty();
    fs::create_dir(home.path("root")).unwrap();
    home.shell("CAROOT=root mkcert -cert-file x.crt -key-file x.key localhost 2>/dev/null").ok();
    adopt(&home, &home.path("root/rootCA.pem"), &home.path("root/rootCA-key.pem"), &[]);
    judged(&home);
}

#[test]
fn an_authority_below_a_root_is_adopted_with_it() {
    let home = Home::empty();
    let script = "set -e; exec 2>&1
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout root.key -out root.crt -days 3650 -subj '/CN=The Root' -addext keyUsage=critical,keyCertSign,cRLSign
        openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout int.key -out int.csr -subj '/O=Meier/CN=Below'
        printf 'basicConstraints=critical,CA:TRUE,pathlen:0\\nkeyUsage=critical,keyCertSign,cRLSign\\nsubjectKeyIdentifier=hash\\nauthorityKeyIdentifier=keyid\\n' > ext
        openssl x509 -req -in int.csr -CA root.crt -CAkey root.key -days 3000 -extfile ext -out int.crt -set_serial 77";
    home.shell(script).ok();
    home.fails(&["ca", "adopt", "int.crt", "int.key"], &["below `CN=The Root`", "is needed too"]);
    home.shell("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout o.key -out other.crt -subj '/CN=The Root' 2>&1").ok();
    home.fails(&["ca", "adopt", "int.crt", "int.key", "--root", "other.crt"], &["has not signed it"]);
    adopt(&home, &home.path("int.crt"), &home.path("int.key"), &["--root", "root.crt"]);
    judged(&home);
}

#[test]
fn what_would_make_certificates_that_clients_refuse_is_not_adopted() {
    let home = Home::empty();
    let script = "set -e; exec 2>&1
        new() { openssl req -x509 -newkey ${KEY:-rsa:2048} -nodes -keyout $1.key -out $1.crt -subj \"${SUBJECT:-/CN=Old CA}\" \"${@:2}\"; }
        KEY=rsa:1024 new weak
        openssl req -x509 -newkey rsa:2048 -nodes -keyout leaf.key -out leaf.crt -subj /CN=x -addext basicConstraints=critical,CA:FALSE
        new usage -addext keyUsage=critical,digitalSignature
        new nousage -days 30
        SUBJECT=/CN=box.example.org new host
        openssl req -newkey rsa:2048 -nodes -keyout v1.key -out v1.csr -subj /CN=V1
        openssl x509 -req -in v1.csr -signkey v1.key -out v1.crt -days 3650
        faketime '-400 days' openssl req -x509 -newkey rsa:2048 -nodes -keyout old.key -out old.crt -subj /CN=Old -days 30 || openssl x509 -req -in v1.csr -signkey v1.key -out old.crt";
    home.shell(&format!("bash -c \"$(cat <<'EOS'\n{script}\nEOS\n)\"")).ok();
    for (name, says) in [
        ("weak", "2048 bits or more"),
        ("leaf", "may not sign certificates"),
        ("usage", "without keyCertSign"),
        ("v1", "version 1"),
    ] {
        let (certificate, key) = (format!("{name}.crt"), format!("{name}.key"));
        home.fails(&["ca", "adopt", &certificate, &key], &[says]);
        assert!(!home.path("etc/pki").exists(), "{name}");
    }
    home.fails(&["ca", "adopt", "host.crt", "usage.key"], &["not this certificate's"]);
    home.fails(&["ca", "adopt", "usage.key", "usage.key"], &["not PEM"]);
    home.fails(&["ca", "adopt", "host.crt", "host.crt"], &["not a private key"]);
    for (name, says) in
        [("nousage", &["no keyUsage", "before a new device's"][..]), ("host", &["called like a host"])]
    {
        let home_of_one = Home::empty();
        let path = |end: &str| home.path(&format!("{name}.{end}")).to_str().unwrap().to_owned();
        let outcome = home_of_one.run(&["ca", "adopt", &path("crt"), &path("key")]);
        assert_eq!(outcome.status, Some(0), "{outcome:?}");
        for part in says {
            assert!(outcome.stderr.contains(part), "{part}: {outcome:?}");
        }
    }
}

#[test]
fn rolled_over_both_are_trusted_until_the_end_of_it() {
    let home = Home::new();
    home.ok(&["device", "add", "lamp", "--role", "sensor"]);
    let (old, old_broker) = (home.read("etc/pki/ca.crt"), home.path("etc/tls/broker.crt"));
    let said = home.run(&["ca", "rollover"]);
    assert_eq!(said.status, Some(0), "{said:?}");
    assert!(said.stderr.contains("restart mosquitto"), "{said:?}");
    let shown = home.json(&["ca", "show"]);
    assert_eq!(shown["retired"].as_array().unwrap().len(), 1, "{shown}");
    assert_ne!(shown["certificate"]["subject"], shown["retired"][0]["subject"]);
    home.ok(&["device", "add", "new", "--role", "sensor"]);
    let both = home.path("etc/tls/ca.crt");
    for certificate in ["lamp/lamp.crt", "new/new.crt"] {
        accepts(verify(&both, &home.path(certificate), &["-purpose", "sslclient"]));
    }
    // A new device knows the broker, whose certificate is still the old authority's.
    accepts(verify(&home.path("new/ca.crt"), &old_broker, &["-purpose", "sslserver"]));
    refuses(verify(&home.path("lamp/ca.crt"), &home.path("new/new.crt"), &[]), "error");
    // Twice in one year, and every name is another.
    home.ok(&["ca", "rollover"]);
    let shown = home.json(&["ca", "show"]);
    assert_eq!(shown["retired"].as_array().unwrap().len(), 2);
    home.ok(&["ca", "rollover", "--finish"]);
    assert_eq!(home.json(&["ca", "show"])["retired"], serde_json::json!([]));
    assert!(!home.read("etc/tls/ca.crt").contains(old.trim()));
    refuses(verify(&both, &home.path("lamp/lamp.crt"), &[]), "error");
    home.ok(&["device", "add", "last", "--role", "sensor"]);
    accepts(verify(&both, &home.path("last/last.crt"), &["-purpose", "sslclient"]));
}

#[test]
fn killed_at_any_instant_a_roll_over_leaves_one_authority_that_signs() {
    let home = Home::new();
    let begun = std::time::Instant::now();
    home.ok(&["ca", "rollover"]);
    let whole_us = u64::try_from(begun.elapsed().as_micros()).unwrap();
    for round in 0..12 {
        home.cmd(&["ca", "rollover"]).kill_after(whole_us * round / 11);
        let name = format!("d{round}");
        home.ok(&["device", "add", &name, "--role", "sensor"]);
        let ca = home.path(&format!("{name}/ca.crt"));
        accepts(verify(&ca, &home.path(&format!("{name}/{name}.crt")), &["-purpose", "sslclient"]));
        // The broker's certificate is of the first one, which all of them still trust.
        accepts(verify(&ca, &home.path("etc/tls/broker.crt"), &["-purpose", "sslserver"]));
    }
}

#[test]
fn a_backup_brings_everything_back() {
    let home = Home::new();
    home.ok(&["device", "add", "lamp", "--role", "sensor"]);
    home.ok(&["ca", "rollover"]);
    home.ok(&["cert", "issue", "lamp", "--force"]);
    home.ok(&["ca", "backup", "ca.tar"]);
    assert_eq!(home.mode("ca.tar"), 0o600);
    home.fails(&["ca", "backup", "ca.tar"], &["exists already", "--force"]);
    let before = home.json(&["cert", "list"]);
    let files = |home: &Home| -> Vec<(String, Vec<u8>)> {
        home.files()
            .into_iter()
            .filter(|(name, _)| name.starts_with("etc/pki/") && !name.ends_with("lock"))
            .collect()
    };
    let saved = files(&home);
    home.fails(&["ca", "restore", "ca.tar"], &["already"]);
    fs::remove_dir_all(home.path("etc/pki")).unwrap();
    for round in 0..6 {
        home.cmd(&["ca", "restore", "ca.tar"]).kill_after(round * 4_000);
    }
    if !home.path("etc/pki/ca.crt").exists() {
        home.ok(&["ca", "restore", "ca.tar"]);
    }
    assert!(files(&home) == saved, "not what was saved");
    assert_eq!(home.json(&["cert", "list"]), before);
    for (name, mode) in
        [("", 0o700), ("/ca.key", 0o600), ("/ledger", 0o600), ("/keys", 0o700), ("/ca.crt", 0o644)]
    {
        assert_eq!(home.mode(&format!("etc/pki{name}")), mode, "{name}");
    }
    home.ok(&["cert", "issue", "lamp", "--force"]);
    home.ok(&["ca", "crl"]);
}

#[test]
fn an_archive_of_others_is_not_unpacked() {
    let home = Home::new();
    home.ok(&["ca", "backup", "good.tar"]);
    fs::remove_dir_all(home.path("etc/pki")).unwrap();
    home.shell("mkdir x && echo evil > x/ca.crt && tar -cf strange.tar -C x --transform 's,^,../,' -P ca.crt && tar -cf empty.tar -T /dev/null && ln -s /etc/passwd x/ledger && tar -cf link.tar -C x ledger && head -c 2000 good.tar > torn.tar && head -c 5000 /dev/urandom > noise.tar").ok();
    for archive in ["strange.tar", "empty.tar", "link.tar", "torn.tar", "noise.tar"] {
        let before = home.files();
        home.fails(&["ca", "restore", archive], &["no backup of an authority"]);
        assert!(home.files() == before, "{archive} left something");
    }
    home.ok(&["ca", "restore", "good.tar"]);
}
