//! Files that the command makes for the broker: their owners and modes.

use std::{
    fs::{DirBuilder, File, Permissions},
    io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, fchown},
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
    /// The broker's user and group, if this is root and there are such.
    user: Option<u32>,
    group: Option<u32>,
}

impl Files {
    pub(crate) fn for_broker() -> Self {
        let root = nix::unistd::geteuid().is_root();
        let group = nix::unistd::Group::from_name(BROKER_GROUP).ok().flatten().filter(|_| root);
        let user = nix::unistd::User::from_name(BROKER_USER).ok().flatten().filter(|_| root);
        Self { user: user.map(|user| user.uid.as_raw()), group: group.map(|group| group.gid.as_raw()) }
    }

    /// A folder, made with its parents if it is missing, and finished if an interrupted run has begun it.
    pub(crate) fn folder(&self, path: &Path, mode: Mode) -> Result<(), Failure> {
        const BEGUN: u32 = 0o700;
        let made = || -> io::Result<()> {
            if !path.is_dir() {
                DirBuilder::new().recursive(true).mode(BEGUN).create(path)?;
            }
            // By its handle: the path may lead elsewhere a moment later.
            let folder = File::open(path)?;
            let found = folder.metadata()?;
            if found.mode() & 0o7777 != BEGUN || found.uid() != nix::unistd::geteuid().as_raw() {
                return Ok(());
            }
            if let Some(group) = self.group {
                fchown(&folder, None, Some(group))?;
            }
            let bits = if mode == Mode::Public { 0o755 } else { 0o750 };
            folder.set_permissions(Permissions::from_mode(bits))
        };
        made().map_err(|error| Failure::file(path, &error))
    }

    /// A folder in which the broker's user writes: its own, 0750. One that is there is kept as it is.
    pub(crate) fn state(&self, path: &Path) -> io::Result<Wrote> {
        if path.is_dir() {
            return Ok(Wrote::Kept);
        }
        DirBuilder::new().recursive(true).mode(0o750).create(path)?;
        if let (Some(user), Some(group)) = (self.user, self.group) {
            fchown(&File::open(path)?, Some(user), Some(group))?;
        }
        Ok(Wrote::New)
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
        let (bits, group) = match mode {
            Mode::Public => (0o644, None),
            Mode::Shared => (0o640, self.group),
        };
        Ok(Locked::new(path)?.replace_as(content, bits, group)?)
    }
}
