//! Changed files take effect by themselves, whoever changes them and however.

use std::{
    fs::{self, File},
    io::Write as _,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use citronella::{
    snapshot::Snapshot,
    status::{self, Attempt},
};

use crate::support::{
    Broker, Client, Conf, DoorKind, Fleet, Kind, Login, Publish, Refused, Will, answered, refused, wait_for,
};

const DEVICES: &str = "[lost]\n[other]\n[writer]\npublish = ['#']\n";

fn fleet(kind: Kind) -> Fleet {
    Fleet::with_passwords(kind, "[everyone]\nsubscribe = ['to/{device}']\n", DEVICES)
}

fn conf(kind: Kind, fleet: &Fleet) -> Conf {
    Broker::conf(kind).guarded_by(&fleet.config()).listener("tcp", DoorKind::Tcp, "")
}

/// The registry without `lost` being welcome.
fn without() -> String {
    format!("version = 1\n{}", DEVICES.replace("[lost]", "[lost]\nstate = 'disabled'"))
}

fn with() -> String {
    format!("version = 1\n{DEVICES}")
}

/// What the files come to as they are now.
#[track_caller]
fn revision(fleet: &Fleet) -> String {
    let loaded = Snapshot::load(&fleet.config(), citronella::snapshot::Permissions::Ignore);
    loaded.snapshot.unwrap_or_else(|| panic!("{:?}", loaded.report)).revision().to_owned()
}

broker_test!(a_file_that_is_renamed_over_locks_out_at_once, |kind| {
    let fleet = fleet(kind);
    let broker = conf(kind, &fleet).start();
    let door = broker.door("tcp");
    let mut reader = Client::welcome(door, &Login::of("other"));
    reader.subscribe("to/other");
    for _ in 0..3 {
        let will = Will::to("to/other", "a will");
        let mut lost = Client::welcome(door, &Login::of("lost").will(will));
        fleet.write("devices.toml", &without());
        lost.ended();
        refused(&broker, door, &Login::of("lost"), "the device is disabled");
        broker.wait_for_revision(&revision(&fleet));
        fleet.write("devices.toml", &with());
        broker.wait_for_revision(&revision(&fleet));
    }
    assert_eq!(reader.delivered(), [], "who is locked out has no last word");
});

broker_test!(a_link_that_is_swapped_is_followed, |kind| {
    let fleet = fleet(kind);
    // As Kubernetes mounts a ConfigMap: the file is a link through a link to a folder, which is swapped.
    let fill = |name: &str, text: &str| {
        fs::create_dir(fleet.path(name)).unwrap();
        fs::write(fleet.path(name).join("devices.toml"), text).unwrap();
        fs::set_permissions(fleet.path(name).join("devices.toml"), fs::Permissions::from_mode(0o640))
            .unwrap();
        symlink(name, fleet.path("..data_tmp")).unwrap();
        fs::rename(fleet.path("..data_tmp"), fleet.path("..data")).unwrap();
    };
    fill("..1", &with());
    fs::remove_file(fleet.path("devices.toml")).unwrap();
    symlink("..data/devices.toml", fleet.path("devices.toml")).unwrap();
    let broker = conf(kind, &fleet).start();
    for round in 2..5 {
        let mut lost = Client::welcome(broker.door("tcp"), &Login::of("lost"));
        fill(&format!("..{}", 2 * round), &without());
        lost.ended();
        broker.wait_for_revision(&revision(&fleet));
        fs::remove_dir_all(fleet.path(&format!("..{}", 2 * round - 1))).ok();
        fill(&format!("..{}", 2 * round + 1), &with());
        broker.wait_for_revision(&revision(&fleet));
    }
});

broker_test!(a_file_that_is_written_in_place_counts_when_it_is_whole, |kind| {
    let fleet = fleet(kind);
    let broker = conf(kind, &fleet).start();
    let mut lost = Client::welcome(broker.door("tcp"), &Login::of("lost"));
    let mut other = Client::welcome(broker.door("tcp"), &Login::of("other"));
    // Only who watches already can tell that somebody is still writing.
    broker.wait_for_revision(&revision(&fleet));
    let before = broker.log().len();
    let text = without();
    let mut file = File::options().write(true).truncate(true).open(fleet.path("devices.toml")).unwrap();
    // Half a file, in which the others are missing, for longer than files are left alone after they are closed.
    for part in text.as_bytes().chunks(text.len() / 4) {
        file.write_all(part).unwrap();
        thread::sleep(Duration::from_millis(400));
    }
    drop(file);
    lost.ended();
    other.ping().unwrap();
    assert!(!broker.log()[before..].contains("error"), "half a file was read");

    // mosquitto_passwd writes in place, too.
    fleet.password(kind, "other", "changed");
    other.ended();
    assert!(matches!(Client::unwelcome(broker.door("tcp"), &Login::of("other")), Refused::Connack(_)));
    Client::welcome(broker.door("tcp"), &Login::of("other").password("changed")).ping().unwrap();
    let sed =
        Command::new("sed").args(["-i", "s/'disabled'/'active'/"]).arg(fleet.path("devices.toml")).status();
    assert!(sed.unwrap().success());
    broker.wait_for_revision(&revision(&fleet));
    Client::welcome(broker.door("tcp"), &Login::of("lost")).ping().unwrap();
});

broker_test!(a_broken_change_is_told_once_and_a_mended_one_counts, |kind| {
    let fleet = fleet(kind);
    let broker = conf(kind, &fleet).start();
    let mut lost = Client::welcome(broker.door("tcp"), &Login::of("lost"));
    for round in 0..3 {
        fleet.write("devices.toml", &format!("{}role = 'nobody'\n# {round}\n", with()));
        let told = || {
            let status = broker.status()?;
            matches!(&status.attempt, Attempt::Refused { mistakes, .. } if mistakes[0].contains("nobody"))
                .then_some(())
        };
        assert!(wait_for(told).is_some(), "{:?}", broker.status());
        fleet.write("devices.toml", &format!("{}role = 'nobody'\n# {round} again\n", with()));
    }
    broker.settle();
    lost.ping().unwrap();
    assert_eq!(broker.log().matches("no role is called").count(), 1, "each mistake once");
    fleet.write("devices.toml", &without());
    lost.ended();
    broker.wait_for_revision(&revision(&fleet));
});

broker_test!(a_device_that_is_removed_is_locked_out_and_the_others_notice_nothing, |kind| {
    let fleet = fleet(kind);
    let broker = conf(kind, &fleet).start();
    let door = broker.door("tcp");
    let mut lost = Client::welcome(door, &Login::of("lost").persistent());
    let mut other = Client::welcome(door, &Login::of("other"));
    fleet.write("devices.toml", &with().replace("[lost]\n", ""));
    lost.ended();
    refused(&broker, door, &Login::of("lost"), "no device is called `lost`");
    broker.wait_for_revision(&revision(&fleet));
    broker.wait_for_kicks();
    other.ping().unwrap();
    assert_eq!(broker.status().unwrap().kicks.done, 1);
    // Welcome again, and no kick that was meant for the old session is left.
    fleet.write("devices.toml", &with());
    broker.wait_for_revision(&revision(&fleet));
    Client::welcome(door, &Login::of("lost").persistent()).ping().unwrap();
});

broker_test!(a_change_that_removes_most_waits_for_sighup, |kind| {
    let fleet = fleet(kind);
    let broker = conf(kind, &fleet).start();
    let mut lost = Client::welcome(broker.door("tcp"), &Login::of("lost"));
    fleet.write("devices.toml", "version = 1\n[other]\n");
    broker.wait_for_log("waiting: the change removes 2 of 3 devices");
    lost.ping().unwrap();
    // The log is first.
    let waits = || broker.status().filter(|status| matches!(status.attempt, Attempt::Waiting { .. }));
    assert!(wait_for(waits).is_some(), "{:?}", broker.status());
    broker.reload();
    lost.ended();
    broker.wait_for_revision(&revision(&fleet));
    // So does one that removes the hashes.
    fleet.write("passwd", "");
    broker.wait_for_log("1 of 1 password hashes");
    Client::welcome(broker.door("tcp"), &Login::of("other")).ping().unwrap();
});

broker_test!(a_certificate_that_expires_ends_its_session, |kind| {
    let fleet = Fleet::new(
        "version = 1\n",
        "version = 1\n[short]\ncertificates = 'any'\n[long]\ncertificates = 'any'\n",
    );
    let stamp = |seconds: u64| {
        let date = Command::new("date")
            .args(["-u", "-d", &format!("+{seconds} seconds"), "+%Y%m%d%H%M%SZ"])
            .output();
        String::from_utf8(date.unwrap().stdout).unwrap().trim().to_owned()
    };
    let broker = Broker::conf(kind)
        .guarded_by(&fleet.config())
        .tls("tls", fleet.authority(), "require_certificate true")
        .start();
    let door = broker.door("tls");
    let mut long = Client::welcome(&door.showing(&fleet.authority().device("long")), &Login::new("long"));
    let credential = fleet.authority().dated("short", "20200101000000Z", &stamp(8));
    let mut short = Client::welcome(&door.showing(&credential), &Login::new("short"));
    short.ended();
    broker.wait_for_log("session ended: the certificate has expired (device `short`)");
    long.ping().unwrap();
});

broker_test!(fewer_rights_end_sessions_one_after_the_other_and_more_rights_none, |kind| {
    let names: Vec<String> = (0..12).map(|number| format!("d{number}")).collect();
    let devices =
        |rules: &str| -> String { names.iter().map(|name| format!("[{name}]\n{rules}\n")).collect() };
    let settings = "[limits]\nkick_rate = 20\n";
    let fleet = Fleet::with_passwords(
        kind,
        settings,
        &format!("{}[writer]\npublish = ['#']\n", devices("pubsub = ['a', 'b']")),
    );
    let broker = conf(kind, &fleet).start();
    let door = broker.door("tcp");
    let join = |name: &String| {
        // There may be more hashes to compute than the loop has time for.
        let mut client = answered(door, &Login::of(name).persistent()).unwrap();
        client.subscribe("a");
        client.subscribe("b");
        client
    };
    let mut clients: Vec<_> = names.iter().map(join).collect();
    let write = |rules: &str| {
        fleet.write("devices.toml", &format!("version = 1\n{}[writer]\npublish = ['#']\n", devices(rules)));
        broker.wait_for_revision(&revision(&fleet));
    };
    write("pubsub = ['a', 'b', 'c']");
    broker.settle();
    for client in &mut clients {
        client.ping().unwrap();
    }
    write("pubsub = ['a']");
    // Delivery follows the new rules, whether a session is closed yet or not.
    answered(door, &Login::of("writer")).unwrap().publish(&Publish::to("b"));
    for client in &mut clients {
        client.ended();
    }
    for name in &names {
        let mut client = answered(door, &Login::of(name).persistent()).unwrap();
        assert_eq!(client.delivered(), []);
    }
    let all = || broker.status().filter(|status| status.kicks.done == 12 && status.kicks.due == 12).map(drop);
    assert!(wait_for(all).is_some(), "{:?}", broker.status());
});

broker_test!(a_state_folder_that_cannot_be_written_is_one_warning, |kind| {
    let fleet = fleet(kind);
    fs::remove_dir(fleet.state()).unwrap();
    fs::write(fleet.state(), "no folder").unwrap();
    let broker = conf(kind, &fleet).start();
    broker.wait_for_log("what is in force cannot be told there");
    let mut lost = Client::welcome(broker.door("tcp"), &Login::of("lost"));
    fleet.write("devices.toml", &without());
    lost.ended();
    assert_eq!(broker.log().matches("cannot be told there").count(), 1);
});

broker_test!(a_state_folder_that_is_named_anew_is_used_at_once, |kind| {
    let fleet = fleet(kind);
    let broker = conf(kind, &fleet).start();
    broker.status();
    let before = fs::read_to_string(fleet.config()).unwrap();
    fs::create_dir(fleet.path("other-state")).unwrap();
    fleet.write("citronella.toml", &before.replace("directory = 'state'", "directory = 'other-state'"));
    let revision = revision(&fleet);
    let moved = fleet.path("other-state");
    let told = || status::read(&moved).ok().filter(|status| status.in_force.revision == revision);
    let status = wait_for(told).unwrap_or_else(|| panic!("{}", broker.log()));
    assert_eq!(status.pid, broker.pid());
    broker.wait_for_log("status, audit and metrics are in ");
    let left = || (!status::is_running(&fleet.state()).unwrap()).then_some(());
    assert!(wait_for(left).is_some(), "another broker could have the old folder");
    let recorded = || {
        let text = fs::read_to_string(moved.join("audit.jsonl")).ok()?;
        (text.contains("\"reload\"") && moved.join("metrics.prom").exists()).then_some(())
    };
    assert!(wait_for(recorded).is_some());
    assert!(!fleet.state().join("metrics.prom").exists());
});

broker_test!(two_brokers_with_one_state_folder_do_not_write_over_each_other, |kind| {
    let fleet = fleet(kind);
    let mut first = conf(kind, &fleet).start();
    first.status();
    let second = conf(kind, &fleet).start();
    second.wait_for_log("the plugin of another broker writes to");
    Client::welcome(second.door("tcp"), &Login::of("other")).ping().unwrap();
    second.wait_for_log("the audit is not written: the plugin of another broker writes to");
    // It guards all the same, and follows the files.
    let mut lost = Client::welcome(second.door("tcp"), &Login::of("lost"));
    fleet.write("devices.toml", &without());
    lost.ended();
    first.wait_for_revision(&revision(&fleet));
    let records = fs::read_to_string(fleet.state().join("audit.jsonl")).unwrap();
    assert!(!records.contains("log-in"), "{records}");
    assert!(first.stop().success());
    // Now it is the second one's.
    let second_says = || status::read(&fleet.state()).ok().filter(|status| status.pid == second.pid());
    let status = wait_for(second_says).expect("it keeps away for ever");
    assert_eq!(status.in_force.revision, revision(&fleet));
    assert_eq!(second.log().matches("what is in force cannot be told there").count(), 1);
});

/// Goes on writing this into a file, without closing it, as long as `body` runs.
fn while_writing<R>(path: &Path, (text, pause): (&str, Duration), body: impl FnOnce() -> R) -> R {
    struct Ends<'a>(&'a AtomicBool);
    impl Drop for Ends<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Release);
        }
    }
    let mut file = File::options().append(true).open(path).unwrap();
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let _ends = Ends(&ended);
        scope.spawn(|| {
            while !ended.load(Ordering::Acquire) {
                file.write_all(text.as_bytes()).unwrap();
                thread::sleep(pause);
            }
            file.write_all(b"\n").unwrap();
        });
        body()
    })
}

broker_test!(whoever_writes_without_an_end_delays_no_other_file_for_long, |kind| {
    let fleet = fleet(kind);
    let broker = conf(kind, &fleet).start();
    let mut lost = Client::welcome(broker.door("tcp"), &Login::of("lost"));
    broker.status();
    // Never closed, and never silent for as long as a writer is waited for.
    while_writing(&fleet.path("passwd"), ("# more\n", Duration::from_millis(700)), || {
        fleet.write("devices.toml", &without());
        lost.ended();
    });
    // And who writes so that nothing can be read whole is told of.
    let told = while_writing(&fleet.path("passwd"), ("#", Duration::from_micros(100)), || {
        let torn = || broker.status().filter(|status| matches!(&status.attempt, Attempt::Torn { .. }));
        wait_for(torn).unwrap_or_else(|| panic!("{:?}", broker.status()))
    });
    assert!(matches!(told.attempt, Attempt::Torn { reason, .. } if reason.contains("`passwd`")));
    let line = "`passwd` is being written into without a pause";
    broker.wait_for_log(line);
    assert_eq!(broker.log().matches(line).count(), 1);
    let loaded = || broker.status().filter(|status| matches!(&status.attempt, Attempt::Loaded { .. }));
    assert!(wait_for(loaded).is_some(), "{:?}", broker.status());
    broker.wait_for_revision(&revision(&fleet));
});

broker_test!(a_busy_folder_wakes_the_thread_now_and_then_only, |kind| {
    let fleet = fleet(kind);
    let broker = conf(kind, &fleet).start();
    // The thread is there.
    broker.wait_for_revision(&revision(&fleet));
    let of_thread = |name: &str| {
        let tasks = fs::read_dir(format!("/proc/{}/task", broker.pid())).unwrap();
        let mut statuses = tasks.map(|task| fs::read_to_string(task.unwrap().path().join("status")).unwrap());
        statuses.find(|status| status.starts_with(&format!("Name:\t{name}\n"))).unwrap()
    };
    let sleeps = || -> u128 {
        let status = of_thread("citronella-load");
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        line.unwrap().trim().parse().unwrap()
    };
    let mut log = File::create(fleet.path("log")).unwrap();
    let (before, start) = (sleeps(), Instant::now());
    for _ in 0..1_000 {
        log.write_all(b"line\n").unwrap();
        thread::sleep(Duration::from_millis(1));
    }
    // It sleeps twice in a turn, and takes a turn in 10 ms at most.
    let (slept, turns) = (sleeps() - before, start.elapsed().as_millis() / 10);
    assert!(slept <= 3 * turns + 100, "{slept} times in {turns} turns");
});
