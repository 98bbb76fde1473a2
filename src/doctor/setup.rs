//! Whose line is whose: the broker's listeners and bridges as conf.c puts them together.

use std::{collections::HashMap, fs, net::IpAddr, ops::Range, path::PathBuf, sync::Arc};

use super::reach::BrokerUser;
use crate::{
    diag::Source,
    mosquitto_conf::{Directive, Reading, is_true, per_listener_settings},
};

/// A port that the broker opens.
#[derive(Clone, Debug)]
pub struct Listener {
    /// Its `listener` or `port` line; none for the one that a broker without any such line opens.
    pub line: Option<Directive>,
    /// 0 for a Unix socket.
    pub port: u16,
    /// The address or name it listens on, or the path of its socket; everywhere if there is none.
    pub bind: Option<String>,
    /// Its own lines.
    pub directives: Vec<Directive>,
}

/// A broker that this one connects to.
#[derive(Clone, Debug)]
pub struct Bridge {
    /// Its `connection` line.
    pub line: Directive,
    /// Its own lines.
    pub directives: Vec<Directive>,
}

/// A broker as its configuration makes it.
#[derive(Debug)]
pub struct Setup {
    /// The files, in the broker's order.
    pub files: Vec<PathBuf>,
    /// What belongs to neither a listener nor a bridge.
    pub globals: Vec<Directive>,
    /// At least one.
    pub listeners: Vec<Listener>,
    /// Often none.
    pub bridges: Vec<Bridge>,
    /// Whether plugins, passwords and the like belong to listeners.
    pub per_listener: bool,
    /// With whose rights the broker reads files.
    pub user: BrokerUser,
    sources: HashMap<PathBuf, Arc<Source>>,
}

/// Lines that always belong to a listener.
/// SOURCE: conf.c of 2.0.11 and 2.1.2, uses of `cur_listener`.
const OF_LISTENERS: [&str; 26] = [
    "bind_interface",
    "cafile",
    "capath",
    "certfile",
    "keyfile",
    "crlfile",
    "ciphers",
    "ciphers_tls1.3",
    "dhparamfile",
    "psk_hint",
    "require_certificate",
    "use_identity_as_username",
    "use_subject_as_username",
    "use_username_as_clientid",
    "tls_version",
    "tls_engine",
    "tls_keyform",
    "tls_engine_kpass_sha1",
    "mount_point",
    "max_connections",
    "max_qos",
    "protocol",
    "http_dir",
    "socket_domain",
    "websockets_origin",
    "plugin_use",
];
/// Lines that belong to a listener under `per_listener_settings`.
const OF_EITHER: [&str; 8] = [
    "allow_anonymous",
    "password_file",
    "acl_file",
    "psk_file",
    "plugin",
    "auth_plugin",
    "allow_zero_length_clientid",
    "auto_id_prefix",
];
/// Lines of a bridge, beside all that begin with `bridge_`.
const OF_BRIDGES: [&str; 26] = [
    "address",
    "addresses",
    "topic",
    "cleansession",
    "local_cleansession",
    "clientid",
    "remote_clientid",
    "local_clientid",
    "username",
    "remote_username",
    "local_username",
    "password",
    "remote_password",
    "local_password",
    "keepalive_interval",
    "idle_timeout",
    "restart_timeout",
    "start_type",
    "threshold",
    "notifications",
    "notifications_local_only",
    "notification_topic",
    "round_robin",
    "try_private",
    "bridge_protocol_version",
    "bridge_identity",
];

#[derive(Clone, Copy, Default)]
struct Current {
    listener: Option<usize>,
    bridge: Option<usize>,
    plugin_is_listeners: bool,
}

impl Setup {
    /// Puts together what was read.
    #[must_use]
    pub fn of(reading: &Reading) -> Self {
        let per_listener = per_listener_settings(&reading.directives).is_some();
        let user = reading.directives.iter().rfind(|line| line.key == "user");
        let mut setup = Self {
            files: reading.files.clone(),
            globals: Vec::new(),
            listeners: Vec::new(),
            bridges: Vec::new(),
            per_listener,
            user: BrokerUser::find(user.map(|line| line.value.trim_end())),
            sources: HashMap::new(),
        };
        for file in &reading.files {
            let text = fs::read(file).unwrap_or_default();
            setup.sources.insert(file.clone(), Source::new(file, masked(&String::from_utf8_lossy(&text))));
        }
        let mut plain = Listener { line: None, port: 1883, bind: None, directives: Vec::new() };
        // Each file begins with the listener that has no line of its own.
        let mut current: HashMap<PathBuf, Current> = HashMap::new();
        for line in &reading.directives {
            setup.sort(line, &mut plain, current.entry(line.file.clone()).or_default());
        }
        // A broker that opens nothing else opens port 1883 for its own machine.
        if !plain.directives.is_empty() || setup.listeners.is_empty() {
            setup.listeners.insert(0, plain);
        }
        setup
    }

    fn sort(&mut self, line: &Directive, plain: &mut Listener, current: &mut Current) {
        let first = || line.value.split_whitespace().next();
        match &*line.key {
            "listener" => {
                let mut words = line.value.split_whitespace();
                let port = words.next().and_then(|port| port.parse().ok()).unwrap_or_default();
                let bind = words.next().filter(|word| !word.starts_with('#')).map(str::to_owned);
                self.listeners.push(Listener {
                    line: Some(line.clone()),
                    port,
                    bind,
                    directives: Vec::new(),
                });
                current.listener = Some(self.listeners.len() - 1);
            }
            "port" => {
                plain.port = first().and_then(|port| port.parse().ok()).unwrap_or_default();
                plain.line = Some(line.clone());
                plain.directives.push(line.clone());
            }
            "bind_address" => {
                plain.bind = first().map(str::to_owned);
                plain.line.get_or_insert_with(|| line.clone());
                plain.directives.push(line.clone());
            }
            "connection" => {
                self.bridges.push(Bridge { line: line.clone(), directives: Vec::new() });
                current.bridge = Some(self.bridges.len() - 1);
            }
            key => {
                let option = key.starts_with("plugin_opt_") || key.starts_with("auth_opt_");
                let listeners = OF_LISTENERS.contains(&key)
                    || (self.per_listener && OF_EITHER.contains(&key))
                    || (option && current.plugin_is_listeners);
                if is_plugin(line) {
                    current.plugin_is_listeners = listeners;
                }
                let bridge = current.bridge.and_then(|at| self.bridges.get_mut(at));
                let listener = current.listener.and_then(|at| self.listeners.get_mut(at));
                if OF_BRIDGES.contains(&key) || key.starts_with("bridge_") {
                    bridge.map_or(&mut self.globals, |bridge| &mut bridge.directives).push(line.clone());
                } else if listeners {
                    listener.unwrap_or(plain).directives.push(line.clone());
                } else {
                    self.globals.push(line.clone());
                }
            }
        }
    }

    /// Where the value of a line stands, or its key if the value is nothing to show.
    pub(super) fn place(&self, line: &Directive) -> Option<(Arc<Source>, Range<usize>)> {
        let source = self.sources.get(&line.file)?;
        let start = source.text().split_inclusive('\n').take(line.line - 1).map(str::len).sum::<usize>();
        let text = source.text().get(start..)?.lines().next()?;
        let key = text.find(&line.key)?;
        let after = key + line.key.len();
        let value = line.value.trim_end();
        let span = match text.get(after..).and_then(|rest| rest.find(value)) {
            Some(at) if !value.is_empty() => start + after + at..start + after + at + value.len(),
            _ => start + key..start + after,
        };
        Some((Arc::clone(source), span))
    }

    /// Every line that names something, with the listener or bridge that it belongs to left out.
    pub(super) fn every_line(&self) -> impl Iterator<Item = &Directive> {
        let listeners = self.listeners.iter().flat_map(|listener| &listener.directives);
        let bridges = self.bridges.iter().flat_map(|bridge| &bridge.directives);
        self.globals.iter().chain(listeners).chain(bridges)
    }

    /// Whether some line loads our plugin.
    #[must_use]
    pub fn has_guard(&self) -> bool {
        self.every_line().any(is_ours)
    }

    /// A setting that is global, or under `per_listener_settings` the listener's.
    pub(super) fn security<'a>(&'a self, listener: &'a Listener, key: &str) -> Option<&'a Directive> {
        if self.per_listener { listener.get(key) } else { self.globals.iter().rfind(|line| line.key == key) }
    }

    /// The plugins that are asked about clients of this listener, in their order: those of all listeners, then its own, each
    /// as they are loaded. The order of its `plugin_use` lines means nothing (seen with 2.1.2).
    pub(super) fn plugins<'a>(&'a self, listener: &'a Listener) -> impl Iterator<Item = &'a Directive> {
        let (named, global): (Vec<_>, Vec<_>) =
            self.globals.iter().filter(|line| is_plugin(line)).partition(|line| line.key == "plugin_load");
        let used = |line: &&Directive| {
            let uses = listener.directives.iter().filter(|used| used.key == "plugin_use");
            plugin_name(line)
                .is_some_and(|name| uses.map(|used| used.value.trim_end()).any(|used| used == name))
        };
        let own = listener.directives.iter().filter(|line| self.per_listener && is_plugin(line));
        let mut own: Vec<&Directive> = own.chain(named.into_iter().filter(used)).collect();
        if self.per_listener {
            own.sort_by_key(|line| (self.files.iter().position(|file| *file == line.file), line.line));
        }
        global.into_iter().chain(own)
    }
}

/// What a `plugin_load` line calls its plugin.
pub(super) fn plugin_name(line: &Directive) -> Option<&str> {
    line.value.split_whitespace().next().filter(|_| line.key == "plugin_load")
}

/// Whether this line loads a plugin.
#[must_use]
pub fn is_plugin(line: &Directive) -> bool {
    matches!(&*line.key, "plugin" | "auth_plugin" | "global_plugin" | "plugin_load")
}

/// Whether this line loads our plugin.
#[must_use]
pub fn is_ours(line: &Directive) -> bool {
    is_plugin(line) && line.value.rsplit('/').next().is_some_and(|name| name.contains("citronella"))
}

/// Whether this line names a file that `citronella init` puts into the broker's folder.
pub(super) fn is_made_by_us(line: &Directive) -> bool {
    let value = line.value.trim_end();
    ["/tls/broker.crt", "/tls/ca.crt"].iter().any(|end| value.ends_with(end))
}

impl Listener {
    /// The last line of that key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Directive> {
        self.directives.iter().rfind(|line| line.key == key)
    }

    /// Whether a switch is on.
    #[must_use]
    pub fn is_on(&self, key: &str) -> bool {
        self.get(key).is_some_and(|line| is_true(&line.value))
    }

    /// Whether it speaks TLS with certificates: only with both files. (`PSK` is another matter.)
    #[must_use]
    pub fn has_tls(&self) -> bool {
        self.get("certfile").is_some() && self.get("keyfile").is_some()
    }

    /// Whether only programs of this machine reach it.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match (&self.bind, &self.line) {
            _ if self.port == 0 => true,
            (Some(bind), _) => {
                bind == "localhost" || bind.parse().is_ok_and(|address: IpAddr| address.is_loopback())
            }
            // Without any line for it the broker opens it for its own machine only.
            (None, line) => line.is_none(),
        }
    }

    /// Whether its certificate is that of `citronella init`.
    pub(super) fn is_ours(&self) -> bool {
        self.get("certfile").is_some_and(is_made_by_us)
    }

    /// As people call it: `port 8883`, or its socket.
    #[must_use]
    pub fn name(&self) -> String {
        match (&self.bind, self.port) {
            (Some(path), 0) => format!("the socket {path}"),
            (_, port) => format!("port {port}"),
        }
    }
}

/// The text with everything hidden that could be a secret. Bytes keep their places as far as the hidden part.
fn masked(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let key = line.trim_start().split([' ', '\t', '\r', '\n']).next().unwrap_or_default();
        let secret = key.contains("pass") && key != "password_file" || key.ends_with("psk");
        let known = super::lines::is_known(key) || key.starts_with('#');
        if secret || !known {
            let end = line.find(key).unwrap_or_default() + key.len();
            shown.push_str(line.get(..end).unwrap_or_default());
            if line.ends_with('\n') {
                shown.push('\n');
            }
        } else {
            shown.push_str(line);
        }
    }
    shown
}
