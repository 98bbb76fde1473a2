//! What to write or to ask for instead of what was refused.
//!
//! Made only when somebody reads it. It is no part of a decision's own text, which the broker's log repeats for every
//! refusal.

use std::borrow::Cow;

use super::{
    Actions, Asked, Broken, Decision, Denied, Effect, Identity, Limits, Owner, Request, Rule, RuleRef,
    witness::filled,
};
use crate::{
    diag::Visible,
    topic::{Filter, Level, Placeholder, Template, TopicError, escape},
};

/// How many rules may give a narrower filter before the search for more ends.
const LOOKED_AT: usize = 64;

/// How many filters are named.
const NAMED: usize = 3;

impl Decision<'_> {
    /// One sentence about what to ask for or to write instead, where that can be known. Nothing for what is allowed.
    ///
    /// `role` is the one that a new rule would stand in; without it, the device's own block is. Costs a look at every
    /// rule and up to 64 decisions.
    #[must_use]
    pub fn help(&self, role: Option<&str>) -> Option<String> {
        let Self::Deny(denied) = self else { return None };
        match denied {
            Denied::Rule { rule, asked } => Some(asked.narrower().unwrap_or_else(|| asked.past(*rule))),
            Denied::NoRule { asked, .. } => asked.narrower().or_else(|| asked.rule_to_add(role)),
            Denied::Limit { rule, broken, .. } => Some(within(*broken, *rule)),
            Denied::Malformed(TopicError::Wildcard) => {
                Some("a message has one topic; filters with `+` and `#` are subscribed to".to_owned())
            }
            Denied::Unfillable { placeholder, .. } => Some(match placeholder {
                Placeholder::ClientId => {
                    "connect with a client id without `+`, `#`, `/`, a leading `$` and control characters"
                        .to_owned()
                }
                Placeholder::Attribute(name) => {
                    format!("give the device an attribute `{name}` that can stand between two slashes")
                }
                // Every device's name fills it, and where there is none, it cannot be written.
                Placeholder::Device => return None,
            }),
            Denied::Malformed(_) | Denied::Outside(_) => None,
        }
    }
}

impl<'a> Asked<'a> {
    /// The widest filters inside the one asked for that would be allowed.
    fn narrower(&self) -> Option<String> {
        let Request::Subscribe { filter } = self.request else { return None };
        let filter = Filter::parse(filter).ok().filter(|filter| filter.is_wild())?;
        let wanted: Vec<&str> = filter.levels().collect();
        let mut inside: Vec<String> = self
            .rules()
            .filter(|(_, rule)| rule.effect == Effect::Allow && rule.actions.meets(Actions::SUBSCRIBE))
            .filter_map(|(_, rule)| common(&wanted, &borrowed(&self.levels_of(&rule.template)?)))
            .take(LOOKED_AT)
            .collect();
        inside.sort_by(|one, other| width(one).cmp(width(other)));
        inside.dedup();
        let mut widest: Vec<String> = Vec::new();
        for text in inside {
            if widest.len() > NAMED {
                break;
            }
            let text = match filter.group() {
                Some(group) => format!("$share/{group}/{text}"),
                None => text,
            };
            let narrower = widest.iter().any(|wide| covers(wide, &text));
            let request = Request::Subscribe { filter: &text };
            if !narrower && self.policy.decide(&self.subject, &request).is_allowed() {
                widest.push(text);
            }
        }
        let named: Vec<String> =
            widest.iter().take(NAMED).map(|text| format!("`{}`", Visible(text))).collect();
        let more = if widest.len() > NAMED { " and others" } else { "" };
        (!named.is_empty()).then(|| format!("it may subscribe to {}{more} instead", named.join(", ")))
    }

    /// A rule's levels with the subject's values; `None` if a value is missing.
    fn levels_of<'t>(&self, template: &'t Template) -> Option<Vec<Cow<'t, str>>> {
        let text = |level| match level {
            Level::Plus => Some("+".into()),
            Level::Hash => Some("#".into()),
            level => filled(level, &self.subject),
        };
        template.levels().map(text).collect()
    }

    /// Which rule would allow it, and where it could stand.
    fn rule_to_add(&self, role: Option<&str>) -> Option<String> {
        let (key, topic) = match self.request {
            Request::Publish { topic, .. } => ("publish", topic),
            Request::Receive { topic } => ("subscribe", topic),
            Request::Subscribe { filter } => ("subscribe", Filter::parse(filter).ok()?.plain()),
            Request::Unsubscribe { .. } => return None,
        };
        let levels: Vec<(Cow<'_, str>, Holds)> =
            topic.split('/').map(|level| self.generalised(level)).collect();
        let names_itself = levels.iter().any(|(_, holds)| *holds == Holds::Name);
        let template = levels.into_iter().map(|(level, _)| level).collect::<Vec<_>>().join("/");
        let blocks = || self.policy.indexes().flat_map(|(_, index)| index.blocks());
        let is_home = |owner: &Owner| match (owner, self.subject.device) {
            (Owner::Role(name), Some(_)) => names_itself && role == Some(&**name),
            (Owner::Device(_), Some(_)) | (Owner::Anonymous, None) => true,
            (Owner::Role(_) | Owner::Everyone | Owner::Device(_), None)
            | (Owner::Everyone | Owner::Anonymous, Some(_)) => false,
        };
        let home = blocks().find(|block| is_home(&block.owner) && self.keeps(block.limits));
        let place = match (home.map(|block| &block.owner), self.subject.device) {
            (Some(Owner::Role(name)), _) => format!("in role {}", Visible(name)),
            // A block that is not there yet has no limits; one that is there and too narrow is no place.
            (None, _) if blocks().any(|block| matches!(block.owner, Owner::Device(_) | Owner::Anonymous)) => {
                return None;
            }
            (_, None) => "in `[anonymous]`".to_owned(),
            (_, Some(name)) => format!("of device {}", Visible(name)),
        };
        Some(format!("a rule such as `{key} = [{}]` {place} would allow it", quoted(&template)))
    }

    /// A level of a topic as a rule for more than one device would have it.
    fn generalised<'t>(&self, level: &'t str) -> (Cow<'t, str>, Holds) {
        if Some(level) == self.subject.device {
            return (Placeholder::Device.to_string().into(), Holds::Name);
        }
        let attribute = self.subject.attributes.iter().find(|(_, value)| *value == level);
        match attribute.map(|(name, _)| Placeholder::Attribute(name.into())) {
            Some(placeholder) if self.subject.value(&placeholder).is_some() => {
                (placeholder.to_string().into(), Holds::Other)
            }
            _ => (escape(level), Holds::Other),
        }
    }

    /// Whether a message such as this one keeps the limits.
    fn keeps(&self, limits: Limits) -> bool {
        match self.request {
            Request::Publish { qos, retain, payload_bytes, .. } => {
                limits.max_qos.is_none_or(|max| qos <= max)
                    && !(retain && limits.no_retain)
                    && limits.max_payload.is_none_or(|max| payload_bytes <= max)
            }
            Request::Subscribe { .. } | Request::Receive { .. } | Request::Unsubscribe { .. } => true,
        }
    }

    /// What can be done about a rule that denies.
    fn past(&self, rule: RuleRef<'_>) -> String {
        let (identity, rule) = (rule.identity(), rule.rule());
        let (place, template) = (&rule.place, Visible(rule.template.as_str()));
        if let Some(filter) = self.wild_filter() {
            let alone = Request::Subscribe { filter: filter.plain() };
            if filter.group().is_some() && self.policy.decide(&self.subject, &alone).is_allowed() {
                let plain = Visible(filter.plain());
                return format!("it may subscribe to `{plain}` alone; what is hidden is then not delivered");
            }
            if self.would_pass_hidden(filter, identity) {
                let kept = if rule.actions.meets(Actions::PUBLISH) { "`deny_publish` and " } else { "" };
                return format!(
                    "with `{template}` under {kept}`hide` instead of `{}` at {place} it could subscribe, and what that \
                     matches would not be delivered",
                    rule.keyword()
                );
            }
        }
        format!("no allow beats a deny: `{template}` at {place} would have to be narrower or go")
    }

    /// Whether the filter is refused for this rule alone, and one allow covers all of it.
    fn would_pass_hidden(&self, filter: Filter<'_>, denies: Identity) -> bool {
        let wanted: Vec<&str> = filter.levels().collect();
        let shared = |rule: &Rule| common(&wanted, &borrowed(&self.levels_of(&rule.template)?));
        let (mut covered, mut denied) = (false, false);
        for (identity, rule) in self.rules().filter(|(_, rule)| rule.actions.meets(Actions::SUBSCRIBE)) {
            match rule.effect {
                Effect::Allow => covered |= shared(rule).as_deref() == Some(filter.plain()),
                Effect::Deny => denied |= identity != denies && shared(rule).is_some(),
            }
        }
        covered && !denied && filter.group().is_none() && !self.policy.is_wide(filter)
    }

    fn rules(&self) -> impl Iterator<Item = (Identity, &'a Rule)> + use<'a, '_> {
        self.policy.indexes().flat_map(|(_, index)| {
            let rules = index.blocks().iter().flat_map(|block| &block.rules);
            (0..).map(|number| index.identity(number)).zip(rules)
        })
    }
}

/// Whether a level of a suggested rule is whoever asks.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Holds {
    Name,
    Other,
}

/// What would keep a limit.
fn within(broken: Broken, rule: RuleRef<'_>) -> String {
    let (owner, place) = (rule.owner(), rule.place());
    let owner = Visible(owner.to_string());
    match broken {
        Broken::Qos { max } => {
            format!("publish it with QoS {max} at most, or raise `max_qos` of {owner} ({place})")
        }
        Broken::Retain => {
            format!("publish it without the retain flag, or take `retain = false` out of {owner} ({place})")
        }
        Broken::Payload { max_bytes } => {
            format!("publish {max_bytes} bytes at most, or raise `max_payload` of {owner} ({place})")
        }
    }
}

/// The filter of all topics that both match, if there are any. Filters are closed under this.
fn common(one: &[&str], other: &[&str]) -> Option<String> {
    let first = |levels: &[&str]| levels.first().map_or(' ', |level| level.chars().next().unwrap_or(' '));
    // MQTT 5.0 section 4.7.2: a leading wildcard does not match `$`.
    if matches!((first(one), first(other)), ('$', '+' | '#') | ('+' | '#', '$')) {
        return None;
    }
    let (mut one, mut other) = (one, other);
    let mut levels: Vec<&str> = Vec::new();
    loop {
        match (one, other) {
            (["#"], rest) | (rest, ["#"]) => {
                levels.extend(rest);
                break;
            }
            ([], []) => break,
            ([first, one_rest @ ..], [second, other_rest @ ..]) => {
                levels.push(match (*first, *second) {
                    ("+", text) | (text, "+") => text,
                    (text, same) if text == same => text,
                    _ => return None,
                });
                (one, other) = (one_rest, other_rest);
            }
            ([], [_, ..]) | ([_, ..], []) => return None,
        }
    }
    // The empty text is no topic.
    Some(levels.join("/")).filter(|text| !text.is_empty())
}

/// By this order a filter comes before all that it covers.
fn width(filter: &str) -> impl Iterator<Item = (u8, &str)> {
    let rank = |level| match level {
        "#" => (0, level),
        "+" => (1, level),
        text => (2, text),
    };
    // `a/#` comes before `a`.
    filter.split('/').map(rank).chain([(3, "")])
}

/// Whether one filter matches all that another matches, corner forms left aside.
fn covers(wide: &str, narrow: &str) -> bool {
    let split = |text| -> Vec<&str> { str::split(text, '/').collect() };
    common(&split(wide), &split(narrow)).as_deref() == Some(narrow)
}

fn borrowed<'l>(levels: &'l [Cow<'_, str>]) -> Vec<&'l str> {
    levels.iter().map(|level| &**level).collect()
}

/// A text as TOML has it between quotes, with escapes for what no terminal should get.
fn quoted(text: &str) -> String {
    let mut written = String::from('"');
    for ch in text.chars() {
        let shown = Visible(ch.to_string()).to_string();
        match ch {
            '"' | '\\' => written.extend(['\\', ch]),
            _ if shown.starts_with('\\') || ch == '\t' => {
                written.push_str(&format!("\\U{:08x}", u32::from(ch)))
            }
            _ => written.push(ch),
        }
    }
    written + "\""
}

#[cfg(test)]
mod tests;
