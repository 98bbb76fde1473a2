//! The command's own MQTT client, held against real brokers.

use std::{io, net::TcpStream, os::unix::net::UnixStream};

use citronella::mqtt::{Client, Connect, Connected, MqttError, Version};

use crate::support::{Broker, DoorKind, Kind, PATIENCE};

const VERSIONS: [Version; 2] = [Version::V311, Version::V5];

fn start(kind: Kind) -> Broker {
    let conf = Broker::conf(kind);
    let acl = conf.dir().join("acl");
    std::fs::write(&acl, "user bob\ntopic read #\ntopic write a/#\n").unwrap();
    conf.line("allow_anonymous true")
        .line(&format!("acl_file {}", acl.display()))
        .listener("tcp", DoorKind::Tcp, "")
        .listener("unix", DoorKind::Unix, "")
        .start()
}

fn login(version: Version, client_id: &str) -> Connect<'_> {
    Connect { version, client_id, username: Some("bob"), password: None, keep_alive_s: 60 }
}

fn tcp(broker: &Broker) -> TcpStream {
    let stream = TcpStream::connect(broker.door("tcp").address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

#[track_caller]
fn welcome(broker: &Broker, login: &Connect<'_>) -> Client<TcpStream> {
    match Client::connect(tcp(broker), login).unwrap() {
        Connected::Yes(client) => client,
        Connected::No(code) => panic!("refused: {code:#04x}"),
    }
}

broker_test!(it_publishes_subscribes_and_receives, |kind| {
    let broker = start(kind);
    for version in VERSIONS {
        let mut client = welcome(&broker, &login(version, "one"));
        assert_eq!(client.subscribe(&["a/#", "b"], 2).unwrap(), [2, 2]);
        assert_eq!(client.publish("a/1", b"hello").unwrap(), 0);
        let denied = client.publish("b", b"hidden").unwrap();
        assert_eq!(denied, if version == Version::V5 { 0x87 } else { 0 });
        client.send_message("a/2", &[b'x'; 100_000]).unwrap();
        let (first, second) = (client.message().unwrap(), client.message().unwrap());
        assert_eq!((&*first.topic, &*first.payload, first.qos), ("a/1", &b"hello"[..], 1));
        assert_eq!((&*second.topic, second.payload.len(), second.qos), ("a/2", 100_000, 0));
        assert_eq!(client.unsubscribe(&["a/#"]).unwrap().len(), usize::from(version == Version::V5));
        client.publish("a/3", b"").unwrap();
        client.ping().unwrap();
        assert_eq!(client.take_messages().count(), 0, "nothing comes after the subscription is given up");
        client.disconnect().unwrap();
    }
});

broker_test!(messages_of_qos_2_are_received_to_their_end, |kind| {
    let broker = start(kind);
    let mut receiver = welcome(&broker, &login(Version::V5, "receiver"));
    receiver.subscribe(&["a"], 2).unwrap();
    // More than the broker lets be under way: without answers to each step the rest would never come.
    let door = broker.door("tcp");
    let sender = crate::support::Login::new("sender").user("bob");
    let mut sender = crate::support::Client::welcome(door, &sender);
    for _ in 0..50 {
        assert_eq!(sender.publish(&crate::support::Publish::to("a").qos(2)), 0);
    }
    for _ in 0..50 {
        assert_eq!(receiver.message().unwrap().qos, 2);
    }
});

fn is_closed(error: &MqttError) -> bool {
    match error {
        MqttError::Closed => true,
        MqttError::Io(error) => {
            matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
        }
        _ => false,
    }
}

broker_test!(refusals_and_ends_are_told_apart, |kind| {
    let conf = Broker::conf(kind);
    let broker = conf.line("allow_anonymous false").listener("tcp", DoorKind::Tcp, "").start();
    for (version, refused) in [(Version::V311, 5), (Version::V5, 0x87)] {
        let connected = Client::connect(tcp(&broker), &login(version, "one")).unwrap();
        assert!(matches!(connected, Connected::No(code) if code == refused));
    }
    let broker = start(kind);
    let mut first = welcome(&broker, &login(Version::V5, "same"));
    let _second = welcome(&broker, &login(Version::V5, "same"));
    let ended = first.message().unwrap_err();
    // COMPAT: Debian's 2.0.11 closes without a word.
    let told = matches!(ended, MqttError::Disconnected(0x8e));
    assert!(told || (!kind.at_least(2, 0, 21) && is_closed(&ended)), "{ended}");
    let mut first = welcome(&broker, &login(Version::V311, "other"));
    let _second = welcome(&broker, &login(Version::V311, "other"));
    let ended = first.message().unwrap_err();
    assert!(is_closed(&ended), "{ended}");
});

broker_test!(any_stream_will_do, |kind| {
    let broker = start(kind);
    let stream = UnixStream::connect(&broker.door("unix").path).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let Connected::Yes(mut client) = Client::connect(stream, &login(Version::V311, "")).unwrap() else {
        panic!("refused");
    };
    client.ping().unwrap();
    let brief = std::time::Duration::from_millis(1);
    client.stream().set_read_timeout(Some(brief)).unwrap();
    let late = client.message().unwrap_err();
    assert!(
        matches!(&late, MqttError::Io(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)),
        "{late}"
    );
});
