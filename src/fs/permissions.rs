//! Who could change or read a file behind our back.

use std::{
    ffi::OsString,
    fs::Metadata,
    os::unix::fs::MetadataExt as _,
    path::{Component, Path, PathBuf},
};

use crate::diag::{Code, Diagnostic, shell_path};

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

/// What is wrong with the permissions of a file and of the folders on the way to it.
///
/// Whoever can write the policy is the policy. So it is an error if the file belongs to a stranger (neither
/// root nor `user`, the one whom the broker runs as), if others may write it, or if a group may write it that is
/// neither root's nor the owner's own (for the user of this process, the group of this process). The same holds
/// for every folder from the root down in which a part of `path` is looked up, symbolic links followed: who can
/// rename in one of them can put another file, or another link, on the way. A sticky folder such as `/tmp` lets only
/// owners rename and passes. That others can read a file with hashes is a warning.
///
/// Empty if all is well.
#[must_use]
pub fn judge(path: &Path, metadata: &Metadata, holds: Holds, user: u32) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let shown = path.display();
    if let Some(fault) = writer(metadata, user) {
        found.push(Diagnostic::general(format!("`{shown}` {}", fault.words())).help(fault.line(path)));
    }
    if holds == Holds::Hashes && metadata.mode() & 0o004 != 0 {
        found.push(
            Diagnostic::general(format!("`{shown}` may hold password hashes and everybody can read it"))
                .warns(Code::WorldReadable)
                .help(line("chmod o-rwx", path)),
        );
    }
    found.extend(judge_way(path, user));
    found
}

/// The part of [`judge`] that is about the folders on the way to a file; the file need not be there. Folders that are
/// not there either are left out.
///
/// Empty if all is well.
#[must_use]
pub fn judge_way(path: &Path, user: u32) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let shown = path.display();
    let folders = folders(path);
    for folder in &folders {
        let Ok(metadata) = std::fs::metadata(folder) else { continue };
        let Some(fault) = writer(&metadata, user) else { continue };
        if metadata.mode() & STICKY != 0 && !matches!(fault, Fault::Stranger(_)) {
            continue;
        }
        let holds_it = folders.last() == Some(folder);
        let help = if holds_it {
            fault.line(folder)
        } else {
            // That folder may be somebody's home, and right as it is.
            "keep the file where only root can change the way to it, such as in `/etc/citronella`".to_owned()
        };
        found.push(
            Diagnostic::general(format!(
                "the folder `{}` {}, so `{shown}` can be replaced",
                folder.display(),
                fault.words()
            ))
            .help(help),
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

    /// The command that mends it.
    fn line(&self, path: &Path) -> String {
        let command = match self {
            Self::Stranger(_) => "chown root",
            Self::Others => "chmod o-w",
            Self::Group(_) => "chmod g-w",
        };
        line(command, path)
    }
}

/// A line to paste, in backticks.
fn line(command: &str, path: &Path) -> String {
    format!("`{command} {}`", shell_path(path))
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

/// Each folder in which a part of `path` is looked up, from the root to the one that holds the file, without links.
fn folders(path: &Path) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = Vec::new();
    for (folder, _) in way(path) {
        // The last one stays last, wherever the way has been before.
        folders.retain(|known| *known != folder);
        folders.push(folder);
    }
    folders
}

/// The folders and the names that are looked up in them, from the root to the file, symbolic links followed.
pub(crate) fn way(path: &Path) -> Vec<(PathBuf, OsString)> {
    let Ok(whole) = std::path::absolute(path) else { return Vec::new() };
    let mut ahead: Vec<PathBuf> = Vec::new();
    let go = |ahead: &mut Vec<PathBuf>, way: &Path| {
        ahead.extend(way.components().rev().map(|part| part.as_os_str().into()));
    };
    go(&mut ahead, &whole);
    let mut here = PathBuf::from("/");
    let mut way = Vec::new();
    let mut links = 0;
    while let Some(part) = ahead.pop() {
        match part.components().next() {
            Some(Component::RootDir) => here = part,
            Some(Component::ParentDir) => drop(here.pop()),
            Some(Component::Normal(name)) => {
                way.push((here.clone(), name.to_owned()));
                let next = here.join(name);
                match std::fs::read_link(&next) {
                    Ok(target) if links < super::replace::MAX_LINKS => {
                        links += 1;
                        go(&mut ahead, &target);
                    }
                    Ok(_) | Err(_) => here = next,
                }
            }
            Some(Component::CurDir | Component::Prefix(_)) | None => {}
        }
    }
    way
}
