//! All rules of some blocks as one tree over the levels of their filters.
//!
//! A node stands for the beginning of a filter. Its literal edges are found by hash, whatever their number; `+` is one
//! edge; an edge with a placeholder is compared with the asking device's value when it is met. So one index serves all
//! devices with the same roles, and a decision costs what its topic costs, not what the policy costs.
//!
//! ```text
//!   sensors/{device}/#      root ──sensors──▶ ● ──{device}──▶ ● `#`: allow publish
//!   sensors/secret                            └──secret─────▶ ●  end: deny
//! ```

mod compile;
mod literals;

use std::{ops::Range, sync::Arc};

use literals::Literals;

use super::{Actions, Block, Effect, Limits, RuleRef, Subject};
use crate::topic::{NameLevel, Placeholder, same};

/// The compiled rules of some blocks: immutable, shared by every device that has these blocks.
#[derive(Debug)]
pub struct Index {
    /// For reasons and limits; not touched by a plain decision.
    blocks: Box<[Arc<Block>]>,
    /// Number of the first rule of each block. Rules are numbered through all blocks.
    firsts: Box<[u32]>,
    /// Rules without wildcards and placeholders; all others are in the tree.
    literals: Literals,
    /// Breadth first, so that the children of a node stand together; the last is a sentinel.
    nodes: Box<[Node]>,
    /// Where filters end; what they say.
    ends: Box<[End]>,
    holes: Box<[Hole]>,
    placeholders: Box<[Placeholder]>,
    /// Placeholder and rule: every placeholder that some deny rule needs, in the order of the rules.
    deny_needs: Box<[(u32, u32)]>,
    /// Open addressing from (parent, text) to a literal child; at most half full; 0, the root, marks a free slot.
    slots: Box<[u32]>,
    /// Bits to drop from a 64-bit hash to get a slot.
    shift: u32,
    /// Texts of all edges, one after the other.
    texts: Box<[u8]>,
}

/// A node and where its parts begin; they end where those of the next node begin. 32 bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Node {
    parent: u32,
    /// The child by `+`; 0 for none.
    pub(super) plus: u32,
    /// Literal children first, then those by placeholders, then the one by `+`.
    children: u32,
    holes: u32,
    /// Rules whose filter ends here.
    exact: u32,
    /// Rules whose filter ends here with `#`, after those in `exact`.
    rest: u32,
    /// Text of the edge that leads here; of an edge with a placeholder, prefix and suffix.
    text: u32,
    /// What the rules that end here or below say.
    pub(super) below: Says,
    pub(super) has: Has,
}

/// Which parts a node has. Looking for those that it has not would be most of a walk.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Has(u8);

impl Has {
    const LITERALS: Self = Self(1);
    const HOLES: Self = Self(2);
    const REST: Self = Self(4);

    /// Children by literal edges.
    pub(super) const fn literals(self) -> bool {
        self.0 & Self::LITERALS.0 != 0
    }

    /// Edges with placeholders.
    pub(super) const fn holes(self) -> bool {
        self.0 & Self::HOLES.0 != 0
    }

    /// Rules that end here with `#`.
    pub(super) const fn rest(self) -> bool {
        self.0 & Self::REST.0 != 0
    }

    fn add(&mut self, part: Self) {
        self.0 |= part.0;
    }
}

/// The end of a filter.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    /// Number of the rule.
    pub(super) rule: u32,
    pub(super) says: Says,
}

/// An edge with a placeholder.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hole {
    pub(super) child: u32,
    placeholder: u32,
    /// How much of the child's text stands before the value.
    prefix_bytes: u32,
}

/// A set of (effect, action) pairs, and whether limits hang on them.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Says(u8);

impl Says {
    const LIMITED: Self = Self(1 << 6);

    pub(super) const fn new(effect: Effect, actions: Actions) -> Self {
        match effect {
            Effect::Allow => Self(actions.0),
            Effect::Deny => Self(actions.0 << 3),
        }
    }

    pub(super) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether the rule's block has limits.
    pub(super) const fn is_limited(self) -> bool {
        self.meets(Self::LIMITED)
    }
}

/// The root's number.
pub(super) const ROOT: u32 = 0;

impl Index {
    /// Compiles the rules of `blocks`; their order is the order in which reasons prefer rules.
    ///
    /// Costs a sort of all rules.
    #[must_use]
    pub fn compile(blocks: &[Arc<Block>]) -> Self {
        compile::compile(blocks)
    }

    /// How many nodes its tree has.
    #[must_use]
    pub fn node_count(&self) -> usize {
        self.nodes.len().saturating_sub(1)
    }

    /// How many bytes its own tables occupy; the blocks it keeps for its reasons are not counted.
    #[must_use]
    pub fn table_bytes(&self) -> usize {
        size_of_val(&*self.nodes)
            + size_of_val(&*self.ends)
            + size_of_val(&*self.holes)
            + size_of_val(&*self.slots)
            + self.texts.len()
            + self.literals.table_bytes()
    }

    /// Rules without wildcards and placeholders.
    pub(super) fn topics(&self) -> &Literals {
        &self.literals
    }

    /// Whether a rule outside of [`topics`](Self::topics) says one of these.
    pub(super) fn tree_says(&self, wanted: Says) -> bool {
        self.nodes.first().is_some_and(|root| root.below.meets(wanted))
    }

    /// The blocks it was compiled from.
    #[must_use]
    pub fn blocks(&self) -> &[Arc<Block>] {
        &self.blocks
    }

    /// A rule by its number.
    pub(super) fn rule(&self, number: u32) -> Option<RuleRef<'_>> {
        let (block, first) = self.block_of(number)?;
        let rule = block.rules.get(at(number - first))?;
        Some(RuleRef { owner: &block.owner, rule })
    }

    /// The limits of a rule's block.
    pub(super) fn limits(&self, number: u32) -> Option<Limits> {
        self.block_of(number).map(|(block, _)| block.limits)
    }

    fn block_of(&self, number: u32) -> Option<(&Block, u32)> {
        // The rules of a device's own; with many devices each table that is read comes from memory.
        if let [only] = &*self.blocks {
            return Some((only, 0));
        }
        // Of several blocks that begin at one number all but the last are empty.
        let place = self.firsts.partition_point(|first| *first <= number).checked_sub(1)?;
        Some((self.blocks.get(place)?, *self.firsts.get(place)?))
    }

    /// Whether some rule speaks of `{clientid}`.
    #[must_use]
    pub fn reads_client_id(&self) -> bool {
        self.placeholders.contains(&Placeholder::ClientId)
    }

    /// Whether there are deny rules that need values.
    pub(super) fn has_needs(&self) -> bool {
        !self.deny_needs.is_empty()
    }

    /// The first deny rule that needs a value which `subject` does not have or which cannot be filled in.
    pub(super) fn unfillable(&self, subject: &Subject<'_>) -> Option<(u32, &Placeholder)> {
        self.deny_needs.iter().find_map(|&(placeholder, rule)| {
            let needed = self.placeholders.get(at(placeholder))?;
            subject.value(needed).is_none().then_some((rule, needed))
        })
    }

    /// A node and the one after it, where its parts end.
    pub(super) fn node(&self, number: u32) -> Option<(&Node, &Node)> {
        match self.nodes.get(at(number)..)? {
            [node, next, ..] => Some((node, next)),
            _ => None,
        }
    }

    /// The child of `parent` by the text of `level`.
    pub(super) fn literal(&self, parent: u32, level: &NameLevel<'_>) -> Option<u32> {
        let mask = self.slots.len() - 1;
        let mut slot = slot_of(parent, level.hash, self.shift);
        loop {
            let child = *self.slots.get(slot)?;
            if child == ROOT {
                return None;
            }
            let (node, next) = self.node(child)?;
            if node.parent == parent && same(self.text(node, next), level.text) {
                return Some(child);
            }
            slot = (slot + 1) & mask;
        }
    }

    /// Children of `node` by literal edges, each with the edge's text.
    pub(super) fn literals(&self, node: &Node, next: &Node) -> impl Iterator<Item = (u32, &[u8])> {
        let others = next.holes - node.holes + u32::from(node.plus != ROOT);
        (node.children..next.children - others).filter_map(|child| {
            let (node, next) = self.node(child)?;
            Some((child, self.text(node, next)))
        })
    }

    /// Edges of `node` with placeholders.
    pub(super) fn holes(&self, node: &Node, next: &Node) -> &[Hole] {
        self.holes.get(at(node.holes)..at(next.holes)).unwrap_or_default()
    }

    /// Whether `hole`, filled with the subject's value, is `level`.
    pub(super) fn fits(&self, hole: &Hole, level: &[u8], subject: &Subject<'_>) -> bool {
        let found = || {
            let raw = subject.raw_value(self.placeholders.get(at(hole.placeholder))?)?;
            let (prefix, suffix) = self.around(hole)?;
            let value = match (prefix, suffix) {
                (b"", b"") => level,
                _ => level.strip_prefix(prefix)?.strip_suffix(suffix)?,
            };
            Some(same(value, raw.as_bytes()) && super::fillable(raw))
        };
        found().unwrap_or(false)
    }

    /// Whether the subject has a value for `hole`.
    pub(super) fn can_fill(&self, hole: &Hole, subject: &Subject<'_>) -> bool {
        self.placeholders.get(at(hole.placeholder)).is_some_and(|needed| subject.value(needed).is_some())
    }

    /// What stands before and after the value of `hole`.
    pub(super) fn around(&self, hole: &Hole) -> Option<(&[u8], &[u8])> {
        let (node, next) = self.node(hole.child)?;
        self.text(node, next).split_at_checked(at(hole.prefix_bytes))
    }

    /// Filters that end at `node`.
    pub(super) fn exact(&self, node: &Node) -> &[End] {
        self.ends.get(at(node.exact)..at(node.rest)).unwrap_or_default()
    }

    /// Filters that end at `node` with `#`.
    pub(super) fn rest(&self, node: &Node, next: &Node) -> &[End] {
        self.ends.get(at(node.rest)..at(next.exact)).unwrap_or_default()
    }

    fn text(&self, node: &Node, next: &Node) -> &[u8] {
        self.texts.get(range(node.text, next.text)).unwrap_or_default()
    }
}

/// A number as a place in a slice. Where `usize` is narrower it could only miss, and a miss denies.
fn at(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn range(start: u32, end: u32) -> Range<usize> {
    at(start)..at(end)
}

/// A count of things that were read from files of a bounded size, far below 2^32.
fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Where the search for a child begins. Multiplying by odd constants (of xxHash) spreads what `topic` only shifted together.
fn slot_of(parent: u32, hash: u64, shift: u32) -> usize {
    let mixed =
        (hash ^ u64::from(parent).wrapping_mul(0x9e37_79b1_85eb_ca87)).wrapping_mul(0xc2b2_ae3d_27d4_eb4f);
    usize::try_from(mixed >> shift).unwrap_or_default()
}

#[cfg(test)]
mod tests;
