use std::os::unix::fs::symlink;

use super::*;

fn status() -> Status {
    Status {
        version: VERSION,
        plugin: "0.1.0".to_owned(),
        broker: "2.1".to_owned(),
        pid: 7,
        config: PathBuf::from("/etc/citronella/citronella.toml"),
        started_ms: 1,
        in_force: InForce { revision: "0123456789ab".to_owned(), since_ms: 2, devices: 3 },
        attempt: Attempt::refused(4, 2, &["devices.toml:1:1: error: é".to_owned(), "é".repeat(2_000)]),
        sighups: 5,
        kicks: Kicks { due: 2, done: 1 },
    }
}

#[test]
fn what_is_written_is_read() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(read(folder.path()), Err(StatusError::Missing(_))));
    let claim = Claim::new(folder.path()).unwrap();
    for attempt in [
        status().attempt,
        Attempt::Loaded { at_ms: 9 },
        Attempt::Waiting { at_ms: 9, revision: "x".to_owned(), reason: "y".to_owned() },
    ] {
        let written = Status { attempt, ..status() };
        claim.write(&written).unwrap();
        assert_eq!(read(folder.path()).unwrap(), written);
    }
    let names = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(names, 2, "nothing is left beside the status and the lock");
}

#[test]
fn a_status_of_many_mistakes_stays_small() {
    let mistakes = vec!["é".repeat(5_000); 1_000];
    let Attempt::Refused { errors, mistakes, .. } = Attempt::refused(0, 1_000, &mistakes) else { panic!() };
    assert_eq!((errors, mistakes.len()), (1_000, MAX_MISTAKES));
    assert!(mistakes.iter().all(|mistake| mistake.len() <= MAX_MISTAKE_BYTES));
}

#[test]
fn the_lock_tells_whether_a_plugin_lives() {
    let folder = tempfile::tempdir().unwrap();
    assert!(
        is_running(&folder.path().join("nowhere")).is_err(),
        "nothing is known of a folder that is not there"
    );
    assert!(!is_running(folder.path()).unwrap());
    let claim = Claim::new(folder.path()).unwrap();
    assert!(is_running(folder.path()).unwrap());
    assert!(matches!(Claim::new(folder.path()), Err(ClaimError::Taken(_))));
    drop(claim);
    assert!(!is_running(folder.path()).unwrap());
    Claim::new(folder.path()).unwrap();
}

#[test]
fn what_the_brokers_user_may_put_there_does_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "root only\n").unwrap();
    symlink(&secret, &path).unwrap();
    assert!(matches!(read(folder.path()), Err(StatusError::Read(ReadError::Io { .. }))));
    std::fs::remove_file(&path).unwrap();

    std::fs::create_dir(&path).unwrap();
    assert!(matches!(read(folder.path()), Err(StatusError::Read(ReadError::NotAFile(_)))));
    std::fs::remove_dir(&path).unwrap();

    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert!(matches!(read(folder.path()), Err(StatusError::Read(ReadError::NotAFile(_)))));
    std::fs::remove_file(&path).unwrap();

    std::fs::write(&path, " ".repeat(300 * 1024)).unwrap();
    assert!(matches!(read(folder.path()), Err(StatusError::Read(ReadError::TooLarge { .. }))));
    std::fs::write(&path, "root only: a secret").unwrap();
    let error = read(folder.path()).unwrap_err();
    assert!(matches!(error, StatusError::Malformed { .. }) && !error.to_string().contains("secret"));
    std::fs::write(&path, "[".repeat(100_000)).unwrap();
    assert!(matches!(read(folder.path()), Err(StatusError::Malformed { .. })));
    std::fs::write(&path, "{\"version\":2,\"what\":\"ever\"}").unwrap();
    assert!(matches!(read(folder.path()), Err(StatusError::Version { found: 2, .. })));
}
