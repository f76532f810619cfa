//! The semantic view: what the patterns of all nodes say together.
//!
//! Replication makes the versions of each id equal everywhere. It does not see that two *different* ids say the same, or claim
//! the same episodes: no merge by key can. The view does. It is a pure function of the converged set of (id, versions): replicas
//! that hold the same set see the same view, bit for bit, however they came to it. Nothing underlying is changed or deleted by
//! it, and every item names the patterns it came from.
//!
//! ```
//! use anti_entropy::clock::{Now, Seed};
//! use anti_entropy::{KeepAll, MemoryStore, Replica};
//! use anti_entropy_engram::view::{SemanticView, ViewConfig};
//! use anti_entropy_engram::{Pattern, SemanticPattern, Space};
//! use chrono::DateTime;
//!
//! let space = Space { dimension: 2.try_into()?, ..Space::new("default") };
//! let mut replica = Replica::open(MemoryStore::new(), KeepAll, Seed::from_bytes([7; 32]))?;
//! for (id, embedding, episode) in [("pattern_1", [1.0, 0.0], "c"), ("pattern_2", [0.9, 0.1], "d")] {
//!     let pattern = SemanticPattern {
//!         id: id.to_string(),
//!         embedding: embedding.to_vec(),
//!         source_episodes: ["a", "b", episode].map(str::to_string).to_vec(),
//!         strength: 0.8,
//!         schema_confidence: 0.6,
//!         last_consolidated: DateTime::UNIX_EPOCH,
//!     };
//!     replica.write(Pattern::new(&pattern, "node-1", &space)?, Now::default())?;
//! }
//! let mut view = SemanticView::new(space, ViewConfig::default())?;
//! assert!(view.follow(&mut replica)?);
//! let item = view.items().next().expect("the two are one");
//! assert_eq!(item.patterns(), ["pattern_1", "pattern_2"]);
//! assert_eq!(item.episodes().len(), 4);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Definition
//!
//! **Base patterns.** A version that is alone at its id stands for the id. Several are a conflict of **type 3**, and what the
//! space's [`Resolution`](crate::Resolution) makes of them stands for the id; where it leaves that open
//! ([`KeepAll`](crate::Resolution::KeepAll)), what [`vote`](crate::vote) makes of them. The conflict's agreement is always that
//! of the vote.
//!
//! **Pairs.** Two different ids are related by their base patterns. Their *overlap* is the Jaccard index of the sets of
//! episodes: those in both by those in either, as `f64`; 0 if there are none. Their *cosine* is
//! `clamp(dot(a, b) / sqrt(dot(a, a) · dot(b, b)), -1, 1)` in `f64`; 0 if one is all zeros, or they have different dimensions.
//! `dot` has eight partial sums: `s[k]` adds up, from 0, the products at the indices `k`, `k + 8`, `k + 16`, ... in this order,
//! and the result is `((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]))`. With the space's
//! [`Thresholds`](crate::Thresholds), the first rule that matches decides what the pair is:
//!
//! 1. **Type 1**, the same core: overlap ≥ `merge_overlap` and cosine ≥ `merge_cosine`.
//! 2. **Type 2**, similar: cosine ≥ `link_cosine`.
//! 3. **Type 4**, contested: the two have an episode in common.
//! 4. Otherwise they are not related.
//!
//! **Items.** Connected components of the type 1 relation with two or more members, in which *every* pair is of type 1, are
//! *merged* into one item each. Other components of two or more are *unresolved*: they are listed for an operator
//! ([`unresolved`](SemanticView::unresolved)), and each member is an item of its own. So is every other pattern. (A resembles B
//! and B resembles C does not mean that A resembles C: nothing is merged that did not agree with all of the rest.)
//!
//! A merged item has the episodes of all members. Strength and time are those of the member with the highest confidence (of
//! equal ones the greater strength, then the later time, then the smaller id), and that confidence is its base confidence. Its
//! embedding is the members' mean, weighted by confidence (equally if all are 0), summed in `f64` in ascending order of the ids;
//! members of another dimension than the deciding one's do not count in it.
//!
//! **Confidence.** What an item I shares with other items makes it less sure: its confidence is its base confidence times
//! `f2 · f4`, in `f64`, rounded to `f32` once.
//!
//! - `f2 = 1 - q / 2`, where `q` is the greatest `clamp((cosine - link_cosine) / (1 - link_cosine), 0, 1)` among the pairs of
//!   type 2 of a pattern in I and one outside, 1 if `link_cosine` is 1; without such a pair `f2 = 1`. Of two that mean the same,
//!   each is right about half.
//! - `f4 = 1 - (c / |E|) / 2`, where `c` of I's |E| episodes are held by a pattern outside that has a pair of type 4 with a pattern
//!   in I; without such a pair `f4 = 1`. What others claim too is half its own.
//!
//! So the confidence is never above the base, and never below a quarter of it; with neither similar nor contesting patterns it
//! is the base itself. Only the closest link counts, and an episode counts once: an item does not vanish because many
//! resemble it.
//!
//! **Hash.** [`hash`](SemanticView::hash) stands for all items and conflicts; docs/protocol.md, "The semantic view", has its
//! bytes.
//!
//! # How it is worked out
//!
//! Neighbours are found by an exhaustive but conservative search in `f32`, and by an index from episodes to patterns; the exact
//! cosine decides about each pair that these find. What `f32` says never shows. After a change only the changed patterns are
//! searched for, and only the components, items and confidences that they touch are worked out again.

mod apply;
mod components;
mod confidence;
mod config;
mod conflict;
mod cosine;
mod hash;
mod holders;
mod item;
mod matrix;
mod relation;
mod slots;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use anti_entropy::Replica;
use anti_entropy::summary::Snapshot;

use self::components::Component;
pub use self::config::{FollowError, ViewConfig, ViewError};
pub use self::conflict::{Conflict, ConflictCounts};
pub use self::hash::ViewHash;
use self::holders::Holders;
pub use self::item::ViewItem;
use self::matrix::Matrices;
use self::relation::{Kind, Relation, overlap};
use self::slots::{Held, Slots};
use crate::{Pattern, Space, SpaceError};

/// The semantic view of a space's patterns, which follows a replica step by step; see the [module](self).
#[derive(Clone)]
pub struct SemanticView {
    space: Space,
    config: ViewConfig,
    until: Snapshot,
    slots: Slots,
    holders: Holders,
    matrices: Matrices,
    /// By the smallest id in each.
    components: BTreeMap<Arc<str>, Component>,
    /// By the smallest id in each.
    items: BTreeMap<Arc<str>, ViewItem>,
    counts: ConflictCounts,
}

impl SemanticView {
    /// An empty view.
    ///
    /// # Errors
    /// If the space's settings make no sense.
    pub fn new(space: Space, config: ViewConfig) -> Result<Self, SpaceError> {
        space.check()?;
        Ok(Self {
            space,
            config,
            until: Snapshot::default(),
            slots: Slots::default(),
            holders: Holders::default(),
            matrices: Matrices::default(),
            components: BTreeMap::new(),
            items: BTreeMap::new(),
            counts: ConflictCounts::default(),
        })
    }

    /// Forgets everything.
    fn clear(&mut self) {
        let empty = Self::new(self.space.clone(), self.config);
        *self = empty.expect("the space was checked when the view was made");
    }

    /// How far it has followed: what to ask a replica for changes since.
    pub fn until(&self) -> &Snapshot {
        &self.until
    }

    /// Takes in all that has changed in the replica since the last time. Gives whether anything had.
    ///
    /// # Errors
    /// If the replica cannot be read, which leaves the view as it was; or as [`apply`](Self::apply).
    pub fn follow(&mut self, replica: &mut Replica<Pattern>) -> Result<bool, FollowError> {
        let changed = replica.changed_since(&self.until)?;
        let any = !changed.entries.is_empty();
        self.apply(changed)?;
        Ok(any)
    }

    /// How many items there are. O(1)
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The items, in ascending order of their first ids.
    pub fn items(&self) -> impl Iterator<Item = &ViewItem> {
        self.items.values()
    }

    /// The item that a pattern is in. O(log patterns)
    pub fn item_of(&self, id: &str) -> Option<&ViewItem> {
        let head = self.slots.get(self.slots.of_id(id)?).head;
        self.items.get(&self.slots.get(head).id)
    }

    /// All conflicts: in ascending order of the id, the smaller one of two; of an id that of its siblings first, then its
    /// pairs in ascending order of the greater id.
    pub fn conflicts(&self) -> impl Iterator<Item = Conflict> + '_ {
        self.slots.iter().flat_map(|slot| {
            let held = self.slots.get(slot);
            let siblings = siblings_conflict(held);
            let pairs = self.relations_behind(held);
            siblings.into_iter().chain(pairs.into_iter().map(|(relation, other)| conflict(held, relation, other)))
        })
    }

    /// The conflicts that a pattern is in: that of its versions first, then its pairs in ascending order of the other id. Those of
    /// type 2 are what its item is linked with. O(relations · log patterns)
    pub fn conflicts_of(&self, id: &str) -> impl Iterator<Item = Conflict> {
        let held = self.slots.of_id(id).map(|slot| self.slots.get(slot));
        let siblings = held.and_then(siblings_conflict);
        let relations = held.into_iter().flat_map(|held| held.relations.iter().map(move |relation| (held, relation)));
        let mut pairs: Vec<_> =
            relations.map(|(held, relation)| (held, relation, self.slots.get(relation.other))).collect();
        pairs.sort_unstable_by(|(.., a), (.., b)| a.id.cmp(&b.id));
        let pairs = pairs.into_iter().map(|(held, relation, other)| {
            if held.id < other.id { conflict(held, relation, other) } else { conflict(other, relation, held) }
        });
        siblings.into_iter().chain(pairs)
    }

    /// The relations of a pattern to those with a greater id, in ascending order of that.
    fn relations_behind<'a>(&'a self, held: &'a Held) -> Vec<(&'a Relation, &'a Held)> {
        let ends = held.relations.iter().map(|relation| (relation, self.slots.get(relation.other)));
        let mut behind: Vec<_> = ends.filter(|(_, other)| other.id > held.id).collect();
        behind.sort_unstable_by(|(_, a), (_, b)| a.id.cmp(&b.id));
        behind
    }

    /// How many conflicts there are. O(1)
    pub fn counts(&self) -> ConflictCounts {
        self.counts
    }

    /// The components of type 1 that are not merged, for an operator to decide on: their ids in ascending order, in ascending
    /// order of the first.
    pub fn unresolved(&self) -> impl Iterator<Item = Vec<&str>> {
        let unresolved = self.components.values().filter(|component| !component.complete);
        unresolved.map(|component| component.members.iter().map(|member| &*self.slots.get(*member).id).collect())
    }
}

fn siblings_conflict(held: &Held) -> Option<Conflict> {
    (held.base.siblings > 1).then(|| Conflict::Siblings {
        id: held.id.to_string(),
        siblings: held.base.siblings,
        agreement: held.base.agreement,
    })
}

fn conflict(held: &Held, relation: &Relation, other: &Held) -> Conflict {
    let (a, b) = (held.id.to_string(), other.id.to_string());
    let overlap = overlap(relation.shared, held.episodes.len(), other.episodes.len());
    let cosine = relation.cosine;
    match relation.kind {
        Kind::SameCore => Conflict::SameCore { a, b, overlap, cosine, resolved: held.head == other.head },
        Kind::Similar => Conflict::Similar { a, b, overlap, cosine },
        Kind::Contested => Conflict::Contested { a, b, shared: relation.shared as usize, overlap, cosine },
    }
}

impl fmt::Debug for SemanticView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let view = &mut f.debug_struct("SemanticView");
        view.field("space", &self.space.id)
            .field("items", &self.len())
            .field("counts", &self.counts)
            .finish_non_exhaustive()
    }
}
