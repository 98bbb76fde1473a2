//! The engine against the naive model.

use arbitrary::{Arbitrary, Result, Unstructured};
use citronella::topic::{Filter, Name};

use crate::{
    model::{self, Action, Client, Rule},
    support::{self, Engine},
};

/// Most topics that the model may list for a filter.
const MAX_TOPICS: usize = 5_000;

/// A few small rules, who asks, and what.
#[derive(Clone, Debug)]
pub struct Question {
    rules: Vec<Rule>,
    /// The index and the block of each rule.
    places: Vec<(usize, usize)>,
    client: Client,
    action: Action,
    topic: String,
    wide: bool,
}

impl<'a> Arbitrary<'a> for Question {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> Result<Self> {
        let mut rules = Vec::new();
        let mut places = Vec::new();
        for _ in 0..bytes.int_in_range(0..=5)? {
            let about: &'static [Action] = bytes.choose(&ABOUT)?;
            rules.push(Rule { allow: bytes.ratio(3, 4)?, about, filter: filter(bytes, &TEMPLATE_LEVELS)? });
            places.push((bytes.int_in_range(0..=1)?, bytes.int_in_range(0..=3)?));
        }
        let mut client = Client { device: None, client_id: value(bytes)?, site: None };
        if bytes.ratio(9, 10)? {
            client.device = Some(value(bytes)?);
        }
        if bytes.ratio(9, 10)? {
            client.site = Some(value(bytes)?);
        }
        let action =
            *bytes.choose(&[Action::Publish, Action::Subscribe, Action::Receive, Action::Unsubscribe])?;
        Ok(Self { rules, places, client, action, wide: bytes.arbitrary()?, topic: topic(bytes)? })
    }
}

const ABOUT: [&[Action]; 5] = [
    &[Action::Publish],
    &[Action::Subscribe, Action::Receive],
    &[Action::Subscribe, Action::Receive],
    &[Action::Publish, Action::Subscribe, Action::Receive],
    &[Action::Receive],
];

const TEMPLATE_LEVELS: [&str; 15] = [
    "a",
    "b",
    "",
    "+",
    "ab",
    "é",
    "$s",
    "{device}",
    "a{device}",
    "{clientid}",
    "{attr.site}b",
    "$s{username}",
    "+",
    "{device}a",
    "x",
];

const TOPIC_LEVELS: [&str; 12] = ["a", "b", "", "+", "ab", "é", "$s", "aa", "#", "a+", "x", "\0"];

const VALUES: [&str; 11] = ["a", "b", "", "ab", "é", "$s", "+", "#", "a/b", "\u{1}", "{device}"];

fn filter(bytes: &mut Unstructured<'_>, levels: &[&str]) -> Result<String> {
    let mut text = Vec::new();
    for _ in 0..bytes.int_in_range(0..=4)? {
        text.push(*bytes.choose(levels)?);
    }
    if text.is_empty() || bytes.ratio(1, 3)? {
        text.push("#");
    }
    let text = text.join("/");
    // No rule holds an empty text.
    Ok(if text.is_empty() { "/".to_owned() } else { text })
}

/// One of the usual, or any text.
fn value(bytes: &mut Unstructured<'_>) -> Result<String> {
    Ok(if bytes.ratio(9, 10)? {
        (*bytes.choose(&VALUES)?).to_owned()
    } else {
        let length = bytes.int_in_range(0..=8)?;
        String::from_utf8_lossy(bytes.bytes(length)?).into_owned()
    })
}

/// One made of usual levels, or what is left of the input.
fn topic(bytes: &mut Unstructured<'_>) -> Result<String> {
    if bytes.ratio(1, 8)? {
        let rest = bytes.bytes(bytes.len().min(64))?;
        return Ok(String::from_utf8_lossy(rest).into_owned());
    }
    let share = *bytes.choose(&["", "", "", "$share/g/", "$share/+/", "$share//", "$share/g/$share/h/"])?;
    let mut text = Vec::new();
    for _ in 0..bytes.int_in_range(0..=5)? {
        text.push(*bytes.choose(&TOPIC_LEVELS)?);
    }
    Ok(format!("{share}{}", text.join("/")))
}

/// The engine decides as the model does, in words that agree, and its witnesses are real.
pub fn check(question: &Question) {
    let Question { rules, places, client, action, topic, wide } = question;
    if topics(rules, topic) > MAX_TOPICS {
        return;
    }
    let engine = Engine::split(rules, *wide, |rule| places[rule]);
    let who = support::Client::new(client);
    let decision = engine.decide(&who, (*action, topic));
    let expected = model::allows(rules, client, (*action, topic), *wide);
    assert_eq!(decision.is_allowed(), expected, "{decision}");

    let text = decision.to_string();
    assert_eq!(text.starts_with("allowed: "), expected, "{text}");
    assert!(!text.contains(char::is_control), "{text:?}");
    if *action != Action::Subscribe {
        return;
    }
    let Some(witness) = decision.witness() else { return };
    let Ok(filter) = Filter::parse(topic) else { panic!("{witness} shows nothing") };
    assert!(!expected, "{witness}");
    assert!(Name::parse(&witness).is_ok_and(|name| filter.matches(name)), "{witness}");
    let alone = filter.group().map_or(witness.clone(), |group| format!("$share/{group}/{witness}"));
    assert!(!engine.decide(&who, (*action, &alone)).is_allowed(), "{witness}");
}

/// About how many topics the model lists.
fn topics(rules: &[Rule], filter: &str) -> usize {
    let mut texts: Vec<&str> = rules.iter().flat_map(|rule| rule.filter.split('/')).collect();
    texts.sort_unstable();
    texts.dedup();
    let texts = texts.iter().filter(|text| !matches!(**text, "+" | "#")).count() + 2;
    let levels = |text: &str| text.split('/').count();
    let free = filter.split('/').filter(|level| *level == "+").count();
    let below = rules.iter().map(|rule| levels(&rule.filter)).max().unwrap_or_default() + 1;
    let more = if filter.ends_with('#') { (below + 1).saturating_sub(levels(filter)).max(1) } else { 0 };
    texts.saturating_pow(u32::try_from(free + more).unwrap_or(u32::MAX))
}
