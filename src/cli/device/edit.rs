//! `citronella device edit`: the registry in an editor, in the manner of visudo(8).

use std::{
    fmt, fs as files,
    io::Write as _,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use citronella::{
    fs::{self, LARGEST_FILE_BYTES, Locked},
    snapshot::Snapshot,
};
use serde::Serialize;
use tempfile::TempDir;

use super::super::{
    Answer, check,
    confirm::{Change, Confirmed, Wait},
    consent,
    held::Held,
    output::{Failure, Outcome, Output},
    shell,
    world::World,
};

/// Which editor it is, the first that is set; visudo(8) has the same.
const VARIABLES: [&str; 3] = ["SUDO_EDITOR", "VISUAL", "EDITOR"];

/// Where none is set: what Debian's users have chosen, then what its systems have.
const EDITORS: [&str; 4] = ["sensible-editor", "editor", "nano", "vi"];

/// The registry's text while somebody edits it, in a folder that nobody else can look into: it has hashes.
struct Draft {
    folder: TempDir,
    path: PathBuf,
}

#[derive(Serialize)]
struct Edited<'a> {
    registry: &'a Path,
    changed: bool,
    broker: Option<Confirmed>,
}

impl fmt::Display for Edited<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}", self.registry.display(), if self.changed { "changed" } else { "as it was" })
    }
}

pub(super) fn edit(world: &World, output: &Output, wait: &Wait) -> Answer {
    let registry = registry_file(world)?;
    let before = fs::read(&registry, LARGEST_FILE_BYTES)?.text;
    let draft = Draft::new(&registry, &before)?;
    let text = match draft.until_sound(world, output, &before) {
        Ok(Some(text)) => text,
        Ok(None) => {
            let edited = Edited { registry: &registry, changed: false, broker: None };
            output.result(&edited, &edited)?;
            return Ok(Outcome::Yes);
        }
        Err(failure) => return Err(draft.kept(failure, &before)),
    };
    let change = Change::begin();
    if let Err(failure) = replace(&registry, (&before, &text)) {
        return Err(draft.kept(failure, &before));
    }
    let snapshot = check::load(world)?;
    let broker = change.confirm(world, &snapshot, wait);
    let edited = Edited { registry: &registry, changed: true, broker: Some(broker) };
    output.result(&edited, &edited)?;
    Ok(edited.broker.as_ref().map_or(Outcome::Yes, |broker| broker.tell(output)))
}

/// Where it is, also while it has mistakes: an editor mends them.
fn registry_file(world: &World) -> Result<PathBuf, Failure> {
    const NOBODY: &str = "version = 1\n";
    let loaded = Snapshot::load_with_registry(world.config(), NOBODY);
    match loaded.snapshot {
        Some(snapshot) => Ok(snapshot.settings().registry_file.clone()),
        None => {
            Err(Failure::new("the settings, which name the registry, cannot be used")
                .findings(&loaded.report))
        }
    }
}

/// Puts the new text in the place of the old one, unless that is another by now.
fn replace(registry: &Path, (before, text): (&str, &str)) -> Result<(), Failure> {
    let locked = Locked::new(registry)?;
    if fs::read(locked.path(), LARGEST_FILE_BYTES)?.text != before {
        let failure = Failure::new(format!(
            "nothing was changed: {} has been changed by somebody else meanwhile",
            registry.display()
        ));
        return Err(failure.help("begin again, with `citronella device edit`"));
    }
    locked.replace(text.as_bytes())?;
    Ok(())
}

impl Draft {
    fn new(registry: &Path, text: &str) -> Result<Self, Failure> {
        let own = files::Permissions::from_mode(0o700);
        let folder = tempfile::Builder::new().prefix("citronella-edit-").permissions(own).tempdir()?;
        // Editors go by the name.
        let path = folder.path().join(registry.file_name().unwrap_or("devices.toml".as_ref()));
        let mut file = files::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        file.write_all(text.as_bytes())?;
        Ok(Self { folder, path })
    }

    /// Has it edited until it could be loaded; nothing if it is as it was.
    fn until_sound(&self, world: &World, output: &Output, before: &str) -> Result<Option<String>, Failure> {
        loop {
            self.open()?;
            let text = fs::read(&self.path, LARGEST_FILE_BYTES)?.text;
            if text == before {
                return Ok(None);
            }
            let report = Snapshot::load_with_registry(world.config(), &text).report;
            if !report.has_errors() {
                return Ok(Some(text));
            }
            let failure =
                Failure::new("nothing was changed: the files could not be used with what you wrote, of which these are the lines")
                    .findings(&report);
            if !consent::possible() {
                return Err(failure);
            }
            for found in &report {
                output.say(&format_args!("{found:#}"));
            }
            if !consent::ask("It could not be used like this. Edit it again?", "", "")? {
                return Err(Failure::new("nothing was changed"));
            }
        }
    }

    /// Starts the editor and waits for its end.
    fn open(&self) -> Result<(), Failure> {
        let editor = editor()?;
        // What is meant for the editor does not end us; an editor that such a signal ends says so by its status.
        let held = Held::begin()?;
        // As git does: a variable may have options too.
        let status = Command::new("sh")
            .args(["-c", &format!("{editor} \"$@\""), &editor])
            .arg(&self.path)
            .stdin(Stdio::inherit())
            .status()?;
        drop(held);
        if status.success() {
            return Ok(());
        }
        Err(Failure::new(format!("nothing was changed: the editor `{editor}` ended with {status}")).help(
            "VISUAL or EDITOR names another one; through sudo: `sudo EDITOR=nano citronella device edit`",
        ))
    }

    /// Whoever has changed something gets it back.
    fn kept(self, failure: Failure, before: &str) -> Failure {
        if files::read(&self.path).is_ok_and(|text| text == before.as_bytes()) {
            return failure;
        }
        let Self { folder, path } = self;
        let _ = folder.keep();
        failure.help(format!("what you wrote is kept in {}", shell::path(&path)))
    }
}

/// The command line of the editor, for a shell.
fn editor() -> Result<String, Failure> {
    let set = VARIABLES.iter().filter_map(|name| std::env::var(name).ok());
    if let Some(editor) = set.into_iter().find(|editor| !editor.trim().is_empty()) {
        return Ok(editor);
    }
    let folders: Vec<PathBuf> =
        std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default();
    let is_there = |name: &&&str| folders.iter().any(|folder| folder.join(name).is_file());
    let Some(editor) = EDITORS.iter().find(is_there) else {
        return Err(
            Failure::new("no editor was found").help("EDITOR names one; `sudo apt install nano` brings one")
        );
    };
    Ok((*editor).to_owned())
}
