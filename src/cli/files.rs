//! Files that the command makes for the broker: their owners and modes.

use std::{
    fs::{self, Permissions},
    io,
    os::unix::fs::{PermissionsExt as _, chown},
    path::Path,
};

use citronella::fs::Locked;

use super::output::Failure;

/// The user that Debian's Mosquitto becomes when root starts it.
pub(crate) const BROKER_USER: &str = "mosquitto";
/// The group of that user.
const BROKER_GROUP: &str = "mosquitto";

/// Who may read what is made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Mode {
    /// Everybody: 0644.
    Public,
    /// The owner and the broker: 0640, folders 0750.
    Shared,
}

/// Whether a file was there already.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Wrote {
    New,
    Kept,
}

/// Makes files so that the broker can read them.
pub(crate) struct Files {
    /// The broker's group, if this is root and there is one.
    group: Option<u32>,
}

impl Files {
    pub(crate) fn for_broker() -> Self {
        let root = nix::unistd::geteuid().is_root();
        let group = nix::unistd::Group::from_name(BROKER_GROUP).ok().flatten().filter(|_| root);
        Self { group: group.map(|group| group.gid.as_raw()) }
    }

    /// A folder, made with its parents if it is missing.
    pub(crate) fn folder(&self, path: &Path, mode: Mode) -> Result<(), Failure> {
        if path.is_dir() {
            return Ok(());
        }
        let bits = if mode == Mode::Public { 0o755 } else { 0o750 };
        fs::create_dir_all(path)
            .and_then(|()| fs::set_permissions(path, Permissions::from_mode(bits)))
            .and_then(|()| self.give(path))
            .map_err(|error| Failure::file(path, &error))
    }

    /// Writes a file that is not there; one that is there is kept as it is.
    pub(crate) fn create(&self, path: &Path, content: &[u8], mode: Mode) -> Result<Wrote, Failure> {
        if path.exists() {
            return Ok(Wrote::Kept);
        }
        self.replace(path, content, mode)?;
        Ok(Wrote::New)
    }

    /// Writes a file, whole or not at all.
    pub(crate) fn replace(&self, path: &Path, content: &[u8], mode: Mode) -> Result<(), Failure> {
        Locked::new(path)?.replace(content)?;
        // Once it is whole; until then it is for the owner and the folder's group.
        let opened = match mode {
            Mode::Public => fs::set_permissions(path, Permissions::from_mode(0o644)),
            Mode::Shared => self.give(path),
        };
        opened.map_err(|error| Failure::file(path, &error))
    }

    fn give(&self, path: &Path) -> io::Result<()> {
        match self.group {
            Some(group) => chown(path, None, Some(group)),
            None => Ok(()),
        }
    }
}
