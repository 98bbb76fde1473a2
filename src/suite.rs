//! Test files: what somebody expects a policy to answer.
//!
//! ```toml
//! config = "citronella.toml"            # relative to this file
//!
//! [[test]]
//! device = "thunder10"                  # or "~anonymous"
//! allow  = { publish = ["sensors/thunder10/temp"], subscribe = ["cmd/thunder10/#"] }
//! deny   = { publish = ["sensors/other/temp"], subscribe = ["sensors/#"] }
//!
//! [[test]]
//! name       = "a large message is too large"
//! device     = "thunder10"
//! client_id  = "thunder10-1"            # the device's name unless given
//! payload_size = 5000                   # and `qos`, `retain`: for what is published
//! deny       = { publish = ["sensors/thunder10/temp"] }
//!
//! [[test]]
//! device  = "phone"
//! action  = "subscribe"                 # one question, of which more is known:
//! topic   = "sensors/#"
//! expect  = "deny"
//! rule    = "devices.toml:14"           # the rule that decides, by its line or as it is written
//! witness = "sensors/secret"
//!
//! [[test]]
//! device     = "stranger"
//! registered = false                    # a misspelt name would be refused everything, which proves nothing
//! deny       = { publish = ["sensors/stranger/temp"] }
//! ```
#![forbid(unsafe_code)]

mod read;

use std::{fmt, ops::Range, path::PathBuf, sync::Arc};

use crate::{
    diag::{Diagnostic, Source, Visible},
    policy::{Action, Decision, Effect, Message},
};

pub use read::parse;

/// A test file.
#[derive(Debug)]
pub struct Suite {
    source: Arc<Source>,
    /// The settings it is about, if it names them; the folder of the test file stands before a relative path.
    pub config: Option<PathBuf>,
    /// In the order of the file.
    pub tests: Vec<Test>,
}

/// What one client expects.
#[derive(Debug)]
pub struct Test {
    /// What is tested, in somebody's words.
    pub name: Option<String>,
    /// The device, or [`ANONYMOUS`](crate::ident::ANONYMOUS).
    pub device: String,
    /// The client id, if it is not the device's name.
    pub client_id: Option<String>,
    /// Whether the device should be in the registry.
    pub registered: Registered,
    /// In the order of the file; at least one.
    pub expectations: Vec<Expectation>,
    device_span: Range<usize>,
}

/// Whether a test speaks of a device that there is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Registered {
    /// There is one of this name.
    #[default]
    Yes,
    /// `registered = false`: there is none.
    No,
}

/// A question and what should come of it.
#[derive(Debug)]
pub struct Expectation {
    /// What is asked for.
    pub action: Action,
    /// A topic name, or a filter for subscribe and unsubscribe; well formed.
    pub topic: String,
    /// The message, if it is a publish.
    pub message: Message,
    /// The answer.
    pub effect: Effect,
    /// The rule that decides: `FILE:LINE` or its filter as written.
    pub rule: Option<String>,
    /// The witness of a refused filter.
    pub witness: Option<String>,
    span: Range<usize>,
}

/// What of an answer was not expected.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Miss<'e> {
    /// It should have been the other.
    Effect(Effect),
    /// This rule should have decided.
    Rule(&'e str),
    /// This should have been the witness.
    Witness(&'e str),
}

impl Suite {
    /// The file, for citing.
    #[must_use]
    pub fn source(&self) -> &Arc<Source> {
        &self.source
    }

    /// Line and column of an expectation, counted from 1.
    #[must_use]
    pub fn position(&self, expectation: &Expectation) -> (u32, u32) {
        self.source.position(expectation.span.start)
    }

    /// A mistake at the name of a test's device.
    #[must_use]
    pub fn device_mistake(&self, test: &Test, message: String) -> Diagnostic {
        Diagnostic::error(&self.source, test.device_span.clone(), message)
    }
}

impl Test {
    /// What it is asked as.
    #[must_use]
    pub fn client_id(&self) -> &str {
        self.client_id.as_deref().unwrap_or(&self.device)
    }
}

impl Expectation {
    /// What `decision` has other than expected, if anything.
    #[must_use]
    pub fn miss(&self, decision: &Decision<'_>) -> Option<Miss<'_>> {
        if decision.is_allowed() != (self.effect == Effect::Allow) {
            return Some(Miss::Effect(self.effect));
        }
        let is_rule = |wanted: &str| {
            let rule = decision.rule().map(|rule| rule.rule());
            rule.is_some_and(|rule| rule.template.as_str() == wanted || rule.place.to_string() == wanted)
        };
        if let Some(rule) = self.rule.as_deref().filter(|rule| !is_rule(rule)) {
            return Some(Miss::Rule(rule));
        }
        let witness = self.witness.as_deref().filter(|wanted| decision.witness().as_deref() != Some(*wanted));
        witness.map(Miss::Witness)
    }
}

impl Miss<'_> {
    /// `decision`, `rule` or `witness`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Effect(_) => "decision",
            Self::Rule(_) => "rule",
            Self::Witness(_) => "witness",
        }
    }
}

impl fmt::Display for Miss<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Effect(Effect::Allow) => f.write_str("expected allow"),
            Self::Effect(Effect::Deny) => f.write_str("expected deny"),
            Self::Rule(rule) => write!(f, "expected the rule `{}`", Visible(rule)),
            Self::Witness(witness) => write!(f, "expected the witness `{}`", Visible(witness)),
        }
    }
}

#[cfg(test)]
mod tests;
