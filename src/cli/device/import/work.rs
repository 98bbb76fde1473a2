//! Carrying out what was planned, some hundred devices at a time.

use citronella::{
    ident::DeviceName,
    password::{self, Generated, PasswordHash},
    pki::{
        DeviceRequest, Entry, Issued, Issuer, PBKDF2_ITERATIONS,
        bundle::{self, Bundle, KeyFile, Try},
    },
    registry::edit::{NewCertificate, NewDevice},
    secret::Secret,
};
use jiff::Timestamp;

use super::{Import, Pending, Plan, Told};
use crate::{
    cert,
    output::{Failure, Output},
    progress::Progress,
    registry,
    rights::Rights,
    world::World,
};

/// Devices that are certified and handed over in one step.
const AT_ONCE: usize = 100;

/// The registry is written when so much of it is new, one part in so many: each time it is judged as a whole.
const PART: usize = 4;

/// What was made for a device just now.
#[derive(Default)]
struct Made {
    certificate: Option<Issued>,
    password: Option<Generated>,
}

struct Work<'a> {
    world: &'a World,
    import: &'a Import,
    plan: &'a Plan,
    issuer: Option<Box<Issuer>>,
    ca_pem: String,
    key_passphrase: Option<Secret>,
    host: String,
    port: u16,
    /// For devices without a certificate.
    password_port: u16,
}

/// Registers everything; what became of each device.
pub(super) fn carry_out(
    (world, output): (&World, &Output),
    import: &Import,
    mut plan: Plan,
) -> Result<Vec<Told>, Failure> {
    let authority = plan.authority.take();
    let ca_pem = authority.as_ref().map(|authority| authority.trust_pem()).unwrap_or_default();
    let (mut issuer, mut key_passphrase) = (None, None);
    if plan.pending.iter().any(|pending| pending.wants_certificate() && pending.found.is_none())
        && let Some(authority) = authority
    {
        import.certificate.warn(output);
        let (opened, passphrase) = import.certificate.unlock(authority)?;
        (issuer, key_passphrase) = (Some(opened), passphrase);
    }
    let (host, port) = import.certificate.broker(world);
    if !plan.pending.is_empty() {
        cert::warn_of_host(world, output, &host);
    }
    let password_port = import.password_port(world);
    let mut work =
        Work { world, import, plan: &plan, issuer, ca_pem, key_passphrase, host, port, password_port };
    let mut done = Vec::with_capacity(plan.pending.len());
    let mut registered = 0;
    let mut progress = Progress::new(output, "devices", plan.pending.len());
    for pending in plan.pending.chunks(AT_ONCE) {
        let step = work.hand_over(pending, &mut done).and_then(|()| {
            let due = done.len() - registered >= (plan.registered + registered) / PART;
            if due || done.len() == plan.pending.len() {
                work.register(registered, &done)?;
                registered = done.len();
            }
            Ok(())
        });
        step.map_err(|failure| {
            failure.help(format!(
                "{registered} devices are complete; doing it again goes on where this has stopped"
            ))
        })?;
        progress.step(pending.len());
    }
    drop(progress);
    let told = plan.pending.iter().zip(&done).map(|(pending, new)| {
        plan.tell((&pending.row, pending.outline()), pending.place(), new.entry.as_ref())
    });
    Ok(told.chain(plan.told_there()).collect())
}

impl Work<'_> {
    /// Makes what the next devices connect with, and their folders.
    fn hand_over(&mut self, pending: &[Pending], done: &mut Vec<New>) -> Result<(), Failure> {
        let made = self.make(pending)?;
        self.write_folders(pending, &made)?;
        for (pending, made) in pending.iter().zip(&made) {
            done.push(New::of(pending, made)?);
        }
        Ok(())
    }

    /// Certificates and passwords that no earlier run has made.
    fn make(&mut self, pending: &[Pending]) -> Result<Vec<Made>, Failure> {
        let wanting = |pending: &&Pending| pending.wants_certificate() && pending.found.is_none();
        let requests: Vec<DeviceRequest> = pending
            .iter()
            .filter(wanting)
            .map(|pending| self.import.certificate.request(&pending.row.name))
            .collect();
        let issued = match &mut self.issuer {
            Some(issuer) if !requests.is_empty() => issuer.issue_devices(&requests, Timestamp::now())?,
            _ => Vec::new(),
        };
        let mut issued = issued.into_iter();
        let made = pending.iter().map(|pending| {
            let certificate = if wanting(&pending) { issued.next() } else { None };
            let fresh = pending.row.credentials.password && pending.found.is_none();
            let password = if fresh { Some(password::generate()?) } else { None };
            Ok(Made { certificate, password })
        });
        made.collect()
    }

    /// Folders for what was made.
    fn write_folders(&self, pending: &[Pending], made: &[Made]) -> Result<(), Failure> {
        let fresh: Vec<(&Pending, &Made)> = pending
            .iter()
            .zip(made)
            .filter(|(pending, _)| pending.folder.is_some() && pending.found.is_none())
            .collect();
        let bundles: Vec<Bundle<'_>> = fresh
            .iter()
            .map(|(pending, made)| {
                let key = |issued| match &self.key_passphrase {
                    Some(passphrase) => KeyFile::Encrypted(issued, passphrase, PBKDF2_ITERATIONS),
                    None => KeyFile::Plain(issued),
                };
                let certificate = made.certificate.as_ref();
                let port = if certificate.is_some() { self.port } else { self.password_port };
                Bundle {
                    name: &pending.row.name,
                    certificate: certificate.map(|issued| (&issued.certified, key(&issued.key))),
                    password: made.password.as_ref().map(|generated| &generated.text),
                    ca_pem: &self.ca_pem,
                    connect: Try { host: &self.host, port, topic: &pending.topic },
                }
            })
            .collect();
        if bundles.is_empty() {
            return Ok(());
        }
        let out = self.import.certificate.out();
        let _rights = Rights::for_folder(out)?;
        Ok(bundle::write_all(out, &bundles, self.import.certificate.on_existing())?)
    }

    /// Everything from a place on that is handed over, in one step.
    fn register(&self, from: usize, done: &[New]) -> Result<(), Failure> {
        let pairs = || self.plan.pending.iter().zip(done).skip(from);
        let added: Vec<(&DeviceName, NewDevice)> = pairs()
            .filter(|(pending, _)| !pending.known)
            .map(|(pending, new)| {
                let certificate = pending.listed(new.certificate.as_ref());
                (&pending.row.name, pending.device(certificate, new.password.clone()))
            })
            .collect();
        let added = added.iter().map(|(name, device)| (*name, device));
        if pairs().all(|(pending, _)| !pending.known) {
            return registry::append(self.world, &self.plan.registry, added);
        }
        registry::change(self.world, |editor| {
            editor.add_all(added)?;
            for (pending, new) in pairs().filter(|(pending, _)| pending.known) {
                let name = pending.row.name.as_str();
                if let Some(certificate) = pending.listed(new.certificate.as_ref()) {
                    editor.add_certificate(name, &certificate)?;
                }
                if let Some(hash) = &new.password {
                    editor.set_password(name, hash, true)?;
                }
            }
            Ok(())
        })
    }
}

/// What the registry gets to know of a device.
struct New {
    entry: Option<Entry>,
    certificate: Option<NewCertificate>,
    password: Option<PasswordHash>,
}

impl New {
    fn of(pending: &Pending, made: &Made) -> Result<Self, Failure> {
        let made_entry = made.certificate.as_ref().map(|issued| issued.entry.clone());
        let entry = made_entry.or_else(|| pending.found.as_ref()?.entry.clone());
        let certificate = entry.as_ref().map(cert::listing).transpose()?;
        let password = made.password.as_ref().map(|generated| generated.hash.clone());
        let password = password.or_else(|| pending.found.as_ref()?.password.clone());
        Ok(Self { entry, certificate, password })
    }
}
