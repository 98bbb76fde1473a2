//! A broker that reads the lines which `citronella init` wrote for it.

use std::{fs, net::SocketAddr, path::PathBuf};

use crate::{
    cli_support::Home,
    support::{Broker, Conf, Credential, Door, DoorKind, Kind},
};

/// What `init` makes, beside a broker with an `include_dir` for its lines.
pub(crate) struct Site {
    pub(crate) home: Home,
    /// The only address on which the broker listens, and the name by which clients call it.
    pub(crate) address: String,
    /// The folder that the broker includes.
    pub(crate) folder: PathBuf,
}

impl Site {
    /// `init` has run with these arguments more; the broker waits to be started.
    #[track_caller]
    pub(crate) fn new(kind: Kind, more: &[&str]) -> (Self, Conf) {
        let (site, conf) = Self::bare(kind);
        site.init(more);
        (site, conf)
    }

    /// The same before `init`.
    pub(crate) fn bare(kind: Kind) -> (Self, Conf) {
        let conf = Broker::conf(kind);
        let (address, folder) = (conf.address().to_string(), conf.dir().join("conf.d"));
        fs::create_dir(&folder).unwrap();
        let conf =
            conf.line(&format!("include_dir {}", folder.display())).listener("settled", DoorKind::Unix, "");
        (Self { home: Home::empty(), address, folder }, conf)
    }

    /// What `init` says.
    #[track_caller]
    pub(crate) fn init(&self, more: &[&str]) -> String {
        let lines = self.lines();
        let arguments = [
            &["--name", "broker.test", "--address", &self.address, "--listen", &self.address][..],
            &["--mosquitto-conf", lines.to_str().unwrap()],
            more,
        ];
        self.home.init(&arguments.concat()).ok()
    }

    /// The file that `init` writes for Mosquitto.
    pub(crate) fn lines(&self) -> PathBuf {
        self.folder.join("citronella.conf")
    }

    pub(crate) fn place(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.address.parse().unwrap(), port)
    }

    /// The way in over TLS for who has this device's folder, without its certificate.
    pub(crate) fn door(&self, device: &str, port: u16) -> Door {
        Door::tls(self.place(port), self.home.path(&format!("{device}/ca.crt")))
    }

    /// The way in on port 8883 with this device's certificate.
    pub(crate) fn own_door(&self, device: &str) -> Door {
        self.door(device, 8883).showing(&self.credential(device))
    }

    /// What a folder has that is named like its device, wherever it lies.
    pub(crate) fn credential(&self, folder: &str) -> Credential {
        let device = folder.rsplit('/').next().unwrap();
        let file = |end: &str| self.home.path(&format!("{folder}/{device}.{end}"));
        Credential { certificate: file("crt"), key: file("key") }
    }
}
