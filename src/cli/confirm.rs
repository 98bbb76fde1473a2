//! Waiting until the plugin has a change in force, or telling why it has not.

use std::{
    fmt, io,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use citronella::{
    snapshot::Snapshot,
    status::{self, Attempt, Status, now_ms},
};
use serde::Serialize;

use super::{
    check,
    output::{Outcome, Output},
    world::World,
};

/// How a verb that changes who may connect waits for the broker.
#[derive(clap::Args)]
pub(crate) struct Wait {
    /// Do not wait until the broker has the change in force
    #[arg(long)]
    no_wait: bool,
    /// How many seconds to wait for that
    #[arg(long = "wait", value_name = "SECONDS", default_value_t = 5, conflicts_with = "no_wait")]
    seconds: u16,
}

/// Between two looks at the status.
const PAUSE: Duration = Duration::from_millis(20);

/// What the broker has made of a change.
#[derive(Debug, Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub(crate) enum Confirmed {
    /// It decides by it.
    InForce {
        /// Of the snapshot that decides.
        revision: String,
    },
    /// No plugin runs that could take it.
    NotRunning,
    /// Nobody was asked.
    NotAsked,
    /// The plugin has not taken it, or cannot be asked.
    Unconfirmed {
        /// Why, in one line.
        reason: String,
    },
}

impl fmt::Display for Confirmed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InForce { revision } => write!(f, "the broker has it in force (revision {revision})"),
            Self::NotRunning => {
                f.write_str(
                    "no plugin runs with these files yet; the broker reads them when it starts: `sudo systemctl restart mosquitto` \
                     (`citronella status` and `doctor` say what is missing)",
                )
            }
            Self::NotAsked => f.write_str("a broker that runs takes it by itself; it was not asked"),
            Self::Unconfirmed { reason } => write!(f, "it is in the files, and not in force: {reason}"),
        }
    }
}

impl Confirmed {
    /// Tells people, and what a script is to think of it: 1 for a change that a running broker has not taken.
    pub(crate) fn tell(&self, output: &Output) -> Outcome {
        match self {
            Self::InForce { .. } | Self::NotRunning | Self::NotAsked => {
                output.say(self);
                Outcome::Yes
            }
            Self::Unconfirmed { .. } => {
                output.warn(&self.to_string());
                Outcome::No
            }
        }
    }
}

/// A change that is about to be made.
pub(crate) struct Change {
    begun_ms: u64,
}

impl Change {
    /// To be called before the files are written.
    pub(crate) fn begin() -> Self {
        Self { begun_ms: now_ms() }
    }

    /// Waits until the plugin says that it has the files in force as they are; `changed` is what they come to.
    pub(crate) fn confirm(&self, world: &World, changed: &Snapshot, wait: &Wait) -> Confirmed {
        if wait.no_wait {
            return Confirmed::NotAsked;
        }
        let folder = &changed.settings().state_directory;
        match status::is_running(folder) {
            Ok(true) => {}
            Ok(false) => return Confirmed::NotRunning,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Confirmed::NotRunning,
            Err(error) => {
                let reason =
                    format!("{} cannot be read ({error}); ask with sudo citronella status", folder.display());
                return Confirmed::Unconfirmed { reason };
            }
        }
        let deadline = Instant::now() + Duration::from_secs(wait.seconds.into());
        let (mut wanted, mut compared) = (changed.revision().to_owned(), String::new());
        loop {
            let read = status::read(folder);
            if let Ok(status) = &read {
                let revision = &status.in_force.revision;
                if *revision == wanted {
                    return Confirmed::InForce { revision: wanted };
                }
                if let Some(reason) = self.refused(status, &wanted) {
                    return Confirmed::Unconfirmed { reason };
                }
                if compared != *revision && status.in_force.since_ms >= self.begun_ms {
                    // Somebody else has changed the files as well, and the plugin has taken both at once.
                    compared.clone_from(revision);
                    if let Ok(now) = check::load(world) {
                        now.revision().clone_into(&mut wanted);
                        continue;
                    }
                }
            }
            if Instant::now() >= deadline {
                let reason = match read {
                    Err(error) => error.to_string(),
                    Ok(status) => late(world, wait.seconds, &status),
                };
                return Confirmed::Unconfirmed { reason };
            }
            thread::sleep(PAUSE);
        }
    }

    /// What keeps the plugin from taking the change, if it has looked at it.
    fn refused(&self, status: &Status, wanted: &str) -> Option<String> {
        match &status.attempt {
            Attempt::Refused { at_ms, mistakes, errors } if *at_ms >= self.begun_ms => Some(format!(
                "the plugin cannot use the files because of {errors} error(s): {}",
                mistakes.join("; ")
            )),
            Attempt::Waiting { revision, reason, .. } if revision == wanted => {
                Some(format!("it waits: {reason}"))
            }
            Attempt::Torn { reason, .. } => Some(format!("it waits: {reason}")),
            Attempt::Loaded { .. } | Attempt::Refused { .. } | Attempt::Waiting { .. } => None,
        }
    }
}

/// The time is over.
fn late(world: &World, seconds: u16, status: &Status) -> String {
    if !is_same(&status.config, world.config()) {
        return format!("the plugin that runs guards with {}", status.config.display());
    }
    format!(
        "after {seconds} s the plugin still has revision {}; the broker's log says what it does",
        status.in_force.revision
    )
}

fn is_same(one: &Path, other: &Path) -> bool {
    one.canonicalize().ok().is_some_and(|one| other.canonicalize().is_ok_and(|other| one == other))
}
