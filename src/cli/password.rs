//! `citronella password`: hashes in the registry. Passwords come from a prompt or standard input, never from the
//! command line.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use citronella::{
    password::{self, PasswordHash},
    registry::Certificates,
    snapshot::Snapshot,
};
use serde::Serialize;

use super::{
    Answer, cert, check,
    confirm::{Change, Confirmed, Wait},
    lack,
    noted::Doors,
    output::{Failure, Outcome, Output},
    passphrase, registry, shell,
    world::World,
};

mod import;

/// Set, generate and try passwords of devices
#[derive(clap::Subcommand)]
pub(crate) enum Verb {
    /// Give a device a password: asked for twice, or the first line of standard input
    #[command(after_help = "Example:\n  printf '%s\\n' \"$PASSWORD\" | citronella password set phone")]
    Set {
        /// The device
        device: String,
        #[command(flatten)]
        wait: Wait,
    },
    /// Make a password of 160 random bits, store its hash, and print it: it is shown this once
    #[command(after_help = "Example:\n  citronella password generate phone > phone.password")]
    Generate {
        /// The device
        device: String,
        #[command(flatten)]
        wait: Wait,
    },
    /// Try a password, asked for or from standard input: exits 0 when it is right, 1 when not
    #[command(after_help = "Example:\n  citronella password verify phone < phone.password")]
    Verify {
        /// The device
        device: String,
    },
    /// Take over the hashes of a file that `mosquitto_passwd` wrote, for devices that exist
    ///
    /// All in one step, or nothing where a hash could not be verified. Whoever is left out is told with the reason,
    /// and makes it exit 1.
    #[command(
        after_help = "Examples:\n  citronella password import /etc/mosquitto/passwd --dry-run\n  citronella password import /etc/mosquitto/passwd --add-devices viewer"
    )]
    Import(import::Import),
}

/// What becomes of devices that get their first password.
const NO_CERTIFICATE_ANY_MORE: &str = "`default_certificates` is for devices without a password, so these can show no certificate any more, and `citronella cert issue` lists one";

#[derive(Serialize)]
struct Changed<'a> {
    device: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<&'a str>,
    /// Not where the password is printed: that waits for nobody.
    #[serde(skip_serializing_if = "Option::is_none")]
    broker: Option<Confirmed>,
}

#[derive(Serialize)]
struct Verified<'a> {
    device: &'a str,
    right: bool,
}

pub(crate) fn run(world: &World, output: &Output, verb: Verb) -> Answer {
    match verb {
        Verb::Set { device, wait } => set(world, output, &device, &wait),
        Verb::Generate { device, wait } => generate(world, output, &device, &wait),
        Verb::Verify { device } => verify(world, output, &device),
        Verb::Import(import) => import::import(world, output, &import),
    }
}

fn set(world: &World, output: &Output, device: &str, wait: &Wait) -> Answer {
    registry::existing(world, device)?;
    let password = passphrase::from_stdin_or_prompt(&format!("password for {device}"))?;
    let hash = PasswordHash::new_argon2id(password.expose())?;
    let change = Change::begin();
    store(world, output, device, (&hash, false))?;
    let snapshot = check::load(world)?;
    let broker = change.confirm(world, &snapshot, wait);
    let outcome = broker.tell(output);
    let changed = Changed { device, password: None, broker: Some(broker) };
    output.result(&format_args!("{device} has a password"), &changed)?;
    tell_where(world, output, &snapshot, device);
    Ok(outcome)
}

/// Where who holds a password and no certificate comes in, as far as that is known.
fn tell_where(world: &World, output: &Output, snapshot: &Snapshot, device: &str) {
    let found = snapshot.device(device);
    let has_certificate = found.is_some_and(|found| match found.certificates() {
        Certificates::Any => true,
        Certificates::Listed(listed) => !listed.is_empty(),
    });
    lack::warn(world, output, found);
    let doors = Doors::of(world);
    match (doors.for_passwords(), doors.for_certificates()) {
        _ if has_certificate => {}
        (Some(door), _) => output.say(&format_args!(
            "it comes in at {}, port {}, over TLS: user name {device}, CA certificate {}",
            cert::host(world, Some(door)),
            door.port,
            world.folder().join("tls/ca.crt").display()
        )),
        (None, Some(_)) => output.say(&format_args!(
            "no port over TLS takes a password without a certificate yet; `{} init --password-listener` opens one",
            world.command()
        )),
        (None, None) => {}
    }
}

fn generate(world: &World, output: &Output, device: &str, wait: &Wait) -> Answer {
    registry::existing(world, device)?;
    let generated = password::generate()?;
    let change = Change::begin();
    store(world, output, device, (&generated.hash, true))?;
    let text = String::from_utf8_lossy(generated.text.expose());
    output.say(&format_args!("{device} has a password, shown this once"));
    output.result(&text, &Changed { device, password: Some(&text), broker: None })?;
    let snapshot = check::load(world)?;
    tell_where(world, output, &snapshot, device);
    Ok(change.confirm(world, &snapshot, wait).tell(output))
}

fn store(
    world: &World,
    output: &Output,
    device: &str,
    (hash, generated): (&PasswordHash, bool),
) -> Result<(), Failure> {
    let accepts_any = || -> Result<bool, Failure> {
        let snapshot = check::load(world)?;
        Ok(snapshot.device(device).is_some_and(|found| *found.certificates() == Certificates::Any))
    };
    let before = accepts_any()?;
    registry::change(world, |editor| editor.set_password(device, hash, generated))?;
    if before && !accepts_any()? {
        output.warn(&format!(
            "`default_certificates` is for devices without a password, so {device} can show no certificate any more; `citronella cert issue {}` lists one",
            shell::name(device)
        ));
    }
    warn_if_readable(output, &check::load(world)?.settings().registry_file);
    Ok(())
}

/// The mode of the registry is kept, whoever chose it.
fn warn_if_readable(output: &Output, registry: &Path) {
    if fs::metadata(registry).is_ok_and(|found| found.permissions().mode() & 0o004 != 0) {
        output.warn(&format!(
            "{} has hashes of passwords and everybody can read it; run chmod o-rwx {}",
            registry.display(),
            shell::path(registry)
        ));
    }
}

fn verify(world: &World, output: &Output, device: &str) -> Answer {
    let snapshot = check::load(world)?;
    let found = snapshot.device(device).ok_or_else(|| registry::unknown(&snapshot, device))?;
    let hash = found.password().ok_or_else(|| {
        Failure::new(format!("device `{device}` has no password"))
            .help(format!("`citronella password generate {}` makes one", shell::name(device)))
    })?;
    let password = passphrase::from_stdin_or_prompt_once(&format!("password of {device}"))?;
    let right = hash.verify(password.expose())?;
    let outcome = if right { Outcome::Yes } else { Outcome::No };
    output.verdict(outcome, &if right { "right" } else { "wrong" }, &Verified { device, right })?;
    Ok(outcome)
}
