//! The patterns that a view holds, by number, by key and by id.

use std::collections::BTreeMap;
use std::sync::Arc;

use anti_entropy::{Entry, KeyHash, Resolver};

use super::cosine::dot;
use super::holders::Episode;
use super::relation::Relation;
use crate::{Pattern, Resolution, vote};

/// A pattern's number. Numbers are given out again, so that nothing may depend on their order.
pub(super) type Slot = usize;

/// What stands for an id: one pattern, and what its siblings came to.
#[derive(Clone, Debug)]
pub(super) struct Base {
    pub(super) pattern: Pattern,
    pub(super) siblings: usize,
    /// Of the siblings, as voting has it; 1 if there is but one.
    pub(super) agreement: f64,
}

impl Base {
    /// The base pattern of an entry; nothing comes of no versions.
    pub(super) fn of(entry: &Entry<Pattern>, resolution: Resolution) -> Option<Self> {
        let voted = vote(&entry.siblings)?;
        let resolved = match entry.siblings.as_slice() {
            [_] => None,
            several => resolution.resolve(&entry.key, several),
        };
        let pattern = Pattern { id: entry.key.clone(), ..resolved.unwrap_or(voted.pattern) };
        Some(Self { pattern, siblings: entry.siblings.len(), agreement: voted.agreement })
    }

    /// Whether it is related to the same patterns in the same way.
    pub(super) fn is_placed_as(&self, other: &Self) -> bool {
        self.pattern.id == other.pattern.id
            && self.pattern.embedding == other.pattern.embedding
            && self.pattern.episodes == other.pattern.episodes
    }
}

/// All that is known of a pattern.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) id: Arc<str>,
    pub(super) key: KeyHash,
    pub(super) base: Base,
    /// The squared length of the embedding.
    pub(super) squared: f64,
    /// Its row among the embeddings of its dimension.
    pub(super) row: usize,
    /// In the order of the episodes' ids.
    pub(super) episodes: Vec<Episode>,
    /// In no order.
    pub(super) relations: Vec<Relation>,
    /// The component it is in, by the smallest id in it, if there are others in it.
    pub(super) component: Option<Arc<str>>,
    /// The first pattern of the item it is in.
    pub(super) head: Slot,
}

impl Held {
    /// A pattern without relations; its row, slot and episodes are to follow.
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
pub(super) struct Slots {
    held: Vec<Option<Held>>,
    free: Vec<Slot>,
    by_key: BTreeMap<KeyHash, Slot>,
    by_id: BTreeMap<Arc<str>, Slot>,
}

impl Slots {
    pub(super) fn get(&self, slot: Slot) -> &Held {
        self.held[slot].as_ref().expect("only slots in use are named")
    }

    pub(super) fn get_mut(&mut self, slot: Slot) -> &mut Held {
        self.held[slot].as_mut().expect("only slots in use are named")
    }

    pub(super) fn of_key(&self, key: KeyHash) -> Option<Slot> {
        self.by_key.get(&key).copied()
    }

    pub(super) fn of_id(&self, id: &str) -> Option<Slot> {
        self.by_id.get(id).copied()
    }

    /// All, in ascending order of their ids.
    pub(super) fn iter(&self) -> impl Iterator<Item = Slot> + '_ {
        self.by_id.values().copied()
    }

    /// One more than the greatest number in use or free.
    pub(super) fn bound(&self) -> usize {
        self.held.len()
    }

    /// Takes a pattern in whose key and id are not there.
    pub(super) fn insert(&mut self, held: Held) -> Slot {
        let slot = self.free.pop().unwrap_or(self.held.len());
        if slot == self.held.len() {
            self.held.push(None);
        }
        self.by_key.insert(held.key, slot);
        self.by_id.insert(Arc::clone(&held.id), slot);
        self.held[slot] = Some(Held { head: slot, ..held });
        slot
    }

    pub(super) fn remove(&mut self, slot: Slot) -> Held {
        let held = self.held[slot].take().expect("only slots in use are named");
        self.by_key.remove(&held.key);
        self.by_id.remove(&held.id);
        self.free.push(slot);
        held
    }
}
