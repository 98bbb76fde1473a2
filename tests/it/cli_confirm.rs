//! Verbs that change who may connect wait until a real broker has the change in force, or say why it has not.

use citronella::status::Attempt;

use crate::{
    cli_site::Site,
    support::{
        Broker, Client, Cmd, Conf, DoorKind, Fleet, Kind, Login, Outcome, admitted, refused, wait_for,
    },
};

/// `phone` gets its password from the command.
fn fleet(kind: Kind) -> Fleet {
    let settings =
        "version = 1\n[auth]\npassword_file = 'passwd'\n[everyone]\nsubscribe = ['who/{device}']\n";
    let fleet = Fleet::new(settings, "version = 1\n[lost]\n[other]\n[third]\n[phone]\n");
    for name in ["lost", "other", "third"] {
        fleet.password(kind, name, "right");
    }
    fleet
}

fn conf(kind: Kind, fleet: &Fleet) -> Conf {
    Broker::conf(kind).guarded_by(&fleet.config()).listener("tcp", DoorKind::Tcp, "")
}

fn run(fleet: &Fleet, arguments: &[&str]) -> Outcome {
    let config = fleet.config();
    let all = [&["--config", config.to_str().unwrap()], arguments].concat();
    Cmd::new(all).dir(fleet.dir()).run()
}

#[track_caller]
fn says(fleet: &Fleet, arguments: &[&str], status: i32, stderr: &str) -> String {
    let outcome = run(fleet, arguments);
    assert_eq!(outcome.status, Some(status), "{outcome:?}");
    assert!(outcome.stderr.contains(stderr), "{outcome:?}");
    outcome.stdout
}

broker_test!(a_change_is_told_when_it_is_in_force, |kind| {
    let fleet = fleet(kind);
    let broker = conf(kind, &fleet).start();
    broker.status();
    let door = broker.door("tcp");
    let mut lost = Client::welcome(door, &Login::of("lost"));
    // Far above what it takes: it is the condition that ends the wait.
    let now =
        |verb: &[&str]| says(&fleet, &[verb, &["--wait", "30"]].concat(), 0, "the broker has it in force");
    assert_eq!(now(&["device", "disable", "lost"]), "lost is disabled\n");
    refused(&broker, door, &Login::of("lost"), "the device is disabled");
    lost.ended();
    now(&["device", "enable", "lost"]);
    admitted(door, &Login::of("lost"), "lost");

    assert_eq!(now(&["device", "quarantine", "lost"]), "lost is quarantined\n");
    let mut client = Client::welcome(door, &Login::of("lost"));
    assert_eq!(client.subscribe("who/lost"), 0x87, "it has only what [roles.quarantine] gives");
    now(&["device", "set", "lost", "--attr", "site=rome"]);

    let password = now(&["password", "generate", "phone"]);
    let phone = Login::of("phone").password(password.trim());
    admitted(door, &phone, "phone");
    let mut session = Client::welcome(door, &phone);
    now(&["password", "generate", "phone"]);
    session.ended();

    // Nothing to change is in force as it is.
    let json = run(&fleet, &["device", "quarantine", "lost", "--format", "json"]).stdout;
    let told: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (&told["state"], &told["broker"]["state"]),
        (&"quarantined".into(), &"in-force".into()),
        "{told}"
    );
    assert_eq!(told["broker"]["revision"], broker.status().unwrap().in_force.revision);
    says(&fleet, &["device", "retire", "third", "--no-wait"], 0, "was not asked");
});

broker_test!(a_change_that_is_not_in_force_is_told_with_the_reason, |kind| {
    let fleet = fleet(kind);
    says(&fleet, &["device", "enable", "other"], 0, "no plugin runs with these files");
    let mut broker = conf(kind, &fleet).start();
    broker.status();
    fleet.write("passwd", "");
    let waits = || broker.status().filter(|status| matches!(status.attempt, Attempt::Waiting { .. }));
    assert!(wait_for(waits).is_some(), "{:?}", broker.status());
    let waiting = "not in force: it waits: the change removes 0 of 4 devices and 3 of 3 password hashes";
    let stdout = says(&fleet, &["device", "disable", "other", "--wait", "30"], 1, waiting);
    assert_eq!(stdout, "other is disabled\n");
    broker.reload();
    says(&fleet, &["device", "disable", "other", "--wait", "30"], 0, "the broker has it in force");

    broker.stop();
    says(&fleet, &["device", "enable", "other"], 0, "no plugin runs with these files");
});

broker_test!(status_tells_of_a_real_plugin, |kind| {
    let fleet = fleet(kind);
    let mut broker = conf(kind, &fleet).start();
    broker.status();
    let told = |status: i32, parts: &[&str]| {
        let outcome = run(&fleet, &["status"]);
        assert_eq!(outcome.status, Some(status), "{outcome:?}");
        for part in parts {
            assert!(outcome.stdout.contains(part), "`{part}` is not in {}", outcome.stdout);
        }
    };
    let version = if kind.at_least(2, 1, 0) { "Mosquitto 2.1" } else { "Mosquitto 2.0" };
    told(0, &["running for", version, "4: 4 active\n", "fine: nothing needs doing"]);
    fleet.write("devices.toml", "version = 1\n[lost]\n[other]\n[third]\n[phone]\nrole = 'nobody'\n");
    let failed = || broker.status().filter(|status| matches!(status.attempt, Attempt::Refused { .. }));
    assert!(wait_for(failed).is_some(), "{:?}", broker.status());
    told(1, &["a change failed", "! a change was not loaded because of 1 error(s)", "no role is called"]);
    fleet.write("devices.toml", "version = 1\n[lost]\n[other]\n");
    let loaded = || broker.status().filter(|status| status.in_force.devices == 2);
    assert!(wait_for(loaded).is_some(), "{:?}", broker.status());
    told(0, &["2: 2 active\n", "fine: nothing needs doing"]);
    broker.stop();
    told(1, &["! no plugin runs with these files"]);
});

broker_test!(a_revoked_certificate_is_told_to_be_out, |kind| {
    let (site, conf) = Site::new(kind, &[]);
    let home = &site.home;
    home.ok(&["device", "add", "lamp", "--role", "sensor"]);
    let _broker = conf.start();
    let running = || home.json(&["status"])["plugin"]["running"].as_bool().filter(|running| *running);
    assert!(wait_for(running).is_some());
    let mut lamp = Client::welcome(&site.own_door("lamp"), &Login::new("lamp"));
    let outcome = home.run(&["cert", "revoke", "lamp", "--wait", "30"]);
    assert_eq!((outcome.status, &*outcome.stdout), (Some(0), "1 certificate is revoked\n"), "{outcome:?}");
    assert!(outcome.stderr.contains("the broker has it in force"), "{outcome:?}");
    lamp.ended();
    Client::unwelcome(&site.own_door("lamp"), &Login::new("lamp"));
});
