//! What people and scripts see: human text or JSON on standard output, talk and errors on standard error.

use std::{
    fmt,
    io::{self, IsTerminal as _, Write as _},
    process::ExitCode,
};

use citronella::diag::Visible;
use serde::Serialize;

/// Options of every verb.
#[derive(clap::Args)]
pub(crate) struct OutputOptions {
    /// How to print results; JSON is stable
    #[arg(long, value_enum, default_value = "human", global = true, help_heading = "Common options")]
    format: Format,
}

#[derive(Clone, Copy, Eq, PartialEq, clap::ValueEnum)]
enum Format {
    /// For reading
    Human,
    /// For scripts: one object or array
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
    help: Option<String>,
    /// Whoever reads our output has gone; that is no error of ours.
    closed_pipe: bool,
}

impl Failure {
    /// What could not be done and why, in one sentence.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None, closed_pipe: false }
    }

    /// The same with what to do about it.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl<E: std::error::Error> From<E> for Failure {
    /// The error and what caused it, in one line.
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            let text = error.to_string();
            if !message.ends_with(&text) {
                message = format!("{message}: {text}");
            }
            cause = error.source();
        }
        Self::new(message)
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

    /// Prints a result: `human` as it is, or `json` as one line.
    pub(crate) fn result(&self, human: &dyn fmt::Display, json: &impl Serialize) -> Result<(), Failure> {
        let written = match self.format {
            Format::Human => writeln!(io::stdout(), "{human}"),
            Format::Json => {
                let text = serde_json::to_string(json)?;
                writeln!(io::stdout(), "{text}")
            }
        };
        written.map_err(|error| Failure {
            closed_pipe: error.kind() == io::ErrorKind::BrokenPipe,
            ..Failure::new(format!("standard output: {error}"))
        })
    }

    /// Tells what is going on; not part of the result, and not wanted by scripts.
    pub(crate) fn say(&self, text: &dyn fmt::Display) {
        if self.format == Format::Human {
            // Talk that nobody hears is no reason to stop.
            let _ = writeln!(io::stderr(), "{text}");
        }
    }

    /// Warns, in every format.
    pub(crate) fn warn(&self, text: &str) {
        let _ = writeln!(io::stderr(), "citronella: warning: {}", Visible(text));
    }

    /// `text` in green or red on a terminal.
    pub(crate) fn verdict(&self, outcome: Outcome, text: &str) -> String {
        match (self.colours, outcome) {
            (false, _) => text.to_owned(),
            (true, Outcome::Yes) => format!("\u{1b}[32m{text}\u{1b}[0m"),
            (true, Outcome::No) => format!("\u{1b}[31m{text}\u{1b}[0m"),
        }
    }

    /// Reports a failure; what `main` returns.
    pub(crate) fn fail(&self, failure: &Failure) -> ExitCode {
        if failure.closed_pipe {
            return ExitCode::SUCCESS;
        }
        let _ = writeln!(io::stderr(), "citronella: {}", failure.message);
        if let Some(help) = &failure.help {
            let _ = writeln!(io::stderr(), "  = help: {help}");
        }
        ExitCode::from(2)
    }
}
