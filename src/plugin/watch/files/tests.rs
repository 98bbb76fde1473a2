use std::{fs::File, io::Write as _};

use super::*;

#[test]
fn half_a_file_is_torn_whenever_its_writer_began() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("devices.toml");
    std::fs::write(&path, "whole").unwrap();
    let now = Instant::now();
    let mut files = Files::new(now);
    files.watch(std::slice::from_ref(&path));
    files.listen(now);
    files.begin();
    assert!(!files.is_torn(now) && !files.is_due(now), "nobody writes");
    // After we have listened and before the stamps are taken; and then the writer pauses.
    let mut file = File::create(&path).unwrap();
    file.write_all(b"ha").unwrap();
    files.begin();
    assert!(files.is_torn(now) && files.is_being_written());
    file.write_all(b"lf").unwrap();
    drop(file);
    files.listen(now);
    assert!(!files.is_being_written());
    assert!(files.is_due(now + QUIET));
    files.begin();
    assert!(!files.is_torn(now), "it is whole");
    // All of it while the file is read.
    files.begin();
    std::fs::write(&path, "else").unwrap();
    assert!(files.is_torn(now) && !files.is_being_written() && files.is_due(now + QUIET));
    // What is renamed over is whole whenever it is read, and read again later.
    files.begin();
    std::fs::write(folder.path().join("new"), "other").unwrap();
    std::fs::rename(folder.path().join("new"), &path).unwrap();
    assert!(!files.is_torn(now) && files.is_due(now + QUIET));
}

#[test]
fn whoever_writes_without_an_end_delays_its_own_file_for_a_while_and_others_less() {
    let folder = tempfile::tempdir().unwrap();
    let [slow, other] = ["passwd", "devices.toml"].map(|name| folder.path().join(name));
    for path in [&slow, &other] {
        std::fs::write(path, "whole").unwrap();
    }
    let start = Instant::now();
    let seconds = Duration::from_secs;
    let mut files = Files::new(start);
    files.watch(&[slow.clone(), other.clone()]);
    let mut file = File::options().append(true).open(&slow).unwrap();
    let mut write = |files: &mut Files, now| {
        file.write_all(b"more").unwrap();
        files.listen(now);
    };
    for second in 0..10 {
        let now = start + seconds(second);
        write(&mut files, now);
        assert!(files.is_being_written() && !files.is_due(now), "{second}");
    }
    assert!(files.endless(start + seconds(9)).is_none());
    assert!(files.is_due(start + seconds(10)), "nobody waits for ever");
    files.begin();
    write(&mut files, start + seconds(10));
    assert!(files.is_torn(start + seconds(10)));
    assert_eq!(files.endless(start + seconds(10)).as_deref(), Some("passwd"));

    // What is whole waits for a moment, and is not forgotten if it could not be read.
    let now = start + seconds(20);
    files.begin();
    assert!(!files.is_torn(now) && files.endless(now).is_none());
    write(&mut files, now);
    assert!(!files.is_due(now + seconds(4)) && files.is_due(now + seconds(5)), "silent for so long");
    std::fs::write(folder.path().join("new"), "other").unwrap();
    std::fs::rename(folder.path().join("new"), &other).unwrap();
    files.listen(now);
    assert!(files.is_being_written() && !files.is_due(now + QUIET) && files.is_due(now + seconds(1)));
    for tenth in 1..50 {
        write(&mut files, now + Duration::from_millis(100 * tenth));
    }
    assert!(!files.is_due(now + Duration::from_millis(4_999)) && files.is_due(now + seconds(5)));
    files.begin();
    write(&mut files, now);
    assert!(files.is_torn(now) && files.is_due(now + seconds(1)));
    files.begin();
    assert!(!files.is_torn(now));

    // A file that somebody opens again is whole no more.
    std::fs::write(&other, "closed").unwrap();
    files.listen(now);
    assert!(!files.is_being_written() && files.is_due(now + QUIET));
    let mut again = File::options().append(true).open(&other).unwrap();
    again.write_all(b"open").unwrap();
    files.listen(now);
    assert!(!files.is_due(now + seconds(4)) && files.is_due(now + seconds(5)));
}
