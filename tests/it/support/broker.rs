//! A real Mosquitto, in a directory and on addresses of its own.

use std::{
    cell::Cell,
    fmt::Write as _,
    fs::{self, File},
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::Instant,
};

use tempfile::TempDir;

use super::{
    Authority, Door, DoorKind, Kind, PATIENCE,
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
}

impl Conf {
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
        let door = Door { kind, path, address, ca: None, credential: None };
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
        let mut text = String::from("log_dest stderr\nlog_type all\nset_tcp_nodelay true\nuser root\n");
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
        let mut broker = self.spawn();
        let deadline = Instant::now() + PATIENCE;
        while !broker.answers() {
            if let Some(status) = broker.child.try_wait().unwrap() {
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
        fs::write(&conf, self.text()).unwrap();
        let log = File::create(self.dir.path().join("log")).unwrap();
        let child = Command::new(self.kind.program("mosquitto"))
            .arg("-c")
            .arg(&conf)
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
            child,
            reloads: Cell::new(0),
            _claims: (self.address, self.ports),
        }
    }
}

/// What a broker said that would not start.
#[derive(Debug)]
pub(crate) struct Refusing {
    pub(crate) status: ExitStatus,
    pub(crate) log: String,
}

/// A running Mosquitto; killed when dropped, and its log shown if the test fails.
pub(crate) struct Broker {
    kind: Kind,
    dir: TempDir,
    doors: Vec<(&'static str, Door)>,
    child: Child,
    reloads: Cell<usize>,
    _claims: (Address, Vec<Port>),
}

impl Broker {
    /// The configuration of a broker, still without listeners.
    pub(crate) fn conf(kind: Kind) -> Conf {
        Conf {
            kind,
            dir: TempDir::with_prefix("citronella-it-").unwrap(),
            address: Address::claim(),
            globals: String::new(),
            listeners: Vec::new(),
            next_port: 10_000,
            ports: Vec::new(),
        }
    }

    pub(crate) const fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The process, which is the broker itself and no wrapper.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The listener of this name.
    #[track_caller]
    pub(crate) fn door(&self, name: &str) -> &Door {
        let found = self.doors.iter().find(|(own, _)| *own == name);
        &found.unwrap_or_else(|| panic!("no listener `{name}`")).1
    }

    /// Everything the broker has said so far.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.dir.path().join("log")).unwrap_or_default()).into_owned()
    }

    /// Waits until the log contains this.
    #[track_caller]
    pub(crate) fn wait_for_log(&self, text: &str) {
        let found = wait_for(|| self.log().contains(text).then_some(()));
        assert!(found.is_some(), "{} never logged `{text}`", self.kind);
    }

    /// SIGHUP, and back when the broker has done what it does on it.
    ///
    /// The broker announces a reload and does it in the same turn of its only thread; that turn is over when
    /// somebody who came afterwards is served.
    #[track_caller]
    pub(crate) fn reload(&self) {
        self.signal("HUP");
        self.reloads.set(self.reloads.get() + 1);
        let done =
            wait_for(|| (self.log().matches("Reloading config").count() >= self.reloads.get()).then_some(()));
        assert!(done.is_some(), "{} never reloaded", self.kind);
        self.settle();
    }

    /// Waits until the broker has served a newcomer, so that what it was doing before is done.
    #[track_caller]
    pub(crate) fn settle(&self) {
        let (_, door) = self
            .doors
            .iter()
            .min_by_key(|(_, door)| (door.kind.is_websocket(), door.kind.has_tls()))
            .unwrap();
        // Neither a CONNECT nor TLS nor HTTP: every kind of listener answers it by closing.
        let nonsense = b"\xc0\x00 \r\n\r\n";
        let mut rest = Vec::new();
        if door.kind == DoorKind::Unix {
            let mut stream = UnixStream::connect(&door.path).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream.write_all(nonsense).unwrap();
            closed(stream.read_to_end(&mut rest), self.kind);
        } else {
            let mut stream = TcpStream::connect(door.address).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream.write_all(nonsense).unwrap();
            closed(stream.read_to_end(&mut rest), self.kind);
        }
    }

    /// SIGTERM; the status it ends with.
    #[track_caller]
    pub(crate) fn stop(&mut self) -> ExitStatus {
        self.signal("TERM");
        let status = wait_for(|| self.child.try_wait().unwrap());
        status.unwrap_or_else(|| panic!("{} does not end", self.kind))
    }

    /// Has it ended by itself?
    pub(crate) fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Sends a signal by name (`HUP`, `TERM`, `USR1` …).
    #[track_caller]
    pub(crate) fn signal(&self, name: &str) {
        let status =
            Command::new("sh").arg("-c").arg(format!("kill -{name} {}", self.pid())).status().unwrap();
        assert!(status.success(), "{} is not there to be signalled", self.kind);
    }

    fn answers(&self) -> bool {
        self.doors.iter().all(|(_, door)| match door.kind {
            DoorKind::Unix => UnixStream::connect(&door.path).is_ok(),
            _ => TcpStream::connect(door.address).is_ok(),
        })
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("--- log of {} ---\n{}--- end of log ---", self.kind, self.log());
        }
    }
}

#[track_caller]
fn closed(read: std::io::Result<usize>, kind: Kind) {
    // A reset is a close as well.
    if let Err(e) = read {
        let reset = e.kind() == std::io::ErrorKind::ConnectionReset;
        assert!(reset, "{kind} does not serve: {e}");
    }
}

/// The two lines that load our plugin.
pub(crate) fn plugin_lines(config: &Path) -> String {
    format!("plugin {}\nplugin_opt_config {}", plugin().display(), config.display())
}
