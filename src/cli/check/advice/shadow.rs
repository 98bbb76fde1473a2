//! Rules that another rule undoes.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    ptr,
    sync::Arc,
};

use citronella::{
    diag::Code,
    policy::{Actions, Block, Effect, Index, Rule},
    registry::Device,
    snapshot::Snapshot,
    topic::Level,
};

use super::{
    super::cited::{Cited, Warning},
    sets::{Set, name_of},
};

/// Rules that were found to give nothing; what else is wrong with them need not be said.
pub(super) type Dead = HashSet<*const Rule>;

/// Allow rules whose every topic a single denial takes away from all who have them, and denials that pass over `$`.
pub(super) fn warnings(
    snapshot: &Snapshot,
    (sets, devices): (&[Set<'_>], &[&Device]),
    cited: &mut Cited,
) -> (Vec<Warning>, Dead) {
    let mut found = Vec::new();
    let mut dead = Dead::new();
    let others = [Some(snapshot.quarantine()), snapshot.anonymous()];
    let indexes = || sets.iter().map(|set| set.shared).chain(others.into_iter().flatten());
    // A rule that one set keeps has its use there.
    let mut shadowed: HashMap<*const Rule, (&Arc<Block>, &Rule, &Rule)> = HashMap::new();
    let mut kept: Dead = HashSet::new();
    let mut missing: HashMap<*const Rule, (&Block, &Rule, &Rule)> = HashMap::new();
    for index in indexes() {
        let denials = Denials::of(index.blocks());
        for (block, rule) in rules(index, Effect::Allow) {
            let key = ptr::from_ref(rule);
            match denials.shadow(rule) {
                Some(denial) => {
                    shadowed.entry(key).or_insert((block, rule, denial));
                }
                None => {
                    kept.insert(key);
                }
            }
            for (owner, denial) in denials.missing(rule) {
                missing.entry(ptr::from_ref(denial)).or_insert((owner, denial, rule));
            }
        }
    }
    let mut lost: Vec<_> = shadowed.into_iter().filter(|(key, _)| !kept.contains(key)).collect();
    lost.sort_by_key(|(_, (_, rule, _))| rule.place.line);
    for (key, (block, rule, denial)) in lost {
        dead.insert(key);
        found.push(never(block, (rule, denial), cited));
    }
    let mut missing: Vec<_> = missing.into_values().collect();
    missing.sort_by_key(|(_, denial, _)| denial.place.line);
    for (owner, denial, rule) in missing {
        let message = format!(
            "`{}` does not deny `{}`, allowed by {}: a leading wildcard passes over topics that begin with `$`",
            denial.template, rule.template, rule.place
        );
        let help = format!("deny `{}` too, or take that rule out", rule.template);
        found.push(cited.rule(Code::DenyMissesDollar, (name_of(owner), denial), message).help(help));
    }
    own(snapshot, devices, cited, (&mut found, &mut dead));
    (found, dead)
}

/// The same for the rules of single devices.
fn own(
    snapshot: &Snapshot,
    devices: &[&Device],
    cited: &mut Cited,
    (found, dead): (&mut Vec<Warning>, &mut Dead),
) {
    let mut shared: HashMap<*const Index, Denials<'_>> = HashMap::new();
    for device in devices {
        let Some((roles, Some(index))) = snapshot.indexes(device.name().as_str()) else { continue };
        let of_roles = shared.entry(ptr::from_ref(roles)).or_insert_with(|| Denials::of(roles.blocks()));
        let of_device = Denials::of(index.blocks());
        for (block, rule) in rules(index, Effect::Allow) {
            if let Some(denial) = of_roles.shadow(rule).or_else(|| of_device.shadow(rule)) {
                dead.insert(ptr::from_ref(rule));
                found.push(never(block, (rule, denial), cited));
            }
        }
    }
}

fn never(block: &Block, (rule, denial): (&Rule, &Rule), cited: &mut Cited) -> Warning {
    let message = format!(
        "`{}` gives nothing: every topic of it is denied by {} (`{}`)",
        rule.template, denial.place, denial.template
    );
    cited
        .rule(Code::NeverApplies, (name_of(block), rule), message)
        .help("deny beats allow, whatever their order; narrow the denial, or take this rule out")
}

fn rules(index: &Index, effect: Effect) -> impl Iterator<Item = (&Arc<Block>, &Rule)> {
    let all = index.blocks().iter().flat_map(|block| block.rules.iter().map(move |rule| (block, rule)));
    all.filter(move |(_, rule)| rule.effect == effect)
}

/// The denials of some blocks, by their first level.
struct Denials<'r> {
    by_text: HashMap<Cow<'r, str>, Vec<Denial<'r>>>,
    /// Those that begin with a wildcard or a placeholder.
    others: Vec<Denial<'r>>,
}

struct Denial<'r> {
    owner: &'r Block,
    rule: &'r Rule,
    levels: Vec<Level<'r>>,
}

impl<'r> Denials<'r> {
    fn of(blocks: &'r [Arc<Block>]) -> Self {
        let mut denials = Self { by_text: HashMap::new(), others: Vec::new() };
        for block in blocks {
            for rule in block.rules.iter().filter(|rule| rule.effect == Effect::Deny) {
                let levels: Vec<Level<'r>> = rule.template.levels().collect();
                let denial = Denial { owner: block, rule, levels };
                match denial.levels.first() {
                    Some(Level::Text(text)) => {
                        denials.by_text.entry(text.clone()).or_default().push(denial);
                    }
                    _ => denials.others.push(denial),
                }
            }
        }
        denials
    }

    /// A denial that leaves nothing of an allow rule; for a `pubsub` the one that leaves nothing of its publishing.
    fn shadow(&self, allow: &Rule) -> Option<&'r Rule> {
        if self.by_text.is_empty() && self.others.is_empty() {
            return None;
        }
        let levels: Vec<Level<'_>> = allow.template.levels().collect();
        let spelt = match levels.first() {
            Some(Level::Text(text)) => self.by_text.get(text),
            _ => None,
        };
        let near = || spelt.into_iter().flatten().chain(&self.others);
        let without = |actions: Actions| {
            near().find(|denial| denial.rule.actions.meets(actions) && covers(&denial.levels, &levels))
        };
        let publish = allow.actions.meets(Actions::PUBLISH).then(|| without(Actions::PUBLISH));
        // What may be asked for and is never delivered is nothing either.
        let delivered = Actions::SUBSCRIBE.and(Actions::RECEIVE);
        let subscribe = allow.actions.meets(Actions::SUBSCRIBE).then(|| without(delivered));
        match (publish, subscribe) {
            (Some(one), None) | (None, Some(one)) => one.map(|denial| denial.rule),
            (Some(Some(one)), Some(Some(_))) => Some(one.rule),
            _ => None,
        }
    }

    /// Denials that would leave nothing of an allow rule if it did not begin with `$`.
    fn missing(&self, allow: &Rule) -> Vec<(&'r Block, &'r Rule)> {
        let levels: Vec<Level<'_>> = allow.template.levels().collect();
        if !levels.first().is_some_and(is_dollar) || self.shadow(allow).is_some() {
            return Vec::new();
        }
        let meant = |denial: &&Denial<'_>| {
            is_wildcard(denial.levels.first())
                && denial.rule.actions.meets(allow.actions)
                && covers_levels(&denial.levels, &levels)
        };
        self.others.iter().filter(meant).map(|denial| (denial.owner, denial.rule)).collect()
    }
}

/// Whether every topic of `inner` is one of `outer`, whoever fills their placeholders.
fn covers(outer: &[Level<'_>], inner: &[Level<'_>]) -> bool {
    let hidden = is_wildcard(outer.first()) && inner.first().is_some_and(is_dollar);
    !hidden && covers_levels(outer, inner)
}

fn covers_levels(outer: &[Level<'_>], inner: &[Level<'_>]) -> bool {
    for (at, level) in outer.iter().enumerate() {
        match (level, inner.get(at)) {
            (Level::Hash, _) => return true,
            (Level::Plus, Some(Level::Hash)) => {
                // `+/#` is every topic, as `#` is.
                return at == 0 && outer.get(1) == Some(&Level::Hash);
            }
            (Level::Plus, Some(_)) => {}
            (level, Some(other)) if level == other => {}
            _ => return false,
        }
    }
    inner.len() == outer.len()
}

fn is_wildcard(level: Option<&Level<'_>>) -> bool {
    matches!(level, Some(Level::Plus | Level::Hash))
}

fn is_dollar(level: &Level<'_>) -> bool {
    match level {
        Level::Text(text) => text.starts_with('$'),
        Level::Hole { prefix, .. } => prefix.starts_with('$'),
        Level::Plus | Level::Hash => false,
    }
}
