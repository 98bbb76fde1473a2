//! Every error that a client can run into on its way to a broker, made with real certificates and a real broker: does
//! `probe` name the cause?

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::{
    doctor_support::run_script,
    support::{Authority, Broker, Cmd, Conf, Credential, DoorKind, Kind},
};

/// A broker that is still to be started, with an authority in its folder.
pub(crate) struct Scene {
    pub(crate) conf: Conf,
    pub(crate) authority: Authority,
}

impl Scene {
    pub(crate) fn new(kind: Kind) -> Self {
        let conf = Broker::conf(kind).line("allow_anonymous true");
        let authority = Authority::new(&conf.dir().join("pki"));
        Self { conf, authority }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.conf.dir().join("pki").join(name)
    }

    /// Runs a script beside the authority; `ADDRESS` is the broker's.
    pub(crate) fn sh(&self, script: &str) {
        let script = script.replace("ADDRESS", &self.conf.address().to_string());
        run_script(&self.path(""), &script);
    }

    /// A broker's pair without a fault.
    pub(crate) fn pair(&self) -> Credential {
        self.authority.broker("broker", self.conf.address())
    }

    /// Starts it with one listener for TLS, and more lines below it.
    pub(crate) fn start(self, pair: &Credential, lines: &str) -> Started {
        let ca = self.authority.certificate();
        let tls = format!(
            "cafile {}\ncertfile {}\nkeyfile {}\n{}",
            ca.display(),
            pair.certificate.display(),
            pair.key.display(),
            lines.replace("DIR", self.path("").to_str().unwrap().trim_end_matches('/')),
        );
        Started {
            broker: self.conf.listener("tls", DoorKind::Tcp, &tls).start(),
            authority: self.authority,
            ca,
        }
    }
}

pub(crate) struct Started {
    broker: Broker,
    authority: Authority,
    ca: PathBuf,
}

impl Started {
    pub(crate) fn url(&self) -> String {
        format!("mqtts://{}", self.broker.door("tls").address)
    }

    /// What the probe says, as JSON.
    pub(crate) fn probe(&self, credential: Option<&Credential>, more: &[&str]) -> Value {
        let mut arguments: Vec<&str> = Vec::new();
        if !more.contains(&"--cafile") {
            arguments.extend(["--cafile", self.ca.to_str().unwrap()]);
        }
        if let Some(Credential { certificate, key }) = credential {
            arguments.extend(["--cert", certificate.to_str().unwrap(), "--key", key.to_str().unwrap()]);
        }
        arguments.extend(more);
        probe(&self.url(), &arguments)
    }

    /// Expects that it ends with this cause; all that it says.
    #[track_caller]
    pub(crate) fn expect(&self, code: &str, credential: Option<&Credential>, more: &[&str]) -> Value {
        let said = self.probe(credential, more);
        assert_eq!(said["cause"]["code"], code, "{said:#}");
        assert!(!said["cause"]["help"].as_array().unwrap().is_empty(), "{said:#}");
        said
    }
}

pub(crate) fn probe(url: &str, more: &[&str]) -> Value {
    let outcome = Cmd::new(["probe", url, "--format", "json"].iter().chain(more)).run();
    let said: Value = serde_json::from_str(&outcome.stdout).unwrap_or_else(|e| panic!("{e}: {outcome:?}"));
    assert_eq!(outcome.status, Some(i32::from(!said["cause"].is_null())), "{outcome:?}");
    said
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

broker_test!(a_good_set_up_is_told_whole, |kind| {
    let scene = Scene::new(kind);
    let pair = scene.pair();
    let lamp = scene.authority.device("lamp");
    let started = scene.start(&pair, "require_certificate true\nuse_identity_as_username true\n");
    let said = started.probe(Some(&lamp), &["--publish", "a/b", "--subscribe", "a/#"]);
    assert!(said["cause"].is_null(), "{said:#}");
    assert_eq!(said["tls"]["version"], "1.3");
    assert_eq!(said["tls"]["suite"], "TLS13_AES_256_GCM_SHA384");
    assert!(said["tls"]["full_ms"].as_f64().unwrap() > 0.0);
    assert!(said["tls"]["resumed_ms"].as_f64().is_some(), "{said:#}");
    assert_eq!(said["chain"][0]["version"], 3);
    assert_eq!((said["login"].as_u64(), said["subscribe"].as_u64()), (Some(0), Some(0)));
    assert_eq!(said["certificate_asked"], true);
    let human = Cmd::new(["probe", &started.url(), "--cafile", text(&started.ca), "--cert"]).run();
    assert_eq!(human.status, Some(2), "--cert without --key: {human:?}");
});

broker_test!(what_is_wrong_with_the_brokers_certificate_is_named, |kind| {
    for (script, code) in [
        ("openssl x509 -req -in b.csr -CA ca.crt -CAkey ca.key -set_serial 5 -days 9 -out b.crt", "certificate-v1"),
        (
            "printf basicConstraints=CA:FALSE > e
             openssl x509 -req -in b.csr -CA ca.crt -CAkey ca.key -set_serial 5 -days 9 -extfile e -out b.crt",
            "certificate-without-names",
        ),
        (
            "printf subjectAltName=DNS:broker.lan > e
             openssl x509 -req -in b.csr -CA ca.crt -CAkey ca.key -set_serial 5 -days 9 -extfile e -out b.crt",
            "wrong-name",
        ),
        (
            "printf subjectAltName=IP:ADDRESS > e
             openssl x509 -req -in b.csr -CA ca.crt -CAkey ca.key -set_serial 5 -days -1 -extfile e -out b.crt",
            "certificate-expired",
        ),
        (
            "printf 'subjectAltName=IP:ADDRESS\\n' > e; touch index
             printf '[ca]\\ndefault_ca=own\\n[own]\\ndatabase=index\\nnew_certs_dir=.\\nrand_serial=yes\\ndefault_md=sha256\\npolicy=any\\n[any]\\ncommonName=supplied\\n' > cnf
             openssl ca -batch -notext -config cnf -cert ca.crt -keyfile ca.key -startdate 20480101000000Z \
               -enddate 20490101000000Z -extfile e -in b.csr -out b.crt",
            "certificate-not-yet-valid",
        ),
        (
            "printf 'subjectAltName=IP:ADDRESS\\nextendedKeyUsage=clientAuth' > e
             openssl x509 -req -in b.csr -CA ca.crt -CAkey ca.key -set_serial 5 -days 9 -extfile e -out b.crt",
            "wrong-purpose",
        ),
        (
            "openssl req -x509 -key b.key -subj /CN=broker -days 9 -addext subjectAltName=IP:ADDRESS -out b.crt",
            "self-signed",
        ),
        (
            "printf 'subjectAltName=IP:ADDRESS\\nbasicConstraints=CA:FALSE' > e
             openssl req -new -key b.key -subj '/CN=Test CA' -out b.csr
             openssl x509 -req -in b.csr -CA ca.crt -CAkey ca.key -set_serial 5 -days 9 -extfile e -out b.crt",
            "same-name-as-ca",
        ),
        (
            "openssl req -x509 -newkey rsa:2048 -nodes -keyout o.key -out o.crt -subj '/CN=Test CA' -days 9
             printf 'subjectAltName=IP:ADDRESS\\n' > e
             openssl x509 -req -in b.csr -CA o.crt -CAkey o.key -set_serial 5 -days 9 -extfile e -out b.crt",
            "ca-recreated",
        ),
        (
            "openssl req -x509 -newkey rsa:2048 -nodes -keyout o.key -out o.crt -subj '/CN=Other CA' -days 9
             printf 'subjectAltName=IP:ADDRESS\\n' > e
             openssl x509 -req -in b.csr -CA o.crt -CAkey o.key -set_serial 5 -days 9 -extfile e -out b.crt",
            "wrong-ca",
        ),
    ] {
        let scene = Scene::new(kind);
        scene.sh(
            "openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout b.key -out b.csr -subj /CN=broker 2>/dev/null",
        );
        scene.sh(&format!("{{ {script}\n}} 2>/dev/null"));
        let pair = Credential { certificate: scene.path("b.crt"), key: scene.path("b.key") };
        let said = scene.start(&pair, "").expect(code, None, &[]);
        assert!(!said["chain"].as_array().unwrap().is_empty(), "the first pass describes it: {said:#}");
        assert!(!said["tls"].is_null(), "{said:#}");
    }
});

broker_test!(an_intermediate_that_is_not_sent_along_is_named, |kind| {
    let scene = Scene::new(kind);
    scene.sh("{ printf 'basicConstraints=critical,CA:TRUE\\nkeyUsage=critical,keyCertSign\\n' > ie
              printf 'subjectAltName=IP:ADDRESS\\n' > e
              openssl req -new -newkey rsa:2048 -nodes -keyout i.key -out i.csr -subj '/CN=Issuing CA'
              openssl x509 -req -in i.csr -CA ca.crt -CAkey ca.key -set_serial 5 -days 9 -extfile ie -out i.crt
              openssl req -new -newkey rsa:2048 -nodes -keyout b.key -out b.csr -subj /CN=broker
              openssl x509 -req -in b.csr -CA i.crt -CAkey i.key -set_serial 6 -days 9 -extfile e -out b.crt
              openssl req -new -newkey rsa:2048 -nodes -keyout lamp.key -out lamp.csr -subj /CN=lamp
              openssl x509 -req -in lamp.csr -CA i.crt -CAkey i.key -set_serial 7 -days 9 -out lamp.crt
              cat lamp.crt i.crt > chain.crt; cp lamp.key chain.key; cat b.crt i.crt > whole.crt
              } 2>/dev/null");
    let leaf_only = Credential { certificate: scene.path("b.crt"), key: scene.path("b.key") };
    let whole = Credential { certificate: scene.path("whole.crt"), key: scene.path("b.key") };
    let (lamp, chain) = (scene.authority.credential("lamp"), scene.authority.credential("chain"));
    let started = scene.start(&leaf_only, "require_certificate true\n");
    let said = started.expect("wrong-ca", Some(&chain), &[]);
    assert!(said["cause"]["help"].to_string().contains("append it to the `certfile`"), "{said:#}");

    // The same of a device.
    fs::copy(&whole.certificate, &leaf_only.certificate).unwrap();
    started.broker.reload();
    let said = started.expect("unknown-ca", Some(&lamp), &[]);
    assert!(said["cause"]["help"].to_string().contains("append its certificate to the device's"), "{said:#}");
    let said = started.probe(Some(&chain), &[]);
    assert!(said["cause"].is_null(), "{said:#}");
});

broker_test!(what_the_broker_has_against_a_clients_certificate_is_named, |kind| {
    let scene = Scene::new(kind);
    let pair = scene.pair();
    let authority = &scene.authority;
    let lamp = authority.device("lamp");
    let server = authority.broker("server", scene.conf.address());
    let expired = authority.expired("old");
    let future = authority.dated("new", "20480101000000Z", "20490101000000Z");
    let nameless = authority.client("nameless", "/O=Rossi", &[]);
    let other = Authority::new(&scene.conf.dir().join("other"));
    let stranger = other.device("stranger");
    scene.sh(
        "{ openssl req -x509 -newkey rsa:2048 -nodes -keyout o.key -out o.crt -subj '/CN=Other CA' -days 9
              openssl req -new -newkey rsa:2048 -nodes -keyout alien.key -out alien.csr -subj /CN=alien
              openssl x509 -req -in alien.csr -CA o.crt -CAkey o.key -set_serial 6 -days 9 -out alien.crt
              } 2>/dev/null",
    );
    let alien = authority.credential("alien");
    let started = scene.start(&pair, "require_certificate true\nuse_identity_as_username true\n");
    started.expect("certificate-required", None, &[]);
    started.expect("unknown-ca", Some(&alien), &[]);
    started.expect("ca-recreated", Some(&stranger), &[]);
    started.expect("wrong-purpose", Some(&server), &[]);
    started.expect("certificate-expired", Some(&expired), &[]);
    started.expect("certificate-not-yet-valid", Some(&future), &[]);
    started.expect("no-common-name", Some(&nameless), &[]);
    let said = started.probe(Some(&lamp), &[]);
    assert!(said["cause"].is_null(), "{said:#}");
});

broker_test!(what_a_crl_does_to_clients_is_named, |kind| {
    let lines = "require_certificate true\nuse_identity_as_username true\ncrlfile DIR/crl.pem\n";
    for (script, code) in [
        ("gencrl '-crldays 9'", None),
        (
            "openssl ca -config cnf -cert ca.crt -keyfile ca.key -revoke lamp.crt; gencrl '-crldays 9'",
            Some("revoked"),
        ),
        ("gencrl '-crl_lastupdate 20200101000000Z -crl_nextupdate 20200301000000Z'", Some("crl-expired")),
        (
            "gencrl '-crl_lastupdate 20480101000000Z -crl_nextupdate 20490301000000Z'",
            Some("crl-not-yet-valid"),
        ),
        (
            "openssl req -x509 -newkey rsa:2048 -nodes -keyout o.key -out o.crt -subj '/CN=Other CA' -days 9
             openssl ca -gencrl -config cnf -cert o.crt -keyfile o.key -crldays 9 -out crl.pem",
            Some("crl-missing"),
        ),
    ] {
        let scene = Scene::new(kind);
        let pair = scene.pair();
        let lamp = scene.authority.device("lamp");
        scene.sh(&format!(
            "{{ printf '[ca]\\ndefault_ca=own\\n[own]\\ndatabase=crl-index\\ndefault_md=sha256\\ncrlnumber=number\\nunique_subject=no\\n' > cnf
             touch crl-index; echo 01 > number
             gencrl() {{ openssl ca -gencrl -config cnf -cert ca.crt -keyfile ca.key $1 -out crl.pem; }}
             {script}
             }} 2>/dev/null"
        ));
        let started = scene.start(&pair, lines);
        match code {
            Some(code) => drop(started.expect(code, Some(&lamp), &[])),
            None => {
                let said = started.probe(Some(&lamp), &[]);
                assert!(said["cause"].is_null(), "{said:#}");
            }
        }
    }
});

broker_test!(ports_that_are_not_what_they_were_taken_for_are_named, |kind| {
    let scene = Scene::new(kind);
    let pair = scene.pair();
    let ca = scene.authority.certificate();
    let conf = scene.conf.listener("plain", DoorKind::Tcp, "");
    let started = Scene { conf, authority: scene.authority }.start(&pair, "");
    let plain = started.broker.door("plain").address;
    let said = probe(&format!("mqtts://{plain}"), &["--cafile", text(&ca)]);
    assert_eq!(said["cause"]["code"], "no-tls", "{said:#}");
    assert!(said["cause"]["message"].as_str().unwrap().contains("speaks MQTT without TLS"), "{said:#}");
    let said = probe(&format!("mqtt://{plain}"), &["--publish", "a"]);
    assert!(said["cause"].is_null(), "{said:#}");
    let tls = started.broker.door("tls").address;
    let said = probe(&format!("mqtt://{tls}"), &[]);
    assert_eq!(said["cause"]["code"], "tls-needed", "{said:#}");
    let said = probe(&format!("mqtts://{}:9", tls.ip()), &["--cafile", text(&ca)]);
    assert_eq!(said["cause"]["code"], "nothing-listens", "{said:#}");
    let said = probe("mqtts://no-such-host.invalid", &["--cafile", text(&ca)]);
    assert_eq!(said["cause"]["code"], "unknown-host", "{said:#}");

    // A certificate replaced without its key, and a reload.
    fs::copy(started.authority.device("other").certificate, &pair.certificate).unwrap();
    started.broker.signal("HUP");
    started.broker.wait_for_log("Reloading config");
    let found = crate::support::wait_for(|| {
        let said = started.probe(None, &[]);
        (said["cause"]["code"] == "no-shared-cipher").then_some(())
    });
    assert!(found.is_some(), "{:#}", started.probe(None, &[]));
});

broker_test!(a_log_in_that_is_refused_is_explained, |kind| {
    let scene = Scene::new(kind);
    let pair = scene.pair();
    let passwd = scene.path("passwd");
    let tool = kind.program("mosquitto_passwd");
    scene.sh(&format!("{} -b -c passwd phone right 2>/dev/null; chmod 644 passwd; printf wrong > wrong; printf right > right", tool.display()));
    let conf = Broker::conf(kind).line(&format!("password_file {}", passwd.display()));
    let files = scene.path("");
    let authority = Authority::new(&conf.dir().join("pki"));
    let pair_here = authority.broker("broker", conf.address());
    let _ = pair;
    let started = Scene { conf, authority }.start(&pair_here, "");
    let said = started.expect("not-authorised", None, &[]);
    assert!(said["cause"]["help"].to_string().contains("--username NAME"), "{said:#}");
    let wrong = files.join("wrong");
    started.expect("not-authorised", None, &["--username", "phone", "--password-file", text(&wrong)]);
    // A certificate does not help where none is asked for.
    let device = started.authority.device("thunder10");
    let said = started.expect("certificate-not-asked", Some(&device), &[]);
    assert!(said["cause"]["message"].to_string().contains("`thunder10` was not shown"), "{said:#}");
    let right = files.join("right");
    let said = started.probe(None, &["--username", "phone", "--password-file", text(&right)]);
    assert!(said["cause"].is_null(), "{said:#}");
});

#[test]
fn keys_that_cannot_be_used_are_status_2_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new(dir.path());
    let (lamp, other) = (authority.device("lamp"), authority.device("other"));
    run_script(
        dir.path(),
        "openssl pkcs8 -topk8 -v2 aes-256-cbc -iter 1000 -passout pass:secret -in lamp.key -out sealed.key
                            openssl ec -aes128 -passout pass:secret -in lamp.key -out old.key 2>/dev/null
                            printf secret > word; printf other > wrong",
    );
    let ca = authority.certificate();
    let run = |key: &str, more: &[&str]| {
        let key = dir.path().join(key);
        let mut arguments = vec![
            "probe",
            "mqtts://127.0.0.1:9",
            "--cafile",
            text(&ca),
            "--cert",
            text(&lamp.certificate),
            "--key",
            text(&key),
        ];
        arguments.extend(more);
        Cmd::new(arguments).dir(dir.path()).run()
    };
    for (key, more, status, said) in [
        ("other.key", &[][..], 2, "the key is not that of the certificate"),
        ("lamp.crt", &[], 2, "there is no private key"),
        ("old.key", &[], 2, "openssl pkcs8 -topk8 -v2 aes-256-cbc"),
        ("sealed.key", &["--key-passphrase-file", "wrong"], 2, "the passphrase does not open the key"),
        ("sealed.key", &["--key-passphrase-file", "word"], 1, "nothing listens on port 9"),
        ("lamp.key", &[], 1, "nothing listens on port 9"),
    ] {
        let outcome = run(key, more);
        assert_eq!(outcome.status, Some(status), "{key}: {outcome:?}");
        assert!(format!("{}{}", outcome.stdout, outcome.stderr).contains(said), "{key}: {outcome:?}");
    }
    let _ = other;
}
