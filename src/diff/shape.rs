//! Sets of topics as trees with shared parts.
//!
//! A node says whether the topic that ends here is in the set, what follows for each text that matters, and what
//! follows for all other texts. Equal sets of what may follow are one node, so that comparing them costs nothing.

use std::collections::{BTreeSet, HashMap};

/// The text of a level, by its number.
pub(super) type Text = u32;

/// A node, by its number.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) struct Shape(u32);

/// No topic ends here or below.
pub(super) const NOTHING: Shape = Shape(0);

/// Every topic that begins like this is in the set.
pub(super) const EVERYTHING: Shape = Shape(1);

/// What stands in the place of a number for a node that is its own successor.
const ITSELF: Shape = Shape(u32::MAX);

/// Value of a topic that is not in the set. Others are in it, for different reasons.
pub(super) const OUTSIDE: u32 = 0;

/// Value of a topic in a set that has no reasons.
pub(super) const INSIDE: u32 = 1;

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Node {
    value: u32,
    /// What follows after texts that are not among `children`.
    other: Shape,
    /// Sorted; each differs from `other`.
    children: Vec<(Text, Shape)>,
}

/// All nodes, each made once.
pub(super) struct Shapes {
    nodes: Vec<Node>,
    known: HashMap<Node, Shape, foldhash::fast::RandomState>,
    without: HashMap<(Shape, Shape), Shape, foldhash::fast::RandomState>,
}

impl Shapes {
    pub(super) fn new() -> Self {
        let mut shapes = Self { nodes: Vec::new(), known: HashMap::default(), without: HashMap::default() };
        // NOTHING and EVERYTHING, in this order.
        shapes.uniform(OUTSIDE);
        shapes.uniform(INSIDE);
        shapes
    }

    /// Every topic from here on has this value.
    pub(super) fn uniform(&mut self, value: u32) -> Shape {
        self.intern(Node { value, other: ITSELF, children: Vec::new() })
    }

    /// A node with these parts; the texts of `children` are sorted and different.
    pub(super) fn node(&mut self, value: u32, other: Shape, mut children: Vec<(Text, Shape)>) -> Shape {
        children.retain(|(_, child)| *child != other);
        if children.is_empty() && self.other(other) == other && self.value(other) == value {
            return other;
        }
        self.intern(Node { value, other, children })
    }

    fn intern(&mut self, node: Node) -> Shape {
        if let Some(known) = self.known.get(&node) {
            return *known;
        }
        let own = Shape(u32::try_from(self.nodes.len()).unwrap_or(u32::MAX));
        self.nodes.push(node.clone());
        self.known.insert(node, own);
        own
    }

    fn get(&self, shape: Shape) -> Option<&Node> {
        self.nodes.get(usize::try_from(shape.0).ok()?)
    }

    /// Of the topic that ends here.
    pub(super) fn value(&self, shape: Shape) -> u32 {
        self.get(shape).map_or(OUTSIDE, |node| node.value)
    }

    /// What follows after a text that is not among the children.
    pub(super) fn other(&self, shape: Shape) -> Shape {
        match self.get(shape) {
            Some(Node { other: ITSELF, .. }) => shape,
            Some(node) => node.other,
            None => NOTHING,
        }
    }

    /// What follows after the texts that make a difference.
    pub(super) fn children(&self, shape: Shape) -> &[(Text, Shape)] {
        self.get(shape).map_or(&[], |node| &node.children)
    }

    fn child(&self, shape: Shape, text: Text) -> Shape {
        let children = self.children(shape);
        match children.binary_search_by_key(&text, |(text, _)| *text) {
            Ok(at) => children.get(at).map_or(NOTHING, |(_, child)| *child),
            Err(_) => self.other(shape),
        }
    }

    /// The same with another value for the topic that ends here.
    pub(super) fn with_value(&mut self, shape: Shape, value: u32) -> Shape {
        let (other, children) = (self.other(shape), self.children(shape).to_vec());
        self.node(value, other, children)
    }

    /// The topics of one value as a set without reasons.
    pub(super) fn only(&mut self, shape: Shape, value: u32, done: &mut HashMap<Shape, Shape>) -> Shape {
        if let Some(known) = done.get(&shape) {
            return *known;
        }
        let inside = if self.value(shape) == value { INSIDE } else { OUTSIDE };
        let other = self.other(shape);
        let made = if other == shape {
            self.uniform(inside)
        } else {
            let other = self.only(other, value, done);
            let children = self.children(shape).to_vec();
            let children =
                children.into_iter().map(|(text, child)| (text, self.only(child, value, done))).collect();
            self.node(inside, other, children)
        };
        done.insert(shape, made);
        made
    }

    /// The topics of one set that are not in another; both without reasons.
    pub(super) fn without(&mut self, one: Shape, two: Shape) -> Shape {
        if one == NOTHING || one == two || two == EVERYTHING {
            return NOTHING;
        }
        if two == NOTHING {
            return one;
        }
        if let Some(known) = self.without.get(&(one, two)) {
            return *known;
        }
        let texts: BTreeSet<Text> =
            self.children(one).iter().chain(self.children(two)).map(|(text, _)| *text).collect();
        let value = if self.value(two) == OUTSIDE { self.value(one) } else { OUTSIDE };
        let (other_one, other_two) = (self.other(one), self.other(two));
        let other = self.without(other_one, other_two);
        let children = texts
            .into_iter()
            .map(|text| {
                let (one, two) = (self.child(one, text), self.child(two, text));
                (text, self.without(one, two))
            })
            .collect();
        let made = self.node(value, other, children);
        self.without.insert((one, two), made);
        made
    }
}
