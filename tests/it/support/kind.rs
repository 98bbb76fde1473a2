//! Which broker: one of those that `tests/brokers/fetch` provides.

use std::{
    env, fmt, fs,
    path::{Path, PathBuf},
};

/// A Mosquitto release, installed under `target/brokers/LABEL` with its own libraries.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Kind {
    label: &'static str,
    version: (u32, u32, u32),
}

impl Kind {
    /// All labels, oldest first.
    pub(crate) const LABELS: [&'static str; 3] = ["2.0.11", "2.0.21", "2.1"];

    /// The broker of this label.  Its absence is a failure, not a reason to pass.
    #[track_caller]
    pub(crate) fn named(label: &'static str) -> Self {
        let stamp = root(label).join("version");
        let Ok(version) = fs::read_to_string(&stamp) else {
            panic!(
                "Mosquitto {label} is not there ({}); `make brokers` fetches it, \
                 `make test BROKERS=2.0.11` does without",
                stamp.display()
            );
        };
        let mut parts = version.trim().split('.').map(|part| part.parse().expect("a version of numbers"));
        let mut next = || parts.next().unwrap_or(0);
        Self { label, version: (next(), next(), next()) }
    }

    /// What `mosquitto -h` says.
    pub(crate) const fn version(self) -> (u32, u32, u32) {
        self.version
    }

    /// Is this at least that release?
    pub(crate) fn at_least(self, major: u32, minor: u32, patch: u32) -> bool {
        self.version >= (major, minor, patch)
    }

    /// One of the broker's programs: `mosquitto`, `mosquitto_passwd`, `mosquitto_pub` …
    pub(crate) fn program(self, name: &str) -> PathBuf {
        root(self.label).join("bin").join(name)
    }

    /// One of the broker's own plugins, if this release has it.
    pub(crate) fn own_plugin(self, name: &str) -> Option<PathBuf> {
        Some(root(self.label).join("plugins").join(name)).filter(|path| path.exists())
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (major, minor, patch) = self.version;
        write!(f, "Mosquitto {major}.{minor}.{patch}")
    }
}

fn root(label: &str) -> PathBuf {
    let cache = env::var_os("CITRONELLA_BROKER_CACHE").filter(|path| !path.is_empty());
    cache
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/brokers"), PathBuf::from)
        .join(label)
}

/// The plugin under test: `CITRONELLA_PLUGIN`, or the cdylib that this very build made.
///
/// `cargo test` leaves it beside the test binary in `deps/`; the copy one level up is only refreshed by
/// `cargo build`, and would be a stale plugin under test.
pub(crate) fn plugin() -> PathBuf {
    if let Some(path) = env::var_os("CITRONELLA_PLUGIN").filter(|path| !path.is_empty()) {
        return PathBuf::from(path);
    }
    let exe = env::current_exe().unwrap();
    let path = exe.parent().expect("target/<profile>/deps").join("libcitronella.so");
    assert!(path.exists(), "cargo left no plugin at {}", path.display());
    path
}
