//! `citronella check`: are the files right?

use std::{collections::BTreeMap, fmt};

use citronella::{
    diag::{Code, Report},
    snapshot::{Loaded, Permissions, Snapshot},
};
use serde::Serialize;

use advice::Look;

mod advice;
mod cited;
mod installed;
mod texts;

use super::{
    Answer, codes,
    files::BROKER_USER,
    output::{Failure, Outcome, Output, counted},
    world::World,
};

/// Check citronella.toml, the registry and the password file, and show every mistake with its line
///
/// Warnings are what a good colleague would say; each ends with its name in brackets. Those that are as they should be
/// are allowed in citronella.toml: `[check] allow = [{ code = "…", at = "ROLE OR DEVICE", reason = "…" }]`.
///
/// Exits 0 when the files can be used (warnings included), 1 when they cannot. The broker judges them alike: with
/// an error it does not start, and at a reload it keeps what it has.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  citronella check\n  citronella check --explain weak-hash\n  sudo citronella check --installed\n  citronella --config ./citronella.toml check --strict-subscribe"
)]
pub(crate) struct Arguments {
    /// Exit 1 for warnings too
    #[arg(long)]
    deny_warnings: bool,

    /// With `wide_subscribe = "filter"`: warn of the filters among the rules that would be refused without it
    #[arg(long)]
    strict_subscribe: bool,

    /// Judge owners and modes, of folders, keys and the state directory too, as the broker's user will meet them
    #[arg(long, value_name = "USER", num_args = 0..=1, require_equals = true, default_missing_value = BROKER_USER)]
    installed: Option<String>,

    /// Explain this warning, by its name in brackets; without a name, list all there are
    #[arg(long, value_name = "CODE", num_args = 0..=1, conflicts_with_all = ["deny_warnings", "strict_subscribe", "installed"])]
    explain: Option<Option<String>>,
}

pub(crate) fn run(world: &World, output: &Output, arguments: &Arguments) -> Answer {
    if let Some(code) = &arguments.explain {
        return codes::explain::<Code>(output, code.as_deref());
    }
    let user = arguments.installed.as_deref().map(installed::user).transpose()?;
    // With a user, what that user meets is judged by itself, so that all of it is told at once.
    let permissions = if user.is_some() { Permissions::Ignore } else { permissions() };
    let mut loaded = Snapshot::load(world.config(), permissions);
    let look = if arguments.strict_subscribe { Look::AsIfStrict } else { Look::AsItIs };
    let allowed =
        loaded.snapshot.as_ref().map_or(0, |snapshot| advice::give(snapshot, look, &mut loaded.report));
    if let Some(user) = &user {
        installed::judge_for(world, user, &mut loaded);
    }
    let (errors, warnings) = loaded.report.count();
    let sound = loaded.snapshot.as_ref().filter(|_| errors == 0);
    let denied = arguments.deny_warnings && warnings > 0;
    let outcome = if sound.is_some() && !denied { Outcome::Yes } else { Outcome::No };
    let told = match allowed {
        0 => counted(warnings, "warning"),
        _ => format!("{} ({allowed} more allowed)", counted(warnings, "warning")),
    };
    let verdict = match sound {
        Some(_) if denied => format!("usable, but {told}"),
        Some(snapshot) => format!("sound: {}, {told}", counted(snapshot.devices().len(), "device")),
        None => format!("not usable: {}, {told}", counted(errors, "error")),
    };
    let usable = sound.is_some();
    let json = Json { usable, errors, warnings, allowed, findings: findings(&loaded.report) };
    output.verdict(outcome, &Findings { report: &loaded.report, verdict }, &json)?;
    Ok(outcome)
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

/// The files as the broker will judge them.
pub(crate) fn look(world: &World) -> Loaded {
    Snapshot::load(world.config(), permissions())
}

/// A snapshot for a verb that needs sound files; the findings are the failure otherwise.
pub(crate) fn load(world: &World) -> Result<Snapshot, Failure> {
    let loaded = look(world);
    loaded.snapshot.ok_or_else(|| Failure::new("the files cannot be used").findings(&loaded.report))
}

struct Findings<'a> {
    report: &'a Report,
    verdict: String,
}

/// So many warnings of a kind are printed for people; scripts get all.
const SHOWN: usize = 20;

impl fmt::Display for Findings<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut seen: BTreeMap<Code, usize> = BTreeMap::new();
        for found in self.report {
            if let Some(code) = found.code {
                let seen = seen.entry(code).or_default();
                *seen += 1;
                if *seen > SHOWN {
                    continue;
                }
            }
            writeln!(f, "{found:#}")?;
        }
        for (code, seen) in seen.into_iter().filter(|(_, seen)| *seen > SHOWN) {
            let more = seen - SHOWN;
            writeln!(f, "and {more} more warnings `{code}`; `citronella check --format json` has them all")?;
        }
        f.write_str(&self.verdict)
    }
}

#[derive(Serialize)]
struct Json {
    usable: bool,
    errors: usize,
    warnings: usize,
    allowed: usize,
    findings: Vec<Finding>,
}

#[derive(Serialize)]
struct Finding {
    severity: String,
    code: Option<&'static str>,
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
            code: found.code.map(Code::as_str),
            file: found.place.as_ref().map(|(source, _)| source.path().display().to_string()),
            line: position.map(|(line, _)| line),
            column: position.map(|(_, column)| column),
            message: found.message.clone(),
            help: found.help.clone(),
        }
    };
    report.iter().map(finding).collect()
}
