//! Why a conversation went no further.

use std::{fmt, time::Duration};

use rustls::AlertDescription;

use crate::diag::Visible;

/// The cause of a failure, and what mends it.
#[derive(Clone, Debug)]
pub struct Cause {
    /// A name that never changes.
    pub code: &'static str,
    /// The cause in one sentence.
    pub message: String,
    /// What was seen of it, as the library or the system says it.
    pub observed: String,
    /// What to do, one step each.
    pub help: Vec<String>,
    /// The broker's word for it, where that has still to be explained.
    pub(super) alert: Option<AlertDescription>,
}

impl Cause {
    pub(super) fn new(code: &'static str, message: impl Into<String>, observed: impl Into<String>) -> Self {
        Self { code, message: message.into(), observed: observed.into(), help: Vec::new(), alert: None }
    }

    /// The other side took the connection and then said nothing for as long as `timeout`.
    pub(super) fn silence(timeout: Duration, observed: impl Into<String>) -> Self {
        let message = match timeout.as_secs() {
            1 => "no answer within a second".to_owned(),
            seconds => format!("no answer within {seconds} seconds"),
        };
        Self::new("no-answer", message, observed)
            .help("is the port really one for MQTT? Is the broker overloaded?")
    }

    /// The same with one more step.
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {} [{}]", Visible(&self.message), self.code)?;
        if !self.observed.is_empty() {
            write!(f, "\n  = seen: {}", Visible(&self.observed))?;
        }
        for help in &self.help {
            write!(f, "\n  = help: {}", Visible(help))?;
        }
        Ok(())
    }
}
