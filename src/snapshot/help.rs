//! What to do about a refusal, with what only the registry knows.

use super::Snapshot;
use crate::{
    config::words,
    ident,
    policy::{Decision, Denied},
    registry::State,
};

impl Snapshot {
    /// One sentence about what to ask for or to write instead of what [`authorize`](Self::authorize) refused to
    /// `name`, where that can be known. Nothing for what is allowed.
    ///
    /// Costs a look at every rule of the device; for a name that no device has, one at every device.
    #[must_use]
    pub fn help(&self, name: &str, decision: &Decision<'_>) -> Option<String> {
        if decision.is_allowed() {
            return None;
        }
        if name == ident::ANONYMOUS {
            return match self.admits_anonymous() {
                true => decision.help(None),
                false => Some("a section `[anonymous]` in the settings would admit them".to_owned()),
            };
        }
        let Some(device) = self.device(name) else {
            return self.similar(name);
        };
        match device.state() {
            State::Active => {
                let role = device.roles().first().map(|role| self.roles.name(*role));
                decision.help(role)
            }
            State::Quarantined => match decision {
                Decision::Deny(Denied::NoRule { .. }) => {
                    Some(match self.roles.quarantine() {
                        Some(_) => "the device is quarantined: it has only what `[roles.quarantine]` gives".to_owned(),
                        None => "the device is quarantined, and citronella.toml has no `[roles.quarantine]` that gives it anything".to_owned(),
                    })
                }
                decision => decision.help(None),
            },
            State::Disabled => Some(format!("`citronella device enable {name}` admits it again")),
            State::Retired => Some("a retired device stays out; its successor needs another name".to_owned()),
        }
    }
    /// Which name could be meant by one that no device has. Costs a look at every device.
    #[must_use]
    pub fn similar(&self, name: &str) -> Option<String> {
        words::suggestion(name, self.devices().map(|device| device.name().as_str()))
    }
}
