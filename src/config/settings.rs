//! What is neither rule nor device.

use std::path::{Path, PathBuf};

use super::{
    identity::{self, IdentitySource},
    reader::{Entry, Reader, Value, entries},
    records::{Audit, Metrics},
};
use crate::{
    diag::{Code, Place},
    fs,
    policy::WideSubscribe,
};

/// Most threads that compute hashes; each may take 256 MiB of memory.
const MAX_WORKERS: u32 = 16;

const WORKERS_HELP: &str = "one is enough for most; each may need the memory of the largest argon2id hash";

/// `[registry]`, `[auth]`, `[identity]`, `[state]`, `[compat]` and `[check]`, with defaults for what is not written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settings {
    /// The folder of the settings file, which relative paths start at.
    folder: PathBuf,
    /// `[registry] file`; `devices.toml` beside the settings.
    pub registry_file: PathBuf,
    /// `[auth] password_file`
    pub password_file: Option<PathBuf>,
    /// `[auth] workers`: threads that compute slow hashes, from 1 to 16.
    pub workers: usize,
    /// `[auth] hash_budget`: milliseconds of each second that the broker's thread may compute hashes.
    pub hash_budget: u32,
    /// `[identity] certificate`, in its order: the first that a certificate has decides. The common name alone.
    pub certificate: Vec<IdentitySource>,
    /// `[identity] client_id`
    pub client_ids: ClientIds,
    /// `[identity] default_certificates`
    pub default_certificates: DefaultCertificates,
    /// `[identity] on_expiry`
    pub on_expiry: OnExpiry,
    /// `[limits] kick_rate`: devices in a second whose sessions are ended because their rights shrink.
    pub kick_rate: u32,
    /// `[limits] file_mib`, in bytes: the largest registry and the largest password file that are read.
    pub file_bytes: u64,
    /// `[state] directory`: where the plugin writes; [`STATE_DIRECTORY`].
    pub state_directory: PathBuf,
    /// `[compat] wide_subscribe`
    pub wide_subscribe: WideSubscribe,
    /// `[compat] identity_options`: whether listeners may name clients without asking us.
    pub identity_options: bool,
    /// `[compat] per_listener_settings`: whether a broker may run with it that never calls the tick then.
    pub per_listener_settings: bool,
    /// `[audit]`
    pub audit: Audit,
    /// `[metrics]`
    pub metrics: Metrics,
    /// `[check] allow`, in its order.
    pub allowances: Vec<Allowance>,
}

/// What happens to a session whose certificate expires while it is up.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum OnExpiry {
    /// `"disconnect"`: it ends.
    #[default]
    Disconnect,
    /// `"keep"`: it goes on until the client leaves.
    Keep,
}

/// `[limits] kick_rate` unless the settings say otherwise: a fleet of 10,000 is through in some minutes, and the
/// broker sees no storm.
pub const KICK_RATE: u32 = 50;

const MAX_KICK_RATE: u32 = 100_000;

/// Of [`fs::LARGEST_FILE_BYTES`]. A million devices with a kilobyte each are a quarter of it.
const MAX_FILE_MIB: u32 = 4_096;

const MIB: u64 = fs::LARGEST_FILE_BYTES / 4_096;

/// Where the plugin writes unless the settings say otherwise.
pub const STATE_DIRECTORY: &str = "/var/lib/citronella";

/// A warning of `citronella check` that somebody has thought about: an item of `[check] allow`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Allowance {
    /// The kind of warning.
    pub code: Code,
    /// The role, device or user that it is about, or the filter as written; `None` for all of the kind.
    pub at: Option<Box<str>>,
    /// Why it is as it should be; not blank.
    pub reason: Box<str>,
    /// Where the item begins.
    pub place: Place,
}

/// Who may use which client id.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ClientIds {
    /// `"any"`: everybody uses what they like.
    Any,
    /// `"protect"`: nobody uses what belongs to another device.
    #[default]
    Protect,
    /// `"device"`: everybody uses their own.
    Device,
}

/// What a device with neither `certificates` nor a password accepts.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum DefaultCertificates {
    /// `"none"`
    #[default]
    None,
    /// `"any"`: all that the listener's CA signed and that name it.
    Any,
}

impl Settings {
    /// The defaults for a settings file at `path`.
    pub(super) fn beside(path: &Path) -> Self {
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        Self {
            registry_file: folder.join("devices.toml"),
            folder,
            password_file: None,
            workers: 1,
            hash_budget: 250,
            certificate: vec![IdentitySource::CommonName],
            client_ids: ClientIds::default(),
            default_certificates: DefaultCertificates::default(),
            on_expiry: OnExpiry::default(),
            kick_rate: KICK_RATE,
            file_bytes: fs::MAX_FILE_BYTES,
            state_directory: PathBuf::from(STATE_DIRECTORY),
            wide_subscribe: WideSubscribe::default(),
            identity_options: false,
            per_listener_settings: false,
            audit: Audit::default(),
            metrics: Metrics::default(),
            allowances: Vec::new(),
        }
    }

    pub(super) fn registry(&mut self, reader: &mut Reader, entry: &Entry<'_, '_>) {
        let Some(table) = reader.table(entry.key, entry.value) else { return };
        for inner in entries(table) {
            match inner.key {
                "file" => {
                    if let Some(path) = self.path(reader, &inner) {
                        self.registry_file = path;
                    }
                }
                _ => reader.unknown_key(&inner, &["file"]),
            }
        }
    }

    pub(super) fn auth(&mut self, reader: &mut Reader, entry: &Entry<'_, '_>) {
        let Some(table) = reader.table(entry.key, entry.value) else { return };
        for inner in entries(table) {
            match inner.key {
                "password_file" => self.password_file = self.path(reader, &inner),
                "workers" => {
                    let number = reader.number(inner.key, inner.value, MAX_WORKERS);
                    if number == Some(0) {
                        reader.error_help(inner.value.span(), "`workers` must be at least 1", WORKERS_HELP);
                    }
                    self.workers = number.and_then(|number| usize::try_from(number).ok()).unwrap_or(1);
                }
                "hash_budget" => {
                    self.hash_budget = reader.number(inner.key, inner.value, 1_000).unwrap_or(0);
                }
                _ => reader.unknown_key(&inner, &["password_file", "workers", "hash_budget"]),
            }
        }
    }

    fn path(&self, reader: &mut Reader, entry: &Entry<'_, '_>) -> Option<PathBuf> {
        let text = reader.string(entry.key, entry.value)?;
        if text.text.is_empty() || text.text.contains('\0') {
            reader.error(text.span, format!("`{}` must be a path", entry.key));
            return None;
        }
        Some(self.folder.join(text.text))
    }

    pub(super) fn identity(&mut self, reader: &mut Reader, entry: &Entry<'_, '_>) {
        let Some(table) = reader.table(entry.key, entry.value) else { return };
        for inner in entries(table) {
            match inner.key {
                "certificate" => self.certificate = identity::certificate(reader, &inner),
                "client_id" => {
                    let known = [
                        ("protect", ClientIds::Protect),
                        ("device", ClientIds::Device),
                        ("any", ClientIds::Any),
                    ];
                    self.client_ids = reader.choice(inner.key, inner.value, &known).unwrap_or_default();
                }
                "default_certificates" => {
                    let known = [("none", DefaultCertificates::None), ("any", DefaultCertificates::Any)];
                    self.default_certificates =
                        reader.choice(inner.key, inner.value, &known).unwrap_or_default();
                }
                "on_expiry" => {
                    let known = [("disconnect", OnExpiry::Disconnect), ("keep", OnExpiry::Keep)];
                    self.on_expiry = reader.choice(inner.key, inner.value, &known).unwrap_or_default();
                }
                _ => reader
                    .unknown_key(&inner, &["certificate", "client_id", "default_certificates", "on_expiry"]),
            }
        }
    }

    pub(super) fn limits(&mut self, reader: &mut Reader, entry: &Entry<'_, '_>) {
        let Some(table) = reader.table(entry.key, entry.value) else { return };
        for inner in entries(table) {
            match inner.key {
                "kick_rate" => {
                    let rate = reader.number(inner.key, inner.value, MAX_KICK_RATE);
                    if rate == Some(0) {
                        reader.error_help(
                            inner.value.span(),
                            "`kick_rate` is 0, so no session would ever end",
                            "write 1 or more",
                        );
                    }
                    self.kick_rate = rate.unwrap_or(KICK_RATE).max(1);
                }
                "file_mib" => {
                    let mib = reader.number(inner.key, inner.value, MAX_FILE_MIB);
                    if mib == Some(0) {
                        reader.error_help(
                            inner.value.span(),
                            "`file_mib` is 0, so no registry could be read",
                            "write 1 or more",
                        );
                    }
                    // After that mistake one is enough: it shall not be followed by others about every file.
                    self.file_bytes =
                        mib.filter(|mib| *mib > 0).map_or(fs::MAX_FILE_BYTES, |mib| u64::from(mib) * MIB);
                }
                _ => reader.unknown_key(&inner, &["kick_rate", "file_mib"]),
            }
        }
    }

    pub(super) fn state(&mut self, reader: &mut Reader, entry: &Entry<'_, '_>) {
        let Some(table) = reader.table(entry.key, entry.value) else { return };
        for inner in entries(table) {
            match inner.key {
                "directory" => {
                    if let Some(path) = self.path(reader, &inner) {
                        self.state_directory = path;
                    }
                }
                _ => reader.unknown_key(&inner, &["directory"]),
            }
        }
    }

    pub(super) fn compat(&mut self, reader: &mut Reader, entry: &Entry<'_, '_>) {
        let Some(table) = reader.table(entry.key, entry.value) else { return };
        for inner in entries(table) {
            match inner.key {
                "wide_subscribe" => {
                    let known = [("strict", WideSubscribe::Strict), ("filter", WideSubscribe::Filter)];
                    self.wide_subscribe = reader.choice(inner.key, inner.value, &known).unwrap_or_default();
                }
                "identity_options" => {
                    self.identity_options = reader.boolean(inner.key, inner.value).unwrap_or_default();
                }
                "per_listener_settings" => {
                    self.per_listener_settings = reader.boolean(inner.key, inner.value).unwrap_or_default();
                }
                _ => reader
                    .unknown_key(&inner, &["wide_subscribe", "identity_options", "per_listener_settings"]),
            }
        }
    }

    pub(super) fn check(&mut self, reader: &mut Reader, entry: &Entry<'_, '_>) {
        let Some(table) = reader.table(entry.key, entry.value) else { return };
        for inner in entries(table) {
            match (inner.key, inner.value.get_ref().as_array()) {
                ("allow", Some(items)) => {
                    self.allowances = items.iter().filter_map(|item| allowance(reader, item)).collect();
                }
                ("allow", None) => {
                    reader.error_help(
                        inner.value.span(),
                        "`allow` must be an array of tables",
                        ALLOWANCE_HELP,
                    );
                }
                _ => reader.unknown_key(&inner, &["allow"]),
            }
        }
    }
}

/// An item of `[check] allow`.
fn allowance(reader: &mut Reader, item: &Value<'_>) -> Option<Allowance> {
    let Some(table) = item.get_ref().as_table() else {
        reader.error_help(item.span(), "`allow` holds tables", ALLOWANCE_HELP);
        return None;
    };
    let (mut code, mut at, mut reason) = (None, None, None);
    for inner in entries(table) {
        match inner.key {
            "code" => {
                let known = Code::ALL.map(|code| (code.as_str(), code));
                code = reader.choice(inner.key, inner.value, &known);
            }
            "at" => at = reader.string(inner.key, inner.value).map(|text| text.text.into()),
            "reason" => reason = reader.string(inner.key, inner.value),
            _ => reader.unknown_key(&inner, &["code", "at", "reason"]),
        }
    }
    if table.get("code").is_none() {
        reader.error_help(item.span(), "this does not say which warning it allows", ALLOWANCE_HELP);
    }
    if table.get("reason").is_none() {
        reader.error_help(item.span(), "this does not say why the warning is allowed", ALLOWANCE_HELP);
    }
    let reason = reason?;
    if reason.text.trim().is_empty() {
        reader.error_help(
            reason.span,
            "`reason` says nothing",
            "write why this is as it should be, for whoever reads it next",
        );
        return None;
    }
    Some(Allowance { code: code?, at, reason: reason.text.into(), place: reader.place(item.span().start) })
}

const ALLOWANCE_HELP: &str = "write `{ code = \"allow-everything\", at = \"ROLE OR DEVICE\", reason = \"…\" }` with the word in brackets that the warning ends with";
