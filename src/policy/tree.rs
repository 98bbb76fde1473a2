//! Many rules as one tree over the levels of their filters.
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

use super::{
    Block, Subject,
    index::{at, number},
    says::{End, Says},
};
use crate::topic::{Placeholder, hash_level, same};

/// The rules of some blocks, numbered through all of them.
#[derive(Debug)]
pub(super) struct Tree {
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
    /// How many children it has by literal edges, up to 255.
    literals: u8,
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

    /// Children but the one by `+`.
    pub(super) const fn children(self) -> bool {
        self.0 & (Self::LITERALS.0 | Self::HOLES.0) != 0
    }

    /// Rules that end here with `#`.
    pub(super) const fn rest(self) -> bool {
        self.0 & Self::REST.0 != 0
    }

    fn add(&mut self, part: Self) {
        self.0 |= part.0;
    }
}

/// An edge with a placeholder.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hole {
    pub(super) child: u32,
    placeholder: u32,
    /// How much of the child's text stands before the value.
    prefix_bytes: u32,
}

/// So many literal children are looked through; to hash the level costs as much.
const FEW: u8 = 3;

/// The root's number.
pub(super) const ROOT: u32 = 0;

impl Tree {
    /// Costs a sort of all rules.
    pub(super) fn compile(blocks: &[Arc<Block>]) -> Self {
        compile::compile(blocks)
    }

    /// How many nodes there are.
    #[cfg(test)]
    fn node_count(&self) -> usize {
        self.nodes.len().saturating_sub(1)
    }

    /// How many bytes its tables occupy.
    pub(super) fn table_bytes(&self) -> usize {
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

    /// What the rules outside of [`topics`](Self::topics) say.
    pub(super) fn says(&self) -> Says {
        self.nodes.first().map(|root| root.below).unwrap_or_default()
    }

    /// Whether some rule speaks of `{clientid}`.
    pub(super) fn reads_client_id(&self) -> bool {
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
    #[inline]
    pub(super) fn literal(&self, parent: u32, level: &[u8]) -> Option<u32> {
        let (node, _) = self.node(parent)?;
        self.literal_of((parent, node), level)
    }

    /// The same for whoever has the node.
    #[inline]
    pub(super) fn literal_of(&self, (number, node): (u32, &Node), level: &[u8]) -> Option<u32> {
        if node.literals > FEW {
            return self.hashed(number, level);
        }
        let mut children = node.children..node.children + u32::from(node.literals);
        let leads = |(node, next): (&Node, &Node)| same(self.text(node, next), level);
        children.find(|child| self.node(*child).is_some_and(leads))
    }

    fn hashed(&self, parent: u32, level: &[u8]) -> Option<u32> {
        let mask = self.slots.len() - 1;
        let mut slot = slot_of(parent, hash_level(level), self.shift);
        loop {
            let child = *self.slots.get(slot)?;
            if child == ROOT {
                return None;
            }
            let (node, next) = self.node(child)?;
            if node.parent == parent && same(self.text(node, next), level) {
                return Some(child);
            }
            slot = (slot + 1) & mask;
        }
    }

    /// Children of `node` by literal edges, each with the edge's text.
    pub(super) fn literals(&self, node: &Node, next: &Node) -> impl Iterator<Item = (u32, &[u8])> {
        literal_children(node, next).filter_map(|child| {
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

/// Numbers of the children of `node` by literal edges.
fn literal_children(node: &Node, next: &Node) -> Range<u32> {
    let others = next.holes - node.holes + u32::from(node.plus != ROOT);
    node.children..next.children - others
}

fn range(start: u32, end: u32) -> Range<usize> {
    at(start)..at(end)
}

/// Where the search for a child begins. Multiplying by odd constants (of xxHash) spreads what `topic` only shifted together.
fn slot_of(parent: u32, hash: u64, shift: u32) -> usize {
    let mixed =
        (hash ^ u64::from(parent).wrapping_mul(0x9e37_79b1_85eb_ca87)).wrapping_mul(0xc2b2_ae3d_27d4_eb4f);
    usize::try_from(mixed >> shift).unwrap_or_default()
}

#[cfg(test)]
mod tests;
