//! What mends findings without a choice to make: lines of the configuration and modes of files, shown before they are
//! changed, and the old file kept.

use std::{
    fmt, fs,
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use super::{Finding, rights::Access};
use crate::{
    diag::Visible,
    fs::{Locked, ReplaceError},
    mosquitto_conf::Directive,
};

/// A change that mends a finding.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Fix {
    /// A line of a file, counted from 1, in another wording.
    Line {
        /// The file.
        file: PathBuf,
        /// Counted from 1.
        line: usize,
        /// Without its end. As bytes: a path in it need not be UTF-8.
        new: Vec<u8>,
    },
    /// Who may read a file.
    Access {
        /// The file.
        path: PathBuf,
        /// The group that it is given, by name.
        group: String,
        /// Permission bits.
        mode: u32,
    },
}

impl Fix {
    pub(super) fn line(old: &Directive, new: &str) -> Self {
        Self::Line { file: old.file.clone(), line: old.line, new: new.trim_end().as_bytes().to_vec() }
    }

    /// The same key with another value.
    pub(super) fn value(old: &Directive, value: &str) -> Self {
        Self::line(old, &format!("{} {value}", old.key))
    }

    /// The line as a comment.
    pub(super) fn comment(old: &Directive) -> Self {
        Self::line(old, &format!("# {} {}", old.key, old.value))
    }
}

/// Why the changes were not made, or not all.
#[derive(Debug, thiserror::Error)]
pub enum FixError {
    /// A file could not be read or given other rights.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file could not be replaced.
    #[error(transparent)]
    Replace(#[from] ReplaceError),
    /// The file is another one by now.
    #[error("{} has changed since it was looked at", .0.display())]
    Changed(PathBuf),
}

/// All changes together. Prints as a diff.
#[derive(Debug, Default)]
pub struct Plan {
    files: Vec<Change>,
    access: Vec<Access>,
}

#[derive(Debug)]
struct Change {
    path: PathBuf,
    old: Vec<u8>,
    /// Line numbers with the old and the new wording.
    lines: Vec<(usize, Vec<u8>, Vec<u8>)>,
}

impl Plan {
    /// What mends the findings that can be mended so.
    ///
    /// # Errors
    ///
    /// A file cannot be read again.
    pub fn of(findings: &[Finding]) -> Result<Self, FixError> {
        Self::of_fixes(findings.iter().filter_map(|found| found.fix.as_ref()))
    }

    /// These changes together.
    ///
    /// # Errors
    ///
    /// A file cannot be read.
    pub fn of_fixes<'a>(fixes: impl IntoIterator<Item = &'a Fix>) -> Result<Self, FixError> {
        let mut plan = Self::default();
        for fix in fixes {
            match fix {
                Fix::Line { file, line, new } => plan.line(file, *line, new)?,
                Fix::Access { path, group, mode } => {
                    let access = Access::of(path, group, *mode)?;
                    match plan.access.iter_mut().find(|other| other.is_of_same_file(&access)) {
                        Some(other) => other.narrow(&access),
                        None => plan.access.push(access),
                    }
                }
            }
        }
        Ok(plan)
    }

    fn line(&mut self, file: &Path, number: usize, new: &[u8]) -> Result<(), FixError> {
        let at = match self.files.iter().position(|change| change.path == file) {
            Some(at) => at,
            None => {
                let old = fs::read(file).map_err(|source| FixError::Io { path: file.to_owned(), source })?;
                self.files.push(Change { path: file.to_owned(), old, lines: Vec::new() });
                self.files.len() - 1
            }
        };
        let Some(change) = self.files.get_mut(at) else { return Ok(()) };
        let old = change.old.split(|byte| *byte == b'\n').nth(number - 1).unwrap_or_default();
        let old = without_return(old).to_vec();
        if !change.lines.iter().any(|(seen, ..)| *seen == number) {
            change.lines.push((number, old, new.to_owned()));
        }
        Ok(())
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.access.is_empty()
    }

    /// How many lines and files change.
    #[must_use]
    pub fn count(&self) -> usize {
        self.access.len() + self.files.iter().map(|change| change.lines.len()).sum::<usize>()
    }

    /// Makes the changes, each file whole or not at all; of each file of the configuration the old one is kept.
    /// Returns where.
    ///
    /// # Errors
    ///
    /// The first that fails; what was done before stays done.
    pub fn apply(&self) -> Result<Vec<PathBuf>, FixError> {
        let kept = self.apply_locked(&Locked::all(self.paths())?)?;
        for access in &self.access {
            access.apply()?;
        }
        Ok(kept)
    }

    /// The files of the configuration whose lines change.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(|change| &*change.path)
    }

    /// The changed lines alone, under locks that are held already: those of [`Self::paths`], in that order. Returns
    /// where the old files are.
    ///
    /// # Errors
    ///
    /// The first that fails; what was done before stays done. Nothing is done if a file is another one by now.
    pub fn apply_locked(&self, locks: &[Locked]) -> Result<Vec<PathBuf>, FixError> {
        for (change, locked) in self.files.iter().zip(locks) {
            if change.now(locked)? != change.old {
                return Err(FixError::Changed(change.path.clone()));
            }
        }
        let mut kept = Vec::new();
        for (change, locked) in self.files.iter().zip(locks) {
            let io = |source| FixError::Io { path: change.path.clone(), source };
            let mode = fs::metadata(locked.path()).map_err(io)?.mode() & 0o7777;
            kept.push(keep(&change.path, &change.old, mode).map_err(io)?);
            locked.replace(&change.mended())?;
        }
        Ok(kept)
    }

    /// Takes back what [`Self::apply_locked`] has changed, the last first. Of a file that is another one by now the
    /// changed lines alone are taken back. One that fails keeps none of the others from it.
    #[must_use]
    pub fn undo_locked(&self, locks: &[Locked]) -> Vec<FixError> {
        let undone = self.files.iter().zip(locks).rev().map(|(change, locked)| change.undo(locked));
        undone.filter_map(Result::err).collect()
    }
}

impl Change {
    fn now(&self, locked: &Locked) -> Result<Vec<u8>, FixError> {
        fs::read(locked.path()).map_err(|source| FixError::Io { path: self.path.clone(), source })
    }

    fn undo(&self, locked: &Locked) -> Result<(), FixError> {
        let now = self.now(locked)?;
        if now == self.old {
            return Ok(());
        }
        if now == self.mended() {
            return Ok(locked.replace(&self.old)?);
        }
        let mut lines: Vec<Vec<u8>> = now.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        let mut all = true;
        for (_, old, new) in &self.lines {
            let is_new = |line: &&mut Vec<u8>| without_return(line) == new.as_slice();
            match lines.iter_mut().find(is_new) {
                Some(line) => {
                    let end: &[u8] = if line.ends_with(b"\r") { b"\r" } else { b"" };
                    *line = [old, end].concat();
                }
                None => all = false,
            }
        }
        let undone = lines.join(&b'\n');
        if undone != now {
            locked.replace(&undone)?;
        }
        if all { Ok(()) } else { Err(FixError::Changed(self.path.clone())) }
    }

    fn mended(&self) -> Vec<u8> {
        let mut lines: Vec<Vec<u8>> = self.old.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        for (number, _, new) in &self.lines {
            if let Some(line) = lines.get_mut(number - 1) {
                let end: &[u8] = if line.ends_with(b"\r") { b"\r" } else { b"" };
                *line = [new, end].concat();
            }
        }
        lines.join(&b'\n')
    }
}

fn without_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Writes what a file held beside it, under a name that is not taken, not by a link that leads nowhere either, and that
/// `include_dir` passes over.
fn keep(path: &Path, content: &[u8], mode: u32) -> io::Result<PathBuf> {
    for number in 1_u32.. {
        let extension = if number == 1 { "old".to_owned() } else { format!("old{number}") };
        let beside = path.with_added_extension(extension);
        let mut file = match fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            Err(error) => return Err(error),
        };
        let written = file.write_all(content).and_then(|()| file.sync_all());
        if let Err(error) = written.and_then(|()| file.set_permissions(fs::Permissions::from_mode(mode))) {
            // Half a copy is none.
            let _ = fs::remove_file(&beside);
            return Err(error);
        }
        return Ok(beside);
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        for change in &self.files {
            if !std::mem::take(&mut first) {
                writeln!(f)?;
            }
            let path = change.path.display();
            write!(f, "--- {path}\n+++ {path}")?;
            let mut lines: Vec<_> = change.lines.iter().collect();
            lines.sort();
            for (number, old, new) in lines {
                let (old, new) = (String::from_utf8_lossy(old), String::from_utf8_lossy(new));
                write!(f, "\n@@ -{number} +{number} @@\n-{}\n+{}", Visible(&old), Visible(&new))?;
            }
        }
        for access in &self.access {
            if !std::mem::take(&mut first) {
                writeln!(f)?;
            }
            write!(f, "{access}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directive(file: &Path, line: usize, key: &str, value: &str) -> Directive {
        Directive { file: file.to_owned(), line, key: key.to_owned(), value: value.to_owned() }
    }

    #[test]
    fn lines_change_in_one_step_and_the_old_file_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tls.conf");
        fs::write(&file, "port 8883\r\ntls_version tlsv1\n").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let fixes = [
            Fix::comment(&directive(&file, 2, "tls_version", "tlsv1")),
            Fix::line(&directive(&file, 1, "port", "8883"), "listener 8883"),
        ];
        let findings = fixes.map(|fix| Finding::error(super::super::Code::TlsVersion, "x").fix(fix));
        let plan = Plan::of(&findings).unwrap();
        let path = file.display();
        assert_eq!(
            plan.to_string(),
            format!(
                "--- {path}\n+++ {path}\n@@ -1 +1 @@\n-port 8883\n+listener 8883\n@@ -2 +2 @@\n-tls_version tlsv1\n+# tls_version tlsv1"
            )
        );
        let kept = plan.apply().unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "listener 8883\r\n# tls_version tlsv1\n");
        assert_eq!(kept, [dir.path().join("tls.conf.old")]);
        assert_eq!(fs::read_to_string(&kept[0]).unwrap(), "port 8883\r\ntls_version tlsv1\n");
        for path in [&file, &kept[0]] {
            assert_eq!(fs::metadata(path).unwrap().mode() & 0o777, 0o600);
        }
        assert!(matches!(plan.apply(), Err(FixError::Changed(_))), "it is another file by now");
        let locks = Locked::all(plan.paths()).unwrap();
        for _ in 0..2 {
            assert!(plan.undo_locked(&locks).is_empty());
            assert_eq!(fs::read_to_string(&file).unwrap(), "port 8883\r\ntls_version tlsv1\n");
        }
        fs::write(&file, "# mine\n# tls_version tlsv1\nlistener 8883\r\nmine").unwrap();
        assert!(plan.undo_locked(&locks).is_empty());
        let undone = fs::read_to_string(&file).unwrap();
        assert_eq!(undone, "# mine\ntls_version tlsv1\nport 8883\r\nmine", "somebody's own lines stay");
        fs::write(&file, "mine\n").unwrap();
        assert!(matches!(plan.undo_locked(&locks)[..], [FixError::Changed(_)]));
        assert_eq!(fs::read_to_string(&file).unwrap(), "mine\n");
    }

    #[test]
    fn the_old_file_overwrites_nothing_and_follows_no_link() {
        let dir = tempfile::tempdir().unwrap();
        let (file, victim) = (dir.path().join("mine.conf"), dir.path().join("victim"));
        fs::write(&file, b"cafile /\xe9/ca.crt\n").unwrap();
        std::os::unix::fs::symlink(&victim, dir.path().join("mine.conf.old")).unwrap();
        let fix = Fix::Line { file: file.clone(), line: 1, new: b"#cafile /\xe9/ca.crt".to_vec() };
        let kept = Plan::of_fixes([&fix]).unwrap().apply().unwrap();
        assert!(!victim.exists());
        assert_eq!(kept, [dir.path().join("mine.conf.old2")]);
        assert_eq!(fs::read(&kept[0]).unwrap(), b"cafile /\xe9/ca.crt\n");
        assert_eq!(fs::read(&file).unwrap(), b"#cafile /\xe9/ca.crt\n");
    }
}
