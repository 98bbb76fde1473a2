//! With whose rights a device's folder is written.
//!
//! `sudo citronella device add` writes into a folder that somebody else owns, who can put a link in the place of
//! anything there at any instant. So root writes there as that somebody: the kernel then refuses what is not theirs.

use std::{fs, io, marker::PhantomData, os::unix::fs::MetadataExt as _, path::Path};

use nix::unistd::{Gid, Uid, setfsgid, setfsuid};

use super::output::Failure;

/// Whoever called sudo.
#[derive(Clone, Copy)]
struct Caller {
    user: Uid,
    group: Gid,
}

impl Caller {
    /// Nobody unless this is root on behalf of somebody else.
    fn of_sudo() -> Option<Self> {
        let id = |variable| std::env::var(variable).ok()?.parse::<u32>().ok();
        let caller = Self { user: Uid::from_raw(id("SUDO_UID")?), group: Gid::from_raw(id("SUDO_GID")?) };
        (nix::unistd::geteuid().is_root() && !caller.user.is_root()).then_some(caller)
    }
}

/// While this lives, this thread opens, makes and renames files with the rights chosen for a folder.
pub(crate) struct Rights {
    /// Root's own, to go back to.
    before: Option<(Uid, Gid)>,
    /// They are this thread's.
    _here: PhantomData<*const ()>,
}

impl Rights {
    /// Those of sudo's caller; root's own where the caller may not write and nobody but root can change anything.
    ///
    /// # Errors
    ///
    /// The folder is not there, or cannot be written.
    pub(crate) fn for_folder(folder: &Path) -> Result<Self, Failure> {
        Self::that_can(folder, |folder| tempfile::tempfile_in(folder).map(drop))
    }

    /// The same for a folder that is only read, on a medium that cannot be written perhaps.
    ///
    /// # Errors
    ///
    /// The folder is not there, or cannot be read.
    pub(crate) fn to_read(folder: &Path) -> Result<Self, Failure> {
        // Its files cannot be opened without the right to pass through, either.
        Self::that_can(folder, |folder| {
            fs::read_dir(folder).and_then(|_| fs::metadata(folder.join("."))).map(drop)
        })
    }

    fn that_can(folder: &Path, try_it: impl Fn(&Path) -> io::Result<()>) -> Result<Self, Failure> {
        let own = || Self { before: None, _here: PhantomData };
        let rights = Caller::of_sudo().map_or_else(own, Self::of);
        match try_it(folder) {
            Ok(()) => Ok(rights),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied && rights.before.is_some() => {
                drop(rights);
                if !matches!(is_roots(folder), Ok(true)) {
                    return Err(Failure::file(folder, &error));
                }
                try_it(folder).map_err(|error| Failure::file(folder, &error))?;
                Ok(own())
            }
            Err(error) => Err(Failure::file(folder, &error)),
        }
    }

    fn of(caller: Caller) -> Self {
        // The group first: afterwards root's thread has no right to change it.
        let group = setfsgid(caller.group);
        let user = setfsuid(caller.user);
        Self { before: Some((user, group)), _here: PhantomData }
    }
}

impl Drop for Rights {
    fn drop(&mut self) {
        if let Some((user, group)) = self.before {
            setfsuid(user);
            setfsgid(group);
        }
    }
}

/// Whether nobody but root can move or replace anything in `folder`, or the folder itself.
fn is_roots(folder: &Path) -> io::Result<bool> {
    const WRITABLE_BY_OTHERS: u32 = 0o022;
    const STICKY: u32 = 0o1000;
    let folder = fs::canonicalize(folder)?;
    for above in folder.ancestors() {
        let found = fs::metadata(above)?;
        let closed = found.mode() & WRITABLE_BY_OTHERS == 0 || found.mode() & STICKY != 0;
        if found.uid() != 0 || !closed {
            return Ok(false);
        }
    }
    Ok(true)
}
