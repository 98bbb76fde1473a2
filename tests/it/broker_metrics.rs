//! Numbers for people who watch: under `$SYS` for whoever may read it, and in a file for Prometheus.

use std::fs;

use citronella::metrics::Read;

use crate::support::{Broker, Client, Conf, DoorKind, Fleet, Kind, Login, Publish, wait_for};

const DEVICES: &str = "[phone]\npublish = ['cmd/#']\n[watcher]\nsubscribe = ['$SYS/broker/citronella/#']\n[curious]\nsubscribe = ['#']\n";

fn start(kind: Kind, settings: &str) -> (Fleet, Broker) {
    let fleet = Fleet::with_passwords(kind, settings, DEVICES);
    let conf: Conf = Broker::conf(kind).guarded_by(&fleet.config()).listener("tcp", DoorKind::Tcp, "");
    (fleet, conf.start())
}

/// One admitted, one refused, a publish allowed and two refused.
fn traffic(broker: &Broker) -> Client {
    let door = broker.door("tcp");
    let mut phone = Client::welcome(door, &Login::of("phone"));
    let _refused = Client::unwelcome(door, &Login::new("x").user("phone").password("wrong"));
    phone.publish(&Publish::to("cmd/lamp").qos(1));
    for _ in 0..2 {
        phone.publish(&Publish::to("other").qos(1));
    }
    phone
}

broker_test!(numbers_are_published_to_whoever_may_have_them, |kind| {
    let (_fleet, broker) = start(kind, "[metrics]\nsys_interval = 1\n");
    let mut curious = Client::welcome(broker.door("tcp"), &Login::of("curious"));
    curious.subscribe("#");
    curious.subscribe("$SYS/broker/citronella/#");
    let mut watcher = Client::welcome(broker.door("tcp"), &Login::of("watcher"));
    assert_eq!(watcher.subscribe("$SYS/broker/citronella/#"), 2);
    let _phone = traffic(&broker);
    let mut wanted = vec![
        ("log_ins/password/admitted", "3"),
        ("log_ins/password/refused", "1"),
        ("checks/publish/allowed", "1"),
        ("checks/publish/refused", "2"),
        ("devices/active", "3"),
        ("build_info/version", env!("CARGO_PKG_VERSION")),
    ];
    while !wanted.is_empty() {
        let message = watcher.receive();
        let topic = message.topic.strip_prefix("$SYS/broker/citronella/").unwrap();
        wanted.retain(|(name, value)| (*name, value.as_bytes()) != (topic, &message.payload[..]));
    }
    let given = curious.delivered();
    assert!(given.iter().all(|message| !message.topic.contains("citronella")), "{given:?}");

    // Retained: whoever comes later has them at once.
    let mut later =
        Client::welcome(broker.door("tcp"), &Login::new("watcher-2").user("watcher").password("right"));
    later.subscribe("$SYS/broker/citronella/devices/active");
    let message = later.receive();
    assert_eq!((&*message.topic, &message.payload[..]), ("$SYS/broker/citronella/devices/active", &b"3"[..]));
});

broker_test!(the_file_for_prometheus_is_whole_at_every_moment_and_gone_at_the_end, |kind| {
    let (fleet, mut broker) = start(kind, "[metrics]\nfile_interval = 1\nsys_interval = 0\n");
    let path = fleet.state().join("metrics.prom");
    let read = || fs::read_to_string(&path).ok().map(|text| Read::parse(&text).unwrap());
    let _phone = traffic(&broker);
    let refused = [("action", "publish"), ("result", "refused")];
    let found = wait_for(|| read().filter(|read| read.sum("citronella_checks_total", &refused) == Some(2.0)));
    let found = found.expect("the file");
    for (name, labels, value) in [
        ("citronella_log_ins_total", &[("credential", "password"), ("result", "admitted")][..], 1.0),
        ("citronella_log_ins_total", &[("result", "refused")], 1.0),
        ("citronella_checks_total", &[("action", "publish"), ("result", "allowed")], 1.0),
        ("citronella_devices", &[("state", "active")], 3.0),
        ("citronella_build_info", &[], 1.0),
    ] {
        assert_eq!(found.sum(name, labels), Some(value), "{name} {labels:?}");
    }
    assert!(broker.stop().success());
    assert!(!path.exists(), "nobody takes it for a plugin that lives");
});

broker_test!(what_happens_on_a_quiet_broker_is_in_the_file_long_before_its_interval, |kind| {
    let (fleet, broker) = start(kind, "[metrics]\nfile_interval = 3600\nsys_interval = 0\n");
    let path = fleet.state().join("metrics.prom");
    let sum = |result: &str| {
        let read = Read::parse(&fs::read_to_string(&path).ok()?).unwrap();
        read.sum("citronella_log_ins_total", &[("result", result)])
    };
    // The first one is from before anybody came.
    wait_for(|| sum("admitted")).expect("the file");
    let _phone = traffic(&broker);
    wait_for(|| (sum("admitted") == Some(1.0) && sum("refused") == Some(1.0)).then_some(()))
        .expect("the log-ins");
});
