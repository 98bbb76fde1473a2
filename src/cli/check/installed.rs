//! `citronella check --installed`: owners and modes, as the broker's user will meet them.

use std::{
    fs::{self, Metadata},
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use citronella::{
    diag::{Code, Diagnostic, Report},
    doctor::{Blocked, BrokerUser, Want},
    fs::{Holds, judge},
    snapshot::Loaded,
};

use super::super::{output::Failure, shell, world::World};

/// The user that the broker becomes.
pub(super) fn user(name: &str) -> Result<BrokerUser, Failure> {
    let user = BrokerUser::find(Some(name));
    if user.ids.is_some() {
        return Ok(user);
    }
    Err(Failure::new(format!("there is no user `{name}` on this machine")).help(
        "`--installed=USER` names the one that the broker becomes, as the `user` line in mosquitto.conf does",
    ))
}

/// Adds what is wrong with the files that were loaded, the broker's certificate and key, the state directory and the
/// authority's keys.
pub(super) fn judge_for(world: &World, user: &BrokerUser, loaded: &mut Loaded) {
    let mut look =
        Look { user, number: user.ids.as_ref().map_or(0, |ids| ids.user), report: &mut loaded.report };
    for path in &loaded.files {
        let holds = if path == world.config() { Holds::Rules } else { Holds::Hashes };
        look.needed(path, holds);
    }
    let tls = world.folder().join("tls");
    for name in ["ca.crt", "broker.crt", "broker.key"] {
        look.needed(&tls.join(name), Holds::Rules);
    }
    look.own_key(&tls.join("broker.key"));
    for folder in [world.pki(), world.pki().join("keys")] {
        for key in keys_in(&folder) {
            look.secret_key(&key);
        }
    }
    if let Some(snapshot) = &loaded.snapshot {
        look.state(&snapshot.settings().state_directory);
    }
}

struct Look<'a> {
    user: &'a BrokerUser,
    number: u32,
    report: &'a mut Report,
}

impl Look<'_> {
    /// Nothing if it is not there; what needs a file that is missing says so itself.
    fn metadata(&mut self, path: &Path) -> Option<Metadata> {
        match fs::metadata(path) {
            Ok(found) => Some(found),
            Err(error) => {
                if error.kind() == io::ErrorKind::PermissionDenied {
                    let message = format!("`{}` was not looked at: you may not", path.display());
                    self.report.push(Diagnostic::general(message).help("run it with sudo"));
                }
                None
            }
        }
    }

    /// Of those with one remedy the first is told: files of one folder have the same trouble with it.
    fn add(&mut self, faults: Vec<Diagnostic>) {
        for fault in faults {
            if fault.help.is_none() || !self.report.iter().any(|told| told.help == fault.help) {
                self.report.push(fault);
            }
        }
    }

    /// A file that the broker opens with its user's rights.
    fn needed(&mut self, path: &Path, holds: Holds) {
        let Some(found) = self.metadata(path) else { return };
        self.add(judge(path, &found, holds, self.number));
        if let Err(blocked) = self.user.reaches(path, Want::Read) {
            self.blocked(path, &blocked);
        }
    }

    fn blocked(&mut self, path: &Path, blocked: &Blocked) {
        let (user, group) = (&self.user.name, shell::word(&self.user.group()));
        let at = shell::path(&blocked.at);
        let (message, help) = if blocked.is_file {
            (
                format!("`{user}` cannot read `{}` ({})", path.display(), blocked.describe()),
                format!("`chgrp {group} {at} && chmod g+r {at}`"),
            )
        } else {
            let message = format!(
                "`{user}` cannot get to `{}`: `{}` is closed to it ({})",
                path.display(),
                blocked.at.display(),
                blocked.describe()
            );
            // Any other folder may be somebody's home, and closed on purpose.
            let help = if fs::canonicalize(path).is_ok_and(|real| real.parent() == Some(&*blocked.at)) {
                format!("`chgrp {group} {at} && chmod g+x {at}`")
            } else {
                "keep the files where the broker gets to, such as in `/etc/citronella`".to_owned()
            };
            (message, help)
        };
        self.add(vec![Diagnostic::general(message).fails(Code::UnreadableFile).help(help)]);
    }

    /// The key that the broker has and nobody else.
    fn own_key(&mut self, path: &Path) {
        let Some(found) = fs::metadata(path).ok().filter(|found| found.mode() & 0o004 != 0) else { return };
        let mode = found.mode() & 0o7777;
        let message =
            format!("everybody on this machine can read the broker's key `{}` ({mode:04o})", path.display());
        let help = format!("`chmod o-rwx {}`", shell::path(path));
        self.report.push(Diagnostic::general(message).fails(Code::ReadableKey).help(help));
    }

    /// A key of the authority: the broker needs none of them.
    fn secret_key(&mut self, path: &Path) {
        let Some(found) = self.metadata(path) else { return };
        if found.mode() & 0o077 == 0 && (found.uid() == 0 || found.uid() != self.number) {
            return;
        }
        let mode = found.mode() & 0o7777;
        let message = format!(
            "others than its owner, or the broker, can read the authority's key `{}` ({mode:04o})",
            path.display()
        );
        let word = shell::path(path);
        let help = if found.uid() != 0 && found.uid() == self.number {
            format!("`chown root {word} && chmod 600 {word}`")
        } else {
            format!("`chmod 600 {word}`")
        };
        self.report.push(Diagnostic::general(message).fails(Code::ReadableKey).help(help));
    }

    /// Where the plugin writes.
    fn state(&mut self, folder: &Path) {
        let (user, group) = (shell::word(&self.user.name), shell::word(&self.user.group()));
        let word = shell::path(folder);
        let shown = folder.display();
        if !folder.exists() {
            let message =
                format!("there is no folder `{shown}`, in which the plugin writes what is in force");
            let help = format!("`install -d -o {user} -g {group} -m 750 {word}`");
            self.report.push(Diagnostic::general(message).warns(Code::UnwritableState).help(help));
            return;
        }
        let Some(found) = self.metadata(folder) else { return };
        match self.user.reaches(folder, Want::Write) {
            Ok(()) => {
                self.add(judge(folder, &found, Holds::Rules, self.number));
            }
            Err(blocked) => {
                let message = format!(
                    "`{}` cannot write in `{shown}` (`{}` is {})",
                    self.user.name,
                    blocked.at.display(),
                    blocked.describe()
                );
                let help = if blocked.is_file {
                    format!("`chown {user}:{group} {word} && chmod u+rwx {word}`")
                } else {
                    "let `[state] directory` name a folder that the broker gets to, such as `/var/lib/citronella`".to_owned()
                };
                self.report.push(Diagnostic::general(message).warns(Code::UnwritableState).help(help));
            }
        }
    }
}

/// Private keys, in a folder that need not be there.
fn keys_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut keys: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "key"))
        .collect();
    keys.sort_unstable();
    keys
}
