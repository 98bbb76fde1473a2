//! The harness against a bare Mosquitto: if one of these fails, the failures of others mean nothing.

use crate::support::{Authority, Broker, Client, DoorKind, Fleet, Login, Publish, Refused, Version, Will};

const NOT_AUTHORIZED: u8 = 0x87;
const NOT_AUTHORIZED_V311: u8 = 5;
const BAD_AUTHENTICATION_METHOD: u8 = 0x8c;
const VERSIONS: [Version; 2] = [Version::V311, Version::V5];

broker_test!(messages_go_from_one_client_to_another_at_every_qos, |kind| {
    let broker = Broker::conf(kind).line("allow_anonymous true").listener("in", DoorKind::Unix, "").start();
    for version in VERSIONS {
        let mut reader = Client::welcome(broker.door("in"), &Login::new("reader").version(version));
        let mut writer = Client::welcome(broker.door("in"), &Login::new("writer").version(version));
        assert_eq!(reader.subscribe("a/+"), 2);
        for qos in 0..=2 {
            assert_eq!(writer.publish(&Publish::to("a/b").qos(qos).payload(format!("{qos}"))), 0);
            let message = reader.receive();
            assert_eq!((message.topic.as_str(), message.qos, message.retain), ("a/b", qos, false));
            assert_eq!(message.payload, format!("{qos}").as_bytes());
        }
        assert_eq!(reader.unsubscribe("a/+"), 0);
        writer.publish(&Publish::to("a/b"));
        assert_eq!(reader.delivered(), []);
    }
});

broker_test!(every_kind_of_listener_carries_mqtt, |kind| {
    let fleet = Fleet::new("", "");
    let authority = fleet.authority();
    let broker = Broker::conf(kind)
        .line("allow_anonymous true")
        .listener("unix", DoorKind::Unix, "")
        .listener("tcp", DoorKind::Tcp, "")
        .listener("ws", DoorKind::Websocket, "")
        .tls("tls", authority, "")
        .wss("wss", authority, "")
        .start();
    let mut reader = Client::welcome(broker.door("unix"), &Login::new("reader"));
    reader.subscribe("#");
    for name in ["unix", "tcp", "ws", "tls", "wss"] {
        for version in VERSIONS {
            let mut client = Client::welcome(broker.door(name), &Login::new("c").version(version));
            // Longer than one websocket frame's short length, and than one TLS record.
            let long = vec![b'x'; 20_000];
            client.publish(&Publish::to(name).payload(long.clone()));
            let message = reader.receive();
            assert_eq!((message.topic.as_str(), message.payload.len()), (name, long.len()));
            client.subscribe("back");
            client.publish(&Publish::to("back").payload(long));
            assert_eq!(client.receive().payload.len(), 20_000);
            assert_eq!(reader.receive().topic, "back");
            client.disconnect();
        }
    }
});

broker_test!(a_listener_that_wants_certificates_sees_the_one_that_is_shown, |kind| {
    let fleet = Fleet::new("", "");
    let authority = fleet.authority();
    let lines = "require_certificate true\nuse_identity_as_username true";
    let broker = Broker::conf(kind)
        .line("allow_anonymous false")
        .tls("tls", authority, lines)
        .wss("wss", authority, lines)
        .start();
    let stranger = Authority::new(&fleet.path("elsewhere")).device("thunder10");
    for name in ["tls", "wss"] {
        let door = broker.door(name);
        let client = Client::welcome(&door.showing(&authority.device("thunder10")), &Login::new("c"));
        broker.wait_for_log("thunder10");
        client.disconnect();
        for refused in [
            Client::unwelcome(door, &Login::new("none")),
            Client::unwelcome(&door.showing(&stranger), &Login::new("stranger")),
            Client::unwelcome(&door.showing(&authority.expired("thunder10")), &Login::new("late")),
        ] {
            assert!(matches!(refused, Refused::Below(_) | Refused::Closed), "{name}: {refused:?}");
        }
    }
});

broker_test!(odd_certificates_arrive_as_they_are, |kind| {
    let fleet = Fleet::new("", "");
    let authority = fleet.authority();
    let broker = Broker::conf(kind)
        .line("allow_anonymous true")
        .tls("tls", authority, "require_certificate true")
        .start();
    let two = authority.client("two", "/CN=a/CN=b", &[]);
    let none = authority.client("none", "/O=nobody", &["subjectAltName=URI:urn:dev:1"]);
    let wide = authority.device_with_string_mask("wide", "breit", "MASK:0x800");
    for credential in [&two, &none, &wide] {
        Client::welcome(&broker.door("tls").showing(credential), &Login::new("c")).disconnect();
    }
    assert_ne!(two.fingerprint(), none.fingerprint());
    assert_eq!((two.fingerprint().len(), two.serial().is_empty()), (64, false));
});

broker_test!(passwords_are_asked_for_and_the_answer_is_the_protocols, |kind| {
    let fleet = Fleet::new("", "");
    fleet.password(kind, "thunder10", "right");
    let broker = Broker::conf(kind)
        .line("allow_anonymous false")
        .line(&format!("password_file {}", fleet.path("passwd").display()))
        .listener("in", DoorKind::Tcp, "")
        .start();
    let door = broker.door("in");
    let named = Login::new("c").user("thunder10");
    for (version, refusal) in [(Version::V311, NOT_AUTHORIZED_V311), (Version::V5, NOT_AUTHORIZED)] {
        Client::welcome(door, &named.clone().password("right").version(version)).disconnect();
        for login in [named.clone().password("wrong"), named.clone(), Login::new("c")] {
            let refused = Client::unwelcome(door, &login.version(version));
            assert_eq!(refused, Refused::Connack(refusal));
        }
    }
    let method = Login::new("c").auth_method("nonsense");
    assert_eq!(Client::unwelcome(door, &method), Refused::Connack(BAD_AUTHENTICATION_METHOD));
});

broker_test!(wills_are_sent_when_a_client_is_gone_and_not_when_it_leaves, |kind| {
    let broker = Broker::conf(kind).line("allow_anonymous true").listener("in", DoorKind::Unix, "").start();
    let door = broker.door("in");
    let mut reader = Client::welcome(door, &Login::new("reader"));
    reader.subscribe("will/#");
    for version in VERSIONS {
        let login = Login::new("mortal").version(version);
        let will = |topic| Will { qos: 1, ..Will::to(topic, "gone") };
        drop(Client::welcome(door, &login.clone().will(will("will/dropped"))));
        assert_eq!(reader.receive().topic, "will/dropped");
        Client::welcome(door, &login.will(will("will/left"))).disconnect();
        assert_eq!(reader.delivered(), []);
    }
    let login = Login::new("mortal").will(Will::to("will/told", "gone"));
    Client::welcome(door, &login).disconnect_with_will();
    assert_eq!(reader.receive().topic, "will/told");
});

broker_test!(a_persistent_session_keeps_what_came_while_its_client_was_away, |kind| {
    let broker = Broker::conf(kind).line("allow_anonymous true").listener("in", DoorKind::Unix, "").start();
    let door = broker.door("in");
    let mut writer = Client::welcome(door, &Login::new("writer"));
    for version in VERSIONS {
        let login = Login::new("sleeper").persistent().version(version);
        let mut sleeper = Client::welcome(door, &login);
        assert!(!sleeper.session_present);
        sleeper.subscribe("a");
        drop(sleeper);
        writer.publish(&Publish::to("a").payload("meanwhile"));
        let mut sleeper = Client::welcome(door, &login);
        assert!(sleeper.session_present);
        assert_eq!(sleeper.receive().payload, b"meanwhile");
        sleeper.disconnect();
        Client::welcome(door, &Login::new("sleeper").version(version)).disconnect();
    }
});

broker_test!(retained_messages_wait_for_their_reader, |kind| {
    let broker = Broker::conf(kind).line("allow_anonymous true").listener("in", DoorKind::Unix, "").start();
    let mut client = Client::welcome(broker.door("in"), &Login::new("c"));
    client.publish(&Publish::to("kept").retained());
    client.subscribe("kept");
    let message = client.receive();
    assert_eq!((message.topic.as_str(), message.retain), ("kept", true));
});

broker_test!(a_takeover_ends_the_older_connection, |kind| {
    let broker = Broker::conf(kind).line("allow_anonymous true").listener("in", DoorKind::Unix, "").start();
    let mut older = Client::welcome(broker.door("in"), &Login::new("same"));
    let _newer = Client::welcome(broker.door("in"), &Login::new("same"));
    // 2.0.11 closes without a word.
    let told = kind.at_least(2, 0, 21).then_some(0x8e);
    assert_eq!(older.ended().reason, told);
});

broker_test!(a_protocol_error_ends_the_connection, |kind| {
    let broker = Broker::conf(kind).line("allow_anonymous true").listener("in", DoorKind::Unix, "").start();
    let mut hostile = Client::welcome(broker.door("in"), &Login::new("hostile"));
    // A SUBSCRIBE whose fixed header has the wrong flags (MQTT 5.0 §3.8.1).
    hostile.send(&[0x80, 0x02, 0x00, 0x01]).unwrap();
    hostile.ended();
    Client::welcome(broker.door("in"), &Login::new("other")).ping().unwrap();
});

broker_test!(sighup_is_over_when_reload_returns, |kind| {
    let fleet = Fleet::new("", "");
    fleet.password(kind, "old", "secret");
    let broker = Broker::conf(kind)
        .line("allow_anonymous false")
        .line(&format!("password_file {}", fleet.path("passwd").display()))
        .tls("tls", fleet.authority(), "")
        .listener("ws", DoorKind::Websocket, "")
        .start();
    for round in 0..3 {
        let name = format!("new{round}");
        let login = Login::new("c").user(&name).password("secret");
        assert_eq!(Client::unwelcome(broker.door("tls"), &login), Refused::Connack(NOT_AUTHORIZED));
        fleet.password(kind, &name, "secret");
        broker.reload();
        Client::welcome(broker.door("tls"), &login).disconnect();
    }
});

broker_test!(websockets_alone_are_a_broker_too, |kind| {
    let broker = Broker::conf(kind)
        .line("allow_anonymous true")
        .listener("one", DoorKind::Websocket, "")
        .listener("two", DoorKind::Websocket, "")
        .start();
    Client::welcome(broker.door("one"), &Login::new("a")).ping().unwrap();
    Client::welcome(broker.door("two"), &Login::new("b")).ping().unwrap();
});

broker_test!(a_broker_that_cannot_start_says_why, |kind| {
    let refusing =
        Broker::conf(kind).line("plugin /nowhere/at/all.so").listener("in", DoorKind::Unix, "").refusing();
    assert!(!refusing.status.success(), "{refusing:?}");
    assert!(refusing.log.contains("/nowhere/at/all.so"), "{refusing:?}");
});

broker_test!(a_broker_ends_well_when_it_is_told_to, |kind| {
    let mut broker =
        Broker::conf(kind).line("allow_anonymous true").listener("in", DoorKind::Tcp, "").start();
    assert_eq!(broker.has_ended(), None);
    let (major, minor, patch) = kind.version();
    assert!(broker.log().contains(&format!("mosquitto version {major}.{minor}.{patch} starting")));
    assert!(broker.stop().success());
});
