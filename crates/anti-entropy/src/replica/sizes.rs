//! Which entries are the largest: the first that writes and peers meet a limit with.

use alloc::collections::{BTreeMap, BTreeSet};

use crate::KeyHash;

/// How large the entry at a key is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Size {
    /// At least as many as it takes in a message, as limits count them.
    pub(super) bytes: usize,
    pub(super) siblings: usize,
}

/// The largest entries by each measure.
#[derive(Clone, Debug, Default)]
pub(super) struct Sizes {
    pub(super) bytes: Largest,
    /// Of keys with several.
    pub(super) siblings: Largest,
}

impl Sizes {
    /// Notes what is held at a key now; the default if nothing is. Returns what was known of the key before.
    pub(super) fn note(&mut self, key: KeyHash, size: Size) -> Size {
        let siblings = if size.siblings > 1 { size.siblings } else { 0 };
        Size { bytes: self.bytes.note(key, size.bytes), siblings: self.siblings.note(key, siblings) }
    }
}

/// The largest of all keys that were noted, and some that are nearly as large, which take its place when it shrinks.
#[derive(Clone, Debug, Default)]
pub(super) struct Largest {
    by_key: BTreeMap<KeyHash, usize>,
    by_size: BTreeSet<(usize, KeyHash)>,
}

impl Largest {
    /// The most keys that are kept, so that a change costs little and no key takes room for long. If all of them shrink
    /// without another one growing, the largest is not known until a key is noted that is larger than those.
    const KEPT: usize = 64;

    /// Notes the size at a key, zero if there is nothing. Returns the size before, as far as it is known.
    fn note(&mut self, key: KeyHash, size: usize) -> usize {
        let is_full = self.by_key.len() == Self::KEPT;
        let is_less = is_full && self.by_size.first().is_some_and(|least| (size, key) < *least);
        if is_less && !self.by_key.contains_key(&key) {
            return 0;
        }
        let before = self.by_key.remove(&key).unwrap_or_default();
        self.by_size.remove(&(before, key));
        if size > 0 {
            self.by_key.insert(key, size);
            self.by_size.insert((size, key));
        }
        if self.by_key.len() > Self::KEPT
            && let Some((_, least)) = self.by_size.pop_first()
        {
            self.by_key.remove(&least);
        }
        before
    }

    /// The largest one.
    pub(super) fn get(&self) -> Option<(KeyHash, usize)> {
        self.by_size.last().map(|(size, key)| (*key, *size))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_is_known_while_others_come_and_go() {
        let (mut largest, mut all) = (Largest::default(), BTreeMap::new());
        let key = |number: usize| KeyHash::from_u128(number as u128);
        for step in 0..10_000_usize {
            // A walk over a few hundred keys, of which some vanish. Never do so many of the largest that none is kept.
            let (number, size) = (step * 7919 % 311, step * 104_729 % 997);
            let size = if step % 5 == 0 { 0 } else { size };
            let before = all.insert(number, size).unwrap_or_default();
            let known = largest.note(key(number), size);
            assert!(known == before || known == 0, "step {step}");
            let expected = all.iter().map(|(number, size)| (*size, key(*number))).max();
            assert_eq!(largest.get().map(|(key, size)| (size, key)), expected.filter(|(size, _)| *size > 0));
            assert!(largest.by_key.len() <= Largest::KEPT);
            assert_eq!(largest.by_key.len(), largest.by_size.len());
        }
    }

    #[test]
    fn one_version_is_no_siblings() {
        let mut sizes = Sizes::default();
        assert_eq!(sizes.note(KeyHash::MIN, Size { bytes: 10, siblings: 1 }), Size::default());
        assert_eq!((sizes.bytes.get(), sizes.siblings.get()), (Some((KeyHash::MIN, 10)), None));
        sizes.note(KeyHash::MIN, Size { bytes: 20, siblings: 2 });
        assert_eq!((sizes.bytes.get(), sizes.siblings.get()), (Some((KeyHash::MIN, 20)), Some((KeyHash::MIN, 2))));
        assert_eq!(sizes.note(KeyHash::MIN, Size::default()), Size { bytes: 20, siblings: 2 });
        assert_eq!((sizes.bytes.get(), sizes.siblings.get()), (None, None));
    }
}
