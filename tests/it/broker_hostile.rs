//! Input that nobody sends by accident: it is refused or taken for what it is, and never becomes a line of the log.

use crate::support::{
    Broker, Client, DoorKind, Fleet, Kind, Login, Publish, Refused, Version, admitted, not_authorized,
    refused,
};

/// The longest string or binary value (MQTT 5.0 §1.5.4).
const LONGEST: usize = 65_535;

fn start(kind: Kind, fleet: &Fleet) -> Broker {
    Broker::conf(kind)
        .guarded_by(&fleet.config())
        .listener("tcp", DoorKind::Tcp, "")
        .listener("ws", DoorKind::Websocket, "")
        .start()
}

const SETTINGS: &str = "[everyone]\nsubscribe = ['who/{device}']\npubsub = ['deep/#', 'id/{clientid}']\n";

broker_test!(log_ins_of_any_length_and_any_bytes_are_refused_quietly, |kind| {
    let fleet = Fleet::with_passwords(kind, SETTINGS, "[thunder10]\n");
    let mut broker = start(kind, &fleet);
    let long = "x".repeat(LONGEST);
    let named = Login::new("c").user("thunder10");
    for door in ["tcp", "ws"].map(|name| broker.door(name)) {
        for login in [
            Login::new("c").user(&long).password("right"),
            // Later brokers take no CONNECT of more than 100,000 bytes.
            Login::new("c").user(&long).password("x".repeat(30_000)),
            named.clone().password(long.clone()),
            named.clone().password(vec![0xff; LONGEST]),
            named.clone().password(vec![0xff, 0xfe, 0x80]),
            named.clone().password(b"\0right".to_vec()),
            named.clone().password(b"\0".to_vec()),
            Login::new(&long).user(&"`".repeat(100)).password("right"),
            Login::new("c").user("%s%n%1$s").password("%s%n"),
            Login::new(&"é".repeat(LONGEST / 2)).user("nobody"),
        ] {
            for version in [Version::V311, Version::V5] {
                // Each from an address of its own: whoever fails so often is held off.
                let answer = Client::unwelcome(&door.afar(), &login.clone().version(version));
                assert_eq!(answer, Refused::Connack(not_authorized(version)));
            }
        }
        // Whose password is right may have any client id, however long.
        let long_id = Login { id: long.clone(), ..Login::of("thunder10") };
        Client::welcome(door, &long_id).disconnect();
        admitted(door, &Login::of("thunder10"), "thunder10");
    }
    // Up to 2.1.2 the broker gives us a password as far as its first NUL; `password set` refuses such.
    if !kind.at_least(2, 1, 3) {
        admitted(broker.door("tcp"), &named.clone().password(b"right\0behind".to_vec()), "thunder10");
    }
    // No text at all: the broker does not ask.
    for name in ["a\0b", "a\u{1}b", "a\u{7f}"] {
        let answer = Client::unwelcome(broker.door("tcp"), &Login::new("c").user(name));
        assert!(!matches!(answer, Refused::Below(_)), "{answer:?}");
    }
    assert!(broker.stop().success());
});

broker_test!(nothing_a_client_says_forges_a_line_of_the_log, |kind| {
    let fleet = Fleet::with_passwords(kind, SETTINGS, "[thunder10]\n");
    let broker = start(kind, &fleet);
    let forged = "1795363200: citronella: 10.0.0.1: log-in refused";
    let texts: Vec<_> = [
        "\n",
        "\r",
        "\r\n",
        "\u{b}",
        "\u{85}",
        "\u{2028}",
        "\u{1b}[2K\r",
        "\u{9b}2K",
        "\u{202e}",
        "%n",
        "` ",
    ]
    .iter()
    .map(|between| format!("c{between}{forged}"))
    .collect();
    for text in &texts {
        let door = broker.door("tcp").afar();
        // As a client id, as a user name, and as both; the broker itself refuses some.
        let _ = Client::open(&door, &Login::new(text).user("nobody"));
        let _ = Client::open(&door, &Login::new("c").user(text));
        let _ = Client::open(&door, &Login::new(text).user(text).password(&**text));
        // As the id of a device that may connect, and as a topic.
        let door = broker.door("tcp").afar();
        if let Ok(mut client) = Client::open(&door, &Login { id: text.clone(), ..Login::of("thunder10") }) {
            let _ = client.try_subscribe(&[("nowhere", 0)]);
        }
        if let Ok(mut client) = Client::open(&door, &Login::of("thunder10")) {
            let _ = client.try_publish(&Publish::to(text));
        }
        if let Ok(mut client) = Client::open(&door, &Login::of("thunder10")) {
            let _ = client.try_subscribe(&[(text, 0)]);
        }
    }
    broker.settle();
    let log = broker.log();
    let ours: Vec<_> = log.split('\n').filter(|line| line.contains("citronella:")).collect();
    assert!(ours.len() > texts.len(), "{log}");
    for line in ours {
        let (stamp, rest) = line.split_once(": ").expect("a time stamp");
        assert!(stamp.len() == 10 && stamp.bytes().all(|byte| byte.is_ascii_digit()), "{line:?}");
        if !rest.starts_with("citronella: ") {
            // One of the broker's own lines, which show what clients say as they like.
            continue;
        }
        let hidden =
            |ch: char| ch.is_control() || matches!(ch, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}');
        assert!(!rest.contains(hidden), "{line:?}");
    }
    assert!(!log.lines().any(|line| line.starts_with(forged)), "{log}");
});

broker_test!(topics_as_deep_and_as_long_as_they_may_be_are_judged, |kind| {
    let fleet = Fleet::with_passwords(kind, SETTINGS, "[thunder10]\n");
    let mut broker = start(kind, &fleet);
    let deep = |first: &str, level: &str, levels: usize| {
        format!("{first}{}", format!("/{level}").repeat(levels - 1))
    };
    let mut client = Client::welcome(broker.door("tcp"), &Login::of("thunder10"));
    // The broker takes 200 levels (`TOPIC_HIERARCHY_LIMIT`).
    for (topic, allowed) in [
        (deep("deep", "x", 200), true),
        (deep("deep", "", 200), true),
        (deep("deeper", "x", 200), false),
        (deep("", "", 200), false),
        (format!("deep/{}", "x".repeat(60_000)), true),
        ("x".repeat(LONGEST), false),
    ] {
        assert_eq!(client.publish(&Publish::to(&topic)) < 0x80, allowed, "{topic}");
        assert_eq!(client.subscribe(&topic) < 0x80, allowed, "{topic}");
    }
    for (filter, allowed) in [
        (deep("deep", "+", 200), true),
        (format!("{}/#", deep("deep", "+", 199)), true),
        (deep("+", "+", 200), false),
        (format!("{}/#", deep("+", "+", 199)), false),
    ] {
        assert_eq!(client.subscribe(&filter) < 0x80, allowed, "{filter}");
    }
    client.disconnect();
    // A client id that fills a level fills it whole.
    let long = "x".repeat(LONGEST - 3);
    let mut client =
        Client::welcome(broker.door("tcp"), &Login { id: long.clone(), ..Login::of("thunder10") });
    assert!(client.publish(&Publish::to(&format!("id/{long}"))) < 0x80);
    assert_eq!(client.publish(&Publish::to(&format!("id/{}", &long[1..]))), 0x87);
    refused(&broker, broker.door("tcp"), &Login::new("c"), "neither a certificate nor a user name");
    assert!(broker.stop().success());
});

broker_test!(a_thousand_refusals_are_ten_lines, |kind| {
    let fleet = Fleet::with_passwords(kind, SETTINGS, "[thunder10]\n");
    let broker = start(kind, &fleet);
    let door = broker.door("tcp").afar();
    for number in 0..200 {
        let login = Login::new("c").user(&format!("nobody{number}"));
        assert_eq!(Client::unwelcome(&door, &login), Refused::Connack(0x87));
    }
    let mut client = Client::welcome(&door, &Login::of("thunder10"));
    for number in 0..800 {
        assert_eq!(client.publish(&Publish::to(&format!("nowhere/{number}"))), 0x87);
    }
    // The sum is told when the minute is over: `ten_lines_an_address_and_minute_then_a_sum` in src/plugin/log.rs.
    let said = broker.said_of(door.from.unwrap());
    let logins: Vec<&str> = said.lines().filter(|line| line.contains("log-in refused")).collect();
    assert_eq!((logins.len(), said.lines().count()), (10, 20), "each kind has its own: {said}");
    assert!(
        logins[9]
            .ends_with("log-in refused: no device is called `nobody9` (client `c`, user name `nobody9`)"),
        "{said}"
    );
    refused(&broker, broker.door("tcp"), &Login::new("c"), "neither a certificate nor a user name");
});
