//! What people and scripts see: human text or JSON on standard output, talk and errors on standard error.

use std::{
    error::Error,
    fmt,
    io::{self, IsTerminal as _, Write as _},
    path::Path,
    process::ExitCode,
};

use citronella::diag::{Report, Visible, harmless_json};
use serde::Serialize;

/// Options of every verb.
#[derive(clap::Args)]
pub(crate) struct OutputOptions {
    /// How to print results: human, for reading; json, for scripts, one object or array
    #[arg(
        long,
        value_enum,
        default_value = "human",
        global = true,
        hide_possible_values = true,
        help_heading = "Common options"
    )]
    format: Format,
}

#[derive(Clone, Copy, Eq, PartialEq, clap::ValueEnum)]
enum Format {
    Human,
    Json,
}

/// What a run ended with when it could be carried out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    /// 0: done, allowed, clean.
    Yes,
    /// 1: denied, different, problems found.
    No,
}

/// It could not be carried out: status 2.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    /// What a check found, which says where the trouble is; each of several lines.
    findings: Vec<String>,
    help: Vec<String>,
    /// There is no such file.
    is_missing: bool,
}

impl Failure {
    /// What could not be done and why, in one sentence.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), findings: Vec::new(), help: Vec::new(), is_missing: false }
    }

    /// What the system refused to do with this file.
    pub(crate) fn file(path: &Path, error: &io::Error) -> Self {
        Self::new(format!("{}: {error}", path.display())).for_kind(error.kind())
    }

    /// What could not be done and why.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// The same with what to do about it.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }

    /// The same with everything that is wrong with the files.
    pub(crate) fn findings(mut self, report: &Report) -> Self {
        self.findings.extend(report.iter().map(|found| format!("{found:#}")));
        self
    }

    fn for_kind(mut self, kind: io::ErrorKind) -> Self {
        match kind {
            io::ErrorKind::PermissionDenied => self.help("run it with sudo"),
            kind => {
                self.is_missing = kind == io::ErrorKind::NotFound;
                self
            }
        }
    }

    /// What to do, where nobody who knows more has said it.
    fn fallback(&self) -> Option<String> {
        let here = std::env::current_dir().ok().filter(|_| self.is_missing && self.help.is_empty())?;
        Some(format!(
            "is the name right? A path that does not begin with `/` is looked for in {}",
            here.display()
        ))
    }
}

impl<E: Error + 'static> From<E> for Failure {
    /// The error and what caused it, in one line.
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut kind = None;
        let mut cause: Option<&(dyn Error + 'static)> = Some(&error);
        while let Some(error) = cause {
            let text = error.to_string();
            if !message.ends_with(&text) {
                message = format!("{message}: {text}");
            }
            kind = error.downcast_ref::<io::Error>().map(io::Error::kind).or(kind);
            cause = error.source();
        }
        let failure = Self::new(message);
        match kind {
            Some(kind) => failure.for_kind(kind),
            None => failure,
        }
    }
}

/// Where results go.
pub(crate) struct Output {
    format: Format,
    /// Whether standard output is a terminal that wants colours.
    colours: bool,
}

impl Output {
    pub(crate) fn new(arguments: &OutputOptions) -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { format: arguments.format, colours: wanted && io::stdout().is_terminal() }
    }

    /// Prints a result: `human`, or `json` as one line.
    pub(crate) fn result(&self, human: &dyn fmt::Display, json: &impl Serialize) -> Result<(), Failure> {
        self.print(human, None, json)
    }

    /// Prints a result whose last line is a verdict, in green or red on a terminal.
    pub(crate) fn verdict(
        &self,
        outcome: Outcome,
        human: &dyn fmt::Display,
        json: &impl Serialize,
    ) -> Result<(), Failure> {
        self.print(human, Some((outcome, None)), json)
    }

    /// The same, and below the verdict what to do about it.
    pub(crate) fn advised(
        &self,
        (outcome, help): (Outcome, Option<&str>),
        human: &dyn fmt::Display,
        json: &impl Serialize,
    ) -> Result<(), Failure> {
        self.print(human, Some((outcome, help)), json)
    }

    fn print(
        &self,
        human: &dyn fmt::Display,
        verdict: Option<(Outcome, Option<&str>)>,
        json: &impl Serialize,
    ) -> Result<(), Failure> {
        let mut text = match self.format {
            Format::Json => harmless_json(&serde_json::to_string(json)?).into_owned(),
            Format::Human => {
                let mut lines = harmless_lines(&human.to_string());
                if let (true, Some((outcome, _)), Some(last)) = (self.colours, verdict, lines.last_mut()) {
                    let colour = if outcome == Outcome::Yes { 32 } else { 31 };
                    *last = format!("\u{1b}[{colour}m{last}\u{1b}[0m");
                }
                lines.extend(
                    verdict.and_then(|(_, help)| help).map(|help| format!("  = help: {}", Visible(help))),
                );
                lines.join("\n")
            }
        };
        text.push('\n');
        write_out(text.as_bytes()).map(|_| ())
    }

    /// Tells what is going on; not part of the result, and not wanted by scripts.
    pub(crate) fn say(&self, text: &dyn fmt::Display) {
        if self.format == Format::Human {
            // Talk that nobody hears is no reason to stop.
            let _ = writeln!(io::stderr(), "{}", harmless_lines(&text.to_string()).join("\n"));
        }
    }

    /// Whether [`Self::say`] says anything.
    pub(crate) fn is_for_people(&self) -> bool {
        self.format == Format::Human
    }

    /// Warns, in every format.
    pub(crate) fn warn(&self, text: &str) {
        let _ = writeln!(io::stderr(), "citronella: warning: {}", Visible(text));
    }

    /// Reports a failure; what `main` returns.
    pub(crate) fn fail(&self, failure: &Failure) -> ExitCode {
        let mut text = format!("citronella: {}\n", Visible(&failure.message));
        for found in &failure.findings {
            text.push_str(&harmless_lines(found).join("\n"));
            text.push('\n');
        }
        for help in failure.help.iter().chain(&failure.fallback()) {
            text.push_str(&format!("  = help: {}\n", Visible(help)));
        }
        let _ = io::stderr().write_all(text.as_bytes());
        ExitCode::from(2)
    }
}

/// Whether anybody reads what is printed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Reader {
    Listens,
    /// Has gone, which is no error of ours and changes no answer.
    Gone,
}

/// Writes results to standard output, at once.
pub(crate) fn write_out(bytes: &[u8]) -> Result<Reader, Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(Reader::Listens),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Reader::Gone),
        Err(error) => Err(Failure::new(format!("standard output: {error}"))),
    }
}

/// The lines of a text, in none of which anything drives the terminal.
fn harmless_lines(text: &str) -> Vec<String> {
    text.split('\n').map(|line| Visible(line).to_string()).collect()
}

/// A number of things: `1 device`, `2 devices`.
pub(crate) fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_tells_its_causes_and_what_to_do_about_them() {
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        let failure = Failure::from(denied).help("or ask somebody");
        assert_eq!((&*failure.message, failure.help.len()), ("permission denied", 2));
    }
}
