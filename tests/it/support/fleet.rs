//! The files of a guarded broker, as people would have written them.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use super::{Authority, Kind};

/// A directory with `citronella.toml`, `devices.toml`, a password file and an authority.
pub(crate) struct Fleet {
    dir: TempDir,
    authority: Authority,
}

impl Fleet {
    /// These settings and this registry.  A password file, if the settings name one, is `passwd` beside them.
    pub(crate) fn new(settings: &str, devices: &str) -> Self {
        let dir = TempDir::with_prefix("citronella-fleet-").unwrap();
        let authority = Authority::new(&dir.path().join("authority"));
        let fleet = Self { dir, authority };
        fs::create_dir(fleet.state()).unwrap();
        fleet.write("citronella.toml", settings);
        fleet.write("devices.toml", devices);
        fleet
    }

    /// What the plugin's option names.
    pub(crate) fn config(&self) -> PathBuf {
        self.path("citronella.toml")
    }

    /// Where the plugin writes.
    pub(crate) fn state(&self) -> PathBuf {
        self.path("state")
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) const fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Replaces a file as an editor does: written beside it, renamed over it; mode 0640. Settings that name no state
    /// directory get one of their own.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let (path, fresh) = (self.path(name), self.path(&format!("{name}.new")));
        let own = name == "citronella.toml" && !text.contains("[state]");
        let state = if own { "\n[state]\ndirectory = 'state'\n" } else { "" };
        fs::write(&fresh, format!("{text}{state}")).unwrap();
        fs::set_permissions(&fresh, fs::Permissions::from_mode(0o640)).unwrap();
        fs::rename(fresh, path).unwrap();
    }

    /// Settings and registry of a fleet whose devices all have the password `right`, in `passwd`.
    #[track_caller]
    pub(crate) fn with_passwords(kind: Kind, settings: &str, devices: &str) -> Self {
        let fleet = Self::new(
            &format!("version = 1\n[auth]\npassword_file = 'passwd'\n{settings}"),
            &format!("version = 1\n{devices}"),
        );
        for name in devices.lines().filter_map(|line| line.strip_prefix('[')?.strip_suffix(']')) {
            fleet.password(kind, name, "right");
        }
        fleet
    }

    /// Enters a password into `passwd` with the broker's own `mosquitto_passwd`, as that of 2.0 does by itself.
    ///
    /// The default of 2.1 is argon2id, which has to fit into `hash_budget`: on a machine that is slow at that moment the
    /// plugin refuses for now, as it should. Tests of slow hashes make theirs, and `tests/cases` has those of 2.1.
    #[track_caller]
    pub(crate) fn password(&self, kind: Kind, name: &str, password: &str) {
        let path = self.path("passwd");
        if !path.exists() {
            self.write("passwd", "");
        }
        let output = Command::new(kind.program("mosquitto_passwd"))
            .args(["-H", "sha512-pbkdf2", "-I", "101", "-b"])
            .arg(&path)
            .args([name, password])
            .output()
            .unwrap();
        assert!(output.status.success(), "mosquitto_passwd: {output:?}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    }
}
