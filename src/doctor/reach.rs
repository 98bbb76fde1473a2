//! What the broker's user can open: it drops root's rights before it reads any file that its configuration names.

use std::{
    fs::{self, Metadata},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use nix::unistd::{Uid, User};

/// The user with whose rights the broker reads.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BrokerUser {
    /// As in `user`, or what stands in for it.
    pub name: String,
    /// None if there is no such user on this machine.
    pub ids: Option<Ids>,
}

/// Of a user.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ids {
    /// Of the user.
    pub user: u32,
    /// All of the user's groups, the own one first.
    pub groups: Vec<u32>,
}

/// Why the broker's user gets no further.
#[derive(Debug)]
pub struct Blocked {
    /// The file, or a folder on the way to it.
    pub at: PathBuf,
    /// Its owner and mode.
    pub metadata: Metadata,
    /// False of a folder on the way.
    pub is_file: bool,
}

/// What is to be done with a file or folder.
#[derive(Clone, Copy, Debug)]
pub enum Want {
    /// Its content is read.
    Read = 4,
    /// It is changed; of a folder, what stands in it.
    Write = 2,
    /// What stands in a folder is looked up.
    Enter = 1,
}

impl BrokerUser {
    /// The user of the `user` line, which is `mosquitto` if there is none.
    #[must_use]
    pub fn find(named: Option<&str>) -> Self {
        let name = named.unwrap_or("mosquitto").to_owned();
        let found = User::from_name(&name).ok().flatten();
        // The broker falls back so if its usual user is missing (mosquitto.c).
        let found = found
            .or_else(|| (name == "mosquitto").then(|| User::from_name("nobody").ok().flatten()).flatten());
        let ids = found.map(|user| {
            let mut groups = vec![user.gid.as_raw()];
            let name = std::ffi::CString::new(user.name).unwrap_or_default();
            if let Ok(more) = nix::unistd::getgrouplist(&name, user.gid) {
                groups.extend(more.into_iter().map(nix::unistd::Gid::as_raw));
            }
            Ids { user: user.uid.as_raw(), groups }
        });
        Self { name, ids }
    }

    /// Its main group by name, for commands.
    #[must_use]
    pub fn group(&self) -> String {
        let group = self.ids.as_ref().and_then(|ids| ids.groups.first().copied());
        group
            .and_then(|group| nix::unistd::Group::from_gid(group.into()).ok().flatten())
            .map_or_else(|| self.name.clone(), |group| group.name)
    }

    pub(super) fn may(&self, metadata: &Metadata, want: Want) -> bool {
        let Some(ids) = &self.ids else { return true };
        if ids.user == 0 {
            return true;
        }
        let bit = match want {
            Want::Read => 4,
            Want::Write => 2,
            Want::Enter => 1,
        };
        let shift = if metadata.uid() == ids.user {
            6
        } else if ids.groups.contains(&metadata.gid()) {
            3
        } else {
            0
        };
        (metadata.mode() >> shift) & bit != 0
    }

    /// Whether it can open this file, which is there.
    ///
    /// # Errors
    ///
    /// Where it gets no further.
    pub fn reaches(&self, path: &Path, want: Want) -> Result<(), Box<Blocked>> {
        // Links are followed first: what counts is the way to the real file.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let mut folders: Vec<&Path> = path.ancestors().skip(1).collect();
        folders.reverse();
        for folder in folders {
            let Ok(metadata) = fs::metadata(folder) else { continue };
            if !self.may(&metadata, Want::Enter) {
                return Err(Box::new(Blocked { at: folder.to_owned(), metadata, is_file: false }));
            }
        }
        match fs::metadata(&path) {
            Ok(metadata) if !self.may(&metadata, want) => {
                Err(Box::new(Blocked { at: path, metadata, is_file: true }))
            }
            _ => Ok(()),
        }
    }
}

impl Blocked {
    /// As `0600 root:root`.
    #[must_use]
    pub fn describe(&self) -> String {
        access(&self.metadata)
    }
}

/// Mode, owner and group, as `0600 root:root`.
pub(super) fn access(metadata: &Metadata) -> String {
    let user = User::from_uid(Uid::from_raw(metadata.uid())).ok().flatten();
    let user = user.map_or_else(|| metadata.uid().to_string(), |user| user.name);
    let group = nix::unistd::Group::from_gid(metadata.gid().into()).ok().flatten();
    let group = group.map_or_else(|| metadata.gid().to_string(), |group| group.name);
    format!("{:04o} {user}:{group}", metadata.mode() & 0o7777)
}
