//! `citronella device import`: many devices at once. All mistakes are told before anything changes; interrupted, it is
//! completed by doing it again.
//!
//! ```text
//! plan: file, registry, ledger, folders ─▶ for some hundred at a time: ledger ▶ folders ▶ registry
//! ```
//!
//! A device gets into the registry in one step with all it connects with. What an interrupted run has put in a folder
//! and not in the registry is taken up from there.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use serde::Serialize;

use crate::{
    Answer, cert, check,
    confirm::{Change, Confirmed},
    input,
    noted::{self, Doors},
    output::{Outcome, Output},
    world::World,
};
use plan::{Pending, Plan};

mod compare;
mod found;
mod plan;
mod work;

/// Many devices to be.
#[derive(clap::Args)]
pub(crate) struct Import {
    /// CSV with a header: name, role, attr.NAME, auth, state, credentials; `-` is standard input
    file: PathBuf,
    /// Tell what would be done, and change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    certificate: cert::IssueOptions,
    /// The broker's port for devices without a certificate, for the line to paste [default: the one that `init` opened for
    /// clients with a password]
    #[arg(long, value_name = "PORT")]
    password_port: Option<u16>,
}

impl Import {
    /// Where devices without a certificate find the broker.
    fn password_port(&self, world: &World) -> u16 {
        let opened = || Doors::of(world).for_passwords().map(|door| door.port);
        self.password_port.or_else(opened).unwrap_or(noted::PASSWORD_PORT)
    }
}

/// What becomes, or would become, of a device.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Outline {
    /// It is new.
    Registered,
    /// It was registered with nothing to connect with.
    Completed,
    /// It is as the file says.
    There,
}

/// A device of the file, for people and scripts.
#[derive(Serialize)]
struct Told {
    name: String,
    line: u32,
    outcome: Outline,
    credentials: &'static str,
    /// Where its credentials are.
    folder: Option<PathBuf>,
    /// An earlier run has made them: the key and the password are those that lay there.
    taken_up: bool,
    serial: Option<String>,
    sha256: Option<String>,
    not_after: Option<String>,
}

#[derive(Serialize)]
struct Imported<'a> {
    dry_run: bool,
    devices: &'a [Told],
    #[serde(skip_serializing_if = "Option::is_none")]
    broker: Option<Confirmed>,
}

impl fmt::Display for Imported<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |wanted| self.devices.iter().filter(|told| told.outcome == wanted).count();
        let (new, completed, there) =
            (count(Outline::Registered), count(Outline::Completed), count(Outline::There));
        if self.dry_run {
            for told in self.devices.iter().filter(|told| told.outcome != Outline::There) {
                let verb = if told.outcome == Outline::Completed { "complete" } else { "register" };
                let begun = if told.taken_up { ", made by an earlier run" } else { "" };
                writeln!(f, "{verb}  {}  {}{begun}", told.name, told.credentials)?;
            }
        }
        let would = |count| match count {
            _ if self.dry_run => "would be",
            1 => "is",
            _ => "are",
        };
        write!(f, "{} {} registered", devices(new), would(new))?;
        if completed > 0 {
            write!(f, ", {completed} {} completed", would(completed))?;
        }
        if there > 0 {
            write!(f, ", {there} {} there already", if there == 1 { "is" } else { "are" })?;
        }
        let taken_up = self.devices.iter().filter(|told| told.taken_up).count();
        if taken_up > 0 && !self.dry_run {
            let keys = if taken_up == 1 { "key or password" } else { "keys or passwords" };
            write!(
                f,
                "\n{} taken up from an earlier run, with the {keys} in {} (--force makes new ones)",
                devices(taken_up),
                if taken_up == 1 { "its folder" } else { "their folders" }
            )?;
        }
        match self.devices.iter().filter_map(|told| told.folder.as_deref()?.parent()).next() {
            Some(out) if !self.dry_run => {
                let out = if out == Path::new("") { Path::new(".") } else { out };
                write!(f, "\nwhat they connect with is in folders of their names in {}", out.display())
            }
            _ => Ok(()),
        }
    }
}

fn devices(count: usize) -> String {
    format!("{count} device{}", if count == 1 { "" } else { "s" })
}

pub(super) fn import(world: &World, output: &Output, import: &Import) -> Answer {
    let text = input::text(&import.file)?;
    let plan = Plan::make((world, output), import, &text)?;
    if import.dry_run {
        let imported = Imported { dry_run: true, devices: &plan.told(), broker: None };
        output.result(&imported, &imported)?;
        return Ok(Outcome::Yes);
    }
    let change = Change::begin();
    let devices = work::carry_out((world, output), import, plan)?;
    let broker = change.confirm(world, &check::load(world)?, import.certificate.wait());
    let outcome = broker.tell(output);
    let imported = Imported { dry_run: false, devices: &devices, broker: Some(broker) };
    output.result(&imported, &imported)?;
    Ok(outcome)
}
