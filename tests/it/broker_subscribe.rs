//! What a device may subscribe to: rule 2 of design section 5, shared subscriptions, `wide_subscribe`.

use crate::support::{Broker, Client, DoorKind, Fleet, Kind, Login, Publish, Version, not_subscribed};

const SETTINGS: &str = "
[roles.reader]
subscribe = ['a', 'a/+/#', 'b/+', 'c/#', 'd/+/x', '+/everywhere', 'cmd/{device}/#', 'by/{clientid}', 'at/{attr.site}/#']
deny_subscribe = ['c/secret/#']
hide = ['a/hidden/+']
[roles.all]
subscribe = ['#']
[roles.levels]
subscribe = ['+/#']
[roles.sys]
subscribe = ['$SYS/#']
[everyone]
subscribe = ['news']
";

const DEVICES: &str = "
[r]
role = 'reader'
attr = { site = 'rome' }
[all]
role = 'all'
[levels]
role = 'levels'
[sys]
role = 'sys'
[writer]
publish = ['#']
";

fn start(kind: Kind, fleet: &Fleet) -> Broker {
    Broker::conf(kind).guarded_by(&fleet.config()).listener("tcp", DoorKind::Tcp, "").start()
}

/// The SUBACK's codes with both versions, all filters asked for at once at QoS 1, and one by one.
#[track_caller]
fn judge(broker: &Broker, name: &str, expected: &[(&str, bool)]) {
    for version in [Version::V311, Version::V5] {
        let login = Login::of(name).version(version);
        let code = |allowed| if allowed { 1 } else { not_subscribed(version) };
        let mut client = Client::welcome(broker.door("tcp"), &login);
        let filters: Vec<_> = expected.iter().map(|(filter, _)| (*filter, 1)).collect();
        let codes: Vec<_> = expected.iter().map(|(_, allowed)| code(*allowed)).collect();
        let answers = client.try_subscribe(&filters).unwrap();
        let answers: Vec<_> = filters.iter().map(|(filter, _)| *filter).zip(answers).collect();
        let codes: Vec<_> = filters.iter().map(|(filter, _)| *filter).zip(codes).collect();
        assert_eq!(answers, codes, "{name}");
        client.ping().unwrap();
        // Whatever was subscribed to, or not, may be given up.
        for (filter, _) in expected {
            assert!(matches!(client.unsubscribe(filter), 0 | 0x11), "{filter}");
        }
        client.disconnect();
    }
}

broker_test!(a_filter_is_granted_if_all_it_can_match_is_allowed, |kind| {
    let fleet = Fleet::with_passwords(kind, SETTINGS, DEVICES);
    let broker = start(kind, &fleet);
    judge(
        &broker,
        "r",
        &[
            ("news", true),
            ("a", true),
            ("a/b", true),
            ("a/#", true),
            ("a/+", true),
            ("a/+/+/#", true),
            ("a/hidden/+", true),
            ("b/+", true),
            ("b/x", true),
            ("b", false),
            ("b/#", false),
            ("b/+/x", false),
            ("c", true),
            ("c/+", false),
            ("c/+/x", false),
            ("c/x/#", true),
            ("c/#", false),
            ("c/secret", false),
            ("c/secret/x", false),
            ("d/+/x", true),
            ("d/+/+", false),
            ("x/everywhere", true),
            ("+/everywhere", true),
            ("$x/everywhere", false),
            ("#", false),
            ("+/#", false),
            ("+", false),
            ("/", false),
            ("cmd/r/#", true),
            ("cmd/r", true),
            ("cmd/all/#", false),
            ("cmd/+/#", false),
            ("cmd/+", false),
            ("by/r", true),
            ("by/+", false),
            ("at/rome/x", true),
            ("at/#", false),
            ("$SYS/#", false),
            ("$CONTROL/#", false),
        ],
    );
    let everything =
        [("#", true), ("+/#", true), ("a/b/+", true), ("/", true), ("$SYS/#", false), ("$x", false)];
    judge(&broker, "all", &everything);
    judge(&broker, "levels", &everything);
    judge(
        &broker,
        "sys",
        &[("$SYS/#", true), ("$SYS/broker/uptime", true), ("$CONTROL/#", false), ("#", false)],
    );
});

broker_test!(a_refused_filter_is_in_the_log_with_its_witness, |kind| {
    let fleet = Fleet::with_passwords(kind, SETTINGS, DEVICES);
    let broker = start(kind, &fleet);
    let door = broker.door("tcp").afar();
    let mut client = Client::welcome(&door, &Login::of("r"));
    for filter in ["c/#", "b/#", "x"] {
        assert_eq!(client.subscribe(filter), 0x87);
    }
    let said = broker.said_of(door.from.unwrap());
    let lines: Vec<_> = said.lines().collect();
    let begin = "device `r`, client `r`: refused:";
    assert_eq!(lines.len(), 3, "{said}");
    let witness = "`c/#` also matches `c/secret`, denied by citronella.toml:7 (deny_subscribe `c/secret/#`)";
    assert_eq!(lines[0], format!("{begin} {witness}"));
    let shown = |line: &str| line.starts_with(&format!("{begin} `b/#` also matches `b"));
    assert!(shown(lines[1]) && lines[1].ends_with("which no rule allows"), "{said}");
    assert_eq!(lines[2], format!("{begin} no rule allows subscribe to `x`"));
});

broker_test!(an_unsubscribe_ends_the_delivery, |kind| {
    let fleet = Fleet::with_passwords(kind, SETTINGS, DEVICES);
    let broker = start(kind, &fleet);
    let mut writer = Client::welcome(broker.door("tcp"), &Login::of("writer"));
    for version in [Version::V311, Version::V5] {
        let mut reader = Client::welcome(broker.door("tcp"), &Login::of("r").version(version));
        reader.subscribe("a/#");
        writer.publish(&Publish::to("a/1"));
        assert_eq!(reader.receive().topic, "a/1");
        assert_eq!(reader.unsubscribe("a/#"), 0);
        writer.publish(&Publish::to("a/2"));
        assert_eq!(reader.delivered(), []);
        reader.disconnect();
    }
});

broker_test!(a_shared_subscription_is_judged_by_its_filter, |kind| {
    let fleet = Fleet::with_passwords(kind, SETTINGS, DEVICES);
    let broker = start(kind, &fleet);
    judge(
        &broker,
        "r",
        &[
            ("$share/g/a", true),
            ("$share/g/b/+", true),
            ("$share/g/b/#", false),
            ("$share/g/c/#", false),
            ("$share/g/news", true),
            ("$share/$x/news", true),
            // One member's hidden message would be lost for the others.
            ("$share/g/a/#", false),
            ("$share/g/a/hidden/x", false),
            ("$share/g/a/+", true),
            ("$share/g/#", false),
            ("$share/g/$SYS/#", false),
        ],
    );
    judge(&broker, "all", &[("$share/g/#", true), ("$share/g/$SYS/x", false)]);
    // No shares at all, and no filters that a rule speaks of.
    for filter in [
        "$share/g/$share/h/a",
        "$share",
        "$share/",
        "$share/g",
        "$share/g/",
        "$share//a",
        "$share/g+/a",
        "$share/#",
        "$share/+/a",
    ] {
        let mut client = Client::welcome(broker.door("tcp"), &Login::of("all"));
        if let Ok(codes) = client.try_subscribe(&[(filter, 1)]) {
            assert!(codes[0] >= 0x80, "{filter}: {codes:?}");
        }
    }
    let mut writer = Client::welcome(broker.door("tcp"), &Login::of("writer"));
    let mut readers = ["one", "two"].map(|id| {
        let login = Login { id: id.to_owned(), ..Login::of("r") };
        let mut reader = Client::welcome(broker.door("tcp"), &login);
        assert_eq!(reader.subscribe("$share/g/b/+"), 2);
        reader
    });
    for number in 0..4 {
        writer.publish(&Publish::to(&format!("b/{number}")));
    }
    let mut topics: Vec<_> =
        readers.iter_mut().flat_map(Client::delivered).map(|message| message.topic).collect();
    topics.sort();
    assert_eq!(topics, ["b/0", "b/1", "b/2", "b/3"]);
});

broker_test!(a_wide_subscription_is_filtered_where_that_is_asked_for, |kind| {
    let settings = "
[compat]
wide_subscribe = 'filter'
[roles.reader]
subscribe = ['a/+', 'b/#']
deny = ['a/secret', 'b/no/#']
hide = ['b/hidden']
";
    let devices = "[r]\nrole = 'reader'\n[writer]\npublish = ['#']\n";
    let fleet = Fleet::with_passwords(kind, settings, devices);
    let broker = start(kind, &fleet);
    judge(
        &broker,
        "r",
        &[
            ("#", true),
            ("a/#", true),
            ("+/x", true),
            ("a/secret", false),
            ("b/no/x", false),
            ("b/no/#", false),
            ("c/#", false),
            ("$SYS/#", false),
            ("$share/g/#", false),
            ("$share/g/a/+", false),
            ("$share/g/b/x", true),
        ],
    );
    let mut writer = Client::welcome(broker.door("tcp"), &Login::of("writer"));
    for version in [Version::V311, Version::V5] {
        let mut reader = Client::welcome(broker.door("tcp"), &Login::of("r").version(version));
        reader.subscribe("#");
        for topic in ["a", "a/x", "a/secret", "a/x/y", "b", "b/no", "b/no/x", "b/hidden", "b/yes", "c"] {
            writer.publish(&Publish::to(topic));
        }
        let topics: Vec<_> = reader.delivered().into_iter().map(|message| message.topic).collect();
        assert_eq!(topics, ["a/x", "b", "b/yes"]);
        reader.disconnect();
    }
});
