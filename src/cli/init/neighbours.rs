//! What stands in Mosquitto's configuration beside our lines and would undo them.

use std::path::{Path, PathBuf};

use citronella::mosquitto_conf::{self, Directive};

/// A sentence for each line that keeps the broker from starting, or from asking the plugin, once `conf` is there.
/// `ports` are those of our own listeners. Nothing if the configuration cannot be read: the broker will say so.
pub(super) fn objections(conf: &Path, ports: &[u16]) -> Vec<String> {
    let Some(lines) = configuration(conf) else { return Vec::new() };
    let own = conf.canonicalize().ok();
    let others: Vec<Directive> =
        lines.into_iter().filter(|line| line.file.canonicalize().ok() != own).collect();
    let identity = mosquitto_conf::identity_options(&others).map(|line| {
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
            conf.display()
        )
    });
    identity.chain(per_listener).chain(taken).collect()
}

/// All that the broker reads, if `conf` is in a folder of parts and the main file stands above it, as Debian has it.
fn configuration(conf: &Path) -> Option<Vec<Directive>> {
    let main: PathBuf = conf.parent()?.parent()?.join("mosquitto.conf");
    mosquitto_conf::read(&main.into()).ok()
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
