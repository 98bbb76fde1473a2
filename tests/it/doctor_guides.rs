//! The mistakes of the guides that people follow, made with the tools of the guides: does `doctor` name each of them?

use std::fs;

use crate::{
    doctor_support::Ward,
    support::{Broker, Cmd, Conf, plugin},
};

/// The openssl recipe of a guide of 2018 as it stands: authority and server certificate on the broker itself, the
/// questions of `openssl req` answered alike both times.
fn home_guide() -> Ward {
    let ward = Ward::new();
    ward.sh("mkdir certs ca_certificates && cd certs
         openssl genrsa -des3 -passout pass:secret -out ca.key 2048 2>/dev/null
         openssl req -new -x509 -days 3650 -key ca.key -passin pass:secret -out ca.crt \
           -subj '/C=JP/ST=Tokyo/O=Home/CN=User-PC.local/emailAddress=me@example.com'
         openssl genrsa -out server.key 2048 2>/dev/null
         openssl req -new -out server.csr -key server.key \
           -subj '/C=JP/ST=Tokyo/O=Home/CN=User-PC.local/emailAddress=me@example.com'
         openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -passin pass:secret -CAcreateserial \
           -out server.crt -days 3650 2>/dev/null");
    ward.conf(
        "allow_anonymous false\npassword_file DIR/passwd\nport 8883\ncafile DIR/certs/ca.crt\n\
         certfile DIR/certs/server.crt\nkeyfile DIR/certs/server.key\ntls_version tlsv1\n",
    );
    ward.write("passwd", "");
    ward.mode("passwd", 0o640);
    ward
}

/// The one of 2016: a board and a broker, both keys with a passphrase.
fn board_guide() -> Ward {
    let ward = Ward::new();
    ward.sh(
        "openssl req -new -x509 -extensions v3_ca -newkey rsa:2048 -nodes -days 730 -keyout m2mqtt_ca.key \
           -out m2mqtt_ca.crt -subj '/C=IT/ST=Italy/L=Rome/O=Test/OU=Test/CN=Test Root/emailAddress=me@example.com' 2>/dev/null
         mkdir stick && mv m2mqtt_ca.key stick/
         openssl genrsa -des3 -passout pass:secret -out m2mqtt_srv.key 2048 2>/dev/null
         openssl req -new -key m2mqtt_srv.key -passin pass:secret -out m2mqtt_srv.csr -subj '/C=IT/O=Test/CN=localhost'
         openssl x509 -req -in m2mqtt_srv.csr -CA m2mqtt_ca.crt -CAkey stick/m2mqtt_ca.key -CAcreateserial \
           -out m2mqtt_srv.crt -days 730 2>/dev/null",
    );
    ward.conf(
        "listener 8883\ncafile DIR/m2mqtt_ca.crt\ncertfile DIR/m2mqtt_srv.crt\nkeyfile DIR/m2mqtt_srv.key\ntls_version tlsv1\n",
    );
    ward
}

#[test]
fn the_home_guides_broker_has_every_mistake_of_its_guide() {
    home_guide().expect(&[
        "ca-key-on-broker",
        "ca-named-like-host",
        "ca-without-key-usage",
        "certificate-v1",
        "certificate-without-names",
        "email-in-name",
        "long-certificate",
        "no-client-certificate",
        "port-line",
        "same-name-as-ca",
        "serial-file",
        "tls-version",
        "weak-key-encryption",
    ]);
}

#[test]
fn the_board_guides_broker_has_every_mistake_of_its_guide() {
    board_guide().expect(&[
        "ca-without-key-usage",
        "certificate-v1",
        "certificate-without-names",
        "email-in-name",
        "key-passphrase",
        "no-client-certificate",
        "no-way-in",
        "serial-file",
        "tls-version",
    ]);
}

#[test]
fn openssl_agrees_about_the_certificates_of_the_guides() {
    let ward = home_guide();
    let text = ward.sh("openssl x509 -in certs/server.crt -noout -text");
    assert!(text.contains("Version: 1 (0x0)") && !text.contains("Subject Alternative Name"), "{text}");
    let verified = ward.sh("openssl verify -CAfile certs/ca.crt certs/server.crt 2>&1 || true");
    assert!(
        verified.contains("self-signed certificate") || verified.contains("self signed certificate"),
        "{verified}"
    );
    assert!(ward.sh("head -1 certs/ca.key").contains("ENCRYPTED"));
    let ward = board_guide();
    let strict = ward.sh("openssl verify -x509_strict -CAfile m2mqtt_ca.crt m2mqtt_srv.crt 2>&1 || true");
    assert!(strict.contains("CA cert does not include key usage extension"), "{strict}");
}

broker_test!(the_brokers_themselves_say_so, |kind| {
    // Old TLS: no start, and without the line it starts.
    let ward = board_guide();
    ward.sh("openssl rsa -in m2mqtt_srv.key -passin pass:secret -out m2mqtt_srv.key 2>/dev/null");
    let said = ward.refused_by(kind).expect("it does not start");
    assert!(said.contains("Unsupported tls_version \"tlsv1\""), "{said}");
    let outcome = ward.doctor(&["--fix", "--yes"]);
    assert!(outcome.stderr.contains("-tls_version tlsv1\n+# tls_version tlsv1"), "{outcome:?}");
    assert_eq!(ward.refused_by(kind), None);
    assert!(!ward.codes().contains("tls-version"));

    // A passphrase, and nobody to type it.
    let ward = board_guide();
    ward.sh("sed -i /tls_version/d mosquitto.conf");
    assert!(ward.refused_by(kind).is_some());
    assert!(ward.codes().contains("key-passphrase"));
    let help =
        ward.findings().iter().find(|found| found["code"] == "key-passphrase").unwrap()["help"][0].clone();
    let step = help.as_str().unwrap().split('`').nth(1).unwrap().replace("sudo ", "");
    ward.sh(&step.replace("openssl pkey", "openssl pkey -passin pass:secret"));
    assert_eq!(ward.refused_by(kind), None, "the step that is printed mends it");
    assert!(!ward.codes().contains("key-passphrase"));
});

broker_test!(a_path_with_a_slip_is_found_again, |kind| {
    let ward = home_guide();
    ward.sh("sed -i -e /tls_version/d -e s,certs/ca.crt,ca_cetificates/ca.crt, mosquitto.conf");
    assert!(ward.refused_by(kind).is_some());
    let found = ward.findings();
    let missing = found.iter().find(|found| found["code"] == "missing-file").unwrap();
    assert_eq!(missing["help"][0], format!("did you mean `{}`?", ward.path("certs/ca.crt").display()));
    assert_eq!(missing["line"], 5);
    ward.doctor(&["--fix", "--yes"]);
    assert!(!ward.codes().contains("missing-file"));
    assert_eq!(ward.refused_by(kind), None);
});

broker_test!(a_key_that_only_root_may_read_is_told_with_the_step_that_mends_it, |kind| {
    let ward = home_guide();
    ward.sh("sed -i -e /tls_version/d -e '/^user/d' mosquitto.conf");
    ward.sh("chgrp mosquitto passwd; chmod 600 certs/server.key; chown root:root certs/server.key");
    let said = ward.refused_by(kind).expect("it does not start");
    assert!(said.contains("Unable to load server key file"), "{said}");
    let found = ward.findings();
    let unread = found.iter().find(|found| found["code"] == "unreadable-file").unwrap();
    ward.sh(&unread["help"][0].as_str().unwrap().replace("sudo ", ""));
    assert!(!ward.codes().contains("unreadable-file"));
    assert_eq!(ward.refused_by(kind), None, "the step that is printed mends it");
});

#[test]
fn certificates_whose_names_count_for_nothing_are_told() {
    let ward = Ward::new();
    ward.sound();
    ward.tls_conf("");
    ward.expect(&[]);
    ward.sh("sed -i /use_identity/d mosquitto.conf");
    ward.expect(&["certificate-name-unused"]);
    ward.sh("sed -i /require_certificate/d mosquitto.conf");
    ward.expect(&["no-client-certificate", "no-way-in"]);
}

#[test]
fn an_address_that_stands_where_names_stand_is_told() {
    let ward = Ward::new();
    ward.sound();
    ward.tls_conf("");
    let sign = |subject: &str, names: &str| {
        ward.sh(&format!(
            "openssl req -new -key broker.key -out b.csr -subj '/CN={subject}'
             printf '{names}basicConstraints=CA:FALSE\\n' > b.ext
             openssl x509 -req -in b.csr -CA ca.crt -CAkey away/ca.key -set_serial 9 -days 300 -extfile b.ext -out broker.crt 2>/dev/null"
        ));
    };
    sign("192.168.1.5", "");
    ward.expect(&["address-as-name"]);
    sign("broker", "subjectAltName=DNS:192.168.1.5\\n");
    ward.expect(&["address-as-name"]);
    sign("broker", "subjectAltName=IP:192.168.1.5\\n");
    ward.expect(&["only-addresses"]);
    sign("broker", "subjectAltName=IP:192.168.1.5,DNS:broker.lan\\n");
    ward.expect(&[]);
}

#[test]
fn a_sha_1_fingerprint_is_called_by_its_name() {
    let ward = Ward::new();
    ward.sound();
    let printed = ward.sh("openssl x509 -in broker.crt -noout -fingerprint");
    let sha1 = printed.trim().split('=').nth(1).unwrap();
    ward.write("etc/citronella.toml", "version = 1\n[registry]\nfile = \"devices.toml\"\n");
    ward.write(
        "etc/devices.toml",
        format!("version = 1\n[lamp]\ncertificates = [{{ sha256 = \"{sha1}\" }}]\n"),
    );
    ward.tls_conf("");
    ward.sh("sed -i /use_identity/d mosquitto.conf");
    let plugin = plugin();
    let conf = fs::read_to_string(ward.path("mosquitto.conf")).unwrap();
    ward.conf(&format!("{conf}plugin {}\nplugin_opt_config DIR/etc/citronella.toml\n", plugin.display()));
    ward.sh("sed -i 1d mosquitto.conf");
    let found = ward.findings();
    let settings =
        found.iter().find(|found| found["code"] == "settings").unwrap_or_else(|| panic!("{found:?}"));
    assert!(settings["message"].as_str().unwrap().contains("this is a SHA-1 fingerprint"), "{settings}");
    assert!(settings["help"].to_string().contains("-fingerprint -sha256"), "{settings}");
}

/// The commands in a finding's help, in the order in which they are to be typed.
fn steps(ward: &Ward, code: &str) -> Vec<String> {
    let found = ward.findings();
    let found =
        found.iter().find(|found| found["code"] == code).unwrap_or_else(|| panic!("{code}: {found:?}"));
    let help = found["help"].as_array().unwrap().iter().map(|help| help.as_str().unwrap());
    help.filter_map(|help| Some(help.split_once("sudo ")?.1.to_owned())).collect()
}

/// Types a command that was printed. What it would ask at a terminal stands behind it.
#[track_caller]
fn obey(ward: &Ward, step: &str, answers: &str) {
    let Some(arguments) = step.strip_prefix("citronella ") else {
        ward.sh(step);
        return;
    };
    let script = format!("\"$citronella\" {arguments} {answers}");
    let command = Cmd::shell(&script).dir(ward.dir());
    let command = command.env("CITRONELLA_CONFIG", ward.path("etc/citronella.toml"));
    command.env("CITRONELLA_CA_PASSPHRASE", "a passphrase").env("CITRONELLA_KEY_PASSPHRASE", "secret").ok();
}

/// As Debian has it: parts in a folder, and the guide's lines in one of them. What leaves no choice is mended.
fn installed(ward: &Ward) {
    ward.sh("mkdir conf.d etc; grep -v ^user mosquitto.conf > conf.d/guide.conf");
    ward.conf("include_dir DIR/conf.d\n");
    assert_eq!(ward.doctor(&[]).status, Some(1));
    ward.doctor(&["--fix", "--yes"]);
}

/// What `init` would ask, and where this broker is.
fn init_answers(ward: &Ward, claim: &Conf) -> String {
    format!(
        "--plugin {} --mosquitto-conf {} --listen {} --yes",
        plugin().display(),
        ward.path("conf.d/citronella.conf").display(),
        claim.address()
    )
}

broker_test!(the_steps_that_doctor_prints_lead_from_the_guides_broker_to_a_clean_one, |kind| {
    let claim = Broker::conf(kind);
    for ward in [home_guide(), board_guide()] {
        installed(&ward);
        // A new authority takes the place of the old one.
        let step = &steps(&ward, "certificate-v1")[0];
        assert!(step.starts_with("citronella init --take-port"), "{step}");
        obey(&ward, step, &init_answers(&ward, &claim));
        // Lines of the broker's own access control were left.
        ward.doctor(&["--fix", "--yes"]);
        let outcome = ward.doctor(&["--deny-warnings"]);
        assert_eq!(outcome.status, Some(0), "{outcome:?}");
        assert_eq!(ward.refused_by(kind), None, "and it starts");
    }
});

broker_test!(the_authority_of_a_guide_is_kept_by_the_steps_that_doctor_prints, |kind| {
    let claim = Broker::conf(kind);
    for (ward, own) in [(home_guide(), "certs/ca.crt"), (board_guide(), "m2mqtt_ca.crt")] {
        installed(&ward);
        let steps = steps(&ward, "certificate-v1");
        let [anew, keep] = &steps[..] else { panic!("{steps:?}") };
        assert!(keep.starts_with("citronella ca adopt "), "{keep}");
        // Where the key is away, as it should be, it is told so.
        obey(&ward, &keep.replace(" KEY", " stick/m2mqtt_ca.key"), "");
        obey(&ward, anew, &init_answers(&ward, &claim));
        assert_eq!(ward.refused_by(kind), None);

        // Whoever has the guide's ca.crt knows the broker still.
        ward.sh(&format!(
            "openssl verify -CAfile {own} -purpose sslserver -verify_hostname localhost etc/tls/broker.crt"
        ));
        let outcome = ward.doctor(&[]);
        assert_eq!(outcome.status, Some(0), "{outcome:?}");
        let left = ["ca-named-like-host", "ca-without-key-usage", "email-in-name", "no-effect"];
        let codes = ward.codes();
        assert!(codes.iter().all(|code| left.contains(&&**code)), "{codes:?}");

        // What is left is the authority's own, and goes with it.
        let next = steps_of_rollover(&ward);
        for step in &next {
            obey(&ward, step, "");
        }
        ward.doctor(&["--fix", "--yes"]);
        let outcome = ward.doctor(&["--deny-warnings"]);
        assert_eq!(outcome.status, Some(0), "{next:?}: {outcome:?}");
        assert_eq!(ward.refused_by(kind), None);
    }
});

/// The way to the next authority, as `doctor` and the first step of it print it.
fn steps_of_rollover(ward: &Ward) -> Vec<String> {
    let first = steps(ward, "ca-without-key-usage").remove(0);
    assert_eq!(first, "citronella ca rollover");
    vec![first, "citronella broker renew --no-reload".into(), "citronella ca rollover --finish".into()]
}
