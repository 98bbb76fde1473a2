//! What stands in Mosquitto's configuration beside our lines and would undo them.

use std::path::{Path, PathBuf};

use citronella::{
    doctor::Setup,
    mosquitto_conf::{self, Directive, Reading},
};

/// The broker's configuration without our own file.
pub(crate) struct Neighbours {
    conf: PathBuf,
    /// Nothing if it cannot be read or is not where Debian has it: the broker will say so.
    others: Option<(Vec<Directive>, Setup)>,
}

impl Neighbours {
    /// What stands beside `conf`, whether or not that is there.
    pub(crate) fn of(conf: &Path) -> Self {
        Self { conf: conf.to_owned(), others: read_without(conf) }
    }

    /// The broker as these files alone make it.
    pub(crate) fn setup(&self) -> Option<&Setup> {
        self.others.as_ref().map(|(_, setup)| setup)
    }

    /// Whether the broker has no listener by these files, and so opens port 1883 for its own machine by itself.
    pub(super) fn open_nothing(&self) -> bool {
        self.setup().is_some_and(|setup| {
            setup.listeners.iter().all(|listener| listener.line.is_none() && listener.directives.is_empty())
        })
    }

    /// Whether a line of these files opens this port.
    pub(super) fn open(&self, port: u16) -> bool {
        self.lines().iter().any(|line| is_listener_on(line, &[port]))
    }

    fn lines(&self) -> &[Directive] {
        self.others.as_ref().map_or(&[], |(lines, _)| lines)
    }

    /// A sentence for each line that keeps the broker from starting, or from asking the plugin, once our file is there.
    /// `ports` are those of our own listeners.
    pub(super) fn objections(&self, ports: &[u16]) -> Vec<String> {
        let others = self.lines();
        let identity = mosquitto_conf::identity_options(others).map(|line| {
            format!("{}: with `{}` the broker does not ask the plugin who comes in, and will not start with it; take the line out", place(line), line.key)
        });
        let per_listener = others.iter().filter(|line| line.key == "per_listener_settings" && is_true(line)).map(|line| {
            format!("{}: with `per_listener_settings` the plugin guards none of the listeners that follow it; take the line out", place(line))
        });
        let taken = others.iter().filter(|line| is_listener_on(line, ports)).map(|line| {
            format!(
                "{}: `{} {}` takes a port that {} needs; the broker will not start with both",
                place(line),
                line.key,
                line.value,
                self.conf.display()
            )
        });
        identity.chain(per_listener).chain(taken).collect()
    }
}

fn read_without(conf: &Path) -> Option<(Vec<Directive>, Setup)> {
    let own = conf.canonicalize().ok();
    let other = |path: &Path| path.canonicalize().ok() != own;
    let Reading { mut directives, mut files, unread } = mosquitto_conf::read_all(&main_file(conf)?.into());
    if !unread.is_empty() {
        return None;
    }
    if own.is_some() {
        directives.retain(|line| other(&line.file));
        files.retain(|file| other(file));
    }
    let reading = Reading { directives, files, unread };
    let setup = Setup::of(&reading);
    Some((reading.directives, setup))
}

/// Whether anything listens on this port once `conf` is there, as far as the configuration can be read.
pub(super) fn opens(conf: &Path, port: u16) -> bool {
    let lines = configuration(conf).or_else(|| mosquitto_conf::read(&conf.to_owned().into()).ok());
    lines.is_some_and(|lines| lines.iter().any(|line| is_listener_on(line, &[port])))
}

/// All that the broker reads, if `conf` is in a folder of parts and the main file stands above it, as Debian has it.
fn configuration(conf: &Path) -> Option<Vec<Directive>> {
    mosquitto_conf::read(&main_file(conf)?.into()).ok()
}

fn main_file(conf: &Path) -> Option<PathBuf> {
    Some(conf.parent()?.parent()?.join("mosquitto.conf"))
}

fn place(line: &Directive) -> String {
    format!("{}:{}", line.file.display(), line.line)
}

fn is_true(line: &Directive) -> bool {
    matches!(line.value.trim(), "true" | "1")
}

fn is_listener_on(line: &Directive, ports: &[u16]) -> bool {
    let port = line.value.split_whitespace().next().and_then(|port| port.parse().ok());
    matches!(&*line.key, "listener" | "port") && port.is_some_and(|port: u16| ports.contains(&port))
}
