//! One thing that is wrong, and what mends it.

use std::{fmt, ops::Range, sync::Arc};

use super::{Code, fix::Fix};
use crate::diag::{Diagnostic, Severity, Source, Visible};

/// One thing that is wrong. The message is one sentence in lower case without a full stop, user's text in backticks.
#[derive(Clone, Debug)]
pub struct Finding {
    /// An error does not work or is unsafe; a warning will be, or is probably not meant.
    pub severity: Severity,
    /// Its kind.
    pub code: Code,
    /// The line of the configuration, and the part of it to blame.
    pub place: Option<(Arc<Source>, Range<usize>)>,
    /// What is wrong.
    pub message: String,
    /// What to do, one step each.
    pub help: Vec<String>,
    /// What mends it without a choice to make.
    pub fix: Option<Fix>,
}

impl Finding {
    pub(super) fn error(code: Code, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            code,
            place: None,
            message: message.into(),
            help: Vec::new(),
            fix: None,
        }
    }

    pub(super) fn warning(code: Code, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, message) }
    }

    /// The same with one more step.
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }

    /// The same at that place, if there is one.
    pub(super) fn at(mut self, place: Option<(Arc<Source>, Range<usize>)>) -> Self {
        self.place = place;
        self
    }

    /// The same with what mends it.
    pub(super) fn fix(mut self, fix: Fix) -> Self {
        self.fix = Some(fix);
        self
    }
}

impl fmt::Display for Finding {
    /// As a [`Diagnostic`]: `{}` in one line, `{:#}` with the line cited.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let diagnostic = Diagnostic {
            severity: self.severity,
            code: None,
            place: self.place.clone(),
            message: format!("{} [{}]", self.message, self.code),
            help: None,
        };
        if f.alternate() {
            write!(f, "{diagnostic:#}")?;
            for help in &self.help {
                write!(f, "\n  = help: {}", Visible(help))?;
            }
        } else {
            write!(f, "{diagnostic}")?;
            for help in &self.help {
                write!(f, "; {}", Visible(help))?;
            }
        }
        Ok(())
    }
}
