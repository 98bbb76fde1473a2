//! `audit.jsonl`: appended to, begun anew when it is large, and found again when somebody has moved it away.

use std::{
    fs::{File, Metadata, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

/// The file's name in the state directory.
pub(super) const NAME: &str = "audit.jsonl";

/// Readable for the owner and the group.
const MODE: u32 = 0o640;

/// A file to which whole lines are appended.
#[derive(Default)]
pub(super) struct Lines {
    open: Option<(PathBuf, File)>,
}

/// How far appending came.
#[derive(Debug)]
pub(super) struct Appended {
    /// Lines that are whole in the file.
    pub(super) lines: usize,
    /// Why it stopped there.
    pub(super) error: Option<io::Error>,
}

impl Lines {
    /// Appends `text`, lines that each have their end, to the file of this path. One that has `max_bytes` or more is
    /// renamed to `….1` before, unless `max_bytes` is 0.
    pub(super) fn append(&mut self, path: &Path, text: &str, max_bytes: u64) -> Appended {
        let mut rest = text.as_bytes();
        let ready = self.make_room(path, max_bytes);
        let written = ready.and_then(|()| write_all(self.file(path)?, &mut rest));
        let done = text.len() - rest.len();
        let whole = text.as_bytes().get(..done).unwrap_or_default();
        let lines = whole.iter().filter(|byte| **byte == b'\n').count();
        if written.is_err() {
            // Opened again it is looked over: a part of a line may stand at its end.
            self.open = None;
        }
        Appended { lines, error: written.err() }
    }

    fn make_room(&mut self, path: &Path, max_bytes: u64) -> io::Result<()> {
        if max_bytes > 0 && self.file(path)?.metadata()?.len() >= max_bytes {
            std::fs::rename(path, older(path))?;
            self.open = None;
        }
        Ok(())
    }

    /// The file that has this path now: what is open may have been renamed or removed, as logrotate does.
    fn file(&mut self, path: &Path) -> io::Result<&File> {
        let identity = |metadata: Metadata| (metadata.dev(), metadata.ino());
        let there = |(known, file): &(PathBuf, File)| {
            let named = std::fs::symlink_metadata(path).map(identity);
            known == path
                && matches!((named, file.metadata().map(identity)), (Ok(named), Ok(open)) if named == open)
        };
        let open = match self.open.take().filter(there) {
            Some(open) => open,
            None => (path.to_owned(), open(path)?),
        };
        Ok(&self.open.insert(open).1)
    }
}

/// Writes the text; on an error `rest` is what was not written.
fn write_all(mut file: &File, rest: &mut &[u8]) -> io::Result<()> {
    while !rest.is_empty() {
        match file.write(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => *rest = rest.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Opens it at its end, which is that of a line.
fn open(path: &Path) -> io::Result<File> {
    let mut file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(MODE)
        // Neither a link to a file of somebody else nor a pipe that nobody reads.
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
    }
    let mut last = [b'\n'];
    if metadata.len() > 0 {
        file.read_exact_at(&mut last, metadata.len() - 1)?;
    }
    if last != [b'\n'] {
        file.write_all(b"\n")?;
    }
    Ok(file)
}

/// Where the file before this one is kept.
fn older(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".1");
    name.into()
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    #[track_caller]
    fn append(lines: &mut Lines, path: &Path, text: &str) {
        let appended = lines.append(path, text, 0);
        assert!(appended.error.is_none(), "{appended:?}");
        assert_eq!(appended.lines, text.lines().count());
    }

    #[test]
    fn it_is_found_again_when_somebody_moves_it_away() {
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (folder.path().join(NAME), folder.path().join("moved"));
        let mut lines = Lines::default();
        append(&mut lines, &path, "1\n2\n");
        append(&mut lines, &path, "3\n");
        fs::rename(&path, &moved).unwrap();
        append(&mut lines, &path, "4\n");
        fs::remove_file(&path).unwrap();
        append(&mut lines, &path, "5\n");
        assert_eq!(fs::read_to_string(&moved).unwrap(), "1\n2\n3\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "5\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    }

    #[test]
    fn a_large_one_makes_room() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        let mut lines = Lines::default();
        for number in 0..5 {
            assert!(lines.append(&path, &format!("{number}\n"), 4).error.is_none());
        }
        assert_eq!(fs::read_to_string(older(&path)).unwrap(), "2\n3\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "4\n");
    }

    #[test]
    fn a_part_of_a_line_stays_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        fs::write(&path, "whole\npart").unwrap();
        append(&mut Lines::default(), &path, "next\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "whole\npart\nnext\n");
    }

    #[test]
    fn a_full_disk_and_what_is_no_file_are_errors_that_pass() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        let mut lines = Lines::default();
        let full = Path::new("/dev/full");
        assert!(lines.append(full, "1\n", 0).error.is_some(), "it is no file");
        fs::create_dir(&path).unwrap();
        assert!(lines.append(&path, "1\n", 0).error.is_some());
        fs::remove_dir(&path).unwrap();
        std::os::unix::fs::symlink("target", &path).unwrap();
        let appended = lines.append(&path, "1\n2\n", 0);
        assert!(appended.error.is_some() && appended.lines == 0);
        assert!(!folder.path().join("target").exists());
        fs::remove_file(&path).unwrap();
        append(&mut lines, &path, "3\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "3\n");
    }
}
