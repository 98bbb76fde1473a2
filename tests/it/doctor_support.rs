//! A broker's configuration in a folder of its own, with mistakes made by real tools, and what `doctor` says of it.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Broker, Cmd, Kind, Outcome, wait_for};

/// A folder with `mosquitto.conf` and what it names.
pub(crate) struct Ward {
    dir: TempDir,
}

impl Ward {
    /// Empty, and open to the broker's user.
    pub(crate) fn new() -> Self {
        let dir = TempDir::with_prefix("citronella-ward-").unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        Self { dir }
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Runs a script in the folder; `openssl` is the real one.
    #[track_caller]
    pub(crate) fn sh(&self, script: &str) -> String {
        run_script(self.dir(), script)
    }

    /// An authority and a broker's pair without any fault: `ca.crt`, `ca.key`, `broker.crt`, `broker.key`.
    pub(crate) fn sound(&self) {
        self.sh(
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.crt -days 900 \
               -subj '/O=Rossi/CN=Rossi Root' -addext keyUsage=critical,keyCertSign,cRLSign 2>/dev/null
             openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout broker.key -out broker.csr \
               -subj '/O=Rossi/CN=broker.lan' 2>/dev/null
             printf 'subjectAltName=DNS:broker.lan,DNS:localhost,IP:127.0.0.1\\nextendedKeyUsage=serverAuth\\nbasicConstraints=CA:FALSE\\n' > broker.ext
             openssl x509 -req -in broker.csr -CA ca.crt -CAkey ca.key -set_serial 7 -days 300 -extfile broker.ext -out broker.crt 2>/dev/null
             mkdir -p away && mv ca.key away/ca.key",
        );
    }

    /// Writes mosquitto.conf; `DIR` is the folder. `user root` lets the broker read what only root may.
    pub(crate) fn conf(&self, text: &str) {
        let text = text.replace("DIR", self.dir().to_str().unwrap());
        self.write("mosquitto.conf", format!("user root\n{text}"));
    }

    /// A listener with TLS that certificates and names come through, as `sound` makes it, and more lines of its own.
    pub(crate) fn tls_conf(&self, more: &str) {
        self.conf(&format!(
            "listener 8883\ncafile DIR/ca.crt\ncertfile DIR/broker.crt\nkeyfile DIR/broker.key\nrequire_certificate true\n\
             use_identity_as_username true\n{more}"
        ));
    }

    pub(crate) fn doctor(&self, more: &[&str]) -> Outcome {
        Cmd::new(["doctor", "mosquitto.conf"].iter().chain(more)).dir(self.dir()).run()
    }

    /// Every finding.
    #[track_caller]
    pub(crate) fn findings(&self) -> Vec<Value> {
        let outcome = self.doctor(&["--format", "json"]);
        let json: Value =
            serde_json::from_str(&outcome.stdout).unwrap_or_else(|e| panic!("{e}: {outcome:?}"));
        json["findings"].as_array().unwrap().clone()
    }

    /// The names of all findings.
    #[track_caller]
    pub(crate) fn codes(&self) -> BTreeSet<String> {
        self.findings().iter().map(|found| found["code"].as_str().unwrap().to_owned()).collect()
    }

    /// Expects these findings and no other.
    #[track_caller]
    pub(crate) fn expect(&self, codes: &[&str]) {
        let found = self.codes();
        let expected: BTreeSet<String> = codes.iter().map(|code| (*code).to_owned()).collect();
        assert_eq!(found, expected, "{}", self.doctor(&[]).stdout);
    }

    /// What a real broker logs that will not start with this configuration; none if it runs. `PORT` lines are on an
    /// address that no other broker has.
    #[track_caller]
    pub(crate) fn refused_by(&self, kind: Kind) -> Option<String> {
        let claim = Broker::conf(kind);
        let text = fs::read_to_string(self.path("mosquitto.conf")).unwrap();
        let text = text.lines().map(|line| match line.split_once(' ') {
            Some(("listener", port)) if !port.contains(' ') => {
                format!("listener {port} {}\n", claim.address())
            }
            Some(("port", port)) => format!("port {port}\nbind_address {}\n", claim.address()),
            _ => format!("{line}\n"),
        });
        self.write("run.conf", format!("log_dest stderr\nlog_type all\n{}", text.collect::<String>()));
        let log = fs::File::create(self.path("log")).unwrap();
        let mut broker = Command::new(kind.program("mosquitto"))
            .args(["-c", "run.conf"])
            .current_dir(self.dir())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let said = || fs::read_to_string(self.path("log")).unwrap_or_default();
        let ended = wait_for(|| {
            let ended = broker.try_wait().unwrap().is_some();
            (ended || said().lines().any(|line| line.ends_with(" running"))).then_some(ended)
        });
        let _ = broker.kill();
        let _ = broker.wait();
        ended.unwrap_or_else(|| panic!("{kind} neither runs nor ends\n{}", said())).then(said)
    }
}

/// Runs a script in a folder; what it prints.
#[track_caller]
pub(crate) fn run_script(dir: &Path, script: &str) -> String {
    let output = Command::new("sh").args(["-ec", script]).current_dir(dir).output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
