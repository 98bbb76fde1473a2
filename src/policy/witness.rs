//! A topic that shows why a filter was refused.

use std::{borrow::Cow, collections::HashSet};

use super::{Asked, Policy, Rule, Subject};
use crate::topic::{Filter, Level, Template};

/// A topic that `filter` and `rule` both match; they are known to meet.
pub(super) fn common(asked: &Asked<'_>, filter: Filter<'_>, rule: &Rule) -> String {
    let (wanted, ruled) = (Shape::of_filter(filter), Shape::of_template(&rule.template, &asked.subject));
    let fresh = fresh_text(&asked.policy, &asked.subject, filter);
    let length = wanted.levels.len().max(ruled.levels.len()).max(1);
    let mut levels: Vec<&str> =
        (0..length).map(|at| wanted.text(at).or_else(|| ruled.text(at)).unwrap_or(&fresh)).collect();
    if levels == [""] {
        levels.push(&fresh);
    }
    levels.join("/")
}

/// A topic of so many levels that `filter` matches, with texts that nobody mentions for its wildcards.
pub(super) fn uncovered(asked: &Asked<'_>, filter: Filter<'_>, levels: usize) -> String {
    let wanted = Shape::of_filter(filter);
    let fresh = fresh_text(&asked.policy, &asked.subject, filter);
    let texts: Vec<&str> = (0..levels).map(|at| wanted.text(at).unwrap_or(&fresh)).collect();
    texts.join("/")
}

/// Levels up to `#`; `None` where any text will do.
struct Shape<'t> {
    levels: Vec<Option<Cow<'t, str>>>,
}

impl<'t> Shape<'t> {
    fn of_filter(filter: Filter<'t>) -> Self {
        let text = |level: &'t str| (level != "+").then_some(Cow::Borrowed(level));
        Self { levels: filter.levels().filter(|level| *level != "#").map(text).collect() }
    }

    fn of_template(template: &'t Template, subject: &Subject<'_>) -> Self {
        let levels = template.levels().filter(|level| *level != Level::Hash);
        Self { levels: levels.map(|level| filled(level, subject)).collect() }
    }

    fn text(&self, at: usize) -> Option<&str> {
        self.levels.get(at)?.as_deref()
    }
}

/// The text of a level of a rule, if it has one.
pub(super) fn filled<'t>(level: Level<'t>, subject: &Subject<'_>) -> Option<Cow<'t, str>> {
    match level {
        Level::Text(text) => Some(text),
        Level::Hole { prefix, placeholder, suffix } => {
            subject.value(&placeholder).map(|value| Cow::Owned(format!("{prefix}{value}{suffix}")))
        }
        Level::Plus | Level::Hash => None,
    }
}

/// A short text that no rule, no value and not the filter itself mentions.
fn fresh_text(policy: &Policy<'_>, subject: &Subject<'_>, filter: Filter<'_>) -> String {
    // Only what looks like a candidate is kept: there are many rules, and most speak of other things.
    let starts = |text: &str| text.starts_with(['x', 'y', 'z']);
    let mut values = subject.device.into_iter().chain([subject.client_id]);
    let value_starts = values.any(starts) || subject.attributes.iter().any(|(_, value)| starts(value));
    let might = |template: &Template| {
        template.as_str().split('/').any(|level| starts(level) || (value_starts && level.starts_with('{')))
    };
    let mut mentioned: HashSet<Cow<'_, str>> = filter.levels().map(Cow::Borrowed).collect();
    for (_, index) in policy.indexes() {
        let blocks = index.lent_blocks();
        let rules = blocks.iter().flat_map(|block| &block.rules);
        for rule in rules.filter(|rule| might(&rule.template)) {
            let texts = rule.template.levels().filter_map(|level| filled(level, subject));
            mentioned.extend(texts.map(|text| Cow::Owned(text.into_owned())));
        }
    }
    let letters = ["x", "y", "z"].into_iter().map(str::to_owned);
    let free = letters
        .chain((1..).map(|number: u32| format!("x{number}")))
        .find(|text| !mentioned.contains(text.as_str()));
    free.unwrap_or_else(|| "x".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        diag::Source,
        policy::{Actions, Attributes, Block, Effect, Index, Limits, Owner, Request, WideSubscribe},
    };

    /// The witness that the client `x`, whose attribute `k` is `y`, gets for `a/+`.
    fn witness(templates: &[&str]) -> Option<String> {
        let source = Source::new("f", "");
        let rules = templates.iter().map(|text| Rule {
            effect: Effect::Allow,
            actions: Actions::SUBSCRIBE,
            template: Template::parse(text).unwrap(),
            place: source.place(0),
        });
        let block = Block { owner: Owner::Everyone, limits: Limits::default(), rules: rules.collect() };
        let index = Index::compile(&[block.into()]);
        let attributes = Attributes::new([("k".to_owned(), "y".to_owned())]);
        let subject = Subject { device: Some("x"), client_id: "z", attributes: &attributes };
        let policy = Policy::new(Some(&index), None, WideSubscribe::Strict);
        policy.decide(&subject, &Request::Subscribe { filter: "a/+" }).witness()
    }

    #[test]
    fn free_levels_get_a_text_that_no_rule_comes_to() {
        for (templates, expected) in [
            (&["b"][..], "a/x"),
            (&["a/x"], "a/y"),
            (&["a/{device}"], "a/y"),
            (&["a/{device}", "a/{attr.k}"], "a/z"),
            (&["a/{device}", "a/{attr.k}", "a/{clientid}"], "a/x1"),
            (&["a/{device}", "a/{attr.k}", "a/z", "a/x1", "a/{device}2"], "a/x3"),
            (&["a/{device}", "a/y{attr.other}"], "a/y"),
        ] {
            assert_eq!(witness(templates).as_deref(), Some(expected), "{templates:?}");
        }
    }
}
