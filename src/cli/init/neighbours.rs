//! What stands in Mosquitto's configuration beside our lines.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
};

use super::dynsec::Dynsec;
use citronella::{
    doctor::{Listener, Setup, is_ours, is_plugin},
    mosquitto_conf::{self, Directive, Reading},
};

/// The broker's configuration without our own file.
pub(crate) struct Neighbours {
    /// Nothing if it cannot be read or is not where Debian has it: the broker will say so.
    others: Option<(Vec<Directive>, Setup)>,
}

impl Neighbours {
    /// What stands beside `conf`, whether or not that is there.
    pub(crate) fn of(conf: &Path) -> Self {
        Self { others: read_without(conf) }
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

    pub(super) fn lines(&self) -> &[Directive] {
        self.others.as_ref().map_or(&[], |(lines, _)| lines)
    }

    /// Listeners of others on these ports.
    pub(super) fn listeners_on(&self, ports: &[u16]) -> impl Iterator<Item = &Listener> {
        let listeners = self.setup().into_iter().flat_map(|setup| &setup.listeners);
        listeners.filter(|listener| listener.line.is_some() && ports.contains(&listener.port))
    }

    /// Whether a listener lets clients without a certificate in at least from everywhere where one on this address would.
    pub(super) fn stand_open_to(&self, listen: Option<IpAddr>) -> bool {
        self.setup().is_some_and(|setup| setup.listeners.iter().any(|listener| is_open_to(listener, listen)))
    }

    /// Under `per_listener_settings`: by which nobody comes in without a name. Those for this machine alone count only where
    /// there are no others.
    pub(super) fn closed_to_strangers(&self) -> Vec<&Listener> {
        let Some(setup) = self.setup().filter(|setup| setup.per_listener) else { return Vec::new() };
        let outside = setup.listeners.iter().any(|listener| !listener.is_local());
        let counts = |listener: &&Listener| !outside || !listener.is_local();
        setup.listeners.iter().filter(counts).filter(|listener| !lets_in(listener)).collect()
    }

    /// A sentence for each line that lets others decide once our file is there, and that is left to people.
    pub(super) fn objections(&self) -> Vec<String> {
        let put_aside = Dynsec::of(self.lines()).lines;
        let is_other = |line: &&Directive| is_plugin(line) && !is_ours(line) && !put_aside.contains(line);
        let plugins = self.lines().iter().filter(is_other);
        plugins
            .map(|line| {
                format!(
                    "{}: another plugin decides too, and the one that stands first does so first; `citronella doctor` says what to do",
                    place(line)
                )
            })
            .collect()
    }
}

/// Who is locked out though its own listener lets it in, in a sentence.
pub(super) fn locked_out(others: &Neighbours) -> Option<String> {
    let (setup, closed) = (others.setup()?, others.closed_to_strangers());
    let open: Vec<&Listener> = setup.listeners.iter().filter(|listener| lets_in(listener)).collect();
    if open.is_empty() || closed.is_empty() {
        return None;
    }
    let names = |all: Vec<&Listener>| all.into_iter().map(Listener::name).collect::<Vec<_>>().join(" and ");
    Some(format!(
        "clients come in without a name by {}, and by {} they do not. The plugin does not tell listeners apart: from the restart on \
         they need a name and a password (`citronella device add NAME --no-certificate`, `citronella password generate NAME`)",
        names(open),
        names(closed)
    ))
}

fn lets_in(listener: &Listener) -> bool {
    listener.get("allow_anonymous").is_some_and(|line| mosquitto_conf::is_true(&line.value))
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

/// As [`Neighbours::stand_open_to`], for one listener. What is not plain is a no.
pub(super) fn is_open_to(listener: &Listener, listen: Option<IpAddr>) -> bool {
    const NARROWED: [&str; 5] =
        ["bind_interface", "socket_domain", "mount_point", "psk_hint", "use_identity_as_username"];
    if listener.line.is_none()
        || listener.port == 0
        || listener.is_on("require_certificate")
        || NARROWED.iter().any(|key| listener.get(key).is_some())
    {
        return false;
    }
    let Some(bind) = &listener.bind else { return true };
    match (bind.parse::<IpAddr>(), listen) {
        (Ok(bind), Some(listen)) => {
            bind == listen || bind.is_ipv4() && bind.is_unspecified() && listen.is_ipv4()
        }
        _ => false,
    }
}

/// Whether anything listens on this port once `conf` is there, as far as the configuration can be read.
pub(super) fn opens(conf: &Path, port: u16) -> bool {
    let lines = configuration(conf).or_else(|| mosquitto_conf::read(&conf.to_owned().into()).ok());
    lines.is_some_and(|lines| lines.iter().any(|line| is_listener_on(line, &[port])))
}

/// The listeners in this file; none if it is not there.
pub(super) fn own_listeners(conf: &Path) -> Vec<Listener> {
    let setup = Setup::of(&mosquitto_conf::read_all(&conf.to_owned().into()));
    setup.listeners.into_iter().filter(|listener| listener.line.is_some()).collect()
}

/// Where the broker logs, if that is a file.
pub(super) fn log_file(conf: &Path) -> Option<PathBuf> {
    let lines = configuration(conf)?;
    let files = lines.iter().rev().filter(|line| line.key == "log_dest");
    files.filter_map(|line| line.value.trim_end().strip_prefix("file ")).map(PathBuf::from).next()
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

fn is_listener_on(line: &Directive, ports: &[u16]) -> bool {
    let port = line.value.split_whitespace().next().and_then(|port| port.parse().ok());
    matches!(&*line.key, "listener" | "port") && port.is_some_and(|port: u16| ports.contains(&port))
}
