//! What `citronella init` makes, in a folder of its own, and the command for it.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Cmd, Outcome, plugin};

/// Of the authority's key; no output may contain it.
pub(crate) const CA_PASSPHRASE: &str = "marker-ca-3f81";

/// A folder with `etc/` and `mosquitto.conf` as `init` makes them; commands work in it.
pub(crate) struct Home {
    dir: TempDir,
}

impl Home {
    /// Nothing is there yet.
    pub(crate) fn empty() -> Self {
        Self { dir: TempDir::with_prefix("citronella-home-").unwrap() }
    }

    /// These settings and this registry, and nothing else.
    pub(crate) fn with_files(settings: &str, devices: &str) -> Self {
        let home = Self::empty();
        home.write("etc/citronella.toml", settings);
        home.write("etc/devices.toml", devices);
        home
    }

    /// `init` has run.
    #[track_caller]
    pub(crate) fn new() -> Self {
        let home = Self::empty();
        home.init(&[]).ok();
        home
    }

    /// `init` has run, and this stands in the registry instead.
    #[track_caller]
    pub(crate) fn with_devices(text: &str) -> Self {
        let home = Self::new();
        home.write("etc/devices.toml", text);
        home
    }

    /// `citronella init`, with the plugin of this build, the authority's passphrase, and more arguments.
    pub(crate) fn init(&self, more: &[&str]) -> Cmd {
        let (plugin, conf) = (plugin(), self.path("mosquitto.conf"));
        let mut arguments = vec!["init", "--plugin", plugin.to_str().unwrap()];
        if !more.contains(&"--mosquitto-conf") {
            arguments.extend(["--mosquitto-conf", conf.to_str().unwrap()]);
        }
        arguments.extend(more);
        self.cmd(&arguments)
    }

    /// `citronella --config … ARGUMENTS…`, with the authority's passphrase in the environment.
    pub(crate) fn cmd(&self, arguments: &[&str]) -> Cmd {
        self.locked(arguments).env("CITRONELLA_CA_PASSPHRASE", CA_PASSPHRASE)
    }

    /// The same without the passphrase.
    pub(crate) fn locked(&self, arguments: &[&str]) -> Cmd {
        let config = self.config();
        let mut all = vec!["--config", config.to_str().unwrap()];
        all.extend(arguments);
        Cmd::new(all).dir(self.dir())
    }

    /// A script in which `$citronella` finds these files.
    pub(crate) fn shell(&self, script: &str) -> Cmd {
        Cmd::shell(script).dir(self.dir()).env("CITRONELLA_CONFIG", self.config())
    }

    #[track_caller]
    pub(crate) fn run(&self, arguments: &[&str]) -> Outcome {
        self.cmd(arguments).run()
    }

    #[track_caller]
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        self.cmd(arguments).ok()
    }

    /// What it prints with `--format json`, whatever its status.
    #[track_caller]
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let mut all = arguments.to_vec();
        all.extend(["--format", "json"]);
        let outcome = self.run(&all);
        serde_json::from_str(&outcome.stdout).unwrap_or_else(|error| panic!("{error}: {outcome:?}"))
    }

    /// It ends with status 2, nothing on standard output, and all of this in what it says.
    #[track_caller]
    pub(crate) fn fails(&self, arguments: &[&str], says: &[&str]) {
        let outcome = self.run(arguments);
        assert_eq!((outcome.status, &*outcome.stdout), (Some(2), ""), "{arguments:?}: {outcome:?}");
        for part in says {
            assert!(outcome.stderr.contains(part), "{arguments:?} does not say `{part}`: {outcome:?}");
        }
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir().join(name)
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.path("etc/citronella.toml")
    }

    #[track_caller]
    pub(crate) fn read(&self, name: &str) -> String {
        let path = self.path(name);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    #[track_caller]
    pub(crate) fn read_bytes(&self, name: &str) -> Vec<u8> {
        let path = self.path(name);
        fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    pub(crate) fn devices(&self) -> String {
        self.read("etc/devices.toml")
    }

    /// Writes a file with mode 0640.
    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    }

    /// The permission bits.
    #[track_caller]
    pub(crate) fn mode(&self, name: &str) -> u32 {
        fs::metadata(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}")).permissions().mode()
            & 0o7777
    }

    /// Every file below, as path from here and content.
    pub(crate) fn files(&self) -> Vec<(String, Vec<u8>)> {
        let mut found = Vec::new();
        let mut folders = vec![self.dir().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let name = path.strip_prefix(self.dir()).unwrap().display().to_string();
                    found.push((name, fs::read(&path).unwrap()));
                }
            }
        }
        found.sort();
        found
    }
}
