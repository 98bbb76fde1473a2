//! With the identity options the broker asks nobody who connects: such a broker is not guarded.

use std::fs;

use crate::support::{
    Broker, Client, DoorKind, Fleet, Login, Publish, Will, admitted, plugin_lines, turned_away,
};

const OPTIONS: [&str; 2] = ["use_identity_as_username", "use_subject_as_username"];

const DEVICES: &str = "
version = 1
[thunder10]
certificates = 'any'
[off]
certificates = 'any'
state = 'disabled'
";

broker_test!(the_identity_options_keep_the_broker_from_starting, |kind| {
    let fleet = Fleet::new("version = 1\n", DEVICES);
    let ca = fleet.authority();
    for option in OPTIONS {
        let outcome = Broker::conf(kind)
            .guarded_by(&fleet.config())
            .listener("tcp", DoorKind::Tcp, "")
            .tls("tls", ca, &format!("require_certificate true\n{option} true"))
            .refusing();
        assert_eq!(outcome.status.code(), Some(3), "{outcome:?}");
        let named = format!("mosquitto.conf:{}: with `{option}`", last_line(&outcome.log));
        assert!(outcome.log.contains(&named), "{named}: {outcome:?}");

        // The listener and the plugin may each stand in a file of their own.
        let folder = fleet.path(option);
        fs::create_dir(&folder).unwrap();
        let broker = ca.broker("included", std::net::Ipv4Addr::LOCALHOST);
        let listener = format!(
            "# a comment\nlistener 0 {}\ncafile {}\ncertfile {}\nkeyfile {}\nrequire_certificate true\n{option} true\n",
            fleet.path("socket").display(),
            ca.certificate().display(),
            broker.certificate.display(),
            broker.key.display(),
        );
        fs::write(folder.join("10-guard.conf"), plugin_lines(&fleet.config())).unwrap();
        fs::write(folder.join("20-listener.conf"), listener).unwrap();
        let outcome = Broker::conf(kind).line(&format!("include_dir {}", folder.display())).refusing();
        assert_eq!(outcome.status.code(), Some(3), "{outcome:?}");
        assert!(outcome.log.contains(&format!("20-listener.conf:7: with `{option}`")), "{outcome:?}");
    }
    // Off is off.
    Broker::conf(kind)
        .guarded_by(&fleet.config())
        .tls("tls", ca, "require_certificate true\nuse_identity_as_username false")
        .start();
});

/// The line that is named, as the log tells it.
fn last_line(log: &str) -> &str {
    let (_, rest) = log.split_once("mosquitto.conf:").expect("the file is named");
    rest.split(':').next().unwrap()
}

broker_test!(with_the_risk_accepted_who_is_unknown_can_do_nothing, |kind| {
    let settings = "version = 1\n[compat]\nidentity_options = true\n[everyone]\npubsub = ['who/{device}']\n";
    let fleet = Fleet::new(settings, DEVICES);
    let ca = fleet.authority();
    let [identity, subject] = OPTIONS.map(|option| format!("require_certificate true\n{option} true"));
    let broker = Broker::conf(kind)
        .guarded_by(&fleet.config())
        .tls("identity", ca, &identity)
        .tls("subject", ca, &subject)
        .start();
    let door = |name: &str, device: &str| broker.door(name).showing(&ca.device(device));
    admitted(&door("identity", "thunder10"), &Login::new("c"), "thunder10");
    let mut writer = Client::welcome(&door("identity", "thunder10"), &Login::new("writer"));
    turned_away(&broker, broker.door("identity"), &Login::new("c"));
    for (name, device) in [("identity", "nobody"), ("identity", "off"), ("subject", "thunder10")] {
        let will = Will { qos: 1, ..Will::to("who/thunder10", "will") };
        let mut stranger = Client::welcome(&door(name, device), &Login::new("c").will(will));
        for topic in ["who/thunder10", "who/nobody", "who/off"] {
            assert_eq!(stranger.publish(&Publish::to(topic)), 0x87);
            assert_eq!(stranger.subscribe(topic), 0x87);
        }
        writer.subscribe("who/thunder10");
        drop(stranger);
        broker.settle();
        assert_eq!(writer.delivered(), []);
    }
    // SIGHUP asks nobody here either; what is in force afterwards is the new registry.
    fleet.write("devices.toml", "version = 1\n[other]\n");
    broker.reload();
    assert_eq!(writer.publish(&Publish::to("who/thunder10")), 0x87);
});
