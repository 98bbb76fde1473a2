//! `citronella init` on a broker with dynamic security, and on one whose listeners let different people in.

use std::path::PathBuf;

use crate::{
    cli_init_in_use::Live,
    support::{Client, Kind, Login, Publish, Refused},
};

const NOT_AUTHORIZED: u8 = 0x87;

/// Its password is `ha-secret`; as 2.0 writes it.
pub(crate) const DYNSEC: &str = r#"{
  "defaultACLAccess": { "publishClientSend": false, "publishClientReceive": true, "subscribe": false, "unsubscribe": true },
  "clients": [
    { "username": "ha", "roles": [ { "rolename": "house" } ],
      "password": "DJMdFeJ62bHIQ/0z12KZ6aFYWj/PfmGlhdD9YTBjL5Ku9xNzxV2lpK27YX0PviS78XAyWENgD0EGonAoOBUvBA==",
      "salt": "AAAAAAAAAAAAAAAA", "iterations": 1 }
  ],
  "groups": [],
  "roles": [
    { "rolename": "house", "acls": [
      { "acltype": "publishClientSend", "topic": "home/#", "allow": true },
      { "acltype": "subscribePattern", "topic": "home/#", "allow": true }
    ] }
  ]
}"#;

fn with_dynsec(kind: Kind) -> Live {
    let plugin: PathBuf = kind.own_plugin("mosquitto_dynamic_security.so").unwrap();
    let live = Live::new(
        kind,
        &format!(
            "listener 1883 ADDRESS\nallow_anonymous false\nplugin {}\nplugin_opt_config_file DIR/dynsec.json\n",
            plugin.display()
        ),
    );
    live.home.write("dynsec.json", DYNSEC);
    live
}

fn login(password: &str) -> Login {
    Login::new("").user("ha").password(password)
}

#[track_caller]
fn works_by_its_rules(live: &Live) {
    let mut ha = Client::welcome(&live.door(1883), &login("ha-secret"));
    assert_eq!(ha.subscribe("home/x"), 2);
    ha.publish(&Publish::to("home/x").payload("7"));
    assert_eq!(ha.receive().payload, b"7");
    assert!(ha.subscribe("garden/x") >= 0x80, "it may do more than before");
    let refused = Client::unwelcome(&live.door(1883), &login("wrong"));
    assert_eq!(refused, Refused::Connack(NOT_AUTHORIZED));
}

broker_test!(users_of_dynamic_security_go_on_as_before, |kind| {
    let live = with_dynsec(kind);
    live.start(1883);
    works_by_its_rules(&live);
    let lines = live.lines();
    let restart = ["--restart", "--restart-command", "sh restart.sh"];
    let silent = live.init(&restart);
    assert_eq!(silent.status, Some(2), "{silent:?}");
    for part in ["users and rules of dynamic security in ", "--import", "--no-import"] {
        assert!(silent.stderr.contains(part), "{part}: {silent:?}");
    }
    assert_eq!(live.lines(), lines);

    let done = live.init(&[&["--import", "--yes"][..], &restart].concat());
    assert_eq!(done.status, Some(0), "{done:?}");
    assert!(done.stderr.contains("+#citronella# plugin_opt_config_file "), "{done:?}");
    assert!(!done.stderr.contains("another plugin"), "{done:?}");
    works_by_its_rules(&live);
    // It is ours now.
    live.home.ok(&["device", "disable", "ha"]);
    let refused = Client::unwelcome(&live.door(1883), &login("ha-secret"));
    assert_eq!(refused, Refused::Connack(NOT_AUTHORIZED));

    live.home.ok(&["uninstall", "--yes", "--mosquitto-conf", "conf.d/citronella.conf"]);
    assert_eq!(live.lines(), lines, "the configuration is not what it was");
    live.start(1883);
    works_by_its_rules(&live);
});

#[test]
fn left_out_dynamic_security_decides_nothing_any_more() {
    let live = with_dynsec(Kind::named("2.0.21"));
    live.start(1883);
    let restart = ["--restart", "--restart-command", "sh restart.sh"];
    let done = live.init(&[&["--no-import", "--yes"][..], &restart].concat());
    assert_eq!(done.status, Some(0), "{done:?}");
    let refused = Client::unwelcome(&live.door(1883), &login("ha-secret"));
    assert_eq!(refused, Refused::Connack(NOT_AUTHORIZED));
}

#[test]
fn two_sets_of_rules_are_not_guessed_together() {
    let live = with_dynsec(Kind::named("2.0.21"));
    live.user("lamp", "x");
    let mine = live.home.read("conf.d/mine.conf");
    live.home
        .write("conf.d/mine.conf", format!("{mine}password_file {}\n", live.home.path("passwd").display()));
    let before = live.home.files();
    let failed = live.init(&["--import", "--yes"]);
    assert_eq!(failed.status, Some(2), "{failed:?}");
    for part in ["passwd and, for dynamic security, in ", "citronella import --dynsec ", "--no-import"] {
        assert!(failed.stderr.contains(part), "{part}: {failed:?}");
    }
    assert_eq!(live.home.files().len(), before.len());
}

#[test]
fn who_comes_in_without_a_name_by_one_listener_is_told_before_it_ends() {
    let said = "clients come in without a name by port 1884, and by port 1883 they do not";
    let outside = "listener 1883 ADDRESS\npassword_file DIR/passwd\nallow_anonymous false\n";
    for (local, warned) in [("true", true), ("false", false)] {
        let lines = format!(
            "per_listener_settings true\n{outside}listener 1884 localhost\nallow_anonymous {local}\n"
        );
        let live = Live::new(Kind::named("2.0.11"), &lines);
        live.user("ha", "ha-secret");
        // Nothing is agreed to yet.
        let asked = live.init(&["--import"]);
        assert_eq!(asked.status, Some(2), "{asked:?}");
        assert_eq!(asked.stderr.contains(said), warned, "{asked:?}");
        let done = live.init(&["--import", "--yes"]);
        assert_eq!((done.status, done.stderr.contains(said)), (Some(0), warned), "{done:?}");
        assert!(!live.home.read("etc/citronella.toml").contains("\n[anonymous]\n"));
        let again = live.init(&["--import", "--yes"]);
        assert_eq!((again.status, again.stderr.contains(said)), (Some(0), false), "{again:?}");
    }
}
