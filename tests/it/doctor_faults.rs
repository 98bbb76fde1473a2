//! Set-ups that are right, and set-ups broken in one place: `doctor` names that place and no other.

use std::fs;

use crate::{cli_support::Home, doctor_support::Ward, support::plugin};

/// Debian's own file, with its folders in the ward.
const STOCK: &str = "pid_file /run/mosquitto/mosquitto.pid\n\npersistence true\npersistence_location DIR/lib/\n\n\
                     log_dest file DIR/log.d/mosquitto.log\n\ninclude_dir DIR/conf.d\n";

fn stock() -> Ward {
    let ward = Ward::new();
    ward.sh("mkdir conf.d lib log.d");
    ward.conf(STOCK);
    ward
}

/// A listener to which nothing can be said.
fn sound() -> Ward {
    let ward = Ward::new();
    ward.sound();
    ward.tls_conf("");
    ward.expect(&[]);
    ward
}

#[test]
fn a_stock_set_up_is_clean() {
    let outcome = stock().doctor(&["--deny-warnings"]);
    assert_eq!(outcome.status, Some(0), "{outcome:?}");
    let end = "  port 1883: not encrypted, this machine only\n  not guarded: no line loads Citronella (`sudo citronella init` writes it)\nclean\n";
    assert!(outcome.stdout.ends_with(end), "{outcome:?}");
}

#[test]
fn what_init_makes_is_clean() {
    for options in [&[][..], &["--password-listener"]] {
        let home = Home::empty();
        home.init(options).ok();
        let conf = fs::read_to_string(home.path("mosquitto.conf")).unwrap();
        home.write("mosquitto.conf", format!("user root\n{conf}"));
        let outcome = home.run(&["doctor", "mosquitto.conf", "--deny-warnings"]);
        assert_eq!(outcome.status, Some(0), "{outcome:?}");
        assert!(outcome.stdout.contains("port 8883: TLS, every client shows a certificate\n"), "{outcome:?}");
    }
}

#[test]
fn a_folder_that_the_brokers_user_cannot_write_is_told() {
    let ward = stock();
    ward.sh("sed -i /^user/d mosquitto.conf; chown mosquitto: lib log.d");
    ward.expect(&[]);
    ward.sh("chown root: lib");
    ward.expect(&["unwritable-folder"]);
    ward.sh("rmdir lib");
    ward.expect(&["unwritable-folder"]);
}

#[test]
fn each_mistake_in_a_line_is_told_and_no_other() {
    let ward = Ward::new();
    ward.sound();
    for (more, codes) in [
        ("requre_certificate true\n", &["unknown-option"][..]),
        ("cafile DIR/ca.crt\n", &["duplicate-option"]),
        ("tls_version tlsv1.2\n", &[]),
        ("tls_version tlsv1.1\n", &["tls-version"]),
        ("tls_version tls1.2\n", &["tls-version"]),
        ("listener 8883\n", &["listener-twice", "no-way-in", "unprotected-listener"]),
        ("listener 1883\n", &["no-way-in", "unprotected-listener"]),
        ("listener 1883 localhost\nallow_anonymous true\n", &[]),
        ("listener 1883\nallow_anonymous true\n", &["anonymous", "unprotected-listener"]),
        ("listener 1884 localhost\nallow_anonymous true\ncertfile DIR/broker.crt\n", &["tls-incomplete"]),
        ("listener 1884 localhost\nallow_anonymous true\nrequire_certificate true\n", &["tls-incomplete"]),
        ("include_dir DIR/nowhere\n", &["missing-file"]),
        ("user nobody-of-that-name\n", &["unknown-user", "duplicate-option"]),
        ("acl_file DIR/acls\n", &["missing-file"]),
        (
            "connection up\naddress up.lan:8883\ntopic # both\nbridge_cafile DIR/ca.crt\nbridge_insecure true\n",
            &["bridge-insecure"],
        ),
        ("connection up\naddress up.lan:8883\ntopic # both\nbridge_cafile DIR/gone.crt\n", &["missing-file"]),
    ] {
        ward.tls_conf(more);
        ward.expect(codes);
    }
    ward.write("conf.d/a.conf", "include_dir /etc\n");
    ward.tls_conf("include_dir DIR/conf.d\n");
    ward.expect(&["nested-include"]);
}

#[test]
fn each_mistake_with_certificates_and_keys_is_told_and_no_other() {
    for (script, codes) in [
        ("openssl genrsa -out broker.key 2048", &["key-mismatch"][..]),
        ("chmod 644 broker.key", &["key-readable"]),
        ("cp broker.crt broker.key", &["not-a-key"]),
        ("openssl x509 -in broker.crt -outform DER -out b.der; mv b.der broker.crt", &["not-a-certificate"]),
        ("cp broker.crt ca.crt", &["not-an-authority"]),
        (
            "openssl req -x509 -newkey rsa:2048 -nodes -keyout away/ca.key -out ca.crt -days 900 \
             -subj '/O=Rossi/CN=Rossi Root' -addext keyUsage=critical,keyCertSign",
            &["ca-recreated"],
        ),
        (
            "openssl x509 -req -in broker.csr -CA ca.crt -CAkey away/ca.key -set_serial 8 -days 20 -extfile broker.ext -out broker.crt
             faketime=/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1
             openssl x509 -req -in broker.csr -CA ca.crt -CAkey away/ca.key -set_serial 8 -days 10 -extfile broker.ext -out broker.crt",
            &[],
        ),
        (
            "openssl x509 -req -in broker.csr -CA ca.crt -CAkey away/ca.key -set_serial 8 -days -1 -extfile broker.ext -out broker.crt",
            &["certificate-expired"],
        ),
        ("dated $(date -u -d '1 year ago' +%Y%m%d%H%M%SZ) $(date -u -d '+20 days' +%Y%m%d%H%M%SZ)", &["certificate-expiring"]),
        ("dated 20480101000000Z 20480901000000Z", &["certificate-not-yet-valid"]),
        (
            "openssl x509 -x509toreq -in ca.crt -signkey away/ca.key -out ca.csr
             printf 'basicConstraints=critical,CA:TRUE\\nkeyUsage=critical,keyCertSign\\n' > ca.ext
             openssl x509 -req -in ca.csr -signkey away/ca.key -days -1 -extfile ca.ext -out ca.crt",
            &["ca-expired"],
        ),
        ("touch -d '+3 days' mosquitto.conf", &["clock"]),
        (
            "sed -i s/serverAuth/clientAuth/ broker.ext
             openssl x509 -req -in broker.csr -CA ca.crt -CAkey away/ca.key -set_serial 8 -days 300 -extfile broker.ext -out broker.crt",
            &["wrong-purpose"],
        ),
        (
            "openssl x509 -req -sha1 -in broker.csr -CA ca.crt -CAkey away/ca.key -set_serial 8 -days 300 -extfile broker.ext -out broker.crt",
            &["weak-signature"],
        ),
        (
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout broker.key -out broker.crt -days 90 \
             -subj /CN=broker.lan -addext subjectAltName=DNS:broker.lan",
            &["self-signed"],
        ),
        (
            "openssl req -new -newkey rsa:1024 -nodes -keyout broker.key -out broker.csr -subj /CN=broker.lan
             openssl x509 -req -in broker.csr -CA ca.crt -CAkey away/ca.key -set_serial 8 -days 300 -extfile broker.ext -out broker.crt",
            &["weak-key"],
        ),
        (
            "openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout away/int.key -out int.csr -subj '/CN=Rossi Issuing'
             printf 'basicConstraints=critical,CA:TRUE\\nkeyUsage=critical,keyCertSign,cRLSign\\n' > int.ext
             openssl x509 -req -in int.csr -CA ca.crt -CAkey away/ca.key -set_serial 9 -days 300 -extfile int.ext -out int.crt
             openssl x509 -req -in broker.csr -CA int.crt -CAkey away/int.key -set_serial 8 -days 300 -extfile broker.ext -out broker.crt
             cat int.crt >> broker.crt; mv int.crt ca.crt",
            &["ca-incomplete"],
        ),
        ("cp away/ca.key .", &["ca-key-on-broker"]),
    ] {
        let ward = sound();
        // A certificate from one day to another, which only `openssl ca` makes.
        let dated = "dated() { touch index; printf '[ca]\\ndefault_ca=own\\n[own]\\ndatabase=index\\nnew_certs_dir=.\\n\
            rand_serial=yes\\ndefault_md=sha256\\npolicy=any\\n[any]\\norganizationName=optional\\ncommonName=supplied\\n' > cnf
            openssl ca -batch -notext -config cnf -cert ca.crt -keyfile away/ca.key -startdate $1 -enddate $2 \
              -extfile broker.ext -in broker.csr -out broker.crt; }";
        ward.sh(&format!("{dated}\n{{ {script}\n}} 2>/dev/null"));
        ward.expect(codes);
    }
}

#[test]
fn what_this_user_may_not_read_is_told_and_not_guessed_at() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let ward = sound();
    ward.write("program", fs::read(env!("CARGO_BIN_EXE_citronella")).unwrap());
    ward.mode("program", 0o755);
    ward.mode("broker.key", 0o600);
    let script = "setpriv --reuid=65534 --regid=65534 --clear-groups ./program doctor mosquitto.conf || true";
    let said = ward.sh(script);
    assert!(said.contains("[not-examined]") && said.contains("broker.key"), "{said}");
    assert!(said.contains("sudo"), "{said}");
}

broker_test!(what_the_broker_does_not_start_with_is_an_error, |kind| {
    for (script, code, said) in [
        (
            "openssl ecparam -genkey -name prime256v1 -out broker.key",
            "key-mismatch",
            "Unable to load server key file",
        ),
        ("cp broker.crt broker.key", "not-a-key", "Unable to load server key file"),
        (
            "openssl x509 -in broker.crt -outform DER -out b.der; mv b.der broker.crt",
            "not-a-certificate",
            "Unable to load server certificate",
        ),
        (
            "echo requre_certificate true >> mosquitto.conf",
            "unknown-option",
            "Unknown configuration variable",
        ),
        ("echo cafile /etc/x >> mosquitto.conf", "duplicate-option", "cafile"),
        ("echo crlfile /etc/x >> mosquitto.conf", "missing-file", "crlfile"),
        ("echo listener 8883 >> mosquitto.conf", "listener-twice", "Address already in use"),
    ] {
        let ward = sound();
        ward.sh(&format!("{{ {script}\n}} 2>/dev/null"));
        assert!(ward.codes().contains(code), "{code}: {}", ward.doctor(&[]).stdout);
        let log = ward.refused_by(kind).unwrap_or_else(|| panic!("{kind} starts with {code}"));
        assert!(log.contains(said), "{code}: {log}");
    }
    let ward = sound();
    assert_eq!(ward.refused_by(kind), None, "without a finding it starts");
});

#[test]
fn every_state_of_a_crl_that_locks_people_out_is_told() {
    let ward = sound();
    ward.sh("printf '[ca]\\ndefault_ca=own\\n[own]\\ndatabase=index\\ndefault_md=sha256\\ncrlnumber=number\\n' > ca.cnf
             touch index; echo 01 > number");
    let crl = |options: &str| {
        ward.sh(&format!("openssl ca -gencrl -config ca.cnf -cert ca.crt -keyfile away/ca.key {options} -out crl.pem 2>/dev/null"));
    };
    ward.tls_conf("crlfile DIR/crl.pem\n");
    crl("-crldays 100");
    ward.expect(&[]);
    crl("-crl_lastupdate 20200101000000Z -crl_nextupdate 20200301000000Z");
    ward.expect(&["crl-expired"]);
    crl("-crl_lastupdate 20480101000000Z -crl_nextupdate 20490301000000Z");
    ward.expect(&["crl-expired"]);
    crl("-crl_lastupdate 20200101000000Z -crldays 5");
    ward.expect(&["crl-expiring"]);
    // An old one beside a fresh one of the same authority does no harm.
    ward.sh("cp crl.pem fresh.pem");
    crl("-crl_lastupdate 20200101000000Z -crl_nextupdate 20200301000000Z");
    crl("-crldays 100");
    ward.sh("cat crl.pem >> fresh.pem; mv fresh.pem crl.pem");
    ward.expect(&[]);
    ward.sh("printf garbage > crl.pem");
    ward.expect(&["crl-broken"]);
    ward.sh("openssl req -x509 -newkey rsa:2048 -nodes -keyout away/o.key -out o.crt -subj '/CN=Other' 2>/dev/null
             openssl ca -gencrl -config ca.cnf -cert o.crt -keyfile away/o.key -crldays 90 -out crl.pem 2>/dev/null");
    ward.expect(&["crl-mismatch", "crl-missing"]);
    ward.sh("openssl req -x509 -newkey rsa:2048 -nodes -keyout away/o.key -out o.crt -subj '/O=Rossi/CN=Rossi Root' 2>/dev/null
             openssl ca -gencrl -config ca.cnf -cert o.crt -keyfile away/o.key -crldays 90 -out crl.pem 2>/dev/null");
    ward.expect(&["crl-mismatch", "crl-missing"]);
    crl("-crldays 100");
    ward.tls_conf("crlfile DIR/crl.pem\nprotocol websockets\n");
    ward.expect(&["crl-on-websockets"]);
    ward.tls_conf("crlfile DIR/crl.pem\n");
    ward.sh("sed -i s/require_certificate.*/'require_certificate false'/ mosquitto.conf");
    ward.expect(&["crl-unused"]);
}

#[test]
fn what_undoes_the_plugin_is_told() {
    let home = Home::empty();
    home.init(&[]).ok();
    let conf = format!("user root\n{}", fs::read_to_string(home.path("mosquitto.conf")).unwrap());
    let codes = |conf: &str| {
        home.write("mosquitto.conf", conf);
        let outcome = home.run(&["doctor", "mosquitto.conf", "--format", "json"]);
        let json: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
        let found = json["findings"].as_array().unwrap().iter();
        found.map(|found| found["code"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(codes(&conf), [""; 0]);
    assert_eq!(codes(&format!("{conf}use_identity_as_username true\n")), ["identity-option"]);
    assert_eq!(codes(&format!("{conf}mount_point house/\n")), ["mount-point"]);
    home.write("acl", "topic read x\n");
    let own = format!("{conf}acl_file {}\n", home.path("acl").display());
    assert_eq!(codes(&own), ["no-effect"]);
    let other = plugin();
    let first =
        format!("plugin {}\n{conf}", other.parent().unwrap().parent().unwrap().join("other.so").display());
    assert_eq!(codes(&first), ["missing-file", "plugin-order"]);
    assert_eq!(codes(&format!("per_listener_settings true\n{conf}"))[0], "per-listener-settings");
    assert_eq!(codes("user root\n"), ["plugin-not-loaded"]);
    home.write("etc/devices.toml", "version = 1\n[lamp]\nrole = \"sensr\"\n");
    assert_eq!(codes(&conf), ["settings"]);
    let shown = home.run(&["doctor", "mosquitto.conf"]);
    assert!(
        shown.stdout.contains("no role is called `sensr`") && shown.stdout.contains("devices.toml:3:8"),
        "{shown:?}"
    );
}

broker_test!(lines_of_the_password_file_that_this_broker_cannot_read_are_told, |kind| {
    let ward = Ward::new();
    let passwd = kind.program("mosquitto_passwd");
    ward.sh(&format!("{} -b -c passwd alice secret 2>/dev/null; chmod 640 passwd", passwd.display()));
    ward.conf("listener 1883 localhost\nallow_anonymous false\npassword_file DIR/passwd\n");
    ward.expect(&[]);
    ward.mode("passwd", 0o644);
    ward.expect(&["passwords-readable"]);
    ward.mode("passwd", 0o640);
    ward.sh("echo bob:hunter2 >> passwd");
    ward.expect(&["password-line"]);
    let shown = ward.doctor(&[]).stdout;
    assert!(!shown.contains("hunter2"), "{shown}");
    let ends = kind.at_least(2, 1, 0);
    assert_eq!(ward.refused_by(kind).is_some(), ends, "as the finding says");
    ward.sh("sed -i '$d' passwd
             echo 'bob:$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2E$dGhpcnR5LXR3byBieXRlcyBvZiBub3RoaW5nIGF0IGFsbCE' >> passwd");
    ward.expect(&["argon2-unread"]);
    assert_eq!(ward.refused_by(kind).is_some(), ends, "as the finding says");
});

#[test]
fn secrets_of_bridges_and_of_unknown_lines_are_not_shown() {
    let ward = Ward::new();
    ward.conf(
        "remote_passwrd hunter2\nbridge_psk deadbeef\nconnection up\naddress a\nremote_password hunter2\n",
    );
    for format in ["human", "json"] {
        let outcome = ward.doctor(&["--format", format]);
        assert_eq!(outcome.status, Some(1), "{outcome:?}");
        assert!(outcome.stdout.contains("remote_passwrd"), "{outcome:?}");
        assert!(!outcome.stdout.contains("hunter2") && !outcome.stdout.contains("deadbeef"), "{outcome:?}");
    }
}

#[test]
fn what_cannot_be_looked_at_is_status_2_and_consent_is_asked_for() {
    let ward = Ward::new();
    let outcome = ward.doctor(&[]);
    assert_eq!(outcome.status, Some(2), "{outcome:?}");
    assert!(outcome.stderr.contains("is Mosquitto installed?"), "{outcome:?}");
    ward.conf("listenr 1883\n");
    let outcome = ward.doctor(&["--fix"]);
    assert_eq!(outcome.status, Some(2), "nobody to ask: {outcome:?}");
    assert_eq!(fs::read_to_string(ward.path("mosquitto.conf")).unwrap(), "user root\nlistenr 1883\n");
}

#[test]
fn what_is_to_be_typed_names_files_as_one_word() {
    let ward = Ward::new();
    ward.sound();
    ward.sh("mkdir 'my;id' && mv *.crt broker.key 'my;id' && cp away/ca.key 'my;id/it''s.key' && echo 01 > 'my;id/x y;id;.srl'");
    ward.conf(
        "listener 8883\ncafile DIR/my;id/ca.crt\ncertfile DIR/my;id/broker.crt\nkeyfile DIR/my;id/broker.key\n\
         require_certificate true\nuse_identity_as_username true\n",
    );
    ward.mode("my;id/broker.key", 0o644);
    let shown: String = ward
        .findings()
        .iter()
        .flat_map(|found| found["help"].as_array().unwrap().clone())
        .map(|help| help.to_string())
        .collect();
    let folder = ward.path("my;id");
    for (command, file) in [("rm", "x y;id;.srl"), ("mv", "its.key"), ("640", "broker.key")] {
        let line = format!("{command} '{}'", folder.join(file).display());
        assert!(shown.contains(&line), "{line} is not in {shown}");
    }
    assert!(!shown.contains(&format!(" {}", folder.display())), "{shown}");
}
