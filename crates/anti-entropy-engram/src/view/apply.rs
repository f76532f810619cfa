//! Taking in changes, and computing again only what depends on them.

use std::collections::{BTreeMap, BTreeSet};

use anti_entropy::{ChangedEntries, Entry, KeyHash, Replica};

use super::config::{FollowError, ViewError};
use super::cosine::{cosine, dot};
use super::matrix::QUERIES;
use super::numbers::Slot;
use super::patterns::{Base, HeldPattern};
use super::relation::{Kind, Relation, kind, least_cosine, overlap};
use super::semantic_view::SemanticView;
use crate::Pattern;

/// What has to be computed again after a change.
#[derive(Debug, Default)]
struct Work {
    /// Patterns whose relations are not known yet, ordered by the dimension and row of their embeddings.
    unrelated: Vec<Slot>,
    /// Patterns that are in no component and no item.
    unplaced: BTreeSet<Slot>,
    /// Patterns that lost or gained a relation.
    touched: BTreeSet<Slot>,
}

/// How many blocks of patterns each thread searches for before what they found is related. Blocks further on are compared
/// with more rows, so that few blocks a wave share the work most evenly.
const BLOCKS_OF_A_WAVE: usize = 4;

/// Working memory while patterns are related one after the other.
struct Pass {
    /// Patterns that are not related to others yet.
    pending: BTreeSet<Slot>,
    /// By slot, how many episodes the pattern shares with the one that is being related; all zero in between.
    shared: Vec<u32>,
}

impl SemanticView {
    /// Takes in all changes of the replica since the last call. Returns whether there were any.
    ///
    /// # Errors
    /// If the replica cannot be read, which leaves the view unchanged; otherwise as for [`apply`](Self::apply).
    pub fn follow(&mut self, replica: &mut Replica<Pattern>) -> Result<bool, FollowError> {
        let changed = replica.changed_since(&self.until)?;
        let any = !changed.entries.is_empty();
        self.apply(changed)?;
        Ok(any)
    }

    /// Takes in the changes of a replica since [`until`](Self::until).
    ///
    /// The view depends on the patterns alone: many small changes and one large change that bring the same patterns give the
    /// same view.
    ///
    /// The search for neighbours takes O(changes · patterns · dimensions) for patterns that are new or whose embedding or
    /// episodes changed, and O(common episodes) for each pattern that shares some. The rest takes O(relations) of each
    /// changed item and of each neighbour that a pattern gained or lost, and O(holders) of each of their episodes.
    ///
    /// # Errors
    /// If the changes were read since another snapshot: the view could miss some, and is unchanged. If more pairs are related
    /// than [`max_pairs`](super::ViewConfig::max_pairs): the view is empty, and `until` is the beginning.
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
            match (self.patterns.of_key(key), base) {
                (Some(slot), Some(base)) if self.patterns.get(slot).base.is_placed_as(&base) => {
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
        // Removed patterns have left their rows, so new ones come after all others of their dimension. New patterns of one
        // dimension follow each other, so that one search serves them.
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

    /// Replaces a base pattern by one with the same relations.
    fn replace(&mut self, slot: Slot, base: Base, work: &mut Work) {
        self.dissolve(slot, &mut work.unplaced);
        self.count(&base);
        let before = std::mem::replace(&mut self.patterns.get_mut(slot).base, base);
        self.uncount(&before);
    }

    fn count(&mut self, base: &Base) {
        self.counts.type3 += usize::from(base.is_conflict());
        self.counts.replicated += usize::from(base.is_replicated());
    }

    fn uncount(&mut self, base: &Base) {
        self.counts.type3 -= usize::from(base.is_conflict());
        self.counts.replicated -= usize::from(base.is_replicated());
    }

    fn remove(&mut self, slot: Slot, work: &mut Work) {
        self.dissolve(slot, &mut work.unplaced);
        let held = self.patterns.remove(slot);
        self.uncount(&held.base);
        for relation in &held.relations {
            *self.pairs_of(relation.kind) -= 1;
            let relations = &mut self.patterns.get_mut(relation.other).relations;
            let end = relations.iter().position(|end| end.other == slot).expect("relations have two ends");
            relations.swap_remove(end);
            work.touched.insert(relation.other);
        }
        self.holders.remove(slot, &held.episodes);
        let moved = self.matrices.remove(held.base.pattern.embedding.dimension(), held.row);
        if let Some(moved) = moved {
            self.patterns.get_mut(moved).row = held.row;
        }
        // The number may be used again.
        work.unplaced.remove(&slot);
        work.touched.remove(&slot);
    }

    fn insert(&mut self, key: KeyHash, base: Base, work: &mut Work) {
        let components = base.pattern.embedding.to_vec();
        self.count(&base);
        let held = HeldPattern::new(key, base, &components);
        let length = held.squared.sqrt();
        let slot = self.patterns.insert(held);
        self.patterns.get_mut(slot).row = self.matrices.push(slot, &components, length);
        work.unrelated.push(slot);
        work.unplaced.insert(slot);
    }

    /// Relates each new pattern to the old patterns and to the new ones before it.
    fn relate(&mut self, work: &mut Work) -> Result<(), ViewError> {
        let unrelated = std::mem::take(&mut work.unrelated);
        let pending = unrelated.iter().copied().collect();
        let mut pass = Pass { pending, shared: vec![0; self.patterns.bound()] };
        let dimension = |slot: Slot| self.patterns.get(slot).base.pattern.embedding.dimension();
        let of_one_dimension = unrelated.chunk_by(|a, b| dimension(*a) == dimension(*b));
        let blocks: Vec<&[Slot]> = of_one_dimension.flat_map(|slots| slots.chunks(QUERIES)).collect();
        let threads = self.config.search_threads.get();
        // Not all blocks at once: what is found takes memory until it is related.
        for wave in blocks.chunks(threads.saturating_mul(BLOCKS_OF_A_WAVE)) {
            let found = self.near_all(wave, threads);
            for (slot, near) in wave.iter().copied().flatten().zip(found) {
                pass.pending.remove(slot);
                self.relate_one(*slot, near, &mut pass, work)?;
            }
        }
        Ok(())
    }

    /// What [`near`](Self::near) finds for all of these blocks, in their order. All embeddings have their rows before, so that
    /// the search changes nothing, and any number of threads finds the same.
    fn near_all(&self, blocks: &[&[Slot]], threads: usize) -> Vec<Vec<Slot>> {
        let threads = threads.min(blocks.len());
        let search =
            |blocks: &[&[Slot]]| -> Vec<Vec<Slot>> { blocks.iter().flat_map(|block| self.near(block)).collect() };
        if threads <= 1 {
            return search(blocks);
        }
        let shares: Vec<&[&[Slot]]> = blocks.chunks(blocks.len().div_ceil(threads)).collect();
        let (own, others) = shares.split_first().expect("there are blocks");
        std::thread::scope(|scope| {
            let search = &search;
            let builder = || std::thread::Builder::new().name("view".to_owned());
            let started: Vec<_> =
                others.iter().map(|share| (*share, builder().spawn_scoped(scope, move || search(share)))).collect();
            let mut found = search(own);
            for (share, thread) in started {
                // Where no thread could be started, or it ended without a result, this one does its share.
                let share_found = thread.ok().and_then(|thread| thread.join().ok());
                found.extend(share_found.unwrap_or_else(|| search(share)));
            }
            found
        })
    }

    /// For each of these patterns, which are in consecutive rows: the patterns in earlier rows that may be close enough to be
    /// related without a common episode. Empty if the thresholds relate patterns whatever their cosine.
    fn near(&self, block: &[Slot]) -> Vec<Vec<Slot>> {
        let least_cosine = least_cosine(&self.space.thresholds);
        let Some(first) = block.first().filter(|_| least_cosine > 0.0) else { return vec![Vec::new(); block.len()] };
        let first = self.patterns.get(*first);
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
        let pattern = self.patterns.get(slot).base.pattern.clone();
        let episodes = self.holders.insert(slot, &pattern.episodes);
        for episode in &episodes {
            for holder in self.holders.of(*episode).iter().filter(|holder| **holder != slot) {
                if pass.shared[*holder] == 0 {
                    others.push(*holder);
                }
                pass.shared[*holder] += 1;
            }
        }
        // Then every cosine will do, that of embeddings without a direction too.
        if least_cosine(&self.space.thresholds) <= 0.0 {
            others.extend(self.patterns.iter().filter(|other| *other != slot && !pass.pending.contains(other)));
        }
        others.sort_unstable();
        others.dedup();
        self.patterns.get_mut(slot).episodes = episodes;
        let components = pattern.embedding.to_vec();
        for other in others {
            let shared = std::mem::take(&mut pass.shared[other]);
            if let Some(relation) = self.relation(slot, &components, other, shared) {
                self.connect(slot, relation, work)?;
            }
        }
        Ok(())
    }

    /// How a pattern with these components is related to another one, with which it shares this many episodes.
    fn relation(&self, slot: Slot, components: &[f32], other: Slot, shared: u32) -> Option<Relation> {
        let (a, b) = (self.patterns.get(slot), self.patterns.get(other));
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
        self.patterns.get_mut(relation.other).relations.push(Relation { other: slot, ..relation });
        self.patterns.get_mut(slot).relations.push(relation);
        Ok(())
    }

    fn pairs_of(&mut self, kind: Kind) -> &mut usize {
        match kind {
            Kind::SameCore => &mut self.counts.type1,
            Kind::Similar => &mut self.counts.type2,
            Kind::Contested => &mut self.counts.type4,
        }
    }

    /// Computes the confidence of each item that is new or has patterns whose relations changed. No other confidence can have
    /// changed, since it does not depend on what a neighbour is merged with.
    fn weigh(&mut self, work: &Work) {
        let patterns = work.unplaced.union(&work.touched);
        let heads: BTreeSet<Slot> = patterns.map(|slot| self.patterns.get(*slot).head).collect();
        for head in heads {
            let factor = self.confidence_factor(head);
            let item = self.items.get_mut(&self.patterns.get(head).id).expect("every pattern is in an item");
            item.lower_confidence(factor);
        }
    }
}
