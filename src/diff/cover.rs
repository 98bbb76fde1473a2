//! From a set of topics to filters that have exactly its topics.

use std::collections::HashMap;

use super::shape::{EVERYTHING, NOTHING, OUTSIDE, Shape, Shapes, Text};

/// A level of a filter.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Step {
    Text(Text),
    Plus,
    Hash,
}

/// The topics that a filter matches and none of its exceptions does.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) filter: Vec<Step>,
    pub(super) except: Vec<Vec<Step>>,
    /// The levels of one of them; `None` for a text that nobody mentions.
    pub(super) witness: Vec<Option<Text>>,
}

/// The topics from the first level on, where those that begin with `$` stand apart.
pub(super) struct Root {
    /// After texts that nobody mentions and that do not begin with `$`.
    pub(super) other: Shape,
    /// Sorted.
    pub(super) children: Vec<(Text, Shape)>,
}

impl Root {
    /// The topics of one value as a set without reasons.
    pub(super) fn only(&self, value: u32, shapes: &mut Shapes) -> Self {
        let mut done = HashMap::new();
        let other = shapes.only(self.other, value, &mut done);
        let children = self
            .children
            .iter()
            .map(|(text, child)| (*text, shapes.only(*child, value, &mut done)))
            .collect();
        Self { other, children }
    }
}

/// What is special about a level.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum At {
    /// The first: no topic ends before it.
    Start,
    /// The one after an empty first level: no topic ends there either, for the empty text is none.
    Blank,
    Below,
}

/// Describes sets.
pub(super) struct Describe<'s> {
    shapes: &'s mut Shapes,
    /// Number of the empty text.
    empty: Text,
    /// Whether a text begins with `$`.
    is_dollar: &'s dyn Fn(Text) -> bool,
    /// What was described before: sets share parts.
    pieces: HashMap<(At, Shape), Vec<Piece>>,
    plain: HashMap<(At, Shape), Option<Vec<Vec<Step>>>>,
}

impl<'s> Describe<'s> {
    pub(super) fn new(shapes: &'s mut Shapes, empty: Text, is_dollar: &'s dyn Fn(Text) -> bool) -> Self {
        Self { shapes, empty, is_dollar, pieces: HashMap::new(), plain: HashMap::new() }
    }

    /// Pieces that have all topics of the set, and no others.
    pub(super) fn root(&mut self, root: &Root) -> Vec<Piece> {
        let value = self.shapes.value(root.other);
        let mut children = root.children.clone();
        for (text, child) in &mut children {
            // The empty text is no topic, so that nothing is to be said about it.
            if *text == self.empty {
                *child = self.shapes.with_value(*child, value);
            }
        }
        self.parts(At::Start, false, (root.other, &children))
    }

    fn pieces(&mut self, at: At, shape: Shape) -> Vec<Piece> {
        match shape {
            NOTHING => Vec::new(),
            EVERYTHING => {
                let witness = if at == At::Below { Vec::new() } else { vec![None] };
                vec![Piece { filter: vec![Step::Hash], except: Vec::new(), witness }]
            }
            _ => {
                if let Some(known) = self.pieces.get(&(at, shape)) {
                    return known.clone();
                }
                let ends = self.shapes.value(shape) != OUTSIDE;
                let children = self.shapes.children(shape).to_vec();
                let made = self.parts(at, ends, (self.shapes.other(shape), &children));
                self.pieces.insert((at, shape), made.clone());
                made
            }
        }
    }

    /// `ends`: whether the topic that ends here is in the set; then what follows after other texts and after these.
    fn parts(&mut self, at: At, ends: bool, (other, children): (Shape, &[(Text, Shape)])) -> Vec<Piece> {
        let mut taken = Vec::new();
        let mut given = Vec::new();
        for (text, child) in children {
            let base = self.base(at, *text, other);
            let below = self.below(at, *text);
            let missing = self.shapes.without(base, *child);
            let more = self.shapes.without(*child, base);
            let mut whole = false;
            if missing != NOTHING {
                let exact = self.plain(below, missing);
                whole = exact.is_none();
                let filters = exact.unwrap_or_else(|| vec![vec![Step::Hash]]);
                taken.extend(filters.into_iter().map(|filter| under(Step::Text(*text), filter)));
            }
            if whole || more != NOTHING {
                let mut found = self.pieces(below, *child);
                if !whole {
                    let fewer = self.pieces(below, more);
                    if length(&fewer) < length(&found) {
                        found = fewer;
                    }
                }
                given.extend(found.into_iter().map(|piece| piece.under(Step::Text(*text), Some(*text))));
            }
        }
        let mut all = Vec::new();
        let mut ended = !ends || at != At::Below;
        for piece in self.pieces(At::Below, other) {
            let rest = piece.filter == [Step::Hash];
            let mut piece = piece.under(Step::Plus, None);
            if rest && (ends || at != At::Below) {
                // `+/#` and the topic that ends here.
                piece.filter = vec![Step::Hash];
                if at == At::Below {
                    piece.witness = Vec::new();
                }
                ended = true;
            }
            piece.except.extend(taken.iter().filter(|taken| meet(&piece.filter, taken)).cloned());
            all.push(piece);
        }
        if !ended {
            all.insert(0, Piece { filter: Vec::new(), except: Vec::new(), witness: Vec::new() });
        }
        all.extend(given);
        all
    }

    /// The same as filters without exceptions, if there are such.
    fn plain(&mut self, at: At, shape: Shape) -> Option<Vec<Vec<Step>>> {
        if shape == NOTHING {
            return Some(Vec::new());
        }
        if shape == EVERYTHING {
            return Some(vec![vec![Step::Hash]]);
        }
        if let Some(known) = self.plain.get(&(at, shape)) {
            return known.clone();
        }
        let made = self.plain_parts(at, shape);
        self.plain.insert((at, shape), made.clone());
        made
    }

    fn plain_parts(&mut self, at: At, shape: Shape) -> Option<Vec<Vec<Step>>> {
        let other = self.shapes.other(shape);
        let children = self.shapes.children(shape).to_vec();
        let ends = self.shapes.value(shape) != OUTSIDE && at == At::Below;
        let mut all = Vec::new();
        let mut ended = !ends;
        for filter in self.plain(At::Below, other)? {
            if filter == [Step::Hash] && (ends || at != At::Below) {
                ended = true;
                all.push(filter);
            } else {
                all.push(under(Step::Plus, filter));
            }
        }
        if !ended {
            all.insert(0, Vec::new());
        }
        for (text, child) in children {
            if self.shapes.without(self.base(at, text, other), child) != NOTHING {
                return None;
            }
            for filter in self.plain(self.below(at, text), child)? {
                let filter = under(Step::Text(text), filter);
                if !all.iter().any(|known| covers(known, &filter)) {
                    all.push(filter);
                }
            }
        }
        Some(all)
    }

    /// What a wildcard in the place of `text` would give.
    fn base(&self, at: At, text: Text, other: Shape) -> Shape {
        if at == At::Start && (self.is_dollar)(text) { NOTHING } else { other }
    }

    fn below(&self, at: At, text: Text) -> At {
        if at == At::Start && text == self.empty { At::Blank } else { At::Below }
    }
}

impl Piece {
    fn under(self, step: Step, text: Option<Text>) -> Self {
        Self {
            filter: under(step, self.filter),
            except: self.except.into_iter().map(|filter| under(step, filter)).collect(),
            witness: [text].into_iter().chain(self.witness).collect(),
        }
    }
}

fn under(step: Step, mut filter: Vec<Step>) -> Vec<Step> {
    filter.insert(0, step);
    filter
}

/// How long a description is.
fn length(pieces: &[Piece]) -> usize {
    pieces.iter().map(|piece| 1 + piece.except.len()).sum()
}

/// Whether two filters match a common text of levels.
fn meet(one: &[Step], two: &[Step]) -> bool {
    match (one, two) {
        ([Step::Hash], _) | (_, [Step::Hash]) | ([], []) => true,
        ([first, one @ ..], [second, two @ ..]) => {
            let same = match (first, second) {
                (Step::Text(first), Step::Text(second)) => first == second,
                _ => true,
            };
            same && meet(one, two)
        }
        _ => false,
    }
}

/// Whether a filter matches all that another matches, as far as their levels show it.
fn covers(wide: &[Step], narrow: &[Step]) -> bool {
    match (wide, narrow) {
        ([Step::Hash], _) | ([], []) => true,
        ([first, wide @ ..], [second, narrow @ ..]) => {
            (first == second || (*first == Step::Plus && matches!(second, Step::Text(_))))
                && covers(wide, narrow)
        }
        _ => false,
    }
}
