//! `citronella uninstall`: the broker as it was before `init`.

use std::fs;

use crate::{
    cli_site::Site,
    cli_support::Home,
    support::{Client, Door, Login},
};

/// `init` has run beside a stock configuration.
fn stock() -> Home {
    let home = Home::empty();
    fs::create_dir(home.path("conf.d")).unwrap();
    home.write("mosquitto.conf", format!("include_dir {}\n", home.path("conf.d").display()));
    home.init(&["--mosquitto-conf", "conf.d/citronella.conf"]).ok();
    home
}

const CONF: [&str; 3] = ["uninstall", "--mosquitto-conf", "conf.d/citronella.conf"];

fn yes() -> Vec<&'static str> {
    [&CONF[..], &["--yes"]].concat()
}

#[test]
fn without_a_terminal_it_takes_an_option_that_says_so() {
    let home = stock();
    let before = home.files();
    home.fails(&CONF, &["without its guard", "--yes"]);
    assert!(home.files() == before, "files changed");
}

#[test]
fn the_lines_are_put_aside_and_everything_else_is_kept() {
    let home = stock();
    let (before, lines) = (home.files(), home.read("conf.d/citronella.conf"));
    let told = home.ok(&yes());
    for part in [
        "not guarded any more",
        "guard back: sudo mv",
        "etc/pki",
        "etc/devices.toml",
        "port 1883: not encrypted, this machine only",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert!(!home.path("conf.d/citronella.conf").exists());
    assert_eq!(home.read("conf.d/citronella.conf.disabled"), lines);
    assert_eq!(home.mode("conf.d/citronella.conf.disabled"), 0o644);
    assert_eq!(home.files().len(), before.len(), "{:?}", home.files());

    let after = home.files();
    let again = home.ok(&yes());
    assert!(again.contains("put aside already"), "{again}");
    home.ok(&CONF);
    assert!(home.files() == after, "files changed");
    assert_eq!(home.json(&yes())["put_aside"], false);

    // The way back, and there again.
    home.init(&["--mosquitto-conf", "conf.d/citronella.conf"]).ok();
    home.ok(&yes());
    home.init(&["--password-listener", "--mosquitto-conf", "conf.d/citronella.conf"]).ok();
    let before = home.files();
    home.fails(&yes(), &["conf.d/citronella.conf.disabled is there already", "help"]);
    assert!(home.files() == before, "files changed");
}

#[test]
fn a_file_that_is_not_ours_is_left_alone() {
    let home = stock();
    home.write("conf.d/mine.conf", "listener 1885 localhost\n");
    let plugin = "plugin /usr/lib/mosquitto_citronella.so\n";
    home.write("whole.conf", format!("{plugin}include_dir {}\n", home.path("conf.d").display()));
    let before = home.files();
    for (name, says) in [
        ("conf.d/mine.conf", "is not what `citronella init` wrote"),
        ("mosquitto.conf", "is not what `citronella init` wrote"),
        ("whole.conf", "is not what `citronella init` wrote"),
        ("conf.d/none.conf", "there is no conf.d/none.conf"),
    ] {
        home.fails(&["uninstall", "--yes", "--mosquitto-conf", name], &[says]);
    }
    assert!(home.files() == before, "files changed");

    home.write("conf.d/other.conf", plugin);
    let told = home.ok(&yes());
    assert!(told.contains("stays guarded") && !told.contains("not guarded any more"), "{told}");
}

broker_test!(after_it_the_broker_starts_without_the_plugin, |kind| {
    let (site, conf) = Site::new(kind, &[]);
    site.home.ok(&["uninstall", "--yes", "--mosquitto-conf", site.lines().to_str().unwrap()]);
    let mine = format!("listener 1883 {}\nallow_anonymous true\n", site.address);
    fs::write(site.folder.join("mine.conf"), mine).unwrap();
    let broker = conf.start();
    Client::welcome(&Door::tcp(site.place(1883)), &Login::new("anybody"));
    let log = broker.log();
    assert!(!log.contains("citronella.conf") && !log.to_lowercase().contains("plugin"), "{log}");
});
