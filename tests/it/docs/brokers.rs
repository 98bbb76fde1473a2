//! The table of INSTALL.md of what differs between brokers: each cell asked of its broker.

use super::page;
use crate::{
    broker_http, broker_slow_hashes,
    support::{
        Broker, Client, DoorKind, Fleet, Kind, Login, Refused, Version, Will, answered, plugin_lines,
        refused_once,
    },
};

const SETTINGS: &str = "[everyone]\nsubscribe = ['$CONTROL/#', '/api/v1/version']\n";

/// Rows and columns, without the line that divides head and body.
fn table() -> Vec<Vec<String>> {
    let text = page("INSTALL.md");
    let (_, section) = text.split_once("\n## What differs between brokers\n").expect("the section");
    let rows = section.split("\n## ").next().unwrap().lines().filter(|line| line.starts_with('|'));
    let cells = |row: &str| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    rows.filter(|row| !row.starts_with("|---")).map(cells).collect()
}

fn fleet(kind: Kind) -> Fleet {
    Fleet::with_passwords(kind, &format!("hash_budget = 1000\n{SETTINGS}"), "[gw]\n[phone]\n")
}

fn start(kind: Kind, fleet: &Fleet) -> Broker {
    Broker::conf(kind)
        .line("allow_anonymous false")
        .guarded_by(&fleet.config())
        .listener("tcp", DoorKind::Tcp, "")
        .listener("ws", DoorKind::Websocket, "")
        .start()
}

/// What this broker does where the rows say that brokers differ.
fn seen(kind: Kind, row: &str) -> &'static str {
    match row {
        "MQTT 5: refused for now" => refused_for_now(kind),
        "MQTT 3: a slow password beyond `hash_budget`" => slow_password(kind),
        "MQTT 5: another connection takes over" => taken_over(kind),
        "a client id that another device had, and gave up" => free_id(kind),
        "a will to `$CONTROL`" => will_to_control(kind),
        "the address of a websocket client in the log" => websocket_address(kind),
        "`listener PORT ADDRESS` with websockets" => websocket_listener(kind),
        "`per_listener_settings true`" => per_listener(kind),
        "two `plugin` lines for Citronella" => twice(kind),
        "`protocol http_api`" => http_api(kind),
        other => panic!("no test asks about {other}"),
    }
}

broker_test!(brokers_differ_as_the_guide_says, |kind| {
    let table = table();
    let (head, rows) = table.split_first().unwrap();
    let (major, minor, patch) = kind.version();
    let names = [format!("{major}.{minor}.{patch}"), format!("{major}.{minor}")];
    let column = head
        .iter()
        .position(|cell| names.iter().any(|name| cell.split(' ').next() == Some(name)))
        .unwrap_or_else(|| panic!("{head:?} does not name {names:?}"));
    assert!(rows.len() >= 10, "{rows:#?}");
    for row in rows {
        assert_eq!(row[column], seen(kind, &row[0]), "{row:?}");
    }
});

fn refused_for_now(kind: Kind) -> &'static str {
    let fleet = fleet(kind);
    let broker = start(kind, &fleet);
    let door = broker.door("tcp").afar();
    for number in 0..6 {
        Client::unwelcome(&door, &Login::of("phone").password(format!("guess {number}")));
    }
    match Client::unwelcome(&door, &Login::of("phone").password("guess")) {
        Refused::Connack(0x89) => "is told so (0x89)",
        Refused::Closed => "is closed",
        other => panic!("{other:?}"),
    }
}

/// A hash that takes longer than the loop may compute.
fn slow_password(kind: Kind) -> &'static str {
    let fleet = broker_slow_hashes::slow_fleet(kind, &format!("hash_budget = 0\n{SETTINGS}"), &["phone"]);
    let broker = start(kind, &fleet);
    let login = Login::of("phone").version(Version::V311);
    match Client::open(broker.door("tcp"), &login) {
        Ok(_) => "waits",
        Err(Refused::Closed) => {
            answered(broker.door("tcp"), &login).expect("it comes again");
            "is closed, and let in when it comes again"
        }
        Err(other) => panic!("{other:?}"),
    }
}

fn taken_over(kind: Kind) -> &'static str {
    let fleet = fleet(kind);
    let broker = start(kind, &fleet);
    let mut older = Client::welcome(broker.door("tcp"), &Login::of("phone"));
    let _newer = Client::welcome(broker.door("tcp"), &Login::of("phone"));
    match older.ended().reason {
        Some(0x8e) => "the first is told so (0x8E)",
        None => "the first is closed",
        other => panic!("{other:?}"),
    }
}

fn free_id(kind: Kind) -> &'static str {
    let fleet = fleet(kind);
    let broker = start(kind, &fleet);
    let login = |name| Login { id: "mosq-1".to_owned(), ..Login::of(name) };
    Client::welcome(broker.door("tcp"), &login("gw")).disconnect();
    match Client::open(broker.door("tcp"), &login("phone")) {
        Ok(_) => "is anybody's",
        Err(_) => {
            let reason = "the session of this client id belongs to `gw`";
            refused_once(&broker, broker.door("tcp"), &login("phone"), reason);
            "stays that device's until a restart"
        }
    }
}

fn will_to_control(kind: Kind) -> &'static str {
    let fleet = fleet(kind);
    let broker = start(kind, &fleet);
    let mut watcher = Client::welcome(broker.door("tcp"), &Login::of("gw"));
    assert_eq!(watcher.subscribe("$CONTROL/#"), 2);
    let login = Login::of("phone").will(Will::to("$CONTROL/broker/v1", "x"));
    match Client::open(broker.door("tcp"), &login) {
        Ok(client) => {
            drop(client);
            broker.settle();
            assert_eq!(watcher.delivered(), []);
            "is refused when it is due"
        }
        Err(_) => "is refused at log-in",
    }
}

fn websocket_address(kind: Kind) -> &'static str {
    let fleet = fleet(kind);
    let broker = start(kind, &fleet);
    let door = broker.door("ws").afar();
    Client::unwelcome(&door, &Login::of("phone").password("wrong"));
    broker.wait_for_log("wrong password");
    if broker.said_of(door.from.unwrap()).contains("wrong password") {
        "is there"
    } else {
        assert!(broker.said_after(0, "websocket").contains("wrong password"));
        "is not: the client could choose it"
    }
}

fn websocket_listener(kind: Kind) -> &'static str {
    let fleet = fleet(kind);
    let broker = start(kind, &fleet);
    let mut elsewhere = broker.door("ws").clone();
    elsewhere.address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    match std::net::TcpStream::connect(elsewhere.address) {
        Ok(_) => "opens on every address",
        Err(_) => "opens on that address",
    }
}

fn per_listener(kind: Kind) -> &'static str {
    let fleet = fleet(kind);
    let lines = format!("allow_anonymous false\n{}", plugin_lines(&fleet.config()));
    let conf =
        || Broker::conf(kind).line("per_listener_settings true").listener("tcp", DoorKind::Tcp, &lines);
    if kind.at_least(2, 0, 21) {
        Client::welcome(conf().start().door("tcp"), &Login::of("phone"));
        "works"
    } else {
        let log = conf().refusing().log;
        assert!(log.contains("with `per_listener_settings true` this broker"), "{log}");
        "does not start, unless `[compat]` accepts it"
    }
}

fn twice(kind: Kind) -> &'static str {
    let fleet = fleet(kind);
    let lines = plugin_lines(&fleet.config());
    let conf = Broker::conf(kind).line(&format!("{lines}\n{lines}")).listener("tcp", DoorKind::Tcp, "");
    if kind.at_least(2, 1, 0) {
        Client::welcome(conf.start().door("tcp"), &Login::of("phone"));
        "works"
    } else {
        let log = conf.refusing().log;
        assert!(log.contains("this plugin is loaded by two `plugin` lines"), "{log}");
        "does not start"
    }
}

fn http_api(kind: Kind) -> &'static str {
    let fleet = fleet(kind);
    let conf = Broker::conf(kind).guarded_by(&fleet.config()).listener("tcp", DoorKind::Tcp, "").listener(
        "http",
        DoorKind::Tcp,
        "protocol http_api",
    );
    if kind.at_least(2, 1, 0) {
        let broker = conf.start();
        let ask = |credentials| broker_http::get(broker.door("http"), "version", credentials);
        assert_eq!((ask("phone:right"), ask("phone:wrong"), ask("")), (200, 401, 401));
        "is guarded like the others"
    } else {
        let log = conf.refusing().log;
        assert!(log.contains("http_api"), "{log}");
        "does not exist"
    }
}
