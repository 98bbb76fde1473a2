//! Who is welcome no more: closed when connected, refused when coming back, given nothing meanwhile.

use std::fs;

use crate::support::{
    Broker, Client, Conf, Door, DoorKind, Fleet, Kind, Login, Publish, Version, answered, refused, wait_for,
};

const SETTINGS: &str = "
version = 1
[auth]
password_file = 'passwd'
[everyone]
subscribe = ['to/{device}']
";

/// The registry: `lost` with these lines, and those who stay.
fn devices(lost: &str) -> String {
    format!("version = 1\n{lost}\n[other]\ncertificates = 'any'\n[writer]\npublish = ['to/#']\n")
}

const WELCOME: &str = "[lost]\ncertificates = 'any'";

fn fleet(kind: Kind) -> Fleet {
    let fleet = Fleet::new(SETTINGS, &devices(WELCOME));
    for name in ["lost", "other", "writer"] {
        fleet.password(kind, name, "right");
        fleet.authority().device(name);
    }
    fleet
}

fn conf(kind: Kind, fleet: &Fleet) -> Conf {
    Broker::conf(kind)
        .guarded_by(&fleet.config())
        .tls("tls", fleet.authority(), "require_certificate true")
        .wss("wss", fleet.authority(), "require_certificate true")
        .listener("tcp", DoorKind::Tcp, "")
        .listener("ws", DoorKind::Websocket, "")
}

/// The ways in of a device: with its certificate or with its password, by TCP or websocket.
fn ways(broker: &Broker, fleet: &Fleet, name: &str) -> Vec<(Door, Login)> {
    let way = |door: &'static str| {
        let login = Login::new(&format!("{name}-{door}"));
        if matches!(door, "tls" | "wss") {
            (broker.door(door).showing(&fleet.authority().credential(name)), login)
        } else {
            (broker.door(door).clone(), login.user(name).password("right"))
        }
    };
    ["tls", "wss", "tcp", "ws"].map(way).into()
}

fn change(broker: &Broker, fleet: &Fleet, lost: &str) {
    fleet.write("devices.toml", &devices(lost));
    broker.reload();
}

/// Changes the registry and waits until these clients are closed, and have closed: with websockets over TLS 2.0 waits
/// for that, 20 seconds if need be.
#[track_caller]
fn lock_out(broker: &Broker, fleet: &Fleet, lost: &str, clients: Vec<(&str, Client)>) {
    let before = broker.log().len();
    change(broker, fleet, lost);
    let ended = clients.into_iter().map(|(id, mut client)| {
        client.ended();
        id
    });
    for id in ended.collect::<Vec<_>>() {
        let line = |line: &&str| {
            let ended = line.contains(" disconnected") || line.contains(" closed its connection");
            ended && line.contains(&format!(": Client {id} "))
        };
        let found = wait_for(|| broker.log()[before..].lines().find(line).map(drop));
        assert!(found.is_some(), "{id} is not closed");
    }
}

broker_test!(who_is_locked_out_is_closed_at_once_and_nobody_else, |kind| {
    let fleet = fleet(kind);
    let broker = conf(kind, &fleet).start();
    let mut others: Vec<_> =
        ways(&broker, &fleet, "other").iter().map(|(door, login)| Client::welcome(door, login)).collect();
    for (lost, reason) in [
        ("[lost]\ncertificates = 'any'\nstate = 'disabled'", "the device is disabled"),
        ("[lost]\nstate = 'retired'", "the device is retired"),
        ("", "no device is called `lost`"),
    ] {
        for version in [Version::V311, Version::V5] {
            let lost_ways = ways(&broker, &fleet, "lost");
            let join = |(door, login): &(Door, Login)| Client::welcome(door, &login.clone().version(version));
            let clients: Vec<_> = lost_ways.iter().map(join).collect();
            let ids = lost_ways.iter().map(|(_, login)| &*login.id);
            lock_out(&broker, &fleet, lost, ids.zip(clients).collect());
            for (door, login) in lost_ways.iter().filter(|(door, _)| !door.kind.is_websocket()) {
                refused(&broker, door, login, reason);
            }
            change(&broker, &fleet, WELCOME);
        }
    }
    for client in &mut others {
        client.ping().unwrap();
    }
});

broker_test!(a_certificate_or_password_that_is_withdrawn_closes_its_sessions, |kind| {
    let fleet = fleet(kind);
    let broker = conf(kind, &fleet).start();
    let second = fleet.authority().client("second", "/CN=lost", &[]);
    let revoked = fleet.authority().credential("lost").fingerprint();
    for (lost, reason) in [
        (format!("[lost]\ncertificates = 'any'\nrevoked = ['{revoked}']"), "is revoked"),
        (format!("[lost]\ncertificates = [{{ sha256 = '{}' }}]", second.fingerprint()), "is not one of"),
        (
            format!("[lost]\ncertificates = [{{ sha256 = '{revoked}', not_after = 2020-01-01T00:00:00Z }}]"),
            "the certificate has expired",
        ),
    ] {
        let all = ways(&broker, &fleet, "lost");
        let clients: Vec<_> = all.iter().map(|(door, login)| Client::welcome(door, login)).collect();
        let ids = all.iter().map(|(_, login)| &*login.id);
        // All sessions of a device are closed: no broker of 2.0 can tell one from the other.
        lock_out(&broker, &fleet, &lost, ids.zip(clients).collect());
        refused(&broker, &all[0].0, &all[0].1, reason);
        // The password is as good as before, and who has come with nothing else stays.
        let mut with_password: Vec<_> =
            all[2..].iter().map(|(door, login)| Client::welcome(door, login)).collect();
        change(&broker, &fleet, &format!("{lost}\n# nothing else"));
        for client in &mut with_password {
            client.ping().unwrap();
        }
        change(&broker, &fleet, WELCOME);
    }
    let all = ways(&broker, &fleet, "lost");
    let mut clients: Vec<_> = all[2..].iter().map(|(door, login)| Client::welcome(door, login)).collect();
    fleet.password(kind, "lost", "changed");
    broker.reload();
    for client in &mut clients {
        client.ended();
    }
    refused(&broker, &all[2].0, &all[2].1, "wrong password");
    Client::welcome(&all[2].0, &all[2].1.clone().password("changed")).ping().unwrap();
});

broker_test!(who_is_locked_out_while_away_is_given_nothing, |kind| {
    let fleet = fleet(kind);
    let broker = conf(kind, &fleet).start();
    let mut writer = Client::welcome(broker.door("tcp"), &Login::of("writer"));
    for (version, expiry_s) in [(Version::V311, 0), (Version::V5, 3600), (Version::V5, u32::MAX)] {
        let all: Vec<_> = ways(&broker, &fleet, "lost")
            .into_iter()
            .map(|(door, login)| (door, Login { expiry_s, ..login.persistent().version(version) }))
            .collect();
        for (door, login) in &all {
            let mut client = Client::welcome(door, login);
            client.subscribe("to/lost");
            client.disconnect();
        }
        for (lost, secret) in [("[lost]\nstate = 'disabled'", "one"), ("", "two")] {
            change(&broker, &fleet, lost);
            assert!(matches!(writer.publish(&Publish::to("to/lost").payload(secret)), 0 | 0x10));
        }
        // Who comes while the name is still to be closed is closed with it.
        broker.wait_for_kicks();
        change(&broker, &fleet, WELCOME);
        for (door, login) in &all {
            let mut client = Client::welcome(door, login);
            assert!(client.session_present, "{login:?}");
            assert_eq!(client.delivered(), []);
            client.disconnect();
            Client::welcome(door, &Login { clean: true, expiry_s: 0, ..login.clone() }).disconnect();
        }
    }
});

broker_test!(many_who_are_locked_out_at_once_are_all_closed, |kind| {
    let names: Vec<String> = (0..400).map(|number| format!("d{number}")).collect();
    let registry = |state: &str| -> String {
        let devices = names.iter().map(|name| format!("[{name}]\ncertificates = 'any'\n{state}\n"));
        format!("version = 1\n[other]\n{}", devices.collect::<String>())
    };
    let fleet = Fleet::new("version = 1\n[auth]\npassword_file = 'passwd'\n", "version = 1\n[d]\n");
    fleet.password(kind, "other", "right");
    let hash = fs::read_to_string(fleet.path("passwd")).unwrap();
    let hash = hash.trim().split_once(':').unwrap().1;
    // One hash for all of them: making 400 takes longer than the test.
    let with_hash = |state: &str| registry(&format!("password = '{hash}'\n{state}"));
    fleet.write("devices.toml", &with_hash(""));
    let broker = Broker::conf(kind).guarded_by(&fleet.config()).listener("tcp", DoorKind::Tcp, "").start();
    let door = broker.door("tcp");
    let mut other = answered(door, &Login::of("other")).unwrap();
    let mut clients: Vec<_> = names.iter().map(|name| answered(door, &Login::of(name)).unwrap()).collect();
    fleet.write("devices.toml", &with_hash("state = 'disabled'"));
    for client in &mut clients {
        client.ended();
    }
    broker.wait_for_kicks();
    assert_eq!(broker.status().unwrap().kicks.done, 400);
    other.ping().unwrap();
});

// Mosquitto 2.0.21 renews its list of keep-alive times at SIGHUP, and dies if a websocket client of the old one is still
// being closed then: that is why these tests wait until it is closed.
broker_test!(locking_out_websocket_clients_between_others_does_no_harm, |kind| {
    let fleet = fleet(kind);
    let mut broker = conf(kind, &fleet).start();
    let join = |name: &str, number: usize| {
        let login = Login { id: format!("{name}-{number}"), ..Login::of(name) };
        Client::welcome(broker.door("ws"), &login)
    };
    let mut others = Vec::new();
    for round in 0..10 {
        let before = join("other", 2 * round);
        let lost = join("lost", round);
        others.push(join("other", 2 * round + 1));
        others.push(before);
        let id = format!("lost-{round}");
        lock_out(&broker, &fleet, "[lost]\nstate = 'disabled'", vec![(&*id, lost)]);
        for client in &mut others {
            client.ping().unwrap();
        }
        change(&broker, &fleet, WELCOME);
        others.drain(..others.len() / 2).for_each(Client::disconnect);
    }
    assert!(broker.stop().success());
});

// Mosquitto up to 2.0.22 corrupts its memory if a session that is away and has an expiry is refused at SIGHUP.
broker_test!(locking_out_many_who_are_away_again_and_again_does_no_harm, |kind| {
    let fleet = fleet(kind);
    let mut broker = conf(kind, &fleet).start();
    let rounds = 20;
    for round in 0..rounds {
        for (number, expiry_s) in [1, 2, 3600, u32::MAX].into_iter().enumerate() {
            for name in ["lost", "other"] {
                let mut login = Login { expiry_s, ..Login::of(name).persistent() };
                login.id = format!("{name}-{}-{number}", round % 5);
                let mut client = Client::welcome(broker.door("tcp"), &login);
                client.subscribe(&format!("to/{name}"));
                client.disconnect();
            }
        }
        change(&broker, &fleet, "[lost]\nstate = 'disabled'");
        if round % 3 == 0 {
            change(&broker, &fleet, "");
        }
        let mut writer = Client::welcome(broker.door("tcp"), &Login::of("writer"));
        writer.publish(&Publish::to("to/lost"));
        writer.publish(&Publish::to("to/other"));
        writer.disconnect();
        change(&broker, &fleet, WELCOME);
        // Whoever comes before would be closed with those who are locked out.
        broker.wait_for_kicks();
    }
    // The shortest of them have run out by now or do it soon; what is left can be taken up again.
    let gone = wait_for(|| {
        let login = Login { id: "other-0-0".to_owned(), clean: false, ..Login::of("other") };
        let client = Client::welcome(broker.door("tcp"), &login);
        let present = client.session_present;
        client.disconnect();
        (!present).then_some(())
    });
    assert!(gone.is_some());
    let login = Login { id: "other-0-2".to_owned(), ..Login::of("other").persistent() };
    assert!(Client::welcome(broker.door("tcp"), &login).session_present);
    assert_eq!(broker.has_ended(), None);
    assert!(broker.stop().success());
});
