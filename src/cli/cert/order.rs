//! Issuing for a device: ledger, then folder, then registry. Killed in between, doing it again completes it.

use std::{
    fmt, fs,
    net::IpAddr,
    path::{Path, PathBuf},
};

use citronella::{
    clock::UnixSeconds,
    ident::{DeviceName, MAX_COMMON_NAME_CHARS},
    pki::{
        Authority, DEVICE_DAYS, DeviceRequest, Entry, Issued, Issuer, KeyKind, Kind, PBKDF2_ITERATIONS,
        SigningRequest, State, Subject,
        bundle::{self, Bundle, FolderError, KeyFile, OnExisting, Try},
        inspect,
    },
    registry::{Certificates, Fingerprint},
    secret::Secret,
};
use jiff::Timestamp;
use serde::Serialize;

use crate::{
    Answer, check,
    output::{Failure, Outcome, Output},
    passphrase::{CaPassphrase, KeyPassphrase},
    registry::{self, NewCertificate},
    rights::Rights,
    shell,
    world::World,
};

/// How a device's key and certificate are made and handed over.
#[derive(clap::Args)]
pub(crate) struct IssueOptions {
    #[command(flatten)]
    key_passphrase: KeyPassphrase,
    /// Kind of the device's key: p256, p384, rsa2048, rsa3072 or ed25519
    #[arg(long, value_name = "KIND", default_value_t)]
    key: KeyKind,
    #[command(flatten)]
    hand_over: HandOver,
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
    out: PathBuf,
    /// Replace a folder that is there
    #[arg(long)]
    force: bool,
    /// How the device is to call the broker, for the line to paste [default: the first name of the broker's certificate]
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// The broker's port, for the line to paste
    #[arg(long, value_name = "PORT", default_value = "8883")]
    port: u16,
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

    /// How the device calls the broker, and where.
    pub(crate) fn broker(&self, world: &World) -> (String, u16) {
        (self.hand_over.host.clone().unwrap_or_else(|| world.broker_name()), self.hand_over.port)
    }
}

/// What is certified.
#[derive(Clone, Copy)]
pub(super) enum KeySource<'a> {
    /// A key to be made here.
    New(KeyKind, &'a KeyPassphrase),
    /// One that was made on the device.
    Request(&'a SigningRequest),
}

/// A certificate that is about to be made, with everything asked for that has to be asked for; or one that an
/// interrupted run has made and not listed.
pub(crate) struct Order<'a> {
    name: &'a DeviceName,
    request: DeviceRequest,
    hand_over: &'a HandOver,
    work: Work<'a>,
}

enum Work<'a> {
    Make { issuer: Box<Issuer>, key_passphrase: Option<Secret> },
    Sign { issuer: Box<Issuer>, signing: &'a SigningRequest },
    List { folder: PathBuf, entry: Box<Entry> },
}

impl<'a> Order<'a> {
    /// Looks whether it can be done and asks for the passphrases; nothing is written.
    pub(crate) fn prepare(
        world: &World,
        output: &Output,
        name: &'a DeviceName,
        options: &'a IssueOptions,
    ) -> Result<Self, Failure> {
        let source = KeySource::New(options.key, &options.key_passphrase);
        Self::plan((world, output), name, &options.hand_over, source)
    }

    /// The same for any key.
    pub(super) fn plan(
        (world, output): (&World, &Output),
        name: &'a DeviceName,
        hand_over: &'a HandOver,
        source: KeySource<'a>,
    ) -> Result<Self, Failure> {
        let authority = world.authority()?;
        if let Some(note) = authority.note() {
            output.warn(note);
        }
        if !hand_over.out.is_dir() {
            return Err(Failure::new(format!("there is no folder {}", hand_over.out.display()))
                .help("make it, or name another with --out"));
        }
        // Before a serial number is spent.
        let rights = Rights::for_folder(&hand_over.out)?;
        if name.as_str().chars().count() > MAX_COMMON_NAME_CHARS {
            return Err(Failure::new(format!(
                "`{name}` has more than {MAX_COMMON_NAME_CHARS} characters, which no certificate can carry"
            ))
            .help("take a shorter name, or register it with --no-certificate and give it a password"));
        }
        let request = hand_over.request(name, source);
        let found = bundle::check(&hand_over.out, name, hand_over.on_existing());
        drop(rights);
        match found {
            Ok(()) => {}
            Err(FolderError::Exists(folder)) => {
                return match unlisted(world, &authority, &folder, name) {
                    Some(entry) => {
                        let work = Work::List { folder, entry: Box::new(entry) };
                        Ok(Self { name, request, hand_over, work })
                    }
                    None => Err(Failure::from(FolderError::Exists(folder))
                        .help("take another --out, or replace it with --force")),
                };
            }
            Err(error) => return Err(error.into()),
        }
        for note in hand_over.subject.iter().flat_map(Subject::notes) {
            output.warn(note);
        }
        authority.check_device(&request, Timestamp::now())?;
        let work = match source {
            KeySource::New(_, passphrase) => {
                let key_passphrase = passphrase.choose()?;
                Work::Make { issuer: hand_over.unlock(authority)?, key_passphrase }
            }
            KeySource::Request(signing) => Work::Sign { issuer: hand_over.unlock(authority)?, signing },
        };
        Ok(Self { name, request, hand_over, work })
    }

    /// Issues and writes the folder; the registry is the caller's.
    pub(crate) fn deliver(self, world: &World, output: &Output) -> Result<Delivered, Failure> {
        let Self { name, request, hand_over, work } = self;
        let host = hand_over.host.clone().unwrap_or_else(|| world.broker_name());
        if let Some(names) =
            world.broker_names().filter(|names| !names.iter().any(|name| is_for(name, &host)))
        {
            output.warn(&format!(
                "the broker's certificate is not good for {host}, so the device will not connect to it there; it is good for {}",
                names.join(", ")
            ));
        }
        let topic = registry::topic_to_try(&check::load(world)?, name.as_str());
        let connect = Try { host: &host, port: hand_over.port, topic: &topic };
        let now = Timestamp::now();
        let (certified, key, issuer) = match work {
            Work::List { folder, entry } => {
                output.say(&"an earlier run has made the folder; its certificate is listed now");
                return Delivered::new(name, folder, &entry, connect);
            }
            Work::Make { mut issuer, key_passphrase } => {
                let Issued { certified, key } = issuer.issue_device(&request, now)?;
                (certified, Some((key, key_passphrase)), issuer)
            }
            Work::Sign { mut issuer, signing } => {
                (issuer.certify_device(&request, signing, now)?, None, issuer)
            }
        };
        let key = match &key {
            Some((key, Some(passphrase))) => KeyFile::Encrypted(key, passphrase, PBKDF2_ITERATIONS),
            Some((key, None)) => KeyFile::Plain(key),
            None => KeyFile::OnDevice,
        };
        let ca_pem = issuer.authority().trust_pem();
        let bundle = Bundle { name, certified: &certified, ca_pem: &ca_pem, key, connect };
        let rights = Rights::for_folder(&hand_over.out)?;
        let folder = bundle::write(&hand_over.out, &bundle, hand_over.on_existing())?;
        drop(rights);
        if certified.shortened {
            output.warn("the certificate ends with the authority's");
        }
        Delivered::new(name, folder, &certified.entry, connect)
    }
}

impl HandOver {
    fn request(&self, name: &DeviceName, source: KeySource<'_>) -> DeviceRequest {
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

    fn unlock(&self, authority: Authority) -> Result<Box<Issuer>, Failure> {
        Ok(Box::new(authority.unlock(&self.ca_passphrase.ask()?)?))
    }

    fn on_existing(&self) -> OnExisting {
        if self.force { OnExisting::Replace } else { OnExisting::Refuse }
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

/// The certificate in `folder`, if it is one of ours for this device, in force, and not yet in the registry.
fn unlisted(world: &World, authority: &Authority, folder: &Path, name: &DeviceName) -> Option<Entry> {
    let file = folder.join(bundle::folder_name(name)).with_added_extension("crt");
    let rights = Rights::for_folder(folder.parent()?).ok()?;
    let read = fs::read(file).ok()?;
    drop(rights);
    let views = inspect::certificates(&read).ok()?;
    let entry = authority.find(&views.first()?.sha256)?.clone();
    let in_force = entry.name == name.as_str() && entry.state(Timestamp::now()) == State::Valid;
    let fingerprint: Fingerprint = entry.certificate.as_ref()?.sha256.parse().ok()?;
    let snapshot = check::load(world).ok()?;
    let listed = snapshot.device(name.as_str()).is_some_and(|device| match device.certificates() {
        Certificates::Any => true,
        Certificates::Listed(listed) => listed.iter().any(|listed| listed.sha256 == fingerprint),
    });
    (in_force && !listed).then_some(entry)
}

/// A device's new certificate, handed over.
#[derive(Serialize)]
pub(crate) struct Delivered {
    device: String,
    folder: PathBuf,
    serial: String,
    sha256: String,
    not_after: String,
    /// The line to paste, to be typed inside the folder.
    connect: String,
}

impl fmt::Display for Delivered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}: certificate (until {}), key, and the authority's certificate",
            self.folder.display(),
            self.not_after
        )?;
        write!(f, "Where the broker runs, try it:\n\n  cd {} && {}", shell::path(&self.folder), self.connect)
    }
}

impl Delivered {
    fn new(name: &DeviceName, folder: PathBuf, entry: &Entry, connect: Try<'_>) -> Result<Self, Failure> {
        let made = entry.certificate.as_ref().ok_or_else(|| {
            Failure::new(format!("the ledger has no certificate for serial {}", entry.serial))
        })?;
        Ok(Self {
            device: name.to_string(),
            folder,
            serial: entry.serial.clone(),
            sha256: made.sha256.clone(),
            not_after: made.period.not_after.to_string(),
            connect: bundle::connect_line(connect, &bundle::folder_name(name)),
        })
    }

    pub(super) fn sha256(&self) -> &str {
        &self.sha256
    }

    /// What the registry has to know.
    pub(crate) fn certificate(&self) -> Result<NewCertificate, Failure> {
        let not_after: Timestamp = self.not_after.parse()?;
        Ok(NewCertificate {
            sha256: self.sha256.parse::<Fingerprint>()?,
            serial: self.serial.clone(),
            not_after: UnixSeconds(not_after.as_second()),
        })
    }
}

/// A certificate with which a device can connect.
pub(super) struct Accepted {
    pub(super) serial: String,
    pub(super) sha256: String,
    /// By the certificate or by the registry, whichever comes first.
    pub(super) not_after: Timestamp,
}

/// The certificates with which the device can connect now.
pub(super) fn accepted(world: &World, name: &DeviceName) -> Result<Vec<Accepted>, Failure> {
    let (snapshot, authority) = (check::load(world)?, world.authority()?);
    let Some(device) = snapshot.device(name.as_str()) else { return Ok(Vec::new()) };
    let now = Timestamp::now();
    // When the registry ends it, if it is listed at all.
    let listed_until = |sha256: &str| match device.certificates() {
        Certificates::Any => Some(Timestamp::MAX),
        Certificates::Listed(listed) => {
            let listed = listed.iter().find(|listed| listed.sha256.to_string() == sha256)?;
            let end = listed.not_after.and_then(|end| Timestamp::from_second(end.0).ok());
            Some(end.unwrap_or(Timestamp::MAX))
        }
    };
    let valid = authority.valid(Kind::Device, name.as_str(), now);
    let accepted = valid.filter_map(|entry| {
        let made = entry.certificate.as_ref()?;
        let not_after = made.period.not_after.min(listed_until(&made.sha256)?);
        let accepted = Accepted { serial: entry.serial.clone(), sha256: made.sha256.clone(), not_after };
        (not_after >= now).then_some(accepted)
    });
    Ok(accepted.collect())
}

pub(super) fn issue(world: &World, output: &Output, device: &str, options: &IssueOptions) -> Answer {
    let name = registry::existing(world, device)?;
    hand_over(world, output, &name, |name| Order::prepare(world, output, name, options))
}

/// Delivers what was ordered and lists it; says what stays good beside it.
pub(super) fn hand_over<'a>(
    world: &World,
    output: &Output,
    name: &'a DeviceName,
    order: impl FnOnce(&'a DeviceName) -> Result<Order<'a>, Failure>,
) -> Answer {
    let earlier = accepted(world, name)?;
    let delivered = order(name)?.deliver(world, output)?;
    registry::add_certificate(world, name, &delivered.certificate()?)?;
    for Accepted { serial, not_after, .. } in earlier {
        output.say(&format_args!(
            "the earlier certificate {serial} stays good until {not_after}; `{} cert revoke {serial}` ends that",
            world.command()
        ));
    }
    output.result(&delivered, &delivered)?;
    Ok(Outcome::Yes)
}
