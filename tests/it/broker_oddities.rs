//! Ways of coming that few clients use: whatever they change in the broker, they do not change who may do what.

use crate::support::{
    Broker, Client, DoorKind, Fleet, Login, Publish, Refused, Version, admitted, not_authorized, refused,
};

const SETTINGS: &str = "[everyone]\npubsub = ['own/{device}']\nsubscribe = ['who/{device}']\n";

broker_test!(mqtt_3_1_is_guarded_though_it_cannot_say_no, |kind| {
    let fleet = Fleet::with_passwords(kind, SETTINGS, "[old]\n[writer]\npublish = ['#']\n");
    let broker = Broker::conf(kind).guarded_by(&fleet.config()).listener("tcp", DoorKind::Tcp, "").start();
    let login = Login::of("old").version(Version::V31);
    for wrong in [login.clone().password("wrong"), Login { username: None, password: None, ..login.clone() }]
    {
        let answer = Client::unwelcome(broker.door("tcp"), &wrong);
        assert_eq!(answer, Refused::Connack(not_authorized(Version::V31)));
    }
    let mut old = Client::welcome(broker.door("tcp"), &login);
    // A SUBACK of MQTT 3.1 has no code for a refusal; nothing is delivered all the same.
    assert_eq!((old.subscribe("own/old"), old.subscribe("secret")), (2, 2));
    let mut writer = Client::welcome(broker.door("tcp"), &Login::of("writer"));
    for topic in ["secret", "own/old", "secret"] {
        writer.publish(&Publish::to(topic));
    }
    old.publish(&Publish::to("secret"));
    let topics: Vec<_> = old.delivered().into_iter().map(|message| message.topic).collect();
    assert_eq!(topics, ["own/old"]);
});

broker_test!(a_client_that_says_it_is_a_bridge_is_a_client, |kind| {
    let fleet = Fleet::with_passwords(kind, SETTINGS, "[peer]\n");
    let broker = Broker::conf(kind).guarded_by(&fleet.config()).listener("tcp", DoorKind::Tcp, "").start();
    let door = broker.door("tcp");
    let bridge = |login: Login| Login { bridge: true, ..login.v311() };
    let answer = Client::unwelcome(door, &bridge(Login::of("peer").password("wrong")));
    assert_eq!(answer, Refused::Connack(not_authorized(Version::V311)));
    Client::unwelcome(door, &bridge(Login::new("stranger")));
    let mut peer = Client::welcome(door, &bridge(Login::of("peer")));
    assert_eq!((peer.subscribe("own/peer"), peer.subscribe("#")), (2, 0x80));
    let mut other = Client::welcome(door, &Login { id: "second".to_owned(), ..Login::of("peer") });
    other.subscribe("own/peer");
    for topic in ["secret", "own/peer"] {
        peer.publish(&Publish::to(topic));
    }
    assert_eq!(other.receive().topic, "own/peer");
    assert!(!broker.log().contains("Sending PUBLISH to second (d0, q1, r0, m1, 'secret'"));
});

broker_test!(a_mount_point_is_part_of_the_topics_that_rules_speak_of, |kind| {
    let settings = "[everyone]\npubsub = ['site/own/{device}', 'bare']\n";
    let fleet = Fleet::with_passwords(kind, settings, "[d]\n");
    let broker = Broker::conf(kind)
        .guarded_by(&fleet.config())
        .listener("tcp", DoorKind::Tcp, "")
        .listener("mounted", DoorKind::Tcp, "mount_point site/")
        .start();
    let mut outside =
        Client::welcome(broker.door("tcp"), &Login { id: "outside".to_owned(), ..Login::of("d") });
    let mut inside = Client::welcome(broker.door("mounted"), &Login::of("d"));
    assert_eq!(outside.subscribe("site/own/d"), 2);
    assert_eq!(
        (inside.subscribe("own/d"), inside.subscribe("bare"), inside.subscribe("site/own/d")),
        (2, 0x87, 0x87)
    );
    assert_eq!((inside.publish(&Publish::to("own/d")), inside.publish(&Publish::to("bare"))), (0, 0x87));
    assert_eq!(outside.receive().topic, "site/own/d");
    // 2.0.11 leaves the prefix on what it delivers, and no release puts it before what is given up.
    assert!(inside.receive().topic.ends_with("own/d"));
    assert_ne!(inside.unsubscribe("own/d"), 0x87);
});

broker_test!(a_user_name_that_becomes_the_client_id_is_judged_as_both, |kind| {
    let fleet = Fleet::with_passwords(kind, SETTINGS, "[thunder10]\n[other]\n");
    let broker = Broker::conf(kind)
        .guarded_by(&fleet.config())
        .listener("tcp", DoorKind::Tcp, "use_username_as_clientid true")
        .start();
    let door = broker.door("tcp");
    admitted(door, &Login { id: "anything".to_owned(), ..Login::of("thunder10") }, "thunder10");
    // An id that belongs to another device is gone before we are asked.
    admitted(door, &Login { id: "other".to_owned(), ..Login::of("thunder10") }, "thunder10");
    refused(&broker, door, &Login::of("thunder10").password("wrong"), "wrong password");
});
