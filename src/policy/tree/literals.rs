//! Rules without wildcards and placeholders: whole topics, found by one hash.
//!
//! Most rules that devices have of their own are such, and a topic that one of them spells is known to be well formed.

use super::{End, Says, at, number, range};
use crate::topic::{hash_level, same};

/// The topics that rules spell, and what these rules say.
#[derive(Debug, Default)]
pub(in crate::policy) struct Literals {
    /// Sorted by text; the last is a sentinel.
    topics: Box<[Topic]>,
    ends: Box<[End]>,
    texts: Box<str>,
    /// Open addressing from a text's hash. At most half full, because most names that are looked up are not there.
    slots: Box<[Slot]>,
    /// What all of them say.
    pub(in crate::policy) says: Says,
}

/// Where a topic's parts begin; they end where those of the next begin.
#[derive(Clone, Copy, Debug)]
struct Topic {
    text: u32,
    ends: u32,
}

/// Where a topic is found.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    /// The upper half of its hash: a text that is another seldom has to be read.
    tag: u32,
    /// Its number, counted from 1; 0 marks a free slot.
    own: u32,
}

impl Literals {
    /// Of topics with rules that spell them, in any order.
    pub(super) fn new(mut rules: Vec<(String, End)>) -> Self {
        if rules.is_empty() {
            return Self::default();
        }
        rules.sort_unstable_by(|(a, first), (b, second)| a.cmp(b).then(first.rule.cmp(&second.rule)));
        let (mut topics, mut texts) = (Vec::new(), String::new());
        let mut ends = 0;
        for group in rules.chunk_by(|(a, _), (b, _)| a == b) {
            topics.push(Topic { text: number(texts.len()), ends: number(ends) });
            ends += group.len();
            group.iter().take(1).for_each(|(text, _)| texts.push_str(text));
        }
        let count = topics.len();
        topics.push(Topic { text: number(texts.len()), ends: number(rules.len()) });
        let mut literals = Self {
            topics: topics.into(),
            ends: rules.iter().map(|(_, end)| *end).collect(),
            texts: texts.into(),
            slots: vec![Slot::default(); (2 * count).next_power_of_two()].into(),
            says: rules.iter().fold(Says::default(), |all, (_, end)| all.and(end.says)),
        };
        literals.fill(count);
        literals
    }

    fn fill(&mut self, count: usize) {
        for own in 0..count {
            let (mut slot, tag) = self.first_slot(self.topic(own).map_or(b"", |(text, _)| text));
            while self.slots.get(slot).is_some_and(|taken| taken.own != 0) {
                slot = (slot + 1) & (self.slots.len() - 1);
            }
            if let Some(free) = self.slots.get_mut(slot) {
                *free = Slot { tag, own: number(own + 1) };
            }
        }
    }

    /// What rules say that spell `name`.
    pub(in crate::policy) fn of(&self, name: &[u8]) -> &[End] {
        if self.slots.is_empty() {
            return &[];
        }
        let (mut slot, wanted) = self.first_slot(name);
        while let Some(Slot { tag, own }) = self.slots.get(slot)
            && let Some(own) = own.checked_sub(1)
        {
            if *tag == wanted
                && let Some((text, ends)) = self.topic(at(own))
                && same(text, name)
            {
                return ends;
            }
            slot = (slot + 1) & (self.slots.len() - 1);
        }
        &[]
    }

    /// The topics that begin with `prefix`, with what the rules say that spell them.
    pub(in crate::policy) fn starting_with<'s>(
        &'s self,
        prefix: &'s str,
    ) -> impl Iterator<Item = (&'s str, &'s [End])> {
        let count = self.topics.len().saturating_sub(1);
        let before = |own| self.topic(own).is_some_and(|(text, _)| text < prefix.as_bytes());
        let first = partition_point(count, before);
        let spelled = |own| self.topic(own).and_then(|(text, ends)| Some((str::from_utf8(text).ok()?, ends)));
        (first..count).map_while(spelled).take_while(move |(text, _)| text.starts_with(prefix))
    }

    /// How many bytes its tables occupy.
    pub(super) fn table_bytes(&self) -> usize {
        size_of_val(&*self.topics) + size_of_val(&*self.ends) + size_of_val(&*self.slots) + self.texts.len()
    }

    fn topic(&self, own: usize) -> Option<(&[u8], &[End])> {
        match self.topics.get(own..)? {
            [topic, next, ..] => Some((
                self.texts.as_bytes().get(range(topic.text, next.text))?,
                self.ends.get(range(topic.ends, next.ends))?,
            )),
            _ => None,
        }
    }

    /// Where the search for a name begins, and its tag.
    fn first_slot(&self, name: &[u8]) -> (usize, u32) {
        let hash = hash_level(name);
        let [low, tag] =
            [hash, hash >> 32].map(|half| u32::try_from(half & u64::from(u32::MAX)).unwrap_or_default());
        (at(low ^ tag) & (self.slots.len() - 1), tag)
    }
}

/// The first of `count` numbers for which `before` does not hold.
fn partition_point(count: usize, before: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low.midpoint(high);
        if before(middle) { low = middle + 1 } else { high = middle }
    }
    low
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::policy::{Actions, Effect};

    fn literals(topics: &[&str]) -> Literals {
        let says = Says::new(Effect::Allow, Actions::PUBLISH);
        let rules = topics.iter().zip(0..).map(|(text, rule)| ((*text).to_owned(), End { rule, says }));
        Literals::new(rules.collect())
    }

    fn rules(ends: &[End]) -> Vec<u32> {
        ends.iter().map(|end| end.rule).collect()
    }

    #[test]
    fn a_topic_has_the_rules_that_spell_it() {
        let literals = literals(&["b", "a/b", "b", "a", "a/b/c"]);
        assert_eq!(rules(literals.of(b"b")), [0, 2]);
        assert_eq!(rules(literals.of(b"a/b/c")), [4]);
        for strange in ["", "c", "a/", "a/b/", "bb"] {
            assert!(literals.of(strange.as_bytes()).is_empty(), "{strange}");
        }
        assert!(Literals::default().of(b"b").is_empty());
    }

    #[test]
    fn a_prefix_finds_all_topics_that_begin_with_it() {
        let literals = literals(&["b/x", "a/é", "a/b", "a", "a-/b", "c"]);
        let found =
            |prefix| literals.starting_with(prefix).map(|(text, _)| text.to_owned()).collect::<Vec<_>>();
        assert_eq!(found("a/"), ["a/b", "a/é"]);
        assert_eq!(found("a"), ["a", "a-/b", "a/b", "a/é"]);
        assert_eq!(found("c"), ["c"]);
        assert_eq!(found("").len(), 6);
        assert_eq!(found("a/c"), Vec::<String>::new());
        assert_eq!(found("d"), Vec::<String>::new());
    }

    #[test]
    fn a_thousand_topics_are_told_apart() {
        let names: Vec<String> = (0..1_000).map(|number| format!("plant/line{number}/temperature")).collect();
        let literals = literals(&names.iter().map(String::as_str).collect::<Vec<_>>());
        for (name, rule) in names.iter().zip(0..) {
            assert_eq!(rules(literals.of(name.as_bytes())), [rule], "{name}");
        }
        assert_eq!(literals.slots.len(), 2_048, "at most half full");
        let texts: usize = names.iter().map(String::len).sum();
        assert_eq!(literals.table_bytes(), 1_001 * 8 + 1_000 * 8 + 2_048 * 8 + texts);
        // Searches begin all over the table: by chance it would be 791 places.
        let begins = || names.iter().map(|name| literals.first_slot(name.as_bytes()));
        let places: HashSet<usize> = begins().map(|(slot, _)| slot).collect();
        let tags: HashSet<u32> = begins().map(|(_, tag)| tag).collect();
        assert!(places.len() > 700 && tags.len() > 990, "{} {}", places.len(), tags.len());
    }
}
