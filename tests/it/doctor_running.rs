//! The broker that runs: does `doctor` see that it is not what the files say?

use std::{
    collections::BTreeSet,
    fs,
    time::{Duration, SystemTime},
};

use serde_json::Value;

use crate::{
    cli_support::Home,
    support::{Broker, Conf, DoorKind, Kind, wait_for},
};

/// A broker whose lines stand in a part of their own, as `init` writes them.
fn scene(kind: Kind) -> (Home, Conf) {
    let home = Home::empty();
    let conf = Broker::conf(kind);
    let address = conf.address().to_string();
    let folder = home.path("conf.d");
    fs::create_dir(&folder).unwrap();
    let own = folder.join("citronella.conf");
    home.init(&["--listen", &address, "--mosquitto-conf", own.to_str().unwrap()]).ok();
    let conf = conf.line(&format!("include_dir {}", folder.display()));
    (home, conf.listener("in", DoorKind::Unix, ""))
}

/// What `doctor` finds of the broker that was started with its own mosquitto.conf.
fn found(home: &Home, broker: &Broker) -> Vec<Value> {
    let conf = broker.dir().join("mosquitto.conf");
    let json = home.json(&["doctor", conf.to_str().unwrap()]);
    let of_running = ["not-guarded", "not-in-force", "restart-needed"];
    let findings = json["findings"].as_array().unwrap().iter();
    findings.filter(|found| of_running.contains(&found["code"].as_str().unwrap())).cloned().collect()
}

fn codes(found: &[Value]) -> BTreeSet<&str> {
    found.iter().map(|found| found["code"].as_str().unwrap()).collect()
}

/// As if it had been written so many seconds from now.
fn date(path: &std::path::Path, seconds: i64) {
    let by = Duration::from_secs(seconds.unsigned_abs());
    let now = SystemTime::now();
    let at = if seconds < 0 { now - by } else { now + by };
    fs::File::options().append(true).open(path).unwrap().set_modified(at).unwrap();
}

broker_test!(a_broker_as_its_files_say_has_no_finding_until_they_change, |kind| {
    let (home, conf) = scene(kind);
    let broker = conf.start();
    let none = wait_for(|| found(&home, &broker).is_empty().then_some(()));
    assert!(none.is_some(), "{:?}", found(&home, &broker));

    // The lines for Mosquitto, a minute from now.
    date(&home.path("conf.d/citronella.conf"), 60);
    let told = found(&home, &broker);
    assert_eq!(codes(&told), BTreeSet::from(["restart-needed"]), "{told:?}");
    assert!(told[0]["message"].as_str().unwrap().contains("conf.d/citronella.conf changed"), "{told:?}");
    assert!(told[0]["help"].to_string().contains("systemctl restart mosquitto"), "{told:?}");
});

broker_test!(a_broker_that_was_started_before_the_plugins_lines_is_not_guarded, |kind| {
    let (home, conf) = scene(kind);
    let own = home.path("conf.d/citronella.conf");
    let aside = home.path("conf.d/citronella.off");
    fs::rename(&own, &aside).unwrap();
    let broker = conf.start();
    fs::rename(&aside, &own).unwrap();
    let told = found(&home, &broker);
    assert!(codes(&told).contains("not-guarded"), "{told:?}");
    let message = told.iter().find(|found| found["code"] == "not-guarded").unwrap()["message"].to_string();
    assert!(message.contains(&format!("process {}", broker.pid())), "{message}");
    drop(broker);
});

broker_test!(settings_that_are_not_in_force_are_told_with_the_reason, |kind| {
    let (home, conf) = scene(kind);
    let devices: String = (0..40).map(|number| format!("\n[d{number}]\n")).collect();
    home.write("etc/devices.toml", format!("version = 1\n{devices}"));
    let broker = conf.start();
    // Half of the devices gone: that waits for somebody who means it.
    home.write("etc/devices.toml", "version = 1\n[d0]\n");
    let state = home.path("etc/state");
    let waits = || fs::read_to_string(state.join("status.json")).ok().filter(|text| text.contains("waiting"));
    assert!(wait_for(waits).is_some(), "{:?}", fs::read_to_string(state.join("status.json")));
    for name in ["etc/devices.toml", "etc/citronella.toml"] {
        date(&home.path(name), -60);
    }
    let told = found(&home, &broker);
    let told =
        told.iter().find(|found| found["code"] == "not-in-force").unwrap_or_else(|| panic!("{told:?}"));
    assert!(told["help"].to_string().contains("systemctl reload mosquitto"), "{told:?}");
});
