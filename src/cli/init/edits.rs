//! Lines of others with which the broker would not start, or not ask the plugin: made comments, shown before.

use std::{collections::BTreeSet, fs, path::PathBuf};

use citronella::{
    doctor::{
        Listener,
        fix::{Fix, Plan},
    },
    mosquitto_conf::{self, Directive},
};

use super::{Arguments, dynsec::Dynsec, neighbours::Neighbours};
use crate::{
    consent,
    output::{Failure, Output},
};

/// What such a line begins with from then on. `uninstall` takes it away again.
pub(crate) const MARK: &str = "#citronella# ";

/// Lines that may stand once, and belong to listeners under `per_listener_settings`.
const ONCE: [&str; 3] = ["password_file", "acl_file", "psk_file"];

/// What has to change in the files of others, agreed to.
///
/// `ports` are those of our own listeners.
pub(super) fn agreed(
    output: &Output,
    others: &Neighbours,
    ports: &[u16],
    arguments: &Arguments,
) -> Result<Plan, Failure> {
    let taken: Vec<&Listener> = others.listeners_on(ports).collect();
    if let Some(first) = taken.first() {
        give_way(first, arguments)?;
    }
    let lines = others.lines();
    let per_listener = lines
        .iter()
        .filter(|line| line.key == "per_listener_settings" && mosquitto_conf::is_true(&line.value));
    let mut wrong: Vec<&Directive> = per_listener.collect();
    if !wrong.is_empty() {
        for key in ONCE {
            // The plugin decides; of those that become global the broker takes one.
            wrong.extend(lines.iter().filter(|line| line.key == key).skip(1));
        }
    }
    wrong.extend(mosquitto_conf::identity_options(lines));
    wrong.extend(Dynsec::of(lines).lines);
    for listener in taken {
        wrong.extend(listener.line.iter().chain(&listener.directives));
    }
    let mut seen = BTreeSet::new();
    let fixes: Vec<Fix> = wrong
        .into_iter()
        .filter(|line| seen.insert((&line.file, line.line)))
        .map(|line| put_aside(line.file.clone(), line.line))
        .collect();
    let plan = Plan::of_fixes(&fixes)?;
    if plan.is_empty() {
        return Ok(plan);
    }
    output.say(&"With these lines the broker would not start, or not ask the plugin, or not it alone. They become comments:");
    output.say(&plan);
    let agreed = arguments.yes
        || consent::ask(
            "Make these changes?",
            "lines of Mosquitto's configuration have to become comments, and there is nobody to ask",
            "`--yes` makes the changes without asking; `citronella uninstall` takes them back",
        )?;
    if agreed {
        Ok(plan)
    } else {
        Err(Failure::new("nothing was changed").help("the lines above are in the way"))
    }
}

/// The comment for a line, whatever it is.
fn put_aside(file: PathBuf, line: usize) -> Fix {
    let text = fs::read(&file).unwrap_or_default();
    let old = text.split(|byte| *byte == b'\n').nth(line - 1).unwrap_or_default();
    Fix::Line { new: [MARK.as_bytes(), old.strip_suffix(b"\r").unwrap_or(old)].concat(), file, line }
}

/// What brings the lines of these files back.
pub(crate) fn restored(files: &[PathBuf]) -> Vec<Fix> {
    let mut fixes = Vec::new();
    for file in files {
        let text = fs::read(file).unwrap_or_default();
        for (at, line) in text.split(|byte| *byte == b'\n').enumerate() {
            if let Some(old) = line.strip_prefix(MARK.as_bytes()) {
                let new = old.strip_suffix(b"\r").unwrap_or(old).to_vec();
                fixes.push(Fix::Line { file: file.clone(), line: at + 1, new });
            }
        }
    }
    fixes
}

/// Whether a listener of others may be closed for ours.
fn give_way(listener: &Listener, arguments: &Arguments) -> Result<(), Failure> {
    if arguments.take_port {
        return Ok(());
    }
    let place = listener.line.as_ref().map(|line| format!(", in {}:{}", line.file.display(), line.line));
    let place = place.unwrap_or_default();
    let name = listener.name();
    let agreed = consent::ask(
        &format!(
            "{name} is open already{place}. Close it, and open ours there? Its clients then need the new authority's certificate."
        ),
        &format!("{name} is open already{place}"),
        "`--take-port` closes it and opens ours in its place, and its clients then need the new authority's certificate; \
         `--port` (and `--password-port`) open ours elsewhere",
    )?;
    if agreed {
        return Ok(());
    }
    Err(Failure::new(format!("{name} stays as it is, and nothing was changed"))
        .help("`--port` and `--password-port` open ours elsewhere"))
}
