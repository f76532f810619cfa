//! Of the patterns that several nodes hold, which they agree on.

use std::collections::HashMap;

use anti_entropy::KeyHash;

use crate::Pattern;

/// What is known of the patterns that have several versions.
#[derive(Debug, Default)]
pub(super) struct Versions {
    /// Whether the versions say the same; only of patterns that have several.
    same: HashMap<KeyHash, bool>,
    replicated: usize,
}

impl Versions {
    /// Notes the versions that a pattern has by now.
    pub(super) fn set<'a>(&mut self, key: KeyHash, mut versions: impl Iterator<Item = &'a Pattern>) {
        let Some(first) = versions.next() else { return self.forget(key) };
        let mut others = versions.peekable();
        if others.peek().is_none() {
            return self.forget(key);
        }
        let same = others.all(|other| other.says_same(first));
        self.replicated += usize::from(same);
        if self.same.insert(key, same) == Some(true) {
            self.replicated -= 1;
        }
    }

    fn forget(&mut self, key: KeyHash) {
        if self.same.remove(&key) == Some(true) {
            self.replicated -= 1;
        }
    }

    /// How many patterns have versions that differ.
    pub(super) fn differing(&self) -> usize {
        self.same.len() - self.replicated
    }

    /// How many patterns have several versions that say the same.
    pub(super) fn replicated(&self) -> usize {
        self.replicated
    }
}
