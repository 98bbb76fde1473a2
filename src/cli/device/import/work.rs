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

use super::{Import, Plan, Todo, Told};
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
    if plan.todo.iter().any(|todo| todo.wants_certificate() && todo.found.is_none())
        && let Some(authority) = authority
    {
        import.certificate.warn(output);
        let (opened, passphrase) = import.certificate.unlock(authority)?;
        (issuer, key_passphrase) = (Some(opened), passphrase);
    }
    let (host, port) = import.certificate.broker(world);
    if !plan.todo.is_empty() {
        cert::warn_of_host(world, output, &host);
    }
    let mut work = Work { world, import, plan: &plan, issuer, ca_pem, key_passphrase, host, port };
    let mut done = Vec::with_capacity(plan.todo.len());
    let mut registered = 0;
    let mut progress = Progress::new(output, "devices", plan.todo.len());
    for todo in plan.todo.chunks(AT_ONCE) {
        let step = work.hand_over(todo, &mut done).and_then(|()| {
            let due = done.len() - registered >= (plan.registered + registered) / PART;
            if due || done.len() == plan.todo.len() {
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
        progress.step(todo.len());
    }
    drop(progress);
    let told = plan
        .todo
        .iter()
        .zip(&done)
        .map(|(todo, new)| plan.tell((&todo.row, todo.outline()), todo.place(), new.entry.as_ref()));
    Ok(told.chain(plan.told_there()).collect())
}

impl Work<'_> {
    /// Makes what the next devices connect with, and their folders.
    fn hand_over(&mut self, todo: &[Todo], done: &mut Vec<New>) -> Result<(), Failure> {
        let made = self.make(todo)?;
        self.write_folders(todo, &made)?;
        for (todo, made) in todo.iter().zip(&made) {
            done.push(New::of(todo, made)?);
        }
        Ok(())
    }

    /// Certificates and passwords that no earlier run has made.
    fn make(&mut self, todo: &[Todo]) -> Result<Vec<Made>, Failure> {
        let wanting = |todo: &&Todo| todo.wants_certificate() && todo.found.is_none();
        let requests: Vec<DeviceRequest> =
            todo.iter().filter(wanting).map(|todo| self.import.certificate.request(&todo.row.name)).collect();
        let issued = match &mut self.issuer {
            Some(issuer) if !requests.is_empty() => issuer.issue_devices(&requests, Timestamp::now())?,
            _ => Vec::new(),
        };
        let mut issued = issued.into_iter();
        let made = todo.iter().map(|todo| {
            let certificate = if wanting(&todo) { issued.next() } else { None };
            let fresh = todo.row.credentials.password && todo.found.is_none();
            let password = if fresh { Some(password::generate()?) } else { None };
            Ok(Made { certificate, password })
        });
        made.collect()
    }

    /// Folders for what was made.
    fn write_folders(&self, todo: &[Todo], made: &[Made]) -> Result<(), Failure> {
        let fresh: Vec<(&Todo, &Made)> =
            todo.iter().zip(made).filter(|(todo, _)| todo.folder.is_some() && todo.found.is_none()).collect();
        let bundles: Vec<Bundle<'_>> = fresh
            .iter()
            .map(|(todo, made)| {
                let key = |issued| match &self.key_passphrase {
                    Some(passphrase) => KeyFile::Encrypted(issued, passphrase, PBKDF2_ITERATIONS),
                    None => KeyFile::Plain(issued),
                };
                let certificate = made.certificate.as_ref();
                let port = if certificate.is_some() { self.port } else { self.import.password_port };
                Bundle {
                    name: &todo.row.name,
                    certificate: certificate.map(|issued| (&issued.certified, key(&issued.key))),
                    password: made.password.as_ref().map(|generated| &generated.text),
                    ca_pem: &self.ca_pem,
                    connect: Try { host: &self.host, port, topic: &todo.topic },
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
        let pairs = || self.plan.todo.iter().zip(done).skip(from);
        let added: Vec<(&DeviceName, NewDevice)> = pairs()
            .filter(|(todo, _)| !todo.known)
            .map(|(todo, new)| {
                let certificate = todo.listed(new.certificate.as_ref());
                (&todo.row.name, todo.device(certificate, new.password.clone()))
            })
            .collect();
        let added = added.iter().map(|(name, device)| (*name, device));
        if pairs().all(|(todo, _)| !todo.known) {
            return registry::append(self.world, &self.plan.registry, added);
        }
        registry::change(self.world, |editor| {
            editor.add_all(added)?;
            for (todo, new) in pairs().filter(|(todo, _)| todo.known) {
                let name = todo.row.name.as_str();
                if let Some(certificate) = todo.listed(new.certificate.as_ref()) {
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
    fn of(todo: &Todo, made: &Made) -> Result<Self, Failure> {
        let made_entry = made.certificate.as_ref().map(|issued| issued.entry.clone());
        let entry = made_entry.or_else(|| todo.found.as_ref()?.entry.clone());
        let certificate = entry.as_ref().map(cert::listing).transpose()?;
        let password = made.password.as_ref().map(|generated| generated.hash.clone());
        let password = password.or_else(|| todo.found.as_ref()?.password.clone());
        Ok(Self { entry, certificate, password })
    }
}
