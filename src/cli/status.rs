//! `citronella status`: everything at a glance.

use std::{
    io,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use citronella::{
    clock::{UnixMillis, UnixSeconds},
    config::STATE_DIRECTORY,
    diag::{Report, Severity},
    metrics::{self, Read},
    registry::{Certificates, State},
    snapshot::{Loaded, Snapshot},
    status::{self, Attempt, Status, StatusError},
};
use serde::Serialize;

use super::{
    Answer, check, init,
    output::{Failure, Outcome, Output},
    world::World,
};

mod ends;
mod print;

/// Show the plugin, the devices and what needs doing, at a glance
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  citronella status\n  citronella status --expiring 90d\n  citronella status --format json"
)]
pub(crate) struct Arguments {
    /// Count certificates that end within so many days as a problem
    #[arg(long, value_name = "DAYS", default_value = "30d", value_parser = days)]
    expiring: u32,
}

/// `30` or `30d`.
fn days(text: &str) -> Result<u32, String> {
    let number = text.strip_suffix('d').unwrap_or(text);
    number.parse().map_err(|_| "it is a number of days, such as `30d`".to_owned())
}

/// All that could be found out.
#[derive(Serialize)]
struct Overview {
    /// Nothing wrong that could be seen.
    fine: bool,
    config: PathBuf,
    state_directory: PathBuf,
    plugin: Plugin,
    /// Of the files as they are now, if they can be used.
    files: Option<Files>,
    counters: Option<Counters>,
    problems: Vec<Problem>,
    /// What could not be read, and why.
    unread: Vec<String>,
    #[serde(skip)]
    now: UnixMillis,
    /// How old the numbers may become, by the files as they are now.
    #[serde(skip)]
    file_interval: Option<Duration>,
    #[serde(skip)]
    expiring_days: u32,
}

#[derive(Serialize)]
struct Plugin {
    /// Nothing if that could not be found out.
    running: Option<bool>,
    /// What it said last.
    status: Option<Status>,
}

#[derive(Serialize)]
struct Files {
    revision: String,
    devices: Vec<Number>,
    credentials: Vec<Number>,
    /// Those that are known, the next to end first.
    certificates: Vec<ends::End>,
}

/// So many of them.
#[derive(Serialize)]
struct Number {
    what: String,
    number: usize,
}

/// Sums since the plugin's start.
#[derive(Serialize)]
struct Counters {
    /// When they were so, in milliseconds since 1970; they may be others by now.
    as_of_ms: Option<u64>,
    log_ins_admitted: u64,
    log_ins_refused: u64,
    log_ins_postponed: u64,
    checks_allowed: u64,
    checks_refused: u64,
    kicks: u64,
    reloads_loaded: u64,
    reloads_failed: u64,
    hashes: u64,
    hash_milliseconds: f64,
    password_memory_hits: u64,
    hash_queue: u64,
    audit_dropped: u64,
    internal_errors: u64,
}

#[derive(Serialize)]
struct Problem {
    message: String,
    help: String,
}

impl Overview {
    fn problem(&mut self, message: impl Into<String>, help: impl Into<String>) {
        self.problems.push(Problem { message: message.into(), help: help.into() });
    }
}

pub(crate) fn run(world: &World, output: &Output, arguments: &Arguments) -> Answer {
    let Loaded { snapshot, report, .. } = check::look(world);
    let directory = match &snapshot {
        Some(snapshot) => Some(snapshot.settings().state_directory.clone()),
        // The settings may be right, and the registry not.
        None => init::kept_state_directory(world.config()),
    };
    let known = directory.is_some();
    let mut overview = Overview {
        fine: true,
        config: world.config().to_owned(),
        state_directory: directory.unwrap_or_else(|| STATE_DIRECTORY.into()),
        plugin: Plugin { running: None, status: None },
        files: None,
        counters: None,
        problems: Vec::new(),
        unread: Vec::new(),
        now: UnixMillis::now(),
        file_interval: snapshot.as_ref().and_then(|snapshot| snapshot.settings().metrics.file_interval),
        expiring_days: arguments.expiring,
    };
    // Where nobody said that it writes, its absence says nothing.
    if known || overview.state_directory.is_dir() {
        look_at_plugin(&mut overview);
    }
    match &snapshot {
        Some(snapshot) => look_at_files(world, snapshot, &mut overview),
        None => look_at_mistakes(world, &report, &mut overview)?,
    }
    compare(world, &mut overview);
    overview.fine = overview.problems.is_empty();
    let outcome = if overview.fine { Outcome::Yes } else { Outcome::No };
    output.verdict(outcome, &overview, &overview)?;
    Ok(outcome)
}

fn look_at_plugin(overview: &mut Overview) {
    let directory = overview.state_directory.clone();
    let unread = |error: &io::Error| format!("{}: {error}", directory.display());
    match status::is_running(&directory) {
        Ok(running) => overview.plugin.running = Some(running),
        Err(error) if error.kind() == io::ErrorKind::NotFound => overview.plugin.running = Some(false),
        Err(error) => {
            overview.unread.push(unread(&error));
            return;
        }
    }
    match status::read(&directory) {
        Ok(status) => overview.plugin.status = Some(status),
        Err(StatusError::Missing(_)) => {}
        Err(error) => overview.unread.push(error.to_string()),
    }
    if overview.plugin.running == Some(true) {
        match metrics::read(&directory) {
            Ok(read) => {
                let as_of = metrics::written(&directory);
                overview.counters =
                    read.as_ref().map(|read| Counters { as_of_ms: as_of.and_then(ms), ..read.into() });
            }
            Err(error) => overview.unread.push(error.to_string()),
        }
    }
}

fn look_at_files(world: &World, snapshot: &Snapshot, overview: &mut Overview) {
    let devices = State::WORDS.map(|(word, state)| Number {
        what: word.to_owned(),
        number: snapshot.devices().filter(|device| device.state() == state).count(),
    });
    let wanted = snapshot.devices().filter(|device| device.state() == State::Active);
    let mut shown = [("certificate", 0), ("password", 0), ("both", 0), ("none", 0)];
    for device in wanted {
        let certificate = match device.certificates() {
            Certificates::Any => true,
            Certificates::Listed(listed) => !listed.is_empty(),
        };
        let kind = match (certificate, device.password().is_some()) {
            (true, false) => "certificate",
            (false, true) => "password",
            (true, true) => "both",
            (false, false) => "none",
        };
        shown.iter_mut().filter(|(word, _)| *word == kind).for_each(|(_, number)| *number += 1);
    }
    let credentials = shown.map(|(what, number)| Number { what: what.to_owned(), number });
    let certificates = ends::known(world, snapshot);
    let now = UnixSeconds::now();
    for (message, help) in ends::problems(world, &certificates, (now, overview.expiring_days)) {
        overview.problem(message, help);
    }
    overview.files = Some(Files {
        revision: snapshot.revision().to_owned(),
        devices: devices.into(),
        credentials: credentials.into(),
        certificates,
    });
}

/// The files cannot be used: because of what they say, or because this user may not read them.
fn look_at_mistakes(world: &World, report: &Report, overview: &mut Overview) -> Result<(), Failure> {
    let denied = std::fs::File::open(world.config())
        .is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied);
    if denied {
        overview.unread.push(format!("{}: only root and the broker may read it", world.config().display()));
        if overview.plugin.running.is_none() {
            return Err(Failure::new("nothing can be read here").findings(report).help("run it with sudo"));
        }
        return Ok(());
    }
    let (errors, _) = report.count();
    let first = report.iter().find(|found| found.severity == Severity::Error);
    let first = first.map(ToString::to_string).unwrap_or_default();
    let help = format!("`{} check` shows all with their lines", world.command());
    overview.problem(format!("the files cannot be used, {errors} error(s): {first}"), help);
    Ok(())
}

/// What the plugin says against what the files say.
fn compare(world: &World, overview: &mut Overview) {
    match overview.plugin.running {
        None => return,
        Some(false) => {
            let help = "`systemctl status mosquitto` tells whether the broker runs; a `plugin` line in its \
                        configuration loads Citronella";
            return overview.problem("no plugin runs with these files", help);
        }
        Some(true) => {}
    }
    let Some(status) = overview.plugin.status.clone() else {
        return overview.problem(
            "the plugin runs, and has not said what is in force",
            "the broker's log says why it cannot write into its state directory",
        );
    };
    if status.plugin != env!("CARGO_PKG_VERSION") {
        let message = format!("the plugin is version {}, and this is another", status.plugin);
        overview.problem(message, "`systemctl restart mosquitto` loads the installed one");
    }
    let reload =
        "`systemctl reload mosquitto` lets the broker read them, and its log says what it thinks of them";
    match &status.attempt {
        Attempt::Refused { errors, mistakes, .. } => {
            let first = mistakes.first().map(String::as_str).unwrap_or_default();
            let message = format!(
                "a change was not loaded because of {errors} error(s), the old one is in force: {first}"
            );
            overview.problem(message, format!("`{} check` shows all with their lines", world.command()));
        }
        Attempt::Waiting { reason, .. } => {
            let message = format!("a change waits: {reason}");
            overview.problem(message, "`systemctl reload mosquitto` if it is meant");
        }
        Attempt::Torn { reason, .. } => {
            let message = format!("a change waits: {reason}");
            overview.problem(message, "whoever writes it: to a new file, and rename that over the old one");
        }
        Attempt::Loaded { .. } => {
            let other = |files: &Files| files.revision != status.in_force.revision;
            if overview.files.as_ref().is_some_and(other) {
                overview.problem("the files are not what is in force", reload);
            }
        }
    }
    if let Some(lost) =
        overview.counters.as_ref().map(|counters| counters.audit_dropped).filter(|lost| *lost > 0)
    {
        let help = "the broker's log says why they could not be written";
        overview.problem(format!("{lost} record(s) of the audit are lost"), help);
    }
    if let Some(errors) =
        overview.counters.as_ref().map(|counters| counters.internal_errors).filter(|errors| *errors > 0)
    {
        let help = "what was asked then was refused; please report the lines with `internal error` in the broker's log";
        overview.problem(format!("{errors} internal error(s) of the plugin"), help);
    }
}

fn ms(time: SystemTime) -> Option<u64> {
    u64::try_from(time.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_millis()).ok()
}

impl From<&Read> for Counters {
    fn from(read: &Read) -> Self {
        let sum = |name: &str, labels: &[(&str, &str)]| whole(read.sum(name, labels).unwrap_or_default());
        let result = |name, result| sum(name, &[("result", result)]);
        let hashes = sum("citronella_hash_seconds_count", &[]);
        let seconds = read.sum("citronella_hash_seconds_sum", &[]).unwrap_or_default();
        Self {
            as_of_ms: None,
            log_ins_admitted: result("citronella_log_ins_total", "admitted"),
            log_ins_refused: result("citronella_log_ins_total", "refused"),
            log_ins_postponed: result("citronella_log_ins_total", "postponed"),
            checks_allowed: result("citronella_checks_total", "allowed"),
            checks_refused: result("citronella_checks_total", "refused"),
            kicks: sum("citronella_kicks_total", &[]),
            reloads_loaded: result("citronella_reloads_total", "loaded"),
            reloads_failed: result("citronella_reloads_total", "failed"),
            hashes,
            hash_milliseconds: if hashes == 0 { 0.0 } else { 1_000.0 * seconds / exact(hashes) },
            password_memory_hits: result("citronella_password_memory_total", "hit"),
            hash_queue: sum("citronella_hash_queue", &[]),
            audit_dropped: result("citronella_audit_records_total", "dropped"),
            internal_errors: sum("citronella_internal_errors_total", &[]),
        }
    }
}

/// Counters are whole numbers and far below 2^53, beyond which `f64` leaves some out.
#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "see above"
)]
fn whole(number: f64) -> u64 {
    number as u64
}

/// As [`whole`].
#[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "see above")]
fn exact(number: u64) -> f64 {
    number as f64
}
