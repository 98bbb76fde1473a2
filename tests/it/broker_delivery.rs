//! What a device is given: rule 3 of design section 5, and messages that come without their publisher.

use crate::support::{Broker, Client, DoorKind, Fleet, Kind, Login, Message, Publish, Version, Will};

const SETTINGS: &str = "
[roles.reader]
subscribe = ['a/#']
hide = ['a/hidden/#']
[roles.writer]
publish = ['a/#', 'b', 'will/yes']
deny_publish = ['a/never']
[roles.watcher]
subscribe = ['#', '$CONTROL/#']
";

const DEVICES: &str = "
[r]
role = 'reader'
[w]
role = 'writer'
[watch]
role = 'watcher'
";

fn start(kind: Kind, fleet: &Fleet) -> Broker {
    Broker::conf(kind).guarded_by(&fleet.config()).listener("tcp", DoorKind::Tcp, "").start()
}

fn topics(messages: Vec<Message>) -> Vec<String> {
    messages.into_iter().map(|message| message.topic).collect()
}

broker_test!(what_is_hidden_is_not_delivered_whatever_covers_it, |kind| {
    let fleet = Fleet::with_passwords(kind, SETTINGS, DEVICES);
    let broker = start(kind, &fleet);
    let door = broker.door("tcp");
    let mut writer = Client::welcome(door, &Login::of("w"));
    for topic in ["a/kept", "a/hidden/kept"] {
        assert_eq!(writer.publish(&Publish::to(topic).retained()), 0x10);
    }
    for version in [Version::V311, Version::V5] {
        let mut reader = Client::welcome(door, &Login::of("r").version(version));
        // Two subscriptions that overlap are one question each.
        assert_eq!(reader.try_subscribe(&[("a/#", 2), ("a/+/+", 1), ("a/hidden/x", 0)]).unwrap(), [2, 1, 0]);
        let retained = reader.delivered();
        assert!(
            !retained.is_empty() && retained.iter().all(|message| message.topic == "a/kept"),
            "{retained:?}"
        );
        for topic in ["a/1", "a/hidden", "a/hidden/x", "a/hidden/x/y", "a/x/y", "b", "a/never", "a/2"] {
            writer.publish(&Publish::to(topic));
        }
        let mut delivered = topics(reader.delivered());
        // How often overlapping subscriptions give a message is the broker's business (MQTT 5.0 §3.3.4).
        delivered.dedup();
        assert_eq!(delivered, ["a/1", "a/x/y", "a/2"]);
        reader.disconnect();
    }
});

broker_test!(what_comes_for_an_absent_device_is_judged_without_it, |kind| {
    let fleet = Fleet::new(
        &format!("version = 1\n{SETTINGS}"),
        "version = 1\n[r]\nrole = 'reader'\ncertificates = 'any'\n[w]\nrole = 'writer'\ncertificates = 'any'\n",
    );
    let ca = fleet.authority();
    let broker = Broker::conf(kind)
        .guarded_by(&fleet.config())
        .tls("tls", ca, "require_certificate true")
        .wss("wss", ca, "require_certificate true")
        .start();
    let mut writer = Client::welcome(&broker.door("tls").showing(&ca.device("w")), &Login::new("w"));
    for (name, version) in [("tls", Version::V311), ("tls", Version::V5), ("wss", Version::V5)] {
        let door = broker.door(name).showing(&ca.device("r"));
        let login = Login::new("r").persistent().version(version);
        let mut reader = Client::welcome(&door, &login);
        reader.subscribe("a/#");
        reader.disconnect();
        for topic in ["a/1", "a/hidden/x", "a/2"] {
            assert_eq!(writer.publish(&Publish::to(topic).qos(2)), 0);
        }
        let mut reader = Client::welcome(&door, &login);
        assert!(reader.session_present);
        assert_eq!([reader.receive().topic, reader.receive().topic], ["a/1", "a/2"]);
        assert_eq!(reader.delivered(), []);
        reader.disconnect();
        Client::welcome(&door, &Login::new("r").version(version)).disconnect();
    }
});

broker_test!(a_will_is_judged_when_it_is_sent, |kind| {
    let fleet = Fleet::with_passwords(kind, SETTINGS, DEVICES);
    let broker = start(kind, &fleet);
    let door = broker.door("tcp");
    let mut watcher = Client::welcome(door, &Login::of("watch"));
    assert_eq!(watcher.try_subscribe(&[("#", 1), ("$CONTROL/#", 1)]).unwrap(), [1, 1]);
    for version in [Version::V311, Version::V5] {
        let login = Login::of("w").version(version);
        for topic in ["will/no", "a/never", "$other/x", "$SYS/x"] {
            let will = Will { qos: 1, retain: true, ..Will::to(topic, "gone") };
            // Some of these the broker itself refuses at once.
            if let Ok(client) = Client::open(door, &login.clone().will(will)) {
                drop(client);
                broker.settle();
            }
        }
        // 2.0.11 takes a will to $CONTROL and asks us when it sends it; later ones refuse it.
        let will = Will::to("$CONTROL/broker/v1", "x");
        let control = Client::open(door, &login.clone().will(will)).map(drop);
        assert_eq!(control.is_ok(), !kind.at_least(2, 0, 16), "{control:?}");
        broker.settle();
        drop(Client::welcome(door, &login.clone().will(Will { qos: 1, ..Will::to("will/yes", "gone") })));
        assert_eq!(watcher.receive().topic, "will/yes");
        assert_eq!(watcher.delivered(), []);
        // A client that is not let in has no will.
        let refused = login.clone().password("wrong").will(Will::to("will/yes", "stranger"));
        Client::unwelcome(door, &refused);
        assert_eq!(watcher.delivered(), []);
    }
    // Sent late, when there is no connection any more.
    for (topic, sent) in [("will/no", false), ("will/yes", true)] {
        let will = Will { delay_s: 1, qos: 1, ..Will::to(topic, "late") };
        drop(Client::welcome(door, &Login::of("w").persistent().will(will)));
        if sent {
            assert_eq!(watcher.receive().topic, "will/yes");
        } else {
            broker.wait_for_log("no rule allows publish to `will/no`");
        }
    }
    assert_eq!(watcher.delivered(), []);
    let mut late = Client::welcome(door, &Login { id: "late".to_owned(), ..Login::of("watch") });
    late.subscribe("#");
    assert_eq!(late.delivered(), [], "a will that was not sent is not retained");
});

broker_test!(check_retain_source_asks_about_the_publisher_of_before, |kind| {
    let fleet = Fleet::with_passwords(kind, SETTINGS, DEVICES);
    let broker = Broker::conf(kind)
        .line("check_retain_source true")
        .guarded_by(&fleet.config())
        .listener("tcp", DoorKind::Tcp, "")
        .start();
    let door = broker.door("tcp");
    let mut writer = Client::welcome(door, &Login::of("w"));
    for topic in ["a/1", "b"] {
        writer.publish(&Publish::to(topic).retained());
    }
    writer.disconnect();
    let kept = |broker: &Broker| {
        let mut watcher = Client::welcome(broker.door("tcp"), &Login::of("watch"));
        watcher.subscribe("#");
        let mut topics = topics(watcher.delivered());
        topics.sort();
        topics
    };
    assert_eq!(kept(&broker), ["a/1", "b"]);
    let config = format!("version = 1\n[auth]\npassword_file = 'passwd'\n{SETTINGS}");
    fleet.write("citronella.toml", &config.replace("'a/#', 'b', ", "'a/#', "));
    broker.reload();
    assert_eq!(kept(&broker), ["a/1"]);
});

broker_test!(anonymous_clients_have_their_own_rules_and_no_others, |kind| {
    let settings = "
version = 1
[anonymous]
publish = ['guest/{clientid}', 'shared']
subscribe = ['guest/#']
hide = ['guest/secret']
[everyone]
pubsub = ['members']
";
    let fleet = Fleet::new(settings, "version = 1\n");
    let broker = Broker::conf(kind)
        .line("allow_anonymous true")
        .guarded_by(&fleet.config())
        .listener("tcp", DoorKind::Tcp, "")
        .listener("ws", DoorKind::Websocket, "")
        .start();
    for door in ["tcp", "ws"].map(|name| broker.door(name)) {
        let mut client = Client::welcome(door, &Login::new("me"));
        assert_eq!(
            client.try_subscribe(&[("guest/#", 1), ("members", 1), ("#", 1)]).unwrap(),
            [1, 0x87, 0x87]
        );
        for (topic, answer) in [("guest/me", 0), ("guest/you", 0x87), ("members", 0x87), ("shared", 0x10)] {
            assert_eq!(client.publish(&Publish::to(topic)), answer, "{topic}");
        }
        assert_eq!(topics(client.delivered()), ["guest/me"]);
        let mut secret = Client::welcome(door, &Login::new("secret"));
        assert_eq!(secret.publish(&Publish::to("guest/secret")), 0);
        assert_eq!(client.delivered(), []);
    }
});
