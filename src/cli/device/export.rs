//! `citronella device export`: the registry as a CSV file that `device import` reads.

use std::{
    fs::Permissions,
    io::{ErrorKind, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use citronella::{
    registry::{Certificates, Device, State},
    snapshot::Snapshot,
};
use serde::Serialize;

use super::{
    sheet::{self, Certificate, Credentials, Written},
    view::roles,
};
use crate::{
    Answer, check,
    output::{Failure, Outcome, Output, write_out},
    rights::Rights,
    world::World,
};

/// Where it goes.
#[derive(clap::Args)]
pub(crate) struct Export {
    /// Write it here instead of to standard output
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace a file that is there
    #[arg(long, requires = "output")]
    force: bool,
}

#[derive(Serialize)]
struct Exported<'a> {
    /// `null` where the text is in `csv`.
    file: Option<&'a Path>,
    csv: Option<&'a str>,
    devices: usize,
    /// What the file cannot hold.
    left_out: &'a [String],
}

/// Exits 1 where something is left out that import would not bring back.
pub(super) fn export(world: &World, output: &Output, export: &Export) -> Answer {
    let snapshot = check::load(world)?;
    let mut devices: Vec<&Device> = snapshot.devices().collect();
    devices.sort_unstable_by_key(|device| device.name());
    let mut left_out = Vec::new();
    let written: Vec<Written<'_>> =
        devices.iter().map(|device| written(&snapshot, device, &mut left_out)).collect();
    let text = sheet::write(&written)?;
    for what in &left_out {
        output.warn(what);
    }
    let exported =
        |csv| Exported { file: export.output.as_deref(), csv, devices: written.len(), left_out: &left_out };
    match &export.output {
        Some(path) => {
            write(path, &text, export.force)?;
            output.result(&format_args!("{}: {} devices", path.display(), written.len()), &exported(None))?;
        }
        // As it is: what a terminal must not show is escaped in names already.
        None if output.is_for_people() => {
            write_out(text.as_bytes())?;
        }
        None => output.result(&text, &exported(Some(&text)))?,
    }
    Ok(if left_out.is_empty() { Outcome::Yes } else { Outcome::No })
}

fn written<'a>(snapshot: &'a Snapshot, device: &'a Device, left_out: &mut Vec<String>) -> Written<'a> {
    let name = device.name().as_str();
    if snapshot.indexes(name).is_some_and(|(_, own)| own.is_some()) {
        left_out.push(format!(
            "`{name}` has rules of its own, which are left out; they are at {}",
            device.place()
        ));
    }
    let (roles, lost): (Vec<&str>, Vec<&str>) =
        roles(snapshot, device).into_iter().partition(|role| sheet::can_hold(role));
    let (attributes, odd): (Vec<_>, Vec<_>) =
        device.attributes().iter().partition(|(key, value)| sheet::can_hold_attribute(key, value));
    for role in lost {
        left_out.push(format!("the role `{role}` of `{name}` is left out: it has a semicolon"));
    }
    for (key, _) in odd {
        left_out.push(format!("the attribute `{key}` of `{name}` is left out: it is empty, or has outer blanks or control characters"));
    }
    let certificate = match device.certificates() {
        Certificates::Any => Certificate::Any,
        Certificates::Listed(listed) if listed.iter().any(|one| !device.revoked().contains(&one.sha256)) => {
            Certificate::Own
        }
        Certificates::Listed(_) => Certificate::None,
    };
    let credentials = match device.state() {
        State::Retired => Credentials::NONE,
        _ => Credentials { certificate, password: device.password().is_some() },
    };
    Written { name, roles, attributes, auth: device.auth(), state: device.state(), credentials }
}

/// With the rights of whoever called sudo, whole or not at all.
fn write(path: &Path, text: &str, force: bool) -> Result<(), Failure> {
    let failed = |error: &std::io::Error| Failure::file(path, error);
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let _rights = Rights::for_folder(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(|error| failed(&error))?;
    let written = file.write_all(text.as_bytes()).and_then(|()| {
        file.as_file().set_permissions(Permissions::from_mode(0o644))?;
        file.as_file().sync_all()
    });
    written.map_err(|error| failed(&error))?;
    let kept = if force { file.persist(path) } else { file.persist_noclobber(path) };
    match kept {
        Ok(_) => Ok(()),
        Err(error) if error.error.kind() == ErrorKind::AlreadyExists => {
            Err(Failure::new(format!("{} exists already", path.display())).help("replace it with --force"))
        }
        Err(error) => Err(failed(&error.error)),
    }
}
