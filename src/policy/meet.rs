//! Whether a filter and the rules have a topic in common.

use super::{
    Subject,
    cover::{Pattern, RuleAt, is_any, keep},
    says::{End, Says},
    tree::{Hole, ROOT, Tree},
    walk::is_dollar,
};
use crate::topic::Name;

/// One question about one pattern.
pub(super) struct Meeting<'w> {
    pub(super) tree: &'w Tree,
    /// Which index this is.
    pub(super) which: usize,
    pub(super) pattern: &'w Pattern<'w>,
    pub(super) subject: &'w Subject<'w>,
    pub(super) wanted: Says,
    /// Whether any rule will do: whoever decides needs one, whoever explains needs the earliest.
    pub(super) search: Search,
    /// The rule met so far.
    pub(super) met: Option<RuleAt>,
}

/// How long to go on looking.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Search {
    /// Until a rule is met.
    Any,
    /// Through all rules that could meet, for the earliest in the source.
    Earliest,
}

/// What the levels walked so far leave open.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Path {
    /// One empty level, as between `+` and `/#`: no topic, unless more levels follow.
    Blank,
    Usable,
}

impl Meeting<'_> {
    /// A rule that matches some topic of the pattern.
    pub(super) fn rule(mut self) -> Option<RuleAt> {
        self.spelled();
        self.from(ROOT, 0, Path::Usable);
        self.met
    }

    /// The rules that are topics themselves.
    fn spelled(&mut self) {
        let (literals, filter) = (self.tree.topics(), self.pattern.filter);
        if !literals.says.meets(self.wanted) {
            return;
        }
        if let Some(name) = self.pattern.name {
            self.note(literals.of(name.as_bytes()));
        }
        let plain = filter.plain();
        let Some(prefix) = plain.find(['+', '#']).and_then(|wild| plain.get(..wild)) else { return };
        for (topic, ends) in literals.starting_with(prefix) {
            if self.is_over() {
                return;
            }
            if filter.matches(Name::known(topic)) {
                self.note(ends);
            }
        }
    }

    /// `node` is where the first `depth` levels lead. Recurses at most as deep as rules have levels.
    fn from(&mut self, node: u32, depth: usize, path: Path) {
        let Some((here, next)) = self.tree.node(node) else { return };
        if !here.below.meets(self.wanted) || self.is_over() {
            return;
        }
        let levels = self.pattern.levels();
        let spent = depth >= levels.len();
        let hidden = depth == 0 && is_dollar(levels);
        let no_topic = spent && path == Path::Blank && !self.pattern.open;
        if !(hidden || no_topic) {
            self.note(self.tree.rest(here, next));
        }
        if spent {
            self.note(self.tree.exact(here));
        }
        let level = levels.get(depth);
        if spent && !self.pattern.open {
            return;
        }
        // A level whose text the pattern leaves free; at the start it cannot be one with `$`.
        let free = level.is_none_or(is_any);
        let shown = |text: &[u8]| free && !(depth == 0 && text.starts_with(b"$"));
        let blank = |text: &[u8]| if depth == 0 && text.is_empty() { Path::Blank } else { Path::Usable };
        if here.plus != ROOT && !hidden {
            let path = level.map_or(Path::Usable, |level| blank(level));
            self.from(here.plus, depth + 1, path);
        }
        for hole in self.tree.holes(here, next) {
            let fits = match level {
                Some(level) if !free => self.tree.fits(hole, level, self.subject),
                _ => shown(self.prefix(hole)) && self.tree.can_fill(hole, self.subject),
            };
            if fits {
                self.from(hole.child, depth + 1, Path::Usable);
            }
        }
        match level {
            Some(level) if !free => {
                if let Some(child) = self.tree.literal(node, level) {
                    self.from(child, depth + 1, blank(level));
                }
            }
            _ => {
                for (child, text) in self.tree.literals(here, next).filter(|(_, text)| shown(text)) {
                    if self.is_over() {
                        return;
                    }
                    self.from(child, depth + 1, blank(text));
                }
            }
        }
    }

    fn is_over(&self) -> bool {
        self.search == Search::Any && self.met.is_some()
    }

    fn note(&mut self, ends: &[End]) {
        for end in ends.iter().filter(|end| end.says.meets(self.wanted)) {
            keep(&mut self.met, (self.which, end.rule));
        }
    }

    fn prefix(&self, hole: &Hole) -> &[u8] {
        self.tree.around(hole).map_or(&[], |(prefix, _)| prefix)
    }
}
