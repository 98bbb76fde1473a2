//! A new certificate beside the old one, which ends after an overlap; and whether it is time for it.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use citronella::{
    clock::UnixSeconds,
    ident::DeviceName,
    pki::{Authority, Entry, KeyKind, Kind, SigningRequest, State, inspect},
    registry::{Certificates, Fingerprint},
};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::{
    options::HandOver,
    order::{Accepted, KeySource, Order, accepted},
    sign,
};
use crate::{
    Answer, check,
    confirm::Change,
    output::{Failure, Outcome, Output},
    passphrase::KeyPassphrase,
    registry,
    span::Span,
    world::World,
};

/// Which device, which key, and how long the old certificate stays.
#[derive(clap::Args)]
pub(crate) struct Renew {
    /// The device
    device: String,
    /// How long the earlier certificates stay good; 0 ends them at once
    #[arg(long, value_name = "TIME", default_value_t = Span::days(30))]
    overlap: Span,
    /// Certify the key again that the device has
    #[arg(long, conflicts_with_all = ["csr", "key"])]
    same_key: bool,
    /// Certify a new key that was made on the device, from its signing request; - is standard input
    #[arg(long, value_name = "CSR", conflicts_with = "key")]
    csr: Option<PathBuf>,
    /// Kind of the new key: p256, p384, rsa2048, rsa3072 or ed25519 [default: as before]
    #[arg(long, value_name = "KIND")]
    key: Option<KeyKind>,
    #[command(flatten)]
    key_passphrase: KeyPassphrase,
    #[command(flatten)]
    hand_over: HandOver,
}

pub(super) fn renew(world: &World, output: &Output, mut renew: Renew) -> Answer {
    let name = registry::existing(world, &renew.device)?;
    let authority = world.authority()?;
    let latest = latest(&authority, Kind::Device, name.as_str()).ok_or_else(|| {
        Failure::new(format!("`{name}` has no certificate to renew"))
            .help("`citronella cert issue` makes the first one")
    })?;
    let pem = authority.certificate_of(latest)?;
    renew.hand_over.inherit(inspect::subject(pem.as_bytes()));
    renew.hand_over.renews = true;
    let signing = match &renew.csr {
        Some(path) => Some(sign::read(path)?),
        None if renew.same_key => Some(SigningRequest::again(pem.as_bytes())?),
        None => None,
    };
    if let Some(other) =
        signing.as_ref().and_then(SigningRequest::common_name).filter(|cn| *cn != name.as_str())
    {
        return Err(Failure::new(format!("the signing request is for `{other}`, not for `{name}`")));
    }
    let kind = renew.key.or_else(|| key_kind(pem.as_bytes())).unwrap_or_default();
    let source = match &signing {
        Some(signing) => KeySource::Request(signing),
        None => KeySource::New(kind, &renew.key_passphrase),
    };
    let earlier = accepted(world, &name)?;
    let listed = is_listed(world, &name)?;
    if listed {
        tell_ends(output, &earlier, renew.overlap);
    }
    let delivered = Order::plan((world, output), &name, &renew.hand_over, source)?.deliver(world, output)?;

    let end = end_of_overlap(renew.overlap);
    let ends: Vec<(String, Fingerprint, Timestamp)> = earlier
        .into_iter()
        .filter(|found| found.sha256 != delivered.sha256())
        .map(|found| Ok((found.serial, found.sha256.parse::<Fingerprint>()?, found.not_after.min(end))))
        .collect::<Result<_, Failure>>()?;
    let certificate = delivered.certificate();
    // A registry that takes any certificate of the device has no place for an end.
    let change = Change::begin();
    if listed {
        registry::change(world, |editor| {
            editor.add_certificate(name.as_str(), certificate)?;
            ends.iter().try_for_each(|(_, sha256, end)| {
                editor.end_certificate(name.as_str(), *sha256, UnixSeconds(end.as_second()))
            })
        })?;
    }
    for (serial, _, end) in &ends {
        if listed {
            output.say(&format_args!(
                "the earlier certificate {serial} is good until {end}: by then {name} needs the new files"
            ));
        } else {
            output.warn(&format!(
                "the registry takes any certificate of {name}, so the earlier {serial} stays good to its end; `{} cert revoke {serial}` ends that",
                world.command()
            ));
        }
    }
    delivered.tell((world, output), &change, &renew.hand_over.wait)
}

/// When the earlier certificates end, to the second.
fn end_of_overlap(overlap: Span) -> Timestamp {
    let end = Timestamp::now().checked_add(overlap.duration()).unwrap_or(Timestamp::MAX);
    Timestamp::from_second(end.as_second()).unwrap_or(end)
}

/// What is to become of the earlier certificates, while there is time to stop.
fn tell_ends(output: &Output, earlier: &[Accepted], overlap: Span) {
    let end = end_of_overlap(overlap);
    let when =
        if overlap.duration().is_zero() { "at once".to_owned() } else { format!("in {overlap} (--overlap)") };
    for Accepted { serial, not_after, .. } in earlier.iter().filter(|found| found.not_after > end) {
        output.say(&format_args!(
            "with the new certificate the earlier one, {serial}, will end {when}, and not on {not_after}"
        ));
    }
}

fn is_listed(world: &World, name: &DeviceName) -> Result<bool, Failure> {
    let snapshot = check::load(world)?;
    Ok(snapshot.device(name.as_str()).is_some_and(|device| *device.certificates() != Certificates::Any))
}

/// The kind of the key in a certificate, if keys of that kind can be made here.
fn key_kind(pem: &[u8]) -> Option<KeyKind> {
    KeyKind::of_words(&inspect::certificates(pem).ok()?.first()?.key)
}

/// The certificate of that kind and name that ends last, revoked ones left out; it may have ended.
fn latest<'a>(authority: &'a Authority, kind: Kind, name: &str) -> Option<&'a Entry> {
    let wanted = |entry: &&Entry| entry.kind == kind && entry.name == name && entry.revoked.is_none();
    let entries = authority.list().iter().filter(wanted);
    entries.max_by_key(|entry| entry.certificate.as_ref().map(|made| made.period.not_after))
}

/// What to look at.
#[derive(clap::Args)]
pub(crate) struct NeedsRenewal {
    /// Certificate files, devices or brokers [default: every registered device, and every broker]
    #[arg(value_name = "FILE|NAME")]
    which: Vec<String>,
    /// It is time when a certificate ends within this
    #[arg(long, value_name = "TIME", default_value_t = Span::days(30))]
    within: Span,
}

#[derive(Serialize)]
struct Due {
    name: String,
    not_after: String,
    needs_renewal: bool,
}

struct List<'a>(&'a [Due]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("there is nothing to renew");
        }
        for (number, due) in self.0.iter().enumerate() {
            let separator = if number > 0 { "\n" } else { "" };
            let state = if due.needs_renewal { "needs renewal" } else { "is fine" };
            write!(f, "{separator}{} {state}, it ends {}", due.name, due.not_after)?;
        }
        Ok(())
    }
}

pub(super) fn needs_renewal(world: &World, output: &Output, asked: &NeedsRenewal) -> Answer {
    let now = Timestamp::now();
    let is_due = |not_after: Timestamp| {
        not_after.duration_since(now) < asked.within.duration().max(SignedDuration::ZERO)
    };
    let due = |name: String, not_after: Timestamp| Due {
        name,
        not_after: not_after.to_string(),
        needs_renewal: is_due(not_after),
    };
    let mut list = Vec::new();
    for which in &asked.which {
        if Path::new(which).is_file() {
            list.push(due(which.clone(), end_of_file(which)?));
            continue;
        }
        let authority = world.authority()?;
        let found =
            [Kind::Device, Kind::Broker].into_iter().filter_map(|kind| latest(&authority, kind, which));
        let mut ends: Vec<Due> = found.filter_map(end_of).map(|end| due(which.clone(), end)).collect();
        if ends.is_empty() {
            return Err(Failure::new(format!(
                "there is no file and no certificate of a device or broker called `{which}`"
            ))
            .help("`citronella cert list` shows what was issued"));
        }
        list.append(&mut ends);
    }
    if asked.which.is_empty() {
        list = everything(world)?.into_iter().map(|(name, end)| due(name, end)).collect();
    }
    let any = list.iter().any(|due| due.needs_renewal);
    output.result(&List(&list), &list)?;
    Ok(if any { Outcome::Yes } else { Outcome::No })
}

fn end_of(entry: &Entry) -> Option<Timestamp> {
    entry.certificate.as_ref().map(|made| made.period.not_after)
}

/// When the first certificate of a chain ends.
fn end_of_file(path: &str) -> Result<Timestamp, Failure> {
    let bytes = fs::read(path).map_err(|error| Failure::file(path.as_ref(), &error))?;
    let views = inspect::certificates(&bytes).map_err(|error| Failure::new(format!("{path}: {error}")))?;
    views.first().map(|view| view.not_after).ok_or_else(|| Failure::new(format!("{path}: no certificate")))
}

/// Name and end of the newest certificate of each device that may connect some day, and of each broker.
fn everything(world: &World) -> Result<Vec<(String, Timestamp)>, Failure> {
    let (authority, snapshot) = (world.authority()?, check::load(world)?);
    let retired = citronella::registry::State::Retired;
    let mut names: Vec<(Kind, &str)> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for entry in authority.list().iter().filter(|entry| entry.state(Timestamp::now()) != State::Unfinished) {
        let wanted = match entry.kind {
            Kind::Device => snapshot.device(&entry.name).is_some_and(|device| device.state() != retired),
            Kind::Broker => true,
            Kind::Ca => false,
        };
        if wanted && seen.insert((entry.kind.to_string(), &entry.name)) {
            names.push((entry.kind, &entry.name));
        }
    }
    let latest = |(kind, name)| Some((String::from(name), latest(&authority, kind, name).and_then(end_of)?));
    Ok(names.into_iter().filter_map(latest).collect())
}
