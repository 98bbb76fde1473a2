//! The audit: who was admitted and refused, whose sessions were closed, and what was loaded, one JSON object a line.
//!
//! The broker's loop makes the line and puts it into a queue of bounded length; a thread appends it to the file, writes
//! the file for Prometheus, and waits for the disk. What finds the queue full is lost, and counted.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Instant,
};

use super::{
    counters::Counters,
    event::{Host, Level, Peer},
    limit::{Limit, Quota},
    locked,
    log::{self, Log},
    state_directory::StateDirectory,
    thread,
};
use crate::{
    config::{self, AuditTo},
    snapshot::Snapshot,
};

mod file;
mod pace;
mod queue;
mod record;
mod writer;

use queue::Queue;
pub(super) use record::{Event, Record};

/// What is recorded one by one in a minute in the file; the broker's log gets as few as of its own lines.
const RECORDS: Quota = Quota { each: 100, all: 3_000 };

/// Longest line of the file, in bytes.
const FILE_LINE_BYTES: usize = 4_096;

/// Longest record in the broker's log, in bytes. The broker cuts lines at 1,000 with its own words (logging.c).
const LOG_LINE_BYTES: usize = 900;

/// The audit of one plugin.
pub(super) struct Audit {
    counters: Arc<Counters>,
    in_file: Limit<Event>,
    in_log: Limit<Event>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// What a record needs of its surroundings.
#[derive(Clone, Copy)]
pub(super) struct Under<'a> {
    pub(super) host: &'a dyn Host,
    pub(super) log: &'a Log,
    /// The snapshot that decided.
    pub(super) snapshot: &'a Snapshot,
}

/// What the thread and the others have in common.
struct Shared {
    counters: Arc<Counters>,
    directory: Arc<StateDirectory>,
    queue: Queue,
    target: Mutex<Target>,
    /// What the thread wants to be logged, at the next tick.
    complaints: Mutex<Vec<(Level, String)>>,
    complains: AtomicBool,
}

/// What to write, into the directory that is ours.
#[derive(Clone)]
struct Target {
    audit: config::Audit,
    metrics: config::Metrics,
}

/// For the thread.
enum Message {
    /// Append this line, which has its end.
    Line(String),
    /// Append this line to the audit of this directory, which was ours.
    Last(PathBuf, String),
    /// The target is another.
    Look,
}

impl From<&Snapshot> for Target {
    fn from(snapshot: &Snapshot) -> Self {
        let settings = snapshot.settings();
        Self { audit: settings.audit, metrics: settings.metrics }
    }
}

impl Audit {
    /// Starts the thread. Without one (the system has no more) records for the file are lost, and counted.
    pub(super) fn start(
        snapshot: &Snapshot,
        counters: &Arc<Counters>,
        directory: &Arc<StateDirectory>,
    ) -> Self {
        let shared = Arc::new(Shared {
            counters: Arc::clone(counters),
            directory: Arc::clone(directory),
            queue: Queue::new(queue::GATHER),
            target: Mutex::new(Target::from(snapshot)),
            complaints: Mutex::default(),
            complains: AtomicBool::default(),
        });
        let (writers, path) = (Arc::clone(&shared), snapshot.settings().state_directory.clone());
        let thread = thread::spawn("citronella-audit", move || {
            // The watcher tells if that fails, and tries again.
            let _ = writers.directory.claim(&path);
            writer::run(&writers);
        });
        if let Err(error) = &thread {
            shared.queue.close();
            shared.complain(Level::Error, format!("audit and metrics are not written: {error}"));
        }
        Self {
            counters: Arc::clone(counters),
            in_file: Limit::new(RECORDS),
            in_log: Limit::new(log::LINES),
            shared,
            thread: thread.ok(),
        }
    }

    /// This snapshot is in force from now on.
    pub(super) fn in_force(&self, snapshot: &Snapshot) {
        *locked(&self.shared.target) = Target::from(snapshot);
        self.shared.queue.send(Message::Look);
    }

    /// Records what happened, unless there was too much of it; whether it did. `record` is made only if it is used.
    pub(super) fn note<'r>(
        &self,
        under: Under<'r>,
        (event, peer): (Event, Peer),
        record: impl FnOnce() -> Record<'r>,
    ) -> bool {
        let to = under.snapshot.settings().audit.to;
        let Some(limit) = self.limit(to) else { return false };
        if event.is_limited() && !limit.count(event, peer, Instant::now()) {
            self.counters.audit.summed.add();
            return false;
        }
        let mut record = record();
        record.revision.get_or_insert(under.snapshot.revision());
        if let Some(line) = self.put(to, (event, peer), &record) {
            under.log.write(under.host, Level::Notice, &line);
        }
        true
    }

    /// Records what ends the audit that was kept there: what comes after it is elsewhere, or nowhere.
    pub(super) fn note_last(
        &self,
        under: Under<'_>,
        (to, directory): (AuditTo, &Path),
        (event, record): (Event, &Record<'_>),
    ) {
        if to == AuditTo::File && under.snapshot.settings().state_directory != directory {
            let line = record.to_line(event, None, FILE_LINE_BYTES - 1) + "\n";
            if !self.shared.queue.send(Message::Last(directory.to_owned(), line)) {
                self.counters.audit.dropped.add();
            }
        } else if let Some(line) = self.put(to, (event, Peer::Unknown), record) {
            under.log.write(under.host, Level::Notice, &line);
        }
    }

    /// It happened so many times more, and is not recorded one by one.
    pub(super) fn note_unsaid(&self, under: Under<'_>, of: (Event, Peer), (times, now): (u32, Instant)) {
        if let Some(limit) = self.limit(under.snapshot.settings().audit.to) {
            limit.count_unsaid(of, times, now);
            self.counters.audit.summed.add_many(times.into());
        }
    }

    fn limit(&self, to: AuditTo) -> Option<&Limit<Event>> {
        match to {
            AuditTo::Off => None,
            AuditTo::File => Some(&self.in_file),
            AuditTo::Log => Some(&self.in_log),
        }
    }

    /// Puts it into the queue, or gives back the line for the broker's log.
    fn put(&self, to: AuditTo, (event, peer): (Event, Peer), record: &Record<'_>) -> Option<String> {
        let address = match peer {
            Peer::Address(address) => Some(address.to_string()),
            Peer::Websocket(_) | Peer::Http => Some(peer.to_string()),
            Peer::Unknown => None,
        };
        match to {
            AuditTo::Off => None,
            AuditTo::Log => {
                self.counters.audit.written.add();
                Some(format!("audit: {}", record.to_line(event, address, LOG_LINE_BYTES)))
            }
            AuditTo::File => {
                let line = record.to_line(event, address, FILE_LINE_BYTES - 1) + "\n";
                if !self.shared.queue.send(Message::Line(line)) {
                    self.counters.audit.dropped.add();
                }
                None
            }
        }
    }

    /// Records the sums of the minutes that are over, and logs what the thread has to say.
    pub(super) fn tick(&self, host: &dyn Host, log: &Log) {
        if self.shared.complains.swap(false, Ordering::AcqRel) {
            let complaints = std::mem::take(&mut *locked(&self.shared.complaints));
            for (level, text) in complaints {
                log.write(host, level, &text);
            }
        }
        for (limit, to) in [(&self.in_file, AuditTo::File), (&self.in_log, AuditTo::Log)] {
            if !limit.is_pending() {
                continue;
            }
            for sum in limit.due(Instant::now()) {
                let (of, peer) = sum.place.unzip();
                let record = Record { of, count: Some(sum.unsaid), ..Record::default() };
                if let Some(line) = self.put(to, (Event::Sum, peer.unwrap_or(Peer::Unknown)), &record) {
                    log.write(host, Level::Notice, &line);
                }
            }
        }
    }
}

impl Drop for Audit {
    /// Waits until the thread has written what was in the queue, unless the disk does not answer.
    fn drop(&mut self) {
        if locked(&self.shared.target).audit.to == AuditTo::File {
            let line = Record::default().to_line(Event::Stop, None, FILE_LINE_BYTES - 1) + "\n";
            self.shared.queue.send(Message::Line(line));
        }
        self.shared.queue.close();
        if let Some(thread) = self.thread.take() {
            thread::join_within(thread, thread::FAREWELL);
        }
    }
}

impl Shared {
    fn complain(&self, level: Level, text: String) {
        locked(&self.complaints).push((level, text));
        self.complains.store(true, Ordering::Release);
    }
}

#[cfg(test)]
mod tests;
