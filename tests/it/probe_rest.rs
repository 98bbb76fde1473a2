//! What a client runs into besides bad certificates: other programs on the port, silence, rules, and files that were
//! given wrongly.

use std::{
    io::Write as _,
    net::{SocketAddr, TcpListener},
    process::{Child, Command, Stdio},
    thread,
};

use crate::{
    probe_causes::{Scene, probe, text},
    support::{Authority, Broker, Credential, DoorKind, Fleet, wait_for},
};

broker_test!(over_websockets_it_is_the_same_with_and_without_tls, |kind| {
    let fleet = Fleet::new("", "");
    let authority = fleet.authority();
    let broker = Broker::conf(kind)
        .line("allow_anonymous true")
        .listener("ws", DoorKind::Websocket, "")
        .listener("plain", DoorKind::Tcp, "")
        .wss("wss", authority, "require_certificate true")
        .start();
    let said = probe(&format!("ws://{}", broker.door("ws").address), &["--publish", "a", "--subscribe", "a"]);
    assert!(said["cause"].is_null(), "{said:#}");
    assert!(said["login"] == 0 && said["subscribe"] == 0 && !said["publish"].is_null(), "{said:#}");

    let wss = format!("wss://{}/", broker.door("wss").address);
    let ca = authority.certificate();
    let lamp = authority.device("lamp");
    let trust = ["--cafile", text(&ca)];
    let shown = ["--cert", text(&lamp.certificate), "--key", text(&lamp.key), "--publish", "a"];
    let said = probe(&wss, &[&trust[..], &shown[..]].concat());
    assert!(said["cause"].is_null(), "{said:#}");
    assert!(said["certificate_shown"] == true && said["tls"]["version"] == "1.3", "{said:#}");
    let said = probe(&wss, &trust);
    assert!(!said["cause"].is_null() && said["certificate_asked"] == true, "{said:#}");

    // A port without frames, and one without TLS.
    let plain = broker.door("plain").address;
    let said = probe(&format!("ws://{plain}/mqtt"), &["--timeout", "5"]);
    assert_eq!(said["cause"]["code"], "no-websocket", "{said:#}");
    assert!(
        said["cause"]["help"].to_string().contains(&format!("citronella probe mqtt://{plain}")),
        "{said:#}"
    );
});

/// A port that answers each connection with these bytes, and then is silent.
fn port_that_says(bytes: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let mut open = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.write_all(bytes);
            open.push(stream);
        }
    });
    address
}

#[test]
fn another_program_on_the_port_and_silence_are_told_apart() {
    let ssh = port_that_says(b"SSH-2.0-OpenSSH_9.2p1\r\n");
    let said = probe(&format!("mqtt://{ssh}"), &["--timeout", "2"]);
    assert_eq!(said["cause"]["code"], "no-mqtt", "{said:#}");
    let silent = port_that_says(b"");
    let said = probe(&format!("mqtt://{silent}"), &["--timeout", "1"]);
    assert_eq!(said["cause"]["code"], "no-answer", "{said:#}");
    assert!(said["cause"]["message"].as_str().unwrap().contains("within a second"), "{said:#}");
}

/// What brokers seldom say, byte by byte. SOURCE: MQTT 5.0 section 3.2, MQTT 3.1.1 section 3.2.
#[test]
fn every_answer_to_a_log_in_has_its_cause() {
    let answers: [(&[u8], &str, &str); 8] = [
        (b"\x20\x02\0\x01", "mqtt-version", "does not speak MQTT 5.0"),
        (b"\x20\x03\0\x84\0", "mqtt-version", "does not speak MQTT 5.0"),
        (b"\x20\x03\0\x85\0", "client-id", "--client-id"),
        (b"\x20\x03\0\x88\0", "not-now", "wait a minute"),
        (b"\x20\x03\0\x89\0", "not-now", "wait a minute"),
        (b"\x20\x03\0\x97\0", "not-now", "quota"),
        (b"\x20\x03\0\x8a\0", "banned", "locked this client out"),
        (b"\x20\x03\0\x80\0", "refused", "mosquitto.log"),
    ];
    for (bytes, code, says) in answers {
        let said = probe(&format!("mqtt://{}", port_that_says(bytes)), &["--timeout", "10"]);
        assert_eq!(said["cause"]["code"], code, "{bytes:?}: {said:#}");
        assert!(said["cause"].to_string().contains(says), "{bytes:?}: {said:#}");
    }
}

/// `openssl s_server`, ended when this is dropped.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_server_that_speaks_old_tls_only_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new(dir.path());
    let pair = authority.broker("broker", "127.0.0.1".parse().unwrap());
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let child = Command::new("openssl")
        .args(["s_server", "-quiet", "-tls1_1", "-cipher", "ALL:@SECLEVEL=0", "-accept"])
        .arg(format!("127.0.0.1:{port}"))
        .args(["-cert", text(&pair.certificate), "-key", text(&pair.key)])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _server = Server(child);
    let listens = || std::net::TcpStream::connect(("127.0.0.1", port)).ok().map(drop);
    assert!(wait_for(listens).is_some());
    let said = probe(&format!("mqtts://127.0.0.1:{port}"), &["--cafile", text(&authority.certificate())]);
    assert_eq!(said["cause"]["code"], "tls-version", "{said:#}");
}

#[test]
fn a_port_that_closes_at_once_is_told() {
    // As a forwarder does that finds nobody behind it.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || listener.incoming().for_each(drop));
    let said = probe(&format!("mqtt://{address}"), &[]);
    assert_eq!(said["cause"]["code"], "closed", "{said:#}");
    assert!(said["cause"]["help"].to_string().contains("mosquitto.log"), "{said:#}");
}

broker_test!(what_the_rules_refuse_is_told_with_the_way_to_the_reason, |kind| {
    let scene = Scene::new(kind);
    let pair = scene.pair();
    let lamp = scene.authority.device("lamp");
    scene.sh("printf 'user lamp\\ntopic write a/b\\n' > acl; chmod 644 acl");
    let acl = scene.path("acl");
    let Scene { conf, authority } = scene;
    let scene = Scene { conf: conf.line(&format!("acl_file {}", acl.display())), authority };
    let started = scene.start(&pair, "require_certificate true\nuse_identity_as_username true\n");
    let said = started.probe(Some(&lamp), &["--publish", "a/b"]);
    assert!(said["cause"].is_null(), "{said:#}");
    let said = started.expect("not-allowed", Some(&lamp), &["--publish", "c/d"]);
    assert!(said["cause"]["help"].to_string().contains("citronella explain lamp publish c/d"), "{said:#}");
});

broker_test!(an_authority_that_cannot_judge_is_told, |kind| {
    let scene = Scene::new(kind);
    let pair = scene.pair();
    let weak = {
        scene.sh(
            "{ openssl req -new -newkey rsa:2048 -nodes -keyout weak.key -out weak.csr -subj /CN=weak
               openssl x509 -req -sha1 -in weak.csr -CA ca.crt -CAkey ca.key -set_serial 6 -days 9 -extfile /dev/null -out weak.crt
               openssl req -new -newkey rsa:2048 -nodes -keyout v1.key -out v1.csr -subj /CN=v1
               openssl x509 -req -in v1.csr -signkey v1.key -days 9 -out v1.crt
               openssl x509 -x509toreq -in ca.crt -signkey ca.key -out ca.csr
               printf 'basicConstraints=critical,CA:TRUE\\n' > ca.ext
               openssl x509 -req -in ca.csr -signkey ca.key -days -1 -extfile ca.ext -out ended.crt
               } 2>/dev/null",
        );
        Credential { certificate: scene.path("weak.crt"), key: scene.path("weak.key") }
    };
    let (v1, ended) = (scene.path("v1.crt"), scene.path("ended.crt"));
    let lamp = scene.authority.device("lamp");
    let started = scene.start(&pair, "require_certificate true\nuse_identity_as_username true\n");
    started.expect("weak-certificate", Some(&weak), &[]);
    started.expect("not-an-authority", None, &["--cafile", text(&lamp.certificate)]);
    // OpenSSL takes that for an authority.
    started.expect("wrong-ca", None, &["--cafile", text(&v1)]);
    started.expect("ca-expired", None, &["--cafile", text(&ended)]);
    let said = probe(&started.url(), &["--config", "/nowhere/citronella.toml"]);
    assert_eq!(said["cause"]["code"], "not-judged", "{said:#}");
    assert!(!said["chain"].as_array().unwrap().is_empty(), "{said:#}");
});

broker_test!(a_brokers_certificate_with_what_nobody_knows_is_told, |kind| {
    let scene = Scene::new(kind);
    scene.sh("{ openssl req -new -newkey rsa:2048 -nodes -keyout b.key -out b.csr -subj /CN=broker
               printf 'subjectAltName=IP:ADDRESS\\n1.2.3.4=critical,ASN1:NULL\\n' > e
               openssl x509 -req -in b.csr -CA ca.crt -CAkey ca.key -set_serial 5 -days 9 -extfile e -out b.crt
               } 2>/dev/null");
    let pair = Credential { certificate: scene.path("b.crt"), key: scene.path("b.key") };
    scene.start(&pair, "").expect("bad-certificate", None, &[]);
});
