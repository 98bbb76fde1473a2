//! A real Mosquitto, in a directory and on addresses of its own.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpStream},
    os::unix::{net::UnixStream, process::ExitStatusExt as _},
    path::{Path, PathBuf},
    process::{Child, ExitStatus},
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use citronella::status::{self, Status, StatusError};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::{
    Conf, Door, DoorKind, Kind, PATIENCE,
    address::{Address, Port},
    wait_for,
};

/// What a broker said that would not start.
#[derive(Debug)]
pub(crate) struct Refusing {
    pub(crate) status: ExitStatus,
    pub(crate) log: String,
}

/// A running Mosquitto; killed when dropped, and its log shown if the test fails.
pub(crate) struct Broker {
    pub(super) kind: Kind,
    pub(super) dir: TempDir,
    /// Where the plugin, if it is loaded, says what it does.
    pub(super) state: Option<PathBuf>,
    pub(super) doors: Vec<(&'static str, Door)>,
    pub(super) child: Child,
    /// The child only started the broker, whose own number is in the file `pid`.
    pub(super) daemon: bool,
    pub(super) number: OnceLock<u32>,
    pub(super) reloads: AtomicUsize,
    pub(super) _claims: (Address, Vec<Port>),
}

impl Broker {
    /// The configuration of a broker, still without listeners.
    pub(crate) fn conf(kind: Kind) -> Conf {
        Conf::new(kind)
    }

    pub(crate) const fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The process, which is the broker itself and no wrapper.
    #[track_caller]
    pub(crate) fn pid(&self) -> u32 {
        if !self.daemon {
            return self.child.id();
        }
        let read = || fs::read_to_string(self.dir.path().join("pid")).ok()?.trim().parse().ok();
        // At its end the broker takes the file away.
        *self
            .number
            .get_or_init(|| wait_for(read).unwrap_or_else(|| panic!("{} writes no pid file", self.kind)))
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

    /// What our plugin has said so far of this address, one reason in each line.
    pub(crate) fn said_of(&self, address: Ipv4Addr) -> String {
        self.said_after(0, &address.to_string())
    }

    /// The same of whoever the log names so, from that byte of the log on.
    pub(crate) fn said_after(&self, from: usize, peer: &str) -> String {
        let (log, begin) = (self.log(), format!("citronella: {peer}: "));
        let lines = log[from..].lines().filter_map(|line| line.split_once(&begin));
        lines.map(|(_, reason)| reason).collect::<Vec<_>>().join("\n")
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
    /// somebody who came afterwards is served. The plugin loads beside it, and says in its status that it did.
    #[track_caller]
    pub(crate) fn reload(&self) {
        let answered = self.status().map(|status| status.sighups);
        self.signal("HUP");
        let reloads = self.reloads.fetch_add(1, Ordering::Relaxed) + 1;
        let done = wait_for(|| (self.log().matches("Reloading config").count() >= reloads).then_some(()));
        assert!(done.is_some(), "{} never reloaded", self.kind);
        if let Some(before) = answered {
            let more = || self.status().filter(|status| status.sighups > before).map(drop);
            assert!(wait_for(more).is_some(), "{}: the plugin does not answer SIGHUP", self.kind);
        }
        self.settle();
    }

    /// What the plugin says of itself, if it is loaded.
    #[track_caller]
    pub(crate) fn status(&self) -> Option<Status> {
        let state = self.state.as_ref()?;
        let read = || match status::read(state) {
            Ok(status) if status.pid == self.pid() => Some(status),
            Ok(_) | Err(StatusError::Missing(_)) => None,
            Err(error) => panic!("{error}"),
        };
        let found = wait_for(read);
        Some(found.unwrap_or_else(|| panic!("{}: the plugin writes no status", self.kind)))
    }

    /// Waits until the plugin says that what it has in force is what stands in the files.
    #[track_caller]
    pub(crate) fn wait_for_revision(&self, revision: &str) {
        let found = wait_for(|| self.status().filter(|status| status.in_force.revision == revision));
        assert!(found.is_some(), "{}: not in force: {revision}; {:?}", self.kind, self.status());
    }

    /// Waits until everybody is closed whom changes were to end. They go by name: whoever comes under one meanwhile
    /// goes with them.
    #[track_caller]
    pub(crate) fn wait_for_kicks(&self) {
        let all = || self.status().filter(|status| status.kicks.due == status.kicks.done);
        assert!(wait_for(all).is_some(), "{}: not all are closed: {:?}", self.kind, self.status());
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

    /// SIGTERM; the status it ends with.  How a daemon ends nobody is told: here it is the status of what started it.
    #[track_caller]
    pub(crate) fn stop(&mut self) -> ExitStatus {
        self.signal("TERM");
        let status = wait_for(|| self.has_ended());
        let status = status.unwrap_or_else(|| panic!("{} does not end", self.kind));
        if self.closed_a_file_of_ours(status) { ExitStatus::from_raw(0) } else { status }
    }

    /// BUG: at its end 2.0 closes the sockets of websocket listeners, which libwebsockets has closed before (mosquitto.c,
    /// `listeners__stop`; net.c, `listeners__add_websockets`). A thread of the plugin may have opened a file with that
    /// number in between, and Rust's standard library, where it is built for debugging, ends the process over a file that
    /// somebody else has closed. As it is installed it does not.
    fn closed_a_file_of_ours(&self, status: ExitStatus) -> bool {
        !self.kind.at_least(2, 1, 0)
            && self.doors.iter().any(|(_, door)| door.kind.is_websocket())
            && status.signal() == Some(Signal::ABORT.as_raw())
            && self.log().contains("owned file descriptor already closed")
    }

    /// Has it ended by itself?
    pub(crate) fn has_ended(&mut self) -> Option<ExitStatus> {
        let started = self.child.try_wait().unwrap();
        if !self.daemon {
            return started;
        }
        started.filter(|status| !status.success() || !lives(self.pid()))
    }

    /// Sends a signal by name: `HUP`, `TERM`, `KILL`, `STOP` or `CONT`.
    #[track_caller]
    pub(crate) fn signal(&self, name: &str) {
        let signal = match name {
            "HUP" => Signal::HUP,
            "TERM" => Signal::TERM,
            "KILL" => Signal::KILL,
            "STOP" => Signal::STOP,
            "CONT" => Signal::CONT,
            other => panic!("no test needs signal {other}"),
        };
        let pid = Pid::from_raw(i32::try_from(self.pid()).unwrap()).unwrap();
        let sent = kill_process(pid, signal);
        assert_eq!(sent, Ok(()), "{} is not there to be signalled", self.kind);
    }

    pub(super) fn answers(&self) -> bool {
        self.doors.iter().all(|(_, door)| match door.kind {
            DoorKind::Unix => UnixStream::connect(&door.path).is_ok(),
            _ => TcpStream::connect(door.address).is_ok(),
        })
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let ended = self.child.try_wait().ok().flatten();
        let _ = self.child.kill();
        let _ = self.child.wait();
        if self.daemon && !thread::panicking() && lives(self.pid()) {
            self.signal("KILL");
        }
        if thread::panicking() {
            if let Some(status) = ended.filter(|_| !self.daemon) {
                eprintln!("{} had ended by then, with {status}", self.kind);
            }
            eprintln!("--- log of {} ---\n{}--- end of log ---", self.kind, self.log());
        }
    }
}

/// Whether this process runs; one that has ended and was not asked about yet does not.
fn lives(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['Z', 'X']))
}

#[track_caller]
fn closed(read: std::io::Result<usize>, kind: Kind) {
    // A reset is a close as well.
    if let Err(e) = read {
        let reset = e.kind() == std::io::ErrorKind::ConnectionReset;
        assert!(reset, "{kind} does not serve: {e}");
    }
}
