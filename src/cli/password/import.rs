//! `citronella password import`: hashes that `mosquitto_passwd` made, for devices that exist.

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
    path::PathBuf,
};

use citronella::{
    config::suggestion,
    diag::{Code, Diagnostic, Report, Source},
    ident::DeviceName,
    password::file::{self, User},
    registry::{Certificates, Password, State, edit::NewDevice},
    snapshot::Snapshot,
};
use serde::Serialize;

use super::{NO_CERTIFICATE_ANY_MORE, warn_if_readable};
use crate::{
    Answer, check,
    confirm::{Change, Confirmed, Wait},
    input,
    output::{Failure, Outcome, Output},
    registry,
    world::World,
};

/// Which hashes, and for whom.
#[derive(clap::Args)]
pub(crate) struct Import {
    /// A file as `mosquitto_passwd` writes it; `-` is standard input
    file: PathBuf,
    /// Register the users that are no devices, with this role
    #[arg(long, value_name = "ROLE")]
    add_devices: Option<String>,
    /// Replace the passwords that devices have
    #[arg(long)]
    force: bool,
    /// Tell what would be done, and change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    wait: Wait,
}

/// What becomes of a line.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Outline {
    /// The device has it now.
    Set,
    /// The device is new.
    Added,
    /// The device had it already.
    There,
    /// Nothing.
    LeftOut,
}

#[derive(Serialize)]
struct Told {
    name: String,
    line: u32,
    outcome: Outline,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

#[derive(Serialize)]
struct Imported<'a> {
    dry_run: bool,
    users: &'a [Told],
    #[serde(skip_serializing_if = "Option::is_none")]
    broker: Option<Confirmed>,
}

impl fmt::Display for Imported<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |wanted| self.users.iter().filter(|told| told.outcome == wanted).count();
        for told in self.users.iter().filter(|told| told.outcome == Outline::LeftOut) {
            writeln!(f, "left out  line {}: {}", told.line, told.reason.as_deref().unwrap_or_default())?;
        }
        let (verb, would) = if self.dry_run { ("would get", "would be") } else { ("got", "were") };
        let set = count(Outline::Set);
        write!(f, "{set} device{} {verb} a password", if set == 1 { "" } else { "s" })?;
        for (outcome, what) in [
            (Outline::Added, format!("{would} added with one")),
            (Outline::There, "had it already".to_owned()),
            (Outline::LeftOut, format!("{would} left out")),
        ] {
            match count(outcome) {
                0 => {}
                found => write!(f, ", {found} {what}")?,
            }
        }
        Ok(())
    }
}

/// Exits 1 where somebody is left out.
pub(super) fn import(world: &World, output: &Output, import: &Import) -> Answer {
    let text = input::text(&import.file)?;
    let mut report = Report::new();
    let (source, users) = file::parse(&import.file, &text, &mut report);
    drop(text);
    if report.has_errors() {
        let mut mistakes = Report::new();
        report.iter().filter(|found| found.code.is_none()).for_each(|found| mistakes.push(found.clone()));
        return Err(Failure::new("nothing was changed: not all of these can be verified").findings(&mistakes));
    }
    // Without the password file: what counts is what the registry has.
    let rules = Snapshot::load_rules(world.config());
    let before = match rules.snapshot {
        Some(before) => before,
        None => return Err(Failure::new("the files cannot be used").findings(&rules.report)),
    };
    if let Some(role) = import.add_devices.as_deref().filter(|role| before.roles().find(role).is_none()) {
        let failure = Failure::new(format!("no role is called `{role}`"));
        return Err(match suggestion(role, before.roles().names()) {
            Some(help) => failure.help(help),
            None => failure,
        });
    }
    let mut told: Vec<Told> = report.iter().filter_map(skipped).collect();
    let mut names = Names::of(&before);
    let wanted: Vec<(User, Outline)> = users
        .into_iter()
        .filter_map(|user| {
            let judged = judge(&before, import, &user).and_then(|outcome| names.admit(&user.name, outcome));
            let (outcome, reason) = judged.map_or_else(|why| (Outline::LeftOut, Some(why)), |it| (it, None));
            told.push(Told { name: user.name.to_string(), line: line(&source, &user), outcome, reason });
            matches!(outcome, Outline::Set | Outline::Added).then_some((user, outcome))
        })
        .collect();
    told.sort_by_key(|told| told.line);
    let left_out = told.iter().any(|told| told.outcome == Outline::LeftOut);
    let outcome = |confirmed| if left_out { Outcome::No } else { confirmed };
    if import.dry_run {
        let imported = Imported { dry_run: true, users: &told, broker: None };
        output.result(&imported, &imported)?;
        return Ok(outcome(Outcome::Yes));
    }
    let change = Change::begin();
    if !wanted.is_empty() {
        store(world, import, &wanted).map_err(|failure| match &before.settings().password_file {
            Some(path) => failure.help(format!(
                "the broker reads {} as well, and a password stands in one place: take `password_file` out of {}, and do it again",
                path.display(),
                world.config().display()
            )),
            None => failure,
        })?;
    }
    let after = check::load(world)?;
    tell_of_certificates(output, (&before, &after), &wanted);
    warn_if_readable(output, &after.settings().registry_file);
    let broker = change.confirm(world, &after, &import.wait);
    let confirmed = broker.tell(output);
    let imported = Imported { dry_run: false, users: &told, broker: Some(broker) };
    output.result(&imported, &imported)?;
    Ok(outcome(confirmed))
}

fn line(source: &Source, user: &User) -> u32 {
    source.line_of(user.span.start)
}

/// A line that the broker skips as well, or somebody whom no device could be called.
fn skipped(found: &Diagnostic) -> Option<Told> {
    let (source, span) = found.place.as_ref()?;
    let (line, name) = (source.line_of(span.start), source.text().get(span.clone()).unwrap_or_default());
    // A line without a colon may be a password that lost its name.
    let name = if found.code == Some(Code::SkippedLine) { "" } else { name };
    let reason = Some(found.message.clone());
    Some(Told { name: name.to_owned(), line, outcome: Outline::LeftOut, reason })
}

/// Names that are taken, by how they are told apart: without regard to capital letters.
struct Names(HashMap<String, String>);

impl Names {
    fn of(registry: &Snapshot) -> Self {
        let names = registry.devices().map(|device| device.name().as_str());
        Self(names.map(|name| (name.to_ascii_lowercase(), name.to_owned())).collect())
    }

    /// Whether a device that is to be added can have its name; then it has it.
    fn admit(&mut self, name: &str, outcome: Outline) -> Result<Outline, String> {
        if outcome != Outline::Added {
            return Ok(outcome);
        }
        if name.eq_ignore_ascii_case("version") {
            return Err(format!(
                "no device can be called `{name}`: the registry's own `version` stands there"
            ));
        }
        match self.0.entry(name.to_ascii_lowercase()) {
            Entry::Occupied(taken) => {
                Err(format!("`{name}` differs from `{}` in capital letters only", taken.get()))
            }
            Entry::Vacant(free) => {
                free.insert(name.to_owned());
                Ok(outcome)
            }
        }
    }
}

/// What is to become of a user; or why nothing.
fn judge(before: &Snapshot, import: &Import, user: &User) -> Result<Outline, String> {
    let name = &user.name;
    match before.device(name) {
        Some(device) if device.password() == Some(&user.hash) => Ok(Outline::There),
        Some(device) if device.state() == State::Retired => Err(format!("the device `{name}` is retired")),
        Some(device) if device.password().is_some() && !import.force => {
            Err(format!("`{name}` has another password; `--force` replaces it"))
        }
        Some(_) => Ok(Outline::Set),
        None if import.add_devices.is_none() => {
            Err(format!("no device is called `{name}`; `--add-devices ROLE` registers it"))
        }
        None => Ok(Outline::Added),
    }
}

/// All in one step.
fn store(world: &World, import: &Import, wanted: &[(User, Outline)]) -> Result<(), Failure> {
    let of = |outcome| move |(_, found): &&(User, Outline)| *found == outcome;
    let roles: Vec<String> = import.add_devices.iter().cloned().collect();
    let mut added = Vec::new();
    for (user, _) in wanted.iter().filter(of(Outline::Added)) {
        let password = Some(Password { hash: user.hash.clone(), generated: false });
        let device = NewDevice { roles: roles.clone(), password, ..NewDevice::default() };
        added.push((DeviceName::new(&user.name)?, device));
    }
    registry::change(world, |editor| {
        editor.add_all(added.iter().map(|(name, device)| (name, device)))?;
        wanted
            .iter()
            .filter(of(Outline::Set))
            .try_for_each(|(user, _)| editor.set_password(&user.name, &user.hash, false))
    })
}

/// A password takes away what `default_certificates` gives.
fn tell_of_certificates(
    output: &Output,
    (before, after): (&Snapshot, &Snapshot),
    wanted: &[(User, Outline)],
) {
    let any = |snapshot: &Snapshot, name: &str| {
        snapshot.device(name).is_some_and(|device| *device.certificates() == Certificates::Any)
    };
    let lost =
        wanted.iter().map(|(user, _)| &*user.name).filter(|name| any(before, name) && !any(after, name));
    let names: Vec<&str> = lost.collect();
    if !names.is_empty() {
        output.warn(&format!("{NO_CERTIFICATE_ANY_MORE}: {}", names.join(", ")));
    }
}
