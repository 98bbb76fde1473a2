//! `citronella check`: are the files right?

use std::fmt;

use citronella::{
    diag::Report,
    snapshot::{Permissions, Snapshot},
};
use serde::Serialize;

mod advice;

use super::{
    Answer,
    files::BROKER_USER,
    output::{Failure, Outcome, Output},
    world::World,
};

/// Check citronella.toml, the registry and the password file, and show every mistake with its line
///
/// Exits 0 when the files can be used (warnings included), 1 when they cannot. The broker judges them alike: with
/// an error it does not start, and at a reload it keeps what it has.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  citronella check\n  citronella --config ./citronella.toml check --deny-warnings"
)]
pub(crate) struct Arguments {
    /// Exit 1 for warnings too
    #[arg(long)]
    deny_warnings: bool,
}

pub(crate) fn run(world: &World, output: &Output, arguments: &Arguments) -> Answer {
    let mut loaded = Snapshot::load(world.config(), permissions());
    if let Some(snapshot) = &loaded.snapshot {
        advice::give(snapshot, &mut loaded.report);
    }
    let (errors, warnings) = loaded.report.count();
    let denied = arguments.deny_warnings && warnings > 0;
    let outcome = if loaded.snapshot.is_some() && !denied { Outcome::Yes } else { Outcome::No };
    let verdict = match &loaded.snapshot {
        Some(_) if denied => format!("usable, but {}", counted(warnings, "warning")),
        Some(snapshot) => format!(
            "sound: {}, {}",
            counted(snapshot.devices().len(), "device"),
            counted(warnings, "warning")
        ),
        None => format!("not usable: {}, {}", counted(errors, "error"), counted(warnings, "warning")),
    };
    let json =
        Json { usable: loaded.snapshot.is_some(), errors, warnings, findings: findings(&loaded.report) };
    output.verdict(outcome, &Findings { report: &loaded.report, verdict }, &json)?;
    Ok(outcome)
}

fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// As the broker will judge them: a file may be its user's. Who is not root has files of their own and asks for
/// themselves.
fn permissions() -> Permissions {
    let root = nix::unistd::geteuid().is_root();
    match nix::unistd::User::from_name(BROKER_USER).ok().flatten().filter(|_| root) {
        Some(user) => Permissions::JudgeFor { user: user.uid.as_raw() },
        None => Permissions::Judge,
    }
}

/// A snapshot for a verb that needs sound files; the findings are the failure otherwise.
pub(crate) fn load(world: &World) -> Result<Snapshot, Failure> {
    let loaded = Snapshot::load(world.config(), permissions());
    loaded.snapshot.ok_or_else(|| Failure::new("the files cannot be used").findings(&loaded.report))
}

struct Findings<'a> {
    report: &'a Report,
    verdict: String,
}

impl fmt::Display for Findings<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for found in self.report {
            writeln!(f, "{found:#}")?;
        }
        f.write_str(&self.verdict)
    }
}

#[derive(Serialize)]
struct Json {
    usable: bool,
    errors: usize,
    warnings: usize,
    findings: Vec<Finding>,
}

#[derive(Serialize)]
struct Finding {
    severity: String,
    file: Option<String>,
    line: Option<u32>,
    column: Option<u32>,
    message: String,
    help: Option<String>,
}

fn findings(report: &Report) -> Vec<Finding> {
    let finding = |found: &citronella::diag::Diagnostic| {
        let position = found.place.as_ref().map(|(source, span)| source.position(span.start));
        Finding {
            severity: found.severity.to_string(),
            file: found.place.as_ref().map(|(source, _)| source.path().display().to_string()),
            line: position.map(|(line, _)| line),
            column: position.map(|(_, column)| column),
            message: found.message.clone(),
            help: found.help.clone(),
        }
    };
    report.iter().map(finding).collect()
}
