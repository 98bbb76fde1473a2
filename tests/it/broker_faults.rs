//! Disks that are full, broken, read-only or silent, and processes that are killed: the broker serves, nobody wrongly gets
//! in, and nothing is left half done.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use citronella::{
    snapshot::Snapshot,
    status::{self, Attempt},
};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use serde_json::Value;

use crate::{
    cli_support::Home,
    support::{
        Broker, Client, Conf, DoorKind, Fleet, Kind, Login, Publish, compiled, refused_once, wait_for,
    },
};

const FAULTS: [&str; 3] = ["full", "broken", "readonly"];

/// What makes the disk fail, for `LD_PRELOAD`.
fn shim() -> &'static Path {
    static SHIM: OnceLock<PathBuf> = OnceLock::new();
    SHIM.get_or_init(|| compiled("faults.c", "faults.so", &["-shared", "-fPIC"]))
}

/// The switch of the faults; off while it lives on nobody's word.
struct Switch(PathBuf);

impl Switch {
    fn on(&self, fault: &str) {
        // In one step: the process reads it all the time.
        let new = self.0.with_extension("new");
        fs::write(&new, fault).unwrap();
        fs::rename(new, &self.0).unwrap();
    }

    fn off(&self) {
        fs::remove_file(&self.0).unwrap();
    }
}

fn fleet(kind: Kind) -> Fleet {
    let settings = "[everyone]\nsubscribe = ['to/{device}']\n[metrics]\nfile_interval = 1\n";
    Fleet::with_passwords(kind, settings, "[lost]\n[other]\n[writer]\npublish = ['#']\n")
}

fn conf(kind: Kind, fleet: &Fleet) -> Conf {
    Broker::conf(kind).guarded_by(&fleet.config()).listener("tcp", DoorKind::Tcp, "")
}

/// A broker whose disk fails under the state directory, and the switch for that.
fn faulty(kind: Kind, fleet: &Fleet) -> (Broker, Switch) {
    faulty_under(kind, fleet, &fleet.state())
}

/// The same for any folder.
fn faulty_under(kind: Kind, fleet: &Fleet, folder: &Path) -> (Broker, Switch) {
    let switch = Switch(fleet.path("fault"));
    let folder = folder.canonicalize().unwrap();
    let broker = conf(kind, fleet)
        .env("LD_PRELOAD", shim().to_str().unwrap())
        .env("CITRONELLA_FAULT_UNDER", folder.to_str().unwrap())
        .env("CITRONELLA_FAULT_FILE", switch.0.to_str().unwrap())
        .start();
    broker.status();
    (broker, switch)
}

fn registry(lost: &str) -> String {
    format!("version = 1\n[lost]\nstate = '{lost}'\n[other]\n[writer]\npublish = ['#']\n")
}

#[track_caller]
fn revision(fleet: &Fleet) -> String {
    let loaded = Snapshot::load(&fleet.config(), citronella::snapshot::Permissions::Ignore);
    loaded.snapshot.unwrap_or_else(|| panic!("{:?}", loaded.report)).revision().to_owned()
}

/// The records that are whole, and how many lines are not.
fn records(fleet: &Fleet) -> (Vec<Value>, usize) {
    let text = fs::read(fleet.state().join("audit.jsonl")).unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    let (whole, broken): (Vec<_>, Vec<_>) =
        text.lines().map(serde_json::from_str::<Value>).partition(Result::is_ok);
    (whole.into_iter().map(Result::unwrap).collect(), broken.len())
}

/// How many starts are recorded.
fn starts(fleet: &Fleet) -> usize {
    records(fleet).0.iter().filter(|record| record["event"] == "start").count()
}

broker_test!(a_disk_that_fails_under_the_state_folder_costs_records_and_nothing_else, |kind| {
    let fleet = fleet(kind);
    let (mut broker, switch) = faulty(kind, &fleet);
    let door = broker.door("tcp").clone();
    let mut other = Client::welcome(&door, &Login::of("other"));
    for (round, fault) in FAULTS.iter().enumerate() {
        fleet.write("devices.toml", &registry("active"));
        broker.wait_for_revision(&revision(&fleet));
        let before = broker.log().len();
        let mut lost = Client::welcome(&door, &Login::of("lost"));
        switch.on(fault);
        fleet.write("devices.toml", &registry("disabled"));
        lost.ended();
        refused_once(&broker, &door, &Login::of("lost"), "the device is disabled");
        Client::welcome(&door, &Login::of("writer")).disconnect();
        let told = ["the audit is not written: ", "what is in force cannot be told there"];
        for told in told {
            let found = wait_for(|| broker.log()[before..].contains(told).then_some(()));
            assert!(found.is_some(), "{fault}: `{told}` is not in the log");
        }
        // Whole, if old.
        let old = status::read(&fleet.state()).unwrap();
        assert_ne!(old.in_force.revision, revision(&fleet));
        other.ping().unwrap();
        switch.off();
        broker.wait_for_revision(&revision(&fleet));
        // One after the other, until the writer has noticed.
        let again = || {
            Client::welcome(&door, &Login::of("writer")).disconnect();
            broker.log()[before..].contains("the audit is written again").then_some(())
        };
        assert!(wait_for(again).is_some(), "{fault}");
        for told in told {
            assert_eq!(broker.log()[before..].matches(told).count(), 1, "{fault}: {told}");
        }
        let lost_records = || records(&fleet).0.iter().filter(|record| record["event"] == "lost").count();
        assert!(
            wait_for(|| (lost_records() > round).then_some(())).is_some(),
            "{fault}: {:?}",
            records(&fleet)
        );
    }
    assert!(broker.stop().success());
    let (_, broken) = records(&fleet);
    assert!(broken <= 2 * FAULTS.len(), "{broken} lines are no records");
    let left = |name: &str| name.ends_with("new");
    let names = fs::read_dir(fleet.state()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(!names.into_iter().any(|name| left(name.to_str().unwrap())), "unfinished files are left");
});

broker_test!(a_disk_that_does_not_answer_holds_up_neither_the_loop_nor_a_lock_out, |kind| {
    let fleet = fleet(kind);
    let (mut broker, switch) = faulty(kind, &fleet);
    let door = broker.door("tcp").clone();
    let mut other = Client::welcome(&door, &Login::of("other"));
    let mut lost = Client::welcome(&door, &Login::of("lost"));
    switch.on("stuck");
    // The status of this change is not written before the switch is off: whoever is locked out goes before that.
    fleet.write("devices.toml", &registry("disabled"));
    lost.ended();
    refused_once(&broker, &door, &Login::of("lost"), "the device is disabled");
    other.ping().unwrap();
    assert_ne!(status::read(&fleet.state()).unwrap().in_force.revision, revision(&fleet));
    switch.off();
    broker.wait_for_revision(&revision(&fleet));
    broker.wait_for_kicks();
    // Nor the broker's end.
    switch.on("stuck");
    fleet.write("devices.toml", &registry("active"));
    Client::welcome(&door, &Login::of("writer")).disconnect();
    assert!(broker.stop().success());
});

broker_test!(a_change_that_cannot_be_read_counts_when_it_can, |kind| {
    let fleet = fleet(kind);
    let (broker, switch) = faulty_under(kind, &fleet, fleet.dir());
    let mut lost = Client::welcome(broker.door("tcp"), &Login::of("lost"));
    switch.on("unreadable");
    fleet.write("devices.toml", &registry("disabled"));
    let refused = || {
        let attempt = broker.status()?.attempt;
        matches!(&attempt, Attempt::Refused { mistakes, .. } if mistakes[0].contains("Input/output"))
            .then_some(())
    };
    assert!(wait_for(refused).is_some(), "{:?}", broker.status());
    lost.ping().unwrap();
    // Nothing tells of that.
    switch.off();
    lost.ended();
    broker.wait_for_revision(&revision(&fleet));
    assert_eq!(broker.log().matches("not reloaded because of").count(), 1);
});

broker_test!(a_change_that_comes_when_there_are_no_descriptors_counts_when_there_are, |kind| {
    let fleet = fleet(kind);
    let broker = conf(kind, &fleet).start();
    broker.status();
    let mut lost = Client::welcome(broker.door("tcp"), &Login::of("lost"));
    let pid = Pid::from_raw(i32::try_from(broker.pid()).unwrap()).unwrap();
    let few = Rlimit { current: Some(3), maximum: getrlimit(Resource::Nofile).maximum };
    let before = prlimit(Some(pid), Resource::Nofile, few).unwrap();
    fleet.write("devices.toml", &registry("disabled"));
    broker.wait_for_log("Too many open files");
    lost.ping().unwrap();
    prlimit(Some(pid), Resource::Nofile, before).unwrap();
    lost.ended();
    broker.wait_for_revision(&revision(&fleet));
});

broker_test!(a_broker_that_is_killed_leaves_nothing_in_the_way, |kind| {
    let fleet = fleet(kind);
    let persistence = format!(
        "persistence true\npersistence_location {}/\nautosave_interval 1\nautosave_on_changes true",
        fleet.dir().display()
    );
    let start = || conf(kind, &fleet).line(&persistence).start();
    let mut broker = start();
    let mut pid = broker.status().unwrap().pid;
    for round in 0..3 {
        let mut lost = Client::welcome(broker.door("tcp"), &Login::of("lost").persistent());
        lost.subscribe("to/lost");
        let mut writer = Client::welcome(broker.door("tcp"), &Login::of("writer"));
        for _ in 0..20 {
            writer.publish(&Publish::to("to/lost").qos(1));
        }
        // What is still in the queue of the audit dies with the broker.
        let begun = || (starts(&fleet) > round).then_some(());
        assert!(wait_for(begun).is_some(), "{:?}", records(&fleet));
        broker.signal("KILL");
        assert!(wait_for(|| broker.has_ended()).is_some());
        assert!(!status::is_running(&fleet.state()).unwrap());
        // While it is down.
        fleet.write("devices.toml", &registry("disabled"));
        broker = start();
        let status = broker.status().unwrap();
        assert_ne!(status.pid, pid, "round {round}");
        pid = status.pid;
        assert_eq!(status.in_force.revision, revision(&fleet));
        refused_once(&broker, broker.door("tcp"), &Login::of("lost"), "the device is disabled");
        // What the broker restored is asked about like any session.
        broker.reload();
        fleet.write("devices.toml", &registry("active"));
        broker.wait_for_revision(&revision(&fleet));
        Client::welcome(broker.door("tcp"), &Login::of("lost").persistent()).disconnect();
    }
    assert!(broker.stop().success());
    let (_, broken) = records(&fleet);
    assert_eq!(starts(&fleet), 4);
    assert!(broken <= 3, "{broken} lines are no records");
});

// A session that the broker has restored, and SIGHUP before its loop has turned once. 2.1 can be asked, and its start ends
// by an early SIGHUP.
broker_test!(sighup_right_after_the_start_ends_no_session, |kind| {
    if kind.at_least(2, 1, 0) {
        return;
    }
    let fleet = Fleet::new("version = 1\n", "version = 1\n[cert]\ncertificates = 'any'\n");
    let credential = fleet.authority().device("cert");
    let persistence = format!("persistence true\npersistence_location {}/", fleet.dir().display());
    let conf = || {
        Broker::conf(kind).guarded_by(&fleet.config()).line(&persistence).tls(
            "tls",
            fleet.authority(),
            "require_certificate true",
        )
    };
    let mut broker = conf().start();
    let login = Login::new("cert").persistent();
    // Without a subscription, by which 2.0 would know it.
    Client::welcome(&broker.door("tls").showing(&credential), &login).disconnect();
    for _ in 0..5 {
        assert!(broker.stop().success());
        broker = conf().start_and(|broker| {
            broker.wait_for_log(" running");
            broker.signal("HUP");
        });
        let client = Client::welcome(&broker.door("tls").showing(&credential), &login);
        assert!(client.session_present, "{}", broker.log());
        client.disconnect();
    }
    assert!(broker.stop().success());
});

/// Everything in a folder, by path.
fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(contents(&path));
        } else {
            all.push((path.clone(), fs::read(&path).unwrap()));
        }
    }
    all.sort();
    all
}

/// A command changes its files whole or not at all, says which it could not, and does it the next time.
#[test]
fn a_disk_that_fails_under_a_command_changes_nothing() {
    let home = Home::new();
    home.ok(&["device", "add", "lamp", "--role", "sensor"]);
    let (switch, etc) = (Switch(home.path("fault")), home.path("etc").canonicalize().unwrap());
    let run = |words: &[&str]| {
        home.cmd(words)
            .env("LD_PRELOAD", shim())
            .env("CITRONELLA_FAULT_UNDER", &etc)
            .env("CITRONELLA_FAULT_FILE", &switch.0)
            .run()
    };
    let registry = || fs::read(home.path("etc/devices.toml")).unwrap();
    for (round, fault) in FAULTS.iter().enumerate() {
        let before = contents(&etc);
        let add = format!("new-{round}");
        for words in [
            &["device", "disable", "lamp"][..],
            &["device", "set", "lamp", "--role", "viewer"],
            &["password", "generate", "lamp"],
            &["device", "add", &add],
            &["cert", "renew", "lamp", "--force"],
            &["cert", "revoke", "lamp"],
            &["ca", "crl"],
        ] {
            switch.on(fault);
            let outcome = run(words);
            switch.off();
            assert_eq!(outcome.status, Some(2), "{fault}: {outcome:?}");
            assert!(outcome.stderr.contains(etc.to_str().unwrap()), "{fault}: {outcome:?}");
            let after = contents(&etc);
            let names =
                |all: &[(PathBuf, Vec<u8>)]| all.iter().map(|(path, _)| path.clone()).collect::<Vec<_>>();
            assert_eq!(names(&after), names(&before), "{fault}: {outcome:?}");
            // The ledger may begin with a serial number that is never used, and may end in a part of a line.
            let differ = before.iter().zip(&after).filter(|(old, new)| old != new);
            let ledgers = differ.clone().all(|((path, old), (_, new))| {
                path.to_str().unwrap().contains("ledger") && new.starts_with(old)
            });
            assert!(
                ledgers,
                "{fault}: {words:?} changed {:?}",
                differ.map(|(old, _)| &old.0).collect::<Vec<_>>()
            );
        }
    }
    let before = registry();
    home.ok(&["device", "disable", "lamp"]);
    home.ok(&["cert", "renew", "lamp", "--force"]);
    home.ok(&["cert", "revoke", "lamp"]);
    assert_ne!(registry(), before);
    home.ok(&["check"]);
}
