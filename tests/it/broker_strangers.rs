//! Nobody gets in by coming at the right moment: after SIGHUP the broker asks about sessions that it has in the very
//! way in which it asks about new clients.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::{Authority, Broker, Client, DoorKind, Fleet, Login, Refused, Version};

/// Log-ins of each stranger, of whom there are twelve.
const ATTEMPTS: usize = 16;

broker_test!(a_name_alone_opens_nothing_while_the_broker_reloads, |kind| {
    let settings = "version = 1\n[auth]\npassword_file = 'passwd'\n[identity]\nclient_id = 'any'\n";
    let fleet = Fleet::new(settings, "version = 1\n[thunder10]\ncertificates = 'any'\n[pass]\n");
    fleet.password(kind, "pass", "right");
    let ca = fleet.authority();
    let broker = Broker::conf(kind)
        .guarded_by(&fleet.config())
        .tls("tls", ca, "require_certificate true")
        .tls("tls-open", ca, "")
        .listener("tcp", DoorKind::Tcp, "")
        .listener("ws", DoorKind::Websocket, "")
        .start();
    // Sessions that the strangers claim: one is there, one is away.
    let thunder10 = broker.door("tls").showing(&ca.device("thunder10"));
    let mut present = Client::welcome(&thunder10, &Login::new("present"));
    Client::welcome(&thunder10, &Login::new("away").persistent()).disconnect();
    Client::welcome(broker.door("tcp"), &Login::of("pass").persistent()).disconnect();
    let stranger = broker.door("tls").showing(&Authority::new(&fleet.path("elsewhere")).device("thunder10"));
    let doors = [broker.door("tcp"), broker.door("ws"), broker.door("tls-open")];

    let logins = [
        Login::new("").user("thunder10"),
        Login::new("").user("pass"),
        Login::new("").user("pass").password("wrong"),
        Login::new("").user("~anonymous"),
    ];

    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let mut attempts = Vec::new();
        for (door, login) in doors.iter().flat_map(|door| logins.iter().map(move |login| (door, login))) {
            attempts.push(scope.spawn(move || {
                for number in 0..ATTEMPTS {
                    let version = [Version::V311, Version::V5][number % 2];
                    let id = ["present", "away", "pass", "new"][number / 2 % 4].to_owned();
                    let login = Login { id, clean: false, ..login.clone().version(version) };
                    let answer = Client::unwelcome(door, &login);
                    // Whoever gives so many wrong passwords is not always heard.
                    assert!(matches!(answer, Refused::Connack(_) | Refused::Closed), "{answer:?}");
                }
            }));
        }
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                broker.signal("HUP");
            }
        });
        Client::unwelcome(&stranger, &Login::new("present").user("thunder10"));
        let outcomes: Vec<_> = attempts.into_iter().map(|attempt| attempt.join()).collect();
        done.store(true, Ordering::Relaxed);
        assert!(outcomes.iter().all(Result::is_ok), "a stranger is in");
    });
    assert!(broker.log().matches("citronella: reloaded: ").count() > 5);
    present.ping().unwrap();
    assert!(Client::welcome(&thunder10, &Login::new("away").persistent()).session_present);
    // From where nobody guessed.
    assert!(Client::welcome(&broker.door("tcp").afar(), &Login::of("pass").persistent()).session_present);
});
