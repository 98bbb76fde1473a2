//! Changes to the registry, each one locked, checked as a whole and written in one step.

use std::path::Path;

use citronella::{
    config::suggestion,
    ident::DeviceName,
    policy::{Index, Request},
    registry::{
        Certificates, Device, Fingerprint, State,
        edit::{self, EditError, Editor, NewDevice},
    },
    snapshot::Snapshot,
};

use super::{check, output::Failure, shell, world::World};

pub(crate) use citronella::registry::edit::NewCertificate;

/// Changes the registry if all files can still be used with the change.
pub(crate) fn change(
    world: &World,
    change: impl FnOnce(&mut Editor) -> Result<(), EditError>,
) -> Result<(), Failure> {
    let snapshot = check::load(world)?;
    let path = snapshot.settings().registry_file.clone();
    let mut editor = Editor::open(&path)?;
    change(&mut editor).map_err(|error| match error {
        EditError::Unknown(name) => unknown(&snapshot, &name),
        error => failure(error),
    })?;
    drop(snapshot);
    editor.save(|text| Snapshot::load_with_registry(world.config(), text).report).map_err(failure)?;
    Ok(())
}

/// Adds devices to the registry file if all files can still be used with them.
pub(crate) fn append<'a>(
    world: &World,
    registry: &Path,
    devices: impl IntoIterator<Item = (&'a DeviceName, &'a NewDevice)>,
) -> Result<(), Failure> {
    edit::append(registry, devices, |text| Snapshot::load_with_registry(world.config(), text).report)
        .map_err(failure)
}

/// The findings belong to the message: they say what is wrong with the change.
fn failure(error: EditError) -> Failure {
    match error {
        EditError::Refused(report) => {
            Failure::new("nothing was changed: with this change the files could not be used")
                .findings(&report)
        }
        EditError::Exists(name) => exists(&name),
        error => Failure::from(error),
    }
}

/// The device of this name, small and capital letters being alike.
pub(crate) fn namesake<'s>(snapshot: &'s Snapshot, name: &DeviceName) -> Option<&'s Device> {
    let alike = |device: &&Device| device.name().as_str().eq_ignore_ascii_case(name.as_str());
    snapshot.devices().find(alike)
}

/// There is no such device.
pub(crate) fn unknown(snapshot: &Snapshot, name: &str) -> Failure {
    let failure = Failure::new(format!("no device is called `{name}`"));
    let failure = match snapshot.similar(name) {
        Some(meant) => failure.help(meant),
        None => failure,
    };
    failure.help("`citronella device list` shows the devices; `citronella device add` registers one")
}

/// There is such a device, or one whose name differs in capital letters only.
pub(crate) fn exists(name: &str) -> Failure {
    if name == "version" {
        return Failure::new(
            "no device can be called `version`: the registry's own `version` stands in that place",
        );
    }
    Failure::new(format!("a device called `{name}` is there already")).help(format!(
        "`citronella cert issue {word}` makes another certificate for it, `citronella device set {word}` changes it; \
         names that differ in capital letters only are the same name",
        word = shell::name(name)
    ))
}

/// Whether the settings have these roles: told before a file that does not speak of them yet is blamed.
pub(crate) fn check_roles(snapshot: &Snapshot, roles: &[String]) -> Result<(), Failure> {
    let known: Vec<&str> = snapshot.roles().names().collect();
    let Some(unknown) = roles.iter().find(|role| !known.contains(&role.as_str())) else { return Ok(()) };
    let failure = Failure::new(format!("nothing was changed: no role is called `{unknown}`"));
    Err(match suggestion(unknown, known) {
        Some(meant) => failure.help(meant),
        None => failure.help("a section `[roles.NAME]` in citronella.toml makes one"),
    })
}

/// The name of a device that is registered.
pub(crate) fn existing(world: &World, name: &str) -> Result<DeviceName, Failure> {
    let snapshot = check::load(world)?;
    match snapshot.device(name) {
        Some(device) if device.state() == State::Retired => {
            Err(Failure::new(format!("device `{name}` is retired: it gets no new credentials"))
                .help("register a device of another name"))
        }
        Some(device) => Ok(device.name().clone()),
        None => Err(unknown(&snapshot, name)),
    }
}

/// Lists a certificate for a device, unless all that name it are accepted: a list would take that away.
pub(crate) fn add_certificate(
    world: &World,
    name: &DeviceName,
    certificate: &NewCertificate,
) -> Result<(), Failure> {
    let snapshot = check::load(world)?;
    if snapshot.device(name.as_str()).is_some_and(|device| *device.certificates() == Certificates::Any) {
        return Ok(());
    }
    change(world, |editor| editor.add_certificate(name.as_str(), certificate))
}

/// Refuses certificates for ever, all in one step; those for which something had to be changed. A device that is
/// not registered is refused as it is.
pub(crate) fn revoke(
    world: &World,
    certificates: &[(DeviceName, Fingerprint)],
) -> Result<Vec<Fingerprint>, Failure> {
    let snapshot = check::load(world)?;
    let listed = |(name, fingerprint): &&(DeviceName, Fingerprint)| {
        snapshot.device(name.as_str()).is_some_and(|device| !device.revoked().contains(fingerprint))
    };
    let wanted: Vec<&(DeviceName, Fingerprint)> = certificates.iter().filter(listed).collect();
    if !wanted.is_empty() {
        change(world, |editor| {
            wanted.iter().try_for_each(|(name, fingerprint)| editor.revoke(name.as_str(), *fingerprint))
        })?;
    }
    Ok(wanted.into_iter().map(|(_, fingerprint)| *fingerprint).collect())
}

/// A topic for the first try, on which nobody acts: under the device's own name, with the word `test`, where its rules
/// allow one; else one that the broker refuses, so that only the log-in is tried.
pub(crate) fn topic_to_try(snapshot: &Snapshot, name: &str) -> String {
    const WORD: &str = "test";
    let elsewhere = format!("{WORD}/{name}");
    let Some(device) = snapshot.device(name) else { return elsewhere };
    let allowed = |topic: &String| may_try(snapshot, name, topic);
    let roles = snapshot.roles().expand(device.roles());
    let own = snapshot.indexes(name).and_then(|(_, own)| own).map_or(&[][..], Index::blocks);
    let blocks = roles.iter().filter_map(|role| snapshot.roles().block(*role)).chain(own);
    let topics = blocks.flat_map(|block| &block.rules).filter_map(|rule| {
        let text = rule.template.to_string().replace("{device}", name).replace("{username}", name);
        let (before, after) = text.split_once(&format!("{name}/"))?;
        let is_own = before.is_empty() || before.ends_with('/');
        let is_open = is_own && !before.contains(['+', '#']) && matches!(after, "+" | "#");
        is_open.then(|| format!("{before}{name}/{WORD}"))
    });
    topics.filter(|topic| !topic.contains('{')).find(allowed).unwrap_or(elsewhere)
}

/// Whether the device may publish the line to paste there.
pub(crate) fn may_try(snapshot: &Snapshot, name: &str, topic: &str) -> bool {
    let request = Request::Publish { topic, qos: 0, retain: false, payload_bytes: 5 };
    snapshot.authorize(name, name, &request).is_allowed()
}

/// Whether [`add`] would be refused; nothing is written.
pub(crate) fn check_add(world: &World, name: &DeviceName, device: &NewDevice) -> Result<(), Failure> {
    let mut editor = Editor::open(&check::load(world)?.settings().registry_file)?;
    editor.add(name, device).map_err(failure)?;
    let report = Snapshot::load_with_registry(world.config(), &editor.text()).report;
    if report.has_errors() { Err(failure(EditError::Refused(report))) } else { Ok(()) }
}

/// A device that is not there yet, with roles that are there.
pub(crate) fn add(world: &World, name: &DeviceName, device: &NewDevice) -> Result<(), Failure> {
    change(world, |editor| editor.add(name, device))
}
