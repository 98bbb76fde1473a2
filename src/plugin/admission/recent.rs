//! A map that remembers so many and forgets the oldest: what strangers can make grow has an end.

use std::{
    borrow::Borrow,
    collections::{BTreeMap, HashMap},
    hash::{Hash, RandomState},
};

/// The newest entries under their keys. `RandomState` is std's: keys may be an attacker's choice.
pub(super) struct Recent<K, V> {
    entries: HashMap<K, (u64, V), RandomState>,
    /// Keys by the time of their entry.
    order: BTreeMap<u64, K>,
    clock: u64,
    capacity: usize,
}

impl<K: Clone + Eq + Hash, V> Recent<K, V> {
    pub(super) fn new(capacity: usize) -> Self {
        Self { entries: HashMap::default(), order: BTreeMap::new(), clock: 0, capacity }
    }

    pub(super) fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.entries.get(key).map(|(_, value)| value)
    }

    /// Remembers this as the newest.
    pub(super) fn insert(&mut self, key: K, value: V) {
        self.clock += 1;
        if let Some((before, _)) = self.entries.insert(key.clone(), (self.clock, value)) {
            self.order.remove(&before);
        }
        self.order.insert(self.clock, key);
        if self.entries.len() > self.capacity
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.entries.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_makes_room() {
        let mut recent = Recent::new(2);
        recent.insert("a", 1);
        recent.insert("b", 2);
        recent.insert("a", 3);
        recent.insert("c", 4);
        assert_eq!([recent.get("a"), recent.get("b"), recent.get("c")], [Some(&3), None, Some(&4)]);
        assert_eq!((recent.entries.len(), recent.order.len()), (2, 2));
    }
}
