//! How certificates of devices are ordered, on the command line.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
};

use citronella::{
    doctor::Listener,
    ident::DeviceName,
    pki::{Authority, DEVICE_DAYS, DeviceRequest, Issuer, KeyKind, Subject, bundle::OnExisting},
    secret::Secret,
};

use super::order::KeySource;
use crate::{
    confirm::Wait,
    noted::{self, Doors},
    output::{Failure, Output},
    passphrase::{CaPassphrase, KeyPassphrase},
    world::World,
};

/// How a device's key and certificate are made and handed over.
#[derive(clap::Args)]
pub(crate) struct IssueOptions {
    #[command(flatten)]
    pub(super) key_passphrase: KeyPassphrase,
    /// Kind of the device's key: p256, p384, rsa2048, rsa3072 or ed25519
    #[arg(long, value_name = "KIND", default_value_t)]
    pub(super) key: KeyKind,
    #[command(flatten)]
    pub(super) hand_over: HandOver,
}

/// How a device's certificate is made and handed over, wherever its key is.
#[derive(clap::Args)]
pub(crate) struct HandOver {
    #[command(flatten)]
    ca_passphrase: CaPassphrase,
    /// Days that the certificate is valid
    #[arg(long, value_name = "DAYS", default_value_t = DEVICE_DAYS)]
    days: u32,
    /// More fields for the subject, such as `C=IT,O=Rossi,OU=Sensors`
    #[arg(long, value_name = "FIELDS")]
    subject: Option<Subject>,
    /// Make the folder in here
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    pub(super) out: PathBuf,
    /// Replace a folder that is there
    #[arg(long)]
    force: bool,
    /// How the device is to call the broker, for the line to paste [default: the first name of the broker's certificate]
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// The broker's port, for the line to paste [default: the one that `init` opened for clients with a certificate]
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    #[command(flatten)]
    pub(super) wait: Wait,
    /// Whether a folder with an earlier certificate of the device makes room by itself.
    #[arg(skip)]
    pub(super) renews: bool,
}

impl IssueOptions {
    /// Where the key's passphrase comes from.
    pub(crate) const fn key_passphrase(&mut self) -> &mut KeyPassphrase {
        &mut self.key_passphrase
    }

    /// Where folders are made.
    pub(crate) fn out(&self) -> &Path {
        &self.hand_over.out
    }

    /// What to do with a folder that is there.
    pub(crate) fn on_existing(&self) -> OnExisting {
        self.hand_over.on_existing()
    }

    /// How long to wait for the broker.
    pub(crate) const fn wait(&self) -> &Wait {
        &self.hand_over.wait
    }

    /// How the device calls the broker, and where.
    pub(crate) fn broker(&self, world: &World) -> (String, u16) {
        self.hand_over.broker(world)
    }

    /// What is asked for, for a device of that name.
    pub(crate) fn request(&self, name: &DeviceName) -> DeviceRequest {
        self.hand_over.request(name, KeySource::New(self.key, &self.key_passphrase))
    }

    /// Whether the devices' keys are to be encrypted.
    pub(crate) fn encrypts(&self) -> bool {
        self.key_passphrase.is_wanted()
    }

    /// Asks for the passphrases: of the authority's key, and for the devices' keys if they are to have one.
    pub(crate) fn unlock(&self, authority: Authority) -> Result<(Box<Issuer>, Option<Secret>), Failure> {
        let passphrase = self.key_passphrase.choose()?;
        Ok((self.hand_over.unlock(authority)?, passphrase))
    }

    /// What people should hear of the fields that were asked for.
    pub(crate) fn warn(&self, output: &Output) {
        self.hand_over.warn(output);
    }
}

impl HandOver {
    pub(super) fn request(&self, name: &DeviceName, source: KeySource<'_>) -> DeviceRequest {
        let device = DeviceRequest::new(name.clone());
        let key = match source {
            KeySource::New(kind, _) => kind,
            KeySource::Request(_) => device.key,
        };
        DeviceRequest { key, subject: self.subject.clone(), days: self.days, ..device }
    }

    /// The fields of an earlier certificate, unless others were asked for.
    pub(super) fn inherit(&mut self, subject: Option<Subject>) {
        self.subject = self.subject.take().or(subject);
    }

    pub(super) fn unlock(&self, authority: Authority) -> Result<Box<Issuer>, Failure> {
        Ok(Box::new(self.ca_passphrase.unlock(authority)?))
    }

    pub(super) fn on_existing(&self) -> OnExisting {
        match (self.force, self.renews) {
            (true, _) => OnExisting::Replace,
            (false, true) => OnExisting::Keep,
            (false, false) => OnExisting::Refuse,
        }
    }

    /// How the device calls the broker, and where.
    pub(super) fn broker(&self, world: &World) -> (String, u16) {
        let doors = Doors::of(world);
        let door = doors.for_certificates();
        let port = self.port.or(door.map(|door| door.port)).unwrap_or(noted::PORT);
        (self.host.clone().unwrap_or_else(|| host(world, door)), port)
    }

    pub(super) fn warn(&self, output: &Output) {
        for note in self.subject.iter().flat_map(Subject::notes) {
            output.warn(note);
        }
    }
}

/// How devices call the broker at this listener.
pub(crate) fn host(world: &World, door: Option<&Listener>) -> String {
    let only = door.and_then(|door| only_address(door, &world.broker_names()?));
    only.unwrap_or_else(|| world.broker_name())
}

/// The address of a listener that no other one leads to: of those for this machine alone a name may mean another.
fn only_address(door: &Listener, names: &[String]) -> Option<String> {
    let bind = door.bind.as_ref().filter(|_| door.is_local())?;
    names.iter().any(|name| is_for(name, bind)).then(|| bind.clone())
}

/// Warns where the broker's certificate has another name than the one that devices are to call it by.
pub(crate) fn warn_of_host(world: &World, output: &Output, host: &str) {
    if let Some(names) = world.broker_names().filter(|names| !names.iter().any(|name| is_for(name, host))) {
        output.warn(&format!(
            "the broker's certificate is not good for {host}, so the device will not connect to it there; it is good for {}",
            names.join(", ")
        ));
    }
}

/// Whether a name of a certificate is that of the host; its wildcard stands for the first label.
fn is_for(name: &str, host: &str) -> bool {
    let address = |text: &str| text.parse::<IpAddr>().ok().map(|address| address.to_canonical());
    if let Some(host) = address(host) {
        return address(name) == Some(host);
    }
    let under = name.strip_prefix('*').zip(host.find('.').and_then(|dot| host.get(dot..)));
    let alike = |(name, host): (&str, &str)| name.eq_ignore_ascii_case(host);
    alike((name, host.trim_end_matches('.'))) || under.is_some_and(alike)
}
