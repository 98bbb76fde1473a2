//! `citronella doctor`: is the broker as it is configured right?

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use citronella::{
    clock::UnixSeconds,
    diag::{Diagnostic, Severity, Visible},
    doctor::{Case, Code, Examination, Finding, Listener, examine, fix::Plan},
};
use serde::Serialize;

mod texts;

use super::{
    Answer, codes, consent, noted,
    output::{Failure, Outcome, Output, counted},
    world::World,
};

const MOSQUITTO_CONF: &str = "/etc/mosquitto/mosquitto.conf";

/// Look over Mosquitto's configuration and every file that it names: what will not work, what is unsafe, and what mends
/// it
///
/// Reads mosquitto.conf with its includes as the broker does, follows each path as the broker's own user would, and
/// looks into the certificates, keys, CRLs and password files behind them. Nothing is changed without --fix. A
/// broker that runs is looked at from outside: is it guarded, and is it the one that the files describe?
/// `citronella probe` talks to it.
///
/// Exits 0 when there is no error (warnings included), 1 when there is one, 2 when the configuration cannot be read.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  sudo citronella doctor\n  sudo citronella doctor --fix\n  citronella doctor ./mosquitto.conf\n  citronella doctor --explain key-mismatch"
)]
pub(crate) struct Arguments {
    /// The file that the broker is started with [default: the one that includes the lines of `init`, else
    /// /etc/mosquitto/mosquitto.conf]
    #[arg(value_name = "MOSQUITTO.CONF")]
    conf: Option<PathBuf>,

    /// The same by the lines that `init` wrote into this file
    #[arg(long, value_name = "FILE", conflicts_with = "conf")]
    mosquitto_conf: Option<PathBuf>,

    /// Mend what can be mended without a choice to make; shows the changes first and asks
    #[arg(long)]
    fix: bool,

    /// With --fix: do not ask
    #[arg(long, requires = "fix")]
    yes: bool,

    /// Exit 1 for warnings too
    #[arg(long)]
    deny_warnings: bool,

    /// Explain this finding, by its name in brackets; without a name, list all there are
    #[arg(long, value_name = "CODE", num_args = 0..=1, conflicts_with_all = ["fix", "deny_warnings"])]
    explain: Option<Option<String>>,
}

impl Arguments {
    /// The file that the broker is started with.
    fn file(&self, world: &World) -> PathBuf {
        let named = self.conf.clone().or_else(|| self.mosquitto_conf.as_deref().map(noted::including));
        named.or_else(|| noted::main_file(world)).unwrap_or_else(|| MOSQUITTO_CONF.into())
    }
}

pub(crate) fn run(world: &World, output: &Output, arguments: &Arguments) -> Answer {
    if let Some(code) = &arguments.explain {
        return codes::explain::<Code>(output, code.as_deref());
    }
    let conf = arguments.file(world);
    let mut found = look(world, &conf)?;
    let mut changed = 0;
    if arguments.fix {
        changed = mend(output, &found.findings, arguments.yes)?;
        if changed > 0 {
            found = look(world, &conf)?;
        }
    }
    let count = |severity| found.findings.iter().filter(|found| found.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let clean = errors == 0 && !(arguments.deny_warnings && warnings > 0);
    let outcome = if clean { Outcome::Yes } else { Outcome::No };
    let shown = Shown { found: &found, errors, warnings, changed };
    let json = Json {
        errors,
        warnings,
        changed,
        user: &found.setup.user.name,
        files: &found.setup.files,
        listeners: found.setup.listeners.iter().map(Door::of).collect(),
        findings: found.findings.iter().map(Found::of).collect(),
    };
    output.verdict(outcome, &shown, &json)?;
    Ok(outcome)
}

fn look(world: &World, conf: &Path) -> Result<Examination, Failure> {
    let of_this_machine = world.chosen_config().is_some()
        || conf == Path::new(MOSQUITTO_CONF)
        || noted::main_file(world).is_some_and(|noted| noted == conf);
    let citronella = Some(world.config()).filter(|config| of_this_machine && config.exists());
    let case = Case {
        named: conf.to_owned().into(),
        now: UnixSeconds::now(),
        citronella: citronella.map(Path::to_owned),
    };
    examine(&case).map_err(|error| {
        let missing = error.source.kind() == io::ErrorKind::NotFound;
        let failure = Failure::from(error);
        if missing {
            failure.help("is Mosquitto installed? `citronella doctor FILE` takes the file that the broker is started with")
        } else {
            failure
        }
    })
}

/// Makes the changes that need no choice, after consent; how many were made.
fn mend(output: &Output, findings: &[Finding], yes: bool) -> Result<usize, Failure> {
    let plan = Plan::of(findings)?;
    if plan.is_empty() {
        output.say(&"nothing here can be mended without a choice to make; each finding says what to do");
        return Ok(0);
    }
    output.say(&plan);
    if !yes
        && !consent::ask(
            "Make these changes?",
            "there is nobody to ask whether to make these changes",
            "`--fix --yes` makes them without asking",
        )?
    {
        output.say(&"nothing was changed");
        return Ok(0);
    }
    for path in plan.apply()? {
        output.say(&format_args!("the old file is kept: {}", path.display()));
    }
    Ok(plan.count())
}

struct Shown<'a> {
    found: &'a Examination,
    errors: usize,
    warnings: usize,
    changed: usize,
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let setup = &self.found.setup;
        for group in self.found.findings.chunk_by(|one, next| one.place == next.place) {
            print_group(f, group)?;
        }
        let names: Vec<String> = setup.files.iter().map(|file| file.display().to_string()).collect();
        writeln!(f, "Looked at {}; the broker runs as `{}`.", names.join(", "), Visible(&setup.user.name))?;
        for listener in &setup.listeners {
            writeln!(f, "  {}", Door::of(listener))?;
        }
        if !setup.has_guard() {
            writeln!(f, "  not guarded: no line loads Citronella (`sudo citronella init` writes it)")?;
        }
        let fixable = self.found.findings.iter().filter(|found| found.fix.is_some()).count();
        if fixable > 0 {
            writeln!(
                f,
                "{fixable} of these can be mended by `sudo citronella doctor --fix`, which shows the changes first."
            )?;
        }
        if self.changed > 0 {
            writeln!(
                f,
                "{} changed; `sudo systemctl restart mosquitto` makes the broker read it.",
                counted(self.changed, "thing")
            )?;
        }
        let (errors, warnings) = (counted(self.errors, "error"), counted(self.warnings, "warning"));
        match (self.errors, self.warnings) {
            (0, 0) => f.write_str("clean"),
            (0, _) => write!(f, "no errors, {warnings}"),
            (_, 0) => f.write_str(&errors),
            _ => write!(f, "{errors}, {warnings}"),
        }
    }
}

/// What is wrong with one line, which is cited once; so is help that several findings share.
fn print_group(f: &mut fmt::Formatter<'_>, group: &[Finding]) -> fmt::Result {
    if let Some((source, span)) = group.first().and_then(|found| found.place.as_ref()) {
        let cited = Diagnostic::error(source, span.clone(), "").cited().unwrap_or_default();
        writeln!(f, "{}:{}{cited}", source.path().display(), source.line_of(span.start))?;
    }
    for (at, found) in group.iter().enumerate() {
        writeln!(f, "{}: {} [{}]", found.severity, Visible(&found.message), found.code)?;
        if group.get(at + 1).is_none_or(|next| next.help != found.help) {
            for help in &found.help {
                writeln!(f, "  = help: {}", Visible(help))?;
            }
        }
    }
    writeln!(f)
}

#[derive(Serialize)]
struct Json<'a> {
    errors: usize,
    warnings: usize,
    changed: usize,
    user: &'a str,
    files: &'a [PathBuf],
    listeners: Vec<Door>,
    findings: Vec<Found>,
}

/// A listener, in a few words.
#[derive(Serialize)]
pub(super) struct Door {
    port: u16,
    bind: Option<String>,
    tls: bool,
    certificate_required: bool,
    local: bool,
}

impl Door {
    pub(super) fn of(listener: &Listener) -> Self {
        let tls = listener.has_tls();
        Self {
            port: listener.port,
            bind: listener.bind.clone(),
            tls,
            certificate_required: tls && listener.is_on("require_certificate"),
            local: listener.is_local(),
        }
    }
}

impl fmt::Display for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.bind, self.port) {
            (Some(path), 0) => write!(f, "socket {}: ", Visible(path))?,
            (Some(bind), port) => write!(f, "port {port} on {}: ", Visible(bind))?,
            (None, port) => write!(f, "port {port}: ")?,
        }
        f.write_str(match (self.tls, self.certificate_required) {
            (true, true) => "TLS, every client shows a certificate",
            (true, false) => "TLS, no certificates asked for",
            (false, _) => "not encrypted",
        })?;
        f.write_str(if self.local { ", this machine only" } else { "" })
    }
}

#[derive(Serialize)]
struct Found {
    severity: String,
    code: &'static str,
    file: Option<String>,
    line: Option<u32>,
    column: Option<u32>,
    message: String,
    help: Vec<String>,
    fixable: bool,
}

impl Found {
    fn of(found: &Finding) -> Self {
        let position = found.place.as_ref().map(|(source, span)| source.position(span.start));
        Self {
            severity: found.severity.to_string(),
            code: found.code.as_str(),
            file: found.place.as_ref().map(|(source, _)| source.path().display().to_string()),
            line: position.map(|(line, _)| line),
            column: position.map(|(_, column)| column),
            message: found.message.clone(),
            help: found.help.clone(),
            fixable: found.fix.is_some(),
        }
    }
}
