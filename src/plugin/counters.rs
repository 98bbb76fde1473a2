//! What happened since the start, in numbers. Plain atomics that every thread bumps and nobody waits for; an
//! allowed check costs one addition that no other thread takes part in.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{Presented, locked};
use crate::{clock::UnixSeconds, policy::Request, registry::State, snapshot::Snapshot};

mod families;
mod publish;

pub use publish::Publisher;

/// Counts something that happens.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// It happened once more.
    pub fn add(&self) {
        self.add_many(1);
    }

    /// The same, if nobody else adds to this counter at any time: a tenth of the time, and a lost count otherwise.
    pub fn add_alone(&self) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    /// It happened so many times more.
    pub fn add_many(&self, times: u64) {
        self.0.fetch_add(times, Ordering::Relaxed);
    }

    /// How often it happened.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// It is this now.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// What it is.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// All of them.
#[derive(Debug, Default)]
pub struct Counters {
    /// New clients.
    pub log_ins: LogIns,
    /// Sessions about which the broker asked again after SIGHUP.
    pub sessions: Rechecks,
    /// Questions about topics.
    pub checks: Checks,
    /// Devices whose sessions were closed.
    pub kicks: Kicks,
    /// Changes of the files.
    pub reloads: Reloads,
    /// Verifications of passwords that computed a hash.
    pub hashes: Durations,
    /// Log-ins with a password, by whether it was remembered.
    pub memory: Memory,
    /// Log-ins refused for now because of those that failed before.
    pub throttled: Counter,
    /// Log-ins refused for now because hashing had its share of the time, or the queue was full.
    pub postponed: Counter,
    /// Log-ins that wait for a hash to be computed.
    pub queue: Gauge,
    /// Records of the audit.
    pub audit: Audit,
    /// Faults, of which there should be none.
    pub internal_errors: InternalErrors,
    /// What is in force.
    in_force: Mutex<Option<InForce>>,
}

/// By what the client showed.
#[derive(Debug, Default)]
pub struct LogIns {
    /// A certificate and no password.
    pub certificate: Results,
    /// A password and no certificate.
    pub password: Results,
    /// Both.
    pub both: Results,
    /// Neither.
    pub neither: Results,
}

impl LogIns {
    /// The counters for who showed this.
    #[must_use]
    pub fn of(&self, certificate: Shown, password: Shown) -> &Results {
        match (certificate, password) {
            (Shown::Yes, Shown::No) => &self.certificate,
            (Shown::No, Shown::Yes) => &self.password,
            (Shown::Yes, Shown::Yes) => &self.both,
            (Shown::No, Shown::No) => &self.neither,
        }
    }
}

/// Whether a credential was shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Shown {
    /// It was.
    Yes,
    /// It was not.
    No,
}

impl Shown {
    /// What was shown, in one word.
    #[must_use]
    pub fn word(certificate: Self, password: Self) -> &'static str {
        match (certificate, password) {
            (Self::Yes, Self::No) => "certificate",
            (Self::No, Self::Yes) => "password",
            (Self::Yes, Self::Yes) => "both",
            (Self::No, Self::No) => "none",
        }
    }
}

impl<T> From<Option<T>> for Shown {
    fn from(credential: Option<T>) -> Self {
        if credential.is_some() { Self::Yes } else { Self::No }
    }
}

impl From<Presented<'_>> for Shown {
    fn from(certificate: Presented<'_>) -> Self {
        if certificate == Presented::None { Self::No } else { Self::Yes }
    }
}

/// How log-ins ended.
#[derive(Debug, Default)]
pub struct Results {
    /// Welcome.
    pub admitted: Counter,
    /// Not welcome, for good.
    pub refused: Counter,
    /// Refused for now: throttled, or no time for its hash.
    pub postponed: Counter,
}

/// What became of sessions that were asked about again.
#[derive(Debug, Default)]
pub struct Rechecks {
    /// Still welcome.
    pub kept: Counter,
    /// Welcome no longer.
    pub ended: Counter,
}

/// By what was asked.
#[derive(Debug, Default)]
pub struct Checks {
    publish: Answers,
    deliver: Answers,
    subscribe: Answers,
    unsubscribe: Answers,
}

/// How questions were answered.
#[derive(Debug, Default)]
pub struct Answers {
    /// Yes.
    pub allowed: Counter,
    /// Yes, too. Only the broker's loop adds to it.
    pub allowed_in_loop: Counter,
    /// No.
    pub refused: Counter,
}

impl Checks {
    /// The counters for such a request.
    #[must_use]
    pub fn of(&self, request: &Request<'_>) -> &Answers {
        match request {
            Request::Publish { .. } => &self.publish,
            Request::Receive { .. } => &self.deliver,
            Request::Subscribe { .. } => &self.subscribe,
            Request::Unsubscribe { .. } => &self.unsubscribe,
        }
    }
}

/// By why.
#[derive(Debug, Default)]
pub struct Kicks {
    /// The device may not connect any more, or not with what it showed.
    pub locked_out: Counter,
    /// It may do less than before: its sessions are to subscribe again.
    pub shrunk: Counter,
}

/// By what came of them.
#[derive(Debug, Default)]
pub struct Reloads {
    /// In force now.
    pub loaded: Counter,
    /// Mistakes; what was in force before still is.
    pub failed: Counter,
    /// Removes too much to be believed, and waits for SIGHUP.
    pub held: Counter,
}

/// By whether the right password was known from before.
#[derive(Debug, Default)]
pub struct Memory {
    /// It was: nothing had to be computed.
    pub hits: Counter,
    /// It was not.
    pub misses: Counter,
}

/// Records of the audit.
#[derive(Debug, Default)]
pub struct Audit {
    /// On their way to the file or the log.
    pub written: Counter,
    /// Too many of one kind and address; their number is in the record.
    pub summed: Counter,
    /// Lost: the queue was full, or the file could not be written.
    pub dropped: Counter,
}

/// What was refused or given up because of a fault and not by a decision.
#[derive(Debug, Default)]
pub struct InternalErrors {
    /// Panics of the plugin.
    pub panics: Counter,
    /// Events that were not what the broker promises.
    pub events: Counter,
}

/// How often something took how long.
#[derive(Debug, Default)]
pub struct Durations {
    /// One for each of [`Self::BOUNDS_MS`], and one for what takes longer.
    buckets: [Counter; 10],
    /// Microseconds.
    total: Counter,
}

impl Durations {
    /// Upper bounds of the buckets in milliseconds. One hash takes from a few microseconds (`$6$`) to seconds.
    pub const BOUNDS_MS: [u64; 9] = [1, 5, 10, 25, 50, 100, 250, 500, 1_000];

    /// It took this long.
    pub fn add(&self, took: Duration) {
        let bucket = Self::BOUNDS_MS.iter().position(|bound| took <= Duration::from_millis(*bound));
        if let Some(bucket) = self.buckets.get(bucket.unwrap_or(Self::BOUNDS_MS.len())) {
            bucket.add();
        }
        self.total.add_many(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }
}

/// Of the snapshot in force.
#[derive(Debug)]
struct InForce {
    revision: String,
    since: UnixSeconds,
    /// In the order of [`State::WORDS`].
    devices: Vec<(State, u64)>,
}

impl Counters {
    /// This snapshot is in force, since `now` unless it was before. For the broker's thread: it counts no devices.
    pub fn in_force(&self, snapshot: &Snapshot, now: UnixSeconds) {
        let revision = snapshot.revision();
        let mut in_force = locked(&self.in_force);
        if in_force.as_ref().is_some_and(|known| known.revision == revision) {
            return;
        }
        let devices = snapshot.devices_by_state().map(|(state, number)| (state, number.into())).collect();
        *in_force = Some(InForce { revision: revision.to_owned(), since: now, devices });
    }
}

#[cfg(test)]
mod tests;
