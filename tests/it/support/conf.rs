//! The configuration of a broker, line by line, and its start.

use std::{
    fmt::Write as _,
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{OnceLock, atomic::AtomicUsize},
    thread,
    time::Instant,
};

use tempfile::TempDir;

use super::{
    Authority, Broker, Door, DoorKind, Kind, PATIENCE, Refusing,
    address::{Address, Port},
    plugin, wait_for,
};

/// What will be a broker: its configuration, line by line.
pub(crate) struct Conf {
    kind: Kind,
    dir: TempDir,
    address: Address,
    globals: String,
    listeners: Vec<(&'static str, Door, String)>,
    next_port: u16,
    ports: Vec<Port>,
    environment: Vec<(&'static str, String)>,
    wrapper: Vec<String>,
    daemon: bool,
}

impl Conf {
    /// Nothing yet, not even a listener.
    pub(super) fn new(kind: Kind) -> Self {
        Self {
            kind,
            dir: TempDir::with_prefix("citronella-it-").unwrap(),
            address: Address::claim(),
            globals: String::new(),
            listeners: Vec::new(),
            next_port: 10_000,
            ports: Vec::new(),
            environment: Vec::new(),
            wrapper: Vec::new(),
            daemon: false,
        }
    }

    /// The broker's own directory, for files that its configuration names.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The address that its listeners (all but `Unix`) have.
    pub(crate) const fn address(&self) -> Ipv4Addr {
        self.address.ip
    }

    /// A line (or several) outside all listeners.
    pub(crate) fn line(mut self, line: &str) -> Self {
        writeln!(self.globals, "{line}").unwrap();
        self
    }

    /// Our plugin with this `citronella.toml`.
    pub(crate) fn guarded_by(self, config: &Path) -> Self {
        self.line(&plugin_lines(config))
    }

    /// An environment variable of the broker's process.
    pub(crate) fn env(mut self, name: &'static str, value: &str) -> Self {
        self.environment.push((name, value.to_owned()));
        self
    }

    /// Started as the last words of this command (`valgrind --quiet`).
    pub(crate) fn under(mut self, command: &[&str]) -> Self {
        self.wrapper = command.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// Started with `-d`: the process that is started ends, and its child is the broker.
    pub(crate) fn daemon(mut self) -> Self {
        self.daemon = true;
        self
    }

    /// A listener that [`Broker::door`] finds under this name, with lines of its own.
    #[track_caller]
    pub(crate) fn listener(mut self, name: &'static str, kind: DoorKind, lines: &str) -> Self {
        assert!(!kind.has_tls(), "a listener with TLS needs an authority: Conf::tls, Conf::wss");
        self.add(name, kind, lines);
        self
    }

    /// A listener with TLS: a certificate of this authority for the listener's address, its CA for clients, and
    /// the lines, `require_certificate true` for example.
    pub(crate) fn tls(self, name: &'static str, authority: &Authority, lines: &str) -> Self {
        self.secure((name, DoorKind::Tls), authority, lines)
    }

    /// The same for websockets.
    pub(crate) fn wss(self, name: &'static str, authority: &Authority, lines: &str) -> Self {
        self.secure((name, DoorKind::WebsocketTls), authority, lines)
    }

    fn secure(mut self, (name, kind): (&'static str, DoorKind), authority: &Authority, lines: &str) -> Self {
        let broker = authority.broker(name, self.address.ip);
        let lines = format!(
            "cafile {}\ncertfile {}\nkeyfile {}\n{lines}",
            authority.certificate().display(),
            broker.certificate.display(),
            broker.key.display(),
        );
        self.add(name, kind, &lines).ca = Some(authority.certificate());
        self
    }

    fn add(&mut self, name: &'static str, kind: DoorKind, lines: &str) -> &mut Door {
        let mut path = PathBuf::new();
        let port = if kind == DoorKind::Unix {
            path = self.dir.path().join(name);
            0
        } else if kind.is_websocket() {
            // COMPAT: Debian's 2.0.11 opens a websockets listener on all addresses, whatever its line says.
            self.ports.push(Port::claim());
            self.ports.last().unwrap().number
        } else {
            self.free_port()
        };
        let address = SocketAddr::from((self.address.ip, port));
        let door = Door { kind, path, address, ca: None, credential: None, from: None, tls: None };
        self.listeners.push((name, door, lines.to_owned()));
        &mut self.listeners.last_mut().unwrap().1
    }

    /// A port below those that the kernel hands out by itself.  The address is this broker's alone; only somebody
    /// who listens on all addresses could be in the way.
    fn free_port(&mut self) -> u16 {
        loop {
            self.next_port += 1;
            if TcpListener::bind((self.address.ip, self.next_port)).is_ok() {
                return self.next_port;
            }
        }
    }

    fn text(&self) -> String {
        // `user root`: a broker that root starts would otherwise become a user who cannot read this directory.
        // `set_tcp_nodelay`: without it a question and an answer take 40 ms.
        let mut text = String::from("log_type all\nset_tcp_nodelay true\nuser root\n");
        if self.daemon {
            // A daemon has no standard error.
            let path = |name: &str| self.dir.path().join(name).display().to_string();
            writeln!(text, "log_dest file {}\npid_file {}", path("log"), path("pid")).unwrap();
        } else {
            text.push_str("log_dest stderr\n");
        }
        text.push_str(&self.globals);
        for (_, door, lines) in &self.listeners {
            match door.kind {
                DoorKind::Unix => writeln!(text, "listener 0 {}", door.path.display()).unwrap(),
                _ => {
                    writeln!(text, "listener {} {}", door.address.port(), door.address.ip()).unwrap();
                }
            }
            if door.kind.is_websocket() {
                text.push_str("protocol websockets\n");
            }
            text.push_str(lines.trim_end());
            text.push('\n');
        }
        text
    }

    /// Starts it and waits until every listener answers.
    #[track_caller]
    pub(crate) fn start(self) -> Broker {
        self.start_and(|_| ())
    }

    /// The same, with something done before anybody comes.
    #[track_caller]
    pub(crate) fn start_and(self, first: impl FnOnce(&Broker)) -> Broker {
        let mut broker = self.spawn();
        first(&broker);
        let deadline = Instant::now() + PATIENCE;
        while !broker.answers() {
            if let Some(status) = broker.has_ended() {
                panic!("{} ended with {status}", broker.kind);
            }
            assert!(Instant::now() < deadline, "{} does not listen", broker.kind);
            thread::sleep(std::time::Duration::from_millis(5));
        }
        broker
    }

    /// Starts it, expecting that it ends by itself.
    #[track_caller]
    pub(crate) fn refusing(self) -> Refusing {
        let mut broker = self.spawn();
        let status = wait_for(|| broker.child.try_wait().unwrap());
        let status =
            status.unwrap_or_else(|| panic!("{} runs, but should have refused to start", broker.kind));
        Refusing { status, log: broker.log() }
    }

    fn spawn(mut self) -> Broker {
        // COMPAT: 2.0.11 ends with "unable to start any listening sockets" if all of them are for websockets.
        if !self.listeners.is_empty() && self.listeners.iter().all(|(_, door, _)| door.kind.is_websocket()) {
            self = self.listener("beside-websockets", DoorKind::Unix, "");
        }
        let conf = self.dir.path().join("mosquitto.conf");
        let text = self.text();
        fs::write(&conf, &text).unwrap();
        let config = text.lines().find_map(|line| line.strip_prefix("plugin_opt_config "));
        let state = config.map(|config| Path::new(config).with_file_name("state"));
        let log = File::create(self.dir.path().join("log")).unwrap();
        let mosquitto = self.kind.program("mosquitto");
        let mut words = self.wrapper.iter().map(PathBuf::from).chain([mosquitto]);
        let mut command = Command::new(words.next().unwrap());
        command.args(words).arg("-c").arg(&conf).args(self.daemon.then_some("-d"));
        let child = command
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|e| panic!("{} cannot be started: {e}", self.kind));
        Broker {
            kind: self.kind,
            doors: self.listeners.into_iter().map(|(name, door, _)| (name, door)).collect(),
            dir: self.dir,
            state: state.filter(|state| state.is_dir()),
            child,
            daemon: self.daemon,
            number: OnceLock::new(),
            reloads: AtomicUsize::new(0),
            _claims: (self.address, self.ports),
        }
    }
}

/// The two lines that load our plugin.
pub(crate) fn plugin_lines(config: &Path) -> String {
    format!("plugin {}\nplugin_opt_config {}", plugin().display(), config.display())
}
