//! Who may connect with a password, without any, and under which client id: design sections 4 and 6.

use crate::support::{
    Broker, Client, DoorKind, Fleet, Login, Refused, Version, admitted, answered, not_authorized, refused,
    refused_once,
};

const SETTINGS: &str = "
version = 1
[auth]
password_file = 'passwd'
[everyone]
subscribe = ['who/{device}']
";

/// Hashes of this build's own vectors: name, password, hash, maker.
fn vectors() -> impl Iterator<Item = (&'static str, Vec<u8>, &'static str, &'static str)> {
    include_str!("../cases/password-vectors.tsv").lines().filter(|line| !line.starts_with('#')).map(|line| {
        let fields: Vec<&str> = line.split('\t').collect();
        let [name, hex, hash, maker] = fields[..] else { panic!("{line}") };
        let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        (name, (0..hex.len()).step_by(2).map(byte).collect(), hash, maker)
    })
}

broker_test!(a_password_is_its_device_on_every_listener_without_certificates, |kind| {
    let fleet = Fleet::new(SETTINGS, "version = 1\n[thunder10]\n[bare]\n[sealed]\nauth = 'certificate'\n");
    for name in ["thunder10", "sealed", "stranger"] {
        fleet.password(kind, name, "right");
    }
    let broker = Broker::conf(kind)
        .line("allow_anonymous true")
        .guarded_by(&fleet.config())
        .tls("tls", fleet.authority(), "")
        .wss("wss", fleet.authority(), "")
        .listener("tcp", DoorKind::Tcp, "")
        .listener("ws", DoorKind::Websocket, "")
        .listener("unix", DoorKind::Unix, "")
        .start();
    let login = Login::new("");
    let named = login.clone().user("thunder10");
    let right = named.clone().password("right");
    for name in ["tls", "wss", "tcp", "ws", "unix"] {
        admitted(broker.door(name), &right, "thunder10");
    }
    // A certificate that nobody asked for says nothing.
    let shown = broker.door("tls").showing(&fleet.authority().device("bare"));
    admitted(&shown, &right, "thunder10");
    refused(&broker, &shown, &login, "neither a certificate nor a user name");
    for name in ["tls", "wss", "tcp", "ws"] {
        let door = broker.door(name);
        refused(&broker, door, &named.clone().password("wrong"), "wrong password");
        refused(&broker, door, &login, "neither a certificate nor a user name");
    }
    for name in ["tls", "tcp", "ws"] {
        let door = broker.door(name);
        refused(&broker, door, &named, "the device must give a password");
        refused(&broker, door, &named.clone().password(""), "the device must give a password");
        refused(&broker, door, &named.clone().password("righ"), "wrong password");
        refused(&broker, door, &named.clone().password("right "), "wrong password");
        let other = |name| login.clone().user(name).password("right");
        refused(&broker, door, &other("Thunder10"), "no device is called `Thunder10`");
        refused(&broker, door, &other("thunder10 "), "no device is called `thunder10 `");
        refused(&broker, door, &other("bare"), "the device has no password");
        refused(&broker, door, &login.clone().user("bare"), "the device must give a password");
        refused(&broker, door, &other("sealed"), "the device must show a certificate");
        refused(&broker, door, &other("stranger"), "no device is called `stranger`");
        refused(&broker, door, &other("nobody"), "no device is called `nobody`");
        refused(&broker, door, &login.clone().user("nobody"), "no device is called `nobody`");
        refused(&broker, door, &other("~anonymous"), "no device is called `~anonymous`");
        refused(&broker, door, &login.clone().user("~anonymous"), "no device is called `~anonymous`");
        refused(&broker, door, &login.clone().user("+"), "no device is called `+`");
        refused(&broker, door, &login.clone().user(""), "neither a certificate nor a user name");
        // Nothing reads it before us, and afterwards there is no name to look for.
        let empty = Login { version: Version::V5, ..login.clone().password("right") };
        refused_once(&broker, door, &empty, "a password without a user name");
    }
});

broker_test!(every_hash_that_people_have_verifies, |kind| {
    // Some are as costly as is allowed, and the loop has nothing else to do here.
    let settings = SETTINGS.replace("password_file = 'passwd'", "hash_budget = 1000");
    let mut devices = String::from("version = 1\n");
    let mut makers = Vec::new();
    for (name, _, hash, maker) in vectors() {
        devices += &format!("[{name}]\npassword = '{hash}'\n");
        makers.push(maker);
    }
    for maker in ["mosquitto_passwd 2.0.11", "pbkdf2", "argon2"] {
        assert!(makers.iter().any(|known| known.contains(maker)), "no vector of {maker}: {makers:?}");
    }
    let fleet = Fleet::new(&settings, &devices);
    let broker = Broker::conf(kind).guarded_by(&fleet.config()).listener("tcp", DoorKind::Tcp, "").start();
    let door = broker.door("tcp");
    for (name, password, _, maker) in vectors() {
        let login = Login::new("").user(name);
        answered(door, &login.clone().password(password.clone()))
            .unwrap_or_else(|refused| panic!("{name} by {maker}: {refused:?}"))
            .disconnect();
        let mut wrong = password;
        wrong[0] ^= 1;
        assert_eq!(
            answered(&door.afar(), &login.password(wrong)).err(),
            Some(Refused::Connack(0x87)),
            "{name}"
        );
    }
});

broker_test!(enhanced_authentication_is_no_way_in, |kind| {
    let fleet = Fleet::new(
        "version = 1\n[anonymous]\nsubscribe = ['who/anonymous']\n",
        "version = 1\n[thunder10]\ncertificates = 'any'\n",
    );
    let ca = fleet.authority();
    let broker = Broker::conf(kind)
        .line("allow_anonymous true")
        .guarded_by(&fleet.config())
        .listener("tcp", DoorKind::Tcp, "")
        .listener("ws", DoorKind::Websocket, "")
        .tls("tls", ca, "require_certificate true")
        .start();
    let login = Login::new("").auth_method("SCRAM-SHA-256");
    let tls = broker.door("tls").showing(&ca.device("thunder10"));
    for door in [broker.door("tcp"), broker.door("ws"), &tls] {
        assert_eq!(Client::unwelcome(door, &login), Refused::Connack(0x8c));
        assert_eq!(Client::unwelcome(door, &login.clone().user("thunder10")), Refused::Connack(0x8c));
    }
});

broker_test!(anonymous_clients_are_as_the_block_for_them_says, |kind| {
    let settings = format!("{SETTINGS}[anonymous]\nsubscribe = ['who/anonymous']\n");
    let fleet = Fleet::new(&settings, "version = 1\n[phone]\n");
    fleet.password(kind, "phone", "right");
    // The broker's own switch neither opens nor closes ours.
    for own in ["allow_anonymous true", "allow_anonymous false"] {
        let broker = Broker::conf(kind)
            .line(own)
            .guarded_by(&fleet.config())
            .listener("tcp", DoorKind::Tcp, "")
            .listener("ws", DoorKind::Websocket, "")
            .start();
        for door in ["tcp", "ws"].map(|name| broker.door(name)) {
            admitted(door, &Login::new(""), "anonymous");
            admitted(door, &Login::new(""), "anonymous");
            admitted(door, &Login::new("").user(""), "anonymous");
            admitted(door, &Login::new("").user("phone").password("right"), "phone");
            for name in ["~anonymous", "anonymous", "nobody"] {
                let login = Login::new("").user(name);
                refused(&broker, door, &login, &format!("no device is called `{name}`"));
                refused(&broker, door, &login.password("x"), &format!("no device is called `{name}`"));
            }
            for id in ["phone", "phone-1"] {
                refused(&broker, door, &Login::new(id), "the client id belongs to device `phone`");
            }
            let unnamed = Login::new("").password("right");
            assert_eq!(Client::unwelcome(door, &unnamed), Refused::Connack(not_authorized(Version::V5)));
        }
    }
});

const NAMES: [&str; 4] = ["gw", "gw-7", "phone", "thunder10"];

broker_test!(client_ids_belong_to_devices, |kind| {
    let settings = |rule: &str| format!("{SETTINGS}[identity]\nclient_id = '{rule}'\n");
    let registry = NAMES.map(|name| format!("[{name}]\n")).concat();
    let fleet = Fleet::new(&settings("protect"), &format!("version = 1\n{registry}"));
    for name in NAMES {
        fleet.password(kind, name, "right");
    }
    let broker = Broker::conf(kind).guarded_by(&fleet.config()).listener("tcp", DoorKind::Tcp, "").start();
    let door = broker.door("tcp");
    let login = |id: &str, name: &str| Login::new(id).user(name).password("right");
    let own = [
        ("gw", "gw"),
        ("gw-8", "gw"),
        ("gw:7", "gw"),
        ("gw-7", "gw-7"),
        ("gw-7-x", "gw-7"),
        ("gw-7/a/b", "gw-7"),
        ("phone.1", "phone"),
        ("phone_1", "phone"),
        ("phone-", "phone"),
    ];
    let free = ["mosq-1", "phonex", "Phone", "xphone", "+", "#", "a/b", "-phone", ""];
    for (id, name) in own {
        admitted(door, &login(id, name), name);
        for other in NAMES.into_iter().filter(|other| *other != name) {
            refused(&broker, door, &login(id, other), &format!("the client id belongs to device `{name}`"));
        }
    }
    for id in free {
        admitted(door, &login(id, "phone"), "phone");
        if id.is_empty() || kind.at_least(2, 1, 0) {
            admitted(door, &login(id, "gw"), "gw");
        } else {
            // COMPAT: 2.0 cannot be asked whether the session is still there; who had it is remembered.
            refused(&broker, door, &login(id, "gw"), "the session of this client id belongs to `phone`");
        }
    }

    fleet.write("citronella.toml", &settings("device"));
    broker.reload();
    // Sessions whose ids are good no longer are closed at a pace, by name; they may take a newcomer along.
    broker.wait_for_kicks();
    for (id, name) in own {
        admitted(door, &login(id, name), name);
    }
    refused(&broker, door, &login("gw-7", "gw"), "the client id belongs to device `gw-7`");
    for id in free {
        refused(
            &broker,
            door,
            &login(id, "phone"),
            "the client id must be the device's name, or begin with it",
        );
    }

    fleet.write("citronella.toml", &settings("any"));
    broker.reload();
    admitted(door, &login("gw-7", "gw"), "gw");
    admitted(door, &login("mosq-1", "phone"), "phone");
    // Where anybody may use any id, the refusal still does not come from there.
    refused(&broker, door, &Login::new("gw-7").user("gw").password("wrong"), "wrong password");
});
