//! The append-only record of what was issued and revoked: one JSON object per line, on disk before anything
//! it speaks of leaves the process.
//!
//! ```text
//! {"event":"opened","at":"2026-11-22T16:00:00Z","version":1,"fleet":"home"}
//! {"event":"reserved","at":"…","serial":"4a…","kind":"device","name":"thunder10"}
//! {"event":"issued","at":"…","serial":"4a…","sha256":"5f…","kind":"device","name":"thunder10","not_before":"…","not_after":"…"}
//! {"event":"revoked","at":"…","serial":"4a…","reason":"keyCompromise"}
//! {"event":"crl","at":"…","number":1}
//! ```
//!
//! A serial that is reserved but never issued belongs to a command that was killed; it is not used again.
//! A last line without its end was torn by a kill: nothing it announced happened, so the next writer removes it.
#![forbid(unsafe_code)]

use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{
    profile::{Kind, Period},
    reason::Reason,
    store::{self, FileError, Lock},
    when,
};

const VERSION: u32 = 1;

/// One line.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub(crate) enum Event {
    /// The first line.
    Opened {
        #[serde(with = "when")]
        at: Timestamp,
        version: u32,
        /// The domain in devices' URIs.
        fleet: String,
    },
    /// This serial is taken.
    Reserved {
        #[serde(with = "when")]
        at: Timestamp,
        serial: String,
        kind: Kind,
        name: String,
    },
    /// This certificate exists.
    Issued {
        #[serde(with = "when")]
        at: Timestamp,
        serial: String,
        sha256: String,
        kind: Kind,
        name: String,
        #[serde(with = "when")]
        not_before: Timestamp,
        #[serde(with = "when")]
        not_after: Timestamp,
    },
    /// It is not to be accepted any more.
    Revoked {
        #[serde(with = "when")]
        at: Timestamp,
        serial: String,
        reason: Reason,
    },
    /// A revocation list with this number may exist.
    Crl {
        #[serde(with = "when")]
        at: Timestamp,
        number: u64,
    },
}

/// What the ledger knows of one serial. In JSON its dates and fingerprint stand beside its name.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Entry {
    /// Lower-case hexadecimal, 32 digits for those we made.
    pub serial: String,
    /// What it is for.
    pub kind: Kind,
    /// The common name.
    pub name: String,
    /// `None` when the command that reserved the serial was killed before the certificate left it.
    #[serde(flatten)]
    pub certificate: Option<Recorded>,
    /// When and why it was revoked.
    pub revoked: Option<Revoked>,
}

/// What is known once a certificate exists.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Recorded {
    /// Of the DER, lower-case hexadecimal.
    pub sha256: String,
    /// When it was made.
    #[serde(with = "when")]
    pub issued_at: Timestamp,
    /// From when to when it is valid.
    #[serde(flatten)]
    pub period: Period,
}

/// A revocation.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Revoked {
    /// When it was recorded.
    #[serde(with = "when")]
    pub at: Timestamp,
    /// Why.
    pub reason: Reason,
}

/// How a certificate stands at some moment. What comes first in this list wins.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Revoked.
    Revoked,
    /// Its making was interrupted; nobody has it.
    Unfinished,
    /// Too old.
    Expired,
    /// Its first second is yet to come: a clock is wrong.
    Future,
    /// Fine.
    Valid,
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Revoked => "revoked",
            Self::Unfinished => "unfinished",
            Self::Expired => "expired",
            Self::Future => "future",
            Self::Valid => "valid",
        })
    }
}

impl Entry {
    /// How it stands at `now`.
    #[must_use]
    pub fn state(&self, now: Timestamp) -> State {
        match &self.certificate {
            _ if self.revoked.is_some() => State::Revoked,
            None => State::Unfinished,
            Some(made) if now > made.period.not_after => State::Expired,
            Some(made) if now < made.period.not_before => State::Future,
            Some(_) => State::Valid,
        }
    }

    /// Whether it is valid at `now` but not after `span`.
    #[must_use]
    pub fn expires_within(&self, span: jiff::SignedDuration, now: Timestamp) -> bool {
        let later = now.checked_add(span);
        self.state(now) == State::Valid && later.is_ok_and(|later| self.state(later) == State::Expired)
    }
}

/// Why the ledger cannot be used.
#[derive(Debug, Error)]
pub enum LedgerError {
    /// The file system refused.
    #[error(transparent)]
    File(#[from] FileError),
    /// A line in the middle is damaged, or this program is older than the ledger.
    #[error("{}:{line}: this line of the ledger cannot be read: {why}", path.display())]
    Line {
        /// The ledger.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
    /// No first line.
    #[error("{} is empty or not a ledger", .0.display())]
    NoLedger(PathBuf),
}

/// The ledger as read so far.
#[derive(Debug)]
pub(crate) struct Ledger {
    path: PathBuf,
    fleet: String,
    entries: Vec<Entry>,
    /// Serial to place in `entries`.
    places: HashMap<String, usize>,
    /// Bytes and lines that were read and are whole.
    read_bytes: u64,
    read_lines: usize,
    torn: bool,
    /// Of the last revocation list, or 0.
    crl_number: u64,
}

impl Ledger {
    /// Writes a new ledger with its first line, in place of any that is there.
    pub(crate) fn create(path: &Path, fleet: &str, at: Timestamp, _lock: &Lock) -> Result<Self, LedgerError> {
        let opened = Event::Opened { at, version: VERSION, fleet: fleet.to_owned() };
        store::replace(path, &line(&opened), store::PRIVATE)?;
        Self::open(path)
    }

    /// Reads it. A torn last line is left alone, for its writer may be at work.
    pub(crate) fn open(path: &Path) -> Result<Self, LedgerError> {
        let mut ledger = Self {
            path: path.to_owned(),
            fleet: String::new(),
            entries: Vec::new(),
            places: HashMap::new(),
            read_bytes: 0,
            read_lines: 0,
            torn: false,
            crl_number: 0,
        };
        ledger.refresh()?;
        if ledger.fleet.is_empty() {
            return Err(LedgerError::NoLedger(path.to_owned()));
        }
        Ok(ledger)
    }

    /// Reads what others wrote since.
    pub(crate) fn refresh(&mut self) -> Result<(), LedgerError> {
        let mut text = Vec::new();
        let mut read = || -> io::Result<()> {
            let mut file = File::open(&self.path)?;
            file.seek(SeekFrom::Start(self.read_bytes))?;
            file.read_to_end(&mut text)?;
            Ok(())
        };
        read().map_err(store::at("read", &self.path))?;
        self.torn = text.last().is_some_and(|byte| *byte != b'\n');
        for whole in text.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n")) {
            let event =
                serde_json::from_slice(whole).map_err(|error| self.broken(self.read_lines + 1, error))?;
            self.accept(event, whole.len())?;
        }
        Ok(())
    }

    /// Adds one line and waits until it is on the disk. What a kill tore off before is removed first.
    pub(crate) fn append(&mut self, event: Event, lock: &Lock) -> Result<(), LedgerError> {
        self.append_all(vec![event], lock)
    }

    /// The same for several lines; a kill may leave the first of them only.
    pub(crate) fn append_all(&mut self, events: Vec<Event>, _lock: &Lock) -> Result<(), LedgerError> {
        self.refresh()?;
        let end = self.read_bytes;
        let mut bytes = Vec::new();
        for event in events {
            let line = line(&event);
            // Before the disk: what contradicts the ledger must not get into it.
            if let Err(error) = self.accept(event, line.len()) {
                *self = Self::open(&self.path)?;
                return Err(error);
            }
            bytes.extend(line);
        }
        let write = || -> io::Result<()> {
            let mut file = OpenOptions::new().write(true).open(&self.path)?;
            file.set_len(end)?;
            file.seek(SeekFrom::End(0))?;
            file.write_all(&bytes)?;
            file.sync_all()
        };
        if let Err(error) = write() {
            let error = store::at("write", &self.path)(error);
            // What did not reach the disk did not happen.
            *self = Self::open(&self.path)?;
            return Err(error.into());
        }
        self.torn = false;
        Ok(())
    }

    /// Takes the next line in, which is that many bytes long.
    fn accept(&mut self, event: Event, bytes: usize) -> Result<(), LedgerError> {
        let number = self.read_lines + 1;
        self.apply(event).map_err(|why| self.broken(number, why))?;
        self.read_lines = number;
        self.read_bytes += u64::try_from(bytes).unwrap_or_default();
        Ok(())
    }

    fn broken(&self, line: usize, why: impl ToString) -> LedgerError {
        LedgerError::Line { path: self.path.clone(), line, why: why.to_string() }
    }

    fn apply(&mut self, event: Event) -> Result<(), &'static str> {
        match event {
            Event::Opened { version, fleet, .. } => {
                if version != VERSION {
                    return Err("it was made by a newer version");
                }
                if self.read_lines > 0 || fleet.is_empty() {
                    return Err("an opening line stands first and names its fleet");
                }
                self.fleet = fleet;
            }
            _ if self.fleet.is_empty() => return Err("the opening line is missing"),
            Event::Reserved { serial, kind, name, .. } => {
                if self.knows(&serial) {
                    return Err("its serial was used before");
                }
                self.places.insert(serial.clone(), self.entries.len());
                self.entries.push(Entry { serial, kind, name, certificate: None, revoked: None });
            }
            Event::Issued { at, serial, sha256, not_before, not_after, .. } => {
                let entry = self.entry_mut(&serial).ok_or("its serial was never reserved")?;
                if entry.certificate.is_some() {
                    return Err("its serial was issued before");
                }
                let period = Period { not_before, not_after };
                entry.certificate = Some(Recorded { sha256, issued_at: at, period });
            }
            Event::Revoked { at, serial, reason } => {
                let entry = self.entry_mut(&serial).ok_or("its serial was never reserved")?;
                entry.revoked.get_or_insert(Revoked { at, reason });
            }
            Event::Crl { number, .. } => {
                if number <= self.crl_number {
                    return Err("its number is not above the last one's");
                }
                self.crl_number = number;
            }
        }
        Ok(())
    }

    fn entry_mut(&mut self, serial: &str) -> Option<&mut Entry> {
        let place = self.places.get(serial)?;
        self.entries.get_mut(*place)
    }

    pub(crate) fn knows(&self, serial: &str) -> bool {
        self.places.contains_key(serial)
    }

    /// By serial or SHA-256, both in lower-case hexadecimal.
    pub(crate) fn find(&self, id: &str) -> Option<&Entry> {
        let by_serial = self.places.get(id).and_then(|place| self.entries.get(*place));
        by_serial.or_else(|| {
            self.entries.iter().find(|entry| entry.certificate.as_ref().is_some_and(|made| made.sha256 == id))
        })
    }

    /// In the order of their making.
    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(crate) fn crl_number(&self) -> u64 {
        self.crl_number
    }

    pub(crate) fn fleet(&self) -> &str {
        &self.fleet
    }

    /// Whether the last line was torn when it was last read.
    pub(crate) fn is_torn(&self) -> bool {
        self.torn
    }
}

/// An event with its line end.
fn line(event: &Event) -> Vec<u8> {
    // Strings and numbers only: there is nothing in an event that JSON cannot say.
    let mut bytes = serde_json::to_vec(event).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

#[cfg(test)]
mod tests;
