use std::{cell::RefCell, fs, path::Path};

use serde_json::Value;

use super::*;
use crate::snapshot::Permissions;

/// A broker that only has a log.
#[derive(Default)]
struct Log1 {
    lines: RefCell<Vec<String>>,
}

impl Host for Log1 {
    fn may_refuse_offline_sessions(&self) -> bool {
        true
    }
    fn ticks_with_per_listener_settings(&self) -> bool {
        true
    }
    fn on_main_thread(&self) -> bool {
        true
    }
    fn write(&self, _: Level, line: &str) {
        self.lines.borrow_mut().push(line.to_owned());
    }
    fn kick(&self, _: &str) {}
    fn publish(&self, _: &str, _: &str) {}
}

/// These settings in a folder, which is the state directory too.
fn snapshot(folder: &Path, settings: &str) -> Snapshot {
    let config = folder.join("citronella.toml");
    fs::write(&config, format!("version = 1\n[state]\ndirectory = '.'\n{settings}")).unwrap();
    fs::write(folder.join("devices.toml"), "version = 1\n").unwrap();
    Snapshot::load(&config, Permissions::Ignore).snapshot.unwrap()
}

/// The events in the file with their counts.
fn events(folder: &Path) -> Vec<(String, Option<u64>)> {
    let text = fs::read_to_string(folder.join(file::NAME)).unwrap();
    assert!(text.ends_with('\n'));
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.map(|line| (line["event"].as_str().unwrap().to_owned(), line["count"].as_u64())).collect()
}

fn note(audit: &Audit, host: &Log1, snapshot: &Snapshot, event: Event) {
    let under = Under { host, log: &Log::default(), snapshot };
    audit.note(under, (event, Peer::Unknown), Record::default);
}

#[test]
fn all_that_was_noted_is_in_the_file_when_the_plugin_ends() {
    let folder = tempfile::tempdir().unwrap();
    let (host, snapshot, counters) = (Log1::default(), snapshot(folder.path(), ""), Arc::default());
    let audit = Audit::start(&snapshot, &counters, &Arc::default());
    note(&audit, &host, &snapshot, Event::Start);
    for _ in 0..150 {
        note(&audit, &host, &snapshot, Event::LogIn);
    }
    for _ in 0..150 {
        note(&audit, &host, &snapshot, Event::Kick);
    }
    drop(audit);
    let events = events(folder.path());
    let number = |event: &str| events.iter().filter(|(found, _)| found == event).count();
    assert_eq!(["start", "log-in", "kick", "stop"].map(number), [1, 100, 150, 1]);
    assert_eq!((counters.audit.written.value(), counters.audit.summed.value()), (252, 50));
    assert!(!folder.path().join(crate::metrics::FILE).exists(), "nobody takes it for a plugin that lives");
}

#[test]
fn off_is_off_and_the_log_gets_the_lines_of_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let host = Log1::default();
    let off = snapshot(folder.path(), "[audit]\nto = 'off'\n[metrics]\nfile_interval = 0\n");
    let audit = Audit::start(&off, &Arc::default(), &Arc::default());
    note(&audit, &host, &off, Event::LogIn);
    assert!(host.lines.borrow().is_empty());

    let log = snapshot(folder.path(), "[audit]\nto = 'log'\n[metrics]\nfile_interval = 0\n");
    audit.in_force(&log);
    for _ in 0..50 {
        note(&audit, &host, &log, Event::LogIn);
    }
    drop(audit);
    let lines = host.lines.borrow();
    assert_eq!(lines.len(), 10);
    for line in lines.iter() {
        let json = line.strip_prefix("citronella: audit: ").unwrap();
        assert_eq!(serde_json::from_str::<Value>(json).unwrap()["event"], "log-in");
    }
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 3, "the two files and the lock: {left:?}");
}

#[test]
fn what_cannot_be_written_is_counted_told_once_and_said_in_the_file_later() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(file::NAME);
    fs::create_dir(&path).unwrap();
    let (host, snapshot, counters) =
        (Log1::default(), snapshot(folder.path(), ""), Arc::<Counters>::default());
    let audit = Audit::start(&snapshot, &counters, &Arc::default());
    for _ in 0..3 {
        let before = counters.audit.dropped.value();
        note(&audit, &host, &snapshot, Event::Kick);
        wait(|| counters.audit.dropped.value() > before);
    }
    wait(|| audit.shared.complains.load(Ordering::Acquire));
    audit.tick(&host, &Log::default());
    assert_eq!(host.lines.borrow().len(), 1);
    assert!(host.lines.borrow()[0].contains("the audit is not written: `"), "{:?}", host.lines.borrow());

    fs::remove_dir(&path).unwrap();
    note(&audit, &host, &snapshot, Event::Reload);
    wait(|| counters.audit.written.value() == 1);
    wait(|| audit.shared.complains.load(Ordering::Acquire));
    audit.tick(&host, &Log::default());
    assert_eq!(host.lines.borrow()[1], "citronella: the audit is written again");
    drop(audit);
    let expected = [("lost".to_owned(), Some(3)), ("reload".to_owned(), None), ("stop".to_owned(), None)];
    assert_eq!(events(folder.path()), expected);
}

#[test]
fn nothing_is_written_where_another_plugin_writes() {
    let [folder, other] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let (host, snapshot, counters) =
        (Log1::default(), snapshot(folder.path(), ""), Arc::<Counters>::default());
    let claim = crate::status::Claim::new(folder.path()).unwrap();
    let directory = Arc::<StateDirectory>::default();
    let audit = Audit::start(&snapshot, &counters, &directory);
    note(&audit, &host, &snapshot, Event::Start);
    wait(|| counters.audit.dropped.value() == 1);
    wait(|| locked(&audit.shared.complaints).len() == 2);
    audit.tick(&host, &Log::default());
    let said = host.lines.borrow().join("\n");
    assert_eq!(said.matches("not written: the plugin of another broker writes to").count(), 2, "{said}");
    let metrics = |folder: &tempfile::TempDir| folder.path().join(crate::metrics::FILE);
    assert!(!folder.path().join(file::NAME).exists() && !metrics(&folder).exists());

    // It has ended, and later the settings name another folder.
    drop(claim);
    directory.claim(folder.path()).unwrap();
    audit.in_force(&snapshot);
    note(&audit, &host, &snapshot, Event::Reload);
    wait(|| counters.audit.written.value() == 1);
    audit.shared.queue.send(Message::Look);
    directory.claim(other.path()).unwrap();
    audit.in_force(&snapshot);
    wait(|| metrics(&other).exists() && !metrics(&folder).exists());
    assert!(!crate::status::is_running(folder.path()).unwrap(), "whoever comes may have the old folder");
    drop(audit);
    assert_eq!(events(folder.path()), [("lost".to_owned(), Some(1)), ("reload".to_owned(), None)]);
    assert_eq!(events(other.path()), [("stop".to_owned(), None)]);
}

#[track_caller]
fn wait(fact: impl Fn() -> bool) {
    let start = Instant::now();
    while !fact() {
        assert!(start.elapsed().as_secs() < 30, "it never happens");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}
