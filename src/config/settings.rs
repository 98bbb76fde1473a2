//! What is neither rule nor device.

use std::path::{Path, PathBuf};

use super::{
    reader::{Entry, Reader, Value, entries},
    records::{Audit, Metrics},
};
use crate::{
    diag::{Code, Place},
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

/// Where in a certificate a device's name stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum IdentitySource {
    /// `"cn"`: the common name of the subject.
    CommonName,
    /// `"san-dns"`: the DNS name among the subject's alternative names.
    SanDns,
    /// `{ san-uri = "PREFIX" }`: what follows the prefix in the alternative name that is a URI and starts with it.
    SanUri {
        /// At least one character.
        prefix: Box<str>,
    },
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
                "certificate" => self.certificate = certificate(reader, &inner),
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
                _ => reader.unknown_key(&inner, &["certificate", "client_id", "default_certificates"]),
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

/// The sources of `certificate`: an array, or one of its items alone.
fn certificate(reader: &mut Reader, entry: &Entry<'_, '_>) -> Vec<IdentitySource> {
    let items = match entry.value.get_ref().as_array() {
        Some(items) => items.iter().collect(),
        None => vec![entry.value],
    };
    if items.is_empty() {
        reader.error_help(
            entry.value.span(),
            "`certificate` is empty, so no certificate could name a device",
            "write where the name stands, or take the line out for the default `[\"cn\"]`",
        );
    }
    let mut sources: Vec<IdentitySource> = Vec::new();
    for item in items {
        let Some(source) = identity_source(reader, item) else { continue };
        if sources.contains(&source) {
            reader.error_help(
                item.span(),
                "this stands here twice",
                "the first that a certificate has decides",
            );
        } else {
            sources.push(source);
        }
    }
    sources
}

fn identity_source(reader: &mut Reader, item: &super::reader::Value<'_>) -> Option<IdentitySource> {
    if let Some(table) = item.get_ref().as_table() {
        if table.is_empty() {
            reader.error_help(item.span(), "this table is empty", URI_HELP);
        }
        let mut source = None;
        for inner in entries(table) {
            if inner.key == "san-uri" {
                let text = reader.string(inner.key, inner.value)?;
                if text.text.is_empty() {
                    reader.error_help(text.span, "`san-uri` needs a prefix", URI_HELP);
                } else {
                    source = Some(IdentitySource::SanUri { prefix: text.text.into() });
                }
            } else {
                reader.unknown_key(&inner, &["san-uri"]);
            }
        }
        return source;
    }
    let text = reader.string("certificate", item)?;
    match text.text {
        "cn" => Some(IdentitySource::CommonName),
        "san-dns" => Some(IdentitySource::SanDns),
        "san-uri" => {
            reader.error_help(text.span, "`san-uri` needs a prefix", URI_HELP);
            None
        }
        other => {
            let message = format!("`certificate` cannot be `{other}`");
            reader.unknown_word(&text, message, ["cn", "san-dns", "san-uri"]);
            None
        }
    }
}

const URI_HELP: &str = "write `{ san-uri = \"urn:dev:\" }` with what stands before the name";
