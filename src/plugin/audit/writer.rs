//! The thread: it waits for lines and for the disk, so that the broker's loop need not.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    FILE_LINE_BYTES, Message, Shared, Target,
    file::{self, Lines},
    locked,
    pace::Pace,
    record::{Event, Record},
};
use crate::{
    fs,
    metrics::{self, to_text},
    plugin::event::Level,
    status::Claim,
};

/// How long it sleeps when nothing is to be written.
const IDLE: Duration = Duration::from_secs(3_600);

/// Something that is written again and again: whether that works, told when it changes.
#[derive(Default)]
struct Works {
    failing: bool,
}

impl Works {
    fn failed(&mut self, shared: &Shared, text: impl FnOnce() -> String) {
        if !self.failing {
            shared.complain(Level::Error, text());
        }
        self.failing = true;
    }

    fn succeeded(&mut self, shared: &Shared, what: &str) {
        if self.failing {
            shared.complain(Level::Notice, format!("{what} again"));
        }
        self.failing = false;
    }
}

struct Writer<'s> {
    shared: &'s Shared,
    lines: Lines,
    audit: Works,
    metrics: Works,
    /// Of the lost records those that stand in the file.
    told_lost: u64,
    /// The directory that was ours at the last look.
    claim: Option<Arc<Claim>>,
    /// The file for Prometheus as it was written last, and stands there.
    written: String,
    pace: Pace,
}

/// Closes the queue when the thread ends, by a panic too: what comes after that is lost, and counted.
struct Closes<'s>(&'s Shared);

impl Drop for Closes<'_> {
    fn drop(&mut self) {
        self.0.queue.close();
    }
}

/// Writes until the queue is closed, and all that was in it is written.
pub(super) fn run(shared: &Shared) {
    let _closes = Closes(shared);
    let mut writer = Writer {
        shared,
        lines: Lines::default(),
        audit: Works::default(),
        metrics: Works::default(),
        told_lost: 0,
        claim: None,
        written: String::new(),
        pace: Pace::new(Instant::now()),
    };
    loop {
        let target = locked(&shared.target).clone();
        let sleep = writer.look(&target);
        let Some(batch) = shared.queue.take(sleep) else { break };
        let (mut lines, mut last) = (String::new(), None);
        for message in batch {
            match message {
                Message::Line(line) => lines.push_str(&line),
                Message::Last(directory, line) => last = Some((directory, line)),
                Message::Look => {}
            }
        }
        if !lines.is_empty() {
            writer.append(&target, lines);
            writer.pace.stir(Instant::now());
        }
        if let Some((directory, line)) = last {
            writer.append_last(&directory, &line);
        }
    }
    writer.remove_metrics();
}

impl Writer<'_> {
    /// Writes the file for Prometheus if it is time; how long to sleep then.
    fn look(&mut self, target: &Target) -> Duration {
        let ours = self.shared.directory.ours();
        let other = |known: &Arc<Claim>| !ours.as_ref().is_ok_and(|ours| Arc::ptr_eq(ours, known));
        if self.claim.as_ref().map_or(ours.is_ok(), other) {
            self.remove_metrics();
            self.claim = ours.as_ref().ok().map(Arc::clone);
            self.pace = Pace::new(Instant::now());
        }
        if target.metrics.file_interval.is_none() {
            self.remove_metrics();
        }
        let Some(interval) = target.metrics.file_interval else { return IDLE };
        let now = Instant::now();
        self.pace.left(now, interval).unwrap_or_else(|| {
            let changed = self.write_metrics(ours);
            self.pace.passed(now, interval, changed);
            // Whatever has happened meanwhile is not in it.
            self.pace.left(now, interval).unwrap_or(interval)
        })
    }

    /// Numbers of a plugin that writes there no more would be taken for those of one that does.
    fn remove_metrics(&mut self) {
        if let Some(claim) = self.claim.as_ref().filter(|_| !self.written.is_empty()) {
            let _ = std::fs::remove_file(claim.directory().join(metrics::FILE));
        }
        self.written.clear();
    }

    /// Whether there was anything to write.
    fn write_metrics(&mut self, ours: Result<Arc<Claim>, String>) -> bool {
        let text = to_text(&self.shared.counters.families());
        if text == self.written {
            return false;
        }
        let written = ours.and_then(|claim| {
            let replaced = fs::replace_own(&claim.directory().join(metrics::FILE), text.as_bytes());
            replaced.map_err(|error| error.to_string())
        });
        match written {
            Ok(()) => {
                self.written = text;
                self.metrics.succeeded(self.shared, "metrics are written");
            }
            Err(error) => self.metrics.failed(self.shared, || {
                format!("metrics are not written: {error}; `[metrics] file_interval = 0` does without")
            }),
        }
        true
    }

    /// Appends a line to the audit that was ours; nobody is told if that cannot be done, as nothing more comes there.
    fn append_last(&mut self, directory: &Path, line: &str) {
        let written = Lines::default().append(&directory.join(file::NAME), line, 0).lines;
        self.shared.counters.audit.written.add_many(count(written));
        self.shared.counters.audit.dropped.add_many(count(1 - written));
    }

    /// Appends the lines; before them the number of those that were lost.
    fn append(&mut self, target: &Target, lines: String) {
        let (mut text, mut before) = (lines, 0);
        let lost = self.shared.counters.audit.dropped.value();
        if lost > self.told_lost {
            let record = Record { count: Some(lost - self.told_lost), ..Record::default() };
            text = record.to_line(Event::Lost, None, FILE_LINE_BYTES - 1) + "\n" + &text;
            before = 1;
        }
        let (lines, error) = match self.shared.directory.ours() {
            Ok(claim) => {
                let path = claim.directory().join(file::NAME);
                let appended = self.lines.append(&path, &text, target.audit.max_bytes.into());
                (appended.lines, appended.error.map(|error| format!("`{}`: {error}", path.display())))
            }
            Err(reason) => (0, Some(reason)),
        };
        if lines >= before {
            self.told_lost = lost;
        }
        let written = lines.saturating_sub(before);
        let all = text.lines().count() - before;
        self.shared.counters.audit.written.add_many(count(written));
        self.shared.counters.audit.dropped.add_many(count(all - written));
        match error {
            None => self.audit.succeeded(self.shared, "the audit is written"),
            Some(error) => self.audit.failed(self.shared, || {
                format!(
                    "the audit is not written: {error}; records are lost until it can be; \
                     `[audit] to = \"log\"` or `\"off\"` does without the file"
                )
            }),
        }
    }
}

fn count(lines: usize) -> u64 {
    u64::try_from(lines).unwrap_or(u64::MAX)
}
