//! Blocks of rules, which look alike for roles, everyone, anonymous clients and devices.

use std::sync::Arc;

use toml::de::DeValue;

use super::reader::{Entry, Reader};
use crate::{
    policy::{Actions, Block, Effect, Limits, Owner, Rule},
    topic::{Placeholder, Template},
};

/// The keys of a block.
pub(crate) const KEYS: [&str; 10] = [
    "publish",
    "subscribe",
    "pubsub",
    "deny",
    "deny_publish",
    "deny_subscribe",
    "hide",
    "max_qos",
    "retain",
    "max_payload",
];

const DELIVERED: Actions = Actions::SUBSCRIBE.and(Actions::RECEIVE);
const ALL: Actions = Actions::PUBLISH.and(DELIVERED);

/// A block while its keys are read.
#[derive(Default)]
pub(crate) struct Draft {
    limits: Limits,
    rules: Vec<Rule>,
}

/// Whether a key was one of a block's.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Taken {
    Yes,
    No,
}

impl Draft {
    /// Reads one key if it is one of [`KEYS`]; mistakes in its value go to the reader.
    pub(crate) fn take(&mut self, reader: &mut Reader, entry: &Entry<'_, '_>) -> Taken {
        let (effect, actions) = match entry.key {
            "publish" => (Effect::Allow, Actions::PUBLISH),
            "subscribe" => (Effect::Allow, DELIVERED),
            "pubsub" => (Effect::Allow, ALL),
            "deny" => (Effect::Deny, ALL),
            "deny_publish" => (Effect::Deny, Actions::PUBLISH),
            "deny_subscribe" => (Effect::Deny, DELIVERED),
            "hide" => (Effect::Deny, Actions::RECEIVE),
            "max_qos" => {
                self.limits.max_qos =
                    reader.number("max_qos", entry.value, 2).and_then(|qos| u8::try_from(qos).ok());
                return Taken::Yes;
            }
            "retain" => {
                self.limits.no_retain = reader.boolean("retain", entry.value) == Some(false);
                return Taken::Yes;
            }
            "max_payload" => {
                self.limits.max_payload = reader.number("max_payload", entry.value, MAX_PAYLOAD_BYTES);
                return Taken::Yes;
            }
            _ => return Taken::No,
        };
        for text in reader.strings(entry.key, entry.value) {
            match Template::parse(text.text) {
                Ok(template) => {
                    let place = reader.place(text.span.start);
                    self.rules.push(Rule { effect, actions, template, place });
                }
                Err(error) => {
                    let span = reader.inside(&text, error.span.clone());
                    match error.help() {
                        Some(help) => reader.error_help(span, error.to_string(), help),
                        None => reader.error(span, error.to_string()),
                    }
                }
            }
        }
        Taken::Yes
    }

    /// Whether it has any rule; limits alone allow nothing.
    pub(crate) fn has_rules(&self) -> bool {
        !self.rules.is_empty()
    }

    /// The block, for whom it belongs to.
    pub(crate) fn finish(mut self, owner: Owner) -> Arc<Block> {
        // With a block for each of many devices, what a growing vector keeps in reserve is much.
        self.rules.shrink_to_fit();
        Arc::new(Block { owner, limits: self.limits, rules: self.rules })
    }
}

/// SOURCE: MQTT 5.0 section 1.5.5, the largest remaining length.
const MAX_PAYLOAD_BYTES: u32 = 268_435_455;

/// Notes the rules of `[anonymous]` that need to know who asks.
pub(crate) fn refuse_names(reader: &mut Reader, entry: &Entry<'_, '_>) {
    let texts: Vec<_> = match entry.value.get_ref() {
        DeValue::Array(items) => {
            items.iter().filter_map(|item| Some((item.get_ref().as_str()?, item.span()))).collect()
        }
        DeValue::String(text) => vec![(&**text, entry.value.span())],
        _ => Vec::new(),
    };
    for (text, span) in texts {
        let Ok(template) = Template::parse(text) else { continue };
        if let Some(hole) = template.placeholders().find(|hole| *hole != Placeholder::ClientId) {
            reader.error_help(
                span,
                format!("`{hole}` has no value for anonymous clients"),
                "write `+` or a fixed text in its place",
            );
        }
    }
}

/// The attributes that the deny rules of a block need.
pub(crate) fn attributes_of_denies(block: &Block) -> impl Iterator<Item = (&Rule, Box<str>)> {
    block.rules.iter().filter(|rule| rule.effect == Effect::Deny).flat_map(|rule| {
        rule.template.placeholders().filter_map(move |hole| match hole {
            Placeholder::Attribute(name) => Some((rule, name)),
            Placeholder::Device | Placeholder::ClientId => None,
        })
    })
}
