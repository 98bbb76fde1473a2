//! The decision: a pure function of the policy, who asks, and what is asked.
//!
//! ```text
//!   publish, receive   every rule that matches the name                            walk
//!   subscribe          a deny that meets the filter; the union of the allows       meet, cover
//!   unsubscribe        a valid filter is enough
//! ```

use super::{
    Actions, Allowed, Asked, Broken, Decision, Denied, Effect, Request, RuleRef, Subject, WideSubscribe,
    cover::{Cover, Covering, Pattern, RuleAt, keep},
    index::{End, Index, Says},
    meet::{Meeting, Search},
    walk::{Found, Levels, Walk},
};
use crate::topic::{Filter, MAX_LEVELS, NameLevel, scan};

/// Names of up to so many levels are split into a small array; only deeper ones pay for a large one.
const FEW_LEVELS: usize = 8;

/// What one device may do: the rules it shares with others and its own.
#[derive(Clone, Copy, Debug)]
pub struct Policy<'a> {
    indexes: [Option<&'a Index>; 2],
    wide: WideSubscribe,
}

/// Allow or deny, with the parts that both are made of.
type Verdict<'a> = Result<Allowed<'a>, Denied<'a>>;

impl<'a> Policy<'a> {
    /// A policy is the union of two indexes: `roles`, shared by all devices with the same roles (and `[everyone]`),
    /// and the device's `own` block. Reasons prefer rules that spell the topic, then rules of the first.
    #[must_use]
    pub fn new(roles: Option<&'a Index>, own: Option<&'a Index>, wide: WideSubscribe) -> Self {
        Self { indexes: [roles, own], wide }
    }

    /// Whether `subject` may do what it asks, and why. Cannot fail, does not allocate, does no I/O.
    ///
    /// A deny rule with a placeholder that has no usable value for this subject refuses everything but giving up a
    /// subscription: nobody can say what the rule was to protect.
    pub fn decide(&self, subject: &Subject<'a>, request: &Request<'a>) -> Decision<'a> {
        match (Asked { policy: *self, subject: *subject, request: *request }).judge() {
            Ok(allowed) => Decision::Allow(allowed),
            Err(denied) => Decision::Deny(denied),
        }
    }

    /// All its indexes, the earlier first.
    pub(super) fn indexes(&self) -> impl Iterator<Item = (usize, &'a Index)> + use<'a> {
        self.indexes.into_iter().enumerate().filter_map(|(which, index)| Some((which, index?)))
    }

    /// Whether `filter` is judged by `wide_subscribe = "filter"`; shared subscriptions stay strict.
    pub(super) fn is_wide(&self, filter: Filter<'_>) -> bool {
        self.wide == WideSubscribe::Filter && filter.group().is_none()
    }

    fn rule(&self, found: Option<RuleAt>) -> Option<RuleRef<'a>> {
        let (which, rule) = found?;
        self.index(which)?.rule(rule)
    }

    fn index(&self, which: usize) -> Option<&'a Index> {
        *self.indexes.get(which)?
    }
}

impl<'a> Asked<'a> {
    fn judge(&self) -> Verdict<'a> {
        match self.request {
            Request::Publish { topic, .. } => self.name(topic, Actions::PUBLISH),
            Request::Receive { topic } => self.name(topic, Actions::RECEIVE),
            Request::Subscribe { filter } => {
                let filter = Filter::parse(filter).map_err(Denied::Malformed)?;
                self.need_values()?;
                let pattern = Pattern::new(filter);
                if self.policy.is_wide(filter) { self.wide(&pattern) } else { self.strict(filter, &pattern) }
            }
            Request::Unsubscribe { filter } => match Filter::parse(filter) {
                Ok(_) => Ok(Allowed::Unsubscribe),
                Err(error) => Err(Denied::Malformed(error)),
            },
        }
    }

    /// Deny beats allow; an allow whose limits fail is none.
    fn name(&self, topic: &str, action: Actions) -> Verdict<'a> {
        let mut found = Findings::new(action);
        for (which, index) in self.policy.indexes() {
            (found.which, found.limits) = (which, Some((index, &self.request)));
            index.topics().of(topic.as_bytes()).iter().for_each(|end| found.note(end));
        }
        // What a rule spells is the name of a topic: it need not be read if no other rule can say otherwise.
        let sure = match (found.denied, found.allowed) {
            (Some(_), _) => true,
            (None, Some(_)) => !self.policy.indexes().any(|(_, index)| index.tree_says(found.deny)),
            (None, None) => false,
        };
        if sure {
            self.need_values()?;
            return self.verdict(&found, 0);
        }
        let mut levels = Levels::<'_, FEW_LEVELS>::new();
        scan(topic, |level| levels.push(level)).map_err(Denied::Malformed)?;
        match levels.all() {
            Some(levels) => self.levels(levels, found),
            None => self.deep_name(topic, found),
        }
    }

    #[cold]
    fn deep_name(&self, topic: &str, found: Findings<'_>) -> Verdict<'a> {
        let mut levels = Levels::<'_, MAX_LEVELS>::new();
        scan(topic, |level| levels.push(level)).map_err(Denied::Malformed)?;
        self.levels(levels.all().unwrap_or_default(), found)
    }

    /// Adds to `found` what other rules say than those that spell the topic, and decides.
    fn levels<'q>(&'q self, levels: &[NameLevel<'_>], mut found: Findings<'q>) -> Verdict<'a> {
        self.need_values()?;
        for (which, index) in self.policy.indexes() {
            // The rule of an earlier index is preferred anyway, and one that spells the topic to all.
            let wanted = if found.allowed.is_some() { found.deny } else { found.allow.and(found.deny) };
            (found.which, found.limits) = (which, Some((index, &self.request)));
            Walk { index, levels, subject: &self.subject, wanted }.run(&mut found);
            if found.denied.is_some() {
                break;
            }
        }
        self.verdict(&found, levels.len())
    }

    /// What the rules found come to for a topic of so many levels.
    fn verdict(&self, found: &Findings<'_>, levels: usize) -> Verdict<'a> {
        if let Some(rule) = self.policy.rule(found.denied) {
            return Err(Denied::Rule { rule, asked: *self });
        }
        if found.denied.is_none()
            && let Some(rule) = self.policy.rule(found.allowed)
        {
            return Ok(Allowed::Rule(rule));
        }
        match self.limit(found.limited) {
            Some((rule, broken)) => Err(Denied::Limit { rule, broken, asked: *self }),
            None => Err(Denied::NoRule { asked: *self, levels }),
        }
    }

    /// Every topic of the filter is allowed, and none denied.
    fn strict(&self, filter: Filter<'_>, pattern: &Pattern<'_>) -> Verdict<'a> {
        let met = self.meet(pattern, denials(filter), Search::Any);
        if let Some(rule) = self.policy.rule(met) {
            return Err(Denied::Rule { rule, asked: *self });
        }
        let cover = self.cover(pattern, Says::new(Effect::Allow, Actions::SUBSCRIBE));
        let gap = cover.gap(pattern);
        match (self.policy.rule(cover.whole), self.policy.rule(cover.some)) {
            (Some(rule), _) if met.is_none() && gap.is_none() => Ok(Allowed::Rule(rule)),
            (None, Some(rule)) if met.is_none() && gap.is_none() => Ok(Allowed::Together(rule)),
            _ => Err(self.no_rule(gap, pattern)),
        }
    }

    /// Some topic of the filter is allowed, and no rule denies all of them.
    fn wide(&self, pattern: &Pattern<'_>) -> Verdict<'a> {
        let inside = self.cover(pattern, Says::new(Effect::Deny, Actions::SUBSCRIBE)).whole;
        if let Some(rule) = self.policy.rule(inside) {
            return Err(Denied::Rule { rule, asked: *self });
        }
        let met = self.meet(pattern, Says::new(Effect::Allow, Actions::SUBSCRIBE), Search::Earliest);
        match self.policy.rule(met) {
            Some(rule) if inside.is_none() => Ok(Allowed::Rule(rule)),
            _ => Err(self.no_rule(None, pattern)),
        }
    }

    fn no_rule(&self, gap: Option<usize>, pattern: &Pattern<'_>) -> Denied<'a> {
        Denied::NoRule { asked: *self, levels: gap.unwrap_or(pattern.levels().len()) }
    }

    fn meet(&self, pattern: &Pattern<'_>, wanted: Says, search: Search) -> Option<RuleAt> {
        let subject = &self.subject;
        self.policy.indexes().find_map(|(which, index)| {
            Meeting { index, which, pattern, subject, wanted, search, met: None }.rule()
        })
    }

    /// The earliest rule that denies a topic of the filter. A refusal holds any such rule, because a device that asks
    /// for thousands of filters at once is not to cost a walk through all deny rules for each of them.
    pub(super) fn earliest_denial(&self) -> Option<RuleRef<'a>> {
        let Request::Subscribe { filter } = self.request else { return None };
        let filter = Filter::parse(filter).ok().filter(|filter| !self.policy.is_wide(*filter))?;
        self.policy.rule(self.meet(&Pattern::new(filter), denials(filter), Search::Earliest))
    }

    fn cover(&self, pattern: &Pattern<'_>, wanted: Says) -> Cover {
        let mut cover = Cover::default();
        for (which, index) in self.policy.indexes() {
            Covering { index, which, pattern, subject: &self.subject, wanted }.add_to(&mut cover);
        }
        cover
    }

    /// Refuses a subject for whom some deny rule cannot be filled in.
    fn need_values(&self) -> Result<(), Denied<'a>> {
        match self.policy.indexes().find(|(_, index)| index.has_needs()) {
            None => Ok(()),
            Some(_) => self.needed_values(),
        }
    }

    fn needed_values(&self) -> Result<(), Denied<'a>> {
        for (_, index) in self.policy.indexes() {
            if let Some((rule, placeholder)) = index.unfillable(&self.subject) {
                return Err(Denied::Unfillable { rule: index.rule(rule), placeholder });
            }
        }
        Ok(())
    }

    fn limit(&self, found: Option<RuleAt>) -> Option<(RuleRef<'a>, Broken)> {
        let (which, rule) = found?;
        let index = self.policy.index(which)?;
        Some((index.rule(rule)?, broken(index, rule, &self.request)?))
    }
}

/// What a walk over the rules found for one name.
struct Findings<'q> {
    allow: Says,
    deny: Says,
    /// Which index is walked.
    which: usize,
    /// For rules with limits: that index, and what is asked.
    limits: Option<(&'q Index, &'q Request<'q>)>,
    /// The earliest rules of each kind: those that hold, those that deny, those whose limits fail.
    allowed: Option<RuleAt>,
    denied: Option<RuleAt>,
    limited: Option<RuleAt>,
}

impl Findings<'_> {
    fn new(action: Actions) -> Self {
        Self {
            allow: Says::new(Effect::Allow, action),
            deny: Says::new(Effect::Deny, action),
            which: 0,
            limits: None,
            allowed: None,
            denied: None,
            limited: None,
        }
    }
}

impl Found for Findings<'_> {
    fn note(&mut self, end: &End) {
        let rule = (self.which, end.rule);
        if end.says.meets(self.deny) {
            keep(&mut self.denied, rule);
        } else if end.says.meets(self.allow) {
            let breaks = end.says.is_limited()
                && self.limits.is_some_and(|(index, request)| broken(index, end.rule, request).is_some());
            keep(if breaks { &mut self.limited } else { &mut self.allowed }, rule);
        }
    }
}

/// What refuses a subscription to this filter.
fn denials(filter: Filter<'_>) -> Says {
    // Which member of a group gets a message is decided before delivery is: what one may not have is lost to all.
    let hide = if filter.group().is_some() { Actions::RECEIVE } else { Actions::default() };
    Says::new(Effect::Deny, Actions::SUBSCRIBE.and(hide))
}

/// The limit of a rule's block that a publish breaks.
fn broken(index: &Index, rule: u32, request: &Request<'_>) -> Option<Broken> {
    match *request {
        Request::Publish { qos, retain, payload_bytes, .. } => {
            let limits = index.limits(rule)?;
            match (limits.max_qos, limits.max_payload) {
                (Some(max), _) if qos > max => Some(Broken::Qos { max }),
                _ if retain && limits.no_retain => Some(Broken::Retain),
                (_, Some(max_bytes)) if payload_bytes > max_bytes => Some(Broken::Payload { max_bytes }),
                _ => None,
            }
        }
        Request::Subscribe { .. } | Request::Receive { .. } | Request::Unsubscribe { .. } => None,
    }
}

#[cfg(test)]
mod tests;
