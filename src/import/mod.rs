//! From what Mosquitto's own access control reads (`acl_file`, `password_file`, dynamic-security JSON) to settings and
//! a registry of ours.
//!
//! Access here is what messages a client can send and get. Nobody gets more of it than the source gives; where the
//! source's meaning cannot be kept there is less of it, and a [`Note`] that names the line.
//!
//! ```text
//! acl_file ──────┐
//! password_file ─┼─▶ read, all mistakes at once ─▶ Draft ─▶ citronella.toml, devices.toml, renames.toml
//! dynsec JSON ───┘                                   └────▶ notes
//! ```
#![forbid(unsafe_code)]

mod acl_file;
mod dynsec;
mod filters;
mod from_acl;
mod from_dynsec;
mod names;
mod notes;
mod passwords;
mod write;

pub use names::Renames;
pub use notes::{Code, Loss, Note};

use std::{path::Path, sync::Arc};

use crate::diag::{Diagnostic, Report, Source};

/// A file that is read, and its text.
#[derive(Clone, Copy)]
pub struct File<'a> {
    /// As it is cited.
    pub path: &'a Path,
    /// All of it.
    pub text: &'a str,
}

/// What is imported.
#[derive(Clone, Copy)]
pub enum Sources<'a> {
    /// `acl_file`, `password_file`, or both.
    Files {
        /// Who may do what.
        acl: Option<File<'a>>,
        /// Who may connect.
        passwords: Option<File<'a>>,
    },
    /// `dynamic-security.json`
    Dynsec(File<'a>),
}

/// Whose reading of `%c` and `%u` is kept: releases differ.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Meaning {
    /// Only what all releases agree on.
    #[default]
    Both,
    /// That of 2.0.
    V2_0,
    /// That of 2.1.
    V2_1,
}

/// What is up to whoever imports.
#[derive(Clone, Copy, Debug, Default)]
pub struct Choices {
    /// See there.
    pub meaning: Meaning,
    /// Whether clients without a name are admitted, with what the source gives them.
    pub anonymous: bool,
    /// Whether clients that were bound to a client id are admitted with any.
    pub unbound: bool,
}

/// What came of an import: three texts, and what is not as it was.
pub struct Imported {
    /// `citronella.toml`
    pub settings: String,
    /// `devices.toml`; holds hashes.
    pub devices: String,
    /// `renames.toml`
    pub renames: String,
    /// In the order of the source's lines.
    pub notes: Vec<Note>,
    /// Everybody who was imported.
    pub people: Vec<Person>,
    /// Every filter of the source with its line, as it is written there.
    pub filters: Vec<(String, u32)>,
}

/// Somebody in the source.
#[derive(Clone, Debug)]
pub struct Person {
    /// What the source calls them.
    pub name: String,
    /// What they are called here.
    pub device: String,
    /// The only client id that the source admits them with.
    pub client_id: Option<String>,
    /// Where they stand first.
    line: u32,
    /// Of their password.
    hash: Option<String>,
}

impl Person {
    /// Clients without a name.
    #[must_use]
    pub fn anonymous() -> Self {
        let name = crate::ident::ANONYMOUS.to_owned();
        Self { device: name.clone(), name, client_id: None, line: 0, hash: None }
    }
}

/// Reads, translates and writes; nothing if the report has an error then.
///
/// `renames` is the table of an earlier run, or an empty one; names that cannot stay and are not in it are added.
pub fn import(
    sources: Sources<'_>,
    renames: Renames,
    choices: Choices,
    report: &mut Report,
) -> Option<Imported> {
    let (draft, renames) = match sources {
        Sources::Files { acl, passwords } => from_acl::draft(acl, passwords, (renames, choices), report),
        Sources::Dynsec(file) => from_dynsec::draft(file, (renames, choices), report),
    }?;
    if report.has_errors() {
        return None;
    }
    let (settings, devices) = (write::settings(&draft), write::devices(&draft));
    let mut notes = draft.notes;
    notes.sort_by_key(|note| note.line);
    Some(Imported {
        settings,
        devices,
        renames: renames.to_toml(),
        notes,
        people: draft.people,
        filters: draft.filters,
    })
}

/// An error that blames a whole line.
fn mistake(source: &Arc<Source>, span: std::ops::Range<usize>, message: impl Into<String>) -> Diagnostic {
    Diagnostic::error(source, span, message)
}
