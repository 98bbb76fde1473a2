//! The audit: who came, who was refused and why, as one JSON object a line, whatever clients write and disks do.

use std::fs;

use serde_json::Value;

use crate::support::{Broker, Client, Conf, DoorKind, Fleet, Kind, Login, Publish, answered, wait_for};

const DEVICES: &str = "[phone]\npublish = ['cmd/#']\ndeny = ['cmd/secret']\nsubscribe = ['cmd/#']\n";

fn fleet(kind: Kind, settings: &str) -> Fleet {
    Fleet::with_passwords(kind, settings, DEVICES)
}

fn conf(kind: Kind, fleet: &Fleet) -> Conf {
    Broker::conf(kind)
        .guarded_by(&fleet.config())
        .tls("tls", fleet.authority(), "require_certificate true")
        .listener("tcp", DoorKind::Tcp, "")
}

fn phone() -> Login {
    Login::of("phone")
}

/// The records so far.
fn records(fleet: &Fleet) -> Vec<Value> {
    let text = fs::read_to_string(fleet.state().join("audit.jsonl")).unwrap_or_default();
    let end = text.rfind('\n').map_or(0, |end| end + 1);
    text[..end]
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect()
}

/// Waits for a record with these texts.
#[track_caller]
fn wait_for_record(fleet: &Fleet, wanted: &[(&str, &str)]) -> Value {
    let fits = |record: &Value| wanted.iter().all(|(key, text)| record[*key] == **text);
    wait_for(|| records(fleet).into_iter().find(fits))
        .unwrap_or_else(|| panic!("no record has {wanted:?}: {:#?}", records(fleet)))
}

broker_test!(who_came_and_who_was_refused_is_recorded_with_the_words_of_explain, |kind| {
    let fleet = fleet(kind, "");
    let mut broker = conf(kind, &fleet).start();
    let tcp = broker.door("tcp");
    let start = wait_for_record(&fleet, &[("event", "start")]);
    let address = broker.door("tcp").address.ip().to_string();

    let mut client = Client::welcome(tcp, &phone());
    let admitted = wait_for_record(&fleet, &[("event", "log-in"), ("decision", "admitted")]);
    for (key, value) in [
        ("who", "phone"),
        ("client_id", "phone"),
        ("credential", "password"),
        ("revision", start["revision"].as_str().unwrap()),
    ] {
        assert_eq!(admitted[key], *value, "{admitted}");
    }
    assert!(
        admitted["address"].as_str().is_some_and(|address| address.starts_with("127.")),
        "{admitted} {address}"
    );
    let time = admitted["time"].as_str().unwrap();
    assert!(time.len() == "2026-11-22T19:22:28.123Z".len() && time.ends_with('Z'), "{time}");

    let _refused = Client::unwelcome(tcp, &Login::new("x").user("phone").password("marker-wrong"));
    let refused = wait_for_record(&fleet, &[("event", "log-in"), ("decision", "refused")]);
    assert_eq!(refused["reason"], "wrong password");

    client.publish(&Publish::to("cmd/lamp").qos(1));
    client.publish(&Publish::to("cmd/secret").payload("marker-payload").qos(1));
    assert_eq!(client.subscribe("cmd/#"), 0x87);
    for (action, topic, reason) in [
        (
            "publish",
            "cmd/secret",
            "refused: publish to `cmd/secret` is denied by devices.toml:4 (deny `cmd/secret`)",
        ),
        (
            "subscribe",
            "cmd/#",
            "refused: `cmd/#` also matches `cmd/secret`, denied by devices.toml:4 (deny `cmd/secret`)",
        ),
    ] {
        let record = wait_for_record(&fleet, &[("event", "access"), ("topic", topic)]);
        for (key, value) in [
            ("who", "phone"),
            ("action", action),
            ("decision", "refused"),
            ("rule", "devices.toml:4"),
            ("reason", reason),
        ] {
            assert_eq!(record[key], *value, "{record}");
        }
        broker.wait_for_log(reason);
    }

    broker.reload();
    wait_for_record(&fleet, &[("event", "reload"), ("decision", "loaded")]);
    assert!(broker.stop().success());
    let events: Vec<String> =
        records(&fleet).iter().map(|record| record["event"].as_str().unwrap().to_owned()).collect();
    assert_eq!(events.last().map(String::as_str), Some("stop"), "{events:?}");
    let text = fs::read_to_string(fleet.state().join("audit.jsonl")).unwrap();
    assert!(!text.contains("marker-") && !text.contains("cmd/lamp"), "{text}");
});

broker_test!(what_clients_write_cannot_forge_a_record, |kind| {
    let fleet = fleet(kind, "");
    let broker = conf(kind, &fleet).start();
    let door = broker.door("tcp");
    let forged = "\"}\\,{\"event\":\"start\",\"who\":\"\u{202e}admin";
    let _refused = Client::unwelcome(door, &Login::new(forged).user(forged).password("x"));
    let record = wait_for_record(&fleet, &[("event", "log-in"), ("decision", "refused")]);
    assert_eq!((record["who"].as_str(), record["client_id"].as_str()), (Some(forged), Some(forged)));
    // On a busy machine the hash of who was refused may have cost all that hashing may take for now.
    let mut client = answered(door, &phone()).unwrap();
    let long = format!("x/{}", "\"é".repeat(20_000));
    client.publish(&Publish::to(&long).qos(1));
    let record = wait_for_record(&fleet, &[("event", "access")]);
    assert_eq!(record["cut"], true);
    assert!(long.starts_with(record["topic"].as_str().unwrap()), "{record}");
    assert_eq!(records(&fleet).iter().filter(|record| record["event"] == "start").count(), 1);
});

broker_test!(a_file_that_was_moved_away_is_begun_anew, |kind| {
    let fleet = fleet(kind, "");
    let broker = conf(kind, &fleet).start();
    wait_for_record(&fleet, &[("event", "start")]);
    let (path, moved) = (fleet.state().join("audit.jsonl"), fleet.state().join("audit.jsonl-20261122"));
    fs::rename(&path, &moved).unwrap();
    broker.reload();
    wait_for_record(&fleet, &[("event", "reload")]);
    let old = fs::read_to_string(moved).unwrap();
    assert!(old.contains("\"start\"") && !old.contains("\"reload\""), "{old}");
});

broker_test!(who_tries_a_thousand_times_is_summed_up, |kind| {
    let fleet = fleet(kind, "");
    let mut broker = conf(kind, &fleet).start();
    let mut client = Client::welcome(broker.door("tcp"), &phone());
    for _ in 0..300 {
        client.publish(&Publish::to("cmd/secret").qos(1));
    }
    assert!(broker.stop().success());
    let refused = records(&fleet).iter().filter(|record| record["event"] == "access").count();
    assert_eq!(refused, 100);
});

broker_test!(the_audit_can_go_to_the_log_or_nowhere, |kind| {
    for (to, lines) in [("log", 1), ("off", 0)] {
        let fleet = fleet(kind, &format!("[audit]\nto = '{to}'\n"));
        let broker = conf(kind, &fleet).start();
        let _client = Client::welcome(broker.door("tcp"), &phone());
        broker.settle();
        let log = broker.log();
        let records: Vec<Value> = log
            .lines()
            .filter_map(|line| Some(serde_json::from_str(line.split_once("citronella: audit: ")?.1).unwrap()))
            .collect();
        let admitted = |record: &&Value| record["decision"] == "admitted" && record["who"] == "phone";
        assert_eq!(records.iter().filter(admitted).count(), lines, "{log}");
        assert!(!fleet.state().join("audit.jsonl").exists());
    }
});

broker_test!(without_a_place_to_write_the_broker_serves_and_says_so_once, |kind| {
    let fleet = fleet(kind, "[state]\ndirectory = 'nowhere'\n");
    let broker = conf(kind, &fleet).start();
    for _ in 0..3 {
        let _client = Client::welcome(broker.door("tcp"), &phone());
    }
    broker.wait_for_log("citronella: the audit is not written: ");
    let _client = Client::welcome(broker.door("tcp"), &phone());
    broker.settle();
    assert_eq!(broker.log().matches("the audit is not written").count(), 1);
});

broker_test!(an_audit_that_ends_says_so, |kind| {
    for (change, again) in [
        ("[audit]\nto = 'off'\n", None),
        ("[audit]\nto = 'log'\n", None),
        ("[state]\ndirectory = 'elsewhere'\n", Some("elsewhere")),
    ] {
        let fleet = fleet(kind, "");
        fs::create_dir(fleet.path("elsewhere")).unwrap();
        let broker = conf(kind, &fleet).start();
        let start = wait_for_record(&fleet, &[("event", "start")]);
        fleet.write("citronella.toml", &format!("version = 1\n[auth]\npassword_file = 'passwd'\n{change}"));
        let reload = wait_for_record(&fleet, &[("event", "reload"), ("decision", "loaded")]);
        assert_ne!(reload["revision"], start["revision"], "what is in force from then on");
        Client::welcome(broker.door("tcp"), &phone()).disconnect();
        if change.contains("'log'") {
            broker.wait_for_log("citronella: audit: ");
            let log = broker.log();
            let told = log.lines().find_map(|line| line.split_once("citronella: audit: ")).unwrap().1;
            let told: Value = serde_json::from_str(told).unwrap();
            assert_eq!(
                (&told["event"], &told["revision"]),
                (&reload["event"], &reload["revision"]),
                "{told}"
            );
        }
        if let Some(folder) = again {
            let first = wait_for(|| {
                let text = fs::read_to_string(fleet.path(folder).join("audit.jsonl")).ok()?;
                serde_json::from_str::<Value>(text.lines().next()?).ok()
            });
            assert_eq!(first.unwrap()["revision"], reload["revision"]);
        }
        broker.settle();
        assert_eq!(records(&fleet).last(), Some(&reload), "the old one ends with that");
    }
});
