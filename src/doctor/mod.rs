//! What is wrong with a broker as it is configured: mosquitto.conf with its includes, and every file that it names.
//!
//! ```text
//! mosquitto_conf::read_all ─▶ Setup: listeners, bridges, user ─▶ examinations, one file each ─▶ Finding
//!                                                                                               code, line, help, fix
//! ```
//!
//! Nothing here asks the broker, opens a connection or changes a file; [`fix`] tells what could be changed. Of a broker
//! that runs it is looked at when it was started, and what its plugin says of itself.
//! Mosquitto's behaviour is that of 2.0.11 to 2.1.2; where they differ the finding says so.
#![forbid(unsafe_code)]

mod authority;
mod certificate;
mod clock;
mod code;
mod crl;
mod finding;
pub mod fix;
mod folder;
mod guard;
mod key;
mod lines;
mod listeners;
mod passwords;
mod paths;
mod pem;
mod reach;
mod rights;
mod running;
mod setup;
mod signature;
mod tls;

use std::path::PathBuf;

use crate::{
    clock::UnixSeconds,
    mosquitto_conf::{self, Named, ReadError},
};

pub use code::Code;
pub use finding::Finding;
pub use pem::{Cert, certificates};
pub use reach::{Blocked, BrokerUser, Want};
pub use setup::{Bridge, Listener, Setup, is_ours, is_plugin};

/// What is examined.
#[derive(Clone, Debug)]
pub struct Case {
    /// The files that the broker is started with.
    pub named: Named,
    /// The time that certificates are judged by.
    pub now: UnixSeconds,
    /// citronella.toml of this machine, if there is one: then the broker should load the plugin.
    pub citronella: Option<PathBuf>,
}

/// What was found.
#[derive(Debug)]
pub struct Examination {
    /// The broker as it is configured.
    pub setup: Setup,
    /// In the order of the configuration.
    pub findings: Vec<Finding>,
}

/// Examines a broker's configuration.
///
/// # Errors
///
/// The file that the broker is started with cannot be read.
pub fn examine(case: &Case) -> Result<Examination, ReadError> {
    let mut reading = mosquitto_conf::read_all(&case.named);
    if let Some(at) = reading.unread.iter().position(|(asked, _)| asked.is_none()) {
        return Err(reading.unread.swap_remove(at).1);
    }
    let setup = Setup::of(&reading);
    let mut exam = Exam { setup: &setup, now: case.now, findings: Vec::new() };
    exam.clock();
    exam.lines(&reading);
    exam.paths();
    exam.listeners();
    exam.guard(case.citronella.as_deref());
    exam.running();
    exam.tls();
    exam.passwords();
    let mut findings = exam.findings;
    // As people read the files; what speaks of no line comes first.
    let rank = |found: &Finding| {
        let place = found.place.as_ref()?;
        let file = setup.files.iter().position(|file| file == place.0.path());
        Some((file.unwrap_or(usize::MAX), place.1.start))
    };
    findings.sort_by_key(rank);
    let mut seen = std::collections::HashSet::new();
    findings.retain(|found| seen.insert(found.to_string()));
    Ok(Examination { setup, findings })
}

/// An examination under way.
struct Exam<'a> {
    setup: &'a Setup,
    now: UnixSeconds,
    findings: Vec<Finding>,
}

impl Exam<'_> {
    fn push(&mut self, finding: Finding) {
        self.findings.push(finding);
    }
}
