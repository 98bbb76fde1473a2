use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
};

use super::*;
use crate::diag::Severity;

fn with_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// What a folder holds, in alphabetical order.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn faults(path: &Path, holds: Holds) -> Vec<(Severity, String)> {
    judge(path, &fs::metadata(path).unwrap(), holds, this_user())
        .into_iter()
        .map(|d| (d.severity, d.message))
        .collect()
}

#[test]
fn a_bad_byte_is_named_by_line_and_column() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    fs::write(&path, b"one\nt\xffo\n").unwrap();
    let error = read(&path, 100).err().unwrap();
    assert!(matches!(error, ReadError::NotUtf8 { line: 2, column: 2, .. }), "{error}");
}

#[test]
fn the_limit_is_the_last_size_that_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    fs::write(&path, "12345").unwrap();
    assert_eq!(read(&path, 5).ok().unwrap().text, "12345");
    assert!(matches!(read(&path, 4).err().unwrap(), ReadError::TooLarge { limit_bytes: 4, .. }));
}

#[test]
fn only_regular_files_are_read() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(read(dir.path(), 5).err().unwrap(), ReadError::NotAFile(_)));
    let pipe = dir.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    assert!(matches!(read(&pipe, 5).err().unwrap(), ReadError::NotAFile(_)));
}

#[test]
fn replacing_keeps_the_mode_follows_links_and_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let real = dir.path().join("real");
    let link = dir.path().join("link");
    fs::write(&real, "old").unwrap();
    with_mode(&real, 0o604);
    symlink("real", &link).unwrap();

    Locked::new(&link).unwrap().replace(b"new").unwrap();

    assert_eq!(fs::read_to_string(&real).unwrap(), "new");
    assert_eq!(fs::metadata(&real).unwrap().mode() & 0o7777, 0o604);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(names(dir.path()), [replace::LOCK, "link", "real"]);
}

#[test]
fn replacing_keeps_the_owner_or_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    fs::write(&path, "old").unwrap();
    if std::os::unix::fs::chown(&path, Some(12_345), Some(23_456)).is_err() {
        return; // only root can give files away
    }
    Locked::new(&path).unwrap().replace(b"new").unwrap();
    let now = fs::metadata(&path).unwrap();
    assert_eq!((now.uid(), now.gid()), (12_345, 23_456));
}

#[test]
fn a_new_file_is_not_for_everybody() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    Locked::new(&path).unwrap().replace(b"new").unwrap();
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o640);
}

#[test]
fn a_second_writer_waits_for_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("counter");
    fs::write(&path, "0").unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..10 {
                    let locked = Locked::new(&path).unwrap();
                    let count: u32 = fs::read_to_string(&path).unwrap().parse().unwrap();
                    locked.replace((count + 1).to_string().as_bytes()).unwrap();
                }
            });
        }
    });
    assert_eq!(fs::read_to_string(&path).unwrap(), "40");
}

#[test]
fn who_can_only_read_the_folder_cannot_hold_the_lock() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    // All that a reader of a folder can open for a lock: the folder and the readable files in it.
    fs::write(&path, "old").unwrap();
    Locked::new(&path).unwrap().replace(b"older").unwrap();
    with_mode(dir.path(), 0o755);
    let held = [dir.path(), &path].map(|path| File::open(path).unwrap());
    for file in &held {
        file.lock().unwrap();
    }
    Locked::new(&path).unwrap().replace(b"new").unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "new");
    assert_eq!(fs::metadata(dir.path().join(replace::LOCK)).unwrap().mode() & 0o7777, 0o600);
}

#[test]
fn a_lock_that_root_takes_first_is_the_folders_owners() {
    let dir = tempfile::tempdir().unwrap();
    if std::os::unix::fs::chown(dir.path(), Some(12_345), Some(23_456)).is_err() {
        return; // only root can give folders away
    }
    drop(Locked::new(&dir.path().join("f")).unwrap());
    let made = fs::metadata(dir.path().join(replace::LOCK)).unwrap();
    assert_eq!((made.uid(), made.gid(), made.mode() & 0o7777), (12_345, 23_456, 0o600));
}

#[test]
fn a_lock_that_is_never_let_go_of_ends_in_an_error_that_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lock");
    let patience = std::time::Duration::from_millis(50);
    let held = acquire(&path, patience).unwrap();
    let said = acquire(&path, patience).unwrap_err().to_string();
    assert!(said.starts_with("another command holds the lock `") && said.contains("/lock`"), "{said}");
    drop(held);
    acquire(&path, patience).unwrap();
}

#[test]
fn a_lock_is_not_sought_behind_a_link() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("elsewhere"), "").unwrap();
    symlink("elsewhere", dir.path().join(replace::LOCK)).unwrap();
    assert!(Locked::new(&dir.path().join("f")).is_err());
}

#[test]
fn what_a_killed_writer_left_goes_with_the_next_change_and_nothing_else_does() {
    let dir = tempfile::tempdir().unwrap();
    for name in [".f.Ab12Cd.new", ".f.new", ".g.Ab12Cd.new", "f.Ab12Cd.new", ".f.Ab12Cd.old"] {
        fs::write(dir.path().join(name), "").unwrap();
    }
    Locked::new(&dir.path().join("f")).unwrap().replace(b"new").unwrap();
    let left = names(dir.path());
    assert_eq!(left, [replace::LOCK, ".f.Ab12Cd.old", ".f.new", ".g.Ab12Cd.new", "f", "f.Ab12Cd.new"]);
}

#[test]
fn links_in_a_circle_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    symlink("b", dir.path().join("a")).unwrap();
    symlink("a", dir.path().join("b")).unwrap();
    assert!(Locked::new(&dir.path().join("a")).is_err());
}

#[test]
fn what_others_may_write_is_an_error_and_hashes_they_may_read_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    fs::write(&path, "").unwrap();
    for (mode, holds, expected) in [
        (0o640, Holds::Hashes, vec![]),
        (0o644, Holds::Rules, vec![]),
        (0o644, Holds::Hashes, vec![Severity::Warning]),
        (0o642, Holds::Rules, vec![Severity::Error]),
        (0o646, Holds::Hashes, vec![Severity::Error, Severity::Warning]),
        (0o660, Holds::Hashes, vec![]),
    ] {
        with_mode(&path, mode);
        let found: Vec<_> = faults(&path, holds).into_iter().map(|(severity, _)| severity).collect();
        assert_eq!(found, expected, "{mode:o} {holds:?}");
    }
}

#[test]
fn a_folder_where_others_may_rename_is_an_error_unless_it_is_sticky() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    fs::write(&path, "").unwrap();
    with_mode(&path, 0o640);
    with_mode(dir.path(), 0o777);
    assert_eq!(faults(&path, Holds::Rules).len(), 1);
    with_mode(dir.path(), 0o1777);
    assert_eq!(faults(&path, Holds::Rules), []);
}

#[test]
fn every_folder_on_the_way_is_judged() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    for folder in ["safe", "safe/deep", "loose", "links"] {
        fs::create_dir(path(folder)).unwrap();
        with_mode(&path(folder), 0o755);
    }
    fs::write(path("safe/deep/f"), "").unwrap();
    with_mode(&path("safe/deep/f"), 0o640);
    symlink("../safe/deep/f", path("loose/to-file")).unwrap();
    symlink(path("loose"), path("links/to-folder")).unwrap();
    let ways = ["safe/deep/f", "loose/to-file", "links/to-folder/to-file", "links/to-folder/../safe/deep/f"];
    let blamed = |loose: &str| {
        with_mode(&path(loose), 0o777);
        let found = ways.map(|way| {
            let said = faults(&path(way), Holds::Rules);
            assert!(said.iter().all(|(_, said)| said.contains(&format!("{}`", path(loose).display()))));
            said.len()
        });
        with_mode(&path(loose), 0o755);
        found
    };
    assert_eq!(blamed("safe/deep"), [1, 1, 1, 1]);
    assert_eq!(blamed("safe"), [1, 1, 1, 1]);
    assert_eq!(blamed("loose"), [0, 1, 1, 0]);
    assert_eq!(blamed("links"), [0, 0, 1, 1]);
    assert_eq!(ways.map(|way| faults(&path(way), Holds::Rules).len()), [0; 4]);
}

#[test]
fn links_in_a_circle_are_judged_and_not_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    symlink("b", dir.path().join("a")).unwrap();
    symlink("a", dir.path().join("b")).unwrap();
    let some = fs::metadata(dir.path()).unwrap();
    assert_eq!(judge(&dir.path().join("a"), &some, Holds::Rules, this_user()), []);
}

#[test]
fn a_stranger_or_a_foreign_group_that_may_write_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    fs::write(&path, "").unwrap();
    with_mode(&path, 0o660);
    if std::os::unix::fs::chown(&path, None, Some(23_456)).is_err() {
        return; // only root can give files away
    }
    assert!(faults(&path, Holds::Rules)[0].1.contains("group 23456"));
    with_mode(&path, 0o640);
    assert_eq!(faults(&path, Holds::Rules), []);
    std::os::unix::fs::chown(&path, Some(12_345), None).unwrap();
    assert!(faults(&path, Holds::Rules)[0].1.contains("user 12345"));
    let for_the_owner = judge(&path, &fs::metadata(&path).unwrap(), Holds::Rules, 12_345);
    assert_eq!(for_the_owner, [], "the folder is root's, the file that user's");
}

#[test]
fn what_only_a_change_can_mend_is_not_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    fs::write(&path, "").unwrap();
    symlink("loop", dir.path().join("loop")).unwrap();
    for path in [
        path.join("under"),
        dir.path().join("loop"),
        dir.path().join("n".repeat(300)),
        dir.path().join("none"),
    ] {
        let error = read(&path, 100).err().unwrap();
        assert!(!error.is_passing(), "{error}");
    }
    for code in
        [libc::EMFILE, libc::ENFILE, libc::ENOMEM, libc::EIO, libc::ESTALE, libc::ETIMEDOUT, libc::EINTR]
    {
        let error = ReadError::Io { path: path.clone(), source: io::Error::from_raw_os_error(code) };
        assert!(error.is_passing(), "{error}");
    }
}
