//! The broker that runs, where it can be seen from here: is it the one that the files describe?
//!
//! What it does is known from two sides: from `/proc`, which has the command line and the start of each process, and
//! from the status of the plugin, which is its own claim. Nothing is asked of the broker itself.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use super::{Code, Exam, Finding, certificate::days, setup::is_ours};
use crate::{
    mosquitto_conf::{Directive, files_in_command_line},
    snapshot::{Permissions, Snapshot},
    status::{self, Attempt, Status},
};

/// Ticks of a second in `/proc/PID/stat`. SOURCE: USER_HZ, proc(5); 100 on every kind of machine that we build for.
const TICKS_PER_SECOND: u64 = 100;
/// A change as young as this may be on its way into the broker. Starts are known to the second, too.
const YOUNG_SECONDS: i64 = 3;

const RESTART: &str = "sudo systemctl restart mosquitto";

impl Exam<'_> {
    pub(super) fn running(&mut self) {
        let Some(line) = self.setup.every_line().find(|line| is_ours(line)) else { return };
        let config = self.config_of(line);
        let process = self.setup.files.first().and_then(|conf| Process::of(conf));
        // Settings with mistakes are told elsewhere.
        let Some(snapshot) = Snapshot::load(&config, Permissions::Ignore).snapshot else { return };
        let state = &snapshot.settings().state_directory;
        let status = status::read(state).ok().filter(|_| status::is_running(state).unwrap_or(false));
        match (&status, &process) {
            (Some(status), _) => self.guarded((line, &config), status, &snapshot),
            (None, Some(process)) => {
                // Another user's folder may be closed to whoever asks.
                if status::is_running(state).is_err() {
                    return;
                }
                let message = format!(
                    "the broker that runs (process {}, for {}) has not loaded the plugin: nothing is guarded",
                    process.id,
                    days_or_less(self.now.0 - process.started)
                );
                let found = Finding::error(Code::NotGuarded, message).help(RESTART);
                self.push(found.at(self.setup.place(line)));
            }
            (None, None) => {}
        }
        let started = status.map(|status| i64::try_from(status.started_ms / 1000).unwrap_or(i64::MAX));
        if let Some(started) = process.map(|process| process.started).or(started) {
            self.newer_than(started);
        }
    }

    /// The settings that this plugin line leads to.
    fn config_of(&self, line: &Directive) -> PathBuf {
        let mut lines = self.setup.every_line();
        let option = lines.find(|option| option.key == "plugin_opt_config" && option.file == line.file);
        option.map_or(super::guard::DEFAULT_CONFIG, |option| option.value.trim()).into()
    }

    /// What a plugin that runs says of itself.
    fn guarded(&mut self, (line, config): (&Directive, &Path), status: &Status, snapshot: &Snapshot) {
        let place = |exam: &Self| exam.setup.place(line);
        if real(&status.config) != real(config) {
            let message = format!(
                "the broker that runs is guarded by {}, and would be by {} after a restart",
                status.config.display(),
                config.display()
            );
            let found = Finding::warning(Code::RestartNeeded, message).help(RESTART);
            self.push(found.at(place(self)));
            return;
        }
        if status.plugin != env!("CARGO_PKG_VERSION") {
            let message = format!(
                "the plugin that runs is version {}, and this command is {}",
                status.plugin,
                env!("CARGO_PKG_VERSION")
            );
            let found = Finding::warning(Code::RestartNeeded, message).help(RESTART);
            self.push(found.at(place(self)));
        }
        let newest =
            snapshot.files().iter().filter_map(|file| fs::metadata(file).ok()).map(|file| file.mtime());
        let settled = newest.max().is_none_or(|newest| newest + YOUNG_SECONDS < self.now.0);
        if status.in_force.revision == snapshot.revision() || !settled {
            return;
        }
        let (why, help) = match &status.attempt {
            Attempt::Refused { mistakes, .. } => (
                format!("the plugin could not use them: {}", mistakes.join("; ")),
                format!("sudo citronella --config {} check", config.display()),
            ),
            Attempt::Waiting { reason, .. } => (reason.clone(), "sudo systemctl reload mosquitto".to_owned()),
            Attempt::Torn { reason, .. } => {
                (reason.clone(), "write to a new file, and rename that over the old one".to_owned())
            }
            Attempt::Loaded { .. } => (
                "the plugin has not seen the change".to_owned(),
                "sudo systemctl reload mosquitto".to_owned(),
            ),
        };
        let message = format!(
            "the broker decides by other settings and another registry than those on the disk (revision {}, not {}): {why}",
            status.in_force.revision,
            snapshot.revision()
        );
        let found = Finding::error(Code::NotInForce, message).help(help);
        self.push(found.at(place(self)));
    }

    /// Files of the configuration that were changed after the broker's start.
    fn newer_than(&mut self, started: i64) {
        let newer: Vec<String> = self
            .setup
            .files
            .iter()
            .filter(|file| fs::metadata(file).is_ok_and(|found| found.mtime() > started + YOUNG_SECONDS))
            .map(|file| file.display().to_string())
            .collect();
        if newer.is_empty() {
            return;
        }
        let message = format!(
            "{} changed after the broker was started: listeners, TLS and plugins are still those of before",
            newer.join(" and ")
        );
        self.push(Finding::warning(Code::RestartNeeded, message).help(RESTART));
    }
}

fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

fn days_or_less(seconds: i64) -> String {
    if seconds < 3600 { "less than an hour".to_owned() } else { days(seconds) }
}

/// A broker that runs.
struct Process {
    id: u32,
    /// Seconds since 1970.
    started: i64,
}

impl Process {
    /// The one that was started with this file, if it can be seen.
    fn of(conf: &Path) -> Option<Self> {
        let wanted = conf.canonicalize().ok()?;
        let ids = fs::read_dir("/proc")
            .ok()?
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        ids.into_iter().find_map(|id: u32| {
            let folder = PathBuf::from(format!("/proc/{id}"));
            let line = fs::read(folder.join("cmdline")).ok()?;
            // In front of its name may stand what starts it.
            let mut words = line.split(|byte| *byte == 0).take_while(|word| !word.starts_with(b"-c"));
            if !words.any(|word| word.rsplit(|byte| *byte == b'/').next() == Some(b"mosquitto")) {
                return None;
            }
            let own = folder.join("cwd");
            let named = files_in_command_line(&line)?;
            let first = named.first()?;
            let is_it = own.join(first).canonicalize().is_ok_and(|path| path == wanted);
            let started = started(&fs::read_to_string(folder.join("stat")).ok()?)?;
            is_it.then_some(Self { id, started })
        })
    }
}

/// When a process was started, in seconds since 1970, from its `stat`.
fn started(stat: &str) -> Option<i64> {
    // The name in parentheses may hold anything; the start is the twentieth word after it (proc(5), field 22).
    let ticks: u64 = stat.rsplit(") ").next()?.split(' ').nth(19)?.parse().ok()?;
    let system = fs::read_to_string("/proc/stat").ok()?;
    let boot: u64 = system.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    i64::try_from(boot + ticks / TICKS_PER_SECOND).ok()
}
