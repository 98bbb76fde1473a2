//! From blocks to a [`Tree`].
//!
//! Sorted by their levels, the filters that share a beginning stand together, first those that end there and last those
//! that end there with `#`. So the tree is read off the sorted rows without ever being built with pointers.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use super::{Block, End, Has, Hole, Literals, Node, ROOT, Says, Tree, at, number, slot_of};
use crate::{
    policy::{Effect, index::says_of},
    topic::{Level, Placeholder, hash_level},
};

/// A rule as the sort sees it: compared by its levels, then by its number.
#[derive(Eq, PartialEq, Ord, PartialOrd)]
struct Row<'r> {
    levels: Vec<Level<'r>>,
    rule: u32,
}

/// The rows below one node, and how many levels they share.
#[derive(Clone)]
struct Span {
    rows: Range<usize>,
    depth: usize,
    parent: u32,
}

pub(super) fn compile(blocks: &[Arc<Block>]) -> Tree {
    let mut rows = Vec::new();
    let mut says = Vec::new();
    for (rule, said) in blocks.iter().flat_map(|block| says_of(block)) {
        rows.push(Row { levels: rule.template.levels().collect(), rule: number(rows.len()) });
        says.push(said);
    }
    let needs = deny_needs(&rows, blocks);
    let literals = take_literals(&mut rows, &says);
    rows.sort_unstable();
    let mut build = Build { rows: &rows, says: &says, queue: Vec::new(), parts: Parts::default() };
    build.run();
    let mut parts = build.parts;
    parts.summarise();
    let (slots, shift) = parts.slots();
    let deny_needs = needs.into_iter().map(|(needed, rule)| (parts.placeholder(needed), rule)).collect();
    Tree {
        literals,
        nodes: parts.nodes.into(),
        ends: parts.ends.into(),
        holes: parts.holes.into(),
        placeholders: in_order(parts.placeholders),
        deny_needs,
        slots: slots.into(),
        shift,
        texts: parts.texts.into(),
    }
}

/// Takes the rules that spell whole topics out of `rows`.
fn take_literals(rows: &mut Vec<Row<'_>>, says: &[Says]) -> Literals {
    let mut literals = Vec::new();
    rows.retain(|row| {
        let texts = row.levels.iter().map(|level| match level {
            Level::Text(text) => Some(&**text),
            Level::Hole { .. } | Level::Plus | Level::Hash => None,
        });
        let Some(texts) = texts.collect::<Option<Vec<&str>>>() else { return true };
        let says = says.get(at(row.rule)).copied().unwrap_or_default();
        literals.push((texts.join("/"), End { rule: row.rule, says }));
        false
    });
    Literals::new(literals)
}

/// Each placeholder that a deny rule needs, with the first such rule, in the order of the rules.
fn deny_needs(rows: &[Row<'_>], blocks: &[Arc<Block>]) -> Vec<(Placeholder, u32)> {
    let mut needs: Vec<(Placeholder, u32)> = Vec::new();
    let rules = blocks.iter().flat_map(|block| &block.rules);
    for (rule, row) in rules.zip(rows).filter(|(rule, _)| rule.effect == Effect::Deny) {
        for placeholder in rule.template.placeholders() {
            if needs.iter().all(|(known, _)| *known != placeholder) {
                needs.push((placeholder, row.rule));
            }
        }
    }
    needs
}

/// The tree on its way from rows to tables.
struct Build<'b> {
    /// Sorted.
    rows: &'b [Row<'b>],
    /// By the rule's number.
    says: &'b [Says],
    /// Nodes in the order of their numbers, made or still to be made.
    queue: Vec<Span>,
    parts: Parts,
}

#[derive(Default)]
struct Parts {
    nodes: Vec<Node>,
    ends: Vec<End>,
    holes: Vec<Hole>,
    /// Node and hash of the text of every literal edge.
    literals: Vec<(u32, u64)>,
    placeholders: BTreeMap<Placeholder, u32>,
    texts: Vec<u8>,
}

impl Build<'_> {
    fn run(&mut self) {
        self.queue.push(Span { rows: 0..self.rows.len(), depth: 0, parent: ROOT });
        let mut next = 0;
        while let Some(span) = self.queue.get(next).cloned() {
            self.node(number(next), span);
            next += 1;
        }
        // The last node is a leaf, so that nobody asks where its children end.
        self.parts.nodes.push(self.parts.begin());
    }

    /// Makes the node `own` and queues its children.
    fn node(&mut self, own: u32, span: Span) {
        let Span { rows: range, depth, parent } = span;
        let all = self.rows;
        let rows = all.get(range.clone()).unwrap_or_default();
        let exact = rows.partition_point(|row| row.levels.len() == depth);
        let rest = rows.partition_point(|row| row.levels.get(depth) != Some(&Level::Hash));
        let mut node = Node { parent, children: number(self.queue.len()), ..self.parts.begin() };
        self.ends(rows.get(..exact).unwrap_or_default());
        node.rest = number(self.parts.ends.len());
        let hash_rows = rows.get(rest..).unwrap_or_default();
        self.ends(hash_rows);
        if !hash_rows.is_empty() {
            node.has.add(Has::REST);
        }
        if let Some(edge) = depth.checked_sub(1).and_then(|above| rows.first()?.levels.get(above)) {
            self.edge(own, edge);
        }
        let mut from = exact;
        while let Some(edge) = rows.get(from..rest).and_then(|rows| rows.first()?.levels.get(depth)) {
            let same = rows.get(from..rest).unwrap_or_default();
            let to = from + same.partition_point(|row| row.levels.get(depth) == Some(edge));
            let child = number(self.queue.len());
            match edge {
                Level::Plus => node.plus = child,
                Level::Hole { prefix, placeholder, .. } => {
                    let placeholder = self.parts.placeholder(placeholder.clone());
                    self.parts.holes.push(Hole { child, placeholder, prefix_bytes: number(prefix.len()) });
                    node.has.add(Has::HOLES);
                }
                // Literal edges lie in the table of slots; no row after `rest` is left for `#`.
                Level::Text(_) | Level::Hash => {
                    node.has.add(Has::LITERALS);
                    node.literals = node.literals.saturating_add(1);
                }
            }
            self.queue.push(Span {
                rows: range.start + from..range.start + to,
                depth: depth + 1,
                parent: own,
            });
            from = to;
        }
        self.parts.nodes.push(node);
    }

    /// Keeps the text of the edge that leads to the node `own`.
    fn edge(&mut self, own: u32, edge: &Level<'_>) {
        match edge {
            Level::Text(text) => {
                self.parts.literals.push((own, hash_level(text.as_bytes())));
                self.parts.texts.extend_from_slice(text.as_bytes());
            }
            Level::Hole { prefix, suffix, .. } => {
                self.parts.texts.extend_from_slice(prefix.as_bytes());
                self.parts.texts.extend_from_slice(suffix.as_bytes());
            }
            Level::Plus | Level::Hash => {}
        }
    }

    fn ends(&mut self, rows: &[Row<'_>]) {
        for row in rows {
            let says = self.says.get(at(row.rule)).copied().unwrap_or_default();
            self.parts.ends.push(End { rule: row.rule, says });
        }
    }
}

impl Parts {
    /// A node whose parts begin where all parts so far end.
    fn begin(&self) -> Node {
        Node {
            exact: number(self.ends.len()),
            holes: number(self.holes.len()),
            text: number(self.texts.len()),
            ..Node::default()
        }
    }

    fn placeholder(&mut self, wanted: Placeholder) -> u32 {
        let next = number(self.placeholders.len());
        *self.placeholders.entry(wanted).or_insert(next)
    }

    /// Tells every node what is said below it. Children have higher numbers than their parents.
    fn summarise(&mut self) {
        for own in (0..self.nodes.len().saturating_sub(1)).rev() {
            let Some([node, next, ..]) = self.nodes.get(own..) else { return };
            let ends = self.ends.get(at(node.exact)..at(next.exact)).unwrap_or_default();
            let below = ends.iter().fold(node.below, |all, end| all.and(end.says));
            let parent = at(node.parent);
            for summed in [own, parent] {
                if let Some(node) = self.nodes.get_mut(summed) {
                    node.below = node.below.and(below);
                }
            }
        }
    }

    /// The table of literal edges, and its shift. At least two slots, so that a shift by 64 never happens.
    fn slots(&self) -> (Vec<u32>, u32) {
        let size = (self.literals.len() * 2).next_power_of_two().max(2);
        let shift = u64::BITS - size.trailing_zeros();
        let mut slots = vec![ROOT; size];
        for &(child, hash) in &self.literals {
            let parent = self.nodes.get(at(child)).map_or(ROOT, |node| node.parent);
            let mut slot = slot_of(parent, hash, shift);
            while slots.get(slot).is_some_and(|taken| *taken != ROOT) {
                slot = (slot + 1) & (size - 1);
            }
            if let Some(free) = slots.get_mut(slot) {
                *free = child;
            }
        }
        (slots, shift)
    }
}

/// The keys by their values.
fn in_order(numbered: BTreeMap<Placeholder, u32>) -> Box<[Placeholder]> {
    let mut pairs: Vec<_> = numbered.into_iter().collect();
    pairs.sort_unstable_by_key(|(_, number)| *number);
    pairs.into_iter().map(|(placeholder, _)| placeholder).collect()
}
