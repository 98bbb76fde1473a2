//! `citronella diff`: who gains and who loses what between two configurations.

use std::path::{Path, PathBuf};

use citronella::{
    diff::{self, Diff},
    snapshot::{Permissions, Snapshot},
};

mod json;
mod text;

use super::{
    Answer,
    output::{Failure, Outcome, Output},
    world::World,
};

const AFTER_HELP: &str = "\
Examples:
  citronella diff /etc/citronella ./draft
  citronella diff --live ./draft/citronella.toml
  git worktree add ../before HEAD~1 && citronella diff ../before/etc ./etc

What is compared is what the broker would decide, not the text. `+` is newly allowed, `-` newly
refused, `~` allowed for other messages. A filter with `except` stands for the topics that it
matches and its exceptions do not; together they are exactly those about which the two decide
differently. `subscribe` is about asking for a topic, `receive` about being delivered it; a filter
may be subscribed to when all its topics may. `{clientid}` stands for an id that no rule spells.

--format json prints {\"different\", \"settings\", \"devices\", \"rights\", \"live\"}:
  settings  [{\"setting\", \"old\", \"new\"}]
  devices   [{\"changes\": [TEXT], \"devices\": [NAME]}]
  rights    [{\"devices\": [NAME], \"example\": NAME, \"changes\": [{\"action\", \"change\", \"filter\",
            \"except\": [FILTER], \"witness\", \"limits\", \"was\", \"client_id\"}]}]
            change: gained, lost, limits. limits, was: [{\"max_qos\", \"retain\", \"max_payload\"}]
            now and before, a message has to keep one; null where nothing limits. witness: a topic
            for the device in example. client_id: null, or the only one it holds for; {device} for
            the device's name, the empty text for one that cannot stand in a topic
  live      null, or {\"locked_out\": [NAME], \"kicked\": [NAME], \"subscriptions\": [NAME]}";

/// Compare two configurations: who may do what that they could not, and who may no longer
///
/// Exits 0 when there is no difference, 1 when there is one, 2 when one of the two cannot be used. Owners and modes of
/// the files are not judged.
#[derive(clap::Args)]
#[command(
    after_help = AFTER_HELP,
    override_usage = "citronella diff [OPTIONS] <OLD> <NEW>\n       citronella diff [OPTIONS] --live <NEW>"
)]
pub(crate) struct Arguments {
    /// Compare what is in force with NEW, and name the devices that it would lock out or kick, or whose stored
    /// subscriptions it would cut
    #[arg(long)]
    live: bool,
    /// citronella.toml, or the folder it stands in; with --live only the new one
    #[arg(required = true, num_args = 1..=2, value_names = ["OLD", "NEW"])]
    configurations: Vec<PathBuf>,
}

pub(crate) fn run(world: &World, output: &Output, arguments: &Arguments) -> Answer {
    let (old, new) = match (arguments.live, &*arguments.configurations) {
        (true, [new]) => (world.config(), &**new),
        (false, [old, new]) => (&**old, &**new),
        (true, _) => {
            return Err(Failure::new("with `--live` there is only the new configuration")
                .help("the old one is that of `--config`"));
        }
        (false, _) => {
            return Err(Failure::new("two configurations are needed, the old and the new")
                .help("`citronella diff --live NEW` compares with what is in force"));
        }
    };
    let (old, new) = (load(old)?, load(new)?);
    let found = diff::compare(&old, &new);
    let outcome = if found.is_empty() { Outcome::Yes } else { Outcome::No };
    let report = Report { diff: &found, live: arguments.live };
    output.verdict(outcome, &text::Text(&report), &json::Json::new(&report))?;
    Ok(outcome)
}

/// What is printed.
struct Report<'a> {
    diff: &'a Diff,
    live: bool,
}

fn load(path: &Path) -> Result<Snapshot, Failure> {
    let file = if path.is_dir() { path.join("citronella.toml") } else { path.to_owned() };
    let loaded = Snapshot::load(&file, Permissions::Ignore);
    loaded.snapshot.ok_or_else(|| {
        Failure::new(format!("{}: the files cannot be used", path.display())).findings(&loaded.report)
    })
}
