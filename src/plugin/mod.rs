//! What Citronella does for each of the broker's events, in safe Rust.
//!
//! Everything here is shared between callbacks that can re-enter each other: the snapshot is replaced whole,
//! and no lock is held while the broker is called.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use arc_swap::ArcSwap;
use thiserror::Error;

mod admission;
mod audit;
pub mod counters;
mod event;
mod hand;
mod http;
mod kicks;
mod limit;
mod log;
mod options;
mod reauth;
mod records;
mod repeats;
mod sessions;
mod state_directory;
mod thread;
mod watch;

pub use event::{
    AclCheck, AclReply, AuthReply, BasicAuth, Host, Level, Newcomer, Peer, PluginOption, Presented, Session,
    Wake, Way, Whence,
};
pub use hand::{Hand, Thread};
pub use log::Refusal;

use audit::{Audit, Event, Record, Under};
use counters::{Counters, Publisher};
use kicks::Left;
use reauth::Ticks;

use crate::{
    clock::UnixSeconds,
    diag::{Diagnostic, Report, Severity, Visible},
    mosquitto_conf,
    policy::{Decision, Denied, Request},
    snapshot::{Permissions, Snapshot},
};

/// Mistakes in files that are logged one by one; more of them say nothing that `citronella check` does not.
const MAX_FINDINGS: usize = 50;

/// Why the plugin does not start, and the broker with it.
#[derive(Debug, Error)]
pub enum StartError {
    /// A `plugin_opt_…` that is not ours.
    #[error("unknown option `plugin_opt_{}`; the only one is `plugin_opt_config PATH`", Visible(.0))]
    UnknownOption(String),
    /// `plugin_opt_config` with nothing behind it.
    #[error("`plugin_opt_config` names no file")]
    EmptyOption,
    /// Which of them would hold?
    #[error("`plugin_opt_config` stands there twice")]
    RepeatedOption,
    /// The files have mistakes, which are in the log already.
    #[error("{} cannot be used: {errors} error(s), listed above; `citronella check` shows them with the lines", path.display())]
    Configuration {
        /// citronella.toml as configured.
        path: PathBuf,
        /// How many.
        errors: usize,
    },
    /// The broker would admit clients without asking us.
    #[error(
        "{place}: with `{option}` the broker never asks who connects: revoked and unknown certificates of its CA would get in; remove the line (the certificate's name is taken without it), or accept that with `[compat] identity_options = true` in citronella.toml"
    )]
    IdentityOption {
        /// File and line.
        place: String,
        /// The word.
        option: String,
    },
    /// There would be no tick, and without it an offline session cannot be told from a new client.
    #[error(
        "{place}: with `per_listener_settings true` this broker (2.0.11) never calls a plugin's tick, and a reload would throw offline sessions out and can end the broker; remove the line (one `plugin` line guards all listeners), use Mosquitto 2.0.21 or later, or accept that with `[compat] per_listener_settings = true` in citronella.toml"
    )]
    NoTick {
        /// File and line.
        place: String,
    },
    /// Passwords that were verified could not be remembered safely.
    #[error("the system gives no random bytes: {0}")]
    Random(#[from] getrandom::Error),
    /// Nothing would take effect without it.
    #[error("the thread that notices changes cannot be started: {0}")]
    Watcher(std::io::Error),
    /// It could not be found out whether it would.
    #[error(
        "cannot read the broker's configuration, which may have lines with which it would not be guarded: {0}; let the broker's user read it"
    )]
    UnreadableBrokerConfiguration(String),
}

/// One guarded broker.
pub struct Plugin {
    /// Ends before the rest does.
    watcher: watch::Watcher,
    snapshot: Arc<ArcSwap<Snapshot>>,
    sessions: Arc<sessions::Sessions>,
    reauth: reauth::Reauth,
    log: Arc<log::Log>,
    kicks: Arc<kicks::Kicks>,
    admission: admission::Admission,
    /// Shared with every thread of ours.
    counters: Arc<Counters>,
    audit: Audit,
    publisher: Publisher,
    /// A topic that makes a debug build panic, so that tests can see a broker live through it.
    #[cfg(debug_assertions)]
    fault: Option<String>,
}

impl Plugin {
    /// Reads the options and everything they name.
    ///
    /// # Errors
    ///
    /// Whatever keeps the broker from being guarded. Mistakes in files have been logged one by one.
    pub fn start(options: &[PluginOption], host: &dyn Host) -> Result<Self, StartError> {
        let config = options::config_path(options)?;
        let loaded = Snapshot::load(&config, Permissions::Judge);
        let log = Arc::<log::Log>::default();
        let findings = report_lines(&loaded.report);
        for (level, line) in &findings {
            log.write(host, *level, line);
        }
        let Some(snapshot) = loaded.snapshot else {
            let (errors, _) = loaded.report.count();
            return Err(StartError::Configuration { path: config, errors });
        };
        let ticks = look_at_broker_configuration(&snapshot, host)?;
        let text = format!("version {}, {}", env!("CARGO_PKG_VERSION"), describe(&snapshot));
        log.write(host, Level::Info, &text);
        let counters = Arc::<Counters>::default();
        counters.in_force(&snapshot, UnixSeconds::now());
        let directory = Arc::<state_directory::StateDirectory>::default();
        let audit = Audit::start(&snapshot, &counters, &directory);
        let under = Under { host, log: &log, snapshot: &snapshot };
        audit.note(under, (Event::Start, Peer::Unknown), Record::default);
        let admission = admission::Admission::new(snapshot.settings(), &counters)?;
        let world = watch::World {
            config,
            broker: host.kind(),
            snapshot: Arc::new(ArcSwap::from_pointee(snapshot)),
            sessions: Arc::default(),
            kicks: Arc::default(),
            log,
            counters: Arc::clone(&counters),
            directory,
        };
        let (snapshot, sessions) = (Arc::clone(&world.snapshot), Arc::clone(&world.sessions));
        let (kicks, log) = (Arc::clone(&world.kicks), Arc::clone(&world.log));
        let said = findings.into_iter().map(|(_, line)| line).collect();
        Ok(Self {
            watcher: watch::Watcher::start(world, said).map_err(StartError::Watcher)?,
            snapshot,
            sessions,
            reauth: reauth::Reauth::new(ticks),
            log,
            kicks,
            admission,
            counters,
            audit,
            publisher: Publisher::default(),
            #[cfg(debug_assertions)]
            fault: std::env::var("CITRONELLA_FAULT_TOPIC").ok(),
        })
    }

    /// May this client do that? The hand is that of the thread that asks; [`Thread::Loop`] is one thread only.
    #[must_use]
    pub fn acl_check(
        &self,
        host: &dyn Host,
        (thread, hand): (Thread, &mut Hand),
        event: &AclCheck<'_>,
    ) -> AclReply {
        #[cfg(debug_assertions)]
        self.fault(&event.request);
        let (snapshot, repeats) = hand.parts();
        let Some(name) = event.username else {
            self.tell(host, snapshot).nobody(event, "was never admitted");
            return AclReply::Deny;
        };
        let client_id = if snapshot.reads_client_ids() {
            let Some(client_id) = (event.client_id)() else {
                self.tell(host, snapshot).nobody(event, "has an id that is not UTF-8");
                return AclReply::Deny;
            };
            client_id
        } else {
            ""
        };
        let decision = snapshot.authorize(name, client_id, &event.request);
        if decision.is_allowed() {
            return match thread {
                Thread::Loop => {
                    self.answers(event).allowed_in_loop.add_alone();
                    AclReply::Allow
                }
                Thread::Other if self.allows_path((host, snapshot), (name, client_id), event) => {
                    AclReply::Allow
                }
                Thread::Other => AclReply::Deny,
            };
        }
        self.tell(host, snapshot).denied(repeats, event, (name, &decision));
        // Where no tick comes (2.0.11 with per_listener_settings) nobody can be kicked. Who is locked out is closed by
        // what it asks for.
        let closes = matches!(event.request, Request::Publish { .. } | Request::Subscribe { .. });
        if closes && matches!(decision, Decision::Deny(Denied::Outside(_))) && !self.reauth.has_ticked() {
            return AclReply::Close;
        }
        AclReply::Deny
    }

    /// SIGHUP: has everything loaded again, beside the loop; what cannot be used changes nothing. What the broker asks
    /// about its sessions right after this is answered by what is in force by now. Whoever the new files lock out is
    /// closed at the tick after they are in force.
    pub fn reload(&self, host: &dyn Host) {
        self.reauth.reload();
        self.log.tick(host);
        self.watcher.sighup();
    }

    /// The broker's loop turns; called up to thousands of times a second. Says how soon it must turn again.
    #[must_use]
    pub fn tick(&self, host: &dyn Host) -> Wake {
        self.reauth.tick();
        self.log.tick(host);
        for outcome in self.watcher.outcomes() {
            self.tell(host, &self.snapshot.load()).reload(&outcome);
        }
        let left = self.kicks.turn(|name, why| {
            host.kick(name);
            self.tell(host, &self.snapshot.load()).kick(name, why);
        });
        if left == Left::Emptied {
            self.watcher.wake();
        }
        self.audit.tick(host, &self.log);
        if let Some(interval) = self.snapshot.load().settings().metrics.sys_interval {
            self.publisher.tick(host, &self.counters, interval);
        }
        match (self.complete_log_ins(host), left) {
            (Wake::Soon, _) | (_, Left::LockedOut) => Wake::Soon,
            (Wake::Later, Left::Nothing | Left::Emptied | Left::Paced) => Wake::Later,
        }
    }

    /// Panics for the topic that the test chose.
    #[cfg(debug_assertions)]
    #[expect(clippy::panic, reason = "that is its purpose, and release builds do not have it")]
    fn fault(&self, request: &crate::policy::Request<'_>) {
        if let (Some(fault), crate::policy::Request::Publish { topic, .. }) = (&self.fault, request)
            && fault == topic
        {
            panic!("the fault that was asked for");
        }
    }
}

/// What our locks guard is whole whatever happened to the thread that held them: lists of finished entries.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is in force, in a few words.
fn describe(snapshot: &Snapshot) -> String {
    format!("{} device(s), revision {}", snapshot.devices().len(), snapshot.revision())
}

/// One line for each finding, up to a number; errors first, so that no number of warnings hides what stops us.
fn report_lines(report: &Report) -> Vec<(Level, String)> {
    let of = |wanted| report.iter().filter(move |found| found.severity == wanted);
    let findings = of(Severity::Error).chain(of(Severity::Warning)).take(MAX_FINDINGS);
    let mut lines: Vec<_> = findings
        .map(|found @ Diagnostic { severity, .. }| {
            let level = match severity {
                Severity::Error => Level::Error,
                Severity::Warning => Level::Warning,
            };
            (level, found.to_string())
        })
        .collect();
    let more = report.iter().len().saturating_sub(MAX_FINDINGS);
    if more > 0 {
        lines.push((Level::Error, format!("and {more} more; `citronella check` shows all")));
    }
    lines
}

/// Refuses to guard a broker that would admit clients by itself, or that would not call us when it has to; whether it
/// will call the tick.
fn look_at_broker_configuration(snapshot: &Snapshot, host: &dyn Host) -> Result<Ticks, StartError> {
    let unreadable = StartError::UnreadableBrokerConfiguration;
    let command_line = std::fs::read("/proc/self/cmdline")
        .map_err(|error| unreadable(format!("/proc/self/cmdline: {error}")))?;
    // Without a configuration file there is no listener that could have the options.
    let Some(path) = mosquitto_conf::files_in_command_line(&command_line) else { return Ok(Ticks::Always) };
    let settings = snapshot.settings();
    let ticks = Ticks::with_per_listener_settings(host);
    if settings.identity_options && settings.per_listener_settings {
        return Ok(ticks);
    }
    let directives = mosquitto_conf::read(&path).map_err(|error| unreadable(error.to_string()))?;
    let place = |found: &mosquitto_conf::Directive| format!("{}:{}", found.file.display(), found.line);
    if !settings.identity_options
        && let Some(found) = mosquitto_conf::identity_options(&directives).next()
    {
        return Err(StartError::IdentityOption { place: place(found), option: found.key.clone() });
    }
    match mosquitto_conf::per_listener_settings(&directives) {
        None => Ok(Ticks::Always),
        Some(found) if !host.ticks_with_per_listener_settings() && !settings.per_listener_settings => {
            Err(StartError::NoTick { place: place(found) })
        }
        Some(_) => Ok(ticks),
    }
}
