//! From the files to a snapshot, or to everything that is wrong with them.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use sha2::{Digest as _, Sha256};

use super::{
    Snapshot, Unlisted,
    devices::{Devices, Entry, number},
};
use crate::{
    config::{self, Config, DefaultCertificates, RoleId},
    diag::{Diagnostic, Report},
    fs::{self, Holds, ReadError},
    password,
    policy::{Attributes, Index},
    registry::{self, Certificates, Device, Password, Registry},
};

/// Digits of a revision: enough to tell any two that ever were.
const REVISION_DIGITS: usize = 12;

/// Whether who may write and read the files is judged.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Permissions {
    /// What strangers can write is not used; neither root nor the user of this process is one.
    Judge,
    /// The same as the broker's user would see it, whoever asks.
    JudgeFor {
        /// Number of the user whom the broker runs as.
        user: u32,
    },
    /// For files that are not in use, such as a draft in a home folder.
    Ignore,
}

/// What came of loading.
pub struct Loaded {
    /// Nothing if the report has an error.
    pub snapshot: Option<Snapshot>,
    /// Every mistake and warning of all files.
    pub report: Report,
    /// The files that were read or looked for, also without a snapshot.
    pub files: Vec<PathBuf>,
    /// One of them could not be read, and may be later though nothing changes about it.
    pub try_again: bool,
}

impl Snapshot {
    /// Reads the settings at `config_path` and the files they name. It is all or nothing: one error anywhere
    /// and there is no snapshot, but everything that is wrong is in the report.
    #[must_use]
    pub fn load(config_path: &Path, permissions: Permissions) -> Loaded {
        Self::load_from(config_path, Files::new(permissions))
    }

    /// Whether the files still have the content that this was made of. It takes much less than loading them.
    #[must_use]
    pub fn is_current(&self) -> bool {
        let mut files = Files::new(Permissions::Ignore);
        for path in &self.files {
            let Ok(text) = fs::read(path, self.settings.file_bytes) else { return false };
            files.add(&text.text);
        }
        files.revision() == self.revision
    }

    /// As [`Self::load`] without judging permissions, with `registry` in the place of the registry file's content:
    /// what would be loaded if that were written.
    #[must_use]
    pub fn load_with_registry(config_path: &Path, registry: &str) -> Loaded {
        Self::load_from(
            config_path,
            Files { registry: Some(registry.to_owned()), ..Files::new(Permissions::Ignore) },
        )
    }

    /// As [`Self::load`] without judging permissions and without the password file: all that decisions need.
    #[must_use]
    pub fn load_rules(config_path: &Path) -> Loaded {
        Self::load_from(config_path, Files { hashes: false, ..Files::new(Permissions::Ignore) })
    }

    fn load_from(config_path: &Path, mut files: Files) -> Loaded {
        let snapshot = load(config_path, &mut files);
        let Files { report, read, try_again, .. } = files;
        Loaded { snapshot: snapshot.filter(|_| !report.has_errors()), report, files: read, try_again }
    }
}

fn load(config_path: &Path, files: &mut Files) -> Option<Snapshot> {
    let named_by = if config_path.exists() {
        "it is to be a file like the one that `citronella init` makes"
    } else {
        "`citronella init` makes one"
    };
    let text = files.read(config_path, Holds::Rules, named_by)?;
    let config = config::parse(config_path, &text, &mut files.report);

    files.file_bytes = config.settings.file_bytes;
    let registry_file = config.settings.registry_file.clone();
    let mut registry = match files.registry(&registry_file) {
        Some(text) => registry::read::parse(&registry_file, &text, &config, &mut files.report),
        None => Registry::default(),
    };
    let mut unlisted = Vec::new();
    if let Some(path) = &config.settings.password_file
        && files.hashes
        && let Some(text) = files.read(path, Holds::Hashes, "`[auth] password_file` in the settings names it")
    {
        unlisted = add_password_file(&mut registry, path, &text, &mut files.report);
    }
    if files.report.has_errors() {
        return None;
    }
    let mut snapshot = compile(config, registry);
    snapshot.unlisted = unlisted;
    snapshot.revision = files.revision();
    snapshot.files.clone_from(&files.read);
    Some(snapshot)
}

/// The files read so far.
struct Files {
    permissions: Permissions,
    /// Taken for the content of the registry file.
    registry: Option<String>,
    /// Whether the password file is read.
    hashes: bool,
    /// The largest registry and password file.
    file_bytes: u64,
    read: Vec<PathBuf>,
    digest: Sha256,
    report: Report,
    try_again: bool,
}

impl Files {
    fn new(permissions: Permissions) -> Self {
        Self {
            permissions,
            registry: None,
            hashes: true,
            file_bytes: fs::MAX_FILE_BYTES,
            read: Vec::new(),
            digest: Sha256::new(),
            report: Report::new(),
            try_again: false,
        }
    }

    fn registry(&mut self, path: &Path) -> Option<String> {
        match self.registry.take() {
            Some(text) => {
                self.read.push(path.to_owned());
                self.add(&text);
                Some(text)
            }
            None => self.read(path, Holds::Hashes, "`[registry] file` in the settings names it"),
        }
    }

    fn add(&mut self, text: &str) {
        // The length keeps two files from being taken for one; it has as many bytes on every machine.
        self.digest.update(u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
        self.digest.update(text);
    }

    fn read(&mut self, path: &Path, holds: Holds, named_by: &str) -> Option<String> {
        let limit = if holds == Holds::Hashes { self.file_bytes } else { fs::MAX_FILE_BYTES };
        let read = fs::read(path, limit);
        self.read.push(path.to_owned());
        match read {
            Ok(text) => {
                let user = match self.permissions {
                    Permissions::Judge => Some(fs::this_user()),
                    Permissions::JudgeFor { user } => Some(user),
                    Permissions::Ignore => None,
                };
                if let Some(user) = user {
                    self.report.extend(fs::judge(path, &text.metadata, holds, user));
                }
                self.add(&text.text);
                Some(text.text)
            }
            Err(error) => {
                self.try_again |= error.is_passing();
                let help = if error.is_permission_denied() {
                    "only root and members of the file's group read it; try it with sudo"
                } else if matches!(error, ReadError::TooLarge { .. }) && holds == Holds::Hashes {
                    "`[limits] file_mib` in the settings allows more; loading takes some three times the file's size of memory"
                } else {
                    named_by
                };
                self.report.push(Diagnostic::general(error.to_string()).help(help));
                None
            }
        }
    }

    fn revision(&self) -> String {
        let digest = self.digest.clone().finalize();
        let mut digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        digits.truncate(REVISION_DIGITS);
        digits
    }
}

/// Gives the hashes of the password file to their devices; returns the users who are no devices.
fn add_password_file(registry: &mut Registry, path: &Path, text: &str, report: &mut Report) -> Vec<Unlisted> {
    let (source, users) = password::file::parse(path, text, report);
    let mut unlisted = Vec::new();
    for user in users {
        let Some(device) = registry.get_mut(&user.name) else {
            let place = source.place(user.span.start);
            unlisted.push(Unlisted { name: user.name, place });
            continue;
        };
        if device.password.is_some() {
            let message = format!("`{}` has a password here and another at {}", user.name, device.place());
            report.push(Diagnostic::error(&source, user.span, message).help("take one of them out"));
        } else {
            device.password = Some(Box::new(Password { hash: user.hash, generated: false }));
        }
    }
    unlisted
}

fn compile(config: Config, mut registry: Registry) -> Snapshot {
    if config.settings.default_certificates == DefaultCertificates::Any {
        for device in registry.iter_mut().filter(|device| device.password.is_none()) {
            device.certificates.get_or_insert(Certificates::Any);
        }
    }
    let costliest =
        registry.iter().filter_map(Device::password).max_by_key(|hash| hash.cost()).map(|hash| hash.kind());
    let names = registry.iter().map(|device| device.name().as_str());
    let longest_name_bytes = names.map(str::len).max().unwrap_or_default();
    let mut indexes = Indexes { config: &config, by_roles: HashMap::default(), compiled: Vec::new() };
    let entries: Vec<Entry> = registry
        .into_devices()
        .map(|(device, own)| Entry { roles: indexes.of_roles(device.roles()), device, own })
        .collect();
    let devices = Devices::new(entries.into_iter(), indexes.compiled);
    let anonymous = config.anonymous.as_ref().map(|block| Index::compile(std::slice::from_ref(block)));
    let quarantine = config.roles.quarantine().map_or_else(Vec::new, |role| {
        let whole = config.roles.expand(&[role]);
        whole.iter().filter_map(|role| config.roles.block(*role)).map(Arc::clone).collect()
    });
    let quarantine = Index::compile(&quarantine);
    let reads_client_ids = devices.reads_client_ids()
        || quarantine.reads_client_id()
        || anonymous.as_ref().is_some_and(Index::reads_client_id);
    Snapshot {
        reads_client_ids,
        quarantine,
        anonymous,
        devices,
        longest_name_bytes,
        no_attributes: Attributes::default(),
        costliest,
        unlisted: Vec::new(),
        revision: String::new(),
        files: Vec::new(),
        settings: config.settings,
        roles: config.roles,
    }
}

/// One index for all devices whose roles come to the same.
struct Indexes<'c> {
    config: &'c Config,
    /// To places in `compiled`.
    by_roles: HashMap<Box<[RoleId]>, u32, foldhash::fast::RandomState>,
    compiled: Vec<Index>,
}

impl Indexes<'_> {
    fn of_roles(&mut self, roles: &[RoleId]) -> u32 {
        let whole = self.config.roles.expand(roles);
        if let Some(known) = self.by_roles.get(&whole) {
            return *known;
        }
        let blocks: Vec<_> = whole
            .iter()
            .filter_map(|role| self.config.roles.block(*role))
            .chain(&self.config.everyone)
            .map(Arc::clone)
            .collect();
        let own = number(self.compiled.len());
        self.compiled.push(Index::compile(&blocks));
        self.by_roles.insert(whole, own);
        own
    }
}
