//! What `citronella init` refuses before it has made anything, and what it says of ports and names.

use std::{fs, os::unix::fs::chown};

use crate::{
    cli_support::{CA_PASSPHRASE, Home},
    support::{Cmd, plugin},
};

#[track_caller]
fn refused(home: &Home, arguments: &[&str], says: &[&str]) {
    let before = home.files();
    let outcome = home.init(arguments).run();
    assert_eq!((outcome.status, &*outcome.stdout), (Some(2), ""), "{arguments:?}: {outcome:?}");
    for part in says {
        assert!(outcome.stderr.contains(part), "{arguments:?} does not say `{part}`: {outcome:?}");
    }
    assert!(home.files() == before && !home.path("etc").exists(), "something was made");
}

#[test]
fn ports_that_cannot_be_and_plugins_that_are_none() {
    let home = Home::empty();
    let help = "  = help: ";
    refused(&home, &["--port", "8884", "--password-listener"], &["on port 8884", help]);
    refused(&home, &["--password-listener", "--password-port", "8883"], &["on port 8883", help]);
    refused(&home, &["--port", "0"], &["--port"]);
    refused(&home, &["--password-listener", "--password-port", "0"], &["--password-port"]);
    for no_plugin in ["/tmp", "/etc/hostname"] {
        let conf = home.path("m.conf");
        let arguments = ["init", "--plugin", no_plugin, "--mosquitto-conf", conf.to_str().unwrap()];
        home.fails(&arguments, &["is not a plugin", "mosquitto_citronella.so"]);
    }
    assert!(home.files().is_empty(), "{:?}", home.files());
}

#[test]
fn a_path_that_would_become_lines_of_its_own() {
    let home = Home::empty();
    let init = |config: &str, plugin: &str| {
        let arguments = ["--config", config, "init", "--plugin", plugin, "--mosquitto-conf", "m.conf"];
        Cmd::new(arguments).dir(home.dir()).env("CITRONELLA_CA_PASSPHRASE", CA_PASSPHRASE).run()
    };
    let own = plugin();
    fs::copy(&own, home.path("a\nuser root")).unwrap();
    for (config, plugin) in [
        ("a\nuser root/citronella.toml", own.to_str().unwrap()),
        ("e/citronella.toml ", own.to_str().unwrap()),
        ("e/citronella.toml", "a\nuser root"),
    ] {
        let outcome = init(config, plugin);
        assert_eq!(outcome.status, Some(2), "{config:?} {plugin:?}: {outcome:?}");
        assert!(outcome.stderr.contains("cannot hold the path"), "{config:?} {plugin:?}: {outcome:?}");
        assert_eq!(home.files().len(), 1, "something was made");
    }
}

#[test]
fn a_folder_in_which_the_broker_would_not_start() {
    let home = Home::empty();
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    chown(home.dir(), Some(65534), None).unwrap();
    refused(&home, &[], &["the broker would not start", "belongs to user 65534", "/etc/citronella"]);
}

#[test]
fn an_address_to_listen_on_is_one_of_the_certificates_names() {
    let home = Home::empty();
    home.init(&["--name", "gw.lan", "--listen", "127.9.8.7"]).ok();
    let shown = home.ok(&["cert", "show", "etc/tls/broker.crt"]);
    assert!(shown.contains("127.9.8.7") && shown.contains("gw.lan"), "{shown}");
    let other = home.init(&["--name", "gw.lan", "--listen", "127.9.8.8"]).run();
    assert!(other.stderr.contains("is not good for 127.9.8.8"), "{other:?}");
}

#[test]
fn that_port_1883_closes_is_said_until_a_line_opens_it() {
    let home = Home::empty();
    let told = home.init(&[]).ok();
    assert!(told.contains("port 1883 closes") && told.contains("`listener 1883 localhost`"), "{told}");
    let conf = home.read("mosquitto.conf");
    fs::write(home.path("mosquitto.conf"), conf + "listener 1883 localhost\n").unwrap();
    let told = home.init(&[]).ok();
    assert!(!told.contains("1883"), "{told}");
}

#[test]
fn port_1883_is_kept_only_where_the_broker_opened_it_by_itself() {
    let keeps = |main: &str, more: &[&str]| {
        let home = Home::empty();
        fs::create_dir(home.path("conf.d")).unwrap();
        home.write("mosquitto.conf", format!("{main}\ninclude_dir {}\n", home.path("conf.d").display()));
        let conf = home.path("conf.d/citronella.conf");
        let told = home.init(&[&["--mosquitto-conf", conf.to_str().unwrap()], more].concat()).ok();
        let kept = home.read("conf.d/citronella.conf").contains("\nlistener 1883 localhost\n");
        assert_eq!(told.contains("Port 1883 stays open"), kept, "{told}");
        // Once its own lines are there, the answer is the same.
        let again = home.init(&[&["--mosquitto-conf", conf.to_str().unwrap()], more].concat()).run();
        assert!(again.status == Some(0) && !again.stderr.contains("warning"), "{again:?}");
        assert_eq!(again.stdout.contains("Port 1883 stays open"), kept, "{again:?}");
        kept
    };
    assert!(keeps("persistence true", &[]));
    assert!(keeps("allow_anonymous true", &["--password-listener"]));
    for others in
        ["listener 1883", "port 1883", "listener 1884", "bind_address 127.0.0.1", "listener 0 /run/m"]
    {
        assert!(!keeps(others, &[]), "{others}");
    }
    assert!(!keeps("persistence true", &["--port", "1883"]));
}
