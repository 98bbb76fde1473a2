//! What the thread does.

use std::{
    collections::HashSet,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use super::{
    Outcome, Signals, World,
    files::Files,
    lost::{Found, Lost},
};
use crate::{
    clock::UnixSeconds,
    config::{AuditTo, Settings},
    diag::{Quoted, Report, Severity},
    plugin::{describe, event::Level, locked, report_lines},
    snapshot::{Permissions, Snapshot},
    status::{self, Attempt, InForce, Status, now_ms},
};

/// Outcomes that wait to be recorded at most. Where no tick comes nobody takes them.
const OUTCOMES: usize = 64;

/// Between two turns: a folder in which somebody writes line after line, as the broker's log may be, would otherwise wake
/// the thread for each of them, and in a storm of log-ins there are thousands.
const PAUSE: Duration = Duration::from_millis(10);

/// Between two looks whether the loop still uses an old snapshot.
const SOON: Duration = Duration::from_millis(20);

/// When files that could not be read are tried again: no event tells that the system has descriptors again.
const AGAIN: Duration = Duration::from_secs(2);

/// How long the thread sleeps at most.
pub(in crate::plugin) const DOZE: Duration = Duration::from_secs(5);

/// What the thread does and remembers.
pub(super) struct Work {
    world: World,
    signals: Arc<Signals>,
    files: Files,
    status: Status,
    /// As it was written last.
    written: Option<Status>,
    /// Lines about the files that were logged when they were loaded last.
    said: HashSet<String>,
    /// Why nothing can be written, if that was said.
    complained: bool,
    blindness_told: bool,
    /// When a file that could not be read is tried again.
    again: Option<Instant>,
    /// Snapshots that are in force no longer, and may be in use still. They are freed here: that takes its time.
    retired: Vec<Arc<Snapshot>>,
    /// When the last of them was.
    retired_at: Instant,
    /// Whom the last changes lock out.
    lost: Lost,
}

impl Work {
    pub(super) fn new(world: World, signals: Arc<Signals>, said: Vec<String>) -> Self {
        let now = now_ms();
        let snapshot = world.snapshot.load();
        let status = Status {
            version: status::VERSION,
            plugin: env!("CARGO_PKG_VERSION").to_owned(),
            broker: world.broker.to_owned(),
            pid: std::process::id(),
            config: world.config.clone(),
            started_ms: now,
            in_force: in_force(&snapshot, now),
            attempt: Attempt::Loaded { at_ms: now },
            sighups: 0,
            kicks: status::Kicks::default(),
        };
        drop(snapshot);
        Self {
            world,
            signals,
            files: Files::new(Instant::now()),
            status,
            written: None,
            said: said.into_iter().collect(),
            complained: false,
            blindness_told: false,
            again: None,
            retired: Vec::new(),
            retired_at: Instant::now(),
            lost: Lost::new(),
        }
    }

    /// Until it is told to stop.
    pub(super) fn run(mut self) {
        self.guarded(Self::begin);
        while !self.signals.stop.load(Ordering::Acquire) {
            self.guarded(Self::turn);
            self.wait();
        }
    }

    /// A panic loses one loading, not the thread.
    fn guarded(&mut self, body: impl FnOnce(&mut Self)) {
        if self.caught(body).is_none() {
            let text =
                format!("loading: internal error; in force is: {}", describe(&self.world.snapshot.load()));
            self.say(Level::Error, &text);
            self.status.sighups = self.signals.sighups.load(Ordering::Acquire);
        }
    }

    /// Nothing after a panic, which is counted.
    fn caught<R>(&mut self, body: impl FnOnce(&mut Self) -> R) -> Option<R> {
        catch_unwind(AssertUnwindSafe(|| body(self)))
            .map_err(|payload| {
                // Dropping the payload runs foreign code once more; a leak of a few bytes is the lesser harm.
                std::mem::forget(payload);
                self.world.counters.internal_errors.panics.add();
            })
            .ok()
    }

    fn begin(&mut self) {
        let in_force = self.world.snapshot.load_full();
        self.files.watch(in_force.files());
        if !in_force.is_current() {
            self.files.suspect(Instant::now());
        }
    }

    fn wait(&mut self) {
        std::thread::sleep(PAUSE);
        let _ = self.signals.wake.read();
        if self.signals.stop.load(Ordering::Acquire) || self.is_asked() && !self.files.is_being_written() {
            return;
        }
        let seconds_left = self.world.sessions.next_expiry().0.saturating_sub(UnixSeconds::now().0);
        let mut most = DOZE.min(Duration::from_secs(u64::try_from(seconds_left).unwrap_or_default()));
        if !self.retired.is_empty() {
            // Without ticks the loop lets go of it at the next check, whenever that is.
            most = most.min(SOON.max(self.retired_at.elapsed()));
        }
        if self.lost.is_open() {
            most = most.min(AGAIN);
        }
        if let Some(again) = self.again {
            most = most.min(again.saturating_duration_since(Instant::now()));
        }
        self.files.wait(&self.signals.wake, Instant::now(), most);
    }

    fn turn(&mut self) {
        self.files.listen(Instant::now());
        let asked = self.is_asked();
        if self.lost.is_open()
            && let Some(found) = self.caught(Self::end_lost)
        {
            self.say(Level::Notice, &format!("whom the change locks out was looked for again{found}"));
        }
        if self.again.is_some_and(|again| Instant::now() >= again) {
            self.again = None;
            self.files.suspect(Instant::now());
        }
        if self.files.is_due(Instant::now()) || asked && !self.files.is_being_written() {
            self.load(asked);
        }
        self.end_expired();
        self.retired.retain(|old| Arc::strong_count(old) > 1);
        self.status.kicks = self.world.kicks.counts();
        self.write_status();
    }

    fn is_asked(&self) -> bool {
        self.signals.sighups.load(Ordering::Acquire) != self.status.sighups
    }

    /// Loads the files, and puts them in force if they are right and nobody has to be asked.
    fn load(&mut self, asked: bool) {
        let sighups = self.signals.sighups.load(Ordering::Acquire);
        let mut loaded;
        // A new name in the settings leads to other files, which were not watched before they were read.
        let mut rounds = 0;
        loop {
            self.files.begin();
            loaded = Snapshot::load(&self.world.config, Permissions::Judge);
            rounds += 1;
            if self.files.is_torn(Instant::now()) {
                return self.tell_endless();
            }
            if !self.files.watch_others(&loaded.files) || rounds == 3 {
                break;
            }
        }
        self.again = loaded.try_again.then(|| Instant::now() + AGAIN);
        let fresh = self.say_findings(&loaded.report, asked);
        let now = now_ms();
        match loaded.snapshot {
            Some(snapshot) => self.take(snapshot, asked, now),
            None => {
                let (errors, _) = loaded.report.count();
                if fresh {
                    let kept = describe(&self.world.snapshot.load());
                    let text = format!(
                        "not reloaded because of {errors} error(s), listed above; still in force: {kept}"
                    );
                    self.say(Level::Error, &text);
                    let first = loaded.report.iter().find(|found| found.severity == Severity::Error);
                    self.came_of_it("failed", first.map(ToString::to_string));
                }
                let mistakes = loaded.report.iter().filter(|found| found.severity == Severity::Error);
                let mistakes: Vec<String> =
                    mistakes.take(status::MAX_MISTAKES).map(ToString::to_string).collect();
                self.status.attempt = Attempt::refused(now, errors, &mistakes);
            }
        }
        self.status.sighups = sighups;
        if self.files.is_blind() && !self.blindness_told {
            self.blindness_told = true;
            self.say(
                Level::Warning,
                "the system does not tell of changed files (inotify); they are looked at twice a second",
            );
        }
    }

    /// Somebody writes and writes, and nothing can be read whole.
    fn tell_endless(&mut self) {
        let Some(file) = self.files.endless(Instant::now()) else { return };
        if !matches!(self.status.attempt, Attempt::Torn { .. }) {
            let reason =
                format!("`{file}` is being written into without a pause, and no change can be read whole");
            let kept = describe(&self.world.snapshot.load());
            self.say(Level::Warning, &format!("waiting: {reason}; still in force: {kept}"));
            self.status.attempt = Attempt::Torn { at_ms: now_ms(), reason };
        }
    }

    /// What was loaded is right.
    fn take(&mut self, new: Snapshot, asked: bool, now: u64) {
        let old = self.world.snapshot.load_full();
        let removed = old.removed_by(&new);
        if new.revision() == old.revision() {
            let was_loaded = matches!(self.status.attempt, Attempt::Loaded { .. });
            if asked {
                self.say(Level::Notice, &format!("reloaded: {}, as before", describe(&old)));
                self.came_of_it("loaded", None);
            } else if !was_loaded {
                self.say(Level::Notice, &format!("the files are as before: {}", describe(&old)));
            }
            self.status.attempt = Attempt::Loaded { at_ms: now };
        } else if removed.is_suspicious() && !asked {
            let (devices, hashes) = (removed.devices, removed.hashes);
            let reason = format!(
                "the change removes {} of {} devices and {} of {} password hashes; if that is meant, `systemctl reload mosquitto` puts it in force",
                devices.0, devices.1, hashes.0, hashes.1
            );
            let revision = new.revision().to_owned();
            let told = matches!(&self.status.attempt, Attempt::Waiting { revision: known, .. } if *known == revision);
            if !told {
                let text = format!("waiting: {reason}; still in force: {}", describe(&old));
                self.say(Level::Warning, &text);
                self.came_of_it("held", Some(reason.clone()));
            }
            self.status.attempt = Attempt::Waiting { at_ms: now, revision, reason };
        } else {
            self.swap(&old, new);
        }
    }

    /// Puts the new snapshot in force, and then ends what it does not admit any more.
    fn swap(&mut self, old: &Arc<Snapshot>, new: Snapshot) {
        let new = Arc::new(new);
        self.lost.replaced(old);
        drop(self.world.snapshot.swap(Arc::clone(&new)));
        let now = now_ms();
        self.status.in_force = in_force(&new, now);
        self.status.attempt = Attempt::Loaded { at_ms: now };
        self.retired.push(Arc::clone(old));
        self.retired_at = Instant::now();
        let found = self.caught(Self::end_lost);
        if found.is_none() {
            let text =
                "internal error after a change was put in force; whom it locks out is looked for again";
            self.say(Level::Error, text);
        }
        let mut text = format!("reloaded: {}{}", describe(&new), found.unwrap_or_default());
        if new.settings().workers != old.settings().workers {
            text.push_str("; `[auth] workers` counts from the broker's next start on");
        }
        // Nobody who is locked out waits for the disk: that, and the status that tells of it, come after.
        let directory = &new.settings().state_directory;
        if *directory != old.settings().state_directory && self.world.directory.claim(directory).is_ok() {
            text.push_str(&format!("; status, audit and metrics are in {} from now on", directory.display()));
        }
        self.say(Level::Notice, &text);
        self.tell_loop("loaded", None, left_audit(old.settings(), new.settings()));
    }

    fn end_lost(&mut self) -> Found {
        let new = self.world.snapshot.load_full();
        self.lost.end(&self.world, &new)
    }

    /// Ends the sessions whose certificate has ended.
    fn end_expired(&self) {
        let World { snapshot, sessions, kicks, .. } = &self.world;
        let now = UnixSeconds::now();
        if now < sessions.next_expiry() {
            return;
        }
        let names = sessions.expired(&snapshot.load(), now);
        for name in &names {
            let text = format!("session ended: the certificate has expired (device {})", Quoted(name));
            self.say(Level::Notice, &text);
        }
        kicks.end(names);
    }

    /// Logs what is wrong with the files, each finding once until it is gone or somebody asks; whether an error was among
    /// those.
    fn say_findings(&mut self, report: &Report, asked: bool) -> bool {
        let lines = report_lines(report);
        let mut fresh = asked;
        for (level, line) in &lines {
            if asked || !self.said.contains(line) {
                fresh |= *level == Level::Error;
                self.say(*level, line);
            }
        }
        self.said = lines.into_iter().map(|(_, line)| line).collect();
        fresh
    }

    fn came_of_it(&self, decision: &'static str, reason: Option<String>) {
        self.tell_loop(decision, reason, None);
    }

    fn tell_loop(&self, decision: &'static str, reason: Option<String>, left: Option<(AuditTo, PathBuf)>) {
        let mut outcomes = locked(&self.signals.outcomes);
        if outcomes.len() < OUTCOMES {
            let revision = self.status.in_force.revision.clone();
            outcomes.push(Outcome { decision, reason, revision, left });
        }
        self.signals.any_outcome.store(true, Ordering::Release);
    }

    fn say(&self, level: Level, text: &str) {
        self.world.log.later(level, text);
    }

    fn write_status(&mut self) {
        if self.written.as_ref() == Some(&self.status) {
            return;
        }
        match self.try_write() {
            Ok(()) => {
                self.written = Some(self.status.clone());
                if self.complained {
                    self.say(Level::Notice, "what is in force is told in the state directory again");
                }
                self.complained = false;
            }
            Err(error) => {
                if !self.complained {
                    let text = format!("{error}; what is in force cannot be told there");
                    self.say(Level::Warning, &text);
                }
                self.complained = true;
            }
        }
    }

    fn try_write(&mut self) -> Result<(), Box<dyn std::error::Error>> {
        let directory = self.world.snapshot.load().settings().state_directory.clone();
        Ok(self.world.directory.claim(&directory)?.write(&self.status)?)
    }
}

/// The audit that ends with this change, if one does.
fn left_audit(old: &Settings, new: &Settings) -> Option<(AuditTo, PathBuf)> {
    let (from, to) = (old.audit.to, new.audit.to);
    let stays = from == to && (from != AuditTo::File || old.state_directory == new.state_directory);
    (!stays && from != AuditTo::Off).then(|| (from, old.state_directory.clone()))
}

fn in_force(snapshot: &Snapshot, since_ms: u64) -> InForce {
    InForce { revision: snapshot.revision().to_owned(), since_ms, devices: snapshot.devices().len() }
}
