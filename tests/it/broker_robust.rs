//! What must not bring a broker down: a fault of ours, and its own end.

use std::{env, fs, path::Path};

use crate::support::{
    Broker, Client, Conf, DoorKind, Fleet, Kind, Login, Publish, Version, Will, admitted, refused, wait_for,
};

const SETTINGS: &str = "
[everyone]
subscribe = ['who/{device}', 'a/#']
publish = ['#']
";

fn conf(kind: Kind, fleet: &Fleet) -> Conf {
    Broker::conf(kind)
        .guarded_by(&fleet.config())
        .listener("tcp", DoorKind::Tcp, "")
        .listener("ws", DoorKind::Websocket, "")
        .tls("tls", fleet.authority(), "require_certificate true")
        .wss("wss", fleet.authority(), "require_certificate true")
}

const DEVICES: &str = "[thunder10]\n[bad]\n[cert]\ncertificates = 'any'\n";

fn fleet(kind: Kind) -> Fleet {
    Fleet::with_passwords(kind, SETTINGS, DEVICES)
}

broker_test!(a_panic_refuses_one_request_and_the_broker_lives_on, |kind| {
    // Only debug builds have the fault; a plugin from elsewhere may be a release build.
    if env::var_os("CITRONELLA_PLUGIN").is_some() {
        println!("left out: the plugin comes from elsewhere");
        return;
    }
    let settings = format!("{SETTINGS}[metrics]\nfile_interval = 1\n");
    let fleet = Fleet::with_passwords(kind, &settings, DEVICES);
    let mut broker = conf(kind, &fleet).env("CITRONELLA_FAULT_TOPIC", "a/fault").start();
    let line = "the fault that was asked for";
    let mut faults = 0;
    for name in ["tcp", "ws"] {
        let mut reader = Client::welcome(broker.door(name), &Login::of("thunder10"));
        reader.subscribe("a/#");
        for version in [Version::V311, Version::V5] {
            let mut client = Client::welcome(broker.door(name), &Login::of("bad").version(version));
            for qos in 0..=2 {
                let answer = client.publish(&Publish::to("a/fault").qos(qos));
                assert_eq!(answer, if qos > 0 && version == Version::V5 { 0x87 } else { 0 });
                assert_eq!(client.publish(&Publish::to("a/fine").qos(qos)), 0);
                client.ping().unwrap();
                let delivered: Vec<_> = reader.delivered().into_iter().map(|message| message.topic).collect();
                assert_eq!(delivered, ["a/fine"]);
            }
            client.disconnect();
            // A fault while a will is judged.
            drop(Client::welcome(broker.door("tcp"), &Login::of("bad").will(Will::to("a/fault", "gone"))));
            broker.settle();
            assert_eq!(reader.delivered(), []);
            faults += 4;
        }
    }
    let log = broker.log();
    assert_eq!(log.matches(line).count(), faults, "one line each");
    assert_eq!(log.matches("citronella: access check: internal error at src/plugin/mod.rs:").count(), faults);
    let read = |name: &str| fs::read_to_string(fleet.state().join(name)).unwrap_or_default();
    let counted = format!("citronella_internal_errors_total{{kind=\"panic\"}} {faults}\n");
    assert!(
        wait_for(|| read("metrics.prom").contains(&counted).then_some(())).is_some(),
        "{}",
        read("metrics.prom")
    );
    let audit = read("audit.jsonl");
    let recorded = audit.lines().filter(|line| {
        line.contains("\"access\"")
            && line.contains("\"refused\"")
            && line.contains("access check: internal error at")
    });
    assert_eq!(recorded.count(), faults, "{audit}");
    broker.reload();
    admitted(broker.door("tcp"), &Login::of("thunder10"), "thunder10");
    refused(&broker, broker.door("tcp"), &Login::new("c"), "neither a certificate nor a user name");
    assert!(broker.stop().success());
});

broker_test!(a_panic_after_a_change_keeps_nobody_connected_whom_it_locks_out, |kind| {
    if env::var_os("CITRONELLA_PLUGIN").is_some() {
        println!("left out: the plugin comes from elsewhere");
        return;
    }
    let fleet = fleet(kind);
    let mut broker = conf(kind, &fleet).env("CITRONELLA_FAULT_DEVICE", "bad").start();
    let credential = fleet.authority().device("cert");
    let door = broker.door("tcp");
    let mut lost = [
        Client::welcome(door, &Login::of("bad")),
        Client::welcome(door, &Login::of("thunder10")),
        Client::welcome(&broker.door("tls").showing(&credential), &Login::new("")),
    ];
    let gone = DEVICES.replace("]\n", "]\nstate = 'disabled'\n");
    fleet.write("devices.toml", &format!("version = 1\n{gone}[new]\n"));
    // All at once are more than half of the devices only if they are removed.
    broker.wait_for_log("citronella: internal error after a change was put in force");
    for client in &mut lost {
        client.ended();
    }
    broker.wait_for_log("whom the change locks out was looked for again");
    assert!(!broker.log().contains("stays in force"));
    assert!(broker.stop().success());
});

broker_test!(a_broker_ends_well_with_everybody_there, |kind| {
    let fleet = fleet(kind);
    let credential = fleet.authority().device("cert");
    for reloads in [0, 3] {
        let mut broker = conf(kind, &fleet).start();
        let mut clients = Vec::new();
        for name in ["tcp", "ws", "tls", "wss"] {
            for version in [Version::V311, Version::V5] {
                let will = Will { qos: 1, retain: true, ..Will::to("a/will", "gone") };
                let login =
                    Login::new(&format!("{name}-{version:?}")).version(version).persistent().will(will);
                let (door, login) = if name.starts_with('t') && name != "tcp" || name == "wss" {
                    (broker.door(name).showing(&credential), login)
                } else {
                    (broker.door(name).clone(), login.user("thunder10").password("right"))
                };
                let mut client = Client::welcome(&door, &login);
                client.subscribe("a/#");
                clients.push(client);
            }
        }
        for _ in 0..reloads {
            broker.reload();
        }
        // Refusals that would have been summed up, and a kick that waits for its tick.
        for _ in 0..20 {
            Client::unwelcome(broker.door("tcp"), &Login::new("c"));
        }
        if reloads > 0 {
            fleet.write("devices.toml", "version = 1\n");
            broker.signal("HUP");
        }
        let status = broker.stop();
        assert!(status.success(), "{status}");
        assert!(broker.log().contains("terminating"));
    }
});

/// Nothing of ours is read or written where it should not be, or lost.  2.0.11 only: the others bring a libc of their own.
#[test]
fn valgrind_finds_nothing_of_ours_on_2_0_11() {
    if !Path::new("/usr/bin/valgrind").exists() {
        println!("left out: valgrind is not installed");
        return;
    }
    let kind = Kind::named("2.0.11");
    let fleet = fleet(kind);
    let report = fleet.path("valgrind");
    let log = format!("--log-file={}", report.display());
    let mut broker = Broker::conf(kind)
        .guarded_by(&fleet.config())
        .under(&["valgrind", &log, "--leak-check=full", "--keep-debuginfo=yes", "--num-callers=40"])
        .listener("tcp", DoorKind::Tcp, "")
        .tls("tls", fleet.authority(), "require_certificate true")
        .start();
    let ca = fleet.authority();
    let door = broker.door("tls").showing(&ca.device("cert"));
    for _ in 0..3 {
        admitted(&door, &Login::new("c").persistent(), "cert");
        refused(&broker, &broker.door("tls").showing(&ca.device("nobody")), &Login::new("c"), "no device");
        admitted(broker.door("tcp"), &Login::of("thunder10"), "thunder10");
        refused(&broker, broker.door("tcp"), &Login::of("thunder10").password("x"), "wrong password");
        broker.reload();
    }
    let mut present = Client::welcome(&door, &Login::new("present"));
    let mut other = Client::welcome(broker.door("tcp"), &Login::of("thunder10"));
    other.publish(&Publish::to("a/b"));
    // Changes one after the other, with those whom they lock out, those who come meanwhile, and those who guess.
    for round in 0..8 {
        let mut comers: Vec<_> =
            (0..5).map(|number| Client::welcome(&door, &Login::new(&format!("c{number}")))).collect();
        Client::unwelcome(broker.door("tcp"), &Login::new("").user(&format!("nobody{round}")).password("x"));
        let state = if round % 2 == 0 { "state = 'disabled'" } else { "revoked = []" };
        fleet.write(
            "devices.toml",
            &format!("version = 1\n[thunder10]\n[bad]\n[cert]\ncertificates = 'any'\n{state}\n"),
        );
        broker.reload();
        if round % 2 == 0 {
            for client in &mut comers {
                client.ended();
            }
            present.ended();
            fleet.write("devices.toml", "version = 1\n[thunder10]\n[bad]\n[cert]\ncertificates = 'any'\n");
            broker.reload();
            broker.wait_for_kicks();
            present = Client::welcome(&door, &Login::new("present"));
        }
    }
    fleet.write("devices.toml", "version = 1\n[broken\n");
    broker.reload();
    fleet.write("devices.toml", "version = 1\n[bad]\n");
    broker.reload();
    present.ended();
    other.ended();
    assert!(broker.stop().success());

    let report = std::fs::read_to_string(report).unwrap();
    // A certificate that we were given and keep was made by OpenSSL, long before we saw it.
    let names = ["libcitronella", "citronella_", "mosquitto_plugin_", "X509_new"];
    let ours = |block: &&str| names.iter().any(|name| block.contains(name));
    // The broker keeps its list of callbacks until it ends, and so do libraries what they make once.
    let kept = ["still reachable", ": mosquitto_callback_register", "sync::once::Once", "Command:"];
    let harmful = |block: &&str| !kept.iter().any(|name| block.contains(name));
    // Blocks are parted by lines that have only the process in them.
    let pid = report.split("==").nth(1).unwrap();
    let blocks = report.split(&format!("=={pid}== \n")).filter(ours).filter(harmful).collect::<Vec<_>>();
    assert!(report.contains("ERROR SUMMARY"), "{report}");
    assert!(blocks.is_empty(), "{}", blocks.join("\n"));
    assert!(!report.contains("Process terminating"), "{report}");
}
