//! This node's previous snapshot, and which of its patterns the store holds.

use std::collections::{BTreeSet, HashMap};
use std::ops::ControlFlow;

use anti_entropy::summary::Snapshot;
use anti_entropy::{Error, KeyHash, Replica, Version};

use crate::{MemorySpace, Pattern, SemanticPattern};

/// This node's own patterns, by their ids.
///
/// It reads only what changed in the store since the last rebuild, so that a rebuild costs little if little changed.
pub(super) struct OwnPatterns {
    node: String,
    pub(super) patterns: HashMap<String, OwnPattern>,
    /// The snapshot of the replica up to which changes were read.
    until: Snapshot,
}

pub(super) struct OwnPattern {
    /// The pattern in the previous snapshot. After a restart, or if another writer used this node's name: the latest version
    /// in the store.
    pub(super) pattern: Pattern,
    key: KeyHash,
    pub(super) stored: Stored,
    /// The last rebuild whose snapshot had it.
    pub(super) rebuild: u64,
}

/// How many versions of this node the store holds at a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stored {
    /// None: it was deleted by an operator or a peer.
    Gone,
    /// One, as usual.
    Once,
    /// Several: the store was rolled back, and peers returned what this node had written before or after that.
    Often,
}

impl OwnPattern {
    /// Whether the snapshot has the pattern unchanged, in the encoding that the space has now. Compares bytes; O(size)
    pub(super) fn says(&self, pattern: &SemanticPattern, space: &MemorySpace) -> bool {
        let embedding = self.pattern.embedding();
        // The store may have been written before the space's settings changed.
        embedding.encoding() == space.encoding
            && embedding.dimension() == space.dimension.get()
            && self.pattern.is_of(pattern)
    }
}

impl OwnPatterns {
    /// Reads this node's patterns from the store. Beside these, one record is in memory at a time.
    pub(super) fn read(node: &str, replica: &mut Replica<Pattern>) -> Result<Self, Error> {
        let mut own = Self { node: node.to_owned(), patterns: HashMap::new(), until: replica.summary() };
        replica.for_each(|id, read| {
            own.take_in(KeyHash::of(id), id, read.siblings());
            ControlFlow::Continue(())
        })?;
        Ok(own)
    }

    /// Takes in changes of the store: deletes, and versions of this node that peers returned.
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

    /// Notes that this version replaced all others of this node.
    pub(super) fn wrote(&mut self, pattern: Pattern, rebuild: u64) {
        let key = KeyHash::of(&pattern.id);
        self.insert(pattern, key, Stored::Once, rebuild);
    }

    pub(super) fn deleted(&mut self, id: &str) {
        self.patterns.remove(id);
    }

    /// Ends a rebuild: notes the state of the store, and forgets patterns that neither the snapshot nor the store has any
    /// more.
    pub(super) fn rebuilt(&mut self, rebuild: u64, replica: &mut Replica<Pattern>) {
        self.patterns.retain(|_, own| own.rebuild == rebuild || own.stored != Stored::Gone);
        self.until = replica.summary();
    }
}
