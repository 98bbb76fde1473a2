//! Who could change or read a file behind our back.

use std::{
    fs::Metadata,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use crate::diag::{Code, Diagnostic};

/// What a file holds; decides whether strangers may read it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Holds {
    /// Settings and rules.
    Rules,
    /// Password hashes.
    Hashes,
}

/// The user of this process.
#[must_use]
pub fn this_user() -> u32 {
    nix::unistd::geteuid().as_raw()
}

/// What is wrong with the permissions of a file and of the folder that holds it.
///
/// Whoever can write the policy is the policy. So it is an error if the file belongs to a stranger (neither
/// root nor `user`, the one whom the broker runs as), if others may write it, or if a group may write it that is
/// neither root's nor the owner's own (for the user of this process, the group of this process). The same holds
/// for the folder, because who can rename there can replace the file; a sticky folder such as `/tmp`
/// lets only owners rename and passes. That others can read a file with hashes is a warning.
///
/// The folder is that of the file `path` leads to after symbolic links. Empty if all is well.
#[must_use]
pub fn judge(path: &Path, metadata: &Metadata, holds: Holds, user: u32) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let shown = path.display();
    if let Some(fault) = writer(metadata, user) {
        found.push(
            Diagnostic::general(format!("`{shown}` {}", fault.words()))
                .help(format!("{} `{shown}`", fault.remedy())),
        );
    }
    if holds == Holds::Hashes && metadata.mode() & 0o004 != 0 {
        found.push(
            Diagnostic::general(format!("`{shown}` holds password hashes and everybody can read it"))
                .warns(Code::WorldReadable)
                .help(format!("chmod o-rwx `{shown}`")),
        );
    }
    if let Some((folder, metadata)) = folder_of(path)
        && let Some(fault) = writer(&metadata, user)
        && (metadata.mode() & STICKY == 0 || matches!(fault, Fault::Stranger(_)))
    {
        let folder = folder.display();
        found.push(
            Diagnostic::general(format!(
                "the folder `{folder}` {}, so `{shown}` can be replaced",
                fault.words()
            ))
            .help(format!("{} `{folder}`", fault.remedy())),
        );
    }
    found
}

/// Only owners may rename and remove in such a folder.
const STICKY: u32 = 0o1000;

enum Fault {
    Stranger(u32),
    Others,
    Group(u32),
}

impl Fault {
    fn words(&self) -> String {
        match self {
            Self::Stranger(owner) => {
                format!("belongs to user {owner}, who is neither root nor the broker's user")
            }
            Self::Others => "can be written by everybody".to_owned(),
            Self::Group(group) => format!("can be written by all members of group {group}"),
        }
    }

    fn remedy(&self) -> &'static str {
        match self {
            Self::Stranger(_) => "chown root",
            Self::Others => "chmod o-w",
            Self::Group(_) => "chmod g-w",
        }
    }
}

fn writer(metadata: &Metadata, user: u32) -> Option<Fault> {
    let (owner, group, mode) = (metadata.uid(), metadata.gid(), metadata.mode());
    if owner != 0 && owner != user {
        return Some(Fault::Stranger(owner));
    }
    if mode & 0o002 != 0 {
        return Some(Fault::Others);
    }
    if mode & 0o020 != 0 && group != 0 && primary_group(owner) != Some(group) {
        return Some(Fault::Group(group));
    }
    None
}

/// The owner's own group, as the user database says; none for a user it does not know.
fn primary_group(user: u32) -> Option<u32> {
    if user == this_user() {
        return Some(nix::unistd::getegid().as_raw());
    }
    let known = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(user)).ok()??;
    Some(known.gid.as_raw())
}

fn folder_of(path: &Path) -> Option<(PathBuf, Metadata)> {
    let folder = path.canonicalize().ok()?.parent()?.to_owned();
    let metadata = std::fs::metadata(&folder).ok()?;
    Some((folder, metadata))
}
