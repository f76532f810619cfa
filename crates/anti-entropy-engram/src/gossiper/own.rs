//! What this node said in its previous snapshot, and what the store holds of it.

use std::collections::{BTreeSet, HashMap};
use std::ops::ControlFlow;

use anti_entropy::summary::Snapshot;
use anti_entropy::{Error, KeyHash, Replica, Version};

use crate::{Pattern, SemanticPattern, Space};

/// This node's own patterns, by their ids.
///
/// It follows the store by what differs since an earlier moment, so that a rebuild need not read what did not change.
pub(super) struct OwnPatterns {
    node: String,
    pub(super) patterns: HashMap<String, OwnPattern>,
    /// The moment up to which the store was followed.
    until: Snapshot,
}

pub(super) struct OwnPattern {
    /// What the previous snapshot said; after a restart, or if somebody else wrote in this node's name, what the store
    /// holds.
    pub(super) pattern: Pattern,
    key: KeyHash,
    pub(super) stored: Stored,
    /// The last rebuild whose snapshot had it.
    pub(super) rebuild: u64,
}

/// How many versions of this node the store holds at a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stored {
    /// None: somebody deleted it.
    Gone,
    /// One, as it should be.
    Once,
    /// Several: the store was rolled back, and peers brought back what this node wrote after that, or before.
    Often,
}

impl OwnPattern {
    /// Whether the snapshot says the same as before, and as the space would keep it now. Compares bytes; O(size)
    pub(super) fn says(&self, pattern: &SemanticPattern, space: &Space) -> bool {
        let embedding = self.pattern.embedding();
        // The store may be older than a change of the space's settings.
        embedding.encoding() == space.encoding
            && embedding.dimension() == space.dimension.get()
            && self.pattern.is_of(pattern)
    }
}

impl OwnPatterns {
    /// Reads what the store holds of this node. One record is in memory at a time beside what is kept.
    pub(super) fn read(node: &str, replica: &mut Replica<Pattern>) -> Result<Self, Error> {
        let mut own = Self { node: node.to_owned(), patterns: HashMap::new(), until: replica.summary() };
        replica.for_each(|id, read| {
            own.take_in(KeyHash::of(id), id, read.siblings());
            ControlFlow::Continue(())
        })?;
        Ok(own)
    }

    /// Takes in what has changed in the store: deletes, and versions of this node that came back.
    pub(super) fn follow(&mut self, replica: &mut Replica<Pattern>) -> Result<(), Error> {
        let mut gone = BTreeSet::new();
        let until = replica.for_each_changed(&self.until.clone(), |key, entry| match entry {
            Some(entry) => self.take_in(key, &entry.key, &entry.siblings),
            None => drop(gone.insert(key)),
        })?;
        if !gone.is_empty() {
            let deleted = self.patterns.values_mut().filter(|own| gone.contains(&own.key));
            deleted.for_each(|own| own.stored = Stored::Gone);
        }
        self.until = until;
        Ok(())
    }

    fn take_in(&mut self, key: KeyHash, id: &str, siblings: &[Version<Pattern>]) {
        let own = siblings.iter().filter(|sibling| sibling.value.origin() == self.node);
        let stored = if own.clone().count() > 1 { Stored::Often } else { Stored::Once };
        match (own.max_by_key(|sibling| (sibling.timestamp, sibling.dot)), self.patterns.get_mut(id)) {
            (Some(latest), Some(known)) => {
                known.pattern.clone_from(&latest.value);
                known.stored = stored;
            }
            (Some(latest), None) => self.insert(latest.value.clone(), key, stored, 0),
            (None, Some(known)) => known.stored = Stored::Gone,
            (None, None) => {}
        }
    }

    fn insert(&mut self, pattern: Pattern, key: KeyHash, stored: Stored, rebuild: u64) {
        self.patterns.insert(pattern.id.clone(), OwnPattern { pattern, key, stored, rebuild });
    }

    /// Notes a version that was written in place of all others of this node.
    pub(super) fn wrote(&mut self, pattern: Pattern, rebuild: u64) {
        let key = KeyHash::of(&pattern.id);
        self.insert(pattern, key, Stored::Once, rebuild);
    }

    pub(super) fn deleted(&mut self, id: &str) {
        self.patterns.remove(id);
    }

    /// Ends a rebuild: what the store has now is known, and what the snapshot has no more and the store neither is
    /// forgotten.
    pub(super) fn rebuilt(&mut self, rebuild: u64, replica: &mut Replica<Pattern>) {
        self.patterns.retain(|_, own| own.rebuild == rebuild || own.stored != Stored::Gone);
        self.until = replica.summary();
    }
}
