//! `citronella.toml`: settings, roles, and what holds for everyone and for anonymous clients.
//!
//! ```toml
//! version = 1
//!
//! [registry]
//! file = "devices.toml"                # relative to this file; this is the default
//!
//! [auth]
//! password_file = "/etc/mosquitto/passwd"
//!
//! [identity]
//! certificate = ["cn"]                 # or "san-dns", or { san-uri = "urn:dev:" } with the prefix
//! client_id = "protect"                # or "device", "any"
//! default_certificates = "none"        # or "any"
//! on_expiry = "disconnect"             # or "keep": sessions whose certificate expires
//!
//! [limits]
//! kick_rate = 50                       # devices in a second whose sessions end because their rights shrink
//! file_mib = 64                        # the largest registry or password file, 1 or more; loading takes three times the memory
//!
//! [state]
//! directory = "/var/lib/citronella"    # where the plugin writes; this is the default
//!
//! [roles.sensor]
//! publish = ["sensors/{device}/#"]
//!
//! [compat]
//! wide_subscribe = "strict"            # or "filter"
//! identity_options = false
//!
//! [audit]
//! to = "file"                          # or "log", "off"
//! max_bytes = 16777216
//!
//! [metrics]                            # in seconds; 0 for never
//! sys_interval = 10
//! file_interval = 30
//!
//! [check]                              # warnings of `citronella check` that are as they should be
//! allow = [{ code = "allow-sys", at = "monitor", reason = "it watches the broker" }]
//! ```
#![forbid(unsafe_code)]

pub(crate) mod block;
mod identity;
pub(crate) mod reader;
mod records;
pub(crate) mod roles;
mod settings;
pub(crate) mod words;

use std::{path::Path, sync::Arc};

use crate::{
    diag::Report,
    policy::{Block, Owner},
};
use block::{Asker, Draft, Taken};
use reader::{Entry, Reader, entries};

pub use block::KEYS as BLOCK_KEYS;
pub use identity::IdentitySource;
pub use records::{AUDIT_KEYS, Audit, AuditTo, METRICS_KEYS, Metrics};
pub use roles::{RoleId, Roles};
pub use settings::{
    Allowance, ClientIds, DefaultCertificates, KICK_RATE, OnExpiry, STATE_DIRECTORY, Settings,
};
pub use words::{nearest, suggestion};

/// Everything that `citronella.toml` says, checked.
#[derive(Debug)]
pub struct Config {
    /// What is neither rule nor device.
    pub settings: Settings,
    /// `[roles.NAME]`
    pub roles: Roles,
    /// `[everyone]`
    pub everyone: Option<Arc<Block>>,
    /// `[anonymous]`
    pub anonymous: Option<Arc<Block>>,
}

const SECTIONS: [&str; 13] = [
    "version",
    "registry",
    "auth",
    "identity",
    "limits",
    "state",
    "roles",
    "everyone",
    "anonymous",
    "compat",
    "audit",
    "metrics",
    "check",
];

/// Reads the text of the settings file at `path`, whose relative paths start at its folder. Mistakes go to
/// `report`; whatever is right is returned even then, so that the other files can be looked at too.
pub fn parse(path: &Path, text: &str, report: &mut Report) -> Config {
    let (mut reader, tree) = Reader::parse(path, text);
    let mut settings = Settings::beside(path);
    let mut roles = roles::Draft::default();
    let mut everyone = None;
    let mut anonymous = None;
    check_version(&mut reader, tree.get("version"));
    for entry in entries(&tree) {
        match entry.key {
            "version" => {}
            "registry" => settings.registry(&mut reader, &entry),
            "auth" => settings.auth(&mut reader, &entry),
            "identity" => settings.identity(&mut reader, &entry),
            "limits" => settings.limits(&mut reader, &entry),
            "state" => settings.state(&mut reader, &entry),
            "compat" => settings.compat(&mut reader, &entry),
            "audit" => settings.audit = Audit::read(&mut reader, &entry),
            "metrics" => settings.metrics = Metrics::read(&mut reader, &entry),
            "check" => settings.check(&mut reader, &entry),
            "roles" => roles.read(&mut reader, &entry),
            "everyone" => everyone = plain_block(&mut reader, &entry, Owner::Everyone, Asker::Named),
            "anonymous" => anonymous = plain_block(&mut reader, &entry, Owner::Anonymous, Asker::Nameless),
            _ => reader.unknown_key(&entry, &SECTIONS),
        }
    }
    let roles = roles.resolve(&mut reader);
    reader.finish(report);
    Config { settings, roles, everyone, anonymous }
}

/// Notes a version that is missing or that we do not know.
pub(crate) fn check_version(reader: &mut Reader, value: Option<&reader::Value<'_>>) {
    let Some(value) = value else {
        if !reader.is_garbled() {
            reader.error_help(0..0, "`version` is missing", "write `version = 1` in the first line");
        }
        return;
    };
    let known = value.get_ref().as_integer().map(|number| number.as_str() == "1" && number.radix() == 10);
    match known {
        Some(true) => {}
        Some(false) => reader.error_help(
            value.span(),
            "this version of the file is not known here",
            "version 1 is; a newer file needs a newer Citronella",
        ),
        None => reader.error_help(value.span(), "`version` must be a whole number", "write `version = 1`"),
    }
}

/// A block of rules that has nothing else in its table.
fn plain_block(reader: &mut Reader, entry: &Entry<'_, '_>, owner: Owner, asker: Asker) -> Option<Arc<Block>> {
    let table = reader.table(entry.key, entry.value)?;
    let mut draft = Draft::of(asker);
    for inner in entries(table) {
        if draft.take(reader, &inner) == Taken::No {
            reader.unknown_key(&inner, &block::KEYS);
        }
    }
    Some(draft.finish(reader, owner))
}

#[cfg(test)]
mod tests;
