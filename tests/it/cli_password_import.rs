//! `citronella password import`: hashes that mosquitto_passwd made, for devices that are there.

use std::process::Command;

use crate::{
    cli_support::Home,
    support::{Broker, Client, Cmd, DoorKind, Fleet, Login, admitted, refused},
};

const DEVICES: &str =
    "version = 1\n\n# mine\n[phone]\nrole = \"viewer\"   # for now\n\n[lamp]\n\n[old]\nstate = \"retired\"\n";
/// Of `right`.
const ARGON2: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2E$dGhpcnR5LXR3byBieXRlcyBvZiBub3RoaW5nIGF0IGFsbCE";

/// A file of the program itself, of these users with these passwords.
fn passwd(home: &Home, name: &str, users: &[(&str, &str)]) {
    home.write(name, "");
    let path = home.path(name);
    for (user, password) in users {
        let done = Command::new("mosquitto_passwd")
            .args(["-b", path.to_str().unwrap(), user, password])
            .output()
            .unwrap();
        assert!(done.status.success(), "{done:?}");
    }
}

fn right(home: &Home, device: &str, password: &str) -> bool {
    home.cmd(&["password", "verify", device]).stdin(password).run().status == Some(0)
}

#[test]
fn hashes_come_to_devices_and_strangers_are_left_out() {
    let home = Home::with_devices(DEVICES);
    passwd(&home, "passwd", &[("phone", "one"), ("lamp", "two"), ("stranger", "three"), ("old", "four")]);
    let before = home.files();
    let dry = home.run(&["password", "import", "passwd", "--dry-run"]);
    assert_eq!(dry.status, Some(1), "{dry:?}");
    assert!(dry.stdout.contains("2 devices would get a password, 2 would be left out"), "{dry:?}");
    assert!(home.files() == before, "a dry run changed something");

    let done = home.run(&["password", "import", "passwd"]);
    assert_eq!(done.status, Some(1), "{done:?}");
    for part in [
        "left out  line 3: no device is called `stranger`; `--add-devices ROLE` registers it\n",
        "left out  line 4: the device `old` is retired\n",
        "2 devices got a password, 2 were left out",
    ] {
        assert!(done.stdout.contains(part), "{part} is not in {done:?}");
    }
    assert!(!format!("{done:?}").contains('$'), "a hash is shown: {done:?}");
    assert!(right(&home, "phone", "one") && right(&home, "lamp", "two") && !right(&home, "phone", "two"));
    assert!(
        home.devices().contains("# mine\n[phone]\nrole = \"viewer\"   # for now\n"),
        "{}",
        home.devices()
    );
    assert_eq!(home.json(&["device", "show", "phone"])["password"], "chosen");

    let again = home.devices();
    let done = home.run(&["password", "import", "passwd", "--add-devices", "viewer"]);
    assert!(
        done.stdout.contains("0 devices got a password, 1 were added with one, 2 had it already"),
        "{done:?}"
    );
    assert!(right(&home, "stranger", "three"));
    assert!(home.devices().starts_with(&again), "what was there is as it was");
    assert_eq!(home.json(&["device", "show", "stranger"])["roles"][0], "viewer");
    assert_eq!(home.run(&["check"]).status, Some(0));
}

#[test]
fn a_password_that_is_there_is_replaced_only_when_asked() {
    let home = Home::with_devices(DEVICES);
    passwd(&home, "passwd", &[("phone", "new")]);
    home.cmd(&["password", "set", "phone"]).stdin("mine\n").ok();
    let done = home.run(&["password", "import", "passwd"]);
    assert_eq!(done.status, Some(1), "{done:?}");
    assert!(done.stdout.contains("`phone` has another password; `--force` replaces it"), "{done:?}");
    assert!(right(&home, "phone", "mine"));
    home.ok(&["password", "import", "passwd", "--force"]);
    assert!(right(&home, "phone", "new"));
}

#[test]
fn names_that_could_not_stand_beside_each_other_are_left_out_before_and_after() {
    let home = Home::with_devices("version = 1\n\n[Phone]\n");
    passwd(&home, "users", &[("phone", "one"), ("u1", "two"), ("U1", "three"), ("version", "four")]);
    for more in [&["--dry-run"][..], &[]] {
        let line = [&["password", "import", "users", "--add-devices", "sensor"], more].concat();
        let outcome = home.run(&line);
        assert_eq!(outcome.status, Some(1), "{outcome:?}");
        for says in [
            "line 1: `phone` differs from `Phone` in capital letters only",
            "line 3: `U1` differs from `u1` in capital letters only",
            "line 4: no device can be called `version`",
        ] {
            assert!(outcome.stdout.contains(says), "{says}: {outcome:?}");
        }
    }
    assert!(right(&home, "u1", "two"));
}

#[test]
fn what_the_plugin_could_not_verify_changes_nothing() {
    let home = Home::with_devices(DEVICES);
    passwd(&home, "good", &[("phone", "one")]);
    let good = home.read("good");
    for (bad, says) in [
        ("lamp:hunter2", "passwd:2:1: error: the entry of `lamp`: this is not a password hash"),
        (
            "lamp:$1$abc$def",
            "passwd:2:1: error: the entry of `lamp`: this kind of password hash is not known",
        ),
        ("lamp:$7$2000000$AAAA$BBBB", "passwd:2:1: error: the entry of `lamp`"),
        (
            "lamp:$argon2id$v=19$m=9999999,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA",
            "passwd:2:1: error: the entry of `lamp`",
        ),
        (good.trim(), "passwd:2:1: error: `phone` stands here a second time, first in line 1"),
    ] {
        home.write("passwd", format!("{good}{bad}\n"));
        home.fails(&["password", "import", "passwd"], &["nothing was changed", says]);
        let outcome = home.run(&["password", "import", "passwd"]);
        assert!(!outcome.stderr.contains("hunter2") && !outcome.stderr.contains("m=9999999"), "{outcome:?}");
        assert_eq!(home.devices(), DEVICES);
    }
    home.fails(
        &["password", "import", "good", "--add-devices", "viewr"],
        &["no role is called `viewr`", "did you mean `viewer`?"],
    );
    // Lines that the broker skips are told, and no more than that.
    home.write("passwd", format!("{good}hunter2\na/b:{ARGON2}\nlamp:{ARGON2}\n"));
    let done = home.run(&["password", "import", "passwd"]);
    assert_eq!(done.status, Some(1), "{done:?}");
    for part in [
        "left out  line 2: this line has no `:`",
        "left out  line 3: no device can be called `a/b`",
        "2 devices got",
    ] {
        assert!(done.stdout.contains(part), "{part} is not in {done:?}");
    }
    assert!(!format!("{done:?}").contains("hunter2"), "{done:?}");
}

#[test]
fn a_file_that_the_broker_reads_as_well_is_told() {
    let home = Home::with_devices(DEVICES);
    passwd(&home, "etc/passwd", &[("phone", "one")]);
    let settings = home.read("etc/citronella.toml");
    home.write("etc/citronella.toml", format!("{settings}\n[auth]\npassword_file = \"passwd\"\n"));
    home.fails(
        &["password", "import", "etc/passwd"],
        &["nothing was changed", "a password stands in one place", "take `password_file` out of"],
    );
    assert_eq!(home.devices(), DEVICES);
    home.write("etc/citronella.toml", settings);
    home.ok(&["password", "import", "etc/passwd"]);
    assert!(right(&home, "phone", "one"));
}

broker_test!(an_imported_password_is_in_force_when_the_command_ends, |kind| {
    let fleet =
        Fleet::new("version = 1\n[everyone]\nsubscribe = ['who/{device}']\n", "version = 1\n[phone]\n");
    let broker = Broker::conf(kind).guarded_by(&fleet.config()).listener("tcp", DoorKind::Tcp, "").start();
    broker.status();
    let door = broker.door("tcp");
    refused(&broker, door, &Login::of("phone"), "");
    fleet.password(kind, "phone", "right");
    fs_rename(&fleet);
    let config = fleet.config();
    let import = ["--config", config.to_str().unwrap(), "password", "import", "elsewhere", "--wait", "30"];
    let done = Cmd::new(import).dir(fleet.dir()).run();
    assert_eq!(done.status, Some(0), "{done:?}");
    assert!(done.stderr.contains("the broker has it in force"), "{done:?}");
    admitted(door, &Login::of("phone"), "phone");
    Client::welcome(door, &Login::of("phone"));
});

/// The broker is to know it from the registry only.
fn fs_rename(fleet: &Fleet) {
    std::fs::rename(fleet.dir().join("passwd"), fleet.dir().join("elsewhere")).unwrap();
}
