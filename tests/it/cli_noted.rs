//! Where `init` wrote its lines is remembered: what comes later names the ports that are open, and finds those lines.

use std::fs;

use crate::{
    cli_site::Site,
    cli_support::Home,
    support::{Client, Cmd, Login},
};

/// The last line of what stands beside a device's key.
fn line_to_paste(home: &Home, folder: &str) -> String {
    home.read(&format!("{folder}/connect.txt")).lines().last().unwrap().to_owned()
}

/// `init` has opened other ports than the usual ones, beside a stock configuration in `mq/`.
fn elsewhere(more: &[&str]) -> Home {
    let home = Home::empty();
    fs::create_dir_all(home.path("mq/conf.d")).unwrap();
    home.write("mq/mosquitto.conf", format!("include_dir {}\n", home.path("mq/conf.d").display()));
    let place = ["--mosquitto-conf", "mq/conf.d/citronella.conf", "--name", "gw.lan"];
    home.init(&[&place, more].concat()).ok();
    home
}

const PORTS: [&str; 5] = ["--port", "9883", "--password-listener", "--password-port", "9884"];

#[test]
fn what_is_printed_to_be_typed_has_the_ports_that_init_opened() {
    let home = elsewhere(&PORTS);
    let added = home.ok(&["device", "add", "thunder10", "--role", "sensor"]);
    assert!(added.contains("-h gw.lan -p 9883 "), "{added}");
    assert!(line_to_paste(&home, "thunder10").contains(" -p 9883 "));

    fs::create_dir(home.path("next")).unwrap();
    let renewed = home.ok(&["cert", "renew", "thunder10", "--out", "next"]);
    assert!(renewed.contains(" -p 9883 "), "{renewed}");
    home.ok(&["bundle", "thunder10", "--for", "mosquitto", "--plain-key"]);
    let readme = home.read("thunder10-mosquitto/README.txt");
    assert!(readme.contains("-p 9883 "), "{readme}");
    home.write("fleet.csv", "name,role,credentials\nlamp,sensor,\nphone,viewer,password\n");
    home.ok(&["device", "import", "fleet.csv"]);
    assert!(line_to_paste(&home, "lamp").contains(" -p 9883 "));
    assert!(line_to_paste(&home, "phone").contains(" -p 9884 "));

    // What is typed counts.
    let typed = home.ok(&["device", "add", "a", "--role", "sensor", "--port", "443", "--host", "gw.lan"]);
    assert!(typed.contains(" -p 443 "), "{typed}");
}

#[test]
fn who_gets_a_password_is_told_where_to_come_in() {
    let home = elsewhere(&PORTS);
    home.ok(&["device", "add", "phone", "--role", "viewer", "--no-certificate"]);
    home.ok(&["device", "add", "lamp", "--role", "sensor"]);
    let told = |name: &str| home.run(&["password", "generate", name]).stderr;
    let place = "it comes in at gw.lan, port 9884, over TLS: user name phone, CA certificate ";
    assert!(told("phone").contains(place), "{}", told("phone"));
    assert!(home.cmd(&["password", "set", "phone"]).stdin("long enough\n").run().stderr.contains(place));
    // Who has a certificate comes in with it.
    assert!(!told("lamp").contains("comes in at"), "{}", told("lamp"));

    let home = elsewhere(&["--port", "9883"]);
    home.ok(&["device", "add", "phone", "--role", "viewer", "--no-certificate"]);
    let told = home.run(&["password", "generate", "phone"]).stderr;
    assert!(
        told.contains("no port over TLS takes a password") && told.contains("init --password-listener"),
        "{told}"
    );
    fs::remove_dir_all(home.path("mq")).unwrap();
    let told = home.run(&["password", "generate", "phone"]).stderr;
    assert!(!told.contains("over TLS"), "nothing is known: {told}");
}

#[test]
fn the_lines_count_as_they_are_now() {
    let home = elsewhere(&["--port", "9883"]);
    let lines = home.read("mq/conf.d/citronella.conf");
    let add = |name: &str| home.ok(&["device", "add", name, "--role", "sensor"]);
    // People move it, into a file of their own too.
    home.write("mq/conf.d/citronella.conf", lines.replace("listener 9883", "listener 7883"));
    assert!(add("a").contains(" -p 7883 "));
    let (plugin, listener) = lines.split_once("\n\n").unwrap();
    home.write("mq/conf.d/citronella.conf", plugin);
    let others = format!(
        "listener 1884\nlistener 5883\ncertfile other.crt\nkeyfile k\nrequire_certificate true\n{listener}"
    );
    home.write("mq/conf.d/listeners.conf", others.replace("listener 9883", "listener 6883"));
    assert!(add("b").contains(" -p 6883 "));
    // Websockets are no place for mosquitto_pub.
    let others = others.replace("listener 9883", "listener 6883\nprotocol websockets");
    home.write("mq/conf.d/listeners.conf", others);
    assert!(add("c").contains(" -p 8883 "));
    fs::remove_dir_all(home.path("mq")).unwrap();
    assert!(add("d").contains(" -p 8883 "));
}

#[test]
fn a_note_that_is_none_counts_as_if_it_were_not_there() {
    let home = elsewhere(&["--port", "9883"]);
    let note = home.read("etc/init.toml");
    assert!(note.contains("mq/conf.d/citronella.conf\"\n"), "{note}");
    assert_eq!(home.mode("etc/init.toml"), 0o640);
    for (number, text) in
        ["", "mosquitto_conf = 7\n", "mosquitto_conf = 'mq/conf.d/citronella.conf'\n", "[[[\n"]
            .iter()
            .enumerate()
    {
        home.write("etc/init.toml", text);
        let added = home.ok(&["device", "add", &format!("d{number}"), "--role", "sensor"]);
        assert!(added.contains(" -p 8883 "), "{text}: {added}");
    }
    // Doing it again repairs it.
    home.init(&["--mosquitto-conf", "mq/conf.d/citronella.conf", "--port", "9883"]).ok();
    assert_eq!(home.read("etc/init.toml"), note);
}

#[test]
fn init_uninstall_and_doctor_find_the_lines_by_themselves() {
    let home = elsewhere(&PORTS);
    let (plugin, lines) = (crate::support::plugin(), home.path("mq/conf.d/citronella.conf"));
    let again = home.run(&["init", "--plugin", plugin.to_str().unwrap(), "--port", "9883"]);
    assert_eq!(again.status, Some(0), "{again:?}");
    assert!(again.stderr.contains("go where an earlier run has them"), "{again:?}");
    assert!(
        again.stderr.contains(&format!("kept: the lines for Mosquitto, {}", lines.display())),
        "{again:?}"
    );

    // By the note, by the main file, and by the lines.
    let examined = |arguments: &[&str]| home.json(&[&["doctor"], arguments].concat())["files"].clone();
    let main = home.path("mq/mosquitto.conf");
    let both = serde_json::json!([main, lines]);
    assert_eq!(examined(&[]), both);
    assert_eq!(examined(&[main.to_str().unwrap()]), both);
    assert_eq!(examined(&["--mosquitto-conf", lines.to_str().unwrap()]), both);
    home.fails(&["doctor", "a.conf", "--mosquitto-conf", "b.conf"], &["cannot be used with"]);

    let told = home.ok(&["uninstall", "--yes"]);
    assert!(told.contains("not guarded any more") && !lines.exists(), "{told}");
    assert_eq!(examined(&[]), serde_json::json!([main]));
    let again = home.ok(&["uninstall", "--yes"]);
    assert!(again.contains("put aside already"), "{again}");
    // And back.
    home.ok(&["init", "--plugin", plugin.to_str().unwrap(), "--port", "9883"]);
    assert!(lines.exists());
}

#[test]
fn without_a_main_file_the_doctor_looks_at_the_lines_themselves() {
    let home = Home::new();
    assert_eq!(home.json(&["doctor"])["files"], serde_json::json!([home.path("mosquitto.conf")]));
}

broker_test!(the_line_to_paste_works_as_it_stands_where_the_broker_runs, |kind| {
    let (site, conf) = Site::new(kind, &["--port", "9883"]);
    site.home.ok(&["device", "add", "watcher", "--role", "viewer"]);
    site.home.ok(&["device", "add", "thunder10", "--role", "sensor"]);
    let _broker = conf.start();
    let door = site.door("watcher", 9883).showing(&site.credential("watcher"));
    let mut watcher = Client::welcome(&door, &Login::new("watcher"));
    assert_eq!(watcher.subscribe("sensors/#"), 2);
    let said = Cmd::shell(r#"cd thunder10 && timeout 20 sh -c "$(tail -n 1 connect.txt)""#)
        .dir(site.home.dir())
        .run();
    assert_eq!(said.status, Some(0), "{said:?}");
    let message = watcher.receive();
    assert!(message.topic.starts_with("sensors/thunder10/"), "{message:?}");
});
