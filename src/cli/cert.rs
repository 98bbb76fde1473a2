//! `citronella cert`: certificates of devices, and the record of all that was issued.

use std::fmt;

use citronella::pki::{Authority, Entry, Kind, Reason, State};
use jiff::Timestamp;
use serde::Serialize;

use super::{
    Answer,
    output::{Failure, Outcome, Output},
    span::Span,
    world::World,
};

mod options;
mod order;
mod renew;
mod revoke;
mod show;
mod sign;
mod verify;

pub(crate) use options::{IssueOptions, host, warn_of_host};
pub(crate) use order::{Order, in_folder, listing};

/// Issue, revoke and look at certificates
#[derive(clap::Subcommand)]
pub(crate) enum Verb {
    /// Make a key and a certificate for a registered device, and write them to a folder of its name
    #[command(after_help = "Example:\n  citronella cert issue thunder10 --out /media/stick --key-passphrase")]
    Issue {
        /// The device
        device: String,
        #[command(flatten)]
        options: IssueOptions,
    },
    /// Certify a key that was made on the device, and write the certificate to a folder of its name
    ///
    /// Of the signing request only the key and the name are taken. The device is registered already.
    #[command(
        after_help = "Examples:\n  citronella cert sign thunder10.csr\n  cat thunder10.csr | citronella cert sign - --device thunder10"
    )]
    Sign(sign::Sign),
    /// Make the next certificate of a device; the earlier ones end after an overlap
    ///
    /// Where the device's folder is, here or in --out, the new files take the place of the old ones, which are kept in
    /// NAME.old until the next time (--force keeps nothing). The earlier certificates stay good for the overlap, so that
    /// there is time to carry the new files to the device.
    #[command(
        after_help = "Examples:\n  citronella cert renew thunder10\n  citronella cert renew thunder10 --out /media/stick\n  citronella cert renew thunder10 --same-key --overlap 7d"
    )]
    Renew(renew::Renew),
    /// Tell by the exit status whether a certificate ends soon: 0 it is time, 1 not yet
    #[command(
        after_help = "Examples:\n  citronella cert needs-renewal --within 30d\n  citronella cert needs-renewal /etc/citronella/tls/broker.crt --within 30d"
    )]
    NeedsRenewal(renew::NeedsRenewal),
    /// Refuse certificates for ever: in the registry, the ledger, and the revocation list if there is one
    #[command(
        after_help = "The broker refuses them from now on, and ends the sessions that showed them.\n\nExamples:\n  citronella cert revoke thunder10\n  citronella cert revoke 7efc7237585c72037770f3a958202951 --reason keyCompromise\n  citronella cert revoke --role sensor --issued-before 2026-11-01 --dry-run"
    )]
    Revoke(revoke::Revoke),
    /// List what was issued
    #[command(after_help = "Examples:\n  citronella cert list\n  citronella cert list --expiring 30d")]
    List {
        /// Only those of this device or broker
        #[arg(value_name = "NAME")]
        name: Option<String>,
        /// Only those that expire within this: 30d, 12h, 4w
        #[arg(long, value_name = "TIME")]
        expiring: Option<Span>,
    },
    /// Show what stands in a file, or in what was issued: by serial number, SHA-256, or the name of a device or broker
    ///
    /// Files of certificates, signing requests, keys, revocation lists and PKCS#12 stores, PEM or DER. Of a key its kind
    /// and its public half are told, never the key.
    #[command(
        after_help = "Examples:\n  citronella cert show thunder10\n  citronella cert show thunder10/thunder10.crt\n  citronella cert show thunder10/thunder10.key"
    )]
    Show(show::Show),
    /// Tell whether a certificate would be accepted, and if not, why and what to do
    #[command(
        after_help = "Examples:\n  citronella cert verify /etc/citronella/tls/broker.crt --purpose broker\n  citronella cert verify thunder10/thunder10.crt \\\n    --purpose device --ca thunder10/ca.crt"
    )]
    Verify(verify::Verify),
}

pub(crate) fn run(world: &World, output: &Output, verb: Verb) -> Answer {
    match verb {
        Verb::Issue { device, options } => order::issue(world, output, &device, &options),
        Verb::Sign(sign) => sign::sign(world, output, &sign),
        Verb::Renew(renew) => renew::renew(world, output, renew),
        Verb::NeedsRenewal(asked) => renew::needs_renewal(world, output, &asked),
        Verb::Verify(asked) => verify::verify(world, output, &asked),
        Verb::Revoke(revoke) => revoke::revoke(world, output, &revoke),
        Verb::List { name, expiring } => list(world, output, name.as_deref(), expiring),
        Verb::Show(asked) => show::show(world, output, &asked),
    }
}

/// The entries that `which` means: one by its serial or SHA-256, or those of a name that are not revoked.
fn find(authority: &Authority, which: &str, wanted: impl Fn(&Entry) -> bool) -> Result<Vec<Entry>, Failure> {
    if let Some(entry) = authority.find(which) {
        return Ok(vec![entry.clone()]);
    }
    let now = Timestamp::now();
    let of_name = |entry: &&Entry| {
        entry.name == which
            && wanted(entry)
            && !matches!(entry.state(now), State::Revoked | State::Unfinished)
    };
    let found: Vec<Entry> = authority.list().iter().filter(of_name).cloned().collect();
    if found.is_empty() {
        return Err(Failure::new(format!("nothing that is in force was issued as `{which}`"))
            .help("`citronella cert list` shows what was"));
    }
    Ok(found)
}

/// The ledger as a table, or an array.
struct Table<'a>(Vec<&'a Entry>, Timestamp);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("nothing was issued");
        }
        write!(f, "{:<32}  {:<10}  {:<9}  {:<20}  NAME", "SERIAL", "KIND", "STATE", "VALID UNTIL")?;
        for entry in &self.0 {
            let until = entry.certificate.as_ref().map(|made| made.period.not_after.to_string());
            write!(
                f,
                "\n{:<32}  {:<10}  {:<9}  {:<20}  {}",
                entry.serial,
                entry.kind.to_string(),
                entry.state(self.1).to_string(),
                until.unwrap_or_default(),
                entry.name,
            )?;
        }
        Ok(())
    }
}

#[derive(Serialize)]
struct Listed<'a> {
    serial: &'a str,
    sha256: Option<&'a str>,
    kind: Kind,
    name: &'a str,
    state: State,
    not_before: Option<String>,
    not_after: Option<String>,
    reason: Option<Reason>,
}

fn list(world: &World, output: &Output, name: Option<&str>, expiring: Option<Span>) -> Answer {
    let authority = world.authority()?;
    if let Some(note) = authority.note() {
        output.warn(note);
    }
    let now = Timestamp::now();
    let entries: Vec<&Entry> = authority
        .list()
        .iter()
        .filter(|entry| name.is_none_or(|name| entry.name == name))
        .filter(|entry| expiring.is_none_or(|span| entry.expires_within(span.duration(), now)))
        .collect();
    let json: Vec<Listed<'_>> = entries
        .iter()
        .map(|entry| {
            let made = entry.certificate.as_ref();
            Listed {
                serial: &entry.serial,
                sha256: made.map(|made| &*made.sha256),
                kind: entry.kind,
                name: &entry.name,
                state: entry.state(now),
                not_before: made.map(|made| made.period.not_before.to_string()),
                not_after: made.map(|made| made.period.not_after.to_string()),
                reason: entry.revoked.as_ref().map(|revoked| revoked.reason),
            }
        })
        .collect();
    output.result(&Table(entries, now), &json)?;
    Ok(Outcome::Yes)
}
