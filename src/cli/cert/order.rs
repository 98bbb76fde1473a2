//! Issuing for a device: ledger, then folder, then registry. Killed in between, doing it again completes it.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use citronella::{
    clock::UnixSeconds,
    ident::{DeviceName, MAX_COMMON_NAME_CHARS},
    pki::{
        Authority, DeviceRequest, Entry, Issued, Issuer, KeyKind, Kind, PBKDF2_ITERATIONS, SigningRequest,
        State,
        bundle::{self, Bundle, FolderError, KeyFile, OnExisting, Try},
        inspect,
    },
    registry::{Certificates, Fingerprint},
    secret::Secret,
};
use jiff::Timestamp;
use serde::Serialize;

use super::options::{HandOver, IssueOptions, warn_of_host};
use crate::{
    Answer, check,
    confirm::{Change, Confirmed, Wait},
    lack,
    output::{Failure, Output},
    passphrase::KeyPassphrase,
    registry::{self, NewCertificate},
    rights::Rights,
    shell,
    world::World,
};

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
        let keeps = hand_over.on_existing() == OnExisting::Keep;
        let found = match hand_over.on_existing() {
            // First: is it what an interrupted run has left?
            OnExisting::Keep => bundle::check(&hand_over.out, name, OnExisting::Refuse),
            other => bundle::check(&hand_over.out, name, other),
        };
        drop(rights);
        match found {
            Ok(()) => {}
            Err(FolderError::Exists(folder)) => {
                if let Some(entry) = unlisted(world, &authority, &folder, name) {
                    let work = Work::List { folder, entry: Box::new(entry) };
                    return Ok(Self { name, request, hand_over, work });
                }
                let _rights = Rights::for_folder(&hand_over.out)?;
                if !keeps || known_in_folder(&authority, &folder, name).is_none() {
                    return Err(Failure::from(FolderError::Exists(folder))
                        .help("take another --out, or replace it with --force"));
                }
                bundle::check(&hand_over.out, name, OnExisting::Keep)?;
            }
            Err(error) => return Err(error.into()),
        }
        hand_over.warn(output);
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
        let (host, port) = hand_over.broker(world);
        warn_of_host(world, output, &host);
        let snapshot = check::load(world)?;
        let topic = registry::topic_to_try(&snapshot, name.as_str());
        if !registry::may_try(&snapshot, name.as_str(), &topic) {
            output.say(&format_args!(
                "no rule of {name} allows a topic that is sure to be harmless: the line below tries the log-in, and the broker \
                 refuses its message"
            ));
        }
        drop(snapshot);
        let connect = Try { host: &host, port, topic: &topic };
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
        let certificate = Some((&certified, key));
        let bundle = Bundle { name, certificate, password: None, ca_pem: &ca_pem, connect };
        let rights = Rights::for_folder(&hand_over.out)?;
        let on_existing = hand_over.on_existing();
        let there = on_existing == OnExisting::Keep && hand_over.out.join(bundle::folder_name(name)).exists();
        let folder = bundle::write(&hand_over.out, &bundle, on_existing)?;
        drop(rights);
        if there {
            output.say(&format_args!(
                "the earlier files of {name} are kept in {}",
                bundle::kept(&folder).display()
            ));
        }
        if certified.shortened {
            output.warn("the certificate ends with the authority's");
        }
        Delivered::new(name, folder, &certified.entry, connect)
    }
}

/// The certificate in `folder`, if it is one of ours for this device, in force, and not yet in the registry.
fn unlisted(world: &World, authority: &Authority, folder: &Path, name: &DeviceName) -> Option<Entry> {
    let rights = Rights::for_folder(folder.parent()?).ok()?;
    let entry = in_folder(authority, folder, name);
    drop(rights);
    let entry = entry?;
    let fingerprint: Fingerprint = entry.certificate.as_ref()?.sha256.parse().ok()?;
    let snapshot = check::load(world).ok()?;
    let listed = snapshot.device(name.as_str()).is_some_and(|device| match device.certificates() {
        Certificates::Any => true,
        Certificates::Listed(listed) => listed.iter().any(|listed| listed.sha256 == fingerprint),
    });
    (!listed).then_some(entry)
}

/// The certificate in the folder of a device, if it is one of ours for it and in force.
pub(crate) fn in_folder(authority: &Authority, folder: &Path, name: &DeviceName) -> Option<Entry> {
    known_in_folder(authority, folder, name).filter(|entry| entry.state(Timestamp::now()) == State::Valid)
}

/// The same in whatever state it is.
fn known_in_folder(authority: &Authority, folder: &Path, name: &DeviceName) -> Option<Entry> {
    let read = fs::read(folder.join(bundle::folder_name(name)).with_added_extension("crt")).ok()?;
    let views = inspect::certificates(&read).ok()?;
    let view = views.first()?;
    let entry = authority.find(&view.serial)?;
    let made = entry.certificate.as_ref()?;
    let ours = made.sha256 == view.sha256 && entry.name == name.as_str() && entry.kind == Kind::Device;
    ours.then(|| entry.clone())
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
    #[serde(skip)]
    certificate: NewCertificate,
    /// Whether the key is in the folder, and what it is called there or on the device.
    #[serde(skip)]
    has_key: bool,
    #[serde(skip)]
    key: PathBuf,
}

impl fmt::Display for Delivered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (folder, end) = (self.folder.display(), &self.not_after);
        if self.has_key {
            writeln!(f, "{folder}: certificate (until {end}), key, and the authority's certificate")?;
            let folder = shell::path(&self.folder);
            write!(f, "Where the broker runs, try it:\n\n  cd {folder} && {}", self.connect)
        } else {
            writeln!(f, "{folder}: certificate (until {end}) and the authority's certificate, not the key")?;
            let key = self.key.display();
            write!(f, "On the device, beside its {key}, try them:\n\n  {}", self.connect)
        }
    }
}

impl Delivered {
    fn new(name: &DeviceName, folder: PathBuf, entry: &Entry, connect: Try<'_>) -> Result<Self, Failure> {
        let certificate = listing(entry)?;
        let key = PathBuf::from(bundle::folder_name(name)).with_added_extension("key");
        // The folder may be the owner's alone.
        let _rights = Rights::to_read(&folder)?;
        Ok(Self {
            has_key: folder.join(&key).exists(),
            key,
            device: name.to_string(),
            folder,
            serial: entry.serial.clone(),
            sha256: certificate.sha256.to_string(),
            not_after: certificate.not_after.to_string(),
            connect: bundle::connect_line(connect, (name, (true, false))),
            certificate,
        })
    }

    /// Tells of it, once the broker has in force what the registry says since `change`; or why it has not.
    pub(crate) fn tell(&self, (world, output): (&World, &Output), change: &Change, wait: &Wait) -> Answer {
        let snapshot = check::load(world)?;
        let listed = Listed { delivered: self, broker: change.confirm(world, &snapshot, wait) };
        output.result(self, &listed)?;
        lack::warn(world, output, snapshot.device(&self.device));
        Ok(listed.broker.tell(output))
    }

    pub(super) fn sha256(&self) -> &str {
        &self.sha256
    }

    /// What the registry has to know.
    pub(crate) fn certificate(&self) -> &NewCertificate {
        &self.certificate
    }
}

/// A device's new certificate, and what the broker has made of it.
#[derive(Serialize)]
struct Listed<'a> {
    #[serde(flatten)]
    delivered: &'a Delivered,
    broker: Confirmed,
}

/// A certificate as the registry lists it.
pub(crate) fn listing(entry: &Entry) -> Result<NewCertificate, Failure> {
    let made = entry
        .certificate
        .as_ref()
        .ok_or_else(|| Failure::new(format!("the ledger has no certificate for serial {}", entry.serial)))?;
    Ok(NewCertificate {
        sha256: made.sha256.parse::<Fingerprint>()?,
        serial: entry.serial.clone(),
        not_after: UnixSeconds(made.period.not_after.as_second()),
    })
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
    hand_over((world, output), &name, options.wait(), |name| Order::prepare(world, output, name, options))
}

/// Delivers what was ordered and lists it; says what stays good beside it.
pub(super) fn hand_over<'a>(
    (world, output): (&World, &Output),
    name: &'a DeviceName,
    wait: &Wait,
    order: impl FnOnce(&'a DeviceName) -> Result<Order<'a>, Failure>,
) -> Answer {
    let earlier = accepted(world, name)?;
    let delivered = order(name)?.deliver(world, output)?;
    let change = Change::begin();
    registry::add_certificate(world, name, delivered.certificate())?;
    for Accepted { serial, not_after, .. } in earlier {
        output.say(&format_args!(
            "the earlier certificate {serial} stays good until {not_after}; `{} cert revoke {serial}` ends that",
            world.command()
        ));
    }
    delivered.tell((world, output), &change, wait)
}
