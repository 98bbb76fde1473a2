//! Passwords whose hashes take long: who waits for them, who is refused meanwhile, and whose answer counts.

use std::{
    fs,
    io::ErrorKind,
    os::unix::fs::PermissionsExt as _,
    process::Command,
    time::{Duration, Instant},
};

use crate::support::{
    Broker, Client, Conf, DoorKind, Fleet, Kind, Login, PATIENCE, Packet, Publish, Refused, Version, Will,
    Wire, answered, not_authorized, plugin_lines, wait_for,
};

const SETTINGS: &str = "[everyone]\nsubscribe = ['who/{device}']\npubsub = ['to/{device}', 'open']\n";

/// Iterations of `$7$` that take 20 ms and more: twenty times what the loop computes at once.
const SLOW: u32 = 40_000;

/// Devices with slow hashes of the password `right`.
pub(crate) fn slow_fleet(kind: Kind, settings: &str, names: &[&str]) -> Fleet {
    fleet_with(kind, settings, (names, SLOW))
}

fn fleet_with(kind: Kind, settings: &str, (names, iterations): (&[&str], u32)) -> Fleet {
    let devices = names.iter().map(|name| format!("[{name}]\n")).collect::<String>();
    let fleet = Fleet::new(
        &format!("version = 1\n[auth]\npassword_file = 'passwd'\n{settings}"),
        &format!("version = 1\n{devices}"),
    );
    fleet.write("passwd", "");
    for name in names {
        slow_password(&fleet, kind, (name, "right"), iterations);
    }
    fleet
}

fn slow_password(fleet: &Fleet, kind: Kind, (name, password): (&str, &str), iterations: u32) {
    let passwd = fleet.path("passwd");
    let output = Command::new(kind.program("mosquitto_passwd"))
        .args(["-H", "sha512-pbkdf2", "-I", &iterations.to_string(), "-b"])
        .arg(&passwd)
        .args([name, password])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    fs::set_permissions(&passwd, fs::Permissions::from_mode(0o640)).unwrap();
}

fn conf(kind: Kind, fleet: &Fleet) -> Conf {
    Broker::conf(kind).line("allow_anonymous false").guarded_by(&fleet.config()).listener(
        "tcp",
        DoorKind::Tcp,
        "",
    )
}

fn login(id: &str, name: &str) -> Login {
    Login::new(id).user(name).password("right").v311()
}

/// Sends a CONNECT and does not wait for the answer.
fn knock(broker: &Broker, login: &Login) -> Wire {
    let mut wire = Wire::open(&broker.door("tcp").afar()).unwrap();
    wire.write(&login.packet()).unwrap();
    wire
}

/// What comes on this connection, until something came or it ended.
fn answer(wire: &mut Wire) -> Option<Packet> {
    let (deadline, mut bytes) = (Instant::now() + PATIENCE * 3, Vec::new());
    loop {
        if let Some(packet) = Packet::take(&mut bytes) {
            return Some(packet);
        }
        let more = wire.read(deadline).expect("an answer or an end");
        if more.is_empty() {
            return None;
        }
        bytes.extend(more);
    }
}

/// Keeps the only worker busy: so many hashes are computed before the next one's turn comes.
fn occupy(broker: &Broker, hashes: usize) -> Vec<Wire> {
    // What is wrong is not remembered, and takes its time again.
    let occupy = |number| knock(broker, &login(&format!("idle-{number}"), "idle").password("wrong"));
    let wires = (0..hashes).map(occupy).collect();
    broker.settle();
    wires
}

const CONNACK: u8 = 2;

/// Logs in as often as it takes: a client that is refused for now comes again.
fn log_in_at_last(broker: &Broker, login: &Login) -> Client {
    answered(broker.door("tcp"), login).unwrap_or_else(|refused| panic!("{login:?} is refused: {refused:?}"))
}

broker_test!(slow_hashes_let_in_who_is_right_and_nobody_else, |kind| {
    let fleet = slow_fleet(kind, SETTINGS, &["phone", "idle"]);
    let broker = conf(kind, &fleet).start();
    for version in [Version::V311, Version::V5] {
        let login = login("c", "phone").version(version);
        let wrong = login.clone().password("wrong");
        for login in [&wrong, &wrong.clone().user("nobody")] {
            let refused = answered(&broker.door("tcp").afar(), login).err();
            assert_eq!(refused, Some(Refused::Connack(not_authorized(version))), "{login:?}");
        }
        let mut client = log_in_at_last(&broker, &login);
        assert_eq!(client.subscribe("who/phone"), 2);
        // From now on it is known, and nobody waits: at each SIGHUP and at each log-in.
        broker.reload();
        client.ping().unwrap();
        for _ in 0..20 {
            Client::welcome(broker.door("tcp"), &login).disconnect();
        }
    }
    let log = broker.log();
    assert!(!log.contains("right") && !log.contains("wrong`"), "no password is in the log");
});

broker_test!(the_loop_goes_on_while_hashes_are_computed, |kind| {
    if !kind.at_least(2, 1, 0) {
        // COMPAT: without delayed authentication the loop computes, within its budget.
        return;
    }
    let fleet = slow_fleet(kind, SETTINGS, &["phone", "idle"]);
    let broker = conf(kind, &fleet).start();
    let mut phone = Client::welcome(broker.door("tcp"), &login("phone", "phone"));
    phone.subscribe("to/phone");
    let mut waiting = occupy(&broker, 40);
    // One message there and back; the hashes are answered one by one meanwhile.
    for _ in 0..4 {
        phone.publish(&Publish::to("to/phone"));
        phone.receive();
    }
    let soon = || Instant::now() + Duration::from_millis(1);
    let late = waiting.iter_mut().map(|wire| wire.read(soon()).is_err()).filter(|late| *late).count();
    assert!(late > 0, "four messages took as long as forty hashes");
    for wire in &mut waiting[39..] {
        assert_eq!(answer(wire).map(|packet| packet.body[1]), Some(5));
    }
});

broker_test!(an_answer_is_for_the_connection_that_asked, |kind| {
    if !kind.at_least(2, 1, 0) {
        return;
    }
    let fleet = slow_fleet(kind, SETTINGS, &["phone", "idle"]);
    let broker = conf(kind, &fleet).start();
    // The victim's password is right; it leaves while its hash waits for its turn.
    let busy = occupy(&broker, 20);
    let victim = knock(&broker, &login("shared", "phone"));
    broker.settle();
    drop(victim);
    broker.settle();
    // Whoever comes now with its client id, with a wrong password and as nobody at all.
    let mut wrong = knock(&broker, &login("shared", "phone").password("wrong"));
    broker.settle();
    let answer_to_wrong = answer(&mut wrong);
    assert_eq!(answer_to_wrong.map(|packet| (packet.kind(), packet.body[1])), Some((CONNACK, 5)));
    drop(busy);

    let busy = occupy(&broker, 20);
    let victim = knock(&broker, &login("shared", "phone"));
    broker.settle();
    drop(victim);
    let mut nobody = knock(&broker, &login("shared", "nobody").password("wrong"));
    assert_eq!(answer(&mut nobody).map(|packet| (packet.kind(), packet.body[1])), Some((CONNACK, 5)));
    assert!(!broker.log().contains("as shared ("), "nobody was ever admitted with that id");
    drop(busy);
});

// The broker finds those who wait by their client ids alone, and asks only the plugin of the listener they came to.
broker_test!(an_answer_of_another_listeners_plugin_is_for_nobody_here, |kind| {
    if !kind.at_least(2, 1, 0) {
        return;
    }
    let fleet = slow_fleet(kind, SETTINGS, &["phone", "pad", "idle"]);
    let guard = plugin_lines(&fleet.config());
    let broker = Broker::conf(kind)
        .line("per_listener_settings true")
        .listener("tcp", DoorKind::Tcp, &guard)
        .listener("two", DoorKind::Tcp, &guard)
        .start();
    let knock_at_two = |login: &Login| {
        let mut wire = Wire::open(&broker.door("two").afar()).unwrap();
        wire.write(&login.packet()).unwrap();
        wire
    };
    // The second has more to do than the first.
    let wrong = |number| knock_at_two(&login(&format!("two-{number}"), "idle").password("wrong"));
    let busy: Vec<Wire> = (0..60).map(wrong).chain(occupy(&broker, 10)).collect();
    let own = knock(&broker, &login("shared", "pad"));
    broker.settle();
    drop(own);
    broker.settle();
    let mut wire = knock_at_two(&login("shared", "phone").password("wrong"));
    let answer = answer(&mut wire).map(|packet| (packet.kind(), packet.body[1]));
    assert_ne!(answer, Some((CONNACK, 0)), "{}", broker.log());
    drop(busy);
});

broker_test!(the_will_of_a_client_that_waits_is_not_published, |kind| {
    if !kind.at_least(2, 1, 0) {
        return;
    }
    let settings = format!("{SETTINGS}[anonymous]\npubsub = ['open']\n");
    let fleet = slow_fleet(kind, &settings, &["phone", "pad", "idle"]);
    let broker = conf(kind, &fleet).start();
    let mut phone = Client::welcome(broker.door("tcp"), &login("phone", "phone"));
    phone.subscribe("open");
    for password in ["right", "wrong"] {
        let busy = occupy(&broker, 20);
        // Neither was ever verified: they wait.
        for (id, name) in [("pad-will", "pad"), ("c", "pad"), ("d", "nobody")] {
            let will = Will { qos: 1, ..Will::to("open", "from the grave") };
            drop(knock(&broker, &login(id, name).password(password).will(will)));
        }
        broker.settle();
        assert_eq!(phone.delivered(), []);
        drop(busy);
    }
    assert!(broker.log().contains("was never admitted"), "the will was asked about");
});

broker_test!(a_delayed_will_of_mqtt_5_harms_nobody, |kind| {
    // Up to 2.1.2 a client that leaves while it waits would leave its delayed will behind, and with it freed memory.
    let fleet = slow_fleet(kind, SETTINGS, &["phone", "idle"]);
    let mut broker = conf(kind, &fleet).start();
    for number in 0..20 {
        let will = Will { delay_s: 1, ..Will::to("open", "from the grave") };
        let login = Login { expiry_s: 60, ..login(&format!("c{number}"), "phone").password("wrong") };
        drop(knock(&broker, &login.version(Version::V5).will(will)));
    }
    let mut others: Vec<Client> =
        (0..20).map(|number| log_in_at_last(&broker, &login(&format!("d{number}"), "phone"))).collect();
    let until = Instant::now() + Duration::from_secs(3);
    while Instant::now() < until {
        others.iter_mut().for_each(|client| client.ping().unwrap());
    }
    assert!(broker.stop().success());
});

broker_test!(who_guesses_at_a_device_keeps_no_client_id_from_it, |kind| {
    if !kind.at_least(2, 1, 0) {
        return;
    }
    let fleet = slow_fleet(kind, SETTINGS, &["phone", "idle"]);
    let broker = conf(kind, &fleet).start();
    Client::welcome(broker.door("tcp"), &login("phone", "phone")).disconnect();
    let busy = occupy(&broker, 10);
    let mut guesser = knock(&broker, &login("phone", "phone").password("wrong"));
    broker.settle();
    // The broker turns away whoever comes with the id of a client that waits.
    Client::welcome(broker.door("tcp"), &login("phone", "phone")).ping().unwrap();
    assert_eq!(answer(&mut guesser).map(|packet| (packet.kind(), packet.body[1])), Some((CONNACK, 5)));
    assert!(broker.log().contains("wrong password (client `phone`"));
    drop(busy);
});

broker_test!(packets_sent_behind_connect_are_no_way_in, |kind| {
    if !kind.at_least(2, 1, 0) {
        return;
    }
    let fleet = slow_fleet(kind, SETTINGS, &["phone", "idle"]);
    let broker = conf(kind, &fleet).start();
    let mut phone = Client::welcome(broker.door("tcp"), &login("phone", "phone"));
    phone.subscribe("open");
    let busy = occupy(&broker, 10);
    let mut packets = login("idle-x", "idle").packet();
    // PUBLISH at QoS 0 to `open`.
    packets.extend(b"\x30\x08\x00\x04openhi");
    let mut wire = Wire::open(&broker.door("tcp").afar()).unwrap();
    wire.write(&packets).unwrap();
    assert_eq!(answer(&mut wire), None, "the broker closes: nothing may be said before CONNACK");
    broker.settle();
    assert_eq!(phone.delivered(), []);
    drop(busy);
});

broker_test!(files_that_change_meanwhile_count, |kind| {
    if !kind.at_least(2, 1, 0) {
        return;
    }
    let fleet = slow_fleet(kind, SETTINGS, &["phone", "pad", "idle"]);
    let broker = conf(kind, &fleet).start();
    let _busy = occupy(&broker, 30);
    let mut disabled = knock(&broker, &login("phone", "phone"));
    let mut changed = knock(&broker, &login("pad", "pad"));
    broker.settle();
    fleet.write("devices.toml", "version = 1\n[phone]\nstate = 'disabled'\n[pad]\n[idle]\n");
    slow_password(&fleet, kind, ("pad", "other"), SLOW);
    broker.reload();
    for wire in [&mut disabled, &mut changed] {
        assert_eq!(answer(wire).map(|packet| packet.body[1]), Some(5));
    }
    assert!(broker.log().contains("the device is disabled"));
});

broker_test!(nobody_waits_longer_than_half_a_minute, |kind| {
    if !kind.at_least(2, 1, 0) {
        return;
    }
    let settings = format!("{SETTINGS}[metrics]\nfile_interval = 1\n");
    let fleet = fleet_with(kind, &settings, (&["phone", "idle"], 1_000_000));
    let broker = conf(kind, &fleet).start();
    let start = Instant::now();
    let mut wires = occupy(&broker, 200);
    let last = Login { keepalive_s: 0, ..login("phone", "phone") };
    let mut last = knock(&broker, &last);
    let code = loop {
        match last.read(start + Duration::from_secs(90)) {
            Ok(bytes) => break bytes.last().copied(),
            Err(error) => assert_eq!(error.kind(), ErrorKind::TimedOut),
        }
    };
    let answer =
        (code, broker.log().contains("not computed within 30 s (client `phone`, user name `phone`)"));
    // A machine that is quick enough for 200 hashes of the longest kind in that time answers them all.
    assert!(answer == (Some(5), true) || answer == (Some(0), false), "{answer:?}");
    if answer.1 {
        let told = || {
            let audit = fs::read_to_string(fleet.state().join("audit.jsonl")).ok()?;
            let metrics = fs::read_to_string(fleet.state().join("metrics.prom")).ok()?;
            let is_counted = |line: &str| {
                let number = line
                    .strip_prefix("citronella_log_ins_total{credential=\"password\",result=\"postponed\"} ");
                number.is_some_and(|number| number != "0")
            };
            let record = "\"who\":\"phone\",\"client_id\":\"phone\",\"credential\":\"password\",\"decision\":\"postponed\"";
            (audit.contains(record) && metrics.lines().any(is_counted)).then_some(())
        };
        assert!(wait_for(told).is_some(), "neither counted nor recorded");
    }
    wires.clear();
    broker.settle();
});

broker_test!(the_broker_ends_while_hashes_are_computed, |kind| {
    let fleet = slow_fleet(kind, SETTINGS, &["phone", "idle"]);
    let mut broker = conf(kind, &fleet).start();
    let _busy: Vec<Wire> =
        (0..20).map(|number| knock(&broker, &login(&format!("idle-{number}"), "idle"))).collect();
    broker.settle();
    assert!(broker.stop().success());
});
