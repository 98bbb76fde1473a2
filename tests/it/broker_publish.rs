//! What a device may publish: rule 1 of design section 5, the limits and the placeholders.

use crate::support::{Broker, Client, DoorKind, Fleet, Kind, Login, Publish, Version};

const SETTINGS: &str = "
[roles.base]
publish = ['base/#']
[roles.sensor]
include = ['base']
publish = ['sensors/{device}/#', 'id/{clientid}', 'id/{clientid}/x', 'site/{attr.site}/+/t', 'name/{username}']
deny_publish = ['sensors/{device}/secret']
[roles.watcher]
subscribe = ['#', '$other/#']
[roles.all]
publish = ['#']
[everyone]
publish = ['status/{device}', 'forbidden/most']
deny_publish = ['forbidden/#']
";

const DEVICES: &str = "
[thunder10]
role = 'sensor'
attr = { site = 'rome' }
publish = ['forbidden/x', 'own', 'ünï/+/ø']
[plain]
role = 'sensor'
[king]
role = 'all'
publish = ['$other/#', '$CONTROL/known/v1']
[watch]
role = 'watcher'
";

const DENIED: u8 = 0x87;

fn start(kind: Kind, fleet: &Fleet) -> Broker {
    Broker::conf(kind).guarded_by(&fleet.config()).listener("tcp", DoorKind::Tcp, "").start()
}

/// Publishes to each topic at each QoS and with each version; the answers and what the watcher receives must agree
/// with what is expected.
#[track_caller]
fn judge(broker: &Broker, login: &Login, expected: &[(&str, bool)]) {
    let door = broker.door("tcp");
    let mut watcher = Client::welcome(door, &Login::of("watch"));
    assert_eq!(watcher.try_subscribe(&[("#", 2), ("$other/#", 2)]).unwrap(), [2, 2]);
    for version in [Version::V311, Version::V5] {
        let mut client = Client::welcome(door, &login.clone().version(version));
        for (topic, allowed) in expected {
            for qos in 0..=2 {
                let answer = client.publish(&Publish::to(topic).qos(qos));
                // Neither QoS 0 nor MQTT 3.1.1 has a way to say no.
                let denied = !allowed && qos > 0 && version == Version::V5;
                assert_eq!(answer, if denied { DENIED } else { 0 }, "{topic} at QoS {qos}");
            }
            client.ping().unwrap();
            let delivered = watcher.delivered();
            let topics: Vec<_> = delivered.iter().map(|message| &*message.topic).collect();
            assert_eq!(topics, vec![*topic; if *allowed { 3 } else { 0 }], "{login:?}");
        }
    }
}

broker_test!(a_publish_needs_a_rule_and_no_denial, |kind| {
    let fleet = Fleet::with_passwords(kind, SETTINGS, DEVICES);
    let broker = start(kind, &fleet);
    judge(
        &broker,
        &Login::of("thunder10"),
        &[
            ("sensors/thunder10", true),
            ("sensors/thunder10/", true),
            ("sensors/thunder10/a/b", true),
            ("sensors/thunder10/secret", false),
            ("sensors/thunder10/secret/x", true),
            ("sensors/thunder1", false),
            ("sensors/Thunder10/a", false),
            ("sensors/plain/a", false),
            ("/sensors/thunder10", false),
            ("base", true),
            ("base/x", true),
            ("id/thunder10", true),
            ("id/other", false),
            ("name/thunder10", true),
            ("site/rome/x/t", true),
            ("site/rome//t", true),
            ("site/rome/x/y/t", false),
            ("site/oslo/x/t", false),
            ("status/thunder10", true),
            ("status/plain", false),
            ("forbidden/x", false),
            ("forbidden/most", false),
            ("own", true),
            ("own/x", false),
            ("ünï/😀/ø", true),
            ("ünï/x/o", false),
        ],
    );
    // An attribute it has not got fills nothing.
    judge(
        &broker,
        &Login::of("plain"),
        &[("site//x/t", false), ("site/rome/x/t", false), ("base", true), ("own", false)],
    );
    let second = Login { id: "watch-2".to_owned(), ..Login::of("watch") };
    judge(&broker, &second, &[("base", false), ("status/watch", true)]);
});

broker_test!(a_refusal_is_in_the_log_with_its_rule, |kind| {
    let fleet = Fleet::with_passwords(kind, SETTINGS, DEVICES);
    let broker = start(kind, &fleet);
    let door = broker.door("tcp").afar();
    let mut client = Client::welcome(&door, &Login::of("thunder10"));
    for topic in ["sensors/thunder10/secret", "other\u{1f600}/x"] {
        assert_eq!(client.publish(&Publish::to(topic)), DENIED);
    }
    let said = broker.said_of(door.from.unwrap());
    let begin = "device `thunder10`, client `thunder10`: refused:";
    let denied = "publish to `sensors/thunder10/secret` is denied by citronella.toml:10 \
                  (deny_publish `sensors/{device}/secret`)";
    assert_eq!(said, format!("{begin} {denied}\n{begin} no rule allows publish to `other\u{1f600}/x`"));
});

broker_test!(a_denied_qos_2_publish_leaves_its_identifier_free, |kind| {
    let fleet = Fleet::with_passwords(kind, SETTINGS, DEVICES);
    let broker = start(kind, &fleet);
    let mut watcher = Client::welcome(broker.door("tcp"), &Login::of("watch"));
    watcher.subscribe("#");
    let mut client = Client::welcome(broker.door("tcp"), &Login::of("thunder10"));
    for round in 0..3 {
        assert_eq!(client.publish(&Publish::to("nowhere").qos(2)), DENIED);
        client.repeat_id();
        assert_eq!(client.publish(&Publish::to("own").qos(2).payload(format!("{round}"))), 0);
        client.repeat_id();
        let message = watcher.receive();
        assert_eq!((message.topic.as_str(), message.payload), ("own", format!("{round}").into_bytes()));
    }
    assert_eq!(watcher.delivered(), []);
});

broker_test!(the_brokers_own_topics_need_a_rule_that_spells_them, |kind| {
    let fleet = Fleet::with_passwords(kind, SETTINGS, DEVICES);
    let broker = start(kind, &fleet);
    judge(
        &broker,
        &Login::of("king"),
        &[("a", true), ("/", true), ("a/$x", true), ("$other", true), ("$other/x", true), ("$else/x", false)],
    );
    let mut king = Client::welcome(broker.door("tcp"), &Login::of("king"));
    for topic in [
        "$SYS/broker/version",
        "$SYS/broker/connection/x/state",
        "$CONTROL/broker/v1",
        "$CONTROL/dynamic-security/v1",
        "$CONTROL/known/v2",
    ] {
        assert_eq!(king.publish(&Publish::to(topic)), DENIED, "{topic}");
    }
    // Allowed by us; that nobody takes it is the broker's own affair.
    assert_eq!(king.publish(&Publish::to("$CONTROL/known/v1")), 0);
});

broker_test!(limits_belong_to_the_block_that_allows, |kind| {
    let settings = "
[roles.small]
publish = ['small/#', 'both/#']
max_qos = 1
retain = false
max_payload = 10
[roles.large]
publish = ['both/large/#']
max_payload = 1000
[roles.watcher]
subscribe = ['#']
";
    let devices =
        "[d]\nroles = ['small', 'large']\npublish = ['own']\nmax_qos = 0\n[watch]\nrole = 'watcher'\n";
    let fleet = Fleet::with_passwords(kind, settings, devices);
    let broker = start(kind, &fleet);
    let door = broker.door("tcp").afar();
    let mut client = Client::welcome(&door, &Login::of("d"));
    let mut watcher = Client::welcome(broker.door("tcp"), &Login::of("watch"));
    watcher.subscribe("#");
    let mut ask = |message: Publish| client.publish(&message);
    let ten = vec![b'x'; 10];
    let eleven = vec![b'x'; 11];
    assert_eq!(ask(Publish::to("small/a").payload(ten.clone())), 0);
    assert_eq!(ask(Publish::to("small/a").payload(Vec::new())), 0);
    assert_eq!(ask(Publish::to("small/a").payload(eleven.clone())), DENIED);
    assert_eq!(ask(Publish::to("small/a").qos(2)), DENIED);
    assert_eq!(ask(Publish::to("small/a").retained()), DENIED);
    assert_eq!(ask(Publish::to("both/a").payload(eleven.clone())), DENIED);
    assert_eq!(ask(Publish::to("both/large/a").payload(eleven)), 0);
    assert_eq!(ask(Publish::to("both/large/a").qos(2).retained()), 0);
    assert_eq!(ask(Publish::to("both/large/a").payload(vec![b'x'; 1001])), DENIED);
    assert_eq!(ask(Publish::to("own")), DENIED);
    assert_eq!(ask(Publish::to("own").qos(0)), 0);
    client.ping().unwrap();
    let topics: Vec<_> = watcher.delivered().into_iter().map(|message| message.topic).collect();
    assert_eq!(topics, ["small/a", "small/a", "both/large/a", "both/large/a", "own"]);
    let said = broker.said_of(door.from.unwrap());
    for limit in ["only up to 10 bytes", "only up to QoS 1", "only if it is not retained", "only up to QoS 0"]
    {
        assert!(said.contains(limit), "{limit}: {said}");
    }
});

broker_test!(client_ids_fill_one_level_or_nothing, |kind| {
    let settings = "
[identity]
client_id = 'any'
[roles.watcher]
subscribe = ['#', '$other/#']
[roles.strict]
publish = ['open', 'id/{clientid}']
deny = ['not/{clientid}']
";
    let devices = "[lax]\npublish = ['open', 'id/{clientid}', 'id/{clientid}/x']\n\
                   [strict]\nrole = 'strict'\n[watch]\nrole = 'watcher'\n";
    let fleet = Fleet::with_passwords(kind, settings, devices);
    let broker = start(kind, &fleet);
    let named = |id: &str, name: &str| Login { id: id.to_owned(), ..Login::of(name) };
    judge(&broker, &named("c 1", "lax"), &[("id/c 1", true), ("id/c 1/x", true), ("id/c", false)]);
    judge(&broker, &named("c1", "strict"), &[("open", true), ("id/c1", true), ("not/c1", false)]);
    for id in ["+", "#", "a/b", "$SYS", "a+", "/"] {
        let topics = [("open", true), ("id/x", false), ("id/a/b", false), ("id//x", false), ("id/a+", false)];
        // MQTT has no such topics to publish to.
        let topics: Vec<_> = topics.into_iter().filter(|(topic, _)| !topic.contains(['+', '#'])).collect();
        judge(&broker, &named(id, "lax"), &topics);
        // A denial that cannot be spelled denies everything.
        judge(&broker, &named(id, "strict"), &[("open", false), ("id/x", false)]);
    }
});
