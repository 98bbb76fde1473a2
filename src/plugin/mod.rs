//! What Citronella does for each of the broker's events, in safe Rust.
//!
//! Everything here is shared between callbacks that can re-enter each other: the snapshot is replaced whole,
//! and no lock is held while the broker is called.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use arc_swap::ArcSwap;
use thiserror::Error;

mod event;
mod log;
mod options;
mod reauth;

pub use event::{AclCheck, AclReply, AuthReply, BasicAuth, Host, Level, PluginOption, Presented};

use crate::{
    clock::UnixSeconds,
    diag::{Diagnostic, Report, Severity, Visible},
    login::{self, Login, Refused},
    mosquitto_conf,
    policy::Request,
    snapshot::{Permissions, Snapshot},
};

/// Names that wait to be kicked at the next tick; more are dropped, for delivery and publishing are refused anyway.
const MAX_KICKS: usize = 100_000;

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
    /// It could not be found out whether it would.
    #[error(
        "cannot look for identity options in the broker's configuration: {0}; let the broker's user read it, or accept the risk with `[compat] identity_options = true` in citronella.toml"
    )]
    UnreadableBrokerConfiguration(String),
}

/// One guarded broker.
pub struct Plugin {
    config: PathBuf,
    snapshot: ArcSwap<Snapshot>,
    reauth: reauth::Reauth,
    log: log::Log,
    /// Names to kick at the next tick.
    kicks: Mutex<Vec<String>>,
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
        let log = log::Log::default();
        write_report(&log, host, &loaded.report);
        let Some(snapshot) = loaded.snapshot else {
            let (errors, _) = loaded.report.count();
            return Err(StartError::Configuration { path: config, errors });
        };
        if !snapshot.settings().identity_options {
            refuse_identity_options()?;
        }
        let text = format!("version {}, {}", env!("CARGO_PKG_VERSION"), describe(&snapshot));
        log.write(host, Level::Info, &text);
        Ok(Self {
            config,
            snapshot: ArcSwap::from_pointee(snapshot),
            reauth: reauth::Reauth::default(),
            log,
            kicks: Mutex::default(),
            #[cfg(debug_assertions)]
            fault: std::env::var("CITRONELLA_FAULT_TOPIC").ok(),
        })
    }

    /// A client connects, or the broker asks about a session again. `rename` gives the client another user name.
    #[must_use]
    pub fn basic_auth(
        &self,
        host: &dyn Host,
        event: &BasicAuth<'_>,
        rename: &dyn Fn(&str) -> Result<(), String>,
    ) -> AuthReply {
        let snapshot = self.snapshot.load();
        let login = Login {
            client_id: event.client_id,
            username: self.reauth.given_name(event),
            password: event.password,
            certificate: event.certificate,
            now: UnixSeconds::now(),
        };
        if self.reauth.is_known(event) {
            return match login::still_welcome(&snapshot, &login) {
                Ok(()) => AuthReply::Admit,
                Err(refused) => self.end_session(host, event, &refused),
            };
        }
        let name = match login::admit(&snapshot, &login) {
            Ok(name) => name,
            Err(refused) => {
                self.log.refusal(host, event.address, || refused_line(&login, &refused));
                return AuthReply::Refuse;
            }
        };
        // Off the main thread the broker must not be called; there only names that are right already get in.
        let named = event.username == Some(name);
        let renamed = match (named, host.on_main_thread()) {
            (true, _) => Ok(()),
            (false, true) => rename(name),
            (false, false) => Err("another thread may not name clients".to_owned()),
        };
        match renamed {
            Ok(()) => AuthReply::Admit,
            Err(reason) => {
                self.log.write(host, Level::Error, &format!("log-in refused: {reason}"));
                AuthReply::Refuse
            }
        }
    }

    /// A known session is welcome no longer.
    fn end_session(&self, host: &dyn Host, event: &BasicAuth<'_>, refused: &Refused<'_>) -> AuthReply {
        let name = event.username.unwrap_or_default();
        self.log.refusal(host, event.address, || {
            format!("session ended: client `{}`, device `{name}`: {refused}", event.client_id)
        });
        if event.known_session.is_some() || !matches!(event.certificate, Presented::None) {
            return AuthReply::Refuse;
        }
        // COMPAT: up to 2.0.22 refusing an offline session with an expiry corrupts the broker's memory (mosquitto
        // issues 3341 and 3418), and 2.0 cannot tell which sessions are offline. It keeps the session, which may do
        // nothing any more, and whoever is connected under that name is kicked at the next tick.
        if let Some(name) = event.username {
            let mut kicks = self.kicks.lock().unwrap_or_else(PoisonError::into_inner);
            if kicks.len() < MAX_KICKS && kicks.last().is_none_or(|last| last != name) {
                kicks.push(name.to_owned());
            }
        }
        AuthReply::Admit
    }

    /// May this client do that?
    #[must_use]
    pub fn acl_check(&self, host: &dyn Host, event: &AclCheck<'_>) -> AclReply {
        #[cfg(debug_assertions)]
        self.fault(&event.request);
        let snapshot = self.snapshot.load();
        let Some(name) = event.username else {
            self.log.refusal(host, None, || {
                format!("access refused: client `{}` was never admitted", event.client_id)
            });
            return AclReply::Deny;
        };
        let decision = snapshot.authorize(name, event.client_id, &event.request);
        if decision.is_allowed() {
            return AclReply::Allow;
        }
        // What is not delivered is not worth a line: it happens with every message under a hidden topic.
        if !matches!(event.request, Request::Receive { .. }) {
            let address = if host.on_main_thread() { (event.address)() } else { None };
            self.log.refusal(host, address, || {
                format!("device `{name}`, client `{}`: {decision}", event.client_id)
            });
        }
        AclReply::Deny
    }

    /// SIGHUP: loads everything again; what cannot be used changes nothing.
    pub fn reload(&self, host: &dyn Host) {
        self.reauth.reload();
        let loaded = Snapshot::load(&self.config, Permissions::Judge);
        write_report(&self.log, host, &loaded.report);
        match loaded.snapshot {
            Some(snapshot) => {
                self.log.write(host, Level::Notice, &format!("reloaded: {}", describe(&snapshot)));
                self.snapshot.store(Arc::new(snapshot));
            }
            None => {
                let (errors, _) = loaded.report.count();
                let kept = describe(&self.snapshot.load());
                let text = format!(
                    "not reloaded because of {errors} error(s), listed above; still in force: {kept}"
                );
                self.log.write(host, Level::Error, &text);
            }
        }
    }

    /// The broker's loop turns; called up to thousands of times a second.
    pub fn tick(&self, host: &dyn Host) {
        self.reauth.tick();
        self.log.tick(host);
        let kicks = match self.kicks.try_lock() {
            Ok(mut kicks) if !kicks.is_empty() => std::mem::take(&mut *kicks),
            _ => return,
        };
        for name in kicks {
            host.kick(&name);
        }
    }

    /// Writes a line to the broker's log, from whichever thread.
    pub fn log(&self, host: &dyn Host, level: Level, text: &str) {
        self.log.write(host, level, text);
    }

    /// Panics for the topic that the test chose.
    #[cfg(debug_assertions)]
    #[expect(clippy::panic, reason = "that is its purpose, and release builds do not have it")]
    fn fault(&self, request: &Request<'_>) {
        if let (Some(fault), Request::Publish { topic, .. }) = (&self.fault, request)
            && fault == topic
        {
            panic!("the fault that was asked for");
        }
    }
}

/// Says who was refused and why. Everything that the client sent is quoted.
fn refused_line(login: &Login<'_>, refused: &Refused<'_>) -> String {
    let name = login.username.map_or_else(String::new, |name| format!(" as `{name}`"));
    format!("log-in refused: client `{}`{name}: {refused}", login.client_id)
}

/// What is in force, in a few words.
fn describe(snapshot: &Snapshot) -> String {
    format!("{} device(s), revision {}", snapshot.devices().len(), snapshot.revision())
}

/// One line for each finding.
fn write_report(log: &log::Log, host: &dyn Host, report: &Report) {
    for found @ Diagnostic { severity, .. } in report {
        let level = match severity {
            Severity::Error => Level::Error,
            Severity::Warning => Level::Warning,
        };
        log.write(host, level, &found.to_string());
    }
}

/// Refuses to guard a broker that admits clients by itself.
fn refuse_identity_options() -> Result<(), StartError> {
    let unreadable = StartError::UnreadableBrokerConfiguration;
    let command_line = std::fs::read("/proc/self/cmdline")
        .map_err(|error| unreadable(format!("/proc/self/cmdline: {error}")))?;
    // Without a configuration file there is no listener that could have the option.
    let Some(path) = mosquitto_conf::path_in_command_line(&command_line) else { return Ok(()) };
    let directives = mosquitto_conf::read(&path).map_err(|error| unreadable(error.to_string()))?;
    match mosquitto_conf::identity_options(&directives).next() {
        None => Ok(()),
        Some(found) => Err(StartError::IdentityOption {
            place: format!("{}:{}", found.file.display(), found.line),
            option: found.key.clone(),
        }),
    }
}
