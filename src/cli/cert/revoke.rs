//! Refusing certificates for ever: one, a device's, a role's, or those of a list.

use std::{fmt, fs, io::Read as _, path::PathBuf};

use citronella::{
    ident::DeviceName,
    pki::{Authority, Entry, Kind, Reason, Revocation},
    registry::Fingerprint,
};
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde::Serialize;

use super::find;
use crate::{
    Answer,
    ca::{self, Freshness},
    check,
    confirm::{Change, Wait},
    output::{Failure, Outcome, Output},
    passphrase::CaPassphrase,
    registry,
    world::World,
};

/// What to revoke and why.
#[derive(clap::Args)]
pub(crate) struct Revoke {
    /// Devices (all their certificates), or serial numbers or SHA-256 of single ones
    #[arg(value_name = "DEVICE|SERIAL|SHA256")]
    which: Vec<String>,
    /// More of them, one per line; - is standard input
    #[arg(long, value_name = "FILE")]
    from_file: Option<PathBuf>,
    /// Those of all devices with this role
    #[arg(long, value_name = "ROLE")]
    role: Option<String>,
    /// Of what is named, or of everything, only what was issued before this day (UTC) or time
    #[arg(long, value_name = "DATE", value_parser = date)]
    issued_before: Option<Timestamp>,
    /// Why: unspecified, keyCompromise, affiliationChanged, superseded, cessationOfOperation or privilegeWithdrawn
    #[arg(long, value_name = "REASON", default_value_t)]
    reason: Reason,
    /// The one of that serial number or SHA-256 even if it is a broker's: only the ledger will know
    #[arg(long)]
    broker: bool,
    /// Only tell what would be revoked
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    passphrase: CaPassphrase,
    /// Revoke what --role or --issued-before choose
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    wait: Wait,
}

/// A day (UTC), or a time.
pub(super) fn date(text: &str) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    let day =
        text.parse::<Date>().map_err(|_| "it is written 2026-11-22 or 2026-11-22T16:00:00Z".to_owned())?;
    day.to_zoned(TimeZone::UTC).map(|day| day.timestamp()).map_err(|error| error.to_string())
}

#[derive(Serialize)]
struct Revoked {
    serial: String,
    sha256: Option<String>,
    device: String,
    /// Whether the registry had to be changed for it.
    registry: bool,
    /// Whether it was in the ledger as revoked before.
    already: bool,
    /// The revocation list that a broker may have.
    crl: Freshness,
}

struct Told<'a>(&'a [Revoked], bool);

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.is_empty(), self.1) {
            (true, _) => f.write_str("nothing to revoke"),
            (false, true) => write!(f, "{} certificates would be revoked", self.0.len()),
            (false, false) if self.0.len() == 1 => f.write_str("1 certificate is revoked"),
            (false, false) => write!(f, "{} certificates are revoked", self.0.len()),
        }
    }
}

/// Registry first: it is what the broker reads; then the ledger; then the revocation list, if there is one, for which
/// the passphrase is needed. Killed in between, doing it again completes it.
pub(super) fn revoke(world: &World, output: &Output, revoke: &Revoke) -> Answer {
    let mut authority = world.authority()?;
    let entries = chosen(world, &authority, revoke)?;
    if let Some(entry) = entries.iter().find(|entry| entry.kind == Kind::Broker && !revoke.broker) {
        return Err(Failure::new(format!("this is the certificate of the broker `{}`", entry.name))
            .help("devices do not ask the registry before they trust it: give the broker another one instead")
            .help("--broker marks it as revoked in the ledger all the same"));
    }
    let wide = revoke.role.is_some() || revoke.issued_before.is_some();
    if wide && !revoke.yes && !revoke.dry_run && !entries.is_empty() {
        let names: Vec<&str> = entries.iter().take(5).map(|entry| &*entry.name).collect();
        let more = if entries.len() > names.len() { ", …" } else { "" };
        return Err(Failure::new(format!(
            "this would revoke {} certificates for ever ({}{more}); nothing was done",
            entries.len(),
            names.join(", ")
        ))
        .help("see all of them with --dry-run, and revoke them with --yes"));
    }
    if revoke.dry_run {
        return told(output, &entries);
    }

    let targets: Vec<Option<(DeviceName, Fingerprint)>> = entries.iter().map(target).collect();
    let known: Vec<(DeviceName, Fingerprint)> = targets.iter().flatten().cloned().collect();
    let change = Change::begin();
    let changed = registry::revoke(world, &known)?;
    let serials: Vec<String> = entries.iter().map(|entry| entry.serial.clone()).collect();
    let revocations = authority.revoke_all(&serials, revoke.reason, Timestamp::now())?;
    let mut done = Vec::new();
    for ((entry, target), revocation) in entries.into_iter().zip(targets).zip(revocations) {
        let registry = target.is_some_and(|(_, sha256)| changed.contains(&sha256));
        let already = matches!(revocation, Revocation::Already(_));
        output.say(&format_args!(
            "{} of {}: {}{}",
            entry.serial,
            entry.name,
            if registry { "revoked in the registry" } else { "nothing to change in the registry" },
            if already { ", was revoked in the ledger" } else { ", revoked in the ledger" },
        ));
        done.push(line(&entry, registry, already));
    }
    let crl = if done.is_empty() { Freshness::None } else { ca::refresh(world, output, &revoke.passphrase)? };
    done.iter_mut().for_each(|line| line.crl = crl);
    output.result(&Told(&done, false), &done)?;
    let stale = crl == Freshness::Stale;
    if done.is_empty() {
        return Ok(Outcome::Yes);
    }
    // Everything is done by now, whoever grows tired of waiting.
    let outcome = change.confirm(world, &check::load(world)?, &revoke.wait).tell(output);
    Ok(if stale { Outcome::No } else { outcome })
}

fn told(output: &Output, entries: &[Entry]) -> Answer {
    for entry in entries {
        output.say(&format_args!("{} of {}", entry.serial, entry.name));
    }
    let done: Vec<Revoked> =
        entries.iter().map(|entry| line(entry, false, entry.revoked.is_some())).collect();
    output.result(&Told(&done, true), &done)?;
    Ok(Outcome::Yes)
}

fn line(entry: &Entry, registry: bool, already: bool) -> Revoked {
    let sha256 = entry.certificate.as_ref().map(|made| made.sha256.clone());
    Revoked {
        serial: entry.serial.clone(),
        sha256,
        device: entry.name.clone(),
        registry,
        already,
        crl: Freshness::None,
    }
}

/// How the registry knows a certificate.
fn target(entry: &Entry) -> Option<(DeviceName, Fingerprint)> {
    let sha256 = entry.certificate.as_ref()?.sha256.parse().ok()?;
    Some((DeviceName::new(&entry.name).ok()?, sha256))
}

/// Everything that is meant, once each, in the order of the ledger where whole groups are.
fn chosen(world: &World, authority: &Authority, revoke: &Revoke) -> Result<Vec<Entry>, Failure> {
    let mut names = revoke.which.clone();
    if let Some(path) = &revoke.from_file {
        names.extend(read_list(path)?);
    }
    let mut entries = Vec::new();
    for which in &names {
        entries.extend(find(authority, which, |entry| entry.kind == Kind::Device)?);
    }
    let now = Timestamp::now();
    let in_force =
        |entry: &&Entry| entry.kind == Kind::Device && entry.certificate.is_some() && entry.revoked.is_none();
    if let Some(role) = &revoke.role {
        let snapshot = check::load(world)?;
        let has_role = |name: &str| {
            snapshot
                .device(name)
                .is_some_and(|device| device.roles().iter().any(|id| snapshot.roles().name(*id) == role))
        };
        entries
            .extend(authority.list().iter().filter(in_force).filter(|entry| has_role(&entry.name)).cloned());
    } else if names.is_empty() && revoke.from_file.is_none() {
        if revoke.issued_before.is_none() {
            return Err(Failure::new("nothing is named that could be revoked").help(
                "name devices or serial numbers, or choose with --from-file, --role or --issued-before",
            ));
        }
        entries.extend(authority.list().iter().filter(in_force).cloned());
    }
    if let Some(before) = revoke.issued_before {
        if before > now {
            return Err(Failure::new("--issued-before is in the future: that would be everything"));
        }
        entries.retain(|entry| entry.certificate.as_ref().is_some_and(|made| made.issued_at < before));
    }
    let mut seen = std::collections::HashSet::new();
    entries.retain(|entry| seen.insert(entry.serial.clone()));
    Ok(entries)
}

/// Words at the beginnings of lines; what follows a `#` is a comment.
fn read_list(path: &PathBuf) -> Result<Vec<String>, Failure> {
    let text = if path.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin().lock().read_to_string(&mut text).map(|_| text)
    } else {
        fs::read_to_string(path)
    };
    let text = text.map_err(|error| Failure::file(path, &error))?;
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    Ok(lines.filter(|line| !line.is_empty()).map(str::to_owned).collect())
}
