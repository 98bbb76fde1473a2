//! The listener of 2.1 for the broker's state: its questions come from a thread of its own.

use std::{
    fmt::Write as _,
    io::{Read as _, Write as _},
    net::TcpStream,
    thread,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::support::{Broker, Client, Door, DoorKind, Fleet, Kind, Login, PATIENCE, Publish};

/// The status of `GET /api/v1/THING` with these credentials (`name:password`).
pub(crate) fn get(door: &Door, thing: &str, credentials: &str) -> u16 {
    get_path(door, &format!("/api/v1/{thing}"), credentials)
}

/// The status of `GET PATH`, sent as it is written.
fn get_path(door: &Door, path: &str, credentials: &str) -> u16 {
    let mut request = format!("GET {path} HTTP/1.1\r\nHost: broker.test\r\nConnection: close\r\n");
    if !credentials.is_empty() {
        write!(request, "Authorization: Basic {}\r\n", STANDARD.encode(credentials)).unwrap();
    }
    let mut stream = TcpStream::connect(door.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(format!("{request}\r\n").as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer);
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{answer}"))
}

fn start(kind: Kind, fleet: &Fleet) -> Broker {
    Broker::conf(kind)
        .guarded_by(&fleet.config())
        .listener("tcp", DoorKind::Tcp, "")
        .listener("http", DoorKind::Tcp, "protocol http_api")
        .start()
}

broker_test!(the_http_listener_is_guarded_from_its_own_thread, |kind| {
    // Earlier releases have no such listener.
    if !kind.at_least(2, 1, 0) {
        return;
    }
    let settings = "[everyone]\npubsub = ['a']\nsubscribe = ['/api/v1/version', '/api/v1/{device}']\n";
    let fleet = Fleet::with_passwords(kind, settings, "[operator]\n[off]\nstate = 'disabled'\n");
    let mut broker = start(kind, &fleet);
    let door = broker.door("http").clone();
    let table = [
        ("version", "operator:right", 200),
        ("systree", "operator:right", 401),
        ("version", "operator:wrong", 401),
        ("version", "operator:", 401),
        ("version", "off:right", 401),
        ("version", "nobody:right", 401),
        ("version", "~anonymous:right", 401),
        ("version", "", 401),
    ];
    for (thing, credentials, status) in table {
        assert_eq!(get(&door, thing, credentials), status, "{thing} for {credentials}");
    }
    // What that thread could not write to the log itself is there after a tick.
    for reason in ["wrong password", "the device is disabled", "no device is called `nobody`"] {
        broker.wait_for_log(reason);
    }
    // Both threads at once, with reloads between.
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..20 {
                    for (thing, credentials, status) in table {
                        assert_eq!(get(&door, thing, credentials), status);
                    }
                }
            });
        }
        let mut client = Client::welcome(broker.door("tcp"), &Login::of("operator"));
        client.subscribe("a");
        for _ in 0..50 {
            assert_eq!(client.publish(&Publish::to("a")), 0);
            assert_eq!(client.publish(&Publish::to("b")), 0x87);
            broker.signal("HUP");
        }
        assert_eq!(client.delivered().len(), 50);
    });
    assert!(broker.stop().success());
});

broker_test!(anonymous_clients_get_nothing_over_http, |kind| {
    if !kind.at_least(2, 1, 0) {
        return;
    }
    let fleet = Fleet::with_passwords(kind, "[anonymous]\nsubscribe = ['/api/#']\n", "[operator]\n");
    let broker = start(kind, &fleet);
    // That thread may not name clients, and without a name there are no rules.
    assert_eq!(get(broker.door("http"), "version", ""), 401);
    assert_eq!(get(broker.door("http"), "version", "~anonymous:x"), 401);
    Client::welcome(broker.door("tcp"), &Login::new("c")).ping().unwrap();
});

broker_test!(who_guesses_over_http_is_held_off_there_and_nobody_elsewhere, |kind| {
    if !kind.at_least(2, 1, 0) {
        return;
    }
    let settings = "[everyone]\nsubscribe = ['/api/v1/version']\n[metrics]\nfile_interval = 1\n";
    let fleet = Fleet::with_passwords(kind, settings, "[operator]\n[newcomer]\n");
    let broker = start(kind, &fleet);
    let door = broker.door("http");
    assert_eq!(get(door, "version", "operator:right"), 200);
    for number in 0..12 {
        assert_eq!(get(door, "version", &format!("newcomer:guess{number}")), 401);
    }
    broker.wait_for_log("citronella: http_api: log-in held off: too many failures");
    // Not even the right one, before the time is over: seconds by now, and more with each guess.
    assert_eq!(get(door, "version", "newcomer:right"), 401);
    for number in 0..40 {
        assert_eq!(get(door, "version", &format!("name{number}:guess")), 401);
    }
    assert_eq!(get(door, "version", "operator:right"), 200, "who was right there before is known");
    // Whoever has an address is none of those.
    for name in ["newcomer", "operator"] {
        Client::welcome(broker.door("tcp"), &Login::of(name)).disconnect();
    }
});

broker_test!(no_way_of_writing_a_path_leads_around_the_rules, |kind| {
    if !kind.at_least(2, 1, 0) {
        return;
    }
    let settings = "[roles.guest]\nsubscribe = ['/public/#']\n[roles.host]\nsubscribe = ['/#', '#']\ndeny = ['/private/#']\n\
                    deny_subscribe = ['/secret/index.html']\n";
    let fleet = Fleet::with_passwords(kind, settings, "[guest]\nrole = 'guest'\n[host]\nrole = 'host'\n");
    for folder in ["www/public", "www/private", "www/secret", "www-private"] {
        std::fs::create_dir_all(fleet.path(folder)).unwrap();
        for file in ["index.html", "plan.html", "plan..old"] {
            std::fs::write(fleet.path(folder).join(file), folder).unwrap();
        }
    }
    let broker = Broker::conf(kind)
        .guarded_by(&fleet.config())
        .listener("tcp", DoorKind::Tcp, "")
        .listener(
            "http",
            DoorKind::Tcp,
            &format!("protocol http_api\nhttp_dir {}", fleet.path("www").display()),
        )
        .start();
    let door = broker.door("http");
    for (name, path, status) in [
        ("guest", "/public/plan.html", 200),
        ("guest", "/public/plan..old", 200),
        ("guest", "/public/", 200),
        ("guest", "/public/none.html", 404),
        ("guest", "/private/plan.html", 401),
        ("guest", "/public/../private/plan.html", 401),
        ("guest", "/public/%2e%2e/private/plan.html", 401),
        ("guest", "/public/.%2e/private/plan.html", 401),
        ("guest", "/public%2f..%2fprivate%2fplan.html", 401),
        ("guest", "/public/../../www-private/plan.html", 401),
        ("host", "/public/plan.html", 200),
        ("host", "/private/plan.html", 401),
        ("host", "//private/plan.html", 401),
        ("host", "/./private/plan.html", 401),
        ("host", "/%2e/private/plan.html", 401),
        ("host", "/public/..//private/plan.html", 401),
        ("host", "private/plan.html", 401),
        // What is served for a folder is a file of it.
        ("host", "/secret/plan.html", 200),
        ("host", "/secret/index.html", 401),
        ("host", "/secret/", 401),
    ] {
        assert_eq!(get_path(door, path, &format!("{name}:right")), status, "{path} for {name}");
    }
    broker.wait_for_log(
        "citronella: http_api: access refused: client `http-api` asks for a path that can be another file's",
    );
});
