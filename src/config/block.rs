//! Blocks of rules, which look alike for roles, everyone, anonymous clients and devices.

use std::{ops::Range, sync::Arc};

use super::reader::{Entry, Reader, Text};
use crate::{
    diag::Code,
    policy::{Actions, Block, Effect, Limits, Owner, Rule},
    topic::{Placeholder, Template},
};

/// The keys of a block.
pub const KEYS: [&str; 10] = [
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

/// Whether whoever asks has a name and attributes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Asker {
    #[default]
    Named,
    Nameless,
}

/// A block while its keys are read.
#[derive(Default)]
pub(crate) struct Draft {
    asker: Asker,
    limits: Limits,
    /// The first limit, where it stands.
    limit: Option<(&'static str, Range<usize>)>,
    /// Whether there is a rule that a limit could limit, even if there is a mistake in it.
    publishes: bool,
    rules: Vec<Rule>,
}

/// Whether a key was one of a block's.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Taken {
    Yes,
    No,
}

impl Draft {
    /// A block for those who ask; mistakes in rules that need to know more of them are noted.
    pub(crate) fn of(asker: Asker) -> Self {
        Self { asker, ..Self::default() }
    }

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
                return self.limited("max_qos", entry);
            }
            "retain" => {
                self.limits.no_retain = reader.boolean("retain", entry.value) == Some(false);
                return if self.limits.no_retain { self.limited("retain", entry) } else { Taken::Yes };
            }
            "max_payload" => {
                self.limits.max_payload = reader.number("max_payload", entry.value, MAX_PAYLOAD_BYTES);
                return self.limited("max_payload", entry);
            }
            _ => return Taken::No,
        };
        self.publishes |= effect == Effect::Allow && actions != DELIVERED;
        for text in reader.strings(entry.key, entry.value) {
            match Template::parse(text.text) {
                Ok(template) => {
                    if self.asker == Asker::Nameless {
                        refuse_names(reader, &text, &template);
                    }
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

    fn limited(&mut self, key: &'static str, entry: &Entry<'_, '_>) -> Taken {
        self.limit.get_or_insert((key, entry.span.clone()));
        Taken::Yes
    }

    /// The block, for whom it belongs to. Limits that limit nothing are noted.
    pub(crate) fn finish(mut self, reader: &mut Reader, owner: Owner) -> Arc<Block> {
        if let Some((key, span)) = self.limit.take().filter(|_| !self.publishes) {
            let message = format!("`{key}` limits nothing: no rule beside it allows publish");
            let help =
                "a limit holds for the `publish` and `pubsub` rules of its own table only; write it there";
            reader.warning(Code::LimitWithoutPublish, span, (message, help));
        }
        // With a block for each of many devices, what a growing vector keeps in reserve is much.
        self.rules.shrink_to_fit();
        Arc::new(Block { owner, limits: self.limits, rules: self.rules })
    }
}

/// SOURCE: MQTT 5.0 section 1.5.5, the largest remaining length.
const MAX_PAYLOAD_BYTES: u32 = 268_435_455;

/// Notes what a rule needs to know of clients who say nothing but their client id.
fn refuse_names(reader: &mut Reader, text: &Text<'_>, template: &Template) {
    for (hole, span) in template.holes().filter(|(hole, _)| *hole != Placeholder::ClientId) {
        let written = text.text.get(span.clone()).map_or_else(|| hole.to_string(), str::to_owned);
        reader.error_help(
            reader.inside(text, span),
            format!("`{written}` has no value for anonymous clients"),
            "write `+` or a fixed text in its place",
        );
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
