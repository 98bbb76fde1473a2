//! What a client runs into besides bad certificates: other programs on the port, silence, rules, and files that were
//! given wrongly.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    probe_causes::{Scene, probe, text},
    support::{Authority, Broker, Cmd, Credential, DoorKind, Fleet, Outcome, wait_for},
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
    for scheme in ["mqtt", "mqtts"] {
        let said = probe(&format!("{scheme}://{silent}"), &["--timeout", "1"]);
        assert_eq!(said["cause"]["code"], "no-answer", "{said:#}");
        assert!(said["cause"]["message"].as_str().unwrap().contains("within a second"), "{said:#}");
    }
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

/// A port that answers each connection with `first`, goes on with `again` many times a second, and hangs up after half a
/// minute.
fn port_that_goes_on(first: &'static [u8], again: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                let _ = stream.write_all(first);
                for _ in 0..600 {
                    thread::sleep(Duration::from_millis(50));
                    if stream.write_all(again).is_err() {
                        break;
                    }
                }
            });
        }
    });
    address
}

#[test]
fn a_step_ends_in_time_however_much_the_other_side_says() {
    let a_long_connack = port_that_goes_on(b"\x20\xff\xff\x3f", b"\0");
    let messages = port_that_goes_on(b"\x20\x03\0\0\0", b"\x30\x04\0\x01a\0");
    for address in [a_long_connack, messages] {
        let said = probe(&format!("mqtt://{address}"), &["--timeout", "1"]);
        assert_eq!(said["cause"]["code"], "no-answer", "{said:#}");
    }
}

/// A lid that is closed while it waits, or Ctrl-Z and `fg`: Linux ends its read then, and that is no answer.
#[test]
fn who_is_stopped_for_a_while_waits_on() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let url = format!("mqtt://{address}");
    let child = Cmd::new(["probe", &url, "--timeout", "60", "--format", "json"]).spawn();
    // The first connection only sees whether there is one.
    drop(listener.accept().unwrap());
    let (mut stream, _) = listener.accept().unwrap();
    assert_ne!(stream.read(&mut [0; 64]).unwrap(), 0);
    let pid = Pid::from_child(&child);
    let stat = format!("/proc/{}/stat", child.id());
    let comes_to = |state: &str| {
        let is = || fs::read_to_string(&stat).unwrap().contains(&format!(") {state} ")).then_some(());
        assert!(wait_for(is).is_some(), "never {state}");
    };
    comes_to("S");
    kill_process(pid, Signal::STOP).unwrap();
    comes_to("T");
    kill_process(pid, Signal::CONT).unwrap();
    comes_to("S");
    // CONNACK and PINGRESP.
    stream.write_all(b"\x20\x03\0\0\0\xd0\0").unwrap();
    let outcome = Outcome::of(child);
    assert_eq!(outcome.status, Some(0), "{outcome:?}");
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

broker_test!(a_certificate_that_was_given_and_not_shown_is_told_as_that, |kind| {
    let scene = Scene::new(kind);
    scene.sh("{ printf subjectAltName=DNS:broker.lan > e
              openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout b.key -out b.csr -subj /CN=broker
              openssl x509 -req -in b.csr -CA ca.crt -CAkey ca.key -set_serial 5 -days 9 -extfile e -out b.crt
              } 2>/dev/null");
    let lamp = scene.authority.device("lamp");
    let ca = scene.authority.certificate();
    let pair = Credential { certificate: scene.path("b.crt"), key: scene.path("b.key") };
    let started = scene.start(&pair, "require_certificate true\n");
    let said = started.expect("wrong-name", Some(&lamp), &[]);
    assert_eq!(
        (&said["certificate_asked"], &said["certificate_shown"]),
        (&true.into(), &false.into()),
        "{said:#}"
    );
    let human = |more: &[&str]| {
        Cmd::new([&["probe", &started.url(), "--cafile", text(&ca)], more].concat()).run().stdout
    };
    let told = human(&["--cert", text(&lamp.certificate), "--key", text(&lamp.key)]);
    assert!(
        told.contains("asked for; that of lamp was not shown, because this broker is not believed"),
        "{told}"
    );
    let told = human(&[]);
    assert!(told.contains("asked for, and none was given"), "{told}");
});

broker_test!(an_alert_that_has_no_cause_of_its_own_is_told_with_the_way_to_the_reason, |kind| {
    let scene = Scene::new(kind);
    let pair = scene.pair();
    // An authority below ours that may name devices of one domain only, and names one of another.
    scene.sh("{ printf 'basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\nnameConstraints=critical,permitted;DNS:lan\n' > ie
              printf 'subjectAltName=DNS:lamp.example\n' > e
              openssl req -new -newkey rsa:2048 -nodes -keyout i.key -out i.csr -subj '/CN=Issuing CA'
              openssl x509 -req -in i.csr -CA ca.crt -CAkey ca.key -set_serial 5 -days 9 -extfile ie -out i.crt
              openssl req -new -newkey rsa:2048 -nodes -keyout lamp.key -out lamp.csr -subj /CN=lamp
              openssl x509 -req -in lamp.csr -CA i.crt -CAkey i.key -set_serial 7 -days 9 -extfile e -out lamp.crt
              cat i.crt >> lamp.crt
              } 2>/dev/null");
    let lamp = scene.authority.credential("lamp");
    let started = scene.start(&pair, "require_certificate true\n");
    let said = started.expect("refused-by-tls", Some(&lamp), &[]);
    assert!(said["cause"]["help"].to_string().contains("mosquitto.log"), "{said:#}");
    assert_eq!(said["certificate_shown"], true, "{said:#}");
});

broker_test!(a_handshake_that_breaks_off_is_told, |kind| {
    let scene = Scene::new(kind);
    let (pair, ca) = (scene.pair(), scene.authority.certificate());
    let started = scene.start(&pair, "");
    // As a forwarder does whose broker goes away: who looks whether the port is open and what is shown there comes through,
    // the next one ends at once.
    let broker = started.url().trim_start_matches("mqtts://").parse::<SocketAddr>().unwrap();
    let listener = TcpListener::bind((broker.ip(), 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for _ in 0..2 {
            let outside = listener.accept().unwrap().0;
            let inside = TcpStream::connect(broker).unwrap();
            let (mut from, mut to) = (outside.try_clone().unwrap(), inside.try_clone().unwrap());
            thread::spawn(move || io::copy(&mut from, &mut to));
            let (mut from, mut to) = (inside, outside);
            thread::spawn(move || io::copy(&mut from, &mut to));
        }
        for stream in listener.incoming() {
            // What was sent is read: else the connection would be reset.
            let _ = stream.unwrap().read(&mut [0; 4096]);
        }
    });
    let said = probe(&format!("mqtts://{address}"), &["--cafile", text(&ca)]);
    assert_eq!(said["cause"]["code"], "handshake", "{said:#}");
    assert!(
        !said["chain"].as_array().unwrap().is_empty()
            && !said["cause"]["help"].as_array().unwrap().is_empty()
    );
});
