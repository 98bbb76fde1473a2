//! `citronella init`: from nothing to a broker that is guarded.

use std::{fs, os::unix::fs::MetadataExt as _};

use crate::{
    cli_site::Site,
    cli_support::{CA_PASSPHRASE, Home},
    pki_support::{accepts, run, verify},
    support::{Client, Door, Login, Publish, Refused},
};

const NOT_AUTHORIZED: u8 = 0x87;

#[test]
fn everything_is_made_with_the_modes_that_keep_strangers_out() {
    let home = Home::new();
    for (name, mode) in [
        ("etc", 0o750),
        ("etc/citronella.toml", 0o640),
        ("etc/devices.toml", 0o640),
        ("etc/pki", 0o700),
        ("etc/pki/ca.key", 0o600),
        ("etc/pki/ledger", 0o600),
        ("etc/tls", 0o750),
        ("etc/tls/ca.crt", 0o644),
        ("etc/tls/broker.crt", 0o644),
        ("etc/tls/broker.key", 0o640),
        ("mosquitto.conf", 0o644),
    ] {
        assert_eq!(format!("{:o}", home.mode(name)), format!("{mode:o}"), "{name}");
    }
    assert!(home.read("etc/pki/ca.key").contains("ENCRYPTED"), "the authority's key is open");
    let group = nix::unistd::Group::from_name("mosquitto").unwrap();
    if let Some(group) = group.filter(|_| nix::unistd::geteuid().is_root()) {
        for name in ["etc", "etc/citronella.toml", "etc/devices.toml", "etc/tls", "etc/tls/broker.key"] {
            let found = fs::metadata(home.path(name)).unwrap();
            assert_eq!((found.uid(), found.gid()), (0, group.gid.as_raw()), "{name}");
        }
    }
}

#[test]
fn what_it_makes_is_sound_and_lets_nobody_in() {
    let home = Home::new();
    let outcome = home.run(&["check", "--deny-warnings"]);
    assert_eq!(
        (outcome.status, &*outcome.stdout),
        (Some(0), "sound: 0 devices, 0 warnings\n"),
        "{outcome:?}"
    );
    assert_eq!(home.ok(&["device", "list"]), "no devices\n");
    assert_eq!(home.run(&["explain", "~anonymous", "publish", "a"]).status, Some(1));
}

#[test]
fn run_again_it_keeps_everything_and_says_what_it_did_not_do() {
    let home = Home::new();
    home.write("etc/devices.toml", "version = 1\n# mine\n[lamp]\n");
    let before = home.files();
    let again = home.init(&[]).run();
    assert_eq!(again.status, Some(0), "{again:?}");
    assert_eq!(again.stderr.matches("kept: ").count(), 7, "{again:?}");
    assert!(!again.stderr.contains("warning"), "{again:?}");
    assert!(home.files() == before, "files changed");

    let other = home.init(&["--port", "9883", "--name", "gw.lan"]).run();
    assert_eq!(other.status, Some(0), "{other:?}");
    assert!(other.stderr.contains("is not good for gw.lan"), "{other:?}");
    assert!(other.stderr.contains("not what these options would make"), "{other:?}");
    assert!(home.files() == before, "files changed");
}

#[test]
fn what_cannot_be_is_told_before_anything_is_made() {
    let home = Home::empty();
    let nothing = |arguments: &[&str], says: &str| {
        let outcome = home.cmd(arguments).run();
        assert_eq!((outcome.status, &*outcome.stdout), (Some(2), ""), "{outcome:?}");
        assert!(outcome.stderr.contains(says), "{outcome:?}");
        assert!(outcome.stderr.contains("  = help: "), "no remedy: {outcome:?}");
        assert!(home.files().is_empty(), "{:?}", home.files());
    };
    nothing(&["init", "--plugin", "nowhere.so"], "nowhere.so");
    let plugin = crate::support::plugin();
    let plugin = plugin.to_str().unwrap();
    nothing(&["init", "--plugin", plugin, "--mosquitto-conf", "no/such/folder.conf"], "no folder no/such");
    let conf = ["init", "--plugin", plugin, "--mosquitto-conf", "a.conf"];
    nothing(&[&conf[..], &["--password-file", "no/passwd"]].concat(), "no folder no");
    let outcome = home.locked(&conf).run();
    assert_eq!(outcome.status, Some(2), "{outcome:?}");
    assert!(outcome.stderr.contains("CITRONELLA_CA_PASSPHRASE"), "{outcome:?}");
    if !std::path::Path::new("/usr/lib/x86_64-linux-gnu/mosquitto/mosquitto_citronella.so").exists() {
        nothing(&["init", "--mosquitto-conf", "a.conf"], "is not installed");
    }
}

#[test]
fn a_name_or_address_that_is_none_is_refused() {
    let home = Home::empty();
    for name in ["*.lan", "a b", "1.2.3", "-a", "ü.lan"] {
        let outcome = home.init(&["--name", name]).run();
        assert_eq!(outcome.status, Some(2), "{name}: {outcome:?}");
        assert!(outcome.stderr.contains(name), "{outcome:?}");
        assert!(home.files().is_empty(), "{name}: {:?}", home.files());
    }
    assert_eq!(home.init(&["--address", "300.1.1.1"]).run().status, Some(2));
    assert_eq!(home.init(&["--subject", "XX"]).run().status, Some(2));
    assert_eq!(home.init(&["--key", "dsa"]).run().status, Some(2));
}

#[test]
fn openssl_objects_to_nothing_whatever_the_options() {
    for key in ["p256", "rsa2048"] {
        let home = Home::empty();
        home.init(&[
            "--name",
            "gw.lan",
            "--address",
            "192.0.2.7",
            "--address",
            "2001:db8::7",
            "--key",
            key,
            "--subject",
            "C=IT,ST=Lazio,O=Rossi e Figli",
            "--authority",
            "Casa Rossi",
        ])
        .ok();
        let (ca, broker) = (home.path("etc/tls/ca.crt"), home.path("etc/tls/broker.crt"));
        accepts(verify(&ca, &ca, &[]));
        for name in
            [["-verify_hostname", "gw.lan"], ["-verify_ip", "192.0.2.7"], ["-verify_ip", "2001:db8::7"]]
        {
            accepts(verify(&ca, &broker, &[&["-purpose", "sslserver"], &name[..]].concat()));
        }
        assert_pair(&home);
    }
}

/// The key belongs to the certificate.
#[track_caller]
fn assert_pair(home: &Home) {
    let public = |arguments: &[&str]| accepts(run("openssl", arguments));
    let (key, certificate) = (home.path("etc/tls/broker.key"), home.path("etc/tls/broker.crt"));
    assert_eq!(
        public(&["pkey", "-pubout", "-in", key.to_str().unwrap()]),
        public(&["x509", "-pubkey", "-noout", "-in", certificate.to_str().unwrap()])
    );
}

#[test]
fn killed_at_any_instant_it_is_completed_by_running_it_again() {
    let whole = std::time::Instant::now();
    Home::new();
    let whole_us = u64::try_from(whole.elapsed().as_micros()).unwrap();
    let (mut unfinished, rounds) = (0, 16);
    for round in 0..rounds {
        let home = Home::empty();
        home.init(&[]).kill_after(whole_us * round / rounds);
        unfinished += u64::from(!home.path("mosquitto.conf").exists());
        home.init(&[]).ok();
        assert_pair(&home);
        accepts(verify(&home.path("etc/tls/ca.crt"), &home.path("etc/tls/broker.crt"), &[]));
        assert_eq!(home.run(&["check", "--deny-warnings"]).status, Some(0), "round {round}");
        for (name, mode) in [("etc", 0o750), ("etc/tls/broker.key", 0o640), ("mosquitto.conf", 0o644)] {
            assert_eq!(home.mode(name), mode, "round {round}: {name}");
        }
        let files = home.files().into_iter().map(|(name, _)| name);
        let litter: Vec<String> =
            files.filter(|name| name.contains("/.") && !name.ends_with("/.citronella.lock")).collect();
        assert!(litter.is_empty(), "round {round}: {litter:?}");
        home.ok(&["device", "add", "thunder10", "--role", "sensor"]);
    }
    assert!(unfinished > 2, "the instants miss the work: {unfinished}");
}

broker_test!(the_lines_for_mosquitto_make_a_guarded_broker, |kind| {
    let (site, conf) = Site::new(kind, &["--password-listener", "--password-file", "passwd"]);
    let home = &site.home;
    home.ok(&["device", "add", "thunder10", "--role", "sensor"]);
    home.ok(&["device", "add", "phone", "--role", "viewer", "--no-certificate"]);
    let password = home.ok(&["password", "generate", "phone"]);
    let broker = conf.start();
    let (own, others) = (site.own_door("thunder10"), site.door("thunder10", 8884));
    let mut thunder = Client::welcome(&own, &Login::new("thunder10"));
    let phone = Login::new("phone").user("phone");
    let mut reader = Client::welcome(&others, &phone.clone().password(password.trim_end()));
    assert_eq!(reader.subscribe("sensors/#"), 2);
    assert_eq!(thunder.publish(&Publish::to("sensors/thunder10/kwh").payload("7")), 0);
    assert_eq!(reader.receive().payload, b"7");
    assert_eq!(thunder.publish(&Publish::to("sensors/other/kwh")), NOT_AUTHORIZED);
    for refused in [
        Client::unwelcome(&others, &phone.password("wrong")),
        Client::unwelcome(&others, &Login::new("anybody")),
        Client::unwelcome(broker.door("settled"), &Login::new("anybody")),
    ] {
        assert_eq!(refused, Refused::Connack(NOT_AUTHORIZED));
    }
    home.ok(&["cert", "revoke", "thunder10"]);
    broker.reload();
    assert_eq!(Client::unwelcome(&own, &Login::new("thunder10")), Refused::Connack(NOT_AUTHORIZED));
    assert!(!broker.log().contains(CA_PASSPHRASE));
});

#[test]
fn lines_of_others_that_would_undo_the_guard_are_not_left_as_they_are() {
    let home = Home::empty();
    home.write("etc-mosquitto/conf.d/default.conf", "listener 1883\nallow_anonymous true\n");
    let main = home.path("etc-mosquitto/conf.d");
    home.write("etc-mosquitto/mosquitto.conf", format!("pid_file /run/x\ninclude_dir {}\n", main.display()));
    let conf = main.join("citronella.conf");
    let own = ["--password-listener", "--mosquitto-conf", conf.to_str().unwrap()];
    let init = |more: &[&str]| home.init(&[&own[..], more].concat()).run();
    for more in [&["--no-import"][..], &[]] {
        let quiet = init(more);
        assert!(quiet.status == Some(0) && !quiet.stderr.contains("warning"), "{quiet:?}");
    }
    let old =
        "per_listener_settings true\nport 8884\nlistener 8883 localhost\nuse_identity_as_username true\n";
    home.write("etc-mosquitto/conf.d/old.conf", old);
    let before = home.files();
    let outcome = init(&[]);
    assert_eq!(outcome.status, Some(2), "{outcome:?}");
    assert!(outcome.stderr.contains("port 8884 is open already, in "), "{outcome:?}");
    let outcome = init(&["--take-port"]);
    assert_eq!(outcome.status, Some(2), "{outcome:?}");
    for line in old.lines() {
        assert!(outcome.stderr.contains(&format!("\n-{line}\n+#citronella# {line}")), "{line}: {outcome:?}");
    }
    assert!(home.files() == before, "files changed");
    let outcome = init(&["--take-port", "--yes"]);
    assert_eq!(outcome.status, Some(0), "{outcome:?}");
    let now = home.read("etc-mosquitto/conf.d/old.conf");
    assert!(now.lines().all(|line| line.starts_with("#citronella# ")), "{now}");

    home.write("etc-mosquitto/conf.d/z.conf", "plugin /usr/lib/other.so\n");
    let outcome = init(&[]);
    assert_eq!(outcome.status, Some(0), "{outcome:?}");
    assert!(outcome.stderr.contains("z.conf:1: another plugin decides too"), "{outcome:?}");
}

broker_test!(a_listener_that_was_open_to_all_is_guarded_too, |kind| {
    let (site, conf) = Site::new(kind, &[]);
    // As many guides say to make it, read before and after ours.
    for (name, port) in [("a.conf", 1883), ("z.conf", 1884)] {
        let lines = format!("listener {port} {}\nallow_anonymous true\n", site.address);
        fs::write(site.folder.join(name), lines).unwrap();
    }
    let _broker = conf.start();
    for port in [1883, 1884] {
        let door = Door::tcp(site.place(port));
        assert_eq!(
            Client::unwelcome(&door, &Login::new("anybody")),
            Refused::Connack(NOT_AUTHORIZED),
            "{port}"
        );
    }
});

broker_test!(what_a_stock_broker_opens_for_its_own_machine_stays_open, |kind| {
    let (site, conf) = Site::bare(kind);
    let (home, address) = (&site.home, &site.address);
    // As Debian has it.
    let main = format!("persistence true\nlog_type all\ninclude_dir {}\n", site.folder.display());
    fs::write(conf.dir().join("mosquitto.conf"), main).unwrap();
    let told = site.init(&[]);
    assert!(told.contains("Port 1883 stays open") && !told.contains("closes"), "{told}");
    let lines = fs::read_to_string(site.lines()).unwrap();
    assert_eq!(lines.matches("\nlistener 1883 localhost\n").count(), 1, "{lines}");
    home.ok(&["device", "add", "ha", "--role", "viewer", "--no-certificate"]);
    let password = home.ok(&["password", "generate", "ha"]);
    // Other tests have brokers too: this one's `localhost` is its own address.
    fs::write(site.lines(), lines.replace("1883 localhost", &format!("1883 {address}"))).unwrap();
    let _broker = conf.start();
    let door = Door::tcp(site.place(1883));
    let login = Login::new("ha").user("ha");
    let mut client = Client::welcome(&door, &login.clone().password(password.trim_end()));
    assert_eq!(client.subscribe("sensors/#"), 2);
    for refused in [login.password("wrong"), Login::new("anybody")] {
        assert_eq!(Client::unwelcome(&door, &refused), Refused::Connack(NOT_AUTHORIZED));
    }
});

#[test]
fn settings_as_the_package_has_them_are_no_settings_of_anybody() {
    let packaged = include_str!("../../conf-examples/starter/citronella.toml");
    let home = Home::with_files(packaged, include_str!("../../conf-examples/starter/devices.toml"));
    let told = home.init(&["--password-file", "passwd"]).run();
    assert_eq!(told.status, Some(0), "{told:?}");
    assert!(told.stderr.contains("made: the settings and roles"), "{told:?}");
    assert!(home.read("etc/citronella.toml").contains("\n[auth]\npassword_file = "), "{told:?}");
    assert_eq!(home.run(&["check"]).status, Some(0));

    let touched = format!("{packaged}# mine\n");
    home.write("etc/citronella.toml", &touched);
    home.init(&["--password-file", "passwd"]).ok();
    assert_eq!(home.read("etc/citronella.toml"), touched);
}
