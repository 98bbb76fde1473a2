//! Whoever uses a client id takes over its session and its queue: only whose it is may.

use std::{fs, process::Command};

use crate::support::{Broker, Client, Conf, DoorKind, Fleet, Kind, Login, Publish, Version, refused_once};

const SETTINGS: &str = "[everyone]\npubsub = ['to/#']\n";

const DEVICES: &str = "[gw]\n[gw-7]\n[phone]\n";

fn fleet(kind: Kind, rule: &str) -> Fleet {
    Fleet::with_passwords(kind, &format!("{SETTINGS}[identity]\nclient_id = '{rule}'\n"), DEVICES)
}

fn conf(kind: Kind, fleet: &Fleet) -> Conf {
    Broker::conf(kind).guarded_by(&fleet.config()).listener("tcp", DoorKind::Tcp, "")
}

fn login(id: &str, name: &str) -> Login {
    Login::new(id).user(name).password("right")
}

broker_test!(nobody_takes_over_the_session_of_another_device, |kind| {
    let fleet = fleet(kind, "protect");
    let broker = conf(kind, &fleet).start();
    let door = broker.door("tcp");
    let mut online = Client::welcome(door, &login("mosq-1", "gw-7"));
    let mut away = Client::welcome(door, &login("mosq-2", "gw-7").persistent());
    away.subscribe("to/gw-7");
    away.disconnect();
    let mut writer = Client::welcome(door, &login("phone", "phone"));
    writer.publish(&Publish::to("to/gw-7"));
    for id in ["mosq-1", "mosq-2"] {
        // `gw` is how `gw-7` begins, and another device all the same.
        for name in ["gw", "phone"] {
            for version in [Version::V311, Version::V5] {
                for login in [login(id, name).version(version), login(id, name).version(version).persistent()]
                {
                    let reason = "the session of this client id belongs to `gw-7`";
                    refused_once(&broker, door, &login, reason);
                }
            }
        }
    }
    online.ping().unwrap();
    // Its own device takes it over, and finds what was kept.
    let mut back = Client::welcome(door, &login("mosq-2", "gw-7").persistent());
    assert!(back.session_present);
    assert_eq!(back.receive().topic, "to/gw-7");
    Client::welcome(door, &login("mosq-1", "gw-7"));
    online.ended();
});

broker_test!(an_id_that_is_free_again_is_anybodys_where_the_broker_can_be_asked, |kind| {
    let fleet = fleet(kind, "protect");
    let broker = conf(kind, &fleet).start();
    let door = broker.door("tcp");
    Client::welcome(door, &login("mosq-1", "gw")).disconnect();
    if kind.at_least(2, 1, 0) {
        Client::welcome(door, &login("mosq-1", "phone")).disconnect();
    } else {
        // COMPAT: 2.0 does not say whether the session is still there, so it is remembered.
        refused_once(
            &broker,
            door,
            &login("mosq-1", "phone"),
            "the session of this client id belongs to `gw`",
        );
    }
    // A device that is registered no longer holds nothing.
    fleet.write("devices.toml", &format!("version = 1\n{}", DEVICES.replace("[gw]\n", "")));
    broker.reload();
    Client::welcome(door, &login("mosq-1", "phone")).disconnect();
});

broker_test!(after_a_restart_of_2_0_the_first_comer_has_the_session, |kind| {
    let fleet = fleet(kind, "protect");
    let store = fleet.path("store");
    fs::create_dir_all(&store).unwrap();
    let start = || {
        let line = format!("persistence true\npersistence_location {}/", store.display());
        conf(kind, &fleet).line(&line).start()
    };
    let mut broker = start();
    Client::welcome(broker.door("tcp"), &login("mosq-1", "gw").persistent()).disconnect();
    assert!(broker.stop().success());
    let broker = start();
    let taken = login("mosq-1", "phone").persistent();
    if kind.at_least(2, 1, 0) {
        let reason = "the session of this client id belongs to `gw`";
        refused_once(&broker, broker.door("tcp"), &taken, reason);
    } else {
        // COMPAT: nothing tells whose it was.
        assert!(Client::welcome(broker.door("tcp"), &taken).session_present);
        refused_once(&broker, broker.door("tcp"), &login("mosq-1", "gw"), "belongs to `phone`");
    }
});

broker_test!(where_any_id_may_be_used_sessions_are_taken_over, |kind| {
    let fleet = fleet(kind, "any");
    let broker = conf(kind, &fleet).start();
    let mut online = Client::welcome(broker.door("tcp"), &login("mosq-1", "gw"));
    Client::welcome(broker.door("tcp"), &login("mosq-1", "phone")).ping().unwrap();
    online.ended();
});

broker_test!(programs_that_choose_ids_at_random_get_in, |kind| {
    let fleet = fleet(kind, "protect");
    let broker = conf(kind, &fleet).start();
    let door = broker.door("tcp");
    for number in 0..3 {
        for name in ["gw", "phone"] {
            let output = Command::new(kind.program("mosquitto_pub"))
                .args(["-h", &door.address.ip().to_string(), "-p", &door.address.port().to_string()])
                .args(["-u", name, "-P", "right", "-q", "1", "-t", "to/x", "-m", "hello"])
                .output()
                .unwrap();
            assert!(output.status.success(), "{number}: {output:?}");
            Client::welcome(door, &login("", name).v311()).disconnect();
        }
    }
});
