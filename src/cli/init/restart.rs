//! The restart: is the broker up and guarded afterwards, and if not, back to what was before.

use std::{
    fs,
    io::{self, Read as _, Seek as _, SeekFrom},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    os::unix::{
        fs::{MetadataExt as _, OpenOptionsExt as _},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use citronella::{
    doctor::Listener,
    status::{self, Status, now_ms},
};
use jiff::Timestamp;
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};

use super::{Arguments, change::Change, neighbours};
use crate::{
    broker::{shows, without_secrets},
    consent,
    held::Held,
    output::{Failure, Output},
};

/// Until a broker that was started has loaded the plugin.
const PATIENCE: Duration = Duration::from_secs(30);
/// A broker that has logged an error by then and does not run will not.
const SOON: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(100);
/// Of a log that tells nothing better, so many lines are shown.
const LAST_LINES: usize = 5;
const MAX_LOG_BYTES: u64 = 256 * 1024;

/// What starts the broker anew.
pub(super) enum Way {
    Systemd,
    Command(String),
}

impl Way {
    /// None where it is up to people, or not to be done now.
    pub(super) fn agreed(output: &Output, arguments: &Arguments) -> Result<Option<Self>, Failure> {
        let Some(way) = Self::find(arguments) else {
            if arguments.restart {
                output.warn(
                    "nothing here restarts Mosquitto: no systemd runs, and --restart-command is not given",
                );
            }
            return Ok(None);
        };
        if arguments.restart || arguments.no_restart || !consent::possible() {
            return Ok(arguments.restart.then_some(way));
        }
        let question = "Restart Mosquitto once its lines are written? From then on it is guarded.";
        Ok(consent::ask(question, "", "")?.then_some(way))
    }

    fn find(arguments: &Arguments) -> Option<Self> {
        if let Some(command) = &arguments.restart_command {
            return Some(Self::Command(command.clone()));
        }
        let known = || Command::new("systemctl").args(["cat", "mosquitto"]).output();
        let systemd =
            Path::new("/run/systemd/system").is_dir() && known().is_ok_and(|known| known.status.success());
        systemd.then_some(Self::Systemd)
    }

    /// Runs it to its end. A signal ends it, if one may.
    fn go(&self, held: Option<&Held>) -> Result<(), String> {
        let mut command = match self {
            Self::Systemd => {
                let mut systemctl = Command::new("systemctl");
                systemctl.args(["restart", "mosquitto"]);
                systemctl
            }
            Self::Command(text) => {
                let mut shell = Command::new("sh");
                shell.args(["-c", text]);
                shell
            }
        };
        let (status, said) = run(without_secrets(&mut command), held).map_err(|error| error.to_string())?;
        if status.is_some_and(|status| status.success()) {
            return Ok(());
        }
        let said = said.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("no reason given");
        Err(format!("the restart failed: {said}"))
    }
}

/// Its status, if it did not have to be left to itself, and what it said on its standard error.
fn run(command: &mut Command, held: Option<&Held>) -> io::Result<(Option<ExitStatus>, String)> {
    // A file: a pipe would stay open as long as a broker that was started lives.
    let mut said = tempfile::tempfile()?;
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said.try_clone()?);
    // Of its own: Ctrl-C, which goes to all in the foreground, does not stop the way back, and a shell ends with its children.
    command.process_group(0);
    let mut child = command.spawn()?;
    let mut asked: Option<Instant> = None;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break Some(status);
        }
        if asked.is_some_and(|asked| asked.elapsed() > SOON) {
            break None;
        }
        if asked.is_none() && held.and_then(Held::came).is_some() {
            if let Ok(id) = i32::try_from(child.id()) {
                // It may have ended just now.
                let _ = killpg(Pid::from_raw(id), Signal::SIGTERM);
            }
            asked = Some(Instant::now());
        }
        thread::sleep(PAUSE);
    };
    let mut text = Vec::new();
    said.seek(SeekFrom::Start(0))?;
    said.take(MAX_LOG_BYTES).read_to_end(&mut text)?;
    Ok((status, String::from_utf8_lossy(&text).into_owned()))
}

/// What is looked for after the restart.
pub(super) struct Wanted<'a> {
    pub(super) state: &'a Path,
    /// The broker's certificate, DER.
    pub(super) certificate: &'a [u8],
}

/// Restarts; what the plugin says of itself then.
///
/// # Errors
///
/// The broker did not come up guarded, or a signal came before it had; what was before is in force again.
pub(super) fn restart(
    output: &Output,
    way: &Way,
    change: &Change,
    (wanted, held): (&Wanted<'_>, &Held),
) -> Result<Status, Failure> {
    let log = Log::now(&change.conf);
    let begun_ms = now_ms();
    output.say(&"Restarting Mosquitto …");
    let came = way.go(Some(held)).and_then(|()| up((&change.conf, &log), wanted, begun_ms, held));
    let why = match came {
        Ok(status) => return Ok(status),
        Err(why) => why,
    };
    let stopped = held.came();
    let why = match stopped {
        Some(name) => format!("stopped by {name} before the broker was up and guarded"),
        None => format!("the broker did not come up guarded: {why}"),
    };
    let mut failure = if change.is_empty() {
        Failure::new(format!("{why}. This run has changed none of its lines, so none were put back"))
            .help("`citronella uninstall` takes the guard away, also what an earlier run has left")
    } else {
        output.say(&"Putting back what was before …");
        let errors = change.put_back();
        // Whatever went wrong: without it the broker may be down.
        let again = match way.go(None) {
            Ok(()) => "and the broker was started with it".to_owned(),
            Err(why) => format!("and yet {why}: the broker may be down"),
        };
        let back = if errors.is_empty() {
            "The former configuration is in place again"
        } else {
            "The former configuration could not be put back whole"
        };
        let failure = Failure::new(format!("{why}. {back}, {again}"));
        let failure = errors.into_iter().fold(failure, Failure::help);
        match change.tried() {
            Some(path) => failure.help(format!("the lines that were tried are kept in {}", path.display())),
            None => failure,
        }
    };
    if stopped.is_some() {
        return Err(failure);
    }
    // Only now: the log is the broker's, and nothing about it may be in the way of what was there.
    for line in log.telling() {
        failure = failure.help(format!("its log: {line}"));
    }
    Err(failure.help("`citronella doctor` looks for the cause"))
}

/// The plugin runs, and a listener of ours shows our certificate.
fn up((conf, log): (&Path, &Log), wanted: &Wanted<'_>, begun_ms: u64, held: &Held) -> Result<Status, String> {
    let begun = Instant::now();
    let status = loop {
        let running = status::is_running(wanted.state).unwrap_or(false);
        let said = status::read(wanted.state);
        if let Ok(status) = &said
            && running
            && status.started_ms >= begun_ms
        {
            break status.clone();
        }
        if !running && begun.elapsed() > SOON && log.new_text().is_some_and(|text| text.contains("Error:")) {
            return Err("it has ended".to_owned());
        }
        if begun.elapsed() > PATIENCE || held.came().is_some() {
            return Err(format!("the plugin has not started within {} s", PATIENCE.as_secs()));
        }
        thread::sleep(PAUSE);
    };
    if let Some(listener) = neighbours::own_listeners(conf).iter().find(|listener| listener.has_tls()) {
        shows(address(listener), wanted.certificate, held)
            .map_err(|why| format!("{}: {why}", listener.name()))?;
    }
    if status::is_running(wanted.state).unwrap_or(false) {
        Ok(status)
    } else {
        Err("it started, and ended again".to_owned())
    }
}

/// Where this machine reaches it.
fn address(listener: &Listener) -> SocketAddr {
    let bind: Option<IpAddr> = listener.bind.as_ref().and_then(|bind| bind.parse().ok());
    let address = bind.filter(|address| !address.is_unspecified());
    SocketAddr::new(address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)), listener.port)
}

/// The broker may have put there what it likes: no link is followed, and nothing but a file is read or waited for.
fn open(path: &Path) -> io::Result<fs::File> {
    let flags = nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK;
    let file = fs::OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::InvalidInput.into()) }
}

/// What the broker says from now on.
struct Log {
    file: Option<PathBuf>,
    /// Device and inode, if it was there: what has taken its place may be a link to a file of somebody else.
    id: Option<(u64, u64)>,
    from: u64,
    since: Timestamp,
}

impl Log {
    fn now(conf: &Path) -> Self {
        let file = neighbours::log_file(conf);
        let found = file.as_ref().and_then(|file| open(file).ok()?.metadata().ok());
        let id = found.as_ref().map(|found| (found.dev(), found.ino()));
        let from = found.map_or(0, |found| found.len());
        Self { file, id, from, since: Timestamp::now() }
    }

    /// The lines that say why, or the last ones.
    fn telling(&self) -> Vec<String> {
        let text = self.new_text().filter(|text| !text.trim().is_empty()).or_else(|| self.journal());
        let text = text.unwrap_or_default();
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let is_reason = |line: &&&str| {
            line.contains("Error") || line.contains("citronella: ") && !line.contains("citronella: plugin")
        };
        let mut told: Vec<&str> = lines.iter().filter(is_reason).copied().collect();
        if told.is_empty() {
            told = lines;
        }
        let from = told.len().saturating_sub(LAST_LINES);
        told.iter().skip(from).map(|line| (*line).to_owned()).collect()
    }

    fn new_text(&self) -> Option<String> {
        let mut file = open(self.file.as_ref()?).ok()?;
        let found = file.metadata().ok()?;
        let same = self.id.map_or(found.nlink() == 1, |id| id == (found.dev(), found.ino()));
        if !same {
            return None;
        }
        file.seek(SeekFrom::Start(self.from)).ok()?;
        let mut text = Vec::new();
        file.take(MAX_LOG_BYTES).read_to_end(&mut text).ok()?;
        Some(String::from_utf8_lossy(&text).into_owned())
    }

    fn journal(&self) -> Option<String> {
        let since = format!("--since=@{}", self.since.as_second());
        let said = Command::new("journalctl")
            .args(["--unit=mosquitto", "--output=cat", "--no-pager", &since])
            .output()
            .ok()?;
        Some(String::from_utf8_lossy(&said.stdout).into_owned())
    }
}
