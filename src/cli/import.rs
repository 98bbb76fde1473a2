//! `citronella import`: settings and a registry from what Mosquitto's own access control reads.

mod prove;

use std::{
    fmt,
    path::{Path, PathBuf},
};

use citronella::{
    diag::{Report, Visible},
    fs,
    import::{Choices, Code, File, Imported, Meaning, Note, Renames, Sources, import},
    snapshot::Snapshot,
};
use serde::Serialize;

use super::{
    Answer,
    files::{Files, Mode},
    output::{Failure, Outcome, Output, counted},
    shell,
};

const AFTER_HELP: &str = "\
Nobody gets more than the source gives. What cannot be kept is told line by
line, each with a code that does not change, and stands as a comment in the
files. Names that no device can have go through renames.toml: edit it and
import again with --force.

Examples:
  citronella import --acl-file /etc/mosquitto/acl \\
    --password-file /etc/mosquitto/passwd --output imported
  citronella import --dynsec /var/lib/mosquitto/dynamic-security.json \\
    --output imported";

/// Make settings and a registry from acl_file, password_file or dynamic-security JSON
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Arguments {
    /// Mosquitto's acl_file
    #[arg(long, value_name = "FILE", required_unless_present_any = ["password_file", "dynsec"])]
    acl_file: Option<PathBuf>,
    /// Mosquitto's password_file, as mosquitto_passwd writes it
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// The JSON of Mosquitto's dynamic-security plugin, of 2.0 or 2.1
    #[arg(long, value_name = "FILE", conflicts_with_all = ["acl_file", "password_file"])]
    dynsec: Option<PathBuf>,
    /// The folder for citronella.toml, devices.toml and renames.toml; made if it is not there
    #[arg(long, value_name = "DIR")]
    output: PathBuf,
    /// Replace the files of an earlier import
    #[arg(long)]
    force: bool,
    /// Whose reading of %c and %u is meant; without it only what both agree on is allowed
    #[arg(long, value_name = "RELEASE", value_enum)]
    mosquitto: Option<Release>,
    /// Admit clients without a user name, with the rights that the source gives them
    #[arg(long)]
    anonymous: bool,
    /// Admit clients that are bound to a client id with any client id
    #[arg(long, requires = "dynsec")]
    unbound: bool,
    #[command(flatten)]
    proof: prove::Options,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Release {
    #[value(name = "2.0")]
    V2_0,
    #[value(name = "2.1")]
    V2_1,
}

const SETTINGS: &str = "citronella.toml";
const DEVICES: &str = "devices.toml";
const RENAMES: &str = "renames.toml";

pub(crate) fn run(output: &Output, arguments: &Arguments) -> Answer {
    let folder = &*arguments.output;
    let texts = Texts::read(arguments)?;
    let imported = translate(arguments, &texts)?;
    let existing = [SETTINGS, DEVICES].map(|name| folder.join(name)).into_iter().find(|path| path.exists());
    if let Some(path) = existing.filter(|_| !arguments.force) {
        return Err(Failure::new(format!("`{}` is there already", path.display()))
            .help("`--force` replaces it; changes made to it are lost, except those to renames.toml"));
    }
    let snapshot = load(&imported)?;
    write(folder, &imported)?;
    let proof =
        if arguments.proof.prove { Some(prove(arguments, (&texts, &imported), &snapshot)?) } else { None };
    let outcome = if proof.as_ref().is_none_or(prove::Proved::holds) { Outcome::Yes } else { Outcome::No };
    let told = Told {
        devices: snapshot.devices().len(),
        roles: snapshot.roles().names().count(),
        notes: imported.notes.iter().map(TellNote::from).collect(),
        folder: folder.display().to_string(),
        proof,
    };
    output.result(&told, &told)?;
    output.say(&format_args!("next: citronella --config {} check", shell::path(&folder.join(SETTINGS))));
    Ok(outcome)
}

fn prove(
    arguments: &Arguments,
    (texts, imported): (&Texts, &Imported),
    snapshot: &Snapshot,
) -> Result<prove::Proved, Failure> {
    let source = match (&texts.acl, &texts.dynsec) {
        (Some(text), _) => prove::Source::Acl(text),
        (None, Some(text)) => prove::Source::Dynsec(text),
        (None, None) => {
            return Err(
                Failure::new("a password file has no rules to prove").help("give `--acl-file` as well")
            );
        }
    };
    let anonymous = arguments.anonymous && snapshot.admits_anonymous();
    prove::run(&prove::Proof { imported, snapshot, source, anonymous, options: &arguments.proof })
}

/// What was read.
struct Texts {
    acl: Option<String>,
    passwords: Option<String>,
    dynsec: Option<String>,
}

impl Texts {
    fn read(arguments: &Arguments) -> Result<Self, Failure> {
        let text = |path: &Option<PathBuf>, key: &str| -> Result<Option<String>, Failure> {
            let Some(path) = path else { return Ok(None) };
            let read = read(path).map_err(|failure| {
                failure
                    .help(format!("Mosquitto's configuration says where it is: grep -r {key} /etc/mosquitto"))
            })?;
            Ok(Some(read))
        };
        Ok(Self {
            acl: text(&arguments.acl_file, "acl_file")?,
            passwords: text(&arguments.password_file, "password_file")?,
            dynsec: text(&arguments.dynsec, "plugin_opt_config_file")?,
        })
    }
}

/// A file of the source.
pub(crate) fn read(path: &Path) -> Result<String, Failure> {
    Ok(fs::read(path, fs::MAX_FILE_BYTES)?.text)
}

/// All that is read, translated.
fn translate(arguments: &Arguments, texts: &Texts) -> Result<Imported, Failure> {
    let mut report = Report::new();
    let table = arguments.output.join(RENAMES);
    let renames = if table.exists() {
        Renames::parse(&table, &fs::read(&table, fs::MAX_FILE_BYTES)?.text, &mut report)
    } else {
        Renames::default()
    };
    let sources = match file(&arguments.dynsec, &texts.dynsec) {
        Some(file) => Sources::Dynsec(file),
        None => Sources::Files {
            acl: file(&arguments.acl_file, &texts.acl),
            passwords: file(&arguments.password_file, &texts.passwords),
        },
    };
    let choices = Choices {
        meaning: match arguments.mosquitto {
            None => Meaning::Both,
            Some(Release::V2_0) => Meaning::V2_0,
            Some(Release::V2_1) => Meaning::V2_1,
        },
        anonymous: arguments.anonymous,
        unbound: arguments.unbound,
    };
    let imported = import(sources, renames, choices, &mut report);
    let failure = || Failure::new("nothing was imported").findings(&report);
    if report.has_errors() { Err(failure()) } else { imported.ok_or_else(failure) }
}

fn file<'a>(path: &'a Option<PathBuf>, text: &'a Option<String>) -> Option<File<'a>> {
    Some(File { path: path.as_ref()?, text: text.as_ref()? })
}

/// What will be written, loaded as the plugin would load it.
pub(crate) fn load(imported: &Imported) -> Result<Snapshot, Failure> {
    let draft = tempfile::tempdir().map_err(|error| Failure::file(&std::env::temp_dir(), &error))?;
    let config = draft.path().join(SETTINGS);
    std::fs::write(&config, &imported.settings).map_err(|error| Failure::file(&config, &error))?;
    let registry = draft.path().join(DEVICES);
    std::fs::write(&registry, "version = 1\n").map_err(|error| Failure::file(&registry, &error))?;
    let loaded = Snapshot::load_with_registry(&config, &imported.devices);
    let failure = || {
        Failure::new("nothing was written: what the source says cannot be loaded here")
            .findings(&loaded.report)
    };
    match loaded.snapshot {
        Some(snapshot) => Ok(snapshot),
        None => Err(failure()),
    }
}

/// The names first: whoever runs it again after an interruption gets the same.
fn write(folder: &Path, imported: &Imported) -> Result<(), Failure> {
    let files = Files::for_broker();
    files.folder(folder, Mode::Shared)?;
    for (name, text) in
        [(RENAMES, &imported.renames), (DEVICES, &imported.devices), (SETTINGS, &imported.settings)]
    {
        files.replace(&folder.join(name), text.as_bytes(), Mode::Shared)?;
    }
    Ok(())
}

/// What is printed.
#[derive(Serialize)]
struct Told<'n> {
    devices: usize,
    roles: usize,
    folder: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    proof: Option<prove::Proved>,
    notes: Vec<TellNote<'n>>,
}

#[derive(Serialize)]
struct TellNote<'n> {
    file: &'n str,
    line: u32,
    code: Code,
    message: &'n str,
}

impl<'n> From<&'n Note> for TellNote<'n> {
    fn from(note: &'n Note) -> Self {
        Self { file: &note.file, line: note.line, code: note.code, message: &note.message }
    }
}

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for TellNote { file, line, code, message } in &self.notes {
            writeln!(f, "{}:{line}: [{code}] {}", Visible(file), Visible(message))?;
        }
        if let Some(proof) = &self.proof {
            writeln!(f, "{proof}")?;
        }
        write!(
            f,
            "{}, {}, {}; written to {}",
            counted(self.devices, "device"),
            counted(self.roles, "role"),
            counted(self.notes.len(), "note"),
            self.folder
        )
    }
}
