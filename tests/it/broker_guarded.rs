//! A broker with the plugin, end to end: the shortest story that touches everything.

use crate::support::{Broker, Client, DoorKind, Fleet, Login, Publish, Refused};

const NOT_AUTHORIZED: u8 = 0x87;

const SETTINGS: &str = r#"version = 1

[registry]
file = "devices.toml"

[auth]
password_file = "passwd"

[roles.sensor]
publish = ["sensors/{device}/#"]
subscribe = ["cmd/{device}/#"]
"#;

const DEVICES: &str = r#"version = 1

[thunder10]
role = "sensor"
certificates = "any"

[phone]
subscribe = ["sensors/#"]
publish = ["cmd/+/#"]
"#;

broker_test!(a_guarded_broker_admits_whom_it_knows_to_what_is_theirs, |kind| {
    let fleet = Fleet::new(SETTINGS, DEVICES);
    fleet.password(kind, "phone", "correct horse");
    let authority = fleet.authority();
    let broker = Broker::conf(kind)
        .line("allow_anonymous false")
        .guarded_by(&fleet.config())
        .tls("tls", authority, "require_certificate true")
        .listener("in", DoorKind::Tcp, "")
        .start();
    let door = broker.door("tls").showing(&authority.device("thunder10"));
    let mut thunder = Client::welcome(&door, &Login::new("thunder10"));
    let phone = Login::new("phone").user("phone");
    let mut reader = Client::welcome(broker.door("in"), &phone.clone().password("correct horse"));

    assert_eq!(reader.subscribe("sensors/#"), 2);
    assert_eq!(thunder.publish(&Publish::to("sensors/thunder10/kwh").payload("7")), 0);
    assert_eq!(reader.receive().payload, b"7");
    assert_eq!(thunder.publish(&Publish::to("sensors/other/kwh")), NOT_AUTHORIZED);
    assert_eq!(thunder.subscribe("cmd/#"), NOT_AUTHORIZED);
    assert_eq!(reader.delivered(), []);

    let stranger = broker.door("tls").showing(&authority.device("nobody"));
    for refused in [
        Client::unwelcome(&stranger, &Login::new("nobody")),
        Client::unwelcome(broker.door("in"), &phone.clone().password("wrong")),
        Client::unwelcome(broker.door("in"), &phone),
        Client::unwelcome(broker.door("in"), &Login::new("anybody")),
    ] {
        assert_eq!(refused, Refused::Connack(NOT_AUTHORIZED));
    }
});

broker_test!(a_device_disabled_is_refused_after_a_reload, |kind| {
    let fleet = Fleet::new(SETTINGS, DEVICES);
    fleet.write("passwd", "");
    let authority = fleet.authority();
    let broker = Broker::conf(kind)
        .line("allow_anonymous false")
        .guarded_by(&fleet.config())
        .tls("tls", authority, "require_certificate true")
        .start();
    let door = broker.door("tls").showing(&authority.device("thunder10"));
    Client::welcome(&door, &Login::new("thunder10")).disconnect();
    fleet.write("devices.toml", &DEVICES.replace("[phone]", "state = \"disabled\"\n\n[phone]"));
    broker.reload();
    assert_eq!(Client::unwelcome(&door, &Login::new("thunder10")), Refused::Connack(NOT_AUTHORIZED));
});

broker_test!(a_broken_file_keeps_the_broker_from_starting, |kind| {
    let fleet = Fleet::new("version = 1\nnonsense = true\n", DEVICES);
    let refusing =
        Broker::conf(kind).guarded_by(&fleet.config()).listener("in", DoorKind::Unix, "").refusing();
    assert!(!refusing.status.success(), "{refusing:?}");
    assert!(refusing.log.contains("nonsense"), "{refusing:?}");
});
