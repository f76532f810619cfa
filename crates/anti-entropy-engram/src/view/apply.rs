//! Taking in what changed, and working out again only what depends on it.

use std::collections::{BTreeMap, BTreeSet};

use anti_entropy::{ChangedEntries, Entry, KeyHash};

use super::cosine::{cosine, dot};
use super::matrix::QUERIES;
use super::relation::{Kind, Relation, kind, least_cosine, overlap};
use super::slots::{Base, Held, Slot};
use super::{SemanticView, ViewError};
use crate::Pattern;

/// What a change leaves to be worked out.
#[derive(Debug, Default)]
struct Work {
    /// Patterns whose relations are not known yet, in the order of the dimensions and rows of their embeddings.
    unrelated: Vec<Slot>,
    /// Patterns that are in no component and in no item.
    unplaced: BTreeSet<Slot>,
    /// Patterns with a relation that is gone or new.
    touched: BTreeSet<Slot>,
}

/// What comes and goes while patterns are related one after the other.
struct Pass {
    /// Patterns that are not related to others yet.
    pending: BTreeSet<Slot>,
    /// For each slot how many episodes it shares with the pattern at hand; zero between two patterns.
    shared: Vec<u32>,
}

impl SemanticView {
    /// Takes in what changed in a replica since [`until`](Self::until).
    ///
    /// How the view came to be does not show in it: it is the same after many small changes as after one that brings all.
    /// O(changes · patterns · dimensions) for the search for neighbours, of all patterns that are new or have another
    /// embedding or other episodes, and O(common episodes) with each pattern that has any; besides O(relations) of each changed
    /// item, and of each neighbour that a pattern gained or lost, and O(holders) of each episode of these.
    ///
    /// # Errors
    /// If the changes were read since another moment, which would leave in what has come and gone: the view is as it was then.
    /// If more pairs are related than [`max_pairs`](super::ViewConfig::max_pairs): the view is empty then, and `until` is the
    /// beginning.
    pub fn apply(&mut self, changed: ChangedEntries<Pattern>) -> Result<(), ViewError> {
        if changed.since != self.until.root() {
            return Err(ViewError::OtherMoment);
        }
        match self.take(changed.entries) {
            Ok(()) => {
                self.until = changed.until;
                Ok(())
            }
            Err(error) => {
                self.clear();
                Err(error)
            }
        }
    }

    fn take(&mut self, entries: BTreeMap<KeyHash, Option<Entry<Pattern>>>) -> Result<(), ViewError> {
        let mut work = Work::default();
        let mut new = BTreeMap::new();
        for (key, entry) in entries {
            let base = entry.and_then(|entry| Base::of(&entry, self.space.resolution));
            let key = base.as_ref().map_or(key, |base| KeyHash::of(base.pattern.id.as_str()));
            match (self.slots.of_key(key), base) {
                (Some(slot), Some(base)) if self.slots.get(slot).base.is_placed_as(&base) => {
                    self.replace(slot, base, &mut work);
                }
                (held, base) => {
                    if let Some(slot) = held {
                        self.remove(slot, &mut work);
                    }
                    new.extend(base.map(|base| (key, base)));
                }
            }
        }
        // The removed ones have left their rows: the new ones come behind all others of their dimension. Those of one dimension
        // follow each other, so that they are searched for together.
        let mut new: Vec<_> = new.into_iter().collect();
        new.sort_by_key(|(_, base)| base.pattern.embedding.dimension());
        for (key, base) in new {
            self.insert(key, base, &mut work);
        }
        self.relate(&mut work)?;
        self.place(&work.unplaced);
        self.weigh(&work);
        Ok(())
    }

    /// Puts another base pattern in place of one with the same relations.
    fn replace(&mut self, slot: Slot, base: Base, work: &mut Work) {
        self.dissolve(slot, &mut work.unplaced);
        let held = self.slots.get_mut(slot);
        self.counts.type3 -= usize::from(held.base.siblings > 1);
        self.counts.type3 += usize::from(base.siblings > 1);
        held.base = base;
    }

    fn remove(&mut self, slot: Slot, work: &mut Work) {
        self.dissolve(slot, &mut work.unplaced);
        let held = self.slots.remove(slot);
        self.counts.type3 -= usize::from(held.base.siblings > 1);
        for relation in &held.relations {
            *self.pairs_of(relation.kind) -= 1;
            let relations = &mut self.slots.get_mut(relation.other).relations;
            let end = relations.iter().position(|end| end.other == slot).expect("relations have two ends");
            relations.swap_remove(end);
            work.touched.insert(relation.other);
        }
        self.holders.remove(slot, &held.episodes);
        let moved = self.matrices.remove(held.base.pattern.embedding.dimension(), held.row);
        if let Some(moved) = moved {
            self.slots.get_mut(moved).row = held.row;
        }
        // The number may be given out again.
        work.unplaced.remove(&slot);
        work.touched.remove(&slot);
    }

    fn insert(&mut self, key: KeyHash, base: Base, work: &mut Work) {
        let components = base.pattern.embedding.to_vec();
        self.counts.type3 += usize::from(base.siblings > 1);
        let held = Held::new(key, base, &components);
        let length = held.squared.sqrt();
        let slot = self.slots.insert(held);
        self.slots.get_mut(slot).row = self.matrices.push(slot, &components, length);
        work.unrelated.push(slot);
        work.unplaced.insert(slot);
    }

    /// Relates each new pattern to the old ones and to the new ones before it.
    fn relate(&mut self, work: &mut Work) -> Result<(), ViewError> {
        let unrelated = std::mem::take(&mut work.unrelated);
        let pending = unrelated.iter().copied().collect();
        let mut pass = Pass { pending, shared: vec![0; self.slots.bound()] };
        let dimension = |slot: Slot| self.slots.get(slot).base.pattern.embedding.dimension();
        let of_one_dimension = unrelated.chunk_by(|a, b| dimension(*a) == dimension(*b));
        let blocks: Vec<&[Slot]> = of_one_dimension.flat_map(|slots| slots.chunks(QUERIES)).collect();
        for block in blocks {
            for (slot, near) in block.iter().zip(self.near(block)) {
                pass.pending.remove(slot);
                self.relate_one(*slot, near, &mut pass, work)?;
            }
        }
        Ok(())
    }

    /// For each of these patterns, which have neighbouring rows, those in rows before it that could be close enough to be
    /// related without a common episode, if that takes a direction in common.
    fn near(&self, block: &[Slot]) -> Vec<Vec<Slot>> {
        let least_cosine = least_cosine(&self.space.thresholds);
        let Some(first) = block.first().filter(|_| least_cosine > 0.0) else { return vec![Vec::new(); block.len()] };
        let first = self.slots.get(*first);
        let dimension = first.base.pattern.embedding.dimension();
        self.matrices.search(dimension, first.row..first.row + block.len(), least_cosine)
    }

    fn relate_one(
        &mut self,
        slot: Slot,
        mut others: Vec<Slot>,
        pass: &mut Pass,
        work: &mut Work,
    ) -> Result<(), ViewError> {
        let pattern = self.slots.get(slot).base.pattern.clone();
        let episodes = self.holders.insert(slot, &pattern.episodes);
        for episode in &episodes {
            for holder in self.holders.of(*episode).iter().filter(|holder| **holder != slot) {
                if pass.shared[*holder] == 0 {
                    others.push(*holder);
                }
                pass.shared[*holder] += 1;
            }
        }
        // Then even patterns without a direction are related.
        if least_cosine(&self.space.thresholds) <= 0.0 {
            others.extend(self.slots.iter().filter(|other| *other != slot && !pass.pending.contains(other)));
        }
        others.sort_unstable();
        others.dedup();
        self.slots.get_mut(slot).episodes = episodes;
        let components = pattern.embedding.to_vec();
        for other in others {
            let shared = std::mem::take(&mut pass.shared[other]);
            if let Some(relation) = self.relation(slot, &components, other, shared) {
                self.connect(slot, relation, work)?;
            }
        }
        Ok(())
    }

    /// How a pattern with these components is related to another, of which it shares so many episodes.
    fn relation(&self, slot: Slot, components: &[f32], other: Slot, shared: u32) -> Option<Relation> {
        let (a, b) = (self.slots.get(slot), self.slots.get(other));
        let theirs = b.base.pattern.embedding.to_vec();
        let cosine =
            if components.len() == theirs.len() { cosine(dot(components, &theirs), a.squared, b.squared) } else { 0.0 };
        let overlap = overlap(shared, a.episodes.len(), b.episodes.len());
        let kind = kind(&self.space.thresholds, shared, overlap, cosine)?;
        Some(Relation { other, cosine, shared, kind })
    }

    fn connect(&mut self, slot: Slot, relation: Relation, work: &mut Work) -> Result<(), ViewError> {
        let counts = &self.counts;
        if counts.type1 + counts.type2 + counts.type4 >= self.config.max_pairs {
            return Err(ViewError::TooManyPairs { limit: self.config.max_pairs });
        }
        *self.pairs_of(relation.kind) += 1;
        work.touched.insert(relation.other);
        if relation.kind == Kind::SameCore {
            self.dissolve(relation.other, &mut work.unplaced);
        }
        self.slots.get_mut(relation.other).relations.push(Relation { other: slot, ..relation });
        self.slots.get_mut(slot).relations.push(relation);
        Ok(())
    }

    fn pairs_of(&mut self, kind: Kind) -> &mut usize {
        match kind {
            Kind::SameCore => &mut self.counts.type1,
            Kind::Similar => &mut self.counts.type2,
            Kind::Contested => &mut self.counts.type4,
        }
    }

    /// Works out the confidence of each item that was made, or has patterns whose relations changed. That of others depends on
    /// nothing that changed: what a neighbour is merged with does not count.
    fn weigh(&mut self, work: &Work) {
        let patterns = work.unplaced.union(&work.touched);
        let heads: BTreeSet<Slot> = patterns.map(|slot| self.slots.get(*slot).head).collect();
        for head in heads {
            let factor = self.confidence_factor(head);
            let item = self.items.get_mut(&self.slots.get(head).id).expect("every pattern is in an item");
            item.lower_confidence(factor);
        }
    }
}
