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
    index::{Asks, Index},
    meet::{Meeting, Search},
    says::{End, Says},
    walk::{Sink, Walk},
};
use crate::topic::{Filter, check};

/// What one device may do: the rules it shares with others and its own.
#[derive(Clone, Copy, Debug)]
pub struct Policy<'a> {
    indexes: [Option<&'a Index>; 2],
    wide: WideSubscribe,
}

/// Allow or deny, with the parts that both are made of.
type Verdict<'a> = Result<Allowed<'a>, Denied<'a>>;

impl<'a> From<Verdict<'a>> for Decision<'a> {
    fn from(verdict: Verdict<'a>) -> Self {
        match verdict {
            Ok(allowed) => Self::Allow(allowed),
            Err(denied) => Self::Deny(denied),
        }
    }
}

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
    #[inline]
    pub fn decide(&self, subject: &Subject<'a>, request: &Request<'a>) -> Decision<'a> {
        (Asked { policy: *self, subject: *subject, request: *request }).judge()
    }

    /// All its indexes, the earlier first.
    pub(super) fn indexes(&self) -> impl Iterator<Item = (usize, &'a Index)> + use<'a, '_> {
        self.indexes.iter().enumerate().filter_map(|(which, index)| Some((which, (*index)?)))
    }

    /// Whether `filter` is judged by `wide_subscribe = "filter"`; shared subscriptions stay strict.
    pub(super) fn is_wide(&self, filter: Filter<'_>) -> bool {
        self.wide == WideSubscribe::Filter && filter.group().is_none()
    }

    fn rule(&self, found: Option<RuleAt>) -> Option<RuleRef<'a>> {
        let (which, number) = found?;
        Some(RuleRef { index: self.index(which)?, number })
    }

    fn index(&self, which: usize) -> Option<&'a Index> {
        *self.indexes.get(which)?
    }
}

impl<'a> Asked<'a> {
    fn judge(&self) -> Decision<'a> {
        match self.request {
            Request::Publish { topic, .. } => self.name(topic, Actions::PUBLISH),
            Request::Receive { topic } => self.name(topic, Actions::RECEIVE),
            Request::Subscribe { filter } => self.subscribe(filter).into(),
            Request::Unsubscribe { filter } => match Filter::parse(filter) {
                Ok(_) => Decision::Allow(Allowed::Unsubscribe),
                Err(error) => Decision::Deny(Denied::Malformed(error)),
            },
        }
    }

    // By itself, because its pattern takes kilobytes of stack.
    #[inline(never)]
    fn subscribe(&self, filter: &'a str) -> Verdict<'a> {
        let filter = Filter::parse(filter).map_err(Denied::Malformed)?;
        self.need_values()?;
        let pattern = Pattern::new(filter);
        if self.policy.is_wide(filter) { self.wide(&pattern) } else { self.strict(filter, &pattern) }
    }

    /// Deny beats allow; an allow whose limits fail is none.
    #[inline]
    fn name(&self, topic: &str, action: Actions) -> Decision<'a> {
        let mut found = Findings::new(action);
        // What rules say that do not spell a topic.
        let mut others = Says::default();
        for at in self.policy.indexes() {
            others = others.and(self.spelled(at, topic, &mut found));
        }
        // What a rule spells is the name of a topic: it need not be read if no other rule can say otherwise.
        let sure = found.denied.is_some() || found.allowed.is_some() && !others.meets(found.deny);
        if !sure {
            if let Err(error) = check(topic) {
                return Decision::Deny(Denied::Malformed(error));
            }
            self.matching(topic, &mut found);
        }
        self.outcome(&found)
    }

    /// Notes the rules of an index that spell the topic; returns what others say.
    #[inline]
    fn spelled<'q>(
        &'q self,
        (which, index): (usize, &'q Index),
        topic: &str,
        found: &mut Findings<'q>,
    ) -> Says {
        (found.which, found.limits) = (which, Some((index, &self.request)));
        match index.asks() {
            Asks::Tree(tree) => {
                found.in_tree = true;
                if tree.topics().says.meets(found.wanted()) {
                    tree.topics().of(topic.as_bytes()).iter().for_each(|end| found.note(end));
                }
                tree.says()
            }
            Asks::List(list) => {
                let (spelled, others) = list.says();
                if spelled.meets(found.wanted()) {
                    list.spelled(topic.as_bytes(), found);
                }
                others
            }
        }
    }

    /// Adds to `found` what other rules say than those that spell the topic, which is known to be a name.
    #[inline]
    fn matching<'q>(&'q self, topic: &str, found: &mut Findings<'q>) {
        let (name, subject) = (topic.as_bytes(), &self.subject);
        for (which, index) in self.policy.indexes() {
            let wanted = found.wanted();
            (found.which, found.limits) = (which, Some((index, &self.request)));
            match index.asks() {
                Asks::Tree(tree) => Walk { tree, name, subject, wanted }.run(found),
                Asks::List(list) => list.walk((name, subject, wanted), found),
            }
            if found.denied.is_some() {
                return;
            }
        }
    }

    /// What the rules found come to.
    #[inline]
    fn outcome(&self, found: &Findings<'_>) -> Decision<'a> {
        if found.in_tree
            && let Err(denied) = self.need_values()
        {
            return Decision::Deny(denied);
        }
        if let Some(rule) = self.policy.rule(found.denied) {
            return Decision::Deny(Denied::Rule { rule, asked: *self });
        }
        if found.denied.is_none()
            && let Some(rule) = self.policy.rule(found.allowed)
        {
            return Decision::Allow(Allowed::Rule(rule));
        }
        Decision::Deny(match self.limit(found.limited) {
            Some((rule, broken)) => Denied::Limit { rule, broken, asked: *self },
            // Only the witness of a filter has a number of levels.
            None => Denied::NoRule { asked: *self, levels: 0 },
        })
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
        self.policy.indexes().find_map(|(which, index)| match index.asks() {
            Asks::Tree(tree) => Meeting { tree, which, pattern, subject, wanted, search, met: None }.rule(),
            Asks::List(list) => list.meet(which, (pattern, subject, wanted)),
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
            let subject = &self.subject;
            match index.asks() {
                Asks::Tree(tree) => Covering { tree, which, pattern, subject, wanted }.add_to(&mut cover),
                Asks::List(list) => list.add_to(&mut cover, which, (pattern, subject, wanted)),
            }
        }
        cover
    }

    /// Refuses a subject for whom some deny rule cannot be filled in.
    #[inline]
    fn need_values(&self) -> Result<(), Denied<'a>> {
        if self.policy.indexes().any(|(_, index)| index.has_needs()) { self.needed_values() } else { Ok(()) }
    }

    #[inline(never)]
    fn needed_values(&self) -> Result<(), Denied<'a>> {
        for (_, index) in self.policy.indexes() {
            if let Some((rule, placeholder)) = index.unfillable(&self.subject) {
                let rule = Some(RuleRef { index, number: rule });
                return Err(Denied::Unfillable { rule, placeholder });
            }
        }
        Ok(())
    }

    fn limit(&self, found: Option<RuleAt>) -> Option<(RuleRef<'a>, Broken)> {
        let (which, rule) = found?;
        let index = self.policy.index(which)?;
        Some((RuleRef { index, number: rule }, broken(index, rule, &self.request)?))
    }
}

/// What a walk over the rules found for one name.
struct Findings<'q> {
    allow: Says,
    deny: Says,
    /// Whether some index is a tree. No list has rules that need values.
    in_tree: bool,
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
            in_tree: false,
            which: 0,
            limits: None,
            allowed: None,
            denied: None,
            limited: None,
        }
    }

    /// What is looked for still: the rule of an earlier index is preferred anyway, and one that spells the topic to all.
    #[inline]
    fn wanted(&self) -> Says {
        if self.allowed.is_some() { self.deny } else { self.allow.and(self.deny) }
    }
}

impl Sink for Findings<'_> {
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
