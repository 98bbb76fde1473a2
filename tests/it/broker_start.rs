//! A broker starts guarded or not at all.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use crate::support::{
    Broker, Client, DoorKind, Fleet, Kind, Login, Publish, Refused, Refusing, admitted, plugin, plugin_lines,
    refused,
};

const SETTINGS: &str = "[everyone]\nsubscribe = ['who/{device}']\n";

/// `MOSQ_ERR_INVAL`, which the plugin answers when it refuses to start.
const REFUSED: i32 = 3;

/// With these lines in its configuration the broker must not start.
#[track_caller]
fn refusing(kind: Kind, lines: &str) -> Refusing {
    let outcome = Broker::conf(kind).line(lines).listener("tcp", DoorKind::Tcp, "").refusing();
    assert_eq!(outcome.status.code(), Some(REFUSED), "{outcome:?}");
    assert!(!outcome.log.contains(" running\n"), "{outcome:?}");
    outcome
}

broker_test!(every_mistake_in_the_files_is_told_and_the_broker_does_not_start, |kind| {
    let fleet = Fleet::new(
        "version = 1\n[roles.sensor]\npublish = ['a/#/b']\nsubscrib = []\n[auth]\npassword_file = 'passwd'\n",
        "version = 1\n[d]\nrole = 'sensr'\npassword = 'plain'\n['a/b']\n",
    );
    fleet.write("passwd", "d:secret\n");
    let log = refusing(kind, &plugin_lines(&fleet.config())).log;
    for (file, rest) in [
        ("citronella.toml", "3:15: error: `#` must be the last level"),
        ("citronella.toml", "4:1: error: unknown key `subscrib`"),
        ("devices.toml", "3:8: error: no role is called `sensr`"),
        ("devices.toml", "4:1: error: this is not a password hash"),
        ("devices.toml", "5:2: error: no device can be called `a/b`"),
        ("passwd", "1:1: error: the entry of `d`"),
    ] {
        let line = format!("citronella: {}:{rest}", fleet.path(file).display());
        assert!(log.contains(&line), "no `{line}` in\n{log}");
    }
    assert!(log.contains("cannot be used: 6 error(s)"), "{log}");
    assert!(!log.contains("secret") && !log.contains("`plain`"), "{log}");
});

broker_test!(files_that_are_missing_or_anybodys_keep_the_broker_from_starting, |kind| {
    let fleet = Fleet::new("version = 1\n", "version = 1\n");
    let lines = plugin_lines(&fleet.config());
    let chmod = |name: &str, mode| {
        fs::set_permissions(fleet.path(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    for name in ["citronella.toml", "devices.toml"] {
        chmod(name, 0o646);
        let log = refusing(kind, &lines).log;
        assert!(log.contains(&format!("{name}` can be written by everybody")), "{log}");
        chmod(name, 0o640);
    }
    fs::set_permissions(fleet.dir(), fs::Permissions::from_mode(0o777)).unwrap();
    assert!(refusing(kind, &lines).log.contains("can be replaced"));
    fs::set_permissions(fleet.dir(), fs::Permissions::from_mode(0o700)).unwrap();
    for name in ["devices.toml", "citronella.toml"] {
        fs::remove_file(fleet.path(name)).unwrap();
        let log = refusing(kind, &lines).log;
        assert!(log.contains(&format!("{name}` cannot be read: No such file")), "{log}");
    }
});

broker_test!(a_slip_in_the_options_keeps_the_broker_from_starting, |kind| {
    let fleet = Fleet::new("version = 1\n", "version = 1\n");
    let lines = plugin_lines(&fleet.config());
    for (more, reason) in [
        ("plugin_opt_confg /x", "unknown option `plugin_opt_confg`"),
        ("plugin_opt_log_level debug", "unknown option `plugin_opt_log_level`"),
        ("plugin_opt_config /elsewhere", "`plugin_opt_config` stands there twice"),
    ] {
        let log = refusing(kind, &format!("{lines}\n{more}")).log;
        assert!(log.contains(reason), "{log}");
        assert!(log.contains("citronella: not starting"), "{log}");
    }
    let default = Path::new("/etc/citronella/citronella.toml");
    if !default.exists() {
        let log = refusing(kind, &format!("plugin {}", plugin().display())).log;
        assert!(log.contains(&format!("`{}` cannot be read", default.display())), "{log}");
    }
    // Blanks that nobody sees are no part of a path.
    let broker = Broker::conf(kind).line(&format!("{lines}   ")).listener("tcp", DoorKind::Tcp, "").start();
    assert!(broker.log().contains("citronella: version "));
});

broker_test!(two_plugin_lines_are_named_or_work, |kind| {
    let fleet = Fleet::with_passwords(kind, SETTINGS, "[thunder10]\n");
    let twice = format!("{0}\n{0}", plugin_lines(&fleet.config()));
    if kind.at_least(2, 1, 0) {
        let mut broker = Broker::conf(kind).line(&twice).listener("tcp", DoorKind::Tcp, "").start();
        admitted(broker.door("tcp"), &Login::of("thunder10"), "thunder10");
        refused(&broker, broker.door("tcp"), &Login::of("thunder10").password("x"), "wrong password");
        broker.reload();
        admitted(broker.door("tcp"), &Login::of("thunder10"), "thunder10");
        assert!(broker.stop().success());
    } else {
        let log = refusing(kind, &twice).log;
        assert!(log.contains("this plugin is loaded by two `plugin` lines"), "{log}");
    }
});

broker_test!(the_brokers_own_files_beside_us_neither_open_nor_close, |kind| {
    let fleet =
        Fleet::with_passwords(kind, "[everyone]\npubsub = ['who/{device}']\n", "[thunder10]\n[other]\n");
    let own = Fleet::new("", "");
    for (name, password) in [("stranger", "right"), ("other", "different")] {
        own.password(kind, name, password);
    }
    own.write("acl", "topic readwrite #\nuser thunder10\ntopic readwrite secret\npattern readwrite all/#\n");
    let broker = Broker::conf(kind)
        .line("allow_anonymous true")
        .guarded_by(&fleet.config())
        .line(&format!(
            "password_file {}\nacl_file {}",
            own.path("passwd").display(),
            own.path("acl").display()
        ))
        .listener("tcp", DoorKind::Tcp, "")
        .start();
    let door = broker.door("tcp");
    for _ in 0..2 {
        refused(&broker, door, &Login::of("stranger"), "no device is called `stranger`");
        refused(&broker, door, &Login::of("other").password("different"), "wrong password");
        refused(&broker, door, &Login::new("c"), "neither a certificate nor a user name");
        admitted(door, &Login::of("other"), "other");
        let mut client = Client::welcome(door, &Login::of("thunder10"));
        for topic in ["secret", "all/x"] {
            assert_eq!(client.publish(&Publish::to(topic)), 0x87);
            assert_eq!(client.subscribe(topic), 0x87);
        }
        client.subscribe("who/thunder10");
        assert_eq!(client.publish(&Publish::to("who/thunder10")), 0);
        assert_eq!(client.receive().topic, "who/thunder10");
        broker.reload();
    }
});

broker_test!(a_plugin_of_one_listener_guards_that_one, |kind| {
    let fleet = Fleet::with_passwords(kind, SETTINGS, "[thunder10]\n[lost]\n");
    let lines = plugin_lines(&fleet.config());
    if !kind.at_least(2, 0, 21) {
        // 2.0.11 calls no tick then, and a reload could end it.
        let refusing = Broker::conf(kind)
            .line("per_listener_settings true")
            .listener("guarded", DoorKind::Tcp, &format!("allow_anonymous false\n{lines}"))
            .refusing();
        assert_eq!(refusing.status.code(), Some(3), "{}", refusing.log);
        assert!(refusing.log.contains("with `per_listener_settings true` this broker"), "{}", refusing.log);
        let settings = std::fs::read_to_string(fleet.config()).unwrap();
        fleet.write("citronella.toml", &format!("{settings}\n[compat]\nper_listener_settings = true\n"));
    }
    let broker = Broker::conf(kind)
        .line("per_listener_settings true")
        .listener("guarded", DoorKind::Tcp, &format!("allow_anonymous false\n{lines}"))
        .listener("open", DoorKind::Tcp, "allow_anonymous true")
        .start();
    let door = broker.door("guarded");
    Client::welcome(broker.door("open"), &Login::new("anybody")).ping().unwrap();
    let mut present = Client::welcome(door, &Login { id: "present".to_owned(), ..Login::of("thunder10") });
    let mut lost = Client::welcome(door, &Login::of("lost"));
    for _ in 0..2 {
        admitted(door, &Login::of("thunder10"), "thunder10");
        refused(&broker, door, &Login::of("thunder10").password("wrong"), "wrong password");
        refused(&broker, door, &Login::new("c").user("thunder10"), "the device must give a password");
        refused(&broker, door, &Login::new("c"), "neither a certificate nor a user name");
        broker.reload();
        present.ping().unwrap();
    }
    fleet.write("devices.toml", "version = 1\n[thunder10]\n[lost]\nstate = 'disabled'\n");
    broker.reload();
    if !kind.at_least(2, 0, 21) {
        // Nobody can be kicked: whoever is locked out is closed by what it asks for, and is given nothing before; or by
        // the broker's own question about it, if the files were in force by then.
        if lost.ping().is_ok() {
            assert!(lost.try_publish(&Publish::to("who/lost")).is_err());
        }
    }
    lost.ended();
    present.ping().unwrap();
    refused(&broker, door, &Login::of("lost"), "the device is disabled");
});

broker_test!(a_daemon_is_guarded_like_any_other, |kind| {
    let fleet = Fleet::with_passwords(kind, SETTINGS, "[thunder10]\n");
    let mut broker =
        Broker::conf(kind).daemon().guarded_by(&fleet.config()).listener("tcp", DoorKind::Tcp, "").start();
    admitted(broker.door("tcp"), &Login::of("thunder10"), "thunder10");
    refused(&broker, broker.door("tcp"), &Login::of("thunder10").password("x"), "wrong password");
    fleet.write("devices.toml", "version = 1\n");
    let answer = || Client::open(broker.door("tcp"), &Login::of("thunder10")).err();
    broker.reload();
    assert_eq!(answer(), Some(Refused::Connack(0x87)));
    assert!(broker.stop().success());
    assert!(broker.log().contains("terminating"));
});
