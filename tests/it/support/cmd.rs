//! The command, run as people run it.

use std::{
    ffi::OsStr,
    io::Write as _,
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_citronella");

/// A call of `citronella`, not yet made.
pub(crate) struct Cmd {
    command: Command,
    stdin: Vec<u8>,
}

/// What a call came to.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The exit status; `None` after a signal.
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Outcome {
    /// What one comes to that was started.
    #[track_caller]
    pub(crate) fn of(child: Child) -> Self {
        let output = child.wait_with_output().unwrap();
        Self {
            status: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Cmd {
    /// `citronella ARGS…`, with nothing on its standard input.
    pub(crate) fn new(args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        let mut command = Command::new(PROGRAM);
        command.args(args);
        Self::of(command)
    }

    /// A script of `sh`, in which `$citronella` is the command: for descriptors, pipes and terminals.
    pub(crate) fn shell(script: &str) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", script]).env("citronella", PROGRAM);
        Self::of(command)
    }

    fn of(mut command: Command) -> Self {
        // What whoever runs the tests has set is not part of them.
        for name in ["CONFIG", "CA_PASSPHRASE", "KEY_PASSPHRASE"] {
            command.env_remove(format!("CITRONELLA_{name}"));
        }
        command.env("NO_COLOR", "1").env_remove("SUDO_UID").env_remove("SUDO_GID");
        Self { command, stdin: Vec::new() }
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    pub(crate) fn dir(mut self, dir: &Path) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// As a shell at a terminal starts it: in a process group of its own, and signals end it, whatever whoever runs the
    /// tests has made of them.
    pub(crate) fn attended(self) -> Self {
        let mut command = Command::new("env");
        command.arg("--default-signal=INT,TERM,HUP").arg(self.command.get_program());
        command.args(self.command.get_args()).process_group(0);
        for (name, value) in self.command.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        if let Some(folder) = self.command.get_current_dir() {
            command.current_dir(folder);
        }
        Self { command, stdin: self.stdin }
    }

    pub(crate) fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// Starts it with pipes to and from it; its standard input is the caller's.
    #[track_caller]
    pub(crate) fn spawn(mut self) -> Child {
        let command = self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("the command that cargo built starts")
    }

    /// Starts it and ends it by SIGKILL after that many microseconds, if it has not ended by then.
    ///
    /// The instant is the point, so this is no wait for a fact.
    #[track_caller]
    pub(crate) fn kill_after(self, instant_us: u64) {
        let mut child = self.spawn();
        thread::sleep(Duration::from_micros(instant_us));
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Runs it to its end.
    #[track_caller]
    pub(crate) fn run(mut self) -> Outcome {
        let stdin = std::mem::take(&mut self.stdin);
        let mut child = self.spawn();
        // A command that does not read its input may be gone already; that is its own affair.
        let _ = child.stdin.take().unwrap().write_all(&stdin);
        Outcome::of(child)
    }

    /// Runs it and expects status 0; its standard output.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        let outcome = self.run();
        assert_eq!(outcome.status, Some(0), "{outcome:?}");
        outcome.stdout
    }
}
