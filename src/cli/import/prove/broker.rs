//! A broker of our own on a socket of its own, for as long as it is asked.

use std::{
    fs::{self, File},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use citronella::mqtt::{Client, Connect, Connected, MqttError, Version};
use tempfile::TempDir;

use super::super::super::output::Failure;

/// What a client speaks over.
pub(super) type Wire = UnixStream;

/// How long the broker may take to start, and for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Who connects.
pub(super) struct Login {
    pub(super) username: Option<String>,
    pub(super) password: Option<&'static str>,
    pub(super) client_id: String,
}

/// A running broker; ended when dropped.
pub(super) struct Broker {
    child: Child,
    folder: TempDir,
}

impl Broker {
    /// Starts `program` in a folder with these files, whose names in `conf` are relative, and waits until it answers.
    pub(super) fn start(program: &Path, files: &[(&str, String)], conf: &str) -> Result<Self, Failure> {
        let folder = tempfile::tempdir().map_err(|error| Failure::file(&std::env::temp_dir(), &error))?;
        let write = |name: &str, text: &str| -> Result<PathBuf, Failure> {
            let path = folder.path().join(name);
            fs::write(&path, text).map_err(|error| Failure::file(&path, &error))?;
            Ok(path)
        };
        for (name, text) in files {
            write(name, text)?;
        }
        // COMPAT: with `max_queued_messages 0`, which is to be no limit, 2.0 ends sessions at their first refusal.
        // `user root`: started by root the broker would else become somebody who cannot read the folder.
        let text = format!(
            "user root\nlog_dest stderr\nmax_queued_messages 1000000\nlistener 0 {}\n{conf}\n",
            folder.path().join("socket").display()
        );
        let conf = write("mosquitto.conf", &text)?;
        let log = folder.path().join("log");
        let file = File::create(&log).map_err(|error| Failure::file(&log, &error))?;
        let child = Command::new(program)
            .arg("-c")
            .arg(&conf)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .map_err(|error| {
                Failure::file(program, &error).help("`--broker PATH` names the broker to ask")
            })?;
        let mut broker = Self { child, folder };
        broker.wait()?;
        Ok(broker)
    }

    fn wait(&mut self) -> Result<(), Failure> {
        let deadline = Instant::now() + PATIENCE;
        while UnixStream::connect(self.socket()).is_err() {
            let ended = self.child.try_wait().ok().flatten();
            if ended.is_some() || Instant::now() > deadline {
                let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
                let last = log.lines().rev().take(3).collect::<Vec<_>>();
                let last = last.into_iter().rev().collect::<Vec<_>>().join("; ");
                return Err(Failure::new(format!("nothing is proved: the broker does not start: {last}")));
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    /// A session in MQTT 5.0; `None` if the broker refuses.
    pub(super) fn connect(&self, login: &Login) -> Result<Option<Client<Wire>>, Failure> {
        let failed = |error: MqttError| Failure::new(format!("nothing is proved: {error}"));
        let open = || -> std::io::Result<Wire> {
            let stream = UnixStream::connect(self.socket())?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            Ok(stream)
        };
        let stream = open().map_err(|error| failed(error.into()))?;
        let connect = Connect {
            version: Version::V5,
            client_id: &login.client_id,
            username: login.username.as_deref(),
            password: login.password.map(str::as_bytes),
            keep_alive_s: 0,
        };
        match Client::connect(stream, &connect) {
            Ok(Connected::Yes(client)) => Ok(Some(client)),
            // A name with control characters is answered by closing.
            Ok(Connected::No(_)) | Err(MqttError::Closed | MqttError::Disconnected(_)) => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It has nothing to lose.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
