//! Which topics of a filter the rules match, all taken together.
//!
//! The text of a level is unbounded and rules mention finitely many, so a `+` of the filter is covered exactly if a
//! text that no rule mentions is: only `+` and `#` of the rules match such a text. The filter's own `+` serves as that
//! text, for no rule's text and no value contains it. For a trailing `#` every depth is asked once; below the deepest
//! rule nothing changes.

use super::{
    Subject,
    says::{End, Says},
    tree::{ROOT, Tree},
    walk::{Levels, is_dollar},
};
use crate::topic::{Filter, MAX_LEVELS};

/// `+` in place of a level's text.
const ANY: &[u8] = b"+";

/// A filter as the walks see it.
pub(super) struct Pattern<'t> {
    levels: Levels<'t, MAX_LEVELS>,
    /// Whether more levels may follow. `#` is kept as `+/#`, and `/#` as `/+/#`: the empty text is no topic, so
    /// nothing is lost, and every depth from `levels` on has real topics.
    pub(super) open: bool,
    /// What the levels are as a topic, if none of them is `+`.
    pub(super) name: Option<&'t str>,
    /// As it was asked for.
    pub(super) filter: Filter<'t>,
}

impl<'t> Pattern<'t> {
    pub(super) fn new(filter: Filter<'t>) -> Self {
        let mut levels = Levels::new();
        let plain = filter.plain();
        let open = matches!(plain.as_bytes(), [b'#'] | [.., b'/', b'#']);
        filter.levels().filter(|level| *level != "#").for_each(|level| levels.push(level.as_bytes()));
        if matches!(plain, "#" | "/#") {
            levels.push(ANY);
        }
        let name = plain.strip_suffix("/#").unwrap_or(plain);
        let name = (!name.is_empty() && !name.contains(['+', '#'])).then_some(name);
        Self { levels, open, name, filter }
    }

    pub(super) fn levels(&self) -> &[&'t [u8]] {
        self.levels.all().unwrap_or_default()
    }
}

/// Whether `level` of a pattern is `+`.
pub(super) fn is_any(level: &&[u8]) -> bool {
    *level == ANY
}

/// Where a rule stands: which index, which rule. Smaller is earlier in the source.
pub(super) type RuleAt = (usize, u32);

/// How much of a pattern is covered.
#[derive(Default)]
pub(super) struct Cover {
    /// Bit `depth`: topics of exactly that many levels.
    depths: [u64; MAX_LEVELS / 64 + 1],
    /// Topics of that many levels and all deeper ones.
    from: Option<usize>,
    /// The earliest rule that covers some of it.
    pub(super) some: Option<RuleAt>,
    /// The earliest rule that covers all of it alone.
    pub(super) whole: Option<RuleAt>,
}

impl Cover {
    /// The smallest number of levels of a topic that is in the pattern and not covered.
    pub(super) fn gap(&self, pattern: &Pattern<'_>) -> Option<usize> {
        let least = pattern.levels().len();
        let most = if pattern.open { MAX_LEVELS } else { least };
        (least..=most.min(self.from.map_or(most, |from| from.saturating_sub(1))))
            .find(|depth| !self.has(*depth))
    }

    fn has(&self, depth: usize) -> bool {
        self.depths.get(depth / 64).is_some_and(|bits| bits >> (depth % 64) & 1 == 1)
    }

    /// Adds what `rule` covers of `pattern`.
    pub(super) fn add(&mut self, covered: Covered, rule: RuleAt, pattern: &Pattern<'_>) {
        let whole = match covered {
            Covered::Depth(depth) => {
                if let Some(bits) = self.depths.get_mut(depth / 64) {
                    *bits |= 1 << (depth % 64);
                }
                !pattern.open
            }
            Covered::From(depth) => {
                self.from = Some(self.from.map_or(depth, |from| from.min(depth)));
                depth <= pattern.levels().len()
            }
        };
        keep(&mut self.some, rule);
        if whole {
            keep(&mut self.whole, rule);
        }
    }
}

/// What a rule covers of a pattern.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Covered {
    /// Its topics of exactly so many levels.
    Depth(usize),
    /// Those of so many levels and all deeper ones.
    From(usize),
}

/// One question about one pattern.
pub(super) struct Covering<'w> {
    pub(super) tree: &'w Tree,
    /// Which index this is.
    pub(super) which: usize,
    pub(super) pattern: &'w Pattern<'w>,
    pub(super) subject: &'w Subject<'w>,
    pub(super) wanted: Says,
}

impl Covering<'_> {
    /// Adds to `cover` what the index covers.
    pub(super) fn add_to(&self, cover: &mut Cover) {
        let spelled = self.pattern.name.map_or(&[][..], |name| self.tree.topics().of(name.as_bytes()));
        if let Some(rule) = self.earliest(spelled) {
            cover.add(Covered::Depth(self.pattern.levels().len()), rule, self.pattern);
        }
        self.from(ROOT, 0, cover);
    }

    /// `node` is where the first `depth` levels lead. Recurses at most as deep as rules have levels.
    fn from(&self, node: u32, depth: usize, cover: &mut Cover) {
        let Some((here, next)) = self.tree.node(node) else { return };
        if !here.below.meets(self.wanted) {
            return;
        }
        let levels = self.pattern.levels();
        let hidden = depth == 0 && is_dollar(levels);
        if !hidden && let Some(rule) = self.earliest(self.tree.rest(here, next)) {
            cover.add(Covered::From(depth), rule, self.pattern);
        }
        if depth >= levels.len()
            && let Some(rule) = self.earliest(self.tree.exact(here))
        {
            cover.add(Covered::Depth(depth), rule, self.pattern);
        }
        let level = levels.get(depth);
        if here.plus != ROOT && !hidden && (level.is_some() || self.pattern.open) {
            self.from(here.plus, depth + 1, cover);
        }
        let Some(level) = level else { return };
        for hole in self.tree.holes(here, next) {
            if self.tree.fits(hole, level, self.subject) {
                self.from(hole.child, depth + 1, cover);
            }
        }
        if let Some(child) = self.tree.literal(node, level) {
            self.from(child, depth + 1, cover);
        }
    }

    fn earliest(&self, ends: &[End]) -> Option<RuleAt> {
        ends.iter().find(|end| end.says.meets(self.wanted)).map(|end| (self.which, end.rule))
    }
}

/// Keeps the earlier of two rules.
pub(super) fn keep(kept: &mut Option<RuleAt>, found: RuleAt) {
    *kept = Some(kept.map_or(found, |kept| kept.min(found)));
}
