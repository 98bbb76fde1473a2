//! Noticing that files change: inotify on every folder on the way to them, and a slow look at the files themselves where
//! the system tells nothing (network file systems, mapped writes).

use std::{
    collections::{HashMap, HashSet},
    ffi::OsString,
    os::{fd::AsFd as _, unix::fs::MetadataExt as _},
    path::PathBuf,
    time::{Duration, Instant},
};

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        eventfd::EventFd,
        inotify::{AddWatchFlags as On, InitFlags, Inotify, WatchDescriptor},
    },
};

use crate::fs;

/// How long a file is left alone after it was closed or renamed: several often change together.
const QUIET: Duration = Duration::from_millis(200);

/// How long a writer may keep a file open and silent before what it has written is taken for all.
const WRITING: Duration = Duration::from_secs(5);

/// How long changes that follow each other without a pause may put off that they are looked at.
const PATIENCE: Duration = Duration::from_secs(1);

/// Between two looks at the files, and where inotify cannot be had.
const LOOK: Duration = Duration::from_secs(5);
const LOOK_BLIND: Duration = Duration::from_millis(500);

/// What tells one content of a file from another without reading it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Stamp {
    file: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// A change that nothing was done about yet.
#[derive(Clone, Copy, Debug)]
struct Pending {
    first: Instant,
    last: Instant,
    /// Somebody writes into a file that others read, and has not closed it.
    writing: bool,
}

/// The files that are watched.
pub(super) struct Files {
    inotify: Option<Inotify>,
    /// The names in each watched folder that lead to a file.
    watches: HashMap<WatchDescriptor, HashSet<OsString>>,
    paths: Vec<PathBuf>,
    /// As they were before the last loading.
    loaded: Vec<Option<Stamp>>,
    /// As they were at the last look, and when that was.
    seen: Vec<Option<Stamp>>,
    looked: Instant,
    /// Some folder cannot be watched.
    blind: bool,
    pending: Option<Pending>,
    /// Files that somebody writes into, by folder and name.
    open: HashSet<(WatchDescriptor, OsString)>,
    /// Somebody wrote into one of them since they were looked at, as far as was listened.
    written: bool,
}

impl Files {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            inotify: Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).ok(),
            watches: HashMap::new(),
            paths: Vec::new(),
            loaded: Vec::new(),
            seen: Vec::new(),
            looked: now,
            blind: false,
            pending: None,
            open: HashSet::new(),
            written: false,
        }
    }

    /// Watches these files, whatever ways lead to them by now, and notes how they are: to be called before they are
    /// read.
    pub(super) fn watch(&mut self, paths: &[PathBuf]) {
        self.paths = paths.to_vec();
        self.watch_ways();
        self.loaded = self.stamps();
        self.seen.clone_from(&self.loaded);
    }

    /// Watches these files from now on, if they are others than before; whether they are.
    pub(super) fn watch_others(&mut self, paths: &[PathBuf]) -> bool {
        let others = self.paths != paths;
        if others {
            self.watch(paths);
        }
        others
    }

    fn watch_ways(&mut self) {
        let Some(inotify) = &self.inotify else {
            self.blind = true;
            return;
        };
        self.blind = false;
        let structure = On::IN_CREATE
            | On::IN_MOVED_TO
            | On::IN_MOVED_FROM
            | On::IN_DELETE
            | On::IN_DELETE_SELF
            | On::IN_MOVE_SELF
            | On::IN_ONLYDIR;
        let content = structure | On::IN_MODIFY | On::IN_CLOSE_WRITE | On::IN_ATTRIB;
        let mut folders: HashMap<PathBuf, (On, HashSet<OsString>)> = HashMap::new();
        for path in &self.paths {
            let way = fs::way(path);
            let last = way.len().saturating_sub(1);
            for (at, (folder, name)) in way.into_iter().enumerate() {
                let (flags, names) = folders.entry(folder).or_insert((structure, HashSet::new()));
                names.insert(name);
                if at == last {
                    *flags |= content;
                }
            }
        }
        let mut watches = HashMap::new();
        for (folder, (flags, names)) in folders {
            match inotify.add_watch(&folder, flags) {
                // Two ways can lead to one folder.
                Ok(watch) => watches.entry(watch).or_insert_with(HashSet::new).extend(names),
                // Where it is to be, its parent tells when it comes.
                Err(nix::Error::ENOENT | nix::Error::ENOTDIR) => {}
                Err(_) => self.blind = true,
            }
        }
        for gone in self.watches.keys().filter(|watch| !watches.contains_key(watch)) {
            // One whose folder is gone is gone with it.
            let _ = inotify.rm_watch(*gone);
        }
        self.watches = watches;
    }

    /// Waits until something may have changed, somebody wakes us, or this time is over.
    pub(super) fn wait(&self, wake: &EventFd, now: Instant, most: Duration) {
        let most = self.due_in(now).map_or(most, |due| due.min(most)).min(self.look_in(now));
        // Rounded up, or we would turn round and round in the last millisecond.
        let millis = u16::try_from(most.as_millis().saturating_add(1)).unwrap_or(u16::MAX);
        let mut fds = vec![PollFd::new(wake.as_fd(), PollFlags::POLLIN)];
        fds.extend(self.inotify.as_ref().map(|inotify| PollFd::new(inotify.as_fd(), PollFlags::POLLIN)));
        // An interruption is a wake-up like any other.
        let _ = poll(&mut fds, PollTimeout::from(millis));
    }

    /// Takes in what has happened.
    pub(super) fn listen(&mut self, now: Instant) {
        let mut happened = false;
        while let Some(Ok(events)) = self.inotify.as_ref().map(Inotify::read_events) {
            for event in events {
                let lost = event.mask.intersects(
                    On::IN_Q_OVERFLOW
                        | On::IN_IGNORED
                        | On::IN_DELETE_SELF
                        | On::IN_MOVE_SELF
                        | On::IN_UNMOUNT,
                );
                // A watch that we gave up says so, too.
                let ours = self.watches.contains_key(&event.wd) || event.mask.contains(On::IN_Q_OVERFLOW);
                happened |= lost && ours;
                let Some(name) = event.name else { continue };
                if !self.watches.get(&event.wd).is_some_and(|names| names.contains(&name)) {
                    continue;
                }
                happened = true;
                self.written |= event.mask.contains(On::IN_MODIFY);
                // Who makes or fills a file closes it; a folder is whole when it is made.
                if event.mask.intersects(On::IN_MODIFY | On::IN_CREATE) && !event.mask.contains(On::IN_ISDIR)
                {
                    self.open.insert((event.wd, name));
                } else if !event.mask.contains(On::IN_ATTRIB) {
                    self.open.remove(&(event.wd, name));
                }
            }
        }
        if happened {
            self.note(now, !self.open.is_empty());
        }
        if self.look_in(now).is_zero() {
            self.look(now);
        }
    }

    fn note(&mut self, now: Instant, writing: bool) {
        let first = self.pending.map_or(now, |pending| pending.first);
        self.pending = Some(Pending { first, last: now, writing });
    }

    /// A look at the files: what has changed and then stayed so for a whole round counts, also if nothing told of it.
    fn look(&mut self, now: Instant) {
        self.looked = now;
        let stamps = self.stamps();
        if self.pending.is_none() && stamps != self.loaded && stamps == self.seen {
            self.pending = Some(Pending { first: now, last: now, writing: false });
        }
        self.seen = stamps;
        if self.pending.is_none() {
            self.watch_ways();
        }
    }

    /// They may have changed behind our back.
    pub(super) fn suspect(&mut self, now: Instant) {
        self.note(now, false);
    }

    /// Whether it is time to load.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.due_in(now).is_some_and(|due| due.is_zero())
    }

    /// Whether somebody is writing into a file.
    pub(super) fn is_being_written(&self) -> bool {
        self.pending.is_some_and(|pending| pending.writing)
    }

    /// What was pending is being looked at.
    pub(super) fn begin(&mut self) {
        self.pending = None;
        self.open.clear();
        self.written = false;
        let paths = std::mem::take(&mut self.paths);
        self.watch(&paths);
    }

    /// Whether a file was written into about when it was read: what was read may be half of it. It is pending again then.
    ///
    /// Stamps tell of what was written after [`Self::watch`] took them. Somebody may have begun before, since we listened
    /// last, and pause just now: that tell the events, which are there as soon as what was written.
    pub(super) fn is_torn(&mut self, now: Instant) -> bool {
        self.listen(now);
        let stamps = self.stamps();
        let torn = stamps.iter().zip(&self.loaded).any(|both| match both {
            (Some(now), Some(before)) => {
                now.file == before.file && (now.size, now.modified) != (before.size, before.modified)
            }
            _ => false,
        });
        if torn && !self.written {
            // Without events nobody tells when it is closed.
            self.note(now, true);
        }
        torn || self.written
    }

    /// Whether changes may go unnoticed for a while.
    pub(super) fn is_blind(&self) -> bool {
        self.blind
    }

    fn due_in(&self, now: Instant) -> Option<Duration> {
        let pending = self.pending?;
        let due = if pending.writing {
            pending.last + WRITING
        } else {
            (pending.last + QUIET).min(pending.first + PATIENCE)
        };
        Some(due.saturating_duration_since(now))
    }

    fn look_in(&self, now: Instant) -> Duration {
        let every = if self.blind { LOOK_BLIND } else { LOOK };
        (self.looked + every).saturating_duration_since(now)
    }

    fn stamps(&self) -> Vec<Option<Stamp>> {
        let stamp = |path: &PathBuf| {
            let found = std::fs::metadata(path).ok()?;
            Some(Stamp {
                file: (found.dev(), found.ino()),
                size: found.size(),
                modified: (found.mtime(), found.mtime_nsec()),
                changed: (found.ctime(), found.ctime_nsec()),
            })
        };
        self.paths.iter().map(stamp).collect()
    }
}

#[cfg(test)]
mod tests {
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
}
