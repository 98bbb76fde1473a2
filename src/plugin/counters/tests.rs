use super::*;
use crate::metrics::{Read, to_text};

/// Of these counters as a file.
fn read(counters: &Counters) -> Read {
    Read::parse(&to_text(&counters.families())).unwrap()
}

#[test]
fn what_is_counted_stands_in_the_file_and_in_the_topics() {
    let counters = Counters::default();
    counters.log_ins.of(Some(()).into(), None::<()>.into()).admitted.add();
    counters.log_ins.of(Shown::No, Shown::Yes).refused.add_many(3);
    counters.checks.of(&Request::Receive { topic: "a" }).allowed.add();
    counters.checks.of(&Request::Receive { topic: "a" }).allowed_in_loop.add_alone();
    counters.queue.set(7);
    counters.internal_errors.panics.add();
    let read = read(&counters);
    let labels = [("credential", "certificate"), ("result", "admitted")];
    assert_eq!(read.sum("citronella_log_ins_total", &labels), Some(1.0));
    assert_eq!(read.sum("citronella_log_ins_total", &[("result", "refused")]), Some(3.0));
    assert_eq!(read.sum("citronella_checks_total", &[]), Some(2.0));
    assert_eq!(read.sum("citronella_hash_queue", &[]), Some(7.0));

    let messages = counters.messages(UnixSeconds::now());
    for (topic, payload) in [
        ("log_ins/certificate/admitted", "1"),
        ("log_ins/password/refused", "3"),
        ("checks/deliver/allowed", "2"),
        ("hash_queue", "7"),
        ("internal_errors/panic", "1"),
        ("internal_errors/event", "0"),
        ("hash_seconds/count", "0"),
        ("throttled", "0"),
        ("build_info/version", env!("CARGO_PKG_VERSION")),
    ] {
        let topic = format!("$SYS/broker/citronella/{topic}");
        assert!(messages.contains(&(topic.clone(), payload.to_owned())), "{topic} {payload}: {messages:?}");
    }
    assert!(!messages.iter().any(|(topic, _)| topic.contains("bucket")), "{messages:?}");
}

#[test]
fn a_reload_that_changes_nothing_makes_no_snapshot_younger() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("citronella.toml");
    std::fs::write(&config, "version = 1\n").unwrap();
    let load = |devices: &str| {
        std::fs::write(folder.path().join("devices.toml"), format!("version = 1\n{devices}")).unwrap();
        Snapshot::load(&config, crate::snapshot::Permissions::Ignore).snapshot.unwrap()
    };
    let (counters, first) = (Counters::default(), "[a]\n[b]\nstate = 'retired'\n[c]\n");
    let since = |counters: &Counters| read(counters).sum("citronella_snapshot_loaded_timestamp_seconds", &[]);
    counters.in_force(&load(first), UnixSeconds(1_000));
    counters.in_force(&load(first), UnixSeconds(2_000));
    assert_eq!(since(&counters), Some(1_000.0), "it is the same since then");
    let devices = |state| read(&counters).sum("citronella_devices", &[("state", state)]);
    assert_eq!(
        ["active", "disabled", "quarantined", "retired"].map(devices),
        [Some(2.0), Some(0.0), Some(0.0), Some(1.0)]
    );
    counters.in_force(&load("[a]\n"), UnixSeconds(3_000));
    assert_eq!(since(&counters), Some(3_000.0));
}

#[test]
fn a_duration_is_in_every_bucket_that_it_fits() {
    let counters = Counters::default();
    for took in [0, 1, 54, 54, 5_000] {
        counters.hashes.add(Duration::from_millis(took));
    }
    let read = read(&counters);
    let buckets: Vec<_> = read
        .of("citronella_hash_seconds_bucket")
        .map(|sample| (sample.label("le").unwrap(), sample.value))
        .collect();
    assert_eq!(buckets[0], ("0.001", 2.0));
    assert_eq!(buckets[4], ("0.05", 2.0));
    assert_eq!(buckets[5], ("0.1", 4.0));
    assert_eq!(buckets[8], ("1", 4.0));
    assert_eq!(buckets[9], ("+Inf", 5.0));
    assert_eq!(buckets.len(), 10);
    assert_eq!(read.sum("citronella_hash_seconds_sum", &[]), Some(5.109));
    assert_eq!(read.sum("citronella_hash_seconds_count", &[]), Some(5.0));
}
