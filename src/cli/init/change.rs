//! The change of what the broker reads: all of it, or nothing. At every instant between, the broker is as it was, or
//! guarded, or does not start.

use std::{
    fs,
    io::{self, Write as _},
    iter,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use citronella::{
    doctor::fix::{FixError, Plan},
    fs::Locked,
};

use crate::{
    files::{Files, Mode},
    held::Held,
    output::{Failure, Output},
};

/// Our own file and lines of others, locked from before the first is changed until this value goes.
pub(super) struct Change {
    pub(super) conf: PathBuf,
    /// Nothing if it was not there.
    before: Option<Vec<u8>>,
    /// Nothing if it stays as it is.
    after: Option<String>,
    edits: Plan,
    /// That of our own file, then those of the edits; none if nothing is to be done.
    locks: Vec<Locked>,
}

impl Change {
    /// Changes nothing yet. `before` is what our own file was when `after` was made of it.
    pub(super) fn new(
        conf: &Path,
        before: Option<Vec<u8>>,
        after: Option<String>,
        edits: Plan,
    ) -> Result<Self, Failure> {
        let mut change = Self { conf: conf.to_owned(), before, after, edits, locks: Vec::new() };
        if change.is_empty() {
            return Ok(change);
        }
        change.locks = Locked::all(iter::once(conf).chain(change.edits.paths()))?;
        if current(conf)? != change.before {
            return Err(FixError::Changed(conf.to_owned()).into());
        }
        Ok(change)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.after.is_none() && self.edits.is_empty()
    }

    /// Whether our own file is another one afterwards.
    pub(super) fn is_ours(&self) -> bool {
        self.after.is_some()
    }

    /// Makes the change; one that fails, or is stopped by a signal, is taken back.
    pub(super) fn make(&self, output: &Output, held: &Held) -> Result<(), Failure> {
        let Some((own, others)) = self.locks.split_first() else { return Ok(()) };
        let made = || -> Result<Vec<PathBuf>, Failure> {
            // Ours first: the other way round nobody would guard what those lines have guarded.
            if let Some(text) = &self.after {
                own.replace_as(text.as_bytes(), 0o644, None)?;
            }
            let kept = self.edits.apply_locked(others)?;
            held.check()?;
            Ok(kept)
        };
        match made() {
            Ok(kept) => {
                for path in kept {
                    output.say(&format_args!("the old file is kept: {}", path.display()));
                }
                Ok(())
            }
            Err(why) => Err(told(why, self.take_back())),
        }
    }

    /// The lines of others as they were, and ours aside; `.failed` keeps what ours were. The sentences say what could
    /// not be done.
    pub(super) fn put_back(&self) -> Vec<String> {
        if let Some(text) = &self.after {
            // For people to look at; what counts is that the rest is put back.
            let _ = write_public(&self.failed(), text.as_bytes());
        }
        self.take_back()
    }

    fn failed(&self) -> PathBuf {
        self.conf.with_added_extension("failed")
    }

    /// Where our lines are once they are put back, if there were any.
    pub(super) fn tried(&self) -> Option<PathBuf> {
        Some(self.failed()).filter(|path| self.after.is_some() && path.exists())
    }

    fn take_back(&self) -> Vec<String> {
        let Some((own, others)) = self.locks.split_first() else { return Vec::new() };
        let mut told: Vec<String> = self.edits.undo_locked(others).iter().map(ToString::to_string).collect();
        if self.after.is_none() {
            return told;
        }
        if !told.is_empty() {
            // Without them nobody would guard what those lines have guarded.
            told.push(format!("therefore {} stays", self.conf.display()));
            return told;
        }
        let taken = match &self.before {
            Some(text) => own.replace_as(text, 0o644, None).map_err(|error| error.to_string()),
            None => match fs::remove_file(own.path()) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    Err(format!("{}: {error}", self.conf.display()))
                }
                _ => Ok(()),
            },
        };
        told.extend(taken.err());
        told
    }
}

/// Writes a file that people may look at, and follows no link.
fn write_public(path: &Path, text: &[u8]) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o644).open(path)?;
    file.write_all(text)
}

fn current(path: &Path) -> Result<Option<Vec<u8>>, Failure> {
    match fs::read(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::file(path, &error)),
    }
}

/// A failure, and what became of Mosquitto's configuration.
pub(crate) fn told(why: Failure, errors: Vec<String>) -> Failure {
    if errors.is_empty() {
        return why.help("Mosquitto's configuration is as it was");
    }
    errors.into_iter().fold(why, Failure::help).help(
        "Mosquitto's configuration is half changed: mend this and run the same command again before Mosquitto is restarted",
    )
}

/// Settings that this run has made of the broker's own users. They go again if it fails: the next run must take the
/// users as they are then.
#[derive(Default)]
pub(super) struct Made {
    /// Each with what was there before, and what was made.
    files: Vec<(PathBuf, Option<Vec<u8>>, Vec<u8>)>,
    /// Once it is there, the plugin needs them.
    conf: PathBuf,
}

impl Made {
    pub(super) fn new(conf: &Path) -> Self {
        Self { files: Vec::new(), conf: conf.to_owned() }
    }

    /// Replaces a file.
    pub(super) fn replace(&mut self, files: &Files, path: &Path, text: &str) -> Result<(), Failure> {
        self.files.push((path.to_owned(), current(path)?, text.as_bytes().to_vec()));
        files.replace(path, text.as_bytes(), Mode::Shared)
    }

    /// The run has come to its end.
    pub(super) fn stay(mut self) {
        self.files.clear();
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        if self.conf.exists() {
            return;
        }
        let files = Files::for_broker();
        for (path, before, made) in self.files.iter().rev() {
            // What somebody has changed since is not ours any more.
            if fs::read(path).ok().as_ref() != Some(made) {
                continue;
            }
            // What stays is compared with the broker's users by the next run.
            let _ = match before {
                Some(text) => files.replace(path, text, Mode::Shared).is_ok(),
                None => fs::remove_file(path).is_ok(),
            };
        }
    }
}
