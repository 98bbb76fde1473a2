//! Who may read a file, changed so that nobody leads the change to another one.
//!
//! `doctor --fix` runs as root, and what a configuration names may lie where the broker's user can write: a link there, or
//! one that takes the file's place while the question is on the screen, would give that user a file of root's.

use std::{
    fmt,
    fs::{self, Metadata, OpenOptions, Permissions},
    io,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown},
    path::{Path, PathBuf},
};

use super::{
    Exam, Finding,
    fix::{Fix, FixError},
    reach,
};
use crate::{diag::shell_path, fs as files};

/// A file, as it was looked at, and who is to read it.
#[derive(Debug)]
pub(super) struct Access {
    /// Without links.
    path: PathBuf,
    group: String,
    mode: u32,
    before: Metadata,
}

impl Access {
    pub(super) fn of(path: &Path, group: &str, mode: u32) -> Result<Self, FixError> {
        let io = |source| FixError::Io { path: path.to_owned(), source };
        let real = fs::canonicalize(path).map_err(io)?;
        let before = fs::symlink_metadata(&real).map_err(io)?;
        Ok(Self { path: real, group: group.to_owned(), mode, before })
    }

    pub(super) fn is_of_same_file(&self, other: &Self) -> bool {
        self.path == other.path
    }

    /// Of two wishes the one for fewer rights.
    pub(super) fn narrow(&mut self, other: &Self) {
        self.mode &= other.mode;
    }

    /// Only of the very file that was looked at, with the owner and the mode that it had.
    pub(super) fn apply(&self) -> Result<(), FixError> {
        let io = |source| FixError::Io { path: self.path.clone(), source };
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
        let file = OpenOptions::new().read(true).custom_flags(flags).open(&self.path).map_err(io)?;
        let seen = |found: &Metadata| (found.dev(), found.ino(), found.mode(), found.uid(), found.gid());
        if seen(&file.metadata().map_err(io)?) != seen(&self.before) {
            return Err(FixError::Changed(self.path.clone()));
        }
        // The group first: the other way round its old members could read for a moment.
        if let Some(group) = nix::unistd::Group::from_name(&self.group).ok().flatten() {
            fchown(&file, None, Some(group.gid.as_raw())).map_err(io)?;
        }
        file.set_permissions(Permissions::from_mode(self.mode)).map_err(io)
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, group, mode, before } = self;
        write!(f, "{}: {} becomes {mode:04o}, group {group}", path.display(), reach::access(before))
    }
}

impl Exam<'_> {
    /// The finding with what gives the broker's group its rights to a file or folder: by itself where nobody but root and
    /// the user of this process decides what stands there, else with what to do instead.
    pub(super) fn let_in(&self, found: Finding, path: &Path, mode: u32) -> Finding {
        let group = self.setup.user.group();
        match strange(path) {
            Err(error) => found.help(format!("{}: {error}", path.display())),
            Ok(Some(why)) => found.help(format!(
                "{why}: give the broker a file of its own, `sudo install -o root -g {group} -m 640 FILE /etc/mosquitto/certs/`, and write its path here"
            )),
            Ok(None) => found
                .help(format!("sudo chgrp {group} {0} && sudo chmod {mode:o} {0}", shell_path(path)))
                .fix(Fix::Access { path: path.to_owned(), group, mode }),
        }
    }
}

/// Why the rights of what stands there are not ours to change.
fn strange(path: &Path) -> io::Result<Option<String>> {
    let found = fs::symlink_metadata(path)?;
    let shown = path.display();
    if found.is_symlink() {
        return Ok(Some(format!("`{shown}` is a link to `{}`", fs::canonicalize(path)?.display())));
    }
    if !found.is_dir() && (!found.is_file() || found.nlink() != 1) {
        return Ok(Some(format!("`{shown}` is known under other names too, or is no file")));
    }
    let way = files::judge_way(path, files::this_user());
    Ok(way.first().map(|first| first.message.clone()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_the_very_file_that_was_looked_at_is_changed() {
        let dir = tempfile::tempdir().unwrap();
        let (key, victim) = (dir.path().join("k.key"), dir.path().join("victim"));
        for file in [&key, &victim] {
            fs::write(file, "x").unwrap();
            fs::set_permissions(file, Permissions::from_mode(0o600)).unwrap();
        }
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        let access = Access::of(&key, "no-such-group", 0o640).unwrap();
        fs::remove_file(&key).unwrap();
        symlink(&victim, &key).unwrap();
        assert!(matches!(access.apply(), Err(FixError::Io { .. })), "a link");
        fs::remove_file(&key).unwrap();
        fs::hard_link(&victim, &key).unwrap();
        assert!(matches!(access.apply(), Err(FixError::Changed(_))), "another file");
        assert_eq!(mode(&victim), 0o600);
        let access = Access::of(&victim, "no-such-group", 0o640).unwrap();
        access.apply().unwrap();
        assert_eq!(mode(&victim), 0o640);
        assert!(matches!(access.apply(), Err(FixError::Changed(_))), "other rights by now");
    }

    #[test]
    fn what_others_decide_about_is_left_to_people() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "x").unwrap();
        assert_eq!(strange(&file).unwrap(), None);
        assert_eq!(strange(dir.path()).unwrap(), None);
        symlink(&file, dir.path().join("link")).unwrap();
        assert!(strange(&dir.path().join("link")).unwrap().unwrap().contains("is a link to"));
        fs::set_permissions(dir.path(), Permissions::from_mode(0o777)).unwrap();
        assert!(strange(&file).unwrap().is_some(), "everybody can put another file there");
        fs::set_permissions(dir.path(), Permissions::from_mode(0o700)).unwrap();
        fs::hard_link(&file, dir.path().join("twin")).unwrap();
        assert!(strange(&file).unwrap().unwrap().contains("other names"));
    }
}
