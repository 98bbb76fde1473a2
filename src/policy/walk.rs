//! Which rules match a topic name.

use super::{
    Subject,
    says::{End, Says},
    tree::{ROOT, Tree},
};
use crate::topic::level_at;

/// Levels of a filter on the stack: decisions do not allocate.
pub(super) struct Levels<'t, const N: usize> {
    items: [&'t [u8]; N],
    count: usize,
}

impl<'t, const N: usize> Levels<'t, N> {
    pub(super) fn new() -> Self {
        Self { items: [&[]; N], count: 0 }
    }

    pub(super) fn push(&mut self, level: &'t [u8]) {
        if let Some(free) = self.items.get_mut(self.count) {
            *free = level;
        }
        self.count += 1;
    }

    /// All that were pushed, or `None` if they were more than `N`.
    pub(super) fn all(&self) -> Option<&[&'t [u8]]> {
        self.items.get(..self.count)
    }
}

/// One question about one name.
pub(super) struct Walk<'w> {
    pub(super) tree: &'w Tree,
    /// Known to be a name.
    pub(super) name: &'w [u8],
    pub(super) subject: &'w Subject<'w>,
    /// Which rules are looked for; branches without any are not entered.
    pub(super) wanted: Says,
}

/// Who is told what a walk finds.
pub(super) trait Sink {
    /// The end of a rule that matches.
    fn note(&mut self, end: &End);
}

impl<F: FnMut(&End)> Sink for F {
    fn note(&mut self, end: &End) {
        self(end);
    }
}

impl Walk<'_> {
    /// Tells `sink` of every rule that matches.
    pub(super) fn run(&self, sink: &mut impl Sink) {
        self.from(ROOT, 0, sink);
    }

    /// `node` is where the levels before the byte `start` lead; behind the last level that is beyond the name's end.
    /// Recurses as deep as the name has levels, and meets no node twice.
    fn from(&self, mut node: u32, mut start: usize, sink: &mut impl Sink) {
        while let Some((here, next)) = self.tree.node(node) {
            if !here.below.meets(self.wanted) {
                return;
            }
            // MQTT 5.0 section 4.7.2: a leading wildcard does not match `$`.
            let hidden = start == 0 && self.name.first() == Some(&b'$');
            if here.has.rest() && !hidden {
                self.tell(self.tree.rest(here, next), sink);
            }
            if start > self.name.len() {
                self.tell(self.tree.exact(here), sink);
                return;
            }
            if here.plus == ROOT && !here.has.children() {
                return;
            }
            let level = level_at(self.name, start);
            start += level.len() + 1;
            if here.plus != ROOT && !hidden {
                self.from(here.plus, start, sink);
            }
            if here.has.holes() {
                for hole in self.tree.holes(here, next) {
                    if self.tree.fits(hole, level, self.subject) {
                        self.from(hole.child, start, sink);
                    }
                }
            }
            if !here.has.literals() {
                return;
            }
            match self.tree.literal_of((node, here), level) {
                Some(child) => node = child,
                None => return,
            }
        }
    }
}

impl Walk<'_> {
    #[inline]
    fn tell(&self, ends: &[End], sink: &mut impl Sink) {
        ends.iter().filter(|end| end.says.meets(self.wanted)).for_each(|end| sink.note(end));
    }
}

/// Whether the first level starts with `$`.
pub(super) fn is_dollar(levels: &[&[u8]]) -> bool {
    levels.first().is_some_and(|level| level.starts_with(b"$"))
}
