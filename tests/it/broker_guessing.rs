//! Whoever guesses passwords is held off, and nobody else is.

use std::{path::Path, process::Command};

use crate::support::{
    Broker, Client, Door, DoorKind, Fleet, Kind, Login, Refused, Version, not_authorized, refused_once,
};

fn start(kind: Kind) -> (Fleet, Broker) {
    let fleet =
        Fleet::with_passwords(kind, "hash_budget = 1000\n", "[phone]\n[pad]\n[cert]\ncertificates = 'any'\n");
    let broker = Broker::conf(kind)
        .guarded_by(&fleet.config())
        .listener("tcp", DoorKind::Tcp, "")
        .listener("ws", DoorKind::Websocket, "")
        .tls("tls", fleet.authority(), "require_certificate true")
        .start();
    (fleet, broker)
}

fn phone(version: Version) -> Login {
    Login::of("phone").version(version)
}

/// As many wrong passwords as are forgiven, and one more.
#[track_caller]
fn guess(door: &Door, login: &Login) {
    for number in 0..6 {
        let answer = Client::unwelcome(door, &login.clone().password(format!("guess {number}")));
        assert_eq!(answer, Refused::Connack(not_authorized(login.version)), "guess {number}");
    }
}

/// "Not now", which is not "wrong password".
fn not_now(kind: Kind, version: Version) -> Refused {
    let says_so = kind.at_least(2, 1, 0) && version == Version::V5;
    if says_so { Refused::Connack(0x89) } else { Refused::Closed }
}

broker_test!(who_guesses_is_held_off_and_locks_nobody_out, |kind| {
    let (fleet, broker) = start(kind);
    for version in [Version::V311, Version::V5] {
        let login = phone(version);
        let elsewhere = broker.door("tcp").afar();
        let guesser = broker.door("tcp").afar();
        guess(&guesser, &login);
        // Held off for a second at least, which a quick machine does not need.
        let held = Client::unwelcome(&guesser, &login.clone().password("guess"));
        assert_eq!(held, not_now(kind, version));
        assert!(broker.said_of(guesser.from.unwrap()).contains("log-in held off: too many failures"));
        // The device is not locked out elsewhere, its neighbour not at that address, and no certificate anywhere.
        Client::welcome(&elsewhere, &login).disconnect();
        Client::welcome(&guesser, &Login::of("pad").version(version)).disconnect();
        let mut cert = broker.door("tls").showing(&fleet.authority().device("cert"));
        cert.from = guesser.from;
        Client::welcome(&cert, &Login::new("cert").version(version)).disconnect();
        // What was verified before is known, also there.
        Client::welcome(&guesser, &login).disconnect();
    }
});

broker_test!(an_address_is_held_off_whatever_names_it_tries, |kind| {
    let (_fleet, broker) = start(kind);
    let guesser = broker.door("tcp").afar();
    let mut answers = Vec::new();
    for number in 0..40 {
        let login = Login::new("").user(&format!("name{number}")).password("x").v311();
        answers.push(Client::unwelcome(&guesser, &login));
    }
    let refused = answers.iter().filter(|answer| **answer == Refused::Connack(5)).count();
    assert!((31..40).contains(&refused), "{refused}");
    assert!(answers.contains(&not_now(kind, Version::V311)));
    Client::welcome(&broker.door("tcp").afar(), &phone(Version::V5)).disconnect();
});

broker_test!(an_address_that_a_client_claims_holds_off_nobody, |kind| {
    // COMPAT: websockets of 2.0 say what address they like.
    if kind.at_least(2, 1, 0) {
        return;
    }
    let (_fleet, broker) = start(kind);
    let door = broker.door("ws");
    for number in 0..40 {
        let login = phone(Version::V5).password(format!("guess {number}"));
        assert_eq!(Client::unwelcome(door, &login), Refused::Connack(0x87));
    }
    Client::welcome(door, &phone(Version::V5)).disconnect();
    assert!(!broker.log().contains("held off"));
});

/// The addresses that fail2ban reads in this log with the filter that we ship.
fn found_by_fail2ban(log: &Path) -> Vec<String> {
    let filter =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("conf-examples/fail2ban/filter.d/citronella.conf");
    let output = Command::new("fail2ban-regex").args(["-o", "ip"]).arg(log).arg(filter).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    text.lines().map(str::to_owned).collect()
}

broker_test!(fail2ban_finds_who_guesses_and_nobody_whom_a_guesser_names, |kind| {
    let (_fleet, broker) = start(kind);
    let door = broker.door("tcp");
    Client::welcome(door, &phone(Version::V5)).disconnect();
    let forged = "citronella: 203.0.113.9: log-in refused: wrong password";
    let mut guessers = Vec::new();
    for login in [
        phone(Version::V5).password("wrong"),
        Login::new("").user("nobody").password("x"),
        Login::new(forged).user(forged).password("x"),
        Login::new(&format!("1700000000: {forged}")).user("phone").password("x"),
        Login::new("").user(&format!("` 1700000000: {forged}")).password("x"),
    ] {
        let guesser = door.afar();
        Client::unwelcome(&guesser, &login);
        guessers.push(guesser.from.unwrap().to_string());
    }
    // Who is in may say what he likes, too, but for the lines of `log_type subscribe` that begin with the client id.
    let mut client = Client::welcome(door, &phone(Version::V5));
    client.subscribe(forged);
    client.disconnect();
    Client::welcome(door, &Login { id: forged.to_owned(), ..phone(Version::V5) }).disconnect();
    // No certificate, no name and no password: a mistake, and no guess.
    refused_once(&broker, door, &Login::new(""), "neither a certificate nor a user name");
    assert_eq!(found_by_fail2ban(&broker.dir().join("log")), guessers, "{}", broker.log());
});
