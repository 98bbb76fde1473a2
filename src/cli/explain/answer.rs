//! A decision for scripts.

use citronella::policy::{Decision, RuleRef};
use serde::{Serialize, Serializer, ser::SerializeStruct as _};

use super::Action;
use crate::output::Outcome;

/// What was asked and what came of it. Its JSON is documented, and the same wherever a decision is printed.
pub(crate) struct Answer<'a> {
    pub(crate) decision: &'a Decision<'a>,
    /// What to do about a refusal.
    pub(crate) help: Option<String>,
    pub(crate) device: &'a str,
    pub(crate) client_id: &'a str,
    pub(crate) action: Action,
    pub(crate) topic: &'a str,
}

impl Answer<'_> {
    pub(crate) fn outcome(&self) -> Outcome {
        if self.decision.is_allowed() { Outcome::Yes } else { Outcome::No }
    }
}

impl Serialize for Answer<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let witness = self.decision.witness();
        let mut json = serializer.serialize_struct("Answer", 9)?;
        json.serialize_field("decision", if self.decision.is_allowed() { "allow" } else { "deny" })?;
        json.serialize_field("reason", &Shown(&self.decision.told_with(witness.as_deref())))?;
        json.serialize_field("help", &self.help)?;
        json.serialize_field("rule", &self.decision.rule().map(Cited))?;
        json.serialize_field("witness", &witness)?;
        json.serialize_field("device", self.device)?;
        json.serialize_field("client_id", self.client_id)?;
        json.serialize_field("action", &self.action)?;
        json.serialize_field("topic", self.topic)?;
        json.end()
    }
}

/// A rule as scripts see it: `file`, `line`, `filter` as written, and the `owner`: `role NAME`, `device NAME`,
/// `everyone` or `anonymous`.
pub(crate) struct Cited<'a>(pub(crate) RuleRef<'a>);

impl Serialize for Cited<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (owner, rule) = (self.0.owner(), self.0.rule());
        let mut json = serializer.serialize_struct("Rule", 4)?;
        json.serialize_field("file", &Shown(&rule.place.file.display()))?;
        json.serialize_field("line", &rule.place.line)?;
        json.serialize_field("filter", rule.template.as_str())?;
        json.serialize_field("owner", &Shown(&owner))?;
        json.end()
    }
}

/// Its text, without a string in between.
pub(crate) struct Shown<'a, T>(pub(crate) &'a T);

impl<T: std::fmt::Display> Serialize for Shown<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self.0)
    }
}
