//! SIGHUP with clients that are there and clients that are away: who is welcome stays, and keeps what is his.

use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt as _};

use citronella::snapshot::{Permissions, Snapshot};

use crate::support::{Broker, Client, Conf, Door, DoorKind, Fleet, Kind, Login, Publish, Refused, Version};

const SETTINGS: &str = "
version = 1
[auth]
password_file = 'passwd'
[everyone]
subscribe = ['to/{clientid}']
[anonymous]
subscribe = ['to/{clientid}']
";

const DEVICES: &str = "
version = 1
[cert]
certificates = 'any'
[both]
certificates = 'any'
auth = 'both'
[pass]
[writer]
publish = ['to/#']
";

fn fleet(kind: Kind) -> Fleet {
    let fleet = Fleet::new(SETTINGS, DEVICES);
    for name in ["both", "pass", "writer"] {
        fleet.password(kind, name, "right");
    }
    for name in ["cert", "both"] {
        fleet.authority().device(name);
    }
    fleet
}

fn conf(kind: Kind, fleet: &Fleet) -> Conf {
    Broker::conf(kind)
        .line("allow_anonymous false")
        .guarded_by(&fleet.config())
        .tls("tls", fleet.authority(), "require_certificate true")
        .wss("wss", fleet.authority(), "require_certificate true")
        .listener("tcp", DoorKind::Tcp, "")
        .listener("ws", DoorKind::Websocket, "")
}

/// One client for each way of being admitted and each version, by name of the door and device.
fn everybody(broker: &Broker, fleet: &Fleet) -> Vec<(Door, Login)> {
    let mut all = Vec::new();
    for (name, device) in [
        ("tls", "cert"),
        ("wss", "cert"),
        ("tls", "both"),
        ("wss", "both"),
        ("tcp", "pass"),
        ("ws", "pass"),
        ("tcp", ""),
        ("ws", ""),
    ] {
        for version in [Version::V311, Version::V5] {
            let mut door = broker.door(name).clone();
            let mut login = Login::new(&format!("c-{name}-{device}-{version:?}")).version(version);
            if matches!(device, "cert" | "both") {
                door = door.showing(&fleet.authority().credential(device));
            }
            if matches!(device, "both" | "pass") {
                login = login.user(device).password("right");
            }
            all.push((door, login));
        }
    }
    all
}

fn own_topic(login: &Login) -> String {
    format!("to/{}", login.id)
}

fn writer(broker: &Broker) -> Client {
    Client::welcome(broker.door("tcp"), &Login::of("writer"))
}

#[track_caller]
fn tell(writer: &mut Client, all: &[(Door, Login)], text: &str) {
    for (_, login) in all {
        writer.publish(&Publish::to(&own_topic(login)).payload(text));
    }
}

#[track_caller]
fn join(all: &[(Door, Login)], with: impl Fn(Login) -> Login) -> Vec<Client> {
    let join = |(door, login): &(Door, Login)| {
        let mut client = Client::welcome(door, &with(login.clone()));
        assert_eq!(client.subscribe(&own_topic(login)), 2);
        client
    };
    all.iter().map(join).collect()
}

broker_test!(who_is_connected_and_welcome_stays, |kind| {
    let fleet = fleet(kind);
    let broker = conf(kind, &fleet).start();
    let all = everybody(&broker, &fleet);
    let mut clients = join(&all, |login| login);
    let mut writer = writer(&broker);
    for text in ["first", "second"] {
        broker.reload();
        tell(&mut writer, &all, text);
        for (client, (_, login)) in clients.iter_mut().zip(&all) {
            assert_eq!(client.receive().payload, text.as_bytes(), "{login:?}");
        }
    }
    for _ in 0..100 {
        broker.signal("HUP");
    }
    tell(&mut writer, &all, "last");
    for client in &mut clients {
        assert_eq!(client.receive().payload, b"last");
        assert_eq!(client.delivered(), []);
    }
});

broker_test!(who_is_away_and_welcome_keeps_session_and_queue, |kind| {
    let fleet = fleet(kind);
    let broker = conf(kind, &fleet).start();
    let all = everybody(&broker, &fleet);
    for expiry_s in [3600, u32::MAX] {
        let lasting = |login: Login| Login { expiry_s, ..login.persistent() };
        join(&all, lasting).into_iter().for_each(Client::disconnect);
        let mut writer = writer(&broker);
        tell(&mut writer, &all, "before");
        broker.reload();
        tell(&mut writer, &all, "between");
        broker.reload();
        for (door, login) in &all {
            let mut client = Client::welcome(door, &lasting(login.clone()));
            assert!(client.session_present, "{login:?}");
            for text in ["before", "between"] {
                assert_eq!(client.receive().payload, text.as_bytes(), "{login:?}");
            }
            client.disconnect();
            Client::welcome(door, login).disconnect();
        }
    }
});

broker_test!(who_is_away_while_the_broker_restarts_keeps_them_too, |kind| {
    let fleet = fleet(kind);
    let with_store = || {
        let store = fleet.path("store");
        fs::create_dir_all(&store).unwrap();
        conf(kind, &fleet).line(&format!("persistence true\npersistence_location {}/", store.display()))
    };
    let mut broker = with_store().start();
    let all = everybody(&broker, &fleet);
    join(&all, Login::persistent).into_iter().for_each(Client::disconnect);
    tell(&mut writer(&broker), &all, "before");
    assert!(broker.stop().success());

    let broker = with_store().start();
    broker.reload();
    tell(&mut writer(&broker), &all, "after");
    broker.reload();
    for (door, login) in everybody(&broker, &fleet) {
        let mut client = Client::welcome(&door, &login.clone().persistent());
        assert!(client.session_present, "{login:?}");
        for text in ["before", "after"] {
            assert_eq!(client.receive().payload, text.as_bytes(), "{login:?}");
        }
    }
});

broker_test!(rules_that_change_hold_at_once, |kind| {
    let devices =
        |own: &str| format!("version = 1\n[d]\n{own}\n[other]\npublish = ['#']\nsubscribe = ['#']\n");
    let settings = "version = 1\n[auth]\npassword_file = 'passwd'\n";
    let fleet = Fleet::new(settings, &devices("publish = ['a']\nsubscribe = ['in/#']"));
    fleet.password(kind, "d", "right");
    fleet.password(kind, "other", "right");
    let broker = conf(kind, &fleet).start();
    let login = Login::of("d").persistent();
    let mut device = Client::welcome(broker.door("tcp"), &login);
    let mut other = Client::welcome(broker.door("tcp"), &Login::of("other"));
    let mut ask = |device: &mut Client| {
        other.publish(&Publish::to("in/1"));
        let got: Vec<_> = device.delivered().into_iter().map(|message| message.topic).collect();
        let answers = ["a", "b"].map(|topic| device.publish(&Publish::to(topic)) < 0x80);
        (got.len(), answers)
    };
    device.subscribe("in/#");
    assert_eq!(ask(&mut device), (1, [true, false]));
    for (rules, expected) in [
        ("publish = ['b']\nsubscribe = ['in/#']\nhide = ['in/1']", (0, [false, true])),
        ("publish = ['b']\nsubscribe = ['in/#']\nstate = 'quarantined'", (0, [false, false])),
    ] {
        fleet.write("devices.toml", &devices(rules));
        broker.reload();
        // Fewer rights: whoever is there is closed, so that it asks anew.
        device.ended();
        device = Client::welcome(broker.door("tcp"), &login);
        assert!(device.session_present);
        assert_eq!(ask(&mut device), expected);
    }
    // More rights: nobody is closed, and what the broker kept of the session is there.
    fleet.write("devices.toml", &devices("pubsub = ['#']"));
    broker.reload();
    device.subscribe("in/#");
    assert_eq!(ask(&mut device), (1, [true, true]));
});

broker_test!(a_broken_file_changes_nothing_and_is_cited, |kind| {
    let fleet = fleet(kind);
    let broker = conf(kind, &fleet).start();
    let all = everybody(&broker, &fleet);
    let mut clients = join(&all, |login| login);
    let mut writer = writer(&broker);
    let removed = DEVICES.replace("[cert]\ncertificates = 'any'\n", "");
    let place = |name: &str, place: &str| format!("{}:{place}", fleet.path(name).display());
    let mistakes = [
        (
            "devices.toml",
            format!("{removed}role = 'sensr'\n"),
            place("devices.toml", "9:8: error: no role is"),
        ),
        ("devices.toml", "version = 1\n[pass\n".to_owned(), place("devices.toml", "2:")),
        ("devices.toml", String::new(), place("devices.toml", "1:1: error: `version` is missing")),
        (
            "citronella.toml",
            format!("{SETTINGS}publsh = []\n"),
            place("citronella.toml", "9:1: error: unknown key"),
        ),
        ("passwd", "pass:secret\n".to_owned(), place("passwd", "1:1: error: the entry of `pass`")),
    ];
    for (name, text, cited) in mistakes {
        let good = fs::read_to_string(fleet.path(name)).unwrap();
        fleet.write(name, &text);
        broker.reload();
        broker.wait_for_log(&cited);
        fleet.write(name, &good);
    }
    // What strangers can write, what is not there, and what nobody can read.
    for (mode, cited) in [(0o646, "can be written by everybody"), (0o660, "")] {
        fs::set_permissions(fleet.path("devices.toml"), fs::Permissions::from_mode(mode)).unwrap();
        broker.reload();
        broker.wait_for_log(cited);
    }
    fs::rename(fleet.path("devices.toml"), fleet.path("elsewhere")).unwrap();
    broker.reload();
    broker.wait_for_log("devices.toml` cannot be read: No such file");
    fs::rename(fleet.path("elsewhere"), fleet.path("devices.toml")).unwrap();

    let log = broker.log();
    // A slow machine reads them twice: when they were changed, and at SIGHUP.
    let said = log.lines().filter_map(|line| line.split_once("citronella: ")).map(|(_, said)| said);
    let mistakes: BTreeSet<&str> = said.filter(|said| said.contains("error: ")).collect();
    assert_eq!(mistakes.len(), 7, "the group may be root's: {mistakes:#?}");
    assert!(!log.contains("secret"), "a password that stands where a hash should is not shown");
    tell(&mut writer, &all, "still here");
    for client in &mut clients {
        assert_eq!(client.receive().payload, b"still here");
    }
    clients.into_iter().for_each(Client::disconnect);
    join(&all, |login| login).into_iter().for_each(Client::disconnect);

    fleet.write("devices.toml", &removed);
    broker.reload();
    broker.wait_for_log("reloaded: 3 device(s)");
    let (door, login) = &all[0];
    assert!(matches!(Client::unwelcome(door, login), Refused::Connack(_)));
});

broker_test!(a_setting_that_counts_from_the_next_start_on_is_told_as_that, |kind| {
    let fleet = fleet(kind);
    let broker = conf(kind, &fleet).start();
    fleet.write("citronella.toml", &SETTINGS.replace("[auth]", "[auth]\nworkers = 2"));
    broker.wait_for_log("; `[auth] workers` counts from the broker's next start on");
    fleet.write("citronella.toml", &SETTINGS.replace("[auth]", "[auth]\nworkers = 2\nhash_budget = 100"));
    let revision =
        Snapshot::load(&fleet.config(), Permissions::Ignore).snapshot.unwrap().revision().to_owned();
    broker.wait_for_revision(&revision);
    assert_eq!(broker.log().matches("next start").count(), 1, "another change is no change of it");
});
