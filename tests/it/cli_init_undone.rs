//! `citronella init` on a broker in use that ends half-way: nobody gets in who could not before.

use std::{
    fs::{self, File},
    net::{SocketAddr, TcpStream},
    process::Command,
};

use crate::{
    cli_init_in_use::Live,
    doctor_support::run_script,
    support::{Client, Kind, Login, Outcome, wait_for},
};

/// Passwords on one listener, everybody on the other, and the line that keeps them apart in the main file.
fn two_listeners(kind: Kind) -> Live {
    let live = Live::new(
        kind,
        "listener 1883 ADDRESS\npassword_file DIR/passwd\nallow_anonymous false\nlistener 1884 localhost\nallow_anonymous true\n",
    );
    live.user("ha", "ha-secret");
    let main = live.home.read("mosquitto.conf");
    live.home.write("mosquitto.conf", format!("per_listener_settings true\n{main}"));
    live
}

/// All that the broker reads.
fn read_by_broker(live: &Live) -> Vec<String> {
    let parts = ["mosquitto.conf", "conf.d/mine.conf", "conf.d/citronella.conf"];
    parts.iter().map(|part| fs::read_to_string(live.home.path(part)).unwrap_or_default()).collect()
}

/// Another writer has the folder as long as the value lives.
fn lock(live: &Live, folder: &str) -> File {
    let lock = File::create(live.home.path(folder).join(".citronella.lock")).unwrap();
    lock.lock().unwrap();
    lock
}

#[test]
fn a_folder_that_is_locked_leaves_everything_as_it_was() {
    for folder in ["", "conf.d"] {
        let live = two_listeners(Kind::named("2.0.11"));
        let before = read_by_broker(&live);
        let held = lock(&live, folder);
        let failed = live.init(&["--import", "--yes", "--no-restart"]);
        assert_eq!(failed.status, Some(2), "{failed:?}");
        assert_eq!(read_by_broker(&live), before, "{folder}: {failed:?}");
        assert!(!live.home.path("etc/citronella.toml").exists(), "users of now are there for a later run");

        drop(held);
        let done = live.init(&["--import", "--yes", "--no-restart"]);
        assert_eq!(done.status, Some(0), "{done:?}");
        let guarded = read_by_broker(&live);
        let held = lock(&live, folder);
        let uninstall = ["uninstall", "--yes", "--mosquitto-conf", "conf.d/citronella.conf"];
        let failed = live.home.run(&uninstall);
        assert_eq!(failed.status, Some(2), "{failed:?}");
        assert_eq!(read_by_broker(&live), guarded, "{folder}: {failed:?}");
        drop(held);
        live.home.ok(&uninstall);
        assert_eq!(read_by_broker(&live), before);
    }
}

broker_test!(between_the_writes_no_stranger_gets_in, |kind| {
    let live = two_listeners(kind);
    let done = live.init(&["--import", "--yes", "--no-restart"]);
    assert_eq!(done.status, Some(0), "{done:?}");
    // Ours are written, those of others are not changed yet.
    fs::copy(live.home.path("mosquitto.conf.old"), live.home.path("mosquitto.conf")).unwrap();
    let conf = live.home.path("mosquitto.conf");
    let mut broker = Command::new(kind.program("mosquitto")).arg("-c").arg(conf).spawn().unwrap();
    let place = SocketAddr::from((live.address(), 1883));
    let ended = wait_for(|| match broker.try_wait().unwrap() {
        Some(_) => Some(true),
        None => TcpStream::connect(place).ok().map(|_| false),
    });
    let stranger = (ended == Some(false)).then(|| Client::unwelcome(&live.door(1883), &Login::new("x")));
    let _ = broker.kill();
    broker.wait().unwrap();
    assert!(ended == Some(true) || stranger.is_some(), "{}", live.log());
});

#[test]
fn a_port_for_passwords_lets_nobody_in_without_a_name_who_could_not_come_before() {
    let live = Live::new(Kind::named("2.0.11"), "listener 1883 localhost\nallow_anonymous true\n");
    let done = live.init(&["--import"]);
    assert_eq!(done.status, Some(0), "{done:?}");
    let before = read_by_broker(&live);
    let refused = live.init(&["--password-listener", "--yes"]);
    assert_eq!(refused.status, Some(2), "{refused:?}");
    assert!(refused.stderr.contains("clients without a name"), "{refused:?}");
    assert_eq!(read_by_broker(&live), before);

    // A certificate was needed.
    let live = Live::new(
        Kind::named("2.0.11"),
        "allow_anonymous true\nlistener 9883 ADDRESS\ncafile DIR/ca.crt\ncertfile DIR/b.crt\nkeyfile DIR/b.key\nrequire_certificate true\n",
    );
    let done = live.init(&["--import", "--password-listener", "--yes"]);
    assert_eq!(done.status, Some(0), "{done:?}");
    let settings = live.home.read("etc/citronella.toml");
    assert!(!settings.contains("\n[anonymous]\n"), "{settings}");
    assert!(done.stderr.contains("came in without a name; that would open"), "{done:?}");
}

#[test]
fn a_certificate_alone_lets_nobody_in_where_a_password_was_needed() {
    let tls = "certfile DIR/b.crt\nkeyfile DIR/b.key\nrequire_certificate true\n";
    let live = Live::new(
        Kind::named("2.0.11"),
        &format!(
            "listener 9883 ADDRESS\ncafile DIR/firm.crt\n{tls}listener 9884 ADDRESS\ncafile DIR/b-ca.crt\n{tls}use_identity_as_username true\n"
        ),
    );
    live.user("ha", "ha-secret");
    let main = live.home.read("mosquitto.conf");
    let passwords = format!("password_file {}\n{main}", live.home.path("passwd").display());
    live.home.write("mosquitto.conf", passwords);
    let done = live.init(&["--import", "--yes"]);
    assert_eq!(done.status, Some(0), "{done:?}");
    assert!(!live.home.devices().contains("certificates"), "{}", live.home.devices());
    assert!(done.stderr.contains("needed a password"), "{done:?}");
}

/// A restart that goes wrong.
fn init_and_fail(live: &Live, restart: &str) -> Outcome {
    let failed = live.init(&["--import", "--yes", "--restart", "--restart-command", restart]);
    assert_eq!(failed.status, Some(2), "{failed:?}");
    failed
}

#[test]
fn users_taken_out_after_a_run_that_failed_do_not_come_back() {
    let live = two_listeners(Kind::named("2.0.11"));
    live.user("fired", "fired-secret");
    init_and_fail(&live, "false");
    assert!(!live.home.path("etc/devices.toml").exists());
    let fire = format!("{} -D passwd fired", live.kind().program("mosquitto_passwd").display());
    run_script(live.home.dir(), &fire);
    let done = live.init(&["--import", "--yes", "--no-restart"]);
    assert_eq!(done.status, Some(0), "{done:?}");
    assert!(!live.home.devices().contains("fired"), "{}", live.home.devices());

    // A run that was killed before the broker's lines were written.
    live.home.ok(&["uninstall", "--yes", "--mosquitto-conf", "conf.d/citronella.conf"]);
    fs::remove_file(live.home.path("conf.d/citronella.conf.disabled")).unwrap();
    let same = live.init(&["--import", "--yes", "--no-restart"]);
    assert_eq!(same.status, Some(0), "{same:?}");
    live.home.ok(&["uninstall", "--yes", "--mosquitto-conf", "conf.d/citronella.conf"]);
    live.user("ha", "another-secret");
    let changed = live.init(&["--import", "--yes", "--no-restart"]);
    assert_eq!(changed.status, Some(2), "{changed:?}");
    assert!(changed.stderr.contains("`ha` of") && changed.stderr.contains("--no-import"), "{changed:?}");
}

#[test]
fn what_was_there_comes_back_whatever_else_goes_wrong() {
    let live = two_listeners(Kind::named("2.0.11"));
    let before = read_by_broker(&live);
    // A log that nobody would ever finish reading.
    run_script(live.home.dir(), "rm -f log; mkfifo log");
    let failed =
        init_and_fail(&live, "echo '# more' >> mosquitto.conf; echo again >> tries; echo boom >&2; exit 1");
    assert!(failed.stderr.contains("boom"), "{failed:?}");
    assert!(failed.stderr.contains("the broker may be down"), "{failed:?}");
    let mut expected = before;
    expected[0].push_str("# more\n# more\n");
    assert_eq!(read_by_broker(&live), expected);
    assert_eq!(live.home.read("tries").lines().count(), 2, "it was not started again");
}
