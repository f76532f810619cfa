//! The patterns that a view holds, by number, key and id.

use std::collections::BTreeMap;
use std::sync::Arc;

use anti_entropy::{Entry, KeyHash, Resolver};

use super::cosine::dot;
use super::numbers::{Episode, Slot};
use super::relation::Relation;
use crate::{Pattern, Resolution, vote};

/// The base pattern of an id, and how much its versions agree.
#[derive(Clone, Debug)]
pub(super) struct Base {
    pub(super) pattern: Pattern,
    pub(super) siblings: usize,
    /// Whether all versions say the same.
    pub(super) same: bool,
    /// The [agreement](crate::Vote::agreement) of the versions; 1 if there is only one.
    pub(super) agreement: f64,
}

impl Base {
    /// The base pattern of an entry; `None` if the entry has no versions.
    pub(super) fn of(entry: &Entry<Pattern>, resolution: Resolution) -> Option<Self> {
        let voted = vote(&entry.siblings)?;
        let resolved = match entry.siblings.as_slice() {
            [_] => None,
            several => resolution.resolve(&entry.key, several),
        };
        let first = &entry.siblings.first()?.value;
        let same = entry.siblings.iter().all(|sibling| sibling.value.says_same(first));
        let pattern = Pattern { id: entry.key.clone(), ..resolved.unwrap_or(voted.pattern) };
        Some(Self { pattern, siblings: entry.siblings.len(), same, agreement: voted.agreement })
    }

    /// Whether it is a conflict of type 3.
    pub(super) fn is_conflict(&self) -> bool {
        self.siblings > 1 && !self.same
    }

    /// Whether several nodes say the same.
    pub(super) fn is_replicated(&self) -> bool {
        self.siblings > 1 && self.same
    }

    /// Whether it has the same relations to other patterns.
    pub(super) fn is_placed_as(&self, other: &Self) -> bool {
        self.pattern.id == other.pattern.id
            && self.pattern.embedding == other.pattern.embedding
            && self.pattern.episodes == other.pattern.episodes
    }
}

/// A pattern, with its relations and its place in components and items.
#[derive(Clone, Debug)]
pub(super) struct HeldPattern {
    pub(super) id: Arc<str>,
    pub(super) key: KeyHash,
    pub(super) base: Base,
    /// The squared length of the embedding.
    pub(super) squared: f64,
    /// The row of its embedding in the matrix of its dimension.
    pub(super) row: usize,
    /// Ordered by the episodes' ids.
    pub(super) episodes: Vec<Episode>,
    /// In no order.
    pub(super) relations: Vec<Relation>,
    /// Its component, named by the smallest id in it; `None` if it is connected with no other pattern.
    pub(super) component: Option<Arc<str>>,
    /// The first pattern of its item.
    pub(super) head: Slot,
}

impl HeldPattern {
    /// A pattern without relations. Row, head and episodes are set later.
    pub(super) fn new(key: KeyHash, base: Base, components: &[f32]) -> Self {
        Self {
            id: base.pattern.id.as_str().into(),
            key,
            base,
            squared: dot(components, components),
            row: 0,
            episodes: Vec::new(),
            relations: Vec::new(),
            component: None,
            head: 0,
        }
    }
}

/// Patterns by number, key and id.
#[derive(Clone, Debug, Default)]
pub(super) struct Patterns {
    held: Vec<Option<HeldPattern>>,
    free: Vec<Slot>,
    by_key: BTreeMap<KeyHash, Slot>,
    by_id: BTreeMap<Arc<str>, Slot>,
}

impl Patterns {
    pub(super) fn get(&self, slot: Slot) -> &HeldPattern {
        self.held[slot].as_ref().expect("only slots in use are named")
    }

    pub(super) fn get_mut(&mut self, slot: Slot) -> &mut HeldPattern {
        self.held[slot].as_mut().expect("only slots in use are named")
    }

    pub(super) fn of_key(&self, key: KeyHash) -> Option<Slot> {
        self.by_key.get(&key).copied()
    }

    pub(super) fn of_id(&self, id: &str) -> Option<Slot> {
        self.by_id.get(id).copied()
    }

    /// All patterns in ascending order of their ids.
    pub(super) fn iter(&self) -> impl Iterator<Item = Slot> + '_ {
        self.by_id.values().copied()
    }

    /// A bound above all numbers, those that are free included.
    pub(super) fn bound(&self) -> usize {
        self.held.len()
    }

    /// Inserts a pattern whose key and id are new.
    pub(super) fn insert(&mut self, held: HeldPattern) -> Slot {
        let slot = self.free.pop().unwrap_or(self.held.len());
        if slot == self.held.len() {
            self.held.push(None);
        }
        self.by_key.insert(held.key, slot);
        self.by_id.insert(Arc::clone(&held.id), slot);
        self.held[slot] = Some(HeldPattern { head: slot, ..held });
        slot
    }

    pub(super) fn remove(&mut self, slot: Slot) -> HeldPattern {
        let held = self.held[slot].take().expect("only slots in use are named");
        self.by_key.remove(&held.key);
        self.by_id.remove(&held.id);
        self.free.push(slot);
        held
    }
}
