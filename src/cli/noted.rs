//! What `init` has noted: where it wrote the lines for Mosquitto, and so which ports devices find open.

use std::{
    fs,
    path::{Path, PathBuf},
};

use citronella::{
    doctor::{Listener, Setup},
    mosquitto_conf::read_all,
};

use super::world::World;

/// Where Debian's Mosquitto finds our lines.
pub(crate) const LINES: &str = "/etc/mosquitto/conf.d/citronella.conf";

/// The note's name, beside citronella.toml.
const NOTE: &str = "init.toml";

const KEY: &str = "mosquitto_conf";

/// Longest note that is read, in bytes.
const MAX_BYTES: u64 = 64 * 1024;

/// The port for clients with a certificate where nothing else is known.
pub(crate) const PORT: u16 = 8883;

/// The port for clients with a password where nothing else is known.
pub(crate) const PASSWORD_PORT: u16 = 8884;

/// The note about these lines, and where it belongs; nothing for a path that TOML cannot hold.
pub(crate) fn note(folder: &Path, lines: &Path) -> Option<(PathBuf, String)> {
    let lines = std::path::absolute(lines).ok()?;
    let value = toml_edit::Value::from(lines.to_str()?);
    let text = format!(
        "# Made by `citronella init`: where it wrote the lines for Mosquitto. `device add`, `doctor`, `uninstall` and others\n\
         # look there.\n\
         {KEY} = {value}\n"
    );
    Some((folder.join(NOTE), text))
}

/// The file with our lines that was noted, whether or not it is there still.
fn noted(world: &World) -> Option<PathBuf> {
    let text = citronella::fs::read(&world.folder().join(NOTE), MAX_BYTES).ok()?.text;
    let document: toml_edit::DocumentMut = text.parse().ok()?;
    Some(PathBuf::from(document.get(KEY)?.as_str()?)).filter(|path| path.is_absolute())
}

/// The file with our lines: the one that was noted, else where the system has it.
pub(crate) fn lines(world: &World) -> PathBuf {
    noted(world).unwrap_or_else(|| LINES.into())
}

/// The file that the broker is started with, as far as it is noted: the one that includes our lines, or those themselves.
pub(crate) fn main_file(world: &World) -> Option<PathBuf> {
    noted(world).map(|lines| including(&lines))
}

/// The file above the folder of `lines` if that includes them, as Debian has it; else they themselves.
pub(crate) fn including(lines: &Path) -> PathBuf {
    let above = lines.parent().and_then(Path::parent).map(|folder| folder.join("mosquitto.conf"));
    let reads = |main: &PathBuf| {
        let wanted = fs::canonicalize(lines).ok();
        let files = read_all(&main.clone().into()).files;
        if wanted.is_none() {
            // They were put aside.
            return files.contains(main);
        }
        files.iter().any(|file| fs::canonicalize(file).ok() == wanted)
    };
    above.filter(reads).unwrap_or_else(|| lines.to_owned())
}

/// The listeners that show the broker's certificate of these files.
pub(crate) struct Doors(Vec<Listener>);

impl Doors {
    /// As the broker's configuration has them; none if that cannot be read.
    pub(crate) fn of(world: &World) -> Self {
        let own = world.folder().join("tls/broker.crt");
        let Ok(own) = fs::canonicalize(own) else { return Self(Vec::new()) };
        let setup = Setup::of(&read_all(&including(&lines(world)).into()));
        let shows = |listener: &Listener| {
            let file = listener.get("certfile").map(|line| fs::canonicalize(line.value.trim_end()));
            listener.port != 0 && listener.has_tls() && matches!(file, Some(Ok(file)) if file == own)
        };
        let speaks_mqtt = |listener: &Listener| {
            listener.get("protocol").is_none_or(|line| line.value.split_whitespace().next() == Some("mqtt"))
        };
        Self(setup.listeners.into_iter().filter(shows).filter(speaks_mqtt).collect())
    }

    /// For clients with a certificate.
    pub(crate) fn for_certificates(&self) -> Option<&Listener> {
        self.0.iter().find(|listener| listener.is_on("require_certificate"))
    }

    /// For clients without one.
    pub(crate) fn for_passwords(&self) -> Option<&Listener> {
        self.0.iter().find(|listener| !listener.is_on("require_certificate"))
    }
}
