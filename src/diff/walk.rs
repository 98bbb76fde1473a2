//! Both policies walked together, a level at a time.
//!
//! What is reached by some levels is the rules that may still match. Only the texts that these rules spell make a
//! difference, and all others are one. Where the two sides have the same rules left, nothing below differs, so that a
//! walk costs what has changed and not what the policies are.

use std::collections::{BTreeMap, HashMap};

use super::{
    cover::{Root, Step},
    limits,
    shape::{NOTHING, OUTSIDE, Shape, Shapes, Text},
};
use crate::{policy::Limits, topic::MAX_LEVELS};

/// Which of the two sides a rule stands in.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Sides(pub(super) u8);

impl Sides {
    pub(super) const OLD: Self = Self(1);
    pub(super) const NEW: Self = Self(2);
    pub(super) const BOTH: Self = Self(3);

    fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// A rule about one action, placeholders filled.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) steps: Vec<Step>,
    /// What is allowed; `None` for a deny.
    pub(super) allows: Option<Limits>,
    pub(super) sides: Sides,
}

/// What the two sides say about a topic, where they differ: the widest limits of those that allow it; none if nobody
/// does.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Verdicts {
    pub(super) old: Vec<Limits>,
    pub(super) new: Vec<Limits>,
}

impl Verdicts {
    /// What was allowed is refused: then it makes no difference which messages were let through.
    fn told(self) -> Self {
        if self.new.is_empty() { Self { old: vec![Limits::default()], ..self } } else { self }
    }
}

/// What is reached by the levels so far.
#[derive(Clone, Eq, Hash, PartialEq)]
struct Reached {
    /// Rules that may match what follows, by their numbers.
    live: Vec<u32>,
    /// Rules that match whatever follows.
    rest: Vec<u32>,
    depth: usize,
}

/// One walk.
pub(super) struct Walk<'w> {
    pub(super) lines: &'w [Line],
    pub(super) shapes: &'w mut Shapes,
    /// By value, counted from 1.
    pub(super) verdicts: Vec<Verdicts>,
    pub(super) is_dollar: &'w dyn Fn(Text) -> bool,
    done: HashMap<Reached, Shape, foldhash::fast::RandomState>,
}

impl<'w> Walk<'w> {
    pub(super) fn new(
        lines: &'w [Line],
        shapes: &'w mut Shapes,
        is_dollar: &'w dyn Fn(Text) -> bool,
    ) -> Self {
        Self { lines, shapes, verdicts: Vec::new(), is_dollar, done: HashMap::default() }
    }

    /// Where the sides differ. The values are numbers of `verdicts`.
    pub(super) fn run(&mut self) -> Root {
        let all = (0_u32..).take(self.lines.len()).collect();
        let start = Reached { live: all, rest: Vec::new(), depth: 0 };
        let parts = self.split(&start);
        let other = self.reach(parts.plus.clone(), &parts.rest, 1);
        let texts: Vec<(Text, Vec<u32>)> = parts.texts.into_iter().collect();
        let children = texts.into_iter().map(|(text, spelled)| {
            // MQTT 5.0 section 4.7.2: a leading wildcard does not match `$`.
            let child = if (self.is_dollar)(text) {
                self.reach(spelled, &[], 1)
            } else {
                self.reach(merged(&parts.plus, spelled), &parts.rest, 1)
            };
            (text, child)
        });
        Root { other, children: children.collect() }
    }

    fn reach(&mut self, live: Vec<u32>, rest: &[u32], depth: usize) -> Shape {
        let reached = Reached { live, rest: rest.to_vec(), depth };
        if let Some(known) = self.done.get(&reached) {
            return *known;
        }
        let made = self.shape(&reached);
        self.done.insert(reached, made);
        made
    }

    fn shape(&mut self, reached: &Reached) -> Shape {
        let parts = self.split(reached);
        let denied = self.denied(&parts.rest);
        if denied == Sides::BOTH {
            return NOTHING;
        }
        let below = self.value(&parts.rest, &[]);
        let value = self.value(&parts.rest, &parts.ends);
        let going = || parts.plus.iter().chain(parts.texts.values().flatten());
        let ends = going().next().is_none() || reached.depth >= MAX_LEVELS;
        // The same rules on both sides, over the same foundation.
        let same = below == OUTSIDE && denied == Sides::default();
        if ends || (same && going().all(|line| self.sides(*line) == Sides::BOTH)) {
            let other = self.shapes.uniform(below);
            return self.shapes.node(value, other, Vec::new());
        }
        let depth = reached.depth + 1;
        let other = self.reach(parts.plus.clone(), &parts.rest, depth);
        let mut children = Vec::new();
        for (text, spelled) in parts.texts {
            children.push((text, self.reach(merged(&parts.plus, spelled), &parts.rest, depth)));
        }
        self.shapes.node(value, other, children)
    }

    fn split(&self, reached: &Reached) -> Parts {
        let mut parts = Parts { rest: reached.rest.clone(), ..Parts::default() };
        for number in &reached.live {
            let Some(line) = self.line(*number) else { continue };
            match line.steps.get(reached.depth) {
                None => parts.ends.push(*number),
                Some(Step::Hash) => parts.rest.push(*number),
                Some(Step::Plus) => parts.plus.push(*number),
                Some(Step::Text(text)) => parts.texts.entry(*text).or_default().push(*number),
            }
        }
        parts.rest.sort_unstable();
        parts
    }

    fn line(&self, number: u32) -> Option<&Line> {
        self.lines.get(usize::try_from(number).ok()?)
    }

    fn sides(&self, number: u32) -> Sides {
        self.line(number).map_or(Sides::default(), |line| line.sides)
    }

    fn denied(&self, lines: &[u32]) -> Sides {
        let denies =
            lines.iter().filter_map(|number| self.line(*number)).filter(|line| line.allows.is_none());
        denies.fold(Sides::default(), |all, line| Sides(all.0 | line.sides.0))
    }

    /// The number of what the sides say about a topic that these lines match.
    fn value(&mut self, rest: &[u32], ends: &[u32]) -> u32 {
        let lines = || rest.iter().chain(ends).filter_map(|number| self.line(*number));
        let said = |side: Sides| {
            if lines().any(|line| line.allows.is_none() && line.sides.has(side)) {
                return Vec::new();
            }
            limits::widest(lines().filter(|line| line.sides.has(side)).filter_map(|line| line.allows))
        };
        let verdicts = Verdicts { old: said(Sides::OLD), new: said(Sides::NEW) };
        if verdicts.old == verdicts.new {
            return OUTSIDE;
        }
        let verdicts = verdicts.told();
        let at = self.verdicts.iter().position(|known| *known == verdicts).unwrap_or_else(|| {
            self.verdicts.push(verdicts);
            self.verdicts.len() - 1
        });
        u32::try_from(at + 1).unwrap_or(OUTSIDE)
    }
}

/// The rules that may still match, by what they have at a level.
#[derive(Default)]
struct Parts {
    /// They end before it.
    ends: Vec<u32>,
    /// They match whatever follows.
    rest: Vec<u32>,
    plus: Vec<u32>,
    texts: BTreeMap<Text, Vec<u32>>,
}

/// Both, in the order of their numbers.
fn merged(one: &[u32], mut other: Vec<u32>) -> Vec<u32> {
    other.extend_from_slice(one);
    other.sort_unstable();
    other
}
