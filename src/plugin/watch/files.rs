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

/// How long somebody who writes into a file without closing it is waited for.
struct Grace {
    /// Since the last that was written: it is taken for all then.
    silent: Duration,
    /// Since the first. What is read then counts if nobody wrote meanwhile.
    most: Duration,
}

const GRACE: Grace = Grace { silent: Duration::from_secs(5), most: Duration::from_secs(10) };

/// The same where another file has changed and is whole: somebody may be locked out by it.
const SHORT_GRACE: Grace = Grace { silent: Duration::from_secs(1), most: Duration::from_secs(5) };

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
    /// Something waits besides the files that the events tell of.
    whole: bool,
}

/// Somebody who writes into a file that others read, and has not closed it.
#[derive(Clone, Copy, Debug)]
struct Writer {
    first: Instant,
    last: Instant,
}

impl Writer {
    fn new(now: Instant) -> Self {
        Self { first: now, last: now }
    }

    /// Until when it is waited for.
    fn end(&self, grace: &Grace) -> Instant {
        (self.last + grace.silent).min(self.first + grace.most)
    }
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
    open: HashMap<(WatchDescriptor, OsString), Writer>,
    /// Files that have changed and are closed.
    whole: HashSet<(WatchDescriptor, OsString)>,
    /// Somebody who writes where no event tells of it.
    unseen: Option<Writer>,
    /// Since when something has changed that was not read whole.
    unread: Option<Instant>,
    /// Something was whole when the files were looked at last.
    hurried: bool,
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
            open: HashMap::new(),
            whole: HashSet::new(),
            unseen: None,
            unread: None,
            hurried: false,
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
        let (mut happened, mut whole) = (false, false);
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
                whole |= lost && ours;
                let Some(name) = event.name else { continue };
                if !self.watches.get(&event.wd).is_some_and(|names| names.contains(&name)) {
                    continue;
                }
                happened = true;
                self.written |= event.mask.contains(On::IN_MODIFY);
                // Who makes or fills a file closes it; a folder is whole when it is made.
                let fills = event.mask.intersects(On::IN_MODIFY | On::IN_CREATE);
                let file = (event.wd, name);
                if fills && !event.mask.contains(On::IN_ISDIR) {
                    self.whole.remove(&file);
                    self.open.entry(file).or_insert(Writer::new(now)).last = now;
                } else if !event.mask.contains(On::IN_ATTRIB) || !self.open.contains_key(&file) {
                    self.open.remove(&file);
                    self.whole.insert(file);
                }
            }
        }
        if happened {
            self.note(now, whole);
        }
        if self.look_in(now).is_zero() {
            self.look(now);
        }
    }

    /// Something has changed; whether it is `whole` though no event tells so of a file.
    fn note(&mut self, now: Instant, whole: bool) {
        let before = self.pending.unwrap_or(Pending { first: now, last: now, whole: false });
        self.pending = Some(Pending { last: now, whole: before.whole || whole, ..before });
        self.unread.get_or_insert(now);
    }

    /// A look at the files: what has changed and then stayed so for a whole round counts, also if nothing told of it.
    fn look(&mut self, now: Instant) {
        self.looked = now;
        let stamps = self.stamps();
        if self.pending.is_none() && stamps != self.loaded && stamps == self.seen {
            self.note(now, true);
        }
        self.seen = stamps;
        if self.pending.is_none() {
            self.watch_ways();
        }
    }

    /// They may have changed behind our back.
    pub(super) fn suspect(&mut self, now: Instant) {
        self.note(now, true);
    }

    /// Whether it is time to load.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.due_in(now).is_some_and(|due| due.is_zero())
    }

    /// Whether somebody is writing into a file.
    pub(super) fn is_being_written(&self) -> bool {
        self.pending.is_some() && self.writers().next().is_some()
    }

    /// The file that somebody goes on writing into for so long that it is time to tell.
    pub(super) fn endless(&self, now: Instant) -> Option<String> {
        let long = self.unread.is_some_and(|since| now.saturating_duration_since(since) >= GRACE.most);
        let name = self.open.keys().next().map(|(_, name)| name.to_string_lossy().into_owned());
        long.then(|| name.unwrap_or_else(|| "one of the files".to_owned()))
    }

    /// Whether something has changed that nobody writes into.
    fn has_whole(&self) -> bool {
        !self.whole.is_empty() || self.pending.is_some_and(|pending| pending.whole)
    }

    fn writers(&self) -> impl Iterator<Item = &Writer> {
        self.open.values().chain(&self.unseen)
    }

    /// What was pending is being looked at.
    pub(super) fn begin(&mut self) {
        self.hurried = self.has_whole();
        self.pending = None;
        self.open.clear();
        self.whole.clear();
        self.unseen = None;
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
            self.unseen = Some(Writer::new(now));
            self.note(now, false);
        }
        let torn = torn || self.written;
        if !torn {
            self.unread = self.pending.map(|pending| pending.first);
        } else if self.hurried {
            self.note(now, true);
        }
        torn
    }

    /// Whether changes may go unnoticed for a while.
    pub(super) fn is_blind(&self) -> bool {
        self.blind
    }

    fn due_in(&self, now: Instant) -> Option<Duration> {
        let pending = self.pending?;
        let grace = if self.has_whole() { SHORT_GRACE } else { GRACE };
        let due = match self.writers().map(|writer| writer.end(&grace)).max() {
            None => (pending.last + QUIET).min(pending.first + PATIENCE),
            Some(end) => end,
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
mod tests;
