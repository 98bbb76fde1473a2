//! From the text of a test file to a [`Suite`], or to all its mistakes.

use std::{ops::Range, path::Path};

use toml::de::DeValue;

use super::{Expectation, Registered, Suite, Test};
use crate::{
    config::{
        check_version,
        reader::{Entry, Reader, Text, Value, entries},
    },
    diag::Report,
    policy::{Action, Effect, Message},
    topic::{Filter, Name, TopicError},
};

const FILE_KEYS: [&str; 3] = ["version", "config", "test"];
const TEST_KEYS: [&str; 14] = [
    "name",
    "device",
    "client_id",
    "registered",
    "qos",
    "retain",
    "payload_size",
    "allow",
    "deny",
    "action",
    "topic",
    "expect",
    "rule",
    "witness",
];
const EFFECTS: [(&str, Effect); 2] = [("allow", Effect::Allow), ("deny", Effect::Deny)];

/// SOURCE: MQTT 5.0 section 1.5.5, the largest remaining length.
const MAX_PAYLOAD_BYTES: u32 = 268_435_455;

/// Reads the text of the test file at `path`. Mistakes go to `report`; whatever is right is returned even then.
pub fn parse(path: &Path, text: &str, report: &mut Report) -> Suite {
    let (mut reader, tree) = Reader::parse(path, text);
    let (mut config, mut tests) = (None, Vec::new());
    for entry in entries(&tree) {
        match entry.key {
            "version" => check_version(&mut reader, Some(entry.value)),
            "config" => {
                let file = reader.string(entry.key, entry.value);
                config = file.map(|file| path.parent().unwrap_or(Path::new("")).join(file.text));
            }
            "test" => match entry.value.get_ref() {
                DeValue::Array(items) => {
                    tests.extend(items.iter().filter_map(|item| test(&mut reader, item)))
                }
                _ => reader.error_help(
                    entry.span.clone(),
                    "`test` must be an array of tables",
                    "each test begins with `[[test]]`",
                ),
            },
            _ => reader.unknown_key(&entry, &FILE_KEYS),
        }
    }
    let source = reader.source();
    reader.finish(report);
    Suite { source, config, tests }
}

/// A test while its keys are read.
#[derive(Default)]
struct Draft<'v> {
    name: Option<Text<'v>>,
    device: Option<Text<'v>>,
    /// There is a `device`, right or wrong.
    is_named: bool,
    client_id: Option<Text<'v>>,
    registered: Registered,
    message: Message,
    /// From `allow` and `deny`.
    listed: Vec<(Effect, Action, Text<'v>)>,
    action: Option<Action>,
    topic: Option<Text<'v>>,
    expect: Option<Effect>,
    rule: Option<Text<'v>>,
    witness: Option<Text<'v>>,
    /// The keys of one question that are there, right or wrong, and where the first stands.
    single: Vec<&'v str>,
    single_span: Range<usize>,
}

fn test(reader: &mut Reader, value: &Value<'_>) -> Option<Test> {
    let table = reader.table("test", value)?;
    let mut draft = Draft::default();
    for entry in entries(table) {
        draft.take(reader, &entry);
    }
    draft.finish(reader, value.span())
}

impl<'v> Draft<'v> {
    fn take(&mut self, reader: &mut Reader, entry: &Entry<'v, '_>) {
        let (key, value) = (entry.key, entry.value);
        if matches!(key, "action" | "topic" | "expect" | "rule" | "witness") {
            if self.single.is_empty() {
                self.single_span = entry.span.clone();
            }
            self.single.push(key);
        }
        match key {
            "name" => self.name = reader.string(key, value),
            "device" => {
                self.device = reader.string(key, value);
                self.is_named = true;
            }
            "client_id" => self.client_id = reader.string(key, value),
            "registered" => {
                let registered = reader.boolean(key, value);
                self.registered = if registered == Some(false) { Registered::No } else { Registered::Yes };
            }
            "qos" => {
                let qos = reader.number(key, value, 2).and_then(|qos| u8::try_from(qos).ok());
                self.message.qos = qos.unwrap_or_default();
            }
            "retain" => self.message.retain = reader.boolean(key, value).unwrap_or_default(),
            "payload_size" => {
                self.message.payload_bytes = reader.number(key, value, MAX_PAYLOAD_BYTES).unwrap_or_default();
            }
            "allow" => self.list(reader, entry, Effect::Allow),
            "deny" => self.list(reader, entry, Effect::Deny),
            "action" => self.action = reader.choice(key, value, &Action::WORDS),
            "topic" => self.topic = reader.string(key, value),
            "expect" => self.expect = reader.choice(key, value, &EFFECTS),
            "rule" => self.rule = reader.string(key, value),
            "witness" => self.witness = reader.string(key, value),
            _ => reader.unknown_key(entry, &TEST_KEYS),
        }
    }

    /// Reads `allow` or `deny`.
    fn list(&mut self, reader: &mut Reader, entry: &Entry<'v, '_>, effect: Effect) {
        let Some(table) = reader.table(entry.key, entry.value) else { return };
        for inner in entries(table) {
            let action = Action::WORDS.iter().find(|(word, _)| *word == inner.key);
            let Some((_, action)) = action else {
                reader.unknown_key(&inner, &Action::WORDS.map(|(word, _)| word));
                continue;
            };
            let topics = reader.strings(inner.key, inner.value);
            self.listed.extend(topics.into_iter().map(|topic| (effect, *action, topic)));
        }
    }

    fn finish(mut self, reader: &mut Reader, span: Range<usize>) -> Option<Test> {
        let single = self.single_question(reader);
        if self.listed.is_empty() && self.single.is_empty() {
            reader.error_help(
                span.clone(),
                "this test expects nothing",
                "write `allow = { publish = [\"…\"] }`, or `action`, `topic` and `expect`",
            );
        }
        let message = self.message;
        let expectations = std::mem::take(&mut self.listed)
            .into_iter()
            .map(|(effect, action, topic)| Expectation {
                action,
                topic: topic.text.to_owned(),
                message,
                effect,
                rule: None,
                witness: None,
                span: topic.span,
            })
            .chain(single)
            .collect::<Vec<_>>();
        for expectation in &expectations {
            refuse_malformed(reader, expectation);
        }
        let Some(device) = self.device else {
            if !self.is_named {
                reader.error_help(span, "`device` is missing", "name a device, or `~anonymous`");
            }
            return None;
        };
        let owned = |text: Option<Text<'_>>| text.map(|text| text.text.to_owned());
        Some(Test {
            name: owned(self.name),
            device: device.text.to_owned(),
            client_id: owned(self.client_id),
            registered: self.registered,
            expectations,
            device_span: device.span,
        })
    }

    /// What `action`, `topic` and `expect` say, of which none stands without the others.
    fn single_question(&self, reader: &mut Reader) -> Option<Expectation> {
        if self.single.is_empty() {
            return None;
        }
        for needed in ["action", "topic", "expect"].iter().filter(|key| !self.single.contains(*key)) {
            reader.error_help(
                self.single_span.clone(),
                format!("`{needed}` is missing"),
                "one question is written with `action`, `topic` and `expect`",
            );
        }
        let owned = |text: &Option<Text<'_>>| text.as_ref().map(|text| text.text.to_owned());
        let (action, topic, effect) = (self.action?, self.topic.as_ref()?, self.expect?);
        if let Some(witness) = self.witness.as_ref().filter(|_| effect == Effect::Allow) {
            reader.error(witness.span.clone(), "only what is denied has a witness");
        }
        Some(Expectation {
            action,
            topic: topic.text.to_owned(),
            message: self.message,
            effect,
            rule: owned(&self.rule),
            witness: owned(&self.witness),
            span: topic.span.clone(),
        })
    }
}

/// Notes what is no topic: it is refused whatever the policy says, which tests nothing.
fn refuse_malformed(reader: &mut Reader, expectation: &Expectation) {
    let topic = &*expectation.topic;
    let mistake = match expectation.action {
        Action::Publish | Action::Receive => Name::parse(topic).err(),
        Action::Subscribe | Action::Unsubscribe => Filter::parse(topic).err(),
    };
    match mistake {
        None => {}
        Some(TopicError::Wildcard) => reader.error_help(
            expectation.span.clone(),
            TopicError::Wildcard.to_string(),
            "filters stand under `subscribe`",
        ),
        Some(mistake) => reader.error(expectation.span.clone(), mistake.to_string()),
    }
}
